//! `mailstorm storm`: many seeds, each a different storm, and the sum of them.

use crate::aftermath;
use crate::args::StormArguments;
use crate::failure::{ExitCode, Failure};
use crate::given::{find, open_inbox, read_plan};
use crate::progress::Progress;
use crate::verify::Verifier;
use mailstorm_record::{Plan, Run, Setting, Settings};
use mailstorm_reports::{Summary, Tally, Totals, WallClock, markdown, text, violation_lines};
use mailstorm_shared::defect::Defect;
use mailstorm_world::{RunSpec, Scenario};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Violations told while the sweep goes on; all are in the summary.
const TOLD_AT_ONCE_MAX: u64 = 3;
/// From so many seeds on, a goal that was never reached counts: fewer storms may well miss one.
const GOALS_SEEDS_MIN: u64 = 200;
/// Runs with a violation that are written to files, per scenario.
const WRITTEN_MAX: u64 = 100;

/// Storms, sums up, and says how it ended.
pub(crate) fn storm(arguments: &StormArguments) -> Result<ExitCode, Failure> {
    let given = &arguments.given;
    let inbox = open_inbox(given.inbox.as_deref())?;
    let (defect, settings) = (given.planted()?, given.settings());
    let scenarios = arguments
        .scenarios
        .iter()
        .map(|name| find(name, inbox.as_ref(), &settings))
        .collect::<Result<Vec<_>, _>>()?;
    // Everything that can be wrong is looked at before the first run.
    let plans = scenarios
        .iter()
        .map(|scenario| given.plan.as_deref().map(|file| read_plan(file, scenario)).transpose())
        .collect::<Result<Vec<_>, _>>()?;
    expect_writable(arguments)?;
    let jobs = arguments.jobs.map_or_else(processors, usize::from);
    let mut summaries = Vec::new();
    let mut code = ExitCode::Pass;
    for (scenario, plan) in scenarios.into_iter().zip(plans) {
        let mut sweep = Sweep { scenario, plan, defect, jobs, arguments, firsts: Vec::new() };
        let (mut summary, swept) = sweep.run()?;
        aftermath::examine(&sweep, &mut summary);
        tell_people(arguments, &summary)?;
        code = worse(code, swept);
        summaries.push(summary);
    }
    // Whatever cannot be written, the rest is.
    let report = write(&arguments.out.join("summary.md"), markdown(&summaries).as_bytes());
    if let Some(file) = &arguments.json {
        let mut json = serde_json::to_string_pretty(&Totals::of(summaries))
            .expect("a summary is plain data with string keys");
        json.push('\n');
        put(file, &json)?;
    }
    report?;
    Ok(code)
}

/// Prints what there is to storm; of a scenario that is named, what its storms are to reach, too.
pub(crate) fn scenarios(name: Option<&str>) -> Result<ExitCode, Failure> {
    let all = match name {
        Some(name) => vec![find(name, None, &Settings::default())?],
        None => mailstorm_scenarios::all(None),
    };
    let width = all.iter().map(|scenario| scenario.name().len()).max().unwrap_or(0);
    let mut out = String::new();
    for scenario in &all {
        out += &format!("{:width$}  {}\n", scenario.name(), scenario.about());
        for Setting { name, about, default, min, max, .. } in scenario.settings() {
            out += &format!("{:width$}    --set {name}={default}  {about}, {min} to {max}\n", "");
        }
        let goals = name.map(|_| scenario.goals()).unwrap_or_default();
        for goal in goals {
            out += &format!("    {}: {}\n", goal.name, goal.about);
        }
    }
    crate::print(&out)?;
    Ok(ExitCode::Pass)
}

/// Prints a summary; beside the results for machines, if those have standard output to themselves.
fn tell_people(arguments: &StormArguments, summary: &Summary) -> Result<(), Failure> {
    if is_terminal(arguments.json.as_deref()) {
        crate::tell(text(summary).trim_end());
        return Ok(());
    }
    crate::print(&text(summary))
}

