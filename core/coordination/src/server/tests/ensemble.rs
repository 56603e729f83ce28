//! Three servers: what a client may rely on wherever it is connected, and when it moves.

use super::world::*;
use crate::io::ClientId;
use mailstorm_shared::facts::EnsembleFact;
use mailstorm_shared::znodes::Change;
use mailstorm_shared::znodes::EventKind::{Created, DataChanged};
use mailstorm_shared::{ServerId, SessionId};
use mailstorm_wire::client::*;

/// A world of three, its leader, and its two followers.
fn three() -> (World, ServerId, [ServerId; 2]) {
    let mut world = World::new(3);
    let leader = world.elect();
    let followers: Vec<ServerId> = (1..=3).map(s).filter(|server| *server != leader).collect();
    (world, leader, [followers[0], followers[1]])
}

#[test]
fn a_write_through_a_follower_is_seen_there_at_once_and_everywhere_soon() {
    let (mut world, leader, [a, b]) = three();
    let client = world.connect(a, 10_000);
    assert_eq!(world.call(client, &create("/a", CreateMode::Persistent)), created("/a"));
    assert_eq!(data(world.call(client, &get("/a", false))), "new");
    assert_eq!(
        world.call(client, &create("/a", CreateMode::Persistent)),
        Err(ErrorCode::NodeExists)
    );
    world.pass(1_000);
    assert!([leader, a, b].iter().all(|server| world.has(*server, "/a")));
}

#[test]
fn pipelined_requests_at_a_follower_are_answered_in_order_each_read_after_its_writes() {
    let (mut world, _, [a, _]) = three();
    let client = world.connect(a, 10_000);
    world.call(client, &create("/a", CreateMode::Persistent)).unwrap();
    for n in 0..20 {
        world.post(client, 3 * n, &set("/a", &n.to_string()));
        world.post(client, 3 * n + 1, &get("/a", false));
        world.post(client, 3 * n + 2, &sync());
    }
    world.settle();
    world.pass(2_000);
    let seen: Vec<String> = world
        .got(client)
        .into_iter()
        .filter_map(|got| match got {
            Got::Reply(xid, result) if xid % 3 == 1 => Some(data(result)),
            _ => None,
        })
        .collect();
    let expected: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    assert_eq!(seen, expected);
}

#[test]
fn an_event_reaches_a_watcher_on_another_server_before_any_reply_that_shows_the_change() {
    let (mut world, _, [a, b]) = three();
    let writer = world.connect(a, 10_000);
    let watcher = world.connect(b, 10_000);
    world.call(writer, &create("/a", CreateMode::Persistent)).unwrap();
    world.post(watcher, 1, &sync());
    world.post(watcher, 2, &get("/a", true));
    world.settle();
    world.pass(2_000);
    world.got(watcher);
    world.post(writer, 3, &set("/a", "2"));
    for xid in 4..9 {
        world.post(watcher, xid, &get("/a", false));
    }
    world.settle();
    world.post(watcher, 9, &sync());
    world.post(watcher, 10, &get("/a", false));
    world.settle();
    world.pass(2_000);
    let got = world.got(watcher);
    let told = got.iter().position(|got| *got == event(DataChanged, "/a")).unwrap();
    let shown = got
        .iter()
        .position(
            |got| matches!(got, Got::Reply(_, Ok(Reply::Data { data: Some(d), .. })) if d == "2"),
        )
        .unwrap();
    assert!(told < shown, "{got:?}");
}

#[test]
fn a_sync_at_a_follower_makes_what_was_acknowledged_before_it_visible() {
    let (mut world, leader, [a, b]) = three();
    let writer = world.connect(leader, 10_000);
    let reader = world.connect(a, 10_000);
    world.freeze(a);
    world.call(writer, &create("/a", CreateMode::Persistent)).unwrap();
    world.post(reader, 1, &sync());
    world.post(reader, 2, &get("/a", false));
    world.thaw(a);
    world.pass(2_000);
    let got = world.got(reader);
    assert_eq!(got[0], Got::Reply(1, Ok(Reply::Synced("/".into()))));
    let Got::Reply(2, result) = &got[1] else { panic!("{got:?}") };
    assert_eq!(data(result.clone()), "new");
    assert!(world.has(b, "/a"));
}

