//! What four-letter words are answered: line by line as ZooKeeper 3.8.0 answers them, with other
//! numbers.

use super::world::*;
use crate::io::ClientId;
use mailstorm_wire::client::FourLetterWord::*;
use mailstorm_wire::client::*;

/// What a running ZooKeeper 3.8.0 answered after a session had created `/e`, an ephemeral znode,
/// and read it with a watch. Its version is that of a release.
const STAT: &str = "\
Zookeeper version: 3.8.0-5a02a05eddb59aee6ac762f7ea82e92a68eb9c0f, built on 02/25/2022 08:49 UTC
Clients:
 /127.0.0.1:45226[1](queued=0,recved=3,sent=3)
 /127.0.0.1:45242[0](queued=0,recved=1,sent=0)

Latency min/avg/max: 1/5.3333/8
Received: 4
Sent: 3
Connections: 2
Outstanding: 0
Zxid: 0x2
Mode: standalone
Node count: 6
";
const CONS: &str = " \
/127.0.0.1:45226[1](queued=0,recved=3,sent=3,sid=0x100001396ab0000,lop=GETD,est=1795850979108,\
to=10000,lcxid=0x2,lzxid=0x2,lresp=1287697,llat=1,minlat=0,avglat=5,maxlat=8)
 /127.0.0.1:45258[0](queued=0,recved=1,sent=0)

";
const DUMP: &str = "\
SessionTracker dump:
Session Sets (1)/(1):
1 expire at Sat Nov 28 07:29:49 UTC 2026:
\t0x100001396ab0000
ephemeral nodes dump:
Sessions with Ephemerals (1):
0x100001396ab0000:
\t/e
Connections dump:
Connections Sets (1)/(2):
2 expire at Sat Nov 28 07:29:51 UTC 2026:
\tip: /127.0.0.1:45268 sessionId: 0x0
\tip: /127.0.0.1:45226 sessionId: 0x100001396ab0000
";
const WCHS: &str = "1 connections watching 1 paths\nTotal watches:1\n";

/// A text with `#` for each number, names of weekdays and months, and what follows a version's
/// numbers.
fn shape(text: &str) -> String {
    const NAMES: [&str; 19] = [
        "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "Jan", "Feb", "Mar", "Apr", "May", "Jun",
        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut shape = String::new();
    for line in text.split_inclusive('\n') {
        let mut rest = line;
        if let Some((before, _)) = line.split_once('-')
            && line.starts_with("Zookeeper version: ")
        {
            shape.push_str(before);
            rest = &line[line.find(", built on ").expect("parsers want a date")..];
        }
        while let Some(first) = rest.chars().next() {
            let name = NAMES.iter().find(|name| rest.starts_with(**name));
            let length = match name {
                Some(name) => name.len(),
                None if rest.starts_with("0x") => {
                    2 + rest[2..].bytes().take_while(u8::is_ascii_hexdigit).count()
                }
                None => rest.bytes().take_while(u8::is_ascii_digit).count(),
            };
            if length == 0 {
                shape.push(first);
                rest = &rest[first.len_utf8()..];
            } else {
                shape.push('#');
                rest = &rest[length..];
            }
        }
    }
    let numbers_of_versions = [("3.8.0", "#.#.#"), ("3.9.0", "#.#.#")];
    numbers_of_versions.iter().fold(shape, |shape, (from, to)| shape.replace(from, to))
}

/// One session with an ephemeral znode that it watches.
fn world() -> (World, ClientId) {
    let mut world = World::new(1);
    world.elect();
    let client = world.connect(s(1), 10_000);
    world.call(client, &create("/e", CreateMode::Ephemeral)).unwrap();
    world.call(client, &get("/e", true)).unwrap();
    (world, client)
}

#[test]
fn words_are_answered_line_by_line_as_by_zookeeper() {
    let (_, figures) = STAT.split_once("\n\n").unwrap();
    let srvr = format!("{}\n{figures}", STAT.lines().next().unwrap());
    for (word, expected) in [
        (Stat, STAT),
        (Srvr, &srvr),
        (Cons, CONS),
        (Dump, DUMP),
        (Wchs, WCHS),
        (Ruok, "imok"),
        (Isro, "rw"),
    ] {
        let (mut world, _) = world();
        let text = world.word(s(1), word);
        assert_eq!(shape(&text), shape(expected), "{text}");
    }
}

/// As kazoo's `server_version` reads the answer to `envi`.
fn version_for_kazoo(envi: &str) -> Option<Vec<u32>> {
    let fields = envi.lines().filter_map(|line| line.split_once('='));
    let (_, version) =
        fields.map(|(k, v)| (k.trim(), v.trim())).find(|(k, _)| *k == "zookeeper.version")?;
    version.split('-').next()?.split('.').map(|number| number.parse().ok()).collect()
}

#[test]
fn clients_and_monitors_find_the_version_where_they_look_for_it() {
    let (mut world, _) = world();
    assert_eq!(version_for_kazoo(&world.word(s(1), Envi)), Some(vec![3, 9, 0]));
    // As the Go clients read it: `([A-Za-z0-9.-]+), built on (\d\d/\d\d/\d{4} \d\d:\d\d
    // [A-Za-z0-9:+-]+)`.
    for word in [Srvr, Stat] {
        let text = world.word(s(1), word);
        let line = text.lines().next().unwrap().strip_prefix("Zookeeper version: ").unwrap();
        let (version, date) = line.split_once(", built on ").unwrap();
        assert!(
            version.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b)),
            "{version}"
        );
        assert_eq!(shape(date), "#/#/# #:# UTC");
    }
    let mntr = world.word(s(1), Mntr);
    assert!(mntr.starts_with("zk_version\t3.9.0-mailstorm-"), "{mntr}");
}

