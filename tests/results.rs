//! What a sweep leaves for CI systems and for people, and that shards joined are the sweep.

use crate::browser::Browser;
use crate::command::{LYING_DISKS, check, folder_with};
use crate::support::{files, run};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const VIOLATION: Option<i32> = Some(1);

fn read(folder: &Path, name: &str) -> String {
    let path = folder.join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn object(folder: &Path, name: &str) -> Value {
    serde_json::from_str(&read(folder, name)).unwrap()
}

/// Sums for machines without what depends on the machine.
fn timeless(mut value: Value) -> Value {
    let timed = ["wall_seconds", "jobs", "messages_per_second", "speedup", "folder", "wall"];
    match &mut value {
        Value::Object(fields) => {
            fields.retain(|name, _| !timed.contains(&&**name));
            fields.values_mut().for_each(|field| *field = timeless(field.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = timeless(item.take())),
        _ => {}
    }
    value
}

/// Storms in one go and in three shards, merges those, and demands that it is all the same.
#[track_caller]
fn check_merged(storm: &[&str], code: Option<i32>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let storm = [&["storm", "--no-shrink"], storm].concat();
    let whole = run(at, &[&storm[..], &["--out", "whole", "--json", "whole.json"]].concat());
    assert_eq!(whole.code, code, "{whole:?}");
    for shard in ["1", "2", "3"] {
        let of = format!("{shard}/3");
        let ended = run(at, &[&storm[..], &["--shard", &of, "--out", shard]].concat());
        assert!([Some(0), code].contains(&ended.code), "{ended:?}");
    }
    let merge = ["merge", "3", "1", "2", "--out", "joined", "--json", "joined.json"];
    let merged = run(at, &merge);
    assert_eq!(merged.code, code, "{merged:?}");
    assert_eq!(timeless(object(at, "joined.json")), timeless(object(at, "whole.json")));
    let (joined, whole) = (at.join("joined"), at.join("whole"));
    assert_eq!(timeless(object(&joined, "result.json")), timeless(object(&whole, "result.json")));
    // No figure of real time is in these, so they are the same to the byte.
    for file in ["index.html", "junit.xml", "summary.md"] {
        assert_eq!(read(&joined, file), read(&whole, file), "{file}");
    }
    folder
}

#[test]
fn three_shards_merged_are_the_sweep_field_by_field() {
    let folder = check_merged(&["ensemble-3", "--seeds", "11..21"], Some(0));
    let sums = object(folder.path(), "joined.json");
    assert_eq!(sums["seeds"], 11);
    assert!(sums["states"].as_u64().unwrap() > 50, "{sums}");
    // Three shards are the whole only of the range that was asked for.
    let shards = ["1", "2", "3"].map(|shard| object(&folder.path().join(shard), "result.json"));
    let seeds = |shard: &Value| shard["scenarios"][0]["tally"]["first_seed"].as_u64();
    assert_eq!(shards.each_ref().map(seeds), [Some(11), Some(12), Some(13)]);
}

#[test]
fn three_shards_that_found_something_are_merged_with_its_evidence() {
    let storm = ["ensemble-3", "ensemble", "--defect", "minority-quorum", "--seeds", "1..18"];
    let folder = check_merged(&storm, VIOLATION);
    let sums = object(folder.path(), "joined.json");
    let groups = sums["scenarios"][0]["violations"].as_object().unwrap();
    assert!(groups.len() > 1, "{groups:?}");
    for group in groups.values() {
        let report = group["report"].as_str().expect("a page of each kind");
        let seed = group["first_seed"].as_u64().unwrap();
        assert_eq!(report, format!("ensemble-3/{seed}/report.html"));
        for file in ["report.html", "excerpt.md", "run.json", "plan.toml"] {
            let file = format!("ensemble-3/{seed}/{file}");
            let (joined, whole) = (folder.path().join("joined"), folder.path().join("whole"));
            assert!(read(&joined, &file) == read(&whole, &file), "{file}");
        }
    }
}

#[test]
fn goals_count_for_the_joined_seeds_and_not_for_those_of_a_shard() {
    // Without a fault nothing is reached; a plan of one's own is no sweep that has to.
    let folder = folder_with(&[("quiet.toml", "")]);
    let at = folder.path();
    let quiet = ["--set", "clients=1", "--set", "servers=1"];
    let storm = [&["storm", "ensemble-3", "--seeds", "200", "--plan", "quiet.toml"], &quiet[..]];
    for shard in ["1", "2"] {
        let of = format!("{shard}/2");
        let ended = run(at, &[&storm.concat()[..], &["--shard", &of, "--out", shard]].concat());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        // As if the seeds had drawn their storms.
        let text = read(&at.join(shard), "result.json");
        let changed = text.replace("\"is_as_it_comes\": false", "\"is_as_it_comes\": true");
        assert_ne!(text, changed);
        let (before, options) = changed.split_once("\"replay_options\": \"").unwrap();
        let (_, after) = options.split_once('"').unwrap();
        let changed = format!("{before}\"replay_options\": \"\"{after}");
        fs::write(at.join(shard).join("result.json"), changed).unwrap();
    }
    let merged = run(at, &["merge", "1", "2", "--out", "joined"]);
    assert_eq!(merged.code, Some(2), "{merged:?}");
    assert!(merged.out.contains("200 seeds: 200 pass"), "{merged:?}");
    assert!(read(&at.join("joined"), "junit.xml").contains("<failure type=\"not-reached\""));
    assert!(read(&at.join("joined"), "summary.md").contains("**Never reached: "));
}

#[test]
fn what_cannot_be_merged_is_refused_with_a_next_step() {
    let folder = folder_with(&[
        ("empty/.keep", ""),
        ("foreign/result.json", "{\"format\": 1, \"cats\": 3}"),
        ("other/result.json", "{\"format\": 77}"),
        ("cut/result.json", "{\"format\": 1, \"mailstorm\": \"0."),
        ("file", "x"),
    ]);
    let at = folder.path();
    let storm_of = |seeds: &str, out: &str, options: &[&str]| {
        let few = ["storm", "ensemble-3", "--set", "servers=1", "--set", "clients=1"];
        let ended = run(at, &[&few[..], &["--seeds", seeds, "--out", out], options].concat());
        assert_eq!(ended.code, Some(0), "{ended:?}");
    };
    let storm = |out: &str, options: &[&str]| storm_of("4", out, options);
    storm("1", &["--shard", "1/3"]);
    storm("2", &["--shard", "2/3"]);
    storm("2-of-2", &["--shard", "2/2"]);
    storm("larger", &["--shard", "2/3", "--set", "clients=2"]);
    storm_of("5", "longer", &["--shard", "2/3"]);
    storm("cruel", &["--shard", "2/3", "--all-faults"]);
    let text = read(&at.join("2"), "result.json");
    let of = |name: &str, from: &str, to: &str| {
        fs::create_dir(at.join(name)).unwrap();
        fs::write(at.join(name).join("result.json"), text.replace(from, to)).unwrap();
    };
    of(
        "older",
        &format!("\"mailstorm\": \"{}\"", env!("CARGO_PKG_VERSION")),
        "\"mailstorm\": \"0.0.1\"",
    );
    of("climbing", "\"scenario\": \"ensemble-3\"", "\"scenario\": \"../../etc\"");
    let cases: &[(&[&str], &[&str])] = &[
        (&["1", "2"], &["no result of shard 3/3", "storm --shard"]),
        (&["1"], &["no result of shard 2/3, 3/3"]),
        (&["1", "1"], &["shard 1/3 is there twice", "give each shard once"]),
        (&["1", "2-of-2"], &["1 and 2-of-2 are not of one sweep", "a shard of 3 and one of 2"]),
        (&["1", "larger"], &["settings", "clients=1", "clients=2", "same options"]),
        (&["1", "longer"], &["seeds 1..4 and 1..5"]),
        (&["1", "cruel"], &["--all-faults false and true"]),
        (&["1", "older"], &["made by mailstorm", "and by 0.0.1"]),
        (&["1", "climbing"], &["'../../etc' is no scenario's name"]),
        (&["empty"], &["empty holds no result.json", "give the folders"]),
        (&["absent"], &["absent is no folder with a result.json"]),
        (&["file"], &["file is no folder"]),
        (&["foreign"], &["foreign/result.json: not a sweep's result", "run the shard again"]),
        (&["other"], &["the result has format 77"]),
        (&["cut"], &["cut/result.json: not a sweep's result"]),
    ];
    for (folders, words) in cases {
        check(at, &[&["merge"], *folders, &["--out", "joined"]].concat(), words);
        assert!(!at.join("joined").exists(), "nothing is written: {folders:?}");
    }
    check(at, &["merge", "--out", "joined"], &["<DIR>"]);
    check(at, &["merge", "1"], &["--out <DIR>"]);
    storm("3", &["--shard", "3/3"]);
    let all = ["merge", "1", "2", "3", "--out"];
    check(at, &[&all[..], &["./2"]].concat(), &["2 is one of the shards", "--out"]);
    check(at, &[&all[..], &["file/x"]].concat(), &["cannot write file/x", "give another place"]);
    assert_eq!(read(&at.join("2"), "result.json"), text, "a shard is only read");
}

#[test]
fn a_shard_that_is_none_is_refused() {
    let folder = folder_with(&[]);
    let cases: &[(&str, &[&str])] = &[
        ("0/4", &["0/4", "numbered from 1"]),
        ("5/4", &["there is no shard 5 of 4"]),
        ("x/y", &["'x/y' is no shard", "expected I/N"]),
        ("4", &["expected I/N, like 2/4"]),
        ("1/0", &["there is no shard 1 of 0"]),
        ("9/9", &["shard 9/9 of 8 seeds has none", "--seeds"]),
    ];
    for (shard, words) in cases {
        check(folder.path(), &["storm", "ensemble-3", "--seeds", "8", "--shard", shard], words);
    }
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing is written");
}

#[test]
fn a_storm_that_cannot_write_its_evidence_says_so_in_every_result() {
    let folder = folder_with(&[
        ("runs/result.json", "{}"),
        ("runs/summary.md", "all is well"),
        ("plan.toml", LYING_DISKS),
    ]);
    let at = folder.path();
    // The run's own folder cannot be made.
    fs::write(at.join("runs/mail-claims"), "in the way").unwrap();
    let ended = run(at, &["storm", "mail-claims", "--seeds", "1", "--plan", "plan.toml"]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.err.contains("error: cannot write runs/mail-claims/1/run.json"), "{ended:?}");
    assert!(ended.out.contains("1 seed: 0 pass, 1 violation"), "{ended:?}");
    assert_eq!(object(&at.join("runs"), "result.json")["exit_code"], 3);
    for file in ["summary.md", "junit.xml", "index.html"] {
        let text = read(&at.join("runs"), file);
        assert!(text.contains("cannot write runs/mail-claims/1/run.json"), "{file}: {text}");
    }
    // What is joined of it is no better.
    let merged = run(at, &["merge", "runs", "--out", "joined"]);
    assert_eq!(merged.code, Some(3), "{merged:?}");
    assert!(merged.out.contains("\nSTOPPED  after 1 seed: cannot write "), "{merged:?}");
    assert_eq!(object(&at.join("joined"), "result.json")["exit_code"], 3);
}

#[test]
fn results_say_the_same_when_the_same_is_run_again_with_more_jobs() {
    let folder = folder_with(&[]);
    let at = folder.path();
    let storm = ["storm", "ensemble-3", "--defect", "minority-quorum", "--seeds", "8"];
    for (out, jobs) in [("one", "1"), ("two", "2")] {
        let ended = run(at, &[&storm[..], &["--jobs", jobs, "--out", out]].concat());
        assert_eq!(ended.code, VIOLATION, "{ended:?}");
    }
    let (one, two) = (at.join("one"), at.join("two"));
    assert_eq!(files(&one), files(&two));
    for file in files(&one).iter().filter(|file| *file != "result.json") {
        assert_eq!(read(&one, file), read(&two, file), "{file}");
    }
    let cases = files(&one).into_iter().filter(|file| file.ends_with("case.toml")).count();
    assert!(cases > 0, "{:?}", files(&one));
    let summary = read(&one, "summary.md");
    assert!(
        summary.contains(
            "\n```sh\nmailstorm replay ensemble-3 --seed 1 --defect minority-quorum\n```\n"
        )
    );
}

#[test]
fn the_page_of_a_sweep_opens_from_disk_and_fits_a_telephone() {
    let folder = folder_with(&[]);
    let at = folder.path();
    let options = ["--defect", "minority-quorum", "--seeds", "12", "--no-shrink"];
    let ended = run(at, &[&["storm", "ensemble-3", "mail-claims"], &options[..]].concat());
    assert_eq!(ended.code, VIOLATION, "{ended:?}");
    let page = at.join("runs/index.html");
    for width in [1280, 390] {
        let Some(mut browser) = Browser::start(width, 900) else { return };
        browser.open(&page, "");
        let wide = browser.evaluate("document.documentElement.scrollWidth");
        assert!(wide.as_u64().is_some_and(|wide| wide <= u64::from(width)), "{wide} of {width}");
        let heads = "[...document.querySelectorAll('h2')].map((h) => h.textContent.split(' ')[0])";
        assert_eq!(browser.evaluate(heads), json!(["ensemble-3", "mail-claims"]));
        let links = browser.evaluate(
            "[...document.querySelectorAll('.found a')].map((a) => a.getAttribute('href'))",
        );
        let links = links.as_array().unwrap();
        assert!(links.len() >= 2, "{links:?}");
        for link in links {
            let file = at.join("runs").join(link.as_str().unwrap());
            assert!(file.is_file(), "{}", file.display());
        }
        // Every table has its numbers, and no text is cut off.
        let cut = "[...document.querySelectorAll('pre, td, th, p, h3')].filter((e) => \
                   e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0).map((e) => e.outerHTML)";
        assert_eq!(browser.evaluate(cut), json!([]));
        let files = browser.requests.iter().filter(|address| address.starts_with("file://"));
        assert_eq!(files.count(), 1, "{:?}", browser.requests);
        assert_eq!(browser.complaints, Vec::<String>::new());
    }
}

#[test]
fn the_sums_for_machines_never_take_the_place_of_a_file_of_a_storms_folder() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let storm = ["storm", "ensemble-3", "--seeds", "1..1", "--out"];
    run(at, &[&storm[..], &["done"]].concat());
    let before = read(&at.join("done"), "result.json");
    for name in ["index.html", "result.json", "summary.md", "junit.xml", ".lock"] {
        for (out, json) in [("new", format!("new/{name}")), ("other", format!("done/{name}"))] {
            let arguments = [&storm[..], &[out, "--json", &json]].concat();
            check(at, &arguments, &["would replace a file of a storm's folder", "sums.json"]);
            assert!(!at.join(out).exists(), "{out} was made for a storm that is refused");
        }
    }
    assert_eq!(read(&at.join("done"), "result.json"), before);
}

#[test]
fn a_storm_that_cannot_be_resumed_makes_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let storm = ["storm", "ensemble-3", "--seeds", "1..1", "--resume", "--out", "nix"];
    check(folder.path(), &storm, &["cannot read nix/result.json", "without --resume"]);
    assert!(!folder.path().join("nix").exists());
}

#[test]
fn sums_for_machines_that_are_to_be_a_folder_are_refused_before_the_first_seed() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("taken")).unwrap();
    let storm = ["storm", "ensemble-3", "--seeds", "1..1", "--json", "taken"];
    check(folder.path(), &storm, &["cannot write taken", "a folder has that name"]);
}
