//! What an application chooses about its session.

use mailstorm_platform::Address;
use mailstorm_shared::{Defects, Millis};

/// The session timeout requested unless the application says otherwise. ZooKeeper's own tools ask
/// for as much. Lower: a dead worker is noticed sooner. Higher: a slow network costs fewer
/// sessions.
pub const SESSION_TIMEOUT: Millis = Millis(10_000);

/// What an application chooses about its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    /// The servers, in any order: each client shuffles them for itself, so that clients spread.
    /// With an empty list the client is closed from the start.
    pub servers: Vec<Address>,
    /// The session timeout requested; the server negotiates it into its bounds.
    pub session_timeout: Millis,
    /// Whether a server that lost its quorum is accepted, for reading.
    pub read_only: bool,
    /// The client's number in observations; unique in a run.
    pub client_number: u32,
    /// Whether each call is reported to onlookers (`Invoked`, `Returned`). Sessions and events
    /// always are.
    pub observe_calls: bool,
    /// The defect that the laboratory planted in this client and its recipes, if any.
    pub defects: Defects,
}

impl ClientConfig {
    /// A session with these servers, and otherwise the defaults.
    pub fn new(servers: impl IntoIterator<Item = Address>) -> Self {
        Self {
            servers: servers.into_iter().collect(),
            session_timeout: SESSION_TIMEOUT,
            read_only: false,
            client_number: 0,
            observe_calls: true,
            defects: Defects::NONE,
        }
    }
}
