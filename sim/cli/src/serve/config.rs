//! The configuration file of a real server: its own, in TOML, or ZooKeeper's.
//!
//! Holds: what is not known is named, and every error says file, line, and what was expected.
//! Start at [`load`]; ZooKeeper's files are read in `zoo`.

mod properties;
mod zoo;

use mailstorm_coordination::node::NodeSettings;
use mailstorm_coordination::replica::ReplicaConfig;
use mailstorm_coordination::server::ServerConfig;
use mailstorm_shared::machine::Address;
use mailstorm_shared::{Ensemble, Millis, ServerId};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// Why a configuration file was not taken. One line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {}: {source}: name an existing file with --config", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It says something that cannot be meant.
    #[error("{}:{line}: {message}", file.display())]
    Wrong {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What was found, and what was expected.
        message: String,
    },
}

/// What a file says.
#[derive(Clone, Debug)]
pub(crate) struct Configured {
    /// The server's data folder.
    pub(crate) data: PathBuf,
    /// Everything else about it.
    pub(crate) settings: NodeSettings,
    /// Room on the disk that is set aside for a start on a full one.
    pub(crate) reserve_bytes: u64,
    /// What its author should know: keys of ZooKeeper's that have no meaning here.
    pub(crate) remarks: Vec<String>,
}

/// Reads a configuration file. One that ends in `.cfg` or has ZooKeeper's keys is read as
/// ZooKeeper's `zoo.cfg`, with the file `myid` in its `dataDir`; any other is TOML:
///
/// ```toml
/// id = 1                              # of this server, 1 to 255
/// data = "data/1"                     # its folder; relative to this file
/// client_address = "127.0.0.1:2181"   # where clients connect
/// initialise = true                   # first start of a new ensemble: remove it afterwards
///
/// # All servers, this one included, the same in every server's file. A server that is alone needs none.
/// [peers.1]
/// address = "127.0.0.1:2888"
/// [peers.2]
/// address = "127.0.0.1:2889"
/// [peers.3]
/// address = "127.0.0.1:2890"
/// [peers.4]
/// address = "127.0.0.1:2891"
/// role = "observer"                   # or "voter", the default
///
/// [timing]                            # all of it may be left out
/// tick_ms = 2000
/// init_limit_ticks = 10               # for a new leader to get established
/// sync_limit_ticks = 5                # of silence until leader and follower part
/// session_timeout_ms_min = 4000
/// session_timeout_ms_max = 40000
///
/// [options]                           # all of it may be left out
/// ephemeral_writes = "acl"            # or "owner": the session that owns an ephemeral znode alone
/// read_only_mode = false              # serve reads while cut off, to clients that ask for that
/// super_digest = "super:xQJmxLMiHGwaqBvst5y6rkB6HQs="
/// snapshot_every_entries = 100000
/// snapshots_kept = 3
/// log_file_bytes = 4194304
/// clients_max = 10000
/// clients_per_address_max = 60
/// membership_changed = false          # for one start, when peers came or went
/// ```
///
/// # Errors
/// [`ConfigError`], on one line, with the place.
pub(crate) fn load(file: &Path) -> Result<Configured, ConfigError> {
    let text = fs::read_to_string(file)
        .map_err(|source| ConfigError::Unreadable { file: file.to_owned(), source })?;
    parse(file, &text)
}

/// As [`load`], of a file's content.
fn parse(file: &Path, text: &str) -> Result<Configured, ConfigError> {
    let configured = if zoo::is_one(file, text) { zoo::read(text) } else { read_toml(file, text) };
    configured.map_err(|Complaint { line, message }| {
        // Errors may span lines; the place is where they begin.
        let message = message.lines().collect::<Vec<_>>().join(" ");
        ConfigError::Wrong { file: file.to_owned(), line, message }
    })
}

fn read_toml(file: &Path, text: &str) -> Result<Configured, Complaint> {
    let complaint = |at: usize, message| {
        let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        Complaint { line, message }
    };
    let parsed: ConfigFile = toml::from_str(text).map_err(|error| {
        complaint(error.span().map_or(0, |span| span.start), error.message().to_owned())
    })?;
    let folder = file.parent().unwrap_or(Path::new(""));
    parsed.check(folder).map_err(|Misplaced { at, message }| complaint(at, message))
}

