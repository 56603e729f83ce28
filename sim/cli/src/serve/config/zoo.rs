//! ZooKeeper's configuration file, `zoo.cfg`, for who brings one along.
//!
//! Owns: which of its keys mean something here, and what becomes of the others. A key that promises
//! something which this server would not keep (encryption, credentials, other quorums) refuses the
//! start; one that tunes a part which is not there is named in a remark; one in wrong letter case
//! is refused.
//! Holds: the folder of ZooKeeper's own data is never touched. What this server writes is in a
//! folder `mailstorm` beside it, as ZooKeeper's is in `version-2`.
//! Start at [`read`].

use super::properties::{self, Property};
use super::{Complaint, Configured, DAY_MS, LOG_FILE_BYTES, RESERVE_BYTES};
use mailstorm_coordination::node::NodeSettings;
use mailstorm_coordination::replica::ReplicaConfig;
use mailstorm_coordination::server::ServerConfig;
use mailstorm_shared::machine::Address;
use mailstorm_shared::{Ensemble, Millis, ServerId};
use mailstorm_wire::client::FourLetterWord;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The folder in `dataDir` for what this server writes.
const FOLDER: &str = "mailstorm";
/// ZooKeeper's.
const FOLDER_OF_ZOOKEEPER: &str = "version-2";

/// Keys that are read.
const READ: &[&str] = &[
    "tickTime",
    "initLimit",
    "syncLimit",
    "dataDir",
    "dataLogDir",
    "clientPort",
    "clientPortAddress",
    "maxClientCnxns",
    "maxCnxns",
    "minSessionTimeout",
    "maxSessionTimeout",
    "snapCount",
    "autopurge.snapRetainCount",
    "4lw.commands.whitelist",
    "readonlymode.enabled",
    "DigestAuthenticationProvider.superDigest",
    "quorumListenOnAllIPs",
    "peerType",
    "dynamicConfigFile",
];

/// Members are below it.
const SERVER: &str = "server.";

/// When a key refuses the start.
enum When {
    Always,
    /// Its value is one of these.
    Is(&'static [&'static str]),
    /// Its value is another.
    IsNot(&'static [&'static str]),
}

const YES: When = When::Is(&["true", "yes"]);

/// Keys that promise what this server does not keep; a name that ends in a dot stands for all below
/// it.
const REFUSED: &[(&str, When, &str)] = &[
    ("secureClientPort", When::Always, "there is no TLS here: put a proxy before `clientPort`"),
    ("secureClientPortAddress", When::Always, "there is no TLS here: put a proxy before it"),
    ("sslQuorum", YES, "links between servers are not encrypted here: use a private network"),
    ("portUnification", YES, "links between servers are not encrypted here"),
    ("client.portUnification", YES, "there is no TLS here"),
    ("ssl.", When::Always, "there is no TLS here: remove it, or put a proxy before the server"),
    ("authProvider.", When::Always, "only world, auth, digest, ip and super are known here"),
    ("requireClientAuthScheme", When::Always, "SASL is not spoken here"),
    ("sessionRequireClientSASLAuth", YES, "SASL is not spoken here"),
    ("enforce.auth.enabled", YES, "sessions without credentials are served here"),
    ("quorum.auth.", When::IsNot(&["false"]), "servers do not authenticate each other here"),
    ("kerberos.", When::Always, "Kerberos is not spoken here"),
    ("jaasLoginRenew", When::Always, "Kerberos is not spoken here"),
    ("group.", When::Always, "a quorum is a majority of all voters here"),
    ("weight.", When::Always, "a quorum is a majority of all voters here"),
    ("oraclePath", When::Always, "a quorum is a majority of all voters here"),
    ("reconfigEnabled", YES, "members change by a restart with `membership_changed` here"),
    ("electionAlg", When::IsNot(&["3"]), "there is one algorithm here, as ZooKeeper's 3"),
    ("skipACL", YES, "access lists are always checked here"),
    ("enforceQuota", YES, "quotas are not enforced here"),
    ("leaderServes", When::Is(&["no", "false"]), "a leader serves clients here"),
    ("multiAddress.enabled", YES, "a server has one address here"),
];

