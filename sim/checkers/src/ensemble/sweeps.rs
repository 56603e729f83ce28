//! Sweeps: what nobody would miss is deleted by the leader, not before its time and not much later.
//!
//! Definition. The leader deletes by itself, on behalf of no session, nothing but containers and
//! znodes with a time-to-live (`swept_what_stays`); none that has a child (`swept_parent`). A
//! container is due once its last child went, and never before it had one; a znode with a
//! time-to-live once it was neither created nor written for longer than that, and has no child, by
//! the wall clock of the leader that sweeps, compared with what that of the last writer's leader
//! said (`swept_early`). In peace, what is due is gone after two rounds of sweeps and a little more
//! (`swept_late`).
//!
//! Source: ZooKeeper Programmer's Guide, "Container Nodes", "TTL Nodes"; `ContainerManager.java`,
//! which measures a time-to-live from the znode's `mtime`.
//!
//! Exactly: peace is when one leader leads, no fault goes on, no process is down or asleep, and
//! none of that has changed since. The leader's clock is known by its transactions alone, so a
//! znode counts as overdue when its time was over, by that clock, for as long as that, and there
//! was peace all the while.
//! Figure: how long in peace a znode was due before it was swept.

use crate::common::checker::violation;
use crate::ensemble::servers::Servers;
use crate::{Checker, Figure, Interests};
use mailstorm_record::{Event, Happening, NodeName, Verdict, Violation};
use mailstorm_shared::facts::EnsembleFact;
use mailstorm_shared::time_in_words::span_of_ms;
use mailstorm_shared::znodes::{Change, Owner};
use mailstorm_shared::{Ensemble, Millis, Observation, SessionId, WallTime, Zxid};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const NS_PER_MS: u64 = 1_000_000;
/// Beside two rounds of sweeps: proposing and committing takes its time.
const LATE: Millis = Millis(2_000);

/// Watches what leaders delete by themselves.
#[derive(Clone, Debug)]
pub struct Sweeps {
    servers: Servers,
    every: Millis,
    newest: Zxid,
    znodes: BTreeMap<Arc<str>, Znode>,
    /// What may be swept, by the time on the wall clock from which on it may.
    due: BTreeSet<(WallTime, Arc<str>)>,
    peace: Peace,
    delays: Figure,
}

/// What matters of a znode.
#[derive(Clone, Debug)]
struct Znode {
    owner: Owner,
    children: u32,
    /// Whether it ever had a child.
    was_parent: bool,
    /// When it was last created or written, and when its last child went, by the leader's wall
    /// clock.
    touched: WallTime,
    childless: WallTime,
}

impl Znode {
    /// From when on it may be swept; `None` for never, as it is now.
    fn due(&self) -> Option<WallTime> {
        match self.owner {
            _ if self.children > 0 => None,
            Owner::Nobody | Owner::Session(_) => None,
            Owner::Container => self.was_parent.then_some(self.childless),
            Owner::Ttl(ttl) => Some((self.touched + ttl).max(self.childless)),
        }
    }
}

/// Whether anything could keep the leader from sweeping.
#[derive(Clone, Debug, Default)]
struct Peace {
    faults: BTreeSet<usize>,
    /// Nodes that are down, or asleep.
    absent: BTreeSet<NodeName>,
    leader: Option<NodeName>,
    /// Since when there is peace, if there is.
    since_ns: Option<u64>,
}

impl Peace {
    fn changed(&mut self, at_ns: u64) {
        let is_peace = self.faults.is_empty() && self.absent.is_empty() && self.leader.is_some();
        self.since_ns = is_peace.then_some(at_ns);
    }
}

impl Sweeps {
    /// A checker of an ensemble whose leader sweeps so often.
    pub fn new(ensemble: &Ensemble, every: Millis) -> Self {
        let about =
            "how long in peace a znode was due before it was swept, in virtual milliseconds";
        Self {
            servers: Servers::of(ensemble),
            every,
            newest: Zxid::ZERO,
            znodes: BTreeMap::new(),
            due: BTreeSet::new(),
            peace: Peace::default(),
            delays: Figure::new("sweep_delay_ms", about),
        }
    }

