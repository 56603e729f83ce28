//! The world of one run: all of its state, and the step that makes the next thing in it happen.
//!
//! Holds: the world's clock stands still while processes run and is exactly the time of what
//! happens next when it moves.
//! Start at [`World::happen`].

use crate::disk::DiskWork;
use crate::judge::{FaultBook, Judge};
use crate::network::Network;
use crate::node::Node;
use crate::queue::{Control, Due, Queue};
use crate::scenario::{DiskSpeed, Scenario};
use crate::slab::{Id, Slab};
use crate::stream::Stream;
use crate::system::System;
use mailstorm_record::{Event, Happening, TraceHash, Violation};
use mailstorm_shared::{Defects, Instant, Observation, StateHasher};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::hash::Hasher;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// A handle to the world; every process of a run holds some.
pub(crate) type WorldRef = Rc<RefCell<World>>;

/// How many times tasks may run, however little happens, before the run is a livelock.
const POLLS_MAX: u64 = 1_000_000;
/// And how many times more for each thing that happened.
const POLLS_PER_EVENT_MAX: u64 = 100;

const NS_PER_SECOND: u64 = 1_000_000_000;

/// The world.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) defects: Defects,
    /// Nanoseconds since the run began.
    pub(crate) now: u64,
    pub(crate) queue: Queue,
    pub(crate) nodes: Vec<Node>,
    pub(crate) network: Network,
    pub(crate) disk_speed: DiskSpeed,
    pub(crate) disk_work: Slab<DiskWork>,
    pub(crate) sleeps: Slab<Sleeper>,
    pub(crate) judge: Judge,
    pub(crate) faults: FaultBook,
    pub(crate) scenario: Arc<dyn Scenario>,
    pub(crate) systems: Vec<Arc<dyn System>>,
    /// What the run's own task is to do.
    pub(crate) controls: VecDeque<Control>,
    pub(crate) control_waker: Option<Waker>,
    /// How many things have happened.
    pub(crate) events: u64,
    events_max: u64,
    /// How many times a task ran.
    pub(crate) polls: u64,
    /// How many tasks there are.
    pub(crate) tasks: usize,
    /// All faults are over.
    pub(crate) healed: bool,
    /// The run is over: nothing happens, and nobody may request anything.
    pub(crate) over: bool,
    /// Everything drawn by sources that are gone.
    drawn: StateHasher,
    /// What every node was at every virtual second so far.
    states: StateHasher,
    /// The virtual second up to which that is so.
    second: u64,
    /// Whether the last thing that happened gives somebody something to do.
    stirred: bool,
}

/// A process that waits for time to pass.
pub(crate) struct Sleeper {
    node: usize,
    until: Instant,
    waker: Option<Waker>,
    done: bool,
}

/// What a run's world is made of.
pub(crate) struct Materials {
    pub(crate) seed: u64,
    pub(crate) defects: Defects,
    pub(crate) scenario: Arc<dyn Scenario>,
    pub(crate) faults: FaultBook,
    pub(crate) judge: Judge,
    pub(crate) events_max: u64,
}

impl World {
    pub(crate) fn new(materials: Materials) -> Self {
        let Materials { seed, defects, scenario, faults, judge, events_max } = materials;
        let topology = scenario.topology();
        let network = Network::new(seed, &topology);
        let memberships = topology.memberships();
        let specs = topology.nodes.into_iter().zip(memberships).enumerate();
        let nodes = specs.map(|(i, (spec, of))| Node::new(seed, i, spec, of)).collect();
        Self {
            seed,
            defects,
            now: 0,
            queue: Queue::default(),
            nodes,
            network,
            disk_speed: topology.disk,
            disk_work: Slab::default(),
            sleeps: Slab::default(),
            judge,
            faults,
            scenario,
            systems: topology.systems,
            controls: VecDeque::new(),
            control_waker: None,
            events: 0,
            events_max,
            polls: 0,
            tasks: 0,
            healed: false,
            over: false,
            drawn: StateHasher::new(),
            states: StateHasher::new(),
            second: 0,
            stirred: false,
        }
    }