/// Keys that tune what is not there or is done otherwise, and what is so instead.
const WITHOUT_MEANING: &[(&str, &str)] = &[
    ("admin.", "there is no admin server; ask with four-letter words"),
    ("metricsProvider.", "there is no metrics provider; ask with `mntr`"),
    ("autopurge.purgeInterval", "what is not needed goes after each snapshot"),
    ("standaloneEnabled", "a server that is listed alone is alone"),
    ("forceSync", "every write is synced before it is acknowledged"),
    ("electionPortBindRetry", "an address in use ends the start"),
    ("globalOutstandingLimit", "requests in flight are bounded by other numbers"),
    ("preAllocSize", "log files have 4 MiB"),
    ("snapSizeLimitInKb", "snapshots follow `snapCount`"),
    ("fsync.warningthresholdms", "slow syncs are not logged"),
    ("cnxTimeout", "links have deadlines of their own"),
    ("clientPortListenBacklog", "4096 connections wait to be accepted"),
    ("observerMasterPort", "observers follow the leader"),
    ("localSessionsEnabled", "all sessions are global"),
    ("localSessionsUpgradingEnabled", "all sessions are global"),
    ("extendedTypesEnabled", "znodes with a time-to-live are always on"),
    ("emulate353TTLNodes", "znodes with a time-to-live are always on"),
    ("jute.maxbuffer", "a znode's data has at most 1 MiB"),
    ("commitLogCount", "what followers are brought up to date from is bounded by other numbers"),
    ("syncEnabled", "observers always write a log"),
    ("audit.enable", "there is no audit log"),
    ("tcpKeepAlive", "silent connections are always closed"),
    ("nio.", "one thread serves all connections"),
    ("commitProcessor.", "one thread serves all connections"),
    ("request_throttler.", "requests in flight are bounded by other numbers"),
    ("snapshot.", "snapshots are not compressed"),
    ("znode.container.", "containers are swept every minute"),
    ("serverCnxnFactory", "there is one kind of connections"),
];

/// Whether a file is ZooKeeper's rather than our own.
pub(super) fn is_one(file: &Path, text: &str) -> bool {
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    match ending {
        "toml" => false,
        "cfg" | "properties" => true,
        _ => {
            let keys = ["dataDir", "clientPort", "tickTime"];
            properties::parse(text).iter().any(|property| keys.contains(&&*property.key))
        }
    }
}

/// Reads such a file, and `myid` and the file with the members that it names.
///
/// # Errors
/// What is wrong, with the line.
pub(super) fn read(text: &str) -> Result<Configured, Complaint> {
    let mut remarks = Vec::new();
    let given = Given::of(properties::parse(text), &mut remarks)?;
    let data = given.path("dataDir")?.ok_or_else(|| Complaint {
        line: 1,
        message: "`dataDir` is missing: name the folder of the data".to_owned(),
    })?;
    let log = given.path("dataLogDir")?.filter(|log| *log != data);
    let members = given.members()?;
    let me = given.who_am_i(&data, &members)?;
    let (server, peers) = given.timing(me, &members)?;
    let client_address = given.client_address(me, &members)?;
    let mut settings = NodeSettings::new(server, client_address, peers);
    given.options(&mut settings, &mut remarks)?;
    let unused: Vec<_> = members.values().filter_map(|member| member.election_port).collect();
    if members.len() > 1 && !unused.is_empty() {
        remarks.push(
            "`server.`: the first port of each server carries all that servers say to each other; \
             the port for elections is not used"
                .to_owned(),
        );
    }
    if log.is_some() {
        remarks
            .push("`dataLogDir`: snapshots go there, too; `dataDir` is read for `myid`".to_owned());
    }
    let folder = log.as_ref().unwrap_or(&data);
    for folder in [&data, folder] {
        if folder.join(FOLDER_OF_ZOOKEEPER).exists() {
            let message = format!(
                "{} holds the data of a ZooKeeper, which cannot be read: name another `dataDir`",
                folder.join(FOLDER_OF_ZOOKEEPER).display()
            );
            return Err(Complaint { line: given.line("dataDir"), message });
        }
    }
    Ok(Configured { data: folder.join(FOLDER), settings, reserve_bytes: RESERVE_BYTES, remarks })
}