    fn applied(
        &mut self,
        at_ns: u64,
        (zxid, wall): (Zxid, WallTime),
        by_itself: bool,
        changes: &[Change],
    ) -> Result<(), (&'static str, String)> {
        if zxid <= self.newest {
            return Ok(());
        }
        self.newest = zxid;
        for change in changes {
            match change {
                Change::Created { path, owner, .. } => {
                    let znode = Znode {
                        owner: *owner,
                        children: 0,
                        was_parent: false,
                        touched: wall,
                        childless: wall,
                    };
                    self.replace(path, Some(znode));
                    self.child_moved(path, wall, true);
                }
                Change::DataSet { path, .. } => {
                    if let Some(znode) = self.znodes.get(path) {
                        let znode = Znode { touched: wall, ..znode.clone() };
                        self.replace(path, Some(znode));
                    }
                }
                Change::Deleted { path } => {
                    if by_itself {
                        self.swept(at_ns, path, wall)?;
                    }
                    self.replace(path, None);
                    self.child_moved(path, wall, false);
                }
                Change::AclSet { .. }
                | Change::SessionOpened { .. }
                | Change::SessionClosed { .. } => {}
            }
        }
        self.expect_none_overdue(at_ns, wall)
    }

    /// Puts what is known of a znode in the place of what was known.
    fn replace(&mut self, path: &Arc<str>, znode: Option<Znode>) {
        let due = |znode: &Option<Znode>| znode.as_ref().and_then(Znode::due);
        if let Some(at) = due(&self.znodes.get(path).cloned()) {
            self.due.remove(&(at, Arc::clone(path)));
        }
        if let Some(at) = due(&znode) {
            self.due.insert((at, Arc::clone(path)));
        }
        match znode {
            Some(znode) => _ = self.znodes.insert(Arc::clone(path), znode),
            None => _ = self.znodes.remove(path),
        }
    }

    fn child_moved(&mut self, path: &str, wall: WallTime, came: bool) {
        let Some((parent, _)) = path.rsplit_once('/') else { return };
        let Some((parent, znode)) = self.znodes.get_key_value(parent) else { return };
        let (parent, mut znode) = (Arc::clone(parent), znode.clone());
        if came {
            znode.children += 1;
            znode.was_parent = true;
        } else {
            znode.children = znode.children.saturating_sub(1);
            znode.childless = wall;
        }
        self.replace(&parent, Some(znode));
    }

    /// The leader deletes a znode by itself.
    fn swept(
        &mut self,
        at_ns: u64,
        path: &str,
        wall: WallTime,
    ) -> Result<(), (&'static str, String)> {
        let Some(znode) = self.znodes.get(path) else { return Ok(()) };
        if znode.children > 0 {
            let detail = format!("{path} was swept, which has {} children", znode.children);
            return Err(("swept_parent", detail));
        }
        let (due, what) = match (znode.owner, znode.due()) {
            (Owner::Nobody | Owner::Session(_), _) => {
                let detail = format!(
                    "{path} was swept, which is neither a container nor has a time-to-live"
                );
                return Err(("swept_what_stays", detail));
            }
            (_, None) => {
                return Err((
                    "swept_early",
                    format!("{path} was swept, a container that never had a child"),
                ));
            }
            (Owner::Ttl(ttl), Some(_)) => {
                // Longer than its time-to-live, not as long.
                let due = znode.touched + ttl + Millis(1);
                (due, format!("its time-to-live is {}", span_of_ms(ttl.0)))
            }
            (Owner::Container, Some(due)) => (due, "it lost its last child then".to_owned()),
        };
        // A container goes whatever the clocks of two leaders say.
        if wall < due && matches!(znode.owner, Owner::Ttl(_)) {
            let untouched = span_of_ms(wall.since(znode.touched).0);
            let detail = format!("{path} was swept when it was untouched for {untouched}; {what}");
            return Err(("swept_early", detail));
        }
        if let Some(since_ns) = self.peace.since_ns {
            let was_due_ns = at_ns.saturating_sub(wall.since(due).0 * NS_PER_MS);
            if was_due_ns >= since_ns {
                self.delays.add((at_ns - was_due_ns) / NS_PER_MS);
            }
        }
        Ok(())
    }

