//! Convergence: after the last fault everything works again, within a bound.
//!
//! Definition. No later than the bound after phase `heal` there is a moment at which every server
//! of the ensemble serves (`server_left_behind`), all under one leader in one epoch (`divided`),
//! and phase `end` is reached (`too_late`). That all serve at the very end is not asked: leaders
//! may change without a fault, too, when an epoch's counter is full. Whether the mail is through is
//! `exactly-once`'s business. From phase `converge` on nothing of the storm is left: every fault
//! has ended, every process that was paused goes on, and none of this begins anew (`not_healed`).
//! Otherwise it is the world that broke its promise, and what it shows of the servers says nothing.
//! A run that ends without having healed, or before all servers have served again, is no pass but
//! unknown: it demanded nothing.
//! Source: the design's phases start, storm, heal, converge; "first faults and safety; then heal,
//! and demand progress". Figures: the time from `heal` until all servers serve, and until `end`.
//! Whoever ends runs before the bound waits for [`Service::is_whole`].

use crate::common::checker::violation;
use crate::ensemble::servers::{PerServer, Servers, node_of};
use crate::{Checker, Figure, Interests};
use mailstorm_record::{Event, Happening, NodeName, Verdict, Violation};
use mailstorm_shared::facts::EnsembleFact;
use mailstorm_shared::{Ensemble, Epoch, Observation, ServerId};
use std::collections::BTreeSet;

/// Watches the time from the end of the faults to the end of the run.
#[derive(Clone, Debug)]
pub struct Convergence {
    service: Service,
    bound_ns: u64,
    healed_at_ns: Option<u64>,
    all_serve_at_ns: Option<u64>,
    ended_at_ns: Option<u64>,
    /// The faults under way, by their place in the plan.
    faults: BTreeSet<usize>,
    /// The nodes whose process is stopped.
    paused: BTreeSet<NodeName>,
    /// Nothing of the storm may be left.
    is_calm: bool,
}

/// Which servers serve, and under whom.
#[derive(Clone, Debug)]
pub struct Service {
    ensemble: Ensemble,
    nodes: Servers,
    servers: usize,
    roles: PerServer<Option<Role>>,
    serving: usize,
}

/// Under whom a server serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Role {
    leader: ServerId,
    epoch: Epoch,
}

impl Service {
    /// Nobody serves yet.
    pub fn new(ensemble: Ensemble) -> Self {
        let (nodes, servers) = (Servers::of(&ensemble), ensemble.servers().count());
        Self { ensemble, nodes, servers, roles: PerServer::default(), serving: 0 }
    }

    /// Looks at the next event of a run.
    pub fn observe(&mut self, event: &Event) {
        let role = match &event.happening {
            Happening::Observed { observation: Observation::Ensemble(fact) } => match *fact {
                EnsembleFact::Leads { epoch, .. } => Some((None, epoch)),
                EnsembleFact::Follows { leader, epoch } => Some((Some(leader), epoch)),
                EnsembleFact::ServerStarted { .. }
                | EnsembleFact::Looking
                | EnsembleFact::SteppedDown { .. } => None,
                _ => return,
            },
            Happening::Crashed { .. } | Happening::Started { .. } => None,
            _ => return,
        };
        let Some(server) = self.nodes.on(event.node.as_ref()) else { return };
        let role = role.map(|(leader, epoch)| Role { leader: leader.unwrap_or(server), epoch });
        let before = std::mem::replace(self.roles.get_mut(server), role);
        self.serving += usize::from(role.is_some());
        self.serving -= usize::from(before.is_some());
    }

    /// In a few words, how far it is.
    pub fn told(&self) -> String {
        format!("{} of {} servers serve", self.serving, self.servers)
    }

    /// Whether every server serves, all under one leader in one epoch.
    pub fn is_whole(&self) -> bool {
        // Most of the time one is missing: that is quickly told.
        self.serving == self.servers && self.divided().is_none()
    }

    /// Those who do not serve.
    fn missing(&self) -> impl Iterator<Item = ServerId> + '_ {
        self.ensemble
            .servers()
            .filter(|server| self.roles.get(*server).copied().flatten().is_none())
    }

    /// Two who serve, but not under the same leader in the same epoch.
    fn divided(&self) -> Option<[(ServerId, Role); 2]> {
        let role_of = |server| Some((server, self.roles.get(server).copied().flatten()?));
        let mut serving = self.ensemble.servers().filter_map(role_of);
        let first = serving.next()?;
        serving.find(|(_, role)| *role != first.1).map(|other| [first, other])
    }
}

