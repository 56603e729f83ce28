//! What a run is made from: scenario, settings, seed, defect, plan and inbox, as the command line, a record
//! or a case file gives them.
//!
//! Holds: what is printed for a replay makes the same run again. Start at [`Given`] and [`wanted`].

use crate::failure::{Failure, nearest};
use crate::museum::find_defect;
use clap::{Args, ValueHint};
use mailstorm_mail::inbox::Inbox;
use mailstorm_record::case::VERSION;
use mailstorm_record::{Case, InboxMark, Plan, Run, SettingError, Settings};
pub(crate) use mailstorm_reports::quoted;
use mailstorm_shared::defect::Defect;
use mailstorm_world::{RunSpec, Scenario, with_settings};
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// The options that say what is run, other than scenario and seed.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Given {
    /// Plant this defect in every server, client and worker; `mailstorm museum --list` lists them.
    #[arg(long, value_name = "NAME")]
    pub defect: Option<String>,
    /// Give the scenario another number: `servers=9`; `mailstorm scenarios` lists them.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<Set>,
    /// Run the faults of this plan (or case) instead of those made from the seed.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub plan: Option<PathBuf>,
    /// Give every storm every kind of fault, instead of the kinds that each seed draws.
    #[arg(long, conflicts_with = "plan")]
    pub all_faults: bool,
    /// The inbox: an mbox file, a Maildir, or a folder of .eml files [default: a sample inbox].
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub inbox: Option<PathBuf>,
}

impl Given {
    /// As words of a command line.
    pub(crate) fn words(&self) -> Vec<String> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|p| p.to_string_lossy().into_owned());
        let sets =
            self.set.iter().map(|set| ("--set", Some(format!("{}={}", set.name, set.value))));
        let named = [("--plan", path(&self.plan)), ("--inbox", path(&self.inbox))];
        [("--defect", self.defect.clone())]
            .into_iter()
            .chain(sets)
            .chain(named)
            .filter_map(|(option, value)| Some([option.to_owned(), value?]))
            .flatten()
            .chain(self.all_faults.then(|| "--all-faults".to_owned()))
            .collect()
    }

    /// As a person types them: each with a space before it, quoted where a shell would not take it for
    /// one word.
    pub(crate) fn line(&self) -> String {
        self.words().iter().map(|word| format!(" {}", quoted(word))).collect()
    }

    /// The scenario's numbers that are asked for; where one is asked for twice, the last counts.
    pub(crate) fn settings(&self) -> Settings {
        Settings(self.set.iter().map(|set| (set.name.clone(), set.value)).collect())
    }

    pub(crate) fn planted(&self) -> Result<Option<Defect>, Failure> {
        self.defect.as_deref().map(find_defect).transpose()
    }
}

/// A number for a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Set {
    pub name: String,
    pub value: u64,
}

impl FromStr for Set {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').map(|(name, value)| (name.trim(), value.trim().parse()));
        match parts {
            Some((name, Ok(value))) => Ok(Self { name: name.to_owned(), value }),
            _ => Err(format!("'{text}' is no setting: expected something like servers=9")),
        }
    }
}

/// One run that is asked for.
pub(crate) struct Wanted {
    pub scenario: Arc<dyn Scenario>,
    pub seed: u64,
    pub defect: Option<Defect>,
    /// None for what the seed draws.
    pub plan: Option<Plan>,
    /// What a case is kept for.
    pub fingerprint: Option<String>,
}

impl Wanted {
    pub(crate) fn spec(&self) -> RunSpec {
        RunSpec {
            plan: self.plan.clone(),
            defect: self.defect,
            ..RunSpec::new(self.scenario.clone(), self.seed)
        }
    }
}

/// Whether the run has a violation that is known by this.
pub(crate) fn has(run: &Run, fingerprint: &str) -> bool {
    run.outcome.violations().any(|violation| violation.fingerprint() == fingerprint)
}

/// Where a file about a run goes when nobody says: beside the file that the run came from, or where a storm
/// would have put the run.
pub(crate) fn beside(what: &str, scenario: &str, seed: u64, name: &str) -> PathBuf {
    let from = Path::new(what);
    if from.is_file() {
        return from.with_file_name(name);
    }
    Path::new("runs").join(scenario).join(seed.to_string()).join(name)
}

/// The run of this scenario and seed, or of this record or case file, with whatever else is given.
pub(crate) fn wanted(what: &str, seed: Option<u64>, given: &Given) -> Result<Wanted, Failure> {
    let inbox = open_inbox(given.inbox.as_deref())?;
    let defect = given.planted()?;
    let mut wanted = if Path::new(what).is_file() {
        from_file(what, seed, given, inbox.as_ref())?
    } else {
        // No scenario has such a name, so it is meant to be a file.
        if what.contains(['/', '\\']) || what.ends_with(".json") || what.ends_with(".toml") {
            let wrong = if Path::new(what).is_dir() { "is a folder" } else { "does not exist" };
            return Err(Failure::new(format!(
                "{what} {wrong}: give the run.json that 'mailstorm storm' wrote, a case, or a scenario and \
                 --seed S"
            )));
        }
        let Some(seed) = seed else {
            return Err(Failure::new(format!(
                "which seed of '{what}'? add --seed S, or give the file of a run"
            )));
        };
        let scenario = find(what, inbox.as_ref(), &given.settings())?;
        Wanted { scenario, seed, defect: None, plan: None, fingerprint: None }
    };
    wanted.defect = defect.or(wanted.defect);
    if let Some(file) = &given.plan {
        wanted.plan = Some(read_plan(file, &wanted.scenario)?);
    }
    if given.all_faults {
        wanted.plan = wanted.spec().with_every_fault().plan;
    }
    Ok(wanted)
}

