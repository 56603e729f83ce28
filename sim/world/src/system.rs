//! What a system in a topology tells the world about itself: its members, the nodes that storms aim
//! at, what damage it must survive, which of its messages carry a checksum, and what its disks say.
//!
//! Owns: the questions. Leaves: the answers to each system, which the world knows by nothing else:
//! it names no system, and no node by its role.
//! Start at [`System`].

pub use crate::disk::files::Platters;
use mailstorm_checkers::common::states::States;
use mailstorm_checkers::common::targets::Targets;
#[cfg(test)]
use mailstorm_checkers::common::targets::{Target, Whom};
#[cfg(test)]
use mailstorm_record::Event;
use mailstorm_record::NodeName;
use mailstorm_shared::Observation;
use std::num::NonZeroU32;

/// Servers that do something together.
pub trait System: Send + Sync {
    /// Its name, in a word: `ensemble`. It keys streams.
    fn name(&self) -> &str;
    /// Its members, in a fixed order. Every other node is a client to it.
    fn members(&self) -> Vec<Member>;
    /// Its moving targets, at the beginning of a run.
    fn targets(&self) -> Box<dyn Targets>;
    /// The abstract states of its members, at the beginning of a run.
    fn states(&self) -> Box<dyn States>;
    /// What it must survive.
    fn budget(&self) -> Budget;
    /// The ports on which its members talk to each other in messages with checksums: only there may
    /// bytes change on the way.
    fn checksummed_ports(&self) -> &[u16] {
        &[]
    }
    /// Whether a fact rests on the disk of the member that reports it, so that the disk is to be
    /// read then: once in so many times, since that takes longer than most of what happens in a
    /// run.
    fn rests_on_disk(&self, observation: &Observation) -> Option<NonZeroU32> {
        let _ = observation;
        None
    }
    /// What the files say that are on the disk of a member, as they would be if the power went now;
    /// `None` if they say nothing.
    fn read_disk(&self, member: &NodeName, disk: &Platters<'_>) -> Option<Observation> {
        let _ = (member, disk);
        None
    }
    /// Whether a lawful crash can cut off the end of this file, so that damage to its newest batch
    /// cannot be told from a crash: true for a log. The atlas keeps such damage away.
    fn ends_torn(&self, file: &str) -> bool {
        let _ = file;
        true
    }
}

impl dyn System {
    /// The targets of swarms: its words for one node.
    pub(crate) fn aimed_at(&self) -> Vec<NodeName> {
        let words = self.targets().words().into_iter().filter(|target| target.is_one);
        words.map(|target| NodeName(target.word)).collect()
    }
}

/// One of a system's servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its node.
    pub node: NodeName,
    /// Whether it counts when a majority is counted. Whoever does not may be damaged at any time.
    pub votes: bool,
}

/// What a correct system survives. The atlas keeps damage within it, and swarms draw by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// How many of those who vote may be gone while the rest still does its work.
    pub down: usize,
    /// How many of those who vote may ever lose or misread what their disks held, in one run.
    pub damaged: usize,
}

/// A system of so many voters, and others, for tests: `s1`, `s2`, ...
#[cfg(test)]
pub(crate) struct Servers {
    pub(crate) voters: usize,
    pub(crate) others: usize,
}

#[cfg(test)]
impl System for Servers {
    fn name(&self) -> &str {
        "servers"
    }

    fn members(&self) -> Vec<Member> {
        let member = |number| Member {
            node: format!("s{number}").as_str().into(),
            votes: number <= self.voters,
        };
        (1..=self.voters + self.others).map(member).collect()
    }

    fn targets(&self) -> Box<dyn Targets> {
        Box::new(Nobody)
    }

    fn states(&self) -> Box<dyn States> {
        Box::new(Nobody)
    }

    fn budget(&self) -> Budget {
        let spare = mailstorm_shared::quorum::tolerated_failures(self.voters);
        Budget { down: spare, damaged: spare }
    }
}

/// Targets that mean no node, and no states.
#[cfg(test)]
struct Nobody;

#[cfg(test)]
impl Targets for Nobody {
    fn words(&self) -> Vec<Target> {
        vec![Target::one("leader", "nobody"), Target::some("followers", "everybody")]
    }

    fn observe(&mut self, _: &Event) {}

    fn meant(&self, place: usize) -> Whom {
        if place == 0 { Whom::One(None) } else { Whom::AllBut(Vec::new(), 0) }
    }
}

#[cfg(test)]
impl States for Nobody {
    fn bound(&self) -> u32 {
        1_000
    }

    fn place(&self, _: &NodeName) -> Option<usize> {
        None
    }

    fn observe(&mut self, _: &Event, _: &mut Vec<(usize, u32)>) {}

    fn now(&self, _: &mut Vec<(usize, u32)>) {}
}
