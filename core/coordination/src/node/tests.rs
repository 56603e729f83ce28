//! Step tables of a node: what a host says, and what it is asked for.

use super::core::{CLIENTS, PEERS};
use super::*;
use crate::io::{DiskCommand, DiskTicket};
use crate::replica::ReplicaConfig;
use crate::server::ServerConfig;
use crate::storage::{FileName, Identity, StorageOptions, Writer};
use bytes::Bytes;
use mailstorm_shared::machine::{
    Address, CloseReason, ConnectionId, Core, DialId, FileOp, Input, Lane, Output, PortId,
    Recovery, Start, Writes,
};
use mailstorm_shared::{Ensemble, Epoch, Instant, Millis, Now, ServerId, WallTime, Zxid};
use mailstorm_wire::peer::{Hello, LinkPurpose, PEER_PROTOCOL_VERSION, encode_hello};
use std::collections::VecDeque;

fn id(number: u8) -> ServerId {
    ServerId::new(number).unwrap()
}

/// Server `me` of as many.
fn settings(me: u8, size: u8) -> NodeSettings {
    let ensemble = Ensemble::new((1..=size).map(id), []).unwrap();
    let peers = (1..=size).map(|n| (id(n), Address::from(&*format!("s{n}:2888")))).collect();
    let server = ServerConfig::new(ReplicaConfig::new(id(me), ensemble));
    let mut settings = NodeSettings::new(server, Address::from("s:2181"), peers);
    settings.initialise = true;
    settings.limits.clients_per_address_max = 2;
    settings
}

/// A node, and the host's part: random numbers are 1, 2, 3, ...
struct Stage {
    node: Node,
    now: u64,
    drawn: u64,
}

impl Stage {
    fn new(settings: NodeSettings) -> (Self, Vec<Output>) {
        let mut start = NodeStart::new(settings);
        assert!(matches!(start.listed(Vec::new()), Ok(Recovery::Repair(_))));
        let mut outputs = Vec::new();
        let node = start.start(Now::default(), 7, &[None, None], &mut outputs).ok().unwrap();
        (Self { node, now: 0, drawn: 0 }, outputs)
    }

    /// All that follows from one input, without what onlookers are told.
    fn step(&mut self, input: Input) -> Vec<Output> {
        let now =
            Now { monotonic: Instant(self.now), wall: WallTime::UNIX_EPOCH + Millis(self.now) };
        let (mut inputs, mut all) = (VecDeque::from([input]), Vec::new());
        while !inputs.is_empty() {
            let mut outputs = Vec::new();
            self.node.step(now, &mut inputs, &mut outputs);
            self.node.invariants();
            for output in &outputs {
                if let Output::Draw { count } = output {
                    self.drawn += 2;
                    let second = if *count == 2 { self.drawn } else { 0 };
                    let is_drawn = |input: &&Input| matches!(input, Input::Drawn { .. });
                    let at = inputs.iter().take_while(is_drawn).count();
                    inputs.insert(at, Input::Drawn { numbers: [self.drawn - 1, second] });
                }
            }
            all.append(&mut outputs);
        }
        all.retain(|output| !matches!(output, Output::Observe(_) | Output::Note { .. }));
        all
    }

    fn open(&mut self, connection: u64, port: PortId, from: &str) -> Vec<Output> {
        let connection = ConnectionId(connection);
        self.step(Input::Opened { connection, port, from: format!("{from}:1").parse().unwrap() })
    }

    fn malformed(&mut self, connection: u64, prefix: &[u8; 4]) -> Vec<Output> {
        let connection = ConnectionId(connection);
        self.step(Input::Malformed { connection, prefix: *prefix, error: "too long".into() })
    }
}

fn closes(outputs: &[Output]) -> Vec<u64> {
    let closed = outputs.iter().filter_map(|output| match output {
        Output::Close { connection } => Some(connection.0),
        _ => None,
    });
    closed.collect()
}

fn dials(outputs: &[Output]) -> Vec<(u64, &str)> {
    let dialled = outputs.iter().filter_map(|output| match output {
        Output::Dial { dial, address, .. } => Some((dial.0, &*address.0)),
        _ => None,
    });
    dialled.collect()
}

