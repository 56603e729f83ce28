//! Plans: lists of faults in virtual time, as data that people write, store, replay and cut down.
//!
//! Owns: the vocabulary of faults, their file format, and the errors for files that break it. Leaves:
//! drawing a plan from a seed and carrying it out to `world`.
//! Holds: `Plan::parse(plan.to_toml())` gives the same plan, and a plan that parsed names only nodes
//! that exist and numbers that make sense.
//! Start at [`Plan`]; every kind of fault is a variant of [`FaultKind`].
//!
//! ```toml
//! lasts_ms = 60000
//!
//! [[faults]]
//! at_ms = 4000
//! lasts_ms = 3000
//! kind.crash = { nodes = ["leader"] }
//! ```

use crate::NodeName;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// The name that stands, in a plan, for whichever server leads when the fault begins; while none does, for
/// one that the fault's stream picks.
pub const LEADER: &str = "leader";

/// The latest virtual millisecond of a storm that a plan may come to: a day. Longer plans are typing errors.
pub const PLAN_MS_MAX: u64 = 24 * 60 * 60 * 1_000;

/// The most that a clock may drift, in parts per million either way: half its speed.
pub const DRIFT_PPM_MAX: i32 = 500_000;

/// The most KiB per second that a slow link may have left: more is no slow link.
const KIB_PER_SECOND_MAX: u64 = 100_000_000;

/// The most connections that strangers may open to one address: each is memory of the laboratory.
const CONNECTIONS_MAX: u64 = 10_000;

/// The most sectors that may rot at once, more than any disk here has.
const SECTORS_MAX: u64 = 100_000;

/// The most times as long that a slow disk may take.
const FACTOR_MAX: u64 = 100_000;

/// What is to go wrong, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// True when disks may lie and lose more than a correct ensemble can survive: for lessons only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lifts_atlas: bool,
    /// How long the storm lasts; without it, until the last fault has ended. A plan drawn from a seed
    /// says it, so that the plan alone makes the same storm again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasts_ms: Option<u64>,
    /// The faults, in any order.
    #[serde(default)]
    pub faults: Vec<Fault>,
}

/// One fault, in virtual time since the storm began.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When it begins.
    pub at_ms: u64,
    /// For how long it lasts. Faults that happen at once ignore it.
    #[serde(default)]
    pub lasts_ms: u64,
    /// What happens.
    pub kind: FaultKind,
}

