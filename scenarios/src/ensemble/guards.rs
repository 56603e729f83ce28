//! What whoever minds access lists does, and whoever counts: znodes that not everybody may read,
//! change or fill, what one owns, how much there is, several reads and checks at one instant.
//!
//! Owns: what of it is done how often, drawn from a stream of its own: it moves no draw of what
//! else clients do. Leaves: which answers are right to the checker `answers`.
//! Holds: nobody watches below [`GUARDED`], so that no watch is owed an event that its owner may
//! not see.
//! Start at [`Guards::something`].

use super::habits::Habits;
use super::tourist::Tourist;
use bytes::Bytes;
use mailstorm_client::{CallError, Client, MultiError, digest_id, open_acl};
use mailstorm_shared::Millis;
use mailstorm_wire::client::{Acl, CreateMode, ErrorCode, Read, Write, permission};
use mailstorm_world::SimPlatform;
use mailstorm_world::stream::Stream;

/// The parent of what is guarded.
pub(super) const GUARDED: &str = "/g";
/// Znodes below it.
const NAMES: u64 = 4;
/// How often one of these operations comes before one of the others, and how often a session begins
/// with a proof of who the client is, in a million.
const SHARE: u32 = 200_000;
const PROVES: u32 = 700_000;
/// How long what is tended lives untouched: longer than it stays untouched, for most of the time.
const TENDED_MS: Millis = Millis(2_500);

/// The draws of one client process.
pub(super) struct Guards(Stream);

impl Guards {
    pub(super) fn of(seed: u64, client: u32) -> Self {
        Self(Stream::new(seed, &format!("guards of {client}")))
    }

    /// Whether the next operation is one of these.
    pub(super) fn are_next(&mut self) -> bool {
        self.0.chance(SHARE)
    }

    /// Says who the client is, in most sessions: by its name, and now and then by another's.
    pub(super) async fn prove(
        &mut self,
        tourist: &Tourist,
        client: &Client<SimPlatform>,
    ) -> Result<(), CallError> {
        if !self.0.chance(PROVES) {
            return Ok(());
        }
        let name = if self.0.below(8) == 0 { self.somebody() } else { tourist.name.to_string() };
        client.add_auth("digest", secret(&name)).await
    }

    /// One operation.
    pub(super) async fn something(
        &mut self,
        tourist: &Tourist,
        client: &Client<SimPlatform>,
    ) -> Result<(), CallError> {
        let value = Bytes::from(format!("{}-g{}", tourist.name, self.0.below(1_000_000)));
        let znode = format!("{GUARDED}/k{}", self.0.below(NAMES));
        let child = format!("{znode}/c{}", self.0.below(2));
        let writes = 52;
        let choice = match tourist.habits() {
            Habits::WritesOnly => self.0.below(writes),
            _ => self.0.below(100),
        };
        let (path, mode) = if self.0.below(3) == 0 {
            (child, CreateMode::Ephemeral)
        } else {
            (znode.clone(), CreateMode::Persistent)
        };
        match choice {
            0..16 => {
                let acl = self.access_list(tourist);
                client.create(path, value, mode, acl).await.map(drop)
            }
            16..22 => client.delete(path, -1).await,
            22..28 => client.set_data(znode, value, -1).await.map(drop),
            28..34 => client.set_acl(znode, self.access_list(tourist), -1).await.map(drop),
            34..44 => self.check_what_was_written(client, znode, value).await,
            44..49 => tend(client, value).await,
            // Nobody sweeps it before it had a child.
            49..52 => {
                let path = format!("/c/k{}", self.0.below(3));
                client.create_container(path, value, open_acl()).await.map(drop)
            }
            52..62 => client.get_data(path).await.map(drop),
            62..68 => client.get_acl(znode).await.map(drop),
            68..72 => client.exists(path).await.map(drop),
            72..76 => client.children(znode).await.map(drop),
            76..84 => self.read_several(client, &znode, path).await,
            84..92 => {
                let prefix = ["/", "/e/", "/e/n-", GUARDED, "/gate", ""];
                let prefix = prefix[self.0.below(prefix.len() as u64) as usize];
                client.ephemerals(prefix).await.map(drop)
            }
            92..98 => {
                let places = ["/", "/r", "/e", "/m", "/c", GUARDED, &znode];
                let place = places[self.0.below(places.len() as u64) as usize];
                client.all_children_number(place).await.map(drop)
            }
            _ => client.who_am_i().await.map(drop),
        }
    }