impl Convergence {
    /// Demands that this ensemble serves again, and the run ends, within `bound_ns` after the
    /// faults.
    pub fn new(ensemble: Ensemble, bound_ns: u64) -> Self {
        Self {
            service: Service::new(ensemble),
            bound_ns,
            healed_at_ns: None,
            all_serve_at_ns: None,
            ended_at_ns: None,
            faults: BTreeSet::new(),
            paused: BTreeSet::new(),
            is_calm: false,
        }
    }

    /// Follows what the world does, and whether it stops doing it.
    fn world(&mut self, event: &Event) -> Result<(), Violation> {
        match (&event.happening, &event.node) {
            (Happening::FaultBegan { index, .. }, _) => _ = self.faults.insert(*index),
            (Happening::FaultEnded { index }, _) => _ = self.faults.remove(index),
            (Happening::Paused, Some(node)) => _ = self.paused.insert(node.clone()),
            (Happening::Resumed | Happening::Crashed { .. }, Some(node)) => {
                self.paused.remove(node);
            }
            (Happening::Phase { name }, _) if &**name == "converge" => self.is_calm = true,
            _ => return Ok(()),
        }
        if !self.is_calm {
            return Ok(());
        }
        let what = match (self.faults.first(), self.paused.first()) {
            (Some(index), _) => format!("fault {index} of the plan (from 0) is under way"),
            (None, Some(node)) => format!("{node} is stopped"),
            (None, None) => return Ok(()),
        };
        let detail = format!("{what}, although everything is healed");
        let nodes = self.paused.first().cloned();
        Err(violation(self.name(), "not_healed", event.at_ns, nodes, detail))
    }

    /// The bound has passed without an end.
    fn too_late(&self, healed_at_ns: u64) -> Violation {
        let bound_ms = self.bound_ns / 1_000_000;
        let (kind, servers, detail) = if self.all_serve_at_ns.is_some() {
            let detail = format!(
                "the run has not ended {bound_ms} ms after the faults ended, though all servers served again"
            );
            ("too_late", Vec::new(), detail)
        } else if let Some([(one, role), (other, others)]) = self.service.divided() {
            let detail = format!(
                "{bound_ms} ms after the faults ended {one} serves under {} in epoch {}, and {other} under {} in epoch {}",
                role.leader, role.epoch, others.leader, others.epoch
            );
            ("divided", vec![one, other], detail)
        } else {
            let missing: Vec<ServerId> = self.service.missing().collect();
            let names: Vec<String> = missing.iter().map(ServerId::to_string).collect();
            let detail = format!(
                "all servers together have not served {bound_ms} ms after the faults ended; now without service: {}",
                names.join(", ")
            );
            ("server_left_behind", missing, detail)
        };
        let nodes = servers.into_iter().map(node_of);
        violation(self.name(), kind, healed_at_ns + self.bound_ns, nodes, detail)
            .since(healed_at_ns)
    }
}

