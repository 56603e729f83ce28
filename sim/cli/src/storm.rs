//! `mailstorm storm`: many seeds, each a different storm, and the sum of them.

use crate::aftermath;
use crate::args::StormArguments;
use crate::failure::{ExitCode, Failure};
use crate::given::{find, quoted};
use crate::inbox;
use crate::progress::Progress;
use crate::results::{self, deed, place, tell_next, tell_people, write_all, write_json};
use crate::scenario_file::ScenarioFile;
use crate::shrink;
use crate::verify::{Asking, Verifier};
use mailstorm_record::TraceHash;
use mailstorm_record::time::moment;
use mailstorm_record::{Plan, Run, Settings};
use mailstorm_reports::{
    Deed, Ended, Part, RecordFile, Results, Shard, Summary, Tally, Terms, WallClock,
};
use mailstorm_scenarios::lessons::SEED;
use mailstorm_shared::StateHasher;
use mailstorm_shared::defect::Defect;
use mailstorm_world::{Guided, RunSpec, Scenario};
use std::collections::BTreeMap;
use std::fs;
use std::ops::{ControlFlow, RangeInclusive};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Violations told while the sweep goes on; all are in the summary.
const TOLD_AT_ONCE_MAX: u64 = 3;
/// Runs with a violation that are written to files, per scenario; the first of each kind always is.
const WRITTEN_MAX: u64 = 100;

/// The record of a run, in its folder.
const RECORD: &str = "run.json";

/// Storms, sums up, and says how it ended.
pub(crate) fn storm(arguments: &StormArguments) -> Result<ExitCode, Failure> {
    let given = &arguments.given;
    if arguments.verify.0 > 0 {
        inbox::expect_readable_twice(
            given.inbox.as_deref(),
            "the second process of --verify reads",
        )?;
    }
    let inbox = given.open_inbox()?;
    let (defect, settings) = (given.planted()?, given.settings());
    let jobs = arguments.jobs.map_or_else(processors, usize::from);
    // Everything that can be wrong is looked at before the first run.
    let mut sweeps = Vec::new();
    for name in &arguments.scenarios {
        let file = Path::new(name).is_file() || name.ends_with(".toml");
        let file = file.then(|| ScenarioFile::read(name, given, inbox.as_ref())).transpose()?;
        let (scenario, plan) = match &file {
            Some(file) => (file.workload.clone(), file.plan.clone()),
            None => {
                let scenario = find(&given.full_name(name), inbox.as_ref(), &settings)?;
                let plan = given.plan_for(&scenario)?;
                (scenario, plan)
            }
        };
        let firsts = Vec::new();
        let left_out = inbox::left_out(&scenario, inbox.as_ref());
        let sweep =
            Sweep { scenario, plan, file, defect, jobs, arguments, firsts, surprises: 0, left_out };
        expect_seeds(arguments.shard, &sweep.seeds())?;
        sweeps.push(sweep);
    }
    for Sweep { scenario, plan, .. } in sweeps.iter().filter(|_| arguments.guided) {
        if plan.is_some() || scenario.plan().is_some() {
            return Err(Failure::new(format!(
                "'{}' has a plan, which a guided storm would not keep: storm it without --guided",
                scenario.name()
            )));
        }
    }
    expect_writable(&arguments.out, arguments.json.as_deref())?;
    results::forget(&arguments.out)?;
    let json = arguments.json.as_deref();
    let scenarios = sweeps.iter().map(|sweep| &sweep.scenario);
    let told = inbox.as_ref().and_then(|inbox| inbox::told_of_storm(inbox, scenarios));
    if let Some(told) = told {
        if is_terminal(json) { crate::tell(told.trim_end()) } else { crate::print(&told)? }
    }
    let folder = arguments.out.display().to_string();
    let mut results = Results::new(arguments.shard);
    let mut ended = Vec::new();
    for mut sweep in sweeps {
        let part = sweep.run()?;
        results.scenarios.push(part);
        if !sweep.firsts.is_empty() {
            // What takes long may not end: what is known is on disk before it. Whatever cannot be written
            // now is tried again, and then complained of.
            let _ = write_all(&arguments.out, &results);
            let part = results.scenarios.last_mut().expect("it was just put there");
            aftermath::examine(&sweep, part);
        }
        let part = results.scenarios.last().expect("it was just put there");
        let summary = part.summary(arguments.shard, &folder);
        tell_people(json, &summary, &sweep.deed())?;
        ended.push(sweep.ended(&summary)?);
    }
    let summaries = results.summaries(&folder);
    let code = results::code(ended);
    // Whatever cannot be written, the rest is.
    let written = write_all(&arguments.out, &results);
    if written.is_ok() {
        tell_next(json, &summaries, &arguments.out)?;
    }
    write_json(json, summaries)?;
    written?;
    Ok(code)
}

