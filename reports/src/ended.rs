//! How a sweep ended: its exit code, and the same in words for every place that tells of it.
//!
//! Owns: verdict over a whole sweep, why one stopped before its end, what a scenario's file expects
//! of every run.
//! Leaves: the places to `text`, `markdown`, `junit` and `index`.
//! Holds: whatever makes the exit code other than 0 is said in each of them.
//! Start at [`Ended`].

use crate::summary::Summary;
use crate::text::{grouped, numbered, verb};
use mailstorm_record::{Run, Violation};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How a sweep ended, the worst thing first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Something could not be written, read or started.
    Failed,
    /// The same run twice was not the same: nothing can be said.
    NotDeterministic,
    /// Something did not hold, or a run was not as its file expects.
    Violation,
    /// It was interrupted before it had found anything.
    Interrupted,
    /// It could not be told, or a goal was never reached.
    Unknown,
    /// Everything that was to hold held.
    Pass,
}

impl Ended {
    /// What it is for who has only a colour or a sign for it.
    pub(crate) const fn grade(self) -> Grade {
        match self {
            Self::Pass => Grade::Good,
            Self::Unknown | Self::Interrupted => Grade::Open,
            Self::Violation | Self::NotDeterministic | Self::Failed => Grade::Bad,
        }
    }

    /// The exit code of the command whose sweep ended so.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Violation => 1,
            Self::Unknown | Self::Interrupted => 2,
            Self::Failed => 3,
            Self::NotDeterministic => 4,
        }
    }
}

/// How good an end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grade {
    /// Nothing is left to do.
    Good,
    /// It may yet be either.
    Open,
    /// Somebody has to look at it.
    Bad,
}

/// Why a sweep has not run all of its seeds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// Something could not be written, read or started; in a line.
    Failed(String),
    /// Somebody asked it to end.
    Interrupted,
    /// Somebody asked it to end when all seeds were run, and not all that they found was examined.
    Unexamined,
}

/// How a sweep that has stopped can go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resumption {
    /// It cannot, or has nothing left to do.
    #[default]
    None,
    /// By the same command.
    Whole,
    /// By the commands of the shards that it was joined from.
    ByShard,
}

/// A scenario that is written in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FromFile {
    /// The scenario whose programs run; its name is the one that replays a run.
    pub workload: String,
    /// What stands after `mailstorm storm` to run the file again.
    pub storm: String,
    /// What it shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// What it expects of every run, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expected>,
}

/// What every run of a scenario is to show, and the runs that did not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    /// What it breaks, by `checker/kind`: exactly this.
    pub violations: BTreeSet<String>,
    /// The goals that it reaches.
    pub reached: BTreeSet<String>,
    /// The runs that were not so, by what was different about them.
    pub surprises: BTreeMap<String, Surprise>,
}

/// Runs that were in one way not as expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surprise {
    /// The seed of the first.
    pub first_seed: u64,
    /// The hash of its trace.
    pub first_trace: String,
    /// How many there are.
    pub count: u64,
}

/// Ways to be unexpected that are told apart; those that begin later are counted under [`OTHERS`].
const SURPRISES_MAX: usize = 20;
/// Ways kept apart in what is joined: a shard cannot know which of its ways begin early in the
/// whole sweep.
const SURPRISES_KEPT_MAX: usize = 1_000;
/// The way of what is not told apart.
const OTHERS: &str = "is in other ways not as expected";

impl Expected {
    /// This run is not as expected, which is told by `missed`. Runs are added in the order of their
    /// seeds.
    pub(crate) fn add(&mut self, run: &Run, missed: &str) {
        let is_known = self.surprises.contains_key(missed);
        let missed =
            if is_known || self.surprises.len() < SURPRISES_KEPT_MAX { missed } else { OTHERS };
        let first_trace = run.outcome.trace_hash.to_string();
        let new = Surprise { first_seed: run.seed, first_trace, count: 0 };
        let surprise = self.surprises.entry(missed.to_owned()).or_insert(new);
        surprise.count = surprise.count.saturating_add(1);
    }

