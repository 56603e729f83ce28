//! The model of one server's transaction log: what it believes to have, and what its disk surely
//! has.
//!
//! Owns: what appending, cutting, replacing, syncing and crashing do to a log. Leaves: what it
//! means for the ensemble to `quorum`.
//! Holds: steps reach the disk in the order in which they were handed to it, so after a crash the
//! disk has what was durable and a prefix of the steps since; `base` only covers committed history.
//!
//! ```text
//!   0 ........ base | disk ........ | pending steps ........
//!   \_ committed __/ \_ durable ___/ \_ handed to the disk _/
//! ```

use crate::ensemble::quorum::CommittedHistory;
use mailstorm_shared::Zxid;
use std::collections::VecDeque;

/// One transaction in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) zxid: Zxid,
    /// `None` when it was found after a crash that came before its `Appended` could be told.
    pub(crate) digest: Option<u32>,
}

impl Logged {
    /// Whether both are the same transaction, as far as is known.
    pub(crate) fn agrees_with(self, other: Self) -> bool {
        self.zxid == other.zxid
            && (self.digest.is_none() || other.digest.is_none() || self.digest == other.digest)
    }
}

/// Something handed to the disk that it has not reported as done.
#[derive(Clone, Copy, Debug)]
enum Step {
    Append(Logged),
    Truncate { after: Zxid },
    Replace { snapshot: Zxid },
}

impl Step {
    /// Where the log ends after it.
    fn end(self) -> Zxid {
        match self {
            Self::Append(logged) => logged.zxid,
            Self::Truncate { after } => after,
            Self::Replace { snapshot } => snapshot,
        }
    }
}

/// What became of a log over a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recovery {
    /// Everything durable is there.
    Whole,
    /// The log ends before what was durable.
    Lost {
        /// Up to where it was durable.
        durable: Zxid,
    },
}

/// One server's log.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerLog {
    /// The disk has the committed history up to here, as a snapshot or as log.
    base: Zxid,
    /// How many transactions of the committed history that is.
    base_count: usize,
    /// What the disk has after that.
    disk: VecDeque<Logged>,
    /// What was handed to the disk since.
    pending: VecDeque<Step>,
    /// What was durable, was perhaps acknowledged to a leader, and fell victim to the disk.
    lost: Vec<Logged>,
    /// Up to where committed history fell victim to the disk.
    lost_base: Zxid,
}

impl ServerLog {
    /// The last transaction it believes to have.
    pub(crate) fn last(&self) -> Zxid {
        self.pending.back().map_or_else(|| self.disk_last(), |step| step.end())
    }

    fn disk_last(&self) -> Zxid {
        self.disk.back().map_or(self.base, |logged| logged.zxid)
    }

    pub(crate) fn append(&mut self, logged: Logged) {
        self.pending.push_back(Step::Append(logged));
    }

    pub(crate) fn truncate(&mut self, after: Zxid) {
        self.pending.push_back(Step::Truncate { after });
    }

    pub(crate) fn replace(&mut self, snapshot: Zxid) {
        self.pending.push_back(Step::Replace { snapshot });
    }

    /// The disk has everything up to the first step that ends at `zxid`; later steps that end
    /// there, too, wait for the next report, so that nothing counts as durable too early. Returns
    /// whether a snapshot replaced what the disk had.
    pub(crate) fn durable(&mut self, zxid: Zxid, history: &CommittedHistory) -> bool {
        let Some(done) = self.pending.iter().position(|step| step.end() == zxid) else {
            return false;
        };
        let mut replaced = false;
        for _ in 0..=done {
            if let Some(step) = self.pending.pop_front() {
                replaced |= matches!(step, Step::Replace { .. });
                self.carry_out(step, history);
            }
        }
        replaced
    }

    fn carry_out(&mut self, step: Step, history: &CommittedHistory) {
        match step {
            Step::Append(logged) => self.disk.push_back(logged),
            Step::Truncate { after } => {
                let kept = self.disk.partition_point(|logged| logged.zxid <= after);
                self.disk.truncate(kept);
            }
            Step::Replace { snapshot } => {
                self.disk.clear();
                self.base = snapshot;
                self.base_count = history.position(snapshot);
            }
        }
    }

    /// Up to where the log on its disk reaches at the least: a cut that is under way may be done.
    pub(crate) fn reaches(&self) -> Zxid {
        self.pending.iter().map(|step| step.end()).fold(self.disk_last(), Zxid::min)
    }

