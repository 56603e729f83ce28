//! A few servers in one memory: disks that are instantly done, links that never lose anything, and
//! clients that speak in bytes. Time passes only when a test says so.

use crate::data::DataOptions;
use crate::io::{ClientId, DiskCommand, DurableState, Input, LinkId, Output, Recovered};
use crate::replica::ReplicaConfig;
use crate::server::{Server, ServerConfig};
use bytes::Bytes;
use mailstorm_shared::facts::EnsembleFact;
use mailstorm_shared::znodes::EventKind;
use mailstorm_shared::{
    Ensemble, Epoch, Instant, Millis, Now, ServerId, SessionId, WallTime, Zxid,
};
use mailstorm_wire::client::*;
use mailstorm_wire::peer::{LinkPurpose, encode_message};
use mailstorm_wire::txn::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

pub(super) const TICK: u64 = 2_000;

/// The server with this number.
pub(super) fn s(number: u8) -> ServerId {
    ServerId::new(number).unwrap()
}

pub(super) struct World {
    pub(super) now: u64,
    pub(super) servers: BTreeMap<ServerId, Server>,
    configs: BTreeMap<ServerId, ServerConfig>,
    pub(super) disks: BTreeMap<ServerId, Disk>,
    wakes: BTreeMap<ServerId, u64>,
    /// What is on its way, in order; inputs of frozen servers stay.
    queue: VecDeque<(ServerId, Input)>,
    frozen: Vec<ServerId>,
    links: BTreeMap<LinkId, (ServerId, ServerId, LinkPurpose)>,
    cut_off: Vec<ServerId>,
    /// Whose disks carry commands out but do not say so.
    pub(super) slow_disks: Vec<ServerId>,
    disk_answers: Vec<(ServerId, Input)>,
    pub(super) clients: BTreeMap<ClientId, TestClient>,
    pub(super) observed: Vec<(ServerId, EnsembleFact)>,
    /// Decides which server is next, if set.
    pub(super) chance: Option<Chance>,
    numbers: u64,
}

/// Seeded chance (SplitMix64).
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.draw() % end
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

/// What a disk holds; everything is durable at once.
#[derive(Clone, Default)]
pub(super) struct Disk {
    state: Option<DurableState>,
    pub(super) log: Vec<Entry>,
    pub(super) snapshot: Option<(Zxid, Vec<Bytes>)>,
    unfinished: Option<(Zxid, Vec<Bytes>)>,
}

impl Disk {
    fn carry_out(&mut self, command: DiskCommand) {
        match command {
            DiskCommand::Append(entry) => self.log.push(entry),
            DiskCommand::Truncate { after } => self.log.retain(|entry| entry.zxid <= after),
            DiskCommand::SaveState(state) => self.state = Some(state),
            DiskCommand::SnapshotBegin { zxid } => self.unfinished = Some((zxid, Vec::new())),
            DiskCommand::SnapshotChunk { bytes } => {
                self.unfinished.as_mut().expect("a snapshot was begun").1.push(bytes);
            }
            DiskCommand::SnapshotEnd { replaces_log } => {
                self.snapshot = self.unfinished.take();
                if replaces_log {
                    self.log.clear();
                }
            }
        }
    }

    fn recovered(&self) -> Recovered {
        let first = DurableState { accepted_epoch: Epoch(0), current_epoch: Epoch(0), votes: true };
        Recovered {
            state: self.state.unwrap_or(first),
            snapshot: self.snapshot.clone(),
            log: self.log.clone(),
            committed: Zxid::ZERO,
            findings: Vec::new(),
        }
    }
}

/// One connection as its client sees it.
pub(super) struct TestClient {
    pub(super) server: ServerId,
    /// The server closed it.
    pub(super) closed: bool,
    /// The client closed it, and hears nothing more.
    pub(super) gone: bool,
    pub(super) held: bool,
    pub(super) text: Option<String>,
    /// What it asked and has no reply to.
    open: VecDeque<(i32, ReplyShape)>,
    connected: bool,
    /// The newest state it has seen.
    pub(super) last_zxid: Zxid,
    pub(super) got: Vec<Got>,
    /// The frames it received, where nobody is to read them but the test itself.
    frames: Option<VecDeque<Bytes>>,
}

