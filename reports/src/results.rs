//! What a sweep leaves for machines (`result.json`), and joining those of its shards.
//!
//! Owns: what must be equal for two results to be parts of one sweep, and what a joined one is.
//! Leaves: adding up to [`Tally`], files to the command line.
//! Holds: the result that is joined from all shards is the one of the whole sweep, but for real
//! time.
//! Start at [`Results`].

use crate::ended::{Ended, Resumption, Stop};
use crate::summary::{Summary, WallClock};
use crate::tally::Tally;
use crate::text::numbered;
use mailstorm_record::case::VERSION;
use mailstorm_record::{InboxMark, Settings, TraceHash};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;

/// The version of the file format. Grows when an old reader would misread a new file.
const RESULTS_FORMAT: u32 = 1;

/// What came of a sweep, or of one shard of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// The format of the writer.
    pub format: u32,
    /// The version of Mailstorm that made it.
    pub mailstorm: String,
    /// Which of the seeds were run.
    pub shard: Shard,
    /// Each scenario's part, in the order in which they were asked for.
    pub scenarios: Vec<Part>,
}

/// One scenario's part of a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// What was run.
    pub terms: Terms,
    /// What came of it.
    pub tally: Tally,
    /// What it took. The only figures in a result that depend on the machine.
    pub wall: WallClock,
    /// What was left out of the inbox, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<String, u64>,
    /// What of the inbox may have been read otherwise.
    #[serde(flatten)]
    pub doubts: Doubts,
    /// How many seeds are asked for; none where it goes on until its time is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<u64>,
    /// Why not all seeds were run, if they were not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stop>,
    /// Whether it is the sum of shards: if one has stopped, no seed says where the whole would go
    /// on. In the file it is only then, so that all shards together leave what one sweep leaves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_joined: bool,
}

/// What of an inbox could have been read otherwise: lines of mbox files that begin with `From `.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Doubts {
    /// Those that were taken as text of a mail.
    pub from_lines_as_text: u64,
    /// Those that were taken as the beginning of a mail, though no header follows.
    pub mails_without_header: u64,
}

/// What a sweep runs, whatever its seeds: only results of the same can be joined.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// The scenario's name.
    pub scenario: String,
    /// The seeds that were asked for, all shards together.
    pub seeds: (u64, u64),
    /// The scenario's numbers that are not its own.
    pub settings: Settings,
    /// The inbox.
    pub inbox: Option<InboxMark>,
    /// The defect that is planted.
    pub defect: Option<String>,
    /// A hash of the plan that every seed runs; none where each draws its own.
    pub plan: Option<TraceHash>,
    /// Whether every storm has every kind of fault.
    pub all_faults: bool,
}

/// Every so-and-so-many-th seed of a range: shard 2/3 of 1..9 has 2, 5 and 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard {
    /// Which, from 1.
    pub index: u64,
    /// Of how many.
    pub of: u64,
}

impl Shard {
    /// All seeds.
    pub const WHOLE: Self = Self { index: 1, of: 1 };
    /// More than anybody has machines.
    pub const OF_MAX: u64 = 10_000;

    /// Its seeds of a range that begins with `first` and has no end, in order.
    pub fn seeds(self, first: u64) -> impl Iterator<Item = u64> + Send + use<> {
        let step = usize::try_from(self.of).unwrap_or(usize::MAX);
        // A range that would pass the last seed there is has none here.
        let begin = first.checked_add(self.index - 1);
        begin.into_iter().flat_map(move |begin| (begin..=u64::MAX).step_by(step))
    }

