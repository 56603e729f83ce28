//! Watches: none lost, none late, none twice, none for nothing.
//!
//! Definition. A read that leaves a one-shot watch registers it as of the zxid in its reply's header.
//! `exists` and `getData` watch the znode's data, or, where there is no znode, its creation; `getChildren`
//! watches the list. Then, per client session:
//! - the first change after the registration that the watch is for is told before any reply that could
//!   show it, that is, before any reply with a header zxid at or past the change (`lost_or_late`), and it
//!   is that change that is told, not a later one (`skipped`);
//! - an event is told only to a session that watches, once per watch (`unasked`), only for a change that
//!   happened (`invented`) and that came after the registration (`before_registration`);
//! - events come in the order of their zxids (`out_of_order`).
//!
//! Source: ZooKeeper's programmer's guide, "What ZooKeeper Guarantees about Watches": a client sees the
//! watch event before it sees the new data. ZOOKEEPER-2355, 4475 (watches lost around reconnects).
//!
//! Exactly: what changed is taken from applied transactions. After a reconnect the client arms its watches
//! anew, and what it missed comes with zxid zero. Whether the application has lost interest in a watch in
//! the meantime the record does not tell, so a watch that was not told after a reconnect is blamed only
//! with [`Watches::with_faithful_clients`]; and even then not when a znode that was waited for came and
//! went in between, which nobody can know afterwards. Lasting watches (`addWatch`, an `Other` call that
//! leaves a watch) exempt what they cover; any other `Other` call on a path may have removed its watches,
//! so nothing is demanded of them from then on, nor of watches on znodes whose access list was changed.
//! Expects that replies and events are told in the order in which they arrived.

use crate::checker::violation;
use crate::znodes::{NO_NODE, parent_of};
use crate::{Checker, Interests};
use mailstorm_record::{Event, Happening, Verdict, Violation};
use mailstorm_shared::observation::{Call, CallKind, Change, EventKind, Outcome};
use mailstorm_shared::{Observation, SessionId, Zxid};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Follows every client's watches, and every change.
#[derive(Clone, Debug, Default)]
pub struct Watches {
    faithful_clients: bool,
    clients: BTreeMap<u32, Client>,
    znodes: BTreeMap<Arc<str>, Znode>,
    /// The last transaction that any server applied.
    last_applied: Zxid,
}

/// What happened to a znode, and who watches it.
#[derive(Clone, Debug, Default)]
struct Znode {
    changes: Vec<(Zxid, What)>,
    watchers: Vec<u32>,
    /// Its access list was changed: who may read it, and so be told of it, is not known here.
    acl_changed: bool,
}

/// What a change is to the znode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Created,
    Deleted,
    DataSet,
    /// A child came or went.
    Children,
}

/// One client with the session it has.
#[derive(Clone, Debug, Default)]
struct Client {
    session: Option<SessionId>,
    /// Operations that will leave a watch when they succeed.
    asked: BTreeMap<u64, (CallKind, Arc<str>)>,
    armed: BTreeMap<Arc<str>, Armed>,
    /// Watches whose change has happened, but was not told yet.
    due: Vec<Due>,
    /// Paths with a lasting watch, which may reach below them.
    lasting: Vec<Arc<str>>,
    /// Paths whose watches may have been removed.
    uncertain: BTreeSet<Arc<str>>,
    last_event: Zxid,
    /// Its calls are on record; those of other clients are not, only their events.
    tells_calls: bool,
}

/// A session's one-shot watches on one path.
#[derive(Clone, Debug, Default)]
struct Armed {
    data: Option<Watch>,
    children: Option<Watch>,
}

/// A one-shot watch.
#[derive(Clone, Copy, Debug)]
struct Watch {
    on: On,
    since: Zxid,
    /// The connection it was left on is gone.
    reconnected: bool,
}

/// What a watch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    Data,
    Creation,
    Children,
}

/// A watch that is due since a change.
#[derive(Clone, Debug)]
struct Due {
    at: Zxid,
    path: Arc<str>,
    on: On,
}

/// What is wrong with an event or a reply.
struct Wrong {
    kind: &'static str,
    detail: String,
}

