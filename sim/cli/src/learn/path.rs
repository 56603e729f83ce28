//! The path through the lessons, and how far somebody has come on it.
//!
//! Holds: what was learned is a file of its own below the results, written again after every
//! lesson; a lesson that is taken again counts as it went last, and is done once something was
//! right. A file that cannot be read as such is told, and is kept aside before another takes its
//! place.

use super::capstone;
use crate::artifact::write;
use crate::failure::Failure;
use mailstorm_scenarios::lessons;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path as FilePath;

/// The file.
const FILE: &str = "path.json";
/// Where a file goes that cannot be read.
const ASIDE: &str = "path.json.old";
/// The format that is written.
const FORMAT: u32 = 2;
/// The most of a file that is read: a hundred times what a path with every lesson takes.
const BYTES_MAX: u64 = 1 << 20;

/// What was learned, by lesson.
#[derive(Debug, Default)]
pub(super) struct Path {
    taken: BTreeMap<String, Went>,
    /// Whether there is a file that could not be read.
    has_unreadable: bool,
}

/// The file, as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `format` and `taken`")]
struct Written {
    /// Absent from files of the first format.
    #[serde(default = "first_format")]
    format: u32,
    taken: BTreeMap<String, Went>,
}

fn first_format() -> u32 {
    1
}

/// How a lesson went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Went {
    right: usize,
    questions: usize,
}

impl Went {
    fn is_done(self) -> bool {
        self.right > 0
    }
}

impl Path {
    /// What was learned so far, nothing where there is no file; and what the file has that does not
    /// count, a line for each.
    pub(super) fn read(folder: &FilePath) -> Result<(Self, Vec<String>), Failure> {
        let file = folder.join(FILE);
        let mut bytes = Vec::new();
        let opened = File::open(&file);
        match opened.and_then(|file| file.take(BYTES_MAX).read_to_end(&mut bytes)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok((Self::default(), Vec::new()));
            }
            Err(error) => {
                return Err(Failure::new(format!(
                    "cannot read {}: {error}; check the path, or give another place with --out",
                    file.display()
                )));
            }
            Ok(_) => {}
        }
        let mut notes = Vec::new();
        let mut note = |what: String| notes.push(format!("note: {}: {what}", file.display()));
        let taken = parsed(&bytes, &mut note);
        let has_unreadable = taken.is_none();
        Ok((Self { taken: taken.unwrap_or_default(), has_unreadable }, notes))
    }

    /// Writes the file; one that could not be read is kept beside it.
    pub(super) fn write(&self, folder: &FilePath) -> Result<(), Failure> {
        let file = folder.join(FILE);
        if self.has_unreadable {
            let aside = folder.join(ASIDE);
            fs::rename(&file, &aside).map_err(|error| Failure::writing(&aside, &error))?;
        }
        let written = Written { format: FORMAT, taken: self.taken.clone() };
        let mut json = serde_json::to_string_pretty(&written).expect("plain data with string keys");
        json.push('\n');
        write(&file, json.as_bytes())
    }

    pub(super) fn add(&mut self, lesson: &str, right: usize, questions: usize) {
        self.taken.insert(lesson.to_owned(), Went { right, questions });
    }

    fn is_done(&self, lesson: &str) -> bool {
        self.taken.get(lesson).is_some_and(|went| went.is_done())
    }

    /// What to learn next, as on a command line: the first lesson that is not done.
    pub(super) fn next(&self) -> String {
        let mut names = lessons::all().into_iter().map(|lesson| lesson.name);
        if let Some(lesson) = names.find(|name| !self.is_done(name)) {
            return lesson.to_owned();
        }
        let mut hidden = 1..=u64::MAX;
        let next = hidden.find(|number| !self.is_done(&capstone::key(*number)));
        format!("{} --hidden {}", capstone::NAME, next.unwrap_or(1))
    }

    /// The path, a line for each lesson.
    pub(super) fn told(&self) -> String {
        let all = lessons::all();
        let done = all.iter().filter(|lesson| self.is_done(lesson.name)).count();
        let width = all.iter().map(|lesson| lesson.name.len()).max().unwrap_or(0);
        let mut out = format!("The path, {done} of {} lessons done:\n\n", all.len());
        let mut line = |is_done: bool, number: &str, name: &str, went: &str, title: &str| {
            let mark = if is_done { "x" } else { " " };
            out += &format!("  [{mark}] {number:3} {name:width$}  {went:6}  \"{title}\"\n");
        };
        for lesson in &all {
            let went = self.taken.get(lesson.name);
            let went = went.map(|went| format!("{} of {}", went.right, went.questions));
            let number = format!("{:2}.", lesson.number);
            let went = went.unwrap_or_default();
            line(self.is_done(lesson.name), &number, lesson.name, &went, lesson.title);
        }
        let named: BTreeSet<&str> = self
            .taken
            .iter()
            .filter(|(_, went)| went.is_done())
            .filter_map(|(key, _)| capstone::hidden_by(key))
            .collect();
        let (named, causes) = (named.len(), capstone::COUNT);
        let went = if named > 0 { format!("{named} of {causes}") } else { String::new() };
        line(named > 0, "", capstone::NAME, &went, "What is wrong with it?");
        out + &format!("\nnext     mailstorm learn {}\n", self.next())
    }
}

