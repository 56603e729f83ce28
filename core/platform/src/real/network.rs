//! An [`Endpoint`] of TCP sockets: two tasks for each connection, and one mailbox for all.
//!
//! Holds: what was read and not taken yet is bounded for each connection, so a reader that is
//! faster than the server waits; after [`Endpoint::close`] no event of the connection comes out,
//! even if it was in the mailbox already.

use super::platform::Clock;
use crate::{Address, CloseReason, ConnectionId, Endpoint, NetworkEvent};
use bytes::{Bytes, BytesMut};
use mailstorm_shared::Instant;
use socket2::{SockRef, TcpKeepalive};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Sleep;

/// Bytes of one connection that may wait in the mailbox.
const UNTAKEN_BYTES_MAX: usize = 256 << 10;
/// Bytes read at once.
const READ_BYTES: usize = 16 << 10;
/// Queued pieces are put together up to this size, so that many small replies are few packets.
const WRITE_BYTES: usize = 64 << 10;
/// How long a closed connection may take to send what is queued.
const LINGER: Duration = Duration::from_secs(5);
/// Connections that the system completes before they are accepted. Where more come at once, the
/// system drops them, and each tries again after one second, then two, then four.
const LISTEN_BACKLOG: u32 = 4_096;
/// How long a machine at the other end may take nothing of what was sent, or answer no probe. The
/// default is a quarter of an hour, and two hours where nothing is sent. As long as leader and
/// follower wait for each other by default; no session ends with its connection.
const UNANSWERED_MAX: Duration = Duration::from_secs(10);
/// After how long without a byte the other machine is probed.
const IDLE_MAX: Duration = Duration::from_secs(4);
/// Between two probes.
const PROBE_EVERY: Duration = Duration::from_secs(2);
/// How long to wait when the system has no more connections to give (too many files open).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The network of one process. Dropping it closes everything.
#[derive(Debug)]
pub struct RealEndpoint(Rc<Mailbox>);

#[derive(Debug)]
struct Mailbox {
    clock: Clock,
    events: RefCell<VecDeque<NetworkEvent>>,
    waiting: RefCell<Option<Waker>>,
    connections: RefCell<BTreeMap<ConnectionId, Rc<Connection>>>,
    last_connection: Cell<u64>,
    bound: RefCell<BTreeMap<Address, Address>>,
    listeners: RefCell<Vec<AbortHandle>>,
    wake_at: Cell<Option<Instant>>,
    timer: RefCell<Option<Pin<Box<Sleep>>>>,
}

/// One connection, shared by its tasks and its endpoint.
#[derive(Debug, Default)]
struct Connection {
    outgoing: RefCell<VecDeque<Bytes>>,
    /// Bytes queued and not written.
    backlog: Cell<usize>,
    /// The endpoint has closed it: what is queued is still written.
    closing: Cell<bool>,
    /// There is a socket.
    open: Cell<bool>,
    held: Cell<bool>,
    /// Bytes in the mailbox.
    untaken: Cell<usize>,
    may_read: Notify,
    may_write: Notify,
    tasks: RefCell<Vec<AbortHandle>>,
}

impl RealEndpoint {
    pub(super) fn new(clock: Clock) -> Self {
        Self(Rc::new(Mailbox {
            clock,
            events: RefCell::default(),
            waiting: RefCell::default(),
            connections: RefCell::default(),
            last_connection: Cell::new(0),
            bound: RefCell::default(),
            listeners: RefCell::default(),
            wake_at: Cell::new(None),
            timer: RefCell::default(),
        }))
    }
}

impl Drop for RealEndpoint {
    fn drop(&mut self) {
        for listener in self.0.listeners.borrow().iter() {
            listener.abort();
        }
        for connection in self.0.connections.borrow().values() {
            connection.abort();
        }
    }
}

impl Endpoint for RealEndpoint {
    fn listen(&self, address: &Address) -> io::Result<()> {
        let listener = bind(&address.0)?;
        let bound = Address(listener.local_addr()?.to_string().into());
        self.0.bound.borrow_mut().insert(address.clone(), bound);
        let accepting = tokio::task::spawn_local(accept(self.0.clone(), listener, address.clone()));
        self.0.listeners.borrow_mut().push(accepting.abort_handle());
        Ok(())
    }

