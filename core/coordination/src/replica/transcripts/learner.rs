//! A learner's transcripts: promise, synchronisation, logging, serving, and leaving a leader that
//! breaks the protocol.

use super::*;
use crate::replica::following::TOUCHED_PER_PONG_MAX;
use mailstorm_shared::SessionId;
use mailstorm_wire::checked::CHECKED_FRAME_BYTES_MAX;
use mailstorm_wire::peer::encode_message;

#[test]
fn a_learner_promises_on_disk_first_and_never_an_earlier_epoch() {
    let mut one = Player::following((3, 2), "2:1");
    one.hear(7, leader_info(3));
    one.expect(&["disk: promised 3 in 2 votes"]);
    one.disk(1);
    one.expect(&["> 7: ACKEPOCH 2 2:1"]);

    let mut one = Player::following((3, 2), "2:1");
    one.hear(7, leader_info(2));
    one.expect(&["close 7"]);
}

/// A learner of epoch 4 that is being synchronised on link 7.
fn synchronising(log: &str) -> Player {
    let mut one = Player::following((2, 2), log);
    one.hear(7, leader_info(4));
    one.synced();
    one.take();
    one
}

#[test]
fn history_then_epoch_then_acknowledgement() {
    // ZOOKEEPER-4643, ZOOKEEPER-3911: cut, entries, epoch, in this order on disk; then the ack.
    let mut one = synchronising("1:1 2:1 2:2");
    one.hear(7, PeerMessage::Truncate { after: z("2:1") });
    one.hear(7, propose("3:1"));
    one.hear(7, new_leader(4, "3:1"));
    one.hear(7, propose("4:1"));
    let disk =
        ["disk: cut after 2:1", "disk: log 3:1", "disk: promised 4 in 4 votes", "disk: log 4:1"];
    one.expect(&disk);
    one.disk(2);
    one.expect(&["> 7: ACK 3:1"]);
    one.disk(1);
    one.expect(&["> 7: ACKNEWLEADER 4"]);
    one.disk(1);
    one.expect(&["> 7: ACK 4:1"]);
    one.hear(7, PeerMessage::UpToDate { committed: z("3:1") });
    let delivered = ["! committed 1:1", "! committed 2:1", "! committed 3:1", "! following s2 4"];
    one.expect(&delivered);
    one.hear(7, PeerMessage::Commit { zxid: z("4:1") });
    one.expect(&["! committed 4:1"]);
}

#[test]
fn many_proposals_are_acknowledged_at_once() {
    let mut one = synchronising("");
    for text in ["1:1", "1:2", "1:3"] {
        one.hear(7, propose(text));
    }
    one.take();
    one.synced();
    one.expect(&["> 7: ACK 1:3"]);
}

#[test]
fn a_cut_comes_after_everything_that_it_cuts_is_on_disk() {
    // 1. 2:2 is handed to the disk; the leader is lost.
    // 2. The next leader does not know 2:2 and will have it cut. But before that it has our
    //    promise, and the promise is on disk behind 2:2: the disk never reports 2:2 after the cut.
    let mut one = synchronising("2:1");
    one.hear(7, propose("2:2"));
    one.call(|r, now, out| r.link_down(now, Some(LinkId(7)), id(2), out));
    let mut one = one.follow();
    one.hear(7, leader_info(5));
    one.expect(&["disk: promised 5 in 2 votes"]);
    one.disk(1);
    one.expect(&[]);
    one.disk(1);
    one.expect(&["> 7: ACKEPOCH 2 2:2"]);
    one.hear(7, PeerMessage::Truncate { after: z("2:1") });
    one.hear(7, propose("3:1"));
    one.expect(&["disk: cut after 2:1", "disk: log 3:1"]);
    one.disk(1);
    one.expect(&[]);
    one.disk(1);
    one.expect(&["> 7: ACK 3:1"]);
}

#[test]
fn a_repeated_proposal_is_tolerated_and_acknowledged() {
    // The second hole in the published Zab.
    let mut one = synchronising("2:1 2:2");
    one.hear(7, propose("2:1"));
    one.expect(&["> 7: ACK 2:1"]);
    one.hear(7, propose("2:2"));
    one.expect(&["> 7: ACK 2:2"]);
    one.hear(7, propose("2:3"));
    one.expect(&["disk: log 2:3"]);
}

