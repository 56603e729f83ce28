//! How long writes wait while snapshots are written and old files removed: a server on real files,
//! and connections that keep sixteen writes of 1 KiB in flight each.
//!
//! ```text
//! cargo run --release -p mailstorm-host --example stalls [FOLDER [WRITES [SNAPSHOT_EVERY]]]
//! ```
//! The default purges twice on the way. It prints the distribution of the answers' times and every
//! one above 50 ms. What is told is the machine's affair as well: run it twice, on a disk that is
//! otherwise idle.

#![allow(clippy::disallowed_methods, reason = "it measures time on a real machine")]
#![allow(clippy::print_stdout, reason = "it is a command")]

use mailstorm_coordination::node::{NodeSettings, NodeStart};
use mailstorm_coordination::replica::ReplicaConfig;
use mailstorm_coordination::server::ServerConfig;
use mailstorm_host::{OnListening, Settings, serve};
use mailstorm_platform::Address;
use mailstorm_platform::real::RealPlatform;
use mailstorm_shared::machine::Start;
use mailstorm_shared::{Ensemble, Millis, ServerId};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 15;
const IN_FLIGHT: usize = 16;
const VALUE_BYTES: usize = 1024;
const LONG: Duration = Duration::from_millis(50);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let mut number =
        |default: usize| arguments.next().map_or(default, |text| text.parse().expect("a number"));
    let (writes, every) = (number(600_000), number(100_000));
    let folder = folder.join(format!("mailstorm-stalls-{}", std::process::id()));
    let address = start(&folder, every);
    let began = Instant::now();
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|client| {
            let address = address.clone();
            thread::spawn(move || load(&address, client, writes / CONNECTIONS, began))
        })
        .collect();
    let mut times: Vec<(Duration, Duration)> =
        clients.into_iter().flat_map(|client| client.join().expect("it was served")).collect();
    let took = began.elapsed();
    let long: Vec<_> = times.iter().filter(|(_, time)| *time > LONG).copied().collect();
    times.sort_by_key(|(_, time)| *time);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].1;
    println!(
        "{} writes in {took:.1?}: p50 {:.1?}, p99 {:.1?}, p99.9 {:.1?}, max {:.1?}; {} above {LONG:?}",
        times.len(),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
        long.len(),
    );
    // One line for each moment, not for each of the writes that waited then.
    let mut moments: Vec<_> =
        long.into_iter().map(|(at, time)| (at.as_millis() / 250, time)).collect();
    moments.sort_by_key(|(at, time)| (*at, std::cmp::Reverse(*time)));
    moments.dedup_by_key(|(at, _)| *at);
    for (at, time) in moments {
        println!("  after {:.2} s: {time:.1?}", at as f64 / 4.0);
    }
    std::fs::remove_dir_all(&folder).expect("it is ours");
}

/// A server that is alone, on a thread of its own; where its clients connect.
fn start(folder: &Path, snapshot_every: usize) -> String {
    let folder = folder.to_owned();
    let (up, is_up) = mpsc::channel();
    thread::spawn(move || {
        let me = ServerId::new(1).expect("1 is a server's number");
        let ensemble = Ensemble::new([me], []).expect("one voter is an ensemble");
        let mut replica = ReplicaConfig::new(me, ensemble);
        replica.election_settle = Millis(1);
        replica.snapshot_every_entries = snapshot_every;
        let server = ServerConfig::new(replica);
        let mut settings =
            NodeSettings::new(server, Address::from("127.0.0.1:0"), Default::default());
        settings.initialise = true;
        settings.storage.log_file_bytes = 4 << 20;
        let on_listening: OnListening = Rc::new(move |bound| {
            let clients = bound[0].as_ref().expect("clients are listened to");
            up.send(clients.to_string()).expect("somebody waits");
        });
        let node = NodeStart::new(settings);
        let settings = Settings { on_listening: Some(on_listening), ..Settings::default() };
        let platform =
            RealPlatform::with_folder(&folder, NodeStart::is_ours).expect("the folder is ours");
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let ended =
            tokio::task::LocalSet::new().block_on(&runtime, serve(platform, node, settings));
        panic!("the server ended: {ended:?}");
    });
    is_up.recv().expect("it starts")
}

/// Writes so often, and gives when each was answered, and how long that took.
fn load(address: &str, client: usize, writes: usize, began: Instant) -> Vec<(Duration, Duration)> {
    let mut stream = connect(address);
    let string = |text: &[u8]| [&(text.len() as i32).to_be_bytes()[..], text].concat();
    let path = string(format!("/{client}").as_bytes());
    let acl = [&[0, 0, 0, 1, 0, 0, 0, 31][..], &string(b"world"), &string(b"anyone")].concat();
    send(
        &mut stream,
        &[&[0, 0, 0, 0, 0, 0, 0, 1][..], &path, &string(b""), &acl, &[0; 4]].concat(),
    );
    receive(&mut stream).expect("it is made");
    let request =
        [&[0, 0, 0, 0, 0, 0, 0, 5][..], &path, &string(&[b'x'; VALUE_BYTES]), &[0xff; 4]].concat();
    let (mut sent, mut times) = (VecDeque::new(), Vec::with_capacity(writes));
    while times.len() < writes {
        while sent.len() < IN_FLIGHT && times.len() + sent.len() < writes {
            send(&mut stream, &request);
            sent.push_back(Instant::now());
        }
        receive(&mut stream).expect("an answer");
        let asked: Instant = sent.pop_front().expect("answers follow requests");
        times.push((began.elapsed(), asked.elapsed()));
    }
    times
}

/// Connects until a session is granted.
fn connect(address: &str) -> TcpStream {
    loop {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        let mut hello = vec![0; 44];
        hello[12..16].copy_from_slice(&30_000i32.to_be_bytes());
        hello[24..28].copy_from_slice(&16i32.to_be_bytes());
        send(&mut stream, &hello);
        if receive(&mut stream).is_some() {
            return stream;
        }
    }
}

fn send(stream: &mut TcpStream, body: &[u8]) {
    let frame = [&(body.len() as i32).to_be_bytes()[..], body].concat();
    stream.write_all(&frame).expect("the server takes it");
}

fn receive(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut body = vec![0; i32::from_be_bytes(length) as usize];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}
