//! One learner, as its leader sees it: how far the relation has come, and what is on its way to it.
//!
//! Holds: everything after the sync plan's first entry is sent to the learner in the order of the
//! log and without a gap, by one cursor (`sent`); what is on its way is bounded by a window, so a
//! slow learner costs no memory beyond the leader's log.

use super::base::{Base, send};
use super::log::SyncPlan;
use super::{Outbox, ReplicaConfig, ReplicaEvent};
use crate::io::LinkId;
use mailstorm_shared::{Epoch, Instant, ServerId, Zxid, planted};
use mailstorm_wire::peer::{PeerMessage, Standing};
use std::collections::VecDeque;

/// How far a relation has come, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Step {
    /// The link is up.
    Connected,
    /// It has told what it promised before.
    Introduced,
    /// It was asked to promise our epoch.
    Asked,
    /// It has promised, durably, and told its history's end.
    Promised,
    /// It is sent a snapshot.
    Snapshot,
    /// It is sent the entries it lacks.
    CatchingUp,
    /// It was told that our history ends here.
    NewLeaderSent,
    /// It has our history, and our epoch as its current one, on disk: its word counts.
    Acknowledged,
    /// It was told to serve.
    Serving,
}

/// A learner of ours.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Learner {
    pub(super) link: LinkId,
    pub(super) server: ServerId,
    /// What it says it is; meaningless before [`Step::Introduced`].
    pub(super) standing: Standing,
    pub(super) step: Step,
    /// The newest epoch it had promised when it came.
    pub(super) accepted_epoch: Epoch,
    /// Whose history it had when it promised, ...
    pub(super) current_epoch: Epoch,
    /// ... and where that ended.
    pub(super) last_logged: Zxid,
    /// When it last showed that it hears us.
    pub(super) answered_at: Instant,
    /// The last ping round it answered.
    pub(super) pong_round: u64,
    /// A ping that it has not answered yet, and when that was sent; others may follow it.
    unanswered: Option<(u64, Instant)>,
    /// It has told everything that it had heard by then of its clients: its answer to a ping of
    /// that time has come.
    pub(super) reported_until: Instant,
    /// The ping round that was running when it promised.
    pub(super) promised_in_round: u64,
    /// A joiner: may vote once a majority of others has answered this round.
    pub(super) admit_round: Option<u64>,
    /// Every entry up to here is on its way or there.
    pub(super) sent: Zxid,
    /// It has everything up to here on disk.
    acked: Zxid,
    /// Our history as it was to begin the epoch for this learner: NEWLEADER follows it.
    history_end: Zxid,
    /// The commit point it knows.
    told_committed: Zxid,
    /// What is on its way: place and bytes.
    window: VecDeque<(Zxid, usize)>,
    window_bytes: usize,
}

impl Learner {
    pub(super) fn new(link: LinkId, server: ServerId, now: Instant) -> Self {
        Self {
            link,
            server,
            standing: Standing::Observer,
            step: Step::Connected,
            accepted_epoch: Epoch(0),
            current_epoch: Epoch(0),
            last_logged: Zxid::ZERO,
            answered_at: now,
            pong_round: 0,
            unanswered: None,
            reported_until: now,
            promised_in_round: 0,
            admit_round: None,
            sent: Zxid::ZERO,
            acked: Zxid::ZERO,
            history_end: Zxid::ZERO,
            told_committed: Zxid::ZERO,
            window: VecDeque::new(),
            window_bytes: 0,
        }
    }

    /// A voter that has come as far as `step`.
    pub(super) fn votes_at(&self, step: Step) -> bool {
        self.standing == Standing::Voter && self.step >= step
    }

    /// A voter that has promised our epoch, and has no more history than this.
    pub(super) fn promises_with(&self, history: (Epoch, Zxid)) -> bool {
        self.votes_at(Step::Promised) && (self.current_epoch, self.last_logged) <= history
    }

    /// Whether it has answered this round, or a later one, and had promised before the round began.
    pub(super) fn confirms_promise_in(&self, round: u64, history: (Epoch, Zxid)) -> bool {
        self.promises_with(history) && self.pong_round >= round && self.promised_in_round < round
    }

