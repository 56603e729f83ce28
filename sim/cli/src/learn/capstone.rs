//! The capstone: the whole mail system, with one of the wrong designs hidden in it. A failing seed and its
//! page are all there is; what is wrong is to be named.
//!
//! Owns: what can be hidden, and finding a seed that fails. Leaves: the mistakes themselves to the museum.
//! Holds: the same number hides the same thing; the page tells everything but its name.

use super::answers::{Answers, Asked};
use super::path::Path as LearningPath;
use super::{Graded, graded, say, wrapped, write_json};
use crate::args::LearnArguments;
use crate::failure::{ExitCode, Failure};
use crate::given::find;
use crate::report;
use crate::storm::{processors, write};
use mailstorm_record::{Run, Settings};
use mailstorm_reports::page::{Shown, page};
use mailstorm_reports::violation_lines;
use mailstorm_shared::defect::Defect;
use mailstorm_world::stream::Stream;
use mailstorm_world::{Recording, RunSpec, Scenario};
use serde::Serialize;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

/// What it is called.
pub(super) const NAME: &str = "capstone";

const SCENARIO: &str = "mail-claims";
/// The only question.
const KEY: &str = "cause";
/// Every cause that can be hidden shows itself in far fewer storms.
const SEEDS_MAX: u64 = 2_000;

/// A wrong design that can be hidden.
struct Cause {
    name: &'static str,
    about: &'static str,
    defect: Defect,
    why: &'static str,
}

/// What can be hidden.
const CAUSES: &[Cause] = &[
    Cause {
        name: "no-fence",
        about: "the sink takes results from whoever held the claim once",
        defect: Defect::LockWithoutFencing,
        why: "A worker that slept does not know that its claim was taken over. Only the sink can refuse it, by \
              the token: see mail-pause-no-fence.",
    },
    Cause {
        name: "half-a-quorum",
        about: "the servers take half of the ensemble for a majority",
        defect: Defect::MinorityQuorum,
        why: "Two halves share no server, so both can lead, and a write that half of them has is not in every \
              later leader: see quorum-half.",
    },
    Cause {
        name: "acknowledged-too-early",
        about: "a server acknowledges what its disk does not have yet",
        defect: Defect::AckBeforeSync,
        why: "A majority counts only if what it acknowledged survives a crash. A disk that says yes too early is \
              a server that lies: see quorum-lying-disk.",
    },
    Cause {
        name: "claim-without-version",
        about: "a worker takes a claim without looking whether it has changed since it was read",
        defect: Defect::ClaimWithoutVersion,
        why: "Between reading that a claim is free and taking it somebody else may have taken it. The write must \
              say which version it is about: see mail-claims.",
    },
    Cause {
        name: "ghost-claim",
        about: "a client whose create got no reply makes another znode",
        defect: Defect::OrphanedLock,
        why: "The first create was done; only its reply was lost. Its znode lives as long as the session and \
              stands in front of the second: see mail-ghost-claim.",
    },
    Cause {
        name: "attempt-noted-too-late",
        about: "a worker notes an attempt at a mail after it and not before it",
        defect: Defect::AttemptNotedAfter,
        why: "A mail that kills its worker is then never noted as tried, and kills the next one. What must be \
              known after a death is written before.",
    },
];

/// What came of it, for machines.
#[derive(Debug, Serialize)]
struct Taken {
    hidden: u64,
    scenario: &'static str,
    seed: u64,
    question: Graded,
    page: std::path::PathBuf,
}

