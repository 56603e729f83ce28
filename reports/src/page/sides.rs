//! Who does not hear whom while a fault lasts: the sides it makes of the nodes, in letters and in
//! words.
//!
//! Holds: it says of every node what it hears, also of those on no side. Start at [`Split::of`].

use super::nodes::Node;
use mailstorm_record::{FaultKind, Meanings, NodeName};
use serde::Serialize;

/// What a fault makes of the network.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct Split {
    /// The sides, the first called A.
    pub(crate) sides: Vec<Side>,
    /// What every node hears, a sentence for each side, and one for all that are on none.
    pub(crate) told: Vec<String>,
    /// Who does not hear whom, each as listener and speaker.
    #[serde(skip)]
    cut: Vec<(usize, usize)>,
}

/// Nodes to which the same happens.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Side {
    pub(crate) letter: char,
    pub(crate) nodes: Vec<usize>,
}

/// What a side is called: the letters begin again after the last.
fn letter(place: usize) -> char {
    char::from(b'A' + (place % 26) as u8)
}

/// The fault with the nodes that the words of its plan meant when it began.
fn meant(kind: &FaultKind, nodes: &[Node], meanings: &Meanings) -> FaultKind {
    let names: Vec<NodeName> = nodes.iter().map(|node| node.name.clone()).collect();
    let mut meant = kind.clone();
    for (list, nodes) in meant.node_lists_mut().into_iter().zip(meanings.lists(kind, &names)) {
        *list = nodes;
    }
    meant
}

