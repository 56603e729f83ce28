//! The vocabulary of the peer protocol.

use crate::client::{Request, Write};
use crate::txn::Entry;
use bytes::Bytes;
use mailstorm_shared::{Epoch, Millis, ServerId, SessionId, Zxid};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The version of this protocol. A peer that speaks another is refused by name.
pub const PEER_PROTOCOL_VERSION: u16 = 2;

/// The first frame on a link, from the side that opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hello {
    /// [`PEER_PROTOCOL_VERSION`].
    pub version: u16,
    /// A hash of the ensemble's membership: servers that disagree on it must not talk.
    pub ensemble: u64,
    /// Who opens the link.
    pub from: ServerId,
    /// The server it means to reach.
    pub to: ServerId,
    /// What the link is for.
    pub purpose: LinkPurpose,
}

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkPurpose {
    /// Notifications, both ways.
    Election,
    /// A learner's traffic with its leader.
    Learner,
}

/// A server's standing with its leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Votes and acknowledges.
    Voter,
    /// A voter that lost data (or never had any): its vote does not count until a leader that has
    /// since been confirmed by a majority of *others* admits it.
    Joiner,
    /// Follows only.
    Observer,
}

/// What a server does at the moment of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerState {
    /// Looks for a leader.
    Looking,
    /// Follows.
    Following,
    /// Has the votes of a majority, and is about to begin an epoch.
    Elected,
    /// Leads an epoch that has begun.
    Leading,
    /// Observes.
    Observing,
}

/// The candidate a server would vote for, ordered by (epoch, zxid, leader).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vote {
    /// The candidate's current epoch.
    pub epoch: Epoch,
    /// The candidate's last logged transaction.
    pub zxid: Zxid,
    /// The candidate.
    pub leader: ServerId,
}

/// A message of the fast leader election.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Notification {
    /// The sender's logical clock of elections.
    pub round: u64,
    /// What the sender does.
    pub state: PeerState,
    /// Its vote. A joiner or observer, which must not be elected or counted, says so in `votes`.
    pub vote: Vote,
    /// Whether the sender's vote counts.
    pub votes: bool,
    /// The sender's current epoch and last logged transaction, while it may lead: a voter that
    /// hears a majority of the voters, and is heard by them. Nobody else is voted for.
    pub stands_with: Option<(Epoch, Zxid)>,
    /// The servers that the sender has heard from lately.
    pub hears: BTreeSet<ServerId>,
}

/// A request that a server forwards to the leader, which alone can grant it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Forwarded {
    /// The forwarding server's number for it (see [`crate::txn::Origin`]).
    pub ticket: u64,
    /// The client's session.
    pub session: SessionId,
    /// The request to the leader.
    pub request: LeaderRequest,
}

/// What only the leader can do for a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LeaderRequest {
    /// A write, under these identities (scheme, id).
    Write {
        /// The identities that the client has proved.
        identities: Vec<(Arc<str>, Arc<str>)>,
        /// What it writes.
        write: Write,
    },
    /// Several writes, all or nothing.
    Multi {
        /// The identities that the client has proved.
        identities: Vec<(Arc<str>, Arc<str>)>,
        /// The steps.
        writes: Vec<Write>,
    },
    /// A barrier; answered by [`Answer::Synced`] after a majority confirmed the leader.
    Sync,
    /// A new session.
    OpenSession {
        /// Within the leader's bounds.
        timeout: Millis,
        /// To resume it with.
        password: [u8; 16],
    },
    /// The end of the session.
    CloseSession,
    /// May this session, which came from another server, be served here? Answered by
    /// [`Answer::Session`] or [`Answer::NoSession`]; the leader tells the server that had it
    /// before.
    ResumeSession {
        /// The password that the client sent.
        password: [u8; 16],
    },
}

impl LeaderRequest {
    /// What a client's request becomes on its way to the leader, or `None` when any server can
    /// answer it.
    pub fn of(request: &Request, identities: &[(Arc<str>, Arc<str>)]) -> Option<Self> {
        match request {
            Request::Write(write) => {
                Some(Self::Write { identities: identities.to_vec(), write: write.clone() })
            }
            Request::Multi(writes) => {
                Some(Self::Multi { identities: identities.to_vec(), writes: writes.clone() })
            }
            Request::Sync { .. } => Some(Self::Sync),
            Request::CloseSession => Some(Self::CloseSession),
            _ => None,
        }
    }
}

