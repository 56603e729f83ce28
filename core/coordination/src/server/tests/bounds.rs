//! What a client can grow, grown to its bound and beyond: it is refused, and the server goes on.
//! The world encodes every message between servers, as a host does, so one that is too long shows.

use super::world::*;
use crate::data::{DATA_BYTES_MAX, DataOptions, WatchBounds, WatchLoad};
use crate::io::ClientId;
use crate::server::config::{IDENTITIES_PER_CLIENT_MAX, IDENTITY_BYTES_PER_CLIENT_MAX};
use bytes::Bytes;
use mailstorm_shared::SessionId;
use mailstorm_shared::znodes::EventKind::Created;
use mailstorm_wire::client::*;
use mailstorm_wire::frame::REQUEST_BYTES_MAX;

/// A world with a client of a follower.
fn with_follower() -> (World, ClientId) {
    let mut world = World::new(3);
    let leader = world.elect();
    let follower = (1..=3).map(s).find(|server| *server != leader).unwrap();
    let client = world.connect(follower, 40_000);
    (world, client)
}

fn with_client(adapt: impl Fn(&mut crate::server::ServerConfig)) -> (World, ClientId) {
    let mut world = World::with(1, adapt);
    world.elect();
    let client = world.connect(s(1), 40_000);
    (world, client)
}

fn auth(world: &mut World, client: ClientId, credentials: String) -> Result<Reply, ErrorCode> {
    let request = Request::Auth { scheme: "digest".into(), credentials: credentials.into() };
    world.send(client, xid::AUTH, &request);
    match world.got(client).as_slice() {
        [Got::Reply(xid::AUTH, result)] => result.clone(),
        other => panic!("auth was answered by {other:?}"),
    }
}

fn creation(path: &str, bytes: usize, acl: &str) -> Write {
    let (scheme, id) = acl.split_once(':').unwrap();
    let acl = Acl { permissions: permission::ALL, scheme: scheme.into(), id: id.into() };
    Write::Create {
        path: path.into(),
        data: Some(Bytes::from(vec![b'x'; bytes])),
        acl: vec![acl],
        mode: CreateMode::Persistent,
        ttl: 0,
        stat: false,
    }
}

fn create_sized(path: &str, bytes: usize) -> Request {
    Request::Write(creation(path, bytes, "world:anyone"))
}

#[test]
fn the_largest_data_can_be_created_through_a_follower_and_more_is_refused() {
    let (mut world, client) = with_follower();
    let call = world.call(client, &create_sized("/a", DATA_BYTES_MAX));
    assert_eq!(call, created("/a"));
    let Ok(Reply::Data { data: Some(data), .. }) = world.call(client, &get("/a", false)) else {
        panic!("it is there");
    };
    assert_eq!(data.len(), 1 << 20);
    let call = world.call(client, &create_sized("/b", DATA_BYTES_MAX + 1));
    assert_eq!(call, Err(ErrorCode::BadArguments));
    let set = Write::SetData {
        path: "/a".into(),
        data: Some(vec![0; (1 << 20) + 1].into()),
        version: -1,
    };
    assert_eq!(world.call(client, &Request::Write(set)), Err(ErrorCode::BadArguments));
    world.frame(client, Bytes::from(vec![0; REQUEST_BYTES_MAX + 1]));
    assert!(world.is_closed(client));
}

#[test]
fn a_client_has_so_many_identities_and_no_more() {
    let (mut world, client) = with_client(|_| {});
    for _ in 0..2 {
        for n in 1..IDENTITIES_PER_CLIENT_MAX {
            assert_eq!(auth(&mut world, client, format!("u{n}:p")), Ok(Reply::Empty), "{n}");
        }
    }
    assert_eq!(auth(&mut world, client, "one:more".into()), Err(ErrorCode::AuthFailed));
    assert!(world.is_closed(client));

    let client = world.connect(s(1), 10_000);
    let long = "u".repeat(IDENTITY_BYTES_PER_CLIENT_MAX);
    assert_eq!(auth(&mut world, client, long), Err(ErrorCode::AuthFailed));
    assert!(world.is_closed(client));
}

