//! The ensemble alone: clients that do everything an application can do, at random, while it storms.
//!
//! What `mail-claims` asks of the service is what one well-behaved application asks. Here clients read
//! behind a `sync`, write conditionally, watch, take part in an election, hold ephemerals, give their
//! sessions up; so linearizability, session order, watches and ephemerals are judged on a dense history.

use crate::nodes::{self, boot_server, client_config, ensemble_of};
use crate::scale::Scale;
use bytes::Bytes;
use mailstorm_checkers::convergence::Service;
use mailstorm_checkers::reached;
use mailstorm_checkers::{Goal, Suite};
use mailstorm_client::recipes::barrier::DoubleBarrier;
use mailstorm_client::recipes::election::Election;
use mailstorm_client::{CallError, Client, Watch, open_acl};
use mailstorm_host::Platform;
use mailstorm_record::{Event, Happening, NodeName, Setting, Settings};
use mailstorm_shared::observation::{Observation, Outcome};
use mailstorm_shared::{Ensemble, Millis};
use mailstorm_wire::client::{CreateMode, Write};
use mailstorm_world::{NodeSpec, Process, Progress, Scenario, SimPlatform, Topology};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Clients that do this and that.
const CLIENTS: u64 = 5;
const CLIENTS_MAX: u64 = 9;
const OBSERVERS_MAX: u64 = 3;
/// The first so many of them also stand for election.
const CANDIDATES: u64 = 3;
/// Registers that clients read and write.
const REGISTERS: u64 = 5;
const REGISTERS_MAX: u64 = 100;
/// Between two operations of a client, in virtual milliseconds.
const PAUSE_MS: (u64, u64) = (20, 400);
/// How long a master stays.
const REIGN_MS: (u64, u64) = (1_000, 6_000);
/// Watches a client keeps; the oldest is dropped for a new one.
const WATCHES_KEPT: usize = 12;
/// What each client must get done after everything has healed.
const DONE_AFTER_HEALING: u64 = 8;

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

    fn topology(&self) -> Topology {
        let voters = self.ensemble.voters().iter().map(|id| NodeSpec::server(*id));
        let observers = self.ensemble.observers().iter().map(|id| NodeSpec::observer(*id));
        let clients = 1..=self.scale.get("clients");
        let clients = clients.map(|number| NodeSpec::client(&format!("c{number}")));
        self.scale.topology(voters.chain(observers).chain(clients).collect())
    }

    fn boot(&self, process: Process) -> Pin<Box<dyn Future<Output = ()>>> {
        if process.node.0.starts_with('s') {
            return boot_server(process, &self.ensemble);
        }
        let tourist = Tourist {
            config: client_config(&self.ensemble, &process),
            name: process.node.0.clone(),
            platform: process.platform,
            clients: self.scale.get("clients") as usize,
            registers: self.scale.get("registers"),
        };
        Box::pin(tourist.run())
    }

    fn checkers(&self, _seed: u64) -> Suite {
        nodes::ensemble_checkers(&self.ensemble, self.limits())
    }

    fn goals(&self) -> Vec<Goal> {
        reached::ensemble::all(&self.ensemble)
    }

    fn progress(&self, _seed: u64) -> Box<dyn Progress> {
        Box::new(ServedAgain {
            service: Service::new(self.ensemble.clone()),
            clients: self.scale.get("clients") as usize,
            healed: false,
            done: BTreeMap::new(),
            operations: 0,
        })
    }

    fn settings(&self) -> Vec<Setting> {
        self.scale.all().to_vec()
    }

    fn with(&self, settings: &Settings) -> Option<Arc<dyn Scenario>> {
        let scale = self.scale.with(settings);
        let ensemble = ensemble_of(scale.get("servers"), scale.get("observers"));
        Some(Arc::new(Self { scale, ensemble, ..*self }))
    }

    fn label(&self, listener: &str, caller: bool, bytes: &[u8]) -> Option<String> {
        nodes::label(listener, caller, bytes)
    }
}

/// A client that does this and that, in one session after another.
#[derive(Clone)]
struct Tourist {
    platform: SimPlatform,
    name: Arc<str>,
    config: mailstorm_client::ClientConfig,
    /// How many there are of its kind.
    clients: usize,
    registers: u64,
}

impl Tourist {
    async fn run(self) {
        if self.name.trim_start_matches('c').parse().is_ok_and(|n: u64| n <= CANDIDATES) {
            let candidate = self.clone();
            self.platform.spawn(candidate.stand_for_election());
        }
        loop {
            let client = Client::connect(self.platform.clone(), self.config.clone());
            // A call that failed for good says that this session is over: the next begins.
            let _ = self.wander(&client).await;
            client.close().await;
        }
    }

    fn between(&self, (low, high): (u64, u64)) -> u64 {
        low + self.platform.entropy() % (high - low)
    }

    /// A few dozen operations, then the session is given up.
    async fn wander(&self, client: &Client<SimPlatform>) -> Result<(), CallError> {
        for path in ["/r", "/e", "/m", "/gate", "/masters"] {
            client.ensure_path(path).await?;
        }
        // Everybody begins together: the first writes meet each other.
        let gate = DoubleBarrier::new(client, "/gate", &self.name, self.clients);
        settled(gate.enter().await)?;
        let mut watches = VecDeque::new();
        for _ in 0..self.between((40, 160)) {
            self.platform.sleep(Millis(self.between(PAUSE_MS))).await;
            settled(self.something(client, &mut watches).await)?;
            while watches.len() > WATCHES_KEPT {
                watches.pop_front();
            }
        }
        Ok(())
    }

