//! Lessons from the command line: designs and their verdicts, the check of what they show, cuts of
//! one's own.

use crate::browser::Browser;
use crate::command::check;
use crate::support::run;
use mailstorm_scenarios::lessons;
use serde_json::Value;
use std::fs;
use tempfile::TempDir;

const PASS: Option<i32> = Some(0);
const VIOLATION: Option<i32> = Some(1);

fn scratch() -> TempDir {
    TempDir::new().unwrap()
}

#[test]
fn a_lesson_exits_by_the_verdict_of_the_design_that_is_asked_for() {
    let folder = scratch();
    for (arguments, code) in [
        (&["storm", "quorum-half"][..], PASS),
        (&["storm", "quorum-half", "--variant", "right"], PASS),
        (&["storm", "quorum-half/wrong", "--no-shrink"], VIOLATION),
        (&["storm", "quorum-half", "--variant", "wrong", "--no-shrink"], VIOLATION),
        (&["replay", "quorum-half", "--variant", "wrong"], VIOLATION),
        (&["replay", "runs/quorum-half/wrong/1/run.json"], VIOLATION),
    ] {
        let ended = run(folder.path(), arguments);
        assert_eq!(ended.code, code, "{arguments:?}: {ended:?}");
    }
    let told = run(folder.path(), &["storm", "quorum-half/wrong", "--no-shrink"]).out;
    assert!(told.contains("mailstorm replay quorum-half/wrong --seed 1"), "{told}");
    assert!(told.contains("\n1 seed: 0 pass, 1 violation (3 distinct)"), "{told}");
}

#[test]
fn the_check_says_what_every_design_shows() {
    let folder = scratch();
    let ended = run(folder.path(), &["scenarios", "quorum-half", "--check", "--storms", "3"]);
    assert_eq!(ended.code, PASS, "{ended:?}");
    let wrong = "as expected  quorum-half/wrong: breaks split-brain/late_commit, ";
    assert!(ended.out.contains(wrong), "{}", ended.out);
    let right = "as expected  quorum-half/right: holds; holds in 3 storms, too\n";
    assert!(ended.out.contains(right), "{}", ended.out);
    assert!(ended.out.ends_with("2 designs of 1 lesson: 2 as expected, 0 not\n"), "{}", ended.out);
}

#[test]
fn a_cut_of_ones_own_takes_the_place_of_the_lessons_faults() {
    let folder = scratch();
    let nine = ["--set", "servers=9", "--partition"];
    let ended = |design, cut| {
        let arguments = [&["replay", design], &nine[..], &[cut]].concat();
        run(folder.path(), &arguments)
    };
    // Three parts of three: no majority anywhere, but more than half of a half.
    let cut = "2-20 s1,s2,s3,a1 | s4,s5,s6 | s7,s8,s9,b1";
    let right = ended("quorum-half/right", cut);
    assert_eq!(right.code, PASS, "{right:?}");
    assert!(right.out.contains("right seed 1: 1 fault\n"), "{}", right.out);
    let cut_told = "s1, s2, s3 and a1 | s4, s5 and s6 | s7, s8, s9 (leader) and b1 do not hear each other \
                    for 18.0 s";
    assert!(right.out.contains(cut_told), "{}", right.out);
    let (told, again) = (&right.out, format!("--set servers=9 --partition '{cut}'"));
    assert!(!told.contains(&again), "a pass needs no replay line: {told}");
    // Two sides, and half of them is enough for either.
    let halves = "2-20 s1,s2,s3,s4,a1 | s5,s6,s7,s8,s9,b1";
    let wrong = ended("quorum-half/wrong", halves);
    assert_eq!(wrong.code, VIOLATION, "{wrong:?}");
    assert!(
        wrong.out.contains(&format!("--set servers=9 --partition '{halves}'")),
        "{}",
        wrong.out
    );
}

