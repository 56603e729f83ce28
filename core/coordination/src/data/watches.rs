//! Who wants to be told of which change.
//!
//! Owns: the watches of this server's clients; they are not replicated, each client brings its own
//! to the server it connects to. Leaves: catching up after a reconnect to `rearm`, and whether a
//! client may be told to [`super::Applied::may_see`].
//! Holds: a change gives a client at most one event per path, however many of its watches match; a
//! one-shot watch is used up by its first event. A change at a path that nobody watches costs two
//! lookups (the path and its parent), and one more per path above if there is any recursive watch.
//! A client, and all clients of a server together, have at most so many watches, in number and
//! bytes, as [`WatchBounds`] says. One more is refused with [`ErrorCode::Throttled`]: the client
//! knows then that it does not watch, and may ask again or elsewhere. Making room by dropping
//! somebody's watch would be the one thing that a watch promises never to do: to miss a change in
//! silence.
//! Start at [`Watches::trigger`].
//!
//! | change  | on the znode itself          | on its parent     | recursive, here or above |
//! |---------|------------------------------|-------------------|--------------------------|
//! | created | data, persistent: 1          | child, persistent: 4 | 1 |
//! | deleted | data, child, persistent: 2   | child, persistent: 4 | 2 |
//! | data    | data, persistent: 3          |                   | 3 |

use super::path;
use crate::io::ClientId;
use mailstorm_shared::Zxid;
use mailstorm_shared::machine::Loads;
use mailstorm_shared::znodes::{Change, EventKind};
use mailstorm_wire::client::{AddWatchMode, ErrorCode, WatchEvent, WatchEventKind, WatcherType};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{BitAnd, BitOr, Not};
use std::sync::Arc;

/// How many paths one client may watch. Higher: a client can fill more memory, and coming back with
/// all its watches takes longer.
pub const WATCHES_PER_CLIENT_MAX: usize = 100_000;

/// How many bytes the paths may have together that one client watches: a path can be as long as a
/// request, also where there is no znode.
pub const WATCH_BYTES_PER_CLIENT_MAX: usize = 16 << 20;

/// How many watches all clients of a server may have together: there can be many clients, and what
/// each of them may have adds up to more than any memory. A watch takes about 200 bytes besides its
/// path.
pub const WATCHES_PER_SERVER_MAX: usize = 2_000_000;

/// How many bytes the paths of all these watches may have together, one that several clients watch
/// counted for each of them, since each brings a copy of its own.
pub const WATCH_BYTES_PER_SERVER_MAX: usize = 512 << 20;

/// How much is watched, or may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct WatchLoad {
    /// Pairs of client and path.
    pub watches: usize,
    /// Bytes of the paths, for each pair.
    pub bytes: usize,
}

impl WatchLoad {
    fn add(&mut self, path: &str) {
        self.watches += 1;
        self.bytes += path.len();
    }

    fn remove(&mut self, path: &str) {
        self.watches -= 1;
        self.bytes -= path.len();
    }

    fn has_room_for(self, path: &str, max: Self) -> bool {
        self.watches < max.watches && self.bytes + path.len() <= max.bytes
    }
}

/// What may be watched at one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WatchBounds {
    /// By one client: [`WATCHES_PER_CLIENT_MAX`], [`WATCH_BYTES_PER_CLIENT_MAX`].
    pub client_max: WatchLoad,
    /// By all of them together: [`WATCHES_PER_SERVER_MAX`], [`WATCH_BYTES_PER_SERVER_MAX`].
    pub server_max: WatchLoad,
}

impl Default for WatchBounds {
    fn default() -> Self {
        Self {
            client_max: WatchLoad {
                watches: WATCHES_PER_CLIENT_MAX,
                bytes: WATCH_BYTES_PER_CLIENT_MAX,
            },
            server_max: WatchLoad {
                watches: WATCHES_PER_SERVER_MAX,
                bytes: WATCH_BYTES_PER_SERVER_MAX,
            },
        }
    }
}

