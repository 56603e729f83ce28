//! Session order: what one session sees only ever moves forward.
//!
//! Definition. Per client session, across reconnects:
//! - the zxid in replies and events never goes back (`went_back`);
//! - a plain read shows no older state of a znode than this session has seen (`stale_read`) or
//!   written (`own_write_missed`): the znode's mzxid, or for a list of children its pzxid, never
//!   falls; a znode that was there is missing only when somebody deleted it, and one that was
//!   missing comes back only with a later mzxid;
//! - answers come in the order of the questions (`out_of_order`), and everything a server says can
//!   be understood (`broken_protocol`): the network delivers what was sent, or nothing;
//! - nothing is served to a session from a state in which it is closed (`served_after_close`).
//!
//! Sources: ZooKeeper's documentation, "Consistency Guarantees" (single system image, FIFO client
//! order); ordered sequential consistency (Lev-Ari, Bortnikov, Keidar, Shraer, 2017).
//!
//! Exactly: a write's own place is the mzxid of its `Stat`, or else the zxid in its reply's header,
//! which for a write is its own transaction's. That a missing znode was deleted by somebody is
//! checked where the record tells of applied transactions at all. The order of answers is that of
//! the questions of one client, in the order in which they were told as invoked; `Other` operations
//! (among them authentication, which the protocol answers out of line) take no part in it, nor do
//! operations that ended without an answer.

use crate::clients::followed::{FollowsClients, NewestApplied, Wrong, tell};
use crate::clients::znodes::{NO_NODE, parent_of};
use crate::{Checker, Interests};
use mailstorm_record::{Event, Violation};
use mailstorm_shared::facts::{Call, CallKind, Outcome, Shown};
use mailstorm_shared::znodes::{Change, EventKind};
use mailstorm_shared::{SessionId, WallTime, Zxid};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Follows what each session sees.
#[derive(Clone, Debug, Default)]
pub struct SessionOrder {
    clients: BTreeMap<u32, Client>,
    applied: NewestApplied,
    /// When each znode was last deleted.
    deleted: BTreeMap<Arc<str>, Zxid>,
    /// By which transaction each session was closed.
    closed: BTreeMap<SessionId, Zxid>,
}

/// One client and the session it has.
#[derive(Clone, Debug, Default)]
struct Client {
    session: Option<SessionId>,
    /// In the order of their invocation.
    outstanding: VecDeque<Outstanding>,
    last_seen: Zxid,
    data: BTreeMap<Arc<str>, Seen>,
    children: BTreeMap<Arc<str>, Seen>,
}

/// An operation that has not returned.
#[derive(Clone, Debug)]
struct Outstanding {
    operation: u64,
    kind: CallKind,
    path: Arc<str>,
    /// By which later operation's answer.
    overtaken_by: Option<u64>,
}

/// The newest state of a znode that a session knows of.
#[derive(Clone, Copy, Debug)]
struct Seen {
    at: Zxid,
    present: bool,
    own_write: bool,
}

