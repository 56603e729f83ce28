//! How a sweep ends is the same in its exit code, on the terminal and in every file that it leaves.

#![cfg(unix)]

use crate::command::{LYING_DISKS, folder_with, refused};
use crate::support::{Ended, Killed, ended, files, mailstorm, run};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

fn read(folder: &Path, name: &str) -> String {
    let path = folder.join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a sweep's folder tells: the exit code and, in words, how it ended. All files must agree.
#[track_caller]
fn told(out: &Path, said: &str) -> u64 {
    let result: Value = serde_json::from_str(&read(out, "result.json")).unwrap();
    let code = result["exit_code"].as_u64().expect("a code");
    let texts = ["summary.md", "junit.xml", "index.html"].map(|file| (file, read(out, file)));
    for (file, text) in &texts {
        assert!(text.replace("\\_", "_").contains(said), "{file}: no '{said}' in {text}");
    }
    let [(_, summary), (_, junit), (_, index)] = &texts;
    assert_eq!(junit.contains(" failures=\"0\" errors=\"0\">"), code == 0, "{junit}");
    assert_eq!(summary.contains('✅'), code == 0, "{summary}");
    assert_eq!(index.contains("<h1 class=\"pass\">"), code == 0, "{index}");
    for (text, mark) in [
        (summary, format!("Exit code {code}.")),
        (index, format!("exit code {code}<")),
        (junit, format!("<property name=\"exit_code\" value=\"{code}\"/>")),
    ] {
        assert!(text.contains(&mark), "no '{mark}' in {text}");
    }
    code
}

/// A scenario's file, of which the workload holds; it expects what is given.
fn calm(name: &str, expect: &str) -> String {
    format!(
        "scenario = \"{name}\"\nworkload = \"ensemble-3\"\nlasts_ms = 2000\n\n[topology]\nclients = 1\n\n[expect]\n{expect}\n"
    )
}

#[test]
fn every_file_of_a_sweep_tells_its_exit_code() {
    let folder = folder_with(&[
        ("plan.toml", LYING_DISKS),
        ("right.toml", &calm("calm", "violations = []")),
        ("spared.toml", &calm("spared", "violations = [\"quorum/lost\"]")),
        ("unreached.toml", &calm("unreached", "reached = [\"leader_paused\"]")),
        ("in/a.eml", "Subject: a\n\nb\n"),
    ]);
    let at = folder.path();
    std::os::unix::fs::symlink("/proc/self/environ", at.join("in/b.eml")).unwrap();
    let few = "--seeds=1..2";
    let cases: &[(&[&str], i32, &str)] = &[
        (&["ensemble-3", few], 0, "2 seeds pass"),
        (&["mail-claims", few, "--plan", "plan.toml", "--no-shrink"], 1, "kind"),
        (&["right.toml", few], 0, "2 of 2 runs as expected"),
        (&["spared.toml", few], 1, "does not break quorum/lost"),
        (&["unreached.toml", few], 1, "does not reach leader paused"),
        (&["right.toml", "ensemble-3", "spared.toml", few], 1, "0 of 2 runs as expected"),
        (&["mail-claims", few, "--inbox", "in", "--verify", "1"], 4, "1 seed is not determin"),
    ];
    for (number, (storm, code, said)) in cases.iter().enumerate() {
        let out = format!("out-{number}");
        let arguments = [&["storm"], *storm, &["--out", &out, "--json", "all.json"]].concat();
        if storm.contains(&"--verify") && !Path::new("/proc/self/environ").exists() {
            continue;
        }
        let ended = run(at, &arguments);
        assert_eq!(ended.code, Some(*code), "{arguments:?}: {ended:?}");
        let results: Value = serde_json::from_str(&read(at, "all.json")).unwrap();
        assert_eq!(results["exit_code"], *code, "{arguments:?}");
        let singles = results["scenarios"].as_array().unwrap();
        let codes = singles.iter().map(|single| single["exit_code"].as_i64());
        assert_eq!(codes.max(), Some(Some(i64::from(*code))), "{arguments:?}");
        // A file is that of one scenario.
        let (is_one, of_first) = (singles.len() == 1, &singles[0]["file"]);
        assert_eq!(&results["file"], if is_one { of_first } else { &Value::Null }, "{results}");
        assert_eq!(of_first.is_object(), storm[0].ends_with(".toml"), "{results}");
        // The page and the next command come after it.
        let closing = ["  page ", "  next "];
        let told_last = |line: &&str| !closing.iter().any(|word| line.starts_with(word));
        let last = ended.out.lines().rfind(told_last).unwrap();
        let is_last_told = match code {
            0 => last.contains("2 pass") || last.contains("2 of 2 runs as expected"),
            1 => last.contains("2 violations") || last.contains("0 of 2 runs as expected"),
            _ => last.contains("NOT DETERMINISTIC"),
        };
        assert!(is_last_told, "{arguments:?}: {last}");
        // Of several, each tells how it ended; the worst of them is the exit code.
        if storm.len() < 4 || storm[1] == few {
            assert_eq!(told(&at.join(&out), said), *code as u64, "{arguments:?}");
        }
    }
    // A file is known by its own name.
    let junit = read(&at.join("out-3"), "junit.xml");
    assert!(junit.contains("<testcase classname=\"mailstorm.spared\" name=\"spared\">"), "{junit}");
    let index = read(&at.join("out-3"), "index.html");
    assert!(index.contains("mailstorm storm spared.toml --seeds 1..2\n"), "{index}");
}

#[test]
fn a_violation_that_a_file_expects_is_none_of_its_failures() {
    let text = format!(
        "scenario = \"lies\"\nworkload = \"mail-claims\"\n{LYING_DISKS}\n[expect]\nviolations = []\n"
    );
    let folder = folder_with(&[("lies.toml", &text)]);
    let at = folder.path();
    let storm = ["storm", "lies.toml", "--seeds", "1..1"];
    let ended = run(at, &storm);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("lies: seed 1 breaks "), "{ended:?}");
    assert_eq!(told(&at.join("runs"), "breaks "), 1);
    assert!(at.join("runs/lies/1/run.json").is_file(), "under the name of the file");
    let result: Value = serde_json::from_str(&read(&at.join("runs"), "result.json")).unwrap();
    let part = &result["scenarios"][0];
    assert_eq!(part["terms"]["scenario"], "lies");
    let missed = part["tally"]["file"]["expect"]["surprises"].as_object().unwrap();
    let (missed, _) = missed.iter().next().unwrap();
    let broken: Vec<String> = missed
        .strip_prefix("breaks ")
        .unwrap()
        .split(", ")
        .map(|name| format!("\"{name}\""))
        .collect();
    let expects = text.replace("violations = []", &format!("violations = [{}]", broken.join(",")));
    fs::write(at.join("lies.toml"), expects).unwrap();
    let ended = run(at, &storm);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(told(&at.join("runs"), "1 of 1 run as expected"), 0);
    assert!(!read(&at.join("runs"), "junit.xml").contains("<failure"));
    assert!(read(&at.join("runs"), "index.html").contains(", as expected</h3>"));
}

