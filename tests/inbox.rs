//! What is told of an inbox, in the terminal and in the results, and that a replay knows it again.

use crate::command::{LYING_DISKS, folder_with, refused};
use crate::support::{run, run_with_input};
use mailstorm_shared::harmless::is_obeyed;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const MAIL: &str = "From: ann@example.org\nSubject: note\n\nhello\n";
const LINE: &str = "From ann@example.org Thu Jan  1 00:00:00 2026\n";

fn object(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn what_was_left_out_stands_in_the_terminal_and_in_every_result() {
    let folder = folder_with(&[
        ("in/cur/.DS_Store", "\0"),
        ("in/cur/1.a.host:2,RS", MAIL),
        ("in/new/1.a.host", MAIL),
        ("in/dovecot-uidlist", "3"),
        ("in/subscriptions", "Sent"),
    ]);
    let at = folder.path();
    let arguments = ["storm", "--seeds", "1", "--inbox", "in", "--json", "sum.json"];
    let ended = run(at, &arguments);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told = "inbox      1 mail in 1 Maildir; 4 left out\n           \
                1 with a leading dot: cur/.DS_Store\n           \
                2 kept by a mail program for itself: dovecot-uidlist, subscriptions\n           \
                1 with the unique name of another mail: new/1.a.host\n";
    assert!(ended.out.starts_with(told), "{}", ended.out);
    assert!(ended.out.contains("no mail plays the poison"), "{}", ended.out);
    let left_out = json!({ "leading_dot": 1, "program_file": 2, "twin": 1 });
    let sum = object(&at.join("sum.json"));
    assert_eq!((&sum["mails"], &sum["left_out"]), (&json!(1), &left_out));
    let part = &object(&at.join("runs/result.json"))["scenarios"][0];
    assert_eq!((&part["terms"]["inbox"]["mails"], &part["left_out"]), (&json!(1), &left_out));
    for file in ["summary.md", "index.html"] {
        let text = fs::read_to_string(at.join("runs").join(file)).unwrap();
        let words = "Inbox: 1 mail, 4 left out (1 leading dot, 2 program file, 1 twin)";
        assert!(text.contains(words), "{file}: {text}");
    }
    let listed = run(at, &["inbox", "in"]);
    assert!(listed.out.starts_with(told) && listed.out.contains("digest "), "{listed:?}");
    // The sample inbox is not told.
    let ended = run(at, &["storm", "--seeds", "1"]);
    assert!(!ended.out.contains("inbox "), "{ended:?}");
}

#[test]
fn what_of_an_mbox_could_have_been_read_otherwise_stands_in_every_result() {
    let text = "Subject: 1\n\nFrom now on\n\n";
    let mbox = format!("{LINE}{text}{LINE}no header\n\n{LINE}{text}");
    let folder = folder_with(&[("all.mbox", &mbox)]);
    let at = folder.path();
    let arguments = ["storm", "--seeds", "1", "--inbox", "all.mbox", "--json", "sum.json"];
    let ended = run(at, &arguments);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("note: 2 lines with 'From ' at the beginning taken as text"));
    let counts = |object: &Value| {
        (object["from_lines_as_text"].clone(), object["mails_without_header"].clone())
    };
    let expected = (json!(2), json!(1));
    assert_eq!(counts(&object(&at.join("sum.json"))), expected);
    assert_eq!(counts(&object(&at.join("runs/result.json"))["scenarios"][0]), expected);
    let words = "Inbox: 3 mails, nothing left out; 2 lines with 'From ' taken as text; 1 line with 'From ' \
                 taken as a mail's beginning without a header after it";
    for file in ["summary.md", "index.html", "junit.xml"] {
        let text = fs::read_to_string(at.join("runs").join(file)).unwrap();
        assert!(text.contains(words), "{file}: {text}");
    }
}

#[test]
fn a_name_is_printed_with_all_its_blanks() {
    let folder = folder_with(&[("in/a.eml", MAIL), ("in/q  r.txt", "x"), ("in/1  2.eml", "\0")]);
    let told = run(folder.path(), &["inbox", "in"]).out;
    assert!(told.contains("1 no mail by name and content: q  r.txt\n"), "{told}");
    assert!(told.contains("1 of the mails is a dead letter: 1  2.eml ("), "{told}");
}

