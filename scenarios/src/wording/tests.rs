//! Words for every kind of message, request, reply and error.

use super::client::{Conversation, request_words};
use super::peer::Link;
use super::*;
use bytes::Bytes;
use mailstorm_shared::znodes::EventKind;
use mailstorm_shared::{Epoch, Millis, ServerId, SessionId, Zxid};
use mailstorm_wire::client::*;
use mailstorm_wire::frame::framed;
use mailstorm_wire::peer::*;
use mailstorm_wire::txn::{Entry, Origin, Owner, Txn, TxnBody};
use std::collections::BTreeSet;

fn server(number: u8) -> ServerId {
    ServerId::new(number).expect("a number of a server")
}

fn zxid(epoch: u64, counter: u64) -> Zxid {
    Zxid(epoch << 32 | counter)
}

const SESSION: SessionId = SessionId(0x7);

#[track_caller]
fn is_worded(told: &str) {
    assert!(!told.contains(['{', '}', '[', '(', '"']), "a debug form: {told}");
    assert!(!told.is_empty());
}

/// What a server's link says of this, after its hello.
fn peer(message: &PeerMessage) -> String {
    let mut link = Link::default();
    let hello = Hello {
        version: PEER_PROTOCOL_VERSION,
        ensemble: 1,
        from: server(1),
        to: server(2),
        purpose: LinkPurpose::Learner,
    };
    let answer = Hello { from: server(2), to: server(1), ..hello };
    let told = link.words(true, &encode_hello(&hello));
    assert_eq!(told.as_deref(), Some("HELLO s1 to s2, learner link"));
    let told = link.words(false, &encode_hello(&answer));
    assert_eq!(told.as_deref(), Some("HELLO s2 to s1, learner link"));
    let told = [true, false].map(|caller| link.words(caller, &encode_message(message)));
    assert_eq!(told[0], told[1]);
    told.into_iter().next().flatten().expect("a message has words")
}

fn write() -> Write {
    Write::Delete { path: "/a".into(), version: 3 }
}

fn proposal(body: TxnBody) -> PeerMessage {
    let origin = Some(Origin { server: server(1), ticket: 9 });
    let txn = Txn { origin, session: SESSION, time: 0, body };
    PeerMessage::Propose { entry: Entry { zxid: zxid(1, 28), bytes: txn.encode() } }
}

fn create(path: &str, owner: Owner) -> TxnBody {
    let (path, data, acl) = (path.into(), None, Vec::new());
    TxnBody::Create { path, data, acl, owner, parent_creations: 1 }
}

/// The place of a kind in the list of all; a new kind does not compile without one.
fn kind(message: &PeerMessage) -> usize {
    match message {
        PeerMessage::Notification(_) => 0,
        PeerMessage::FollowerInfo { .. } => 1,
        PeerMessage::AckEpoch { .. } => 2,
        PeerMessage::AckNewLeader { .. } => 3,
        PeerMessage::Ack { .. } => 4,
        PeerMessage::Pong { .. } => 5,
        PeerMessage::SnapshotWanted => 6,
        PeerMessage::Forward(_) => 7,
        PeerMessage::LeaderInfo { .. } => 8,
        PeerMessage::Truncate { .. } => 9,
        PeerMessage::SnapshotBegin { .. } => 10,
        PeerMessage::SnapshotChunk { .. } => 11,
        PeerMessage::SnapshotEnd => 12,
        PeerMessage::Propose { .. } => 13,
        PeerMessage::NewLeader { .. } => 14,
        PeerMessage::UpToDate { .. } => 15,
        PeerMessage::Commit { .. } => 16,
        PeerMessage::Admit => 17,
        PeerMessage::Ping { .. } => 18,
        PeerMessage::Answer { .. } => 19,
        PeerMessage::SessionMoved { .. } => 20,
        PeerMessage::HistoryWanted { .. } => 21,
        PeerMessage::HistoryPart { .. } => 22,
    }
}

