//! A folder on a disk that crashes and rots, and what recovery makes of it.

use super::recovery::RecoverOptions;
use super::*;
use crate::io::{DiskCommand, DurableState};
use bytes::Bytes;
use mailstorm_shared::machine::FileOp;
use mailstorm_shared::{Epoch, Zxid};
use mailstorm_wire::txn::Entry;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const SECTOR: usize = 64;

fn identity() -> Identity {
    Identity { server: ServerId::new(3).unwrap(), ensemble: 77 }
}

fn options() -> StorageOptions {
    StorageOptions { log_file_bytes: 1024, snapshots_kept: 2, ..StorageOptions::default() }
}

fn entry(epoch: u32, counter: u32, seed: u64) -> Entry {
    let length = (seed % 90) as usize;
    let bytes: Vec<u8> = (0..length).map(|n| (seed >> (n % 56)) as u8 | 1).collect();
    Entry { zxid: Zxid::new(Epoch(epoch), counter), bytes: bytes.into() }
}

/// A small generator of decisions, so that one number from proptest decides many.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mixed = (self.0 ^ (self.0 >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed >> 20) % below.max(1)
    }
}

/// One file: as it is on the platters, as the page cache gives it, and what a sync would write. A
/// sync that fails writes nothing and takes the cache for clean all the same.
#[derive(Clone, Default)]
struct File {
    durable: Vec<u8>,
    cached: Vec<u8>,
    unsynced: Vec<FileOp>,
    /// What failed syncs have dropped.
    dropped: Vec<FileOp>,
}

fn apply_to(content: &mut Vec<u8>, op: &FileOp, dice: Option<&mut Dice>) {
    match op {
        FileOp::Truncate { bytes, .. } => {
            if dice.is_none_or(|dice| dice.roll(2) == 0) {
                content.resize(*bytes as usize, 0);
            }
        }
        FileOp::Write { offset, bytes, .. } => {
            let start = *offset as usize;
            let mut dice = dice;
            let mut at = 0;
            while at < bytes.len() {
                let end = bytes.len().min((start + at + 1).next_multiple_of(SECTOR) - start);
                // Kept, lost or torn, sector by sector.
                let kept = match dice.as_deref_mut().map(|dice| (dice.roll(3), dice)) {
                    None | Some((0, _)) => at..end,
                    Some((1, _)) => at..at,
                    Some((_, dice)) => at..at + dice.roll((end - at) as u64) as usize,
                };
                if !kept.is_empty() {
                    let needed = start + kept.end;
                    if content.len() < needed {
                        content.resize(needed, 0);
                    }
                    content[start + kept.start..start + kept.end].copy_from_slice(&bytes[kept]);
                }
                at = end;
            }
        }
        _ => unreachable!("not an operation within a file"),
    }
}

/// A folder: files by number, and two tables of names, one durable and one as the process sees it.
#[derive(Clone, Default)]
struct Folder {
    files: Vec<File>,
    durable_names: BTreeMap<String, usize>,
    names: BTreeMap<String, usize>,
    /// Files that the disk does not give, until they are made again.
    unreadable: BTreeSet<usize>,
}

impl Folder {
    fn apply(&mut self, op: &FileOp) {
        match op {
            FileOp::Write { name, .. } | FileOp::Truncate { name, .. } => {
                let number = *self.names.entry(name.to_string()).or_insert_with(|| {
                    self.files.push(File::default());
                    self.files.len() - 1
                });
                let file = &mut self.files[number];
                apply_to(&mut file.cached, op, None);
                file.unsynced.push(op.clone());
            }
            FileOp::Sync { name } => {
                let number = self.names[&**name];
                let file = &mut self.files[number];
                for op in std::mem::take(&mut file.unsynced) {
                    apply_to(&mut file.durable, &op, None);
                }
                self.durable_names.insert(name.to_string(), number);
            }
            FileOp::Rename { from, to } => {
                let number = self.names.remove(&**from).unwrap();
                self.names.insert(to.to_string(), number);
            }
            FileOp::Remove { name } => {
                self.names.remove(&**name);
            }
            FileOp::SyncFolder => {
                // Files that were never synced may or may not be there after a crash: not here.
                let removed: Vec<_> = self
                    .durable_names
                    .keys()
                    .filter(|name| !self.names.contains_key(*name))
                    .cloned()
                    .collect();
                for name in removed {
                    self.durable_names.remove(&name);
                }
                for (name, number) in &self.names {
                    self.durable_names.insert(name.clone(), *number);
                }
            }
        }
    }

    /// An operation that fails. Only syncs leave something behind.
    fn fail(&mut self, op: &FileOp) {
        if let FileOp::Sync { name } = op {
            let file = &mut self.files[self.names[&**name]];
            let unsynced = std::mem::take(&mut file.unsynced);
            file.dropped.extend(unsynced);
        }
    }