#[test]
fn a_replay_by_seed_knows_whether_the_inbox_is_the_one_of_the_sweep() {
    let mails = [("in/new/9.z.host", MAIL), ("in/cur/1.a.host:2,S", MAIL)];
    let folder = folder_with(&[&mails[..], &[("plan.toml", LYING_DISKS)]].concat());
    let at = folder.path();
    let storm = ["storm", "--seeds", "1..2", "--no-shrink", "--plan", "plan.toml", "--inbox", "in"];
    let storm = run(at, &storm);
    let line = storm.out.lines().find_map(|line| line.trim().strip_prefix("replay   mailstorm "));
    let (line, trace) = line.expect("lying disks show").split_once(" # trace ").expect("a trace");
    assert!(line.contains(" --inbox in --inbox-digest "), "{line}");
    let words: Vec<&str> = line.split_whitespace().collect();
    let replayed = run(at, &words);
    assert_eq!(replayed.trace(), trace.trim_end_matches(')'));
    // What a replay prints can be pasted as well.
    assert!(replayed.out.contains(line.trim_end()), "{line}: {replayed:?}");
    // A mail that was read meanwhile is the same mail, and this the same run.
    fs::rename(at.join("in/new/9.z.host"), at.join("in/cur/9.z.host:2,S")).unwrap();
    assert_eq!(run(at, &words).trace(), trace.trim_end_matches(')'));
    for (name, text) in [("in/new/10.z.host", MAIL), ("in/cur/1.a.host:2,S", "Subject: other\n")] {
        fs::create_dir_all(at.join("in/new")).unwrap();
        fs::write(at.join(name), text).unwrap();
        let error = refused(at, &words);
        assert!(error.contains("the inbox in has changed: its digest was "), "{error}");
    }
}

#[test]
fn standard_input_is_an_mbox_or_a_mail() {
    let mbox = format!("{LINE}{MAIL}\n{LINE}{MAIL}\n");
    let folder = folder_with(&[("all", &mbox), ("one", MAIL)]);
    let at = folder.path();
    let storm = ["storm", "--seeds", "1", "--inbox", "-"];
    for (input, told) in [("all", "2 mails in 1 mbox file"), ("one", "1 mail in 1 mail file")] {
        let ended = run_with_input(at, &storm, &at.join(input));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.out.contains(told), "{ended:?}");
    }
}

#[test]
fn every_mail_of_a_small_inbox_is_processed_and_a_replay_names_the_one_that_is_not() {
    let folder = folder_with(&[("one/a.eml", MAIL)]);
    let at = folder.path();
    for (set, is_poisoned) in [(&[][..], false), (&["--set", "poison=1"], true)] {
        let replay = ["replay", "mail-claims", "--seed", "1", "--inbox", "one", "--trace"];
        let ended = run(at, &[&replay[..], set].concat());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let cast = "\ncast       a.eml plays the poison: it kills whoever processes it\n";
        assert_eq!(ended.out.contains(cast), is_poisoned, "{set:?}");
        let is_set_aside = ended.out.contains("poison set aside");
        assert_eq!(is_set_aside, is_poisoned, "{set:?}");
    }
}

/// The names of mails that break terminals, lines and files, where a system takes them.
#[test]
fn names_that_a_terminal_would_obey_are_harmless_everywhere_and_the_case_replays() {
    let folder = folder_with(&[]);
    let at = folder.path();
    fs::create_dir(at.join("esc")).unwrap();
    let nasty = ["\u{1b}[31mX", "\u{7}bell", "c\rr", "n\nl", "\u{202e}gpj", "\u{9b}31m"];
    for (number, name) in nasty.iter().enumerate() {
        let path = at.join("esc").join(format!("a{number}{name}.eml"));
        if fs::write(path, MAIL).is_err() {
            return;
        }
    }
    fs::write(at.join("esc").join(format!("{}.eml", "long".repeat(60))), MAIL).unwrap();
    let storm = ["storm", "--seeds", "3..3", "--defect", "lock-without-fencing", "--inbox", "esc"];
    let storm = run(at, &[&storm[..], &["--set", "batch=1"]].concat());
    assert_eq!(storm.code, Some(1), "{storm:?}");
    let shrunk = storm.out.split("shrunk   mailstorm replay ").nth(1).expect("a case is written");
    let case = shrunk.split(' ').next().unwrap();
    let is_shown = |text: &str| !text.chars().any(|c| is_obeyed(c) && c != '\n');
    assert!(is_shown(&storm.out) && is_shown(&storm.err), "{storm:?}");
    for file in ["runs/summary.md", "runs/index.html", "runs/junit.xml", case] {
        let text = fs::read_to_string(at.join(file)).unwrap();
        assert!(is_shown(&text), "{file}: {text:?}");
    }
    let replayed = run(at, &["replay", case, "--inbox", "esc", "--trace"]);
    assert_eq!(replayed.code, Some(1), "{replayed:?}");
    assert!(replayed.out.contains("VIOLATION  ") && is_shown(&replayed.out), "{replayed:?}");
    // Nor is a path obeyed that is told in an error.
    let error = refused(at, &["inbox", "esc/\u{1b}[31m\n"]);
    assert!(is_shown(&error) && error.contains("\\u001b[31m\\u000a"), "{error}");
}
