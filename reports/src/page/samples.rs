//! Small recorded runs for tests of the page.

use mailstorm_record::cast::Meant;
use mailstorm_record::run::{Outcome, RUN_FORMAT};
use mailstorm_record::{
    Event, Fault, FaultKind, Happening, Meanings, Plan, Run, Verdict, Violation,
};
use mailstorm_shared::Observation;
use mailstorm_shared::facts::MailFact;

const NS_PER_MS: u64 = 1_000_000;

/// A run of these events, with this violation if any; it ends a second after the last event.
pub(crate) fn recorded(events: Vec<Event>, violation: Option<Violation>) -> Run {
    let verdicts = violation.map(|v| (v.checker.clone(), Verdict::Violation(v)));
    let virtual_ns = events.last().map_or(0, |event| event.at_ns) + 1_000 * NS_PER_MS;
    Run {
        format: RUN_FORMAT,
        mailstorm: String::new(),
        scenario: "ensemble".into(),
        seed: 1,
        inbox: None,
        defect: None,
        settings: Default::default(),
        roles: Default::default(),
        plan: Plan::default(),
        outcome: Outcome {
            verdicts: verdicts.into_iter().collect(),
            virtual_ns,
            ..Outcome::default()
        },
        events: Some(events),
    }
}

/// Events in the order in which they are told, and the faults of the plan.
#[derive(Clone, Default)]
pub(crate) struct Told {
    pub(crate) events: Vec<Event>,
    faults: Vec<Fault>,
    meant: Meanings,
}

impl Told {
    pub(crate) fn at(mut self, at_ms: u64, node: &str, happening: Happening) -> Self {
        let node = (!node.is_empty()).then(|| node.into());
        self.events.push(Event { at_ns: at_ms * NS_PER_MS, node, happening });
        self
    }

    pub(crate) fn starts(self, at_ms: u64, nodes: &[&str]) -> Self {
        let start =
            |told: Self, node: &&str| told.at(at_ms, node, Happening::Started { incarnation: 0 });
        nodes.iter().fold(self, start)
    }

    /// A word of the next fault means this node.
    pub(crate) fn meaning(mut self, word: &str, node: &str) -> Self {
        let (nodes, is_one) = (vec![node.into()], true);
        self.meant.0.push(Meant { word: word.into(), nodes, is_one, stands_in: false });
        self
    }

    /// The next fault of the plan begins.
    pub(crate) fn begins(mut self, at_ms: u64, kind: FaultKind, nodes: &[&str]) -> Self {
        let (index, label) = (self.faults.len(), kind.name());
        self.faults.push(Fault { at_ms, lasts_ms: 0, kind });
        let nodes = nodes.iter().map(|node| (*node).into()).collect();
        let (kind, meant) = (label.into(), std::mem::take(&mut self.meant));
        self.at(at_ms, "", Happening::FaultBegan { index, kind, nodes, meant })
    }

    pub(crate) fn ends(self, at_ms: u64, index: usize) -> Self {
        self.at(at_ms, "", Happening::FaultEnded { index })
    }

    /// A message that takes a millisecond, or is lost.
    pub(crate) fn sends(self, at_ms: u64, from: &str, to: &str, arrives: bool) -> Self {
        let message = self.events.len() as u64;
        let label = "hello".into();
        let told =
            self.at(at_ms, from, Happening::Sent { message, to: to.into(), bytes: 1, label });
        if arrives { told.at(at_ms + 1, to, Happening::Delivered { message }) } else { told }
    }

    pub(crate) fn tries(self, at_ms: u64, worker: &str, mail: &str) -> Self {
        let observation = Observation::Mail(MailFact::MailAttempted {
            worker: worker.into(),
            mail: mail.into(),
            token: 1,
            attempt: 1,
        });
        self.at(at_ms, worker, Happening::Observed { observation })
    }

    pub(crate) fn takes(self, at_ms: u64, mail: &str, worker: &str) -> Self {
        let observation = Observation::Mail(MailFact::SinkAccepted {
            resource: "claim".into(),
            mail: mail.into(),
            worker: worker.into(),
            token: 1,
            verdict: "ham".into(),
        });
        self.at(at_ms, "sink", Happening::Observed { observation })
    }

    /// The run, which ends a second later, with this violation.
    pub(crate) fn run(self, violation: Option<Violation>) -> Run {
        let mut run = recorded(self.events, violation);
        run.plan.faults = self.faults;
        run
    }
}

/// A violation of these nodes at this time.
pub(crate) fn violated(at_ms: u64, nodes: &[&str]) -> Violation {
    Violation {
        checker: "checker".into(),
        kind: "kind".into(),
        at_ns: at_ms * NS_PER_MS,
        nodes: nodes.iter().map(|node| (*node).into()).collect(),
        detail: "it broke".into(),
        ..Violation::default()
    }
}
