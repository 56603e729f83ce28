//! Where a core meets a machine: the loop that drives a server over any Platform.
//!
//! Leaves: every decision to the cores. Holds: outputs are carried out in the order in which the core
//! gave them; outside [`real`] nothing knows whether the Platform is real.
//! Start at [`coordination`].

pub mod config;
pub mod coordination;
mod error;
pub mod real;
mod reserve;
mod signal;
pub mod storage;

pub use coordination::{ServerProbe, ServerSettings, serve_coordination};
pub use error::HostError;
pub use signal::StopRequest;
