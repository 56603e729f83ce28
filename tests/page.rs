//! The page of a run, in a headless Chromium: it opens from disk, shows what broke, and answers to keys,
//! pointer, filter, scrubber and fragment.
//!
//! Skipped, with a line that says so, where no Chromium is installed.

use crate::browser::Browser;
use crate::support::run;
use mailstorm_record::Run;
use mailstorm_reports::page::{Shown, page};
use mailstorm_world::{Recording, RunSpec};
use serde_json::{Value, json};
use std::path::PathBuf;
use tempfile::TempDir;

/// The page of the run that the README shows: the sink takes results from anybody.
fn broken(folder: &TempDir) -> PathBuf {
    let seeds = [
        "storm",
        "mail-claims",
        "--defect",
        "lock-without-fencing",
        "--seeds",
        "98..98",
        "--no-shrink",
    ];
    let ended = run(folder.path(), &seeds);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let line =
        ended.err.lines().chain(ended.out.lines()).find_map(|l| l.trim().strip_prefix("report"));
    let page = folder.path().join(line.expect("a violation names its page").trim());
    assert!(page.is_file(), "{}", page.display());
    page
}

#[test]
fn a_page_opens_from_disk_asks_for_nothing_and_has_the_violation_in_view() {
    let Some(mut browser) = Browser::start(1280, 1200) else { return };
    let folder = tempfile::tempdir().unwrap();
    let page = broken(&folder);
    browser.open(&page, "");
    let head = browser.evaluate("document.getElementById('verdict').textContent");
    assert!(head.as_str().unwrap().starts_with("Violation of"), "{head}");
    let view = browser.evaluate("window.mailstorm.view()");
    let (from, to) = (view["from"].as_f64().unwrap(), view["to"].as_f64().unwrap());
    assert!(view["instant"].as_f64().is_some_and(|at| from < at && at < to), "{view}");
    assert!(browser.evaluate("window.mailstorm.selection()")["event"].as_i64() > Some(0));
    let own = |address: &&String| address.starts_with("file://") || *address == "about:blank";
    assert_eq!(browser.requests.iter().filter(|address| !own(address)).count(), 0);
    assert_eq!(browser.requests.iter().filter(|a| a.starts_with("file://")).count(), 1);
    assert_eq!(browser.complaints, Vec::<String>::new());

    // Keys.
    let span = |browser: &mut Browser| {
        let view = browser.after_drawing("window.mailstorm.view()");
        view["to"].as_f64().unwrap() - view["from"].as_f64().unwrap()
    };
    let before = span(&mut browser);
    browser.press("+");
    assert!((span(&mut browser) - before / 2.0).abs() < 2.0);
    browser.press("0");
    assert!(span(&mut browser) > 1e9);
    browser.press("f");
    assert!(!browser.after_drawing("window.mailstorm.selection().fault").is_null());
    browser.press("Escape");
    assert!(browser.after_drawing("window.mailstorm.selection().fault").is_null());
    browser.press("n");
    let chosen = browser.after_drawing("window.mailstorm.selection().event");
    assert!(chosen.as_i64() > Some(0), "{chosen}");

    // The table: a filter, and a row that is clicked.
    let all = browser.evaluate("window.mailstorm.rows()").as_u64().unwrap();
    browser.evaluate(
        "{ const f = document.getElementById('filter'); f.value = 'sink takes'; \
         f.dispatchEvent(new Event('input')); f.scrollIntoView(); }",
    );
    let some = browser.evaluate("window.mailstorm.rows()").as_u64().unwrap();
    assert!(0 < some && some < all, "{some} of {all}");
    let place = browser.after_drawing(
        "(() => { const r = document.querySelector('.row').getBoundingClientRect(); \
         return [r.x + 20, r.y + 8, Number(document.querySelector('.row').dataset.event)]; })()",
    );
    browser.click(place[0].as_f64().unwrap(), place[1].as_f64().unwrap());
    assert_eq!(browser.after_drawing("window.mailstorm.selection().event"), place[2]);

    // The scrubber: the state follows.
    browser.evaluate(
        "{ const s = document.getElementById('scrubber'); s.value = '50000'; \
         s.dispatchEvent(new Event('input')); }",
    );
    let state = browser.after_drawing("document.getElementById('state').textContent");
    for part in ["Servers", "Znodes", "Sessions", "Mails"] {
        assert!(state.as_str().unwrap().contains(part), "no {part}: {state}");
    }
    assert_eq!(browser.complaints, Vec::<String>::new());

    // The fragment brings a view back.
    browser.open(&page, "#t=10.000-20.000&s=15.000&e=400");
    let view = browser.evaluate("window.mailstorm.view()");
    assert_eq!(
        view,
        json!({ "from": 10_000_000_000_u64, "to": 20_000_000_000_u64, "instant": 15_000_000_000_u64 })
    );
    assert_eq!(browser.evaluate("window.mailstorm.selection().event"), json!(400));
}

