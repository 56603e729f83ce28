//! What a session watches: which of the application's watches an event fires, and which watches a
//! new connection must arm.
//!
//! The server knows one watch per connection, path and kind; the application may hold many on the
//! same. A one-shot watch leaves the registry when it fires, a persistent one when it is removed.

use crate::io::WatchId;
use mailstorm_shared::Zxid;
use mailstorm_shared::znodes::{EventKind, WatchKind};
use mailstorm_wire::client::{AddWatchMode, SetWatches, WatchEvent, WatchEventKind, WatcherType};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of paths that one setWatches request carries at most, as in ZooKeeper's own client: a
/// client with many watches would otherwise send a frame that no server takes (ZOOKEEPER-706).
pub const SET_WATCHES_BYTES_MAX: usize = 128 * 1024;

/// The kinds of watches, as re-arming tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WatchTable {
    /// One-shot, on data of a znode that existed when the watch was set.
    Data,
    /// One-shot, on a znode that did not exist then.
    Exist,
    /// One-shot, on a list of children.
    Child,
    /// Persistent, on a znode and its list of children.
    Persistent,
    /// Persistent, on a znode and all below it.
    Recursive,
}

impl WatchTable {
    const ALL: [Self; 5] =
        [Self::Data, Self::Exist, Self::Child, Self::Persistent, Self::Recursive];

    /// The table that a persistent watch of this mode belongs to.
    pub fn lasting(mode: AddWatchMode) -> Self {
        match mode {
            AddWatchMode::Persistent => Self::Persistent,
            AddWatchMode::PersistentRecursive => Self::Recursive,
        }
    }

    /// As it is reported to onlookers.
    pub fn told_as(self) -> WatchKind {
        match self {
            Self::Data => WatchKind::Data,
            Self::Exist => WatchKind::Creation,
            Self::Child => WatchKind::Children,
            Self::Persistent => WatchKind::Persistent,
            Self::Recursive => WatchKind::Recursive,
        }
    }

    fn removed_by(kind: WatcherType) -> &'static [Self] {
        match kind {
            WatcherType::Children => &[Self::Child],
            WatcherType::Data => &[Self::Data, Self::Exist],
            WatcherType::Any => &Self::ALL,
            WatcherType::Persistent => &[Self::Persistent],
            WatcherType::PersistentRecursive => &[Self::Recursive],
        }
    }
}

/// What it means to drop one watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forgotten {
    /// It is not registered: not yet, or no longer.
    Unknown,
    /// The application has other watches of the same kind on the same path.
    NotAlone,
    /// It was the only one of its kind on this path.
    Alone(WatchTable, Arc<str>),
}

/// What a session watches.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    watches: BTreeMap<(WatchTable, Arc<str>), Vec<WatchId>>,
    places: BTreeMap<WatchId, (WatchTable, Arc<str>)>,
    /// How many paths are in the recursive table: without any, an event's ancestors need not be
    /// looked up.
    recursive: usize,
}

impl Registry {
    /// Registers a watch that the server has confirmed.
    pub fn add(&mut self, watch: WatchId, table: WatchTable, path: Arc<str>) {
        let earlier = self.places.insert(watch, (table, path.clone()));
        assert!(earlier.is_none(), "a watch's number is used once");
        let watches = self.watches.entry((table, path)).or_default();
        self.recursive += usize::from(table == WatchTable::Recursive && watches.is_empty());
        watches.push(watch);
    }

    /// Drops a watch that the application no longer holds.
    pub fn forget(&mut self, watch: WatchId) -> Forgotten {
        let Some(place) = self.places.remove(&watch) else { return Forgotten::Unknown };
        let watches = self.watches.get_mut(&place).expect("a place points to a table's entry");
        watches.retain(|other| *other != watch);
        if !watches.is_empty() {
            return Forgotten::NotAlone;
        }
        self.watches.remove(&place);
        self.recursive -= usize::from(place.0 == WatchTable::Recursive);
        Forgotten::Alone(place.0, place.1)
    }

    /// How many watches there are.
    pub fn count(&self) -> usize {
        self.places.len()
    }

    /// Whether the application has a watch of this kind on the path.
    pub fn watches(&self, table: WatchTable, path: &Arc<str>) -> bool {
        self.watches.contains_key(&(table, path.clone()))
    }

