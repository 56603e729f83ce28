//! Quorum arithmetic: who belongs to the ensemble, and which sets of servers may decide.

use crate::ServerId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The configured whole: a majority is counted against it, dead or alive.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ensemble {
    voters: BTreeSet<ServerId>,
    observers: BTreeSet<ServerId>,
}

/// Why a set of servers is no ensemble.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnsembleError {
    /// Nobody could ever decide anything.
    #[error("an ensemble needs at least one voter")]
    NoVoter,
    /// A server must be one or the other.
    #[error("{0} is named both as a voter and as an observer")]
    Both(ServerId),
}

impl Ensemble {
    /// The ensemble of these voters and observers.
    ///
    /// # Errors
    /// [`EnsembleError`] when there is no voter, or a server is in both sets.
    pub fn new(
        voters: impl IntoIterator<Item = ServerId>,
        observers: impl IntoIterator<Item = ServerId>,
    ) -> Result<Self, EnsembleError> {
        let voters: BTreeSet<_> = voters.into_iter().collect();
        let observers: BTreeSet<_> = observers.into_iter().collect();
        if voters.is_empty() {
            return Err(EnsembleError::NoVoter);
        }
        if let Some(both) = voters.intersection(&observers).next() {
            return Err(EnsembleError::Both(*both));
        }
        Ok(Self { voters, observers })
    }

    /// The servers that elect and acknowledge.
    pub fn voters(&self) -> &BTreeSet<ServerId> {
        &self.voters
    }

    /// The servers that only follow.
    pub fn observers(&self) -> &BTreeSet<ServerId> {
        &self.observers
    }

    /// Every server, voters first.
    pub fn servers(&self) -> impl Iterator<Item = ServerId> + '_ {
        self.voters.iter().chain(&self.observers).copied()
    }

    /// Whether `server` votes.
    pub fn is_voter(&self, server: ServerId) -> bool {
        self.voters.contains(&server)
    }

    /// Whether `server` belongs to the ensemble at all.
    pub fn contains(&self, server: ServerId) -> bool {
        self.is_voter(server) || self.observers.contains(&server)
    }

    /// The fewest voters that may decide: more than half of the configured whole.
    pub fn majority(&self) -> usize {
        majority(self.voters.len())
    }

    /// Whether these servers may decide. Observers and strangers among them do not count,
    /// and nobody counts twice.
    pub fn is_quorum(&self, servers: impl IntoIterator<Item = ServerId>) -> bool {
        let counted: BTreeSet<_> = servers.into_iter().filter(|s| self.is_voter(*s)).collect();
        counted.len() >= self.majority()
    }
}

/// More than half of `count`.
pub fn majority(count: usize) -> usize {
    count / 2 + 1
}

/// How many of `count` may be gone while the rest can still decide.
pub fn tolerated_failures(count: usize) -> usize {
    count - majority(count).min(count)
}
