//! What waits for the two lanes of the disk.
//!
//! Owns: who waits for whom. Leaves: which files, to [`crate::storage`].
//! Holds: every acknowledgement waits for the log's lane and for nothing on the other, where our
//! own snapshots are written and old files are removed. What a command on that other lane asks for
//! is begun when everything before it is durable. A leader's snapshot begins on the log's lane when
//! the other is idle, and what waits there of a snapshot of our own is void.

use crate::io::{DiskCommand, DiskTicket};
use crate::storage::Writer;
use mailstorm_shared::Zxid;
use mailstorm_shared::facts::EnsembleFact;
use mailstorm_shared::machine::{FileOp, Lane, Loads, Output, Writes};
use std::collections::VecDeque;

/// What may wait for the other lane: a snapshot has one piece under way, and what its end removes
/// goes with it.
const ASIDE_MAX: usize = 2;

/// See the module's head.
pub(super) struct WriteQueue {
    writer: Writer,
    /// What the server has asked for, in order.
    queue: Vec<Work>,
    /// What is to be written next on the log's lane, while the other lane has to become idle first.
    batch: Vec<Work>,
    /// What is under way on the log's lane.
    log: Option<UnderWay>,
    /// What may be written on the other lane.
    aside: VecDeque<(DiskTicket, Vec<FileOp>)>,
    aside_under_way: Option<DiskTicket>,
}

/// A command on its way to the disk.
#[derive(Debug)]
struct Work {
    lane: Lane,
    ticket: DiskTicket,
    command: DiskCommand,
}

/// What becomes true when the log's lane is done.
#[derive(Debug)]
struct UnderWay {
    /// The last command done.
    last: Option<DiskTicket>,
    /// The last entry that is durable, where there is a new one.
    durable: Option<Zxid>,
    /// What may begin on the other lane.
    behind: Vec<(DiskTicket, Vec<FileOp>)>,
}

impl WriteQueue {
    pub(super) fn new(writer: Writer) -> Self {
        Self {
            writer,
            queue: Vec::new(),
            batch: Vec::new(),
            log: None,
            aside: VecDeque::new(),
            aside_under_way: None,
        }
    }

    /// How much waits.
    pub(super) fn loads(&self, loads: &mut Loads) {
        loads.bounded("snapshot_pieces", self.aside.len(), ASIDE_MAX);
    }

    pub(super) fn push(&mut self, lane: Lane, ticket: DiskTicket, command: DiskCommand) {
        self.queue.push(Work { lane, ticket, command });
    }

    /// All commands that wait, with one sync for them together, and a note of what is committed by
    /// now.
    pub(super) fn take_log(&mut self, committed: Zxid, ops: &mut Vec<FileOp>) -> Writes {
        assert!(self.log.is_none(), "a lane is asked for more when it is free");
        if self.batch.is_empty() {
            std::mem::swap(&mut self.batch, &mut self.queue);
        }
        if self.batch.is_empty() {
            return Writes::None;
        }
        if let Some(begins) = self.batch.iter().rposition(begins_a_leaders_snapshot) {
            if self.aside_under_way.is_some() || !self.aside.is_empty() {
                return Writes::AfterOtherLane;
            }
            let mut index = 0;
            self.batch.retain(|work| {
                index += 1;
                work.lane == Lane::Log || index > begins
            });
        }
        let mut last = None;
        let mut behind = Vec::new();
        for Work { lane, ticket, command } in self.batch.drain(..) {
            match lane {
                Lane::Log => {
                    self.writer.command(&command, ops);
                    last = Some(ticket);
                }
                Lane::Aside => {
                    let mut aside = Vec::new();
                    self.writer.aside(&command, ops, &mut aside);
                    behind.push((ticket, aside));
                }
            }
        }
        let durable = self.writer.commit(committed, ops);
        self.log = Some(UnderWay { last, durable, behind });
        Writes::Some
    }

    /// The log's lane is done; with which command, if any acknowledgement waits for it.
    pub(super) fn log_done(&mut self, out: &mut Vec<Output>) -> Option<DiskTicket> {
        let UnderWay { last, durable, behind } = self.log.take().expect("it was under way");
        // The other lane first, so that it does not wait for what the answer causes.
        if !behind.is_empty() {
            self.aside.extend(behind);
            out.push(Output::Disk { lane: Lane::Aside });
        }
        if let Some(zxid) = durable {
            out.push(Output::Observe(EnsembleFact::Durable { zxid }.into()));
        }
        last
    }

    /// The next piece for the other lane. The server asks for one piece of a snapshot at a time, so
    /// little waits here.
    pub(super) fn take_aside(&mut self, ops: &mut Vec<FileOp>) -> Writes {
        assert!(self.aside_under_way.is_none(), "a lane is asked for more when it is free");
        let Some((ticket, mut next)) = self.aside.pop_front() else { return Writes::None };
        ops.append(&mut next);
        self.aside_under_way = Some(ticket);
        Writes::Some
    }

    /// The other lane is done, with this command.
    pub(super) fn aside_done(&mut self) -> DiskTicket {
        self.aside_under_way.take().expect("it was under way")
    }
}

fn begins_a_leaders_snapshot(work: &Work) -> bool {
    work.lane == Lane::Log && matches!(work.command, DiskCommand::SnapshotBegin { .. })
}
