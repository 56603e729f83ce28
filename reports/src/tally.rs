//! Adding up the runs of a sweep, one by one.

use crate::ended::{Expected, FromFile, Resumption};
use crate::results::Shard;
use crate::summary::{Group, Slow, Summary, WallClock};
use mailstorm_record::{FaultCount, Run, TraceHash, Verdict};
use mailstorm_shared::StateHasher;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::hash::Hasher;

/// Seeds named per group of violations; the rest is counted.
const SEEDS_NAMED_MAX: usize = 20;
/// Groups told apart; what begins later is counted under [`OTHERS`].
const GROUPS_MAX: usize = 100;
/// Groups kept apart in what is joined: a shard cannot know which of its groups begin early in the
/// whole sweep.
const GROUPS_KEPT_MAX: usize = 1_000;
/// The group of what is not told apart.
const OTHERS: &str = "others";
/// The longest runs that are named.
const SLOWEST_MAX: usize = 10;
/// From so many seeds on, a goal that was never reached counts: fewer storms may well miss one.
pub const GOALS_SEEDS_MIN: u64 = 200;

/// The sum of the runs of one scenario so far. Its size does not depend on their number.
///
/// Sums of parts of a sweep can be joined: nothing in it depends on the order in which runs were
/// added, but for what says so by naming seeds. Of a part with more than a thousand kinds of
/// violations, or as many ways to be unexpected, the later ones are joined as others: their sums
/// are right, their shares are not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    scenario: String,
    /// Whether the storms are those that the scenario is made for, so that its goals are to be
    /// reached.
    #[serde(default)]
    is_as_it_comes: bool,
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
    /// The longest runs, the longest first.
    slowest: Vec<Slow>,
    covered: Covered,
    /// The sum of one hash for each run: it is the same in whatever order, and in however many
    /// parts, the runs are added.
    traces: TraceHash,
    /// Runs that were made in a second process, too.
    #[serde(default)]
    verified: u64,
    /// Those of them that were not the same there.
    not_deterministic: u64,
    replay_options: String,
    #[serde(default)]
    is_guided: bool,
    /// The file that the scenario is written in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<FromFile>,
}

/// The states of the protocol that any run came through, and the goals, each with the first seed
/// that did.
#[derive(Clone, Debug, Default, PartialEq)]
struct Covered(BTreeMap<u32, u64>);

impl Serialize for Covered {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // One line, where a map would be thousands.
        let words = self.0.iter().map(|(state, seed)| format!("{state:x}:{seed}"));
        serializer.serialize_str(&words.collect::<Vec<_>>().join(" "))
    }
}

impl<'de> Deserialize<'de> for Covered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let pair = |word: &str| {
            let (state, seed) = word.split_once(':')?;
            Some((u32::from_str_radix(state, 16).ok()?, seed.parse().ok()?))
        };
        let pairs = text.split_ascii_whitespace().map(|word| {
            pair(word).ok_or_else(|| {
                serde::de::Error::custom(format!("'{word}' is no state and its first seed"))
            })
        });
        pairs.collect::<Result<_, _>>().map(Self)
    }
}

impl Tally {
    /// Nothing yet. A goal that is listed and never reached is told with a count of zero.
    pub fn new(scenario: &str, goals: impl IntoIterator<Item = String>) -> Self {
        Self {
            scenario: scenario.to_owned(),
            is_as_it_comes: false,
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
            slowest: Vec::new(),
            covered: Covered::default(),
            traces: TraceHash(0),
            verified: 0,
            not_deterministic: 0,
            replay_options: String::new(),
            is_guided: false,
            file: None,
        }
    }

    /// The same, of runs that only these options make again, each with a space before it.
    #[must_use]
    pub fn replayed_with(self, replay_options: String) -> Self {
        Self { replay_options, ..self }
    }

    /// The same, of a scenario that is written in a file.
    #[must_use]
    pub fn from_file(self, file: Option<FromFile>) -> Self {
        Self { file, ..self }
    }

    /// The same, of runs of which about half vary the plans of earlier ones.
    #[must_use]
    pub fn guided(self, is_guided: bool) -> Self {
        Self { is_guided, ..self }
    }

    /// The same, of storms as the scenario draws them: a sweep that is long enough and misses a
    /// goal, or injects a kind of fault over and over in vain, has proved nothing.
    #[must_use]
    pub fn as_it_comes(self, is_as_it_comes: bool) -> Self {
        Self { is_as_it_comes, ..self }
    }

