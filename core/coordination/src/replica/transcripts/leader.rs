//! A leader's transcripts: discovery, synchronisation, broadcast, confirmation, admission.

use super::*;
use crate::defect::Defect;
use crate::replica::config::WINDOW_ENTRIES_MAX;
use crate::replica::following::TOUCHED_PER_PONG_MAX;
use mailstorm_shared::{Defects, Ensemble, SessionId};

#[test]
fn a_server_alone_leads_after_its_disk_has_promised_and_begun() {
    let mut one = Player::new(1, 1, (3, 2), "2:1 2:2");
    one.expect(&["disk: promised 4 in 2 votes"]);
    one.disk(1);
    one.expect(&["disk: promised 4 in 4 votes"]);
    one.disk(1);
    one.expect(&["! committed 2:1", "! committed 2:2", "! leading 4"]);
    one.propose();
    one.expect(&["disk: log 4:1"]);
    one.disk(1);
    one.expect(&["! committed 4:1"]);
}

#[test]
fn a_leader_tells_nobody_of_its_epoch_before_its_own_promise_is_durable() {
    // ZOOKEEPER-1291.
    let mut one = Player::elected(3, (4, 2), "");
    one.introduce(2, 2, 6, Standing::Voter);
    one.expect(&["disk: promised 7 in 2 votes"]);
    one.disk(1);
    one.expect(&["> 2: LEADERINFO 7"]);
}

#[test]
fn the_new_epoch_is_later_than_each_that_a_majority_has_promised() {
    let mut one = Player::elected(5, (1, 1), "");
    one.introduce(2, 2, 3, Standing::Voter);
    one.introduce(6, 6, 9, Standing::Observer);
    one.introduce(4, 4, 0, Standing::Joiner);
    one.expect(&[]);
    one.introduce(3, 3, 5, Standing::Voter);
    one.expect(&["disk: promised 6 in 1 votes"]);
}

/// A leader-to-be in epoch 3, with 2:2 as its history's end, whose only promise comes from a voter
/// with this history.
fn behind(current: u32, last: &str) -> Player {
    let mut one = Player::elected(3, (2, 2), "2:1 2:2");
    one.introduce(2, 2, 2, Standing::Voter);
    one.synced();
    one.take();
    one.hear(2, ack_epoch(current, last));
    one
}

fn part(after: &str, text: &str) -> PeerMessage {
    PeerMessage::HistoryPart { after: z(after), entries: entries(text) }
}

#[test]
fn a_leader_takes_over_the_history_of_a_voter_that_it_needs() {
    let mut one = behind(2, "2:4");
    one.expect(&["> 2: HISTORYWANTED 2:2"]);
    one.hear(2, part("2:2", "2:3"));
    one.expect(&["disk: log 2:3", "> 2: HISTORYWANTED 2:3"]);
    one.hear(2, part("2:3", "2:4"));
    one.expect(&["disk: log 2:4", "> 2: PING 1"]);
    one.pong([2]);
    one.expect(&["disk: promised 3 in 3 votes", "> 2: NEWLEADER 3 2:4"]);

    let mut one = behind(3, "3:1");
    one.expect(&["> 2: HISTORYWANTED 2:2"]);
    one.hear(2, part("2:1", "3:1"));
    one.expect(&["disk: cut after 2:1", "disk: log 3:1", "> 2: PING 1"]);
}

#[test]
fn a_history_that_is_taken_over_comes_whole_or_not_at_all() {
    let damaged = [
        part("2:2", ""),
        part("2:2", "2:4"),
        part("2:2", "2:3 2:4 2:5"),
        part("1:5", "2:1"),
        part("2:2", "4:1"),
    ];
    for message in damaged {
        let mut one = behind(2, "2:4");
        one.hear(2, message.clone());
        assert_eq!(one.replica.role(), Role::Looking, "{message:?}");
    }
    let mut one = behind(2, "2:4");
    one.hear(2, part("2:2", "2:3"));
    one.call(|r, now, out| r.link_down(now, Some(LinkId(2)), id(2), out));
    assert_eq!(one.replica.role(), Role::Looking);
    assert_eq!(one.replica.last_logged(), z("2:3"), "with what it has, it may vote");
}

