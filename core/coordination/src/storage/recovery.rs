//! What a folder's files amount to: the promises, the newest snapshot and the log that can be
//! believed.
//!
//! The log files are walked in order into *chains*: entries that follow each other without a hole.
//! Every hole begins a new chain. If the last chain reaches the end of the log, and a snapshot (or
//! the beginning of all things) stands on it, nothing was lost: the folder is [`Condition::Whole`].
//! Otherwise it is [`Condition::Damaged`]: the server keeps what stands before the hole, refuses
//! the rest, and has no vote until a leader admits it.
//!
//! Why the vote: 1. A server logs 1:5, acknowledges it, and 1:5 is committed with its help. 2. Its
//! disk rots at 1:5. 3. It restarts, cuts the log before 1:5 and votes. 4. Together with a server
//! that never had 1:5 it elects a leader without it: an acknowledged write is lost. Hence no vote;
//! and hence "no vote" must be on the disk before anything is repaired, or the next start would
//! find nothing wrong.

use super::log::{self, Contents, End, HEADER_BYTES, Header, Kind};
use super::origin::RecoverError;
use super::snapshot::{self, Content};
use super::{FileName, Identity, state};
use crate::io::{DurableState, Recovered};
use bytes::Bytes;
use mailstorm_shared::zeros::length_without_trailing_zeros;
use mailstorm_shared::{Defects, Epoch, ServerId, Zxid, planted};
use mailstorm_wire::txn::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// What the operator says about this start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct RecoverOptions {
    /// An empty folder is that of a server which votes from the beginning: the first start of a new
    /// ensemble. Otherwise an empty folder may have been a full one, and has no vote.
    pub initialise: bool,
    /// A folder written under another membership is taken over.
    pub membership_changed: bool,
    /// How many entries from before the snapshot are kept, so that followers can be brought up to
    /// date.
    pub entries_before_snapshot: usize,
    /// The defect that the laboratory planted in this server, if any.
    pub defects: Defects,
}

/// In which state the folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// No server ever finished its first start here.
    Empty,
    /// Everything that was synced is there.
    Whole,
    /// Something is missing or unreadable that may have been synced.
    Damaged,
}

/// A log file that stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Its running number.
    pub sequence: u64,
    /// The last entry before it; [`NO_BASE`] when nothing is ever replayed from it.
    pub base: Zxid,
}

/// The base of a file that is void or unreadable: no snapshot needs it, and it is purged with its
/// neighbours.
pub const NO_BASE: Zxid = Zxid(u64::MAX);

/// The newest log file of a whole folder: it gets no more records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    pub sequence: u64,
    /// Where its last record ends.
    pub offset: u64,
    /// How many bytes behind that a crash left something in. They are wiped before the seal is
    /// written: a seal torn over half a record could look like rot.
    pub torn_bytes: u64,
}

/// What recovery found, for the core and for the writer that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// For the core.
    pub recovered: Recovered,
    /// In which state the folder is.
    pub condition: Condition,
    /// How the writer goes on.
    pub(super) resume: Resume,
}

/// How the writer goes on after a recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resume {
    /// The promises are not on the disk as they are now.
    pub save_state: bool,
    /// What was read of the log's end, to be written again as it is. The process before this one
    /// may have died before it synced it, or of a sync that failed: then the page cache still gives
    /// what the disk does not have, and takes it for clean, so that another sync alone would change
    /// nothing.
    pub rewrite: Vec<(FileName, Bytes)>,
    /// Leftovers and what cannot be read.
    pub remove: Vec<FileName>,
    /// The last entry believed.
    pub last: Zxid,
    /// Where to write.
    pub log: ResumeLog,
    /// The log files that stay, oldest first.
    pub logs: Vec<LogFile>,
    /// The snapshots that stay, oldest first.
    pub snapshots: Vec<Zxid>,
}

/// Where the writer writes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResumeLog {
    /// In the newest file, which has no record yet.
    Reuse(Header),
    /// In a new file, after sealing this one.
    Follow(Ending),
    /// In a new file that voids what older ones hold behind [`Resume::last`].
    Restart { sequence: u64 },
    /// In the very first file.
    First,
}

