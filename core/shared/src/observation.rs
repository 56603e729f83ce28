//! What can be observed in a run: the vocabulary in which servers, clients and the mail pipeline tell
//! an onlooker what they do.
//!
//! The cores emit observations among their outputs, the laboratory stamps them with time and node and
//! judges them; real servers can write the same lines, so that a checker can judge their history too.
//! An observation never influences the one who makes it.

use crate::{Epoch, Millis, ServerId, SessionId, Zxid};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One fact, told by the party it concerns, at the moment it became true there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Observation {
    /// A server has recovered its disk and starts to look for a leader.
    ServerStarted {
        /// Who.
        server: ServerId,
        /// The last leader epoch whose history it took part in.
        epoch: Epoch,
        /// The newest snapshot that could be read; [`Zxid::ZERO`] without one.
        snapshot: Zxid,
        /// The last transaction in its log.
        last_logged: Zxid,
        /// False when it lost data and must be admitted by a leader before it may vote again.
        votes: bool,
    },
    /// A server looks for a leader.
    Looking {
        /// Who.
        server: ServerId,
    },
    /// A server promised, durably, to take part in no earlier epoch.
    EpochAccepted {
        /// Who.
        server: ServerId,
        /// The epoch promised.
        epoch: Epoch,
    },
    /// A follower or observer has been synchronised and serves clients under a leader.
    Follows {
        /// Who.
        server: ServerId,
        /// Whom.
        leader: ServerId,
        /// In which epoch.
        epoch: Epoch,
    },
    /// A leader is established: a majority has its history on disk.
    Leads {
        /// Who.
        server: ServerId,
        /// The epoch that begins.
        epoch: Epoch,
        /// The last transaction of the history the epoch begins with.
        last_logged: Zxid,
    },
    /// A leader or follower gave up its role.
    SteppedDown {
        /// Who.
        server: ServerId,
        /// The epoch it served in.
        epoch: Epoch,
        /// Why, in a few words.
        why: Arc<str>,
    },
    /// A transaction was handed to the disk; it is not durable yet.
    Appended {
        /// Who.
        server: ServerId,
        /// The transaction's place.
        zxid: Zxid,
        /// CRC-32C of its bytes.
        digest: u32,
    },
    /// A server cut its log on a leader's order; nothing after `after` is left.
    Truncated {
        /// Who.
        server: ServerId,
        /// The last transaction kept.
        after: Zxid,
    },
    /// A server replaced its whole state by a leader's snapshot.
    SnapshotInstalled {
        /// Who.
        server: ServerId,
        /// The last transaction contained.
        zxid: Zxid,
    },
    /// The disk reported that everything up to here is on it. Told by the host, not by the core.
    Durable {
        /// Who.
        server: ServerId,
        /// The last durable transaction.
        zxid: Zxid,
    },
    /// An onlooker read the server's disk, as it would be if the power went now. Told by the laboratory.
    DiskHolds {
        /// Whose.
        server: ServerId,
        /// The last transaction of the log.
        last_logged: Zxid,
        /// The promise to take part in no earlier epoch.
        accepted_epoch: Epoch,
        /// The last epoch whose history the server took part in.
        current_epoch: Epoch,
    },
    /// A leader counted a majority for every transaction up to here.
    QuorumCommitted {
        /// The leader.
        server: ServerId,
        /// Its epoch.
        epoch: Epoch,
        /// The last transaction committed.
        zxid: Zxid,
    },
    /// A committed transaction was applied to a server's tree.
    Applied {
        /// Who.
        server: ServerId,
        /// The transaction's place.
        zxid: Zxid,
        /// CRC-32C of its bytes: equal on every server.
        digest: u32,
        /// What it changed, in order; empty for a refused write.
        changes: Vec<Change>,
    },
    /// The answer to a write left for its client.
    Acknowledged {
        /// The server the client is connected to.
        server: ServerId,
        /// Whose write.
        session: SessionId,
        /// The transaction.
        zxid: Zxid,
    },
    /// A server received something from a session's client.
    SessionHeard {
        /// The server the client is connected to.
        server: ServerId,
        /// Who was heard.
        session: SessionId,
    },
    /// A leader decided that a session is over because nothing was heard of it.
    SessionExpired {
        /// The leader.
        server: ServerId,
        /// Whose session.
        session: SessionId,
        /// The timeout negotiated.
        timeout: Millis,
        /// For how long nothing was heard, on the leader's own clock.
        silent_for: Millis,
    },
    /// A client began an operation.
    Invoked {
        /// Which client, unique in the run.
        client: u32,
        /// The client's own running number.
        operation: u64,
        /// What it asked for.
        call: Call,
    },
    /// A client's operation ended.
    Returned {
        /// Which client.
        client: u32,
        /// The number given at its invocation.
        operation: u64,
        /// How it ended.
        outcome: Outcome,
    },
    /// A client's session is connected to a server, newly or again.
    ClientConnected {
        /// Which client.
        client: u32,
        /// The session, new or resumed.
        session: SessionId,
        /// True when the session existed before.
        resumed: bool,
    },
    /// A client lost its connection, not yet its session.
    ClientDisconnected {
        /// Which client.
        client: u32,
    },
    /// A client learned that its session is over, or closed it itself.
    ClientSessionEnded {
        /// Which client.
        client: u32,
        /// The session that ended.
        session: SessionId,
        /// False when the client closed it.
        expired: bool,
    },
    /// A watch event reached a client, before any later reply on the same connection.
    EventDelivered {
        /// Which client.
        client: u32,
        /// The session that watches.
        session: SessionId,
        /// The znode.
        path: Arc<str>,
        /// What happened to it.
        kind: EventKind,
        /// The change's zxid, or [`Zxid::ZERO`] for the catch-up after a reconnect.
        zxid: Zxid,
    },
    /// An application gave a watch up: its events are delivered to nobody from here on. It is the last of
    /// its kind that the client had on this path. The server is not told at once, so an event may still
    /// come on the same connection; a later one does not arm the watch any more.
    WatchGivenUp {
        /// Which client.
        client: u32,
        /// The session that watched.
        session: SessionId,
        /// The znode.
        path: Arc<str>,
        /// Which kind of watch.
        watch: WatchKind,
    },
    /// A server's bytes made no sense to a client, which hung up: a reply to nothing, out of its order,
    /// or no reply at all.
    ProtocolBroken {
        /// Which client.
        client: u32,
        /// Its session, or [`SessionId::NONE`] before it has one.
        session: SessionId,
        /// What was wrong, in a few words.
        why: Arc<str>,
    },
    /// A worker begins to process a mail.
    MailAttempted {
        /// The worker's name.
        worker: Arc<str>,
        /// The mail's id in the inbox.
        mail: Arc<str>,
        /// The fencing token of the claim it works under.
        token: u64,
        /// Which try this is, from 1, as noted in the claim.
        attempt: u32,
    },
    /// The sink took a mail's result: this is the effect that must happen once.
    SinkAccepted {
        /// What tokens are compared within: the claim.
        resource: Arc<str>,
        /// The mail's id.
        mail: Arc<str>,
        /// Who sent it.
        worker: Arc<str>,
        /// Under which fencing token.
        token: u64,
        /// The result in one word: `ham`, `spam`, `dead_letter` or `poison`.
        verdict: Arc<str>,
    },
    /// The sink refused a worker whose fencing token is below one it has seen.
    SinkRefused {
        /// The mail's id.
        mail: Arc<str>,
        /// Who sent it.
        worker: Arc<str>,
        /// The stale token.
        token: u64,
        /// The highest token seen for the same resource.
        highest: u64,
    },
    /// A candidate believes that it is master from now on.
    MasterBelieves {
        /// Who.
        candidate: Arc<str>,
        /// Its fencing token.
        token: u64,
    },
    /// A candidate knows that it is no longer master.
    MasterResigns {
        /// Who.
        candidate: Arc<str>,
        /// The token it held.
        token: u64,
    },
    /// Something that a scenario's goals count, and nothing else: `claim_taken_over`, `worker_replaced`.
    Milestone {
        /// Its name, in `snake_case`.
        name: Arc<str>,
    },
    /// A quantity of an application as it is now: `queue_mails`. A scenario's bounds look at it.
    Measured {
        /// Its name, in `snake_case`, with its unit.
        name: Arc<str>,
        /// How much it is.
        value: u64,
    },
}

