//! The learner's part of Zab: promising the leader's epoch, taking over its history, logging its
//! proposals. Followers, observers and joiners alike; what differs is how the leader counts them.
//!
//! Owns: one relation to one leader, from the choice to the end. Leaves: the leader's side to
//! `leading`.
//! Holds: nothing is acknowledged before it is on disk; nothing is delivered before UPTODATE; what
//! was delivered is never cut. Whoever breaks the protocol is left.
//! Start at [`Step`], then [`Following::received`].
//!
//! What goes to the disk goes in this order, so that a crash after any part of it leaves a server
//! that may vote with what it has:
//!
//! ```text
//!   accepted epoch            then ACKEPOCH
//!   cut, or leader's snapshot (which replaces everything at its end, at once)
//!   the entries of the leader's history
//!   current epoch             then ACK of NEWLEADER
//!   proposals                 then their ACKs
//! ```

use super::base::{Base, Leave, Stay, cut, send};
use super::disk::WhenDurable;
use super::log::{SyncPlan, Volume, stands_after};
use super::{Outbox, ReplicaEvent};
use crate::io::{DiskCommand, LinkId, Output};
use bytes::Bytes;
use mailstorm_shared::facts::EnsembleFact;
use mailstorm_shared::machine::Loads;
use mailstorm_shared::{Defects, Epoch, Instant, ServerId, SessionId, Zxid, planted};
use mailstorm_wire::peer::{Forwarded, Notification, PeerMessage, PeerState, Standing};
use mailstorm_wire::txn::{Entry, TXN_BYTES_MAX};
use std::collections::BTreeSet;

/// How many sessions one pong tells of; the rest follows in more pongs of the same round. At ten
/// bytes each they stay far below what a frame between servers can carry.
pub(super) const TOUCHED_PER_PONG_MAX: usize = 100_000;

/// What an entry takes in a message besides its bytes, at most.
const ENTRY_BYTES: usize = 16;

/// How far the relation has come, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Step {
    /// The link is not up yet.
    Connecting,
    /// We have introduced ourselves and wait for the leader's epoch.
    Introduced,
    /// Our promise is on its way to our disk.
    Promising,
    /// The leader brings us to its history.
    Synchronising,
    /// The leader sends a snapshot of everything up to here.
    Receiving(Zxid),
    /// The history is complete, and on its way to our disk.
    Beginning,
    /// History and epoch are on disk, and the leader has been told.
    Acknowledged,
    /// The leader has told us to serve.
    Serving,
}

/// A relation to a leader.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Following {
    leader: ServerId,
    /// What we told the leader we are.
    standing: Standing,
    step: Step,
    link: Option<LinkId>,
    /// The leader's epoch; zero before we know it.
    epoch: Epoch,
    since: Instant,
    /// When the leader was heard last.
    heard_at: Instant,
    /// The last entry, or snapshot, that came in this relation; zero before the first.
    received: Zxid,
    /// What the leader knows us to have on disk, or what we had before it sent anything.
    acked: Zxid,
    /// Sessions heard of since the last pong.
    touched: BTreeSet<SessionId>,
}

impl Following {
    /// Begins to follow: asks for a link.
    pub(super) fn new(base: &mut Base, now: Instant, leader: ServerId, out: &mut Outbox) -> Self {
        // A link that was asked for earlier and has not come will do as well.
        if base.opening.insert(leader) {
            out.outputs.push(Output::OpenLearnerLink { peer: leader });
        }
        Self {
            leader,
            standing: base.standing(),
            step: Step::Connecting,
            link: None,
            epoch: Epoch(0),
            since: now,
            heard_at: now,
            received: Zxid::ZERO,
            acked: Zxid::ZERO,
            touched: BTreeSet::new(),
        }
    }

    pub(super) fn leader(&self) -> ServerId {
        self.leader
    }

    pub(super) fn standing(&self) -> Standing {
        self.standing
    }

