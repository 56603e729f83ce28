//! The znodes, and what can be found out about them without walking through all of them.
//!
//! Owns: znodes, lists of children, who owns which ephemerals, containers and znodes with a
//! time-to-live. Leaves: whether a change is allowed to `pending`, when it happens to `database`.
//! Holds: all effects are absolute. Once the tree is exact (see [`super::fuzzy`]): every znode's
//! parent is there and lists it, and the indexes say what the znodes say.
//! Start at [`Tree::create`].

use super::acl;
use super::fuzzy::{Fuzzy, Key};
use super::path;
use bytes::Bytes;
use mailstorm_shared::{Defects, SessionId, WallTime, Zxid, planted};
use mailstorm_wire::client::{Acl, Stat, permission};
use mailstorm_wire::txn::Owner;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

/// One znode.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Znode {
    pub(crate) data: Option<Bytes>,
    pub(crate) acl: Arc<[Acl]>,
    pub(crate) owner: Owner,
    pub(crate) czxid: Zxid,
    pub(crate) mzxid: Zxid,
    /// The last transaction that added or removed a child; at first the one that created the znode.
    pub(crate) pzxid: Zxid,
    pub(crate) ctime: WallTime,
    pub(crate) mtime: WallTime,
    pub(crate) version: i32,
    pub(crate) aversion: i32,
    /// How many children have ever been created: where sequential names get their numbers.
    pub(crate) creations: u32,
    /// The names of the children. Follows from the other znodes' paths.
    pub(crate) children: BTreeSet<Arc<str>>,
}

impl Znode {
    pub(crate) fn new(
        data: Option<Bytes>,
        acl: Arc<[Acl]>,
        owner: Owner,
        zxid: Zxid,
        time: WallTime,
    ) -> Self {
        Self {
            data,
            acl,
            owner,
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime: time,
            mtime: time,
            version: 0,
            aversion: 0,
            creations: 0,
            children: BTreeSet::new(),
        }
    }

    /// As clients see it. `cversion` counts creations and deletions of children; kept are creations
    /// and children, from which it follows: deletions = creations - children.
    pub(crate) fn stat(&self) -> Stat {
        let children = self.children.len() as i32;
        Stat {
            czxid: self.czxid,
            mzxid: self.mzxid,
            ctime: self.ctime.0,
            mtime: self.mtime.0,
            version: self.version,
            cversion: (self.creations as i32).wrapping_mul(2).wrapping_sub(children),
            aversion: self.aversion,
            ephemeral_owner: self.session(),
            data_length: self.data.as_ref().map_or(0, |data| data.len() as i32),
            num_children: children,
            pzxid: self.pzxid,
        }
    }

    /// The session it lives with, if it is ephemeral.
    pub(crate) fn session(&self) -> SessionId {
        self.owner.session()
    }

    /// Whether nobody would miss it: a container whose children are all gone, or a znode without
    /// children that nobody touched for its time-to-live.
    pub(crate) fn is_due(&self, wall: WallTime, defects: Defects) -> bool {
        let untouched_since = match planted!(defects, TimeToLiveFromBirth) {
            true => self.ctime,
            false => self.mtime,
        };
        self.children.is_empty()
            && match self.owner {
                Owner::Container => self.creations > 0 || planted!(defects, NewContainerSwept),
                Owner::Ttl(ttl) => wall.since(untouched_since) > ttl,
                Owner::Nobody | Owner::Session(_) => false,
            }
    }
}

/// Who may see a change, kept only where not everybody may.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Guard {
    /// The access list of the znode changed; of a deleted one, its last.
    pub(crate) znode: Arc<[Acl]>,
    /// Its parent's.
    pub(crate) parent: Arc<[Acl]>,
}

