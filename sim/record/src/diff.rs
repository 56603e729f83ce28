//! What differs between two records.
//!
//! Holds: everything that a record holds is compared, whatever is added to it.
//! Start at [`Run::differences`].

use crate::Run;
use serde_json::{Map, Value};

impl Run {
    /// The names of the parts that differ, as they are written: `seed`, `plan`, `trace_hash`,
    /// `verdicts`, `events`. Events that only one of the two has are no difference: how much is
    /// recorded is not part of a run.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut named = Vec::new();
        for (ours, theirs) in self.parts().iter().zip(&other.parts()) {
            let added = theirs.keys().filter(|key| !ours.contains_key(*key));
            let all = ours.keys().chain(added);
            named.extend(all.filter(|key| ours.get(*key) != theirs.get(*key)).cloned());
        }
        if self.parting(other).is_some() {
            named.push("events".to_owned());
        }
        named
    }

    /// The place of the first event that is not the same in both; `None` when all are, or when one
    /// of the two has no events.
    pub fn parting(&self, other: &Self) -> Option<usize> {
        let (Some(ours), Some(theirs)) = (&self.events, &other.events) else { return None };
        let same = ours.iter().zip(theirs).take_while(|(ours, theirs)| ours == theirs).count();
        (same < ours.len().max(theirs.len())).then_some(same)
    }

    /// What was run, and its outcome.
    fn parts(&self) -> [Map<String, Value>; 2] {
        // The roles of nodes are no part of the run, and old records do not have them.
        let head = Self {
            events: None,
            outcome: Default::default(),
            roles: Default::default(),
            ..self.clone()
        };
        let object = |value: serde_json::Result<Value>| match value {
            Ok(Value::Object(parts)) => parts,
            _ => unreachable!("a run and its outcome are structures with string keys"),
        };
        [object(serde_json::to_value(head)), object(serde_json::to_value(&self.outcome))]
    }
}

#[cfg(test)]
mod tests {
    use crate::{Event, Happening, Plan, Run, TraceHash};

    fn run(phases: &[&str]) -> Run {
        let event = |(at_ns, name): (usize, &&str)| Event {
            at_ns: at_ns as u64,
            node: None,
            happening: Happening::Phase { name: (*name).into() },
        };
        Run {
            format: crate::run::RUN_FORMAT,
            mailstorm: String::new(),
            scenario: "mail-claims".into(),
            seed: 1,
            inbox: None,
            defect: None,
            settings: Default::default(),
            roles: Default::default(),
            plan: Plan::default(),
            outcome: Default::default(),
            events: Some(phases.iter().enumerate().map(event).collect()),
        }
    }

    #[test]
    fn the_parts_that_differ_are_named() {
        let one = run(&["start", "storm"]);
        assert!(one.differences(&one).is_empty());
        let mut other = Run { seed: 2, ..one.clone() };
        other.outcome.trace_hash = TraceHash(7);
        other.outcome.figures.insert("mails_processed".into(), 3);
        assert_eq!(one.differences(&other), ["seed", "figures", "trace_hash"]);
        assert_eq!(one.differences(&run(&["start", "heal"])), ["events"]);
        assert!(one.differences(&Run { events: None, ..one.clone() }).is_empty());
        let roles = [("s1".into(), "server".to_owned())].into();
        assert!(one.differences(&Run { roles, ..one.clone() }).is_empty(), "old records say none");
    }

    #[test]
    fn two_records_part_at_the_first_event_that_is_not_the_same() {
        let one = run(&["start", "storm"]);
        assert_eq!(one.parting(&run(&["start", "storm"])), None);
        assert_eq!(one.parting(&run(&["start", "heal"])), Some(1));
        assert_eq!(one.parting(&run(&["start"])), Some(1));
        assert_eq!(run(&[]).parting(&one), Some(0));
    }
}