impl On {
    fn is_for(self, what: What) -> bool {
        match self {
            Self::Data => matches!(what, What::Deleted | What::DataSet),
            Self::Creation => what == What::Created,
            Self::Children => matches!(what, What::Deleted | What::Children),
        }
    }
}

impl What {
    fn told_as(self) -> EventKind {
        match self {
            Self::Created => EventKind::Created,
            Self::Deleted => EventKind::Deleted,
            Self::DataSet => EventKind::DataChanged,
            Self::Children => EventKind::ChildrenChanged,
        }
    }
}

impl Armed {
    fn watches_mut(&mut self) -> impl Iterator<Item = &mut Watch> {
        self.data.iter_mut().chain(&mut self.children)
    }

    fn watches(&self) -> impl Iterator<Item = &Watch> {
        self.data.iter().chain(&self.children)
    }

    fn is_empty(&self) -> bool {
        self.data.is_none() && self.children.is_none()
    }
}

impl Znode {
    /// What happened to it after `zxid`.
    fn since(&self, zxid: Zxid) -> &[(Zxid, What)] {
        &self.changes[self.changes.partition_point(|(at, _)| *at <= zxid)..]
    }

    /// The first change after its registration that the watch is for.
    fn first_for(&self, watch: Watch) -> Option<Zxid> {
        let mut since = self.since(watch.since).iter();
        since.find(|(_, what)| watch.on.is_for(*what)).map(|(at, _)| *at)
    }

    fn happened(&self, at: Zxid, kind: EventKind) -> bool {
        self.since(Zxid(at.0.saturating_sub(1)))
            .iter()
            .take_while(|(zxid, _)| *zxid == at)
            .any(|(_, what)| what.told_as() == kind)
    }

    /// Whether it exists at `zxid`, as far as its creations and deletions tell.
    fn exists_at(&self, zxid: Zxid) -> bool {
        self.changes
            .iter()
            .rev()
            .skip_while(|(at, _)| *at > zxid)
            .find(|(_, what)| matches!(what, What::Created | What::Deleted))
            .is_some_and(|(_, what)| *what == What::Created)
    }
}

impl Client {
    fn forget(&mut self, me: u32, znodes: &mut BTreeMap<Arc<str>, Znode>) {
        for path in self.armed.keys() {
            if let Some(znode) = znodes.get_mut(path) {
                znode.watchers.retain(|watcher| *watcher != me);
            }
        }
        let asked = std::mem::take(&mut self.asked);
        *self = Self { asked, tells_calls: self.tells_calls, ..Self::default() };
    }

    fn disconnected(&mut self) {
        for watch in self.armed.values_mut().flat_map(Armed::watches_mut) {
            watch.reconnected = true;
        }
    }

    /// Whether events for this path need no one-shot watch.
    fn is_exempt(&self, path: &Arc<str>) -> bool {
        !self.tells_calls
            || self.uncertain.contains(path)
            || self.lasting.iter().any(|above| {
                path.strip_prefix(&**above).is_some_and(|below| {
                    below.is_empty() || below.starts_with('/') || &**above == "/"
                })
            })
    }

    /// Takes the watches that an event uses up.
    fn take(&mut self, path: &Arc<str>, kind: EventKind) -> [Option<Watch>; 2] {
        let Some(armed) = self.armed.get_mut(path) else { return [None, None] };
        let data = match kind {
            EventKind::ChildrenChanged => None,
            EventKind::Created | EventKind::DataChanged | EventKind::Deleted => armed.data.take(),
        };
        let children = match kind {
            EventKind::ChildrenChanged | EventKind::Deleted => armed.children.take(),
            EventKind::Created | EventKind::DataChanged => None,
        };
        [data, children]
    }

    fn no_longer_due(&mut self, path: &Arc<str>, on: On) -> Option<Zxid> {
        let index = self.due.iter().position(|due| due.path == *path && due.on == on)?;
        Some(self.due.swap_remove(index).at)
    }
}

impl Watches {
    /// A checker for clients that may lose interest in a watch while they are disconnected.
    pub fn new() -> Self {
        Self::default()
    }

    /// The clients keep every watch until it is told, so what they miss over a reconnect is lost.
    #[must_use]
    pub fn with_faithful_clients(mut self) -> Self {
        self.faithful_clients = true;
        self
    }

