//! [`Server`]: its state, and who handles which input and which event.

use super::ServerConfig;
use super::clients::Clients;
use super::forwarded::ForwardedRequests;
use super::leader::Leading;
use super::sessions::Source;
use super::snapshots::{self, Snapshots};
use super::stats::Traffic;
use crate::data::snapshot::CorruptSnapshot;
use crate::data::{Database, Watches};
use crate::io::{Input, Output, Recovered};
use crate::replica::{Outbox, Replica, ReplicaEvent, Role};
use mailstorm_shared::{Instant, Millis, Now, ServerId, StateHasher, Zxid, planted};
use mailstorm_wire::frame::REQUEST_BYTES_MAX;
use std::collections::VecDeque;

/// One server of the ensemble.
#[derive(Clone, Debug, Hash)]
pub struct Server {
    pub(super) config: ServerConfig,
    pub(super) replica: Replica,
    pub(super) database: Database,
    pub(super) watches: Watches,
    /// Every open connection.
    pub(super) clients: Clients,
    /// What the leader has of them.
    pub(super) forwarded: ForwardedRequests,
    /// Whether there is a leader, which may be this server, and we are in step with it.
    pub(super) serving: bool,
    /// What only a leader knows.
    pub(super) leading: Option<Leading>,
    /// Trees on their way to disk, to learners, or from a leader.
    pub(super) snapshots: Snapshots,
    pub(super) traffic: Traffic,
    /// When this life of the server began, on the monotonic clock.
    pub(super) began: Instant,
    /// When to look after silent connections.
    upkeep_at: Instant,
    /// How many steps it has taken: keys which deeper checks are made.
    pub(super) steps: u64,
    /// When the host was last asked to step again.
    wake_at: Option<Instant>,
    /// Set when the host was told to end the process: nothing is done any more.
    halted: bool,
}

