//! The numbers of a scenario that a run may change: how many machines of each kind, how much work.
//!
//! Owns: the settings that several scenarios have, and which numbers make no sense together.
//! Leaves: those that one scenario has alone to it.
//! Holds: with the defaults, a scenario is what it is without any settings.

use crate::nodes::{SESSION_TIMEOUT, ensemble_of};
use crate::service::Service;
use mailstorm_record::{Setting, Settings};
use mailstorm_shared::quorum::majority;
use mailstorm_shared::{Ensemble, Millis};
use mailstorm_world::scenario::{DiskSpeed, NetworkSpeed};
use mailstorm_world::{NodeSpec, System, Topology};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// The most servers that vote; client numbers and plans are made for one digit.
pub(crate) const SERVERS_MAX: u64 = 9;

/// The setting that says how many servers decide, of the design that gets it wrong.
pub(crate) const QUORUM: &str = "quorum";

/// The setting that says who leads first.
pub(crate) const LEADER: &str = "leader";

/// The setting that says how long sessions are.
pub(crate) const SESSION_MS: &str = "session_ms";
/// What servers grant: from two to twenty ticks of two seconds.
const SESSION_MS_MIN: u64 = 4_000;
const SESSION_MS_MAX: u64 = 40_000;

/// A scenario's settings, with what they are now.
#[derive(Clone)]
pub(crate) struct Scale(Vec<Setting>);

impl Scale {
    /// The settings of every scenario on an ensemble of so many voters.
    pub(crate) fn of_ensemble(servers: u64) -> Self {
        let mut scale = Self::of_programs();
        scale.0.insert(0, Setting::count("servers", "servers that vote", servers, 1..=SERVERS_MAX));
        let about = "the server that leads first; 0: whichever is elected";
        scale.and(LEADER, about, 0, 0..=SERVERS_MAX)
    }

    /// The settings of a lesson on an ensemble of so many voters.
    pub(crate) fn of_lesson(servers: u64) -> Self {
        let mut scale = Self::of_ensemble(servers);
        let about = "after how much silence a session ends";
        let usual = SESSION_TIMEOUT.0;
        let session = Setting::count(SESSION_MS, about, usual, SESSION_MS_MIN..=SESSION_MS_MAX);
        scale.0.push(Setting { simplest: usual, ..session });
        scale
    }

    /// The settings of every scenario.
    pub(crate) fn of_programs() -> Self {
        let about = "1: every message and every sync takes the same time";
        Self(vec![Setting::plain("plain_latencies", about)])
    }

    /// One more of them.
    #[must_use]
    pub(crate) fn and(
        mut self,
        name: &'static str,
        about: &'static str,
        default: u64,
        range: RangeInclusive<u64>,
    ) -> Self {
        self.0.push(Setting::count(name, about, default, range));
        self
    }

    /// A part of the scenario that is there (1) or not (0), and is as simple either way.
    #[must_use]
    pub(crate) fn and_switch(
        mut self,
        name: &'static str,
        about: &'static str,
        default: u64,
    ) -> Self {
        let simplest = default;
        self.0.push(Setting { simplest, ..Setting::count(name, about, default, 0..=1) });
        self
    }

    /// The same with these, and the defaults for all others.
    pub(crate) fn with(&self, settings: &Settings) -> Self {
        let mut all = self.0.clone();
        settings.apply(&mut all).expect("whoever asks has looked at the names and the ranges");
        Self(all)
    }

    pub(crate) fn all(&self) -> &[Setting] {
        &self.0
    }

    /// What this one is now.
    pub(crate) fn get(&self, name: &str) -> u64 {
        self.find(name).expect("a scenario reads only the settings it has").value
    }

    /// This one, if the scenario has it.
    pub(crate) fn find(&self, name: &str) -> Option<&Setting> {
        self.0.iter().find(|setting| setting.name == name)
    }

    /// The session timeout of every client that has none of its own.
    pub(crate) fn session_timeout(&self) -> Millis {
        self.find(SESSION_MS).map_or(SESSION_TIMEOUT, |setting| Millis(setting.value))
    }

    /// What is wrong with these numbers together, each of which is in its range, and what was
    /// expected.
    pub(crate) fn check(&self) -> Result<(), String> {
        let value = |name| self.find(name).map_or(0, |setting| setting.value);
        let (servers, leader, quorum) = (value("servers"), value(LEADER), value(QUORUM));
        let majority = majority(servers as usize) as u64;
        if leader > servers {
            return Err(format!("`leader` is s{leader}, and there are {servers} servers"));
        }
        if (1..majority).contains(&leader) {
            return Err(format!(
                "s{leader} cannot be made to lead first: a majority of {servers} has a server with a higher \
                 number, which an election prefers; expected `leader` to be {majority} to {servers}"
            ));
        }
        if quorum > servers {
            return Err(format!("`quorum` is {quorum}, and there are {servers} servers"));
        }
        Ok(())
    }

    /// The ensemble, if the scenario has one.
    pub(crate) fn find_ensemble(&self) -> Option<Ensemble> {
        let servers = self.find("servers")?;
        let observers = self.find("observers").map_or(0, |setting| setting.value);
        Some(ensemble_of(servers.value, observers))
    }

    /// The ensemble of a scenario that has one.
    pub(crate) fn ensemble(&self) -> Ensemble {
        self.find_ensemble().expect("only scenarios on an ensemble ask for it")
    }

    fn systems(&self) -> Vec<Arc<dyn System>> {
        let ensemble = self.find_ensemble().into_iter();
        ensemble.map(|ensemble| Arc::new(Service(ensemble)) as Arc<dyn System>).collect()
    }

    /// The machines of a scenario, with latencies as they are set.
    pub(crate) fn topology(&self, nodes: Vec<NodeSpec>) -> Topology {
        self.topology_at(nodes, NetworkSpeed::default(), DiskSpeed::default())
    }

    /// The same with these speeds, unless latencies are plain.
    pub(crate) fn topology_at(
        &self,
        nodes: Vec<NodeSpec>,
        network: NetworkSpeed,
        disk: DiskSpeed,
    ) -> Topology {
        let systems = self.systems();
        if self.get("plain_latencies") == 0 {
            return Topology { nodes, systems, network, disk };
        }
        Topology { nodes, systems, network: NetworkSpeed::PLAIN, disk: DiskSpeed::PLAIN }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(settings: &[(&str, u64)]) -> Result<(), String> {
        let scale = Scale::of_lesson(5).and(QUORUM, "", 0, 0..=SERVERS_MAX);
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), *value));
        scale.with(&Settings(settings.collect())).check()
    }

    #[test]
    fn only_who_can_win_an_election_among_a_majority_can_be_made_to_lead() {
        for leader in [0, 3, 4, 5] {
            assert_eq!(check(&[("leader", leader)]), Ok(()), "{leader}");
        }
        let error = check(&[("leader", 2)]).expect_err("s3 to s5 are preferred");
        assert!(error.ends_with("expected `leader` to be 3 to 5"), "{error}");
        let error = check(&[("leader", 6)]).expect_err("there is none");
        assert_eq!(error, "`leader` is s6, and there are 5 servers");
        assert_eq!(check(&[("leader", 2), ("servers", 3)]), Ok(()));
        assert!(check(&[("leader", 2), ("servers", 4)]).is_err());
    }

    #[test]
    fn a_quorum_has_no_more_servers_than_there_are() {
        assert_eq!(check(&[("quorum", 3), ("servers", 9)]), Ok(()));
        let error = check(&[("quorum", 6)]).expect_err("too many");
        assert_eq!(error, "`quorum` is 6, and there are 5 servers");
    }
}
