//! A run in the formats of other tools: what comes out is what those tools read, and what cannot be
//! given is refused.

use crate::command::{check, folder_with};
use crate::support::{Ended, run};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A run with a violation in it: no majority is asked for.
const BROKEN: [&str; 6] = ["report", "ensemble-3", "--seed", "6", "--defect", "minority-quorum"];

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

#[track_caller]
fn passes(folder: &Path, arguments: &[&str]) -> Ended {
    let ended = run(folder, arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
    ended
}

#[test]
fn a_whole_run_is_a_trace_whose_every_flow_begins_and_ends_in_a_slice() {
    let folder = folder_with(&[]);
    let at = folder.path();
    passes(at, &["report", "ensemble-3", "--seed", "2", "--perfetto", "trace.json"]);
    let trace: Value = serde_json::from_str(&read(at, "trace.json")).unwrap();
    assert_eq!(trace["otherData"]["scenario"], "ensemble-3");
    let events = trace["traceEvents"].as_array().unwrap();
    let of = |phase: &'static str| events.iter().filter(move |event| event["ph"] == phase);
    let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("no number: {value}"));
    let track = |event: &Value| (number(&event["pid"]), event["tid"].as_u64());
    // Slices of one track lie one after another.
    let mut slices: BTreeMap<_, Vec<(u64, u64)>> = BTreeMap::new();
    for slice in of("X") {
        let begin = number(&slice["ts"]);
        slices.entry(track(slice)).or_default().push((begin, begin + number(&slice["dur"])));
    }
    for (track, slices) in &mut slices {
        slices.sort_unstable();
        for pair in slices.windows(2) {
            assert!(pair[0].1 <= pair[1].0, "{track:?}: {pair:?}");
        }
    }
    // Every arrow has two ends, each in a slice, and none goes back in time.
    let begins: BTreeMap<u64, &Value> = of("s").map(|flow| (number(&flow["id"]), flow)).collect();
    assert!(begins.len() > 500, "{}", begins.len());
    assert_eq!(of("f").count(), begins.len());
    for end in of("f") {
        let begin = begins[&number(&end["id"])];
        assert!(number(&begin["ts"]) <= number(&end["ts"]), "{begin} {end}");
        for flow in [begin, end] {
            let at = number(&flow["ts"]);
            let slices = &slices[&track(flow)];
            let place = slices.partition_point(|(begin, _)| *begin <= at);
            assert!(place > 0 && at < slices[place - 1].1, "no slice around {flow}");
        }
    }
    // Every operation that begins ends; faults, roles and names are there.
    let ids = |phase| of(phase).map(|event| event["id"].to_string()).collect::<BTreeSet<_>>();
    assert!(ids("b").len() > 10);
    assert_eq!(ids("b"), ids("e"));
    for category in ["fault", "state", "phase"] {
        assert!(of("X").any(|slice| slice["cat"] == category), "{category}");
    }
    let names = of("M").filter(|event| event["name"] == "process_name");
    assert!(names.clone().any(|event| event["args"]["name"] == "s1"));
}

#[test]
fn a_log_for_shiviz_has_a_thousand_events_whose_clocks_fit() {
    let folder = folder_with(&[]);
    let at = folder.path();
    passes(at, &["report", "ensemble-3", "--seed", "2", "--shiviz", "log.txt"]);
    let text = read(at, "log.txt");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["(?<event>.*)\\n(?<host>\\S*) (?<clock>{.*})", ""]);
    assert_eq!(lines.len(), 2 + 2 * 1_000);
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut joined = 0;
    for pair in lines[2..].chunks(2) {
        let (host, clock) = pair[1].split_once(' ').unwrap();
        let clock: BTreeMap<String, u64> = serde_json::from_str(clock).unwrap();
        *counts.entry(host.to_owned()).or_default() += 1;
        assert_eq!(clock[host], counts[host], "{}", pair[1]);
        assert!(clock.iter().all(|(other, count)| counts[other] >= *count), "{}", pair[1]);
        joined += usize::from(pair[0].contains(" receives #") && clock.len() > 1);
    }
    assert!(joined > 100, "messages join the clocks: {joined}");
}

#[test]
fn the_excerpt_of_a_violation_ends_with_it_and_a_sweep_leaves_the_same() {
    let folder = folder_with(&[]);
    let at = folder.path();
    passes(at, &[&BROKEN[..], &["--mermaid", "excerpt.md"]].concat());
    let told = read(at, "excerpt.md");
    assert!(told.starts_with("```text\nVIOLATION  quorum/unpromised  seed 6  at "), "{told}");
    let replay = "mailstorm replay ensemble-3 --seed 6 --defect minority-quorum";
    assert!(told.contains(&format!("\n```sh\n{replay}\n```\n")), "{told}");
    let diagram = told.split("```mermaid\n").nth(1).unwrap().trim_end().trim_end_matches("```");
    assert!(diagram.starts_with("sequenceDiagram\n    participant n0 as "), "{diagram}");
    let arrows = diagram.lines().filter(|line| line.contains("->>") || line.contains("-x"));
    assert!((5..=30).contains(&arrows.count()), "{diagram}");
    let last = diagram.trim_end().lines().last().unwrap();
    assert!(
        last.contains(" VIOLATION quorum/unpromised#58;")
            || last.contains(" VIOLATION quorum/unpromised: ")
    );
    // The bare diagram is the same, and so is what a sweep writes by itself.
    passes(at, &[&BROKEN[..], &["--mermaid", "diagram.mmd"]].concat());
    assert_eq!(read(at, "diagram.mmd"), diagram);
    let storm =
        ["storm", "ensemble-3", "--defect", "minority-quorum", "--seeds", "6..6", "--no-shrink"];
    assert_eq!(run(at, &storm).code, Some(1));
    assert_eq!(read(at, "runs/ensemble-3/6/excerpt.md"), told);
}