impl Server {
    /// A server that starts with what its disk holds. `incarnation` is random, so that no two lives
    /// of a server share one.
    ///
    /// # Errors
    /// [`CorruptSnapshot`] when the snapshot cannot be read; the host should have found that out
    /// and offered an older one, or none and no vote.
    pub fn new(
        config: ServerConfig,
        recovered: Recovered,
        incarnation: u32,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Result<Self, CorruptSnapshot> {
        assert!(
            config.frame_bytes_max <= REQUEST_BYTES_MAX,
            "a client's frame must fit a frame between servers"
        );
        let Recovered { state, snapshot, log, committed, findings: _ } = recovered;
        let zxid = snapshot.as_ref().map(|(zxid, _)| *zxid);
        let database = match &snapshot {
            Some((_, chunks)) => snapshots::load(chunks)?,
            None => Database::new(),
        };
        let mut outbox = Outbox { outputs: std::mem::take(out), events: VecDeque::new() };
        let mut replica =
            Replica::new(config.replica.clone(), state, zxid, log, incarnation, now, &mut outbox);
        replica.recall_committed(committed);
        let mut server = Self {
            upkeep_at: now.monotonic + config.replica.tick,
            watches: Watches::bounded(config.watches),
            config,
            replica,
            snapshots: Snapshots::new(database.last_applied()),
            database,
            clients: Clients::default(),
            forwarded: ForwardedRequests::new(incarnation),
            serving: false,
            leading: None,
            traffic: Traffic::default(),
            began: now.monotonic,
            steps: 0,
            wake_at: None,
            halted: false,
        };
        server.settle(now, &mut outbox);
        *out = outbox.outputs;
        Ok(server)
    }

    /// One input, and everything that follows from it.
    pub fn step(&mut self, now: Now, input: Input, out: &mut Vec<Output>) {
        if self.halted {
            return;
        }
        let mut outbox = Outbox { outputs: std::mem::take(out), events: VecDeque::new() };
        self.take(now, input, &mut outbox);
        self.settle(now, &mut outbox);
        *out = outbox.outputs;
        self.steps += 1;
        self.invariants_in_turn();
    }

    fn take(&mut self, now: Now, input: Input, out: &mut Outbox) {
        match input {
            Input::Tick { jitter } => {
                self.wake_at = None;
                // The replica first: a leader that slept too long must find out before it takes its
                // own silence for its clients'.
                self.replica.tick(now, jitter, out);
                self.drain(now, out);
                self.upkeep(now, out);
            }
            Input::ClientOpened { client, address, entropy } => {
                self.client_opened(now, client, address, entropy, out);
            }
            Input::ClientFrame { client, frame } => self.client_frame(now, client, frame, out),
            Input::ClientWord { client, word } => self.client_word(now, client, word, out),
            Input::ClientClosed { client } => self.client_closed(client),
            Input::LinkUp { link, peer, purpose, opened_by_us } => {
                self.replica.link_up(now, link, peer, purpose, opened_by_us, out);
            }
            Input::LinkDown { link, peer } => self.replica.link_down(now, link, peer, out),
            Input::PeerMessage { link, message } => self.replica.received(now, link, message, out),
            Input::DiskDone { ticket } => self.replica.disk_done(now, ticket, out),
            Input::AsideDone { ticket } => self.snapshot_goes_on(ticket, out),
        }
    }

    /// Handles what the replica has to tell, and what follows from that, until it has no more.
    fn drain(&mut self, now: Now, out: &mut Outbox) {
        while let Some(event) = out.events.pop_front() {
            if self.halted {
                return;
            }
            self.happened(now, event, out);
        }
    }

    fn happened(&mut self, now: Now, event: ReplicaEvent, out: &mut Outbox) {
        match event {
            ReplicaEvent::LeadingBegins { .. } => {
                self.begin_serving(out);
                self.begin_leading(now);
            }
            ReplicaEvent::FollowingBegins { .. } => self.begin_serving(out),
            ReplicaEvent::ServingEnds { .. } => self.end_serving(out),
            ReplicaEvent::Committed(entry) => self.committed(now, &entry, out),
            ReplicaEvent::SnapshotReplaces { .. } => self.snapshot_replaces(),
            ReplicaEvent::SnapshotChunk(chunk) => self.snapshot_chunk(&chunk, out),
            ReplicaEvent::SnapshotComplete => self.snapshot_complete(out),
            ReplicaEvent::SnapshotWanted { link } => self.snapshot_for_learner(link, out),
            ReplicaEvent::LearnerGone { link } => self.learner_gone(link),
            ReplicaEvent::Forwarded { link, server, forwarded } => {
                self.take_request(now, Source::Learner { link, server }, forwarded, out);
            }
            ReplicaEvent::Touched { sessions, .. } => {
                if let Some(leading) = &mut self.leading {
                    for session in sessions {
                        leading.sessions.heard(now.monotonic, session);
                    }
                }
            }
            ReplicaEvent::Answered { ticket, answer } => self.answered(now, ticket, answer, out),
            ReplicaEvent::SessionMoved { session } => self.session_moved(session, out),
            ReplicaEvent::Confirmed { token } => self.confirmed(now, token, out),
        }
    }

    /// The end of every step.
    fn settle(&mut self, now: Now, out: &mut Outbox) {
        loop {
            self.drain(now, out);
            self.give_room(now, out);
            self.propose_queued(now, out);
            self.drain(now, out);
            if self.halted {
                return;
            }
            if !self.has_room_for_who_waits() {
                break;
            }
        }
        self.snapshot_if_due(out);
        self.release_if_no_longer_crowded(out);
        // Never at once: what could not be done now cannot be done without time passing either.
        let at = self.next_wake().max(now.monotonic + Millis(1));
        if self.wake_at != Some(at) {
            self.wake_at = Some(at);
            out.outputs.push(Output::WakeAt { at });
        }
    }

    fn next_wake(&self) -> Instant {
        let mut at = self.replica.next_wake().min(self.upkeep_at);
        if let Some(leading) = &self.leading {
            at = at.min(leading.sweep_at);
            at = leading.sessions.next_deadline().map_or(at, |deadline| at.min(deadline));
        }
        at
    }

    /// What only time brings about.
    fn upkeep(&mut self, now: Now, out: &mut Outbox) {
        self.leader_upkeep(now, out);
        self.drain(now, out);
        if now.monotonic >= self.upkeep_at {
            self.upkeep_at = now.monotonic + self.config.replica.tick;
            self.touch_held(now);
            self.hang_up_silent(now, out);
        }
    }

    /// We are in step with a leader. Readers that were served without one should find out that they
    /// can write again: they reconnect.
    fn begin_serving(&mut self, out: &mut Outbox) {
        self.hang_up_everybody(out);
        self.serving = true;
    }

    /// The role is lost: what clients wait for may or may not come to be, and nobody here can tell.
    fn end_serving(&mut self, out: &mut Outbox) {
        if planted!(self.config.replica.defects, EphemeralOfDeadSessionStays) && !self.serving {
            self.snapshots.pretend_installed(self.replica.last_logged());
        }
        self.serving = false;
        self.leading = None;
        self.forwarded.clear();
        self.clients.set_crowded(false);
        self.snapshots.role_ended();
        self.hang_up_everybody(out);
    }

    /// Whether the process has to end.
    pub(super) fn is_halted(&self) -> bool {
        self.halted
    }

    /// The process has to end.
    pub(super) fn halt(&mut self, reason: String, out: &mut Outbox) {
        self.halted = true;
        out.outputs.push(Output::Halt { reason });
    }

    /// This server.
    pub fn me(&self) -> ServerId {
        self.config.replica.me
    }

    /// What it is to the ensemble at this moment.
    pub fn role(&self) -> Role {
        self.replica.role()
    }

    /// Whether it serves clients.
    pub fn is_serving(&self) -> bool {
        self.serving
    }

    /// The last transaction that its clients can see.
    pub fn last_applied(&self) -> Zxid {
        self.database.last_applied()
    }

    /// The agreement beneath it.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// The tree.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// A hash of everything it knows: equal in every process after the same inputs.
    pub fn state_hash(&self) -> u64 {
        StateHasher::of(self)
    }
}
