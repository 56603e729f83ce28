//! Who hears whom, exhaustively: every graph of connections among up to five voters, each voter as
//! the leader before, with and without a write that the leader could tell nobody.
//!
//! Owns: a network in which time passes evenly and connections are as the graph says ([`Mesh`]),
//! and the property: *while any voter reaches a majority of the voters, in both directions, a
//! leader is established within a bound, and stays; otherwise nobody leads.* Leaves: crashes, slow
//! disks and random orders to `storm`.

use super::event::{Outbox, ReplicaEvent};
use super::transcripts::{entries, id};
use super::{Replica, ReplicaConfig, Role};
use crate::defect::Defect;
use crate::io::{DiskTicket, DurableState, LinkId, Output};
use bytes::Bytes;
use mailstorm_shared::{Defects, Ensemble, Epoch, Instant, Millis, Now, WallTime};
use mailstorm_wire::peer::{LinkPurpose, PeerMessage};
use std::collections::{BTreeMap, BTreeSet};

/// How long a message travels, a disk writes, and until a link that is asked for is up.
const HOP: u64 = 1;
const CONNECT: u64 = 5;
/// After how long a link that was asked for in vain is given up.
const CONNECT_LIMIT: u64 = 1_000;

#[derive(Clone, Debug)]
enum Happening {
    Up { link: LinkId, peer: usize, purpose: LinkPurpose, ours: bool },
    Message { link: LinkId, message: PeerMessage },
    Down { link: Option<LinkId>, peer: usize },
    Disk { ticket: DiskTicket },
}

#[derive(Clone, Debug)]
struct Link {
    ends: [usize; 2],
    purpose: LinkPurpose,
    /// Which ends still have it.
    open: [bool; 2],
}

/// What becomes of a link that carries nothing, in one direction or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// It breaks after so long.
    Breaks(u64),
    /// Nobody ever notices.
    Silent,
}

/// Voters and the links between them.
#[derive(Clone)]
struct Mesh {
    now: u64,
    replicas: Vec<Replica>,
    /// The directions (from, to) that carry something.
    edges: BTreeSet<(usize, usize)>,
    cut: Cut,
    links: BTreeMap<LinkId, Link>,
    queue: BTreeMap<(u64, u64), (usize, Happening)>,
    count: u64,
    /// Who was established in which epoch.
    leaders: BTreeMap<Epoch, usize>,
}

impl Mesh {
    /// All connected, and `leader` leads in epoch 2, which everybody follows.
    fn led_by(leader: usize, voters: usize, defects: Defects) -> Self {
        let ensemble = Ensemble::new((1..=voters as u8).map(id), []).unwrap();
        let state = DurableState { accepted_epoch: Epoch(1), current_epoch: Epoch(1), votes: true };
        let mut mesh = Self {
            now: 1_000,
            replicas: Vec::new(),
            edges: all(voters),
            cut: Cut::Breaks(0),
            links: BTreeMap::new(),
            queue: BTreeMap::new(),
            count: 0,
            leaders: BTreeMap::new(),
        };
        for index in 0..voters {
            let me = id(index as u8 + 1);
            let config = ReplicaConfig { defects, ..ReplicaConfig::new(me, ensemble.clone()) };
            let log = entries(if index == leader { "1:1 1:2" } else { "1:1" });
            let mut out = Outbox::new();
            let replica = Replica::new(config, state, None, log, 1, mesh.clock(), &mut out);
            mesh.replicas.push(replica);
            mesh.carry_out(index, out);
        }
        mesh.connect_elections();
        mesh.run_until(mesh.now + 2_000);
        assert_eq!(mesh.led(), Some((leader, Epoch(2))), "{:?}", mesh.roles());
        assert!(mesh.replicas.iter().all(Replica::is_serving));
        mesh
    }

    fn clock(&self) -> Now {
        Now { monotonic: Instant(self.now), wall: WallTime::UNIX_EPOCH + Millis(self.now) }
    }

    fn roles(&self) -> Vec<(Role, bool)> {
        self.replicas.iter().map(|r| (r.role(), r.is_serving())).collect()
    }

    fn is_connected(&self, a: usize, b: usize) -> bool {
        self.edges.contains(&(a, b)) && self.edges.contains(&(b, a))
    }