#[test]
fn a_right_design_passes_under_cuts_that_no_design_could_bear() {
    let folder = scratch();
    for (lesson, cuts) in [
        // After what clients once had to do; longer than any bound; with nobody on the larger side
        // but one client.
        ("quorum-half", &["40-43 s1 | s2"][..]),
        ("quorum-half", &["5-26 s1,s2,a1 | s3 | s4,s5,b1"]),
        ("quorum-half", &["5-60 s1,s2,a1 | s3,s4,s5,b1"]),
        ("quorum-half", &["5- leader | others"]),
        ("quorum-even/five", &["5-35 s1,s2,a1 | s3 | s4,s5,b1", "40- a1,b1 | others"]),
        ("master-stale-cache", &["4-60 m1 | s1,s2,s3,m2,m3", "20-30 leader | followers"]),
        ("mail-claims/right", &["2-50 s1,w1,w2 | s2,w3 | s3,w4,sink"]),
    ] {
        let cuts: Vec<&str> = cuts.iter().flat_map(|cut| ["--partition", cut]).collect();
        let ended = run(folder.path(), &[&["storm", lesson, "--no-shrink"], &cuts[..]].concat());
        assert_eq!(ended.code, PASS, "{lesson} {cuts:?}: {ended:?}");
    }
}

#[test]
fn a_cut_says_what_nodes_on_no_side_hear() {
    let folder = scratch();
    let told = |cut| {
        let storm = ["storm", "quorum-half", "--no-shrink", "--partition", cut];
        run(folder.path(), &storm).err
    };
    let rest = "note: s3, s4, s5, a1 and b1 are on no side and hear everybody\n";
    assert!(told("5-9 s1 | s2").contains(rest));
    assert!(
        told("5-9 s1,s2,s3,a1 | s4,b1").contains("note: s5 is on no side and hears everybody\n")
    );
    assert!(!told("5-9 s1,s2,s3,a1 | s4,s5,b1").contains("no side"));
    assert!(!told("5-9 leader | others").contains("no side"));
    // The words stand for all servers, whoever leads.
    assert!(
        told("5-9 leader | followers")
            .contains("note: a1 and b1 are on no side and hear everybody\n")
    );
    let unknown = "note: whoever is on no side of the cut hears everybody; a replay names them\n";
    assert!(told("5-9 leader | s1,a1,b1").contains(unknown));
}

#[test]
fn a_plan_and_a_file_say_what_nodes_on_no_side_hear_and_so_does_each_replay() {
    let folder = scratch();
    let fault = "[[faults]]\nat_ms = 5000\nlasts_ms = 4000\nkind.partition = { sides = [[\"s1\", \"s2\", \"a1\"], \
                 [\"s4\", \"s5\", \"b1\"]] }\n";
    fs::write(folder.path().join("p.toml"), fault).unwrap();
    let file = format!("scenario = \"mine\"\nworkload = \"quorum-half/right\"\n{fault}");
    fs::write(folder.path().join("mine.toml"), file).unwrap();
    let rest = "s3 is on no side and hears everybody";
    for arguments in [
        &["storm", "quorum-half/right", "--no-shrink", "--plan", "p.toml"][..],
        &["storm", "mine.toml", "--no-shrink"],
        &["replay", "quorum-half/right", "--plan", "p.toml"],
    ] {
        let ended = run(folder.path(), arguments);
        assert!(ended.err.contains(&format!("note: {rest}\n")), "{arguments:?}: {ended:?}");
    }
    let replayed =
        |cut: &[&str]| run(folder.path(), &[&["replay", "quorum-half/right"], cut].concat()).out;
    assert!(replayed(&["--plan", "p.toml"]).contains(rest));
    let words = replayed(&["--partition", "5-9 leader | s1,a1,b1"]);
    assert!(words.contains(" are on no side and hear everybody"), "{words}");
}

#[test]
fn a_fault_without_an_end_is_told_for_as_long_as_the_run_let_it_last() {
    let folder = scratch();
    let plan = "lasts_ms = 30000\n\n[[faults]]\nat_ms = 1000\nlasts = \"forever\"\nkind.crash = { nodes = [\"s1\"] }\n";
    fs::write(folder.path().join("p.toml"), plan).unwrap();
    let told =
        |scenario| run(folder.path(), &["replay", scenario, "--seed", "1", "--plan", "p.toml"]).out;
    // The storm of the main scenario heals, a lesson's goes on to its end.
    let healed = told("mail-claims");
    assert!(healed.contains("s1 crashes, down for 29.0 s"), "{healed}");
    let kept = told("quorum-half/right");
    assert!(kept.contains("s1 crashes, down for good"), "{kept}");
}

