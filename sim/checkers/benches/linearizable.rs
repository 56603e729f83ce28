//! What checking costs: the search for an order of 10,000 operations, and the whole suite per
//! event.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mailstorm_checkers::{
    Checker, Convergence, ExactlyOnce, Linearizable, Quorum, SessionOrder, Sessions, SplitBrain,
    Suite, Watches,
};
use mailstorm_record::{Event, Happening, NodeName, Verdict};
use mailstorm_shared::facts::{Call, CallKind, ClientFact, EnsembleFact, Outcome};
use mailstorm_shared::znodes::Change;
use mailstorm_shared::{Ensemble, Epoch, Observation, ServerId, SessionId, WallTime, Zxid};
use std::hint::black_box;
use std::sync::Arc;

const OPERATIONS: u64 = 10_000;
const CLIENTS: u64 = 20;

fn zxid(counter: u64) -> Zxid {
    Zxid::new(Epoch(1), counter as u32)
}

fn observed(at_ns: u64, node: &NodeName, observation: Observation) -> Event {
    Event { at_ns, node: Some(node.clone()), happening: Happening::Observed { observation } }
}

/// Ten thousand concurrent writes and synced reads of the given number of znodes. One outcome in
/// `lost_every` is unknown; its write has taken effect nevertheless.
fn operations(keys: u64, lost_every: u64) -> Vec<Event> {
    let node = NodeName::from("c1");
    let paths: Vec<Arc<str>> = (0..keys).map(|key| format!("/k{key}").into()).collect();
    let mut events = Vec::new();
    let mut versions = vec![-1; paths.len()];
    let mut under_way: Vec<(u32, u64, Outcome)> = Vec::new();
    for operation in 0..OPERATIONS {
        let client = (operation % CLIENTS) as u32;
        if let Some(index) = under_way.iter().position(|(other, ..)| *other == client) {
            let (client, operation, outcome) = under_way.remove(index);
            let returned = Observation::Client(ClientFact::Returned {
                client,
                operation,
                outcome,
                shown: None,
            });
            events.push(observed(operation, &node, returned));
        }
        let key = (operation.wrapping_mul(0x9e37_79b9) >> 8) as usize % paths.len();
        let version = &mut versions[key];
        let kind = match (*version, operation % 5) {
            (-1, _) => CallKind::Create,
            (_, 0) => CallKind::GetData,
            _ => CallKind::SetData,
        };
        let path = Arc::clone(&paths[key]);
        let call =
            Call { kind, path, value: operation, bytes: 0, version: -1, watch: false, asked: None };
        if kind == CallKind::GetData {
            let sync = Call { kind: CallKind::Sync, ..call.clone() };
            let number = operation + OPERATIONS;
            events.push(observed(
                operation,
                &node,
                Observation::Client(ClientFact::Invoked { client, operation: number, call: sync }),
            ));
            let outcome =
                Outcome::Ok { zxid: zxid(operation), value: 0, version: -1, modified: Zxid::ZERO };
            events.push(observed(
                operation,
                &node,
                Observation::Client(ClientFact::Returned {
                    client,
                    operation: number,
                    outcome,
                    shown: None,
                }),
            ));
        } else {
            *version += 1;
        }
        events.push(observed(
            operation,
            &node,
            Observation::Client(ClientFact::Invoked { client, operation, call }),
        ));
        let told = if kind == CallKind::Create { -1 } else { *version };
        let outcome = if operation % lost_every == lost_every - 1 {
            Outcome::Unknown
        } else if kind == CallKind::GetData {
            // Whatever it read, the version says which write that was.
            Outcome::Ok { zxid: zxid(operation), value: 0, version: *version, modified: Zxid::ZERO }
        } else {
            Outcome::Ok {
                zxid: zxid(operation),
                value: 0,
                version: told,
                modified: zxid(operation),
            }
        };
        under_way.push((client, operation, outcome));
    }
    // A read returns the value of the last write before it: fill that in now that all is known.
    let mut last = vec![0; paths.len()];
    let mut values = vec![0; 2 * OPERATIONS as usize];
    for event in &events {
        if let Happening::Observed {
            observation: Observation::Client(ClientFact::Invoked { operation, call, .. }),
        } = &event.happening
        {
            let key = paths.iter().position(|path| *path == call.path).expect("one of ours");
            if call.kind.is_write() {
                last[key] = call.value;
            }
            values[*operation as usize] = last[key];
        }
    }
    for event in &mut events {
        if let Happening::Observed {
            observation:
                Observation::Client(ClientFact::Returned {
                    operation,
                    outcome: Outcome::Ok { value, modified: Zxid::ZERO, .. },
                    ..
                }),
        } = &mut event.happening
        {
            *value = values[*operation as usize];
        }
    }
    events
}

