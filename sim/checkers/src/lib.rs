//! One property per file, judged from records.
//!
//! Owns: the [`Checker`] trait, the [`Suite`] that feeds several of them. Leaves: making the events to
//! `world` (or to real servers), showing the verdicts to `reports`.
//! Holds: a checker knows events and nothing else, so a history of the real servers can be judged as
//! well; the same events in the same order give the same verdict.
//! Start at [`Checker`], then [`Suite`].

pub mod suite;

pub use suite::Suite;

use mailstorm_record::{Event, Verdict, Violation};

/// One property, watched while a run goes on.
pub trait Checker {
    /// Its name, as it stands in violations and in scenarios: `quorum`, `exactly-once`, ...
    fn name(&self) -> &'static str;

    /// Looks at the next event of the run.
    ///
    /// # Errors
    /// A [`Violation`] as soon as the property is known to be broken. The checker is done then: it may
    /// not be fed again.
    fn observe(&mut self, event: &Event) -> Result<(), Violation>;

    /// Judges what can only be judged at the end of the run, at `at_ns`. Called once, and only if no
    /// call of [`Checker::observe`] returned a violation.
    fn finish(&mut self, at_ns: u64) -> Verdict;
}
