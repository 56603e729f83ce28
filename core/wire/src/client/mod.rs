//! ZooKeeper's client protocol, version 0, as 3.9 speaks it: requests, replies, events, handshake.
//!
//! [`types`] has the vocabulary; [`codec`] turns it into bytes and back, for both sides.

mod codec;
mod types;

pub use codec::*;
pub use types::*;
