//! The tree as it was at any moment of the run.
//!
//! Owns: every state that each znode ever had, every coming and going of children, and who owned
//! what.
//! Leaves: what an operation makes of it to [`super::model`], what a reply must say to the checker
//! above.
//! Holds: moments are asked for at or shortly before the end, so looking back is a short way.

use super::model::Identity;
use crate::clients::znodes::parent_of;
use mailstorm_shared::checksum::{names_digest, value_digest};
use mailstorm_shared::znodes::{Acl, Change, Owner, Stat, permission};
use mailstorm_shared::{SessionId, WallTime, Zxid};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

/// Every znode that ever was.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    znodes: BTreeMap<Arc<str>, Znode>,
    /// What each session ever owned.
    owned: BTreeMap<SessionId, BTreeSet<Arc<str>>>,
    /// What the clock of its leader said, for each transaction that changed something, in their
    /// order.
    walls: Vec<(Zxid, WallTime)>,
}

/// One path through the run.
#[derive(Clone, Debug, Default)]
struct Znode {
    /// What it was since when; `None` is no znode. At most one for each transaction, the last.
    states: Vec<(Zxid, Option<State>)>,
    /// How often it was created.
    lives: u32,
    /// The full paths of the children it has now.
    children: BTreeSet<Arc<str>>,
    moves: Vec<Move>,
    /// How many children came with the service: they count as nobody's creations.
    given: u32,
    /// How many children were created under it, since it was created itself.
    creations: u32,
    /// The digest of the children it has now, until they change.
    digest: Option<u64>,
}

/// A child came or went.
#[derive(Clone, Debug)]
pub(super) struct Move {
    at: Zxid,
    path: Arc<str>,
    came: bool,
    /// In which of its parent's lives.
    life: u32,
    /// How many children had been created in that life, and how many there were, after it.
    creations: u32,
    child_count: u32,
}

impl Move {
    /// What follows the path that was asked for in the name that the child got.
    pub(super) fn name_after(&self, asked: &str, parent: &str) -> Option<&str> {
        let after = self.path.strip_prefix(asked)?;
        (parent_of(&self.path) == parent).then_some(after)
    }
}

/// What a znode was from one change of its own to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    own: Own,
    life: u32,
}

/// What of a znode its children do not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) value: u64,
    pub(super) bytes: u32,
    pub(super) owner: Owner,
    /// `None` lets everybody do everything.
    pub(super) acl: Option<Arc<[Acl]>>,
    pub(super) created: Zxid,
    pub(super) created_at: WallTime,
    pub(super) modified: Zxid,
    pub(super) modified_at: WallTime,
    pub(super) version: i32,
    pub(super) aversion: i32,
}

/// A znode at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) own: Own,
    /// How many children were ever created under it, and how many there are.
    pub(super) creations: u32,
    pub(super) child_count: u32,
    /// When a child last came or went; before any did, when it was created.
    pub(super) children_moved: Zxid,
}

impl Node {
    /// As it is shown: `cversion` counts the children that came and those that went.
    pub(super) fn stat(&self) -> Stat {
        let Own { created, created_at, modified, modified_at, version, aversion, .. } = self.own;
        Stat {
            czxid: created,
            mzxid: modified,
            ctime: created_at.0,
            mtime: modified_at.0,
            version,
            cversion: (self.creations as i32).wrapping_mul(2).wrapping_sub(self.child_count as i32),
            aversion,
            ephemeral_owner: self.own.owner.session(),
            data_length: self.own.bytes as i32,
            num_children: self.child_count as i32,
            pzxid: self.children_moved,
        }
    }

    /// Its access list, the usual one spelt out.
    pub(super) fn acl(&self) -> Vec<Acl> {
        match &self.own.acl {
            Some(acl) => acl.to_vec(),
            None => vec![Acl {
                permissions: permission::ALL,
                scheme: "world".into(),
                id: "anyone".into(),
            }],
        }
    }
}

impl Znode {
    fn at(&self, zxid: Zxid) -> Option<&State> {
        let mut newest_first = self.states.iter().rev();
        newest_first.find(|(at, _)| *at <= zxid).and_then(|(_, state)| state.as_ref())
    }

