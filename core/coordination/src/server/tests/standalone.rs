//! An ensemble of one: everything that a client can see of a server.

use super::world::*;
use crate::io::ClientId;
use bytes::Bytes;
use mailstorm_shared::facts::EnsembleFact;
use mailstorm_shared::znodes::Change;
use mailstorm_shared::znodes::EventKind::{Created, DataChanged, Deleted};
use mailstorm_shared::{SessionId, Zxid};
use mailstorm_wire::client::*;

fn alone() -> World {
    let mut world = World::new(1);
    world.elect();
    world
}

/// A world with one connected client.
fn with_client() -> (World, ClientId) {
    let mut world = alone();
    let client = world.connect(s(1), 10_000);
    (world, client)
}

#[test]
fn a_client_connects_creates_reads_writes_and_closes() {
    let (mut world, client) = with_client();
    let response = world.response(client);
    assert_eq!((response.timeout, response.read_only), (10_000, Some(false)));
    assert_eq!(world.call(client, &create("/a", CreateMode::Persistent)), created("/a"));
    assert_eq!(data(world.call(client, &get("/a", false))), "new");
    assert!(matches!(
        world.call(client, &set("/a", "2")),
        Ok(Reply::Stat(Stat { version: 1, .. }))
    ));
    assert_eq!(data(world.call(client, &get("/a", false))), "2");
    assert_eq!(world.call(client, &get("/b", false)), Err(ErrorCode::NoNode));
    assert_eq!(world.call(client, &delete("/a")), Ok(Reply::Empty));
    assert_eq!(world.call(client, &delete("/a")), Err(ErrorCode::NoNode));
    assert_eq!(world.call(client, &sync()), Ok(Reply::Synced("/".into())));
    assert_eq!(world.call(client, &Request::CloseSession), Ok(Reply::Empty));
    assert!(world.is_closed(client));
}

#[test]
fn a_refused_write_takes_a_place_in_the_order_and_its_reply_shows_it() {
    let (mut world, client) = with_client();
    let before = world.servers[&s(1)].last_applied();
    world.call(client, &delete("/missing")).unwrap_err();
    assert_eq!(world.servers[&s(1)].last_applied().0, before.0 + 1);
}

#[test]
fn an_event_leaves_before_the_reply_to_the_write_that_caused_it() {
    let (mut world, client) = with_client();
    let other = world.connect(s(1), 10_000);
    world.call(client, &exists("/a", true)).unwrap_err();
    world.call(other, &exists("/a", true)).unwrap_err();
    world.send(client, 7, &create("/a", CreateMode::Persistent));
    let expected = [event(Created, "/a"), Got::Reply(7, created("/a"))];
    assert_eq!(world.got(client), expected);
    assert_eq!(world.got(other), [event(Created, "/a")]);

    world.call(other, &get("/a", true)).unwrap();
    world.send(client, 8, &set("/a", "2"));
    world.send(client, 9, &set("/a", "3"));
    assert_eq!(world.got(other), [event(DataChanged, "/a")], "a one-shot watch fires once");
}

#[test]
fn a_lasting_watch_tells_of_every_change_until_it_is_removed() {
    let (mut world, client) = with_client();
    let watch = Request::AddWatch { path: "/".into(), mode: AddWatchMode::PersistentRecursive };
    let remove = Request::RemoveWatches { path: "/".into(), kind: WatcherType::Any };
    assert_eq!(world.call(client, &watch), Ok(Reply::WatchAdded));
    world.send(client, 1, &create("/a", CreateMode::Persistent));
    world.send(client, 2, &delete("/a"));
    let got = world.got(client);
    assert_eq!([&got[0], &got[2]], [&event(Created, "/a"), &event(Deleted, "/a")]);
    assert_eq!(world.call(client, &remove), Ok(Reply::Empty));
    assert_eq!(world.call(client, &remove), Err(ErrorCode::NoWatcher));
    assert_eq!(world.call(client, &create("/a", CreateMode::Persistent)), created("/a"));
}

#[test]
fn watches_are_armed_again_on_a_new_connection_and_tell_what_was_missed() {
    let (mut world, client) = with_client();
    world.call(client, &create("/a", CreateMode::Persistent)).unwrap();
    let seen = world.servers[&s(1)].last_applied();
    let other = world.connect(s(1), 10_000);
    world.call(other, &set("/a", "2")).unwrap();
    let again = world.resume(s(1), client);
    let watches =
        SetWatches { relative_zxid: seen, data: vec!["/a".into()], ..SetWatches::default() };
    world.send(again, xid::SET_WATCHES, &Request::SetWatches(watches));
    let reply = Got::Reply(xid::SET_WATCHES, Ok(Reply::Empty));
    assert_eq!(world.got(again), [event(DataChanged, "/a"), reply]);
}

