//! `mailstorm shrink`: a failing run cut down to the smallest case that fails in the same way.
//!
//! Owns: running the cases that the search proposes, its budget of time and runs, the case file,
//! what was refuted when it stopped before its end (a file beside it), and what is told. Leaves:
//! what is simpler, and in which order to try it, to `mailstorm_shrink`.
//! Holds: every case that is kept was run and showed a violation with the same fingerprint; with a
//! defect planted, the sound build does not show it. A case from which a search goes on is written
//! in its place.
//! Start at [`shrink`].

use crate::args::ShrinkArguments;
use crate::artifact::{self, is_terminal, put, write};
use crate::failure::{ExitCode, Failure};
use crate::given::{Given, quoted_path};
use crate::interrupt;
use crate::one_run::{OneRun, Wanted, has};
use crate::progress::Narrowing;
use crate::screen::show;
use crate::storm::processors;
use mailstorm_record::{Case, Run, Settings, Violation, spaced};
use mailstorm_reports::{numbered, verb};
use mailstorm_shared::harmless;
use mailstorm_shared::time_in_words::{measured, measured_seconds, moment};
use mailstorm_shrink::{Field, Refuted, Stopped, Tried, story};
use mailstorm_world::{Recording, RunSpec, Scenario, with_settings};
use serde::Serialize;
use std::fmt::Write;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What the smallest case of a run is called, beside the run's other files.
pub(crate) const CASE_FILE: &str = "case.toml";
/// The most runs of one search, whatever time it has.
pub(crate) const RUNS_MAX: u64 = 20_000;
/// How the file ends, beside a case, that holds what is known to be refuted.
const REFUTED: &str = "refuted";
/// Why a search stopped, as machines are told.
const SPENT: &str = "budget_spent";
const INTERRUPTED: &str = "interrupted";

/// Shrinks, tells the story, writes the case.
pub(crate) fn shrink(arguments: &ShrinkArguments) -> Result<ExitCode, Failure> {
    // What was found so far is the case, for who has waited long enough.
    interrupt::watch()?;
    let wanted = arguments.run.wanted()?;
    let file = arguments.out.clone().unwrap_or_else(|| case_file(&arguments.run, &wanted));
    let asked = Asked {
        wanted: &wanted,
        inbox: arguments.run.given.inbox.as_deref(),
        jobs: arguments.jobs.map_or_else(processors, usize::from),
        budget: Some(arguments.budget),
        runs_max: RUNS_MAX,
        from: Some(Path::new(&arguments.run.what)),
        file: &file,
    };
    let told = asked.shrink()?;
    if let Some(file) = &arguments.json {
        let mut json = serde_json::to_string_pretty(&told).expect("plain data with string keys");
        json.push('\n');
        put(file, &json)?;
    }
    if !is_terminal(arguments.json.as_deref()) {
        show(&told.text())?;
    }
    Ok(ExitCode::Violation)
}

/// Where the case goes when nobody says. One from which a search goes on becomes simpler in its
/// place.
fn case_file(run: &OneRun, wanted: &Wanted) -> PathBuf {
    let what = Path::new(&run.what);
    if run.is_toml() && what.with_extension(REFUTED).is_file() {
        return what.to_path_buf();
    }
    let name = match Path::new(&run.what).file_stem() {
        Some(stem) if run.is_toml() => {
            format!("{}-shrunk.toml", stem.to_string_lossy())
        }
        _ => CASE_FILE.to_owned(),
    };
    run.beside(wanted.scenario.name(), wanted.seed, &name)
}

/// What a replay of a case must be given besides its file.
pub(crate) fn options(inbox: Option<&Path>) -> String {
    Given { inbox: inbox.map(Path::to_path_buf), ..Given::default() }.line()
}

/// A shrink that is asked for.
pub(crate) struct Asked<'a> {
    pub wanted: &'a Wanted,
    pub inbox: Option<&'a Path>,
    pub jobs: usize,
    /// How long it searches at the most; none where the machine must not decide what comes out.
    pub budget: Option<Duration>,
    /// How many runs it makes at the most, whatever time it has.
    pub runs_max: u64,
    /// The case that it begins with, if it is one: a search may have ended there before its time.
    pub from: Option<&'a Path>,
    /// Where the case is written.
    pub file: &'a Path,
}

