//! What a server can be told at its start, and what it does when it is told nothing.

use crate::data::{DataOptions, WatchBounds};
use crate::replica::ReplicaConfig;
use mailstorm_shared::{Millis, ServerId};
use mailstorm_wire::client::FourLetterWord;
use mailstorm_wire::frame::REQUEST_BYTES_MAX;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The shortest session timeout a client can get, in ticks. As ZooKeeper's `minSessionTimeout`: a
/// session must survive a few lost heartbeats, and the leader hears of it once a tick at best.
pub const SESSION_TIMEOUT_TICKS_MIN: u64 = 2;

/// The longest, in ticks. As ZooKeeper's `maxSessionTimeout`: longer, and the ephemerals of a dead
/// client stand in everybody's way for longer.
pub const SESSION_TIMEOUT_TICKS_MAX: u64 = 20;

/// The longest handshake a client may send. One with its password has 45 bytes; the rest is for
/// what later versions of the protocol may append. Until then nobody has proved to be a client at
/// all.
pub const HANDSHAKE_BYTES_MAX: usize = 1 << 10;

/// How many identities a client may have, that of its address included. They travel with each of
/// its writes. One that wants more is refused as if it had not proved it, which ends the
/// connection.
pub const IDENTITIES_PER_CLIENT_MAX: usize = 32;

/// How many bytes the identities of a client may have together: a name can be as long as a request.
pub const IDENTITY_BYTES_PER_CLIENT_MAX: usize = 16 << 10;

/// Requests of one client that may be under way before its connection is held.
pub const OUTSTANDING_PER_CLIENT_MAX: usize = 1_000;

/// How many bytes they may have together. One request more can come on top, since a client is held
/// when this is reached, and goes on at half of it.
pub const OUTSTANDING_BYTES_PER_CLIENT_MAX: usize = 4 << 20;

/// Requests of one server that may be in flight at the leader before clients that ask for more are
/// held: the part of ZooKeeper's `globalOutstandingLimit`, which is 1,000. At twice as many, what
/// is for the leader waits here. It also bounds the leader, which has at most twice this from each
/// server, and one end of a session for each of its connections.
pub const OUTSTANDING_MAX: usize = 10_000;

/// How many bytes these requests may have together; beyond, the same happens as beyond their
/// number. They are on the link to the leader, which must not break under them, and in the leader's
/// memory.
pub const OUTSTANDING_BYTES_MAX: usize = 16 << 20;

/// How many bytes the requests without an answer may have together, of all clients of a server.
/// Beyond, clients that ask for more are held; at twice as many, their reads are refused as
/// throttled, and whoever asks for more than reads is closed. What one client may have under way,
/// times all clients, would be more than any memory.
pub const WAITING_BYTES_MAX: usize = 256 << 20;

/// Connections of clients that a server keeps. The next one is closed as soon as it is accepted.
pub const CLIENTS_MAX: usize = 10_000;

/// Sessions of the whole ensemble, connected or not; a new one beyond is refused, and its
/// connection closed. Each is in every server's memory. A session outlives its connection, so
/// connections do not bound them.
pub const SESSIONS_MAX: usize = 200_000;

/// How long a connection may say nothing at its beginning, unless the longest session timeout is
/// shorter. As ZooKeeper's `nio.sessionlessCnxnTimeout`: clients speak first, and at once.
pub const SILENCE_MAX: Millis = Millis(10_000);

/// How often the leader looks for containers and znodes whose time-to-live is over. As ZooKeeper's
/// `znode.container.checkIntervalMs`.
pub const SWEEP_EVERY: Millis = Millis(60_000);

/// How many znodes one sweep deletes at most. As ZooKeeper's `znode.container.maxPerMinute`.
pub const SWEEP_COUNT_MAX: usize = 10_000;

/// The size of a snapshot's pieces. Smaller pieces let more transactions in between; larger ones
/// have less overhead. It is also what one step may add to its output beyond the rest.
pub const SNAPSHOT_CHUNK_BYTES: usize = 64 * 1024;

