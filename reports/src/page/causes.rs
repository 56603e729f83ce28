//! What each event follows from: the shortest chain to it that begins with a cause.
//!
//! A chain begins where a fault comes to a node: a process dies or is paused, a message is lost, or
//! a node does the first thing after a fault began that struck it. Where no chain leads to a fault
//! it begins with the start of a process. Of the chains to an event the cheapest counts: a message
//! costs as much as a second that passes, and while a process is down or paused no time passes for
//! it.
//!
//! Holds: every chain ends at such a cause, however short the record. Causes stand before what
//! follows from them, so one pass over the events finds all chains. Start at [`Causes::of`].

use super::columns::Struck;
use mailstorm_record::{Event, Happening, NodeName};
use std::collections::BTreeMap;

/// What a message costs, in nanoseconds.
const MESSAGE_COST: u64 = 1_000_000_000;

/// How an event follows from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is a cause: of this fault, or the first thing that its process did.
    Cause(Option<usize>),
    /// It follows from its node's event before.
    Before(usize),
    /// It follows from the sending of the message that it delivers.
    Sending(usize),
}

/// The chains to all events of a run, by their places among the events that are shown.
pub(crate) struct Causes {
    pub(crate) steps: Vec<Step>,
}

/// What a chain costs: one from a fault is cheaper than any from the start of a process.
type Cost = (bool, u64);

impl Causes {
    /// Of these events. Everything else goes by lanes, which `place` knows.
    pub(crate) fn of(
        events: &[&Event],
        faults: &[Struck],
        place: &dyn Fn(&NodeName) -> Option<usize>,
    ) -> Self {
        let mut search = Search {
            faults,
            steps: Vec::with_capacity(events.len()),
            costs: Vec::with_capacity(events.len()),
            last: BTreeMap::new(),
            asleep: BTreeMap::new(),
            sendings: BTreeMap::new(),
            lost: lost_in(events, place),
            events,
        };
        for (at, event) in events.iter().enumerate() {
            match event.node.as_ref().and_then(place) {
                Some(lane) => search.follow(at, lane),
                // The world's own word follows from nothing.
                None => search.put(Step::Cause(None), (true, 0)),
            }
        }
        Self { steps: search.steps }
    }

    /// The chain to an event, the cause first.
    pub(crate) fn chain(&self, event: usize) -> Vec<usize> {
        let mut chain = vec![event];
        let mut at = event;
        while let Step::Before(cause) | Step::Sending(cause) = self.steps[at] {
            chain.push(cause);
            at = cause;
        }
        chain.reverse();
        chain
    }

    /// The fault that the chain to an event begins with.
    pub(crate) fn fault_of(&self, chain: &[usize]) -> Option<usize> {
        match chain.first().map(|first| self.steps[*first]) {
            Some(Step::Cause(fault)) => fault,
            _ => None,
        }
    }
}

/// To whom the messages go that never arrive, by the event of their sending.
fn lost_in(
    events: &[&Event],
    place: &dyn Fn(&NodeName) -> Option<usize>,
) -> BTreeMap<usize, usize> {
    let mut under_way: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
    for (at, event) in events.iter().enumerate() {
        match &event.happening {
            Happening::Sent { message, to, .. } => {
                if let Some(to) = place(to) {
                    under_way.insert(*message, (at, to));
                }
            }
            Happening::Delivered { message } => _ = under_way.remove(message),
            _ => {}
        }
    }
    under_way.into_values().collect()
}

struct Search<'a> {
    events: &'a [&'a Event],
    faults: &'a [Struck],
    steps: Vec<Step>,
    costs: Vec<Cost>,
    /// The last event of each lane.
    last: BTreeMap<usize, usize>,
    /// Whose process is down or paused.
    asleep: BTreeMap<usize, bool>,
    /// Where each message was sent.
    sendings: BTreeMap<u64, usize>,
    lost: BTreeMap<usize, usize>,
}

impl Search<'_> {
    fn put(&mut self, step: Step, cost: Cost) {
        self.steps.push(step);
        self.costs.push(cost);
    }

    fn follow(&mut self, at: usize, lane: usize) {
        let event = self.events[at];
        let before = self.last.insert(lane, at);
        let was_asleep = match &event.happening {
            Happening::Paused | Happening::Crashed { .. } => self.asleep.insert(lane, true),
            Happening::Resumed | Happening::Started { .. } => self.asleep.insert(lane, false),
            _ => self.asleep.get(&lane).copied(),
        };
        if let Happening::Sent { message, .. } = event.happening {
            self.sendings.insert(message, at);
        }
        if let Some(fault) = self.fault_at(at, lane, before) {
            return self.put(Step::Cause(Some(fault)), (false, 0));
        }
        let passed = |cause: usize| event.at_ns.saturating_sub(self.events[cause].at_ns);
        let mut best: Option<(Cost, Step)> = None;
        let mut offer = |cause: usize, more: u64, step: Step| {
            let (is_start, cost) = self.costs[cause];
            let cost = (is_start, cost.saturating_add(more));
            if best.is_none_or(|(least, _)| cost < least) {
                best = Some((cost, step));
            }
        };
        if let Some(before) = before {
            let more = if was_asleep == Some(true) { 0 } else { passed(before) };
            offer(before, more, Step::Before(before));
        }
        if let Happening::Delivered { message } = event.happening
            && let Some(sending) = self.sendings.get(&message)
        {
            offer(*sending, passed(*sending) + MESSAGE_COST, Step::Sending(*sending));
        }
        let (cost, step) = best.unwrap_or(((true, 0), Step::Cause(None)));
        self.put(step, cost);
    }

    /// The fault that comes to a node in this event; of several the one that began last.
    fn fault_at(&self, at: usize, lane: usize, before: Option<usize>) -> Option<usize> {
        /// A process may end a little after the fault that ends it.
        const SLACK_NS: u64 = 1_000_000_000;
        let now = self.events[at].at_ns;
        let is_stroke = matches!(
            self.events[at].happening,
            Happening::Crashed { .. } | Happening::Paused | Happening::DiskDamaged
        );
        let before_ns = before.map(|before| self.events[before].at_ns);
        let lost_to = self.lost.get(&at);
        let comes = |fault: &Struck| {
            if fault.from > now {
                return false;
            }
            let lasts = now <= fault.to;
            if fault.nodes.contains(&lane) {
                let is_first = before_ns.is_none_or(|before| before < fault.from);
                if is_first && lasts {
                    return true;
                }
            }
            lost_to.is_some_and(|to| lasts && fault.loses(lane, *to))
        };
        // Whoever dies or is paused does so for a fault that does this, whatever else struck it.
        let strikes = |fault: &Struck| {
            is_stroke
                && fault.stops
                && fault.nodes.contains(&lane)
                && fault.from <= now
                && now <= fault.to.saturating_add(SLACK_NS)
        };
        self.faults.iter().rposition(strikes).or_else(|| self.faults.iter().rposition(comes))
    }
}
