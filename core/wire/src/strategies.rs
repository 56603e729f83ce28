//! Proptest strategies for every type that travels.
//!
//! Only values that a format can carry: the client protocol knows no time-to-live outside
//! createTTL, and zxids above `i64::MAX` mean nothing to it.

use crate::client::{
    Acl, AddWatchMode, ConnectRequest, ConnectResponse, CreateMode, ErrorCode, MultiReply, Read,
    Reply, ReplyHeader, Request, SetWatches, Stat, WatchEvent, WatchEventKind, WatcherType, Write,
};
use crate::peer::{
    Answer, Forwarded, Hello, LeaderRequest, LinkPurpose, Notification, PEER_PROTOCOL_VERSION,
    PeerMessage, PeerState, Standing, Vote,
};
use crate::txn::{Entry, Origin, Owner, Txn, TxnBody};
use bytes::Bytes;
use mailstorm_shared::{Epoch, Millis, ServerId, SessionId, Zxid};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::sync::Arc;

fn text() -> impl Strategy<Value = Arc<str>> {
    prop_oneof!["[a-z/é☃]{0,12}", any::<String>()].prop_map(Arc::from)
}

fn texts() -> impl Strategy<Value = Vec<Arc<str>>> {
    vec(text(), 0..4)
}

pub(crate) fn blob() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn data() -> impl Strategy<Value = Option<Bytes>> {
    proptest::option::of(blob())
}

fn zxid() -> impl Strategy<Value = Zxid> {
    (0..=i64::MAX as u64).prop_map(Zxid)
}

fn session() -> impl Strategy<Value = SessionId> {
    any::<i64>().prop_map(SessionId)
}

fn epoch() -> impl Strategy<Value = Epoch> {
    any::<u32>().prop_map(Epoch)
}

fn server() -> impl Strategy<Value = ServerId> {
    (1..=u8::MAX).prop_map(|number| ServerId::new(number).unwrap())
}

fn millis() -> impl Strategy<Value = Millis> {
    any::<u64>().prop_map(Millis)
}

fn error() -> impl Strategy<Value = ErrorCode> {
    select(&ErrorCode::ALL[..])
}

fn acl() -> impl Strategy<Value = Vec<Acl>> {
    vec(
        (any::<i32>(), text(), text()).prop_map(|(permissions, scheme, id)| Acl {
            permissions,
            scheme,
            id,
        }),
        0..4,
    )
}

fn identities() -> impl Strategy<Value = Vec<(Arc<str>, Arc<str>)>> {
    vec((text(), text()), 0..4)
}

fn stat() -> impl Strategy<Value = Stat> {
    ((zxid(), zxid(), zxid(), session()), any::<(i64, i64)>(), any::<(i32, i32, i32, i32, i32)>())
        .prop_map(|((czxid, mzxid, pzxid, ephemeral_owner), (ctime, mtime), ints)| Stat {
            czxid,
            mzxid,
            ctime,
            mtime,
            version: ints.0,
            cversion: ints.1,
            aversion: ints.2,
            ephemeral_owner,
            data_length: ints.3,
            num_children: ints.4,
            pzxid,
        })
}

fn create() -> impl Strategy<Value = Write> {
    (text(), data(), acl(), 0..=6_i32, any::<i64>(), any::<bool>()).prop_map(
        |(path, data, acl, flags, ttl, stat)| {
            let mode = CreateMode::from_flags(flags).unwrap();
            let ttl = if mode.has_ttl() { ttl } else { 0 };
            Write::Create { path, data, acl, mode, ttl, stat: stat || mode.has_ttl() }
        },
    )
}

/// The steps that a multi may have.
fn step() -> impl Strategy<Value = Write> {
    prop_oneof![
        create(),
        (text(), any::<i32>()).prop_map(|(path, version)| Write::Delete { path, version }),
        (text(), data(), any::<i32>()).prop_map(|(path, data, version)| Write::SetData {
            path,
            data,
            version
        }),
        (text(), any::<i32>()).prop_map(|(path, version)| Write::Check { path, version }),
    ]
}