/// The kinds of one-shot watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WatchKind {
    /// On the data of a znode that is there.
    Data,
    /// On a znode that is not there. Kept as a watch on data: either fires at whatever happens
    /// first.
    Exist,
    /// On a list of children.
    Child,
}

/// A set of kinds of watches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Kinds(u8);

impl Kinds {
    pub(super) const DATA: Self = Self(1);
    pub(super) const CHILD: Self = Self(2);
    pub(super) const PERSISTENT: Self = Self(4);
    pub(super) const RECURSIVE: Self = Self(8);

    fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Kinds {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Kinds {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Not for Kinds {
    type Output = Self;
    fn not(self) -> Self {
        Self(!self.0)
    }
}

impl From<WatchKind> for Kinds {
    fn from(kind: WatchKind) -> Self {
        match kind {
            WatchKind::Data | WatchKind::Exist => Self::DATA,
            WatchKind::Child => Self::CHILD,
        }
    }
}

impl From<AddWatchMode> for Kinds {
    fn from(mode: AddWatchMode) -> Self {
        match mode {
            AddWatchMode::Persistent => Self::PERSISTENT,
            AddWatchMode::PersistentRecursive => Self::RECURSIVE,
        }
    }
}

impl From<WatcherType> for Kinds {
    fn from(kind: WatcherType) -> Self {
        match kind {
            WatcherType::Children => Self::CHILD,
            WatcherType::Data => Self::DATA,
            WatcherType::Any => Self(u8::MAX),
            WatcherType::Persistent => Self::PERSISTENT,
            WatcherType::PersistentRecursive => Self::RECURSIVE,
        }
    }
}

/// See the module's head.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Watches {
    bounds: WatchBounds,
    by_path: BTreeMap<Arc<str>, BTreeMap<ClientId, Kinds>>,
    by_client: BTreeMap<ClientId, Watched>,
    /// How many pairs of client and path have a recursive watch.
    recursive_count: usize,
    /// What all clients watch together.
    load: WatchLoad,
}

/// The paths that a client watches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Watched {
    paths: BTreeSet<Arc<str>>,
    load: WatchLoad,
}

impl Watches {
    /// Nobody watches anything, and nobody may watch more than this.
    pub fn bounded(bounds: WatchBounds) -> Self {
        Self { bounds, ..Self::default() }
    }

    /// How much is watched, at most so much as it was bounded to.
    pub fn loads(&self, loads: &mut Loads) {
        let max = self.bounds.server_max;
        loads.bounded("watches", self.load.watches, max.watches);
        loads.bounded("watch_bytes", self.load.bytes, max.bytes);
    }

    /// A watch that is used up by its first event.
    ///
    /// # Errors
    /// [`ErrorCode::Throttled`] when the client has as many as it may have, or all clients together
    /// do.
    pub fn add_one_shot(
        &mut self,
        client: ClientId,
        path: Arc<str>,
        kind: WatchKind,
    ) -> Result<(), ErrorCode> {
        self.add(client, path, kind.into())
    }

    /// A watch that stays.
    ///
    /// # Errors
    /// As [`Self::add_one_shot`].
    pub fn add_lasting(
        &mut self,
        client: ClientId,
        path: Arc<str>,
        mode: AddWatchMode,
    ) -> Result<(), ErrorCode> {
        self.add(client, path, mode.into())
    }

    /// Whether the client has such a watch there.
    pub fn check(&self, client: ClientId, path: &str, kind: WatcherType) -> bool {
        let kinds = self.by_path.get(path).and_then(|watchers| watchers.get(&client));
        kinds.is_some_and(|kinds| kinds.meets(kind.into()))
    }