#[test]
fn a_multi_does_all_or_nothing() {
    let (mut world, client) = with_client();
    let steps = |last: &str| {
        let Request::Write(first) = create("/a", CreateMode::Persistent) else { unreachable!() };
        let second = Write::Check { path: last.into(), version: -1 };
        Request::Multi(vec![first, second])
    };
    let failed = [MultiReply::Error(None), MultiReply::Error(Some(ErrorCode::NoNode))];
    assert_eq!(world.call(client, &steps("/b")), Ok(Reply::Multi(failed.to_vec())));
    assert!(!world.has(s(1), "/a"));
    let done = [MultiReply::Created { path: "/a".into(), stat: None }, MultiReply::Checked];
    assert_eq!(world.call(client, &steps("/a")), Ok(Reply::Multi(done.to_vec())));
    assert!(world.has(s(1), "/a"));
}

#[test]
fn a_pipelined_read_sees_the_writes_before_it_and_none_after_it() {
    let (mut world, client) = with_client();
    world.call(client, &create("/a", CreateMode::Persistent)).unwrap();
    let requests = [
        set("/a", "1"),
        get("/a", false),
        sync(),
        get("/a", false),
        set("/a", "2"),
        get("/a", false),
    ];
    for (xid, request) in requests.iter().enumerate() {
        world.post(client, xid as i32, request);
    }
    world.settle();
    let seen: Vec<String> = world
        .got(client)
        .into_iter()
        .filter_map(|got| match got {
            Got::Reply(1 | 3 | 5, result) => Some(data(result)),
            _ => None,
        })
        .collect();
    assert_eq!(seen, ["1", "1", "2"]);
}

#[test]
fn requests_sent_behind_the_handshake_are_answered_after_it() {
    let mut world = alone();
    let client = world.open(s(1));
    let auth = Request::Auth { scheme: "digest".into(), credentials: Bytes::from_static(b"u:p") };
    world.handshake_and(client, &new_session(10_000), &[(xid::AUTH, auth), (1, Request::WhoAmI)]);
    let got = world.got(client);
    assert_eq!(got[0], Got::Reply(xid::AUTH, Ok(Reply::Empty)));
    let Got::Reply(1, Ok(Reply::WhoAmI(identities))) = &got[1] else { panic!("{got:?}") };
    let shown: Vec<(&str, &str)> = identities.iter().map(|(s, id)| (&**s, &**id)).collect();
    assert_eq!(shown, [("ip", "127.0.0.1"), ("digest", "u")], "of a digest only the user");
}

#[test]
fn a_request_is_judged_by_the_identities_proved_before_it() {
    let (mut world, client) = with_client();
    let auth = Request::Auth { scheme: "digest".into(), credentials: Bytes::from_static(b"u:p") };
    let secret = |path: &str| {
        let acl = Acl { permissions: permission::ALL, scheme: "auth".into(), id: "".into() };
        let Request::Write(Write::Create { data, mode, ttl, stat, .. }) =
            create(path, CreateMode::Persistent)
        else {
            unreachable!("it creates")
        };
        Request::Write(Write::Create { path: path.into(), data, acl: vec![acl], mode, ttl, stat })
    };
    let owner = world.connect(s(1), 10_000);
    world.send(owner, xid::AUTH, &auth);
    world.got(owner);
    world.call(owner, &secret("/secret")).unwrap();
    // A read that waits for a write, a write that waits for a sync, then the credentials.
    world.slow_disks();
    world.post(client, 1, &create("/a", CreateMode::Persistent));
    world.post(client, 2, &get("/secret", false));
    world.post(client, 3, &sync());
    world.post(client, 4, &secret("/b"));
    world.post(client, xid::AUTH, &auth);
    world.post(client, 5, &get("/secret", false));
    world.post(client, 6, &secret("/c"));
    world.settle();
    world.quick_disks();
    let results: Vec<(i32, Option<ErrorCode>)> = world
        .got(client)
        .into_iter()
        .map(|got| match got {
            Got::Reply(xid, result) => (xid, result.err()),
            other => panic!("{other:?}"),
        })
        .collect();
    let (no_auth, invalid) = (Some(ErrorCode::NoAuth), Some(ErrorCode::InvalidAcl));
    let in_order =
        [(xid::AUTH, None), (1, None), (2, no_auth), (3, None), (4, invalid), (5, None), (6, None)];
    assert_eq!(results, in_order);
}