fn set_acl() -> impl Strategy<Value = Write> {
    (text(), acl(), any::<i32>()).prop_map(|(path, acl, version)| Write::SetAcl {
        path,
        acl,
        version,
    })
}

/// The writes that may stand alone.
fn lone_write() -> impl Strategy<Value = Write> {
    prop_oneof![
        step().prop_filter("check stands in a multi only", |write| {
            !matches!(write, Write::Check { .. })
        }),
        set_acl(),
    ]
}

fn read() -> impl Strategy<Value = Read> {
    (any::<bool>(), text()).prop_map(|(data, path)| {
        if data { Read::GetData { path } } else { Read::Children { path } }
    })
}

fn watcher_type() -> impl Strategy<Value = WatcherType> {
    (1..=5_i32).prop_map(|code| WatcherType::from_code(code).unwrap())
}

fn set_watches() -> impl Strategy<Value = SetWatches> {
    (zxid(), texts(), texts(), texts(), texts(), texts()).prop_map(
        |(relative_zxid, data, exist, child, persistent, persistent_recursive)| SetWatches {
            relative_zxid,
            data,
            exist,
            child,
            persistent,
            persistent_recursive,
        },
    )
}

pub(crate) fn request() -> impl Strategy<Value = Request> {
    let with_watch = || (text(), any::<bool>());
    prop_oneof![
        lone_write().prop_map(Request::Write),
        vec(step(), 0..4).prop_map(Request::Multi),
        vec(read(), 0..4).prop_map(Request::MultiRead),
        with_watch().prop_map(|(path, watch)| Request::Exists { path, watch }),
        with_watch().prop_map(|(path, watch)| Request::GetData { path, watch }),
        (with_watch(), any::<bool>()).prop_map(|((path, watch), stat)| Request::Children {
            path,
            watch,
            stat
        }),
        text().prop_map(|path| Request::GetAcl { path }),
        text().prop_map(|prefix| Request::Ephemerals { prefix }),
        text().prop_map(|path| Request::AllChildrenNumber { path }),
        text().prop_map(|path| Request::Sync { path }),
        select(&[Request::Ping, Request::WhoAmI, Request::CloseSession][..]),
        (text(), blob()).prop_map(|(scheme, credentials)| Request::Auth { scheme, credentials }),
        set_watches().prop_map(Request::SetWatches),
        (text(), 0..=1_i32).prop_map(|(path, mode)| Request::AddWatch {
            path,
            mode: AddWatchMode::from_code(mode).unwrap(),
        }),
        (text(), watcher_type()).prop_map(|(path, kind)| Request::CheckWatches { path, kind }),
        (text(), watcher_type()).prop_map(|(path, kind)| Request::RemoveWatches { path, kind }),
    ]
}

fn multi_reply() -> impl Strategy<Value = MultiReply> {
    prop_oneof![
        (text(), proptest::option::of(stat()))
            .prop_map(|(path, stat)| MultiReply::Created { path, stat }),
        select(&[MultiReply::Deleted, MultiReply::Checked][..]),
        stat().prop_map(MultiReply::DataSet),
        (data(), stat()).prop_map(|(data, stat)| MultiReply::Data { data, stat }),
        texts().prop_map(MultiReply::Children),
        proptest::option::of(error()).prop_map(MultiReply::Error),
    ]
}

pub(crate) fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        select(&[Reply::Empty, Reply::WatchAdded][..]),
        (text(), proptest::option::of(stat()))
            .prop_map(|(path, stat)| Reply::Created { path, stat }),
        stat().prop_map(Reply::Stat),
        (data(), stat()).prop_map(|(data, stat)| Reply::Data { data, stat }),
        (acl(), stat()).prop_map(|(acl, stat)| Reply::Acl { acl, stat }),
        (texts(), proptest::option::of(stat()))
            .prop_map(|(names, stat)| Reply::Children { names, stat }),
        texts().prop_map(Reply::Ephemerals),
        any::<i32>().prop_map(Reply::AllChildrenNumber),
        text().prop_map(Reply::Synced),
        identities().prop_map(Reply::WhoAmI),
        vec(multi_reply(), 0..4).prop_map(Reply::Multi),
    ]
}

