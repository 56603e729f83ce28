//! The server: replica, database, watches, sessions and client connections joined into one core.
//!
//! Owns: what a client may ask and in which order it is answered, what a leader does with the
//! requests of clients, sessions and their expiry, and when snapshots are made. Leaves: agreement
//! to `replica`, the tree to `data`, bytes on sockets and files to the host.
//! Holds: replies leave in the order of the requests, per client; a watch event leaves before any
//! reply that shows its change; a write is answered when its transaction is applied here, so an
//! answer is also a promise that a read on the same connection sees it.
//!
//! ```text
//!   client frame --> connections --> pipeline --request--> leader (here, or over the link)
//!                                       ^                  | Txn
//!                     reply, events     |                  v
//!   client       <----------------- applying <-------- replica (agreement, disk)
//! ```
//! Start at [`Server::step`], then `pipeline`, then `leader`.

mod applying;
mod clients;
pub mod config;
mod connections;
mod dispatch;
mod forwarded;
mod holding;
mod invariants;
mod leader;
mod listing;
mod pipeline;
mod replies;
mod requests;
mod sessions;
mod snapshots;
mod stats;
mod text;

#[cfg(test)]
mod tests;

pub use config::{HostFacts, ServerConfig};
pub use dispatch::Server;
