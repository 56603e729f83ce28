//! One property per file, judged from records.
//!
//! Owns: the [`Checker`] trait, the [`Suite`] that feeds several of them, and the properties. Leaves:
//! making the events to `world` (or to real servers), showing the verdicts to `reports`.
//! Holds: a checker knows events and nothing else, so a history of the real servers can be judged as
//! well; the same events in the same order give the same verdict; a checker never panics on a strange
//! history, it says what is strange about it.
//! Start at [`Checker`], then [`Suite`], then the property you care about:
//!
//! - the ensemble: [`quorum`], [`split_brain`], [`sessions`], [`convergence`];
//! - what clients see: [`answers`], [`real_time`], [`linearizable`], [`session_order`],
//!   [`watches`];
//! - the mail: [`exactly_once`];
//! - what is promised to nobody, and measured: [`staleness`];
//! - what a lesson bounds: [`live`], [`bound`]; whether any design could keep it: [`reach`], [`needs`],
//!   [`possible`];
//! - whether a sweep saw what it was made for: [`reached`].
//!
//! Panics, dead ends ("nothing can ever happen again") and blown bounds are not judged here: they are
//! no events. Whoever drives the run reports them as a [`Violation`] of its own.

pub mod checker;
pub mod figure;
pub mod kinds;
pub mod servers;
pub mod suite;

mod clients;
mod server_log;
mod znodes;

pub mod answers;
pub mod bound;
pub mod convergence;
pub mod exactly_once;
pub mod linearizable;
pub mod live;
pub mod needs;
pub mod possible;
pub mod quorum;
pub mod reach;
pub mod reached;
pub mod real_time;
pub mod session_order;
pub mod sessions;
pub mod split_brain;
pub mod staleness;
pub mod watches;

#[cfg(test)]
mod history;

pub use answers::Answers;
pub use bound::Bound;
pub use checker::{Checker, Interests};
pub use convergence::{Convergence, Service};
pub use exactly_once::ExactlyOnce;
pub use figure::Figure;
pub use linearizable::Linearizable;
pub use live::Live;
pub use needs::Needs;
pub use possible::IfPossible;
pub use quorum::Quorum;
pub use reach::Reach;
pub use reached::{Goal, Reached};
pub use real_time::RealTime;
pub use session_order::SessionOrder;
pub use sessions::Sessions;
pub use split_brain::SplitBrain;
pub use staleness::Staleness;
pub use suite::Suite;
pub use watches::Watches;

// Named in the documentation above.
#[cfg(doc)]
use mailstorm_record::Violation;
