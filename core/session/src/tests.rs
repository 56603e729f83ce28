//! Step tables: what goes in, what comes out.

use super::*;
use crate::error::CallError;
use crate::outstanding::{OPERATIONS_OUTSTANDING_MAX, SENDS_MAX};
use bytes::Bytes;
use mailstorm_shared::facts::ClientFact;
use mailstorm_shared::znodes::EventKind;
use mailstorm_shared::{Defects, Instant, Millis, SessionId, Zxid};
use mailstorm_wire::client::{
    AddWatchMode, ConnectResponse, CreateMode, ErrorCode, Reply, ReplyHeader, Request, Stat,
    WatchEvent, WatchEventKind, WatcherType, Write, decode_connect_request, decode_request,
    encode_connect_response, encode_event, encode_reply, xid,
};
use mailstorm_wire::frame::framed;

const CLIENT: SessionConfig = SessionConfig {
    servers: 2,
    timeout: Millis(3_000),
    read_only: false,
    client: 1,
    observe_calls: false,
    defects: Defects::NONE,
};

/// A session, and the time.
struct Table {
    core: SessionCore,
    now: u64,
    operations: u64,
}

impl Table {
    fn new() -> Self {
        Self { core: SessionCore::new(CLIENT, 4), now: 1_000, operations: 0 }
    }

    /// A session that is connected under the id 7, and nothing else.
    fn connected() -> Self {
        let mut table = Self::new();
        table.step(SessionInput::Woken);
        table.step(SessionInput::Connected);
        table.greet(7);
        table
    }

    /// One step; what comes out in words, without wake-ups and most observations.
    fn step(&mut self, input: SessionInput) -> Vec<String> {
        let mut out = Vec::new();
        self.core.step(Instant(self.now), input, &mut out);
        out.iter().filter_map(words).collect()
    }

    fn at(&mut self, now: u64) -> Vec<String> {
        self.now = now;
        self.step(SessionInput::Woken)
    }

    fn greet(&mut self, session: i64) -> Vec<String> {
        let response = ConnectResponse {
            timeout: if session == 0 { 0 } else { 3_000 },
            session: SessionId(session),
            password: Bytes::from_static(&[5; 16]),
            read_only: Some(false),
        };
        self.receive(encode_connect_response(&response))
    }

    fn receive(&mut self, body: Bytes) -> Vec<String> {
        self.step(SessionInput::Received(framed(&body)))
    }

    fn reply(&mut self, xid: i32, zxid: u64, reply: Result<Reply, ErrorCode>) -> Vec<String> {
        let header = ReplyHeader { xid, zxid: Zxid(zxid), error: reply.clone().err() };
        self.receive(encode_reply(&header, reply.as_ref().ok()))
    }

    fn event(&mut self, kind: EventKind, path: &str, zxid: u64) -> Vec<String> {
        let kind = WatchEventKind::Change(kind);
        self.receive(encode_event(&WatchEvent { kind, path: path.into(), zxid: Zxid(zxid) }))
    }

    fn submit(&mut self, request: Request) -> Vec<String> {
        self.submit_with(request, None, Retry::Reads)
    }

    /// The operation gets the next number; a watch has the same number.
    fn submit_with(
        &mut self,
        request: Request,
        watch: Option<WatchId>,
        retry: Retry,
    ) -> Vec<String> {
        self.operations += 1;
        let operation = OperationId(self.operations);
        self.step(SessionInput::Submit(Submission { operation, request, watch, retry }))
    }

    fn reconnect(&mut self) -> Vec<String> {
        assert_eq!(self.step(SessionInput::Closed).last().unwrap(), "connect");
        self.step(SessionInput::Connected);
        self.greet(7)
    }
}

fn words(output: &SessionOutput) -> Option<String> {
    Some(match output {
        SessionOutput::Connect { .. } => "connect".to_owned(),
        SessionOutput::Disconnect => "disconnect".to_owned(),
        SessionOutput::Send(bytes) => sent(bytes.slice(4..)),
        SessionOutput::State(state) => format!("state {state:?}"),
        SessionOutput::Deliver { watch, event } => format!("deliver {} {}", watch.0, event.path),
        SessionOutput::Unwatched { watch } => format!("unwatched {}", watch.0),
        SessionOutput::Complete { operation, result } => match result {
            Ok(_) => format!("{} ok", operation.0),
            Err(error) => format!("{} {error:?}", operation.0),
        },
        SessionOutput::Observe(ClientFact::WatchGivenUp { path, watch, .. }) => {
            format!("given up {path} {watch:?}")
        }
        SessionOutput::Observe(ClientFact::ProtocolBroken { why, .. }) => {
            format!("broken: {why}")
        }
        SessionOutput::WakeAt(_) | SessionOutput::Observe(_) => return None,
    })
}