    /// The power fails.
    fn crash(&mut self, dice: &mut Dice) {
        for file in &mut self.files {
            file.dropped.clear();
            for op in std::mem::take(&mut file.unsynced) {
                apply_to(&mut file.durable, &op, Some(dice));
            }
            file.cached = file.durable.clone();
        }
        // Each name that differs between the tables is as before or as after.
        let all: BTreeSet<String> =
            self.names.keys().chain(self.durable_names.keys()).cloned().collect();
        for name in all {
            let (before, after) = (self.durable_names.get(&name), self.names.get(&name));
            if before != after && dice.roll(2) == 0 {
                match after.copied() {
                    Some(number) => self.durable_names.insert(name, number),
                    None => self.durable_names.remove(&name),
                };
            }
        }
        self.names = self.durable_names.clone();
    }

    /// The process ends in peace.
    fn settle(&mut self) {
        for file in &mut self.files {
            for op in std::mem::take(&mut file.unsynced) {
                apply_to(&mut file.durable, &op, None);
            }
            file.cached = file.durable.clone();
        }
        self.durable_names = self.names.clone();
    }

    fn read(&self) -> BTreeMap<FileName, Option<Bytes>> {
        let content = |number: &usize| {
            let is_given = !self.unreadable.contains(number);
            is_given.then(|| Bytes::from(self.files[*number].cached.clone()))
        };
        self.names
            .iter()
            .map(|(name, number)| (FileName::parse(name).unwrap(), content(number)))
            .collect()
    }

    fn content(&self, name: FileName) -> &Vec<u8> {
        &self.files[self.names[&name.to_string()]].cached
    }

    /// The disk does not give this file any longer.
    fn lose_sight_of(&mut self, name: FileName) {
        self.unreadable.insert(self.names[&name.to_string()]);
    }

    /// Changes what a file holds on the platters, while nothing of it is cached.
    fn change(&mut self, name: FileName, change: impl FnOnce(&mut Vec<u8>)) {
        let number = self.names[&name.to_string()];
        let file = &mut self.files[number];
        change(&mut file.durable);
        file.cached = file.durable.clone();
    }
}

