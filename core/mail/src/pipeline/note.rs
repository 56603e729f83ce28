//! What a claim notes of its batch.

use bytes::Bytes;
use mailstorm_shared::WallTime;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A batch of mails, as its claim's znode holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchNote {
    /// The place of the first mail in the inbox, from 0; the others follow.
    pub first: usize,
    /// When the note was last written, on the writer's clock.
    pub noted_at: WallTime,
    /// Who wrote it.
    pub writer: Arc<str>,
    /// The mails, in the inbox's order.
    pub mails: Vec<NotedMail>,
}

/// One mail of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotedMail {
    /// Its id in the inbox.
    pub id: Arc<str>,
    /// How many times processing was begun.
    pub attempts: u32,
    /// The verdict in one word, once the sink has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Arc<str>>,
}

impl BatchNote {
    pub(super) fn encode(&self) -> Bytes {
        serde_json::to_vec(self).expect("plain data serialises").into()
    }

    /// Reads what a claim's znode holds; `None` if that was not written by this pipeline.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}