#[test]
fn refused_credentials_end_the_connection() {
    let (mut world, client) = with_client();
    let auth = Request::Auth { scheme: "kerberos".into(), credentials: Bytes::new() };
    world.send(client, xid::AUTH, &auth);
    assert_eq!(world.got(client), [Got::Reply(xid::AUTH, Err(ErrorCode::AuthFailed))]);
    assert!(world.is_closed(client));
}

#[test]
fn an_unknown_operation_is_answered_in_its_turn_and_ends_the_connection() {
    let (mut world, client) = with_client();
    world.post(client, 1, &create("/a", CreateMode::Persistent));
    // A bare check: opcode 13 stands for itself inside a multi only.
    world.post_as(client, 2, Bytes::from_static(&[0, 0, 0, 2, 0, 0, 0, 13]));
    world.post(client, 3, &get("/a", false));
    world.settle();
    let got = world.got(client);
    let refused = Got::Reply(2, Err(ErrorCode::Unimplemented));
    assert_eq!(got, [Got::Reply(1, created("/a")), refused]);
    assert!(world.is_closed(client));
}

#[test]
fn frames_without_sense_end_the_connection_and_nothing_else() {
    let (mut world, client) = with_client();
    for frame in [&b""[..], b"\0\0", &[0xff; 7]] {
        let stranger = world.open(s(1));
        world.frame(stranger, Bytes::copy_from_slice(frame));
        assert!(world.is_closed(stranger), "{frame:?} is no handshake");
        let stranger = world.connect(s(1), 10_000);
        world.frame(stranger, Bytes::copy_from_slice(&frame[..frame.len().min(4)]));
        assert!(world.is_closed(stranger), "{frame:?} is no request");
    }
    let stranger = world.connect(s(1), 10_000);
    world.frame(stranger, Bytes::from(vec![0; 2 << 20]));
    assert!(world.is_closed(stranger), "2 MiB are too many");
    assert_eq!(world.call(client, &create("/a", CreateMode::Persistent)), created("/a"));
}

#[test]
fn a_session_is_resumed_with_its_password_and_its_old_connection_is_closed() {
    let (mut world, client) = with_client();
    world.call(client, &create("/e", CreateMode::Ephemeral)).unwrap();
    let again = world.resume(s(1), client);
    assert_eq!(world.response(again), world.response(client));
    assert!(world.is_closed(client));
    assert!(world.has(s(1), "/e"));
    assert_eq!(world.call(again, &delete("/e")), Ok(Reply::Empty));
}

#[test]
fn a_wrong_password_gets_no_session_and_harms_none() {
    let (mut world, client) = with_client();
    for (session, password) in [
        (world.session(client), Bytes::from_static(&[0xEE; 16])),
        (world.session(client), Bytes::from_static(&[9; 3])),
        (SessionId(0x7777), world.response(client).password.clone()),
    ] {
        let request = ConnectRequest { session, password, ..world.resumption(client) };
        let thief = world.open(s(1));
        world.handshake(thief, &request);
        let response = world.response(thief).clone();
        assert_eq!((response.session, response.timeout), (SessionId::NONE, 0));
        assert_eq!(response.password[..], [0; 16]);
        assert!(world.is_closed(thief));
    }
    assert!(!world.is_closed(client));
}

#[test]
fn a_client_that_has_seen_more_than_the_server_is_turned_away_without_an_answer() {
    let mut world = alone();
    let client = world.open(s(1));
    let request = ConnectRequest { last_zxid_seen: Zxid(1 << 40), ..new_session(10_000) };
    world.handshake(client, &request);
    assert!(world.is_closed(client) && world.clients[&client].got.is_empty());
}

#[test]
fn the_timeout_is_negotiated_within_bounds() {
    let mut world = alone();
    for (asked_for, granted) in [(-5, 4_000), (1, 4_000), (7_000, 7_000), (9_000_000, 40_000)] {
        let client = world.connect(s(1), asked_for);
        assert_eq!(world.response(client).timeout, granted);
    }
}

