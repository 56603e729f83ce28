//! [`Node`]: its parts, and which of them handles which input and which output of the server.

use super::clients::Clients;
use super::connections::{Connection, Connections};
use super::links::Links;
use super::settings::NodeSettings;
use super::writes::WriteQueue;
use crate::io;
use crate::replica::Role;
use crate::server::Server;
use bytes::Bytes;
use mailstorm_shared::machine::{
    CloseReason, ConnectionId, Core, FileOp, Input, Lane, Loads, Output, PortId, Severity, Writes,
};
use mailstorm_shared::{Epoch, Instant, Now, ServerId, StateHasher, Zxid};
use mailstorm_wire::client::FourLetterWord;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// Where clients connect.
pub(super) const CLIENTS: PortId = PortId(0);
/// Where the other servers connect.
pub(super) const PEERS: PortId = PortId(1);

/// One machine's server. See the module's head.
pub struct Node {
    pub(super) server: Server,
    pub(super) connections: Connections,
    pub(super) clients: Clients,
    pub(super) links: Links,
    writes: WriteQueue,
    /// What random numbers were asked for, in order.
    pub(super) draws: VecDeque<Draw>,
    /// Inputs of the server that follow from its own outputs.
    pub(super) consequences: VecDeque<io::Input>,
    /// Reused allocation.
    outputs: Vec<io::Output>,
    /// When the server asked for its next tick.
    server_wake: Option<Instant>,
    /// When the host was asked to tick.
    wake: Option<Instant>,
}

/// What a random number is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Draw {
    /// The jitter of a server's tick.
    Tick,
    /// The password of the session that this client may get.
    Client { connection: ConnectionId, address: SocketAddr },
    /// The pause before the next attempt of an election link.
    Election { peer: ServerId, lost: super::elections::Lost },
    /// The pause before the next attempt of a learner link.
    Learner { peer: ServerId },
}

/// What a server is at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServerReport {
    /// Who.
    pub server: ServerId,
    /// What it is to the ensemble.
    pub role: Role,
    /// Whether clients are served.
    pub serving: bool,
    /// The leader, while clients are served.
    pub leader: Option<ServerId>,
    /// The epoch it serves in, or the last one it took part in.
    pub epoch: Epoch,
    /// The last transaction its clients can see.
    pub last_applied: Zxid,
}

impl Node {
    /// A node whose server has just started and asks for these first things.
    pub(super) fn new(
        settings: NodeSettings,
        ensemble: u64,
        server: Server,
        first: Vec<io::Output>,
        writes: WriteQueue,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Self {
        let mut node = Self {
            connections: Connections::new(),
            clients: Clients::new(&settings),
            links: Links::new(settings, ensemble, now.monotonic),
            server,
            writes,
            draws: VecDeque::new(),
            consequences: VecDeque::new(),
            outputs: Vec::new(),
            server_wake: None,
            wake: None,
        };
        for output in first {
            node.carry_out(now, output, out);
        }
        if let Some(input) = node.consequences.pop_front() {
            node.serve(now, input, out);
        }
        node.ask_to_wake(out);
        node
    }

    /// What the server is now.
    pub fn report(&self) -> ServerReport {
        ServerReport {
            server: self.server.me(),
            role: self.server.role(),
            serving: self.server.is_serving(),
            leader: self.server.replica().leader(),
            epoch: self.server.replica().epoch(),
            last_applied: self.server.last_applied(),
        }
    }

    fn take(&mut self, now: Now, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Frame { connection, frame } => self.frame(now, connection, frame, out),
            Input::Tick => self.tick(now, out),
            Input::Drawn { numbers } => self.drawn(now, numbers, out),
            Input::DiskDone { lane: Lane::Log } => {
                let done = self.writes.log_done(out);
                if let Some(ticket) = done {
                    self.serve(now, io::Input::DiskDone { ticket }, out);
                }
            }
            Input::DiskDone { lane: Lane::Aside } => {
                let ticket = self.writes.aside_done();
                self.serve(now, io::Input::AsideDone { ticket }, out);
            }
            Input::Opened { connection, port: CLIENTS, from } => {
                self.accept_client(now, connection, from, out);
            }
            Input::Opened { connection, from, .. } => {
                self.accept_stranger(now, connection, from.ip(), out);
            }
            Input::Dialled { dial, connection } => self.say_hello(dial, connection, out),
            Input::DialFailed { dial, reason } => self.dial_refused(dial, reason, out),
            Input::Malformed { connection, prefix, error } => {
                self.malformed(now, connection, prefix, &error, out);
            }
            Input::Closed { connection, reason } => self.closed(now, connection, reason, out),
            Input::Overrun { connection, backlog } => self.overrun(now, connection, backlog, out),
        }
    }

