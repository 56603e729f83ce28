//! Links to the other servers: the handshake, messages, and what happens when one is lost.
//!
//! Owns: connections on the peers' port until they are links, and our attempts to connect. Leaves:
//! when to connect to `elections` and `learners`, what a message means to the server.

use super::complaints::Complaints;
use super::connections::{Connection, Link};
use super::core::{Draw, Node, PEERS, debug, earliest, warn};
use super::elections::{Elections, Lost};
use super::learners::Learners;
use super::origins::{Origins, Room};
use super::settings::NodeSettings;
use crate::io::{self, LinkId};
use bytes::Bytes;
use mailstorm_shared::machine::{Address, CloseReason, ConnectionId, DialId, Loads, Output};
use mailstorm_shared::{Instant, Millis, Now, ServerId};
use mailstorm_wire::peer::{
    Hello, LinkPurpose, PEER_PROTOCOL_VERSION, PeerMessage, decode_hello, decode_message,
    encode_hello, encode_message,
};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

/// All that a node knows of the other servers' connections.
pub(super) struct Links {
    me: ServerId,
    ensemble: u64,
    addresses: BTreeMap<ServerId, Address>,
    /// How long connecting and saying hello may take.
    handshake: Millis,
    pub(super) elections: Elections,
    pub(super) learners: Learners,
    /// Whoever called our peers' address and has not said hello.
    pub(super) strangers: Origins,
    room: Room,
    /// Our attempts, until they are links or have failed.
    dials: BTreeMap<DialId, Dial>,
    last_dial: DialId,
    /// When attempts and strangers are given up, oldest first; all have the same time.
    deadlines: VecDeque<(Instant, Unproved)>,
    nonsense: Complaints,
    refusals: Complaints,
}

/// Connections that one peer may have besides those that have not said hello: an election link and
/// a learner link each way, and the ones that replace them at this moment.
const PER_PEER_MAX: usize = 6;

/// One attempt of ours.
#[derive(Clone, Copy, Debug)]
struct Dial {
    peer: ServerId,
    purpose: LinkPurpose,
    /// Once it is open.
    connection: Option<ConnectionId>,
}

/// Whose handshake is not done.
#[derive(Clone, Copy, Debug)]
enum Unproved {
    Dial(DialId),
    Stranger(ConnectionId),
}

impl Links {
    pub(super) fn new(settings: NodeSettings, ensemble: u64, now: Instant) -> Self {
        let replica = &settings.server.replica;
        let (me, timing, limits) = (replica.me, settings.links, settings.limits);
        let others = replica.ensemble.servers().filter(|server| *server != me);
        Self {
            me,
            ensemble,
            handshake: timing.handshake,
            elections: Elections::new(me, others, now, timing),
            learners: Learners::new(timing),
            strangers: Origins::default(),
            room: Room {
                each_address: limits.strangers_per_address_max,
                silent: limits.strangers_max,
                all: limits.strangers_max,
            },
            dials: BTreeMap::new(),
            last_dial: DialId::default(),
            deadlines: VecDeque::new(),
            nonsense: Complaints::default(),
            refusals: Complaints::default(),
            addresses: settings.peers,
        }
    }

    /// When something here is to be done next.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        let deadline = self.deadlines.front().map(|(at, _)| *at);
        let dial = earliest(self.elections.next_dial(), self.learners.next_dial());
        earliest(deadline, dial)
    }

    #[cfg(test)]
    pub(super) fn ensemble(&self) -> u64 {
        self.ensemble
    }

    pub(super) fn dials_count(&self) -> usize {
        self.dials.len()
    }

    pub(super) fn deadlines_count(&self) -> usize {
        self.deadlines.len()
    }

    /// How many connections there are with peers, or with whoever calls their port.
    pub(super) fn loads(&self, connections: usize, loads: &mut Loads) {
        let of_peers = self.addresses.len() * PER_PEER_MAX;
        loads.bounded("strangers", self.strangers.count(), self.room.all);
        loads.bounded("peer_connections", connections, self.room.all + of_peers);
        loads.bounded("peer_dials", self.dials.len(), of_peers);
        // Whoever is gone is forgotten only when its time is over, which is the same for all.
        loads.unbounded("handshake_deadlines", self.deadlines.len() as u64);
    }

    fn hello(&self, to: ServerId, purpose: LinkPurpose) -> Hello {
        let (ensemble, from) = (self.ensemble, self.me);
        Hello { version: PEER_PROTOCOL_VERSION, ensemble, from, to, purpose }
    }

    fn why_refused(&self, hello: &Hello) -> Option<&'static str> {
        if hello.version != PEER_PROTOCOL_VERSION {
            Some("it speaks another version of the peer protocol")
        } else if hello.ensemble != self.ensemble {
            Some("it is configured with an ensemble of other members")
        } else if hello.to != self.me {
            Some("it means to reach another server")
        } else if hello.from == self.me || !self.addresses.contains_key(&hello.from) {
            Some("it is not a member of the ensemble")
        } else {
            None
        }
    }
}

