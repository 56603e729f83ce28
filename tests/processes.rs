//! Three real servers as processes, driven by a client that nobody here wrote.
//!
//! The client is the crate `zookeeper-client`: what it understands is ZooKeeper's protocol, not
//! ours.

use crate::support::Server;
use std::collections::BTreeMap;
use std::future::Future;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;
use tempfile::TempDir;
use zookeeper_client::{
    Acls, AddWatchMode, Client, CreateMode, CreateOptions, Error, EventType, WatchedEvent,
};

const PERSISTENT: &CreateOptions<'static> = &CreateMode::Persistent.with_acls(Acls::anyone_all());
const EPHEMERAL: &CreateOptions<'static> = &CreateMode::Ephemeral.with_acls(Acls::anyone_all());
const SEQUENTIAL: &CreateOptions<'static> =
    &CreateMode::PersistentSequential.with_acls(Acls::anyone_all());

/// The limit of a znode's data.
const DATA_BYTES_MAX: usize = 1 << 20;

/// The longest that one step may take, on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(40);
/// Between two looks at something that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// An ensemble on the loopback. When a test fails, it shows what the servers logged.
struct Ensemble {
    servers: Vec<Server>,
    _folder: TempDir,
}

impl Drop for Ensemble {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for server in &self.servers {
                println!("{}", server.log());
            }
            return;
        }
        for server in &self.servers {
            assert!(!server.log().contains("panicked"), "{}", server.log());
        }
    }
}

impl Ensemble {
    /// Starts three new servers, and waits until each serves clients.
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut servers = Server::ensemble(folder.path(), 3);
        for server in &mut servers {
            server.start(&["--initialize"]);
        }
        let ensemble = Self { servers, _folder: folder };
        for index in 0..3 {
            ensemble.serves(index).await;
        }
        ensemble
    }

    /// Waits until a server serves clients.
    async fn serves(&self, index: usize) {
        let server = &self.servers[index];
        until(&format!("server {} serves", server.id), || server.mode().is_some()).await;
    }

    /// Which of the servers leads, as soon as one does.
    async fn leader(&self) -> usize {
        let mut leader = None;
        let mode = |server: &Server| server.mode();
        until("a server leads", || {
            leader = self.servers.iter().position(|s| mode(s).as_deref() == Some("leader"));
            leader.is_some()
        })
        .await;
        leader.expect("it was waited for")
    }

    /// A client of all servers.
    async fn client(&self) -> Client {
        let addresses: Vec<_> = self.servers.iter().map(Server::address).collect();
        connect(&addresses.join(",")).await
    }

    /// A client of one server alone.
    async fn client_of(&self, index: usize) -> Client {
        connect(&self.servers[index].address()).await
    }
}

