//! Workers of whom one at a time may send, because it holds a lock of the ensemble.
//!
//! ```text
//!   /mail/lock/...    the line of those who want the lock
//!   /mail/sent        how many mails of the inbox have been sent
//! ```
//! The holder reads how far its predecessors came and goes on from there: judges a mail, writes its
//! answer, sends it, notes it as sent. A lock cannot make one act of the last two, nor of looking
//! at the lock and sending: where that matters, the sink has to help ([`Guard::Fence`]).

use super::mails::{Mails, Shelf};
use super::outbox::{Outbox, Refused, Sink};
use crate::lessons::stage::Program;
use crate::nodes::client_config;
use crate::scale::Scale;
use bytes::Bytes;
use mailstorm_client::recipes::lock::{Held, Lock};
use mailstorm_client::{CallError, Client, ClientConfig};
use mailstorm_platform::Platform;
use mailstorm_shared::{Defects, Instant, Millis};
use mailstorm_world::{NodeSpec, Process, SimPlatform};
use std::sync::Arc;

pub(crate) const SERVERS: u64 = 3;
/// The line for the lock.
pub(crate) const LOCK: &str = "/mail/lock";
const SENT: &str = "/mail/sent";
/// Everything that is sent under the lock: tokens are compared within it.
const RESOURCE: &str = "outbox";
const BACKOFF: Millis = Millis(250);

/// What keeps a former holder from sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// Nothing: it holds the lock, does it not?
    Nothing,
    /// It asks the ensemble whether it still holds the lock, before it sends.
    Check,
    /// The sink, which is given the lock's number with everything that is sent.
    Fence,
}

/// Workers who share one lock.
pub(crate) struct LockWorkers {
    pub(crate) shelf: Shelf,
    pub(crate) workers: u64,
    /// When the first comes to work, and how much later the next, and so on.
    pub(crate) first_comes_after: Millis,
    pub(crate) next_comes_after: Millis,
    /// Mails that a holder sends before it gives the lock up.
    pub(crate) turn: usize,
    /// How long judging a mail takes, and writing the answer.
    pub(crate) judging: Millis,
    pub(crate) writing: Millis,
    pub(crate) guard: Guard,
    /// What the recipe of the lock lacks, if anything.
    pub(crate) defects: Defects,
}

impl LockWorkers {
    pub(crate) fn nodes(&self) -> Vec<NodeSpec> {
        super::claims::workers(self.workers).chain([Sink::node()]).collect()
    }

    pub(crate) fn boot(&self, scale: &Scale, process: Process) -> Program {
        if &*process.node.0 == "sink" {
            let sink = if self.guard == Guard::Fence { Sink::Fencing } else { Sink::Plain };
            return sink.boot(process);
        }
        let mails = self.shelf.mails();
        let number: u64 = process.node.0.trim_start_matches('w').parse().unwrap_or(1);
        let comes_after = Millis(self.first_comes_after.0 + (number - 1) * self.next_comes_after.0);
        let worker = LockWorker {
            config: client_config(scale, &scale.ensemble(), &process),
            outbox: Outbox::new(&process, mails.clone()),
            name: process.node.0,
            platform: process.platform,
            mails,
            // Who comes back after a crash is late already.
            comes_after: if process.incarnation == 0 { comes_after } else { Millis::ZERO },
            turn: self.turn,
            judging: self.judging,
            writing: self.writing,
            guard: self.guard,
        };
        Box::pin(worker.run())
    }
}

struct LockWorker {
    platform: SimPlatform,
    name: Arc<str>,
    config: ClientConfig,
    mails: Arc<Mails>,
    outbox: Outbox,
    comes_after: Millis,
    turn: usize,
    judging: Millis,
    writing: Millis,
    guard: Guard,
}

impl LockWorker {
    async fn run(mut self) {
        let mut comes_at = self.platform.now().monotonic + self.comes_after;
        loop {
            let client = Client::connect(self.platform.clone(), self.config.clone());
            // Why the session ended makes no difference: there will be another.
            let _ = self.work(&client, comes_at).await;
            client.close().await;
            self.platform.sleep(BACKOFF).await;
            comes_at = Instant::ZERO;
        }
    }

    /// Works for as long as the session lasts.
    async fn work(&mut self, client: &Client<SimPlatform>, comes_at: Instant) -> Result<(), Ended> {
        client.ensure_path(LOCK).await?;
        client.ensure_path(SENT).await?;
        let lock = Lock::new(client, LOCK);
        let now = self.platform.now().monotonic;
        self.platform.sleep(comes_at.since(now)).await;
        loop {
            let held = lock.acquire(self.name.as_bytes().to_vec()).await?;
            if self.hold(client, &held).await? == Shift::Over {
                held.release().await?;
                // Nothing is left to do; who ends is started again.
                return std::future::pending().await;
            }
            held.release().await?;
        }
    }

    /// Sends mails under the lock: as many as make a turn.
    async fn hold(
        &mut self,
        client: &Client<SimPlatform>,
        held: &Held<SimPlatform>,
    ) -> Result<Shift, Ended> {
        let (resource, token) = (Arc::from(RESOURCE), held.token().0);
        let mut in_the_sink = Vec::new();
        if self.guard == Guard::Fence {
            // From here on no predecessor can add anything, and what they did is known.
            in_the_sink = self.outbox.fence(&resource, token).await?;
        }
        for _ in 0..self.turn {
            let (data, stat) = client.get_data(SENT).await?;
            let index = number_in(&data.unwrap_or_default());
            if index >= self.mails.len() {
                return Ok(Shift::Over);
            }
            if !in_the_sink.contains(self.mails.id(index)) {
                self.outbox.attempts(index, token);
                self.platform.sleep(self.judging).await;
                if self.guard == Guard::Check && client.exists(held.path().clone()).await?.is_none()
                {
                    return Err(Ended);
                }
                self.platform.sleep(self.writing).await;
                self.outbox.send(&resource, token, index).await?;
            }
            let sent = Bytes::from((index + 1).to_string());
            match client.set_data(SENT, sent, stat.version).await {
                Ok(_) => {}
                // Noted or not: the next reading tells, and the same mail under the same token is
                // no second letter.
                Err(CallError::ConnectionLoss) => client.settle().await?,
                Err(_) => return Err(Ended),
            }
        }
        Ok(Shift::GoesOn)
    }
}

/// A session's work has ended: the session is over, or somebody else goes on with the mails.
struct Ended;

impl From<CallError> for Ended {
    fn from(_: CallError) -> Self {
        Self
    }
}

impl From<Refused> for Ended {
    fn from(_: Refused) -> Self {
        Self
    }
}

/// Whether there is more to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shift {
    GoesOn,
    Over,
}

/// How many mails are noted as sent: none in the beginning.
fn number_in(data: &[u8]) -> usize {
    std::str::from_utf8(data).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}