    /// A step that demands what a step before it has made, alone or of something guarded. Half of
    /// them demand too much.
    async fn check_what_was_written(
        &mut self,
        client: &Client<SimPlatform>,
        guarded: String,
        value: Bytes,
    ) -> Result<(), CallError> {
        let path = format!("/m/check-{}", self.0.below(3));
        let version = self.0.below(2) as i32;
        let create = Write::Create {
            path: path.as_str().into(),
            data: Some(value.clone()),
            acl: open_acl(),
            mode: CreateMode::Persistent,
            ttl: 0,
            stat: true,
        };
        let check = |path: &str, version| Write::Check { path: path.into(), version };
        let delete = Write::Delete { path: path.as_str().into(), version: -1 };
        let set = |path: &str| Write::SetData {
            path: path.into(),
            data: Some(value.clone()),
            version: -1,
        };
        let writes = match self.0.below(4) {
            0 => vec![create, check(&path, version), delete],
            1 => vec![create, set(&path), check(&path, 1), delete, check(&path, -1 + version)],
            2 => vec![set(&guarded), create, check(&path, 0), delete],
            _ => vec![check(&guarded, -1), create, check(&path, version), delete],
        };
        match client.multi(writes).await {
            Ok(_) | Err(MultiError::Step { .. }) => Ok(()),
            Err(MultiError::Call(error)) => Err(error),
        }
    }

    /// Some of what is read may be missing, or forbidden.
    async fn read_several(
        &mut self,
        client: &Client<SimPlatform>,
        guarded: &str,
        path: String,
    ) -> Result<(), CallError> {
        let data = |path: &str| Read::GetData { path: path.into() };
        let list = |path: &str| Read::Children { path: path.into() };
        let mut reads = vec![data(guarded), list("/e"), data(&path), list(guarded), data("/m")];
        let first = self.0.below(reads.len() as u64) as usize;
        reads.rotate_left(first);
        client.multi_read(reads).await.map(drop)
    }

    /// Everybody who comes with this list may do what somebody whom it names may do.
    fn access_list(&mut self, tourist: &Tourist) -> Vec<Acl> {
        let entry = |permissions, scheme: &str, id: &str| Acl {
            permissions,
            scheme: scheme.into(),
            id: id.into(),
        };
        let some = [
            permission::READ,
            permission::READ | permission::WRITE,
            permission::READ | permission::CREATE | permission::DELETE,
            permission::ADMIN,
            permission::ALL,
        ];
        let granted = some[self.0.below(some.len() as u64) as usize];
        let anyone = entry(granted, "world", "anyone");
        let everything = permission::ALL;
        // Nobody shuts a znode for ever: whoever is named may give it back, and another may take
        // his name.
        match self.0.below(6) {
            0 => open_acl(),
            1 => vec![anyone, entry(everything, "auth", "")],
            2 => vec![entry(everything, "digest", &digest_id(&secret(&tourist.name)))],
            3 => vec![anyone, entry(everything, "digest", &digest_id(&secret(&self.somebody())))],
            4 => vec![entry(granted, "ip", "10.0.0.0/29"), entry(everything, "auth", "")],
            _ => vec![entry(everything, "ip", "10.0.0.0/8"), entry(everything, "ip", "10.0.0.0/8")],
        }
    }

    fn somebody(&mut self) -> String {
        format!("c{}", 1 + self.0.below(3))
    }
}

/// What proves that somebody has this name.
fn secret(name: &str) -> Bytes {
    Bytes::from(format!("{name}:secret"))
}

/// Touches what would otherwise be swept, and makes it if nobody has or it was swept already.
async fn tend(client: &Client<SimPlatform>, value: Bytes) -> Result<(), CallError> {
    const TENDED: &str = "/t/tended";
    match client.set_data(TENDED, value.clone(), -1).await {
        Err(CallError::Refused(ErrorCode::NoNode)) => {
            let mode = CreateMode::PersistentTtl;
            client.create_with_ttl(TENDED, value, mode, TENDED_MS, open_acl()).await.map(drop)
        }
        touched => touched.map(drop),
    }
}
