//! How a command ends: exit codes, and errors of one line.

#[cfg(feature = "laboratory")]
mod spelling;

#[cfg(feature = "laboratory")]
pub(crate) use spelling::nearest;

use mailstorm_shared::harmless;
use std::fmt;
#[cfg(feature = "laboratory")]
use std::path::Path;

/// The exit codes; they are stable.
#[cfg_attr(not(feature = "laboratory"), allow(dead_code, reason = "a server passes no verdicts"))]
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
pub(crate) struct Failure {
    line: String,
    is_of_writing: bool,
}

impl Failure {
    pub(crate) fn new(line: impl Into<String>) -> Self {
        Self { line: line.into(), is_of_writing: false }
    }

    /// A file that could not be written.
    #[cfg(feature = "laboratory")]
    pub(crate) fn writing(path: &Path, error: &std::io::Error) -> Self {
        let path = path.display().to_string();
        let path = harmless(&path);
        let line = format!("cannot write {path}: {error}; {}", Self::advice(error.kind()));
        Self { line, is_of_writing: true }
    }

    /// What helps against an error of this kind.
    #[cfg(feature = "laboratory")]
    fn advice(kind: std::io::ErrorKind) -> &'static str {
        use std::io::ErrorKind as Kind;
        match kind {
            Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => {
                "free some space or give another place"
            }
            Kind::PermissionDenied => "allow writing there or give another place",
            Kind::ReadOnlyFilesystem => "nothing can be written there: give another place",
            Kind::IsADirectory => "a folder has that name: give the name of a file",
            Kind::AlreadyExists | Kind::NotADirectory => {
                "a file stands where a folder is needed: give another place"
            }
            _ => "give another place",
        }
    }

    /// Whether a file could not be written.
    #[cfg(feature = "laboratory")]
    pub(crate) fn is_of_writing(&self) -> bool {
        self.is_of_writing
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Errors of libraries may have several lines; ours have one, and a terminal obeys nothing
        // in it.
        let mut lines = self.line.lines().map(str::trim).filter(|line| !line.is_empty());
        f.write_str(&harmless(lines.next().unwrap_or("failed")))?;
        lines.try_for_each(|line| write!(f, " {}", harmless(line)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "laboratory")]
    #[test]
    fn only_a_full_disk_is_answered_with_free_some_space() {
        use std::io::ErrorKind as Kind;
        let told = |kind: Kind| Failure::writing(Path::new("x"), &kind.into()).to_string();
        assert!(told(Kind::StorageFull).ends_with("; free some space or give another place"));
        for other in [
            Kind::PermissionDenied,
            Kind::ReadOnlyFilesystem,
            Kind::IsADirectory,
            Kind::AlreadyExists,
            Kind::NotADirectory,
            Kind::NotFound,
        ] {
            let told = told(other);
            assert!(!told.contains("free some space") && told.contains("give "), "{told}");
        }
    }

    #[test]
    fn an_error_is_one_line() {
        assert_eq!(Failure::new("a\n  b\n\nc").to_string(), "a b c");
        assert_eq!(Failure::new("a\u{1b}[31m").to_string(), "a\\u001b[31m");
    }
}