/// What one applied transaction did to the shared state.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// A znode appeared.
    Created {
        /// Its path.
        path: Arc<str>,
        /// The session it lives with, or [`SessionId::NONE`].
        owner: SessionId,
        /// Digest of its data, as in [`Call`].
        value: u64,
    },
    /// A znode vanished.
    Deleted {
        /// Its path.
        path: Arc<str>,
    },
    /// A znode's data was replaced.
    DataSet {
        /// Its path.
        path: Arc<str>,
        /// Its new version.
        version: i32,
        /// Digest of its new data.
        value: u64,
    },
    /// A znode's access list was replaced.
    AclSet {
        /// Its path.
        path: Arc<str>,
    },
    /// A session began.
    SessionOpened {
        /// Which.
        session: SessionId,
        /// The timeout negotiated.
        timeout: Millis,
    },
    /// A session ended, with all its ephemerals (each also told as [`Change::Deleted`]).
    SessionClosed {
        /// Which.
        session: SessionId,
    },
}

/// A client's operation, as far as a checker needs it. Values are the XXH3 of the data.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Call {
    /// Which operation.
    pub kind: CallKind,
    /// The znode; for `Multi` the first znode named.
    pub path: Arc<str>,
    /// The digest of the data written, 0 otherwise.
    pub value: u64,
    /// The version demanded, -1 for any.
    pub version: i32,
    /// Whether the operation leaves a watch.
    pub watch: bool,
}