/// Makes the places for the results, so that nobody learns only after hours that there are none.
fn expect_writable(arguments: &StormArguments) -> Result<(), Failure> {
    fs::create_dir_all(&arguments.out).map_err(|error| Failure::writing(&arguments.out, &error))?;
    let Some(file) = arguments.json.as_deref().filter(|file| !is_terminal(Some(file))) else {
        return Ok(());
    };
    make_folder(file)
        .and_then(|()| fs::File::options().append(true).create(true).open(file).map(|_| ()))
        .map_err(|error| Failure::writing(file, &error))
}

pub(crate) fn is_terminal(file: Option<&Path>) -> bool {
    file == Some(Path::new("-"))
}

/// Makes the folder of a file.
fn make_folder(file: &Path) -> std::io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.map_or(Ok(()), fs::create_dir_all)
}

/// Writes a file whose folders may be missing.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    make_folder(path)
        .and_then(|()| fs::write(path, bytes))
        .map_err(|error| Failure::writing(path, &error))
}

/// Writes to a file, or to the terminal for `-`.
pub(crate) fn put(file: &Path, text: &str) -> Result<(), Failure> {
    if is_terminal(Some(file)) { crate::print(text) } else { write(file, text.as_bytes()) }
}

/// One job per processor.
pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What is worse of two ends: a run that cannot be repeated says nothing, a violation outweighs what
/// could not be told.
fn worse(left: ExitCode, right: ExitCode) -> ExitCode {
    let rank = |code| match code {
        ExitCode::Pass => 0,
        ExitCode::Unknown => 1,
        ExitCode::Violation => 2,
        ExitCode::Usage => 3,
        ExitCode::NotDeterministic => 4,
    };
    if rank(right) > rank(left) { right } else { left }
}

/// The seeds of one scenario.
pub(crate) struct Sweep<'a> {
    pub scenario: Arc<dyn Scenario>,
    plan: Option<Plan>,
    defect: Option<Defect>,
    pub jobs: usize,
    pub arguments: &'a StormArguments,
    /// The first run of each kind of violation, in the order of their seeds.
    pub firsts: Vec<Run>,
}

