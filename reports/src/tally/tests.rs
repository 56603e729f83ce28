//! Adding up in one go and in parts gives the same.

use super::*;
use mailstorm_record::run::Outcome;
use mailstorm_record::{Coverage, Violation};

/// A made-up run: what it shows follows from its seed alone.
fn run(seed: u64) -> Run {
    let mut verdicts = Vec::new();
    if seed.is_multiple_of(4) {
        verdicts.push(("a".to_owned(), Verdict::Violation(violation(seed, "doubled"))));
    }
    if seed.is_multiple_of(7) {
        verdicts.push(("b".to_owned(), Verdict::Violation(violation(seed, "lost"))));
    }
    if seed.is_multiple_of(5) {
        let why = format!("bound {}", seed % 2);
        verdicts.push(("c".to_owned(), Verdict::Unknown { why }));
    }
    let number = |name: &str, value| (name.to_owned(), value);
    Run {
        format: mailstorm_record::run::RUN_FORMAT,
        mailstorm: String::new(),
        scenario: "ensemble".into(),
        seed,
        inbox: None,
        defect: None,
        settings: Default::default(),
        roles: Default::default(),
        plan: Default::default(),
        outcome: Outcome {
            verdicts,
            trace_hash: TraceHash(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            coverage: Coverage(
                [1, seed as u32 % 11 + 2, (seed / 16) as u32 + 20].map(|s| (s, seed)).into(),
            ),
            reached: [number("died", seed % 3), number("never", 0)].into(),
            faults: [("crash".to_owned(), FaultCount { injected: seed % 5, effective: seed % 2 })]
                .into(),
            figures: [number("mails", seed), number("wait_max", seed % 13)].into(),
            messages: seed * 3,
            bytes: seed * 100,
            events: seed * 7,
            virtual_ns: (seed * 37 % 101) * 1_000_000_000,
            ..Outcome::default()
        },
        events: None,
    }
}

fn violation(seed: u64, kind: &str) -> Violation {
    Violation {
        checker: "c".into(),
        kind: kind.into(),
        at_ns: seed,
        nodes: vec!["s1".into()],
        detail: format!("in seed {seed}"),
        ..Violation::default()
    }
}

fn sum(seeds: impl Iterator<Item = u64>) -> Tally {
    let mut tally = Tally::new("ensemble", ["never".to_owned(), "unheard".to_owned()]);
    seeds.for_each(|seed| _ = tally.add(&run(seed)));
    tally
}

#[test]
fn parts_that_are_joined_in_any_order_are_the_whole() {
    let whole = sum(10..=160);
    let shard = |index: u64| sum((10..=160).filter(move |seed| seed % 3 == index));
    for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
        let mut joined = sum(std::iter::empty());
        // As they are when they come from files.
        for index in order {
            let text = serde_json::to_string(&shard(index)).expect("plain data");
            joined.join(&serde_json::from_str(&text).expect("our own words"));
        }
        assert_eq!(joined, whole);
        let wall = WallClock { wall_seconds: 1.0, jobs: 1 };
        assert_eq!(joined.summary(wall), whole.summary(wall));
    }
    let summary = whole.summary(WallClock { wall_seconds: 1.0, jobs: 1 });
    assert_eq!(summary.seeds, 151);
    assert_eq!((summary.first_seed, summary.last_seed), (10, 160));
    // 160 is the first to be in the eleventh stretch of sixteen.
    assert_eq!(summary.last_new_seed, Some(160));
    assert_eq!(summary.groups["c/doubled/s"].first_seed, 12);
    assert_eq!(summary.groups["c/doubled/s"].seeds[..3], [12, 16, 20]);
    assert_eq!(summary.slowest.len(), SLOWEST_MAX);
    assert!(summary.slowest.is_sorted_by_key(|slow| std::cmp::Reverse(slow.virtual_ns)));
}

#[test]
fn what_one_part_could_not_repeat_the_whole_could_not() {
    let (mut whole, mut part) = (sum(1..=3), sum(4..=6));
    part.note_verified(false);
    whole.note_verified(true);
    whole.join(&part);
    let summary = whole.summary(WallClock { wall_seconds: 1.0, jobs: 1 });
    assert_eq!((summary.verified, summary.not_deterministic), (2, 1));
    assert_eq!(summary.ended(), crate::Ended::NotDeterministic);
}

