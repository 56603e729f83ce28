//! Convergence: after the last fault everything works again, within a bound.
//!
//! Definition. No later than the bound after phase `heal` there is a moment at which every server of the
//! ensemble serves (`server_left_behind`), all under one leader in one epoch (`divided`), and phase `end`
//! is reached (`too_late`). That all serve at the very end is not asked: leaders may change without a
//! fault, too, when an epoch's counter is full. Whether the mail is through is `exactly-once`'s business.
//! Source: the design's phases start, storm, heal, converge; "first faults and safety; then heal, and
//! demand progress".
//! Figures: the time from `heal` until all servers serve, and until `end`; and how many servers had not
//! served again when a run ended before its bound. Such a run proves nothing against them: whoever ends runs
//! early should wait for [`Service::is_whole`] as well, or a server that never comes back goes unseen.

use crate::checker::violation;
use crate::servers::{PerServer, node_of, server_on};
use crate::{Checker, Figure, Interests};
use mailstorm_record::{Event, Happening, Verdict, Violation};
use mailstorm_shared::{Ensemble, Epoch, Observation, ServerId};

/// Watches the time from the end of the faults to the end of the run.
#[derive(Clone, Debug)]
pub struct Convergence {
    service: Service,
    bound_ns: u64,
    healed_at_ns: Option<u64>,
    all_serve_at_ns: Option<u64>,
    ended_at_ns: Option<u64>,
}

/// Which servers serve, and under whom.
#[derive(Clone, Debug)]
pub struct Service {
    ensemble: Ensemble,
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
        let servers = ensemble.servers().count();
        Self { ensemble, servers, roles: PerServer::default(), serving: 0 }
    }

    /// Looks at the next event of a run.
    pub fn observe(&mut self, event: &Event) {
        match &event.happening {
            Happening::Observed { observation } => match *observation {
                Observation::Leads { server, epoch, .. } => {
                    self.set(server, Some(Role { leader: server, epoch }));
                }
                Observation::Follows { server, leader, epoch } => {
                    self.set(server, Some(Role { leader, epoch }));
                }
                Observation::ServerStarted { server, .. }
                | Observation::Looking { server }
                | Observation::SteppedDown { server, .. } => self.set(server, None),
                _ => {}
            },
            Happening::Crashed { .. } | Happening::Started { .. } => {
                if let Some(server) = server_on(event.node.as_ref()) {
                    self.set(server, None);
                }
            }
            _ => {}
        }
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

    fn set(&mut self, server: ServerId, role: Option<Role>) {
        if !self.ensemble.contains(server) {
            return;
        }
        let before = std::mem::replace(self.roles.get_mut(server), role);
        self.serving += usize::from(role.is_some());
        self.serving -= usize::from(before.is_some());
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
    /// Demands that this ensemble serves again, and the run ends, within `bound_ns` after the faults.
    pub fn new(ensemble: Ensemble, bound_ns: u64) -> Self {
        Self {
            service: Service::new(ensemble),
            bound_ns,
            healed_at_ns: None,
            all_serve_at_ns: None,
            ended_at_ns: None,
        }
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
        match (self.healed_at_ns, self.ended_at_ns) {
            (_, Some(_)) | (None, None) => Verdict::Pass,
            (Some(healed_at_ns), None) if at_ns > healed_at_ns + self.bound_ns => {
                Verdict::Violation(self.too_late(healed_at_ns))
            }
            (Some(_), None) => Verdict::Unknown {
                why: "the run stopped before its end and before the bound".to_owned(),
            },
        }
    }

    fn figures(&self) -> Vec<Figure> {
        let mut serving =
            Figure::new("heal_to_service_ms", "from the last fault until every server served");
        let mut end = Figure::new("heal_to_end_ms", "from the last fault until all work was done");
        let mut missing = Figure::new(
            "servers_missing_at_end",
            "servers that had not served again when all work was done, before the bound",
        );
        if let Some(healed_at_ns) = self.healed_at_ns {
            let since_heal_ms = |at_ns: u64| at_ns.saturating_sub(healed_at_ns) / 1_000_000;
            if let Some(at_ns) = self.ended_at_ns {
                end.add(since_heal_ms(at_ns));
            }
            match self.all_serve_at_ns {
                Some(at_ns) => serving.add(since_heal_ms(at_ns)),
                None => missing.add(self.service.missing().count() as u64),
            }
        }
        vec![serving, end, missing]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{History, ensemble};
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
        assert_eq!(sums, [101, 201, 0]);
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
    fn a_run_that_ends_before_the_bound_blames_nobody_for_being_slow_but_counts_them() {
        let mut checker = three();
        let verdict =
            healed().leads(2, 2, Zxid::ZERO).follows(3, 2, 2).phase("end").feed(&mut checker);
        assert_eq!(verdict, Verdict::Pass);
        let missing = checker.figures().into_iter().find(|f| f.name == "servers_missing_at_end");
        assert_eq!(missing.map(|figure| figure.sum), Some(1));
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
    fn a_run_that_stops_early_cannot_be_judged() {
        assert!(matches!(healed().judged_by(three()), Verdict::Unknown { .. }));
        History::new().phase("start").phase("storm").passes(three());
    }
}