#[test]
fn a_sync_waits_until_a_follower_that_is_behind_has_caught_up() {
    let (mut world, leader, [a, _]) = three();
    let writer = world.connect(leader, 10_000);
    let reader = world.connect(a, 10_000);
    world.call(writer, &create("/a", CreateMode::Persistent)).unwrap();
    // More than a leader sends to a learner that acknowledges nothing.
    world.slow_disks.push(a);
    for n in 0..2_100 {
        world.call(writer, &set("/a", &n.to_string())).unwrap();
    }
    world.send(reader, 1, &sync());
    world.send(reader, 2, &get("/a", false));
    assert_eq!(world.got(reader), [], "the answer is there, but not what it speaks of");
    world.quick_disks();
    let got = world.got(reader);
    let Got::Reply(2, result) = &got[1] else { panic!("{got:?}") };
    assert_eq!(data(result.clone()), "2099");
}

#[test]
fn a_write_that_waited_for_a_sync_is_judged_by_the_identities_proved_before_it() {
    let (mut world, leader, [a, b]) = three();
    let client = world.connect(leader, 10_000);
    let secret = |path: &str| {
        let acl = Acl { permissions: permission::ALL, scheme: "auth".into(), id: "".into() };
        Request::Write(Write::SetAcl { path: path.into(), acl: vec![acl], version: -1 })
    };
    world.call(client, &create("/a", CreateMode::Persistent)).unwrap();
    world.freeze(a);
    world.freeze(b);
    world.send(client, 1, &sync());
    world.send(client, 2, &secret("/a"));
    let auth = Request::Auth { scheme: "digest".into(), credentials: "u:p".into() };
    world.send(client, xid::AUTH, &auth);
    world.send(client, 3, &secret("/a"));
    world.thaw(a);
    world.thaw(b);
    world.pass(2_000);
    let got = world.got(client);
    assert_eq!(got[2], Got::Reply(2, Err(ErrorCode::InvalidAcl)));
    assert!(matches!(got[3], Got::Reply(3, Ok(Reply::Stat(_)))), "{got:?}");
}

#[test]
fn a_leader_that_no_majority_confirms_answers_no_sync() {
    let (mut world, leader, [a, b]) = three();
    let client = world.connect(leader, 10_000);
    world.freeze(a);
    world.freeze(b);
    world.send(client, 1, &sync());
    world.send(client, 2, &exists("/a", false));
    world.pass(2_000);
    assert_eq!(world.got(client), [], "and the read behind it waits");
}

#[test]
fn a_session_moves_to_another_server_and_its_old_connection_is_closed() {
    let (mut world, leader, [a, b]) = three();
    let first = world.connect(a, 10_000);
    world.call(first, &create("/e", CreateMode::Ephemeral)).unwrap();
    let mut last = first;
    for server in [b, leader, a, a, leader, b] {
        let next = world.resume(server, first);
        assert_eq!(world.response(next), world.response(first));
        assert!(world.is_closed(last), "the connection before the one at {server}");
        world.call(next, &create("/x", CreateMode::Ephemeral)).unwrap();
        world.call(next, &delete("/x")).unwrap();
        last = next;
    }
    assert!(world.has(b, "/e"));
    world.call(last, &Request::CloseSession).unwrap();
    world.pass(1_000);
    assert!([leader, a, b].iter().all(|server| !world.has(*server, "/e")));
}

#[test]
fn a_write_of_a_connection_whose_session_has_moved_has_no_effect() {
    let (mut world, leader, [a, b]) = three();
    let old = world.connect(a, 10_000);
    world.freeze(a);
    world.post(old, 1, &create("/old", CreateMode::Persistent));
    let new = world.resume(b, old);
    world.call(new, &create("/new", CreateMode::Persistent)).unwrap();
    world.thaw(a);
    world.pass(1_000);
    assert!(world.is_closed(old));
    assert!(world.has(leader, "/new") && !world.has(leader, "/old"));
    let wrong = world.got(old);
    assert!(
        wrong.is_empty() || wrong == [Got::Reply(1, Err(ErrorCode::SessionMoved))],
        "{wrong:?}"
    );
}

#[test]
fn a_resumed_session_is_served_when_nothing_of_its_old_connection_is_under_way() {
    for same_server in [true, false] {
        let (mut world, leader, [a, b]) = three();
        let old = world.connect(a, 10_000);
        // The write is proposed, and no majority has it yet.
        world.freeze(leader);
        world.post(old, 1, &create("/mine", CreateMode::Ephemeral));
        world.settle();
        world.slow_disks();
        world.thaw(leader);
        let new = world.open(if same_server { a } else { b });
        let behind = [(2, exists("/mine", false))];
        let resumption = world.resumption(old);
        world.handshake_and(new, &resumption, &behind);
        assert!(world.clients[&new].got.is_empty(), "served while a write may still come");
        // The old connection says more, too late.
        if same_server {
            world.post(old, 3, &create("/late", CreateMode::Ephemeral));
            world.settle();
        }
        world.quick_disks();
        world.pass(1_000);
        assert!(world.is_closed(old));
        let got = world.got(new);
        assert!(matches!(got[..], [Got::Reply(2, Ok(Reply::Stat(_)))]), "{got:?}");
        assert!(!world.has(leader, "/late"));
    }
}

