//! What a replica tells the server it is a part of.

use crate::io::{LinkId, Output};
use bytes::Bytes;
use mailstorm_shared::facts::EnsembleFact;
use mailstorm_shared::{Epoch, ServerId, SessionId, Zxid};
use mailstorm_wire::peer::{Answer, Forwarded};
use mailstorm_wire::txn::Entry;
use std::collections::VecDeque;

/// Something the server has to act on, told by the call that caused it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplicaEvent {
    /// This server is an established leader: serve clients, propose. Every entry of the history it
    /// begins with was told as [`Self::Committed`] before.
    LeadingBegins {
        /// Its epoch.
        epoch: Epoch,
    },
    /// This server is synchronised: serve clients. Every entry committed up to here was told
    /// before.
    FollowingBegins {
        /// Whom it follows.
        leader: ServerId,
        /// The leader's epoch.
        epoch: Epoch,
        /// The link to it.
        link: LinkId,
    },
    /// The role is lost: what clients wait for has an unknown outcome. Also told when a leader's
    /// snapshot breaks off: what came of it is void, and the database stays as it was.
    ServingEnds {
        /// Why, in a few words.
        why: &'static str,
    },
    /// Apply this now.
    Committed(Entry),
    /// A leader is about to replace the database. The old one stays until
    /// [`Self::SnapshotComplete`]; a snapshot of our own that was being written is abandoned: no
    /// further command for it may be issued.
    SnapshotReplaces {
        /// Everything up to here is contained in the new one.
        zxid: Zxid,
    },
    /// A part of the leader's snapshot.
    SnapshotChunk(Bytes),
    /// The leader's snapshot is whole: it is the database now.
    SnapshotComplete,
    /// Leader: hand over the next chunk for this learner with
    /// [`snapshot_chunk`](super::Replica::snapshot_chunk). At the first of these for a link the
    /// snapshot begins: with the database as it is when this event is reached.
    SnapshotWanted {
        /// The learner's link.
        link: LinkId,
    },
    /// Leader: whatever is kept for this learner is needed no more.
    LearnerGone {
        /// The learner's link.
        link: LinkId,
    },
    /// Leader: a learner's client wants something.
    Forwarded {
        /// The learner's link, for [`answer`](super::Replica::answer).
        link: LinkId,
        /// The learner.
        server: ServerId,
        /// The request.
        forwarded: Forwarded,
    },
    /// Leader: sessions that a learner heard of lately.
    Touched {
        /// The learner.
        server: ServerId,
        /// The sessions.
        sessions: Vec<SessionId>,
    },
    /// Learner: the leader's answer.
    Answered {
        /// The request's ticket.
        ticket: u64,
        /// The answer.
        answer: Answer,
    },
    /// Learner: this session is served elsewhere now.
    SessionMoved {
        /// Which.
        session: SessionId,
    },
    /// Leader: a majority confirmed us in a round that began after `confirm(token)`.
    Confirmed {
        /// The token.
        token: u64,
    },
}

/// Where a replica's calls leave what is to be done: outputs for the host, in order, and events for
/// the server, in order. The server drains the events after each call, before the next.
#[derive(Debug, Default)]
pub struct Outbox {
    /// For the host.
    pub outputs: Vec<Output>,
    /// For the server.
    pub events: VecDeque<ReplicaEvent>,
}

impl Outbox {
    /// Nothing to be done.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reports a fact to whoever looks on.
    pub(crate) fn tell(&mut self, fact: EnsembleFact) {
        self.outputs.push(Output::Observe(fact));
    }
}