#[test]
fn a_passing_sweep_over_a_failing_one_leaves_nothing_that_looks_like_its_own() {
    let folder = folder_with(&[("plan.toml", LYING_DISKS)]);
    let at = folder.path();
    let storm = ["storm", "mail-claims", "--seeds", "1..1", "--no-shrink"];
    let failing = run(at, &[&storm[..], &["--plan", "plan.toml"]].concat());
    assert_eq!(failing.code, Some(1), "{failing:?}");
    assert!(at.join("runs/mail-claims/1/report.html").is_file());
    // The sweep of another scenario leaves the runs where its summary says they are.
    let other = run(at, &["storm", "ensemble-3", "--seeds", "1..1"]);
    assert_eq!(other.code, Some(0), "{other:?}");
    assert!(!other.err.contains("earlier"), "nothing of its own is there to move: {other:?}");
    assert!(at.join("runs/mail-claims/1/report.html").is_file());
    assert!(!read(&at.join("runs"), "index.html").contains("mail-claims"));
    let passing = run(at, &storm);
    assert_eq!(passing.code, Some(0), "{passing:?}");
    let note = "note: 1 run of an earlier storm moved to runs/earlier";
    assert!(passing.err.contains(note), "{passing:?}");
    assert!(!at.join("runs/mail-claims").exists());
    assert!(at.join("runs/earlier/mail-claims/1/report.html").is_file());
}

