//! Frames of the client protocol: a big-endian int length, then the body.
//!
//! Owns: cutting a stream of chunks into bodies, and the limits. Leaves: the bodies to
//! [`crate::client`]; links between servers have frames of their own ([`crate::checked`]).
//! Holds: a body that is a good part of the chunk in which it lies shares its memory; a smaller one
//! is copied, since whoever keeps it would keep the whole chunk with it; one that comes in several
//! chunks is gathered as its bytes arrive, so that a length alone allocates nothing. After an error
//! no more frames come out: where the next one begins is unknown, and the connection has to be
//! closed.
//! Start at [`FrameDecoder`].

use bytes::{Buf, Bytes};

/// The longest request a server takes, in bytes. ZooKeeper's `jute.maxbuffer` is 1,048,575, for the
/// whole request; here a znode's data may have 1 MiB, and 64 KiB are left for path, access list and
/// headers. Higher: one client can make the ensemble store and send larger transactions.
pub const REQUEST_BYTES_MAX: usize = (1 << 20) + (64 << 10);

/// The longest reply a client takes, in bytes. Far more than a request, since a list of children
/// has no bound (ZOOKEEPER-2260): a million names of 40 bytes fit. Lower: a client that lists a
/// large znode loses its connection, again and again.
pub const REPLY_BYTES_MAX: usize = 64 << 20;

/// A body shares the memory of its chunk from this part of it on. So what is kept of a stream takes
/// at most this many times its length, however it is cut.
const SHARED_PART: usize = 4;

/// The bytes of the length before each body.
const PREFIX_BYTES: usize = 4;

/// A frame with an impossible length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Longer than allowed.
    #[error("a frame of {length} bytes, where at most {limit} are taken")]
    TooLong {
        /// The length it claims.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
    /// Shorter than nothing.
    #[error("a frame of {length} bytes, where 0 to {limit} are taken")]
    Negative {
        /// The length it claims.
        length: i32,
        /// What is allowed.
        limit: usize,
    },
}

/// Cuts chunks, however a stream delivers them, into the bodies of frames.
#[derive(Clone, Debug)]
pub struct FrameDecoder {
    limit: usize,
    gathered: Gathered,
}

impl FrameDecoder {
    /// A decoder at the beginning of a stream, which takes bodies of up to `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, gathered: Gathered::default() }
    }

    /// Takes the next chunk. Ask for all frames in it before the next: what is left over is copied.
    pub fn push(&mut self, chunk: Bytes) {
        self.gathered.push(chunk);
    }

    /// The next body, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`FrameError`] when a length is invalid. Every later call repeats it, since the stream
    /// cannot be read from there on.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(prefix) = self.prefix() else { return Ok(None) };
        let limit = self.limit;
        let length = i32::from_be_bytes(prefix);
        let length = usize::try_from(length).map_err(|_| FrameError::Negative { length, limit })?;
        if length > limit {
            return Err(FrameError::TooLong { length, limit });
        }
        Ok(self.gathered.take(PREFIX_BYTES, length))
    }

    /// The next four bytes, which may be a four-letter word at the beginning of a connection and
    /// are a length otherwise.
    pub fn prefix(&self) -> Option<[u8; 4]> {
        self.gathered.peek()
    }
}

/// Bytes that have arrived and not been taken: those copied together, and behind them the last
/// chunk, shared.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gathered {
    copied: Vec<u8>,
    chunk: Bytes,
    /// How long the chunk was when it came.
    chunk_bytes: usize,
}

impl Gathered {
    pub(crate) fn push(&mut self, chunk: Bytes) {
        self.copied.extend_from_slice(&self.chunk);
        self.chunk_bytes = chunk.len();
        self.chunk = chunk;
    }

    pub(crate) fn len(&self) -> usize {
        self.copied.len() + self.chunk.len()
    }

    /// The first `N` bytes, which stay.
    pub(crate) fn peek<const N: usize>(&self) -> Option<[u8; N]> {
        if self.copied.is_empty() {
            return self.chunk.first_chunk().copied();
        }
        if self.len() < N {
            return None;
        }
        let mut first = [0; N];
        let from_copied = self.copied.len().min(N);
        first[..from_copied].copy_from_slice(&self.copied[..from_copied]);
        first[from_copied..].copy_from_slice(&self.chunk[..N - from_copied]);
        Some(first)
    }

    /// Takes `skip` bytes and throws them away, then `length` bytes; nothing until all are there.
    pub(crate) fn take(&mut self, skip: usize, length: usize) -> Option<Bytes> {
        let whole = skip + length;
        if self.len() < whole {
            return None;
        }
        if self.copied.is_empty() {
            self.chunk.advance(skip);
            let body = self.chunk.split_to(length);
            let is_small = length.saturating_mul(SHARED_PART) < self.chunk_bytes;
            return Some(if is_small { Bytes::copy_from_slice(&body) } else { body });
        }
        let missing = whole.saturating_sub(self.copied.len());
        self.copied.extend_from_slice(&self.chunk.split_to(missing));
        let rest = self.copied.split_off(whole);
        let mut frame = Bytes::from(std::mem::replace(&mut self.copied, rest));
        frame.advance(skip);
        Some(frame)
    }
}

