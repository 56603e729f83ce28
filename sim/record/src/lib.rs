//! What a run is: `(version, scenario, seed, plan)`, the events it gave, and the verdicts on it.
//!
//! Owns: the vocabulary of plans, events and verdicts, and their file formats. Leaves: making a run to
//! `world`, judging it to `checkers`, showing it to `reports`.
//! Holds: everything here is plain data with one serialised form; nothing in it depends on the machine
//! it was made on.
//! Start at [`event::Event`] and [`verdict::Verdict`].

pub mod event;
pub mod verdict;

pub use event::{Event, Happening, NodeName};
pub use verdict::{Verdict, Violation};
