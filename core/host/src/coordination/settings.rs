//! What a server's host is told at its start.

use super::ServerProbe;
use crate::StopRequest;
use mailstorm_coordination::server::ServerConfig;
use mailstorm_coordination::storage::StorageOptions;
use mailstorm_platform::Address;
use mailstorm_shared::{Millis, ServerId};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

/// What is called when a server can be reached.
pub type OnListening = Rc<dyn Fn(&Listening)>;

/// Everything that one server needs to know.
#[derive(Clone)]
pub struct ServerSettings {
    /// The core's own configuration: who it is, the ensemble, timeouts, rules.
    pub server: ServerConfig,
    /// Where clients connect.
    pub client_address: Address,
    /// Where the servers reach each other, this one included. A server that is alone needs none.
    pub peers: BTreeMap<ServerId, Address>,
    /// The first start of a new ensemble: an empty folder is that of a server that votes. Must not be
    /// left on: a server whose disk was replaced would take its empty folder for the whole truth.
    pub initialise: bool,
    /// Takes over a folder that was written when the ensemble had other members.
    pub membership_changed: bool,
    /// How files are laid out.
    pub storage: StorageOptions,
    /// Room on the disk that is set aside, so that a server whose disk is full can start again to serve
    /// reads. None by default.
    pub reserve_bytes: u64,
    /// Bounds on what connections may cost.
    pub limits: HostLimits,
    /// When links are opened and given up.
    pub links: LinkTiming,
    /// Called once, when clients can connect.
    pub on_listening: Option<OnListening>,
    /// By which the server is asked to end in order; keep a clone of it.
    pub stop: StopRequest,
    /// A window for onlookers; keep a clone of it.
    pub probe: ServerProbe,
}

impl ServerSettings {
    /// The defaults, for this core and these addresses.
    pub fn new(
        server: ServerConfig,
        client_address: Address,
        peers: BTreeMap<ServerId, Address>,
    ) -> Self {
        Self {
            server,
            client_address,
            peers,
            initialise: false,
            membership_changed: false,
            storage: StorageOptions::default(),
            reserve_bytes: 0,
            limits: HostLimits::default(),
            links: LinkTiming::default(),
            on_listening: None,
            stop: StopRequest::default(),
            probe: ServerProbe::default(),
        }
    }
}

impl fmt::Debug for ServerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSettings")
            .field("server", &self.server)
            .field("client_address", &self.client_address)
            .field("peers", &self.peers)
            .field("initialise", &self.initialise)
            .field("membership_changed", &self.membership_changed)
            .field("storage", &self.storage)
            .field("limits", &self.limits)
            .field("links", &self.links)
            .finish_non_exhaustive()
    }
}

/// Where a server listens, ports resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listening {
    /// For clients.
    pub clients: Address,
    /// For peers, unless the server is alone.
    pub peers: Option<Address>,
}

/// Bounds on what connections may cost a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostLimits {
    /// Connections of clients from one address. For one more the oldest from there that has said
    /// nothing is closed, or, if all have, the newcomer. As ZooKeeper's `maxClientCnxns`. The bound
    /// on all of them is the core's.
    pub clients_per_address_max: usize,
    /// Connections of clients, from wherever, that have said nothing. For one more the oldest goes.
    pub silent_clients_max: usize,
    /// Connections to the peers' address whose other end has not said who it is. For one more the oldest
    /// goes: a member says hello at once.
    pub strangers_max: usize,
    /// As many of them from one address.
    pub strangers_per_address_max: usize,
    /// Unsent replies at which no more requests are taken from a client.
    pub client_backlog_bytes_held: usize,
    /// Unsent replies at which a client's connection is closed.
    pub client_backlog_bytes_max: usize,
    /// Unsent messages at which a link is closed: the peer will synchronise anew.
    pub link_backlog_bytes_max: usize,
}

impl Default for HostLimits {
    fn default() -> Self {
        Self {
            clients_per_address_max: 60,
            silent_clients_max: 1_000,
            strangers_max: 64,
            strangers_per_address_max: 16,
            client_backlog_bytes_held: 1 << 20,
            client_backlog_bytes_max: 128 << 20,
            link_backlog_bytes_max: 64 << 20,
        }
    }
}

/// When links to peers are opened and given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkTiming {
    /// How long connecting and saying hello may take.
    pub handshake: Millis,
    /// The first pause before connecting again; it doubles, ...
    pub reconnect_min: Millis,
    /// ... up to this. Each pause is shortened by a random part of up to a half.
    pub reconnect_max: Millis,
}

impl Default for LinkTiming {
    fn default() -> Self {
        Self { handshake: Millis(3_000), reconnect_min: Millis(100), reconnect_max: Millis(2_000) }
    }
}
