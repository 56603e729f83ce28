//! What the page is told of a run: where it opens, what its violations follow from, what is stuck.

use super::columns::Columns;
use super::samples::{Told, violated};
use super::{Shown, fragment};
use mailstorm_record::{FaultKind, Happening, NodeName, Run, Violation};
use mailstorm_shared::facts::{self, ApplicationFact, ClientFact, EnsembleFact, Looks, Sign, Tone};
use mailstorm_shared::znodes::{Change, Owner};
use mailstorm_shared::{Observation, SessionId, WallTime, Zxid};
use proptest::prelude::*;
use serde_json::{Value, json};

const NS_PER_MS: u64 = 1_000_000;

fn shown(run: &Run) -> Shown<'_> {
    Shown { run, about: None, replay: "", missing: None }
}

fn data(run: &Run) -> Value {
    serde_json::to_value(Columns::of(&shown(run))).unwrap()
}

fn nodes(names: &[&str]) -> Vec<NodeName> {
    names.iter().map(|name| (*name).into()).collect()
}

/// From when to when a page opens, in milliseconds.
fn opens(run: &Run) -> (u64, u64) {
    let data = data(run);
    let ms = |end: &str| data["opens"][end].as_u64().unwrap() / NS_PER_MS;
    (ms("from"), ms("to"))
}

/// A worker is paused, wakes, and does what it should not.
fn pause() -> Told {
    let kind = FaultKind::Pause { nodes: nodes(&["w1"]) };
    Told::default()
        .starts(0, &["w1", "w2", "sink"])
        .sends(100, "w2", "sink", true)
        .begins(1_000, kind, &["w1"])
        .at(1_000, "w1", Happening::Paused)
        .sends(5_000, "w2", "sink", true)
        .ends(6_000, 0)
        .at(6_000, "w1", Happening::Resumed)
        .sends(6_000, "w1", "sink", true)
        .takes(6_001, "m-1", "w1")
}

#[test]
fn a_page_opens_on_the_stretch_from_the_first_cause_to_the_violation() {
    let run = pause().run(Some(violated(6_001, &["w1", "sink"])));
    assert_eq!(opens(&run), (799, 6_201));
    assert_eq!(fragment(&[shown(&run)]), "#t=0.799-6.202");
    // Never beyond the run: it ends with what it broke on.
    let mut run = pause().run(Some(violated(6_001, &["sink"])));
    run.outcome.virtual_ns = 6_001 * NS_PER_MS;
    assert_eq!(opens(&run), (799, 6_001));
    // Without any fault, from the start.
    let run =
        Told::default().starts(3, &["w1"]).tries(500, "w1", "m").run(Some(violated(500, &["w1"])));
    assert_eq!(opens(&run), (0, 520));
}

#[test]
fn a_page_opens_on_the_violation_that_its_record_leads_with_even_if_another_was_earlier() {
    let mut run = pause().run(Some(violated(6_001, &["w1", "sink"])));
    let early = Violation { checker: "early".into(), ..violated(5_000, &["w2"]) };
    run.outcome.verdicts.push(("early".into(), mailstorm_record::Verdict::Violation(early)));
    let on = |run: &Run| {
        let data = data(run);
        data["verdicts"][data["opens_on"].as_u64().unwrap() as usize]["checker"].clone()
    };
    assert_eq!(on(&run), json!("checker"));
    run.outcome.lead_with(&["early/kind"]);
    assert_eq!(on(&run), json!("early"));
}

#[test]
fn a_run_that_passes_opens_on_all_that_happens_in_it() {
    let run = pause().run(None);
    assert_eq!(opens(&run), (0, 6_241));
    let mut run = pause().run(None);
    run.outcome.virtual_ns = 6_001 * NS_PER_MS;
    assert_eq!(opens(&run), (0, 6_001), "never beyond its end");
    let mut run = pause().run(None);
    run.events = None;
    assert_eq!(opens(&run), (0, 7_001), "without events, from beginning to end");
}

