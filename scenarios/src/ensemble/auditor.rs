//! The auditor: reads everything through every server once the storm is over.
//!
//! Owns: a session through each server, and what is told of a reading. Leaves: whether the answers
//! are right to the checkers, and whether the ensemble was whole meanwhile to
//! [`super::served_again`].
//! Holds: a reading is told as done when every znode was read behind a `sync`; that one is gone by
//! then, or that the access list of a guarded one forbids it, are the only refusals it takes.
//!
//! It also lays the last gate, once and before the storm: if those who are to meet there did,
//! nobody would see that the ensemble has lost it.
//! Start at [`Auditor::run`].

use super::guards::GUARDED;
use super::tourist::LAST_GATE;
use bytes::Bytes;
use mailstorm_client::{CallError, Client, ClientConfig, SessionState};
use mailstorm_platform::{Address, Platform};
use mailstorm_shared::Millis;
use mailstorm_shared::facts::ApplicationFact;
use mailstorm_wire::client::{ErrorCode, Stat};
use mailstorm_world::SimPlatform;
use std::sync::Arc;

/// Its node's name.
pub(super) const NAME: &str = "a1";
/// Told before everything is read through every server.
pub(super) const BEGINS: &str = "read_back_begins";
/// Told with the server's name when everything was read through it.
pub(super) const READ_THROUGH: &str = "read_back_through_";
/// How often it looks whether the storm is over, and whether every server takes it.
const LOOK_EVERY: Millis = Millis(100);
/// Between two readings: the first may come before the ensemble is whole.
const READ_EVERY: Millis = Millis(2_000);
/// Requests under way at once.
const PIPELINED: usize = 64;

/// Reads everything through every server once the storm is over.
pub(super) struct Auditor {
    pub(super) platform: SimPlatform,
    /// A session with whichever server.
    pub(super) config: ClientConfig,
    /// Each server's name, and where it listens.
    pub(super) servers: Vec<(String, Address)>,
}

/// A session through one server only.
struct Reader {
    server: String,
    config: ClientConfig,
    client: Client<SimPlatform>,
}

impl Auditor {
    pub(super) async fn run(self) {
        self.lay_last_gate().await;
        while !self.platform.storm_is_over() {
            self.platform.sleep(LOOK_EVERY).await;
        }
        let mut readers: Vec<Reader> =
            (1..).zip(&self.servers).map(|(number, server)| self.reader(number, server)).collect();
        loop {
            // Who takes clients follows a leader: when all do, the ensemble is whole, or nearly so.
            while !self.all_are_taken(&mut readers).await {
                self.platform.sleep(LOOK_EVERY).await;
            }
            self.tell(BEGINS.into());
            for reader in &readers {
                if read_everything(&reader.client).await.is_err() {
                    break;
                }
                self.tell(format!("{READ_THROUGH}{}", reader.server));
            }
            self.platform.sleep(READ_EVERY).await;
        }
    }

    fn tell(&self, name: String) {
        self.platform.observe(ApplicationFact::Milestone { name: name.into() });
    }

    async fn lay_last_gate(&self) {
        loop {
            let client = Client::connect(self.platform.clone(), self.config.clone());
            while !client.state().is_over() {
                if client.ensure_path(LAST_GATE).await.is_ok() {
                    return client.close().await;
                }
                self.platform.sleep(LOOK_EVERY).await;
            }
        }
    }

    fn reader(&self, number: u32, (name, address): &(String, Address)) -> Reader {
        let mut config = self.config.clone();
        config.client_number += super::nodes::NEXT_SESSION * number;
        config.servers = vec![address.clone()];
        let client = Client::connect(self.platform.clone(), config.clone());
        Reader { server: name.clone(), config, client }
    }

    /// Whether every server serves its reader; a session that is over is begun anew.
    async fn all_are_taken(&self, readers: &mut [Reader]) -> bool {
        for reader in readers.iter_mut().filter(|reader| reader.client.state().is_over()) {
            reader.client = Client::connect(self.platform.clone(), reader.config.clone());
        }
        readers.iter().all(|reader| reader.client.state() == SessionState::Connected)
    }
}

/// Reads every znode as it is now, level by level.
async fn read_everything(client: &Client<SimPlatform>) -> Result<(), CallError> {
    client.sync("/").await?;
    let mut level: Vec<Arc<str>> = vec!["/".into()];
    while !level.is_empty() {
        let mut below = Vec::new();
        for paths in level.chunks(PIPELINED) {
            let reads: Vec<_> = paths.iter().map(|path| client.get_data(path.clone())).collect();
            let mut lists = Vec::new();
            for (path, read) in paths.iter().zip(reads) {
                let found: Option<(Option<Bytes>, Stat)> = unless_gone(path, read.await)?;
                if found.is_some_and(|(_, stat)| stat.num_children > 0) {
                    lists.push((path, client.children(path.clone())));
                }
            }
            for (path, list) in lists {
                let (names, _) = unless_gone(path, list.await)?.unzip();
                let folder = path.trim_end_matches('/');
                let names = names.into_iter().flatten();
                below.extend(names.map(|name| Arc::from(format!("{folder}/{name}"))));
            }
        }
        level = below;
    }
    Ok(())
}

/// What was read, or nothing if the znode has vanished since its parent was read, or is guarded.
fn unless_gone<T>(path: &str, read: Result<T, CallError>) -> Result<Option<T>, CallError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(CallError::Refused(ErrorCode::NoNode)) => Ok(None),
        Err(CallError::Refused(ErrorCode::NoAuth)) if path.starts_with(GUARDED) => Ok(None),
        Err(error) => Err(error),
    }
}
