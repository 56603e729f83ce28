//! `mailstorm storm --verify`: the same seeds in a second process, and where the two part.
//!
//! Owns: which program the second process is, and what is told of a seed that is not the same in
//! both.
//! Leaves: the conversation to `world`, the comparison to `record`, the words to `reports`.
//! Start at [`Verifier`]; [`answer`] is what the second process does.

use crate::args::AnswerArguments;
use crate::artifact::write;
use crate::failure::{ExitCode, Failure};
use crate::given::{find, open_inbox};
use crate::interrupt;
use crate::replay::told;
use mailstorm_record::Run;
use mailstorm_reports::{Divergence, numbered, verb};
use mailstorm_world::storm::Source;
use mailstorm_world::twin::{Answer, Orders, Twin, TwinError, answer_orders, elsewhere};
use mailstorm_world::{Recording, RunSpec};
use std::io::{BufReader, stdin, stdout};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Seeds that are run once more, fully recorded, to see where the two processes part; the others
/// that differ are named.
const SHOWN_MAX: u64 = 3;

/// Compares runs with those of a second process.
pub(crate) struct Verifier {
    twin: Twin,
    /// Seeds that were the same in both.
    same: u64,
    /// Seeds that were not.
    different: u64,
}

impl Verifier {
    /// Starts the second process: this program, on the same inbox, with another number of threads.
    pub(crate) fn start(inbox: Option<&Path>, jobs: usize) -> Result<Self, Failure> {
        let cannot = |error: std::io::Error| failed(&TwinError::Start(error));
        let mut command = Command::new(std::env::current_exe().map_err(cannot)?);
        let jobs = if jobs > 1 { jobs - 1 } else { 2 };
        command.args(["answer", "--jobs", &jobs.to_string()]);
        if let Some(inbox) = inbox {
            // It has another working folder.
            command.arg("--inbox").arg(std::path::absolute(inbox).map_err(cannot)?);
        }
        let twin = Twin::start(elsewhere(&mut command)).map_err(|error| failed(&error))?;
        Ok(Self { twin, same: 0, different: 0 })
    }

    /// A handle by which to ask for the runs that are to be checked.
    pub(crate) fn orders(&self) -> Orders {
        self.twin.orders()
    }

    /// Compares this run, of `spec`, with that of the second process. Returns what is to be told if
    /// they differ; then both runs, fully recorded, are written below `folder`.
    pub(crate) fn check(
        &mut self,
        spec: &RunSpec,
        run: &Run,
        folder: &Path,
    ) -> Result<Option<String>, Failure> {
        let here = Answer::new(run.clone(), &report(run));
        let there =
            self.twin.answer(run.seed, Recording::Digest).map_err(|error| failed(&error))?;
        let different = here.differences(&there);
        if different.is_empty() {
            self.same += 1;
            return Ok(None);
        }
        self.different += 1;
        let head = format!(
            "NOT DETERMINISTIC  {} seed {}: two processes differ in {}\n",
            run.scenario,
            run.seed,
            different.join(", ")
        );
        let shown =
            if self.different <= SHOWN_MAX { self.show(spec, folder)? } else { String::new() };
        Ok(Some(head + &shown))
    }

    /// Runs it once more in both processes, to see where they part.
    fn show(&mut self, spec: &RunSpec, folder: &Path) -> Result<String, Failure> {
        let spec = RunSpec { recording: Recording::Full, ..spec.clone() };
        self.twin.orders().send(&spec);
        let here = mailstorm_world::run(&spec);
        let there =
            self.twin.answer(spec.seed, Recording::Full).map_err(|error| failed(&error))?.run;
        let files: [PathBuf; 2] = ["here.json", "there.json"].map(|name| folder.join(name));
        for (file, run) in files.iter().zip([&here, &there]) {
            write(file, run.to_json().as_bytes())?;
        }
        let divergence = Divergence::between(&here, &there);
        let [a, b] = files.map(crate::given::quoted_path);
        let again = if divergence.same { "   # they did not differ again" } else { "" };
        Ok(format!("  compare  mailstorm diff {a} {b}{again}\n{}", divergence.text()))
    }

    /// What came of it, in a line; `None` if nothing was compared.
    pub(crate) fn summary(&self) -> Option<String> {
        let Self { same, different, .. } = self;
        match (same + different, different) {
            (0, _) => None,
            (all, 0) => Some(format!(
                "verified   {} in a second process: draws, traces, states, verdicts and reports are the same",
                numbered(all, "seed")
            )),
            (all, _) => Some(format!(
                "NOT DETERMINISTIC  {different} of {} {} in a second process",
                numbered(all, "seed"),
                verb(*different, "differs", "differ")
            )),
        }
    }
}

/// A source of runs of which the second process is asked for some as well, as soon as they are
/// known.
pub(crate) struct Asking<S, F> {
    pub source: S,
    /// None if no run is verified.
    pub orders: Option<Orders>,
    /// Of this seed?
    pub is_verified: F,
}

impl<S: Source, F: Fn(u64) -> bool + Send> Source for Asking<S, F> {
    fn draw(&mut self) -> Option<RunSpec> {
        let spec = self.source.draw()?;
        if let Some(orders) = self.orders.as_ref().filter(|_| (self.is_verified)(spec.seed)) {
            orders.send(&spec);
        }
        Some(spec)
    }

    fn needs_told(&self, number: u64) -> u64 {
        self.source.needs_told(number)
    }

    fn told(&mut self, run: &Run) {
        self.source.told(run);
    }
}

fn failed(error: &TwinError) -> Failure {
    Failure::new(format!(
        "cannot verify in a second process: {error}; start it again, or storm without --verify"
    ))
}

/// Everything that is told of a run, to people and to machines.
fn report(run: &Run) -> Vec<u8> {
    (told(run, "") + &run.to_json()).into_bytes()
}

/// What the second process does: runs what it is asked to on its standard input.
pub(crate) fn answer(arguments: &AnswerArguments) -> Result<ExitCode, Failure> {
    interrupt::ignore()?;
    let inbox = open_inbox(arguments.inbox.as_deref())?;
    let jobs = usize::from(arguments.jobs);
    answer_orders(
        |name, settings| {
            find(name, inbox.as_ref(), settings).map_err(|failure| failure.to_string())
        },
        report,
        jobs,
        BufReader::new(stdin()),
        stdout(),
    )
    .map_err(|error| {
        Failure::new(format!("{error}; this command is how 'storm --verify' asks a second process"))
    })?;
    Ok(ExitCode::Pass)
}
