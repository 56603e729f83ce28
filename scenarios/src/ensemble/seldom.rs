//! What few applications ask for: access lists, containers, znodes with a time-to-live, lasting
//! watches, several reads at once, questions about oneself.
//!
//! Owns: what of it is done how often. Leaves: judging to the checkers.
//! Holds: everybody may read everything, so whoever watches is owed every event.
//! Start at [`Tourist::something_seldom`].

use super::tourist::{Kept, Tourist};
use bytes::Bytes;
use mailstorm_client::{CallError, Client, open_acl};
use mailstorm_platform::Platform;
use mailstorm_shared::Millis;
use mailstorm_wire::client::{
    Acl, AddWatchMode, CreateMode, ErrorCode, Read, WatcherType, permission,
};
use mailstorm_world::SimPlatform;

/// Parents of what is done here.
pub(super) const FOLDERS: [&str; 3] = ["/a", "/c", "/t"];
/// Znodes of each kind.
const NAMES: u64 = 3;
/// How long a znode may lie untouched, in virtual milliseconds. Of the order of the time between
/// two sweeps, so that some are touched in time and others are not.
const TTL_MS: (u64, u64) = (200, 5_000);

impl Tourist {
    pub(super) async fn something_seldom(
        &self,
        client: &Client<SimPlatform>,
        kept: &mut Kept,
        value: Bytes,
    ) -> Result<(), CallError> {
        let number = self.platform.entropy() % NAMES;
        let [guarded, container, mortal] = FOLDERS.map(|folder| format!("{folder}/k{number}"));
        match self.platform.entropy() % 100 {
            0..6 => self.fill_container(client, container, value).await,
            6..10 => empty_container(client, container).await,
            10..18 => {
                let (path, mode) = if self.platform.entropy().is_multiple_of(2) {
                    (mortal, CreateMode::PersistentTtl)
                } else {
                    ("/t/n-".to_owned(), CreateMode::PersistentSequentialTtl)
                };
                let ttl = Millis(self.between(TTL_MS));
                client.create_with_ttl(path, value, mode, ttl, open_acl()).await.map(drop)
            }
            18..26 => client.set_data(mortal, value, -1).await.map(drop),
            26..32 => self.read_synced_list(client, "/c").await,
            32..38 => self.read_synced_list(client, "/t").await,
            38..46 => self.say_who_we_are(client).await,
            46..52 => {
                let mode = CreateMode::Persistent;
                client.create(guarded, value, mode, self.access_list()).await.map(drop)
            }
            52..56 => client.set_acl(guarded, self.access_list(), -1).await.map(drop),
            56..60 => {
                let (list, stat) = client.get_acl(guarded.clone()).await?;
                client.set_acl(guarded, list, stat.aversion).await.map(drop)
            }
            60..66 => client.set_data(guarded, value, -1).await.map(drop),
            66..69 => client.delete(guarded, -1).await,
            69..77 => {
                let mode = if self.platform.entropy().is_multiple_of(2) {
                    AddWatchMode::Persistent
                } else {
                    AddWatchMode::PersistentRecursive
                };
                let place = self.somewhere();
                let watch = client.add_watch(place.clone(), mode).await?;
                kept.lasting.push_back((place, watch));
                Ok(())
            }
            77..82 => {
                // Most of the time where there is something to remove.
                let known = kept.lasting.front().map(|(place, _)| place.clone());
                let known = known.filter(|_| !self.platform.entropy().is_multiple_of(4));
                let place = known.unwrap_or_else(|| self.somewhere());
                client.remove_watches(place, self.some_kind()).await
            }
            82..90 => self.read_several_at_once(client).await,
            90..94 => client.ephemerals("/e/").await.map(drop),
            94..97 => client.has_watch(self.somewhere(), self.some_kind()).await.map(drop),
            _ => client.all_children_number("/").await.map(drop),
        }
    }

    /// What a sweep took is gone from every list.
    async fn read_synced_list(
        &self,
        client: &Client<SimPlatform>,
        path: &str,
    ) -> Result<(), CallError> {
        self.sync(client, path).await?;
        client.children(path).await.map(drop)
    }

    /// A place that is worth a lasting watch.
    fn somewhere(&self) -> String {
        let places = ["/r", "/c", "/t", "/a", "/e"];
        let place = places[self.platform.entropy() as usize % places.len()];
        if self.platform.entropy().is_multiple_of(2) {
            return place.to_owned();
        }
        format!("{place}/k{}", self.platform.entropy() % NAMES)
    }

    fn some_kind(&self) -> WatcherType {
        match self.platform.entropy() % 8 {
            0 => WatcherType::Children,
            1 => WatcherType::Data,
            2..4 => WatcherType::Persistent,
            4..6 => WatcherType::PersistentRecursive,
            _ => WatcherType::Any,
        }
    }

    /// Whoever has said who he is may do everything with what he creates, and others may read it.
    /// Who has not is refused: there is nobody whom the list could name.
    fn access_list(&self) -> Vec<Acl> {
        let others = match self.platform.entropy() % 3 {
            0 => permission::READ,
            1 => permission::READ | permission::WRITE,
            _ => permission::READ | permission::ADMIN,
        };
        let anyone = Acl { permissions: others, scheme: "world".into(), id: "anyone".into() };
        let creator = Acl { permissions: permission::ALL, scheme: "auth".into(), id: "".into() };
        vec![anyone, creator]
    }

    /// Puts something into a container and, every other time, takes it out again.
    async fn fill_container(
        &self,
        client: &Client<SimPlatform>,
        container: String,
        value: Bytes,
    ) -> Result<(), CallError> {
        // That it is there is as good.
        let made = client.create_container(container.clone(), value.clone(), open_acl());
        let mode = CreateMode::PersistentSequential;
        let filled = client.create(format!("{container}/n-"), value, mode, open_acl());
        let (_, filled) = (made.await, filled.await);
        let (path, _) = filled?;
        if self.platform.entropy().is_multiple_of(2) {
            client.delete(path, -1).await
        } else {
            Ok(())
        }
    }

    /// Proves an identity; now and then one that is refused, which costs the connection.
    async fn say_who_we_are(&self, client: &Client<SimPlatform>) -> Result<(), CallError> {
        if self.platform.entropy().is_multiple_of(16) {
            return client.add_auth("nobody-knows-this-scheme", Bytes::new()).await;
        }
        client.add_auth("digest", format!("{}:secret", self.name)).await?;
        client.who_am_i().await.map(drop)
    }

    /// What is read at one instant is the same however often it is read.
    async fn read_several_at_once(&self, client: &Client<SimPlatform>) -> Result<(), CallError> {
        let register = format!("/r/k{}", self.platform.entropy() % self.registers);
        let data = || Read::GetData { path: register.as_str().into() };
        let list = || Read::Children { path: "/e".into() };
        client.multi_read(vec![data(), list(), data(), list()]).await.map(drop)
    }
}

/// Takes everything out of a container: then it is swept, unless somebody is quicker.
async fn empty_container(client: &Client<SimPlatform>, container: String) -> Result<(), CallError> {
    let (names, _) = client.children(container.clone()).await?;
    let deletes = names.iter().map(|name| client.delete(format!("{container}/{name}"), -1));
    // All at once; whoever was here at the same time has deleted some of them.
    for delete in deletes.collect::<Vec<_>>() {
        match delete.await {
            Ok(()) | Err(CallError::Refused(ErrorCode::NoNode)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