impl Client {
    fn begin_session(&mut self, session: SessionId) {
        // Read-only connections to a server without a quorum all have the same number: none.
        if self.session != Some(session) || session == SessionId::NONE {
            self.session = Some(session);
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.last_seen = Zxid::ZERO;
        self.data.clear();
        self.children.clear();
    }

    /// Takes the operation out of the outstanding ones, and notes whom its answer overtook.
    fn take(&mut self, operation: u64, answered: bool) -> Option<Outstanding> {
        let index = self.outstanding.iter().position(|one| one.operation == operation)?;
        let taken = self.outstanding.remove(index)?;
        let in_order = |kind| !matches!(kind, CallKind::Auth | CallKind::Other);
        if answered && in_order(taken.kind) {
            for earlier in self.outstanding.range_mut(..index) {
                if in_order(earlier.kind) {
                    earlier.overtaken_by.get_or_insert(operation);
                }
            }
        }
        Some(taken)
    }

    fn see_zxid(&mut self, zxid: Zxid) -> Result<(), Wrong> {
        if zxid < self.last_seen {
            let detail = format!("got {zxid} after it had seen {}", self.last_seen);
            return Err(Wrong { kind: "went_back", detail });
        }
        self.last_seen = zxid;
        Ok(())
    }

    fn expect_open(&self, closed: &BTreeMap<SessionId, Zxid>, zxid: Zxid) -> Result<(), Wrong> {
        let Some(session) = self.session else { return Ok(()) };
        match closed.get(&session) {
            Some(closed) if zxid > *closed => {
                let detail = format!(
                    "was answered as of {zxid} in session {session}, which was closed by {closed}"
                );
                Err(Wrong { kind: "served_after_close", detail })
            }
            _ => Ok(()),
        }
    }

    fn done(&mut self, call: &Outstanding, zxid: Zxid, modified: Zxid) -> Result<(), Wrong> {
        let own = if modified == Zxid::ZERO { zxid } else { modified };
        let path = &call.path;
        match call.kind {
            CallKind::GetData | CallKind::Exists => see_modified(&mut self.data, path, modified),
            CallKind::Children => see_modified(&mut self.children, path, modified),
            CallKind::SetData => {
                wrote(&mut self.data, path, own, true);
                Ok(())
            }
            CallKind::Create | CallKind::CreateEphemeral | CallKind::Delete => {
                wrote(&mut self.data, path, own, call.kind != CallKind::Delete);
                self.changed_children_of_parent(path, own);
                Ok(())
            }
            CallKind::CreateSequential => {
                self.changed_children_of_parent(path, own);
                Ok(())
            }
            CallKind::Sync
            | CallKind::Multi
            | CallKind::AddWatch
            | CallKind::AddWatchRecursive
            | CallKind::RemoveWatches
            | CallKind::Check
            | CallKind::SetAcl
            | CallKind::GetAcl
            | CallKind::MultiRead
            | CallKind::Ephemerals
            | CallKind::AllChildrenNumber
            | CallKind::Auth
            | CallKind::WhoAmI
            | CallKind::Other => Ok(()),
        }
    }

    fn changed_children_of_parent(&mut self, path: &str, own: Zxid) {
        // Only where the list was looked at before: a floor for every parent ever written would be
        // memory for nothing. Whoever reads the list later is checked by the header's zxid.
        if let Some(seen) = self.children.get_mut(parent_of(path)) {
            *seen = Seen { at: seen.at.max(own), present: true, own_write: true };
        }
    }

    fn missed(
        &mut self,
        call: &Outstanding,
        zxid: Zxid,
        deleted: Option<Option<Zxid>>,
    ) -> Result<(), Wrong> {
        let table = match call.kind {
            CallKind::GetData | CallKind::Exists => &mut self.data,
            CallKind::Children => &mut self.children,
            _ => return Ok(()),
        };
        if let Some(seen) = table.get(&call.path)
            && seen.present
            && let Some(deleted) = deleted
            && deleted.is_none_or(|deleted| deleted <= seen.at)
        {
            let detail = format!(
                "finds no {}, which it {} at {} and nobody deleted since",
                call.path,
                seen.how(),
                seen.at
            );
            return Err(Wrong { kind: seen.kind(), detail });
        }
        table.insert(Arc::clone(&call.path), Seen { at: zxid, present: false, own_write: false });
        Ok(())
    }
}

impl Seen {
    fn kind(self) -> &'static str {
        if self.own_write { "own_write_missed" } else { "stale_read" }
    }

    fn how(self) -> &'static str {
        match (self.own_write, self.present) {
            (true, true) => "wrote",
            (true, false) => "deleted",
            (false, true) => "saw",
            (false, false) => "saw missing",
        }
    }
}

fn wrote(table: &mut BTreeMap<Arc<str>, Seen>, path: &Arc<str>, at: Zxid, present: bool) {
    let seen = Seen { at, present, own_write: true };
    match table.get_mut(path) {
        Some(known) if known.at > at => {} // A pipelined read has already shown something newer.
        Some(known) => *known = seen,
        None => {
            table.insert(Arc::clone(path), seen);
        }
    }
}

fn see_modified(
    table: &mut BTreeMap<Arc<str>, Seen>,
    path: &Arc<str>,
    modified: Zxid,
) -> Result<(), Wrong> {
    if modified == Zxid::ZERO {
        return Ok(()); // The reply had no `Stat`.
    }
    let Some(seen) = table.get_mut(path) else {
        table.insert(Arc::clone(path), Seen { at: modified, present: true, own_write: false });
        return Ok(());
    };
    let is_older = if seen.present { modified < seen.at } else { modified <= seen.at };
    if is_older {
        let detail =
            format!("reads {path} as of {modified}, which it {} at {}", seen.how(), seen.at);
        return Err(Wrong { kind: seen.kind(), detail });
    }
    if modified > seen.at {
        *seen = Seen { at: modified, present: true, own_write: false };
    }
    Ok(())
}

impl SessionOrder {
    /// A checker for any number of clients.
    pub fn new() -> Self {
        Self::default()
    }
}

impl FollowsClients for SessionOrder {
    fn applied(&mut self, zxid: Zxid, _wall: WallTime, changes: &[Change]) {
        if !self.applied.is_moved_by(zxid) {
            return;
        }
        for change in changes {
            match change {
                Change::Deleted { path } => match self.deleted.get_mut(path) {
                    Some(deleted) => *deleted = zxid,
                    None => _ = self.deleted.insert(Arc::clone(path), zxid),
                },
                Change::SessionClosed { session } => _ = self.closed.insert(*session, zxid),
                _ => {}
            }
        }
    }

