//! Plans drawn from seeds: which kinds of faults a storm has, how often, and how cruel they are.
//!
//! A storm in which everything goes wrong at once often hides what one kind of trouble would show
//! (swarm testing: Groce and others, ISSTA 2012). So each seed first draws which kinds it has at
//! all. Some kinds are several faults in a row, or at once: many bugs need the second blow while
//! the first is being dealt with.
//! Holds: the plan depends on seed, topology and length alone; each kind draws from a stream of its
//! own; no plan drawn here lifts the atlas.
//! Start at [`draw`].

use crate::scenario::{NodeSpec, Topology};
use crate::stream::Stream;
use mailstorm_record::{Fault, FaultKind, NodeName, Plan};
use mailstorm_shared::Millis;

/// How many of a million seeds have a given kind of trouble.
const KIND_PER_MILLION: u32 = 300_000;

/// How often a kind that a seed has comes, at the most, per minute of storm.
const TIMES_PER_MINUTE_MAX: u64 = 4;

/// The same for what is several faults by itself.
const SEQUENCES_PER_MINUTE_MAX: u64 = 2;

/// How wrong a clock goes, in parts per million: a bad crystal, or a machine that is not given its
/// time (half its speed). A server may not be fast by more than a tenth, since a leader that is
/// fast beyond that ends sessions before their time, and rightly so by its own clock.
const DRIFT_PPM: u64 = 20_000;
const SLOW_PPM: u64 = 500_000;
const FAST_PPM: u64 = 80_000;

/// Above the session timeouts that scenarios use: who is gone for so long has lost its session.
pub(crate) const LONG_MS: (u64, u64) = (8_000, 16_000);

/// Longer than a session may be silent, or nearly, and shorter than members of a system bear each
/// other's silence: whoever sleeps for so long comes back and still is what it was.
const DOZE_MS: (u64, u64) = (5_000, 9_300);

/// For how long ordinary trouble lasts.
const SHORT_MS: (u64, u64) = (200, 6_000);

/// Which kinds of faults a storm has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mix {
    /// Some, as the seed draws them.
    Swarm,
    /// All of them, each as often as in a swarm that has it.
    Every,
}

/// Draws the plan of a storm of this length.
pub fn draw(seed: u64, topology: &Topology, storm: Millis, mix: Mix) -> Plan {
    let mut plan = Plan { lasts_ms: Some(storm.0), ..Plan::default() };
    for (place, cast) in Cast::all_of(topology).iter().enumerate() {
        if cast.all.is_empty() {
            continue;
        }
        // The first system's streams have the names that they would have without any other.
        let mut name = "swarm".to_owned();
        if let (1.., Some(system)) = (place, topology.systems.get(place)) {
            name = format!("{name} {}", system.name());
        }
        let is_first = place == 0;
        draw_for(seed, &name, cast, is_first, storm, mix, &mut plan.faults);
    }
    plan.faults.sort_by_key(|fault| fault.at_ms);
    plan
}