    /// Adds a run; returns whether it came to anything new: a state of the protocol, a goal, or a
    /// kind of violation that was not seen before. Runs are added in the order of their seeds.
    pub fn add(&mut self, run: &Run) -> bool {
        self.first_seed.get_or_insert(run.seed);
        self.last_seed = run.seed;
        let known = self.covered.0.len() + self.groups.len();
        for state in run.outcome.coverage.0.keys() {
            self.covered.0.entry(*state).or_insert(run.seed);
        }
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
        for (goal, count) in &run.outcome.reached {
            *self.reached.entry(goal.clone()).or_default() += count;
        }
        self.add_faults(&run.outcome.faults);
        self.add_figures(&run.outcome.figures);
        self.messages += run.outcome.messages;
        self.bytes += run.outcome.bytes;
        self.events += run.outcome.events;
        self.virtual_ns += run.outcome.virtual_ns;
        self.slowest.push(Slow::of(run));
        self.keep_slowest();
        let mut trace = StateHasher::new();
        trace.write_u64(run.seed);
        trace.write_u64(run.outcome.trace_hash.0);
        self.traces.0 = self.traces.0.wrapping_add(trace.finish());
        self.covered.0.len() + self.groups.len() > known
    }

    /// A run that was added is not as its file expects, which is told by `missed`. Such runs are
    /// noted in the order of their seeds.
    pub fn note_surprise(&mut self, run: &Run, missed: &str) {
        let expect = self.file.as_mut().and_then(|file| file.expect.as_mut());
        expect.expect("only what is expected can be missed").add(run, missed);
    }

    /// What its file says, whatever came of it.
    pub(crate) fn terms_of_file(&self) -> Option<FromFile> {
        let mut file = self.file.clone();
        let expect = file.as_mut().and_then(|file| file.expect.as_mut());
        expect.into_iter().for_each(|expect| expect.surprises.clear());
        file
    }

    /// Adds the sum of other seeds of the same sweep. It comes from a file, where any number may
    /// stand.
    pub fn join(&mut self, other: &Self) {
        if other.runs() > 0 {
            self.last_seed = self.last_seed.max(other.last_seed);
        }
        self.first_seed = self.first_seed.into_iter().chain(other.first_seed).min();
        add(&mut self.pass, other.pass);
        add(&mut self.violation, other.violation);
        add(&mut self.unknown, other.unknown);
        self.join_groups(&other.groups);
        let counts =
            [(&mut self.unknown_whys, &other.unknown_whys), (&mut self.reached, &other.reached)];
        for (sums, counts) in counts {
            for (name, count) in counts {
                add(sums.entry(name.clone()).or_default(), *count);
            }
        }
        self.add_faults(&other.faults);
        self.add_figures(&other.figures);
        add(&mut self.messages, other.messages);
        add(&mut self.bytes, other.bytes);
        add(&mut self.events, other.events);
        add(&mut self.virtual_ns, other.virtual_ns);
        self.slowest.extend_from_slice(&other.slowest);
        self.keep_slowest();
        for (state, seed) in &other.covered.0 {
            let first = self.covered.0.entry(*state).or_insert(*seed);
            *first = (*first).min(*seed);
        }
        self.traces.0 = self.traces.0.wrapping_add(other.traces.0);
        let expect = self.file.as_mut().and_then(|file| file.expect.as_mut());
        let theirs = other.file.as_ref().and_then(|file| file.expect.as_ref());
        if let (Some(expect), Some(theirs)) = (expect, theirs) {
            expect.join(theirs);
        }
        add(&mut self.verified, other.verified);
        add(&mut self.not_deterministic, other.not_deterministic);
    }

    fn add_faults(&mut self, faults: &BTreeMap<String, FaultCount>) {
        for (kind, count) in faults {
            let sum = self.faults.entry(kind.clone()).or_default();
            add(&mut sum.injected, count.injected);
            add(&mut sum.effective, count.effective);
        }
    }

    fn add_figures(&mut self, figures: &BTreeMap<String, u64>) {
        for (name, figure) in figures {
            let sum = self.figures.entry(name.clone()).or_default();
            // The greatest of many runs is the greatest, not the sum.
            if name.ends_with("_max") {
                *sum = (*sum).max(*figure);
            } else {
                add(sum, *figure);
            }
        }
    }

    fn keep_slowest(&mut self) {
        self.slowest.sort_by_key(|slow| (std::cmp::Reverse(slow.virtual_ns), slow.seed));
        self.slowest.truncate(SLOWEST_MAX);
    }

    fn group(&mut self, run: &Run) {
        for (place, violation) in run.outcome.violations().enumerate() {
            let fingerprint = violation.fingerprint();
            let is_known = self.groups.contains_key(&fingerprint);
            let is_kept = is_known || self.groups.len() < GROUPS_KEPT_MAX;
            let fingerprint = if is_kept { fingerprint } else { OTHERS.to_owned() };
            let group = self.groups.entry(fingerprint).or_insert_with(|| Group {
                first: violation.clone(),
                first_seed: run.seed,
                place,
                first_trace: run.outcome.trace_hash.to_string(),
                record: None,
                faults: run.plan.faults.len(),
                count: 0,
                seeds: Vec::new(),
                shrunk: None,
                report: None,
                excerpt: None,
            });
            group.count += 1;
            if group.seeds.len() < SEEDS_NAMED_MAX && group.seeds.last() != Some(&run.seed) {
                group.seeds.push(run.seed);
            }
        }
    }

