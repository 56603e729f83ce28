//! A fault in a sentence: which nodes it strikes, what it does, how much, for how long.
//!
//! Owns: the sentences, and the names of kinds as people read them. Leaves: when a fault begins to
//! the caller.
//! Holds: every node and every number of a fault is in its sentence.
//! Start at [`Scene::sentence`].

use crate::cast::{Meant, OTHERS};
use crate::fault::FOREVER_MS;
use crate::{Fault, FaultKind, NodeName};
use mailstorm_shared::time_in_words::span_of_ms;

/// What the words mean when a fault begins. In a plan that was not run they mean no node yet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scene<'a>(pub &'a [Meant]);

/// A name of machines as people read it: `leader_disk_stall` is "leader disk stall".
pub fn spaced(name: &str) -> String {
    name.replace('_', " ")
}

/// A number of things, in the right form: `one server`, `five workers`, `100 mails`.
pub fn quantity(number: u64, noun: &str) -> String {
    const WORDS: [&str; 13] = [
        "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
        "eleven", "twelve",
    ];
    let word = usize::try_from(number).ok().and_then(|number| WORDS.get(number));
    let number_told = word.map_or_else(|| number.to_string(), |word| (*word).to_owned());
    format!("{number_told} {noun}{}", if number == 1 { "" } else { "s" })
}

