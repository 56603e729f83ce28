//! One replica at a time, played by hand: what it says and writes in answer to what it hears.
//!
//! Owns: [`Player`], who plays it. Leaves: the transcripts to `leader` and `learner`; each decision
//! of the protocol that a storm seldom brings to a point has one.
//! Holds: lines are what the player makes of outputs and events: `> 7: LEADERINFO 3` is sent on
//! link 7, `disk: log 2:1` is a disk command, `! committed 2:1` an event.

mod leader;
mod learner;

use super::event::{Outbox, ReplicaEvent};
use super::{Replica, ReplicaConfig, Role};
use crate::io::{DiskCommand, DiskTicket, DurableState, LinkId, Output};
use bytes::Bytes;
use mailstorm_shared::{Defects, Ensemble, Epoch, Instant, Millis, Now, ServerId, WallTime, Zxid};
use mailstorm_wire::peer::{LinkPurpose, Notification, PeerMessage, PeerState, Standing, Vote};
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
    now: Instant,
    lines: Vec<String>,
    disk: VecDeque<(DiskTicket, String)>,
    /// The last round of pings that it began.
    round: u64,
}

impl Player {
    /// Server `me` of `voters`, with this `accepted/current` and log on its disk.
    pub(super) fn new(me: u8, voters: u8, promises: (u32, u32), log: &str) -> Self {
        Self::with(config(me, voters), promised(promises), log)
    }

    fn with(config: ReplicaConfig, state: DurableState, log: &str) -> Self {
        let mut out = Outbox::new();
        let now = Instant(10_000);
        let clock = Now { monotonic: now, wall: WallTime::UNIX_EPOCH };
        let replica = Replica::new(config, state, None, entries(log), 1, clock, &mut out);
        let mut player = Self { replica, now, lines: Vec::new(), disk: VecDeque::new(), round: 0 };
        player.note(out);
        player
    }

    /// As above, and elected by all of three voters (or five), which have links 2, 3 (4, 5) to it.
    pub(super) fn elected(voters: u8, promises: (u32, u32), log: &str) -> Self {
        Self::elected_with(config(1, voters), promises, log)
    }

    fn elected_with(config: ReplicaConfig, promises: (u32, u32), log: &str) -> Self {
        let voters = config.ensemble.voters().len() as u8;
        let mut player = Self::with(config, promised(promises), log);
        for other in 2..=voters {
            player.link(100 + u64::from(other), other, LinkPurpose::Election, false);
        }
        let vote =
            Vote { epoch: Epoch(promises.1), zxid: player.replica.last_logged(), leader: id(1) };
        for other in 2..=voters {
            let said = says(1, PeerState::Looking, vote);
            player.hear(100 + u64::from(other), PeerMessage::Notification(said));
        }
        assert_eq!(player.replica.role(), Role::Leading);
        player.take();
        player
    }

    /// Established in epoch 1 with voters 2 (and 3, of five) on links 2 (and 3), nothing logged.
    pub(super) fn established(voters: u8) -> Self {
        Self::established_with(voters, Defects::NONE)
    }

    fn established_with(voters: u8, defects: Defects) -> Self {
        let few = ReplicaConfig {
            snapshot_every_entries: 50,
            sync_entries_kept: 5,
            defects,
            ..config(1, voters)
        };
        let mut player = Self::elected_with(few, (0, 0), "");
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
            let said = says(9, state, vote);
            self.hear(link, PeerMessage::Notification(said));
        }
        self.link(7, 2, LinkPurpose::Learner, true);
        self.take();
        self
    }

    fn clock(&self) -> Now {
        Now { monotonic: self.now, wall: WallTime::UNIX_EPOCH }
    }

    pub(super) fn call(&mut self, input: impl FnOnce(&mut Replica, Now, &mut Outbox)) {
        let mut out = Outbox::new();
        let now = self.clock();
        input(&mut self.replica, now, &mut out);
        self.replica.invariants();
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
        let round = self.round;
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
        self.call(|r, _, out| {
            r.propose(Bytes::from_static(b"x"), out);
        });
    }

    fn note(&mut self, out: Outbox) {
        for event in &out.events {
            self.lines.push(format!("! {}", event_line(event)));
        }
        for output in out.outputs {
            let line = match output {
                Output::Disk { ticket, command } | Output::DiskAside { ticket, command } => {
                    let line = command_line(&command);
                    self.disk.push_back((ticket, line.clone()));
                    format!("disk: {line}")
                }
                Output::Send { links, message } => {
                    if let PeerMessage::Ping { round } = message {
                        self.round = round;
                    }
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

/// A server without a vote that serves in epoch 4.
pub(super) fn joined() -> Player {
    let state = DurableState { accepted_epoch: Epoch(0), current_epoch: Epoch(0), votes: false };
    let mut one = Player::with(config(1, 3), state, "").follow();
    assert_eq!(one.replica.role(), Role::Joining);
    one.hear(7, leader_info(4));
    one.synced();
    one.hear(7, new_leader(4, "0:0"));
    one.synced();
    one.hear(7, PeerMessage::UpToDate { committed: Zxid::ZERO });
    one.take();
    one
}

fn config(me: u8, voters: u8) -> ReplicaConfig {
    let ensemble = Ensemble::new((1..=voters).map(id), [id(voters + 1)]).unwrap();
    ReplicaConfig { tick: Millis(100), ..ReplicaConfig::new(id(me), ensemble) }
}

/// What a voter says that hears everybody, and stands if it leads.
pub(super) fn says(round: u64, state: PeerState, vote: Vote) -> Notification {
    let stands = matches!(state, PeerState::Leading | PeerState::Elected);
    Notification {
        round,
        state,
        vote,
        votes: true,
        stands_with: stands.then_some((vote.epoch, vote.zxid)),
        hears: (1..=5).map(id).collect(),
    }
}

fn promised(promises: (u32, u32)) -> DurableState {
    DurableState {
        accepted_epoch: Epoch(promises.0),
        current_epoch: Epoch(promises.1),
        votes: true,
    }
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
        PeerMessage::HistoryWanted { last_logged } => format!("HISTORYWANTED {last_logged}"),
        PeerMessage::HistoryPart { after, entries } => {
            let entries: Vec<String> = entries.iter().map(|e| e.zxid.to_string()).collect();
            format!("HISTORYPART {after} ({})", entries.join(" "))
        }
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
