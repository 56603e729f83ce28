//! A client that does this and that, at random, in one session after another.
//!
//! Owns: what is done how often, and the meeting at the end. Leaves: what few ask for to `seldom`;
//! whether the answers are right to the checkers.
//! Start at [`Tourist::run`].

use super::guards::{GUARDED, Guards};
use super::habits::Habits;
use super::seldom::FOLDERS;
use super::{CANDIDATES, WITNESS, nodes};
use bytes::Bytes;
use mailstorm_client::recipes::barrier::DoubleBarrier;
use mailstorm_client::recipes::election::Election;
use mailstorm_client::{CallError, Client, ClientConfig, MultiError, Watch, WatchStream, open_acl};
use mailstorm_platform::Platform;
use mailstorm_shared::Millis;
use mailstorm_shared::facts::ApplicationFact;
use mailstorm_wire::client::{CreateMode, Write};
use mailstorm_world::SimPlatform;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

/// Where all meet when the storm is over. The auditor lays it.
pub(super) const LAST_GATE: &str = "/last-gate";
/// What a client tells when it has met all others there.
pub(super) const ALL_MET: &str = "all_met";
/// How long a master stays, and how long once the storm is over, so that every candidate has its
/// turn.
const REIGN_MS: (u64, u64) = (1_000, 6_000);
const LAST_REIGN_MS: (u64, u64) = (100, 500);
/// Between two tries of what must succeed in the end.
const TRY_AGAIN: Millis = Millis(100);
/// How long a client waits for the others before it begins.
const GATE_PATIENCE: Millis = Millis(3_000);
/// Watches a client keeps; the oldest is dropped for a new one.
const WATCHES_KEPT: usize = 12;
/// The same of lasting ones.
const LASTING_KEPT: usize = 3;

/// A client that does this and that, in one session after another.
#[derive(Clone)]
pub(super) struct Tourist {
    pub(super) platform: SimPlatform,
    pub(super) name: Arc<str>,
    pub(super) config: ClientConfig,
    /// How many there are of its kind.
    pub(super) clients: usize,
    pub(super) registers: u64,
    /// What all clients of this storm do, or never do.
    pub(super) habits: Habits,
    /// Of the run.
    pub(super) seed: u64,
}

/// The watches of a session that its client still waits for.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) watches: VecDeque<Watch>,
    /// With the place that each of them is on.
    pub(super) lasting: VecDeque<(String, WatchStream)>,
}

impl Kept {
    fn drop_oldest(&mut self) {
        let watches = self.watches.len().saturating_sub(WATCHES_KEPT);
        self.watches.drain(..watches);
        let lasting = self.lasting.len().saturating_sub(LASTING_KEPT);
        self.lasting.drain(..lasting);
    }
}

impl Tourist {
    pub(super) async fn run(self) {
        if self.name.trim_start_matches('c').parse().is_ok_and(|n: u64| n <= CANDIDATES) {
            let candidate = self.clone();
            self.platform.spawn(candidate.stand_for_election());
        }
        let mut has_met = false;
        let mut guards = Guards::of(self.seed, self.config.client_number);
        let (is_first, only_looks) = (*self.name == *"c1", self.name.starts_with(WITNESS));
        loop {
            self.come(is_first, only_looks).await;
            let client = Client::connect(self.platform.clone(), self.config.clone());
            // A call that failed for good says that this session is over: the next begins.
            let _ = if only_looks {
                self.witness(&client).await
            } else {
                self.wander(&client, &mut guards, &mut has_met).await
            };
            client.close().await;
        }
    }

    pub(super) fn between(&self, (low, high): (u64, u64)) -> u64 {
        low + self.platform.entropy() % (high - low)
    }

