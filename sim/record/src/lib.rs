//! What a run is: `(version, scenario, seed, plan)`, the events it gave, and the verdicts on it.
//!
//! Owns: the vocabulary of plans, events and verdicts, and their file formats. Leaves: making a run
//! to `world`, judging it to `checkers`, showing it to `reports`.
//! Holds: everything here is plain data with one serialised form; nothing in it depends on the
//! machine it was made on.
//! Start at [`plan::Plan`], [`event::Event`] and [`verdict::Verdict`]; [`run::Run`] holds them
//! together.

pub mod case;
pub mod cast;
pub mod catalogue;
mod cut;
mod diff;
pub mod event;
pub mod fault;
pub mod plan;
pub mod run;
pub mod sentence;
pub mod settings;
pub mod verdict;

pub use case::Case;
pub use cast::{Meanings, Names};
pub use event::{Event, Happening, NodeName};
pub use fault::{Fault, FaultKind};
pub use plan::{Plan, PlanError};
pub use run::{Coverage, FaultCount, InboxMark, Run, TraceHash};
pub use sentence::{Scene, quantity, spaced};
pub use settings::{Setting, SettingError, Settings};
pub use verdict::{Standstill, Verdict, Violation};
