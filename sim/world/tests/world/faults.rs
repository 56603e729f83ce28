//! Every kind of fault does something, and takes back what it did.

use crate::stage::{Stage, asker, logger, nodes, told};
use mailstorm_record::FaultKind;
use mailstorm_world::{Process, Scenario};

/// Three servers with a leader, two clients that ask them all the time, and a link between servers
/// that is used as well.
fn busy() -> Stage {
    async fn both(process: Process, other: &'static [&'static str]) {
        let ask =
            Process { node: process.node.clone(), platform: process.platform.clone(), ..process };
        mailstorm_platform::Platform::spawn(&process.platform, asker(ask, other));
        logger(process).await;
    }
    Stage::new()
        .server(1, |p| both(p, &["s2:1", "s3:1"]))
        .server(2, |p| both(p, &["s1:1", "s3:1"]))
        .server(3, |p| both(p, &["s1:1", "s2:1"]))
        .client("c1", |p| asker(p, &["s1:1", "s2:1", "s3:1"]))
        .client("c2", |p| asker(p, &["s3:1", "s2:1", "s1:1"]))
        .until("asked")
}

fn every_kind() -> Vec<FaultKind> {
    let s = || nodes(&["s2"]);
    vec![
        FaultKind::Partition { sides: vec![nodes(&["s1", "c1"]), nodes(&["s2", "s3", "c2"])] },
        FaultKind::Bridge { left: nodes(&["s1"]), right: nodes(&["s2"]) },
        FaultKind::Ring { nodes: nodes(&["s1", "s2", "s3", "c1"]) },
        FaultKind::OneWay { from: nodes(&["s1"]), to: nodes(&["c1"]) },
        FaultKind::Isolate { nodes: nodes(&["leader"]) },
        FaultKind::Flap { nodes: s(), down_ms: 300, up_ms: 200 },
        FaultKind::Slow { nodes: nodes(&["leader"]), delay_ms: 50, kib_per_second: 64 },
        FaultKind::Corrupt { nodes: s(), per_million: 100_000 },
        FaultKind::Reset { nodes: nodes(&["s1", "s2", "s3"]), every_ms: 400 },
        FaultKind::Flood { nodes: s(), connections: 50 },
        FaultKind::KillSessions { nodes: nodes(&["c1"]) },
        FaultKind::Kill { nodes: nodes(&["leader"]) },
        FaultKind::Crash { nodes: nodes(&["leader"]) },
        FaultKind::CrashLoop { nodes: s(), up_ms: 200, down_ms: 100 },
        FaultKind::PowerCut { nodes: nodes(&["s1", "s2", "s3"]) },
        FaultKind::Pause { nodes: nodes(&["leader"]) },
        FaultKind::Drift { nodes: s(), ppm: 20_000 },
        FaultKind::Jump { nodes: s(), by_ms: -1_000_000 },
        FaultKind::DiskStall { nodes: s() },
        FaultKind::DiskSlow { nodes: s(), factor: 20 },
        FaultKind::DiskFull { nodes: s() },
        FaultKind::SyncFails { nodes: s() },
        FaultKind::ReadFails { nodes: s() },
        FaultKind::WriteFails { nodes: s() },
        FaultKind::SyncLies { nodes: s() },
        FaultKind::TornWrites { nodes: s() },
        FaultKind::BitRot { nodes: s(), sectors: 2 },
        FaultKind::UnreadableSectors { nodes: s(), sectors: 2 },
        FaultKind::MisdirectedWrite { nodes: s() },
        FaultKind::DiskLost { nodes: s() },
    ]
}

#[test]
fn every_kind_of_fault_changes_something_and_everything_works_again_after_it() {
    for kind in every_kind() {
        // Damage needs something old to damage, and other content to be misdirected.
        let stage = busy().lifting_the_atlas().fault(3_000, 3_000, kind.clone());
        let label = stage.topology().names().label(&kind);
        let mut effective = 0;
        for seed in 0..3 {
            let run = stage.run(seed);
            assert_eq!(run.outcome.violations().count(), 0, "{label}: {:?}", run.outcome.verdicts);
            let count = run.outcome.faults[&label];
            assert_eq!(count.injected, 1);
            effective += count.effective;
            let healed = run.outcome.virtual_ns / 1_000_000;
            assert!(
                healed < 12_000,
                "{label}: works again only at {healed} ms: {:?}",
                told(&run).last()
            );
        }
        assert!(effective >= 2, "{label}: effective in {effective} of 3 runs");
    }
}

#[test]
fn a_fault_whose_node_does_not_do_what_it_breaks_is_not_effective() {
    let full = FaultKind::DiskFull { nodes: nodes(&["c1"]) };
    let run = busy().fault(1_000, 1_000, full).run(1);
    assert_eq!(
        (run.outcome.faults["disk_full"].injected, run.outcome.faults["disk_full"].effective),
        (1, 0)
    );
}

#[test]
fn whole_storms_from_the_swarm_end_well_and_are_effective() {
    let mut effective = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let run = busy().in_a_swarm().run(seed);
        assert_eq!(run.outcome.violations().count(), 0, "seed {seed}: {:?}", run.outcome.verdicts);
        let kinds = run.outcome.faults.iter().filter(|(_, count)| count.effective > 0);
        effective.extend(kinds.map(|(kind, _)| kind.clone()));
    }
    assert!(effective.len() >= 24, "{effective:?}");
}