fn wake(outputs: &[Output]) -> Option<Instant> {
    let wakes = outputs.iter().rev();
    wakes.into_iter().find_map(|o| if let Output::Wake { at } = o { Some(*at) } else { None })?
}

#[test]
fn a_client_is_accepted_with_two_numbers_for_its_password() {
    let (mut stage, _) = Stage::new(settings(1, 1));
    let outputs = stage.open(1, CLIENTS, "10.0.0.9");
    assert_eq!(outputs.first(), Some(&Output::Draw { count: 2 }));
    assert!(closes(&outputs).is_empty());
}

#[test]
fn the_oldest_silent_client_of_an_address_is_closed_for_the_next_one() {
    let (mut stage, _) = Stage::new(settings(1, 1));
    for connection in 1..=2 {
        assert!(closes(&stage.open(connection, CLIENTS, "10.0.0.9")).is_empty());
    }
    assert!(closes(&stage.open(3, CLIENTS, "10.0.0.8")).is_empty());
    assert_eq!(closes(&stage.open(4, CLIENTS, "10.0.0.9")), [1]);
}

#[test]
fn a_four_letter_word_is_answered_and_the_connection_closed() {
    let (mut stage, _) = Stage::new(settings(1, 1));
    stage.open(1, CLIENTS, "10.0.0.9");
    let outputs = stage.malformed(1, b"ruok");
    let connection = ConnectionId(1);
    let answer = Output::Send { connection, bytes: Bytes::from_static(b"imok") };
    assert_eq!(outputs, [answer, Output::Close { connection }]);
}

#[test]
fn a_client_that_sends_no_frames_is_closed_and_nothing_more_is_made_of_it() {
    let (mut stage, _) = Stage::new(settings(1, 1));
    stage.open(1, CLIENTS, "10.0.0.9");
    assert_eq!(closes(&stage.malformed(1, b"\xff\xff\xff\xff")), [1]);
    let (connection, frame) = (ConnectionId(1), Bytes::from_static(b"late"));
    assert!(stage.step(Input::Frame { connection, frame }).is_empty());
}

#[test]
fn the_higher_server_connects_at_once_and_again_after_a_pause() {
    let (mut stage, outputs) = Stage::new(settings(3, 3));
    let first = wake(&outputs).expect("it has peers to connect to");
    assert_eq!(first, Instant::ZERO);
    let outputs = stage.step(Input::Tick);
    assert_eq!(dials(&outputs), [(1, "s1:2888"), (2, "s2:2888")]);
    let (dial, reason) = (DialId(1), CloseReason::Refused);
    let outputs = stage.step(Input::DialFailed { dial, reason });
    assert_eq!(outputs.first(), Some(&Output::Draw { count: 1 }));
    let chance = stage.drawn - 1;
    stage.now = 100 - chance - 1;
    assert!(dials(&stage.step(Input::Tick)).is_empty(), "the pause is 100 ms less the number");
    stage.now += 1;
    assert_eq!(dials(&stage.step(Input::Tick)), [(3, "s1:2888")]);
}

#[test]
fn an_attempt_that_gets_no_hello_in_time_is_given_up() {
    let (mut stage, _) = Stage::new(settings(3, 3));
    stage.step(Input::Tick);
    let (dial, connection) = (DialId(2), ConnectionId(9));
    let hello = stage.step(Input::Dialled { dial, connection });
    assert!(matches!(hello[..], [Output::Send { .. }]), "{hello:?}");
    stage.now = 3_000;
    let outputs = stage.step(Input::Tick);
    assert!(outputs.contains(&Output::GiveUp { dial: DialId(1) }), "{outputs:?}");
    assert_eq!(closes(&outputs), [9], "the one that is open is closed");
}

