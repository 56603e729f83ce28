//! What the tree will be when everything that the leader has proposed is applied.
//!
//! A leader decides what becomes of a write when it proposes it, not when it is committed. So it
//! must look ahead: versions, existence, counters, access lists, owners and sessions as the
//! transactions under way leave them (ZooKeeper's `outstandingChanges`).
//!
//! Owns: the records that differ from the database, and which requests are refused with which code.
//! The order of the checks is `PrepRequestProcessor`'s, since clients see the first that fails.
//! Holds: what is prepared for a zxid is what applying it will find; a refused write leaves no
//! trace, nor does a `multi` of which one step is refused (ZOOKEEPER-1624: a later sequential name
//! must not count what never happened); nothing is prepared for a session that closes; whatever is
//! prepared fits a transaction ([`TXN_BODY_BYTES_MAX`]).
//! Start at [`Pending::prepare`].

use super::acl;
use super::auth::Identity;
use super::database::Database;
use super::path;
use super::tree::Znode;
use bytes::Bytes;
use mailstorm_shared::{Defects, Millis, SessionId, WallTime, Zxid, planted};
use mailstorm_wire::client::{Acl, CreateMode, ErrorCode, Write, permission};
use mailstorm_wire::peer::LeaderRequest;
use mailstorm_wire::txn::{Owner, TXN_BYTES_MAX, TxnBody};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// The most data a znode holds, unless configured otherwise. ZooKeeper has no rule of its own but
/// hangs up on any packet larger than `jute.maxbuffer`, by default 1 byte less than this.
pub const DATA_BYTES_MAX: usize = 1024 * 1024;

/// The longest time-to-live: 40 bits of milliseconds, as ZooKeeper's `EphemeralType.TTL`.
pub const TTL_MS_MAX: i64 = (1 << 40) - 1;

/// The longest body of a transaction: with what stands before it (origin, session, time, and the
/// count of a multi's steps: less than these 64 bytes) it has at most [`TXN_BYTES_MAX`]. A write
/// that would become longer is refused with [`ErrorCode::BadArguments`], as data that is too long
/// is. A request can grow that far on its way: an `auth` entry becomes as many entries as its
/// sender has identities, in each step of a multi anew.
pub const TXN_BODY_BYTES_MAX: usize = TXN_BYTES_MAX - 64;

/// Rules of the tree that an ensemble can choose. They must be the same on every server that may
/// lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DataOptions {
    /// An ephemeral znode is changed and deleted by its owner's session alone (and by the super
    /// user); everybody else gets [`ErrorCode::NoAuth`]. Off by default: in ZooKeeper the access
    /// list decides.
    pub ephemeral_writes_by_owner_only: bool,
    /// The most data a znode holds; more is refused with [`ErrorCode::BadArguments`].
    pub data_bytes_max: usize,
    /// Whether znodes with a time-to-live can be made; if not, [`ErrorCode::Unimplemented`]. On by
    /// default, unlike ZooKeeper, where it is off for the sake of older snapshots.
    pub ttl_enabled: bool,
    /// The defect that the laboratory planted in this server, if any.
    pub defects: Defects,
}

impl Default for DataOptions {
    fn default() -> Self {
        Self {
            ephemeral_writes_by_owner_only: false,
            data_bytes_max: DATA_BYTES_MAX,
            ttl_enabled: true,
            defects: Defects::NONE,
        }
    }
}

/// See the module's head.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pending {
    records: BTreeMap<Arc<str>, Record>,
    /// The ephemerals among them, by owner: when many sessions end at once, each looks only at its
    /// own.
    owned: BTreeSet<(SessionId, Arc<str>)>,
    /// Which record was written for which transaction, oldest first.
    order: VecDeque<(Zxid, Arc<str>)>,
    /// Sessions whose beginning is proposed.
    opening: BTreeMap<SessionId, Zxid>,
    /// Sessions whose end is proposed.
    closing: BTreeMap<SessionId, Zxid>,
}

/// A path at which something is under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Record {
    /// The last transaction that concerns it.
    zxid: Zxid,
    /// What will be there; `None` for nothing.
    znode: Option<Facts>,
}

impl Record {
    /// The session whose ephemeral will be there.
    fn session(&self) -> Option<SessionId> {
        match self.znode.as_ref()?.owner {
            Owner::Session(session) => Some(session),
            Owner::Nobody | Owner::Container | Owner::Ttl(_) => None,
        }
    }
}