/// One `server.N`.
#[derive(Debug)]
struct Member {
    line: usize,
    host: String,
    port: u16,
    election_port: Option<u16>,
    observes: bool,
    /// Where its clients connect, if it says so: the host may be left out.
    clients: Option<(Option<String>, u16)>,
}

type Members = BTreeMap<ServerId, Member>;

/// What the file says, checked for what may be said.
#[derive(Debug)]
struct Given {
    known: BTreeMap<String, Property>,
    servers: Vec<Property>,
}

impl Given {
    fn of(properties: Vec<Property>, remarks: &mut Vec<String>) -> Result<Self, Complaint> {
        let (mut known, mut servers) = (BTreeMap::new(), Vec::new());
        for property in properties {
            let key = property.key.clone();
            // In a file of ZooKeeper's own such a prefix is superfluous, and people write it.
            let key = below(&key, "zookeeper.").unwrap_or(&key).to_owned();
            in_right_case(&key, &property)?;
            if key.starts_with(SERVER) {
                servers.push(property);
                continue;
            }
            refuse(&key, &property)?;
            if REFUSED.iter().any(|(name, ..)| is_below(&key, name)) {
                // It says that there be nothing of what would be refused.
            } else if READ.contains(&&*key) {
                if known.insert(key.clone(), property).is_some() {
                    remarks.push(format!("`{key}` is there twice: the last one counts"));
                }
            } else if let Some((_, instead)) =
                WITHOUT_MEANING.iter().find(|(name, _)| is_below(&key, name))
            {
                if !instead.is_empty() {
                    remarks.push(format!("`{key}` has no meaning here: {instead}"));
                }
            } else {
                remarks.push(format!("`{key}` is not known here and ignored: check its spelling"));
            }
        }
        Ok(Self { known, servers })
    }

    fn get(&self, key: &str) -> Option<&Property> {
        self.known.get(key)
    }

    fn line(&self, key: &str) -> usize {
        self.get(key).map_or(1, |property| property.line)
    }

    fn path(&self, key: &str) -> Result<Option<PathBuf>, Complaint> {
        let Some(property) = self.get(key) else { return Ok(None) };
        if property.value.is_empty() {
            return Err(complaint(property, format!("`{key}` is empty, expected a folder")));
        }
        Ok(Some(PathBuf::from(&property.value)))
    }

    /// A number in a range.
    fn number<T>(&self, key: &str, min: T, max: T) -> Result<Option<T>, Complaint>
    where
        T: FromStr + PartialOrd + Display,
    {
        let Some(property) = self.get(key) else { return Ok(None) };
        let number = property.value.parse().ok().filter(|n| *n >= min && *n <= max);
        let found = &property.value;
        let message = || format!("`{key}` is `{found}`, expected {min} to {max}");
        Ok(Some(number.ok_or_else(|| complaint(property, message()))?))
    }

    fn is_true(&self, key: &str) -> Result<bool, Complaint> {
        let Some(property) = self.get(key) else { return Ok(false) };
        match property.value.to_ascii_lowercase().as_str() {
            "true" | "yes" => Ok(true),
            "false" | "no" => Ok(false),
            found => {
                Err(complaint(property, format!("`{key}` is `{found}`, expected true or false")))
            }
        }
    }

