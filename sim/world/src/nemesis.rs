//! The nemesis: carries out the faults of a plan, and the life and death of processes.
//!
//! Owns: which nodes a fault strikes, which links and disks and clocks it touches, when processes
//! start and die, the atlas. Leaves: what a cut, a crash or a slow disk does to operations in
//! progress to the modules that own them.
//! Holds: faults may overlap; each takes away only what it has brought; a process is up again when
//! the last fault that keeps it down has ended. Each fault draws from a stream of its own.
//!
//! The *atlas* keeps damage to what disks hold durably within what a correct system must survive:
//! in one run at most as many voters are ever damaged as the system's budget says; the newest batch
//! of a log is spared (damage there looks like a crash, see `disk::files`); damage comes while the
//! process is down, so that it is found before anything else happens to the file.

use crate::disk::files::{Fate, Losses};
use crate::executor::{self, Task, spawn_program};
use crate::network::link::Link;
use crate::node::Life;
use crate::platform::SimPlatform;
use crate::queue::{Control, Due};
use crate::scenario::Process;
use crate::slab::Id;
use crate::stream::Stream;
use crate::world::{World, WorldRef};
use madsim::runtime::Handle;
use mailstorm_record::{Fault, FaultKind, Happening, Meanings, NodeName};
use mailstorm_shared::StateHasher;
use std::collections::{BTreeMap, BTreeSet};

const NS_PER_MS: u64 = 1_000_000;

/// The nemesis of one run.
pub(crate) struct Nemesis {
    world: WorldRef,
    madsim: Handle,
    active: BTreeMap<usize, Active>,
    /// The voters whose disks were ever damaged.
    damaged: BTreeSet<usize>,
    /// How fast each node's clock runs when it is left alone.
    natural_ppm: Vec<i32>,
}

/// A fault that has begun and not ended.
struct Active {
    kind: FaultKind,
    /// The nodes of each of its lists.
    lists: Vec<Vec<usize>>,
    stream: Stream,
    /// Where a fault that comes and goes stands.
    is_on: bool,
    /// When it began.
    since: u64,
    /// The stranger that floods.
    stranger: Option<Id>,
}

impl Nemesis {
    pub(crate) fn new(world: WorldRef) -> Self {
        let natural_ppm = world.borrow().nodes.iter().map(|node| node.clock.ppm()).collect();
        Self {
            world,
            madsim: Handle::current(),
            active: BTreeMap::new(),
            damaged: BTreeSet::new(),
            natural_ppm,
        }
    }

    /// The storm begins now: every fault has its time.
    pub(crate) fn schedule(&self) {
        let world = &mut *self.world.borrow_mut();
        for (index, fault) in world.faults.plan.faults.iter().enumerate() {
            let at = world.now.saturating_add(fault.at_ms.saturating_mul(NS_PER_MS));
            world.queue.push(at, Due::Control(Control::FaultBegins(index)));
        }
    }

    /// All faults end, and all processes are up; but for faults that last for ever, if the run
    /// `keeps` them.
    pub(crate) fn heal(&mut self, keeps: bool) {
        self.world.borrow_mut().healed = true;
        for fault in self.active.keys().copied().collect::<Vec<_>>() {
            let is_kept = keeps && self.world.borrow().faults.plan.faults[fault].is_forever();
            if !is_kept {
                self.fault_ends(fault);
            }
        }
        for node in 0..self.natural_ppm.len() {
            self.start(node);
        }
    }

    /// Every process ends; the run is over, be it in the middle of a storm.
    pub(crate) fn end(&mut self) {
        for active in self.active.values() {
            self.world.borrow_mut().forget_stream(&active.stream);
        }
        let ids: Vec<_> = self.world.borrow().nodes.iter().filter_map(|n| n.madsim).collect();
        ids.into_iter().for_each(|id| self.madsim.kill(id));
    }

