//! `mailstorm replay`: one seed again, with everything recorded for those who ask for it.

use crate::args::ReplayArguments;
use crate::artifact::{is_terminal, put};
use crate::failure::{ExitCode, Failure};
use crate::given::quoted_path;
use crate::one_run::has;
use crate::report;
use crate::screen::show;
use mailstorm_record::{Fault, Run, Scene, Verdict, spaced};
use mailstorm_reports::{event_line, grouped, numbered, verb, violation_lines};
use mailstorm_shared::time_in_words::{moment, span_of_ms};
use mailstorm_shrink::story;
use mailstorm_world::Recording;
use std::fmt::Write;

/// Runs it again and prints what it shows.
pub(crate) fn replay(arguments: &ReplayArguments) -> Result<ExitCode, Failure> {
    let wanted = arguments.run.wanted()?;
    if arguments.toml {
        crate::print(&wanted.spec().plan().to_toml())?;
        return Ok(ExitCode::Pass);
    }
    let again = arguments.run.again(wanted.scenario.inbox());
    // A recording takes memory with every message, so it is made for those who ask for it.
    let is_recorded = arguments.trace || arguments.open || arguments.json.is_some();
    let run = wanted.run(if is_recorded { Recording::Full } else { Recording::Faults });
    if arguments.trace {
        show(&run.events.iter().flatten().map(event_line).collect::<String>())?;
    }
    if let Some(file) = &arguments.json {
        let mut json = run.to_json();
        json.push('\n');
        put(file, &json)?;
    }
    if !is_terminal(arguments.json.as_deref()) {
        show(&told(&run, &again))?;
        if let Some(cast) = wanted.scenario.cast(run.seed) {
            show(&format!("cast       {cast}\n"))?;
        }
    }
    if arguments.open {
        let page = arguments.run.beside(&run.scenario, run.seed, report::FILE);
        report::write_page(&run, &again, &page)?;
        crate::tell(&quoted_path(&page));
        report::open(&page);
    }
    let differs = wanted.differs_from(&run);
    if let Some(line) = &differs {
        if is_terminal(arguments.json.as_deref()) {
            crate::tell(line);
        } else {
            crate::print(&format!("{line}\n"))?;
        }
    }
    if let Some(lost) = wanted.fingerprint.filter(|fingerprint| !has(&run, fingerprint)) {
        crate::tell(&format!("note: the violation this was kept for did not come again: {lost}"));
    }
    Ok(match run.outcome.verdict() {
        _ if differs.is_some() => ExitCode::NotDeterministic,
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
    let faults = numbered(run.plan.faults.len() as u64, "fault");
    writeln!(out, "{} seed {}{defect}: {faults}", run.scenario, run.seed)?;
    for line in faults_told(run) {
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
        .map(|(goal, n)| format!("{} {}", spaced(goal), grouped(*n)))
        .collect();
    writeln!(out, "reached    {}", reached.join(", "))?;
    writeln!(
        out,
        "{}, {}, {} of virtual time",
        numbered(outcome.messages, "message"),
        numbered(outcome.events, "event"),
        moment(outcome.virtual_ns)
    )?;
    writeln!(out, "trace {hash}")
}

/// The faults in sentences: as they came, if that was recorded, otherwise as they are planned.
fn faults_told(run: &Run) -> Vec<String> {
    let faults = &run.plan.faults;
    if faults.is_empty() {
        return vec!["nothing goes wrong from outside".to_owned()];
    }
    if run.events.is_some() {
        let mut lines = story(run);
        let to_come = faults.len().saturating_sub(lines.len()) as u64;
        if to_come > 0 {
            let were = verb(to_come, "was", "were");
            let more = numbered(to_come, "more fault");
            lines.push(format!("{more} {were} planned for later, when the run had ended"));
        }
        return lines;
    }
    let mut planned: Vec<_> = faults.iter().collect();
    planned.sort_by_key(|fault| fault.at_ms);
    let told = |fault: &Fault| {
        let at = span_of_ms(fault.at_ms);
        format!("{at} into the storm {}", Scene::default().sentence(fault))
    };
    planned.into_iter().map(told).collect()
}