    /// The members, of this file or of the one that it names.
    fn members(&self) -> Result<Members, Complaint> {
        let mut servers = self.servers.clone();
        if let Some(named) = self.get("dynamicConfigFile") {
            let text = fs::read_to_string(&named.value).map_err(|error| {
                let message =
                    format!("cannot read {}: {error}: name an existing file", named.value);
                complaint(named, message)
            })?;
            for property in properties::parse(&text) {
                let property = Property { line: named.line, ..property };
                in_right_case(&property.key, &property)?;
                if property.key.starts_with(SERVER) {
                    servers.push(property);
                }
            }
        }
        let mut members = Members::new();
        for property in &servers {
            let number = property.key.trim_start_matches(SERVER);
            let Some(id) = number.parse().ok().and_then(ServerId::new) else {
                let message = format!("`{}`: expected a number from 1 to 255", property.key);
                return Err(complaint(property, message));
            };
            let member = member(property)?;
            let twin =
                members.values().find(|m| (&*m.host, m.port) == (&*member.host, member.port));
            if let Some(twin) = twin {
                let message = format!("`{}` has the address of line {}", property.key, twin.line);
                return Err(complaint(property, message));
            }
            if members.insert(id, member).is_some() {
                return Err(complaint(property, format!("`{}` is there twice", property.key)));
            }
        }
        Ok(members)
    }

    /// The content of `myid`, where there is more than one server.
    fn who_am_i(&self, data: &Path, members: &Members) -> Result<ServerId, Complaint> {
        if members.len() <= 1 {
            let only = members.first_key_value().map(|(id, _)| *id);
            return Ok(only.or(ServerId::new(1)).expect("1 is a server's number"));
        }
        let file = data.join("myid");
        let wrong = |message| Complaint { line: self.line("dataDir"), message };
        let text = fs::read_to_string(&file).map_err(|error| {
            let file = file.display();
            wrong(match error.kind() {
                io::ErrorKind::NotFound => {
                    format!("{file} is missing: write the number of this server into it")
                }
                _ => format!("cannot read {file}: {error}: check its owner"),
            })
        })?;
        let id = text.trim().parse().ok().and_then(ServerId::new);
        let file = file.display();
        let id = id.ok_or_else(|| wrong(format!("{file}: expected a number from 1 to 255")))?;
        let Some(member) = members.get(&id) else {
            let number = id.number();
            return Err(wrong(format!("{file} says {number}, and there is no `server.{number}`")));
        };
        let observes = self.get("peerType").map(|property| property.value == "observer");
        if observes.is_some_and(|observes| observes != member.observes) {
            let message = format!("`peerType` contradicts line {}: change one", member.line);
            return Err(Complaint { line: self.line("peerType"), message });
        }
        Ok(id)
    }

    /// The core's configuration, and where the peers are.
    fn timing(
        &self,
        me: ServerId,
        members: &Members,
    ) -> Result<(ServerConfig, BTreeMap<ServerId, Address>), Complaint> {
        let with = |observes| {
            let of = members.iter().filter(move |(_, member)| member.observes == observes);
            of.map(|(id, _)| *id)
        };
        let ensemble = match members.len() {
            0 | 1 => Ensemble::new([me], []),
            _ => Ensemble::new(with(false), with(true)),
        };
        let ensemble = ensemble.map_err(|error| {
            let line = members.values().map(|member| member.line).min().unwrap_or(1);
            Complaint { line, message: format!("the servers are no ensemble: {error}") }
        })?;
        let mut replica = ReplicaConfig::new(me, ensemble);
        replica.tick = self.number("tickTime", 10, DAY_MS)?.map_or(replica.tick, Millis);
        let limit = replica.init_limit_ticks;
        replica.init_limit_ticks = self.number("initLimit", 1, 10_000)?.unwrap_or(limit);
        let limit = replica.sync_limit_ticks;
        replica.sync_limit_ticks = self.number("syncLimit", 1, 10_000)?.unwrap_or(limit);
        let entries = replica.snapshot_every_entries;
        replica.snapshot_every_entries =
            self.number("snapCount", 2, usize::MAX)?.unwrap_or(entries);
        let mut server = ServerConfig::new(replica);
        for (key, value) in [
            ("minSessionTimeout", &mut server.session_timeout_min),
            ("maxSessionTimeout", &mut server.session_timeout_max),
        ] {
            // -1 stands for the default.
            if self.get(key).is_none_or(|property| property.value != "-1") {
                *value = self.number(key, 1, DAY_MS)?.map_or(*value, Millis);
            }
        }
        let (min, max) = (server.session_timeout_min, server.session_timeout_max);
        if min > max {
            let line = self.line("maxSessionTimeout").max(self.line("minSessionTimeout"));
            let message = format!("sessions last {min} to {max}, expected the longest last");
            return Err(Complaint { line, message });
        }
        let everywhere = self.is_true("quorumListenOnAllIPs")?;
        let address = |(id, member): (&ServerId, &Member)| {
            let host = if everywhere && *id == me { "0.0.0.0" } else { &*member.host };
            (*id, Address::from(format!("{host}:{}", member.port).as_str()))
        };
        let peers =
            if members.len() > 1 { members.iter().map(address).collect() } else { BTreeMap::new() };
        Ok((server, peers))
    }