    /// Removes the client's watches of that kind there.
    ///
    /// # Errors
    /// [`ErrorCode::NoWatcher`] if it has none.
    pub fn remove(
        &mut self,
        client: ClientId,
        path: &str,
        kind: WatcherType,
    ) -> Result<(), ErrorCode> {
        if !self.check(client, path, kind) {
            return Err(ErrorCode::NoWatcher);
        }
        self.spend(client, path, kind.into());
        Ok(())
    }

    /// The client is gone, and its watches with it.
    pub fn forget_client(&mut self, client: ClientId) {
        for path in self.by_client.remove(&client).unwrap_or_default().paths {
            let watchers = self.by_path.get_mut(&path).expect("both sides know of each watch");
            let kinds = watchers.remove(&client).expect("both sides know of each watch");
            self.recursive_count -= usize::from(kinds.meets(Kinds::RECURSIVE));
            self.load.remove(&path);
            if watchers.is_empty() {
                self.by_path.remove(&path);
            }
        }
    }

    /// How much all clients watch together.
    pub fn load(&self) -> WatchLoad {
        self.load
    }

    /// How many clients watch anything.
    pub fn client_count(&self) -> usize {
        self.by_client.len()
    }

    /// How many paths are watched.
    pub fn path_count(&self) -> usize {
        self.by_path.len()
    }

    /// Asserts what always holds, as far as it costs nothing to look.
    pub fn invariants(&self) {
        let WatchLoad { watches, bytes } = self.load;
        assert!(self.by_path.len() <= watches, "a path is watched by somebody");
        assert!(self.by_client.len() <= watches, "a client that watches watches something");
        assert!(self.recursive_count <= watches, "a recursive watch is a watch");
        assert_eq!(
            self.by_path.is_empty(),
            self.by_client.is_empty(),
            "both sides know of each watch"
        );
        assert!(watches > 0 || bytes == 0, "no bytes are counted where nothing is watched");
        assert!(
            watches <= self.bounds.server_max.watches && bytes <= self.bounds.server_max.bytes,
            "all clients together watch no more than they may"
        );
    }

    /// Asserts that both sides know of each watch, and count it. It takes as long as there are
    /// many.
    #[cfg(test)]
    pub(crate) fn check_all(&self) {
        self.invariants();
        let mut counted = WatchLoad::default();
        let mut recursive = 0;
        for (client, watched) in &self.by_client {
            for path in &watched.paths {
                let kinds = self.by_path.get(path).and_then(|watchers| watchers.get(client));
                recursive += usize::from(kinds.expect("both sides know").meets(Kinds::RECURSIVE));
                counted.add(path);
            }
        }
        assert_eq!(counted, self.load, "the load of all is the sum of that of each");
        assert_eq!(recursive, self.recursive_count, "every recursive watch is counted");
        let by_path: usize = self.by_path.values().map(BTreeMap::len).sum();
        assert_eq!(by_path, self.load.watches, "both sides know of each watch");
    }

    /// The events of a change that the transaction at `zxid` made: in the order of clients, and for
    /// each client the znode before its parent.
    pub fn trigger(&mut self, zxid: Zxid, change: &Change) -> Vec<(ClientId, WatchEvent)> {
        use EventKind::{ChildrenChanged, Created, DataChanged, Deleted};
        if self.by_path.is_empty() {
            return Vec::new();
        }
        let (path, kind, one_shot) = match change {
            Change::Created { path, .. } => (path, Created, Kinds::DATA),
            Change::Deleted { path } => (path, Deleted, Kinds::DATA | Kinds::CHILD),
            Change::DataSet { path, .. } => (path, DataChanged, Kinds::DATA),
            Change::AclSet { .. } | Change::SessionOpened { .. } | Change::SessionClosed { .. } => {
                return Vec::new();
            }
        };
        let mut clients = Vec::new();
        self.collect(path, one_shot | Kinds::PERSISTENT | Kinds::RECURSIVE, &mut clients);
        self.spend_all(path, one_shot);
        if self.recursive_count > 0 {
            for above in path::ancestors(path) {
                self.collect(above, Kinds::RECURSIVE, &mut clients);
            }
            clients.sort_unstable();
            clients.dedup();
        }
        let event_of = |kind, path: &Arc<str>| WatchEvent {
            kind: WatchEventKind::Change(kind),
            path: path.clone(),
            zxid,
        };
        let mut events: Vec<(ClientId, WatchEvent)> =
            clients.drain(..).map(|client| (client, event_of(kind, path))).collect();
        if kind != DataChanged
            && let Some((parent, _)) = self.by_path.get_key_value(path::parent(path))
        {
            let parent = parent.clone();
            self.collect(&parent, Kinds::CHILD | Kinds::PERSISTENT, &mut clients);
            self.spend_all(&parent, Kinds::CHILD);
            events.extend(clients.into_iter().map(|c| (c, event_of(ChildrenChanged, &parent))));
            // Stable: for each client the znode stays before its parent.
            events.sort_by_key(|(client, _)| *client);
        }
        events
    }