#[test]
fn a_voter_with_more_history_is_not_counted_where_a_majority_promises_without_it() {
    let mut one = Player::elected(5, (2, 2), "2:1 2:2");
    for link in [2, 3, 4] {
        one.introduce(link.into(), link, 2, Standing::Voter);
    }
    one.synced();
    for link in [2, 3] {
        one.hear(link, ack_epoch(2, "2:2"));
    }
    one.take();
    one.hear(4, ack_epoch(2, "2:4"));
    one.pong([2, 4]);
    assert_eq!(one.replica.epoch(), Epoch(2), "4 does not count");
    one.pong([3]);
    let lines = one.take();
    assert!(lines.contains(&"> 4: TRUNC 2:2".to_owned()), "{lines:?}");
}

#[test]
fn a_leader_steps_down_for_a_learner_that_can_never_follow_its_epoch() {
    let mut one = Player::elected(5, (1, 1), "");
    one.introduce(2, 2, 1, Standing::Voter);
    one.introduce(3, 3, 1, Standing::Voter);
    one.introduce(4, 4, 2, Standing::Voter); // has promised epoch 2, but not to this leader
    assert_eq!(one.replica.role(), Role::Looking);

    let mut one = Player::established(5);
    one.introduce(4, 4, 1, Standing::Voter); // the epoch is established: may join it
    one.expect(&["> 4: LEADERINFO 1"]);
    one.introduce(5, 5, 2, Standing::Voter);
    assert_eq!(one.replica.role(), Role::Looking);
}

#[test]
fn promises_are_asked_for_once_more_before_the_history_is_fixed() {
    let mut one = Player::elected(5, (0, 0), "");
    for link in [2, 3] {
        one.introduce(link.into(), link, 0, Standing::Voter);
    }
    one.synced();
    one.hear(2, ack_epoch(0, "0:0"));
    one.take();
    one.hear(3, ack_epoch(0, "0:0"));
    one.expect(&["> 2,3: PING 1"]);
    one.hear(3, PeerMessage::Pong { round: 1, touched: Vec::new() });
    one.expect(&[]);
    // 2 does not answer; 4 promises, in time for the second round only.
    one.introduce(4, 4, 0, Standing::Voter);
    one.hear(4, ack_epoch(0, "0:0"));
    one.hear(4, PeerMessage::Pong { round: 1, touched: Vec::new() });
    one.expect(&["> 4: LEADERINFO 1", "> 2,3,4: PING 2"]);
    one.hear(4, PeerMessage::Pong { round: 2, touched: Vec::new() });
    one.expect(&[]);
    one.hear(3, PeerMessage::Pong { round: 2, touched: Vec::new() });
    assert_eq!(one.take()[0], "disk: promised 1 in 1 votes");
}

#[test]
fn promises_are_confirmed_on_links_that_are_slower_than_the_pace_of_the_pings() {
    let mut one = Player::elected(5, (0, 0), "");
    for link in [2, 3] {
        one.introduce(link.into(), link, 0, Standing::Voter);
    }
    one.synced();
    for link in [2, 3] {
        one.hear(link, ack_epoch(0, "0:0"));
    }
    let pong = |one: &mut Player, link, round| {
        one.hear(link, PeerMessage::Pong { round, touched: Vec::new() });
    };
    // Each answer comes one round late. That of 2 to round 1 and that of 3 to a later one show that
    // both remembered when round 1 had begun.
    one.wait(60);
    one.take();
    pong(&mut one, 2, 1);
    one.expect(&[]);
    one.wait(60);
    one.expect(&["> 2,3: PING 3"]);
    pong(&mut one, 3, 2);
    assert_eq!(one.take()[0], "disk: promised 1 in 1 votes");
}

