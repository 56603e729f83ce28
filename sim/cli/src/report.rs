//! `mailstorm report`: recorded runs as a page that opens from disk, or in the formats of other
//! tools.
//!
//! Owns: which runs are shown, where the page is written, opening it. Leaves: the page to
//! `reports`, other formats to `export`.
//! Holds: a record that has its events is shown as it was recorded; any other run is run again, and
//! one that is another run than its file tells of is said to be.
//! Start at [`report`].

use crate::args::ReportArguments;
use crate::artifact::{is_terminal, put};
use crate::failure::{ExitCode, Failure};
use crate::given::quoted_path;
use crate::inbox;
use crate::one_run::{OneRun, Wanted};
use mailstorm_record::sentence::quantity;
use mailstorm_record::{NodeName, Run, spaced};
use mailstorm_reports::export::excerpt;
use mailstorm_reports::page::{Shown, page};
use mailstorm_reports::{numbered, verb};
use mailstorm_shared::harmless;
use mailstorm_shared::time_in_words::moment;
use mailstorm_world::{Recording, with_settings};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What the page of a run is called, beside the run's other files.
pub(crate) const FILE: &str = "report.html";

/// What a few messages of a run, to be pasted into an issue, are called, beside the run's other
/// files.
pub(crate) const EXCERPT: &str = "excerpt.md";

/// Makes the page, or what else is asked for, and says where it is.
pub(crate) fn report(arguments: &ReportArguments) -> Result<ExitCode, Failure> {
    let exports = &arguments.exports;
    exports.expect_sound(arguments.what.len(), arguments.out.as_deref())?;
    if arguments.what.len() > 1 {
        inbox::expect_readable_twice(arguments.given.inbox.as_deref(), "each run reads")?;
    }
    let runs =
        arguments.what.iter().map(|what| run_of(what, arguments)).collect::<Result<Vec<_>, _>>()?;
    let first = runs.first().expect("clap asks for at least one");
    let written = exports.write(&first.run, &first.again, first.missing.as_deref())?;
    if !written.is_empty() {
        let lines: String = written.iter().map(|file| quoted_path(file) + "\n").collect();
        // What goes to the terminal has it to itself.
        if exports.has_terminal() || is_terminal(arguments.out.as_deref()) {
            crate::tell(lines.trim_end());
        } else {
            crate::print(&lines)?;
        }
    }
    let differs = runs.iter().filter_map(|found| found.differs.as_deref());
    differs.clone().for_each(crate::tell);
    let code = if differs.count() > 0 { ExitCode::NotDeterministic } else { ExitCode::Pass };
    // Who asks for another format wants the page only when asking for it as well.
    if !exports.is_empty() && arguments.out.is_none() && !arguments.open {
        return Ok(code);
    }
    let file = arguments.out.clone().unwrap_or_else(|| first.place.clone());
    let replays: Vec<String> =
        runs.iter().map(|found| format!("mailstorm replay {}", found.again)).collect();
    let shown: Vec<Shown<'_>> = runs
        .iter()
        .zip(&replays)
        .map(|(Found { run, about, missing, .. }, replay)| Shown {
            run,
            about: about.as_deref(),
            replay,
            missing: missing.as_deref(),
        })
        .collect();
    put(&file, &page(&shown))?;
    if exports.has_terminal() {
        crate::tell(&quoted_path(&file));
    } else if !is_terminal(Some(&file)) {
        crate::print(&(quoted_path(&file) + "\n"))?;
    }
    if arguments.open && !is_terminal(Some(&file)) {
        open(&file);
    }
    Ok(code)
}

/// A run that is to be shown.
struct Found {
    run: Run,
    /// What stands after `mailstorm replay`.
    again: String,
    about: Option<String>,
    missing: Option<String>,
    /// That it was run again and is another run than its file tells of, if so.
    differs: Option<String>,
    /// Where its page belongs.
    place: PathBuf,
}

fn run_of(what: &OsStr, arguments: &ReportArguments) -> Result<Found, Failure> {
    let asked =
        OneRun { what: what.to_owned(), seed: arguments.seed, given: arguments.given.clone() };
    let (run, missing, differs) = match recorded(&asked)? {
        Some((run, missing)) => (run, missing, None),
        None => {
            let wanted = asked.wanted()?;
            let run = wanted.run(Recording::Full);
            let differs = wanted.differs_from(&run);
            (run, None, differs)
        }
    };
    let place = asked.beside(&run.scenario, run.seed, FILE);
    Ok(Found { about: about(&run), again: asked.again(run.inbox), run, missing, differs, place })
}

