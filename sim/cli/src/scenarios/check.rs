//! Whether lessons show what they say.
//!
//! Leaves: the expectations to `scenarios`.
//! Holds: a wrong design that passes, a right one that fails, a goal that is not reached and a
//! fault that changes nothing all fail the check. Start at [`check`].

use crate::failure::{ExitCode, Failure};
use crate::screen::is_unread;
use mailstorm_record::{Settings, Violation};
use mailstorm_reports::numbered;
use mailstorm_scenarios::lessons::{self, Design, Lesson, Records, SEED};
use mailstorm_world::{RunSpec, with_settings};
use std::ops::ControlFlow;

/// Runs every design of these lessons, under its own faults and in so many storms.
pub(super) fn check(lessons: &[Lesson], storms: u64, jobs: usize) -> Result<ExitCode, Failure> {
    let (mut designs, mut wrong) = (0, 0);
    for lesson in lessons {
        let records = Records::of(lesson, SEED);
        for (design, held) in lesson.designs.iter().zip(records.held(lesson)) {
            if is_unread() {
                return Ok(ExitCode::Unknown);
            }
            designs += 1;
            let stormed =
                if storms == 0 { Ok(String::new()) } else { stormed(design, storms, jobs) };
            let (word, told) = match (held.is_as_expected(), stormed) {
                (true, Ok(stormed)) => {
                    let broke: Vec<String> =
                        held.broke_as_asked.iter().map(Violation::name).collect();
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
    crate::print(&format!(
        "{} of {}: {} as expected, {wrong} not\n",
        numbered(designs, "design"),
        numbered(lessons.len() as u64, "lesson"),
        designs - wrong
    ))?;
    Ok(if wrong == 0 { ExitCode::Pass } else { ExitCode::Violation })
}

/// How a design fares when its faults are drawn from seeds: a right one must hold under all of
/// them, a wrong one be found. A wrong one that they cannot find is told, since its fault may be
/// one that no storm draws.
fn stormed(design: &Design, storms: u64, jobs: usize) -> Result<String, String> {
    let drawn = Settings([(lessons::DRAWN_FAULTS.to_owned(), 1)].into());
    let scenario = with_settings(&design.scenario, &drawn).map_err(|error| error.to_string())?;
    let specs = (1..=storms).map(|seed| RunSpec::new(scenario.clone(), seed));
    let mut found = None;
    mailstorm_world::storm(specs, jobs, |run| {
        let first = run.outcome.violations().next();
        found = first.map(|v| (run.seed, format!("{}: {}", v.name(), v.detail)));
        if found.is_some() || is_unread() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
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