/// Draws what befalls one system; with the first, also what befalls anybody.
fn draw_for(
    seed: u64,
    name: &str,
    cast: &Cast,
    is_first: bool,
    storm: Millis,
    mix: Mix,
    faults: &mut Vec<Fault>,
) {
    let mut swarm = Stream::new(seed, name);
    let mut add = |at_ms: u64, lasts_ms: u64, kind| {
        if at_ms < storm.0 {
            let lasts_ms = lasts_ms.min(storm.0 - at_ms);
            faults.push(Fault { at_ms, lasts_ms, kind });
        }
    };
    // Drawn for every kind, so that a kind that finds no node moves no other.
    let mut times_of = |befalls: Befalls, per_minute_max: u64| {
        let has_it = swarm.chance(KIND_PER_MILLION);
        let times = swarm.between(1, (per_minute_max * storm.0).div_ceil(60_000).max(1));
        let is_drawn = is_first || befalls == Befalls::System;
        if is_drawn && (has_it || mix == Mix::Every) { times } else { 0 }
    };
    for (trouble_name, befalls, trouble) in TROUBLES {
        let times = times_of(*befalls, TIMES_PER_MINUTE_MAX);
        let mut stream = Stream::new(seed, &format!("{name} {trouble_name}"));
        for _ in 0..times {
            let at_ms = stream.below(storm.0);
            let Some((lasts_ms, kind)) = trouble(&mut stream, cast) else { continue };
            add(at_ms, lasts_ms, kind);
        }
    }
    for (sequence_name, befalls, sequence) in SEQUENCES {
        let times = times_of(*befalls, SEQUENCES_PER_MINUTE_MAX);
        let mut stream = Stream::new(seed, &format!("{name} {sequence_name}"));
        for _ in 0..times {
            let at_ms = stream.below(storm.0);
            let Some(blows) = sequence(&mut stream, cast) else { continue };
            for Blow { after_ms, lasts_ms, kind } in blows {
                add(at_ms + after_ms, lasts_ms, kind);
            }
        }
    }
}

/// Draws one trouble or sequence of any kind, as a storm may have it. None if this kind finds no
/// node to strike.
pub(crate) fn draw_one(stream: &mut Stream, cast: &Cast) -> Option<Vec<Blow>> {
    let place = stream.below((TROUBLES.len() + SEQUENCES.len()) as u64) as usize;
    match TROUBLES.get(place) {
        Some((.., trouble)) => {
            let (lasts_ms, kind) = trouble(stream, cast)?;
            Some(vec![Blow { after_ms: 0, lasts_ms, kind }])
        }
        None => SEQUENCES[place - TROUBLES.len()].2(stream, cast),
    }
}

/// Which nodes a kind of trouble strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Befalls {
    /// Anybody, whatever runs there.
    Anybody,
    /// The members of a system, each system by itself.
    System,
}

/// Who can be struck, seen from one system.
pub(crate) struct Cast {
    /// Everybody whose network may fail.
    all: Vec<NodeName>,
    /// Members of the system whose network may fail.
    servers: Vec<NodeName>,
    /// All others whose network may fail.
    clients: Vec<NodeName>,
    /// Whose process may fail.
    processes: Vec<NodeName>,
    /// Members whose process may fail.
    server_processes: Vec<NodeName>,
    /// Whose clocks may be wrong.
    clocks: Vec<NodeName>,
    /// Whose disks may fail.
    disks: Vec<NodeName>,
    /// How many voters may be gone at once.
    spare_voters: usize,
    /// The moving targets of the system, each of which is one node.
    targets: Vec<NodeName>,
}

impl Cast {
    /// One for each system; one without any system where there is none.
    pub(crate) fn all_of(topology: &Topology) -> Vec<Self> {
        let memberships = topology.memberships();
        let of = |system: usize| {
            let names = |has: &dyn Fn(bool, &NodeSpec) -> bool| -> Vec<NodeName> {
                let nodes = topology.nodes.iter().zip(&memberships);
                nodes
                    .filter(|(spec, membership)| {
                        let is_member = membership.is_some_and(|m| m.system == system);
                        !spec.spare && has(is_member, spec)
                    })
                    .map(|(spec, _)| spec.name.clone())
                    .collect()
            };
            Self {
                all: names(&|_, spec| spec.subject.network),
                servers: names(&|is_member, spec| is_member && spec.subject.network),
                clients: names(&|is_member, spec| !is_member && spec.subject.network),
                processes: names(&|_, spec| spec.subject.process),
                server_processes: names(&|is_member, spec| is_member && spec.subject.process),
                clocks: names(&|_, spec| spec.subject.clock),
                disks: names(&|_, spec| spec.subject.disk),
                spare_voters: topology.systems.get(system).map_or(0, |of| of.budget().down),
                targets: topology.systems.get(system).map_or_else(Vec::new, |of| of.aimed_at()),
            }
        };
        (0..topology.systems.len().max(1)).map(of).collect()
    }

