//! The replicated state of the service, the leader's look ahead, and who watches what.
//!
//! Owns: znodes, sessions as every server knows them, access lists, watches, snapshots. Leaves: who
//! decides that a transaction is committed to `replica`; connections, timeouts and the order of
//! answers to `server`.
//! Holds: equal histories give equal databases, whichever part of them came as a snapshot.
//!
//! ```text
//!   leader:  LeaderRequest --Pending::prepare--> TxnBody, proposed
//!   all:     Txn, committed --Database::apply--> Applied { result, changes }
//!                                                   |        +--> Watches::trigger --> events
//!                                                   +--> TxnResult::reply --> answer
//!   all:     Request --Database::read--> Reply
//!   disk, learners:  Database --SnapshotCursor--> chunks --SnapshotLoader--> Database
//! ```
//! In reading order: [`path`], [`auth`], [`acl`], `tree`, `database`, `applied`, `read`, `pending`,
//! `watches`, `rearm`, `fuzzy`, [`snapshot`].

pub mod acl;
mod applied;
pub mod auth;
mod database;
mod fuzzy;
pub mod path;
mod pending;
mod read;
mod rearm;
pub mod snapshot;
#[cfg(test)]
mod tests;
mod tree;
mod watches;

pub use applied::{Applied, TxnResult};
pub use auth::Identity;
pub use database::{Counts, Database, SessionRecord};
pub use pending::{DATA_BYTES_MAX, DataOptions, Pending, TTL_MS_MAX, TXN_BODY_BYTES_MAX};
pub use snapshot::{CorruptSnapshot, SnapshotCursor, SnapshotLoader};
pub use watches::{
    WATCH_BYTES_PER_CLIENT_MAX, WATCH_BYTES_PER_SERVER_MAX, WATCHES_PER_CLIENT_MAX,
    WATCHES_PER_SERVER_MAX, WatchBounds, WatchKind, WatchLoad, Watches,
};