    pub(crate) fn fault_begins(&mut self, index: usize) {
        let (seed, fault) = {
            let world = self.world.borrow();
            (world.seed, world.faults.plan.faults[index].clone())
        };
        let Fault { lasts_ms, kind, .. } = &fault;
        // Keyed by what the fault is and not by its place, so that taking another one out of the
        // plan leaves its draws alone.
        let name = format!("fault {:016x}", StateHasher::of(&fault));
        let mut stream = Stream::new(seed, &name);
        let lists = {
            let mut world = self.world.borrow_mut();
            let aims = &world.judge.aims;
            let mut meant = Meanings(aims.meant(kind, |members| stream.pick(members).cloned()));
            let all: Vec<NodeName> =
                world.nodes.iter().map(|node| node.spec.name.clone()).collect();
            let named = meant.lists(kind, &all);
            let place = |name: &NodeName| world.node_named(&name.0);
            let lists: Vec<Vec<usize>> =
                named.iter().map(|list| list.iter().filter_map(place).collect()).collect();
            let struck: BTreeSet<usize> = lists.iter().flatten().copied().collect();
            let nodes: Vec<NodeName> = struck.iter().map(|node| all[*node].clone()).collect();
            let titles = aims.titles(&nodes, &meant.0);
            meant.0.extend(titles);
            world.faults.begun(index);
            let kind = world.faults.label(index).into();
            world.tell(None, Happening::FaultBegan { index, kind, nodes, meant });
            if !fault.is_forever() {
                let at = world.now.saturating_add(lasts_ms.saturating_mul(NS_PER_MS));
                world.queue.push(at, Due::Control(Control::FaultEnds(index)));
            }
            lists
        };
        let kind = kind.clone();
        let since = self.world.borrow().now;
        let active = Active { kind, lists, stream, is_on: true, since, stranger: None };
        self.active.insert(index, active);
        self.change(index, true);
        self.step_later(index);
    }

    /// A fault that comes and goes does so.
    pub(crate) fn fault_steps(&mut self, index: usize) {
        let Some(active) = self.active.get_mut(&index) else { return };
        match active.kind {
            FaultKind::Reset { .. } => self.change(index, true),
            FaultKind::TornWrites { .. } => self.tear(index),
            _ => {
                active.is_on = !active.is_on;
                let is_on = active.is_on;
                self.change(index, is_on);
            }
        }
        self.step_later(index);
    }

    fn step_later(&mut self, index: usize) {
        let active = &self.active[&index];
        let after_ms = match (&active.kind, active.is_on) {
            (FaultKind::Reset { every_ms, .. }, _) => *every_ms,
            (FaultKind::Flap { down_ms, .. } | FaultKind::CrashLoop { down_ms, .. }, true) => {
                *down_ms
            }
            (FaultKind::Flap { up_ms, .. } | FaultKind::CrashLoop { up_ms, .. }, false) => *up_ms,
            _ => 0,
        };
        if after_ms > 0 {
            let mut world = self.world.borrow_mut();
            let at = world.now.saturating_add(after_ms.saturating_mul(NS_PER_MS));
            world.queue.push(at, Due::Control(Control::FaultSteps(index)));
        }
    }

    pub(crate) fn fault_ends(&mut self, index: usize) {
        let Some(active) = self.active.get(&index) else { return };
        if active.is_on {
            self.change(index, false);
        }
        let gone = self.active.remove(&index);
        let mut world = self.world.borrow_mut();
        gone.into_iter().for_each(|active| world.forget_stream(&active.stream));
        world.tell(None, Happening::FaultEnded { index });
    }

