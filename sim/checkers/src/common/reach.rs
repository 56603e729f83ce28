//! Who can hear whom, as the record tells it: from the plan, the faults that began and ended, and
//! the processes that died, slept and came back.
//!
//! Owns: the state of the network and of the machines at this moment. Leaves: what may be demanded
//! of work in such a state to `needs`.
//! Holds: two nodes hear one another only if each hears the other, so a cut in one direction is a
//! cut; of a fault that comes and goes, the worse is taken.
//! Start at [`Reach::observe`].

use crate::common::roles::ByRole;
use crate::common::targets::Targets;
use crate::ensemble::servers::node_of;
use crate::ensemble::targets::leadership;
use mailstorm_record::{Event, FaultKind, Happening, NodeName, Plan};
use mailstorm_shared::Ensemble;
use std::collections::BTreeMap;

/// The network and the machines at this moment.
#[derive(Clone, Debug)]
pub struct Reach {
    plan: Plan,
    /// Those that others have sessions with.
    servers: Vec<NodeName>,
    /// Who leads them.
    leadership: ByRole,
    /// Every node that ever ran.
    nodes: Vec<NodeName>,
    processes: BTreeMap<NodeName, Process>,
    /// The faults under way, each with the nodes of its lists.
    faults: BTreeMap<usize, (FaultKind, Vec<Vec<NodeName>>)>,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Process {
    Down,
    Up,
    Paused,
}

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Changed {
    /// A worker or client died, slept or came back: who waits for it waits for the end of its
    /// session.
    Client,
    /// Servers, or links: it takes a while until somebody leads, and until everybody has found the
    /// way back.
    Service,
}

impl Reach {
    /// Nobody is up yet, and nobody leads.
    pub fn new(ensemble: &Ensemble) -> Self {
        Self {
            plan: Plan::default(),
            servers: ensemble.servers().map(node_of).collect(),
            leadership: leadership(ensemble),
            nodes: Vec::new(),
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
            (Happening::Observed { .. }, _) => self.led(event),
            (Happening::Started { .. }, Some(node)) => self.process(node, Process::Up),
            (Happening::Crashed { .. }, Some(node)) => {
                self.leadership.observe(event);
                self.process(node, Process::Down)
            }
            (Happening::Paused, Some(node)) => self.process(node, Process::Paused),
            (Happening::Resumed, Some(node)) => self.process(node, Process::Up),
            (Happening::FaultBegan { index, meant, .. }, _) => {
                let kind = self.plan.faults.get(*index)?.kind.clone();
                let changed = changed_by(&kind);
                let lists = meant.lists(&kind, &self.nodes);
                self.faults.insert(*index, (kind, lists));
                Some(changed)
            }
            (Happening::FaultEnded { index }, _) => {
                self.faults.remove(index)?;
                Some(changed_by(&self.plan.faults.get(*index)?.kind))
            }
            _ => None,
        }
    }

    /// Who leads matters while that server is hampered: it holds up everybody.
    fn led(&mut self, event: &Event) -> Option<Changed> {
        let before = self.leadership.one();
        self.leadership.observe(event);
        let now = self.leadership.one();
        let changed = before != now;
        let holds_up = |leader: &Option<NodeName>| {
            leader.as_ref().is_some_and(|leader| self.is_hampered(leader))
        };
        (changed && (holds_up(&before) || holds_up(&now))).then_some(Changed::Service)
    }

    fn process(&mut self, node: &NodeName, now: Process) -> Option<Changed> {
        if !self.nodes.contains(node) {
            self.nodes.push(node.clone());
        }
        self.processes.insert(node.clone(), now);
        Some(if self.is_server(node) { Changed::Service } else { Changed::Client })
    }

    fn is_server(&self, node: &NodeName) -> bool {
        self.servers.contains(node)
    }

    /// Whether the node's process is up and goes on.
    pub fn runs(&self, node: &NodeName) -> bool {
        self.processes.get(node) == Some(&Process::Up)
    }

    /// Whether something slows a node that runs, or makes its disk, its clock or its links fail now
    /// and then, by more than is harmless: it may be of use, and nobody can rely on it.
    pub fn is_hampered(&self, node: &NodeName) -> bool {
        let is_server = self.is_server(node);
        let is_struck = |lists: &[Vec<NodeName>]| lists.iter().flatten().any(|n| n == node);
        self.faults.values().any(|(kind, lists)| hampers(kind, is_server) && is_struck(lists))
    }

    /// Whether this is the server that leads the newest epoch.
    pub(crate) fn leads(&self, node: &NodeName) -> bool {
        self.leadership.one().as_ref() == Some(node)
    }

    /// Whether the two nodes run and hear one another.
    pub fn hear(&self, one: &NodeName, other: &NodeName) -> bool {
        let mut faults = self.faults.values();
        let is_linked =
            one == other || !faults.any(|(kind, lists)| self.cuts(kind, lists, one, other));
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

/// What such a fault changes when it begins and when it ends, apart from what its victims'
/// processes tell.
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
    use mailstorm_record::Names;
    use mailstorm_record::cast::Target;

    const NODES: [&str; 5] = ["s1", "s2", "s3", "a1", "sink"];

    /// The pairs that do not hear one another once the plan's only fault has begun, whose words
    /// mean these.
    fn apart(kind: &str, meant: &[(&str, &[&str])]) -> String {
        let text = format!("lasts_ms = 9\n[[faults]]\nat_ms = 1\nlasts_ms = 1\nkind.{kind}\n");
        let targets = meant.iter().map(|(word, _)| Target::some(word, "")).collect();
        let names = Names { nodes: NODES.map(NodeName::from).to_vec(), targets };
        let plan = Plan::parse(&text, "p", &names).expect("a plan");
        let history = NODES.iter().fold(History::new(), |history, node| history.started(node));
        let mut reach = Reach::new(&ensemble(3));
        reach.plan(&plan);
        for event in history.fault_meant(0, &[], meant).events() {
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
        let led: &[(&str, &[&str])] = &[("leader", &["s2"]), ("followers", &["s1", "s3"])];
        for (kind, meant, expected) in [
            (r#"partition = { sides = [["s1", "a1"], ["s2"]] }"#, &[][..], "s1-s2 s2-a1"),
            (r#"bridge = { left = ["s1"], right = ["s2", "a1"] }"#, &[], "s1-s2 s1-a1"),
            (r#"one_way = { from = ["s1"], to = ["s2"] }"#, &[], "s1-s2"),
            (r#"ring = { nodes = ["s1", "s2", "s3", "a1"] }"#, &[], "s1-s3 s2-a1"),
            (r#"isolate = { nodes = ["sink"] }"#, &[], "s1-sink s2-sink s3-sink a1-sink"),
            (r#"kill_sessions = { nodes = ["a1"] }"#, &[], "s1-a1 s2-a1 s3-a1"),
            (r#"partition = { sides = [["leader"], ["followers"]] }"#, led, "s1-s2 s2-s3"),
            (r#"isolate = { nodes = ["leader"] }"#, led, "s1-s2 s2-s3 s2-a1 s2-sink"),
            (r#"slow = { nodes = ["s1"], delay_ms = 9 }"#, &[], ""),
        ] {
            assert_eq!(apart(kind, meant), expected, "{kind}");
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
