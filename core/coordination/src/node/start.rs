//! A node before its start: what it makes of its data folder, file by file.

use super::core::Node;
use super::settings::NodeSettings;
use super::writes::WriteQueue;
use crate::server::Server;
use crate::storage::recovery::RecoverOptions;
use crate::storage::{self, Condition, FileName, Identity, Writer, recover};
use bytes::Bytes;
use mailstorm_shared::machine::{
    Address, Bounds, CoreError, Framing, Output, Port, Recovery, Severity, Start,
};
use mailstorm_shared::{Now, StateHasher, Zxid};
use std::collections::{BTreeMap, VecDeque};

/// The server has no vote, and nobody could give it one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{finding}; there is no other voter to bring this server up to date: {advice}")]
pub struct NoVote {
    /// What recovery found.
    pub finding: String,
    /// What to do.
    pub advice: &'static str,
}

/// A snapshot whose checksums are right makes no sense to the database.
#[derive(Debug, thiserror::Error)]
#[error(
    "the newest snapshot cannot be loaded ({0}): empty the data folder, the leader sends a new one"
)]
struct NotLoaded(crate::data::snapshot::CorruptSnapshot);

/// A node before its start. Its host reads the files it asks for, and carries out its repairs.
pub struct NodeStart {
    settings: NodeSettings,
    identity: Identity,
    /// Files to be read before anything is concluded.
    unread: VecDeque<FileName>,
    /// Snapshots but the newest, oldest first. They are large: one of them is read only if those
    /// that were read do not suffice.
    snapshots: Vec<Zxid>,
    files: BTreeMap<FileName, Option<Bytes>>,
    recovered: Option<(storage::Recovery, Writer)>,
}

impl NodeStart {
    /// A node that is set up like this.
    pub fn new(settings: NodeSettings) -> Self {
        let replica = &settings.server.replica;
        let ensemble = StateHasher::of(&replica.ensemble);
        let identity = Identity { server: replica.me, ensemble };
        Self {
            settings,
            identity,
            unread: VecDeque::new(),
            snapshots: Vec::new(),
            files: BTreeMap::new(),
            recovered: None,
        }
    }

    fn go_on(&mut self) -> Result<Recovery, CoreError> {
        if let Some(name) = self.unread.pop_front() {
            return Ok(Recovery::Read(name.to_string()));
        }
        let replica = &self.settings.server.replica;
        let options = RecoverOptions {
            initialise: self.settings.initialise,
            membership_changed: self.settings.membership_changed,
            entries_before_snapshot: replica.sync_entries_kept,
            defects: replica.defects,
        };
        let recovery = recover(&self.files, &self.snapshots, self.identity, &options)?;
        if recovery.condition == Condition::Damaged
            && let Some(older) = self.snapshots.pop()
        {
            return Ok(Recovery::Read(FileName::Snapshot(older).to_string()));
        }
        if replica.ensemble.is_voter(replica.me) && replica.ensemble.voters().len() == 1 {
            expect_vote(&recovery)?;
        }
        let mut repairs = Vec::new();
        let writer = Writer::open(self.identity, self.settings.storage, &recovery, &mut repairs);
        self.files.clear();
        self.recovered = Some((recovery, writer));
        Ok(Recovery::Repair(repairs))
    }
}

impl Start for NodeStart {
    type Core = Node;

    fn is_ours(name: &str) -> bool {
        FileName::parse(name).is_some()
    }

    fn ports(&self) -> Vec<Port> {
        let NodeSettings { server, limits, peers, client_address, .. } = &self.settings;
        let replica = &server.replica;
        let is_alone = replica.ensemble.servers().all(|server| server == replica.me);
        let clients = Port {
            listen: Some(client_address.clone()),
            framing: Framing::Length { bytes_max: server.frame_bytes_max },
            bounds: Bounds {
                backlog_bytes_held: limits.client_backlog_bytes_held,
                backlog_bytes_max: limits.client_backlog_bytes_max,
            },
        };
        let peers = Port {
            listen: peers.get(&replica.me).filter(|_| !is_alone).cloned(),
            framing: Framing::Checked,
            // A link is never held: it carries what keeps the ensemble together.
            bounds: Bounds {
                backlog_bytes_held: limits.link_backlog_bytes_max,
                backlog_bytes_max: limits.link_backlog_bytes_max,
            },
        };
        vec![clients, peers]
    }

    fn listed(&mut self, names: Vec<String>) -> Result<Recovery, CoreError> {
        for name in names.iter().filter_map(|name| FileName::parse(name)) {
            match name {
                FileName::Snapshot(zxid) => self.snapshots.push(zxid),
                _ => self.unread.push_back(name),
            }
        }
        self.snapshots.sort_unstable();
        self.unread.extend(self.snapshots.pop().map(FileName::Snapshot));
        self.go_on()
    }

    fn read(&mut self, name: &str, content: Option<Bytes>) -> Result<Recovery, CoreError> {
        let name = FileName::parse(name).expect("only files of ours are asked for");
        self.files.insert(name, content);
        self.go_on()
    }

    fn start(
        mut self,
        now: Now,
        entropy: u64,
        bound: &[Option<Address>],
        outputs: &mut Vec<Output>,
    ) -> Result<Node, CoreError> {
        let (recovery, writer) = self.recovered.expect("the folder was read and repaired");
        for finding in &recovery.recovered.findings {
            let text = finding.clone();
            outputs.push(Output::Note { severity: Severity::Warning, text });
        }
        let settings = &mut self.settings;
        let facts = &mut settings.server.host;
        facts.client_port = bound.first().and_then(Option::as_ref).map_or(0, port_of);
        facts.clients_per_address_max = settings.limits.clients_per_address_max;
        facts.peers = settings.peers.iter().map(|(server, at)| (*server, at.0.clone())).collect();
        let mut first = Vec::new();
        let server = Server::new(
            settings.server.clone(),
            recovery.recovered,
            entropy as u32,
            now,
            &mut first,
        )
        .map_err(NotLoaded)?;
        let Identity { ensemble, .. } = self.identity;
        let writes = WriteQueue::new(writer);
        Ok(Node::new(self.settings, ensemble, server, first, writes, now, outputs))
    }
}

/// The port of an address, for whoever asks how the server is configured.
fn port_of(address: &Address) -> u16 {
    let port = address.0.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    port.unwrap_or_default()
}

/// A voter that is alone is admitted by nobody: without a vote it would wait for ever.
fn expect_vote(recovery: &storage::Recovery) -> Result<(), NoVote> {
    if recovery.recovered.state.votes {
        return Ok(());
    }
    let advice = match recovery.condition {
        Condition::Empty => "start it with --initialise the first time",
        Condition::Whole | Condition::Damaged => {
            "restore the folder from a copy, or empty it and start with --initialise to begin anew"
        }
    };
    let finding = recovery.recovered.findings.join("; ");
    Err(NoVote { finding, advice })
}
