//! The vocabulary of the client protocol.

use bytes::Bytes;
use mailstorm_shared::znodes::{Acl, EventKind, Stat};
use mailstorm_shared::{ErrorCode, SessionId, Zxid};
use std::sync::Arc;

/// What kind of znode a create makes (the protocol's flags 0 to 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum CreateMode {
    /// Lives until deleted.
    #[default]
    Persistent = 0,
    /// Lives with its session.
    Ephemeral = 1,
    /// Persistent, with a number from its parent's counter appended.
    PersistentSequential = 2,
    /// Ephemeral, with a number from its parent's counter appended.
    EphemeralSequential = 3,
    /// Swept some time after its last child went.
    Container = 4,
    /// Swept when unmodified and childless for its time-to-live.
    PersistentTtl = 5,
    /// The same, with a number appended.
    PersistentSequentialTtl = 6,
}

/// A write, alone or as a step of a `multi`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Write {
    /// create (1), create2 (15), createContainer (19), createTTL (21).
    Create {
        /// Where; a sequential mode appends ten digits.
        path: Arc<str>,
        /// Null and empty are kept apart.
        data: Option<Bytes>,
        /// Who may do what with it.
        acl: Vec<Acl>,
        /// Which kind.
        mode: CreateMode,
        /// Time-to-live in milliseconds, for the TTL modes; 0 otherwise.
        ttl: i64,
        /// Whether the reply carries a `Stat` (every opcode but 1).
        stat: bool,
    },
    /// delete (2).
    Delete {
        /// What.
        path: Arc<str>,
        /// The version demanded, -1 for any.
        version: i32,
    },
    /// setData (5).
    SetData {
        /// Where.
        path: Arc<str>,
        /// The new data.
        data: Option<Bytes>,
        /// The version demanded, -1 for any.
        version: i32,
    },
    /// setACL (7); not allowed in a `multi`.
    SetAcl {
        /// Where.
        path: Arc<str>,
        /// The new list.
        acl: Vec<Acl>,
        /// The aversion demanded, -1 for any.
        version: i32,
    },
    /// check (13); allowed in a `multi` only.
    Check {
        /// What.
        path: Arc<str>,
        /// The version demanded, -1 for any (then: that it exists).
        version: i32,
    },
}

/// A step of a multiRead.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Read {
    /// getData (4), without a watch.
    GetData {
        /// Where.
        path: Arc<str>,
    },
    /// getChildren (8), without a watch.
    Children {
        /// Where.
        path: Arc<str>,
    },
}

/// The mode of a persistent watch (addWatch).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum AddWatchMode {
    /// The znode itself and its list of children.
    Persistent = 0,
    /// The znode and all below it; never fires for a changed list of children.
    PersistentRecursive = 1,
}

/// Which watches to check or remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum WatcherType {
    /// On the list of children.
    Children = 1,
    /// On data or existence.
    Data = 2,
    /// Every kind.
    Any = 3,
    /// Persistent ones.
    Persistent = 4,
    /// Persistent recursive ones.
    PersistentRecursive = 5,
}

/// The watches a client re-arms after a reconnect (setWatches 101, setWatches2 105).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SetWatches {
    /// The last zxid the client has seen: what changed since must be reported at once.
    pub relative_zxid: Zxid,
    /// One-shot, on data of znodes that existed.
    pub data: Vec<Arc<str>>,
    /// One-shot, on znodes that did not exist.
    pub exist: Vec<Arc<str>>,
    /// One-shot, on lists of children.
    pub child: Vec<Arc<str>>,
    /// Persistent.
    pub persistent: Vec<Arc<str>>,
    /// Persistent recursive.
    pub persistent_recursive: Vec<Arc<str>>,
}

/// A request of a connected client, without its xid.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// A single write; never [`Write::Check`].
    Write(Write),
    /// multi (14): all or nothing.
    Multi(Vec<Write>),
    /// multiRead (22).
    MultiRead(Vec<Read>),
    /// exists (3).
    Exists {
        /// Where.
        path: Arc<str>,
        /// Set a one-shot watch.
        watch: bool,
    },
    /// getData (4).
    GetData {
        /// Where.
        path: Arc<str>,
        /// Set a one-shot watch.
        watch: bool,
    },
    /// getACL (6).
    GetAcl {
        /// Where.
        path: Arc<str>,
    },
    /// getChildren (8) or getChildren2 (12).
    Children {
        /// Where.
        path: Arc<str>,
        /// Set a one-shot watch.
        watch: bool,
        /// Whether the reply carries a `Stat` (getChildren2).
        stat: bool,
    },
    /// getEphemerals (103): this session's, below a prefix.
    Ephemerals {
        /// Paths start with this.
        prefix: Arc<str>,
    },
    /// getAllChildrenNumber (104): every znode below.
    AllChildrenNumber {
        /// Where.
        path: Arc<str>,
    },
    /// sync (9).
    Sync {
        /// Echoed; has no meaning.
        path: Arc<str>,
    },
    /// ping (11), xid -2.
    Ping,
    /// auth (100), xid -4.
    Auth {
        /// `digest`, `ip`, ...
        scheme: Arc<str>,
        /// For `digest`: `user:password`.
        credentials: Bytes,
    },
    /// whoAmI (107).
    WhoAmI,
    /// setWatches (101) or setWatches2 (105), xid -8.
    SetWatches(SetWatches),
    /// addWatch (106).
    AddWatch {
        /// Where.
        path: Arc<str>,
        /// Which kind.
        mode: AddWatchMode,
    },
    /// checkWatches (17): is there such a watch?
    CheckWatches {
        /// Where.
        path: Arc<str>,
        /// Which kind.
        kind: WatcherType,
    },
    /// removeWatches (18).
    RemoveWatches {
        /// Where.
        path: Arc<str>,
        /// Which kind.
        kind: WatcherType,
    },
    /// closeSession (-11).
    CloseSession,
}