    fn node_at(&self, zxid: Zxid) -> Option<Node> {
        let State { own, life } = self.at(zxid)?.clone();
        let last = self.moves_by(zxid).checked_sub(1).map(|last| &self.moves[last]);
        let moved = last.filter(|last| last.life == life);
        Some(Node {
            creations: moved.map_or(0, |moved| moved.creations),
            child_count: match moved {
                Some(moved) => moved.child_count,
                None if life == 0 => self.given,
                None => 0,
            },
            children_moved: moved.map_or(own.created, |moved| moved.at),
            own,
        })
    }

    fn set(&mut self, zxid: Zxid, state: Option<State>) {
        match self.states.last_mut() {
            Some(last) if last.0 == zxid => last.1 = state,
            _ => self.states.push((zxid, state)),
        }
    }

    /// Changes something of it. A record may begin after it was created.
    fn alter(&mut self, zxid: Zxid, alter: impl FnOnce(&mut Own)) {
        let last = self.states.last().and_then(|(_, state)| state.clone());
        let mut state = last.unwrap_or_else(|| State { own: given(None), life: self.lives });
        alter(&mut state.own);
        self.set(zxid, Some(state));
    }

    fn child_moved(&mut self, at: Zxid, path: &Arc<str>, came: bool) {
        if came {
            self.creations = self.creations.saturating_add(1);
            self.children.insert(Arc::clone(path));
        } else {
            self.children.remove(path);
        }
        self.digest = None;
        let (creations, child_count) = (self.creations, self.children.len() as u32);
        let (path, life) = (Arc::clone(path), self.lives);
        self.moves.push(Move { at, path, came, life, creations, child_count });
    }

    /// How many of its moves had happened by then.
    fn moves_by(&self, zxid: Zxid) -> usize {
        let later = self.moves.iter().rev().take_while(|moved| moved.at > zxid).count();
        self.moves.len() - later
    }

    fn children_at(&self, zxid: Zxid) -> BTreeSet<Arc<str>> {
        let mut children = self.children.clone();
        for moved in self.moves[self.moves_by(zxid)..].iter().rev() {
            if moved.came {
                children.remove(&moved.path);
            } else {
                children.insert(Arc::clone(&moved.path));
            }
        }
        children
    }
}

/// What comes with the service.
fn given(acl: Option<Arc<[Acl]>>) -> Own {
    Own {
        value: value_digest(Some(&[])),
        bytes: 0,
        owner: Owner::Nobody,
        acl,
        created: Zxid::ZERO,
        created_at: WallTime::UNIX_EPOCH,
        modified: Zxid::ZERO,
        modified_at: WallTime::UNIX_EPOCH,
        version: 0,
        aversion: 0,
    }
}

impl Default for Tree {
    fn default() -> Self {
        let mut tree = Self { znodes: BTreeMap::new(), owned: BTreeMap::new(), walls: Vec::new() };
        for path in ["/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"] {
            let own = given(None);
            tree.znode(&path.into()).set(Zxid::ZERO, Some(State { own, life: 0 }));
            if path != "/" {
                let parent = tree.znode(&parent_of(path).into());
                parent.children.insert(path.into());
                parent.given += 1;
            }
        }
        tree
    }
}

impl Tree {
    pub(super) fn applied(&mut self, zxid: Zxid, wall: WallTime, changes: &[Change]) {
        self.walls.push((zxid, wall));
        for change in changes {
            self.change(zxid, wall, change);
        }
    }

    fn change(&mut self, zxid: Zxid, wall: WallTime, change: &Change) {
        match change {
            Change::Created { path, owner, value, bytes, acl } => {
                let own = Own {
                    value: *value,
                    bytes: *bytes,
                    owner: *owner,
                    acl: acl.clone(),
                    created: zxid,
                    created_at: wall,
                    modified: zxid,
                    modified_at: wall,
                    version: 0,
                    aversion: 0,
                };
                let znode = self.znode(path);
                znode.lives += 1;
                znode.creations = 0;
                let life = znode.lives;
                znode.set(zxid, Some(State { own, life }));
                if let Owner::Session(session) = owner {
                    self.owned.entry(*session).or_default().insert(Arc::clone(path));
                }
                self.child_moved(zxid, path, true);
            }
            Change::Deleted { path } => {
                self.znode(path).set(zxid, None);
                self.child_moved(zxid, path, false);
            }
            Change::DataSet { path, version, value, bytes } => {
                self.znode(path).alter(zxid, |own| {
                    (own.value, own.bytes) = (*value, *bytes);
                    (own.version, own.modified, own.modified_at) = (*version, zxid, wall);
                });
            }
            Change::AclSet { path, version, acl } => {
                self.znode(path).alter(zxid, |own| {
                    (own.aversion, own.acl) = (*version, acl.clone());
                });
            }
            Change::SessionOpened { .. } | Change::SessionClosed { .. } => {}
        }
    }