#[test]
fn a_history_is_committed_when_a_majority_has_it_on_disk() {
    let mut one = Player::elected(3, (1, 1), "1:1 1:2");
    one.introduce(2, 2, 1, Standing::Voter);
    one.synced();
    one.take();
    one.hear(2, ack_epoch(1, "1:1"));
    one.expect(&["> 2: PING 1"]);
    one.pong([2]);
    one.take();
    assert_eq!(one.disk.len(), 1, "the epoch, as our current one");
    one.hear(2, PeerMessage::Ack { zxid: z("1:2") });
    one.expect(&[]);
    one.hear(2, PeerMessage::AckNewLeader { epoch: Epoch(2) });
    one.expect(&[]); // ours is not on disk yet
    one.disk(1);
    one.expect(&["! committed 1:1", "! committed 1:2", "! leading 2", "> 2: UPTODATE 1:2"]);
}

#[test]
fn a_learner_is_sent_each_proposal_from_its_sync_plan_on() {
    // The first hole in the published Zab: 3 has not acknowledged NEWLEADER.
    let mut one = Player::established(3);
    one.introduce(3, 3, 0, Standing::Voter);
    one.hear(3, ack_epoch(0, "0:0"));
    one.expect(&["> 3: LEADERINFO 1", "> 3: NEWLEADER 1 0:0"]);
    one.propose();
    one.expect(&["disk: log 1:1", "> 2,3: PROPOSE 1:1"]);
    one.hear(3, PeerMessage::Ack { zxid: z("1:1") });
    one.disk(1);
    one.expect(&[]); // its word does not count yet
    one.hear(3, PeerMessage::AckNewLeader { epoch: Epoch(1) });
    let third_hole = ["! committed 1:1", "> 3: UPTODATE 0:0", "> 2,3: COMMIT 1:1"];
    one.expect(&third_hole);
}

#[test]
fn commits_need_a_majority_of_the_voters_in_the_order_of_the_log() {
    let mut one = Player::established(5);
    one.introduce(6, 6, 0, Standing::Observer);
    one.hear(6, ack_epoch(0, "0:0"));
    one.hear(6, PeerMessage::AckNewLeader { epoch: Epoch(1) });
    for _ in 0..3 {
        one.propose();
    }
    one.take();
    one.hear(2, PeerMessage::Ack { zxid: z("1:2") });
    one.hear(6, PeerMessage::Ack { zxid: z("1:3") });
    one.expect(&[]);
    one.disk(1);
    one.expect(&[]);
    one.hear(3, PeerMessage::Ack { zxid: z("1:3") });
    one.expect(&["! committed 1:1", "> 2,3,6: COMMIT 1:1"]);
    one.disk(2);
    one.expect(&["! committed 1:2", "> 2,3,6: COMMIT 1:2"]);
    one.hear(2, PeerMessage::Ack { zxid: z("1:3") });
    one.expect(&["! committed 1:3", "> 2,3,6: COMMIT 1:3"]);
}

#[test]
fn a_learner_that_comes_again_replaces_its_older_self() {
    let mut one = Player::established(3);
    one.introduce(9, 2, 1, Standing::Voter);
    one.expect(&["! gone 2", "close 2", "> 9: LEADERINFO 1"]);
    one.propose();
    one.disk(1);
    one.hear(2, PeerMessage::Ack { zxid: z("1:1") });
    one.expect(&["disk: log 1:1"]);
}