    async fn something(
        &self,
        client: &Client<SimPlatform>,
        watches: &mut VecDeque<Watch>,
    ) -> Result<(), CallError> {
        let register = format!("/r/k{}", self.platform.entropy() % self.registers);
        let value = Bytes::from(format!("{}-{}", self.name, self.platform.entropy() % 1_000_000));
        match self.platform.entropy() % 100 {
            0..25 => {
                client.sync(register.clone()).await?;
                client.get_data(register).await.map(drop)
            }
            25..40 => client.set_data(register, value, -1).await.map(drop),
            40..50 => {
                let (_, stat) = client.get_data(register.clone()).await?;
                client.set_data(register, value, stat.version).await.map(drop)
            }
            50..60 => {
                client.create(register, value, CreateMode::Persistent, open_acl()).await.map(drop)
            }
            60..64 => client.delete(register, -1).await,
            64..74 => {
                let (_, _, watch) = client.get_data_and_watch(register).await?;
                watches.push_back(watch);
                Ok(())
            }
            74..79 => {
                let (_, watch) = client.exists_and_watch(register).await?;
                watches.push_back(watch);
                Ok(())
            }
            79..83 => {
                let (_, _, watch) = client.children_and_watch("/r").await?;
                watches.push_back(watch);
                Ok(())
            }
            83..88 => {
                let mode = CreateMode::EphemeralSequential;
                let (path, _) = client.create("/e/n-", value, mode, open_acl()).await?;
                if self.platform.entropy().is_multiple_of(2) {
                    client.delete(path, -1).await?;
                }
                Ok(())
            }
            88..93 => self.several_at_once(client, value).await,
            _ => {
                // Pipelined: all under way before the first answer.
                let first = client.set_data(register.clone(), value, -1);
                let second = client.get_data(register.clone());
                let third = client.exists(register);
                let (first, second, third) = (first.await, second.await, third.await);
                first.map(drop).and(second.map(drop)).and(third.map(drop))
            }
        }
    }

    /// A multi that is done whole or not at all; half of them fail.
    async fn several_at_once(
        &self,
        client: &Client<SimPlatform>,
        value: Bytes,
    ) -> Result<(), CallError> {
        let create = |path: &str| Write::Create {
            path: path.into(),
            data: Some(value.clone()),
            acl: open_acl(),
            mode: CreateMode::PersistentSequential,
            ttl: 0,
            stat: false,
        };
        let version = if self.platform.entropy().is_multiple_of(2) { -1 } else { 1_000_000 };
        let writes = vec![
            create("/m/a-"),
            Write::Check { path: "/m".into(), version },
            create("/m/b-"),
            Write::SetData { path: "/m".into(), data: Some(value.clone()), version: -1 },
        ];
        match client.multi(writes).await {
            Ok(_) | Err(mailstorm_client::MultiError::Step { .. }) => Ok(()),
            Err(mailstorm_client::MultiError::Call(error)) => Err(error),
        }
    }

    /// Becomes master now and then, with a session of its own.
    async fn stand_for_election(self) {
        let mut config = self.config.clone();
        config.client_number += nodes::SECOND_SESSION;
        loop {
            let client = Client::connect(self.platform.clone(), config.clone());
            // As above: the next session tries again.
            let _ = self.reign(&client).await;
            client.close().await;
        }
    }

    async fn reign(&self, client: &Client<SimPlatform>) -> Result<(), CallError> {
        client.ensure_path("/masters").await?;
        let election = Election::new(client, "/masters", self.name.clone());
        loop {
            let reign = election.lead().await?;
            self.platform.sleep(Millis(self.between(REIGN_MS))).await;
            reign.resign().await?;
        }
    }
}

/// What a tourist makes of a call's end: only the end of the session ends the session.
fn settled(result: Result<(), CallError>) -> Result<(), CallError> {
    match result {
        Err(error) if error.is_final() => Err(error),
        _ => Ok(()),
    }
}

/// Waits until, after all faults have ended, every client has got something done and every server serves.
struct ServedAgain {
    service: Service,
    clients: usize,
    healed: bool,
    done: BTreeMap<NodeName, u64>,
    operations: u64,
}

impl Progress for ServedAgain {
    fn observe(&mut self, event: &Event) {
        self.service.observe(event);
        match &event.happening {
            Happening::Phase { name } if &**name == "heal" => self.healed = true,
            Happening::Observed {
                observation: Observation::Returned { outcome: Outcome::Ok { .. }, .. },
            } => {
                self.operations += 1;
                if self.healed
                    && let Some(node) = &event.node
                {
                    *self.done.entry(node.clone()).or_default() += 1;
                }
            }
            _ => {}
        }
    }

    fn done(&self) -> bool {
        self.done.values().filter(|done| **done >= DONE_AFTER_HEALING).count() == self.clients
            && self.service.is_whole()
    }

    fn waits_for(&self) -> String {
        let served: Vec<_> = self.done.iter().map(|(node, n)| format!("{node} {n}")).collect();
        format!(
            "every client gets {DONE_AFTER_HEALING} operations done; so far: {}; {}",
            served.join(", "),
            self.service.told()
        )
    }

    fn figures(&self) -> BTreeMap<String, u64> {
        [("operations_done".to_owned(), self.operations)].into()
    }
}
