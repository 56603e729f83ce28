//! Which nodes the words of a plan mean: the moving targets of a scenario, as `leader`, and
//! `others`.
//!
//! Owns: what a plan may name, and putting nodes in the place of words. Leaves: which words there
//! are and what each means now to the systems of a scenario; the world asks them when a fault
//! begins, and the record keeps the answer, so that whoever reads it needs no system.
//! Holds: a word stands for the nodes that it means when its fault begins.
//! Start at [`Names`], then [`Meanings::lists`].

use crate::{FaultKind, NodeName};
use serde::{Deserialize, Serialize};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Every node, of whatever kind, that is in no other list of the fault.
pub const OTHERS: &str = "others";

/// A word of plans for nodes that change while a run goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The word: `leader`, `leader of orders-0`.
    pub word: Arc<str>,
    /// What it means, in a line.
    pub about: Arc<str>,
    /// Whether it means one node: storms aim at those, and a member of the system stands in while
    /// it means no node.
    pub is_one: bool,
}

impl Target {
    /// A word for one node.
    pub fn one(word: &str, about: &str) -> Self {
        Self { word: word.into(), about: about.into(), is_one: true }
    }

    /// A word for any number of nodes.
    pub fn some(word: &str, about: &str) -> Self {
        Self { word: word.into(), about: about.into(), is_one: false }
    }

    /// The meaning: these nodes, or nodes that stand in.
    pub fn meaning(&self, nodes: Vec<NodeName>, stands_in: bool) -> Meant {
        Meant { word: self.word.clone(), nodes, is_one: self.is_one, stands_in }
    }

    /// As figures group it: `leader` for `leader of orders-0`.
    fn sort(&self) -> String {
        let sort = self.word.split_once(" of ").map_or(&*self.word, |(sort, _)| sort);
        sort.replace(' ', "_")
    }
}

/// What a plan may name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The nodes that exist.
    pub nodes: Vec<NodeName>,
    /// The words that their systems offer. `others` goes with any of them.
    pub targets: Vec<Target>,
}

impl From<Vec<NodeName>> for Names {
    fn from(nodes: Vec<NodeName>) -> Self {
        Self { nodes, targets: Vec::new() }
    }
}

impl Names {
    /// The target of this name, if it is one.
    pub fn target(&self, name: &NodeName) -> Option<&Target> {
        self.targets.iter().find(|target| target.word == name.0)
    }

    /// Whether it is a word, and no node.
    pub fn is_word(&self, name: &NodeName) -> bool {
        *name.0 == *OTHERS || self.target(name).is_some()
    }

    /// Whether a plan may name it.
    pub fn has(&self, name: &NodeName) -> bool {
        self.is_word(name) || self.nodes.contains(name)
    }

    /// A fault's kind as figures group it: the name, with what it is aimed at before it, if that is
    /// a moving target: `leader_crash`.
    pub fn label(&self, kind: &FaultKind) -> String {
        let named = kind.node_lists().into_iter().flatten();
        let aimed = named.filter_map(|name| self.target(name)).find(|target| target.is_one);
        match aimed {
            Some(target) => format!("{}_{}", target.sort(), kind.name()),
            None => kind.name().to_owned(),
        }
    }

    /// Every word, not yet meaning any node: for a plan that was not run.
    pub fn unmet(&self) -> Vec<Meant> {
        self.targets.iter().map(|target| target.meaning(Vec::new(), false)).collect()
    }
}

/// Which nodes a word meant when a fault began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meant {
    /// The word.
    pub word: Arc<str>,
    /// The nodes.
    pub nodes: Vec<NodeName>,
    /// Whether it means one node.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_one: bool,
    /// Whether it meant no node, so that the fault picked this one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stands_in: bool,
}

/// Which nodes the words of a fault meant when it began, and which of the nodes that it strikes a
/// word meant. All of it follows from earlier events, so the trace's hash leaves it out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Meanings(pub Vec<Meant>);

impl Hash for Meanings {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Meanings {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The nodes of each list of a fault, in the order of [`FaultKind::node_lists`], each node
    /// once. `all` are the nodes of the run.
    pub fn lists(&self, kind: &FaultKind, all: &[NodeName]) -> Vec<Vec<NodeName>> {
        let lists = kind.node_lists();
        let mut meant: Vec<Vec<NodeName>> =
            lists.iter().map(|list| self.named(list, all)).collect();
        let Some(place) = lists.iter().position(|list| list.iter().any(|n| *n.0 == *OTHERS)) else {
            return meant;
        };
        let is_free = |node: &&NodeName| meant.iter().all(|list| !list.contains(node));
        let others: Vec<NodeName> = all.iter().filter(is_free).cloned().collect();
        meant[place].extend(others);
        meant
    }