#[test]
fn a_joiner_does_not_count_and_is_admitted_after_a_round_of_others() {
    let mut one = Player::established(5);
    one.introduce(4, 4, 0, Standing::Joiner);
    one.hear(4, ack_epoch(0, "0:0"));
    one.take();
    one.hear(4, PeerMessage::AckNewLeader { epoch: Epoch(1) });
    one.expect(&["> 4: UPTODATE 0:0", "> 2,3,4: PING 2"]);
    // Answers to the round before, by which the leader was confirmed, are not enough.
    one.hear(2, PeerMessage::Pong { round: 1, touched: Vec::new() });
    one.hear(3, PeerMessage::Pong { round: 1, touched: Vec::new() });
    one.hear(4, PeerMessage::Pong { round: 2, touched: Vec::new() });
    one.hear(2, PeerMessage::Pong { round: 2, touched: Vec::new() });
    one.expect(&[]); // we, 2, and 4 itself, which does not count
    one.hear(3, PeerMessage::Pong { round: 2, touched: Vec::new() });
    one.expect(&["> 4: Admit"]);
    one.propose();
    one.hear(2, PeerMessage::Ack { zxid: z("1:1") });
    one.hear(4, PeerMessage::Ack { zxid: z("1:1") });
    one.expect(&["disk: log 1:1", "> 2,3,4: PROPOSE 1:1"]);
}

#[test]
fn one_round_confirms_all_who_came_to_wait_before_it() {
    let mut one = Player::established(3);
    one.wait(60);
    one.pong([2]);
    one.take();
    let confirm = |one: &mut Player, token| one.call(|r, now, out| r.confirm(now, token, out));
    confirm(&mut one, 1);
    one.expect(&["> 2: PING 3"]);
    confirm(&mut one, 2);
    confirm(&mut one, 3);
    one.expect(&[]);
    one.hear(2, PeerMessage::Pong { round: 3, touched: Vec::new() });
    one.expect(&["! confirmed 1", "> 2: PING 4"]);
    one.hear(2, PeerMessage::Pong { round: 4, touched: Vec::new() });
    one.expect(&["! confirmed 2", "! confirmed 3"]);
}

#[test]
fn a_leader_steps_down_when_the_counter_is_full_and_all_is_committed() {
    // ZOOKEEPER-1277.
    let state = DurableState { accepted_epoch: Epoch(0), current_epoch: Epoch(0), votes: true };
    let mut one = Player::with(ReplicaConfig { epoch_entries_max: 2, ..config(1, 1) }, state, "");
    one.synced();
    one.propose();
    one.propose();
    assert_eq!(one.replica.next_zxid(), None);
    one.take();
    one.synced();
    let lines = one.take();
    assert_eq!(
        lines[..3],
        ["! committed 1:1", "! committed 1:2", "! ends: the epoch's counter is full"]
    );
    assert_eq!(one.replica.next_zxid(), Some(z("2:1")), "alone, it is soon elected again");
}

#[test]
fn a_leader_without_answers_steps_down() {
    let mut one = Player::established(3);
    one.wait(60);
    assert_eq!(one.replica.role(), Role::Leading);
    for _ in 0..9 {
        one.wait(50);
    }
    assert!(one.lines.contains(&"! ends: no majority of the voters answers".to_owned()));
}

#[test]
fn what_is_on_its_way_to_a_slow_learner_is_bounded() {
    let mut one = Player::established(3);
    one.introduce(3, 3, 0, Standing::Voter);
    one.hear(3, ack_epoch(0, "0:0"));
    one.hear(3, PeerMessage::AckNewLeader { epoch: Epoch(1) });
    one.take();
    let mut proposed = 0;
    while one.replica.next_zxid().is_some() && proposed < WINDOW_ENTRIES_MAX + 100 {
        one.propose();
        one.hear(2, PeerMessage::Ack { zxid: one.replica.last_logged() });
        one.synced();
        proposed += 1;
    }
    let to_three = |lines: &[String]| {
        let to = |l: &&String| l.contains("PROPOSE") && l.contains('3') && l.starts_with("> ");
        lines.iter().filter(to).filter(|l| l.starts_with("> 2,3:") || l.starts_with("> 3:")).count()
    };
    assert_eq!(to_three(&one.take()), WINDOW_ENTRIES_MAX);
    one.hear(3, PeerMessage::Ack { zxid: z("1:50") });
    let lines = one.take();
    assert_eq!(to_three(&lines), 50);
    assert!(lines.last().unwrap().contains("COMMIT"), "it may know of what it was sent");
}

