//! Seeds that once found something: each is run again, for ever.
//!
//! They are listed in `regressions/<scenario>.toml`, with a line on what they found. A seed means a
//! storm only together with the code that draws it; so what a seed found is also tested where it was.

use crate::support::expect_pass;
use mailstorm_world::{RunSpec, run};
use serde::Deserialize;
use std::fs;
use std::path::Path;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Regressions {
    seed: Vec<Regression>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Regression {
    seed: u64,
    found: String,
}

#[test]
fn seeds_that_once_found_something_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../regressions");
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "the list must be found");
    for file in files {
        let name = file.file_stem().and_then(|stem| stem.to_str()).expect("named by a scenario");
        let scenario = mailstorm_scenarios::find(name, None)
            .unwrap_or_else(|| panic!("{}: no such scenario", file.display()));
        let text = fs::read_to_string(&file).unwrap();
        let list: Regressions =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        for Regression { seed, found } in list.seed {
            assert!(!found.trim().is_empty(), "{}: seed {seed} tells nothing", file.display());
            expect_pass(&run(&RunSpec::new(scenario.clone(), seed)), &found);
        }
    }
}