/// A server's disk, and beside it what was commanded and what was promised to be durable.
struct Model {
    folder: Folder,
    writer: Option<Writer>,
    dice: Dice,
    /// The history after each command that changed it; the last is the present one.
    histories: Vec<Vec<Entry>>,
    /// Which of them is durable.
    durable: usize,
    states: Vec<DurableState>,
    durable_state: usize,
    /// Nothing at or before this is ever cut.
    floor: usize,
    /// Whether it notes how far what is never cut is committed.
    notes: bool,
    snapshot_under_way: bool,
    epoch: u32,
    /// How long each log file was before its last batch of writes, and after.
    batches: BTreeMap<String, (u64, u64)>,
    /// Stops after so many more operations: a crash in the middle.
    operations_left: u64,
    /// The operation at which it stops has failed, and was not merely left out.
    fails: bool,
    /// What may be done at any time beside the rest, in this order.
    aside: VecDeque<FileOp>,
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut model = Self {
            folder: Folder::default(),
            writer: None,
            dice: Dice(seed),
            histories: vec![Vec::new()],
            durable: 0,
            states: Vec::new(),
            durable_state: 0,
            floor: 0,
            notes: false,
            snapshot_under_way: false,
            epoch: 1,
            batches: BTreeMap::new(),
            operations_left: u64::MAX,
            fails: false,
            aside: VecDeque::new(),
        };
        let recovery = model.recover(true);
        assert_eq!(recovery.condition, Condition::Empty);
        model.states = vec![recovery.recovered.state];
        model.open(&recovery);
        model
    }

    fn recover(&self, initialise: bool) -> Recovery {
        let options =
            RecoverOptions { initialise, entries_before_snapshot: 4, ..Default::default() };
        recover(&self.folder.read(), &[], identity(), &options).unwrap()
    }

    /// What the disk says without the page cache.
    fn on_disk(&self) -> Option<OnDisk> {
        let Folder { files, durable_names, .. } = &self.folder;
        let names = durable_names.keys().filter_map(|name| FileName::parse(name));
        let read = |name: FileName| {
            Some(files[*durable_names.get(&name.to_string())?].durable.clone().into())
        };
        inspect(identity().server, names, read)
    }

    fn open(&mut self, recovery: &Recovery) {
        self.aside.clear();
        let mut ops = Vec::new();
        self.writer = Some(Writer::open(identity(), options(), recovery, &mut ops));
        self.carry_out(&ops);
    }

    /// False when the power failed before all was done.
    fn carry_out(&mut self, ops: &[FileOp]) -> bool {
        for op in ops {
            if self.operations_left == 0 {
                if std::mem::take(&mut self.fails) {
                    self.folder.fail(op);
                }
                return false;
            }
            self.operations_left -= 1;
            if let FileOp::Write { name, offset, bytes } = op {
                self.batches.insert(name.to_string(), (*offset, *offset + bytes.len() as u64));
            }
            self.folder.apply(op);
        }
        true
    }

    fn command(&mut self, command: DiskCommand) {
        let mut ops = Vec::new();
        self.writer.as_mut().unwrap().command(&command, &mut ops);
        self.carry_out(&ops);
    }

    /// A command of our own snapshot: what is to be done beside the rest waits until that is
    /// durable.
    fn command_aside(&mut self, command: DiskCommand) {
        let (mut ops, mut aside) = (Vec::new(), Vec::new());
        self.writer.as_mut().unwrap().aside(&command, &mut ops, &mut aside);
        self.carry_out(&ops);
        self.commit();
        self.aside.extend(aside);
    }

    /// Some of what waits beside the rest is done.
    fn go_on_aside(&mut self, count: usize) {
        for _ in 0..count {
            let Some(op) = self.aside.pop_front() else { return };
            self.carry_out(&[op]);
        }
    }

    fn commit(&mut self) {
        let mut ops = Vec::new();
        let committed = if self.notes { self.never_cut() } else { Zxid::ZERO };
        self.writer.as_mut().unwrap().commit(committed, &mut ops);
        if self.carry_out(&ops) && self.operations_left > 0 {
            self.durable = self.histories.len() - 1;
            self.durable_state = self.states.len() - 1;
        }
    }

    /// The last entry that is never cut.
    fn never_cut(&self) -> Zxid {
        let last = self.floor.checked_sub(1).and_then(|last| self.history().get(last));
        last.map_or(Zxid::ZERO, |entry| entry.zxid)
    }

    fn history(&self) -> &Vec<Entry> {
        self.histories.last().unwrap()
    }

    fn append(&mut self) {
        let last = self.history().last().map_or(Zxid::ZERO, |entry| entry.zxid);
        let counter = if last.epoch().0 == self.epoch { last.counter() + 1 } else { 1 };
        let entry = entry(self.epoch, counter, self.dice.roll(1 << 40));
        let mut history = self.history().clone();
        history.push(entry.clone());
        self.histories.push(history);
        self.command(DiskCommand::Append(entry));
    }

    fn truncate(&mut self) {
        let (floor, length) = (self.floor, self.history().len());
        let kept = floor + self.dice.roll((length - floor) as u64 + 1) as usize;
        let mut history = self.history().clone();
        history.truncate(kept);
        let after = history.last().map_or(Zxid::ZERO, |entry| entry.zxid);
        self.histories.push(history);
        self.command(DiskCommand::Truncate { after });
        // What was cut may come again, as something else, in a later epoch alone.
        self.epoch += 1;
    }

    fn save_state(&mut self) {
        let votes = self.states.last().unwrap().votes;
        let epoch = Epoch(self.epoch);
        let state = DurableState { accepted_epoch: epoch, current_epoch: epoch, votes };
        self.states.push(state);
        self.command(DiskCommand::SaveState(state));
    }

    fn begin_snapshot(&mut self) {
        let length = self.history().len();
        if length == 0 {
            return;
        }
        let floor = self.floor.max(1);
        self.floor = floor + self.dice.roll((length - floor + 1) as u64) as usize;
        let zxid = self.history()[self.floor - 1].zxid;
        self.command_aside(DiskCommand::SnapshotBegin { zxid });
        self.snapshot_under_way = true;
    }

    fn end_snapshot(&mut self) {
        if std::mem::take(&mut self.snapshot_under_way) {
            self.command_aside(DiskCommand::SnapshotChunk { bytes: Bytes::from_static(b"a tree") });
            self.command_aside(DiskCommand::SnapshotEnd { replaces_log: false });
        }
    }

    /// A leader's snapshot replaces everything: the history is one that was never ours.
    fn install(&mut self) {
        self.go_on_aside(usize::MAX);
        self.snapshot_under_way = false;
        self.epoch += 1;
        let counter = 1 + self.dice.roll(5) as u32;
        let history: Vec<_> = (1..=counter).map(|counter| entry(self.epoch, counter, 7)).collect();
        self.floor = history.len();
        self.histories.push(history);
        self.command(DiskCommand::SnapshotBegin { zxid: Zxid::new(Epoch(self.epoch), counter) });
        self.command(DiskCommand::SnapshotChunk {
            bytes: Bytes::from_static(b"the leader's tree"),
        });
        self.command(DiskCommand::SnapshotEnd { replaces_log: true });
    }

    fn act(&mut self) {
        let count = self.dice.roll(4) as usize;
        self.go_on_aside(count);
        match self.dice.roll(24) {
            0..10 => self.append(),
            10..15 => self.commit(),
            15 => self.truncate(),
            16 | 17 => self.save_state(),
            18 | 19 => self.begin_snapshot(),
            20 | 21 => self.end_snapshot(),
            22 if self.dice.roll(3) == 0 => self.install(),
            _ => {}
        }
    }

    fn crash(&mut self) {
        self.folder.crash(&mut self.dice);
        self.die();
    }

    /// The process dies; the machine goes on, and what was written stays in the page cache.
    fn die(&mut self) {
        self.operations_left = u64::MAX;
        self.fails = false;
        self.writer = None;
        self.snapshot_under_way = false;
    }

    /// Which of the histories since the durable one was recovered, if one was.
    fn recovered_history(&self, recovered: &crate::io::Recovered) -> Option<usize> {
        let fits = |history: &Vec<Entry>| shows_end_of(recovered, history);
        (self.durable..self.histories.len()).rev().find(|index| fits(&self.histories[*index]))
    }

    /// After a crash alone: nothing synced is missing.
    fn assert_whole(&mut self, recovery: &Recovery) {
        let recovered = &recovery.recovered;
        assert_eq!(recovery.condition, Condition::Whole, "{:?}", recovered.findings);
        let index = self
            .recovered_history(recovered)
            .unwrap_or_else(|| panic!("not one of the histories that may be there: {recovered:?}"));
        let possible = &self.states[self.durable_state..];
        assert!(possible.contains(&recovered.state), "{:?} of {possible:?}", recovered.state);
        self.go_on_from(self.histories[index].clone(), recovered);
    }

    fn go_on_from(&mut self, history: Vec<Entry>, recovered: &crate::io::Recovered) {
        let base = recovered.snapshot.as_ref().map_or(Zxid::ZERO, |(zxid, _)| *zxid);
        self.floor = history.partition_point(|entry| entry.zxid <= base);
        self.histories = vec![history];
        self.durable = 0;
        self.states = vec![recovered.state];
        self.durable_state = 0;
        self.epoch += 1;
    }

    /// After damage: all of it and a vote, or no vote and a beginning of what was.
    fn assert_sound(&mut self, recovery: &Recovery, ever: &[Vec<Entry>]) {
        let recovered = &recovery.recovered;
        if recovered.state.votes {
            self.assert_whole(recovery);
            return;
        }
        assert!(!recovered.findings.is_empty(), "a vote lost without a word");
        let zxids: Vec<_> = recovered.log.iter().map(|entry| entry.zxid).collect();
        assert!(zxids.is_sorted_by(|a, b| a < b), "{zxids:?}");
        let beginning = ever.iter().find_map(|history| {
            (0..=history.len()).find_map(|end| {
                shows_end_of(recovered, &history[..end]).then(|| history[..end].to_vec())
            })
        });
        let beginning = beginning.unwrap_or_else(|| {
            panic!("neither written so nor without a gap: {recovered:?}\nof {ever:?}")
        });
        self.go_on_from(beginning, recovered);
    }

    /// Flips, garbles, cuts, removes, or gives no longer; not more than a bit of what the last
    /// batch of writes brought, but for what is no longer given.
    fn damage(&mut self, alone: bool) {
        let names: Vec<FileName> =
            self.folder.names.keys().map(|name| FileName::parse(name).unwrap()).collect();
        let name = names[self.dice.roll(names.len() as u64) as usize];
        let (last_batch, written) = self.batches.get(&name.to_string()).copied().unwrap_or((0, 0));
        let kind = self.dice.roll(6);
        if kind == 0 {
            self.folder.names.remove(&name.to_string());
            self.folder.durable_names.remove(&name.to_string());
            return;
        }
        if kind == 5 {
            self.folder.lose_sight_of(name);
            return;
        }
        let (a, b) = (self.dice.roll(1 << 30) as usize, self.dice.roll(1 << 30) as usize);
        self.folder.change(name, |content| {
            if content.is_empty() {
                return;
            }
            let near = (written as usize).clamp(1, content.len());
            // The last batch is the evidence that all before it was synced, and has none itself:
            // one flip there is noticed, more damage than that may not be.
            let flip_below = if alone { near } else { last_batch as usize };
            let flipped = &mut content[a % flip_below.clamp(1, near)];
            match kind {
                1 => content.truncate(a % content.len()),
                // A flip that leaves nothing of a byte cannot be told from the loss of the byte.
                2 => {
                    *flipped ^= match *flipped {
                        1 => 2,
                        byte if byte.count_ones() == 1 => 1,
                        _ => 1 << (b % 8),
                    };
                }
                _ => {
                    let bound =
                        if matches!(name, FileName::Log(_)) { last_batch as usize } else { near };
                    let bound = bound.min(content.len());
                    let start = a % bound.max(1);
                    let end = bound.min(start + 1 + b % 100);
                    let fill = if kind == 3 { 0 } else { b as u8 };
                    content[start..end].fill(fill);
                }
            }
        });
    }
}