    /// Behind the semicolon of our own `server.N`, or by keys of its own.
    fn client_address(&self, me: ServerId, members: &Members) -> Result<Address, Complaint> {
        let bind = self.get("clientPortAddress").map(|property| property.value.clone());
        let clients = members.get(&me).and_then(|member| member.clients.clone());
        let port = self.number("clientPort", 0, u16::MAX)?;
        let (host, port) = match (clients, port) {
            (Some((_, listed)), Some(port)) if listed != port => {
                let message =
                    format!("`clientPort` is {port}, and `server.` says {listed}: change one");
                return Err(Complaint { line: self.line("clientPort"), message });
            }
            (Some((host, port)), _) => (host.or(bind), port),
            (None, Some(port)) => (bind, port),
            (None, None) => {
                let message = "`clientPort` is missing: name the port for clients".to_owned();
                return Err(Complaint { line: 1, message });
            }
        };
        let host = host.unwrap_or_else(|| "0.0.0.0".to_owned());
        let host =
            if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host };
        Ok(Address::from(format!("{host}:{port}").as_str()))
    }

    fn options(
        &self,
        settings: &mut NodeSettings,
        remarks: &mut Vec<String>,
    ) -> Result<(), Complaint> {
        const CLIENTS_MAX: usize = 1_000_000;
        // 0 stands for no limit.
        let limit = |number| if number == 0 { CLIENTS_MAX } else { number };
        let limits = &mut settings.limits;
        let each = self.number("maxClientCnxns", 0, CLIENTS_MAX)?.map(limit);
        limits.clients_per_address_max = each.unwrap_or(limits.clients_per_address_max);
        let all = self.number("maxCnxns", 0, CLIENTS_MAX)?.filter(|number| *number > 0);
        settings.server.clients_max = all.unwrap_or(settings.server.clients_max);
        let kept = self.number("autopurge.snapRetainCount", 1, 1_000)?;
        settings.storage.snapshots_kept = kept.unwrap_or(settings.storage.snapshots_kept);
        settings.storage.log_file_bytes = LOG_FILE_BYTES;
        settings.server.read_only_mode = self.is_true("readonlymode.enabled")?;
        if let Some(digest) = self.get("DigestAuthenticationProvider.superDigest") {
            if !super::is_digest(&digest.value) {
                let message = "expected user:base64(sha1(user:password)) as the digest";
                return Err(complaint(digest, message.to_owned()));
            }
            settings.server.super_digest = Some(digest.value.as_str().into());
        }
        if let Some(listed) = self.get("4lw.commands.whitelist") {
            settings.server.words.clear();
            for name in listed.value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                let word =
                    <&[u8; 4]>::try_from(name.as_bytes()).ok().and_then(FourLetterWord::parse);
                match (name, word) {
                    ("*", _) => settings.server.words.extend(FourLetterWord::ALL),
                    (_, Some(word)) => {
                        settings.server.words.insert(word);
                    }
                    (name, None) => {
                        remarks.push(format!(
                            "`4lw.commands.whitelist`: `{name}` is not answered here"
                        ));
                    }
                }
            }
            // Clients look for a writable server with it; ZooKeeper adds it, too, in its read-only
            // mode.
            settings.server.words.insert(FourLetterWord::Isro);
        }
        Ok(())
    }
}