/// A file that says of its storms that they break nothing.
const HOPES: &str =
    "scenario = \"hopes\"\nworkload = \"ensemble-3\"\n\n[expect]\nviolations = []\n";

/// Starts a storm of this that goes on for ever, and waits until it has found something.
pub(crate) fn endless(
    at: &Path,
    what: &str,
    options: &[&str],
) -> (Killed, BufReader<std::process::ChildStderr>) {
    let storm = ["storm", what, "--defect", "minority-quorum", "--no-shrink"];
    let mut command = mailstorm(at, &[&storm[..], options].concat());
    let out = fs::File::create(at.join("printed")).unwrap();
    command.stdout(out).stderr(Stdio::piped());
    let mut child = Killed::start(&mut command);
    let mut err = BufReader::new(child.stderr());
    let mut line = String::new();
    while !line.contains(" breaks ") {
        line.clear();
        assert!(err.read_line(&mut line).unwrap() > 0, "it goes on until it is interrupted");
    }
    (child, err)
}

#[test]
fn an_interrupted_sweep_tells_what_it_found_and_goes_on_to_the_same_end() {
    let seeds = ["--seeds", "1..60", "--jobs", "1"];
    for (what, signal) in [("ensemble-3", "INT"), ("hopes.toml", "TERM")] {
        let folder = folder_with(&[("hopes.toml", HOPES)]);
        let at = folder.path();
        let (child, err) = endless(at, what, &seeds);
        // As `timeout` does, which sends it to the process and to its group: that is one request.
        child.signal(signal);
        child.signal(signal);
        let rest: Vec<String> = err.lines().map(Result::unwrap).collect();
        assert_eq!(child.ends(), Some(1), "it had found something: {rest:?}");
        let out = at.join("runs");
        assert_eq!(told(&out, "interrupted after "), 1);
        let printed = read(at, "printed");
        assert!(printed.contains("\nINTERRUPTED  after "), "{printed}");
        let result: Value = serde_json::from_str(&read(&out, "result.json")).unwrap();
        assert_eq!(result["scenarios"][0]["stopped"], "interrupted");
        assert!(read(&out, "summary.md").contains("The same command with `--resume` goes on"));
        // The last line goes on with it.
        let line = rest.last().unwrap().strip_prefix("  resume   mailstorm ").unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let resumed = run(at, &words);
        assert_eq!(resumed.code, Some(1), "{resumed:?}");
        let whole = run(at, &[&words[..words.len() - 1], &["--out", "whole"]].concat());
        assert_eq!(whole.code, Some(1), "{whole:?}");
        are_one_sweep(&out, &at.join("whole"));
        // With nothing left to do it only tells.
        let again = run(at, &words);
        assert_eq!(again.code, Some(1), "{again:?}");
        let error = refused(at, &[&words[..], &["--set", "clients=2"]].concat());
        let name = what.trim_end_matches(".toml");
        let said = format!("runs holds another storm: {name} with settings");
        assert!(error.contains(&said), "{error}");
    }
}

/// The folders have the same files, and each of them the same bytes but for what tells of real
/// time.
#[track_caller]
fn are_one_sweep(a: &Path, b: &Path) {
    assert_eq!(files(a), files(b));
    for file in files(a).iter().filter(|file| *file != "result.json") {
        assert_eq!(read(a, file), read(b, file), "{file}");
    }
}

#[test]
fn a_guided_sweep_that_is_interrupted_does_not_offer_to_be_resumed() {
    let folder = folder_with(&[]);
    let at = folder.path();
    let (child, err) = endless(at, "ensemble-3", &["--guided", "--for", "1h", "--jobs", "1"]);
    child.signal("INT");
    let rest: Vec<String> = err.lines().map(Result::unwrap).collect();
    assert_eq!(child.ends(), Some(1), "{rest:?}");
    let out = at.join("runs");
    assert_eq!(told(&out, "interrupted after "), 1);
    for text in [rest.join("\n"), read(at, "printed"), read(&out, "summary.md")] {
        assert!(!text.contains("resume"), "{text}");
    }
}

