//! Two runs that should be one: `mailstorm diff` of their records, and `storm --verify` that looks
//! for them.

use crate::support::{Ended, mailstorm, run};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const PASS: Option<i32> = Some(0);
const USAGE: Option<i32> = Some(3);
const NOT_DETERMINISTIC: Option<i32> = Some(4);

/// A folder with the record of this run in `name`.
#[track_caller]
fn record(folder: &Path, name: &str, arguments: &[&str]) {
    let ended = run(folder, &[&["replay", "ensemble-3", "--json", name], arguments].concat());
    assert_eq!(ended.code, PASS, "{ended:?}");
}

/// Two records of the same run, `a/run.json` and `b.json`, the second changed by hand.
fn records(change: impl FnOnce(&mut Value)) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), "a/run.json", &["--seed", "1"]);
    let text = fs::read_to_string(folder.path().join("a/run.json")).unwrap();
    let mut value: Value = serde_json::from_str(&text).unwrap();
    change(&mut value);
    fs::write(folder.path().join("b.json"), value.to_string()).unwrap();
    folder
}

#[track_caller]
fn diff(folder: &Path, options: &[&str]) -> Ended {
    let ended = run(folder, &[&["diff", "a", "b.json"], options].concat());
    assert_eq!(ended.err, "", "{ended:?}");
    ended
}

#[test]
fn two_replays_of_a_seed_are_the_same_in_every_event() {
    let folder = records(|_| ());
    record(folder.path(), "b.json", &["--seed", "1"]);
    let ended = diff(folder.path(), &[]);
    assert_eq!(ended.code, PASS, "{ended:?}");
    assert!(ended.out.starts_with("ensemble-3 seed 1\nthe same, in all "), "{ended:?}");
    let json: Value = serde_json::from_str(&diff(folder.path(), &["--json", "-"]).out).unwrap();
    assert_eq!((&json["same"], &json["first"]), (&json!(true), &Value::Null));
}

#[test]
fn the_first_event_that_differs_is_named_with_its_neighbourhood() {
    let folder = records(|run| {
        run["events"][40] = json!({ "at_ns": 7, "node": "s2", "event": "phase", "name": "doubt" });
        run["outcome"]["states"] = json!("00000000000000aa");
    });
    let ended = diff(folder.path(), &["--json", "diff.json"]);
    assert_eq!(ended.code, NOT_DETERMINISTIC, "{ended:?}");
    for words in
        ["different  states, events", "first difference: event 41 (A has ", "---- doubt ----"]
    {
        assert!(ended.out.contains(words), "no '{words}' in {ended:?}");
    }
    let text = fs::read_to_string(folder.path().join("diff.json")).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["different"], json!(["states", "events"]));
    assert_eq!(json["first"]["event"], 41);
    assert_eq!(json["first"]["b"][0]["name"], "doubt");
    assert_eq!(json["first"]["a"][1], json["first"]["b"][1], "from there on they are the same");
    assert_eq!(json["first"]["before"].as_array().map(Vec::len), Some(8));
}

#[test]
fn records_without_events_are_compared_by_their_hashes() {
    let without = |run: &mut Value| _ = run.as_object_mut().unwrap().remove("events");
    let folder = records(without);
    let ended = diff(folder.path(), &[]);
    assert_eq!(ended.code, PASS, "{ended:?}");
    assert!(ended.out.contains("the same, as far as both are recorded"), "{ended:?}");
    let folder = records(|run| {
        without(run);
        run["outcome"]["draws"] = json!("1");
    });
    let ended = diff(folder.path(), &[]);
    assert_eq!(ended.code, NOT_DETERMINISTIC, "{ended:?}");
    assert!(ended.out.contains("different  draws\nB has no events: "), "{ended:?}");
}

#[test]
fn what_cannot_be_compared_is_refused_with_a_next_step() {
    let folder = records(|run| run["mailstorm"] = json!("7.0"));
    let at = folder.path();
    record(at, "seed.json", &["--seed", "2"]);
    record(at, "size.json", &["--seed", "1", "--set", "servers=2"]);
    let text = fs::read_to_string(at.join("a/run.json")).unwrap();
    fs::write(at.join("cut.json"), &text[..text.len() / 2]).unwrap();
    fs::write(at.join("later.json"), text.replace("\"format\": 2", "\"format\": 99")).unwrap();
    fs::write(at.join("binary.json"), [0, 159, 146, 150]).unwrap();
    fs::create_dir(at.join("empty")).unwrap();
    let cases: &[(&[&str], &[&str])] = &[
        (&["a"], &["<B>"]),
        (&["a", "absent.json"], &["cannot read absent.json", "give the file of a run"]),
        (&["empty", "a"], &["cannot read empty/run.json", "folder with its run.json"]),
        (&["a", "cut.json"], &["cut.json: not a record", "EOF", "'mailstorm replay"]),
        (&["binary.json", "a"], &["cannot read binary.json"]),
        (&["a", "later.json"], &["later.json: the record has format 99", "reads up to 2"]),
        (&["a", "b.json"], &["A was made by mailstorm 0", "B by mailstorm 7.0", "same version"]),
        (
            &["a", "seed.json"],
            &["A is ensemble-3 seed 1 and B is ensemble-3 seed 2", "two records"],
        ),
        (&["size.json", "a"], &["A is ensemble-3 seed 1 servers=2 and B is ensemble-3 seed 1:"]),
        (&["a", "a", "--json", "b.json/x"], &["cannot write b.json/x"]),
    ];
    let replayed = run(at, &["replay", "b.json"]);
    assert!(replayed.err.contains("note: b.json was written by mailstorm 7.0"), "{replayed:?}");
    for (arguments, words) in cases {
        let ended = run(at, &[&["diff"], *arguments].concat());
        assert_eq!(ended.code, USAGE, "{arguments:?}: {ended:?}");
        let is_one_line =
            ended.err.starts_with("error: ") && ended.err.trim_end().lines().count() == 1;
        assert!(is_one_line && !ended.err.contains("panicked"), "{arguments:?}: {ended:?}");
        for word in *words {
            assert!(ended.err.contains(word), "{arguments:?}: no '{word}' in {ended:?}");
        }
    }
}