    pub(super) fn add(
        &mut self,
        client: ClientId,
        path: Arc<str>,
        added: Kinds,
    ) -> Result<(), ErrorCode> {
        let WatchBounds { client_max, server_max } = self.bounds;
        let watched = self.by_client.entry(client).or_default();
        if !watched.paths.contains(&path) {
            let has_room = watched.load.has_room_for(&path, client_max)
                && self.load.has_room_for(&path, server_max);
            if !has_room {
                if watched.paths.is_empty() {
                    self.by_client.remove(&client);
                }
                return Err(ErrorCode::Throttled);
            }
            watched.load.add(&path);
            self.load.add(&path);
            watched.paths.insert(path.clone());
        }
        let kinds = self.by_path.entry(path).or_default().entry(client).or_default();
        let is_new = |kind| added.meets(kind) && !kinds.meets(kind);
        self.recursive_count += usize::from(is_new(Kinds::RECURSIVE));
        *kinds = *kinds | added;
        Ok(())
    }

    /// Adds those who have one of these kinds of watches at this path, in order.
    fn collect(&self, path: &str, kinds: Kinds, clients: &mut Vec<ClientId>) {
        let Some(watchers) = self.by_path.get(path) else { return };
        clients
            .extend(watchers.iter().filter(|(_, has)| has.meets(kinds)).map(|(client, _)| client));
    }

    /// Uses up these kinds of watches of all clients at this path.
    fn spend_all(&mut self, path: &str, kinds: Kinds) {
        let Some(watchers) = self.by_path.get_mut(path) else { return };
        let by_client = &mut self.by_client;
        watchers.retain(|client, has| {
            *has = *has & !kinds;
            if has.is_empty() {
                forget_path(by_client, *client, path);
                self.load.remove(path);
            }
            !has.is_empty()
        });
        if watchers.is_empty() {
            self.by_path.remove(path);
        }
    }

    /// Uses up these kinds of watches of one client at this path; it has at least one.
    fn spend(&mut self, client: ClientId, path: &str, kinds: Kinds) {
        let watchers = self.by_path.get_mut(path).expect("the client watches it");
        let has = watchers.get_mut(&client).expect("the client watches it");
        self.recursive_count -= usize::from((*has & kinds).meets(Kinds::RECURSIVE));
        *has = *has & !kinds;
        if has.is_empty() {
            watchers.remove(&client);
            forget_path(&mut self.by_client, client, path);
            self.load.remove(path);
        }
        if watchers.is_empty() {
            self.by_path.remove(path);
        }
    }
}

fn forget_path(by_client: &mut BTreeMap<ClientId, Watched>, client: ClientId, path: &str) {
    let watched = by_client.get_mut(&client).expect("both sides know of each watch");
    assert!(watched.paths.remove(path), "both sides know of each watch");
    watched.load.remove(path);
    if watched.paths.is_empty() {
        by_client.remove(&client);
    }
}
