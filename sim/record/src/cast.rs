//! Whom the words of a plan mean: `leader`, `followers`, `observers`, `others`.
//!
//! Owns: the words, and putting nodes in their place. Leaves: who leads to whoever knows it, the world while a
//! run goes on, checkers from its events: both come to the same nodes.
//! Holds: a word means whom it means at the moment at which its fault begins.
//! Start at [`Cast::lists`].

use crate::{FaultKind, NodeName};

/// The server that leads when the fault begins; while none does, one that the fault's stream picks.
pub const LEADER: &str = "leader";

/// Every other server that votes.
pub const FOLLOWERS: &str = "followers";

/// Every server that does not vote.
pub const OBSERVERS: &str = "observers";

/// Every node, of whatever kind, that is in no other list of the fault.
pub const OTHERS: &str = "others";

/// All of these words.
pub const WORDS: [&str; 4] = [LEADER, FOLLOWERS, OBSERVERS, OTHERS];

/// The nodes of a run, and what they are at this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cast {
    /// Every node.
    pub nodes: Vec<NodeName>,
    /// The servers that vote.
    pub voters: Vec<NodeName>,
    /// The servers that do not.
    pub observers: Vec<NodeName>,
    /// The server that leads, or stands for it.
    pub leader: Option<NodeName>,
}

impl Cast {
    /// The nodes of each list of a fault, in the order of [`FaultKind::node_lists`], each node once.
    pub fn lists(&self, kind: &FaultKind) -> Vec<Vec<NodeName>> {
        let lists = kind.node_lists();
        let mut meant: Vec<Vec<NodeName>> = lists.iter().map(|list| self.named(list)).collect();
        let Some(place) = lists.iter().position(|list| list.iter().any(|n| *n.0 == *OTHERS)) else {
            return meant;
        };
        let is_free = |node: &&NodeName| meant.iter().all(|list| !list.contains(node));
        let others: Vec<NodeName> = self.nodes.iter().filter(is_free).cloned().collect();
        meant[place].extend(others);
        meant
    }

    /// Everybody that a list names, but for the `others`.
    fn named(&self, list: &[NodeName]) -> Vec<NodeName> {
        let mut meant: Vec<NodeName> = Vec::new();
        for name in list {
            let nodes: Vec<&NodeName> = match &*name.0 {
                LEADER => self.leader.iter().collect(),
                FOLLOWERS => {
                    let follows = |node: &&NodeName| Some(*node) != self.leader.as_ref();
                    self.voters.iter().filter(follows).collect()
                }
                OBSERVERS => self.observers.iter().collect(),
                OTHERS => Vec::new(),
                _ => self.nodes.iter().filter(|node| *node == name).collect(),
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

/// Whether a fault speaks of its leader, or of those who are not: then it must be known who leads.
pub fn speaks_of_leader(kind: &FaultKind) -> bool {
    let speaks = |node: &NodeName| *node.0 == *LEADER || *node.0 == *FOLLOWERS;
    kind.node_lists().iter().any(|list| list.iter().any(speaks))
}

/// The nodes that a partition or a bridge leaves on no side, so that they hear everybody; nobody for a fault of
/// another kind. `struck` are those on its sides.
pub fn on_no_side(kind: &FaultKind, struck: &[NodeName], nodes: &[NodeName]) -> Vec<NodeName> {
    if !matches!(kind, FaultKind::Partition { .. } | FaultKind::Bridge { .. }) {
        return Vec::new();
    }
    nodes.iter().filter(|node| !struck.contains(node)).cloned().collect()
}

/// Before a run, what nodes on no side of a cut will hear, in a sentence; nothing if every node has
/// a side. Whom a word means is known only when the cut begins, so where that matters the sentence
/// names nobody.
pub fn rest_told(kind: &FaultKind, cast: &Cast) -> Option<String> {
    let rest = |leader: Option<&NodeName>| {
        let lists = Cast { leader: leader.cloned(), ..cast.clone() }.lists(kind);
        on_no_side(kind, &lists.concat(), &cast.nodes)
    };
    if !speaks_of_leader(kind) {
        return hears_everybody(&rest(None));
    }
    let mut all: Vec<Vec<NodeName>> = cast.voters.iter().map(|leader| rest(Some(leader))).collect();
    all.dedup();
    match &all[..] {
        [] => None,
        [one] => hears_everybody(one),
        _ => {
            Some("whoever is on no side of the cut hears everybody; a replay names them".to_owned())
        }
    }
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

    fn cast() -> Cast {
        Cast {
            nodes: names("s1 s2 s3 s4 w1 sink"),
            voters: names("s1 s2 s3"),
            observers: names("s4"),
            leader: Some("s2".into()),
        }
    }

    #[track_caller]
    fn check(sides: &[&str], expected: &[&str]) {
        let kind = FaultKind::Partition { sides: sides.iter().map(|side| names(side)).collect() };
        let expected: Vec<Vec<NodeName>> = expected.iter().map(|side| names(side)).collect();
        assert_eq!(cast().lists(&kind), expected, "{sides:?}");
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

    #[test]
    fn without_a_leader_every_voter_is_a_follower() {
        let nobody = Cast { leader: None, ..cast() };
        let kind = FaultKind::Pause { nodes: names("leader followers") };
        assert_eq!(nobody.lists(&kind), [names("s1 s2 s3")]);
    }
}