fn sent(body: Bytes) -> String {
    // Protocol version 0 stands where a request has its xid, and no request has xid 0.
    if body.starts_with(&[0; 4]) {
        let greeting = decode_connect_request(body).unwrap();
        return format!("greet {} seen {}", greeting.session.0, greeting.last_zxid_seen.0);
    }
    let (xid, request) = decode_request(body).unwrap();
    match request {
        Request::SetWatches(set) => format!(
            "arm after {}: data {:?} exist {:?} child {:?} lasting {:?} {:?}",
            set.relative_zxid.0,
            set.data,
            set.exist,
            set.child,
            set.persistent,
            set.persistent_recursive,
        ),
        Request::Auth { scheme, .. } => format!("auth {scheme}"),
        Request::Ping => "ping".to_owned(),
        _ => format!("send {xid}"),
    }
}

fn read(path: &str) -> Request {
    Request::GetData { path: path.into(), watch: false }
}

fn write(path: &str) -> Request {
    Request::Write(Write::SetData { path: path.into(), data: None, version: -1 })
}

fn data() -> Result<Reply, ErrorCode> {
    Ok(Reply::Data { data: None, stat: Stat::default() })
}

fn stat() -> Result<Reply, ErrorCode> {
    Ok(Reply::Stat(Stat::default()))
}

#[test]
fn a_new_session_asks_for_one_and_sends_what_was_waiting() {
    let mut table = Table::new();
    assert!(table.submit(read("/a")).is_empty());
    assert_eq!(table.step(SessionInput::Woken), ["connect"]);
    assert_eq!(table.step(SessionInput::Connected), ["greet 0 seen 0"]);
    assert_eq!(table.greet(7), ["state Connected", "send 1"]);
    assert_eq!((table.core.session(), table.core.timeout()), (SessionId(7), Millis(3_000)));
    assert_eq!(table.reply(1, 20, data()), ["1 ok"]);
}

#[test]
fn every_server_is_tried_before_the_first_pause() {
    let mut table = Table::new();
    assert_eq!(table.step(SessionInput::Woken), ["connect"]);
    assert_eq!(table.step(SessionInput::Closed), ["connect"]);
    assert!(table.step(SessionInput::Closed).is_empty());
    assert!(table.at(1_024).is_empty(), "at least half of the first pause");
    assert_eq!(table.at(1_050), ["connect"]);
    // Neither a server that hangs nor one that is open and says nothing holds us for ever.
    assert_eq!(table.at(2_550), ["disconnect", "connect"]);
    table.step(SessionInput::Connected);
    assert_eq!(table.at(4_050), ["disconnect"]);
}

#[test]
fn the_order_of_the_servers_follows_from_the_entropy() {
    let first = |entropy| {
        let mut core = SessionCore::new(SessionConfig { servers: 5, ..CLIENT }, entropy);
        let mut out = Vec::new();
        core.step(Instant(0), SessionInput::Woken, &mut out);
        let connects = out.iter().find_map(|output| match output {
            SessionOutput::Connect { server } => Some(*server),
            _ => None,
        });
        connects.unwrap()
    };
    let mut counts = [0; 5];
    for entropy in 0..100 {
        assert_eq!(first(entropy), first(entropy));
        counts[first(entropy)] += 1;
    }
    assert!(counts.iter().all(|count| *count > 5), "{counts:?}");
}

#[test]
fn a_ping_goes_after_a_third_of_the_timeout_and_silence_ends_after_two_thirds() {
    let mut table = Table::connected();
    assert!(table.at(1_999).is_empty());
    assert_eq!(table.at(2_000), ["ping"]);
    table.now = 2_010;
    assert!(table.reply(xid::PING, 30, Ok(Reply::Empty)).is_empty());
    assert_eq!(table.core.last_zxid_seen(), Zxid(30));
    assert_eq!(table.at(3_000), ["ping"]);
    assert_eq!(table.at(4_000), ["ping"], "heard of 1,990 ms ago");
    assert_eq!(table.at(4_010), ["disconnect", "state Suspended", "connect"]);
    assert_eq!(table.step(SessionInput::Connected), ["greet 7 seen 30"]);
}

