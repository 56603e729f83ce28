//! Watches after a reconnect: what the client missed, and what it watches from here on.
//!
//! Holds: whatever changed after the last transaction that the client has seen is told or, where
//! the tree does not remember it, hinted at; what is told is readable here already.
//!
//! One-shot watches follow ZooKeeper's `DataTree.setWatches`: one that has something to tell is
//! used up, the others are set again. Unlike there, access lists hold here as they do at a change:
//! what its client may not read a watch does not tell, and is used up all the same. Its one gap
//! stays: a znode that was watched for its creation, and came and went in the meantime, is not told
//! of, for nothing remembers it.
//!
//! Lasting watches get a catch-up here; ZooKeeper gives them none. The tree knows each znode's
//! czxid, mzxid and pzxid, so with `seen` for the client's last zxid:
//! - A znode under watch with czxid > seen is *created* (perhaps once more: deletion and new
//!   creation are told as one), with mzxid > seen its *data changed*, not both.
//! - A persistent watch: with pzxid > seen, and later than its creation, its *children changed*.
//! - A watched path without a znode: it can only have been deleted since if the nearest znode above
//!   has lost a child since, so if that one's pzxid > seen the watched path is told as *deleted*.
//!   If it was not there before, either, the event is one too many; none is ever missing.
//! - A recursive watch: the same for every znode below, in the order of paths. A znode deleted
//!   below is remembered by its parent alone, and not by name. So a znode that is older than `seen`
//!   with pzxid > seen is told as *children changed*, which a recursive watch never gets otherwise:
//!   the client must list it to find out what has gone.

use super::acl;
use super::auth::Identity;
use super::database::Database;
use super::path;
use super::tree::{Tree, Znode};
use super::watches::{Kinds, Watches};
use crate::io::ClientId;
use mailstorm_shared::Zxid;
use mailstorm_shared::znodes::EventKind::{self, ChildrenChanged, Created, DataChanged, Deleted};
use mailstorm_wire::client::{ErrorCode, SetWatches, WatchEvent, WatchEventKind, permission};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Watches {
    /// Sets a reconnected client's watches and gives the events that it must be told now, before
    /// the answer. Their zxid is [`Zxid::ZERO`]. What the client may not read it is not told.
    ///
    /// # Errors
    /// [`ErrorCode::Throttled`] when these are more watches than a client may have. Some of them
    /// are set then and nothing is told: the client has to be forgotten.
    pub fn rearm(
        &mut self,
        client: ClientId,
        database: &Database,
        set: &SetWatches,
        identities: &[Identity],
    ) -> Result<Vec<WatchEvent>, ErrorCode> {
        assert!(database.is_exact(), "nobody is served while the tree is of several moments");
        let tree = database.tree();
        let mut missed = Missed { tree, identities, told: BTreeSet::new(), events: Vec::new() };
        let seen = set.relative_zxid;
        for path in &set.data {
            match tree.get(path) {
                None => missed.tell(Deleted, path),
                Some(znode) if znode.mzxid > seen => missed.tell(DataChanged, path),
                Some(_) => self.add(client, path.clone(), Kinds::DATA)?,
            }
        }
        for path in &set.exist {
            match tree.get(path) {
                Some(_) => missed.tell(Created, path),
                None => self.add(client, path.clone(), Kinds::DATA)?,
            }
        }
        for path in &set.child {
            match tree.get(path) {
                None => missed.tell(Deleted, path),
                Some(znode) if znode.pzxid > seen => missed.tell(ChildrenChanged, path),
                Some(_) => self.add(client, path.clone(), Kinds::CHILD)?,
            }
        }
        for path in &set.persistent {
            missed.of_watched(seen, path, Kinds::PERSISTENT);
            self.add(client, path.clone(), Kinds::PERSISTENT)?;
        }
        // What is below several of them is looked at once, however often the client names it. In
        // order, so that a path comes after those above it.
        let recursive: BTreeSet<&Arc<str>> = set.persistent_recursive.iter().collect();
        let mut walked: BTreeSet<&str> = BTreeSet::new();
        for path in recursive {
            missed.of_watched(seen, path, Kinds::RECURSIVE);
            self.add(client, path.clone(), Kinds::RECURSIVE)?;
            let is_new = || !path::ancestors(path).any(|above| walked.contains(above));
            if tree.get(path).is_some() && is_new() {
                walked.insert(path);
                for (below, znode) in tree.below(path) {
                    missed.of_znode(seen, below, znode, Kinds::RECURSIVE);
                }
            }
        }
        Ok(missed.events)
    }
}

/// Events to be told, each once.
struct Missed<'a> {
    tree: &'a Tree,
    identities: &'a [Identity],
    told: BTreeSet<(EventKind, Arc<str>)>,
    events: Vec<WatchEvent>,
}

impl Missed<'_> {
    fn tell(&mut self, kind: EventKind, path: &Arc<str>) {
        let may_see = self
            .tree
            .get(path)
            .is_none_or(|znode| acl::permits(&znode.acl, permission::READ, self.identities));
        if may_see && self.told.insert((kind, path.clone())) {
            let kind = WatchEventKind::Change(kind);
            self.events.push(WatchEvent { kind, path: path.clone(), zxid: Zxid::ZERO });
        }
    }

    /// What a lasting watch missed at its own path.
    fn of_watched(&mut self, seen: Zxid, path: &Arc<str>, watch: Kinds) {
        if let Some(znode) = self.tree.get(path) {
            return self.of_znode(seen, path, znode, watch);
        }
        let nearest_above = path::ancestors(path).find_map(|above| self.tree.get(above));
        if nearest_above.is_some_and(|above| above.pzxid > seen) {
            self.tell(Deleted, path);
        }
    }

    fn of_znode(&mut self, seen: Zxid, path: &Arc<str>, znode: &Znode, watch: Kinds) {
        let is_new = znode.czxid > seen;
        if is_new {
            self.tell(Created, path);
        } else if znode.mzxid > seen {
            self.tell(DataChanged, path);
        }
        // Under a recursive watch, all that a new znode has below is new and told.
        let matters = !is_new || watch == Kinds::PERSISTENT && znode.pzxid > znode.czxid;
        if znode.pzxid > seen && matters {
            self.tell(ChildrenChanged, path);
        }
    }
}
