//! What a server does for its replica, reduced to what can be checked: a database that is the list
//! of what was applied, snapshots of it, proposals that are numbers. And the checks.

use super::world::{Checked, Fact, Node, World};
use crate::io::{DiskCommand, DiskTicket};
use crate::replica::{Outbox, Replica, ReplicaEvent, Role};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use mailstorm_shared::Zxid;
use mailstorm_shared::facts::EnsembleFact;
use std::collections::VecDeque;

impl World {
    pub(super) fn own_snapshot_goes_on(&mut self, index: usize, done: DiskTicket) -> Checked {
        let Self { nodes, .. } = self;
        let node = &mut nodes[index];
        let Some(replica) = &mut node.replica else { return Ok(()) };
        let mut out = Outbox::new();
        match &mut node.own_snapshot {
            None if replica.snapshot_due() => {
                let zxid = node.applied.last().map_or(Zxid::ZERO, |(zxid, _)| *zxid);
                let mut commands: VecDeque<DiskCommand> = (encode(&node.applied).into_iter())
                    .map(|bytes| DiskCommand::SnapshotChunk { bytes })
                    .collect();
                commands.push_back(DiskCommand::SnapshotEnd { replaces_log: false });
                let ticket = replica.disk(DiskCommand::SnapshotBegin { zxid }, &mut out);
                node.own_snapshot = Some((zxid, commands, ticket));
            }
            Some((zxid, commands, ticket)) if done >= *ticket => match commands.pop_front() {
                Some(command) => *ticket = replica.disk(command, &mut out),
                None => {
                    replica.snapshot_written(*zxid);
                    node.own_snapshot = None;
                }
            },
            _ => {}
        }
        self.finish(index, out)
    }

    pub(super) fn propose_something(&mut self) -> Checked {
        let index = self.random.below(self.nodes.len() as u64) as usize;
        self.propose(index)
    }

    pub(super) fn propose(&mut self, index: usize) -> Checked {
        let number = self.next_number;
        let node = &self.nodes[index];
        if self.history.len() < self.enough
            && node.paused_until <= self.now
            && node.replica.as_ref().is_some_and(Replica::can_propose)
        {
            self.next_number += 1;
            let bytes = Bytes::copy_from_slice(&number.to_be_bytes());
            self.call(index, |r, _, out| {
                r.propose(bytes, out);
            })?;
        }
        Ok(())
    }

    pub(super) fn confirm_something(&mut self) -> Checked {
        let index = self.random.below(self.nodes.len() as u64) as usize;
        let (token, committed) = (self.next_number, self.history.len());
        let node = &mut self.nodes[index];
        let leads = node.replica.as_ref().is_some_and(|r| r.role() == Role::Leading);
        if node.paused_until <= self.now && leads && node.serving {
            self.next_number += 1;
            node.tokens.insert(token, committed);
            self.call(index, |r, now, out| r.confirm(now, token, out))?;
        }
        Ok(())
    }

