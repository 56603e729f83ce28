//! Why a link between servers is closed by the side that reads it.
//!
//! Owns: the reasons, those of the frame and those of the message in it.
//! Holds: each of them can be caused by a peer or by the network, none by us.

use super::types::PEER_PROTOCOL_VERSION;
use crate::checked::CheckedFrameError;
use crate::raw::Malformed;

/// Why nothing more can be read from a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerFrameError {
    /// It cannot be cut into frames.
    #[error(transparent)]
    Frame(#[from] CheckedFrameError),
    /// The body is intact, but not a valid message.
    #[error("not a message: {0}")]
    Malformed(#[from] Malformed),
    /// The first frame of the link is not a [`Hello`](super::Hello): something else connected.
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
