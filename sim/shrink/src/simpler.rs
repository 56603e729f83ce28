//! Simpler faults: everything a fault could be replaced by, the simplest first.
//!
//! Leaves: which of them keep the violation, and whether they are lighter at all, to `search`.

use mailstorm_record::fault::FOREVER_MS;
use mailstorm_record::{Fault, FaultKind, NodeName};

/// What this fault could be replaced by.
pub(crate) fn simpler(fault: &Fault) -> Vec<Fault> {
    let with = |kind: FaultKind| Fault { kind, ..fault.clone() };
    let mut all: Vec<Fault> = kinds(&fault.kind).into_iter().map(with).collect();
    all.extend(fewer_nodes(&fault.kind).into_iter().map(with));
    let lasting = lengths(fault.lasts_ms).into_iter();
    all.extend(lasting.map(|lasts_ms| Fault { lasts_ms, ..fault.clone() }));
    all.extend(rounded(fault.at_ms).into_iter().map(|at_ms| Fault { at_ms, ..fault.clone() }));
    all.extend(rounder(&fault.kind).into_iter().map(with));
    all
}

/// Kinds that are easier to think through and may do the same harm.
fn kinds(kind: &FaultKind) -> Vec<FaultKind> {
    let kill = |nodes: &[NodeName]| FaultKind::Kill { nodes: nodes.to_vec() };
    let crash = |nodes: &[NodeName]| FaultKind::Crash { nodes: nodes.to_vec() };
    let isolate = |nodes: &[NodeName]| FaultKind::Isolate { nodes: nodes.to_vec() };
    match kind {
        // Whether the violation needs the loss of unsynced writes at all.
        FaultKind::Crash { nodes } => vec![kill(nodes)],
        FaultKind::PowerCut { nodes }
        | FaultKind::CrashLoop { nodes, .. }
        | FaultKind::MisdirectedWrite { nodes }
        | FaultKind::DiskLost { nodes } => vec![kill(nodes), crash(nodes)],
        FaultKind::TornWrites { nodes } => {
            vec![kill(nodes), crash(nodes), FaultKind::PowerCut { nodes: nodes.clone() }]
        }
        FaultKind::BitRot { nodes, sectors } => {
            let one =
                (*sectors > 1).then(|| FaultKind::BitRot { nodes: nodes.clone(), sectors: 1 });
            [Some(kill(nodes)), Some(crash(nodes)), one].into_iter().flatten().collect()
        }
        FaultKind::UnreadableSectors { nodes, sectors } => {
            let one = (*sectors > 1)
                .then(|| FaultKind::UnreadableSectors { nodes: nodes.clone(), sectors: 1 });
            [Some(kill(nodes)), Some(crash(nodes)), one].into_iter().flatten().collect()
        }
        FaultKind::Flap { nodes, .. }
        | FaultKind::KillSessions { nodes }
        | FaultKind::Slow { nodes, kib_per_second: 0, .. } => vec![isolate(nodes)],
        FaultKind::Slow { nodes, delay_ms, .. } => {
            let (nodes, delay_ms) = (nodes.clone(), *delay_ms);
            vec![isolate(&nodes), FaultKind::Slow { nodes, delay_ms, kib_per_second: 0 }]
        }
        FaultKind::Reset { nodes, every_ms } if *every_ms > 0 => {
            vec![FaultKind::Reset { nodes: nodes.clone(), every_ms: 0 }]
        }
        FaultKind::Partition { sides } => {
            sides.iter().filter(|side| side.len() == 1).map(|side| isolate(side)).collect()
        }
        FaultKind::Bridge { left, right } => {
            let sides = vec![left.clone(), right.clone()];
            vec![isolate(left), isolate(right), FaultKind::Partition { sides }]
        }
        FaultKind::Ring { nodes } => {
            nodes.iter().map(|node| isolate(std::slice::from_ref(node))).collect()
        }
        FaultKind::OneWay { from, to } => vec![
            isolate(from),
            isolate(to),
            FaultKind::Partition { sides: vec![from.clone(), to.clone()] },
        ],
        FaultKind::DiskSlow { nodes, .. } => vec![FaultKind::DiskStall { nodes: nodes.clone() }],
        _ => Vec::new(),
    }
}