    /// Whether a voter reaches a majority in both directions.
    fn has_centre(&self) -> bool {
        let voters = self.replicas.len();
        (0..voters).any(|a| {
            let reached = (0..voters).filter(|b| a == *b || self.is_connected(a, *b)).count();
            reached > voters / 2
        })
    }

    /// The established leader that a majority serves with, if there is one.
    fn led(&self) -> Option<(usize, Epoch)> {
        (0..self.replicas.len()).find_map(|index| {
            let replica = &self.replicas[index];
            let leads = replica.role() == Role::Leading && replica.is_serving();
            let me = Some(id(index as u8 + 1));
            let with = self.replicas.iter().filter(|r| r.leader() == me).count();
            (leads && with > self.replicas.len() / 2).then(|| (index, replica.epoch()))
        })
    }

    fn put(&mut self, after: u64, to: usize, happening: Happening) {
        self.count += 1;
        self.queue.insert((self.now + after, self.count), (to, happening));
    }

    fn open(&mut self, from: usize, to: usize, purpose: LinkPurpose) {
        self.count += 1;
        let link = LinkId(self.count);
        self.links.insert(link, Link { ends: [from, to], purpose, open: [true, true] });
        self.put(CONNECT, from, Happening::Up { link, peer: to, purpose, ours: true });
        self.put(CONNECT, to, Happening::Up { link, peer: from, purpose, ours: false });
    }

    fn connect_elections(&mut self) {
        for a in 0..self.replicas.len() {
            for b in 0..a {
                let linked = self.links.values().any(|l| {
                    l.purpose == LinkPurpose::Election
                        && l.open == [true, true]
                        && l.ends.contains(&a)
                        && l.ends.contains(&b)
                });
                if !linked && self.is_connected(a, b) {
                    self.open(a, b, LinkPurpose::Election);
                }
            }
        }
    }

    /// From now on only these directions carry anything.
    fn rewire(&mut self, edges: BTreeSet<(usize, usize)>) {
        self.edges = edges;
        if let Cut::Breaks(after) = self.cut {
            let cut: Vec<(LinkId, [usize; 2])> = (self.links.iter())
                .filter(|(_, l)| !self.is_connected(l.ends[0], l.ends[1]))
                .map(|(link, l)| (*link, l.ends))
                .collect();
            for (link, [a, b]) in cut {
                self.put(after, a, Happening::Down { link: Some(link), peer: b });
                self.put(after, b, Happening::Down { link: Some(link), peer: a });
            }
        }
        self.connect_elections();
    }

    fn call(&mut self, index: usize, input: impl FnOnce(&mut Replica, Now, &mut Outbox)) {
        let mut out = Outbox::new();
        let now = self.clock();
        input(&mut self.replicas[index], now, &mut out);
        self.replicas[index].invariants();
        self.carry_out(index, out);
    }

    fn carry_out(&mut self, index: usize, out: Outbox) {
        for event in out.events {
            if let ReplicaEvent::LeadingBegins { epoch } = event {
                assert_eq!(self.leaders.insert(epoch, index), None, "two leaders in one epoch");
            }
        }
        for output in out.outputs {
            match output {
                Output::Disk { ticket, .. } => self.put(HOP, index, Happening::Disk { ticket }),
                Output::Send { links, message } => {
                    for link in links {
                        self.send(index, link, message.clone());
                    }
                }
                Output::OpenLearnerLink { peer } => {
                    let to = usize::from(peer.number()) - 1;
                    if self.is_connected(index, to) {
                        self.open(index, to, LinkPurpose::Learner);
                    } else {
                        let down = Happening::Down { link: None, peer: to };
                        self.put(CONNECT_LIMIT, index, down);
                    }
                }
                Output::CloseLink { link } => self.close(index, link),
                Output::Halt { reason } => panic!("halts: {reason}"),
                _ => {}
            }
        }
    }

    fn send(&mut self, from: usize, link: LinkId, message: PeerMessage) {
        let Some(state) = self.links.get(&link) else { return };
        let end = usize::from(state.ends[1] == from);
        let to = state.ends[1 - end];
        if state.open[end] && self.edges.contains(&(from, to)) {
            self.put(HOP, to, Happening::Message { link, message });
        }
    }

    fn close(&mut self, index: usize, link: LinkId) {
        let Some(state) = self.links.get_mut(&link) else { return };
        let end = usize::from(state.ends[1] == index);
        state.open[end] = false;
        let to = state.ends[1 - end];
        if self.edges.contains(&(index, to)) {
            self.put(HOP, to, Happening::Down { link: Some(link), peer: index });
        }
    }

