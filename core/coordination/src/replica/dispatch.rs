//! One server's replica: which role it has, and which part of it an input concerns.
//!
//! Owns: the change of roles, the dispatch of inputs to them, and the public face. Leaves: what
//! roles do to `election`, `leading`, `following`.
//! Holds: a message counts only if it comes on a link that belongs to the present role; what is
//! given up is closed, and told, before something new begins.
//! Start at [`Replica::received`] and [`Replica::go_on`].

use super::base::{Base, Leave, OwnSnapshots, Stay, send};
use super::disk::{DiskQueue, WhenDurable};
use super::election::Election;
use super::following::Following;
use super::hearing::Hearing;
use super::leading::Leading;
use super::log::{Log, Volume};
use super::{Outbox, ReplicaConfig, ReplicaEvent};
use crate::io::{DiskCommand, DiskTicket, DurableState, LinkId, Output};
use bytes::Bytes;
use mailstorm_shared::facts::EnsembleFact;
use mailstorm_shared::machine::Loads;
use mailstorm_shared::{Epoch, Instant, Now, ServerId, SessionId, Zxid, planted};
use mailstorm_wire::peer::{
    Answer, Forwarded, LinkPurpose, Notification, PeerMessage, PeerState, Standing,
};
use mailstorm_wire::txn::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// What a server is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// It looks for a leader.
    Looking,
    /// It leads, established or not.
    Leading,
    /// It follows as a voter.
    Following,
    /// It follows and has no vote.
    Observing,
    /// It follows and may vote once it is admitted.
    Joining,
}

/// One server's part in the agreement: election, discovery, synchronisation, broadcast.
///
/// The server calls a method, then drains [`Outbox::events`], then calls the next.
#[derive(Clone, Debug, Hash)]
pub struct Replica {
    base: Base,
    role: RoleState,
}

#[derive(Clone, Debug, Hash)]
enum RoleState {
    Looking(Election),
    Leading(Leading),
    Following(Following),
    /// Cannot go on; the process is to end.
    Halted,
}

impl Replica {
    // ---- the beginning -------------------------------------------------------------------------

    /// A replica that has just been started, with what was found on its disk: its promises, the
    /// zxid of the newest snapshot, and the log, which may reach back before the snapshot.
    pub fn new(
        config: ReplicaConfig,
        state: DurableState,
        snapshot: Option<Zxid>,
        log: Vec<Entry>,
        incarnation: u32,
        now: Now,
        out: &mut Outbox,
    ) -> Self {
        assert!(config.ensemble.contains(config.me), "a server belongs to its ensemble");
        let log = Log::recovered(snapshot, log);
        out.tell(EnsembleFact::ServerStarted {
            epoch: state.current_epoch,
            snapshot: snapshot.unwrap_or(Zxid::ZERO),
            last_logged: log.last(),
            votes: state.votes,
        });
        let own = mailstorm_wire::peer::Vote {
            epoch: state.current_epoch,
            zxid: log.last(),
            leader: config.me,
        };
        let base = Base {
            voting: state.votes,
            snapshots: OwnSnapshots {
                last: log.committed(),
                delivered_since: Volume::default(),
                under_way: false,
            },
            log,
            state,
            disk: DiskQueue::new(incarnation),
            election_links: BTreeMap::new(),
            hearing: Hearing::default(),
            opening: BTreeSet::new(),
            settled: (0, own),
            config,
        };
        let mut replica = Self { base, role: RoleState::Halted };
        replica.look(now.monotonic, out);
        replica
    }

    /// The disk knows from an earlier life that everything up to here is committed. It is delivered
    /// when a leader says so, but cut it is never.
    pub fn recall_committed(&mut self, zxid: Zxid) {
        self.base.log.recall_committed(zxid);
    }

    /// Up to here everything is committed, as far as this server knows from this life or an earlier
    /// one.
    pub fn known_committed(&self) -> Zxid {
        self.base.log.known_committed()
    }

    /// Begins to look for a leader.
    fn look(&mut self, now: Instant, out: &mut Outbox) {
        let base = &self.base;
        let counts = base.standing() == Standing::Voter;
        let election = Election::new(&base.config, now, base.settled.0, base.own_vote(), counts);
        out.tell(EnsembleFact::Looking);
        self.role = RoleState::Looking(election);
        self.elect(now, out);
    }