/// What matters of a znode for deciding about writes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Facts {
    acl: Arc<[Acl]>,
    owner: Owner,
    version: i32,
    aversion: i32,
    creations: u32,
    child_count: u32,
}

impl Facts {
    fn of(znode: &Znode) -> Self {
        Self {
            acl: znode.acl.clone(),
            owner: znode.owner,
            version: znode.version,
            aversion: znode.aversion,
            creations: znode.creations,
            child_count: znode.children.len() as u32,
        }
    }
}

impl Pending {
    /// Nothing is under way.
    pub fn new() -> Self {
        Self::default()
    }

    /// What becomes of a request that leaves a transaction, which will stand at `zxid`. A refused
    /// one becomes [`TxnBody::Error`] or [`TxnBody::MultiFailed`]. `database` is the leader's own.
    ///
    /// For [`LeaderRequest::OpenSession`] `session` has no meaning: the session is the one created
    /// at `zxid`.
    pub fn prepare(
        &mut self,
        database: &Database,
        zxid: Zxid,
        session: SessionId,
        request: &LeaderRequest,
        options: &DataOptions,
    ) -> TxnBody {
        assert!(database.is_exact(), "a leader has applied all that its snapshot may contain");
        assert!(zxid > database.last_applied(), "what is prepared has not happened yet");
        let identities = match request {
            LeaderRequest::OpenSession { timeout, password } => {
                self.opening.insert(SessionId::created_at(zxid), zxid);
                return TxnBody::OpenSession { timeout: *timeout, password: *password };
            }
            _ if !self.session_lives(database, session) => {
                return TxnBody::Error(ErrorCode::SessionExpired);
            }
            LeaderRequest::CloseSession => {
                self.close_session(database, zxid, session);
                if !planted!(options.defects, EphemeralAfterSessionClosed) {
                    self.closing.insert(session, zxid);
                }
                return TxnBody::CloseSession;
            }
            LeaderRequest::Write { identities, .. } | LeaderRequest::Multi { identities, .. } => {
                identities
            }
            LeaderRequest::Sync | LeaderRequest::ResumeSession { .. } => {
                return TxnBody::Error(ErrorCode::Unimplemented);
            }
        };
        let mut draft = Draft {
            pending: self,
            database,
            zxid,
            session,
            identities,
            options,
            bytes: 0,
            undo: None,
        };
        match request {
            LeaderRequest::Multi { writes, .. } => draft.multi(writes),
            // A check alone is not a write, and ZooKeeper knows no such request.
            LeaderRequest::Write { write: Write::Check { .. }, .. } => {
                TxnBody::Error(ErrorCode::Unimplemented)
            }
            LeaderRequest::Write { write, .. } => draft.write(write).unwrap_or_else(TxnBody::Error),
            _ => unreachable!("all other requests are dealt with above"),
        }
    }

    /// The deletion of a container or of a znode with a time-to-live that [`Database::sweepable`]
    /// named, or `None` if it is not due any more, or something concerning it is under way.
    pub fn prepare_sweep(
        &mut self,
        database: &Database,
        zxid: Zxid,
        wall: WallTime,
        path: &str,
        options: &DataOptions,
    ) -> Option<TxnBody> {
        let (path, znode) = database.tree().get_with_path(path)?;
        if self.records.contains_key(path) || !znode.is_due(wall, options.defects) {
            return None;
        }
        let path = path.clone();
        self.put(zxid, path.clone(), None);
        self.child_gone(database, zxid, path::parent(&path));
        Some(TxnBody::Delete { path })
    }

    /// Everything up to here is in the database now: what was known of it is forgotten.
    pub fn applied(&mut self, zxid: Zxid) {
        while let Some((first, path)) = self.order.front() {
            if *first > zxid {
                break;
            }
            let is_last = self.records.get(path).is_some_and(|record| record.zxid <= zxid);
            let Some((_, path)) = self.order.pop_front() else { break };
            if is_last {
                self.replace(path, None);
            }
        }
        self.opening.retain(|_, opened| *opened > zxid);
        self.closing.retain(|_, closed| *closed > zxid);
    }

    /// At how many paths something is under way.
    pub fn znode_count(&self) -> usize {
        self.records.len()
    }

    /// How many sessions are to begin.
    pub fn opening_count(&self) -> usize {
        self.opening.len()
    }

