//! `mailstorm merge`: the results of a sweep's shards, joined to those of the whole sweep.
//!
//! Owns: reading the shards' folders, taking over the evidence of what was found first. Leaves:
//! what is one sweep, and adding it up, to `reports`.
//! Holds: nothing is written before all of it was found to be one whole sweep; a shard's folder is
//! only read.
//! Start at [`merge`].

use crate::args::MergeArguments;
use crate::artifact::write;
use crate::failure::{ExitCode, Failure};
use crate::folder;
use crate::given::find;
use crate::report;
use crate::results::{RESULT, code, deed, place, tell_next, tell_people, write_everything};
use crate::shrink::CASE_FILE;
use mailstorm_reports::{Deed, JoinError, Part, Results, Shard, Stop};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Joins, writes, and tells.
pub(crate) fn merge(arguments: &MergeArguments) -> Result<ExitCode, Failure> {
    let mut folders = BTreeMap::new();
    let mut parts = Vec::new();
    for folder in &arguments.folders {
        let results = read(folder)?;
        folders.insert(results.shard, folder.clone());
        parts.push((folder.display().to_string(), results));
    }
    let mut whole = Results::join(parts).map_err(|error| refused(&error))?;
    let out = &arguments.out;
    if let Some(folder) = folders.values().find(|folder| is_same(folder, out)) {
        return Err(Failure::new(format!(
            "{} is one of the shards: give another folder with --out",
            folder.display()
        )));
    }
    let json = arguments.json.as_deref();
    let claim = folder::claim(out, json)?;
    let names: Vec<&str> = whole.scenarios.iter().map(|part| &*part.terms.scenario).collect();
    claim.clear(&names)?;
    let mut failed = Ok(());
    for part in &mut whole.scenarios {
        if let Err(failure) = take_over(part, &folders, out) {
            part.stopped = Some(Stop::Failed(failure.to_string()));
            failed = failed.and(Err(failure));
        }
    }
    let summaries = whole.summaries(out);
    for (part, summary) in whole.scenarios.iter().zip(&summaries) {
        failed = failed.and(tell_people(json, summary, &deed_of(part)));
    }
    // Whatever cannot be written, the rest is.
    failed.and(write_everything(out, json, &mut whole))?;
    tell_next(json, &summaries, out)?;
    Ok(code(whole.ended()))
}

/// What the sweep did, as far as it is known without its inbox.
fn deed_of(part: &Part) -> Deed {
    let scenario = find(&part.terms.scenario, None, &part.terms.settings);
    let same = scenario.ok().filter(|scenario| scenario.inbox() == part.terms.inbox);
    let is_drawn = part.terms.plan.is_none();
    same.map_or_else(
        || Deed { is_drawn, ..Deed::default() },
        |scenario| deed(&*scenario, is_drawn && scenario.plan().is_none()),
    )
}

/// The result in this folder.
fn read(folder: &Path) -> Result<Results, Failure> {
    let file = folder.join(RESULT);
    let (shown, name) = (folder.display(), file.display());
    if !file.is_file() {
        let what = if folder.is_dir() { "holds no" } else { "is no folder with a" };
        return Err(Failure::new(format!(
            "{shown} {what} {RESULT}: give the folders that 'mailstorm storm --shard I/N --out DIR' wrote; a \
             storm that was killed leaves none"
        )));
    }
    let text = fs::read_to_string(&file)
        .map_err(|error| Failure::new(format!("cannot read {name}: {error}; check the path")))?;
    let results = Results::parse(&text).map_err(|error| {
        Failure::new(format!("{name}: {error}; run the shard again with this version"))
    })?;
    // They become paths below another folder.
    let is_name = |part: &&Part| folder::is_name(&part.terms.scenario);
    if let Some(part) = results.scenarios.iter().find(|part| !is_name(part)) {
        return Err(Failure::new(format!(
            "{name}: '{}' is no scenario's name; run the shard again",
            part.terms.scenario
        )));
    }
    Ok(results)
}

fn refused(error: &JoinError) -> Failure {
    let next = match error {
        JoinError::Different { .. } => {
            "give the shards of one sweep, run by one version with the same options"
        }
        JoinError::Twice { .. } => "give each shard once",
        JoinError::Missing { .. } => {
            "run it with 'mailstorm storm --shard I/N' and give its folder, too"
        }
    };
    Failure::new(format!("{error}; {next}"))
}

fn is_same(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// Copies what the shards kept of the first run of each kind of violation. What a shard's folder no
/// longer has is not pointed to.
fn take_over(
    part: &mut Part,
    folders: &BTreeMap<Shard, PathBuf>,
    out: &Path,
) -> Result<(), Failure> {
    let scenario = part.terms.scenario.clone();
    let (first, of) = (part.terms.seeds.0, folders.len() as u64);
    for group in part.tally.groups_mut().values_mut() {
        let seed = group.first_seed;
        let index = seed.checked_sub(first).map_or(1, |distance| distance % of + 1);
        let from = &folders[&Shard { index, of }];
        copy(
            &from.join(&scenario).join(seed.to_string()),
            &out.join(&scenario).join(seed.to_string()),
        )?;
        let taken = |file: &str| {
            let file = place(&scenario, seed, file);
            out.join(&file).is_file().then_some(file)
        };
        group.report = group.report.take().and_then(|_| taken(report::FILE));
        group.excerpt = group.excerpt.take().and_then(|_| taken(report::EXCERPT));
        let case = place(&scenario, seed, CASE_FILE);
        if let Some(shrunk) = &mut group.shrunk {
            if !out.join(&case).is_file() {
                write(&out.join(&case), shrunk.case.as_bytes())?;
            }
            shrunk.file = case;
        }
    }
    Ok(())
}

/// Copies the files of a folder, if there is one.
fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    let Ok(entries) = fs::read_dir(from) else { return Ok(()) };
    for entry in entries.filter_map(Result::ok) {
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let bytes = fs::read(entry.path()).map_err(|error| {
                let path = entry.path();
                Failure::new(format!("cannot read {}: {error}; check its rights", path.display()))
            })?;
            write(&to.join(entry.file_name()), &bytes)?;
        }
    }
    Ok(())
}
