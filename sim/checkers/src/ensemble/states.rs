//! The abstract states of a server: its role, how the epochs that it promised and took part in
//! stand to the newest leader's, and how its log stands to what is committed.
//!
//! Holds: the same number means the same state in every run. Whatever is seen here is told by
//! servers.
//! Start at [`ServerStates`].

use crate::common::states::States;
use crate::ensemble::servers::Servers;
use mailstorm_record::{Event, Happening, NodeName};
use mailstorm_shared::facts::EnsembleFact;
use mailstorm_shared::{Ensemble, Epoch, Observation, ServerId, Zxid};

const ROLE_BITS: u32 = 3;
const EPOCH_BITS: u32 = 2;
const LOG_BITS: u32 = 3;

/// What is known of the servers.
#[derive(Clone, Debug)]
pub struct ServerStates {
    nodes: Servers,
    /// By the server's number.
    servers: Vec<Server>,
    /// The epochs of what is committed, each with the last counter committed in it.
    committed: Vec<Zxid>,
    /// The newest epoch that has a leader, and who that is.
    leader: Option<(Epoch, ServerId)>,
}

/// What is known of one server.
#[derive(Clone, Debug, Default)]
struct Server {
    role: Role,
    accepted: Epoch,
    current: Epoch,
    /// Its last transaction.
    logged: Zxid,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

impl States for ServerStates {
    fn bound(&self) -> u32 {
        1 << (ROLE_BITS + 2 * EPOCH_BITS + LOG_BITS)
    }

    fn place(&self, node: &NodeName) -> Option<usize> {
        self.nodes.on(Some(node)).map(place)
    }

    fn observe(&mut self, event: &Event, shown: &mut Vec<(usize, u32)>) {
        match &event.happening {
            Happening::Observed { observation: Observation::Ensemble(fact) } => {
                if let Some(server) = self.nodes.on(event.node.as_ref()) {
                    self.told(server, fact, shown);
                }
            }
            Happening::Crashed { .. } => {
                if let Some(server) = self.nodes.on(event.node.as_ref()) {
                    self.becomes(server, Role::Down, shown);
                }
            }
            Happening::DiskDamaged => {
                // Whatever it had promised, it may have forgotten.
                if let Some(server) = self.nodes.on(event.node.as_ref()) {
                    self.server(server).accepted = Epoch::default();
                }
            }
            _ => {}
        }
    }

    fn now(&self, shown: &mut Vec<(usize, u32)>) {
        // There is no server 0.
        let all = self.servers.iter().enumerate().skip(1);
        shown.extend(all.map(|(place, server)| (place, self.state(server))));
    }
}

fn place(server: ServerId) -> usize {
    usize::from(server.number())
}

impl ServerStates {
    /// Nothing is known yet of the servers of this ensemble.
    pub fn new(ensemble: &Ensemble) -> Self {
        let nodes = Servers::of(ensemble);
        Self { nodes, servers: Vec::new(), committed: Vec::new(), leader: None }
    }

    fn told(&mut self, server: ServerId, fact: &EnsembleFact, shown: &mut Vec<(usize, u32)>) {
        match *fact {
            EnsembleFact::ServerStarted { epoch, snapshot, last_logged, votes } => {
                let known = self.server(server);
                known.logged = snapshot.max(last_logged);
                known.current = epoch;
                self.becomes(server, if votes { Role::Looking } else { Role::Voteless }, shown);
            }
            EnsembleFact::Looking => {
                let was = self.server(server).role;
                let role = if was == Role::Voteless { was } else { Role::Looking };
                self.becomes(server, role, shown);
            }
            EnsembleFact::EpochAccepted { epoch } => {
                self.server(server).accepted = epoch;
                self.note(server, shown);
            }
            EnsembleFact::Follows { epoch, .. } => {
                self.server(server).current = epoch;
                self.becomes(server, Role::Follows, shown);
            }
            EnsembleFact::Leads { epoch, last_logged } => {
                self.server(server).current = epoch;
                self.commits(last_logged);
                if self.leader.is_none_or(|(newest, _)| epoch >= newest) {
                    self.leader = Some((epoch, server));
                }
                self.becomes(server, Role::Leads, shown);
                self.now(shown);
            }
            EnsembleFact::SteppedDown { .. } => self.becomes(server, Role::Looking, shown),
            EnsembleFact::Appended { zxid, .. } => {
                self.server(server).logged = zxid;
                self.note(server, shown);
            }
            EnsembleFact::Truncated { after: zxid } | EnsembleFact::SnapshotInstalled { zxid } => {
                // As it was until now, and as it is from now on.
                self.note(server, shown);
                self.server(server).logged = zxid;
                self.note(server, shown);
            }
            EnsembleFact::QuorumCommitted { zxid, .. } => {
                self.commits(zxid);
                self.note(server, shown);
            }
            _ => {}
        }
    }

