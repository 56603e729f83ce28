//! The moment of each violation: the event that tells it, the chain of causes that ends there, what
//! is stuck behind whom, and the stretch of time that shows it all.
//!
//! Holds: a chain is in the order of time, and begins with a fault, with the start of a process, or
//! with the work that a fault stopped; a stretch lies within the run.
//! Start at [`Moment::of`].

use super::causes::{Causes, Step};
use super::columns::Struck;
use super::lanes::Lanes;
use super::nodes::Node;
use super::projection::Systems;
use super::stuck::Stuck;
use mailstorm_record::{Event, Happening, NodeName, Violation};
use serde::Serialize;

/// What part of a stretch is shown before and after it.
const MARGIN_PART: u64 = 25;
/// And how much at the least.
const MARGIN_NS_MIN: u64 = 20_000_000;

/// From when to when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Stretch {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl Stretch {
    /// These instants with a little before and after, within a run of this length.
    pub(crate) fn around(from: u64, to: u64, end_ns: u64) -> Self {
        let margin = (to.saturating_sub(from) / MARGIN_PART).max(MARGIN_NS_MIN);
        Self { from: from.saturating_sub(margin), to: to.saturating_add(margin).min(end_ns) }
    }

    /// The fragment of an address that shows it.
    pub(crate) fn fragment(self) -> String {
        // Outwards, so that what lies at its ends is in it.
        let ms = |ns: u64| format!("{}.{:03}", ns / 1_000_000_000, ns / 1_000_000 % 1_000);
        format!("#t={}-{}", ms(self.from), ms(self.to.next_multiple_of(1_000_000)))
    }
}

/// What is to be seen of a violation.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Moment {
    /// The event that it is told at, or -1.
    event: i64,
    /// The fault that its chain begins with, or -1.
    fault: i64,
    /// Its causes, the first one first, and the event that it is told at.
    chain: Vec<usize>,
    /// What stands still, and behind whom.
    stuck: Option<Stuck>,
    /// From the first cause to the violation.
    pub(crate) opens: Stretch,
}

/// All that is known of a run when its violations are looked at.
pub(super) struct Scene<'a> {
    pub(super) events: &'a [&'a Event],
    pub(super) nodes: &'a [Node],
    pub(super) faults: &'a [Struck],
    pub(super) lanes: &'a Lanes,
    pub(super) causes: &'a Causes,
    pub(super) violations: &'a [&'a Violation],
    pub(super) systems: &'a Systems,
    pub(super) end_ns: u64,
}

impl Scene<'_> {
    pub(super) fn place(&self, name: &NodeName) -> Option<usize> {
        self.nodes.iter().position(|node| node.name == *name)
    }

    /// How many events are told up to this instant.
    fn told_by(&self, at_ns: u64) -> usize {
        self.events.partition_point(|event| event.at_ns <= at_ns)
    }
}

impl Moment {
    /// Of this violation.
    pub(super) fn of(violation: &Violation, scene: &Scene<'_>) -> Self {
        let involved: Vec<usize> = violation.nodes.iter().filter_map(|n| scene.place(n)).collect();
        let is_stuck = violation.since_ns().is_some() || involved.is_empty();
        let stuck = is_stuck.then(|| Stuck::of(violation, scene));
        let (event, chain, fault) = match &stuck {
            Some(stuck) if involved.is_empty() => standstill(violation, stuck, scene),
            _ => breach(violation, &involved, scene),
        };
        let from = match fault {
            Some(fault) => scene.faults[fault].from,
            None => chain.first().map_or(violation.at_ns, |first| scene.events[*first].at_ns),
        };
        let opens = Stretch::around(from.min(violation.at_ns), violation.at_ns, scene.end_ns);
        let number = |place: Option<usize>| place.map_or(-1, |place| place as i64);
        Self { event: number(event), fault: number(fault), chain, stuck, opens }
    }
}

type Found = (Option<usize>, Vec<usize>, Option<usize>);

