//! What stands still in a run that does not go on: since when, behind whom, and what is missing.
//!
//! Owns: when nodes were away, and putting together what the systems say. Leaves: what work is, and
//! who holds it, to the projections. Holds: whoever is named is named with what the record shows of
//! it. Start at [`Stuck::of`].

use super::lanes::Band;
use super::moments::Scene;
use mailstorm_record::{Event, Happening, NodeName, Violation};
use mailstorm_shared::time_in_words::moment;
use serde::Serialize;
use std::sync::Arc;

/// So many nodes are named at the most: with more it is everybody.
const NAMED_MAX: usize = 6;

/// What part of the time that work stands still is long.
const LONG_PART: u64 = 5;

/// Work that stands still.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Stuck {
    pub(crate) since: u64,
    /// Behind whom, those that hold the work first.
    pub(crate) behind: Vec<Behind>,
    missing: Missing,
}

/// What is missing, all of it.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Missing {
    /// What each of them is, in a word.
    pub(crate) word: &'static str,
    pub(crate) names: Vec<Arc<str>>,
}

/// Somebody that the work waits for.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Behind {
    /// A lane, or -1 where it is no node.
    pub(crate) node: i64,
    pub(crate) why: String,
    /// Where it shows, or -1.
    pub(crate) event: i64,
}

/// A violation for which work stands still, as a system is asked about it.
pub(crate) struct Standstill<'a> {
    pub(crate) violation: &'a Violation,
    scene: &'a Scene<'a>,
    since_ns: u64,
}

impl Standstill<'_> {
    /// Since when work stands still.
    pub(crate) fn since_ns(&self) -> u64 {
        self.since_ns
    }

    /// When the violation is told.
    pub(crate) fn at_ns(&self) -> u64 {
        self.violation.at_ns
    }

    /// All violations of the run.
    pub(crate) fn violations(&self) -> impl Iterator<Item = &Violation> {
        self.scene.violations.iter().copied()
    }

    /// The lane of a node.
    pub(crate) fn place(&self, name: &NodeName) -> Option<usize> {
        self.scene.place(name)
    }

    /// Whether any node of the run is called this.
    pub(crate) fn has_nodes_called(&self, role: &str) -> bool {
        self.scene.nodes.iter().any(|node| node.role == role)
    }

    /// The bands of this role of this system.
    pub(crate) fn bands_of(&self, topic: &str, role: &str) -> impl Iterator<Item = &Band> {
        let lanes = self.scene.lanes;
        let known =
            lanes.known.iter().position(|known| known.topic == topic && *known.name == *role);
        lanes.roles.iter().filter(move |band| Some(band.role) == known)
    }

    /// What a node does while the work stands still.
    pub(crate) fn state(&self, lane: usize) -> String {
        self.absence(lane, u64::MAX).unwrap_or_else(|| "up ever since".into())
    }

    /// When a node was down, paused or cut off: when the work stopped, or later for this part of
    /// the time since.
    fn absence(&self, lane: usize, part: u64) -> Option<String> {
        let (since, until, scene) = (self.since_ns, self.at_ns(), self.scene);
        let counts = |from: u64, to: u64| {
            let lasts = to.min(until).saturating_sub(from.max(since));
            lasts > 0 && (from <= since || lasts >= (until - since) / part)
        };
        let span = |from: u64, to: u64| {
            let from = moment(from);
            if to >= scene.end_ns {
                format!("since {from}")
            } else {
                format!("from {from} to {}", moment(to))
            }
        };
        let lives = scene.lanes.lives.iter();
        let life = lives.filter(|band| band.node == lane && counts(band.from, band.to));
        if let Some(band) = life.max_by_key(|band| band.to - band.from) {
            return Some(format!("{} {}", band.what, span(band.from, band.to)));
        }
        let cuts = scene.faults.iter().filter(|fault| {
            fault.nodes.contains(&lane) && fault.is_cut() && counts(fault.from, fault.to)
        });
        let cut = cuts.max_by_key(|fault| fault.to - fault.from)?;
        Some(format!("struck by {} {}", cut.kind, span(cut.from, cut.to)))
    }
}

impl Stuck {
    pub(super) fn of(violation: &Violation, scene: &Scene<'_>) -> Self {
        let since = violation.since_ns().or_else(|| healed(scene.events));
        let since = since.unwrap_or(violation.at_ns).min(violation.at_ns);
        let still = Standstill { violation, scene, since_ns: since };
        let systems = &scene.systems.0;
        let missing = systems.iter().find_map(|system| system.missing(&still));
        let missing = missing
            .unwrap_or_else(|| Missing { word: "item", names: violation.missing().to_vec() });
        let mut behind: Vec<Behind> = Vec::new();
        let mut add = |who: Behind| {
            let is_known = who.node >= 0 && behind.iter().any(|known| known.node == who.node);
            if !is_known && behind.len() < NAMED_MAX {
                behind.push(who);
            }
        };
        systems.iter().flat_map(|system| system.holders(&still, &missing)).for_each(&mut add);
        // Whoever was down, paused or cut off when it began, or for long since.
        for lane in 0..scene.nodes.len() {
            if let Some(why) = still.absence(lane, LONG_PART) {
                add(Behind { node: lane as i64, why, event: -1 });
            }
        }
        for why in systems.iter().filter_map(|system| system.lacks(&still)) {
            add(Behind { node: -1, why, event: -1 });
        }
        Self { since, behind, missing }
    }
}

fn healed(events: &[&Event]) -> Option<u64> {
    let is_heal = |event: &&&Event| matches!(&event.happening, Happening::Phase { name } if &**name == "heal");
    events.iter().find(is_heal).map(|event| event.at_ns)
}