    /// Something was heard, or time has passed: while we look, tells others what that changes, and
    /// takes the role that the election gives, if it does by now.
    fn elect(&mut self, now: Instant, out: &mut Outbox) {
        let base = &mut self.base;
        let RoleState::Looking(election) = &mut self.role else { return };
        if let Some(notification) = election.look_round(&base.config, now, &base.hearing) {
            base.tell_all(notification, out);
        }
        let winner = election.winner(&base.config, now, &base.hearing);
        let Some((vote, round)) = winner else { return };
        base.settled = (round, vote);
        if vote.leader == base.config.me {
            self.role = RoleState::Leading(Leading::new(base, now));
        } else {
            self.role = RoleState::Following(Following::new(base, now, vote.leader, out));
        }
        // Whoever still looks need not wait for its next question.
        self.tell_role(now, out);
        if let RoleState::Leading(leading) = &mut self.role {
            let stay = leading.try_choose_epoch(&mut self.base, out);
            self.go_on(stay, now, out);
        }
    }

    /// Ends the role, if it is to end.
    fn go_on(&mut self, stay: Stay, now: Instant, out: &mut Outbox) {
        let (why, halts) = match stay {
            Ok(()) => return,
            Err(Leave::Look(why) | Leave::Avoid(why) | Leave::StandBack(why)) => (why, false),
            Err(Leave::Halt(why)) => (why, true),
        };
        let pause = self.base.config.heard_limit();
        if let RoleState::Following(following) = &self.role {
            self.base.hearing.doubt(following.leader());
        }
        match (stay, &self.role) {
            (Err(Leave::Avoid(_)), RoleState::Following(following)) => {
                // Whoever closes a link at once may take the next one: only not in a tight loop.
                let short = self.base.config.election_settle;
                let pause = if following.is_connecting() { pause } else { short };
                self.base.hearing.avoid(following.leader(), now + pause);
            }
            (Err(Leave::StandBack(_)), _) => self.base.hearing.stand_back(now + pause + pause),
            _ => {}
        }
        let mut broken_off = false;
        let epoch = match &mut self.role {
            RoleState::Leading(leading) => {
                leading.end(out);
                leading.is_established().then(|| leading.epoch())
            }
            RoleState::Following(following) => {
                following.end(out);
                if let Some(zxid) = following.receives() {
                    out.tell(EnsembleFact::SnapshotBrokenOff { zxid });
                }
                broken_off = following.is_receiving()
                    || planted!(self.base.config.defects, EphemeralOfDeadSessionStays)
                        && following.is_synchronising();
                following.is_serving().then(|| following.epoch())
            }
            RoleState::Looking(_) | RoleState::Halted => None,
        };
        if let Some(epoch) = epoch {
            let stepped_down = EnsembleFact::SteppedDown { epoch, why: why.into() };
            out.tell(stepped_down);
        }
        if epoch.is_some() || broken_off {
            out.events.push_back(ReplicaEvent::ServingEnds { why });
        }
        if halts {
            self.role = RoleState::Halted;
            out.outputs.push(Output::Halt { reason: why.to_owned() });
        } else {
            self.look(now, out);
        }
    }

    /// What we tell others about ourselves.
    fn notification(&self, now: Instant) -> Notification {
        let base = &self.base;
        let (round, vote) = base.settled;
        let state = match &self.role {
            RoleState::Looking(election) => {
                return election.notification(&base.config, now, &base.hearing);
            }
            RoleState::Leading(leading) if leading.is_established() => PeerState::Leading,
            RoleState::Leading(_) => PeerState::Elected,
            RoleState::Following(f) if f.standing() == Standing::Observer => PeerState::Observing,
            RoleState::Following(_) => PeerState::Following,
            RoleState::Halted => PeerState::Looking,
        };
        let stands_with = match &self.role {
            RoleState::Leading(leading) if !leading.is_established() => {
                Some((vote.epoch, vote.zxid))
            }
            RoleState::Leading(leading) => (leading.hears_majority(base, now))
                .then(|| (base.state.current_epoch, base.log.committed())),
            _ => None,
        };
        Notification {
            round,
            state,
            vote,
            votes: base.standing() == Standing::Voter,
            stands_with,
            hears: base.hearing.hears(&base.config, now),
        }
    }

