//! What people read in the terminal: the first screen, a replay, a trace, a shrink whose budget is
//! spent.

use crate::command::folder_with;
use crate::page::told_to;
use crate::support::{on_a_terminal, run};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// The exit code of a run with a violation, and of a sweep with one.
const VIOLATION: Option<i32> = Some(1);
/// A command is one line, so that it can be copied; so is a violation where no terminal breaks
/// lines.
const WHOLE: &[&str] = &["VIOLATION  ", "  replay   ", "  next     ", "NOT REACHED  "];
/// What a file or a pipe gets.
const WIDTH: usize = 80;

#[test]
fn the_first_screen_says_what_was_done_then_the_figures_then_what_is_next() {
    let folder = folder_with(&[]);
    let ended = run(folder.path(), &["storm", "mail-claims", "--seeds", "229..234"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told = &ended.out;
    let done = "PASS  mail-claims, seeds 229..234, each a different storm over five servers and\n      \
                four workers: every one of 100 mails was processed exactly once or set\n      \
                aside as poison in each of them.\n\nreached, times in all runs\n";
    assert!(told.starts_with(done), "{told}");
    for line in told.lines().filter(|line| !WHOLE.iter().any(|whole| line.starts_with(whole))) {
        assert!(line.chars().count() <= WIDTH, "{line}");
        assert!(!line.contains('_'), "a name of machines: {line}");
    }
    assert!(told.lines().count() <= 50, "{told}");
    let last: Vec<&str> = told.lines().rev().take(3).collect();
    assert!(
        last[2].starts_with("6 seeds: 6 pass, 0 violations, 0 unknown; reached 27/27"),
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
    assert!(last[1].ends_with(" not tried"), "{ended:?}");
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

/// Every line of it has room, but for what is copied; and what is folded goes on where its words
/// began, with each number beside its unit.
#[track_caller]
fn check_folded(shown: &str, columns: usize) {
    let lines: Vec<&str> = shown.lines().collect();
    for (number, line) in lines.iter().enumerate() {
        assert!(line.chars().count() <= columns || line.contains("mailstorm "), "{line}");
        let Some(next) = lines.get(number + 1) else { break };
        let last = line.rsplit(' ').next().unwrap_or_default();
        let first = next.split_whitespace().next().unwrap_or_default();
        let is_number = last.parse::<f64>().is_ok();
        assert!(!(is_number && ["s", "ms", "min", "MB", "kB"].contains(&first)), "{line}\n{next}");
    }
}

#[cfg(unix)]
#[test]
fn on_a_terminal_a_fault_goes_on_below_its_words_and_no_number_is_torn_from_its_unit() {
    let folder = folder_with(&[]);
    let replay = ["replay", "mail-claims", "--seed", "3", "--defect", "lock-without-fencing"];
    for columns in [80, 120] {
        let ended = on_a_terminal(folder.path(), &replay, columns);
        assert_eq!(ended.code, VIOLATION, "{ended:?}");
        check_folded(&ended.out, columns.into());
    }
    let narrow = on_a_terminal(folder.path(), &replay, 60);
    check_folded(&narrow.out, 60);
    let folded =
        "\n  at 10.391 s s1, s2, s4 and s5 (leader) lose power for\n              713 ms\n";
    assert!(narrow.out.contains(folded), "{}", narrow.out);
}

#[cfg(unix)]
#[test]
fn on_a_terminal_what_is_told_besides_is_folded_like_all_else() {
    let deep = "runs-of-a-folder-whose-name-is-long-enough-for-the-line/and-more";
    let folder = folder_with(&[(&format!("{deep}/ensemble-3/1/run.json"), "")]);
    let storm = ["storm", "ensemble-3", "--seeds", "1..1", "--out", deep];
    let ended = on_a_terminal(folder.path(), &storm, 80);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let note = format!("note: 1 run of an earlier storm moved to\n      {deep}/earlier\n");
    assert!(ended.out.contains(&note), "{}", ended.out);
}

/// The first of these names in a text.
#[track_caller]
fn first_of<'a>(names: &[&'a str], text: &str) -> &'a str {
    let places = names.iter().filter_map(|name| Some((text.find(*name)?, *name)));
    places.min().unwrap_or_else(|| panic!("none of {names:?}: {text}")).1
}

#[test]
fn what_a_lesson_is_about_leads_in_every_place_and_a_case_leads_with_what_it_is_kept_for() {
    let folder = folder_with(&[]);
    let at = folder.path();
    let ended = run(at, &["storm", "mail-manager/wrong"]);
    assert_eq!(ended.code, VIOLATION, "{ended:?}");
    let all = ["live/stopped", "exactly-once/lost", "bound/exceeded"];
    assert!(!ended.out.contains("stopped/"), "nobody is involved: {}", ended.out);
    assert_eq!(first_of(&all, &ended.out), all[0]);
    assert_eq!(first_of(&all, &ended.err), all[0]);
    let read = |file: &str| fs::read_to_string(at.join("runs").join(file)).unwrap();
    for file in ["index.html", "summary.md", "junit.xml", "mail-manager/wrong/1/case.toml"] {
        assert_eq!(first_of(&all, &read(file)), all[0], "{file}");
    }
    let replayed = run(at, &["replay", "mail-manager/wrong"]);
    let violations = replayed.out.find("VIOLATION").map(|begin| &replayed.out[begin..]);
    assert_eq!(first_of(&all, violations.expect("it breaks")), all[0]);
    for page in ["", "shrunk"] {
        let mut file = "mail-manager/wrong/1/report.html".to_owned();
        if !page.is_empty() {
            file = "shrunk.html".to_owned();
            let case = "runs/mail-manager/wrong/1/case.toml";
            run(at, &["report", case, "--out", "runs/shrunk.html"]);
        }
        assert_eq!(opens_on(&read(&file)), all[0], "{page}");
    }

    // Kept for another, a case leads with that one.
    let case = read("mail-manager/wrong/1/case.toml");
    let other = case.replace("\"live/stopped\"", "\"exactly-once/lost\"");
    assert_ne!(case, other);
    fs::write(at.join("other.toml"), other).unwrap();
    let replayed = run(at, &["replay", "other.toml"]);
    assert_eq!(first_of(&all, &replayed.out), all[1]);
    run(at, &["report", "other.toml", "--out", "runs/other.html"]);
    assert_eq!(opens_on(&read("other.html")), all[1]);
}

/// The violation that a page opens on, as checker and kind.
fn opens_on(page: &str) -> String {
    let data = told_to(page);
    let verdict = &data[0]["verdicts"][data[0]["opens_on"].as_u64().expect("it opens") as usize];
    let word = |name: &str| verdict[name].as_str().expect("a word").to_owned();
    format!("{}/{}", word("checker"), word("kind"))
}