    /// The servers if there are any, or everybody.
    fn members(&self) -> &[NodeName] {
        if self.servers.is_empty() { &self.all } else { &self.servers }
    }
}

/// Draws one fault: how long it lasts, and what it is. None if there is no node to strike.
type Trouble = fn(&mut Stream, &Cast) -> Option<(u64, FaultKind)>;

fn short(stream: &mut Stream) -> u64 {
    stream.between(SHORT_MS.0, SHORT_MS.1)
}

fn long(stream: &mut Stream) -> u64 {
    stream.between(LONG_MS.0, LONG_MS.1)
}

fn one(stream: &mut Stream, of: &[NodeName]) -> Option<Vec<NodeName>> {
    stream.pick(of).map(|node| vec![node.clone()])
}

/// From one to `at_most` of these.
fn some(stream: &mut Stream, of: &[NodeName], at_most: usize) -> Option<Vec<NodeName>> {
    if of.is_empty() {
        return None;
    }
    let mut nodes = of.to_vec();
    stream.shuffle(&mut nodes);
    nodes.truncate(stream.between(1, at_most.clamp(1, of.len()) as u64) as usize);
    nodes.sort();
    Some(nodes)
}

/// A moving target of the system. One needs no draw.
fn target(stream: &mut Stream, cast: &Cast) -> Option<Vec<NodeName>> {
    match &cast.targets[..] {
        [only] => Some(vec![only.clone()]),
        several => one(stream, several),
    }
}

/// The same, if its network may fail.
fn leader(stream: &mut Stream, cast: &Cast) -> Option<Vec<NodeName>> {
    if cast.servers.is_empty() { None } else { target(stream, cast) }
}

/// The same, if its process may fail.
fn leader_process(stream: &mut Stream, cast: &Cast) -> Option<Vec<NodeName>> {
    if cast.server_processes.is_empty() { None } else { target(stream, cast) }
}

/// The servers cut in two, and the clients with them, each on either side.
fn sides(stream: &mut Stream, cast: &Cast, first: usize) -> Option<(u64, FaultKind)> {
    let mut servers = cast.members().to_vec();
    if servers.len() < 2 {
        return None;
    }
    stream.shuffle(&mut servers);
    let mut right = servers.split_off(first.clamp(1, servers.len() - 1));
    let mut left = servers;
    for client in cast.clients.iter().filter(|client| !cast.members().contains(client)) {
        if stream.chance(500_000) { &mut left } else { &mut right }.push(client.clone());
    }
    left.sort();
    right.sort();
    // Some storms outlast sessions and connections, most do not.
    let lasts = if stream.chance(250_000) { long(stream) } else { short(stream) };
    Some((lasts, FaultKind::Partition { sides: vec![left, right] }))
}

