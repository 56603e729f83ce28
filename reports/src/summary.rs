//! The sum of a sweep, as data.

use crate::ended::{Ended, FromFile, Resumption, Stop};
use crate::escape::quoted_path;
use crate::results::{Doubts, Shard};
use crate::text::{grouped, numbered};
use mailstorm_record::{FaultCount, Run, Violation, spaced};
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a sweep took in real time; the only figures here that depend on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WallClock {
    /// From the first run's beginning to the last one's end.
    pub wall_seconds: f64,
    /// How many runs were made at the same time.
    pub jobs: usize,
}

/// The sum of the runs of one scenario. Serialised, it is what `--json` writes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The scenario's name.
    pub scenario: String,
    /// How many seeds were run.
    pub seeds: u64,
    /// The first of them.
    pub first_seed: u64,
    /// The last of them.
    pub last_seed: u64,
    /// Runs in which everything held.
    pub pass: u64,
    /// Runs in which something did not.
    pub violation: u64,
    /// Runs of which it could not be told.
    pub unknown: u64,
    /// The violations, grouped by fingerprint.
    #[serde(rename = "violations")]
    pub groups: BTreeMap<String, Group>,
    /// Why it could not be told, and how often.
    pub unknown_whys: BTreeMap<String, u64>,
    /// How many states of the protocol all runs together came through, goals among them. A state is
    /// a server's role, its epochs against the newest leader's, its log against what is committed,
    /// and a fault that was going on.
    pub states: u64,
    /// The last seed that came to a state, or to a kind of violation, that no seed before it had
    /// shown.
    pub last_new_seed: Option<u64>,
    /// How often each goal was reached.
    pub reached: BTreeMap<String, u64>,
    /// How many faults of each kind were injected, and how many changed anything.
    pub faults: BTreeMap<String, FaultCount>,
    /// What the scenario and the checkers counted.
    pub figures: BTreeMap<String, u64>,
    /// Messages delivered.
    pub messages: u64,
    /// Bytes delivered.
    pub bytes: u64,
    /// Events of the world's clockwork.
    pub events: u64,
    /// Virtual time, all runs together.
    pub virtual_seconds: f64,
    /// Real time of the sweep.
    pub wall_seconds: f64,
    /// Runs at the same time.
    pub jobs: usize,
    /// Messages per second of real time.
    pub messages_per_second: f64,
    /// Virtual seconds per second of real time.
    pub speedup: f64,
    /// The longest runs, the longest first.
    pub slowest: Vec<Slow>,
    /// One hash over the seeds and traces of all runs.
    pub trace_hash: String,
    /// Runs that were made in a second process, too.
    pub verified: u64,
    /// Those of them that were not the same there.
    pub not_deterministic: u64,
    /// Whether the sweep was long enough, and its storms such, that a goal that was never reached
    /// counts.
    pub goals_count: bool,
    /// What a replay must be given besides scenario and seed: the plan and the inbox, as options.
    pub replay_options: String,
    /// Whether about half of the runs vary the plans of earlier ones.
    pub guided: bool,
    /// The file that the scenario is written in, if it is; its name is the scenario's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FromFile>,
    /// Why not all seeds were run, if they were not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stop>,
    /// How many seeds were asked for; none where it goes on until its time is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seeds_asked: Option<u64>,
    /// How it can go on where it stopped.
    #[serde(skip)]
    pub resumption: Resumption,
    /// Which of the seeds of a range these are.
    pub shard: Shard,
    /// Where the files of its runs lie; what is said of a file here is relative to it.
    #[serde(serialize_with = "as_shown")]
    pub folder: PathBuf,
    /// How many mails the inbox has, if there is one.
    pub mails: Option<u64>,
    /// What was left out of the inbox, by reason.
    pub left_out: BTreeMap<String, u64>,
    /// What of the inbox may have been read otherwise.
    #[serde(flatten)]
    pub doubts: Doubts,
}

