//! What the architecture promises by absence, read off the manifests and the sources.

use crate::support::files;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Packages that are stepped and pure: no clock, no I/O, no randomness.
const PURE: [&str; 4] = ["core/shared", "core/wire", "core/session", "core/coordination"];
/// What none of them may depend on, directly or through a library.
const IMPURE: [&str; 12] = [
    "async-std",
    "futures-util",
    "getrandom",
    "madsim",
    "mio",
    "rand",
    "rand_chacha",
    "rand_core",
    "smol",
    "tempfile",
    "tokio",
    "turmoil",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn manifest(folder: &str) -> toml::Table {
    let path = root().join(folder).join("Cargo.toml");
    fs::read_to_string(&path).unwrap().parse().unwrap()
}

/// The packages of the workspace by folder, each with its normal dependencies.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let workspace = manifest(".");
    let members = workspace["workspace"]["members"].as_array().unwrap();
    members
        .iter()
        .map(|folder| {
            let folder = folder.as_str().unwrap();
            let manifest = manifest(folder);
            let names = manifest["dependencies"].as_table().unwrap().keys().cloned().collect();
            (folder.to_owned(), names)
        })
        .collect()
}

/// Every package of the lock file that `package` reaches.
fn reached_from(package: &str) -> BTreeSet<String> {
    let lock: toml::Table = fs::read_to_string(root().join("Cargo.lock")).unwrap().parse().unwrap();
    let mut graph: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for entry in lock["package"].as_array().unwrap() {
        let needs = entry.get("dependencies").and_then(|d| d.as_array()).into_iter().flatten();
        graph
            .entry(entry["name"].as_str().unwrap())
            .or_default()
            .extend(needs.map(|d| d.as_str().unwrap().split(' ').next().unwrap()));
    }
    let mut reached = BTreeSet::new();
    let mut open = vec![package];
    while let Some(name) = open.pop() {
        if reached.insert(name.to_owned()) {
            open.extend(graph.get(name).into_iter().flatten());
        }
    }
    reached
}

#[test]
fn pure_packages_reach_no_runtime_no_clock_and_no_randomness() {
    for folder in PURE {
        for name in &dependencies()[folder] {
            // The lock file does not tell normal from development dependencies of our own packages,
            // so those are followed through their manifests, which this loop covers one by one.
            if name.starts_with("mailstorm-") {
                continue;
            }
            let reached = reached_from(name);
            for impure in IMPURE {
                assert!(!reached.contains(impure), "{folder} reaches {impure} through {name}");
            }
        }
    }
}

#[test]
fn the_system_does_not_know_the_laboratory() {
    let laboratory = ["record", "checkers", "world", "shrink", "cli", "scenarios", "reports"];
    for (folder, names) in dependencies() {
        if folder.starts_with("core/") {
            for part in laboratory {
                assert!(!names.contains(&format!("mailstorm-{part}")), "{folder} names {part}");
            }
        }
    }
}

#[test]
fn the_host_knows_no_core_and_no_core_knows_a_host() {
    let dependencies = dependencies();
    for part in ["coordination", "session", "client", "mail"] {
        assert!(!dependencies["core/host"].contains(&format!("mailstorm-{part}")), "host: {part}");
    }
    for part in ["platform", "host"] {
        let names = &dependencies["core/coordination"];
        assert!(!names.contains(&format!("mailstorm-{part}")), "coordination names {part}");
    }
}

#[test]
fn only_the_world_names_the_simulator() {
    for (folder, names) in dependencies() {
        assert!(folder == "sim/world" || !names.contains("madsim"), "{folder} names madsim");
    }
}

#[test]
fn checkers_and_reports_know_records_and_not_the_simulator() {
    let dependencies = dependencies();
    for folder in ["sim/checkers", "sim/shrink", "reports", "sim/record"] {
        assert!(!dependencies[folder].contains("mailstorm-world"), "{folder} names the world");
        for part in ["platform", "host"] {
            assert!(
                !dependencies[folder].contains(&format!("mailstorm-{part}")),
                "{folder}: {part}"
            );
        }
    }
}

fn sources() -> Vec<(PathBuf, String)> {
    let below = |top: &str| {
        let folder = root().join(top);
        files(&folder).into_iter().map(move |name| folder.join(name))
    };
    let all = ["core", "sim", "scenarios", "reports", "tests"].into_iter().flat_map(below);
    let all = all.filter(|path| path.extension().is_some_and(|e| e == "rs"));
    let found: Vec<_> = all.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect();
    assert!(found.len() > 50, "the walk must find the sources");
    found
}

#[test]
fn sources_hold_no_unfinished_or_silenced_places() {
    // Spelt in halves, so that this file does not find itself.
    let unwanted =
        [["#[ig", "nore"], ["to", "do!("], ["unimpl", "emented!("], ["FIX", "ME"], ["XX", "X"]];
    for (path, text) in sources() {
        for halves in unwanted {
            assert!(!text.contains(&halves.concat()), "{}: {}", path.display(), halves.concat());
        }
    }
}

#[test]
fn every_file_opens_with_what_it_is_about() {
    for (path, text) in sources() {
        assert!(text.starts_with("//!"), "{} has no head comment", path.display());
    }
}

#[test]
fn every_dependency_is_accounted_for() {
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for name in manifest(".")["workspace"]["dependencies"].as_table().unwrap().keys() {
        assert!(
            name.starts_with("mailstorm-") || architecture.contains(&format!("`{name}`")),
            "ARCHITECTURE.md does not say why {name} is there"
        );
    }
}
