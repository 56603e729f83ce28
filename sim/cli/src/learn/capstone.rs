//! The capstone: the whole mail system, with one of the wrong designs hidden in it. A failing seed
//! and its page are all there is; what is wrong is to be named.
//!
//! Owns: what can be hidden, and finding a seed that fails. Leaves: the mistakes themselves to the
//! museum.
//! Holds: the same number hides the same thing. Numbers 1 to 6 hide all six mistakes, and so does
//! each further six of them, in another order. The page tells everything but the name.

use super::answers::{Answers, Asked};
use super::{Graded, complete, graded, read_path, say, write_json};
use crate::args::LearnArguments;
use crate::artifact::write;
use crate::failure::{ExitCode, Failure};
use crate::given::{find, quoted_path};
use crate::report;
use crate::storm::processors;
use mailstorm_client::defect::Defect as Recipes;
use mailstorm_coordination::defect::Defect as Coordination;
use mailstorm_mail::defect::Defect as Mail;
use mailstorm_record::{Run, Settings};
use mailstorm_reports::layout::wrapped;
use mailstorm_reports::page::{Shown, page};
use mailstorm_reports::violation_lines;
use mailstorm_shared::defect::Description;
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
    defect: &'static Description,
    /// The checkers that tell what it does; a storm in which another one comes first is not shown.
    found_by: &'static [&'static str],
    why: &'static str,
}

/// How many different mistakes can be hidden.
pub(super) const COUNT: usize = 6;

/// What can be hidden.
const CAUSES: [Cause; COUNT] = [
    Cause {
        name: "no-fence",
        about: "the sink takes results from workers that no longer hold the claim",
        defect: Mail::LockWithoutFencing.description(),
        found_by: &["split-brain", "exactly-once"],
        why: "A worker that was paused does not know that its claim was taken over. Only the sink can refuse it, by \
              the fencing token: see mail-pause-no-fence.",
    },
    Cause {
        name: "half-a-quorum",
        about: "half of the servers, rounded down, is a quorum",
        defect: Coordination::MinorityQuorum.description(),
        found_by: &["quorum", "split-brain"],
        why: "Two halves share no server, so both can lead, and a write that half of them has is not in every \
              later leader: see quorum-half.",
    },
    Cause {
        name: "acknowledged-too-early",
        about: "a server acknowledges what its disk does not have yet",
        defect: Coordination::AckBeforeSync.description(),
        found_by: &["quorum"],
        why: "A majority counts only if what it acknowledged survives a crash. A server that acknowledges before \
              the sync promises what it may forget: see quorum-lying-disk.",
    },
    Cause {
        name: "claim-without-version",
        about: "a worker takes a claim without checking whether it has changed since it was read",
        defect: Recipes::ClaimWithoutVersion.description(),
        found_by: &["convergence", "exactly-once"],
        why: "Between the read that finds a claim free and the write that takes it, somebody else may have taken it. \
              The write must name the version that was read: see mail-claims.",
    },
    Cause {
        name: "ghost-claim",
        about: "a client whose create got no reply makes another znode",
        defect: Recipes::OrphanedLock.description(),
        found_by: &["convergence"],
        why: "The first create was executed; only its reply was lost. Its znode lives as long as the session, and \
              the second waits behind it: see mail-ghost-claim.",
    },
    Cause {
        name: "attempt-noted-too-late",
        about: "a worker notes an attempt at a mail after the attempt instead of before",
        defect: Mail::AttemptNotedAfter.description(),
        found_by: &["convergence"],
        why: "A mail that crashes its worker is then never noted as tried, and crashes the next one. What must be \
              known after a crash is written before it.",
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
            "which one? 'mailstorm learn capstone --hidden 1' hides a mistake, and each number from 1 to 6 \
             another one",
        ));
    };
    let cause = cause(hidden);
    let choices: Vec<_> = CAUSES.iter().map(|cause| (cause.name, cause.about)).collect();
    let text = "What is wrong with it?";
    let asked = [Asked::choice(KEY, text, &choices)];
    let answers = Answers::given(&arguments.answer, &asked)?;
    let mut path = read_path(folder)?;
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
    let name = key(hidden);
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
    say(arguments, &format!("page     {}\n\n", quoted_path(&file)))?;
    let command = format!("{NAME} --hidden {hidden}");
    let Some(answers) = complete(answers, &asked, &command, arguments)? else {
        return Ok(ExitCode::Pass);
    };
    let answer = answers.of(KEY).map(str::to_owned);
    let question = Graded {
        key: KEY,
        text,
        is_right: answer.as_deref() == Some(cause.name),
        answer,
        truth: format!("{} ({})", cause.name, cause.about),
        accepted: None,
        derived: None,
        why: cause.why,
    };
    let taken = Taken { hidden, scenario: SCENARIO, seed: run.seed, question, page: file };
    say(arguments, &graded(std::slice::from_ref(&taken.question)))?;
    say(arguments, &format!("replay   mailstorm replay {again} --defect {}\n", cause.defect.name))?;
    path.add(&name, usize::from(taken.question.is_right), 1);
    path.write(folder)?;
    write_json(arguments, &taken)?;
    Ok(ExitCode::Pass)
}

