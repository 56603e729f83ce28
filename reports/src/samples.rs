//! Summaries for tests: one that passes, one that does not.

use crate::summary::{Group, ShrunkRun, Summary, WallClock};
use crate::tally::Tally;
use mailstorm_record::{FaultCount, Violation};

/// Two hundred seeds, all of which pass, every goal reached.
pub(crate) fn passing(scenario: &str) -> Summary {
    let tally = Tally::new(scenario, ["leader_died".to_owned()]).as_it_comes(true);
    let wall = WallClock { wall_seconds: 3.0, jobs: 2 };
    Summary {
        seeds: 200,
        first_seed: 1,
        last_seed: 200,
        pass: 200,
        states: 1_234,
        last_new_seed: Some(150),
        reached: [("leader_died".to_owned(), 42)].into(),
        faults: [("crash".to_owned(), FaultCount { injected: 99, effective: 88 })].into(),
        messages: 1_000_000,
        virtual_seconds: 12_000.0,
        goals_count: true,
        ..tally.summary(wall)
    }
}

/// The same, of which thirteen have a violation of one kind.
pub(crate) fn failing(scenario: &str) -> Summary {
    let first = Violation {
        checker: "split-brain".into(),
        kind: "mutex".into(),
        at_ns: 17_200_000_000,
        nodes: vec!["w3".into(), "sink".into()],
        detail: "the sink accepted a from w3 after b".into(),
        ..Violation::default()
    };
    let fingerprint = first.fingerprint();
    let shrunk = ShrunkRun {
        file: format!("{scenario}/7/case.toml"),
        options: String::new(),
        faults: 1,
        story: vec!["at 1.100 s w3 stands still for 10.0 s".into()],
        untried: 0,
        is_interrupted: false,
        case: "seed = 7\n".into(),
    };
    let group = Group {
        first,
        first_seed: 7,
        place: 0,
        first_trace: "00ff".into(),
        record: None,
        faults: 44,
        count: 13,
        seeds: (7..20).collect(),
        shrunk: Some(shrunk),
        report: Some(format!("{scenario}/7/report.html")),
        excerpt: Some(format!("{scenario}/7/excerpt.md")),
    };
    Summary { pass: 187, violation: 13, groups: [(fingerprint, group)].into(), ..passing(scenario) }
}