/// `host:port:port[:role][;[host:]port]`; the second port and what follows may be left out.
fn member(property: &Property) -> Result<Member, Complaint> {
    let (key, value) = (&property.key, &property.value);
    let expected = |message: &str| complaint(property, format!("`{key}`: {message}"));
    if value.contains('|') {
        return Err(expected("a server has one address here: keep one of those between the bars"));
    }
    let (servers, clients) = match value.split_once(';') {
        Some((servers, clients)) => (servers, Some(clients)),
        None => (&**value, None),
    };
    let form = "expected host:port:port, with `:observer` or `:participant` behind it";
    let (host, rest) = host_of(servers).ok_or_else(|| expected(form))?;
    let mut parts = rest.split(':');
    let port = |part: Option<&str>| part.and_then(|part| part.trim().parse::<u16>().ok());
    let first = port(parts.next()).ok_or_else(|| expected(form))?;
    let mut rest: Vec<&str> = parts.map(str::trim).collect();
    let role = rest.pop_if(|last| last.parse::<u16>().is_err());
    let observes = match role {
        None | Some("participant") => false,
        Some("observer") => true,
        Some(_) => return Err(expected(form)),
    };
    let election_port = match rest[..] {
        [] => None,
        [election] => Some(port(Some(election)).ok_or_else(|| expected(form))?),
        _ => return Err(expected(form)),
    };
    let clients = clients.map(|clients| {
        let clients = clients.trim();
        let (host, port) = match host_of(clients) {
            Some((host, port)) => (Some(host.to_owned()), port),
            None => (None, clients),
        };
        let port = port.parse().map_err(|_| expected("expected `;port` or `;host:port`"))?;
        Ok((host, port))
    });
    let clients = clients.transpose()?;
    let host = host.to_owned();
    Ok(Member { line: property.line, host, port: first, election_port, observes, clients })
}

/// A host, in brackets if it has colons, and what is behind the colon after it.
fn host_of(text: &str) -> Option<(&str, &str)> {
    let end = if text.starts_with('[') { text.find(']')? + 1 } else { text.find(':')? };
    let (host, rest) = text.split_at(end);
    let host = host.trim();
    rest.strip_prefix(':').filter(|_| !host.is_empty()).map(|rest| (host, rest))
}

/// Refuses a key that promises what would not be kept.
fn refuse(key: &str, property: &Property) -> Result<(), Complaint> {
    let value = property.value.to_ascii_lowercase();
    for (name, when, why) in REFUSED {
        let applies = match when {
            When::Always => true,
            When::Is(values) => values.contains(&&*value),
            When::IsNot(values) => !values.contains(&&*value),
        };
        if is_below(key, name) && applies {
            return Err(complaint(property, format!("`{key}` cannot be honoured: {why}")));
        }
    }
    Ok(())
}

/// Refuses a key that is known in another letter case: ZooKeeper ignores it, and whoever wrote it
/// relies on it.
fn in_right_case(key: &str, property: &Property) -> Result<(), Complaint> {
    let known = || {
        let refused = REFUSED.iter().map(|(name, ..)| *name);
        let without_meaning = WITHOUT_MEANING.iter().map(|(name, _)| *name);
        READ.iter().copied().chain(refused).chain(without_meaning).chain([SERVER])
    };
    if known().any(|name| is_below(key, name)) {
        return Ok(());
    }
    let right = known().find_map(|name| {
        let rest = below(key, name)?;
        (rest.is_empty() || name.ends_with('.')).then(|| format!("{name}{rest}"))
    });
    let message = |right| format!("`{key}`: expected `{right}`");
    right.map_or(Ok(()), |right| Err(complaint(property, message(right))))
}

/// What follows on this beginning of a key, in whatever letter case it is.
fn below<'a>(key: &'a str, beginning: &str) -> Option<&'a str> {
    let (head, rest) = key.split_at_checked(beginning.len())?;
    head.eq_ignore_ascii_case(beginning).then_some(rest)
}

/// Whether a key is this one, or below it where that ends in a dot.
fn is_below(key: &str, name: &str) -> bool {
    if name.ends_with('.') { key.starts_with(name) } else { key == name }
}

fn complaint(property: &Property, message: String) -> Complaint {
    Complaint { line: property.line, message }
}

#[cfg(test)]
mod tests;
