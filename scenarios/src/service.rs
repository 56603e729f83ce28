//! The coordination service as a system of the world: its servers, what they survive, what is on
//! their disks.
//!
//! Owns: what the world and the judges of a run must know of an ensemble. Leaves: the programs of
//! its nodes to `nodes`; what it promises to the checkers.
//! Start at [`Service`].

use crate::nodes::PEER_PORT;
use mailstorm_checkers::common::states::States;
use mailstorm_checkers::common::targets::Targets;
use mailstorm_checkers::ensemble::servers::{Servers, node_of};
use mailstorm_checkers::ensemble::states::ServerStates;
use mailstorm_checkers::ensemble::targets::leadership;
use mailstorm_coordination::storage::{FileName, OnDisk, inspect};
use mailstorm_record::NodeName;
use mailstorm_shared::facts::EnsembleFact;
use mailstorm_shared::quorum::tolerated_failures;
use mailstorm_shared::{Ensemble, Observation};
use mailstorm_world::{Budget, Member, Platters, System};
use std::num::NonZeroU32;

/// An ensemble.
pub(crate) struct Service(pub(crate) Ensemble);

impl System for Service {
    fn name(&self) -> &str {
        "ensemble"
    }

    fn members(&self) -> Vec<Member> {
        let member = |id| Member { node: node_of(id), votes: self.0.is_voter(id) };
        self.0.servers().map(member).collect()
    }

    fn targets(&self) -> Box<dyn Targets> {
        Box::new(leadership(&self.0))
    }

    fn states(&self) -> Box<dyn States> {
        Box::new(ServerStates::new(&self.0))
    }

    /// A majority of the whole must be up, and have what was acknowledged.
    fn budget(&self) -> Budget {
        let spare = tolerated_failures(self.0.voters().len());
        Budget { down: spare, damaged: spare }
    }

    fn checksummed_ports(&self) -> &[u16] {
        &[PEER_PORT]
    }

    fn rests_on_disk(&self, observation: &Observation) -> Option<NonZeroU32> {
        match observation {
            Observation::Ensemble(fact) => match fact {
                EnsembleFact::ServerStarted { .. } => NonZeroU32::new(1),
                EnsembleFact::EpochAccepted { .. } | EnsembleFact::Follows { .. } => {
                    NonZeroU32::new(8)
                }
                EnsembleFact::Durable { .. } => NonZeroU32::new(256),
                _ => None,
            },
            _ => None,
        }
    }

    fn read_disk(&self, member: &NodeName, disk: &Platters<'_>) -> Option<Observation> {
        let server = Servers::of(&self.0).on(Some(member))?;
        let names = disk.names().filter_map(FileName::parse);
        let OnDisk { last_logged, accepted_epoch, current_epoch } =
            inspect(server, names, |name| disk.read(&name.to_string()))?;
        Some(EnsembleFact::DiskHolds { last_logged, accepted_epoch, current_epoch }.into())
    }

    /// A log grows in place. All other files are written beside the old ones and renamed when they
    /// are whole.
    fn ends_torn(&self, file: &str) -> bool {
        matches!(FileName::parse(file), Some(FileName::Log(_)))
    }
}
