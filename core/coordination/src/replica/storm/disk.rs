//! A disk that forgets what was not finished.

use crate::io::{DiskCommand, DiskTicket, DurableState};
use bytes::Bytes;
use mailstorm_shared::{Epoch, Zxid};
use mailstorm_wire::txn::Entry;
use std::collections::VecDeque;

/// A server's disk: what is on it, and what is on its way.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) state: DurableState,
    pub(super) snapshot: Option<(Zxid, Vec<Bytes>)>,
    pub(super) log: Vec<Entry>,
    half_written: Option<(Zxid, Vec<Bytes>)>,
    pub(super) pending: VecDeque<(DiskTicket, DiskCommand)>,
}

impl Disk {
    /// The disk of a server that begins with a new ensemble.
    pub(super) fn initialised() -> Self {
        let state = DurableState { accepted_epoch: Epoch(0), current_epoch: Epoch(0), votes: true };
        Self {
            state,
            snapshot: None,
            log: Vec::new(),
            half_written: None,
            pending: VecDeque::new(),
        }
    }

    /// Carries out the oldest `count` commands; returns the last one's number.
    pub(super) fn advance(&mut self, count: usize) -> Option<DiskTicket> {
        let mut done = None;
        for _ in 0..count {
            let Some((ticket, command)) = self.pending.pop_front() else { break };
            self.carry_out(command);
            done = Some(ticket);
        }
        done
    }

    fn carry_out(&mut self, command: DiskCommand) {
        match command {
            DiskCommand::Append(entry) => {
                assert!(entry.zxid > self.last_logged(), "{} appended out of order", entry.zxid);
                self.log.push(entry);
            }
            DiskCommand::Truncate { after } => self.log.retain(|e| e.zxid <= after),
            DiskCommand::SaveState(state) => self.state = state,
            DiskCommand::SnapshotBegin { zxid } => self.half_written = Some((zxid, Vec::new())),
            DiskCommand::SnapshotChunk { bytes } => {
                self.half_written.as_mut().expect("a chunk belongs to a snapshot").1.push(bytes);
            }
            DiskCommand::SnapshotEnd { replaces_log } => {
                let (zxid, chunks) = self.half_written.take().expect("what ends has begun");
                if replaces_log {
                    self.log.clear();
                } else {
                    // Some of what the snapshot contains stays, as log files do.
                    let contained = self.log.partition_point(|e| e.zxid <= zxid);
                    self.log.drain(..contained.saturating_sub(4));
                }
                self.snapshot = Some((zxid, chunks));
            }
        }
    }

    pub(super) fn last_logged(&self) -> Zxid {
        let snapshot = self.snapshot.as_ref().map_or(Zxid::ZERO, |(zxid, _)| *zxid);
        self.log.last().map_or(snapshot, |e| e.zxid.max(snapshot))
    }

    /// Whether the entry is there, in the log or the snapshot.
    pub(super) fn holds(&self, zxid: Zxid) -> bool {
        self.snapshot.as_ref().is_some_and(|(s, _)| *s >= zxid)
            || self.log.iter().any(|e| e.zxid == zxid)
    }

    /// The machine dies: some of what was on its way arrives, the rest is gone.
    pub(super) fn crash(&mut self, arrive: usize) {
        self.advance(arrive);
        self.pending.clear();
        self.half_written = None;
    }

    /// Everything after the first `kept` log entries is gone, and with it the right to vote.
    pub(super) fn lose(&mut self, kept: Option<usize>) {
        let accepted_epoch = Epoch(0);
        match kept {
            None => *self = Self::initialised(),
            Some(kept) => self.log.truncate(kept),
        }
        self.state = DurableState { accepted_epoch, current_epoch: Epoch(0), votes: false };
    }
}