/// What came of a shrink.
#[derive(Debug, Serialize)]
pub(crate) struct Told {
    pub scenario: String,
    pub seed: u64,
    pub defect: Option<String>,
    pub fingerprint: String,
    /// The violation as the smallest case shows it.
    pub violation: Violation,
    pub faults_before: usize,
    pub faults_after: usize,
    /// One line per fault that is left, or one that says that there is none.
    pub story: Vec<String>,
    /// The settings that the case changes.
    pub settings: Settings,
    pub runs: u64,
    pub seconds: f64,
    /// Whether nothing simpler was left to try.
    pub is_smallest: bool,
    /// Why the search stopped before that: `budget_spent`, or `interrupted`.
    pub stopped: Option<&'static str>,
    /// How many simpler cases were not tried.
    pub untried: u64,
    /// The budget of time, if there is one.
    pub budget_seconds: Option<u64>,
    /// The budget of runs.
    pub runs_max: u64,
    /// The command that goes on with the search, if anything is left to try.
    pub go_on: Option<String>,
    /// The case, as it is written.
    pub case: String,
    pub file: PathBuf,
    /// The command that replays it.
    pub replay: String,
}

impl Asked<'_> {
    /// Searches, and writes the case.
    pub(crate) fn shrink(&self) -> Result<Told, Failure> {
        let wanted = self.wanted;
        let mut progress =
            Narrowing::new(format!("{} seed {}", wanted.scenario.name(), wanted.seed));
        let first = mailstorm_world::run(&wanted.spec());
        wanted.differs_from(&first).iter().for_each(|line| crate::tell(line));
        let fingerprint = self.fingerprint(&first)?;
        let mut start = Case::of(&first);
        // Each case that is tried is another run.
        start.trace = None;
        start.fingerprint = Some(fingerprint.clone());
        let base = with_settings(&wanted.scenario, &Settings::default())
            .expect("every scenario can have its own numbers");
        let field = Field {
            settings: base.settings(),
            names: &|settings| sized(&base, settings).topology().names(),
        };
        let (mut runs, mut faults) = (1, start.plan.faults.len());
        let known = self.refuted_before(&start, &first);
        let shrunk = mailstorm_shrink::shrink(start, &field, known, &mut |cases| {
            if runs >= self.runs_max {
                return Tried::Stopped { tried: 0, why: Stopped::BudgetSpent };
            }
            let mut tried = Tried::NoneKeepsIt;
            let mut place = 0;
            let specs = cases.iter().map(|case| spec(&base, case)).collect::<Vec<_>>();
            mailstorm_world::storm(specs.into_iter(), self.jobs, |run| {
                runs += 1;
                progress.step(runs, faults);
                if has(&run, &fingerprint) && !is_failing_anyway(&base, &run, &fingerprint) {
                    faults = run.plan.faults.len();
                    tried = Tried::Keeps(place);
                } else if interrupt::is_asked() {
                    tried = Tried::Stopped { tried: place + 1, why: Stopped::Interrupted };
                } else if self.budget.is_some_and(|budget| progress.elapsed() >= budget)
                    || runs >= self.runs_max
                {
                    tried = Tried::Stopped { tried: place + 1, why: Stopped::BudgetSpent };
                } else {
                    place += 1;
                    return ControlFlow::Continue(());
                }
                ControlFlow::Break(())
            });
            tried
        });
        progress.finish();
        let seconds = progress.elapsed().as_secs_f64();
        let last = RunSpec { recording: Recording::Faults, ..spec(&base, &shrunk.case) };
        let last = mailstorm_world::run(&last);
        let violation = last.outcome.violations().find(|v| v.fingerprint() == fingerprint).cloned();
        let Some(violation) = violation else {
            return Err(Failure::new(format!(
                "the shrunk case of {} seed {} showed {fingerprint} and does not show it again: check it with \
                 'mailstorm storm --verify all'",
                wanted.scenario.name(),
                wanted.seed
            )));
        };
        let file = self.file.to_path_buf();
        let mut story = story(&last);
        if story.is_empty() {
            story.push("nothing goes wrong from outside".to_owned());
        }
        let mut told = Told {
            scenario: shrunk.case.scenario.clone(),
            seed: shrunk.case.seed,
            defect: shrunk.case.defect.map(|defect| defect.name().to_owned()),
            fingerprint,
            violation,
            faults_before: first.plan.faults.len(),
            faults_after: shrunk.case.plan.faults.len(),
            story,
            settings: shrunk.case.settings.clone(),
            runs,
            seconds,
            is_smallest: shrunk.stopped.is_none(),
            stopped: shrunk.stopped.map(|why| match why {
                Stopped::BudgetSpent => SPENT,
                Stopped::Interrupted => INTERRUPTED,
            }),
            untried: shrunk.untried as u64,
            budget_seconds: self.budget.map(|budget| budget.as_secs()),
            runs_max: self.runs_max,
            go_on: shrunk
                .stopped
                .map(|_| format!("mailstorm shrink {}{}", quoted_path(&file), options(self.inbox))),
            case: String::new(),
            replay: format!("mailstorm replay {}{}", quoted_path(&file), options(self.inbox)),
            file,
        };
        let comment = |line: &str| format!("# {}\n", harmless(line));
        told.case = told.lines().iter().map(|line| comment(line)).collect();
        let case = Case { trace: Some(last.outcome.trace_hash), ..shrunk.case };
        told.case += &case.to_toml();
        write(&told.file, told.case.as_bytes())?;
        let beside = told.file.with_extension(REFUTED);
        if told.is_smallest {
            // What a search left that stopped before its end is of no more use.
            artifact::remove(&beside).map_err(|error| Failure::writing(&beside, &error))?;
        } else {
            let text = shrunk.refuted.to_text(&case, last.outcome.trace_hash);
            write(&beside, text.as_bytes())?;
        }
        Ok(told)
    }

    /// What an earlier search for this case has refuted, if one ended before its time.
    fn refuted_before(&self, start: &Case, first: &Run) -> Refuted {
        let file = self.from.map(|case| case.with_extension(REFUTED));
        let text = file.and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        Refuted::parse(&text, start, first.outcome.trace_hash)
    }

    /// What the case is to keep: the fingerprint it is kept for, or that of the run's first
    /// violation.
    fn fingerprint(&self, first: &Run) -> Result<String, Failure> {
        let (scenario, seed) = (&first.scenario, first.seed);
        let Some(violation) = first.outcome.violations().next() else {
            let failure = match &self.wanted.fingerprint {
                Some(lost) => {
                    format!("{lost} did not come again: {scenario} seed {seed} has no violation")
                }
                None => format!(
                    "{scenario} seed {seed} has no violation, so there is nothing to shrink"
                ),
            };
            return Err(Failure::new(format!(
                "{failure}; give a seed that fails, or --defect or --inbox if it was run with one"
            )));
        };
        match &self.wanted.fingerprint {
            None => Ok(violation.fingerprint()),
            Some(wanted) if has(first, wanted) => Ok(wanted.clone()),
            Some(wanted) => Err(Failure::new(format!(
                "{wanted} did not come again: {scenario} seed {seed} now shows {}; take `fingerprint` \
                 out of the file to shrink that",
                violation.fingerprint()
            ))),
        }
    }
}

