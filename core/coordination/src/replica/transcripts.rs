//! One replica at a time, played by hand: what it says and writes in answer to what it hears.
//!
//! Each decision of the protocol that a storm seldom brings to a point has its transcript here. Lines
//! are what [`Player`] makes of outputs and events: `> 7: LEADERINFO 3` is sent on link 7, `disk: log 2:1`
//! is a disk command, `! committed 2:1` an event.

use super::event::{Outbox, ReplicaEvent};
use super::following::TOUCHED_PER_PONG_MAX;
use super::learner::WINDOW_ENTRIES_MAX;
use super::{Replica, ReplicaConfig, Role};
use crate::io::{DiskCommand, DiskTicket, DurableState, LinkId, Output};
use bytes::Bytes;
use mailstorm_shared::{Ensemble, Epoch, Millis, Now, ServerId, SessionId, Zxid};
use mailstorm_wire::peer::{
    LinkPurpose, Notification, PEER_FRAME_BYTES_MAX, PeerMessage, PeerState, Standing, Vote,
    encode_message,
};
use mailstorm_wire::txn::Entry;
use std::collections::VecDeque;

pub(super) fn id(number: u8) -> ServerId {
    ServerId::new(number).unwrap()
}

pub(super) fn z(text: &str) -> Zxid {
    let (epoch, counter) = text.split_once(':').unwrap();
    Zxid::new(Epoch(epoch.parse().unwrap()), counter.parse().unwrap())
}

pub(super) fn entry(text: &str) -> Entry {
    Entry { zxid: z(text), bytes: Bytes::copy_from_slice(text.as_bytes()) }
}

pub(super) fn entries(text: &str) -> Vec<Entry> {
    text.split_whitespace().map(entry).collect()
}

pub(super) struct Player {
    pub(super) replica: Replica,
    now: Millis,
    lines: Vec<String>,
    disk: VecDeque<(DiskTicket, String)>,
}

impl Player {
    /// Server `me` of `voters`, with this `accepted/current` and log on its disk.
    pub(super) fn new(me: u8, voters: u8, promises: (u32, u32), log: &str) -> Self {
        let votes = DurableState {
            accepted_epoch: Epoch(promises.0),
            current_epoch: Epoch(promises.1),
            votes: true,
        };
        Self::with(config(me, voters), votes, log)
    }

    fn with(config: ReplicaConfig, state: DurableState, log: &str) -> Self {
        let mut out = Outbox::new();
        let now = Millis(10_000);
        let clock = Now { monotonic: now, wall: now };
        let replica = Replica::new(config, state, None, entries(log), 1, clock, &mut out);
        let mut player = Self { replica, now, lines: Vec::new(), disk: VecDeque::new() };
        player.note(out);
        player
    }

    /// As above, and elected by all of three voters (or five), which have links 2, 3 (4, 5) to it.
    pub(super) fn elected(voters: u8, promises: (u32, u32), log: &str) -> Self {
        let mut player = Self::new(1, voters, promises, log);
        for other in 2..=voters {
            player.link(100 + u64::from(other), other, LinkPurpose::Election, false);
        }
        let vote =
            Vote { epoch: Epoch(promises.1), zxid: player.replica.last_logged(), leader: id(1) };
        for other in 2..=voters {
            let said = Notification { round: 1, state: PeerState::Looking, vote, votes: true };
            player.hear(100 + u64::from(other), PeerMessage::Notification(said));
        }
        assert_eq!(player.replica.role(), Role::Leading);
        player.take();
        player
    }

    /// Established in epoch 1 with voters 2 (and 3, of five) on links 2 (and 3), nothing logged.
    pub(super) fn established(voters: u8) -> Self {
        let mut player = Self::elected(voters, (0, 0), "");
        let followers = 2..=voters / 2 + 1;
        for link in followers.clone() {
            player.introduce(u64::from(link), link, 0, Standing::Voter);
        }
        player.synced();
        for link in followers.clone() {
            player.hear(link.into(), ack_epoch(0, "0:0"));
        }
        player.pong(followers.clone());
        player.synced();
        for link in followers {
            player.hear(link.into(), PeerMessage::AckNewLeader { epoch: Epoch(1) });
        }
        assert!(player.replica.is_serving(), "{:?}", player.lines);
        player.take();
        player
    }

    /// Following server 2 on link 7, which has not said anything.
    pub(super) fn following(promises: (u32, u32), log: &str) -> Self {
        Self::new(1, 3, promises, log).follow()
    }

    fn follow(mut self) -> Self {
        for (link, other) in [(102, 2), (103, 3)] {
            self.link(link, other, LinkPurpose::Election, false);
            let vote = Vote { epoch: Epoch(0), zxid: Zxid::ZERO, leader: id(2) };
            let state = if other == 2 { PeerState::Leading } else { PeerState::Following };
            let said = Notification { round: 9, state, vote, votes: true };
            self.hear(link, PeerMessage::Notification(said));
        }
        self.link(7, 2, LinkPurpose::Learner, true);
        self.take();
        self
    }

    fn clock(&self) -> Now {
        Now { monotonic: self.now, wall: self.now }
    }