    /// The watches that this event fires, in the order in which they were set. One-shot ones are
    /// gone from the registry afterwards.
    pub fn fire(&mut self, event: &WatchEvent) -> Vec<WatchId> {
        let mut fired = Vec::new();
        let WatchEventKind::Change(kind) = event.kind else { return fired };
        let one_shot: &[WatchTable] = match kind {
            EventKind::Created | EventKind::DataChanged => &[WatchTable::Data, WatchTable::Exist],
            EventKind::ChildrenChanged => &[WatchTable::Child],
            EventKind::Deleted => &[WatchTable::Data, WatchTable::Exist, WatchTable::Child],
        };
        for table in one_shot {
            fired.append(&mut self.take(*table, &event.path));
        }
        if let Some(lasting) = self.watches.get(&(WatchTable::Persistent, event.path.clone())) {
            fired.extend(lasting);
        }
        // A recursive watch fires for each znode, never for a list of children. But the catch-up
        // after a reconnect, which carries no zxid, reports what was deleted below only by the
        // list.
        let tells_each = kind != EventKind::ChildrenChanged || event.zxid == Zxid::ZERO;
        if tells_each && self.recursive > 0 {
            for ancestor in ancestors(&event.path) {
                if let Some(lasting) = self.watches.get(&(WatchTable::Recursive, ancestor.into())) {
                    fired.extend(lasting);
                }
            }
        }
        fired.sort_unstable();
        fired
    }

    /// The tables of what the application would lose by removing watches of this kind.
    pub fn held(&self, path: &Arc<str>, kind: WatcherType) -> Vec<WatchTable> {
        let tables = WatchTable::removed_by(kind).iter().copied();
        tables.filter(|table| self.watches(*table, path)).collect()
    }

    /// Drops the watches that the application asked to remove, and names them.
    pub fn remove(&mut self, path: &Arc<str>, kind: WatcherType) -> Vec<WatchId> {
        let mut removed = Vec::new();
        for table in WatchTable::removed_by(kind) {
            removed.append(&mut self.take(*table, path));
        }
        removed.sort_unstable();
        removed
    }

    fn take(&mut self, table: WatchTable, path: &Arc<str>) -> Vec<WatchId> {
        let watches = self.watches.remove(&(table, path.clone())).unwrap_or_default();
        self.recursive -= usize::from(table == WatchTable::Recursive && !watches.is_empty());
        for watch in &watches {
            self.places.remove(watch);
        }
        watches
    }

    /// The requests that arm a new connection with every watch, each below
    /// [`SET_WATCHES_BYTES_MAX`]. What changed after `relative_zxid` is reported at once.
    pub fn rearm(&self, relative_zxid: Zxid) -> Vec<SetWatches> {
        /// What a path costs beside its bytes: its length.
        const PATH_OVERHEAD: usize = 4;
        let empty = || SetWatches { relative_zxid, ..SetWatches::default() };
        let mut requests = Vec::new();
        let mut request = empty();
        let mut bytes = 0;
        for (table, path) in self.watches.keys() {
            let cost = path.len() + PATH_OVERHEAD;
            if bytes > 0 && bytes + cost > SET_WATCHES_BYTES_MAX {
                requests.push(std::mem::replace(&mut request, empty()));
                bytes = 0;
            }
            bytes += cost;
            let paths = match table {
                WatchTable::Data => &mut request.data,
                WatchTable::Exist => &mut request.exist,
                WatchTable::Child => &mut request.child,
                WatchTable::Persistent => &mut request.persistent,
                WatchTable::Recursive => &mut request.persistent_recursive,
            };
            paths.push(path.clone());
        }
        if bytes > 0 {
            requests.push(request);
        }
        requests
    }
}

