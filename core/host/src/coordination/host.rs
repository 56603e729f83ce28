//! The driver: events in, steps, outputs carried out.

use super::complaints::Complaints;
use super::connections::{Client, Connection, Connections};
use super::lanes::{self, Aside, DiskWork, Lane};
use super::learners::Learners;
use super::links::Elections;
use super::origins::{Full, Origins, Room};
use super::settings::{HostLimits, LinkTiming, Listening, ServerSettings};
use crate::HostError;
use crate::reserve;
use crate::signal::Signal;
use crate::storage;
use bytes::Bytes;
use mailstorm_coordination::io::{ClientId, Input, LinkId, Output};
use mailstorm_coordination::server::Server;
use mailstorm_coordination::storage::recovery::RecoverOptions;
use mailstorm_coordination::storage::{Condition, Identity, Recovery, Writer};
use mailstorm_platform::{Address, CloseReason, ConnectionId, Endpoint, NetworkEvent, Platform};
use mailstorm_shared::{Millis, Now, ServerId, StateHasher};
use mailstorm_wire::client::FourLetterWord;
use mailstorm_wire::frame;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

/// How often a client is looked at that does not take its replies.
const BACKLOG_LOOK_EVERY: Millis = Millis(50);

/// For how long a server that was asked to end waits for clients and peers that do not take its last words.
const FAREWELL_MAX: Millis = Millis(1_000);

/// Runs one server until it is asked to end ([`ServerSettings::stop`]).
///
/// # Errors
/// Why it had to end before.
pub async fn serve_coordination<P: Platform>(
    platform: P,
    settings: ServerSettings,
) -> Result<(), HostError> {
    let _shown = settings.probe.while_running();
    let (host, writer) = start(platform, settings).await?;
    run(&host, writer).await
}

/// Listens, recovers, and makes the first step. An address in use is found out before the folder is
/// touched.
async fn start<P: Platform>(
    platform: P,
    mut settings: ServerSettings,
) -> Result<(Rc<Host<P>>, Writer), HostError> {
    let endpoint = platform.endpoint();
    let replica = &settings.server.replica;
    let me = replica.me;
    let ensemble = StateHasher::of(&replica.ensemble);
    let others: Vec<_> = replica.ensemble.servers().filter(|server| *server != me).collect();
    let clients = listen(&endpoint, &settings.client_address)?;
    let peer_address = settings.peers.get(&me).filter(|_| !others.is_empty()).cloned();
    let peers = peer_address.as_ref().map(|address| listen(&endpoint, address)).transpose()?;

    let disk = platform.disk();
    let identity = Identity { server: me, ensemble };
    let options = RecoverOptions {
        initialise: settings.initialise,
        membership_changed: settings.membership_changed,
        entries_before_snapshot: replica.sync_entries_kept,
        defects: replica.defects,
    };
    let recovery = storage::look(&platform, &disk, identity, &options).await?;
    if replica.ensemble.is_voter(me) && replica.ensemble.voters().len() == 1 {
        expect_vote(&recovery)?;
    }
    if settings.reserve_bytes > 0 {
        reserve::release(&disk).await?;
    }
    let writer = storage::repair(&disk, identity, settings.storage, &recovery).await?;
    reserve::set_aside(&disk, settings.reserve_bytes).await?;
    for finding in &recovery.recovered.findings {
        tracing::warn!(server = %me, "{finding}");
    }
    let now = platform.now();
    let incarnation = platform.entropy() as u32;
    let mut outputs = Vec::new();
    let frame_bytes_max = settings.server.frame_bytes_max;
    let clients_max = settings.server.clients_max;
    let facts = &mut settings.server.host;
    facts.client_port = port_of(&clients);
    facts.clients_per_address_max = settings.limits.clients_per_address_max;
    facts.peers = settings.peers.iter().map(|(server, at)| (*server, at.0.clone())).collect();
    let server = Server::new(settings.server, recovery.recovered, incarnation, now, &mut outputs)?;
    let server = Rc::new(RefCell::new(server));
    settings.probe.show(server.clone());
    let core = Core {
        me,
        ensemble,
        peer_address,
        frame_bytes_max,
        clients_max,
        limits: settings.limits,
        timing: settings.links,
        addresses: settings.peers,
        server,
        outputs: Vec::new(),
        consequences: VecDeque::new(),
        resumed: VecDeque::new(),
        connections: Connections::new(),
        origins: Origins::default(),
        strangers: Origins::default(),
        learners: Learners::new(settings.links),
        nonsense: Complaints::default(),
        refusals: Complaints::default(),
        elections: Elections::new(me, others, now.monotonic, settings.links),
        deadlines: VecDeque::new(),
        disk_queue: Vec::new(),
        core_wake: None,
        look_at: None,
        held_for_backlog: Vec::new(),
        armed: None,
    };
    let host = Rc::new(Host {
        platform,
        endpoint,
        disk,
        core: RefCell::new(core),
        disk_work: Signal::default(),
        aside: Aside::default(),
        ended: settings.stop.0,
        stopping: Cell::new(false),
        stopped: Cell::new(false),
        reason: RefCell::new(None),
    });
    host.turn(|turn| turn.carry_out_all(outputs));
    if let Some(on_listening) = settings.on_listening {
        on_listening(&Listening { clients, peers });
    }
    Ok((host, writer))
}