/// Whether snapshot and log together show the end of a history: the log is its tail, and begins no
/// later than right behind the snapshot.
fn shows_end_of(recovered: &crate::io::Recovered, history: &[Entry]) -> bool {
    let base = recovered.snapshot.as_ref().map_or(Zxid::ZERO, |(zxid, _)| *zxid);
    let place = match base {
        Zxid::ZERO => Some(0),
        _ => history.iter().position(|entry| entry.zxid == base).map(|index| index + 1),
    };
    let tail = history.len().checked_sub(recovered.log.len());
    matches!((place, tail), (Some(place), Some(tail)) if tail <= place && history[tail..] == recovered.log[..])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn a_crash_at_any_moment_leaves_everything_that_was_synced(
        seed in any::<u64>(), lives in 1..5u32, actions in 0..80u32,
    ) {
        let mut model = Model::new(seed);
        model.notes = seed % 2 == 0;
        for _ in 0..lives {
            for _ in 0..actions {
                model.act();
            }
            model.operations_left = model.dice.roll(12);
            for _ in 0..20 {
                model.act();
            }
            model.crash();
            // A crash may strike recovery's own repairs, too.
            let recovery = model.recover(false);
            model.assert_whole(&recovery);
            model.operations_left = model.dice.roll(9);
            model.open(&recovery);
            if model.operations_left == 0 {
                model.crash();
                let recovery = model.recover(false);
                model.assert_whole(&recovery);
                model.open(&recovery);
            }
            model.operations_left = u64::MAX;
        }
    }

    #[test]
    fn what_a_dead_process_left_in_the_page_cache_is_durable_before_it_is_relied_on(
        seed in any::<u64>(), lives in 1..5u32, actions in 0..80u32, fails in any::<bool>(),
    ) {
        let mut model = Model::new(seed);
        for _ in 0..lives {
            for _ in 0..actions {
                model.act();
            }
            (model.operations_left, model.fails) = (model.dice.roll(12), fails);
            for _ in 0..20 {
                model.act();
            }
            // The next process reads the cache, and goes on from there once its repairs are done.
            model.die();
            let recovery = model.recover(false);
            model.assert_whole(&recovery);
            model.open(&recovery);
            let last = model.history().last().map_or(Zxid::ZERO, |entry| entry.zxid);
            let DurableState { accepted_epoch, current_epoch, .. } = recovery.recovered.state;
            let on_disk = OnDisk { last_logged: last, accepted_epoch, current_epoch };
            prop_assert_eq!(model.on_disk(), Some(on_disk));
            model.crash();
            let again = model.recover(false);
            model.assert_whole(&again);
            model.open(&again);
        }
    }

    #[test]
    fn damage_is_never_passed_over(
        seed in any::<u64>(), actions in 0..120u32, damages in 1..4u32, crash in any::<bool>(),
    ) {
        let mut model = Model::new(seed);
        let mut ever = Vec::new();
        for _ in 0..actions {
            model.act();
        }
        model.commit();
        ever.extend(model.histories.iter().cloned());
        if crash {
            model.crash();
        } else {
            model.go_on_aside(usize::MAX);
            model.folder.settle();
        }
        for _ in 0..damages {
            if !model.folder.names.is_empty() {
                model.damage(damages == 1);
            }
        }
        if model.folder.names.is_empty() {
            return Ok(());
        }
        let recovery = model.recover(false);
        model.assert_sound(&recovery, &ever);
        // What was lost stays lost, and without a vote, however often the server starts.
        let votes = recovery.recovered.state.votes;
        model.operations_left = model.dice.roll(12);
        model.open(&recovery);
        model.crash();
        let again = model.recover(false);
        prop_assert!(votes || !again.recovered.state.votes, "the vote came back by itself");
        model.assert_sound(&again, &ever);
        model.open(&again);
        for _ in 0..30 {
            model.act();
        }
        model.commit();
        model.crash();
        let later = model.recover(false);
        prop_assert!(votes || !later.recovered.state.votes);
        model.assert_whole(&later);
    }

    #[test]
    fn arbitrary_bytes_under_any_name_never_panic(
        contents in prop::collection::vec((0..6u8, 0..3u64, prop::collection::vec(any::<u8>(), 0..200)), 0..6),
    ) {
        let files = contents.into_iter().map(|(kind, number, bytes)| {
            let name = match kind {
                0 => FileName::State,
                1 => FileName::StateNew,
                2 => FileName::SnapshotNew,
                3 => FileName::Snapshot(Zxid(number)),
                _ => FileName::Log(number),
            };
            (name, Some(Bytes::from(bytes)))
        }).collect();
        let recovery = recover(&files, &[], identity(), &RecoverOptions::default()).unwrap();
        prop_assert!(!recovery.recovered.state.votes);
        Writer::open(identity(), options(), &recovery, &mut Vec::new());
    }
}