    pub(super) fn call(&mut self, input: impl FnOnce(&mut Replica, Now, &mut Outbox)) {
        let mut out = Outbox::new();
        let now = self.clock();
        input(&mut self.replica, now, &mut out);
        self.note(out);
    }

    pub(super) fn link(&mut self, link: u64, peer: u8, purpose: LinkPurpose, opened_by_us: bool) {
        self.call(|r, now, out| {
            r.link_up(now, LinkId(link), id(peer), purpose, opened_by_us, out);
        });
    }

    pub(super) fn hear(&mut self, link: u64, message: PeerMessage) {
        self.call(|r, now, out| r.received(now, LinkId(link), message, out));
    }

    fn introduce(&mut self, link: u64, peer: u8, accepted_epoch: u32, standing: Standing) {
        self.link(link, peer, LinkPurpose::Learner, false);
        let accepted_epoch = Epoch(accepted_epoch);
        self.hear(link, PeerMessage::FollowerInfo { accepted_epoch, standing });
    }

    /// Each of these links answers the last ping.
    fn pong(&mut self, links: impl IntoIterator<Item = u8>) {
        let round = (self.lines.iter().rev())
            .find_map(|line| line.split_once("PING ").map(|(_, round)| round.parse().unwrap()))
            .expect("nobody was asked");
        for link in links {
            self.hear(link.into(), PeerMessage::Pong { round, touched: Vec::new() });
        }
    }

    /// The disk does the oldest `count` commands.
    fn disk(&mut self, count: usize) {
        let (ticket, _) = self.disk.drain(..count).next_back().expect("commands are under way");
        self.call(|r, now, out| r.disk_done(now, ticket, out));
    }

    /// The disk does everything it was told.
    pub(super) fn synced(&mut self) {
        while !self.disk.is_empty() {
            self.disk(self.disk.len());
        }
    }

    pub(super) fn wait(&mut self, span: u64) {
        self.now = self.now + Millis(span);
        self.call(|r, now, out| r.tick(now, 0, out));
    }

    pub(super) fn propose(&mut self) {
        self.call(|r, now, out| {
            r.propose(now, Bytes::from_static(b"x"), out);
        });
    }

    fn note(&mut self, out: Outbox) {
        for event in &out.events {
            self.lines.push(format!("! {}", event_line(event)));
        }
        for output in out.outputs {
            let line = match output {
                Output::Disk { ticket, command } => {
                    let line = command_line(&command);
                    self.disk.push_back((ticket, line.clone()));
                    format!("disk: {line}")
                }
                Output::Send { links, message } => {
                    let links: Vec<String> = links.iter().map(|l| l.0.to_string()).collect();
                    format!("> {}: {}", links.join(","), message_line(&message))
                }
                Output::CloseLink { link } => format!("close {}", link.0),
                Output::OpenLearnerLink { peer } => format!("open {peer}"),
                Output::Halt { reason } => format!("halt: {reason}"),
                _ => continue,
            };
            self.lines.push(line);
        }
    }

    fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    /// What was said and written since the last look, except notifications.
    fn expect(&mut self, expected: &[&str]) {
        let lines: Vec<String> =
            self.take().into_iter().filter(|l| !l.contains("NOTIFICATION")).collect();
        assert_eq!(lines, expected);
    }
}

fn config(me: u8, voters: u8) -> ReplicaConfig {
    let ensemble = Ensemble::new((1..=voters).map(id), [id(voters + 1)]).unwrap();
    ReplicaConfig { tick: Millis(100), ..ReplicaConfig::new(id(me), ensemble) }
}

fn ack_epoch(current_epoch: u32, last_logged: &str) -> PeerMessage {
    PeerMessage::AckEpoch { current_epoch: Epoch(current_epoch), last_logged: z(last_logged) }
}

fn propose(text: &str) -> PeerMessage {
    PeerMessage::Propose { entry: entry(text) }
}

fn new_leader(epoch: u32, last_logged: &str) -> PeerMessage {
    PeerMessage::NewLeader { epoch: Epoch(epoch), last_logged: z(last_logged) }
}

fn leader_info(epoch: u32) -> PeerMessage {
    PeerMessage::LeaderInfo { epoch: Epoch(epoch) }
}

fn message_line(message: &PeerMessage) -> String {
    match message {
        PeerMessage::Notification(n) => format!("NOTIFICATION {:?} {}", n.state, n.vote.leader),
        PeerMessage::FollowerInfo { accepted_epoch, standing } => {
            format!("FOLLOWERINFO {accepted_epoch} {standing:?}")
        }
        PeerMessage::LeaderInfo { epoch } => format!("LEADERINFO {epoch}"),
        PeerMessage::AckEpoch { current_epoch, last_logged } => {
            format!("ACKEPOCH {current_epoch} {last_logged}")
        }
        PeerMessage::Truncate { after } => format!("TRUNC {after}"),
        PeerMessage::SnapshotBegin { zxid } => format!("SNAP {zxid}"),
        PeerMessage::Propose { entry } => format!("PROPOSE {}", entry.zxid),
        PeerMessage::NewLeader { epoch, last_logged } => format!("NEWLEADER {epoch} {last_logged}"),
        PeerMessage::AckNewLeader { epoch } => format!("ACKNEWLEADER {epoch}"),
        PeerMessage::UpToDate { committed } => format!("UPTODATE {committed}"),
        PeerMessage::Ack { zxid } => format!("ACK {zxid}"),
        PeerMessage::Commit { zxid } => format!("COMMIT {zxid}"),
        PeerMessage::Ping { round } => format!("PING {round}"),
        PeerMessage::Pong { round, .. } => format!("PONG {round}"),
        other => format!("{other:?}"),
    }
}