    /// Adds the runs of other seeds.
    pub(crate) fn join(&mut self, other: &Self) {
        for (missed, theirs) in &other.surprises {
            join_one(&mut self.surprises, missed, theirs);
        }
        self.fold_to(SURPRISES_KEPT_MAX);
    }

    /// As it is told: what begins last is counted as other ways.
    pub(crate) fn fold(&mut self) {
        self.fold_to(SURPRISES_MAX);
    }

    fn fold_to(&mut self, most: usize) {
        let named = self.surprises.iter().filter(|(missed, _)| *missed != OTHERS);
        let mut named: Vec<_> = named.map(|(missed, s)| (s.first_seed, missed.clone())).collect();
        named.sort_unstable();
        for (_, missed) in named.into_iter().skip(most) {
            let surprise = self.surprises.remove(&missed).expect("it was just found");
            join_one(&mut self.surprises, OTHERS, &surprise);
        }
    }

    /// How many runs were not as expected.
    pub fn surprised(&self) -> u64 {
        self.surprises.values().fold(0, |sum, surprise| sum.saturating_add(surprise.count))
    }
}

fn join_one(all: &mut BTreeMap<String, Surprise>, missed: &str, theirs: &Surprise) {
    let Some(ours) = all.get_mut(missed) else {
        all.insert(missed.to_owned(), theirs.clone());
        return;
    };
    let count = ours.count.saturating_add(theirs.count);
    if theirs.first_seed < ours.first_seed {
        *ours = theirs.clone();
    }
    ours.count = count;
}

impl Summary {
    /// How it ended.
    pub fn ended(&self) -> Ended {
        let misses_goals =
            self.goals_to_tell().next().is_some() || self.vain_to_tell().next().is_some();
        let is_broken =
            self.expected().map_or(self.violation > 0, |expected| expected.surprised() > 0);
        if matches!(self.stopped, Some(Stop::Failed(_))) {
            Ended::Failed
        } else if self.not_deterministic > 0 {
            Ended::NotDeterministic
        } else if is_broken {
            Ended::Violation
        } else if self.stopped.is_some() {
            Ended::Interrupted
        } else if self.unknown > 0 || (self.goals_count && misses_goals) {
            Ended::Unknown
        } else {
            Ended::Pass
        }
    }

    /// What its file expects, if it is of a file that does.
    pub fn expected(&self) -> Option<&Expected> {
        self.file.as_ref().and_then(|file| file.expect.as_ref())
    }

    /// Whether a violation of this kind is one that every run is to show.
    pub(crate) fn expects(&self, violation: &Violation) -> bool {
        self.expected().is_some_and(|expected| expected.violations.contains(&violation.name()))
    }

    /// The ways in which runs were not as its file expects.
    pub(crate) fn surprises_told(&self) -> impl Iterator<Item = (&str, &Surprise)> {
        let all = self.expected().into_iter().flat_map(|expected| &expected.surprises);
        all.map(|(missed, surprise)| (missed.as_str(), surprise))
    }
}

/// How many runs were as they should be.
pub(crate) fn share(s: &Summary) -> String {
    match s.expected() {
        Some(expected) => {
            let as_expected = s.seeds.saturating_sub(expected.surprised());
            format!("{} of {} as expected", grouped(as_expected), numbered(s.seeds, "run"))
        }
        None => {
            let verb = if s.pass == 1 || s.seeds == 1 { "passes" } else { "pass" };
            format!("{} of {} {verb}", grouped(s.pass), numbered(s.seeds, "seed"))
        }
    }
}

