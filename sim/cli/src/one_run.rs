//! One run: of a scenario and a seed, or of the file of a record or a case, with whatever else is
//! given.
//!
//! Holds: what is printed for a replay makes the same run again. Start at [`OneRun`].

use crate::args::SEED_MAX;
use crate::failure::Failure;
use crate::given::{Given, find, quoted_path};
use crate::museum::find_defect;
use crate::scenario_file::ScenarioFile;
use clap::Args;
use mailstorm_mail::inbox::Inbox;
use mailstorm_record::case::VERSION;
use mailstorm_record::{Case, InboxMark, Plan, Run, Settings, TraceHash};
use mailstorm_scenarios::lessons::SEED;
use mailstorm_shared::defect::DefectId;
use mailstorm_shared::harmless;
use mailstorm_world::{Recording, RunSpec, Scenario};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One run, as a command line names it.
#[derive(Clone, Debug, Args)]
pub(crate) struct OneRun {
    /// A scenario's name (then `--seed` is needed, but of a lesson), or the file of a run or a
    /// case: `runs/mail-claims/42/run.json`, `case.toml`.
    #[arg(value_name = "SCENARIO|FILE")]
    pub what: OsString,
    /// The seed.
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(..=SEED_MAX))]
    pub seed: Option<u64>,
    /// What else is given; it has its way over what the file says.
    #[command(flatten)]
    pub given: Given,
}

impl OneRun {
    /// What stands after `mailstorm replay` to make this run again, which had this inbox.
    pub(crate) fn again(&self, inbox: Option<InboxMark>) -> String {
        let seed = self.seed.map(|seed| format!(" --seed {seed}")).unwrap_or_default();
        // A file knows its inbox.
        let is_file = Path::new(&self.what).is_file();
        let given = if is_file { self.given.clone() } else { self.given.with_digest(inbox) };
        format!("{}{seed}{}", quoted_path(self.full()), given.line())
    }

    /// The scenario with its variant, or the file.
    fn full(&self) -> PathBuf {
        match self.given.variant {
            // Only a scenario has variants, and its name is text.
            Some(_) => self.given.full_name(&self.what.to_string_lossy()).into(),
            None => PathBuf::from(&self.what),
        }
    }

    /// Whether it is a file of the kind that people write.
    pub(crate) fn is_toml(&self) -> bool {
        Path::new(&self.what).extension().is_some_and(|end| end == "toml")
    }

    /// Where a file about the run goes when nobody says: beside the file that it came from, or
    /// where a storm would have put it.
    pub(crate) fn beside(&self, scenario: &str, seed: u64, name: &str) -> PathBuf {
        let from = Path::new(&self.what);
        if from.is_file() {
            return from.with_file_name(name);
        }
        Path::new("runs").join(scenario).join(seed.to_string()).join(name)
    }

    /// The run.
    pub(crate) fn wanted(&self) -> Result<Wanted, Failure> {
        let Self { seed, given, .. } = self;
        let inbox = given.open_inbox()?;
        let defect = given.planted()?;
        let file = self.full();
        let name = file.to_string_lossy();
        let mut wanted = if file.is_file() {
            from_file(&file, *seed, given, inbox.as_ref())?
        } else {
            // No scenario has such a name, so it is meant to be a file.
            let is_path = name.matches(['/', '\\']).count() > 1 || file.is_dir();
            if is_path || name.ends_with(".json") || name.ends_with(".toml") {
                let wrong = if file.is_dir() { "is a folder" } else { "does not exist" };
                return Err(Failure::new(format!(
                    "{name} {wrong}: give the run.json that 'mailstorm storm' wrote, a case, or a scenario \
                     and --seed S"
                )));
            }
            let scenario = find(&name, inbox.as_ref(), &given.settings())?;
            let own = scenario.plan().map(|_| SEED);
            let Some(seed) = seed.or(own) else {
                return Err(Failure::new(format!(
                    "which seed of '{name}'? add --seed S, or give the file of a run"
                )));
            };
            Wanted { scenario, seed, defect: None, plan: None, fingerprint: None, recorded: None }
        };
        if seed.is_some() || !given.is_nothing_but_inbox() {
            // What else is given makes another run of it.
            wanted.recorded = None;
        }
        wanted.defect = defect.or(wanted.defect);
        if let Some(plan) = given.plan_for(&wanted.scenario)? {
            wanted.plan = Some(plan);
        }
        if given.all_faults {
            wanted.plan = wanted.spec().with_every_fault().plan;
        }
        Ok(wanted)
    }
}

