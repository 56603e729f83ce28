//! ZooKeeper's client protocol, version 0, as 3.9 speaks it: requests, replies, events, handshake.
//!
//! `types` has the vocabulary, `record` the parts that several frames share; `handshake`, `request`
//! and `reply` turn frames into bytes and back, for both sides. Every function here deals in
//! bodies: the length before them belongs to [`crate::frame`].
//!
//! A frame may be longer than what is read of it, as with ZooKeeper: later versions of the protocol
//! append fields.

mod handshake;
mod record;
mod reply;
mod request;
#[cfg(test)]
mod tests;
mod types;

// Words of this protocol, too: who speaks it finds all of its words here.
pub use mailstorm_shared::ErrorCode;
pub use mailstorm_shared::znodes::{Acl, Stat, permission};

pub use handshake::{
    decode_connect_request, decode_connect_response, encode_connect_request,
    encode_connect_response,
};
pub use record::{opcode, xid};
pub use reply::{
    ReplyShape, decode_event, decode_reply, decode_reply_header, encode_event, encode_reply,
    encode_reply_within, encode_unimplemented,
};
pub use request::{RequestError, decode_request, encode_request};
pub use types::*;
