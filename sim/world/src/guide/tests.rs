//! What is kept, what is varied, and that variations stay within what a swarm may draw.

use super::vary::{FAULTS_MAX, Field};
use super::*;
use crate::scenario::{NodeSpec, Topology};
use crate::swarm::{self, LONG_MS, Mix};
use crate::system::Servers;
use mailstorm_shared::Millis;
use std::sync::Arc;

const STORM: Millis = Millis(60_000);

fn topology() -> Topology {
    let servers = ["s1", "s2", "s3", "s4", "s5", "s6"].into_iter().map(NodeSpec::server);
    let exempt = [NodeSpec::client("w2").spare(), NodeSpec::outside("sink")];
    let nodes = servers.chain([NodeSpec::client("w1")]).chain(exempt).collect();
    let systems = vec![Arc::new(Servers { voters: 5, others: 1 }) as _];
    Topology { nodes, systems, ..Topology::default() }
}

fn corpus() -> Corpus {
    let (topology, layout) = (topology(), Layout::of(&topology()));
    Corpus {
        field: Field::of(&topology, STORM),
        layout,
        seen: BTreeSet::new(),
        kept: VecDeque::new(),
    }
}

fn drawn(seed: u64) -> Plan {
    swarm::draw(
        seed,
        &topology(),
        STORM,
        if seed.is_multiple_of(9) { Mix::Every } else { Mix::Swarm },
    )
}

/// A run of the plan of this seed that came to these goals and states.
fn told(seed: u64, coverage: &[(u32, u64)]) -> Told {
    let coverage = Coverage(coverage.iter().copied().collect());
    Told { scenario: String::new(), plan: drawn(seed), coverage, is_whole: true }
}

#[test]
fn a_varied_plan_asks_for_no_more_than_a_swarm_may_draw() {
    let mut corpus = corpus();
    let (mut same, mut most) = (0, 0);
    for seed in 0..2_000 {
        let plan = corpus.field.vary(
            &mut Stream::new(seed, "guide"),
            &Kept { plan: drawn(seed), moments: vec![1, 30_000, 59_999] },
            &Kept { plan: drawn(seed + 1), moments: Vec::new() },
        );
        assert_eq!(plan.check(&topology().names()), Ok(()));
        assert!(!plan.lifts_atlas && plan.storm_ms() == STORM.0);
        assert!(plan.faults.len() <= FAULTS_MAX);
        assert!(plan.faults.iter().all(|fault| fault.lasts_ms <= LONG_MS.1));
        let struck = plan.faults.iter().flat_map(|fault| fault.kind.node_lists()).flatten();
        assert!(!struck.into_iter().any(|node| ["sink", "w2"].contains(&&*node.0)));
        same += u32::from(plan == drawn(seed));
        most = most.max(plan.faults.len());
        // What was varied is varied again.
        corpus.kept.push_back(Kept { plan, moments: vec![7] });
    }
    assert!(same < 100, "{same} were not varied");
    assert_eq!(most, FAULTS_MAX);
    for seed in 0..2_000 {
        let plan = corpus.plan(seed).unwrap_or_default();
        assert_eq!(plan.check(&topology().names()), Ok(()));
    }
}

#[test]
fn a_plan_is_kept_when_its_run_came_to_something_new_and_broke_nothing() {
    let mut corpus = corpus();
    let goal = u32::MAX;
    corpus.learn(told(1, &[(5, 0), (6, 400), (goal, 0)]));
    assert_eq!(corpus.kept.len(), 1);
    assert_eq!(corpus.kept[0].moments, [400]);
    corpus.learn(told(2, &[(5, 900), (6, 0), (goal, 0)]));
    assert_eq!(corpus.kept.len(), 1, "nothing of it is new");
    corpus.learn(Told { is_whole: false, ..told(3, &[(7, 900)]) });
    assert_eq!(corpus.kept.len(), 1, "it broke something");
    corpus.learn(told(4, &[(7, 900)]));
    assert_eq!(corpus.kept.len(), 1, "what broke something had come to it before");
    corpus.learn(told(5, &[(goal - 1, 0)]));
    assert_eq!(corpus.kept.len(), 2, "a goal is new");
    assert_eq!(corpus.kept[1].plan, drawn(5));
}

#[test]
fn the_oldest_plan_makes_room() {
    let mut corpus = corpus();
    for seed in 0..=KEPT_MAX as u64 {
        corpus.learn(told(seed, &[(seed as u32, 0)]));
    }
    assert_eq!(corpus.kept.len(), KEPT_MAX);
    assert_eq!(corpus.kept[0].plan, drawn(1));
}

#[test]
fn half_of_the_runs_vary_what_was_kept_and_none_does_while_nothing_is() {
    let mut corpus = corpus();
    assert!((0..100).all(|seed| corpus.plan(seed).is_none()));
    corpus.learn(told(1, &[(1, 0)]));
    let varied = (0..1_000).filter(|seed| corpus.plan(*seed).is_some()).count();
    assert!((400..600).contains(&varied), "{varied} of 1000");
}

#[test]
fn a_run_depends_on_ever_more_runs_and_is_never_farther_behind_than_the_longest_lag() {
    assert_eq!([0, 8, 9, 16, 40].map(needs_told), [0, 0, 1, 8, 20]);
    for number in 1..1_000 {
        let lag = number - needs_told(number);
        assert!((1..=LAG.1).contains(&lag), "{number}");
        assert!(needs_told(number) >= needs_told(number - 1));
    }
    assert_eq!(needs_told(1_000), 1_000 - LAG.1);
}