    fn expect_none_overdue(
        &self,
        at_ns: u64,
        wall: WallTime,
    ) -> Result<(), (&'static str, String)> {
        let (Some(since_ns), Some((due, path))) = (self.peace.since_ns, self.due.first()) else {
            return Ok(());
        };
        let patience = Millis(2 * self.every.0 + LATE.0);
        let (over, in_peace) = (wall.since(*due), Millis((at_ns - since_ns) / NS_PER_MS));
        if over.min(in_peace) <= patience {
            return Ok(());
        }
        let detail = format!(
            "{path} is due since {} and was not swept, although the leader sweeps every {} and was in peace for {}",
            span_of_ms(over.0),
            span_of_ms(self.every.0),
            span_of_ms(in_peace.0)
        );
        Err(("swept_late", detail))
    }

    /// What changes whether there is peace.
    fn disturbed(&mut self, event: &Event) {
        let node = event.node.clone();
        match &event.happening {
            Happening::FaultBegan { index, .. } => _ = self.peace.faults.insert(*index),
            Happening::FaultEnded { index } => _ = self.peace.faults.remove(index),
            Happening::Crashed { .. } | Happening::Paused => self.peace.absent.extend(node),
            Happening::Started { .. } | Happening::Resumed => {
                node.map(|node| self.peace.absent.remove(&node));
            }
            Happening::Observed { observation: Observation::Ensemble(fact) } => match fact {
                EnsembleFact::Leads { .. } => self.peace.leader = node,
                EnsembleFact::Looking | EnsembleFact::SteppedDown { .. }
                    if self.peace.leader == node =>
                {
                    self.peace.leader = None;
                }
                _ => return,
            },
            _ => return,
        }
        self.peace.changed(event.at_ns);
    }
}

