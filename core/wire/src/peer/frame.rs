//! What is around the bytes of a message on a link.
//!
//! ```text
//! u24 length of body, little-endian | u8 check of the length | u32 CRC-32C of body | body
//! ```
//! The length has a check of its own. Without it, one flipped bit in a length would make the receiver
//! wait for megabytes that never come, on an election link perhaps for ever; with it, every flipped
//! bit of a frame is found as soon as the frame is read.
//!
//! Holds: after an error nothing more comes out of a link; it has to be closed.

use super::codec::{decode_hello, decode_message};
use super::error::{PEER_FRAME_BYTES_MAX, PeerFrameError};
use super::types::{Hello, PeerMessage};
use crate::frame::Gathered;
use crate::raw::{Encode, encoded_len};
use bytes::Bytes;
use mailstorm_shared::checksum::crc32c;

const HEADER_BYTES: usize = 8;

/// The frame of a message, complete.
///
/// # Panics
/// When the message is longer than [`PEER_FRAME_BYTES_MAX`]: no peer would take it. What can grow is
/// bounded where it is made: transactions by [`crate::txn::TXN_BYTES_MAX`], chunks of snapshots and
/// lists of sessions by their senders.
pub fn encode_message(message: &PeerMessage) -> Bytes {
    seal(message)
}

/// The frame with which a link begins, complete.
pub fn encode_hello(hello: &Hello) -> Bytes {
    seal(hello)
}

fn seal(body: &impl Encode) -> Bytes {
    let length = encoded_len(body);
    assert!(length <= PEER_FRAME_BYTES_MAX, "no peer would take this message");
    let mut frame = Vec::with_capacity(HEADER_BYTES + length);
    frame.extend_from_slice(&checked_length(length as u32).to_le_bytes());
    frame.extend_from_slice(&[0; 4]);
    body.encode(&mut frame);
    let checksum = crc32c(&frame[HEADER_BYTES..]);
    frame[4..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    Bytes::from(frame)
}

const LENGTH_MASK: u32 = 0x00ff_ffff;
const _: () = assert!(PEER_FRAME_BYTES_MAX <= LENGTH_MASK as usize);

/// The length with its check in the highest byte: the exclusive or of the others, so that each
/// flipped bit shows, and of a constant, so that a run of zeros is no empty frame.
fn checked_length(length: u32) -> u32 {
    let [low, middle, high, _] = length.to_le_bytes();
    length | u32::from(low ^ middle ^ high ^ 0x5a) << 24
}

/// Cuts what arrives on a link into messages.
#[derive(Clone, Debug, Default)]
pub struct PeerDecoder {
    gathered: Gathered,
    failed: Option<PeerFrameError>,
}

impl PeerDecoder {
    /// A decoder at the beginning of a link.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next chunk. Ask for all messages in it before the next: what is left over is copied.
    pub fn push(&mut self, chunk: Bytes) {
        self.gathered.push(chunk);
    }

    /// The first frame of the link, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`PeerFrameError`]; every later call repeats it.
    pub fn next_hello(&mut self) -> Result<Option<Hello>, PeerFrameError> {
        self.next(decode_hello)
    }

    /// The next message after the [`Hello`], or `None` when more bytes are needed. Entries and chunks
    /// share the memory they arrived in, or have a copy where they are a small part of it.
    ///
    /// # Errors
    /// As [`Self::next_hello`].
    pub fn next_message(&mut self) -> Result<Option<PeerMessage>, PeerFrameError> {
        self.next(|body| Ok(decode_message(body)?))
    }

    fn next<T>(
        &mut self,
        decode: impl FnOnce(&Bytes) -> Result<T, PeerFrameError>,
    ) -> Result<Option<T>, PeerFrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let next = match self.next_body() {
            Ok(Some(body)) => decode(&body).map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        self.failed = next.as_ref().err().copied();
        next
    }

    fn next_body(&mut self) -> Result<Option<Bytes>, PeerFrameError> {
        let Some(header) = self.gathered.peek::<HEADER_BYTES>() else { return Ok(None) };
        let [a, b, c, d, e, f, g, h] = header;
        let stated = u32::from_le_bytes([a, b, c, d]);
        let expected = u32::from_le_bytes([e, f, g, h]);
        if checked_length(stated & LENGTH_MASK) != stated {
            return Err(PeerFrameError::Length);
        }
        let length = (stated & LENGTH_MASK) as usize;
        if length > PEER_FRAME_BYTES_MAX {
            return Err(PeerFrameError::TooLong { length });
        }
        let Some(body) = self.gathered.take(HEADER_BYTES, length) else { return Ok(None) };
        let found = crc32c(&body);
        if found != expected {
            return Err(PeerFrameError::Checksum { expected, found });
        }
        Ok(Some(body))
    }
}
