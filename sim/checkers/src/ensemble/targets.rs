//! The ensemble's moving targets: `leader`, `followers`, `observers`.
//!
//! Holds: the leader is the one of the newest epoch that any server leads, as the servers have told.

use crate::common::targets::{Target, Targets, Whom};
use crate::ensemble::servers::{Servers, node_of};
use mailstorm_record::{Event, Happening, NodeName};
use mailstorm_shared::facts::EnsembleFact;
use mailstorm_shared::{Ensemble, Epoch, Observation, ServerId};
use std::collections::{BTreeMap, BTreeSet};

/// Who leads, and who does not.
#[derive(Clone, Debug)]
pub struct Leadership {
    ensemble: Ensemble,
    nodes: Servers,
    /// The newest epoch that each server leads, of those that do.
    leading: BTreeMap<ServerId, Epoch>,
}

impl Leadership {
    /// Nobody leads yet.
    pub fn new(ensemble: Ensemble) -> Self {
        Self { nodes: Servers::of(&ensemble), ensemble, leading: BTreeMap::new() }
    }

    /// The server of this event does not lead any longer.
    fn gone(&mut self, event: &Event) {
        if let Some(server) = self.nodes.on(event.node.as_ref()) {
            self.leading.remove(&server);
        }
    }

    /// The leader of the newest epoch.
    pub fn leader(&self) -> Option<NodeName> {
        let newest = self.leading.iter().max_by_key(|(_, epoch)| **epoch);
        newest.map(|(server, _)| node_of(*server))
    }
}

impl Targets for Leadership {
    fn words(&self) -> Vec<Target> {
        vec![
            Target::one("leader", "the server that leads; any server while none does"),
            Target::some("followers", "the other servers that vote"),
            Target::some("observers", "the servers that do not vote"),
        ]
    }

    fn observe(&mut self, event: &Event) {
        match &event.happening {
            Happening::Observed { observation: Observation::Ensemble(fact) } => match fact {
                EnsembleFact::Leads { epoch, .. } => {
                    let server = self.nodes.on(event.node.as_ref());
                    self.leading.extend(server.map(|server| (server, *epoch)));
                }
                EnsembleFact::SteppedDown { .. } | EnsembleFact::Looking => self.gone(event),
                _ => {}
            },
            Happening::Crashed { .. } => self.gone(event),
            _ => {}
        }
    }

    fn meant(&self, place: usize) -> Whom {
        let nodes = |servers: &BTreeSet<ServerId>| servers.iter().copied().map(node_of).collect();
        match place {
            0 => Whom::One(self.leader()),
            1 => Whom::AllBut(nodes(self.ensemble.voters()), 0),
            _ => Whom::All(nodes(self.ensemble.observers())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::history::{History, ensemble};
    use mailstorm_shared::Zxid;

    #[test]
    fn the_leader_is_that_of_the_newest_epoch_until_it_steps_down_looks_or_dies() {
        let history = History::new().leads(1, 1, Zxid::ZERO).leads(2, 2, Zxid::ZERO);
        let events = history.leads(3, 3, Zxid::ZERO).crashed("s3").looking(2).crashed("s1");
        let mut leadership = Leadership::new(ensemble(3));
        let mut told = Vec::new();
        for event in events.events() {
            leadership.observe(&event);
            told.push(leadership.leader().map(|leader| leader.to_string()));
        }
        let leaders = ["s1", "s2", "s3", "s2", "s1"].map(|node| Some(node.to_owned()));
        assert_eq!(told, [&leaders[..], &[None]].concat());
    }
}