/// The words of a chain, and the fault it begins with.
fn chain(run: &Run) -> (Vec<String>, i64) {
    let data = data(run);
    let moment = &data["verdicts"][0]["moment"];
    let events = run.events.as_ref().unwrap();
    let told = |event: &Value| {
        let event = &events[event.as_u64().unwrap() as usize];
        let node = event.node.as_ref().map_or("world", |node| &*node.0);
        format!("{node} {}", crate::words::kind(&event.happening))
    };
    let chain = moment["chain"].as_array().unwrap().iter().map(told).collect();
    (chain, moment["fault"].as_i64().unwrap())
}

#[test]
fn a_chain_of_causes_begins_with_the_fault_and_not_with_its_end() {
    let run = pause().run(Some(violated(6_001, &["w1", "sink"])));
    let expected = ["w1 paused", "w1 resumed", "w1 sent", "sink delivered", "sink sink_accepted"];
    assert_eq!(chain(&run), (expected.map(str::to_owned).to_vec(), 0));
}

#[test]
fn a_chain_without_a_fault_begins_with_the_start_of_a_process() {
    let told = Told::default()
        .starts(0, &["w1", "sink"])
        .tries(400, "w1", "m-1")
        .sends(401, "w1", "sink", true)
        .takes(402, "m-1", "w1");
    let run = told.run(Some(violated(402, &["sink"])));
    let (chain, fault) = chain(&run);
    assert_eq!((chain[0].as_str(), fault), ("sink started", -1));
}

#[test]
fn a_message_that_a_partition_loses_is_a_cause_and_one_that_it_lets_through_is_none() {
    let sides = vec![nodes(&["s1", "w1"]), nodes(&["s2", "sink"])];
    let told = |to: &str| {
        Told::default()
            .starts(0, &["s1", "s2", "w1", "sink"])
            .begins(
                1_000,
                FaultKind::Partition { sides: sides.clone() },
                &["s1", "s2", "w1", "sink"],
            )
            .tries(1_001, "w1", "m-0")
            .tries(2_000, "w1", "m-1")
            .sends(2_001, "w1", to, false)
            .tries(2_002, "w1", "m-2")
            .run(Some(violated(2_002, &["w1"])))
    };
    assert_eq!(chain(&told("s2")).0, ["w1 sent", "w1 mail_attempted"]);
    // Within a side it is lost for another reason: the chain goes back to where the partition
    // began.
    assert_eq!(chain(&told("s1")).0, ["w1 mail_attempted", "w1 mail_attempted"]);
    assert_eq!(chain(&told("s1")).1, 0);
}

fn stuck(run: &Run) -> Value {
    let data = data(run);
    let mut stuck = data["verdicts"][0]["moment"]["stuck"].clone();
    for who in stuck["behind"].as_array_mut().unwrap() {
        let lane = who["node"].as_i64().unwrap();
        let name =
            usize::try_from(lane).map_or("-", |lane| data["nodes"][lane]["name"].as_str().unwrap());
        *who = json!(format!("{name} {}", who["why"].as_str().unwrap()));
    }
    stuck
}

/// A worker dies with a mail in hand, and nobody takes it up.
fn lost(checker: &str, missing: &[&str]) -> Run {
    let kind = FaultKind::Crash { nodes: nodes(&["w1"]) };
    let told = Told::default()
        .starts(0, &["w1", "w2", "sink"])
        .tries(100, "w2", "m-1")
        .takes(200, "m-1", "w2")
        .tries(700, "w1", "m-2")
        .begins(1_000, kind, &["w1"])
        .at(1_000, "w1", Happening::Crashed { why: "crash".into() })
        .ends(5_000, 0)
        .at(5_000, "w1", Happening::Started { incarnation: 1 });
    let missing = missing.iter().map(|mail| (*mail).into()).collect();
    let violation = Violation { checker: checker.into(), ..violated(9_000, &[]) };
    let violation = violation.stuck(700 * NS_PER_MS, missing);
    let mut run = told.run(Some(violation));
    run.outcome.virtual_ns = 9_000 * NS_PER_MS;
    run
}

