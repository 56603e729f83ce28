//! Searches whose runs are a question to a closure.

use super::*;
use mailstorm_record::cast::Target;
use mailstorm_record::{FaultKind, TraceHash};
use proptest::prelude::*;

fn settings() -> Vec<Setting> {
    vec![
        Setting::count("servers", "servers", 5, 1..=9),
        Setting::count("mails", "mails", 100, 1..=100),
        Setting::plain("plain", "equal latencies"),
    ]
}

fn value(case: &Case, name: &str) -> u64 {
    let all = settings();
    let own = all.iter().find(|setting| setting.name == name).expect("one of them").default;
    case.settings.0.get(name).copied().unwrap_or(own)
}

fn names_of(settings: &Settings) -> Names {
    let servers = settings.0.get("servers").copied().unwrap_or(5);
    let nodes = (1..=servers).map(|number| NodeName::from(&*format!("s{number}"))).collect();
    Names { nodes, targets: vec![Target::one("leader", "")] }
}

fn case(faults: Vec<Fault>) -> Case {
    Case {
        trace: None,
        version: "0".to_owned(),
        scenario: "x".to_owned(),
        seed: 1,
        inbox: None,
        defect: None,
        fingerprint: None,
        settings: Settings::default(),
        plan: Plan { lasts_ms: Some(60_000), faults, ..Plan::default() },
    }
}

fn fault(at_ms: u64, kind: FaultKind) -> Fault {
    Fault { at_ms, lasts_ms: 1_234, kind }
}

fn named(names: &[&str]) -> Vec<NodeName> {
    names.iter().map(|name| NodeName::from(*name)).collect()
}

/// Searches with `fails` for a run, and demands of every case that was tried that it is lawful and
/// simpler than what was kept before it.
fn searched(start: &Case, fails: &dyn Fn(&Case) -> bool, runs_max: usize) -> (Shrunk, usize) {
    let field = Field { settings: settings(), names: &names_of };
    let mut runs = 0;
    let mut kept = Weight::of(start, &field.settings);
    let shrunk = shrink(start.clone(), &field, Refuted::default(), &mut |cases| {
        assert!(!cases.is_empty());
        for (place, case) in cases.iter().enumerate() {
            if runs == runs_max {
                return Tried::Stopped { tried: place, why: Stopped::BudgetSpent };
            }
            runs += 1;
            assert!(Weight::of(case, &field.settings) < kept, "{case:?}");
            assert_eq!(case.plan.check(&names_of(&case.settings)), Ok(()));
            if fails(case) {
                kept = Weight::of(case, &field.settings);
                return Tried::Keeps(place);
            }
        }
        Tried::NoneKeepsIt
    });
    (shrunk, runs)
}

fn storm() -> Case {
    let all = ["s1", "s2", "s3", "s4", "s5"];
    let mut faults: Vec<Fault> = (0..28)
        .map(|n| fault(1_000 + 1_733 * n, FaultKind::Pause { nodes: named(&all[..2]) }))
        .collect();
    faults.insert(9, fault(17_321, FaultKind::PowerCut { nodes: named(&all[1..4]) }));
    faults.insert(
        20,
        fault(31_111, FaultKind::Flap { nodes: named(&["leader"]), down_ms: 99, up_ms: 7 }),
    );
    case(faults)
}

#[test]
fn of_thirty_faults_the_two_that_matter_are_left_and_made_simple() {
    let strikes = |case: &Case, name: &str, is: fn(&FaultKind) -> bool| {
        case.plan.faults.iter().any(|fault| {
            is(&fault.kind)
                && fault.lasts_ms >= 200
                && fault.kind.node_lists()[0].contains(&name.into())
        })
    };
    let fails = |case: &Case| {
        strikes(case, "s3", |k| matches!(k, FaultKind::PowerCut { .. } | FaultKind::Crash { .. }))
            && strikes(case, "leader", |k| {
                matches!(k, FaultKind::Flap { .. } | FaultKind::Isolate { .. })
            })
            && value(case, "servers") >= 3
            && value(case, "mails") >= 17
    };
    let (shrunk, runs) = searched(&storm(), &fails, usize::MAX);
    assert_eq!(shrunk.stopped, None);
    let kinds: Vec<_> = shrunk.case.plan.faults.iter().map(|fault| fault.kind.clone()).collect();
    assert_eq!(
        kinds,
        [
            FaultKind::Crash { nodes: named(&["s3"]) },
            FaultKind::Isolate { nodes: named(&["leader"]) }
        ]
    );
    assert_eq!((value(&shrunk.case, "servers"), value(&shrunk.case, "mails")), (3, 17));
    assert_eq!(value(&shrunk.case, "plain"), 1);
    for fault in &shrunk.case.plan.faults {
        assert!((200..300).contains(&fault.lasts_ms), "{fault:?}");
    }
    assert_eq!(shrunk.case.plan.faults[0].at_ms, 0);
    assert!(shrunk.case.plan.lasts_ms.is_none());
    assert!(runs < 200, "{runs}");
}

