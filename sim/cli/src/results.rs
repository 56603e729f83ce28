//! What a sweep leaves behind in its folder: for people, for CI systems, for `mailstorm merge`.
//!
//! Owns: the files' names, writing all of them, what is printed of a sweep, its exit code. Leaves:
//! their content to `reports`.
//! Holds: a file that cannot be written keeps none of the others from being written; while a sweep
//! runs, its folder holds no result of an older one that could be taken for it.
//! Start at [`write_all`].

use crate::artifact::{is_terminal, put, write};
use crate::failure::{ExitCode, Failure};
use crate::given::quoted_path;
use crate::screen::{show, width};
use mailstorm_reports::{
    Deed, Ended, Results, Resumption, Stop, Summary, Totals, closing, index, junit, markdown, text,
};
use mailstorm_world::Scenario;
use std::path::Path;

/// Everything that is needed to join the results of shards.
pub(crate) const RESULT: &str = "result.json";
const JUNIT: &str = "junit.xml";
const SUMMARY: &str = "summary.md";
const INDEX: &str = "index.html";
/// What stands in the folder of every sweep.
pub(crate) const FILES: [&str; 4] = [RESULT, JUNIT, SUMMARY, INDEX];

/// Writes the results into their folder; returns the first failure.
pub(crate) fn write_all(folder: &Path, results: &Results) -> Result<(), Failure> {
    let mut ended = write(&folder.join(RESULT), results.to_json().as_bytes());
    let mut summaries = results.summaries(folder);
    if ended.is_err() {
        // Nothing goes on without it.
        summaries.iter_mut().for_each(|summary| summary.resumption = Resumption::None);
    }
    let files =
        [(JUNIT, junit(&summaries)), (SUMMARY, markdown(&summaries)), (INDEX, index(&summaries))];
    for (name, text) in files {
        let written = write(&folder.join(name), text.as_bytes());
        ended = ended.and(written);
    }
    ended
}

/// Writes the sums for machines, if they are asked for.
pub(crate) fn write_json(file: Option<&Path>, summaries: Vec<Summary>) -> Result<(), Failure> {
    let Some(file) = file else { return Ok(()) };
    let mut json = serde_json::to_string_pretty(&Totals::of(summaries))
        .expect("a summary is plain data with string keys");
    json.push('\n');
    put(file, &json)
}

/// Prints a summary; beside the results for machines, if those have standard output to themselves.
pub(crate) fn tell_people(
    json: Option<&Path>,
    summary: &Summary,
    deed: &Deed,
) -> Result<(), Failure> {
    say(json, &text(summary, deed, width()))
}

/// Prints where the page of all sweeps is, and what is next.
pub(crate) fn tell_next(
    json: Option<&Path>,
    summaries: &[Summary],
    folder: &Path,
) -> Result<(), Failure> {
    say(json, &closing(summaries, &quoted_path(folder.join(INDEX))))
}

fn say(json: Option<&Path>, text: &str) -> Result<(), Failure> {
    if is_terminal(json) {
        crate::tell(text);
        return Ok(());
    }
    show(text)
}

/// What a sweep of this scenario does; `is_drawn` if each seed draws its own storm.
pub(crate) fn deed(scenario: &dyn Scenario, is_drawn: bool) -> Deed {
    let outline = scenario.outline();
    Deed { cast: outline.cast, promise: outline.promise, is_drawn }
}

/// Writes the results and, if they are asked for, the sums for machines. What cannot be written
/// makes the exit code another, so that what can be is written once more, and says so.
pub(crate) fn write_everything(
    out: &Path,
    json: Option<&Path>,
    results: &mut Results,
) -> Result<(), Failure> {
    let written = write_all(out, results);
    let failed = written.and(write_json(json, results.summaries(out)));
    if let (Err(failure), Some(last)) = (&failed, results.scenarios.last_mut()) {
        last.stopped.get_or_insert(Stop::Failed(failure.to_string()));
        // The first failure is the one that is told.
        let _ = write_all(out, results);
        if !is_terminal(json) {
            let _ = write_json(json, results.summaries(out));
        }
    }
    failed
}

/// The exit code of a sweep that ended so.
pub(crate) fn code(ended: Ended) -> ExitCode {
    match ended {
        Ended::Pass => ExitCode::Pass,
        Ended::Unknown | Ended::Interrupted => ExitCode::Unknown,
        Ended::Violation => ExitCode::Violation,
        Ended::Failed => ExitCode::Usage,
        Ended::NotDeterministic => ExitCode::NotDeterministic,
    }
}

/// Where a file of a run lies, seen from the folder of its sweep.
pub(crate) fn place(scenario: &str, seed: u64, file: &str) -> String {
    format!("{scenario}/{seed}/{file}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_name_the_exit_code_that_the_command_has() {
        let all = [
            Ended::Failed,
            Ended::NotDeterministic,
            Ended::Violation,
            Ended::Interrupted,
            Ended::Unknown,
            Ended::Pass,
        ];
        for ended in all {
            assert_eq!(code(ended) as u8, ended.exit_code(), "{ended:?}");
        }
    }
}
