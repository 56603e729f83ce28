//! Whatever peers say, in whatever order, a replica does not panic.

use super::event::{Outbox, ReplicaEvent};
use super::transcripts::id;
use super::{Replica, ReplicaConfig};
use crate::io::{DurableState, LinkId, Output};
use bytes::Bytes;
use mailstorm_shared::{Ensemble, Epoch, Millis, Now, SessionId, Zxid};
use mailstorm_wire::peer::{
    Answer, Forwarded, LinkPurpose, Notification, PeerMessage, PeerState, Standing, Vote, Wish,
};
use mailstorm_wire::txn::Entry;
use proptest::prelude::*;

/// One thing that befalls a replica.
#[derive(Clone, Debug)]
enum Happening {
    Wait(u64),
    Up(u64, u8, bool, bool),
    Down(u64, bool, u8),
    Message(u64, PeerMessage),
    Disk,
    Propose,
    Confirm,
    Chunk(u64, bool),
}

fn epoch() -> impl Strategy<Value = Epoch> {
    prop_oneof![9 => (0..5u32).prop_map(Epoch), 1 => any::<u32>().prop_map(Epoch)]
}

fn zxid() -> impl Strategy<Value = Zxid> {
    let near = (0..4u32, 0..4u32).prop_map(|(e, c)| Zxid::new(Epoch(e), c));
    prop_oneof![9 => near, 1 => any::<u64>().prop_map(Zxid)]
}

fn message() -> impl Strategy<Value = PeerMessage> {
    use PeerState::{Following, Leading, Looking, Observing};
    let state = prop::sample::select(vec![Looking, Following, Leading, Observing]);
    let standing =
        prop::sample::select(vec![Standing::Voter, Standing::Joiner, Standing::Observer]);
    let notification = (0..4u64, state, epoch(), zxid(), 1..5u8, prop::bool::weighted(0.9))
        .prop_map(|(round, state, epoch, zxid, leader, votes)| {
            let vote = Vote { epoch, zxid, leader: id(leader) };
            PeerMessage::Notification(Notification { round, state, vote, votes })
        });
    let session = SessionId(7);
    let answer = Answer::Synced { zxid: Zxid::ZERO };
    prop_oneof![
        6 => notification,
        2 => (epoch(), standing).prop_map(|(accepted_epoch, standing)| {
            PeerMessage::FollowerInfo { accepted_epoch, standing }
        }),
        2 => (epoch(), zxid()).prop_map(|(current_epoch, last_logged)| {
            PeerMessage::AckEpoch { current_epoch, last_logged }
        }),
        2 => epoch().prop_map(|epoch| PeerMessage::LeaderInfo { epoch }),
        2 => epoch().prop_map(|epoch| PeerMessage::AckNewLeader { epoch }),
        2 => zxid().prop_map(|zxid| PeerMessage::Ack { zxid }),
        2 => (0..4u64).prop_map(|round| PeerMessage::Pong { round, touched: vec![SessionId(3)] }),
        1 => Just(PeerMessage::SnapshotWanted),
        1 => Just(PeerMessage::Forward(Forwarded { ticket: 1, session, wish: Wish::Sync })),
        2 => zxid().prop_map(|after| PeerMessage::Truncate { after }),
        2 => zxid().prop_map(|zxid| PeerMessage::SnapshotBegin { zxid }),
        1 => Just(PeerMessage::SnapshotChunk { bytes: Bytes::from_static(b"part") }),
        1 => Just(PeerMessage::SnapshotEnd),
        3 => (zxid(), any::<bool>()).prop_map(|(zxid, other)| {
            let bytes = Bytes::from_static(if other { b"a" } else { b"b" });
            PeerMessage::Propose { entry: Entry { zxid, bytes } }
        }),
        3 => (epoch(), zxid()).prop_map(|(epoch, last_logged)| {
            PeerMessage::NewLeader { epoch, last_logged }
        }),
        2 => zxid().prop_map(|committed| PeerMessage::UpToDate { committed }),
        2 => zxid().prop_map(|zxid| PeerMessage::Commit { zxid }),
        1 => Just(PeerMessage::Admit),
        1 => any::<u64>().prop_map(|round| PeerMessage::Ping { round }),
        1 => Just(PeerMessage::Answer { ticket: 1, answer }),
        1 => Just(PeerMessage::SessionMoved { session }),
    ]
}