    /// Brings a fault, or takes it away.
    fn change(&mut self, index: usize, begins: bool) {
        let active = self.active.get_mut(&index).expect("only active faults change");
        let (kind, lists) = (active.kind.clone(), active.lists.clone());
        let nodes: &[usize] = lists.first().map_or(&[], |list| &list[..]);
        match kind {
            FaultKind::Partition { .. } => {
                let mut pairs = Vec::new();
                for (place, side) in lists.iter().enumerate() {
                    for other in &lists[place + 1..] {
                        pairs.extend(both_ways(side, other));
                    }
                }
                self.cut(index, &pairs, begins);
            }
            FaultKind::Bridge { .. } => self.cut(index, &both_ways(&lists[0], &lists[1]), begins),
            FaultKind::OneWay { .. } => self.cut(index, &one_way(&lists[0], &lists[1]), begins),
            FaultKind::Ring { .. } => self.cut(index, &ring(nodes), begins),
            FaultKind::Isolate { .. } | FaultKind::Flap { .. } => {
                let all: Vec<usize> = (0..=self.world.borrow().network.strangers()).collect();
                self.cut(index, &both_ways(nodes, &all), begins);
            }
            FaultKind::KillSessions { .. } => {
                let of = |node: &usize| both_ways(&[*node], &self.servers_of(*node));
                let mut pairs: Vec<(usize, usize)> = nodes.iter().flat_map(of).collect();
                pairs.sort_unstable();
                pairs.dedup();
                self.cut(index, &pairs, begins);
            }
            FaultKind::Slow { delay_ms, kib_per_second, .. } => {
                let (delay, left) = (delay_ms * NS_PER_MS, kib_per_second * 1024);
                self.links_of(nodes, |link| {
                    link.slowed_by.retain(|by| by.0 != index);
                    if begins {
                        link.slowed_by.push((index, delay, left));
                    }
                });
            }
            FaultKind::Corrupt { per_million, .. } => self.links_of(nodes, |link| {
                link.corrupted_by.retain(|by| by.0 != index);
                if begins {
                    link.corrupted_by.push((index, per_million));
                }
            }),
            FaultKind::Reset { .. } if begins => self.reset(index, nodes),
            FaultKind::Reset { .. } => {}
            FaultKind::Flood { connections, .. } => self.flood(index, nodes, connections, begins),
            FaultKind::Kill { .. } => self.stop(index, nodes, begins, true, Death::OfProcess),
            FaultKind::Crash { .. } | FaultKind::CrashLoop { .. } => {
                self.stop(index, nodes, begins, true, Death::OfMachine(Fate::Drawn));
            }
            FaultKind::PowerCut { .. } => {
                self.power(index, nodes, begins);
                self.stop(index, nodes, begins, false, Death::OfMachine(Fate::Drawn));
            }
            FaultKind::TornWrites { .. } => {
                let mut world = self.world.borrow_mut();
                for node in nodes {
                    switch(&mut world.nodes[*node].disk.faults.tears, index, begins);
                }
                drop(world);
                if !begins {
                    self.release(index, nodes);
                }
            }
            FaultKind::BitRot { .. }
            | FaultKind::MisdirectedWrite { .. }
            | FaultKind::UnreadableSectors { .. }
            | FaultKind::DiskLost { .. } => self.damage(index, &kind, nodes, begins),
            FaultKind::Pause { .. } => {
                nodes.iter().for_each(|node| self.pause(index, *node, begins))
            }
            FaultKind::Drift { ppm, .. } => {
                nodes.iter().for_each(|n| self.drift(index, *n, begins.then_some(ppm)))
            }
            FaultKind::Jump { by_ms, .. } => {
                let mut world = self.world.borrow_mut();
                for node in nodes {
                    world.nodes[*node].clock.jump(if begins { by_ms } else { -by_ms });
                    // A clock without a process that reads it has no effect.
                    if by_ms != 0 && world.nodes[*node].is_up() {
                        world.faults.effective(index);
                    }
                }
            }
            FaultKind::DiskStall { .. } => {
                let mut world = self.world.borrow_mut();
                for node in nodes {
                    switch(&mut world.nodes[*node].disk.faults.stalled, index, begins);
                    if world.nodes[*node].disk.faults.stalled.is_empty() {
                        world.disk_answers(*node);
                    }
                }
            }
            FaultKind::DiskSlow { factor, .. } => {
                let mut world = self.world.borrow_mut();
                for node in nodes {
                    let slow = &mut world.nodes[*node].disk.faults.slow;
                    slow.retain(|by| by.0 != index);
                    if begins {
                        slow.push((index, factor));
                    }
                    world.disk_pace_changed(*node);
                }
            }
            FaultKind::DiskFull { .. }
            | FaultKind::SyncFails { .. }
            | FaultKind::ReadFails { .. }
            | FaultKind::WriteFails { .. }
            | FaultKind::SyncLies { .. } => {
                let mut world = self.world.borrow_mut();
                for node in nodes {
                    let faults = &mut world.nodes[*node].disk.faults;
                    let list = match kind {
                        FaultKind::DiskFull { .. } => &mut faults.full,
                        FaultKind::SyncFails { .. } => &mut faults.sync_fails,
                        FaultKind::ReadFails { .. } => &mut faults.read_fails,
                        FaultKind::WriteFails { .. } => &mut faults.write_fails,
                        _ => &mut faults.sync_lies,
                    };
                    switch(list, index, begins);
                }
            }
        }
    }

