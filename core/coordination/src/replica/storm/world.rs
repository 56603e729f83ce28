//! Replicas, the links between them, and what befalls them.

use super::Shape;
use super::disk::Disk;
use super::server::decode;
use crate::io::{DiskCommand, DiskTicket, LinkId, Output};
use crate::replica::{Outbox, Replica, ReplicaConfig, Role};
use bytes::Bytes;
use mailstorm_shared::{
    Ensemble, Epoch, Instant, Millis, Now, ServerId, StateHasher, WallTime, Zxid,
};
use mailstorm_wire::peer::{LinkPurpose, PeerMessage};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How many steps a storm lasts, and how many may pass after it until all is well.
const STORM_STEPS: usize = 5_000;
const CONVERGE_STEPS: usize = 60_000;

/// What happened in a run, so that no pass is empty.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reached {
    pub(super) established: u64,
    pub(super) committed: u64,
    pub(super) truncated: u64,
    pub(super) snapshots_installed: u64,
    pub(super) confirmed: u64,
    pub(super) disks_lost: u64,
    pub(super) admitted: u64,
    pub(super) crashes: u64,
    pub(super) delivered: u64,
}

impl Reached {
    pub(super) fn add(&mut self, other: &Self) {
        self.established += other.established;
        self.committed += other.committed;
        self.truncated += other.truncated;
        self.snapshots_installed += other.snapshots_installed;
        self.confirmed += other.confirmed;
        self.disks_lost += other.disks_lost;
        self.admitted += other.admitted;
        self.crashes += other.crashes;
        self.delivered += other.delivered;
    }