impl Node {
    /// Connects to every peer whose time has come.
    pub(super) fn dial_due(&mut self, now: Now, out: &mut Vec<Output>) {
        while let Some(peer) = self.links.elections.due(now.monotonic) {
            match self.dial(now, peer, LinkPurpose::Election, out) {
                Some(attempt) => self.links.elections.trying(peer, attempt),
                // Without an address there is nobody to try; the configuration check refuses that.
                None => break,
            }
        }
        while let Some(peer) = self.links.learners.due(now.monotonic) {
            self.dial_leader(now, peer, out);
        }
    }

    pub(super) fn open_learner_link(&mut self, now: Now, peer: ServerId, out: &mut Vec<Output>) {
        if self.links.learners.ask(peer, now.monotonic) {
            self.dial_leader(now, peer, out);
        }
    }

    fn dial_leader(&mut self, now: Now, peer: ServerId, out: &mut Vec<Output>) {
        if self.dial(now, peer, LinkPurpose::Learner, out).is_none() {
            self.consequences.push_back(io::Input::LinkDown { link: None, peer });
        }
    }

    fn dial(
        &mut self,
        now: Now,
        peer: ServerId,
        purpose: LinkPurpose,
        out: &mut Vec<Output>,
    ) -> Option<DialId> {
        let address = self.links.addresses.get(&peer)?.clone();
        let dial = DialId(self.links.last_dial.0 + 1);
        self.links.last_dial = dial;
        self.links.dials.insert(dial, Dial { peer, purpose, connection: None });
        out.push(Output::Dial { dial, port: PEERS, address });
        self.expect_handshake(now, Unproved::Dial(dial));
        Some(dial)
    }

    fn expect_handshake(&mut self, now: Now, of: Unproved) {
        self.links.deadlines.push_back((now.monotonic + self.links.handshake, of));
    }

    pub(super) fn accept_stranger(
        &mut self,
        now: Now,
        connection: ConnectionId,
        from: IpAddr,
        out: &mut Vec<Output>,
    ) {
        let room = self.links.room;
        while let Ok(Some(oldest)) = self.links.strangers.who_makes_room(from, room) {
            self.hang_up(now, oldest, out);
        }
        let place = self.links.strangers.enter(from, connection);
        self.connections.insert(connection, Connection::Stranger { from, place });
        self.expect_handshake(now, Unproved::Stranger(connection));
    }

    /// Our side of a connection that is open now.
    pub(super) fn say_hello(
        &mut self,
        dial: DialId,
        connection: ConnectionId,
        out: &mut Vec<Output>,
    ) {
        let Some(state) = self.links.dials.get_mut(&dial) else {
            out.push(Output::Close { connection });
            return;
        };
        state.connection = Some(connection);
        let (peer, purpose) = (state.peer, state.purpose);
        self.connections.insert(connection, Connection::Dialled { dial });
        let bytes = encode_hello(&self.links.hello(peer, purpose));
        out.push(Output::Send { connection, bytes });
    }

    /// The other side's first frame, which must be its hello.
    pub(super) fn first_frame(
        &mut self,
        now: Now,
        connection: ConnectionId,
        frame: &Bytes,
        out: &mut Vec<Output>,
    ) {
        match decode_hello(frame) {
            Ok(hello) => self.greeted(now, connection, hello, out),
            Err(error) => self.invalid_hello(now, connection, &error.to_string(), out),
        }
    }

