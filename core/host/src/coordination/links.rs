//! Links to peers: who connects to whom and when, the handshake, and messages.
//!
//! Holds: between two servers there is at most one election link that the core knows of, and one is
//! opened again when it is lost. The server with the higher number connects at once; the other one
//! waits first, and then connects as well: 1. server 3 has a link to server 1. 2. Server 1 is cut off,
//! crashes and starts again. 3. Nothing travels on the link, so server 3 does not notice. 4. If server 1
//! only waited to be called, it would wait for ever.

use super::connections::{Connection, Link, Sent};
use super::host::{Turn, link_id};
use super::origins::Room;
use super::settings::LinkTiming;
use mailstorm_coordination::io::{Input, LinkId};
use mailstorm_platform::{ConnectionId, Endpoint, Platform};
use mailstorm_shared::{Millis, ServerId};
use mailstorm_wire::peer::{
    Hello, LinkPurpose, PEER_PROTOCOL_VERSION, PeerDecoder, PeerMessage, encode_hello,
    encode_message,
};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The election links to all peers, and when to connect to those without one.
#[derive(Debug)]
pub(super) struct Elections {
    me: ServerId,
    timing: LinkTiming,
    peers: BTreeMap<ServerId, Election>,
    /// The earliest wish of all of them.
    next_dial: Option<Millis>,
}

#[derive(Debug)]
struct Election {
    /// The link that is up.
    up: Option<ConnectionId>,
    /// The connection by which we try.
    attempt: Option<ConnectionId>,
    /// When to try, if neither is there.
    dial_at: Millis,
    /// The last pause between two tries.
    pause: Millis,
}

impl Elections {
    pub(super) fn new(
        me: ServerId,
        others: impl IntoIterator<Item = ServerId>,
        now: Millis,
        timing: LinkTiming,
    ) -> Self {
        let election = |peer: ServerId| Election {
            up: None,
            attempt: None,
            dial_at: if me > peer { now } else { now + timing.reconnect_max },
            pause: Millis::ZERO,
        };
        let peers = others.into_iter().map(|peer| (peer, election(peer))).collect();
        let mut elections = Self { me, timing, peers, next_dial: None };
        elections.refresh();
        elections
    }

    /// When somebody is to be connected to.
    pub(super) fn next_dial(&self) -> Option<Millis> {
        self.next_dial
    }

    fn due(&self, now: Millis) -> Option<ServerId> {
        self.next_dial.filter(|at| *at <= now)?;
        let mut waiting = self.peers.iter().filter(|(_, election)| election.waits());
        waiting.find(|(_, election)| election.dial_at <= now).map(|(peer, _)| *peer)
    }

    fn trying(&mut self, peer: ServerId, attempt: ConnectionId) {
        if let Some(election) = self.peers.get_mut(&peer) {
            election.attempt = Some(attempt);
        }
        self.refresh();
    }

    /// An attempt came to nothing, or a link is gone: try again after a pause, which is longer each
    /// time and shortened by chance, so that not all servers try in step.
    fn lost(&mut self, peer: ServerId, connection: ConnectionId, now: Millis, chance: u64) {
        let (timing, grace) = (self.timing, self.me < peer);
        let Some(election) = self.peers.get_mut(&peer) else { return };
        if election.up == Some(connection) {
            election.up = None;
        }
        if election.attempt == Some(connection) {
            election.attempt = None;
        }
        if election.waits() {
            let longer = Millis(election.pause.0.saturating_mul(2));
            election.pause = longer.clamp(timing.reconnect_min, timing.reconnect_max);
            let shortened = Millis(election.pause.0 - chance % (election.pause.0 / 2 + 1));
            let extra = if grace { timing.reconnect_max } else { Millis::ZERO };
            election.dial_at = now + shortened + extra;
        }
        self.refresh();
    }

