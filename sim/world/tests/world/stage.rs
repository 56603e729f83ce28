//! A scenario made up by a test: nodes, their programs, a plan.

use mailstorm_checkers::common::states::States;
use mailstorm_checkers::common::targets::Targets;
use mailstorm_checkers::ensemble::states::ServerStates;
use mailstorm_checkers::ensemble::targets::leadership;
use mailstorm_checkers::{Goal, Interests, Suite};
use mailstorm_platform::{Address, ConnectionId, Disk, Endpoint, NetworkEvent, Platform};
use mailstorm_record::{Event, Fault, FaultKind, Happening, NodeName, Plan, Run};
use mailstorm_shared::facts::{ApplicationFact, EnsembleFact};
use mailstorm_shared::quorum::tolerated_failures;
use mailstorm_shared::{Ensemble, Epoch, Millis, Observation, ServerId, Zxid};
use mailstorm_world::platform::SimEndpoint;
use mailstorm_world::{
    Budget, Limits, Member, NodeSpec, Process, Progress, Recording, RunSpec, Scenario, System,
    Topology, run,
};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

type Program = Arc<dyn Fn(Process) -> Pin<Box<dyn Future<Output = ()>>> + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Stage {
    nodes: Vec<(NodeSpec, Program)>,
    /// Those of them that are a system.
    servers: Vec<NodeName>,
    plan: Option<Plan>,
    pub(crate) limits: Limits,
    ends_with: &'static str,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self {
            nodes: Vec::new(),
            servers: Vec::new(),
            plan: Some(Plan::default()),
            limits: Limits { linger: Millis(0), ..Limits::default() },
            ends_with: "done",
        }
    }

    pub(crate) fn node<F: Future<Output = ()> + 'static>(
        mut self,
        spec: NodeSpec,
        program: impl Fn(Process) -> F + Send + Sync + 'static,
    ) -> Self {
        self.nodes.push((spec, Arc::new(move |process| Box::pin(program(process)))));
        self
    }

    pub(crate) fn server<F: Future<Output = ()> + 'static>(
        self,
        number: u8,
        program: impl Fn(Process) -> F + Send + Sync + 'static,
    ) -> Self {
        let name = format!("s{number}");
        let mut stage = self.node(NodeSpec::server(&name), program);
        stage.servers.push(name.as_str().into());
        stage
    }

    pub(crate) fn client<F: Future<Output = ()> + 'static>(
        self,
        name: &str,
        program: impl Fn(Process) -> F + Send + Sync + 'static,
    ) -> Self {
        self.node(NodeSpec::client(name), program)
    }

    pub(crate) fn fault(mut self, at_ms: u64, lasts_ms: u64, kind: FaultKind) -> Self {
        let plan = self.plan.get_or_insert_default();
        plan.faults.push(Fault { at_ms, lasts_ms, kind });
        self
    }

    pub(crate) fn lifting_the_atlas(mut self) -> Self {
        self.plan.get_or_insert_default().lifts_atlas = true;
        self
    }

    pub(crate) fn in_a_swarm(mut self) -> Self {
        self.plan = None;
        self
    }

    fn systems(&self) -> Vec<Arc<dyn System>> {
        let servers = || Arc::new(Servers(self.servers.clone())) as _;
        (!self.servers.is_empty()).then(servers).into_iter().collect()
    }

    /// The milestone that ends the run; until then it must come within the limits.
    pub(crate) fn until(mut self, milestone: &'static str) -> Self {
        self.ends_with = milestone;
        self
    }

    pub(crate) fn spec(&self, seed: u64) -> RunSpec {
        RunSpec { recording: Recording::Full, ..RunSpec::new(Arc::new(self.clone()), seed) }
    }

    pub(crate) fn run(&self, seed: u64) -> Run {
        run(&self.spec(seed))
    }

    /// Runs it with several seeds, demands that nothing fires, and hands each run over.
    #[track_caller]
    pub(crate) fn check(&self, look: impl Fn(&Run)) {
        for seed in 0..8 {
            let run = self.run(seed);
            let fired: Vec<_> = run.outcome.violations().collect();
            assert!(fired.is_empty(), "seed {seed}: {fired:?}\n{:?}", told(&run));
            look(&run);
        }
    }
}

