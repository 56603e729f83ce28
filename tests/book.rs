//! What the book shows is what its commands print: each such block stands under the command that makes it.
//!
//! `MAILSTORM_BOOK=write cargo test book` writes the blocks anew; the change is then to be read like any other.

use crate::support::run;
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
