//! The messages of a link in their frames ([`crate::checked`]).

use super::codec;
use super::error::PeerFrameError;
use super::types::{Hello, PeerMessage};
use crate::checked::{CheckedDecoder, seal};
use bytes::Bytes;

/// The frame of a message, complete.
///
/// # Panics
/// When the message is longer than [`crate::checked::CHECKED_FRAME_BYTES_MAX`]: no peer would take
/// it. What can grow is bounded where it is made: transactions by [`crate::txn::TXN_BYTES_MAX`],
/// chunks of snapshots and lists of sessions by their senders.
pub fn encode_message(message: &PeerMessage) -> Bytes {
    seal(message)
}

/// The frame with which a link begins, complete.
pub fn encode_hello(hello: &Hello) -> Bytes {
    seal(hello)
}

/// The first frame of a link.
///
/// # Errors
/// When it is not a hello, or of another version.
pub fn decode_hello(body: &Bytes) -> Result<Hello, PeerFrameError> {
    codec::decode_hello(body)
}

/// A frame after the first. Entries and chunks share its memory.
///
/// # Errors
/// When it is not a valid message.
pub fn decode_message(body: &Bytes) -> Result<PeerMessage, PeerFrameError> {
    Ok(codec::decode_message(body)?)
}

/// Cuts the bytes received on a link into messages.
#[derive(Clone, Debug, Default)]
pub struct PeerDecoder {
    frames: CheckedDecoder,
    failed: Option<PeerFrameError>,
}

impl PeerDecoder {
    /// A decoder at the beginning of a link.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next chunk. Ask for all messages in it before the next: what is left over is
    /// copied.
    pub fn push(&mut self, chunk: Bytes) {
        self.frames.push(chunk);
    }

    /// The first frame of the link, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`PeerFrameError`]; every later call repeats it.
    pub fn next_hello(&mut self) -> Result<Option<Hello>, PeerFrameError> {
        self.next(decode_hello)
    }

    /// The next message after the [`Hello`], or `None` when more bytes are needed. Entries and
    /// chunks share the memory they arrived in, or have a copy where they are a small part of it.
    ///
    /// # Errors
    /// As [`Self::next_hello`].
    pub fn next_message(&mut self) -> Result<Option<PeerMessage>, PeerFrameError> {
        self.next(decode_message)
    }

    fn next<T>(
        &mut self,
        decode: impl FnOnce(&Bytes) -> Result<T, PeerFrameError>,
    ) -> Result<Option<T>, PeerFrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let next = match self.frames.next_frame() {
            Ok(Some(body)) => decode(&body).map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(error.into()),
        };
        self.failed = next.as_ref().err().copied();
        next
    }
}
