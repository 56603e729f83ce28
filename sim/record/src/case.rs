//! Cases: a failing run as a small file that a person can paste into an issue and replay.
//!
//! Owns: the file format of a case, which is that of a plan with a head. Leaves: the faults to
//! `plan`.
//! Holds: [`Case::read`] of [`Case::to_toml`] gives the same case. A file of another version is
//! read as far as it makes sense here; what does not is refused with both versions.
//! Start at [`Case`].
//!
//! ```toml
//! mailstorm = "0.1.0"
//! scenario = "mail-claims"
//! seed = 42
//! defect = "ack-before-sync"
//! fingerprint = "quorum/lost/s"
//! trace = "8c0930c1d798645b"
//! inbox = { mails = 100, digest = "00000000000000ff" }
//!
//! [settings]
//! servers = 3
//!
//! [[faults]]
//! at_ms = 4000
//! lasts_ms = 900
//! kind.power_cut = { nodes = ["leader"] }
//! ```

use crate::plan::line_at;
use crate::{InboxMark, Names, Plan, PlanError, Run, Settings, TraceHash};
use mailstorm_shared::defect::DefectId;
use serde::Deserialize;
use std::fmt::Write;

/// The version of this laboratory: the same case is the same run only where the version is the
/// same.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A run, without its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Case {
    /// The version that wrote it.
    #[serde(default = "this_version", rename = "mailstorm")]
    pub version: String,
    /// The scenario's name.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// The defect that is planted, if any.
    #[serde(default)]
    pub defect: Option<DefectId>,
    /// The fingerprint of the violation that the case is kept for.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// The hash of the trace of this run, as the version that wrote it made it. A case changed by
    /// hand must drop it: it is another run then.
    #[serde(default)]
    pub trace: Option<TraceHash>,
    /// The inbox it was made with, if the scenario has one.
    #[serde(default)]
    pub inbox: Option<InboxMark>,
    /// The scenario's numbers that are not its own.
    #[serde(default)]
    pub settings: Settings,
    /// What goes wrong, and when.
    #[serde(skip)]
    pub plan: Plan,
}

fn this_version() -> String {
    VERSION.to_owned()
}

impl Case {
    /// The case of a run that was recorded, known by its first violation.
    pub fn of(run: &Run) -> Self {
        Self {
            version: this_version(),
            scenario: run.scenario.clone(),
            seed: run.seed,
            defect: run.defect,
            fingerprint: run.outcome.violations().next().map(|violation| violation.fingerprint()),
            trace: Some(run.outcome.trace_hash),
            inbox: run.inbox,
            settings: run.settings.clone(),
            plan: run.plan.clone(),
        }
    }

    /// Reads the head of a case file, with an empty plan: which nodes the plan may name depends on
    /// the head. `file` is its name for errors.
    ///
    /// # Errors
    /// [`PlanError`] for what is not TOML, and for keys that are missing or have a wrong value.
    pub fn head(text: &str, file: &str) -> Result<Self, PlanError> {
        toml::from_str(text).map_err(|error| PlanError {
            file: file.to_owned(),
            line: line_at(text, error.span().map_or(0, |span| span.start)),
            problem: error.message().replace('\n', ", "),
        })
    }

    /// Reads a case file whose plan may name these.
    ///
    /// # Errors
    /// [`PlanError`] as of [`Case::head`] and [`Plan::parse`].
    pub fn read(text: &str, file: &str, names: &Names) -> Result<Self, PlanError> {
        let mut case = Self::head(text, file)?;
        case.plan = Plan::parse(text, file, names).map_err(|mut error| {
            if let Some(other) = case.other_version() {
                write!(error.problem, " (written by mailstorm {other}; this is {VERSION})")
                    .expect("a String takes everything");
            }
            error
        })?;
        Ok(case)
    }

    /// The version that wrote it, if it was another.
    pub fn other_version(&self) -> Option<&str> {
        Some(&*self.version).filter(|version| *version != VERSION)
    }