#[test]
fn what_is_joined_of_a_shard_that_was_interrupted_is_not_resumed_but_the_shard_is() {
    let folder = folder_with(&[]);
    let at = folder.path();
    let (child, err) = endless(at, "ensemble-3", &["--seeds", "1..60", "--jobs", "1"]);
    child.signal("INT");
    let rest: Vec<String> = err.lines().map(Result::unwrap).collect();
    assert_eq!(child.ends(), Some(1), "{rest:?}");
    let merged = run(at, &["merge", "runs", "--out", "joined"]);
    assert_eq!(merged.code, Some(1), "{merged:?}");
    let joined = at.join("joined");
    assert_eq!(told(&joined, "interrupted after "), 1);
    let summary = read(&joined, "summary.md");
    assert!(summary.contains("its own command with `--resume`; then merge again"), "{summary}");
    let line = rest.last().unwrap().strip_prefix("  resume   mailstorm ").unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    let error = refused(at, &[&words[..], &["--out", "joined"]].concat());
    assert!(error.contains("joined is the sum of shards, of which one has stopped"), "{error}");
    let resumed = run(at, &words);
    assert_eq!(resumed.code, Some(1), "{resumed:?}");
    let merged = run(at, &["merge", "runs", "--out", "joined"]);
    assert_eq!(merged.code, Some(1), "{merged:?}");
    assert!(!read(&joined, "summary.md").contains("interrupted"));
}

#[test]
fn a_shrink_that_is_interrupted_says_so_and_not_that_its_budget_is_spent() {
    let folder = folder_with(&[]);
    let at = folder.path();
    let case = ["mail-claims", "--seed", "195", "--defect", "lock-without-fencing"];
    let shrink = [&["shrink"], &case[..], &["--out", "small.toml"]].concat();
    for json in [None, Some("-")] {
        let options = json.map(|file| ["--json", file]);
        let mut command = mailstorm(at, &[&shrink[..], options.as_slice().as_flattened()].concat());
        command.stdout(fs::File::create(at.join("printed")).unwrap()).stderr(Stdio::null());
        let child = Killed::start(&mut command);
        child.when_it_watches(2);
        child.signal("INT");
        assert_eq!(child.ends(), Some(1));
        let printed = read(at, "printed");
        if json.is_some() {
            let told: Value = serde_json::from_str(&printed).unwrap();
            assert_eq!(
                (&told["stopped"], &told["is_smallest"]),
                (&"interrupted".into(), &false.into())
            );
            assert_eq!(told["go_on"], "mailstorm shrink small.toml");
        } else {
            assert!(printed.contains("\n  stopped  interrupted: "), "{printed}");
            assert!(!printed.contains(" spent"), "{printed}");
        }
    }
}

#[test]
fn a_sweep_that_is_interrupted_while_it_shrinks_says_so_everywhere_and_is_resumed() {
    let folder = folder_with(&[]);
    let at = folder.path();
    let storm = ["storm", "ensemble-3", "--seeds", "1..1", "--defect", "truncate-ignored"];
    let mut command = mailstorm(at, &storm);
    let printed = fs::File::create(at.join("printed")).unwrap();
    command.stdout(printed).stderr(Stdio::piped());
    let mut child = Killed::start(&mut command);
    let err = BufReader::new(child.stderr());
    // The page is written before the search for the smallest case begins, which takes dozens of
    // runs.
    while !at.join("runs/ensemble-3/1/report.html").exists() {
        std::thread::yield_now();
    }
    child.signal("INT");
    let rest: Vec<String> = err.lines().map(Result::unwrap).collect();
    assert_eq!(child.ends(), Some(1), "{rest:?}");
    let out = at.join("runs");
    assert_eq!(told(&out, "interrupted after 1 seed, before all that they found was examined"), 1);
    let printed = read(at, "printed");
    assert!(
        printed.contains("           interrupted: ") && !printed.contains(" spent"),
        "{printed}"
    );
    let result = |out: &Path| -> Value { serde_json::from_str(&read(out, "result.json")).unwrap() };
    assert_eq!(result(&out)["scenarios"][0]["stopped"], "unexamined");
    let line = rest.last().unwrap().strip_prefix("  resume   mailstorm ").unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    let resumed = run(at, &words);
    assert_eq!(resumed.code, Some(1), "{resumed:?}");
    let result = result(&out);
    let part = &result["scenarios"][0];
    assert_eq!((&part["stopped"], &part["tally"]["violation"]), (&Value::Null, &1.into()));
    let groups = part["tally"]["groups"].as_object().unwrap();
    let shrunk: Vec<&Value> = groups.values().map(|group| &group["shrunk"]).collect();
    let shrunk = shrunk.into_iter().find(|shrunk| !shrunk.is_null()).expect("one is shrunk");
    assert_eq!(shrunk["is_interrupted"], false, "{shrunk}");
    assert!(!read(&out, "summary.md").contains("interrupted"));
}

