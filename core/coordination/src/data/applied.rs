//! What a transaction did: the result for whoever asked, and the changes for everybody else.

use super::acl;
use super::auth::Identity;
use super::tree::Guard;
use mailstorm_shared::SessionId;
use mailstorm_shared::znodes::{Change, EventKind};
use mailstorm_wire::client::{
    ErrorCode, MultiReply, Reply, Request, Stat, WatchEvent, WatchEventKind, Write, permission,
};
use std::sync::Arc;

/// What a transaction did.
///
/// While a database catches up with a fuzzy snapshot ([`super::Database::is_exact`] is false),
/// results carry an empty `Stat` and changes are incomplete: some effects are in the snapshot
/// already. Nobody waits for them then.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Applied {
    /// For whoever asked.
    pub result: TxnResult,
    /// For watches and onlookers, in order.
    pub changes: Vec<Change>,
    /// Who may see which change: only those that not everybody may see, by index, in its order.
    pub(super) guards: Vec<(usize, Guard)>,
}

impl Applied {
    /// Whether a client with these identities may be told of `event`, which the change with this
    /// index triggered: it must be allowed to read the znode that the event names (ZooKeeper checks
    /// on delivery), as its list was at the change. A watch that is used up without a delivery
    /// stays used up.
    pub fn may_see(&self, change: usize, event: &WatchEvent, identities: &[Identity]) -> bool {
        // The end of one session can be as many changes as it had ephemerals, each with its guard.
        let Ok(at) = self.guards.binary_search_by_key(&change, |(index, _)| *index) else {
            return true;
        };
        let guard = &self.guards[at].1;
        let of_parent = event.kind == WatchEventKind::Change(EventKind::ChildrenChanged);
        let acl = if of_parent { &guard.parent } else { &guard.znode };
        acl::permits(acl, permission::READ, identities)
    }
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TxnResult {
    /// It was refused.
    Error(ErrorCode),
    /// A znode was created.
    Created {
        /// Its whole path.
        path: Arc<str>,
        /// As it was then.
        stat: Stat,
    },
    /// A znode was deleted.
    Deleted,
    /// Data was replaced.
    DataSet(Stat),
    /// An access list was replaced.
    AclSet(Stat),
    /// A version was what it should be.
    Checked,
    /// All steps of a `multi` succeeded.
    Multi(Vec<TxnResult>),
    /// A `multi` failed: one entry per step, `None` for those before the culprit.
    MultiFailed(Vec<Option<ErrorCode>>),
    /// A session began.
    SessionOpened(SessionId),
    /// A session ended.
    SessionClosed,
    /// Nothing happened.
    Nothing,
}

impl TxnResult {
    /// The answer to the request that led to this. Its shape depends on the request: create2 gets a
    /// `Stat`, create does not. A failed `multi` is an answer, not an error.
    ///
    /// # Errors
    /// The request was refused.
    pub fn reply(self, request: &Request) -> Result<Reply, ErrorCode> {
        Ok(match self {
            Self::Error(code) => return Err(code),
            Self::Created { path, stat } => {
                let wants_stat = matches!(request, Request::Write(write) if wants_stat(write));
                Reply::Created { path, stat: wants_stat.then_some(stat) }
            }
            Self::DataSet(stat) | Self::AclSet(stat) => Reply::Stat(stat),
            Self::Multi(results) => {
                let steps = if let Request::Multi(steps) = request { &steps[..] } else { &[] };
                let wants = steps.iter().map(wants_stat).chain(std::iter::repeat(false));
                Reply::Multi(results.into_iter().zip(wants).map(multi_reply).collect())
            }
            Self::MultiFailed(errors) => {
                Reply::Multi(errors.into_iter().map(MultiReply::Error).collect())
            }
            Self::Deleted
            | Self::Checked
            | Self::SessionOpened(_)
            | Self::SessionClosed
            | Self::Nothing => Reply::Empty,
        })
    }
}

fn wants_stat(write: &Write) -> bool {
    matches!(write, Write::Create { stat: true, .. })
}

fn multi_reply((result, wants_stat): (TxnResult, bool)) -> MultiReply {
    match result {
        TxnResult::Created { path, stat } => {
            MultiReply::Created { path, stat: wants_stat.then_some(stat) }
        }
        TxnResult::Deleted => MultiReply::Deleted,
        TxnResult::DataSet(stat) | TxnResult::AclSet(stat) => MultiReply::DataSet(stat),
        TxnResult::Error(code) => MultiReply::Error(Some(code)),
        TxnResult::Checked
        | TxnResult::Multi(_)
        | TxnResult::MultiFailed(_)
        | TxnResult::SessionOpened(_)
        | TxnResult::SessionClosed
        | TxnResult::Nothing => MultiReply::Checked,
    }
}