#[test]
fn a_leader_that_was_replaced_unawares_calls_no_session_of_its_successor_ended() {
    let (mut world, old, [a, _]) = three();
    world.freeze(old);
    let new = world.elect();
    assert_ne!(new, old);
    let client = world.connect(a, 10_000);
    // Nothing of what the others did reaches it, not even that their connections are gone.
    world.forget_inputs(old);
    let resumption = world.resumption(client);
    let moved = world.post_handshake(old, &resumption, mailstorm_shared::Zxid::ZERO);
    world.thaw(old);
    assert!(world.servers[&old].leading.is_some(), "it believes to lead");
    assert!(world.clients[&moved].got.is_empty(), "it was told that the session is over");
    world.pass(20_000);
    assert!(world.is_closed(moved));
    assert!(world.clients[&moved].got.is_empty());
    // Whom a majority confirms knows what is over.
    let leader = world.elect();
    let gone = world.open(leader);
    let forged = ConnectRequest { session: mailstorm_shared::SessionId(i64::MAX), ..resumption };
    world.handshake(gone, &forged);
    assert_eq!(world.session(gone), mailstorm_shared::SessionId::NONE);
}

#[test]
fn a_session_that_moves_on_before_it_is_served_is_served_at_its_last_place_alone() {
    let (mut world, leader, [a, b]) = three();
    let old = world.connect(b, 10_000);
    let writer = world.connect(b, 40_000);
    for first_place in [a, leader] {
        // What the leader grants waits for a write that no majority has.
        world.slow_disks();
        world.send(writer, 1, &create("/x", CreateMode::Persistent));
        let first = world.open(first_place);
        let resumption = world.resumption(old);
        world.handshake(first, &resumption);
        let second = world.open(b);
        world.handshake(second, &resumption);
        world.quick_disks();
        world.pass(100);
        assert!(world.is_closed(first) && world.clients[&first].got.is_empty());
        assert_eq!(world.response(second), world.response(old));
        assert!(!world.is_closed(second));
    }
}

#[test]
fn a_connection_goes_on_when_another_fails_to_take_its_session_over() {
    let (mut world, leader, [a, _]) = three();
    let client = world.connect(a, 10_000);
    world.freeze(leader);
    let thief = world.open(a);
    let password = bytes::Bytes::from_static(&[0xEE; 16]);
    let request = ConnectRequest { password, ..world.resumption(client) };
    world.handshake(thief, &request);
    world.send(client, 1, &create("/a", CreateMode::Persistent));
    world.send(client, 2, &get("/a", false));
    assert_eq!(world.got(client), []);
    world.thaw(leader);
    assert!(world.is_closed(thief));
    let got = world.got(client);
    assert_eq!(got[0], Got::Reply(1, created("/a")));
    assert_eq!(got.len(), 2);
}

#[test]
fn a_wrong_password_takes_no_session_away() {
    let (mut world, leader, [a, b]) = three();
    let client = world.connect(a, 10_000);
    for server in [leader, a, b] {
        let password = bytes::Bytes::from_static(&[0xEE; 16]);
        let request = ConnectRequest { password, ..world.resumption(client) };
        let thief = world.open(server);
        world.handshake(thief, &request);
        assert_eq!(world.session(thief), SessionId::NONE);
        assert!(world.is_closed(thief));
    }
    assert!(!world.is_closed(client));
    world.call(client, &create("/a", CreateMode::Persistent)).unwrap();
}

#[test]
fn sessions_of_followers_live_on_pongs_and_expire_without() {
    let (mut world, leader, [a, b]) = three();
    let lively = world.connect(a, 6_000);
    let silent = world.connect(b, 6_000);
    world.call(lively, &create("/lively", CreateMode::Ephemeral)).unwrap();
    world.call(silent, &create("/silent", CreateMode::Ephemeral)).unwrap();
    for _ in 0..10 {
        world.pass(2_000);
        world.send(lively, xid::PING, &Request::Ping);
    }
    assert!(!world.is_closed(lively) && world.is_closed(silent));
    assert!([leader, a, b].iter().all(|server| world.has(*server, "/lively")));
    assert!([leader, a, b].iter().all(|server| !world.has(*server, "/silent")));
    let session = world.session(silent);
    let closings: Vec<&Vec<Change>> = world
        .observed
        .iter()
        .filter_map(|(_, fact)| match fact {
            EnsembleFact::Applied { changes, .. } => {
                changes.contains(&Change::SessionClosed { session }).then_some(changes)
            }
            _ => None,
        })
        .collect();
    assert_eq!(closings.len(), 3, "once on each server");
    assert!(closings.iter().all(|c| c.contains(&Change::Deleted { path: "/silent".into() })));
}

