//! Events in words: one short sentence each, for traces and pages.
//!
//! Holds: the sentence depends on the event alone; a fact that a process told brings its own.
//! Start at [`words`].

use crate::text::numbered;
use mailstorm_record::{Happening, NodeName, spaced};

/// What happened, in a few words; the time and the node stand before it.
pub fn words(happening: &Happening) -> String {
    match happening {
        Happening::Observed { observation } => observation.words(),
        Happening::Started { incarnation: 0 } => "starts".into(),
        Happening::Started { incarnation } => format!("starts again, incarnation {incarnation}"),
        Happening::Crashed { why } => format!("dies: {why}"),
        Happening::Paused => "is paused".into(),
        Happening::Resumed => "wakes up again".into(),
        Happening::FaultBegan { index, kind, nodes, .. } => {
            format!("fault {index} begins: {} of {}", spaced(kind), list(nodes))
        }
        Happening::FaultEnded { index } => format!("fault {index} ends"),
        Happening::Phase { name } => format!("phase {name}"),
        Happening::DiskDamaged => "has lost durable data on its disk".into(),
        Happening::WritesLost { sectors, torn } => {
            format!("had not synced {}: gone; and {torn} torn", numbered(*sectors as u64, "sector"))
        }
        Happening::State { hash } => format!("is in state {hash}"),
        Happening::Sent { message, to, bytes, label } => {
            format!("sends #{message} to {to}: {label} ({})", numbered(*bytes as u64, "byte"))
        }
        Happening::Delivered { message } => format!("receives #{message}"),
    }
}

/// The event's kind, in `snake_case`, as records spell it.
pub fn kind(happening: &Happening) -> &str {
    match happening {
        Happening::Observed { observation } => observation.name(),
        Happening::Started { .. } => "started",
        Happening::Crashed { .. } => "crashed",
        Happening::Paused => "paused",
        Happening::Resumed => "resumed",
        Happening::FaultBegan { .. } => "fault_began",
        Happening::FaultEnded { .. } => "fault_ended",
        Happening::Phase { .. } => "phase",
        Happening::DiskDamaged => "disk_damaged",
        Happening::WritesLost { .. } => "writes_lost",
        Happening::State { .. } => "state",
        Happening::Sent { .. } => "sent",
        Happening::Delivered { .. } => "delivered",
    }
}

fn list(nodes: &[NodeName]) -> String {
    let names: Vec<&str> = nodes.iter().map(|node| &*node.0).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_things_is_singular_for_one_in_a_trace() {
        let sent = |bytes| Happening::Sent {
            message: 7,
            to: "s2".into(),
            bytes,
            label: "ACK 1:28".into(),
        };
        assert_eq!(words(&sent(1)), "sends #7 to s2: ACK 1:28 (1 byte)");
        assert_eq!(words(&sent(30)), "sends #7 to s2: ACK 1:28 (30 bytes)");
        let begun = Happening::FaultBegan {
            index: 2,
            kind: "leader_disk_stall".into(),
            nodes: vec!["s1".into(), "s2".into()],
            meant: Default::default(),
        };
        assert_eq!(words(&begun), "fault 2 begins: leader disk stall of s1, s2");
    }
}
