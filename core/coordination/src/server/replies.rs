//! What is sent to clients: replies, and what is counted of them.
//!
//! Owns: the frame of a reply, and how many bytes one step may send a client in answers to reads.
//! Leaves: the order of replies to `requests`.
//! Holds: every frame to a client is counted, at the server and at its connection.

use super::Server;
use super::stats::Served;
use crate::io::{ClientId, Output};
use crate::replica::Outbox;
use bytes::Bytes;
use mailstorm_shared::Now;
use mailstorm_wire::client::{ErrorCode, Reply, ReplyHeader, encode_reply, encode_reply_within};
use mailstorm_wire::frame::REPLY_BYTES_MAX;

/// A reply as it travels.
pub(super) struct Encoded {
    /// The body of its frame.
    pub(super) frame: Bytes,
    /// What it says, if it is an error.
    pub(super) error: Option<ErrorCode>,
}

/// How many bytes one step has sent a client in answers to reads.
#[derive(Default)]
pub(super) struct Spent(usize);

impl Spent {
    /// Whether it is as much as one client is kept waiting for.
    pub(super) fn is_all(&self) -> bool {
        self.0 >= REPLY_BYTES_MAX
    }

    /// One more frame.
    pub(super) fn add(&mut self, frame: &Bytes) {
        self.0 += frame.len();
    }
}

impl Server {
    /// Sends a reply.
    pub(super) fn reply(
        &mut self,
        id: ClientId,
        xid: i32,
        result: Result<Reply, ErrorCode>,
        out: &mut Outbox,
    ) {
        let Encoded { frame, .. } = self.encoded(xid, &result);
        self.respond(id, frame, out);
    }

    /// A header with the last transaction applied here, and a body if there is no error. A body
    /// that no client would take becomes [`ErrorCode::MarshallingError`]; only reads can find so
    /// much.
    pub(super) fn encoded(&self, xid: i32, result: &Result<Reply, ErrorCode>) -> Encoded {
        let (body, error) = match result {
            Ok(reply) => (Some(reply), None),
            Err(error) => (None, Some(*error)),
        };
        let header = ReplyHeader { xid, zxid: self.database.last_applied(), error };
        match encode_reply_within(&header, body, REPLY_BYTES_MAX) {
            Some(frame) => Encoded { frame, error },
            None => {
                let error = Some(ErrorCode::MarshallingError);
                Encoded { frame: encode_reply(&ReplyHeader { error, ..header }, None), error }
            }
        }
    }

    /// One frame to a client.
    pub(super) fn respond(&mut self, client: ClientId, frame: Bytes, out: &mut Outbox) {
        self.traffic.sent += 1;
        self.clients.change(client, |client| client.account.traffic.sent += 1);
        out.outputs.push(Output::Respond { client, frame });
    }

    /// Notes that an answer left.
    pub(super) fn served(&mut self, now: Now, id: ClientId, served: Served) {
        self.traffic.served(served.took);
        let zxid = self.database.last_applied();
        self.clients.change(id, |client| client.account.served(served, zxid, now.monotonic));
    }
}
