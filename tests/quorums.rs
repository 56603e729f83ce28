//! The table in the book's chapter on quorums: what the arithmetic says, and what runs show of
//! every row.
//!
//! Each cell is made anew from the arithmetic, and the laboratory confirms it: two groups that may
//! decide apart do both write, one group that may decide writes alone, and writes go on with as
//! many servers down as the table says, and no more.

use mailstorm_record::{Fault, FaultKind, Happening, NodeName, Plan, Run, Settings};
use mailstorm_scenarios::lessons::{SEED, find};
use mailstorm_shared::Observation;
use mailstorm_shared::facts::ApplicationFact;
use mailstorm_shared::quorum::{majority, tolerated_failures};
use mailstorm_world::{Recording, RunSpec, with_settings};
use std::collections::BTreeSet;
use std::fs;

/// The sizes in the table.
const SIZES: [usize; 6] = [3, 4, 5, 6, 7, 9];
/// The network is cut, or servers are down, from here to there.
const FROM_MS: u64 = 2_000;
const TO_MS: u64 = 20_000;
/// A server that hears no leader waits for ten seconds before it stands for election; by then who
/// can write does.
const SETTLED_MS: u64 = 15_000;
/// The clients of the lesson, one on either side.
const CLIENTS: [&str; 2] = ["a1", "b1"];

/// How many servers may decide.
#[derive(Clone, Copy)]
enum Rule {
    Majority,
    HalfRoundedDown,
    HalfRoundedUp,
}

impl Rule {
    fn quorum(self, servers: usize) -> usize {
        match self {
            Self::Majority => majority(servers),
            Self::HalfRoundedDown => servers / 2,
            Self::HalfRoundedUp => servers.div_ceil(2),
        }
    }

    /// The design of the lesson in which so many may decide. Half rounded up has none of its own:
    /// it is a majority of odd sizes, and of even ones the same as half rounded down.
    fn design(self, servers: usize) -> &'static str {
        let quorum = self.quorum(servers);
        match quorum == majority(servers) {
            true => "quorum-half/right",
            false => {
                assert_eq!(quorum, servers / 2, "every rule is one of two for each size");
                "quorum-half/wrong"
            }
        }
    }

    /// A cell of the table.
    fn cell(self, servers: usize) -> String {
        let quorum = self.quorum(servers);
        match (2 * quorum <= servers, quorum == majority(servers)) {
            (true, _) => format!("{quorum}: {quorum} and {quorum} share nobody"),
            (false, true) => format!("{quorum}, which is the majority"),
            (false, false) => unreachable!("{quorum} of {servers}"),
        }
    }
}

/// The row of the table, as the book has it.
fn row(servers: usize) -> String {
    format!(
        "| {servers} | {} | {} | {} | {} |",
        Rule::Majority.quorum(servers),
        tolerated_failures(servers),
        Rule::HalfRoundedDown.cell(servers),
        Rule::HalfRoundedUp.cell(servers)
    )
}

fn run(design: &str, servers: usize, fault: FaultKind) -> Run {
    let settings = Settings([("servers".to_owned(), servers as u64)].into());
    let scenario = with_settings(&find(design).unwrap(), &settings).unwrap();
    let fault = Fault { at_ms: FROM_MS, lasts_ms: TO_MS - FROM_MS, kind: fault };
    let plan = Plan { lasts_ms: Some(30_000), faults: vec![fault], ..Plan::default() };
    plan.check(&scenario.topology().names()).unwrap();
    let spec = RunSpec::new(scenario, SEED);
    mailstorm_world::run(&RunSpec { plan: Some(plan), recording: Recording::Full, ..spec })
}

/// Whose writes are acknowledged while the fault lasts, once everybody has found out who leads.
fn writers(run: &Run) -> BTreeSet<&str> {
    let is_late = |at_ns: u64| (SETTLED_MS..TO_MS).contains(&(at_ns / 1_000_000));
    let events = run.events.iter().flatten().filter(|event| is_late(event.at_ns));
    let acknowledged = events.filter(|event| {
        matches!(&event.happening, Happening::Observed {
            observation: Observation::Application(ApplicationFact::Milestone { name }),
        } if **name == *"write_acknowledged")
    });
    acknowledged.map(|event| &*event.node.as_ref().unwrap().0).collect()
}

fn servers(numbers: impl Iterator<Item = usize>) -> Vec<NodeName> {
    numbers.map(|number| NodeName::from(&*format!("s{number}"))).collect()
}

/// Two groups of these sizes, each with a client, and all other servers one by one.
fn cut(count: usize, first: usize, second: usize) -> FaultKind {
    let mut sides = vec![servers(1..=first), servers(first + 1..=first + second)];
    for (side, client) in sides.iter_mut().zip(CLIENTS) {
        side.push(NodeName::from(client));
    }
    sides.extend((first + second + 1..=count).map(|number| servers(number..=number)));
    FaultKind::Partition { sides }
}

fn is_broken(run: &Run) -> bool {
    run.outcome
        .violations()
        .any(|violation| ["quorum", "split-brain", "linearizable"].contains(&&*violation.checker))
}

#[test]
fn the_table_of_quorums_is_what_the_arithmetic_says() {
    let chapter = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/quorum.md");
    let chapter = fs::read_to_string(chapter).unwrap();
    let rows: Vec<&str> = chapter
        .lines()
        .filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit())
        .collect();
    let expected = SIZES.map(row);
    assert_eq!(rows, expected.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn two_groups_that_share_nobody_both_write_and_the_laboratory_tells_for_every_row() {
    for count in SIZES {
        for rule in [Rule::Majority, Rule::HalfRoundedDown, Rule::HalfRoundedUp] {
            let (quorum, design) = (rule.quorum(count), rule.design(count));
            let shares_nobody = 2 * quorum <= count;
            let second = if shares_nobody { quorum } else { count - quorum };
            let run = run(design, count, cut(count, quorum, second));
            let told = format!("{design} with {count} servers, {quorum} | {second}");
            let expected: &[&str] = if shares_nobody { &CLIENTS } else { &CLIENTS[..1] };
            assert_eq!(writers(&run), expected.iter().copied().collect(), "{told}");
            assert_eq!(is_broken(&run), shares_nobody, "{told}");
        }
    }
}

#[test]
fn with_a_majority_as_many_servers_may_be_down_as_the_table_says_and_no_more() {
    for count in SIZES {
        let tolerated = tolerated_failures(count);
        for down in [tolerated, tolerated + 1] {
            let run =
                run("quorum-half/right", count, FaultKind::Crash { nodes: servers(1..=down) });
            let can_write = !writers(&run).is_empty();
            assert_eq!(can_write, down == tolerated, "{down} of {count} servers are down");
            assert!(!is_broken(&run), "{down} of {count} servers are down");
        }
    }
}
