//! The replicated state: sessions and the tree, as of the last transaction applied.
//!
//! Owns: what a transaction does. Leaves: what a request becomes to `pending`, questions to `read`.
//! Holds: transactions are applied in order, each once; equal histories give equal databases, on
//! every server, also when a part of the history came as a fuzzy snapshot. Only committed
//! transactions get here.
//! Start at [`Database::apply`].

use super::applied::{Applied, TxnResult};
use super::fuzzy::Fuzzy;
use super::pending::DataOptions;
use super::tree::{Guard, Tree, Znode};
use bytes::Bytes;
use mailstorm_shared::checksum::value_digest;
use mailstorm_shared::znodes::Change;
use mailstorm_shared::{Millis, SessionId, WallTime, Zxid};
use mailstorm_wire::txn::{Txn, TxnBody};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What every server knows of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionRecord {
    /// Negotiated when it began.
    pub timeout: Millis,
    /// With which a client proves that it is its own.
    pub password: [u8; 16],
}

/// How much there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Counts {
    /// Sessions.
    pub sessions: usize,
    /// Znodes, with those that ZooKeeper starts with.
    pub znodes: usize,
    /// Ephemeral ones among them.
    pub ephemerals: usize,
    /// Bytes of all paths and data (ZooKeeper's `approximate_data_size`).
    pub bytes: u64,
}

/// See the module's head.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Database {
    last_applied: Zxid,
    sessions: BTreeMap<SessionId, SessionRecord>,
    tree: Tree,
}

impl Default for Database {
    fn default() -> Self {
        Self::new()
    }
}

impl Database {
    /// As ZooKeeper starts: the root, and `/zookeeper` with what belongs to it.
    pub fn new() -> Self {
        Self { last_applied: Zxid::ZERO, sessions: BTreeMap::new(), tree: Tree::new() }
    }

    /// Rows that a snapshot held, as of `begin` and later; `None` if they make no tree.
    pub(super) fn of_rows(
        begin: Zxid,
        sessions: BTreeMap<SessionId, SessionRecord>,
        mut tree: Tree,
        fuzzy: Fuzzy,
    ) -> Option<Self> {
        let fuzzy = (fuzzy.exact_from() > begin).then_some(fuzzy);
        tree.loaded(fuzzy).then_some(Self { last_applied: begin, sessions, tree })
    }

    /// The last transaction contained.
    pub fn last_applied(&self) -> Zxid {
        self.last_applied
    }

    /// Whether all of it is of one moment. It is not for a while after a fuzzy snapshot was loaded,
    /// and must not be shown to clients then.
    pub fn is_exact(&self) -> bool {
        self.tree.fuzzy().is_none()
    }

    /// A session that has begun and not ended.
    pub fn session(&self, id: SessionId) -> Option<&SessionRecord> {
        self.sessions.get(&id)
    }

    /// All of them, in order.
    pub fn sessions(&self) -> impl Iterator<Item = (SessionId, &SessionRecord)> {
        self.sessions.iter().map(|(id, record)| (*id, record))
    }

    /// Sessions after this one, or from the first.
    pub(super) fn sessions_from(
        &self,
        id: SessionId,
    ) -> impl Iterator<Item = (SessionId, &SessionRecord)> {
        self.sessions.range(id..).map(|(id, record)| (*id, record))
    }

    pub(super) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Every session that owns ephemeral znodes, with their paths, in order.
    pub fn ephemerals(&self) -> impl Iterator<Item = (SessionId, &BTreeSet<Arc<str>>)> {
        self.tree.ephemerals_from(SessionId(i64::MIN))
    }

    /// Containers whose children are all gone, and znodes that nobody touched for their
    /// time-to-live, at most `limit` of them. Ask [`super::Pending::prepare_sweep`] for each.
    pub fn sweepable(&self, wall: WallTime, limit: usize, options: &DataOptions) -> Vec<Arc<str>> {
        self.tree.due(wall, options.defects).take(limit).cloned().collect()
    }

    /// How much there is.
    pub fn counts(&self) -> Counts {
        Counts {
            sessions: self.sessions.len(),
            znodes: self.tree.znode_count(),
            ephemerals: self.tree.ephemeral_count(),
            bytes: self.tree.bytes(),
        }
    }

    /// Asserts what always holds, as far as it costs nothing to look.
    pub fn invariants(&self) {
        self.tree.invariants();
        assert!(
            self.tree.fuzzy().is_none_or(|fuzzy| fuzzy.exact_from() > self.last_applied),
            "the tree is exact as soon as all that its snapshot may contain is applied"
        );
    }

    /// Asserts what always holds of one change that has just been applied, where it stands in the
    /// tree.
    pub fn check_change(&self, change: &Change) {
        match change {
            Change::Created { path, .. }
            | Change::DataSet { path, .. }
            | Change::AclSet { path, .. } => self.tree.check_znode(path),
            Change::Deleted { path } => {
                self.tree.check_znode(super::path::parent(path));
            }
            Change::SessionOpened { session, timeout } => {
                let kept = self.sessions.get(session).map(|record| record.timeout);
                assert_eq!(kept, Some(*timeout), "a session that was opened is there");
            }
            Change::SessionClosed { session } => {
                assert!(!self.sessions.contains_key(session), "a session that was closed is gone");
                assert!(
                    !self.is_exact() || self.tree.ephemerals_of(*session).next().is_none(),
                    "the ephemerals of a session go with it"
                );
            }
        }
    }

