//! After a sweep that found something: the first run of each kind of violation, shrunk and as a
//! page.
//!
//! Owns: which runs are examined, and how thoroughly. Leaves: shrinking to `shrink`, pages to
//! `report`.
//! Holds: what the sweep found is told whether this succeeds or not.
//! Start at [`examine`].

use crate::failure::Failure;
use crate::one_run::Wanted;
use crate::results::place;
use crate::storm::Sweep;
use crate::{interrupt, report, shrink};
use mailstorm_record::Run;
use mailstorm_reports::{Part, ShrunkRun, Stop};
use std::collections::BTreeSet;

/// Kinds of violations of which the first run gets a page, per scenario. Each takes a run and a
/// second.
const PAGES_MAX: usize = 10;
/// Kinds of violations of which the first run is shrunk, per scenario.
const SHRUNK_MAX: usize = 3;
/// How many runs the search for the smallest case makes at the most: about ten seconds on two quiet
/// processors. It is no time, since what a sweep leaves does not depend on the machine. `mailstorm
/// shrink` goes on from there.
const SHRINK_RUNS_MAX: u64 = 400;

/// Makes pages and cases of what the sweep found first, and notes in its result where they are.
/// Returns the first failure of writing one; the others are made all the same. What is not examined
/// because somebody asks for an end is when the sweep is resumed.
pub(crate) fn examine(sweep: &Sweep<'_>, part: &mut Part) -> Result<(), Failure> {
    let mut failed = Ok(());
    let firsts: BTreeSet<u64> =
        part.tally.groups().values().map(|group| group.first_seed).collect();
    // A sweep that is resumed examines what the whole one would.
    let rank = |run: &Run| firsts.range(..run.seed).count();
    for run in sweep.firsts.iter().filter(|run| rank(run) < PAGES_MAX) {
        if interrupt::is_asked() {
            part.stopped.get_or_insert(Stop::Unexamined);
            break;
        }
        let shown = Examined { sweep, run }.show(&sweep.again(run));
        let is_shown = shown.is_ok();
        failed = failed.and(shown);
        // A run that shows two kinds of violation shows them for one reason: one case is enough.
        let mut file_failed = Ok(());
        let fingerprint = run.outcome.violations().next().map(|violation| violation.fingerprint());
        let is_shrunk = rank(run) < SHRUNK_MAX && !sweep.arguments.no_shrink;
        let shrunk = fingerprint.as_ref().filter(|_| is_shrunk).and_then(|fingerprint| {
            match (Examined { sweep, run }).shrunk(fingerprint) {
                Ok(shrunk) => return Some(shrunk),
                Err(failure) if failure.is_of_writing() => file_failed = Err(failure),
                Err(failure) => complain(sweep, run, &failure),
            }
            None
        });
        // What is not whole counts as not examined, and is when the sweep is resumed.
        let is_shown = is_shown && file_failed.is_ok();
        failed = failed.and(file_failed);
        if shrunk.as_ref().is_some_and(|shrunk| shrunk.is_interrupted) {
            part.stopped.get_or_insert(Stop::Unexamined);
        }
        for (of, group) in part.tally.groups_mut() {
            if group.first_seed == run.seed {
                let place = |file| is_shown.then(|| place(sweep.name(), run.seed, file));
                (group.report, group.excerpt) = (place(report::FILE), place(report::EXCERPT));
                let is_it = fingerprint.as_ref() == Some(of);
                group.shrunk = shrunk.clone().filter(|_| is_it);
            }
        }
    }
    failed
}

fn complain(sweep: &Sweep<'_>, run: &Run, failure: &Failure) {
    crate::tell(&format!("note: not shrunk: {} seed {}: {failure}", sweep.name(), run.seed));
}

struct Examined<'a> {
    sweep: &'a Sweep<'a>,
    run: &'a Run,
}

impl Examined<'_> {
    /// Writes the run's page and its excerpt.
    fn show(&self, again: &str) -> Result<(), Failure> {
        report::write_all_of(&self.wanted(None), again, &self.sweep.folder(self.run))
    }

    /// Shrinks the run, and writes the case beside its record.
    fn shrunk(&self, fingerprint: &str) -> Result<ShrunkRun, Failure> {
        let inbox = self.sweep.arguments.given.inbox.as_deref();
        let asked = shrink::Asked {
            wanted: &self.wanted(Some(fingerprint.to_owned())),
            inbox,
            jobs: self.sweep.jobs,
            budget: None,
            runs_max: SHRINK_RUNS_MAX,
            from: None,
            file: &self.sweep.folder(self.run).join(shrink::CASE_FILE),
        };
        let told = asked.shrink()?;
        let is_interrupted = told.is_interrupted();
        Ok(ShrunkRun {
            file: place(self.sweep.name(), self.run.seed, shrink::CASE_FILE),
            options: shrink::options(inbox),
            faults: told.faults_after,
            story: told.story,
            untried: told.untried,
            is_interrupted,
            case: told.case,
        })
    }

    fn wanted(&self, fingerprint: Option<String>) -> Wanted {
        Wanted {
            scenario: self.sweep.scenario.clone(),
            seed: self.run.seed,
            defect: self.run.defect,
            plan: Some(self.run.plan.clone()),
            fingerprint,
            recorded: None,
        }
    }
}
