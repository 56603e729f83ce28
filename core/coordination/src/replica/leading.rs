//! The leader's part of Zab: discovery, synchronisation, broadcast.
//!
//! Owns: the learners, the new epoch, when a majority has promised, taken over the history, logged
//! a proposal, or confirmed that we lead. Leaves: the way of one learner to `learner`, elections to
//! `election`, what entries mean to the server.
//! Holds: every decision is made by a majority of the configured voters, the leader among them and
//! joiners and observers never; nothing counts before it is durable, the leader's own word neither;
//! what a learner did in a relation that is over counts no more until we are established.
//! Start at [`Phase`], then [`Leading::received`].

use super::base::{Base, Leave, Stay, cut, send, send_all};
use super::config::SNAPSHOTS_HELD_BACK_MAX;
use super::disk::WhenDurable;
use super::following::TOUCHED_PER_PONG_MAX;
use super::learner::{Learner, Step};
use super::log::stands_after;
use super::{Outbox, ReplicaEvent};
use crate::io::{LinkId, Output};
use bytes::Bytes;
use mailstorm_shared::facts::EnsembleFact;
use mailstorm_shared::machine::Loads;
use mailstorm_shared::{Epoch, Instant, Millis, ServerId, SessionId, Zxid, planted};
use mailstorm_wire::peer::{Answer, PeerMessage, PeerState, Standing};
use mailstorm_wire::txn::{Entry, TXN_BYTES_MAX};
use std::collections::{BTreeMap, VecDeque};

/// How far a reign has come (Zab, DSN 2011, section V; here with ZooKeeper's order of messages).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Phase {
    /// Waits until a majority has told which epochs it promised.
    Discovery,
    /// Our own promise of the new epoch is on its way to our disk.
    Promising,
    /// Waits until a majority has promised the new epoch.
    Promises,
    /// Waits until a majority has our history on disk.
    Synchronisation,
    /// Established: proposes and commits.
    Broadcast,
}

/// A leader, established or to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Leading {
    since: Instant,
    phase: Phase,
    /// The new epoch; zero during discovery.
    epoch: Epoch,
    /// Our history before the epoch begins: nobody who is counted for the epoch may be ahead of it.
    began_with: (Epoch, Zxid),
    /// The voter whose history is being taken over.
    source: Option<LinkId>,
    /// Whether our disk knows that the new epoch begins with our history.
    began_durably: bool,
    learners: BTreeMap<LinkId, Learner>,
    /// The ping round that was begun last, ...
    round: u64,
    /// ... and the last one that a majority has answered since we are established.
    confirmed_round: u64,
    /// Tokens, each with the round that confirms it.
    confirmations: VecDeque<(u64, u64)>,
    ping_at: Instant,
    /// When to look which learners are to be given up. A clock of its own: a round that somebody
    /// waits for moves the next ping, and with a sync now and then this look would never come.
    look_at: Instant,
    /// When time last passed for us. Learners may have been silent only since we sleep.
    ticked_at: Instant,
}

impl Leading {
    /// Begins to lead, not yet established.
    pub(super) fn new(base: &Base, now: Instant) -> Self {
        Self {
            since: now,
            phase: Phase::Discovery,
            epoch: Epoch(0),
            began_with: (base.state.current_epoch, base.log.last()),
            source: None,
            began_durably: false,
            learners: BTreeMap::new(),
            round: 0,
            confirmed_round: 0,
            confirmations: VecDeque::new(),
            ping_at: now + base.config.ping_interval(),
            look_at: now + base.config.ping_interval(),
            ticked_at: now,
        }
    }

