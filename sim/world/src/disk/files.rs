//! What is on a disk, what is only in the page cache, and what a crash of the machine makes of the
//! difference.
//!
//! Owns: contents, the folder, what a sync has made durable, crashes, damage. Leaves: time and
//! faults to the module above.
//! Holds: what a sync has covered survives every crash, unless it is damaged on purpose; what it
//! has not covered stays in the page cache, where the next process reads it, until the machine
//! crashes or loses power: then it is kept, lost or torn, sector by sector, and a rename or removal
//! that was not synced happened or did not.
//!
//! A file keeps its newest content whole. What it would be without the writes that no sync has
//! covered stands in its *layers*: for every sector touched since, what it held before. A sync
//! freezes the newest layer when it begins and drops it when it is done; writes in between open
//! another one.

use crate::stream::{Stream, scale};
use bytes::Bytes;
use mailstorm_shared::zeros::{is_zeros, length_without_trailing_zeros};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Deref;
use std::sync::Arc;

/// What a disk writes whole or tears.
pub(crate) const SECTOR_BYTES: usize = 512;

/// How many sectors before the end of what was written are spared from damage, besides the newest
/// batch.
const TAIL_SECTORS: usize = 8;

/// The longest file: a bound on what damaged numbers can ask for.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// What a crash does to writes that no sync has covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The disk's stream decides, for the whole crash and for every sector.
    Drawn,
    /// Every such sector is torn.
    Torn,
}

/// What a crash has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    /// Sectors that fell back to what they held before, where that was something else.
    pub(crate) lost: usize,
    /// Sectors that are half old and half new, and so neither.
    pub(crate) torn: usize,
    /// Names that came back or vanished.
    pub(crate) names: usize,
}

/// The files of one disk.
#[derive(Debug)]
pub(crate) struct Files {
    bodies: BTreeMap<u32, Body>,
    names: BTreeMap<String, u32>,
    durable_names: BTreeMap<String, u32>,
    /// What was done to the folder since it was synced, numbered.
    journal: Vec<(u64, Change)>,
    next_body: u32,
    /// The last number given to a layer, or to a change of the folder.
    numbered: u64,
    /// A sync has lied since the machine was last started.
    lied: bool,
    stream: Stream,
}

/// A change of the folder.
#[derive(Clone, Debug)]
enum Change {
    Created { name: String, body: u32 },
    Renamed { from: String, to: String, body: u32 },
    Removed { name: String, body: u32 },
}

/// What a file holds, shared with whoever has read it and not let go of it yet: a restart reads
/// whole logs, of which most is zeros, and to copy them costs more than all that is made of them.
#[derive(Clone, Debug, Default)]
struct Content(Arc<Vec<u8>>);

impl Content {
    fn share(&self) -> Bytes {
        Bytes::from_owner(self.clone())
    }

    /// To change it; copied first where a reader still holds it.
    fn change(&mut self) -> &mut Vec<u8> {
        Arc::make_mut(&mut self.0)
    }
}

impl AsRef<[u8]> for Content {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Deref for Content {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

#[derive(Debug, Default)]
struct Body {
    content: Content,
    /// Oldest first; the last one is open.
    layers: Vec<Layer>,
    /// Sectors that a sync was said to cover and did not.
    doomed: BTreeMap<usize, Held>,
    /// What the last sync covered: the newest batch.
    newest: BTreeSet<usize>,
    /// Sectors that cannot be read until they are written again.
    unreadable: BTreeSet<usize>,
}

#[derive(Debug)]
struct Layer {
    number: u64,
    /// What the sectors held before.
    before: BTreeMap<usize, Held>,
    length_before: usize,
}

/// What a sector held, without the zeros that it ended with: most sectors were never written
/// before, and so cost nothing.
#[derive(Debug)]
struct Held {
    bytes: Vec<u8>,
    /// With the zeros; shorter than a sector at the end of the file.
    length: usize,
}

impl Held {
    fn of(sector: &[u8]) -> Self {
        let bytes = sector[..length_without_trailing_zeros(sector)].to_vec();
        Self { bytes, length: sector.len() }
    }

