//! The supervisor: notices that workers died, and has others started.
//!
//! Any number may run; an election decides who acts. Whoever leads watches the workers' ephemerals.
//! One that acts though it no longer leads can only start one worker too many, which does no harm.

use super::{SUPERVISORS, WORKERS, prepare};
use mailstorm_client::recipes::election::{Election, Reign};
use mailstorm_client::{CallError, Client, ClientConfig, SessionState};
use mailstorm_platform::Platform;
use mailstorm_shared::Millis;
use mailstorm_shared::facts::ApplicationFact;
use std::sync::Arc;

/// The pause between two checks for missing workers: a new one needs time to register.
const PATIENCE: Millis = Millis(2_000);

/// What can start a worker: an orchestrator, or the laboratory.
pub trait Launcher: 'static {
    /// Has one more worker started, if there is a machine for it. Returns whether one was.
    fn start_worker(&self) -> bool;
}

/// A supervisor of the pipeline `claims`.
pub struct Supervisor<P: Platform, L: Launcher> {
    /// Its machine.
    pub platform: P,
    /// Its name, unique among the supervisors.
    pub name: Arc<str>,
    /// Its session with the coordination service.
    pub config: ClientConfig,
    /// How many workers there should be.
    pub workers: usize,
    /// What starts them.
    pub launcher: L,
}

impl<P: Platform, L: Launcher> Supervisor<P, L> {
    /// Supervises for ever: one session after another, each for as long as it lasts.
    pub async fn run(self) {
        loop {
            let client = Client::connect(self.platform.clone(), self.config.clone());
            // The call that failed says only that this session is over or of no use.
            let _ = self.supervise(&client).await;
            client.close().await;
            self.platform.sleep(PATIENCE).await;
        }
    }

    async fn supervise(&self, client: &Client<P>) -> Result<(), CallError> {
        prepare(client).await?;
        let election = Election::new(client, SUPERVISORS, self.name.clone());
        loop {
            let reign = election.lead().await?;
            loop {
                if reign.leads() {
                    self.look(client, &reign).await?;
                    continue;
                }
                self.platform.sleep(PATIENCE).await;
                // A connection that came back leaves the reign as it was. A supervisor that is
                // connected and does not lead has lost its place and must stand again.
                if !reign.leads() && client.state() == SessionState::Connected {
                    break;
                }
                if client.state().is_over() {
                    return Ok(());
                }
            }
        }
    }

    /// Checks once; waits for a change if no worker is missing.
    async fn look(&self, client: &Client<P>, reign: &Reign<P>) -> Result<(), CallError> {
        let (alive, _, changed) = client.children_and_watch(WORKERS).await?;
        if alive.len() >= self.workers {
            // A worker came or went, or the session is over: the next read shows which.
            let _ = changed.await;
            return Ok(());
        }
        for _ in alive.len()..self.workers {
            if reign.leads() && self.launcher.start_worker() {
                self.platform
                    .observe(ApplicationFact::Milestone { name: "worker_replaced".into() });
            }
        }
        self.platform.sleep(PATIENCE).await;
        Ok(())
    }
}
