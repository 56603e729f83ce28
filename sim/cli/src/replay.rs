//! `mailstorm replay`: one seed again, with everything recorded.

use crate::args::{ReplayArguments, StormArguments};
use crate::failure::{ExitCode, Failure};
use crate::given::{beside, has, quoted, wanted};
use crate::report;
use crate::storm::put;
use mailstorm_record::{Event, Happening, Run, Verdict};
use mailstorm_reports::violation_lines;
use mailstorm_reports::words::words;
use mailstorm_world::Recording;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// The line of a replay's output that another process looks for.
const TRACE: &str = "trace ";

/// Runs it again and prints what it shows.
pub(crate) fn replay(arguments: &ReplayArguments) -> Result<ExitCode, Failure> {
    let wanted = wanted(&arguments.what, arguments.seed, &arguments.given)?;
    let mut spec = wanted.spec();
    spec.recording = Recording::Full;
    let run = mailstorm_world::run(&spec);
    if arguments.trace {
        crate::print(&trace(&run))?;
    }
    if let Some(file) = &arguments.json {
        let mut json = run.to_json();
        json.push('\n');
        put(file, &json)?;
    }
    if arguments.json.as_deref() != Some(Path::new("-")) {
        crate::print(&told(&run, &again(arguments)))?;
    }
    if arguments.open {
        let page = beside(&arguments.what, &run.scenario, run.seed, report::FILE);
        report::write_page(&run, &again(arguments), &page)?;
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

/// The trace hash of the same run, made by another process.
pub(crate) fn in_another_process(run: &Run, arguments: &StormArguments) -> Result<String, Failure> {
    let failed = |why: String| Failure::new(format!("cannot verify in another process: {why}"));
    let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let mut command = Command::new(program);
    command.args(["replay", &run.scenario, "--seed", &run.seed.to_string()]);
    command.args(arguments.given.words());
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .find_map(|line| line.strip_prefix(TRACE))
        .map(str::to_owned)
        .ok_or_else(|| failed(String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// What was given to this replay, to give it again.
fn again(arguments: &ReplayArguments) -> String {
    let seed = arguments.seed.map(|seed| format!(" --seed {seed}")).unwrap_or_default();
    format!("{}{seed}{}", quoted(&arguments.what), arguments.given.line())
}

/// What a replay shows: the faults, the verdicts, the figures.
fn told(run: &Run, again: &str) -> String {
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
    writeln!(out, "{TRACE}{hash}")
}

/// Every event, one a line: when, where, what.
fn trace(run: &Run) -> String {
    let mut out = String::new();
    for event in run.events.iter().flatten() {
        write_event(&mut out, event).expect("writing to a string cannot fail");
    }
    out
}

fn write_event(out: &mut String, event: &Event) -> std::fmt::Result {
    let (s, us) = (event.at_ns / 1_000_000_000, event.at_ns / 1_000 % 1_000_000);
    if let Happening::Phase { name } = &event.happening {
        return writeln!(out, "{s:>5}.{us:06}  ---- {name} ----");
    }
    let node = event.node.as_ref().map_or("-", |node| &*node.0);
    writeln!(out, "{s:>5}.{us:06}  {node:<5} {}", words(&event.happening))
}