/// Writes what is described, damages it, and says what is left.
fn check(actions: &str, damage: impl FnOnce(&mut Folder), expected: &str) {
    let mut model = Model::new(1);
    for action in actions.split_whitespace() {
        match action {
            "append" => model.append(),
            "commit" => model.commit(),
            "cut" => {
                model.floor = model.history().len() - 1;
                model.truncate();
            }
            "snapshot" => {
                model.floor = model.history().len();
                model.begin_snapshot();
                model.end_snapshot();
            }
            "install" => model.install(),
            other => panic!("no action {other}"),
        }
    }
    model.go_on_aside(usize::MAX);
    model.folder.settle();
    damage(&mut model.folder);
    let recovery = model.recover(false);
    let recovered = recovery.recovered;
    let zxids: Vec<_> = recovered.log.iter().map(|entry| entry.zxid.to_string()).collect();
    let snapshot = recovered.snapshot.map_or(String::new(), |(zxid, _)| format!("@{zxid} "));
    let vote = if recovered.state.votes { "votes" } else { "no vote" };
    let summary =
        format!("{snapshot}{} | {vote} | {}", zxids.join(" "), recovered.findings.join("; "));
    assert_eq!(summary, expected, "after {actions}");
}

const LOG_0: FileName = FileName::Log(0);
const LOST: &str = "without a vote until a leader admits this server";

