//! The command line of the laboratory: storms, replays, shrinking, the museum.

use crate::export::Exports;
use crate::given::Given;
use crate::learn::answers::Given as Answer;
use crate::one_run::OneRun;
use clap::{Args, Parser, Subcommand, ValueHint};
use mailstorm_reports::Shard;
use std::ffi::OsString;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// What the laboratory can do.
#[derive(Debug, Subcommand)]
pub(crate) enum LaboratoryCommand {
    /// Run scenarios under many seeds, each a different storm, and judge every run.
    Storm(Box<StormArguments>),
    /// Join the results of the shards of a storm: what comes out is what one storm over all seeds
    /// gives.
    Merge(MergeArguments),
    /// Run one seed again, and print what it shows: faults, verdicts, and every event with
    /// `--trace`.
    Replay(Box<ReplayArguments>),
    /// Compare two records of what should be the same run, and show the first event at which they
    /// part.
    Diff(DiffArguments),
    /// List storms and lessons, tell the settings and goals of one, or check that lessons show what
    /// they say.
    Scenarios(ScenariosArguments),
    /// Tell what an inbox has: the mails, and what is left out of them and why.
    Inbox(InboxArguments),
    /// Cut a failing run down to the smallest case that fails in the same way, and tell its story.
    Shrink(Box<ShrinkArguments>),
    /// Show a run, or several on one time axis, as one page that opens in a browser without a
    /// network; or write it for Perfetto, ShiViz or Mermaid.
    Report(Box<ReportArguments>),
    /// The museum of defects: historical bugs that can be planted, to see who finds them.
    Museum(MuseumArguments),
    /// Go through the lessons: predict what happens, see it happen, compare.
    Learn(LearnArguments),
    /// Run what is asked for on standard input: the second process of `storm --verify`.
    #[command(hide = true)]
    Answer(AnswerArguments),
}

impl LaboratoryCommand {
    /// What a command line asks for that says nothing.
    pub(crate) fn default_storm() -> Self {
        /// The command line that says it.
        #[derive(Parser)]
        struct Said {
            #[command(subcommand)]
            command: LaboratoryCommand,
        }
        Said::parse_from(["mailstorm", "storm"]).command
    }
}

/// `mailstorm storm`.
#[derive(Debug, Args)]
pub(crate) struct StormArguments {
    /// Which scenarios: those that `mailstorm scenarios` lists, designs of lessons, files.
    #[arg(value_name = "SCENARIO|FILE", default_value = "mail-claims")]
    pub(crate) scenarios: Vec<String>,
    /// How many seeds, from 1, or which: `200`, `7..7`, `1000..1999` [default: 1..200; of a lesson,
    /// which has its own faults, 1].
    #[arg(long, value_name = "N|A..B")]
    pub seeds: Option<Seeds>,
    /// Run only every N-th of the seeds, from the I-th on: `2/4` of 1..200 are 2, 6, 10, ..., 198.
    /// All N shards together are exactly the seeds; 'mailstorm merge' joins their results.
    #[arg(long, value_name = "I/N", default_value_t = Shard::WHOLE)]
    pub shard: Shard,
    /// Go on with further seeds until each scenario has had this much real time: `90s`, `10m`,
    /// `2h`.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub time: Option<Duration>,
    /// Stop when so many seeds in a row came to nothing new: no state of the protocol, no goal and
    /// no kind of violation that was not seen before.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub stale: Option<u64>,
    /// How many seeds to run at the same time [default: one per processor].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: Option<u16>,
    /// What every seed runs.
    #[command(flatten)]
    pub given: Given,
    /// Write the results for machines: one object, `-` for the terminal.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub json: Option<PathBuf>,
    /// Give about half of the runs a plan that varies what came to something new, instead of the
    /// one that their seed draws: such a run is replayed from its record.
    #[arg(long, conflicts_with_all = ["plan", "shard"])]
    pub guided: bool,
    /// Where the results go: index.html, summary.md, junit.xml, result.json, and runs with a
    /// violation, each with its plan, its page and its smallest case.
    #[arg(long, value_name = "DIR", default_value = "runs", value_hint = ValueHint::DirPath)]
    pub out: PathBuf,
    /// Go on where a storm with the same options was interrupted, or stopped by an error, in the
    /// folder of its results: what comes out is what one storm over all seeds gives. A guided storm
    /// begins again.
    #[arg(long, conflicts_with = "guided")]
    pub resume: bool,
    /// Do not shrink the first run of each kind of violation.
    #[arg(long)]
    pub no_shrink: bool,
    /// Run this many of the seeds in a second process as well, and compare what was drawn, the
    /// traces, the states, the verdicts and the reports; `all` for every seed.
    #[arg(long, value_name = "N", default_value = "0")]
    pub verify: Verify,
}