    /// The case as a file.
    pub fn to_toml(&self) -> String {
        let plan = self.plan.to_toml();
        // Keys of the file itself come before its tables.
        let (head, faults) = plan.split_at(plan.find("[[faults]]").unwrap_or(plan.len()));
        let mut text = String::new();
        let mut put = |line: String| {
            text.push_str(&line);
            text.push('\n');
        };
        let quoted = |word: &str| toml::Value::from(word).to_string();
        put(format!("mailstorm = {}", quoted(&self.version)));
        put(format!("scenario = {}", quoted(&self.scenario)));
        put(format!("seed = {}", self.seed));
        if let Some(defect) = &self.defect {
            put(format!("defect = {}", quoted(defect.name())));
        }
        if let Some(fingerprint) = &self.fingerprint {
            put(format!("fingerprint = {}", quoted(fingerprint)));
        }
        if let Some(trace) = self.trace {
            put(format!("trace = \"{trace}\""));
        }
        if let Some(InboxMark { mails, digest }) = self.inbox {
            put(format!("inbox = {{ mails = {mails}, digest = \"{digest}\" }}"));
        }
        head.trim_end().lines().for_each(|line| put(line.to_owned()));
        if !self.settings.is_empty() {
            put("\n[settings]".to_owned());
            for (name, value) in &self.settings.0 {
                put(format!("{name} = {value}"));
            }
        }
        if !faults.is_empty() {
            put(format!("\n{}", faults.trim_end()));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fault, FaultKind, NodeName, TraceHash};
    use proptest::prelude::*;

    fn nodes() -> Vec<NodeName> {
        vec!["s1".into(), "s2".into()]
    }

    fn names() -> Names {
        nodes().into()
    }

    fn case(faults: usize, settings: &[(&str, u64)]) -> Case {
        let kind = FaultKind::Crash { nodes: nodes() };
        let fault = Fault { at_ms: 4_000, lasts_ms: 900, kind };
        Case {
            version: VERSION.to_owned(),
            scenario: "mail-claims".to_owned(),
            seed: 42,
            defect: DefectId::parse("ack-before-sync"),
            fingerprint: Some("quorum/lost/s".to_owned()),
            trace: Some(TraceHash(0xfeed)),
            inbox: Some(InboxMark { mails: 100, digest: TraceHash(0xff) }),
            settings: Settings(settings.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect()),
            plan: Plan { lifts_atlas: true, lasts_ms: None, faults: vec![fault; faults] },
        }
    }

    #[test]
    fn a_case_is_written_as_people_write_it() {
        let expected = format!(
            "mailstorm = \"{VERSION}\"\nscenario = \"mail-claims\"\nseed = 42\n\
             defect = \"ack-before-sync\"\nfingerprint = \"quorum/lost/s\"\n\
             trace = \"000000000000feed\"\ninbox = {{ mails = 100, digest = \"00000000000000ff\" }}\nlifts_atlas = true\n\n\
             [settings]\nservers = 3\n\n[[faults]]\nat_ms = 4000\nlasts_ms = 900\n\
             kind.crash = {{ nodes = [\"s1\", \"s2\"] }}\n"
        );
        assert_eq!(case(1, &[("servers", 3)]).to_toml(), expected);
    }

    #[test]
    fn a_case_read_back_is_the_same_case() {
        let plain = Case { defect: None, fingerprint: None, inbox: None, ..case(0, &[]) };
        let plain = Case { trace: None, ..plain };
        let plain = Case { plan: Plan::default(), ..plain };
        for case in [case(2, &[("mails", 1), ("servers", 3)]), case(0, &[("mails", 1)]), plain] {
            assert_eq!(Case::read(&case.to_toml(), "c.toml", &names()), Ok(case));
        }
    }

    proptest! {
        #[test]
        fn whatever_its_words_are_a_case_read_back_is_the_same(
            words in proptest::collection::vec("(?s)(\\PC|.|\"|'|\u{1b}|\u{202e}|\r\n|\\\\){0,12}", 3),
            settings in proptest::collection::btree_map("[a-z_]{1,9}", 0..=i64::MAX as u64, 0..3),
        ) {
            let [version, scenario, fingerprint] = [&words[0], &words[1], &words[2]].map(String::clone);
            let settings = Settings(settings);
            let case = Case { version, scenario, fingerprint: Some(fingerprint), settings, ..case(1, &[]) };
            let text = case.to_toml();
            prop_assert_eq!(Case::read(&text, "c.toml", &names()), Ok(case), "{}", text);
        }
    }

    #[test]
    fn the_plan_of_a_case_file_is_a_plan() {
        let case = case(1, &[("servers", 3)]);
        assert_eq!(Plan::parse(&case.to_toml(), "c.toml", &names()), Ok(case.plan));
    }

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        let error = Case::read(text, "c.toml", &names()).expect_err("the case is broken");
        assert!(error.to_string().starts_with(expected), "{error}");
    }

    #[test]
    fn a_broken_case_is_told_with_its_line() {
        refused("", "c.toml:1: missing field `scenario`");
        refused("scenario = \"x\"\nseed = -1\n", "c.toml:2: ");
        refused("scenario = \"x\"\nseed = 1\ncolour = 3\n", "c.toml:3: unknown field `colour`");
        refused("scenario = \"x\"\nseed = 1\ndefect = \"Y\"\n", "c.toml:3: no defect is named `Y`");
        refused("scenario = \"x\"\nseed = 1\n[settings]\na = \"b\"\n", "c.toml:4: ");
    }

    #[test]
    fn a_case_of_another_version_is_read_if_it_makes_sense_here() {
        let text = case(1, &[]).to_toml().replace(VERSION, "0.0.7");
        let read = Case::read(&text, "c.toml", &names()).expect("nothing in it is unknown");
        assert_eq!(read.other_version(), Some("0.0.7"));
        let error = Case::read(&text.replace("crash", "eclipse"), "c.toml", &names());
        let error = error.expect_err("an unknown kind").to_string();
        assert!(error.contains("unknown variant `eclipse`"), "{error}");
        let versions = format!("(written by mailstorm 0.0.7; this is {VERSION})");
        assert!(error.ends_with(&versions), "{error}");
        assert_eq!(case(1, &[]).other_version(), None);
    }
}
