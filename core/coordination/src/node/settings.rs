//! What a node is told at its start.

use crate::server::ServerConfig;
use crate::storage::StorageOptions;
use mailstorm_shared::machine::Address;
use mailstorm_shared::{Millis, ServerId};
use std::collections::BTreeMap;

/// Everything that one server needs to know.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// The server's own configuration: who it is, the ensemble, timeouts, rules.
    pub server: ServerConfig,
    /// Where clients connect.
    pub client_address: Address,
    /// Where the servers reach each other, this one included. A server that is alone needs none.
    pub peers: BTreeMap<ServerId, Address>,
    /// The first start of a new ensemble: an empty folder is that of a server that votes. Must not
    /// be left on: a server whose disk was replaced would take its empty folder for the whole
    /// truth.
    pub initialise: bool,
    /// Takes over a folder that was written when the ensemble had other members.
    pub membership_changed: bool,
    /// How files are laid out.
    pub storage: StorageOptions,
    /// Bounds on what connections may cost.
    pub limits: NodeLimits,
    /// When links are opened and given up.
    pub links: LinkTiming,
}

impl NodeSettings {
    /// The defaults, for this server and these addresses.
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
            limits: NodeLimits::default(),
            links: LinkTiming::default(),
        }
    }
}

/// Bounds on what connections may cost a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeLimits {
    /// Connections of clients from one address. For one more the oldest from there that has said
    /// nothing is closed, or, if all have, the newcomer. As ZooKeeper's `maxClientCnxns`. The bound
    /// on all of them is the server's.
    pub clients_per_address_max: usize,
    /// Connections of clients, from wherever, that have said nothing. For one more the oldest goes.
    pub silent_clients_max: usize,
    /// Connections to the peers' address whose other end has not said who it is. For one more the
    /// oldest goes: a member says hello at once.
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

impl Default for NodeLimits {
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

impl LinkTiming {
    /// The pause that follows this one, and how much of it is waited this time: it is shortened by
    /// chance, so that not all servers try in step.
    pub(super) fn pause_after(&self, last: Millis, chance: u64) -> (Millis, Millis) {
        let longer = Millis(last.0.saturating_mul(2));
        let pause = longer.clamp(self.reconnect_min, self.reconnect_max);
        (pause, Millis(pause.0 - chance % (pause.0 / 2 + 1)))
    }
}

impl Default for LinkTiming {
    fn default() -> Self {
        Self { handshake: Millis(3_000), reconnect_min: Millis(100), reconnect_max: Millis(2_000) }
    }
}
