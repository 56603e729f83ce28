//! Delivered messages per second: five nodes, every pair of them with some messages in flight in
//! both directions, each answered by the next; in our world, on madsim's own UDP, and on turmoil at
//! its default tick. All three carry the same number of messages of the same size with the same
//! latencies.
//!
//! Two loads: a *busy* one, as fast as a local network gets, and one at the *pace* at which servers
//! talk to each other while little happens. Turmoil works in ticks of a millisecond: in the busy
//! load dozens of messages share one; in the other, one in two has a message. (In storms of the
//! ensemble it is one in five or so.)

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use mailstorm_checkers::{Goal, Suite};
use mailstorm_platform::{Address, ConnectionId, Endpoint, NetworkEvent, Platform};
use mailstorm_record::{Event, Happening, Plan};
use mailstorm_shared::facts::ApplicationFact;
use mailstorm_shared::{Millis, Observation};
use mailstorm_world::scenario::NetworkSpeed;
use mailstorm_world::{Limits, NodeSpec, Process, Progress, RunSpec, Scenario, Topology, run};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const NODES: usize = 5;
const MESSAGE_BYTES: usize = 64;

#[derive(Clone, Copy)]
struct Load {
    name: &'static str,
    messages: u64,
    /// How many messages each pair has in flight in each direction.
    in_flight: usize,
    latency_us: (u64, u64),
}

const BUSY: Load = Load { name: "busy", messages: 200_000, in_flight: 4, latency_us: (200, 1_200) };
const PACED: Load =
    Load { name: "paced", messages: 50_000, in_flight: 1, latency_us: (20_000, 60_000) };

impl Load {
    fn latency(&self) -> (Duration, Duration) {
        (Duration::from_micros(self.latency_us.0), Duration::from_micros(self.latency_us.1))
    }
}

/// The load in our world.
struct AllToAll(Load);

/// Waits until every node has had its share.
struct Shares(usize);

impl Progress for Shares {
    fn observe(&mut self, event: &Event) {
        let told = matches!(
            event.happening,
            Happening::Observed {
                observation: Observation::Application(ApplicationFact::Milestone { .. })
            }
        );
        self.0 += usize::from(told);
    }
    fn ready(&self, _: bool) -> bool {
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
        let (base_us_min, base_us_max) = self.0.latency_us;
        let network = NetworkSpeed {
            base_us_min,
            base_us_max,
            jitter_us: 0,
            late_per_million: 0,
            ..NetworkSpeed::default()
        };
        Topology { nodes, network, ..Topology::default() }
    }
    fn boot(&self, process: Process) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(answer_everybody(process, self.0))
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
        Limits { linger: Millis(0), converge: Millis(100_000_000), ..Limits::default() }
    }
}

async fn answer_everybody(process: Process, load: Load) {
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
                (0..load.in_flight).for_each(|_| endpoint.send(connection, message.clone()));
            }
            NetworkEvent::Received { connection, bytes } => {
                // A message can arrive in two; only a whole one is answered.
                if bytes.len() < MESSAGE_BYTES {
                    match begun.remove(&connection) {
                        Some(first) if first + bytes.len() == MESSAGE_BYTES => {}
                        _ => {
                            begun.insert(connection, bytes.len());
                            continue;
                        }
                    }
                }
                endpoint.send(connection, message.clone());
                received += 1;
                if received == load.messages / NODES as u64 {
                    platform.observe(ApplicationFact::Milestone { name: "share".into() });
                }
            }
            NetworkEvent::Closed { .. } | NetworkEvent::Woken => {}
        }
    }
}

fn on_our_world(load: Load) {
    let run = run(&RunSpec::new(Arc::new(AllToAll(load)), 1));
    assert_eq!(run.outcome.violations().count(), 0, "{:?}", run.outcome.verdicts);
    assert!(run.outcome.messages >= load.messages);
}

fn on_madsim_udp(load: Load) {
    use madsim::net::{Config as NetConfig, UdpSocket};
    let thread = std::thread::spawn(move || {
        let mut config = madsim::Config { net: NetConfig::default(), ..Default::default() };
        let (shortest, longest) = load.latency();
        config.net.send_latency = shortest..longest;
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
                        for _ in 0..load.in_flight {
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
            while counter.load(Ordering::Relaxed) < load.messages {
                madsim::time::sleep(Duration::from_millis(50)).await;
            }
        });
    });
    thread.join().expect("nothing panics");
}

fn on_turmoil(load: Load) {
    let (shortest, longest) = load.latency();
    let received = Arc::new(AtomicU64::new(0));
    let mut sim = turmoil::Builder::new()
        .simulation_duration(Duration::from_secs(1_000_000))
        .min_message_latency(shortest)
        .max_message_latency(longest)
        .udp_capacity(10_000)
        .rng_seed(1)
        .build();
    for node in 1..=NODES {
        let received = received.clone();
        sim.client(format!("n{node}"), async move {
            let socket = turmoil::net::UdpSocket::bind("0.0.0.0:1").await?;
            tokio::time::sleep(Duration::from_millis(10)).await;
            for other in (1..=NODES).filter(|other| *other != node) {
                for _ in 0..load.in_flight {
                    socket.send_to(&[7; MESSAGE_BYTES], (format!("n{other}"), 1)).await?;
                }
            }
            let mut buffer = [0; MESSAGE_BYTES];
            while received.load(Ordering::Relaxed) < load.messages {
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
    for load in [BUSY, PACED] {
        let mut group = criterion.benchmark_group(load.name);
        group.throughput(Throughput::Elements(load.messages));
        group.sampling_mode(SamplingMode::Flat).sample_size(10);
        group.bench_function("mailstorm", |bench| bench.iter(|| on_our_world(load)));
        group.bench_function("madsim-udp", |bench| bench.iter(|| on_madsim_udp(load)));
        group.bench_function("turmoil", |bench| bench.iter(|| on_turmoil(load)));
        group.finish();
    }
}

criterion_group!(benches, messages);
criterion_main!(benches);
