//! Faults: what can go wrong, as data, and which numbers and nodes make sense in it.
//!
//! Owns: the vocabulary of faults. Leaves: lists of them, and their files, to `plan`; which nodes
//! the words of a plan mean to `cast`; what each kind is called and which numbers it takes to
//! `catalogue`; carrying them out to `world`.
//! Holds: a fault that was checked names only nodes that exist and numbers that are bounded.
//! Start at [`FaultKind`].

use crate::cast::OTHERS;
use crate::{Names, NodeName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The latest virtual millisecond of a storm that a plan may come to: a day. Longer plans are
/// typing errors.
pub const PLAN_MS_MAX: u64 = 24 * 60 * 60 * 1_000;

/// The most that a clock may drift, in parts per million either way: half its speed.
pub const DRIFT_PPM_MAX: i32 = 500_000;

/// The most KiB per second that a slow link may have left: more is no slow link.
pub(crate) const KIB_PER_SECOND_MAX: u64 = 100_000_000;

/// The most connections that strangers may open to one address: each is memory of the laboratory.
pub(crate) const CONNECTIONS_MAX: u64 = 10_000;

/// The most sectors that may rot at once, more than any disk here has.
pub(crate) const SECTORS_MAX: u64 = 100_000;

/// The most times as long that a slow disk may take.
pub(crate) const FACTOR_MAX: u64 = 100_000;

/// The length of a fault that has no end: it lasts until the run is over. Files spell it `lasts =
/// "forever"`.
pub const FOREVER_MS: u64 = u64::MAX;

/// One fault, in virtual time since the storm began.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "WrittenFault", into = "WrittenFault")]
pub struct Fault {
    /// When it begins.
    pub at_ms: u64,
    /// For how long it lasts; [`FOREVER_MS`] for a fault without an end.
    pub lasts_ms: u64,
    /// What happens.
    pub kind: FaultKind,
}

/// A fault as files spell it: its length is a number of milliseconds, or the word `forever`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFault {
    at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lasts_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lasts: Option<Lasts>,
    kind: FaultKind,
}

/// The word for a length that is no number.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Lasts {
    Forever,
}

impl TryFrom<WrittenFault> for Fault {
    type Error = String;

    fn try_from(written: WrittenFault) -> Result<Self, String> {
        let WrittenFault { at_ms, lasts_ms, lasts, kind } = written;
        let name = kind.name();
        let lasts_ms = match (lasts_ms, lasts, kind.lasts_unless_said()) {
            (Some(FOREVER_MS), None, _) => {
                return Err(format!("`{name}`: lasts_ms must be at most {PLAN_MS_MAX}, a day"));
            }
            (Some(ms), None, _) | (None, None, Some(ms)) => ms,
            (None, Some(Lasts::Forever), _) => FOREVER_MS,
            (Some(_), Some(Lasts::Forever), _) => {
                return Err(format!(
                    "`{name}` has two ends: expected either `lasts_ms = ...` or `lasts = \"forever\"`"
                ));
            }
            (None, None, None) => {
                return Err(format!(
                    "`{name}` has no end: expected `lasts_ms = 15000` for 15 s, or `lasts = \"forever\"` \
                     for the rest of the run"
                ));
            }
        };
        Ok(Self { at_ms, lasts_ms, kind })
    }
}

impl From<Fault> for WrittenFault {
    fn from(fault: Fault) -> Self {
        let Fault { at_ms, lasts_ms, kind } = fault;
        match lasts_ms {
            FOREVER_MS => Self { at_ms, lasts_ms: None, lasts: Some(Lasts::Forever), kind },
            ms => Self { at_ms, lasts_ms: Some(ms), lasts: None, kind },
        }
    }
}