impl Split {
    /// What this fault does to the links of these nodes, whose words meant these when it began.
    /// `None` when it cuts none.
    pub(crate) fn of(kind: &FaultKind, nodes: &[Node], meanings: &Meanings) -> Option<Self> {
        let kind = &meant(kind, nodes, meanings);
        let place = |name: &NodeName| nodes.iter().position(|node| node.name == *name);
        let lane = |list: &Vec<NodeName>| -> Vec<usize> {
            let mut lanes: Vec<usize> = list.iter().filter_map(place).collect();
            lanes.sort_unstable();
            lanes.dedup();
            lanes
        };
        let all: Vec<usize> = (0..nodes.len()).collect();
        let without = |out: &[&Vec<usize>]| -> Vec<usize> {
            all.iter().copied().filter(|n| !out.iter().any(|list| list.contains(n))).collect()
        };
        let names = |lanes: &[usize]| -> String {
            let names: Vec<&str> = lanes.iter().map(|lane| &*nodes[*lane].name.0).collect();
            names.join(", ")
        };
        let told = |side: usize, lanes: &[usize], hears: &str| {
            format!("side {}: {}; {hears}", letter(side), names(lanes))
        };
        let mut split = Self::default();
        let rest = |split: &mut Self, lanes: &[usize], one: &str, many: &str| {
            if !lanes.is_empty() {
                let hears = if lanes.len() == 1 { one } else { many };
                split.told.push(format!("on no side: {}; {hears}", names(lanes)));
            }
        };
        match kind {
            FaultKind::Partition { sides } => {
                let sides: Vec<Vec<usize>> = sides.iter().map(lane).collect();
                for (at, side) in sides.iter().enumerate() {
                    let others: Vec<String> = (0..sides.len())
                        .filter(|other| *other != at)
                        .map(|other| letter(other).to_string())
                        .collect();
                    let of = if others.len() == 1 { "side" } else { "sides" };
                    let hears = format!("hears nobody of {of} {}", listed(&others));
                    split.told.push(told(at, side, &hears));
                    for (_, other) in sides.iter().enumerate().filter(|(other, _)| *other != at) {
                        split.deafen(side, other);
                    }
                }
                let out = without(&sides.iter().collect::<Vec<_>>());
                rest(&mut split, &out, "hears everybody", "hear everybody");
                split.name(sides);
            }
            FaultKind::Bridge { left, right } => {
                let (left, right) = (lane(left), lane(right));
                split.told.push(told(0, &left, "hears nobody of side B"));
                split.told.push(told(1, &right, "hears nobody of side A"));
                split.deafen(&left, &right);
                split.deafen(&right, &left);
                let out = without(&[&left, &right]);
                rest(&mut split, &out, "hears both sides", "hear both sides");
                split.name(vec![left, right]);
            }
            FaultKind::OneWay { from, to } => {
                let (from, to) = (lane(from), lane(to));
                split.told.push(told(0, &from, "hears everybody"));
                split.told.push(told(1, &to, "hears nobody of side A"));
                split.deafen(&to, &from);
                let out = without(&[&from, &to]);
                rest(&mut split, &out, "hears everybody", "hear everybody");
                split.name(vec![from, to]);
            }
            FaultKind::Isolate { nodes: cut } | FaultKind::Flap { nodes: cut, .. } => {
                let cut = lane(cut);
                let hears = match kind {
                    FaultKind::Flap { down_ms, up_ms, .. } => format!(
                        "hears nobody for {down_ms} ms, then everybody for {up_ms} ms, and so on"
                    ),
                    _ => "hears nobody".to_owned(),
                };
                for (at, node) in cut.iter().enumerate() {
                    split.told.push(told(at, &[*node], &hears));
                    let others: Vec<usize> = without(&[&vec![*node]]);
                    split.deafen(&[*node], &others);
                    split.deafen(&others, &[*node]);
                }
                let out = without(&[&cut]);
                rest(&mut split, &out, "hears nobody of a side", "hear each other alone");
                split.name(cut.into_iter().map(|node| vec![node]).collect());
            }
            FaultKind::KillSessions { nodes: cut } => {
                let cut = lane(cut);
                let is_server =
                    |lane: &usize| ["server", "observer"].contains(&&*nodes[*lane].role);
                let servers: Vec<usize> = without(&[&cut]).into_iter().filter(is_server).collect();
                split.told.push(told(0, &cut, "hears nobody of side B"));
                split.told.push(told(1, &servers, "hears nobody of side A"));
                split.deafen(&cut, &servers);
                split.deafen(&servers, &cut);
                let out = without(&[&cut, &servers]);
                rest(&mut split, &out, "hears everybody", "hear everybody");
                split.name(vec![cut, servers]);
            }
            FaultKind::Ring { nodes: ring } => {
                // In the ring's own order: a lane's place says nothing of its neighbours.
                let ring: Vec<usize> = ring.iter().filter_map(place).collect();
                for (at, node) in ring.iter().enumerate() {
                    let before = ring[(at + ring.len() - 1) % ring.len()];
                    let after = ring[(at + 1) % ring.len()];
                    let mut near = vec![before, after];
                    near.dedup();
                    split.told.push(format!(
                        "{}: of the ring it hears {}",
                        nodes[*node].name,
                        names(&near)
                    ));
                    let far: Vec<usize> =
                        ring.iter().copied().filter(|n| n != node && !near.contains(n)).collect();
                    split.deafen(&[*node], &far);
                }
                rest(&mut split, &without(&[&ring]), "hears everybody", "hear everybody");
            }
            _ => return None,
        }
        Some(split)
    }

    /// Whether `to` hears nothing of `from`.
    pub(crate) fn cuts(&self, from: usize, to: usize) -> bool {
        self.cut.contains(&(to, from))
    }

    fn deafen(&mut self, listeners: &[usize], speakers: &[usize]) {
        for listener in listeners {
            self.cut.extend(speakers.iter().map(|speaker| (*listener, *speaker)));
        }
    }

    fn name(&mut self, sides: Vec<Vec<usize>>) {
        let side = |(at, nodes)| Side { letter: letter(at), nodes };
        self.sides = sides.into_iter().enumerate().map(side).collect();
    }
}