impl Sweep<'_> {
    fn run(&mut self) -> Result<(Summary, ExitCode), Failure> {
        let goals = self.scenario.goals().into_iter().map(|goal| goal.name.to_owned());
        let mut tally =
            Tally::new(self.scenario.name(), goals).replayed_with(self.replay_options());
        let seeds = self.arguments.seeds.0.clone();
        let (first, last) = (*seeds.start(), *seeds.end());
        let is_endless = self.arguments.time.is_some();
        let total = (!is_endless).then(|| (last - first).saturating_add(1));
        let mut progress = Progress::new(self.scenario.name(), total);
        let mut verifier = self.verifier()?;
        let orders = verifier.as_ref().map(Verifier::orders);
        let is_verified = |seed: u64| seed - first < self.arguments.verify.0;
        let specs = (first..=if is_endless { u64::MAX } else { last }).map(|seed| {
            let spec = self.spec(seed);
            if let Some(orders) = orders.as_ref().filter(|_| is_verified(seed)) {
                orders.send(&spec);
            }
            spec
        });
        let mut failure = None;
        let mut code = ExitCode::Pass;
        let mut firsts = Vec::new();
        mailstorm_world::storm(specs, self.jobs, |run| {
            tally.add(&run);
            progress.step(&tally);
            if run.outcome.violations().next().is_some() {
                if tally.is_first_of_its_kind(run.seed) {
                    firsts.push(run.clone());
                }
                failure = self.note_violation(&run, &tally, &progress).err();
            }
            if let Some(verifier) =
                verifier.as_mut().filter(|_| failure.is_none() && is_verified(run.seed))
            {
                match verifier.check(&self.spec(run.seed), &run, &self.folder(&run)) {
                    Ok(None) => {}
                    Ok(Some(difference)) => {
                        progress.say(&difference);
                        code = ExitCode::NotDeterministic;
                    }
                    Err(error) => failure = Some(error),
                }
            }
            let is_over = self.arguments.time.is_some_and(|time| progress.elapsed() >= time);
            let is_stale = self.arguments.stale.is_some_and(|n| tally.runs_since_new() >= n);
            if is_stale {
                progress.say(&format!(
                    "{}: stopped after seed {}: {} seeds in a row came to nothing new",
                    run.scenario,
                    run.seed,
                    tally.runs_since_new()
                ));
            }
            // A time that is over does not cut the seeds that were asked for by number.
            if failure.is_some()
                || is_stale
                || (is_over && (run.seed >= last || self.seeds_are_default()))
            {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        progress.finish();
        self.firsts = firsts;
        if let Some(verified) = verifier.as_ref().and_then(Verifier::summary) {
            crate::tell(&verified);
        }
        let wall = WallClock { wall_seconds: progress.elapsed().as_secs_f64(), jobs: self.jobs };
        let summary = tally.summary(wall);
        if let Some(failure) = failure {
            // What was found so far is not lost with what could not be done.
            if summary.seeds > 0 {
                tell_people(self.arguments, &summary)?;
            }
            return Err(failure);
        }
        let ended = if summary.violation > 0 {
            ExitCode::Violation
        } else if summary.unknown > 0 || self.misses_goals(&summary) {
            ExitCode::Unknown
        } else {
            ExitCode::Pass
        };
        Ok((summary, worse(code, ended)))
    }

    fn spec(&self, seed: u64) -> RunSpec {
        let spec = RunSpec {
            plan: self.plan.clone(),
            defect: self.defect,
            ..RunSpec::new(self.scenario.clone(), seed)
        };
        if self.arguments.given.all_faults { spec.with_every_fault() } else { spec }
    }

    /// The second process, if any seed is to be verified.
    fn verifier(&self) -> Result<Option<Verifier>, Failure> {
        let inbox = self.arguments.given.inbox.as_deref();
        let is_wanted = self.arguments.verify.0 > 0;
        is_wanted.then(|| Verifier::start(inbox, self.jobs)).transpose()
    }

    /// Whether a sweep that was long enough came nowhere near what it is made for: its pass is empty.
    fn misses_goals(&self, summary: &Summary) -> bool {
        summary.seeds >= GOALS_SEEDS_MIN
            && self.plan.is_none()
            && self.arguments.given.set.is_empty()
            && self.arguments.given.inbox.is_none()
            && (summary.goals_missed().next().is_some()
                || summary.faults_in_vain().next().is_some())
    }

    fn seeds_are_default(&self) -> bool {
        self.arguments.seeds.0 == crate::args::DEFAULT_SEEDS
    }

    /// Tells of a violation and writes the run down, so that the evidence is there whatever happens next.
    fn note_violation(&self, run: &Run, tally: &Tally, progress: &Progress) -> Result<(), Failure> {
        if tally.violations() <= TOLD_AT_ONCE_MAX {
            let trace = run.outcome.trace_hash.to_string();
            let again = format!("{} --seed {}{}", run.scenario, run.seed, self.replay_options());
            for violation in run.outcome.violations().take(1) {
                progress.say(&violation_lines(violation, run.seed, &again, &trace));
            }
        }
        if tally.violations() <= WRITTEN_MAX {
            let folder = self.folder(run);
            write(&folder.join("run.json"), run.to_json().as_bytes())?;
            write(&folder.join("plan.toml"), run.plan.to_toml().as_bytes())?;
        }
        Ok(())
    }

    fn replay_options(&self) -> String {
        self.arguments.given.line()
    }

    pub(crate) fn folder(&self, run: &Run) -> PathBuf {
        self.arguments.out.join(&run.scenario).join(run.seed.to_string())
    }
}
