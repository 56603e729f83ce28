//! What the ensemble promises: its servers, their logs, their leaders and their sessions.
//!
//! - what it must keep: [`quorum`], [`split_brain`], [`sessions`], [`sweeps`], [`convergence`];
//! - what work on it needs to go on: [`needs`];
//! - what storms aim at, and must reach: [`targets`], [`goals`]; what guides them: [`states`].

pub mod servers;

pub mod convergence;
pub mod quorum;
pub mod sessions;
pub mod split_brain;
pub mod sweeps;

pub mod needs;

pub mod goals;
pub mod states;
pub mod targets;

mod server_log;
