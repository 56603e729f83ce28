//! What it costs to turn the messages that storms are made of into bytes and back.
#![allow(missing_docs)] // criterion's macros make public functions without

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mailstorm_shared::{ServerId, SessionId, Zxid};
use mailstorm_wire::client::{
    Acl, CreateMode, Reply, ReplyHeader, ReplyShape, Request, Stat, Write, decode_reply,
    decode_request, encode_reply, encode_request, permission,
};
use mailstorm_wire::frame::{FrameDecoder, REQUEST_BYTES_MAX, framed};
use mailstorm_wire::peer::{PeerDecoder, PeerMessage, encode_message};
use mailstorm_wire::txn::{Entry, Origin, Owner, Txn, TxnBody};
use std::hint::black_box;

const PATH: &str = "/mail/claims/lock-0000000042";

fn acl() -> Vec<Acl> {
    vec![Acl { permissions: permission::ALL, scheme: "world".into(), id: "anyone".into() }]
}

fn requests() -> [(&'static str, Request); 4] {
    [
        ("ping", Request::Ping),
        ("get_data", Request::GetData { path: PATH.into(), watch: true }),
        (
            "create",
            Request::Write(Write::Create {
                path: PATH.into(),
                data: Some(Bytes::from(vec![7; 100])),
                acl: acl(),
                mode: CreateMode::EphemeralSequential,
                ttl: 0,
                stat: true,
            }),
        ),
        (
            "set_1k",
            Request::Write(Write::SetData {
                path: PATH.into(),
                data: Some(Bytes::from(vec![7; 1024])),
                version: 3,
            }),
        ),
    ]
}

fn request(criterion: &mut Criterion) {
    for (name, request) in requests() {
        let frame = encode_request(1, &request);
        let mut group = criterion.benchmark_group(format!("request/{name}"));
        group.throughput(Throughput::Bytes(frame.len() as u64));
        group.bench_function("encode", |bencher| {
            bencher.iter(|| encode_request(1, black_box(&request)));
        });
        group.bench_function("decode", |bencher| {
            bencher.iter(|| decode_request(black_box(frame.clone())));
        });
        group.finish();
    }
}

fn reply(criterion: &mut Criterion) {
    let header = ReplyHeader { xid: 1, zxid: Zxid(1), error: None };
    let replies = [
        ("empty", ReplyShape::Empty, Reply::Empty),
        (
            "data_100",
            ReplyShape::Data,
            Reply::Data { data: Some(Bytes::from(vec![7; 100])), stat: Stat::default() },
        ),
        (
            "children_100",
            ReplyShape::Children { stat: false },
            Reply::Children { names: vec!["lock-0000000042".into(); 100], stat: None },
        ),
    ];
    for (name, shape, reply) in replies {
        let frame = encode_reply(&header, Some(&reply));
        let mut group = criterion.benchmark_group(format!("reply/{name}"));
        group.throughput(Throughput::Bytes(frame.len() as u64));
        group.bench_function("encode", |bencher| {
            bencher.iter(|| encode_reply(black_box(&header), Some(black_box(&reply))));
        });
        group.bench_function("decode", |bencher| {
            bencher.iter(|| decode_reply(black_box(frame.clone()), shape));
        });
        group.finish();
    }
}

fn create_txn() -> Txn {
    Txn {
        origin: ServerId::new(1).map(|server| Origin { server, ticket: 7 }),
        session: SessionId(0x0001_0000_0001),
        time: 1_700_000_000_000,
        body: TxnBody::Create {
            path: PATH.into(),
            data: Some(Bytes::from(vec![7; 100])),
            acl: acl(),
            owner: Owner::Session(SessionId(0x0001_0000_0001)),
            parent_creations: 42,
        },
    }
}

fn peer(criterion: &mut Criterion) {
    let zxid = Zxid(0x0001_0000_0007);
    let messages = [
        ("ping", PeerMessage::Ping { round: 77 }),
        ("ack", PeerMessage::Ack { zxid }),
        ("commit", PeerMessage::Commit { zxid }),
        ("propose", PeerMessage::Propose { entry: Entry { zxid, bytes: create_txn().encode() } }),
    ];
    for (name, message) in messages {
        let frame = encode_message(&message);
        let mut group = criterion.benchmark_group(format!("peer/{name}"));
        group.throughput(Throughput::Bytes(frame.len() as u64));
        group.bench_function("encode", |bencher| {
            bencher.iter(|| encode_message(black_box(&message)));
        });
        let mut decoder = PeerDecoder::new();
        group.bench_function("decode", |bencher| {
            bencher.iter(|| {
                decoder.push(black_box(frame.clone()));
                decoder.next_message()
            });
        });
        group.finish();
    }
}

fn txn(criterion: &mut Criterion) {
    let txn = create_txn();
    let bytes = txn.encode();
    let mut group = criterion.benchmark_group("txn/create");
    group.bench_function("encode", |bencher| bencher.iter(|| black_box(&txn).encode()));
    group.bench_function("decode", |bencher| {
        bencher.iter(|| Txn::decode(black_box(bytes.clone())));
    });
    group.finish();
}

fn frame(criterion: &mut Criterion) {
    let body = encode_request(1, &Request::GetData { path: PATH.into(), watch: true });
    let chunk = framed(&body);
    let mut group = criterion.benchmark_group("frame");
    group.bench_function("framed", |bencher| bencher.iter(|| framed(black_box(&body))));
    let mut decoder = FrameDecoder::new(REQUEST_BYTES_MAX);
    group.bench_function("next_frame", |bencher| {
        bencher.iter(|| {
            decoder.push(black_box(chunk.clone()));
            decoder.next_frame()
        });
    });
    group.finish();
}

criterion_group!(benches, request, reply, peer, txn, frame);
criterion_main!(benches);
