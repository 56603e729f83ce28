//! Who can hear whom, as the record tells it: from the plan, the faults that began and ended, and the
//! processes that died, slept and came back.
//!
//! Owns: the state of the network and of the machines at this moment. Leaves: what may be demanded of work
//! in such a state to `needs`.
//! Holds: two nodes hear one another only if each hears the other, so a cut in one direction is a cut; of a
//! fault that comes and goes, or whose victims are not known, the worse is taken.
//! Start at [`Reach::observe`].

use crate::ensemble::servers::node_of;
use mailstorm_record::{Cast, Event, Fault, FaultKind, Happening, NodeName, Plan, cast};
use mailstorm_shared::facts::EnsembleFact;
use mailstorm_shared::{Ensemble, Epoch, Observation, ServerId};
use std::collections::{BTreeMap, BTreeSet};

/// The network and the machines at this moment.
#[derive(Clone, Debug)]
pub struct Reach {
    plan: Plan,
    cast: Cast,
    /// The newest epoch that each server leads, of those that do.
    leading: BTreeMap<NodeName, Epoch>,
    processes: BTreeMap<NodeName, Process>,
    /// The faults under way.
    faults: BTreeMap<usize, Struck>,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Process {
    Down,
    Up,
    Paused,
}

/// Whom a fault under way strikes.
#[derive(Clone, Debug)]
enum Struck {
    /// The nodes of each of its lists.
    Lists(FaultKind, Vec<Vec<NodeName>>),
    /// Some of these; the record does not say in which of its lists each of them is.
    Some(Vec<NodeName>),
}

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Changed {
    /// A worker or client died, slept or came back: who waits for it waits for the end of its session.
    Client,
    /// Servers, or links: it takes a while until somebody leads, and until everybody has found the way back.
    Service,
}

impl Reach {
    /// Nobody is up yet.
    pub fn new(ensemble: &Ensemble) -> Self {
        let names = |servers: &BTreeSet<ServerId>| servers.iter().copied().map(node_of).collect();
        let cast = Cast {
            voters: names(ensemble.voters()),
            observers: names(ensemble.observers()),
            ..Cast::default()
        };
        Self {
            plan: Plan::default(),
            cast,
            leading: BTreeMap::new(),
            processes: BTreeMap::new(),
            faults: BTreeMap::new(),
        }
    }

    /// The faults that will come.
    pub fn plan(&mut self, plan: &Plan) {
        self.plan = plan.clone();
    }

    /// Looks at the next event; says what it has changed, if anything.
    pub fn observe(&mut self, event: &Event) -> Option<Changed> {
        match (&event.happening, &event.node) {
            (Happening::Observed { observation: Observation::Ensemble(fact) }, Some(node)) => {
                self.led(node, fact)
            }
            (Happening::Started { .. }, Some(node)) => self.process(node, Process::Up),
            (Happening::Crashed { .. }, Some(node)) => {
                self.leading.remove(node);
                self.process(node, Process::Down)
            }
            (Happening::Paused, Some(node)) => self.process(node, Process::Paused),
            (Happening::Resumed, Some(node)) => self.process(node, Process::Up),
            (Happening::FaultBegan { index, nodes, .. }, _) => {
                let fault = self.plan.faults.get(*index)?.clone();
                let struck = self.struck(&fault, nodes);
                self.faults.insert(*index, struck);
                Some(changed_by(&fault.kind))
            }
            (Happening::FaultEnded { index }, _) => {
                self.faults.remove(index)?;
                Some(changed_by(&self.plan.faults.get(*index)?.kind))
            }
            _ => None,
        }
    }

    /// Who leads matters while that server is hampered: it holds up everybody.
    fn led(&mut self, node: &NodeName, fact: &EnsembleFact) -> Option<Changed> {
        let before = self.is_led_by_hampered();
        match fact {
            EnsembleFact::Leads { epoch, .. } => _ = self.leading.insert(node.clone(), *epoch),
            EnsembleFact::SteppedDown { .. } | EnsembleFact::Looking => {
                self.leading.remove(node);
            }
            _ => return None,
        }
        (before || self.is_led_by_hampered()).then_some(Changed::Service)
    }

