//! What is to be said of a run.

use crate::NodeName;
use serde::{Deserialize, Serialize};

/// The verdict on a run, or of one checker on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Everything that was to hold held.
    Pass,
    /// Something that was to hold did not.
    Violation(Violation),
    /// It could not be told: a search reached its bound.
    Unknown {
        /// Why.
        why: String,
    },
}

/// A property that was broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The checker: `quorum`, `exactly-once`, ...
    pub checker: String,
    /// The kind within the checker, in a word or two: `lost`, `doubled`. Checker, kind and roles make the
    /// fingerprint by which violations are grouped.
    pub kind: String,
    /// When it could be told, in virtual nanoseconds.
    pub at_ns: u64,
    /// Who was involved, most responsible first.
    pub nodes: Vec<NodeName>,
    /// What broke, in one sentence with names and numbers.
    pub detail: String,
}

impl Violation {
    /// What groups this violation with its likes: the checker, the kind, and the roles (names without
    /// their numbers) of those involved.
    pub fn fingerprint(&self) -> String {
        let mut roles: Vec<&str> =
            self.nodes.iter().map(|n| n.0.trim_end_matches(|c: char| c.is_ascii_digit())).collect();
        roles.sort_unstable();
        roles.dedup();
        format!("{}/{}/{}", self.checker, self.kind, roles.join("+"))
    }
}