    fn znode(&mut self, path: &Arc<str>) -> &mut Znode {
        self.znodes.entry(Arc::clone(path)).or_default()
    }

    fn child_moved(&mut self, zxid: Zxid, path: &Arc<str>, came: bool) {
        let parent = parent_of(path);
        match self.znodes.get_mut(parent) {
            Some(znode) => znode.child_moved(zxid, path, came),
            None => self.znode(&Arc::from(parent)).child_moved(zxid, path, came),
        }
    }

    /// The znode as of this moment.
    pub(super) fn at(&self, path: &str, zxid: Zxid) -> Option<Node> {
        self.znodes.get(path)?.node_at(zxid)
    }

    /// What the leader's clock said when this transaction was proposed.
    pub(super) fn wall_of(&self, zxid: Zxid) -> Option<WallTime> {
        let at = self.walls.binary_search_by_key(&zxid, |(at, _)| *at).ok()?;
        Some(self.walls[at].1)
    }

    /// The digest of its list of children as of this moment: the names in their order.
    pub(super) fn list_at(&mut self, path: &str, zxid: Zxid) -> u64 {
        let Some(znode) = self.znodes.get_mut(path) else { return names_digest([]) };
        if znode.moves_by(zxid) < znode.moves.len() {
            return digest(path, &znode.children_at(zxid));
        }
        *znode.digest.get_or_insert_with(|| digest(path, &znode.children))
    }

    /// The digest of the paths of a session's ephemerals below a prefix as of this moment, in
    /// order, and how many there are.
    pub(super) fn ephemerals_at(
        &self,
        session: SessionId,
        prefix: &str,
        zxid: Zxid,
    ) -> (u64, usize) {
        let is_everywhere = matches!(prefix, "" | "/");
        let owned = self.owned.get(&session).into_iter().flatten();
        let meant = owned.filter(|path| is_everywhere || path.starts_with(prefix));
        let is_there = |path: &&Arc<str>| {
            let state = self.znodes.get(*path).and_then(|znode| znode.at(zxid));
            state.is_some_and(|state| state.own.owner == Owner::Session(session))
        };
        let paths: Vec<&str> = meant.filter(is_there).map(|path| &**path).collect();
        (names_digest(paths.iter().copied()), paths.len())
    }

    /// How many znodes there are below this one, at any depth.
    pub(super) fn count_below(&self, path: &str, zxid: Zxid) -> u64 {
        let prefix = if path == "/" { path.to_owned() } else { format!("{path}/") };
        let from: (Bound<&str>, Bound<&str>) = (Bound::Excluded(&prefix), Bound::Unbounded);
        let below = self.znodes.range::<str, _>(from);
        let below = below.take_while(|(path, _)| path.starts_with(&prefix));
        below.filter(|(_, znode)| znode.at(zxid).is_some()).count() as u64
    }

    /// The children that came by this very transaction.
    pub(super) fn children_made_by(&self, path: &str, by: Zxid) -> impl Iterator<Item = &Move> {
        let moves = self.znodes.get(path).into_iter().flat_map(move |znode| {
            let up_to = znode.moves_by(by);
            znode.moves[..up_to].iter().rev().take_while(move |moved| moved.at == by)
        });
        moves.filter(|moved| moved.came)
    }
}

fn digest(parent: &str, children: &BTreeSet<Arc<str>>) -> u64 {
    let prefix = if parent == "/" { 1 } else { parent.len() + 1 };
    names_digest(children.iter().filter_map(|path| path.get(prefix..)))
}

/// The list as whoever may not change it sees it.
pub(super) fn without_secrets(acl: &[Acl]) -> Vec<Acl> {
    let hide = |entry: &Acl| match entry.id.split_once(':') {
        Some((user, _)) if &*entry.scheme == "digest" => {
            Acl { id: format!("{user}:x").into(), ..entry.clone() }
        }
        _ => entry.clone(),
    };
    acl.iter().map(hide).collect()
}

/// Named by those who ask.
pub(super) fn names(identity: &Identity, entry: &Acl) -> bool {
    identity.0 == entry.scheme && identity.1 == entry.id
}