/// What a client received.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Got {
    Connected(ConnectResponse),
    Event(WatchEventKind, Arc<str>),
    Reply(i32, Result<Reply, ErrorCode>),
}

pub(super) fn event(kind: EventKind, path: &str) -> Got {
    Got::Event(WatchEventKind::Change(kind), path.into())
}

impl World {
    /// Servers 1 to `count`, all of them voters, started with empty disks that may vote.
    pub(super) fn new(count: u8) -> Self {
        Self::with(count, |_| {})
    }

    pub(super) fn with(count: u8, adapt: impl Fn(&mut ServerConfig)) -> Self {
        let ensemble = Ensemble::new((1..=count).map(s), []).unwrap();
        let mut world = Self {
            now: 1_000,
            servers: BTreeMap::new(),
            configs: BTreeMap::new(),
            disks: BTreeMap::new(),
            wakes: BTreeMap::new(),
            queue: VecDeque::new(),
            frozen: Vec::new(),
            links: BTreeMap::new(),
            cut_off: Vec::new(),
            slow_disks: Vec::new(),
            disk_answers: Vec::new(),
            clients: BTreeMap::new(),
            observed: Vec::new(),
            chance: None,
            numbers: 0,
        };
        for number in 1..=count {
            let mut replica = ReplicaConfig::new(s(number), ensemble.clone());
            replica.tick = Millis(TICK);
            let mut config = ServerConfig::new(replica);
            adapt(&mut config);
            world.configs.insert(s(number), config);
        }
        for number in 1..=count {
            world.start(s(number));
        }
        world
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn clock(&self) -> Now {
        Now { monotonic: Instant(self.now), wall: WallTime(1_700_000_000_000) + Millis(self.now) }
    }

    /// Starts a server from its disk; links to those that run come up.
    pub(super) fn start(&mut self, id: ServerId) {
        let incarnation = self.number() as u32;
        let recovered = self.disks.entry(id).or_default().recovered();
        let mut out = Vec::new();
        let config = self.configs[&id].clone();
        let server = Server::new(config, recovered, incarnation, self.clock(), &mut out).unwrap();
        self.servers.insert(id, server);
        self.carry_out(id, out);
        self.link_up_elections(id);
        self.settle();
    }

    /// The process dies; its disk stays.
    pub(super) fn crash(&mut self, id: ServerId) {
        self.servers.remove(&id);
        self.wakes.remove(&id);
        self.queue.retain(|(to, _)| *to != id);
        self.break_links(id);
        for client in self.clients.values_mut().filter(|client| client.server == id) {
            client.closed = true;
        }
        self.settle();
    }

    /// Every link of this server breaks, and no new one comes up.
    pub(super) fn cut_off(&mut self, id: ServerId) {
        self.cut_off.push(id);
        self.break_links(id);
        self.settle();
    }

    pub(super) fn heal(&mut self, id: ServerId) {
        self.cut_off.retain(|server| *server != id);
        self.link_up_elections(id);
        self.settle();
    }

    /// The server takes no input until it is thawed.
    pub(super) fn freeze(&mut self, id: ServerId) {
        self.frozen.push(id);
    }

    /// Whatever is on its way to the server never arrives.
    pub(super) fn forget_inputs(&mut self, id: ServerId) {
        self.queue.retain(|(to, _)| *to != id);
    }

    pub(super) fn thaw(&mut self, id: ServerId) {
        self.frozen.retain(|server| *server != id);
        self.settle();
    }

    /// Every disk is slow.
    pub(super) fn slow_disks(&mut self) {
        self.slow_disks = self.servers.keys().copied().collect();
    }

    /// Disks say what they have done.
    pub(super) fn quick_disks(&mut self) {
        self.slow_disks.clear();
        self.queue.extend(self.disk_answers.drain(..));
        self.settle();
    }

    fn reachable(&self, a: ServerId, b: ServerId) -> bool {
        [a, b].iter().all(|s| self.servers.contains_key(s) && !self.cut_off.contains(s))
    }

    fn link_up_elections(&mut self, id: ServerId) {
        let others: Vec<ServerId> = self.servers.keys().copied().filter(|o| *o != id).collect();
        for other in others {
            if self.reachable(id, other) {
                self.link(id, other, LinkPurpose::Election);
            }
        }
    }

    fn link(&mut self, opener: ServerId, peer: ServerId, purpose: LinkPurpose) {
        let link = LinkId(self.number());
        self.links.insert(link, (opener, peer, purpose));
        for (me, other, opened_by_us) in [(opener, peer, true), (peer, opener, false)] {
            self.queue.push_back((me, Input::LinkUp { link, peer: other, purpose, opened_by_us }));
        }
    }

    fn break_links(&mut self, id: ServerId) {
        let broken: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, (a, b, _))| *a == id || *b == id)
            .map(|(link, _)| *link)
            .collect();
        for link in broken {
            let (a, b, _) = self.links.remove(&link).unwrap();
            self.queue.push_back((a, Input::LinkDown { link: Some(link), peer: b }));
            self.queue.push_back((b, Input::LinkDown { link: Some(link), peer: a }));
        }
    }

    /// Lets time pass, and everything happen that is due.
    pub(super) fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        self.settle();
        loop {
            let due = self
                .wakes
                .iter()
                .filter(|(id, _)| !self.frozen.contains(id))
                .map(|(id, at)| (*at, *id))
                .min();
            let Some((at, id)) = due.filter(|(at, _)| *at <= end) else { break };
            self.now = self.now.max(at);
            self.wakes.remove(&id);
            // A fixed spread of jitters: elections end.
            let jitter = self.number().wrapping_mul(0x9E37_79B9_7F4A_7C15);
            self.queue.push_back((id, Input::Tick { jitter }));
            self.settle();
        }
        self.now = end;
    }

    /// Lets time pass until somebody serves, and everybody who can does.
    pub(super) fn elect(&mut self) -> ServerId {
        for _ in 0..200 {
            self.pass(100);
            let up: Vec<&Server> = self
                .servers
                .iter()
                .filter(|(id, _)| !self.cut_off.contains(id) && !self.frozen.contains(id))
                .map(|(_, server)| server)
                .collect();
            if up.iter().all(|server| server.is_serving())
                && let Some(leader) = up.iter().find(|server| server.leading.is_some())
            {
                return leader.me();
            }
        }
        panic!("no leader within 20 s");
    }

    /// Takes everything that is on its way.
    pub(super) fn settle(&mut self) {
        assert!(self.steps(1_000_000) > 0, "the servers never come to rest");
    }

    /// Takes at most so much of what is on its way, and gives how much of that was not needed. Each
    /// server takes its inputs in order; which server is next is chance, if there is any.
    pub(super) fn steps(&mut self, most: usize) -> usize {
        for left in (1..=most).rev() {
            let ready = |to: &ServerId| !self.frozen.contains(to);
            let mut next = self.queue.iter().map(|(to, _)| *to).find(|to| ready(to));
            if let Some(chance) = &mut self.chance {
                let mut waiting: Vec<ServerId> = self
                    .queue
                    .iter()
                    .map(|(to, _)| *to)
                    .filter(|to| !self.frozen.contains(to))
                    .collect();
                waiting.sort();
                waiting.dedup();
                next = (!waiting.is_empty()).then(|| *chance.pick(&waiting));
            }
            let Some(next) = next else { return left };
            let at = self.queue.iter().position(|(to, _)| *to == next).unwrap();
            let (to, input) = self.queue.remove(at).unwrap();
            let now = self.clock();
            let Some(server) = self.servers.get_mut(&to) else { continue };
            let mut out = Vec::new();
            server.step(now, input, &mut out);
            server.check();
            self.carry_out(to, out);
        }
        0
    }

    fn carry_out(&mut self, me: ServerId, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Disk { ticket, command } => {
                    self.disks.get_mut(&me).unwrap().carry_out(command);
                    let done = (me, Input::DiskDone { ticket });
                    if self.slow_disks.contains(&me) {
                        self.disk_answers.push(done);
                    } else {
                        self.queue.push_back(done);
                    }
                }
                Output::DiskAside { ticket, command } => {
                    self.disks.get_mut(&me).unwrap().carry_out(command);
                    let done = (me, Input::AsideDone { ticket });
                    if self.slow_disks.contains(&me) {
                        self.disk_answers.push(done);
                    } else {
                        self.queue.push_back(done);
                    }
                }
                Output::OpenLearnerLink { peer } => {
                    if self.reachable(me, peer) {
                        self.link(me, peer, LinkPurpose::Learner);
                    } else {
                        self.queue.push_back((me, Input::LinkDown { link: None, peer }));
                    }
                }
                Output::CloseLink { link } => {
                    if let Some((a, b, _)) = self.links.remove(&link) {
                        let other = if a == me { b } else { a };
                        let down = Input::LinkDown { link: Some(link), peer: me };
                        self.queue.push_back((other, down));
                    }
                }
                Output::Send { links, message } => {
                    // As a host does; it panics if the message is too long for a frame.
                    encode_message(&message);
                    for link in links {
                        if let Some((a, b, _)) = self.links.get(&link) {
                            let other = if *a == me { *b } else { *a };
                            let message = message.clone();
                            self.queue.push_back((other, Input::PeerMessage { link, message }));
                        }
                    }
                }
                Output::Respond { client, frame } => self.received(client, frame),
                Output::RespondText { client, text } => {
                    let client = self.clients.get_mut(&client).unwrap();
                    client.text = Some(text);
                    client.closed = true;
                }
                Output::CloseClient { client } => {
                    self.clients.get_mut(&client).unwrap().closed = true;
                }
                Output::HoldClient { client, held } => {
                    self.clients.get_mut(&client).unwrap().held = held;
                }
                Output::WakeAt { at } => {
                    self.wakes.insert(me, at.0);
                }
                Output::Observe(fact) => self.observed.push((me, fact)),
                Output::Halt { reason } => panic!("{me} halts: {reason}"),
            }
        }
    }

    fn received(&mut self, id: ClientId, frame: Bytes) {
        let client = self.clients.get_mut(&id).unwrap();
        if client.gone {
            return;
        }
        assert!(!client.closed, "a frame for a connection that is closed");
        if let Some(frames) = &mut client.frames {
            frames.push_back(frame);
            return;
        }
        if !client.connected {
            client.connected = true;
            client.got.push(Got::Connected(decode_connect_response(frame).unwrap()));
            return;
        }
        let header = decode_reply_header(&frame).unwrap();
        if header.xid >= 0 && header.error != Some(ErrorCode::Unimplemented) {
            assert!(header.zxid >= client.last_zxid, "a client was shown an older state");
            client.last_zxid = header.zxid;
        }
        if header.xid == xid::EVENT {
            let WatchEvent { kind, path, .. } = decode_event(frame).unwrap();
            client.got.push(Got::Event(kind, path));
            return;
        }
        let at = client.open.iter().position(|(xid, _)| *xid == header.xid).unwrap();
        if header.xid >= 0 {
            let first = client.open.iter().position(|(xid, _)| *xid >= 0);
            assert_eq!(Some(at), first, "a reply out of order");
        }
        let (_, shape) = client.open.remove(at).unwrap();
        let (header, result) = decode_reply(frame, shape).unwrap();
        client.got.push(Got::Reply(header.xid, result));
    }

    /// Opens a connection, without a word.
    pub(super) fn open(&mut self, server: ServerId) -> ClientId {
        let client = self.dial(server);
        self.settle();
        client
    }

    /// Opens a connection whose frames the test reads with [`Self::next_frame`].
    pub(super) fn open_unread(&mut self, server: ServerId) -> ClientId {
        let client = self.open(server);
        self.clients.get_mut(&client).unwrap().frames = Some(VecDeque::new());
        client
    }

    /// The oldest frame that nobody has read.
    pub(super) fn next_frame(&mut self, client: ClientId) -> Option<Bytes> {
        self.clients.get_mut(&client).unwrap().frames.as_mut().unwrap().pop_front()
    }

    /// The client's side of a connection is gone.
    pub(super) fn hang_up(&mut self, client: ClientId) {
        let gone = self.clients.get_mut(&client).unwrap();
        gone.gone = true;
        self.queue.push_back((gone.server, Input::ClientClosed { client }));
    }

    /// Puts a handshake on its way on a new connection; a resumed session has seen `last_zxid`.
    pub(super) fn post_handshake(
        &mut self,
        server: ServerId,
        request: &ConnectRequest,
        last_zxid: Zxid,
    ) -> ClientId {
        let client = self.dial(server);
        self.clients.get_mut(&client).unwrap().last_zxid = last_zxid;
        let frame = encode_connect_request(request);
        self.queue.push_back((server, Input::ClientFrame { client, frame }));
        client
    }

    /// Puts the opening of a connection on its way.
    fn dial(&mut self, server: ServerId) -> ClientId {
        let number = self.number();
        let id = ClientId(number);
        let client = TestClient {
            server,
            closed: false,
            gone: false,
            held: false,
            text: None,
            open: VecDeque::new(),
            connected: false,
            last_zxid: Zxid::ZERO,
            got: Vec::new(),
            frames: None,
        };
        self.clients.insert(id, client);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 40_000 + number as u16));
        let entropy = [number as u8; 16];
        self.queue.push_back((server, Input::ClientOpened { client: id, address, entropy }));
        id
    }

    pub(super) fn frame(&mut self, client: ClientId, frame: Bytes) {
        let server = self.clients[&client].server;
        self.queue.push_back((server, Input::ClientFrame { client, frame }));
        self.settle();
    }

    pub(super) fn word(&mut self, server: ServerId, word: FourLetterWord) -> String {
        let client = self.open(server);
        self.queue.push_back((server, Input::ClientWord { client, word }));
        self.settle();
        self.clients[&client].text.clone().expect("a word is answered")
    }

    pub(super) fn handshake(&mut self, client: ClientId, request: &ConnectRequest) {
        self.frame(client, encode_connect_request(request));
    }

    /// A handshake with requests right behind it.
    pub(super) fn handshake_and(
        &mut self,
        client: ClientId,
        request: &ConnectRequest,
        behind: &[(i32, Request)],
    ) {
        let server = self.clients[&client].server;
        let frame = encode_connect_request(request);
        self.queue.push_back((server, Input::ClientFrame { client, frame }));
        for (xid, request) in behind {
            self.post(client, *xid, request);
        }
        self.settle();
    }

    /// Puts bytes on their way that claim to be a request with this xid.
    pub(super) fn post_as(&mut self, client: ClientId, xid: i32, frame: Bytes) {
        let to = self.clients.get_mut(&client).unwrap();
        to.open.push_back((xid, ReplyShape::Empty));
        self.queue.push_back((to.server, Input::ClientFrame { client, frame }));
    }

    /// A connection with a new session of this timeout.
    pub(super) fn connect(&mut self, server: ServerId, timeout: i32) -> ClientId {
        let client = self.open(server);
        self.handshake(client, &new_session(timeout));
        assert_ne!(self.session(client), SessionId::NONE);
        client
    }

    /// A connection that resumes the session of another.
    pub(super) fn resume(&mut self, server: ServerId, of: ClientId) -> ClientId {
        let request = self.resumption(of);
        let client = self.open(server);
        self.handshake(client, &request);
        client
    }

    pub(super) fn resumption(&self, of: ClientId) -> ConnectRequest {
        let response = self.response(of).clone();
        ConnectRequest {
            last_zxid_seen: self.clients[&of].last_zxid,
            timeout: response.timeout,
            session: response.session,
            password: response.password,
            read_only: Some(false),
        }
    }

    pub(super) fn response(&self, client: ClientId) -> &ConnectResponse {
        match self.clients[&client].got.first() {
            Some(Got::Connected(response)) => response,
            other => panic!("no handshake, but {other:?}"),
        }
    }

    pub(super) fn session(&self, client: ClientId) -> SessionId {
        self.response(client).session
    }

    /// Sends a request and does not wait.
    pub(super) fn send(&mut self, client: ClientId, xid: i32, request: &Request) {
        self.post(client, xid, request);
        self.settle();
    }

    /// Puts a request on its way, behind what is on its way already.
    pub(super) fn post(&mut self, client: ClientId, xid: i32, request: &Request) {
        let to = self.clients.get_mut(&client).unwrap();
        to.open.push_back((xid, ReplyShape::of(request)));
        let frame = encode_request(xid, request);
        self.queue.push_back((to.server, Input::ClientFrame { client, frame }));
    }

    /// What a client received since the last time, the handshake left out.
    pub(super) fn got(&mut self, client: ClientId) -> Vec<Got> {
        let client = self.clients.get_mut(&client).unwrap();
        let from = usize::from(matches!(client.got.first(), Some(Got::Connected(_))));
        client.got.drain(from..).collect()
    }

    /// Sends a request and gives its result; nothing else may come.
    pub(super) fn call(&mut self, client: ClientId, request: &Request) -> Result<Reply, ErrorCode> {
        let xid = self.number() as i32;
        self.send(client, xid, request);
        match self.got(client).as_slice() {
            [Got::Reply(answered, result)] if *answered == xid => result.clone(),
            other => panic!("{request:?} was answered by {other:?}"),
        }
    }

    pub(super) fn is_closed(&self, client: ClientId) -> bool {
        self.clients[&client].closed
    }

    /// Whether a server's tree has a znode.
    pub(super) fn has(&self, server: ServerId, path: &str) -> bool {
        let request = exists(path, false);
        self.servers[&server]
            .database
            .read(&request, SessionId::NONE, &[], &DataOptions::default())
            .is_ok()
    }
}