/// `mailstorm merge`.
#[derive(Debug, Args)]
pub(crate) struct MergeArguments {
    /// The folders that `storm --shard I/N --out DIR` wrote, one for each shard, in any order.
    #[arg(value_name = "DIR", required = true, value_hint = ValueHint::DirPath)]
    pub folders: Vec<PathBuf>,
    /// Where the joined results go, as those of a storm.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out: PathBuf,
    /// Write the joined results for machines: one object, `-` for the terminal.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub json: Option<PathBuf>,
}

/// `mailstorm inbox`.
#[derive(Debug, Args)]
pub(crate) struct InboxArguments {
    /// The inbox, as `--inbox` takes it.
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub path: PathBuf,
}

/// `mailstorm scenarios`.
#[derive(Debug, Args)]
pub(crate) struct ScenariosArguments {
    /// The storm, lesson or design of which everything is told. A storm and a lesson may share a
    /// name; the designs of a lesson are `LESSON/DESIGN`.
    #[arg(value_name = "SCENARIO")]
    pub name: Option<String>,
    /// List every kind of fault that a plan can have, with its fields, their units and bounds, and
    /// a line to copy.
    #[arg(long, conflicts_with_all = ["name", "check"])]
    pub faults: bool,
    /// Write settings and goals for machines: one object with `storms` and `lessons`, `-` for the
    /// terminal.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "check")]
    pub json: Option<PathBuf>,
    /// Run every design of the lesson, or of all lessons, and compare with what it must break and
    /// reach.
    #[arg(long)]
    pub check: bool,
    /// Check in so many storms as well, whose faults are drawn from seeds 1, 2, ...: right designs
    /// must hold in all of them.
    #[arg(long, value_name = "N", default_value = "0", requires = "check")]
    pub storms: u64,
    /// How many seeds to run at the same time [default: one per processor].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: Option<u16>,
}

/// `mailstorm learn`.
#[derive(Debug, Args)]
pub(crate) struct LearnArguments {
    /// The lesson, or `capstone` [default: list the path and what has been done].
    #[arg(value_name = "LESSON")]
    pub name: Option<String>,
    /// An answer to one of its questions, `leaders=2`, or `leaders=?` for what you do not know;
    /// asked for on the terminal if there is one.
    #[arg(long, value_name = "QUESTION=ANSWER")]
    pub answer: Vec<Answer>,
    /// Which mistake the capstone hides: 1 to 6 are six different ones, and so are each further
    /// six.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u64).range(1..))]
    pub hidden: Option<u64>,
    /// Do not open the page in the browser.
    #[arg(long)]
    pub no_open: bool,
    /// Write how it went for machines: one object, `-` for the terminal.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub json: Option<PathBuf>,
    /// Where pages and what has been done are kept.
    #[arg(long, value_name = "DIR", default_value = "runs", value_hint = ValueHint::DirPath)]
    pub out: PathBuf,
}

/// `mailstorm replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayArguments {
    /// Which run.
    #[command(flatten)]
    pub run: OneRun,
    /// Print every event of the run, one a line.
    #[arg(long)]
    pub trace: bool,
    /// Print the plan instead, as TOML for `--plan`: every fault with its numbers.
    #[arg(long, conflicts_with_all = ["trace", "json", "open"])]
    pub toml: bool,
    /// Write the whole run for machines: plan, events, verdict; `-` for the terminal.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub json: Option<PathBuf>,
    /// Make the run's page, and open it in the browser.
    #[arg(long)]
    pub open: bool,
}

/// `mailstorm report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    /// A scenario's name (then `--seed` is needed), or the file of a run or a case; several are
    /// stacked, the first on top.
    #[arg(value_name = "SCENARIO|FILE", required = true, num_args = 1..=4)]
    pub what: Vec<OsString>,
    /// The seed to show.
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(..=SEED_MAX))]
    pub seed: Option<u64>,
    /// What else is given; it has its way over what a file says.
    #[command(flatten)]
    pub given: Given,
    /// Where the page is written, `-` for the terminal [default: `report.html` beside the run, or
    /// in `runs/SCENARIO/SEED`].
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub out: Option<PathBuf>,
    /// Open it in the browser.
    #[arg(long)]
    pub open: bool,
    /// What is wanted instead of the page, or with `--out` or `--open` besides.
    #[command(flatten)]
    pub exports: Exports,
}

/// `mailstorm shrink`.
#[derive(Debug, Args)]
pub(crate) struct ShrinkArguments {
    /// Which run; it must fail.
    #[command(flatten)]
    pub run: OneRun,
    /// How many cases to run at the same time [default: one per processor].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: Option<u16>,
    /// How long to search, at the most: `30s`, `5m`.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "30s")]
    pub budget: Duration,
    /// Where the case is written [default: `case.toml` beside the run, or in `runs/SCENARIO/SEED`].
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub out: Option<PathBuf>,
    /// Write what came of it for machines: one object, `-` for the terminal.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub json: Option<PathBuf>,
}

/// `mailstorm diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArguments {
    /// The record of a run, or the folder with its run.json; with `--json`, a replay records every
    /// event.
    #[arg(value_name = "A", value_hint = ValueHint::AnyPath)]
    pub a: PathBuf,
    /// The record to compare it with.
    #[arg(value_name = "B", value_hint = ValueHint::AnyPath)]
    pub b: PathBuf,
    /// Write what differs for machines: one object, `-` for the terminal.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub json: Option<PathBuf>,
}