#[test]
fn a_multi_that_multiplies_identities_is_refused_and_its_server_goes_on() {
    let (mut world, client) = with_follower();
    for n in 1..IDENTITIES_PER_CLIENT_MAX {
        let user = format!("{n:0>450}:p");
        assert_eq!(auth(&mut world, client, user), Ok(Reply::Empty));
    }
    let steps = |count| (0..count).map(|n| creation(&format!("/{n}"), 0, "auth:")).collect();
    let Ok(Reply::Multi(results)) = world.call(client, &Request::Multi(steps(20_000))) else {
        panic!("a multi that fails is answered");
    };
    let culprit = results.iter().position(|step| *step != MultiReply::Error(None)).unwrap();
    assert_eq!(results[culprit], MultiReply::Error(Some(ErrorCode::BadArguments)));
    // Nobody else may read what it makes, so the znodes are counted.
    let znodes = |world: &World| {
        (1..=3).map(|n| world.servers[&s(n)].database.counts().znodes).collect::<Vec<_>>()
    };
    let before = znodes(&world);
    assert_eq!(before, [before[0]; 3]);
    assert!(before[0] < culprit);
    let Ok(Reply::Multi(results)) = world.call(client, &Request::Multi(steps(culprit))) else {
        panic!("a multi that just fits is answered");
    };
    assert_eq!(results.len(), culprit);
    assert_eq!(znodes(&world), [before[0] + culprit; 3], "it went everywhere");
}

#[test]
fn a_client_watches_so_much_and_no_more() {
    let client_max = WatchLoad { watches: 2, bytes: 20 };
    let bounds = WatchBounds { client_max, ..WatchBounds::default() };
    let (mut world, client) = with_client(|config| config.watches = bounds);
    let other = world.connect(s(1), 40_000);
    for path in ["/a", "/b", "/a"] {
        assert_eq!(world.call(client, &exists(path, true)), Err(ErrorCode::NoNode));
    }
    let throttled = Err(ErrorCode::Throttled);
    let lasting = Request::AddWatch { path: "/c".into(), mode: AddWatchMode::Persistent };
    assert_eq!(world.call(client, &exists("/c", true)), throttled);
    assert_eq!(world.call(client, &get("/", true)), throttled);
    assert_eq!(world.call(client, &lasting), throttled);
    assert_eq!(world.call(client, &exists("/c", false)), Err(ErrorCode::NoNode));
    world.call(other, &create("/a", CreateMode::Persistent)).unwrap();
    assert_eq!(world.got(client), [event(Created, "/a")]);
    assert_eq!(world.call(client, &lasting), Ok(Reply::WatchAdded), "there is room again");

    assert_eq!(world.call(other, &exists("/twenty-one-bytes-xxx", true)), throttled);
    assert_eq!(world.call(other, &exists("/twenty-bytes-xxxxxx", true)), Err(ErrorCode::NoNode));
    let set =
        SetWatches { exist: ["/1", "/2", "/3"].map(Into::into).to_vec(), ..SetWatches::default() };
    let third = world.connect(s(1), 40_000);
    world.send(third, xid::SET_WATCHES, &Request::SetWatches(set));
    assert_eq!(world.got(third), [Got::Reply(xid::SET_WATCHES, throttled)]);
    assert!(world.is_closed(third), "it must not believe that it watches everything");
}