#[test]
fn a_leader_that_breaks_the_protocol_is_left() {
    let left = |log: &str, messages: Vec<PeerMessage>| {
        let mut one = synchronising(log);
        for message in messages {
            one.hear(7, message);
        }
        assert!(one.lines.contains(&"close 7".to_owned()), "{:?}", one.lines);
        assert_eq!(one.replica.role(), Role::Looking);
    };
    let other = Entry { zxid: z("2:1"), bytes: Bytes::from_static(b"other") };
    left("2:1", vec![PeerMessage::Propose { entry: other }]);
    left("2:1", vec![propose("2:3")]); // left out 2:2
    left("2:1", vec![propose("5:1")]); // of a later epoch than its own
    left("2:1", vec![new_leader(4, "2:2")]);
    left("2:1", vec![new_leader(5, "2:1")]);
    left("2:1", vec![PeerMessage::UpToDate { committed: z("2:1") }]);
    left("2:1", vec![PeerMessage::Commit { zxid: z("2:1") }]);
    left("2:1", vec![PeerMessage::Admit]);
    left("1:1 2:1", vec![PeerMessage::Truncate { after: z("1:2") }]); // nothing to cut at
    left("2:1 2:2", vec![PeerMessage::SnapshotBegin { zxid: z("2:1") }]);
    left("2:1", vec![PeerMessage::SnapshotEnd]);
    left("2:1", vec![ack_epoch(1, "1:1")]);
    left("2:1", vec![leader_info(9)]);
}

#[test]
fn a_server_that_should_cut_what_an_earlier_life_knew_to_be_committed_halts() {
    for (committed, halts) in [("0:0", false), ("2:1", false), ("2:2", true), ("2:3", true)] {
        let mut one = Player::new(1, 3, (3, 2), "2:1 2:2 2:3");
        one.replica.recall_committed(z(committed));
        assert_eq!(one.replica.last_committed(), Zxid::ZERO, "it delivers nothing for that");
        let mut one = one.follow();
        one.hear(7, leader_info(4));
        one.synced();
        one.take();
        one.hear(7, PeerMessage::Truncate { after: z("2:1") });
        let lines = one.take();
        let line = "halt: the leader wants committed transactions to be cut".to_owned();
        assert_eq!(lines.contains(&line), halts, "{committed}: {lines:?}");
    }
}

#[test]
fn a_server_that_should_cut_what_it_delivered_halts() {
    let mut one = synchronising("2:1 2:2");
    one.hear(7, new_leader(4, "2:2"));
    one.synced();
    one.hear(7, PeerMessage::UpToDate { committed: z("2:2") });
    one.call(|r, now, out| r.link_down(now, Some(LinkId(7)), id(2), out));
    let mut one = one.follow();
    one.hear(7, leader_info(5));
    one.synced();
    one.take();
    one.hear(7, PeerMessage::Truncate { after: z("2:1") });
    one.expect(&["close 7", "halt: the leader wants committed transactions to be cut"]);
    one.hear(102, PeerMessage::Ping { round: 1 });
    one.wait(1_000_000);
    one.expect(&[]);
}

#[test]
fn a_leaders_snapshot_replaces_everything_at_its_end_and_nothing_before() {
    let mut one = synchronising("1:1");
    one.hear(7, PeerMessage::SnapshotBegin { zxid: z("3:9") });
    one.hear(7, PeerMessage::SnapshotChunk { bytes: Bytes::from_static(b"tree") });
    one.take();
    assert_eq!(one.replica.last_logged(), z("1:1"));
    one.synced();
    one.expect(&["> 7: SnapshotWanted"]);
    one.hear(7, PeerMessage::SnapshotEnd);
    one.hear(7, propose("3:10"));
    one.hear(7, new_leader(4, "3:10"));
    let written = [
        "! SnapshotComplete",
        "disk: snapshot ends true",
        "disk: log 3:10",
        "disk: promised 4 in 4 votes",
    ];
    one.expect(&written);
    one.synced();
    one.expect(&["> 7: ACKNEWLEADER 4", "> 7: ACK 3:10"]);
}