    /// Cuts links, or lets go of them.
    fn cut(&self, index: usize, pairs: &[(usize, usize)], begins: bool) {
        let mut world = self.world.borrow_mut();
        for (from, to) in pairs {
            switch(&mut world.network.link(*from, *to).cut_by, index, begins);
        }
        world.network_changed();
        if !begins {
            pairs.iter().for_each(|(from, to)| world.link_changed(*from, *to));
        }
    }

    /// Does something to every link to and from these nodes.
    fn links_of(&self, nodes: &[usize], mut act: impl FnMut(&mut Link)) {
        let network = &mut self.world.borrow_mut().network;
        let count = network.strangers() + 1;
        for from in 0..count {
            for to in (0..count).filter(|to| nodes.contains(to) || nodes.contains(&from)) {
                act(network.link(from, to));
            }
        }
    }

    fn reset(&self, index: usize, nodes: &[usize]) {
        let mut world = self.world.borrow_mut();
        for node in nodes {
            for connection in world.connections_of(*node) {
                world.faults.effective(index);
                world.reset(connection);
            }
        }
    }

    /// Strangers come, or go.
    fn flood(&mut self, index: usize, nodes: &[usize], connections: u32, begins: bool) {
        let active = self.active.get_mut(&index).expect("only active faults change");
        let mut world = self.world.borrow_mut();
        if !begins {
            active.stranger.take().into_iter().for_each(|endpoint| world.drop_endpoint(endpoint));
            return;
        }
        let strangers = world.network.strangers();
        let endpoint = world.new_endpoint(strangers);
        active.stranger = Some(endpoint);
        for node in nodes {
            let addresses: Vec<_> =
                world.nodes[*node].listeners.iter().map(|listener| listener.2.clone()).collect();
            for address in addresses {
                // Where the link is cut, nothing of them arrives.
                let ways = [(strangers, *node), (*node, strangers)];
                if ways.iter().all(|(a, b)| world.network.link(*a, *b).cut_by.is_empty()) {
                    world.faults.effective(index);
                }
                for _ in 0..connections {
                    let half = world.connect(endpoint, strangers, &address);
                    let length = active.stream.below(64) as usize;
                    let nonsense: Vec<u8> =
                        (0..length).map(|_| active.stream.number() as u8).collect();
                    world.send(half, nonsense.into());
                }
            }
        }
    }

    /// Stops the processes of nodes, or lets them be started.
    fn stop(&mut self, index: usize, nodes: &[usize], begins: bool, told: bool, death: Death) {
        if !begins {
            return self.release(index, nodes);
        }
        for node in nodes {
            self.world.borrow_mut().nodes[*node].down_by.push(index);
            let why = self.active[&index].kind.name();
            if self.kill(*node, why, told, death).is_some() {
                self.world.borrow_mut().faults.effective(index);
            }
        }
    }

