//! Whatever peers say, in whatever order, a replica does not panic.

use super::transcripts::{Player, id, joined};
use crate::io::LinkId;
use bytes::Bytes;
use mailstorm_shared::{Epoch, SessionId, Zxid};
use mailstorm_wire::peer::{
    Answer, Forwarded, LeaderRequest, LinkPurpose, Notification, PeerMessage, PeerState, Standing,
    Vote,
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
    use PeerState::{Elected, Following, Leading, Looking, Observing};
    let state = prop::sample::select(vec![Looking, Following, Elected, Leading, Observing]);
    let standing =
        prop::sample::select(vec![Standing::Voter, Standing::Joiner, Standing::Observer]);
    let round = prop_oneof![9 => 0..4u64, 1 => any::<u64>()];
    let vote = (epoch(), zxid(), 1..5u8).prop_map(|(epoch, zxid, leader)| Vote {
        epoch,
        zxid,
        leader: id(leader),
    });
    let stands_with = prop::option::of((epoch(), zxid()));
    let hears = prop::collection::btree_set((1..5u8).prop_map(id), 1..4);
    let notification = (round, state, vote, prop::bool::weighted(0.9), stands_with, hears)
        .prop_map(|(round, state, vote, votes, stands_with, hears)| {
            let said = Notification { round, state, vote, votes, stands_with, hears };
            PeerMessage::Notification(said)
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
        1 => Just(PeerMessage::Forward(Forwarded {
            ticket: 1, session, request: LeaderRequest::Sync,
        })),
        2 => zxid().prop_map(|after| PeerMessage::Truncate { after }),
        2 => zxid().prop_map(|last_logged| PeerMessage::HistoryWanted { last_logged }),
        2 => (zxid(), prop::collection::vec(zxid(), 0..3)).prop_map(|(after, zxids)| {
            let entry = |zxid| Entry { zxid, bytes: Bytes::from_static(b"a") };
            PeerMessage::HistoryPart { after, entries: zxids.into_iter().map(entry).collect() }
        }),
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
    // The links that `beginning` has opened, and one that nobody knows.
    let link = || prop::sample::select(vec![2, 2, 3, 7, 7, 7, 9, 102, 103]);
    prop_oneof![
        2 => (0..400u64).prop_map(Happening::Wait),
        3 => (link(), 2..5u8, any::<bool>(), any::<bool>())
            .prop_map(|(link, peer, election, ours)| Happening::Up(link, peer, election, ours)),
        1 => (link(), any::<bool>(), 2..5u8).prop_map(|(l, known, p)| Happening::Down(l, known, p)),
        25 => (link(), message()).prop_map(|(link, message)| Happening::Message(link, message)),
        4 => Just(Happening::Disk),
        1 => Just(Happening::Propose),
        1 => Just(Happening::Confirm),
        1 => (link(), any::<bool>()).prop_map(|(link, more)| Happening::Chunk(link, more)),
    ]
}

/// A replica in the middle of something.
fn beginning(which: u8) -> Player {
    match which {
        0 => Player::new(1, 3, (1, 1), "1:1 1:2"),
        1 => Player::elected(3, (1, 1), "1:1 1:2"),
        2 | 3 => Player::established(3),
        8 => joined(),
        4 => Player::following((1, 1), "1:1 1:2"),
        5 | 6 => {
            let mut one = Player::following((1, 1), "1:1 1:2");
            one.hear(7, PeerMessage::LeaderInfo { epoch: Epoch(2) });
            one.synced();
            one
        }
        _ => {
            let mut one = beginning(5);
            let (epoch, last_logged) = (Epoch(2), Zxid::new(Epoch(1), 2));
            one.hear(7, PeerMessage::NewLeader { epoch, last_logged });
            one.synced();
            one.hear(7, PeerMessage::UpToDate { committed: last_logged });
            one
        }
    }
}

fn play(which: u8, happenings: Vec<Happening>) {
    let mut one = beginning(which);
    for happening in happenings {
        let committed = one.replica.last_committed();
        match happening {
            Happening::Wait(span) => one.wait(span),
            Happening::Up(link, peer, election, ours) => {
                let purpose = if election { LinkPurpose::Election } else { LinkPurpose::Learner };
                one.link(link, peer, purpose, ours);
            }
            Happening::Down(link, known, peer) => {
                one.call(|r, now, out| {
                    r.link_down(now, known.then_some(LinkId(link)), id(peer), out)
                });
            }
            Happening::Message(link, message) => one.hear(link, message),
            Happening::Disk => one.synced(),
            Happening::Propose if one.replica.can_propose() => one.propose(),
            Happening::Propose => {}
            Happening::Confirm => one.call(|r, now, out| r.confirm(now, 1, out)),
            Happening::Chunk(link, more) => {
                let chunk = more.then(|| Bytes::from_static(b"d"));
                one.call(|r, _, out| r.snapshot_chunk(LinkId(link), chunk, out));
            }
        }
        assert!(one.replica.last_committed() >= committed, "what is delivered stays delivered");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_500) })]

    #[test]
    fn nothing_that_peers_say_makes_a_replica_panic(
        which in 0..9u8,
        happenings in prop::collection::vec(happening(), 1..120),
    ) {
        play(which, happenings);
    }
}
