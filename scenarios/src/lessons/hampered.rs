//! Whether a fault that does no harm hides what a design breaks, and whether one that does much
//! harm is blamed on a right one.
//!
//! Holds: the fault is added to the lesson's own plan, begins with the run and lasts until its end;
//! its victims are a server and a client that the plan does not name, as far as there are any.

use super::{Design, Lesson, SEED, all};
use mailstorm_record::{NodeName, Plan, Violation};
use mailstorm_world::{NodeSpec, RunSpec, Subject, run};
use std::collections::BTreeSet;

/// The kinds of faults as they stand in a plan, with what is written for their nodes.
fn faults(kinds: &[(&str, &str)], design: &Design) -> Vec<String> {
    let topology = design.scenario.topology();
    let plan = design.scenario.plan().unwrap_or_default();
    let named: Vec<&NodeName> =
        plan.faults.iter().flat_map(|fault| fault.kind.node_lists()).flatten().collect();
    let last = |some: Vec<NodeName>| {
        let free = some.iter().rfind(|name| !named.contains(name));
        free.or_else(|| some.last()).cloned()
    };
    let members = || topology.systems.iter().flat_map(|system| system.members());
    let server = last(members().filter(|member| member.votes).map(|member| member.node).collect());
    // A database is all that its design rests on, and what stands outside never fails.
    let is_client = |node: &&NodeSpec| {
        members().all(|member| member.node != node.name)
            && node.subject != Subject::NOTHING
            && &*node.name.0 != "db"
    };
    let client =
        last(topology.nodes.iter().filter(is_client).map(|node| node.name.clone()).collect());
    kinds
        .iter()
        .filter_map(|(who, kind)| {
            let node = if *who == "server" { server.clone() } else { client.clone() };
            node.map(|node| kind.replace("NODES", &format!("nodes = [\"{node}\"]")))
        })
        .collect()
}

/// What a design breaks under its lesson's plan and one more fault.
fn found(design: &Design, kind: &str) -> Vec<Violation> {
    let scenario = &design.scenario;
    let more = format!("lasts_ms = 1\n[[faults]]\nat_ms = 1\nlasts = \"forever\"\nkind.{kind}\n");
    let nodes = scenario.topology().names();
    let more = Plan::parse(&more, "more", &nodes).expect("a plan");
    let mut plan = scenario.plan().unwrap_or_default();
    plan.lifts_atlas |= more.lifts_atlas;
    plan.lasts_ms = Some(plan.storm_ms());
    plan.faults.extend(more.faults);
    let spec = RunSpec { plan: Some(plan), ..RunSpec::new(scenario.clone(), SEED) };
    run(&spec).outcome.violations().cloned().collect()
}

fn each(is_right: bool, mut look: impl FnMut(&Lesson, &Design)) {
    for lesson in all() {
        for design in lesson.designs.iter().filter(|design| design.is_right == is_right) {
            look(&lesson, design);
        }
    }
}

const HARMLESS: [(&str, &str); 12] = [
    ("client", "drift = { NODES, ppm = 1 }"),
    ("server", "drift = { NODES, ppm = -500 }"),
    ("client", "slow = { NODES, delay_ms = 0 }"),
    ("server", "slow = { NODES, delay_ms = 2 }"),
    ("server", "corrupt = { NODES, per_million = 1 }"),
    ("client", "disk_slow = { NODES, factor = 2 }"),
    ("server", "disk_slow = { NODES, factor = 2 }"),
    ("client", "sync_fails = { NODES }"),
    ("client", "flap = { NODES, down_ms = 1, up_ms = 1000 }"),
    ("client", "reset = { NODES }"),
    ("client", "flood = { NODES, connections = 1 }"),
    ("server", "drift = { NODES, ppm = 1 }"),
];