#[test]
fn every_message_of_an_excerpt_is_told_in_its_own_words() {
    let folder = folder_with(&[]);
    let at = folder.path();
    passes(at, &["report", "quorum-half/wrong", "--mermaid", "diagram.mmd"]);
    let diagram = read(at, "diagram.mmd");
    // An acknowledgement ends in a zxid, which looks like an address.
    for words in [" s ACK 2:1\n", " s COMMIT 2:1\n", " s setData /clusterx/master_ip\n"] {
        assert!(diagram.contains(words), "no '{words}' in {diagram}");
    }
    assert!(!diagram.contains(" s request") && !diagram.contains(" s answer"), "{diagram}");
}

#[test]
fn the_excerpt_of_work_that_stands_still_ends_where_it_stopped() {
    let folder = folder_with(&[]);
    let at = folder.path();
    passes(at, &["report", "mail-flag/wrong", "--mermaid", "excerpt.md"]);
    let told = read(at, "excerpt.md");
    let since = {
        let line = told.lines().find(|line| line.starts_with("VIOLATION  exactly-once/lost"));
        let line = line.unwrap_or_else(|| panic!("{told}"));
        let since = line.split(" at ").last().unwrap();
        since.split(' ').next().unwrap().parse::<f64>().unwrap() + 0.001
    };
    let seconds = |line: &str| {
        let words = line.trim_start().split_once(": ").unwrap().1;
        words.split(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let arrows: Vec<f64> = told
        .lines()
        .filter(|line| line.contains("->>") || line.contains("-x"))
        .map(seconds)
        .collect();
    assert!(arrows.len() > 10 && arrows.iter().all(|at| *at <= since), "{since}: {told}");
    // And what befell the worker then is told.
    let after = told.lines().filter(|line| line.contains("Note over") && line.contains(" dies"));
    assert!(after.map(seconds).any(|at| at > since), "{told}");
}

#[test]
fn several_formats_are_written_at_once_and_the_page_only_when_asked_for() {
    let folder = folder_with(&[]);
    let at = folder.path();
    let three = ["--perfetto", "p.json", "--shiviz", "s.txt", "--mermaid", "-"];
    let ended = passes(at, &[&BROKEN[..], &three].concat());
    assert!(ended.out.starts_with("```text\nVIOLATION"), "{ended:?}");
    assert_eq!(ended.err.lines().collect::<Vec<_>>(), ["p.json", "s.txt"]);
    assert!(!at.join("runs").exists(), "no page was asked for");
    let ended =
        passes(at, &[&BROKEN[..], &["--shiviz", "again.txt", "--out", "page.html"]].concat());
    assert_eq!(ended.out, "again.txt\npage.html\n");
    assert!(at.join("page.html").is_file());
    assert_eq!(read(at, "s.txt"), read(at, "again.txt"));
    // A record without its events is run again, one with them is taken as it is: all the same.
    let replay =
        ["ensemble-3", "--seed", "6", "--defect", "minority-quorum", "--json", "full.json"];
    assert_eq!(run(at, &[&["replay"], &replay[..]].concat()).code, Some(1));
    let mut record: Value = serde_json::from_str(&read(at, "full.json")).unwrap();
    record.as_object_mut().unwrap().remove("events");
    fs::write(at.join("bare.json"), record.to_string()).unwrap();
    for file in ["full.json", "bare.json"] {
        passes(at, &["report", file, "--shiviz", "other.txt"]);
        assert_eq!(read(at, "other.txt"), read(at, "s.txt"), "{file}");
    }
}

#[test]
fn of_a_record_that_was_cut_short_what_is_left_is_exported_and_what_is_none_is_refused() {
    let folder = folder_with(&[("file", "x")]);
    let at = folder.path();
    run(at, &["replay", "ensemble-3", "--seed", "2", "--json", "full.json"]);
    let full = read(at, "full.json");
    fs::write(at.join("half.json"), &full[..full.len() / 2]).unwrap();
    fs::write(at.join("head.json"), &full[..200]).unwrap();
    let all = ["--perfetto", "p.json", "--shiviz", "s.txt", "--mermaid", "m.md"];
    let ended = passes(at, &[&["report", "half.json"], &all[..]].concat());
    assert_eq!(ended.err.lines().count(), 1, "{ended:?}");
    assert!(ended.err.starts_with("note: half.json: This record is cut short: "), "{ended:?}");
    let trace: Value = serde_json::from_str(&read(at, "p.json")).unwrap();
    assert!(trace["otherData"]["missing"].as_str().unwrap().contains("cut short"));
    let cases: &[(&[&str], &[&str])] = &[
        (&["head.json", "--perfetto", "x.json"], &["head.json: not a record", "give a run.json"]),
        (&["absent.json", "--shiviz", "x.txt"], &["absent.json does not exist"]),
        (&["full.json", "--perfetto", "file/x.json"], &["cannot write file/x.json"]),
        (&["full.json", "--mermaid", "-", "--shiviz", "-"], &["to the terminal at once", "a file"]),
        (&["full.json", "--mermaid", "-", "--out", "-"], &["to the terminal at once"]),
        (&["full.json", "full.json", "--perfetto", "x.json"], &["take one run"]),
        (&["full.json", "--perfetto"], &["--perfetto <FILE>"]),
    ];
    for (arguments, words) in cases {
        check(at, &[&["report"], *arguments].concat(), words);
    }
}
