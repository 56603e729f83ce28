//! A second core in the laboratory: a primary with one backup, which no package here knows, is
//! stormed, planted, shrunk and shown.

mod replica;
mod world;

use crate::page::told_to;
use crate::support::expect_pass;
use mailstorm_checkers::Checker;
use mailstorm_record::{Case, Event, Fault, FaultKind, Happening, Plan, Run};
use mailstorm_reports::page::{Shown, page};
use mailstorm_shared::facts::{ApplicationFact, Told};
use mailstorm_shrink::{Field, Refuted, Tried, shrink, story};
use mailstorm_world::{Recording, RunSpec, Scenario, run};
use std::ops::Range;
use std::sync::Arc;
use world::{Acknowledged, PrimaryBackup};

const SEEDS: Range<u64> = 0..40;

fn spec(is_eager: bool, seed: u64) -> RunSpec {
    RunSpec {
        recording: Recording::Faults,
        ..RunSpec::new(Arc::new(PrimaryBackup { is_eager }), seed)
    }
}

fn is_lost(run: &Run) -> bool {
    run.outcome.violations().any(|violation| violation.name() == "acknowledged/lost")
}

/// The first seed in whose storm the mistake shows.
fn found() -> Run {
    SEEDS.map(|seed| run(&spec(true, seed))).find(is_lost).expect("a storm finds it")
}

#[test]
fn a_primary_with_one_backup_keeps_what_it_acknowledges_through_storms() {
    let (mut taken_over, mut aimed) = (0, 0);
    for seed in SEEDS {
        let run = run(&spec(false, seed));
        expect_pass(&run, "the toy as built");
        taken_over += run.outcome.reached["taken_over"];
        aimed += u64::from(run.outcome.faults.keys().any(|label| label.starts_with("primary_")));
    }
    assert!(taken_over >= 10, "{taken_over}");
    assert!(aimed >= 10, "swarms aim at the primary: {aimed}");
}

#[test]
fn a_toy_run_is_the_same_every_time() {
    let once = run(&spec(false, 7)).outcome;
    assert_eq!(once, run(&spec(false, 7)).outcome);
}

#[test]
fn a_primary_that_acknowledges_too_early_is_found_shrunk_and_told() {
    let first = found();
    let fingerprint = first.outcome.violations().next().expect("it fails").fingerprint();
    assert_eq!(fingerprint, "acknowledged/lost/r");
    let mut start = Case::of(&first);
    start.trace = None;
    let scenario: Arc<dyn Scenario> = Arc::new(PrimaryBackup { is_eager: true });
    let field = Field { settings: Vec::new(), names: &|_| scenario.topology().names() };
    let again =
        |case: &Case| run(&RunSpec { plan: Some(case.plan.clone()), ..spec(true, case.seed) });
    let shrunk = shrink(start, &field, Refuted::default(), &mut |cases| {
        cases.iter().position(|case| is_lost(&again(case))).map_or(Tried::NoneKeepsIt, Tried::Keeps)
    });
    assert_eq!(shrunk.stopped, None);
    assert!(shrunk.case.plan.faults.len() <= 2, "{}", shrunk.case.to_toml());
    let last = again(&shrunk.case);
    assert!(is_lost(&last));
    assert_eq!(story(&last).len(), shrunk.case.plan.faults.len(), "{:?}", story(&last));
    // The case is a file that says the same run.
    let text = shrunk.case.to_toml();
    assert_eq!(Case::read(&text, "toy.toml", &scenario.topology().names()).unwrap(), shrunk.case);
}

#[test]
fn a_plan_may_name_the_primary_and_the_story_says_who_that_was() {
    let kind = FaultKind::Isolate { nodes: vec!["primary".into()] };
    let faults = vec![Fault { at_ms: 500, lasts_ms: 5_000, kind }];
    let plan = Some(Plan { faults, ..Plan::default() });
    let sound = run(&RunSpec { plan: plan.clone(), ..spec(false, 1) });
    expect_pass(&sound, "the toy as built");
    let told = story(&sound);
    assert!(told.len() == 1 && told[0].contains("r1 (primary)"), "{told:?}");
    assert_eq!(sound.outcome.faults["primary_isolate"].effective, 1);
}

#[test]
fn the_page_of_a_toy_run_has_its_nodes_and_the_words_of_its_facts() {
    let seed = found().seed;
    let run = run(&RunSpec { recording: Recording::Full, ..spec(true, seed) });
    let shown = Shown { run: &run, about: None, replay: "", missing: None };
    let text = told_to(&page(&[shown]))[0].to_string();
    for words in [
        "r1",
        "r2",
        "c1",
        "replica",
        "acknowledges value",
        "is the primary, with a backup",
        "is lost: number",
    ] {
        assert!(text.contains(words), "no '{words}'");
    }
}

#[test]
fn the_checker_of_the_toy_sees_two_primaries_and_what_is_lost() {
    let check = |facts: &[(&str, &str, u64, u64)]| {
        let mut checker = Acknowledged::default();
        let found = facts.iter().find_map(|(node, name, number, value)| {
            let values = [("number", (*number).into()), ("value", (*value).into())];
            let told = ApplicationFact::Told(Told::new(name, values, "").unwrap());
            let happening = Happening::Observed { observation: told.into() };
            checker.observe(&Event { at_ns: 1, node: Some((*node).into()), happening }).err()
        });
        found.map(|violation| violation.kind)
    };
    let first = ("r1", "acknowledged", 1, 5);
    assert_eq!(check(&[first, ("r2", "acknowledged", 1, 6)]), Some("two_primaries".to_owned()));
    assert_eq!(check(&[first, ("r2", "leads_alone", 2, 4)]), Some("lost".to_owned()));
    assert_eq!(check(&[("r2", "leads_alone", 2, 4), first]), Some("lost".to_owned()));
    assert_eq!(check(&[first, ("r2", "leads_alone", 2, 5), ("r2", "acknowledged", 2, 6)]), None);
}
