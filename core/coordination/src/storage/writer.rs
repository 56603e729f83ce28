//! Which file operations carry out a disk command, so that a crash between any two of them does no
//! harm.
//!
//! Owns: the order of writes, syncs and renames, and which files are needed. Leaves: doing them,
//! and when to sync, to the host. Holds: when the operations up to a [`Writer::commit`] are done,
//! everything commanded before it is durable (a snapshot at its end, and as a whole); the order on
//! disk is the order of the commands. Our own snapshots go on a lane of their own
//! ([`Writer::aside`]), since no acknowledgement waits for them: neither for their pages nor for
//! the removal of what they replace. Three rules keep a crash harmless there, too:
//! 1. What a command on that lane asks for is begun when all that was commanded before it is
//!    durable: a snapshot may contain entries that are then in the log.
//! 2. A snapshot and its name are durable before the first file is removed that it replaces.
//! 3. A leader's snapshot, on the log's lane, begins when the other lane is idle: both write one
//!    file.

use super::log::{self, ALIGNMENT, HEADER_BYTES, Header, Place, RECORD_BYTES, record_bytes};
use super::recovery::{LogFile, Recovery, ResumeLog};
use super::{FileName, Identity, snapshot, state};
use crate::io::{DiskCommand, DurableState};
use bytes::{Bytes, BytesMut};
use mailstorm_shared::Zxid;
use mailstorm_shared::machine::FileOp;
use mailstorm_wire::txn::Entry;
use std::collections::VecDeque;
use std::sync::Arc;

/// How the files are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageOptions {
    /// How long a log file is made, and so when the next one begins. Longer: fewer files. Shorter:
    /// less is read at a start.
    pub log_file_bytes: u64,
    /// How many snapshots are kept, with the log that continues the oldest of them.
    pub snapshots_kept: usize,
    /// How much of our own snapshot is written between two syncs. All of it in one sync would make
    /// the disk's queue so long that the log's next sync waits in it.
    pub snapshot_sync_bytes: u64,
}

impl Default for StorageOptions {
    fn default() -> Self {
        Self { log_file_bytes: 256 << 10, snapshots_kept: 3, snapshot_sync_bytes: 1 << 20 }
    }
}

/// Writes one server's folder.
#[derive(Debug)]
pub struct Writer {
    identity: Identity,
    options: StorageOptions,
    /// The file being written.
    log: Arc<str>,
    sequence: u64,
    reserved: u64,
    /// Up to where the file is synced; the buffer goes there.
    synced: u64,
    buffer: BytesMut,
    last: Zxid,
    /// How far the log is noted to be committed.
    noted: Zxid,
    /// The history became longer, or another one, since the last commit.
    appended: bool,
    /// Oldest first; the last is the one being written.
    logs: VecDeque<LogFile>,
    /// Oldest first.
    snapshots: Vec<Zxid>,
    snapshot: Option<OpenSnapshot>,
    names: Names,
}

/// The snapshot being written.
#[derive(Clone, Copy, Debug)]
struct OpenSnapshot {
    zxid: Zxid,
    chunks: u64,
    offset: u64,
    /// It is our own.
    is_aside: bool,
    synced: u64,
}

/// Names that never change.
#[derive(Debug)]
struct Names {
    state: Arc<str>,
    state_new: Arc<str>,
    snapshot_new: Arc<str>,
}

fn name(file: FileName) -> Arc<str> {
    file.to_string().into()
}

impl Writer {
    /// The writer that goes on where a recovery ended. The operations it gives must be done before
    /// the core is told of the recovery: they make repairs, and "no vote" durable before the
    /// repairs.
    pub fn open(
        identity: Identity,
        options: StorageOptions,
        recovery: &Recovery,
        ops: &mut Vec<FileOp>,
    ) -> Self {
        let resume = &recovery.resume;
        let mut writer = Self {
            identity,
            options,
            log: "".into(),
            sequence: 0,
            reserved: 0,
            synced: 0,
            buffer: BytesMut::new(),
            last: resume.last,
            noted: recovery.recovered.committed,
            appended: false,
            logs: resume.logs.iter().copied().collect(),
            snapshots: resume.snapshots.clone(),
            snapshot: None,
            names: Names {
                state: name(FileName::State),
                state_new: name(FileName::StateNew),
                snapshot_new: name(FileName::SnapshotNew),
            },
        };
        let state = recovery.recovered.state;
        // On an empty folder the log comes first (see `recovery::is_empty`), otherwise the
        // promises.
        let first_start = resume.log == ResumeLog::First;
        if resume.save_state && !first_start {
            writer.save_state(state, ops);
        }
        for (file, bytes) in &resume.rewrite {
            let (name, bytes) = (name(*file), bytes.clone());
            ops.push(FileOp::Write { name: name.clone(), offset: 0, bytes });
            ops.push(FileOp::Sync { name });
        }
        ops.extend(resume.remove.iter().map(|file| FileOp::Remove { name: name(*file) }));
        if !first_start || !resume.remove.is_empty() {
            // The names that recovery believed may be no more than cached: a promise among them.
            ops.push(FileOp::SyncFolder);
        }
        match resume.log {
            ResumeLog::Reuse(header) => {
                writer.log = name(FileName::Log(header.sequence));
                writer.sequence = header.sequence;
                writer.reserved = header.reserved;
                writer.synced = HEADER_BYTES;
            }
            ResumeLog::Follow(ending) => {
                writer.log = name(FileName::Log(ending.sequence));
                writer.sequence = ending.sequence;
                writer.synced = ending.offset;
                writer.wipe(ending.torn_bytes, ops);
                writer.roll(0, ops);
            }
            ResumeLog::Restart { sequence } => writer.restart_log(sequence, ops),
            ResumeLog::First => writer.make_log(0, false, 0, ops),
        }
        if first_start {
            writer.save_state(state, ops);
        }
        writer.invariants();
        writer
    }