#[test]
fn wake_ups_may_come_early_but_never_late() {
    let mut core = SessionCore::new(CLIENT, 0);
    let mut out = Vec::new();
    let mut wake = Instant::NEVER;
    let mut take = |out: &mut Vec<SessionOutput>| {
        for output in out.drain(..) {
            if let SessionOutput::WakeAt(at) = output {
                wake = at;
            }
        }
        wake
    };
    core.step(Instant(0), SessionInput::Woken, &mut out);
    assert!(take(&mut out) <= Instant(1_500), "a server gets its share of the timeout");
    core.step(Instant(10), SessionInput::Connected, &mut out);
    let response = ConnectResponse {
        timeout: 300,
        session: SessionId(7),
        password: Bytes::new(),
        read_only: None,
    };
    let bytes = framed(&encode_connect_response(&response));
    core.step(Instant(20), SessionInput::Received(bytes), &mut out);
    assert!(take(&mut out) <= Instant(120), "the negotiated timeout is shorter than the wish");
    core.step(Instant(110), SessionInput::Woken, &mut out);
    assert_eq!(take(&mut out), Instant(120), "too early: asks again");
}

#[test]
fn what_was_sent_and_what_was_not_part_ways_when_the_connection_breaks() {
    let mut table = Table::connected();
    assert_eq!(table.submit(write("/a")), ["send 1"]);
    assert_eq!(table.submit(read("/a")), ["send 2"]);
    assert_eq!(table.submit(write("/b")), ["send 3"]);
    assert_eq!(table.reply(1, 20, stat()), ["1 ok"]);
    assert_eq!(
        table.step(SessionInput::Closed),
        ["state Suspended", "3 ConnectionLoss", "connect"],
        "the answered one is done, the read waits, the write is unknown"
    );
    assert!(table.submit(write("/c")).is_empty());
    assert_eq!(table.step(SessionInput::Connected), ["greet 7 seen 20"]);
    assert_eq!(table.greet(7), ["state Connected", "send 4", "send 5"]);
    assert_eq!(table.reply(4, 21, data()), ["2 ok"]);
    assert_eq!(table.reply(5, 22, stat()), ["4 ok"]);
}

#[test]
fn credentials_then_watches_then_requests_go_over_a_new_connection() {
    let mut table = Table::connected();
    let auth = Request::Auth { scheme: "digest".into(), credentials: Bytes::from_static(b"a:b") };
    assert_eq!(table.submit(auth), ["auth digest"]);
    assert_eq!(table.reply(xid::AUTH, 0, Ok(Reply::Empty)), ["1 ok"]);
    let watching = |number| Some(WatchId(number));
    let get = Request::GetData { path: "/d".into(), watch: true };
    table.submit_with(get, watching(2), Retry::Reads);
    let exists = Request::Exists { path: "/e".into(), watch: true };
    table.submit_with(exists, watching(3), Retry::Reads);
    let children = Request::Children { path: "/c".into(), watch: true, stat: false };
    table.submit_with(children, watching(4), Retry::Reads);
    let add = Request::AddWatch { path: "/r".into(), mode: AddWatchMode::PersistentRecursive };
    table.submit_with(add, watching(5), Retry::Reads);
    table.reply(1, 20, data());
    assert_eq!(table.reply(2, 21, Err(ErrorCode::NoNode)), ["3 Refused(NoNode)"]);
    table.reply(3, 21, Ok(Reply::Children { names: Vec::new(), stat: None }));
    table.reply(4, 22, Ok(Reply::WatchAdded));
    table.submit(read("/x"));
    assert_eq!(
        table.reconnect(),
        [
            "state Connected",
            "auth digest",
            r#"arm after 22: data ["/d"] exist ["/e"] child ["/c"] lasting [] ["/r"]"#,
            "send 6",
        ]
    );
    assert!(table.reply(xid::SET_WATCHES, 23, Ok(Reply::Empty)).is_empty());
    assert_eq!(table.event(EventKind::DataChanged, "/d", 0), ["deliver 2 /d"]);
    assert_eq!(table.event(EventKind::Created, "/r/1", 24), ["deliver 5 /r/1"]);
}

