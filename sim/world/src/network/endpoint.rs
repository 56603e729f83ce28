//! Endpoints: the mailboxes in which a process finds what happened.

use super::half::{Half, State};
use crate::queue::Due;
use crate::slab::Id;
use crate::world::World;
use bytes::Bytes;
use mailstorm_platform::{Address, CloseReason, NetworkEvent};
use mailstorm_shared::Instant;
use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::task::{Poll, Waker};

/// Where strangers seem to come from.
const STRANGERS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 254);
/// Where the numbers of a caller's ports begin.
const EPHEMERAL_PORTS: u16 = 0xc000;

/// One endpoint's mailbox and timer.
pub(crate) struct Mailbox {
    node: usize,
    items: VecDeque<Item>,
    waker: Option<Waker>,
    /// When it wants to be woken, on its node's monotonic clock.
    timer: Option<Instant>,
    /// The earliest time for which the queue knows of it.
    queued_at: Option<u64>,
    rings: bool,
}

/// What lies in a mailbox.
#[derive(Debug)]
pub(crate) enum Item {
    Accepted { half: Id },
    Connected { half: Id },
    Data { half: Id, bytes: Bytes },
    Closed { half: Id, reason: CloseReason },
}

impl World {
    pub(crate) fn new_endpoint(&mut self, node: usize) -> Id {
        self.network.endpoints.insert(Mailbox {
            node,
            items: VecDeque::new(),
            waker: None,
            timer: None,
            queued_at: None,
            rings: false,
        })
    }

    /// Whether the endpoint's process is there. A process that is gone can request nothing.
    pub(crate) fn has_endpoint(&self, endpoint: Id) -> bool {
        !self.over && self.network.endpoints.get(endpoint).is_some()
    }

    pub(crate) fn listen(&mut self, endpoint: Id, address: &Address) -> io::Result<()> {
        let Some(mailbox) = self.network.endpoints.get(endpoint) else { return Ok(()) };
        let node = &mut self.nodes[mailbox.node];
        let port = match address.0.rsplit_once(':') {
            Some((host, port)) if host == &*node.spec.name.0 => port.parse::<u16>().ok(),
            _ => None,
        };
        let port = port.ok_or(io::ErrorKind::AddrNotAvailable)?;
        if node.listeners.iter().any(|listener| listener.0 == port) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        node.listeners.push((port, endpoint, address.clone()));
        Ok(())
    }

    /// Puts something into a mailbox. What comes for a process that is gone is lost.
    pub(crate) fn put(&mut self, endpoint: Id, item: Item) {
        let Some(mailbox) = self.network.endpoints.get_mut(endpoint) else { return };
        mailbox.items.push_back(item);
        let (node, waker) = (mailbox.node, mailbox.waker.take());
        if let Some(waker) = waker {
            self.wake(node, waker);
        }
    }

