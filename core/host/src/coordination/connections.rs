//! What a server's host knows of each connection.

use super::origins::Place;
use mailstorm_platform::ConnectionId;
use mailstorm_shared::ServerId;
use mailstorm_wire::frame::FrameDecoder;
use mailstorm_wire::peer::{LinkPurpose, PeerDecoder};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// How many bytes are sent on a connection before its backlog is looked at again.
const BACKLOG_LOOK_BYTES: usize = 64 << 10;

/// One open (or opening) connection.
#[derive(Debug)]
pub(super) enum Connection {
    /// From a client.
    Client(Client),
    /// We are connecting to a peer, or have connected and wait for its hello.
    Dialled {
        /// Whom.
        peer: ServerId,
        /// What for.
        purpose: LinkPurpose,
        /// What came.
        decoder: PeerDecoder,
    },
    /// Somebody connected to our peer address and has not said hello.
    Stranger {
        /// What came.
        decoder: PeerDecoder,
        /// Where from.
        from: IpAddr,
        /// Its place among all that have not said hello.
        place: Place,
    },
    /// The core knows it.
    Link(Link),
}

/// A client's connection.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) from: IpAddr,
    pub(super) decoder: FrameDecoder,
    /// Its place among the silent, until its first frame. Before that its first bytes may be a
    /// four-letter word.
    pub(super) silent: Option<Place>,
    /// The core wants no more of it for now.
    pub(super) held_by_core: bool,
    /// It does not take what it asked for.
    pub(super) held_for_backlog: bool,
    pub(super) sent: Sent,
}

impl Client {
    pub(super) fn new(from: IpAddr, place: Place, frame_bytes_max: usize) -> Self {
        Self {
            from,
            decoder: FrameDecoder::new(frame_bytes_max),
            silent: Some(place),
            held_by_core: false,
            held_for_backlog: false,
            sent: Sent::default(),
        }
    }

    pub(super) fn is_held(&self) -> bool {
        self.held_by_core || self.held_for_backlog
    }
}

/// A link that is up.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) peer: ServerId,
    pub(super) purpose: LinkPurpose,
    pub(super) decoder: PeerDecoder,
    pub(super) sent: Sent,
}

/// Counts what was sent, so that the backlog is asked for now and then only.
#[derive(Debug, Default)]
pub(super) struct Sent {
    since_look: usize,
}

impl Sent {
    /// Counts; true when it is time to look at the backlog.
    pub(super) fn add(&mut self, bytes: usize) -> bool {
        self.since_look += bytes;
        let look = self.since_look >= BACKLOG_LOOK_BYTES;
        if look {
            self.since_look = 0;
        }
        look
    }
}

/// All connections of an endpoint.
pub(super) type Connections = BTreeMap<ConnectionId, Connection>;