    fn is_led_by_hampered(&self) -> bool {
        !self.faults.is_empty()
            && self.cast.voters.iter().any(|voter| self.leads(voter) && self.is_hampered(voter))
    }

    fn process(&mut self, node: &NodeName, now: Process) -> Option<Changed> {
        if !self.cast.nodes.contains(node) {
            self.cast.nodes.push(node.clone());
        }
        self.processes.insert(node.clone(), now);
        Some(if self.is_server(node) { Changed::Service } else { Changed::Client })
    }

    /// Whom a fault strikes that begins now, and of which the record names all whom it strikes.
    fn struck(&self, fault: &Fault, nodes: &[NodeName]) -> Struck {
        let with =
            |leader: Option<NodeName>| Cast { leader, ..self.cast.clone() }.lists(&fault.kind);
        let leader =
            self.leading.iter().max_by_key(|(_, epoch)| **epoch).map(|(node, _)| node.clone());
        if !cast::speaks_of_leader(&fault.kind) || leader.is_some() {
            return Struck::Lists(fault.kind.clone(), with(leader));
        }
        // Nobody leads, so somebody was picked: whoever makes the lists name exactly these nodes.
        let all: BTreeSet<&NodeName> = nodes.iter().collect();
        let servers = self.cast.voters.iter().chain(&self.cast.observers);
        let mut fitting = servers.filter_map(|server| {
            let lists = with(Some(server.clone()));
            (lists.iter().flatten().collect::<BTreeSet<_>>() == all).then_some(lists)
        });
        match (fitting.next(), fitting.next()) {
            (Some(lists), None) => Struck::Lists(fault.kind.clone(), lists),
            _ => Struck::Some(nodes.to_vec()),
        }
    }

    fn is_server(&self, node: &NodeName) -> bool {
        self.cast.voters.contains(node) || self.cast.observers.contains(node)
    }

    /// Whether the node's process is up and goes on.
    pub fn runs(&self, node: &NodeName) -> bool {
        self.processes.get(node) == Some(&Process::Up)
    }

    /// Whether something slows a node that runs, or makes its disk, its clock or its links fail now
    /// and then, by more than is harmless: it may be of use, and nobody can rely on it.
    pub fn is_hampered(&self, node: &NodeName) -> bool {
        let is_server = self.is_server(node);
        self.faults.values().any(|struck| match struck {
            Struck::Lists(kind, lists) => {
                hampers(kind, is_server) && lists.iter().flatten().any(|n| n == node)
            }
            Struck::Some(nodes) => nodes.contains(node),
        })
    }

    /// Whether this is the server that leads the newest epoch.
    pub(crate) fn leads(&self, node: &NodeName) -> bool {
        let newest = self.leading.iter().max_by_key(|(_, epoch)| **epoch);
        newest.is_some_and(|(leader, _)| leader == node)
    }

    /// Whether the two nodes run and hear one another.
    pub fn hear(&self, one: &NodeName, other: &NodeName) -> bool {
        let is_cut = |struck: &Struck| match struck {
            Struck::Lists(kind, lists) => self.cuts(kind, lists, one, other),
            Struck::Some(nodes) => nodes.contains(one) || nodes.contains(other),
        };
        let is_linked = one == other || !self.faults.values().any(is_cut);
        self.runs(one) && self.runs(other) && is_linked
    }

