//! Which nodes a run has, what each of them is, and in which order they are shown.
//!
//! Holds: the record's word on a node counts; a record without one is read for what its nodes say
//! of themselves, never for how they are called. Start at [`nodes_in`].

use super::projection::Systems;
use mailstorm_record::{Event, Happening, NodeName, Run};
use mailstorm_shared::facts::RoleBand;
use std::collections::{BTreeMap, BTreeSet};

/// A node that did something or had something done to it.
#[derive(Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) name: NodeName,
    /// What it is, in a word: `server`, `worker`.
    pub(crate) role: String,
}

/// Who never said what it is.
const STRANGER: &str = "stranger";

/// Every node that did something or had something done to it, role by role: who serves on top, who
/// stands outside at the bottom, and those who do the work in between.
pub(crate) fn nodes_in(events: &[Event], run: &Run, systems: &Systems) -> Vec<Node> {
    // What each node shows itself to be, and how much that says.
    let mut told: BTreeMap<&NodeName, (usize, &'static str)> = BTreeMap::new();
    let mut with_bands: BTreeSet<&NodeName> = BTreeSet::new();
    for event in events {
        let Some(node) = &event.node else { continue };
        let known = told.entry(node).or_insert((0, STRANGER));
        let Happening::Observed { observation } = &event.happening else { continue };
        let account = observation.account();
        if let Some(teller) = account.teller {
            *known = (*known).max((systems.weight(observation), teller));
        }
        if matches!(account.band, RoleBand::Shows(..)) {
            with_bands.insert(node);
        }
    }
    for violation in run.outcome.violations() {
        for node in &violation.nodes {
            told.entry(node).or_insert((0, STRANGER));
        }
    }
    let role = |(name, (_, told)): (&NodeName, (usize, &str))| {
        let role = run.roles.get(name).cloned().unwrap_or_else(|| told.to_owned());
        Node { name: name.clone(), role }
    };
    let mut nodes: Vec<Node> = told.into_iter().map(role).collect();
    let has_bands = |node: &&Node| with_bands.contains(&node.name);
    let banded: BTreeSet<String> = nodes.iter().filter(has_bands).map(|n| n.role.clone()).collect();
    nodes.sort_by_key(|node| {
        let letters = node.name.0.trim_end_matches(|c: char| c.is_ascii_digit());
        let number: u64 = node.name.0[letters.len()..].parse().unwrap_or(0);
        let stand = match &*node.role {
            STRANGER => (u8::MAX, 0),
            role => systems.stand(role, banded.contains(role)),
        };
        (stand, node.role.clone(), letters.to_owned(), number)
    });
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::samples::recorded;
    use mailstorm_shared::facts::{
        ApplicationFact, ClientFact, EnsembleFact, MailFact, Observation,
    };
    use mailstorm_shared::{Epoch, SessionId, Zxid};

    fn says(node: &str, observation: Observation) -> Event {
        Event { at_ns: 1, node: Some(node.into()), happening: Happening::Observed { observation } }
    }

    fn connects(node: &str) -> Event {
        let session = SessionId(1);
        says(
            node,
            Observation::Client(ClientFact::ClientConnected { client: 1, session, resumed: false }),
        )
    }

    fn shown(run: &Run) -> Vec<(String, String)> {
        let nodes = nodes_in(run.events.as_ref().unwrap(), run, &crate::projections::all());
        nodes.into_iter().map(|node| (node.name.to_string(), node.role)).collect()
    }

    #[test]
    fn a_node_is_what_the_record_says_whatever_it_is_called() {
        let events = ["s1", "v1", "w1", "a1"].map(connects).to_vec();
        let mut run = recorded(events, None);
        let roles = [
            ("s1", "worker"),
            ("v1", "supervisor"),
            ("w1", "server"),
            ("a1", "juggler"),
            ("x", "sink"),
        ];
        run.roles = roles.map(|(name, role)| (name.into(), role.to_owned())).into();
        let expected =
            [("w1", "server"), ("v1", "supervisor"), ("s1", "worker"), ("a1", "juggler")];
        assert_eq!(shown(&run), expected.map(|(name, role)| (name.to_owned(), role.to_owned())));
    }

    #[test]
    fn a_node_of_an_old_record_is_what_it_shows_itself_to_be() {
        let started = Observation::Ensemble(EnsembleFact::ServerStarted {
            epoch: Epoch::default(),
            snapshot: Zxid::ZERO,
            last_logged: Zxid::ZERO,
            votes: true,
        });
        let tries = Observation::Mail(MailFact::MailAttempted {
            worker: "x2".into(),
            mail: "m".into(),
            token: 1,
            attempt: 1,
        });
        let takes = Observation::Mail(MailFact::SinkAccepted {
            resource: "r".into(),
            mail: "m".into(),
            worker: "x2".into(),
            token: 1,
            verdict: "ham".into(),
        });
        let believes = Observation::Application(ApplicationFact::MasterBelieves {
            candidate: "x4".into(),
            token: 1,
        });
        let silent = Event { at_ns: 1, node: Some("s9".into()), happening: Happening::Paused };
        let events = vec![
            silent,
            says("x3", takes),
            connects("x2"),
            says("x2", tries),
            connects("x4"),
            says("x4", believes),
            connects("x5"),
            says("x1", started),
        ];
        let expected = [
            ("x1", "server"),
            ("x2", "worker"),
            ("x4", "candidate"),
            ("x5", "client"),
            ("x3", "sink"),
            ("s9", "stranger"),
        ];
        let expected = expected.map(|(name, role)| (name.to_owned(), role.to_owned()));
        assert_eq!(shown(&recorded(events, None)), expected);
    }
}
