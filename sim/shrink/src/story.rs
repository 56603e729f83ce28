//! What a run tells, in one line per fault.
//!
//! Start at [`story`].

use mailstorm_record::cast::{FOLLOWERS, LEADER, OBSERVERS, OTHERS, hears_everybody, on_no_side};
use mailstorm_record::fault::FOREVER_MS;
use mailstorm_record::{Fault, FaultKind, Happening, NodeName, Run};
use mailstorm_shared::Observation;

/// The faults of a fully recorded run, in the order in which they came, each with its virtual time since
/// the run began.
pub fn story(run: &Run) -> Vec<String> {
    let mut leader: Option<String> = None;
    let mut started: Vec<NodeName> = Vec::new();
    let mut lines = Vec::new();
    for event in run.events.iter().flatten() {
        match &event.happening {
            Happening::Observed { observation: Observation::Leads { server, .. } } => {
                leader = Some(server.to_string());
            }
            Happening::FaultBegan { index, nodes, .. } => {
                let Some(fault) = run.plan.faults.get(*index) else { continue };
                let cast = Cast { leader: leader.as_deref(), struck: nodes };
                let mut told = cast.tell(fault);
                if let Some(rest) = hears_everybody(&on_no_side(&fault.kind, nodes, &started)) {
                    told = format!("{told}; {rest}");
                }
                lines.push(format!("at {} {told}", seconds(event.at_ns / 1_000_000)));
            }
            Happening::Started { incarnation: 0 } => started.extend(event.node.clone()),
            _ => {}
        }
    }
    lines
}

/// Milliseconds as seconds, with as many digits as they need.
fn seconds(ms: u64) -> String {
    if ms.is_multiple_of(100) {
        return format!("{}.{} s", ms / 1_000, ms % 1_000 / 100);
    }
    format!("{}.{:03} s", ms / 1_000, ms % 1_000)
}

/// Who is who when a fault begins.
struct Cast<'a> {
    leader: Option<&'a str>,
    /// Whom the fault strikes, by the names of nodes.
    struck: &'a [NodeName],
}

