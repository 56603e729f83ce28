//! The ensemble alone: clients that use every operation there is, at random, while it storms.
//!
//! What `mail-claims` asks of the service is what one well-behaved application asks. Here clients
//! read behind a `sync`, write conditionally, watch, take part in an election, hold ephemerals,
//! give their sessions up, guard znodes, and leave some to be swept; so linearizability, session
//! order, watches and ephemerals are judged on a dense history.
//!
//! Two more clients only look, each time behind a `sync`: whoever also writes learns by its own
//! failing writes that its server leads nobody any more, and asks another one.
//!
//! Half of the storms lack a habit of the others, such as the `sync`: see `habits`.
//!
//! When the storm is over, all clients meet at a barrier, every candidate reigns once more, and an
//! auditor, `a1`, reads every znode through every server: what was lost, or is stuck, shows at the
//! latest then.
//! Start at [`EnsembleStorm`]; what clients do is in `tourist`, `seldom` and `guards`, the end in
//! `auditor` and `served_again`.

mod auditor;
mod goals;
mod guards;
mod habits;
mod seldom;
mod served_again;
#[cfg(test)]
mod tests;
mod tourist;

use self::auditor::Auditor;
use self::habits::Habits;
use self::served_again::ServedAgain;
use self::tourist::Tourist;
use crate::nodes::{self, CLIENT_PORT, boot_server, client_config, ensemble_of, in_order};
use crate::scale::Scale;
use crate::wording;
use mailstorm_checkers::{Goal, Suite, Sweeps, ensemble};
use mailstorm_platform::Address;
use mailstorm_record::sentence::quantity;
use mailstorm_record::{Setting, Settings};
use mailstorm_shared::{Ensemble, Millis};
use mailstorm_world::{
    Interpreter, NodeSpec, Outline, Process, Progress, Scenario, Subject, Topology,
};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Clients that do this and that.
const CLIENTS: u64 = 5;
const CLIENTS_MAX: u64 = 9;
const OBSERVERS_MAX: u64 = 3;
/// The first so many of them also stand for election.
const CANDIDATES: u64 = 3;
/// Clients that only look.
const WITNESSES: u64 = 2;
const WITNESSES_MAX: u64 = 9;
/// What their nodes are named by.
const WITNESS: char = 'o';
/// Registers that clients read and write.
const REGISTERS: u64 = 5;
const REGISTERS_MAX: u64 = 100;

/// Small enough that a storm sees containers, and znodes whose time is over, swept by several
/// leaders. The leader's wall clock says whose time is over: here a clock that jumps does harm, if
/// any can.
const SWEEP_EVERY: Millis = Millis(1_500);

/// The scenarios `ensemble` and `ensemble-3`.
pub struct EnsembleStorm {
    name: &'static str,
    about: &'static str,
    scale: Scale,
    ensemble: Ensemble,
}

impl EnsembleStorm {
    fn new(name: &'static str, about: &'static str, servers: u64, observers: u64) -> Self {
        let scale = Scale::of_ensemble(servers)
            .and("observers", "servers that only observe", observers, 0..=OBSERVERS_MAX)
            .and("clients", "clients that do this and that", CLIENTS, 1..=CLIENTS_MAX)
            .and("witnesses", "clients that only look", WITNESSES, 0..=WITNESSES_MAX)
            .and("registers", "znodes that they read and write", REGISTERS, 1..=REGISTERS_MAX);
        Self { name, about, scale, ensemble: ensemble_of(servers, observers) }
    }

    /// Five voters and an observer.
    pub fn five_and_an_observer() -> Self {
        let about = "five servers and an observer under clients that use every operation";
        Self::new("ensemble", about, 5, 1)
    }

    /// Three voters.
    pub fn three() -> Self {
        let about = "the same with three servers, where one failure leaves none to spare";
        Self::new("ensemble-3", about, 3, 0)
    }
}

impl Scenario for EnsembleStorm {
    fn name(&self) -> &str {
        self.name
    }

    fn about(&self) -> &str {
        self.about
    }

    fn outline(&self) -> Outline {
        let servers = quantity(self.scale.get("servers"), "server");
        let observers = match self.scale.get("observers") {
            0 => String::new(),
            observers => format!(", {}", quantity(observers, "observer")),
        };
        let clients = quantity(self.scale.get("clients"), "client");
        Outline {
            cast: format!("{servers}{observers} and {clients}"),
            promise: "no acknowledged write was lost, and no brain was split".to_owned(),
        }
    }

    fn topology(&self) -> Topology {
        let servers = nodes::servers(&self.ensemble);
        let clients = 1..=self.scale.get("clients");
        let clients = clients.map(|number| NodeSpec::client(&format!("c{number}")));
        let witnesses = 1..=self.scale.get("witnesses");
        let witnesses = witnesses
            .map(|number| NodeSpec::client(&format!("{WITNESS}{number}")).called("witness"));
        let auditor =
            NodeSpec::client(auditor::NAME).called("auditor").subject_to(Subject::NOTHING);
        let nodes = servers.chain(clients).chain(witnesses).chain([auditor]);
        self.scale.topology(nodes.collect())
    }

    fn boot(&self, process: Process) -> Pin<Box<dyn Future<Output = ()>>> {
        if process.node.0.starts_with('s') {
            let ensemble = self.ensemble.clone();
            let boot = move |process| boot_server(process, &ensemble, SWEEP_EVERY);
            return in_order(&self.scale, process, boot);
        }
        let config = client_config(&self.scale, &self.ensemble, &process);
        if &*process.node.0 == auditor::NAME {
            let address = |id| Address::from(&*format!("{id}:{CLIENT_PORT}"));
            let servers = self.ensemble.servers().map(|id| (id.to_string(), address(id)));
            let (platform, servers) = (process.platform, servers.collect());
            return Box::pin(Auditor { platform, config, servers }.run());
        }
        let tourist = Tourist {
            config,
            name: process.node.0.clone(),
            platform: process.platform,
            clients: self.scale.get("clients") as usize,
            registers: self.scale.get("registers"),
            habits: Habits::of(process.seed),
            seed: process.seed,
        };
        Box::pin(tourist.run())
    }

    fn checkers(&self, _seed: u64) -> Suite {
        nodes::ensemble_checkers(&self.ensemble, self.limits())
            .with(Sweeps::new(&self.ensemble, SWEEP_EVERY))
    }

    fn goals(&self) -> Vec<Goal> {
        let mut goals = ensemble::goals::all(&self.ensemble);
        goals.extend(goals::all());
        goals
    }

    fn cast(&self, seed: u64) -> Option<String> {
        Habits::of(seed).told().map(str::to_owned)
    }

    fn progress(&self, _seed: u64) -> Box<dyn Progress> {
        let clients = self.scale.get("clients");
        Box::new(ServedAgain::new(
            self.ensemble.clone(),
            clients as usize,
            self.scale.get("witnesses") as usize,
            clients.min(CANDIDATES) as usize,
        ))
    }

    fn settings(&self) -> Vec<Setting> {
        self.scale.all().to_vec()
    }

    fn check_settings(&self) -> Result<(), String> {
        self.scale.check()
    }

    fn with(&self, settings: &Settings) -> Option<Arc<dyn Scenario>> {
        let scale = self.scale.with(settings);
        let ensemble = ensemble_of(scale.get("servers"), scale.get("observers"));
        Some(Arc::new(Self { scale, ensemble, ..*self }))
    }

    fn interpreter(&self, listener: &str) -> Option<Box<dyn Interpreter>> {
        wording::interpreter(listener)
    }
}
