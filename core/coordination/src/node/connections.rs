//! What a node knows of each open connection.

use super::origins::Place;
use mailstorm_shared::ServerId;
use mailstorm_shared::machine::{ConnectionId, DialId};
use mailstorm_wire::peer::LinkPurpose;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// One open connection.
#[derive(Debug)]
pub(super) enum Connection {
    /// From a client.
    Client(Client),
    /// We have connected to a peer and wait for its hello.
    Dialled {
        /// Our attempt.
        dial: DialId,
    },
    /// Somebody connected to our peer address and has not said hello.
    Stranger {
        /// Where from.
        from: IpAddr,
        /// Its place among all that have not said hello.
        place: Place,
    },
    /// The server knows it.
    Link(Link),
}

/// A client's connection.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) from: IpAddr,
    /// Its place among the silent, until its first frame. Before that its first bytes may be a
    /// four-letter word.
    pub(super) silent: Option<Place>,
}

/// A link that is up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) peer: ServerId,
    pub(super) purpose: LinkPurpose,
}

/// All open connections.
pub(super) type Connections = BTreeMap<ConnectionId, Connection>;
