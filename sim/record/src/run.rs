//! The record of a run: what was run, what it gave, and, on replay, everything that happened.
//!
//! Holds: the same run gives the same bytes; nothing here depends on the machine or the hour it ran
//! on.
//! Start at [`Run`].

use crate::{Event, NodeName, Plan, Settings, Verdict, Violation};
use mailstorm_shared::defect::DefectId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the record's file format. Grows when an old reader would misread a new record.
pub const RUN_FORMAT: u32 = 2;

/// A run: `(scenario, seed, plan)` and its outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// [`RUN_FORMAT`] of the writer.
    pub format: u32,
    /// The version of Mailstorm that made it; empty in records that do not say it.
    #[serde(default)]
    pub mailstorm: String,
    /// The scenario's name.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// The inbox it was made with, if the scenario has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbox: Option<InboxMark>,
    /// The defect that was planted, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defect: Option<DefectId>,
    /// The scenario's numbers that were not its own.
    #[serde(default, skip_serializing_if = "Settings::is_empty")]
    pub settings: Settings,
    /// What each node is, in a word: `server`, `worker`, `sink`. Empty in records that do not say
    /// it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<NodeName, String>,
    /// What went wrong, and when.
    pub plan: Plan,
    /// The outcome.
    pub outcome: Outcome,
    /// Everything that happened, in order, if it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<Event>>,
}

/// What identifies an inbox. Its path matters to one machine only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxMark {
    /// How many mails it has.
    pub mails: u64,
    /// A hash of all their ids and bytes.
    pub digest: TraceHash,
}

/// The outcome of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Every checker's verdict by name; the world's own (`panic`, `bound`, `dead-end`,
    /// `convergence`) are there only when they fired.
    pub verdicts: Vec<(String, Verdict)>,
    /// A hash over every delivered message and every event: equal for equal runs, in any process.
    pub trace_hash: TraceHash,
    /// A hash over every number that the network, the disks, the faults and the processes drew:
    /// where it differs and the trace does not, two runs agree by chance. The executor's own draws
    /// show in the trace.
    #[serde(default)]
    pub draws: TraceHash,
    /// A hash over what every node was at every virtual second, and over all that every server knew
    /// at the end.
    #[serde(default)]
    pub states: TraceHash,
    /// The states of the protocol that the run came through.
    #[serde(default)]
    pub coverage: Coverage,
    /// How many times each of the scenario's goals was reached.
    pub reached: BTreeMap<String, u64>,
    /// The faults, by kind.
    pub faults: BTreeMap<String, FaultCount>,
    /// Further figures that the scenario counts: mails processed, attempts.
    pub figures: BTreeMap<String, u64>,
    /// Messages delivered.
    pub messages: u64,
    /// Bytes delivered.
    pub bytes: u64,
    /// Events of the world's clockwork: deliveries, disk completions, timers.
    pub events: u64,
    /// How long the run was, in virtual nanoseconds.
    pub virtual_ns: u64,
}

/// How many faults of one kind there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultCount {
    /// How many the plan had and the run came to.
    pub injected: u64,
    /// How many of them changed what they are there to change: held a packet, killed a process,
    /// tore or damaged a sector.
    pub effective: u64,
}

/// A trace hash; written in hexadecimal, since JSON's numbers end at 2^53 in many readers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceHash(pub u64);

impl std::fmt::Display for TraceHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for TraceHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraceHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map(Self).map_err(serde::de::Error::custom)
    }
}

/// The states of the protocol that a run came through, each as a number that means the same in
/// every run of its scenario on its inbox, with the virtual millisecond of the storm in which it
/// was first seen; 0 for what was seen before the storm, and for a goal, of which no moment is
/// kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage(pub BTreeMap<u32, u64>);

impl Serialize for Coverage {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // One line in a record, where a map would be hundreds.
        let word = |(state, at_ms): (&u32, &u64)| match at_ms {
            0 => format!("{state:x}"),
            _ => format!("{state:x}@{at_ms}"),
        };
        let words: Vec<String> = self.0.iter().map(word).collect();
        serializer.serialize_str(&words.join(" "))
    }
}

