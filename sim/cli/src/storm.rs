//! `mailstorm storm`: many seeds, each a different storm, and the sum of them.

use crate::args::{SEED_MAX, StormArguments};
use crate::artifact::{is_terminal, write};
use crate::failure::{ExitCode, Failure};
use crate::given::{find, quoted, quoted_path};
use crate::inbox;
use crate::progress::Progress;
use crate::results::{code, deed, place, tell_next, tell_people, write_all, write_everything};
use crate::scenario_file::{Expect, ScenarioFile};
use crate::verify::{Asking, Verifier};
use crate::{aftermath, folder, interrupt, screen, shrink};
use mailstorm_record::TraceHash;
use mailstorm_record::{Plan, Run, Settings};
use mailstorm_reports::{
    Deed, Doubts, FromFile, Group, Part, RecordFile, Results, Resumption, Shard, Stop, Tally,
    Terms, WallClock, numbered,
};
use mailstorm_scenarios::lessons::SEED;
use mailstorm_shared::StateHasher;
use mailstorm_shared::defect::DefectId;
use mailstorm_shared::time_in_words::moment;
use mailstorm_world::{Guided, RunSpec, Scenario};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::ops::{ControlFlow, RangeInclusive};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

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
        let doubts = inbox::doubts(&scenario, inbox.as_ref());
        let sweep =
            Sweep { scenario, plan, file, defect, jobs, arguments, firsts, left_out, doubts };
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
    let names: Vec<String> = sweeps.iter().map(|sweep| sweep.name().to_owned()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    folder::expect_places(&names)?;
    let (out, json) = (&arguments.out, arguments.json.as_deref());
    if arguments.resume {
        folder::expect_begun(out)?;
    }
    let claim = folder::claim(out, json)?;
    interrupt::watch()?;
    let scenarios = sweeps.iter().map(|sweep| &sweep.scenario);
    let told = inbox.as_ref().and_then(|inbox| inbox::told_of_storm(inbox, scenarios));
    if let Some(told) = told {
        if is_terminal(json) { crate::tell(told.trim_end()) } else { crate::print(&told)? }
    }
    let mut results = Results::new(arguments.shard);
    let mut earlier = Vec::new();
    if arguments.resume {
        earlier = resumed(out, &sweeps)?;
        claim.forget_sums()?;
    } else {
        claim.clear(&names)?;
    }
    earlier.resize(sweeps.len(), None);
    let mut failed = Ok(());
    for (mut sweep, earlier) in sweeps.into_iter().zip(earlier) {
        let part = match &failed {
            Ok(()) => {
                let (part, ended) = sweep.run(earlier);
                failed = ended;
                part
            }
            Err(failure) => sweep.not_run(earlier, Stop::Failed(Failure::to_string(failure))),
        };
        results.scenarios.push(part);
        if !sweep.firsts.is_empty() && failed.is_ok() {
            // What takes long may not end: what is known is on disk before it. Whatever cannot be
            // written now is tried again, and then complained of.
            let _ = write_all(out, &results);
            let part = results.scenarios.last_mut().expect("it was just put there");
            failed = aftermath::examine(&sweep, part);
            if let Err(failure) = &failed {
                part.stopped.get_or_insert(Stop::Failed(failure.to_string()));
            }
        }
        let part = results.scenarios.last().expect("it was just put there");
        // Nothing is told of what had not begun when something failed.
        if part.tally.runs() > 0 || failed.is_ok() {
            failed =
                failed.and(tell_people(json, &part.summary(arguments.shard, out), &sweep.deed()));
        }
    }
    // Whatever cannot be written, the rest is.
    failed = failed.and(write_everything(out, json, &mut results));
    let is_stopped = results.scenarios.iter().any(|part| part.stopped.is_some());
    let summaries = results.summaries(out);
    if failed.is_ok() && !is_stopped {
        tell_next(json, &summaries, out)?;
    }
    // Who has stopped reading wants to be told nothing; and what a full disk did not take is not
    // there to go on with.
    let can_go_on = summaries.iter().any(|s| s.resumption == Resumption::Whole);
    if can_go_on && folder::holds_result_of(out, &results) && !screen::is_unread() {
        crate::tell(&format!("  resume   {}", as_typed(std::env::args_os().skip(1))));
    }
    failed?;
    Ok(code(results.ended()))
}

/// The command that goes on with a sweep that was typed so.
fn as_typed(words: impl Iterator<Item = OsString>) -> String {
    let mut words: Vec<OsString> = words.take_while(|word| word != "#").collect();
    if words.is_empty() {
        words.push("storm".into());
    }
    if !words.iter().any(|word| word == "--resume") {
        words.push("--resume".into());
    }
    words.iter().fold("mailstorm".to_owned(), |line, word| line + " " + &quoted(word))
}

