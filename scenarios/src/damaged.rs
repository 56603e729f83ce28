//! A scenario with one more node, whose program does harm that no fault of a plan does: for tests
//! of what the end of a run demands.

use crate::nodes::{client_config, ensemble_of};
use crate::scale::Scale;
use mailstorm_checkers::{Goal, Suite};
use mailstorm_client::Client;
use mailstorm_record::{Plan, Settings};
use mailstorm_shared::Millis;
use mailstorm_world::{
    Limits, NodeSpec, Process, Progress, RunSpec, Scenario, SimPlatform, Subject, Topology,
    scenario,
};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// What does the harm.
pub(crate) type Harm = fn(Client<SimPlatform>) -> Pin<Box<dyn Future<Output = ()>>>;

const SABOTEUR: &str = "z1";
/// Long enough for everybody to have had a turn as master.
const STORM_MS: u64 = 20_000;
/// Long enough for a run without harm, five times over.
const CONVERGE: Millis = Millis(60_000);

struct Damaged {
    scenario: Arc<dyn Scenario>,
    harm: Harm,
}

/// Runs the scenario with three servers and these settings, without a fault, but with this harm.
/// Returns what the run still waited for when its time was over; `None` if it came to its end.
pub(crate) fn is_stuck(
    scenario: Arc<dyn Scenario>,
    settings: &[(&str, u64)],
    harm: Harm,
) -> Option<String> {
    let settings = settings.iter().chain(&[("servers", 3)]);
    let settings = Settings(settings.map(|(name, value)| ((*name).to_owned(), *value)).collect());
    let scenario = scenario::with_settings(&scenario, &settings).unwrap();
    let plan = Some(Plan { lasts_ms: Some(STORM_MS), ..Plan::default() });
    let run = mailstorm_world::run(&RunSpec {
        plan,
        ..RunSpec::new(Arc::new(Damaged { scenario, harm }), 1)
    });
    let violation = run.outcome.violations().next()?;
    assert_eq!((&*violation.checker, &*violation.kind), ("convergence", "not-done"));
    Some(violation.detail.clone())
}

/// No harm.
pub(crate) fn none(_: Client<SimPlatform>) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(std::future::pending())
}

impl Scenario for Damaged {
    fn name(&self) -> &str {
        self.scenario.name()
    }

    fn about(&self) -> &str {
        self.scenario.about()
    }

    fn topology(&self) -> Topology {
        let mut topology = self.scenario.topology();
        topology
            .nodes
            .push(NodeSpec::client(SABOTEUR).called("saboteur").subject_to(Subject::NOTHING));
        topology
    }

    fn boot(&self, process: Process) -> Pin<Box<dyn Future<Output = ()>>> {
        if &*process.node.0 != SABOTEUR {
            return self.scenario.boot(process);
        }
        let config = client_config(&Scale::of_ensemble(3), &ensemble_of(3, 0), &process);
        let client = Client::connect(process.platform, config);
        let harm = (self.harm)(client.clone());
        Box::pin(async move {
            harm.await;
            // What it holds, it keeps.
            let _client = client;
            std::future::pending().await
        })
    }

    fn checkers(&self, seed: u64) -> Suite {
        self.scenario.checkers(seed)
    }

    fn goals(&self) -> Vec<Goal> {
        self.scenario.goals()
    }

    fn progress(&self, seed: u64) -> Box<dyn Progress> {
        self.scenario.progress(seed)
    }

    fn limits(&self) -> Limits {
        Limits { converge: CONVERGE, ..self.scenario.limits() }
    }
}
