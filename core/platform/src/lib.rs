//! What a process needs of the machine it runs on: the [`Platform`] trait, and the real Platform of
//! sockets, files and timers.
//!
//! Leaves: what is said and stored to whoever uses it. Holds: outside [`real`] nothing knows
//! whether the Platform is real.
//! Start at [`platform`], then [`real`].

pub mod platform;
pub mod real;

pub use mailstorm_shared::machine::{Address, CloseReason, ConnectionId};
pub use platform::{Disk, Endpoint, NetworkEvent, Platform};