impl<'de> Deserialize<'de> for Coverage {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let state = |word: &str| -> Result<(u32, u64), std::num::ParseIntError> {
            let (state, at_ms) = word.split_once('@').unwrap_or((word, "0"));
            Ok((u32::from_str_radix(state, 16)?, at_ms.parse()?))
        };
        let states = text.split_ascii_whitespace().map(state);
        states.collect::<Result<_, _>>().map(Self).map_err(serde::de::Error::custom)
    }
}

impl FaultCount {
    /// From this many faults on it is no accident that none of them changed anything.
    pub const INJECTED_MIN: u64 = 20;

    /// Whether faults of this kind were injected in vain, over and over: a goal that a sweep has
    /// missed.
    pub fn is_vain(&self) -> bool {
        self.effective == 0 && self.injected >= Self::INJECTED_MIN
    }
}

impl Outcome {
    /// The violations: first what the run is about, the others in the order of the checkers.
    pub fn violations(&self) -> impl Iterator<Item = &Violation> {
        self.verdicts.iter().filter_map(|(_, verdict)| match verdict {
            Verdict::Violation(violation) => Some(violation),
            _ => None,
        })
    }

    /// Puts the violations that are called so, each by its fingerprint or as `checker/kind`, before
    /// all others, in this order. Every report on the run then leads with the same one.
    pub fn lead_with(&mut self, names: &[impl AsRef<str>]) {
        let place = |violation: &Violation| {
            let (fingerprint, kind) = (violation.fingerprint(), violation.name());
            let is_it = |name: &str| name == fingerprint || name == kind;
            names.iter().position(|name| is_it(name.as_ref())).unwrap_or(names.len())
        };
        let is_violation = |verdict: &Verdict| matches!(verdict, Verdict::Violation(_));
        let found = self.verdicts.iter().filter(|(_, verdict)| is_violation(verdict));
        let mut found: Vec<_> = found.cloned().collect();
        found.sort_by_key(|(_, verdict)| match verdict {
            Verdict::Violation(violation) => place(violation),
            _ => unreachable!("violations alone were taken"),
        });
        let mut found = found.into_iter();
        for slot in self.verdicts.iter_mut().filter(|(_, verdict)| is_violation(verdict)) {
            *slot = found.next().expect("there are as many as before");
        }
    }

    /// The verdict on the whole: the first violation, else the first unknown, else a pass.
    pub fn verdict(&self) -> Verdict {
        if let Some(violation) = self.violations().next() {
            return Verdict::Violation(violation.clone());
        }
        let unknown = self.verdicts.iter().find(|(_, v)| matches!(v, Verdict::Unknown { .. }));
        unknown.map_or(Verdict::Pass, |(_, verdict)| verdict.clone())
    }
}

/// Why a file cannot be used as a record.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It is not a record.
    #[error("not a record of a run: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// It was written by a later version.
    #[error("the record has format {found}; this version reads up to {RUN_FORMAT}")]
    TooNew {
        /// Its version.
        found: u32,
    },
    /// It was written by an earlier version, which spelled events otherwise.
    #[error(
        "the record has format {found}; this version reads format {RUN_FORMAT}: replay its seed to record it again"
    )]
    TooOld {
        /// Its version.
        found: u32,
    },
}

