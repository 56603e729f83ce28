//! Scenarios without Rust: a file that says whose programs run, on how many machines, what goes
//! wrong, and what is expected of it.
//!
//! Owns: the file's format, its errors, and whether runs are as it expects. Leaves: the faults to
//! `record`, whose plans have the same form; running to `world`.
//! Holds: a file that was read names only what exists; every mistake is told with its line and, for
//! a name, the nearest that there is. A run of a file is the run of its workload, with its plan and
//! its numbers: its record needs the file no more.
//! Start at [`ScenarioFile::read`].
//!
//! ```toml
//! scenario = "nine-in-three-parts"
//! about = "nine servers in three parts: nobody has a majority"
//! workload = "quorum-half/right"
//! seed = 1
//! lasts_ms = 30000
//!
//! [topology]
//! servers = 9
//!
//! [[faults]]
//! at_ms = 5000
//! lasts_ms = 15000
//! kind.partition = { sides = [["s1", "s2", "s3", "a1"], ["s4", "s5", "s6"], ["s7", "s8", "s9", "b1"]] }
//!
//! [expect]
//! violations = []
//! reached = ["write_in_doubt"]
//! ```

use crate::failure::Failure;
use crate::given::{Given, find, meant, note_rest, quoted_path};
use mailstorm_checkers::common::kinds;
use mailstorm_mail::inbox::Inbox;
use mailstorm_record::{Plan, Run, Settings, Violation, spaced};
use mailstorm_reports::Expected;
use mailstorm_scenarios::lessons::SEED;
use mailstorm_world::Scenario;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use toml::Spanned;

/// A scenario that is written in a file.
pub(crate) struct ScenarioFile {
    /// The file, as it was named.
    file: String,
    /// Its own name.
    pub name: String,
    /// What it shows.
    pub about: Option<String>,
    /// Whose programs run, on as many machines as the file says.
    pub workload: Arc<dyn Scenario>,
    /// The seed of a storm of which nothing else is said.
    pub seed: Option<u64>,
    /// What goes wrong; `None` for what the workload has itself.
    pub plan: Option<Plan>,
    pub expect: Option<Expect>,
    /// The numbers that the file gives, for replays.
    settings: Settings,
}

/// What every run is to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expect {
    /// What it breaks, by `checker/kind`: exactly this.
    violations: BTreeSet<String>,
    /// The goals that it reaches.
    reached: BTreeSet<String>,
}

/// The file, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    scenario: Spanned<String>,
    about: Option<String>,
    workload: Spanned<String>,
    seed: Option<u64>,
    #[serde(default)]
    lasts_ms: Option<IgnoredAny>,
    #[serde(default, rename = "lifts_atlas")]
    _lifts_atlas: IgnoredAny,
    #[serde(default)]
    topology: BTreeMap<Spanned<String>, Spanned<Number>>,
    #[serde(default)]
    faults: Option<IgnoredAny>,
    expect: Option<WrittenExpect>,
}

/// A number of the workload, or the server that is to lead, by its node.
#[derive(Clone, Deserialize)]
#[serde(untagged, expecting = "expected a number, or for `leader` a server, as `leader = \"s3\"`")]
enum Number {
    Plain(u64),
    Server(String),
}

