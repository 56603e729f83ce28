//! `mailstorm scenarios`: what can be run, and whether lessons show what they say.
//!
//! Owns: the list, and the check of lessons against what they expect. Leaves: the expectations to
//! `scenarios`.
//! Holds: a wrong design that passes, a right one that fails, a goal that is not reached and a fault that
//! changes nothing all fail the check.
//! Start at [`scenarios`].

mod faults;

use crate::args::ScenariosArguments;
use crate::failure::{ExitCode, Failure};
use crate::given::{find, unknown};
use crate::storm::processors;
use mailstorm_record::{Setting, Settings};
use mailstorm_scenarios::lessons::{self, Design, Lesson, Records, SEED};
use mailstorm_world::{RunSpec, Scenario, with_settings};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Lists, or checks.
pub(crate) fn scenarios(arguments: &ScenariosArguments) -> Result<ExitCode, Failure> {
    let name = arguments.name.as_deref();
    if arguments.faults {
        crate::print(&faults::list())?;
        return Ok(ExitCode::Pass);
    }
    if arguments.check {
        let lessons: Vec<Lesson> = match name {
            None => lessons::all(),
            Some(name) => vec![lessons::lesson(name).ok_or_else(|| unknown(name))?],
        };
        let jobs = arguments.jobs.map_or_else(processors, usize::from);
        return check(&lessons, arguments.storms, jobs);
    }
    let Some(name) = name else { return list() };
    let out = match lessons::lesson(name) {
        Some(lesson) => told(&lesson),
        None => detailed(&find(name, None, &Settings::default())?),
    };
    crate::print(&out)?;
    Ok(ExitCode::Pass)
}

/// Everything there is, in a line or a few for each.
fn list() -> Result<ExitCode, Failure> {
    let storms = mailstorm_scenarios::all(None);
    let lessons = lessons::all();
    let names = storms.iter().map(|storm| storm.name()).chain(lessons.iter().map(|l| l.name));
    let width = names.map(str::len).max().unwrap_or(0);
    let mut out = "Storms, in which each seed draws its faults:\n".to_owned();
    for storm in &storms {
        out += &format!("  {:width$}  {}\n", storm.name(), storm.about());
        out += &settings(storm, &format!("  {:width$}    ", ""));
    }
    out += "\nLessons, each with faults of its own ('mailstorm learn' is the path through them):\n";
    for lesson in &lessons {
        let designs: Vec<&str> = lesson.designs.iter().map(|design| design.name).collect();
        let designs = designs.join(", ");
        out += &format!(
            "  {:width$}  {:2}. {} ({designs})\n",
            lesson.name, lesson.number, lesson.title
        );
    }
    crate::print(&out)?;
    Ok(ExitCode::Pass)
}

fn settings(scenario: &Arc<dyn Scenario>, indent: &str) -> String {
    let line = |Setting { name, about, default, min, max, .. }| {
        format!("{indent}--set {name}={default}  {about}, {min} to {max}\n")
    };
    scenario.settings().into_iter().map(line).collect()
}

/// One storm or design, with what it is to reach.
fn detailed(scenario: &Arc<dyn Scenario>) -> String {
    let mut out = format!("{}  {}\n", scenario.name(), scenario.about());
    out += &settings(scenario, "    ");
    for goal in scenario.goals() {
        out += &format!("    {}: {}\n", goal.name, goal.about);
    }
    out
}

/// One lesson, with its designs.
fn told(lesson: &Lesson) -> String {
    let mut out =
        format!("{}. {}  \"{}\"\n{}\n", lesson.number, lesson.name, lesson.title, lesson.story);
    for design in &lesson.designs {
        let sort = if design.is_right { "right" } else { "wrong" };
        let breaks = match design.breaks {
            [] => "breaks nothing".to_owned(),
            breaks => format!("breaks {}", breaks.join(", ")),
        };
        out += &format!("\n{sort}: {breaks}\n{}", detailed(&design.scenario));
    }
    out
}

/// Runs every design of these lessons, under its own faults and in so many storms.
fn check(lessons: &[Lesson], storms: u64, jobs: usize) -> Result<ExitCode, Failure> {
    let (mut designs, mut wrong) = (0, 0);
    for lesson in lessons {
        let records = Records::of(lesson, SEED);
        for (design, held) in lesson.designs.iter().zip(records.held(lesson)) {
            designs += 1;
            let stormed =
                if storms == 0 { Ok(String::new()) } else { stormed(design, storms, jobs) };
            let (word, told) = match (held.is_as_expected(), stormed) {
                (true, Ok(stormed)) => {
                    let broke =
                        held.broke_as_asked.iter().map(|v| format!("{}/{}", v.checker, v.kind));
                    let broke: Vec<String> = broke.collect();
                    let broke = if broke.is_empty() {
                        "holds".to_owned()
                    } else {
                        format!("breaks {}", broke.join(", "))
                    };
                    ("as expected", format!("{}: {broke}{stormed}", held.design))
                }
                (true, Err(stormed)) => ("NOT", format!("{}\n  {stormed}", held.design)),
                (false, Ok(_)) => ("NOT", held.to_string()),
                (false, Err(stormed)) => ("NOT", format!("{held}\n  {stormed}")),
            };
            wrong += u64::from(word == "NOT");
            crate::print(&format!("{word:11}  {told}\n"))?;
        }
    }
    let lessons = match lessons.len() {
        1 => "1 lesson".to_owned(),
        count => format!("{count} lessons"),
    };
    crate::print(&format!(
        "{designs} designs of {lessons}: {} as expected, {wrong} not\n",
        designs - wrong
    ))?;
    Ok(if wrong == 0 { ExitCode::Pass } else { ExitCode::Violation })
}

/// How a design fares when its faults are drawn from seeds: a right one must hold under all of them, a wrong
/// one be found. A wrong one that they cannot find is told, since its fault may be one that no storm draws.
fn stormed(design: &Design, storms: u64, jobs: usize) -> Result<String, String> {
    let drawn = Settings([(lessons::DRAWN_FAULTS.to_owned(), 1)].into());
    let scenario = with_settings(&design.scenario, &drawn).map_err(|error| error.to_string())?;
    let specs = (1..=storms).map(|seed| RunSpec::new(scenario.clone(), seed));
    let mut found = None;
    mailstorm_world::storm(specs, jobs, |run| {
        let first = run.outcome.violations().next();
        found = first.map(|v| (run.seed, format!("{}/{}: {}", v.checker, v.kind, v.detail)));
        if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    match (design.is_right, found) {
        (true, None) => Ok(format!("; holds in {storms} storms, too")),
        (true, Some((seed, violation))) => Err(format!(
            "breaks {violation}\n  replay   mailstorm replay {} --seed {seed} --set {}=1",
            scenario.name(),
            lessons::DRAWN_FAULTS
        )),
        (false, Some((seed, _))) => Ok(format!("; found by storm {seed}")),
        (false, None) => Ok(format!("; not found by {storms} storms")),
    }
}