#[test]
fn a_snapshot_that_breaks_off_leaves_the_history_as_it_was() {
    let mut one = synchronising("1:1 1:2");
    one.hear(7, PeerMessage::SnapshotBegin { zxid: z("3:9") });
    one.hear(7, PeerMessage::SnapshotChunk { bytes: Bytes::from_static(b"tree") });
    one.take();
    one.call(|r, now, out| r.link_down(now, Some(LinkId(7)), id(2), out));
    one.expect(&["! ends: the link to the leader is gone", "close 7"]);
    one.synced();
    assert_eq!((one.replica.last_logged(), one.replica.epoch()), (z("1:2"), Epoch(2)));
    let mut one = one.follow();
    one.hear(7, leader_info(5));
    one.synced();
    one.expect(&["disk: promised 5 in 2 votes", "> 7: ACKEPOCH 2 1:2"]);
}

#[test]
fn messages_on_links_that_are_not_the_relation_mean_nothing() {
    let mut one = synchronising("2:1");
    one.hear(8, propose("2:2"));
    one.hear(102, propose("2:2"));
    one.link(8, 2, LinkPurpose::Learner, true);
    one.expect(&["close 8"]);
    one.link(9, 3, LinkPurpose::Learner, false);
    one.expect(&["close 9"]);
    assert_eq!(one.replica.last_logged(), z("2:1"));
}

#[test]
fn a_joiner_votes_once_its_disk_knows_that_it_was_admitted() {
    let mut one = joined();
    one.hear(7, PeerMessage::Admit);
    one.expect(&["disk: promised 4 in 4 votes"]);
    assert_eq!(one.replica.role(), Role::Joining);
    one.disk(1);
    one.expect(&["! ends: admitted: comes again as a voter", "close 7"]);
    assert_eq!(one.replica.role(), Role::Looking);
}

#[test]
fn a_second_admission_means_nothing() {
    // Otherwise the first could be on disk, and we elected, when the second is: it must not find a
    // leader.
    let mut one = joined();
    one.hear(7, PeerMessage::Admit);
    one.hear(7, PeerMessage::Admit);
    let left = "! ends: the leader sent what cannot be";
    one.expect(&["disk: promised 4 in 4 votes", left, "close 7"]);
}

#[test]
fn a_silent_leader_is_left() {
    let mut one = synchronising("");
    one.wait(499);
    one.expect(&[]);
    one.hear(7, PeerMessage::Ping { round: 3 });
    one.expect(&["> 7: PONG 3"]);
    one.wait(499);
    one.expect(&[]);
    one.wait(1);
    one.expect(&["close 7"]);
}

#[test]
fn a_learner_tells_of_more_sessions_than_a_frame_can_carry_in_several_pongs() {
    let mut one = synchronising("");
    for session in 0..=TOUCHED_PER_PONG_MAX as i64 {
        one.call(|replica, _, _| replica.touched(SessionId(i64::MIN | session)));
    }
    one.hear(7, PeerMessage::Ping { round: 3 });
    one.expect(&["> 7: PONG 3", "> 7: PONG 3"]);
    let touched = vec![SessionId(i64::MIN); TOUCHED_PER_PONG_MAX];
    let frame = encode_message(&PeerMessage::Pong { round: u64::MAX, touched });
    assert!(frame.len() < CHECKED_FRAME_BYTES_MAX);
    one.hear(7, PeerMessage::Ping { round: 4 });
    one.expect(&["> 7: PONG 4"]);
}

#[test]
fn a_voter_hands_over_what_the_leader_lacks() {
    let wanted = |last: &str| {
        let mut one = Player::following((1, 1), "1:1 1:2 1:3");
        one.hear(7, leader_info(2));
        one.synced();
        one.take();
        one.hear(7, PeerMessage::HistoryWanted { last_logged: z(last) });
        one.take()
    };
    assert_eq!(wanted("1:1"), ["> 7: HISTORYPART 1:1 (1:2 1:3)"]);
    assert_eq!(wanted("0:7"), ["> 7: HISTORYPART 0:0 (1:1 1:2 1:3)"]);
    assert_eq!(wanted("1:3"), ["> 7: HISTORYPART 1:3 ()"]);
}

#[test]
fn a_leader_that_looks_for_another_is_left_at_once_whatever_the_step() {
    let looks = || {
        let vote = Vote { epoch: Epoch(1), zxid: z("1:2"), leader: id(3) };
        PeerMessage::Notification(says(10, PeerState::Looking, vote))
    };
    let mut one = Player::following((1, 1), "1:1 1:2");
    one.hear(102, looks());
    assert_eq!(one.replica.role(), Role::Looking);

    let mut one = joined();
    one.hear(102, looks());
    one.expect(&["! ends: the leader looks for another", "close 7"]);
    assert_eq!(one.replica.role(), Role::Looking);
}