/// The same kind with fewer nodes: half of a list, then a list without one of its nodes.
fn fewer_nodes(kind: &FaultKind) -> Vec<FaultKind> {
    let mut all = Vec::new();
    for (place, list) in kind.node_lists().iter().enumerate() {
        let (front, back) = list.split_at(list.len() / 2);
        let halves = [front.to_vec(), back.to_vec()];
        let without = |one: usize| {
            let rest = list.iter().enumerate().filter(|(index, _)| *index != one);
            rest.map(|(_, node)| node.clone()).collect::<Vec<_>>()
        };
        for shorter in halves.into_iter().chain((0..list.len()).map(without)) {
            if !shorter.is_empty() && shorter.len() < list.len() {
                let mut fewer = kind.clone();
                *fewer.node_lists_mut()[place] = shorter;
                all.push(fewer);
            }
        }
    }
    all
}

/// Shorter lengths, down to nothing; round ones.
fn lengths(ms: u64) -> Vec<u64> {
    if ms == FOREVER_MS {
        return vec![0];
    }
    let mut all: Vec<u64> = [ms / 16, ms / 4, ms / 2, ms / 4 * 3].map(round).to_vec();
    all.insert(0, 0);
    all.extend(rounded(ms));
    all.retain(|shorter| *shorter < ms);
    all.dedup();
    all
}

/// The number with fewer digits, rounded down; the roundest first.
fn rounded(number: u64) -> Vec<u64> {
    let all = [10_000, 1_000, 500, 100, 10].map(|unit| number / unit * unit);
    let mut all: Vec<u64> = all.into_iter().filter(|n| *n > 0 && *n < number).collect();
    all.dedup();
    all
}

/// Down to one digit.
fn round(number: u64) -> u64 {
    let unit = 10u64.pow(number.checked_ilog10().unwrap_or(0));
    number / unit * unit
}

/// The same kind with rounder numbers.
fn rounder(kind: &FaultKind) -> Vec<FaultKind> {
    let small = |number: u32| u32::try_from(round(number.into())).unwrap_or(number);
    let mut round_one = kind.clone();
    match &mut round_one {
        FaultKind::Flap { down_ms, up_ms, .. } | FaultKind::CrashLoop { down_ms, up_ms, .. } => {
            (*down_ms, *up_ms) = (round(*down_ms), round(*up_ms));
        }
        FaultKind::Slow { delay_ms, .. } => *delay_ms = round(*delay_ms),
        FaultKind::Reset { every_ms, .. } => *every_ms = round(*every_ms),
        FaultKind::Corrupt { per_million, .. } => *per_million = small(*per_million),
        FaultKind::Flood { connections, .. } => *connections = small(*connections),
        FaultKind::DiskSlow { factor, .. } => *factor = small(*factor),
        FaultKind::Drift { ppm, .. } => *ppm = (*ppm / 1_000) * 1_000,
        FaultKind::Jump { by_ms, .. } => *by_ms = (*by_ms / 1_000) * 1_000,
        _ => {}
    }
    if round_one == *kind { Vec::new() } else { vec![round_one] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(kind: FaultKind) -> Fault {
        Fault { at_ms: 4_137, lasts_ms: 2_345, kind }
    }

    fn nodes(names: &[&str]) -> Vec<NodeName> {
        names.iter().map(|name| NodeName::from(*name)).collect()
    }

    #[test]
    fn a_loop_of_crashes_may_be_a_crash_of_fewer_nodes_for_a_shorter_rounder_time() {
        let kind =
            FaultKind::CrashLoop { nodes: nodes(&["s1", "leader"]), up_ms: 123, down_ms: 45 };
        let all = simpler(&fault(kind));
        let kill = fault(FaultKind::Kill { nodes: nodes(&["s1", "leader"]) });
        let crash = fault(FaultKind::Crash { nodes: nodes(&["s1", "leader"]) });
        assert_eq!(all[..2], [kill, crash]);
        let lengths: Vec<u64> = all.iter().map(|f| f.lasts_ms).collect();
        assert!(lengths.contains(&0) && lengths.contains(&2_000), "{lengths:?}");
        assert!(all.iter().any(|f| f.at_ms == 4_000));
        let alone = |node: &str| {
            let kind = FaultKind::CrashLoop { nodes: nodes(&[node]), up_ms: 123, down_ms: 45 };
            all.contains(&fault(kind))
        };
        assert!(alone("s1") && alone("leader"));
        let round =
            FaultKind::CrashLoop { nodes: nodes(&["s1", "leader"]), up_ms: 100, down_ms: 40 };
        assert!(all.contains(&fault(round)));
    }

    #[test]
    fn a_side_of_one_may_be_an_isolated_node() {
        let sides = vec![nodes(&["s1"]), nodes(&["s2", "s3"])];
        let all = simpler(&fault(FaultKind::Partition { sides }));
        assert_eq!(all[0].kind, FaultKind::Isolate { nodes: nodes(&["s1"]) });
    }
}