    /// The next thing in a mailbox.
    pub(crate) fn next(&mut self, endpoint: Id, waker: &Waker) -> Poll<NetworkEvent> {
        loop {
            let Some(mailbox) = self.network.endpoints.get_mut(endpoint) else {
                return Poll::Pending;
            };
            if std::mem::take(&mut mailbox.rings) {
                return Poll::Ready(NetworkEvent::Woken);
            }
            let Some(item) = mailbox.items.pop_front() else {
                if !mailbox.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
                    mailbox.waker = Some(waker.clone());
                }
                return Poll::Pending;
            };
            let taken = self.take(item);
            if taken.is_ready() {
                return taken;
            }
        }
    }

    /// Turns an item into the event that the process sees; `Pending` if it has closed the
    /// connection, or takes nothing of it at the moment.
    fn take(&mut self, item: Item) -> Poll<NetworkEvent> {
        match item {
            Item::Data { half: id, bytes } => {
                let Some(half) = self.network.halves.get_mut(id) else { return Poll::Pending };
                if half.is_held {
                    half.parked.push_back(Item::Data { half: id, bytes });
                    return Poll::Pending;
                }
                if half.state == State::Shut {
                    return Poll::Pending;
                }
                half.unread -= bytes.len();
                if let Some(sender) = half.peer {
                    self.room_made(sender);
                }
                Poll::Ready(NetworkEvent::Received { connection: Self::connection(id), bytes })
            }
            Item::Accepted { half: id } => {
                let Some(half) = self.seen(id) else { return Poll::Pending };
                let ip = match self.nodes.get(half.to) {
                    Some(machine) => machine.ip,
                    None => STRANGERS.into(),
                };
                let (connection, listener) = (Self::connection(id), half.listener.clone());
                // Machines of the world have no ports of their own for calls: any number will do.
                let from = SocketAddr::new(ip, EPHEMERAL_PORTS | connection.0 as u16);
                Poll::Ready(NetworkEvent::Accepted { connection, listener, from })
            }
            Item::Connected { half: id } => {
                if self.seen(id).is_none() {
                    return Poll::Pending;
                }
                Poll::Ready(NetworkEvent::Connected { connection: Self::connection(id) })
            }
            Item::Closed { half: id, reason } => {
                let Some(half) = self.network.halves.get_mut(id) else { return Poll::Pending };
                if half.state == State::Shut {
                    return Poll::Pending;
                }
                if half.is_held && !half.parked.is_empty() {
                    // What came before it is to be seen before it.
                    half.parked.push_back(Item::Closed { half: id, reason });
                    return Poll::Pending;
                }
                self.free(id);
                Poll::Ready(NetworkEvent::Closed { connection: Self::connection(id), reason })
            }
        }
    }

    /// A connection that its owner has not closed.
    fn seen(&self, id: Id) -> Option<&Half> {
        self.network.halves.get(id).filter(|half| half.state != State::Shut)
    }

    /// A process takes nothing of a connection from now on, or everything again.
    pub(crate) fn hold(&mut self, id: Id, held: bool) {
        let Some(half) = self.network.halves.get_mut(id) else { return };
        half.is_held = held;
        if held || half.parked.is_empty() {
            return;
        }
        let parked = std::mem::take(&mut half.parked);
        let endpoint = half.endpoint;
        let Some(mailbox) = self.network.endpoints.get_mut(endpoint) else { return };
        // What was parked came before everything of this connection that is still in the mailbox.
        for item in parked.into_iter().rev() {
            mailbox.items.push_front(item);
        }
        let (node, waker) = (mailbox.node, mailbox.waker.take());
        if let Some(waker) = waker {
            self.wake(node, waker);
        }
    }

    pub(crate) fn wake_at(&mut self, endpoint: Id, at: Option<Instant>) {
        let Some(mailbox) = self.network.endpoints.get_mut(endpoint) else { return };
        mailbox.timer = at;
        mailbox.rings = false;
        self.arm_timer(endpoint);
    }

    /// Sees to it that the queue knows of a timer, at its time or earlier.
    fn arm_timer(&mut self, endpoint: Id) {
        let Some(mailbox) = self.network.endpoints.get_mut(endpoint) else { return };
        let Some(timer) = mailbox.timer else { return };
        let at = self.nodes[mailbox.node].clock.when(self.now, timer);
        if mailbox.queued_at.is_none_or(|queued| at < queued) {
            mailbox.queued_at = Some(at);
            self.queue.push(at, Due::Timer(endpoint));
        }
    }

    pub(crate) fn timer_due(&mut self, endpoint: Id) {
        let Some(mailbox) = self.network.endpoints.get_mut(endpoint) else { return };
        if mailbox.queued_at.is_some_and(|queued| queued > self.now) {
            // An earlier request, of which the queue still knew.
            return;
        }
        mailbox.queued_at = None;
        let Some(timer) = mailbox.timer else { return };
        if self.nodes[mailbox.node].clock.now(self.now).monotonic < timer {
            return self.arm_timer(endpoint);
        }
        mailbox.timer = None;
        mailbox.rings = true;
        let (node, waker) = (mailbox.node, mailbox.waker.take());
        if let Some(waker) = waker {
            self.wake(node, waker);
        }
    }

    /// A node's clock runs at another speed: its timers may be due earlier than the queue knows.
    pub(crate) fn rearm_timers(&mut self, node: usize) {
        for endpoint in self.network.endpoints.ids(|mailbox| mailbox.node == node) {
            self.arm_timer(endpoint);
        }
    }

    /// An endpoint is dropped by a living process: everything of it closes, in order.
    pub(crate) fn drop_endpoint(&mut self, endpoint: Id) {
        let Some(mailbox) = self.network.endpoints.remove(endpoint) else { return };
        if let Some(node) = self.nodes.get_mut(mailbox.node) {
            node.listeners.retain(|listener| listener.1 != endpoint);
        }
        for id in self.network.halves.ids(|half| half.endpoint == endpoint) {
            self.close(id);
        }
    }

    /// The process on a node is gone.
    pub(crate) fn network_abandon(&mut self, node: usize, told: bool) {
        self.nodes[node].listeners.clear();
        for endpoint in self.network.endpoints.ids(|mailbox| mailbox.node == node) {
            self.network.endpoints.remove(endpoint);
        }
        for id in self.network.halves.ids(|half| half.node == node) {
            self.orphan(id, told);
        }
    }
}
