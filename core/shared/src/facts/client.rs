//! What clients of the coordination service report: their operations, connections, sessions and
//! watch events.
//!
//! Several clients may live on one node, so each fact says which of them reports it.

use super::{Account, Fact, Subject};
use crate::znodes::{Acl, EventKind, Owner, Stat, WatchKind};
use crate::{ErrorCode, SessionId, Zxid};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// One fact of a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum ClientFact {
    /// A client began an operation.
    Invoked {
        /// Which client, unique in the run.
        client: u32,
        /// The client's own running number.
        operation: u64,
        /// The request.
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
        /// What else the reply shows, if there was one that shows more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shown: Option<Box<Shown>>,
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
    /// An application dropped a watch, the last of its kind that the client had on this path: its
    /// events are no longer delivered. The server is not notified at once, so an event may still
    /// arrive on the same connection; the next connection no longer arms the watch.
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
    /// A client received an invalid message from its server and closed the connection: a reply to
    /// no request, out of order, or not a reply at all.
    ProtocolBroken {
        /// Which client.
        client: u32,
        /// Its session, or [`SessionId::NONE`] before it has one.
        session: SessionId,
        /// What was wrong, in a few words.
        why: Arc<str>,
    },
}

impl Fact for ClientFact {
    const TOPIC: &'static str = "client";

    fn told<'a, T>(&'a self, to: impl FnOnce(Account<'a>, fmt::Arguments<'_>) -> T) -> T {
        let fact = Account::of;
        match self {
            Self::Invoked { client, operation, call } => to(
                fact("invoked", Subject::Operations).by("client"),
                format_args!("asks {client}.{operation}: {call}"),
            ),
            Self::Returned { client, operation, outcome, .. } => to(
                fact("returned", Subject::Operations),
                format_args!("is told {client}.{operation}: {outcome}"),
            ),
            Self::ClientConnected { session, resumed, .. } => to(
                fact("client_connected", Subject::Connections).by("client"),
                format_args!(
                    "is connected, session {session}{}",
                    if *resumed { " again" } else { "" }
                ),
            ),
            Self::ClientDisconnected { .. } => to(
                fact("client_disconnected", Subject::Connections).turn(),
                format_args!("loses its connection"),
            ),
            Self::ClientSessionEnded { session, expired, .. } => to(
                fact("client_session_ended", Subject::Connections).turn(),
                format_args!(
                    "learns that session {session} {}",
                    if *expired { "expired" } else { "is closed" }
                ),
            ),
            Self::EventDelivered { path, kind, zxid, .. } => to(
                fact("event_delivered", Subject::Watches),
                format_args!("is notified: {path} {kind} ({zxid})"),
            ),
            Self::WatchGivenUp { path, watch, .. } => to(
                fact("watch_given_up", Subject::Watches),
                format_args!("gives its {watch} watch on {path} up"),
            ),
            Self::ProtocolBroken { session, why, .. } => to(
                fact("protocol_broken", Subject::Connections),
                format_args!("hangs up on nonsense in session {session}: {why}"),
            ),
        }
    }
}

/// A client's operation, as far as a checker needs it. Values are the XXH3 of the data.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Call {
    /// Which operation.
    pub kind: CallKind,
    /// The znode; for `Multi` and `MultiRead` the first znode named, for `Ephemerals` the prefix.
    pub path: Arc<str>,
    /// The digest of the data written, 0 otherwise.
    pub value: u64,
    /// Bytes of the data written, 0 otherwise.
    pub bytes: u32,
    /// The version demanded, -1 for any; of the access list for `SetAcl`.
    pub version: i32,
    /// Whether the operation sets a watch.
    pub watch: bool,
    /// What few operations ask for beside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Box<Asked>>,
}

/// What few operations ask for beside what every [`Call`] has.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// A create that asks for more than a persistent or ephemeral znode that everybody may use. Of
    /// whom lives with the session, the session is left open.
    Create {
        /// Whose it shall be; [`SessionId::NONE`] stands for whoever creates it.
        owner: Owner,
        /// Its access list; `None` for the usual one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        acl: Option<Vec<Acl>>,
    },
    /// The access list that a `SetAcl` sets.
    Acl(Vec<Acl>),
    /// The steps of a `Multi` or `MultiRead`, in order.
    Steps(Vec<Call>),
    /// The identity that an `Auth` claims to prove, as access lists name it.
    Identity {
        /// `digest`, `ip`, ...
        scheme: Arc<str>,
        /// In the scheme's own form: never a secret.
        id: Arc<str>,
    },
}