impl Run {
    /// The record as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a run is plain data with string keys")
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`RunError`] when it is not a record, too new, or too old.
    pub fn parse(text: &str) -> Result<Self, RunError> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let head: Head = serde_json::from_str(text)?;
        if head.format > RUN_FORMAT {
            return Err(RunError::TooNew { found: head.format });
        }
        if head.format < RUN_FORMAT {
            return Err(RunError::TooOld { found: head.format });
        }
        Ok(serde_json::from_str(text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Happening;
    use crate::case::VERSION;

    fn run() -> Run {
        let violation = Violation {
            checker: "quorum".into(),
            kind: "lost".into(),
            at_ns: 7,
            nodes: vec!["s1".into()],
            detail: "1:2 is gone".into(),
            ..Violation::default()
        };
        let violation = violation.stuck(5, vec!["m-1".into()]);
        Run {
            format: RUN_FORMAT,
            mailstorm: VERSION.to_owned(),
            scenario: "mail-claims".into(),
            seed: u64::MAX,
            inbox: Some(InboxMark { mails: 2, digest: TraceHash(0xbeef) }),
            defect: DefectId::parse("ack-before-sync"),
            settings: Settings([("servers".to_owned(), 3)].into()),
            roles: [("s1".into(), "server".to_owned())].into(),
            plan: Plan::default(),
            outcome: Outcome {
                verdicts: vec![
                    ("sessions".into(), Verdict::Unknown { why: "bound".into() }),
                    ("quorum".into(), Verdict::Violation(violation)),
                    ("watches".into(), Verdict::Pass),
                ],
                trace_hash: TraceHash(0xfeed),
                draws: TraceHash(0xbead),
                states: TraceHash(0xdeed),
                coverage: Coverage([(1, 0), (0x20, 350), (u32::MAX, 1)].into()),
                reached: [("leader_died".to_owned(), 3)].into(),
                faults: [("crash".to_owned(), FaultCount { injected: 2, effective: 1 })].into(),
                figures: BTreeMap::new(),
                messages: 1,
                bytes: 2,
                events: 3,
                virtual_ns: 4,
            },
            events: Some(vec![Event {
                at_ns: 5,
                node: Some(NodeName::from("s1")),
                happening: Happening::Started { incarnation: 0 },
            }]),
        }
    }

    #[test]
    fn a_record_read_back_is_the_same_record() {
        assert_eq!(Run::parse(&run().to_json()).expect("our own words"), run());
    }

    #[test]
    fn a_violation_outweighs_what_could_not_be_told() {
        assert!(matches!(run().outcome.verdict(), Verdict::Violation(v) if v.kind == "lost"));
    }

    #[test]
    fn what_a_run_is_about_leads_and_all_else_keeps_its_order() {
        let violation = |checker: &str, kind: &str| {
            let nodes = vec!["s1".into()];
            let found = Violation {
                checker: checker.into(),
                kind: kind.into(),
                nodes,
                ..Violation::default()
            };
            (checker.to_owned(), Verdict::Violation(found))
        };
        let told = |names: &[&str]| {
            let pass = ("watches".to_owned(), Verdict::Pass);
            let all = [
                violation("bound", "exceeded"),
                pass,
                violation("live", "gap"),
                violation("live", "stopped"),
            ];
            let mut outcome = Outcome { verdicts: all.into(), ..Outcome::default() };
            outcome.lead_with(names);
            assert_eq!(outcome.verdicts[1].1, Verdict::Pass, "what passed stays where it was");
            outcome.violations().map(Violation::name).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(told(&[]), "bound/exceeded live/gap live/stopped");
        assert_eq!(told(&["live/stopped"]), "live/stopped bound/exceeded live/gap");
        assert_eq!(
            told(&["live/stopped/s", "bound/lost", "live/gap"]),
            "live/stopped live/gap bound/exceeded"
        );
    }

    #[test]
    fn a_kind_of_fault_is_vain_when_many_were_injected_and_none_changed_anything() {
        let is_vain = |injected, effective| FaultCount { injected, effective }.is_vain();
        assert!(is_vain(20, 0));
        assert!(!is_vain(19, 0), "a short sweep may inject a kind once");
        assert!(!is_vain(2_000, 1));
    }

    #[test]
    fn a_record_of_another_format_is_refused() {
        let refused = |format| {
            let other = Run { format, ..run() };
            Run::parse(&other.to_json()).expect_err("another format").to_string()
        };
        assert_eq!(refused(3), "the record has format 3; this version reads up to 2");
        assert_eq!(
            refused(1),
            "the record has format 1; this version reads format 2: replay its seed to record it again"
        );
        assert!(Run::parse("{}").is_err());
    }
}
