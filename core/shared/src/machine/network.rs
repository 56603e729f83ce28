//! Where a process is reached, its connections, and how their bytes are cut.

use std::fmt;
use std::sync::Arc;

/// Where a process listens: `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub Arc<str>);

impl From<&str> for Address {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One connection of an endpoint, never reused within its lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Why a connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CloseReason {
    /// Nobody listens there.
    Refused,
    /// No answer in time.
    TimedOut,
    /// The other side closed in order.
    Closed,
    /// It broke; bytes in flight may be lost.
    Reset,
}

/// One attempt of a core to connect, numbered by the core, never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialId(pub u64);

/// One kind of connection of a core: its position in what [`super::Start::ports`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortId(pub u8);

/// One kind of connection, and what it may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Where connections of this kind are accepted; `None` where they are only dialled.
    pub listen: Option<Address>,
    /// How their bytes are cut.
    pub framing: Framing,
    /// What a peer may cost that does not read what is sent to it.
    pub bounds: Bounds,
}

/// How a stream is cut into frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A big-endian length, then the body.
    Length {
        /// The longest body taken.
        bytes_max: usize,
    },
    /// As between our own servers: a length with a check of its own, and a checksum of the body.
    Checked,
}

/// Bounds on what is sent on a connection and not yet taken by the peer's machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// From here on no more frames are taken from the connection, until half of it has left.
    pub backlog_bytes_held: usize,
    /// From here on the connection is closed.
    pub backlog_bytes_max: usize,
}