#[test]
fn how_long_two_masters_believed_in_themselves_is_shown_though_they_did_harm() {
    let folder = scratch();
    let cut = "4-20 m1 | s1,s2,s3,m2,m3";
    let arguments = ["storm", "master-stale-cache/cached", "--partition", cut, "--no-shrink"];
    let ended = run(folder.path(), &[&arguments[..], &["--json", "-"]].concat());
    let json: Value = serde_json::from_str(&ended.out).unwrap();
    let most_ms = &json["figures"]["two_masters_believed_ms_max"];
    assert!((8_000..16_000).contains(&most_ms.as_u64().unwrap()), "{most_ms}");
    let told = run(folder.path(), &arguments).out;
    assert!(told.contains("two masters believed"), "{told}");
}

#[test]
fn what_a_lesson_does_not_have_is_refused_with_a_next_step() {
    let folder = scratch();
    let cases: &[(&[&str], &[&str])] = &[
        (
            &["storm", "quorum-half", "--variant", "wrng"],
            &["no design 'wrng'", "did you mean 'wrong'?"],
        ),
        (&["storm", "quorum-haf"], &["did you mean 'quorum-half'?"]),
        (&["storm", "ensemble", "--variant", "wrong"], &["unknown scenario 'ensemble/wrong'"]),
        (&["scenarios", "quorum-haf", "--check"], &["did you mean 'quorum-half'?"]),
        (&["scenarios", "--storms", "3"], &["--check"]),
        (&["storm", "quorum-half", "--partition", "5-20 s1"], &["expected something like"]),
        (
            &["storm", "quorum-half", "--partition", "5-20 s1 | s7"],
            &["`s7`", "does not exist", "s1, s2"],
        ),
        (&["storm", "quorum-half", "--partition", "5-20 s1 | s1"], &["`s1` twice"]),
        (
            &["storm", "quorum-half", "--set", "leader=2"],
            &["s2 cannot be made to lead first", "3 to 5"],
        ),
        (
            &["storm", "quorum-half/wrong", "--set", "quorum=7"],
            &["`quorum` is 7, and there are 5 servers"],
        ),
        (&["scenarios", "--faults", "--check"], &["cannot be used with"]),
        (
            &["storm", "quorum-half", "--partition", "5-20 s1 | s2", "--all-faults"],
            &["cannot be used with"],
        ),
    ];
    for (arguments, words) in cases {
        check(folder.path(), arguments, words);
    }
}

#[test]
fn a_lesson_asks_first_then_shows_and_grades_and_remembers() {
    let folder = scratch();
    let learn = |arguments: &[&str]| {
        let ended = run(folder.path(), &[&["learn"], arguments].concat());
        assert_eq!(ended.code, PASS, "{arguments:?}: {ended:?}");
        ended.out
    };
    let path = learn(&[]);
    assert!(path.contains("[ ]  8. quorum-half"), "{path}");
    // Nobody is there to be asked: it says how to answer, and gives nothing away.
    let asked = learn(&["quorum-half"]);
    assert!(asked.contains("--answer 'leaders-half=?'"), "{asked}");
    assert!(!asked.contains("breaks") && !asked.contains("2 leaders"), "{asked}");
    assert!(!folder.path().join("runs").exists());
    let answers = [
        "--answer",
        "leaders-half=1",
        "--answer",
        "leaders-majority=0",
        "--answer",
        "unavailable=?",
    ];
    let told = learn(&[&["quorum-half"], &answers[..]].concat());
    assert!(told.contains("breaks quorum/minority at 5."), "{told}");
    assert!(told.contains("you said 1; it is 2 leaders"), "{told}");
    assert!(told.contains("right: 0 leaders"), "{told}");
    assert!(told.contains("1. 'wrong': two of five are enough."), "{told}");
    assert!(told.contains("it is 16.139 s (13.639 to 18.639 is right)\n"), "{told}");
    assert!(told.contains("     From the story: 20.0 - 5.0 + 1 = 16\n"), "{told}");
    assert!(told.contains("1 of 3 right"), "{told}");
    assert!(told.contains("page     runs/learn/quorum-half/report.html#t=4."), "{told}");
    let page =
        fs::read_to_string(folder.path().join("runs/learn/quorum-half/report.html")).unwrap();
    assert!(page.contains("<title>quorum-half/wrong seed 1 and quorum-half/right seed 1"));
    assert!(learn(&[]).contains("[x]  8. quorum-half"));
    let json = learn(&[&["quorum-half", "--json", "-"], &answers[..]].concat());
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["right"], &json["is_as_expected"]), (&1.into(), &true.into()));
    assert_eq!(json["questions"][0]["truth"], "2 leaders");
}