    /// Tells others when we are established and were not before: whoever looks may come.
    fn established_since(&self, before: bool, now: Instant, out: &mut Outbox) {
        if let RoleState::Leading(leading) = &self.role
            && leading.is_established()
            && !before
        {
            self.tell_role(now, out);
        }
    }

    fn tell_role(&self, now: Instant, out: &mut Outbox) {
        self.base.tell_all(self.notification(now), out);
    }

    // ---- inputs --------------------------------------------------------------------------------

    /// Time has passed. `jitter` is a fresh random number.
    pub fn tick(&mut self, now: Now, jitter: u64, out: &mut Outbox) {
        let now = now.monotonic;
        let base = &mut self.base;
        let stay = match &mut self.role {
            RoleState::Looking(election) => {
                if election.tick(&base.config, now, jitter, &base.hearing) {
                    self.tell_role(now, out);
                }
                self.elect(now, out);
                return;
            }
            RoleState::Leading(leading) => leading.tick(base, now, out),
            RoleState::Following(following) => following.tick(base, now),
            RoleState::Halted => Ok(()),
        };
        self.go_on(stay, now, out);
    }

    /// By when [`Self::tick`] has to be called, on the monotonic clock.
    pub fn next_wake(&self) -> Instant {
        match &self.role {
            RoleState::Looking(election) => election.next_wake(),
            RoleState::Leading(leading) => leading.next_wake(&self.base),
            RoleState::Following(following) => following.next_wake(&self.base),
            RoleState::Halted => Instant::NEVER,
        }
    }

    /// A link is up.
    pub fn link_up(
        &mut self,
        now: Now,
        link: LinkId,
        peer: ServerId,
        purpose: LinkPurpose,
        opened_by_us: bool,
        out: &mut Outbox,
    ) {
        let now = now.monotonic;
        let base = &mut self.base;
        if purpose == LinkPurpose::Election {
            base.election_links.insert(link, peer);
            base.hearing.try_again(peer);
            if matches!(self.role, RoleState::Looking(_)) {
                send(link, PeerMessage::Notification(self.notification(now)), out);
                self.elect(now, out);
            }
            return;
        }
        let wanted = match &mut self.role {
            RoleState::Following(following) if opened_by_us => {
                base.opening.remove(&peer);
                following.link_up(base, now, link, peer, out)
            }
            _ if opened_by_us => {
                base.opening.remove(&peer);
                false
            }
            RoleState::Leading(leading) if base.config.ensemble.contains(peer) => {
                leading.link_up(now, link, peer, out);
                true
            }
            _ => false,
        };
        if !wanted {
            out.outputs.push(Output::CloseLink { link });
        }
    }

    /// A link is gone, or the one that we asked for could not be opened (`None`).
    pub fn link_down(&mut self, now: Now, link: Option<LinkId>, peer: ServerId, out: &mut Outbox) {
        let now = now.monotonic;
        if let Some(link) = link
            && self.base.election_links.remove(&link).is_some()
        {
            if !self.base.is_linked(peer) {
                self.base.hearing.lost(peer);
                self.heard(now, out);
            }
            return;
        }
        if link.is_none() {
            self.base.opening.remove(&peer);
        }
        let stay = match (&mut self.role, link) {
            (RoleState::Following(following), _) => following.link_down(link, peer),
            (RoleState::Leading(leading), Some(link)) => {
                leading.link_down(link, out);
                leading.source_stays().and_then(|()| leading.still_supported(&self.base, now))
            }
            _ => Ok(()),
        };
        self.go_on(stay, now, out);
    }

    /// What we know of who hears whom has changed.
    fn heard(&mut self, now: Instant, out: &mut Outbox) {
        self.elect(now, out);
        let stay = match &self.role {
            RoleState::Leading(leading) => leading.still_supported(&self.base, now),
            _ => Ok(()),
        };
        self.go_on(stay, now, out);
    }

