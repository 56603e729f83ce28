//! Who is told what: at each change, and after a reconnect.

use super::commands::{Command, history};
use super::leader::Leader;
use super::stage::Stage;
use crate::data::{DataOptions, Database, WatchBounds, WatchKind, WatchLoad, Watches};
use crate::io::ClientId;
use mailstorm_shared::znodes::EventKind;
use mailstorm_shared::{SessionId, Zxid};
use mailstorm_wire::client::{
    AddWatchMode, ErrorCode, Reply, Request, SetWatches, WatchEvent, WatchEventKind, WatcherType,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// `CLIENT KIND PATH`, kinds: data, exist, child, persistent, recursive.
fn add(watches: &mut Watches, line: &str) {
    let words: Vec<_> = line.split(' ').collect();
    let (client, path) = (ClientId(words[0].parse().unwrap()), words[2].into());
    match words[1] {
        "data" => watches.add_one_shot(client, path, WatchKind::Data).unwrap(),
        "exist" => watches.add_one_shot(client, path, WatchKind::Exist).unwrap(),
        "child" => watches.add_one_shot(client, path, WatchKind::Child).unwrap(),
        "persistent" => watches.add_lasting(client, path, AddWatchMode::Persistent).unwrap(),
        "recursive" => {
            watches.add_lasting(client, path, AddWatchMode::PersistentRecursive).unwrap()
        }
        kind => panic!("what is {kind}?"),
    }
}

fn show(event: &WatchEvent) -> String {
    let kind = match event.kind {
        WatchEventKind::Change(EventKind::Created) => "created",
        WatchEventKind::Change(EventKind::Deleted) => "deleted",
        WatchEventKind::Change(EventKind::DataChanged) => "data",
        WatchEventKind::Change(EventKind::ChildrenChanged) => "children",
        kind => panic!("{kind:?} is no change"),
    };
    format!("{kind} {}", event.path)
}

/// Watches, then pairs of a write and the events it gives, as `CLIENT EVENT PATH`.
fn check(watched: &[&str], lines: &[(&str, &str)]) {
    let mut stage = Stage::new(DataOptions::default());
    let mut watches = Watches::default();
    for watch in watched {
        add(&mut watches, watch);
    }
    stage.lags = true;
    for (line, expected) in lines {
        stage.run(line);
        let mut told = Vec::new();
        for applied in stage.settle() {
            let zxid = stage.database.last_applied();
            for change in &applied.changes {
                for (client, event) in watches.trigger(zxid, change) {
                    assert_eq!(event.zxid, zxid);
                    told.push(format!("{} {}", client.0, show(&event)));
                }
            }
        }
        assert_eq!(told.join(", "), *expected, "{line} with {watched:?}");
    }
}

#[test]
fn a_one_shot_watch_tells_once() {
    check(
        &["1 exist /a", "2 child /"],
        &[("create /a", "1 created /a, 2 children /"), ("set /a", ""), ("delete /a", "")],
    );
    check(&["1 exist /a"], &[("create /b", ""), ("create /a", "1 created /a")]);
    check(
        &["1 data /zookeeper", "1 child /zookeeper"],
        &[
            ("create /zookeeper/x", "1 children /zookeeper"),
            ("set /zookeeper", "1 data /zookeeper"),
        ],
    );
}

#[test]
fn a_deletion_uses_up_all_one_shot_watches_with_one_event() {
    check(&["1 exist /other"], &[("create /a", ""), ("create /a/b", ""), ("delete /a/b", "")]);
    check(
        &["7 data /zookeeper", "1 child /zookeeper"],
        &[("delete /zookeeper", ""), ("create /zookeeper/y", "1 children /zookeeper")],
    );
    let mut watches = Watches::default();
    for line in ["1 data /a", "1 child /a", "2 child /a", "3 child /", "3 data /a"] {
        add(&mut watches, line);
    }
    let deleted = mailstorm_shared::znodes::Change::Deleted { path: "/a".into() };
    let told: Vec<_> = watches
        .trigger(Zxid(9), &deleted)
        .iter()
        .map(|(client, event)| format!("{} {}", client.0, show(event)))
        .collect();
    assert_eq!(told, ["1 deleted /a", "2 deleted /a", "3 deleted /a", "3 children /"]);
    assert_eq!(watches, Watches::default());
}

#[test]
fn a_persistent_watch_tells_of_the_znode_and_its_list_of_children_and_stays() {
    check(
        &["1 persistent /a"],
        &[
            ("create /a", "1 created /a"),
            ("set /a", "1 data /a"),
            ("set /a", "1 data /a"),
            ("create /a/b", "1 children /a"),
            ("set /a/b", ""),
            ("create /a/b/c", ""),
            ("delete /a/b/c", ""),
            ("delete /a/b", "1 children /a"),
            ("acl /a", ""),
            ("delete /a", "1 deleted /a"),
            ("create /a", "1 created /a"),
        ],
    );
}

#[test]
fn a_recursive_watch_tells_of_everything_below_but_not_of_lists_of_children() {
    check(
        &["1 recursive /a"],
        &[
            ("create /a", "1 created /a"),
            ("create /a/b", "1 created /a/b"),
            ("create /a/b/c", "1 created /a/b/c"),
            ("create /ab", ""),
            ("set /a/b/c", "1 data /a/b/c"),
            ("delete /a/b/c", "1 deleted /a/b/c"),
            ("set /a", "1 data /a"),
        ],
    );
    check(&["1 recursive /"], &[("create /a", "1 created /a"), ("set /", "1 data /")]);
}

#[test]
fn a_client_gets_one_event_per_path_however_many_of_its_watches_match() {
    check(
        &["1 exist /a", "1 persistent /a", "1 recursive /a", "1 recursive /", "2 recursive /"],
        &[("create /a", "1 created /a, 2 created /a"), ("set /a", "1 data /a, 2 data /a")],
    );
    check(
        &["2 child /", "2 persistent /", "2 recursive /", "1 persistent /"],
        &[("create /a", "1 children /, 2 created /a, 2 children /")],
    );
}

#[test]
fn a_session_that_ends_tells_of_each_of_its_ephemerals() {
    check(
        &["1 persistent /", "1 data /a"],
        &[
            ("create /b mode=e", "1 children /"),
            ("create /a mode=e", "1 created /a, 1 children /"),
            ("close", "1 children /, 1 children /"),
        ],
    );
}

#[test]
fn a_refused_write_and_an_aborted_multi_tell_nothing() {
    check(
        &["1 recursive /", "1 child /"],
        &[
            ("create /a/b", ""),
            ("multi create /a; delete /x", ""),
            ("multi create /a; set /a", "1 created /a, 1 children /, 1 data /a"),
        ],
    );
}

#[test]
fn watches_can_be_looked_up_and_removed_by_kind() {
    let mut watches = Watches::default();
    for line in ["1 data /a", "1 recursive /a", "1 child /b", "2 data /a"] {
        add(&mut watches, line);
    }
    let (one, two) = (ClientId(1), ClientId(2));
    assert!(watches.check(one, "/a", WatcherType::Data));
    assert!(watches.check(one, "/a", WatcherType::PersistentRecursive));
    assert!(watches.check(one, "/a", WatcherType::Any));
    assert!(!watches.check(one, "/a", WatcherType::Children));
    assert!(!watches.check(two, "/b", WatcherType::Any));

    assert_eq!(watches.remove(one, "/a", WatcherType::Persistent), Err(ErrorCode::NoWatcher));
    assert_eq!(watches.remove(one, "/a", WatcherType::Data), Ok(()));
    assert_eq!(watches.remove(one, "/a", WatcherType::Data), Err(ErrorCode::NoWatcher));
    assert!(watches.check(one, "/a", WatcherType::Any));
    assert_eq!(watches.remove(one, "/a", WatcherType::Any), Ok(()));
    assert_eq!(watches.load(), WatchLoad { watches: 2, bytes: 4 });
    watches.forget_client(one);
    watches.forget_client(two);
    watches.forget_client(two);
    assert_eq!(watches, Watches::default());
}

#[test]
fn a_recursive_watch_that_is_gone_is_counted_no_more() {
    let mut watches = Watches::default();
    add(&mut watches, "1 recursive /");
    add(&mut watches, "1 recursive /");
    add(&mut watches, "1 persistent /");
    watches.remove(ClientId(1), "/", WatcherType::PersistentRecursive).unwrap();
    let mut only_persistent = Watches::default();
    add(&mut only_persistent, "1 persistent /");
    assert_eq!(watches, only_persistent);
}

#[test]
fn what_all_clients_watch_together_is_bounded_and_every_way_to_stop_makes_room() {
    let server_max = WatchLoad { watches: 2, bytes: 10 };
    let mut watches = Watches::bounded(WatchBounds { server_max, ..WatchBounds::default() });
    let try_add = |watches: &mut Watches, client, path: &str| {
        watches.add_one_shot(ClientId(client), path.into(), WatchKind::Data)
    };
    let throttled = Err(ErrorCode::Throttled);
    let changed = |path: &str| mailstorm_shared::znodes::Change::DataSet {
        path: path.into(),
        version: 1,
        value: mailstorm_shared::checksum::value_digest(None),
        bytes: 0,
    };
    assert_eq!(try_add(&mut watches, 1, "/a"), Ok(()));
    assert_eq!(try_add(&mut watches, 2, "/a"), Ok(()));
    assert_eq!(try_add(&mut watches, 2, "/a"), Ok(()), "it is the same watch");
    assert_eq!(try_add(&mut watches, 3, "/a"), throttled);
    assert_eq!(try_add(&mut watches, 2, "/b"), throttled);
    for way in ["the client is gone", "the event is told", "the watch is removed"] {
        match way {
            "the client is gone" => watches.forget_client(ClientId(1)),
            "the event is told" => assert_eq!(watches.trigger(Zxid(1), &changed("/a")).len(), 2),
            _ => watches.remove(ClientId(1), "/a", WatcherType::Any).unwrap(),
        }
        assert_eq!(try_add(&mut watches, 1, "/a"), Ok(()));
        if watches.load().watches == 1 {
            assert_eq!(try_add(&mut watches, 2, "/a"), Ok(()));
        }
        assert_eq!(try_add(&mut watches, 3, "/a"), throttled);
        assert_eq!(watches.load(), WatchLoad { watches: 2, bytes: 4 });
    }
    watches.forget_client(ClientId(2));
    assert_eq!(
        try_add(&mut watches, 2, "/long-xxxx"),
        throttled,
        "with the two bytes of the other"
    );
    assert_eq!(try_add(&mut watches, 2, "/long-xx"), Ok(()));
}

#[test]
fn an_event_is_only_for_those_who_may_read_the_znode() {
    let mut stage = Stage::new(DataOptions::default());
    stage.lags = true;
    let mut watches = Watches::default();
    add(&mut watches, "1 recursive /");
    add(&mut watches, "1 persistent /a");
    let user = [("digest".into(), "u:h".into())];
    let mut seen = |line: &str| {
        stage.run(line);
        let applied = stage.settle().pop().unwrap();
        let mut shown = Vec::new();
        for (index, change) in applied.changes.iter().enumerate() {
            for (_, event) in watches.trigger(Zxid(1), change) {
                let by_user = applied.may_see(index, &event, &user);
                let by_all = applied.may_see(index, &event, &[]);
                assert!(by_user);
                shown.push(format!("{} {by_all}", show(&event)));
            }
        }
        shown.join(", ")
    };
    assert_eq!(seen("create /a"), "created /a true");
    assert_eq!(seen("@1+u create /a/b acl=rwcda:auth:"), "created /a/b false, children /a true");
    assert_eq!(seen("@1+u set /a/b"), "data /a/b false");
    assert_eq!(seen("@1+u acl /a acl=rwcda:auth:"), "");
    assert_eq!(seen("@1+u create /a/c"), "created /a/c true, children /a false");
    assert_eq!(seen("@1+u delete /a/b"), "deleted /a/b false, children /a false");
    assert_eq!(seen("@1+u delete /a/c"), "deleted /a/c true, children /a false");
}

/// Writes before and after the point that the client has seen, and what it is told on its return.
/// `again` says what is armed afterwards, by the events of one more write.
fn check_rearm(before: &[&str], after: &[&str], set: &str, told: &str, again: &[(&str, &str)]) {
    let mut stage = Stage::new(DataOptions::default());
    for line in before {
        stage.run(line);
    }
    let mut wanted =
        SetWatches { relative_zxid: stage.database.last_applied(), ..SetWatches::default() };
    for line in after {
        stage.run(line);
    }
    for watch in set.split(", ") {
        let (kind, path) = watch.split_once(' ').unwrap();
        let list = match kind {
            "data" => &mut wanted.data,
            "exist" => &mut wanted.exist,
            "child" => &mut wanted.child,
            "persistent" => &mut wanted.persistent,
            "recursive" => &mut wanted.persistent_recursive,
            kind => panic!("what is {kind}?"),
        };
        list.push(path.into());
    }
    let mut watches = Watches::default();
    let events = watches.rearm(ClientId(1), &stage.database, &wanted, &[]).unwrap();
    assert!(events.iter().all(|event| event.zxid == Zxid::ZERO));
    let shown: Vec<_> = events.iter().map(show).collect();
    assert_eq!(shown.join(", "), told, "{before:?} {after:?} {set}");
    stage.lags = true;
    for (line, expected) in again {
        stage.run(line);
        let changes = stage.settle().pop().unwrap().changes;
        let events: Vec<_> = changes.iter().flat_map(|c| watches.trigger(Zxid(99), c)).collect();
        let shown: Vec<_> = events.iter().map(|(_, event)| show(event)).collect();
        assert_eq!(shown.join(", "), *expected, "{line} after {before:?} {after:?} {set}");
    }
}

#[test]
fn one_shot_watches_are_set_again_or_tell_what_was_missed() {
    let a: &[_] = &["create /a"];
    check_rearm(a, &[], "data /a", "", &[("set /a", "data /a"), ("set /a", "")]);
    check_rearm(a, &["set /a"], "data /a", "data /a", &[("set /a", "")]);
    check_rearm(a, &["delete /a"], "data /a", "deleted /a", &[("create /a", "")]);
    check_rearm(a, &["delete /a", "create /a"], "data /a", "data /a", &[]);
    check_rearm(a, &["create /a/b"], "data /a", "", &[("set /a", "data /a")]);
    check_rearm(&[], &[], "exist /a", "", &[("create /a", "created /a")]);
    check_rearm(&[], a, "exist /a", "created /a", &[("set /a", "")]);
    check_rearm(&[], &["create /a", "delete /a"], "exist /a", "", &[("create /a", "created /a")]);
    check_rearm(a, &[], "child /a", "", &[("create /a/b", "children /a")]);
    check_rearm(
        a,
        &["create /a/b", "delete /a/b"],
        "child /a",
        "children /a",
        &[("create /a/b", "")],
    );
    check_rearm(a, &["delete /a"], "child /a", "deleted /a", &[]);
    check_rearm(a, &["set /a"], "child /a, data /a", "data /a", &[("delete /a", "deleted /a")]);
}

#[test]
fn a_persistent_watch_catches_up_and_stays() {
    let a: &[_] = &["create /a"];
    check_rearm(a, &[], "persistent /a", "", &[("set /a", "data /a"), ("set /a", "data /a")]);
    check_rearm(a, &["set /a"], "persistent /a", "data /a", &[("set /a", "data /a")]);
    check_rearm(a, &["set /a", "create /a/b"], "persistent /a", "data /a, children /a", &[]);
    check_rearm(&[], a, "persistent /a", "created /a", &[("delete /a", "deleted /a")]);
    check_rearm(
        &[],
        &["create /a", "create /a/b"],
        "persistent /a",
        "created /a, children /a",
        &[],
    );
    check_rearm(a, &["delete /a"], "persistent /a", "deleted /a", &[("create /a", "created /a")]);
    check_rearm(
        &["create /a", "create /a/b"],
        &["delete /a/b", "delete /a"],
        "persistent /a/b",
        "deleted /a/b",
        &[],
    );
    check_rearm(&["create /x"], &["set /x"], "persistent /a/b", "", &[]);
    check_rearm(a, &["set /a"], "data /a, persistent /a", "data /a", &[("set /a", "data /a")]);
}

#[test]
fn a_recursive_watch_catches_up_with_everything_below() {
    let tree: &[_] = &["create /a", "create /a/b", "create /a/b/c", "create /a/d", "create /z"];
    let check = |after: &[&str], told| {
        check_rearm(tree, after, "recursive /a", told, &[("set /a/d", "data /a/d")])
    };
    check(&[], "");
    check(&["set /z", "create /zz"], "");
    check(&["set /a/b/c", "set /a"], "data /a, data /a/b/c");
    check(
        &["create /a/e", "create /a/e/f", "set /a/e/f"],
        "children /a, created /a/e, created /a/e/f",
    );
    // What is gone is known by its parent alone.
    check(&["delete /a/b/c"], "children /a/b");
    check(&["delete /a/b/c", "delete /a/b"], "children /a");
    let gone = ["delete /a/d", "delete /a/b/c", "delete /a/b", "delete /a"];
    check_rearm(tree, &gone, "recursive /a", "deleted /a", &[("create /a", "created /a")]);
}

#[test]
fn a_catch_up_does_not_tell_of_what_the_client_may_not_read() {
    let after = ["@1+u create /a/secret acl=rwcda:auth:", "create /a/open"];
    check_rearm(&["create /a"], &after, "recursive /a", "children /a, created /a/open", &[]);
}

/// Every znode with its data and its children, as the super user sees them.
fn everything(database: &Database) -> BTreeMap<String, (Reply, Reply)> {
    let root = [("super".into(), "".into())];
    let read =
        |request| database.read(&request, SessionId::NONE, &root, &DataOptions::default()).unwrap();
    let mut found = BTreeMap::new();
    let mut open = vec![String::from("/")];
    while let Some(path) = open.pop() {
        let data = read(Request::GetData { path: path.as_str().into(), watch: false });
        let list = Request::Children { path: path.as_str().into(), watch: false, stat: false };
        let list = read(list);
        let Reply::Children { names, .. } = &list else { panic!("{list:?} is no list") };
        let prefix = if path == "/" { "" } else { &path };
        open.extend(names.iter().map(|name| format!("{prefix}/{name}")));
        found.insert(path, (data, list));
    }
    found
}

/// The parts of an answer that a watch on data tells of.
fn data_of(reply: &Reply) -> (Zxid, Zxid) {
    let Reply::Data { stat, .. } = reply else { panic!("{reply:?} is no data") };
    (stat.czxid, stat.mzxid)
}

fn run(leader: &mut Leader, commands: &[Command]) {
    for command in commands {
        if let Some(proposal) = leader.propose(command) {
            leader.database.apply(proposal.zxid, &proposal.txn);
            leader.pending.applied(proposal.zxid);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn a_client_that_returns_learns_of_every_place_that_looks_different(
        before in history(60), after in history(40),
    ) {
        let mut leader = Leader::new(DataOptions::default());
        run(&mut leader, &before);
        let (seen, then) = (leader.database.last_applied(), everything(&leader.database));
        run(&mut leader, &after);
        let now = everything(&leader.database);

        let root = [("super".into(), "".into())];
        let all: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
        let rearm = |set: SetWatches| {
            let mut watches = Watches::default();
            let events = watches.rearm(ClientId(1), &leader.database, &set, &root).unwrap();
            events.iter().map(show).collect::<BTreeSet<_>>()
        };
        let paths = || all.iter().map(|path| path.as_str().into()).collect();
        let relative_zxid = seen;
        let persistent = rearm(SetWatches { relative_zxid, persistent: paths(), ..SetWatches::default() });
        let recursive = rearm(SetWatches {
            relative_zxid,
            persistent_recursive: vec!["/".into()],
            ..SetWatches::default()
        });
        for path in all {
            let told = |kind: &str, path: &str| recursive.contains(&format!("{kind} {path}"));
            let told_here = |kind: &str| persistent.contains(&format!("{kind} {path}"));
            match (then.get(path), now.get(path)) {
                (Some((data_then, list_then)), Some((data, list))) => {
                    let differs = data_of(data_then) != data_of(data);
                    prop_assert_eq!(told_here("data") || told_here("created"), differs, "{}", path);
                    prop_assert_eq!(told("data", path) || told("created", path), differs, "{}", path);
                    let lists = told_here("children") || told_here("created");
                    prop_assert!(lists || list_then == list, "{path}");
                }
                (None, Some(_)) => {
                    prop_assert!(told_here("created") && told("created", path), "{path}");
                }
                // The recursive watch is told of a place above from which it can be found out.
                (Some(_), None) => {
                    prop_assert!(told_here("deleted"), "{path}");
                    let hint = |above| told("children", above) || told("created", above);
                    prop_assert!(super::super::path::ancestors(path).any(hint), "{path}");
                }
                (None, None) => unreachable!("it is one of their paths"),
            }
        }
    }
}
