//! A server on real sockets and files, spoken to in bytes.

use mailstorm_coordination::node::{NodeSettings, NodeStart};
use mailstorm_coordination::replica::ReplicaConfig;
use mailstorm_coordination::server::ServerConfig;
use mailstorm_host::{HostError, OnListening, Settings, real, serve};
use mailstorm_platform::Address;
use mailstorm_platform::real::{FolderError, RealPlatform};
use mailstorm_shared::machine::Start;
use mailstorm_shared::{Ensemble, Millis, ServerId};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn settings(client_address: &str, initialise: bool) -> NodeSettings {
    let me = ServerId::new(1).unwrap();
    let mut replica = ReplicaConfig::new(me, Ensemble::new([me], []).unwrap());
    replica.election_settle = Millis(1);
    replica.snapshot_every_entries = 10;
    let server = ServerConfig::new(replica);
    let mut settings = NodeSettings::new(server, Address::from(client_address), Default::default());
    settings.initialise = initialise;
    settings.storage.log_file_bytes = 4096;
    settings
}

/// The longest that one step may take, on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that runs until it is told to stop.
struct Running {
    address: String,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Running {
    /// The process ends at any moment, as by SIGKILL: nothing is said or written any more.
    fn start(folder: &Path, initialise: bool) -> Result<Self, HostError> {
        let (said, hear) = mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let folder = folder.to_owned();
        let thread = thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let platform = match RealPlatform::with_folder(&folder, NodeStart::is_ours) {
                Ok(platform) => platform,
                Err(error) => return said.send(Err(error.into())).unwrap(),
            };
            let node = NodeStart::new(settings("127.0.0.1:0", initialise));
            let up = said.clone();
            let on_listening: OnListening = Rc::new(move |bound| {
                up.send(Ok(bound[0].as_ref().unwrap().to_string())).unwrap();
            });
            let settings = Settings { on_listening: Some(on_listening), ..Settings::default() };
            let serve = serve(platform, node, settings);
            tokio::task::LocalSet::new().block_on(&runtime, async {
                tokio::select! {
                    biased;
                    _ = stopped => {}
                    ended = serve => drop(said.send(Err(ended.expect_err("nobody asks it to")))),
                }
            });
        });
        let address = hear.recv_timeout(PATIENCE).expect("it starts or says why")?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// A client that writes its bytes by hand, as the protocol's description has them.
struct Client {
    stream: TcpStream,
    session: Vec<u8>,
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as i32).to_be_bytes()[..], text.as_bytes()].concat()
}

impl Client {
    /// Connects until a session is granted: a server that has not elected itself yet hangs up.
    #[allow(
        clippy::disallowed_methods,
        reason = "how long an election takes is the machine's affair"
    )]
    fn connect(address: &str) -> Self {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut client = Self { stream, session: Vec::new() };
            let mut connect = Vec::new();
            connect.extend_from_slice(&0i32.to_be_bytes()); // protocol version
            connect.extend_from_slice(&0i64.to_be_bytes()); // last zxid seen
            connect.extend_from_slice(&10_000i32.to_be_bytes()); // timeout
            connect.extend_from_slice(&0i64.to_be_bytes()); // session
            connect.extend_from_slice(&16i32.to_be_bytes()); // password
            connect.extend_from_slice(&[0; 16]);
            connect.push(0); // read only
            client.send(&connect);
            if let Some(granted) = client.receive() {
                client.session = granted[8..16].to_vec();
                assert_ne!(client.session, [0; 8], "a new session is granted");
                return client;
            }
            thread::yield_now();
        }
        panic!("no session within {PATIENCE:?}");
    }

    fn send(&mut self, body: &[u8]) {
        let frame = [&(body.len() as i32).to_be_bytes()[..], body].concat();
        // A server that hung up is noticed at the answer.
        let _ = self.stream.write_all(&frame);
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).ok()?;
        let mut body = vec![0; i32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut body).ok()?;
        Some(body)
    }

    /// Asks, and gives the error code and what follows the reply's header.
    fn call(&mut self, xid: i32, opcode: i32, request: &[u8]) -> (i32, Vec<u8>) {
        self.send(&[&xid.to_be_bytes()[..], &opcode.to_be_bytes(), request].concat());
        let reply = self.receive().expect("an answer");
        assert_eq!(reply[..4], xid.to_be_bytes());
        let error = i32::from_be_bytes(reply[12..16].try_into().unwrap());
        (error, reply[16..].to_vec())
    }

    fn create(&mut self, xid: i32, path: &str, data: &str) -> i32 {
        let open = [&31i32.to_be_bytes()[..], &string("world"), &string("anyone")].concat();
        let acl = [&1i32.to_be_bytes()[..], &open].concat();
        let flags = 0i32.to_be_bytes();
        self.call(xid, 1, &[&string(path)[..], &string(data), &acl, &flags].concat()).0
    }

    fn get(&mut self, xid: i32, path: &str) -> Result<String, i32> {
        let (error, reply) = self.call(xid, 4, &[&string(path)[..], &[0]].concat());
        if error != 0 {
            return Err(error);
        }
        let length = i32::from_be_bytes(reply[..4].try_into().unwrap()) as usize;
        Ok(String::from_utf8(reply[4..4 + length].to_vec()).unwrap())
    }
}