/// A shard that has nothing to do was cut too small.
fn expect_seeds(shard: Shard, seeds: &RangeInclusive<u64>) -> Result<(), Failure> {
    if shard.seeds(*seeds.start()).next().is_some_and(|first| first <= *seeds.end()) {
        return Ok(());
    }
    let count = (seeds.end() - seeds.start()).saturating_add(1);
    Err(Failure::new(format!(
        "shard {shard} of {count} seeds has none: ask for more with --seeds, or for fewer shards"
    )))
}

/// Makes the places for the results, so that nobody learns only after hours that there are none.
pub(crate) fn expect_writable(out: &Path, json: Option<&Path>) -> Result<(), Failure> {
    fs::create_dir_all(out).map_err(|error| Failure::writing(out, &error))?;
    // That a folder is there does not say that anything can be put into it.
    let probe = out.join(".mailstorm");
    write(&probe, b"")?;
    fs::remove_file(&probe).map_err(|error| Failure::writing(&probe, &error))?;
    let Some(file) = json.filter(|file| !is_terminal(Some(file))) else { return Ok(()) };
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
    if is_terminal(Some(file)) { crate::print_as_it_is(text) } else { write(file, text.as_bytes()) }
}

/// One job per processor.
pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The seeds of one scenario.
pub(crate) struct Sweep<'a> {
    pub scenario: Arc<dyn Scenario>,
    plan: Option<Plan>,
    /// The file that says what is run, if it is one.
    file: Option<ScenarioFile>,
    defect: Option<Defect>,
    pub jobs: usize,
    pub arguments: &'a StormArguments,
    /// The first run of each kind of violation that nobody expects, in the order of their seeds.
    pub firsts: Vec<Run>,
    /// How many runs were not as the file expects.
    surprises: u64,
    /// What was left out of the inbox, by reason.
    left_out: BTreeMap<String, u64>,
}