    fn applied(&mut self, zxid: Zxid, changes: &[Change]) {
        if zxid <= self.last_applied {
            return;
        }
        self.last_applied = zxid;
        for change in changes {
            match change {
                Change::Created { path, .. } => {
                    self.changed(zxid, path, What::Created);
                    self.child_changed(zxid, path);
                }
                Change::Deleted { path } => {
                    self.changed(zxid, path, What::Deleted);
                    self.child_changed(zxid, path);
                }
                Change::DataSet { path, .. } => self.changed(zxid, path, What::DataSet),
                Change::AclSet { path } => {
                    self.znodes.entry(Arc::clone(path)).or_default().acl_changed = true;
                }
                Change::SessionOpened { .. } | Change::SessionClosed { .. } => {}
            }
        }
    }

    fn child_changed(&mut self, zxid: Zxid, path: &str) {
        let parent = parent_of(path);
        match self.znodes.get_key_value(parent).map(|(path, _)| Arc::clone(path)) {
            Some(parent) => self.changed(zxid, &parent, What::Children),
            None => self.changed(zxid, &Arc::from(parent), What::Children),
        }
    }

    fn changed(&mut self, zxid: Zxid, path: &Arc<str>, what: What) {
        let znode = match self.znodes.get_mut(path) {
            Some(znode) => znode,
            None => self.znodes.entry(Arc::clone(path)).or_default(),
        };
        znode.changes.push((zxid, what));
        if znode.acl_changed {
            return;
        }
        for watcher in &znode.watchers {
            let Some(client) = self.clients.get_mut(watcher) else { continue };
            let Some(armed) = client.armed.get(path) else { continue };
            for watch in armed.watches() {
                let is_due = client.due.iter().any(|due| due.on == watch.on && due.path == *path);
                if watch.on.is_for(what) && zxid > watch.since && !is_due {
                    client.due.push(Due { at: zxid, path: Arc::clone(path), on: watch.on });
                }
            }
        }
    }

    fn invoked(&mut self, me: u32, operation: u64, call: &Call) {
        let client = self.clients.entry(me).or_default();
        client.tells_calls = true;
        // A number comes again when another session, or another process, counts from the beginning.
        client.asked.remove(&operation);
        let reads = matches!(call.kind, CallKind::GetData | CallKind::Exists | CallKind::Children);
        if call.kind != CallKind::Other && !(call.watch && reads) {
            return;
        }
        if call.watch {
            client.asked.insert(operation, (call.kind, Arc::clone(&call.path)));
        } else if !call.path.is_empty() {
            client.uncertain.insert(Arc::clone(&call.path));
            client.armed.remove(&call.path);
            client.due.retain(|due| due.path != call.path);
            if let Some(znode) = self.znodes.get_mut(&call.path) {
                znode.watchers.retain(|watcher| *watcher != me);
            }
        }
    }

    fn returned(&mut self, me: u32, operation: u64, outcome: &Outcome) -> Result<(), Wrong> {
        let Some(client) = self.clients.get_mut(&me) else { return Ok(()) };
        let (zxid, code) = match outcome {
            Outcome::Ok { zxid, .. } => (*zxid, 0),
            Outcome::Failed { code, zxid } => (*zxid, *code),
            Outcome::Unknown => (Zxid::ZERO, 0),
        };
        if zxid != Zxid::ZERO {
            Self::expect_nothing_due(client, &self.znodes, self.faithful_clients, zxid)?;
        }
        let Some((kind, path)) = client.asked.remove(&operation) else { return Ok(()) };
        if zxid == Zxid::ZERO {
            return Ok(());
        }
        let on = match (kind, code) {
            (CallKind::GetData | CallKind::Exists, 0) => On::Data,
            (CallKind::Exists, NO_NODE) => On::Creation,
            (CallKind::Children, 0) => On::Children,
            (CallKind::Other, 0) => {
                client.lasting.push(path);
                return Ok(());
            }
            _ => return Ok(()),
        };
        self.register(me, &path, Watch { on, since: zxid, reconnected: false });
        Ok(())
    }