/// The port of an address, for whoever asks how the server is configured.
fn port_of(address: &Address) -> u16 {
    let port = address.0.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    port.unwrap_or_default()
}

/// A voter that is alone is admitted by nobody: without a vote it would wait for ever.
fn expect_vote(recovery: &Recovery) -> Result<(), HostError> {
    if recovery.recovered.state.votes {
        return Ok(());
    }
    let advice = match recovery.condition {
        Condition::Empty => "start it with --initialise the first time",
        Condition::Whole | Condition::Damaged => {
            "restore the folder from a copy, or empty it and start with --initialise to begin anew"
        }
    };
    let finding = recovery.recovered.findings.join("; ");
    Err(HostError::NoVote { finding, advice })
}

fn listen(endpoint: &impl Endpoint, address: &Address) -> Result<Address, HostError> {
    endpoint
        .listen(address)
        .map_err(|source| HostError::Listen { address: address.clone(), source })?;
    Ok(endpoint.bound_address(address))
}

/// All tasks, until one of them ends the server.
async fn run<P: Platform>(host: &Rc<Host<P>>, writer: Writer) -> Result<(), HostError> {
    // The disk tasks must not outlive this future, whether it ends or is dropped.
    let _stop = StopDisk(host);
    host.platform.spawn(lanes::write_log(host.clone(), writer));
    host.platform.spawn(lanes::write_aside(host.clone()));
    loop {
        let mut next = pin!(host.endpoint.next());
        let event = poll_fn(|context| match host.ended.poll(context) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => next.as_mut().poll(context).map(Some),
        });
        let Some(event) = event.await else {
            // Raised without a reason, it is a request.
            let reason = host.reason.borrow_mut().take();
            return match reason {
                Some(reason) => Err(reason),
                None => stop(host).await,
            };
        };
        host.turn(|turn| turn.happened(event));
    }
}

/// Ends in order. Nothing more is taken from anybody, so whatever is asked for now is as unanswered as
/// after a crash. What the disk has taken on is carried out, and the answers that rest on it leave.
async fn stop<P: Platform>(host: &Rc<Host<P>>) -> Result<(), HostError> {
    host.stopping.set(true);
    host.disk_work.raise();
    // The disk task has nothing left to do, or has failed.
    host.ended.wait().await;
    if let Some(reason) = host.reason.borrow_mut().take() {
        return Err(reason);
    }
    let until = host.platform.now().monotonic + FAREWELL_MAX;
    loop {
        let connections: Vec<_> = host.core.borrow().connections.keys().copied().collect();
        let now = host.platform.now().monotonic;
        if now >= until || connections.iter().all(|c| host.endpoint.backlog(*c) == 0) {
            return Ok(());
        }
        host.endpoint.wake_at(Some(now + BACKLOG_LOOK_EVERY));
        host.endpoint.next().await;
    }
}

struct StopDisk<'a, P: Platform>(&'a Host<P>);

impl<P: Platform> Drop for StopDisk<'_, P> {
    fn drop(&mut self) {
        self.0.stopped.set(true);
        self.0.disk_work.raise();
        self.0.aside.work.raise();
        self.0.aside.idle.raise();
    }
}

