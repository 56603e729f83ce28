//! Several checkers, fed together.
//!
//! Holds: a checker that has fired judges no more, and its verdict is its first violation; it goes
//! on measuring.

use crate::{Checker, Figure, Interests};
use mailstorm_record::{Event, Plan, Verdict, Violation};

/// The checkers of one run.
#[derive(Default)]
pub struct Suite {
    members: Vec<Member>,
}

/// A checker and, once it has fired, what it found.
struct Member {
    interests: Interests,
    checker: Box<dyn Checker>,
    fired: Option<Violation>,
}

impl Suite {
    /// A suite without checkers: it passes everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a checker.
    pub fn add(&mut self, checker: impl Checker + 'static) {
        self.members.push(Member {
            interests: checker.interests(),
            checker: Box::new(checker),
            fired: None,
        });
    }

    /// Adds a checker, for building a suite in one expression.
    #[must_use]
    pub fn with(mut self, checker: impl Checker + 'static) -> Self {
        self.add(checker);
        self
    }

    /// Tells every checker what will go wrong.
    pub fn plan(&mut self, plan: &Plan) {
        self.members.iter_mut().for_each(|member| member.checker.plan(plan));
    }

    /// Every checker's name, with the kinds of violations that it can find.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
        self.members.iter().map(|member| (member.checker.name(), member.checker.kinds()))
    }

    /// Feeds the next event to every checker that wants it, for its figures, and if it has not
    /// fired for its judgement, and returns the first violation that this event made known, if any.
    /// The run may go on: the others still want to see it.
    pub fn observe(&mut self, event: &Event) -> Option<&Violation> {
        let kind = Interests::of(event);
        let mut first = None;
        for (index, member) in self.members.iter_mut().enumerate() {
            if !member.interests.overlaps(kind) {
                continue;
            }
            member.checker.measure(event);
            if member.fired.is_some() {
                continue;
            }
            if let Err(violation) = member.checker.observe(event) {
                member.fired = Some(violation);
                first = first.or(Some(index));
            }
        }
        first.and_then(|index| self.members[index].fired.as_ref())
    }

    /// What was found so far, in the order in which the checkers were added.
    pub fn violations(&self) -> impl Iterator<Item = &Violation> {
        self.members.iter().filter_map(|member| member.fired.as_ref())
    }

    /// Ends the run: every checker's name and verdict, in the order in which they were added, and
    /// all that they measured.
    pub fn finish(mut self, at_ns: u64) -> (Vec<(&'static str, Verdict)>, Vec<Figure>) {
        let mut figures = Vec::new();
        let verdicts = self
            .members
            .iter_mut()
            .map(|member| {
                member.checker.measured(at_ns);
                let verdict = match member.fired.take() {
                    Some(violation) => Verdict::Violation(violation),
                    None => member.checker.finish(at_ns),
                };
                figures.extend(member.checker.figures());
                (member.checker.name(), verdict)
            })
            .collect();
        (verdicts, figures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::history::{History, mails};
    use crate::{ExactlyOnce, SplitBrain};

    #[test]
    fn a_checker_that_fired_is_fed_no_more_while_the_others_go_on() {
        let mut suite =
            Suite::new().with(ExactlyOnce::new(mails(&["m-1", "m-2"]))).with(SplitBrain::new());
        let events = History::new()
            .processed("m-1", "w1", 5)
            .accepted("m-1", "w2", 6) // exactly-once fires here
            .accepted("m-1", "w1", 5) // and split-brain here
            .events();
        let mut found = Vec::new();
        for event in &events {
            found.extend(suite.observe(event).map(|v| (v.checker.clone(), v.kind.clone())));
        }
        assert_eq!(
            found,
            [
                ("exactly-once".to_owned(), "doubled".to_owned()),
                ("split-brain".to_owned(), "mutex".to_owned())
            ]
        );
        assert_eq!(suite.violations().count(), 2);
        let (verdicts, figures) = suite.finish(0);
        assert!(verdicts.iter().all(|(_, verdict)| matches!(verdict, Verdict::Violation(_))));
        assert!(figures.iter().any(|figure| figure.name == "attempts_per_mail"));
    }

    #[test]
    fn an_empty_suite_passes_everything() {
        let mut suite = Suite::new();
        for event in History::new().accepted("m-1", "w1", 5).events() {
            assert!(suite.observe(&event).is_none());
        }
        assert!(suite.finish(0).0.is_empty());
    }
}