impl Checker for Convergence {
    fn name(&self) -> &'static str {
        "convergence"
    }

    fn interests(&self) -> Interests {
        Interests::LEADERSHIP | Interests::PROCESSES | Interests::PLAN
    }

    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        let at_ns = event.at_ns;
        if let (Some(healed_at_ns), None) = (self.healed_at_ns, self.ended_at_ns)
            && at_ns > healed_at_ns + self.bound_ns
        {
            return Err(self.too_late(healed_at_ns));
        }
        self.service.observe(event);
        self.world(event)?;
        if let Happening::Phase { name } = &event.happening {
            match &**name {
                "heal" => self.healed_at_ns = Some(at_ns),
                "end" => self.ended_at_ns = Some(at_ns),
                _ => {}
            }
        }
        let is_healing = self.healed_at_ns.is_some() && self.ended_at_ns.is_none();
        if is_healing && self.all_serve_at_ns.is_none() && self.service.is_whole() {
            self.all_serve_at_ns = Some(at_ns);
        }
        Ok(())
    }

    fn finish(&mut self, at_ns: u64) -> Verdict {
        let why = match (self.healed_at_ns, self.all_serve_at_ns, self.ended_at_ns) {
            (Some(_), Some(_), Some(_)) => return Verdict::Pass,
            (Some(healed_at_ns), _, None) if at_ns > healed_at_ns + self.bound_ns => {
                return Verdict::Violation(self.too_late(healed_at_ns));
            }
            (None, ..) => "the run never healed, so nothing was demanded of it",
            (Some(_), _, None) => "the run stopped before its end and before the bound",
            (Some(_), None, Some(_)) => "the run ended before all servers had served again",
        };
        Verdict::Unknown { why: why.to_owned() }
    }

    fn figures(&self) -> Vec<Figure> {
        let mut serving =
            Figure::new("heal_to_service_ms", "from the last fault until every server served");
        let mut end = Figure::new("heal_to_end_ms", "from the last fault until all work was done");
        if let Some(healed_at_ns) = self.healed_at_ns {
            let since_heal_ms = |at_ns: u64| at_ns.saturating_sub(healed_at_ns) / 1_000_000;
            if let Some(at_ns) = self.ended_at_ns {
                end.add(since_heal_ms(at_ns));
            }
            if let Some(at_ns) = self.all_serve_at_ns {
                serving.add(since_heal_ms(at_ns));
            }
        }
        vec![serving, end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::history::{History, ensemble};
    use mailstorm_shared::Zxid;

    const BOUND_NS: u64 = 1_000_000_000;

    fn three() -> Convergence {
        Convergence::new(ensemble(3), BOUND_NS)
    }

    fn healed() -> History {
        History::new()
            .phase("start")
            .leads(1, 1, Zxid::ZERO)
            .follows(2, 1, 1)
            .follows(3, 1, 1)
            .phase("storm")
            .crashed("s1")
            .looking(2)
            .looking(3)
            .phase("heal")
            .server_started(1, Zxid::ZERO, Zxid::ZERO)
    }

    #[test]
    fn an_ensemble_that_serves_again_within_the_bound_passes_and_is_measured() {
        let mut checker = three();
        let verdict = healed()
            .after_ms(97)
            .leads(2, 2, Zxid::ZERO)
            .follows(3, 2, 2)
            .follows(1, 2, 2)
            .phase("converge")
            .after_ms(98)
            .phase("end")
            .feed(&mut checker);
        assert_eq!(verdict, Verdict::Pass);
        let sums: Vec<u64> = checker.figures().iter().map(|figure| figure.sum).collect();
        assert_eq!(sums, [101, 201]);
    }

    #[test]
    fn an_end_after_the_bound_is_too_late() {
        let serving = || healed().leads(2, 2, Zxid::ZERO).follows(3, 2, 2).follows(1, 2, 2);
        serving().after_ms(1_001).phase("end").violates(three(), "too_late");
        serving().after_ms(1_001).violates(three(), "too_late");
    }

    #[test]
    fn a_server_that_does_not_serve_within_the_bound_is_left_behind() {
        let serving = || healed().leads(2, 2, Zxid::ZERO).follows(3, 2, 2);
        let violation =
            serving().after_ms(1_001).phase("end").violates(three(), "server_left_behind");
        assert_eq!(violation.nodes, ["s1".into()]);
    }

    #[test]
    fn servers_under_different_leaders_are_divided() {
        healed()
            .leads(2, 2, Zxid::ZERO)
            .follows(3, 2, 2)
            .leads(1, 3, Zxid::ZERO)
            .after_ms(1_001)
            .phase("end")
            .violates(three(), "divided");
    }

    #[test]
    fn a_leader_that_changes_once_more_at_the_end_passes() {
        healed()
            .leads(2, 2, Zxid::ZERO)
            .follows(3, 2, 2)
            .follows(1, 2, 2)
            .stepped_down(2, 2)
            .phase("end")
            .passes(three());
    }

    #[test]
    fn a_run_that_demands_too_little_is_no_pass() {
        let unknown = |history: History| {
            let verdict = history.judged_by(three());
            assert!(matches!(verdict, Verdict::Unknown { .. }), "{verdict:?}");
        };
        // It stopped; it ended too soon; it never healed.
        unknown(healed());
        unknown(healed().leads(2, 2, Zxid::ZERO).follows(3, 2, 2).phase("end"));
        let stormy = || History::new().phase("start").phase("storm").leads(1, 1, Zxid::ZERO);
        unknown(stormy());
        unknown(stormy().follows(2, 1, 1).follows(3, 1, 1).phase("converge").phase("end"));
    }

    #[test]
    fn a_world_that_does_not_heal_is_told() {
        let serve = |history: History| {
            history.leads(2, 2, Zxid::ZERO).follows(3, 2, 2).follows(1, 2, 2).phase("end")
        };
        let storm = || History::new().fault_began(0, &["s1"]).paused("s1").phase("heal");
        let healed = || storm().resumed("s1").fault_ended(0).phase("converge");
        serve(healed()).passes(three());
        // What was paused and then killed is stopped no more.
        serve(storm().fault_ended(0).crashed("s1").phase("converge")).passes(three());
        serve(storm().resumed("s1").phase("converge")).violates(three(), "not_healed");
        serve(storm().fault_ended(0).phase("converge")).violates(three(), "not_healed");
        serve(healed().fault_began(1, &["s2"])).violates(three(), "not_healed");
        serve(healed().paused("s2")).violates(three(), "not_healed");
    }
}