/// Makes what can be made of a folder's files. A file that the disk does not give is `None`: what
/// it held is damage, and no evidence of anything. `unread` names older snapshots that are there,
/// but were not read in; when the folder looks damaged, one of them may help: read it, and call
/// again.
///
/// # Errors
/// When the folder is another server's or another ensemble's, or was written by a newer program.
pub fn recover(
    files: &BTreeMap<FileName, Option<Bytes>>,
    unread: &[Zxid],
    identity: Identity,
    options: &RecoverOptions,
) -> Result<Recovery, RecoverError> {
    if is_empty(files, unread) {
        return Ok(empty(files, options));
    }
    let mut findings = Vec::new();
    let (promises, outdated) = read_state(files, identity, options, &mut findings)?;
    let mut walk = walk_logs(files, identity.server, options.defects)?;
    let snapshots = read_snapshots(files, unread, identity.server, &mut findings)?;

    let sound = walk.sound.then(|| walk.chains.last()).flatten();
    let standing = sound.and_then(|chain| stand(chain, &snapshots));
    let (base, chain, whole) = match standing {
        Some(base) => (base, walk.chains.pop(), promises.is_some()),
        None => {
            let (base, chain) = salvage(&walk.chains, &snapshots);
            (base, chain, false)
        }
    };
    if !whole {
        walk.void(chain.as_ref());
    }
    findings.append(&mut walk.findings);
    let snapshot = base.and_then(|zxid| snapshots.good.get(&zxid));
    let last_file = chain.as_ref().map(|chain| chain.last_file);
    let noted = chain.as_ref().map_or(Zxid::ZERO, |chain| chain.committed);
    let mut log = chain.map(|chain| chain.entries).unwrap_or_default();
    let last = log.last().map(|entry| entry.zxid).max(base).unwrap_or(Zxid::ZERO);
    // What damage has taken away can no longer be kept from being cut.
    let committed = noted.min(last);
    let kept_from = log
        .partition_point(|entry| Some(entry.zxid) <= base)
        .saturating_sub(options.entries_before_snapshot);
    log.drain(..kept_from);
    // Copied, so that an entry does not keep its whole file in memory.
    log.iter_mut().for_each(|entry| entry.bytes = Bytes::copy_from_slice(&entry.bytes));

    let promised = promises.unwrap_or(NO_PROMISES);
    let state = DurableState { votes: promised.votes && whole, ..promised };
    let condition = if whole { Condition::Whole } else { Condition::Damaged };
    if !whole {
        findings.push(format!(
            "data may be lost: going on from {last} without a vote until a leader admits this server"
        ));
    }
    if whole && !state.votes {
        findings.push("data was lost before: no vote until a leader admits this server".to_owned());
    }
    // A leader's snapshot whose installation was not finished is of no use on another history.
    let useful = snapshots.good.keys().filter(|zxid| Some(**zxid) <= base);
    let mut stay: Vec<Zxid> = useful.chain(unread).copied().collect();
    stay.sort_unstable();
    let mut remove = leftovers(files);
    remove.extend(walk.unfinished);
    remove.extend(
        files
            .keys()
            .filter(|name| matches!(name, FileName::Snapshot(zxid) if !stay.contains(zxid))),
    );
    let rewrite = end_of_log(files, &walk, last_file);
    let resume_log = match (whole, walk.newest) {
        (true, Some(newest)) if newest.blank => ResumeLog::Reuse(newest.header),
        (true, Some(newest)) => ResumeLog::Follow(newest.ending),
        _ => ResumeLog::Restart { sequence: walk.next_sequence },
    };
    Ok(Recovery {
        recovered: Recovered {
            state,
            snapshot: snapshot.map(|content| (content.zxid, content.chunks.clone())),
            log,
            committed,
            findings,
        },
        condition,
        resume: Resume {
            save_state: outdated || promises != Some(state),
            rewrite,
            remove,
            last,
            log: resume_log,
            logs: walk.files,
            snapshots: stay,
        },
    })
}

