//! The ensemble alone: clients that do everything an application can do, at random, while it storms.
//!
//! What `mail-claims` asks of the service is what one well-behaved application asks. Here clients read
//! behind a `sync`, write conditionally, watch, take part in an election, hold ephemerals, give their
//! sessions up; so linearizability, session order, watches and ephemerals are judged on a dense history.
//!
//! Two more clients only look, each time behind a `sync`: whoever also writes learns by its own failing
//! writes that its server leads nobody any more, and asks another one.
//! When the storm is over, every client reads every register behind a `sync`, every candidate reigns once
//! more, and all meet at a barrier: what was lost, or is stuck, shows at the latest then.

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
use std::collections::{BTreeMap, BTreeSet, VecDeque};
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
/// Between two operations of a client, in virtual milliseconds.
const PAUSE_MS: (u64, u64) = (20, 400);
/// Between two looks of a witness, in virtual milliseconds.
const LOOK_MS: (u64, u64) = (20, 250);
/// How long a master stays, and how long once the storm is over, so that every candidate has its turn.
const REIGN_MS: (u64, u64) = (1_000, 6_000);
const LAST_REIGN_MS: (u64, u64) = (100, 500);
/// Between two tries of what must succeed in the end, in virtual milliseconds.
const TRY_AGAIN_MS: u64 = 100;
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

    fn topology(&self) -> Topology {
        let voters = self.ensemble.voters().iter().map(|id| NodeSpec::server(*id));
        let observers = self.ensemble.observers().iter().map(|id| NodeSpec::observer(*id));
        let clients = 1..=self.scale.get("clients");
        let clients = clients.map(|number| NodeSpec::client(&format!("c{number}")));
        let witnesses = 1..=self.scale.get("witnesses");
        let witnesses = witnesses.map(|number| NodeSpec::client(&format!("{WITNESS}{number}")));
        let nodes = voters.chain(observers).chain(clients).chain(witnesses);
        self.scale.topology(nodes.collect())
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
            clients: (self.scale.get("clients") + self.scale.get("witnesses")) as usize,
            candidates: self.scale.get("clients").min(CANDIDATES) as usize,
            healed: false,
            done: BTreeMap::new(),
            read_back: BTreeSet::new(),
            reigned: BTreeSet::new(),
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

    fn ends_torn(&self, file: &str) -> bool {
        nodes::ends_torn(file)
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
        let mut has_read_back = false;
        loop {
            let client = Client::connect(self.platform.clone(), self.config.clone());
            // A call that failed for good says that this session is over: the next begins.
            let _ = if self.name.starts_with(WITNESS) {
                self.witness(&client, &mut has_read_back).await
            } else {
                self.wander(&client, &mut has_read_back).await
            };
            client.close().await;
        }
    }

    fn between(&self, (low, high): (u64, u64)) -> u64 {
        low + self.platform.entropy() % (high - low)
    }

    /// A few dozen operations, then the session is given up.
    async fn wander(
        &self,
        client: &Client<SimPlatform>,
        has_read_back: &mut bool,
    ) -> Result<(), CallError> {
        for path in ["/r", "/e", "/m", "/gate", "/last-gate", "/masters"] {
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
            if self.platform.storm_is_over() && !*has_read_back {
                let gate = DoubleBarrier::new(client, "/last-gate", &self.name, self.clients);
                // Nobody leaves it: whoever has lost a session on the way finds it open.
                self.in_the_end(|| gate.enter()).await?;
                self.read_back(client).await?;
                *has_read_back = true;
            }
        }
        Ok(())
    }

    /// Looks at registers for a while, each time behind a `sync`, then gives the session up.
    async fn witness(
        &self,
        client: &Client<SimPlatform>,
        has_read_back: &mut bool,
    ) -> Result<(), CallError> {
        for _ in 0..self.between((80, 320)) {
            self.platform.sleep(Millis(self.between(LOOK_MS))).await;
            let number = self.platform.entropy() % self.registers;
            settled(self.read_synced(client, number).await)?;
            if self.platform.storm_is_over() && !*has_read_back {
                self.read_back(client).await?;
                *has_read_back = true;
            }
        }
        Ok(())
    }

    async fn read_synced(
        &self,
        client: &Client<SimPlatform>,
        number: u64,
    ) -> Result<(), CallError> {
        let register = format!("/r/k{number}");
        client.sync(register.clone()).await?;
        client.get_data(register).await.map(drop)
    }

    /// Reads every register as it is now, and tells that it has.
    async fn read_back(&self, client: &Client<SimPlatform>) -> Result<(), CallError> {
        for number in 0..self.registers {
            self.in_the_end(|| self.read_synced(client, number)).await?;
        }
        self.platform.observe(Observation::Milestone { name: READ_BACK.into() });
        Ok(())
    }

    /// Tries until there is an answer, or the session is over. If there never is one, the run's own
    /// bound ends it.
    async fn in_the_end<F: Future<Output = Result<(), CallError>>>(
        &self,
        mut attempt: impl FnMut() -> F,
    ) -> Result<(), CallError> {
        loop {
            match attempt().await {
                Ok(()) | Err(CallError::Refused(_)) => return Ok(()),
                Err(error) if error.is_final() => return Err(error),
                Err(_) => self.platform.sleep(Millis(TRY_AGAIN_MS)).await,
            }
        }
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

    /// A multi that is done whole or not at all; half of them fail. Right behind it another znode is
    /// created under the same parent: it is numbered by what is really there.
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
        let several = client.multi(writes);
        let mode = CreateMode::PersistentSequential;
        let one = client.create("/m/c-", value, mode, open_acl());
        let (several, one) = (several.await, one.await);
        one?;
        match several {
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
            let span = if self.platform.storm_is_over() { LAST_REIGN_MS } else { REIGN_MS };
            self.platform.sleep(Millis(self.between(span))).await;
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

/// What a client tells when it has read every register after the storm.
const READ_BACK: &str = "registers_read_back";

/// Waits until, after all faults have ended, every client has got something done and has read every
/// register, every candidate has reigned, and every server serves.
struct ServedAgain {
    service: Service,
    clients: usize,
    candidates: usize,
    healed: bool,
    done: BTreeMap<NodeName, u64>,
    read_back: BTreeSet<NodeName>,
    reigned: BTreeSet<Arc<str>>,
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
            Happening::Observed { observation: Observation::Milestone { name } }
                if &**name == READ_BACK =>
            {
                self.read_back.extend(event.node.clone());
            }
            Happening::Observed { observation: Observation::MasterBelieves { candidate, .. } }
                if self.healed =>
            {
                self.reigned.insert(candidate.clone());
            }
            _ => {}
        }
    }

    fn done(&self) -> bool {
        let served = self.done.values().filter(|done| **done >= DONE_AFTER_HEALING).count();
        served == self.clients
            && self.read_back.len() == self.clients
            && self.reigned.len() == self.candidates
            && self.service.is_whole()
    }

    fn waits_for(&self) -> String {
        let served: Vec<_> = self.done.iter().map(|(node, n)| format!("{node} {n}")).collect();
        let read_back: Vec<_> = self.read_back.iter().map(|node| &*node.0).collect();
        let reigned: Vec<_> = self.reigned.iter().map(|candidate| &**candidate).collect();
        format!(
            "every client gets {DONE_AFTER_HEALING} operations done (so far {}) and reads every \
             register (so far {}), every candidate reigns (so far {}); {}",
            served.join(", "),
            read_back.join(", "),
            reigned.join(", "),
            self.service.told()
        )
    }

    fn figures(&self) -> BTreeMap<String, u64> {
        [("operations_done".to_owned(), self.operations)].into()
    }
}