/// The kinds of operations that checkers tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallKind {
    /// Create a persistent znode.
    Create,
    /// Create an ephemeral znode.
    CreateEphemeral,
    /// Create a sequential znode, ephemeral or not; the path returned has the number.
    CreateSequential,
    /// Delete a znode.
    Delete,
    /// Replace a znode's data.
    SetData,
    /// Read a znode's data.
    GetData,
    /// Ask for a znode's existence.
    Exists,
    /// List a znode's children.
    Children,
    /// Catch up with the leader; a read that follows in the same session is linearizable.
    Sync,
    /// Several writes, all or nothing.
    Multi,
    /// Anything else: access lists, session upkeep, several reads at once.
    Other,
    /// Leave a lasting watch on a znode and its list of children.
    AddWatch,
    /// Leave a lasting watch on a znode and all below it.
    AddWatchRecursive,
    /// Remove watches of a znode, of one kind or all.
    RemoveWatches,
}

impl CallKind {
    /// Whether the operation goes through the total order of writes.
    pub fn is_write(self) -> bool {
        matches!(
            self,
            Self::Create
                | Self::CreateEphemeral
                | Self::CreateSequential
                | Self::Delete
                | Self::SetData
                | Self::Multi
        )
    }
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Ok {
        /// The zxid in the reply's header: the last one the server had applied.
        zxid: Zxid,
        /// Reads: the digest of the data; for `Children` the digest of the list.
        value: u64,
        /// The znode's data version after it, where the reply carries a `Stat`; -1 otherwise.
        version: i32,
        /// The znode's mzxid (for `Children` its pzxid), where the reply carries a `Stat`.
        modified: Zxid,
    },
    /// It was refused, surely without effect.
    Failed {
        /// ZooKeeper's error code.
        code: i32,
        /// The zxid in the reply's header, where there was a reply.
        zxid: Zxid,
    },
    /// It may have happened, or may yet happen.
    Unknown,
}

/// What a watch is for, as clients tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WatchKind {
    /// Once, for the data of a znode that existed when the watch was left.
    Data,
    /// Once, for a znode that did not exist then.
    Creation,
    /// Once, for a list of children.
    Children,
    /// Lasting, for a znode and its list of children.
    Persistent,
    /// Lasting, for a znode and all below it.
    Recursive,
}

/// What a watch event tells (the protocol's event types 1 to 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// 1: the znode appeared.
    Created,
    /// 2: the znode vanished.
    Deleted,
    /// 3: its data changed.
    DataChanged,
    /// 4: its list of children changed.
    ChildrenChanged,
}