const NO_PROMISES: DurableState =
    DurableState { accepted_epoch: Epoch(0), current_epoch: Epoch(0), votes: false };

/// The first start makes the first log file before the state file, so a folder without a state file
/// and without a single record is one where no start was ever finished.
fn is_empty(files: &BTreeMap<FileName, Option<Bytes>>, unread: &[Zxid]) -> bool {
    unread.is_empty()
        && files.iter().all(|(name, file)| match name {
            FileName::State | FileName::Snapshot(_) => false,
            FileName::StateNew | FileName::SnapshotNew => true,
            FileName::Log(sequence) => {
                *sequence == 0 && file.as_ref().is_some_and(|file| log::is_blank(file, 0))
            }
        })
}

fn empty(files: &BTreeMap<FileName, Option<Bytes>>, options: &RecoverOptions) -> Recovery {
    let votes = options.initialise || planted!(options.defects, LostDiskVotes);
    let state = DurableState { votes, ..NO_PROMISES };
    let findings = if votes {
        Vec::new()
    } else {
        vec![
            "empty folder: data may be lost, so this server has no vote until a leader admits it"
                .to_owned(),
        ]
    };
    Recovery {
        recovered: Recovered {
            state,
            snapshot: None,
            log: Vec::new(),
            committed: Zxid::ZERO,
            findings,
        },
        condition: Condition::Empty,
        resume: Resume {
            save_state: true,
            rewrite: Vec::new(),
            remove: files.keys().copied().collect(),
            last: Zxid::ZERO,
            log: ResumeLog::First,
            logs: Vec::new(),
            snapshots: Vec::new(),
        },
    }
}

/// The files that the last process may have written without a sync that worked: the newest and, as
/// long as that has no record, the one before it, whose seal may be as new; in a damaged folder
/// also the one with the last entry that is believed.
fn end_of_log(
    files: &BTreeMap<FileName, Option<Bytes>>,
    walk: &Walk,
    last_file: Option<u64>,
) -> Vec<(FileName, Bytes)> {
    let newest = walk.newest.iter().flat_map(|newest| {
        let sequence = newest.header.sequence;
        sequence.saturating_sub(newest.blank.into())..=sequence
    });
    let sequences: BTreeSet<u64> = last_file.into_iter().chain(newest).collect();
    let names = sequences.into_iter().map(FileName::Log);
    let written = |name: FileName| {
        let file = files.get(&name)?.as_ref()?;
        let end = length_without_trailing_zeros(file);
        (end > 0).then(|| (name, file.slice(..end)))
    };
    names.filter_map(written).collect()
}

fn leftovers(files: &BTreeMap<FileName, Option<Bytes>>) -> Vec<FileName> {
    let names = [FileName::StateNew, FileName::SnapshotNew];
    names.into_iter().filter(|name| files.contains_key(name)).collect()
}

/// The promises, if they can be read, and whether they must be written anew in any case.
fn read_state(
    files: &BTreeMap<FileName, Option<Bytes>>,
    identity: Identity,
    options: &RecoverOptions,
    findings: &mut Vec<String>,
) -> Result<(Option<DurableState>, bool), RecoverError> {
    let Some(file) = files.get(&FileName::State) else {
        findings.push("state: the file is missing".to_owned());
        return Ok((None, true));
    };
    let Some(file) = file else {
        findings.push(unreadable(FileName::State));
        return Ok((None, true));
    };
    match state::decode(file, identity.server)? {
        None => {
            findings.push("state: damaged at offset 0".to_owned());
            Ok((None, true))
        }
        Some((promises, ensemble)) if ensemble == identity.ensemble => {
            let whole = *file == state::encode(identity, promises);
            if !whole {
                findings.push("state: damaged in part, and written anew from its copy".to_owned());
            }
            Ok((Some(promises), !whole))
        }
        Some((promises, _)) if options.membership_changed => {
            findings.push("state: taken over from an ensemble of other members".to_owned());
            Ok((Some(promises), true))
        }
        Some(_) => Err(RecoverError::OtherEnsemble),
    }
}

