//! From a failing run to the smallest case that fails in the same way, and the story it tells.
//!
//! Owns: which simpler cases to try, in which order, and when to stop; the story of a run. Leaves:
//! running a case, and the clock, to the caller; the sentence of a fault to `record`; knows records
//! only.
//! Holds: every step makes the case strictly simpler ([`weight`]), so a search ends; the result
//! depends on the outcomes of the runs and on nothing else.
//! Start at [`search::shrink`]; the simpler faults are in `simpler`.

pub mod refuted;
pub mod search;
mod simpler;
pub mod story;
pub mod weight;

pub use refuted::Refuted;
pub use search::{Field, Shrunk, Stopped, Tried, shrink};
pub use story::story;