fn command_line(command: &DiskCommand) -> String {
    match command {
        DiskCommand::Append(entry) => format!("log {}", entry.zxid),
        DiskCommand::Truncate { after } => format!("cut after {after}"),
        DiskCommand::SaveState(s) => {
            let votes = if s.votes { "votes" } else { "no vote" };
            format!("promised {} in {} {votes}", s.accepted_epoch, s.current_epoch)
        }
        DiskCommand::SnapshotBegin { zxid } => format!("snapshot {zxid}"),
        DiskCommand::SnapshotChunk { .. } => "chunk".to_owned(),
        DiskCommand::SnapshotEnd { replaces_log } => format!("snapshot ends {replaces_log}"),
    }
}

fn event_line(event: &ReplicaEvent) -> String {
    match event {
        ReplicaEvent::LeadingBegins { epoch } => format!("leading {epoch}"),
        ReplicaEvent::FollowingBegins { leader, epoch, .. } => {
            format!("following {leader} {epoch}")
        }
        ReplicaEvent::ServingEnds { why } => format!("ends: {why}"),
        ReplicaEvent::Committed(entry) => format!("committed {}", entry.zxid),
        ReplicaEvent::Confirmed { token } => format!("confirmed {token}"),
        ReplicaEvent::LearnerGone { link } => format!("gone {}", link.0),
        ReplicaEvent::SnapshotReplaces { zxid } => format!("replaced by {zxid}"),
        other => format!("{other:?}"),
    }
}

// ---- a leader -------------------------------------------------------------------------------------

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

#[test]
fn a_leader_steps_down_for_a_voter_of_its_majority_with_more_history() {
    for (current, last) in [(3, "1:1"), (2, "2:8")] {
        let mut one = Player::elected(3, (2, 2), "2:7");
        one.introduce(2, 2, 2, Standing::Voter);
        one.synced();
        one.take();
        one.hear(2, ack_epoch(current, last));
        one.expect(&["! gone 2", "close 2"]);
        assert_eq!(one.replica.role(), Role::Looking);
    }
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
fn a_history_is_committed_when_a_majority_has_it_on_disk() {
    let mut one = Player::elected(3, (1, 1), "1:1 1:2");
    one.introduce(2, 2, 1, Standing::Voter);
    one.synced();
    one.take();
    one.hear(2, ack_epoch(1, "1:1"));
    one.expect(&["> 2: PING 1"]);
    one.lines.push("PING 1".to_owned());
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
    let max = 3 * WINDOW_ENTRIES_MAX;
    let state = DurableState { accepted_epoch: Epoch(0), current_epoch: Epoch(0), votes: true };
    let config = ReplicaConfig { outstanding_proposals_max: max, ..config(1, 3) };
    let mut one = Player::established(3);
    one.replica = {
        let mut other = Player::with(config, state, "");
        std::mem::swap(&mut other.replica, &mut one.replica);
        other.replica
    };
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
    one.call(|r, now, out| r.snapshot_chunk(now, LinkId(2), None, out));
    let tail = ["> 2: SnapshotEnd", "> 2: PROPOSE 1:4", "> 2: PROPOSE 1:5", "> 2: NEWLEADER 1 1:5"];
    one.expect(&tail);
}

// ---- a learner ------------------------------------------------------------------------------------

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
    assert_eq!(one.replica.durable_state().accepted_epoch, Epoch(3));
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
    // 2. The next leader does not know 2:2 and will have it cut. But before that it has our promise,
    //    and the promise is on disk behind 2:2: the disk never reports 2:2 after the cut.
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
    let state = DurableState { accepted_epoch: Epoch(0), current_epoch: Epoch(0), votes: false };
    let mut one = Player::with(config(1, 3), state, "").follow();
    assert_eq!(one.replica.role(), Role::Joining);
    one.hear(7, leader_info(4));
    one.synced();
    one.hear(7, new_leader(4, "0:0"));
    one.synced();
    one.hear(7, PeerMessage::UpToDate { committed: Zxid::ZERO });
    one.take();
    one.hear(7, PeerMessage::Admit);
    one.expect(&["disk: promised 4 in 4 votes"]);
    assert_eq!(one.replica.role(), Role::Joining);
    one.disk(1);
    one.expect(&["! ends: admitted: comes again as a voter", "close 7"]);
    assert_eq!(one.replica.role(), Role::Looking);
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
    assert!(frame.len() < PEER_FRAME_BYTES_MAX);
    one.hear(7, PeerMessage::Ping { round: 4 });
    one.expect(&["> 7: PONG 4"]);
}
