//! The page of a run, in a headless Chromium: it opens from disk, shows what broke, and answers to
//! keys, pointer, filter, scrubber and fragment.
//!
//! Skipped, with a line that says so, where no Chromium is installed.

use crate::browser::Browser;
use crate::support::run;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use mailstorm_mail::defect::Defect;
use mailstorm_record::Run;
use mailstorm_reports::page::{Shown, page};
use mailstorm_world::{Recording, RunSpec};
use serde_json::{Value, json};
use std::io::Read;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The page of the run that the README shows: the sink takes results from anybody.
fn broken(folder: &TempDir) -> PathBuf {
    let seeds = [
        "storm",
        "mail-claims",
        "--defect",
        "lock-without-fencing",
        "--seeds",
        "3..3",
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
    // The moment as the terminal tells it.
    assert!(head.as_str().unwrap().contains(", at 10.870 s,"), "{head}");
    let view = browser.evaluate("window.mailstorm.view()");
    let (from, to) = (view["from"].as_f64().unwrap(), view["to"].as_f64().unwrap());
    // The run ends with what it broke on.
    assert!(view["instant"].as_f64().is_some_and(|at| from < at && at <= to), "{view}");
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
    browser.open(&page, "#t=5.000-10.000&s=7.500&e=400");
    let view = browser.evaluate("window.mailstorm.view()");
    assert_eq!(
        view,
        json!({ "from": 5_000_000_000_u64, "to": 10_000_000_000_u64, "instant": 7_500_000_000_u64 })
    );
    assert_eq!(browser.evaluate("window.mailstorm.selection().event"), json!(400));
}

/// The pages of lessons whose designs break, stacked as the lesson shows them, and of a run that
/// passes.
fn stacked(folder: &TempDir) -> PathBuf {
    let at = folder.path();
    for (design, file) in [("quorum-half/wrong", "a.json"), ("quorum-half/right", "b.json")] {
        let replayed = run(at, &["replay", design, "--seed", "1", "--json", file]);
        assert!(matches!(replayed.code, Some(0 | 1)), "{replayed:?}");
    }
    let ended = run(at, &["report", "a.json", "b.json", "--out", "stacked.html"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    at.join("stacked.html")
}

/// What the page of this run is told.
fn data_of(run: &Run) -> Value {
    told_to(&page(&[Shown { run, about: None, replay: "", missing: None }]))[0].clone()
}

/// What this page is told, of each of its runs.
pub(crate) fn told_to(page: &str) -> Value {
    let packed =
        page.split("<script id=\"data\" type=\"application/gzip;base64\">").nth(1).unwrap();
    let packed = STANDARD.decode(packed.split('<').next().unwrap()).unwrap();
    let mut text = String::new();
    GzDecoder::new(&*packed).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn every_violation_of_lessons_and_defects_has_a_chain_from_a_cause_and_a_stretch_within_the_run() {
    let runs = [
        ("quorum-half/wrong", 1, None),
        ("mail-flag/flag-first", 1, None),
        ("mail-pause-no-fence/no-fence", 1, None),
        ("master-stale-cache/cached", 1, None),
        ("quorum-leader-dies/wrong", 1, None),
        ("quorum-bridge/wrong", 1, None),
        ("mail-ghost-claim/wrong", 1, None),
        ("mail-manager/wrong", 1, None),
        ("mail-claims", 3, Some(Defect::LockWithoutFencing.id())),
    ];
    for (name, seed, defect) in runs {
        let run = mailstorm_world::run(&RunSpec {
            recording: Recording::Full,
            defect,
            ..RunSpec::new(mailstorm_scenarios::find(name, None).unwrap(), seed)
        });
        let data = data_of(&run);
        let kind = |event: &Value| {
            let kind = &data["events"]["kind"][event.as_u64().unwrap() as usize];
            data["kinds"][kind.as_u64().unwrap() as usize].as_str().unwrap()
        };
        let violations: Vec<&Value> = data["verdicts"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|v| !v["moment"].is_null())
            .collect();
        assert!(!violations.is_empty(), "{name} breaks");
        for violation in violations {
            let told = format!("{name}: {violation}");
            let moment = &violation["moment"];
            let chain = moment["chain"].as_array().unwrap();
            assert!(chain.len() >= 2 && chain.is_sorted_by_key(|e| e.as_u64()), "{told}");
            assert!(chain.iter().all(|event| kind(event) != "state"), "{told}");
            let from = match moment["fault"].as_i64().unwrap() {
                -1 => {
                    assert_eq!(kind(&chain[0]), "started", "{told}");
                    0
                }
                fault => data["faults"][fault as usize]["from"].as_u64().unwrap(),
            };
            let end = |end: &str| moment["opens"][end].as_u64().unwrap();
            let at = violation["at"].as_u64().unwrap();
            assert!(end("from") <= from && at <= end("to"), "{told}");
            assert!(end("to") <= data["virtual_ns"].as_u64().unwrap(), "{told}");
            // Whatever is missing is named, and so is whoever it waits for.
            if violation["checker"] == "exactly-once" && violation["kind"] == "lost" {
                let missing = moment["stuck"]["missing"]["names"].as_array().unwrap();
                let count = violation["detail"].as_str().unwrap().split(' ').next().unwrap();
                assert_eq!(missing.len().to_string(), count, "{told}");
                assert!(!moment["stuck"]["behind"].as_array().unwrap().is_empty(), "{told}");
            }
        }
    }
}

#[test]
fn neither_the_page_nor_its_script_names_a_system() {
    let systems = [
        "ensemble",
        "ensemblefact",
        "clientfact",
        "mailfact",
        "applicationfact",
        "znode",
        "znodes",
        "zxid",
        "session",
        "sessions",
        "leader",
        "leaders",
        "master",
        "mail",
        "mails",
        "claim",
        "claims",
        "sink",
        "broker",
        "isr",
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../reports/src/page");
    let assets = std::fs::read_dir(folder.join("assets")).unwrap();
    let files = std::fs::read_dir(&folder).unwrap().chain(assets).map(|file| file.unwrap().path());
    let is_test = |path: &PathBuf| path.ends_with("tests.rs") || path.ends_with("samples.rs");
    let mut seen = 0;
    for path in files.filter(|path| path.is_file() && !is_test(path)) {
        seen += 1;
        let text = std::fs::read_to_string(&path).unwrap().to_lowercase();
        let program = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for (line, text) in program.lines().enumerate() {
            let mut words = text.split(|c: char| !c.is_ascii_alphanumeric());
            let named = words.find(|word| systems.contains(word));
            assert_eq!(named, None, "{}:{}: {text}", path.display(), line + 1);
        }
    }
    assert!(seen > 12, "{seen}");
}

#[test]
fn a_chain_of_causes_is_told_in_the_order_of_time() {
    let Some(mut browser) = Browser::start(1280, 1200) else { return };
    let folder = tempfile::tempdir().unwrap();
    // Of the first, a worker dies with a mail in hand: what it did comes before the fault.
    for name in ["mail-flag/wrong", "mail-ghost-claim/wrong", "quorum-half/wrong"] {
        let out = format!("{}.html", name.replace('/', "-"));
        let made = run(folder.path(), &["report", name, "--out", &out]);
        assert_eq!(made.code, Some(0), "{made:?}");
        browser.open(&folder.path().join(&out), "");
        let times = browser.after_drawing(
            "[...document.querySelectorAll('#event ol.chain')[0].querySelectorAll('.t')].map((t) => t.textContent)",
        );
        let times: Vec<f64> = times
            .as_array()
            .unwrap()
            .iter()
            .map(|time| {
                time.as_str().unwrap().trim().parse().unwrap_or_else(|_| panic!("{name}: {time}"))
            })
            .collect();
        assert!(times.len() > 2 && times.is_sorted(), "{name}: {times:?}");
    }
}

#[test]
fn supervisors_are_no_servers_and_every_node_has_a_role() {
    let run = mailstorm_world::run(&RunSpec {
        recording: Recording::Full,
        ..RunSpec::new(mailstorm_scenarios::find("mail-claims", None).unwrap(), 3)
    });
    let data = data_of(&run);
    let nodes = data["nodes"].as_array().unwrap().iter();
    let roles: Vec<String> = nodes
        .map(|node| {
            format!("{} {}", node["name"].as_str().unwrap(), node["role"].as_str().unwrap())
        })
        .collect();
    for told in
        ["s1 server", "v1 supervisor", "v2 supervisor", "w1 worker", "a1 auditor", "sink sink"]
    {
        assert!(roles.iter().any(|role| role == told), "no {told}: {roles:?}");
    }
    // From its file it is the same, and an old file has no roles.
    let read = Run::parse(&run.to_json()).unwrap();
    assert_eq!(data_of(&read)["nodes"], data["nodes"]);
    let old = Run { roles: Default::default(), ..run };
    assert!(!old.to_json().contains("\"roles\""));
    assert!(data_of(&old)["nodes"].to_string().contains("\"worker\""));
}

#[test]
fn a_page_opens_from_the_cause_to_the_violation_and_ends_with_the_run() {
    let Some(mut browser) = Browser::start(1280, 1200) else { return };
    let folder = tempfile::tempdir().unwrap();
    browser.open(&broken(&folder), "");
    let view = browser.after_drawing("window.mailstorm.view()");
    // The worker is paused at 1.347 s, and the run ends with what its successor does, whom nobody
    // fences.
    let end = view["to"].as_u64().unwrap();
    assert!((10_870_000_000..10_871_000_000).contains(&end), "{view}");
    let from = view["from"].as_u64().unwrap();
    assert!((500_000_000..1_347_000_000).contains(&from), "{view}");
    let chain = "[...document.querySelectorAll('#event ol.chain li')][0].textContent";
    let first = browser.evaluate(chain);
    assert!(first.as_str().unwrap().contains("fault pause of w2"), "{first}");
    // No key leads beyond the run.
    for key in ["-", "ArrowRight", "0", "ArrowRight", "-", "n"] {
        browser.press(key);
        let view = browser.after_drawing("window.mailstorm.view()");
        assert!(view["to"].as_u64().unwrap() <= end, "{key}: {view}");
        assert!(view["from"].as_f64().unwrap() >= 0.0, "{key}: {view}");
    }
    assert_eq!(browser.complaints, Vec::<String>::new());
}

#[test]
fn a_page_without_a_fragment_opens_where_the_printed_one_says() {
    let Some(mut browser) = Browser::start(1280, 1200) else { return };
    let folder = tempfile::tempdir().unwrap();
    let answers = ["leaders-half=2", "leaders-majority=1", "unavailable=?"];
    let told = run(
        folder.path(),
        &[
            &["learn", "quorum-half", "--no-open"][..],
            &answers.map(|answer| ["--answer", answer]).concat(),
        ]
        .concat(),
    );
    let line = told.out.lines().find_map(|line| line.strip_prefix("page")).expect("a page");
    let (page, fragment) = line.trim().split_once("#t=").expect("a fragment");
    let (from, to) = fragment.split_once('-').unwrap();
    browser.open(&folder.path().join(page), "");
    let view = browser.evaluate("window.mailstorm.view()");
    for (end, printed) in [("from", from), ("to", to)] {
        let printed: f64 = printed.parse().unwrap();
        let shown = view[end].as_f64().unwrap() / 1e9;
        assert!((printed - shown).abs() <= 0.001, "{end}: {printed} and {shown}");
    }
    let selected = browser.evaluate("window.mailstorm.selection()");
    browser.open(&folder.path().join(page), &format!("#t={fragment}"));
    assert_eq!(browser.evaluate("window.mailstorm.selection()"), selected);
}

#[test]
fn what_is_missing_stands_in_the_panel_with_since_when_and_behind_whom() {
    let Some(mut browser) = Browser::start(1280, 1200) else { return };
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["report", "mail-ghost-claim/wrong", "--seed", "1", "--out", "page.html"];
    let ended = run(folder.path(), &arguments);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    browser.open(&folder.path().join("page.html"), "");
    let what = browser.evaluate("document.getElementById('what').textContent");
    let what = what.as_str().unwrap();
    assert!(
        what.contains("Stuck since") && what.contains("behind w1 (holds /mail/lock/"),
        "{what}"
    );
    let missing = browser.evaluate("document.getElementById('missing').textContent");
    assert_eq!(missing.as_str().unwrap().split(", ").count(), 100);
    // Sessions and ephemerals say whose they are.
    let state = browser.evaluate("document.getElementById('state').textContent");
    let state = state.as_str().unwrap();
    assert!(state.contains("of w1, session 0x"), "{state}");
    assert!(state.contains("w2 session 0x"), "{state}");
}

#[test]
fn sides_of_a_partition_are_lettered_in_the_lanes_and_named_in_the_state() {
    let Some(mut browser) = Browser::start(1280, 1200) else { return };
    let folder = tempfile::tempdir().unwrap();
    let page = stacked(&folder);
    browser.open(&page, "#t=6.000-7.000&s=6.500");
    let sides = browser.after_drawing("window.mailstorm.visible()[0].sides.toSorted().join(', ')");
    assert_eq!(sides, json!("a1 A, b1 C, s1 A, s2 A, s3 B, s4 C, s5 C"));
    let state = browser.evaluate("document.getElementById('state').textContent");
    for told in [
        "side A: s1, s2, a1; hears nobody of sides B and C",
        "side B: s3; hears nobody of sides A and C",
        "side C: s4, s5, b1; hears nobody of sides A and B",
    ] {
        assert!(state.as_str().unwrap().contains(told), "{state}");
    }
    // Over, they are gone.
    browser.open(&page, "#t=21.000-22.000&s=21.500");
    assert_eq!(browser.after_drawing("window.mailstorm.visible()[0].sides.length"), json!(0));
}

#[test]
fn each_panel_of_stacked_runs_says_which_run_it_is_about() {
    let Some(mut browser) = Browser::start(1280, 1200) else { return };
    let folder = tempfile::tempdir().unwrap();
    browser.open(&stacked(&folder), "");
    let panels = "['details', 'instant', 'listing'].map((id) => \
                  document.querySelector(`#${id} h2`).textContent).join(' | ')";
    let runs = ["quorum-half/wrong, seed 1", "quorum-half/right, seed 1"];
    for (key, own, other) in [("n", 0, 1), ("r", 1, 0), (".", 1, 0), ("f", 1, 0), ("r", 0, 1)] {
        browser.press(key);
        let told = browser.after_drawing(panels);
        let told = told.as_str().unwrap();
        assert_eq!(told.matches(runs[own]).count(), 3, "{key}: {told}");
        assert!(!told.contains(runs[other]), "{key}: {told}");
    }
    let heads = browser.evaluate("document.getElementById('verdicts').textContent");
    assert!(runs.iter().all(|run| heads.as_str().unwrap().contains(run)), "{heads}");
}

#[test]
fn after_a_fault_the_next_event_is_the_first_that_comes_of_it() {
    let Some(mut browser) = Browser::start(1280, 1200) else { return };
    let folder = tempfile::tempdir().unwrap();
    browser.open(&broken(&folder), "");
    browser.press("0");
    browser.evaluate(
        "{ const s = document.getElementById('scrubber'); s.value = '0'; \
         s.dispatchEvent(new Event('input')); }",
    );
    browser.press("f");
    let fault = browser.after_drawing("window.mailstorm.selection().fault");
    browser.press(".");
    let event = browser.after_drawing("window.mailstorm.selection().event");
    let place =
        format!("{{ const e = window.mailstorm.events(); [e.at[{event}], e.node[{event}]] }}");
    let place = browser.evaluate(&place);
    assert!(place[0].as_f64() >= fault["from"].as_f64(), "{place} {fault}");
    assert!(fault["nodes"].as_array().unwrap().contains(&place[1]), "{place} {fault}");
    let earlier = format!(
        "{{ const e = window.mailstorm.events(); e.at.findIndex((at, i) => at >= {} \
         && {}.includes(e.node[i])) }}",
        fault["from"], fault["nodes"]
    );
    assert_eq!(browser.evaluate(&earlier), event, "nothing lies between");
    // And the next fault is the one after it.
    browser.press("f");
    let next = browser.after_drawing("window.mailstorm.selection().fault.from");
    assert!(next.as_f64() > fault["from"].as_f64(), "{next} {fault}");
}

#[test]
fn whichever_two_keys_are_pressed_what_is_selected_is_what_every_panel_shows() {
    let Some(mut browser) = Browser::start(1280, 1200) else { return };
    let folder = tempfile::tempdir().unwrap();
    browser.open(&stacked(&folder), "");
    // In the page, since there are hundreds of pairs; each begins where the page opens.
    let check = r#"{
        const keys = ["n", "p", "f", "F", ".", ",", "+", "-", "0", "r", "ArrowLeft", "ArrowRight", "Escape"];
        const wrong = [];
        const look = (pressed) => {
            const { view, selection, events } = window.mailstorm;
            const { from, to, instant } = view();
            const chosen = selection();
            const kinds = [chosen.violation >= 0, chosen.fault !== null, chosen.event >= 0 && chosen.violation < 0];
            const title = document.getElementById("details-title").textContent;
            const complain = (what) => wrong.push(`${pressed}: ${what}: ${JSON.stringify([chosen, view(), title])}`);
            if (kinds.filter(Boolean).length > 1) complain("more than one thing is selected");
            if (!(from >= 0 && to > from && to <= 32e9 && instant >= 0 && instant <= 32e9)) complain("view");
            const kind = kinds[0] ? "Violation" : kinds[1] ? "Fault" : "Event";
            if (!title.startsWith(kind)) complain("details");
            if (kinds[1] && chosen.fault.from !== instant) complain("instant of the fault");
            if (kinds[2] && events(chosen.run).at[chosen.event] !== instant) complain("instant of the event");
            const name = chosen.run ? "quorum-half/right" : "quorum-half/wrong";
            for (const id of ["details-title", "when", "listing-title"]) {
                if (!document.getElementById(id).textContent.includes(name)) complain(id);
            }
            if (!document.getElementById("when").textContent.startsWith((instant / 1e9).toFixed(3))) complain("state");
            const row = document.querySelector(".row.selected");
            if (row && Number(row.dataset.event) !== chosen.event) complain("row");
            if (kinds[2] && !row) complain("no row");
        };
        for (const one of keys) {
            for (const two of keys) {
                window.mailstorm.press("0");
                window.mailstorm.press("Escape");
                window.mailstorm.press("n");
                window.mailstorm.press(one);
                look(one);
                window.mailstorm.press(two);
                look(`${one} ${two}`);
            }
        }
        wrong.slice(0, 5).join("\n")
    }"#;
    assert_eq!(browser.evaluate(check), json!(""));
    // Faults and violations that begin at the same time are all come to.
    let seen = browser.evaluate(
        r#"{
        const seen = new Set();
        window.mailstorm.press("Escape");
        for (let i = 0; i < 9; i++) {
            window.mailstorm.press("n");
            seen.add(window.mailstorm.selection().violation);
        }
        seen.size
    }"#,
    );
    assert_eq!(seen, json!(3));
    assert_eq!(browser.complaints, Vec::<String>::new());
}

#[test]
fn every_text_and_sign_stands_out_in_light_and_in_dark() {
    let Some(mut browser) = Browser::start(1280, 1200) else { return };
    let folder = tempfile::tempdir().unwrap();
    let page = broken(&folder);
    for theme in ["light", "dark"] {
        browser.prefer(theme);
        browser.open(&page, "");
        browser.press("?");
        let weak = browser.after_drawing(CONTRAST);
        assert_eq!(weak, json!([]), "{theme}");
        let paper = browser.evaluate("getComputedStyle(document.body).backgroundColor");
        let is_dark = paper == json!("rgb(21, 23, 27)");
        assert_eq!(is_dark, theme == "dark", "{paper}");
    }
}

/// Every text of the document, every sign of the legend and every colour of the lanes that stands
/// out against what is behind it by less than 4.5 to 1 (WCAG 2, contrast ratio).
const CONTRAST: &str = r##"(() => {
    const parts = (colour) => colour.match(/[\d.]+/g).map(Number);
    const shine = (colour) => {
        const [r, g, b] = parts(colour).slice(0, 3).map((c) => c / 255)
            .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ratio = (a, b) => {
        const [low, high] = [shine(a), shine(b)].sort((x, y) => x - y);
        return (high + 0.05) / (low + 0.05);
    };
    const behind = (at) => {
        for (let e = at; e; e = e.parentElement) {
            const colour = getComputedStyle(e).backgroundColor;
            if ((parts(colour)[3] ?? 1) === 1) return colour;
        }
        return getComputedStyle(document.body).backgroundColor;
    };
    const weak = [];
    const check = (name, colour, ground) => {
        const found = ratio(colour, ground);
        if (found < 4.5) weak.push(`${name}: ${found.toFixed(2)}`);
    };
    for (const e of document.querySelectorAll("body *")) {
        const hasText = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
        if (hasText && e.tagName !== "SCRIPT" && e.checkVisibility()) {
            check(`${e.tagName} ${e.textContent.slice(0, 30)}`, getComputedStyle(e).color, behind(e));
        }
    }
    for (const e of document.querySelectorAll("#legend .sign")) {
        const style = getComputedStyle(e);
        const ground = behind(e.parentElement);
        const lines = ["Top", "Left"].filter((side) => style[`border${side}Style`] !== "none")
            .map((side) => style[`border${side}Color`]);
        const fill = (parts(style.backgroundColor)[3] ?? 1) === 1 ? [style.backgroundColor] : [];
        const drawn = style.backgroundImage.match(/rgb\([^)]*\)/);
        const text = e.textContent && !fill.length ? [style.color] : [];
        const seen = [...lines, ...fill, ...text, ...(drawn ? [drawn[0]] : [])];
        if (!seen.some((colour) => ratio(colour, ground) >= 4.5)) weak.push(`sign ${e.className}`);
    }
    const colours = window.mailstorm.palette();
    const probe = document.createElement("span");
    document.body.append(probe);
    const rgb = (name) => {
        probe.style.color = colours[name];
        return getComputedStyle(probe).color;
    };
    const fills = Object.keys(colours).filter((name) => name.endsWith("-fill"));
    if (fills.length < 4) weak.push(`fills: ${fills}`);
    const grounds = ["paper", "stripe", "line", ...fills];
    for (const name of Object.keys(colours).filter((name) => !grounds.includes(name))) {
        if (!colours[name]) weak.push(`no colour ${name}`);
        check(`${name} on paper`, rgb(name), rgb("paper"));
        check(`${name} on stripe`, rgb(name), rgb("stripe"));
    }
    for (const fill of fills) check(`ink on ${fill}`, rgb("ink"), rgb(fill));
    return weak;
})()"##;

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
