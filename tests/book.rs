//! What the book shows is what its commands print: each such block stands under the command that
//! makes it.
//!
//! `MAILSTORM_BOOK=write cargo test book` writes the blocks anew; the change is then to be read
//! like any other.

use crate::support::run;
use mailstorm_scenarios::lessons::{self, Answer};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What stands above a block that a command makes.
const MARK: &str = "<!-- printed by: mailstorm ";
const OPEN: &str = "```text\n";
const CLOSE: &str = "```";

fn docs() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs")).to_path_buf()
}

fn chapters() -> Vec<PathBuf> {
    let files = fs::read_dir(docs()).unwrap().map(|entry| entry.unwrap().path());
    let mut chapters: Vec<PathBuf> =
        files.filter(|file| file.extension().is_some_and(|end| end == "md")).collect();
    chapters.sort();
    chapters
}

/// The words of a command line, of which those in quotes stay together.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for c in line.chars() {
        match c {
            '"' | '\'' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words
}

/// The chapter with every block as its command prints it now, and how many there are.
fn printed(text: &str) -> (String, usize) {
    let mut parts = text.split(MARK);
    let mut out = parts.next().unwrap().to_owned();
    let mut blocks = 0;
    for part in parts {
        let (command, rest) = part.split_once(" -->\n").expect("a mark ends on its line");
        let (before, rest) = rest.split_once(OPEN).expect("a block stands under its mark");
        assert_eq!(before, "", "nothing stands between a mark and its block: {command}");
        let (_, after) = rest.split_once(CLOSE).expect("a block has an end");
        let folder = TempDir::new().unwrap();
        let arguments = words(command);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ended = run(folder.path(), &arguments);
        assert!(matches!(ended.code, Some(0 | 1)), "{command}: {ended:?}");
        assert!(!ended.out.is_empty(), "{command}: {ended:?}");
        out += &format!("{MARK}{command} -->\n{OPEN}{}\n{CLOSE}{after}", ended.out.trim_end());
        blocks += 1;
    }
    (out, blocks)
}

#[test]
fn every_block_of_the_book_is_what_its_command_prints() {
    let mut blocks = 0;
    for chapter in chapters() {
        let text = fs::read_to_string(&chapter).unwrap();
        let (now, count) = printed(&text);
        blocks += count;
        if std::env::var("MAILSTORM_BOOK").is_ok_and(|what| what == "write") {
            fs::write(&chapter, &now).unwrap();
        } else {
            let differs = text.lines().zip(now.lines()).find(|(book, prints)| book != prints);
            assert!(
                text == now,
                "{}: {differs:?}; 'MAILSTORM_BOOK=write cargo test book' writes it anew",
                chapter.display()
            );
        }
    }
    assert!(blocks >= 8, "the book shows what happens: {blocks}");
}

#[test]
fn every_chapter_is_in_the_table_of_contents_and_every_link_leads_somewhere() {
    let contents = fs::read_to_string(docs().join("SUMMARY.md")).unwrap();
    for chapter in chapters() {
        let name = chapter.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(name == "SUMMARY.md" || contents.contains(&format!("({name})")), "{name}");
        let text = fs::read_to_string(&chapter).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap();
            let is_local = !file.is_empty() && !file.contains("://");
            assert!(!is_local || docs().join(file).exists(), "{name}: {target}");
        }
    }
}

/// The first column of the tables of the glossary, table by table, without backticks.
fn glossary() -> Vec<Vec<String>> {
    let text = fs::read_to_string(docs().join("glossary.md")).unwrap();
    let sections = text.split("\n## ").skip(1);
    let terms = sections.map(|section| {
        let rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
        rows.skip(1).map(|term| term.trim_matches('`').to_owned()).collect()
    });
    terms.collect()
}

#[test]
fn what_a_learner_meets_is_in_the_glossary_and_is_said_alike() {
    /// The field's words.
    const TERMS: [&str; 58] = [
        "acknowledgement",
        "application",
        "atlas",
        "candidate",
        "checker",
        "claim",
        "client",
        "czxid",
        "defect",
        "design",
        "election",
        "ensemble",
        "ephemeral",
        "epoch",
        "exactly once",
        "fault",
        "fencing token",
        "follower",
        "goal",
        "heartbeat",
        "leader",
        "lease",
        "ledger",
        "lesson",
        "lock",
        "log",
        "majority",
        "manager",
        "master",
        "node",
        "observer",
        "partition",
        "pause",
        "place",
        "plan",
        "proposal",
        "quorum",
        "replay",
        "run",
        "scenario",
        "seed",
        "sequential",
        "server",
        "session",
        "session timeout",
        "shrink",
        "sink",
        "storm",
        "sync",
        "takeover",
        "tracker",
        "transaction",
        "truncate",
        "verdict",
        "violation",
        "watch",
        "znode",
        "zxid",
    ];
    /// What is said otherwise.
    const NOT_SAID: [&str; 14] = [
        "letter",
        "asleep",
        "sleep",
        "wakes up",
        "any more",
        "anew",
        " dies",
        " died",
        "is told",
        "are told",
        "hung up",
        "asker",
        "is it not",
        "look who",
    ];
    /// The chapters on lessons.
    const CHAPTERS: [&str; 5] = ["workers", "quorum", "sessions", "watches", "fencing"];
    for chapter in CHAPTERS {
        let text = fs::read_to_string(docs().join(format!("{chapter}.md"))).unwrap();
        let prose: String = text.split(CLOSE).step_by(2).collect();
        for word in NOT_SAID {
            assert!(!prose.contains(word), "{chapter}: '{word}'");
        }
    }
    let glossary = glossary();
    for table in &glossary {
        assert!(table.is_sorted(), "a glossary is in order: {table:?}");
    }
    let known: Vec<&str> = glossary.iter().flatten().map(String::as_str).collect();
    for term in TERMS {
        assert!(known.contains(&term), "'{term}' is not in the glossary");
    }
    for lesson in lessons::all() {
        for design in &lesson.designs {
            for violation in design.breaks {
                assert!(known.contains(violation), "{}: {violation}", design.scenario.name());
            }
        }
        let questions = lesson.questions.iter().flat_map(|question| {
            let choices = match question.answer {
                Answer::Choice { choices, .. } => choices,
                Answer::Number { .. } => &[],
            };
            [question.text, question.why].into_iter().chain(choices.iter().map(|(_, about)| *about))
        });
        for text in questions.chain([lesson.story]) {
            for word in NOT_SAID {
                assert!(!text.contains(word), "{}: '{word}' in: {text}", lesson.name);
            }
        }
    }
}