/// What each of these sweeps came to before it was interrupted; they must be the ones that were.
fn resumed(out: &Path, sweeps: &[Sweep<'_>]) -> Result<Vec<Option<Part>>, Failure> {
    let earlier = folder::earlier_result(out)?;
    if earlier.scenarios.iter().any(|part| part.is_joined) {
        return Err(Failure::new(format!(
            "{} is the sum of shards, of which one has stopped: give --resume to that shard's storm, and merge \
             again",
            out.display()
        )));
    }
    let mut now = Results::new(earlier.shard);
    now.scenarios = sweeps.iter().map(Sweep::nothing_yet).collect();
    now.shard = sweeps.first().map_or(Shard::WHOLE, |sweep| sweep.arguments.shard);
    let shards = (earlier.shard, now.shard);
    let other_shard = || Some(format!("shard {} and {}", shards.0, shards.1));
    let other = earlier.difference(&now);
    if let Some(what) = other.or_else(|| (shards.0 != shards.1).then(other_shard)?) {
        return Err(Failure::new(format!(
            "{} holds another storm: {what}; give the options of that one, or storm without --resume",
            out.display()
        )));
    }
    Ok(earlier.scenarios.into_iter().map(Some).collect())
}

/// A shard that has nothing to do was cut too small.
fn expect_seeds(shard: Shard, seeds: &RangeInclusive<u64>) -> Result<(), Failure> {
    if shard.count(seeds) > 0 {
        return Ok(());
    }
    let count = (seeds.end() - seeds.start()).saturating_add(1);
    Err(Failure::new(format!(
        "shard {shard} of {} has none: ask for more with --seeds, or for fewer shards",
        numbered(count, "seed")
    )))
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
    defect: Option<DefectId>,
    pub jobs: usize,
    pub arguments: &'a StormArguments,
    /// The first run of each kind of violation, in the order of their seeds, if they are examined.
    pub firsts: Vec<Run>,
    /// What was left out of the inbox, by reason.
    left_out: BTreeMap<String, u64>,
    doubts: Doubts,
}

impl Sweep<'_> {
    /// What the sweep is called: as its scenario, or as the file says.
    pub(crate) fn name(&self) -> &str {
        self.file.as_ref().map_or_else(|| self.scenario.name(), |file| &file.name)
    }

    /// Nothing has been run.
    fn nothing_yet(&self) -> Part {
        let goals = self.scenario.goals().into_iter().map(|goal| goal.name.to_owned());
        let tally = Tally::new(self.name(), goals)
            .as_it_comes(self.is_as_it_comes())
            .guided(self.arguments.guided)
            .from_file(self.of_file())
            .replayed_with(self.replay_options());
        let wall = WallClock { wall_seconds: 0.0, jobs: self.jobs };
        Part {
            terms: self.terms(),
            tally,
            wall,
            left_out: self.left_out.clone(),
            doubts: self.doubts,
            asked: self.asked(),
            stopped: None,
            is_joined: false,
        }
    }

    /// How many seeds are asked for; none if it goes on until its time is over.
    fn asked(&self) -> Option<u64> {
        let is_endless = self.arguments.time.is_some();
        (!is_endless).then(|| self.arguments.shard.count(&self.seeds()))
    }

    /// Whether the first run of each kind of violation gets a page and a case: not where a file
    /// says what every run is to show.
    fn examines(&self) -> bool {
        self.file.as_ref().is_none_or(|file| file.expect.is_none())
    }

    /// What came of it before, and nothing more.
    fn not_run(&self, earlier: Option<Part>, stop: Stop) -> Part {
        let mut part = earlier.unwrap_or_else(|| self.nothing_yet());
        if part.stopped.is_some() || part.tally.runs() == 0 {
            part.stopped = Some(stop);
        }
        part
    }

    /// Runs its seeds, or those that are left of an earlier sweep. Says what could not be done, if
    /// it ended so.
    fn run(&mut self, mut earlier: Option<Part>) -> (Part, Result<(), Failure>) {
        if let Some(part) = &earlier {
            if let Err(failure) = self.write_again(part) {
                return (self.not_run(earlier, Stop::Failed(failure.to_string())), Err(failure));
            }
            self.firsts = self.not_examined(part);
        }
        if let Some(part) = earlier.as_mut().filter(|part| part.stopped == Some(Stop::Unexamined)) {
            part.stopped = None;
        }
        let is_done = earlier.as_ref().is_some_and(|part| part.stopped.is_none());
        if interrupt::is_asked() || is_done {
            return (self.not_run(earlier, Stop::Interrupted), Ok(()));
        }
        let Part { mut tally, wall: before, .. } = earlier.unwrap_or_else(|| self.nothing_yet());
        let mut firsts = std::mem::take(&mut self.firsts);
        let mut verifier = match self.verifier() {
            Ok(verifier) => verifier,
            Err(failure) => {
                let stopped = Some(Stop::Failed(failure.to_string()));
                let part = Part { tally, wall: before, stopped, ..self.nothing_yet() };
                return (part, Err(failure));
            }
        };
        let (first, last) = self.seeds().into_inner();
        let shard = self.arguments.shard;
        let is_endless = self.arguments.time.is_some();
        let mut progress = Progress::new(self.name(), self.asked(), &tally);
        let orders = verifier.as_ref().map(Verifier::orders);
        // Those before it have been run.
        let begin = tally.last_seed().map_or(0, |seed| seed.saturating_add(1));
        let time_left = self.arguments.time.map(|time| {
            time.saturating_sub(
                Duration::try_from_secs_f64(before.wall_seconds).unwrap_or_default(),
            )
        });
        let is_verified = |seed: u64| (seed - first) / shard.of < self.arguments.verify.0;
        let until = if is_endless { SEED_MAX } else { last };
        let seeds = shard.seeds(first).skip_while(move |seed| *seed < begin);
        let seeds = seeds.take_while(move |seed| *seed <= until);
        let specs = seeds.map(|seed| self.spec(seed));
        let (mut failure, mut is_interrupted) = (None, false);
        let mut surprises = 0;
        let expect = self.file.as_ref().and_then(|file| file.expect.as_ref());
        let mut runs_since_new = tally.runs_since_new(shard.of);
        let tell = |run: Run| {
            let is_new = tally.add(&run);
            runs_since_new = if is_new { 0 } else { runs_since_new + 1 };
            progress.step(&tally);
            if run.outcome.violations().next().is_some() {
                if tally.is_first_of_its_kind(run.seed) {
                    let groups = tally.groups_mut().values_mut();
                    let its = groups.filter(|group| group.first_seed == run.seed);
                    its.for_each(|group| group.record = self.record(&run));
                    firsts.extend(self.examines().then(|| run.clone()));
                }
                self.tell_violation(&run, &tally, &progress);
                failure = self.write_evidence(&run, &tally).err();
            }
            if let Some(missed) = expect.and_then(|expect| expect.missed_by(&run)) {
                surprises += 1;
                tally.note_surprise(&run, &missed);
                if surprises <= TOLD_AT_ONCE_MAX {
                    let (name, seed) = (self.name(), run.seed);
                    let again = format!("{} --seed {seed}{}", run.scenario, self.replay_options());
                    let told = format!("UNEXPECTED {name}  seed {seed}: {missed}");
                    progress.say(&format!("{told}\n  replay   mailstorm replay {again}"));
                }
            }
            if let Some(verifier) = verifier.as_mut().filter(|_| is_verified(run.seed)) {
                let spec = RunSpec { plan: Some(run.plan.clone()), ..self.spec(run.seed) };
                match verifier.check(&spec, &run, &self.folder(&run)) {
                    Ok(difference) => {
                        tally.note_verified(difference.is_none());
                        difference.iter().for_each(|difference| progress.say(difference));
                    }
                    Err(error) => _ = failure.get_or_insert(error),
                }
            }
            let is_over = time_left.is_some_and(|time| progress.elapsed() >= time);
            let is_stale = self.arguments.stale.is_some_and(|n| runs_since_new >= n);
            if is_stale {
                progress.say(&format!(
                    "{}: stopped after seed {}: {} in a row came to nothing new",
                    self.name(),
                    run.seed,
                    numbered(runs_since_new, "seed")
                ));
            }
            // Who asks after the last seed interrupts nothing.
            let is_last = !is_endless && last.saturating_sub(run.seed) < shard.of;
            is_interrupted = interrupt::is_asked() && !is_last && !is_stale;
            // A time that is over does not cut the seeds that were asked for by number.
            if failure.is_some()
                || is_interrupted
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
        if let Some(verified) = verifier.as_ref().and_then(Verifier::summary) {
            crate::tell(&verified);
        }
        self.firsts = firsts;
        let wall_seconds = before.wall_seconds + progress.elapsed().as_secs_f64();
        let wall = WallClock { wall_seconds, jobs: self.jobs };
        let failed = failure.as_ref().map(|failure| Stop::Failed(failure.to_string()));
        let stopped = failed.or(is_interrupted.then_some(Stop::Interrupted));
        (Part { tally, wall, stopped, ..self.nothing_yet() }, failure.map_or(Ok(()), Err))
    }

    /// What it does, for the first words of its sum.
    fn deed(&self) -> Deed {
        deed(&*self.scenario, self.plan.is_none() && self.scenario.plan().is_none())
    }

    /// The first runs of an earlier sweep's kinds of violations of which no page was made, or whose
    /// shrink was interrupted, as far as their records can be read.
    fn not_examined(&self, part: &Part) -> Vec<Run> {
        if !self.examines() {
            return Vec::new();
        }
        let is_cut = |group: &Group| group.shrunk.as_ref().is_some_and(|run| run.is_interrupted);
        let groups = part.tally.groups().values();
        let groups = groups.filter(|group| group.report.is_none() || is_cut(group));
        let seeds: BTreeSet<u64> = groups.map(|group| group.first_seed).collect();
        let record = |seed: u64| self.arguments.out.join(place(self.name(), seed, RECORD));
        let text = seeds.into_iter().filter_map(|seed| fs::read_to_string(record(seed)).ok());
        text.filter_map(|text| Run::parse(&text).ok()).collect()
    }

    /// The scenario's file, as the results tell of it.
    fn of_file(&self) -> Option<FromFile> {
        self.file.as_ref().map(|file| FromFile {
            workload: self.scenario.name().to_owned(),
            storm: self.storm_of_file(file),
            about: file.about.clone(),
            expect: file.expect.as_ref().map(Expect::to_be_shown),
        })
    }

    /// What stands after `mailstorm storm` to run the file again.
    fn storm_of_file(&self, file: &ScenarioFile) -> String {
        let given = &self.arguments.given;
        let variant = given.variant.as_ref().map(|name| format!(" --variant {}", quoted(name)));
        format!("{}{}{}", quoted_path(file.file()), variant.unwrap_or_default(), given.line())
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
            scenario: self.name().to_owned(),
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
        let is_plain = self.file.as_ref().is_none_or(ScenarioFile::is_plain);
        is_plain && self.plan.is_none() && given.set.is_empty() && given.inbox.is_none()
    }

    /// Tells of a violation while the sweep goes on, if there are few.
    fn tell_violation(&self, run: &Run, tally: &Tally, progress: &Progress) {
        if tally.violations() <= TOLD_AT_ONCE_MAX
            && let Some(violation) = run.outcome.violations().next()
        {
            // In full it is told at the end: on the way it is to be seen at once that there is one.
            let (name, seed, at) = (self.name(), run.seed, moment(violation.at_ns));
            progress.say(&format!("{name}: seed {seed} breaks {} at {at}", violation.name()));
        }
    }

    /// Writes a run with a violation down at once, so that the evidence is there whatever happens
    /// next.
    fn write_evidence(&self, run: &Run, tally: &Tally) -> Result<(), Failure> {
        if tally.violations() <= WRITTEN_MAX || tally.is_first_of_its_kind(run.seed) {
            let folder = self.folder(run);
            write(&folder.join(RECORD), run.to_json().as_bytes())?;
            write(&folder.join("plan.toml"), run.plan.to_toml().as_bytes())?;
        }
        Ok(())
    }

    /// Writes down what a full disk did not take of the last run of an earlier sweep. Those before
    /// it have been written, and the sweep went no further.
    fn write_again(&self, part: &Part) -> Result<(), Failure> {
        let (Some(Stop::Failed(_)), Some(seed)) = (&part.stopped, part.tally.last_seed()) else {
            return Ok(());
        };
        let run = mailstorm_world::run(&self.spec(seed));
        let is_broken = run.outcome.violations().next().is_some();
        if is_broken { self.write_evidence(&run, &part.tally) } else { Ok(()) }
    }

    /// Where the run's record is, seen from the sweep's folder, if its plan is another than its
    /// seed draws.
    fn record(&self, run: &Run) -> Option<RecordFile> {
        let is_varied = run.plan != self.spec(run.seed).plan();
        is_varied.then(|| RecordFile {
            file: place(self.name(), run.seed, RECORD),
            options: shrink::options(self.arguments.given.inbox.as_deref()),
        })
    }

    /// What stands after `mailstorm replay` to see the run again.
    pub(crate) fn again(&self, run: &Run) -> String {
        match self.record(run) {
            Some(RecordFile { file, options }) => {
                let file = self.arguments.out.join(file);
                format!("{}{options}", quoted_path(file))
            }
            None => format!("{} --seed {}{}", run.scenario, run.seed, self.replay_options()),
        }
    }

    fn replay_options(&self) -> String {
        let given = self.arguments.given.with_digest(self.scenario.inbox());
        self.file.as_ref().map_or_else(|| given.line(), |file| file.replay_options(&given))
    }

    pub(crate) fn folder(&self, run: &Run) -> PathBuf {
        self.arguments.out.join(self.name()).join(run.seed.to_string())
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
            left_out: BTreeMap::new(),
            doubts: Doubts::default(),
        };
        assert_eq!(sweep.again(&run), "ensemble-3 --seed 7 --inbox 'in box'");
        run.plan.faults.clear();
        assert_eq!(sweep.again(&run), "there/ensemble-3/7/run.json --inbox 'in box'");
    }
}
