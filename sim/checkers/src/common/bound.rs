//! A numeric bound: a quantity that may not become more than so much.
//!
//! Definition. Every sample of the quantity is at most the bound (`exceeded`). What a sample is,
//! and what the bound is, the scenario says: mails that wait, notifications per release of a lock.
//! Figure: the samples, under the quantity's name.

use crate::common::checker::violation;
use crate::{Checker, Figure, Interests};
use mailstorm_record::{Event, Happening, Violation};
use mailstorm_shared::Observation;
use mailstorm_shared::facts::ApplicationFact;

/// What an event tells of the quantity, if anything.
type Sample = Box<dyn FnMut(&Event) -> Option<u64>>;

/// Watches one quantity.
pub struct Bound {
    max: u64,
    interests: Interests,
    sample: Sample,
    samples: Figure,
    /// What the event tells that is being looked at.
    told: Option<u64>,
}

impl Bound {
    /// A quantity of which `sample` takes samples from the events of the kinds it is interested in.
    pub fn new(
        name: &'static str,
        about: &'static str,
        max: u64,
        interests: Interests,
        sample: impl FnMut(&Event) -> Option<u64> + 'static,
    ) -> Self {
        Self {
            max,
            interests,
            sample: Box::new(sample),
            samples: Figure::new(name, about),
            told: None,
        }
    }

    /// A quantity that an application measures itself ([`ApplicationFact::Measured`]).
    pub fn measured(name: &'static str, about: &'static str, max: u64) -> Self {
        Self::new(name, about, max, Interests::APPLICATION, move |event| match &event.happening {
            Happening::Observed {
                observation:
                    Observation::Application(ApplicationFact::Measured { name: measured, value }),
            } => (**measured == *name).then_some(*value),
            _ => None,
        })
    }
}

impl Checker for Bound {
    fn name(&self) -> &'static str {
        "bound"
    }

    fn interests(&self) -> Interests {
        self.interests
    }

    fn measure(&mut self, event: &Event) {
        self.told = (self.sample)(event);
        self.told.into_iter().for_each(|value| self.samples.add(value));
    }

    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        let Some(value) = self.told else { return Ok(()) };
        if value <= self.max {
            return Ok(());
        }
        let Figure { name, about, .. } = &self.samples;
        let detail = format!("{name} is {value}, and may be {} at the most ({about})", self.max);
        Err(violation(self.name(), "exceeded", event.at_ns, event.node.clone(), detail))
    }

    fn figures(&self) -> Vec<Figure> {
        vec![self.samples.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::history::History;
    use mailstorm_record::Verdict;

    fn queue() -> Bound {
        Bound::measured("queue_mails", "mails that wait", 2)
    }

    #[test]
    fn a_quantity_up_to_its_bound_passes_and_is_measured() {
        let mut checker = queue();
        let history = History::new().measured("queue_mails", 2).measured("other", 9);
        assert_eq!(history.feed(&mut checker), Verdict::Pass);
        let figures = checker.figures();
        assert_eq!((figures[0].count, figures[0].max), (1, 2));
    }

    #[test]
    fn more_than_the_bound_is_told_with_the_number() {
        let history = History::new().measured("queue_mails", 3);
        let violation = history.violates(queue(), "exceeded");
        let detail = "queue_mails is 3, and may be 2 at the most (mails that wait)";
        assert_eq!(violation.detail, detail);
    }
}