impl Cast<'_> {
    /// A node of a plan by its own name, with its role.
    fn name(&self, node: &NodeName) -> String {
        let name = match &*node.0 {
            // A fault that names only the leader strikes nobody else.
            LEADER => match (self.leader, self.struck) {
                (_, [only]) => only.to_string(),
                (Some(leader), _) => leader.to_owned(),
                (None, _) => return "the leader".to_owned(),
            },
            FOLLOWERS => return "the followers".to_owned(),
            OBSERVERS => return "the observers".to_owned(),
            OTHERS => return "the others".to_owned(),
            name => name.to_owned(),
        };
        if self.leader == Some(&*name) { format!("{name} (leader)") } else { name }
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

    /// The fault in a sentence.
    fn tell(&self, fault: &Fault) -> String {
        let lasting = match fault.lasts_ms {
            FOREVER_MS => "for good".to_owned(),
            ms => format!("for {}", seconds(ms)),
        };
        let back = match fault.lasts_ms {
            FOREVER_MS => ", for good".to_owned(),
            ms => format!(" when it is back {} later", seconds(ms)),
        };
        match &fault.kind {
            FaultKind::Partition { sides } => {
                let sides: Vec<_> = sides.iter().map(|side| self.names(side)).collect();
                format!("{} do not hear each other {lasting}", sides.join(" | "))
            }
            FaultKind::Bridge { left, right } => {
                let (left, right) = (self.names(left), self.names(right));
                format!("{left} | {right} hear only those between them {lasting}")
            }
            FaultKind::Ring { nodes } => {
                format!("{} hear only their neighbours in this ring {lasting}", self.names(nodes))
            }
            FaultKind::OneWay { from, to } => {
                format!(
                    "{} nothing of {} {lasting}",
                    self.each(to, "hears", "hear"),
                    self.names(from)
                )
            }
            FaultKind::Isolate { nodes } => {
                format!("{} cut off from everybody {lasting}", self.each(nodes, "is", "are"))
            }
            FaultKind::Flap { nodes, down_ms, up_ms } => format!(
                "{} cut off for {down_ms} ms in every {} ms {lasting}",
                self.each(nodes, "is", "are"),
                down_ms + up_ms
            ),
            FaultKind::Slow { nodes, delay_ms, .. } => format!(
                "messages to and from {} take up to {delay_ms} ms longer {lasting}",
                self.names(nodes)
            ),
            FaultKind::Corrupt { nodes, .. } => format!(
                "bytes between {} and other servers change on the way {lasting}",
                self.names(nodes)
            ),
            FaultKind::Reset { nodes, every_ms: 0 } => {
                format!("every connection of {} breaks", self.names(nodes))
            }
            FaultKind::Reset { nodes, every_ms } => {
                format!(
                    "every connection of {} breaks, each {every_ms} ms {lasting}",
                    self.names(nodes)
                )
            }
            FaultKind::Flood { nodes, connections } => format!(
                "strangers open {connections} connections to each address of {} {lasting}",
                self.names(nodes)
            ),
            FaultKind::KillSessions { nodes } => {
                format!("{} cut off from all servers {lasting}", self.each(nodes, "is", "are"))
            }
            FaultKind::Kill { nodes } => {
                let processes = if nodes.len() == 1 { "process" } else { "processes" };
                let are = if nodes.len() == 1 { "is" } else { "are" };
                format!("the {processes} of {} {are} killed, down {lasting}", self.names(nodes))
            }
            FaultKind::Crash { nodes } => {
                format!("{}, down {lasting}", self.each(nodes, "crashes", "crash"))
            }
            FaultKind::CrashLoop { nodes, .. } => {
                format!("{} again and again {lasting}", self.each(nodes, "crashes", "crash"))
            }
            FaultKind::PowerCut { nodes } => {
                format!("{} power {lasting}", self.each(nodes, "loses", "lose"))
            }
            FaultKind::Pause { nodes } => {
                format!("{} still {lasting}", self.each(nodes, "stands", "stand"))
            }
            FaultKind::Drift { nodes, ppm } => {
                let pace = if *ppm < 0 { "slower" } else { "faster" };
                let ppm = ppm.unsigned_abs();
                format!("the clocks of {} run {ppm} ppm {pace} {lasting}", self.names(nodes))
            }
            FaultKind::Jump { nodes, by_ms } => {
                let way = if *by_ms < 0 { "back" } else { "ahead" };
                let by = seconds(by_ms.unsigned_abs());
                format!("the wall clock of {} jumps {way} by {by} {lasting}", self.names(nodes))
            }
            FaultKind::DiskStall { nodes } => {
                format!("the disk of {} answers nothing {lasting}", self.names(nodes))
            }
            FaultKind::DiskSlow { nodes, factor } => {
                format!("the disk of {} takes {factor} times as long {lasting}", self.names(nodes))
            }
            FaultKind::DiskFull { nodes } => {
                format!("the disk of {} is full {lasting}", self.names(nodes))
            }
            FaultKind::SyncFails { nodes } => {
                format!("syncs of {} fail {lasting}", self.names(nodes))
            }
            FaultKind::ReadFails { nodes } => {
                format!("reads of the disk of {} fail {lasting}", self.names(nodes))
            }
            FaultKind::WriteFails { nodes } => {
                format!("writes to the disk of {} fail {lasting}", self.names(nodes))
            }
            FaultKind::SyncLies { nodes } => {
                format!("syncs of {} say they are done and are not {lasting}", self.names(nodes))
            }
            FaultKind::TornWrites { nodes } => {
                format!(
                    "{} in the middle of a write, down {}",
                    self.each(nodes, "dies", "die"),
                    if fault.is_forever() {
                        lasting
                    } else {
                        format!("until {} later", seconds(fault.lasts_ms))
                    }
                )
            }
            FaultKind::BitRot { nodes, sectors } => format!(
                "{} and {sectors} sectors of what the disk held have changed{back}",
                self.each(nodes, "dies", "die")
            ),
            FaultKind::MisdirectedWrite { nodes } => format!(
                "{} and a sector of the disk lies over another{back}",
                self.each(nodes, "dies", "die")
            ),
            FaultKind::UnreadableSectors { nodes, sectors } => format!(
                "{} and {sectors} sectors of the disk cannot be read{back}",
                self.each(nodes, "crashes", "crash")
            ),
            FaultKind::DiskLost { nodes } => {
                format!("{} and has an empty disk{back}", self.each(nodes, "dies", "die"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lasts_ms: u64, kind: FaultKind, struck: &[&str], expected: &str) {
        let struck: Vec<NodeName> = struck.iter().map(|name| NodeName::from(*name)).collect();
        let cast = Cast { leader: Some("s3"), struck: &struck };
        assert_eq!(cast.tell(&Fault { at_ms: 0, lasts_ms, kind }), expected);
    }

    fn named(names: &[&str]) -> Vec<NodeName> {
        names.iter().map(|name| NodeName::from(*name)).collect()
    }

    #[test]
    fn a_fault_is_told_in_a_sentence_with_who_leads() {
        check(
            900,
            FaultKind::PowerCut { nodes: named(&["leader"]) },
            &["s3"],
            "s3 (leader) loses power for 0.9 s",
        );
        check(
            1_234,
            FaultKind::Crash { nodes: named(&["s1", "s3"]) },
            &["s1", "s3"],
            "s1 and s3 (leader) crash, down for 1.234 s",
        );
        check(
            2_000,
            FaultKind::Partition { sides: vec![named(&["leader", "w1"]), named(&["s1", "s2"])] },
            &["s1", "s2", "s3", "w1"],
            "s3 (leader) and w1 | s1 and s2 do not hear each other for 2.0 s",
        );
        check(
            0,
            FaultKind::Reset { nodes: named(&["s1"]), every_ms: 0 },
            &["s1"],
            "every connection of s1 breaks",
        );
        check(
            60_000,
            FaultKind::Jump { nodes: named(&["s1"]), by_ms: -1_500 },
            &["s1"],
            "the wall clock of s1 jumps back by 1.5 s for 60.0 s",
        );
    }
}