    /// Makes a committed transaction part of the state.
    pub fn apply(&mut self, zxid: Zxid, txn: &Txn) -> Applied {
        assert!(zxid > self.last_applied, "transactions are applied in order, each once");
        let time = WallTime(txn.time);
        let mut told = Told { changes: Vec::new(), guards: Vec::new() };
        let result = match &txn.body {
            TxnBody::Error(code) => TxnResult::Error(*code),
            TxnBody::MultiFailed(errors) => TxnResult::MultiFailed(errors.clone()),
            TxnBody::Nothing => TxnResult::Nothing,
            TxnBody::Multi(steps) => TxnResult::Multi(
                steps.iter().map(|step| self.apply_step(zxid, time, step, &mut told)).collect(),
            ),
            TxnBody::OpenSession { timeout, password } => {
                self.open_session(zxid, *timeout, *password, &mut told)
            }
            TxnBody::CloseSession => self.close_session(zxid, txn.session, &mut told),
            step => self.apply_step(zxid, time, step, &mut told),
        };
        self.last_applied = zxid;
        self.tree.applied(zxid);
        Applied { result, changes: told.changes, guards: told.guards }
    }

    /// What may stand alone or in a `multi`.
    fn apply_step(
        &mut self,
        zxid: Zxid,
        time: WallTime,
        step: &TxnBody,
        told: &mut Told,
    ) -> TxnResult {
        match step {
            TxnBody::Create { path, data, acl, owner, parent_creations } => {
                let acl = self.tree.keep_acl(acl);
                let znode = Znode::new(keep(data), acl, *owner, zxid, time);
                let value = value_digest(data.as_deref());
                let (owner, bytes) = (*owner, length(data));
                let acl = self.tree.unusual(&znode.acl);
                let (stat, guard) = self.tree.create(zxid, path, znode, *parent_creations);
                let change = Change::Created { path: path.clone(), owner, value, bytes, acl };
                told.push(change, guard);
                TxnResult::Created { path: path.clone(), stat }
            }
            TxnBody::Delete { path } => {
                let guard = self.tree.delete(zxid, path);
                told.push(Change::Deleted { path: path.clone() }, guard);
                TxnResult::Deleted
            }
            TxnBody::SetData { path, data, version } => {
                let (stat, guard) = self.tree.set_data(zxid, time, path, keep(data), *version);
                let value = value_digest(data.as_deref());
                let (version, bytes) = (*version, length(data));
                let change = Change::DataSet { path: path.clone(), version, value, bytes };
                told.push(change, guard);
                TxnResult::DataSet(stat)
            }
            TxnBody::SetAcl { path, acl, version } => {
                let stat = self.tree.set_acl(zxid, path, acl, *version);
                let acl = self.tree.unusual(&self.tree.keep_acl(acl));
                let change = Change::AclSet { path: path.clone(), version: *version, acl };
                told.push(change, None);
                TxnResult::AclSet(stat)
            }
            TxnBody::Check { .. } => TxnResult::Checked,
            TxnBody::Error(_)
            | TxnBody::Multi(_)
            | TxnBody::MultiFailed(_)
            | TxnBody::OpenSession { .. }
            | TxnBody::CloseSession
            | TxnBody::Nothing => unreachable!("the leader puts only writes into a multi"),
        }
    }

    fn open_session(
        &mut self,
        zxid: Zxid,
        timeout: Millis,
        password: [u8; 16],
        told: &mut Told,
    ) -> TxnResult {
        // A fuzzy snapshot may have it already, or no more; then its end is still to be replayed.
        let session = SessionId::created_at(zxid);
        self.sessions.insert(session, SessionRecord { timeout, password });
        told.push(Change::SessionOpened { session, timeout }, None);
        TxnResult::SessionOpened(session)
    }

    /// The session's ephemerals go with it, in the order of paths. Closing twice does no harm.
    fn close_session(&mut self, zxid: Zxid, session: SessionId, told: &mut Told) -> TxnResult {
        for (path, guard) in self.tree.delete_ephemerals(zxid, session) {
            told.push(Change::Deleted { path }, guard);
        }
        self.sessions.remove(&session);
        told.push(Change::SessionClosed { session }, None);
        TxnResult::SessionClosed
    }
}

/// Changes on their way to [`Applied`].
struct Told {
    changes: Vec<Change>,
    guards: Vec<(usize, Guard)>,
}

impl Told {
    fn push(&mut self, change: Change, guard: Option<Guard>) {
        if let Some(guard) = guard {
            self.guards.push((self.changes.len(), guard));
        }
        self.changes.push(change);
    }
}

/// Bytes of data, as onlookers are told: more than that fits no transaction.
fn length(data: &Option<Bytes>) -> u32 {
    data.as_ref().map_or(0, |data| data.len() as u32)
}

/// A copy to be kept: what arrives is a part of some frame, all of which would be kept with it.
fn keep(data: &Option<Bytes>) -> Option<Bytes> {
    data.as_deref().map(Bytes::copy_from_slice)
}