    fn invoked(&mut self, client: u32, operation: u64, call: &Call) {
        let outstanding = &mut self.clients.entry(client).or_default().outstanding;
        // A number comes again when the client's process died and another one counts from the
        // beginning.
        outstanding.retain(|earlier| earlier.operation != operation);
        outstanding.push_back(Outstanding {
            operation,
            kind: call.kind,
            path: Arc::clone(&call.path),
            overtaken_by: None,
        });
    }

    fn returned(
        &mut self,
        client: u32,
        operation: u64,
        outcome: &Outcome,
        _shown: Option<&Shown>,
    ) -> Result<(), Wrong> {
        let zxid = match outcome {
            Outcome::Ok { zxid, .. } | Outcome::Failed { zxid, .. } => *zxid,
            Outcome::Unknown => Zxid::ZERO,
        };
        // A refusal without a zxid is the client's own: nobody answered.
        let answered = zxid != Zxid::ZERO || matches!(outcome, Outcome::Ok { .. });
        let client = self.clients.entry(client).or_default();
        let Some(call) = client.take(operation, answered) else { return Ok(()) };
        if !answered {
            return Ok(());
        }
        if let Some(later) = call.overtaken_by {
            let detail = format!(
                "got the answer to operation {operation} after that to operation {later}, which it asked later"
            );
            return Err(Wrong { kind: "out_of_order", detail });
        }
        if zxid != Zxid::ZERO {
            client.see_zxid(zxid)?;
            client.expect_open(&self.closed, zxid)?;
        }
        match outcome {
            Outcome::Ok { zxid, modified, .. } => client.done(&call, *zxid, *modified),
            Outcome::Failed { code: NO_NODE, zxid } => {
                let record_tells = self.applied.is_told();
                let deleted = record_tells.then(|| self.deleted.get(&call.path).copied());
                client.missed(&call, *zxid, deleted)
            }
            Outcome::Failed { .. } | Outcome::Unknown => Ok(()),
        }
    }

    fn connected(&mut self, client: u32, session: SessionId) {
        self.clients.entry(client).or_default().begin_session(session);
    }

    fn session_ended(&mut self, client: u32) {
        let client = self.clients.entry(client).or_default();
        client.session = None;
        client.forget();
    }

    fn delivered(
        &mut self,
        client: u32,
        _path: &Arc<str>,
        _kind: EventKind,
        zxid: Zxid,
    ) -> Result<(), Wrong> {
        // A catch-up after a reconnect has no place in the order.
        if zxid == Zxid::ZERO {
            return Ok(());
        }
        self.clients.entry(client).or_default().see_zxid(zxid)
    }

    fn protocol_broken(&mut self, why: &Arc<str>) -> Result<(), Wrong> {
        let detail = format!("hung up, since what the server said makes no sense: {why}");
        Err(Wrong { kind: "broken_protocol", detail })
    }
}