/// What a fault does. Wherever nodes are listed, `leader` stands for the server that leads when the
/// fault begins.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// Nodes on different sides do not hear each other. A node on no side hears everybody.
    Partition {
        /// The sides, each a list of nodes.
        sides: Vec<Vec<NodeName>>,
    },
    /// Two halves that only hear each other's middle: `left` and `right` are apart, both hear the rest.
    Bridge {
        /// One side.
        left: Vec<NodeName>,
        /// The other side.
        right: Vec<NodeName>,
    },
    /// Every node of the ring hears only its two neighbours in it (and whoever is not in the ring).
    Ring {
        /// The ring, in order.
        nodes: Vec<NodeName>,
    },
    /// `to` hears nothing of `from`; the other direction works.
    OneWay {
        /// Who is not heard.
        from: Vec<NodeName>,
        /// Who does not hear.
        to: Vec<NodeName>,
    },
    /// Each of these nodes is cut off from every other node.
    Isolate {
        /// Which.
        nodes: Vec<NodeName>,
    },
    /// Isolation that comes and goes.
    Flap {
        /// Which nodes.
        nodes: Vec<NodeName>,
        /// For how long they are cut off each time.
        down_ms: u64,
        /// For how long they are heard in between.
        up_ms: u64,
    },
    /// Everything to and from these nodes takes longer.
    Slow {
        /// Which.
        nodes: Vec<NodeName>,
        /// How much longer, at the most.
        delay_ms: u64,
        /// The bandwidth that is left to each direction of each link, in KiB per second; 0 leaves it.
        #[serde(default)]
        kib_per_second: u64,
    },
    /// Bytes between these servers and other servers change on the way. Only links that checksum their
    /// messages are touched: the servers' own.
    Corrupt {
        /// Which servers.
        nodes: Vec<NodeName>,
        /// How many of a million messages are changed.
        per_million: u32,
    },
    /// Every connection of these nodes breaks, at once and then again and again.
    Reset {
        /// Which.
        nodes: Vec<NodeName>,
        /// How often, while the fault lasts; 0 for only once.
        #[serde(default)]
        every_ms: u64,
    },
    /// Strangers open connections to every address these nodes listen on, say something senseless and
    /// stay.
    Flood {
        /// Which.
        nodes: Vec<NodeName>,
        /// How many connections to each address.
        connections: u32,
    },
    /// These nodes are cut off from all servers: with a length above the session timeout it ends their
    /// sessions.
    KillSessions {
        /// Which; workers and clients.
        nodes: Vec<NodeName>,
    },
    /// The processes die at the beginning and are started again at the end. Their machines stay up, so
    /// that peers are told. What was not synced is kept, lost or torn, as the disk's stream decides.
    Crash {
        /// Which.
        nodes: Vec<NodeName>,
    },
    /// The processes die again and again.
    CrashLoop {
        /// Which.
        nodes: Vec<NodeName>,
        /// For how long they live each time.
        up_ms: u64,
        /// For how long they are down each time.
        down_ms: u64,
    },
    /// The machines lose power at the beginning, silently, and have it again at the end.
    PowerCut {
        /// Which.
        nodes: Vec<NodeName>,
    },
    /// The processes stop, and wake with their memory and their beliefs intact.
    Pause {
        /// Which.
        nodes: Vec<NodeName>,
    },
    /// Both clocks run at another speed.
    Drift {
        /// Which nodes.
        nodes: Vec<NodeName>,
        /// How much faster, in parts per million; negative for slower.
        ppm: i32,
    },
    /// The wall clock jumps, and jumps back at the end.
    Jump {
        /// Which nodes.
        nodes: Vec<NodeName>,
        /// By how much; negative for back.
        by_ms: i64,
    },
    /// The disk answers nothing.
    DiskStall {
        /// Which nodes.
        nodes: Vec<NodeName>,
    },
    /// The disk takes longer for everything.
    DiskSlow {
        /// Which nodes.
        nodes: Vec<NodeName>,
        /// How many times as long.
        factor: u32,
    },
    /// The disk has no room for anything new.
    DiskFull {
        /// Which nodes.
        nodes: Vec<NodeName>,
    },
    /// Syncs fail.
    SyncFails {
        /// Which nodes.
        nodes: Vec<NodeName>,
    },
    /// Syncs say they are done and are not. Only a plan that lifts the atlas may ask for it.
    SyncLies {
        /// Which nodes.
        nodes: Vec<NodeName>,
    },
    /// The processes die in the middle of a write: every unsynced sector is torn. Started again at the
    /// end.
    TornWrites {
        /// Which nodes.
        nodes: Vec<NodeName>,
    },
    /// The processes die, and what their disks held for some time has changed when they are started
    /// again at the end.
    BitRot {
        /// Which nodes.
        nodes: Vec<NodeName>,
        /// How many sectors change.
        sectors: u32,
    },
    /// The processes die, and a sector turns out to have been written over another one.
    MisdirectedWrite {
        /// Which nodes.
        nodes: Vec<NodeName>,
    },
    /// The machines die, and have new, empty disks when they are started again at the end.
    DiskLost {
        /// Which nodes.
        nodes: Vec<NodeName>,
    },
}

impl FaultKind {
    /// Every kind as plans spell it.
    pub const NAMES: [&str; 26] = [
        "partition",
        "bridge",
        "ring",
        "one_way",
        "isolate",
        "flap",
        "slow",
        "corrupt",
        "reset",
        "flood",
        "kill_sessions",
        "crash",
        "crash_loop",
        "power_cut",
        "pause",
        "drift",
        "jump",
        "disk_stall",
        "disk_slow",
        "disk_full",
        "sync_fails",
        "sync_lies",
        "torn_writes",
        "bit_rot",
        "misdirected_write",
        "disk_lost",
    ];

