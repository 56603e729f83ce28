//! What scenarios on the coordination service have in common: how a server and a client are set up, and
//! what is checked of the ensemble.

use crate::scale::{LEADER, Scale};
use mailstorm_checkers::{
    Answers, Convergence, Linearizable, Quorum, RealTime, SessionOrder, Sessions, SplitBrain,
    Suite, Watches,
};
use mailstorm_client::ClientConfig;
use mailstorm_coordination::node::{NodeSettings, NodeStart};
use mailstorm_coordination::replica::ReplicaConfig;
use mailstorm_coordination::server::ServerConfig;
use mailstorm_coordination::server::config::SWEEP_EVERY;
use mailstorm_platform::{Address, Platform};
use mailstorm_shared::quorum::majority;
use mailstorm_shared::{Ensemble, Millis, ServerId};
use mailstorm_world::{Limits, NodeSpec, Process, Program};

/// Where servers listen for clients.
pub(crate) const CLIENT_PORT: u16 = 2181;
/// Where servers listen for each other.
pub(crate) const PEER_PORT: u16 = 2888;
/// The usual session timeout of a client.
pub(crate) const SESSION_TIMEOUT: Millis = Millis(6_000);
/// Small enough that a storm sees snapshots, and learners too far behind for anything else.
const SNAPSHOT_EVERY_ENTRIES: usize = 150;
const SYNC_ENTRIES_KEPT: usize = 40;
/// Small enough that a snapshot takes many steps, with writes in between.
const SNAPSHOT_CHUNK_BYTES: usize = 256;
/// Small enough that a storm sees many log files, and that a start reads little.
const LOG_FILE_BYTES: u64 = 64 << 10;
/// Small enough that a storm sees an epoch whose counter is full (ZOOKEEPER-1277).
const EPOCH_ENTRIES_MAX: u32 = 700;
const NS_PER_MS: u64 = 1_000_000;
/// What a node's second session adds to its client number.
pub(crate) const SECOND_SESSION: u32 = 5_000;

/// Servers 1 to `voters`, and observers after them.
pub(crate) fn ensemble_of(voters: u64, observers: u64) -> Ensemble {
    let id = |number| u8::try_from(number).ok().and_then(ServerId::new);
    let ids = |range: std::ops::RangeInclusive<u64>| range.filter_map(id);
    Ensemble::new(ids(1..=voters), ids(voters + 1..=voters + observers))
        .expect("distinct servers, and at least one voter")
}

/// The nodes of an ensemble's servers, named `s` and a number: those that vote, then those that observe.
pub(crate) fn servers(ensemble: &Ensemble) -> impl Iterator<Item = NodeSpec> {
    let voters = ensemble.voters().iter().map(|id| NodeSpec::server(&id.to_string()));
    let observers = ensemble.observers().iter();
    let observers = observers.map(|id| NodeSpec::server(&id.to_string()).called("observer"));
    voters.chain(observers)
}

/// The program of the server node `s1`, `s2`, ..., which as leader sweeps this often.
pub(crate) fn boot_server(process: Process, ensemble: &Ensemble, sweep_every: Millis) -> Program {
    boot(process, ensemble, sweep_every, EPOCH_ENTRIES_MAX, None)
}

/// The same, in a design in which so many servers pass for a majority; `None` for half of them.
pub(crate) fn boot_server_of_quorum(
    process: Process,
    ensemble: &Ensemble,
    quorum: Option<usize>,
) -> Program {
    boot(process, ensemble, SWEEP_EVERY, EPOCH_ENTRIES_MAX, quorum)
}

/// The same, for scenarios with thousands of writes that are not about epochs that are full.
pub(crate) fn boot_server_in_long_epochs(process: Process, ensemble: &Ensemble) -> Program {
    boot(process, ensemble, SWEEP_EVERY, u32::MAX, None)
}