/// A leader's answer to a request that leaves no transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// After applying everything up to here, a read sees every write that was acknowledged before
    /// the sync was requested.
    Synced {
        /// Up to here.
        zxid: Zxid,
    },
    /// The session is alive, and served by the server that asked.
    Session {
        /// The timeout negotiated when it began.
        timeout: Millis,
        /// Everything that the session's earlier connections may still have in flight is applied
        /// when this is: before, the client must not be served, or it could miss its own writes.
        zxid: Zxid,
    },
    /// The session is over, or another's.
    NoSession,
}

/// Everything that travels on a link after the [`Hello`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PeerMessage {
    /// Election link, both ways.
    Notification(Notification),

    /// Learner, first: what it has promised, and what it is.
    FollowerInfo {
        /// The newest epoch it has promised to take part in.
        accepted_epoch: Epoch,
        /// What it is.
        standing: Standing,
    },
    /// Learner, after [`Self::LeaderInfo`]; its promise of the new epoch is on disk.
    AckEpoch {
        /// The newest epoch whose leader it has followed to the end of synchronisation.
        current_epoch: Epoch,
        /// The last transaction in its log.
        last_logged: Zxid,
    },
    /// Learner: the leader's history, and the epoch as its current one, are on disk.
    AckNewLeader {
        /// The leader's epoch.
        epoch: Epoch,
    },
    /// Learner: everything up to here is on disk.
    Ack {
        /// Up to here.
        zxid: Zxid,
    },
    /// Learner: answer to a ping.
    Pong {
        /// The ping's round.
        round: u64,
        /// Sessions seen since the last pong, in order.
        touched: Vec<SessionId>,
    },
    /// Learner: ready for one more chunk.
    SnapshotWanted,
    /// Learner: a client's request.
    Forward(Forwarded),

    /// Leader, after [`Self::FollowerInfo`] of a majority: the new epoch.
    LeaderInfo {
        /// Greater than every epoch that the majority has promised.
        epoch: Epoch,
    },
    /// Leader: cut the log after this transaction, then take what follows.
    Truncate {
        /// The last transaction both have.
        after: Zxid,
    },
    /// Leader: discard everything and install this snapshot.
    SnapshotBegin {
        /// What it contains; the proposals that follow begin after it.
        zxid: Zxid,
    },
    /// Leader that is not established: the voter's history is longer than ours, which ends here;
    /// send what follows.
    HistoryWanted {
        /// The last transaction of the leader's history.
        last_logged: Zxid,
    },
    /// Voter: the answer. An empty one says that there is no more.
    HistoryPart {
        /// The last transaction that both histories have.
        after: Zxid,
        /// What follows it, as far as one message goes.
        entries: Vec<Entry>,
    },
    /// Leader: a part of the snapshot.
    SnapshotChunk {
        /// Opaque here.
        bytes: Bytes,
    },
    /// Leader: the snapshot is complete.
    SnapshotEnd,
    /// Leader: a proposal. Voters log and acknowledge it; in synchronisation it may be one that is
    /// committed already.
    Propose {
        /// The proposal.
        entry: Entry,
    },
    /// Leader: the history up to here is what the epoch begins with; acknowledge when it is on
    /// disk.
    NewLeader {
        /// The epoch.
        epoch: Epoch,
        /// The last transaction of the leader's history at the moment of sending.
        last_logged: Zxid,
    },
    /// Leader: synchronisation is over; serve clients.
    UpToDate {
        /// Everything up to here is committed.
        committed: Zxid,
    },
    /// Leader: everything up to here is committed.
    Commit {
        /// Up to here.
        zxid: Zxid,
    },
    /// Leader: a majority of others has confirmed the leader since the joiner's link came up; it
    /// may vote from now on (after writing so to disk).
    Admit,
    /// Leader: are you there?
    Ping {
        /// Grows by one each time.
        round: u64,
    },
    /// Leader: the answer to a request.
    Answer {
        /// The request's ticket.
        ticket: u64,
        /// The answer.
        answer: Answer,
    },
    /// Leader: this session is served elsewhere now; close its connection.
    SessionMoved {
        /// Which.
        session: SessionId,
    },
}