/// Where something is not found, by the beginning of the fault, and why that is no checker's fault.
const EXCEPT: [(&str, &str, &str); 4] = [
    (
        "quorum-even/four",
        "",
        "its claim is about servers that die, and says nothing of other faults",
    ),
    (
        "quorum-even/six",
        "",
        "its claim is about servers that die, and says nothing of other faults",
    ),
    ("mail-pause-no-fence/check-first", "disk_slow", "the moment of the race passes by"),
    ("quorum-lying-disk/one-liar-lagging", "slow", "the moment of the race passes by"),
];

#[test]
fn what_a_wrong_design_breaks_is_found_whatever_does_no_harm_to_somebody_else() {
    let mut hidden = Vec::new();
    let mut excepted = BTreeSet::new();
    each(false, |lesson, design| {
        for kind in faults(&HARMLESS, design) {
            let found = found(design, &kind);
            let called: Vec<String> = found.iter().map(Violation::name).collect();
            let missing: Vec<_> = design
                .breaks
                .iter()
                .filter(|expected| !called.contains(&(**expected).into()))
                .collect();
            let name = design.scenario.name();
            let exception = EXCEPT
                .iter()
                .find(|(design, begin, _)| *design == name && kind.starts_with(begin))
                .filter(|_| !missing.is_empty());
            excepted.extend(exception);
            if !missing.is_empty() && exception.is_none() {
                hidden.push(format!(
                    "{}/{} with {kind}: {missing:?} of {:?} is not among {called:?}",
                    lesson.name, design.name, design.breaks
                ));
            }
        }
    });
    assert!(hidden.is_empty(), "{}:\n{}", hidden.len(), hidden.join("\n"));
    assert_eq!(excepted, EXCEPT.iter().collect(), "each exception is needed");
}

const HARMFUL: [(&str, &str); 20] = [
    ("client", "drift = { NODES, ppm = 100000 }"),
    ("server", "drift = { NODES, ppm = -100000 }"),
    ("client", "slow = { NODES, delay_ms = 10 }"),
    ("server", "slow = { NODES, delay_ms = 10 }"),
    ("client", "slow = { NODES, delay_ms = 500 }"),
    ("server", "slow = { NODES, delay_ms = 500 }"),
    ("client", "slow = { NODES, delay_ms = 3000 }"),
    ("server", "slow = { NODES, delay_ms = 3000 }"),
    ("server", "corrupt = { NODES, per_million = 10 }"),
    ("server", "corrupt = { NODES, per_million = 100000 }"),
    ("server", "disk_slow = { NODES, factor = 4 }"),
    ("server", "disk_slow = { NODES, factor = 1000 }"),
    ("server", "disk_stall = { NODES }"),
    ("server", "disk_full = { NODES }"),
    ("server", "sync_fails = { NODES }"),
    ("server", "write_fails = { NODES }"),
    ("client", "flap = { NODES, down_ms = 10, up_ms = 100 }"),
    ("server", "flap = { NODES, down_ms = 2000, up_ms = 2000 }"),
    ("server", "reset = { NODES, every_ms = 500 }"),
    ("server", "crash_loop = { NODES, up_ms = 3000, down_ms = 3000 }"),
];

#[test]
fn no_right_design_is_blamed_for_whatever_hampers_one_of_its_nodes() {
    let mut blamed = Vec::new();
    each(true, |lesson, design| {
        if design.scenario.topology().systems.is_empty() {
            return;
        }
        for kind in faults(&[&HARMFUL[..], &HARMLESS[..]].concat(), design) {
            for violation in found(design, &kind) {
                let called = violation.name();
                let is_missing = violation.checker == "live" || violation.kind == "lost";
                if is_missing && !design.breaks.contains(&&*called) {
                    blamed.push(format!(
                        "{}/{} with {kind}: {called}: {}",
                        lesson.name, design.name, violation.detail
                    ));
                }
            }
        }
    });
    assert!(blamed.is_empty(), "{}:\n{}", blamed.len(), blamed.join("\n"));
}