    /// It is sent this ping.
    pub(super) fn pinged(&mut self, round: u64, now: Instant) {
        self.unanswered.get_or_insert((round, now));
    }

    /// It has answered this ping. The answer may take several messages, of which all but the last
    /// are full of sessions.
    pub(super) fn answered(&mut self, round: u64, now: Instant, is_full: bool) {
        self.pong_round = self.pong_round.max(round);
        self.answered_at = now;
        if let Some((pinged, at)) = self.unanswered
            && round >= pinged
            && !is_full
        {
            self.reported_until = at;
            self.unanswered = None;
        }
    }

    /// How far it acknowledged, as far as that counts towards a majority.
    pub(super) fn counted_ack(&self) -> Option<Zxid> {
        self.votes_at(Step::Acknowledged).then_some(self.acked)
    }

    /// Fixes how this learner is brought to our history, and begins. From here on it gets every
    /// proposal, old or new, in order.
    ///
    /// That is the answer to the first hole in the published Zab: a proposal made while a learner
    /// is between its promise and its acknowledgement of NEWLEADER must reach it, or it would be
    /// missing for ever (ZOOKEEPER-1319 lost data that way). Here nobody has to be put on a list in
    /// time: the cursor runs from the plan's first entry to the end of the log, wherever that is by
    /// then.
    pub(super) fn begin_sync(&mut self, base: &Base, out: &mut Outbox) {
        assert_eq!(self.step, Step::Promised, "synchronisation begins with the promise");
        let defects = base.config.defects;
        match base.log.plan(self.last_logged) {
            SyncPlan::Diff { after } if planted!(defects, RepeatedProposalSkipsAck) => {
                self.catch_up_after(base.log.before(after), base);
            }
            SyncPlan::Diff { after } => self.catch_up_after(after, base),
            SyncPlan::Truncate { after } if planted!(defects, DiffForTrunc) => {
                self.catch_up_after(after, base);
            }
            SyncPlan::Truncate { after } => {
                send(self.link, PeerMessage::Truncate { after }, out);
                self.catch_up_after(after, base);
            }
            SyncPlan::Snapshot => {
                // ZOOKEEPER-3642: the snapshot is the committed state, which is what our database
                // holds, and nothing of our log's uncommitted tail: the learner takes it for
                // committed even if we die right after. The tail follows as proposals.
                let zxid = base.log.committed();
                send(self.link, PeerMessage::SnapshotBegin { zxid }, out);
                out.events.push_back(ReplicaEvent::SnapshotWanted { link: self.link });
                self.sent = zxid;
                self.step = Step::Snapshot;
            }
        }
        self.pump(base, out);
    }

    /// The snapshot is sent whole.
    pub(super) fn snapshot_sent(&mut self, base: &Base, out: &mut Outbox) {
        assert_eq!(self.step, Step::Snapshot, "only a snapshot that was begun ends");
        send(self.link, PeerMessage::SnapshotEnd, out);
        self.catch_up_after(self.sent, base);
        if planted!(base.config.defects, NewLeaderEarlyInSnap) {
            self.history_end = self.sent;
        }
        self.pump(base, out);
    }

    fn catch_up_after(&mut self, after: Zxid, base: &Base) {
        self.sent = after;
        // Our database went on while the snapshot was made, so parts of it are newer than its zxid.
        // It makes sense only together with all entries up to here (ZOOKEEPER-3104: NEWLEADER that
        // is sent earlier lets the learner serve, or vote with, half a history).
        self.history_end = base.log.last();
        self.step = Step::CatchingUp;
    }

    fn window_open(&self, config: &ReplicaConfig) -> bool {
        planted!(config.defects, WindowIgnored)
            || self.window.is_empty()
            || (self.window.len() < config.window_entries_max
                && self.window_bytes < config.window_bytes_max)
    }

    /// How many entries are on their way.
    pub(super) fn window_entries(&self) -> usize {
        self.window.len()
    }

    /// How many bytes they have.
    pub(super) fn window_bytes(&self) -> usize {
        self.window_bytes
    }

    /// Whether the next proposal can go to it together with the others'.
    pub(super) fn keeps_pace(&self, previous: Zxid, config: &ReplicaConfig) -> bool {
        self.step >= Step::CatchingUp && self.sent == previous && self.window_open(config)
    }