#[test]
fn every_seed_of_a_storm_is_the_same_in_a_second_process() {
    const PLAN: &str =
        "[[faults]]\nat_ms = 900\nlasts_ms = 70\nkind.crash = { nodes = [\"s1\"] }\n";
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plan.toml"), PLAN).unwrap();
    fs::create_dir(folder.path().join("in")).unwrap();
    fs::write(folder.path().join("in/a.eml"), "Subject: a\n\nb\n").unwrap();
    // The second process has another working folder; what is given by relative paths must reach it.
    let options: [&[&str]; 3] = [
        &["ensemble-3", "--seeds", "7..36", "--jobs", "1"],
        &[
            "ensemble-3",
            "--seeds",
            "7..12",
            "--jobs",
            "3",
            "--set",
            "servers=2",
            "--plan",
            "plan.toml",
        ],
        &[
            "mail-claims",
            "--seeds",
            "1..6",
            "--inbox",
            "in",
            "--defect",
            "minority-quorum",
            "--no-shrink",
        ],
    ];
    for options in options {
        let ended = run(folder.path(), &[&["storm", "--verify", "all"], options].concat());
        let all = if options[2] == "7..36" { 30 } else { 6 };
        let line = format!("verified   {all} seeds in a second process: draws, traces, states, ");
        assert!(ended.err.contains(&line), "{options:?}: {ended:?}");
        assert_ne!(ended.code, NOT_DETERMINISTIC, "{options:?}: {ended:?}");
    }
}

/// A folder with an inbox of which one mail is the environment of whoever reads it, where a system
/// has such a file.
fn inbox_of_the_environment() -> Option<TempDir> {
    let environment = Path::new("/proc/self/environ");
    if !environment.exists() {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("in")).unwrap();
    fs::write(folder.path().join("in/a.eml"), "Subject: a\n\nb\n").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(environment, folder.path().join("in/b.eml")).unwrap();
    Some(folder)
}

#[test]
fn a_storm_into_which_the_environment_leaks_is_not_deterministic() {
    let Some(folder) = inbox_of_the_environment() else { return };
    let at = folder.path();
    let storm = ["storm", "mail-claims", "--seeds", "1..5", "--inbox", "in"];
    let ended = run(at, &[&storm[..], &["--verify", "4"]].concat());
    assert_eq!(ended.code, NOT_DETERMINISTIC, "{ended:?}");
    let differ = "NOT DETERMINISTIC  mail-claims seed 4: two processes differ in ";
    let compare =
        "compare  mailstorm diff runs/mail-claims/1/here.json runs/mail-claims/1/there.json";
    for words in [differ, compare, "NOT DETERMINISTIC  4 of 4 seeds differ in a second process"] {
        assert!(ended.err.contains(words), "no '{words}' in {ended:?}");
    }
    // The bytes of a mail reach no event: that the inbox differs is all that shows.
    let shown = ended.err.lines().filter(|line| line.ends_with("events are the same"));
    assert_eq!(shown.count(), 3, "only the first few are run once more: {ended:?}");
    let files = ["runs/mail-claims/1/here.json", "runs/mail-claims/1/there.json"];
    let again = run(at, &["diff", files[0], files[1]]);
    assert_eq!(again.code, NOT_DETERMINISTIC, "{again:?}");
    let told = again.out.split_once('\n').expect("its head is a line").1;
    assert!(ended.err.contains(told), "{told} is not in {ended:?}");
}

#[test]
fn a_second_process_that_fails_is_an_error_and_the_storm_is_not_lost() {
    if !Path::new("/proc/self/cwd").exists() {
        return;
    }
    // Only the first process has this inbox in its working folder.
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("in")).unwrap();
    fs::write(folder.path().join("in/a.eml"), "Subject: a\n\nb\n").unwrap();
    let inbox = "/proc/self/cwd/in";
    let arguments = ["storm", "--seeds", "1", "--verify", "all", "--inbox", inbox];
    let ended = run(folder.path(), &arguments);
    assert_eq!(ended.code, USAGE, "{ended:?}");
    let error = "error: cannot verify in a second process: it ended without an answer: error: cannot read \
                 the inbox /proc/self/cwd/in";
    assert!(ended.err.contains(error), "{ended:?}");
    assert!(ended.out.contains("1 seed: 1 pass"), "{ended:?}");
}

#[test]
fn an_order_that_is_none_ends_the_second_process() {
    let folder = tempfile::tempdir().unwrap();
    let orders = folder.path().join("orders");
    let order = r#"{"scenario":"hurricane","settings":{},"seed":1,"is_full":false}"#;
    for (text, said) in [("rubbish\n", "expected value"), (order, "unknown scenario 'hurricane'")] {
        fs::write(&orders, text).unwrap();
        let mut command = mailstorm(folder.path(), &["answer", "--jobs", "2"]);
        let ended = command.stdin(fs::File::open(&orders).unwrap()).output().unwrap();
        let error = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), USAGE, "{error}");
        assert!(error.starts_with("error: ") && error.contains(said), "{error}");
    }
}
