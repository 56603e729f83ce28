//! One run: a scenario, a seed and a plan, from start to verdict.
//!
//! Owns: the phases start, storm, heal, converge and end, the bounds, the thread that a run has to
//! itself. Leaves: the faults to `nemesis`.
//! Holds: the same `(scenario, settings, seed, plan, defect)` gives the same [`Run`], in this
//! process and in any other.
//! Start at [`run`](fn@run).

use crate::aims::Aims;
use crate::coverage::CoverageMap;
use crate::executor::{self, Controls};
use crate::judge::{FaultBook, Judge};
use crate::nemesis::Nemesis;
use crate::queue::{Control, Due};
use crate::scenario::{Limits, RESTART_DELAY, Scenario, Topology};
use crate::stream::Stream;
use crate::swarm::{self, Mix};
use crate::world::{Materials, World, WorldRef};
use mailstorm_record::case::VERSION;
use mailstorm_record::run::{Outcome, RUN_FORMAT};
use mailstorm_record::{Happening, NodeName, Plan, Run, Settings, TraceHash, Verdict, Violation};
use mailstorm_shared::Millis;
use mailstorm_shared::defect::DefectId;
use mailstorm_shared::time_in_words::span_of_ms;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// How often a run checks whether its phase is over.
const LOOK_NS: u64 = 50_000_000;

const NS_PER_MS: u64 = 1_000_000;

/// How many turns the tasks of a run get to end after it is over: each ends at its first.
const LAST_TURNS_MAX: usize = 100_000;

/// The stack of a run's thread: programs are deep, and nothing here recurses without a bound.
const STACK_BYTES: usize = 8 * 1024 * 1024;

/// What is to be run.
#[derive(Clone)]
pub struct RunSpec {
    /// The scenario.
    pub scenario: Arc<dyn Scenario>,
    /// The seed.
    pub seed: u64,
    /// The faults; without any given, the scenario's own plan or what a swarm draws from the seed.
    /// Its nodes must be the scenario's ([`Plan::parse`], [`Plan::check`]).
    pub plan: Option<Plan>,
    /// The defect that is planted in all servers, clients and workers; none in the sound build.
    pub defect: Option<DefectId>,
    /// How much is recorded.
    pub recording: Recording,
}

impl RunSpec {
    /// The run of a scenario with a seed, recorded as a sweep does.
    pub fn new(scenario: Arc<dyn Scenario>, seed: u64) -> Self {
        Self { scenario, seed, plan: None, defect: None, recording: Recording::Digest }
    }

    /// The faults of this run.
    pub fn plan(&self) -> Plan {
        let own = || self.plan.clone().or_else(|| self.scenario.plan());
        own().unwrap_or_else(|| self.drawn(Mix::Swarm))
    }

    /// The same run, in a storm that has every kind of fault instead of those that its seed draws.
    #[must_use]
    pub fn with_every_fault(self) -> Self {
        Self { plan: Some(self.drawn(Mix::Every)), ..self }
    }

    fn drawn(&self, mix: Mix) -> Plan {
        let storm = self.scenario.limits().storm;
        swarm::draw(self.seed, &self.scenario.topology(), storm, mix)
    }
}

/// How much of a run is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recording {
    /// Hashes and counters.
    #[default]
    Digest,
    /// The same, when faults began and ended, and whom they struck.
    Faults,
    /// Every event and every message. It changes nothing about the run.
    Full,
}

/// Runs it, on a fresh thread: libraries seed their hash maps per thread, so that a second run on a
/// used one could differ.
pub fn run(spec: &RunSpec) -> Run {
    let spec = spec.clone();
    let thread = std::thread::Builder::new()
        .name(format!("seed {}", spec.seed))
        .stack_size(STACK_BYTES)
        .spawn(move || {
            crate::panics::note_on_this_thread();
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| on_this_thread(&spec)))
                .unwrap_or_else(|_| broken(&spec, crate::panics::take()))
        })
        .expect("the machine has room for one more thread");
    thread.join().expect("panics are caught in the thread")
}

/// The record of a run in which the laboratory itself failed.
fn broken(spec: &RunSpec, message: String) -> Run {
    let violation = Violation {
        checker: "panic".to_owned(),
        kind: "laboratory".to_owned(),
        detail: message,
        ..Violation::default()
    };
    let outcome = Outcome {
        verdicts: vec![("panic".to_owned(), Verdict::Violation(violation))],
        ..Outcome::default()
    };
    record(spec, spec.plan(), outcome, None)
}