    /// Whether its disk had this transaction, committed or not, when it last could speak for it.
    /// What a damaged disk lost since counts: the acknowledgement may have left before.
    pub(crate) fn held_durably(&self, wanted: Logged) -> bool {
        wanted.zxid <= self.base.max(self.lost_base)
            || find(&self.disk, wanted)
            || self.lost.iter().any(|logged| logged.agrees_with(wanted))
    }

    /// Whether its disk has this committed transaction now.
    pub(crate) fn holds_durably(&self, wanted: Logged) -> bool {
        wanted.zxid <= self.base || find(&self.disk, wanted)
    }

    /// A durable transaction in the same place but with other contents, if there is one.
    pub(crate) fn contradicts(&self, wanted: Logged) -> bool {
        let index = self.disk.partition_point(|logged| logged.zxid < wanted.zxid);
        self.disk
            .get(index)
            .is_some_and(|logged| logged.zxid == wanted.zxid && !logged.agrees_with(wanted))
    }

    /// What it believes to have: how much of the committed history for certain, and what after
    /// that.
    pub(crate) fn view(&self, history: &CommittedHistory) -> (usize, Vec<Logged>) {
        let mut whole = Self { pending: VecDeque::new(), ..self.clone() };
        for step in &self.pending {
            whole.carry_out(*step, history);
        }
        (whole.base_count, whole.disk.into())
    }

    /// What it believes to have after `from`, up to `to`, oldest first.
    pub(crate) fn between(&self, from: Zxid, to: Zxid, history: &CommittedHistory) -> Vec<Logged> {
        let within = |logged: &Logged| logged.zxid > from && logged.zxid <= to;
        if self.pending.iter().any(|step| !matches!(step, Step::Append(_))) {
            return self.view(history).1.into_iter().filter(within).collect();
        }
        let start = self.disk.partition_point(|logged| logged.zxid <= from);
        let pending = self.pending.iter().filter_map(|step| match step {
            Step::Append(logged) => Some(*logged),
            Step::Truncate { .. } | Step::Replace { .. } => None,
        });
        self.disk.range(start..).copied().chain(pending).filter(within).collect()
    }

    /// Whether it believes to have this very transaction after `base`.
    pub(crate) fn has(&self, wanted: Logged, history: &CommittedHistory) -> bool {
        let before = Zxid(wanted.zxid.0.saturating_sub(1));
        let there = self.between(before, wanted.zxid, history);
        there.iter().any(|logged| logged.agrees_with(wanted))
    }

    /// A restart found a log (or snapshot) that ends at `last`. Some of the pending steps may have
    /// reached the disk: the shortest run of them that explains `last` did.
    pub(crate) fn recover(&mut self, last: Zxid, history: &CommittedHistory) -> Recovery {
        let durable = self.disk_last();
        let mut lowest = durable;
        for step in std::mem::take(&mut self.pending) {
            if self.disk_last() == last {
                break;
            }
            self.carry_out(step, history);
            lowest = lowest.min(self.disk_last());
        }
        if last > self.disk_last() {
            // The process died between the write and its telling: take the disk's word for it.
            self.disk.push_back(Logged { zxid: last, digest: None });
        }
        self.cut_to(last, history);
        if last < lowest { Recovery::Lost { durable } } else { Recovery::Whole }
    }

    /// Everything after `last` is gone from the disk.
    fn cut_to(&mut self, last: Zxid, history: &CommittedHistory) {
        let kept = self.disk.partition_point(|logged| logged.zxid <= last);
        self.lost.extend(self.disk.drain(kept..));
        if last < self.base {
            self.lost_base = self.lost_base.max(self.base);
            self.base = last;
            self.base_count = history.position(last);
        }
    }

    /// Moves `base` over what is durable and committed by now, so that the model stays small.
    pub(crate) fn settle(&mut self, history: &CommittedHistory) {
        while let (Some(front), Some(committed)) = (self.disk.front(), history.get(self.base_count))
            && front.agrees_with(committed.logged())
        {
            self.base = committed.zxid;
            self.base_count += 1;
            self.disk.pop_front();
        }
        if !self.lost.is_empty() {
            let committed = history.last();
            self.lost.retain(|logged| logged.zxid > committed);
        }
    }
}

fn find(disk: &VecDeque<Logged>, wanted: Logged) -> bool {
    let index = disk.partition_point(|logged| logged.zxid < wanted.zxid);
    disk.get(index).is_some_and(|logged| logged.agrees_with(wanted))
}
