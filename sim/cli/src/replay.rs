//! `mailstorm replay`: one seed again, with everything recorded.

use crate::args::{ReplayArguments, StormArguments};
use crate::failure::{ExitCode, Failure};
use crate::museum::find_defect;
use crate::storm::{find, open_inbox, put, read_plan};
use mailstorm_record::{Event, Happening, Plan, Run, Verdict};
use mailstorm_reports::violation_lines;
use mailstorm_shared::defect::Defect;
use mailstorm_world::{Recording, RunSpec};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The line of a replay's output that another process looks for.
const TRACE: &str = "trace ";

/// Runs it again and prints what it shows.
pub(crate) fn replay(arguments: &ReplayArguments) -> Result<ExitCode, Failure> {
    let inbox = open_inbox(arguments.inbox.as_deref())?;
    let asked = arguments.defect.as_deref().map(find_defect).transpose()?;
    let Wanted { scenario: name, seed, defect, plan: recorded } = what_to_replay(arguments)?;
    let scenario = find(&name, inbox.as_ref())?;
    let plan = match &arguments.plan {
        Some(file) => Some(read_plan(file, &scenario)?),
        None => match recorded {
            // A record may have been edited: its plan must still name this scenario's nodes.
            Some(plan) => {
                plan.check(&scenario.topology().names()).map_err(|(index, problem)| {
                    let number = index + 1;
                    Failure::new(format!("{}: fault {number}: {problem}", arguments.what))
                })?;
                // With a plan that is given, the storm ends when the plan does; with one that was drawn
                // from the seed it may last longer.
                let is_drawn = RunSpec::new(scenario.clone(), seed).plan() == plan;
                Some(plan).filter(|_| !is_drawn)
            }
            None => None,
        },
    };
    let mut spec = RunSpec::new(scenario, seed);
    spec.plan = plan;
    spec.defect = asked.or(defect);
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
    Ok(match run.outcome.verdict() {
        Verdict::Pass => ExitCode::Pass,
        Verdict::Violation(_) => ExitCode::Violation,
        Verdict::Unknown { .. } => ExitCode::Unknown,
    })
}

/// What is to be run again; defect and plan as a record has them.
struct Wanted {
    scenario: String,
    seed: u64,
    defect: Option<Defect>,
    plan: Option<Plan>,
}

fn what_to_replay(arguments: &ReplayArguments) -> Result<Wanted, Failure> {
    let what = &arguments.what;
    if Path::new(what).is_file() {
        let text = fs::read_to_string(what).map_err(|error| {
            Failure::new(format!("cannot read {what}: {error}; check the path"))
        })?;
        let run = Run::parse(&text).map_err(|error| {
            Failure::new(format!("{what}: {error}; give a run.json that 'mailstorm storm' wrote"))
        })?;
        return Ok(Wanted {
            scenario: run.scenario,
            seed: arguments.seed.unwrap_or(run.seed),
            defect: run.defect,
            plan: Some(run.plan),
        });
    }
    let Some(seed) = arguments.seed else {
        return Err(Failure::new(format!(
            "which seed of '{what}'? add --seed S, or give the file of a run"
        )));
    };
    Ok(Wanted { scenario: what.clone(), seed, defect: None, plan: None })
}

/// The trace hash of the same run, made by another process.
pub(crate) fn in_another_process(run: &Run, arguments: &StormArguments) -> Result<String, Failure> {
    let failed = |why: String| Failure::new(format!("cannot verify in another process: {why}"));
    let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let mut command = Command::new(program);
    command.args(["replay", &run.scenario, "--seed", &run.seed.to_string()]);
    for (option, path) in [("--inbox", &arguments.inbox), ("--plan", &arguments.plan)] {
        if let Some(path) = path {
            command.arg(option).arg(path);
        }
    }
    if let Some(defect) = &arguments.defect {
        command.args(["--defect", defect]);
    }
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .find_map(|line| line.strip_prefix(TRACE))
        .map(str::to_owned)
        .ok_or_else(|| failed(String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// The options that a replay needs to make the same run: each with a space before it, quoted where a
/// shell would not take it for one word.
pub(crate) fn options(plan: Option<&Path>, inbox: Option<&Path>, defect: Option<&str>) -> String {
    let path = |path: Option<&Path>| path.map(|path| quoted(&path.to_string_lossy()));
    [("--defect", defect.map(quoted)), ("--plan", path(plan)), ("--inbox", path(inbox))]
        .into_iter()
        .filter_map(|(option, value)| Some(format!(" {option} {}", value?)))
        .collect()
}

fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+:,@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// What was given to this replay, to give it again.
fn again(arguments: &ReplayArguments) -> String {
    let seed = arguments.seed.map(|seed| format!(" --seed {seed}")).unwrap_or_default();
    let ReplayArguments { plan, inbox, defect, .. } = arguments;
    let options = options(plan.as_deref(), inbox.as_deref(), defect.as_deref());
    format!("{}{seed}{options}", quoted(&arguments.what))
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
    let node = event.node.as_ref().map_or("-", |node| &*node.0);
    write!(
        out,
        "{:>5}.{:06}  {node:<5} ",
        event.at_ns / 1_000_000_000,
        event.at_ns / 1_000 % 1_000_000
    )?;
    match &event.happening {
        Happening::Sent { message, to, bytes, label } => {
            writeln!(out, "sends #{message} to {to}: {label} ({bytes} bytes)")
        }
        Happening::Delivered { message } => writeln!(out, "gets #{message}"),
        Happening::Phase { name } => writeln!(out, "---- {name} ----"),
        Happening::Observed { observation } => writeln!(out, "{observation:?}"),
        other => writeln!(out, "{other:?}"),
    }
}