#[test]
fn what_stands_still_is_told_with_since_when_behind_whom_and_all_that_is_missing() {
    let behind = "w1 tried m-2 last, at 0.700 s; down from 1.000 s to 5.000 s";
    let missing = json!({ "word": "mail", "names": ["m-2", "m-3"] });
    let expected = json!({ "since": 700_000_000, "behind": [behind], "missing": missing });
    assert_eq!(stuck(&lost("exactly-once", &["m-2", "m-3"])), expected);
    // A checker that names none: what was tried and has no result.
    let tried = json!({ "word": "mail", "names": ["m-2"] });
    assert_eq!(stuck(&lost("exactly-once", &[]))["missing"], tried);
    assert_eq!(stuck(&lost("live", &[]))["missing"], tried);
    let run = lost("exactly-once", &["m-2"]);
    let expected = ["w1 mail_attempted", "w1 crashed"].map(str::to_owned).to_vec();
    assert_eq!(chain(&run), (expected, 0));
    assert_eq!(opens(&run), (680, 9_000));
}

#[test]
fn what_no_system_knows_is_missing_under_the_names_that_the_violation_gives() {
    let missing = vec!["orders-0".into()];
    let violation = violated(900, &[]).stuck(40 * NS_PER_MS, missing);
    let run = Told::default().starts(0, &["b1"]).run(Some(violation));
    assert_eq!(stuck(&run)["missing"], json!({ "word": "item", "names": ["orders-0"] }));
}

#[test]
fn a_queue_that_does_not_move_is_behind_whoever_stands_first_in_it() {
    let queue = |session, number| Change::Created {
        path: format!("/lock/q-{number:010}").into(),
        owner: Owner::Session(SessionId(session)),
        value: 0,
        bytes: 0,
        acl: None,
    };
    let applied = |zxid, changes| Happening::Observed {
        observation: Observation::Ensemble(EnsembleFact::Applied {
            zxid,
            digest: 0,
            session: SessionId::NONE,
            wall: WallTime::UNIX_EPOCH,
            changes,
        }),
    };
    let connected = |session| Happening::Observed {
        observation: Observation::Client(ClientFact::ClientConnected {
            client: 1,
            session: SessionId(session),
            resumed: false,
        }),
    };
    let run = Told::default()
        .starts(0, &["s1", "w1", "w2"])
        .at(10, "w1", connected(7))
        .at(10, "w2", connected(8))
        .at(20, "s1", applied(Zxid(1), vec![queue(8, 11)]))
        .at(30, "s1", applied(Zxid(2), vec![queue(7, 9)]))
        .run(Some(violated(900, &[]).since(40 * NS_PER_MS)));
    let behind = "w1 holds /lock/q-0000000009 since 0.030 s, 1 waits behind it; up ever since";
    assert_eq!(stuck(&run)["behind"][0], json!(behind));
    let expected = [
        ("/lock/q-0000000009", "ephemeral", "of w1, session 0x7"),
        ("/lock/q-0000000011", "ephemeral", "of w2, session 0x8"),
    ];
    assert_eq!(rows(&run, "Znodes", 900), expected.map(shown_row));
    assert_eq!(rows(&run, "Claims and locks", 25), [shown_row(expected[1])]);
}

type ShownRow = (String, String, String);

fn shown_row((name, mark, value): (&str, &str, &str)) -> ShownRow {
    (name.into(), mark.into(), value.into())
}

