//! The servers' own protocol: versioned, checksummed, compact.
//!
//! Two kinds of links, each a byte stream that begins with a [`Hello`]: *election* links carry
//! [`Notification`]s in both directions between every pair of servers; a *learner* link leads from
//! a follower, observer or joiner to its leader and carries the rest. A learner link lives as long
//! as both sides keep their roles: whoever leaves a role closes it, so a message of an earlier
//! reign can never be taken for one of a later. Within a link messages arrive in order or the link
//! breaks.
//!
//! `types` has the vocabulary, `error` why a link is closed, `codec` the bytes of a message,
//! `frame` puts it into a frame with a checksum ([`crate::checked`]).

mod codec;
mod error;
mod frame;
#[cfg(test)]
mod tests;
mod types;

pub use error::PeerFrameError;
pub use frame::{PeerDecoder, decode_hello, decode_message, encode_hello, encode_message};
pub use types::*;
