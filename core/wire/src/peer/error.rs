//! Why a link between servers is closed by the side that reads it.
//!
//! Owns: the reasons, those of the frame and those of the message in it, and the longest frame.
//! Holds: each of them is what a peer or a wire can do to us; none is what we can do.

use super::types::PEER_PROTOCOL_VERSION;
use crate::raw::Malformed;

/// The longest body of a frame between servers, in bytes: the longest transaction, and as much again
/// for what is around it.
pub const PEER_FRAME_BYTES_MAX: usize = 2 * crate::txn::TXN_BYTES_MAX;

/// Why a link cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerFrameError {
    /// The bits of the length do not fit together.
    #[error("the length of a frame is damaged")]
    Length,
    /// Longer than allowed.
    #[error("a frame of {length} bytes, where at most {PEER_FRAME_BYTES_MAX} are taken")]
    TooLong {
        /// The length it claims.
        length: usize,
    },
    /// The body is not what was sent.
    #[error("a frame with checksum {found:#010x}, where {expected:#010x} was sent")]
    Checksum {
        /// What the frame says.
        expected: u32,
        /// What its body has.
        found: u32,
    },
    /// The body is whole, and is no message.
    #[error("not a message: {0}")]
    Malformed(#[from] Malformed),
    /// The first frame of the link is not a [`Hello`]: something else connected.
    #[error("the link does not begin as one between servers does")]
    NotAHello,
    /// The peer speaks another version of this protocol.
    #[error("the peer speaks version {theirs} of the protocol, this server version {ours}")]
    Version {
        /// [`PEER_PROTOCOL_VERSION`].
        ours: u16,
        /// The peer's.
        theirs: u16,
    },
}

impl PeerFrameError {
    pub(super) fn version(theirs: u16) -> Self {
        Self::Version { ours: PEER_PROTOCOL_VERSION, theirs }
    }
}