/// What is wrong, and in which line.
#[derive(Debug)]
struct Complaint {
    line: usize,
    message: String,
}

/// What is wrong, and at which byte.
struct Misplaced {
    at: usize,
    message: String,
}

impl Misplaced {
    fn about<T>(value: &Spanned<T>, message: impl Into<String>) -> Self {
        Self { at: value.span().start, message: message.into() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    id: Spanned<ServerId>,
    data: Spanned<PathBuf>,
    client_address: Spanned<String>,
    #[serde(default)]
    initialise: bool,
    #[serde(default)]
    peers: BTreeMap<String, Spanned<Peer>>,
    #[serde(default)]
    timing: Timing,
    #[serde(default)]
    options: Options,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Peer {
    address: Spanned<String>,
    #[serde(default)]
    role: PeerRole,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PeerRole {
    #[default]
    Voter,
    Observer,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Timing {
    tick_ms: Option<Spanned<u64>>,
    init_limit_ticks: Option<Spanned<u32>>,
    sync_limit_ticks: Option<Spanned<u32>>,
    session_timeout_ms_min: Option<Spanned<u64>>,
    session_timeout_ms_max: Option<Spanned<u64>>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum EphemeralWrites {
    #[default]
    Acl,
    Owner,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    ephemeral_writes: EphemeralWrites,
    #[serde(default)]
    read_only_mode: bool,
    super_digest: Option<Spanned<String>>,
    snapshot_every_entries: Option<Spanned<usize>>,
    snapshots_kept: Option<Spanned<usize>>,
    log_file_bytes: Option<Spanned<u64>>,
    clients_max: Option<Spanned<usize>>,
    clients_per_address_max: Option<Spanned<usize>>,
    #[serde(default)]
    membership_changed: bool,
}

impl ConfigFile {
    fn check(self, folder: &Path) -> Result<Configured, Misplaced> {
        let me = *self.id.get_ref();
        let client_address = address(&self.client_address)?;
        if self.data.get_ref().as_os_str().is_empty() {
            return Err(Misplaced::about(&self.data, "`data` is empty, expected a folder"));
        }
        let (ensemble, peers) = ensemble(&self.id, &self.peers)?;
        let server = self.timing.apply(ReplicaConfig::new(me, ensemble))?;
        let mut settings = NodeSettings::new(server, client_address, peers);
        settings.initialise = self.initialise;
        self.options.apply(&mut settings)?;
        let data = folder.join(self.data.into_inner());
        Ok(Configured { data, settings, reserve_bytes: RESERVE_BYTES, remarks: Vec::new() })
    }
}

/// The members and where they are.
fn ensemble(
    id: &Spanned<ServerId>,
    peers: &BTreeMap<String, Spanned<Peer>>,
) -> Result<(Ensemble, BTreeMap<ServerId, Address>), Misplaced> {
    let me = *id.get_ref();
    let mut addresses = BTreeMap::new();
    let (mut voters, mut observers) = (Vec::new(), Vec::new());
    for (name, spanned) in peers {
        let number = name.parse().ok().and_then(ServerId::new);
        let Some(peer) = number else {
            let message = format!("`peers.{name}`: expected the id of a server, 1 to 255");
            return Err(Misplaced::about(spanned, message));
        };
        let entry = spanned.get_ref();
        let where_it_is = address(&entry.address)?;
        if let Some((other, _)) = addresses.iter().find(|(_, taken)| **taken == where_it_is) {
            let message = format!("peers {other} and {peer} have one address, expected two");
            return Err(Misplaced::about(&entry.address, message));
        }
        addresses.insert(peer, where_it_is);
        match entry.role {
            PeerRole::Voter => voters.push(peer),
            PeerRole::Observer => observers.push(peer),
        }
    }
    if peers.is_empty() {
        voters.push(me);
    } else if !addresses.contains_key(&me) {
        let number = me.number();
        let message = format!("`id` is {number}, expected one of the peers: add [peers.{number}]");
        return Err(Misplaced::about(id, message));
    }
    let ensemble = Ensemble::new(voters, observers)
        .map_err(|error| Misplaced::about(id, format!("the peers are no ensemble: {error}")))?;
    Ok((ensemble, addresses))
}

/// An address as `host:port`.
fn address(text: &Spanned<String>) -> Result<Address, Misplaced> {
    let value = text.get_ref();
    let port = value.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    match port.and_then(|(_, port)| port.parse::<u16>().ok()) {
        Some(_) => Ok(Address::from(value.as_str())),
        None => Err(Misplaced::about(text, format!("`{value}`: expected host:port"))),
    }
}

/// Whether this may be `user:base64(sha1(user:password))`.
fn is_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(user, hash)| !user.is_empty() && !hash.is_empty())
}

/// A number that must be in a range.
fn within<T: Copy + PartialOrd + std::fmt::Display>(
    name: &str,
    value: &Option<Spanned<T>>,
    min: T,
    max: T,
) -> Result<Option<T>, Misplaced> {
    let Some(spanned) = value else { return Ok(None) };
    let number = *spanned.get_ref();
    if number < min || number > max {
        let message = format!("`{name}` is {number}, expected {min} to {max}");
        return Err(Misplaced::about(spanned, message));
    }
    Ok(Some(number))
}

/// On a real disk, where a file costs more than a few megabytes that stay empty: larger log files
/// than [`StorageOptions`](mailstorm_coordination::storage::StorageOptions) has by default.
const LOG_FILE_BYTES: u64 = 4 << 20;

/// Room for what a start on a full disk writes: a log file, promises, and a few thousand sessions.
const RESERVE_BYTES: u64 = 2 * LOG_FILE_BYTES;

/// The longest span that can be configured.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

impl Timing {
    fn apply(&self, mut replica: ReplicaConfig) -> Result<ServerConfig, Misplaced> {
        if let Some(tick) = within("tick_ms", &self.tick_ms, 10, DAY_MS)? {
            replica.tick = Millis(tick);
        }
        if let Some(ticks) = within("init_limit_ticks", &self.init_limit_ticks, 1, 10_000)? {
            replica.init_limit_ticks = ticks;
        }
        if let Some(ticks) = within("sync_limit_ticks", &self.sync_limit_ticks, 1, 10_000)? {
            replica.sync_limit_ticks = ticks;
        }
        let mut server = ServerConfig::new(replica);
        let min = within("session_timeout_ms_min", &self.session_timeout_ms_min, 1, DAY_MS)?;
        let max = within("session_timeout_ms_max", &self.session_timeout_ms_max, 1, DAY_MS)?;
        server.session_timeout_min = min.map_or(server.session_timeout_min, Millis);
        server.session_timeout_max = max.map_or(server.session_timeout_max, Millis);
        let (min, max) = (server.session_timeout_min, server.session_timeout_max);
        let set = self.session_timeout_ms_max.as_ref().or(self.session_timeout_ms_min.as_ref());
        if let Some(set) = set.filter(|_| min > max) {
            let message = format!("sessions last {min} to {max}, expected the longest last");
            return Err(Misplaced::about(set, message));
        }
        Ok(server)
    }
}

impl Options {
    fn apply(&self, settings: &mut NodeSettings) -> Result<(), Misplaced> {
        let server = &mut settings.server;
        server.data.ephemeral_writes_by_owner_only =
            matches!(self.ephemeral_writes, EphemeralWrites::Owner);
        server.read_only_mode = self.read_only_mode;
        if let Some(digest) = &self.super_digest {
            let text = digest.get_ref();
            if !is_digest(text) {
                let message = "`super_digest`: expected user:base64(sha1(user:password))";
                return Err(Misplaced::about(digest, message));
            }
            server.super_digest = Some(text.as_str().into());
        }
        let entries =
            within("snapshot_every_entries", &self.snapshot_every_entries, 1, usize::MAX)?;
        server.replica.snapshot_every_entries =
            entries.unwrap_or(server.replica.snapshot_every_entries);
        let clients = within("clients_max", &self.clients_max, 1, 1_000_000)?;
        server.clients_max = clients.unwrap_or(server.clients_max);
        let limits = &mut settings.limits;
        let each = within("clients_per_address_max", &self.clients_per_address_max, 1, 1_000_000)?;
        limits.clients_per_address_max = each.unwrap_or(limits.clients_per_address_max);
        let storage = &mut settings.storage;
        let kept = within("snapshots_kept", &self.snapshots_kept, 1, 1_000)?;
        storage.snapshots_kept = kept.unwrap_or(storage.snapshots_kept);
        let bytes = within("log_file_bytes", &self.log_file_bytes, 4 << 10, 1 << 30)?;
        storage.log_file_bytes = bytes.unwrap_or(LOG_FILE_BYTES);
        settings.membership_changed = self.membership_changed;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: &str = "id = 1\ndata = \"d\"\nclient_address = \"127.0.0.1:2181\"\n";

    fn check(text: &str, expected: &str) {
        let error = parse(Path::new("etc/server.toml"), text).expect_err(text).to_string();
        assert_eq!(error, format!("etc/server.toml:{expected}"));
    }

    #[test]
    fn a_server_that_is_alone_needs_three_lines() {
        let server = parse(Path::new("etc/server.toml"), ALONE).unwrap();
        assert_eq!(server.data, Path::new("etc/d"));
        assert_eq!(server.settings.client_address, Address::from("127.0.0.1:2181"));
        assert!(!server.settings.initialise);
        let me = ServerId::new(1).unwrap();
        assert_eq!(server.settings.server.replica.ensemble, Ensemble::new([me], []).unwrap());
    }

    #[test]
    fn the_example_in_the_documentation_is_read_as_it_says() {
        let source = include_str!("config.rs");
        let example =
            source.split("/// ```toml\n").nth(1).unwrap().split("/// ```").next().unwrap();
        let text: String =
            example.lines().map(|line| line.trim_start_matches("///").to_owned() + "\n").collect();
        let settings = parse(Path::new("server.toml"), &text).unwrap().settings;
        assert!(settings.initialise);
        assert_eq!(settings.peers.len(), 4);
        assert_eq!(settings.server.replica.ensemble.observers().len(), 1);
        assert_eq!(settings.server.session_timeout_max, Millis(40_000));
        assert_eq!(settings.limits.clients_per_address_max, 60);
    }

    #[test]
    fn every_mistake_is_named_with_its_line_and_what_was_expected() {
        check("id = 0\n", "1: invalid value: integer `0`, expected a nonzero u8");
        check("id = 1\n", "1: missing field `data`");
        check(
            &format!("{ALONE}snapcount = 5\n"),
            "4: unknown field `snapcount`, expected one of `id`, `data`, `client_address`, `initialise`, `peers`, `timing`, `options`",
        );
        check(
            &format!("{ALONE}[timing]\ntick_ms = 3\n"),
            "5: `tick_ms` is 3, expected 10 to 86400000",
        );
        check(
            &format!("{ALONE}[timing]\ntick_ms = \"long\"\n"),
            "5: invalid type: string \"long\", expected u64",
        );
        check(
            &format!("{ALONE}[options]\nephemeral_writes = \"me\"\n"),
            "5: unknown variant `me`, expected `acl` or `owner`",
        );
        check(
            &format!("{ALONE}[peers.2]\naddress = \"a:1\"\n"),
            "1: `id` is 1, expected one of the peers: add [peers.1]",
        );
        check(&format!("{ALONE}[peers.1]\naddress = \"here\"\n"), "5: `here`: expected host:port");
        check(
            &format!("{ALONE}[peers.x]\naddress = \"a:1\"\n"),
            "4: `peers.x`: expected the id of a server, 1 to 255",
        );
        check(
            &format!("{ALONE}[peers.1]\naddress = \"a:1\"\n[peers.2]\naddress = \"a:1\"\n"),
            "7: peers s1 and s2 have one address, expected two",
        );
        check(
            &format!("{ALONE}[peers.1]\naddress = \"a:1\"\nrole = \"observer\"\n"),
            "1: the peers are no ensemble: an ensemble needs at least one voter",
        );
        check(
            &format!("{ALONE}[timing]\nsession_timeout_ms_max = 5\n"),
            "5: sessions last 4000 ms to 5 ms, expected the longest last",
        );
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = load(Path::new("no/such.toml")).expect_err("there is none").to_string();
        assert!(error.starts_with("cannot read no/such.toml: "), "{error}");
    }
}