fn record(
    spec: &RunSpec,
    plan: Plan,
    outcome: Outcome,
    events: Option<Vec<mailstorm_record::Event>>,
) -> Run {
    let scenario = spec.scenario.name().to_owned();
    Run {
        format: RUN_FORMAT,
        mailstorm: VERSION.to_owned(),
        scenario,
        seed: spec.seed,
        inbox: spec.scenario.inbox(),
        defect: spec.defect,
        settings: Settings::of(&spec.scenario.settings()),
        roles: BTreeMap::new(),
        plan,
        outcome,
        events,
    }
}

/// What each machine is, in the words of its scenario.
fn roles(topology: &Topology) -> BTreeMap<NodeName, String> {
    topology.nodes.iter().map(|node| (node.name.clone(), node.called.to_string())).collect()
}

/// After how many events this run is a livelock: in proportion to how long it may last.
fn events_max(limits: &Limits, storm_ms: u64) -> u64 {
    let span = |of: &Limits, storm_ms| of.start.0 + storm_ms + of.converge.0 + of.linger.0;
    let usual = Limits::default();
    let times = span(limits, storm_ms).div_ceil(span(&usual, usual.storm.0)).max(1);
    limits.events_max.saturating_mul(times)
}

fn on_this_thread(spec: &RunSpec) -> Run {
    let scheduler = Stream::new(spec.seed, "scheduler").number();
    let runtime = madsim::runtime::Runtime::with_seed_and_config(scheduler, Default::default());
    let plan = spec.plan();
    let scenario = spec.scenario.clone();
    let mut suite = scenario.checkers(spec.seed);
    suite.plan(&plan);
    let topology = scenario.topology();
    let judge = Judge::new(
        suite,
        scenario.progress(spec.seed),
        scenario.goals(),
        (Aims::of(&topology), CoverageMap::of(&topology)),
        spec.recording,
        scenario.goes_on(),
    );
    let limits = scenario.limits();
    let (played, roles) = (scenario.clone(), roles(&topology));
    let world: WorldRef = Rc::new(RefCell::new(World::new(Materials {
        seed: spec.seed,
        defects: spec.defect.into(),
        scenario,
        faults: FaultBook::new(plan.clone(), &topology.names()),
        judge,
        events_max: events_max(&limits, plan.storm_ms()),
    })));
    let shared = world.clone();
    let storm_ms = plan.storm_ms();
    let (is_complete, states) = runtime.block_on(async move {
        executor::enter(shared.clone());
        let mut driver = Driver::new(shared, &*played);
        let is_complete = driver.phases(Millis(storm_ms)).await;
        // Read while there are any.
        let states = TraceHash(driver.world.borrow().states());
        driver.end().await;
        executor::leave();
        (is_complete, states)
    });
    drop(runtime);
    let Ok(world) = Rc::try_unwrap(world) else { panic!("a process outlived its run") };
    let world = world.into_inner();
    let draws = TraceHash(world.drawn());
    let events = world.events;
    let faults = world.faults.counts();
    let (mut judge, virtual_ns) = (world.judge, world.now);
    let recorded = judge.take_record();
    let (trace_hash, reached) = (TraceHash(judge.trace_hash()), judge.reached());
    let coverage = judge.coverage();
    let mut figures = judge.progress.figures();
    let mut verdicts: Vec<(String, Verdict)> = std::mem::take(&mut judge.own)
        .into_iter()
        .map(|violation| (violation.checker.clone(), Verdict::Violation(violation)))
        .collect();
    let (messages, bytes) = (judge.messages, judge.bytes);
    if is_complete {
        let (judged, measured) = judge.suite.finish(virtual_ns);
        verdicts.extend(judged.into_iter().map(|(name, verdict)| (name.to_owned(), verdict)));
        for figure in measured {
            figures.insert(format!("{}_count", figure.name), figure.count);
            figures.insert(format!("{}_sum", figure.name), figure.sum);
            figures.insert(format!("{}_max", figure.name), figure.max);
        }
    } else {
        // What a run that was cut short does not show proves nothing: only what fired counts.
        let fired = judge.suite.violations();
        verdicts.extend(fired.map(|v| (v.checker.clone(), Verdict::Violation(v.clone()))));
    }
    let mut outcome = Outcome {
        verdicts,
        trace_hash,
        draws,
        states,
        coverage,
        reached,
        faults,
        figures,
        messages,
        bytes,
        events,
        virtual_ns,
    };
    outcome.lead_with(spec.scenario.leads_with());
    Run { roles, ..record(spec, plan, outcome, recorded) }
}

/// How a phase ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// What it waited for has come.
    Met,
    /// Its time is over.
    Late,
    /// Something fired.
    Fired,
}

/// What a run's own task does.
struct Driver {
    world: WorldRef,
    controls: Controls,
    nemesis: Nemesis,
    limits: Limits,
    goes_on: bool,
}

