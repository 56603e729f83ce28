//! Disk commands under way, and what waits for each.
//!
//! Owns: the numbers of all disk commands of a server (its own snapshots' included), in the order
//! in which they are issued. Leaves: what follows from a command being done to the roles.
//! Holds: commands are done in the order of their numbers (those of our own snapshots in an order
//! of their own, each after all that was issued before it), so every prefix of them is a state that
//! the server may find after a crash; whoever issues commands keeps to an order in which every
//! prefix is one it can live with.

use crate::io::{DiskCommand, DiskTicket, LinkId, Output};
use crate::replica::Outbox;
use mailstorm_shared::{Epoch, Zxid};
use std::collections::VecDeque;

/// What follows when a command is on disk. Those that concern a relation name it, so that they come
/// to nothing when it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum WhenDurable {
    /// Nothing: it concerns the server alone, or is only a step.
    Nothing,
    /// The history is on disk up to here.
    Logged { zxid: Zxid },
    /// Our own promise, as a leader-to-be, of our new epoch.
    LeaderPromised { epoch: Epoch },
    /// The new epoch as the leader's current one.
    LeaderBegan { epoch: Epoch },
    /// A learner's promise.
    LearnerPromised { epoch: Epoch, link: LinkId },
    /// The leader's whole history, and its epoch as our current one.
    LearnerBegan { epoch: Epoch, link: LinkId },
    /// A part of the leader's snapshot is written (it counts only at the end, as a whole).
    ChunkStored { link: LinkId },
    /// We may vote.
    Admitted,
}

/// The commands that are not done yet, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct DiskQueue {
    last: DiskTicket,
    waiting: VecDeque<(DiskTicket, WhenDurable)>,
}

impl DiskQueue {
    /// Nothing under way. The incarnation marks the numbers (only to recognise them in a
    /// recording).
    pub(super) fn new(incarnation: u32) -> Self {
        Self { last: DiskTicket(u64::from(incarnation >> 1) << 32), waiting: VecDeque::new() }
    }

    /// Hands a command to the host.
    pub(super) fn issue(
        &mut self,
        command: DiskCommand,
        when: WhenDurable,
        out: &mut Outbox,
    ) -> DiskTicket {
        self.last.0 += 1;
        self.waiting.push_back((self.last, when));
        out.outputs.push(Output::Disk { ticket: self.last, command });
        self.last
    }

    /// Hands a command to the host for which nothing waits, to be done beside the others.
    pub(super) fn issue_aside(&mut self, command: DiskCommand, out: &mut Outbox) -> DiskTicket {
        self.last.0 += 1;
        out.outputs.push(Output::DiskAside { ticket: self.last, command });
        self.last
    }

    /// How many commands are not done that something waits for.
    pub(super) fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    /// What always holds, as far as it costs nothing to look.
    pub(super) fn invariants(&self) {
        let (first, last) = (self.waiting.front(), self.waiting.back());
        assert!(
            last.is_none_or(|(ticket, _)| *ticket <= self.last),
            "only a command that was issued is waited for"
        );
        assert!(
            first.map(|(ticket, _)| ticket) <= last.map(|(ticket, _)| ticket),
            "commands are waited for in the order of their numbers"
        );
    }

    /// The next command done by the time `ticket` is; `None` when there is no more.
    pub(super) fn next_done(&mut self, ticket: DiskTicket) -> Option<WhenDurable> {
        if self.waiting.front()?.0 > ticket {
            return None;
        }
        self.waiting.pop_front().map(|(_, when)| when)
    }
}