const NO_NODE: i32 = -101;

#[test]
fn what_was_acknowledged_is_there_after_the_process_was_killed() {
    let folder = TempDir::new().unwrap();
    let server = Running::start(folder.path(), true).unwrap();
    let mut client = Client::connect(&server.address);
    // Enough for snapshots, new log files and a purge.
    for number in 0..100 {
        assert_eq!(client.create(number, &format!("/mail-{number}"), &format!("body {number}")), 0);
    }
    assert_eq!(client.get(100, "/mail-7").as_deref(), Ok("body 7"));
    server.kill();

    let server = Running::start(folder.path(), false).unwrap();
    let mut client = Client::connect(&server.address);
    for number in 0..100 {
        let body = format!("body {number}");
        assert_eq!(client.get(number, &format!("/mail-{number}")), Ok(body));
    }
    assert_eq!(client.get(100, "/mail-100"), Err(NO_NODE));
    let snapshots = fs::read_dir(folder.path()).unwrap();
    let names = snapshots.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    // Three are kept; a fourth is there when the kill came between a snapshot and its purge.
    let kept = names.filter(|name| name.starts_with("snapshot.0")).count();
    assert!((3..=4).contains(&kept), "{kept} snapshots");
}

/// The newest log file of a folder.
fn newest_log(folder: &Path) -> std::path::PathBuf {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_log =
        |path: &std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("log.");
    entries.filter(is_log).max().unwrap()
}

#[test]
fn a_torn_tail_is_cut_and_what_stands_before_it_is_there() {
    let folder = TempDir::new().unwrap();
    let server = Running::start(folder.path(), true).unwrap();
    let mut client = Client::connect(&server.address);
    assert_eq!(client.create(1, "/kept", "whole"), 0);
    assert_eq!(client.create(2, "/torn", "as if it had never been synced"), 0);
    server.kill();

    let log = newest_log(folder.path());
    let mut content = fs::read(&log).unwrap();
    // The entry's own end; what stands behind it is only a note of what is committed.
    let text = b"as if it had never been synced";
    let at = content.windows(text.len()).rposition(|bytes| bytes == text).unwrap();
    content[at + text.len() - 20..].fill(0);
    fs::write(&log, content).unwrap();

    let server = Running::start(folder.path(), false).unwrap();
    let mut client = Client::connect(&server.address);
    assert_eq!(client.get(1, "/kept").as_deref(), Ok("whole"));
    assert_eq!(client.get(2, "/torn"), Err(NO_NODE));
}

#[test]
fn a_damaged_folder_of_a_server_that_is_alone_is_refused_in_one_line() {
    let folder = TempDir::new().unwrap();
    let server = Running::start(folder.path(), true).unwrap();
    let mut client = Client::connect(&server.address);
    assert_eq!(client.create(1, "/kept", "whole"), 0);
    server.kill();

    let log = newest_log(folder.path());
    let mut content = fs::read(&log).unwrap();
    content[100] ^= 0x10;
    fs::write(&log, content).unwrap();

    for _ in 0..2 {
        let error = Running::start(folder.path(), false).err().expect("it has no vote").to_string();
        assert!(error.contains("no other voter") && !error.contains('\n'), "{error}");
        assert!(error.contains("damaged at offset 48"), "{error}");
    }
}