/// Every kind of trouble, by a name that keys its stream.
const TROUBLES: &[(&str, Befalls, Trouble)] = &[
    ("halves", Befalls::System, |s, c| sides(s, c, c.members().len() / 2)),
    ("minority", Befalls::System, |s, c| {
        let first = s.between(1, c.spare_voters.max(1) as u64) as usize;
        sides(s, c, first)
    }),
    ("one node", Befalls::Anybody, |s, c| {
        Some((short(s), FaultKind::Isolate { nodes: one(s, &c.all)? }))
    }),
    ("bridge", Befalls::System, |s, c| {
        let mut nodes = c.members().to_vec();
        if nodes.len() < 3 {
            return None;
        }
        s.shuffle(&mut nodes);
        nodes.pop();
        let right = nodes.split_off(nodes.len() / 2);
        Some((short(s), FaultKind::Bridge { left: nodes, right }))
    }),
    ("ring", Befalls::System, |s, c| {
        let mut nodes = c.members().to_vec();
        if nodes.len() < 4 {
            return None;
        }
        s.shuffle(&mut nodes);
        Some((short(s), FaultKind::Ring { nodes }))
    }),
    ("one way", Befalls::System, |s, c| {
        let from = some(s, &c.all, 2)?;
        let to: Vec<_> = c.members().iter().filter(|n| !from.contains(n)).cloned().collect();
        Some((short(s), FaultKind::OneWay { from, to: some(s, &to, to.len())? }))
    }),
    ("leader cut", Befalls::System, |s, c| {
        Some((short(s), FaultKind::Isolate { nodes: leader(s, c)? }))
    }),
    ("leader cut long", Befalls::System, |s, c| {
        Some((long(s), FaultKind::Isolate { nodes: leader(s, c)? }))
    }),
    ("leader crash", Befalls::System, |s, c| {
        Some((short(s), FaultKind::Crash { nodes: leader_process(s, c)? }))
    }),
    ("leader kill", Befalls::System, |s, c| {
        Some((short(s), FaultKind::Kill { nodes: leader_process(s, c)? }))
    }),
    ("leader pause", Befalls::System, |s, c| {
        Some((short(s), FaultKind::Pause { nodes: leader_process(s, c)? }))
    }),
    ("leader slow", Befalls::System, |s, c| {
        let delay_ms = s.between(20, 800);
        Some((short(s), FaultKind::Slow { nodes: leader(s, c)?, delay_ms, kib_per_second: 0 }))
    }),
    ("crash one", Befalls::Anybody, |s, c| {
        Some((short(s), FaultKind::Crash { nodes: one(s, &c.processes)? }))
    }),
    ("crash several", Befalls::Anybody, |s, c| {
        Some((short(s), FaultKind::Crash { nodes: some(s, &c.processes, c.processes.len())? }))
    }),
    ("kill one", Befalls::Anybody, |s, c| {
        Some((short(s), FaultKind::Kill { nodes: one(s, &c.processes)? }))
    }),
    ("kill several", Befalls::Anybody, |s, c| {
        Some((short(s), FaultKind::Kill { nodes: some(s, &c.processes, c.processes.len())? }))
    }),
    ("crash loop", Befalls::Anybody, |s, c| {
        let (up_ms, down_ms) = (s.between(100, 2_000), s.between(50, 1_000));
        let nodes = one(s, &c.processes)?;
        Some((short(s), FaultKind::CrashLoop { nodes, up_ms, down_ms }))
    }),
    ("power cut one", Befalls::Anybody, |s, c| {
        Some((short(s), FaultKind::PowerCut { nodes: one(s, &c.processes)? }))
    }),
    ("power cut all", Befalls::System, |s, c| {
        let nodes = if c.server_processes.is_empty() { &c.processes } else { &c.server_processes };
        let lasts = s.between(50, 3_000);
        (!nodes.is_empty()).then(|| (lasts, FaultKind::PowerCut { nodes: nodes.clone() }))
    }),
    ("pause", Befalls::Anybody, |s, c| {
        Some((short(s), FaultKind::Pause { nodes: some(s, &c.processes, 2)? }))
    }),
    ("long pause", Befalls::Anybody, |s, c| {
        Some((long(s), FaultKind::Pause { nodes: one(s, &c.processes)? }))
    }),
    ("drift", Befalls::Anybody, |s, c| {
        let (slow, fast) =
            if s.chance(500_000) { (DRIFT_PPM, DRIFT_PPM) } else { (SLOW_PPM, FAST_PPM) };
        let ppm = s.between(0, slow + fast) as i32 - slow as i32;
        Some((long(s), FaultKind::Drift { nodes: some(s, &c.clocks, 2)?, ppm }))
    }),
    ("jump", Befalls::Anybody, |s, c| {
        let by_ms = s.between(0, 7_200_000) as i64 - 3_600_000;
        Some((long(s), FaultKind::Jump { nodes: some(s, &c.clocks, 2)?, by_ms }))
    }),
    ("disk stall", Befalls::Anybody, |s, c| {
        Some((short(s), FaultKind::DiskStall { nodes: some(s, &c.disks, 2)? }))
    }),
    ("disk slow", Befalls::Anybody, |s, c| {
        let factor = s.between(5, 100) as u32;
        Some((long(s), FaultKind::DiskSlow { nodes: some(s, &c.disks, 2)?, factor }))
    }),
    ("disk full", Befalls::Anybody, |s, c| {
        Some((short(s), FaultKind::DiskFull { nodes: one(s, &c.disks)? }))
    }),
    ("sync fails", Befalls::Anybody, |s, c| {
        let lasts = s.between(50, 2_000);
        Some((lasts, FaultKind::SyncFails { nodes: one(s, &c.disks)? }))
    }),
    ("write fails", Befalls::Anybody, |s, c| {
        Some((s.between(1, 1_000), FaultKind::WriteFails { nodes: one(s, &c.disks)? }))
    }),
    ("torn writes", Befalls::Anybody, |s, c| {
        Some((short(s), FaultKind::TornWrites { nodes: some(s, &c.disks, 3)? }))
    }),
    ("bit rot", Befalls::Anybody, |s, c| {
        let sectors = s.between(1, 4) as u32;
        Some((short(s), FaultKind::BitRot { nodes: one(s, &c.disks)?, sectors }))
    }),
    ("unreadable", Befalls::Anybody, |s, c| {
        let sectors = s.between(1, 4) as u32;
        Some((short(s), FaultKind::UnreadableSectors { nodes: one(s, &c.disks)?, sectors }))
    }),
    ("misdirected", Befalls::Anybody, |s, c| {
        Some((short(s), FaultKind::MisdirectedWrite { nodes: one(s, &c.disks)? }))
    }),
    ("lost disk", Befalls::Anybody, |s, c| {
        Some((short(s), FaultKind::DiskLost { nodes: one(s, &c.disks)? }))
    }),
    ("sessions", Befalls::Anybody, |s, c| {
        let clients = if c.clients.is_empty() { return None } else { &c.clients };
        Some((long(s), FaultKind::KillSessions { nodes: some(s, clients, 2)? }))
    }),
    ("resets", Befalls::Anybody, |s, c| {
        let every_ms = s.between(100, 2_000);
        Some((short(s), FaultKind::Reset { nodes: some(s, &c.all, 3)?, every_ms }))
    }),
    ("flood", Befalls::System, |s, c| {
        let connections = s.between(10, 100) as u32;
        Some((short(s), FaultKind::Flood { nodes: some(s, c.members(), 3)?, connections }))
    }),
    ("corruption", Befalls::System, |s, c| {
        let per_million = s.between(1_000, 50_000) as u32;
        let nodes = if c.servers.is_empty() { return None } else { &c.servers };
        Some((short(s), FaultKind::Corrupt { nodes: some(s, nodes, 2)?, per_million }))
    }),
    ("slow", Befalls::Anybody, |s, c| {
        let (delay_ms, kib_per_second) = (s.between(5, 500), s.between(0, 4) * 64);
        Some((short(s), FaultKind::Slow { nodes: some(s, &c.all, 3)?, delay_ms, kib_per_second }))
    }),
    ("flap", Befalls::Anybody, |s, c| {
        let (down_ms, up_ms) = (s.between(20, 1_500), s.between(20, 1_500));
        Some((short(s), FaultKind::Flap { nodes: one(s, &c.all)?, down_ms, up_ms }))
    }),
];