    pub(super) fn happened(
        &mut self,
        index: usize,
        event: ReplicaEvent,
        out: &mut Outbox,
    ) -> Checked {
        let node = &mut self.nodes[index];
        let id = node.id;
        let Some(replica) = &mut node.replica else { return Ok(()) };
        match event {
            ReplicaEvent::Committed(entry) => {
                let last = node.applied.last().map_or(Zxid::ZERO, |(zxid, _)| *zxid);
                if entry.zxid <= last {
                    return Err(format!("{id} delivers {} after {last}", entry.zxid));
                }
                node.applied.push((entry.zxid, entry.bytes.clone().get_u64()));
                self.check_prefix(index)?;
            }
            ReplicaEvent::LeadingBegins { epoch } => {
                node.serving = true;
                self.reached.established += 1;
                let latest = self.leaders.keys().next_back().copied().unwrap_or_default();
                if let Some(other) = self.leaders.insert(epoch, id) {
                    return Err(format!("{other} and {id} both lead epoch {epoch}"));
                }
                let (mine, all) = (self.nodes[index].applied.len(), self.history.len());
                if epoch > latest && mine < all {
                    return Err(format!("{id} leads epoch {epoch} with {mine} of {all} entries"));
                }
            }
            ReplicaEvent::FollowingBegins { .. } => {
                node.serving = true;
                if node.loading.is_some() {
                    return Err(format!("{id} is not told that a snapshot broke off"));
                }
                let last = node.applied.last().map_or(Zxid::ZERO, |(zxid, _)| *zxid);
                if last < node.fuzzy_until {
                    return Err(format!("{id} serves half a snapshot"));
                }
            }
            ReplicaEvent::ServingEnds { .. } => {
                node.serving = false;
                node.loading = None;
                node.tokens.clear();
            }
            ReplicaEvent::SnapshotReplaces { .. } => {
                node.own_snapshot = None;
                node.loading = Some(Vec::new());
            }
            ReplicaEvent::SnapshotChunk(chunk) => {
                node.loading.as_mut().expect("a chunk belongs to a snapshot").push(chunk);
            }
            ReplicaEvent::SnapshotComplete => {
                let mut chunks = node.loading.take().expect("what is complete has begun");
                let mut last = chunks.pop().expect("the last chunk tells how far the source was");
                node.fuzzy_until = Zxid(last.get_u64());
                let applied = decode(&chunks);
                if applied.len() < node.applied.len() {
                    return Err(format!("{id} goes back in time with a snapshot"));
                }
                node.applied = applied;
                self.check_prefix(index)?;
            }
            ReplicaEvent::SnapshotWanted { link } => {
                let cursor =
                    node.cursors.entry(link).or_insert_with(|| encode(&node.applied).into());
                let chunk = if cursor.is_empty() {
                    None
                } else if cursor.len() == 1 && cursor[0].is_empty() {
                    // The end of the fuzzy snapshot: how far the database is by now.
                    cursor.pop_front();
                    let until = node.applied.last().map_or(0, |(zxid, _)| zxid.0);
                    Some(Bytes::copy_from_slice(&until.to_be_bytes()))
                } else {
                    cursor.pop_front()
                };
                replica.snapshot_chunk(link, chunk, out);
            }
            ReplicaEvent::LearnerGone { link } => {
                node.cursors.remove(&link);
            }
            ReplicaEvent::Confirmed { token } => {
                self.reached.confirmed += 1;
                let committed = node.tokens.remove(&token).ok_or("confirmed what nobody asked")?;
                if node.applied.len() < committed {
                    return Err(format!("{id} was confirmed although a later leader commits"));
                }
            }
            ReplicaEvent::Forwarded { .. }
            | ReplicaEvent::Touched { .. }
            | ReplicaEvent::Answered { .. }
            | ReplicaEvent::SessionMoved { .. } => {}
        }
        Ok(())
    }

    /// What a server has applied is a beginning of the one history, or lengthens it.
    pub(super) fn check_prefix(&mut self, index: usize) -> Checked {
        let applied = &self.nodes[index].applied;
        let Some(last) = applied.len().checked_sub(1) else { return Ok(()) };
        if let Some(expected) = self.history.get(last) {
            if *expected != applied[last] {
                let (id, got) = (self.nodes[index].id, applied[last]);
                return Err(format!("{id} commits {got:?} where {expected:?} was committed"));
            }
        } else if self.history.len() == last {
            self.history.push(applied[last]);
        } else {
            return Err(format!("{} skips committed entries", self.nodes[index].id));
        }
        Ok(())
    }

    pub(super) fn observed(&mut self, index: usize, fact: &EnsembleFact) -> Checked {
        match fact {
            EnsembleFact::QuorumCommitted { zxid, .. } => {
                self.reached.committed += 1;
                // A joiner's disk counts no more; one that was lost held it when it was counted.
                let held =
                    |n: &&Node| n.disk.state.votes && n.disk.holds(*zxid) || n.lost.contains(zxid);
                let voters = self.nodes.iter().filter(|n| self.ensemble.is_voter(n.id));
                let count = voters.filter(held).count();
                if count < self.ensemble.majority() {
                    let id = self.nodes[index].id;
                    return Err(format!("{id} commits {zxid}, which is on {count} disks"));
                }
            }
            EnsembleFact::Truncated { .. } => self.reached.truncated += 1,
            EnsembleFact::SnapshotInstalled { .. } => self.reached.snapshots_installed += 1,
            EnsembleFact::SteppedDown { why, .. } if why.starts_with("admitted") => {
                self.reached.admitted += 1;
            }
            _ => {}
        }
        Ok(())
    }
}

/// A database's content in chunks; an empty one at the end stands for what only a fuzzy snapshot
/// knows.
pub(super) fn encode(applied: &[Fact]) -> Vec<Bytes> {
    let mut chunks: Vec<Bytes> = (applied.chunks(applied.len() / 3 + 1))
        .map(|part| {
            let mut bytes = BytesMut::new();
            for (zxid, number) in part {
                bytes.put_u64(zxid.0);
                bytes.put_u64(*number);
            }
            bytes.freeze()
        })
        .collect();
    chunks.push(Bytes::new());
    chunks
}

pub(super) fn decode(chunks: &[Bytes]) -> Vec<Fact> {
    let mut facts = Vec::new();
    for chunk in chunks {
        let mut chunk = &chunk[..];
        while chunk.len() >= 16 {
            facts.push((Zxid(chunk.get_u64()), chunk.get_u64()));
        }
    }
    facts
}
