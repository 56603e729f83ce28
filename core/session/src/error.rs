//! Why a call returned no result, and whether it may have happened all the same.

use mailstorm_wire::client::ErrorCode;

/// Why a call returned no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CallError {
    /// Definite: the service refused, and nothing was changed.
    #[error("refused: {0}")]
    Refused(ErrorCode),
    /// Indefinite: the connection broke, or the server lost its leader, between request and reply.
    /// The write may have been done, or may yet be. A sync that is answered later ends the "may
    /// yet".
    #[error("the connection was lost before the reply came: the outcome is unknown")]
    ConnectionLoss,
    /// Definite: the session was over before the request was carried out.
    #[error("the session has expired")]
    SessionExpired,
    /// Definite: the client was closed before the request was sent.
    #[error("the client is closed")]
    Closed,
    /// Definite: too many operations are outstanding; nothing was sent.
    #[error("too many operations are outstanding")]
    TooManyOutstanding,
    /// Definite: the request does not fit into a frame; nothing was sent.
    #[error("the request is larger than a frame may be")]
    RequestTooLarge,
}

impl CallError {
    /// Whether the operation surely had no effect and never will.
    pub fn is_definite(self) -> bool {
        self != Self::ConnectionLoss
    }

    /// Whether the session is over, so that nothing will ever succeed on this client again.
    pub fn is_final(self) -> bool {
        matches!(self, Self::SessionExpired | Self::Closed)
    }

    /// ZooKeeper's code that comes closest.
    pub fn code(self) -> ErrorCode {
        match self {
            Self::Refused(code) => code,
            Self::ConnectionLoss => ErrorCode::ConnectionLoss,
            Self::SessionExpired | Self::Closed => ErrorCode::SessionExpired,
            Self::TooManyOutstanding => ErrorCode::Throttled,
            Self::RequestTooLarge => ErrorCode::MarshallingError,
        }
    }
}