    fn register(&mut self, me: u32, path: &Arc<str>, watch: Watch) {
        let client = self.clients.entry(me).or_default();
        let armed = client.armed.entry(Arc::clone(path)).or_default();
        let slot = if watch.on == On::Children { &mut armed.children } else { &mut armed.data };
        let replaced = slot.replace(watch);
        if let Some(replaced) = replaced {
            client.no_longer_due(path, replaced.on);
        }
        let znode = match self.znodes.get_mut(path) {
            Some(znode) => znode,
            None => self.znodes.entry(Arc::clone(path)).or_default(),
        };
        if !znode.watchers.contains(&me) {
            znode.watchers.push(me);
        }
        // The server that answered may lag behind the one that was first to apply.
        if !znode.acl_changed
            && let Some(at) = znode.first_for(watch)
        {
            client.due.push(Due { at, path: Arc::clone(path), on: watch.on });
        }
    }

    /// A reply that shows everything up to `zxid` has come: whatever is due by then should have come
    /// before.
    fn expect_nothing_due(
        client: &Client,
        znodes: &BTreeMap<Arc<str>, Znode>,
        faithful: bool,
        zxid: Zxid,
    ) -> Result<(), Wrong> {
        for due in client.due.iter().filter(|due| due.at <= zxid) {
            let armed = client.armed.get(&due.path);
            let watch = armed.and_then(|armed| armed.watches().find(|watch| watch.on == due.on));
            let Some(watch) = watch else { continue };
            if watch.reconnected {
                let came_and_went = watch.on == On::Creation
                    && !znodes.get(&due.path).is_some_and(|znode| znode.exists_at(zxid));
                if !faithful || came_and_went {
                    continue;
                }
            }
            if client.uncertain.contains(&due.path) {
                continue;
            }
            let detail = format!(
                "got a reply of {zxid} without having been told of the change of {} at {}, which it watches since {}",
                due.path, due.at, watch.since
            );
            return Err(Wrong { kind: "lost_or_late", detail });
        }
        Ok(())
    }

    fn delivered(
        &mut self,
        me: u32,
        path: &Arc<str>,
        kind: EventKind,
        zxid: Zxid,
    ) -> Result<(), Wrong> {
        let client = self.clients.entry(me).or_default();
        let znode = self.znodes.get_mut(path);
        let exempt =
            client.is_exempt(path) || znode.as_ref().is_some_and(|znode| znode.acl_changed);
        if zxid != Zxid::ZERO {
            if zxid < client.last_event {
                let detail = format!(
                    "got the event for {path} at {zxid} after one at {}",
                    client.last_event
                );
                return Err(Wrong { kind: "out_of_order", detail });
            }
            client.last_event = zxid;
            if !znode.as_ref().is_some_and(|znode| znode.happened(zxid, kind)) {
                let detail =
                    format!("was told {kind:?} of {path} at {zxid}, when no such thing happened");
                return Err(Wrong { kind: "invented", detail });
            }
        }
        let taken = client.take(path, kind);
        let mut verdict = Ok(());
        for watch in taken.into_iter().flatten() {
            let due = client.no_longer_due(path, watch.on);
            if verdict.is_ok() && !exempt {
                verdict = judge_event(path, kind, zxid, watch, due);
            }
        }
        if let Some(znode) = znode
            && client.armed.get(path).is_some_and(Armed::is_empty)
        {
            client.armed.remove(path);
            znode.watchers.retain(|watcher| *watcher != me);
        }
        if taken.iter().all(Option::is_none) && !exempt {
            let detail = format!(
                "was told {kind:?} of {path} at {zxid}, which it does not watch (any more)"
            );
            return Err(Wrong { kind: "unasked", detail });
        }
        verdict
    }
}

/// Whether an event is the right one for the watch that it uses up.
fn judge_event(
    path: &str,
    kind: EventKind,
    zxid: Zxid,
    watch: Watch,
    due: Option<Zxid>,
) -> Result<(), Wrong> {
    let since = watch.since;
    if zxid == Zxid::ZERO {
        if watch.reconnected && due.is_some() {
            return Ok(());
        }
        let detail = format!(
            "was told {kind:?} of {path} as something it had missed, but it missed nothing since {since}"
        );
        return Err(Wrong { kind: "invented", detail });
    }
    if zxid <= since {
        let detail = format!("was told {kind:?} of {path} at {zxid}, but watches it since {since}");
        return Err(Wrong { kind: "before_registration", detail });
    }
    match due {
        Some(first) if first < zxid && !watch.reconnected => {
            let detail = format!(
                "was told of {path} at {zxid}, but its first change since {since} was at {first}"
            );
            Err(Wrong { kind: "skipped", detail })
        }
        _ => Ok(()),
    }
}