/// What a reply shows beside the outcome.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// A znode.
    Znode(Step),
    /// The access list of a znode.
    Acl {
        /// The list.
        acl: Vec<Acl>,
        /// The znode.
        stat: Stat,
    },
    /// What became of each step of a `Multi` or `MultiRead`, in order.
    Steps(Vec<Step>),
    /// Whom the server takes the client for: schemes and names.
    Identities(Vec<(Arc<str>, Arc<str>)>),
}

/// What a reply says of one operation, alone or a step of several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Step {
    /// ZooKeeper's error code; 0 for what was done, or would have been.
    pub code: i32,
    /// For a read of data its digest, for a list of children the digest of the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<u64>,
    /// The path of what was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Arc<str>>,
    /// The znode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stat: Option<Stat>,
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
    /// Check whether a znode exists.
    Exists,
    /// List a znode's children.
    Children,
    /// Catch up with the leader; a read that follows in the same session is linearizable.
    Sync,
    /// Several writes, all or nothing.
    Multi,
    /// Anything else: session upkeep.
    Other,
    /// Set a persistent watch on a znode and its list of children.
    AddWatch,
    /// Set a persistent watch on a znode and all below it.
    AddWatchRecursive,
    /// Remove watches of a znode, of one kind or all.
    RemoveWatches,
    /// Demand a version; a step of `Multi` only.
    Check,
    /// Replace a znode's access list.
    SetAcl,
    /// Read a znode's access list.
    GetAcl,
    /// Several reads at one instant.
    MultiRead,
    /// List the session's own ephemerals, those below a prefix.
    Ephemerals,
    /// Count all znodes below one.
    AllChildrenNumber,
    /// Prove an identity. It is answered out of the order of the others.
    Auth,
    /// Ask whom the server takes the client for.
    WhoAmI,
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
                | Self::SetAcl
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
        /// Reads: the digest of the data; for `Children` and `Ephemerals` the digest of the list,
        /// for `AllChildrenNumber` the number.
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

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if !self.path.is_empty() {
            write!(f, " {}", self.path)?;
        }
        if self.version >= 0 {
            write!(f, " at version {}", self.version)?;
        }
        if self.watch {
            f.write_str(", leaving a watch")?;
        }
        Ok(())
    }
}

impl fmt::Display for CallKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::CreateEphemeral => "create ephemeral",
            Self::CreateSequential => "create sequential",
            Self::Delete => "delete",
            Self::SetData => "set data of",
            Self::GetData => "get data of",
            Self::Exists => "exists",
            Self::Children => "children of",
            Self::Sync => "sync",
            Self::Multi => "multi, first",
            Self::AddWatch => "watch",
            Self::AddWatchRecursive => "watch all below",
            Self::RemoveWatches => "remove watches of",
            Self::Check => "check",
            Self::SetAcl => "set access list of",
            Self::GetAcl => "get access list of",
            Self::MultiRead => "several reads, first",
            Self::Ephemerals => "own ephemerals below",
            Self::AllChildrenNumber => "count all below",
            Self::Auth => "prove an identity",
            Self::WhoAmI => "who am I",
            Self::Other => "upkeep",
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok { zxid, version, .. } if *version >= 0 => {
                write!(f, "ok at {zxid}, version {version}")
            }
            Self::Ok { zxid, .. } => write!(f, "ok at {zxid}"),
            Self::Failed { code, .. } => match ErrorCode::from_code(*code) {
                Some(error) => write!(f, "refused with {}", error.name()),
                None => write!(f, "refused with error {code}"),
            },
            Self::Unknown => f.write_str("nobody knows whether it happened"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_its_name_whatever_its_number() {
        let told = |code| Outcome::Failed { code, zxid: Zxid::ZERO }.to_string();
        for error in ErrorCode::ALL {
            assert_eq!(told(error.code()), format!("refused with {}", error.name()));
        }
        assert_eq!(told(-110), "refused with NODEEXISTS");
        assert_eq!(told(-999), "refused with error -999");
    }
}
