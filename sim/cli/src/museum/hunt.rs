//! Counting: how many seeds each hunt for a defect took, and who found it.
//!
//! Holds: a find counts as right only if a checker of the right ones fired in that very run.
//! Start at [`Hunts`].

use mailstorm_record::{Plan, Violation};
use std::collections::BTreeMap;

/// After so many hunts in a row, from the first, that came to the cap with nothing, the defect is
/// given up: further ones would only take time.
const VAIN_MAX: u64 = 2;

/// How often a defect is hunted, and for how long each time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub repeats: u64,
    pub seeds: u64,
}

/// The scenario, by its place, and the seed of an attempt.
pub(super) fn attempt(number: u64, scenarios: usize) -> (usize, u64) {
    let scenarios = scenarios as u64;
    ((number % scenarios) as usize, 1 + number / scenarios)
}

/// A violation that ended a hunt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Find {
    pub scenario: &'static str,
    pub seed: u64,
    pub fingerprint: String,
    pub is_right: bool,
    /// None if the seed alone makes it.
    pub plan: Option<Plan>,
}

impl Find {
    /// What the violations of a run are for a hunt: that of a right checker, or else the first.
    pub(super) fn of<'a>(
        (scenario, seed): (&'static str, u64),
        violations: impl Iterator<Item = &'a Violation>,
        right: &[&str],
    ) -> Option<Self> {
        let fired: Vec<&Violation> = violations.collect();
        let by_right = fired.iter().find(|violation| right.contains(&&*violation.checker));
        let violation = by_right.or(fired.first())?;
        let fingerprint = violation.fingerprint();
        Some(Self { scenario, seed, fingerprint, is_right: by_right.is_some(), plan: None })
    }
}

/// The number that this share of the hunts needed at the most (nearest rank); `None` if that share
/// did not find anything. Those that found nothing needed the most.
pub(super) fn percentile(needed: impl Iterator<Item = Option<u64>>, percent: u64) -> Option<u64> {
    let mut needed: Vec<_> = needed.collect();
    needed.sort_by_key(|number| number.unwrap_or(u64::MAX));
    let rank = (needed.len() as u64 * percent).div_ceil(100).max(1);
    needed.get(rank as usize - 1).copied().flatten()
}

/// The hunts for one defect.
#[derive(Debug)]
pub(super) struct Hunts {
    scenarios: &'static [&'static str],
    right: &'static [&'static str],
    bounds: Bounds,
    /// Attempts in all, and in the hunt that is under way.
    attempts: u64,
    in_this: u64,
    /// How many attempts each hunt that is over took, and what it found.
    over: Vec<(u64, Option<Find>)>,
}