/// Offsets of the records of log 0.
fn record_offsets(folder: &mut Folder) -> Vec<usize> {
    let content = folder.content(LOG_0).clone();
    (0..content.len() - 3).filter(|at| &content[*at..*at + 3] == b"MSr").collect()
}

/// A folder with four entries, of which the first two are committed, and another batch behind that.
fn with_a_note() -> Model {
    let mut model = Model::new(1);
    (0..4).for_each(|_| model.append());
    model.commit();
    (model.notes, model.floor) = (true, 2);
    model.commit();
    assert_eq!(model.recover(false).recovered.committed, Zxid::ZERO, "no sync for a note alone");
    model.append();
    model.commit();
    model
}

#[test]
fn what_is_known_to_be_committed_is_noted_with_the_next_batch_and_comes_back() {
    let mut model = with_a_note();
    model.folder.settle();
    let recovery = model.recover(false);
    assert_eq!(recovery.condition, Condition::Whole);
    assert_eq!(recovery.recovered.committed, Zxid::new(Epoch(1), 2));
    assert_eq!(recovery.recovered.log.len(), 5, "a note is no entry");
    assert_eq!(model.on_disk().unwrap().last_logged, Zxid::new(Epoch(1), 5));
    // It is noted once, and stands through further lives.
    model.open(&recovery);
    model.append();
    model.commit();
    model.folder.settle();
    let again = model.recover(false).recovered;
    assert_eq!((again.committed, again.log.len()), (Zxid::new(Epoch(1), 2), 6));
}

#[test]
fn what_damage_has_taken_is_not_said_to_be_committed() {
    let mut model = with_a_note();
    model.floor = 5;
    model.append();
    model.commit();
    let offsets = record_offsets(&mut model.folder);
    model.folder.settle();
    model.folder.change(FileName::Log(0), |file| file[offsets[3] + 8] ^= 1);
    let recovered = model.recover(false).recovered;
    assert_eq!(recovered.log.len(), 3);
    assert!(recovered.committed <= Zxid::new(Epoch(1), 3), "{}", recovered.committed);
}