    pub(super) fn link(&self) -> Option<LinkId> {
        self.link
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(super) fn is_serving(&self) -> bool {
        self.step == Step::Serving
    }

    /// Whether there is no link to the leader yet.
    pub(super) fn is_connecting(&self) -> bool {
        self.step == Step::Connecting
    }

    /// The leader's snapshot that is being received.
    pub(super) fn receives(&self) -> Option<Zxid> {
        match self.step {
            Step::Receiving(zxid) => Some(zxid),
            _ => None,
        }
    }

    /// Whether a leader's snapshot is being received.
    pub(super) fn is_receiving(&self) -> bool {
        self.receives().is_some()
    }

    /// Whether the leader brings us to its history, and we do not serve yet.
    pub(super) fn is_synchronising(&self) -> bool {
        (Step::Synchronising..Step::Serving).contains(&self.step)
    }

    /// What always holds of a learner, between two inputs.
    pub(super) fn invariants(&self, base: &Base) {
        assert_eq!(
            self.link.is_none(),
            self.step == Step::Connecting,
            "there is a link to the leader from the introduction on"
        );
        assert_ne!(self.leader, base.config.me, "nobody follows itself");
        assert!(
            self.step < Step::Promising || self.epoch <= base.state.accepted_epoch,
            "a learner promises the epoch of its leader first"
        );
        assert!(
            self.step < Step::Beginning || self.epoch == base.state.current_epoch,
            "the epoch of a learner with its leader's history is its current one"
        );
        assert!(self.received <= base.log.last(), "what came from the leader is logged");
        assert!(self.acked <= base.log.last(), "a learner acknowledges only what is logged");
    }

    /// How much a learner keeps; nothing without a leader.
    pub(super) fn loads(following: Option<&Self>, loads: &mut Loads) {
        // As many as have said something since the leader's last ping.
        loads.unbounded("sessions_seen", following.map_or(0, |f| f.touched.len()) as u64);
    }

    // ---- links ---------------------------------------------------------------------------------

    /// A link that we asked for is up. Returns whether it is wanted.
    pub(super) fn link_up(
        &mut self,
        base: &Base,
        now: Instant,
        link: LinkId,
        peer: ServerId,
        out: &mut Outbox,
    ) -> bool {
        if self.step != Step::Connecting || peer != self.leader {
            return false;
        }
        self.link = Some(link);
        self.step = Step::Introduced;
        self.heard_at = now;
        let accepted_epoch = base.state.accepted_epoch;
        let standing = self.standing;
        send(link, PeerMessage::FollowerInfo { accepted_epoch, standing }, out);
        true
    }

    /// A link is gone, or could not be opened.
    pub(super) fn link_down(&self, link: Option<LinkId>, peer: ServerId) -> Stay {
        match link {
            None if self.step == Step::Connecting && peer == self.leader => {
                Err(Leave::Avoid("the leader cannot be reached"))
            }
            Some(_) if link == self.link && self.step < Step::Synchronising => {
                Err(Leave::Avoid("the link to the leader is gone"))
            }
            Some(_) if link == self.link => Err(Leave::Look("the link to the leader is gone")),
            _ => Ok(()),
        }
    }

    /// The relation is over: closes what is open.
    pub(super) fn end(&mut self, out: &mut Outbox) {
        if let Some(link) = self.link.take() {
            out.outputs.push(Output::CloseLink { link });
        }
    }

    /// A notification of the leader. We chose it when it said on this link that it was elected, or
    /// leads; when it says anything else, that is over.
    pub(super) fn notified(&self, from: ServerId, said: &Notification) -> Stay {
        if from == self.leader && !matches!(said.state, PeerState::Elected | PeerState::Leading) {
            return Err(Leave::Look("the leader looks for another"));
        }
        Ok(())
    }

    // ---- messages ------------------------------------------------------------------------------

    /// A message of the leader arrived.
    pub(super) fn received(
        &mut self,
        base: &mut Base,
        now: Instant,
        message: PeerMessage,
        out: &mut Outbox,
    ) -> Stay {
        let link = self.link.expect("messages come on the relation's link");
        self.heard_at = now;
        match message {
            PeerMessage::LeaderInfo { epoch } if self.step == Step::Introduced => {
                self.promise(base, epoch, out)
            }
            PeerMessage::Truncate { after }
                if self.step == Step::Synchronising && self.received == Zxid::ZERO =>
            {
                if !planted!(base.config.defects, TruncateIgnored) {
                    cut(base, after, out)?;
                }
                self.acked = after;
                Ok(())
            }
            PeerMessage::HistoryWanted { last_logged }
                if self.step == Step::Synchronising && self.received == Zxid::ZERO =>
            {
                self.hand_over(base, last_logged, out)
            }
            PeerMessage::SnapshotBegin { zxid }
                if self.step == Step::Synchronising && self.received == Zxid::ZERO =>
            {
                self.begin_snapshot(base, zxid, out)
            }
            PeerMessage::SnapshotChunk { bytes } if self.is_receiving() => {
                let chunk = DiskCommand::SnapshotChunk { bytes: Bytes::clone(&bytes) };
                base.disk.issue(chunk, WhenDurable::ChunkStored { link }, out);
                out.events.push_back(ReplicaEvent::SnapshotChunk(bytes));
                Ok(())
            }
            PeerMessage::SnapshotEnd if self.is_receiving() => {
                self.install_snapshot(base, out);
                Ok(())
            }
            PeerMessage::Propose { entry }
                if self.step >= Step::Synchronising && !self.is_receiving() =>
            {
                self.log_proposal(base, entry, out)
            }
            PeerMessage::NewLeader { epoch, last_logged } if self.step == Step::Synchronising => {
                self.begin_epoch(base, epoch, last_logged, out)
            }
            PeerMessage::UpToDate { committed } if self.step == Step::Acknowledged => {
                self.serve(base, committed, out)
            }
            PeerMessage::Commit { zxid } if self.step == Step::Serving => commit(base, zxid, out),
            PeerMessage::Ping { round } => {
                let mut told = std::mem::take(&mut self.touched).into_iter();
                loop {
                    let touched = told.by_ref().take(TOUCHED_PER_PONG_MAX).collect();
                    send(link, PeerMessage::Pong { round, touched }, out);
                    if told.len() == 0 {
                        return Ok(());
                    }
                }
            }
            PeerMessage::Answer { ticket, answer } if self.step == Step::Serving => {
                out.events.push_back(ReplicaEvent::Answered { ticket, answer });
                Ok(())
            }
            PeerMessage::SessionMoved { session } if self.step == Step::Serving => {
                out.events.push_back(ReplicaEvent::SessionMoved { session });
                Ok(())
            }
            PeerMessage::Admit
                if self.step == Step::Serving
                    && self.standing == Standing::Joiner
                    && !base.state.votes =>
            {
                // From the disk on, not from here: a crash in between must find a joiner.
                base.state.votes = true;
                base.disk.issue(DiskCommand::SaveState(base.state), WhenDurable::Admitted, out);
                Ok(())
            }
            _ => Err(Leave::Look("the leader sent what cannot be")),
        }
    }

    /// Zab phase 1: promises to take part in no epoch before the leader's. The same epoch twice is
    /// fine here, since a leader counts a promise only from who had not made it to anybody before.
    fn promise(&mut self, base: &mut Base, epoch: Epoch, out: &mut Outbox) -> Stay {
        if epoch < base.state.accepted_epoch {
            return Err(Leave::Look("the leader's epoch is before the one promised"));
        }
        if !base.may_claim(epoch) {
            return Err(Leave::Avoid("the leader's epoch is beyond any that can have begun"));
        }
        let link = self.link.expect("the leader has spoken");
        self.epoch = epoch;
        self.step = Step::Promising;
        base.accept_epoch(epoch, WhenDurable::LearnerPromised { epoch, link }, out);
        Ok(())
    }

    /// The promise is on our disk: now it may be told.
    pub(super) fn promised_durably(&mut self, base: &mut Base, link: LinkId, out: &mut Outbox) {
        if self.link != Some(link) || self.step != Step::Promising {
            return; // of an earlier relation
        }
        self.step = Step::Synchronising;
        let current_epoch = base.state.current_epoch;
        let last_logged = base.history_end();
        self.acked = last_logged;
        send(link, PeerMessage::AckEpoch { current_epoch, last_logged }, out);
        if planted!(base.config.defects, CurrentEpochBeforeHistory) {
            base.begin_epoch(self.epoch, WhenDurable::Nothing, out);
        }
    }

    /// The leader has less history than we do, and needs us for its majority: sends what follows
    /// its own, as far as one message goes.
    fn hand_over(&self, base: &Base, last_logged: Zxid, out: &mut Outbox) -> Stay {
        let (SyncPlan::Diff { after } | SyncPlan::Truncate { after }) = base.log.plan(last_logged)
        else {
            // Our log begins after the leader's end, and a snapshot goes to learners only.
            return Err(Leave::Look("the leader lacks more than our log has"));
        };
        let mut bytes = 0;
        let entries: Vec<Entry> = (base.log.after(after))
            .take(base.config.window_entries_max)
            .take_while(|entry| {
                let first = bytes == 0;
                bytes += entry.bytes.len() + ENTRY_BYTES;
                first || bytes <= TXN_BYTES_MAX
            })
            .cloned()
            .collect();
        let link = self.link.expect("the leader has spoken");
        send(link, PeerMessage::HistoryPart { after, entries }, out);
        Ok(())
    }

    /// The leader's snapshot replaces everything, but only when it is whole; until then the old
    /// state stays, on disk and in memory.
    fn begin_snapshot(&mut self, base: &mut Base, zxid: Zxid, out: &mut Outbox) -> Stay {
        if zxid < base.log.last() {
            return Err(Leave::Look("the leader's snapshot is older than our log"));
        }
        self.step = Step::Receiving(zxid);
        if planted!(base.config.defects, DiffOverHalfSnap) {
            base.log.replace(zxid);
        }
        let voids_own = std::mem::take(&mut base.snapshots.under_way);
        out.tell(EnsembleFact::SnapshotBegun { zxid, voids_own });
        base.disk.issue(DiskCommand::SnapshotBegin { zxid }, WhenDurable::Nothing, out);
        out.events.push_back(ReplicaEvent::SnapshotReplaces { zxid });
        Ok(())
    }

    /// A part of the snapshot is with our disk: the next one may come.
    pub(super) fn chunk_stored(&self, link: LinkId, out: &mut Outbox) {
        if self.link == Some(link) && self.is_receiving() {
            send(link, PeerMessage::SnapshotWanted, out);
        }
    }

    fn install_snapshot(&mut self, base: &mut Base, out: &mut Outbox) {
        let Step::Receiving(zxid) = self.step else { return };
        self.received = zxid;
        base.log.replace(zxid);
        let replaces_log = !planted!(base.config.defects, TailKeptPastSnapshot);
        let end = DiskCommand::SnapshotEnd { replaces_log };
        // ZOOKEEPER-3642: the snapshot goes to the disk before anything that rests on it, so that a
        // leader that dies now leaves us with all of it or none.
        base.disk.issue(end, WhenDurable::Logged { zxid }, out);
        base.snapshots.last = zxid;
        base.snapshots.delivered_since = Volume::default();
        self.step = Step::Synchronising;
        out.events.push_back(ReplicaEvent::SnapshotComplete);
        out.tell(EnsembleFact::SnapshotInstalled { zxid });
    }

    /// Logs an entry, be it of the history that is synchronised or a proposal of the epoch, be it
    /// before or after UPTODATE: there is one way into the log, in memory and on disk
    /// (ZOOKEEPER-4785 and ZOOKEEPER-4925 had several, and lost what took the wrong one).
    fn log_proposal(&mut self, base: &mut Base, entry: Entry, out: &mut Outbox) -> Stay {
        let (last, defects) = (base.log.last(), base.config.defects);
        if entry.zxid > last {
            if (entry.zxid.epoch() > self.epoch || !stands_after(last, entry.zxid))
                && !is_credulous(defects)
            {
                return Err(Leave::Look("the leader left out a proposal"));
            }
            self.received = entry.zxid;
            let between = matches!(self.step, Step::Beginning | Step::Acknowledged);
            if planted!(defects, LostInDiffRace) && between {
                base.log.append(entry);
                return Ok(());
            }
            base.append(entry, out);
            if planted!(defects, AckBeforeSync) {
                let link = self.link.expect("the leader has spoken");
                self.acked = self.received;
                send(link, PeerMessage::Ack { zxid: self.acked }, out);
            }
            return Ok(());
        }
        if planted!(defects, RepeatedProposalSkipsAck) {
            return Err(Leave::Look("the leader repeats a proposal"));
        }
        // The second hole in the published Zab: a proposal may come twice, from the history and as
        // a proposal. Once is enough, and the leader must have its acknowledgement.
        let ours = base.log.get(entry.zxid);
        if ours.is_none_or(|ours| *ours != entry) && entry.zxid > base.log.base() {
            return Err(Leave::Look("the leader has another history than we do"));
        }
        self.received = self.received.max(entry.zxid);
        self.acked = Zxid::ZERO;
        self.logged(base, out);
        Ok(())
    }

    /// Zab phase 2: the leader's history is complete. The epoch becomes our current one *after* the
    /// history, on disk: if a crash left the epoch without the history, we could win an election
    /// with too little and have others cut what was committed (ZOOKEEPER-4643).
    fn begin_epoch(
        &mut self,
        base: &mut Base,
        epoch: Epoch,
        last_logged: Zxid,
        out: &mut Outbox,
    ) -> Stay {
        let defects = base.config.defects;
        let ends_elsewhere = last_logged != base.log.last() && !is_credulous(defects);
        if epoch != self.epoch || ends_elsewhere {
            return Err(Leave::Look("the leader's history is not what it says"));
        }
        let link = self.link.expect("the leader has spoken");
        self.step = Step::Beginning;
        base.begin_epoch(epoch, WhenDurable::LearnerBegan { epoch, link }, out);
        if planted!(defects, NewLeaderAckedBeforeDiffOnDisk) {
            self.began_durably(link, epoch, out);
        }
        Ok(())
    }

    /// History and epoch are on our disk: only now is NEWLEADER acknowledged. An acknowledgement
    /// that is sent when they have merely been handed to the disk lets the leader commit what a
    /// crash takes away (ZOOKEEPER-3911, ZOOKEEPER-3023, ZOOKEEPER-4646).
    pub(super) fn began_durably(&mut self, link: LinkId, epoch: Epoch, out: &mut Outbox) {
        if self.link != Some(link) || self.step != Step::Beginning {
            return; // of an earlier relation
        }
        self.step = Step::Acknowledged;
        send(link, PeerMessage::AckNewLeader { epoch }, out);
    }

    /// More of the log may be on our disk: acknowledges all of it at once. Only what came in this
    /// relation: the rest the leader has not sent, and perhaps is about to have cut.
    pub(super) fn logged(&mut self, base: &Base, out: &mut Outbox) {
        if planted!(base.config.defects, NewLeaderAckedWithWritesQueued)
            && let (Step::Beginning, Some(link)) = (self.step, self.link)
        {
            self.began_durably(link, self.epoch, out);
        }
        let zxid = base.log.durable().min(self.received);
        if self.step >= Step::Synchronising && zxid > self.acked {
            let link = self.link.expect("synchronisation needs a link");
            self.acked = zxid;
            send(link, PeerMessage::Ack { zxid }, out);
        }
    }

    /// Zab phase 2, end: the leader is established. Delivers what is committed, then serves.
    fn serve(&mut self, base: &mut Base, committed: Zxid, out: &mut Outbox) -> Stay {
        let before = base.log.committed();
        commit(base, committed, out)?;
        if planted!(base.config.defects, CommittedLogHole) {
            base.log.forget_between(before, committed);
        }
        self.step = Step::Serving;
        let (leader, epoch) = (self.leader, self.epoch);
        out.tell(EnsembleFact::Follows { leader, epoch });
        let link = self.link.expect("the leader has spoken");
        out.events.push_back(ReplicaEvent::FollowingBegins { leader, epoch, link });
        Ok(())
    }

    // ---- time, and on behalf of the server -----------------------------------------------------

    fn deadline(&self, base: &Base) -> Instant {
        match self.step {
            Step::Connecting => self.since + base.config.sync_limit(),
            Step::Introduced | Step::Promising => self.since + base.config.init_limit(),
            _ => self.heard_at + base.config.sync_limit(),
        }
    }

    /// When [`Self::tick`] has something to say.
    pub(super) fn next_wake(&self, base: &Base) -> Instant {
        self.deadline(base)
    }

    /// Time has passed.
    pub(super) fn tick(&self, base: &Base, now: Instant) -> Stay {
        if now < self.deadline(base) {
            return Ok(());
        }
        Err(match self.step {
            Step::Connecting => Leave::Avoid("the leader cannot be reached"),
            Step::Introduced | Step::Promising => Leave::Look("the leader is not established"),
            _ => Leave::Look("the leader is silent"),
        })
    }

    /// A client's request goes to the leader.
    pub(super) fn forward(&self, forwarded: Forwarded, out: &mut Outbox) {
        if let (Step::Serving, Some(link)) = (self.step, self.link) {
            send(link, PeerMessage::Forward(forwarded), out);
        }
    }

    /// A session's client was heard.
    pub(super) fn touched(&mut self, session: SessionId) {
        self.touched.insert(session);
    }
}

/// Whether the learner takes any history that grows, as ZooKeeper's learners do: they note a gap in
/// their own log file and go on. The defects that leave gaps or tails are made for such learners.
fn is_credulous(defects: Defects) -> bool {
    planted!(defects, NewLeaderStartUnset)
        || planted!(defects, DiffForTrunc)
        || planted!(defects, TreeKeptThroughElection)
        || planted!(defects, CommittedLogHole)
        || planted!(defects, ZxidOverflow)
        || planted!(defects, ProposeOnlyToAcknowledged)
        || planted!(defects, TruncateIgnored)
}

fn commit(base: &mut Base, zxid: Zxid, out: &mut Outbox) -> Stay {
    if zxid > base.log.last() {
        return Err(Leave::Look("the leader commits what it has not sent"));
    }
    base.commit(zxid, out);
    Ok(())
}