struct SeesMilestone {
    name: &'static str,
    seen: bool,
}

impl Progress for SeesMilestone {
    fn observe(&mut self, event: &Event) {
        self.seen |= milestone(event).is_some_and(|name| name == self.name);
    }
    fn ready(&self, _: bool) -> bool {
        true
    }
    fn done(&self) -> bool {
        self.seen
    }
    fn waits_for(&self) -> String {
        format!("no `{}`", self.name)
    }
}

impl Scenario for Stage {
    fn name(&self) -> &str {
        "stage"
    }
    fn about(&self) -> &str {
        "A test."
    }
    fn topology(&self) -> Topology {
        Topology {
            nodes: self.nodes.iter().map(|(spec, _)| spec.clone()).collect(),
            systems: self.systems(),
            ..Topology::default()
        }
    }
    fn boot(&self, process: Process) -> Pin<Box<dyn Future<Output = ()>>> {
        let (_, program) = self
            .nodes
            .iter()
            .find(|(spec, _)| spec.name == process.node)
            .expect("only the stage's nodes are booted");
        program(process)
    }
    fn checkers(&self, _: u64) -> Suite {
        Suite::new()
    }
    fn goals(&self) -> Vec<Goal> {
        vec![Goal::new("crashes", "a process died", Interests::ALL, |event| {
            matches!(event.happening, Happening::Crashed { .. })
        })]
    }
    fn progress(&self, _: u64) -> Box<dyn Progress> {
        Box::new(SeesMilestone { name: self.ends_with, seen: false })
    }
    fn plan(&self) -> Option<Plan> {
        self.plan.clone()
    }
    fn limits(&self) -> Limits {
        self.limits
    }
}

/// The servers of a stage, whose messages to port 1 are said to have checksums.
struct Servers(Vec<NodeName>);

impl Servers {
    fn ensemble(&self) -> Ensemble {
        let number = |node: &NodeName| node.0.strip_prefix('s')?.parse().ok();
        let servers = self.0.iter().filter_map(number).filter_map(ServerId::new);
        Ensemble::new(servers, []).expect("a stage with servers has some")
    }
}

impl System for Servers {
    fn name(&self) -> &str {
        "servers"
    }
    fn members(&self) -> Vec<Member> {
        self.0.iter().map(|node| Member { node: node.clone(), votes: true }).collect()
    }
    fn targets(&self) -> Box<dyn Targets> {
        Box::new(leadership(&self.ensemble()))
    }
    fn states(&self) -> Box<dyn States> {
        Box::new(ServerStates::new(&self.ensemble()))
    }
    fn budget(&self) -> Budget {
        let spare = tolerated_failures(self.0.len());
        Budget { down: spare, damaged: spare }
    }
    fn checksummed_ports(&self) -> &[u16] {
        &[1]
    }
    fn ends_torn(&self, file: &str) -> bool {
        file == "log"
    }
}

fn milestone(event: &Event) -> Option<&str> {
    match &event.happening {
        Happening::Observed {
            observation: Observation::Application(ApplicationFact::Milestone { name }),
        } => Some(name),
        _ => None,
    }
}

/// Every milestone: when, in milliseconds, where and what.
pub(crate) fn told(run: &Run) -> Vec<(u64, String, String)> {
    let events = run.events.as_ref().expect("tests record everything");
    let line = |event: &Event| {
        let node = event.node.as_ref().map_or_else(String::new, |n| n.to_string());
        milestone(event).map(|name| (event.at_ns / 1_000_000, node, name.to_owned()))
    };
    events.iter().filter_map(line).collect()
}

/// When something was reported, in milliseconds.
#[track_caller]
pub(crate) fn when(run: &Run, what: &str) -> u64 {
    let told = told(run);
    let found = told.iter().find(|(_, _, name)| name == what);
    found.unwrap_or_else(|| panic!("nobody told of `{what}`: {told:?}")).0
}

/// How many times something was reported.
pub(crate) fn count(run: &Run, what: &str) -> usize {
    told(run).iter().filter(|(_, _, name)| name == what).count()
}