#[test]
fn another_seed_or_another_trace_is_another_joint_hash() {
    let hash = |seeds: &[u64]| sum(seeds.iter().copied()).traces;
    assert_ne!(hash(&[1, 2]), hash(&[1, 3]));
    assert_ne!(hash(&[1]), hash(&[1, 2]));
    assert_eq!(hash(&[1, 2]), hash(&[2, 1]));
}

#[test]
fn a_run_is_new_that_shows_what_none_before_it_did() {
    let mut tally = Tally::new("ensemble", []);
    let new: Vec<u64> = (1..=60).filter(|seed| tally.add(&run(*seed))).collect();
    // Eleven residues, the first of each stretch of sixteen; violations come within those.
    assert_eq!(new, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 16, 32, 48]);
    let wall = WallClock { wall_seconds: 1.0, jobs: 1 };
    assert_eq!(tally.summary(wall).last_new_seed, Some(48));
}

#[test]
fn however_many_kinds_there_are_no_more_are_kept_apart_than_the_bound() {
    let odd = |seed: u64| {
        let mut run = run(1);
        run.seed = seed;
        let named = violation(seed, &format!("kind-{seed}"));
        run.outcome.verdicts = vec![("c".into(), Verdict::Violation(named))];
        run
    };
    let add = |range: std::ops::Range<u64>| {
        let mut tally = Tally::new("ensemble", []);
        range.for_each(|seed| _ = tally.add(&odd(seed)));
        tally
    };
    let wall = WallClock { wall_seconds: 1.0, jobs: 1 };
    let (half, all) = (GROUPS_KEPT_MAX as u64 * 9 / 10, GROUPS_KEPT_MAX as u64 * 18 / 10);
    let mut joined = add(half..all);
    joined.join(&add(0..half));
    assert_eq!(joined, add(0..all));
    assert_eq!(joined.groups.len(), GROUPS_KEPT_MAX + 1);
    let summary = joined.summary(wall);
    assert_eq!(summary.groups.len(), GROUPS_MAX + 1);
    assert_eq!(summary.groups[OTHERS].count, all - GROUPS_MAX as u64);
    assert_eq!(summary.groups[OTHERS].seeds[..2], [100, 101], "those that begin last");
}

/// A part of a sweep in which each of many kinds and ways comes again and again, in an order of its
/// own.
fn of_many_ways(seeds: impl Iterator<Item = u64>) -> Tally {
    let expect = Some(Expected::default());
    let (workload, storm) = ("x".into(), "x.toml".into());
    let file = FromFile { workload, storm, about: None, expect };
    let mut tally = Tally::new("ensemble", []).from_file(Some(file));
    for seed in seeds {
        let mut run = run(1);
        let kind = format!("kind-{}", seed * seed % 211);
        (run.seed, run.outcome.verdicts) =
            (seed, vec![("c".into(), Verdict::Violation(violation(seed, &kind)))]);
        _ = tally.add(&run);
        tally.note_surprise(&run, &format!("breaks c/{kind}"));
    }
    tally
}

#[test]
fn shards_of_a_sweep_with_many_ways_to_fail_are_the_whole_when_they_are_joined() {
    let wall = WallClock { wall_seconds: 1.0, jobs: 1 };
    let whole = of_many_ways(1..=900);
    let mut joined = of_many_ways(std::iter::empty());
    for index in [2, 0, 1] {
        joined.join(&of_many_ways((1..=900).filter(|seed| seed % 3 == index)));
    }
    assert_eq!(joined, whole);
    let (joined, whole) = (joined.summary(wall), whole.summary(wall));
    assert_eq!(joined, whole);
    let expected = whole.expected().expect("it expects something");
    assert_eq!((whole.groups.len(), expected.surprises.len()), (101, 21));
    assert_eq!(expected.surprised(), 900, "each is counted once");
}

#[test]
fn a_sum_from_a_file_may_hold_any_number() {
    let mut huge = sum(1..=30);
    (huge.messages, huge.pass, huge.virtual_ns) = (u64::MAX, u64::MAX, u64::MAX);
    huge.groups.values_mut().for_each(|group| group.count = u64::MAX);
    huge.reached.values_mut().for_each(|count| *count = u64::MAX);
    huge.faults.values_mut().for_each(|count| count.injected = u64::MAX);
    huge.figures.values_mut().for_each(|figure| *figure = u64::MAX);
    let mut joined = huge.clone();
    joined.join(&huge);
    let summary = joined.summary(WallClock { wall_seconds: 0.0, jobs: 0 });
    assert_eq!((summary.messages, summary.seeds), (u64::MAX, u64::MAX));
    assert_eq!(summary.groups["c/lost/s"].count, u64::MAX);
}