fn happening() -> impl Strategy<Value = Happening> {
    // Links 1 to 4 are election links if they are even, learner links otherwise.
    prop_oneof![
        2 => (0..400u64).prop_map(Happening::Wait),
        3 => (0..6u64, 2..5u8, any::<bool>(), any::<bool>())
            .prop_map(|(link, peer, election, ours)| Happening::Up(link, peer, election, ours)),
        1 => (0..6u64, any::<bool>(), 2..5u8).prop_map(|(l, known, p)| Happening::Down(l, known, p)),
        12 => (0..6u64, message()).prop_map(|(link, message)| Happening::Message(link, message)),
        4 => Just(Happening::Disk),
        1 => Just(Happening::Propose),
        1 => Just(Happening::Confirm),
        1 => (0..6u64, any::<bool>()).prop_map(|(link, more)| Happening::Chunk(link, more)),
    ]
}

fn play(votes: bool, happenings: Vec<Happening>) {
    let ensemble = Ensemble::new((1..=3).map(id), [id(4)]).unwrap();
    let config = ReplicaConfig { tick: Millis(100), ..ReplicaConfig::new(id(1), ensemble) };
    let state = DurableState { accepted_epoch: Epoch(1), current_epoch: Epoch(1), votes };
    let log = [1, 2].map(|counter| Entry {
        zxid: Zxid::new(Epoch(1), counter),
        bytes: Bytes::from_static(b"a"),
    });
    let mut now = Now { monotonic: Millis(1), wall: Millis(1) };
    let mut out = Outbox::new();
    let mut r = Replica::new(config, state, None, log.to_vec(), 3, now, &mut out);
    let mut tickets = Vec::new();
    let mut last_delivered = Zxid::ZERO;
    for happening in happenings {
        match happening {
            Happening::Wait(span) => {
                now.monotonic = now.monotonic + Millis(span);
                r.tick(now, span, &mut out);
            }
            Happening::Up(link, peer, election, ours) => {
                let purpose = if election { LinkPurpose::Election } else { LinkPurpose::Learner };
                r.link_up(now, LinkId(link), id(peer), purpose, ours, &mut out);
            }
            Happening::Down(link, known, peer) => {
                r.link_down(now, known.then_some(LinkId(link)), id(peer), &mut out);
            }
            Happening::Message(link, message) => r.received(now, LinkId(link), message, &mut out),
            Happening::Disk => {
                if let Some(ticket) = tickets.pop() {
                    tickets.clear();
                    r.disk_done(now, ticket, &mut out);
                }
            }
            Happening::Propose if r.can_propose() => {
                r.propose(now, Bytes::from_static(b"c"), &mut out);
            }
            Happening::Propose => {}
            Happening::Confirm => r.confirm(now, 1, &mut out),
            Happening::Chunk(link, more) => {
                let chunk = more.then(|| Bytes::from_static(b"d"));
                r.snapshot_chunk(now, LinkId(link), chunk, &mut out);
            }
        }
        for event in out.events.drain(..) {
            if let ReplicaEvent::Committed(entry) = event {
                assert!(entry.zxid > last_delivered, "delivered once and in order");
                last_delivered = entry.zxid;
            }
        }
        for output in out.outputs.drain(..) {
            if let Output::Disk { ticket, .. } = output {
                tickets.push(ticket);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_500) })]

    #[test]
    fn nothing_that_peers_say_makes_a_replica_panic(
        votes in prop::bool::weighted(0.8),
        happenings in prop::collection::vec(happening(), 1..120),
    ) {
        play(votes, happenings);
    }
}
