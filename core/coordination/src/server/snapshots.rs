//! Snapshots: our own to disk, the leader's to learners, and a leader's in place of our tree.
//!
//! Owns: who is where in which snapshot. Leaves: their bytes to [`crate::data::snapshot`], when one is
//! due and what the disk keeps to the replica.
//! Holds: at most one piece of each snapshot is under way, so a large tree neither fills the memory nor
//! keeps clients waiting. The tree goes on changing between the pieces (fuzzy): replaying the
//! transactions after the snapshot's beginning repairs that, and all of them are committed, since
//! nothing else ever reaches the tree.

use super::Server;
use crate::data::snapshot::{CorruptSnapshot, SnapshotCursor, SnapshotLoader};
use crate::io::{DiskCommand, DiskTicket, LinkId};
use crate::replica::Outbox;
use bytes::Bytes;
use mailstorm_shared::checksum::crc32c_append;
use std::hash::{Hash, Hasher};

/// A snapshot of our own that is being written.
#[derive(Clone, Debug, Hash)]
pub(super) struct OwnSnapshot {
    cursor: SnapshotCursor,
    /// The last piece given to the disk.
    ticket: DiskTicket,
    /// Whether that was the end of it.
    complete: bool,
}

/// A leader's snapshot on its way to become our tree. Its state is what came so far.
#[derive(Clone, Debug)]
pub(super) struct Loading {
    loader: SnapshotLoader,
    chunks: u64,
    digest: u32,
}

impl Hash for Loading {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.chunks, self.digest).hash(state);
    }
}

impl Server {
    /// Begins a snapshot when the replica says that the log has grown long enough.
    pub(super) fn snapshot_if_due(&mut self, out: &mut Outbox) {
        if self.own_snapshot.is_some() || self.loading.is_some() || !self.replica.snapshot_due() {
            return;
        }
        let cursor = SnapshotCursor::begin(&self.database, self.config.replica.defects);
        let ticket = self.replica.disk(DiskCommand::SnapshotBegin { zxid: cursor.zxid() }, out);
        self.own_snapshot = Some(OwnSnapshot { cursor, ticket, complete: false });
    }

    /// The disk has done this piece: the next one, if it was our last.
    pub(super) fn snapshot_goes_on(&mut self, done: DiskTicket, out: &mut Outbox) {
        let Some(own) = &mut self.own_snapshot else { return };
        if done < own.ticket {
            return;
        }
        if own.complete {
            let zxid = own.cursor.zxid();
            self.own_snapshot = None;
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
        let cursor = self.cursors.entry(link).or_insert_with(begin);
        let chunk = cursor.next_chunk(database, self.config.snapshot_chunk_bytes);
        if chunk.is_none() {
            self.cursors.remove(&link);
        }
        self.replica.snapshot_chunk(link, chunk, out);
    }

    /// A leader's snapshot comes in place of our tree. What we were writing ourselves is void: the
    /// replica has told the disk.
    pub(super) fn snapshot_replaces(&mut self) {
        self.own_snapshot = None;
        self.loading = Some(Loading { loader: SnapshotLoader::new(), chunks: 0, digest: 0 });
    }

    /// A piece of the leader's snapshot. It passed the peer protocol's checksum, so if it makes no
    /// sense the leader itself is damaged; starting again leads to another snapshot, or another leader.
    pub(super) fn snapshot_chunk(&mut self, chunk: &Bytes, out: &mut Outbox) {
        let Some(loading) = &mut self.loading else { return };
        loading.chunks += 1;
        loading.digest = crc32c_append(loading.digest, chunk);
        if let Err(corrupt) = loading.loader.push(chunk) {
            self.halt(format!("the leader's snapshot is damaged: {corrupt}"), out);
        }
    }

    /// The leader's snapshot is complete: it is our tree from now on.
    pub(super) fn snapshot_complete(&mut self, out: &mut Outbox) {
        let Some(loading) = self.loading.take() else { return };
        match loading.loader.finish() {
            Ok(database) => {
                self.database = database;
                self.installed = self.database.last_applied();
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
