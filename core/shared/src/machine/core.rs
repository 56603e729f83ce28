//! The core that a host drives, and all that goes in and out of it.

use super::{Address, CloseReason, ConnectionId, DialId, FileOp, Lane, Loads};
use super::{Port, PortId, Writes};
use crate::{Instant, Now, Observation};
use bytes::Bytes;
use std::collections::VecDeque;
use std::error::Error;
use std::net::SocketAddr;

/// One machine's part of a system, as a value that is stepped. It reads no clock, does no I/O,
/// draws no random number, and iterates only over containers with an order.
pub trait Core: 'static {
    /// Takes inputs from the front until none is left, or until it has requested random numbers.
    /// What is to be done about them goes to `outputs`, in the order in which it must happen.
    fn step(&mut self, now: Now, inputs: &mut VecDeque<Input>, outputs: &mut Vec<Output>);

    /// Gives what waits for the disk, once the lane has nothing under way: all of it together, so
    /// that one sync serves all that waits. [`Input::DiskDone`] follows when it is durable.
    fn take_writes(&mut self, lane: Lane, ops: &mut Vec<FileOp>) -> Writes;

    /// A hash of what is worth knowing at a glance: role, epoch, how far it is.
    fn glance(&self) -> u64;

    /// A hash of everything it knows; costs as much as the core is large.
    fn state_hash(&self) -> u64;

    /// Asserts what always holds between two steps.
    ///
    /// # Panics
    /// When it does not: no input may lead there.
    fn invariants(&self);

    /// Tells how much it keeps in memory of everything that could grow, each with the bound that
    /// its configuration promises. It costs the same however much that is.
    fn loads(&self, loads: &mut Loads);
}

/// A core before its start: it knows its configuration, and not yet what its disk holds.
pub trait Start: 'static {
    /// What it becomes.
    type Core: Core;

    /// Whether a file of this name was written by a core of this kind, and not by a stranger.
    fn is_ours(name: &str) -> bool;

    /// The kinds of its connections. Listened to before the data folder is touched, so that an
    /// address in use is found out first.
    fn ports(&self) -> Vec<Port>;

    /// The data folder has these files. Says which to read first.
    ///
    /// # Errors
    /// Why it cannot start from them, with what to do next.
    fn listed(&mut self, names: Vec<String>) -> Result<Recovery, CoreError>;

    /// The content of the file requested; `None` when the disk cannot read it, which is not the
    /// same as an empty file.
    ///
    /// # Errors
    /// As [`Self::listed`].
    fn read(&mut self, name: &str, content: Option<Bytes>) -> Result<Recovery, CoreError>;

    /// Starts: the repairs are durable, and the ports are bound to these addresses. What is to be
    /// done first goes to `outputs`.
    ///
    /// # Errors
    /// As [`Self::listed`].
    fn start(
        self,
        now: Now,
        entropy: u64,
        bound: &[Option<Address>],
        outputs: &mut Vec<Output>,
    ) -> Result<Self::Core, CoreError>;
}

/// How a recovery goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Read this file.
    Read(String),
    /// Everything needed was read: carry out these repairs, and make them durable.
    Repair(Vec<FileOp>),
}

/// Why a core cannot start: one line, with what to do next.
pub type CoreError = Box<dyn Error + Send + Sync>;

/// All that can reach a core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The time set with [`Output::Wake`] has come.
    Tick,
    /// Somebody connected.
    Opened {
        /// The new connection.
        connection: ConnectionId,
        /// The port it connected to.
        port: PortId,
        /// The peer's address.
        from: SocketAddr,
    },
    /// A connection requested with [`Output::Dial`] is open.
    Dialled {
        /// The attempt, which is over.
        dial: DialId,
        /// The connection.
        connection: ConnectionId,
    },
    /// A connection requested with [`Output::Dial`] could not be opened.
    DialFailed {
        /// The attempt, which is over.
        dial: DialId,
        /// Why.
        reason: CloseReason,
    },
    /// A whole frame arrived.
    Frame {
        /// Where.
        connection: ConnectionId,
        /// Its body.
        frame: Bytes,
    },
    /// The bytes received are not a valid frame, so nothing more can be read from this connection.
    /// The core closes it, perhaps after a last message.
    Malformed {
        /// Where.
        connection: ConnectionId,
        /// The first bytes of what should have been a frame.
        prefix: [u8; 4],
        /// What is wrong.
        error: String,
    },
    /// A connection is gone, by the other side or by the network.
    Closed {
        /// Which.
        connection: ConnectionId,
        /// Why.
        reason: CloseReason,
    },
    /// A connection was closed because its peer did not read what was sent.
    Overrun {
        /// Which.
        connection: ConnectionId,
        /// How many bytes were queued.
        backlog: usize,
    },
    /// The answer to [`Output::Draw`].
    Drawn {
        /// As many as were requested, then zeros.
        numbers: [u64; 2],
    },
    /// All that [`Core::take_writes`] gave last for this lane is durable.
    DiskDone {
        /// The lane, which is free now.
        lane: Lane,
    },
}

/// All that a core asks of its host, to be carried out in the order given. What concerns a
/// connection that is gone is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Queue bytes on a connection: whole frames.
    Send {
        /// Where.
        connection: ConnectionId,
        /// What.
        bytes: Bytes,
    },
    /// Connect. [`Input::Dialled`] or [`Input::DialFailed`] follows, perhaps only after minutes.
    Dial {
        /// The attempt.
        dial: DialId,
        /// What kind of connection it will be.
        port: PortId,
        /// Where to.
        address: Address,
    },
    /// Give up an attempt that is neither dialled nor failed yet. Nothing follows.
    GiveUp {
        /// Which.
        dial: DialId,
    },
    /// Close a connection after what was sent. Nothing more comes of it.
    Close {
        /// Which.
        connection: ConnectionId,
    },
    /// Take no more frames from a connection, or take them again.
    Hold {
        /// Which.
        connection: ConnectionId,
        /// Whether to hold.
        held: bool,
    },
    /// Something waits for a lane: call [`Core::take_writes`] as soon as it is free.
    Disk {
        /// Which lane.
        lane: Lane,
    },
    /// Draw random numbers. [`Input::Drawn`] comes before every other input.
    Draw {
        /// How many, one or two.
        count: usize,
    },
    /// Send [`Input::Tick`] at this time; replaces the earlier one.
    Wake {
        /// On the monotonic clock; `None` for never.
        at: Option<Instant>,
    },
    /// Report a fact to onlookers.
    Observe(Observation),
    /// Write a line to the process's log.
    Note {
        /// How much it matters.
        severity: Severity,
        /// The line.
        text: String,
    },
    /// This core cannot go on: the process must end, and may be started again.
    Halt {
        /// Why, in a sentence for the operator.
        reason: String,
    },
}

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Only to someone who searches for a cause.
    Debug,
    /// To every operator.
    Warning,
}
