//! Abstract states: what a node of a system is at a moment, seen coarsely, so that a sweep can say
//! when it last saw something new.
//!
//! Owns: what a system tells of its states. Leaves: which faults were going on to `world`, which
//! multiplies.
//! Start at [`States`].

use mailstorm_record::{Event, NodeName};

/// Somebody who follows a system's events and knows in which of a bounded number of states each
/// node is. No judgement rests on it.
pub trait States {
    /// Every state is a number below this.
    fn bound(&self) -> u32;
    /// The node by a number of its own, if it is one of the system's.
    fn place(&self, node: &NodeName) -> Option<usize>;
    /// Looks at the next event, and notes the states that it shows, each with its node.
    fn observe(&mut self, event: &Event, shown: &mut Vec<(usize, u32)>);
    /// Notes the state in which each node is now.
    fn now(&self, shown: &mut Vec<(usize, u32)>);
}
