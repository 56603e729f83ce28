//! Sessions and ephemerals: an ephemeral znode lives exactly as long as its session, and a session
//! ends only for a reason.
//!
//! Definition. In the order in which transactions are applied (the first server to apply one
//! tells):
//! - an ephemeral is created only for a session that is open (`created_for_no_session`), and the
//!   transaction that closes the session leaves none behind (`ephemeral_left`);
//! - a session opens once (`opened_twice`) and closes once (`closed_twice`); no write that changes
//!   something is acknowledged to it after that (`write_after_close`);
//! - only a leader expires sessions (`expired_by_follower`), and not before their timeout has
//!   passed on its own clock (`expired_early`) since it last heard of them: that is checked against
//!   what the leader says, and, on its own, against when it, or a follower that serves it well, was
//!   seen to hear of them (`expired_though_heard`), by its own clock as well, however fast the plan
//!   makes it; a leader that is left in peace does expire whoever is silent (`outlived`);
//! - a client is told that its session expired only after a leader has decided so, or some
//!   transaction has closed it (`told_too_early`). (As in ZooKeeper, the decision need not be
//!   committed: should the leader fail, the session's ephemerals stay a little longer than the
//!   client thinks.)
//!
//! Sources: ZooKeeper's programmer's guide, "ZooKeeper Sessions" and "Ephemeral Nodes";
//! ZOOKEEPER-3144 (ephemerals that differ between servers); ZOOKEEPER-1208 and 2355 (ephemerals
//! that outlive their session); ZOOKEEPER-1367 (sessions that a new leader does not follow never
//! expire).

mod expiry;

use crate::clients::followed::NewestApplied;
use crate::common::checker::violation;
use crate::ensemble::servers::{Servers, node_of};
use crate::{Checker, Interests};
use expiry::Expiry;
use mailstorm_record::{Event, FaultKind, Happening, NodeName, Plan, Verdict, Violation};
use mailstorm_shared::facts::{ClientFact, EnsembleFact};
use mailstorm_shared::znodes::{Change, Owner};
use mailstorm_shared::{Ensemble, Millis, Observation, ServerId, SessionId, Zxid};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Follows sessions through the transactions applied, and compares who was heard with who expired.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    nodes: Servers,
    applied: NewestApplied,
    open: BTreeMap<SessionId, Open>,
    /// By which transaction each session was closed.
    closed: BTreeMap<SessionId, Zxid>,
    /// Which sessions a leader has decided to end.
    decided: BTreeSet<SessionId>,
    /// Whose each ephemeral is.
    owners: BTreeMap<Arc<str>, SessionId>,
    /// The transactions that changed something, in order.
    effective: Vec<Zxid>,
    expiry: Expiry,
}

/// A session that is open.
#[derive(Clone, Debug, Default)]
struct Open {
    ephemerals: BTreeSet<Arc<str>>,
}

impl Sessions {
    /// A checker for one ensemble and its clients, from their first session on.
    pub fn new(ensemble: &Ensemble) -> Self {
        Self { nodes: Servers::of(ensemble), ..Self::default() }
    }

    fn told(&mut self, at: u64, server: ServerId, fact: &EnsembleFact) -> Result<(), Violation> {
        match *fact {
            EnsembleFact::SessionHeard { session } => {
                self.expiry.heard(at, server, session);
                Ok(())
            }
            EnsembleFact::Applied { zxid, ref changes, .. } => {
                self.applied(at, server, zxid, changes)
            }
            EnsembleFact::Acknowledged { session, zxid } => {
                self.acknowledged(at, server, session, zxid)
            }
            EnsembleFact::SessionExpired { session, timeout, silent_for } => {
                self.expired(at, server, session, timeout, silent_for)
            }
            EnsembleFact::Leads { .. } => self.expiry.leads(at, server),
            EnsembleFact::Follows { leader, .. } => self.expiry.follows(at, server, leader),
            EnsembleFact::SteppedDown { .. }
            | EnsembleFact::Looking
            | EnsembleFact::ServerStarted { .. } => self.expiry.lost_role(at, server),
            _ => Ok(()),
        }
    }

