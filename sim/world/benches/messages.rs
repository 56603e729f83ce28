//! Delivered messages per second: five nodes, every pair of them with some messages in flight in both
//! directions, each answered by the next; in our world, on madsim's own UDP, and on turmoil at its
//! default tick. All three carry the same number of messages of the same size.

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use mailstorm_checkers::{Goal, Suite};
use mailstorm_host::{Address, ConnectionId, Endpoint, NetworkEvent, Platform};
use mailstorm_record::{Event, Happening, Plan};
use mailstorm_shared::{Millis, Observation, ServerId};
use mailstorm_world::{Limits, NodeSpec, Process, Progress, RunSpec, Scenario, Topology, run};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const NODES: usize = 5;
const MESSAGES: u64 = 200_000;
const MESSAGE_BYTES: usize = 64;
/// How many messages each pair has in flight in each direction.
const IN_FLIGHT: usize = 4;

/// The load in our world.
struct AllToAll;

/// Waits until every node has had its share.
struct Shares(usize);

impl Progress for Shares {
    fn observe(&mut self, event: &Event) {
        let told = matches!(
            event.happening,
            Happening::Observed { observation: Observation::Milestone { .. } }
        );
        self.0 += usize::from(told);
    }
    fn ready(&self, _: Option<ServerId>) -> bool {
        true
    }
    fn done(&self) -> bool {
        self.0 == NODES
    }
    fn waits_for(&self) -> String {
        format!("{} of {NODES} nodes", self.0)
    }
}

impl Scenario for AllToAll {
    fn name(&self) -> &str {
        "all-to-all"
    }
    fn about(&self) -> &str {
        "A load."
    }
    fn topology(&self) -> Topology {
        let nodes = (1..=NODES).map(|n| NodeSpec::client(&format!("n{n}"))).collect();
        Topology { nodes, ..Topology::default() }
    }
    fn boot(&self, process: Process) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(answer_everybody(process))
    }
    fn checkers(&self, _: u64) -> Suite {
        Suite::new()
    }
    fn goals(&self) -> Vec<Goal> {
        Vec::new()
    }
    fn progress(&self, _: u64) -> Box<dyn Progress> {
        Box::new(Shares(0))
    }
    fn plan(&self) -> Option<Plan> {
        Some(Plan::default())
    }
    fn limits(&self) -> Limits {
        Limits { linger: Millis(0), ..Limits::default() }
    }
}

async fn answer_everybody(process: Process) {
    let platform = process.platform;
    let me: usize = process.node.0[1..].parse().expect("n and a number");
    let endpoint = platform.endpoint();
    endpoint.listen(&Address::from(&*format!("n{me}:1"))).expect("the port is free");
    platform.sleep(Millis(1)).await;
    for other in me + 1..=NODES {
        endpoint.connect(&Address::from(&*format!("n{other}:1")));
    }
    let message = bytes::Bytes::from(vec![7; MESSAGE_BYTES]);
    let mut begun: BTreeMap<ConnectionId, usize> = BTreeMap::new();
    let mut received = 0;
    loop {
        match endpoint.next().await {
            NetworkEvent::Connected { connection } | NetworkEvent::Accepted { connection, .. } => {
                (0..IN_FLIGHT).for_each(|_| endpoint.send(connection, message.clone()));
            }
            NetworkEvent::Received { connection, bytes } => {
                // A message can arrive in two; only a whole one is answered.
                let length = begun.remove(&connection).unwrap_or(0) + bytes.len();
                if length < MESSAGE_BYTES {
                    begun.insert(connection, length);
                    continue;
                }
                endpoint.send(connection, bytes);
                received += 1;
                if received == MESSAGES / NODES as u64 {
                    platform.observe(Observation::Milestone { name: "share".into() });
                }
            }
            NetworkEvent::Closed { .. } | NetworkEvent::Woken => {}
        }
    }
}

fn on_our_world() {
    let run = run(&RunSpec::new(Arc::new(AllToAll), 1));
    assert_eq!(run.outcome.violations().count(), 0, "{:?}", run.outcome.verdicts);
    assert!(run.outcome.messages >= MESSAGES);
}

fn on_madsim_udp() {
    use madsim::net::{Config as NetConfig, UdpSocket};
    let thread = std::thread::spawn(|| {
        let mut config = madsim::Config { net: NetConfig::default(), ..Default::default() };
        config.net.send_latency = Duration::from_micros(200)..Duration::from_micros(1_200);
        let runtime = madsim::runtime::Runtime::with_seed_and_config(1, config);
        let received = Arc::new(AtomicU64::new(0));
        let counter = received.clone();
        let address = |node: usize| format!("10.0.0.{node}:1");
        let nodes: Vec<_> = (1..=NODES)
            .map(|node| {
                let ip = format!("10.0.0.{node}").parse().expect("an address");
                runtime.create_node().ip(ip).build()
            })
            .collect();
        runtime.block_on(async move {
            for (place, node) in nodes.iter().enumerate() {
                let received = received.clone();
                node.spawn(async move {
                    let socket = UdpSocket::bind(address(place + 1)).await.expect("free");
                    madsim::time::sleep(Duration::from_millis(1)).await;
                    for other in (1..=NODES).filter(|other| *other != place + 1) {
                        for _ in 0..IN_FLIGHT {
                            let sent = socket.send_to(address(other), &[7; MESSAGE_BYTES]).await;
                            sent.expect("nothing fails");
                        }
                    }
                    let mut buffer = [0; MESSAGE_BYTES];
                    loop {
                        let (length, from) =
                            socket.recv_from(&mut buffer).await.expect("nothing fails");
                        received.fetch_add(1, Ordering::Relaxed);
                        socket.send_to(from, &buffer[..length]).await.expect("nothing fails");
                    }
                });
            }
            while counter.load(Ordering::Relaxed) < MESSAGES {
                madsim::time::sleep(Duration::from_millis(50)).await;
            }
        });
    });
    thread.join().expect("nothing panics");
}

fn on_turmoil() {
    let received = Arc::new(AtomicU64::new(0));
    let mut sim = turmoil::Builder::new()
        .simulation_duration(Duration::from_secs(1_000_000))
        .min_message_latency(Duration::from_micros(200))
        .max_message_latency(Duration::from_micros(1_200))
        .udp_capacity(10_000)
        .rng_seed(1)
        .build();
    for node in 1..=NODES {
        let received = received.clone();
        sim.client(format!("n{node}"), async move {
            let socket = turmoil::net::UdpSocket::bind("0.0.0.0:1").await?;
            tokio::time::sleep(Duration::from_millis(10)).await;
            for other in (1..=NODES).filter(|other| *other != node) {
                for _ in 0..IN_FLIGHT {
                    socket.send_to(&[7; MESSAGE_BYTES], (format!("n{other}"), 1)).await?;
                }
            }
            let mut buffer = [0; MESSAGE_BYTES];
            while received.load(Ordering::Relaxed) < MESSAGES {
                let (length, from) = socket.recv_from(&mut buffer).await?;
                received.fetch_add(1, Ordering::Relaxed);
                socket.send_to(&buffer[..length], from).await?;
            }
            Ok(())
        });
    }
    sim.run().expect("nothing fails");
}

fn messages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("all-to-all");
    group.throughput(Throughput::Elements(MESSAGES));
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.bench_function("mailstorm", |bench| bench.iter(on_our_world));
    group.bench_function("madsim-udp", |bench| bench.iter(on_madsim_udp));
    group.bench_function("turmoil", |bench| bench.iter(on_turmoil));
    group.finish();
}

criterion_group!(benches, messages);
criterion_main!(benches);
