//! What happens to znodes and sessions, and who is notified of it.
//!
//! Owns: the changes of the tree, and the kinds of watches and of their events, as servers, clients
//! and onlookers tell them apart. Leaves: how they travel to `wire`.

use crate::time_in_words::span_of_ms;
use crate::{Millis, SessionId};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

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
        /// The XXH3 of its data.
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
        /// The XXH3 of its new data.
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
    /// A session ended, with all its ephemerals (each also reported as [`Change::Deleted`]).
    SessionClosed {
        /// Which.
        session: SessionId,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created { path, owner, .. } if *owner == SessionId::NONE => {
                write!(f, "{path} created")
            }
            Self::Created { path, owner, .. } => write!(f, "{path} created for session {owner}"),
            Self::Deleted { path } => write!(f, "{path} deleted"),
            Self::DataSet { path, version, .. } => write!(f, "{path} set to version {version}"),
            Self::AclSet { path } => write!(f, "{path} has another access list"),
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