/// What the tasks share.
pub(super) struct Host<P: Platform> {
    pub(super) platform: P,
    pub(super) endpoint: P::Endpoint,
    pub(super) disk: P::Disk,
    pub(super) core: RefCell<Core>,
    /// Disk commands wait.
    pub(super) disk_work: Signal,
    pub(super) aside: Aside,
    /// There is a reason to end, or a request to.
    pub(super) ended: Rc<Signal>,
    /// The server ends as soon as the disk task has nothing left to do.
    pub(super) stopping: Cell<bool>,
    /// The server has ended.
    pub(super) stopped: Cell<bool>,
    reason: RefCell<Option<HostError>>,
}

impl<P: Platform> Host<P> {
    /// Something happens, and all that follows from it.
    pub(super) fn turn(&self, happens: impl FnOnce(&mut Turn<'_, P>)) {
        let mut core = self.core.borrow_mut();
        let now = self.platform.now();
        let mut turn = Turn { host: self, core: &mut core, now };
        happens(&mut turn);
        turn.finish();
    }

    /// The first reason counts.
    pub(super) fn end(&self, reason: HostError) {
        self.reason.borrow_mut().get_or_insert(reason);
        self.ended.raise();
    }
}

/// The server and what belongs to it; changed within a [`Turn`] only.
pub(super) struct Core {
    pub(super) me: ServerId,
    pub(super) ensemble: u64,
    peer_address: Option<Address>,
    frame_bytes_max: usize,
    clients_max: usize,
    pub(super) limits: HostLimits,
    pub(super) timing: LinkTiming,
    pub(super) addresses: BTreeMap<ServerId, Address>,
    server: Rc<RefCell<Server>>,
    /// Kept for its memory.
    outputs: Vec<Output>,
    /// Inputs that follow from outputs; the core is not stepped while its outputs are carried out.
    pub(super) consequences: VecDeque<Input>,
    /// Clients that are held no longer and may have whole frames waiting.
    resumed: VecDeque<ConnectionId>,
    pub(super) connections: Connections,
    origins: Origins,
    /// Whoever called our peers' address and has not said hello.
    pub(super) strangers: Origins,
    pub(super) learners: Learners,
    pub(super) nonsense: Complaints,
    pub(super) refusals: Complaints,
    pub(super) elections: Elections,
    /// When dialled connections and strangers are given up, oldest first; all have the same time.
    pub(super) deadlines: VecDeque<(Millis, ConnectionId)>,
    pub(super) disk_queue: Vec<DiskWork>,
    /// When the core wants to be stepped.
    core_wake: Option<Millis>,
    /// When to look at clients that do not take their replies.
    look_at: Option<Millis>,
    held_for_backlog: Vec<ConnectionId>,
    /// What the endpoint was asked for.
    armed: Option<Millis>,
}

/// One thing that happens, at one moment, until everything that follows from it is done.
pub(super) struct Turn<'a, P: Platform> {
    pub(super) host: &'a Host<P>,
    pub(super) core: &'a mut Core,
    pub(super) now: Now,
}

