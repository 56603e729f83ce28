//! Which part of a run is looked at: what led to the violation, and a little of what came after it.

use mailstorm_record::{Event, Happening, NodeName, Run, Violation};
use mailstorm_shared::Observation;
use mailstorm_shared::facts::EnsembleFact;
use std::ops::Range;

/// The events of a run; none where they were not recorded.
pub(super) fn events(run: &Run) -> &[Event] {
    run.events.as_deref().unwrap_or_default()
}

/// The violation that the run leads with.
pub(super) fn violation(run: &Run) -> Option<&Violation> {
    run.outcome.violations().next()
}

/// The number of events up to the moment that matters: the violation, or when the work stopped that
/// did not go on; in a run without one the last time that somebody began to lead; else the end.
pub(super) fn moment(run: &Run) -> usize {
    let events = events(run);
    if let Some(violation) = violation(run) {
        let at_ns = violation.since_ns().unwrap_or(violation.at_ns).min(violation.at_ns);
        return events.partition_point(|event| event.at_ns <= at_ns);
    }
    let leads = |event: &Event| {
        matches!(
            &event.happening,
            Happening::Observed { observation: Observation::Ensemble(EnsembleFact::Leads { .. }) }
        )
    };
    events.iter().rposition(leads).map_or(events.len(), |place| place + 1)
}

/// At most so many places around the moment, out of `count`: four before it for each one after it,
/// and as many as there are.
pub(super) fn around(moment: usize, count: usize, most: usize) -> Range<usize> {
    let end = count.min(moment + most / 5);
    let begin = end.saturating_sub(most);
    begin..count.min(begin + most)
}

/// Those whom the violation names; nobody in a run without one.
pub(super) fn involved(run: &Run) -> &[NodeName] {
    violation(run).map_or(&[], |violation| &violation.nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_what_led_to_the_moment_and_never_more_than_it_may() {
        assert_eq!(around(500, 1_000, 100), 420..520);
        assert_eq!(around(5, 1_000, 100), 0..100);
        assert_eq!(around(1_000, 1_000, 100), 900..1_000);
        assert_eq!(around(0, 0, 100), 0..0);
        assert_eq!(around(3, 7, 100), 0..7);
    }
}
