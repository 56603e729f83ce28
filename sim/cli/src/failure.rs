//! How a command ends: exit codes, and errors of one line.

use std::fmt;
use std::path::Path;

/// The exit codes; they are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum ExitCode {
    /// Everything that was to hold held.
    Pass = 0,
    /// Something did not.
    Violation = 1,
    /// It could not be told, or a goal was never reached.
    Unknown = 2,
    /// The command was wrong, or a tool failed.
    Usage = 3,
    /// The same run twice was not the same.
    NotDeterministic = 4,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

/// Why a command could not be carried out: one line, with a next step.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(line: impl Into<String>) -> Self {
        Self(line.into())
    }

    /// A file that could not be written.
    pub(crate) fn writing(path: &Path, error: &std::io::Error) -> Self {
        Self(format!(
            "cannot write {}: {error}; free some space or give another place with --out or --json",
            path.display()
        ))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Errors of libraries may have several lines; ours have one.
        let mut lines = self.0.lines().map(str::trim).filter(|line| !line.is_empty());
        f.write_str(lines.next().unwrap_or("failed"))?;
        lines.try_for_each(|line| write!(f, " {line}"))
    }
}

/// The name in `known` that is most like `wanted`, if one is like it at all.
pub(crate) fn nearest<'a>(
    wanted: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    /// More differences than this are another word.
    const DIFFERENCES_MAX: usize = 4;
    known
        .into_iter()
        .map(|name| (differences(wanted, name), name))
        .min()
        .filter(|(distance, _)| *distance <= DIFFERENCES_MAX)
        .map(|(_, name)| name)
}

/// How many letters must be inserted, removed or replaced (Levenshtein).
fn differences(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_told_its_nearest() {
        let known = ["mail-claims", "ensemble", "ensemble-3"];
        assert_eq!(nearest("mail-claim", known), Some("mail-claims"));
        assert_eq!(nearest("ensembel", known), Some("ensemble"));
        assert_eq!(nearest("quorum-half", known), None);
    }

    #[test]
    fn an_error_is_one_line() {
        assert_eq!(Failure::new("a\n  b\n\nc").to_string(), "a b c");
    }
}
