//! The driver on machines in memory: servers, and clients and peers that speak by hand.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is an answer")]

mod machine;
mod real;

use bytes::Bytes;
use machine::{MachineEndpoint, Machines};
use mailstorm_coordination::node::{Node, NodeSettings, NodeStart, ServerReport};
use mailstorm_coordination::replica::{ReplicaConfig, Role};
use mailstorm_coordination::server::ServerConfig;
use mailstorm_host::{Probe, Settings, StopRequest, serve};
use mailstorm_platform::{Address, ConnectionId, Endpoint, NetworkEvent, Platform};
use mailstorm_shared::{Ensemble, Millis, ServerId, SessionId, StateHasher, Zxid};
use mailstorm_wire::client::{
    Acl, ConnectRequest, CreateMode, ErrorCode, Request, Write, decode_reply_header,
    encode_connect_request, encode_request, permission,
};
use mailstorm_wire::frame::{FrameDecoder, framed};
use mailstorm_wire::peer::{Hello, LinkPurpose, PEER_PROTOCOL_VERSION, PeerDecoder, encode_hello};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;

fn server(number: u8) -> ServerId {
    ServerId::new(number).unwrap()
}

fn ensemble(size: u8) -> Ensemble {
    Ensemble::new((1..=size).map(server), []).unwrap()
}

fn client_address(number: u8) -> Address {
    Address::from(format!("s{number}:2181").as_str())
}

fn peer_address(number: u8) -> Address {
    Address::from(format!("s{number}:2888").as_str())
}

/// Servers 1 to `size` on machines of the same numbers. The test is machine 0.
struct Servers {
    machines: Machines,
    size: u8,
    probes: Vec<Probe<Node>>,
    stops: Vec<StopRequest>,
    /// What ended each server.
    ended: Vec<Rc<RefCell<Option<String>>>>,
}

impl Servers {
    fn new(size: u8) -> Self {
        let machines = Machines::new();
        machines.machine(0);
        let count = usize::from(size) + 1;
        let (mut probes, mut stops, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        probes.resize_with(count, Probe::default);
        stops.resize_with(count, StopRequest::default);
        ended.resize_with(count, Rc::default);
        Self { machines, size, probes, stops, ended }
    }

    fn settings(&self, number: u8) -> NodeSettings {
        let mut replica = ReplicaConfig::new(server(number), ensemble(self.size));
        replica.tick = Millis(100);
        replica.election_settle = Millis(20);
        replica.election_resend_min = Millis(50);
        let peers = (1..=self.size).map(|peer| (server(peer), peer_address(peer))).collect();
        let config = ServerConfig::new(replica);
        let mut settings = NodeSettings::new(config, client_address(number), peers);
        settings.storage.log_file_bytes = 4096;
        settings
    }

    fn start_with(&mut self, number: u8, settings: NodeSettings) {
        self.start_on(number, settings, Settings::default());
    }

    fn start_on(&mut self, number: u8, node: NodeSettings, settings: Settings<Node>) {
        let index = usize::from(number);
        self.probes[index] = settings.probe.clone();
        self.stops[index] = settings.stop.clone();
        let machine = self.machines.machine(index);
        let ended = self.ended[index].clone();
        *ended.borrow_mut() = None;
        let serve = serve(machine.clone(), NodeStart::new(node), settings);
        machine.spawn(async move {
            let end = serve.await;
            *ended.borrow_mut() = Some(end.err().map_or("asked to".into(), |e| e.to_string()));
        });
    }

    fn start(&mut self, number: u8, initialise: bool) {
        let mut settings = self.settings(number);
        settings.initialise = initialise;
        self.start_with(number, settings);
    }

    /// All of them, with a leader.
    fn established(size: u8) -> Self {
        let mut servers = Self::new(size);
        for number in 1..=size {
            servers.start(number, true);
        }
        servers.machines.pass(1_000);
        servers.leader();
        servers
    }

    fn report(&self, number: u8) -> Option<ServerReport> {
        self.probes[usize::from(number)].look(Node::report)
    }

    fn leader(&self) -> u8 {
        let leads = |number: &u8| {
            let report = self.report(*number);
            report.is_some_and(|report| report.role == Role::Leading && report.serving)
        };
        let leaders: Vec<_> = (1..=self.size).filter(leads).collect();
        assert_eq!(leaders.len(), 1, "{leaders:?}");
        leaders[0]
    }

    fn serves(&self, number: u8) -> bool {
        self.report(number).is_some_and(|report| report.serving)
    }

    fn ended(&self, number: u8) -> Option<String> {
        self.ended[usize::from(number)].borrow().clone()
    }

    fn client(&self, number: u8) -> Client {
        let endpoint = self.machines.machine(0).endpoint();
        let connection = endpoint.connect(&client_address(number));
        let mut client = Client {
            endpoint,
            machines: self.machines.clone(),
            connection,
            decoder: FrameDecoder::new(1 << 20),
            closed: false,
        };
        client.send(&encode_connect_request(&ConnectRequest {
            last_zxid_seen: Zxid::ZERO,
            timeout: 1_000_000,
            session: SessionId::NONE,
            password: Bytes::from_static(&[0; 16]),
            read_only: None,
        }));
        client
    }

    /// A client with a session.
    fn session(&self, number: u8) -> Client {
        let mut client = self.client(number);
        self.machines.pass(50);
        assert_eq!(client.frames().len(), 1, "a session is granted");
        client
    }
}

struct Client {
    endpoint: MachineEndpoint,
    machines: Machines,
    connection: ConnectionId,
    decoder: FrameDecoder,
    closed: bool,
}

impl Client {
    fn send(&mut self, body: &[u8]) {
        self.endpoint.send(self.connection, framed(body));
    }