/// One fault of several: when it begins after the first, how long it lasts, and what it is.
pub(crate) struct Blow {
    pub(crate) after_ms: u64,
    pub(crate) lasts_ms: u64,
    pub(crate) kind: FaultKind,
}

/// Draws several faults that belong together. None if there is no node to strike.
type Sequence = fn(&mut Stream, &Cast) -> Option<Vec<Blow>>;

/// The leader cut off from the other servers alone: its clients still talk to it.
fn leader_without_servers(left: Vec<NodeName>, cast: &Cast) -> Option<FaultKind> {
    (cast.servers.len() > 1).then(|| FaultKind::Bridge { left, right: cast.servers.clone() })
}

/// Something that goes wrong with this target, and for how long.
fn leader_trouble(
    stream: &mut Stream,
    nodes: Vec<NodeName>,
    cast: &Cast,
) -> Option<(u64, FaultKind)> {
    let kind = match stream.below(8) {
        0 => FaultKind::Crash { nodes },
        1 => FaultKind::Pause { nodes },
        2 => leader_without_servers(nodes, cast)?,
        3 => FaultKind::Isolate { nodes },
        4 => FaultKind::Slow { nodes, delay_ms: stream.between(50, 2_000), kib_per_second: 0 },
        5 => FaultKind::DiskStall { nodes },
        6 => FaultKind::Reset { nodes, every_ms: 0 },
        _ => FaultKind::OneWay { from: nodes, to: some(stream, &cast.servers, 4)? },
    };
    Some((short(stream), kind))
}

