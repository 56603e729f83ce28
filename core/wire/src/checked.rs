//! Frames with a checksum, as between our own servers.
//!
//! ```text
//! u24 length of body, little-endian | u8 check of the length | u32 CRC-32C of body | body
//! ```
//! The length has a check of its own. Without it, one flipped bit in a length would make the
//! receiver wait for megabytes that never come, on a quiet link perhaps for ever; with it, every
//! flipped bit of a frame is found as soon as the frame is read.
//!
//! Holds: after an error nothing more comes out of a stream; it has to be closed.

use crate::frame::Gathered;
use crate::raw::{Encode, encoded_len};
use bytes::Bytes;
use mailstorm_shared::checksum::crc32c;

/// The longest body of a frame, in bytes: the longest transaction, and as much again for what is
/// around it.
pub const CHECKED_FRAME_BYTES_MAX: usize = 2 * crate::txn::TXN_BYTES_MAX;

const HEADER_BYTES: usize = 8;

/// Why a stream cannot be cut any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckedFrameError {
    /// The length does not match its check.
    #[error("the length of a frame is damaged")]
    Length,
    /// Longer than allowed.
    #[error("a frame of {length} bytes, where at most {CHECKED_FRAME_BYTES_MAX} are taken")]
    TooLong {
        /// The length it claims.
        length: usize,
    },
    /// The body does not match its checksum.
    #[error("a frame with checksum {found:#010x}, where {expected:#010x} was sent")]
    Checksum {
        /// What the frame says.
        expected: u32,
        /// What its body has.
        found: u32,
    },
}

/// A frame around a body, complete.
pub(crate) fn seal(body: &impl Encode) -> Bytes {
    let length = encoded_len(body);
    assert!(length <= CHECKED_FRAME_BYTES_MAX, "no peer would take this message");
    let mut frame = Vec::with_capacity(HEADER_BYTES + length);
    frame.extend_from_slice(&checked_length(length as u32).to_le_bytes());
    frame.extend_from_slice(&[0; 4]);
    body.encode(&mut frame);
    let checksum = crc32c(&frame[HEADER_BYTES..]);
    frame[4..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    Bytes::from(frame)
}

const LENGTH_MASK: u32 = 0x00ff_ffff;
const _: () = assert!(CHECKED_FRAME_BYTES_MAX <= LENGTH_MASK as usize);

/// The length with its check in the highest byte: the exclusive or of the others, so that each
/// flipped bit shows, and of a constant, so that a run of zeros is no empty frame.
fn checked_length(length: u32) -> u32 {
    let [low, middle, high, _] = length.to_le_bytes();
    length | u32::from(low ^ middle ^ high ^ 0x5a) << 24
}

/// Cuts a stream into the bodies of frames.
#[derive(Clone, Debug, Default)]
pub struct CheckedDecoder {
    gathered: Gathered,
    failed: Option<CheckedFrameError>,
}

impl CheckedDecoder {
    /// A decoder at the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next chunk. Ask for all frames in it before the next: what is left over is copied.
    pub fn push(&mut self, chunk: Bytes) {
        self.gathered.push(chunk);
    }

    /// The next four bytes.
    pub fn prefix(&self) -> Option<[u8; 4]> {
        self.gathered.peek()
    }

    /// The next body, or `None` when more bytes are needed. It shares the memory it arrived in, or
    /// is a copy where it is a small part of that.
    ///
    /// # Errors
    /// [`CheckedFrameError`]; every later call repeats it.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, CheckedFrameError> {
        match self.failed {
            Some(error) => Err(error),
            None => self.next_body().inspect_err(|error| self.failed = Some(*error)),
        }
    }

    fn next_body(&mut self) -> Result<Option<Bytes>, CheckedFrameError> {
        let Some(header) = self.gathered.peek::<HEADER_BYTES>() else { return Ok(None) };
        let [a, b, c, d, e, f, g, h] = header;
        let stated = u32::from_le_bytes([a, b, c, d]);
        let expected = u32::from_le_bytes([e, f, g, h]);
        if checked_length(stated & LENGTH_MASK) != stated {
            return Err(CheckedFrameError::Length);
        }
        let length = (stated & LENGTH_MASK) as usize;
        if length > CHECKED_FRAME_BYTES_MAX {
            return Err(CheckedFrameError::TooLong { length });
        }
        let Some(body) = self.gathered.take(HEADER_BYTES, length) else { return Ok(None) };
        let found = crc32c(&body);
        if found != expected {
            return Err(CheckedFrameError::Checksum { expected, found });
        }
        Ok(Some(body))
    }
}
