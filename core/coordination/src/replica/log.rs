//! The history as far as it is in memory: what learners are synchronised from.
//!
//! Owns: the entries since a bit before the last snapshot, how far they are known to be committed,
//! and how far they are on disk. Leaves: the disk itself to `disk`, and who may say what is
//! committed to `leading` and `following`.
//! Holds: entries ascend; after `base` there is no gap; `base <= committed <= last` and `durable <=
//! last`. Committed means delivered: nothing is marked committed without being handed to the server
//! in the same call, and committed entries are never cut, nor those that an earlier life of the
//! server knew to be committed.
//! Start at [`Log::plan`].

use mailstorm_shared::Zxid;
use mailstorm_wire::txn::Entry;
use std::collections::VecDeque;

/// A server's history since `base`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Log {
    /// Everything after this is in `entries`, without a gap. Itself part of the history, or zero.
    base: Zxid,
    entries: VecDeque<Entry>,
    /// How many bytes `entries` have.
    bytes: usize,
    /// How many of `entries` are committed.
    committed_count: usize,
    /// The last committed transaction; may be `base`.
    committed: Zxid,
    /// Up to here everything was committed in an earlier life: not delivered for that, and never
    /// cut.
    recalled: Zxid,
    /// Up to here the present history is on disk.
    durable: Zxid,
}

/// How much of a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Volume {
    pub(super) entries: usize,
    pub(super) bytes: usize,
}

impl Volume {
    /// One entry more.
    pub(super) fn add(&mut self, entry: &Entry) {
        self.entries += 1;
        self.bytes += entry.bytes.len();
    }
}

/// How to bring a learner's log to the leader's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SyncPlan {
    /// Send what comes after its last entry.
    Diff {
        /// The learner's last entry, which is the leader's too.
        after: Zxid,
    },
    /// Cut its log after this common entry, then send what comes after.
    Truncate {
        /// The last entry both have.
        after: Zxid,
    },
    /// It is too far behind: send everything.
    Snapshot,
}

fn bytes_of(entries: &VecDeque<Entry>) -> usize {
    entries.iter().map(|entry| entry.bytes.len()).sum()
}

/// Whether `next` can stand right after `last`: the same epoch's next counter, or the first of a
/// later epoch. What lies between two epochs cannot be told from the numbers.
pub(super) fn stands_after(last: Zxid, next: Zxid) -> bool {
    if next.epoch() == last.epoch() {
        last.counter().checked_add(1) == Some(next.counter())
    } else {
        next.epoch() > last.epoch() && next.counter() == 1
    }
}

impl Log {
    /// The history found on disk: a snapshot, and a log that may reach back before it. What is in
    /// the snapshot is committed; of the rest nobody can tell until a leader does.
    pub(super) fn recovered(snapshot: Option<Zxid>, log: Vec<Entry>) -> Self {
        let snapshot = snapshot.unwrap_or(Zxid::ZERO);
        let mut entries = VecDeque::from(log);
        // A log that ends before the snapshot, or has lost the entries right after it, does not
        // continue it: only the snapshot counts.
        let continues = match entries.front() {
            Some(first) if first.zxid > snapshot => stands_after(snapshot, first.zxid),
            _ => entries.back().is_some_and(|last| last.zxid >= snapshot),
        };
        if !continues {
            entries.clear();
        }
        // When the log reaches back before the snapshot, its first entry is the base: what was
        // before is gone, but a learner that ends exactly there can be brought up to date.
        let base = match entries.front() {
            Some(first) if first.zxid <= snapshot => first.zxid,
            _ => snapshot,
        };
        while entries.front().is_some_and(|first| first.zxid <= base) {
            entries.pop_front();
        }
        let bytes = bytes_of(&entries);
        let committed_count = entries.partition_point(|e| e.zxid <= snapshot);
        let durable = entries.back().map_or(base, |e| e.zxid).max(snapshot);
        let recalled = Zxid::ZERO;
        Self { base, entries, bytes, committed_count, committed: snapshot, recalled, durable }
    }

