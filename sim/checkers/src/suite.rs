//! Several checkers, fed together.
//!
//! Holds: a checker that has fired is never fed again, and its verdict is its first violation.

use crate::Checker;
use mailstorm_record::{Event, Verdict, Violation};

/// The checkers of one run.
#[derive(Default)]
pub struct Suite {
    members: Vec<Member>,
}

/// A checker and, once it has fired, what it found.
struct Member {
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
        self.members.push(Member { checker: Box::new(checker), fired: None });
    }

    /// Adds a checker, for building a suite in one expression.
    #[must_use]
    pub fn with(mut self, checker: impl Checker + 'static) -> Self {
        self.add(checker);
        self
    }

    /// Feeds the next event to every checker that has not fired, and returns the first violation that
    /// this event made known, if any. The run may go on: the other checkers still want to see it.
    pub fn observe(&mut self, event: &Event) -> Option<&Violation> {
        let mut first = None;
        for (index, member) in self.members.iter_mut().enumerate() {
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

    /// Ends the run: every checker's name and verdict, in the order in which they were added.
    pub fn finish(mut self, at_ns: u64) -> Vec<(&'static str, Verdict)> {
        self.members
            .iter_mut()
            .map(|member| {
                let verdict = match member.fired.take() {
                    Some(violation) => Verdict::Violation(violation),
                    None => member.checker.finish(at_ns),
                };
                (member.checker.name(), verdict)
            })
            .collect()
    }
}