    /// Lets the next things happen, until somebody who had nothing to do has something.
    pub(crate) fn happen(&mut self) {
        self.stirred = false;
        while !self.stirred && !self.over && self.controls.is_empty() {
            let Some(at) = self.queue.head() else { return };
            assert!(at >= self.now, "time never goes back: {at} after {}", self.now);
            self.now = at;
            while self.queue.head() == Some(at) {
                let (_, due) = self.queue.pop().expect("there is a head");
                self.one(due);
            }
            if self.events >= self.events_max {
                self.events_max = u64::MAX;
                self.give_up("events", format!("{} events and no end", self.events));
            }
        }
    }

    fn one(&mut self, due: Due) {
        self.events += 1;
        match due {
            Due::Arrival(half) => self.arrival(half),
            Due::Unknown(half) => self.unknown(half),
            Due::Refused(half) => self.refused(half),
            Due::GiveUp(half) => self.give_up_on(half),
            Due::Timer(endpoint) => self.timer_due(endpoint),
            Due::Sleep(sleep) => self.sleep_due(sleep),
            Due::Disk(work) => self.disk_due(work),
            Due::Control(control) => self.control(control),
        }
    }

    /// Hands something to the run's own task.
    pub(crate) fn control(&mut self, control: Control) {
        self.controls.push_back(control);
        if let Some(waker) = self.control_waker.take() {
            waker.wake();
        }
        self.stirred = true;
    }

    /// Wakes a task of a node.
    pub(crate) fn wake(&mut self, node: usize, waker: Waker) {
        self.stirred |= self.nodes[node].runs();
        waker.wake();
    }

    /// A task runs. Returns whether it may: tasks that run on and on while nothing happens are
    /// stopped.
    pub(crate) fn polled(&mut self) -> bool {
        self.polls += 1;
        let bound = POLLS_MAX + POLLS_PER_EVENT_MAX * self.events;
        if self.polls == bound + 1 {
            self.give_up("polls", "processes run and run, and nothing happens".to_owned());
        }
        self.polls <= bound
    }

    /// A bound is reached: the run ends with a violation.
    fn give_up(&mut self, kind: &str, detail: String) {
        self.accuse("bound", kind, &[], detail);
    }

    /// The world itself found something; the run ends.
    pub(crate) fn accuse(&mut self, checker: &str, kind: &str, nodes: &[usize], detail: String) {
        let nodes = nodes.iter().map(|n| self.nodes[*n].spec.name.clone()).collect();
        mailstorm_checkers::common::kinds::expect_known(checker, kind);
        let (checker, kind) = (checker.to_owned(), kind.to_owned());
        let at_ns = self.now;
        let violation = Violation { checker, kind, at_ns, nodes, detail, ..Violation::default() };
        self.judge.accuse(violation);
        self.control(Control::Look);
    }

    /// Reports to the onlookers.
    pub(crate) fn tell(&mut self, node: Option<usize>, happening: Happening) {
        let node = node.map(|n| self.nodes[n].spec.name.clone());
        let fired = self.judge.fired;
        self.judge.see(Event { at_ns: self.now, node, happening });
        if self.judge.fired && !fired {
            self.control(Control::Look);
        }
    }

    /// A process reports a fact.
    pub(crate) fn observe(&mut self, node: usize, observation: Observation) {
        let system = self.nodes[node].system().map(|place| &self.systems[place]);
        let rests = system.and_then(|system| system.rests_on_disk(&observation));
        self.tell(Some(node), Happening::Observed { observation });
        if let Some(one_in) = rests {
            self.read_disk(node, one_in);
        }
    }

    /// Compares what a process reported with its disk.
    fn read_disk(&mut self, node: usize, one_in: NonZeroU32) {
        let machine = &mut self.nodes[node];
        machine.said += 1;
        if !machine.said.is_multiple_of(u64::from(one_in.get())) {
            return;
        }
        let Some(platters) = machine.disk.files.platters() else { return };
        let Some(system) = machine.membership.map(|of| &self.systems[of.system]) else { return };
        let found = system.read_disk(&machine.spec.name, &platters);
        if let Some(observation) = found {
            self.tell(Some(node), Happening::Observed { observation });
        }
    }

    /// Whether this incarnation of a node's process is the one that is there.
    pub(crate) fn is_alive(&self, node: usize, incarnation: u32) -> bool {
        let node = &self.nodes[node];
        !self.over && node.is_up() && node.incarnation() == incarnation
    }

