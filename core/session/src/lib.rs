//! A client's session with the ensemble, as a pure core that is stepped. An application has one,
//! and so has a server that keeps its metadata in the ensemble.
//!
//! Owns: which server to be connected to, the handshake, heartbeats, outstanding operations,
//! watches.
//! Leaves: sockets, timers and tasks to its driver.
//! Holds: replies are taken in the order of the requests or the connection is dropped; after a
//! reconnect credentials and watches go before everything else; an operation completes once.
//!
//! In reading order: [`io`] (what goes in and out), [`core`] (the connection's life), `replies`
//! (what a connected server says), [`outstanding`] (operations pending and in flight), [`registry`]
//! (watches), [`account`] (what is reported to onlookers), [`error`] (why a call returned no
//! result).
//! Start at [`core::SessionCore::step`].

pub mod account;
pub mod core;
pub mod defect;
pub mod error;
mod identity;
pub mod io;
pub mod outstanding;
pub mod registry;
mod replies;
#[cfg(test)]
mod tests;

pub use self::core::{SessionConfig, SessionCore};
pub use error::CallError;
pub use identity::digest_id;
pub use io::{
    Answer, OperationId, Retry, SessionInput, SessionOutput, SessionState, Submission, WatchId,
};