    /// How many of the seeds of this range are its own.
    pub fn count(self, seeds: &RangeInclusive<u64>) -> u64 {
        let begin = seeds.start().checked_add(self.index - 1);
        let span = begin.and_then(|begin| seeds.end().checked_sub(begin));
        span.map_or(0, |span| (span / self.of).saturating_add(1))
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| part.trim().parse::<u64>().ok();
        let pair = text.split_once('/').and_then(|(i, n)| Some((number(i)?, number(n)?)));
        let Some((index, of)) = pair else {
            return Err(format!("'{text}' is no shard: expected I/N, like 2/4"));
        };
        if index == 0 || index > of {
            return Err(format!(
                "there is no shard {index} of {of}: they are numbered from 1, as in 1/4 to 4/4"
            ));
        }
        if of > Self::OF_MAX {
            return Err(format!("{of} are too many shards: at most {}", Self::OF_MAX));
        }
        Ok(Self { index, of })
    }
}

impl Serialize for Shard {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Shard {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Why a file is no result.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// It is none at all.
    #[error("not a sweep's result: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// It was written by another version.
    #[error("the result has format {found}; this version reads {RESULTS_FORMAT}")]
    OtherFormat {
        /// Its version.
        found: u32,
    },
}

/// Why results cannot be joined.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// They are not of one sweep.
    #[error("{a} and {b} are not of one sweep: {what}")]
    Different {
        /// The one.
        a: String,
        /// The other.
        b: String,
        /// What differs.
        what: String,
    },
    /// One is there twice.
    #[error("shard {shard} is there twice, in {a} and in {b}")]
    Twice {
        /// Which.
        shard: Shard,
        /// In the one.
        a: String,
        /// In the other.
        b: String,
    },
    /// Some are not there.
    #[error("no result of shard {}", list(missing))]
    Missing {
        /// Which.
        missing: Vec<Shard>,
    },
}

fn list(shards: &[Shard]) -> String {
    /// More than these say no more.
    const NAMED_MAX: usize = 8;
    let named: Vec<_> = shards.iter().take(NAMED_MAX).map(Shard::to_string).collect();
    let more = shards.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    named.join(", ") + &more
}

impl Results {
    /// Of a shard, with nothing in it yet.
    pub fn new(shard: Shard) -> Self {
        Self { format: RESULTS_FORMAT, mailstorm: VERSION.to_owned(), shard, scenarios: Vec::new() }
    }