impl Driver {
    fn new(world: WorldRef, scenario: &dyn Scenario) -> Self {
        let (limits, goes_on) = (scenario.limits(), scenario.goes_on());
        Self {
            controls: Controls::new(world.clone()),
            nemesis: Nemesis::new(world.clone()),
            world,
            limits,
            goes_on,
        }
    }

    /// Goes through all phases. Returns whether the run came to its lawful end.
    async fn phases(&mut self, storm: Millis) -> bool {
        self.begin("start");
        let nodes = self.world.borrow().nodes.len();
        for node in 0..nodes {
            self.nemesis.start(node);
        }
        let ready =
            |world: &World| world.judge.progress.ready(world.judge.aims.all_mean_somebody());
        match self.wait(self.limits.start, ready).await {
            Ended::Fired => return false,
            Ended::Met => {}
            Ended::Late => return self.stuck("not-ready", self.limits.start),
        }
        self.begin("storm");
        self.nemesis.schedule();
        if self.wait(storm, |_| false).await == Ended::Fired {
            return false;
        }
        self.begin("heal");
        // A run that is judged by whether everything works again cannot have a fault that never
        // ends.
        self.nemesis.heal(self.goes_on);
        self.begin("converge");
        let done = |world: &World| world.judge.progress.done();
        match self.wait(self.limits.converge, done).await {
            Ended::Fired => return false,
            Ended::Met => {}
            // The checkers report what is missing, at the end.
            Ended::Late if self.goes_on => {}
            Ended::Late => return self.stuck("not-done", self.limits.converge),
        }
        // What happens too often happens now.
        if self.wait(self.limits.linger, |_| false).await == Ended::Fired {
            return false;
        }
        self.begin("end");
        !self.world.borrow().judge.fired
    }

    fn begin(&self, phase: &str) {
        self.world.borrow_mut().tell(None, Happening::Phase { name: phase.into() });
    }

    /// What it waited for did not come.
    fn stuck(&self, kind: &str, within: Millis) -> bool {
        let mut world = self.world.borrow_mut();
        let missing = world.judge.progress.waits_for();
        let detail = format!("within {} of virtual time: {missing}", span_of_ms(within.0));
        world.accuse("convergence", kind, &[], detail);
        false
    }

    /// Lets the world go on until `met`, but not for longer than `within`.
    async fn wait(&mut self, within: Millis, met: impl Fn(&World) -> bool) -> Ended {
        let until = self.world.borrow().now + within.0 * NS_PER_MS;
        let mut is_dead = false;
        loop {
            let before = {
                let mut world = self.world.borrow_mut();
                if world.judge.fired {
                    return Ended::Fired;
                }
                if met(&world) {
                    return Ended::Met;
                }
                if world.now >= until {
                    return Ended::Late;
                }
                if is_dead && self.goes_on && world.faults.last_for_ever() {
                    // Whoever could do something is gone for good, as the plan wants it.
                    return Ended::Late;
                }
                if is_dead {
                    let missing = world.judge.progress.waits_for();
                    let detail = format!("nothing can ever happen again: {missing}");
                    world.accuse("dead-end", "dead-end", &[], detail);
                    return Ended::Fired;
                }
                let at = until.min(world.now + LOOK_NS);
                world.queue.push(at, Due::Control(Control::Look));
                (world.events + 1, world.polls)
            };
            loop {
                let control = self.controls.next().await;
                if control == Control::Look {
                    self.world.borrow_mut().note_states();
                    break;
                }
                self.carry_out(control);
            }
            // Nothing happened but this check, no task ran, and nothing is to come.
            let world = self.world.borrow();
            is_dead = (world.events, world.polls) == before && world.queue.head().is_none();
        }
    }

    fn carry_out(&mut self, control: Control) {
        match control {
            Control::FaultBegins(fault) => self.nemesis.fault_begins(fault),
            Control::FaultSteps(fault) => self.nemesis.fault_steps(fault),
            Control::FaultEnds(fault) => self.nemesis.fault_ends(fault),
            Control::Start(node) => self.nemesis.start(node),
            Control::Ended { node, incarnation } => {
                if self.nemesis.ended(node, incarnation) {
                    let mut world = self.world.borrow_mut();
                    let at = world.now + RESTART_DELAY.0 * NS_PER_MS;
                    world.queue.push(at, Due::Control(Control::Start(node)));
                }
            }
            Control::Look => {}
        }
    }

    /// Ends every process, so that nothing of the run is left on this thread.
    async fn end(&mut self) {
        self.world.borrow_mut().over = true;
        self.nemesis.end();
        for _ in 0..LAST_TURNS_MAX {
            if self.world.borrow().tasks == 0 {
                return;
            }
            executor::turn().await;
        }
    }
}
