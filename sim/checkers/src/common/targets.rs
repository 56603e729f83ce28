//! Moving targets: nodes by what they are at a moment, as `leader`, which plans and storms aim at.
//!
//! Owns: what a system tells of its targets. Leaves: the words in plans to `record`, aiming to
//! `world`.
//! Holds: what a word means depends on the events so far and on nothing else.
//! Start at [`Targets`].

pub use mailstorm_record::cast::Target;
use mailstorm_record::{Event, NodeName};

/// Somebody who follows a system's events and knows whom each of its words means.
pub trait Targets {
    /// Its words, which stay the same for the whole run.
    fn words(&self) -> Vec<Target>;
    /// Looks at the next event.
    fn observe(&mut self, event: &Event);
    /// Whom the word at this place means now.
    fn meant(&self, place: usize) -> Whom;
}

/// Whom a word means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// One node, or nobody yet: then the fault that asks picks a member of the system.
    One(Option<NodeName>),
    /// These.
    All(Vec<NodeName>),
    /// These without the one that the word at this place means, or who was picked for it.
    AllBut(Vec<NodeName>, usize),
}
