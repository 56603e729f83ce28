//! Sessions and ephemerals: an ephemeral znode lives exactly as long as its session, and a session ends
//! only for a reason.
//!
//! Definition. In the order in which transactions are applied (the first server to apply one tells):
//! - an ephemeral is created only for a session that is open (`created_for_no_session`), and the
//!   transaction that closes the session leaves none behind (`ephemeral_left`);
//! - a session opens once (`opened_twice`) and closes once (`closed_twice`); no write that changes
//!   something is acknowledged to it after that (`write_after_close`);
//! - only a leader expires sessions (`expired_by_follower`), and not before their timeout has passed on
//!   its own clock (`expired_early`) since it last heard of them: that is checked against what the leader
//!   says, and, on its own, against when it was seen to hear of them (`expired_though_heard`);
//! - a client is told that its session expired only after a leader has decided so, or some transaction has
//!   closed it (`told_too_early`). (As in ZooKeeper, the decision need not be committed: should the leader
//!   fail, the session's ephemerals stay a little longer than the client thinks.)
//!
//! Sources: ZooKeeper's programmer's guide, "ZooKeeper Sessions" and "Ephemeral Nodes"; ZOOKEEPER-3144
//! (ephemerals that differ between servers); ZOOKEEPER-1208 and 2355 (ephemerals that outlive their
//! session).
//!
//! What a leader hears itself counts exactly, apart from its clock's drift. What a follower hears reaches
//! the leader with the next ping, so it counts only when the caller says how late a report can be, and
//! only while the follower served that leader all the time and the leader was never asleep.

use crate::checker::violation;
use crate::servers::{PerServer, node_of, server_on};
use crate::{Checker, Interests};
use mailstorm_record::{Event, Happening, NodeName, Verdict, Violation};
use mailstorm_shared::observation::Change;
use mailstorm_shared::{Millis, Observation, ServerId, SessionId, Zxid};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How much a node's clock may be off by default: one part in ten, far beyond any clock that is not broken.
const DRIFT_PER_MILLE_MAX: u64 = 100;

/// Follows sessions through the transactions applied, and compares who was heard with who expired.
#[derive(Clone, Debug)]
pub struct Sessions {
    drift_per_mille: u64,
    report_lag_ms: Option<u64>,
    /// The last transaction that any server applied.
    last_applied: Zxid,
    open: BTreeMap<SessionId, Open>,
    /// By which transaction each session was closed.
    closed: BTreeMap<SessionId, Zxid>,
    /// Which sessions a leader has decided to end.
    decided: BTreeSet<SessionId>,
    /// Whose each ephemeral is.
    owners: BTreeMap<Arc<str>, SessionId>,
    /// The transactions that changed something, in order.
    effective: Vec<Zxid>,
    /// When each session was last heard of, and by whom.
    heard: BTreeMap<SessionId, Vec<(ServerId, u64)>>,
    servers: PerServer<Server>,
}

/// A session that is open.
#[derive(Clone, Debug, Default)]
struct Open {
    timeout: Millis,
    ephemerals: BTreeSet<Arc<str>>,
}

/// What is known of a server's role.
#[derive(Clone, Copy, Debug, Default)]
struct Server {
    leads: bool,
    /// Whom it follows, and since when.
    follows: Option<(ServerId, u64)>,
    /// When it last woke up from a pause.
    resumed_at_ns: Option<u64>,
}

impl Sessions {
    /// A checker that counts what leaders hear themselves, on clocks that may drift by a tenth.
    pub fn new() -> Self {
        Self {
            drift_per_mille: DRIFT_PER_MILLE_MAX,
            report_lag_ms: None,
            last_applied: Zxid::ZERO,
            open: BTreeMap::new(),
            closed: BTreeMap::new(),
            decided: BTreeSet::new(),
            owners: BTreeMap::new(),
            effective: Vec::new(),
            heard: BTreeMap::new(),
            servers: PerServer::default(),
        }
    }

    /// Clocks drift by no more than this, in parts per thousand.
    #[must_use]
    pub fn with_drift_per_mille(mut self, drift_per_mille: u64) -> Self {
        self.drift_per_mille = drift_per_mille;
        self
    }

    /// Counts what followers hear, too: their reports reach a leader that is awake within this time.
    #[must_use]
    pub fn with_report_lag_ms(mut self, report_lag_ms: u64) -> Self {
        self.report_lag_ms = Some(report_lag_ms);
        self
    }

