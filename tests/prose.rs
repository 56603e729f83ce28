//! What people read is written for people: one thing is singular, and a name of machines stays with
//! machines.
//!
//! Looked at is everything that a few sweeps leave and that commands print, without what is to be
//! pasted.

use crate::browser::Browser;
use crate::command::{LYING_DISKS, folder_with};
use crate::support::{files, run};
use std::fs;

/// Words with an `s` at their end that are no plural.
const SINGULAR: &[&str] =
    &["breaks", "differs", "has", "is", "less", "pass", "passes", "waits", "was"];

/// Of which this is a name that machines use: two words or more with `_` between them.
fn is_name_of_machines(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '_' && c != '/');
    // Paths of files and znodes, fingerprints.
    let is_path = word.contains('/') || word.contains('.');
    let parts: Vec<&str> = word.split('_').collect();
    let is_part = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase());
    !is_path && parts.len() > 1 && parts.iter().all(is_part)
}

/// What is wrong with a text that people read.
fn faults_of(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        for pair in words.windows(2) {
            let number = pair[0].trim_start_matches(['(', '[']);
            let noun = pair[1].trim_end_matches(|c: char| !c.is_alphanumeric());
            let is_word = noun.len() > 2 && noun.chars().all(|c| c.is_ascii_lowercase());
            if number == "1" && is_word && noun.ends_with('s') && !SINGULAR.contains(&noun) {
                found.push(format!("1 {noun}: {line}"));
            }
        }
        found.extend(
            words.iter().filter(|word| is_name_of_machines(word)).map(|w| format!("{w}: {line}")),
        );
    }
    found
}

#[test]
fn a_plural_of_one_and_a_name_of_machines_are_found_where_they_are() {
    for wrong in ["1 seeds pass", "(1 mails, b)", "of 1 runs: x", "goal session_expired, 3"] {
        assert_eq!(faults_of(wrong).len(), 1, "{wrong}");
    }
    for right in
        ["1 seed passes", "11 seeds", "1,001 runs", "at 1 s", "quorum/late_commit", "a_b.x"]
    {
        assert_eq!(faults_of(right), <[String; 0]>::default());
    }
}

/// The text between these marks, and these, taken out, over and over.
fn without(text: &str, begin: &str, end: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once(begin) {
        out.push_str(before);
        rest = after.split_once(end).map_or("", |(_, after)| after);
    }
    out + rest
}

/// What a person reads of this file.
fn prose(name: &str, text: &str) -> String {
    let commands = |text: &str| {
        let told = text.lines().filter(|line| !line.contains("mailstorm "));
        told.map(|line| format!("{line}\n")).collect::<String>()
    };
    let text = match name.rsplit('.').next().unwrap() {
        "md" => {
            let text = without(&without(text, "```toml\n", "\n```"), "```sh\n", "\n```");
            text.replace('\\', "").replace("<summary>", "\n").replace("</summary>", "\n")
        }
        "xml" => {
            // The messages and bodies; and of the properties only the one that is a sentence.
            let values = |text: &str, key: &str| -> String {
                let key = format!("{key}=\"");
                let after = text.split(key.as_str()).skip(1);
                after.map(|rest| rest.split('"').next().unwrap().to_owned() + "\n").collect()
            };
            values(text, "message")
                + &values(text, "name=\"ended\" value")
                + &without(text, "<", ">")
        }
        "html" => {
            let text =
                without(&without(text, "<style>", "</style>"), "<summary>the case", "</pre>");
            let text = text.replace("</", "\n</").replace("<br>", "\n");
            without(&text, "<", ">")
        }
        "toml" => {
            let notes = text.lines().filter_map(|line| line.strip_prefix("# "));
            notes.map(|line| format!("{line}\n")).collect()
        }
        _ => text.to_owned(),
    };
    let entities = [("&#10;", "\n"), ("&#35;", "#"), ("&gt;", ">"), ("&lt;", "<"), ("&amp;", "&")];
    commands(&entities.iter().fold(text, |text, (entity, is)| text.replace(entity, is)))
}

#[track_caller]
fn is_written_for_people(name: &str, text: &str) {
    let found = faults_of(&prose(name, text));
    assert!(found.is_empty(), "{name}: {found:#?}");
}

#[test]
fn everything_that_people_read_of_a_sweep_is_written_for_people() {
    let expects = "scenario = \"calm\"\nworkload = \"ensemble-3\"\nlasts_ms = 2000\n\n[topology]\nclients = 1\n\n\
                   [expect]\nviolations = [\"quorum/lost\"]\nreached = [\"leader_paused\"]\n";
    let folder = folder_with(&[
        ("plan.toml", LYING_DISKS),
        ("calm.toml", expects),
        ("in/a.eml", "Subject: a\n\nb\n"),
        ("in/.hidden", "Subject: a\n\nb\n"),
    ]);
    let at = folder.path();
    let one = "--seeds=1..1";
    let sweeps: &[&[&str]] = &[
        &["ensemble-3", one, "--verify", "1"],
        &["ensemble-3", one, "--defect", "minority-quorum"],
        &["ensemble-3", "--seeds=1..2", "--defect", "minority-quorum", "--shard", "1/2"],
        &["mail-claims", one, "--plan", "plan.toml", "--no-shrink", "--inbox", "in"],
        &["mail-flag/wrong", "mail-flag/right", one],
        &["calm.toml", one],
    ];
    for (number, sweep) in sweeps.iter().enumerate() {
        let out = format!("out-{number}");
        let ended = run(at, &[&["storm"], *sweep, &["--out", &out]].concat());
        for (name, text) in [("stdout", &ended.out), ("stderr", &ended.err)] {
            is_written_for_people(name, text);
        }
        // What a page shows is seen in a browser.
        let is_read = |name: &String| {
            ["md", "xml", "html", "toml"].iter().any(|end| name.ends_with(end))
                && !name.ends_with("report.html")
        };
        let files: Vec<String> = files(&at.join(&out)).into_iter().filter(is_read).collect();
        assert!(files.len() >= 3, "{files:?}");
        for name in files {
            let text = fs::read_to_string(at.join(&out).join(&name)).unwrap();
            is_written_for_people(&format!("{out}/{name}"), &text);
        }
    }
    for command in [
        &["replay", "mail-flag/wrong"][..],
        &["shrink", "out-1/ensemble-3/1/run.json", "--out", "small.toml"],
        &["merge", "out-0", "--out", "merged"],
        &["inbox", "in"],
    ] {
        let ended = run(at, command);
        for (name, text) in [("stdout", &ended.out), ("stderr", &ended.err)] {
            is_written_for_people(name, text);
        }
    }
    let Some(mut browser) = Browser::start(1280, 1200) else { return };
    for page in ["out-1/ensemble-3/1/report.html", "out-4/mail-flag/flag-first/1/report.html"] {
        browser.open(&at.join(page), "");
        let text = browser.after_drawing("document.body.innerText");
        is_written_for_people(page, text.as_str().unwrap());
    }
}