    pub(super) fn invalid_hello(
        &mut self,
        now: Now,
        connection: ConnectionId,
        error: &str,
        out: &mut Vec<Output>,
    ) {
        if let Some(more) = self.links.nonsense.one_more(now.monotonic) {
            let from = self.where_from(connection);
            warn(out, format!("an invalid hello from {from}: {error}{}", and_more(more)));
        }
        self.hang_up(now, connection, out);
    }

    fn where_from(&self, connection: ConnectionId) -> String {
        match self.connections.get(&connection) {
            Some(Connection::Stranger { from, .. }) => from.to_string(),
            _ => "a server that we called".to_owned(),
        }
    }

    fn greeted(&mut self, now: Now, connection: ConnectionId, hello: Hello, out: &mut Vec<Output>) {
        if let Some(why) = self.links.why_refused(&hello) {
            if let Some(more) = self.links.refusals.one_more(now.monotonic) {
                let (peer, from) = (hello.from, self.where_from(connection));
                warn(out, format!("refused peer {peer} of {from}: {why}{}", and_more(more)));
            }
            self.hang_up(now, connection, out);
            return;
        }
        let (peer, purpose) = (hello.from, hello.purpose);
        let by = match self.connections.remove(&connection) {
            Some(Connection::Stranger { from, place }) => {
                self.links.strangers.leave(from, Some(place));
                let bytes = encode_hello(&self.links.hello(peer, purpose));
                out.push(Output::Send { connection, bytes });
                None
            }
            Some(Connection::Dialled { dial }) => {
                let state = self.links.dials.remove(&dial).expect("it has been dialled");
                if (state.peer, state.purpose) != (peer, purpose) {
                    warn(out, format!("{peer} answers where {} should", state.peer));
                    out.push(Output::Close { connection });
                    self.dial_failed(dial, state, out);
                    return;
                }
                Some(dial)
            }
            _ => unreachable!("only whoever has not said hello is greeted"),
        };
        self.connections.insert(connection, Connection::Link(Link { peer, purpose }));
        self.link_is_up(now, connection, peer, purpose, by, out);
    }

    fn link_is_up(
        &mut self,
        now: Now,
        connection: ConnectionId,
        peer: ServerId,
        purpose: LinkPurpose,
        by: Option<DialId>,
        out: &mut Vec<Output>,
    ) {
        debug(out, format!("link to {peer} is up: {purpose:?}"));
        let (older, needless) = match purpose {
            LinkPurpose::Election => self.links.elections.won(peer, connection, by),
            LinkPurpose::Learner => {
                if by.is_some() {
                    self.links.learners.succeeded(peer);
                }
                (None, None)
            }
        };
        let (link, opened_by_us) = (LinkId(connection.0), by.is_some());
        self.serve(now, io::Input::LinkUp { link, peer, purpose, opened_by_us }, out);
        // The new link first: at no moment does the server think that it hears nothing of the peer.
        if let Some(older) = older {
            out.push(Output::Close { connection: older });
            if let Some(Connection::Link(_)) = self.connections.remove(&older) {
                let link = Some(LinkId(older.0));
                self.serve(now, io::Input::LinkDown { link, peer }, out);
            }
        }
        if let Some(needless) = needless {
            self.give_up(needless, out);
        }
    }

    /// Ends an attempt of ours; what it was.
    fn give_up(&mut self, dial: DialId, out: &mut Vec<Output>) -> Option<Dial> {
        let state = self.links.dials.remove(&dial)?;
        match state.connection {
            Some(connection) => {
                self.connections.remove(&connection);
                out.push(Output::Close { connection });
            }
            None => out.push(Output::GiveUp { dial }),
        }
        Some(state)
    }

    /// The server takes a message.
    pub(super) fn message(
        &mut self,
        now: Now,
        connection: ConnectionId,
        peer: ServerId,
        frame: &Bytes,
        out: &mut Vec<Output>,
    ) {
        match decode_message(frame) {
            Ok(message) => {
                let link = LinkId(connection.0);
                self.serve(now, io::Input::PeerMessage { link, message }, out);
            }
            Err(error) => {
                warn(out, format!("link to {peer} closed: {error}"));
                self.hang_up(now, connection, out);
            }
        }
    }