    /// The last entry of the history, committed or not.
    pub(super) fn last(&self) -> Zxid {
        self.entries.back().map_or(self.base, |e| e.zxid)
    }

    /// The last entry known to be committed, and delivered.
    pub(super) fn committed(&self) -> Zxid {
        self.committed
    }

    /// Everything up to `zxid` was committed in an earlier life, as far as it is here.
    pub(super) fn recall_committed(&mut self, zxid: Zxid) {
        self.recalled = zxid.min(self.last());
    }

    /// The last entry known to be committed, be it delivered or not.
    pub(super) fn known_committed(&self) -> Zxid {
        self.committed.max(self.recalled)
    }

    /// How many entries are not committed yet.
    pub(super) fn uncommitted_count(&self) -> usize {
        self.entries.len() - self.committed_count
    }

    /// Up to here this history is on disk.
    pub(super) fn durable(&self) -> Zxid {
        self.durable
    }

    /// Everything after this is in memory.
    pub(super) fn base(&self) -> Zxid {
        self.base
    }

    /// The disk holds the entry `zxid`, and all before it.
    pub(super) fn set_durable(&mut self, zxid: Zxid) {
        assert!(zxid <= self.last(), "the disk holds an entry that the history does not have");
        self.durable = self.durable.max(zxid);
    }

    /// Adds an entry. Every entry that goes to the disk goes in here as well, whatever the phase: a
    /// history in memory with a hole in it would be handed on when this server leads
    /// (ZOOKEEPER-4925, ZOOKEEPER-2845 is the reverse).
    pub(super) fn append(&mut self, entry: Entry) {
        assert!(entry.zxid > self.last(), "a history only grows at its end");
        self.bytes += entry.bytes.len();
        self.entries.push_back(entry);
    }

    /// The entry at `zxid`, if it is in memory.
    pub(super) fn get(&self, zxid: Zxid) -> Option<&Entry> {
        let index = self.entries.partition_point(|e| e.zxid < zxid);
        self.entries.get(index).filter(|e| e.zxid == zxid)
    }

    /// Whether the history is known to have `zxid`.
    pub(super) fn contains(&self, zxid: Zxid) -> bool {
        zxid == self.base || self.get(zxid).is_some()
    }

    /// The entries after `zxid`, which is not before the base.
    pub(super) fn after(&self, zxid: Zxid) -> impl Iterator<Item = &Entry> {
        assert!(zxid >= self.base, "these entries are no longer in memory");
        let index = if zxid >= self.last() {
            self.entries.len()
        } else {
            self.entries.partition_point(|e| e.zxid <= zxid)
        };
        self.entries.range(index..)
    }

    /// Cuts the history after `after`.
    pub(super) fn truncate(&mut self, after: Zxid) {
        assert!(after >= self.known_committed(), "what is committed is never cut");
        assert!(self.contains(after), "a history is cut at an entry it has");
        let cut = self.entries.split_off(self.entries.partition_point(|e| e.zxid <= after));
        self.bytes -= bytes_of(&cut);
        self.durable = self.durable.min(after);
    }

    /// Replaces the history by a leader's snapshot, which holds nothing but committed entries.
    pub(super) fn replace(&mut self, snapshot: Zxid) {
        assert!(snapshot >= self.committed, "a snapshot never takes back what was delivered");
        self.entries.clear();
        self.bytes = 0;
        self.base = snapshot;
        self.committed_count = 0;
        self.committed = snapshot;
        self.durable = self.durable.min(snapshot);
    }