/// How it ended, in a few words.
pub(crate) fn headline(s: &Summary) -> String {
    let ended = s.ended();
    let mut told = match ended {
        Ended::Failed | Ended::Interrupted => String::new(),
        Ended::NotDeterministic => {
            let are = verb(s.not_deterministic, "is", "are");
            format!("{} {are} not deterministic", numbered(s.not_deterministic, "seed"))
        }
        Ended::Violation | Ended::Pass if s.expected().is_some() => share(s),
        Ended::Violation => {
            let kinds = numbered(s.groups.len() as u64, "kind");
            let (some, all) = (grouped(s.violation), numbered(s.seeds, "seed"));
            format!("{kinds} of violation in {some} of {all}")
        }
        Ended::Unknown if s.unknown > 0 => {
            let all = numbered(s.seeds, "seed");
            format!("{} of {all} could not be judged", grouped(s.unknown))
        }
        Ended::Unknown => unproved(s),
        Ended::Pass if s.pass == 1 => "1 seed passes".to_owned(),
        Ended::Pass => format!("{} seeds pass", grouped(s.pass)),
    };
    if let Some((word, rest)) = stopped(s) {
        let comma = if told.is_empty() { "" } else { "; " };
        told = format!("{told}{comma}{word} {rest}");
    }
    told
}

/// Why seeds that all pass prove nothing.
fn unproved(s: &Summary) -> String {
    let plural = |count: usize, one: &str, many: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        _ => Some(format!("{count} {many}")),
    };
    let goals = plural(s.goals_to_tell().count(), "goal was", "goals were");
    let vain = plural(s.vain_to_tell().count(), "kind of fault was", "kinds of faults were");
    let goals = goals.map(|goals| format!("{goals} never reached"));
    let vain = vain.map(|vain| format!("{vain} always in vain"));
    goals.into_iter().chain(vain).collect::<Vec<_>>().join(", ")
}

/// Why it has not run all of its seeds, and how many it has: a word, and the rest of what is said.
pub(crate) fn stopped(s: &Summary) -> Option<(&'static str, String)> {
    let of = s.seeds_asked.filter(|asked| *asked > s.seeds);
    let after = match of {
        Some(asked) => format!("after {} of {}", grouped(s.seeds), numbered(asked, "seed")),
        None => format!("after {}", numbered(s.seeds, "seed")),
    };
    s.stopped.as_ref().map(|stop| match stop {
        Stop::Failed(why) => ("stopped", format!("{after}: {why}")),
        Stop::Interrupted => ("interrupted", after),
        Stop::Unexamined => {
            ("interrupted", format!("{after}, before all that they found was examined"))
        }
    })
}

/// How to go on with what has stopped, if that can be done.
pub(crate) fn resumption(s: &Summary) -> Option<&'static str> {
    match s.resumption {
        Resumption::None => None,
        Resumption::Whole if s.was_not_begun() => {
            Some("The same command with `--resume` begins it.")
        }
        Resumption::Whole => Some("The same command with `--resume` goes on where it stopped."),
        Resumption::ByShard => Some(
            "A shard that stopped goes on with its own command with `--resume`; then merge again.",
        ),
    }
}

/// How to run again what was not as expected, and how it ended, for the end of a terminal's page;
/// nothing where the line before says it.
pub(crate) fn closing(s: &Summary) -> String {
    let mut out = String::new();
    for (missed, surprise) in s.surprises_told() {
        out += &surprise_lines(s, missed, surprise);
    }
    let name = &s.scenario;
    let about = s.file.as_ref().and_then(|file| file.about.as_ref());
    let about = about.map(|about| format!(" ({about})")).unwrap_or_default();
    match s.ended() {
        Ended::NotDeterministic => out += &format!("NOT DETERMINISTIC  {}\n", headline(s)),
        Ended::Unknown if s.unknown == 0 => out += &format!("NOTHING PROVED  {}\n", headline(s)),
        _ => {}
    }
    if let Some((word, rest)) = stopped(s) {
        out += &format!("{}  {rest}\n", word.to_uppercase());
    }
    if s.expected().is_some() && s.ended() != Ended::NotDeterministic {
        out += &format!("{name}{about}: {}\n", share(s));
    }
    out
}