    fn bound_address(&self, asked: &Address) -> Address {
        self.0.bound.borrow().get(asked).unwrap_or(asked).clone()
    }

    fn connect(&self, address: &Address) -> ConnectionId {
        let (id, connection) = self.0.new_connection();
        let task = tokio::task::spawn_local(connect(
            self.0.clone(),
            id,
            connection.clone(),
            address.clone(),
        ));
        connection.tasks.borrow_mut().push(task.abort_handle());
        id
    }

    fn send(&self, connection: ConnectionId, bytes: Bytes) {
        if let Some(connection) = self.0.connections.borrow().get(&connection) {
            connection.backlog.set(connection.backlog.get() + bytes.len());
            connection.outgoing.borrow_mut().push_back(bytes);
            connection.may_write.notify_one();
        }
    }

    fn backlog(&self, connection: ConnectionId) -> usize {
        self.0.connections.borrow().get(&connection).map_or(0, |found| found.backlog.get())
    }

    fn hold(&self, connection: ConnectionId, held: bool) {
        if let Some(connection) = self.0.connections.borrow().get(&connection) {
            connection.held.set(held);
            connection.may_read.notify_one();
        }
    }

    fn close(&self, connection: ConnectionId) {
        if let Some(connection) = self.0.connections.borrow_mut().remove(&connection) {
            connection.closing.set(true);
            if !connection.open.get() {
                connection.abort();
            }
            connection.may_read.notify_one();
            connection.may_write.notify_one();
        }
    }

    fn wake_at(&self, at: Option<Instant>) {
        self.0.wake_at.set(at);
        *self.0.timer.borrow_mut() = None;
        self.0.wake();
    }

    fn next(&self) -> impl Future<Output = NetworkEvent> {
        poll_fn(|context| self.0.poll_next(context))
    }
}

impl Mailbox {
    fn poll_next(&self, context: &mut Context<'_>) -> Poll<NetworkEvent> {
        // The timer comes first, or a busy network would hold up an election.
        if let Some(at) = self.wake_at.get()
            && self.clock.now().monotonic >= at
        {
            self.wake_at.set(None);
            *self.timer.borrow_mut() = None;
            return Poll::Ready(NetworkEvent::Woken);
        }
        if let Some(event) = self.take() {
            return Poll::Ready(event);
        }
        *self.waiting.borrow_mut() = Some(context.waker().clone());
        if let Some(at) = self.wake_at.get() {
            let mut timer = self.timer.borrow_mut();
            let timer = timer
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(self.clock.instant(at))));
            if timer.as_mut().poll(context).is_ready() {
                self.wake_at.set(None);
                return Poll::Ready(NetworkEvent::Woken);
            }
        }
        Poll::Pending
    }

    /// The next event of a connection that is still ours.
    fn take(&self) -> Option<NetworkEvent> {
        loop {
            let event = self.events.borrow_mut().pop_front()?;
            let id = match &event {
                NetworkEvent::Accepted { connection, .. }
                | NetworkEvent::Connected { connection }
                | NetworkEvent::Received { connection, .. }
                | NetworkEvent::Closed { connection, .. } => *connection,
                NetworkEvent::Woken => return Some(event),
            };
            let mut connections = self.connections.borrow_mut();
            let Some(connection) = connections.get(&id) else { continue };
            match &event {
                NetworkEvent::Received { bytes, .. } => {
                    connection.untaken.set(connection.untaken.get() - bytes.len());
                    connection.may_read.notify_one();
                }
                NetworkEvent::Closed { .. } => {
                    connection.abort();
                    connections.remove(&id);
                }
                _ => {}
            }
            return Some(event);
        }
    }

    fn put(&self, event: NetworkEvent) {
        self.events.borrow_mut().push_back(event);
        self.wake();
    }

    fn wake(&self) {
        let waiting = self.waiting.borrow_mut().take();
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    fn new_connection(&self) -> (ConnectionId, Rc<Connection>) {
        let id = ConnectionId(self.last_connection.get() + 1);
        self.last_connection.set(id.0);
        let connection = Rc::<Connection>::default();
        self.connections.borrow_mut().insert(id, connection.clone());
        (id, connection)
    }

    /// Starts the two tasks of an open connection.
    fn pump(self: &Rc<Self>, id: ConnectionId, connection: &Rc<Connection>, stream: TcpStream) {
        connection.open.set(true);
        if let Err(error) = set_options(&stream) {
            tracing::debug!(%error, "cannot set a connection's options");
        }
        let (reading, writing) = stream.into_split();
        let reader = read(self.clone(), id, connection.clone(), reading);
        let writer = write(self.clone(), id, connection.clone(), writing);
        let mut tasks = connection.tasks.borrow_mut();
        tasks.push(tokio::task::spawn_local(reader).abort_handle());
        tasks.push(tokio::task::spawn_local(writer).abort_handle());
    }
}