    /// The kind as plans spell it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Partition { .. } => "partition",
            Self::Bridge { .. } => "bridge",
            Self::Ring { .. } => "ring",
            Self::OneWay { .. } => "one_way",
            Self::Isolate { .. } => "isolate",
            Self::Flap { .. } => "flap",
            Self::Slow { .. } => "slow",
            Self::Corrupt { .. } => "corrupt",
            Self::Reset { .. } => "reset",
            Self::Flood { .. } => "flood",
            Self::KillSessions { .. } => "kill_sessions",
            Self::Crash { .. } => "crash",
            Self::CrashLoop { .. } => "crash_loop",
            Self::PowerCut { .. } => "power_cut",
            Self::Pause { .. } => "pause",
            Self::Drift { .. } => "drift",
            Self::Jump { .. } => "jump",
            Self::DiskStall { .. } => "disk_stall",
            Self::DiskSlow { .. } => "disk_slow",
            Self::DiskFull { .. } => "disk_full",
            Self::SyncFails { .. } => "sync_fails",
            Self::SyncLies { .. } => "sync_lies",
            Self::TornWrites { .. } => "torn_writes",
            Self::BitRot { .. } => "bit_rot",
            Self::MisdirectedWrite { .. } => "misdirected_write",
            Self::DiskLost { .. } => "disk_lost",
        }
    }

    /// The kind as figures group it: the name, with `leader_` before it when the leader is aimed at.
    pub fn label(&self) -> Cow<'static, str> {
        let aimed = self.node_lists().iter().flat_map(|list| list.iter()).any(|n| &*n.0 == LEADER);
        if aimed { format!("leader_{}", self.name()).into() } else { self.name().into() }
    }

    /// Every list of nodes in it.
    pub fn node_lists(&self) -> Vec<&Vec<NodeName>> {
        match self {
            Self::Partition { sides } => sides.iter().collect(),
            Self::Bridge { left, right } => vec![left, right],
            Self::OneWay { from, to } => vec![from, to],
            Self::Ring { nodes }
            | Self::Isolate { nodes }
            | Self::Flap { nodes, .. }
            | Self::Slow { nodes, .. }
            | Self::Corrupt { nodes, .. }
            | Self::Reset { nodes, .. }
            | Self::Flood { nodes, .. }
            | Self::KillSessions { nodes }
            | Self::Crash { nodes }
            | Self::CrashLoop { nodes, .. }
            | Self::PowerCut { nodes }
            | Self::Pause { nodes }
            | Self::Drift { nodes, .. }
            | Self::Jump { nodes, .. }
            | Self::DiskStall { nodes }
            | Self::DiskSlow { nodes, .. }
            | Self::DiskFull { nodes }
            | Self::SyncFails { nodes }
            | Self::SyncLies { nodes }
            | Self::TornWrites { nodes }
            | Self::BitRot { nodes, .. }
            | Self::MisdirectedWrite { nodes }
            | Self::DiskLost { nodes } => vec![nodes],
        }
    }
}

impl FaultKind {
    /// Every list of nodes in it, to be changed; in the order of [`FaultKind::node_lists`].
    pub fn node_lists_mut(&mut self) -> Vec<&mut Vec<NodeName>> {
        match self {
            Self::Partition { sides } => sides.iter_mut().collect(),
            Self::Bridge { left, right } => vec![left, right],
            Self::OneWay { from, to } => vec![from, to],
            Self::Ring { nodes }
            | Self::Isolate { nodes }
            | Self::Flap { nodes, .. }
            | Self::Slow { nodes, .. }
            | Self::Corrupt { nodes, .. }
            | Self::Reset { nodes, .. }
            | Self::Flood { nodes, .. }
            | Self::KillSessions { nodes }
            | Self::Crash { nodes }
            | Self::CrashLoop { nodes, .. }
            | Self::PowerCut { nodes }
            | Self::Pause { nodes }
            | Self::Drift { nodes, .. }
            | Self::Jump { nodes, .. }
            | Self::DiskStall { nodes }
            | Self::DiskSlow { nodes, .. }
            | Self::DiskFull { nodes }
            | Self::SyncFails { nodes }
            | Self::SyncLies { nodes }
            | Self::TornWrites { nodes }
            | Self::BitRot { nodes, .. }
            | Self::MisdirectedWrite { nodes }
            | Self::DiskLost { nodes } => vec![nodes],
        }
    }
}