#[test]
fn every_message_between_servers_is_told_as_the_field_writes_it() {
    let notification = |state, votes| {
        let vote = Vote { epoch: Epoch(1), zxid: zxid(1, 27), leader: server(3) };
        let stands_with = (state == PeerState::Looking).then_some((Epoch(1), zxid(1, 27)));
        let hears = (1..=2).map(server).collect();
        let round = 4;
        PeerMessage::Notification(Notification { round, state, vote, votes, stands_with, hears })
    };
    let info = |standing| PeerMessage::FollowerInfo { accepted_epoch: Epoch(3), standing };
    let forward =
        |request| PeerMessage::Forward(Forwarded { ticket: 9, session: SESSION, request });
    let answer = |answer| PeerMessage::Answer { ticket: 9, answer };
    let (timeout, password, identities) = (Millis(6_000), [0; 16], Vec::new);
    let set = |version| TxnBody::SetData { path: "/a".into(), data: None, version };
    let cases = [
        (
            notification(PeerState::Looking, true),
            "NOTIFICATION looking, votes s3 at 1:27, stands, hears s1 s2, round 4",
        ),
        (
            notification(PeerState::Elected, true),
            "NOTIFICATION elected, votes s3 at 1:27, hears s1 s2, round 4",
        ),
        (
            notification(PeerState::Observing, false),
            "NOTIFICATION observing, votes s3 at 1:27, own vote does not count, hears s1 s2, round 4",
        ),
        (info(Standing::Voter), "FOLLOWERINFO accepted epoch 3"),
        (info(Standing::Joiner), "FOLLOWERINFO of a joiner, accepted epoch 3"),
        (info(Standing::Observer), "OBSERVERINFO accepted epoch 3"),
        (
            PeerMessage::AckEpoch { current_epoch: Epoch(2), last_logged: zxid(2, 7) },
            "ACKEPOCH current epoch 2, log to 2:7",
        ),
        (PeerMessage::AckNewLeader { epoch: Epoch(3) }, "ACK of NEWLEADER, epoch 3"),
        (PeerMessage::Ack { zxid: zxid(1, 28) }, "ACK 1:28"),
        (PeerMessage::Pong { round: 5, touched: Vec::new() }, "PONG 5"),
        (PeerMessage::Pong { round: 5, touched: vec![SESSION] }, "PONG 5, 1 session heard of"),
        (PeerMessage::SnapshotWanted, "SNAP, next chunk wanted"),
        (
            forward(LeaderRequest::Write { identities: identities(), write: write() }),
            "REQUEST delete /a at version 3 for session 0x7",
        ),
        (
            forward(LeaderRequest::Multi { identities: identities(), writes: vec![write(); 5] }),
            "REQUEST multi delete /a at version 3, delete /a at version 3, delete /a at version 3, and 2 more for...",
        ),
        (forward(LeaderRequest::Sync), "SYNC for session 0x7"),
        (
            forward(LeaderRequest::OpenSession { timeout, password }),
            "REQUEST createSession, timeout 6.0 s",
        ),
        (forward(LeaderRequest::CloseSession), "REQUEST closeSession 0x7"),
        (forward(LeaderRequest::ResumeSession { password }), "REVALIDATE session 0x7"),
        (PeerMessage::LeaderInfo { epoch: Epoch(4) }, "LEADERINFO epoch 4"),
        (PeerMessage::Truncate { after: zxid(1, 20) }, "TRUNC after 1:20"),
        (PeerMessage::SnapshotBegin { zxid: zxid(1, 30) }, "SNAP of 1:30 begins"),
        (PeerMessage::HistoryWanted { last_logged: zxid(2, 7) }, "HISTORY wanted, own log to 2:7"),
        (
            PeerMessage::HistoryPart { after: zxid(2, 7), entries: Vec::new() },
            "HISTORY after 2:7, 0 transactions",
        ),
        (PeerMessage::SnapshotChunk { bytes: Bytes::from_static(b"x") }, "SNAP chunk, 1 byte"),
        (PeerMessage::SnapshotEnd, "SNAP ends"),
        (proposal(create("/create", Owner::Nobody)), "PROPOSAL 1:28 create /create"),
        (proposal(create("/a", Owner::Session(SESSION))), "PROPOSAL 1:28 create ephemeral /a"),
        (proposal(create("/a", Owner::Container)), "PROPOSAL 1:28 createContainer /a"),
        (proposal(create("/a", Owner::Ttl(Millis(900)))), "PROPOSAL 1:28 createTTL /a, 900 ms"),
        (proposal(TxnBody::Delete { path: "/a".into() }), "PROPOSAL 1:28 delete /a"),
        (proposal(set(2)), "PROPOSAL 1:28 setData /a to version 2"),
        (
            proposal(TxnBody::SetAcl { path: "/a".into(), acl: Vec::new(), version: 2 }),
            "PROPOSAL 1:28 setACL /a to version 2",
        ),
        (
            proposal(TxnBody::Multi(vec![TxnBody::Check { path: "/b".into() }, set(1)])),
            "PROPOSAL 1:28 multi check /b, setData /a to version 1",
        ),
        (
            proposal(TxnBody::MultiFailed(vec![None, Some(ErrorCode::NodeExists)])),
            "PROPOSAL 1:28 multi refused, NODEEXISTS in step 2",
        ),
        (proposal(TxnBody::Error(ErrorCode::NoNode)), "PROPOSAL 1:28 refused, NONODE"),
        (
            proposal(TxnBody::OpenSession { timeout, password }),
            "PROPOSAL 1:28 createSession, timeout 6.0 s",
        ),
        (proposal(TxnBody::CloseSession), "PROPOSAL 1:28 closeSession 0x7"),
        (proposal(TxnBody::Nothing), "PROPOSAL 1:28 nothing, the first of its epoch"),
        (
            PeerMessage::Propose {
                entry: Entry { zxid: zxid(1, 28), bytes: Bytes::from_static(b"??") },
            },
            "PROPOSAL 1:28 of 2 bytes",
        ),
        (
            PeerMessage::NewLeader { epoch: Epoch(4), last_logged: zxid(3, 9) },
            "NEWLEADER epoch 4, log to 3:9",
        ),
        (PeerMessage::UpToDate { committed: zxid(3, 9) }, "UPTODATE committed to 3:9"),
        (PeerMessage::Commit { zxid: zxid(1, 28) }, "COMMIT 1:28"),
        (PeerMessage::Admit, "ADMIT, may vote from now on"),
        (PeerMessage::Ping { round: 5 }, "PING 5"),
        (answer(Answer::Synced { zxid: zxid(1, 28) }), "SYNC -> ok 1:28"),
        (
            answer(Answer::Session { timeout, zxid: zxid(1, 28) }),
            "REVALIDATE -> ok 1:28, timeout 6.0 s",
        ),
        (answer(Answer::NoSession), "REVALIDATE -> SESSIONEXPIRED"),
        (PeerMessage::SessionMoved { session: SESSION }, "SESSIONMOVED 0x7"),
    ];
    let kinds: BTreeSet<usize> = cases.iter().map(|(message, _)| kind(message)).collect();
    assert!(kinds.into_iter().eq(0..=22), "every kind is among the cases");
    for (message, expected) in cases {
        let told = peer(&message);
        assert_eq!(told, expected);
        is_worded(&told);
    }
}