    fn whole(&self) -> Vec<u8> {
        let mut whole = self.bytes.clone();
        whole.resize(self.length, 0);
        whole
    }
}

/// A sync in progress.
#[derive(Clone, Debug)]
pub(crate) enum SyncMark {
    File { body: u32, layer: u64 },
    Folder { up_to: u64 },
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

fn sectors(from: usize, to: usize) -> std::ops::Range<usize> {
    from / SECTOR_BYTES..to.div_ceil(SECTOR_BYTES)
}

impl Body {
    /// What a sector holds now; shorter at the end of the file.
    fn sector(&self, sector: usize) -> &[u8] {
        let start = (sector * SECTOR_BYTES).min(self.content.len());
        &self.content[start..(start + SECTOR_BYTES).min(self.content.len())]
    }

    fn replace_sector(&mut self, sector: usize, bytes: &[u8]) {
        let start = sector * SECTOR_BYTES;
        let content = self.content.change();
        if content.len() < start + bytes.len() {
            content.resize(start + bytes.len(), 0);
        }
        content[start..start + bytes.len()].copy_from_slice(bytes);
        let end = (start + SECTOR_BYTES).min(content.len());
        content[start + bytes.len()..end].fill(0);
    }

    /// Notes what the sectors from byte `from` to byte `to` held, before they change.
    fn remember(&mut self, from: usize, to: usize, numbered: &mut u64) {
        if !self.unreadable.is_empty() {
            sectors(from, to).for_each(|sector| _ = self.unreadable.remove(&sector));
        }
        if self.layers.is_empty() {
            *numbered += 1;
            let length_before = self.content.len();
            self.layers.push(Layer { number: *numbered, before: BTreeMap::new(), length_before });
        }
        for sector in sectors(from, to) {
            let open = self.layers.last().expect("a layer is open: pushed above");
            if !open.before.contains_key(&sector) {
                let before = Held::of(self.sector(sector));
                let open = self.layers.last_mut().expect("a layer is open: pushed above");
                open.before.insert(sector, before);
            }
        }
    }

    /// What it would be without everything that no sync has covered.
    fn durable(&self) -> Content {
        if self.layers.is_empty() && self.doomed.is_empty() {
            return self.content.clone();
        }
        let mut durable = self.content.clone();
        let content = durable.change();
        let layers = self.layers.iter().rev().flat_map(|layer| &layer.before);
        for (sector, before) in layers.chain(&self.doomed) {
            let start = sector * SECTOR_BYTES;
            content.resize(content.len().max(start + SECTOR_BYTES), 0);
            content[start..start + SECTOR_BYTES].fill(0);
            content[start..start + before.bytes.len()].copy_from_slice(&before.bytes);
        }
        let length = self.layers.first().map_or(self.content.len(), |layer| layer.length_before);
        content.resize(length, 0);
        durable
    }

    /// Settles everything no sync has covered, as a crash does.
    fn crash(&mut self, mode: Mode, stream: &mut Stream, losses: &mut Losses) {
        let mut versions: BTreeMap<usize, Vec<Held>> = BTreeMap::new();
        for (sector, before) in std::mem::take(&mut self.doomed) {
            versions.entry(sector).or_default().push(before);
        }
        let length_before = self.layers.first().map(|layer| layer.length_before);
        for layer in std::mem::take(&mut self.layers) {
            for (sector, before) in layer.before {
                versions.entry(sector).or_default().push(before);
            }
        }
        let new_length = self.content.len();
        let kept_up_to = stream.below(versions.len() as u64 + 1) as usize;
        for (place, (sector, older)) in versions.into_iter().enumerate() {
            let fate = match mode {
                Mode::KeepAll => SectorFate::Kept,
                Mode::LoseAll => SectorFate::Lost,
                Mode::KeepPrefix if place < kept_up_to => SectorFate::Kept,
                Mode::KeepPrefix if place == kept_up_to => SectorFate::Torn,
                Mode::KeepPrefix => SectorFate::Lost,
                Mode::TearAll => SectorFate::Torn,
                Mode::EachItsOwn => match stream.below(3) {
                    0 => SectorFate::Kept,
                    1 => SectorFate::Lost,
                    _ => SectorFate::Torn,
                },
            };
            let old = stream.pick(&older).expect("a sector stands here for what it held").whole();
            match fate {
                SectorFate::Kept => {}
                SectorFate::Lost => {
                    losses.lost += usize::from(self.sector(sector) != old);
                    self.replace_sector(sector, &old);
                }
                SectorFate::Torn => {
                    if let Some(torn) = torn(&old, self.sector(sector), stream) {
                        losses.torn += 1;
                        self.replace_sector(sector, &torn);
                    }
                }
            }
        }
        if let Some(length_before) = length_before {
            let length = match mode {
                Mode::KeepAll | Mode::TearAll => new_length,
                Mode::LoseAll => length_before,
                Mode::KeepPrefix | Mode::EachItsOwn => {
                    *stream.pick(&[length_before, new_length]).expect("there are two")
                }
            };
            self.content.change().resize(length, 0);
        }
    }