    /// As a file.
    pub fn to_json(&self) -> String {
        /// As it is read again, and how it ended besides.
        #[derive(Serialize)]
        struct Written<'a> {
            ended: Ended,
            exit_code: u8,
            #[serde(flatten)]
            results: &'a Results,
        }
        let ended = self.ended();
        let mut results = self.clone();
        results.scenarios.iter_mut().for_each(|part| part.is_joined &= part.stopped.is_some());
        let written = Written { ended, exit_code: ended.exit_code(), results: &results };
        let mut text = serde_json::to_string_pretty(&written).expect("plain data with string keys");
        text.push('\n');
        text
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`ResultsError`] when it is no result, or one of another format.
    pub fn parse(text: &str) -> Result<Self, ResultsError> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let Head { format: found } = serde_json::from_str(text)?;
        if found != RESULTS_FORMAT {
            return Err(ResultsError::OtherFormat { found });
        }
        Ok(serde_json::from_str(text)?)
    }

    /// How the worst of its scenarios ended.
    pub fn ended(&self) -> Ended {
        let all = self.scenarios.iter().map(|part| part.summary(self.shard, Path::new("")).ended());
        all.min().unwrap_or(Ended::Pass)
    }

    /// The sums, for those who read them; their files lie in `folder`.
    pub fn summaries(&self, folder: &Path) -> Vec<Summary> {
        self.scenarios.iter().map(|part| part.summary(self.shard, folder)).collect()
    }

    /// The result of the whole sweep from those of all its shards, each with a name for errors; at
    /// least one.
    ///
    /// # Errors
    /// [`JoinError`] when they are not of one sweep, or not all of it.
    pub fn join(parts: Vec<(String, Self)>) -> Result<Self, JoinError> {
        let mut shards: BTreeMap<Shard, (String, Self)> = BTreeMap::new();
        let (first_name, first) = parts.first().cloned().expect("there is something to join");
        for (name, results) in parts {
            if let Some(what) = first.difference(&results) {
                return Err(JoinError::Different { a: first_name, b: name, what });
            }
            let shard = results.shard;
            if let Some((a, _)) = shards.get(&shard) {
                return Err(JoinError::Twice { shard, a: a.clone(), b: name });
            }
            shards.insert(shard, (name, results));
        }
        let of = first.shard.of;
        let all = (1..=of).map(|index| Shard { index, of });
        let missing: Vec<_> = all.filter(|shard| !shards.contains_key(shard)).collect();
        if !missing.is_empty() {
            return Err(JoinError::Missing { missing });
        }
        let mut results = shards.into_values().map(|(_, results)| results);
        let mut whole = results.next().expect("none is missing");
        whole.shard = Shard::WHOLE;
        for other in results {
            for (part, other) in whole.scenarios.iter_mut().zip(&other.scenarios) {
                part.tally.join(&other.tally);
                part.asked = part.asked.zip(other.asked).map(|(a, b)| a.saturating_add(b));
                part.stopped = part.stopped.take().into_iter().chain(other.stopped.clone()).min();
                // They may have been run one after another: what is claimed is no more than is
                // known.
                part.wall.wall_seconds += other.wall.wall_seconds;
                part.wall.jobs = part.wall.jobs.max(other.wall.jobs);
            }
        }
        whole.scenarios.iter_mut().for_each(|part| part.is_joined = true);
        Ok(whole)
    }

    /// Why these two are not of one sweep, if they are not.
    pub fn difference(&self, other: &Self) -> Option<String> {
        if self.mailstorm != other.mailstorm {
            let versions = (&self.mailstorm, &other.mailstorm);
            return Some(format!("made by mailstorm {} and by {}", versions.0, versions.1));
        }
        if self.shard.of != other.shard.of {
            return Some(format!("a shard of {} and one of {}", self.shard.of, other.shard.of));
        }
        let names = |results: &Self| {
            let names = results.scenarios.iter().map(|part| part.terms.scenario.clone());
            names.collect::<Vec<_>>().join(", ")
        };
        if names(self) != names(other) {
            return Some(format!("of the scenarios {} and of {}", names(self), names(other)));
        }
        let mut pairs = self.scenarios.iter().zip(&other.scenarios);
        pairs.find_map(|(a, b)| {
            let is_same_file = a.tally.terms_of_file() == b.tally.terms_of_file();
            let what = format!("{} from two files, or with other expectations", a.terms.scenario);
            a.terms.difference(&b.terms).or((!is_same_file).then_some(what))
        })
    }
}

impl Part {
    /// Its sum, for those who read it, as that of a shard; its files lie in `folder`.
    pub fn summary(&self, shard: Shard, folder: &Path) -> Summary {
        let resumption = match &self.stopped {
            None => Resumption::None,
            // What its plans were varied from is no longer known.
            Some(_) if self.tally.is_guided() => Resumption::None,
            Some(_) if self.is_joined => Resumption::ByShard,
            Some(_) => Resumption::Whole,
        };
        Summary {
            shard,
            folder: folder.to_owned(),
            mails: self.terms.inbox.map(|inbox| inbox.mails),
            left_out: self.left_out.clone(),
            doubts: self.doubts,
            stopped: self.stopped.clone(),
            seeds_asked: self.asked,
            resumption,
            ..self.tally.summary(self.wall)
        }
    }
}