    /// A message arrived. On a link that is not (or no longer) ours it means nothing.
    pub fn received(&mut self, now: Now, link: LinkId, message: PeerMessage, out: &mut Outbox) {
        let now = now.monotonic;
        let base = &mut self.base;
        if let Some(from) = base.election_links.get(&link).copied() {
            if let PeerMessage::Notification(notification) = message {
                self.notified(now, link, from, notification, out);
            }
            return;
        }
        let stay = match &mut self.role {
            RoleState::Following(following) if following.link() == Some(link) => {
                following.received(base, now, message, out)
            }
            RoleState::Leading(leading) => {
                let established = leading.is_established();
                let stay = leading.received(base, now, link, message, out);
                let stay = stay.and_then(|()| leading.source_stays());
                self.established_since(established, now, out);
                stay
            }
            _ => Ok(()),
        };
        self.go_on(stay, now, out);
    }

    fn notified(
        &mut self,
        now: Instant,
        link: LinkId,
        from: ServerId,
        said: Notification,
        out: &mut Outbox,
    ) {
        let base = &mut self.base;
        let looks = said.state == PeerState::Looking;
        let stay = match &self.role {
            RoleState::Following(following) => following.notified(from, &said),
            RoleState::Halted => return,
            RoleState::Looking(_) | RoleState::Leading(_) => Ok(()),
        };
        base.hearing.hear(from, now, said);
        let answer = match &self.role {
            RoleState::Looking(election) => {
                base.hearing.word(from).is_some_and(|said| election.is_ahead_of(said))
            }
            _ => stay.is_ok(),
        };
        if looks && answer {
            send(link, PeerMessage::Notification(self.notification(now)), out);
        }
        self.go_on(stay, now, out);
        self.heard(now, out);
    }

    /// The disk holds everything up to this command.
    pub fn disk_done(&mut self, now: Now, ticket: DiskTicket, out: &mut Outbox) {
        let now = now.monotonic;
        while let Some(done) = self.base.disk.next_done(ticket) {
            let base = &mut self.base;
            match (done, &mut self.role) {
                (WhenDurable::Logged { zxid }, _) => base.log.set_durable(zxid),
                (WhenDurable::LeaderPromised { epoch }, role) => {
                    base.observe_promise(epoch, out);
                    if let RoleState::Leading(leading) = role {
                        leading.promised_durably(base, now, epoch, out);
                    }
                }
                (WhenDurable::LearnerPromised { epoch, link }, role) => {
                    base.observe_promise(epoch, out);
                    if let RoleState::Following(following) = role {
                        following.promised_durably(base, link, out);
                    }
                }
                (WhenDurable::LeaderBegan { epoch }, RoleState::Leading(leading)) => {
                    leading.began_durably(epoch);
                }
                (WhenDurable::LearnerBegan { epoch, link }, RoleState::Following(following)) => {
                    following.began_durably(link, epoch, out);
                }
                (WhenDurable::ChunkStored { link }, RoleState::Following(following)) => {
                    following.chunk_stored(link, out);
                }
                (WhenDurable::Admitted, _) => self.admitted(now, out),
                _ => {}
            }
        }
        // One acknowledgement for all that became durable, not one for each entry.
        let base = &mut self.base;
        let stay = match &mut self.role {
            RoleState::Leading(leading) => {
                let established = leading.is_established();
                let stay = leading.logged(base, now, out);
                self.established_since(established, now, out);
                stay
            }
            RoleState::Following(following) => {
                following.logged(base, out);
                Ok(())
            }
            _ => Ok(()),
        };
        self.go_on(stay, now, out);
    }

    /// We may vote, and our disk knows. Whatever we do now, we do as a joiner: begin anew.
    fn admitted(&mut self, now: Instant, out: &mut Outbox) {
        self.base.voting = true;
        match &mut self.role {
            RoleState::Following(_) => {
                self.go_on(Err(Leave::Look("admitted: comes again as a voter")), now, out);
            }
            RoleState::Looking(_) => self.look(now, out),
            RoleState::Leading(_) => unreachable!("a joiner cannot lead"),
            RoleState::Halted => {}
        }
    }

    // ---- the leader's server -------------------------------------------------------------------

    /// The place that the next proposal takes: `Some` only for an established leader. `None` also
    /// when the epoch's counter is full; the leader steps down as soon as everything is committed.
    pub fn next_zxid(&self) -> Option<Zxid> {
        match &self.role {
            RoleState::Leading(leading) => leading.next_zxid(&self.base),
            _ => None,
        }
    }

