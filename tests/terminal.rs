//! What people read in the terminal: the first screen, a replay, a trace, a shrink whose budget is spent.

use crate::command::folder_with;
use crate::support::run;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// The exit code of a run with a violation, and of a sweep with one.
const VIOLATION: Option<i32> = Some(1);
/// A command is one line, so that it can be copied; so is a violation where no terminal breaks lines.
const WHOLE: &[&str] = &["VIOLATION  ", "  replay   ", "  next     ", "NOT REACHED  "];
/// What a file or a pipe gets.
const WIDTH: usize = 80;

#[test]
fn the_first_screen_says_what_was_done_then_the_figures_then_what_is_next() {
    let folder = folder_with(&[]);
    let ended = run(folder.path(), &["storm", "mail-claims", "--seeds", "1..3"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told = &ended.out;
    let done = "PASS  mail-claims, seeds 1..3, each a different storm over five servers and four\n      \
                workers: every one of 100 mails was processed exactly once or set aside as\n      \
                poison in each of them.\n\nreached, times in all runs\n";
    assert!(told.starts_with(done), "{told}");
    for line in told.lines().filter(|line| !WHOLE.iter().any(|whole| line.starts_with(whole))) {
        assert!(line.chars().count() <= WIDTH, "{line}");
        assert!(!line.contains('_'), "a name of machines: {line}");
    }
    assert!(told.lines().count() <= 50, "{told}");
    let last: Vec<&str> = told.lines().rev().take(3).collect();
    assert!(
        last[2].starts_with("3 seeds: 3 pass, 0 violations, 0 unknown; reached 23/23"),
        "{told}"
    );
    assert_eq!(last[1], "  page     runs/index.html");
    assert!(folder.path().join("runs/index.html").is_file());
    assert_eq!(last[0], "  next     mailstorm learn");
}

#[test]
fn a_violation_is_one_short_line_on_the_way_and_told_in_full_once_at_the_end() {
    let folder = folder_with(&[]);
    let arguments = ["storm", "ensemble-3", "--seeds", "1..1", "--defect", "minority-quorum"];
    let ended = run(folder.path(), &[&arguments[..], &["--no-shrink"]].concat());
    assert_eq!(ended.code, VIOLATION, "{ended:?}");
    let on_the_way: Vec<_> = ended.err.lines().filter(|l| l.contains("seed 1 breaks ")).collect();
    assert_eq!(on_the_way.len(), 1, "{ended:?}");
    assert!(on_the_way[0].len() <= WIDTH, "{ended:?}");
    assert!(!ended.err.contains("VIOLATION") && !ended.err.contains("replay"), "{ended:?}");
    assert!(ended.out.starts_with("FAIL  ensemble-3, seeds 1..1, a storm over three servers"));
    let mut violations: Vec<_> =
        ended.out.lines().filter(|line| line.starts_with("VIOLATION  ")).collect();
    let count = violations.len();
    violations.dedup();
    assert!(count > 0 && violations.len() == count, "{ended:?}");
    let next = ended.out.lines().last().expect("a last line");
    assert!(next.starts_with("  next     mailstorm report ensemble-3 --seed 1 "), "{ended:?}");
}

#[test]
fn a_replay_tells_its_faults_as_sentences_in_the_order_in_which_they_came() {
    let folder = folder_with(&[]);
    let replay = ["replay", "ensemble-3", "--seed", "2"];
    let ended = run(folder.path(), &replay);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let faults: Vec<&str> =
        ended.out.lines().filter_map(|line| line.strip_prefix("  at ")).collect();
    let number = ended.out.lines().next().and_then(|head| head.split(": ").nth(1)).expect("a head");
    assert_eq!(number, format!("{} faults", faults.len()), "{ended:?}");
    let times: Vec<f64> =
        faults.iter().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect();
    assert!(times.is_sorted(), "{faults:?}");
    assert!(!ended.out.contains("kind.") && !ended.out.contains('_'), "{ended:?}");

    // The plan is there for those who ask, and nothing else with it.
    let plan = run(folder.path(), &[&replay[..], &["--toml"]].concat());
    assert_eq!((plan.code, plan.err.as_str()), (Some(0), ""), "{plan:?}");
    assert_eq!(plan.out.matches("[[faults]]").count(), faults.len(), "{plan:?}");
    fs::write(folder.path().join("plan.toml"), &plan.out).unwrap();
    let again = run(folder.path(), &[&replay[..], &["--plan", "plan.toml"]].concat());
    assert_eq!(again.trace(), ended.trace());
}

#[test]
fn a_trace_tells_messages_and_answers_in_words() {
    let folder = folder_with(&[]);
    for scenario in [&["ensemble-3", "--seed", "2"][..], &["mail-database/wrong"]] {
        let ended = run(folder.path(), &[&["replay"], scenario, &["--trace"]].concat());
        let sent: Vec<&str> = ended.out.lines().filter(|line| line.contains(" sends #")).collect();
        assert!(sent.len() > 100, "{ended:?}");
        for line in &sent {
            assert!(!line.contains("no message"), "what is said is not understood: {line}");
            assert!(!line.contains(['{', '}']) && !line.contains("Some("), "{line}");
        }
        if scenario[0] == "ensemble-3" {
            for words in [
                "NOTIFICATION looking, votes s",
                ": PROPOSAL 1:",
                ": ACK 1:",
                ": COMMIT 1:",
                ": LEADERINFO epoch ",
                ": PING ",
                " -> ok 1:",
                " -> NODEEXISTS",
                ": CONNECT, new session, timeout 6.0 s",
                ": HELLO s",
            ] {
                assert!(sent.iter().any(|line| line.contains(words)), "no '{words}'");
            }
        }
    }
}

/// One piece of a search, as machines are told of it.
fn piece(folder: &Path, arguments: &[&str]) -> Value {
    let ended = run(folder, &[&["shrink"], arguments, &["--budget", "1s", "--json", "-"]].concat());
    assert_eq!(ended.code, VIOLATION, "{ended:?}");
    serde_json::from_str(&ended.out).unwrap()
}

#[test]
fn a_shrink_whose_budget_is_spent_says_so_and_goes_on_from_the_case_it_wrote() {
    let folder = folder_with(&[]);
    let at = folder.path();
    let first = ["mail-claims", "--seed", "195", "--defect", "lock-without-fencing"];
    // 300 runs take more than a second.
    let ended =
        run(at, &[&["shrink"], &first[..], &["--budget", "1s", "--out", "a.toml"]].concat());
    let last: Vec<&str> = ended.out.lines().rev().take(2).collect();
    assert!(last[1].starts_with("  budget   1.0 s spent: "), "{ended:?}");
    assert!(last[1].ends_with(" not tried; go on with"), "{ended:?}");
    assert_eq!(last[0], "  go on    mailstorm shrink a.toml");
    let mut told = piece(at, &[&first[..], &["--out", "small.toml"]].concat());
    assert_eq!(told["is_smallest"], false, "{told}");
    let mut pieces = 1;
    while told["is_smallest"] == false {
        assert!(told["untried"].as_u64().is_some_and(|untried| untried > 0), "{told}");
        assert_eq!(told["go_on"], "mailstorm shrink small.toml");
        assert_eq!(told["budget_seconds"], 1);
        assert!(at.join("small.refuted").is_file());
        let before = told["faults_after"].clone();
        told = piece(at, &["small.toml"]);
        assert!(told["faults_before"].as_u64() <= before.as_u64(), "{told}");
        pieces += 1;
        assert!(pieces < 100, "it comes to an end");
    }
    assert_eq!((&told["untried"], &told["go_on"]), (&Value::from(0), &Value::Null));
    assert!(!at.join("small.refuted").exists());
    assert_eq!(told["faults_after"], 1, "{told}");
    assert_eq!(told["file"], "small.toml", "a case becomes simpler in its place");
}