#[test]
fn a_folder_of_the_version_before_opens_and_nothing_new_is_written_to_its_files() {
    for entries in [0, 3] {
        let mut model = Model::new(1);
        (0..entries).for_each(|_| model.append());
        model.commit();
        model.folder.settle();
        let as_before = |file: &mut Vec<u8>| {
            file[8..10].copy_from_slice(&1_u16.to_le_bytes());
            let checksum = mailstorm_shared::checksum::crc32c(&file[..44]);
            file[44..48].copy_from_slice(&checksum.to_le_bytes());
        };
        model.folder.change(FileName::Log(0), as_before);
        let recovery = model.recover(false);
        assert_eq!(recovery.condition, Condition::Whole);
        assert_eq!(recovery.recovered.log.len(), entries);
        model.open(&recovery);
        (model.notes, model.floor) = (true, 1);
        (0..2).for_each(|_| model.append());
        model.commit();
        model.folder.settle();
        let recovered = model.recover(false).recovered;
        assert_eq!(recovered.committed, Zxid::new(Epoch(1), 1));
        assert_eq!(recovered.log.len(), entries + 2);
        let files = model.folder.read();
        let old = files[&FileName::Log(0)].clone().unwrap();
        let header = log::Header::decode(&old, 0, identity().server).unwrap().unwrap();
        let contents = log::read(&old, header);
        let kinds = contents.stretches.iter().flat_map(|stretch| &stretch.records);
        assert!(kinds.into_iter().all(|record| record.kind == log::Kind::Append));
        assert_eq!(contents.end, log::End::Sealed);
    }
}

#[test]
fn what_stands_in_the_log_comes_back() {
    check("", |_| {}, " | votes | ");
    check("append append commit", |_| {}, "1:1 1:2 | votes | ");
    check("append append commit snapshot", |_| {}, "@1:2 1:1 1:2 | votes | ");
    check("append append commit install append commit", |_| {}, "@2:1 2:2 | votes | ");
}

#[test]
fn a_torn_last_batch_is_cut() {
    let tear = |folder: &mut Folder| {
        let at = record_offsets(folder)[1];
        folder.change(LOG_0, |content| content[at + 20..].fill(0));
    };
    let found = " | votes | log.0000000000000000: torn by a crash at offset";
    check("append commit append commit", tear, &format!("1:1{found} 176, where it is cut"));
}

#[test]
fn one_rotten_bit_is_no_torn_write_even_in_the_last_record() {
    let rot = |folder: &mut Folder| {
        let at = record_offsets(folder)[1];
        folder.change(LOG_0, |content| content[at + 9] ^= 4);
    };
    let found = "log.0000000000000000: damaged at offset 176";
    check(
        "append commit append commit",
        rot,
        &format!("1:1 | no vote | {found}; data may be lost: going on from 1:1 {LOST}"),
    );
}

#[test]
fn a_record_that_was_synced_once_is_damage_and_what_follows_is_refused() {
    let garble = |folder: &mut Folder| {
        let at = record_offsets(folder)[1];
        folder.change(LOG_0, |content| content[at..at + 40].fill(0xEE));
    };
    let found = "log.0000000000000000: damaged at offset 176";
    check(
        "append commit append commit append commit",
        garble,
        &format!("1:1 | no vote | {found}; data may be lost: going on from 1:1 {LOST}"),
    );
}

#[test]
fn a_lost_file_is_noticed_whichever_it_is() {
    let without = |name: FileName| {
        move |folder: &mut Folder| {
            folder.names.remove(&name.to_string()).unwrap();
        }
    };
    check(
        "append commit",
        without(FileName::State),
        &format!(
            "1:1 | no vote | state: the file is missing; data may be lost: going on from 1:1 {LOST}"
        ),
    );
    check(
        "append commit",
        without(LOG_0),
        &format!(
            " | no vote | log.0000000000000000: the file is missing; data may be lost: going on from 0:0 {LOST}"
        ),
    );
    check(
        "append append snapshot append commit",
        without(FileName::Log(1)),
        &format!(
            "@1:2 1:1 1:2 | no vote | log.0000000000000001: the file is missing; data may be lost: going on from 1:2 {LOST}"
        ),
    );
    check(
        "append append snapshot append commit",
        without(FileName::Snapshot(Zxid::new(Epoch(1), 2))),
        "1:1 1:2 1:3 | votes | ",
    );
}

#[test]
fn a_file_that_the_disk_does_not_give_is_damage_whichever_it_is() {
    let blind_to = |name: FileName| move |folder: &mut Folder| folder.lose_sight_of(name);
    let going_on = |from: &str| format!("data may be lost: going on from {from} {LOST}");
    check(
        "append commit",
        blind_to(FileName::State),
        &format!("1:1 | no vote | state: the disk does not give it; {}", going_on("1:1")),
    );
    let not_given = "log.0000000000000000: the disk does not give it";
    check(
        "append commit",
        blind_to(LOG_0),
        &format!(" | no vote | {not_given}; {}", going_on("0:0")),
    );
    // The very first file of a start that was never finished is blank; this one may have been
    // anything.
    let first_of_all = |folder: &mut Folder| {
        folder.names.remove(&FileName::State.to_string()).unwrap();
        folder.lose_sight_of(LOG_0);
    };
    check(
        "append commit",
        first_of_all,
        &format!(" | no vote | state: the file is missing; {not_given}; {}", going_on("0:0")),
    );
}