/// One run that is asked for.
pub(crate) struct Wanted {
    pub scenario: Arc<dyn Scenario>,
    pub seed: u64,
    pub defect: Option<DefectId>,
    /// None for what the seed draws.
    pub plan: Option<Plan>,
    /// What a case is kept for.
    pub fingerprint: Option<String>,
    /// The trace that its file tells of, if this is the version that wrote it, with the file's
    /// name.
    pub recorded: Option<(TraceHash, String)>,
}

impl Wanted {
    pub(crate) fn spec(&self) -> RunSpec {
        RunSpec {
            plan: self.plan.clone(),
            defect: self.defect,
            ..RunSpec::new(self.scenario.clone(), self.seed)
        }
    }

    /// Runs it, with this much recorded. A case leads with what it is kept for.
    pub(crate) fn run(&self, recording: Recording) -> Run {
        let mut run = mailstorm_world::run(&RunSpec { recording, ..self.spec() });
        run.outcome.lead_with(self.fingerprint.as_slice());
        run
    }
}

impl Wanted {
    /// That this is another run than the one that was recorded, if it is.
    pub(crate) fn differs_from(&self, run: &Run) -> Option<String> {
        let now = run.outcome.trace_hash;
        let (then, file) = self.recorded.as_ref().filter(|(then, _)| *then != now)?;
        Some(format!(
            "ANOTHER RUN than recorded: {file} has trace {then}, this one is {now}; they differ, so it was changed by \
             hand (then take its trace out) or made by another build of mailstorm {VERSION}"
        ))
    }
}

/// Whether the run has a violation that is known by this.
pub(crate) fn has(run: &Run, fingerprint: &str) -> bool {
    run.outcome.violations().any(|violation| violation.fingerprint() == fingerprint)
}

/// The run that a record or a case file tells of.
fn from_file(
    path: &Path,
    seed: Option<u64>,
    given: &Given,
    inbox: Option<&Inbox>,
) -> Result<Wanted, Failure> {
    let shown = path.to_string_lossy();
    let file = &*harmless(&shown);
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("cannot read {file}: {error}; check the path")))?;
    if ScenarioFile::is_one(&text) {
        let ScenarioFile { workload, plan, seed: own, .. } =
            ScenarioFile::parse(&text, file, given, inbox)?;
        let seed = seed.or(own).unwrap_or(SEED);
        return Ok(Wanted {
            scenario: workload,
            seed,
            defect: None,
            plan,
            fingerprint: None,
            recorded: None,
        });
    }
    let is_case = file.ends_with(".toml");
    let mut case = if is_case {
        Case::head(&text, file).map_err(|error| {
            Failure::new(format!("{error}; give a case, or a plan with --plan and a scenario"))
        })?
    } else {
        let run = Run::parse(&text).map_err(|error| {
            Failure::new(format!("{file}: {error}; give a run.json that 'mailstorm storm' wrote"))
        })?;
        let mut case = Case::of(&run);
        if !run.mailstorm.is_empty() && run.mailstorm != VERSION {
            crate::tell(&other_version(file, &run.mailstorm));
            case.trace = None;
        }
        case
    };
    case.settings.0.extend(given.settings().0);
    let of_this_file = |failure| Failure::new(format!("{file}: {failure}"));
    // Before its settings: how many mails there are depends on the inbox.
    let usual = find(&case.scenario, inbox, &Settings::default()).map_err(of_this_file)?;
    expect_inbox(file, case.inbox, &usual, given)?;
    let scenario = find(&case.scenario, inbox, &case.settings).map_err(of_this_file)?;
    if let Some(defect) = &case.defect {
        find_defect(defect.name()).map_err(of_this_file)?;
    }
    let names = scenario.topology().names();
    if is_case {
        let read = Case::read(&text, file, &names).map_err(|e| Failure::new(e.to_string()))?;
        if let Some(version) = read.other_version() {
            crate::tell(&other_version(file, version));
            case.trace = None;
        }
        case.plan = read.plan;
    } else {
        // A record may have been edited: its plan must still name this scenario's nodes.
        case.plan.check(&names).map_err(|(index, problem)| {
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
        recorded: case.trace.map(|trace| (trace, file.to_owned())),
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
