//! Where the cores meet a machine: the [`Platform`] trait, the loop that drives a server over any
//! Platform, and the real Platform of sockets, files and timers.
//!
//! Leaves: every decision to the cores. Holds: outputs are carried out in the order in which the core
//! gave them; outside [`real`] nothing knows whether the Platform is real.
//! Start at [`platform`], then [`coordination`].

pub mod config;
pub mod coordination;
mod error;
pub mod platform;
pub mod real;
mod reserve;
mod signal;
pub mod storage;

pub use coordination::{ServerProbe, ServerSettings, serve_coordination};
pub use error::HostError;
pub use platform::{Address, CloseReason, ConnectionId, Disk, Endpoint, NetworkEvent, Platform};
pub use signal::StopRequest;