#[test]
fn an_empty_folder_is_no_new_ensemble_unless_it_is_said_to_be() {
    let folder = TempDir::new().unwrap();
    let error = Running::start(folder.path(), false).err().expect("nobody can admit it");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "a refused start leaves nothing");
    let advice = "start it with --initialise the first time";
    assert!(error.to_string().ends_with(advice), "{error}");
    Running::start(folder.path(), true).map(Running::kill).expect("nothing has begun there yet");
}

#[test]
fn a_port_in_use_is_an_error_that_names_it_and_touches_no_data() {
    let folder = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let node = NodeStart::new(settings(&address, true));
    let ended = real::run(&folder.path().join("data"), node, Settings::default());
    let error = ended.expect_err("the port is taken").to_string();
    let expected = format!(
        "cannot listen on {address}: it is in use: stop the other process, or choose another port"
    );
    assert_eq!(error, expected);
    assert!(!folder.path().join("data").exists(), "a refused first start leaves nothing behind");
}

#[test]
fn two_servers_cannot_have_one_folder() {
    let folder = TempDir::new().unwrap();
    let server = Running::start(folder.path(), true).unwrap();
    let error = Running::start(folder.path(), false).err().expect("it is in use");
    assert!(matches!(error, HostError::Folder(FolderError::InUse { .. })), "{error}");
    server.kill();
    Running::start(folder.path(), false).map(Running::kill).expect("it is free again");
}

#[test]
fn a_folder_with_other_things_in_it_is_not_taken_for_a_data_folder() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("thesis.tex"), "years of work").unwrap();
    let error = Running::start(folder.path(), true).err().expect("it is somebody's").to_string();
    assert!(error.ends_with("(it has \"thesis.tex\"): choose an empty one for `data`"), "{error}");
}

#[test]
fn a_four_letter_word_is_answered_in_plain_text() {
    let folder = TempDir::new().unwrap();
    let server = Running::start(folder.path(), true).unwrap();
    let mut stream = TcpStream::connect(&server.address).unwrap();
    stream.write_all(b"ruok").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "imok");
}

#[test]
fn two_thousand_silent_sockets_keep_out_nobody() {
    let folder = TempDir::new().unwrap();
    let server = Running::start(folder.path(), true).unwrap();
    let mut served = Client::connect(&server.address);
    assert_eq!(served.create(1, "/a", "before"), 0);
    let mut flood = Vec::new();
    for _ in 0..2_000 {
        // The flooder has only so many files itself; those that the server has closed are enough.
        match TcpStream::connect(&server.address) {
            Ok(stream) => flood.push(stream),
            Err(error) => panic!("the system takes connections all the time: {error}"),
        }
    }
    for number in 0..20 {
        let mut newcomer = Client::connect(&server.address);
        assert_eq!(newcomer.get(1, "/a").as_deref(), Ok("before"), "newcomer {number}");
    }
    assert_eq!(served.create(2, "/b", "after"), 0, "who was served before still is");
}

#[test]
fn an_oversized_frame_costs_its_sender_the_connection_and_nobody_else() {
    let folder = TempDir::new().unwrap();
    let server = Running::start(folder.path(), true).unwrap();
    let mut client = Client::connect(&server.address);
    let mut stream = TcpStream::connect(&server.address).unwrap();
    stream.write_all(&[0x7f; 64]).unwrap();
    let mut answer = Vec::new();
    // The end of the stream or a reset, as the timing of the rest wants it.
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty());
    assert_eq!(client.create(1, "/still", "served"), 0);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let folder = TempDir::new().unwrap();
    let server = Running::start(folder.path(), true).unwrap();
    let mut client = Client::connect(&server.address);
    assert_eq!(client.create(1, "/a", &"x".repeat(10_000)), 0);
    let read = [&string("/a")[..], &[0]].concat();
    for xid in 2..2_002i32 {
        client.send(&[&xid.to_be_bytes()[..], &4i32.to_be_bytes(), &read].concat());
    }
    for xid in 2..2_002i32 {
        assert_eq!(client.receive().expect("an answer")[..4], xid.to_be_bytes());
    }
}
