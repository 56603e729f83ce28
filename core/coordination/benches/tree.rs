//! How fast one core prepares, applies and answers: create, set, get, watches, snapshots.
//!
//! With a thousand znodes, as in a storm, and with a hundred thousand, where lookups miss the
//! caches.

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mailstorm_coordination::data::{
    DataOptions, Database, Pending, SnapshotCursor, SnapshotLoader, Watches,
};
use mailstorm_coordination::io::ClientId;
use mailstorm_shared::znodes::Change;
use mailstorm_shared::{Defects, Millis, SessionId, Zxid};
use mailstorm_wire::client::{Acl, AddWatchMode, CreateMode, Request, Write, permission};
use mailstorm_wire::peer::LeaderRequest;
use mailstorm_wire::txn::Txn;
use std::hint::black_box;
use std::sync::Arc;

const SIZES: [u32; 2] = [1_000, 100_000];
const FOLDER_ZNODES: u32 = 100;
const SESSION: SessionId = SessionId(1);

struct Leader {
    database: Database,
    pending: Pending,
    zxid: Zxid,
}

impl Leader {
    fn new() -> Self {
        let mut leader =
            Self { database: Database::new(), pending: Pending::new(), zxid: Zxid::ZERO };
        leader.write(&LeaderRequest::OpenSession { timeout: Millis(1), password: [0; 16] });
        leader
    }

    /// With this many znodes of 100 bytes, in folders.
    fn filled(znodes: u32) -> Self {
        let mut leader = Self::new();
        for index in 0..znodes / FOLDER_ZNODES {
            leader.write(&create(format!("/folder-{index}").into()));
        }
        for index in 0..znodes {
            leader.write(&create(path(index)));
        }
        leader
    }

    fn write(&mut self, request: &LeaderRequest) {
        self.zxid = self.zxid.next().expect("a bench has fewer transactions");
        let options = DataOptions::default();
        let body = self.pending.prepare(&self.database, self.zxid, SESSION, request, &options);
        let txn = Txn { origin: None, session: SESSION, time: 1, body };
        black_box(self.database.apply(self.zxid, &txn));
        self.pending.applied(self.zxid);
    }
}

fn path(index: u32) -> Arc<str> {
    format!("/folder-{}/znode-{index}", index / FOLDER_ZNODES).into()
}

fn write(write: Write) -> LeaderRequest {
    LeaderRequest::Write { identities: vec![("ip".into(), "127.0.0.1".into())], write }
}

fn create(path: Arc<str>) -> LeaderRequest {
    let acl =
        vec![Acl { permissions: permission::ALL, scheme: "world".into(), id: "anyone".into() }];
    let data = Some(Bytes::from_static(&[7; 100]));
    let mode = CreateMode::Persistent;
    write(Write::Create { path, data, acl, mode, ttl: 0, stat: false })
}

fn tree(criterion: &mut Criterion) {
    for znodes in SIZES {
        let mut leader = Leader::filled(znodes);
        let mut group = criterion.benchmark_group(format!("{znodes} znodes"));
        group.throughput(Throughput::Elements(1));

        let mut index = 0;
        let mut any = || {
            index = (index + 7_919) % znodes;
            index
        };
        group.bench_function("create and delete", |bencher| {
            bencher.iter_batched(
                || -> Arc<str> { format!("/folder-{}/new", any() / FOLDER_ZNODES).into() },
                |path| {
                    leader.write(&create(path.clone()));
                    leader.write(&write(Write::Delete { path, version: -1 }));
                },
                BatchSize::SmallInput,
            );
        });
        group.bench_function("set", |bencher| {
            bencher.iter_batched(
                || {
                    let data = Some(Bytes::from_static(&[9; 100]));
                    write(Write::SetData { path: path(any()), data, version: -1 })
                },
                |request| leader.write(&request),
                BatchSize::SmallInput,
            );
        });
        group.bench_function("get", |bencher| {
            bencher.iter_batched(
                || Request::GetData { path: path(any()), watch: false },
                |request| {
                    black_box(leader.database.read(&request, SESSION, &[], &DataOptions::default()))
                },
                BatchSize::SmallInput,
            );
        });
        group.finish();
    }
}

fn watches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("trigger");
    group.throughput(Throughput::Elements(1));
    for (name, mode) in [("nobody", None), ("recursive", Some(AddWatchMode::PersistentRecursive))] {
        let mut watches = Watches::default();
        watches
            .add_lasting(ClientId(1), "/elsewhere".into(), AddWatchMode::Persistent)
            .expect("one watch fits");
        if let Some(mode) = mode {
            watches.add_lasting(ClientId(1), "/".into(), mode).expect("two watches fit");
        }
        let change = Change::Deleted { path: path(1) };
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(watches.trigger(Zxid(1), &change)));
        });
    }
    group.finish();
}

fn snapshots(criterion: &mut Criterion) {
    let [_, znodes] = SIZES;
    let leader = Leader::filled(znodes);
    let mut group = criterion.benchmark_group("snapshot");
    group.sample_size(10);
    group.throughput(Throughput::Elements(u64::from(znodes)));
    let take = |database: &Database| {
        let mut cursor = SnapshotCursor::begin(database, Defects::NONE);
        std::iter::from_fn(|| cursor.next_chunk(database, 64 * 1024)).collect::<Vec<_>>()
    };
    group.bench_function("take", |bencher| bencher.iter(|| take(&leader.database)));
    let chunks = take(&leader.database);
    group.bench_function("load", |bencher| {
        bencher.iter(|| {
            let mut loader = SnapshotLoader::new();
            for chunk in &chunks {
                loader.push(chunk).expect("it was taken just now");
            }
            loader.finish().expect("it was taken just now")
        });
    });
    group.finish();
}

criterion_group!(benches, tree, watches, snapshots);
criterion_main!(benches);