/// `A`, `A and B`, `A, B and C`.
fn listed(words: &[String]) -> String {
    match words.split_last() {
        Some((last, first)) if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => words.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mailstorm_record::cast::Target;

    const NODES: [(&str, &str); 6] = [
        ("s1", "server"),
        ("s2", "server"),
        ("s3", "server"),
        ("w1", "worker"),
        ("w2", "worker"),
        ("sink", "sink"),
    ];

    fn nodes() -> Vec<Node> {
        let node = |(name, role): (&str, &str)| Node { name: name.into(), role: role.into() };
        NODES.map(node).into_iter().collect()
    }

    fn list(names: &str) -> Vec<NodeName> {
        names.split(' ').map(NodeName::from).collect()
    }

    /// What is told of this fault, and who does not hear whom.
    #[track_caller]
    fn check(kind: FaultKind, sides: &str, told: &[&str], deaf: &str) {
        let leader = Target::one("leader", "").meaning(list("s1"), false);
        let led = Meanings(vec![leader]);
        let split = Split::of(&kind, &nodes(), &led).expect("it cuts links");
        let name = |lane: &usize| NODES[*lane].0;
        let side = |side: &Side| {
            let names: Vec<&str> = side.nodes.iter().map(name).collect();
            format!("{}: {}", side.letter, names.join(" "))
        };
        let lettered: Vec<String> = split.sides.iter().map(side).collect();
        assert_eq!(lettered.join(" | "), sides);
        assert_eq!(split.told, told);
        let mut pairs: Vec<String> = Vec::new();
        for (to, (listener, _)) in NODES.iter().enumerate() {
            let unheard: Vec<&str> =
                (0..NODES.len()).filter(|from| split.cuts(*from, to)).map(|n| NODES[n].0).collect();
            if !unheard.is_empty() {
                pairs.push(format!("{listener} not {}", unheard.join(" ")));
            }
        }
        assert_eq!(pairs.join("; "), deaf);
    }

    #[test]
    fn a_fault_says_of_every_node_what_it_hears() {
        let sides = vec![list("s1 w1"), list("s2"), list("s3")];
        check(
            FaultKind::Partition { sides },
            "A: s1 w1 | B: s2 | C: s3",
            &[
                "side A: s1, w1; hears nobody of sides B and C",
                "side B: s2; hears nobody of sides A and C",
                "side C: s3; hears nobody of sides A and B",
                "on no side: w2, sink; hear everybody",
            ],
            "s1 not s2 s3; s2 not s1 s3 w1; s3 not s1 s2 w1; w1 not s2 s3",
        );
        check(
            FaultKind::Bridge { left: list("leader w1 w2"), right: list("s2 sink") },
            "A: s1 w1 w2 | B: s2 sink",
            &[
                "side A: s1, w1, w2; hears nobody of side B",
                "side B: s2, sink; hears nobody of side A",
                "on no side: s3; hears both sides",
            ],
            "s1 not s2 sink; s2 not s1 w1 w2; w1 not s2 sink; w2 not s2 sink; sink not s1 w1 w2",
        );
        check(
            FaultKind::OneWay { from: list("s1 s2 s3"), to: list("w1 w2 sink") },
            "A: s1 s2 s3 | B: w1 w2 sink",
            &[
                "side A: s1, s2, s3; hears everybody",
                "side B: w1, w2, sink; hears nobody of side A",
            ],
            "w1 not s1 s2 s3; w2 not s1 s2 s3; sink not s1 s2 s3",
        );
        check(
            FaultKind::Isolate { nodes: list("s1 w1") },
            "A: s1 | B: w1",
            &[
                "side A: s1; hears nobody",
                "side B: w1; hears nobody",
                "on no side: s2, s3, w2, sink; hear each other alone",
            ],
            "s1 not s2 s3 w1 w2 sink; s2 not s1 w1; s3 not s1 w1; w1 not s1 s2 s3 w2 sink; \
             w2 not s1 w1; sink not s1 w1",
        );
        check(
            FaultKind::KillSessions { nodes: list("w1") },
            "A: w1 | B: s1 s2 s3",
            &[
                "side A: w1; hears nobody of side B",
                "side B: s1, s2, s3; hears nobody of side A",
                "on no side: w2, sink; hear everybody",
            ],
            "s1 not w1; s2 not w1; s3 not w1; w1 not s1 s2 s3",
        );
        check(
            FaultKind::Ring { nodes: list("s1 s3 s2 w1") },
            "",
            &[
                "s1: of the ring it hears w1, s3",
                "s3: of the ring it hears s1, s2",
                "s2: of the ring it hears s3, w1",
                "w1: of the ring it hears s2, s1",
                "on no side: w2, sink; hear everybody",
            ],
            "s1 not s2; s2 not s1; s3 not w1; w1 not s3",
        );
    }

    #[test]
    fn a_fault_that_cuts_no_link_makes_no_sides() {
        let pause = FaultKind::Pause { nodes: list("s1") };
        assert_eq!(Split::of(&pause, &nodes(), &Meanings::default()), None);
    }
}