    pub(super) fn assert_full(&self) {
        let least = [
            self.established,
            self.committed,
            self.truncated,
            self.snapshots_installed,
            self.confirmed,
            self.crashes,
        ];
        assert!(least.iter().all(|count| *count > 10), "an empty pass: {self:?}");
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough to shuffle with.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub(super) fn one_in(&mut self, odds: u64) -> bool {
        self.below(odds) == 0
    }
}

/// A committed entry, as the model of a database sees it: its place and its number.
pub(super) type Fact = (Zxid, u64);

enum Item {
    Up,
    Message(PeerMessage),
    Down,
}

/// A link between two servers; one queue towards each end, and whether that end still has it.
struct Link {
    id: LinkId,
    ends: [usize; 2],
    purpose: LinkPurpose,
    queue: [VecDeque<Item>; 2],
    open: [bool; 2],
    /// Which ends have been told that it is up.
    up: [bool; 2],
    /// Breaks at this time, if it is cut by then.
    patience: u64,
}

/// A server: its disk, and, while it runs, its replica and the model of what the replica feeds.
pub(super) struct Node {
    pub(super) id: ServerId,
    pub(super) disk: Disk,
    pub(super) replica: Option<Replica>,
    pub(super) applied: Vec<Fact>,
    pub(super) serving: bool,
    /// The leader's snapshot as far as it has come.
    pub(super) loading: Option<Vec<Bytes>>,
    /// How far the database had come when the last snapshot installed was complete at its source.
    pub(super) fuzzy_until: Zxid,
    /// Chunks for learners, by link.
    pub(super) cursors: BTreeMap<LinkId, VecDeque<Bytes>>,
    /// Our own snapshot under way: its zxid, the commands left, the last ticket.
    pub(super) own_snapshot: Option<(Zxid, VecDeque<DiskCommand>, DiskTicket)>,
    /// How many entries were committed anywhere when confirmation was asked for, by token.
    pub(super) tokens: BTreeMap<u64, usize>,
    /// What was on disks of this server that got lost: it may have been acknowledged and counted.
    pub(super) lost: BTreeSet<Zxid>,
    pub(super) incarnation: u32,
    pub(super) down_until: u64,
    pub(super) paused_until: u64,
    pub(super) disk_stalls_until: u64,
}

/// All of it.
pub(super) struct World {
    pub(super) random: Random,
    pub(super) now: u64,
    pub(super) shape: Shape,
    pub(super) ensemble: Ensemble,
    pub(super) nodes: Vec<Node>,
    links: Vec<Link>,
    pub(super) next_link: u64,
    /// Learner links asked for: from, to, and when it is given up.
    pub(super) opening: Vec<(usize, usize, u64)>,
    /// Directions (from, to) that carry nothing, until when.
    pub(super) cuts: BTreeMap<(usize, usize), u64>,
    /// Everything that was ever committed, in the one order.
    pub(super) history: Vec<Fact>,
    pub(super) leaders: BTreeMap<Epoch, ServerId>,
    pub(super) next_number: u64,
    /// How many entries an epoch may have: in some runs few, so that counters get full.
    pub(super) epoch_entries_max: u32,
    /// No more is proposed once so much is committed.
    pub(super) enough: usize,
    pub(super) reached: Reached,
}

pub(super) type Checked = Result<(), String>;

impl World {
    pub(super) fn new(shape: Shape, seed: u64) -> Self {
        let id = |number| ServerId::new(number).expect("numbers begin at one");
        let count = shape.voters + shape.observers;
        let ensemble =
            Ensemble::new((1..=shape.voters).map(id), (shape.voters + 1..=count).map(id)).unwrap();
        let nodes = (1..=count).map(|number| Node {
            id: id(number),
            disk: Disk::initialised(),
            replica: None,
            applied: Vec::new(),
            serving: false,
            loading: None,
            fuzzy_until: Zxid::ZERO,
            cursors: BTreeMap::new(),
            own_snapshot: None,
            tokens: BTreeMap::new(),
            lost: BTreeSet::new(),
            incarnation: 0,
            down_until: 0,
            paused_until: 0,
            disk_stalls_until: 0,
        });
        Self {
            random: Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d)),
            now: 1_000,
            shape,
            ensemble,
            nodes: nodes.collect(),
            links: Vec::new(),
            next_link: 0,
            opening: Vec::new(),
            cuts: BTreeMap::new(),
            history: Vec::new(),
            leaders: BTreeMap::new(),
            next_number: 0,
            epoch_entries_max: if seed.is_multiple_of(4) { 40 } else { u32::MAX },
            enough: usize::MAX,
            reached: Reached::default(),
        }
    }

    fn config(&self, me: ServerId) -> ReplicaConfig {
        ReplicaConfig {
            tick: Millis(20),
            snapshot_every_entries: 12,
            sync_entries_kept: 4,
            election_settle: Millis(12),
            election_resend_min: Millis(10),
            election_resend_max: Millis(80),
            outstanding_proposals_max: 8,
            epoch_entries_max: self.epoch_entries_max,
            ..ReplicaConfig::new(me, self.ensemble.clone())
        }
    }

    pub(super) fn clock(&self) -> Now {
        Now { monotonic: Instant(self.now), wall: WallTime::UNIX_EPOCH + Millis(self.now) }
    }

    pub(super) fn state_hash(&self) -> u64 {
        let hashes: Vec<Option<u64>> =
            self.nodes.iter().map(|n| n.replica.as_ref().map(StateHasher::of)).collect();
        StateHasher::of(&(hashes, &self.history, self.now))
    }

    // ---- phases --------------------------------------------------------------------------------

    pub(super) fn storm(&mut self) -> Checked {
        // How cruel this run is, so that some are calm and some hardly get anything done.
        let odds = [50, 120, 300][self.random.below(3) as usize];
        for _ in 0..STORM_STEPS {
            if self.random.one_in(odds) {
                self.strike()?;
            }
            self.step()?;
        }
        Ok(())
    }

    pub(super) fn heal_and_converge(&mut self) -> Checked {
        self.cuts.clear();
        for node in &mut self.nodes {
            node.down_until = 0;
            node.paused_until = 0;
            node.disk_stalls_until = 0;
        }
        let goal = self.history.len() + 5;
        self.enough = goal;
        for _ in 0..CONVERGE_STEPS {
            self.step()?;
            let well = |n: &Node| {
                let replica = n.replica.as_ref();
                n.serving
                    && n.applied.len() == self.history.len()
                    && n.disk.state.votes
                    && replica.is_some_and(|r| r.role() != Role::Joining)
            };
            if self.history.len() >= goal && self.nodes.iter().all(well) {
                return Ok(());
            }
        }
        let nodes: Vec<String> = (self.nodes.iter())
            .map(|n| {
                let replica = n.replica.as_ref().expect("everything runs after the storm");
                let (role, epoch) = (replica.role(), replica.epoch());
                let (last, applied) = (replica.last_logged(), n.applied.len());
                format!(
                    "{} {role:?} serving {} epoch {epoch} last {last} applied {applied}",
                    n.id, n.serving
                )
            })
            .collect();
        Err(format!("no convergence: {} committed, {nodes:#?}", self.history.len()))
    }

    /// One thing happens.
    fn step(&mut self) -> Checked {
        self.now += self.random.below(2);
        self.upkeep()?;
        match self.random.below(16) {
            0..=9 => self.deliver_something()?,
            10..=12 => self.disk_goes_on()?,
            13..=14 => self.propose_something()?,
            _ => self.confirm_something()?,
        }
        for index in 0..self.nodes.len() {
            let node = &self.nodes[index];
            let due = node.paused_until <= self.now
                && node.replica.as_ref().is_some_and(|r| r.next_wake() <= Instant(self.now));
            if due && self.random.one_in(2) {
                let jitter = self.random.next();
                self.call(index, |replica, now, out| replica.tick(now, jitter, out))?;
            }
        }
        Ok(())
    }

    // ---- what befalls them ---------------------------------------------------------------------

    fn strike(&mut self) -> Checked {
        let count = self.nodes.len() as u64;
        let victim = self.random.below(count) as usize;
        let other = self.random.below(count) as usize;
        let until = self.now + 10 + self.random.below(250);
        let leads = |n: &Node| n.replica.as_ref().is_some_and(|r| r.role() == Role::Leading);
        let leader = self.nodes.iter().position(leads);
        match self.random.below(15) {
            0 | 1 => self.crash(victim, until),
            2 => {
                for index in 0..self.nodes.len() {
                    self.crash(index, until);
                }
            }
            3 => self.nodes[victim].paused_until = until,
            4 => self.nodes[victim].disk_stalls_until = until,
            5 => {
                self.cuts.insert((victim, other), until);
            }
            6 => {
                self.cuts.insert((victim, other), until);
                self.cuts.insert((other, victim), until);
            }
            7 | 8 => {
                // Two sides, or one server against all.
                let side: BTreeSet<usize> = if self.random.one_in(2) {
                    [victim].into()
                } else {
                    (0..self.nodes.len()).filter(|_| self.random.one_in(2)).collect()
                };
                for a in 0..self.nodes.len() {
                    for b in 0..self.nodes.len() {
                        if side.contains(&a) != side.contains(&b) {
                            self.cuts.insert((a, b), until);
                        }
                    }
                }
            }
            9 => {
                if !self.links.is_empty() {
                    let index = self.random.below(self.links.len() as u64) as usize;
                    self.break_link(index);
                }
            }
            10 => {
                // Whoever leads.
                if let Some(leader) = leader {
                    self.crash(leader, until);
                }
            }
            14 => self.nodes[leader.unwrap_or(victim)].paused_until = until,
            11 | 12 => {
                // Whoever leads goes on alone for a while, and logs what nobody else hears of.
                for follower in 0..self.nodes.len() {
                    if let Some(leader) = leader {
                        self.cuts.insert((leader, follower), until);
                        self.cuts.insert((follower, leader), until);
                    }
                }
                for _ in 0..self.random.below(5) {
                    if let Some(leader) = leader {
                        self.propose(leader)?;
                    }
                }
            }
            _ => {
                let lost = self.nodes.iter().filter(|n| !n.disk.state.votes).count();
                let voters = usize::from(self.shape.voters);
                let survivable = lost + 1 + self.ensemble.majority() <= voters
                    || !self.nodes[victim].disk.state.votes;
                if self.shape.losses && survivable && self.ensemble.is_voter(self.nodes[victim].id)
                {
                    // Soon back, while others may not know yet that it was gone.
                    let until = self.now + 1 + self.random.below(60);
                    self.crash(victim, until);
                    let kept = self.random.below(20) as usize;
                    let kept = self.random.one_in(2).then_some(kept);
                    let node = &mut self.nodes[victim];
                    let held = self.history.iter().map(|(zxid, _)| *zxid);
                    let held = held.filter(|zxid| node.disk.holds(*zxid));
                    node.lost.extend(held.chain(node.disk.log.iter().map(|e| e.zxid)));
                    node.disk.lose(kept);
                    self.reached.disks_lost += 1;
                }
            }
        }
        Ok(())
    }

    fn crash(&mut self, index: usize, until: u64) {
        let node = &mut self.nodes[index];
        if node.replica.take().is_none() {
            return;
        }
        let pending = node.disk.pending.len() as u64;
        let arrive = self.random.below(pending + 1) as usize;
        node.disk.crash(arrive);
        node.down_until = until;
        node.serving = false;
        self.reached.crashes += 1;
        self.opening.retain(|(from, _, _)| *from != index);
        for link in 0..self.links.len() {
            let Some(end) = self.links[link].ends.iter().position(|e| *e == index) else {
                continue;
            };
            let link = &mut self.links[link];
            link.open[end] = false;
            link.queue[end].clear();
            let left = self.random.below(link.queue[1 - end].len() as u64 + 1) as usize;
            link.queue[1 - end].truncate(left);
            link.queue[1 - end].push_back(Item::Down);
        }
    }

    fn break_link(&mut self, index: usize) {
        let link = &mut self.links[index];
        for end in 0..2 {
            link.queue[end].clear();
            link.queue[end].push_back(Item::Down);
        }
    }

    fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cuts.get(&(from, to)).is_some_and(|until| *until > self.now)
    }

    // ---- the host's part -----------------------------------------------------------------------

    /// Restarts what is to be restarted, and keeps up links.
    fn upkeep(&mut self) -> Checked {
        for index in 0..self.nodes.len() {
            if self.nodes[index].replica.is_none() && self.nodes[index].down_until <= self.now {
                self.start(index)?;
            }
        }
        self.links.retain(|link| link.open[0] || link.open[1]);
        let now = self.now;
        for index in 0..self.links.len() {
            let [a, b] = self.links[index].ends;
            if self.is_cut(a, b) || self.is_cut(b, a) {
                if self.links[index].patience < now {
                    self.break_link(index);
                    self.links[index].patience = u64::MAX;
                }
            } else if self.links[index].patience != u64::MAX {
                self.links[index].patience = now + 20 + self.random.below(300);
            }
        }
        for index in (0..self.opening.len()).rev() {
            let (from, to, until) = self.opening[index];
            let way = !self.is_cut(from, to) && !self.is_cut(to, from);
            let up = self.nodes[to].replica.is_some();
            if way && up && self.random.one_in(4) {
                self.opening.swap_remove(index);
                self.connect(from, to, LinkPurpose::Learner);
            } else if (way && !up && self.random.one_in(4)) || until < now {
                self.opening.swap_remove(index);
                let peer = self.nodes[to].id;
                self.call(from, |r, now, out| r.link_down(now, None, peer, out))?;
            }
        }
        let a = self.random.below(self.nodes.len() as u64) as usize;
        let b = self.random.below(self.nodes.len() as u64) as usize;
        let linked = |l: &Link| {
            l.purpose == LinkPurpose::Election
                && (l.ends == [a, b] || l.ends == [b, a])
                && l.open == [true, true]
        };
        let run = |n: usize| self.nodes[n].replica.is_some();
        if a != b
            && run(a)
            && run(b)
            && !self.is_cut(a, b)
            && !self.is_cut(b, a)
            && !self.links.iter().any(linked)
        {
            self.connect(a, b, LinkPurpose::Election);
        }
        Ok(())
    }

    fn connect(&mut self, from: usize, to: usize, purpose: LinkPurpose) {
        self.next_link += 1;
        self.links.push(Link {
            id: LinkId(self.next_link),
            ends: [from, to],
            purpose,
            queue: [[Item::Up].into(), [Item::Up].into()],
            open: [true, true],
            up: [false, false],
            patience: 0,
        });
    }

    fn start(&mut self, index: usize) -> Checked {
        let (config, now) = (self.config(self.nodes[index].id), self.clock());
        let node = &mut self.nodes[index];
        node.incarnation += 1;
        node.serving = false;
        node.loading = None;
        node.fuzzy_until = Zxid::ZERO;
        node.cursors.clear();
        node.own_snapshot = None;
        node.tokens.clear();
        let snapshot = node.disk.snapshot.as_ref().map(|(zxid, _)| *zxid);
        let chunks = node.disk.snapshot.as_ref().map_or(&[][..], |(_, chunks)| chunks);
        node.applied = decode(chunks);
        let mut out = Outbox::new();
        let (state, log) = (node.disk.state, node.disk.log.clone());
        let replica = Replica::new(config, state, snapshot, log, node.incarnation, now, &mut out);
        node.replica = Some(replica);
        self.finish(index, out)
    }

    /// Calls a replica, and carries out what follows.
    pub(super) fn call(
        &mut self,
        index: usize,
        input: impl FnOnce(&mut Replica, Now, &mut Outbox),
    ) -> Checked {
        let now = self.clock();
        let Some(replica) = &mut self.nodes[index].replica else { return Ok(()) };
        let mut out = Outbox::new();
        input(replica, now, &mut out);
        replica.invariants();
        self.finish(index, out)
    }

    pub(super) fn finish(&mut self, index: usize, mut out: Outbox) -> Checked {
        while let Some(event) = out.events.pop_front() {
            self.happened(index, event, &mut out)?;
        }
        for output in out.outputs {
            self.carry_out(index, output)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, index: usize, output: Output) -> Checked {
        match output {
            Output::Disk { ticket, command } | Output::DiskAside { ticket, command } => {
                self.nodes[index].disk.pending.push_back((ticket, command));
            }
            Output::OpenLearnerLink { peer } => {
                let to = self.nodes.iter().position(|n| n.id == peer).expect("a server of ours");
                let until = self.now + 50 + self.random.below(200);
                self.opening.push((index, to, until));
            }
            Output::CloseLink { link } => {
                if let Some(link) = self.links.iter_mut().find(|l| l.id == link) {
                    let end = usize::from(link.ends[1] == index);
                    link.open[end] = false;
                    link.queue[end].clear();
                    link.queue[1 - end].push_back(Item::Down);
                }
            }
            Output::Send { links, message } => {
                for id in links {
                    let Some(link) = self.links.iter_mut().find(|l| l.id == id) else { continue };
                    let end = usize::from(link.ends[0] == index);
                    if link.open[end] && !matches!(link.queue[end].back(), Some(Item::Down)) {
                        link.queue[end].push_back(Item::Message(message.clone()));
                    }
                }
            }
            Output::Observe(observation) => self.observed(index, &observation)?,
            Output::Halt { reason } => {
                return Err(format!("{} halts: {reason}", self.nodes[index].id));
            }
            other => return Err(format!("a replica has no business with {other:?}")),
        }
        Ok(())
    }

    fn deliver_something(&mut self) -> Checked {
        let mut ready = Vec::new();
        for (index, link) in self.links.iter().enumerate() {
            for end in 0..2 {
                let (to, from) = (link.ends[end], link.ends[1 - end]);
                let down = matches!(link.queue[end].front(), Some(Item::Down));
                if !link.queue[end].is_empty()
                    && link.open[end]
                    && self.nodes[to].paused_until <= self.now
                    && (down || !self.is_cut(from, to))
                {
                    ready.push((index, end));
                }
            }
        }
        if ready.is_empty() {
            return Ok(());
        }
        let (index, end) = ready[self.random.below(ready.len() as u64) as usize];
        // A few in a row, now and then all: links are fast compared with most other things.
        let burst = [1, 1, 2, 8][self.random.below(4) as usize];
        let (id, to) = (self.links[index].id, self.links[index].ends[end]);
        for _ in 0..burst {
            let Some(link) = self.links.iter_mut().find(|l| l.id == id) else { break };
            if !link.open[end] {
                break;
            }
            let Some(item) = link.queue[end].pop_front() else { break };
            let (peer, purpose) = (self.nodes[link.ends[1 - end]].id, link.purpose);
            let opened_by_us = end == 0;
            self.reached.delivered += 1;
            match item {
                Item::Up => {
                    link.up[end] = true;
                    self.call(to, |r, now, out| {
                        r.link_up(now, id, peer, purpose, opened_by_us, out);
                    })?;
                }
                Item::Message(message) => {
                    self.call(to, |r, now, out| r.received(now, id, message, out))?;
                }
                Item::Down => {
                    link.open[end] = false;
                    // One that never was up could not be opened; only who asked for it is told.
                    let told = link.up[end].then_some(id);
                    if told.is_some() || (opened_by_us && purpose == LinkPurpose::Learner) {
                        self.call(to, |r, now, out| r.link_down(now, told, peer, out))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn disk_goes_on(&mut self) -> Checked {
        let index = self.random.below(self.nodes.len() as u64) as usize;
        let now = self.now;
        let node = &mut self.nodes[index];
        if node.replica.is_none() || node.disk_stalls_until > now || node.paused_until > now {
            return Ok(());
        }
        let count = self.random.below(node.disk.pending.len() as u64 + 1) as usize;
        let Some(done) = node.disk.advance(count) else { return Ok(()) };
        self.call(index, |r, now, out| r.disk_done(now, done, out))?;
        self.own_snapshot_goes_on(index, done)
    }
}