#[test]
fn a_storm_that_is_refused_leaves_the_file_of_its_results_and_a_link_stays_one() {
    let folder = folder_with(&[("keep.json", "kept"), ("real.json", "old")]);
    let at = folder.path();
    std::os::unix::fs::symlink("real.json", at.join("link.json")).unwrap();
    let storm = ["storm", "ensemble-3", "--json"];
    let linked = run(at, &[&storm[..], &["link.json", "--seeds", "1"]].concat());
    assert_eq!(linked.code, Some(0), "{linked:?}");
    assert!(fs::symlink_metadata(at.join("link.json")).unwrap().is_symlink());
    let result: Value = serde_json::from_str(&read(at, "real.json")).unwrap();
    assert_eq!(result["seeds"], 1);
    for refused_for in [
        &["--resume", "--seeds", "2"][..],
        &["--seeds", "1..1", "--shard", "2/2"],
        &["--seeds", "1", "--out", "keep.json/x"],
    ] {
        let said = refused(at, &[&storm[..], &["keep.json"], refused_for].concat());
        assert_eq!(read(at, "keep.json"), "kept", "{said}");
    }
}

#[test]
fn a_sweep_that_is_interrupted_before_it_found_anything_has_exit_code_2() {
    let folder = folder_with(&[]);
    let at = folder.path();
    let storm = ["storm", "ensemble-3", "ensemble", "--for", "1h", "--jobs", "1"];
    let mut command = mailstorm(at, &[&storm[..], &["--json", "all.json"]].concat());
    let printed = fs::File::create(at.join("printed")).unwrap();
    command.stdout(printed).stderr(Stdio::piped());
    let mut child = Killed::start(&mut command);
    // It is asked over and over until it watches for signals: before that, one would end it at
    // once.
    let err = BufReader::new(child.stderr());
    while !at.join("runs/.lock").exists() {
        std::thread::yield_now();
    }
    child.when_it_watches(15);
    child.signal("TERM");
    let rest: Vec<String> = err.lines().map(Result::unwrap).collect();
    assert_eq!(child.ends(), Some(2), "{rest:?}");
    assert_eq!(told(&at.join("runs"), "interrupted after "), 2);
    // What had not begun is told as well.
    let junit = read(&at.join("runs"), "junit.xml");
    assert!(
        junit.contains("<testcase classname=\"mailstorm.ensemble\" name=\"ensemble\">"),
        "{junit}"
    );
    // Nobody said how many seeds: it is told after how many it was, and not of how many.
    let files = ["junit.xml", "summary.md", "index.html"].map(|file| read(&at.join("runs"), file));
    for text in
        files.into_iter().chain([read(at, "printed").replace("INTERRUPTED  ", "interrupted ")])
    {
        let stops: Vec<&str> = text.split("interrupted after ").skip(1).collect();
        assert!(!stops.is_empty(), "{text}");
        for stop in stops {
            let noun = stop.split([' ', '\n', '.', ';', '<', '"']).nth(1);
            assert!(noun.is_some_and(|noun| ["seed", "seeds"].contains(&noun)), "{stop}");
        }
    }
    let all: Value = serde_json::from_str(&read(at, "all.json")).unwrap();
    for sums in all["scenarios"].as_array().unwrap().iter().chain([&all]) {
        assert_eq!(sums["seeds_asked"], Value::Null, "{sums}");
    }
}