impl Number {
    /// The number for a setting of this name.
    fn of(&self, name: &str) -> Result<u64, String> {
        match self {
            Self::Plain(number) => Ok(*number),
            Self::Server(node) if name == "leader" => {
                let number = node.strip_prefix('s').and_then(|number| number.parse().ok());
                number.ok_or_else(|| format!("'{node}' is no server: expected `leader = \"s3\"`"))
            }
            Self::Server(text) => Err(format!("'{text}' is no number")),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenExpect {
    #[serde(default)]
    violations: Vec<Spanned<String>>,
    #[serde(default)]
    reached: Vec<Spanned<String>>,
}

impl ScenarioFile {
    /// Whether this is the text of a scenario, and not of a case or a plan: only a scenario has a
    /// workload.
    pub(crate) fn is_one(text: &str) -> bool {
        toml::from_str::<toml::Table>(text).is_ok_and(|table| table.contains_key("workload"))
    }

    /// Reads a file. What else is given has its way over what the file says.
    pub(crate) fn read(file: &str, given: &Given, inbox: Option<&Inbox>) -> Result<Self, Failure> {
        let text = fs::read_to_string(file).map_err(|error| {
            Failure::new(format!("cannot read {file}: {error}; check the path"))
        })?;
        Self::parse(&text, file, given, inbox)
    }

    /// Reads a file's text; `file` is its name for errors.
    pub(crate) fn parse(
        text: &str,
        file: &str,
        given: &Given,
        inbox: Option<&Inbox>,
    ) -> Result<Self, Failure> {
        let at = |place: usize, problem: &str| {
            let line = 1 + text.as_bytes()[..place.min(text.len())]
                .iter()
                .filter(|b| **b == b'\n')
                .count();
            Failure::new(format!("{file}:{line}: {problem}"))
        };
        let written: Written = toml::from_str(text).map_err(|error| {
            let place = error.span().map_or(0, |span| span.start);
            at(place, &with_nearest(&error.message().replace('\n', ", ")))
        })?;
        let name = written.scenario.get_ref().clone();
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            let problem = format!("'{name}' is no name: expected letters, digits and '-'");
            return Err(at(written.scenario.span().start, &problem));
        }
        let workload = given.full_name(written.workload.get_ref());
        let usual = find(&workload, inbox, &Settings::default())
            .map_err(|failure| at(written.workload.span().start, &failure.to_string()))?;
        let known: Vec<&str> = usual.settings().iter().map(|setting| setting.name).collect();
        let mut settings = Settings::default();
        for (key, value) in &written.topology {
            let mut one = usual.settings();
            let (name, place) = (key.get_ref(), key.span().start);
            let value = value.get_ref().of(name).map_err(|problem| at(place, &problem))?;
            let this = Settings([(name.clone(), value)].into());
            this.apply(&mut one).map_err(|error| {
                let meant = if known.contains(&&**name) {
                    String::new()
                } else {
                    meant(name, known.iter().copied())
                };
                at(place, &format!("{meant}{error} for the workload '{workload}'"))
            })?;
            settings.0.extend(this.0);
        }
        settings.0.extend(given.settings().0);
        let topology_at = written.topology.keys().next().map_or(0, |key| key.span().start);
        let workload = find(&workload, inbox, &settings)
            .map_err(|failure| at(topology_at, &failure.to_string()))?;
        let plan = match given.plan_for(&workload)? {
            Some(plan) => Some(plan),
            None if written.faults.is_some() || written.lasts_ms.is_some() => {
                let plan = Plan::parse(text, file, &workload.topology().names());
                let plan = plan.map_err(|error| Failure::new(with_nearest(&error.to_string())))?;
                note_rest(&plan, &workload);
                Some(plan)
            }
            None => None,
        };
        let expect =
            written.expect.map(|expect| expectation(expect, &*workload, &at)).transpose()?;
        let (file, about, seed) = (file.to_owned(), written.about, written.seed);
        Ok(Self { file, name, about, workload, seed, plan, expect, settings })
    }

    /// The file, as it was named.
    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// Whether its runs are those of the workload itself.
    pub(crate) fn is_plain(&self) -> bool {
        self.expect.is_none() && self.settings.is_empty()
    }

    /// What a replay must be given besides the workload and the seed, each with a space before it.
    pub(crate) fn replay_options(&self, given: &Given) -> String {
        let asked = given.settings();
        let own = self.settings.0.iter().filter(|(name, _)| !asked.0.contains_key(*name));
        let settings: String = own.map(|(name, value)| format!(" --set {name}={value}")).collect();
        let has_faults = self.plan.is_some() && given.plan.is_none() && given.partition.is_empty();
        let plan =
            if has_faults { format!(" --plan {}", quoted_path(&self.file)) } else { String::new() };
        format!("{settings}{plan}{}", given.line())
    }
}

/// What the file expects, which must be something that there is.
fn expectation(
    written: WrittenExpect,
    workload: &dyn Scenario,
    at: &impl Fn(usize, &str) -> Failure,
) -> Result<Expect, Failure> {
    /// What the world itself finds.
    const WORLD: [&str; 4] = ["convergence", "dead-end", "bound", "panic"];
    let suite = workload.checkers(SEED);
    let world = WORLD.map(|checker| (checker, kinds::of(checker)));
    let known: BTreeMap<&str, &[&str]> = suite.kinds().chain(world).collect();
    let known: BTreeMap<&str, &[&str]> =
        known.into_iter().filter(|(_, kinds)| !kinds.is_empty()).collect();
    let goals: Vec<&str> = workload.goals().iter().map(|goal| goal.name).collect();
    let mut violations = BTreeSet::new();
    for violation in written.violations {
        let (place, name) = (violation.span().start, violation.into_inner());
        let Some((checker, kind)) = name.split_once('/') else {
            return Err(at(
                place,
                &format!("'{name}' is no violation: expected CHECKER/KIND, as 'quorum/lost'"),
            ));
        };
        let Some(kinds) = known.get(checker) else {
            let checkers: Vec<&str> = known.keys().copied().collect();
            let (meant, all) = (meant(checker, checkers.iter().copied()), checkers.join(", "));
            return Err(at(place, &format!("no checker '{checker}': {meant}there is {all}")));
        };
        if !kinds.contains(&kind) {
            let (meant, all) = (meant(kind, kinds.iter().copied()), kinds.join(", "));
            return Err(at(
                place,
                &format!("'{checker}' finds no '{kind}': {meant}it finds {all}"),
            ));
        }
        violations.insert(name);
    }
    let mut reached = BTreeSet::new();
    for goal in written.reached {
        let (place, name) = (goal.span().start, goal.into_inner());
        if !goals.contains(&&*name) {
            let (meant, all) = (meant(&name, goals.iter().copied()), goals.join(", "));
            return Err(at(place, &format!("no goal '{name}': {meant}there is {all}")));
        }
        reached.insert(name);
    }
    Ok(Expect { violations, reached })
}

/// The same message of a TOML reader, with the name that was probably meant.
fn with_nearest(message: &str) -> String {
    let mut names = message.split('`').skip(1).step_by(2);
    let is_unknown = ["unknown field", "unknown variant"].iter().any(|what| message.contains(what));
    let Some(wrong) = names.next().filter(|_| is_unknown) else { return message.to_owned() };
    let known: Vec<&str> = names.collect();
    match meant(wrong, known.iter().copied()).trim_end() {
        "" => message.to_owned(),
        meant => format!("{message}; {meant}"),
    }
}

impl Expect {
    /// The same for the results, where nothing has been run.
    pub(crate) fn to_be_shown(&self) -> Expected {
        let (violations, reached) = (self.violations.clone(), self.reached.clone());
        Expected { violations, reached, ..Expected::default() }
    }

    /// What of this a run does not show, in words; `None` if it shows exactly this.
    pub(crate) fn missed_by(&self, run: &Run) -> Option<String> {
        let found: BTreeSet<String> = run.outcome.violations().map(Violation::name).collect();
        let list = |words: Vec<&String>| words.into_iter().cloned().collect::<Vec<_>>().join(", ");
        let spared = list(self.violations.difference(&found).collect());
        let unasked = list(found.difference(&self.violations).collect());
        let is_reached = |goal: &&String| run.outcome.reached.get(*goal).is_some_and(|n| *n > 0);
        let missed = spaced(&list(self.reached.iter().filter(|goal| !is_reached(goal)).collect()));
        let told: Vec<String> =
            [("does not break", spared), ("breaks", unasked), ("does not reach", missed)]
                .into_iter()
                .filter(|(_, what)| !what.is_empty())
                .map(|(how, what)| format!("{how} {what}"))
                .collect();
        (!told.is_empty()).then(|| told.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"scenario = "nine"
about = "nine servers"
workload = "quorum-half/right"
seed = 3
lasts_ms = 9000

[topology]
servers = 9

[[faults]]
at_ms = 1000
lasts_ms = 500
kind.crash = { nodes = ["s9"] }

[expect]
violations = ["quorum/lost"]
reached = ["write_in_doubt"]
"#;

    fn read(text: &str) -> Result<ScenarioFile, String> {
        ScenarioFile::parse(text, "nine.toml", &Given::default(), None).map_err(|f| f.to_string())
    }

    #[test]
    fn a_file_says_everything_about_a_run() {
        let file = read(WHOLE).unwrap();
        assert_eq!((&*file.name, file.seed), ("nine", Some(3)));
        assert_eq!(file.workload.topology().nodes.len(), 11);
        let plan = file.plan.as_ref().unwrap();
        assert_eq!((plan.lasts_ms, plan.faults.len()), (Some(9_000), 1));
        let options = file.replay_options(&Given::default());
        assert_eq!(options, " --set servers=9 --plan nine.toml");
        assert!(ScenarioFile::is_one(WHOLE));
        assert!(!ScenarioFile::is_one("scenario = 'a'\nseed = 1\n"));
        let leads = WHOLE.replace("servers = 9", "servers = 9\nleader = \"s7\"");
        let options = read(&leads).unwrap().replay_options(&Given::default());
        assert_eq!(options, " --set leader=7 --set servers=9 --plan nine.toml");
        let short = read("scenario = 'a'\nworkload = 'quorum-half'\n").unwrap();
        assert_eq!((short.plan, short.expect, short.seed), (None, None, None));
    }

    #[test]
    fn every_mistake_is_told_with_its_line_and_the_nearest_name() {
        let cases: &[(&str, &str, &str, &[&str])] = &[
            (
                "scenario =",
                "scenari =",
                "nine.toml:1: ",
                &["unknown field `scenari`", "did you mean 'scenario'?"],
            ),
            ("scenario = \"nine\"", "scenario = \"a b\"", "nine.toml:1: ", &["'a b' is no name"]),
            ("scenario = \"nine\"", "scenario = 9", "nine.toml:1: ", &["expected a string"]),
            ("scenario = \"nine\"\n", "", "nine.toml:1: ", &["missing field `scenario`"]),
            ("workload =", "workloads =", "nine.toml:3: ", &["did you mean 'workload'?"]),
            ("quorum-half/right", "quorum-haf", "nine.toml:3: ", &["did you mean 'quorum-half'?"]),
            ("quorum-half/right", "quorum-half/rigt", "nine.toml:3: ", &["did you mean 'right'?"]),
            ("seed = 3", "seed = -3", "nine.toml:4: ", &["-3"]),
            ("seed = 3", "sed = 3", "nine.toml:4: ", &["did you mean 'seed'?"]),
            (
                "lasts_ms = 9000",
                "lasts_ms = 90",
                "nine.toml:5: ",
                &["its last fault ends at 1500 ms"],
            ),
            ("[topology]", "[topologie]", "nine.toml:7: ", &["did you mean 'topology'?"]),
            ("servers = 9", "server = 9", "nine.toml:8: ", &["did you mean 'servers'?"]),
            ("servers = 9", "servers = 99", "nine.toml:8: ", &["1 to 9"]),
            ("servers = 9", "servers = \"many\"", "nine.toml:8: ", &["many"]),
            (
                "at_ms =",
                "at_m =",
                "nine.toml:11: ",
                &["unknown field `at_m`", "did you mean 'at_ms'?"],
            ),
            (
                "lasts_ms = 500\n",
                "",
                "nine.toml:10: ",
                &["`crash` has no end", "lasts = \"forever\""],
            ),
            ("lasts_ms = 500", "lasts = \"never\"", "nine.toml:12: ", &["did you mean 'forever'?"]),
            ("servers = 9", "leader = 2", "nine.toml:8: ", &["expected `leader` to be 3 to 5"]),
            ("servers = 9", "leader = \"b1\"", "nine.toml:8: ", &["'b1' is no server"]),
            ("quorum/lost", "quorum/lots", "nine.toml:16: ", &["did you mean 'lost'?", "minority"]),
            (
                "quorum/lost",
                "live/unavailable",
                "nine.toml:16: ",
                &["it finds gap, stopped, unfinished"],
            ),
            ("quorum/lost", "bound/evnts", "nine.toml:16: ", &["did you mean 'events'?"]),
            ("kind.crash", "kind.crush", "nine.toml:13: ", &["did you mean 'crash'?"]),
            ("\"s9\"", "\"s10\"", "nine.toml:10: ", &["`s10`, which does not exist", "s9"]),
            ("violations =", "violation =", "nine.toml:16: ", &["did you mean 'violations'?"]),
            ("quorum/lost", "qourum/lost", "nine.toml:16: ", &["did you mean 'quorum'?"]),
            ("quorum/lost", "quorum", "nine.toml:16: ", &["expected CHECKER/KIND"]),
            (
                "write_in_doubt",
                "write_in_dobt",
                "nine.toml:17: ",
                &["did you mean 'write_in_doubt'?"],
            ),
            ("[expect]", "[expect", "nine.toml:15: ", &[]),
        ];
        for (right, wrong, place, words) in cases {
            let text = WHOLE.replacen(right, wrong, 1);
            assert_ne!(text, WHOLE, "{right}");
            let error = read(&text).err().unwrap_or_else(|| panic!("{wrong} passes"));
            assert!(error.starts_with(place), "{wrong}: {error}");
            for word in *words {
                assert!(error.contains(word), "{wrong}: no '{word}' in: {error}");
            }
        }
    }
}