#[test]
fn text_from_outside_is_text_on_the_page_whatever_it_looks_like() {
    let Some(mut browser) = Browser::start(800, 900) else { return };
    let folder = tempfile::tempdir().unwrap();
    let inbox = folder.path().join("inbox");
    std::fs::create_dir(&inbox).unwrap();
    // The name of a file is the mail's id: it is told in events, and so on the page.
    let name = "<img src=x onerror=document.title=1><script>document.title=2<\u{29f8}script>.eml";
    let mail = "From: <script>alert(1)</script> <a@b>\r\nSubject: <b>&lt;</b>\"'\r\n\r\n<script>alert(2)</script>\r\n";
    std::fs::write(inbox.join(name), mail).unwrap();
    let ended = run(
        folder.path(),
        &["report", "mail-claims", "--seed", "3", "--inbox", "inbox", "--out", "page.html"],
    );
    assert_eq!(ended.code, Some(0), "{ended:?}");
    browser.open(&folder.path().join("page.html"), "");
    let found = browser.evaluate(
        "{ const f = document.getElementById('filter'); f.value = 'onerror tries'; \
         f.dispatchEvent(new Event('input')); document.querySelector('.row').textContent }",
    );
    assert!(found.as_str().unwrap().contains("<img src=x onerror="), "{found}");
    assert_eq!(browser.evaluate("document.querySelectorAll('img').length"), json!(0));
    assert_ne!(browser.evaluate("document.title"), Value::from("1"));
    assert_eq!(browser.complaints, Vec::<String>::new());
}

#[test]
fn the_same_run_gives_the_same_page_from_a_seed_and_from_its_record() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let replayed = run(at, &["replay", "ensemble-3", "--seed", "2", "--json", "full.json"]);
    assert_eq!(replayed.code, Some(0), "{replayed:?}");
    for page in [
        &["report", "ensemble-3", "--seed", "2"][..],
        &["report", "ensemble-3", "--seed", "2", "--out", "again.html"],
        &["report", "full.json"],
    ] {
        let ended = run(at, page);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(at.join(ended.out.trim()).is_file(), "{ended:?}");
    }
    let read = |name: &str| std::fs::read(at.join(name)).unwrap();
    assert!(read("runs/ensemble-3/2/report.html") == read("again.html"));
    // From the file it is replayed by another line; everything else is the same.
    let full = std::fs::read_to_string(at.join("full.json")).unwrap();
    let read_back = Run::parse(&full).unwrap();
    let made = mailstorm_world::run(&RunSpec {
        recording: Recording::Full,
        ..RunSpec::new(mailstorm_scenarios::find("ensemble-3", None).unwrap(), 2)
    });
    let shown = |run| page(&[Shown { run, about: None, replay: "", missing: None }]);
    assert!(shown(&read_back) == shown(&made));
}

#[test]
fn what_is_left_of_a_record_that_was_cut_short_is_shown_and_what_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    run(at, &["replay", "ensemble-3", "--seed", "2", "--json", "full.json"]);
    let full = std::fs::read_to_string(at.join("full.json")).unwrap();
    std::fs::write(at.join("half.json"), &full[..full.len() / 2]).unwrap();
    let ended = run(at, &["report", "half.json", "--out", "half.html"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("cut short"), "{ended:?}");
    assert!(at.join("half.html").is_file());

    std::fs::write(at.join("head.json"), &full[..200]).unwrap();
    std::fs::write(at.join("none.json"), "[]").unwrap();
    std::fs::write(at.join("file"), "").unwrap();
    for (wrong, words) in [
        (&["report", "head.json"][..], "head.json: not a record of a run"),
        (&["report", "none.json"], "give a run.json"),
        (&["report", "missing.json"], "missing.json does not exist"),
        (&["report", "ensemble-3"], "add --seed S"),
        (&["report", "full.json", "--out", "file/page.html"], "cannot write file/page.html"),
    ] {
        let ended = run(at, wrong);
        assert_eq!(ended.code, Some(3), "{wrong:?} {ended:?}");
        assert!(ended.err.contains(words), "{wrong:?} {ended:?}");
        assert_eq!(ended.err.trim().lines().count(), 1, "{ended:?}");
    }
}