/// Hides something, shows what it does, asks what it is.
pub(super) fn learn(arguments: &LearnArguments, folder: &Path) -> Result<ExitCode, Failure> {
    let Some(hidden) = arguments.hidden else {
        return Err(Failure::new(
            "which one? 'mailstorm learn capstone --hidden K' hides another mistake for each number K from 1",
        ));
    };
    let cause = cause(hidden);
    let choices: Vec<_> = CAUSES.iter().map(|cause| (cause.name, cause.about)).collect();
    let text = "What is wrong with it?";
    let asked = [Asked::choice(KEY, text, &choices)];
    let answers = Answers::given(&arguments.answer, &asked)?;
    say(
        arguments,
        &format!(
            "capstone --hidden {hidden}\n\n{}\n\n",
            wrapped(
                "The mail system: five servers, four workers, an inbox, and every e-mail to be processed exactly \
             once. One thing in it is built as it must not be."
            )
        ),
    )?;
    let mut run = failing(hidden, cause)?;
    // Its name would be the answer.
    run.defect = None;
    let again = format!("{SCENARIO} --seed {}", run.seed);
    let name = format!("{NAME}-{hidden}");
    let file = folder.join(&name).join(report::FILE);
    let replay = format!("mailstorm learn {NAME} --hidden {hidden}");
    write(
        &file,
        page(&[Shown { run: &run, about: None, replay: &replay, missing: None }]).as_bytes(),
    )?;
    let trace = run.outcome.trace_hash.to_string();
    for violation in run.outcome.violations() {
        // It is not replayed from here: that takes the name of what is hidden.
        let lines = violation_lines(violation, run.seed, &again, &trace);
        say(arguments, &format!("{}\n", lines.lines().next().unwrap_or_default()))?;
    }
    say(arguments, &format!("page     {}\n\n", file.display()))?;
    let command = format!("{NAME} --hidden {hidden}");
    let Some(answers) = answers.complete(&asked, &command)? else { return Ok(ExitCode::Pass) };
    let answer = answers.of(KEY).map(str::to_owned);
    let question = Graded {
        key: KEY,
        text,
        is_right: answer.as_deref() == Some(cause.name),
        answer,
        truth: format!("{} ({})", cause.name, cause.about),
        why: cause.why,
    };
    let taken = Taken { hidden, scenario: SCENARIO, seed: run.seed, question, page: file };
    say(arguments, &graded(std::slice::from_ref(&taken.question)))?;
    say(
        arguments,
        &format!("replay   mailstorm replay {again} --defect {}\n", cause.defect.name()),
    )?;
    let mut path = LearningPath::read(folder)?;
    path.add(&name, usize::from(taken.question.is_right), 1);
    path.write(folder)?;
    write_json(arguments, &taken)?;
    Ok(ExitCode::Pass)
}

/// What a number hides. Neighbours hide different things more often than not, and in no order.
fn cause(hidden: u64) -> &'static Cause {
    let place = Stream::new(hidden, NAME).below(CAUSES.len() as u64);
    &CAUSES[place as usize]
}

/// The first storm of this number that fails, fully recorded.
fn failing(hidden: u64, cause: &Cause) -> Result<Run, Failure> {
    let scenario: Arc<dyn Scenario> = find(SCENARIO, None, &Settings::default())?;
    let first = Stream::new(hidden, "capstone seeds").below(1_000_000);
    let spec =
        |seed| RunSpec { defect: Some(cause.defect), ..RunSpec::new(scenario.clone(), seed) };
    let mut failed = None;
    let seeds = first + 1..=first + SEEDS_MAX;
    mailstorm_world::storm(seeds.map(spec), processors(), |run| {
        if run.outcome.violations().next().is_none() {
            return ControlFlow::Continue(());
        }
        failed = Some(run.seed);
        ControlFlow::Break(())
    });
    let seed = failed.ok_or_else(|| {
        Failure::new(format!("no storm of {SEEDS_MAX} fails with what is hidden: please report it"))
    })?;
    Ok(mailstorm_world::run(&RunSpec { recording: Recording::Full, ..spec(seed) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_cause_is_hidden_by_some_small_number() {
        let hidden: BTreeSet<&str> = (1..=30).map(|number| cause(number).name).collect();
        assert_eq!(hidden.len(), CAUSES.len());
    }
}