#[test]
fn two_storms_into_one_folder_are_refused_and_a_dead_one_is_no_hindrance() {
    let folder = folder_with(&[]);
    let at = folder.path();
    let (child, _err) = endless(at, "ensemble-3", &["--for", "1h", "--jobs", "1"]);
    let second = ["storm", "ensemble-3", "--seeds", "1"];
    let error = refused(at, &second);
    let said =
        "another storm writes into runs: wait until it ends, or give another folder with --out";
    assert!(error.contains(said), "{error}");
    child.signal("KILL");
    assert_eq!(child.ends(), None);
    let ended = run(at, &second);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// Runs it with files of so many kibibytes at the most, as a disk that is full.
fn on_a_small_disk(at: &Path, kibibytes: u32, arguments: &[&str]) -> Ended {
    let script = format!("trap '' XFSZ; ulimit -f {kibibytes}; exec \"$0\" \"$@\"");
    let mut command = Command::new("bash");
    command
        .args(["-c", &script, env!("CARGO_BIN_EXE_mailstorm")])
        .args(arguments)
        .current_dir(at)
        .stdin(Stdio::null());
    ended(command, arguments)
}

#[test]
fn a_disk_that_fills_up_leaves_no_half_file_and_a_sweep_that_goes_on_when_there_is_room() {
    let storm =
        ["storm", "ensemble-3", "--defect", "minority-quorum", "--seeds", "4", "--no-shrink"];
    let folder = folder_with(&[]);
    let at = folder.path();
    let whole = run(at, &[&storm[..], &["--out", "whole"]].concat());
    assert_eq!(whole.code, Some(1), "{whole:?}");
    let whole = at.join("whole");
    let size = |file: &String| fs::metadata(whole.join(file)).unwrap().len() / 1024;
    // One limit for each file: the largest that it does not fit into, below which others fit.
    let limits: BTreeSet<u64> = files(&whole).iter().map(size).filter(|size| *size > 0).collect();
    let (mut is_refused, mut is_resumed) = (false, false);
    for kibibytes in limits {
        let kibibytes = u32::try_from(kibibytes).unwrap();
        let out = format!("small-{kibibytes}");
        let ended = on_a_small_disk(at, kibibytes, &[&storm[..], &["--out", &out]].concat());
        assert_eq!(ended.code, Some(3), "{ended:?}");
        let errors = ended.err.lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!(errors, 1, "{ended:?}");
        let out = at.join(&out);
        for file in files(&out) {
            assert!(!file.ends_with(".part"), "{file}");
            let text = read(&out, &file);
            let is_whole = match &*file {
                "result.json" => serde_json::from_str::<Value>(&text).is_ok(),
                "index.html" => text.ends_with("</body>\n</html>\n"),
                "junit.xml" => text.ends_with("</testsuites>\n"),
                // Figures of every scenario come last, one of it.
                "summary.md" => text.ends_with("\n```\n\n</details>\n\n"),
                // Of a run all is told, or the file is not there.
                _ => text == read(&whole, &file),
            };
            assert!(is_whole, "{kibibytes} KiB: {file}: {text}");
        }
        let lines = ended.err.lines();
        let mut resume = lines.filter_map(|line| line.strip_prefix("  resume   mailstorm "));
        let has_result = out.join("result.json").exists();
        let resume = resume.next();
        assert_eq!(resume.is_some(), has_result, "{kibibytes} KiB: {ended:?}");
        if out.join("summary.md").exists() {
            let offers = read(&out, "summary.md").contains("`--resume` goes on");
            assert_eq!(offers, has_result, "{kibibytes} KiB: {}", read(&out, "summary.md"));
        }
        let Some(resume) = resume else {
            is_refused = true;
            continue;
        };
        is_resumed = true;
        let result: Value = serde_json::from_str(&read(&out, "result.json")).unwrap();
        assert_eq!(result["exit_code"], 3, "{kibibytes} KiB");
        let resumed = run(at, &resume.split_whitespace().collect::<Vec<_>>());
        assert_eq!(resumed.code, Some(1), "{kibibytes} KiB: {resumed:?}");
        are_one_sweep(&out, &whole);
    }
    assert!(is_refused && is_resumed, "the limits leave a result, and none");
}