/// The body of a reply without error; what it may be follows from the request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// Nothing but the header: delete, ping, auth, setWatches, checkWatches, removeWatches,
    /// closeSession.
    Empty,
    /// create: the path made; with `stat` for create2, createContainer and createTTL.
    Created {
        /// With the number appended, if sequential.
        path: Arc<str>,
        /// Present for all but opcode 1.
        stat: Option<Stat>,
    },
    /// exists, setData, setACL.
    Stat(Stat),
    /// getData.
    Data {
        /// Null and empty are kept apart.
        data: Option<Bytes>,
        /// Of the same instant.
        stat: Stat,
    },
    /// getACL.
    Acl {
        /// The list.
        acl: Vec<Acl>,
        /// Of the same instant.
        stat: Stat,
    },
    /// getChildren; with `stat` for getChildren2. Names, not paths, in order.
    Children {
        /// The names.
        names: Vec<Arc<str>>,
        /// Present for getChildren2.
        stat: Option<Stat>,
    },
    /// getEphemerals.
    Ephemerals(Vec<Arc<str>>),
    /// getAllChildrenNumber.
    AllChildrenNumber(i32),
    /// sync: the path, echoed.
    Synced(Arc<str>),
    /// whoAmI: scheme and name of each identity.
    WhoAmI(Vec<(Arc<str>, Arc<str>)>),
    /// addWatch: an int 0 on the wire.
    WatchAdded,
    /// multi and multiRead: one result per step. When a step failed, every entry is an error:
    /// `None` (code 0) before the culprit, its code, and -2 after it.
    Multi(Vec<MultiReply>),
}

/// The result of one step of a `multi` or multiRead.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MultiReply {
    /// create.
    Created {
        /// The path made.
        path: Arc<str>,
        /// Present for all but opcode 1.
        stat: Option<Stat>,
    },
    /// delete.
    Deleted,
    /// setData.
    DataSet(Stat),
    /// check.
    Checked,
    /// getData, in a multiRead.
    Data {
        /// Null and empty are kept apart.
        data: Option<Bytes>,
        /// Of the same instant.
        stat: Stat,
    },
    /// getChildren, in a multiRead.
    Children(Vec<Arc<str>>),
    /// The step failed, or (`None`, code 0) would have succeeded had none failed.
    Error(Option<ErrorCode>),
}

/// The header of every reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReplyHeader {
    /// The request's xid; -1 for an event, -2 for a ping, -4 for auth, -8 for setWatches.
    pub xid: i32,
    /// The last transaction the server had applied when it answered.
    pub zxid: Zxid,
    /// `None` travels as 0.
    pub error: Option<ErrorCode>,
}

/// A notification (xid -1). State is always 3, connected.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WatchEvent {
    /// What happened.
    pub kind: WatchEventKind,
    /// To which znode.
    pub path: Arc<str>,
    /// The change (3.9), or [`Zxid::ZERO`] (travels as -1) for the catch-up after a reconnect.
    pub zxid: Zxid,
}

/// What a notification reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WatchEventKind {
    /// Types 1 to 4.
    Change(EventKind),
    /// 5: a watch on data was removed.
    DataWatchRemoved,
    /// 6: a watch on children was removed.
    ChildWatchRemoved,
    /// 7: a persistent watch was removed.
    PersistentWatchRemoved,
}

/// The first frame a client sends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnectRequest {
    /// The newest zxid the client has seen: a server that is behind closes the connection.
    pub last_zxid_seen: Zxid,
    /// The session timeout requested, in milliseconds.
    pub timeout: i32,
    /// The session to resume, or [`SessionId::NONE`].
    pub session: SessionId,
    /// 16 bytes that prove it.
    pub password: Bytes,
    /// Whether a read-only server, one without a quorum, is accepted; `None` when the client did
    /// not send the byte.
    pub read_only: Option<bool>,
}

/// The first frame a server sends. Session 0 and timeout 0 say that the session is over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnectResponse {
    /// The timeout negotiated, in milliseconds.
    pub timeout: i32,
    /// The session.
    pub session: SessionId,
    /// 16 bytes to resume it with.
    pub password: Bytes,
    /// Echoed only to clients that sent theirs.
    pub read_only: Option<bool>,
}

/// A four-letter word, sent instead of a handshake; answered with text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FourLetterWord {
    /// `ruok`: answers `imok`.
    Ruok,
    /// `srvr`: version, counters, role.
    Srvr,
    /// `isro`: `rw`, `ro`, or `null` while no clients are served.
    Isro,
    /// `mntr`: key and value, one a line.
    Mntr,
    /// `stat`: as `srvr`, with a line for each connection.
    Stat,
    /// `conf`: how the server is configured.
    Conf,
    /// `cons`: details of each connection.
    Cons,
    /// `envi`: version and environment; where clients look for the version.
    Envi,
    /// `dump`: sessions with their deadlines and their ephemeral znodes.
    Dump,
    /// `wchs`: how many watches there are.
    Wchs,
}