#[test]
fn an_event_is_delivered_before_the_reply_that_came_after_it() {
    let mut table = Table::connected();
    let get = Request::GetData { path: "/d".into(), watch: true };
    table.submit_with(get, Some(WatchId(1)), Retry::Reads);
    table.reply(1, 20, data());
    table.submit(read("/d"));
    let event = WatchEvent {
        kind: WatchEventKind::Change(EventKind::DataChanged),
        path: "/d".into(),
        zxid: Zxid(21),
    };
    let header = ReplyHeader { xid: 2, zxid: Zxid(21), error: None };
    let mut bytes = framed(&encode_event(&event)).to_vec();
    bytes.extend(framed(&encode_reply(&header, data().as_ref().ok())));
    // However the stream is cut.
    for cut in 0..bytes.len() {
        let mut table = Table { core: table.core.clone(), ..table };
        let mut seen = table.step(SessionInput::Received(Bytes::copy_from_slice(&bytes[..cut])));
        seen.extend(table.step(SessionInput::Received(Bytes::copy_from_slice(&bytes[cut..]))));
        assert_eq!(seen, ["deliver 1 /d", "2 ok"]);
    }
}

#[test]
fn an_event_raises_what_was_seen_but_not_where_the_catch_up_begins() {
    // One transaction changes /a and /b. The connection breaks between the two events: were the
    // catch-up to begin after the transaction, the event for /b would be lost.
    let mut table = Table::connected();
    for (number, path) in [(1, "/a"), (2, "/b")] {
        let get = Request::GetData { path: path.into(), watch: true };
        table.submit_with(get, Some(WatchId(number)), Retry::Reads);
        table.reply(number as i32, 20, data());
    }
    assert_eq!(table.event(EventKind::DataChanged, "/a", 21), ["deliver 1 /a"]);
    table.step(SessionInput::Closed);
    assert_eq!(table.step(SessionInput::Connected), ["greet 7 seen 21"]);
    let armed = r#"arm after 20: data ["/b"] exist [] child [] lasting [] []"#;
    assert_eq!(table.greet(7), ["state Connected", armed]);
}

#[test]
fn a_reply_out_of_order_or_without_a_request_ends_the_connection_and_is_told() {
    for (xid, why) in [
        (2, "a reply out of order: 1 was due, 2 came"),
        (9, "a reply out of order: 1 was due, 9 came"),
        (0, "a reply out of order: 1 was due, 0 came"),
        (xid::AUTH, "an answer to credentials, which were not sent"),
        (xid::SET_WATCHES, "an answer to setWatches, which was not asked for"),
    ] {
        let mut table = Table::connected();
        table.submit(write("/a"));
        table.submit(write("/b"));
        assert_eq!(
            table.reply(xid, 20, stat()),
            [
                &format!("broken: {why}"),
                "disconnect",
                "state Suspended",
                "1 ConnectionLoss",
                "2 ConnectionLoss",
                "connect"
            ],
            "xid {xid}"
        );
    }
    let told = Table::connected().reply(1, 20, stat());
    assert_eq!(told[0], "broken: a reply to nothing: 1 came");
}

#[test]
fn nonsense_ends_the_connection_and_nothing_worse() {
    let garbage: [&[u8]; 6] = [
        &[0xff; 40],
        &[0, 0, 0, 0],
        &[0, 0, 0, 3, 1, 2, 3],
        // A reply to the read whose body is cut short.
        &[0, 0, 0, 17, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 1],
        &[0x7f, 0xff, 0xff, 0xff, 1],
        // An event without a path.
        &[0, 0, 0, 16, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0],
    ];
    for bytes in garbage {
        let mut table = Table::connected();
        table.submit(read("/a"));
        let told = table.step(SessionInput::Received(Bytes::copy_from_slice(bytes)));
        assert!(told[0].starts_with("broken: "), "{told:?}");
        assert_eq!(told[1..], ["disconnect", "state Suspended", "connect"], "{bytes:?}");
        table.step(SessionInput::Connected);
        assert_eq!(table.greet(7), ["state Connected", "send 2"], "the read is sent again");
        let mut table = Table::new();
        table.step(SessionInput::Woken);
        table.step(SessionInput::Connected);
        let told = table.step(SessionInput::Received(Bytes::copy_from_slice(bytes)));
        // A frame that is not complete yet is not invalid so far.
        let hung_up = told.len() == 3 && told[1..] == ["disconnect", "connect"];
        assert!(told.is_empty() || hung_up && told[0].starts_with("broken: "), "{told:?}");
    }
}

