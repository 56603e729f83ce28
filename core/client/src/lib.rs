//! What an application links: a session with the coordination service, and the recipes on top of
//! it.
//!
//! Owns: the asynchronous [`Client`], and the recipes. Leaves: the session (reconnects, heartbeats,
//! pipelining, watches) to [`mailstorm_session`], the machine to the Platform, what the data means
//! to the application.
//! Holds: an error says whether the operation may have happened; no watch event is lost while the
//! session lives; an event is visible to the application before any later reply is.
//!
//! ```text
//!   application --> recipes --> Client --> SessionCore    pure, stepped: decides
//!                                  |            |
//!                                  +-- driver --+--> Endpoint   the machine's network
//! ```
//! In reading order: [`config`] and [`error`], `driver` (the session on a Platform), [`client`]
//! (the methods), [`watch`] (what a watch resolves to), [`recipes`].
//! Start at [`Client`].

pub mod client;
pub mod config;
pub mod defect;
mod driver;
pub mod error;
pub mod recipes;
pub mod watch;

pub use client::{Client, open_acl};
pub use config::ClientConfig;
pub use error::MultiError;
pub use mailstorm_session::{CallError, SessionState, digest_id};
pub use recipes::{barrier, claims, election, lock};
pub use watch::{Watch, WatchEnd, WatchItem, WatchStream};