pub(crate) fn tell(platform: &impl Platform, what: &str) {
    platform.observe(ApplicationFact::Milestone { name: what.into() });
}

pub(crate) fn nodes(names: &[&str]) -> Vec<NodeName> {
    names.iter().map(|name| NodeName::from(*name)).collect()
}

pub(crate) fn address(text: &str) -> Address {
    Address::from(text)
}

/// Connects, and waits until that is answered; the reason if it is not open then.
pub(crate) async fn connect(
    endpoint: &SimEndpoint,
    to: &str,
) -> Result<ConnectionId, mailstorm_platform::CloseReason> {
    let wanted = endpoint.connect(&address(to));
    loop {
        match endpoint.next().await {
            NetworkEvent::Connected { connection } if connection == wanted => return Ok(wanted),
            NetworkEvent::Closed { connection, reason } if connection == wanted => {
                return Err(reason);
            }
            _ => {}
        }
    }
}

/// Sends back whatever comes.
pub(crate) async fn echo(process: Process) {
    let platform = process.platform;
    let endpoint = platform.endpoint();
    endpoint.listen(&address(&format!("{}:1", process.node))).expect("the port is free");
    loop {
        match endpoint.next().await {
            NetworkEvent::Received { connection, bytes } => endpoint.send(connection, bytes),
            NetworkEvent::Closed { reason, .. } => tell(&platform, &format!("{reason:?}")),
            _ => {}
        }
    }
}

/// Does nothing, for ever.
pub(crate) async fn idle(_: Process) {
    std::future::pending().await
}

/// A server that leads, writes whatever comes to its log, and answers when it is on the disk.
/// Sometimes it reads its log first.
pub(crate) async fn logger(process: Process) {
    let platform = process.platform;
    let number = process.node.0[1..].parse().ok().and_then(ServerId::new).expect("s and a number");
    if number.number() == 1 {
        let (epoch, last_logged) = (Epoch(process.incarnation + 1), Zxid::ZERO);
        platform.observe(EnsembleFact::Leads { epoch, last_logged });
    }
    let (endpoint, disk) = (platform.endpoint(), platform.disk());
    endpoint.listen(&address(&format!("{}:1", process.node))).expect("the port is free");
    let mut at = disk.read("log").await.map_or(0, |content| content.len() as u64);
    let mut received = 0u64;
    loop {
        if let NetworkEvent::Received { connection, bytes } = endpoint.next().await {
            received += 1;
            if received.is_multiple_of(50) && disk.read("log").await.is_err() {
                continue;
            }
            let length = bytes.len() as u64;
            if disk.write("log", at, bytes.clone()).await.is_ok() {
                at += length;
                if disk.sync("log").await.is_ok() {
                    endpoint.send(connection, bytes);
                }
            }
        }
    }
}

/// Asks these servers, in turn, all the time; gives up on one that has not answered for a second.
pub(crate) async fn asker(process: Process, servers: &'static [&'static str]) {
    let platform = process.platform;
    let endpoint = platform.endpoint();
    // Other content each time, so that a sector that is written over another one shows.
    let ask = |answers: usize| vec![answers as u8; 700];
    let mut answers = 0;
    for turn in 0.. {
        let at = servers[turn % servers.len()];
        let connection = endpoint.connect(&address(at));
        endpoint.send(connection, ask(answers).into());
        endpoint.wake_at(Some(platform.now().monotonic + Millis(1_000)));
        loop {
            match endpoint.next().await {
                NetworkEvent::Woken => break,
                NetworkEvent::Closed { connection: closed, .. } if closed == connection => {
                    platform.sleep(Millis(20)).await;
                    break;
                }
                NetworkEvent::Received { connection: from, .. } if from == connection => {
                    answers += 1;
                    if answers % 50 == 0 {
                        break;
                    }
                    endpoint.send(connection, ask(answers).into());
                    endpoint.wake_at(Some(platform.now().monotonic + Millis(1_000)));
                }
                _ => {}
            }
        }
        endpoint.close(connection);
        if platform.now().wall.0 % 3 == 0 {
            tell(&platform, "asked");
        }
    }
}