pub(super) fn new_session(timeout: i32) -> ConnectRequest {
    ConnectRequest {
        last_zxid_seen: Zxid::ZERO,
        timeout,
        session: SessionId::NONE,
        password: Bytes::from_static(&[0; 16]),
        read_only: Some(false),
    }
}

pub(super) fn create(path: &str, mode: CreateMode) -> Request {
    let acl = Acl { permissions: permission::ALL, scheme: "world".into(), id: "anyone".into() };
    Request::Write(Write::Create {
        path: path.into(),
        data: Some(Bytes::from_static(b"new")),
        acl: vec![acl],
        mode,
        ttl: 0,
        stat: mode == CreateMode::Container,
    })
}

pub(super) fn set(path: &str, data: &str) -> Request {
    let data = Some(Bytes::copy_from_slice(data.as_bytes()));
    Request::Write(Write::SetData { path: path.into(), data, version: -1 })
}

pub(super) fn delete(path: &str) -> Request {
    Request::Write(Write::Delete { path: path.into(), version: -1 })
}

pub(super) fn get(path: &str, watch: bool) -> Request {
    Request::GetData { path: path.into(), watch }
}

pub(super) fn exists(path: &str, watch: bool) -> Request {
    Request::Exists { path: path.into(), watch }
}

pub(super) fn sync() -> Request {
    Request::Sync { path: "/".into() }
}

pub(super) fn created(path: &str) -> Result<Reply, ErrorCode> {
    Ok(Reply::Created { path: path.into(), stat: None })
}

/// The data that a reply carries.
pub(super) fn data(result: Result<Reply, ErrorCode>) -> String {
    match result {
        Ok(Reply::Data { data: Some(data), .. }) => String::from_utf8(data.to_vec()).unwrap(),
        other => panic!("no data: {other:?}"),
    }
}
