//! Storms that once found something: each is run again, for ever.
//!
//! Each is a case file in `regressions/`, so `mailstorm replay regressions/FILE` runs it as well;
//! its first line tells what it found. A case holds the faults themselves, so it remains the storm
//! that it was when storms are drawn in another way.

use crate::support::expect_pass;
use mailstorm_record::Case;
use mailstorm_world::{RunSpec, run};
use std::fs;
use std::path::Path;

#[test]
fn storms_that_once_found_something_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../regressions");
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "the cases must be found");
    for file in files {
        let name = file.display().to_string();
        let text = fs::read_to_string(&file).unwrap();
        let found = text.lines().next().and_then(|line| line.strip_prefix("# Found: "));
        let found = found.unwrap_or_else(|| panic!("{name}: the first line tells what it found"));
        let head = Case::head(&text, &name).unwrap();
        let scenario = mailstorm_scenarios::find(&head.scenario, None)
            .unwrap_or_else(|| panic!("{name}: no such scenario"));
        let case = Case::read(&text, &name, &scenario.topology().names()).unwrap();
        assert_eq!((case.settings.0.len(), case.defect), (0, None), "{name}: more than a storm");
        let plan = Some(case.plan);
        let run = run(&RunSpec { plan, ..RunSpec::new(scenario, case.seed) });
        expect_pass(&run, found);
    }
}
