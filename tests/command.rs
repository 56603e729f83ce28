//! The command line: what it answers, what it refuses, and with which exit code.

use crate::support::{Ended, Server, free_port, run, unread};
use mailstorm_client::defect::Defect as Recipes;
use mailstorm_coordination::defect::Defect as Coordination;
use mailstorm_mail::defect::Defect as Mail;
use mailstorm_record::{Case, Run};
use mailstorm_session::defect::Defect as Session;
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

const PASS: Option<i32> = Some(0);
const VIOLATION: Option<i32> = Some(1);
const USAGE: Option<i32> = Some(3);

/// A plan under which no service could keep its word: all disks lie, then all machines lose power.
pub(crate) const LYING_DISKS: &str = "\
lifts_atlas = true

[[faults]]
at_ms = 0
lasts_ms = 20000
kind.sync_lies = { nodes = [\"s1\", \"s2\", \"s3\", \"s4\", \"s5\"] }

[[faults]]
at_ms = 12000
lasts_ms = 2000
kind.power_cut = { nodes = [\"s1\", \"s2\", \"s3\", \"s4\", \"s5\"] }
";

/// A case as a person might write it.
pub(crate) const CASE: &str = "\
scenario = \"ensemble-3\"
seed = 5
[settings]
clients = 2
servers = 2

[[faults]]
at_ms = 1000
lasts_ms = 0
kind.crash = { nodes = [\"s2\"] }
";

pub(crate) fn folder_with(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("below the folder")).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// The one line that says what is wrong: exit code 3, one `error: `, no panic. Returns it.
#[track_caller]
pub(crate) fn refused(folder: &Path, arguments: &[&str]) -> String {
    let ended = run(folder, arguments);
    assert_eq!(ended.code, USAGE, "{arguments:?}: {ended:?}");
    assert!(!ended.err.contains("panicked"), "{arguments:?}: {ended:?}");
    assert!(!ended.out.contains("panicked"), "{arguments:?}: {ended:?}");
    let errors: Vec<_> = ended.err.lines().filter(|line| line.starts_with("error: ")).collect();
    let [error] = errors[..] else { panic!("{arguments:?}: not one error: {ended:?}") };
    // A server has a log besides.
    if arguments[0] != "serve" || arguments.len() < 4 {
        assert_eq!(ended.err.trim_end(), error, "{arguments:?}");
    }
    error.to_owned()
}

/// As [`refused`], and the line has all of these words.
#[track_caller]
pub(crate) fn check(folder: &Path, arguments: &[&str], words: &[&str]) {
    let error = refused(folder, arguments);
    for word in words {
        assert!(error.contains(word), "{arguments:?}: no '{word}' in: {error}");
    }
}

#[test]
fn what_cannot_be_stormed_is_refused_with_a_next_step() {
    let folder = folder_with(&[
        ("note.txt", "hello\n"),
        ("empty/.keep", ""),
        ("a.eml", "Subject: x\n\n"),
        ("void.mbox", ""),
        ("binary", "\u{0}\u{1}\u{2}"),
    ]);
    let at = folder.path();
    let cases: &[(&[&str], &[&str])] = &[
        (&["storm", "mail-claim"], &["'mail-claim'", "did you mean 'mail-claims'?"]),
        (&["storm", "mail-claims", "ensembel"], &["did you mean 'ensemble'?"]),
        (&["storm", "hurricane"], &["'hurricane'", "'mailstorm scenarios' lists them"]),
        (&["storm", ""], &["unknown scenario"]),
        (&["storm", "--seeds", "5..1"], &["5..1", "the range is empty"]),
        (&["storm", "--seeds", "few"], &["few", "expected a count like 200"]),
        (&["storm", "--seeds", "0"], &["no seed at all"]),
        (&["storm", "--seeds", "1..99999999999999999999"], &["99999999999999999999"]),
        (&["storm", "--seeds=-1"], &["-1"]),
        (&["storm", "--for", "10"], &["10", "expected something like 90s"]),
        (&["storm", "--jobs", "0"], &["0"]),
        (&["storm", "--verify", "most"], &["most"]),
        (&["storm", "--defect", "ack-before-sink"], &["did you mean 'ack-before-sync'?"]),
        (&["storm", "--defect", "hunger"], &["'hunger'", "'mailstorm museum --list' lists them"]),
        (&["storm", "--inbox", "absent"], &["cannot read the inbox absent", "give an mbox file"]),
        (&["storm", "--inbox", "empty"], &["empty holds no mail: 1 with a leading dot: .keep"]),
        (&["storm", "--inbox", "void.mbox"], &["the inbox void.mbox is empty: give an mbox file"]),
        (&["storm", "--inbox", "-"], &["the inbox stdin is empty"]),
        (
            &["storm", "--inbox", "-", "--verify", "1"],
            &["the second process of --verify reads the inbox again", "save it to a file first"],
        ),
        (&["storm", "--inbox", "a.eml", "--inbox-digest", "1"], &["no digest: expected 16 digits"]),
        (
            &["storm", "--inbox", "a.eml", "--inbox-digest", "0123456789abcdef"],
            &["the inbox a.eml has changed: its digest was 0123456789abcdef and is "],
        ),
        (
            &["report", "mail-claims", "mail-claims", "--seed", "1", "--inbox", "-"],
            &["each run reads the inbox again", "save it to a file first"],
        ),
        (&["inbox", "note.txt"], &["note.txt is no mbox and no mail"]),
        (&["storm", "--inbox", "note.txt"], &["note.txt is no mbox"]),
        (&["storm", "--inbox", "binary"], &["binary is no mbox"]),
        (&["storm", "--set", "servers"], &["expected something like servers=9"]),
        (&["storm", "--set", "server=9"], &["did you mean 'servers'?", "unknown setting"]),
        (&["storm", "--set", "servers=10"], &["`servers` cannot be 10", "expected 1 to 9"]),
        (&["storm", "ensemble", "--set", "mails=9"], &["unknown setting", "clients", "'ensemble'"]),
        (&["storm", "--guided", "--plan", "p.toml"], &["--guided", "--plan"]),
        (&["storm", "--guided", "--shard", "1/2"], &["--guided", "--shard"]),
        (
            &["storm", "quorum-half/wrong", "--guided"],
            &["'quorum-half/wrong' has a plan", "storm it without --guided"],
        ),
        (&["frobnicate"], &["frobnicate", "'--help' says more"]),
        (&["strom"], &["'strom'", "'storm'"]),
        (&["storm", "--frobnicate"], &["--frobnicate"]),
        (&["completions"], &["<SHELL>"]),
        (&["completions", "abacus"], &["abacus"]),
    ];
    for (arguments, words) in cases {
        check(at, arguments, words);
    }
}

#[test]
fn a_broken_plan_is_told_with_its_file_its_line_and_what_was_expected() {
    const HEAD: &str = "[[faults]]\nat_ms = 1\n";
    let folder = folder_with(&[
        ("kind.toml", &format!("{HEAD}kind.crsh = {{ nodes = [\"s1\"] }}\n")),
        ("node.toml", &format!("\n\n{HEAD}lasts_ms = 9\nkind.crash = {{ nodes = [\"s9\"] }}\n")),
        ("key.toml", &format!("{HEAD}colour = 2\nkind.crash = {{ nodes = [\"s1\"] }}\n")),
        ("missing.toml", HEAD),
        ("syntax.toml", "[[faults]\n"),
        ("binary.toml", "\u{0}\u{1}"),
        ("number.toml", "[[faults]]\nat_ms = -1\nkind.crash = { nodes = [\"s1\"] }\n"),
        ("atlas.toml", &LYING_DISKS.replace("lifts_atlas = true", "")),
        ("folder/.keep", ""),
    ]);
    fs::write(folder.path().join("latin.toml"), b"# \xe4\n").unwrap();
    let cases: &[(&str, &[&str])] = &[
        ("kind.toml", &["kind.toml:3: ", "`crsh`", "expected one of", "`crash`"]),
        ("node.toml", &["node.toml:3: ", "`s9`", "does not exist", "s1, s2"]),
        ("key.toml", &["key.toml:3: ", "`colour`", "expected one of"]),
        ("missing.toml", &["missing.toml:1: ", "missing field `kind`"]),
        ("syntax.toml", &["syntax.toml:1: "]),
        ("binary.toml", &["binary.toml:1: "]),
        ("number.toml", &["number.toml:2: ", "-1"]),
        ("atlas.toml", &["atlas.toml:3: ", "expected `lifts_atlas = true`"]),
        ("latin.toml", &["cannot read the plan latin.toml"]),
        ("folder", &["cannot read the plan folder"]),
        ("absent.toml", &["cannot read the plan absent.toml", "check the path"]),
    ];
    for (plan, words) in cases {
        check(folder.path(), &["storm", "--plan", plan], words);
        check(folder.path(), &["replay", "mail-claims", "--seed", "1", "--plan", plan], words);
    }
}

#[test]
fn what_cannot_be_replayed_is_refused_with_a_next_step() {
    let folder = folder_with(&[
        ("note.txt", "hello\n"),
        ("empty.json", ""),
        ("other.json", "{\"format\": 2}"),
        ("older.json", "{\"format\": 1}"),
        ("later.json", "{\"format\": 999}"),
        ("deep.json", &"[".repeat(10_000)),
        ("plan.toml", LYING_DISKS),
        ("name.toml", "scenario = \"mail-claim\"\nseed = 1\n"),
        ("defect.toml", "scenario = \"ensemble-3\"\nseed = 1\ndefect = \"minority-quorums\"\n"),
        ("set.toml", "scenario = \"ensemble-3\"\nseed = 1\n[settings]\nservers = 99\n"),
        ("node.toml", &CASE.replace("s2", "s3")),
        (
            "later.toml",
            &CASE.replace("crash", "eclipse").replace("seed", "mailstorm = \"7.0\"\nseed"),
        ),
    ]);
    let at = folder.path();
    let cases: &[(&[&str], &[&str])] = &[
        (&["replay"], &["<SCENARIO|FILE>"]),
        (&["replay", "mail-claims"], &["which seed of 'mail-claims'?", "--seed"]),
        (
            &["replay", "runs/absent.json"],
            &["runs/absent.json does not exist", "give the run.json"],
        ),
        (&["replay", "absent.json", "--seed", "1"], &["absent.json does not exist"]),
        (&["replay", "./"], &["./ is a folder", "give the run.json"]),
        (&["replay", "mail-clams", "--seed", "1"], &["did you mean 'mail-claims'?"]),
        (&["replay", "mail-claims", "--seed", "x"], &["'x'"]),
        (
            &["replay", "mail-claims", "--seed", "1", "--defect", "minority-quorums"],
            &["did you mean 'minority-quorum'?"],
        ),
        (&["replay", "note.txt"], &["note.txt: not a record", "give a run.json"]),
        (&["replay", "empty.json"], &["empty.json: not a record"]),
        (&["replay", "other.json"], &["other.json: not a record"]),
        (&["replay", "older.json"], &["older.json: the record has format 1", "replay its seed"]),
        (&["replay", "later.json"], &["later.json: the record has format 999"]),
        (&["replay", "deep.json"], &["deep.json: not a record"]),
        (&["replay", "plan.toml"], &["plan.toml:1: missing field `scenario`", "--plan"]),
        (&["replay", "name.toml"], &["name.toml: unknown scenario", "did you mean 'mail-claims'?"]),
        (
            &["replay", "defect.toml"],
            &["defect.toml: unknown defect", "did you mean 'minority-quorum'?"],
        ),
        (&["replay", "set.toml"], &["set.toml: ", "`servers` cannot be 99", "1 to 9"]),
        (&["replay", "node.toml"], &["node.toml:7: ", "`s3`", "does not exist"]),
        (&["replay", "later.toml"], &["later.toml:11: ", "`eclipse`", "written by mailstorm 7.0"]),
        (
            &["replay", "mail-claims", "--seed", "1", "--inbox", "absent"],
            &["cannot read the inbox"],
        ),
        (
            &["replay", "mail-claims", "--seed", "1", "--json", "note.txt/x.json"],
            &["cannot write note.txt/x.json"],
        ),
    ];
    for (arguments, words) in cases {
        check(at, arguments, words);
    }
    // A record that was changed by hand: its plan is looked at like any other.
    run(at, &["replay", "ensemble-3", "--seed", "1", "--json", "run.json"]);
    let text = fs::read_to_string(at.join("run.json")).unwrap();
    let mut record: Value = serde_json::from_str(&text).unwrap();
    record["plan"] = serde_json::json!({
        "faults": [{ "at_ms": 1, "lasts_ms": 0, "kind": { "crash": { "nodes": ["s77"] } } }]
    });
    fs::write(at.join("run.json"), record.to_string()).unwrap();
    check(at, &["replay", "run.json"], &["run.json", "`s77`", "does not exist"]);
}

#[test]
fn results_that_cannot_be_written_are_an_error_and_not_lost_from_the_terminal() {
    let folder = folder_with(&[("file", "x"), ("plan.toml", LYING_DISKS)]);
    let at = folder.path();
    let storm = |options: &[&str]| {
        let mut arguments = vec!["storm", "ensemble-3", "--seeds", "1"];
        arguments.extend(options);
        check(at, &arguments, &["cannot write file"]);
    };
    storm(&["--out", "file/below"]);
    storm(&["--out", "file"]);
    storm(&["--json", "file/below.json"]);
    assert_eq!(fs::read_to_string(at.join("file")).unwrap(), "x");
}

#[test]
fn a_full_disk_while_writing_results_is_an_error_of_one_line() {
    // Where a system has such a device: every write to it says that there is no room.
    if !Path::new("/dev/full").exists() {
        return;
    }
    let folder = folder_with(&[]);
    let ended = run(folder.path(), &["storm", "ensemble-3", "--seeds", "1", "--json", "/dev/full"]);
    assert_eq!(ended.code, USAGE, "{ended:?}");
    assert!(ended.out.contains("1 seed: 1 pass"), "the summary was told: {ended:?}");
    assert!(ended.err.contains("error: cannot write /dev/full"), "{ended:?}");
    assert!(folder.path().join("runs/summary.md").exists(), "the rest is written");
}

fn serve(config: &str) -> [&str; 4] {
    ["serve", "coordination", "--config", config]
}

/// The configuration of a server that is alone.
fn alone(id: u8, port: u16) -> String {
    format!("id = {id}\ndata = \"data\"\nclient_address = \"127.0.0.1:{port}\"\n")
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let good = alone(1, free_port());
    let folder = folder_with(&[
        ("key.toml", &format!("{good}colour = \"blue\"\n")),
        ("syntax.toml", "id = \n"),
        ("id.toml", &alone(0, free_port())),
        ("address.toml", &good.replace("127.0.0.1:", "")),
        ("taken.toml", &alone(1, port)),
        ("strange.toml", &good.replace("\"data\"", "\"strange\"")),
        ("below.toml", &good.replace("\"data\"", "\"key.toml/data\"")),
        ("empty.toml", &good.replace("\"data\"", "\"nothing\"")),
        ("strange/holiday.jpg", "no server's file"),
    ]);
    let cases: &[(&str, &[&str])] = &[
        ("absent.toml", &["cannot read absent.toml", "--config"]),
        ("key.toml", &["key.toml:4: ", "`colour`", "expected one of"]),
        ("syntax.toml", &["syntax.toml:1: "]),
        ("id.toml", &["id.toml:1: "]),
        ("address.toml", &["address.toml:3: ", "expected host:port"]),
        ("taken.toml", &["cannot listen on 127.0.0.1", "in use", "choose another port"]),
        ("strange.toml", &["is not a data folder", "holiday.jpg"]),
        ("below.toml", &["data folder"]),
        // It may have voted before and forgotten it; so it must be told that it is new.
        ("empty.toml", &["initialise"]),
    ];
    for (config, words) in cases {
        check(folder.path(), &serve(config), words);
    }
    assert_eq!(
        fs::read_to_string(folder.path().join("strange/holiday.jpg")).unwrap(),
        "no server's file"
    );
    check(folder.path(), &["serve", "coordination"], &["--config <FILE>"]);
    check(folder.path(), &["serve", "post"], &["post"]);
}

/// Waits until the server answers that it is well.
#[track_caller]
fn until_well(server: &Server) {
    /// Between two looks, and how many there are: more than a minute.
    const LOOK_EVERY: Duration = Duration::from_millis(20);
    const LOOKS_MAX: u32 = 4_000;
    for _ in 0..LOOKS_MAX {
        if server.mode().is_some() {
            return;
        }
        thread::sleep(LOOK_EVERY);
    }
    panic!("it does not serve\n{}", server.log());
}

#[test]
fn a_data_folder_of_another_server_in_use_or_damaged_is_refused() {
    let folder = folder_with(&[]);
    let at = folder.path();
    let mut server = Server::ensemble(at, 1).remove(0);
    server.start(&["--initialise"]);
    until_well(&server);
    assert_eq!(server.mode().as_deref(), Some("standalone"));

    let data = at.join("data-1");
    let of = |id| alone(id, free_port()).replace("\"data\"", "\"data-1\"");
    fs::write(at.join("second.toml"), of(1)).unwrap();
    check(at, &serve("second.toml"), &["data-1", "in use"]);
    server.kill();

    fs::write(at.join("other.toml"), of(2)).unwrap();
    check(at, &serve("other.toml"), &["written by server 1, this is server 2"]);
    let members = format!("{}[peers.1]\naddress = \"127.0.0.1:{}\"\n", of(1), free_port())
        + &format!("[peers.2]\naddress = \"127.0.0.1:{}\"\n", free_port());
    fs::write(at.join("members.toml"), members).unwrap();
    check(at, &serve("members.toml"), &["other members", "membership_changed"]);

    // Every byte of every file changes: nothing is left that could vouch for a vote.
    let mut damaged = 0;
    for entry in fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        let bytes: Vec<u8> = fs::read(&path).unwrap().iter().map(|byte| byte ^ 0x5a).collect();
        damaged += bytes.len();
        fs::write(&path, bytes).unwrap();
    }
    assert!(damaged > 0, "the server wrote something");
    let config = server.config.to_str().unwrap().to_owned();
    check(at, &serve(&config), &["damaged", "restore"]);
    // It was only refused, not thrown away.
    assert!(fs::read_dir(&data).unwrap().count() > 0);
}

#[test]
fn help_scenarios_and_completions_are_printed() {
    let folder = folder_with(&[]);
    let said = |arguments: &[&str]| {
        let ended = run(folder.path(), arguments);
        assert_eq!(ended.code, PASS, "{ended:?}");
        assert_eq!(ended.err, "", "{arguments:?}");
        ended.out
    };
    let help = said(&["--help"]);
    for word in ["storm", "replay", "scenarios", "serve", "completions", "Exit codes"] {
        assert!(help.contains(word), "{word}: {help}");
    }
    let help = said(&["storm", "--help"]);
    for option in ["--seeds", "--for", "--jobs", "--inbox", "--plan", "--json", "--out", "--verify"]
    {
        assert!(help.contains(option), "{option}: {help}");
    }
    assert!(said(&["--version"]).starts_with("mailstorm "));
    let scenarios = said(&["scenarios"]);
    assert!(scenarios.lines().any(|line| line.starts_with("  mail-claims ")), "{scenarios}");
    let goals = said(&["scenarios", "mail-claims"]);
    assert!(goals.contains("\n    claim_taken_over: "), "{goals}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(said(&["completions", shell]).contains("mailstorm"), "{shell}");
    }
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let folder = folder_with(&[]);
    let commands: [&[&str]; 4] = [
        &["completions", "bash"],
        &["scenarios"],
        &["learn"],
        &["replay", "ensemble-3", "--seed", "1", "--trace"],
    ];
    for arguments in commands {
        let ended = unread(folder.path(), arguments);
        assert_eq!((ended.code, &*ended.err), (PASS, ""), "{arguments:?}");
    }
}

#[cfg(unix)]
#[test]
fn what_takes_long_ends_when_nobody_reads_it_and_leaves_the_results_of_an_interruption() {
    let folder = folder_with(&[]);
    let commands: [&[&str]; 4] = [
        // It would take years.
        &["storm", "ensemble-3", "ensemble", "--seeds", "1..9223372036854775807"],
        &["scenarios", "--check", "--storms", "1000000"],
        &["museum", "--repeats", "1000"],
        &["museum", "--compare-guidance", "--repeats", "1000"],
    ];
    for arguments in commands {
        let ended = unread(folder.path(), arguments);
        assert_eq!((ended.code, &*ended.err), (Some(2), ""), "{arguments:?}");
    }
    let summary = fs::read_to_string(folder.path().join("runs/summary.md")).unwrap();
    assert!(summary.contains("interrupted after 0 of "), "{summary}");
    assert!(summary.contains("Exit code 2."), "{summary}");
}

#[cfg(unix)]
#[test]
fn a_museum_that_nobody_reads_still_writes_the_files_that_it_was_asked_for() {
    let folder = folder_with(&[]);
    let hunt = ["museum", "--defect", "ack-before-sync", "--repeats", "1", "--seeds", "40"];
    let files = ["--json", "board.json", "--markdown", "board.md"];
    let ended = unread(folder.path(), &[&hunt[..], &files].concat());
    assert_eq!((ended.code, &*ended.err), (PASS, ""), "{ended:?}");
    let board = fs::read_to_string(folder.path().join("board.json")).unwrap();
    let board: Value = serde_json::from_str(&board).unwrap();
    assert_eq!(board["defects"][0]["found"], 1, "{board}");
    let page = fs::read_to_string(folder.path().join("board.md")).unwrap();
    assert!(page.contains("ack-before-sync"), "{page}");
    let compared = ["museum", "--compare-guidance", "--defect", "ack-before-sync", "--repeats"];
    let ended = unread(folder.path(), &[&compared[..], &["1", "--markdown", "vs.md"]].concat());
    assert_eq!((ended.code, &*ended.err), (PASS, ""), "{ended:?}");
    let page = fs::read_to_string(folder.path().join("vs.md")).unwrap();
    assert!(page.contains("ack-before-sync"), "{page}");
}

#[test]
fn the_results_for_machines_have_the_promised_keys_and_nothing_around_them() {
    let folder = folder_with(&[]);
    let ended = run(folder.path(), &["storm", "ensemble-3", "--seeds", "2", "--json", "-"]);
    assert_eq!(ended.code, PASS, "{ended:?}");
    let results: Value =
        serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {}", ended.out));
    for key in [
        "scenario",
        "seeds",
        "pass",
        "violation",
        "unknown",
        "reached",
        "messages",
        "virtual_seconds",
        "wall_seconds",
        "messages_per_second",
        "speedup",
        "trace_hash",
    ] {
        assert!(!results[key].is_null(), "{key}: {results}");
    }
    assert_eq!(results["scenario"], "ensemble-3");
    assert_eq!((&results["seeds"], &results["pass"]), (&2.into(), &2.into()));
    assert!(ended.err.contains("2 seeds: 2 pass"), "people are told, too: {}", ended.err);
}

#[test]
fn a_sweep_ends_when_it_is_told_to_after_seeds_that_came_to_nothing_new() {
    // Without a fault, one run is soon like another.
    let folder = folder_with(&[("quiet.toml", "")]);
    let storm = ["storm", "ensemble-3", "--plan", "quiet.toml", "--seeds", "300", "--json", "-"];
    let ended = run(folder.path(), &[&storm[..], &["--stale", "12"]].concat());
    assert_eq!(ended.code, PASS, "{ended:?}");
    assert!(ended.err.contains(": 12 seeds in a row came to nothing new"), "{ended:?}");
    let results: Value = serde_json::from_str(&ended.out).unwrap();
    let number = |key: &str| results[key].as_u64().unwrap_or_else(|| panic!("{key}: {results}"));
    assert!(number("seeds") < 300 && number("states") > 0, "{results}");
    assert_eq!(number("last_new_seed") + 12, number("last_seed"));
    let told = format!("the last new one at seed {}", number("last_new_seed"));
    assert!(ended.err.contains(&told), "{ended:?}");
}

#[test]
fn several_scenarios_are_summed_up_together() {
    let folder = folder_with(&[]);
    let arguments = ["storm", "ensemble-3", "mail-claims", "--seeds", "7..8", "--json", "all.json"];
    let ended = run(folder.path(), &arguments);
    assert_eq!(ended.code, PASS, "{ended:?}");
    let text = fs::read_to_string(folder.path().join("all.json")).unwrap();
    let results: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(results["scenario"], "ensemble-3,mail-claims");
    assert_eq!((&results["seeds"], &results["pass"]), (&4.into(), &4.into()));
    assert_eq!(results["scenarios"][1]["scenario"], "mail-claims");
}

/// The line that replays, as the first violation gives it.
#[track_caller]
fn replay_line(ended: &Ended) -> Vec<String> {
    let lines: Vec<_> = ended.out.lines().collect();
    let violation = lines.iter().position(|line| line.starts_with("VIOLATION  "));
    let violation = violation.unwrap_or_else(|| panic!("no violation is told: {ended:?}"));
    let line = lines[violation + 1].trim_start().strip_prefix("replay   mailstorm ");
    let line = line.unwrap_or_else(|| panic!("no replay line: {ended:?}"));
    let (command, _) = line.split_once(" # trace ").expect("it names the trace");
    command.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_violation_is_told_written_down_and_can_be_replayed() {
    let folder = folder_with(&[("plan.toml", LYING_DISKS), ("in/a.eml", "Subject: a\n\na\n")]);
    let at = folder.path();
    for (number, options) in
        [&["--plan", "plan.toml"][..], &["--plan", "plan.toml", "--inbox", "in"]]
            .into_iter()
            .enumerate()
    {
        let out = format!("out-{number}");
        let mut arguments = vec!["storm", "mail-claims", "--seeds", "1..2", "--out", &out];
        arguments.extend(options);
        let storm = run(at, &arguments);
        assert_eq!(storm.code, VIOLATION, "{storm:?}");
        assert!(storm.out.contains("2 seeds: 0 pass, 2 violations"), "{storm:?}");

        let folder = at.join(&out).join("mail-claims/1");
        let plan = fs::read_to_string(folder.join("plan.toml")).unwrap();
        assert!(plan.contains("lifts_atlas = true") && plan.contains("kind.power_cut"), "{plan}");
        let text = fs::read_to_string(folder.join("run.json")).unwrap();
        let record: Value = serde_json::from_str(&text).unwrap();
        let trace = record["outcome"]["trace_hash"].as_str().expect("a hash");

        // The line that was printed replays it, ...
        let line = replay_line(&storm);
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        let replayed = run(at, &line);
        assert_eq!(replayed.code, VIOLATION, "{line:?}: {replayed:?}");
        assert_eq!(replayed.trace(), trace, "{line:?}");
        assert!(replayed.out.contains("VIOLATION  "), "{replayed:?}");

        // ... and the record does, given the same inbox; with another it would be another run.
        let file = format!("{out}/mail-claims/1/run.json");
        let mut arguments = vec!["replay", &file, "--json", "full.json"];
        arguments.extend(&options[2..]);
        let replayed = run(at, &arguments);
        assert_eq!(replayed.code, VIOLATION, "{replayed:?}");
        assert_eq!(replayed.trace(), trace);
        let wrong: &[&str] = if options.len() > 2 { &[] } else { &["--inbox", "in"] };
        let error = refused(at, &[&["replay", &file], wrong].concat());
        assert!(error.contains("was run on another inbox (mails "), "{error}");
        // So it is with the case that is made of the record.
        let case = Case::of(&Run::parse(&fs::read_to_string(at.join(&file)).unwrap()).unwrap());
        fs::write(at.join("case.toml"), case.to_toml()).unwrap();
        let error = refused(at, &[&["replay", "case.toml"], wrong].concat());
        assert!(error.contains("was run on another inbox (mails "), "{error}");
        assert!(error.ends_with("give the one of the run with --inbox PATH"), "{error}");
        let full: Value =
            serde_json::from_str(&fs::read_to_string(at.join("full.json")).unwrap()).unwrap();
        assert!(full["events"].as_array().is_some_and(|events| events.len() > 100));
    }
}

#[test]
fn a_record_or_a_case_that_is_another_run_now_says_so() {
    let folder = folder_with(&[("plan.toml", LYING_DISKS)]);
    let at = folder.path();
    let storm =
        run(at, &["storm", "mail-claims", "--seeds", "1", "--plan", "plan.toml", "--no-shrink"]);
    assert_eq!(storm.code, VIOLATION, "{storm:?}");
    let file = "runs/mail-claims/1/run.json";
    let text = fs::read_to_string(at.join(file)).unwrap();
    let run_of = Run::parse(&text).unwrap();
    let (trace, other) = (run_of.outcome.trace_hash.to_string(), "8c0930c1d798645b");
    fs::write(at.join("other.json"), text.replace(&trace, other)).unwrap();
    let case = Case::of(&run_of).to_toml();
    let changed = case.replace(&trace, other);
    fs::write(at.join("case.toml"), &case).unwrap();
    fs::write(at.join("other.toml"), &changed).unwrap();
    let line = format!("trace = \"{other}\"\n");
    fs::write(at.join("old.toml"), changed.replace(&line, "")).unwrap();
    let version = format!("\"{}\"", env!("CARGO_PKG_VERSION"));
    fs::write(at.join("later.toml"), changed.replace(&version, "\"7.0\"")).unwrap();
    for file in [file, "case.toml", "old.toml", "later.toml"] {
        let ended = run(at, &["replay", file]);
        assert_eq!(ended.code, VIOLATION, "{file}: {ended:?}");
        assert!(!ended.out.contains("ANOTHER RUN"), "{file}: {ended:?}");
        assert_eq!(ended.err.contains("written by mailstorm 7.0"), file == "later.toml");
        assert_eq!(run(at, &["report", file]).code, Some(0), "{file}");
    }
    for file in ["other.json", "other.toml"] {
        let ended = run(at, &["replay", file]);
        assert_eq!(ended.code, Some(4), "{file}: {ended:?}");
        let told =
            format!("ANOTHER RUN than recorded: {file} has trace {other}, this one is {trace}");
        let last = ended.out.lines().last().unwrap();
        assert!(last.starts_with(&told), "{last}");
        // Nor does a page of another run pass for this one's.
        let shown = run(at, &["report", file]);
        assert_eq!(shown.code, Some(4), "{file}: {shown:?}");
        assert!(shown.err.starts_with(&told), "{shown:?}");
        let excerpt = run(at, &["report", file, "--mermaid", "-"]);
        assert_eq!(excerpt.code, Some(4), "{file}: {excerpt:?}");
        // Who asks for another run gets one.
        let ended = run(at, &["replay", file, "--defect", "minority-quorum"]);
        assert!(!ended.out.contains("ANOTHER RUN"), "{file}: {ended:?}");
    }
}

#[test]
fn a_run_with_a_defect_says_so_and_is_replayed_with_it() {
    let folder = folder_with(&[("plan.toml", LYING_DISKS)]);
    let at = folder.path();
    let options = ["--seeds", "1..1", "--plan", "plan.toml", "--defect", "minority-quorum"];
    let storm = run(at, &[&["storm", "mail-claims"], &options[..]].concat());
    assert_eq!(storm.code, VIOLATION, "{storm:?}");
    let line = replay_line(&storm);
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    assert!(line.windows(2).any(|pair| pair == ["--defect", "minority-quorum"]), "{line:?}");
    let (asked, recorded) = (run(at, &line), run(at, &["replay", "runs/mail-claims/1/run.json"]));
    for replayed in [&asked, &recorded] {
        assert_eq!(replayed.code, VIOLATION, "{replayed:?}");
        let head = "mail-claims seed 1 with minority-quorum: 2 faults";
        assert!(replayed.out.starts_with(head), "{replayed:?}");
    }
    assert_eq!(asked.trace(), recorded.trace());
}

#[test]
fn a_scenario_of_another_size_says_so_and_its_case_is_the_same_run() {
    let folder =
        folder_with(&[("case.toml", CASE), ("plan.toml", &CASE[CASE.find("[[").unwrap()..])]);
    let at = folder.path();
    let replay = |arguments: &[&str]| {
        let ended = run(at, &[&["replay"], arguments].concat());
        assert_eq!(ended.code, PASS, "{arguments:?}: {ended:?}");
        ended
    };
    let case = replay(&["case.toml", "--json", "run.json"]);
    let sized = ["--set", "servers=2", "--set", "clients=2", "--plan", "plan.toml"];
    let typed = replay(&[&["ensemble-3", "--seed", "5"], &sized[..]].concat());
    let record: Value =
        serde_json::from_str(&fs::read_to_string(at.join("run.json")).unwrap()).unwrap();
    assert_eq!(record["settings"], serde_json::json!({ "clients": 2, "servers": 2 }));
    for other in [&typed, &replay(&["run.json"])] {
        assert_eq!(other.trace(), case.trace());
    }
    let larger = replay(&["case.toml", "--set", "servers=9"]);
    assert_ne!(larger.trace(), case.trace());
    // A version that is not ours is read and told.
    fs::write(at.join("old.toml"), format!("mailstorm = \"0.0.1\"\n{CASE}")).unwrap();
    let old = replay(&["old.toml"]);
    assert!(old.err.contains("note: old.toml was written by mailstorm 0.0.1"), "{old:?}");
    assert_eq!(old.trace(), case.trace());
}

#[test]
fn a_small_storm_of_mails_passes() {
    let folder = folder_with(&[]);
    let sizes = ["servers=3", "workers=1", "supervisors=1", "mails=5", "plain_latencies=1"];
    let mut arguments =
        vec!["storm", "mail-claims", "--seeds", "3", "--json", "-", "--verify", "1"];
    sizes.iter().for_each(|size| arguments.extend(["--set", size]));
    let ended = run(folder.path(), &arguments);
    assert_eq!(ended.code, PASS, "{ended:?}");
    let results: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(results["figures"]["mails_processed"], 15, "{results}");
}

#[test]
fn the_museum_lists_every_defect_with_its_report_and_what_goes_wrong() {
    let ended = run(Path::new("."), &["museum", "--list"]);
    assert_eq!(ended.code, PASS, "{ended:?}");
    let service = Coordination::ALL.iter().map(|defect| defect.description());
    let sessions = Session::ALL.iter().map(|defect| defect.description());
    let recipes = Recipes::ALL.iter().map(|defect| defect.description());
    let mail = Mail::ALL.iter().map(|defect| defect.description());
    let lines: Vec<&str> = ended.out.lines().collect();
    // A line for the name and the report, and one for what goes wrong.
    let mut listed = lines.chunks(2).collect::<Vec<_>>();
    for told in service.chain(sessions).chain(recipes).chain(mail) {
        let (line, name, report) = (told.line, told.name, told.report);
        let is_it = |pair: &&[&str]| {
            let (first, second) = (pair[0], pair.get(1).map_or("", |line| line.trim()));
            let (called, reported) = first.split_once("  ").unwrap_or((first, ""));
            (called, reported.trim(), second) == (name, report, line)
        };
        let place = listed.iter().position(is_it).unwrap_or_else(|| panic!("{name}: {ended:?}"));
        listed.remove(place);
    }
    assert_eq!(listed, <[&[&str]; 0]>::default(), "listed, and no defect");
}

#[test]
fn a_replay_prints_every_event_when_asked() {
    let folder = folder_with(&[]);
    let ended = run(folder.path(), &["replay", "ensemble-3", "--seed", "2", "--trace"]);
    assert_eq!(ended.code, PASS, "{}", ended.err);
    for word in ["---- storm ----", "---- heal ----", " sends #", " receives #", " leads epoch "] {
        assert!(ended.out.contains(word), "{word}");
    }
}