/// The snapshots that were read.
struct Snapshots {
    good: BTreeMap<Zxid, Content>,
    bad: Vec<Zxid>,
}

fn read_snapshots(
    files: &BTreeMap<FileName, Option<Bytes>>,
    unread: &[Zxid],
    me: ServerId,
    findings: &mut Vec<String>,
) -> Result<Snapshots, RecoverError> {
    let mut snapshots = Snapshots { good: BTreeMap::new(), bad: Vec::new() };
    for (name, file) in files {
        let FileName::Snapshot(zxid) = *name else { continue };
        assert!(!unread.contains(&zxid), "a snapshot is read or it is not");
        let Some(file) = file else {
            findings.push(unreadable(*name));
            snapshots.bad.push(zxid);
            continue;
        };
        match snapshot::decode(file, zxid, me)? {
            Ok(content) => {
                snapshots.good.insert(zxid, content);
            }
            Err(offset) => {
                findings.push(format!("{name}: damaged at offset {offset}"));
                snapshots.bad.push(zxid);
            }
        }
    }
    Ok(snapshots)
}

/// Entries that follow each other.
#[derive(Clone, Debug)]
struct Chain {
    /// The last entry before them.
    base: Zxid,
    entries: Vec<Entry>,
    /// How far the log was known to be committed.
    committed: Zxid,
    /// The file that has the last of them.
    last_file: u64,
}

impl Chain {
    fn new(base: Zxid, file: u64) -> Self {
        Self { base, entries: Vec::new(), committed: Zxid::ZERO, last_file: file }
    }

    fn last(&self) -> Zxid {
        self.entries.last().map_or(self.base, |entry| entry.zxid)
    }

    fn has(&self, zxid: Zxid) -> bool {
        self.entries.binary_search_by_key(&zxid, |entry| entry.zxid).is_ok()
    }

    /// Whether the chain continues from here.
    fn contains(&self, zxid: Zxid) -> bool {
        self.base == zxid || self.has(zxid)
    }

    fn truncate(&mut self, after: Zxid) {
        let kept = self.entries.partition_point(|entry| entry.zxid <= after);
        self.entries.truncate(kept);
        // A cut before our beginning: those entries are in files that are gone, and what follows
        // continues from the cut.
        self.base = self.base.min(after);
    }

    fn apply(&mut self, contents: &log::Stretch, file: u64) {
        self.last_file = file;
        for record in &contents.records {
            match record.kind {
                Kind::Append => {
                    self.entries.push(Entry { zxid: record.zxid, bytes: record.body.clone() });
                }
                Kind::Truncate => self.truncate(record.zxid),
                Kind::Committed => self.committed = self.committed.max(record.zxid),
                Kind::Seal => unreachable!("a seal is no part of a stretch"),
            }
        }
    }
}

/// The newest log file that can be read.
#[derive(Clone, Copy)]
struct Newest {
    header: Header,
    ending: Ending,
    /// It is as it was when it was made.
    blank: bool,
}

/// What the log files amount to.
struct Walk {
    chains: Vec<Chain>,
    /// Whether the last chain reaches the end of the log.
    sound: bool,
    newest: Option<Newest>,
    /// The file that a crash kept from being finished.
    unfinished: Option<FileName>,
    next_sequence: u64,
    files: Vec<LogFile>,
    findings: Vec<String>,
}

impl Walk {
    fn hole(&mut self, finding: String) {
        self.findings.push(finding);
        self.sound = false;
    }

    /// Older files are void behind `base`; whatever is wrong with them is settled.
    fn restart(&mut self, base: Zxid, file: u64) {
        self.findings.clear();
        // A chain that was begun behind a hole may stand on the same entry, but does not have it.
        let has_it = self.chains.iter().position(|chain| chain.has(base));
        let standing = has_it.or_else(|| self.chains.iter().position(|chain| chain.base == base));
        let chain = standing.map(|index| self.chains.swap_remove(index));
        self.void(chain.as_ref());
        let mut chain = chain.unwrap_or(Chain::new(base, file));
        chain.truncate(base);
        self.chains = vec![chain];
        self.sound = true;
    }