fn creates(mode: CreateMode, stat: bool) -> Request {
    let ttl = if mode.has_ttl() { 900 } else { 0 };
    let (path, data, acl) = ("/create".into(), None, Vec::new());
    Request::Write(Write::Create { path, data, acl, mode, ttl, stat })
}

/// Every operation, and how it is called.
fn requests() -> Vec<(Request, &'static str)> {
    let path = || "/a".into();
    let watches = SetWatches { data: vec![path(), path()], ..SetWatches::default() };
    let lasting = SetWatches { persistent: vec![path()], ..watches.clone() };
    vec![
        (creates(CreateMode::Persistent, false), "create /create"),
        (creates(CreateMode::Persistent, true), "create /create"),
        (creates(CreateMode::Ephemeral, false), "create ephemeral /create"),
        (creates(CreateMode::PersistentSequential, false), "create sequential /create"),
        (creates(CreateMode::EphemeralSequential, false), "create ephemeral sequential /create"),
        (creates(CreateMode::Container, true), "createContainer /create"),
        (creates(CreateMode::PersistentTtl, true), "createTTL /create, 900 ms"),
        (
            creates(CreateMode::PersistentSequentialTtl, true),
            "createTTL sequential /create, 900 ms",
        ),
        (Request::Write(write()), "delete /a at version 3"),
        (Request::Exists { path: path(), watch: true }, "exists /a, watch"),
        (Request::GetData { path: path(), watch: false }, "getData /a"),
        (Request::Write(Write::SetData { path: path(), data: None, version: -1 }), "setData /a"),
        (Request::GetAcl { path: path() }, "getACL /a"),
        (
            Request::Write(Write::SetAcl { path: path(), acl: Vec::new(), version: 2 }),
            "setACL /a at version 2",
        ),
        (Request::Children { path: path(), watch: false, stat: false }, "getChildren /a"),
        (Request::Children { path: path(), watch: true, stat: true }, "getChildren /a, watch"),
        (Request::Sync { path: path() }, "sync /a"),
        (Request::Ping, "ping"),
        (
            Request::Multi(vec![Write::Check { path: path(), version: 1 }, write()]),
            "multi check /a at version 1, delete /a at version 3",
        ),
        (
            Request::MultiRead(vec![
                Read::GetData { path: path() },
                Read::Children { path: path() },
            ]),
            "multiRead getData /a, getChildren /a",
        ),
        (
            Request::CheckWatches { path: path(), kind: WatcherType::Data },
            "checkWatches /a, of data",
        ),
        (
            Request::RemoveWatches { path: path(), kind: WatcherType::Any },
            "removeWatches /a, of any kind",
        ),
        (
            Request::Auth { scheme: "digest".into(), credentials: Bytes::from_static(b"u:p") },
            "auth digest",
        ),
        (Request::SetWatches(watches), "setWatches, 2 of them, since 0:0"),
        (Request::SetWatches(lasting), "setWatches, 3 of them, since 0:0"),
        (Request::Ephemerals { prefix: path() }, "getEphemerals /a"),
        (Request::AllChildrenNumber { path: path() }, "getAllChildrenNumber /a"),
        (
            Request::AddWatch { path: path(), mode: AddWatchMode::PersistentRecursive },
            "addWatch /a, persistent recursive",
        ),
        (Request::WhoAmI, "whoAmI"),
        (Request::CloseSession, "closeSession"),
    ]
}