    /// Whether a fault with these lists keeps one of the two from hearing the other.
    fn cuts(
        &self,
        kind: &FaultKind,
        lists: &[Vec<NodeName>],
        one: &NodeName,
        other: &NodeName,
    ) -> bool {
        let place = |node: &NodeName| lists.iter().position(|list| list.contains(node));
        let is_in = |list: usize, node: &NodeName| lists[list].contains(node);
        let between = |left: usize, right: usize| {
            (is_in(left, one) && is_in(right, other)) || (is_in(left, other) && is_in(right, one))
        };
        match kind {
            FaultKind::Partition { .. } => {
                place(one).zip(place(other)).is_some_and(|(left, right)| left != right)
            }
            FaultKind::Bridge { .. } | FaultKind::OneWay { .. } => between(0, 1),
            FaultKind::Ring { .. } => {
                let ring = &lists[0];
                let at = |node: &NodeName| ring.iter().position(|other| other == node);
                at(one).zip(at(other)).is_some_and(|(left, right)| {
                    let apart = left.abs_diff(right);
                    apart > 1 && apart < ring.len() - 1
                })
            }
            FaultKind::Isolate { .. } => is_in(0, one) || is_in(0, other),
            FaultKind::Flap { .. } => hampers(kind, true) && (is_in(0, one) || is_in(0, other)),
            FaultKind::KillSessions { .. } => {
                (is_in(0, one) && self.is_server(other)) || (is_in(0, other) && self.is_server(one))
            }
            _ => false,
        }
    }
}

/// What every design must bear without standing still: far less than its timeouts, and no more
/// often than machines in order show it.
mod harmless {
    /// How much longer a message may take, or a node be cut off.
    pub(super) const DELAY_MS: u64 = 10;
    /// Of a cut that comes and goes, how many times as long the node is heard in between.
    pub(super) const UP_TIMES: u64 = 10;
    /// The bandwidth that a link needs.
    pub(super) const KIB_PER_SECOND: u64 = 1_024;
    /// Messages that change on the way: each closes a link between servers.
    pub(super) const CORRUPT_PER_MILLION: u32 = 10;
    /// How far apart connections break.
    pub(super) const RESET_EVERY_MS: u64 = 60_000;
    /// Connections of strangers.
    pub(super) const CONNECTIONS: u32 = 10;
    /// How wrong a clock's speed is. Quartz is wrong by less than 500.
    pub(super) const DRIFT_PPM: u32 = 10_000;
    /// How many times as long the disk takes.
    pub(super) const DISK_FACTOR: u32 = 4;
}

/// Whether nobody can rely on whom this strikes, though it runs. Only servers have disks that
/// matter, and links whose messages can be corrupted.
fn hampers(kind: &FaultKind, is_server: bool) -> bool {
    match kind {
        FaultKind::Partition { .. }
        | FaultKind::Bridge { .. }
        | FaultKind::Ring { .. }
        | FaultKind::OneWay { .. }
        | FaultKind::Isolate { .. }
        | FaultKind::KillSessions { .. }
        | FaultKind::Kill { .. }
        | FaultKind::Crash { .. }
        | FaultKind::PowerCut { .. }
        | FaultKind::Pause { .. }
        | FaultKind::Jump { .. }
        | FaultKind::BitRot { .. }
        | FaultKind::MisdirectedWrite { .. }
        | FaultKind::UnreadableSectors { .. }
        | FaultKind::DiskLost { .. } => false,
        FaultKind::Flap { down_ms, up_ms, .. } => {
            *down_ms > harmless::DELAY_MS || *up_ms < down_ms.saturating_mul(harmless::UP_TIMES)
        }
        FaultKind::Slow { delay_ms, kib_per_second, .. } => {
            *delay_ms > harmless::DELAY_MS || (1..harmless::KIB_PER_SECOND).contains(kib_per_second)
        }
        FaultKind::Corrupt { per_million, .. } => {
            is_server && *per_million > harmless::CORRUPT_PER_MILLION
        }
        FaultKind::Reset { every_ms, .. } => (1..harmless::RESET_EVERY_MS).contains(every_ms),
        FaultKind::Flood { connections, .. } => *connections > harmless::CONNECTIONS,
        FaultKind::Drift { ppm, .. } => ppm.unsigned_abs() > harmless::DRIFT_PPM,
        FaultKind::DiskSlow { factor, .. } => is_server && *factor > harmless::DISK_FACTOR,
        FaultKind::CrashLoop { .. } | FaultKind::TornWrites { .. } => true,
        FaultKind::DiskStall { .. }
        | FaultKind::DiskFull { .. }
        | FaultKind::SyncFails { .. }
        | FaultKind::ReadFails { .. }
        | FaultKind::WriteFails { .. }
        | FaultKind::SyncLies { .. } => is_server,
    }
}

/// What such a fault changes when it begins and when it ends, apart from what its victims' processes tell.
fn changed_by(kind: &FaultKind) -> Changed {
    match kind {
        FaultKind::Kill { .. } | FaultKind::Crash { .. } | FaultKind::Pause { .. } => {
            Changed::Client
        }
        _ => Changed::Service,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::history::{History, ensemble};
    use mailstorm_shared::Zxid;

    const NODES: [&str; 5] = ["s1", "s2", "s3", "a1", "sink"];

    /// The pairs that do not hear one another once the plan's only fault has begun and struck these nodes.
    fn apart(kind: &str, struck: &[&str], leader: Option<u8>) -> String {
        let text = format!("lasts_ms = 9\n[[faults]]\nat_ms = 1\nlasts_ms = 1\nkind.{kind}\n");
        let plan = Plan::parse(&text, "p", &NODES.map(NodeName::from)).expect("a plan");
        let mut history = NODES.iter().fold(History::new(), |history, node| history.started(node));
        if let Some(leader) = leader {
            history = history.leads(leader, 1, Zxid::ZERO);
        }
        let mut reach = Reach::new(&ensemble(3));
        reach.plan(&plan);
        for event in history.fault_began(0, struck).events() {
            reach.observe(&event);
        }
        let mut apart = Vec::new();
        for (place, one) in NODES.iter().enumerate() {
            for other in &NODES[place + 1..] {
                if !reach.hear(&(*one).into(), &(*other).into()) {
                    apart.push(format!("{one}-{other}"));
                }
            }
        }
        apart.join(" ")
    }

    #[test]
    fn each_kind_of_cut_keeps_apart_whom_it_says() {
        let all = &NODES[..];
        for (kind, struck, leader, expected) in [
            (r#"partition = { sides = [["s1", "a1"], ["s2"]] }"#, all, None, "s1-s2 s2-a1"),
            (r#"bridge = { left = ["s1"], right = ["s2", "a1"] }"#, all, None, "s1-s2 s1-a1"),
            (r#"one_way = { from = ["s1"], to = ["s2"] }"#, all, None, "s1-s2"),
            (r#"ring = { nodes = ["s1", "s2", "s3", "a1"] }"#, all, None, "s1-s3 s2-a1"),
            (r#"isolate = { nodes = ["sink"] }"#, all, None, "s1-sink s2-sink s3-sink a1-sink"),
            (r#"kill_sessions = { nodes = ["a1"] }"#, all, None, "s1-a1 s2-a1 s3-a1"),
            (r#"partition = { sides = [["leader"], ["followers"]] }"#, all, Some(2), "s1-s2 s2-s3"),
            // Nobody leads: the record tells who was picked.
            (r#"isolate = { nodes = ["leader"] }"#, &["s1"], None, "s1-s2 s1-s3 s1-a1 s1-sink"),
            // Nobody leads, and any of the three may have been picked: none of them can be relied on.
            (
                r#"partition = { sides = [["leader"], ["followers"]] }"#,
                &NODES[..3],
                None,
                "s1-s2 s1-s3 s1-a1 s1-sink s2-s3 s2-a1 s2-sink s3-a1 s3-sink",
            ),
            (r#"slow = { nodes = ["s1"], delay_ms = 9 }"#, all, None, ""),
        ] {
            assert_eq!(apart(kind, struck, leader), expected, "{kind}");
        }
    }

    #[test]
    fn who_is_down_or_asleep_hears_nobody() {
        let mut reach = Reach::new(&ensemble(3));
        let two = History::new().started("s1").started("s2");
        let history = two.paused("s1").resumed("s1").crashed("s2").started("s2").paused("s2");
        let heard: Vec<(Option<Changed>, bool)> = history
            .events()
            .iter()
            .map(|event| (reach.observe(event), reach.hear(&"s1".into(), &"s2".into())))
            .collect();
        let service = Some(Changed::Service);
        let hear = [false, true, false, true, false, true, false];
        assert_eq!(heard, hear.map(|hear| (service, hear)));
    }
}