    /// A link is up. What it replaces: an older link, and an attempt of ours that is needed no more.
    /// Of two servers that try at once only the lower gives its attempt up, so one attempt remains.
    fn won(&mut self, peer: ServerId, connection: ConnectionId) -> [Option<ConnectionId>; 2] {
        let yields = self.me < peer;
        let Some(election) = self.peers.get_mut(&peer) else { return [None, None] };
        let older = election.up.replace(connection);
        if election.attempt == Some(connection) {
            election.attempt = None;
        }
        let needless = if yields { election.attempt.take() } else { None };
        election.pause = Millis::ZERO;
        self.refresh();
        [older, needless]
    }

    fn refresh(&mut self) {
        let waiting = self.peers.values().filter(|election| election.waits());
        self.next_dial = waiting.map(|election| election.dial_at).min();
    }
}

impl Election {
    fn waits(&self) -> bool {
        self.up.is_none() && self.attempt.is_none()
    }
}

impl<P: Platform> Turn<'_, P> {
    /// Connects to every peer whose time has come.
    pub(super) fn dial_due(&mut self) {
        while let Some(peer) = self.core.elections.due(self.now.monotonic) {
            match self.dial(peer, LinkPurpose::Election) {
                Some(attempt) => self.core.elections.trying(peer, attempt),
                // Without an address there is nobody to try; the configuration check refuses that.
                None => return,
            }
        }
        while let Some(peer) = self.core.learners.due(self.now.monotonic) {
            self.dial_leader(peer);
        }
    }

    pub(super) fn open_learner_link(&mut self, peer: ServerId) {
        if self.core.learners.ask(peer, self.now.monotonic) {
            self.dial_leader(peer);
        }
    }

    fn dial_leader(&mut self, peer: ServerId) {
        if self.dial(peer, LinkPurpose::Learner).is_none() {
            self.core.consequences.push_back(Input::LinkDown { link: None, peer });
        }
    }

    fn dial(&mut self, peer: ServerId, purpose: LinkPurpose) -> Option<ConnectionId> {
        let address = self.core.addresses.get(&peer)?;
        let connection = self.host.endpoint.connect(address);
        let decoder = PeerDecoder::new();
        self.core.connections.insert(connection, Connection::Dialled { peer, purpose, decoder });
        self.expect_handshake(connection);
        Some(connection)
    }

    fn expect_handshake(&mut self, connection: ConnectionId) {
        let deadline = self.now.monotonic + self.core.timing.handshake;
        self.core.deadlines.push_back((deadline, connection));
    }

    pub(super) fn accept_stranger(&mut self, connection: ConnectionId, from: IpAddr) {
        let limits = self.core.limits;
        let room = Room {
            each_address: limits.strangers_per_address_max,
            silent: limits.strangers_max,
            all: limits.strangers_max,
        };
        while let Ok(Some(oldest)) = self.core.strangers.who_makes_room(from, room) {
            self.hang_up(oldest);
        }
        let place = self.core.strangers.enter(from, connection);
        let decoder = PeerDecoder::new();
        self.core.connections.insert(connection, Connection::Stranger { decoder, from, place });
        self.expect_handshake(connection);
    }

    /// Our side of a connection that is open now.
    pub(super) fn say_hello(&mut self, connection: ConnectionId) {
        if let Some(Connection::Dialled { peer, purpose, .. }) =
            self.core.connections.get(&connection)
        {
            let hello = self.hello(*peer, *purpose);
            self.host.endpoint.send(connection, encode_hello(&hello));
        }
    }

    fn hello(&self, to: ServerId, purpose: LinkPurpose) -> Hello {
        let (ensemble, from) = (self.core.ensemble, self.core.me);
        Hello { version: PEER_PROTOCOL_VERSION, ensemble, from, to, purpose }
    }

    /// The other side's first frame, if it is there.
    pub(super) fn take_hello(&mut self, connection: ConnectionId) {
        let (decoder, from) = match self.core.connections.get_mut(&connection) {
            Some(Connection::Dialled { decoder, .. }) => (decoder, None),
            Some(Connection::Stranger { decoder, from, .. }) => (decoder, Some(*from)),
            _ => return,
        };
        match decoder.next_hello() {
            Ok(None) => {}
            Ok(Some(hello)) => self.greeted(connection, hello, from),
            Err(error) => {
                let server = self.core.me;
                if let Some(more) = self.core.nonsense.one_more(self.now.monotonic) {
                    let from =
                        from.map_or("a server that we called".into(), |from| from.to_string());
                    tracing::warn!(
                        %server, %from, %error, more,
                        "an invalid hello; `more` says how many there were since the last such line"
                    );
                }
                self.hang_up(connection);
            }
        }
    }

    fn greeted(&mut self, connection: ConnectionId, hello: Hello, from: Option<IpAddr>) {
        if let Some(why) = self.why_refused(&hello) {
            if let Some(more) = self.core.refusals.one_more(self.now.monotonic) {
                let from = from.map_or("a server that we called".into(), |from| from.to_string());
                tracing::warn!(
                    server = %self.core.me, peer = %hello.from, %from, more,
                    "refused a peer: {why}; `more` says how many there were since the last such line"
                );
            }
            self.hang_up(connection);
            return;
        }
        let (peer, purpose) = (hello.from, hello.purpose);
        let (decoder, opened_by_us) = match self.core.connections.remove(&connection) {
            Some(Connection::Stranger { decoder, from, place }) => {
                self.core.strangers.leave(from, Some(place));
                let answer = self.hello(peer, purpose);
                self.host.endpoint.send(connection, encode_hello(&answer));
                (decoder, false)
            }
            Some(Connection::Dialled { peer: dialled, purpose: meant, decoder }) => {
                if (dialled, meant) != (peer, purpose) {
                    tracing::warn!(server = %self.core.me, %dialled, %peer, "somebody else answers");
                    self.host.endpoint.close(connection);
                    self.dial_failed(connection, dialled, meant);
                    return;
                }
                (decoder, true)
            }
            _ => unreachable!("take_hello has looked"),
        };
        let link = Link { peer, purpose, decoder, sent: Sent::default() };
        self.core.connections.insert(connection, Connection::Link(link));
        self.link_is_up(connection, peer, purpose, opened_by_us);
        // Messages may have come with the hello.
        self.take_messages(connection);
    }

    fn why_refused(&self, hello: &Hello) -> Option<&'static str> {
        if hello.version != PEER_PROTOCOL_VERSION {
            Some("it speaks another version of the peer protocol")
        } else if hello.ensemble != self.core.ensemble {
            Some("it is configured with an ensemble of other members")
        } else if hello.to != self.core.me {
            Some("it means to reach another server")
        } else if hello.from == self.core.me || !self.core.addresses.contains_key(&hello.from) {
            Some("it is not a member of the ensemble")
        } else {
            None
        }
    }

    fn link_is_up(
        &mut self,
        connection: ConnectionId,
        peer: ServerId,
        purpose: LinkPurpose,
        opened_by_us: bool,
    ) {
        tracing::debug!(server = %self.core.me, %peer, ?purpose, "link up");
        let link = link_id(connection);
        let replaced = match purpose {
            LinkPurpose::Election => self.core.elections.won(peer, connection),
            LinkPurpose::Learner => {
                if opened_by_us {
                    self.core.learners.succeeded(peer);
                }
                [None, None]
            }
        };
        self.step(Input::LinkUp { link, peer, purpose, opened_by_us });
        // The new link first: at no moment does the core think that it hears nothing of the peer.
        for older in replaced.into_iter().flatten() {
            self.host.endpoint.close(older);
            if let Some(Connection::Link(_)) = self.core.connections.remove(&older) {
                self.step(Input::LinkDown { link: Some(link_id(older)), peer });
            }
        }
    }

    /// Gives the core every whole message that came on a link.
    pub(super) fn take_messages(&mut self, connection: ConnectionId) {
        while let Some(Connection::Link(link)) = self.core.connections.get_mut(&connection) {
            match link.decoder.next_message() {
                Ok(Some(message)) => {
                    self.step(Input::PeerMessage { link: link_id(connection), message });
                }
                Ok(None) => return,
                Err(error) => {
                    let peer = link.peer;
                    tracing::warn!(server = %self.core.me, %peer, %error, "link closed");
                    self.hang_up(connection);
                }
            }
        }
    }

    pub(super) fn send(&mut self, links: &[LinkId], message: &PeerMessage) {
        let bytes = encode_message(message);
        for link in links {
            let connection = ConnectionId(link.0);
            let Some(Connection::Link(state)) = self.core.connections.get_mut(&connection) else {
                continue;
            };
            let look = state.sent.add(bytes.len());
            self.host.endpoint.send(connection, bytes.clone());
            if look
                && self.host.endpoint.backlog(connection) > self.core.limits.link_backlog_bytes_max
            {
                self.drop_slow_link(connection);
            }
        }
    }

    /// A peer that takes nothing for so long is better synchronised anew.
    fn drop_slow_link(&mut self, connection: ConnectionId) {
        let Some(Connection::Link(link)) = self.core.connections.remove(&connection) else {
            return;
        };
        tracing::warn!(server = %self.core.me, peer = %link.peer, "link closed: the peer is too slow");
        self.host.endpoint.close(connection);
        self.forget_election(connection, link.peer, link.purpose);
        let link_down = Input::LinkDown { link: Some(link_id(connection)), peer: link.peer };
        self.core.consequences.push_back(link_down);
    }

    /// The core closes a link: it knows, and hears no more of it.
    pub(super) fn close_link(&mut self, link: LinkId) {
        let connection = ConnectionId(link.0);
        if let Some(Connection::Link(link)) = self.core.connections.remove(&connection) {
            self.host.endpoint.close(connection);
            self.forget_election(connection, link.peer, link.purpose);
        }
    }

    /// We end a connection with a peer, whatever became of it so far.
    fn hang_up(&mut self, connection: ConnectionId) {
        self.host.endpoint.close(connection);
        match self.core.connections.remove(&connection) {
            Some(Connection::Stranger { from, place, .. }) => {
                self.core.strangers.leave(from, Some(place));
            }
            Some(Connection::Dialled { peer, purpose, .. }) => {
                self.dial_failed(connection, peer, purpose);
            }
            Some(Connection::Link(link)) => self.link_lost(connection, &link),
            Some(Connection::Client(_)) | None => {}
        }
    }

    /// A link that the core knows of is gone.
    pub(super) fn link_lost(&mut self, connection: ConnectionId, link: &Link) {
        self.forget_election(connection, link.peer, link.purpose);
        self.step(Input::LinkDown { link: Some(link_id(connection)), peer: link.peer });
    }

    /// A connection that we asked for did not become a link.
    pub(super) fn dial_failed(
        &mut self,
        connection: ConnectionId,
        peer: ServerId,
        purpose: LinkPurpose,
    ) {
        self.forget_election(connection, peer, purpose);
        if purpose == LinkPurpose::Learner {
            let chance = self.host.platform.entropy();
            self.core.learners.failed(peer, self.now.monotonic, chance);
            self.step(Input::LinkDown { link: None, peer });
        }
    }

    fn forget_election(&mut self, connection: ConnectionId, peer: ServerId, purpose: LinkPurpose) {
        if purpose == LinkPurpose::Election {
            let chance = self.host.platform.entropy();
            self.core.elections.lost(peer, connection, self.now.monotonic, chance);
        }
    }

    /// Hangs up on those who were silent for too long. Most have become links since.
    pub(super) fn give_up_late_handshakes(&mut self) {
        while let Some((deadline, connection)) = self.core.deadlines.front().copied() {
            if deadline > self.now.monotonic {
                return;
            }
            self.core.deadlines.pop_front();
            if let Some(Connection::Dialled { .. } | Connection::Stranger { .. }) =
                self.core.connections.get(&connection)
            {
                self.hang_up(connection);
            }
        }
    }
}