#[test]
fn the_capstone_hides_its_cause_until_somebody_has_named_one() {
    let folder = scratch();
    let learn = |arguments: &[&str]| {
        let arguments = [&["learn", "capstone", "--hidden", "2"], arguments].concat();
        let ended = run(folder.path(), &arguments);
        assert_eq!(ended.code, PASS, "{ended:?}");
        ended.out
    };
    let asked = learn(&[]);
    assert!(asked.contains("VIOLATION  ") && asked.contains("--answer 'cause=?'"), "{asked}");
    assert!(!asked.contains("--defect") && !asked.contains("-> "), "{asked}");
    let page = folder.path().join("runs/learn/capstone-2/report.html");
    assert!(fs::read_to_string(page).unwrap().contains("mail-claims"));
    let told = learn(&["--answer", "cause=no-fence"]);
    assert!(told.contains("you said no-fence; it is "), "{told}");
    let line = told.lines().find(|line| line.starts_with("replay   ")).unwrap();
    let replay: Vec<&str> = line.split_whitespace().skip(2).collect();
    assert_eq!(run(folder.path(), &replay).code, VIOLATION, "{replay:?}");
}

#[test]
fn whoever_knows_nothing_is_shown_the_solution_and_the_lesson_is_not_done() {
    let folder = scratch();
    for lesson in lessons::all() {
        let answers = |answer: &str| -> Vec<String> {
            let given =
                lesson.questions.iter().map(|question| format!("{}={answer}", question.key));
            given.flat_map(|given| ["--answer".to_owned(), given]).collect()
        };
        let answers = answers("?");
        let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
        let ended = run(
            folder.path(),
            &[&["learn", lesson.name, "--json", "told.json"], &answers[..]].concat(),
        );
        assert_eq!(ended.code, PASS, "{ended:?}");
        let told = ended.out;
        let words = told.split_whitespace().collect::<Vec<_>>().join(" ");
        let json = fs::read_to_string(folder.path().join("told.json")).unwrap();
        let json: Value = serde_json::from_str(&json).unwrap();
        for (question, graded) in lesson.questions.iter().zip(json["questions"].as_array().unwrap())
        {
            let truth = graded["truth"].as_str().unwrap();
            assert!(words.contains(&format!("-> it is {truth}")), "{truth}: {told}");
            assert!(words.contains(question.why), "{}: {told}", question.why);
            if let Some(accepted) = graded["accepted"].as_str() {
                assert!(words.contains(&format!("({accepted} is right)")), "{accepted}: {told}");
            }
            assert_eq!((&graded["answer"], &graded["is_right"]), (&Value::Null, &false.into()));
        }
        let of = lesson.questions.len();
        assert!(told.contains(&format!("\n0 of {of} right\n")), "{told}");
        assert!(told.contains("A lesson with nothing right is not done"), "{told}");
        let is_prose = |line: &&str| !line.starts_with("page ");
        let wide = told.lines().filter(is_prose).find(|line| line.chars().count() > 80);
        assert_eq!(wide, None, "{}", lesson.name);
    }
    let path = run(folder.path(), &["learn"]).out;
    assert!(path.starts_with("The path, 0 of 17 lessons done:\n"), "{path}");
    assert!(path.contains("[ ]  1. mail-flag            0 of 3  "), "{path}");
    assert!(path.ends_with("next     mailstorm learn mail-flag\n"), "{path}");
}

