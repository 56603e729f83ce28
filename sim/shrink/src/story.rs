//! The story of a run, one line per fault.
//!
//! Start at [`story`].

use mailstorm_record::cast::{hears_everybody, on_no_side};
use mailstorm_record::sentence::Scene;
use mailstorm_record::{Happening, NodeName, Run};
use mailstorm_shared::time_in_words::moment;
use std::collections::BTreeMap;

const NS_PER_MS: u64 = 1_000_000;

/// The faults of a run that was recorded with them, in the order in which they came, each with its
/// virtual time since the run began. A fault that had not begun when the run ended is not among
/// them, and one without an end that the run ended all the same, since it heals, lasts for as long
/// as it did.
pub fn story(run: &Run) -> Vec<String> {
    let mut ended: BTreeMap<usize, u64> = BTreeMap::new();
    for event in run.events.iter().flatten() {
        if let Happening::FaultEnded { index } = &event.happening {
            ended.insert(*index, event.at_ns);
        }
    }
    let mut started: Vec<NodeName> = Vec::new();
    let mut lines = Vec::new();
    for event in run.events.iter().flatten() {
        match &event.happening {
            Happening::FaultBegan { index, nodes, meant, .. } => {
                let Some(mut fault) = run.plan.faults.get(*index).cloned() else { continue };
                if let Some(end_ns) = ended.get(index).filter(|_| fault.is_forever()) {
                    fault.lasts_ms = end_ns.saturating_sub(event.at_ns) / NS_PER_MS;
                }
                let mut told = Scene(&meant.0).sentence(&fault);
                if let Some(rest) = hears_everybody(&on_no_side(&fault.kind, nodes, &started)) {
                    told = format!("{told}; {rest}");
                }
                lines.push(format!("at {} {told}", moment(event.at_ns)));
            }
            Happening::Started { incarnation: 0 } => started.extend(event.node.clone()),
            _ => {}
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use mailstorm_record::cast::Meant;
    use mailstorm_record::fault::FOREVER_MS;
    use mailstorm_record::run::RUN_FORMAT;
    use mailstorm_record::{Event, Fault, FaultKind, Meanings, NodeName, Plan};

    fn run(happenings: Vec<(u64, Happening)>, faults: Vec<Fault>) -> Run {
        let server = Some(NodeName::from("s3"));
        let event =
            |(ms, happening)| Event { at_ns: ms * 1_000_000, node: server.clone(), happening };
        Run {
            format: RUN_FORMAT,
            mailstorm: String::new(),
            scenario: "ensemble".into(),
            seed: 7,
            roles: Default::default(),
            inbox: None,
            defect: None,
            settings: Default::default(),
            plan: Plan { faults, ..Plan::default() },
            outcome: Default::default(),
            events: Some(happenings.into_iter().map(event).collect()),
        }
    }

    #[test]
    fn each_fault_is_a_line_in_the_order_of_the_run_and_knows_who_leads_then() {
        let nodes = vec![NodeName::from("s3")];
        let pause =
            |at_ms| Fault { at_ms, lasts_ms: 50, kind: FaultKind::Pause { nodes: nodes.clone() } };
        let began = |index, meant| Happening::FaultBegan {
            index,
            kind: "pause".into(),
            nodes: nodes.clone(),
            meant: Meanings(meant),
        };
        let (word, is_one, stands_in) = ("leader".into(), true, false);
        let leads = Meant { word, nodes: nodes.clone(), is_one, stands_in };
        let happenings = vec![(20, began(1, vec![leads])), (30, began(0, Vec::new()))];
        let told = story(&run(happenings, vec![pause(30), pause(20), pause(90)]));
        assert_eq!(
            told,
            [
                "at 0.020 s s3 (leader) stands still for 50 ms",
                "at 0.030 s s3 stands still for 50 ms"
            ]
        );
    }

    #[test]
    fn a_fault_without_an_end_lasts_for_as_long_as_the_run_lets_it() {
        let nodes = vec![NodeName::from("s3")];
        let crash = Fault {
            at_ms: 1,
            lasts_ms: FOREVER_MS,
            kind: FaultKind::Crash { nodes: nodes.clone() },
        };
        let meant = Meanings::default();
        let began = Happening::FaultBegan { index: 0, kind: "crash".into(), nodes, meant };
        let told = |happenings| story(&run(happenings, vec![crash.clone()]));
        let for_good = ["at 1.000 s s3 crashes, down for good"];
        assert_eq!(told(vec![(1_000, began.clone())]), for_good);
        let healed = vec![(1_000, began), (30_000, Happening::FaultEnded { index: 0 })];
        assert_eq!(told(healed), ["at 1.000 s s3 crashes, down for 29.0 s"]);
    }
}
