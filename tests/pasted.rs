//! Commands that are printed can be pasted: the whole line, into a shell, wherever it was printed.

#![cfg(unix)]

use crate::command::{CASE, LYING_DISKS};
use crate::endings::endless;
use crate::support::{Ended, ended, mailstorm, run};
use std::ffi::OsStr;
use std::fs;
use std::io::BufRead;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Runs a line in a shell, which finds the binary under its name.
fn paste(folder: &Path, line: &str) -> Ended {
    let script = format!("mailstorm() {{ \"$MAILSTORM\" \"$@\"; }}\n{line}\n");
    let mut command = Command::new("bash");
    command
        .args(["-c", &script])
        .env("MAILSTORM", env!("CARGO_BIN_EXE_mailstorm"))
        .env_remove("RUST_LOG")
        .current_dir(folder)
        .stdin(Stdio::null());
    ended(command, line)
}

/// Every `mailstorm ...` to the end of its line, as a reader of the file sees it.
fn commands(text: &str, verb: &str) -> Vec<String> {
    let shown = text
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#10;", "\n")
        .replace("&amp;", "&")
        .replace("</pre>", "\n");
    let start = format!("mailstorm {verb} ");
    shown.lines().filter_map(|line| line.find(&start).map(|at| line[at..].to_owned())).collect()
}

/// A folder with a plan and an inbox whose names a shell would take apart.
fn odd_names() -> (TempDir, [&'static OsStr; 3]) {
    let names = [
        OsStr::from_bytes(b"it's a $plan `x`!.toml"),
        OsStr::from_bytes(b"in\xe4 box"),
        OsStr::from_bytes(b"-o\xe4\x1b[31m\nut"),
    ];
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(names[0]), LYING_DISKS).unwrap();
    fs::create_dir(folder.path().join(names[1])).unwrap();
    for name in ["a.eml", "b.eml"] {
        let mail = "From: a@x\nSubject: s\n\nhi\n";
        fs::write(folder.path().join(names[1]).join(name), mail).unwrap();
    }
    (folder, names)
}

#[test]
fn every_printed_command_runs_when_its_line_is_pasted_whole() {
    let (folder, [plan, inbox, out]) = odd_names();
    let at = folder.path();
    let mut storm = mailstorm(at, &["storm", "mail-claims", "--seeds", "1..2", "--no-shrink"]);
    let mut out_option = OsStr::new("--out=").to_owned();
    out_option.push(out);
    storm.arg("--plan").arg(plan).arg("--inbox").arg(inbox).arg(out_option);
    let ended = storm.output().unwrap();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let printed = String::from_utf8(ended.stdout).unwrap();
    let results = at.join(out);
    let record = fs::read_to_string(results.join("mail-claims/1/run.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    let trace = record["outcome"]["trace_hash"].as_str().unwrap();

    let mut texts = vec![("the terminal", printed)];
    for file in ["summary.md", "junit.xml", "index.html", "mail-claims/1/excerpt.md"] {
        texts.push((file, fs::read_to_string(results.join(file)).unwrap()));
    }
    for (place, text) in &texts {
        let mut lines = commands(text, "replay");
        assert!(!lines.is_empty(), "{place} tells how to replay: {text}");
        lines.sort();
        lines.dedup();
        for line in lines {
            let again = paste(at, &line);
            assert_eq!((again.code, again.err.as_str()), (Some(1), ""), "{place}: {line}");
            assert_eq!(again.trace(), trace, "{place}: {line}");
        }
    }
}

/// What stands behind this label, of every line that has it.
fn labelled<'a>(text: &'a str, label: &str) -> Vec<&'a str> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(label));
    lines.map(str::trim_start).collect()
}

#[test]
fn every_printed_path_is_a_word_that_a_shell_takes_for_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for out in ["e\u{1b}[31m\nut", "mailstorm replay x", "a   b \u{61c}c", "plain"] {
        let out_option = format!("--out={out}");
        let seeds = ["storm", "ensemble-3", "--seeds", "1..1", "--defect", "minority-quorum"];
        let swept = run(at, &[&seeds[..], &[&*out_option]].concat());
        assert_eq!(swept.code, Some(1), "{swept:?}");
        let record = format!("{out}/ensemble-3/1/run.json");
        let made = run(at, &["report", &record]);
        let case = format!("{out}/small.toml");
        let shrunk = run(at, &["shrink", &record, "--out", &case]);
        let mut paths = labelled(&swept.out, "  page   ");
        paths.extend(labelled(&swept.out, "  report "));
        paths.extend(labelled(&shrunk.out, "  case   "));
        assert!(paths.len() >= 3, "{swept:?} {shrunk:?}");
        paths.push(made.out.trim_end());
        for path in paths {
            assert!(!path.contains(['\n', '\u{1b}', '\u{61c}']), "{path:?}");
            let there = paste(at, &format!("test -f {path}"));
            assert_eq!(there.code, Some(0), "{path}: {there:?}");
        }
        // And every command is one that runs.
        let next = labelled(&swept.out, "  next   ")[0].replace(" --open", " --out page.html");
        for command in labelled(&swept.out, "  shrunk ").into_iter().chain([&*next]) {
            let again = paste(at, command);
            assert!(again.code.is_some_and(|code| code <= 1), "{command}: {again:?}");
        }
        for text in [&swept.out, &swept.err, &shrunk.out, &made.out] {
            assert!(!text.contains('\u{1b}'), "{text:?}");
        }
    }
}