    /// Asserts what always holds between two commands.
    fn invariants(&self) {
        assert!(self.synced >= HEADER_BYTES, "records come behind the header");
        assert!(self.end().is_multiple_of(ALIGNMENT as u64), "records stand where recovery looks");
        assert!(
            self.end() + RECORD_BYTES <= self.reserved,
            "a log file always has room for its seal"
        );
        let newest = self.logs.back();
        assert!(
            newest.is_some_and(|log| log.sequence == self.sequence),
            "the file that is written is the newest"
        );
        assert!(
            newest.is_some_and(|log| log.base <= self.last || self.end() > HEADER_BYTES),
            "the log goes on from the base of its newest file"
        );
        assert!(
            self.logs.front().map(|log| log.sequence) <= newest.map(|log| log.sequence),
            "log files are kept in order"
        );
        assert!(self.snapshots.first() <= self.snapshots.last(), "snapshots are kept in order");
        if let Some(open) = self.snapshot {
            assert!(open.synced <= open.offset, "only what was written is synced");
            assert!(open.is_aside || open.synced == 0, "a leader's snapshot is synced as a whole");
        }
    }

    /// Adds the operations that carry out a command, syncs as far as the order on disk needs them.
    pub fn command(&mut self, command: &DiskCommand, ops: &mut Vec<FileOp>) {
        match command {
            DiskCommand::Append(entry) => self.append(entry, ops),
            DiskCommand::Truncate { after } => self.truncate(*after, ops),
            DiskCommand::SaveState(state) => {
                self.flush(ops);
                self.save_state(*state, ops);
            }
            DiskCommand::SnapshotBegin { .. }
            | DiskCommand::SnapshotChunk { .. }
            | DiskCommand::SnapshotEnd { .. } => {
                let mut behind = Vec::new();
                self.snapshot(command, false, ops, &mut behind);
                ops.append(&mut behind);
            }
        }
        self.invariants();
    }

    /// Adds the operations that carry out a command of our own snapshot: to `ops` what belongs to
    /// the log, to `aside` what may be done beside that, once all of `ops` is done and synced.
    pub fn aside(&mut self, command: &DiskCommand, ops: &mut Vec<FileOp>, aside: &mut Vec<FileOp>) {
        self.snapshot(command, true, ops, aside);
        self.invariants();
    }

    fn snapshot(
        &mut self,
        command: &DiskCommand,
        is_aside: bool,
        ops: &mut Vec<FileOp>,
        files: &mut Vec<FileOp>,
    ) {
        let is_open = self.snapshot.is_some_and(|open| open.is_aside == is_aside);
        let begins = matches!(command, DiskCommand::SnapshotBegin { .. });
        assert!(begins || is_open, "a snapshot goes on where it began");
        match command {
            DiskCommand::SnapshotBegin { zxid } => {
                self.begin_snapshot(*zxid, is_aside, ops, files);
            }
            DiskCommand::SnapshotChunk { bytes } => self.add_chunk(bytes, files),
            DiskCommand::SnapshotEnd { replaces_log } => {
                // Ours is believed only together with the entries it may already contain.
                self.flush(ops);
                self.end_snapshot(*replaces_log, files);
            }
            _ => unreachable!("only snapshots have a lane of their own"),
        }
    }

    /// Adds the operations that make everything durable that was commanded, and with that, if
    /// anything is written to the log, that it is known to be committed up to `committed`. The last
    /// entry, if entries were appended or a leader's snapshot brought a new history since the last
    /// commit.
    pub fn commit(&mut self, committed: Zxid, ops: &mut Vec<FileOp>) -> Option<Zxid> {
        self.note_committed(committed);
        self.flush(ops);
        assert!(self.buffer.is_empty(), "what is durable leaves nothing to be written");
        self.invariants();
        std::mem::take(&mut self.appended).then_some(self.last)
    }

