//! Which states of the protocol a run comes through, so that a sweep can say when it last saw a new one.
//!
//! A state is what one server is at one moment, seen coarsely: its role, how the epochs that it promised and
//! took part in stand to the newest leader's, how its log stands to what is committed, and a kind of fault
//! that is going on, at it or elsewhere. Goals that were reached count as states as well.
//! Holds: there are at most [`STATES`] of them and one for each goal; the same number means the same state
//! in every run of a scenario on one inbox. Whatever is seen here is told by servers: no judgement rests on it.
//! Start at [`CoverageMap::observe`].

use mailstorm_checkers::ensemble::servers::Servers;
use mailstorm_record::{Coverage, Event, FaultKind, Happening};
use mailstorm_shared::facts::EnsembleFact;
use mailstorm_shared::{Epoch, Observation, ServerId, Zxid};

const NS_PER_MS: u64 = 1_000_000;

const ROLE_BITS: u32 = 3;
const EPOCH_BITS: u32 = 2;
const LOG_BITS: u32 = 3;
const AIMED_BITS: u32 = 1;
const KIND_BITS: u32 = 5;

/// How many states there can be; numbers from here on stand for goals.
const STATES: u32 = 1 << (ROLE_BITS + 2 * EPOCH_BITS + LOG_BITS + AIMED_BITS + KIND_BITS);

const _: () = assert!(FaultKind::NAMES.len() < 1 << KIND_BITS, "no fault is a number of its own");

/// The same state, or goal, whatever fault was going on.
pub(crate) fn whatever_the_fault(state: u32) -> u32 {
    const FAULTLESS: u32 = (1 << (ROLE_BITS + 2 * EPOCH_BITS + LOG_BITS)) - 1;
    if state < STATES { state & FAULTLESS } else { state }
}

/// The states that one run has come through so far.
pub(crate) struct CoverageMap {
    nodes: Servers,
    /// One bit for each state.
    seen: Vec<u64>,
    /// Each state that was seen, with the millisecond of the storm in which it first was.
    first: Vec<(u32, u64)>,
    /// When the storm began.
    storm_ns: Option<u64>,
    /// The moment of what is being observed.
    now_ns: u64,
    /// By the server's number.
    servers: Vec<Server>,
    /// The epochs of what is committed, each with the last counter committed in it.
    committed: Vec<Zxid>,
    /// The newest epoch that has a leader, and who that is.
    leader: Option<(Epoch, ServerId)>,
    /// The faults that are going on.
    faults: Vec<FaultSeen>,
}

/// What is known of one server.
#[derive(Clone, Default)]
struct Server {
    role: Role,
    accepted: Epoch,
    current: Epoch,
    /// Its last transaction.
    logged: Zxid,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Role {
    /// Nothing was heard of it, or its process is gone.
    #[default]
    Down,
    Looking,
    /// It looks for a leader and lost its vote with its data.
    Voteless,
    Follows,
    Leads,
}

/// How a server's log stands to what is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Log {
    /// Nothing is committed yet.
    Nothing,
    Empty,
    Behind,
    Equal,
    Ahead,
    /// It ends with something that can never be committed.
    Diverged,
}

/// A fault that is going on.
struct FaultSeen {
    index: usize,
    /// From 1; 0 stands for no fault.
    kind: u32,
    /// The servers that it strikes.
    servers: Vec<ServerId>,
}

impl CoverageMap {
    /// Nothing has happened yet to these servers.
    pub(crate) fn new(nodes: Servers) -> Self {
        Self {
            nodes,
            seen: vec![0; STATES as usize / 64],
            first: Vec::new(),
            storm_ns: None,
            now_ns: 0,
            servers: Vec::new(),
            committed: Vec::new(),
            leader: None,
            faults: Vec::new(),
        }
    }

    /// Something happened.
    pub(crate) fn observe(&mut self, event: &Event) {
        self.now_ns = event.at_ns;
        match &event.happening {
            Happening::Phase { name } if &**name == "storm" => self.storm_ns = Some(event.at_ns),
            Happening::Observed { observation: Observation::Ensemble(fact) } => {
                let server = self.nodes.on(event.node.as_ref());
                server.into_iter().for_each(|server| self.told(server, fact));
            }
            Happening::Crashed { .. } => {
                let server = self.nodes.on(event.node.as_ref());
                server.into_iter().for_each(|server| self.becomes(server, Role::Down));
            }
            Happening::DiskDamaged => {
                // Whatever it had promised, it may have forgotten.
                let server = self.nodes.on(event.node.as_ref());
                server.into_iter().for_each(|s| self.server(s).accepted = Epoch::default());
            }
            Happening::FaultBegan { index, kind, nodes } => {
                let name = kind.strip_prefix("leader_").unwrap_or(kind);
                let place = FaultKind::NAMES.iter().position(|known| *known == name);
                let kind = place.expect("every kind is listed") as u32 + 1;
                let servers = nodes.iter().filter_map(|node| self.nodes.on(Some(node))).collect();
                self.faults.push(FaultSeen { index: *index, kind, servers });
                self.note_all();
            }
            Happening::FaultEnded { index } => {
                self.faults.retain(|fault| fault.index != *index);
            }
            _ => {}
        }
    }

