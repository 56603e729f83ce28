//! Bytes to requests and back.
//!
//! Owns: ZooKeeper's client protocol ([`client`]), the servers' own protocol ([`peer`]), the bytes of
//! transactions and log entries ([`txn`]), and framing ([`frame`]). Leaves: what any of it means, to
//! the cores. Holds: whatever bytes arrive, decoding ends with a value or an error, never a panic,
//! and never allocates more than the frame it was given justifies.
//! Start at [`client::Request`].

pub mod client;
pub mod frame;
pub mod jute;
pub mod peer;
pub mod txn;