    /// Notes it behind what is to be written anyway. What is committed may be logged by commands
    /// that were not carried out yet: then it has to wait.
    fn note_committed(&mut self, committed: Zxid) {
        let has_room = self.end() + 2 * RECORD_BYTES <= self.reserved;
        let is_news = committed > self.noted && committed <= self.last;
        if !self.buffer.is_empty() && has_room && is_news {
            let place = self.place();
            log::put_committed(&mut self.buffer, place, self.last, committed);
            self.noted = committed;
        }
    }

    fn append(&mut self, entry: &Entry, ops: &mut Vec<FileOp>) {
        let place = self.place_for(entry.bytes.len(), ops);
        log::put_entry(&mut self.buffer, place, self.last, entry);
        self.last = entry.zxid;
        self.appended = true;
    }

    fn truncate(&mut self, after: Zxid, ops: &mut Vec<FileOp>) {
        if after == self.last {
            return;
        }
        let place = self.place_for(0, ops);
        log::put_truncate(&mut self.buffer, place, self.last, after);
        self.last = after;
    }

    /// Where the next record goes; begins a new file when it would not fit with the seal behind it.
    fn place_for(&mut self, body: usize, ops: &mut Vec<FileOp>) -> Place {
        let needed = record_bytes(body) + RECORD_BYTES;
        if self.end() + needed > self.reserved {
            self.roll(HEADER_BYTES + needed, ops);
        }
        self.place()
    }

    fn place(&self) -> Place {
        Place { sequence: self.sequence, offset: self.end(), synced: self.synced }
    }

    fn end(&self) -> u64 {
        self.synced + self.buffer.len() as u64
    }

    fn flush(&mut self, ops: &mut Vec<FileOp>) {
        if self.buffer.is_empty() {
            return;
        }
        let bytes = self.buffer.split().freeze();
        let offset = self.synced;
        self.synced += bytes.len() as u64;
        ops.push(FileOp::Write { name: self.log.clone(), offset, bytes });
        ops.push(FileOp::Sync { name: self.log.clone() });
    }

    /// Overwrites what a crash left behind the last record.
    fn wipe(&mut self, bytes: u64, ops: &mut Vec<FileOp>) {
        if bytes > 0 {
            let zeros =
                Bytes::from(vec![0; usize::try_from(bytes).expect("it was read to memory")]);
            let name = self.log.clone();
            ops.push(FileOp::Write { name: name.clone(), offset: self.synced, bytes: zeros });
            ops.push(FileOp::Sync { name });
        }
    }

    /// Ends the file and begins the next. 1. The next is made and synced, without records. 2. The
    /// old one is sealed and synced. 3. Records go to the next. So a sealed file has a successor,
    /// and a file with records has a sealed predecessor, whenever the power fails.
    fn roll(&mut self, bytes: u64, ops: &mut Vec<FileOp>) {
        let (old, place) = (self.log.clone(), self.place());
        log::put_seal(&mut self.buffer, place, self.last);
        let ending = self.buffer.split().freeze();
        let length = self.synced + ending.len() as u64;
        let offset = self.synced;
        self.make_log(self.sequence + 1, false, bytes, ops);
        ops.push(FileOp::Write { name: old.clone(), offset, bytes: ending });
        ops.push(FileOp::Sync { name: old.clone() });
        // Without need of a sync: a sealed file may be of any length.
        ops.push(FileOp::Truncate { name: old, bytes: length });
    }

    /// Begins a file that voids what others hold behind our last entry. Unlike other files it means
    /// something without records, so its length is durable before its header can be.
    fn restart_log(&mut self, sequence: u64, ops: &mut Vec<FileOp>) {
        let file = name(FileName::Log(sequence));
        ops.push(FileOp::Truncate { name: file.clone(), bytes: self.options.log_file_bytes });
        ops.push(FileOp::Sync { name: file });
        self.make_log(sequence, true, 0, ops);
    }

    fn make_log(&mut self, sequence: u64, restart: bool, bytes: u64, ops: &mut Vec<FileOp>) {
        assert!(
            self.buffer.is_empty(),
            "a file's records are written before the next file is made"
        );
        let reserved = self.options.log_file_bytes.max(bytes);
        let header = Header { sequence, base: self.last, reserved, restart };
        let file = name(FileName::Log(sequence));
        let bytes = header.encode(self.identity.server);
        ops.push(FileOp::Write { name: file.clone(), offset: 0, bytes });
        ops.push(FileOp::Truncate { name: file.clone(), bytes: reserved });
        ops.push(FileOp::Sync { name: file.clone() });
        self.log = file;
        self.sequence = sequence;
        self.reserved = reserved;
        self.synced = HEADER_BYTES;
        self.logs.push_back(LogFile { sequence, base: self.last });
    }

