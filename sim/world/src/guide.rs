//! Sweeps guided by coverage: plans that came to something new are kept and varied.
//!
//! About half of the runs of a guided sweep have the plan that their seed draws, the others one
//! that is made from plans that were kept (`guide::vary`). A plan is kept when its run came to a
//! state of the protocol, or to a goal, that no run before it had come to, and broke nothing.
//! Holds: a run is `(scenario, seed, plan)` like any other, and its record has the plan. What is
//! drawn for a run depends on its place in the sweep and on the runs before that place that
//! `needs_told` says, so a sweep is the same on any number of threads. Memory has a bound.
//! Start at [`Guided`].

#[cfg(test)]
mod tests;
mod vary;

use crate::coverage::Layout;
use crate::run::RunSpec;
use crate::scenario::Scenario;
use crate::storm::Source;
use crate::stream::Stream;
use mailstorm_record::{Coverage, Plan, Run};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use vary::Field;

/// How many of a million runs have the plan that their seed draws, whatever was kept.
const FRESH_PER_MILLION: u32 = 500_000;

/// The most plans that are kept of each scenario; the oldest makes room, since what came later was
/// harder to come to.
const KEPT_MAX: usize = 64;

/// How far a run is behind those that it depends on: half of all runs before it, within these. Many
/// threads need a long lag, and a short sweep one that lets it learn early.
const LAG: (u64, u64) = (8, 64);

/// How many runs, from the first, the run of this number depends on.
fn needs_told(number: u64) -> u64 {
    number.saturating_sub((number / 2).clamp(LAG.0, LAG.1))
}

/// A source of runs of which about half vary what earlier ones came to. It takes scenarios, seeds
/// and all else from another source, and gives them other plans.
pub struct Guided<S> {
    fresh: S,
    /// How many runs were drawn.
    drawn: u64,
    /// How many runs have been learnt from.
    learnt: u64,
    /// Runs that were reported and not learnt from.
    told: VecDeque<Told>,
    /// What was learnt, by the name of the scenario.
    corpora: BTreeMap<String, Corpus>,
}

/// What there is to learn from a run.
struct Told {
    scenario: String,
    plan: Plan,
    coverage: Coverage,
    is_whole: bool,
}

impl<S: Source> Guided<S> {
    /// Guides a sweep of these runs.
    pub fn new(fresh: S) -> Self {
        let (told, corpora) = (VecDeque::new(), BTreeMap::new());
        Self { fresh, drawn: 0, learnt: 0, told, corpora }
    }
}

impl<S: Source> Source for Guided<S> {
    fn draw(&mut self) -> Option<RunSpec> {
        let spec = self.fresh.draw()?;
        while self.learnt < needs_told(self.drawn) {
            let told = self.told.pop_front().expect("a sweep draws no run before its time");
            let corpus = self.corpora.get_mut(&told.scenario).expect("it was run");
            corpus.learn(told);
            self.learnt += 1;
        }
        self.drawn += 1;
        let name = spec.scenario.name().to_owned();
        let corpus = self.corpora.entry(name).or_insert_with(|| Corpus::new(&*spec.scenario));
        let plan = corpus.plan(spec.seed).or(spec.plan);
        Some(RunSpec { plan, ..spec })
    }

    fn needs_told(&self, number: u64) -> u64 {
        needs_told(number).max(self.fresh.needs_told(number))
    }

    fn told(&mut self, run: &Run) {
        self.fresh.told(run);
        self.told.push_back(Told {
            scenario: run.scenario.clone(),
            plan: run.plan.clone(),
            coverage: run.outcome.coverage.clone(),
            is_whole: run.outcome.violations().next().is_none(),
        });
    }
}

/// A plan that came to something new.
struct Kept {
    plan: Plan,
    /// The milliseconds of the storm in which it did.
    moments: Vec<u64>,
}

/// What was learnt of one scenario.
struct Corpus {
    field: Field,
    layout: Layout,
    seen: BTreeSet<u32>,
    kept: VecDeque<Kept>,
}

impl Corpus {
    fn new(scenario: &dyn Scenario) -> Self {
        let topology = scenario.topology();
        let field = Field::of(&topology, scenario.limits().storm);
        let layout = Layout::of(&topology);
        Self { field, layout, seen: BTreeSet::new(), kept: VecDeque::new() }
    }

    /// Keeps the plan if its run came to something new. One that broke something is no plan to
    /// vary: it would break the same again.
    fn learn(&mut self, told: Told) {
        let Told { plan, coverage, is_whole, .. } = told;
        let mut new = BTreeMap::new();
        for (state, at_ms) in coverage.0 {
            let state = self.layout.whatever_the_fault(state);
            if !self.seen.contains(&state) {
                let first = new.entry(state).or_insert(at_ms);
                *first = at_ms.min(*first);
            }
        }
        self.seen.extend(new.keys());
        if !new.is_empty() && is_whole {
            let mut moments: Vec<u64> = new.into_values().collect();
            moments.retain(|at_ms| (1..plan.storm_ms()).contains(at_ms));
            if self.kept.len() == KEPT_MAX {
                self.kept.pop_front();
            }
            moments.sort_unstable();
            moments.dedup();
            self.kept.push_back(Kept { plan, moments });
        }
    }

    /// The plan for the run of this seed; `None` if it is to be what the seed draws.
    fn plan(&self, seed: u64) -> Option<Plan> {
        let mut stream = Stream::new(seed, "guide");
        if stream.chance(FRESH_PER_MILLION) {
            return None;
        }
        let mut pick = || {
            let mut place = || stream.below(self.kept.len() as u64) as usize;
            self.kept.get(place().max(place()))
        };
        let (parent, other) = (pick()?, pick()?);
        Some(self.field.vary(&mut stream, parent, other))
    }
}