impl Hunts {
    pub(super) fn new(
        scenarios: &'static [&'static str],
        right: &'static [&'static str],
        bounds: Bounds,
    ) -> Self {
        Self { scenarios, right, bounds, attempts: 0, in_this: 0, over: Vec::new() }
    }

    /// The next attempt showed these violations; its plan is told if it is not what the seed draws.
    pub(super) fn add<'a>(
        &mut self,
        violations: impl Iterator<Item = &'a Violation>,
        plan: Option<&Plan>,
    ) {
        let (place, seed) = attempt(self.attempts, self.scenarios.len());
        self.attempts += 1;
        self.in_this += 1;
        let find = Find::of((self.scenarios[place], seed), violations, self.right)
            .map(|find| Find { plan: plan.cloned(), ..find });
        if find.is_some() || self.in_this >= self.bounds.seeds {
            self.over.push((self.in_this, find));
            self.in_this = 0;
        }
    }

    /// Whether the next attempt begins a hunt.
    pub(super) fn is_between(&self) -> bool {
        self.in_this == 0
    }

    /// Whether there is nothing more to do.
    pub(super) fn are_over(&self) -> bool {
        let hunts = self.over.len() as u64;
        hunts >= self.bounds.repeats
            || (hunts >= VAIN_MAX && self.over.iter().all(|(_, find)| find.is_none()))
    }

    pub(super) fn count(&self) -> u64 {
        self.over.len() as u64
    }

    /// Hunts that ended with a violation that a right checker saw.
    pub(super) fn right(&self) -> u64 {
        self.over.iter().filter(|(_, find)| find.as_ref().is_some_and(|f| f.is_right)).count()
            as u64
    }

    /// Hunts that ended with a violation that only others saw.
    pub(super) fn wrong(&self) -> u64 {
        self.over.iter().filter(|(_, find)| find.as_ref().is_some_and(|f| !f.is_right)).count()
            as u64
    }

    /// The seeds that this share of the hunts needed at the most (nearest rank); `None` if that
    /// share did not find it.
    pub(super) fn percentile(&self, percent: u64) -> Option<u64> {
        let needed = self
            .over
            .iter()
            .map(|(seeds, find)| find.as_ref().filter(|f| f.is_right).map(|_| *seeds));
        percentile(needed, percent)
    }

    /// How often each fingerprint ended a hunt.
    pub(super) fn fired(&self) -> BTreeMap<&str, u64> {
        let mut fired = BTreeMap::new();
        for find in self.over.iter().filter_map(|(_, find)| find.as_ref()) {
            *fired.entry(&*find.fingerprint).or_default() += 1;
        }
        fired
    }

    /// The first find of a right checker, or else of any.
    pub(super) fn first_find(&self) -> Option<&Find> {
        let mut finds = self.over.iter().filter_map(|(_, find)| find.as_ref());
        finds.clone().find(|find| find.is_right).or_else(|| finds.next())
    }

    pub(super) fn attempts(&self) -> u64 {
        self.attempts
    }

    /// Each scenario with the highest seed that was used.
    pub(super) fn used(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let count = self.scenarios.len() as u64;
        let attempts = self.attempts;
        let highest = move |place: u64| (attempts + count - 1 - place) / count;
        self.scenarios.iter().zip(0..).map(move |(name, place)| (*name, highest(place)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violation(checker: &str) -> Violation {
        Violation { checker: checker.to_owned(), kind: "k".to_owned(), ..Violation::default() }
    }

    /// Hunts over attempts told by the checker that fired, or nothing.
    fn hunted(attempts: &[&[&str]], repeats: u64, seeds: u64) -> Hunts {
        let mut hunts = Hunts::new(&["a", "b"], &["quorum"], Bounds { repeats, seeds });
        for fired in attempts {
            assert!(!hunts.are_over());
            let fired: Vec<_> = fired.iter().map(|checker| violation(checker)).collect();
            hunts.add(fired.iter(), None);
        }
        hunts
    }

    #[test]
    fn attempts_take_the_scenarios_in_turn_each_with_its_next_seed() {
        let attempts: Vec<_> = (0..5).map(|number| attempt(number, 2)).collect();
        assert_eq!(attempts, [(0, 1), (1, 1), (0, 2), (1, 2), (0, 3)]);
        let used: Vec<_> = hunted(&[&[], &[], &[]], 5, 9).used().collect();
        assert_eq!(used, [("a", 2), ("b", 1)]);
    }

    #[test]
    fn a_hunt_ends_with_a_violation_or_at_the_cap_and_the_next_begins_after_it() {
        let hunts =
            hunted(&[&[], &["quorum"], &["panic", "quorum"], &["panic"], &[], &[], &[]], 4, 3);
        assert!(hunts.are_over());
        assert_eq!((hunts.right(), hunts.wrong(), hunts.count()), (2, 1, 4));
        assert_eq!(hunts.percentile(50), Some(2));
        assert_eq!(hunts.percentile(95), None);
        let fired: Vec<_> = hunts.fired().into_iter().collect();
        assert_eq!(fired, [("panic/k", 1), ("quorum/k", 2)]);
        let first = hunts.first_find().expect("found");
        assert_eq!((first.scenario, first.seed, first.is_right), ("b", 1, true));
    }

    #[test]
    fn a_defect_that_hides_twice_is_given_up() {
        let hunts = hunted(&[&[], &[], &[], &[]], 20, 2);
        assert!(hunts.are_over());
        assert_eq!((hunts.right(), hunts.attempts(), hunts.percentile(50)), (0, 4, None));
        assert!(hunts.first_find().is_none());
    }
}