#[test]
fn a_printed_storm_is_the_storm_that_it_was_printed_of_also_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let calm = "scenario = \"calm\"\nworkload = \"ensemble-3\"\n";
    fs::write(at.join("it's calm.toml"), calm).unwrap();
    let tally = |out: &str| {
        let result = fs::read_to_string(at.join(out).join("result.json")).unwrap();
        let result: serde_json::Value = serde_json::from_str(&result).unwrap();
        result["scenarios"][0]["tally"].clone()
    };
    let lesson = "scenario = \"half\"\nworkload = \"quorum-half\"\n";
    fs::write(at.join("half.toml"), lesson).unwrap();
    // Whether two storms do not come far, so that more of them are next.
    let storms: [(&[&str], i32, &str, bool); 5] = [
        (&["it's calm.toml"], 0, "", true),
        (&["it's calm.toml", "--guided"], 0, " --guided", true),
        (&["ensemble-3", "--guided"], 0, " --guided", true),
        (&["ensemble-3", "--shard", "2/2", "--set", "clients=2"], 0, " --shard 2/2", false),
        (&["half.toml", "--variant", "wrong", "--no-shrink"], 1, " --variant wrong", false),
    ];
    for (storm, code, option, is_short) in storms {
        let swept = run(at, &[&["storm"], storm, &["--seeds", "1..2"]].concat());
        assert_eq!(swept.code, Some(code), "{swept:?}");
        let index = fs::read_to_string(at.join("runs/index.html")).unwrap();
        let line = &commands(&index, "storm")[0];
        assert!(line.contains(option), "{line}");
        let again = paste(at, &format!("{line} --no-shrink --out again"));
        assert_eq!(again.code, Some(code), "{line}: {again:?}");
        assert_eq!(tally("again"), tally("runs"), "{line}");
        let next = labelled(&swept.out, "  next   ")[0];
        let more = next.strip_suffix(option).and_then(|next| next.strip_suffix(" 1..200"));
        assert_eq!(more.is_some(), is_short, "{next}");
        let Some(more) = more else { continue };
        let ended = paste(at, &format!("{more} 1..3{option} --out more"));
        assert_eq!((ended.code, &*ended.err), (Some(0), ""), "{next}");
        assert_eq!(tally("more")["last_seed"], 3, "{next}");
    }
}

#[test]
fn the_line_that_resumes_a_storm_runs_when_it_is_pasted_whole() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let out = "--out=it's a $folder";
    let (child, err) = endless(at, "ensemble-3", &["--seeds", "1..60", "--jobs", "1", out]);
    child.signal("INT");
    let rest: Vec<String> = err.lines().map(Result::unwrap).collect();
    assert_eq!(child.ends(), Some(1), "{rest:?}");
    let line = rest.last().unwrap().strip_prefix("  resume   ").unwrap();
    let resumed = paste(at, line);
    assert_eq!(resumed.code, Some(1), "{line}: {resumed:?}");
    assert!(resumed.out.contains("\n60 seeds: "), "{line}: {resumed:?}");
}

#[test]
fn a_comment_that_a_shell_hands_over_as_words_is_none_of_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["replay", "ensemble-3", "--seed", "2", "#", "trace", "00ff"];
    let ended = run(folder.path(), &words);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn a_record_and_a_case_are_found_in_a_folder_whose_name_is_no_text() {
    let (folder, [_, _, out]) = odd_names();
    let at = folder.path();
    fs::create_dir(at.join(out)).unwrap();
    fs::write(at.join(out).join("case.toml"), CASE).unwrap();
    let case = Path::new(".").join(out).join("case.toml");
    for verb in ["replay", "report"] {
        let ended = mailstorm(at, &[verb]).arg(&case).output().unwrap();
        assert_eq!(ended.status.code(), Some(0), "{verb}: {ended:?}");
    }
    assert!(at.join(out).join("report.html").is_file());
}