#[test]
fn an_expired_session_ends_everything_and_says_what_is_definite() {
    let mut table = Table::connected();
    table.submit_with(write("/a"), None, Retry::Always);
    table.submit(read("/a"));
    table.step(SessionInput::Closed);
    table.submit(write("/b"));
    table.step(SessionInput::Connected);
    assert_eq!(
        table.greet(0),
        ["disconnect", "1 ConnectionLoss", "2 SessionExpired", "3 SessionExpired", "state Expired"]
    );
    assert_eq!(table.submit(read("/a")), ["4 SessionExpired"]);
    assert!(table.at(100_000).is_empty());
    assert!(table.step(SessionInput::Closed).is_empty());
}

#[test]
fn a_server_that_answers_for_another_session_is_left() {
    let mut table = Table::connected();
    table.step(SessionInput::Closed);
    table.step(SessionInput::Connected);
    let told = table.greet(8);
    assert_eq!(told[..2], ["broken: asked for session 0x7, was given 0x8", "disconnect"]);
    assert_eq!(table.core.session(), SessionId(7));
}

#[test]
fn a_refused_new_session_is_asked_for_elsewhere() {
    let mut table = Table::new();
    table.step(SessionInput::Woken);
    table.step(SessionInput::Connected);
    assert_eq!(table.greet(0), ["disconnect", "connect"]);
}

#[test]
fn refused_credentials_cost_the_connection_and_are_forgotten() {
    let mut table = Table::connected();
    let auth = Request::Auth { scheme: "x".into(), credentials: Bytes::new() };
    assert_eq!(table.submit(auth), ["auth x"]);
    assert_eq!(
        table.reply(xid::AUTH, 0, Err(ErrorCode::AuthFailed)),
        ["1 Refused(AuthFailed)", "disconnect", "state Suspended", "connect"]
    );
    table.step(SessionInput::Connected);
    assert_eq!(table.greet(7), ["state Connected"]);
}

#[test]
fn what_a_server_does_not_know_is_indefinite_for_a_write_only() {
    let mut table = Table::connected();
    table.submit(write("/a"));
    table.submit(read("/a"));
    table.submit(write("/a"));
    assert_eq!(table.reply(1, 1, Err(ErrorCode::ConnectionLoss)), ["1 ConnectionLoss"]);
    assert_eq!(table.reply(2, 1, Err(ErrorCode::SystemError)), ["2 Refused(SystemError)"]);
    assert_eq!(table.reply(3, 1, Err(ErrorCode::BadVersion)), ["3 Refused(BadVersion)"]);
    // The server says that the session is over: the next one knows for certain.
    table.submit(write("/a"));
    assert_eq!(
        table.reply(4, 1, Err(ErrorCode::SessionExpired)),
        ["4 SessionExpired", "disconnect", "state Suspended", "connect"]
    );
}

#[test]
fn a_moved_session_asks_again_elsewhere_what_may_be_asked_twice() {
    let mut table = Table::connected();
    table.submit(read("/a"));
    table.submit(write("/a"));
    assert_eq!(
        table.reply(1, 1, Err(ErrorCode::SessionMoved)),
        ["disconnect", "state Suspended", "2 ConnectionLoss", "connect"]
    );
    table.step(SessionInput::Connected);
    assert_eq!(table.greet(7), ["state Connected", "send 3"], "the read");
    // A write is reported to whoever made it: surely not done.
    table.submit(write("/a"));
    table.reply(3, 2, data());
    assert_eq!(table.reply(4, 2, Err(ErrorCode::SessionMoved))[0], "3 Refused(SessionMoved)");
}

#[test]
fn the_end_of_a_session_leaves_a_write_in_doubt_that_was_sent_before() {
    let mut table = Table::connected();
    table.submit_with(write("/a"), None, Retry::Always);
    assert_eq!(table.reconnect(), ["state Connected", "send 2"]);
    assert_eq!(table.reply(2, 1, Err(ErrorCode::SessionExpired))[0], "1 ConnectionLoss");
}