    /// Whether a proposal may be made now: there is a place for it, and neither the majority nor
    /// our own disk is too far behind. Whoever proposes asks this first and holds its clients back.
    pub fn can_propose(&self) -> bool {
        let log = &self.base.log;
        let not_durable = match log.last().counter().checked_sub(log.durable().counter()) {
            Some(count) if log.last().epoch() == log.durable().epoch() => count as usize,
            _ => log.last().counter() as usize,
        };
        log.uncommitted_count().max(not_durable) < self.base.config.outstanding_proposals_max
            && self.next_zxid().is_some()
    }

    /// Proposes a transaction, which is told as committed when a majority has it on disk.
    ///
    /// # Panics
    /// When [`Self::next_zxid`] is `None`.
    pub fn propose(&mut self, bytes: Bytes, out: &mut Outbox) -> Zxid {
        match &mut self.role {
            RoleState::Leading(leading) => leading.propose(&mut self.base, bytes, out),
            _ => panic!("only a leader proposes"),
        }
    }

    /// Asks for [`ReplicaEvent::Confirmed`] with this token after a majority of the voters, in a
    /// round that begins after this call, has shown that it follows no later leader. Without the
    /// role, the token comes to nothing.
    pub fn confirm(&mut self, now: Now, token: u64, out: &mut Outbox) {
        if let RoleState::Leading(leading) = &mut self.role
            && leading.is_established()
        {
            leading.confirm(&mut self.base, now.monotonic, token, out);
        }
    }

    /// Answers a learner's request; nothing if that learner is gone.
    pub fn answer(&mut self, link: LinkId, ticket: u64, answer: Answer, out: &mut Outbox) {
        if let RoleState::Leading(leading) = &self.role {
            leading.answer(link, ticket, answer, out);
        }
    }

    /// Tells a learner that one of its sessions is served elsewhere now.
    pub fn tell_session_moved(&mut self, server: ServerId, session: SessionId, out: &mut Outbox) {
        if let RoleState::Leading(leading) = &self.role {
            leading.session_moved(server, session, out);
        }
    }

    /// The next chunk of the snapshot for a learner; `None` when it is complete. Answers
    /// [`ReplicaEvent::SnapshotWanted`].
    pub fn snapshot_chunk(&mut self, link: LinkId, chunk: Option<Bytes>, out: &mut Outbox) {
        if let RoleState::Leading(leading) = &mut self.role {
            leading.snapshot_chunk(&self.base, link, chunk, out);
        }
    }

    // ---- the learner's server ------------------------------------------------------------------

    /// Hands a client's request to the leader; comes to nothing if there is none.
    pub fn forward(&mut self, forwarded: Forwarded, out: &mut Outbox) {
        if let RoleState::Following(following) = &self.role {
            following.forward(forwarded, out);
        }
    }

    /// A session's client was heard: the leader learns of it with the next pong.
    pub fn touched(&mut self, session: SessionId) {
        if let RoleState::Following(following) = &mut self.role {
            following.touched(session);
        }
    }

    // ---- the disk ------------------------------------------------------------------------------

    /// Whether the server should write a snapshot of its own.
    pub fn snapshot_due(&self) -> bool {
        let receiving = matches!(&self.role, RoleState::Following(f) if f.is_receiving());
        let OwnSnapshots { last, delivered_since, under_way } = self.base.snapshots;
        let config = &self.base.config;
        !receiving
            && !under_way
            && (config.is_snapshot_due(
                last,
                delivered_since.entries,
                config.snapshot_every_entries,
            ) || config.is_snapshot_due(
                last,
                delivered_since.bytes,
                config.snapshot_every_bytes,
            ))
    }

    /// Numbers and issues a disk command of the server's own snapshot.
    pub fn disk(&mut self, command: DiskCommand, out: &mut Outbox) -> DiskTicket {
        if matches!(command, DiskCommand::SnapshotBegin { .. }) {
            self.base.snapshots.under_way = true;
        }
        self.base.disk.issue_aside(command, out)
    }

