//! What travels between a worker and the sink: length-prefixed frames of JSON, one answer per
//! request.

use crate::processing::Processed;
use bytes::Bytes;
use mailstorm_wire::frame::framed;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The largest frame either side accepts: a result has at most a few kilobytes, a list of done
/// mails at most one claim's.
pub(super) const SINK_FRAME_BYTES_MAX: usize = 1 << 20;

/// A worker's request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SinkRequest {
    /// Echoed in the answer; grows by one with each request of a connection's client.
    pub number: u64,
    /// The claim.
    pub resource: Arc<str>,
    /// The fencing token under which the worker holds it.
    pub token: u64,
    /// The result to take; `None` only raises the token and returns what is done.
    pub result: Option<SinkResult>,
}

/// One mail's result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkResult {
    /// The mail's id.
    pub mail: Arc<str>,
    /// Who sends it.
    pub worker: Arc<str>,
    /// What became of the mail.
    pub processed: Processed,
}

/// The sink's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SinkReply {
    /// The request's number.
    pub number: u64,
    /// What became of it.
    pub outcome: SinkOutcome,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(super) enum SinkOutcome {
    /// The token stands; these mails have a result.
    Fenced {
        /// Their ids, in order.
        done: Vec<Arc<str>>,
    },
    /// The result is in the ledger.
    Taken,
    /// The token is stale.
    Refused {
        /// The highest token seen.
        highest_token: u64,
    },
}

/// The frame of a request or reply.
pub(super) fn encode(message: &impl Serialize) -> Bytes {
    let body = serde_json::to_vec(message).expect("plain data serialises");
    framed(&body)
}