#[test]
fn every_line_of_mntr_is_a_key_and_a_value() {
    let (mut world, _) = world();
    let mntr = world.word(s(1), Mntr);
    for line in mntr.lines() {
        let (key, value) = line.split_once('\t').expect(line);
        assert!(key.starts_with("zk_") && !value.is_empty(), "{line}");
        let is_text = ["zk_version", "zk_server_state"].contains(&key);
        assert!(is_text || value.parse::<f64>().is_ok(), "{line}");
    }
    for line in [
        "zk_server_state\tstandalone",
        "zk_ephemerals_count\t1",
        "zk_global_sessions\t1",
        "zk_watch_count\t1",
        "zk_outstanding_requests\t0",
    ] {
        assert!(mntr.lines().any(|l| l == line), "{line} is not in {mntr}");
    }
}

#[test]
fn how_long_answers_took_is_told() {
    let (mut world, client) = world();
    world.slow_disks();
    world.send(client, 9, &set("/e", "2"));
    world.pass(1_000);
    world.quick_disks();
    world.settle();
    let cons = world.word(s(1), Cons);
    let took: u64 = cons.split("llat=").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
    assert!((1..=1_000).contains(&took), "{cons}");
    let srvr = world.word(s(1), Srvr);
    assert!(srvr.contains(&format!("/{took}\nReceived: ")), "{srvr}");
}

#[test]
fn conf_tells_what_the_server_was_configured_with() {
    let mut world = World::with(3, |config| {
        config.host.client_port = 2_181;
        config.host.data_folder = "/var/lib/mailstorm".into();
        config.host.clients_per_address_max = 60;
        let peers = (1..=3).map(|number| (s(number), format!("zk{number}:2888").into()));
        config.host.peers = peers.collect();
    });
    world.elect();
    let conf = world.word(s(2), Conf);
    for line in [
        "clientPort=2181",
        "dataDir=/var/lib/mailstorm",
        "maxClientCnxns=60",
        "serverId=2",
        "peerType=0",
        "server.3=zk3:2888:2888:participant",
    ] {
        assert!(conf.lines().any(|l| l == line), "{line} is not in {conf}");
    }
    for line in conf.lines().filter(|line| *line != "membership: ") {
        assert!(line.contains('='), "{line}");
    }
}

#[test]
fn a_follower_lists_sessions_without_the_deadlines_that_only_its_leader_knows() {
    let mut world = World::new(3);
    let leader = world.elect();
    let follower = (1..=3).map(s).find(|server| *server != leader).unwrap();
    let client = world.connect(leader, 10_000);
    world.call(client, &create("/e", CreateMode::Ephemeral)).unwrap();
    world.pass(2_000);
    let session = world.session(client).0;
    let dump = world.word(follower, Dump);
    let expected = format!(
        "SessionTracker dump:\nGlobal Sessions(1):\n{session:#x}\t10000ms\nephemeral nodes dump:\n\
         Sessions with Ephemerals (1):\n{session:#x}:\n\t/e\n"
    );
    assert!(dump.starts_with(&expected), "{dump}");
    assert!(world.word(leader, Dump).contains(" expire at "));
    let mntr = world.word(leader, Mntr);
    assert!(
        mntr.contains("zk_server_state\tleader\n") && mntr.contains("zk_synced_followers\t2\n"),
        "{mntr}"
    );
}

#[test]
fn while_nobody_is_served_only_words_that_need_no_leader_are_answered() {
    let mut world = World::new(3);
    world.elect();
    world.cut_off(s(1));
    world.pass(60_000);
    for word in FourLetterWord::ALL {
        let text = world.word(s(1), word);
        let waits = matches!(word, Srvr | Stat | Mntr | Cons | Dump | Wchs);
        assert_eq!(
            text.starts_with("This ZooKeeper instance is not currently serving"),
            waits,
            "{text}"
        );
    }
}

#[test]
fn a_word_that_is_not_listed_is_refused_as_zookeeper_refuses_it() {
    let mut world = World::with(1, |config| config.words = [Srvr, Isro].into());
    world.elect();
    assert!(world.word(s(1), Srvr).starts_with("Zookeeper version: "));
    assert_eq!(world.word(s(1), Isro), "rw");
    let refused = "ruok is not executed because it is not in the whitelist.\n";
    assert_eq!(world.word(s(1), Ruok), refused);
}
