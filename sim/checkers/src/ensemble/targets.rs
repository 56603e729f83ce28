//! The ensemble's moving targets: `leader`, `followers`, `observers`.
//!
//! Holds: the leader is the one of the newest epoch that any server leads, as the servers have
//! told.

use crate::common::roles::ByRole;
use crate::common::targets::Target;
use crate::ensemble::servers::node_of;
use mailstorm_shared::Ensemble;
use mailstorm_shared::facts::{EnsembleFact, Fact};

/// Who of this ensemble leads, and who does not.
pub fn leadership(ensemble: &Ensemble) -> ByRole {
    let leader = Target::one("leader", "the server that leads; any server while none does");
    let followers = Target::some("followers", "the other servers that vote");
    let observers = Target::some("observers", "the servers that do not vote");
    let nodes = |servers: &std::collections::BTreeSet<_>| {
        servers.iter().copied().map(node_of).collect::<Vec<_>>()
    };
    let roles = &["leads", "follows", "looking"];
    ByRole::new(EnsembleFact::TOPIC, roles, nodes(ensemble.voters()), (leader, followers))
        .beside(observers, nodes(ensemble.observers()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::history::{History, ensemble};
    use crate::common::targets::Targets;
    use mailstorm_shared::Zxid;

    #[test]
    fn the_leader_is_that_of_the_newest_epoch_until_it_steps_down_looks_or_dies() {
        let history = History::new().leads(1, 1, Zxid::ZERO).leads(2, 2, Zxid::ZERO);
        let events = history.leads(3, 3, Zxid::ZERO).crashed("s3").looking(2).crashed("s1");
        let mut leading = leadership(&ensemble(3));
        let mut told = Vec::new();
        for event in events.events() {
            leading.observe(&event);
            told.push(leading.one().map(|leader| leader.to_string()));
        }
        let leaders = ["s1", "s2", "s3", "s2", "s1"].map(|node| Some(node.to_owned()));
        assert_eq!(told, [&leaders[..], &[None]].concat());
    }
}
