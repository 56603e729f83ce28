//! The folder of a sweep's results: one sweep at a time, and nothing in it that looks like
//! another's.
//!
//! Owns: the lock, and what becomes of an earlier sweep's results and runs. Leaves: what is written
//! to `results` and `storm`.
//! Holds: a folder has one writer; the runs of an earlier sweep of a scenario are set aside, never
//! mixed with those of this one; nobody else's are touched.
//! Start at [`claim`].

use crate::artifact::{self, is_terminal};
use crate::failure::Failure;
use crate::results::{self, RESULT};
use mailstorm_reports::{Results, numbered};
use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::path::{Component, Path};

/// Where the runs of an earlier sweep go, one generation of them.
pub(crate) const EARLIER: &str = "earlier";
/// Names in the folder that are not those of a scenario.
const TAKEN: [&str; 2] = [EARLIER, "learn"];
/// Held as long as somebody writes into the folder. The system gives it up when its holder ends,
/// however that ends.
const LOCK: &str = ".lock";
/// What a sweep leaves of a run. Only a folder with one of them is a run's.
const OF_A_RUN: [&str; 6] =
    ["run.json", "plan.toml", "case.toml", "report.html", "excerpt.md", "here.json"];

/// The right to write into a folder, and the sums for machines elsewhere, until it is dropped.
pub(crate) struct Claim<'a> {
    _lock: File,
    out: &'a Path,
    /// The file of the sums, if they are not for the terminal.
    sums: Option<&'a Path>,
}

/// Makes the folder, and claims it. What stands there stays, and so does what is in the file of the
/// sums.
pub(crate) fn claim<'a>(out: &'a Path, json: Option<&'a Path>) -> Result<Claim<'a>, Failure> {
    let sums = json.filter(|file| !is_terminal(Some(file)));
    sums.map_or(Ok(()), |file| expect_not_of_a_sweep(out, file))?;
    let lock = lock(out)?;
    sums.map_or(Ok(()), artifact::expect_writable)?;
    Ok(Claim { _lock: lock, out, sums })
}

/// Makes the folder, if nobody else writes there.
fn lock(out: &Path) -> Result<File, Failure> {
    fs::create_dir_all(out).map_err(|error| Failure::writing(out, &error))?;
    let file = out.join(LOCK);
    let lock = File::options().append(true).create(true).open(&file);
    let lock = lock.map_err(|error| Failure::writing(&file, &error))?;
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => Err(Failure::new(format!(
            "another storm writes into {}: wait until it ends, or give another folder with --out",
            out.display()
        ))),
        // A file system that knows no locks cannot tell of another storm.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(lock),
    }
}

/// Refuses to write the sums for machines over a file of this sweep's folder, or of another's.
fn expect_not_of_a_sweep(out: &Path, json: &Path) -> Result<(), Failure> {
    let is_ours = |name: &str| name == LOCK || results::FILES.contains(&name);
    let name = json.file_name().and_then(|name| name.to_str());
    if !name.is_some_and(is_ours) {
        return Ok(());
    }
    let folder = match json.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // A folder that is not there yet has only its name as given.
    let same = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.components().collect());
    if same(folder) != same(out) && !folder.join(LOCK).exists() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "--json {} would replace a file of a storm's folder: give another name, as {}",
        json.display(),
        folder.join("sums.json").display()
    )))
}

impl Claim<'_> {
    /// Takes the results of an earlier sweep away, and sets the runs aside of the scenarios that
    /// are run now. Those of others stay where they are: what was printed of them still holds.
    pub(crate) fn clear(&self, scenarios: &[&str]) -> Result<(), Failure> {
        set_all_aside(self.out, scenarios)?;
        for file in results::FILES.map(|name| self.out.join(name)) {
            artifact::remove(&file).map_err(|error| Failure::writing(&file, &error))?;
        }
        self.forget_sums()
    }

    /// Takes only the sums for machines away, for a sweep that goes on.
    pub(crate) fn forget_sums(&self) -> Result<(), Failure> {
        self.sums.map_or(Ok(()), artifact::forget)
    }
}

/// Sets the runs of these scenarios aside, and says so.
fn set_all_aside(out: &Path, scenarios: &[&str]) -> Result<(), Failure> {
    let (mut moved, mut gone) = (0, 0);
    for name in scenarios {
        let (from, to) = (out.join(name), out.join(EARLIER).join(name));
        let before = runs_in(&to).len();
        let runs = set_aside(&from, &to)?;
        moved += runs;
        gone += if runs > 0 { before } else { 0 };
    }
    if moved > 0 {
        let runs = numbered(moved as u64, "run");
        let place = out.join(EARLIER);
        let gone = match gone {
            0 => String::new(),
            1 => ", in place of 1 that was there".to_owned(),
            gone => format!(", in place of {gone} that were there"),
        };
        crate::tell(&format!(
            "note: {runs} of an earlier storm moved to {}{gone}",
            place.display()
        ));
    }
    Ok(())
}

/// Moves the folders of runs, and returns how many there are. Those that were moved before make
/// room for them.
fn set_aside(from: &Path, to: &Path) -> Result<usize, Failure> {
    let runs = runs_in(from);
    if runs.is_empty() {
        return Ok(0);
    }
    let moved = || {
        for old in runs_in(to) {
            fs::remove_dir_all(to.join(old))?;
        }
        fs::create_dir_all(to)?;
        runs.iter().try_for_each(|run| fs::rename(from.join(run), to.join(run)))
    };
    moved().map_err(|error: std::io::Error| {
        Failure::new(format!(
            "cannot move the earlier runs of {} to {}: {error}; give another folder with --out",
            from.display(),
            to.display()
        ))
    })?;
    // It goes if nothing else is in it.
    let _ = fs::remove_dir(from);
    Ok(runs.len())
}

