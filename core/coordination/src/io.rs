//! All that can reach a server, and all it can ask of its host.

use bytes::Bytes;
use mailstorm_shared::facts::EnsembleFact;
use mailstorm_shared::{Epoch, Instant, ServerId, Zxid};
use mailstorm_wire::peer::{LinkPurpose, PeerMessage};
use mailstorm_wire::txn::Entry;
use std::net::SocketAddr;

/// A client's connection, numbered by the host, never reused within an incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// A link to a peer, numbered by the host, never reused within an incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// A disk command's number. Commands are carried out in order, so one that is done says that all
/// before it are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiskTicket(pub u64);

/// All that can reach a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Time has passed: the moment of the last [`Output::WakeAt`], or later.
    Tick {
        /// A fresh random number, for election jitter.
        jitter: u64,
    },
    /// A client connected. Its first frame must be a handshake or a four-letter word.
    ClientOpened {
        /// The connection.
        client: ClientId,
        /// Where from: the machine for `ip` access lists, the port for whoever asks who is
        /// connected.
        address: SocketAddr,
        /// Fresh random bytes, from which a new session gets its password.
        entropy: [u8; 16],
    },
    /// A client sent a frame (without its length prefix).
    ClientFrame {
        /// The connection.
        client: ClientId,
        /// The frame's body.
        frame: Bytes,
    },
    /// A client sent a four-letter word instead of a handshake.
    ClientWord {
        /// The connection.
        client: ClientId,
        /// The word.
        word: mailstorm_wire::client::FourLetterWord,
    },
    /// A client's connection is gone.
    ClientClosed {
        /// The connection.
        client: ClientId,
    },
    /// A link is up; the handshake is done and the peer is who it says.
    LinkUp {
        /// The link.
        link: LinkId,
        /// The other end.
        peer: ServerId,
        /// What for. Election links come up by themselves, whoever opened them; a learner link came
        /// from the peer if `opened_by_us` is false.
        purpose: LinkPurpose,
        /// Whether it answers our [`Output::OpenLearnerLink`].
        opened_by_us: bool,
    },
    /// A link is gone, or the learner link that we asked for could not be opened (then it never was
    /// up and `link` is `None`).
    LinkDown {
        /// The link.
        link: Option<LinkId>,
        /// The other end.
        peer: ServerId,
    },
    /// A message arrived.
    PeerMessage {
        /// The link.
        link: LinkId,
        /// The message.
        message: PeerMessage,
    },
    /// The disk holds everything up to this command of [`Output::Disk`]; of a snapshot that has not
    /// ended, only that its pieces were written.
    DiskDone {
        /// The last command done.
        ticket: DiskTicket,
    },
    /// As [`Input::DiskDone`], of [`Output::DiskAside`].
    AsideDone {
        /// The last command done.
        ticket: DiskTicket,
    },
}

/// All a server asks of its host, to be carried out in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write. Commands are carried out in order and synced together where several wait.
    Disk {
        /// The number that [`Input::DiskDone`] will name.
        ticket: DiskTicket,
        /// The command.
        command: DiskCommand,
    },
    /// Write a part of our own snapshot, for which no acknowledgement waits: beside what
    /// [`Output::Disk`] asks for, and not before what that asked for earlier is on disk. A leader's
    /// snapshot that begins voids one of ours that has not ended; its commands may be dropped then.
    DiskAside {
        /// The number that [`Input::AsideDone`] will name.
        ticket: DiskTicket,
        /// The command.
        command: DiskCommand,
    },
    /// Open a learner link to a peer; answered by `LinkUp` or `LinkDown`.
    OpenLearnerLink {
        /// Whom to.
        peer: ServerId,
    },
    /// Close a link; no `LinkDown` follows. Messages sent before still leave.
    CloseLink {
        /// Which.
        link: LinkId,
    },
    /// Send one message on each of these links.
    Send {
        /// Where.
        links: Vec<LinkId>,
        /// What; encoded once.
        message: PeerMessage,
    },
    /// Send a client a frame: the body, without its length prefix.
    Respond {
        /// The connection.
        client: ClientId,
        /// The body.
        frame: Bytes,
    },
    /// Send a client plain text and close (the answer to a four-letter word).
    RespondText {
        /// The connection.
        client: ClientId,
        /// The text.
        text: String,
    },
    /// Close a client's connection after what was sent; no `ClientClosed` follows.
    CloseClient {
        /// The connection.
        client: ClientId,
    },
    /// Stop (or resume) reading from a client: it has too much under way.
    HoldClient {
        /// The connection.
        client: ClientId,
        /// Whether to hold.
        held: bool,
    },
    /// Step again at this time at the latest; replaces the time asked for before.
    WakeAt {
        /// On the monotonic clock.
        at: Instant,
    },
    /// Tell onlookers.
    Observe(EnsembleFact),
    /// This server cannot go on; the process must end and may be started again.
    Halt {
        /// Why, in a sentence for the operator.
        reason: String,
    },
}

/// What a server asks of its disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskCommand {
    /// Append an entry to the transaction log.
    Append(Entry),
    /// Cut the log after this transaction.
    Truncate {
        /// The last transaction kept.
        after: Zxid,
    },
    /// Replace the durable promises, atomically.
    SaveState(DurableState),
    /// Begin a snapshot file of our own tree, or of the leader's.
    SnapshotBegin {
        /// Everything up to here is contained.
        zxid: Zxid,
    },
    /// A part of it.
    SnapshotChunk {
        /// As the database made it.
        bytes: Bytes,
    },
    /// The snapshot is complete: make it durable, then drop the log files and snapshots that nobody
    /// needs any more.
    SnapshotEnd {
        /// True when it came from a leader and replaces everything: the old log is dropped whole.
        replaces_log: bool,
    },
}

/// The promises that outlive a crash, apart from the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DurableState {
    /// Zab's `acceptedEpoch`: no earlier epoch's leader is followed.
    pub accepted_epoch: Epoch,
    /// Zab's `currentEpoch`: the epoch whose beginning history is in the log.
    pub current_epoch: Epoch,
    /// Whether this server may vote; false from the loss of data until a leader admits it.
    pub votes: bool,
}

/// What was found on the disk at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The promises. Without any (an empty or damaged disk): epochs 0 and no vote.
    pub state: DurableState,
    /// The newest readable snapshot: its zxid and its chunks, in order.
    pub snapshot: Option<(Zxid, Vec<Bytes>)>,
    /// The log after the snapshot's beginning, oldest first, without a gap; it may reach back
    /// before the snapshot so that followers can be brought up to date from it.
    pub log: Vec<Entry>,
    /// Up to here the log is known to be committed, from an earlier life; what was committed later
    /// may be more. Of what is in the snapshot it need not say so.
    pub committed: Zxid,
    /// What was wrong, in sentences for the operator: a torn tail that was cut, damage that cost
    /// the vote.
    pub findings: Vec<String>,
}
