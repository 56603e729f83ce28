//! The primary and its backup in the laboratory: the system, its judge, its clients, its storm.

use super::replica::{ADD, ROLES, Replica, Role, Starting, frame, parse};
use mailstorm_checkers::common::states::States;
use mailstorm_checkers::common::targets::{Target, Targets, Whom};
use mailstorm_checkers::{Checker, Goal, Interests, Suite};
use mailstorm_host::{Probe, Settings, serve};
use mailstorm_platform::{Address, Endpoint, NetworkEvent, Platform};
use mailstorm_record::{Event, Happening, NodeName, Verdict, Violation};
use mailstorm_shared::facts::{ApplicationFact, Told};
use mailstorm_shared::machine::Core;
use mailstorm_shared::{Millis, Observation};
use mailstorm_world::{
    Budget, Member, NodeSpec, Process, Progress, Scenario, SimPlatform, System, Topology, Window,
};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

const REPLICAS: [&str; 2] = ["r1", "r2"];
const CLIENTS: [&str; 2] = ["c1", "c2"];
const PATIENCE: Millis = Millis(400);

/// What a node told, if the toy knows it.
fn told(event: &Event) -> Option<(&NodeName, &Told)> {
    match &event.happening {
        Happening::Observed {
            observation: Observation::Application(ApplicationFact::Told(told)),
        } => Some((event.node.as_ref()?, told)),
        _ => None,
    }
}

fn role(told: &Told) -> Option<Role> {
    ROLES.iter().find(|(_, name, _)| *name == told.name()).map(|(role, ..)| *role)
}

/// The two of them.
struct Pair;

impl System for Pair {
    fn name(&self) -> &str {
        "pair"
    }
    fn members(&self) -> Vec<Member> {
        REPLICAS.map(|node| Member { node: node.into(), votes: true }).into()
    }
    fn targets(&self) -> Box<dyn Targets> {
        Box::new(Primary(None))
    }
    fn states(&self) -> Box<dyn States> {
        Box::new(Roles([None; 2]))
    }
    fn budget(&self) -> Budget {
        Budget { down: 1, damaged: 0 }
    }
}

/// Who leads.
struct Primary(Option<NodeName>);

impl Targets for Primary {
    fn words(&self) -> Vec<Target> {
        vec![Target::one("primary", "who acknowledges"), Target::some("backup", "the other")]
    }
    fn observe(&mut self, event: &Event) {
        if let Some((node, told)) = told(event)
            && matches!(role(told), Some(Role::LeadsAlone | Role::Leads))
        {
            self.0 = Some(node.clone());
        }
    }
    fn meant(&self, place: usize) -> Whom {
        match place {
            0 => Whom::One(self.0.clone()),
            _ => Whom::AllBut(REPLICAS.map(NodeName::from).into(), 0),
        }
    }
}

/// The role of each.
struct Roles([Option<u32>; 2]);

impl States for Roles {
    fn bound(&self) -> u32 {
        ROLES.len() as u32
    }
    fn place(&self, node: &NodeName) -> Option<usize> {
        REPLICAS.iter().position(|name| *name == &*node.0)
    }
    fn observe(&mut self, event: &Event, shown: &mut Vec<(usize, u32)>) {
        let Some((node, told)) = told(event) else { return };
        if let (Some(place), Some(role)) = (self.place(node), role(told)) {
            self.0[place] = Some(role as u32);
            shown.push((place, role as u32));
        }
    }
    fn now(&self, shown: &mut Vec<(usize, u32)>) {
        shown.extend(self.0.iter().enumerate().filter_map(|(place, role)| Some((place, (*role)?))));
    }
}

/// No acknowledged value is lost, and no two primaries acknowledge in one number.
#[derive(Default)]
pub(crate) struct Acknowledged {
    /// By number: who acknowledged, and the highest value.
    acknowledged: BTreeMap<u64, (NodeName, u64)>,
    /// By number: the value from which its primary began.
    began: BTreeMap<u64, (NodeName, u64)>,
}