    fn join_groups(&mut self, others: &BTreeMap<String, Group>) {
        for (fingerprint, other) in others {
            match self.groups.get_mut(fingerprint) {
                Some(group) => group.join(other, SEEDS_NAMED_MAX),
                None => _ = self.groups.insert(fingerprint.clone(), other.clone()),
            }
        }
        fold_groups(&mut self.groups, GROUPS_KEPT_MAX);
    }

    /// The kinds of violations so far, by fingerprint.
    pub fn groups(&self) -> &BTreeMap<String, Group> {
        &self.groups
    }

    /// The same, to note in them what was made of their first run.
    pub fn groups_mut(&mut self) -> &mut BTreeMap<String, Group> {
        &mut self.groups
    }

    /// A run was made in a second process, too, and was the same there or was not.
    pub fn note_verified(&mut self, is_same: bool) {
        self.verified += 1;
        self.not_deterministic += u64::from(!is_same);
    }

    /// How many runs have been added.
    pub fn runs(&self) -> u64 {
        self.pass.saturating_add(self.violation).saturating_add(self.unknown)
    }

    /// How many seeds in a row came to nothing new, up to the last, of every `step`-th seed.
    pub fn runs_since_new(&self, step: u64) -> u64 {
        let since = self.last_new_seed().or(self.first_seed).unwrap_or(self.last_seed);
        self.last_seed.saturating_sub(since) / step.max(1)
    }

    /// Whether about half of the runs vary the plans of earlier ones.
    pub(crate) fn is_guided(&self) -> bool {
        self.is_guided
    }

    /// The seed of the last run that was added.
    pub fn last_seed(&self) -> Option<u64> {
        self.first_seed.map(|_| self.last_seed)
    }

    /// How many of them had a violation.
    pub fn violations(&self) -> u64 {
        self.violation
    }

    /// Whether the run of this seed was the first to show some kind of violation.
    pub fn is_first_of_its_kind(&self, seed: u64) -> bool {
        self.groups.values().any(|group| group.first_seed == seed)
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
        let (mut groups, mut file) = (self.groups.clone(), self.file.clone());
        fold_groups(&mut groups, GROUPS_MAX);
        file.iter_mut().filter_map(|file| file.expect.as_mut()).for_each(Expected::fold);
        Summary {
            scenario: self.scenario.clone(),
            seeds: self.runs(),
            first_seed: self.first_seed.unwrap_or(0),
            last_seed: self.last_seed,
            pass: self.pass,
            violation: self.violation,
            unknown: self.unknown,
            groups,
            unknown_whys: self.unknown_whys.clone(),
            states: self.covered.0.len() as u64,
            last_new_seed: self.last_new_seed(),
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
            slowest: self.slowest.clone(),
            trace_hash: self.traces.to_string(),
            verified: self.verified,
            not_deterministic: self.not_deterministic,
            goals_count: self.is_as_it_comes && self.runs() >= GOALS_SEEDS_MIN,
            replay_options: self.replay_options.clone(),
            guided: self.is_guided,
            file,
            stopped: None,
            seeds_asked: None,
            resumption: Resumption::None,
            shard: Shard::WHOLE,
            folder: Default::default(),
            mails: None,
            left_out: BTreeMap::new(),
            doubts: Default::default(),
        }
    }

    /// The last seed that came to a state, or to a kind of violation, that no seed before it had
    /// shown.
    fn last_new_seed(&self) -> Option<u64> {
        let of_groups = self.groups.values().map(|group| group.first_seed);
        self.covered.0.values().copied().chain(of_groups).max()
    }
}

/// Counts all but so many groups as others: those that begin last.
fn fold_groups(groups: &mut BTreeMap<String, Group>, most: usize) {
    let named = groups.iter().filter(|(name, _)| *name != OTHERS);
    let mut named: Vec<_> = named.map(|(name, group)| (group.first_seed, name.clone())).collect();
    named.sort_unstable();
    for (_, name) in named.into_iter().skip(most) {
        let group = groups.remove(&name).expect("it was just found");
        match groups.get_mut(OTHERS) {
            Some(rest) => rest.join(&group, SEEDS_NAMED_MAX),
            None => _ = groups.insert(OTHERS.to_owned(), group),
        }
    }
}

/// What is too much for a count is the most that it can tell.
fn add(sum: &mut u64, count: u64) {
    *sum = sum.saturating_add(count);
}

#[cfg(test)]
mod tests;
