//! The museum: bugs of old that are planted, found by the right checker, and cut down to what they
//! need.

use crate::command::{check, folder_with};
use crate::support::run;
use mailstorm_coordination::defect::Defect;
use serde_json::Value;

const PASS: Option<i32> = Some(0);

/// A hunt in the fast subset: it is found within so many seeds, and so many faults are left at the
/// most.
const FAST: &[(Defect, &str, u64)] = &[
    (Defect::AckBeforeSync, "40", 0),
    (Defect::EventAfterReply, "40", 0),
    (Defect::DiffForTrunc, "120", 2),
    (Defect::TruncateIgnored, "120", 2),
];

#[test]
fn planted_bugs_are_found_by_the_right_checker_and_shrink_to_few_faults() {
    let folder = folder_with(&[]);
    for (defect, seeds, faults_max) in FAST {
        let name = defect.description().name;
        let hunt = ["--repeats", "1", "--seeds", seeds, "--shrink", "60s", "--json", "-"];
        let ended = run(folder.path(), &[&["museum", "--defect", name], &hunt[..]].concat());
        assert_eq!(ended.code, PASS, "{ended:?}");
        let board: Value = serde_json::from_str(&ended.out).unwrap();
        let row = &board["defects"][0];
        assert_eq!(row["defect"], name);
        assert_eq!(
            (&row["found"], &row["found_by_wrong_checker"]),
            (&1.into(), &0.into()),
            "{row}"
        );
        // A search keeps the violation that it began with, or it is none.
        let shrunk = &row["shrunk"];
        assert!(row["fired"][shrunk["fingerprint"].as_str().expect("a name")].is_u64(), "{row}");
        assert!(shrunk["faults_after"].as_u64().is_some_and(|left| left <= *faults_max), "{row}");
        // The sound build passes what the defect was hunted with.
        let sound = board["sound"].as_array().expect("the scenarios that were used");
        assert!(!sound.is_empty() && sound.iter().all(|s| s["violations"] == Value::Array(vec![])));
    }
}

#[test]
fn a_defect_that_is_not_found_is_told_and_leaves_the_exit_code_of_the_unknown() {
    let folder = folder_with(&[]);
    let at = folder.path();
    // No counter is ever full after so few writes.
    let sizes = ["museum", "--defect", "zxid-overflow", "--repeats", "3", "--seeds", "1"];
    let ended = run(at, &[&sizes[..], &["--markdown", "docs/museum.md"]].concat());
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.out.contains("not found: zxid-overflow"), "{ended:?}");
    let page = std::fs::read_to_string(at.join("docs/museum.md")).unwrap();
    for words in ["--repeats 3 --seeds 1", "| [`zxid-overflow`](#zxid-overflow) | ZOOKEEPER-1277 |"]
    {
        assert!(page.contains(words), "no '{words}' in {page}");
    }
}

#[test]
fn a_visit_that_cannot_be_made_is_refused_with_a_next_step() {
    let folder = folder_with(&[("note.txt", "hello\n")]);
    let cases: &[(&[&str], &[&str])] = &[
        (&["museum", "--defect", "hunger"], &["'hunger'", "'mailstorm museum --list' lists them"]),
        (&["museum", "--defect", "ack-before-sink"], &["did you mean 'ack-before-sync'?"]),
        (&["museum", "--seeds", "0"], &["0"]),
        (&["museum", "--repeats", "many"], &["many"]),
        (&["museum", "--shrink", "5"], &["expected something like 90s"]),
        (&["museum", "--json", "note.txt/x.json"], &["cannot write note.txt/x.json"]),
        (&["museum", "--markdown", "note.txt/x.md"], &["cannot write note.txt/x.md"]),
    ];
    for (arguments, words) in cases {
        check(folder.path(), arguments, words);
    }
}

#[test]
fn guided_hunts_are_compared_with_plain_ones() {
    let folder = folder_with(&[]);
    let names = ["--defect", "ack-before-sync", "--defect", "diff-over-half-snap"];
    let sizes = ["--repeats", "1", "--seeds", "30", "--markdown", "docs/guidance.md"];
    let compare = [&["museum", "--compare-guidance"], &names[..], &sizes[..]].concat();
    let ended = run(folder.path(), &compare);
    assert_eq!(ended.code, PASS, "{ended:?}");
    assert!(ended.out.contains("| `diff-over-half-snap` | "), "{ended:?}");
    let page = std::fs::read_to_string(folder.path().join("docs/guidance.md")).unwrap();
    assert!(page.contains("`ack-before-sync`"), "{page}");

    let guided = ["museum", "--guided", "--repeats", "1", "--seeds", "60", "--json", "-"];
    let ended = run(folder.path(), &[&guided[..], &["--defect", "diff-over-half-snap"]].concat());
    let board: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(board["guided"], true);
    let row = &board["defects"][0];
    assert_eq!(row["found"].as_u64() == Some(1), row["first"]["plan"].is_string(), "{row}");
}