/// What a fault does. Wherever nodes are listed, the words of the scenario may stand, too: `leader`
/// for the server that leads when the fault begins, and so on ([`cast`](crate::cast)).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// Nodes on different sides do not hear each other. A node on no side hears everybody.
    Partition {
        /// The sides, each a list of nodes.
        sides: Vec<Vec<NodeName>>,
    },
    /// Two halves that only hear each other's middle: `left` and `right` are apart, both hear the
    /// rest.
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
        /// The bandwidth that is left to each direction of each link, in KiB per second; 0 leaves
        /// it.
        #[serde(default)]
        kib_per_second: u64,
    },
    /// Bytes between these servers and other servers change on the way. Only links that checksum
    /// their messages are touched: the servers' own.
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
    /// Strangers open connections to every address these nodes listen on, send garbage and stay.
    Flood {
        /// Which.
        nodes: Vec<NodeName>,
        /// How many connections to each address.
        connections: u32,
    },
    /// These nodes are cut off from all servers: with a length above the session timeout it ends
    /// their sessions.
    KillSessions {
        /// Which; workers and clients.
        nodes: Vec<NodeName>,
    },
    /// The processes die at the beginning and are started again at the end; peers see their
    /// connections break. Their machines go on: what was written stays in the page cache, where the
    /// next process reads it, though it is lost if the machine crashes before a sync.
    Kill {
        /// Which.
        nodes: Vec<NodeName>,
    },
    /// The machines crash at the beginning and are up again at the end; peers see their connections
    /// break. What was not synced is kept, lost or torn, as the disk's stream decides.
    Crash {
        /// Which.
        nodes: Vec<NodeName>,
    },
    /// The machines crash again and again.
    CrashLoop {
        /// Which.
        nodes: Vec<NodeName>,
        /// For how long they live each time.
        up_ms: u64,
        /// For how long they are down each time.
        down_ms: u64,
    },
    /// The machines lose power at the beginning, and have it again at the end. Peers see nothing
    /// but silence; what was not synced is kept, lost or torn.
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
    /// The wall clock jumps, and jumps back at the end, if there is one.
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
    /// Reads fail with an I/O error.
    ReadFails {
        /// Which nodes.
        nodes: Vec<NodeName>,
    },
    /// Writes fail with an I/O error, half done.
    WriteFails {
        /// Which nodes.
        nodes: Vec<NodeName>,
    },
    /// Syncs say they are done and are not. Only a plan that lifts the atlas may ask for it.
    SyncLies {
        /// Which nodes.
        nodes: Vec<NodeName>,
    },
    /// The processes die in the middle of a write: every unsynced sector is torn. Started again at
    /// the end.
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
    /// The machines crash, and sectors that their disks held for some time cannot be read when they
    /// are up again at the end: whoever reads one gets an I/O error, until it is written again.
    UnreadableSectors {
        /// Which nodes.
        nodes: Vec<NodeName>,
        /// How many sectors.
        sectors: u32,
    },
    /// The machines die, and have new, empty disks when they are started again at the end.
    DiskLost {
        /// Which nodes.
        nodes: Vec<NodeName>,
    },
}

/// Writes down once what each kind is called.
macro_rules! names {
    ($($kind:ident $name:literal,)*) => {
        /// Every kind as plans spell it.
        pub const NAMES: &[&str] = &[$($name),*];

        /// The kind as plans spell it.
        pub fn name(&self) -> &'static str {
            match self {
                $(Self::$kind { .. } => $name,)*
            }
        }
    };
}

/// Every list of nodes in a fault, by reference as the fault is given.
macro_rules! node_lists {
    ($kind:expr, $each:ident) => {
        match $kind {
            FaultKind::Partition { sides } => sides.$each().collect(),
            FaultKind::Bridge { left, right } => vec![left, right],
            FaultKind::OneWay { from, to } => vec![from, to],
            FaultKind::Ring { nodes }
            | FaultKind::Isolate { nodes }
            | FaultKind::Flap { nodes, .. }
            | FaultKind::Slow { nodes, .. }
            | FaultKind::Corrupt { nodes, .. }
            | FaultKind::Reset { nodes, .. }
            | FaultKind::Flood { nodes, .. }
            | FaultKind::KillSessions { nodes }
            | FaultKind::Kill { nodes }
            | FaultKind::Crash { nodes }
            | FaultKind::CrashLoop { nodes, .. }
            | FaultKind::PowerCut { nodes }
            | FaultKind::Pause { nodes }
            | FaultKind::Drift { nodes, .. }
            | FaultKind::Jump { nodes, .. }
            | FaultKind::DiskStall { nodes }
            | FaultKind::DiskSlow { nodes, .. }
            | FaultKind::DiskFull { nodes }
            | FaultKind::SyncFails { nodes }
            | FaultKind::ReadFails { nodes }
            | FaultKind::WriteFails { nodes }
            | FaultKind::SyncLies { nodes }
            | FaultKind::TornWrites { nodes }
            | FaultKind::UnreadableSectors { nodes, .. }
            | FaultKind::BitRot { nodes, .. }
            | FaultKind::MisdirectedWrite { nodes }
            | FaultKind::DiskLost { nodes } => vec![nodes],
        }
    };
}