    fn frame(&mut self, now: Now, connection: ConnectionId, frame: Bytes, out: &mut Vec<Output>) {
        match self.connections.get_mut(&connection) {
            Some(Connection::Client(client)) => {
                if let Some(place) = client.silent.take() {
                    self.clients.origins.spoke(client.from, place);
                }
                let client = io::ClientId(connection.0);
                self.serve(now, io::Input::ClientFrame { client, frame }, out);
            }
            Some(Connection::Link(link)) => {
                let peer = link.peer;
                self.message(now, connection, peer, &frame, out);
            }
            Some(Connection::Dialled { .. } | Connection::Stranger { .. }) => {
                self.first_frame(now, connection, &frame, out);
            }
            // Closed by us; what was on its way means nothing any more.
            None => {}
        }
    }

    fn malformed(
        &mut self,
        now: Now,
        connection: ConnectionId,
        prefix: [u8; 4],
        error: &str,
        out: &mut Vec<Output>,
    ) {
        match self.connections.get(&connection) {
            Some(Connection::Client(state)) => {
                let client = io::ClientId(connection.0);
                let word = FourLetterWord::parse(&prefix).filter(|_| state.silent.is_some());
                if let Some(word) = word {
                    self.serve(now, io::Input::ClientWord { client, word }, out);
                    return;
                }
                debug(out, format!("client of {} dropped: {error}", state.from));
                self.close_client(connection, out);
                self.serve(now, io::Input::ClientClosed { client }, out);
            }
            Some(Connection::Link(link)) => {
                warn(out, format!("link to {} closed: {error}", link.peer));
                self.hang_up(now, connection, out);
            }
            Some(Connection::Dialled { .. } | Connection::Stranger { .. }) => {
                self.invalid_hello(now, connection, error, out);
            }
            None => {}
        }
    }

    fn closed(
        &mut self,
        now: Now,
        connection: ConnectionId,
        reason: CloseReason,
        out: &mut Vec<Output>,
    ) {
        match self.connections.remove(&connection) {
            Some(Connection::Client(client)) => {
                self.clients.origins.leave(client.from, client.silent);
                let client = io::ClientId(connection.0);
                self.serve(now, io::Input::ClientClosed { client }, out);
            }
            Some(Connection::Stranger { from, place }) => {
                self.links.strangers.leave(from, Some(place));
            }
            Some(Connection::Dialled { dial }) => self.dial_refused(dial, reason, out),
            Some(Connection::Link(link)) => {
                debug(out, format!("link to {} lost: {reason:?}", link.peer));
                self.link_lost(now, connection, link, out);
            }
            None => {}
        }
    }

    /// The other side takes nothing: a client is given up; a peer is better synchronised again.
    fn overrun(
        &mut self,
        now: Now,
        connection: ConnectionId,
        backlog: usize,
        out: &mut Vec<Output>,
    ) {
        match self.connections.get(&connection) {
            Some(Connection::Client(_)) => {
                debug(out, format!("client dropped: it does not take {backlog} bytes of replies"));
            }
            Some(Connection::Link(link)) => {
                warn(out, format!("link to {} closed: the peer is too slow", link.peer));
            }
            _ => {}
        }
        self.closed(now, connection, CloseReason::Closed, out);
    }

    fn tick(&mut self, now: Now, out: &mut Vec<Output>) {
        self.wake = None;
        self.give_up_late_handshakes(now, out);
        self.dial_due(now, out);
        if self.server_wake.is_some_and(|at| at <= now.monotonic) {
            self.server_wake = None;
            self.draw(Draw::Tick, 1, out);
        }
    }

    pub(super) fn draw(&mut self, what: Draw, count: usize, out: &mut Vec<Output>) {
        self.draws.push_back(what);
        out.push(Output::Draw { count });
    }

    fn drawn(&mut self, now: Now, numbers: [u64; 2], out: &mut Vec<Output>) {
        let chance = numbers[0];
        match self.draws.pop_front().expect("a number is drawn for somebody") {
            Draw::Tick => self.serve(now, io::Input::Tick { jitter: chance }, out),
            Draw::Client { connection, address } => {
                let mut entropy = [0; 16];
                entropy[..8].copy_from_slice(&numbers[0].to_le_bytes());
                entropy[8..].copy_from_slice(&numbers[1].to_le_bytes());
                let client = io::ClientId(connection.0);
                self.serve(now, io::Input::ClientOpened { client, address, entropy }, out);
            }
            Draw::Election { peer, lost } => {
                self.links.elections.lost(peer, lost, now.monotonic, chance);
            }
            Draw::Learner { peer } => {
                self.links.learners.failed(peer, now.monotonic, chance);
                self.serve(now, io::Input::LinkDown { link: None, peer }, out);
            }
        }
    }