async fn connect(addresses: &str) -> Client {
    let connector = || Client::connector().with_session_timeout(Duration::from_secs(5));
    let mut last = None;
    let attempts = async {
        loop {
            match connector().connect(addresses).await {
                Ok(client) => return client,
                Err(error) => last = Some(error),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    match tokio::time::timeout(PATIENCE, attempts).await {
        Ok(client) => client,
        Err(_) => panic!("no session with {addresses}: {last:?}"),
    }
}

/// Looks again and again, until it is so.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let looks = async {
        while !is_so() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    within(what, looks).await;
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("not within {PATIENCE:?}: {what}"),
    }
}

fn told(event: &WatchedEvent) -> (EventType, &str) {
    (event.event_type, &event.path)
}

/// Creates znodes and remembers which creations were acknowledged.
struct Writer {
    client: Client,
    next: u32,
    acknowledged: BTreeMap<String, Vec<u8>>,
}

impl Writer {
    /// Sends so many creations at once, calls `meanwhile` when the first has its answer, and notes
    /// those that are acknowledged.
    async fn write(
        &mut self,
        ensemble: &mut Ensemble,
        count: u32,
        meanwhile: impl FnOnce(&mut Ensemble),
    ) {
        let mut meanwhile = Some(meanwhile);
        let begun: Vec<_> = (self.next..self.next + count)
            .map(|number| {
                let path = format!("/written/{number:06}");
                // Long enough that a burst is still being sent when its first answers come.
                let data = format!("{number:>1024}").into_bytes();
                let client = self.client.clone();
                let (sent_path, sent_data) = (path.clone(), data.clone());
                // A task of its own: the request is under way whether or not anybody waits for it.
                let creation = tokio::spawn(async move {
                    client.create(&sent_path, &sent_data, PERSISTENT).await.map(|_| ())
                });
                (path, data, creation)
            })
            .collect();
        self.next += count;
        let mut is_lost = false;
        for (path, data, creation) in begun {
            match within(&path, creation).await.expect("the client does not panic") {
                Ok(()) => {
                    self.acknowledged.insert(path, data);
                }
                // Whether it was done is not known: nothing is promised. Some losses reach the
                // caller as the bare error of the socket.
                Err(Error::ConnectionLoss | Error::Custom(_)) => {}
                Err(Error::SessionExpired | Error::ClientClosed | Error::Timeout) => is_lost = true,
                Err(error) => panic!("{path}: {error}"),
            }
            if let Some(meanwhile) = meanwhile.take() {
                meanwhile(ensemble);
            }
        }
        println!("{} of {} creations are acknowledged", self.acknowledged.len(), self.next);
        if is_lost {
            self.client = ensemble.client().await;
        }
    }

    /// Writes until so many more are acknowledged.
    async fn write_acknowledged(&mut self, ensemble: &mut Ensemble, count: usize) {
        let enough = self.acknowledged.len() + count;
        within("enough writes are acknowledged", async {
            while self.acknowledged.len() < enough {
                self.write(ensemble, 25, |_| {}).await;
            }
        })
        .await;
    }
}

impl Writer {
    /// Every server has everything that was acknowledged.
    async fn expect_all(&self, ensemble: &Ensemble) {
        for index in 0..3 {
            let client = ensemble.client_of(index).await;
            client.sync("/written").await.unwrap();
            let children = client.list_children("/written").await.unwrap();
            assert!(children.len() >= self.acknowledged.len());
            for (path, expected) in &self.acknowledged {
                let (data, stat) = client
                    .get_data(path)
                    .await
                    .unwrap_or_else(|error| panic!("server {} lost {path}: {error}", index + 1));
                assert_eq!(&data, expected, "{path} on server {}", index + 1);
                assert_eq!(stat.version, 0, "{path} on server {}", index + 1);
            }
        }
    }
}

#[tokio::test]
async fn every_acknowledged_write_outlives_the_leader_that_was_killed() {
    let mut ensemble = Ensemble::start().await;
    let client = ensemble.client().await;
    client.create("/written", b"", PERSISTENT).await.unwrap();
    let mut writer = Writer { client, next: 0, acknowledged: BTreeMap::new() };
    writer.write_acknowledged(&mut ensemble, 200).await;

    let leader = ensemble.leader().await;
    // The leader dies in the middle of these.
    writer.write(&mut ensemble, 1_000, |ensemble| ensemble.servers[leader].kill()).await;
    assert!(!ensemble.servers[leader].is_running());
    writer.write_acknowledged(&mut ensemble, 200).await;
    let heir = ensemble.leader().await;
    assert_ne!(heir, leader, "a dead server leads");

    ensemble.servers[leader].start(&[]);
    ensemble.serves(leader).await;
    writer.write_acknowledged(&mut ensemble, 50).await;

    writer.expect_all(&ensemble).await;
}

/// What a server says at its end, as it says it once.
const STOPPED: &str = "stopped: all that was acknowledged is on disk";

#[cfg(unix)]
#[tokio::test]
async fn servers_that_are_asked_to_end_do_so_in_order_and_lose_nothing() {
    let mut ensemble = Ensemble::start().await;
    let client = ensemble.client().await;
    client.create("/written", b"", PERSISTENT).await.unwrap();
    let mut writer = Writer { client, next: 0, acknowledged: BTreeMap::new() };
    writer.write_acknowledged(&mut ensemble, 100).await;

    // The leader in the middle of a burst; then a follower; then one that has no majority any more.
    let leader = ensemble.leader().await;
    let end = |server: &mut Server, signal| {
        assert_eq!(server.ask_to_end(signal), Some(0), "{}", server.log());
        assert_eq!(server.log().matches(STOPPED).count(), 1, "{}", server.log());
    };
    writer.write(&mut ensemble, 1_000, |ensemble| end(&mut ensemble.servers[leader], "TERM")).await;
    writer.write_acknowledged(&mut ensemble, 50).await;
    let (second, third) = ((leader + 1) % 3, (leader + 2) % 3);
    end(&mut ensemble.servers[second], "INT");
    end(&mut ensemble.servers[third], "TERM");

    for server in &mut ensemble.servers {
        server.start(&[]);
    }
    for index in 0..3 {
        ensemble.serves(index).await;
    }
    writer.expect_all(&ensemble).await;
}

#[tokio::test]
async fn a_server_whose_log_nobody_reads_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut servers = Server::ensemble(folder.path(), 1);
    servers[0].start_without_reader(&["--initialise"]);
    let ensemble = Ensemble { servers, _folder: folder };
    ensemble.serves(0).await;
    let client = ensemble.client().await;
    client.create("/served", b"", PERSISTENT).await.unwrap();
}