/// Why a plan file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub struct PlanError {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there, and what was expected.
    pub problem: String,
}

/// A plan whose faults know where they stand in the file, which may be that of a [`Case`](crate::Case).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SpannedPlan {
    #[serde(default, rename = "mailstorm")]
    _version: IgnoredAny,
    #[serde(default, rename = "scenario")]
    _scenario: IgnoredAny,
    #[serde(default, rename = "seed")]
    _seed: IgnoredAny,
    #[serde(default, rename = "defect")]
    _defect: IgnoredAny,
    #[serde(default, rename = "fingerprint")]
    _fingerprint: IgnoredAny,
    #[serde(default, rename = "inbox")]
    _inbox: IgnoredAny,
    #[serde(default, rename = "settings")]
    _settings: IgnoredAny,
    #[serde(default)]
    lifts_atlas: bool,
    #[serde(default)]
    lasts_ms: Option<toml::Spanned<u64>>,
    #[serde(default)]
    faults: Vec<toml::Spanned<Fault>>,
}

/// The line, from 1, in which a place of a text lies.
pub(crate) fn line_at(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
}

impl Plan {
    /// Reads a plan file, or the plan of a case file. `file` is its name for errors, `nodes` are the nodes that exist.
    ///
    /// # Errors
    /// [`PlanError`] for what is not TOML, has unknown or missing keys, names nodes that do not exist, or
    /// gives numbers that make no sense.
    pub fn parse(text: &str, file: &str, nodes: &[NodeName]) -> Result<Self, PlanError> {
        let error = |at: usize, problem: String| PlanError {
            file: file.to_owned(),
            line: line_at(text, at),
            problem,
        };
        let parsed: SpannedPlan = toml::from_str(text).map_err(|e| {
            let at = e.span().map_or(0, |span| span.start);
            error(at, e.message().replace('\n', ", "))
        })?;
        let lasts_at = parsed.lasts_ms.as_ref().map_or(0, |lasts| lasts.span().start);
        let lasts_ms = parsed.lasts_ms.map(toml::Spanned::into_inner);
        let mut plan = Self { lifts_atlas: parsed.lifts_atlas, lasts_ms, faults: Vec::new() };
        for fault in parsed.faults {
            let at = fault.span().start;
            let fault = fault.into_inner();
            fault.check(nodes, plan.lifts_atlas).map_err(|problem| error(at, problem))?;
            plan.faults.push(fault);
        }
        plan.check_length().map_err(|problem| error(lasts_at, problem))?;
        Ok(plan)
    }

    /// Whether the plan makes sense among these nodes, as [`Plan::parse`] demands it of files.
    ///
    /// # Errors
    /// The first problem, and the place in the plan of the fault that has it (the number of faults when
    /// it is the storm's length).
    pub fn check(&self, nodes: &[NodeName]) -> Result<(), (usize, String)> {
        for (index, fault) in self.faults.iter().enumerate() {
            fault.check(nodes, self.lifts_atlas).map_err(|problem| (index, problem))?;
        }
        self.check_length().map_err(|problem| (self.faults.len(), problem))
    }

    /// Whether the storm can be as long as the plan says.
    fn check_length(&self) -> Result<(), String> {
        match (self.lasts_ms, self.ends_ms()) {
            (Some(lasts_ms), _) if lasts_ms > PLAN_MS_MAX => {
                Err(format!("lasts_ms must be at most {PLAN_MS_MAX}, a day"))
            }
            (Some(lasts_ms), ends_ms) if lasts_ms < ends_ms => Err(format!(
                "the storm lasts {lasts_ms} ms and its last fault ends at {ends_ms} ms; expected \
                 lasts_ms to be at least that, or left out"
            )),
            _ => Ok(()),
        }
    }