impl Checker for Acknowledged {
    fn name(&self) -> &'static str {
        "acknowledged"
    }
    fn kinds(&self) -> &'static [&'static str] {
        &["lost", "two_primaries"]
    }
    fn interests(&self) -> Interests {
        Interests::APPLICATION
    }
    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        let Some((node, told)) = told(event) else { return Ok(()) };
        let (Some(number), Some(value)) = (told.number("number"), told.number("value")) else {
            return Ok(());
        };
        let violation = |kind: &str, nodes: [&NodeName; 2], detail: String| Violation {
            checker: "acknowledged".to_owned(),
            kind: kind.to_owned(),
            at_ns: event.at_ns,
            nodes: nodes.map(Clone::clone).into(),
            detail,
            ..Violation::default()
        };
        if told.name() == "acknowledged" {
            let (by, highest) = self.acknowledged.entry(number).or_insert((node.clone(), 0));
            if by != node {
                let (by, detail) =
                    (by.clone(), format!("two primaries acknowledge in number {number}"));
                return Err(violation("two_primaries", [&by, node], detail));
            }
            *highest = value.max(*highest);
        } else if role(told) == Some(Role::LeadsAlone) {
            self.began.entry(number).or_insert((node.clone(), value));
        }
        for (later, (who, from)) in &self.began {
            let lost = self.acknowledged.range(..later).find(|(_, (_, value))| value > from);
            if let Some((earlier, (by, value))) = lost {
                let detail = format!(
                    "value {value}, acknowledged in number {earlier}, is lost: number {later} began at {from}"
                );
                return Err(violation("lost", [by, who], detail));
            }
        }
        Ok(())
    }
    fn finish(&mut self, _: u64) -> Verdict {
        Verdict::Pass
    }
}

/// Every client is answered after the storm.
#[derive(Default)]
struct Answered {
    phase: String,
    by: BTreeMap<NodeName, u64>,
}

impl Progress for Answered {
    fn observe(&mut self, event: &Event) {
        if let Happening::Phase { name } = &event.happening {
            self.phase = name.to_string();
            self.by.clear();
        } else if let Some((node, told)) = told(event).filter(|(_, told)| told.name() == "answered")
        {
            self.by.insert(node.clone(), told.number("value").unwrap_or(0));
        }
    }
    fn ready(&self, is_led: bool) -> bool {
        is_led && self.by.len() == CLIENTS.len()
    }
    fn done(&self) -> bool {
        self.by.len() == CLIENTS.len()
    }
    fn waits_for(&self) -> String {
        format!("{} of {} clients were answered", self.by.len(), CLIENTS.len())
    }
}

/// A client that counts up for as long as it lives.
async fn client(platform: SimPlatform) {
    let endpoint = platform.endpoint();
    let mut at = 0;
    loop {
        let connection = endpoint.connect(&address(REPLICAS[at % 2]));
        at += 1;
        let mut taken = Vec::new();
        endpoint.wake_at(Some(platform.now().monotonic + PATIENCE));
        loop {
            match endpoint.next().await {
                NetworkEvent::Connected { .. } => endpoint.send(connection, frame(ADD, 0, 0)),
                NetworkEvent::Received { connection: from, bytes } if from == connection => {
                    taken.extend_from_slice(&bytes);
                    if let Some((_, number, value)) = taken.get(4..).and_then(parse) {
                        taken.clear();
                        let values = [("number", number.into()), ("value", value.into())];
                        let told = Told::new(
                            "answered",
                            values,
                            &format!("knows that value {value} is kept"),
                        );
                        platform.observe(ApplicationFact::Told(told.expect("it is short")));
                        platform.sleep(Millis(20)).await;
                        endpoint.wake_at(Some(platform.now().monotonic + PATIENCE));
                        endpoint.send(connection, frame(ADD, 0, 0));
                    }
                }
                NetworkEvent::Closed { connection: which, .. } if which == connection => break,
                NetworkEvent::Woken => break endpoint.close(connection),
                _ => {}
            }
        }
        platform.sleep(Millis(50)).await;
    }
}

fn address(node: &str) -> Address {
    Address::from(&*format!("{node}:1"))
}

/// What a replica shows of itself.
struct Shown(Probe<Replica>);

impl Window for Shown {
    fn glance(&self) -> Option<u64> {
        self.0.look(Core::glance)
    }
    fn look(&self) -> Option<u64> {
        self.0.look(Core::state_hash)
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
    fn boot(&self, process: Process) -> Pin<Box<dyn Future<Output = ()>>> {
        let (platform, name) = (process.platform, process.node.0);
        let Some(place) = REPLICAS.iter().position(|replica| *replica == &*name) else {
            return Box::pin(client(platform));
        };
        let (here, other) = (address(&name), address(REPLICAS[1 - place]));
        let core =
            Starting { here, other, is_first: place == 0, is_eager: self.is_eager, found: None };
        let settings = Settings::default();
        platform.show(Shown(settings.probe.clone()));
        Box::pin(async move {
            if let Err(end) = serve(platform.clone(), core, settings).await {
                platform.last_words(&end.to_string());
            }
        })
    }
    fn checkers(&self, _: u64) -> Suite {
        Suite::new().with(Acknowledged::default())
    }
    fn goals(&self) -> Vec<Goal> {
        let mut number = 1;
        let taken_over = move |event: &Event| {
            let Some((_, told)) = told(event) else { return false };
            let before = number;
            number = number.max(told.number("number").unwrap_or(0));
            number > before
        };
        vec![Goal::new("taken_over", "the backup took over", Interests::APPLICATION, taken_over)]
    }
    fn progress(&self, _: u64) -> Box<dyn Progress> {
        Box::new(Answered::default())
    }
}
