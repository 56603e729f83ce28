//! `mailstorm diff`: two records of what should be one run, and the first event at which they part.
//!
//! Start at [`diff`].

use crate::args::DiffArguments;
use crate::artifact::{is_terminal, put};
use crate::failure::{ExitCode, Failure};
use mailstorm_record::Run;
use mailstorm_reports::Divergence;
use std::fs;
use std::path::{Path, PathBuf};

/// Compares them and tells what differs.
pub(crate) fn diff(arguments: &DiffArguments) -> Result<ExitCode, Failure> {
    let (a, b) = (read(&arguments.a)?, read(&arguments.b)?);
    expect_one_run(&a, &b)?;
    let divergence = Divergence::between(&a, &b);
    if let Some(file) = &arguments.json {
        let mut json = serde_json::to_string_pretty(&divergence)
            .expect("a divergence is plain data with string keys");
        json.push('\n');
        put(file, &json)?;
    }
    if !is_terminal(arguments.json.as_deref()) {
        crate::print(&format!("{} seed {}\n{}", a.scenario, a.seed, divergence.text()))?;
    }
    Ok(if divergence.same { ExitCode::Pass } else { ExitCode::NotDeterministic })
}

/// The record in this file, or in this folder, as `mailstorm storm` leaves one.
fn read(path: &Path) -> Result<Run, Failure> {
    let file = if path.is_dir() { path.join("run.json") } else { PathBuf::from(path) };
    let name = file.display();
    let text = fs::read_to_string(&file).map_err(|error| {
        Failure::new(format!(
            "cannot read {name}: {error}; give the file of a run, or the folder with its run.json"
        ))
    })?;
    Run::parse(&text).map_err(|error| {
        Failure::new(format!(
            "{name}: {error}; 'mailstorm replay SCENARIO --seed S --json FILE' makes a whole one"
        ))
    })
}

/// Whether the two should be the same: what was run is, and so is the version that ran it.
fn expect_one_run(a: &Run, b: &Run) -> Result<(), Failure> {
    let version = |run: &Run| match &*run.mailstorm {
        "" => "a version that does not say its number".to_owned(),
        version => format!("mailstorm {version}"),
    };
    if a.mailstorm != b.mailstorm {
        return Err(Failure::new(format!(
            "A was made by {} and B by {}: record both with the same version",
            version(a),
            version(b)
        )));
    }
    let what = |run: &Run| {
        let defect =
            run.defect.map(|defect| format!(" with {}", defect.name())).unwrap_or_default();
        let settings: String =
            run.settings.0.iter().map(|(name, value)| format!(" {name}={value}")).collect();
        format!("{} seed {}{defect}{settings}", run.scenario, run.seed)
    };
    let (is, other) = (what(a), what(b));
    if is != other {
        return Err(Failure::new(format!(
            "A is {is} and B is {other}: give two records of the same run"
        )));
    }
    Ok(())
}