/// The run as it stands in this file, if that is a record that has events and nothing is asked for
/// that makes another run of it.
fn recorded(asked: &OneRun) -> Result<Option<(Run, Option<String>)>, Failure> {
    let OneRun { what, seed, given } = asked;
    let file = Path::new(what);
    let is_as_it_was = seed.is_none() && given.is_nothing_but_inbox() && given.inbox.is_none();
    if !is_as_it_was || file.extension().is_none_or(|end| end != "json") || !file.is_file() {
        return Ok(None);
    }
    let what = file.display().to_string();
    let what = harmless(&what);
    let text = fs::read_to_string(file)
        .map_err(|error| Failure::new(format!("cannot read {what}: {error}; check the path")))?;
    let (run, is_cut) = Run::parse_beginning(&text).map_err(|error| {
        Failure::new(format!("{what}: {error}; give a run.json that 'mailstorm storm' wrote"))
    })?;
    let Some(events) = &run.events else { return Ok(None) };
    let missing = is_cut.then(|| {
        let last_ns = events.last().map_or(0, |event| event.at_ns);
        format!(
            "This record is cut short: {} of it {} here, the last at {} of {}. Run it again for the rest.",
            numbered(events.len() as u64, "event"),
            verb(events.len() as u64, "is", "are"),
            moment(last_ns),
            moment(run.outcome.virtual_ns)
        )
    });
    if let Some(missing) = &missing {
        crate::tell(&format!("note: {what}: {missing}"));
    }
    Ok(Some((run, missing)))
}

/// What a run shows. What its scenario says of itself holds for its own size and its own faults; of
/// any other run it is told who took part in it, and with which settings.
fn about(run: &Run) -> Option<String> {
    let own = mailstorm_scenarios::find(&run.scenario, None)?;
    let has_own_faults = own.plan().is_none_or(|plan| plan == run.plan);
    if run.settings.is_empty() && has_own_faults {
        return Some(own.about().to_owned());
    }
    let as_run = with_settings(&own, &run.settings).ok();
    let cast = as_run.map(|scenario| scenario.outline().cast).filter(|cast| !cast.is_empty());
    let mut told = cast.unwrap_or_else(|| cast_of(&run.roles));
    let settings = run.settings.0.iter().map(|(name, value)| format!("{} {value}", spaced(name)));
    let settings: Vec<String> = settings.collect();
    if !settings.is_empty() {
        told += &format!(", with {}", settings.join(", "));
    }
    if !has_own_faults {
        told += ", under other faults than the lesson's";
    }
    Some(told)
}

/// Who took part, those of whom there are most first.
fn cast_of(roles: &BTreeMap<NodeName, String>) -> String {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for role in roles.values() {
        *counts.entry(role).or_default() += 1;
    }
    let mut counts: Vec<(&str, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| Reverse(*count));
    let all: Vec<String> = counts.into_iter().map(|(role, count)| quantity(count, role)).collect();
    match all.split_last() {
        Some((last, first)) if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => all.concat(),
    }
}

/// Writes the page of a run that is at hand. `again` is what stands after `mailstorm replay`.
pub(crate) fn write_page(run: &Run, again: &str, file: &Path) -> Result<(), Failure> {
    let (about, replay) = (about(run), format!("mailstorm replay {again}"));
    let shown = Shown { run, about: about.as_deref(), replay: &replay, missing: None };
    put(file, &page(&[shown]))
}

/// Runs it again, with everything recorded, and writes its page and its excerpt into this folder.
pub(crate) fn write_all_of(wanted: &Wanted, again: &str, folder: &Path) -> Result<(), Failure> {
    let run = wanted.run(Recording::Full);
    put(&folder.join(EXCERPT), &excerpt(&run, again))?;
    write_page(&run, again, &folder.join(FILE))
}

/// Shows a page in the browser. Where there is none, its path has been printed.
pub(crate) fn open(file: &Path) {
    open_at(file, "");
}

/// The same at the place in it that the fragment says, which begins with `#`.
pub(crate) fn open_at(file: &Path, fragment: &str) {
    // A path has no fragment; an address has, and is absolute.
    let address = match file.canonicalize() {
        Ok(file) if !fragment.is_empty() => format!("file://{}{fragment}", file.display()).into(),
        _ => file.as_os_str().to_owned(),
    };
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let started = Command::new(opener)
        .arg(address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    if let Err(error) = started {
        crate::tell(&format!(
            "note: cannot start a browser ({opener}: {error}); open the file yourself"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mailstorm_record::{Plan, Settings};
    use mailstorm_world::RunSpec;

    #[track_caller]
    fn check(scenario: &str, settings: &[(&str, u64)], plan: Option<Plan>, expected: &str) {
        let own = mailstorm_scenarios::find(scenario, None).unwrap();
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), *value));
        let scenario = with_settings(&own, &Settings(settings.collect())).unwrap();
        let run = mailstorm_world::run(&RunSpec { plan, ..RunSpec::new(scenario, 1) });
        assert_eq!(about(&run).as_deref(), Some(expected));
    }

    #[test]
    fn a_run_is_said_to_have_the_machines_and_settings_that_it_had() {
        let small = [("mails", 3), ("servers", 1), ("supervisors", 1), ("workers", 2)];
        let told = "one server and two workers, with mails 3, servers 1, supervisors 1, workers 2";
        check("mail-claims", &small, Some(Plan::default()), told);
        let told =
            "nine servers and two writers, with servers 9, under other faults than the lesson's";
        check("quorum-half/wrong", &[("servers", 9)], Some(Plan::default()), told);
        let own = mailstorm_scenarios::find("quorum-half/wrong", None).unwrap();
        check("quorum-half/wrong", &[], None, own.about());
    }
}