impl Checker for SessionOrder {
    fn name(&self) -> &'static str {
        "session-order"
    }

    fn interests(&self) -> Interests {
        Interests::OPERATIONS
            | Interests::CONNECTIONS
            | Interests::WATCH_EVENTS
            | Interests::APPLIED
    }

    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        tell("session-order", self, event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::history::{
        History, children, closed, create, delete, deleted, exists, failed, get, multi, ok,
        ok_with, other, set, z,
    };

    fn session() -> History {
        History::new().connected(1, 7)
    }

    #[test]
    fn a_session_that_moves_forward_over_a_reconnect_passes() {
        session()
            .done(1, 1, create("/a", 1), ok(z(1, 1)))
            .done(1, 2, get("/a"), ok_with(z(1, 1), 1, 0, z(1, 1)))
            .disconnected(1)
            .reconnected(1, 7)
            .done(1, 3, set("/a", 2), ok_with(z(1, 5), 0, 1, z(1, 5)))
            .done(1, 4, get("/a"), ok_with(z(2, 1), 3, 2, z(2, 1)))
            .done(1, 5, delete("/a"), ok(z(2, 2)))
            .done(1, 6, get("/a"), failed(NO_NODE, z(2, 2)))
            .done(1, 7, get("/a"), ok_with(z(2, 3), 3, 0, z(2, 3)))
            .passes(SessionOrder::new());
    }

    #[test]
    fn a_reply_from_an_older_view_is_told() {
        let history =
            session().done(1, 1, get("/a"), ok_with(z(1, 9), 1, 0, z(1, 1))).disconnected(1);
        let back = history.clone().reconnected(1, 7).done(
            1,
            2,
            get("/b"),
            ok_with(z(1, 8), 1, 0, z(1, 1)),
        );
        back.violates(SessionOrder::new(), "went_back");
        // Another session may start from an older view.
        let anew = history.connected(1, 8).done(1, 2, get("/b"), ok_with(z(1, 8), 1, 0, z(1, 1)));
        anew.passes(SessionOrder::new());
    }

    #[test]
    fn an_event_from_an_older_view_is_told() {
        session()
            .done(1, 1, get("/a"), ok_with(z(1, 9), 1, 0, z(1, 1)))
            .event(1, 7, "/a", EventKind::DataChanged, z(1, 8))
            .violates(SessionOrder::new(), "went_back");
    }

    #[test]
    fn a_read_that_misses_an_own_write_is_told() {
        session()
            .done(1, 1, set("/a", 2), ok_with(z(1, 5), 0, 1, z(1, 5)))
            .done(1, 2, get("/a"), ok_with(z(1, 5), 1, 0, z(1, 1)))
            .violates(SessionOrder::new(), "own_write_missed");
        session()
            .done(1, 1, delete("/a"), ok(z(1, 5)))
            .done(1, 2, exists("/a"), ok_with(z(1, 6), 0, 0, z(1, 1)))
            .violates(SessionOrder::new(), "own_write_missed");
    }

    #[test]
    fn an_own_znode_may_be_missing_only_if_somebody_deleted_it() {
        let wrote = || session().done(1, 1, create("/a", 2), ok(z(1, 5)));
        let gone = failed(NO_NODE, z(1, 6));
        wrote()
            .changed(1, z(1, 6), vec![deleted("/a")])
            .done(1, 2, get("/a"), gone.clone())
            .passes(SessionOrder::new());
        wrote()
            .changed(1, z(1, 6), vec![])
            .done(1, 2, get("/a"), gone.clone())
            .violates(SessionOrder::new(), "own_write_missed");
        wrote().done(1, 2, get("/a"), gone).passes(SessionOrder::new()); // The record does not tell.
    }

    #[test]
    fn a_read_older_than_an_earlier_read_is_told() {
        session()
            .done(1, 1, get("/a"), ok_with(z(1, 9), 2, 1, z(1, 8)))
            .done(1, 2, get("/a"), ok_with(z(1, 9), 1, 0, z(1, 1)))
            .violates(SessionOrder::new(), "stale_read");
    }

    #[test]
    fn a_list_of_children_without_an_own_child_is_told() {
        let listed = || session().done(1, 1, children("/q"), ok_with(z(1, 2), 0, 0, z(1, 2)));
        let created = || listed().done(1, 2, create("/q/a", 0), ok(z(1, 3)));
        created()
            .done(1, 3, children("/q"), ok_with(z(1, 3), 0, 0, z(1, 3)))
            .passes(SessionOrder::new());
        created()
            .done(1, 3, children("/q"), ok_with(z(1, 3), 0, 0, z(1, 2)))
            .violates(SessionOrder::new(), "own_write_missed");
    }

    #[test]
    fn answers_out_of_order_are_told() {
        let asked = || session().invoked(1, 1, set("/a", 1)).invoked(1, 2, get("/b"));
        asked()
            .returned(1, 2, ok_with(z(1, 1), 0, 0, z(1, 1)))
            .returned(1, 1, ok_with(z(1, 2), 0, 1, z(1, 2)))
            .violates(SessionOrder::new(), "out_of_order");
    }

    #[test]
    fn a_server_that_makes_no_sense_is_told() {
        session().disconnected(1).reconnected(1, 7).passes(SessionOrder::new());
        session().protocol_broken(1, 7).violates(SessionOrder::new(), "broken_protocol");
    }

    #[test]
    fn an_answer_from_a_state_in_which_the_session_is_closed_is_told() {
        let ended = || session().changed(1, z(1, 5), vec![closed(7)]);
        let read = |history: History, counter| {
            history.done(1, 1, get("/a"), ok_with(z(1, counter), 1, 0, z(1, 1)))
        };
        // A server that lags does not know it yet; the close itself has an answer, too.
        read(ended(), 4).passes(SessionOrder::new());
        read(ended(), 5).passes(SessionOrder::new());
        read(ended(), 6).violates(SessionOrder::new(), "served_after_close");
        read(ended().session_ended(1, 7, true).connected(1, 8), 6).passes(SessionOrder::new());
    }

    #[test]
    fn operations_that_nobody_answered_and_those_out_of_line_take_no_part_in_the_order() {
        session()
            .invoked(1, 1, set("/a", 1))
            .invoked(1, 2, other("/"))
            .invoked(1, 3, multi("/b"))
            .returned(1, 2, ok(z(1, 1)))
            .returned(1, 3, ok(z(1, 1)))
            .returned(1, 1, Outcome::Unknown)
            .passes(SessionOrder::new());
    }
}