/// What was not as expected, and how to see it again.
pub(crate) fn surprise_lines(s: &Summary, missed: &str, surprise: &Surprise) -> String {
    let (name, seed, trace) = (&s.scenario, surprise.first_seed, &surprise.first_trace);
    let times = match surprise.count {
        1 => String::new(),
        count => format!(", {}", numbered(count, "run")),
    };
    let again = s.again_by_seed(seed);
    format!(
        "UNEXPECTED {name}  seed {seed}{times}: {missed}\n  replay   mailstorm replay {again}   # trace {trace}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{failing, passing};
    use crate::{Deed, WIDTH, index, junit, markdown, text};

    fn of_a_file(surprises: &[&str]) -> Summary {
        let surprise = Surprise { first_seed: 7, first_trace: "00ff".into(), count: 13 };
        let surprises = surprises.iter().map(|missed| ((*missed).to_owned(), surprise.clone()));
        let expect = Expected {
            violations: ["split-brain/mutex".to_owned()].into(),
            reached: BTreeSet::new(),
            surprises: surprises.collect(),
        };
        let (workload, storm) = ("quorum-half/wrong".into(), "nine.toml".into());
        let file = FromFile { workload, storm, about: None, expect: Some(expect) };
        Summary { file: Some(file), goals_count: false, ..failing("nine") }
    }

    #[test]
    fn every_place_tells_how_a_sweep_ended() {
        let plain = || passing("storms");
        let missed = |goals_count| {
            let reached = [("leader_died".to_owned(), 0)].into();
            Summary { reached, goals_count, ..plain() }
        };
        let stopped = |stop: Stop, seeds, of: Summary| Summary {
            stopped: Some(stop),
            seeds,
            seeds_asked: Some(200),
            ..of
        };
        let vain = mailstorm_record::FaultCount { injected: 1_000, effective: 0 };
        let unknown = [("a bound".to_owned(), 3)].into();
        let full = || Stop::Failed("cannot write x: no space".into());
        // How it ended, and what is said in every place.
        let cases: [(Summary, Ended, &str); 16] = [
            (plain(), Ended::Pass, "200"),
            (missed(false), Ended::Pass, "200"),
            (of_a_file(&[]), Ended::Pass, "200 of 200 runs as expected"),
            (failing("storms"), Ended::Violation, "split-brain"),
            (of_a_file(&["does not break quorum/lost"]), Ended::Violation, "quorum/lost"),
            (of_a_file(&["a", "does not reach calm"]), Ended::Violation, "does not reach calm"),
            (missed(true), Ended::Unknown, "never reached"),
            (
                Summary { faults: [("crash".into(), vain)].into(), ..plain() },
                Ended::Unknown,
                "in vain",
            ),
            (
                Summary { unknown: 3, pass: 197, unknown_whys: unknown, ..plain() },
                Ended::Unknown,
                "a bound",
            ),
            (
                Summary { not_deterministic: 2, verified: 9, ..plain() },
                Ended::NotDeterministic,
                "deterministic",
            ),
            (stopped(Stop::Interrupted, 57, plain()), Ended::Interrupted, "after 57 of 200 seeds"),
            (stopped(Stop::Interrupted, 0, plain()), Ended::Interrupted, "after 0 of 200 seeds"),
            (
                stopped(Stop::Interrupted, 57, failing("storms")),
                Ended::Violation,
                "after 57 of 200 seeds",
            ),
            (
                stopped(Stop::Unexamined, 200, failing("storms")),
                Ended::Violation,
                "after 200 seeds, before all that they found was examined",
            ),
            (stopped(full(), 57, plain()), Ended::Failed, "cannot write x: no space"),
            (stopped(full(), 57, failing("storms")), Ended::Failed, "after 57 of 200 seeds"),
        ];
        for (summary, ended, said) in cases {
            assert_eq!(summary.ended(), ended, "{said}");
            let code = ended.exit_code();
            let all = std::slice::from_ref(&summary);
            let places =
                [text(&summary, &Deed::default(), WIDTH), markdown(all), junit(all), index(all)];
            for place in &places {
                let plain = place.replace("\\_", "_").replace("&#10;", "\n");
                assert!(plain.contains(said), "{ended:?}: no '{said}' in {place}");
            }
            let [_, markdown, junit, index] = &places;
            assert!(markdown.contains(&format!("Exit code {code}.")), "{ended:?}: {markdown}");
            assert!(index.contains(&format!("exit code {code}")), "{ended:?}: {index}");
            assert!(
                junit.contains(&format!("<property name=\"exit_code\" value=\"{code}\"/>")),
                "{ended:?}: {junit}"
            );
            let is_clean = junit.contains(" failures=\"0\" errors=\"0\">");
            assert_eq!(is_clean, ended == Ended::Pass, "{ended:?}: {junit}");
            assert_eq!(markdown.contains("✅"), ended == Ended::Pass, "{ended:?}: {markdown}");
            let is_fine = index.contains("<h1 class=\"pass\">");
            assert_eq!(is_fine, ended == Ended::Pass, "{ended:?}: {index}");
        }
    }

    #[test]
    fn what_was_missed_is_told_in_every_place_or_in_none() {
        let missed = |of: Summary| {
            let vain = mailstorm_record::FaultCount { injected: 1_000, effective: 0 };
            let (reached, faults) = ([("leader_died".into(), 0)].into(), [("ring".into(), vain)]);
            Summary { reached, faults: faults.into(), ..of }
        };
        let options =
            |options: &str| Summary { replay_options: options.into(), ..passing("storms") };
        let not_begun =
            || Summary { seeds: 0, stopped: Some(Stop::Interrupted), ..passing("storms") };
        // The storms as they come are to reach their goals, be they few, and nothing else is.
        let cases = [
            (passing("storms"), true, Ended::Unknown),
            (Summary { goals_count: false, ..passing("storms") }, true, Ended::Pass),
            (failing("storms"), false, Ended::Violation),
            (of_a_file(&[]), false, Ended::Pass),
            (options(" --set servers=1"), false, Ended::Pass),
            (options(" --all-faults"), false, Ended::Pass),
            (not_begun(), false, Ended::Interrupted),
        ];
        for (summary, is_told, ended) in cases {
            let summary = missed(summary);
            assert_eq!(summary.ended(), ended, "{summary:?}");
            let all = std::slice::from_ref(&summary);
            let text = text(&summary, &Deed::default(), WIDTH);
            let places = [
                (&text, "NOT REACHED  leader died", "IN VAIN      ring"),
                (&markdown(all), "Never reached: leader died", "In vain: ring"),
                (&index(all), "Never reached: leader died", "In vain: ring"),
            ];
            for (place, goal, fault) in places {
                let told = (place.contains(goal), place.contains(fault));
                assert_eq!(told, (is_told, is_told), "{ended:?}: {place}");
            }
            let is_failure = junit(all).contains("<failure type=\"not-reached\"");
            assert_eq!(is_failure, ended == Ended::Unknown, "{ended:?}");
        }
    }

    #[test]
    fn however_many_ways_to_be_unexpected_there_are_a_bounded_number_is_kept_apart() {
        let surprise = |first_seed| Surprise { first_seed, first_trace: String::new(), count: 1 };
        let of = |seeds: std::ops::Range<u64>| {
            let all = seeds.map(|seed| (format!("way {seed:03}"), surprise(seed)));
            Expected { surprises: all.collect(), ..Expected::default() }
        };
        let mut joined = of(15..30);
        joined.join(&of(0..15));
        assert_eq!(joined.surprises.len(), 30, "what is joined on is kept apart");
        joined.fold();
        assert_eq!(joined.surprises.len(), SURPRISES_MAX + 1);
        assert_eq!((joined.surprised(), joined.surprises[OTHERS].count), (30, 10));
        assert!(joined.surprises.contains_key("way 019"));
    }
}