    pub(super) fn is_established(&self) -> bool {
        self.phase == Phase::Broadcast
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The learners that have been told to serve.
    pub(super) fn serving(&self) -> impl Iterator<Item = (ServerId, Standing)> {
        self.learners.values().filter(|l| l.step >= Step::Serving).map(|l| (l.server, l.standing))
    }

    /// When [`Self::tick`] may have something to do.
    pub(super) fn next_wake(&self, base: &Base) -> Instant {
        let next = self.ping_at.min(self.look_at);
        if self.is_established() { next } else { next.min(self.since + base.config.init_limit()) }
    }

    /// What always holds of a leader, between two inputs.
    pub(super) fn invariants(&self, base: &Base) {
        let established = self.is_established();
        assert!(self.confirmed_round <= self.round, "only a round that has begun is confirmed");
        assert!(
            self.confirmations.back().is_none_or(|(round, _)| *round <= self.round + 1),
            "whoever waits for a confirmation waits for this round or the next"
        );
        assert!(
            self.confirmations.is_empty() || established,
            "only an established leader is asked for confirmations"
        );
        assert!(
            self.source.is_none() || self.phase == Phase::Promises,
            "a history is taken over before the epoch begins"
        );
        assert_eq!(
            self.phase == Phase::Discovery,
            self.epoch == Epoch(0),
            "the new epoch is chosen at the end of discovery"
        );
        assert!(self.epoch <= base.state.accepted_epoch, "a leader promises its own epoch first");
        assert!(
            self.phase < Phase::Synchronisation || self.epoch == base.state.current_epoch,
            "the epoch of a leader with a history is its current one"
        );
        for (link, learner) in &self.learners {
            assert_eq!(*link, learner.link, "a learner is known by its link");
            learner.invariants(base, self.round, established);
        }
    }

    /// How much a leader keeps; nothing without one.
    pub(super) fn loads(leading: Option<&Self>, base: &Base, loads: &mut Loads) {
        let learners = leading.into_iter().flat_map(|leading| leading.learners.values());
        let most = |of: fn(&Learner) -> usize| learners.clone().map(of).max().unwrap_or(0);
        let config = &base.config;
        let servers = config.ensemble.servers().count();
        loads.bounded("learners", learners.clone().count(), servers);
        loads.bounded("window_entries", most(Learner::window_entries), config.window_entries_max);
        let bytes_max = config.window_bytes_max.saturating_add(TXN_BYTES_MAX);
        loads.bounded("window_bytes", most(Learner::window_bytes), bytes_max);
        let ticked_at = leading.map_or(Instant::ZERO, |leading| leading.ticked_at);
        let in_sync = learners.clone().filter(|learner| learner.step >= Step::Promised);
        let silence = in_sync.map(|learner| ticked_at.since(learner.answered_at)).max();
        let silence_max = config.sync_limit() + config.ping_interval();
        let ms = |span: Millis| usize::try_from(span.0).unwrap_or(usize::MAX);
        loads.bounded("silence_of_learner_ms", silence.map_or(0, ms), ms(silence_max));
        let established = leading.filter(|leading| leading.is_established());
        let outstanding = established.map_or(0, |_| base.log.uncommitted_count());
        loads.bounded("proposals_outstanding", outstanding, config.outstanding_proposals_max);
    }

    // ---- links ---------------------------------------------------------------------------------

    /// A learner has opened a link to us.
    pub(super) fn link_up(
        &mut self,
        now: Instant,
        link: LinkId,
        server: ServerId,
        out: &mut Outbox,
    ) {
        // It would not open another if it had not left the older one, whether we know that yet or
        // not: nobody counts twice.
        let older = self.learners.values().find(|l| l.server == server).map(|l| l.link);
        if let Some(older) = older {
            self.drop_learner(older, out);
        }
        self.learners.insert(link, Learner::new(link, server, now));
    }

    /// A learner's link is gone. Returns whether it was one of ours.
    pub(super) fn link_down(&mut self, link: LinkId, out: &mut Outbox) -> bool {
        let known = self.learners.remove(&link).is_some();
        if known {
            out.events.push_back(ReplicaEvent::LearnerGone { link });
        }
        known
    }

    fn drop_learner(&mut self, link: LinkId, out: &mut Outbox) {
        if self.link_down(link, out) {
            out.outputs.push(Output::CloseLink { link });
        }
    }

    /// The reign is over: closes what is open.
    pub(super) fn end(&mut self, out: &mut Outbox) {
        while let Some(&link) = self.learners.keys().next() {
            self.drop_learner(link, out);
        }
    }

    /// Whether a majority may still come, while we are not established. A voter that is not here
    /// yet may when its vote is ours; one that votes for another will not. What it said in an
    /// earlier round it said before it voted for us, unless that is long ago.
    pub(super) fn still_supported(&self, base: &Base, now: Instant) -> Stay {
        if self.is_established() {
            return Ok(());
        }
        let me = base.config.me;
        let settled_round = base.settled.0;
        let long_ago = now >= self.since + base.config.election_resend_max;
        let comes = |voter: ServerId| {
            let here = self.learners.values().any(|l| l.server == voter);
            let said = base.hearing.word(voter).filter(|said| said.votes);
            here || said.is_some_and(|said| {
                let early = said.state == PeerState::Looking && said.round < settled_round;
                said.vote.leader == me || (early && !long_ago)
            })
        };
        let others = base.config.ensemble.voters().iter().filter(|voter| **voter != me);
        if base.config.is_majority(1 + others.filter(|voter| comes(**voter)).count()) {
            Ok(())
        } else {
            Err(Leave::Look("no majority of the voters comes"))
        }
    }

    /// Whether a majority of the voters, we included, has answered of late.
    pub(super) fn hears_majority(&self, base: &Base, now: Instant) -> bool {
        let late = Millis(base.config.ping_interval().0.saturating_mul(3));
        let answers =
            |l: &&Learner| l.votes_at(Step::Acknowledged) && now.since(l.answered_at) <= late;
        base.config.is_majority(1 + self.learners.values().filter(answers).count())
    }

    // ---- messages ------------------------------------------------------------------------------

    /// A message arrived on a link. Whoever sends what cannot be is dropped.
    pub(super) fn received(
        &mut self,
        base: &mut Base,
        now: Instant,
        link: LinkId,
        message: PeerMessage,
        out: &mut Outbox,
    ) -> Stay {
        let Some(learner) = self.learners.get_mut(&link) else { return Ok(()) };
        match message {
            PeerMessage::FollowerInfo { accepted_epoch, standing }
                if learner.step == Step::Connected
                    && stands(base, learner.server, standing)
                    && base.may_claim(accepted_epoch) =>
            {
                learner.accepted_epoch = accepted_epoch;
                learner.standing = standing;
                learner.step = Step::Introduced;
                self.introduced(base, link, out)
            }
            PeerMessage::AckEpoch { current_epoch, last_logged }
                if learner.step == Step::Asked && current_epoch <= self.epoch =>
            {
                learner.current_epoch = current_epoch;
                learner.last_logged = last_logged;
                learner.step = Step::Promised;
                learner.answered_at = now;
                learner.promised_in_round = self.round;
                self.promised(base, now, link, out)
            }
            PeerMessage::AckNewLeader { epoch }
                if learner.step == Step::NewLeaderSent && epoch == self.epoch =>
            {
                learner.acknowledged_history();
                learner.answered_at = now;
                self.acknowledged_history(base, now, link, out)
            }
            PeerMessage::Ack { zxid }
                if learner.step >= Step::CatchingUp && zxid <= learner.sent =>
            {
                learner.note_acked(zxid);
                learner.pump(base, out);
                if let Some(zxid) = learner.commit_to_tell(base.log.committed()) {
                    send(link, PeerMessage::Commit { zxid }, out);
                }
                self.count_acks(base, out)
            }
            PeerMessage::Pong { round, touched } if round <= self.round => {
                learner.answered(round, now, touched.len() >= TOUCHED_PER_PONG_MAX);
                let (server, serving) = (learner.server, learner.step >= Step::Serving);
                if serving && self.phase == Phase::Broadcast && !touched.is_empty() {
                    out.events.push_back(ReplicaEvent::Touched { server, sessions: touched });
                }
                self.count_pongs(base, now, out);
                Ok(())
            }
            PeerMessage::HistoryPart { after, entries } if self.source == Some(link) => {
                learner.answered_at = now;
                self.take_over(base, now, link, (after, entries), out)
            }
            PeerMessage::SnapshotWanted if learner.step >= Step::Snapshot => {
                // The answer to the last chunk asks for one more than there is.
                if learner.step == Step::Snapshot {
                    out.events.push_back(ReplicaEvent::SnapshotWanted { link });
                }
                Ok(())
            }
            PeerMessage::Forward(forwarded) if learner.step >= Step::Serving => {
                let server = learner.server;
                out.events.push_back(ReplicaEvent::Forwarded { link, server, forwarded });
                Ok(())
            }
            _ => {
                self.drop_learner(link, out);
                Ok(())
            }
        }
    }

    // ---- discovery -----------------------------------------------------------------------------

    /// A learner has told which epoch it promised last.
    fn introduced(&mut self, base: &mut Base, link: LinkId, out: &mut Outbox) -> Stay {
        if self.phase == Phase::Discovery {
            return self.try_choose_epoch(base, out);
        }
        let learner = &self.learners[&link];
        // It can never follow us: it has promised a later epoch, to a leader that was perhaps never
        // established. If we stayed, it would stay away for ever; the next epoch suits all.
        if learner.accepted_epoch > self.epoch {
            return Err(Leave::Look("a learner has promised a later epoch"));
        }
        // It has promised this very epoch already: to another leader-to-be, or to us in a relation
        // that is over. Its promise cannot be counted, since two leaders could then be established
        // in one epoch; once we are established, it need not be.
        if learner.accepted_epoch == self.epoch
            && learner.standing == Standing::Voter
            && !self.is_established()
        {
            return Err(Leave::Look("a voter had promised this epoch before"));
        }
        if self.phase >= Phase::Promises {
            self.ask(link, out);
        }
        Ok(())
    }

    /// Discovery, step 1 (Zab phase 1): the new epoch is later than every epoch that a majority has
    /// promised. Our own promise must be on our disk before anybody hears of the epoch
    /// (ZOOKEEPER-1291): if we forgot it in a crash, we could choose the same one again.
    pub(super) fn try_choose_epoch(&mut self, base: &mut Base, out: &mut Outbox) -> Stay {
        let voters = || self.learners.values().filter(|l| l.votes_at(Step::Introduced));
        if self.phase != Phase::Discovery || !base.config.is_majority(1 + voters().count()) {
            return Ok(());
        }
        let promised =
            voters().map(|l| l.accepted_epoch).fold(base.state.accepted_epoch, Epoch::max);
        self.epoch = promised.next().map_err(|_| Leave::Halt("no epoch is left"))?;
        self.phase = Phase::Promising;
        let epoch = self.epoch;
        base.accept_epoch(epoch, WhenDurable::LeaderPromised { epoch }, out);
        Ok(())
    }

    /// Our own promise is on our disk.
    pub(super) fn promised_durably(
        &mut self,
        base: &mut Base,
        now: Instant,
        epoch: Epoch,
        out: &mut Outbox,
    ) {
        if self.phase != Phase::Promising || epoch != self.epoch {
            return; // of an earlier reign
        }
        self.phase = Phase::Promises;
        let introduced: Vec<LinkId> = self.learners_at(Step::Introduced).collect();
        for link in introduced {
            self.ask(link, out);
        }
        self.count_promises(base, now, out);
    }

    fn learners_at(&self, step: Step) -> impl Iterator<Item = LinkId> {
        self.learners.values().filter(move |l| l.step == step).map(|l| l.link)
    }

    /// Asks a learner to promise our epoch. Those that do not vote wait until we are established,
    /// so that they are bound only by epochs that really began.
    fn ask(&mut self, link: LinkId, out: &mut Outbox) {
        let established = self.is_established();
        let Some(learner) = self.learners.get_mut(&link) else { return };
        if learner.step == Step::Introduced && (established || learner.standing == Standing::Voter)
        {
            learner.step = Step::Asked;
            send(link, PeerMessage::LeaderInfo { epoch: self.epoch }, out);
        }
    }

    /// A learner has promised our epoch.
    fn promised(&mut self, base: &mut Base, now: Instant, link: LinkId, out: &mut Outbox) -> Stay {
        if self.phase >= Phase::Synchronisation {
            let learner = self.learners.get_mut(&link).expect("the caller has found it");
            learner.begin_sync(base, out);
            return Ok(());
        }
        self.count_promises(base, now, out);
        self.take_over_if_needed(base, out);
        Ok(())
    }

    // ---- a longer history ----------------------------------------------------------------------

    /// Zab phase 1: the history that begins the epoch is the latest of a majority that has
    /// promised. Election has seen to that where it could: of the voters that may lead the one with
    /// the longest history does. A voter that reaches no majority may have more. If a majority
    /// promises without it, what it has more was never committed, and will be cut. Otherwise we
    /// take it over, as the published Zab does: it may be all that is left of what was committed.
    ///
    /// What we cut for it is not committed either: it is of an epoch before the voter's current
    /// one, which began with all that was. So whatever we have when we are interrupted, we may vote
    /// with.
    fn take_over_if_needed(&mut self, base: &Base, out: &mut Outbox) {
        if self.phase != Phase::Promises || self.source.is_some() || self.majority_promises(base) {
            return;
        }
        let ahead = (self.learners.values())
            .filter(|l| l.votes_at(Step::Promised) && !l.promises_with(self.began_with))
            .max_by_key(|l| (l.current_epoch, l.last_logged));
        let Some(learner) = ahead else { return };
        self.source = Some(learner.link);
        let last_logged = base.log.last();
        send(learner.link, PeerMessage::HistoryWanted { last_logged }, out);
    }

    /// A part of the history that we take over.
    fn take_over(
        &mut self,
        base: &mut Base,
        now: Instant,
        link: LinkId,
        (after, entries): (Zxid, Vec<Entry>),
        out: &mut Outbox,
    ) -> Stay {
        let source = &self.learners[&link];
        let (epoch, end) = (source.current_epoch, source.last_logged);
        if after != base.log.last() {
            if base.log.durable() != base.log.last() {
                return Err(Leave::Look("a history that is taken over is cut half way"));
            }
            cut(base, after, out)?;
        }
        let some = !entries.is_empty();
        for entry in entries {
            let last = base.log.last();
            if entry.zxid.epoch() > epoch || entry.zxid > end || !stands_after(last, entry.zxid) {
                return Err(Leave::Look("a history that is taken over has a hole"));
            }
            base.append(entry, out);
        }
        if base.log.last() < end {
            if !some {
                return Err(Leave::Look("a history that is taken over is incomplete"));
            }
            let last_logged = base.log.last();
            send(link, PeerMessage::HistoryWanted { last_logged }, out);
            return Ok(());
        }
        if base.log.last() > end {
            return Err(Leave::Look("a history that is taken over ends elsewhere"));
        }
        self.source = None;
        self.began_with = (epoch, end);
        self.count_promises(base, now, out);
        self.take_over_if_needed(base, out);
        Ok(())
    }

    /// Whether enough voters for an epoch have promised it, and have no more history than we do.
    fn majority_promises(&self, base: &Base) -> bool {
        let counted = self.learners.values().filter(|l| l.promises_with(self.began_with));
        base.config.is_majority(1 + counted.count())
    }

    /// The voter whose history we take over must stay: with half of it, we begin anew.
    pub(super) fn source_stays(&self) -> Stay {
        match self.source {
            Some(source) if !self.learners.contains_key(&source) => {
                Err(Leave::Look("the voter whose history is taken over is gone"))
            }
            _ => Ok(()),
        }
    }

    // ---- promises ------------------------------------------------------------------------------

    /// Once a majority has promised, asks whether it still does.
    ///
    /// The extra round is there for voters that lose their disk *after* they promised, and forget
    /// it:
    /// 1. of five, we (a) have the promises of b and c and wait for no more; b's disk dies, which
    ///    we do not notice, because the link to b hangs; or c's promise arrives only after b's
    ///    death;
    /// 2. b comes back as a joiner to the leader of an earlier epoch, which c, d and e confirm, c
    ///    before it promises ours; b is admitted and votes, free of the promise it made us;
    /// 3. that leader commits with b and d, and our majority a, b, c has seen nothing of it.
    ///
    /// A round that begins after the last of the promises, and that all of the majority answer (or
    /// a later one), shows that b still remembered when c had promised already, so that the
    /// confirmation in 2 would lack c. (The same trap as in Viewstamped Replication's recovery:
    /// Michael et al., "Recovering Shared Objects Without Stable Storage", DISC 2017.)
    fn count_promises(&mut self, base: &mut Base, now: Instant, out: &mut Outbox) {
        if self.phase != Phase::Promises || self.source.is_some() {
            return;
        }
        if base.config.is_majority(1) {
            self.begin_synchronisation(base, out);
        } else if self.majority_promises(base) {
            self.begin_round(base, now, out);
        }
    }

    // ---- synchronisation -----------------------------------------------------------------------

    /// Our history is the one that begins the epoch. Nothing is added to it before we are
    /// established.
    fn begin_synchronisation(&mut self, base: &mut Base, out: &mut Outbox) {
        self.phase = Phase::Synchronisation;
        let epoch = self.epoch;
        base.begin_epoch(epoch, WhenDurable::LeaderBegan { epoch }, out);
        for learner in self.learners.values_mut().filter(|l| l.step == Step::Promised) {
            learner.begin_sync(base, out);
        }
    }

    /// Our disk has our history, and knows that the epoch begins with it.
    pub(super) fn began_durably(&mut self, epoch: Epoch) {
        self.began_durably |= self.phase >= Phase::Synchronisation && epoch == self.epoch;
    }

    /// A learner has our history on disk.
    fn acknowledged_history(
        &mut self,
        base: &mut Base,
        now: Instant,
        link: LinkId,
        out: &mut Outbox,
    ) -> Stay {
        if !self.is_established() {
            return self.try_establish(base, now, out);
        }
        let learner = self.learners.get_mut(&link).expect("the caller has found it");
        learner.up_to_date(base, out);
        if learner.standing == Standing::Joiner {
            // It may vote when a majority of others confirms that we lead, in a round that begins
            // after it came and has all that we have. A later leader that it may have served before
            // it lost its data would have kept one of them from confirming.
            learner.admit_round = Some(self.round + 1);
            self.begin_round_unless_under_way(base, now, out);
        }
        self.count_acks(base, out)
    }

    /// Zab phase 2, step 2: with our history on the disks of a majority, ours among them only if it
    /// is on ours, the epoch begins, and the whole history is committed, however it came about.
    fn try_establish(&mut self, base: &mut Base, now: Instant, out: &mut Outbox) -> Stay {
        assert!(!self.is_established(), "an epoch begins once");
        let history_end = base.log.last();
        let ours = self.began_durably && base.log.durable() >= history_end;
        let voters = self.learners.values().filter(|l| l.votes_at(Step::Acknowledged)).count();
        if self.phase != Phase::Synchronisation
            || !base.config.is_majority(voters + usize::from(ours))
        {
            return Ok(());
        }
        self.phase = Phase::Broadcast;
        let epoch = self.epoch;
        let leads = EnsembleFact::Leads { epoch, last_logged: history_end };
        out.tell(leads);
        self.commit(base, history_end, out);
        out.events.push_back(ReplicaEvent::LeadingBegins { epoch });
        let mut waiting = Vec::new();
        for learner in self.learners.values_mut() {
            match learner.step {
                Step::Acknowledged => learner.up_to_date(base, out),
                Step::Introduced => waiting.push(learner.link),
                _ => {}
            }
        }
        for link in waiting {
            self.ask(link, out);
        }
        self.count_confirmations(base, now, out);
        self.count_acks(base, out)
    }

    // ---- broadcast -----------------------------------------------------------------------------

    /// The place the next proposal takes; `None` before we are established and when the counter is
    /// full: wrapping would sort new history before old (ZOOKEEPER-1277).
    pub(super) fn next_zxid(&self, base: &Base) -> Option<Zxid> {
        if !self.is_established() {
            return None;
        }
        let last = base.log.last();
        let counter_max = base.config.epoch_entries_max;
        if planted!(base.config.defects, ZxidOverflow) && last.epoch() >= self.epoch {
            let full = last.counter() >= counter_max;
            return Some(if full {
                Zxid::new(last.epoch().next().ok()?, 0)
            } else {
                Zxid(last.0 + 1)
            });
        }
        let next =
            if last.epoch() == self.epoch { last.next().ok()? } else { Zxid::new(self.epoch, 1) };
        (next.counter() <= counter_max).then_some(next)
    }

    /// Zab phase 3: logs a proposal and sends it to every learner whose sync plan is fixed, not
    /// only to those that have acknowledged NEWLEADER (see [`Learner::begin_sync`]).
    pub(super) fn propose(&mut self, base: &mut Base, bytes: Bytes, out: &mut Outbox) -> Zxid {
        let zxid = self.next_zxid(base).expect("only an established leader with a place proposes");
        let previous = base.log.last();
        let entry = Entry { zxid, bytes };
        let mut links = Vec::with_capacity(self.learners.len());
        for learner in self.learners.values_mut().filter(|l| l.keeps_pace(previous, &base.config)) {
            if planted!(base.config.defects, ProposeOnlyToAcknowledged)
                && learner.step < Step::Acknowledged
            {
                learner.sent = zxid;
                continue;
            }
            learner.note_sent(zxid, entry.bytes.len());
            links.push(learner.link);
        }
        base.append(entry.clone(), out);
        send_all(links, PeerMessage::Propose { entry }, out);
        zxid
    }

    /// Something more is on our own disk.
    pub(super) fn logged(&mut self, base: &mut Base, now: Instant, out: &mut Outbox) -> Stay {
        match self.phase {
            Phase::Synchronisation => self.try_establish(base, now, out),
            Phase::Broadcast => self.count_acks(base, out),
            _ => Ok(()),
        }
    }

    /// Commits what a majority of the voters has on disk.
    ///
    /// Acknowledgements are cumulative, so the commit point moves in the order of the log. It is
    /// never before the history that began the epoch, which NEWLEADER's majority committed as a
    /// whole: an entry of an earlier epoch is not committed by being counted on disks.
    fn count_acks(&mut self, base: &mut Base, out: &mut Outbox) -> Stay {
        if !self.is_established() {
            return Ok(());
        }
        let ours = self.began_durably.then(|| base.log.durable());
        let acks = || self.learners.values().filter_map(Learner::counted_ack).chain(ours);
        let on_majority =
            |zxid: Zxid| base.config.is_majority(acks().filter(|a| *a >= zxid).count());
        let newest = acks().filter(|zxid| on_majority(*zxid)).max().unwrap_or(Zxid::ZERO);
        if newest > base.log.committed() {
            self.commit(base, newest, out);
        }
        if self.next_zxid(base).is_none() && base.log.committed() == base.log.last() {
            return Err(Leave::Look("the epoch's counter is full"));
        }
        Ok(())
    }

    fn commit(&mut self, base: &mut Base, zxid: Zxid, out: &mut Outbox) {
        if zxid > base.log.committed() {
            let committed = EnsembleFact::QuorumCommitted { epoch: self.epoch, zxid };
            out.tell(committed);
        }
        base.commit(zxid, out);
        let mut links = Vec::with_capacity(self.learners.len());
        for learner in self.learners.values_mut() {
            match learner.commit_to_tell(zxid) {
                Some(known) if known == zxid => links.push(learner.link),
                Some(known) => send(learner.link, PeerMessage::Commit { zxid: known }, out),
                None => {}
            }
        }
        send_all(links, PeerMessage::Commit { zxid }, out);
    }

    // ---- rounds of pings -----------------------------------------------------------------------

    fn begin_round(&mut self, base: &mut Base, now: Instant, out: &mut Outbox) {
        self.round += 1;
        self.ping_at = now + base.config.ping_interval();
        if planted!(base.config.defects, SilentLearnersStay) {
            self.look_at = self.ping_at;
        }
        let mut links = Vec::with_capacity(self.learners.len());
        for learner in self.learners.values_mut().filter(|l| l.step >= Step::Introduced) {
            learner.pinged(self.round, now);
            links.push(learner.link);
        }
        send_all(links, PeerMessage::Ping { round: self.round }, out);
        self.count_pongs(base, now, out);
    }

    /// A round that someone waits for begins at once, or after the one that is under way: so one
    /// round serves all that came to wait meanwhile.
    fn begin_round_unless_under_way(&mut self, base: &mut Base, now: Instant, out: &mut Outbox) {
        if self.confirmed_round == self.round {
            self.begin_round(base, now, out);
        }
    }

    /// Tells of the token when a majority has answered a round that begins after now.
    pub(super) fn confirm(&mut self, base: &mut Base, now: Instant, token: u64, out: &mut Outbox) {
        assert!(self.is_established(), "only an established leader can be confirmed");
        self.confirmations.push_back((self.round + 1, token));
        self.begin_round_unless_under_way(base, now, out);
    }

    fn count_pongs(&mut self, base: &mut Base, now: Instant, out: &mut Outbox) {
        match self.phase {
            Phase::Promises if self.source.is_some() => {}
            Phase::Promises => {
                let history = self.began_with;
                let confirming = |round: u64| {
                    self.learners.values().filter(move |l| l.confirms_promise_in(round, history))
                };
                // Any round will do, not the last alone: on a link that is slower than the pace of
                // the pings, each answer comes when the next round has begun.
                let mut rounds = self.learners.values().map(|l| l.pong_round);
                if rounds.any(|round| base.config.is_majority(1 + confirming(round).count())) {
                    self.begin_synchronisation(base, out);
                }
            }
            Phase::Broadcast => self.count_confirmations(base, now, out),
            _ => {}
        }
    }

    /// A voter that answers has promised no later epoch, so with a majority's answers no later
    /// leader was established when the round began. Joiners may have forgotten what they promised.
    fn count_confirmations(&mut self, base: &mut Base, now: Instant, out: &mut Outbox) {
        let answered = || {
            let voters = self.learners.values().filter(|l| l.votes_at(Step::Acknowledged));
            voters.map(|l| l.pong_round).chain([self.round])
        };
        let by_majority = |r: u64| base.config.is_majority(answered().filter(|a| *a >= r).count());
        let confirmed = answered().filter(|round| by_majority(*round)).max().unwrap_or(0);
        self.confirmed_round = self.confirmed_round.max(confirmed);
        while let Some(&(round, token)) = self.confirmations.front() {
            if round > self.confirmed_round {
                break;
            }
            self.confirmations.pop_front();
            out.events.push_back(ReplicaEvent::Confirmed { token });
        }
        let mut waits = !self.confirmations.is_empty();
        for learner in self.learners.values_mut() {
            match learner.admit_round {
                Some(round) if round <= self.confirmed_round => {
                    learner.admit_round = None;
                    send(learner.link, PeerMessage::Admit, out);
                }
                Some(_) => waits = true,
                None => {}
            }
        }
        // Whoever is left waits for a round that has not begun, if the last one is over.
        if waits && self.confirmed_round == self.round {
            self.begin_round(base, now, out);
        }
    }

    // ---- time ----------------------------------------------------------------------------------

    /// Time has passed.
    pub(super) fn tick(&mut self, base: &mut Base, now: Instant, out: &mut Outbox) -> Stay {
        if !self.is_established() && now >= self.since + base.config.init_limit() {
            return Err(Leave::StandBack("not established within the init limit"));
        }
        self.still_supported(base, now)?;
        self.source_stays()?;
        self.ticked_at = now;
        if now >= self.look_at {
            self.look_at = now + base.config.ping_interval();
            self.give_up_learners(base, now, out)?;
        }
        if now >= self.ping_at {
            self.begin_round(base, now, out);
        }
        Ok(())
    }

    /// Gives up every learner that does not answer, or that keeps too much in our memory.
    fn give_up_learners(&mut self, base: &Base, now: Instant, out: &mut Outbox) -> Stay {
        let holds_back_too_much = |sent: Zxid| {
            let held_back = base.log.committed_after(sent);
            let bound = |every: usize| every.saturating_mul(SNAPSHOTS_HELD_BACK_MAX);
            held_back.entries > bound(base.config.snapshot_every_entries)
                || held_back.bytes > bound(base.config.snapshot_every_bytes)
        };
        let given_up: Vec<(LinkId, ServerId, bool)> = (self.learners.values())
            .filter_map(|l| {
                let in_sync = l.step >= Step::Promised;
                let limit =
                    if in_sync { base.config.sync_limit() } else { base.config.init_limit() };
                // Neither answers, or lags so far that our memory fills with what it lacks: it
                // comes again, and gets a newer snapshot.
                let silent = now.since(l.answered_at) > limit;
                let lags = || l.step >= Step::Snapshot && holds_back_too_much(l.sent);
                (silent || lags()).then_some((l.link, l.server, silent))
            })
            .collect();
        for (link, learner, silent) in given_up {
            out.tell(EnsembleFact::LearnerGivenUp { learner, silent });
            self.drop_learner(link, out);
        }
        let voters = self.learners.values().filter(|l| l.votes_at(Step::Acknowledged)).count();
        if self.is_established() && !base.config.is_majority(1 + voters) {
            return Err(Leave::Look("no majority of the voters answers"));
        }
        Ok(())
    }

    // ---- on behalf of the server ---------------------------------------------------------------

    /// The next chunk of a learner's snapshot, or its end.
    pub(super) fn snapshot_chunk(
        &mut self,
        base: &Base,
        link: LinkId,
        chunk: Option<Bytes>,
        out: &mut Outbox,
    ) {
        let Some(learner) = self.learners.get_mut(&link) else { return };
        if learner.step != Step::Snapshot {
            return;
        }
        match chunk {
            Some(bytes) => send(link, PeerMessage::SnapshotChunk { bytes }, out),
            None => learner.snapshot_sent(base, out),
        }
    }

    /// The answer to a request.
    pub(super) fn answer(&self, link: LinkId, ticket: u64, answer: Answer, out: &mut Outbox) {
        if self.learners.contains_key(&link) {
            send(link, PeerMessage::Answer { ticket, answer }, out);
        }
    }

    /// A session has moved away from a learner.
    pub(super) fn session_moved(&self, server: ServerId, session: SessionId, out: &mut Outbox) {
        let serving = |l: &&Learner| l.server == server && l.step >= Step::Serving;
        if let Some(learner) = self.learners.values().find(serving) {
            send(learner.link, PeerMessage::SessionMoved { session }, out);
        }
    }

    /// Up to when this learner has reported of its clients.
    pub(super) fn reported_until(&self, link: LinkId) -> Option<Instant> {
        self.learners.get(&link).map(|learner| learner.reported_until)
    }

    /// After which entry a learner still has to be sent some.
    pub(super) fn needed_after(&self) -> Option<Zxid> {
        self.learners.values().filter(|l| l.step >= Step::Snapshot).map(|l| l.sent).min()
    }
}

/// Whether a server may come as what it says it is.
fn stands(base: &Base, server: ServerId, standing: Standing) -> bool {
    match standing {
        Standing::Voter | Standing::Joiner => base.config.ensemble.is_voter(server),
        Standing::Observer => base.config.ensemble.observers().contains(&server),
    }
}