#[test]
fn a_read_that_finds_more_than_a_reply_can_carry_is_refused() {
    let (mut world, client) = with_client(|_| {});
    world.call(client, &create_sized("/big", 1 << 20)).unwrap();
    let read = |count| {
        let data = vec![Read::GetData { path: "/big".into() }; count];
        Request::MultiRead(data)
    };
    assert_eq!(world.call(client, &read(20_000)), Err(ErrorCode::MarshallingError));
    let found = world.servers[&s(1)].database.read(
        &read(65),
        SessionId::NONE,
        &[],
        &DataOptions::default(),
    );
    assert_eq!(found, Err(ErrorCode::MarshallingError), "before all of it is gathered");
    assert_eq!(world.call(client, &read(64)), Err(ErrorCode::MarshallingError), "with the rest");
    assert!(matches!(world.call(client, &read(63)), Ok(Reply::Multi(steps)) if steps.len() == 63));

    let list = Request::Children { path: "/".into(), watch: false, stat: false };
    assert!(world.call(client, &list).is_ok());
    for n in 0..64 {
        let path = format!("/{n}{}", "x".repeat(1 << 20));
        world.call(client, &create(&path, CreateMode::Persistent)).unwrap();
    }
    assert_eq!(world.call(client, &list), Err(ErrorCode::MarshallingError));
    let watched = Request::Children { path: "/".into(), watch: true, stat: false };
    assert_eq!(world.call(client, &watched), Err(ErrorCode::MarshallingError));
    let kind = WatcherType::Any;
    let has_watch = Request::CheckWatches { path: "/".into(), kind };
    assert_eq!(
        world.call(client, &has_watch),
        Err(ErrorCode::NoWatcher),
        "what fails, watches not"
    );
    let steps = Request::MultiRead(vec![Read::Children { path: "/".into() }]);
    assert_eq!(world.call(client, &steps), Err(ErrorCode::MarshallingError));
}

#[test]
fn reads_that_waited_for_one_write_find_so_much_together_and_no_more() {
    let (mut world, client) = with_client(|_| {});
    world.call(client, &create_sized("/big", 1 << 20)).unwrap();
    world.slow_disks();
    world.post(client, 0, &create("/a", CreateMode::Persistent));
    for xid in 1..=70 {
        world.post(client, xid, &get("/big", false));
    }
    world.settle();
    world.quick_disks();
    let got = world.got(client);
    assert_eq!(got.len(), 71);
    let is_refused = |got: &Got| matches!(got, Got::Reply(_, Err(ErrorCode::Throttled)));
    assert_eq!(got.iter().position(is_refused), Some(65), "64 MiB after the write");
    assert!(got[65..].iter().all(is_refused));
    assert!(world.call(client, &get("/big", false)).is_ok());
}

#[test]
fn reads_sent_behind_the_handshake_find_so_much_together_and_no_more() {
    let (mut world, client) = with_client(|_| {});
    world.call(client, &create_sized("/big", 1 << 20)).unwrap();
    let behind: Vec<_> = (1..=70).map(|xid| (xid, get("/big", false))).collect();
    let early = world.open(s(1));
    world.handshake_and(early, &new_session(10_000), &behind);
    let got = world.got(early);
    let is_refused = |got: &Got| matches!(got, Got::Reply(_, Err(ErrorCode::Throttled)));
    assert_eq!(got.iter().position(is_refused), Some(64), "64 MiB after the handshake");
    assert!(got[64..].iter().all(is_refused));
}

#[test]
fn catch_ups_that_waited_for_one_write_tell_so_much_together_and_no_more() {
    let (mut world, client) = with_client(|_| {});
    for n in 0..8 {
        let path = format!("/{n}{}", "x".repeat(1 << 20));
        world.call(client, &create(&path, CreateMode::Persistent)).unwrap();
    }
    let watches = SetWatches { persistent_recursive: vec!["/".into()], ..SetWatches::default() };
    world.slow_disks();
    let fresh = world.open(s(1));
    let catch_up = (xid::SET_WATCHES, Request::SetWatches(watches));
    world.handshake_and(fresh, &new_session(10_000), &vec![catch_up; 20]);
    world.quick_disks();
    let got = world.got(fresh);
    let done = Got::Reply(xid::SET_WATCHES, Ok(Reply::Empty));
    assert_eq!(got.iter().filter(|got| **got == done).count(), 8, "each tells 8 MiB");
    assert_eq!(got.last(), Some(&Got::Reply(xid::SET_WATCHES, Err(ErrorCode::Throttled))));
    assert!(world.is_closed(fresh), "it must not believe that it watches everything");
}