    fn happens(&mut self, to: usize, happening: Happening) {
        let peer_id = |peer: usize| id(peer as u8 + 1);
        let open = |mesh: &Self, link: LinkId| {
            let state = &mesh.links[&link];
            state.open[usize::from(state.ends[1] == to)]
        };
        match happening {
            Happening::Up { link, peer, purpose, ours } => {
                let (link, peer) = (link, peer_id(peer));
                self.call(to, |r, now, out| r.link_up(now, link, peer, purpose, ours, out));
            }
            Happening::Message { link, message } if open(self, link) => {
                self.call(to, |r, now, out| r.received(now, link, message, out));
            }
            Happening::Down { link: Some(link), peer } if open(self, link) => {
                let state = self.links.get_mut(&link).unwrap();
                let end = usize::from(state.ends[1] == to);
                state.open[end] = false;
                self.call(to, |r, now, out| r.link_down(now, Some(link), peer_id(peer), out));
                self.connect_elections();
            }
            Happening::Down { link: None, peer } => {
                self.call(to, |r, now, out| r.link_down(now, None, peer_id(peer), out));
            }
            Happening::Disk { ticket } => {
                self.call(to, |r, now, out| r.disk_done(now, ticket, out));
            }
            Happening::Message { .. } | Happening::Down { .. } => {}
        }
    }

    fn run_until(&mut self, end: u64) {
        loop {
            let wake = (0..self.replicas.len())
                .map(|index| (self.replicas[index].next_wake().0, index))
                .min()
                .unwrap();
            let due = self.queue.keys().next().copied();
            let at = due.map_or(wake.0, |(at, _)| at.min(wake.0)).max(self.now);
            if at > end {
                self.now = end;
                return;
            }
            self.now = at;
            if let Some(key) = due.filter(|(due, _)| *due <= at) {
                let (to, happening) = self.queue.remove(&key).expect("it is the first");
                self.happens(to, happening);
            } else {
                self.count += 1;
                let jitter = self.count.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
                self.call(wake.1, |r, now, out| r.tick(now, jitter, out));
            }
        }
    }

    /// The property, in the graph as it is.
    fn check(&mut self, bound: u64, holds: u64) -> Result<(), String> {
        self.run_until(self.now + bound);
        let led = self.led();
        if led.is_some() != self.has_centre() {
            return Err(format!("led: {led:?}, {:?}", self.roles()));
        }
        for _ in 0..holds / 500 {
            self.run_until(self.now + 500);
            if self.led() != led {
                return Err(format!("led: {led:?}, then {:?}", self.led()));
            }
        }
        Ok(())
    }
}

fn all(voters: usize) -> BTreeSet<(usize, usize)> {
    let to = move |a| (0..voters).filter(move |b| *b != a).map(move |b| (a, b));
    (0..voters).flat_map(to).collect()
}

/// The graph number `bits` of those on so many voters: one bit for each pair, both directions.
fn undirected(voters: usize, bits: u32) -> BTreeSet<(usize, usize)> {
    let pairs = all(voters).into_iter().filter(|(a, b)| a < b).enumerate();
    let kept = pairs.filter(|(bit, _)| bits >> bit & 1 == 1);
    kept.flat_map(|(_, (a, b))| [(a, b), (b, a)]).collect()
}

/// The same with one bit for each direction.
fn directed(voters: usize, bits: u32) -> BTreeSet<(usize, usize)> {
    let directions = all(voters).into_iter().enumerate();
    directions.filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, edge)| edge).collect()
}

/// What the leader does when the graph changes.
#[derive(Clone, Copy, Debug)]
enum Write {
    None,
    /// Its proposal reaches whom it still reaches.
    Proposed,
    /// Its proposal reaches nobody: it has the longest history, alone.
    Alone,
}