#[test]
fn a_session_that_expired_while_its_server_slept_is_closed_there() {
    let (mut world, leader, [a, _]) = three();
    let client = world.connect(a, 4_000);
    world.call(client, &create("/e", CreateMode::Ephemeral)).unwrap();
    world.freeze(a);
    world.post(client, 1, &get("/e", false));
    world.pass(7_000);
    assert!(!world.has(leader, "/e"));
    world.thaw(a);
    assert!(!world.has(a, "/e"));
    assert!(world.is_closed(client));
}

#[test]
fn a_session_outlives_its_server_and_its_leader() {
    let (mut world, leader, [a, _]) = three();
    let client = world.connect(leader, 10_000);
    world.call(client, &create("/e", CreateMode::Ephemeral)).unwrap();
    world.pass(1_000);
    world.crash(leader);
    let next = world.elect();
    world.pass(8_000);
    let moved = world.resume(a, client);
    assert_eq!(world.response(moved), world.response(client));
    assert!(world.has(next, "/e"));
    world.call(moved, &delete("/e")).unwrap();
    world.start(leader);
    world.elect();
    assert!(!world.has(leader, "/e"));
}

#[test]
fn servers_that_lose_their_role_close_their_clients_and_take_no_new_ones() {
    let (mut world, leader, [a, b]) = three();
    let clients: Vec<ClientId> = [leader, a, b].map(|server| world.connect(server, 40_000)).into();
    world.cut_off(leader);
    world.send(clients[0], 1, &create("/lost", CreateMode::Persistent));
    world.pass(15_000);
    assert!(clients.iter().all(|client| world.is_closed(*client)));
    assert_eq!(world.got(clients[0]), [], "nobody knows what became of it");
    let refused = world.open(leader);
    world.handshake(refused, &new_session(10_000));
    assert!(world.is_closed(refused) && world.clients[&refused].got.is_empty());
    let next = world.elect();
    assert_ne!(next, leader);
    world.heal(leader);
    world.elect();
    assert!(!world.has(leader, "/lost"), "it never reached a majority");
    let again = world.resume(leader, clients[0]);
    assert_eq!(world.response(again), world.response(clients[0]));
}

#[test]
fn a_server_that_was_away_for_long_gets_a_snapshot_and_sees_what_changes_meanwhile() {
    let mut world = World::with(3, |config| {
        config.replica.snapshot_every_entries = 20;
        config.replica.sync_entries_kept = 5;
        config.snapshot_chunk_bytes = 64;
    });
    let leader = world.elect();
    let away = (1..=3).map(s).find(|server| *server != leader).unwrap();
    world.crash(away);
    let client = world.connect(leader, 40_000);
    for n in 0..100 {
        world.call(client, &create(&format!("/{n}"), CreateMode::Persistent)).unwrap();
    }
    world.start(away);
    for n in 100..130 {
        world.call(client, &create(&format!("/{n}"), CreateMode::Persistent)).unwrap();
        world.pass(10);
    }
    world.elect();
    world.pass(2_000);
    let hashes: Vec<u64> = world
        .servers
        .values()
        .map(|server| mailstorm_shared::StateHasher::of(server.database()))
        .collect();
    assert!(hashes.iter().all(|hash| *hash == hashes[0]));
    assert!(
        world.observed.iter().any(|(server, fact)| *server == away
            && matches!(fact, EnsembleFact::SnapshotInstalled { .. }))
    );
    let watcher = world.connect(away, 40_000);
    world.call(watcher, &exists("/new", true)).unwrap_err();
    world.call(client, &create("/new", CreateMode::Persistent)).unwrap();
    world.pass(1_000);
    assert_eq!(world.got(watcher), [event(Created, "/new")]);
}

#[test]
fn equal_inputs_make_equal_servers() {
    let run = || {
        let (mut world, leader, [a, b]) = three();
        for server in [leader, a, b] {
            let client = world.connect(server, 10_000);
            for n in 0..5 {
                let path = format!("/{}-{n}", server.number());
                world.call(client, &create(&path, CreateMode::EphemeralSequential)).unwrap();
            }
        }
        world.pass(5_000);
        world.crash(leader);
        world.elect();
        world.servers.values().map(|server| server.state_hash()).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}