impl Scene<'_> {
    /// A node of a plan by its own name, with the word that means it; a word by the node that it
    /// means, if that is one.
    fn name(&self, name: &NodeName) -> String {
        if *name.0 == *OTHERS {
            return format!("the {OTHERS}");
        }
        let node = match self.0.iter().find(|meant| meant.word == name.0) {
            Some(Meant { is_one: true, nodes, .. }) if nodes.len() == 1 => &nodes[0],
            Some(_) => return format!("the {name}"),
            None => name,
        };
        let is_it = |meant: &&Meant| meant.is_one && !meant.stands_in && meant.nodes.contains(node);
        let words: Vec<&str> = self.0.iter().filter(is_it).map(|meant| &*meant.word).collect();
        if words.is_empty() { node.to_string() } else { format!("{node} ({})", words.join(", ")) }
    }

    fn names(&self, nodes: &[NodeName]) -> String {
        let names: Vec<String> = nodes.iter().map(|node| self.name(node)).collect();
        match &names[..] {
            [] => "nobody".to_owned(),
            [one] => one.clone(),
            [some @ .., last] => format!("{} and {last}", some.join(", ")),
        }
    }

    /// Those nodes and what they do, in the right number.
    fn each(&self, nodes: &[NodeName], one: &str, many: &str) -> String {
        format!("{} {}", self.names(nodes), if nodes.len() == 1 { one } else { many })
    }

    /// Something of those nodes, which each of them has one of.
    fn of_each(&self, one: &str, nodes: &[NodeName]) -> String {
        let plural = match nodes.len() {
            1 => "",
            _ if one.ends_with('s') => "es",
            _ => "s",
        };
        format!("the {one}{plural} of {}", self.names(nodes))
    }

    /// The fault in a sentence.
    pub fn sentence(&self, fault: &Fault) -> String {
        let lasting = lasting(fault);
        match &fault.kind {
            FaultKind::Partition { sides } => {
                let sides: Vec<_> = sides.iter().map(|side| self.names(side)).collect();
                format!("{} do not hear each other{lasting}", sides.join(" | "))
            }
            FaultKind::Bridge { left, right } => {
                // A storm's bridge may name the leader on one side and every server on the other.
                let ours: Vec<String> = left.iter().map(|node| self.name(node)).collect();
                let is_theirs = |node: &&NodeName| !ours.contains(&self.name(node));
                let right: Vec<NodeName> = right.iter().filter(is_theirs).cloned().collect();
                let (left, right) = (self.names(left), self.names(&right));
                format!("{left} | {right} do not hear each other, all others hear both{lasting}")
            }
            FaultKind::Ring { nodes } => {
                format!("{} hear only their neighbours in this ring{lasting}", self.names(nodes))
            }
            FaultKind::OneWay { from, to } => format!(
                "{} nothing of {}, which {} them{lasting}",
                self.each(to, "hears", "hear"),
                self.names(from),
                if from.len() == 1 { "hears" } else { "hear" }
            ),
            FaultKind::Isolate { nodes } => {
                format!("{} cut off from everybody{lasting}", self.each(nodes, "is", "are"))
            }
            FaultKind::Flap { nodes, down_ms, up_ms } => format!(
                "{} cut off for {} and heard for {}, again and again{lasting}",
                self.each(nodes, "is", "are"),
                span_of_ms(*down_ms),
                span_of_ms(*up_ms)
            ),
            FaultKind::Slow { nodes, delay_ms, kib_per_second } => {
                let rate = match kib_per_second {
                    0 => String::new(),
                    rate => format!(" at no more than {rate} KiB/s"),
                };
                format!(
                    "messages to and from {} take up to {} longer{rate}{lasting}",
                    self.names(nodes),
                    span_of_ms(*delay_ms)
                )
            }
            FaultKind::Corrupt { nodes, per_million } => format!(
                "{per_million} of a million messages between {} and other servers change on the way{lasting}",
                self.names(nodes)
            ),
            FaultKind::Reset { nodes, every_ms: 0 } => {
                format!("every connection of {} breaks", self.names(nodes))
            }
            FaultKind::Reset { nodes, every_ms } => format!(
                "every connection of {} breaks, and again every {}{lasting}",
                self.names(nodes),
                span_of_ms(*every_ms)
            ),
            FaultKind::Flood { nodes, connections } => format!(
                "strangers open {} to each address of {}{lasting}",
                count(*connections, "connection"),
                self.names(nodes)
            ),
            FaultKind::KillSessions { nodes } => {
                format!("{} cut off from all servers{lasting}", self.each(nodes, "is", "are"))
            }
            FaultKind::Kill { nodes } => {
                let are = if nodes.len() == 1 { "is" } else { "are" };
                format!("{} {are} killed, down{lasting}", self.of_each("process", nodes))
            }
            FaultKind::Crash { nodes } => {
                format!("{}, down{lasting}", self.each(nodes, "crashes", "crash"))
            }
            FaultKind::CrashLoop { nodes, up_ms, down_ms } => format!(
                "{} again and again, up for {} and down for {}{lasting}",
                self.each(nodes, "crashes", "crash"),
                span_of_ms(*up_ms),
                span_of_ms(*down_ms)
            ),
            FaultKind::PowerCut { nodes } => {
                format!("{} power{lasting}", self.each(nodes, "loses", "lose"))
            }
            FaultKind::Pause { nodes } => {
                format!("{} still{lasting}", self.each(nodes, "stands", "stand"))
            }
            FaultKind::Drift { nodes, ppm } => {
                let pace = if *ppm < 0 { "slower" } else { "faster" };
                let ppm = ppm.unsigned_abs();
                format!("the clocks of {} run {ppm} ppm {pace}{lasting}", self.names(nodes))
            }
            FaultKind::Jump { nodes, by_ms } => {
                let way = if *by_ms < 0 { "back" } else { "ahead" };
                let by = span_of_ms(by_ms.unsigned_abs());
                let jump = if nodes.len() == 1 { "jumps" } else { "jump" };
                format!("{} {jump} {way} by {by}{lasting}", self.of_each("wall clock", nodes))
            }
            FaultKind::DiskStall { nodes } => {
                let answer = if nodes.len() == 1 { "answers" } else { "answer" };
                format!("{} {answer} nothing{lasting}", self.of_each("disk", nodes))
            }
            FaultKind::DiskSlow { nodes, factor } => {
                let take = if nodes.len() == 1 { "takes" } else { "take" };
                format!("{} {take} {factor} times as long{lasting}", self.of_each("disk", nodes))
            }
            FaultKind::DiskFull { nodes } => {
                let are = if nodes.len() == 1 { "is" } else { "are" };
                format!("{} {are} full{lasting}", self.of_each("disk", nodes))
            }
            FaultKind::SyncFails { nodes } => {
                format!("syncs of {} fail{lasting}", self.names(nodes))
            }
            FaultKind::ReadFails { nodes } => {
                format!("reads of {} fail{lasting}", self.names(nodes))
            }
            FaultKind::WriteFails { nodes } => {
                format!("writes of {} fail{lasting}", self.names(nodes))
            }
            FaultKind::SyncLies { nodes } => {
                format!("syncs of {} say they are done and are not{lasting}", self.names(nodes))
            }
            FaultKind::TornWrites { nodes } => format!(
                "{} in the middle of a write, down{lasting}",
                self.each(nodes, "dies", "die")
            ),
            FaultKind::BitRot { nodes, sectors } => format!(
                "{}, down{lasting}; by then {} of the disk {} changed",
                self.each(nodes, "dies", "die"),
                count(*sectors, "sector"),
                if *sectors == 1 { "has" } else { "have" }
            ),
            FaultKind::MisdirectedWrite { nodes } => format!(
                "{}, down{lasting}; by then a sector of the disk lies over another",
                self.each(nodes, "dies", "die")
            ),
            FaultKind::UnreadableSectors { nodes, sectors } => format!(
                "{}, down{lasting}; by then {} of the disk cannot be read",
                self.each(nodes, "crashes", "crash"),
                count(*sectors, "sector")
            ),
            FaultKind::DiskLost { nodes } => format!(
                "{}, down{lasting}; by then the disk is a new one, empty",
                self.each(nodes, "dies", "die")
            ),
        }
    }
}