/// What the rows of a panel say at an instant: name, mark and value.
fn rows(run: &Run, title: &str, at_ms: u64) -> Vec<ShownRow> {
    let data = data(run);
    let numbers = |list: &Value| -> Vec<i64> {
        list.as_array().unwrap().iter().map(|number| number.as_i64().unwrap()).collect()
    };
    let text = |at: i64| data["texts"][at as usize].as_str().unwrap().to_owned();
    type Says = Option<(String, String)>;
    let mut rows: Vec<(bool, String, Says)> = Vec::new();
    for panel in data["panels"].as_array().unwrap() {
        let names = numbers(&panel["names"]).into_iter();
        rows.extend(names.map(|name| (panel["title"] == title, text(name), None)));
    }
    let column = |name: &str| numbers(&data["changes"][name]);
    let (after, row) = (column("after"), column("row"));
    let (mark, value) = (column("mark"), column("value"));
    let mut event = 0;
    for change in 0..after.len() {
        event += after[change] as usize;
        if run.events.as_ref().unwrap()[event].at_ns <= at_ms * NS_PER_MS {
            let says = (mark[change] >= 0).then(|| (text(mark[change]), text(value[change])));
            rows[row[change] as usize].2 = says;
        }
    }
    let shown = |(is_in, name, says): (bool, String, Says)| {
        let (mark, value) = says.filter(|_| is_in)?;
        Some((name, mark, value))
    };
    rows.into_iter().filter_map(shown).collect()
}

#[test]
fn a_panel_says_at_each_instant_what_the_events_until_then_have_made_of_it() {
    let told = |applied: u64, changes| Happening::Observed {
        observation: Observation::Ensemble(EnsembleFact::Applied {
            zxid: Zxid(applied),
            digest: 0,
            session: SessionId::NONE,
            wall: WallTime::UNIX_EPOCH,
            changes,
        }),
    };
    let created = |path: &str| Change::Created {
        path: path.into(),
        owner: Owner::Nobody,
        value: 0,
        bytes: 0,
        acl: None,
    };
    let set = Change::DataSet { path: "/b".into(), version: 3, value: 0, bytes: 0 };
    let run = Told::default()
        .starts(0, &["s1", "s2", "w1", "sink"])
        .at(10, "s1", told(1, vec![created("/b"), created("/a")]))
        .tries(15, "w1", "m-1")
        .at(20, "s1", told(2, vec![set, Change::Deleted { path: "/a".into() }]))
        // The same again, of a server that comes later: it changes nothing any more.
        .at(25, "s2", told(1, vec![created("/b"), created("/a")]))
        .tries(30, "w1", "m-1")
        .takes(40, "m-1", "w1")
        .takes(50, "m-1", "w1")
        .run(None);
    let check = |title, at_ms, expected: &[(&str, &str, &str)]| {
        let expected: Vec<ShownRow> = expected.iter().copied().map(shown_row).collect();
        assert_eq!(rows(&run, title, at_ms), expected, "{title} at {at_ms} ms");
    };
    check("Znodes", 5, &[]);
    check("Znodes", 10, &[("/a", "version 0", ""), ("/b", "version 0", "")]);
    check("Znodes", 30, &[("/b", "version 3", "")]);
    check("Mails", 15, &[("m-1", "… tried", "1 try")]);
    check("Mails", 40, &[("m-1", "✓ in sink", "2 tries")]);
    check("Mails", 50, &[("m-1", "✗ 2 effects", "2 tries")]);
}

#[test]
fn a_fact_of_a_program_that_nobody_knows_brings_its_lane_its_row_and_its_sign() {
    let told = |looks: Looks| Happening::Observed {
        observation: ApplicationFact::Told(
            facts::Told::new("turned", [], "turns").unwrap().looking(looks).unwrap(),
        )
        .into(),
    };
    let leads = Looks::default().role("juggles", 7, Tone::Strong).sign(Sign::Star);
    let leads = leads.row("Jugglers", "j1", "up", "3 balls");
    let rests = Looks::default().ends_role().removes("Jugglers", "j1");
    let run = Told::default()
        .starts(0, &["j1", "x1"])
        .at(10, "j1", told(leads))
        .at(30, "j1", told(rests))
        .run(None);
    let data = data(&run);
    let role = json!([{ "name": "juggles", "tone": "strong", "hue": 0, "words": "" }]);
    assert_eq!(data["roles"], role);
    let (from, to) = (10 * NS_PER_MS, 30 * NS_PER_MS);
    let band = json!([{ "node": 0, "from": from, "to": to, "role": 0, "epoch": 7 }]);
    assert_eq!(data["bands"], band);
    assert_eq!(rows(&run, "Jugglers", 10), [shown_row(("j1", "up", "3 balls"))]);
    assert_eq!(rows(&run, "Jugglers", 30), []);
    // The same name with another sign is a kind of its own.
    assert_eq!(data["kinds"], json!(["started", "turned", "turned"]));
    assert_eq!(data["signs"], json!(["triangle", "star", null]));
}

