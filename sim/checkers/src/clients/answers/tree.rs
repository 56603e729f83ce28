//! The tree as it was at any moment of the run.
//!
//! Owns: every state that each znode ever had, and every coming and going of children. Leaves: what a
//! reply must say of it to the checker above.
//! Holds: moments are asked for at or shortly before the end, so looking back is a short way.

use crate::clients::znodes::parent_of;
use mailstorm_shared::Zxid;
use mailstorm_shared::checksum::names_digest;
use mailstorm_shared::znodes::Change;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Every znode that ever was.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    znodes: BTreeMap<Arc<str>, Znode>,
}

/// One path through the run.
#[derive(Clone, Debug, Default)]
struct Znode {
    /// What it was since when; `None` is no znode. At most one for each transaction, the last.
    states: Vec<(Zxid, Option<State>)>,
    created: Vec<Zxid>,
    /// The full paths of the children it has now.
    children: BTreeSet<Arc<str>>,
    moves: Vec<Move>,
    /// How many children were created under it, since it was created itself.
    creations: u32,
    /// The digest of the children it has now, until they change.
    digest: Option<u64>,
}

/// What a znode was from one change of its data to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    pub(super) value: u64,
    pub(super) version: i32,
    pub(super) modified: Zxid,
}

/// A child came or went.
#[derive(Clone, Debug)]
pub(super) struct Move {
    at: Zxid,
    path: Arc<str>,
    came: bool,
    /// How many children had been created before.
    pub(super) number: u32,
}

impl Move {
    /// What follows the path that was asked for in the name that the child got.
    pub(super) fn name_after(&self, asked: &str, parent: &str) -> Option<&str> {
        let after = self.path.strip_prefix(asked)?;
        (parent_of(&self.path) == parent).then_some(after)
    }
}

impl Znode {
    fn at(&self, zxid: Zxid) -> Option<State> {
        let newest_first = self.states.iter().rev();
        newest_first.skip_while(|(at, _)| *at > zxid).map(|(_, state)| *state).next()?
    }

    fn set(&mut self, zxid: Zxid, state: Option<State>) {
        match self.states.last_mut() {
            Some(last) if last.0 == zxid => last.1 = state,
            _ => self.states.push((zxid, state)),
        }
    }

    fn child_moved(&mut self, at: Zxid, path: &Arc<str>, came: bool) {
        let number = self.creations;
        if came {
            self.creations = self.creations.saturating_add(1);
            self.children.insert(Arc::clone(path));
        } else {
            self.children.remove(path);
        }
        self.digest = None;
        self.moves.push(Move { at, path: Arc::clone(path), came, number });
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

impl Tree {
    pub(super) fn change(&mut self, zxid: Zxid, change: &Change) {
        match change {
            Change::Created { path, value, .. } => {
                let znode = self.znode(path);
                znode.set(zxid, Some(State { value: *value, version: 0, modified: zxid }));
                znode.created.push(zxid);
                znode.creations = 0;
                self.child_moved(zxid, path, true);
            }
            Change::Deleted { path } => {
                self.znode(path).set(zxid, None);
                self.child_moved(zxid, path, false);
            }
            Change::DataSet { path, version, value } => {
                let state = State { value: *value, version: *version, modified: zxid };
                self.znode(path).set(zxid, Some(state));
            }
            Change::AclSet { .. } | Change::SessionOpened { .. } | Change::SessionClosed { .. } => {
            }
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

    /// The znode as of this moment. The root is always there.
    pub(super) fn at(&self, path: &str, zxid: Zxid) -> Option<State> {
        let root = (path == "/").then_some(State { value: 0, version: 0, modified: Zxid::ZERO });
        self.znodes.get(path).and_then(|znode| znode.at(zxid)).or(root)
    }

    /// The digest of its list of children as of this moment, and its pzxid.
    pub(super) fn list_at(&mut self, path: &str, zxid: Zxid) -> Option<(u64, Zxid)> {
        self.at(path, zxid)?;
        let Some(znode) = self.znodes.get_mut(path) else {
            return Some((digest(path, &BTreeSet::new()), Zxid::ZERO));
        };
        let moves = znode.moves_by(zxid);
        let moved = moves.checked_sub(1).map(|last| znode.moves[last].at);
        let created = znode.created.iter().rev().find(|at| **at <= zxid).copied();
        let pzxid = moved.max(created).unwrap_or(Zxid::ZERO);
        if moves < znode.moves.len() {
            return Some((digest(path, &znode.children_at(zxid)), pzxid));
        }
        let digest = *znode.digest.get_or_insert_with(|| digest(path, &znode.children));
        Some((digest, pzxid))
    }

    pub(super) fn has_children_at(&self, path: &str, zxid: Zxid) -> bool {
        self.znodes.get(path).is_some_and(|znode| !znode.children_at(zxid).is_empty())
    }

    /// Whether this very transaction deleted it.
    pub(super) fn was_deleted(&self, path: &str, by: Zxid) -> bool {
        self.znodes.get(path).is_some_and(|znode| {
            znode.states.iter().rev().any(|(at, state)| *at == by && state.is_none())
        })
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

/// As replies tell it: the names in their order. The root has one child that came with the server.
fn digest(parent: &str, children: &BTreeSet<Arc<str>>) -> u64 {
    let prefix = if parent == "/" { 1 } else { parent.len() + 1 };
    let mut names: Vec<&str> = children.iter().filter_map(|path| path.get(prefix..)).collect();
    if parent == "/" {
        names.push("zookeeper");
        names.sort_unstable();
    }
    names_digest(names)
}
