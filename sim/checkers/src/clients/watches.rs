//! Watches: none lost, none late, none twice, none for nothing.
//!
//! Definition. A read that leaves a one-shot watch registers it as of the zxid in its reply's
//! header. `exists` and `getData` watch the znode's data, or, where there is no znode, its
//! creation; `getChildren` watches the list. Then, per client session:
//! - the first change after the registration that the watch is for is told before any reply that
//!   could show it, that is, before any reply with a header zxid at or past the change
//!   (`lost_or_late`), and it is that change that is told, not a later one (`skipped`);
//! - once everything is healed it is told to a client that is connected and asks for nothing, too,
//!   within a bound (`never_told`);
//! - an event is told only to a session that watches, once per watch (`unasked`), only for a change
//!   that happened (`invented`) and that came after the registration (`before_registration`);
//! - events come in the order of their zxids (`out_of_order`).
//!
//! Source: ZooKeeper's programmer's guide, "What ZooKeeper Guarantees about Watches": a client sees
//! the watch event before it sees the new data. ZOOKEEPER-2355, 4475 (watches lost around
//! reconnects).
//!
//! Exactly: what changed is taken from applied transactions. After a reconnect the client arms its
//! watches anew, and what it missed comes with zxid zero, before anything else. So a session's
//! watches are owed over any number of reconnects, with two exceptions: those that their
//! application has given up, and a znode that was waited for and came and went in between, which
//! nobody can know afterwards. What `removeWatches` was asked to remove may be gone, so nothing is
//! demanded of them from then on, nor of watches on znodes whose access list was changed.
//!
//! A lasting watch (`addWatch`) is owed every change that it covers, before any reply that could
//! show it (`lasting_lost_or_late`), or, when its client was away in between, a hint in the
//! catch-up: an event of zxid zero at the znode, or at one above it. Where one covers a path,
//! `unasked` and `skipped` are not judged: which of its watches an event is for cannot be told. A
//! client is told by its session's frames to be alive. Expects that replies and events are told in
//! the order in which they arrived.

mod armed;

use crate::clients::followed::{FollowsClients, NewestApplied, Wrong, tell};
use crate::clients::znodes::{NO_NODE, parent_of};
use crate::{Checker, Interests};
use armed::{Armed, Client, Due, Lasting, LastingDue, On, Watch, What, Znode};
use mailstorm_record::{Event, Happening, Violation};
use mailstorm_shared::facts::{Call, CallKind, EnsembleFact, Outcome, Shown};
use mailstorm_shared::znodes::{Change, EventKind, WatchKind};
use mailstorm_shared::{Observation, SessionId, WallTime, Zxid};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long after everything is healed, the change has happened and the client is connected an
/// event may take: several times what a healthy ensemble needs for anything.
const TOLD_WITHIN_NS: u64 = 5_000_000_000;

/// Follows every client's watches, and every change.
#[derive(Clone, Debug, Default)]
pub struct Watches {
    now_ns: u64,
    healed_at_ns: Option<u64>,
    clients: BTreeMap<u32, Client>,
    znodes: BTreeMap<Arc<str>, Znode>,
    applied: NewestApplied,
}