#[test]
fn a_case_that_fails_whatever_is_left_out_ends_empty() {
    let (shrunk, _) = searched(&storm(), &|_| true, usize::MAX);
    assert_eq!(shrunk.case.plan, Plan::default());
    let settings = [("mails", 1), ("plain", 1), ("servers", 1)];
    let settings = settings.map(|(name, value)| (name.to_owned(), value));
    assert_eq!(shrunk.case.settings, Settings(settings.into()));
}

#[test]
fn a_case_of_which_nothing_can_be_left_out_stays_as_it_is() {
    let start = storm();
    let (shrunk, _) = searched(&start, &|case| *case == start, usize::MAX);
    assert_eq!((shrunk.case, shrunk.stopped, shrunk.untried), (storm(), None, 0));
}

#[test]
fn a_search_whose_budget_is_spent_says_so_and_keeps_what_it_has() {
    let none = searched(&storm(), &|_| true, 0).0;
    assert_eq!((none.case, none.stopped), (storm(), Some(Stopped::BudgetSpent)));
    assert!(none.untried > 100, "{}", none.untried);
    let some = searched(&storm(), &|case| case.plan.faults.len() >= 4, 5).0;
    assert_eq!(some.stopped, Some(Stopped::BudgetSpent));
    assert!((4..30).contains(&some.case.plan.faults.len()));
}

proptest! {
    #[test]
    fn exactly_the_faults_that_are_needed_are_left(needed in prop::collection::vec(any::<bool>(), 1..40)) {
        // Their drift says which is which.
        let drift = |ppm: usize| FaultKind::Drift { nodes: named(&["s1"]), ppm: (ppm as i32 + 1) * 1_000 };
        let faults = (0..needed.len()).map(|n| fault(n as u64 * 100, drift(n))).collect();
        let start = case(faults);
        let has = |case: &Case, n: usize| case.plan.faults.iter().any(|fault| fault.kind == drift(n));
        let fails = |case: &Case| (0..needed.len()).all(|n| !needed[n] || has(case, n));
        let (shrunk, _) = searched(&start, &fails, usize::MAX);
        prop_assert_eq!(shrunk.case.plan.faults.len(), needed.iter().filter(|is| **is).count());
        prop_assert!(fails(&shrunk.case));
    }
}

/// The search in pieces of so many runs, each of which goes on where the one before it ended: the
/// smallest case, and every case that was run.
fn in_pieces(start: &Case, fails: &dyn Fn(&Case) -> bool, runs: usize) -> (Case, Vec<Case>) {
    let field = Field { settings: settings(), names: &names_of };
    let (mut case, mut refuted, mut run) = (start.clone(), Refuted::default(), Vec::new());
    loop {
        let mut left = runs;
        let shrunk = shrink(case, &field, refuted, &mut |cases| {
            for (place, case) in cases.iter().enumerate() {
                if left == 0 {
                    return Tried::Stopped { tried: place, why: Stopped::BudgetSpent };
                }
                left -= 1;
                run.push(case.clone());
                if fails(case) {
                    return Tried::Keeps(place);
                }
            }
            Tried::NoneKeepsIt
        });
        assert_eq!(shrunk.stopped.is_none(), shrunk.untried == 0);
        if shrunk.stopped.is_none() {
            return (shrunk.case, run);
        }
        // As it is when it comes from files.
        let text = shrunk.refuted.to_text(&shrunk.case, TraceHash(7));
        refuted = Refuted::parse(&text, &shrunk.case, TraceHash(7));
        assert_eq!(refuted, shrunk.refuted);
        case = shrunk.case;
    }
}

#[test]
fn a_search_that_goes_on_runs_nothing_again_that_was_refuted_and_comes_to_its_end() {
    let fails = |case: &Case| {
        let has = |wanted: &str| case.plan.faults.iter().any(|f| f.kind.name() == wanted);
        has("power_cut") && has("pause") && value(case, "servers") >= 3
    };
    let (whole, runs) = searched(&storm(), &fails, usize::MAX);
    for piece in [1, 3, 10, 50, runs] {
        let (case, run) = in_pieces(&storm(), &fails, piece);
        let mut refuted: Vec<String> =
            run.iter().filter(|case| !fails(case)).map(Case::to_toml).collect();
        let count = refuted.len();
        refuted.sort();
        refuted.dedup();
        assert_eq!(refuted.len(), count, "something was run twice in pieces of {piece}");
        let weight = |case: &Case| Weight::of(case, &settings());
        assert_eq!(weight(&case), weight(&whole.case), "{case:?}");
    }
}

#[test]
fn what_was_refuted_for_another_case_or_in_another_laboratory_is_not_known() {
    let mut refuted = Refuted::default();
    let (one, other) = (storm(), case(Vec::new()));
    assert!(refuted.add(&other));
    let text = refuted.to_text(&one, TraceHash(7));
    assert_eq!(Refuted::parse(&text, &one, TraceHash(7)), refuted);
    for (case, trace, text) in
        [(&other, 7, text.as_str()), (&one, 8, text.as_str()), (&one, 7, ""), (&one, 7, "nonsense")]
    {
        assert_eq!(Refuted::parse(text, case, TraceHash(trace)).count(), 0);
    }
}
