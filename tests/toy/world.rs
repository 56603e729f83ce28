//! The primary and its backup in the laboratory: the system, its judge, its clients, its storm.

use super::replica::{Message, REPLICAS, Replica, address, fact};
use mailstorm_checkers::common::roles::ByRole;
use mailstorm_checkers::common::states::States;
use mailstorm_checkers::common::targets::{Target, Targets};
use mailstorm_checkers::{Checker, Goal, Interests, Suite};
use mailstorm_platform::Platform;
use mailstorm_record::{Event, Happening, NodeName, Violation};
use mailstorm_scenarios::talk::Caller;
use mailstorm_shared::facts::{ApplicationFact, Fact, Looks};
use mailstorm_shared::{Millis, Observation};
use mailstorm_world::{
    Budget, Member, NodeSpec, Process, Program, Progress, Scenario, SimPlatform, System, Topology,
    Work, first_of_each,
};
use std::sync::Arc;

const CLIENTS: [&str; 2] = ["c1", "c2"];
const PATIENCE: Millis = Millis(400);

/// The name, the number and the value of what a node told, if it is of the toy.
fn told(event: &Event) -> Option<(&NodeName, &str, u64, u64)> {
    let Happening::Observed { observation: Observation::Application(fact) } = &event.happening
    else {
        return None;
    };
    let ApplicationFact::Told(told) = fact else { return None };
    Some((event.node.as_ref()?, told.name(), told.number("number")?, told.number("value")?))
}

/// The two of them.
struct Pair;

impl Pair {
    fn by_role() -> Box<ByRole> {
        let (one, rest) =
            (Target::one("primary", "who acknowledges"), Target::some("backup", "the other"));
        let members = REPLICAS.map(NodeName::from);
        Box::new(ByRole::new(ApplicationFact::TOPIC, &["leads", "follows"], members, (one, rest)))
    }
}

impl System for Pair {
    fn name(&self) -> &str {
        "pair"
    }
    fn members(&self) -> Vec<Member> {
        REPLICAS.map(|node| Member { node: node.into(), votes: true }).into()
    }
    fn targets(&self) -> Box<dyn Targets> {
        Self::by_role()
    }
    fn states(&self) -> Box<dyn States> {
        Self::by_role()
    }
    fn budget(&self) -> Budget {
        Budget { down: 1, damaged: 0 }
    }
}

/// No value that the first primary acknowledged is lost when the backup takes over.
#[derive(Default)]
pub(crate) struct Acknowledged {
    /// The highest value acknowledged in number 0, and by whom.
    kept: Option<(NodeName, u64)>,
    /// The value from which number 1 began, and who began it.
    began: Option<(NodeName, u64)>,
}

impl Checker for Acknowledged {
    fn name(&self) -> &'static str {
        "acknowledged"
    }
    fn kinds(&self) -> &'static [&'static str] {
        &["lost"]
    }
    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        match told(event) {
            Some((node, "acknowledged", 0, value)) => self.kept = Some((node.clone(), value)),
            Some((node, "leads", 1, value)) if self.began.is_none() => {
                self.began = Some((node.clone(), value));
            }
            _ => {}
        }
        let (Some((by, value)), Some((who, from))) = (&self.kept, &self.began) else {
            return Ok(());
        };
        if value <= from {
            return Ok(());
        }
        let detail =
            format!("value {value}, acknowledged in number 0, is lost: number 1 began at {from}");
        Err(Violation::new("acknowledged", "lost", event.at_ns, [by.clone(), who.clone()], detail))
    }
}

/// A client that counts up for as long as it lives.
async fn client(platform: SimPlatform) {
    let mut replicas = [0, 1].map(|place| Caller::new(&platform, address(place), PATIENCE));
    loop {
        for replica in &mut replicas {
            while let Ok(Message::Kept(kept)) = replica.ask(Message::Add).await {
                let words = format!("knows that value {} is kept", kept.value);
                platform.observe(fact("answered", kept, &words, Looks::default()));
                platform.sleep(Millis(20)).await;
            }
            platform.sleep(Millis(50)).await;
        }
    }
}

/// The storm of the toy, as built or with its mistake.
pub(crate) struct PrimaryBackup {
    pub(crate) is_eager: bool,
}

impl Scenario for PrimaryBackup {
    fn name(&self) -> &str {
        if self.is_eager { "primary-backup/eager" } else { "primary-backup" }
    }
    fn about(&self) -> &str {
        "A primary and its backup keep a counter."
    }
    fn topology(&self) -> Topology {
        let replicas = REPLICAS.map(|name| NodeSpec::server(name).called("replica"));
        let nodes = replicas.into_iter().chain(CLIENTS.map(NodeSpec::client)).collect();
        Topology { nodes, systems: vec![Arc::new(Pair)], ..Topology::default() }
    }
    fn boot(&self, process: Process) -> Program {
        match REPLICAS.iter().position(|replica| *replica == &*process.node.0) {
            Some(place) => process.host(Replica::new(place, self.is_eager)),
            None => Box::pin(client(process.platform)),
        }
    }
    fn checkers(&self, _: u64) -> Suite {
        Suite::new().with(Acknowledged::default())
    }
    fn goals(&self) -> Vec<Goal> {
        let taken_over = |event: &Event| matches!(told(event), Some((_, "leads", 1, _)));
        vec![Goal::new("taken_over", "the backup took over", Interests::APPLICATION, taken_over)]
    }
    fn progress(&self, _: u64) -> Box<dyn Progress> {
        // After the storm every client is answered once more.
        let mut is_healed = false;
        let once = first_of_each(1, move |event| {
            is_healed |= matches!(&event.happening, Happening::Phase { name } if &**name == "heal");
            let (node, name, ..) = told(event)?;
            (is_healed && name == "answered").then(|| node.clone())
        });
        Box::new(Work::new("clients", CLIENTS.len() as u64, once).once_led())
    }
}