    /// This fault keeps these nodes down no longer.
    fn release(&mut self, index: usize, nodes: &[usize]) {
        for node in nodes {
            self.world.borrow_mut().nodes[*node].down_by.retain(|by| *by != index);
            self.start(*node);
        }
    }

    /// Takes power from machines, or gives it back.
    fn power(&self, index: usize, nodes: &[usize], begins: bool) {
        let mut world = self.world.borrow_mut();
        for node in nodes {
            switch(&mut world.nodes[*node].dark_by, index, begins);
            world.network_changed();
            if !begins {
                for other in 0..=world.network.strangers() {
                    world.link_changed(*node, other);
                    world.link_changed(other, *node);
                }
            }
        }
    }

    /// A process that was about to sync dies in the middle of the write.
    fn tear(&mut self, index: usize) {
        let active = &self.active[&index];
        let nodes = active.lists.first().cloned().unwrap_or_default();
        for node in nodes {
            let sprung = std::mem::take(&mut self.world.borrow_mut().nodes[node].disk.is_torn);
            if !sprung {
                continue;
            }
            {
                let mut world = self.world.borrow_mut();
                switch(&mut world.nodes[node].disk.faults.tears, index, false);
                world.nodes[node].down_by.push(index);
            }
            let death = Death::OfMachine(Fate::Torn);
            if self.kill(node, "torn_writes", true, death).is_some_and(|l| l.torn > 0) {
                self.world.borrow_mut().faults.effective(index);
            }
        }
    }

    /// Damages disks while their processes are down.
    fn damage(&mut self, index: usize, kind: &FaultKind, nodes: &[usize], begins: bool) {
        if !begins {
            return self.release(index, nodes);
        }
        for node in nodes {
            if !self.atlas_allows(*node) {
                continue;
            }
            self.world.borrow_mut().nodes[*node].down_by.push(index);
            let told = !matches!(kind, FaultKind::DiskLost { .. });
            self.kill(*node, kind.name(), told, Death::OfMachine(Fate::Drawn));
            let mut world = self.world.borrow_mut();
            let World { nodes, systems, .. } = &mut *world;
            let machine = &mut nodes[*node];
            let system = machine.system().map(|place| &systems[place]);
            let files = &mut machine.disk.files;
            let ends_torn = |file: &str| system.is_none_or(|system| system.ends_torn(file));
            let is_damaged = match kind {
                FaultKind::DiskLost { .. } => files.lose(),
                FaultKind::BitRot { sectors, .. } => {
                    (0..*sectors).filter(|_| files.rot(&ends_torn)).count() > 0
                }
                FaultKind::UnreadableSectors { sectors, .. } => {
                    (0..*sectors).filter(|_| files.make_unreadable()).count() > 0
                }
                _ => files.misdirect(&ends_torn),
            };
            if is_damaged {
                self.damaged.insert(*node);
                world.faults.effective(index);
                world.tell(Some(*node), Happening::DiskDamaged);
            }
        }
    }

    /// Whether a correct system must survive damage to this disk, too.
    fn atlas_allows(&self, node: usize) -> bool {
        let world = self.world.borrow();
        let votes_in = |n: usize| world.nodes[n].membership.filter(|of| of.votes);
        let Some(of) = votes_in(node) else { return true };
        if world.faults.plan.lifts_atlas || self.damaged.contains(&node) {
            return true;
        }
        let damaged = self.damaged.iter().filter(|n| votes_in(**n) == Some(of)).count();
        damaged < world.systems[of.system].budget().damaged
    }