#[test]
fn a_file_of_what_was_learned_that_cannot_be_read_is_told_and_kept() {
    let folder = scratch();
    fs::create_dir_all(folder.path().join("runs/learn")).unwrap();
    let file = folder.path().join("runs/learn/path.json");
    fs::write(&file, "[]").unwrap();
    let ended = run(folder.path(), &["learn"]);
    assert_eq!(ended.code, PASS, "{ended:?}");
    assert!(ended.err.starts_with("note: runs/learn/path.json: "), "{ended:?}");
    assert!(ended.out.starts_with("The path, 0 of 17"), "{ended:?}");
    let answers =
        ["--answer", "four-survive=1", "--answer", "six-survive=?", "--answer", "halves=?"];
    let ended = run(folder.path(), &[&["learn", "quorum-even"], &answers[..]].concat());
    assert!(ended.code == PASS && ended.err.contains("path.json.old"), "{ended:?}");
    assert!(ended.out.contains("right: 1 server\n"), "{}", ended.out);
    let aside = folder.path().join("runs/learn/path.json.old");
    assert_eq!(fs::read_to_string(aside).unwrap(), "[]");
    let ended = run(folder.path(), &["learn"]);
    assert!(ended.err.is_empty() && ended.out.contains("[x]  9. quorum-even"), "{ended:?}");
}

#[test]
fn what_cannot_be_learned_is_refused_with_a_next_step() {
    let folder = scratch();
    let cases: &[(&[&str], &[&str])] = &[
        (&["learn", "quorum-haf"], &["did you mean 'quorum-half'?"]),
        (
            &["learn", "quorum-half", "--answer", "leaders=2"],
            &["no question 'leaders'", "leaders-half"],
        ),
        (&["learn", "quorum-half", "--answer", "leaders-half=two"], &["'two' is not a number"]),
        (&["learn", "quorum-half", "--answer", "leaders-half=inf"], &["'inf' is not a number"]),
        (
            &["learn", "quorum-half", "--answer", "leaders-half=6"],
            &["6 is out of range", "from 0 to 5"],
        ),
        (&["learn", "quorum-half", "--answer", "2"], &["expected something like leaders=2"]),
        (&["learn", "--answer", "x=1"], &["--answer belongs to a lesson", "mailstorm learn"]),
        (&["learn", "--hidden", "2"], &["--hidden belongs to the capstone"]),
        (&["learn", "mail-flag", "--hidden", "2"], &["--hidden belongs to the capstone"]),
        (
            &["learn", "quorum-half", "--answer", "leaders-half=2", "--answer", "leaders-half=?"],
            &["'leaders-half' is answered twice", "one --answer"],
        ),
        (&["learn", "capstone"], &["--hidden 1"]),
        (&["learn", "capstone", "--hidden", "0"], &["0"]),
        (
            &["learn", "capstone", "--hidden", "1", "--answer", "cause=fence"],
            &["not one of the choices", "no-fence"],
        ),
    ];
    for (arguments, words) in cases {
        check(folder.path(), arguments, words);
    }
    fs::create_dir_all(folder.path().join("taken/learn/path.json")).unwrap();
    check(folder.path(), &["learn", "--out", "taken"], &["cannot read", "path.json", "--out"]);
    fs::write(folder.path().join("file"), "").unwrap();
    let answers = [
        "--answer",
        "leaders-half=?",
        "--answer",
        "leaders-majority=?",
        "--answer",
        "unavailable=?",
    ];
    let arguments = [&["learn", "quorum-half", "--out", "file"], &answers[..]].concat();
    let ended = run(folder.path(), &arguments);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.err.contains("cannot read file/learn/path.json"), "{}", ended.err);
}

/// The examples that people copy from.
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenarios/examples");

#[test]
fn every_example_of_a_scenario_in_a_file_is_as_it_expects() {
    let folder = scratch();
    let mut count = 0;
    for entry in fs::read_dir(EXAMPLES).unwrap() {
        let file = entry.unwrap().path();
        let file = file.to_str().unwrap();
        let ended = run(folder.path(), &["storm", file, "--seeds", "3", "--no-shrink"]);
        assert_eq!(ended.code, PASS, "{file}: {ended:?}");
        assert!(ended.out.contains(": 3 of 3 runs as expected\n  page     "), "{}", ended.out);
        assert_eq!(run(folder.path(), &["replay", file]).code, PASS, "{file}");
        count += 1;
    }
    assert!(count >= 2);
}