#[test]
fn all_clients_together_watch_so_much_and_no_more() {
    let server_max = WatchLoad { watches: 2, bytes: 1_000 };
    let bounds = WatchBounds { server_max, ..WatchBounds::default() };
    let (mut world, client) = with_client(|config| config.watches = bounds);
    let other = world.connect(s(1), 40_000);
    assert_eq!(world.call(client, &exists("/a", true)), Err(ErrorCode::NoNode));
    assert_eq!(world.call(other, &exists("/a", true)), Err(ErrorCode::NoNode));
    assert_eq!(world.call(other, &exists("/b", true)), Err(ErrorCode::Throttled));
    world.call(client, &Request::CloseSession).unwrap();
    assert_eq!(world.call(other, &exists("/b", true)), Err(ErrorCode::NoNode), "there is room");
}

#[test]
fn there_are_so_many_sessions_and_one_more_is_refused_without_a_word() {
    let mut world = World::with(3, |config| config.sessions_max = 2);
    world.elect();
    let first = world.connect(s(1), 40_000);
    world.connect(s(2), 40_000);
    let late = world.open(s(3));
    world.handshake(late, &new_session(40_000));
    assert!(world.is_closed(late) && world.clients[&late].got.is_empty());
    world.call(first, &Request::CloseSession).unwrap();
    world.connect(s(3), 40_000);
}

#[test]
fn whoever_leaves_waits_for_room_no_longer() {
    let (mut world, client) = with_client(|config| config.outstanding_max = 1);
    world.slow_disks();
    for xid in 1..=3 {
        world.send(client, xid, &create(&format!("/{xid}"), CreateMode::Persistent));
    }
    let waiting = |world: &World| world.servers[&s(1)].forwarded.are_waited_for();
    assert!(waiting(&world));
    world.hang_up(client);
    world.settle();
    assert!(!waiting(&world));
}

#[test]
fn a_handshake_of_a_request_s_size_ends_the_connection() {
    let (mut world, _) = with_client(|_| {});
    let stranger = world.open(s(1));
    let mut frame = encode_connect_request(&new_session(10_000)).to_vec();
    frame.resize(2_000, 0);
    world.frame(stranger, frame.into());
    assert!(world.is_closed(stranger) && world.clients[&stranger].got.is_empty());
}

#[test]
fn a_client_with_too_many_bytes_under_way_is_held_before_and_after_its_handshake() {
    let (mut world, client) = with_client(|c| c.outstanding_bytes_per_client_max = 1_000);
    world.slow_disks();
    let long = get(&format!("/{:0>600}", 0), false);
    world.send(client, 0, &create("/a", CreateMode::Persistent));
    world.send(client, 1, &long);
    assert!(!world.clients[&client].held);
    world.send(client, 2, &long);
    assert!(world.clients[&client].held);

    let fresh = world.open(s(1));
    world.handshake_and(fresh, &new_session(10_000), &[(1, long.clone())]);
    assert!(!world.clients[&fresh].held);
    world.send(fresh, 2, &long);
    assert!(world.clients[&fresh].held);

    world.quick_disks();
    for (client, answers) in [(client, 3), (fresh, 2)] {
        assert!(!world.clients[&client].held);
        assert_eq!(world.got(client).len(), answers);
    }
}