impl Checker for Watches {
    fn name(&self) -> &'static str {
        "watches"
    }

    fn interests(&self) -> Interests {
        Interests::OPERATIONS
            | Interests::CONNECTIONS
            | Interests::WATCH_EVENTS
            | Interests::APPLIED
    }

    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        let Happening::Observed { observation } = &event.happening else { return Ok(()) };
        let (client, result) = match observation {
            Observation::Applied { zxid, changes, .. } => {
                self.applied(*zxid, changes);
                return Ok(());
            }
            Observation::Invoked { client, operation, call } => {
                self.invoked(*client, *operation, call);
                return Ok(());
            }
            Observation::Returned { client, operation, outcome } => {
                (*client, self.returned(*client, *operation, outcome))
            }
            Observation::EventDelivered { client, path, kind, zxid, .. } => {
                (*client, self.delivered(*client, path, *kind, *zxid))
            }
            Observation::ClientConnected { client: me, session, .. } => {
                let client = self.clients.entry(*me).or_default();
                if client.session != Some(*session) || *session == SessionId::NONE {
                    client.forget(*me, &mut self.znodes);
                    client.session = Some(*session);
                }
                return Ok(());
            }
            Observation::ClientDisconnected { client } => {
                self.clients.entry(*client).or_default().disconnected();
                return Ok(());
            }
            Observation::ClientSessionEnded { client: me, .. } => {
                self.clients.entry(*me).or_default().forget(*me, &mut self.znodes);
                return Ok(());
            }
            _ => return Ok(()),
        };
        result.map_err(|wrong| {
            let detail = format!("client {client} {}", wrong.detail);
            violation("watches", wrong.kind, event.at_ns, event.node.clone(), detail)
        })
    }

    fn finish(&mut self, _at_ns: u64) -> Verdict {
        Verdict::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{
        History, children, created, data_set, deleted, exists, failed, get, ok, ok_with, other,
        watching, z,
    };
    use EventKind::{ChildrenChanged, Created, DataChanged, Deleted};

    /// Client 1 watches `/a`, which exists, as of 1:1.
    fn watcher() -> History {
        History::new().connected(1, 7).changed(1, z(1, 1), vec![created("/a")]).done(
            1,
            1,
            watching(get("/a")),
            ok_with(z(1, 1), 0, 0, z(1, 1)),
        )
    }

    fn reply(history: History, operation: u64, counter: u32) -> History {
        history.done(1, operation, get("/other"), failed(NO_NODE, z(1, counter)))
    }

    #[test]
    fn an_event_before_the_reply_that_shows_the_change_passes() {
        let told = watcher().changed(1, z(1, 2), vec![data_set("/a", 1)]).event(
            1,
            7,
            "/a",
            DataChanged,
            z(1, 2),
        );
        reply(told, 2, 2).passes(Watches::new());
    }

    #[test]
    fn a_client_of_a_lagging_server_need_not_be_told_yet() {
        reply(watcher().changed(1, z(1, 2), vec![data_set("/a", 1)]), 2, 1).passes(Watches::new());
    }

    #[test]
    fn a_reply_before_the_event_is_told() {
        let untold = watcher().changed(1, z(1, 2), vec![data_set("/a", 1)]);
        reply(untold, 2, 2)
            .event(1, 7, "/a", DataChanged, z(1, 2))
            .violates(Watches::new(), "lost_or_late");
    }

    #[test]
    fn a_registration_at_a_lagging_server_counts_from_its_own_state() {
        let behind = || {
            History::new()
                .connected(1, 7)
                .changed(1, z(1, 1), vec![created("/a")])
                .changed(1, z(1, 2), vec![deleted("/a")])
                .done(1, 1, watching(get("/a")), ok_with(z(1, 1), 0, 0, z(1, 1)))
        };
        reply(behind().event(1, 7, "/a", Deleted, z(1, 2)), 2, 2).passes(Watches::new());
        reply(behind(), 2, 2).violates(Watches::new(), "lost_or_late");
    }

    #[test]
    fn each_kind_of_watch_is_for_its_own_changes() {
        let waiting = || {
            History::new().connected(1, 7).done(
                1,
                1,
                watching(exists("/a")),
                failed(NO_NODE, z(1, 1)),
            )
        };
        let came = || waiting().changed(1, z(1, 2), vec![created("/a")]);
        reply(came().event(1, 7, "/a", Created, z(1, 2)), 2, 2).passes(Watches::new());
        reply(came(), 2, 2).violates(Watches::new(), "lost_or_late");

        let listing = || {
            History::new()
                .connected(1, 7)
                .done(1, 1, watching(children("/q")), ok(z(1, 1)))
                .changed(1, z(1, 2), vec![data_set("/q", 1)]) // not for it
                .changed(1, z(1, 3), vec![created("/q/a")])
        };
        reply(listing(), 2, 2).passes(Watches::new());
        reply(listing().event(1, 7, "/q", ChildrenChanged, z(1, 3)), 2, 3).passes(Watches::new());
        reply(listing(), 2, 3).violates(Watches::new(), "lost_or_late");
    }

    #[test]
    fn one_deletion_uses_up_both_watches_of_a_path() {
        let both = watcher()
            .done(1, 2, watching(children("/a")), ok(z(1, 1)))
            .changed(1, z(1, 2), vec![deleted("/a")])
            .event(1, 7, "/a", Deleted, z(1, 2));
        reply(both.clone(), 3, 2).passes(Watches::new());
        both.event(1, 7, "/a", Deleted, z(1, 2)).violates(Watches::new(), "unasked");
    }

    #[test]
    fn a_second_event_for_a_one_shot_watch_is_told() {
        watcher()
            .changed(1, z(1, 2), vec![data_set("/a", 1)])
            .changed(1, z(1, 3), vec![data_set("/a", 2)])
            .event(1, 7, "/a", DataChanged, z(1, 2))
            .event(1, 7, "/a", DataChanged, z(1, 3))
            .violates(Watches::new(), "unasked");
    }

    #[test]
    fn an_event_for_nothing_is_told() {
        watcher().event(1, 7, "/a", DataChanged, z(1, 2)).violates(Watches::new(), "invented");
        let changed = watcher().changed(1, z(1, 2), vec![data_set("/a", 1)]);
        changed.event(1, 7, "/a", Deleted, z(1, 2)).violates(Watches::new(), "invented");
    }

    #[test]
    fn an_event_from_before_the_registration_is_told() {
        History::new()
            .connected(1, 7)
            .changed(1, z(1, 1), vec![created("/a")])
            .changed(1, z(1, 2), vec![data_set("/a", 1)])
            .done(1, 1, watching(get("/a")), ok_with(z(1, 2), 0, 1, z(1, 2)))
            .event(1, 7, "/a", DataChanged, z(1, 2))
            .violates(Watches::new(), "before_registration");
    }

    #[test]
    fn an_event_for_a_later_change_than_the_first_is_told() {
        watcher()
            .changed(1, z(1, 2), vec![data_set("/a", 1)])
            .changed(1, z(1, 3), vec![data_set("/a", 2)])
            .event(1, 7, "/a", DataChanged, z(1, 3))
            .violates(Watches::new(), "skipped");
    }

    #[test]
    fn events_out_of_order_are_told() {
        watcher()
            .changed(1, z(1, 2), vec![created("/b")])
            .done(1, 2, watching(get("/b")), ok_with(z(1, 2), 0, 0, z(1, 2)))
            .changed(1, z(1, 3), vec![data_set("/a", 1)])
            .changed(1, z(1, 4), vec![data_set("/b", 1)])
            .event(1, 7, "/b", DataChanged, z(1, 4))
            .event(1, 7, "/a", DataChanged, z(1, 3))
            .violates(Watches::new(), "out_of_order");
    }

    #[test]
    fn a_catch_up_after_a_reconnect_passes_and_its_absence_is_blamed_on_faithful_clients_servers() {
        let away = || {
            watcher().disconnected(1).changed(1, z(1, 2), vec![data_set("/a", 1)]).reconnected(1, 7)
        };
        let faithful = || Watches::new().with_faithful_clients();
        reply(away().event(1, 7, "/a", DataChanged, Zxid::ZERO), 2, 2).passes(faithful());
        reply(away(), 2, 2).violates(faithful(), "lost_or_late");
        reply(away(), 2, 2).passes(Watches::new());
    }

    #[test]
    fn a_catch_up_without_anything_missed_is_told() {
        watcher()
            .disconnected(1)
            .reconnected(1, 7)
            .event(1, 7, "/a", DataChanged, Zxid::ZERO)
            .violates(Watches::new(), "invented");
        let connected = watcher().changed(1, z(1, 2), vec![data_set("/a", 1)]);
        connected.event(1, 7, "/a", DataChanged, Zxid::ZERO).violates(Watches::new(), "invented");
    }

    #[test]
    fn a_znode_that_came_and_went_while_its_watcher_was_away_is_nobodys_fault() {
        let faithful = || Watches::new().with_faithful_clients();
        let away = || {
            History::new()
                .connected(1, 7)
                .done(1, 1, watching(exists("/a")), failed(NO_NODE, z(1, 1)))
                .disconnected(1)
                .changed(1, z(1, 2), vec![created("/a")])
        };
        reply(away().reconnected(1, 7), 2, 2).violates(faithful(), "lost_or_late");
        let gone = away().changed(1, z(1, 3), vec![deleted("/a")]).reconnected(1, 7);
        let gone = reply(gone, 2, 3);
        gone.clone().passes(faithful());
        let again = gone.changed(1, z(1, 4), vec![created("/a")]);
        reply(again.clone().event(1, 7, "/a", Created, z(1, 4)), 3, 4).passes(faithful());
        reply(again, 3, 4).violates(faithful(), "lost_or_late");
    }

    #[test]
    fn a_new_session_watches_nothing() {
        let anew = watcher().session_ended(1, 7, true).connected(1, 8).changed(
            1,
            z(1, 2),
            vec![data_set("/a", 1)],
        );
        reply(anew.clone(), 2, 2).passes(Watches::new());
        anew.event(1, 8, "/a", DataChanged, z(1, 2)).violates(Watches::new(), "unasked");
    }

    #[test]
    fn lasting_watches_may_tell_of_everything_below() {
        History::new()
            .connected(1, 7)
            .done(1, 1, watching(other("/q")), ok(z(1, 1)))
            .changed(1, z(1, 2), vec![created("/q/a")])
            .event(1, 7, "/q/a", Created, z(1, 2))
            .changed(1, z(1, 3), vec![data_set("/q/a", 1)])
            .event(1, 7, "/q/a", DataChanged, z(1, 3))
            .event(1, 7, "/q/a", DataChanged, Zxid::ZERO)
            .passes(Watches::new());
    }

    #[test]
    fn an_answer_belongs_to_the_last_operation_of_its_number() {
        let restarted = watcher().invoked(1, 2, watching(get("/b"))).crashed("c1").connected(1, 8);
        let read =
            restarted.changed(1, z(1, 2), vec![created("/b")]).done(1, 2, get("/b"), ok(z(1, 2)));
        reply(read.changed(1, z(1, 3), vec![data_set("/b", 1)]), 3, 3).passes(Watches::new());
    }

    #[test]
    fn a_client_whose_calls_are_not_on_record_may_watch_anything() {
        History::new()
            .connected(1, 7)
            .changed(1, z(1, 1), vec![created("/a")])
            .event(1, 7, "/a", Created, z(1, 1))
            .passes(Watches::new());
    }

    #[test]
    fn nothing_is_demanded_of_a_watch_that_may_have_been_removed() {
        let removed = watcher().done(1, 2, other("/a"), ok(z(1, 1))).changed(
            1,
            z(1, 2),
            vec![data_set("/a", 1)],
        );
        reply(removed.clone(), 3, 2).passes(Watches::new());
        removed.event(1, 7, "/a", DataChanged, z(1, 2)).passes(Watches::new());
    }
}