fn boot(
    process: Process,
    ensemble: &Ensemble,
    sweep_every: Millis,
    epoch_entries_max: u32,
    minority_quorum: Option<usize>,
) -> Program {
    let me = server_of(&process.node.0).expect("server nodes are named by their id");
    let mut replica = ReplicaConfig::new(me, ensemble.clone());
    replica.snapshot_every_entries = SNAPSHOT_EVERY_ENTRIES;
    replica.sync_entries_kept = SYNC_ENTRIES_KEPT;
    replica.epoch_entries_max = epoch_entries_max;
    replica.defects = process.defects;
    replica.minority_quorum = minority_quorum;
    let address = |id: ServerId, port| Address::from(&*format!("{id}:{port}"));
    let peers = ensemble.servers().map(|id| (id, address(id, PEER_PORT))).collect();
    let config = ServerConfig {
        sweep_every,
        snapshot_chunk_bytes: SNAPSHOT_CHUNK_BYTES,
        ..ServerConfig::new(replica)
    };
    let mut settings = NodeSettings::new(config, address(me, CLIENT_PORT), peers);
    settings.storage.log_file_bytes = LOG_FILE_BYTES;
    // Only the very first start may take an empty folder for the whole truth: later, it is a lost disk.
    settings.initialise = process.incarnation == 0;
    process.host(NodeStart::new(settings))
}

/// The program of a node, which waits with its first start if another server than would be elected is to lead
/// first. Of servers that know nothing yet an election prefers the one with the highest number, so a majority
/// begins of which the wanted leader is that; the others come when it leads, and follow it.
pub(crate) fn in_order(
    scale: &Scale,
    process: Process,
    boot: impl FnOnce(Process) -> Program + 'static,
) -> Program {
    /// By then whoever began has elected a leader and follows it.
    const LATER: Millis = Millis(2_000);
    let leader = scale.find(LEADER).map_or(0, |setting| setting.value);
    let server = server_of(&process.node.0).map_or(0, |id| u64::from(id.number()));
    let is_late = leader > 0 && server > 0 && process.incarnation == 0 && {
        let first = leader.saturating_sub(majority(scale.get("servers") as usize) as u64);
        !(first + 1..=leader).contains(&server)
    };
    if !is_late {
        return boot(process);
    }
    let platform = process.platform.clone();
    Box::pin(async move {
        platform.sleep(LATER).await;
        boot(process).await;
    })
}

/// The session of a client process, with every server of the ensemble. A process that was started again is
/// another client: its operations are numbered from the beginning.
pub(crate) fn client_config(scale: &Scale, ensemble: &Ensemble, process: &Process) -> ClientConfig {
    /// Keeps the numbers of workers, supervisors and clients apart.
    const PER_LETTER: u32 = 10;
    /// Keeps the numbers of one node's incarnations apart.
    const PER_INCARNATION: u32 = 10_000;
    let node = &*process.node.0;
    let servers = ensemble.servers().map(|id| Address::from(&*format!("{id}:{CLIENT_PORT}")));
    let mut config = ClientConfig::new(servers);
    config.session_timeout = scale.session_timeout();
    config.defects = process.defects;
    let letter = u32::from(node.bytes().next().unwrap_or_default());
    config.client_number =
        process.incarnation * PER_INCARNATION + letter * PER_LETTER + number_in(node).unwrap_or(0);
    config
}

fn number_in(name: &str) -> Option<u32> {
    name.trim_start_matches(|c: char| c.is_ascii_alphabetic()).parse().ok()
}

/// Everything that is to hold of an ensemble and its clients, whatever they do.
pub(crate) fn ensemble_checkers(ensemble: &Ensemble, limits: Limits) -> Suite {
    Suite::new()
        .with(Quorum::new(ensemble.clone()))
        .with(SplitBrain::new())
        .with(Answers::new())
        .with(RealTime::new())
        .with(Linearizable::new())
        .with(SessionOrder::new())
        .with(Sessions::new(ensemble))
        .with(Watches::new())
        .with(Convergence::new(ensemble.clone(), (limits.converge + limits.linger).0 * NS_PER_MS))
}

/// The server that runs on the node of this name.
pub(crate) fn server_of(node: &str) -> Option<ServerId> {
    let number = node.strip_prefix('s')?;
    ServerId::new(number.parse().ok()?)
}