impl Checker for Sweeps {
    fn name(&self) -> &'static str {
        "sweeps"
    }

    fn interests(&self) -> Interests {
        Interests::APPLIED | Interests::LEADERSHIP | Interests::PROCESSES | Interests::PLAN
    }

    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        if let Happening::Observed {
            observation:
                Observation::Ensemble(EnsembleFact::Applied { zxid, session, wall, changes, .. }),
        } = &event.happening
        {
            let by_itself = *session == SessionId::NONE;
            let judged = self.applied(event.at_ns, (*zxid, *wall), by_itself, changes);
            return judged.map_err(|(kind, detail)| {
                let leader = self.peace.leader.clone().or_else(|| event.node.clone());
                violation("sweeps", kind, event.at_ns, leader, format!("{zxid}: {detail}"))
            });
        }
        // Clients come and go, and their machines fail: no leader minds.
        let is_servers = event.node.is_none() || self.servers.on(event.node.as_ref()).is_some();
        if is_servers {
            self.disturbed(event);
        }
        Ok(())
    }

    fn finish(&mut self, _at_ns: u64) -> Verdict {
        Verdict::Pass
    }

    fn figures(&self) -> Vec<Figure> {
        vec![self.delays.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::history::{History, closed, created, data_set, deleted, ensemble, z};

    const CLIENT: i64 = 7;
    const LEADER: i64 = 0;

    fn sweeps() -> Sweeps {
        Sweeps::new(&ensemble(3), Millis(1_500))
    }

    fn owned(path: &str, owner: Owner) -> Change {
        Change::Created { path: path.into(), owner, value: 0, bytes: 0, acl: None }
    }

    /// `/t`, to live a second untouched, is created when the clock says 100 s, and written two
    /// seconds later.
    fn mortal() -> History {
        let ttl = Owner::Ttl(Millis(1_000));
        History::new()
            .leads(1, 1, z(0, 0))
            .changed_at(1, z(1, 1), CLIENT, 100_000, vec![owned("/t", ttl)])
            .changed_at(1, z(1, 2), CLIENT, 102_000, vec![data_set("/t", 1)])
    }

    fn swept(history: History, path: &str, wall_ms: i64) -> History {
        history.changed_at(1, z(1, 9), LEADER, wall_ms, vec![deleted(path)])
    }

    #[test]
    fn a_time_to_live_begins_anew_with_each_write() {
        swept(mortal(), "/t", 103_001).passes(sweeps());
        swept(mortal(), "/t", 103_000).violates(sweeps(), "swept_early");
        swept(mortal(), "/t", 101_500).violates(sweeps(), "swept_early");
        // Its owner may do it at any time.
        mortal().changed_at(1, z(1, 9), CLIENT, 102_001, vec![deleted("/t")]).passes(sweeps());
    }

    #[test]
    fn a_container_is_swept_after_its_last_child_went() {
        let filled = || {
            History::new()
                .changed_at(1, z(1, 1), CLIENT, 1_000, vec![owned("/c", Owner::Container)])
                .changed_at(1, z(1, 2), CLIENT, 1_000, vec![created("/c/a"), created("/c/b")])
        };
        let emptied = filled()
            .changed_at(1, z(1, 3), CLIENT, 1_000, vec![deleted("/c/a")])
            .changed_at(1, z(1, 4), CLIENT, 1_000, vec![deleted("/c/b")]);
        swept(emptied, "/c", 1_000).passes(sweeps());
        let one_left = filled().changed_at(1, z(1, 3), CLIENT, 1_000, vec![deleted("/c/a")]);
        swept(one_left, "/c", 9_000).violates(sweeps(), "swept_parent");
        let new = History::new();
        let new = new.changed_at(1, z(1, 1), CLIENT, 1_000, vec![owned("/c", Owner::Container)]);
        swept(new, "/c", 9_000).violates(sweeps(), "swept_early");
    }

    #[test]
    fn nothing_else_is_swept() {
        let made = |change| History::new().changed_at(1, z(1, 1), CLIENT, 1_000, vec![change]);
        swept(made(created("/a")), "/a", 9_000).violates(sweeps(), "swept_what_stays");
        // The end of a session that expired is on behalf of that session.
        let ephemeral = made(owned("/e", Owner::Session(SessionId(CLIENT))));
        let end = vec![deleted("/e"), closed(CLIENT)];
        ephemeral.changed_at(1, z(1, 9), CLIENT, 2_000, end).passes(sweeps());
    }

    #[test]
    fn what_is_due_is_swept_within_two_rounds_in_peace() {
        let anything = |history: History, wall_ms| {
            history.changed_at(1, z(1, 8), CLIENT, wall_ms, vec![created("/x")])
        };
        anything(mortal().after_ms(5_000), 107_000).passes(sweeps());
        anything(mortal().after_ms(7_000), 109_000).violates(sweeps(), "swept_late");
        // A clock that jumps, a leader that has just come, a fault, a server that is away.
        anything(mortal().after_ms(1_000), 109_000).passes(sweeps());
        anything(mortal().after_ms(7_000).leads(2, 2, z(1, 2)), 109_000).passes(sweeps());
        anything(mortal().fault_began(0, &["s2"]).after_ms(7_000), 109_000).passes(sweeps());
        anything(mortal().paused("s3").after_ms(7_000), 109_000).passes(sweeps());
        // Whoever is paused elsewhere is of no account.
        anything(mortal().paused("c1").after_ms(7_000), 109_000).violates(sweeps(), "swept_late");
    }

    #[test]
    fn how_long_a_znode_was_due_is_measured_in_peace() {
        let mut checker = sweeps();
        let history = swept(mortal().after_ms(2_200), "/t", 104_200);
        assert_eq!(history.feed(&mut checker), Verdict::Pass);
        assert_eq!((checker.figures()[0].count, checker.figures()[0].max), (1, 1_199));
    }
}