/// How one server is set up.
#[derive(Clone, Debug, Hash)]
pub struct ServerConfig {
    /// The ensemble, and the timing of agreement.
    pub replica: ReplicaConfig,
    /// Rules of the tree.
    pub data: DataOptions,
    /// The shortest session timeout granted.
    pub session_timeout_min: Millis,
    /// The longest session timeout granted.
    pub session_timeout_max: Millis,
    /// How long a connection may wait for its session.
    pub handshake_timeout: Millis,
    /// How long a connection may say nothing at its beginning. See [`SILENCE_MAX`].
    pub silence_max: Millis,
    /// See [`CLIENTS_MAX`].
    pub clients_max: usize,
    /// See [`SESSIONS_MAX`].
    pub sessions_max: usize,
    /// See [`OUTSTANDING_PER_CLIENT_MAX`].
    pub outstanding_per_client_max: usize,
    /// See [`OUTSTANDING_MAX`].
    pub outstanding_max: usize,
    /// See [`OUTSTANDING_BYTES_PER_CLIENT_MAX`].
    pub outstanding_bytes_per_client_max: usize,
    /// See [`OUTSTANDING_BYTES_MAX`].
    pub outstanding_bytes_max: usize,
    /// See [`WAITING_BYTES_MAX`].
    pub waiting_bytes_max: usize,
    /// The longest frame a client may send, by default and at most [`REQUEST_BYTES_MAX`]: a znode's
    /// largest data fits, and whatever it becomes on its way to the leader fits a frame there.
    pub frame_bytes_max: usize,
    /// What one client may watch.
    pub watches: WatchBounds,
    /// Whether a server without a leader serves reads to clients that said they would take them.
    /// Off by default, as in ZooKeeper: what they see may be arbitrarily old.
    pub read_only_mode: bool,
    /// `user:base64(sha1(user:password))` of the user whom no access list stops, if there is one.
    pub super_digest: Option<Arc<str>>,
    /// See [`SWEEP_EVERY`].
    pub sweep_every: Millis,
    /// See [`SWEEP_COUNT_MAX`].
    pub sweep_count_max: usize,
    /// See [`SNAPSHOT_CHUNK_BYTES`].
    pub snapshot_chunk_bytes: usize,
    /// The four-letter words that are answered; all by default. As ZooKeeper's
    /// `4lw.commands.whitelist`.
    pub words: BTreeSet<FourLetterWord>,
    /// What the words show of the host.
    pub host: HostFacts,
}

/// What only the host knows, and `conf` and `envi` show. It has no effect on anything else.
#[derive(Clone, Debug, Default, Hash)]
pub struct HostFacts {
    /// Where clients connect.
    pub client_port: u16,
    /// Where the files are.
    pub data_folder: Arc<str>,
    /// How many connections one address may have.
    pub clients_per_address_max: usize,
    /// Where the peers reach each server, as `host:port`.
    pub peers: BTreeMap<ServerId, Arc<str>>,
    /// Keys and values, in the order in which they are shown.
    pub environment: Vec<(Arc<str>, Arc<str>)>,
}

impl ServerConfig {
    /// The defaults, for this ensemble and timing.
    pub fn new(replica: ReplicaConfig) -> Self {
        let tick = replica.tick.0;
        Self {
            data: DataOptions { defects: replica.defects, ..DataOptions::default() },
            session_timeout_min: Millis(tick * SESSION_TIMEOUT_TICKS_MIN),
            session_timeout_max: Millis(tick * SESSION_TIMEOUT_TICKS_MAX),
            handshake_timeout: Millis(tick * SESSION_TIMEOUT_TICKS_MAX),
            silence_max: SILENCE_MAX.min(Millis(tick * SESSION_TIMEOUT_TICKS_MAX)),
            clients_max: CLIENTS_MAX,
            sessions_max: SESSIONS_MAX,
            outstanding_per_client_max: OUTSTANDING_PER_CLIENT_MAX,
            outstanding_max: OUTSTANDING_MAX,
            outstanding_bytes_per_client_max: OUTSTANDING_BYTES_PER_CLIENT_MAX,
            outstanding_bytes_max: OUTSTANDING_BYTES_MAX,
            waiting_bytes_max: WAITING_BYTES_MAX,
            frame_bytes_max: REQUEST_BYTES_MAX,
            watches: WatchBounds::default(),
            read_only_mode: false,
            super_digest: None,
            sweep_every: SWEEP_EVERY,
            sweep_count_max: SWEEP_COUNT_MAX,
            snapshot_chunk_bytes: SNAPSHOT_CHUNK_BYTES,
            words: FourLetterWord::ALL.into_iter().collect(),
            host: HostFacts::default(),
            replica,
        }
    }

    /// The timeout that a client gets which asks for this one.
    pub(super) fn negotiated(&self, asked_for: Millis) -> Millis {
        // `max` first: should the bounds be swapped by mistake, the upper one wins without a panic.
        asked_for.max(self.session_timeout_min).min(self.session_timeout_max)
    }
}