#[tokio::test]
async fn a_foreign_client_creates_reads_watches_and_deletes() {
    let ensemble = Ensemble::start().await;
    let (one, two) = (ensemble.client_of(0).await, ensemble.client_of(1).await);
    assert_ne!(one.session_id(), two.session_id());

    // Create and read, across servers; conditional writes.
    let (absent, created) = one.check_and_watch_stat("/a").await.unwrap();
    assert_eq!(absent, None);
    let (stat, _) = two.create("/a", b"first", PERSISTENT).await.unwrap();
    let event = within("the creation is told", created.changed()).await;
    assert_eq!(told(&event), (EventType::NodeCreated, "/a"));
    assert_eq!(two.create("/a", b"again", PERSISTENT).await.unwrap_err(), Error::NodeExists);
    let (data, read) = one.get_data("/a").await.unwrap();
    assert_eq!((&*data, read.czxid, read.version), (&b"first"[..], stat.czxid, 0));
    assert_eq!(two.set_data("/a", b"x", Some(7)).await.unwrap_err(), Error::BadVersion);
    assert_eq!(one.get_data("/b").await.unwrap_err(), Error::NoNode);

    // Watches of every kind, told of what the other session does.
    let mut recursive = one.watch("/a", AddWatchMode::PersistentRecursive).await.unwrap();
    let (_, _, changed) = one.get_and_watch_data("/a").await.unwrap();
    let (children, listed) = one.list_and_watch_children("/a").await.unwrap();
    assert!(children.is_empty());
    let written = two.set_data("/a", b"second", Some(0)).await.unwrap();
    assert_eq!(written.version, 1);
    let event = within("the change is told", changed.changed()).await;
    assert_eq!(told(&event), (EventType::NodeDataChanged, "/a"));
    // The event came before any reply that shows the change, so the change is there now.
    assert_eq!(one.get_data("/a").await.unwrap().0, b"second");
    let (_, sequence) = two.create("/a/n-", b"", SEQUENTIAL).await.unwrap();
    let child = format!("/a/n-{sequence}");
    let event = within("the new child is told", listed.changed()).await;
    assert_eq!(told(&event), (EventType::NodeChildrenChanged, "/a"));
    assert_eq!(one.list_children("/a").await.unwrap(), [&child[3..]]);
    assert_eq!(two.delete("/a", None).await.unwrap_err(), Error::NotEmpty);
    two.delete(&child, Some(0)).await.unwrap();
    two.delete("/a", None).await.unwrap();
    for expected in [
        (EventType::NodeDataChanged, "/a"),
        (EventType::NodeCreated, &*child),
        (EventType::NodeDeleted, &*child),
        (EventType::NodeDeleted, "/a"),
    ] {
        let event = within("the recursive watch tells", recursive.changed()).await;
        assert_eq!(told(&event), expected);
    }

    // Several steps, all or none.
    let mut writer = two.new_multi_writer();
    writer.add_create("/m", b"", PERSISTENT).unwrap();
    writer.add_create("/m/child", b"", PERSISTENT).unwrap();
    writer.add_delete("/absent", None).unwrap();
    assert!(writer.commit().await.is_err());
    assert_eq!(two.check_stat("/m").await.unwrap(), None);

    // An ephemeral znode goes with its session.
    one.create("/here", b"", EPHEMERAL).await.unwrap();
    two.sync("/").await.unwrap();
    let (stat, gone) = two.check_and_watch_stat("/here").await.unwrap();
    assert_eq!(stat.expect("synchronised").ephemeral_owner, one.session_id().0);
    drop((recursive, one));
    let event = within("the end of the session is told", gone.changed()).await;
    assert_eq!(told(&event), (EventType::NodeDeleted, "/here"));
}

#[tokio::test]
async fn a_mebibyte_of_data_is_taken_and_more_is_refused() {
    let ensemble = Ensemble::start().await;
    let (one, two) = (ensemble.client_of(0).await, ensemble.client_of(2).await);
    let most: Vec<u8> = (0..DATA_BYTES_MAX).map(|index| (index % 251) as u8).collect();
    one.create("/large", &most, PERSISTENT).await.unwrap();
    two.sync("/large").await.unwrap();
    assert!(two.get_data("/large").await.unwrap().0 == most, "it is read as it was written");

    let mut more = most;
    more.push(0);
    one.create("/larger", &more, PERSISTENT).await.unwrap_err();
    one.set_data("/large", &more, None).await.unwrap_err();
    // A frame that no request may have ends the connection, and nothing else.
    more.resize(2 * DATA_BYTES_MAX, 0);
    one.create("/larger", &more, PERSISTENT).await.unwrap_err();
    two.sync("/large").await.unwrap();
    assert_eq!(two.check_stat("/larger").await.unwrap(), None);
    let stat = two.check_stat("/large").await.unwrap().expect("it was created");
    assert_eq!((stat.version, stat.data_length), (0, DATA_BYTES_MAX as i32));
    let after = ensemble.client_of(0).await;
    after.create("/small", b"goes on", PERSISTENT).await.unwrap();
}

