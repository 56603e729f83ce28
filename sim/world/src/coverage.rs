//! Which states of its systems a run comes through, so that a sweep can say when it last saw a new
//! one.
//!
//! A state is what one member of a system is at one moment, as its system sees it, and a kind of
//! fault that is going on, at it or elsewhere. Goals that were reached count as states as well.
//! Holds: the same number means the same state in every run of a scenario on one inbox, and there
//! are no more than [`Layout::total`] of them and one for each goal.
//! Start at [`CoverageMap::observe`].

use crate::scenario::Topology;
use mailstorm_checkers::common::states::States;
use mailstorm_record::{Coverage, Event, FaultKind, Happening};

const NS_PER_MS: u64 = 1_000_000;

/// Every kind of fault has a number below this, and none has 0, which stands for no fault.
const KINDS: u32 = 32;

const _: () = assert!(FaultKind::NAMES.len() < KINDS as usize, "no fault is a number of its own");

/// How the numbers of states are dealt to the systems.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Of each system its first number, and how many states it has.
    systems: Vec<(u32, u32)>,
    /// Numbers from here on stand for goals.
    total: u32,
}

impl Layout {
    pub(crate) fn of(topology: &Topology) -> Self {
        Self::new(topology.systems.iter().map(|system| system.states().bound()))
    }

    fn new(bounds: impl Iterator<Item = u32>) -> Self {
        let mut total = 0;
        let place = |bound| {
            let first = total;
            // At the node that a fault strikes, or elsewhere.
            total += bound * 2 * KINDS;
            (first, bound)
        };
        let systems = bounds.map(place).collect();
        Self { systems, total }
    }

    /// The same state, or goal, whatever fault was going on.
    pub(crate) fn whatever_the_fault(&self, state: u32) -> u32 {
        let of = self.systems.iter().rfind(|(first, _)| *first <= state);
        match of {
            Some((first, bound)) if state < self.total => first + (state - first) % bound,
            _ => state,
        }
    }
}

/// The states that one run has come through so far.
pub(crate) struct CoverageMap {
    layout: Layout,
    systems: Vec<Box<dyn States>>,
    /// One bit for each state.
    seen: Vec<u64>,
    /// Each state that was seen, with the millisecond of the storm in which it first was.
    first: Vec<(u32, u64)>,
    /// When the storm began.
    storm_ns: Option<u64>,
    /// The moment of what is being observed.
    now_ns: u64,
    /// The faults that are going on.
    faults: Vec<FaultSeen>,
    /// What an event shows of a system.
    shown: Vec<(usize, u32)>,
}

/// A fault that is going on.
struct FaultSeen {
    index: usize,
    /// From 1; 0 stands for no fault.
    kind: u32,
    /// Of each system the members that it strikes.
    struck: Vec<Vec<usize>>,
}

impl CoverageMap {
    pub(crate) fn of(topology: &Topology) -> Self {
        Self::new(topology.systems.iter().map(|system| system.states()).collect())
    }

    fn new(systems: Vec<Box<dyn States>>) -> Self {
        let layout = Layout::new(systems.iter().map(|states| states.bound()));
        Self {
            seen: vec![0; layout.total.div_ceil(u64::BITS) as usize],
            layout,
            systems,
            first: Vec::new(),
            storm_ns: None,
            now_ns: 0,
            faults: Vec::new(),
            shown: Vec::new(),
        }
    }

    /// Something happened.
    pub(crate) fn observe(&mut self, event: &Event) {
        self.now_ns = event.at_ns;
        match &event.happening {
            Happening::Phase { name } if &**name == "storm" => self.storm_ns = Some(event.at_ns),
            Happening::FaultBegan { index, kind, nodes, .. } => {
                let kind = FaultKind::named_in(kind);
                let place = FaultKind::NAMES.iter().position(|known| Some(*known) == kind);
                let kind = place.expect("every kind is listed") as u32 + 1;
                let systems = self.systems.iter();
                let struck = systems
                    .map(|states| nodes.iter().filter_map(|node| states.place(node)).collect())
                    .collect();
                self.faults.push(FaultSeen { index: *index, kind, struck });
                self.shows(|states, shown| states.now(shown));
            }
            Happening::FaultEnded { index } => {
                self.faults.retain(|fault| fault.index != *index);
            }
            _ => self.shows(|states, shown| states.observe(event, shown)),
        }
    }

    /// The run's states. `goals` says of each of the run's goals whether it was reached.
    pub(crate) fn states(&self, goals: impl Iterator<Item = bool>) -> Coverage {
        let goals = (self.layout.total..).zip(goals).filter(|(_, reached)| *reached);
        let goals = goals.map(|(goal, _)| (goal, 0));
        Coverage(self.first.iter().copied().chain(goals).collect())
    }

    /// Notes what each system shows.
    fn shows(&mut self, show: impl Fn(&mut dyn States, &mut Vec<(usize, u32)>)) {
        let mut shown = std::mem::take(&mut self.shown);
        for system in 0..self.systems.len() {
            show(&mut *self.systems[system], &mut shown);
            for (node, state) in shown.drain(..) {
                self.note(system, node, state);
            }
        }
        self.shown = shown;
    }