#[test]
fn every_request_is_told_under_the_name_of_its_operation() {
    let mut opcodes = BTreeSet::new();
    for (request, expected) in requests() {
        assert_eq!(request_words(&request), expected);
        is_worded(expected);
        opcodes.insert(request.opcode());
    }
    // check comes in a multi only, and reconfig is refused.
    let all: BTreeSet<i32> = (-11..=110)
        .filter(|code| is_an_operation(*code))
        .filter(|code| ![opcode::CHECK, opcode::RECONFIG].contains(code))
        .collect();
    assert_eq!(opcodes, all);
}

/// Whether a server knows the operation: it answers anything else with UNIMPLEMENTED.
fn is_an_operation(code: i32) -> bool {
    let mut frame = 1i32.to_be_bytes().to_vec();
    frame.extend(code.to_be_bytes());
    !matches!(
        decode_request(Bytes::from(frame)),
        Err(RequestError::Unimplemented { .. } | RequestError::NoHeader(_))
    )
}

/// A conversation after its handshake.
fn connected() -> Conversation {
    let mut conversation = Conversation::default();
    let request = ConnectRequest {
        last_zxid_seen: Zxid::ZERO,
        timeout: 6_000,
        session: SessionId::NONE,
        password: Bytes::from_static(&[0; 16]),
        read_only: None,
    };
    let response = ConnectResponse {
        timeout: 6_000,
        session: SESSION,
        password: Bytes::from_static(&[0; 16]),
        read_only: None,
    };
    let asked = conversation.words(true, &framed(&encode_connect_request(&request)));
    assert_eq!(asked.as_deref(), Some("CONNECT, new session, timeout 6.0 s"));
    let told = conversation.words(false, &framed(&encode_connect_response(&response)));
    assert_eq!(told.as_deref(), Some("CONNECT -> session 0x7, timeout 6.0 s"));
    conversation
}

fn header(xid: i32, error: Option<ErrorCode>) -> ReplyHeader {
    ReplyHeader { xid, zxid: zxid(1, 28), error }
}

/// What is said when this is answered to a request.
fn answered(request: &Request, error: Option<ErrorCode>, reply: Option<&Reply>) -> String {
    let mut conversation = connected();
    conversation.words(true, &framed(&encode_request(5, request)));
    let reply = encode_reply(&header(5, error), reply);
    conversation.words(false, &framed(&reply)).expect("a reply has words")
}

#[test]
fn every_error_is_told_by_its_name_with_what_it_answers() {
    let create = creates(CreateMode::Persistent, false);
    for error in ErrorCode::ALL {
        let told = answered(&create, Some(error), None);
        assert_eq!(told, format!("create /create -> {}", error.name()));
        is_worded(&told);
    }
    let names: BTreeSet<&str> = ErrorCode::ALL.iter().map(|error| error.name()).collect();
    assert_eq!(names.len(), ErrorCode::ALL.len());
    assert!(names.contains("NODEEXISTS") && names.contains("BADVERSION"));
}