    fn applied(
        &mut self,
        at: u64,
        server: ServerId,
        zxid: Zxid,
        changes: &[Change],
    ) -> Result<(), Violation> {
        if !self.applied.is_moved_by(zxid) {
            return Ok(());
        }
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
            Change::Created { path, owner: Owner::Session(owner), .. } => {
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
                self.open.insert(*session, Open::default());
                self.expiry.opened(at, *session, *timeout);
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
        self.expiry.closed(session);
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

    fn expired(
        &mut self,
        at: u64,
        server: ServerId,
        session: SessionId,
        timeout: Millis,
        silent_for: Millis,
    ) -> Result<(), Violation> {
        self.expiry.expired(at, server, session, timeout, silent_for)?;
        if self.open.contains_key(&session) {
            self.decided.insert(session);
        }
        Ok(())
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
}

/// Whether faults of this kind stop processes with their memory intact.
fn is_pause(kind: &str) -> bool {
    FaultKind::named_in(kind) == Some("pause")
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
            | Interests::PLAN
    }

    fn plan(&mut self, plan: &Plan) {
        self.expiry.plan(plan);
    }

    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        let at = event.at_ns;
        let server = || self.nodes.on(event.node.as_ref());
        let observation = match &event.happening {
            Happening::Observed { observation } => observation,
            Happening::Started { .. } => {
                server().into_iter().for_each(|server| self.expiry.troubled(at, server));
                return Ok(());
            }
            Happening::Resumed => {
                server().into_iter().for_each(|server| self.expiry.resumed(at, server));
                return Ok(());
            }
            Happening::Paused => {
                return server().map_or(Ok(()), |server| self.expiry.paused(at, server));
            }
            Happening::Crashed { .. } => {
                return server().map_or(Ok(()), |server| self.expiry.crashed(at, server));
            }
            // That it stops whom it strikes is told by each of them.
            Happening::FaultBegan { kind, .. } if is_pause(kind) => return Ok(()),
            Happening::FaultBegan { index, kind, nodes, .. } => {
                let struck = nodes.iter().filter_map(|node| self.nodes.on(Some(node))).collect();
                return self.expiry.fault_began(at, *index, kind, struck);
            }
            Happening::FaultEnded { index } => {
                self.expiry.fault_ended(at, *index);
                return Ok(());
            }
            _ => return Ok(()),
        };
        match observation {
            Observation::Ensemble(fact) => {
                server().map_or(Ok(()), |server| self.told(at, server, fact))
            }
            Observation::Client(ClientFact::ClientSessionEnded {
                client,
                session,
                expired: true,
            }) => self.session_ended(event, *client, *session),
            _ => Ok(()),
        }
    }

    fn finish(&mut self, at_ns: u64) -> Verdict {
        self.expiry.ended(at_ns).map_or_else(Verdict::Violation, |()| Verdict::Pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::history::{
        History, closed, created, created_by, deleted, ensemble, opened, z,
    };

    fn sessions() -> Sessions {
        Sessions::new(&ensemble(3))
    }

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
    fn a_leader_whose_clock_is_fast_ends_sessions_by_that_clock() {
        let drift = |node: &str, ppm: i32| {
            let text = format!(
                "[[faults]]\nat_ms = 1\nlasts_ms = 1\nkind.drift = {{ nodes = [\"{node}\"], ppm = {ppm} }}"
            );
            Plan::parse(&text, "p", &vec!["s1".into(), "s2".into()].into()).expect("a plan")
        };
        // Session 7 is silent for so long in truth when s1 says that its six seconds are over.
        let kind = |plan: &Plan, node: &str, silent_ms: u64| {
            let history = one_session().fault_began(0, &[node]).heard(1, 7).after_ms(silent_ms);
            let mut checker = sessions();
            checker.plan(plan);
            match history.expired(1, 7, 6_000, 6_000).feed(&mut checker) {
                Verdict::Violation(violation) => violation.kind,
                _ => "passes".to_owned(),
            }
        };
        assert_eq!(kind(&Plan::default(), "s1", 5_300), "expired_though_heard");
        assert_eq!(kind(&drift("s1", 150_000), "s1", 5_300), "passes");
        assert_eq!(kind(&drift("s1", 500_000), "s1", 4_010), "passes");
        assert_eq!(kind(&drift("s1", 150_000), "s1", 5_100), "expired_though_heard");
        // Neither a slow clock nor that of another server explains it.
        assert_eq!(kind(&drift("s1", -150_000), "s1", 5_300), "expired_though_heard");
        assert_eq!(kind(&drift("s2", 150_000), "s2", 5_300), "expired_though_heard");
    }

    #[test]
    fn an_ephemeral_that_goes_with_its_expired_session_passes() {
        one_session()
            .heard(1, 7)
            .after_ms(6_000)
            .expired(1, 7, 6_000, 6_000)
            .changed(1, z(1, 3), vec![deleted("/lock/a"), closed(7)])
            .session_ended(7, 7, true)
            .passes(sessions());
        one_session()
            .changed(1, z(1, 3), vec![closed(7), deleted("/lock/a")])
            .acknowledged(2, 7, z(1, 3))
            .session_ended(7, 7, false)
            .passes(sessions());
    }

    #[test]
    fn an_ephemeral_may_go_before_its_session_and_come_again() {
        one_session()
            .changed(1, z(1, 3), vec![deleted("/lock/a")])
            .changed(1, z(1, 4), vec![created_by(7, "/lock/a")])
            .changed(1, z(1, 5), vec![deleted("/lock/a"), closed(7)])
            .passes(sessions());
    }

    #[test]
    fn an_ephemeral_that_outlives_its_session_is_told() {
        one_session().changed(1, z(1, 3), vec![closed(7)]).violates(sessions(), "ephemeral_left");
    }

    #[test]
    fn an_ephemeral_for_a_closed_or_unknown_session_is_told() {
        one_session()
            .changed(1, z(1, 3), vec![deleted("/lock/a"), closed(7)])
            .changed(1, z(1, 4), vec![created_by(7, "/lock/b")])
            .violates(sessions(), "created_for_no_session");
        History::new()
            .changed(1, z(1, 1), vec![created_by(9, "/lock/b")])
            .violates(sessions(), "created_for_no_session");
    }

    #[test]
    fn a_session_opens_and_closes_once() {
        one_session()
            .changed(1, z(1, 3), vec![opened(7, 6_000)])
            .violates(sessions(), "opened_twice");
        one_session().changed(1, z(1, 3), vec![closed(8)]).violates(sessions(), "closed_twice");
    }

    #[test]
    fn a_write_that_a_closed_session_got_through_is_told() {
        let closed_session =
            || one_session().changed(1, z(1, 3), vec![deleted("/lock/a"), closed(7)]);
        closed_session()
            .changed(1, z(1, 4), vec![created("/x")])
            .acknowledged(1, 7, z(1, 4))
            .violates(sessions(), "write_after_close");
        // A refusal takes a place in the order, too, and changes nothing.
        closed_session().changed(1, z(1, 4), vec![]).acknowledged(1, 7, z(1, 4)).passes(sessions());
    }

    #[test]
    fn expiry_before_the_timeout_is_told() {
        one_session().expired(1, 7, 6_000, 5_999).violates(sessions(), "expired_early");
        // The leader cannot make it right by a timeout of its own invention.
        one_session().expired(1, 7, 2_000, 2_000).violates(sessions(), "expired_early");
    }

    #[test]
    fn expiry_of_a_session_that_the_leader_heard_is_told_whatever_it_says() {
        let heard = |ms| one_session().heard(1, 7).after_ms(ms).expired(1, 7, 6_000, 6_000);
        heard(5_000).violates(sessions(), "expired_though_heard");
        heard(5_500).passes(sessions()); // a clock that is fast by a tenth
    }

    #[test]
    fn what_a_follower_heard_counts_in_calm() {
        let ends = |history: History| history.expired(1, 7, 6_000, 6_000);
        let heard = |ms| one_session().heard(2, 7).after_ms(ms);
        let violation = ends(heard(1_000)).violates(sessions(), "expired_though_heard");
        assert_eq!(violation.nodes, ["s1".into(), "s2".into()]);
        // Its report may be on its way.
        ends(heard(4_000)).passes(sessions());
        // So may that of a client that was heard again when its time had passed, but not for ever,
        // and what the leader heard itself it knows.
        let late = |by, ms| one_session().after_ms(6_100).heard(by, 7).after_ms(ms);
        ends(late(2, 900)).passes(sessions());
        ends(late(2, 2_900).heard(2, 7).after_ms(200)).violates(sessions(), "expired_though_heard");
        ends(late(1, 900)).violates(sessions(), "expired_though_heard");
        // It parted with the leader and came back.
        let parted = one_session().heard(2, 7).looking(2).follows(2, 1, 1).after_ms(1_000);
        ends(parted).passes(sessions());
        // It has not noticed that the leader begins another reign, and serves the former one.
        let stale = one_session().looking(1).leads(1, 2, z(1, 2)).heard(2, 7).after_ms(1_000);
        ends(stale).passes(sessions());
    }

    #[test]
    fn what_a_follower_heard_does_not_count_for_a_while_after_a_fault_struck_it_or_the_leader() {
        let ends = |history: History| history.after_ms(1_000).expired(1, 7, 6_000, 6_000);
        for struck in ["s1", "s2"] {
            let fault = |history: History| history.fault_began(0, &[struck, "w1"]);
            ends(fault(one_session()).heard(2, 7)).passes(sessions());
            ends(fault(one_session().heard(2, 7)).fault_ended(0)).passes(sessions());
            let over = |ms: u64| {
                let heard_on = fault(one_session()).fault_ended(0).after_ms(ms / 2).heard(2, 7);
                heard_on.after_ms(ms / 2).heard(2, 7)
            };
            ends(over(1_000)).passes(sessions());
            ends(over(6_000)).violates(sessions(), "expired_though_heard");
            let asleep = one_session().heard(2, 7).paused(struck).resumed(struck);
            ends(asleep).passes(sessions());
        }
        // A fault that strikes others is no excuse.
        let others = one_session().fault_began(0, &["s3", "w1"]).heard(2, 7);
        ends(others).violates(sessions(), "expired_though_heard");
    }

    #[test]
    fn a_leader_that_slept_ends_only_whom_its_servers_have_not_heard() {
        // s1 has led for a while, and sleeps for seven seconds while s2 serves session 7.
        let heard_every = |pause_ms: u64, asleep: [bool; 4]| {
            let awake =
                (0..6).fold(one_session(), |history, _| history.after_ms(1_500).heard(2, 7));
            let sleeps = awake.paused("s1");
            let sleeps = asleep.into_iter().fold(sleeps, |history, heard| {
                let history = history.after_ms(pause_ms);
                if heard { history.heard(2, 7) } else { history }
            });
            sleeps.resumed("s1")
        };
        let ends =
            |history: History, after_ms| history.after_ms(after_ms).expired(1, 7, 6_000, 6_500);
        let alive = || heard_every(1_750, [true; 4]);
        let violation = ends(alive(), 1).violates(sessions(), "expired_though_heard");
        assert!(violation.detail.contains("s1 slept for 7005 ms and then"), "{}", violation.detail);
        ends(alive(), 1_000).violates(sessions(), "expired_though_heard");
        // It was silent all the time, or for long enough, whatever of that is known.
        ends(heard_every(1_750, [false; 4]), 1).passes(sessions());
        ends(heard_every(1_900, [false, false, false, true]), 1).passes(sessions());
        // The server that heard it could not report it, as the leader must notice in the end.
        let cut = alive().fault_began(0, &["s2"]);
        ends(cut, 1_000).passes(sessions());
        // A nap that no leader notices, and a sleep that the leader begins when it is cut off.
        ends(heard_every(500, [true; 4]), 1).passes(sessions());
        let struck = one_session().fault_began(0, &["s1"]).after_ms(7_000).heard(2, 7);
        ends(struck.paused("s1").after_ms(3_000).heard(2, 7).resumed("s1"), 1).passes(sessions());
    }

    #[test]
    fn a_session_that_lives_on_in_silence_is_told_when_the_reign_or_its_peace_ends() {
        let silent = |ms| one_session().heard(2, 7).after_ms(ms);
        silent(20_000).passes(sessions());
        silent(21_000).violates(sessions(), "outlived");
        silent(21_000).stepped_down(1, 1).violates(sessions(), "outlived");
        silent(21_000).crashed("s1").violates(sessions(), "outlived");
        silent(21_000).fault_began(0, &["s1"]).violates(sessions(), "outlived");
        // It was decided, and only waits for its place among the transactions.
        silent(19_000).expired(1, 7, 6_000, 19_000).after_ms(9_000).passes(sessions());
        silent(19_000).heard(3, 7).after_ms(9_000).passes(sessions());
    }

    #[test]
    fn a_new_leader_and_one_that_was_struck_give_every_session_its_time() {
        let silent = |ms| one_session().after_ms(ms);
        let succeeded = silent(15_000).stepped_down(1, 1).leads(2, 2, z(1, 2));
        succeeded.after_ms(15_000).passes(sessions());
        // The decision of the leader before was lost with it.
        let lost = || silent(7_000).expired(1, 7, 6_000, 7_000).crashed("s1").leads(2, 2, z(1, 2));
        lost().after_ms(15_000).passes(sessions());
        lost().after_ms(21_000).violates(sessions(), "outlived");
        let struck = || silent(15_000).fault_began(0, &["s1"]).after_ms(15_000);
        struck().passes(sessions());
        struck().fault_ended(0).after_ms(15_000).passes(sessions());
        struck().fault_ended(0).after_ms(21_000).violates(sessions(), "outlived");
    }

    #[test]
    fn only_a_leader_expires() {
        one_session().expired(2, 7, 6_000, 6_000).violates(sessions(), "expired_by_follower");
        one_session()
            .crashed("s1")
            .expired(1, 7, 6_000, 6_000)
            .violates(sessions(), "expired_by_follower");
    }

    #[test]
    fn a_client_that_is_told_of_an_expiry_that_never_was_is_told() {
        one_session().session_ended(7, 7, true).violates(sessions(), "told_too_early");
        one_session().expired(1, 7, 6_000, 6_000).session_ended(7, 7, true).passes(sessions());
    }
}