    /// Marks everything up to `zxid` as committed, and returns what that adds, to be delivered.
    pub(super) fn commit(&mut self, zxid: Zxid) -> impl Iterator<Item = &Entry> {
        assert!(zxid <= self.last(), "only what is logged can be committed");
        let from = self.committed_count;
        while self.entries.get(self.committed_count).is_some_and(|e| e.zxid <= zxid) {
            self.committed = self.entries[self.committed_count].zxid;
            self.committed_count += 1;
        }
        self.entries.range(from..self.committed_count)
    }

    /// How to bring a learner whose history ends with `learner_last` to this one.
    ///
    /// Only zxids identify entries here, so "the last entry both have" is the largest of ours that
    /// is not after the learner's last. That it is the learner's as well follows from Zab:
    /// proposals of an epoch come from its one established leader, and every later leader's history
    /// begins with the one that epoch began with, followed by a prefix of that epoch's proposals.
    /// So where the learner's tail is of an epoch unknown here, it branched off after an entry that
    /// is known here. The learner checks it all the same when it is told to cut.
    ///
    /// The plan is made from the *log*, committed or not, and never from how far the database has
    /// come: a leader that compares what it has applied takes a learner with more in its log for
    /// one that needs nothing (ZOOKEEPER-2832), or one that needs a cut for one that does not
    /// (ZOOKEEPER-1154), or cuts too much (ZOOKEEPER-1156).
    pub(super) fn plan(&self, learner_last: Zxid) -> SyncPlan {
        if learner_last < self.base {
            // Also where a cut would have to go past our snapshot: there is nothing to find the
            // common entry with.
            return SyncPlan::Snapshot;
        }
        let index = self.entries.partition_point(|e| e.zxid <= learner_last);
        let common = if index == 0 { self.base } else { self.entries[index - 1].zxid };
        if common == learner_last {
            SyncPlan::Diff { after: common }
        } else {
            SyncPlan::Truncate { after: common }
        }
    }

    /// The entry before `zxid`, as far as memory reaches back.
    pub(super) fn before(&self, zxid: Zxid) -> Zxid {
        let index = self.entries.partition_point(|e| e.zxid < zxid);
        index.checked_sub(1).map_or(self.base, |before| self.entries[before].zxid)
    }

    /// Forgets committed entries in the middle, and never the newest: the hole that ZOOKEEPER-4925
    /// left.
    pub(super) fn forget_between(&mut self, after: Zxid, up_to: Zxid) {
        let (count, last) = (self.entries.len(), self.last());
        self.entries.retain(|e| e.zxid <= after || e.zxid > up_to || e.zxid == last);
        self.committed_count -= count - self.entries.len();
        self.bytes = bytes_of(&self.entries);
    }

    /// Forgets entries that a snapshot on disk contains, except the youngest `kept` of them (with
    /// at most `kept_bytes`) and those after `needed`, which a learner still has to be sent.
    pub(super) fn trim(
        &mut self,
        snapshot: Zxid,
        kept: usize,
        kept_bytes: usize,
        needed: Option<Zxid>,
    ) {
        assert!(snapshot <= self.committed, "a snapshot holds only what was delivered");
        let limit = needed.map_or(snapshot, |needed| needed.min(snapshot));
        let mut cut = self.entries.partition_point(|e| e.zxid <= limit);
        let mut bytes = 0;
        let mut count = 0;
        while cut > 0 && count < kept {
            bytes += self.entries[cut - 1].bytes.len();
            if bytes > kept_bytes {
                break;
            }
            cut -= 1;
            count += 1;
        }
        for entry in self.entries.drain(..cut) {
            self.base = entry.zxid;
            self.bytes -= entry.bytes.len();
        }
        self.committed_count -= cut;
    }