fn check_graphs(
    voters: usize,
    graphs: impl Iterator<Item = BTreeSet<(usize, usize)>> + Clone,
    cut: Cut,
    bound: u64,
    defects: Defects,
) -> Result<(), String> {
    for leader in 0..voters {
        let calm = Mesh::led_by(leader, voters, defects);
        for graph in graphs.clone() {
            for write in [Write::None, Write::Proposed, Write::Alone] {
                let mut mesh = calm.clone();
                mesh.cut = cut;
                let propose = |r: &mut Replica, _: Now, out: &mut Outbox| {
                    r.propose(Bytes::from_static(b"tail"), out);
                };
                if matches!(write, Write::Alone) {
                    mesh.edges.clear();
                    mesh.call(leader, propose);
                }
                mesh.rewire(graph.clone());
                if matches!(write, Write::Proposed) {
                    mesh.call(leader, propose);
                }
                mesh.check(bound, 4_000).map_err(|what| {
                    format!("{leader} led, {write:?}, {cut:?}, {graph:?}: {what}")
                })?;
            }
        }
    }
    Ok(())
}

#[test]
fn whoever_reaches_a_majority_there_is_a_leader_in_every_graph_of_up_to_five_voters() {
    for voters in 1..=5 {
        let pairs = voters * (voters - 1) / 2;
        let graphs = (0..1_u32 << pairs).map(|bits| undirected(voters, bits));
        check_graphs(voters, graphs, Cut::Breaks(0), 3_000, Defects::NONE).unwrap();
    }
}

#[test]
fn links_that_carry_nothing_delay_a_leader_by_the_sync_limit_and_no_more() {
    for voters in 3..=5 {
        let pairs = voters * (voters - 1) / 2;
        let graphs = (0..1_u32 << pairs).map(|bits| undirected(voters, bits));
        check_graphs(voters, graphs.clone(), Cut::Silent, 18_000, Defects::NONE).unwrap();
        if voters < 5 {
            check_graphs(voters, graphs, Cut::Breaks(5_000), 18_000, Defects::NONE).unwrap();
        }
    }
}

#[test]
fn directions_that_carry_nothing_are_no_connections() {
    let graphs = (0..1_u32 << 6).map(|bits| directed(3, bits));
    for cut in [Cut::Breaks(0), Cut::Breaks(5_000), Cut::Silent] {
        check_graphs(3, graphs.clone(), cut, 18_000, Defects::NONE).unwrap();
    }
    let graphs = (0..1_u32 << 12).map(|bits| directed(4, bits));
    check_graphs(4, graphs, Cut::Silent, 18_000, Defects::NONE).unwrap();
}

/// s1, s2 and s3 hear each other, s3 also hears s5, who led before.
fn bridge() -> BTreeSet<(usize, usize)> {
    [(0, 1), (0, 2), (1, 2), (2, 4)].iter().flat_map(|&(a, b)| [(a, b), (b, a)]).collect()
}

#[test]
fn three_of_five_elect_although_one_of_them_also_hears_the_leader_before() {
    let graphs = std::iter::once(bridge());
    check_graphs(5, graphs.clone(), Cut::Breaks(0), 1_000, Defects::NONE).unwrap();
}

#[test]
fn votes_that_are_passed_on_keep_three_of_five_from_electing() {
    let defects = Defects::from(Defect::ElectionCountsTheUnheard);
    let mut mesh = Mesh::led_by(4, 5, defects);
    mesh.rewire(bridge());
    for _ in 0..60 {
        mesh.run_until(mesh.now + 1_000);
        assert_eq!(mesh.led(), None);
    }
}

#[test]
fn after_connections_that_come_and_go_there_is_a_leader_as_soon_as_they_stay() {
    for seed in 0..300_u64 {
        let voters = 3 + (seed % 3) as usize;
        let mut mesh = Mesh::led_by(0, voters, Defects::NONE);
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (mixed ^ mixed >> 27) as u32
        };
        for _ in 0..30 {
            mesh.cut = [Cut::Breaks(0), Cut::Breaks(700), Cut::Silent][next() as usize % 3];
            mesh.rewire(undirected(voters, next() | next()));
            mesh.run_until(mesh.now + u64::from(next() % 3_000));
            if let Some((leader, _)) = mesh.led() {
                mesh.call(leader, |r, _, out| {
                    r.propose(Bytes::from_static(b"more"), out);
                });
            }
        }
        // Links that were cut silently are found out by their owners' timeouts.
        mesh.cut = Cut::Breaks(3_000);
        mesh.rewire(undirected(voters, next() | next()));
        mesh.check(20_000, 4_000).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
        mesh.rewire(all(voters));
        mesh.check(5_000, 1_000).unwrap_or_else(|what| panic!("seed {seed}, healed: {what}"));
        assert!(mesh.replicas.iter().all(Replica::is_serving), "seed {seed}: {:?}", mesh.roles());
    }
}
