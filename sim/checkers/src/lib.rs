//! One property per file, judged from records.
//!
//! Owns: the [`Checker`] trait, the [`Suite`] that feeds several of them, and the properties.
//! Leaves: making the events to `world` (or to real servers), showing the verdicts to `reports`.
//! Holds: a checker knows events and nothing else, so a history of the real servers can be judged
//! as well; the same events in the same order give the same verdict; a checker never panics on a
//! strange history, it says what is strange about it.
//! Start at [`Checker`], then [`Suite`], then the property you care about:
//!
//! - [`common`]: what a checker is, and what names no system;
//! - [`ensemble`]: what the servers keep;
//! - [`clients`]: what the ensemble's clients see;
//! - [`mail`]: what becomes of each mail.
//!
//! Panics, dead ends ("nothing can ever happen again") and blown bounds are not judged here: they
//! are no events. Whoever drives the run reports them as a [`Violation`] of its own.

pub mod common;

pub mod ensemble;

pub mod clients;

pub mod mail;

pub use clients::answers::Answers;
pub use clients::linearizable::Linearizable;
pub use clients::real_time::RealTime;
pub use clients::session_order::SessionOrder;
pub use clients::staleness::Staleness;
pub use clients::watches::Watches;
pub use common::bound::Bound;
pub use common::bounds::Bounds;
pub use common::checker::{Checker, Interests};
pub use common::figure::Figure;
pub use common::live::Live;
pub use common::possible::IfPossible;
pub use common::reach::Reach;
pub use common::reached::{Goal, Reached};
pub use common::suite::Suite;
pub use ensemble::convergence::{Convergence, Service};
pub use ensemble::needs::Needs;
pub use ensemble::quorum::Quorum;
pub use ensemble::sessions::Sessions;
pub use ensemble::split_brain::SplitBrain;
pub use ensemble::sweeps::Sweeps;
pub use mail::exactly_once::ExactlyOnce;
pub use mail::fencing::Fencing;

// Named in the documentation above.
#[cfg(doc)]
use mailstorm_record::Violation;
