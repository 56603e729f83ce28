//! Goals: what must have happened in a sweep, so that no pass is empty.
//!
//! A sweep in which no leader ever died proves nothing about leaders that die. A scenario names
//! what its storms must reach; each goal counts how often a run reached it ([`Reached`]). Runs are
//! added up where they are told, and a goal that no run reached is the sweep's failure, not a
//! run's.
//!
//! The goals of the ensemble are in [`crate::ensemble::goals`], those of the mail in
//! [`crate::mail::goals`]; a scenario adds its own with [`Goal::new`], or counts a
//! [`ApplicationFact::Milestone`] by its name with [`Goal::milestone`].

use crate::Interests;
use mailstorm_record::{Event, Happening};
use mailstorm_shared::Observation;
use mailstorm_shared::facts::ApplicationFact;
use std::fmt;

/// Something that must happen in a sweep.
pub struct Goal {
    /// Its name, in `snake_case`.
    pub name: &'static str,
    /// What it means, in one sentence.
    pub about: &'static str,
    interests: Interests,
    reached: Box<dyn FnMut(&Event) -> bool>,
}

impl Goal {
    /// A goal that is reached once more with every event of which `reached` is true. It sees every
    /// event of a run of the kinds it is interested in, in order.
    pub fn new(
        name: &'static str,
        about: &'static str,
        interests: Interests,
        reached: impl FnMut(&Event) -> bool + 'static,
    ) -> Self {
        Self { name, about, interests, reached: Box::new(reached) }
    }

    /// A goal that is reached with every milestone of its name.
    pub fn milestone(name: &'static str, about: &'static str) -> Self {
        Self::new(name, about, Interests::APPLICATION, move |event| {
            matches!(&event.happening, Happening::Observed {
                observation: Observation::Application(ApplicationFact::Milestone { name: told }),
            } if **told == *name)
        })
    }

    /// A goal that is reached with every observation of which `reached` is true.
    pub fn observed(
        name: &'static str,
        about: &'static str,
        interests: Interests,
        mut reached: impl FnMut(&Observation) -> bool + 'static,
    ) -> Self {
        Self::new(name, about, interests, move |event| match &event.happening {
            Happening::Observed { observation } => reached(observation),
            _ => false,
        })
    }

    /// Looks at the next event of the run, and says whether it reaches the goal once more.
    pub fn is_reached_by(&mut self, event: &Event) -> bool {
        self.interests.overlaps(Interests::of(event)) && (self.reached)(event)
    }
}

impl fmt::Debug for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Goal")
            .field("name", &self.name)
            .field("about", &self.about)
            .finish_non_exhaustive()
    }
}

/// Counts how often one run reaches its goals.
#[derive(Debug)]
pub struct Reached {
    goals: Vec<(Goal, u64)>,
}

impl Reached {
    /// Counts these goals in one run.
    pub fn new(goals: impl IntoIterator<Item = Goal>) -> Self {
        Self { goals: goals.into_iter().map(|goal| (goal, 0)).collect() }
    }

    /// Looks at the next event of the run.
    pub fn observe(&mut self, event: &Event) {
        let kind = Interests::of(event);
        for (goal, count) in &mut self.goals {
            if goal.interests.overlaps(kind) && (goal.reached)(event) {
                *count += 1;
            }
        }
    }

    /// How often the run has reached each goal so far, in the order in which they were given.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.goals.iter().map(|(goal, count)| (goal.name, *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::history::History;

    #[test]
    fn a_goal_counts_how_often_it_was_reached() {
        let mut reached = Reached::new([
            Goal::milestone("claim_taken_over", "a claim was taken over"),
            Goal::milestone("worker_replaced", "a worker was replaced"),
        ]);
        let history = History::new().milestone("claim_taken_over").milestone("claim_taken_over");
        for event in history.events() {
            reached.observe(&event);
        }
        let counts: Vec<_> = reached.counts().collect();
        assert_eq!(counts, [("claim_taken_over", 2), ("worker_replaced", 0)]);
    }
}