    /// The server takes one input, and those that follow from what it asked for.
    pub(super) fn serve(&mut self, now: Now, input: io::Input, out: &mut Vec<Output>) {
        let mut next = Some(input);
        while let Some(input) = next {
            let mut outputs = std::mem::take(&mut self.outputs);
            self.server.step(now, input, &mut outputs);
            for output in outputs.drain(..) {
                self.carry_out(now, output, out);
            }
            self.outputs = outputs;
            next = self.consequences.pop_front();
        }
    }

    fn carry_out(&mut self, now: Now, output: io::Output, out: &mut Vec<Output>) {
        match output {
            io::Output::Disk { ticket, command } => {
                self.writes.push(Lane::Log, ticket, command);
                out.push(Output::Disk { lane: Lane::Log });
            }
            io::Output::DiskAside { ticket, command } => {
                // By way of the log's lane: it begins when what was asked for earlier is on disk.
                self.writes.push(Lane::Aside, ticket, command);
                out.push(Output::Disk { lane: Lane::Log });
            }
            io::Output::Send { links, message } => self.send(&links, &message, out),
            io::Output::Respond { client, frame } => respond(client, &frame, out),
            io::Output::Observe(fact) => out.push(Output::Observe(fact.into())),
            io::Output::WakeAt { at } => self.server_wake = Some(at),
            io::Output::RespondText { client, text } => {
                let connection = ConnectionId(client.0);
                out.push(Output::Send { connection, bytes: Bytes::from(text) });
                self.close_client(connection, out);
            }
            io::Output::CloseClient { client } => self.close_client(ConnectionId(client.0), out),
            io::Output::HoldClient { client, held } => {
                out.push(Output::Hold { connection: ConnectionId(client.0), held });
            }
            io::Output::OpenLearnerLink { peer } => self.open_learner_link(now, peer, out),
            io::Output::CloseLink { link } => self.close_link(link, out),
            io::Output::Halt { reason } => out.push(Output::Halt { reason }),
        }
    }

    /// Tells the host when to tick next, where that has changed.
    fn ask_to_wake(&mut self, out: &mut Vec<Output>) {
        let at = earliest(self.server_wake, self.links.next_wake());
        if at != self.wake {
            self.wake = at;
            out.push(Output::Wake { at });
        }
    }
}

impl Core for Node {
    fn step(&mut self, now: Now, inputs: &mut VecDeque<Input>, outputs: &mut Vec<Output>) {
        while let Some(input) = inputs.pop_front() {
            self.take(now, input, outputs);
            if !self.draws.is_empty() && !matches!(inputs.front(), Some(Input::Drawn { .. })) {
                break;
            }
        }
        self.ask_to_wake(outputs);
    }

    fn take_writes(&mut self, lane: Lane, ops: &mut Vec<FileOp>) -> Writes {
        match lane {
            Lane::Log => self.writes.take_log(self.server.replica().known_committed(), ops),
            Lane::Aside => self.writes.take_aside(ops),
        }
    }

    fn glance(&self) -> u64 {
        StateHasher::of(&self.report())
    }

    fn state_hash(&self) -> u64 {
        self.server.state_hash()
    }

    fn invariants(&self) {
        let known = self.clients.origins.count() + self.links.strangers.count();
        assert!(known <= self.connections.len(), "whoever is counted has a connection");
        let unproved = self.links.strangers.count() + self.links.dials_count();
        assert!(unproved <= self.links.deadlines_count(), "each handshake has a deadline");
        assert!(self.consequences.is_empty(), "the server has taken what follows from its outputs");
    }

    fn loads(&self, loads: &mut Loads) {
        let clients = self.clients.origins.count();
        self.clients.loads(loads);
        self.links.loads(self.connections.len() - clients, loads);
        self.writes.loads(loads);
        self.server.loads(loads);
    }
}

/// The earlier of two times, where there are any. It runs in every step.
pub(super) fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// A frame for a client, with its length before it.
fn respond(client: io::ClientId, body: &[u8], out: &mut Vec<Output>) {
    let bytes = mailstorm_wire::frame::framed(body);
    out.push(Output::Send { connection: ConnectionId(client.0), bytes });
}

/// A line for whoever looks for something.
pub(super) fn debug(out: &mut Vec<Output>, text: String) {
    out.push(Output::Note { severity: Severity::Debug, text });
}

/// A line for every operator.
pub(super) fn warn(out: &mut Vec<Output>, text: String) {
    out.push(Output::Note { severity: Severity::Warning, text });
}