    /// Asserts what always holds between two steps, when everything up to `applied` is in the
    /// database and the log reaches up to `last_logged`.
    pub fn invariants(&self, applied: Zxid, last_logged: Zxid) {
        let (first, last) = (self.order.front(), self.order.back());
        assert!(
            first.is_none_or(|(zxid, _)| *zxid > applied),
            "what is applied is no longer looked ahead to"
        );
        assert!(
            last.is_none_or(|(zxid, _)| *zxid <= last_logged),
            "what is looked ahead to is proposed in the same step"
        );
        assert!(
            self.records.len() <= self.order.len(),
            "every record is forgotten when its last transaction is applied"
        );
        assert!(self.owned.len() <= self.records.len(), "an ephemeral to come is a record");
    }

    fn session_lives(&self, database: &Database, session: SessionId) -> bool {
        !self.closing.contains_key(&session)
            && (database.session(session).is_some() || self.opening.contains_key(&session))
    }

    /// Looks ahead to a session's end: all its ephemerals are gone then, also those under way.
    fn close_session(&mut self, database: &Database, zxid: Zxid, session: SessionId) {
        let first: Arc<str> = "".into();
        let under_way =
            self.owned.range((session, first)..).take_while(|(owner, _)| *owner == session);
        let at_rest =
            database.tree().ephemerals_of(session).filter(|path| !self.records.contains_key(*path));
        let paths: Vec<Arc<str>> =
            under_way.map(|(_, path)| path).chain(at_rest).cloned().collect();
        for path in paths {
            self.put(zxid, path.clone(), None);
            self.child_gone(database, zxid, path::parent(&path));
        }
    }

    /// What will be at this path, if anything.
    fn find(&self, database: &Database, path: &str) -> Option<(Arc<str>, Facts)> {
        match self.records.get_key_value(path) {
            Some((path, record)) => record.znode.clone().map(|znode| (path.clone(), znode)),
            None => database
                .tree()
                .get_with_path(path)
                .map(|(path, znode)| (path.clone(), Facts::of(znode))),
        }
    }

    fn exists(&self, database: &Database, path: &str) -> bool {
        match self.records.get(path) {
            Some(record) => record.znode.is_some(),
            None => database.tree().get(path).is_some(),
        }
    }

    fn put(&mut self, zxid: Zxid, path: Arc<str>, znode: Option<Facts>) -> Option<Record> {
        self.order.push_back((zxid, path.clone()));
        self.replace(path, Some(Record { zxid, znode }))
    }

    /// Puts a record in the place of another, or none; gives the one that was there.
    fn replace(&mut self, path: Arc<str>, record: Option<Record>) -> Option<Record> {
        let owner = record.as_ref().and_then(Record::session);
        if let Some(session) = owner {
            self.owned.insert((session, path.clone()));
        }
        let before = match record {
            Some(record) => self.records.insert(path.clone(), record),
            None => self.records.remove(&path),
        };
        if let Some(session) = before.as_ref().and_then(Record::session)
            && owner != Some(session)
        {
            self.owned.remove(&(session, path));
        }
        before
    }

    fn child_gone(&mut self, database: &Database, zxid: Zxid, parent: &str) {
        let (path, mut parent) = self.find(database, parent).expect("a child's parent exists");
        parent.child_count -= 1;
        self.put(zxid, path, Some(parent));
    }
}

/// One request on its way to a transaction.
struct Draft<'a> {
    pending: &'a mut Pending,
    database: &'a Database,
    zxid: Zxid,
    session: SessionId,
    identities: &'a [Identity],
    options: &'a DataOptions,
    /// How long the bodies prepared so far are, all steps of a `multi` together.
    bytes: usize,
    /// In a `multi`: the records replaced so far, oldest first.
    undo: Option<Vec<(Arc<str>, Option<Record>)>>,
}