impl Terms {
    fn difference(&self, other: &Self) -> Option<String> {
        let of = &self.scenario;
        let pair = |what: &str, a: String, b: String| Some(format!("{of} with {what} {a} and {b}"));
        let seeds = |(first, last): (u64, u64)| format!("{first}..{last}");
        let inbox = |mark: Option<InboxMark>| {
            mark.map_or("none".to_owned(), |mark| {
                format!("{} ({})", mark.digest, numbered(mark.mails, "mail"))
            })
        };
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
        let settings = |settings: &Settings| {
            let each = settings.0.iter().map(|(name, value)| format!("{name}={value}"));
            let each = each.collect::<Vec<_>>().join(" ");
            if each.is_empty() { "its own".to_owned() } else { each }
        };
        let plan = |plan: Option<TraceHash>| plan.map_or("none".to_owned(), |p| p.to_string());
        if self.seeds != other.seeds {
            pair("seeds", seeds(self.seeds), seeds(other.seeds))
        } else if self.settings != other.settings {
            pair("settings", settings(&self.settings), settings(&other.settings))
        } else if self.inbox != other.inbox {
            pair("inbox", inbox(self.inbox), inbox(other.inbox))
        } else if self.defect != other.defect {
            pair("defect", or_none(&self.defect), or_none(&other.defect))
        } else if self.plan != other.plan {
            pair("plan", plan(self.plan), plan(other.plan))
        } else if self.all_faults != other.all_faults {
            pair("--all-faults", self.all_faults.to_string(), other.all_faults.to_string())
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_is_in_one_shard() {
        let shard = |index| Shard { index, of: 3 }.seeds(5).take_while(|seed| *seed <= 14);
        assert_eq!(shard(1).collect::<Vec<_>>(), [5, 8, 11, 14]);
        assert_eq!(shard(2).collect::<Vec<_>>(), [6, 9, 12]);
        assert_eq!(shard(3).collect::<Vec<_>>(), [7, 10, 13]);
        let last: Vec<_> = Shard { index: 2, of: 2 }.seeds(u64::MAX - 2).collect();
        assert_eq!(last, [u64::MAX - 1]);
        assert_eq!(Shard { index: 2, of: 2 }.seeds(u64::MAX).next(), None);
    }

    #[test]
    fn a_shard_counts_the_seeds_that_it_has() {
        for (first, last) in [(5, 14), (5, 5), (5, 6), (u64::MAX - 3, u64::MAX)] {
            for index in 1..=3 {
                let shard = Shard { index, of: 3 };
                let seeds = shard.seeds(first).take_while(|seed| *seed <= last).count() as u64;
                assert_eq!(shard.count(&(first..=last)), seeds, "{shard} of {first}..{last}");
            }
        }
        assert_eq!(Shard { index: 3, of: 3 }.count(&(u64::MAX..=u64::MAX)), 0);
        assert_eq!(Shard::WHOLE.count(&(0..=u64::MAX)), u64::MAX, "as many as can be told");
    }

    #[test]
    fn a_shard_is_one_of_so_many() {
        assert_eq!("2/4".parse(), Ok(Shard { index: 2, of: 4 }));
        for (wrong, words) in [
            ("0/4", "numbered from 1"),
            ("5/4", "there is no shard 5 of 4"),
            ("1/0", "there is no shard"),
            ("x/y", "expected I/N"),
            ("3", "expected I/N"),
            ("-1/4", "expected I/N"),
            ("1/4/5", "expected I/N"),
            ("1/10001", "too many"),
        ] {
            let error = wrong.parse::<Shard>().expect_err(wrong);
            assert!(error.contains(words), "{wrong}: {error}");
        }
    }

    fn part(shard: &str) -> (String, Results) {
        let shard: Shard = shard.parse().expect("well formed");
        let terms = Terms {
            scenario: "ensemble".to_owned(),
            seeds: (1, 30),
            settings: Settings::default(),
            inbox: None,
            defect: None,
            plan: None,
            all_faults: false,
        };
        let wall = WallClock { wall_seconds: 2.0, jobs: 1 };
        let tally = Tally::new("ensemble", []);
        let (left_out, doubts) = (BTreeMap::new(), Doubts::default());
        let (asked, stopped, is_joined) = (Some(15), None, false);
        let part = Part { terms, tally, wall, left_out, doubts, asked, stopped, is_joined };
        let scenarios = vec![part];
        (format!("out-{}", shard.index), Results { scenarios, ..Results::new(shard) })
    }

    fn changed(shard: &str, change: impl FnOnce(&mut Results)) -> (String, Results) {
        let (name, mut results) = part(shard);
        change(&mut results);
        (name, results)
    }

    #[track_caller]
    fn refused(parts: Vec<(String, Results)>, words: &str) {
        let error = Results::join(parts).expect_err(words).to_string();
        assert!(error.contains(words), "no '{words}': {error}");
    }

    #[test]
    fn only_all_the_shards_of_one_sweep_are_joined() {
        let whole = Results::join(vec![part("2/2"), part("1/2")]).expect("all are there");
        assert_eq!((whole.shard, whole.scenarios[0].wall.wall_seconds), (Shard::WHOLE, 4.0));
        assert_eq!(whole.scenarios[0].asked, Some(30));
        refused(vec![part("1/3"), part("3/3")], "no result of shard 2/3");
        refused(vec![part("7/10000")], " and 9991 more");
        refused(vec![part("1/2"), part("1/2")], "shard 1/2 is there twice, in out-1 and in out-1");
        refused(vec![part("1/2"), part("2/3")], "a shard of 2 and one of 3");
        let other = |change: fn(&mut Results), words| {
            refused(vec![part("1/2"), changed("2/2", change)], words);
        };
        other(|r| r.mailstorm = "9.9".into(), "and by 9.9");
        other(|r| r.scenarios.clear(), "of the scenarios ensemble and of ");
        other(|r| r.scenarios[0].terms.seeds.1 = 40, "with seeds 1..30 and 1..40");
        other(
            |r| r.scenarios[0].terms.settings.0.extend([("servers".to_owned(), 9)]),
            "ensemble with settings its own and servers=9",
        );
        other(
            |r| {
                r.scenarios[0].terms.inbox = Some(InboxMark { mails: 3, digest: TraceHash(1) });
            },
            "inbox none and 0000000000000001 (3 mails)",
        );
        other(|r| r.scenarios[0].terms.defect = Some("x".into()), "defect none and x");
        other(|r| r.scenarios[0].terms.plan = Some(TraceHash(1)), "plan none and");
        other(|r| r.scenarios[0].terms.all_faults = true, "--all-faults false and true");
    }

    #[test]
    fn what_is_joined_goes_on_by_its_shards_if_one_has_stopped_and_is_the_whole_sweep_if_none_has()
    {
        let stopped = changed("1/2", |r| r.scenarios[0].stopped = Some(Stop::Interrupted));
        for (first, is_stopped) in [(part("1/2"), false), (stopped, true)] {
            let joined = Results::join(vec![first, part("2/2")]).expect("all are there");
            let read = Results::parse(&joined.to_json()).expect("our own words");
            assert_eq!(read.scenarios[0].is_joined, is_stopped);
            let goes_on = if is_stopped { Resumption::ByShard } else { Resumption::None };
            assert_eq!(read.summaries(Path::new(""))[0].resumption, goes_on);
        }
        // It cannot go on either where joining itself could not be finished.
        let mut joined = Results::join(vec![part("1/1")]).expect("it is there");
        joined.scenarios[0].stopped = Some(Stop::Failed("no space".into()));
        assert_eq!(joined.summaries(Path::new(""))[0].resumption, Resumption::ByShard);
    }

    #[test]
    fn a_result_read_back_is_the_same_and_what_is_none_is_refused() {
        let (_, results) = part("1/2");
        assert_eq!(Results::parse(&results.to_json()).expect("our own words"), results);
        for wrong in ["", "[]", "{}", "{\"format\":2}", "{\"format\":1}", "\u{0}"] {
            assert!(Results::parse(wrong).is_err(), "{wrong}");
        }
        let cut = &results.to_json()[..100];
        assert!(Results::parse(cut).is_err());
    }
}
