//! Snapshots: our own to disk, the leader's to learners, and a leader's in place of our tree.
//!
//! Owns: who is where in which snapshot. Leaves: their bytes to [`crate::data::snapshot`], when one
//! is due and what the disk keeps to the replica.
//! Holds: at most one piece of each snapshot is under way, so a large tree neither fills the memory
//! nor keeps clients waiting. The tree goes on changing between the pieces (fuzzy): replaying the
//! transactions after the snapshot's beginning repairs that, and all of them are committed, since
//! nothing else ever reaches the tree.

use super::Server;
use crate::data::snapshot::{CorruptSnapshot, SnapshotCursor, SnapshotLoader};
use crate::io::{DiskCommand, DiskTicket, LinkId};
use crate::replica::Outbox;
use bytes::Bytes;
use mailstorm_shared::Zxid;
use mailstorm_shared::checksum::crc32c_append;
use mailstorm_shared::machine::Loads;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

/// See the module's head.
#[derive(Clone, Debug, Hash)]
pub(super) struct Snapshots {
    /// How far each learner is in its snapshot.
    cursors: BTreeMap<LinkId, SnapshotCursor>,
    own: Option<OwnSnapshot>,
    /// A leader's snapshot on its way to become our tree.
    loading: Option<Loading>,
    /// The last transaction contained in the snapshot that our tree began with.
    installed: Zxid,
}

/// A snapshot of our own that is being written.
#[derive(Clone, Debug, Hash)]
struct OwnSnapshot {
    cursor: SnapshotCursor,
    /// The last piece given to the disk.
    ticket: DiskTicket,
    /// Whether that was the end of it.
    complete: bool,
}

/// A leader's snapshot on its way to become our tree. Its state is what came so far.
#[derive(Clone, Debug)]
struct Loading {
    loader: SnapshotLoader,
    chunks: u64,
    digest: u32,
}

impl Hash for Loading {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.chunks, self.digest).hash(state);
    }
}

impl Snapshots {
    /// No snapshot is on its way, and our tree began with one up to here.
    pub(super) fn new(installed: Zxid) -> Self {
        Self { cursors: BTreeMap::new(), own: None, loading: None, installed }
    }

    /// The last transaction contained in the snapshot that our tree began with.
    pub(super) fn installed(&self) -> Zxid {
        self.installed
    }

    /// A defect takes the tree for newer than it is, unless a snapshot is just coming.
    pub(super) fn pretend_installed(&mut self, zxid: Zxid) {
        if self.loading.is_none() {
            self.installed = self.installed.max(zxid);
        }
    }

    /// A learner is gone, and needs no more of its snapshot.
    pub(super) fn learner_gone(&mut self, link: LinkId) {
        self.cursors.remove(&link);
    }

    /// The role is over: nobody is sent a snapshot, and what came of the leader's is void.
    pub(super) fn role_ended(&mut self) {
        self.cursors.clear();
        self.loading = None;
    }

    /// How many learners are sent one, of at most so many.
    pub(super) fn loads(&self, max: usize, loads: &mut Loads) {
        loads.bounded("learners_sent_a_snapshot", self.cursors.len(), max);
    }

    /// What always holds.
    pub(super) fn invariants(&self, applied: Zxid) {
        assert!(
            self.own.is_none() || self.loading.is_none(),
            "no snapshot is made of a tree that another is to replace"
        );
        if let Some(own) = &self.own {
            assert!(own.cursor.zxid() <= applied, "a snapshot contains only what was applied");
        }
    }
}

impl Server {
    /// Begins a snapshot when the replica says that the log has grown long enough.
    pub(super) fn snapshot_if_due(&mut self, out: &mut Outbox) {
        let Snapshots { own, loading, .. } = &self.snapshots;
        if own.is_some() || loading.is_some() || !self.replica.snapshot_due() {
            return;
        }
        let cursor = SnapshotCursor::begin(&self.database, self.config.replica.defects);
        let ticket = self.replica.disk(DiskCommand::SnapshotBegin { zxid: cursor.zxid() }, out);
        self.snapshots.own = Some(OwnSnapshot { cursor, ticket, complete: false });
    }

    /// The disk has done this piece: the next one, if it was our last.
    pub(super) fn snapshot_goes_on(&mut self, done: DiskTicket, out: &mut Outbox) {
        let Some(own) = &mut self.snapshots.own else { return };
        if done < own.ticket {
            return;
        }
        if own.complete {
            let zxid = own.cursor.zxid();
            self.snapshots.own = None;
            self.replica.snapshot_written(zxid);
            return;
        }
        let command = match own.cursor.next_chunk(&self.database, self.config.snapshot_chunk_bytes)
        {
            Some(bytes) => DiskCommand::SnapshotChunk { bytes },
            None => {
                own.complete = true;
                DiskCommand::SnapshotEnd { replaces_log: false }
            }
        };
        own.ticket = self.replica.disk(command, out);
    }

    /// A learner can take one more piece of a snapshot.
    pub(super) fn snapshot_for_learner(&mut self, link: LinkId, out: &mut Outbox) {
        let (database, defects) = (&self.database, self.config.replica.defects);
        let begin = || SnapshotCursor::begin(database, defects);
        let cursor = self.snapshots.cursors.entry(link).or_insert_with(begin);
        let chunk = cursor.next_chunk(database, self.config.snapshot_chunk_bytes);
        if chunk.is_none() {
            self.snapshots.cursors.remove(&link);
        }
        self.replica.snapshot_chunk(link, chunk, out);
    }

    /// A leader's snapshot comes in place of our tree. What we were writing ourselves is void: the
    /// replica has told the disk.
    pub(super) fn snapshot_replaces(&mut self) {
        self.snapshots.own = None;
        self.snapshots.loading =
            Some(Loading { loader: SnapshotLoader::new(), chunks: 0, digest: 0 });
    }

    /// A piece of the leader's snapshot. It passed the peer protocol's checksum, so if it makes no
    /// sense the leader itself is damaged; starting again leads to another snapshot, or another
    /// leader.
    pub(super) fn snapshot_chunk(&mut self, chunk: &Bytes, out: &mut Outbox) {
        let Some(loading) = &mut self.snapshots.loading else { return };
        loading.chunks += 1;
        loading.digest = crc32c_append(loading.digest, chunk);
        if let Err(corrupt) = loading.loader.push(chunk) {
            self.halt(format!("the leader's snapshot is damaged: {corrupt}"), out);
        }
    }

    /// The leader's snapshot is complete: it is our tree from now on.
    pub(super) fn snapshot_complete(&mut self, out: &mut Outbox) {
        let Some(loading) = self.snapshots.loading.take() else { return };
        match loading.loader.finish() {
            Ok(database) => {
                self.database = database;
                self.snapshots.installed = self.database.last_applied();
            }
            Err(corrupt) => {
                self.halt(format!("the leader's snapshot is damaged: {corrupt}"), out);
            }
        }
    }
}

/// The tree that these pieces hold.
pub(super) fn load(chunks: &[Bytes]) -> Result<crate::data::Database, CorruptSnapshot> {
    let mut loader = SnapshotLoader::new();
    for chunk in chunks {
        loader.push(chunk)?;
    }
    loader.finish()
}
