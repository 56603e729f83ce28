//! Small recorded runs for tests.

use mailstorm_record::run::{Outcome, RUN_FORMAT};
use mailstorm_record::{Event, Happening, Run, Verdict, Violation};

pub(super) fn at(at_ns: u64, node: Option<&str>, happening: Happening) -> Event {
    Event { at_ns, node: node.map(Into::into), happening }
}

pub(super) fn sent(message: u64, to: &str) -> Happening {
    Happening::Sent {
        message,
        to: to.into(),
        bytes: 10,
        label: format!("Propose {message}").into(),
    }
}

pub(super) fn delivered(message: u64) -> Happening {
    Happening::Delivered { message }
}

/// A run of these events; with a violation of `a` and `b` at this time.
pub(super) fn run(events: Vec<Event>, violated_ns: Option<u64>) -> Run {
    let violation = |at_ns| Violation {
        checker: "quorum".into(),
        kind: "lost".into(),
        at_ns,
        nodes: vec!["a".into(), "b".into()],
        detail: "1:2 is gone; <script>#end".into(),
        ..Violation::default()
    };
    let verdicts =
        violated_ns.map(|at_ns| ("quorum".to_owned(), Verdict::Violation(violation(at_ns))));
    Run {
        format: RUN_FORMAT,
        mailstorm: String::new(),
        scenario: "ensemble".into(),
        seed: u64::MAX,
        inbox: None,
        defect: None,
        settings: Default::default(),
        roles: Default::default(),
        plan: Default::default(),
        outcome: Outcome { verdicts: verdicts.into_iter().collect(), ..Outcome::default() },
        events: Some(events),
    }
}
