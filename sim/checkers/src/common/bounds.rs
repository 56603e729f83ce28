//! Memory: no core keeps more of anything than its configuration promises.
//!
//! Definition. Of each load that a core tells with a bound ([`MemoryFact::Keeps`]) it never keeps
//! more than that. The kind of the violation is the load's name, where the name is among the kinds,
//! else `exceeded`.
//! Sources: each bound's reason stands where it is configured. A queue that nobody bounds fails
//! only after hours, on a machine that nobody looks at; its bound is passed in seconds. Figures:
//! the most of each load that any core of the run kept, as `kept_` and its name. A core tells what
//! it keeps at powers of two and at the bound, so the figure may be up to half of what there was at
//! the most.

use crate::common::checker::violation;
use crate::common::kinds;
use crate::{Checker, Figure, Interests};
use mailstorm_record::{Event, Happening, Verdict, Violation};
use mailstorm_shared::Observation;
use mailstorm_shared::facts::{MemoryFact, Subject};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Of loads that no kind is named by.
const EXCEEDED: &str = "exceeded";

/// Watches what every core keeps in memory.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    most: BTreeMap<Arc<str>, u64>,
}

impl Bounds {
    /// A checker for all cores of a run.
    pub fn new() -> Self {
        Self::default()
    }
}

fn told(event: &Event) -> Option<&MemoryFact> {
    match &event.happening {
        Happening::Observed { observation: Observation::Memory(fact) } => Some(fact),
        _ => None,
    }
}

impl Checker for Bounds {
    fn name(&self) -> &'static str {
        "bounds"
    }

    fn interests(&self) -> Interests {
        Interests::facts_about(Subject::Memory)
    }

    fn measure(&mut self, event: &Event) {
        let Some(MemoryFact::Keeps { load, now, .. }) = told(event) else { return };
        match self.most.get_mut(load) {
            Some(most) => *most = (*most).max(*now),
            None => _ = self.most.insert(Arc::clone(load), *now),
        }
    }

    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        let Some(fact) = told(event).filter(|fact| fact.is_too_much()) else { return Ok(()) };
        let MemoryFact::Keeps { load, now, max } = fact;
        let kinds = kinds::of(self.name());
        let kind = kinds.iter().find(|kind| ***kind == **load).unwrap_or(&EXCEEDED);
        let who = event.node.as_ref().map_or("somebody".to_owned(), ToString::to_string);
        let max = max.unwrap_or(u64::MAX);
        let detail =
            format!("{who} keeps {now} {}, and promises {max} at the most", load.replace('_', " "));
        Err(violation(self.name(), kind, event.at_ns, event.node.clone(), detail))
    }

    fn finish(&mut self, _at_ns: u64) -> Verdict {
        Verdict::Pass
    }

    fn figures(&self) -> Vec<Figure> {
        let figure = |(load, most): (&Arc<str>, &u64)| {
            let mut figure = Figure::new(format!("kept_{load}"), "the most that any core kept");
            figure.add(*most);
            figure
        };
        self.most.iter().map(figure).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::history::History;

    #[test]
    fn a_core_that_keeps_what_it_promises_passes_and_the_most_is_a_figure() {
        let mut checker = Bounds::new();
        let history = History::new()
            .keeps("s1", "window_entries", 16, Some(32))
            .keeps("s2", "window_entries", 32, Some(32))
            .keeps("s1", "window_entries", 8, Some(32))
            .keeps("s1", "znodes", 9_000, None);
        assert_eq!(history.feed(&mut checker), Verdict::Pass);
        let figures = checker.figures();
        let figures: Vec<_> = figures.iter().map(|f| (&*f.name, f.count, f.max)).collect();
        assert_eq!(figures, [("kept_window_entries", 1, 32), ("kept_znodes", 1, 9_000)]);
    }

    #[test]
    fn one_more_than_a_core_promises_is_a_violation_by_the_name_of_the_load() {
        let history = History::new().keeps("s1", "window_entries", 33, Some(32));
        let violation = history.violates(Bounds::new(), "window_entries");
        assert_eq!(violation.detail, "s1 keeps 33 window entries, and promises 32 at the most");
        assert_eq!(violation.nodes, ["s1".into()]);
    }

    #[test]
    fn a_load_of_a_core_that_nobody_here_knows_is_bounded_as_well() {
        History::new().keeps("r1", "parcels", 2, Some(1)).violates(Bounds::new(), "exceeded");
    }
}