    fn applied(
        &mut self,
        at: u64,
        server: ServerId,
        zxid: Zxid,
        changes: &[Change],
    ) -> Result<(), Violation> {
        if zxid <= self.last_applied {
            return Ok(());
        }
        self.last_applied = zxid;
        if !changes.is_empty() {
            self.effective.push(zxid);
        }
        for change in changes {
            self.change(at, server, zxid, change)?;
        }
        // The deletions may stand before or after the close in the list: judge when all are done.
        for change in changes {
            if let Change::SessionClosed { session } = change {
                self.close(at, server, zxid, *session)?;
            }
        }
        Ok(())
    }

    fn change(
        &mut self,
        at: u64,
        server: ServerId,
        zxid: Zxid,
        change: &Change,
    ) -> Result<(), Violation> {
        match change {
            Change::Created { path, owner, .. } if *owner != SessionId::NONE => {
                let Some(open) = self.open.get_mut(owner) else {
                    let detail = match self.closed.get(owner) {
                        Some(closed) => format!(
                            "{zxid} creates {path} for session {owner}, which was closed by {closed}"
                        ),
                        None => format!(
                            "{zxid} creates {path} for session {owner}, which was never opened"
                        ),
                    };
                    return Err(broken("created_for_no_session", at, [node_of(server)], detail));
                };
                open.ephemerals.insert(Arc::clone(path));
                self.owners.insert(Arc::clone(path), *owner);
            }
            Change::Deleted { path } => {
                if let Some(owner) = self.owners.remove(path)
                    && let Some(open) = self.open.get_mut(&owner)
                {
                    open.ephemerals.remove(path);
                }
            }
            Change::SessionOpened { session, timeout } => {
                if self.open.contains_key(session) || self.closed.contains_key(session) {
                    let detail = format!("{zxid} opens session {session} a second time");
                    return Err(broken("opened_twice", at, [node_of(server)], detail));
                }
                self.open.insert(*session, Open { timeout: *timeout, ephemerals: BTreeSet::new() });
            }
            Change::Created { .. }
            | Change::DataSet { .. }
            | Change::AclSet { .. }
            | Change::SessionClosed { .. } => {}
        }
        Ok(())
    }

    fn close(
        &mut self,
        at: u64,
        server: ServerId,
        zxid: Zxid,
        session: SessionId,
    ) -> Result<(), Violation> {
        self.heard.remove(&session);
        self.decided.remove(&session);
        let Some(open) = self.open.remove(&session) else {
            let detail = format!("{zxid} closes session {session}, which is not open");
            return Err(broken("closed_twice", at, [node_of(server)], detail));
        };
        self.closed.insert(session, zxid);
        let Some(left) = open.ephemerals.first() else { return Ok(()) };
        let detail = format!(
            "{zxid} closes session {session} and leaves {} of its ephemerals behind, {left} among them",
            open.ephemerals.len()
        );
        Err(broken("ephemeral_left", at, [node_of(server)], detail))
    }

    fn acknowledged(
        &self,
        at: u64,
        server: ServerId,
        session: SessionId,
        zxid: Zxid,
    ) -> Result<(), Violation> {
        match self.closed.get(&session) {
            Some(closed) if zxid > *closed && self.effective.binary_search(&zxid).is_ok() => {
                let detail = format!(
                    "{server} acknowledged {zxid} to session {session}, which was closed by {closed}"
                );
                Err(broken("write_after_close", at, [node_of(server)], detail))
            }
            _ => Ok(()),
        }
    }

    fn heard(&mut self, at: u64, server: ServerId, session: SessionId) {
        let heard = self.heard.entry(session).or_default();
        match heard.iter_mut().find(|(by, _)| *by == server) {
            Some((_, at_ns)) => *at_ns = at,
            None => heard.push((server, at)),
        }
    }

    fn expired(
        &mut self,
        at: u64,
        server: ServerId,
        session: SessionId,
        timeout: Millis,
        silent_for: Millis,
    ) -> Result<(), Violation> {
        if !self.servers.get_mut(server).leads {
            let detail = format!("{server} expired session {session}, but does not lead");
            return Err(broken("expired_by_follower", at, [node_of(server)], detail));
        }
        let timeout = self.open.get(&session).map_or(timeout, |open| open.timeout);
        if silent_for < timeout {
            let detail = format!(
                "{server} expired session {session} after {silent_for}, but its timeout is {timeout}"
            );
            return Err(broken("expired_early", at, [node_of(server)], detail));
        }
        if self.open.contains_key(&session) {
            self.decided.insert(session);
        }
        // A clock that is fast by the drift sees the timeout pass when this much has really passed.
        let real_ms_min = timeout.0 * 1_000 / (1_000 + self.drift_per_mille);
        for (by, heard_at) in self.heard.get(&session).into_iter().flatten() {
            let lag_ms =
                if *by == server { Some(0) } else { self.report_lag_of(*by, server, *heard_at) };
            let Some(lag_ms) = lag_ms else { continue };
            let silent_ms = at.saturating_sub(*heard_at) / 1_000_000;
            if silent_ms + lag_ms < real_ms_min {
                let detail = format!(
                    "{server} expired session {session} with a timeout of {timeout}, but {by} had heard of it {silent_ms} ms before"
                );
                let by = Some(*by).filter(|by| *by != server);
                let nodes = [Some(server), by].into_iter().flatten().map(node_of);
                return Err(broken("expired_though_heard", at, nodes, detail));
            }
        }
        Ok(())
    }