    /// Begins to wait for a node's monotonic clock to show `until`.
    pub(crate) fn sleep(&mut self, node: usize, until: Instant) -> Id {
        let id = self.sleeps.insert(Sleeper { node, until, waker: None, done: false });
        let at = self.nodes[node].clock.when(self.now, until);
        self.queue.push(at, Due::Sleep(id));
        id
    }

    fn sleep_due(&mut self, id: Id) {
        let Some(sleeper) = self.sleeps.get_mut(id) else { return };
        let clock = &self.nodes[sleeper.node].clock;
        if clock.now(self.now).monotonic < sleeper.until {
            // The clock was slowed down meanwhile.
            let at = clock.when(self.now, sleeper.until);
            self.queue.push(at, Due::Sleep(id));
            return;
        }
        sleeper.done = true;
        let (node, waker) = (sleeper.node, sleeper.waker.take());
        if let Some(waker) = waker {
            self.wake(node, waker);
        }
    }

    pub(crate) fn sleep_poll(&mut self, id: Id, waker: &Waker) -> Poll<()> {
        match self.sleeps.get_mut(id) {
            Some(sleeper) if sleeper.done => Poll::Ready(()),
            Some(sleeper) => {
                sleeper.waker = Some(waker.clone());
                Poll::Pending
            }
            None => Poll::Pending,
        }
    }

    /// A node's clock changed its speed: every timer is due at another time. Timers that are now
    /// due later notice it themselves.
    pub(crate) fn clock_changed(&mut self, node: usize) {
        for id in self.sleeps.ids(|sleeper| sleeper.node == node && !sleeper.done) {
            let until = self.sleeps.get(id).expect("its id was just found").until;
            let at = self.nodes[node].clock.when(self.now, until);
            self.queue.push(at, Due::Sleep(id));
        }
        self.rearm_timers(node);
    }

    /// The process on a node is gone: nothing it requested is left. `told` says whether its machine
    /// is there to notify its peers.
    pub(crate) fn forget_process(&mut self, node: usize, told: bool) {
        self.network_abandon(node, told);
        self.disk_abandon(node);
        for id in self.sleeps.ids(|sleeper| sleeper.node == node) {
            self.sleeps.remove(id);
        }
    }

    /// A source of randomness is gone.
    pub(crate) fn forget_stream(&mut self, stream: &Stream) {
        self.drawn.write_u64(stream.drawn());
    }

    /// A hash over everything that all sources drew.
    pub(crate) fn drawn(&self) -> u64 {
        let mut hasher = self.drawn.clone();
        self.network.drawn().for_each(|drawn| hasher.write_u64(drawn));
        for node in &self.nodes {
            hasher.write_u64(node.entropy.drawn());
            node.disk.drawn().into_iter().for_each(|drawn| hasher.write_u64(drawn));
        }
        hasher.finish()
    }

    /// Notes what every node is, if a virtual second has passed since the last time. A glance has
    /// to be enough: a hash over all that a server knows takes longer than the second it is about.
    /// Full recordings have that as well.
    pub(crate) fn note_states(&mut self) {
        if self.now / NS_PER_SECOND == self.second {
            return;
        }
        self.second = self.now / NS_PER_SECOND;
        self.states.write_u64(self.second);
        for node in &self.nodes {
            self.states.write_u32(node.starts);
            self.states.write_u64(node.entropy.drawn());
            let Some(window) = node.window.as_ref().filter(|_| node.is_up()) else { continue };
            self.states.write_u64(window.glance().unwrap_or(0));
            if self.judge.is_full()
                && let Some(hash) = window.look()
            {
                let hash = TraceHash(hash);
                let name = node.spec.name.clone();
                self.judge.record_only(self.now, name, Happening::State { hash });
            }
        }
    }

    /// A hash over what every node was at every virtual second, and over all that those know that
    /// show it, at the end.
    pub(crate) fn states(&self) -> u64 {
        let mut hasher = self.states.clone();
        for window in self.nodes.iter().filter_map(|node| node.window.as_ref()) {
            hasher.write_u64(window.look().unwrap_or(0));
        }
        hasher.finish()
    }

    /// The node of this name.
    pub(crate) fn node_named(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| &*node.spec.name.0 == name)
    }
}