#[test]
fn a_scenario_in_a_file_exits_by_what_it_expects() {
    let folder = scratch();
    let write = |name: &str, expect: &str| {
        let text = format!(
            "scenario = \"cut\"\nworkload = \"quorum-half/wrong\"\nlasts_ms = 30000\n\n[[faults]]\nat_ms = 5000\n\
             lasts_ms = 15000\nkind.partition = {{ sides = [[\"s1\", \"s2\", \"a1\"], [\"s3\", \"s4\", \"s5\", \"b1\"]] }}\n{expect}"
        );
        fs::write(folder.path().join(name), text).unwrap();
    };
    let broken =
        "\"quorum/unpromised\", \"split-brain/late_commit\", \"linearizable/not_linearizable\"";
    write("breaks.toml", &format!("[expect]\nviolations = [{broken}]\n"));
    write("holds.toml", "[expect]\nviolations = []\n");
    write("asks-nothing.toml", "");
    let storm = |file| run(folder.path(), &["storm", file, "--no-shrink"]);
    let breaks = storm("breaks.toml");
    assert_eq!(breaks.code, PASS, "{breaks:?}");
    assert!(breaks.out.contains("\ncut: 1 of 1 run as expected\n  page     "), "{}", breaks.out);
    let holds = storm("holds.toml");
    assert_eq!(holds.code, VIOLATION, "{holds:?}");
    assert!(holds.out.contains("\ncut: 0 of 1 run as expected\n  page     "), "{}", holds.out);
    assert!(holds.err.contains("seed 1: breaks linearizable/not_linearizable, "), "{}", holds.err);
    let line = holds.err.lines().find(|line| line.contains("  replay   mailstorm ")).unwrap();
    let replay: Vec<&str> =
        line.split_whitespace().skip(2).take_while(|word| *word != "#").collect();
    assert_eq!(run(folder.path(), &replay).code, VIOLATION, "{replay:?}");
    assert_eq!(storm("asks-nothing.toml").code, VIOLATION);
    check(folder.path(), &["storm", "absent.toml"], &["cannot read absent.toml", "check the path"]);
}

/// Skipped, with a line that says so, where no Chromium is installed.
#[test]
fn the_pages_of_lessons_open_wide_and_narrow_with_the_moment_that_decides_in_view() {
    let names = [
        "mail-flag",
        "mail-pause-no-fence",
        "quorum-half",
        "quorum-leader-dies",
        "master-stale-cache",
    ];
    let folder = scratch();
    let pages = names.map(|name| {
        let lesson = lessons::lesson(name).unwrap();
        let answers = lesson.questions.iter().map(|question| format!("{}=?", question.key));
        let answers: Vec<String> = answers.flat_map(|answer| ["--answer".into(), answer]).collect();
        let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
        let ended = run(folder.path(), &[&["learn", name], &answers[..]].concat());
        assert_eq!(ended.code, PASS, "{ended:?}");
        let page = ended.out.lines().find_map(|line| line.strip_prefix("page     ")).unwrap();
        let (file, fragment) = page.split_once('#').unwrap();
        (lesson, folder.path().join(file), format!("#{fragment}"))
    });
    for width in [1_280, 390] {
        let Some(mut browser) = Browser::start(width, 1_000) else { return };
        for (lesson, page, fragment) in &pages {
            browser.open(page, fragment);
            let name = lesson.name;
            let text = |browser: &mut Browser, id: &str| {
                browser.evaluate(&format!("document.getElementById('{id}').textContent"))
            };
            let head = text(&mut browser, "verdict");
            assert!(head.as_str().unwrap().starts_with("Violation of"), "{name}: {head}");
            let story = text(&mut browser, "again");
            assert!(story.as_str().unwrap().contains(lesson.story), "{name}: {story}");
            let view = browser.evaluate("window.mailstorm.view()");
            let from_s = view["from"].as_f64().unwrap() / 1e9;
            let asked: f64 = fragment[3..].split('-').next().unwrap().parse().unwrap();
            assert!((from_s - asked).abs() < 0.01, "{name}: {view} for {fragment}");
            let fits = "document.documentElement.scrollWidth <= window.innerWidth";
            assert_eq!(browser.evaluate(fits), Value::Bool(true), "{name} at {width}");
            let lanes = browser.evaluate("document.querySelectorAll('canvas').length");
            assert!(lanes.as_u64() >= Some(2), "{name}: the designs are stacked: {lanes}");
        }
        assert_eq!(browser.complaints, Vec::<String>::new());
        let own = |address: &&String| address.starts_with("file://") || *address == "about:blank";
        assert_eq!(browser.requests.iter().filter(|address| !own(address)).count(), 0);
    }
}