/// The path itself and everything above it, longest first.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| match path.rfind('/') {
        _ if *path == "/" => None,
        Some(0) => Some("/"),
        Some(slash) => Some(&path[..slash]),
        None => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: EventKind, path: &str) -> WatchEvent {
        WatchEvent { kind: WatchEventKind::Change(kind), path: path.into(), zxid: Zxid(9) }
    }

    fn registry(watches: &[(u64, WatchTable, &str)]) -> Registry {
        let mut registry = Registry::default();
        for (number, table, path) in watches {
            registry.add(WatchId(*number), *table, (*path).into());
        }
        registry
    }

    fn check(registry: &mut Registry, kind: EventKind, path: &str, fired: &[u64]) {
        let numbers: Vec<u64> = registry.fire(&event(kind, path)).iter().map(|w| w.0).collect();
        assert_eq!(numbers, fired, "{kind:?} {path}");
    }

    #[test]
    fn one_shot_watches_fire_once_and_lasting_ones_every_time() {
        let mut registry = registry(&[
            (1, WatchTable::Data, "/a"),
            (2, WatchTable::Data, "/a"),
            (3, WatchTable::Persistent, "/a"),
        ]);
        check(&mut registry, EventKind::DataChanged, "/a", &[1, 2, 3]);
        check(&mut registry, EventKind::DataChanged, "/a", &[3]);
    }

    #[test]
    fn a_deletion_fires_watches_on_data_and_on_children() {
        let mut registry = registry(&[
            (1, WatchTable::Child, "/a"),
            (2, WatchTable::Data, "/a"),
            (3, WatchTable::Data, "/b"),
        ]);
        check(&mut registry, EventKind::ChildrenChanged, "/b", &[]);
        check(&mut registry, EventKind::Deleted, "/a", &[1, 2]);
    }

    #[test]
    fn recursive_watches_hear_of_everything_below_but_never_of_lists_of_children() {
        let mut registry =
            registry(&[(1, WatchTable::Recursive, "/a"), (2, WatchTable::Recursive, "/")]);
        check(&mut registry, EventKind::Created, "/a/b/c", &[1, 2]);
        check(&mut registry, EventKind::Deleted, "/ab", &[2]);
        check(&mut registry, EventKind::DataChanged, "/", &[2]);
        check(&mut registry, EventKind::ChildrenChanged, "/a", &[]);
    }

    #[test]
    fn a_recursive_watch_hears_of_a_list_when_it_catches_up() {
        // mail-claims, seed 62: a holder vanished while the workers were cut off, and none took
        // over.
        let mut registry = registry(&[(1, WatchTable::Recursive, "/a")]);
        let catch_up = WatchEvent { zxid: Zxid::ZERO, ..event(EventKind::ChildrenChanged, "/a/b") };
        assert_eq!(registry.fire(&catch_up), [WatchId(1)]);
    }

    #[test]
    fn a_forgotten_watch_neither_fires_nor_is_armed_again() {
        let mut registry =
            registry(&[(1, WatchTable::Recursive, "/a"), (2, WatchTable::Data, "/a")]);
        assert_eq!(
            registry.forget(WatchId(1)),
            Forgotten::Alone(WatchTable::Recursive, "/a".into())
        );
        assert_eq!(registry.forget(WatchId(1)), Forgotten::Unknown);
        check(&mut registry, EventKind::Created, "/a/b", &[]);
        let armed = registry.rearm(Zxid(4));
        assert_eq!(armed.len(), 1);
        assert_eq!(armed[0].data, ["/a".into()]);
        assert!(armed[0].persistent_recursive.is_empty());
    }

    #[test]
    fn many_watches_are_armed_by_several_requests_of_bounded_size() {
        let mut all = Registry::default();
        for number in 0..3_000 {
            let path = format!("/{number:0>99}");
            all.add(WatchId(number), WatchTable::Child, path.into());
        }
        let requests = all.rearm(Zxid(7));
        assert_eq!(requests.len(), 3);
        assert_eq!(requests.iter().map(|r| r.child.len()).sum::<usize>(), 3_000);
        for request in &requests {
            assert_eq!(request.relative_zxid, Zxid(7));
            assert!(
                request.child.iter().map(|p| p.len() + 4).sum::<usize>() <= SET_WATCHES_BYTES_MAX
            );
        }
    }

    #[test]
    fn removing_one_kind_leaves_the_others() {
        let mut registry = registry(&[
            (1, WatchTable::Data, "/a"),
            (2, WatchTable::Exist, "/a"),
            (3, WatchTable::Child, "/a"),
            (4, WatchTable::Recursive, "/a"),
        ]);
        assert_eq!(registry.remove(&"/a".into(), WatcherType::Data), [WatchId(1), WatchId(2)]);
        assert_eq!(registry.remove(&"/a".into(), WatcherType::Any), [WatchId(3), WatchId(4)]);
        assert!(registry.rearm(Zxid(1)).is_empty());
    }
}
