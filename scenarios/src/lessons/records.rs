//! The records of a lesson's designs, all run under one seed: what expectations and answers are
//! read from.

use super::{Design, Lesson};
use mailstorm_checkers::ensemble::servers::node_of;
use mailstorm_record::{Event, Happening, NodeName, Run, Violation};
use mailstorm_shared::facts::EnsembleFact;
use mailstorm_shared::{Observation, ServerId};
use mailstorm_world::{Recording, RunSpec};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One run of each design.
pub struct Records(BTreeMap<&'static str, Run>);

impl Records {
    /// Runs every design of the lesson with this seed, under its own plan, fully recorded.
    pub fn of(lesson: &Lesson, seed: u64) -> Self {
        let run = |design: &Design| {
            let spec = RunSpec::new(design.scenario.clone(), seed);
            (design.name, mailstorm_world::run(&RunSpec { recording: Recording::Full, ..spec }))
        };
        Self(lesson.designs.iter().map(run).collect())
    }

    /// The run of this design.
    ///
    /// # Panics
    /// When the lesson has no such design.
    pub fn run(&self, design: &str) -> &Run {
        self.0.get(design).expect("a lesson asks for designs it has")
    }

    /// Everything that happened in the run of this design, in order.
    pub fn events(&self, design: &str) -> impl Iterator<Item = &Event> {
        self.run(design).events.iter().flatten()
    }

    /// All that was observed in it, with the time in virtual seconds.
    pub fn observed(&self, design: &str) -> impl Iterator<Item = (f64, &Event, &Observation)> {
        self.events(design).filter_map(|event| match &event.happening {
            Happening::Observed { observation } => {
                Some((event.at_ns as f64 / 1e9, event, observation))
            }
            _ => None,
        })
    }

    /// What this design broke, by `checker/kind`.
    pub fn violation(&self, design: &str, which: &str) -> Option<&Violation> {
        self.run(design).outcome.violations().find(|violation| violation.name() == which)
    }

    /// A figure of the run of this design, by its name in the record.
    pub fn figure(&self, design: &str, name: &str) -> Option<u64> {
        self.run(design).outcome.figures.get(name).copied()
    }

    /// How many servers lead at this moment in the run of this design.
    pub fn leaders_at(&self, design: &str, at_s: f64) -> f64 {
        self.leading_at(design, at_s).len() as f64
    }

    /// The number of the one server that leads at this moment in the run of this design.
    pub fn leader_at(&self, design: &str, at_s: f64) -> Option<f64> {
        let leading = self.leading_at(design, at_s);
        let leader = leading.first().filter(|_| leading.len() == 1)?;
        let mut servers = (1..=u8::MAX).filter_map(ServerId::new);
        servers.find(|server| node_of(*server) == **leader).map(|server| server.number().into())
    }

    fn leading_at(&self, design: &str, at_s: f64) -> BTreeSet<&NodeName> {
        let mut leading = BTreeSet::new();
        for (_, event, _) in self.observed(design).take_while(|(at, ..)| *at <= at_s) {
            match event.of_server() {
                Some((server, EnsembleFact::Leads { .. })) => _ = leading.insert(server),
                Some((server, EnsembleFact::SteppedDown { .. } | EnsembleFact::Looking)) => {
                    leading.remove(server);
                }
                _ => {}
            }
        }
        leading
    }

    /// What each design was to show, and what it showed.
    pub fn held(&self, lesson: &Lesson) -> Vec<Held> {
        lesson.designs.iter().map(|design| Held::of(design, self.run(design.name))).collect()
    }
}

/// What a design was to show, and what it showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The design, as `LESSON/DESIGN`.
    pub design: String,
    /// What it was to break and did not.
    pub spared: Vec<String>,
    /// What it broke unasked, each with its detail.
    pub broke: Vec<(String, String)>,
    /// The goals that it did not reach.
    pub missed: Vec<String>,
    /// The faults that changed nothing, by kind.
    pub in_vain: Vec<String>,
    /// What it broke as it was to.
    pub broke_as_asked: Vec<Violation>,
}

impl Held {
    fn of(design: &Design, run: &Run) -> Self {
        let asked: BTreeSet<&str> = design.breaks.iter().copied().collect();
        let (as_asked, unasked): (Vec<&Violation>, _) =
            run.outcome.violations().partition(|v| asked.contains(&*v.name()));
        let did: BTreeSet<String> = as_asked.iter().map(|violation| violation.name()).collect();
        let spared = asked.iter().filter(|which| !did.contains(**which));
        let missed = run.outcome.reached.iter().filter(|(_, count)| **count == 0);
        let in_vain = run.outcome.faults.iter().filter(|(_, n)| n.effective < n.injected);
        Self {
            design: design.scenario.name().to_owned(),
            spared: spared.map(|which| (*which).to_owned()).collect(),
            broke: unasked.into_iter().map(|v| (v.name(), v.detail.clone())).collect(),
            missed: missed.map(|(goal, _)| goal.clone()).collect(),
            in_vain: in_vain.map(|(kind, _)| kind.clone()).collect(),
            broke_as_asked: as_asked.into_iter().cloned().collect(),
        }
    }

    /// Whether it showed exactly what it was to.
    pub fn is_as_expected(&self) -> bool {
        let Self { spared, broke, missed, in_vain, .. } = self;
        spared.is_empty() && broke.is_empty() && missed.is_empty() && in_vain.is_empty()
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.design)?;
        for which in &self.spared {
            write!(f, "\n  must break {which}, and does not")?;
        }
        for (which, detail) in &self.broke {
            write!(f, "\n  breaks {which}, which it must not: {detail}")?;
        }
        for goal in &self.missed {
            write!(f, "\n  does not come to {goal}")?;
        }
        for kind in &self.in_vain {
            write!(f, "\n  has a fault that changes nothing: {kind}")?;
        }
        Ok(())
    }
}