#[test]
fn a_silent_session_expires_not_before_its_timeout_and_takes_its_ephemerals_along() {
    let (mut world, client) = with_client();
    world.call(client, &create("/e", CreateMode::Ephemeral)).unwrap();
    let watcher = world.connect(s(1), 40_000);
    world.call(watcher, &exists("/e", true)).unwrap();
    world.pass(9_900);
    assert!(world.has(s(1), "/e"));
    world.pass(2_200);
    assert!(!world.has(s(1), "/e"));
    assert!(world.is_closed(client));
    assert_eq!(world.got(watcher), [event(Deleted, "/e")]);
    let session = world.session(client);
    let closing = world.observed.iter().find_map(|(_, fact)| match fact {
        EnsembleFact::Applied { changes, .. } => {
            changes.contains(&Change::SessionClosed { session }).then_some(changes)
        }
        _ => None,
    });
    let gone = Change::Deleted { path: "/e".into() };
    assert!(closing.unwrap().contains(&gone), "the ephemeral goes in the closing transaction");
    let expired = world.observed.iter().any(|(_, fact)| {
        matches!(fact, EnsembleFact::SessionExpired { session: s, timeout, silent_for, .. }
            if *s == session && silent_for >= timeout)
    });
    assert!(expired);
    let late = world.resume(s(1), client);
    assert_eq!(world.response(late).session, SessionId::NONE);
}

#[test]
fn pings_keep_a_session_alive() {
    let (mut world, client) = with_client();
    for _ in 0..10 {
        world.pass(4_000);
        world.send(client, xid::PING, &Request::Ping);
    }
    assert_eq!(world.got(client).len(), 10);
    assert!(!world.is_closed(client));
}

#[test]
fn a_connection_without_a_handshake_is_closed_in_the_end() {
    let mut world = alone();
    let client = world.open(s(1));
    world.pass(60_000);
    assert!(world.is_closed(client));
}

#[test]
fn a_client_with_too_much_under_way_is_held_and_released() {
    let mut world = World::with(1, |config| config.outstanding_per_client_max = 4);
    world.elect();
    let client = world.connect(s(1), 10_000);
    world.post(client, 0, &create("/a", CreateMode::Persistent));
    world.slow_disks();
    world.settle();
    for xid in 1..6 {
        world.send(client, xid, &get("/a", false));
    }
    assert!(world.clients[&client].held);
    world.quick_disks();
    assert!(!world.clients[&client].held);
    assert_eq!(world.got(client).len(), 6);
}

#[test]
fn writes_beyond_what_a_server_may_have_under_way_wait_and_are_made_in_their_order() {
    let mut world = World::with(1, |config| config.outstanding_max = 2);
    world.elect();
    let clients: Vec<ClientId> = (0..2).map(|_| world.connect(s(1), 10_000)).collect();
    world.slow_disks();
    for xid in 0..4 {
        for (n, client) in clients.iter().enumerate() {
            world.send(*client, xid, &create(&format!("/{n}-{xid}"), CreateMode::Persistent));
        }
    }
    assert!(clients.iter().any(|client| world.clients[client].held));
    world.quick_disks();
    for (n, client) in clients.iter().enumerate() {
        assert!(!world.clients[client].held);
        let got = world.got(*client);
        let made = |xid: i32| Got::Reply(xid, created(&format!("/{n}-{xid}")));
        assert_eq!(got, [0, 1, 2, 3].map(made));
    }
}

#[test]
fn nothing_of_a_connection_overtakes_a_write_that_waits_for_room() {
    let mut world = World::with(1, |config| config.outstanding_max = 1);
    world.elect();
    let (other, client) = (world.connect(s(1), 10_000), world.connect(s(1), 10_000));
    world.slow_disks();
    for xid in 0..2 {
        world.send(other, xid, &create(&format!("/{xid}"), CreateMode::Persistent));
    }
    world.send(client, 0, &create("/a", CreateMode::Persistent));
    // For the end of a session there is always room, but not before what came before it.
    world.send(client, 1, &Request::CloseSession);
    assert!(world.got(client).is_empty(), "the leader has no room, and nothing is refused");
    world.quick_disks();
    assert_eq!(world.got(client), [Got::Reply(0, created("/a")), Got::Reply(1, Ok(Reply::Empty))]);
}

#[test]
fn only_so_many_connections_are_taken() {
    let mut world = World::with(1, |config| config.clients_max = 2);
    world.elect();
    let clients: Vec<ClientId> = (0..3).map(|_| world.open(s(1))).collect();
    let closed: Vec<bool> = clients.iter().map(|client| world.is_closed(*client)).collect();
    assert_eq!(closed, [false, false, true]);
}

#[test]
fn containers_are_swept_after_their_last_child_went() {
    let (mut world, client) = with_client();
    world.call(client, &create("/c", CreateMode::Container)).unwrap();
    world.call(client, &create("/c/a", CreateMode::Persistent)).unwrap();
    world.call(client, &delete("/c/a")).unwrap();
    for _ in 0..20 {
        world.pass(4_000);
        world.send(client, xid::PING, &Request::Ping);
    }
    assert!(!world.has(s(1), "/c"));
}