#[test]
fn sides_of_a_fault_that_is_aimed_at_the_leader_name_who_led() {
    let kind = FaultKind::OneWay { from: nodes(&["leader"]), to: nodes(&["s1"]) };
    let told = Told::default().starts(0, &["s1", "s2"]).meaning("leader", "s2");
    let run = told.begins(5, kind, &["s1", "s2"]).run(None);
    let sides = json!([{ "letter": "A", "nodes": [1] }, { "letter": "B", "nodes": [0] }]);
    assert_eq!(data(&run)["faults"][0]["split"]["sides"], sides);
}

/// The events of the chain, and the violation: none is before the one that it follows.
fn in_the_order_of_time(run: &Run, data: &Value) -> Result<(), TestCaseError> {
    let events = run.events.as_ref().unwrap();
    let chain = data["verdicts"][0]["moment"]["chain"].as_array().unwrap();
    let times = chain.iter().map(|event| events[event.as_u64().unwrap() as usize].at_ns);
    let violated = run.outcome.violations().next().unwrap().at_ns;
    let all: Vec<u64> = times.chain([violated]).collect();
    prop_assert!(all.is_sorted(), "{all:?}");
    Ok(())
}

proptest! {
    #[test]
    fn whatever_happens_every_event_has_a_chain_that_begins_with_a_cause(
        steps in prop::collection::vec((0_u8..7, 0_usize..3, 0_usize..3, 0_u64..50), 1..60),
        since in prop::option::of(0_u64..2_000),
    ) {
        let names = ["a", "b", "c"];
        let (mut told, mut at, mut faults) = (Told::default(), 0, 0);
        for (what, node, other, later) in steps {
            at += later;
            let (name, to) = (names[node], names[other]);
            told = match what {
                0 => told.at(at, name, Happening::Started { incarnation: 1 }),
                1 => told.at(at, name, Happening::Crashed { why: "x".into() }),
                2 => told.at(at, name, Happening::Paused),
                3 => {
                    faults += 1;
                    let kind = FaultKind::Isolate { nodes: nodes(&[name]) };
                    told.begins(at, kind, &[name])
                }
                4 if faults > 0 => told.ends(at, faults - 1),
                5 => told.sends(at, name, to, false),
                _ => {
                    let told = told.sends(at, name, to, true);
                    at += 1;
                    told
                }
            };
        }
        let of_nobody = since.map(|since| violated(at, &[]).since(since.min(at) * NS_PER_MS));
        if let Some(violation) = of_nobody {
            let run = told.clone().run(Some(violation));
            in_the_order_of_time(&run, &data(&run))?;
        }
        let run = told.run(Some(violated(at, &["b"])));
        let data = data(&run);
        let follows = data["events"]["follows"].as_array().unwrap();
        prop_assert_eq!(follows.len(), run.events.as_ref().unwrap().len());
        let moment = &data["verdicts"][0]["moment"];
        let chain = moment["chain"].as_array().unwrap();
        if let Some(first) = chain.first() {
            prop_assert_eq!(&follows[first.as_u64().unwrap() as usize], &json!(0));
        }
        in_the_order_of_time(&run, &data)?;
        let (from, to) = opens(&run);
        prop_assert!(from <= to && to * NS_PER_MS <= run.outcome.virtual_ns);
    }
}