#[test]
fn operations_under_way_are_bounded() {
    let mut table = Table::new();
    for _ in 0..OPERATIONS_OUTSTANDING_MAX {
        assert!(table.submit(read("/a")).is_empty());
    }
    let last = OPERATIONS_OUTSTANDING_MAX + 1;
    assert_eq!(table.submit(read("/a")), [format!("{last} TooManyOutstanding")]);
    table.step(SessionInput::Woken);
    table.step(SessionInput::Connected);
    assert_eq!(table.greet(7).len(), OPERATIONS_OUTSTANDING_MAX + 1);
    table.reply(1, 9, data());
    assert_eq!(table.submit(read("/a")), [format!("send {last}")]);
}

#[test]
fn a_request_larger_than_a_frame_is_refused_before_it_leaves() {
    let mut table = Table::connected();
    let data = Some(Bytes::from(vec![0; mailstorm_wire::frame::REQUEST_BYTES_MAX]));
    let create = Write::Create {
        path: "/a".into(),
        data,
        acl: Vec::new(),
        mode: CreateMode::Persistent,
        ttl: 0,
        stat: true,
    };
    assert_eq!(table.submit(Request::Write(create)), ["1 RequestTooLarge"]);
    let secret = Bytes::from(vec![0; mailstorm_wire::frame::REQUEST_BYTES_MAX]);
    let auth = Request::Auth { scheme: "digest".into(), credentials: secret };
    assert_eq!(table.submit(auth), ["2 RequestTooLarge"]);
    assert_eq!(table.submit(read("/a")), ["send 1"]);
}

#[test]
fn an_operation_over_which_every_connection_breaks_is_given_up() {
    let mut table = Table::connected();
    table.submit(read("/poison"));
    for _ in 1..SENDS_MAX {
        table.step(SessionInput::Closed);
        while table.step(SessionInput::Connected).is_empty() {
            // After each round of servers without success there is a pause.
            table.at(table.now + 1_000);
        }
        table.greet(7);
    }
    assert!(table.step(SessionInput::Closed).contains(&"1 ConnectionLoss".to_owned()));
}

#[test]
fn closing_says_goodbye_after_everything_else() {
    let mut table = Table::connected();
    table.submit(write("/a"));
    assert_eq!(table.step(SessionInput::Close), ["send 2"]);
    assert_eq!(table.submit(read("/a")), ["2 Closed"]);
    assert_eq!(table.reply(1, 20, stat()), ["1 ok"]);
    assert_eq!(table.reply(2, 21, Ok(Reply::Empty)), ["disconnect", "state Closed"]);
}

#[test]
fn a_goodbye_whose_answer_is_lost_is_said_again_and_expiry_is_a_fine_answer() {
    let mut table = Table::connected();
    table.step(SessionInput::Close);
    table.step(SessionInput::Closed);
    table.step(SessionInput::Connected);
    let mut again = Table { core: table.core.clone(), ..table };
    assert_eq!(again.greet(7), ["state Connected", "send 2"]);
    assert_eq!(table.greet(0), ["disconnect", "state Closed"]);
}

#[test]
fn closing_without_a_server_ends_with_the_session_timeout() {
    let mut table = Table::connected();
    table.submit(write("/a"));
    table.step(SessionInput::Closed);
    table.submit(write("/b"));
    assert!(table.step(SessionInput::Close).is_empty());
    table.at(3_999);
    let told = table.at(4_000);
    assert_eq!(told.last().unwrap(), "state Closed");
    assert!(told.contains(&"2 Closed".to_owned()), "{told:?}");
}

#[test]
fn closing_before_there_is_a_session_is_at_once() {
    let mut table = Table::new();
    table.submit(read("/a"));
    table.step(SessionInput::Woken);
    assert_eq!(table.step(SessionInput::Close), ["disconnect", "1 Closed", "state Closed"]);
}

#[test]
fn a_forgotten_watch_is_not_registered_by_a_reply_that_comes_later() {
    let mut table = Table::connected();
    let get = Request::GetData { path: "/d".into(), watch: true };
    table.submit_with(get, Some(WatchId(1)), Retry::Reads);
    table.core.forget(WatchId(1));
    assert_eq!(table.reply(1, 20, data()), ["1 ok", "given up /d Data"]);
    assert!(table.event(EventKind::DataChanged, "/d", 21).is_empty());
    assert_eq!(table.reconnect(), ["state Connected"]);
}