    /// The first sector that damage may not reach if the file can end torn: the newest batch is
    /// spared, and what stands at the very end (after a log was cut, that is no part of the newest
    /// batch).
    fn tail(&self) -> usize {
        let written = length_without_trailing_zeros(&self.content).saturating_sub(1) / SECTOR_BYTES;
        let newest = self.newest.first().copied().unwrap_or(0);
        newest.min(written.saturating_sub(TAIL_SECTORS))
    }
}

/// A sector that was half written: new up to somewhere among the bytes that change, and old from
/// there. None if there is no such place: fewer than two bytes change.
fn torn(old: &[u8], new: &[u8], stream: &mut Stream) -> Option<Vec<u8>> {
    let mut old = old.to_vec();
    old.resize(old.len().max(new.len()), 0);
    let differs = |place: &usize| new.get(*place).is_some_and(|byte| *byte != old[*place]);
    // Drawn for every sector, so that contents move no later draw.
    let draw = stream.number();
    let first = (0..new.len()).find(differs)?;
    let last = (0..new.len()).rfind(differs)?;
    if first == last {
        return None;
    }
    let cut = first + 1 + scale(draw, (last - first) as u64) as usize;
    old[..cut].copy_from_slice(&new[..cut]);
    Some(old)
}

/// What a disk holds without its page cache: what would be left if the power went now and took all
/// that no sync has covered.
pub struct Platters<'a>(&'a Files);

impl Platters<'_> {
    /// The names of all files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.durable_names.keys().map(String::as_str)
    }

    /// A file's whole content; `None` if there is no such file, or some of it cannot be read.
    pub fn read(&self, name: &str) -> Option<Bytes> {
        let body = &self.0.bodies[self.0.durable_names.get(name)?];
        body.unreadable.is_empty().then(|| body.durable().share())
    }
}

/// How a crash deals with everything that was not synced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// The machine had written it all.
    KeepAll,
    LoseAll,
    /// Written in order up to some sector, which is torn.
    KeepPrefix,
    EachItsOwn,
    TearAll,
}

enum SectorFate {
    Kept,
    Lost,
    Torn,
}