/// What this number is called on the path.
pub(super) fn key(hidden: u64) -> String {
    format!("{NAME}-{hidden}")
}

/// The name of what the number of this key hides; `None` for what is no such key.
pub(super) fn hidden_by(key: &str) -> Option<&'static str> {
    let hidden: u64 = key.strip_prefix(NAME)?.strip_prefix('-')?.parse().ok()?;
    (hidden > 0).then(|| cause(hidden).name)
}

/// What a number hides. The six of each round are all different, and come in an order of their own,
/// so that nobody knows number 7 from number 1.
fn cause(hidden: u64) -> &'static Cause {
    let count = COUNT as u64;
    let (round, place) = ((hidden - 1) / count, (hidden - 1) % count);
    let mut order: Vec<&'static Cause> = CAUSES.iter().collect();
    Stream::new(round, "capstone causes").shuffle(&mut order);
    order[place as usize]
}

/// The first storm of this number that fails as its cause makes storms fail, fully recorded.
fn failing(hidden: u64, cause: &Cause) -> Result<Run, Failure> {
    let scenario: Arc<dyn Scenario> = find(SCENARIO, None, &Settings::default())?;
    let first = Stream::new(hidden, "capstone seeds").below(1_000_000);
    let spec =
        |seed| RunSpec { defect: Some(cause.defect.id), ..RunSpec::new(scenario.clone(), seed) };
    let mut failed = None;
    let seeds = first + 1..=first + SEEDS_MAX;
    mailstorm_world::storm(seeds.map(spec), processors(), |run| {
        let violation = run.outcome.violations().next();
        if !violation.is_some_and(|violation| cause.found_by.contains(&&*violation.checker)) {
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

    fn names(hidden: impl Iterator<Item = u64>) -> Vec<&'static str> {
        hidden.map(|number| cause(number).name).collect()
    }

    #[test]
    fn every_six_numbers_hide_six_different_mistakes() {
        for round in [0, 1, 2, 3, 100, u64::MAX / 6 - 1] {
            let six = names(round * 6 + 1..=round * 6 + 6);
            assert_eq!(six.iter().collect::<BTreeSet<_>>().len(), COUNT, "{round}: {six:?}");
            assert_eq!(six, names(round * 6 + 1..=round * 6 + 6), "the same number hides the same");
        }
        let rounds: BTreeSet<_> =
            (0..10).map(|round| names(round * 6 + 1..=round * 6 + 6)).collect();
        assert!(rounds.len() > 5, "the order does not give it away: {rounds:?}");
        assert_eq!(cause(u64::MAX).name, cause(u64::MAX).name);
    }

    #[test]
    fn the_first_six_numbers_show_runs_that_fail_as_their_mistake_makes_them() {
        for hidden in 1..=COUNT as u64 {
            let cause = cause(hidden);
            let run = failing(hidden, cause).unwrap();
            let violation = run.outcome.violations().next().unwrap();
            assert!(cause.found_by.contains(&&*violation.checker), "{}: {violation:?}", cause.name);
            let scenario = find(SCENARIO, None, &Settings::default()).unwrap();
            let without = mailstorm_world::run(&RunSpec::new(scenario, run.seed));
            let other = without.outcome.violations().next();
            assert!(other.is_none(), "{}: the same storm holds without it: {other:?}", cause.name);
        }
    }

    #[test]
    fn only_keys_of_the_capstone_hide_anything() {
        assert!(hidden_by(&key(1)).is_some() && hidden_by(&key(u64::MAX)).is_some());
        for other in
            ["capstone", "capstone-", "capstone-0", "capstone-x", "capstone--1", "mail-flag"]
        {
            assert_eq!(hidden_by(other), None, "{other}");
        }
    }
}