    fn server(&mut self, server: ServerId) -> &mut Server {
        let place = place(server);
        if place >= self.servers.len() {
            self.servers.resize_with(place + 1, Server::default);
        }
        &mut self.servers[place]
    }

    fn becomes(&mut self, server: ServerId, role: Role, shown: &mut Vec<(usize, u32)>) {
        self.server(server).role = role;
        if role != Role::Leads && self.leader.is_some_and(|(_, leader)| leader == server) {
            self.leader = None;
        }
        self.note(server, shown);
    }

    /// Everything up to here is committed.
    fn commits(&mut self, zxid: Zxid) {
        match self.committed.last_mut() {
            Some(last) if last.epoch() == zxid.epoch() => *last = zxid.max(*last),
            Some(last) if *last > zxid => {}
            _ => self.committed.push(zxid),
        }
    }

    /// A server is in some state now.
    fn note(&mut self, server: ServerId, shown: &mut Vec<(usize, u32)>) {
        self.server(server);
        let place = place(server);
        shown.push((place, self.state(&self.servers[place])));
    }

    fn state(&self, known: &Server) -> u32 {
        let mut state = known.role as u32;
        let mut bits = ROLE_BITS;
        for epoch in [known.accepted, known.current] {
            state |= self.epoch_relation(epoch) << bits;
            bits += EPOCH_BITS;
        }
        state | (self.log_relation(known.logged) as u32) << bits
    }

    /// How an epoch stands to the newest leader's, in [`EPOCH_BITS`] bits: there is none, behind,
    /// equal, ahead.
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
    use crate::common::history::{History, ensemble, z};

    /// Every state that these events show, each with its server.
    fn shown(history: History) -> Vec<(usize, u32)> {
        let (mut states, mut shown) = (ServerStates::new(&ensemble(3)), Vec::new());
        history.events().iter().for_each(|event| states.observe(event, &mut shown));
        shown
    }

    #[test]
    fn the_same_again_is_no_new_state_and_every_state_is_below_the_bound() {
        let led = || History::new().leads(1, 1, Zxid::ZERO).appended(&[1], z(1, 1));
        let once = shown(led());
        let twice = shown(led().appended(&[1], z(1, 2)));
        assert_eq!(twice.last(), once.last());
        assert!(twice.iter().all(|(_, state)| *state < ServerStates::new(&ensemble(3)).bound()));
    }

    #[test]
    fn a_log_that_left_what_is_committed_is_another_state_than_one_that_is_behind() {
        let mut states = ServerStates::new(&ensemble(3));
        for committed in [z(1, 0), z(1, 5), z(2, 3)] {
            states.commits(committed);
        }
        for (logged, relation) in [
            (z(2, 3), Log::Equal),
            (z(2, 4), Log::Ahead),
            (z(1, 6), Log::Diverged),
            (z(1, 5), Log::Behind),
            (z(2, 1), Log::Behind),
            (Zxid::ZERO, Log::Empty),
        ] {
            assert_eq!(states.log_relation(logged), relation, "{logged}");
        }
    }
}