impl Files {
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            bodies: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            journal: Vec::new(),
            next_body: 0,
            numbered: 0,
            lied: false,
            stream,
        }
    }

    /// A fingerprint of all that was drawn for crashes and damage.
    pub(crate) fn drawn(&self) -> u64 {
        self.stream.drawn()
    }

    pub(crate) fn list(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }

    pub(crate) fn length(&self, name: &str) -> Option<usize> {
        self.names.get(name).map(|body| self.bodies[body].content.len())
    }

    pub(crate) fn read(&self, name: &str) -> io::Result<Bytes> {
        let body = self.names.get(name).ok_or_else(missing)?;
        let body = &self.bodies[body];
        if !body.unreadable.is_empty() {
            return Err(super::io_error());
        }
        Ok(body.content.share())
    }

    /// Whether this write needs room that the disk has not given yet.
    pub(crate) fn grows(&self, name: &str, end: u64) -> bool {
        self.length(name).is_none_or(|length| end > length as u64)
    }

    pub(crate) fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset.saturating_add(bytes.len() as u64);
        if end > FILE_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let (offset, end) = (offset as usize, end as usize);
        let id = self.body(name);
        let body = self.bodies.get_mut(&id).expect("every name has its body");
        body.remember(offset.min(body.content.len()), end, &mut self.numbered);
        let content = body.content.change();
        if content.len() < end {
            content.resize(end, 0);
        }
        content[offset..end].copy_from_slice(bytes);
        Ok(())
    }

    pub(crate) fn truncate(&mut self, name: &str, bytes: u64) -> io::Result<()> {
        if bytes > FILE_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let id = self.body(name);
        let body = self.bodies.get_mut(&id).expect("every name has its body");
        // A longer file is all zeros there, whether its length survives or not: nothing to
        // remember.
        let old = body.content.len();
        body.remember((bytes as usize).min(old), old, &mut self.numbered);
        body.content.change().resize(bytes as usize, 0);
        Ok(())
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let body = self.names.remove(from).ok_or_else(missing)?;
        self.names.insert(to.to_owned(), body);
        self.note(Change::Renamed { from: from.to_owned(), to: to.to_owned(), body });
        Ok(())
    }

    pub(crate) fn remove(&mut self, name: &str) {
        if let Some(body) = self.names.remove(name) {
            self.note(Change::Removed { name: name.to_owned(), body });
        }
    }

    /// What is on the disk itself; `None` if a sync has lied about it, which is nobody's fault but
    /// the disk's.
    pub(crate) fn platters(&self) -> Option<Platters<'_>> {
        (!self.lied).then_some(Platters(self))
    }

    /// A sync said that it is done and was not.
    pub(crate) fn note_lie(&mut self) {
        self.lied = true;
    }

    /// Whether the loss of power would change nothing at all: what the cache holds is what the disk
    /// holds.
    pub(crate) fn is_settled(&self) -> bool {
        let clean = |body: &Body| body.layers.is_empty() && body.doomed.is_empty();
        self.journal.is_empty() && self.bodies.values().all(clean)
    }

    /// Whether anything was written that no sync has covered.
    pub(crate) fn is_endangered(&self) -> bool {
        self.bodies.values().any(|body| body.layers.iter().any(|layer| !layer.before.is_empty()))
    }

    /// Freezes what a sync of this file covers.
    pub(crate) fn sync_begins(&mut self, name: &str) -> io::Result<SyncMark> {
        let id = *self.names.get(name).ok_or_else(missing)?;
        let body = self.bodies.get_mut(&id).expect("every name has its body");
        let length_before = body.content.len();
        let is_dirty = body
            .layers
            .last()
            .is_some_and(|open| !open.before.is_empty() || open.length_before != length_before);
        if is_dirty {
            self.numbered += 1;
            let (number, before) = (self.numbered, BTreeMap::new());
            body.layers.push(Layer { number, before, length_before });
        }
        // The open layer is for what is written from now on.
        let frozen = body.layers.len().saturating_sub(1);
        let layer = body.layers[..frozen].last().map_or(0, |layer| layer.number);
        Ok(SyncMark::File { body: id, layer })
    }

    /// Freezes what a sync of the folder covers.
    pub(crate) fn sync_folder_begins(&self) -> SyncMark {
        SyncMark::Folder { up_to: self.numbered }
    }

    /// Makes durable what the sync covers.
    pub(crate) fn sync_done(&mut self, mark: &SyncMark) {
        match mark {
            SyncMark::Folder { up_to } => {
                let covered = self.journal.partition_point(|(number, _)| number <= up_to);
                for (_, change) in self.journal.drain(..covered).collect::<Vec<_>>() {
                    self.apply(change);
                }
                self.drop_unnamed();
            }
            SyncMark::File { body: id, layer } => {
                self.name_durably(*id);
                let Some(body) = self.bodies.get_mut(id) else { return };
                let covered = body.layers.partition_point(|l| l.number <= *layer);
                let done: Vec<Layer> = body.layers.drain(..covered).collect();
                let covered: BTreeSet<usize> =
                    done.iter().flat_map(|l| l.before.keys().copied()).collect();
                body.doomed.retain(|sector, _| !covered.contains(sector));
                if !covered.is_empty() {
                    body.newest = covered;
                }
            }
        }
    }

    /// A file is durable under the name it has now, and what the folder still has to do says so.
    fn name_durably(&mut self, id: u32) {
        let found = self.names.iter().find(|(_, body)| **body == id);
        let Some(name) = found.map(|(name, _)| name.clone()) else { return };
        for (number, change) in std::mem::take(&mut self.journal) {
            match change {
                Change::Created { body, .. } if body == id => {}
                Change::Renamed { from, body, .. } if body == id => {
                    if self.durable_names.get(&from) == Some(&id) {
                        self.durable_names.remove(&from);
                    }
                }
                // What had the name before it no longer has a claim to it.
                Change::Created { name: older, .. } | Change::Removed { name: older, .. }
                    if older == name => {}
                Change::Renamed { from, to, body } if to == name => {
                    self.journal.push((number, Change::Removed { name: from, body }));
                }
                other => self.journal.push((number, other)),
            }
        }
        self.durable_names.insert(name, id);
    }

    /// Says that the sync is over, though what it covers is as endangered as before (and a later
    /// sync will not see it: the cache holds it to be clean). Returns whether anything was to be
    /// synced.
    pub(crate) fn sync_failed(&mut self, mark: &SyncMark) -> bool {
        let (id, layer) = match mark {
            SyncMark::File { body, layer } => (body, layer),
            // The folder's journal stays as it is: what it says is as endangered as before.
            SyncMark::Folder { up_to } => {
                return self.journal.iter().any(|(number, _)| number <= up_to);
            }
        };
        let Some(body) = self.bodies.get_mut(id) else { return false };
        let covered = body.layers.partition_point(|l| l.number <= *layer);
        let mut any = false;
        for layer in body.layers.drain(..covered).collect::<Vec<_>>() {
            for (sector, before) in layer.before {
                any = true;
                body.doomed.entry(sector).or_insert(before);
            }
        }
        any
    }

    /// The machine crashes or its power is gone, and the page cache with it.
    pub(crate) fn crash(&mut self, fate: Fate) -> Losses {
        self.lied = false;
        let mut losses = Losses::default();
        let mode = match (fate, self.stream.below(4)) {
            (Fate::Torn, _) => Mode::TearAll,
            (Fate::Drawn, 0) => Mode::KeepAll,
            (Fate::Drawn, 1) => Mode::LoseAll,
            (Fate::Drawn, 2) => Mode::KeepPrefix,
            (Fate::Drawn, _) => Mode::EachItsOwn,
        };
        let journal = std::mem::take(&mut self.journal);
        let kept_up_to = self.stream.below(journal.len() as u64 + 1) as usize;
        for (place, (_, change)) in journal.into_iter().enumerate() {
            let kept = match mode {
                Mode::KeepAll | Mode::TearAll => true,
                Mode::LoseAll => false,
                Mode::KeepPrefix => place < kept_up_to,
                Mode::EachItsOwn => self.stream.chance(500_000),
            };
            if kept {
                self.apply(change);
            } else {
                losses.names += 1;
            }
        }
        self.names = self.durable_names.clone();
        self.drop_unnamed();
        for body in self.bodies.values_mut() {
            body.crash(mode, &mut self.stream, &mut losses);
        }
        losses
    }

    /// Everything is gone: the disk was replaced. Returns whether there was anything.
    pub(crate) fn lose(&mut self) -> bool {
        let any = !self.durable_names.is_empty();
        self.names.clear();
        self.durable_names.clear();
        self.journal.clear();
        self.bodies.clear();
        any
    }

    /// Changes one bit in a sector that has been durable for some time. To be used between a crash
    /// and the next start. Returns whether there was such a sector.
    pub(crate) fn rot(&mut self, ends_torn: &dyn Fn(&str) -> bool) -> bool {
        let Some((id, sector)) = self.old_sector(ends_torn) else { return false };
        let body = self.bodies.get_mut(&id).expect("every name has its body");
        let mut bytes = body.sector(sector).to_vec();
        let bit = self.stream.below(bytes.len() as u64 * 8) as usize;
        bytes[bit / 8] ^= 1 << (bit % 8);
        body.replace_sector(sector, &bytes);
        true
    }

    /// Replaces a sector that has been durable for some time by another one's content. To be used
    /// between a crash and the next start. Returns whether that changed anything.
    pub(crate) fn misdirect(&mut self, ends_torn: &dyn Fn(&str) -> bool) -> bool {
        let Some((id, sector)) = self.old_sector(ends_torn) else { return false };
        let Some((from, stray)) = self.old_sector(ends_torn) else { return false };
        let stray = self.bodies[&from].sector(stray).to_vec();
        let body = self.bodies.get_mut(&id).expect("every name has its body");
        let mut bytes = body.sector(sector).to_vec();
        let length = bytes.len().min(stray.len());
        if bytes[..length] == stray[..length] {
            return false;
        }
        bytes[..length].copy_from_slice(&stray[..length]);
        body.replace_sector(sector, &bytes);
        true
    }

    /// Lets a sector that has been durable for some time fail to be read. To be used between a
    /// crash and the next start. Returns whether there was one that could be read so far.
    pub(crate) fn make_unreadable(&mut self) -> bool {
        // An error is no torn write, wherever it is.
        let Some((id, sector)) = self.old_sector(&|_| false) else { return false };
        let body = self.bodies.get_mut(&id).expect("every name has its body");
        body.unreadable.insert(sector)
    }

    /// Some sector with a content, outside the newest batch of its file.
    ///
    /// Where a file can end torn, its tail is spared as well. A record there that is damaged looks
    /// like one that a crash cut off, so that a correct server would drop it, though it may have
    /// been acknowledged.
    fn old_sector(&mut self, ends_torn: &dyn Fn(&str) -> bool) -> Option<(u32, usize)> {
        let mut candidates = Vec::new();
        for (name, id) in &self.durable_names {
            let body = &self.bodies[id];
            let all = body.content.len().div_ceil(SECTOR_BYTES);
            let end = if ends_torn(name) { all.min(body.tail()) } else { all };
            let filled = |s: &usize| !is_zeros(body.sector(*s));
            candidates.extend((0..end).filter(filled).map(|s| (*id, s)));
        }
        self.stream.pick(&candidates).copied()
    }

    /// The body of this name, made if need be.
    fn body(&mut self, name: &str) -> u32 {
        if let Some(body) = self.names.get(name) {
            return *body;
        }
        self.next_body += 1;
        let body = self.next_body;
        self.bodies.insert(body, Body::default());
        self.names.insert(name.to_owned(), body);
        self.note(Change::Created { name: name.to_owned(), body });
        body
    }

    /// Notes a change of the folder.
    fn note(&mut self, change: Change) {
        self.numbered += 1;
        self.journal.push((self.numbered, change));
    }

    /// Carries out a change on what is durable. A name that leads to another file by now is left
    /// alone.
    fn apply(&mut self, change: Change) {
        let names = &mut self.durable_names;
        match change {
            Change::Created { name, body } => _ = names.insert(name, body),
            Change::Renamed { from, to, body } => {
                if names.get(&from) == Some(&body) {
                    names.remove(&from);
                }
                names.insert(to, body);
            }
            Change::Removed { name, body } => {
                if names.get(&name) == Some(&body) {
                    names.remove(&name);
                }
            }
        }
    }

    /// Forgets the bodies that no name can lead to again.
    fn drop_unnamed(&mut self) {
        let mut named: BTreeSet<u32> =
            self.names.values().chain(self.durable_names.values()).copied().collect();
        for (_, change) in &self.journal {
            if let Change::Created { body, .. } | Change::Renamed { body, .. } = change {
                named.insert(*body);
            }
        }
        self.bodies.retain(|body, _| named.contains(body));
    }
}

#[cfg(test)]
mod tests;
