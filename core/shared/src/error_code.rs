//! How the coordination service refuses a request: ZooKeeper's error codes.
//!
//! Holds: [`ErrorCode::from_code`] of [`ErrorCode::code`] gives the same error.

/// ZooKeeper's error codes (`KeeperException.Code`). The number is what travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[repr(i32)]
pub enum ErrorCode {
    /// The server failed in a way that it cannot name.
    #[error("system error")]
    SystemError = -1,
    /// An earlier step of the same `multi` failed, so this one was not tried.
    #[error("not tried: another step of the multi failed")]
    RuntimeInconsistency = -2,
    /// The connection broke before the reply came.
    #[error("connection lost")]
    ConnectionLoss = -4,
    /// The request could not be decoded.
    #[error("the request could not be decoded")]
    MarshallingError = -5,
    /// The operation does not exist here.
    #[error("operation not implemented")]
    Unimplemented = -6,
    /// No reply within the client's timeout.
    #[error("operation timed out")]
    OperationTimeout = -7,
    /// An argument is invalid, for example a path.
    #[error("bad arguments")]
    BadArguments = -8,
    /// The znode does not exist.
    #[error("no such znode")]
    NoNode = -101,
    /// The access list does not allow it.
    #[error("not allowed by the access list")]
    NoAuth = -102,
    /// The version demanded is not the znode's version.
    #[error("version mismatch")]
    BadVersion = -103,
    /// An ephemeral znode may not have children.
    #[error("ephemeral znodes have no children")]
    NoChildrenForEphemerals = -108,
    /// The znode exists already.
    #[error("the znode exists")]
    NodeExists = -110,
    /// The znode has children.
    #[error("the znode has children")]
    NotEmpty = -111,
    /// The session is over.
    #[error("session expired")]
    SessionExpired = -112,
    /// The access list is invalid.
    #[error("invalid access list")]
    InvalidAcl = -114,
    /// The credentials were refused.
    #[error("authentication failed")]
    AuthFailed = -115,
    /// The session has moved to another connection.
    #[error("session moved to another server")]
    SessionMoved = -118,
    /// The server is read-only for now.
    #[error("not a read-only operation")]
    NotReadOnly = -119,
    /// The watch to remove does not exist.
    #[error("no such watcher")]
    NoWatcher = -121,
    /// The ensemble's membership cannot be changed by a request.
    #[error("the membership cannot be changed by a request")]
    ReconfigDisabled = -123,
    /// The server refuses because it has too much to do.
    #[error("throttled")]
    Throttled = -127,
}

impl ErrorCode {
    /// Every code this service uses.
    pub const ALL: [Self; 21] = [
        Self::SystemError,
        Self::RuntimeInconsistency,
        Self::ConnectionLoss,
        Self::MarshallingError,
        Self::Unimplemented,
        Self::OperationTimeout,
        Self::BadArguments,
        Self::NoNode,
        Self::NoAuth,
        Self::BadVersion,
        Self::NoChildrenForEphemerals,
        Self::NodeExists,
        Self::NotEmpty,
        Self::SessionExpired,
        Self::InvalidAcl,
        Self::AuthFailed,
        Self::SessionMoved,
        Self::NotReadOnly,
        Self::NoWatcher,
        Self::ReconfigDisabled,
        Self::Throttled,
    ];

    /// The number that travels.
    pub fn code(self) -> i32 {
        self as i32
    }

    /// The name that ZooKeeper gives it (`KeeperException.Code`).
    pub fn name(self) -> &'static str {
        match self {
            Self::SystemError => "SYSTEMERROR",
            Self::RuntimeInconsistency => "RUNTIMEINCONSISTENCY",
            Self::ConnectionLoss => "CONNECTIONLOSS",
            Self::MarshallingError => "MARSHALLINGERROR",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::OperationTimeout => "OPERATIONTIMEOUT",
            Self::BadArguments => "BADARGUMENTS",
            Self::NoNode => "NONODE",
            Self::NoAuth => "NOAUTH",
            Self::BadVersion => "BADVERSION",
            Self::NoChildrenForEphemerals => "NOCHILDRENFOREPHEMERALS",
            Self::NodeExists => "NODEEXISTS",
            Self::NotEmpty => "NOTEMPTY",
            Self::SessionExpired => "SESSIONEXPIRED",
            Self::InvalidAcl => "INVALIDACL",
            Self::AuthFailed => "AUTHFAILED",
            Self::SessionMoved => "SESSIONMOVED",
            Self::NotReadOnly => "NOTREADONLY",
            Self::NoWatcher => "NOWATCHER",
            Self::ReconfigDisabled => "RECONFIGDISABLED",
            Self::Throttled => "THROTTLEDOP",
        }
    }

    /// The error with this number, if this service uses it.
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|error| error.code() == code)
    }

    /// What an error number in a reply says: `None` for 0, which is success.
    ///
    /// A server of another make may send codes that this service does not use. A code close to one
    /// of these becomes that one. Any other says only that the server failed: a client must not
    /// conclude that nothing happened.
    pub fn received(code: i32) -> Option<Self> {
        const UNKNOWN_SESSION: i32 = -12;
        const REQUEST_TIMEOUT: i32 = -122;
        const SASL_REQUIRED: i32 = -124;
        match code {
            0 => None,
            UNKNOWN_SESSION => Some(Self::SessionExpired),
            REQUEST_TIMEOUT => Some(Self::OperationTimeout),
            SASL_REQUIRED => Some(Self::AuthFailed),
            code => Some(Self::from_code(code).unwrap_or(Self::SystemError)),
        }
    }
}