/// Somebody did something wrong: what one of those involved told last, and what it follows from.
fn breach(violation: &Violation, involved: &[usize], scene: &Scene<'_>) -> Found {
    let told = scene.told_by(violation.at_ns);
    let is_message = |event: &Event| {
        matches!(event.happening, Happening::Sent { .. } | Happening::Delivered { .. })
    };
    let last = |lane: &usize| {
        // At the very moment, what it told counts rather than what it sent.
        let tells = |event: &Event| {
            event.node.as_ref().and_then(|n| scene.place(n)) == Some(*lane)
                && !(is_message(event) && event.at_ns == violation.at_ns)
        };
        scene.events[..told].iter().rposition(|event| tells(event))
    };
    // The first of those that told at the same time: it is the most responsible one.
    let lasts = involved.iter().filter_map(last);
    let event =
        lasts.reduce(|a, b| if scene.events[b].at_ns > scene.events[a].at_ns { b } else { a });
    let Some(event) = event else { return (None, Vec::new(), None) };
    let chain = scene.causes.chain(event);
    let fault = scene.causes.fault_of(&chain);
    (Some(event), joints(&chain, scene), fault)
}

/// Nobody does what was to be done: the fault that is nearest to where it stopped, what it did to
/// its nodes, and the last of the work, which may have come before it.
fn standstill(violation: &Violation, stuck: &Stuck, scene: &Scene<'_>) -> Found {
    let since = stuck.since.min(violation.at_ns);
    let is_told = |event: &&Event| {
        event.node.is_some() && matches!(event.happening, Happening::Observed { .. })
    };
    // Where nothing was ever done there is no last thing.
    let last = match since {
        0 => None,
        _ => scene.events[..scene.told_by(since)].iter().rposition(is_told),
    };
    let lane = |event: usize| scene.events[event].node.as_ref().and_then(|n| scene.place(n));
    let last_lane = last.and_then(lane);
    let rank = |fault: &Struck| {
        let touches = fault.nodes.iter().any(|node| {
            Some(*node) == last_lane || stuck.behind.iter().any(|who| who.node == *node as i64)
        });
        // What was over before counts least; of the others what struck those that the work waits
        // for.
        let is_over = fault.to < since && fault.from < since;
        let away = if is_over { since - fault.to } else { fault.from.abs_diff(since) };
        (is_over, !touches, away)
    };
    let candidates =
        scene.faults.iter().enumerate().filter(|(_, fault)| fault.from <= violation.at_ns);
    let Some((fault, struck)) = candidates.min_by_key(|(_, fault)| rank(fault)) else {
        // Without any fault it is the design: from the start of whoever did the last thing.
        let chain = last.map_or_else(Vec::new, |last| scene.causes.chain(last));
        return (last, joints(&chain, scene), None);
    };
    let until = scene.told_by(violation.at_ns);
    let from = scene.events.partition_point(|event| event.at_ns < struck.from);
    // Where it came to a node: somebody died of it, a message was lost, or the first thing after
    // it.
    let comes = |at: &usize| {
        // What a server knows once a second is no event of its own.
        scene.causes.steps[*at] == Step::Cause(Some(fault))
            && !matches!(scene.events[*at].happening, Happening::State { .. })
    };
    let is_sign = |at: &usize| {
        !matches!(
            scene.events[*at].happening,
            Happening::Observed { .. } | Happening::Delivered { .. }
        )
    };
    let signs = || (from..until).filter(comes);
    let hit = signs().find(is_sign).or_else(|| signs().next());
    let held = stuck.behind.iter().filter_map(|who| usize::try_from(who.event).ok()).take(2);
    let mut chain: Vec<usize> = hit.into_iter().chain(last).chain(held).collect();
    chain.sort_unstable();
    chain.dedup();
    (last.or(chain.last().copied()), chain, Some(fault))
}

/// A chain without what only fills time: its ends, where it passes from one node to another, and
/// where a process dies, stops, or goes on.
fn joints(chain: &[usize], scene: &Scene<'_>) -> Vec<usize> {
    let node = |at: usize| chain.get(at).map(|event| &scene.events[*event].node);
    let is_joint = |at: usize| {
        let turns = matches!(
            scene.events[chain[at]].happening,
            Happening::Crashed { .. }
                | Happening::Started { .. }
                | Happening::Paused
                | Happening::Resumed
                | Happening::DiskDamaged
        );
        at == 0
            || at + 1 == chain.len()
            || turns
            || node(at - 1) != node(at)
            || node(at + 1) != node(at)
    };
    (0..chain.len()).filter(|at| is_joint(*at)).map(|at| chain[at]).collect()
}