#[test]
fn a_newest_log_file_that_the_disk_does_not_give_is_not_one_that_a_crash_left_unfinished() {
    let mut model = Model::new(1);
    model.append();
    model.append();
    model.commit();
    model.folder.settle();
    // Without its promises the server goes on in a new file, and the one before has no seal.
    model.folder.change(FileName::State, |content| content.fill(0xEE));
    let damaged = model.recover(false);
    assert_eq!(damaged.condition, Condition::Damaged);
    model.open(&damaged);
    model.append();
    model.commit();
    model.folder.settle();
    assert_eq!(model.recover(false).condition, Condition::Whole);
    model.folder.lose_sight_of(FileName::Log(1));
    assert_eq!(model.recover(false).condition, Condition::Damaged);
}

#[test]
fn damage_before_a_sound_snapshot_costs_nothing() {
    let garble = |folder: &mut Folder| folder.change(LOG_0, |content| content[0..40].fill(0xEE));
    let found = "log.0000000000000000: damaged at offset 0";
    check(
        "append append snapshot append commit",
        garble,
        &format!("@1:2 1:3 | votes | {found}; {found}"),
    );
}

#[test]
fn one_rotten_copy_of_the_promises_is_replaced_before_the_other_rots() {
    let mut model = Model::new(1);
    model.save_state();
    model.commit();
    let written = model.folder.read()[&FileName::State].clone();
    for offset in [24, 512 + 24] {
        model.folder.change(FileName::State, |content| content[offset] ^= 1);
        let recovery = model.recover(false);
        assert_eq!(recovery.condition, Condition::Whole);
        assert_eq!(recovery.recovered.findings.len(), 1, "{:?}", recovery.recovered.findings);
        model.open(&recovery);
        model.folder.settle();
        assert_eq!(model.folder.read()[&FileName::State], written);
    }
}

#[test]
fn a_folder_of_another_server_or_ensemble_is_refused() {
    let mut model = Model::new(1);
    model.append();
    model.commit();
    let files = model.folder.read();
    let recover_as = |server: u8, ensemble: u64, membership_changed: bool| {
        let identity = Identity { server: ServerId::new(server).unwrap(), ensemble };
        let options = RecoverOptions { membership_changed, ..Default::default() };
        recover(&files, &[], identity, &options)
    };
    assert!(recover_as(3, 77, false).is_ok());
    assert_eq!(recover_as(3, 78, false), Err(RecoverError::OtherEnsemble));
    let taken_over = recover_as(3, 78, true).unwrap();
    assert!(taken_over.recovered.state.votes && taken_over.resume.save_state);
    let refused = recover_as(4, 77, false).unwrap_err();
    let expected = "state was written by server 3, this is server 4: check `id` and `data`";
    assert_eq!(refused.to_string(), expected);
}

#[test]
fn an_older_snapshot_helps_where_the_newest_is_damaged_and_only_as_far_as_it_is_read() {
    let mut model = Model::new(1);
    for _ in 0..3 {
        for _ in 0..3 {
            model.append();
        }
        model.floor = model.history().len();
        model.begin_snapshot();
        model.end_snapshot();
        model.go_on_aside(usize::MAX);
    }
    model.append();
    model.commit();
    let zxid = |counter| Zxid::new(Epoch(1), counter);
    let mut files = model.folder.read();
    let newest = FileName::Snapshot(zxid(9));
    let damaged = files[&newest].as_ref().unwrap().slice(..20);
    files.insert(newest, Some(damaged));
    let older = files.remove(&FileName::Snapshot(zxid(6))).unwrap();
    let options = RecoverOptions::default();
    let first = recover(&files, &[zxid(6)], identity(), &options).unwrap();
    assert_eq!(first.condition, Condition::Damaged);
    files.insert(FileName::Snapshot(zxid(6)), older);
    let second = recover(&files, &[], identity(), &options).unwrap();
    assert_eq!(second.condition, Condition::Whole);
    assert_eq!(second.recovered.snapshot.as_ref().unwrap().0, zxid(6));
    let tail: Vec<_> = second.recovered.log.iter().map(|entry| entry.zxid.counter()).collect();
    assert_eq!(tail, [7, 8, 9, 10]);
}

#[test]
fn a_snapshot_of_our_own_proves_that_the_log_lost_what_it_contains() {
    let before_the_roll = |folder: &mut Folder| {
        folder.names.remove(&FileName::Log(1).to_string()).unwrap();
        let at = record_offsets(folder)[1];
        folder.change(LOG_0, |content| {
            content[at..].fill(0);
            content.resize(1024, 0);
        });
    };
    check(
        "append commit append commit snapshot",
        before_the_roll,
        &format!("@1:2  | no vote | data may be lost: going on from 1:2 {LOST}"),
    );
}