/// A body with its length before it, in one buffer.
///
/// # Panics
/// When the body has 2 GiB or more: our own limits are far below.
pub fn framed(body: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(PREFIX_BYTES + body.len());
    append(&mut out, body);
    Bytes::from(out)
}

/// Appends a body with its length before it, to send several frames as one buffer.
///
/// # Panics
/// As [`framed`].
pub fn append(out: &mut Vec<u8>, body: &[u8]) {
    let length = i32::try_from(body.len()).expect("limits keep every frame below 2 GiB");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(body);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode_all(decoder: &mut FrameDecoder) -> Vec<Bytes> {
        std::iter::from_fn(|| decoder.next_frame().unwrap()).collect()
    }

    #[test]
    fn a_frame_within_one_chunk_shares_its_memory() {
        let chunk = framed(b"hello");
        let mut decoder = FrameDecoder::new(10);
        decoder.push(chunk.clone());
        let body = decoder.next_frame().unwrap().unwrap();
        assert_eq!(&body[..], b"hello");
        assert_eq!(body.as_ptr(), chunk[PREFIX_BYTES..].as_ptr());
    }

    #[test]
    fn what_is_kept_of_a_chunk_keeps_at_most_four_times_its_own_length() {
        for body_bytes in [0, 1, 30, 500, 3_000, 4_100, 8_000, 16_000] {
            let mut stream = Vec::new();
            while stream.len() < 16_384 {
                append(&mut stream, &vec![7; body_bytes]);
            }
            let chunk = Bytes::from(stream);
            let length = chunk.len();
            let mut decoder = FrameDecoder::new(16_384);
            decoder.push(chunk.clone());
            let range = chunk.as_ptr_range();
            while let Some(body) = decoder.next_frame().unwrap() {
                let shares = range.contains(&body.as_ptr()) && !body.is_empty();
                assert_eq!(shares, body_bytes * SHARED_PART >= length, "{body_bytes}");
            }
        }
    }

    #[test]
    fn a_frame_may_be_as_long_as_the_limit_and_no_longer() {
        let mut decoder = FrameDecoder::new(3);
        decoder.push(framed(b"abc"));
        assert_eq!(decoder.next_frame(), Ok(Some(Bytes::from_static(b"abc"))));
        decoder.push(framed(b"abcd"));
        let error = FrameError::TooLong { length: 4, limit: 3 };
        assert_eq!(decoder.next_frame(), Err(error));
        decoder.push(framed(b"abc"));
        assert_eq!(decoder.next_frame(), Err(error), "the stream makes no sense any more");
        assert_eq!(error.to_string(), "a frame of 4 bytes, where at most 3 are taken");
    }

    #[test]
    fn a_negative_length_is_refused() {
        let mut decoder = FrameDecoder::new(3);
        decoder.push(Bytes::from_static(&[0xff; 4]));
        assert_eq!(decoder.next_frame(), Err(FrameError::Negative { length: -1, limit: 3 }));
    }

    #[test]
    fn an_empty_frame_is_a_frame() {
        let mut decoder = FrameDecoder::new(3);
        decoder.push(Bytes::from_static(&[0; 8]));
        assert_eq!(decode_all(&mut decoder), [Bytes::new(), Bytes::new()]);
    }

    #[test]
    fn a_four_letter_word_can_be_seen_before_it_is_taken_for_a_length() {
        let mut decoder = FrameDecoder::new(REPLY_BYTES_MAX);
        decoder.push(Bytes::from_static(b"ru"));
        assert_eq!(decoder.prefix(), None);
        decoder.push(Bytes::from_static(b"ok"));
        assert_eq!(decoder.prefix(), Some(*b"ruok"));
        assert!(decoder.next_frame().is_err());
    }

    #[test]
    fn a_length_alone_makes_nobody_allocate() {
        let mut decoder = FrameDecoder::new(REPLY_BYTES_MAX);
        decoder.push(Bytes::copy_from_slice(&(REPLY_BYTES_MAX as u32).to_be_bytes()));
        assert_eq!(decoder.next_frame(), Ok(None));
        decoder.push(Bytes::from_static(b"x"));
        assert_eq!(decoder.next_frame(), Ok(None));
        assert!(decoder.gathered.copied.capacity() < 64);
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_the_stream_is_cut(
            bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..8),
            cuts in proptest::collection::vec(1_usize..30, 1..40),
            eager in any::<bool>(),
        ) {
            let mut stream = Vec::new();
            for body in &bodies {
                append(&mut stream, body);
            }
            let mut rest = Bytes::from(stream);
            let mut decoder = FrameDecoder::new(20);
            let mut frames = Vec::new();
            for cut in cuts.into_iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                decoder.push(rest.split_to(cut.min(rest.len())));
                if eager {
                    frames.extend(decode_all(&mut decoder));
                }
            }
            frames.extend(decode_all(&mut decoder));
            prop_assert_eq!(frames, bodies);
            prop_assert_eq!(decoder.gathered.len(), 0);
        }

        #[test]
        fn arbitrary_bytes_are_frames_or_an_error(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..8),
        ) {
            let mut decoder = FrameDecoder::new(30);
            for chunk in chunks {
                decoder.push(Bytes::from(chunk));
                while let Ok(Some(frame)) = decoder.next_frame() {
                    prop_assert!(frame.len() <= 30);
                }
            }
        }
    }
}