    /// Our own snapshot with this zxid is complete and on disk: what it contains need not stay in
    /// memory, except for what learners may ask for.
    pub fn snapshot_written(&mut self, zxid: Zxid) {
        let base = &mut self.base;
        if !base.snapshots.under_way || zxid < base.snapshots.last {
            return; // a leader's snapshot has replaced it
        }
        let needed = match &self.role {
            RoleState::Leading(leading) => leading.needed_after(),
            _ => None,
        };
        let delivered_since = base.log.committed_after(zxid);
        base.snapshots = OwnSnapshots { last: zxid, delivered_since, under_way: false };
        let config = &base.config;
        base.log.trim(zxid, config.sync_entries_kept, config.sync_bytes_kept, needed);
    }

    // ---- what always holds ---------------------------------------------------------------------

    /// Asserts what always holds of a replica between two inputs, in its role and apart from it. It
    /// costs the same however long the log is.
    pub fn invariants(&self) {
        self.base.invariants();
        match &self.role {
            RoleState::Looking(election) => election.invariants(&self.base.config),
            RoleState::Leading(leading) => leading.invariants(&self.base),
            RoleState::Following(following) => following.invariants(&self.base),
            RoleState::Halted => {}
        }
    }

    /// Tells how much it keeps of everything that could grow.
    pub fn loads(&self, loads: &mut Loads) {
        self.base.loads(loads);
        let (leading, following) = match &self.role {
            RoleState::Leading(leading) => (Some(leading), None),
            RoleState::Following(following) => (None, Some(following)),
            RoleState::Looking(_) | RoleState::Halted => (None, None),
        };
        Leading::loads(leading, &self.base, loads);
        Following::loads(following, loads);
    }

    // ---- what can be asked ---------------------------------------------------------------------

    /// What this server is at the moment.
    pub fn role(&self) -> Role {
        match &self.role {
            RoleState::Looking(_) | RoleState::Halted => Role::Looking,
            RoleState::Leading(_) => Role::Leading,
            RoleState::Following(following) => match following.standing() {
                Standing::Voter => Role::Following,
                Standing::Observer => Role::Observing,
                Standing::Joiner => Role::Joining,
            },
        }
    }

    /// Whether clients may be served: as an established leader, or synchronised with one.
    pub(crate) fn is_serving(&self) -> bool {
        match &self.role {
            RoleState::Leading(leading) => leading.is_established(),
            RoleState::Following(following) => following.is_serving(),
            RoleState::Looking(_) | RoleState::Halted => false,
        }
    }

    /// The leader, while clients may be served.
    pub fn leader(&self) -> Option<ServerId> {
        match &self.role {
            _ if !self.is_serving() => None,
            RoleState::Leading(_) => Some(self.base.config.me),
            RoleState::Following(following) => Some(following.leader()),
            RoleState::Looking(_) | RoleState::Halted => None,
        }
    }

    /// The epoch served in, or the last one taken part in.
    pub fn epoch(&self) -> Epoch {
        match &self.role {
            RoleState::Leading(leading) if leading.is_established() => leading.epoch(),
            RoleState::Following(following) if following.is_serving() => following.epoch(),
            _ => self.base.state.current_epoch,
        }
    }

    /// The last transaction known here to be committed; told as such.
    pub fn last_committed(&self) -> Zxid {
        self.base.log.committed()
    }

    /// The last transaction in the log, committed or not.
    pub fn last_logged(&self) -> Zxid {
        self.base.log.last()
    }

    #[cfg(test)]
    pub(super) fn entries_in_memory(&self) -> usize {
        self.base.log.after(self.base.log.base()).count()
    }

    #[cfg(test)]
    pub(super) fn snapshot_every_entries(&self) -> usize {
        self.base.config.snapshot_every_entries
    }

    /// Leader: up to when the learner on this link has told of which of its sessions it heard;
    /// every such report was handed out as [`ReplicaEvent::Touched`].
    pub fn reported_until(&self, link: LinkId) -> Option<Instant> {
        match &self.role {
            RoleState::Leading(leading) => leading.reported_until(link),
            _ => None,
        }
    }

    /// The learners served by this leader, with what they are.
    pub fn learners(&self) -> Vec<(ServerId, Standing)> {
        match &self.role {
            RoleState::Leading(leading) => leading.serving().collect(),
            _ => Vec::new(),
        }
    }
}
