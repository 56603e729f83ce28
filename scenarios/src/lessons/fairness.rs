//! Whether right designs are judged fairly: a learner may break their world in any way, and what no
//! design could do then is not asked of them.
//!
//! Holds: the cuts drawn here are clean, so that who hears each other also hears whom the other
//! hears. A majority of which an outsider hears only some is asked to go on, too; that has tests of
//! its own.

use super::all;
use mailstorm_record::fault::FOREVER_MS;
use mailstorm_record::{Fault, FaultKind, NodeName, Plan};
use mailstorm_world::stream::Stream;
use mailstorm_world::{NodeSpec, RunSpec, Scenario, Subject, run};
use std::sync::Arc;

/// The plans that each design is put under; fewer for those that are made of the same parts as
/// another, and have thousands of mails or hundreds of clients besides.
fn plans_of(lesson: &str) -> u64 {
    match lesson {
        "quorum-half" | "quorum-even" | "quorum-leader-dies" | "quorum-lying-disk" => 100,
        "master-ephemeral" | "master-stale-cache" | "mail-claims" => 100,
        _ => 10,
    }
}

const STORM_MS: u64 = 60_000;

/// Some of these nodes, at least one.
fn some(s: &mut Stream, nodes: &[NodeName]) -> Vec<NodeName> {
    let mut some: Vec<NodeName> = nodes.iter().filter(|_| s.chance(300_000)).cloned().collect();
    if some.is_empty() {
        some.extend(s.pick(nodes).cloned());
    }
    some
}

/// Every node on one of two or three sides.
fn sides(s: &mut Stream, nodes: &[NodeName]) -> Vec<Vec<NodeName>> {
    let mut sides = vec![Vec::new(); s.between(2, 3) as usize];
    for node in nodes {
        let count = sides.len() as u64;
        sides[s.below(count) as usize].push(node.clone());
    }
    sides.retain(|side| !side.is_empty());
    sides
}

/// Some fault among these nodes. What is outside may be cut off, but never dies: that is what
/// designs rest on.
fn fault(s: &mut Stream, nodes: &[NodeName], mortal: &[NodeName]) -> Option<Fault> {
    let kind = match s.below(8) {
        0..=3 => FaultKind::Partition { sides: sides(s, nodes) },
        4 => FaultKind::Isolate { nodes: some(s, nodes) },
        5 => FaultKind::Pause { nodes: some(s, mortal) },
        6 => FaultKind::PowerCut { nodes: some(s, mortal) },
        _ => FaultKind::Crash { nodes: some(s, mortal) },
    };
    let is_cut = !matches!(&kind, FaultKind::Partition { sides } if sides.len() < 2);
    let at_ms = s.below(STORM_MS * 3 / 4);
    let lasts_ms = if s.chance(100_000) { FOREVER_MS } else { s.between(100, STORM_MS - at_ms) };
    is_cut.then_some(Fault { at_ms, lasts_ms, kind })
}

fn plan(scenario: &Arc<dyn Scenario>, number: u64) -> Plan {
    let mut s = Stream::new(number, scenario.name());
    let topology = scenario.topology();
    let nodes = topology.names().nodes;
    let is_mortal = |node: &&NodeSpec| node.subject != Subject::NOTHING;
    let mortal = topology.nodes.iter().filter(is_mortal).map(|node| node.name.clone());
    let mortal: Vec<NodeName> = mortal.collect();
    let count = s.between(1, 4);
    let faults = (0..count).filter_map(|_| fault(&mut s, &nodes, &mortal)).collect();
    Plan { lasts_ms: Some(STORM_MS), faults, ..Plan::default() }
}

#[test]
fn no_right_design_is_said_to_stand_still_under_any_clean_cut_crash_or_pause() {
    let mut wrong = Vec::new();
    for lesson in all() {
        for design in lesson.designs.iter().filter(|design| design.is_right) {
            let scenario = &design.scenario;
            let rests_on_ensemble = !scenario.topology().systems.is_empty();
            for number in 1..=plans_of(lesson.name) {
                let plan = plan(scenario, number);
                assert_eq!(plan.check(&scenario.topology().names()), Ok(()));
                let spec =
                    RunSpec { plan: Some(plan.clone()), ..RunSpec::new(scenario.clone(), 1) };
                let found = run(&spec).outcome;
                let missing =
                    found.violations().filter(|v| v.checker == "live" || v.kind == "lost");
                for violation in missing.filter(|_| rests_on_ensemble) {
                    let (checker, kind) = (&violation.checker, &violation.kind);
                    wrong.push(format!(
                        "{} plan {number}: {checker}/{kind}: {}\n{}",
                        scenario.name(),
                        violation.detail,
                        plan.to_toml()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} runs:\n{}", wrong.len(), wrong.join("\n"));
}