    /// The plan as a file that [`Plan::parse`] reads back as the same plan.
    pub fn to_toml(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        if self.lifts_atlas {
            text.push_str("lifts_atlas = true\n");
        }
        if let Some(lasts_ms) = self.lasts_ms {
            writeln!(text, "lasts_ms = {lasts_ms}").expect("a String takes everything");
        }
        if !text.is_empty() {
            text.push('\n');
        }
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                text.push('\n');
            }
            let kind = toml::Value::try_from(&fault.kind).expect("a fault's kind is plain data");
            let (name, body) = kind
                .as_table()
                .and_then(|table| table.iter().next())
                .expect("a fault's kind is a table of one entry");
            writeln!(text, "[[faults]]\nat_ms = {}\nlasts_ms = {}", fault.at_ms, fault.lasts_ms)
                .and_then(|()| writeln!(text, "kind.{name} = {body}"))
                .expect("a String takes everything");
        }
        if self.faults.is_empty() {
            text.push_str("faults = []\n");
        }
        text
    }

    /// How long the storm lasts, in virtual milliseconds.
    pub fn storm_ms(&self) -> u64 {
        self.lasts_ms.unwrap_or(0).max(self.ends_ms())
    }

    /// When the last fault ends, in virtual milliseconds of the storm.
    pub fn ends_ms(&self) -> u64 {
        self.faults.iter().map(|f| f.at_ms.saturating_add(f.lasts_ms)).max().unwrap_or(0)
    }
}