fn linearizable(c: &mut Criterion) {
    let mut group = c.benchmark_group("linearizable_10000_operations");
    group.throughput(Throughput::Elements(OPERATIONS)).sample_size(20);
    for (name, keys, lost_every) in [
        ("one_key", 1, OPERATIONS),
        ("fifty_keys", 50, OPERATIONS),
        ("fifty_keys_1_percent_unknown", 50, 100),
    ] {
        let events = operations(keys, lost_every);
        group.bench_function(name, |bench| {
            bench.iter_batched(
                Linearizable::new,
                |mut checker| {
                    for event in &events {
                        checker.observe(event).expect("judged at the end");
                    }
                    assert_eq!(checker.finish(0), Verdict::Pass);
                    checker
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

/// What five servers tell while they commit writes of one session.
fn ensemble_at_work(writes: u64) -> (Ensemble, Vec<Event>) {
    let servers: Vec<ServerId> = (1..=5).filter_map(ServerId::new).collect();
    let nodes: Vec<NodeName> =
        servers.iter().map(|server| NodeName(server.to_string().into())).collect();
    let ensemble = Ensemble::new(servers.clone(), []).expect("disjoint");
    let session = SessionId(1);
    let mut events = Vec::new();
    let mut tell = |index: usize, fact: EnsembleFact| {
        events.push(observed(events.len() as u64, &nodes[index], fact.into()));
    };
    tell(0, EnsembleFact::Leads { epoch: Epoch(1), last_logged: Zxid::ZERO });
    for write in 1..=writes {
        let at = zxid(write);
        for index in 0..servers.len() {
            tell(index, EnsembleFact::Appended { zxid: at, digest: write as u32 });
        }
        for index in 0..servers.len() {
            tell(index, EnsembleFact::Durable { zxid: at });
        }
        tell(0, EnsembleFact::QuorumCommitted { epoch: Epoch(1), zxid: at });
        for index in 0..servers.len() {
            let path: Arc<str> = format!("/mail/m-{:04}", write % 1_000).into();
            let changes = vec![Change::DataSet { path, version: 1, value: write, bytes: 0 }];
            tell(
                index,
                EnsembleFact::Applied {
                    zxid: at,
                    digest: write as u32,
                    session: SessionId::NONE,
                    wall: WallTime::UNIX_EPOCH,
                    changes,
                },
            );
        }
        tell(0, EnsembleFact::Acknowledged { session, zxid: at });
        for _ in 0..3 {
            tell(0, EnsembleFact::SessionHeard { session });
        }
    }
    (ensemble, events)
}

fn whole_suite(c: &mut Criterion) {
    let mut group = c.benchmark_group("whole_suite");
    let (ensemble, events) = ensemble_at_work(1_000);
    let suite = || {
        Suite::new()
            .with(Quorum::new(ensemble.clone()))
            .with(SplitBrain::new())
            .with(Linearizable::new())
            .with(SessionOrder::new())
            .with(Sessions::new(&ensemble))
            .with(Watches::new())
            .with(ExactlyOnce::new([]))
            .with(Convergence::new(ensemble.clone(), u64::MAX))
    };
    group.throughput(Throughput::Elements(events.len() as u64));
    group.bench_function("servers_events", |bench| {
        bench.iter_batched(
            suite,
            |mut suite| {
                for event in &events {
                    assert!(suite.observe(event).is_none());
                }
                suite
            },
            BatchSize::LargeInput,
        );
    });
    let irrelevant = Event {
        at_ns: 0,
        node: Some(NodeName::from("s1")),
        happening: Happening::Delivered { message: 1 },
    };
    group.throughput(Throughput::Elements(1));
    group.bench_function("irrelevant_event", |bench| {
        let mut suite = suite();
        bench.iter(|| assert!(suite.observe(black_box(&irrelevant)).is_none()));
    });
    group.finish();
}

criterion_group!(benches, linearizable, whole_suite);
criterion_main!(benches);
