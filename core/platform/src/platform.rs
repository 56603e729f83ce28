//! What a process needs of the machine it runs on.
//!
//! One process is single-threaded: its tasks share memory with `Rc`, and no future here is `Send`.
//! The network is an [`Endpoint`]: commands return at once, and everything that happens comes back,
//! in order, from [`Endpoint::next`]. So a protocol needs one task, not one per connection.

use bytes::Bytes;
use mailstorm_shared::machine::{Address, CloseReason, ConnectionId};
use mailstorm_shared::{Instant, Millis, Now, Observation};
use std::future::Future;
use std::io;
use std::net::SocketAddr;

/// A machine, as one process sees it. Clones are handles to the same.
pub trait Platform: Clone + 'static {
    /// Its network.
    type Endpoint: Endpoint;
    /// Its disk.
    type Disk: Disk;

    /// Both clocks of this machine.
    fn now(&self) -> Now;
    /// A fresh random number.
    fn entropy(&self) -> u64;
    /// Runs a task until it ends or the process dies.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);
    /// Resolves when the monotonic clock has moved on by `span`.
    fn sleep(&self, span: Millis) -> impl Future<Output = ()> + 'static;
    /// A new endpoint, with a mailbox of its own.
    fn endpoint(&self) -> Self::Endpoint;
    /// The process's data folder.
    fn disk(&self) -> Self::Disk;
    /// Reports a fact to onlookers; must have no effect on the process that reports it.
    fn observe(&self, fact: impl Into<Observation>);
}

/// The network as one protocol of a process sees it: any number of listeners and byte-stream
/// connections, and one timer. Dropping it closes everything.
pub trait Endpoint: 'static {
    /// Accepts connections on an address from now on.
    ///
    /// # Errors
    /// When the address is in use or not ours.
    fn listen(&self, address: &Address) -> io::Result<()>;

    /// The address on which [`Endpoint::listen`] really listens: for port 0, with the port that the
    /// system chose. Events still name the address requested.
    fn bound_address(&self, asked: &Address) -> Address {
        asked.clone()
    }

    /// Begins to connect; [`NetworkEvent::Connected`] or [`NetworkEvent::Closed`] follows, perhaps
    /// only after minutes: callers keep their own deadline.
    fn connect(&self, address: &Address) -> ConnectionId;

    /// Queues bytes on an open connection, in order. Bytes to a connection that is gone are
    /// dropped: its `Closed` is on the way.
    fn send(&self, connection: ConnectionId, bytes: Bytes);

    /// Bytes queued that the peer's machine has not taken yet.
    fn backlog(&self, connection: ConnectionId) -> usize;

    /// Stops (or resumes) taking bytes from a connection, so that the sender is held back.
    fn hold(&self, connection: ConnectionId, held: bool);

    /// Closes after what was queued has been sent. No event for this connection follows.
    fn close(&self, connection: ConnectionId);

    /// Requests one [`NetworkEvent::Woken`] at this time on the monotonic clock; replaces an
    /// earlier request, and `None` cancels it.
    fn wake_at(&self, at: Option<Instant>);

    /// The next thing that happened. May be called again after being dropped half-way; never loses
    /// an event.
    fn next(&self) -> impl Future<Output = NetworkEvent>;
}

/// What happens to an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkEvent {
    /// Somebody connected to a listener.
    Accepted {
        /// The new connection, open.
        connection: ConnectionId,
        /// The address it connected to.
        listener: Address,
        /// The peer's address.
        from: SocketAddr,
    },
    /// A connection begun with [`Endpoint::connect`] is open.
    Connected {
        /// Which.
        connection: ConnectionId,
    },
    /// Bytes arrived; how they are cut into pieces means nothing.
    Received {
        /// Where.
        connection: ConnectionId,
        /// At least one.
        bytes: Bytes,
    },
    /// A connection is gone, or could not be opened. Nothing more comes from it.
    Closed {
        /// Which.
        connection: ConnectionId,
        /// Why.
        reason: CloseReason,
    },
    /// The timer.
    Woken,
}

/// A data folder: flat, with names instead of paths. Commands on it take effect in the order in
/// which they are awaited; nothing is durable before the matching sync has returned.
pub trait Disk: Clone + 'static {
    /// The names of all files, sorted.
    fn list(&self) -> impl Future<Output = io::Result<Vec<String>>>;
    /// A file's whole content.
    fn read(&self, name: &str) -> impl Future<Output = io::Result<Bytes>>;
    /// Writes at an offset, creating the file if need be; a gap reads as zeros.
    fn write(&self, name: &str, offset: u64, bytes: Bytes) -> impl Future<Output = io::Result<()>>;
    /// Cuts or lengthens a file, creating it if need be.
    fn truncate(&self, name: &str, bytes: u64) -> impl Future<Output = io::Result<()>>;
    /// Makes a file's content, length and existence under its current name durable.
    fn sync(&self, name: &str) -> impl Future<Output = io::Result<()>>;
    /// Renames, replacing; durable after [`Disk::sync_folder`].
    fn rename(&self, from: &str, to: &str) -> impl Future<Output = io::Result<()>>;
    /// Removes; durable after [`Disk::sync_folder`]. Removing what is not there is no error.
    fn remove(&self, name: &str) -> impl Future<Output = io::Result<()>>;
    /// Makes renames and removals durable.
    fn sync_folder(&self) -> impl Future<Output = io::Result<()>>;
}