#[test]
fn a_learner_far_behind_gets_the_committed_state_and_then_the_rest() {
    // ZOOKEEPER-3642, ZOOKEEPER-3104.
    let config = ReplicaConfig { sync_entries_kept: 0, ..config(1, 1) };
    let ensemble = Ensemble::new([id(1)], [id(2)]).unwrap();
    let state = DurableState { accepted_epoch: Epoch(0), current_epoch: Epoch(0), votes: true };
    let mut one = Player::with(ReplicaConfig { ensemble, ..config }, state, "");
    one.synced();
    for _ in 0..3 {
        one.propose();
    }
    one.synced();
    one.call(|r, _, out| {
        r.disk(DiskCommand::SnapshotBegin { zxid: z("1:3") }, out);
        r.snapshot_written(z("1:3"));
    });
    one.propose();
    one.introduce(2, 2, 0, Standing::Observer);
    one.take();
    one.hear(2, ack_epoch(0, "0:0"));
    one.expect(&["! SnapshotWanted { link: LinkId(2) }", "> 2: SNAP 1:3"]);
    one.propose();
    one.expect(&["disk: log 1:5"]);
    one.call(|r, _, out| r.snapshot_chunk(LinkId(2), None, out));
    let tail = ["> 2: SnapshotEnd", "> 2: PROPOSE 1:4", "> 2: PROPOSE 1:5", "> 2: NEWLEADER 1 1:5"];
    one.expect(&tail);
}

#[test]
fn a_snapshot_is_due_after_so_many_entries_or_so_many_bytes_of_them() {
    let due_after = |snapshot_every_entries, snapshot_every_bytes| {
        let config = ReplicaConfig { snapshot_every_entries, snapshot_every_bytes, ..config(1, 1) };
        let state = DurableState { accepted_epoch: Epoch(0), current_epoch: Epoch(0), votes: true };
        let mut one = Player::with(config, state, "");
        one.synced();
        for proposed in 0..10 {
            if one.replica.snapshot_due() {
                return proposed;
            }
            one.propose(); // one byte
            one.synced();
        }
        10
    };
    assert!((2..=3).contains(&due_after(3, 100)));
    assert!((2..=4).contains(&due_after(100, 4)));
}

#[test]
fn a_learner_for_which_too_much_stays_in_memory_is_given_up() {
    let given_up_after = |snapshot_every_entries, snapshot_every_bytes| {
        let ensemble = Ensemble::new([id(1)], [id(2)]).unwrap();
        let config = ReplicaConfig {
            ensemble,
            snapshot_every_entries,
            snapshot_every_bytes,
            sync_entries_kept: 0,
            ..config(1, 1)
        };
        let state = DurableState { accepted_epoch: Epoch(0), current_epoch: Epoch(0), votes: true };
        let mut one = Player::with(config, state, "");
        one.synced();
        one.propose();
        one.synced();
        one.call(|r, _, out| {
            r.disk(DiskCommand::SnapshotBegin { zxid: z("1:1") }, out);
            r.snapshot_written(z("1:1"));
        });
        one.introduce(2, 2, 0, Standing::Observer);
        one.hear(2, ack_epoch(0, "0:0")); // is sent a snapshot, which takes a while
        for proposed in 0..100 {
            one.wait(50);
            one.pong([2]);
            if one.lines.contains(&"close 2".to_owned()) {
                return proposed;
            }
            one.propose();
            one.synced();
        }
        100
    };
    assert_eq!(given_up_after(5, 1_000), 21);
    assert_eq!(given_up_after(1_000, 7), 29);
}

