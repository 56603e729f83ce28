//! All that can reach a session, and all it can ask of its driver.

use crate::error::CallError;
use bytes::Bytes;
use mailstorm_shared::facts::ClientFact;
use mailstorm_shared::{Instant, Zxid};
use mailstorm_wire::client::{Reply, Request, WatchEvent};

/// An operation's number, unique within the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(pub u64);

/// A watch's number, unique within the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(pub u64);

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SessionState {
    /// There is no session yet.
    Connecting,
    /// The session is alive, and connected to a server.
    Connected,
    /// The connection is lost; whether the session still lives only a server knows.
    Suspended,
    /// The service ended the session. The application makes a new client.
    Expired,
    /// The application closed the session, or dropped the client.
    Closed,
}

impl SessionState {
    /// Whether the session is over for good.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Expired | Self::Closed)
    }
}

/// What may be done with an operation whose reply was lost with the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// Reads are sent again, since reading twice changes nothing; a write ends as indefinite.
    Reads,
    /// Sent again even if it writes: the caller says that doing it twice is the same as once.
    Always,
}

/// An operation that the application submits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// Its number.
    pub operation: OperationId,
    /// The request.
    pub request: Request,
    /// The watch that is registered if the reply says so.
    pub watch: Option<WatchId>,
    /// What may be done if the reply is lost.
    pub retry: Retry,
}

/// All that can reach a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionInput {
    /// Time has passed; also the first input of all.
    Woken,
    /// The connection requested is open.
    Connected,
    /// Bytes arrived on it.
    Received(Bytes),
    /// It is gone, or could not be opened.
    Closed,
    /// The application submits an operation.
    Submit(Submission),
    /// The application ends the session, after what it submitted before.
    Close,
    /// The application dropped the client without closing it: as if the process had died.
    Abandon,
}

/// A reply to an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The last transaction the server had applied when it answered.
    pub zxid: Zxid,
    /// The body.
    pub reply: Reply,
}

/// All a session asks of its driver, to be carried out in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionOutput {
    /// Connect to the server at this place in the configuration.
    Connect {
        /// Which.
        server: usize,
    },
    /// Close the connection; nothing that still comes from it counts.
    Disconnect,
    /// Send these bytes, a whole frame.
    Send(Bytes),
    /// Step again at this time; replaces an earlier one.
    WakeAt(Instant),
    /// The session's state changed.
    State(SessionState),
    /// A watch fired. One-shot watches fire once.
    Deliver {
        /// Which.
        watch: WatchId,
        /// With what.
        event: WatchEvent,
    },
    /// A watch was removed by the application.
    Unwatched {
        /// Which.
        watch: WatchId,
    },
    /// An operation ended.
    Complete {
        /// Which.
        operation: OperationId,
        /// How.
        result: Result<Answer, CallError>,
    },
    /// Report a fact to onlookers.
    Observe(ClientFact),
}