pub(crate) fn reply_header() -> impl Strategy<Value = ReplyHeader> {
    (any::<i32>(), zxid(), proptest::option::of(error()))
        .prop_map(|(xid, zxid, error)| ReplyHeader { xid, zxid, error })
}

pub(crate) fn watch_event() -> impl Strategy<Value = WatchEvent> {
    (1..=7_i32, text(), zxid()).prop_map(|(code, path, zxid)| WatchEvent {
        kind: WatchEventKind::from_code(code).unwrap(),
        path,
        zxid,
    })
}

pub(crate) fn connect_request() -> impl Strategy<Value = ConnectRequest> {
    (zxid(), any::<i32>(), session(), blob(), any::<Option<bool>>()).prop_map(
        |(last_zxid_seen, timeout, session, password, read_only)| ConnectRequest {
            last_zxid_seen,
            timeout,
            session,
            password,
            read_only,
        },
    )
}

pub(crate) fn connect_response() -> impl Strategy<Value = ConnectResponse> {
    (any::<i32>(), session(), blob(), any::<Option<bool>>()).prop_map(
        |(timeout, session, password, read_only)| ConnectResponse {
            timeout,
            session,
            password,
            read_only,
        },
    )
}

fn owner() -> impl Strategy<Value = Owner> {
    prop_oneof![
        select(&[Owner::Nobody, Owner::Container][..]),
        session().prop_map(Owner::Session),
        millis().prop_map(Owner::Ttl),
    ]
}

/// What becomes of a request that is no multi.
fn txn_step() -> impl Strategy<Value = TxnBody> {
    prop_oneof![
        error().prop_map(TxnBody::Error),
        (text(), data(), acl(), owner(), any::<u32>()).prop_map(
            |(path, data, acl, owner, parent_creations)| TxnBody::Create {
                path,
                data,
                acl,
                owner,
                parent_creations,
            }
        ),
        text().prop_map(|path| TxnBody::Delete { path }),
        (text(), data(), any::<i32>()).prop_map(|(path, data, version)| TxnBody::SetData {
            path,
            data,
            version
        }),
        (text(), acl(), any::<i32>()).prop_map(|(path, acl, version)| TxnBody::SetAcl {
            path,
            acl,
            version
        }),
        text().prop_map(|path| TxnBody::Check { path }),
        (millis(), any::<[u8; 16]>())
            .prop_map(|(timeout, password)| TxnBody::OpenSession { timeout, password }),
        select(&[TxnBody::CloseSession, TxnBody::Nothing][..]),
    ]
}

fn txn_body() -> impl Strategy<Value = TxnBody> {
    prop_oneof![
        4 => txn_step(),
        1 => vec(txn_step(), 0..4).prop_map(TxnBody::Multi),
        1 => vec(proptest::option::of(error()), 0..4).prop_map(TxnBody::MultiFailed),
    ]
}

pub(crate) fn txn() -> impl Strategy<Value = Txn> {
    let origin = (server(), any::<u64>()).prop_map(|(server, ticket)| Origin { server, ticket });
    (proptest::option::of(origin), session(), any::<i64>(), txn_body())
        .prop_map(|(origin, session, time, body)| Txn { origin, session, time, body })
}

pub(crate) fn hello() -> impl Strategy<Value = Hello> {
    let purpose = select(&[LinkPurpose::Election, LinkPurpose::Learner][..]);
    (any::<u64>(), server(), server(), purpose).prop_map(|(ensemble, from, to, purpose)| Hello {
        version: PEER_PROTOCOL_VERSION,
        ensemble,
        from,
        to,
        purpose,
    })
}

fn leader_request() -> impl Strategy<Value = LeaderRequest> {
    let any_write = || prop_oneof![step(), set_acl()];
    prop_oneof![
        (identities(), any_write())
            .prop_map(|(identities, write)| LeaderRequest::Write { identities, write }),
        (identities(), vec(any_write(), 0..4))
            .prop_map(|(identities, writes)| LeaderRequest::Multi { identities, writes }),
        select(&[LeaderRequest::Sync, LeaderRequest::CloseSession][..]),
        (millis(), any::<[u8; 16]>())
            .prop_map(|(timeout, password)| LeaderRequest::OpenSession { timeout, password }),
        any::<[u8; 16]>().prop_map(|password| LeaderRequest::ResumeSession { password }),
    ]
}