impl<P: Platform> Turn<'_, P> {
    fn happened(&mut self, event: NetworkEvent) {
        match event {
            NetworkEvent::Received { connection, bytes } => self.received(connection, bytes),
            NetworkEvent::Accepted { connection, listener, from } => {
                if self.core.peer_address.as_ref() == Some(&listener) {
                    self.accept_stranger(connection, from.ip());
                } else {
                    self.accept_client(connection, from);
                }
            }
            NetworkEvent::Connected { connection } => self.say_hello(connection),
            NetworkEvent::Closed { connection, reason } => self.closed(connection, reason),
            NetworkEvent::Woken => self.woken(),
        }
    }

    /// The core takes one input, and those that follow from what it asked for.
    pub(super) fn step(&mut self, input: Input) {
        let mut next = Some(input);
        while let Some(input) = next {
            let mut outputs = std::mem::take(&mut self.core.outputs);
            self.core.server.borrow_mut().step(self.now, input, &mut outputs);
            for output in outputs.drain(..) {
                self.carry_out(output);
            }
            self.core.outputs = outputs;
            next = self.core.consequences.pop_front();
        }
    }

    fn carry_out_all(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            self.carry_out(output);
        }
        if let Some(input) = self.core.consequences.pop_front() {
            self.step(input);
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Disk { ticket, command } => {
                self.core.disk_queue.push(DiskWork { lane: Lane::Log, ticket, command });
                self.host.disk_work.raise();
            }
            Output::DiskAside { ticket, command } => {
                self.core.disk_queue.push(DiskWork { lane: Lane::Aside, ticket, command });
                self.host.disk_work.raise();
            }
            Output::Send { links, message } => self.send(&links, &message),
            Output::Respond { client, frame } => self.respond(client, &frame),
            Output::Observe(observation) => self.host.platform.observe(observation),
            Output::WakeAt { at } => self.core.core_wake = Some(at),
            Output::RespondText { client, text } => {
                let connection = ConnectionId(client.0);
                self.host.endpoint.send(connection, Bytes::from(text));
                self.close_client(connection);
            }
            Output::CloseClient { client } => self.close_client(ConnectionId(client.0)),
            Output::HoldClient { client, held } => {
                self.hold(ConnectionId(client.0), |client| client.held_by_core = held);
            }
            Output::OpenLearnerLink { peer } => self.open_learner_link(peer),
            Output::CloseLink { link } => self.close_link(link),
            Output::Halt { reason } => self.host.end(HostError::Halted { reason }),
        }
    }

    /// What may follow from everything that happened: frames of clients that are held no longer, and
    /// the next time to wake up.
    fn finish(&mut self) {
        while let Some(connection) = self.core.resumed.pop_front() {
            self.take_frames(connection);
        }
        let core = &mut *self.core;
        let wishes = [
            core.core_wake,
            core.look_at,
            core.deadlines.front().map(|(at, _)| *at),
            core.elections.next_dial(),
            core.learners.next_dial(),
        ];
        let at = wishes.into_iter().flatten().min();
        if at != core.armed {
            core.armed = at;
            self.host.endpoint.wake_at(at);
        }
    }

    fn woken(&mut self) {
        self.core.armed = None;
        let now = self.now.monotonic;
        self.give_up_late_handshakes();
        self.dial_due();
        if self.core.look_at.is_some_and(|at| at <= now) {
            self.look_at_backlogs();
        }
        if self.core.core_wake.is_some_and(|at| at <= now) {
            self.core.core_wake = None;
            self.step(Input::Tick { jitter: self.host.platform.entropy() });
        }
    }

    fn received(&mut self, connection: ConnectionId, bytes: Bytes) {
        match self.core.connections.get_mut(&connection) {
            Some(Connection::Client(client)) => {
                client.decoder.push(bytes);
                self.take_frames(connection);
            }
            Some(Connection::Link(link)) => {
                link.decoder.push(bytes);
                self.take_messages(connection);
            }
            Some(Connection::Dialled { decoder, .. } | Connection::Stranger { decoder, .. }) => {
                decoder.push(bytes);
                self.take_hello(connection);
            }
            // Closed by us; what was on its way means nothing any more.
            None => {}
        }
    }

    fn closed(&mut self, connection: ConnectionId, reason: CloseReason) {
        match self.core.connections.remove(&connection) {
            Some(Connection::Client(client)) => {
                self.core.origins.leave(client.from, client.silent);
                self.step(Input::ClientClosed { client: ClientId(connection.0) });
            }
            Some(Connection::Stranger { from, place, .. }) => {
                self.core.strangers.leave(from, Some(place));
            }
            Some(Connection::Dialled { peer, purpose, .. }) => {
                tracing::debug!(server = %self.core.me, %peer, ?purpose, ?reason, "not connected");
                self.dial_failed(connection, peer, purpose);
            }
            Some(Connection::Link(link)) => {
                tracing::debug!(server = %self.core.me, peer = %link.peer, ?reason, "link lost");
                self.link_lost(connection, &link);
            }
            None => {}
        }
    }

    fn accept_client(&mut self, connection: ConnectionId, address: SocketAddr) {
        let from = address.ip();
        if !self.make_room(from) {
            tracing::debug!(server = %self.core.me, %from, "refused a client: there are too many");
            self.host.endpoint.close(connection);
            return;
        }
        let core = &mut *self.core;
        let place = core.origins.enter(from, connection);
        let client = Client::new(from, place, core.frame_bytes_max);
        core.connections.insert(connection, Connection::Client(client));
        let mut entropy = [0; 16];
        entropy[..8].copy_from_slice(&self.host.platform.entropy().to_le_bytes());
        entropy[8..].copy_from_slice(&self.host.platform.entropy().to_le_bytes());
        self.step(Input::ClientOpened { client: ClientId(connection.0), address, entropy });
    }

    /// Closes the oldest silent client where there are too many; whether one more can come from there.
    fn make_room(&mut self, from: IpAddr) -> bool {
        let limits = self.core.limits;
        let room = Room {
            each_address: limits.clients_per_address_max,
            silent: limits.silent_clients_max,
            all: self.core.clients_max,
        };
        // At most one of its own address, and then one of all.
        for _ in 0..2 {
            match self.core.origins.who_makes_room(from, room) {
                Ok(None) => return true,
                Ok(Some(silent)) => {
                    self.close_client(silent);
                    self.step(Input::ClientClosed { client: ClientId(silent.0) });
                }
                Err(Full) => return false,
            }
        }
        self.core.origins.who_makes_room(from, room) == Ok(None)
    }

    /// Gives the core every whole frame of a client that is not held.
    fn take_frames(&mut self, connection: ConnectionId) {
        let id = ClientId(connection.0);
        while let Some(Connection::Client(client)) = self.core.connections.get_mut(&connection) {
            if client.is_held() {
                return;
            }
            if client.silent.is_some() {
                let Some(prefix) = client.decoder.prefix() else { return };
                if let Some(word) = FourLetterWord::parse(&prefix) {
                    self.step(Input::ClientWord { client: id, word });
                    return;
                }
            }
            match client.decoder.next_frame() {
                Ok(Some(frame)) => {
                    if let Some(place) = client.silent.take() {
                        let from = client.from;
                        self.core.origins.spoke(from, place);
                    }
                    self.step(Input::ClientFrame { client: id, frame });
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!(server = %self.core.me, from = %client.from, %error, "client dropped");
                    self.close_client(connection);
                    self.step(Input::ClientClosed { client: id });
                }
            }
        }
    }

    fn respond(&mut self, client: ClientId, body: &[u8]) {
        let connection = ConnectionId(client.0);
        let Some(Connection::Client(state)) = self.core.connections.get_mut(&connection) else {
            return;
        };
        let frame = frame::framed(body);
        let look = state.sent.add(frame.len());
        self.host.endpoint.send(connection, frame);
        if look {
            self.look_at_backlog(connection);
        }
    }

    /// A client that does not take its replies gets to ask for no more, and at last is given up.
    fn look_at_backlog(&mut self, connection: ConnectionId) {
        let backlog = self.host.endpoint.backlog(connection);
        let limits = self.core.limits;
        if backlog > limits.client_backlog_bytes_max {
            tracing::debug!(server = %self.core.me, backlog, "client dropped: it takes no replies");
            self.close_client(connection);
            let client = ClientId(connection.0);
            self.core.consequences.push_back(Input::ClientClosed { client });
        } else if backlog > limits.client_backlog_bytes_held
            && !self.core.held_for_backlog.contains(&connection)
        {
            self.hold(connection, |client| client.held_for_backlog = true);
            self.core.held_for_backlog.push(connection);
            self.core.look_at.get_or_insert(self.now.monotonic + BACKLOG_LOOK_EVERY);
        }
    }

    /// Lets those go on whose backlog has shrunk to half of what they were held for.
    fn look_at_backlogs(&mut self) {
        let mut held = std::mem::take(&mut self.core.held_for_backlog);
        held.retain(|connection| {
            if !self.core.connections.contains_key(connection) {
                return false;
            }
            let backlog = self.host.endpoint.backlog(*connection);
            let still = backlog > self.core.limits.client_backlog_bytes_held / 2;
            if !still {
                self.hold(*connection, |client| client.held_for_backlog = false);
            }
            still
        });
        let next = self.now.monotonic + BACKLOG_LOOK_EVERY;
        self.core.look_at = (!held.is_empty()).then_some(next);
        self.core.held_for_backlog = held;
    }

    /// Changes a reason to hold a client, and what the endpoint does about it.
    fn hold(&mut self, connection: ConnectionId, change: impl FnOnce(&mut Client)) {
        let Some(Connection::Client(client)) = self.core.connections.get_mut(&connection) else {
            return;
        };
        let before = client.is_held();
        change(client);
        let held = client.is_held();
        if held != before {
            self.host.endpoint.hold(connection, held);
            if !held {
                self.core.resumed.push_back(connection);
            }
        }
    }

    fn close_client(&mut self, connection: ConnectionId) {
        if let Some(Connection::Client(client)) = self.core.connections.remove(&connection) {
            self.core.origins.leave(client.from, client.silent);
            self.host.endpoint.close(connection);
        }
    }
}

/// The link of a connection. Links and clients are numbered as the connections they are made of.
pub(super) fn link_id(connection: ConnectionId) -> LinkId {
    LinkId(connection.0)
}