    /// How late the leader may know what this follower heard at that time; `None` when it need never know.
    fn report_lag_of(&self, follower: ServerId, leader: ServerId, heard_at: u64) -> Option<u64> {
        let report_lag_ms = self.report_lag_ms?;
        let (followed, since) = self.servers.get(follower)?.follows?;
        let leader_slept = self.servers.get(leader)?.resumed_at_ns.is_some_and(|at| at >= heard_at);
        let follower_slept =
            self.servers.get(follower)?.resumed_at_ns.is_some_and(|at| at >= heard_at);
        (followed == leader && since <= heard_at && !leader_slept && !follower_slept)
            .then_some(report_lag_ms)
    }

    fn session_ended(
        &self,
        event: &Event,
        client: u32,
        session: SessionId,
    ) -> Result<(), Violation> {
        if self.closed.contains_key(&session) || self.decided.contains(&session) {
            return Ok(());
        }
        let detail = format!(
            "client {client} was told that session {session} expired, but no leader decided so and no transaction closed it"
        );
        Err(broken("told_too_early", event.at_ns, event.node.clone(), detail))
    }

    fn lost_role(&mut self, server: ServerId) {
        let state = self.servers.get_mut(server);
        state.leads = false;
        state.follows = None;
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self::new()
    }
}

fn broken(
    kind: &str,
    at_ns: u64,
    nodes: impl IntoIterator<Item = NodeName>,
    detail: String,
) -> Violation {
    violation("sessions", kind, at_ns, nodes, detail)
}

