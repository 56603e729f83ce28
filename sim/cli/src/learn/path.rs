//! The path through the lessons, and how far somebody has come on it.
//!
//! Holds: what was learned is a file of its own below the results, written anew after every lesson; a
//! lesson that is taken again counts as it went last.

use super::capstone;
use crate::failure::Failure;
use crate::storm::write;
use mailstorm_scenarios::lessons;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path as FilePath;

/// The file.
const FILE: &str = "path.json";

/// What was learned, by lesson.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Path {
    taken: BTreeMap<String, Went>,
}

/// How a lesson went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Went {
    right: usize,
    questions: usize,
}

impl Path {
    /// What was learned so far; nothing where there is no file.
    pub(super) fn read(folder: &FilePath) -> Result<Self, Failure> {
        let file = folder.join(FILE);
        match fs::read_to_string(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Failure::new(format!(
                "cannot read {}: {error}; check the path, or give another place with --out",
                file.display()
            ))),
            Ok(text) => serde_json::from_str(&text).map_err(|error| {
                Failure::new(format!(
                    "{}: {error}; remove the file to begin the path anew",
                    file.display()
                ))
            }),
        }
    }

    pub(super) fn write(&self, folder: &FilePath) -> Result<(), Failure> {
        let mut json = serde_json::to_string_pretty(self).expect("plain data with string keys");
        json.push('\n');
        write(&folder.join(FILE), json.as_bytes())
    }

    pub(super) fn add(&mut self, lesson: &str, right: usize, questions: usize) {
        self.taken.insert(lesson.to_owned(), Went { right, questions });
    }

    /// The first lesson that was not taken.
    pub(super) fn next(&self) -> Option<&'static str> {
        lessons::all().iter().map(|lesson| lesson.name).find(|name| !self.taken.contains_key(*name))
    }

    /// The path, a line for each lesson.
    pub(super) fn told(&self) -> String {
        let all = lessons::all();
        let taken = all.iter().filter(|lesson| self.taken.contains_key(lesson.name)).count();
        let width = all.iter().map(|lesson| lesson.name.len()).max().unwrap_or(0);
        let mut out = format!("The path, {taken} of {} lessons taken:\n\n", all.len());
        for lesson in &all {
            let (mark, went) = match self.taken.get(lesson.name) {
                Some(Went { right, questions }) => ("x", format!("  {right} of {questions} right")),
                None => (" ", String::new()),
            };
            let (number, name, title) = (lesson.number, lesson.name, lesson.title);
            out += &format!("  [{mark}] {number:2}. {name:width$}  \"{title}\"{went}\n");
        }
        let hidden = self.taken.keys().filter(|name| name.starts_with(capstone::NAME)).count();
        out += &format!(
            "  [{}]     {:width$}  \"What is wrong with it?\" (--hidden 1, 2, ...)\n\n",
            if hidden > 0 { "x" } else { " " },
            capstone::NAME
        );
        match self.next() {
            Some(next) => out + &format!("next     mailstorm learn {next}\n"),
            None => {
                out + &format!(
                    "next     mailstorm learn {} --hidden {}\n",
                    capstone::NAME,
                    hidden + 1
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_learned_is_read_back_and_a_broken_file_is_refused() {
        let folder = tempfile::TempDir::new().unwrap();
        let mut path = Path::read(folder.path()).unwrap();
        assert!(path.taken.is_empty());
        path.add("quorum-half", 2, 3);
        path.write(folder.path()).unwrap();
        let again = Path::read(folder.path()).unwrap();
        assert_eq!(again.taken, path.taken);
        assert!(again.told().contains("[x]  8. quorum-half"), "{}", again.told());
        assert_ne!(again.next(), Some("quorum-half"));
        fs::write(folder.path().join(FILE), "{").unwrap();
        let refused = Path::read(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("remove the file"), "{refused}");
    }
}