    /// What comes of it, unless it takes longer.
    async fn within<T>(&self, patience: Millis, what: impl Future<Output = T>) -> Option<T> {
        let (mut what, mut late) = (pin!(what), pin!(self.platform.sleep(patience)));
        poll_fn(|context| match what.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => late.as_mut().poll(context).map(|()| None),
        })
        .await
    }

    /// A few dozen operations, then the session is given up.
    async fn wander(
        &self,
        client: &Client<SimPlatform>,
        guards: &mut Guards,
        has_met: &mut bool,
    ) -> Result<(), CallError> {
        for path in ["/r", "/e", "/m", "/gate", "/masters", GUARDED].into_iter().chain(FOLDERS) {
            client.ensure_path(path).await?;
        }
        settled(guards.prove(self, client).await)?;
        // Everybody begins together: the first writes meet each other. Who is late, or comes back
        // while its old session still stands there, is not waited for: others may be at the last
        // gate already.
        let gate = DoubleBarrier::new(client, "/gate", &self.name, self.clients);
        if let Some(entered) = self.within(GATE_PATIENCE, gate.enter()).await {
            settled(entered)?;
        }
        let (mut kept, mut until_rest) = (Kept::default(), 0);
        for _ in 0..self.between((40, 160)) {
            self.rest(&mut until_rest).await;
            settled(if guards.are_next() {
                guards.something(self, client).await
            } else {
                self.something(client, &mut kept).await
            })?;
            kept.drop_oldest();
            if self.platform.storm_is_over() && !*has_met {
                self.meet_at_last_gate(client).await?;
                *has_met = true;
            }
        }
        Ok(())
    }

    /// Looks at registers for a while, each time behind a `sync`, then gives the session up.
    async fn witness(&self, client: &Client<SimPlatform>) -> Result<(), CallError> {
        for _ in 0..self.between((80, 320)) {
            self.rest_from_looking().await;
            let register = format!("/r/k{}", self.platform.entropy() % self.registers);
            settled(self.read_synced(client, register).await)?;
        }
        Ok(())
    }

    /// Waits for all others, and tries until that succeeds or the session is over: a refusal says
    /// that the gate was lost, or that an ephemeral outlives its session. If it stays so, the run's
    /// own bound accuses it. Nobody leaves the gate: whoever has lost a session on the way finds it
    /// open.
    async fn meet_at_last_gate(&self, client: &Client<SimPlatform>) -> Result<(), CallError> {
        let gate = DoubleBarrier::new(client, LAST_GATE, &self.name, self.clients);
        loop {
            match gate.enter().await {
                Ok(()) => break,
                Err(error) if error.is_final() => return Err(error),
                Err(_) => self.platform.sleep(TRY_AGAIN).await,
            }
        }
        self.platform.observe(ApplicationFact::Milestone { name: ALL_MET.into() });
        Ok(())
    }

    async fn something(
        &self,
        client: &Client<SimPlatform>,
        kept: &mut Kept,
    ) -> Result<(), CallError> {
        let register = format!("/r/k{}", self.platform.entropy() % self.registers);
        let value = Bytes::from(format!("{}-{}", self.name, self.platform.entropy() % 1_000_000));
        match self.choose() {
            0..25 => self.read_synced(client, register).await,
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
                kept.watches.push_back(watch);
                Ok(())
            }
            74..79 => {
                let (_, watch) = client.exists_and_watch(register).await?;
                kept.watches.push_back(watch);
                Ok(())
            }
            79..83 => {
                // A register comes and goes, which ends a watch on its list of children, too.
                let is_of_register = self.platform.entropy().is_multiple_of(2);
                let parent = if is_of_register { register } else { "/r".to_owned() };
                let (_, _, watch) = client.children_and_watch(parent).await?;
                kept.watches.push_back(watch);
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
            93..113 => self.something_seldom(client, kept, value).await,
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

    /// What to do next, as a number that [`Tourist::something`] knows.
    fn choose(&self) -> u64 {
        loop {
            let choice = self.platform.entropy() % 120;
            let only_writes = matches!(choice, 25..40 | 50..64 | 83..93);
            if self.habits().allow(only_writes) {
                return choice;
            }
        }
    }

    async fn read_synced(
        &self,
        client: &Client<SimPlatform>,
        path: String,
    ) -> Result<(), CallError> {
        self.sync(client, &path).await?;
        client.get_data(path).await.map(drop)
    }

    /// Asks for a `sync`, unless nobody does.
    pub(super) async fn sync(
        &self,
        client: &Client<SimPlatform>,
        path: &str,
    ) -> Result<(), CallError> {
        if self.habits() == Habits::NoSync { Ok(()) } else { client.sync(path).await.map(drop) }
    }

    /// A multi that is done whole or not at all; half of them fail, at any of their steps, after
    /// some of them have written one znode twice. Right before it and right behind it other znodes
    /// are created under the same parent, all under way together: each is numbered by what is
    /// really there.
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
        let set = |value: &Bytes| Write::SetData {
            path: "/m".into(),
            data: Some(value.clone()),
            version: -1,
        };
        let again = Bytes::from([&value[..], b" again"].concat());
        let mut writes = vec![create("/m/a-"), set(&again), create("/m/b-"), set(&value)];
        let version = if self.platform.entropy().is_multiple_of(2) { -1 } else { 1_000_000 };
        let place = self.platform.entropy() as usize % (writes.len() + 1);
        writes.insert(place, Write::Check { path: "/m".into(), version });
        let mode = CreateMode::PersistentSequential;
        let before = client.create("/m/c-", value.clone(), mode, open_acl());
        let several = client.multi(writes);
        let behind = client.create("/m/c-", value, mode, open_acl());
        let (before, several, behind) = (before.await, several.await, behind.await);
        before.and(behind)?;
        match several {
            Ok(_) | Err(MultiError::Step { .. }) => Ok(()),
            Err(MultiError::Call(error)) => Err(error),
        }
    }

    /// Becomes master now and then, with a session of its own.
    async fn stand_for_election(self) {
        let mut config = self.config.clone();
        config.client_number += nodes::NEXT_SESSION;
        loop {
            self.come(false, false).await;
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
