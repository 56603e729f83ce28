//! Bytes to requests and back.
//!
//! Owns: ZooKeeper's client protocol ([`client`], in `jute`, cut by [`frame`]), the servers' own
//! protocol ([`peer`], in frames that are [`checked`]), and the bytes of transactions ([`txn`]),
//! both in the `compact` format.
//! Leaves: what any of it means, to the cores. Holds: whatever bytes are received, decoding ends
//! with a value or an error, never a panic, and never allocates more than the frame it was given
//! justifies.
//! Start at [`client::Request`].

pub mod checked;
pub mod client;
mod compact;
mod fields;
pub mod frame;
mod jute;
pub mod peer;
mod raw;
#[cfg(test)]
mod strategies;
pub mod txn;

pub use raw::Malformed;