/// A path as people read it; JSON has no other bytes than text.
fn as_shown<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// A run that was long, by the world's own measures: equal on every machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slow {
    /// Its seed.
    pub seed: u64,
    /// How long it was, in virtual nanoseconds.
    pub virtual_ns: u64,
    /// Events of its clockwork.
    pub events: u64,
    /// Messages delivered in it.
    pub messages: u64,
}

impl Slow {
    pub(crate) fn of(run: &Run) -> Self {
        let outcome = &run.outcome;
        let (virtual_ns, events, messages) = (outcome.virtual_ns, outcome.events, outcome.messages);
        Self { seed: run.seed, virtual_ns, events, messages }
    }
}

/// Violations that are probably one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The first of them.
    pub first: Violation,
    /// The seed that gave it.
    pub first_seed: u64,
    /// Its place among the violations of that run: 0 if the run leads with it.
    #[serde(default)]
    pub place: usize,
    /// The hash of that run's trace.
    pub first_trace: String,
    /// Its record, if its plan is another than its seed draws, so that only the record makes it
    /// again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordFile>,
    /// How many faults that run's plan had.
    pub faults: usize,
    /// How many there are.
    pub count: u64,
    /// The first few seeds.
    pub seeds: Vec<u64>,
    /// The first of them cut down to what it takes, if that was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shrunk: Option<ShrunkRun>,
    /// The page of the first of them, if it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
    /// A few messages of the first of them, if they were written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
}

/// The record of a run, as a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordFile {
    /// The file.
    pub file: String,
    /// What a replay of the file must be given besides, as options.
    pub options: String,
}

/// The smallest case that fails in the same way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShrunkRun {
    /// Its file.
    pub file: String,
    /// What a replay of the file must be given besides, as options.
    pub options: String,
    /// How many faults it has.
    pub faults: usize,
    /// One line per fault.
    pub story: Vec<String>,
    /// How many simpler cases were not tried, because the budget was spent or somebody interrupted
    /// the search.
    #[serde(default)]
    pub untried: u64,
    /// Whether somebody did.
    #[serde(default)]
    pub is_interrupted: bool,
    /// The case itself, as it is in the file.
    pub case: String,
}

impl Group {
    /// Adds further violations of the same kind, of other seeds; names at most so many of them.
    pub(crate) fn join(&mut self, other: &Self, seeds_max: usize) {
        let (count, mut seeds) = (self.count.saturating_add(other.count), self.seeds.clone());
        seeds.extend_from_slice(&other.seeds);
        seeds.sort_unstable();
        seeds.dedup();
        seeds.truncate(seeds_max);
        if other.first_seed < self.first_seed {
            *self = other.clone();
        }
        (self.count, self.seeds) = (count, seeds);
    }
}

impl Summary {
    /// The violations by fingerprint, in the order in which they are told: as their seeds found
    /// them, and of one seed first what its run leads with.
    pub fn groups_told(&self) -> Vec<(&str, &Group)> {
        let mut groups: Vec<_> =
            self.groups.iter().map(|(fingerprint, group)| (&**fingerprint, group)).collect();
        groups.sort_by_key(|(_, group)| (group.first_seed, group.place));
        groups
    }

    /// What stands after `mailstorm replay` to see the first of these violations again.
    pub fn again(&self, group: &Group) -> String {
        match &group.record {
            Some(record) => format!("{}{}", quoted_path(self.path(&record.file)), record.options),
            None => self.again_by_seed(group.first_seed),
        }
    }

    /// What stands after `mailstorm replay` to see a run again that has the plan of its seed.
    pub(crate) fn again_by_seed(&self, seed: u64) -> String {
        let name = self.file.as_ref().map_or(&self.scenario, |file| &file.workload);
        format!("{name} --seed {seed}{}", self.replay_options)
    }