impl Sweep<'_> {
    fn run(&mut self) -> Result<Part, Failure> {
        let goals = self.scenario.goals().into_iter().map(|goal| goal.name.to_owned());
        let mut tally = Tally::new(self.scenario.name(), goals)
            .as_it_comes(self.is_as_it_comes())
            .guided(self.arguments.guided)
            .replayed_with(self.replay_options());
        let (first, last) = self.seeds().into_inner();
        let shard = self.arguments.shard;
        let is_endless = self.arguments.time.is_some();
        let total = (!is_endless)
            .then(|| ((last - first - (shard.index - 1)) / shard.of).saturating_add(1));
        let mut progress = Progress::new(self.scenario.name(), total);
        let mut verifier = self.verifier()?;
        let orders = verifier.as_ref().map(Verifier::orders);
        let is_verified = |seed: u64| (seed - first) / shard.of < self.arguments.verify.0;
        let until = if is_endless { u64::MAX } else { last };
        let seeds = shard.seeds(first).take_while(|seed| *seed <= until);
        let specs = seeds.map(|seed| self.spec(seed));
        let mut failure = None;
        let (mut firsts, mut surprises) = (Vec::new(), 0);
        let expect = self.file.as_ref().and_then(|file| file.expect.as_ref());
        let mut runs_since_new = 0;
        let tell = |run: Run| {
            let is_new = tally.add(&run);
            runs_since_new = if is_new { 0 } else { runs_since_new + 1 };
            progress.step(&tally);
            if run.outcome.violations().next().is_some() {
                if tally.is_first_of_its_kind(run.seed) && expect.is_none() {
                    let groups = tally.groups_mut().values_mut();
                    let its = groups.filter(|group| group.first_seed == run.seed);
                    its.for_each(|group| group.record = self.record(&run));
                    firsts.push(run.clone());
                }
                failure = self.note_violation(&run, &tally, &progress).err();
            }
            if let Some(missed) = expect.and_then(|expect| expect.missed_by(&run)) {
                surprises += 1;
                if surprises <= TOLD_AT_ONCE_MAX {
                    let (name, seed) = (&run.scenario, run.seed);
                    let again = format!("{name} --seed {seed}{}", self.replay_options());
                    let told = format!("UNEXPECTED {name}  seed {seed}: {missed}");
                    progress.say(&format!("{told}\n  replay   mailstorm replay {again}"));
                }
            }
            if let Some(verifier) =
                verifier.as_mut().filter(|_| failure.is_none() && is_verified(run.seed))
            {
                let spec = RunSpec { plan: Some(run.plan.clone()), ..self.spec(run.seed) };
                match verifier.check(&spec, &run, &self.folder(&run)) {
                    Ok(difference) => {
                        tally.note_verified(difference.is_none());
                        difference.iter().for_each(|difference| progress.say(difference));
                    }
                    Err(error) => failure = Some(error),
                }
            }
            let is_over = self.arguments.time.is_some_and(|time| progress.elapsed() >= time);
            let is_stale = self.arguments.stale.is_some_and(|n| runs_since_new >= n);
            if is_stale {
                progress.say(&format!(
                    "{}: stopped after seed {}: {runs_since_new} seeds in a row came to nothing new",
                    run.scenario, run.seed
                ));
            }
            // A time that is over does not cut the seeds that were asked for by number.
            if failure.is_some()
                || is_stale
                || (is_over
                    && (last.saturating_sub(run.seed) < shard.of || self.arguments.seeds.is_none()))
            {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        if self.arguments.guided {
            let asking = Asking { source: Guided::new(specs), orders, is_verified };
            mailstorm_world::storm(asking, self.jobs, tell);
        } else {
            mailstorm_world::storm(Asking { source: specs, orders, is_verified }, self.jobs, tell);
        }
        progress.finish();
        (self.firsts, self.surprises) = (firsts, surprises);
        if let Some(verified) = verifier.as_ref().and_then(Verifier::summary) {
            crate::tell(&verified);
        }
        let wall = WallClock { wall_seconds: progress.elapsed().as_secs_f64(), jobs: self.jobs };
        let left_out = self.left_out.clone();
        let part = Part { terms: self.terms(), tally, wall, left_out };
        match failure {
            None => Ok(part),
            Some(failure) => {
                // What was found so far is not lost with what could not be done.
                if part.tally.runs() > 0 {
                    let folder = self.arguments.out.display().to_string();
                    let summary = part.summary(shard, &folder);
                    tell_people(self.arguments.json.as_deref(), &summary, &self.deed())?;
                }
                Err(failure)
            }
        }
    }

    /// What it does, for the first words of its sum.
    fn deed(&self) -> Deed {
        deed(&*self.scenario, self.plan.is_none() && self.scenario.plan().is_none())
    }

    /// How it ended: by its verdicts, or by what its file expects of them, which is told then.
    fn ended(&self, summary: &Summary) -> Result<Ended, Failure> {
        let expected = self.file.as_ref().filter(|file| file.expect.is_some());
        let Some(file) = expected.filter(|_| summary.ended() != Ended::NotDeterministic) else {
            return Ok(summary.ended());
        };
        let (name, runs, surprises) = (&file.name, summary.seeds, self.surprises);
        let about = file.about.as_ref().map(|about| format!(" ({about})")).unwrap_or_default();
        let line = format!("{name}{about}: {} of {runs} runs as expected", runs - surprises);
        if is_terminal(self.arguments.json.as_deref()) {
            crate::tell(&line);
        } else {
            crate::print(&format!("{line}\n"))?;
        }
        Ok(if surprises == 0 { Ended::Pass } else { Ended::Violation })
    }

    /// Which seeds are asked for.
    fn seeds(&self) -> RangeInclusive<u64> {
        /// Of a storm of which nothing else is said.
        const STORMS: RangeInclusive<u64> = 1..=200;
        let asked = self.arguments.seeds.as_ref().map(|seeds| seeds.0.clone());
        let written = || self.file.as_ref().and_then(|file| file.seed).map(|seed| seed..=seed);
        let has_faults = self.plan.is_some() && self.file.is_some();
        let own = || (has_faults || self.scenario.plan().is_some()).then_some(SEED..=SEED);
        asked.or_else(written).or_else(own).unwrap_or(STORMS)
    }

    /// What every shard of this sweep runs.
    fn terms(&self) -> Terms {
        let seeds = self.seeds();
        let plan = self.plan.as_ref();
        Terms {
            scenario: self.scenario.name().to_owned(),
            seeds: (*seeds.start(), *seeds.end()),
            settings: Settings::of(&self.scenario.settings()),
            inbox: self.scenario.inbox(),
            defect: self.defect.map(|defect| defect.name().to_owned()),
            plan: plan.map(|plan| TraceHash(StateHasher::of(&plan.to_toml()))),
            all_faults: self.arguments.given.all_faults,
        }
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

    /// Whether the storms are those that the scenario's goals were made for.
    fn is_as_it_comes(&self) -> bool {
        let given = &self.arguments.given;
        self.plan.is_none() && given.set.is_empty() && given.inbox.is_none()
    }

    /// Tells of a violation and writes the run down, so that the evidence is there whatever happens next.
    fn note_violation(&self, run: &Run, tally: &Tally, progress: &Progress) -> Result<(), Failure> {
        if tally.violations() <= TOLD_AT_ONCE_MAX
            && let Some(violation) = run.outcome.violations().next()
        {
            // In full it is told at the end: on the way it is to be seen at once that there is one.
            let (name, seed, at) = (&run.scenario, run.seed, moment(violation.at_ns));
            let what = format!("{}/{}", violation.checker, violation.kind);
            progress.say(&format!("{name}: seed {seed} breaks {what} at {at}"));
        }
        if tally.violations() <= WRITTEN_MAX || tally.is_first_of_its_kind(run.seed) {
            let folder = self.folder(run);
            write(&folder.join(RECORD), run.to_json().as_bytes())?;
            write(&folder.join("plan.toml"), run.plan.to_toml().as_bytes())?;
        }
        Ok(())
    }

    /// Where the run's record is, seen from the sweep's folder, if its plan is another than its seed draws.
    fn record(&self, run: &Run) -> Option<RecordFile> {
        let is_varied = run.plan != self.spec(run.seed).plan();
        is_varied.then(|| RecordFile {
            file: place(&run.scenario, run.seed, RECORD),
            options: shrink::options(self.arguments.given.inbox.as_deref()),
        })
    }

    /// What stands after `mailstorm replay` to see the run again.
    pub(crate) fn again(&self, run: &Run) -> String {
        match self.record(run) {
            Some(RecordFile { file, options }) => {
                let file = self.arguments.out.join(file);
                format!("{}{options}", quoted(&file.to_string_lossy()))
            }
            None => format!("{} --seed {}{}", run.scenario, run.seed, self.replay_options()),
        }
    }

    fn replay_options(&self) -> String {
        let given = self.arguments.given.with_digest(self.scenario.inbox());
        self.file.as_ref().map_or_else(|| given.line(), |file| file.replay_options(&given))
    }

    pub(crate) fn folder(&self, run: &Run) -> PathBuf {
        self.arguments.out.join(&run.scenario).join(run.seed.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Said {
        #[command(flatten)]
        storm: StormArguments,
    }

    #[test]
    fn a_run_is_seen_again_by_its_seed_or_by_its_record_if_its_plan_is_another() {
        let said = ["storm", "ensemble-3", "--guided", "--inbox", "in box", "--out", "there"];
        let arguments = Said::parse_from(said).storm;
        let scenario = find("ensemble-3", None, &Settings::default()).expect("it exists");
        let mut run = mailstorm_world::run(&RunSpec::new(scenario.clone(), 7));
        let (plan, defect, jobs, firsts) = (None, None, 1, Vec::new());
        let sweep = Sweep {
            scenario,
            plan,
            file: None,
            defect,
            jobs,
            arguments: &arguments,
            firsts,
            surprises: 0,
            left_out: BTreeMap::new(),
        };
        assert_eq!(sweep.again(&run), "ensemble-3 --seed 7 --inbox 'in box'");
        run.plan.faults.clear();
        assert_eq!(sweep.again(&run), "there/ensemble-3/7/run.json --inbox 'in box'");
    }
}