/// `mailstorm answer`.
#[derive(Debug, Args)]
pub(crate) struct AnswerArguments {
    /// How many seeds to run at the same time.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
    /// The inbox.
    #[arg(long, value_name = "PATH")]
    pub inbox: Option<PathBuf>,
}

/// `mailstorm museum`.
#[derive(Debug, Args)]
pub(crate) struct MuseumArguments {
    /// Only print the exhibits: name, report, and what goes wrong.
    #[arg(long)]
    pub list: bool,
    /// Which defects to hunt [default: all].
    #[arg(long, value_name = "NAME")]
    pub defect: Vec<String>,
    /// The most seeds that one hunt may take.
    #[arg(long, value_name = "CAP", default_value = "1000",
          value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub seeds: u64,
    /// Hunt in storms that have every kind of fault, instead of the kinds that each seed draws.
    #[arg(long)]
    pub all_faults: bool,
    /// Hunt in guided storms: about half of the runs vary what earlier ones of the same hunt came
    /// to.
    #[arg(long, conflicts_with = "markdown")]
    pub guided: bool,
    /// Compare guided hunts with plain ones instead; with `--markdown`, as a page.
    #[arg(long, conflicts_with_all = ["guided", "all_faults", "shrink", "json"])]
    pub compare_guidance: bool,
    /// How many times each defect is hunted, each time with other seeds.
    #[arg(long, value_name = "R", default_value = "20",
          value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub repeats: u64,
    /// How many seeds to run at the same time [default: one per processor].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: Option<u16>,
    /// Shrink the first find of each defect, too, for at most this long each.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub shrink: Option<Duration>,
    /// Write the scoreboard for machines: one object, `-` for the terminal.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub json: Option<PathBuf>,
    /// Write the scoreboard as a page, with each defect's story: `docs/museum.md` is made so.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub markdown: Option<PathBuf>,
}

/// The last seed there is: the largest number that a case file can hold.
pub(crate) const SEED_MAX: u64 = i64::MAX as u64;

/// A range of seeds, never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seeds(pub RangeInclusive<u64>);

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "expected a count like 200, or a range like 1..200";
        let number = |part: &str| match part.trim().parse::<u64>() {
            Ok(seed) if seed <= SEED_MAX => Ok(seed),
            Ok(_) => Err(format!("'{part}' is too large: seeds end at {SEED_MAX}")),
            Err(_) => Err(format!("'{part}' is no seed: {EXPECTED}")),
        };
        match text.split_once("..") {
            None => match number(text)? {
                0 => Err(format!("no seed at all: {EXPECTED}")),
                count => Ok(Self(1..=count)),
            },
            Some((first, last)) => {
                let (first, last) = (number(first)?, number(last.trim_start_matches('='))?);
                if first > last {
                    return Err(format!("the range is empty: {first} comes after {last}"));
                }
                Ok(Self(first..=last))
            }
        }
    }
}

impl fmt::Display for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.0.start(), self.0.end())
    }
}

/// How many seeds are run twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verify(pub u64);

impl FromStr for Verify {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self(u64::MAX));
        }
        text.parse().map(Self).map_err(|_| "expected a number of seeds, or 'all'".to_owned())
    }
}

impl fmt::Display for Verify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == u64::MAX { f.write_str("all") } else { write!(f, "{}", self.0) }
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let expected = || format!("'{text}' is no time: expected something like 90s, 10m or 2h");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| expected())?;
    let seconds = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err(expected()),
    };
    number
        .checked_mul(seconds)
        .filter(|&seconds| seconds > 0)
        .map(Duration::from_secs)
        .ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_count_or_a_range() {
        let seeds = |text: &str| text.parse::<Seeds>().map(|s| s.0);
        assert_eq!(seeds("200"), Ok(1..=200));
        assert_eq!(seeds("7..7"), Ok(7..=7));
        assert_eq!(seeds("10..=12"), Ok(10..=12));
        for wrong in ["", "0", "-3", "5..4", "a..b", "1..", "..9", "99999999999999999999"] {
            assert!(seeds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_seed_is_larger_than_a_case_file_can_hold() {
        let seeds = |text: &str| text.parse::<Seeds>().map(|s| s.0);
        assert_eq!(seeds("9223372036854775807..9223372036854775807"), Ok(SEED_MAX..=SEED_MAX));
        for wrong in ["18446744073709551615", "1..9223372036854775808", "9223372036854775808..9"] {
            let told = seeds(wrong).expect_err("too large");
            assert!(told.ends_with("seeds end at 9223372036854775807"), "{told}");
        }
    }

    #[test]
    fn a_time_has_a_unit() {
        assert_eq!(parse_duration("10m"), Ok(Duration::from_secs(600)));
        for wrong in ["10", "m", "0s", "1.5h", "10 m", "99999999999999999999h", "10µ"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }
}