#[test]
fn a_stranger_with_the_right_hello_becomes_a_link_and_others_are_closed() {
    let (mut stage, _) = Stage::new(settings(1, 3));
    let ensemble = stage.node.links.ensemble();
    let right = Hello {
        version: PEER_PROTOCOL_VERSION,
        ensemble,
        from: id(2),
        to: id(1),
        purpose: LinkPurpose::Election,
    };
    let body = |hello: &Hello| encode_hello(hello).slice(8..);
    for (number, hello) in [
        Hello { ensemble: ensemble + 1, ..right },
        Hello { from: id(4), ..right },
        Hello { from: id(1), ..right },
        Hello { to: id(3), ..right },
    ]
    .iter()
    .enumerate()
    {
        let connection = ConnectionId(number as u64);
        stage.open(connection.0, PEERS, "10.0.0.2");
        let outputs = stage.step(Input::Frame { connection, frame: body(hello) });
        assert_eq!(outputs, [Output::Close { connection }], "{hello:?}");
    }
    let connection = ConnectionId(10);
    stage.open(10, PEERS, "10.0.0.2");
    let outputs = stage.step(Input::Frame { connection, frame: body(&right) });
    let answer = Hello { from: id(1), to: id(2), ..right };
    let bytes = encode_hello(&answer);
    assert_eq!(outputs.first(), Some(&Output::Send { connection, bytes }));
    assert!(closes(&outputs).is_empty());
    assert_eq!(closes(&stage.malformed(10, b"junk")), [10], "and a damaged link is closed");
}

#[test]
fn recovery_reads_small_files_first_and_an_older_snapshot_only_when_the_newer_does_not_suffice() {
    let mut start = NodeStart::new(settings(1, 3));
    let older = FileName::Snapshot(Zxid::new(Epoch(1), 5)).to_string();
    let newer = FileName::Snapshot(Zxid::new(Epoch(1), 9)).to_string();
    let log = FileName::Log(1).to_string();
    let listed = [&*log, "notes.txt", &*older, &*newer, "state"].map(str::to_owned);
    let mut asked = Vec::new();
    let mut recovery = start.listed(listed.into()).ok().unwrap();
    while let Recovery::Read(name) = recovery {
        recovery = start.read(&name, Some(Bytes::new())).ok().unwrap();
        asked.push(name);
    }
    assert_eq!(asked, [&*log, "state", &*newer, &*older]);
}

/// A queue on an empty folder.
fn writes() -> super::writes::WriteQueue {
    let identity = Identity { server: id(1), ensemble: 7 };
    let options =
        crate::storage::recovery::RecoverOptions { initialise: true, ..Default::default() };
    let recovery = crate::storage::recover(&Default::default(), &[], identity, &options).unwrap();
    let writer = Writer::open(identity, StorageOptions::default(), &recovery, &mut Vec::new());
    super::writes::WriteQueue::new(writer)
}

#[test]
fn a_leaders_snapshot_begins_when_the_other_lane_is_idle() {
    let mut writes = writes();
    let mut ops: Vec<FileOp> = Vec::new();
    let begin = || DiskCommand::SnapshotBegin { zxid: Zxid::ZERO };
    writes.push(Lane::Aside, DiskTicket(1), begin());
    assert_eq!(writes.take_log(Zxid::ZERO, &mut ops), Writes::Some);
    let mut outputs = Vec::new();
    assert_eq!(writes.log_done(&mut outputs), None, "no acknowledgement waits for it");
    assert_eq!(outputs, [Output::Disk { lane: Lane::Aside }]);
    assert_eq!(writes.take_aside(&mut ops), Writes::Some);

    writes.push(Lane::Log, DiskTicket(2), begin());
    assert_eq!(writes.take_log(Zxid::ZERO, &mut ops), Writes::AfterOtherLane);
    assert_eq!(writes.aside_done(), DiskTicket(1));
    assert_eq!(writes.take_aside(&mut ops), Writes::None);
    assert_eq!(writes.take_log(Zxid::ZERO, &mut ops), Writes::Some);
    assert_eq!(writes.log_done(&mut Vec::new()), Some(DiskTicket(2)));
}

#[test]
fn what_waits_of_our_own_snapshot_is_void_when_a_leaders_begins() {
    let mut writes = writes();
    let begin = || DiskCommand::SnapshotBegin { zxid: Zxid::ZERO };
    writes.push(Lane::Aside, DiskTicket(1), begin());
    writes.push(Lane::Log, DiskTicket(2), begin());
    assert_eq!(writes.take_log(Zxid::ZERO, &mut Vec::new()), Writes::Some);
    let mut outputs = Vec::new();
    assert_eq!(writes.log_done(&mut outputs), Some(DiskTicket(2)));
    assert!(!outputs.contains(&Output::Disk { lane: Lane::Aside }), "{outputs:?}");
}