    fn told(&mut self, server: ServerId, fact: &EnsembleFact) {
        match *fact {
            EnsembleFact::ServerStarted { epoch, snapshot, last_logged, votes } => {
                let known = self.server(server);
                known.logged = snapshot.max(last_logged);
                known.current = epoch;
                self.becomes(server, if votes { Role::Looking } else { Role::Voteless });
            }
            EnsembleFact::Looking => {
                let was = self.server(server).role;
                self.becomes(server, if was == Role::Voteless { was } else { Role::Looking });
            }
            EnsembleFact::EpochAccepted { epoch } => {
                self.server(server).accepted = epoch;
                self.note(server);
            }
            EnsembleFact::Follows { epoch, .. } => {
                self.server(server).current = epoch;
                self.becomes(server, Role::Follows);
            }
            EnsembleFact::Leads { epoch, last_logged } => {
                self.server(server).current = epoch;
                self.commits(last_logged);
                if self.leader.is_none_or(|(newest, _)| epoch >= newest) {
                    self.leader = Some((epoch, server));
                }
                self.becomes(server, Role::Leads);
                self.note_all();
            }
            EnsembleFact::SteppedDown { .. } => self.becomes(server, Role::Looking),
            EnsembleFact::Appended { zxid, .. } => {
                self.server(server).logged = zxid;
                self.note(server);
            }
            EnsembleFact::Truncated { after: zxid } | EnsembleFact::SnapshotInstalled { zxid } => {
                // As it was until now, and as it is from now on.
                self.note(server);
                self.server(server).logged = zxid;
                self.note(server);
            }
            EnsembleFact::QuorumCommitted { zxid, .. } => {
                self.commits(zxid);
                self.note(server);
            }
            _ => {}
        }
    }

    /// The run's states. `goals` says of each of the run's goals whether it was reached.
    pub(crate) fn states(&self, goals: impl Iterator<Item = bool>) -> Coverage {
        let goals =
            (STATES..).zip(goals).filter(|(_, reached)| *reached).map(|(goal, _)| (goal, 0));
        Coverage(self.first.iter().copied().chain(goals).collect())
    }

    fn server(&mut self, server: ServerId) -> &mut Server {
        let place = usize::from(server.number());
        if place >= self.servers.len() {
            self.servers.resize_with(place + 1, Server::default);
        }
        &mut self.servers[place]
    }

    fn becomes(&mut self, server: ServerId, role: Role) {
        self.server(server).role = role;
        if role != Role::Leads && self.leader.is_some_and(|(_, leader)| leader == server) {
            self.leader = None;
        }
        self.note(server);
    }

    /// Everything up to here is committed.
    fn commits(&mut self, zxid: Zxid) {
        match self.committed.last_mut() {
            Some(last) if last.epoch() == zxid.epoch() => *last = zxid.max(*last),
            Some(last) if *last > zxid => {}
            _ => self.committed.push(zxid),
        }
    }

    fn note_all(&mut self) {
        for number in 1..self.servers.len() {
            let server = u8::try_from(number).ok().and_then(ServerId::new);
            server.into_iter().for_each(|server| self.note(server));
        }
    }

    /// A server is in some state now.
    fn note(&mut self, server: ServerId) {
        let known = self.server(server).clone();
        let mut state = known.role as u32;
        let mut place = ROLE_BITS;
        for epoch in [known.accepted, known.current] {
            state |= self.epoch_relation(epoch) << place;
            place += EPOCH_BITS;
        }
        state |= (self.log_relation(known.logged) as u32) << place;
        place += LOG_BITS;
        if self.faults.is_empty() {
            self.sees(state);
        }
        for index in 0..self.faults.len() {
            let fault = &self.faults[index];
            let is_aimed = fault.servers.contains(&server);
            let state = state | u32::from(is_aimed) << place | fault.kind << (place + AIMED_BITS);
            self.sees(state);
        }
    }

    fn sees(&mut self, state: u32) {
        let (word, bit) = (state as usize / 64, 1 << (state % 64));
        if self.seen[word] & bit == 0 {
            self.seen[word] |= bit;
            let storm_ms = self.storm_ns.map_or(0, |began| (self.now_ns - began) / NS_PER_MS);
            self.first.push((state, storm_ms));
        }
    }

    /// How an epoch stands to the newest leader's, in [`EPOCH_BITS`] bits: there is none, behind, equal,
    /// ahead.
    fn epoch_relation(&self, epoch: Epoch) -> u32 {
        match self.leader {
            None => 0,
            Some((newest, _)) if epoch < newest => 1,
            Some((newest, _)) if epoch == newest => 2,
            Some(_) => 3,
        }
    }