/// Whether the case of a planted defect fails without the defect as well: then it tells nothing of
/// the defect. A storm that is too small for its work (one worker, a hundred mails) is of that
/// kind.
fn is_failing_anyway(base: &Arc<dyn Scenario>, run: &Run, fingerprint: &str) -> bool {
    let sound = Case { defect: None, ..Case::of(run) };
    run.defect.is_some() && has(&mailstorm_world::run(&spec(base, &sound)), fingerprint)
}

/// The scenario at this size.
fn sized(base: &Arc<dyn Scenario>, settings: &Settings) -> Arc<dyn Scenario> {
    with_settings(base, settings).expect("a search stays within the ranges of the settings")
}

fn spec(base: &Arc<dyn Scenario>, case: &Case) -> RunSpec {
    RunSpec {
        plan: Some(case.plan.clone()),
        defect: case.defect,
        ..RunSpec::new(sized(base, &case.settings), case.seed)
    }
}

impl Told {
    /// Whether somebody asked the search to end.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.stopped == Some(INTERRUPTED)
    }

    /// The story, and what it led to.
    fn lines(&self) -> Vec<String> {
        let Violation { at_ns, nodes, detail, .. } = &self.violation;
        let nodes: Vec<&str> = nodes.iter().map(|node| &*node.0).collect();
        let who = if nodes.is_empty() { String::new() } else { format!(" [{}]", nodes.join(", ")) };
        let mut lines = self.story.clone();
        let at = moment(*at_ns);
        lines.push(format!(
            "at {at} {}{who}: {}",
            self.violation.name(),
            detail.replace('\n', " ")
        ));
        lines
    }

    /// As a person reads it.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        self.write_text(&mut out).expect("writing to a string cannot fail");
        out
    }

    fn write_text(&self, out: &mut String) -> std::fmt::Result {
        let defect = self.defect.as_ref().map(|name| format!(" with {name}")).unwrap_or_default();
        writeln!(
            out,
            "SHRUNK     {} seed {}{defect}: {}",
            self.scenario, self.seed, self.fingerprint
        )?;
        for line in self.lines() {
            writeln!(out, "  {line}")?;
        }
        let settings: Vec<_> = self
            .settings
            .0
            .iter()
            .map(|(name, value)| format!("{} {value}", spaced(name)))
            .collect();
        if !settings.is_empty() {
            writeln!(out, "  of size  {}", settings.join(", "))?;
        }
        writeln!(
            out,
            "  faults   {} -> {}, {} of search, {}{}",
            self.faults_before,
            self.faults_after,
            measured_seconds(self.seconds),
            numbered(self.runs, "run"),
            if self.is_smallest { "; nothing simpler is left" } else { "" }
        )?;
        writeln!(out, "  case     {}", quoted_path(&self.file))?;
        writeln!(out, "  replay   {}", self.replay)?;
        let Some(go_on) = &self.go_on else { return Ok(()) };
        let stopped = match (self.stopped, self.budget_seconds) {
            (Some(INTERRUPTED), _) => "stopped  interrupted".to_owned(),
            (_, Some(seconds)) if self.runs < self.runs_max => {
                format!("budget   {} spent", measured(Duration::from_secs(seconds)))
            }
            _ => format!("budget   {} spent", numbered(self.runs_max, "run")),
        };
        let cases = numbered(self.untried, "simpler case");
        let were = verb(self.untried, "was", "were");
        writeln!(out, "  {stopped}: {cases} {were} not tried")?;
        writeln!(out, "  go on    {go_on}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::find;
    use mailstorm_coordination::defect::Defect;

    #[test]
    fn a_search_that_is_bounded_by_runs_comes_to_the_same_case_whatever_runs_at_the_same_time() {
        /// Less than the search takes to its end.
        const RUNS: u64 = 5;
        let wanted = Wanted {
            scenario: find("ensemble-3", None, &Settings::default()).expect("it exists"),
            seed: 1,
            defect: Some(Defect::MinorityQuorum.id()),
            plan: None,
            fingerprint: None,
            recorded: None,
        };
        let folder = tempfile::tempdir().expect("there is room");
        let file = folder.path().join(CASE_FILE);
        let told = |jobs, runs_max| {
            let (wanted, file, from) = (&wanted, &file, None);
            Asked { wanted, inbox: None, jobs, budget: None, runs_max, from, file }
                .shrink()
                .expect("the run fails")
        };
        let (one, four) = (told(1, RUNS), told(4, RUNS));
        assert_eq!((one.runs, one.stopped, &*one.case), (RUNS, Some(SPENT), &*four.case));
        assert_eq!((one.untried, &one.story), (four.untried, &four.story));
        assert!(one.text().contains("\n  budget   5 runs spent: "), "{}", one.text());
        let whole = told(2, RUNS_MAX);
        assert!(whole.is_smallest && whole.runs > RUNS, "{whole:?}");
    }
}
