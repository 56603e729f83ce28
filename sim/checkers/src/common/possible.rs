//! A checker whose last judgement is asked only if the work could be done at the end of the run:
//! what is missing because everybody is dead for good, or cut off, is no fault of the design.
//!
//! Holds: whatever the checker finds on the way it finds all the same.

use crate::{Checker, Figure, Interests, Needs, Reach};
use mailstorm_record::{Event, Plan, Verdict, Violation};

/// A checker, and what the work needs that it demands at the end.
pub struct IfPossible<C> {
    checker: C,
    needs: Needs,
    reach: Reach,
}

impl<C: Checker> IfPossible<C> {
    /// This checker of work that has these needs.
    pub fn new(checker: C, needs: Needs) -> Self {
        let reach = Reach::new(needs.ensemble());
        Self { checker, needs, reach }
    }

    fn wants(&self, event: &Event) -> bool {
        self.checker.interests().overlaps(Interests::of(event))
    }
}

impl<C: Checker> Checker for IfPossible<C> {
    fn name(&self) -> &'static str {
        self.checker.name()
    }

    fn plan(&mut self, plan: &Plan) {
        self.reach.plan(plan);
        self.checker.plan(plan);
    }

    fn interests(&self) -> Interests {
        self.checker.interests() | Interests::PLAN | Interests::PROCESSES | Interests::LEADERSHIP
    }

    fn measure(&mut self, event: &Event) {
        if self.wants(event) {
            self.checker.measure(event);
        }
    }

    fn measured(&mut self, at_ns: u64) {
        self.checker.measured(at_ns);
    }

    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        self.reach.observe(event);
        if self.wants(event) { self.checker.observe(event) } else { Ok(()) }
    }

    fn finish(&mut self, at_ns: u64) -> Verdict {
        let verdict = self.checker.finish(at_ns);
        if self.needs.allow(&self.reach) { verdict } else { Verdict::Pass }
    }

    fn figures(&self) -> Vec<Figure> {
        self.checker.figures()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ExactlyOnce;
    use crate::common::history::{History, ensemble, mails};

    #[test]
    fn a_mail_that_nobody_can_process_is_not_lost_and_one_that_is_doubled_is() {
        let checker = || {
            let once = ExactlyOnce::new(mails(&["m-1", "m-2"]));
            IfPossible::new(once, Needs::of(&ensemble(3), ["w1", "w2"]))
        };
        let all = ["s1", "s2", "s3", "w1", "w2"];
        let started = || all.iter().fold(History::new(), |history, node| history.started(node));
        let one = || started().processed("m-1", "w1", 5);
        one().violates(checker(), "lost");
        one().crashed("w1").violates(checker(), "lost");
        one().crashed("w1").crashed("w2").passes(checker());
        one().crashed("s1").crashed("s2").passes(checker());
        one().crashed("s1").crashed("s2").accepted("m-1", "w2", 6).violates(checker(), "doubled");
    }
}