impl Connection {
    fn abort(&self) {
        for task in self.tasks.borrow().iter() {
            task.abort();
        }
    }
}

/// What every connection has.
fn set_options(stream: &TcpStream) -> io::Result<()> {
    // Requests and replies are small, and somebody waits for each.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let alive = TcpKeepalive::new().with_time(IDLE_MAX).with_interval(PROBE_EVERY);
    socket.set_tcp_keepalive(&alive)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(UNANSWERED_MAX))?;
    Ok(())
}

/// Listens on the first address of this name that can be had.
fn bind(address: &str) -> io::Result<TcpListener> {
    let mut failure = io::ErrorKind::AddrNotAvailable.into();
    for address in address.to_socket_addrs()? {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A server that is started again must not wait for the connections of its former life.
        // Elsewhere the option means that two processes may share an address.
        if cfg!(unix) {
            socket.set_reuseaddr(true)?;
        }
        match socket.bind(address).and_then(|()| socket.listen(LISTEN_BACKLOG)) {
            Ok(listener) => return Ok(listener),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

async fn accept(mailbox: Rc<Mailbox>, listener: TcpListener, address: Address) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                let (id, connection) = mailbox.new_connection();
                mailbox.put(NetworkEvent::Accepted {
                    connection: id,
                    listener: address.clone(),
                    from: SocketAddr::new(from.ip().to_canonical(), from.port()),
                });
                mailbox.pump(id, &connection, stream);
            }
            Err(error) => {
                tracing::warn!(%address, %error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connect(
    mailbox: Rc<Mailbox>,
    id: ConnectionId,
    connection: Rc<Connection>,
    address: Address,
) {
    let stream = TcpStream::connect(&*address.0).await;
    match stream {
        Ok(stream) => {
            mailbox.put(NetworkEvent::Connected { connection: id });
            mailbox.pump(id, &connection, stream);
        }
        Err(error) => {
            tracing::debug!(%address, %error, "cannot connect");
            let reason = match error.kind() {
                io::ErrorKind::TimedOut => CloseReason::TimedOut,
                _ => CloseReason::Refused,
            };
            mailbox.put(NetworkEvent::Closed { connection: id, reason });
        }
    }
}

async fn read(
    mailbox: Rc<Mailbox>,
    id: ConnectionId,
    connection: Rc<Connection>,
    mut stream: OwnedReadHalf,
) {
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    let reason = loop {
        while connection.held.get() || connection.untaken.get() >= UNTAKEN_BYTES_MAX {
            connection.may_read.notified().await;
            if connection.closing.get() {
                return;
            }
        }
        match stream.read_buf(&mut buffer).await {
            Ok(0) => break CloseReason::Closed,
            Ok(count) => {
                connection.untaken.set(connection.untaken.get() + count);
                // A copy of its own: a slice that somebody keeps would keep the whole buffer.
                let bytes = Bytes::copy_from_slice(&buffer);
                buffer.clear();
                mailbox.put(NetworkEvent::Received { connection: id, bytes });
            }
            Err(error) => break reason_of(&error),
        }
        if connection.closing.get() {
            return;
        }
    };
    mailbox.put(NetworkEvent::Closed { connection: id, reason });
}

async fn write(
    mailbox: Rc<Mailbox>,
    id: ConnectionId,
    connection: Rc<Connection>,
    mut stream: OwnedWriteHalf,
) {
    loop {
        let Some(bytes) = connection.next_piece() else {
            if connection.closing.get() {
                // The peer may be gone already: then there is nobody left to notify.
                let _ = stream.shutdown().await;
                connection.abort();
                return;
            }
            connection.may_write.notified().await;
            continue;
        };
        let written = tokio::select! {
            biased;
            written = stream.write_all(&bytes) => written,
            () = connection.lingers_too_long() => Err(io::ErrorKind::TimedOut.into()),
        };
        connection.backlog.set(connection.backlog.get() - bytes.len());
        if let Err(error) = written {
            let reason = reason_of(&error);
            mailbox.put(NetworkEvent::Closed { connection: id, reason });
            if connection.closing.get() {
                connection.abort();
            }
            return;
        }
    }
}

impl Connection {
    /// Resolves some time after the endpoint has closed the connection.
    async fn lingers_too_long(&self) {
        while !self.closing.get() {
            self.may_write.notified().await;
        }
        tokio::time::sleep(LINGER).await;
    }

    /// What to write next: small pieces together.
    fn next_piece(&self) -> Option<Bytes> {
        let mut outgoing = self.outgoing.borrow_mut();
        let first = outgoing.pop_front()?;
        let Some(second) = outgoing.front() else { return Some(first) };
        if first.len() + second.len() > WRITE_BYTES {
            return Some(first);
        }
        let mut together = BytesMut::with_capacity(WRITE_BYTES);
        together.extend_from_slice(&first);
        while let Some(next) = outgoing.front()
            && together.len() + next.len() <= WRITE_BYTES
        {
            together.extend_from_slice(next);
            outgoing.pop_front();
        }
        Some(together.freeze())
    }
}

fn reason_of(error: &io::Error) -> CloseReason {
    match error.kind() {
        io::ErrorKind::TimedOut => CloseReason::TimedOut,
        io::ErrorKind::UnexpectedEof => CloseReason::Closed,
        _ => CloseReason::Reset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Platform;
    use crate::real::RealPlatform;
    use std::io::Write;

    fn on_loopback<T>(act: impl AsyncFnOnce(RealEndpoint, String) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let endpoint = RealPlatform::without_folder().endpoint();
            let address = Address::from("127.0.0.1:0");
            endpoint.listen(&address).unwrap();
            let bound = endpoint.bound_address(&address).to_string();
            act(endpoint, bound).await
        })
    }

    #[test]
    fn what_is_kept_of_slow_small_writes_is_no_larger_than_they_are() {
        let kept = on_loopback(async |endpoint, address| {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            stream.set_nodelay(true).unwrap();
            let mut kept = Vec::new();
            for _ in 0..200 {
                stream.write_all(&[7; 100]).unwrap();
                loop {
                    if let NetworkEvent::Received { bytes, .. } = endpoint.next().await {
                        kept.push(bytes);
                        break;
                    }
                }
            }
            kept
        });
        let capacity = |bytes: Bytes| bytes.try_into_mut().expect("nobody else has it").capacity();
        let bytes: usize = kept.into_iter().map(capacity).sum();
        assert!(bytes <= 2 * 200 * 100, "{bytes} bytes for 20,000");
    }

    #[test]
    fn a_machine_that_is_gone_is_noticed_on_every_connection() {
        on_loopback(async |_, address| {
            let stream = TcpStream::connect(address).await.unwrap();
            set_options(&stream).unwrap();
            let socket = SockRef::from(&stream);
            assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
            #[cfg(target_os = "linux")]
            {
                assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNANSWERED_MAX));
                assert_eq!(socket.tcp_keepalive_time().unwrap(), IDLE_MAX);
            }
        });
    }
}
