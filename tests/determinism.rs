//! The same seed gives the same run: in two processes, with one thread or two, recorded or not.

use crate::support::run;
use serde_json::Value;
use std::path::Path;

#[track_caller]
fn replayed(seed: &str) -> String {
    let ended = run(Path::new("."), &["replay", "mail-claims", "--seed", seed]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.trace().to_owned()
}

/// Storms with these options, in a folder of its own; the results as machines get them.
#[track_caller]
fn stormed(options: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = vec!["storm", "mail-claims", "--json", "results.json"];
    arguments.extend(options);
    let ended = run(folder.path(), &arguments);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let text = std::fs::read_to_string(folder.path().join("results.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_seed_gives_the_same_trace_in_two_processes_and_another_seed_another() {
    let first = replayed("3");
    assert_eq!(first, replayed("3"));
    assert_ne!(first, replayed("4"));
}

#[test]
fn a_replay_in_another_process_agrees_with_the_storm() {
    // The storm itself compares the traces, and exits with 4 when they differ.
    let results = stormed(&["--seeds", "3..5", "--verify", "2"]);
    assert_eq!((&results["pass"], &results["verified"]), (&3.into(), &2.into()));
}

#[test]
fn the_joint_trace_does_not_depend_on_the_number_of_threads() {
    let one = stormed(&["--seeds", "5..10", "--jobs", "1"]);
    let two = stormed(&["--seeds", "5..10", "--jobs", "2"]);
    assert_eq!(one["trace_hash"], two["trace_hash"]);
    for figure in ["messages", "bytes", "events", "virtual_seconds", "reached", "faults", "figures"]
    {
        assert_eq!(one[figure], two[figure], "{figure}");
    }
    let others = stormed(&["--seeds", "5..9", "--jobs", "2"]);
    assert_ne!(one["trace_hash"], others["trace_hash"]);
}

#[test]
fn a_guided_sweep_does_not_depend_on_the_number_of_threads_or_on_the_process() {
    let guided = ["--seeds", "1..40", "--guided"];
    let one = stormed(&[&guided[..], &["--jobs", "1"]].concat());
    let two = stormed(&[&guided[..], &["--jobs", "2", "--verify", "all"]].concat());
    assert_eq!(one["trace_hash"], two["trace_hash"]);
    let plain = stormed(&["--seeds", "1..40"]);
    assert_ne!(one["trace_hash"], plain["trace_hash"], "no run was guided");
}

#[test]
fn a_run_read_back_from_its_record_has_the_same_trace() {
    let folder = tempfile::tempdir().unwrap();
    let replay = |arguments: &[&str]| {
        let ended = run(folder.path(), arguments);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.trace().to_owned()
    };
    // The faults of some of these end before the storm does.
    for seed in ["44", "46", "48"] {
        let first = replay(&["replay", "mail-claims", "--seed", seed, "--json", "run.json"]);
        assert_eq!(first, replay(&["replay", "run.json"]), "seed {seed}");
    }
}
