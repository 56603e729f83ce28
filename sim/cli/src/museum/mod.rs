//! `mailstorm museum`: the defects that can be planted, and how well the laboratory finds them.
//!
//! One *attempt* is one run of a scenario with the defect planted. The attempts of a defect are one
//! long sequence: they take its scenarios in turn, each with seeds 1, 2, 3, ... A *hunt* is a
//! stretch of that sequence that ends with the first violation or at the cap; the next hunt begins
//! with the attempt after it. So no two hunts of a defect share a run, every run is made once, and
//! the sound build has to pass seeds 1 to the highest that was used, scenario by scenario.
//! Leaves: what each defect is to the table of the package whose mistake it was.
//! Start at [`museum`]; `exhibit` has the table of the museum, `hunt` counts, `board` tells.

mod board;
mod exhibit;
mod guidance;
mod hunt;

use crate::args::MuseumArguments;
use crate::artifact::{expect_writable, is_terminal, put};
use crate::failure::{ExitCode, Failure};
use crate::given::{find, meant};
use crate::one_run::Wanted;
use crate::progress::now;
use crate::screen::is_unread;
use crate::shrink::{Asked, RUNS_MAX};
use crate::storm::processors;
use board::{Board, Row, Sound};
use exhibit::{Exhibit, TOUR};
use hunt::{Bounds, Hunts};
use mailstorm_record::{Run, Settings};
use mailstorm_shared::defect::DefectId;
use mailstorm_world::storm::{Source, storm};
use mailstorm_world::{Guided, RunSpec};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

/// Hunts the defects and prints the scoreboard, or only lists the exhibits.
pub(crate) fn museum(arguments: &MuseumArguments) -> Result<ExitCode, Failure> {
    if arguments.list {
        crate::screen::show(&exhibits())?;
        return Ok(ExitCode::Pass);
    }
    let mut wanted =
        arguments.defect.iter().map(|name| find_exhibit(name)).collect::<Result<Vec<_>, _>>()?;
    if wanted.is_empty() {
        wanted = TOUR.iter().collect();
    }
    // What cannot be written is known before the hours of hunting.
    let files = || {
        let named = [&arguments.json, &arguments.markdown].into_iter().flatten();
        named.filter(|file| !is_terminal(Some(file)))
    };
    files().try_for_each(|file| expect_writable(file))?;
    let has_files = files().next().is_some();
    let visit = Visit {
        bounds: Bounds { repeats: arguments.repeats, seeds: arguments.seeds },
        jobs: arguments.jobs.map_or_else(processors, usize::from),
        storms: Storms { has_all_faults: arguments.all_faults, is_guided: arguments.guided },
        // A board that nobody reads and that is not whole is of no use, unless it is written, too.
        is_over: if has_files { || false } else { is_unread },
    };
    let is_quiet = is_terminal(arguments.json.as_deref());
    let say = |line: &str| {
        if is_quiet {
            crate::tell(line.trim_end());
            Ok(())
        } else {
            crate::screen::show(line)
        }
    };
    if arguments.compare_guidance {
        let mut all = Vec::new();
        say(guidance::HEAD)?;
        for exhibit in wanted {
            let compared = guidance::compare(exhibit, visit)?;
            if (visit.is_over)() {
                return Ok(ExitCode::Unknown);
            }
            say(&compared.line())?;
            all.push(compared);
        }
        if let Some(file) = &arguments.markdown {
            put(file, &guidance::markdown(&all, visit.bounds))?;
        }
        return Ok(ExitCode::Pass);
    }
    say(&board::head())?;
    let mut board = Board {
        bounds: visit.bounds,
        shrink_seconds: arguments.shrink.map(|budget| budget.as_secs()),
        storms: visit.storms,
        rows: Vec::new(),
        sound: Vec::new(),
    };
    let mut used: BTreeMap<&'static str, u64> = BTreeMap::new();
    for exhibit in wanted {
        let mut row = hunt_one(exhibit, visit)?;
        if (visit.is_over)() {
            return Ok(ExitCode::Unknown);
        }
        for (scenario, seed) in row.hunts.used() {
            let highest = used.entry(scenario).or_default();
            *highest = seed.max(*highest);
        }
        if let Some(budget) = arguments.shrink {
            row.shrunk = shrink_first(&row, budget, visit)?;
        }
        say(&row.line())?;
        board.rows.push(row);
    }
    for (scenario, seeds) in used {
        let sound = run_sound(scenario, seeds, visit)?;
        if (visit.is_over)() {
            return Ok(ExitCode::Unknown);
        }
        say(&sound.line())?;
        board.sound.push(sound);
    }
    say(&board.foot())?;
    if let Some(file) = &arguments.json {
        put(file, &board.json())?;
    }
    if let Some(file) = &arguments.markdown {
        put(file, &board.markdown())?;
    }
    Ok(board.exit_code())
}

/// How a visit hunts.
#[derive(Clone, Copy)]
struct Visit {
    bounds: Bounds,
    /// How many seeds it runs at the same time.
    jobs: usize,
    storms: Storms,
    /// Whether nobody waits for what it finds.
    is_over: fn() -> bool,
}