    fn begin(&mut self, base: Zxid, file: u64) {
        self.chains.push(Chain::new(base, file));
        self.sound = true;
    }

    /// Nothing is ever replayed from the files behind this chain.
    fn void(&mut self, kept: Option<&Chain>) {
        let behind = |log: &&mut LogFile| kept.is_none_or(|kept| log.sequence > kept.last_file);
        self.files.iter_mut().filter(behind).for_each(|log| log.base = NO_BASE);
    }
}

/// A log file, as far as it could be read.
struct LogRead<'a> {
    sequence: u64,
    /// `None` if the disk does not give it.
    file: Option<&'a Bytes>,
    /// `None` if there is no telling from it.
    readable: Option<(Header, Contents)>,
}

impl LogRead<'_> {
    /// What is wrong with a file that is not readable.
    fn finding(&self) -> String {
        let name = FileName::Log(self.sequence);
        if self.file.is_some() { format!("{name}: damaged at offset 0") } else { unreadable(name) }
    }
}

fn unreadable(name: FileName) -> String {
    format!("{name}: the disk does not give it")
}

fn walk_logs(
    files: &BTreeMap<FileName, Option<Bytes>>,
    me: ServerId,
    defects: Defects,
) -> Result<Walk, RecoverError> {
    let mut logs = Vec::new();
    for (name, file) in files {
        let FileName::Log(sequence) = *name else { continue };
        let file = file.as_ref();
        let header = file.map(|file| Header::decode(file, sequence, me)).transpose()?.flatten();
        let readable = file.zip(header).map(|(file, header)| (header, log::read(file, header)));
        logs.push(LogRead { sequence, file, readable });
    }
    let mut walk = Walk {
        chains: Vec::new(),
        sound: false,
        newest: None,
        unfinished: None,
        next_sequence: logs.last().map_or(0, |newest| newest.sequence + 1),
        files: Vec::new(),
        findings: Vec::new(),
    };
    if is_unfinished(&logs) {
        let unfinished = logs.pop().expect("it was just looked at");
        walk.unfinished = Some(FileName::Log(unfinished.sequence));
        walk.next_sequence = unfinished.sequence;
    }
    let mut before: Option<&LogRead<'_>> = None;
    for log in &logs {
        add_file(&mut walk, before, log, defects);
        before = Some(log);
    }
    end_walk(&mut walk, before);
    Ok(walk)
}