impl Watches {
    /// A checker for any number of clients.
    pub fn new() -> Self {
        Self::default()
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
        for client in self.clients.values_mut().filter(|client| !client.lasting.is_empty()) {
            client.lasting_changed(path, zxid, what.told_as(), self.now_ns);
        }
        for watcher in &znode.watchers {
            let Some(client) = self.clients.get_mut(watcher) else { continue };
            let Some(armed) = client.armed.get(path) else { continue };
            for watch in armed.watches() {
                let is_due = client.due.iter().any(|due| due.on == watch.on && due.path == *path);
                if watch.on.is_for(what) && zxid > watch.since && !is_due {
                    client.due.push(Due {
                        at: zxid,
                        since_ns: self.now_ns,
                        path: Arc::clone(path),
                        on: watch.on,
                    });
                }
            }
        }
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
            let since_ns = self.now_ns;
            client.due.push(Due { at, since_ns, path: Arc::clone(path), on: watch.on });
        }
    }

    /// A lasting watch was left, at a server that may lag behind the one that was first to apply.
    fn register_lasting(&mut self, me: u32, path: Arc<str>, recursive: bool, since: Zxid) {
        let client = self.clients.entry(me).or_default();
        client.lasting.retain(|known| known.path != path || known.recursive != recursive);
        client.lasting.push(Lasting { path: Arc::clone(&path), recursive, since, given_up: false });
        let from_here = self.znodes.range(Arc::clone(&path)..);
        for (below, znode) in from_here.take_while(|(below, _)| below.starts_with(&*path)) {
            if znode.acl_changed {
                continue;
            }
            for (at, what) in znode.since(since) {
                client.lasting_changed(below, *at, what.told_as(), self.now_ns);
            }
        }
    }

    fn is_acl_changed(&self, path: &str) -> bool {
        self.znodes.get(path).is_some_and(|znode| znode.acl_changed)
    }

    /// What a client is owed by a lasting watch, if anything is late by this measure.
    fn late_lasting<'a>(
        &self,
        client: &'a Client,
        is_late: impl Fn(&LastingDue) -> bool,
    ) -> Option<(&'a LastingDue, &'a Lasting)> {
        client.lasting_due.iter().filter(|due| is_late(due)).find_map(|due| {
            let secret =
                self.is_acl_changed(&due.path) || self.is_acl_changed(parent_of(&due.path));
            let lasting = client.demanded_lasting(due)?;
            (!secret).then_some((due, lasting))
        })
    }

    /// A reply that shows everything up to `zxid` has come: whatever is due by then should have
    /// come before.
    fn expect_nothing_due(&self, client: &Client, zxid: Zxid) -> Result<(), Wrong> {
        for due in client.due.iter().filter(|due| due.at <= zxid) {
            let Some(watch) = self.demanded(client, due, Some(zxid)) else { continue };
            let detail = format!(
                "got a reply of {zxid} without having been told of the change of {} at {}, which it watches since {}",
                due.path, due.at, watch.since
            );
            return Err(Wrong { kind: "lost_or_late", detail });
        }
        if let Some((due, lasting)) = self.late_lasting(client, |due| due.at <= zxid) {
            let detail = format!(
                "got a reply of {zxid} without having been told {:?} of {} at {}, which its lasting watch on {} is for since {}",
                due.kind, due.path, due.at, lasting.path, lasting.since
            );
            return Err(Wrong { kind: "lasting_lost_or_late", detail });
        }
        Ok(())
    }

    /// A client was heard of: it lives. What it has been owed for so long should have reached it.
    fn heard(&self, session: SessionId) -> Result<(), (u32, Wrong)> {
        let Some(healed_at_ns) = self.healed_at_ns else { return Ok(()) };
        let Some((me, client)) = self.clients.iter().find(|(_, c)| c.session == Some(session))
        else {
            return Ok(());
        };
        let Some(connected_at_ns) = client.connected_at_ns else { return Ok(()) };
        let is_late = |since_ns: u64| {
            let owed_since_ns = since_ns.max(connected_at_ns).max(healed_at_ns);
            self.now_ns > owed_since_ns + TOLD_WITHIN_NS
        };
        if let Some((due, lasting)) = self.late_lasting(client, |due| is_late(due.since_ns)) {
            let detail = format!(
                "has not been told {:?} of {} at {}, which its lasting watch on {} is for, although it has been connected to a healthy ensemble for more than {} s",
                due.kind,
                due.path,
                due.at,
                lasting.path,
                TOLD_WITHIN_NS / 1_000_000_000
            );
            return Err((*me, Wrong { kind: "never_told", detail }));
        }
        for due in &client.due {
            if is_late(due.since_ns)
                && let Some(watch) = self.demanded(client, due, None)
            {
                let detail = format!(
                    "has not been told of the change of {} at {}, which it watches since {}, although it has been connected to a healthy ensemble for more than {} s",
                    due.path,
                    due.at,
                    watch.since,
                    TOLD_WITHIN_NS / 1_000_000_000
                );
                return Err((*me, Wrong { kind: "never_told", detail }));
            }
        }
        Ok(())
    }

    /// The watch that this is owed to, as of this moment (`None`: now), unless nobody can demand
    /// it.
    fn demanded<'a>(
        &self,
        client: &'a Client,
        due: &Due,
        as_of: Option<Zxid>,
    ) -> Option<&'a Watch> {
        let watch = client.demanded(due)?;
        let exists = || {
            let as_of = as_of.unwrap_or(Zxid(u64::MAX));
            self.znodes.get(&due.path).is_some_and(|znode| znode.exists_at(as_of))
        };
        let came_and_went = watch.reconnected && watch.on == On::Creation && !exists();
        (!came_and_went).then_some(watch)
    }
}