    /// Everybody that a list names, but for the `others`.
    fn named(&self, list: &[NodeName], all: &[NodeName]) -> Vec<NodeName> {
        let mut meant: Vec<NodeName> = Vec::new();
        for name in list {
            let nodes: &[NodeName] = match self.0.iter().find(|meant| meant.word == name.0) {
                Some(word) => &word.nodes,
                None if all.contains(name) => std::slice::from_ref(name),
                None => &[],
            };
            for node in nodes {
                if !meant.contains(node) {
                    meant.push(node.clone());
                }
            }
        }
        meant
    }
}

/// The nodes that a partition or a bridge leaves on no side, so that they hear everybody; nobody
/// for a fault of another kind. `struck` are those on its sides.
pub fn on_no_side(kind: &FaultKind, struck: &[NodeName], nodes: &[NodeName]) -> Vec<NodeName> {
    if !matches!(kind, FaultKind::Partition { .. } | FaultKind::Bridge { .. }) {
        return Vec::new();
    }
    nodes.iter().filter(|node| !struck.contains(node)).cloned().collect()
}

/// In words, what nodes on no side of a cut hear: `s3 is on no side and hears everybody`.
pub fn hears_everybody(nodes: &[NodeName]) -> Option<String> {
    /// More names say less than their number.
    const NAMED_MAX: usize = 5;
    let names: Vec<&str> = nodes.iter().map(|node| &*node.0).collect();
    match names[..] {
        [] => None,
        [one] => Some(format!("{one} is on no side and hears everybody")),
        [ref some @ .., last] if names.len() <= NAMED_MAX => {
            Some(format!("{} and {last} are on no side and hear everybody", some.join(", ")))
        }
        [first, .., last] => {
            let count = names.len();
            Some(format!("{count} nodes ({first} to {last}) are on no side and hear everybody"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<NodeName> {
        text.split_whitespace().map(NodeName::from).collect()
    }

    /// `s2` leads `s1` and `s3`, `s4` observes.
    fn meanings() -> Meanings {
        let meant = |word: &str, nodes: &str| Meant {
            word: word.into(),
            nodes: names(nodes),
            is_one: word == "leader",
            stands_in: false,
        };
        Meanings(vec![meant("leader", "s2"), meant("followers", "s1 s3"), meant("observers", "s4")])
    }

    #[track_caller]
    fn check(sides: &[&str], expected: &[&str]) {
        let kind = FaultKind::Partition { sides: sides.iter().map(|side| names(side)).collect() };
        let expected: Vec<Vec<NodeName>> = expected.iter().map(|side| names(side)).collect();
        assert_eq!(meanings().lists(&kind, &names("s1 s2 s3 s4 w1 sink")), expected, "{sides:?}");
    }

    #[test]
    fn a_word_means_whom_it_says() {
        check(&["leader", "s1"], &["s2", "s1"]);
        check(&["leader", "followers"], &["s2", "s1 s3"]);
        check(&["observers w1", "s1 s1"], &["s4 w1", "s1"]);
        check(&["leader s2", "w9"], &["s2", ""]);
    }

    #[test]
    fn the_others_are_all_who_are_on_no_other_side() {
        check(&["leader", "others"], &["s2", "s1 s3 s4 w1 sink"]);
        check(&["others", "followers"], &["s2 s4 w1 sink", "s1 s3"]);
        check(&["leader w1", "s1", "others s3"], &["s2 w1", "s1", "s3 s4 sink"]);
    }

    #[test]
    fn figures_group_a_fault_by_the_sort_of_target_that_it_is_aimed_at() {
        let targets = vec![
            Target::one("leader", ""),
            Target::some("followers", ""),
            Target::one("leader of orders-0", ""),
            Target::one("group coordinator of mail", ""),
        ];
        let known = Names { nodes: names("s1 s2"), targets };
        for (node, label) in [
            ("s1", "pause"),
            ("leader", "leader_pause"),
            ("followers", "pause"),
            ("leader of orders-0", "leader_pause"),
            ("group coordinator of mail", "group_coordinator_pause"),
        ] {
            let kind = FaultKind::Pause { nodes: vec!["s2".into(), node.into()] };
            assert_eq!(known.label(&kind), label);
            assert_eq!(FaultKind::named_in(label), Some("pause"));
        }
    }

    #[test]
    fn who_is_on_no_side_of_a_cut_hears_everybody() {
        let kind = FaultKind::Bridge { left: names("s1"), right: names("s3 s2") };
        let told = |struck: &str, nodes: &str| {
            hears_everybody(&on_no_side(&kind, &names(struck), &names(nodes)))
        };
        let sentence = |told: &str| Some(format!("{told} on no side and "));
        assert_eq!(told("s1 s2 s3", "s1 s2 s3"), None);
        assert_eq!(told("s1 s2", "s1 s2 w1"), sentence("w1 is").map(|s| s + "hears everybody"));
        let both = sentence("w1, w2 and sink are").map(|s| s + "hear everybody");
        assert_eq!(told("s1 s2", "s1 s2 w1 w2 sink"), both);
        let many = sentence("6 nodes (c1 to c6) are").map(|s| s + "hear everybody");
        assert_eq!(told("s1", "s1 c1 c2 c3 c4 c5 c6"), many);
        let pause = FaultKind::Pause { nodes: names("s1") };
        assert!(on_no_side(&pause, &names("s1"), &names("s1 s2")).is_empty());
    }
}