/// The folders of runs in this one: named by a seed, with something in it that a sweep has left.
fn runs_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let is_run = |name: &String| {
        let holds = |file: &&str| folder.join(name).join(file).is_file();
        name.parse::<u64>().is_ok() && OF_A_RUN.iter().any(holds)
    };
    let mut runs: Vec<String> = names.filter(is_run).collect();
    runs.sort();
    runs
}

/// Whether a scenario's name can become a path below the folder.
pub(crate) fn is_name(name: &str) -> bool {
    let is_below = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    !name.is_empty() && is_below
}

/// Two scenarios of one name would lie in one place, as would one that is named like something else
/// here.
pub(crate) fn expect_places(names: &[&str]) -> Result<(), Failure> {
    let mut seen = BTreeSet::new();
    for name in names {
        if TAKEN.contains(name) {
            return Err(Failure::new(format!(
                "no scenario can be named '{name}': its results would lie where others do; rename it in its file"
            )));
        }
        if !seen.insert(name) {
            return Err(Failure::new(format!(
                "the scenario '{name}' is there twice: give it once, or another name in its file"
            )));
        }
    }
    Ok(())
}

/// Refuses to go on in a folder where no storm has been, before anything is made there.
pub(crate) fn expect_begun(out: &Path) -> Result<(), Failure> {
    if out.join(LOCK).exists() { Ok(()) } else { earlier_result(out).map(drop) }
}

/// The result that lies in the folder, to go on with it.
pub(crate) fn earlier_result(out: &Path) -> Result<Results, Failure> {
    let file = out.join(RESULT);
    let shown = file.display();
    let text = fs::read_to_string(&file).map_err(|error| {
        Failure::new(format!("cannot read {shown}: {error}; without --resume a storm begins again"))
    })?;
    Results::parse(&text).map_err(|error| {
        Failure::new(format!("{shown}: {error}; without --resume a storm begins again"))
    })
}

/// Whether the result of this sweep lies in the folder, or one that it went on from.
pub(crate) fn holds_result_of(out: &Path, results: &Results) -> bool {
    let is_of_it =
        |found: Results| found.shard == results.shard && found.difference(results).is_none();
    earlier_result(out).is_ok_and(is_of_it)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mailstorm_reports::{Part, Tally, Terms, WallClock};

    #[test]
    fn one_generation_of_earlier_runs_is_kept_and_nothing_else_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path();
        let put = |file: &str| artifact::write(&out.join(file), file.as_bytes()).unwrap();
        for file in
            ["a/b/7/run.json", "a/b/9/case.toml", "a/b/notes/x", "a/b/8/mine", "c/1/run.json"]
        {
            put(file);
        }
        let clear = |scenarios: &[&str]| claim(out, None).unwrap().clear(scenarios).unwrap();
        clear(&["a/b"]);
        let is_there = |file: &str| out.join(file).is_file();
        assert!(is_there("earlier/a/b/7/run.json") && is_there("earlier/a/b/9/case.toml"));
        assert!(!out.join("a/b/7").exists() && !out.join("a/b/9").exists());
        assert!(is_there("a/b/notes/x") && is_there("a/b/8/mine") && is_there("c/1/run.json"));
        put("a/b/5/run.json");
        clear(&["a/b", "c"]);
        assert!(is_there("earlier/a/b/5/run.json") && !out.join("earlier/a/b/7").exists());
        assert!(is_there("earlier/c/1/run.json") && !out.join("c").exists());
    }

    #[test]
    fn the_runs_and_cases_of_scenarios_that_are_not_swept_stay_where_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path();
        let mut results = Results::new(mailstorm_reports::Shard::WHOLE);
        results.scenarios = ["a", "b/wrong"].map(swept).into();
        artifact::write(&out.join(RESULT), results.to_json().as_bytes()).unwrap();
        for file in ["a/3/case.toml", "b/wrong/1/case.toml"] {
            artifact::write(&out.join(file), b"").unwrap();
        }
        claim(out, None).unwrap().clear(&["b/wrong"]).unwrap();
        assert!(out.join("a/3/case.toml").is_file(), "nobody swept 'a'");
        assert!(out.join("earlier/b/wrong/1/case.toml").is_file());
        assert!(!out.join(RESULT).exists());
    }

    /// A sweep of this scenario that came to nothing.
    fn swept(name: &str) -> Part {
        Part {
            terms: Terms {
                scenario: name.to_owned(),
                seeds: (1, 1),
                settings: Default::default(),
                inbox: None,
                defect: None,
                plan: None,
                all_faults: false,
            },
            tally: Tally::new(name, []),
            wall: WallClock { wall_seconds: 0.0, jobs: 1 },
            left_out: Default::default(),
            doubts: Default::default(),
            asked: Some(1),
            stopped: None,
            is_joined: false,
        }
    }

    #[test]
    fn a_folder_has_one_writer_until_that_one_ends() {
        let folder = tempfile::tempdir().unwrap();
        let first = claim(folder.path(), None).unwrap();
        let Err(second) = claim(folder.path(), None) else { panic!("two writers") };
        assert!(second.to_string().contains("another storm writes into"), "{second}");
        drop(first);
        claim(folder.path(), None).unwrap();
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_none() {
        for wrong in ["", "..", "../x", "/x", "a/../../b"] {
            assert!(!is_name(wrong), "{wrong}");
        }
        assert!(is_name("a/b"));
        expect_places(&["a", "a/b"]).unwrap();
        for wrong in [&["a", "a"][..], &["earlier"], &["learn"]] {
            expect_places(wrong).unwrap_err();
        }
    }
}
