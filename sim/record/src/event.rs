//! What happened in a run, in order.

use crate::{Meanings, TraceHash};
use mailstorm_shared::facts::{EnsembleFact, Observation};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A simulated machine's name: `s1` (server), `w1` (worker), `c1` (client), `sink`.
#[derive(Clone, Debug, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeName(pub Arc<str>);

impl PartialEq for NodeName {
    /// Every event is looked up by its node, and most names differ in their last byte: it is looked
    /// at before the rest.
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let (one, two) = (self.0.as_bytes(), other.0.as_bytes());
        Arc::ptr_eq(&self.0, &other.0)
            || (one.len() == two.len() && one.last() == two.last() && one == two)
    }
}

impl Hash for NodeName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl From<&str> for NodeName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One event of a run. Checkers are fed with these, in order, while the run goes on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Event {
    /// Virtual time since the run began, in nanoseconds: the world's own clock, not a node's.
    pub at_ns: u64,
    /// Where; `None` for the world itself.
    pub node: Option<NodeName>,
    /// What.
    #[serde(flatten)]
    pub happening: Happening,
}

impl Event {
    /// What a server of an ensemble reported about itself, and on which node it runs.
    pub fn of_server(&self) -> Option<(&NodeName, &EnsembleFact)> {
        match (&self.happening, &self.node) {
            (Happening::Observed { observation: Observation::Ensemble(fact) }, Some(node)) => {
                Some((node, fact))
            }
            _ => None,
        }
    }
}

/// What happened in an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Happening {
    /// A process reported a fact.
    Observed {
        /// The fact.
        observation: Observation,
    },
    /// A process started (again).
    Started {
        /// How many times before.
        incarnation: u32,
    },
    /// A process died.
    Crashed {
        /// Why, in a few words.
        why: Arc<str>,
    },
    /// A crash took from a node's disk what no sync had covered.
    WritesLost {
        /// How many sectors hold again what they held before.
        sectors: usize,
        /// How many sectors are half old and half new.
        torn: usize,
    },
    /// A process was stopped with its memory intact.
    Paused,
    /// A paused process continues.
    Resumed,
    /// A fault of the plan began.
    FaultBegan {
        /// Its place in the plan.
        index: usize,
        /// Its kind as plans spell it, with what it is aimed at before it if that moves:
        /// `leader_crash`.
        kind: Arc<str>,
        /// The nodes that it strikes, each once, with nodes in the place of words.
        nodes: Vec<NodeName>,
        /// What its words mean, and which of these nodes a word means.
        #[serde(default, skip_serializing_if = "Meanings::is_empty")]
        meant: Meanings,
    },
    /// A fault ended.
    FaultEnded {
        /// Its place in the plan.
        index: usize,
    },
    /// A phase of the run began: `start`, `storm`, `heal`, `converge`, `end`.
    Phase {
        /// Which.
        name: Arc<str>,
    },
    /// A disk lost durable data (a lost disk, rot): from here on what the node said to have on disk
    /// no longer holds.
    DiskDamaged,
    /// All that a server knows, once every virtual second, in a full recording only.
    State {
        /// A hash of it.
        hash: TraceHash,
    },
    /// A message left, in a full recording only.
    Sent {
        /// Numbered through the run.
        message: u64,
        /// Where to.
        to: NodeName,
        /// Bytes.
        bytes: usize,
        /// What it is, in a few words; `undecoded, to s1:2181` where the world cannot tell.
        label: Arc<str>,
    },
    /// A message was delivered, in a full recording only.
    Delivered {
        /// The number it was sent under.
        message: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use mailstorm_shared::facts::{ApplicationFact, Told};

    #[test]
    fn a_fact_is_spelled_with_its_topic_and_its_name_and_read_back() {
        let fact = EnsembleFact::Looking;
        let text = serde_json::to_string(&Observation::from(fact)).expect("plain data");
        assert_eq!(text, r#"{"topic":"ensemble","what":"looking"}"#);
        let happening = r#""event":"observed","observation":"#;
        for fact in [
            r#"{"topic":"ensemble","what":"leads","epoch":1,"last_logged":5}"#,
            r#"{"topic":"ensemble","what":"stepped_down","epoch":1,"why":"it is alone"}"#,
            r#"{"topic":"client","what":"client_disconnected","client":3}"#,
            r#"{"topic":"mail","what":"sink_refused","resource":"c","mail":"m","worker":"w1","token":1,"highest":2}"#,
            r#"{"topic":"application","what":"milestone","name":"claim_taken_over"}"#,
        ] {
            let line = format!(r#"{{"at_ns":7,"node":"s1",{happening}{fact}}}"#);
            let event: Event = serde_json::from_str(&line).expect("an event");
            assert_eq!(serde_json::to_string(&event).expect("plain data"), line);
            let Happening::Observed { observation } = event.happening else { panic!("{line}") };
            let (topic, name) = (observation.topic(), observation.name());
            assert!(fact.starts_with(&format!(r#"{{"topic":"{topic}","what":"{name}""#)), "{fact}");
        }
    }

    #[test]
    fn a_fact_of_an_unknown_program_is_read_back_and_bounded_in_a_record() {
        let values = [("token", 7.into()), ("of", "orders".into())];
        let told = Told::new("backup_promoted", values, "is the primary from now on");
        let observation = Observation::from(ApplicationFact::Told(told.expect("short enough")));
        assert_eq!(observation.name(), "backup_promoted");
        assert_eq!(observation.words(), "is the primary from now on");
        let text = serde_json::to_string(&observation).expect("plain data");
        assert_eq!(
            text,
            r#"{"topic":"application","what":"told","name":"backup_promoted","values":{"of":"orders","token":7},"words":"is the primary from now on"}"#
        );
        assert_eq!(serde_json::from_str::<Observation>(&text).expect("our own words"), observation);
        let longer = text.replace("primary", &"p".repeat(Told::TEXT_BYTES_MAX));
        let error = serde_json::from_str::<Observation>(&longer).expect_err("too long");
        assert!(error.to_string().contains("shorten its words"), "{error}");
    }
}