fn notification() -> impl Strategy<Value = Notification> {
    let states = [
        PeerState::Looking,
        PeerState::Following,
        PeerState::Elected,
        PeerState::Leading,
        PeerState::Observing,
    ];
    let vote = (epoch(), zxid(), server());
    let stands_with = proptest::option::of((epoch(), zxid()));
    let hears = proptest::collection::btree_set(server(), 0..6);
    (any::<u64>(), select(states.to_vec()), vote, any::<bool>(), stands_with, hears).prop_map(
        |(round, state, (epoch, zxid, leader), votes, stands_with, hears)| Notification {
            round,
            state,
            vote: Vote { epoch, zxid, leader },
            votes,
            stands_with,
            hears,
        },
    )
}

/// The messages of a learner.
fn learner_message() -> impl Strategy<Value = PeerMessage> {
    let standing = select(&[Standing::Voter, Standing::Joiner, Standing::Observer][..]);
    prop_oneof![
        (epoch(), standing).prop_map(|(accepted_epoch, standing)| PeerMessage::FollowerInfo {
            accepted_epoch,
            standing,
        }),
        (epoch(), zxid()).prop_map(|(current_epoch, last_logged)| PeerMessage::AckEpoch {
            current_epoch,
            last_logged,
        }),
        epoch().prop_map(|epoch| PeerMessage::AckNewLeader { epoch }),
        zxid().prop_map(|zxid| PeerMessage::Ack { zxid }),
        (zxid(), vec((zxid(), blob()), 0..4)).prop_map(|(after, entries)| {
            let entry = |(zxid, bytes)| Entry { zxid, bytes };
            let entries = entries.into_iter().map(entry).collect();
            PeerMessage::HistoryPart { after, entries }
        }),
        (any::<u64>(), vec(session(), 0..4))
            .prop_map(|(round, touched)| PeerMessage::Pong { round, touched }),
        Just(PeerMessage::SnapshotWanted),
        (any::<u64>(), session(), leader_request()).prop_map(|(ticket, session, request)| {
            PeerMessage::Forward(Forwarded { ticket, session, request })
        }),
    ]
}

/// The messages of a leader.
fn leader_message() -> impl Strategy<Value = PeerMessage> {
    let answer = prop_oneof![
        zxid().prop_map(|zxid| Answer::Synced { zxid }),
        (millis(), zxid()).prop_map(|(timeout, zxid)| Answer::Session { timeout, zxid }),
        Just(Answer::NoSession),
    ];
    prop_oneof![
        epoch().prop_map(|epoch| PeerMessage::LeaderInfo { epoch }),
        zxid().prop_map(|after| PeerMessage::Truncate { after }),
        zxid().prop_map(|last_logged| PeerMessage::HistoryWanted { last_logged }),
        zxid().prop_map(|zxid| PeerMessage::SnapshotBegin { zxid }),
        blob().prop_map(|bytes| PeerMessage::SnapshotChunk { bytes }),
        select(&[PeerMessage::SnapshotEnd, PeerMessage::Admit][..]),
        (zxid(), blob())
            .prop_map(|(zxid, bytes)| PeerMessage::Propose { entry: Entry { zxid, bytes } }),
        (epoch(), zxid())
            .prop_map(|(epoch, last_logged)| PeerMessage::NewLeader { epoch, last_logged }),
        zxid().prop_map(|committed| PeerMessage::UpToDate { committed }),
        zxid().prop_map(|zxid| PeerMessage::Commit { zxid }),
        any::<u64>().prop_map(|round| PeerMessage::Ping { round }),
        (any::<u64>(), answer).prop_map(|(ticket, answer)| PeerMessage::Answer { ticket, answer }),
        session().prop_map(|session| PeerMessage::SessionMoved { session }),
    ]
}

pub(crate) fn message() -> impl Strategy<Value = PeerMessage> {
    prop_oneof![
        1 => notification().prop_map(PeerMessage::Notification),
        5 => learner_message(),
        5 => leader_message(),
    ]
}