impl Draft<'_> {
    /// All steps, each of which sees those before it; or none.
    fn multi(&mut self, writes: &[Write]) -> TxnBody {
        let order_length = self.pending.order.len();
        self.undo = Some(Vec::new());
        let mut steps = Vec::with_capacity(writes.len());
        for write in writes {
            let step = match write {
                // Not among the operations of a multi.
                Write::SetAcl { .. } => Err(ErrorCode::Unimplemented),
                write => self.write(write),
            };
            match step {
                Ok(step) => steps.push(step),
                Err(code) => {
                    self.roll_back(order_length);
                    let mut errors = vec![None; steps.len()];
                    errors.push(Some(code));
                    errors.resize(writes.len(), Some(ErrorCode::RuntimeInconsistency));
                    return TxnBody::MultiFailed(errors);
                }
            }
        }
        TxnBody::Multi(steps)
    }

    fn roll_back(&mut self, order_length: usize) {
        for (path, mut record) in self.undo.take().into_iter().flatten().rev() {
            if planted!(self.options.defects, SequenceAfterAbortedMulti) {
                record = None;
            }
            self.pending.replace(path, record);
        }
        self.pending.order.truncate(order_length);
    }

    fn write(&mut self, write: &Write) -> Result<TxnBody, ErrorCode> {
        match write {
            Write::Create { path, data, acl, mode, ttl, stat: _ } => {
                self.create(path, data, acl, *mode, *ttl)
            }
            Write::Delete { path, version } => self.delete(path, *version),
            Write::SetData { path, data, version } => self.set_data(path, data, *version),
            Write::SetAcl { path, acl, version } => self.set_acl(path, acl, *version),
            Write::Check { path, version } => {
                path::validate(path)?;
                let (path, znode) = match planted!(self.options.defects, CheckOfTheApplied) {
                    true => Pending::new().find(self.database, path).ok_or(ErrorCode::NoNode)?,
                    false => self.find(path)?,
                };
                self.allowed(&znode, permission::READ)?;
                next_version(znode.version, *version)?;
                self.sized(TxnBody::Check { path })
            }
        }
    }

    fn create(
        &mut self,
        path: &Arc<str>,
        data: &Option<Bytes>,
        acl: &[Acl],
        mode: CreateMode,
        ttl: i64,
    ) -> Result<TxnBody, ErrorCode> {
        let owner = self.owner(mode, ttl)?;
        self.fits(data)?;
        if !path.starts_with('/') || path.contains('\0') {
            return Err(ErrorCode::BadArguments);
        }
        let acl = acl::fix_up(acl, self.identities)?;
        // `/a/` names nothing, so a path `/a//b` has no parent.
        let slash = path.rfind('/').expect("it begins with one");
        let (parent_path, mut parent) =
            self.find(if slash == 0 { path::ROOT } else { &path[..slash] })?;
        if !planted!(self.options.defects, ParentNotAsked) {
            self.allowed(&parent, permission::CREATE)?;
        }
        let path = if is_sequential(mode) {
            // Numbers use all of 32 bits, where ZooKeeper's turn negative half way
            // (ZOOKEEPER-4706), and they end there: a number that came again would put new names
            // before old.
            if parent.creations == u32::MAX {
                return Err(ErrorCode::SystemError);
            }
            format!("{path}{:010}", parent.creations).into()
        } else {
            path.clone()
        };
        path::validate(&path)?;
        if self.pending.exists(self.database, &path) {
            return Err(ErrorCode::NodeExists);
        }
        if matches!(parent.owner, Owner::Session(_)) {
            return Err(ErrorCode::NoChildrenForEphemerals);
        }
        parent.creations = parent.creations.saturating_add(1);
        parent.child_count += 1;
        let parent_creations = parent.creations;
        let kept_acl = self.database.tree().keep_acl(&acl);
        let (made, data) = (path.clone(), data.clone());
        let body =
            self.sized(TxnBody::Create { path: made, data, acl, owner, parent_creations })?;
        self.put(parent_path, Some(parent));
        let znode =
            Facts { acl: kept_acl, owner, version: 0, aversion: 0, creations: 0, child_count: 0 };
        self.put(path, Some(znode));
        Ok(body)
    }

    fn owner(&self, mode: CreateMode, ttl: i64) -> Result<Owner, ErrorCode> {
        Ok(match mode {
            CreateMode::Persistent | CreateMode::PersistentSequential => Owner::Nobody,
            CreateMode::Ephemeral | CreateMode::EphemeralSequential => Owner::Session(self.session),
            CreateMode::Container => Owner::Container,
            CreateMode::PersistentTtl | CreateMode::PersistentSequentialTtl => {
                if !self.options.ttl_enabled {
                    return Err(ErrorCode::Unimplemented);
                }
                if !(1..=TTL_MS_MAX).contains(&ttl) {
                    return Err(ErrorCode::BadArguments);
                }
                Owner::Ttl(Millis(ttl as u64))
            }
        })
    }

    fn delete(&mut self, path: &str, version: i32) -> Result<TxnBody, ErrorCode> {
        if !path.starts_with('/') || path.contains('\0') || path::SPECIAL.contains(&path) {
            return Err(ErrorCode::BadArguments);
        }
        let parent_name = path::parent(path);
        let (parent_path, mut parent) = self.find(parent_name)?;
        self.allowed(&parent, permission::DELETE)?;
        let (path, znode) = self.find(path)?;
        self.owned(&znode)?;
        next_version(znode.version, version)?;
        if znode.child_count > 0 {
            return Err(ErrorCode::NotEmpty);
        }
        let body = self.sized(TxnBody::Delete { path: path.clone() })?;
        parent.child_count -= 1;
        self.put(parent_path, Some(parent));
        self.put(path, None);
        Ok(body)
    }

    fn set_data(
        &mut self,
        path: &str,
        data: &Option<Bytes>,
        version: i32,
    ) -> Result<TxnBody, ErrorCode> {
        self.fits(data)?;
        path::validate(path)?;
        let (path, mut znode) = self.find(path)?;
        self.allowed(&znode, permission::WRITE)?;
        self.owned(&znode)?;
        let version = next_version(znode.version, version)?;
        znode.version = version;
        let (written, data) = (path.clone(), data.clone());
        let body = self.sized(TxnBody::SetData { path: written, data, version })?;
        self.put(path, Some(znode));
        Ok(body)
    }

    fn set_acl(&mut self, path: &str, acl: &[Acl], version: i32) -> Result<TxnBody, ErrorCode> {
        path::validate(path)?;
        let acl = acl::fix_up(acl, self.identities)?;
        let (path, mut znode) = self.find(path)?;
        self.allowed(&znode, permission::ADMIN)?;
        self.owned(&znode)?;
        let version = next_version(znode.aversion, version)?;
        znode.aversion = version;
        znode.acl = self.database.tree().keep_acl(&acl);
        let body = self.sized(TxnBody::SetAcl { path: path.clone(), acl, version })?;
        self.put(path, Some(znode));
        Ok(body)
    }

    fn find(&self, path: &str) -> Result<(Arc<str>, Facts), ErrorCode> {
        self.pending.find(self.database, path).ok_or(ErrorCode::NoNode)
    }

    fn put(&mut self, path: Arc<str>, znode: Option<Facts>) {
        let before = self.pending.put(self.zxid, path.clone(), znode);
        if let Some(undo) = &mut self.undo {
            undo.push((path, before));
        }
    }

    fn allowed(&self, znode: &Facts, permission: i32) -> Result<(), ErrorCode> {
        let allowed = acl::permits(&znode.acl, permission, self.identities);
        if allowed { Ok(()) } else { Err(ErrorCode::NoAuth) }
    }

    fn owned(&self, znode: &Facts) -> Result<(), ErrorCode> {
        let is_anothers = matches!(znode.owner, Owner::Session(owner) if owner != self.session);
        let refused = self.options.ephemeral_writes_by_owner_only
            && is_anothers
            && !acl::is_super(self.identities);
        if refused { Err(ErrorCode::NoAuth) } else { Ok(()) }
    }

    /// The body, if it still fits the transaction together with those before it. It comes before
    /// the look-ahead takes notice of the write, so that a refused one leaves no trace.
    fn sized(&mut self, body: TxnBody) -> Result<TxnBody, ErrorCode> {
        self.bytes += body.encoded_len();
        if self.bytes <= TXN_BODY_BYTES_MAX { Ok(body) } else { Err(ErrorCode::BadArguments) }
    }

    fn fits(&self, data: &Option<Bytes>) -> Result<(), ErrorCode> {
        let length = data.as_ref().map_or(0, Bytes::len);
        if length <= self.options.data_bytes_max { Ok(()) } else { Err(ErrorCode::BadArguments) }
    }
}

fn is_sequential(mode: CreateMode) -> bool {
    matches!(
        mode,
        CreateMode::PersistentSequential
            | CreateMode::EphemeralSequential
            | CreateMode::PersistentSequentialTtl
    )
}

/// The version after `current`, if that is the one demanded. -1 demands none, so no version may be
/// -1: after 2^32 - 2 changes the count goes on with 0 (ZOOKEEPER-4743).
fn next_version(current: i32, demanded: i32) -> Result<i32, ErrorCode> {
    if demanded != -1 && demanded != current {
        return Err(ErrorCode::BadVersion);
    }
    Ok(if current == -2 { 0 } else { current.wrapping_add(1) })
}