    /// The range of its seeds, from the first to the last, as `storm` takes it for this shard.
    pub(crate) fn range(&self) -> String {
        format!("{}..{}", self.first_seed.saturating_sub(self.shard.index - 1), self.last_seed)
    }

    /// The command that storms this range of seeds in the same way, as this shard of it.
    pub(crate) fn storm_again(&self, range: &str) -> String {
        let (what, options) = match &self.file {
            Some(file) => (&file.storm, ""),
            None => (&self.scenario, &*self.replay_options),
        };
        let shard = match self.shard {
            Shard::WHOLE => String::new(),
            shard => format!(" --shard {shard}"),
        };
        let guided = if self.guided { " --guided" } else { "" };
        format!("mailstorm storm {what} --seeds {range}{shard}{options}{guided}")
    }

    /// Its seeds, for people.
    pub(crate) fn seeds_told(&self) -> String {
        match self.shard {
            _ if self.seeds == 0 => "no seed".to_owned(),
            Shard::WHOLE => format!("seeds {}", self.range()),
            shard => format!("shard {shard} of seeds {}", self.range()),
        }
    }

    /// What was read of the inbox, for people.
    pub(crate) fn inbox_told(&self) -> Option<String> {
        let mails = self.mails?;
        let each = self.left_out.iter();
        let each: Vec<_> =
            each.map(|(why, count)| format!("{} {}", grouped(*count), spaced(why))).collect();
        let sum: u64 = self.left_out.values().sum();
        let left = match sum {
            0 => "nothing left out".to_owned(),
            sum => format!("{} left out ({})", grouped(sum), each.join(", ")),
        };
        let Doubts { from_lines_as_text, mails_without_header } = self.doubts;
        let doubt = |count: u64, what: &str| match count {
            0 => String::new(),
            count => format!("; {} with 'From ' {what}", numbered(count, "line")),
        };
        let text = doubt(from_lines_as_text, "taken as text");
        let bare =
            doubt(mails_without_header, "taken as a mail's beginning without a header after it");
        Some(format!("Inbox: {}, {left}{text}{bare}", numbered(mails, "mail")))
    }

    /// Where a file of this sweep lies, of which it is said here where it lies in the sweep's
    /// folder.
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// The command that does this with a shrunk case: `replay`, `report`, `shrink`.
    pub(crate) fn with_case(&self, verb: &str, case: &ShrunkRun) -> String {
        format!("mailstorm {verb} {}{}", quoted_path(self.path(&case.file)), case.options)
    }

    /// How many goals were reached at least once.
    pub fn goals_reached(&self) -> usize {
        self.reached.values().filter(|count| **count > 0).count()
    }

    /// The goals that were to be reached and never were, in order.
    pub(crate) fn goals_to_tell(&self) -> impl Iterator<Item = &str> {
        let missed = self.reached.iter().filter(|(_, count)| **count == 0);
        missed.filter(|_| self.has_goals()).map(|(goal, _)| goal.as_str())
    }

    /// The kinds of faults that were injected over and over and never changed anything, in order,
    /// each with how often: as much a goal missed as one that was not reached.
    pub(crate) fn vain_to_tell(&self) -> impl Iterator<Item = (&str, u64)> {
        let vain = self.faults.iter().filter(|(_, count)| count.is_vain() && self.has_goals());
        vain.map(|(kind, count)| (kind.as_str(), count.injected))
    }

    /// Whether the runs were to come as far as the scenario's storms do: neither those that a
    /// violation cut short, nor those of which a file says what they show, nor storms of another
    /// kind.
    fn has_goals(&self) -> bool {
        let is_whole = self.violation == 0 && !self.was_not_begun();
        is_whole && self.expected().is_none() && self.replay_options.is_empty()
    }

    /// Whether somebody asked the sweep to end before its first seed.
    pub(crate) fn was_not_begun(&self) -> bool {
        self.seeds == 0 && matches!(self.stopped, Some(Stop::Interrupted))
    }
}