#[test]
fn a_reply_says_what_it_answers_and_at_which_zxid() {
    let stat = Stat { version: 3, ..Stat::default() };
    let path = || "/a".into();
    let get = Request::GetData { path: path(), watch: false };
    let children = Request::Children { path: path(), watch: false, stat: false };
    let data = Reply::Data { data: Some(Bytes::from_static(b"xy")), stat };
    let made = |path: &str| Reply::Created { path: path.into(), stat: None };
    let multi = Request::Multi(vec![write(), write()]);
    let failed = [ErrorCode::BadVersion, ErrorCode::RuntimeInconsistency].map(Some);
    let failed = [None, failed[0], failed[1]].map(MultiReply::Error).to_vec();
    let cases = [
        (creates(CreateMode::Persistent, false), made("/create"), "create /create -> ok 1:28"),
        (
            creates(CreateMode::PersistentSequential, false),
            made("/create07"),
            "create sequential /create -> ok 1:28, /create07",
        ),
        (Request::Write(write()), Reply::Empty, "delete /a at version 3 -> ok 1:28"),
        (get, data, "getData /a -> ok 1:28, 2 bytes, version 3"),
        (
            children,
            Reply::Children { names: vec!["b".into()], stat: None },
            "getChildren /a -> ok 1:28, 1 name",
        ),
        (
            Request::Exists { path: path(), watch: true },
            Reply::Stat(stat),
            "exists /a, watch -> ok 1:28, version 3",
        ),
        (
            multi.clone(),
            Reply::Multi(vec![MultiReply::Deleted; 2]),
            "multi delete /a at version 3, delete /a at version 3 -> ok 1:28",
        ),
        (
            multi,
            Reply::Multi(failed),
            "multi delete /a at version 3, delete /a at version 3 -> BADVERSION in step 2",
        ),
    ];
    for (request, reply, expected) in cases {
        let told = answered(&request, None, Some(&reply));
        assert_eq!(told, expected);
        is_worded(&told);
    }
}

#[test]
fn replies_come_in_the_order_of_the_requests_with_events_and_pings_in_between() {
    let mut conversation = connected();
    let asked: Vec<Bytes> = [
        encode_request(1, &Request::Sync { path: "/a".into() }),
        encode_request(xid::PING, &Request::Ping),
        encode_request(2, &Request::WhoAmI),
        encode_request(3, &Request::CloseSession),
    ]
    .iter()
    .map(|request| framed(request))
    .collect();
    let told = conversation.words(true, &asked.concat());
    assert_eq!(told.as_deref(), Some("sync /a; ping; whoAmI; and 1 more"));
    let kind = WatchEventKind::Change(EventKind::Deleted);
    let event = WatchEvent { kind, path: "/a".into(), zxid: zxid(1, 9) };
    let answers: Vec<Bytes> = [
        encode_event(&event),
        encode_reply(&header(xid::PING, None), None),
        encode_reply(&header(1, None), Some(&Reply::Synced("/a".into()))),
    ]
    .iter()
    .map(|reply| framed(reply))
    .collect();
    let told = conversation.words(false, &answers.concat());
    let expected = "EVENT /a deleted at 1:9; ping -> ok; sync /a -> ok 1:28";
    assert_eq!(told.as_deref(), Some(expected));
}

#[test]
fn whatever_bytes_are_said_there_are_words_for_them() {
    let mut nonsense = framed(b"nonsense that is long enough").to_vec();
    nonsense.extend(framed(b"\x00\x00\x00\x05\x00\x00\x00\x63"));
    for port in [CLIENT_PORT, PEER_PORT, 2525] {
        let mut interpreter = interpreter(&format!("s1:{port}")).expect("a port");
        for caller in [true, false, true] {
            let told = interpreter.words(caller, &nonsense).expect("there are words");
            is_worded(&told);
        }
    }
    let mut word = interpreter("s1:2181").expect("a port");
    assert_eq!(word.words(true, b"ruok").as_deref(), Some("ruok"));
    assert_eq!(word.words(false, b"imok").as_deref(), Some("text, 4 bytes"));
    assert!(interpreter("nowhere").is_none());
}