    /// The servers with which this node may have a session: those of every system but its own, or
    /// of its own if there is no other.
    fn servers_of(&self, node: usize) -> Vec<usize> {
        let world = self.world.borrow();
        let own = world.nodes[node].system();
        let of = |wanted: &dyn Fn(usize) -> bool| -> Vec<usize> {
            let is = |n: &usize| world.nodes[*n].system().is_some_and(wanted);
            (0..world.nodes.len()).filter(is).collect()
        };
        let others = of(&|system| Some(system) != own);
        if others.is_empty() { of(&|_| true) } else { others }
    }

    fn pause(&self, index: usize, node: usize, begins: bool) {
        let (id, changed) = {
            let mut world = self.world.borrow_mut();
            let machine = &mut world.nodes[node];
            let ran = machine.paused_by.is_empty();
            switch(&mut machine.paused_by, index, begins);
            let changed = machine.is_up() && ran != machine.paused_by.is_empty();
            let id = machine.madsim;
            if changed && begins {
                world.faults.effective(index);
                world.tell(Some(node), Happening::Paused);
            } else if changed {
                world.tell(Some(node), Happening::Resumed);
            }
            (id, changed)
        };
        match (id, changed, begins) {
            (Some(id), true, true) => self.madsim.pause(id),
            (Some(id), true, false) => self.madsim.resume(id),
            _ => {}
        }
    }

    /// Changes the speed of a node's clocks, or sets it back.
    fn drift(&self, index: usize, node: usize, ppm: Option<i32>) {
        // Where drifts overlap, the last of the plan wins.
        let others = self.active.iter().rev().filter(|(other, _)| **other != index);
        let other = others.into_iter().find_map(|(_, active)| match active.kind {
            FaultKind::Drift { ppm, .. } if active.lists[0].contains(&node) => Some(ppm),
            _ => None,
        });
        let mut world = self.world.borrow_mut();
        let now = world.now;
        let Active { kind, since, .. } = &self.active[&index];
        if let (FaultKind::Drift { ppm: fast, .. }, None) = (kind, ppm) {
            // In vain if it moved no clock that somebody reads.
            let off = u64::from(fast.abs_diff(self.natural_ppm[node]));
            let moved_ns = u128::from(now - since) * u128::from(off) / 1_000_000;
            if moved_ns >= u128::from(NS_PER_MS) && world.nodes[node].is_up() {
                world.faults.effective(index);
            }
        }
        let ppm = ppm.or(other).unwrap_or(self.natural_ppm[node]);
        world.nodes[node].clock.set_ppm(now, ppm);
        world.clock_changed(node);
    }

    /// Starts a node's process, if it was requested and nothing keeps it down.
    pub(crate) fn start(&self, node: usize) {
        let (id, is_paused) = {
            let mut world = self.world.borrow_mut();
            let machine = &mut world.nodes[node];
            machine.is_asked = false;
            let can = machine.wanted && machine.down_by.is_empty() && machine.has_power();
            if !can || machine.life != Life::Down {
                return;
            }
            machine.life = Life::Up;
            machine.starts += 1;
            machine.last_words = None;
            machine.window = None;
            let (id, is_paused) = (machine.madsim, !machine.paused_by.is_empty());
            let incarnation = machine.incarnation();
            // A machine that stands still when its process is started stands still with it.
            let paused_by = machine.paused_by.clone();
            world.tell(Some(node), Happening::Started { incarnation });
            for fault in paused_by {
                world.faults.effective(fault);
            }
            if is_paused {
                world.tell(Some(node), Happening::Paused);
            }
            (id, is_paused)
        };
        let id = match id {
            Some(id) => {
                self.madsim.restart(id);
                id
            }
            None => {
                let built = self.madsim.create_node().init(move || program(node)).build();
                self.world.borrow_mut().nodes[node].madsim = Some(built.id());
                built.id()
            }
        };
        if is_paused {
            self.madsim.pause(id);
        }
    }

