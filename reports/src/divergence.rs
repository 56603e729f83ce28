//! Where two runs that should be one part, and what they had in common until then.
//!
//! Start at [`Divergence::between`].

use crate::trace::event_line;
use mailstorm_record::{Event, Run};
use serde::Serialize;
use std::fmt::Write;

/// Events told from before the first difference.
const BEFORE: usize = 8;
/// Events told of each run from there on.
const AFTER: usize = 8;

/// What differs between two runs, called A and B.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Divergence<'a> {
    /// Whether nothing does.
    pub same: bool,
    /// The parts that differ, by their names in a record.
    pub different: Vec<String>,
    /// How many events each has recorded.
    pub events: [Option<usize>; 2],
    /// Where the events part.
    pub first: Option<Parting<'a>>,
}

/// The first event that is not the same in both, and its neighbourhood.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Parting<'a> {
    /// Its number, from 1.
    pub event: usize,
    /// When it happened in the run in which it happened first.
    pub at_ns: u64,
    /// What both have just before.
    pub before: &'a [Event],
    /// How A goes on; empty where it ends.
    pub a: &'a [Event],
    /// How B goes on.
    pub b: &'a [Event],
}

impl<'a> Divergence<'a> {
    /// Compares two runs.
    pub fn between(a: &'a Run, b: &'a Run) -> Self {
        let different = a.differences(b);
        let count = |run: &Run| run.events.as_ref().map(Vec::len);
        Self {
            same: different.is_empty(),
            different,
            events: [count(a), count(b)],
            first: Parting::between(a, b),
        }
    }

    /// As people read it.
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out).expect("writing to a string cannot fail");
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        if self.same {
            return match self.events {
                [Some(1), Some(_)] => writeln!(out, "the same, in the one event"),
                [Some(events), Some(_)] => writeln!(out, "the same, in all {events} events"),
                _ => writeln!(out, "the same, as far as both are recorded"),
            };
        }
        writeln!(out, "different  {}", self.different.join(", "))?;
        match (&self.first, self.events) {
            (Some(parting), [a, b]) => parting.write(out, [a.unwrap_or(0), b.unwrap_or(0)]),
            (None, [Some(1), Some(_)]) => writeln!(out, "the one event is the same"),
            (None, [Some(events), Some(_)]) => {
                writeln!(out, "all {events} events are the same")
            }
            (None, [a, _]) => {
                let which = if a.is_none() { "A" } else { "B" };
                writeln!(
                    out,
                    "{which} has no events: 'mailstorm replay {which} --json FILE' records them"
                )
            }
        }
    }
}

impl<'a> Parting<'a> {
    fn between(a: &'a Run, b: &'a Run) -> Option<Self> {
        let place = a.parting(b)?;
        let from = |run: &'a Run| -> &'a [Event] {
            let rest = run.events.as_deref().unwrap_or_default().get(place..).unwrap_or_default();
            &rest[..rest.len().min(AFTER)]
        };
        let (rest_a, rest_b) = (from(a), from(b));
        let firsts = rest_a.first().into_iter().chain(rest_b.first());
        let at_ns = firsts.map(|event| event.at_ns).min().expect("one of them goes on");
        let before = &a.events.as_deref().unwrap_or_default()[place.saturating_sub(BEFORE)..place];
        Some(Self { event: place + 1, at_ns, before, a: rest_a, b: rest_b })
    }

    fn write(&self, out: &mut String, [a, b]: [usize; 2]) -> std::fmt::Result {
        let (place, at) = (self.event, self.at_ns as f64 / 1e9);
        writeln!(out, "first difference: event {place} (A has {a}, B has {b}), at {at:.6} s")?;
        for event in self.before {
            write!(out, "    {}", event_line(event))?;
        }
        for (name, events) in [("A", self.a), ("B", self.b)] {
            for event in events {
                write!(out, "  {name} {}", event_line(event))?;
            }
            if events.is_empty() {
                writeln!(out, "  {name} (ends here)")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mailstorm_record::Happening;

    fn run(seed: u64, phases: &[&str]) -> Run {
        let event = |(at, name): (usize, &&str)| Event {
            at_ns: at as u64 * 1_500_000,
            node: Some("s1".into()),
            happening: Happening::Phase { name: (*name).into() },
        };
        Run {
            format: mailstorm_record::run::RUN_FORMAT,
            mailstorm: String::new(),
            scenario: "mail-claims".into(),
            seed,
            inbox: None,
            defect: None,
            settings: Default::default(),
            roles: Default::default(),
            plan: Default::default(),
            outcome: Default::default(),
            events: Some(phases.iter().enumerate().map(event).collect()),
        }
    }

    #[track_caller]
    fn check(a: &Run, b: &Run, told: &str) {
        assert_eq!(Divergence::between(a, b).text(), told);
    }

    #[test]
    fn the_first_difference_is_told_with_what_came_before_and_after() {
        let (a, b) = (run(1, &["start", "storm", "end"]), run(1, &["start", "heal"]));
        check(
            &a,
            &b,
            &[
                "different  events",
                "first difference: event 2 (A has 3, B has 2), at 0.001500 s",
                "        0.000000  ---- start ----",
                "  A     0.001500  ---- storm ----",
                "  A     0.003000  ---- end ----",
                "  B     0.001500  ---- heal ----",
                "",
            ]
            .join("\n"),
        );
        let ends = Divergence::between(&a, &run(1, &["start"])).text();
        assert!(ends.ends_with("  B (ends here)\n"), "{ends}");
    }

    #[test]
    fn without_events_the_parts_that_differ_are_named() {
        let a = run(1, &["start"]);
        check(&a, &a, "the same, in the one event\n");
        check(&a, &run(2, &["start"]), "different  seed\nthe one event is the same\n");
        let bare = Run { events: None, ..run(1, &[]) };
        check(&a, &bare, "the same, as far as both are recorded\n");
        check(
            &a,
            &Run { seed: 2, ..bare },
            "different  seed\nB has no events: 'mailstorm replay B --json FILE' records them\n",
        );
    }
}