impl Fault {
    /// What is wrong with the fault among these nodes, and what was expected.
    fn check(&self, nodes: &[NodeName], lifts_atlas: bool) -> Result<(), String> {
        let name = self.kind.name();
        if self.at_ms.saturating_add(self.lasts_ms) > PLAN_MS_MAX {
            return Err(format!(
                "`{name}`: at_ms and lasts_ms together must be at most {PLAN_MS_MAX}, a day"
            ));
        }
        for list in self.kind.node_lists() {
            if list.is_empty() {
                return Err(format!("`{name}` needs at least one node in each of its lists"));
            }
            for node in list {
                if &*node.0 != LEADER && !nodes.contains(node) {
                    let known: Vec<&str> = nodes.iter().map(|n| &*n.0).collect();
                    return Err(format!(
                        "`{name}` names node `{node}`, which does not exist; expected `{LEADER}` or one of {}",
                        known.join(", ")
                    ));
                }
            }
        }
        let apart = |lists: &[&Vec<NodeName>]| {
            let mut seen = BTreeSet::new();
            match lists.iter().flat_map(|list| list.iter()).find(|node| !seen.insert(*node)) {
                Some(node) => Err(format!("`{name}` names node `{node}` twice; expected once")),
                None => Ok(()),
            }
        };
        let within = |what: &str, number: u64, min: u64, max: u64| {
            if (min..=max).contains(&number) {
                return Ok(());
            }
            Err(format!("`{name}`: {what} must lie within {min} and {max}"))
        };
        match &self.kind {
            FaultKind::Partition { sides } => {
                if sides.len() < 2 {
                    return Err(format!("`{name}` needs at least two sides"));
                }
                apart(&sides.iter().collect::<Vec<_>>())
            }
            FaultKind::Bridge { left, right } => apart(&[left, right]),
            FaultKind::OneWay { from, to } => apart(&[from, to]),
            FaultKind::Ring { nodes } => apart(&[nodes]),
            FaultKind::Flap { down_ms, up_ms, .. }
            | FaultKind::CrashLoop { down_ms, up_ms, .. } => {
                within("down_ms", *down_ms, 1, PLAN_MS_MAX)?;
                within("up_ms", *up_ms, 1, PLAN_MS_MAX)
            }
            FaultKind::Slow { delay_ms, kib_per_second, .. } => {
                within("delay_ms", *delay_ms, 0, PLAN_MS_MAX)?;
                within("kib_per_second", *kib_per_second, 0, KIB_PER_SECOND_MAX)
            }
            FaultKind::Reset { every_ms, .. } => within("every_ms", *every_ms, 0, PLAN_MS_MAX),
            FaultKind::Corrupt { per_million, .. } => {
                within("per_million", (*per_million).into(), 0, 1_000_000)
            }
            FaultKind::Flood { connections, .. } => {
                within("connections", (*connections).into(), 1, CONNECTIONS_MAX)
            }
            FaultKind::Drift { ppm, .. } if ppm.unsigned_abs() > DRIFT_PPM_MAX.unsigned_abs() => {
                Err(format!("`{name}`: ppm must lie within -{DRIFT_PPM_MAX} and {DRIFT_PPM_MAX}"))
            }
            FaultKind::Jump { by_ms, .. } if by_ms.unsigned_abs() > PLAN_MS_MAX => Err(format!(
                "`{name}`: by_ms must lie within -{PLAN_MS_MAX} and {PLAN_MS_MAX}, a day"
            )),
            FaultKind::DiskSlow { factor, .. } => within("factor", (*factor).into(), 1, FACTOR_MAX),
            FaultKind::BitRot { sectors, .. } => {
                within("sectors", (*sectors).into(), 1, SECTORS_MAX)
            }
            FaultKind::SyncLies { .. } if !lifts_atlas => Err(format!(
                "`{name}` loses acknowledged writes whatever the servers do; expected `lifts_atlas = true` in the plan"
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn nodes() -> Vec<NodeName> {
        ["s1", "s2", "s3", "w1"].map(NodeName::from).to_vec()
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let error = Plan::parse(text, "plan.toml", &nodes()).expect_err("the plan is broken");
        assert_eq!(error.to_string(), expected);
    }

    const HEAD: &str = "[[faults]]\nat_ms = 1\nlasts_ms = 2\n";

    #[test]
    fn a_plan_is_written_as_people_write_it() {
        let plan = Plan {
            lifts_atlas: false,
            lasts_ms: Some(60_000),
            faults: vec![
                Fault {
                    at_ms: 4_000,
                    lasts_ms: 3_000,
                    kind: FaultKind::Crash { nodes: vec![LEADER.into()] },
                },
                Fault {
                    at_ms: 5_000,
                    lasts_ms: 0,
                    kind: FaultKind::Partition {
                        sides: vec![vec!["s1".into()], vec!["s2".into(), "s3".into()]],
                    },
                },
            ],
        };
        assert_eq!(
            plan.to_toml(),
            "lasts_ms = 60000\n\n[[faults]]\nat_ms = 4000\nlasts_ms = 3000\nkind.crash = { nodes = [\"leader\"] }\n\n\
             [[faults]]\nat_ms = 5000\nlasts_ms = 0\nkind.partition = { sides = [[\"s1\"], [\"s2\", \"s3\"]] }\n"
        );
        assert_eq!(Plan::parse(&plan.to_toml(), "p", &nodes()), Ok(plan));
    }

    #[test]
    fn an_empty_plan_is_a_plan() {
        assert_eq!(Plan::parse("", "p", &nodes()), Ok(Plan::default()));
        assert_eq!(Plan::parse(&Plan::default().to_toml(), "p", &nodes()), Ok(Plan::default()));
    }

    #[test]
    fn a_broken_plan_says_file_line_and_what_was_expected() {
        check(
            &format!("{HEAD}kind.crash = {{ nodes = [\"s9\"] }}"),
            "plan.toml:1: `crash` names node `s9`, which does not exist; expected `leader` or one of s1, s2, s3, w1",
        );
        check(
            &format!("{HEAD}kind.crash = {{ nodes = [] }}"),
            "plan.toml:1: `crash` needs at least one node in each of its lists",
        );
        check(
            &format!("{HEAD}kind.crash = {{ nodes = [\"s1\"], hard = true }}"),
            "plan.toml:4: unexpected keys in table: hard, available keys: nodes",
        );
        check(
            &format!("{HEAD}color = 1\nkind.crash = {{ nodes = [\"s1\"] }}"),
            "plan.toml:4: unknown field `color`, expected one of `at_ms`, `lasts_ms`, `kind`",
        );
        check(
            &format!(
                "{HEAD}kind.pause = {{ nodes = [\"s1\"] }}\n\n{HEAD}kind.partition = {{ sides = [[\"s1\"], [\"s1\"]] }}"
            ),
            "plan.toml:6: `partition` names node `s1` twice; expected once",
        );
        check(
            &format!("{HEAD}kind.sync_lies = {{ nodes = [\"s1\"] }}"),
            "plan.toml:1: `sync_lies` loses acknowledged writes whatever the servers do; \
             expected `lifts_atlas = true` in the plan",
        );
        check(
            &format!("lasts_ms = 2\n{HEAD}kind.pause = {{ nodes = [\"s1\"] }}"),
            "plan.toml:1: the storm lasts 2 ms and its last fault ends at 3 ms; expected \
             lasts_ms to be at least that, or left out",
        );
        for (kind, expected) in [
            (
                "slow = { nodes = [\"s1\"], delay_ms = 9223372036854775807, kib_per_second = 0 }",
                "`slow`: delay_ms must lie within 0 and 86400000",
            ),
            (
                "slow = { nodes = [\"s1\"], delay_ms = 0, kib_per_second = 18014398509481984 }",
                "`slow`: kib_per_second must lie within 0 and 100000000",
            ),
            (
                "flood = { nodes = [\"s1\"], connections = 4294967295 }",
                "`flood`: connections must lie within 1 and 10000",
            ),
            (
                "bit_rot = { nodes = [\"s1\"], sectors = 4294967295 }",
                "`bit_rot`: sectors must lie within 1 and 100000",
            ),
            (
                "reset = { nodes = [\"s1\"], every_ms = 86400001 }",
                "`reset`: every_ms must lie within 0 and 86400000",
            ),
            (
                "disk_slow = { nodes = [\"s1\"], factor = 0 }",
                "`disk_slow`: factor must lie within 1 and 100000",
            ),
        ] {
            check(&format!("{HEAD}kind.{kind}"), &format!("plan.toml:1: {expected}"));
        }
        check(
            "[[faults]]\nat_ms = 86400000\nlasts_ms = 1\nkind.pause = { nodes = [\"s1\"] }",
            "plan.toml:1: `pause`: at_ms and lasts_ms together must be at most 86400000, a day",
        );
        check("lasts_ms = 86400001", "plan.toml:1: lasts_ms must be at most 86400000, a day");
        let text = format!("{HEAD}kind.crsh = {{ nodes = [\"s1\"] }}");
        let error = Plan::parse(&text, "plan.toml", &nodes()).expect_err("no such kind");
        assert!(
            error.to_string().starts_with("plan.toml:4: unknown variant `crsh`, expected"),
            "{error}"
        );
        let error = Plan::parse("faults = 3", "plan.toml", &nodes()).expect_err("no list");
        assert_eq!(error.line, 1);
        let error = Plan::parse("a = 'b", "plan.toml", &nodes()).expect_err("no TOML");
        assert_eq!(error.line, 1);
    }

    fn some_nodes() -> impl Strategy<Value = Vec<NodeName>> {
        vec(
            prop::sample::select(vec!["s1", "s2", "s3", "w1", LEADER]).prop_map(NodeName::from),
            1..4,
        )
    }

    fn some_kind() -> impl Strategy<Value = FaultKind> {
        let sides =
            Just(vec![vec!["s1".into(), "w1".into()], vec!["s2".into()], vec!["s3".into()]]);
        prop_oneof![
            sides.prop_map(|sides| FaultKind::Partition { sides }),
            Just(FaultKind::Bridge { left: vec!["s1".into()], right: vec![LEADER.into()] }),
            Just(FaultKind::OneWay { from: vec!["w1".into()], to: vec!["s3".into()] }),
            Just(FaultKind::Ring { nodes: nodes() }),
            some_nodes().prop_map(|nodes| FaultKind::Isolate { nodes }),
            (some_nodes(), 1..9_999u64, 1..9_999u64)
                .prop_map(|(nodes, down_ms, up_ms)| FaultKind::Flap { nodes, down_ms, up_ms }),
            (some_nodes(), 0..=PLAN_MS_MAX, 0..=KIB_PER_SECOND_MAX).prop_map(
                |(nodes, delay_ms, kib_per_second)| {
                    FaultKind::Slow { nodes, delay_ms, kib_per_second }
                }
            ),
            (some_nodes(), 0..=1_000_000u32)
                .prop_map(|(nodes, per_million)| FaultKind::Corrupt { nodes, per_million }),
            (some_nodes(), 0..=PLAN_MS_MAX)
                .prop_map(|(nodes, every_ms)| FaultKind::Reset { nodes, every_ms }),
            (some_nodes(), 1..=CONNECTIONS_MAX as u32)
                .prop_map(|(nodes, connections)| FaultKind::Flood { nodes, connections }),
            some_nodes().prop_map(|nodes| FaultKind::KillSessions { nodes }),
            some_nodes().prop_map(|nodes| FaultKind::Crash { nodes }),
            (some_nodes(), 1..9_999u64, 1..9_999u64)
                .prop_map(|(nodes, up_ms, down_ms)| FaultKind::CrashLoop { nodes, up_ms, down_ms }),
            some_nodes().prop_map(|nodes| FaultKind::PowerCut { nodes }),
            some_nodes().prop_map(|nodes| FaultKind::Pause { nodes }),
            (some_nodes(), -DRIFT_PPM_MAX..=DRIFT_PPM_MAX)
                .prop_map(|(nodes, ppm)| FaultKind::Drift { nodes, ppm }),
            (some_nodes(), -86_400_000..=86_400_000i64)
                .prop_map(|(nodes, by_ms)| FaultKind::Jump { nodes, by_ms }),
            some_nodes().prop_map(|nodes| FaultKind::DiskStall { nodes }),
            (some_nodes(), 1..=FACTOR_MAX as u32)
                .prop_map(|(nodes, factor)| FaultKind::DiskSlow { nodes, factor }),
            some_nodes().prop_map(|nodes| FaultKind::DiskFull { nodes }),
            some_nodes().prop_map(|nodes| FaultKind::SyncFails { nodes }),
            some_nodes().prop_map(|nodes| FaultKind::SyncLies { nodes }),
            some_nodes().prop_map(|nodes| FaultKind::TornWrites { nodes }),
            (some_nodes(), 1..=SECTORS_MAX as u32)
                .prop_map(|(nodes, sectors)| FaultKind::BitRot { nodes, sectors }),
            some_nodes().prop_map(|nodes| FaultKind::MisdirectedWrite { nodes }),
            some_nodes().prop_map(|nodes| FaultKind::DiskLost { nodes }),
        ]
    }

    proptest! {
        #[test]
        fn a_plan_read_back_is_the_same_plan(
            faults in vec((0..=PLAN_MS_MAX / 2, 0..=PLAN_MS_MAX / 2, some_kind()), 0..20),
            has_length: bool,
        ) {
            let faults = faults
                .into_iter()
                .map(|(at_ms, lasts_ms, kind)| Fault { at_ms, lasts_ms, kind })
                .collect();
            let mut plan = Plan { lifts_atlas: true, lasts_ms: None, faults };
            let storm_ms = plan.storm_ms();
            plan.lasts_ms = (storm_ms <= PLAN_MS_MAX && has_length).then_some(storm_ms);
            prop_assert_eq!(Plan::parse(&plan.to_toml(), "p", &nodes()), Ok(plan.clone()));
            let json = serde_json::to_string(&plan).expect("plain data");
            prop_assert_eq!(serde_json::from_str::<Plan>(&json).expect("our own words"), plan);
        }

        #[test]
        fn every_kind_is_listed(kind in some_kind()) {
            prop_assert!(FaultKind::NAMES.contains(&kind.name()));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,200}") {
            let _ = Plan::parse(&text, "p", &nodes());
        }
    }
}