    /// A process came to the end of its program. Returns whether it is to be started again.
    pub(crate) fn ended(&self, node: usize, incarnation: u32) -> bool {
        let (returns, why) = {
            let mut world = self.world.borrow_mut();
            if !world.is_alive(node, incarnation) {
                return false;
            }
            let machine = &mut world.nodes[node];
            (machine.spec.returns, machine.last_words.take())
        };
        if !returns {
            let why = why.unwrap_or_else(|| "ended by itself".to_owned());
            self.kill(node, &why, true, Death::OfProcess);
            return true;
        }
        let mut world = self.world.borrow_mut();
        world.nodes[node].life = Life::Finished;
        world.forget_process(node, true);
        false
    }

    /// Ends a node's process at once, if there is one, and with its machine also what only the page
    /// cache holds. What was lost; `None` if there was neither a process nor anything in the cache.
    fn kill(&self, node: usize, why: &str, told: bool, death: Death) -> Option<Losses> {
        let (id, losses) = {
            let mut world = self.world.borrow_mut();
            let machine = &mut world.nodes[node];
            let was_up = machine.is_up();
            // A process that died before left its writes in the cache: they go with the machine.
            let is_settled = death == Death::OfProcess || machine.disk.files.is_settled();
            if !was_up && is_settled {
                return None;
            }
            if was_up {
                // From here on every handle of the process is dead; destructors run later.
                machine.life = Life::Down;
                world.forget_process(node, told);
            }
            let losses = match death {
                Death::OfProcess => Losses::default(),
                Death::OfMachine(fate) => world.nodes[node].disk.files.crash(fate),
            };
            if was_up {
                world.tell(Some(node), Happening::Crashed { why: why.into() });
            }
            let Losses { lost: sectors, torn, .. } = losses;
            if sectors + torn > 0 {
                world.tell(Some(node), Happening::WritesLost { sectors, torn });
            }
            (world.nodes[node].madsim.filter(|_| was_up), losses)
        };
        if let Some(id) = id {
            self.madsim.kill(id);
        }
        Some(losses)
    }
}

/// What dies with a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    /// Nothing: its machine goes on, and keeps what the process wrote in the page cache.
    OfProcess,
    /// Its machine, and with it the page cache.
    OfMachine(Fate),
}

/// A node's program, in its madsim node.
async fn program(node: usize) {
    let Some(world) = executor::world() else { return };
    let (process, scenario) = {
        let world_now = world.borrow();
        let machine = &world_now.nodes[node];
        let incarnation = machine.incarnation();
        let platform = SimPlatform::new(world.clone(), node, incarnation);
        let name = machine.spec.name.clone();
        let (seed, defects) = (world_now.seed, world_now.defects);
        let process = Process { node: name, incarnation, seed, defects, platform };
        (process, world_now.scenario.clone())
    };
    let incarnation = process.incarnation;
    let of = world.clone();
    let program = async move {
        scenario.boot(process).await;
        of.borrow_mut().control(Control::Ended { node, incarnation });
    };
    spawn_program(Task::new(world, node, incarnation, program)).await;
}

/// Puts a fault into a list, or takes it out.
fn switch(list: &mut Vec<usize>, fault: usize, begins: bool) {
    list.retain(|by| *by != fault);
    if begins {
        list.push(fault);
    }
}

fn one_way(from: &[usize], to: &[usize]) -> Vec<(usize, usize)> {
    let pairs = from.iter().flat_map(|a| to.iter().map(move |b| (*a, *b)));
    pairs.filter(|(a, b)| a != b).collect()
}

fn both_ways(left: &[usize], right: &[usize]) -> Vec<(usize, usize)> {
    let mut pairs = one_way(left, right);
    pairs.extend(one_way(right, left));
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

/// Every pair of a ring that are no neighbours in it.
fn ring(nodes: &[usize]) -> Vec<(usize, usize)> {
    let count = nodes.len();
    let mut pairs = Vec::new();
    for from in 0..count {
        for to in 0..count {
            let apart = (to + count - from) % count;
            if apart > 1 && apart < count - 1 {
                pairs.push((nodes[from], nodes[to]));
            }
        }
    }
    pairs
}
