//! What a session promises: nothing lost across reconnects, nothing guessed.

use crate::network::Break;
use crate::world::{SESSION_TIMEOUT, World};
use bytes::Bytes;
use mailstorm_client::{CallError, MultiError, SessionState, WatchEnd, WatchItem, open_acl};
use mailstorm_shared::facts::{ClientFact, Outcome};
use mailstorm_shared::znodes::EventKind;
use mailstorm_shared::{Millis, Observation, SessionId, Zxid};
use mailstorm_wire::client::{
    AddWatchMode, CreateMode, ErrorCode, MultiReply, Read, Request, WatchEventKind, WatcherType,
    Write,
};

fn is_write(request: &Request) -> bool {
    matches!(request, Request::Write(_))
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[test]
fn what_was_written_is_read_back() {
    let world = World::new();
    let (_, client) = world.client();
    world.run(async move {
        let (path, created) =
            client.create("/a", bytes("one"), CreateMode::Persistent, open_acl()).await.unwrap();
        assert_eq!(&*path, "/a");
        let set = client.set_data("/a", bytes("two"), 0).await.unwrap();
        assert!(set.mzxid > created.mzxid);
        let (data, stat) = client.get_data("/a").await.unwrap();
        assert_eq!((data, stat), (Some(bytes("two")), set));
        let refused = client.set_data("/a", bytes("three"), 0).await;
        assert_eq!(refused, Err(CallError::Refused(ErrorCode::BadVersion)));
        let (path, _) = client
            .create("/a/s-", None, CreateMode::EphemeralSequential, open_acl())
            .await
            .unwrap();
        assert_eq!(&*path, "/a/s-0000000000");
        let (names, _) = client.children("/a").await.unwrap();
        assert_eq!(names, ["s-0000000000".into()]);
        assert_eq!(client.ephemerals("/").await.unwrap(), [path]);
        assert_eq!(client.all_children_number("/a").await, Ok(1));
        assert_eq!(client.exists("/b").await, Ok(None));
        client.sync("/").await.unwrap();
        let reads =
            vec![Read::GetData { path: "/a".into() }, Read::Children { path: "/missing".into() }];
        let read = client.multi_read(reads).await.unwrap();
        assert!(matches!(&read[0], MultiReply::Data { data: Some(data), .. } if data == "two"));
        assert_eq!(read[1], MultiReply::Error(Some(ErrorCode::NoNode)));
        let (acl, _) = client.get_acl("/a").await.unwrap();
        assert_eq!(acl, open_acl());
        assert_eq!(client.set_acl("/a", open_acl(), 0).await.unwrap().aversion, 1);
        client.add_auth("digest", bytes("bob:secret")).await.unwrap();
        let identities = client.who_am_i().await.unwrap();
        assert!(identities.iter().any(|(scheme, _)| &**scheme == "digest"));
        client.close().await;
        assert_eq!(client.state(), SessionState::Closed);
        assert_eq!(client.exists("/a").await, Err(CallError::Closed));
    });
}

#[test]
fn a_multi_is_done_wholly_or_says_which_step_was_refused() {
    let world = World::new();
    let (_, client) = world.client();
    world.run(async move {
        let create = |path: &str| Write::Create {
            path: path.into(),
            data: None,
            acl: open_acl(),
            mode: CreateMode::Persistent,
            ttl: 0,
            stat: true,
        };
        let done = client.multi(vec![create("/a"), create("/a/b")]).await.unwrap();
        assert_eq!(done.len(), 2);
        let refused = client.multi(vec![create("/c"), create("/a"), create("/d")]).await;
        assert_eq!(refused, Err(MultiError::Step { index: 1, code: ErrorCode::NodeExists }));
        assert_eq!(client.exists("/c").await, Ok(None));
    });
}

#[test]
fn many_calls_are_under_way_at_once_and_are_done_in_order() {
    let world = World::new();
    let (_, client) = world.client();
    let story = world.clone();
    world.run(async move {
        client.create("/n", None, CreateMode::Persistent, open_acl()).await.unwrap();
        let before = story.now();
        let sets: Vec<_> = (0..100).map(|n| client.set_data("/n", None, n)).collect();
        for set in sets {
            set.await.unwrap();
        }
        assert_eq!(story.now() - before, Millis(2), "one round trip for all");
    });
}

#[test]
fn a_write_whose_reply_is_lost_is_indefinite_and_settling_shows_what_became_of_it() {
    for (when, done) in [(Break::AfterServer, true), (Break::BeforeServer, false)] {
        let world = World::new();
        let (process, client) = world.client();
        let story = world.clone();
        world.run(async move {
            client.sync("/").await.unwrap();
            story.break_around(process.id, when, is_write);
            let lost = client.create("/a", None, CreateMode::Persistent, open_acl()).await;
            assert_eq!(lost, Err(CallError::ConnectionLoss));
            assert!(!lost.unwrap_err().is_definite());
            client.settle().await.unwrap();
            assert_eq!(client.exists("/a").await.unwrap().is_some(), done, "{when:?}");
        });
        let unknown = world.observed().into_iter().filter(|observation| {
            matches!(
                observation,
                Observation::Client(ClientFact::Returned { outcome: Outcome::Unknown, .. })
            )
        });
        assert_eq!(unknown.count(), 1);
    }
}

#[test]
fn a_read_whose_reply_is_lost_is_read_again_and_observed_once() {
    let world = World::new();
    let (process, client) = world.client();
    let story = world.clone();
    world.run(async move {
        client.create("/a", bytes("x"), CreateMode::Persistent, open_acl()).await.unwrap();
        story
            .break_around(process.id, Break::AfterServer, |r| matches!(r, Request::GetData { .. }));
        let (data, _) = client.get_data("/a").await.unwrap();
        assert_eq!(data, Some(bytes("x")));
        assert_eq!(story.traps_left(), 0);
    });
    let mut open = Vec::new();
    for observation in world.observed() {
        match observation {
            Observation::Client(ClientFact::Invoked { operation, .. }) => open.push(operation),
            Observation::Client(ClientFact::Returned { operation, .. }) => {
                let place = open.iter().position(|o| *o == operation).expect("invoked before");
                open.remove(place);
            }
            _ => {}
        }
    }
    assert!(open.is_empty());
}

#[test]
fn what_was_asked_before_a_reconnect_is_answered_before_what_was_asked_later() {
    let world = World::new();
    let (process, client) = world.client();
    let story = world.clone();
    world.run(async move {
        client.create("/a", None, CreateMode::Persistent, open_acl()).await.unwrap();
        story.cut(process.id);
        assert_eq!(client.state_changed().await, SessionState::Suspended);
        // Both wait for the connection; the first must not see the second.
        let read = client.get_data("/a");
        let write = client.set_data("/a", bytes("new"), -1);
        assert_eq!(read.await.unwrap().0, None);
        write.await.unwrap();
    });
}

#[test]
fn a_session_outlives_its_connection_and_keeps_its_ephemerals() {
    let world = World::new();
    let (process, client) = world.client();
    let (_, other) = world.client();
    let story = world.clone();
    world.run(async move {
        client.create("/e", None, CreateMode::Ephemeral, open_acl()).await.unwrap();
        let session = client.session();
        for _ in 0..5 {
            story.cut(process.id);
            story.sleep(SESSION_TIMEOUT).await;
            assert_eq!((client.session(), client.state()), (session, SessionState::Connected));
        }
        assert!(other.exists("/e").await.unwrap().is_some());
    });
}

#[test]
fn an_idle_session_is_kept_alive_by_pings() {
    let world = World::new();
    let (_, client) = world.client();
    let story = world.clone();
    world.run(async move {
        client.create("/e", None, CreateMode::Ephemeral, open_acl()).await.unwrap();
        story.sleep(Millis(SESSION_TIMEOUT.0 * 20)).await;
        assert_eq!(client.state(), SessionState::Connected);
        assert!(client.exists("/e").await.unwrap().is_some());
    });
    assert!(
        !world
            .observed()
            .iter()
            .any(|o| matches!(o, Observation::Client(ClientFact::ClientDisconnected { .. })))
    );
}

#[test]
fn a_session_that_was_silent_too_long_is_over_for_everybody_who_waits_on_it() {
    let world = World::new();
    let (process, client) = world.client();
    let (_, other) = world.client();
    let story = world.clone();
    world.run(async move {
        client.create("/e", None, CreateMode::Ephemeral, open_acl()).await.unwrap();
        let (_, gone) = other.exists_and_watch("/e").await.unwrap();
        let (_, watch) = client.exists_and_watch("/never").await.unwrap();
        story.isolate(process.id);
        assert_eq!(client.state_changed().await, SessionState::Suspended);
        let waiting = client.get_data("/e");
        assert_eq!(gone.await.unwrap().kind, WatchEventKind::Change(EventKind::Deleted));
        assert_eq!(client.state(), SessionState::Suspended, "only a server can tell");
        story.rejoin(process.id);
        assert_eq!(waiting.await.map(drop), Err(CallError::SessionExpired));
        assert_eq!(watch.await.map(drop), Err(WatchEnd::SessionLost));
        client.session_over().await;
        assert_eq!(client.state(), SessionState::Expired);
        let late = client.set_data("/e", None, -1).await;
        assert_eq!(late, Err(CallError::SessionExpired));
        assert!(late.unwrap_err().is_definite());
    });
}

#[test]
fn a_change_during_a_reconnect_still_fires_the_watch() {
    let world = World::new();
    let (process, client) = world.client();
    let (_, other) = world.client();
    let story = world.clone();
    world.run(async move {
        other.create("/a", None, CreateMode::Persistent, open_acl()).await.unwrap();
        client.sync("/").await.unwrap();
        let (_, _, data) = client.get_data_and_watch("/a").await.unwrap();
        let (_, _, child) = client.children_and_watch("/a").await.unwrap();
        let (none, exist) = client.exists_and_watch("/b").await.unwrap();
        assert_eq!(none, None);
        let mut lasting = client.add_watch("/a", AddWatchMode::PersistentRecursive).await.unwrap();
        story.isolate(process.id);
        story.cut(process.id);
        other.create("/b", None, CreateMode::Persistent, open_acl()).await.unwrap();
        other.create("/a/c", None, CreateMode::Persistent, open_acl()).await.unwrap();
        other.set_data("/a", bytes("new"), -1).await.unwrap();
        // The client learns of the loss by the silence of a server that is not there.
        story.rejoin(process.id);
        let change = |kind| WatchEventKind::Change(kind);
        assert_eq!(data.await.unwrap().kind, change(EventKind::DataChanged));
        assert_eq!(child.await.unwrap().kind, change(EventKind::ChildrenChanged));
        assert_eq!(exist.await.unwrap().kind, change(EventKind::Created));
        assert!(
            matches!(lasting.next().await, Ok(WatchItem::Event(_))),
            "lasting ones catch up, too"
        );
    });
}

#[test]
fn an_event_is_there_before_the_reply_that_shows_the_change() {
    let world = World::new();
    let (_, client) = world.client();
    world.run(async move {
        client.create("/a", None, CreateMode::Persistent, open_acl()).await.unwrap();
        let (_, _, watch) = client.get_data_and_watch("/a").await.unwrap();
        assert_eq!(watch.event(), None);
        let stat = client.set_data("/a", bytes("new"), -1).await.unwrap();
        let event = watch.event().expect("told before the reply");
        assert_eq!(event.zxid, stat.mzxid);
        assert_eq!(watch.await, Ok(event));
    });
    let told =
        |o: &Observation| matches!(o, Observation::Client(ClientFact::EventDelivered { .. }));
    let observed = world.observed();
    let event = observed.iter().position(told).expect("told");
    let last = |o: &Observation| matches!(o, Observation::Client(ClientFact::Returned { .. }));
    assert!(observed.iter().rposition(last).expect("returned") > event);
}

#[test]
fn a_lasting_watch_tells_everything_until_it_is_removed() {
    let world = World::new();
    let (_, client) = world.client();
    world.run(async move {
        client.create("/a", None, CreateMode::Persistent, open_acl()).await.unwrap();
        let mut stream = client.add_watch("/a", AddWatchMode::Persistent).await.unwrap();
        for n in 0..3 {
            let stat = client.set_data("/a", None, n).await.unwrap();
            match stream.try_next() {
                Some(WatchItem::Event(event)) => assert_eq!(event.zxid, stat.mzxid),
                other => panic!("{other:?}"),
            }
        }
        for (kind, is_there) in [(WatcherType::Persistent, true), (WatcherType::Data, false)] {
            assert_eq!(client.has_watch("/a", kind).await, Ok(is_there));
        }
        client.remove_watches("/a", WatcherType::Any).await.unwrap();
        assert_eq!(stream.next().await, Err(WatchEnd::Removed));
        assert_eq!(client.has_watch("/a", WatcherType::Any).await, Ok(false));
        let again = client.remove_watches("/a", WatcherType::Any).await;
        assert_eq!(again, Err(CallError::Refused(ErrorCode::NoWatcher)));
    });
}

#[test]
fn a_reader_who_falls_far_behind_is_told_to_look_again() {
    let world = World::new();
    let (_, client) = world.client();
    world.run(async move {
        client.create("/a", None, CreateMode::Persistent, open_acl()).await.unwrap();
        let mut stream = client.add_watch("/a", AddWatchMode::Persistent).await.unwrap();
        let max = mailstorm_client::watch::EVENTS_WAITING_MAX;
        for _ in 0..=max {
            client.set_data("/a", None, -1).await.unwrap();
        }
        assert_eq!(stream.next().await, Ok(WatchItem::Overrun));
        assert!(matches!(stream.next().await, Ok(WatchItem::Event(_))), "the latest is kept");
        assert_eq!(stream.try_next(), None);
    });
}

#[test]
fn identities_are_proven_again_on_each_connection() {
    let world = World::new();
    let (process, client) = world.client();
    let story = world.clone();
    world.run(async move {
        client.add_auth("digest", bytes("bob:secret")).await.unwrap();
        story.cut(process.id);
        let identities = client.who_am_i().await.unwrap();
        assert!(identities.iter().any(|(scheme, _)| &**scheme == "digest"));
        let refused = client.add_auth("nonsense", bytes("?")).await;
        assert_eq!(refused, Err(CallError::Refused(ErrorCode::AuthFailed)));
        let identities = client.who_am_i().await.unwrap();
        assert!(identities.iter().any(|(scheme, _)| &**scheme == "digest"), "the session goes on");
    });
}

#[test]
fn closing_takes_the_ephemerals_along_even_across_a_lost_reply() {
    for when in [Break::AfterServer, Break::BeforeServer] {
        let world = World::new();
        let (process, client) = world.client();
        let (_, other) = world.client();
        let story = world.clone();
        world.run(async move {
            client.create("/e", None, CreateMode::Ephemeral, open_acl()).await.unwrap();
            story.break_around(process.id, when, |r| matches!(r, Request::CloseSession));
            let begun = story.now();
            client.close().await;
            assert!(story.now() - begun < SESSION_TIMEOUT, "nobody waited for the expiry");
            assert_eq!(client.state(), SessionState::Closed);
            other.sync("/").await.unwrap();
            assert_eq!(other.exists("/e").await, Ok(None));
        });
    }
}

#[test]
fn a_client_that_is_dropped_ends_its_calls_and_its_session_expires() {
    let world = World::new();
    let (_, client) = world.client();
    let (_, other) = world.client();
    world.run(async move {
        client.create("/e", None, CreateMode::Ephemeral, open_acl()).await.unwrap();
        let (_, watch) = client.exists_and_watch("/x").await.unwrap();
        let sent = client.set_data("/", None, -1);
        drop(client);
        assert_eq!(sent.await, Err(CallError::ConnectionLoss));
        assert_eq!(watch.await, Err(WatchEnd::SessionLost));
        let (_, gone) = other.exists_and_watch("/e").await.unwrap();
        assert_eq!(gone.await.unwrap().kind, WatchEventKind::Change(EventKind::Deleted));
    });
}

#[test]
fn a_client_without_servers_is_closed_from_the_start() {
    let world = World::new();
    let process = world.process();
    world.run(async move {
        let config = mailstorm_client::ClientConfig::new([]);
        let client = mailstorm_client::Client::connect(process, config);
        assert_eq!(client.state(), SessionState::Closed);
        assert_eq!(client.exists("/").await, Err(CallError::Closed));
        assert_eq!((client.session(), client.last_zxid_seen()), (SessionId::NONE, Zxid::ZERO));
        client.close().await;
    });
}

#[test]
fn settling_is_a_write_of_its_own() {
    let world = World::new();
    let (_, client) = world.client();
    world.run(async move {
        let (_, stat) =
            client.create("/a", None, CreateMode::Persistent, open_acl()).await.unwrap();
        client.settle().await.unwrap();
        assert!(client.last_zxid_seen() > stat.czxid);
    });
}
