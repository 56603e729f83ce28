//! How an application knows the master's address: it asks each time, or remembers, in several ways.
//!
//! Start at [`AddressBook`].

use super::master::MASTER_IP;
use bytes::Bytes;
use mailstorm_client::{CallError, Client, ClientConfig};
use mailstorm_platform::Platform;
use mailstorm_shared::Millis;
use mailstorm_wire::client::{ErrorCode, Stat};
use mailstorm_world::SimPlatform;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// Between two looks while there is no master.
const LOOK_AGAIN: Millis = Millis(200);

/// When an application looks the address up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lessons) enum Lookup {
    /// Once, and remembers it for ever.
    Once,
    /// Once, and once more when the watch that it left then fires.
    WatchOnce,
    /// Whenever it changes: each look leaves the next watch.
    Follow,
    /// For every request.
    EveryTime,
}

/// Who is master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::lessons) struct Master {
    pub(in crate::lessons) address: Arc<str>,
    /// The `czxid` of its znode.
    pub(in crate::lessons) epoch: u64,
}

impl Master {
    fn of(data: Option<Bytes>, stat: &Stat) -> Option<Self> {
        let address = String::from_utf8(data?.to_vec()).ok()?.into();
        Some(Self { address, epoch: stat.czxid.0 })
    }
}

/// What an application knows of the master.
pub(in crate::lessons) struct AddressBook {
    platform: SimPlatform,
    config: ClientConfig,
    lookup: Lookup,
    known: Rc<RefCell<Option<Master>>>,
    /// The session of whoever looks every time.
    client: Client<SimPlatform>,
}

impl AddressBook {
    /// Opens it, and keeps it as `lookup` says.
    pub(in crate::lessons) fn open(
        platform: &SimPlatform,
        config: ClientConfig,
        lookup: Lookup,
    ) -> Self {
        let known = Rc::default();
        let client = Client::connect(platform.clone(), config.clone());
        let keeper = Keeper { client: client.clone(), known: Rc::clone(&known) };
        match lookup {
            Lookup::Once | Lookup::WatchOnce => {
                platform.spawn(keeper.look_once(config.clone(), lookup == Lookup::WatchOnce));
            }
            Lookup::Follow => platform.spawn(keeper.follow(config.clone())),
            Lookup::EveryTime => {}
        }
        Self { platform: platform.clone(), config, lookup, known, client }
    }

    /// Who is master, as far as the application knows.
    pub(in crate::lessons) async fn master(&mut self) -> Option<Master> {
        if self.lookup != Lookup::EveryTime {
            return self.known.borrow().clone();
        }
        if self.client.state().is_over() {
            self.client = Client::connect(self.platform.clone(), self.config.clone());
        }
        let (data, stat) = self.client.get_data(MASTER_IP).await.ok()?;
        Master::of(data, &stat)
    }
}

/// Keeps what an application knows.
struct Keeper {
    client: Client<SimPlatform>,
    known: Rc<RefCell<Option<Master>>>,
}

impl Keeper {
    /// Looks until there is a master, and with a watch once more.
    async fn look_once(mut self, config: ClientConfig, watches: bool) {
        let watch = loop {
            match self.client.get_data_and_watch(MASTER_IP).await {
                Ok((data, stat, watch)) => {
                    self.known.replace(Master::of(data, &stat));
                    break watch;
                }
                Err(error) if error.is_final() => self.begin_session(&config),
                Err(_) => self.client.platform().sleep(LOOK_AGAIN).await,
            }
        };
        if !watches || watch.await.is_err() {
            return;
        }
        // The mistake: between the former master's end and the next one's beginning there is
        // nothing to be read, and nobody who would tell of what comes after.
        if let Ok((data, stat)) = self.client.get_data(MASTER_IP).await {
            self.known.replace(Master::of(data, &stat));
        }
    }

    /// Looks again after every change, in one session after another.
    async fn follow(mut self, config: ClientConfig) {
        loop {
            // Only the end of the session comes out of it.
            let _ = self.follow_in_this_session().await;
            self.begin_session(&config);
        }
    }

    fn begin_session(&mut self, config: &ClientConfig) {
        let platform = self.client.platform().clone();
        self.client = Client::connect(platform, config.clone());
    }

    async fn follow_in_this_session(&self) -> Result<(), CallError> {
        let client = &self.client;
        loop {
            let watch = match client.get_data_and_watch(MASTER_IP).await {
                Ok((data, stat, watch)) => {
                    self.known.replace(Master::of(data, &stat));
                    Some(watch)
                }
                Err(CallError::Refused(ErrorCode::NoNode)) => {
                    self.known.replace(None);
                    let (stat, watch) = client.exists_and_watch(MASTER_IP).await?;
                    // It came in between: look again at once.
                    stat.is_none().then_some(watch)
                }
                Err(error) if error.is_final() => return Err(error),
                Err(_) => {
                    client.platform().sleep(LOOK_AGAIN).await;
                    None
                }
            };
            if let Some(watch) = watch
                && watch.await.is_err()
            {
                return Ok(());
            }
        }
    }
}