/// Several sweeps together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Totals {
    /// How the worst of them ended.
    pub ended: Ended,
    /// The exit code of the command.
    pub exit_code: u8,
    /// All fields of the one sweep; or, of several, their sum under the names joined by commas.
    #[serde(flatten)]
    pub sum: Summary,
    /// Each sweep by itself.
    pub scenarios: Vec<Single>,
}

/// One sweep of several.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Single {
    /// How it ended.
    pub ended: Ended,
    /// The exit code of a command that does nothing else.
    pub exit_code: u8,
    /// Its sum.
    #[serde(flatten)]
    pub summary: Summary,
}

impl Totals {
    /// The sum of these sweeps; at least one.
    pub fn of(scenarios: Vec<Summary>) -> Self {
        let mut sum = scenarios.first().expect("a storm runs at least one scenario").clone();
        if scenarios.len() > 1 {
            // Each has its own, or none.
            sum.file = None;
        }
        for other in &scenarios[1..] {
            sum.scenario = format!("{},{}", sum.scenario, other.scenario);
            sum.seeds += other.seeds;
            sum.states += other.states;
            sum.last_new_seed = sum.last_new_seed.max(other.last_new_seed);
            sum.first_seed = sum.first_seed.min(other.first_seed);
            sum.last_seed = sum.last_seed.max(other.last_seed);
            sum.pass += other.pass;
            sum.violation += other.violation;
            sum.unknown += other.unknown;
            // Fingerprints and goals of two scenarios mean two things: they keep their own names.
            let own = |name: &String| format!("{}:{name}", other.scenario);
            sum.groups.extend(other.groups.iter().map(|(name, group)| (own(name), group.clone())));
            sum.unknown_whys.extend(other.unknown_whys.iter().map(|(why, n)| (own(why), *n)));
            sum.reached.extend(other.reached.iter().map(|(goal, n)| (own(goal), *n)));
            sum.figures.extend(other.figures.iter().map(|(name, n)| (own(name), *n)));
            for (kind, count) in &other.faults {
                let faults = sum.faults.entry(kind.clone()).or_default();
                faults.injected += count.injected;
                faults.effective += count.effective;
            }
            sum.messages += other.messages;
            sum.bytes += other.bytes;
            sum.events += other.events;
            sum.virtual_seconds += other.virtual_seconds;
            sum.wall_seconds += other.wall_seconds;
            sum.slowest.extend_from_slice(&other.slowest);
            sum.trace_hash = format!("{},{}", sum.trace_hash, other.trace_hash);
            sum.verified += other.verified;
            sum.not_deterministic += other.not_deterministic;
            sum.goals_count |= other.goals_count;
            // They are given one inbox.
            sum.mails = sum.mails.max(other.mails);
            sum.left_out.extend(other.left_out.clone());
            let (a, b) = (&mut sum.doubts, other.doubts);
            a.from_lines_as_text = a.from_lines_as_text.max(b.from_lines_as_text);
            a.mails_without_header = a.mails_without_header.max(b.mails_without_header);
            sum.stopped = sum.stopped.into_iter().chain(other.stopped.clone()).min();
            sum.seeds_asked =
                sum.seeds_asked.zip(other.seeds_asked).map(|(a, b)| a.saturating_add(b));
        }
        sum.messages_per_second = ratio(sum.messages as f64, sum.wall_seconds);
        sum.speedup = ratio(sum.virtual_seconds, sum.wall_seconds);
        let ended = scenarios.iter().map(Summary::ended).min().unwrap_or(Ended::Pass);
        let single = |summary: Summary| {
            let ended = summary.ended();
            Single { ended, exit_code: ended.exit_code(), summary }
        };
        let scenarios = scenarios.into_iter().map(single).collect();
        Self { ended, exit_code: ended.exit_code(), sum, scenarios }
    }
}

fn ratio(amount: f64, seconds: f64) -> f64 {
    if seconds > 0.0 { amount / seconds } else { 0.0 }
}