impl FaultKind {
    names! {
        Partition "partition",
        Bridge "bridge",
        Ring "ring",
        OneWay "one_way",
        Isolate "isolate",
        Flap "flap",
        Slow "slow",
        Corrupt "corrupt",
        Reset "reset",
        Flood "flood",
        KillSessions "kill_sessions",
        Kill "kill",
        Crash "crash",
        CrashLoop "crash_loop",
        PowerCut "power_cut",
        Pause "pause",
        Drift "drift",
        Jump "jump",
        DiskStall "disk_stall",
        DiskSlow "disk_slow",
        DiskFull "disk_full",
        SyncFails "sync_fails",
        ReadFails "read_fails",
        WriteFails "write_fails",
        SyncLies "sync_lies",
        TornWrites "torn_writes",
        BitRot "bit_rot",
        MisdirectedWrite "misdirected_write",
        UnreadableSectors "unreadable_sectors",
        DiskLost "disk_lost",
    }

    /// The kind that is in a label of figures ([`Names::label`]): `crash` in `leader_crash`.
    pub fn named_in(label: &str) -> Option<&'static str> {
        let is_in = |name: &&&str| {
            let before = label.strip_suffix(**name);
            before.is_some_and(|before| before.is_empty() || before.ends_with('_'))
        };
        // Of `disk_slow`, `slow` is the end, too.
        Self::NAMES.iter().filter(is_in).max_by_key(|name| name.len()).copied()
    }

    /// How long it lasts if no length is given; `None` for a kind that needs one. What happens at a
    /// moment needs no length: connections break once, a process that lost something of its disk is
    /// started again at once, a clock that has jumped stays where it is.
    pub fn lasts_unless_said(&self) -> Option<u64> {
        match self {
            Self::Reset { every_ms: 0, .. }
            | Self::BitRot { .. }
            | Self::MisdirectedWrite { .. }
            | Self::UnreadableSectors { .. }
            | Self::DiskLost { .. } => Some(0),
            Self::Jump { .. } => Some(FOREVER_MS),
            _ => None,
        }
    }

    /// Every list of nodes in it.
    pub fn node_lists(&self) -> Vec<&Vec<NodeName>> {
        node_lists!(self, iter)
    }

    /// Every list of nodes in it, to be changed; in the order of [`FaultKind::node_lists`].
    pub fn node_lists_mut(&mut self) -> Vec<&mut Vec<NodeName>> {
        node_lists!(self, iter_mut)
    }
}

impl Fault {
    /// Whether it lasts until the run is over.
    pub fn is_forever(&self) -> bool {
        self.lasts_ms == FOREVER_MS
    }

    /// When it ends; a fault without an end counts only with its beginning.
    pub fn ends_ms(&self) -> u64 {
        if self.is_forever() { self.at_ms } else { self.at_ms.saturating_add(self.lasts_ms) }
    }

    /// What is wrong with the fault among these names, and what was expected.
    pub(crate) fn check(&self, names: &Names, lifts_atlas: bool) -> Result<(), String> {
        let name = self.kind.name();
        if self.ends_ms() > PLAN_MS_MAX {
            return Err(format!(
                "`{name}`: at_ms and lasts_ms together must be at most {PLAN_MS_MAX}, a day"
            ));
        }
        for list in self.kind.node_lists() {
            if list.is_empty() {
                return Err(format!("`{name}` needs at least one node in each of its lists"));
            }
            for node in list {
                if !names.has(node) {
                    let words = names.targets.iter().map(|target| format!("`{}`, ", target.word));
                    let or = if names.targets.is_empty() { "" } else { "or " };
                    let known: Vec<&str> = names.nodes.iter().map(|n| &*n.0).collect();
                    return Err(format!(
                        "`{name}` names node `{node}`, which does not exist; expected {}{or}one of {}",
                        words.collect::<String>(),
                        known.join(", ")
                    ));
                }
            }
        }
        let lists = self.kind.node_lists();
        let says_others = |list: &&&Vec<NodeName>| list.iter().any(|node| *node.0 == *OTHERS);
        if lists.len() == 1 && lists.iter().any(|list| says_others(&list)) {
            let groups = names.targets.iter().filter(|target| !target.is_one);
            let groups = groups.map(|target| format!("`{}`, ", target.word)).collect::<String>();
            let or = if groups.is_empty() { "" } else { "or " };
            return Err(format!(
                "`{name}` has only one list, so nobody is among the `{OTHERS}`; expected {groups}{or}nodes by name"
            ));
        }
        if lists.iter().filter(says_others).count() > 1 {
            return Err(format!("`{name}` says `{OTHERS}` in two lists; expected it in one"));
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
            FaultKind::BitRot { sectors, .. } | FaultKind::UnreadableSectors { sectors, .. } => {
                within("sectors", (*sectors).into(), 1, SECTORS_MAX)
            }
            FaultKind::SyncLies { .. } if !lifts_atlas => Err(format!(
                "`{name}` loses acknowledged writes whatever the servers do; expected `lifts_atlas = true` in the plan"
            )),
            _ => Ok(()),
        }
    }
}
