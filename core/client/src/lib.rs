//! What an application links: a session with the coordination service, and the recipes on top of it.
//!
//! Owns: the session (reconnects, heartbeats, pipelining, watches), the asynchronous [`Client`], and
//! the recipes. Leaves: bytes to `wire`, the machine to `host`'s Platform, what the data means to the
//! application.
//! Holds: an error says whether the operation may have happened; no watch event is lost while the
//! session lives; an event is visible to the application before any later reply is.
//!
//! ```text
//!   application --> recipes --> Client --> SessionCore    pure, stepped: decides
//!                                  |            |
//!                                  +-- driver --+--> Endpoint   the machine's network
//! ```
//! In reading order: [`session`] (the core), [`config`] and [`error`], `driver` (the core on a
//! Platform), [`client`] (the methods), [`watch`] (what a watch resolves to), [`recipes`].
//! Start at [`Client`].

pub mod client;
pub mod config;
mod driver;
pub mod error;
pub mod recipes;
pub mod session;
pub mod watch;

pub use client::{Client, open_acl};
pub use config::ClientConfig;
pub use error::{CallError, MultiError};
pub use recipes::{barrier, claims, election, lock};
pub use session::SessionState;
pub use watch::{Watch, WatchEnd, WatchItem, WatchStream};