    /// How a log that ends here stands to what is committed.
    fn log_relation(&self, logged: Zxid) -> Log {
        let Some(last) = self.committed.last() else { return Log::Nothing };
        if logged == Zxid::ZERO {
            return Log::Empty;
        }
        if logged >= *last {
            return if logged == *last { Log::Equal } else { Log::Ahead };
        }
        // In an epoch that is over for good, nothing after what was committed of it ever will be.
        let of_its_epoch = self.committed.iter().rev().find(|end| end.epoch() == logged.epoch());
        if of_its_epoch.is_some_and(|end| logged <= *end) { Log::Behind } else { Log::Diverged }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mailstorm_record::NodeName;
    use std::collections::BTreeMap;

    fn server(number: u8) -> ServerId {
        ServerId::new(number).expect("not 0")
    }

    fn z(epoch: u32, counter: u32) -> Zxid {
        Zxid::new(Epoch(epoch), counter)
    }

    fn event(node: Option<&str>, happening: Happening) -> Event {
        Event { at_ns: 0, node: node.map(NodeName::from), happening }
    }

    fn observed(number: u8, fact: EnsembleFact) -> Event {
        let node = format!("s{number}");
        event(Some(&node), Happening::Observed { observation: fact.into() })
    }

    fn map() -> CoverageMap {
        let node = |number| (NodeName::from(&*format!("s{number}")), server(number));
        CoverageMap::new((1..=3).map(node).collect())
    }

    fn leads(number: u8, epoch: u32, last_logged: Zxid) -> Event {
        observed(number, EnsembleFact::Leads { epoch: Epoch(epoch), last_logged })
    }

    fn appended(number: u8, zxid: Zxid) -> Event {
        observed(number, EnsembleFact::Appended { zxid, digest: 0 })
    }

    fn fault(index: usize, kind: &str, node: &str) -> Event {
        event(None, Happening::FaultBegan { index, kind: kind.into(), nodes: vec![node.into()] })
    }

    /// The states of these events.
    fn states(events: &[Event]) -> BTreeMap<u32, u64> {
        let mut map = map();
        events.iter().for_each(|event| map.observe(event));
        map.states(std::iter::empty()).0
    }

    /// How many states the last of these events adds.
    #[track_caller]
    fn check(events: &[Event], added: usize) {
        let before = states(&events[..events.len() - 1]).len();
        assert_eq!(states(events).len() - before, added);
    }

    #[test]
    fn the_same_again_is_no_new_state() {
        let led = || vec![leads(1, 1, Zxid::ZERO), appended(1, z(1, 1))];
        check(&led(), 1);
        check(&[led(), vec![appended(1, z(1, 2))]].concat(), 0);
    }

    #[test]
    fn a_log_that_left_what_is_committed_is_another_state_than_one_that_is_behind() {
        let relation = |logged| {
            let mut map = map();
            map.observe(&leads(1, 1, Zxid::ZERO));
            map.observe(&observed(
                1,
                EnsembleFact::QuorumCommitted { epoch: Epoch(1), zxid: z(1, 5) },
            ));
            map.observe(&leads(2, 2, z(1, 5)));
            map.observe(&observed(
                2,
                EnsembleFact::QuorumCommitted { epoch: Epoch(2), zxid: z(2, 3) },
            ));
            map.log_relation(logged)
        };
        assert_eq!(relation(z(2, 3)), Log::Equal);
        assert_eq!(relation(z(2, 4)), Log::Ahead);
        assert_eq!(relation(z(1, 6)), Log::Diverged);
        assert_eq!(relation(z(1, 5)), Log::Behind);
        assert_eq!(relation(z(2, 1)), Log::Behind);
        assert_eq!(relation(Zxid::ZERO), Log::Empty);
    }

    #[test]
    fn a_fault_makes_a_state_of_its_own_for_each_server_and_for_whom_it_strikes() {
        let led = || vec![leads(1, 1, Zxid::ZERO), leads(2, 1, Zxid::ZERO)];
        // Both servers are in the same state, and one of them is struck.
        check(&[led(), vec![fault(0, "pause", "s1")]].concat(), 2);
        check(&[led(), vec![fault(0, "leader_pause", "c1")]].concat(), 1);
    }

    #[test]
    fn a_goal_that_was_reached_is_a_state() {
        let map = map();
        assert_eq!(map.states([false, true].into_iter()).0, [(STATES + 1, 0)].into());
    }

    #[test]
    fn a_state_is_known_with_the_millisecond_of_the_storm_that_first_showed_it() {
        let at = |at_ms: u64, event: Event| Event { at_ns: at_ms * NS_PER_MS, ..event };
        let events = [
            at(700, leads(1, 1, Zxid::ZERO)),
            at(1_000, event(None, Happening::Phase { name: "storm".into() })),
            at(1_350, appended(1, z(1, 1))),
            at(1_400, appended(1, z(1, 2))),
        ];
        assert_eq!(states(&events).into_values().collect::<Vec<_>>(), [0, 350]);
    }
}