/// Every kind of trouble that is several faults, by a name that keys its stream.
const SEQUENCES: &[(&str, Befalls, Sequence)] = &[
    ("leader without servers", Befalls::System, |s, c| {
        let lasts_ms = if s.chance(500_000) { long(s) } else { short(s) };
        let kind = leader_without_servers(leader(s, c)?, c)?;
        Some(vec![Blow { after_ms: 0, lasts_ms, kind }])
    }),
    // For a long time it does not notice that it has no followers, and its clients continue to send
    // it requests.
    ("stale leader", Befalls::System, |s, c| {
        let (lasts_ms, ppm) = (long(s), -(s.between(300_000, SLOW_PPM) as i32));
        let nodes = leader(s, c)?;
        let slow = FaultKind::Drift { nodes: nodes.clone(), ppm };
        let cut = leader_without_servers(nodes, c)?;
        Some([slow, cut].map(|kind| Blow { after_ms: 0, lasts_ms, kind }).into())
    }),
    // Two troubles of one leader, at once or the second while the first still lasts.
    ("leader twice", Befalls::System, |s, c| {
        let nodes = leader_process(s, c)?;
        let (first_ms, first) = leader_trouble(s, nodes.clone(), c)?;
        let (second_ms, second) = leader_trouble(s, nodes, c)?;
        let after_ms = if s.chance(500_000) { 0 } else { s.below(first_ms) };
        Some(vec![
            Blow { after_ms: 0, lasts_ms: first_ms, kind: first },
            Blow { after_ms, lasts_ms: second_ms, kind: second },
        ])
    }),
    // Each new leader is struck soon after the last one was: in its election, its synchronisation,
    // or its first proposals.
    ("leader after leader", Befalls::System, |s, c| {
        let nodes = leader_process(s, c)?;
        let mut after_ms = 0;
        let mut blows = Vec::new();
        for _ in 0..s.between(3, 6) {
            let (lasts_ms, kind) = leader_trouble(s, nodes.clone(), c)?;
            blows.push(Blow { after_ms, lasts_ms, kind });
            after_ms += s.between(200, 3_000);
        }
        Some(blows)
    }),
    // A server that stayed behind comes back, and somebody fails while it learns what it missed.
    ("learner struck", Befalls::System, |s, c| {
        let nodes = one(s, &c.server_processes)?;
        let behind_ms = s.between(1_000, 10_000);
        let behind = match s.below(3) {
            0 => FaultKind::Isolate { nodes: nodes.clone() },
            1 => FaultKind::Pause { nodes: nodes.clone() },
            _ => FaultKind::Crash { nodes: nodes.clone() },
        };
        let (lasts_ms, kind) = match s.below(4) {
            0 => (short(s), FaultKind::Crash { nodes }),
            1 => (short(s), FaultKind::TornWrites { nodes }),
            2 => (short(s), FaultKind::PowerCut { nodes }),
            _ => {
                let target = leader_process(s, c)?;
                leader_trouble(s, target, c)?
            }
        };
        let after_ms = behind_ms + s.between(1, 1_500);
        Some(vec![
            Blow { after_ms: 0, lasts_ms: behind_ms, kind: behind },
            Blow { after_ms, lasts_ms, kind },
        ])
    }),
    // Servers are restarted one after another, as an operator in a hurry does it.
    ("rolling restart", Befalls::System, |s, c| {
        let mut nodes = c.server_processes.clone();
        s.shuffle(&mut nodes);
        let pace_ms = s.between(50, 2_000);
        let blow = |(place, node): (usize, &NodeName)| Blow {
            after_ms: place as u64 * pace_ms,
            lasts_ms: s.between(10, 1_000),
            kind: FaultKind::Crash { nodes: vec![node.clone()] },
        };
        (!nodes.is_empty()).then(|| nodes.iter().enumerate().map(blow).collect())
    }),
    // What killed processes left in the page cache is read by the next ones, and may be lost all
    // the same: the power goes before anybody syncs it, unless whoever read it did.
    ("kill, then power", Befalls::System, |s, c| {
        let nodes = some(s, &c.server_processes, c.server_processes.len())?;
        let down_ms = s.between(1, 300);
        let dark = some(s, &c.server_processes, c.server_processes.len())?;
        let (after_ms, lasts_ms) = (down_ms + s.between(0, 2_500), s.between(10, 1_500));
        Some(vec![
            Blow { after_ms: 0, lasts_ms: down_ms, kind: FaultKind::Kill { nodes } },
            Blow { after_ms, lasts_ms, kind: FaultKind::PowerCut { nodes: dark } },
        ])
    }),
    // Servers read their disks when they start: that is when it must fail.
    ("restart on failing reads", Befalls::Anybody, |s, c| {
        let nodes = one(s, &c.disks)?;
        let (lasts_ms, down_ms) = (s.between(100, 2_000), s.between(1, 500));
        Some(vec![
            Blow { after_ms: 0, lasts_ms, kind: FaultKind::ReadFails { nodes: nodes.clone() } },
            Blow { after_ms: 0, lasts_ms: down_ms, kind: FaultKind::Kill { nodes } },
        ])
    }),
    // A sync that failed has dropped what it should have written, though it can still be read.
    ("sync fails, then power", Befalls::System, |s, c| {
        let nodes = some(s, &c.disks, 2)?;
        let fails_ms = s.between(1, 400);
        let after_ms = fails_ms + s.between(0, 4_000);
        let dark = some(s, &c.server_processes, c.server_processes.len())?;
        let lasts_ms = s.between(10, 1_500);
        Some(vec![
            Blow { after_ms: 0, lasts_ms: fails_ms, kind: FaultKind::SyncFails { nodes } },
            Blow { after_ms, lasts_ms, kind: FaultKind::PowerCut { nodes: dark } },
        ])
    }),
    // The power comes back, and goes again before the servers have found each other.
    ("power flickers", Befalls::System, |s, c| {
        let mut after_ms = 0;
        let mut blows = Vec::new();
        for _ in 0..s.between(2, 4) {
            let nodes = some(s, &c.server_processes, c.server_processes.len())?;
            let lasts_ms = s.between(10, 800);
            blows.push(Blow { after_ms, lasts_ms, kind: FaultKind::PowerCut { nodes } });
            after_ms += lasts_ms + s.between(20, 2_500);
        }
        Some(blows)
    }),
    // The leader sleeps now and then, and is back before anybody has left it: what came meanwhile
    // it has not read yet.
    ("leader dozes", Befalls::System, |s, c| {
        let nodes = leader_process(s, c)?;
        let mut after_ms = 0;
        let mut blows = Vec::new();
        for _ in 0..s.between(1, 3) {
            let lasts_ms = s.between(DOZE_MS.0, DOZE_MS.1);
            blows.push(Blow {
                after_ms,
                lasts_ms,
                kind: FaultKind::Pause { nodes: nodes.clone() },
            });
            after_ms += lasts_ms + s.between(6_000, 12_000);
        }
        Some(blows)
    }),
    // A server is slow at what it does for itself, sleeps in the midst of it, and goes on when it
    // is far behind.
    ("slow disk, then sleep", Befalls::System, |s, c| {
        let nodes = one(s, &c.server_processes)?;
        let slow_ms = s.between(1_000, 3_000);
        let sleep_ms = s.between(DOZE_MS.1, LONG_MS.1 - 2 * slow_ms);
        let factor = s.between(100, 400) as u32;
        let slow = FaultKind::DiskSlow { nodes: nodes.clone(), factor };
        Some(vec![
            Blow { after_ms: 0, lasts_ms: slow_ms + sleep_ms + slow_ms, kind: slow },
            Blow { after_ms: slow_ms, lasts_ms: sleep_ms, kind: FaultKind::Pause { nodes } },
        ])
    }),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Servers;
    use std::collections::BTreeSet;
    use std::sync::Arc;

    fn topology() -> Topology {
        let servers = ["s1", "s2", "s3", "s4", "s5"].into_iter().map(NodeSpec::server);
        let workers = ["w1", "w2"].into_iter().map(NodeSpec::client);
        let spare = [NodeSpec::client("w3").spare(), NodeSpec::outside("sink")];
        let nodes = servers.chain(workers).chain(spare).collect();
        let systems = vec![Arc::new(Servers { voters: 5, others: 0 }) as _];
        Topology { nodes, systems, ..Topology::default() }
    }

    #[test]
    fn a_storm_of_every_fault_has_every_kind_that_any_storm_has() {
        let kinds = |seeds: std::ops::Range<u64>, mix| {
            let plans = seeds.map(|seed| draw(seed, &topology(), Millis(60_000), mix));
            let faults = plans.flat_map(|plan| plan.faults);
            faults.map(|fault| fault.kind.name()).collect::<std::collections::BTreeSet<_>>()
        };
        let ever = kinds(0..200, Mix::Swarm);
        assert!((0..5).all(|seed| kinds(seed..seed + 1, Mix::Every).is_superset(&ever)));
        assert!((0..5).all(|seed| kinds(seed..seed + 1, Mix::Swarm).len() < ever.len()));
    }

    #[test]
    fn the_same_seed_draws_the_same_plan_and_another_seed_another() {
        let draw = |seed| draw(seed, &topology(), Millis(60_000), Mix::Swarm);
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn every_plan_makes_sense_strikes_nobody_who_is_exempt_and_ends_with_the_storm() {
        for seed in 0..500 {
            let plan = draw(seed, &topology(), Millis(60_000), Mix::Swarm);
            assert_eq!(plan.check(&topology().names()), Ok(()));
            assert!(plan.ends_ms() <= 60_000);
            assert_eq!(plan.storm_ms(), 60_000);
            let struck = plan.faults.iter().flat_map(|f| f.kind.node_lists()).flatten();
            assert!(!struck.into_iter().any(|node| ["sink", "w3"].contains(&&*node.0)));
        }
    }

    #[test]
    fn a_few_hundred_seeds_draw_every_kind_but_the_lie() {
        let kinds: BTreeSet<&str> = (0..300)
            .flat_map(|seed| draw(seed, &topology(), Millis(60_000), Mix::Swarm).faults)
            .map(|fault| fault.kind.name())
            .collect();
        assert_eq!(kinds.len(), 29, "{kinds:?}");
        assert!(!kinds.contains("sync_lies"));
    }

    #[test]
    fn a_world_without_servers_has_storms_too() {
        let nodes = vec![NodeSpec::client("c1"), NodeSpec::client("c2")];
        let topology = Topology { nodes, ..Topology::default() };
        let faults =
            (0..20).map(|seed| draw(seed, &topology, Millis(60_000), Mix::Swarm).faults.len());
        assert!(faults.sum::<usize>() > 20);
        assert_eq!(draw(1, &Topology::default(), Millis(1), Mix::Swarm).faults, []);
    }
}