    /// What always holds, as far as it costs nothing to look.
    pub(super) fn invariants(&self) {
        let last = self.last();
        assert!(self.base <= self.committed, "what is no longer in memory is committed");
        assert!(self.committed <= last, "what is committed is logged");
        assert!(self.recalled <= last, "what was committed is still logged");
        assert!(self.durable <= last, "what is on disk is logged");
        assert!(
            self.committed_count <= self.entries.len(),
            "the committed entries are among those in memory"
        );
        let first = self.entries.front();
        assert!(
            first.is_none_or(|entry| entry.zxid > self.base),
            "what is in memory comes after what is not"
        );
        let delivered = self.committed_count.checked_sub(1).and_then(|at| self.entries.get(at));
        assert!(
            delivered.is_none_or(|entry| entry.zxid <= self.committed),
            "no entry counts as committed beyond the last committed one"
        );
        let next = self.entries.get(self.committed_count);
        assert!(
            next.is_none_or(|entry| entry.zxid > self.committed),
            "every entry up to the last committed one counts as committed"
        );
    }

    /// How much is in memory.
    pub(super) fn volume(&self) -> Volume {
        Volume { entries: self.entries.len(), bytes: self.bytes }
    }

    /// How much after `zxid` is committed.
    pub(super) fn committed_after(&self, zxid: Zxid) -> Volume {
        let index = self.entries.partition_point(|e| e.zxid <= zxid);
        let mut volume = Volume::default();
        self.entries
            .range(index.min(self.committed_count)..self.committed_count)
            .for_each(|entry| volume.add(entry));
        volume
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::transcripts::{entries, z};

    /// A log with a snapshot at this zxid.
    fn log(snapshot: &str, text: &str) -> Log {
        Log::recovered((snapshot != "0:0").then(|| z(snapshot)), entries(text))
    }

    fn text(log: &Log) -> String {
        let all: Vec<String> = log.after(log.base()).map(|e| e.zxid.to_string()).collect();
        format!("({}) {}", log.base(), all.join(" "))
    }

    fn check_plan(snapshot: &str, leader: &str, learner_last: &str, expected: &str) {
        let plan = match log(snapshot, leader).plan(z(learner_last)) {
            SyncPlan::Diff { after } => format!("diff after {after}"),
            SyncPlan::Truncate { after } => format!("cut after {after}"),
            SyncPlan::Snapshot => "snapshot".to_owned(),
        };
        assert_eq!(plan, expected, "leader ({snapshot}) {leader}, learner {learner_last}");
    }

    #[test]
    fn a_learner_that_lacks_only_the_end_is_sent_it() {
        check_plan("0:0", "1:1 1:2 2:1", "1:2", "diff after 1:2");
        check_plan("0:0", "1:1 1:2 2:1", "2:1", "diff after 2:1");
        check_plan("0:0", "1:1 1:2 2:1", "0:0", "diff after 0:0");
        check_plan("0:0", "", "0:0", "diff after 0:0");
        check_plan("1:4", "1:5 2:1", "1:4", "diff after 1:4");
    }

    #[test]
    fn a_learner_with_entries_that_the_leader_does_not_have_cuts_them() {
        check_plan("0:0", "1:1 1:2", "1:3", "cut after 1:2");
        check_plan("0:0", "", "1:3", "cut after 0:0");
        check_plan("0:0", "1:1 1:2 3:1", "2:4", "cut after 1:2"); // an epoch unknown here
        check_plan("0:0", "1:1 1:2 3:1", "1:9", "cut after 1:2"); // a longer tail of an earlier one
        check_plan("0:0", "1:1 1:2 3:1", "3:2", "cut after 3:1");
        check_plan("0:0", "1:1 1:2 3:1", "4:1", "cut after 3:1");
        check_plan("1:4", "3:1", "2:7", "cut after 1:4");
    }

    #[test]
    fn a_learner_that_ends_before_what_is_in_memory_gets_a_snapshot() {
        check_plan("1:4", "1:5 2:1", "1:3", "snapshot");
        check_plan("1:4", "1:5 2:1", "0:0", "snapshot");
        check_plan("1:4", "", "1:3", "snapshot");
        // The log reaches back before the snapshot: its first entry is the last that can be met.
        check_plan("1:4", "1:2 1:3 1:4 1:5", "1:2", "diff after 1:2");
        check_plan("1:4", "1:2 1:3 1:4 1:5", "1:1", "snapshot");
    }

    #[test]
    fn what_was_recovered_is_committed_as_far_as_the_snapshot_goes() {
        let check = |snapshot: &str, found: &str, expected: &str, committed: &str| {
            let log = log(snapshot, found);
            assert_eq!(text(&log), expected, "({snapshot}) {found}");
            assert_eq!(log.committed(), z(committed), "({snapshot}) {found}");
            assert_eq!(log.durable(), log.last(), "({snapshot}) {found}");
        };
        check("0:0", "", "(0:0) ", "0:0");
        check("0:0", "1:1 1:2", "(0:0) 1:1 1:2", "0:0");
        check("1:2", "1:3 2:1", "(1:2) 1:3 2:1", "1:2");
        check("1:2", "1:1 1:2 1:3", "(1:1) 1:2 1:3", "1:2");
        check("1:2", "1:2", "(1:2) ", "1:2");
        // Such a log does not continue the snapshot.
        check("1:5", "1:1 1:2", "(1:5) ", "1:5");
        check("1:5", "1:7 1:8", "(1:5) ", "1:5");
        check("0:0", "2:3", "(0:0) ", "0:0");
    }

    #[test]
    fn cutting_keeps_what_is_common_and_forgets_what_was_durable_after_it() {
        let mut log = log("1:1", "1:2 1:3 2:1");
        assert_eq!(log.commit(z("1:2")).count(), 1);
        log.truncate(z("1:3"));
        assert_eq!((text(&log), log.durable()), ("(1:1) 1:2 1:3".to_owned(), z("1:3")));
        log.truncate(z("1:2"));
        assert_eq!(text(&log), "(1:1) 1:2");
    }

    #[test]
    #[should_panic(expected = "what is committed is never cut")]
    fn what_is_committed_is_never_cut() {
        log("1:2", "1:1 1:2 1:3").truncate(z("1:1"));
    }

    #[test]
    fn each_entry_is_delivered_once_and_in_order() {
        let mut log = log("0:0", "1:1 1:2 2:1 2:2");
        let mut deliver = |zxid: &str| -> Vec<String> {
            log.commit(z(zxid)).map(|e| e.zxid.to_string()).collect()
        };
        assert_eq!(deliver("1:1"), ["1:1"]);
        assert_eq!(deliver("1:1"), [""; 0]);
        assert_eq!(deliver("2:1"), ["1:2", "2:1"]);
        assert_eq!(deliver("1:2"), [""; 0]);
        assert_eq!(log.uncommitted_count(), 1);
    }

    #[test]
    fn a_snapshot_frees_memory_except_for_what_learners_may_ask_for() {
        let check = |kept, kept_bytes, needed: Option<&str>, expected: &str| {
            let mut log = log("0:0", "1:1 1:2 1:3 1:4 1:5 1:6");
            log.commit(z("1:5")).for_each(drop);
            log.trim(z("1:4"), kept, kept_bytes, needed.map(z));
            assert_eq!(text(&log), expected);
            assert_eq!(log.committed_after(z("1:4")), Volume { entries: 1, bytes: 3 });
            assert_eq!(log.uncommitted_count(), 1);
        };
        check(0, 0, None, "(1:4) 1:5 1:6");
        check(2, 1_000, None, "(1:2) 1:3 1:4 1:5 1:6");
        check(2, 5, None, "(1:3) 1:4 1:5 1:6"); // an entry here has three bytes
        check(9, 1_000, None, "(0:0) 1:1 1:2 1:3 1:4 1:5 1:6");
        check(0, 0, Some("1:2"), "(1:2) 1:3 1:4 1:5 1:6");
        check(0, 0, Some("1:6"), "(1:4) 1:5 1:6");
    }
}