    pub(super) fn send(&self, links: &[LinkId], message: &PeerMessage, out: &mut Vec<Output>) {
        let Some((last, others)) = links.split_last() else { return };
        let bytes = encode_message(message);
        for link in others {
            out.push(Output::Send { connection: ConnectionId(link.0), bytes: bytes.clone() });
        }
        out.push(Output::Send { connection: ConnectionId(last.0), bytes });
    }

    /// The server closes a link: it knows, and hears no more of it.
    pub(super) fn close_link(&mut self, link: LinkId, out: &mut Vec<Output>) {
        let connection = ConnectionId(link.0);
        if let Some(Connection::Link(link)) = self.connections.remove(&connection) {
            out.push(Output::Close { connection });
            self.forget_election(link.peer, link.purpose, Lost::Link(connection), out);
        }
    }

    /// We close a connection that is no client's.
    pub(super) fn hang_up(&mut self, now: Now, connection: ConnectionId, out: &mut Vec<Output>) {
        out.push(Output::Close { connection });
        match self.connections.remove(&connection) {
            Some(Connection::Stranger { from, place }) => {
                self.links.strangers.leave(from, Some(place));
            }
            Some(Connection::Dialled { dial }) => {
                if let Some(state) = self.links.dials.remove(&dial) {
                    self.dial_failed(dial, state, out);
                }
            }
            Some(Connection::Link(link)) => self.link_lost(now, connection, link, out),
            Some(Connection::Client(_)) | None => {}
        }
    }

    /// A link that the server knows of is gone.
    pub(super) fn link_lost(
        &mut self,
        now: Now,
        connection: ConnectionId,
        link: Link,
        out: &mut Vec<Output>,
    ) {
        let Link { peer, purpose } = link;
        self.forget_election(peer, purpose, Lost::Link(connection), out);
        let link = Some(LinkId(connection.0));
        self.serve(now, io::Input::LinkDown { link, peer }, out);
    }

    /// An attempt of ours was refused, or broke before its handshake was done.
    pub(super) fn dial_refused(
        &mut self,
        dial: DialId,
        reason: CloseReason,
        out: &mut Vec<Output>,
    ) {
        if let Some(state) = self.links.dials.remove(&dial) {
            debug(out, format!("not connected to {}: {reason:?}", state.peer));
            self.dial_failed(dial, state, out);
        }
    }

    /// An attempt of ours did not become a link. The server hears of a learner link with the pause
    /// before the next one, since it asks for that at once.
    fn dial_failed(&mut self, dial: DialId, state: Dial, out: &mut Vec<Output>) {
        let Dial { peer, purpose, .. } = state;
        self.forget_election(peer, purpose, Lost::Attempt(dial), out);
        if purpose == LinkPurpose::Learner {
            self.draw(Draw::Learner { peer }, 1, out);
        }
    }

    fn forget_election(
        &mut self,
        peer: ServerId,
        purpose: LinkPurpose,
        lost: Lost,
        out: &mut Vec<Output>,
    ) {
        if purpose == LinkPurpose::Election {
            self.draw(Draw::Election { peer, lost }, 1, out);
        }
    }

    /// Hangs up on those who were silent for too long. Most have become links since.
    pub(super) fn give_up_late_handshakes(&mut self, now: Now, out: &mut Vec<Output>) {
        while let Some((deadline, unproved)) = self.links.deadlines.front().copied() {
            if deadline > now.monotonic {
                return;
            }
            self.links.deadlines.pop_front();
            match unproved {
                Unproved::Dial(dial) => {
                    if let Some(state) = self.give_up(dial, out) {
                        self.dial_failed(dial, state, out);
                    }
                }
                Unproved::Stranger(connection) => {
                    if let Some(Connection::Stranger { .. }) = self.connections.get(&connection) {
                        self.hang_up(now, connection, out);
                    }
                }
            }
        }
    }
}

/// Says how many such lines were left out before this one.
fn and_more(more: u64) -> String {
    match more {
        0 => String::new(),
        1 => " (and 1 more like it since the last such line)".to_owned(),
        more => format!(" (and {more} more like it since the last such line)"),
    }
}
