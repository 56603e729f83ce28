//! What a znode is, what happens to znodes and sessions, and who is notified of it.
//!
//! Owns: what is told of a znode, its access list and its owner; the changes of the tree; the kinds
//! of watches and of their events, as servers, clients and onlookers tell them apart. Leaves: how
//! they travel to `wire`.

use crate::time_in_words::span_of_ms;
use crate::{Millis, SessionId, Zxid};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// What the service tells about a znode (68 bytes on the wire).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stat {
    /// The transaction that created it.
    pub czxid: Zxid,
    /// The transaction that last replaced its data.
    pub mzxid: Zxid,
    /// When it was created, in milliseconds since the Unix epoch, on the leader's wall clock.
    pub ctime: i64,
    /// When its data was last replaced.
    pub mtime: i64,
    /// How often its data was replaced.
    pub version: i32,
    /// How often its list of children changed (creations plus deletions).
    pub cversion: i32,
    /// How often its access list was replaced.
    pub aversion: i32,
    /// The session it lives with, or [`SessionId::NONE`]; also none for container and TTL znodes.
    pub ephemeral_owner: SessionId,
    /// Bytes of data.
    pub data_length: i32,
    /// How many children.
    pub num_children: i32,
    /// The transaction that last added or removed a child.
    pub pzxid: Zxid,
}

/// One entry of an access list: who may do what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Acl {
    /// A sum of [`permission`] bits.
    pub permissions: i32,
    /// `world`, `auth`, `digest` or `ip`.
    pub scheme: Arc<str>,
    /// The identity, in the scheme's own form.
    pub id: Arc<str>,
}

/// The permissions of an access list.
pub mod permission {
    /// Read data and list children.
    pub const READ: i32 = 1;
    /// Replace data.
    pub const WRITE: i32 = 2;
    /// Create children.
    pub const CREATE: i32 = 4;
    /// Delete children.
    pub const DELETE: i32 = 8;
    /// Replace the access list.
    pub const ADMIN: i32 = 16;
    /// All of them.
    pub const ALL: i32 = 31;
}

/// To whom a znode belongs: what makes it go without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// To nobody: persistent.
    Nobody,
    /// To a session: ephemeral.
    Session(SessionId),
    /// A container.
    Container,
    /// Nobody, with a time-to-live.
    Ttl(Millis),
}

impl Owner {
    /// The session that it lives with, if it is ephemeral; [`SessionId::NONE`] otherwise, as in a
    /// [`Stat`].
    pub fn session(self) -> SessionId {
        match self {
            Self::Session(session) => session,
            Self::Nobody | Self::Container | Self::Ttl(_) => SessionId::NONE,
        }
    }
}

/// What one applied transaction did to the shared state.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// A znode appeared.
    Created {
        /// Its path.
        path: Arc<str>,
        /// Whose it is.
        owner: Owner,
        /// The XXH3 of its data.
        value: u64,
        /// Bytes of data.
        bytes: u32,
        /// Its access list, with the identities that `auth` stood for; `None` for the usual one,
        /// which lets everybody do everything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        acl: Option<Arc<[Acl]>>,
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
        /// The XXH3 of its new data.
        value: u64,
        /// Bytes of it.
        bytes: u32,
    },
    /// A znode's access list was replaced.
    AclSet {
        /// Its path.
        path: Arc<str>,
        /// Its new aversion.
        version: i32,
        /// The list, as a created znode's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        acl: Option<Arc<[Acl]>>,
    },
    /// A session began.
    SessionOpened {
        /// Which.
        session: SessionId,
        /// The timeout negotiated.
        timeout: Millis,
    },
    /// A session ended, with all its ephemerals (each also reported as [`Change::Deleted`]).
    SessionClosed {
        /// Which.
        session: SessionId,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created { path, owner, .. } => match owner {
                Owner::Nobody => write!(f, "{path} created"),
                Owner::Session(session) => write!(f, "{path} created for session {session}"),
                Owner::Container => write!(f, "{path} created, a container"),
                Owner::Ttl(ttl) => {
                    write!(f, "{path} created, to live {} untouched", span_of_ms(ttl.0))
                }
            },
            Self::Deleted { path } => write!(f, "{path} deleted"),
            Self::DataSet { path, version, .. } => write!(f, "{path} set to version {version}"),
            Self::AclSet { path, .. } => write!(f, "{path} has another access list"),
            Self::SessionOpened { session, timeout } => {
                let timeout = span_of_ms(timeout.0);
                write!(f, "session {session} opened, timeout {timeout}")
            }
            Self::SessionClosed { session } => write!(f, "session {session} closed"),
        }
    }
}

/// What a watch is for, as clients tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WatchKind {
    /// Once, for the data of a znode that existed when the watch was set.
    Data,
    /// Once, for a znode that did not exist then.
    Creation,
    /// Once, for a list of children.
    Children,
    /// Persistent, for a znode and its list of children.
    Persistent,
    /// Persistent, for a znode and all below it.
    Recursive,
}

impl fmt::Display for WatchKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Data => "data",
            Self::Creation => "creation",
            Self::Children => "children",
            Self::Persistent => "persistent",
            Self::Recursive => "recursive",
        })
    }
}

/// What a watch event reports (the protocol's event types 1 to 4).
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

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Deleted => "deleted",
            Self::DataChanged => "changed",
            Self::ChildrenChanged => "has other children",
        })
    }
}