#[test]
fn what_waits_of_all_clients_together_is_bounded() {
    let (mut world, writer) = with_client(|config| config.waiting_bytes_max = 1_000);
    let clients: Vec<ClientId> = (0..5).map(|_| world.connect(s(1), 40_000)).collect();
    let long = get(&format!("/{:0>500}", 0), false);
    world.slow_disks();
    let early = world.open(s(1));
    world.handshake(early, &new_session(10_000));
    for client in &clients {
        world.send(*client, 1, &sync());
    }
    world.send(writer, 1, &create("/a", CreateMode::Persistent));
    world.send(writer, 2, &long);
    assert!(!world.clients[&writer].held);
    for client in &clients[..3] {
        world.send(*client, 2, &create("/a", CreateMode::Persistent));
        world.send(*client, 3, &long);
    }
    assert!(world.clients[&clients[0]].held);
    world.send(early, 1, &long);
    assert!(world.is_closed(early), "there is no word for it before the session is there");
    world.send(clients[3], 2, &create("/b", CreateMode::Persistent));
    world.send(clients[4], 2, &Request::CloseSession);
    world.quick_disks();
    assert!(world.is_closed(clients[3]), "a later write of it might be taken");
    assert!(!world.has(s(1), "/b"));
    assert_eq!(world.got(clients[4])[1], Got::Reply(2, Ok(Reply::Empty)), "leaving makes room");
    assert_eq!(world.servers[&s(1)].clients.bytes(), 0);
    for client in &clients[..3] {
        assert!(!world.clients[client].held);
        world.got(*client);
        assert_eq!(world.call(*client, &long), Err(ErrorCode::NoNode));
    }
}

#[test]
fn requests_of_too_many_bytes_wait_for_room_and_their_clients_are_held() {
    let (mut world, client) = with_client(|config| config.outstanding_bytes_max = 1_000);
    let other = world.connect(s(1), 10_000);
    world.slow_disks();
    world.send(client, 1, &create_sized("/a", 1_000));
    world.send(other, 1, &create_sized("/b", 1_000));
    world.send(client, 2, &create_sized("/c", 1_000));
    assert!(world.clients[&client].held && world.clients[&other].held);
    world.quick_disks();
    assert!(!world.clients[&client].held && !world.clients[&other].held);
    let answers = [Got::Reply(1, created("/a")), Got::Reply(2, created("/c"))];
    assert_eq!(world.got(client), answers);
    assert!(world.has(s(1), "/b"));
}

#[test]
fn writes_behind_a_sync_wait_for_room_and_are_all_made_in_their_order() {
    let mut world = World::with(3, |config| config.outstanding_max = 2);
    let leader = world.elect();
    let client = world.connect(leader, 40_000);
    // The sync is confirmed when the others speak again, and all the writes come to be asked then.
    let others: Vec<_> = (1..=3).map(s).filter(|server| *server != leader).collect();
    others.iter().for_each(|server| world.freeze(*server));
    world.send(client, 0, &sync());
    for xid in 1..=9 {
        world.send(client, xid, &create(&format!("/{xid}"), CreateMode::Persistent));
    }
    others.iter().for_each(|server| world.thaw(*server));
    world.pass(3_000);
    let got = world.got(client);
    let made = |xid: i32| Got::Reply(xid, created(&format!("/{xid}")));
    assert_eq!(got[0], Got::Reply(0, Ok(Reply::Synced("/".into()))));
    assert_eq!(got[1..], [1, 2, 3, 4, 5, 6, 7, 8, 9].map(made), "all of them, in their order");
}

#[test]
fn frames_without_sense_count_as_requests_while_they_wait() {
    let (mut world, client) = with_client(|config| config.outstanding_per_client_max = 4);
    world.slow_disks();
    world.send(client, 0, &create("/a", CreateMode::Persistent));
    for xid in 1..=3_u8 {
        assert!(!world.clients[&client].held);
        // A getData without a path.
        world.post_as(client, xid.into(), Bytes::copy_from_slice(&[0, 0, 0, xid, 0, 0, 0, 4]));
        world.settle();
    }
    assert!(world.clients[&client].held);
    world.quick_disks();
    assert!(!world.clients[&client].held);
    assert_eq!(world.got(client)[3], Got::Reply(3, Err(ErrorCode::MarshallingError)));
}
