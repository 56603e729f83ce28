//! Shrinking, as a command and after a sweep: what is left of a failing run, and what is refused.

use crate::command::{CASE, LYING_DISKS, check, folder_with};
use crate::support::run;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// The exit code of a run with a violation, and of a sweep with one.
const VIOLATION: Option<i32> = Some(1);

/// A storm in which one fault of six matters: what the leader logged alone has to be cut off when
/// it is back, and with this defect it is not.
const SIX_FAULTS: &str = "\
scenario = \"ensemble\"
seed = 2
defect = \"diff-for-trunc\"

[[faults]]
at_ms = 400
lasts_ms = 2345
kind.slow = { nodes = [\"s1\", \"s2\"], delay_ms = 37, kib_per_second = 0 }

[[faults]]
at_ms = 1234
lasts_ms = 777
kind.pause = { nodes = [\"c1\"] }

[[faults]]
at_ms = 3210
lasts_ms = 11111
kind.isolate = { nodes = [\"leader\"] }

[[faults]]
at_ms = 5000
lasts_ms = 3000
kind.drift = { nodes = [\"s4\"], ppm = 12345 }

[[faults]]
at_ms = 16000
lasts_ms = 2222
kind.disk_slow = { nodes = [\"s1\", \"s3\"], factor = 3 }

[[faults]]
at_ms = 20000
lasts_ms = 1000
kind.crash = { nodes = [\"s5\"] }
";

/// What a case may have at the most: so much is pasted into an issue without a thought.
const CASE_BYTES_MAX: usize = 1_500;

/// The result for machines of a shrink that ends by itself.
#[track_caller]
fn shrunk(folder: &Path, arguments: &[&str]) -> Value {
    let ended = run(folder, &[&["shrink"], arguments, &["--json", "-"]].concat());
    assert_eq!(ended.code, VIOLATION, "{arguments:?}: {ended:?}");
    let told: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(told["is_smallest"], true, "{told}");
    told
}

/// Replays a case file; demands that it shows this.
#[track_caller]
fn shows(folder: &Path, case: &str, fingerprint: &str) {
    let file = Path::new(case).file_stem().and_then(|stem| stem.to_str()).expect("a file");
    let json = format!("{file}-replayed.json");
    let replayed = run(folder, &["replay", case, "--json", &json]);
    assert_eq!(replayed.code, VIOLATION, "{replayed:?}");
    assert!(replayed.err.is_empty(), "{replayed:?}");
    let known_by: Vec<&str> = fingerprint.split('/').take(2).collect();
    let head = format!("VIOLATION  {}  seed ", known_by.join("/"));
    assert!(replayed.out.contains(&head), "no '{head}': {replayed:?}");
}

#[test]
fn a_failing_run_is_cut_down_to_a_case_that_is_small_replays_and_tells_its_story() {
    let folder = folder_with(&[("storm.toml", SIX_FAULTS)]);
    let at = folder.path();
    let ended = run(at, &["shrink", "storm.toml", "--out", "small.toml"]);
    assert_eq!(ended.code, VIOLATION, "{ended:?}");
    assert!(ended.out.starts_with("SHRUNK     ensemble seed 2 with diff-for-trunc: "), "{ended:?}");
    for words in ["  at ", "  of size  ", " -> ", "  replay   mailstorm replay small.toml"] {
        assert!(ended.out.contains(words), "no '{words}': {ended:?}");
    }
    let case = fs::read_to_string(at.join("small.toml")).unwrap();
    assert!(case.len() <= CASE_BYTES_MAX, "{case}");
    let faults = case.matches("[[faults]]").count();
    assert_eq!(faults, 1, "{case}");
    assert!(case.contains("kind.isolate = { nodes = [\"leader\"] }"), "{case}");
    // The story stands on top, with a line for each fault and one for what it led to.
    let story = case.lines().take_while(|line| line.starts_with("# at ")).count();
    assert_eq!(story, faults + 1, "{case}");
    let fingerprint = ended.out.lines().next().expect("a head").rsplit(": ").next();
    shows(at, "small.toml", fingerprint.expect("a fingerprint"));
    // What is smallest is its own smallest case.
    let again = shrunk(at, &["small.toml", "--out", "again.toml"]);
    assert_eq!(again["faults_before"], again["faults_after"], "{again}");
    assert_eq!(fs::read_to_string(at.join("again.toml")).unwrap(), case);
}

#[test]
fn the_same_search_with_more_jobs_finds_the_same_case() {
    let folder = folder_with(&[("storm.toml", SIX_FAULTS)]);
    let at = folder.path();
    let one = shrunk(at, &["storm.toml", "--jobs", "1", "--out", "1.toml"]);
    let many = shrunk(at, &["storm.toml", "--jobs", "5", "--out", "5.toml"]);
    assert_eq!(one["case"], many["case"]);
    assert_eq!(one["runs"], many["runs"]);
}

#[test]
fn a_sweep_that_fails_shrinks_by_itself_unless_told_not_to() {
    let folder = folder_with(&[("plan.toml", LYING_DISKS)]);
    let at = folder.path();
    let storm = ["storm", "ensemble-3", "--seeds", "1..3", "--defect", "minority-quorum"];
    let ended = run(at, &storm);
    assert_eq!(ended.code, VIOLATION, "{ended:?}");
    let shrunk = "  shrunk   mailstorm replay runs/ensemble-3/1/case.toml";
    assert!(ended.out.contains(shrunk), "{ended:?}");
    assert!(ended.out.contains("nothing goes wrong from outside"), "{ended:?}");
    let case = fs::read_to_string(at.join("runs/ensemble-3/1/case.toml")).unwrap();
    let fingerprint = case.lines().find_map(|line| line.strip_prefix("fingerprint = \""));
    shows(at, "runs/ensemble-3/1/case.toml", fingerprint.expect("it is kept for something"));
    let ended = run(at, &[&storm[..], &["--no-shrink", "--out", "other"]].concat());
    assert_eq!(ended.code, VIOLATION, "{ended:?}");
    assert!(!ended.out.contains("  shrunk   "), "{ended:?}");
    assert!(!at.join("other/ensemble-3/1/case.toml").exists());
    assert!(at.join("other/ensemble-3/1/run.json").exists());
}

#[test]
fn what_cannot_be_shrunk_is_refused_with_a_next_step() {
    let head = "scenario = \"ensemble-3\"\nseed = 5\n";
    let lost = format!("{head}fingerprint = \"quorum/lost/s\"\n");
    let other = format!("{head}fingerprint = \"quorum/lost/s\"\ndefect = \"minority-quorum\"\n");
    let folder = folder_with(&[
        ("passes.toml", CASE),
        ("lost.toml", &lost),
        ("other.toml", &other),
        (
            "later.toml",
            &CASE.replace("crash", "eclipse").replace("seed", "mailstorm = \"7.0\"\nseed"),
        ),
        ("note.txt", "hello\n"),
    ]);
    let at = folder.path();
    let full = run(at, &["replay", "ensemble-3", "--seed", "1", "--json", "run.json"]);
    assert_eq!(full.code, Some(0), "{full:?}");
    let record = fs::read_to_string(at.join("run.json")).unwrap();
    fs::write(at.join("short.json"), &record[..record.len() / 2]).unwrap();
    let cases: &[(&[&str], &[&str])] = &[
        (&["shrink"], &["<SCENARIO|FILE>"]),
        (&["shrink", "ensemble"], &["which seed of 'ensemble'?", "--seed"]),
        (
            &["shrink", "ensemble-3", "--seed", "5"],
            &["ensemble-3 seed 5 has no violation", "nothing to shrink", "give a seed that fails"],
        ),
        (&["shrink", "passes.toml"], &["has no violation", "give a seed that fails"]),
        (&["shrink", "run.json"], &["ensemble-3 seed 1 has no violation"]),
        (&["shrink", "lost.toml"], &["quorum/lost/s did not come again", "has no violation"]),
        (
            &["shrink", "other.toml"],
            &["quorum/lost/s did not come again", "now shows quorum/", "`fingerprint`"],
        ),
        (&["shrink", "short.json"], &["short.json: not a record", "give a run.json"]),
        (&["shrink", "later.toml"], &["later.toml:11: ", "`eclipse`", "written by mailstorm 7.0"]),
        (&["shrink", "note.txt"], &["note.txt: not a record"]),
        (&["shrink", "absent.json"], &["absent.json does not exist"]),
        (&["shrink", "ensemble", "--seed", "1", "--budget", "0s"], &["0s", "90s"]),
        (
            &["shrink", "ensemble", "--seed", "1", "--defect", "minority-quorums"],
            &["did you mean 'minority-quorum'?"],
        ),
        (
            &[
                "shrink",
                "ensemble",
                "--seed",
                "1",
                "--defect",
                "minority-quorum",
                "--out",
                "note.txt/x.toml",
            ],
            &["cannot write note.txt/x.toml"],
        ),
    ];
    for (arguments, words) in cases {
        check(at, arguments, words);
    }
}