/// The run that a record or a case file tells of.
fn from_file(
    file: &str,
    seed: Option<u64>,
    given: &Given,
    inbox: Option<&Inbox>,
) -> Result<Wanted, Failure> {
    let text = fs::read_to_string(file)
        .map_err(|error| Failure::new(format!("cannot read {file}: {error}; check the path")))?;
    let is_case = file.ends_with(".toml");
    let mut case = if is_case {
        Case::head(&text, file).map_err(|error| {
            Failure::new(format!("{error}; give a case, or a plan with --plan and a scenario"))
        })?
    } else {
        let run = Run::parse(&text).map_err(|error| {
            Failure::new(format!("{file}: {error}; give a run.json that 'mailstorm storm' wrote"))
        })?;
        if !run.mailstorm.is_empty() && run.mailstorm != VERSION {
            crate::tell(&other_version(file, &run.mailstorm));
        }
        Case::of(&run)
    };
    case.settings.0.extend(given.settings().0);
    let of_this_file = |failure| Failure::new(format!("{file}: {failure}"));
    // Before its settings: how many mails there are depends on the inbox.
    let usual = find(&case.scenario, inbox, &Settings::default()).map_err(of_this_file)?;
    expect_inbox(file, case.inbox, &usual, given)?;
    let scenario = find(&case.scenario, inbox, &case.settings).map_err(of_this_file)?;
    let nodes = scenario.topology().names();
    if is_case {
        let read = Case::read(&text, file, &nodes).map_err(|e| Failure::new(e.to_string()))?;
        if let Some(version) = read.other_version() {
            crate::tell(&other_version(file, version));
        }
        case.plan = read.plan;
    } else {
        // A record may have been edited: its plan must still name this scenario's nodes.
        case.plan.check(&nodes).map_err(|(index, problem)| {
            Failure::new(format!("{file}: fault {}: {problem}", index + 1))
        })?;
    }
    let seed = seed.unwrap_or(case.seed);
    Ok(Wanted {
        scenario,
        seed,
        defect: case.defect,
        plan: Some(case.plan),
        fingerprint: case.fingerprint,
    })
}

fn other_version(file: &str, version: &str) -> String {
    format!(
        "note: {file} was written by mailstorm {version}; this is {VERSION}, where the same case may be another \
         run"
    )
}

/// On another inbox it would be another run.
fn expect_inbox(
    file: &str,
    then: Option<InboxMark>,
    scenario: &Arc<dyn Scenario>,
    given: &Given,
) -> Result<(), Failure> {
    let (Some(then), Some(now)) = (then, scenario.inbox()) else { return Ok(()) };
    if then == now {
        return Ok(());
    }
    let this = given.inbox.as_ref().map_or("the sample inbox", |_| "the inbox given");
    Err(Failure::new(format!(
        "{file} was run on another inbox (mails {}, digest {}) than {this} (mails {}, digest {}): give the \
         one of the run with --inbox PATH",
        then.mails, then.digest, now.mails, now.digest
    )))
}

/// The scenario of this name, with these numbers.
pub(crate) fn find(
    name: &str,
    inbox: Option<&Inbox>,
    settings: &Settings,
) -> Result<Arc<dyn Scenario>, Failure> {
    let scenario = mailstorm_scenarios::find(name, inbox).ok_or_else(|| {
        let all = mailstorm_scenarios::all(None);
        let meant = meant(name, all.iter().map(|scenario| scenario.name()));
        Failure::new(format!("unknown scenario '{name}': {meant}'mailstorm scenarios' lists them"))
    })?;
    with_settings(&scenario, settings).map_err(|error| {
        let meant = match &error {
            SettingError::Unknown { name, known } => meant(name, known.iter().copied()),
            SettingError::OutOfRange { .. } => String::new(),
        };
        Failure::new(format!("{meant}{error} for the scenario '{name}'"))
    })
}

/// The question whether the nearest of these names was meant, if one is near.
pub(crate) fn meant<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near = nearest(name, known);
    near.map(|near| format!("did you mean '{near}'? ")).unwrap_or_default()
}

/// The inbox at this path; `None` stands for the embedded one.
pub(crate) fn open_inbox(path: Option<&Path>) -> Result<Option<Inbox>, Failure> {
    path.map(Inbox::open).transpose().map_err(|error| Failure::new(error.to_string()))
}

/// A plan for this scenario, read from a file.
pub(crate) fn read_plan(file: &Path, scenario: &Arc<dyn Scenario>) -> Result<Plan, Failure> {
    let text = fs::read_to_string(file).map_err(|error| {
        Failure::new(format!("cannot read the plan {}: {error}; check the path", file.display()))
    })?;
    Plan::parse(&text, &file.display().to_string(), &scenario.topology().names())
        .map_err(|error| Failure::new(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_a_name_and_a_number() {
        let set = Set { name: "servers".to_owned(), value: 9 };
        assert_eq!("servers=9".parse(), Ok(set.clone()));
        assert_eq!(" servers = 9 ".parse(), Ok(set));
        for wrong in ["servers", "servers=", "servers=many", "servers=-1", "=", ""] {
            let error = wrong.parse::<Set>().expect_err(wrong);
            assert!(error.contains("expected something like servers=9"), "{error}");
        }
    }

    #[test]
    fn what_is_given_is_given_again_as_a_shell_takes_it() {
        let given = Given {
            defect: Some("minority-quorum".to_owned()),
            set: vec!["servers=9".parse().expect("well formed")],
            plan: Some("it's here.toml".into()),
            inbox: None,
            all_faults: true,
        };
        let line =
            r" --defect minority-quorum --set servers=9 --plan 'it'\''s here.toml' --all-faults";
        assert_eq!(given.line(), line);
        assert_eq!(Given::default().line(), "");
    }
}
