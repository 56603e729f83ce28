//! What is to be said of a run.

use crate::NodeName;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The checker: `quorum`, `exactly-once`, ...
    pub checker: String,
    /// The kind within the checker, in a word or two: `lost`, `doubled`. Checker, kind and roles
    /// make the fingerprint by which violations are grouped.
    pub kind: String,
    /// When it could be told, in virtual nanoseconds.
    pub at_ns: u64,
    /// Who was involved, most responsible first.
    pub nodes: Vec<NodeName>,
    /// What broke, in one sentence with names and numbers.
    pub detail: String,
    /// Where work was to be done and was not: since when, and what of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standstill: Option<Box<Standstill>>,
}

/// Work that is stuck.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standstill {
    /// Since when, in virtual nanoseconds.
    pub since_ns: u64,
    /// What is missing, by name: all of it, while the violation's sentence names the first few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Arc<str>>,
}

impl Violation {
    /// A violation of this checker's property, made known at this time, by what these nodes did.
    pub fn new(
        checker: &str,
        kind: &str,
        at_ns: u64,
        nodes: impl IntoIterator<Item = NodeName>,
        detail: String,
    ) -> Self {
        let (checker, kind) = (checker.to_owned(), kind.to_owned());
        let nodes = nodes.into_iter().collect();
        Self { checker, kind, at_ns, nodes, detail, standstill: None }
    }

    /// The same, of work that has been stuck since this instant.
    #[must_use]
    pub fn since(self, at_ns: u64) -> Self {
        self.stuck(at_ns, Vec::new())
    }

    /// The same, of work that has been stuck since this instant, with what is missing.
    #[must_use]
    pub fn stuck(self, since_ns: u64, missing: Vec<Arc<str>>) -> Self {
        Self { standstill: Some(Box::new(Standstill { since_ns, missing })), ..self }
    }

    /// Since when work is stuck, in virtual nanoseconds, where that is what broke.
    pub fn since_ns(&self) -> Option<u64> {
        self.standstill.as_ref().map(|standstill| standstill.since_ns)
    }

    /// What is missing, by name.
    pub fn missing(&self) -> &[Arc<str>] {
        self.standstill.as_ref().map_or(&[], |standstill| &standstill.missing)
    }

    /// What groups this violation with its likes: the checker, the kind, and the roles (names
    /// without their numbers) of those involved, if anybody is.
    pub fn fingerprint(&self) -> String {
        let mut roles: Vec<&str> =
            self.nodes.iter().map(|n| n.0.trim_end_matches(|c: char| c.is_ascii_digit())).collect();
        roles.sort_unstable();
        roles.dedup();
        let name = self.name();
        if roles.is_empty() { name } else { format!("{name}/{}", roles.join("+")) }
    }

    /// What broke, as `checker/kind`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.checker, self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_has_the_roles_of_those_involved_if_there_are_any() {
        let of = |nodes: &[&str]| {
            let nodes = nodes.iter().map(|node| NodeName::from(*node)).collect();
            let (checker, kind) = ("live".to_owned(), "stopped".to_owned());
            Violation { checker, kind, nodes, ..Violation::default() }.fingerprint()
        };
        assert_eq!(of(&["w2", "w1", "sink"]), "live/stopped/sink+w");
        assert_eq!(of(&[]), "live/stopped");
    }
}
