//! `mailstorm replay`: one seed again, with everything recorded for those who ask for it.

use crate::args::ReplayArguments;
use crate::failure::{ExitCode, Failure};
use crate::one_run::has;
use crate::report;
use crate::storm::put;
use mailstorm_record::{Run, Verdict};
use mailstorm_reports::{event_line, violation_lines};
use mailstorm_world::Recording;
use std::fmt::Write;
use std::path::Path;

/// Runs it again and prints what it shows.
pub(crate) fn replay(arguments: &ReplayArguments) -> Result<ExitCode, Failure> {
    let wanted = arguments.run.wanted()?;
    let again = arguments.run.again(wanted.scenario.inbox());
    let mut spec = wanted.spec();
    // A recording takes memory with every message, so it is made for those who ask for it.
    let is_recorded = arguments.trace || arguments.open || arguments.json.is_some();
    spec.recording = if is_recorded { Recording::Full } else { Recording::Digest };
    let run = mailstorm_world::run(&spec);
    if arguments.trace {
        crate::print(&run.events.iter().flatten().map(event_line).collect::<String>())?;
    }
    if let Some(file) = &arguments.json {
        let mut json = run.to_json();
        json.push('\n');
        put(file, &json)?;
    }
    if arguments.json.as_deref() != Some(Path::new("-")) {
        crate::print(&told(&run, &again))?;
        if let Some(cast) = wanted.scenario.cast(run.seed) {
            crate::print(&format!("cast       {cast}\n"))?;
        }
    }
    if arguments.open {
        let page = arguments.run.beside(&run.scenario, run.seed, report::FILE);
        report::write_page(&run, &again, &page)?;
        crate::tell(&page.display().to_string());
        report::open(&page);
    }
    if let Some(lost) = wanted.fingerprint.filter(|fingerprint| !has(&run, fingerprint)) {
        crate::tell(&format!("note: the violation this was kept for did not come again: {lost}"));
    }
    Ok(match run.outcome.verdict() {
        Verdict::Pass => ExitCode::Pass,
        Verdict::Violation(_) => ExitCode::Violation,
        Verdict::Unknown { .. } => ExitCode::Unknown,
    })
}

/// What a replay shows: the faults, the verdicts, the figures.
pub(crate) fn told(run: &Run, again: &str) -> String {
    let mut out = String::new();
    write_told(&mut out, run, again).expect("writing to a string cannot fail");
    out
}

fn write_told(out: &mut String, run: &Run, again: &str) -> std::fmt::Result {
    let outcome = &run.outcome;
    let defect = run.defect.map(|defect| format!(" with {}", defect.name())).unwrap_or_default();
    let faults = run.plan.faults.len();
    writeln!(out, "{} seed {}{defect}: {faults} faults", run.scenario, run.seed)?;
    for line in run.plan.to_toml().lines().filter(|line| !line.is_empty()) {
        writeln!(out, "  {line}")?;
    }
    for (checker, verdict) in &outcome.verdicts {
        match verdict {
            Verdict::Pass => writeln!(out, "pass       {checker}")?,
            Verdict::Unknown { why } => writeln!(out, "unknown    {checker}: {why}")?,
            Verdict::Violation(_) => {}
        }
    }
    let hash = outcome.trace_hash.to_string();
    for violation in outcome.violations() {
        out.push_str(&violation_lines(violation, run.seed, again, &hash));
    }
    let reached: Vec<_> = outcome
        .reached
        .iter()
        .filter(|(_, n)| **n > 0)
        .map(|(goal, n)| format!("{goal} {n}"))
        .collect();
    writeln!(out, "reached    {}", reached.join(", "))?;
    writeln!(
        out,
        "{} messages, {} events, {:.3} s of virtual time",
        outcome.messages,
        outcome.events,
        outcome.virtual_ns as f64 / 1e9
    )?;
    writeln!(out, "trace {hash}")
}