    fn ask(&mut self, xid: i32, request: &Request) {
        self.send(&encode_request(xid, request));
    }

    /// What came since.
    fn frames(&mut self) -> Vec<Bytes> {
        self.machines.run();
        let mut frames = Vec::new();
        while let Some(event) = self.endpoint.poll() {
            match event {
                NetworkEvent::Received { bytes, .. } => self.decoder.push(bytes),
                NetworkEvent::Closed { .. } => self.closed = true,
                _ => {}
            }
            while let Ok(Some(frame)) = self.decoder.next_frame() {
                frames.push(frame);
            }
        }
        frames
    }

    /// The answers that came since: xids, with an error where there was one.
    fn answers(&mut self) -> Vec<(i32, Option<ErrorCode>)> {
        let frames = self.frames();
        let headers = frames.iter().map(|frame| decode_reply_header(frame).unwrap());
        headers.map(|header| (header.xid, header.error)).collect()
    }
}

fn create(path: &str) -> Request {
    let everybody =
        Acl { permissions: permission::ALL, scheme: "world".into(), id: "anyone".into() };
    Request::Write(Write::Create {
        path: path.into(),
        data: Some(Bytes::from_static(b"a mail")),
        acl: vec![everybody],
        mode: CreateMode::Persistent,
        ttl: 0,
        stat: false,
    })
}

fn get(path: &str) -> Request {
    Request::GetData { path: path.into(), watch: false }
}

#[test]
fn three_servers_outlive_their_leader_and_take_it_back() {
    let mut servers = Servers::established(3);
    let mut client = servers.session(1);
    client.ask(1, &create("/a"));
    servers.machines.pass(50);
    assert_eq!(client.answers(), [(1, None)]);

    let leader = servers.leader();
    servers.machines.kill(leader.into());
    servers.machines.pass(3_000);
    let next = servers.leader();
    assert_ne!(next, leader);
    let mut client = servers.session(next);
    client.ask(1, &get("/a"));
    client.ask(2, &create("/b"));
    servers.machines.pass(50);
    assert_eq!(client.answers(), [(1, None), (2, None)]);

    servers.start(leader, false);
    servers.machines.pass(3_000);
    assert!(servers.serves(leader));
    let mut client = servers.session(leader);
    client.ask(1, &get("/b"));
    assert_eq!(client.answers(), [(1, None)]);
}

#[test]
fn a_server_that_lost_its_disk_is_brought_up_to_date_and_votes_again() {
    let mut servers = Servers::established(3);
    let mut client = servers.session(1);
    client.ask(1, &create("/a"));
    servers.machines.pass(50);
    assert_eq!(client.answers(), [(1, None)]);
    let leader = servers.leader();
    let [first, second] = [1, 2, 3].into_iter().filter(|n| *n != leader).collect::<Vec<_>>()[..]
    else {
        panic!("three servers");
    };

    servers.machines.kill(first.into());
    servers.machines.lose_disk(first.into());
    servers.start(first, false);
    servers.machines.pass(5_000);
    assert!(servers.serves(first));
    // With the other follower gone, the majority needs its vote.
    servers.machines.kill(second.into());
    let mut client = servers.session(first);
    client.ask(1, &get("/a"));
    client.ask(2, &create("/b"));
    servers.machines.pass(500);
    assert_eq!(client.answers(), [(1, None), (2, None)]);
}

/// Starts a server of three again on a disk of which so many reads of each file fail. Its vote is
/// needed then: the third server is gone. Whether there is a majority after so long.
fn starts_on_failing_reads(count: u32, span: u64) -> bool {
    let mut servers = Servers::established(3);
    let leader = servers.leader();
    let [first, second] = [1, 2, 3].into_iter().filter(|n| *n != leader).collect::<Vec<_>>()[..]
    else {
        panic!("three servers");
    };
    for server in [first, second, leader] {
        servers.machines.kill(server.into());
    }
    servers.machines.fail_reads(first.into(), count);
    servers.start(first, false);
    servers.start(second, false);
    servers.machines.pass(span);
    servers.serves(first) && servers.serves(second)
}

#[test]
fn a_disk_that_fails_to_read_for_a_moment_costs_no_vote() {
    assert!(starts_on_failing_reads(3, 10_000));
}

#[test]
fn a_file_that_cannot_be_read_at_all_counts_as_damaged() {
    assert!(
        !starts_on_failing_reads(u32::MAX, 60_000),
        "a server votes that cannot know what it had"
    );

    let mut servers = Servers::established(3);
    let mut client = servers.session(1);
    client.ask(1, &create("/a"));
    servers.machines.pass(50);
    assert_eq!(client.answers(), [(1, None)]);
    let follower = (1..=3).find(|server| *server != servers.leader()).expect("three servers");
    servers.machines.kill(follower.into());
    servers.machines.fail_reads(follower.into(), u32::MAX);
    servers.start(follower, false);
    servers.machines.pass(60_000);
    assert!(servers.serves(follower), "the leader admits it");
    let mut client = servers.session(follower);
    client.ask(1, &get("/a"));
    assert_eq!(client.answers(), [(1, None)]);
}

#[test]
fn the_lower_of_two_servers_calls_when_it_was_not_called_for_a_while() {
    let mut servers = Servers::new(2);
    let higher = servers.machines.machine(0).endpoint();
    higher.listen(&peer_address(2)).unwrap();
    servers.start(1, true);
    servers.machines.pass(1_900);
    assert_eq!(higher.poll(), None, "the higher one has the first word");
    servers.machines.pass(200);
    let event = higher.poll();
    assert!(matches!(event, Some(NetworkEvent::Accepted { .. })), "{event:?}");
}

fn hello(from: u8, to: u8) -> Hello {
    Hello {
        version: PEER_PROTOCOL_VERSION,
        ensemble: StateHasher::of(&ensemble(3)),
        from: server(from),
        to: server(to),
        purpose: LinkPurpose::Election,
    }
}

/// Calls server 1 with a hello, and gives what it did: its own hello, and whether it hung up.
fn call(servers: &Servers, hello: Hello, then: &[u8]) -> (Option<Hello>, bool) {
    servers.machines.run();
    let endpoint = servers.machines.machine(0).endpoint();
    let connection = endpoint.connect(&peer_address(1));
    endpoint.send(connection, encode_hello(&hello));
    endpoint.send(connection, Bytes::copy_from_slice(then));
    servers.machines.run();
    let mut decoder = PeerDecoder::new();
    let mut closed = false;
    while let Some(event) = endpoint.poll() {
        match event {
            NetworkEvent::Received { bytes, .. } => decoder.push(bytes),
            NetworkEvent::Closed { .. } => closed = true,
            _ => {}
        }
    }
    (decoder.next_hello().unwrap(), closed)
}

#[test]
fn a_peer_is_greeted_if_it_is_who_it_should_be() {
    let mut servers = Servers::new(3);
    servers.start(1, true);
    let right = hello(3, 1);
    assert_eq!(call(&servers, right, &[]), (Some(hello(1, 3)), false));
    let refused = [
        Hello { version: PEER_PROTOCOL_VERSION + 1, ..right },
        Hello { ensemble: right.ensemble + 1, ..right },
        Hello { from: server(4), ..right },
        Hello { from: server(1), ..right },
        Hello { to: server(2), ..right },
    ];
    for hello in refused {
        assert_eq!(call(&servers, hello, &[]), (None, true), "{hello:?}");
    }
}

#[test]
fn damaged_bytes_close_a_link() {
    let mut servers = Servers::new(3);
    servers.start(1, true);
    assert_eq!(call(&servers, hello(3, 1), &[0xAB; 40]), (Some(hello(1, 3)), true));
}

#[test]
fn who_does_not_say_hello_in_time_is_hung_up_on() {
    let mut servers = Servers::new(3);
    servers.start(1, true);
    servers.machines.run();
    let endpoint = servers.machines.machine(0).endpoint();
    let connection = endpoint.connect(&peer_address(1));
    let closed = |event: Option<NetworkEvent>| matches!(event, Some(NetworkEvent::Closed { connection: of, .. }) if of == connection);
    servers.machines.pass(2_900);
    endpoint.poll();
    assert!(!closed(endpoint.poll()));
    servers.machines.pass(200);
    assert!(closed(endpoint.poll()));
}

#[test]
fn what_waits_for_the_disk_is_synced_at_once_and_answered_afterwards() {
    let servers = Servers::established(1);
    let mut client = servers.session(1);
    servers.machines.stall_syncs(1, true);
    for xid in 1..=50 {
        client.ask(xid, &create(&format!("/{xid}")));
    }
    servers.machines.run();
    servers.machines.told();
    assert_eq!(client.answers(), [], "nothing is durable yet");
    let before = servers.machines.syncs(1);
    servers.machines.stall_syncs(1, false);
    servers.machines.run();
    assert_eq!(client.answers().len(), 50);
    let syncs = servers.machines.syncs(1) - before;
    assert!(syncs <= 6, "{syncs} syncs: one for the first write, few for all the others");
    // And in this order.
    let told = servers.machines.told();
    let first = |what: &str| told.iter().position(|told| told.contains(what)).unwrap();
    assert!(first("Durable") < first("QuorumCommitted"), "{told:?}");
    assert!(first("QuorumCommitted") < first("sent"), "{told:?}");
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_and_the_server_ends_with_a_reason() {
    for (failure, advice) in
        [(io::ErrorKind::StorageFull, "make room"), (io::ErrorKind::Other, "check the disk")]
    {
        let servers = Servers::established(1);
        let mut client = servers.session(1);
        servers.machines.fail_next_sync(1, failure);
        client.ask(1, &create("/a"));
        servers.machines.pass(100);
        assert_eq!(client.answers(), []);
        assert!(client.closed);
        let reason = servers.ended(1).expect("it cannot go on");
        assert!(reason.starts_with("cannot sync log."), "{reason}");
        assert!(reason.contains(advice), "{reason}");
        assert_eq!(servers.report(1), None);
    }
}

#[test]
fn a_server_that_is_asked_to_end_first_answers_what_its_disk_has_on() {
    let servers = Servers::established(1);
    let mut client = servers.session(1);
    servers.machines.stall_syncs(1, true);
    for xid in 1..=50 {
        client.ask(xid, &create(&format!("/{xid}")));
    }
    servers.machines.run();
    servers.stops[1].raise();
    servers.machines.run();
    client.ask(51, &create("/late"));
    servers.machines.pass(5_000);
    assert_eq!(servers.ended(1), None, "the disk is not done");
    servers.machines.stall_syncs(1, false);
    let answered: Vec<_> = (1..=50).map(|xid| (xid, None)).collect();
    assert_eq!(client.answers(), answered, "all that was taken, and nothing that came later");
    assert!(client.closed);
    assert_eq!(servers.ended(1).as_deref(), Some("asked to"));
}

#[test]
fn a_disk_that_fails_while_the_server_ends_is_the_reason_of_its_end() {
    let servers = Servers::established(1);
    let mut client = servers.session(1);
    servers.machines.stall_syncs(1, true);
    client.ask(1, &create("/a"));
    servers.machines.run();
    servers.stops[1].raise();
    servers.machines.fail_next_sync(1, io::ErrorKind::Other);
    servers.machines.stall_syncs(1, false);
    assert_eq!(client.answers(), []);
    let reason = servers.ended(1).expect("it has ended");
    assert!(reason.starts_with("cannot sync log."), "{reason}");
}

#[test]
fn a_client_that_takes_no_replies_does_not_keep_a_server_from_ending() {
    let servers = Servers::established(1);
    let mut client = servers.session(1);
    servers.machines.stick(client.connection, true);
    client.ask(1, &get("/"));
    servers.machines.run();
    servers.stops[1].raise();
    servers.machines.pass(500);
    assert_eq!(servers.ended(1), None, "its reply is on the way");
    servers.machines.pass(600);
    assert_eq!(servers.ended(1).as_deref(), Some("asked to"));
}

#[test]
fn a_client_that_takes_no_replies_is_held_and_let_go_again() {
    let mut servers = Servers::new(1);
    let mut settings = servers.settings(1);
    settings.initialise = true;
    settings.limits.client_backlog_bytes_held = 100 << 10;
    servers.start_with(1, settings);
    servers.machines.pass(1_000);
    let mut client = servers.session(1);
    client.ask(1, &create("/a"));
    servers.machines.pass(50);
    assert_eq!(client.answers(), [(1, None)]);

    servers.machines.stick(client.connection, true);
    for xid in 2..5_000 {
        client.ask(xid, &get("/a"));
    }
    servers.machines.pass(100);
    assert!(servers.machines.is_held(client.connection));
    servers.machines.stick(client.connection, false);
    servers.machines.pass(100);
    assert!(!servers.machines.is_held(client.connection));
    let last = client.answers().pop();
    assert_eq!(last, Some((4_999, None)), "what it had asked meanwhile is answered");
}

#[test]
fn a_client_that_takes_no_replies_at_all_is_given_up() {
    let mut servers = Servers::new(1);
    let mut settings = servers.settings(1);
    settings.initialise = true;
    settings.limits.client_backlog_bytes_held = usize::MAX;
    settings.limits.client_backlog_bytes_max = 100 << 10;
    servers.start_with(1, settings);
    servers.machines.pass(1_000);
    let mut client = servers.session(1);
    servers.machines.stick(client.connection, true);
    for xid in 2..10_000 {
        client.ask(xid, &get("/"));
    }
    client.answers();
    assert!(client.closed);
}

#[test]
fn one_address_has_only_so_many_connections() {
    let mut servers = Servers::new(1);
    let mut settings = servers.settings(1);
    settings.initialise = true;
    settings.limits.clients_per_address_max = 2;
    servers.start_with(1, settings);
    servers.machines.pass(1_000);
    let first = servers.session(1);
    let _second = servers.session(1);
    let mut third = servers.client(1);
    third.frames();
    assert!(third.closed);
    drop(first);
    servers.session(1);
}

#[test]
fn an_address_in_use_ends_the_start() {
    let mut servers = Servers::new(1);
    let taken = servers.machines.machine(0).endpoint();
    taken.listen(&client_address(1)).unwrap();
    servers.start(1, true);
    servers.machines.run();
    let reason = servers.ended(1).expect("it cannot listen");
    assert!(reason.starts_with("cannot listen on s1:2181: it is in use"), "{reason}");
}

#[test]
fn two_thousand_silent_connections_from_one_address_keep_out_nobody_not_even_from_there() {
    let mut servers = Servers::new(1);
    servers.start(1, true);
    servers.machines.pass(1_000);
    let served = servers.session(1);
    let floods: Vec<_> = (0..2_000)
        .map(|number| {
            let endpoint = servers.machines.machine(0).endpoint();
            let connection = endpoint.connect(&client_address(1));
            // Some begin a frame and never end it.
            if number % 2 == 0 {
                endpoint.send(connection, Bytes::from_static(&[0, 0, 0]));
            }
            servers.machines.run();
            (endpoint, connection)
        })
        .collect();
    // All of these machines have one address. Its newcomers are served at once.
    for _ in 0..50 {
        servers.session(1);
    }
    let open = floods.iter().filter(|(endpoint, _)| !was_closed(endpoint)).count();
    assert!(open <= 59, "{open}");
    servers.machines.pass(3_000);
    let closed = floods.iter().filter(|(endpoint, _)| was_closed(endpoint)).count();
    assert_eq!(closed, open, "the last are given up for their silence");
    drop(served);
}

#[test]
fn silent_connections_from_many_addresses_are_bounded_together() {
    let mut servers = Servers::new(1);
    let mut settings = servers.settings(1);
    settings.initialise = true;
    settings.limits.silent_clients_max = 10;
    servers.start_with(1, settings);
    servers.machines.pass(1_000);
    let floods: Vec<_> = (0..200_usize)
        .map(|number| {
            let endpoint = servers.machines.machine(10 + number).endpoint();
            endpoint.connect(&client_address(1));
            servers.machines.run();
            endpoint
        })
        .collect();
    servers.session(1);
    assert_eq!(floods.iter().filter(|endpoint| !was_closed(endpoint)).count(), 9);
}

/// Whether the other side has closed a connection of this endpoint since it was asked last.
fn was_closed(endpoint: &MachineEndpoint) -> bool {
    std::iter::from_fn(|| endpoint.poll()).any(|event| matches!(event, NetworkEvent::Closed { .. }))
}

#[test]
fn idle_strangers_at_the_peers_port_keep_out_no_member() {
    let mut servers = Servers::new(3);
    servers.start(1, true);
    servers.machines.run();
    let idle: Vec<_> = (0..300_usize)
        .map(|number| {
            // From one address and from many.
            let endpoint = servers.machines.machine(10 + number % 100).endpoint();
            endpoint.connect(&peer_address(1));
            servers.machines.run();
            endpoint
        })
        .collect();
    assert_eq!(call(&servers, hello(3, 1), &[]), (Some(hello(1, 3)), false));
    assert!(idle.iter().filter(|endpoint| !was_closed(endpoint)).count() <= 64);
}

#[test]
fn a_leader_that_refuses_at_once_is_called_a_few_times_and_not_thousands() {
    let servers = Servers::established(3);
    let leader = servers.leader();
    servers.machines.kill(leader.into());
    // Somebody else has its address now, and hangs up on everybody who says hello.
    let somebody = servers.machines.machine(0).endpoint();
    somebody.listen(&peer_address(leader)).unwrap();
    let mut calls = 0;
    for _ in 0..600 {
        servers.machines.pass(5);
        while let Some(event) = somebody.poll() {
            match event {
                NetworkEvent::Accepted { .. } => calls += 1,
                NetworkEvent::Received { connection, .. } => somebody.close(connection),
                _ => {}
            }
        }
    }
    assert!((2..60).contains(&calls), "{calls} calls in three seconds");
}

#[test]
fn a_server_whose_disk_is_full_starts_again_and_serves_reads() {
    let mut servers = Servers::new(1);
    let start = |servers: &mut Servers, initialise| {
        let mut settings = servers.settings(1);
        settings.initialise = initialise;
        let reserve = Settings { reserve_bytes: 64 << 10, ..Settings::default() };
        servers.start_on(1, settings, reserve);
        servers.machines.pass(1_000);
    };
    start(&mut servers, true);
    let mut client = servers.session(1);
    client.ask(1, &create("/a"));
    servers.machines.pass(50);
    assert_eq!(client.answers(), [(1, None)]);
    servers.machines.leave_room(1, 10 << 10);
    for _ in 0..3 {
        for number in 2..2_000 {
            client.ask(number, &create(&format!("/{number}")));
            servers.machines.pass(5);
            if servers.ended(1).is_some() {
                break;
            }
        }
        let reason = servers.ended(1).expect("its disk is full");
        assert!(reason.contains("make room, then start the server again"), "{reason}");
        start(&mut servers, false);
        assert_eq!(servers.ended(1), None);
        client = servers.session(1);
        client.ask(1, &get("/a"));
        assert_eq!(client.answers(), [(1, None)]);
    }
}