/// What nobody should send, to either port of a server.
fn garbage() -> Vec<Vec<u8>> {
    let noise = |length: u32| (0..length).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8);
    vec![
        Vec::new(),
        vec![0],
        vec![0; 4],
        vec![0xff; 4],
        // A frame of two gigabytes, and one of a negative length.
        [&0x7fff_ffffu32.to_be_bytes()[..], &[1; 64]].concat(),
        [&0x8000_0000u32.to_be_bytes()[..], &[1; 64]].concat(),
        // A whole frame that holds nothing sensible.
        [&44u32.to_be_bytes()[..], &[0xaa; 44]].concat(),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        noise(100_000).collect(),
        handshake(0, &[7; 16])[..20].to_vec(),
        // A handshake, and then a request that is none.
        [handshake(0, &[0; 16]), 8u32.to_be_bytes().to_vec(), vec![0xee; 8]].concat(),
    ]
}

/// A client's first frame, to go on with a session.
fn handshake(session: i64, password: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.extend(0i32.to_be_bytes()); // protocol version
    frame.extend(0i64.to_be_bytes()); // last zxid seen
    frame.extend(5_000i32.to_be_bytes()); // timeout
    frame.extend(session.to_be_bytes());
    frame.extend((password.len() as i32).to_be_bytes());
    frame.extend(password);
    frame.push(0); // not read-only
    [&(frame.len() as u32).to_be_bytes()[..], &frame].concat()
}

/// What a stranger does when everything is said.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Leave,
    Wait,
}

/// Sends bytes, then goes away or waits for an answer, and returns what the other end says before
/// it closes.
fn say(port: u16, bytes: &[u8], then: Then) -> Vec<u8> {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = Vec::new();
    // The other end may close at the first wrong byte: then the rest cannot be sent, and a reset is
    // an answer, too. A connection that stays open would run into the timeout.
    let _ = connection.write_all(bytes);
    if then == Then::Leave {
        let _ = connection.shutdown(Shutdown::Write);
    }
    if let Err(error) = connection.read_to_end(&mut answer) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{bytes:?}");
    }
    answer
}

#[tokio::test]
async fn garbage_on_any_port_ends_the_connection_and_nothing_else() {
    let ensemble = Ensemble::start().await;
    let client = ensemble.client().await;
    let session = client.session_id();
    client.create("/kept", b"", EPHEMERAL).await.unwrap();
    for server in &ensemble.servers {
        for port in [server.port, server.peer_port] {
            for bytes in garbage() {
                let talk = tokio::task::spawn_blocking(move || say(port, &bytes, Then::Leave));
                within("the connection ends", talk).await.expect("it was no timeout");
            }
        }
    }
    for index in 0..3 {
        let client = ensemble.client_of(index).await;
        client.sync("/").await.unwrap();
        let stat = client.check_stat("/kept").await.unwrap().expect("its session lives");
        assert_eq!(stat.ephemeral_owner, session.0);
    }
}

#[tokio::test]
async fn a_session_is_not_given_to_those_who_have_not_its_password() {
    let ensemble = Ensemble::start().await;
    let client = ensemble.client().await;
    let session = client.session_id().0;
    client.create("/kept", b"", EPHEMERAL).await.unwrap();
    for server in &ensemble.servers {
        for password in [&[0; 16][..], &[0xff; 16], &[], &[1; 3]] {
            let (port, bytes) = (server.port, handshake(session, password));
            let talk = tokio::task::spawn_blocking(move || say(port, &bytes, Then::Wait));
            let answer = within("the connection ends", talk).await.expect("it was no timeout");
            // Length and protocol version, then the timeout: none, which says that the session is
            // over.
            assert!(answer.len() >= 20, "no answer to {password:?}");
            assert_eq!(answer[8..20], [0; 12], "{password:?} was taken by server {}", server.id);
        }
    }
    let (_, stat) = client.get_data("/kept").await.unwrap();
    assert_eq!(stat.ephemeral_owner, session);
}
