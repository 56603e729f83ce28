//! Adding up the runs of a sweep, one by one.

use crate::summary::{Group, Summary, WallClock};
use mailstorm_record::{FaultCount, Run, Verdict};
use mailstorm_shared::StateHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;

/// Seeds named per group of violations; the rest is counted.
const SEEDS_NAMED_MAX: usize = 20;
/// Groups kept apart; what comes later is counted under the last.
const GROUPS_MAX: usize = 100;

/// The sum of the runs of one scenario so far. Its size does not depend on their number.
pub struct Tally {
    scenario: String,
    first_seed: Option<u64>,
    last_seed: u64,
    pass: u64,
    violation: u64,
    unknown: u64,
    groups: BTreeMap<String, Group>,
    unknown_whys: BTreeMap<String, u64>,
    reached: BTreeMap<String, u64>,
    faults: BTreeMap<String, FaultCount>,
    figures: BTreeMap<String, u64>,
    messages: u64,
    bytes: u64,
    events: u64,
    virtual_ns: u64,
    /// The states of the protocol that any run came through, and the goals.
    covered: BTreeSet<u32>,
    /// The last seed that came to one that none before it did, or to a new kind of violation.
    last_new_seed: Option<u64>,
    /// How many runs were added since.
    runs_since_new: u64,
    traces: StateHasher,
    replay_options: String,
}

impl Tally {
    /// Nothing yet. A goal that is listed and never reached is told with a count of zero.
    pub fn new(scenario: &str, goals: impl IntoIterator<Item = String>) -> Self {
        Self {
            scenario: scenario.to_owned(),
            first_seed: None,
            last_seed: 0,
            pass: 0,
            violation: 0,
            unknown: 0,
            groups: BTreeMap::new(),
            unknown_whys: BTreeMap::new(),
            reached: goals.into_iter().map(|goal| (goal, 0)).collect(),
            faults: BTreeMap::new(),
            figures: BTreeMap::new(),
            messages: 0,
            bytes: 0,
            events: 0,
            virtual_ns: 0,
            covered: BTreeSet::new(),
            last_new_seed: None,
            runs_since_new: 0,
            traces: StateHasher::new(),
            replay_options: String::new(),
        }
    }

    /// The same, of runs that only these options make again, each with a space before it.
    #[must_use]
    pub fn replayed_with(self, replay_options: String) -> Self {
        Self { replay_options, ..self }
    }

    /// Adds a run. Runs are added in the order of their seeds, so that the joint trace hash is the same
    /// whatever the number of threads.
    pub fn add(&mut self, run: &Run) {
        self.first_seed.get_or_insert(run.seed);
        self.last_seed = run.seed;
        let known = self.covered.len() + self.groups.len();
        self.covered.extend(&run.outcome.coverage.0);
        match run.outcome.verdict() {
            Verdict::Pass => self.pass += 1,
            Verdict::Unknown { why } => {
                self.unknown += 1;
                *self.unknown_whys.entry(why).or_default() += 1;
            }
            Verdict::Violation(_) => {
                self.violation += 1;
                self.group(run);
            }
        }
        if self.covered.len() + self.groups.len() > known {
            (self.last_new_seed, self.runs_since_new) = (Some(run.seed), 0);
        } else {
            self.runs_since_new += 1;
        }
        for (goal, count) in &run.outcome.reached {
            *self.reached.entry(goal.clone()).or_default() += count;
        }
        for (kind, count) in &run.outcome.faults {
            let sum = self.faults.entry(kind.clone()).or_default();
            sum.injected += count.injected;
            sum.effective += count.effective;
        }
        for (name, figure) in &run.outcome.figures {
            let sum = self.figures.entry(name.clone()).or_default();
            // The greatest of many runs is the greatest, not the sum.
            *sum = if name.ends_with("_max") { (*sum).max(*figure) } else { *sum + figure };
        }
        self.messages += run.outcome.messages;
        self.bytes += run.outcome.bytes;
        self.events += run.outcome.events;
        self.virtual_ns += run.outcome.virtual_ns;
        self.traces.write_u64(run.seed);
        self.traces.write_u64(run.outcome.trace_hash.0);
    }

    fn group(&mut self, run: &Run) {
        for violation in run.outcome.violations() {
            let fingerprint = violation.fingerprint();
            let fingerprint =
                if self.groups.len() < GROUPS_MAX || self.groups.contains_key(&fingerprint) {
                    fingerprint
                } else {
                    "others".to_owned()
                };
            let group = self.groups.entry(fingerprint).or_insert_with(|| Group {
                first: violation.clone(),
                first_seed: run.seed,
                first_trace: run.outcome.trace_hash.to_string(),
                faults: run.plan.faults.len(),
                count: 0,
                seeds: Vec::new(),
                shrunk: None,
                report: None,
            });
            group.count += 1;
            if group.seeds.len() < SEEDS_NAMED_MAX && group.seeds.last() != Some(&run.seed) {
                group.seeds.push(run.seed);
            }
        }
    }

    /// How many runs have been added.
    pub fn runs(&self) -> u64 {
        self.pass + self.violation + self.unknown
    }

    /// How many of them had a violation.
    pub fn violations(&self) -> u64 {
        self.violation
    }

    /// Whether the run of this seed was the first to show some kind of violation.
    pub fn is_first_of_its_kind(&self, seed: u64) -> bool {
        self.groups.values().any(|group| group.first_seed == seed)
    }

    /// How many runs in a row, up to the last, came to nothing new: no state of the protocol, no goal, no
    /// kind of violation that was not seen before.
    pub fn runs_since_new(&self) -> u64 {
        self.runs_since_new
    }

    /// Messages delivered so far.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// The sum, with what it took in real time.
    pub fn summary(&self, wall: WallClock) -> Summary {
        let virtual_seconds = self.virtual_ns as f64 / 1e9;
        let per_wall_second = |amount: f64| {
            if wall.wall_seconds > 0.0 { amount / wall.wall_seconds } else { 0.0 }
        };
        Summary {
            scenario: self.scenario.clone(),
            seeds: self.runs(),
            first_seed: self.first_seed.unwrap_or(0),
            last_seed: self.last_seed,
            pass: self.pass,
            violation: self.violation,
            unknown: self.unknown,
            groups: self.groups.clone(),
            unknown_whys: self.unknown_whys.clone(),
            states: self.covered.len() as u64,
            last_new_seed: self.last_new_seed,
            reached: self.reached.clone(),
            faults: self.faults.clone(),
            figures: self.figures.clone(),
            messages: self.messages,
            bytes: self.bytes,
            events: self.events,
            virtual_seconds,
            wall_seconds: wall.wall_seconds,
            jobs: wall.jobs,
            messages_per_second: per_wall_second(self.messages as f64),
            speedup: per_wall_second(virtual_seconds),
            trace_hash: format!("{:016x}", self.traces.finish()),
            replay_options: self.replay_options.clone(),
        }
    }
}