/// What a file says; `None` if it is not such a file. What does not count is noted.
fn parsed(bytes: &[u8], note: &mut impl FnMut(String)) -> Option<BTreeMap<String, Went>> {
    let problem = match serde_json::from_slice::<Written>(bytes) {
        Err(error) => error.to_string(),
        Ok(Written { format, .. }) if format > FORMAT => {
            format!("a newer version has written it (format {format})")
        }
        Ok(Written { taken, .. }) if taken.values().any(|went| went.right > went.questions) => {
            "more answers are right than there were questions".to_owned()
        }
        Ok(Written { format, mut taken }) => {
            let is_capstone = |name: &str| capstone::hidden_by(name).is_some();
            if format < FORMAT && taken.keys().any(|name| is_capstone(name)) {
                note(
                    "an older version has written it, in which the capstone's numbers hid other mistakes: \
                     those do not count"
                        .to_owned(),
                );
                taken.retain(|name, _| !is_capstone(name));
            }
            let is_known = |name: &str| is_capstone(name) || lessons::lesson(name).is_some();
            for name in taken.keys().filter(|name| !is_known(name)) {
                note(format!("there is no lesson '{}': it does not count", name.escape_debug()));
            }
            return Some(taken);
        }
    };
    note(format!(
        "this is not a file of what was learned ({problem}): nothing of it counts; it is kept as {ASIDE} when \
         the next lesson is graded"
    ));
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    /// A folder with this file, and what is read from it.
    fn read(text: impl AsRef<[u8]>) -> (TempDir, Path, String) {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join(FILE), text).unwrap();
        let (path, notes) = Path::read(folder.path()).unwrap();
        (folder, path, notes.join("\n"))
    }

    #[test]
    fn what_was_learned_is_read_back() {
        let folder = TempDir::new().unwrap();
        let (mut path, notes) = Path::read(folder.path()).unwrap();
        assert_eq!((path.taken.len(), notes.len()), (0, 0));
        path.add("quorum-half", 2, 3);
        path.add(&capstone::key(7), 1, 1);
        path.write(folder.path()).unwrap();
        let (again, notes) = Path::read(folder.path()).unwrap();
        assert_eq!((&again.taken, notes.len()), (&path.taken, 0));
        let told = again.told();
        assert!(
            told.contains("[x]  8. quorum-half          2 of 3  \"Is X/2 enough?\"\n"),
            "{told}"
        );
        assert!(told.contains("[x]     capstone             1 of 6  \"What"), "{told}");
        assert_ne!(again.next(), "quorum-half");
    }

    #[test]
    fn a_lesson_with_nothing_right_is_not_done() {
        let mut path = Path::default();
        path.add("mail-flag", 0, 3);
        path.add(&capstone::key(1), 0, 1);
        let told = path.told();
        assert!(told.starts_with("The path, 0 of 17 lessons done:\n"), "{told}");
        assert!(told.contains("[ ]  1. mail-flag            0 of 3  \""), "{told}");
        assert!(told.contains("[ ]     capstone "), "{told}");
        assert!(told.ends_with("next     mailstorm learn mail-flag\n"), "{told}");
        path.add("mail-flag", 1, 3);
        assert!(path.told().contains("[x]  1. mail-flag            1 of 3  \""));
        for lesson in lessons::all() {
            path.add(lesson.name, 1, 3);
        }
        assert_eq!(path.next(), "capstone --hidden 1");
        path.add(&capstone::key(1), 1, 1);
        assert_eq!(path.next(), "capstone --hidden 2");
    }

    #[test]
    fn the_path_is_numbered_without_holes_and_fits_into_80_columns() {
        let mut path = Path::default();
        lessons::all().iter().for_each(|lesson| path.add(lesson.name, 3, 3));
        let told = path.told();
        let numbers: Vec<u32> = told
            .lines()
            .filter_map(|line| line.strip_prefix("  [x] ")?.split('.').next()?.trim().parse().ok())
            .collect();
        assert_eq!(numbers, (1..=17).collect::<Vec<_>>());
        for line in told.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_told_and_kept_and_the_path_goes_on() {
        let went = r#"{"right": 4, "questions": 3}"#;
        let cases: &[(&[u8], &str)] = &[
            (b"", "EOF while parsing"),
            (b"{", "EOF while parsing"),
            (b"[]", "expected an object with `format` and `taken`"),
            (b"null", "invalid type: null"),
            (b"\xff\xfe{\x00", "expected value"),
            (b"{\"format\": 2}", "missing field `taken`"),
            (b"{\"format\": 3, \"taken\": {}}", "a newer version has written it (format 3)"),
            (b"{\"format\": -1, \"taken\": {}}", "invalid value"),
            (b"{\"taken\": {}, \"more\": 1}", "unknown field `more`"),
            (b"{\"taken\": {\"mail-flag\": {\"right\": -1, \"questions\": 3}}}", "invalid value"),
            (
                &format!("{{\"taken\": {{\"mail-flag\": {went}}}}}").into_bytes(),
                "more answers are right",
            ),
            (&vec![b' '; 2 << 20], "EOF while parsing"),
        ];
        for (bytes, problem) in cases {
            let (folder, mut path, notes) = read(bytes);
            assert!(notes.contains(problem) && notes.contains("path.json.old"), "{notes}");
            assert_eq!(notes.lines().count(), 1, "{notes}");
            assert!(path.told().starts_with("The path, 0 of 17"), "{problem}");
            let file = |name: &str| fs::read(folder.path().join(name)).ok();
            assert_eq!(file(FILE).as_deref(), Some(*bytes), "reading changes nothing");
            path.add("mail-flag", 1, 3);
            path.write(folder.path()).unwrap();
            assert_eq!(file(ASIDE).as_deref(), Some(*bytes), "it is kept");
            let (again, notes) = Path::read(folder.path()).unwrap();
            assert!(again.is_done("mail-flag") && notes.is_empty(), "{notes:?}");
        }
    }

    #[test]
    fn an_older_file_counts_as_far_as_it_means_the_same_today() {
        let (folder, mut path, notes) = read(
            r#"{"taken": {"mail-flag": {"right": 1, "questions": 3}, "capstone-2": {"right": 1, "questions": 1},
                "log-acks\u001b": {"right": 1, "questions": 2}}}"#,
        );
        assert!(path.is_done("mail-flag") && !path.is_done(&capstone::key(2)));
        let notes: Vec<&str> = notes.lines().collect();
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes[0].contains("those do not count"), "{notes:?}");
        assert!(notes[1].contains(r"no lesson 'log-acks\u{1b}'"), "{notes:?}");
        path.add(&capstone::key(2), 1, 1);
        path.write(folder.path()).unwrap();
        assert!(!folder.path().join(ASIDE).exists());
        assert!(Path::read(folder.path()).unwrap().0.is_done(&capstone::key(2)));
    }
}