#[test]
fn a_watch_is_given_up_when_the_last_who_waited_is_gone() {
    let mut table = Table::connected();
    for number in [1, 2] {
        let get = Request::GetData { path: "/d".into(), watch: true };
        table.submit_with(get, Some(WatchId(number)), Retry::Reads);
        assert_eq!(table.reply(number as i32, 20, data()), [format!("{number} ok")]);
    }
    table.core.forget(WatchId(1));
    assert!(table.at(1_001).is_empty(), "one still waits");
    table.core.forget(WatchId(2));
    assert_eq!(table.at(1_002), ["given up /d Data"], "before anything else is told");
    assert!(table.at(1_003).is_empty(), "once");
    // What has fired has nothing to give up.
    let get = Request::GetData { path: "/d".into(), watch: true };
    table.submit_with(get, Some(WatchId(3)), Retry::Reads);
    table.reply(3, 21, data());
    assert_eq!(table.event(EventKind::DataChanged, "/d", 22), ["deliver 3 /d"]);
    table.core.forget(WatchId(3));
    assert!(table.at(1_004).is_empty());
}

#[test]
fn a_watch_that_the_application_removes_is_given_up() {
    let mut table = Table::connected();
    let remove = || Request::RemoveWatches { path: "/r".into(), kind: WatcherType::Any };
    let add = Request::AddWatch { path: "/r".into(), mode: AddWatchMode::Persistent };
    table.submit_with(add, Some(WatchId(1)), Retry::Reads);
    table.reply(1, 20, Ok(Reply::WatchAdded));
    table.submit(remove());
    assert_eq!(
        table.reply(2, 21, Ok(Reply::Empty)),
        ["unwatched 1", "2 ok", "given up /r Persistent"]
    );
    table.submit(remove());
    assert_eq!(table.reply(3, 22, Ok(Reply::Empty)), ["3 ok"], "there was none");
}

#[test]
fn a_server_that_cannot_serve_is_left_without_a_complaint() {
    let mut table = Table::connected();
    let add = Request::AddWatch { path: "/r".into(), mode: AddWatchMode::Persistent };
    table.submit_with(add, Some(WatchId(1)), Retry::Reads);
    table.reply(1, 20, Ok(Reply::WatchAdded));
    table.reconnect();
    let told = table.reply(xid::SET_WATCHES, 20, Err(ErrorCode::ConnectionLoss));
    assert_eq!(told, ["disconnect", "state Suspended"], "a pause follows the round of servers");
}

#[test]
fn a_read_only_server_is_taken_for_reading_and_left_after_a_while() {
    let mut core = SessionCore::new(SessionConfig { read_only: true, ..CLIENT }, 4);
    let mut out = Vec::new();
    core.step(Instant(0), SessionInput::Woken, &mut out);
    core.step(Instant(1), SessionInput::Connected, &mut out);
    let response = ConnectResponse {
        timeout: 3_000,
        session: SessionId(99),
        password: Bytes::new(),
        read_only: Some(true),
    };
    let bytes = framed(&encode_connect_response(&response));
    core.step(Instant(2), SessionInput::Received(bytes), &mut out);
    assert_eq!((core.state(), core.session()), (SessionState::Connected, SessionId::NONE));
    // Answered pings keep it for so long.
    let pong = ReplyHeader { xid: xid::PING, zxid: Zxid(1), error: None };
    let pong = framed(&encode_reply(&pong, Some(&Reply::Empty)));
    for second in 1..=10 {
        core.step(Instant(second * 1_000), SessionInput::Received(pong.clone()), &mut out);
        core.step(Instant(second * 1_000), SessionInput::Woken, &mut out);
        assert_eq!(core.state(), SessionState::Connected);
    }
    core.step(Instant(10_002), SessionInput::Woken, &mut out);
    assert_eq!(core.state(), SessionState::Connecting);
}

#[test]
fn errors_say_what_is_definite() {
    assert!(!CallError::ConnectionLoss.is_definite());
    for error in [
        CallError::Refused(ErrorCode::NoNode),
        CallError::SessionExpired,
        CallError::Closed,
        CallError::TooManyOutstanding,
        CallError::RequestTooLarge,
    ] {
        assert!(error.is_definite(), "{error}");
    }
}