    /// A member of a system is in some state now.
    fn note(&mut self, system: usize, node: usize, state: u32) {
        let (first, bound) = self.layout.systems[system];
        assert!(state < bound, "a system numbers its states below its bound");
        if self.faults.is_empty() {
            self.sees(first + state);
        }
        for index in 0..self.faults.len() {
            let fault = &self.faults[index];
            let is_struck = fault.struck[system].contains(&node);
            self.sees(first + state + bound * (u32::from(is_struck) + 2 * fault.kind));
        }
    }

    fn sees(&mut self, state: u32) {
        let (word, bit) = (state as usize / 64, 1 << (state % 64));
        if self.seen[word] & bit == 0 {
            self.seen[word] |= bit;
            let storm_ms = self.storm_ns.map_or(0, |began| (self.now_ns - began) / NS_PER_MS);
            self.first.push((state, storm_ms));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mailstorm_record::NodeName;
    use std::collections::BTreeMap;

    /// Nodes `s0`, `s1`, ... that are in no other state than how often they were paused, up to
    /// twice.
    #[derive(Default)]
    struct Pauses(Vec<u32>);

    impl States for Pauses {
        fn bound(&self) -> u32 {
            3
        }

        fn place(&self, node: &NodeName) -> Option<usize> {
            node.0.strip_prefix('s')?.parse().ok()
        }

        fn observe(&mut self, event: &Event, shown: &mut Vec<(usize, u32)>) {
            let node = event.node.as_ref().and_then(|node| self.place(node));
            let (Happening::Paused, Some(place)) = (&event.happening, node) else { return };
            self.0.resize(self.0.len().max(place + 1), 0);
            self.0[place] = (self.0[place] + 1).min(2);
            shown.push((place, self.0[place]));
        }

        fn now(&self, shown: &mut Vec<(usize, u32)>) {
            shown.extend(self.0.iter().copied().enumerate());
        }
    }

    fn event(node: Option<&str>, happening: Happening) -> Event {
        Event { at_ns: 0, node: node.map(NodeName::from), happening }
    }

    fn paused(node: &str) -> Event {
        event(Some(node), Happening::Paused)
    }

    fn fault(index: usize, kind: &str, node: &str) -> Event {
        let (kind, nodes, meant) = (kind.into(), vec![node.into()], Default::default());
        event(None, Happening::FaultBegan { index, kind, nodes, meant })
    }

    fn map() -> CoverageMap {
        CoverageMap::new(vec![Box::new(Pauses::default()), Box::new(Pauses::default())])
    }

    /// The states of these events.
    fn states(events: &[Event]) -> BTreeMap<u32, u64> {
        let mut map = map();
        events.iter().for_each(|event| map.observe(event));
        map.states(std::iter::empty()).0
    }

    /// How many states the last of these events adds, for each of the two systems.
    #[track_caller]
    fn check(events: &[Event], added: usize) {
        let before = states(&events[..events.len() - 1]).len();
        assert_eq!(states(events).len() - before, 2 * added);
    }

    #[test]
    fn the_same_again_is_no_new_state() {
        check(&[paused("s0")], 1);
        check(&[paused("s0"), paused("s1")], 0);
        check(&[paused("s0"), paused("s0")], 1);
    }

    #[test]
    fn a_fault_makes_a_state_of_its_own_for_each_node_and_for_whom_it_strikes() {
        // Both nodes are in the same state, and one of them is struck.
        check(&[paused("s0"), paused("s1"), fault(0, "pause", "s0")], 2);
        check(&[paused("s0"), paused("s1"), fault(0, "leader_pause", "c1")], 1);
    }

    #[test]
    fn whatever_the_fault_a_state_is_that_of_its_system() {
        let map = map();
        let calm = states(&[paused("s0")]);
        let struck = states(&[paused("s0"), fault(0, "pause", "s0")]);
        let all = struck.into_keys().map(|state| map.layout.whatever_the_fault(state));
        assert!(all.collect::<std::collections::BTreeSet<_>>().iter().eq(calm.keys()));
        let goal = map.layout.total + 1;
        assert_eq!(map.layout.whatever_the_fault(goal), goal);
    }

    #[test]
    fn a_goal_that_was_reached_is_a_state() {
        let map = map();
        let goal = map.layout.total + 1;
        assert_eq!(map.states([false, true].into_iter()).0, [(goal, 0)].into());
    }

    #[test]
    fn a_state_is_known_with_the_millisecond_of_the_storm_that_first_showed_it() {
        let at = |at_ms: u64, event: Event| Event { at_ns: at_ms * NS_PER_MS, ..event };
        let events = [
            at(700, paused("s0")),
            at(1_000, event(None, Happening::Phase { name: "storm".into() })),
            at(1_350, paused("s0")),
            at(1_400, paused("s1")),
        ];
        assert_eq!(states(&events).into_values().collect::<Vec<_>>(), [0, 350, 0, 350]);
    }
}