/// Whether the newest file was being made at the crash. Its first record is written after the seal
/// of the file before it is synced: without that seal it can have none.
fn is_unfinished(logs: &[LogRead<'_>]) -> bool {
    let [.., before, newest] = logs else { return false };
    let sealed = before.readable.as_ref().is_some_and(|(_, contents)| contents.end == End::Sealed);
    let adjacent = before.sequence + 1 == newest.sequence;
    adjacent
        && !sealed
        && match &newest.readable {
            // What the disk does not give may have been anything.
            None => newest.file.is_some_and(|file| log::is_blank(file, newest.sequence)),
            Some((header, contents)) => !header.restart && contents.is_empty(),
        }
}

fn add_file(walk: &mut Walk, before: Option<&LogRead<'_>>, log: &LogRead<'_>, defects: Defects) {
    let name = FileName::Log(log.sequence);
    let (Some(file), Some((header, contents))) = (log.file, &log.readable) else {
        walk.files.push(LogFile { sequence: log.sequence, base: NO_BASE });
        walk.hole(log.finding());
        return;
    };
    match before {
        _ if header.restart => walk.restart(header.base, log.sequence),
        None => walk.begin(header.base, log.sequence),
        Some(before) => match why_not_continued(walk, before, header) {
            None => {}
            Some(finding) => {
                walk.hole(finding);
                walk.begin(header.base, log.sequence);
            }
        },
    }
    walk.files.push(LogFile { sequence: log.sequence, base: header.base });
    for (index, stretch) in contents.stretches.iter().enumerate() {
        if index > 0 && !planted!(defects, DamagedMiddleSkipped) {
            let hole = contents.stretches[index - 1].end_offset;
            walk.hole(format!("{name}: damaged at offset {hole}"));
            let first = stretch.records.first();
            walk.begin(first.map_or(Zxid::ZERO, |record| record.previous), log.sequence);
        }
        walk.chains.last_mut().expect("begun above").apply(stretch, log.sequence);
    }
    let end_offset = contents.end_offset();
    let length = file.len() as u64;
    if contents.end != End::Sealed && length < header.reserved {
        walk.hole(format!(
            "{name}: {length} bytes long, but it was made {} bytes long",
            header.reserved
        ));
    }
    let rest = &file[usize::try_from(end_offset).unwrap_or(0).min(file.len())..];
    let torn_bytes = length_without_trailing_zeros(rest) as u64;
    walk.newest = Some(Newest {
        header: *header,
        ending: Ending { sequence: log.sequence, offset: end_offset, torn_bytes },
        blank: end_offset == HEADER_BYTES && torn_bytes == 0 && log::is_of_this_version(file),
    });
}

/// Why a file does not continue the one before it, in a sentence; `None` if it does.
fn why_not_continued(walk: &Walk, before: &LogRead<'_>, header: &Header) -> Option<String> {
    let name = FileName::Log(before.sequence);
    let Some((_, contents)) = &before.readable else { return Some(before.finding()) };
    if before.sequence + 1 != header.sequence {
        return Some(format!("{}: the file is missing", FileName::Log(before.sequence + 1)));
    }
    if contents.end != End::Sealed {
        return Some(format!("{name}: damaged at offset {}", contents.end_offset()));
    }
    let last = walk.chains.last().map(Chain::last);
    if last != Some(header.base) {
        let name = FileName::Log(header.sequence);
        return Some(format!("{name}: does not continue the file before it"));
    }
    None
}

fn end_walk(walk: &mut Walk, newest: Option<&LogRead<'_>>) {
    let Some(newest) = newest else {
        walk.hole(format!("{}: the file is missing", FileName::Log(walk.next_sequence)));
        return;
    };
    let name = FileName::Log(newest.sequence);
    let Some((_, contents)) = &newest.readable else { return };
    match contents.end {
        End::Clean => {}
        End::Torn => walk.findings.push(format!(
            "{name}: torn by a crash at offset {}, where it is cut",
            contents.end_offset()
        )),
        End::Damaged => walk.hole(format!("{name}: damaged at offset {}", contents.end_offset())),
        End::Sealed => {
            walk.hole(format!("{}: the file is missing", FileName::Log(newest.sequence + 1)));
        }
    }
}

/// On what the last chain stands: `Some(None)` is the beginning of all things. `None`: on nothing,
/// or a newer snapshot proves that the chain lacks something.
fn stand(chain: &Chain, snapshots: &Snapshots) -> Option<Option<Zxid>> {
    let newest = snapshots.good.keys().rev().find(|zxid| chain.contains(**zxid)).copied();
    if newest.is_none() && chain.base != Zxid::ZERO {
        return None;
    }
    // A snapshot of our own is renamed to its name after the entry it names was synced. A leader's
    // is there a moment before the log that continues it, so it may be a crash's leftover.
    let proves_loss = |zxid: &Zxid| Some(*zxid) > newest && !chain.contains(*zxid);
    let own = snapshots.good.values().filter(|content| !content.replaces_log);
    let mut proofs = own.map(|content| &content.zxid).chain(&snapshots.bad);
    if proofs.any(proves_loss) { None } else { Some(newest) }
}

/// The best that is left of a damaged folder: the newest snapshot, and the chain it stands on.
fn salvage(chains: &[Chain], snapshots: &Snapshots) -> (Option<Zxid>, Option<Chain>) {
    let base = snapshots.good.keys().next_back().copied();
    let foot = base.unwrap_or(Zxid::ZERO);
    let chain = match base {
        Some(zxid) => chains.iter().rev().find(|chain| chain.contains(zxid)),
        None => chains.iter().find(|chain| chain.base == foot),
    };
    (base, chain.cloned())
}