    fn save_state(&self, state: DurableState, ops: &mut Vec<FileOp>) {
        let new = &self.names.state_new;
        let bytes = state::encode(self.identity, state);
        ops.push(FileOp::Write { name: new.clone(), offset: 0, bytes });
        ops.extend(FileOp::replace(new, &self.names.state));
    }

    /// A snapshot that was begun before and not ended is forgotten.
    fn begin_snapshot(
        &mut self,
        zxid: Zxid,
        is_aside: bool,
        ops: &mut Vec<FileOp>,
        files: &mut Vec<FileOp>,
    ) {
        if self.end() > HEADER_BYTES {
            self.roll(0, ops);
        }
        let name = self.names.snapshot_new.clone();
        let bytes = snapshot::header(self.identity.server, zxid);
        let offset = bytes.len() as u64;
        self.snapshot = Some(OpenSnapshot { zxid, chunks: 0, offset, is_aside, synced: 0 });
        files.push(FileOp::Truncate { name: name.clone(), bytes: 0 });
        files.push(FileOp::Write { name, offset: 0, bytes });
    }

    fn add_chunk(&mut self, bytes: &[u8], ops: &mut Vec<FileOp>) {
        let open = self.snapshot.as_mut().expect("a chunk comes after SnapshotBegin");
        let bytes = snapshot::chunk(open.chunks, bytes);
        let offset = open.offset;
        open.chunks += 1;
        open.offset += bytes.len() as u64;
        let name = &self.names.snapshot_new;
        ops.push(FileOp::Write { name: name.clone(), offset, bytes });
        if open.is_aside && open.offset - open.synced >= self.options.snapshot_sync_bytes {
            open.synced = open.offset;
            ops.push(FileOp::Sync { name: name.clone() });
        }
    }

    fn end_snapshot(&mut self, replaces_log: bool, ops: &mut Vec<FileOp>) {
        assert!(self.buffer.is_empty(), "the log is written before a snapshot of it ends");
        let open = self.snapshot.take().expect("SnapshotEnd comes after SnapshotBegin");
        let (new, complete) = (self.names.snapshot_new.clone(), FileName::Snapshot(open.zxid));
        let bytes = snapshot::trailer(open.zxid, open.chunks, replaces_log);
        ops.push(FileOp::Write { name: new.clone(), offset: open.offset, bytes });
        ops.extend(FileOp::replace(&new, &name(complete)));
        if replaces_log {
            self.replace_log(open.zxid, ops);
        } else {
            self.keep_snapshot(open.zxid);
            self.purge(ops);
        }
    }

    fn keep_snapshot(&mut self, zxid: Zxid) {
        if let Err(index) = self.snapshots.binary_search(&zxid) {
            self.snapshots.insert(index, zxid);
        }
    }

    /// The leader's snapshot is there; with the file that restarts the log it takes effect, and
    /// only then is the old history removed.
    fn replace_log(&mut self, zxid: Zxid, ops: &mut Vec<FileOp>) {
        let old_logs = std::mem::take(&mut self.logs);
        let old_snapshots = std::mem::replace(&mut self.snapshots, vec![zxid]);
        self.last = zxid;
        self.appended = true;
        self.restart_log(self.sequence + 1, ops);
        let logs = old_logs.iter().map(|log| FileName::Log(log.sequence));
        let snapshots = old_snapshots.into_iter().filter(|old| *old != zxid);
        let names = logs.chain(snapshots.map(FileName::Snapshot));
        ops.extend(names.map(|file| FileOp::Remove { name: name(file) }));
        ops.push(FileOp::SyncFolder);
    }

    /// Removes all but the newest snapshots, and the log files before the one from which the oldest
    /// of them is continued: the newest that begins no later than the snapshot.
    fn purge(&mut self, ops: &mut Vec<FileOp>) {
        let is_durable = matches!(ops.last(), Some(FileOp::SyncFolder));
        assert!(is_durable, "a snapshot is durable before what it replaces is removed");
        let begun = ops.len();
        while self.snapshots.len() > self.options.snapshots_kept.max(1) {
            let oldest = self.snapshots.remove(0);
            ops.push(FileOp::Remove { name: name(FileName::Snapshot(oldest)) });
        }
        // With fewer snapshots than wanted the whole log is kept, in case those are damaged.
        if self.snapshots.len() == self.options.snapshots_kept.max(1) {
            let oldest = self.snapshots[0];
            let from = self.logs.iter().rposition(|log| log.base <= oldest).unwrap_or(0);
            for log in self.logs.drain(..from) {
                ops.push(FileOp::Remove { name: name(FileName::Log(log.sequence)) });
            }
        }
        if ops.len() > begun {
            ops.push(FileOp::SyncFolder);
        }
    }
}