/// Which storms defects are hunted in.
#[derive(Clone, Copy)]
struct Storms {
    /// Every storm has every kind of fault.
    has_all_faults: bool,
    /// Half of them vary what earlier ones of the same hunt came to.
    is_guided: bool,
}

impl Storms {
    /// Runs these and tells each, in order.
    fn sweep(self, specs: impl Source, jobs: usize, tell: impl FnMut(Run) -> ControlFlow<()>) {
        if self.is_guided {
            storm(Guided::new(specs), jobs, tell);
        } else {
            storm(specs, jobs, tell);
        }
    }

    /// This run in such a storm.
    fn of(self, spec: RunSpec) -> RunSpec {
        if self.has_all_faults { spec.with_every_fault() } else { spec }
    }
}

/// Hunts one defect as often as is asked for.
fn hunt_one(exhibit: &'static Exhibit, visit: Visit) -> Result<Row, Failure> {
    let Visit { bounds, jobs, storms, is_over } = visit;
    let names = exhibit.scenarios;
    let scenarios = names
        .iter()
        .map(|name| find(name, None, &Settings::default()))
        .collect::<Result<Vec<_>, _>>()?;
    let spec = |attempt| {
        let (place, seed) = hunt::attempt(attempt, scenarios.len());
        let spec = RunSpec::new(scenarios[place].clone(), seed);
        storms.of(RunSpec { defect: Some(exhibit.id()), ..spec })
    };
    let began = now();
    let mut hunts = Hunts::new(names, exhibit.right, bounds);
    while !hunts.are_over() && !is_over() {
        let specs = (hunts.attempts()..).map(spec);
        let tell = |run: Run| {
            hunts.add(run.outcome.violations(), storms.is_guided.then_some(&run.plan));
            // What a guided hunt has learnt is not for the next.
            let is_between = storms.is_guided && hunts.is_between();
            if hunts.are_over() || is_between || is_over() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        storms.sweep(specs, jobs, tell);
    }
    let seconds = now().duration_since(began).as_secs_f64();
    Ok(Row { exhibit, hunts, seconds, shrunk: None })
}

/// Shrinks the first find.
fn shrink_first(
    row: &Row,
    budget: Duration,
    visit: Visit,
) -> Result<Option<crate::shrink::Told>, Failure> {
    let Visit { jobs, storms, .. } = visit;
    let Some(first) = row.hunts.first_find() else { return Ok(None) };
    let mut wanted = Wanted {
        scenario: find(first.scenario, None, &Settings::default())?,
        seed: first.seed,
        defect: Some(row.exhibit.id()),
        plan: None,
        recorded: None,
        fingerprint: Some(first.fingerprint.clone()),
    };
    let drawn = || storms.of(wanted.spec()).plan();
    wanted.plan = Some(first.plan.clone().unwrap_or_else(drawn));
    let file = PathBuf::from("runs/museum").join(format!("{}.toml", row.exhibit.name()));
    let asked = Asked {
        wanted: &wanted,
        inbox: None,
        jobs,
        budget: Some(budget),
        runs_max: RUNS_MAX,
        from: None,
        file: &file,
    };
    asked.shrink().map(Some)
}

/// Runs the sound build on the seeds that were used.
fn run_sound(scenario: &'static str, seeds: u64, visit: Visit) -> Result<Sound, Failure> {
    let Visit { jobs, storms, is_over, .. } = visit;
    let found = find(scenario, None, &Settings::default())?;
    let specs = (1..=seeds).map(|seed| storms.of(RunSpec::new(found.clone(), seed)));
    let began = now();
    let mut sound = Sound { scenario, seeds, storms, violations: Vec::new(), seconds: 0.0 };
    storms.sweep(specs, jobs, |run| {
        let fired = run.outcome.violations().next();
        sound.violations.extend(fired.map(|violation| (run.seed, violation.fingerprint())));
        if is_over() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    sound.seconds = now().duration_since(began).as_secs_f64();
    Ok(sound)
}

/// The defect of this name.
pub(crate) fn find_defect(name: &str) -> Result<DefectId, Failure> {
    find_exhibit(name).map(Exhibit::id)
}

fn find_exhibit(name: &str) -> Result<&'static Exhibit, Failure> {
    Exhibit::named(name).ok_or_else(|| {
        let meant = meant(name, TOUR.iter().map(Exhibit::name));
        Failure::new(format!(
            "unknown defect '{name}': {meant}'mailstorm museum --list' lists them"
        ))
    })
}

/// Every exhibit: its name, its report, its sentence.
fn exhibits() -> String {
    let width = TOUR.iter().map(|exhibit| exhibit.name().len()).max().unwrap_or(0);
    let mut out = String::new();
    for Exhibit { defect, .. } in TOUR {
        let (name, report, line) = (defect.name, defect.report, defect.line);
        writeln!(out, "{name:width$}  {report}\n{:width$}  {line}", "")
            .expect("writing to a string cannot fail");
    }
    out
}
