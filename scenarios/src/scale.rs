//! The numbers of a scenario that a run may change: how many machines of each kind, how much work.
//!
//! Owns: the settings that several scenarios have. Leaves: those that one scenario has alone to it.
//! Holds: with the defaults, a scenario is what it is without any settings.

use mailstorm_record::{Setting, Settings};
use mailstorm_world::scenario::{DiskSpeed, NetworkSpeed};
use mailstorm_world::{NodeSpec, Topology};
use std::ops::RangeInclusive;

/// The most servers that vote; client numbers and plans are made for one digit.
const SERVERS_MAX: u64 = 9;

/// A scenario's settings, with what they are now.
#[derive(Clone)]
pub(crate) struct Scale(Vec<Setting>);

impl Scale {
    /// The settings of every scenario on an ensemble of so many voters.
    pub(crate) fn of_ensemble(servers: u64) -> Self {
        let mut scale = Self::of_programs();
        scale.0.insert(0, Setting::count("servers", "servers that vote", servers, 1..=SERVERS_MAX));
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
        let setting = self.0.iter().find(|setting| setting.name == name);
        setting.expect("a scenario reads only the settings it has").value
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
        if self.get("plain_latencies") == 0 {
            return Topology { nodes, network, disk };
        }
        Topology { nodes, network: NetworkSpeed::PLAIN, disk: DiskSpeed::PLAIN }
    }
}