/// For how long, with a space before it.
fn lasting(fault: &Fault) -> String {
    match fault.lasts_ms {
        0 => " for an instant".to_owned(),
        FOREVER_MS => " for good".to_owned(),
        ms => format!(" for {}", span_of_ms(ms)),
    }
}

fn count(number: u32, of: &str) -> String {
    format!("{number} {of}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// A word that means this node, or nobody.
    fn meant(word: &str, node: Option<&str>) -> Meant {
        let nodes = node.map(NodeName::from).into_iter().collect();
        Meant { word: word.into(), nodes, is_one: true, stands_in: false }
    }

    #[track_caller]
    fn check(lasts_ms: u64, kind: FaultKind, expected: &str) {
        let led = [meant("leader", Some("s3"))];
        assert_eq!(Scene(&led).sentence(&Fault { at_ms: 0, lasts_ms, kind }), expected);
    }

    fn named(names: &[&str]) -> Vec<NodeName> {
        names.iter().map(|name| NodeName::from(*name)).collect()
    }

    #[test]
    fn a_fault_is_told_in_a_sentence_with_who_leads() {
        check(
            900,
            FaultKind::PowerCut { nodes: named(&["leader"]) },
            "s3 (leader) loses power for 900 ms",
        );
        check(
            1_234,
            FaultKind::Crash { nodes: named(&["s1", "s3"]) },
            "s1 and s3 (leader) crash, down for 1.234 s",
        );
        check(
            2_000,
            FaultKind::Partition { sides: vec![named(&["leader", "w1"]), named(&["s1", "s2"])] },
            "s3 (leader) and w1 | s1 and s2 do not hear each other for 2.0 s",
        );
        check(
            0,
            FaultKind::Reset { nodes: named(&["s1"]), every_ms: 0 },
            "every connection of s1 breaks",
        );
        check(
            1_000,
            FaultKind::Bridge { left: named(&["leader"]), right: named(&["s1", "s2", "s3"]) },
            "s3 (leader) | s1 and s2 do not hear each other, all others hear both for 1.0 s",
        );
        check(
            60_000,
            FaultKind::Jump { nodes: named(&["s1"]), by_ms: -1_500 },
            "the wall clock of s1 jumps back by 1.5 s for 1 min",
        );
        check(0, FaultKind::Pause { nodes: named(&["w1"]) }, "w1 stands still for an instant");
    }

    #[test]
    fn a_number_of_things_is_singular_for_one() {
        let told = [0, 1, 5, 12, 13, 100].map(|number| quantity(number, "server")).join(", ");
        assert_eq!(
            told,
            "no servers, one server, five servers, twelve servers, 13 servers, 100 servers"
        );
    }

    #[test]
    fn in_a_plan_that_was_not_run_the_leader_is_the_leader() {
        let kind = FaultKind::OneWay { from: named(&["leader"]), to: named(&["s1", "s2"]) };
        let fault = Fault { at_ms: 0, lasts_ms: 10, kind };
        let told = Scene(&[meant("leader", None)]).sentence(&fault);
        assert_eq!(told, "s1 and s2 hear nothing of the leader, which hears them for 10 ms");
    }

    #[test]
    fn whoever_stands_in_for_nobody_is_told_by_the_node_alone() {
        let picked = Meant { stands_in: true, ..meant("controller", Some("b2")) };
        let both = [picked, meant("leader of orders-0", Some("b2"))];
        let sentence = |names: &[&str], meant: &[Meant]| {
            let kind = FaultKind::Pause { nodes: named(names) };
            Scene(meant).sentence(&Fault { at_ms: 0, lasts_ms: 10, kind })
        };
        assert_eq!(sentence(&["controller"], &both[..1]), "b2 stands still for 10 ms");
        let told = "b2 (leader of orders-0) stands still for 10 ms";
        assert_eq!(sentence(&["b2"], &both), told);
    }

    /// One fault of every kind and form, with nodes and numbers that a sentence keeps apart.
    fn every_kind() -> Vec<FaultKind> {
        let nodes = || named(&["s71", "s72"]);
        let others = || named(&["w81"]);
        vec![
            FaultKind::Partition { sides: vec![nodes(), others(), named(&["v91"])] },
            FaultKind::Bridge { left: nodes(), right: others() },
            FaultKind::Ring { nodes: named(&["s71", "s72", "s73"]) },
            FaultKind::OneWay { from: nodes(), to: others() },
            FaultKind::Isolate { nodes: nodes() },
            FaultKind::Flap { nodes: nodes(), down_ms: 311, up_ms: 322 },
            FaultKind::Slow { nodes: nodes(), delay_ms: 333, kib_per_second: 344 },
            FaultKind::Corrupt { nodes: nodes(), per_million: 355 },
            FaultKind::Reset { nodes: nodes(), every_ms: 366 },
            FaultKind::Flood { nodes: nodes(), connections: 377 },
            FaultKind::KillSessions { nodes: others() },
            FaultKind::Kill { nodes: nodes() },
            FaultKind::Crash { nodes: nodes() },
            FaultKind::CrashLoop { nodes: nodes(), up_ms: 388, down_ms: 399 },
            FaultKind::PowerCut { nodes: nodes() },
            FaultKind::Pause { nodes: nodes() },
            FaultKind::Drift { nodes: nodes(), ppm: -411 },
            FaultKind::Jump { nodes: nodes(), by_ms: -422 },
            FaultKind::DiskStall { nodes: nodes() },
            FaultKind::DiskSlow { nodes: nodes(), factor: 433 },
            FaultKind::DiskFull { nodes: nodes() },
            FaultKind::SyncFails { nodes: nodes() },
            FaultKind::ReadFails { nodes: nodes() },
            FaultKind::WriteFails { nodes: nodes() },
            FaultKind::SyncLies { nodes: nodes() },
            FaultKind::TornWrites { nodes: nodes() },
            FaultKind::BitRot { nodes: nodes(), sectors: 444 },
            FaultKind::MisdirectedWrite { nodes: nodes() },
            FaultKind::UnreadableSectors { nodes: nodes(), sectors: 455 },
            FaultKind::DiskLost { nodes: nodes() },
        ]
    }

    /// Every node and number in a fault's serialised form.
    fn parts(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::String(name) => found.push(name.clone()),
            Value::Number(number) => {
                found.push(number.to_string().trim_start_matches('-').to_owned())
            }
            Value::Array(list) => list.iter().for_each(|value| parts(value, found)),
            Value::Object(fields) => fields.values().for_each(|value| parts(value, found)),
            _ => {}
        }
    }

    #[test]
    fn the_sentence_of_every_kind_has_all_its_nodes_its_numbers_and_its_length() {
        let kinds = every_kind();
        let names: Vec<&str> = kinds.iter().map(FaultKind::name).collect();
        assert_eq!(names, FaultKind::NAMES);
        for kind in kinds {
            let mut told = Vec::new();
            parts(&serde_json::to_value(&kind).unwrap(), &mut told);
            let fault = Fault { at_ms: 0, lasts_ms: 588, kind };
            let sentence = Scene::default().sentence(&fault);
            for part in told.iter().map(String::as_str).chain(["588 ms"]) {
                assert!(sentence.contains(part), "no {part} in '{sentence}'");
            }
            assert!(!sentence.contains(['_', '{', '[']), "{sentence}");
        }
    }
}
