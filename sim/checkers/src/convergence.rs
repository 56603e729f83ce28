//! Convergence: after the last fault everything works again, within a bound.
//!
//! Definition. Phase `end` is reached no later than the bound after phase `heal` (`too_late`), and at some
//! moment between the two every server of the ensemble served (`server_left_behind`), all under one leader
//! in one epoch (`divided`). That they still do at the very end is not asked: leaders may change without a
//! fault, too, when an epoch's counter is full. Whether the mail is through is `exactly-once`'s business.
//! Source: the design's phases start, storm, heal, converge; "first faults and safety; then heal, and
//! demand progress".
//! Figures: the time from `heal` until all servers serve, and until `end`.
//!
//! A run that stops before its end and before the bound (another checker fired) cannot be judged.

use crate::checker::violation;
use crate::servers::{PerServer, node_of, server_on};
use crate::{Checker, Figure, Interests};
use mailstorm_record::{Event, Happening, Verdict, Violation};
use mailstorm_shared::{Ensemble, Epoch, Observation, ServerId};

/// Watches the time from the end of the faults to the end of the run.
#[derive(Clone, Debug)]
pub struct Convergence {
    ensemble: Ensemble,
    bound_ns: u64,
    roles: PerServer<Option<Role>>,
    serving: usize,
    healed_at_ns: Option<u64>,
    all_serve_at_ns: Option<u64>,
    ended_at_ns: Option<u64>,
}

/// Under whom a server serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Role {
    leader: ServerId,
    epoch: Epoch,
}

impl Convergence {
    /// Demands that this ensemble serves again within `bound_ns` after the faults.
    pub fn new(ensemble: Ensemble, bound_ns: u64) -> Self {
        Self {
            ensemble,
            bound_ns,
            roles: PerServer::default(),
            serving: 0,
            healed_at_ns: None,
            all_serve_at_ns: None,
            ended_at_ns: None,
        }
    }

    fn set_role(&mut self, at_ns: u64, server: ServerId, role: Option<Role>) {
        if !self.ensemble.contains(server) {
            return;
        }
        let before = std::mem::replace(self.roles.get_mut(server), role);
        self.serving += usize::from(role.is_some());
        self.serving -= usize::from(before.is_some());
        self.note_if_all_serve(at_ns);
    }

    /// Notes the first moment after the faults at which all serve together.
    fn note_if_all_serve(&mut self, at_ns: u64) {
        let asked = self.healed_at_ns.is_some() && self.all_serve_at_ns.is_none();
        if !asked || self.serving < self.ensemble.servers().count() {
            return;
        }
        let mut roles = self.ensemble.servers().map(|server| self.roles.get(server));
        let first = roles.next();
        if roles.all(|role| Some(role) == first) {
            self.all_serve_at_ns = Some(at_ns);
        }
    }

    fn ended(&mut self, at_ns: u64) -> Result<(), Violation> {
        self.ended_at_ns = Some(at_ns);
        if self.all_serve_at_ns.is_some() {
            return Ok(());
        }
        let mut first: Option<(ServerId, Role)> = None;
        for server in self.ensemble.servers() {
            let Some(role) = self.roles.get(server).copied().flatten() else {
                let detail = format!(
                    "{server} does not serve at the end, and all together never did since the faults ended"
                );
                return Err(self.broken("server_left_behind", at_ns, [server], detail));
            };
            match first {
                Some((other, others)) if others != role => {
                    let detail = format!(
                        "at the end {server} serves under {} in epoch {}, and {other} under {} in epoch {}",
                        role.leader, role.epoch, others.leader, others.epoch
                    );
                    return Err(self.broken("divided", at_ns, [server, other], detail));
                }
                Some(_) => {}
                None => first = Some((server, role)),
            }
        }
        Ok(())
    }

    fn too_late(&self, healed_at_ns: u64) -> Violation {
        let missing: Vec<ServerId> = self
            .ensemble
            .servers()
            .filter(|server| self.roles.get(*server).copied().flatten().is_none())
            .collect();
        let who = if missing.is_empty() {
            "all servers serve".to_owned()
        } else {
            let names: Vec<String> = missing.iter().map(ServerId::to_string).collect();
            format!("without service: {}", names.join(", "))
        };
        let detail = format!(
            "the run has not ended {} ms after the faults ended; {who}",
            self.bound_ns / 1_000_000
        );
        self.broken("too_late", healed_at_ns + self.bound_ns, missing, detail)
    }

    fn broken(
        &self,
        kind: &str,
        at_ns: u64,
        servers: impl IntoIterator<Item = ServerId>,
        detail: String,
    ) -> Violation {
        violation(self.name(), kind, at_ns, servers.into_iter().map(node_of), detail)
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
        match &event.happening {
            Happening::Observed { observation } => match *observation {
                Observation::Leads { server, epoch, .. } => {
                    self.set_role(at_ns, server, Some(Role { leader: server, epoch }));
                }
                Observation::Follows { server, leader, epoch } => {
                    self.set_role(at_ns, server, Some(Role { leader, epoch }));
                }
                Observation::ServerStarted { server, .. }
                | Observation::Looking { server }
                | Observation::SteppedDown { server, .. } => self.set_role(at_ns, server, None),
                _ => {}
            },
            Happening::Crashed { .. } | Happening::Started { .. } => {
                if let Some(server) = server_on(event.node.as_ref()) {
                    self.set_role(at_ns, server, None);
                }
            }
            Happening::Phase { name } if &**name == "heal" => {
                self.healed_at_ns = Some(at_ns);
                self.note_if_all_serve(at_ns);
            }
            Happening::Phase { name } if &**name == "end" => return self.ended(at_ns),
            _ => {}
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
            Figure::new("heal_to_service_ms", "from the last fault until every server serves");
        let mut end = Figure::new("heal_to_end_ms", "from the last fault until all work is done");
        if let Some(healed_at_ns) = self.healed_at_ns {
            let since_heal_ms = |at_ns: u64| at_ns.saturating_sub(healed_at_ns) / 1_000_000;
            if let Some(at_ns) = self.all_serve_at_ns {
                serving.add(since_heal_ms(at_ns));
            }
            if let Some(at_ns) = self.ended_at_ns {
                end.add(since_heal_ms(at_ns));
            }
        }
        vec![serving, end]
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
        assert_eq!(sums, [101, 201]);
    }

    #[test]
    fn an_end_after_the_bound_is_too_late() {
        let serving = || healed().leads(2, 2, Zxid::ZERO).follows(3, 2, 2);
        let violation = serving().after_ms(1_001).phase("end").violates(three(), "too_late");
        assert_eq!(violation.nodes, ["s1".into()]);
        serving().after_ms(1_001).violates(three(), "too_late");
    }

    #[test]
    fn a_server_that_does_not_serve_at_the_end_is_left_behind() {
        let violation = healed()
            .leads(2, 2, Zxid::ZERO)
            .follows(3, 2, 2)
            .phase("end")
            .violates(three(), "server_left_behind");
        assert_eq!(violation.nodes, ["s1".into()]);
    }

    #[test]
    fn servers_under_different_leaders_at_the_end_are_divided() {
        healed()
            .leads(2, 2, Zxid::ZERO)
            .follows(3, 2, 2)
            .leads(1, 3, Zxid::ZERO)
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