    /// An entry has been sent to it.
    pub(super) fn note_sent(&mut self, zxid: Zxid, bytes: usize) {
        self.sent = zxid;
        self.window.push_back((zxid, bytes));
        self.window_bytes += bytes;
    }

    /// Sends what the window lets through: entries, then NEWLEADER when our history has been sent.
    pub(super) fn pump(&mut self, base: &Base, out: &mut Outbox) {
        if self.step < Step::CatchingUp {
            return;
        }
        if self.sent < base.log.last() {
            for entry in base.log.after(self.sent) {
                if !self.window_open(&base.config) {
                    break;
                }
                if planted!(base.config.defects, NewLeaderStartUnset)
                    && self.step == Step::CatchingUp
                    && entry.zxid.epoch() == base.state.accepted_epoch
                {
                    self.sent = entry.zxid;
                    continue;
                }
                self.note_sent(entry.zxid, entry.bytes.len());
                send(self.link, PeerMessage::Propose { entry: entry.clone() }, out);
                if self.step == Step::CatchingUp && self.sent == self.history_end {
                    self.send_new_leader(base, out);
                }
            }
        }
        if self.step == Step::CatchingUp && self.sent >= self.history_end {
            self.send_new_leader(base, out);
        }
    }

    fn send_new_leader(&mut self, base: &Base, out: &mut Outbox) {
        let epoch = base.state.accepted_epoch;
        send(self.link, PeerMessage::NewLeader { epoch, last_logged: self.sent }, out);
        self.history_end = self.sent;
        self.step = Step::NewLeaderSent;
    }

    /// It has our history, as NEWLEADER told it, on disk.
    pub(super) fn acknowledged_history(&mut self) {
        assert_eq!(self.step, Step::NewLeaderSent, "NEWLEADER is acknowledged once");
        self.step = Step::Acknowledged;
        self.note_acked(self.history_end);
    }

    /// It has everything up to `zxid` on disk.
    pub(super) fn note_acked(&mut self, zxid: Zxid) {
        assert!(zxid <= self.sent, "nobody acknowledges what was not sent");
        self.acked = self.acked.max(zxid);
        while let Some(&(first, bytes)) = self.window.front() {
            if first > zxid {
                break;
            }
            self.window.pop_front();
            self.window_bytes -= bytes;
        }
    }

    /// What always holds of a learner, given our log and how far the role has come.
    pub(super) fn invariants(&self, base: &Base, round: u64, established: bool) {
        assert!(self.sent <= base.log.last(), "a learner is sent only what is logged");
        assert!(self.acked <= self.sent, "a learner acknowledges only what it was sent");
        assert!(self.told_committed <= self.sent, "a learner delivers only what it was sent");
        assert!(
            self.window_bytes == 0 || !self.window.is_empty(),
            "no bytes are counted where nothing is in flight"
        );
        assert!(
            self.window.back().is_none_or(|(last, _)| *last <= self.sent),
            "what is in flight was sent"
        );
        assert!(self.pong_round <= round, "a learner answers only rounds that have begun");
        assert!(
            self.step < Step::Serving || established,
            "no learner serves before its leader is established"
        );
    }

    /// Tells it to serve. What it may deliver is the leader's commit point, never what it
    /// acknowledged itself: the third hole in the published Zab, where COMMIT-LD says no zxid and
    /// an acknowledgement's is taken for it. Only so far, though, as it has been sent entries.
    pub(super) fn up_to_date(&mut self, base: &Base, out: &mut Outbox) {
        let committed = if planted!(base.config.defects, CommitWithAckZxid) {
            self.acked
        } else {
            base.log.committed().min(self.sent)
        };
        send(self.link, PeerMessage::UpToDate { committed }, out);
        self.told_committed = committed;
        self.step = Step::Serving;
    }

    /// Notes that it is told of everything committed that it has been sent; `None` when it knows.
    pub(super) fn commit_to_tell(&mut self, committed: Zxid) -> Option<Zxid> {
        let known = committed.min(self.sent);
        if self.step < Step::Serving || known <= self.told_committed {
            return None;
        }
        self.told_committed = known;
        Some(known)
    }
}