/// See the module's head.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tree {
    znodes: BTreeMap<Arc<str>, Znode>,
    /// The paths of each session's ephemerals; no session without any.
    ephemerals: BTreeMap<SessionId, BTreeSet<Arc<str>>>,
    containers: BTreeSet<Arc<str>>,
    ttls: BTreeSet<Arc<str>>,
    /// How many znodes are ephemeral.
    ephemeral_count: usize,
    /// Bytes of all paths and data.
    bytes: u64,
    /// `world:anyone`, shared by all znodes that have nothing else.
    open: Arc<[Acl]>,
    /// Present while some rows are ahead of others.
    fuzzy: Option<Fuzzy>,
}

impl Tree {
    /// Without a single znode, not even a root.
    pub(crate) fn empty() -> Self {
        Self {
            znodes: BTreeMap::new(),
            ephemerals: BTreeMap::new(),
            containers: BTreeSet::new(),
            ttls: BTreeSet::new(),
            ephemeral_count: 0,
            bytes: 0,
            open: acl::open(),
            fuzzy: None,
        }
    }

    /// As ZooKeeper starts. The znodes that come with it count as nobody's creations.
    pub(crate) fn new() -> Self {
        let mut tree = Self::empty();
        for special in path::SPECIAL {
            let mut acl = tree.open.clone();
            if special == "/zookeeper/config" {
                acl = acl
                    .iter()
                    .map(|a| Acl { permissions: permission::READ, ..a.clone() })
                    .collect();
            }
            let znode = Znode::new(
                Some(Bytes::new()),
                acl,
                Owner::Nobody,
                Zxid::ZERO,
                WallTime::UNIX_EPOCH,
            );
            tree.put(special.into(), znode);
            tree.link(special);
        }
        tree
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Znode> {
        self.znodes.get(path)
    }

    /// The znode, and its path in the form that can be kept at no cost.
    pub(crate) fn get_with_path(&self, path: &str) -> Option<(&Arc<str>, &Znode)> {
        self.znodes.get_key_value(path)
    }

    /// Every znode below, in the order of paths, without `path` itself.
    pub(crate) fn below(&self, path: &str) -> impl Iterator<Item = (&Arc<str>, &Znode)> {
        let prefix = if path == path::ROOT { path.to_owned() } else { format!("{path}/") };
        let from: (Bound<&str>, Bound<&str>) = (Bound::Excluded(&prefix), Bound::Unbounded);
        self.znodes.range::<str, _>(from).take_while(move |(path, _)| path.starts_with(&prefix))
    }

    /// Every znode after this path, or from the first.
    pub(crate) fn znodes_after(
        &self,
        path: Option<&str>,
    ) -> impl Iterator<Item = (&Arc<str>, &Znode)> {
        let from = path.map_or(Bound::Unbounded, Bound::Excluded);
        self.znodes.range::<str, _>((from, Bound::Unbounded))
    }

    /// Every session that owns ephemerals, with their paths, from this session on.
    pub(crate) fn ephemerals_from(
        &self,
        session: SessionId,
    ) -> impl Iterator<Item = (SessionId, &BTreeSet<Arc<str>>)> {
        self.ephemerals.range(session..).map(|(session, paths)| (*session, paths))
    }

    /// The paths of a session's ephemerals, in order.
    pub(crate) fn ephemerals_of(&self, session: SessionId) -> impl Iterator<Item = &Arc<str>> {
        self.ephemerals.get(&session).into_iter().flatten()
    }

    /// Containers and znodes with a time-to-live that nobody would miss, in the order of paths
    /// within each kind.
    pub(crate) fn due(&self, wall: WallTime, defects: Defects) -> impl Iterator<Item = &Arc<str>> {
        let is_due =
            move |path: &&Arc<str>| self.get(path).is_some_and(|znode| znode.is_due(wall, defects));
        self.containers.iter().chain(&self.ttls).filter(is_due)
    }

    pub(crate) fn znode_count(&self) -> usize {
        self.znodes.len()
    }

    pub(crate) fn ephemeral_count(&self) -> usize {
        self.ephemeral_count
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn fuzzy(&self) -> Option<&Fuzzy> {
        self.fuzzy.as_ref()
    }

    /// The list in the form that is kept; the usual one is kept once.
    pub(crate) fn keep_acl(&self, acl: &[Acl]) -> Arc<[Acl]> {
        if *acl == *self.open { self.open.clone() } else { acl.into() }
    }

    /// The list as onlookers are told it: nothing of the usual one.
    pub(crate) fn unusual(&self, kept: &Arc<[Acl]>) -> Option<Arc<[Acl]>> {
        (!Arc::ptr_eq(kept, &self.open)).then(|| kept.clone())
    }

    /// Creates a znode. `creations` is the parent's new count.
    pub(crate) fn create(
        &mut self,
        zxid: Zxid,
        path: &Arc<str>,
        znode: Znode,
        creations: u32,
    ) -> (Stat, Option<Guard>) {
        let stat = znode.stat();
        let guard = self.told_parent(zxid, path, Some(creations), &znode.acl);
        if let Owner::Session(session) = znode.owner
            && self.is_open(zxid, || Key::Ephemeral(session, path.clone()))
        {
            self.ephemerals.entry(session).or_default().insert(path.clone());
        }
        if self.is_open(zxid, || Key::Znode(path.clone())) {
            self.put(path.clone(), znode);
            let has_parent = self.link(path);
            assert!(has_parent || self.fuzzy.is_some(), "a child's parent exists");
            if self.fuzzy.is_some() {
                self.adopt(path);
            }
        }
        (stat, guard)
    }

    /// Deletes a znode.
    pub(crate) fn delete(&mut self, zxid: Zxid, path: &Arc<str>) -> Option<Guard> {
        let row_open = self.is_open(zxid, || Key::Znode(path.clone()));
        let acl = match self.znodes.get(path) {
            Some(znode) if row_open => {
                if let Owner::Session(session) = znode.owner {
                    self.disown(session, path);
                }
                self.take(path)
            }
            _ => {
                assert!(!row_open, "only a znode that exists is deleted");
                self.disown_as_of(zxid, path);
                self.open.clone()
            }
        };
        if row_open && let Some(parent) = self.znodes.get_mut(path::parent(path)) {
            let was_listed = parent.children.remove(path::name(path));
            assert!(was_listed || self.fuzzy.is_some(), "a znode's parent lists it until it goes");
        }
        self.told_parent(zxid, path, None, &acl)
    }

    /// Deletes all ephemerals of a session; says which, in the order of paths.
    pub(crate) fn delete_ephemerals(
        &mut self,
        zxid: Zxid,
        session: SessionId,
    ) -> Vec<(Arc<str>, Option<Guard>)> {
        let paths = self.ephemerals.get(&session).cloned().unwrap_or_default();
        paths.into_iter().map(|path| (path.clone(), self.delete(zxid, &path))).collect()
    }

    /// Replaces data.
    pub(crate) fn set_data(
        &mut self,
        zxid: Zxid,
        time: WallTime,
        path: &Arc<str>,
        data: Option<Bytes>,
        version: i32,
    ) -> (Stat, Option<Guard>) {
        if !self.is_open(zxid, || Key::Znode(path.clone())) {
            return (Stat::default(), None);
        }
        let znode = self.znodes.get_mut(path).expect("only a znode that exists is written");
        self.bytes -= length(&znode.data);
        self.bytes += length(&data);
        (znode.data, znode.version) = (data, version);
        (znode.mzxid, znode.mtime) = (zxid, time);
        let stat = znode.stat();
        let acl = znode.acl.clone();
        (stat, self.guard(&acl, &acl))
    }

    /// Replaces an access list.
    pub(crate) fn set_acl(
        &mut self,
        zxid: Zxid,
        path: &Arc<str>,
        acl: &[Acl],
        version: i32,
    ) -> Stat {
        if !self.is_open(zxid, || Key::Znode(path.clone())) {
            return Stat::default();
        }
        let acl = self.keep_acl(acl);
        let znode = self.znodes.get_mut(path).expect("only a znode that exists gets a list");
        (znode.acl, znode.aversion) = (acl, version);
        znode.stat()
    }

    /// Everything up to here has been applied: from some point on nothing is fuzzy any more.
    pub(crate) fn applied(&mut self, zxid: Zxid) {
        if self.fuzzy.as_ref().is_some_and(|fuzzy| fuzzy.exact_from() <= zxid) {
            self.fuzzy = None;
        }
    }

    /// Whether an effect at `zxid` on this row is yet to happen. True in every exact tree.
    pub(crate) fn is_open(&self, zxid: Zxid, key: impl FnOnce() -> Key) -> bool {
        self.fuzzy.as_ref().is_none_or(|fuzzy| fuzzy.as_of(&key()) < zxid)
    }

    /// Rows from a snapshot: a znode, without its link.
    pub(crate) fn load_znode(&mut self, path: Arc<str>, znode: Znode) {
        self.put(path, znode);
    }

    /// Rows from a snapshot: an ephemeral's owner.
    pub(crate) fn load_ephemeral(&mut self, session: SessionId, path: Arc<str>) {
        self.ephemerals.entry(session).or_default().insert(path);
    }

    /// All rows have been loaded. True if they make a tree: there is a root, and, unless they are
    /// of different moments, the znodes agree with each other and with the owners' list.
    pub(crate) fn loaded(&mut self, fuzzy: Option<Fuzzy>) -> bool {
        self.fuzzy = fuzzy;
        let mut is_whole = self.znodes.contains_key(path::ROOT);
        let paths: Vec<Arc<str>> = self.znodes.keys().cloned().collect();
        for path in &paths {
            is_whole &= self.link(path) || self.fuzzy.is_some();
        }
        if self.fuzzy.is_none() {
            let owned = self
                .ephemerals
                .iter()
                .flat_map(|(session, paths)| paths.iter().map(|path| (*session, path)));
            let mut owned_count = 0;
            for (session, path) in owned {
                owned_count += 1;
                is_whole &= self.get(path).is_some_and(|z| z.owner == Owner::Session(session));
            }
            is_whole &= owned_count == self.ephemeral_count;
        }
        is_whole
    }

    /// What always holds, as far as it costs nothing to look.
    pub(crate) fn invariants(&self) {
        assert!(self.znodes.contains_key(path::ROOT), "a tree has a root");
        assert!(
            self.containers.len() + self.ttls.len() + self.ephemeral_count <= self.znodes.len(),
            "a znode is of one kind"
        );
        if self.fuzzy.is_none() {
            assert!(
                self.ephemerals.len() <= self.ephemeral_count,
                "a session that owns ephemerals owns one"
            );
        }
    }

    /// What always holds of one znode, in an exact tree.
    pub(crate) fn check_znode(&self, path: &str) {
        let (Some(znode), None) = (self.get(path), &self.fuzzy) else { return };
        assert!(znode.czxid <= znode.mzxid, "a znode is changed after it is created");
        assert!(znode.czxid <= znode.pzxid, "a znode gets children after it is created");
        assert!(
            znode.children.len() <= znode.creations as usize || znode.czxid == Zxid::ZERO,
            "every child was created once"
        );
        if let Owner::Session(session) = znode.owner {
            let owned = self.ephemerals.get(&session);
            assert!(
                owned.is_some_and(|paths| paths.contains(path)),
                "an ephemeral is in its owner's list"
            );
            assert!(znode.children.is_empty(), "an ephemeral has no children");
        }
        if path != path::ROOT {
            let parent = self.get(path::parent(path));
            let lists_it = parent.is_some_and(|parent| parent.children.contains(path::name(path)));
            assert!(lists_it, "a znode's parent is there and lists it");
        }
    }

    /// Tells the parent that a child came (then with its new count of creations) or went.
    fn told_parent(
        &mut self,
        zxid: Zxid,
        path: &str,
        creations: Option<u32>,
        acl: &Arc<[Acl]>,
    ) -> Option<Guard> {
        let parent = path::parent(path);
        if !self.is_open(zxid, || Key::Znode(parent.into())) {
            return None;
        }
        let parent = self.znodes.get_mut(parent).expect("a child's parent exists");
        parent.pzxid = zxid;
        parent.creations = creations.unwrap_or(parent.creations);
        let parent = parent.acl.clone();
        self.guard(acl, &parent)
    }

    fn guard(&self, znode: &Arc<[Acl]>, parent: &Arc<[Acl]>) -> Option<Guard> {
        let all_may_read = |acl: &Arc<[Acl]>| {
            Arc::ptr_eq(acl, &self.open) || acl::permits(acl, permission::READ, &[])
        };
        (!all_may_read(znode) || !all_may_read(parent))
            .then(|| Guard { znode: znode.clone(), parent: parent.clone() })
    }

    fn put(&mut self, path: Arc<str>, znode: Znode) {
        self.bytes += path.len() as u64 + length(&znode.data);
        match znode.owner {
            Owner::Nobody => {}
            Owner::Session(_) => self.ephemeral_count += 1,
            Owner::Container => drop(self.containers.insert(path.clone())),
            Owner::Ttl(_) => drop(self.ttls.insert(path.clone())),
        }
        let before = self.znodes.insert(path, znode);
        assert!(before.is_none(), "only a znode that does not exist is created");
    }

    fn take(&mut self, path: &str) -> Arc<[Acl]> {
        let znode = self.znodes.remove(path).expect("looked at just now");
        assert!(
            znode.children.is_empty() || self.fuzzy.is_some(),
            "a znode with children is not deleted"
        );
        self.bytes -= path.len() as u64 + length(&znode.data);
        match znode.owner {
            Owner::Nobody => {}
            Owner::Session(_) => self.ephemeral_count -= 1,
            Owner::Container => drop(self.containers.remove(path)),
            Owner::Ttl(_) => drop(self.ttls.remove(path)),
        }
        znode.acl
    }

    /// Enters a znode into its parent's list; false if it has no parent.
    fn link(&mut self, path: &str) -> bool {
        if path == path::ROOT {
            return true;
        }
        let Some(parent) = self.znodes.get_mut(path::parent(path)) else { return false };
        parent.children.insert(path::name(path).into());
        true
    }

    /// Enters those znodes into a new znode's list that a fuzzy snapshot showed before it.
    fn adopt(&mut self, path: &str) {
        let is_child = |below: &Arc<str>| path::parent(below) == path;
        let names: BTreeSet<Arc<str>> = self
            .below(path)
            .filter(|(below, _)| is_child(below))
            .map(|(below, _)| path::name(below).into())
            .collect();
        self.znodes.get_mut(path).expect("created just now").children = names;
    }

    fn disown(&mut self, session: SessionId, path: &str) {
        let paths = self.ephemerals.get_mut(&session).expect("an ephemeral is in its owner's list");
        assert!(paths.remove(path), "an ephemeral is in its owner's list");
        if paths.is_empty() {
            self.ephemerals.remove(&session);
        }
    }

    /// A znode is deleted that the snapshot no longer showed; whoever owned it until then does so
    /// no more. What was noted after the deletion is another znode's, and stays.
    fn disown_as_of(&mut self, zxid: Zxid, path: &Arc<str>) {
        let owners: Vec<SessionId> = self
            .ephemerals
            .iter()
            .filter(|(session, paths)| {
                paths.contains(path)
                    && self.is_open(zxid, || Key::Ephemeral(**session, path.clone()))
            })
            .map(|(session, _)| *session)
            .collect();
        for session in owners {
            self.disown(session, path);
        }
    }
}

fn length(data: &Option<Bytes>) -> u64 {
    data.as_ref().map_or(0, |data| data.len() as u64)
}