#[test]
fn a_sweep_leaves_room_for_what_clients_want() {
    let mut world = World::with(1, |config| {
        config.sweep_count_max = 3;
        config.replica.outstanding_proposals_max = 1;
    });
    world.elect();
    let client = world.connect(s(1), 40_000);
    for n in 0..9 {
        world.call(client, &create(&format!("/c{n}"), CreateMode::Container)).unwrap();
        world.call(client, &create(&format!("/c{n}/x"), CreateMode::Persistent)).unwrap();
        world.call(client, &delete(&format!("/c{n}/x"))).unwrap();
    }
    let wanted = |world: &World| world.servers[&s(1)].leading.as_ref().unwrap().queued_count();
    world.slow_disks();
    world.send(client, 1, &create("/a", CreateMode::Persistent));
    for _ in 0..4 {
        world.pass(60_000);
        assert_eq!(wanted(&world), 3, "sweeps do not pile up");
    }
}

#[test]
fn a_server_that_starts_again_has_everything_and_every_session_its_full_timeout() {
    let mut world = World::with(1, |config| {
        config.replica.snapshot_every_entries = 20;
        config.replica.sync_entries_kept = 5;
        config.snapshot_chunk_bytes = 64;
    });
    world.elect();
    let client = world.connect(s(1), 10_000);
    world.call(client, &create("/e", CreateMode::Ephemeral)).unwrap();
    for n in 0..50 {
        world.call(client, &create(&format!("/{n}"), CreateMode::Persistent)).unwrap();
    }
    assert!(world.disks[&s(1)].snapshot.is_some(), "snapshots were made on the way");
    world.pass(9_000);
    world.crash(s(1));
    world.start(s(1));
    world.elect();
    assert!((0..50).all(|n| world.has(s(1), &format!("/{n}"))) && world.has(s(1), "/e"));
    world.pass(9_000);
    let again = world.resume(s(1), client);
    assert_eq!(world.call(again, &delete("/e")), Ok(Reply::Empty));
    world.pass(13_000);
    let late = world.resume(s(1), client);
    assert_eq!(world.response(late).session, SessionId::NONE);
}

#[test]
fn a_server_without_a_leader_serves_readers_only_if_it_may() {
    for may in [false, true] {
        let mut world = World::with(3, |config| config.read_only_mode = may);
        world.elect();
        let client = world.connect(s(3), 10_000);
        world.call(client, &create("/a", CreateMode::Persistent)).unwrap();
        world.cut_off(s(3));
        world.pass(30_000);
        assert!(world.is_closed(client), "the role is lost, and with it the clients");
        let writer = world.open(s(3));
        world.handshake(writer, &new_session(10_000));
        assert!(world.is_closed(writer) && world.clients[&writer].got.is_empty());
        let reader = world.open(s(3));
        world.handshake(reader, &ConnectRequest { read_only: Some(true), ..new_session(10_000) });
        assert_eq!(world.is_closed(reader), !may);
        if may {
            assert_eq!(world.word(s(3), FourLetterWord::Isro), "ro");
            assert_eq!(data(world.call(reader, &get("/a", false))), "new");
            assert_eq!(world.call(reader, &set("/a", "2")), Err(ErrorCode::NotReadOnly));
            world.heal(s(3));
            world.elect();
            assert!(world.is_closed(reader), "a reader should find out that it can write again");
        }
    }
}

#[test]
fn the_same_inputs_give_the_same_state() {
    let run = || {
        let (mut world, client) = with_client();
        for n in 0..20 {
            world.call(client, &create(&format!("/{n}"), CreateMode::Ephemeral)).unwrap();
            world.call(client, &get(&format!("/{n}"), true)).unwrap();
        }
        world.pass(3_000);
        let copy = world.servers[&s(1)].clone();
        assert_eq!(copy.state_hash(), world.servers[&s(1)].state_hash());
        world.servers[&s(1)].state_hash()
    };
    assert_eq!(run(), run());
}

#[test]
fn the_answer_to_credentials_has_the_number_of_their_request() {
    let (mut world, client) = with_client();
    let auth = Request::Auth { scheme: "digest".into(), credentials: "u:p".into() };
    world.send(client, 7, &auth);
    assert_eq!(world.got(client), [Got::Reply(7, Ok(Reply::Empty))]);
}

#[test]
fn nobody_waits_for_a_znode_that_can_never_be() {
    let (mut world, client) = with_client();
    assert_eq!(world.call(client, &exists("/a\0b", true)), Err(ErrorCode::BadArguments));
    let kind = WatcherType::Any;
    let check = Request::CheckWatches { path: "/a\0b".into(), kind };
    assert_eq!(world.call(client, &check), Err(ErrorCode::NoWatcher));
}