impl Checker for Sessions {
    fn name(&self) -> &'static str {
        "sessions"
    }

    fn interests(&self) -> Interests {
        Interests::APPLIED
            | Interests::ACKNOWLEDGED
            | Interests::SESSIONS
            | Interests::CONNECTIONS
            | Interests::LEADERSHIP
            | Interests::PROCESSES
    }

    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        let at = event.at_ns;
        let observation = match &event.happening {
            Happening::Observed { observation } => observation,
            Happening::Resumed => {
                if let Some(server) = server_on(event.node.as_ref()) {
                    self.servers.get_mut(server).resumed_at_ns = Some(at);
                }
                return Ok(());
            }
            Happening::Crashed { .. } => {
                if let Some(server) = server_on(event.node.as_ref()) {
                    self.lost_role(server);
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        match *observation {
            Observation::SessionHeard { server, session } => {
                self.heard(at, server, session);
                Ok(())
            }
            Observation::Applied { server, zxid, ref changes, .. } => {
                self.applied(at, server, zxid, changes)
            }
            Observation::Acknowledged { server, session, zxid } => {
                self.acknowledged(at, server, session, zxid)
            }
            Observation::SessionExpired { server, session, timeout, silent_for } => {
                self.expired(at, server, session, timeout, silent_for)
            }
            Observation::ClientSessionEnded { client, session, expired: true } => {
                self.session_ended(event, client, session)
            }
            Observation::Leads { server, .. } => {
                self.lost_role(server);
                self.servers.get_mut(server).leads = true;
                Ok(())
            }
            Observation::Follows { server, leader, .. } => {
                self.lost_role(server);
                self.servers.get_mut(server).follows = Some((leader, at));
                Ok(())
            }
            Observation::SteppedDown { server, .. }
            | Observation::Looking { server }
            | Observation::ServerStarted { server, .. } => {
                self.lost_role(server);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self, _at_ns: u64) -> Verdict {
        Verdict::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{History, closed, created, created_by, deleted, opened, z};

    /// Session 7 with a timeout of six seconds and one ephemeral, under leader s1.
    fn one_session() -> History {
        History::new()
            .leads(1, 1, Zxid::ZERO)
            .follows(2, 1, 1)
            .changed(1, z(1, 1), vec![opened(7, 6_000)])
            .changed(1, z(1, 2), vec![created_by(7, "/lock/a")])
            .changed(2, z(1, 1), vec![opened(7, 6_000)])
    }

    #[test]
    fn an_ephemeral_that_goes_with_its_expired_session_passes() {
        one_session()
            .heard(1, 7)
            .after_ms(6_000)
            .expired(1, 7, 6_000, 6_000)
            .changed(1, z(1, 3), vec![deleted("/lock/a"), closed(7)])
            .session_ended(7, 7, true)
            .passes(Sessions::new());
        one_session()
            .changed(1, z(1, 3), vec![closed(7), deleted("/lock/a")])
            .acknowledged(2, 7, z(1, 3))
            .session_ended(7, 7, false)
            .passes(Sessions::new());
    }

    #[test]
    fn an_ephemeral_may_go_before_its_session_and_come_again() {
        one_session()
            .changed(1, z(1, 3), vec![deleted("/lock/a")])
            .changed(1, z(1, 4), vec![created_by(7, "/lock/a")])
            .changed(1, z(1, 5), vec![deleted("/lock/a"), closed(7)])
            .passes(Sessions::new());
    }

    #[test]
    fn an_ephemeral_that_outlives_its_session_is_told() {
        one_session()
            .changed(1, z(1, 3), vec![closed(7)])
            .violates(Sessions::new(), "ephemeral_left");
    }

    #[test]
    fn an_ephemeral_for_a_closed_or_unknown_session_is_told() {
        one_session()
            .changed(1, z(1, 3), vec![deleted("/lock/a"), closed(7)])
            .changed(1, z(1, 4), vec![created_by(7, "/lock/b")])
            .violates(Sessions::new(), "created_for_no_session");
        History::new()
            .changed(1, z(1, 1), vec![created_by(9, "/lock/b")])
            .violates(Sessions::new(), "created_for_no_session");
    }

    #[test]
    fn a_session_opens_and_closes_once() {
        one_session()
            .changed(1, z(1, 3), vec![opened(7, 6_000)])
            .violates(Sessions::new(), "opened_twice");
        one_session()
            .changed(1, z(1, 3), vec![closed(8)])
            .violates(Sessions::new(), "closed_twice");
    }

    #[test]
    fn a_write_that_a_closed_session_got_through_is_told() {
        let closed_session =
            || one_session().changed(1, z(1, 3), vec![deleted("/lock/a"), closed(7)]);
        closed_session()
            .changed(1, z(1, 4), vec![created("/x")])
            .acknowledged(1, 7, z(1, 4))
            .violates(Sessions::new(), "write_after_close");
        // A refusal takes a place in the order, too, and changes nothing.
        closed_session()
            .changed(1, z(1, 4), vec![])
            .acknowledged(1, 7, z(1, 4))
            .passes(Sessions::new());
    }

    #[test]
    fn expiry_before_the_timeout_is_told() {
        one_session().expired(1, 7, 6_000, 5_999).violates(Sessions::new(), "expired_early");
        // The leader cannot make it right by a timeout of its own invention.
        one_session().expired(1, 7, 2_000, 2_000).violates(Sessions::new(), "expired_early");
    }

    #[test]
    fn expiry_of_a_session_that_the_leader_heard_is_told_whatever_it_says() {
        let heard = |ms| one_session().heard(1, 7).after_ms(ms).expired(1, 7, 6_000, 6_000);
        heard(5_000).violates(Sessions::new(), "expired_though_heard");
        heard(5_500).passes(Sessions::new()); // a clock that is fast by a tenth
        heard(5_500).violates(Sessions::new().with_drift_per_mille(1), "expired_though_heard");
    }

    #[test]
    fn what_a_follower_heard_counts_when_its_report_must_have_arrived() {
        let lag = || Sessions::new().with_report_lag_ms(3_000);
        let heard = |ms| one_session().heard(2, 7).after_ms(ms).expired(1, 7, 6_000, 6_000);
        heard(1_000).violates(lag(), "expired_though_heard");
        heard(1_000).passes(Sessions::new());
        heard(4_000).passes(lag());
        let asleep = one_session().heard(2, 7).paused("s1").after_ms(1_000).resumed("s1");
        asleep.expired(1, 7, 6_000, 6_000).passes(lag());
        let cut_off = one_session().heard(2, 7).looking(2).after_ms(1_000);
        cut_off.expired(1, 7, 6_000, 6_000).passes(lag());
    }

    #[test]
    fn only_a_leader_expires() {
        one_session().expired(2, 7, 6_000, 6_000).violates(Sessions::new(), "expired_by_follower");
        one_session()
            .crashed("s1")
            .expired(1, 7, 6_000, 6_000)
            .violates(Sessions::new(), "expired_by_follower");
    }

    #[test]
    fn a_client_that_is_told_of_an_expiry_that_never_was_is_told() {
        one_session().session_ended(7, 7, true).violates(Sessions::new(), "told_too_early");
        one_session().expired(1, 7, 6_000, 6_000).session_ended(7, 7, true).passes(Sessions::new());
    }
}