impl FollowsClients for Watches {
    fn applied(&mut self, zxid: Zxid, _wall: WallTime, changes: &[Change]) {
        if !self.applied.is_moved_by(zxid) {
            return;
        }
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
                Change::AclSet { path, .. } => {
                    self.znodes.entry(Arc::clone(path)).or_default().acl_changed = true;
                }
                Change::SessionOpened { .. } | Change::SessionClosed { .. } => {}
            }
        }
    }

    fn invoked(&mut self, me: u32, operation: u64, call: &Call) {
        let client = self.clients.entry(me).or_default();
        client.tells_calls = true;
        // A number comes again when another session, or another process, counts from the beginning.
        client.asked.remove(&operation);
        if call.kind != CallKind::RemoveWatches && !call.watch {
            return;
        }
        if call.watch {
            client.asked.insert(operation, (call.kind, Arc::clone(&call.path)));
        } else {
            client.uncertain.insert(Arc::clone(&call.path));
            client.armed.remove(&call.path);
            client.due.retain(|due| due.path != call.path);
            if let Some(znode) = self.znodes.get_mut(&call.path) {
                znode.watchers.retain(|watcher| *watcher != me);
            }
        }
    }

    fn returned(
        &mut self,
        me: u32,
        operation: u64,
        outcome: &Outcome,
        _shown: Option<&Shown>,
    ) -> Result<(), Wrong> {
        let (zxid, code) = match outcome {
            Outcome::Ok { zxid, .. } => (*zxid, 0),
            Outcome::Failed { code, zxid } => (*zxid, *code),
            Outcome::Unknown => (Zxid::ZERO, 0),
        };
        let Some(client) = self.clients.get(&me) else { return Ok(()) };
        if zxid != Zxid::ZERO {
            self.expect_nothing_due(client, zxid)?;
        }
        let Some(client) = self.clients.get_mut(&me) else { return Ok(()) };
        client.is_armed |= zxid != Zxid::ZERO;
        let Some((kind, path)) = client.asked.remove(&operation) else { return Ok(()) };
        if zxid == Zxid::ZERO {
            return Ok(());
        }
        let on = match (kind, code) {
            (CallKind::GetData | CallKind::Exists, 0) => On::Data,
            (CallKind::Exists, NO_NODE) => On::Creation,
            (CallKind::Children, 0) => On::Children,
            (CallKind::AddWatch | CallKind::AddWatchRecursive, 0) => {
                self.register_lasting(me, path, kind == CallKind::AddWatchRecursive, zxid);
                return Ok(());
            }
            _ => return Ok(()),
        };
        self.register(me, &path, Watch { on, since: zxid, reconnected: false, given_up: false });
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
            client.is_armed = true;
            if !znode.as_ref().is_some_and(|znode| znode.happened(zxid, kind)) {
                let detail =
                    format!("was told {kind:?} of {path} at {zxid}, when no such thing happened");
                return Err(Wrong { kind: "invented", detail });
            }
        }
        client.lasting_due.retain(|due| !due.is_told_by(path, kind, zxid));
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

    fn connected(&mut self, me: u32, session: SessionId) {
        let client = self.clients.entry(me).or_default();
        if client.session != Some(session) || session == SessionId::NONE {
            client.forget(me, &mut self.znodes);
            client.session = Some(session);
        }
        client.connected_at_ns = Some(self.now_ns);
    }

    fn disconnected(&mut self, me: u32) {
        self.clients.entry(me).or_default().disconnected();
    }

    fn session_ended(&mut self, me: u32) {
        self.clients.entry(me).or_default().forget(me, &mut self.znodes);
    }

    fn given_up(&mut self, me: u32, path: &Arc<str>, kind: WatchKind) {
        let Some(client) = self.clients.get_mut(&me) else { return };
        for lasting in client.lasting.iter_mut().filter(|lasting| lasting.is(path, kind)) {
            lasting.given_up = true;
        }
        let armed = client.armed.get_mut(path).into_iter().flat_map(Armed::watches_mut);
        for watch in armed.filter(|watch| watch.on.is(kind)) {
            watch.given_up = true;
        }
        if client.connected_at_ns.is_none() {
            client.drop_given_up();
        }
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
            | Interests::SESSIONS
            | Interests::PLAN
    }

    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        self.now_ns = event.at_ns;
        match &event.happening {
            Happening::Phase { name } if &**name == "heal" => self.healed_at_ns = Some(event.at_ns),
            Happening::Observed {
                observation: Observation::Ensemble(EnsembleFact::SessionHeard { session, .. }),
            } => {
                return self
                    .heard(*session)
                    .map_err(|(client, wrong)| wrong.of_client("watches", client, event));
            }
            _ => {}
        }
        tell("watches", self, event)
    }
}

#[cfg(test)]
mod tests;