/// A leader of three with servers 2 and 3, that is asked for a sync every 40 ms, while 3 is silent.
fn syncs_and_a_silent_learner(defects: Defects) -> Player {
    let mut one = Player::established_with(3, defects);
    one.introduce(3, 3, 0, Standing::Voter);
    one.hear(3, ack_epoch(0, "0:0"));
    one.hear(3, PeerMessage::AckNewLeader { epoch: Epoch(1) });
    one.take();
    for token in 0..20 {
        one.call(|r, now, out| r.confirm(now, token, out));
        one.pong([2]);
        one.pong([2]);
        one.wait(20);
        one.wait(20);
    }
    one
}

#[test]
fn a_silent_learner_is_given_up_whatever_is_confirmed_meanwhile() {
    // The tick is 100 ms here, so the sync limit is 500.
    let mut one = syncs_and_a_silent_learner(Defects::NONE);
    let lines = one.take();
    let has = |line: &str| lines.iter().any(|l| l == line);
    assert!(has("! confirmed 18") && has("close 3"), "{lines:?}");
    assert!(one.replica.is_serving());

    let stays = Defects::from(Defect::SilentLearnersStay);
    let lines = syncs_and_a_silent_learner(stays).take();
    assert!(!lines.contains(&"close 3".to_owned()), "the defect is still one");
}

#[test]
fn a_learner_that_takes_nothing_holds_back_a_bounded_part_of_the_log() {
    let mut one = Player::established(3);
    one.introduce(3, 3, 0, Standing::Voter);
    one.hear(3, ack_epoch(0, "0:0"));
    one.hear(3, PeerMessage::AckNewLeader { epoch: Epoch(1) });
    let every = one.replica.snapshot_every_entries();
    let mut most = 0;
    for count in 1..=12 * every {
        one.propose();
        one.synced();
        let zxid = one.replica.last_logged();
        one.hear(2, PeerMessage::Ack { zxid });
        if one.replica.snapshot_due() {
            one.call(|r, _, out| _ = r.disk(DiskCommand::SnapshotBegin { zxid }, out));
            one.replica.snapshot_written(zxid);
        }
        if count % 10 == 0 {
            // It answers, and its disk stands still.
            one.pong([2, 3]);
            one.wait(60);
            one.call(|r, now, out| r.confirm(now, 1, out));
            one.take();
        }
        most = most.max(one.replica.entries_in_memory());
    }
    assert!((every..6 * every).contains(&most), "{most} entries in memory");
}

#[test]
fn a_peer_that_claims_an_epoch_beyond_reach_halts_nobody() {
    for claimed in [u32::MAX, (1 << 24) + 2] {
        let mut one = Player::elected(3, (1, 1), "");
        one.introduce(2, 2, claimed, Standing::Voter);
        one.expect(&["! gone 2", "close 2"]);
        one.introduce(3, 3, 1 << 24, Standing::Voter);
        one.expect(&["disk: promised 16777217 in 1 votes"]);

        let mut one = Player::established(3);
        one.introduce(3, 3, claimed, Standing::Voter);
        one.expect(&["! gone 3", "close 3"]);
        assert!(one.replica.is_serving());

        let mut one = Player::following((1, 1), "");
        one.hear(7, leader_info(claimed));
        one.expect(&["close 7"]);
    }
}

#[test]
fn a_learner_has_reported_up_to_the_last_ping_that_it_answered() {
    let mut one = Player::established(3);
    let link = LinkId(2);
    let until = |one: &Player| one.replica.reported_until(link).unwrap();
    let before = until(&one);
    one.wait(60);
    let pinged = one.now;
    one.wait(200);
    one.wait(200);
    assert_eq!(until(&one), before, "nothing has come");
    one.pong([2]);
    assert_eq!(until(&one), pinged, "it answers the last, and has had the first as well");
    one.wait(60);
    let pinged = one.now;
    let full = vec![SessionId(7); TOUCHED_PER_PONG_MAX];
    let round = one.round;
    one.hear(2, PeerMessage::Pong { round, touched: full });
    assert!(until(&one) < pinged, "more follows");
    one.pong([2]);
    assert_eq!(until(&one), pinged);
}
