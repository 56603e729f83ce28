//! A second core in the laboratory: a primary with one backup, which no package here knows, is
//! stormed, planted, shrunk and shown.

mod replica;
mod world;

use crate::browser::Browser;
use crate::page::told_to;
use crate::support::expect_pass;
use mailstorm_checkers::Checker;
use mailstorm_record::{Case, Event, Fault, FaultKind, Happening, Plan, Run};
use mailstorm_reports::page::{Shown, page};
use mailstorm_shared::facts::Looks;
use mailstorm_shrink::{Field, Refuted, Tried, shrink, story};
use mailstorm_world::{Recording, RunSpec, Scenario, run};
use replica::{State, fact};
use serde_json::{Value, json};
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
fn the_page_of_a_toy_run_has_its_lanes_with_roles_its_panels_and_its_signs() {
    let full =
        |is_eager, seed| run(&RunSpec { recording: Recording::Full, ..spec(is_eager, seed) });
    let takes_over = |seed: &u64| run(&spec(false, *seed)).outcome.reached["taken_over"] > 0;
    let sound = full(false, SEEDS.into_iter().find(takes_over).expect("a backup takes over"));
    let lost = full(true, found().seed);
    let shown = [&lost, &sound].map(|run| Shown { run, about: None, replay: "", missing: None });
    let html = page(&shown);
    let data = &told_to(&html)[1];
    let lane = |name: &str, role: &str| json!({ "name": name, "role": role });
    let servers = [lane("r1", "replica"), lane("r2", "replica")];
    assert_eq!(data["nodes"].as_array().unwrap()[..2], servers, "who serves is on top");
    let band = |band: &Value| {
        let role = &data["roles"][band["role"].as_u64().unwrap() as usize];
        json!([band["node"], role["name"], role["tone"], band["epoch"]])
    };
    let bands: Vec<Value> = data["bands"].as_array().unwrap().iter().map(band).collect();
    for shown in [
        json!([0, "leads", "strong", 0]),
        json!([1, "follows", "plain", 0]),
        json!([1, "leads", "strong", 1]),
    ] {
        assert!(bands.contains(&shown), "no {shown}: {bands:?}");
    }
    let kinds = data["kinds"].as_array().unwrap().iter().zip(data["signs"].as_array().unwrap());
    assert!(kinds.clone().any(|kind| kind == (&json!("leads"), &json!("star"))));
    let Some(mut browser) = Browser::start(1280, 1200) else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("page.html");
    std::fs::write(&path, html).unwrap();
    browser.open(&path, "");
    let state = browser.after_drawing("document.getElementById('state').textContent");
    for words in ["Replicas: 2", "r1, number 0 from value 0 on", "r2, number 1 from", "Counter: 1"]
    {
        assert!(state.as_str().unwrap().contains(words), "no '{words}': {state}");
    }
    let head = browser.evaluate("document.getElementById('what').textContent");
    assert!(head.as_str().unwrap().contains("is lost: number 1 began"), "{head}");
    assert_eq!(browser.complaints, Vec::<String>::new());
}

#[test]
fn the_checker_of_the_toy_sees_what_is_lost() {
    let check = |facts: &[(&str, &str, u32, u64)]| {
        let mut checker = Acknowledged::default();
        let found = facts.iter().find_map(|(node, name, number, value)| {
            let state = State { number: *number, value: *value };
            let observation = fact(name, state, "", Looks::default()).into();
            let happening = Happening::Observed { observation };
            checker.observe(&Event { at_ns: 1, node: Some((*node).into()), happening }).err()
        });
        found.map(|violation| violation.kind)
    };
    let first = ("r1", "acknowledged", 0, 5);
    assert_eq!(check(&[first, ("r2", "leads", 1, 4)]), Some("lost".to_owned()));
    assert_eq!(check(&[("r2", "leads", 1, 4), first]), Some("lost".to_owned()));
    assert_eq!(check(&[first, ("r2", "leads", 1, 5), ("r2", "acknowledged", 1, 6)]), None);
}
