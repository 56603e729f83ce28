//! A few machines in memory, on which the driver can be watched: a network without delay, disks
//! that wait or fail on command, and a clock that moves when it is told to.

use bytes::Bytes;
use mailstorm_platform::{
    Address, CloseReason, ConnectionId, Disk, Endpoint, NetworkEvent, Platform,
};
use mailstorm_shared::{Instant, Millis, Now, Observation, WallTime};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// All machines and what connects them.
#[derive(Clone)]
pub(super) struct Machines {
    state: Rc<RefCell<State>>,
    progress: Arc<Progress>,
}

/// Raised by every waker: then all tasks are polled again.
#[derive(Default)]
struct Progress(AtomicBool);

impl Wake for Progress {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct State {
    now: Instant,
    random: u64,
    /// Tasks by machine.
    tasks: Vec<(usize, Task)>,
    spawned: Vec<(usize, Task)>,
    mailboxes: Vec<Mailbox>,
    listeners: BTreeMap<Address, usize>,
    connections: BTreeMap<u64, Half>,
    disks: BTreeMap<usize, DiskState>,
    /// What was told and what was sent to strangers, in order.
    told: Vec<String>,
}

#[derive(Default)]
struct Mailbox {
    machine: usize,
    events: VecDeque<NetworkEvent>,
    wake_at: Option<Instant>,
    closed: bool,
}

/// One end of a connection.
struct Half {
    mailbox: usize,
    other: u64,
    open: bool,
    /// The other side takes nothing; this much waits.
    stuck: Option<usize>,
    held: bool,
}

#[derive(Default)]
struct DiskState {
    files: BTreeMap<String, Vec<u8>>,
    /// Syncs wait until it is taken away.
    stalled: bool,
    /// The next sync fails, with this.
    failure: Option<io::ErrorKind>,
    syncs: usize,
    /// So many reads of each file still fail.
    failing_reads: BTreeMap<String, u32>,
    /// How much all files may have together.
    room: Option<usize>,
}

impl DiskState {
    /// Whether a file may get this length.
    fn has_room(&self, name: &str, length: usize) -> io::Result<()> {
        let others = self.files.iter().filter(|(other, _)| *other != name);
        let all = others.map(|(_, file)| file.len()).sum::<usize>() + length;
        let grows = self.files.get(name).is_none_or(|file| file.len() < length);
        match self.room {
            Some(room) if grows && all > room => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }
}

impl Machines {
    pub(super) fn new() -> Self {
        Self { state: Rc::default(), progress: Arc::default() }
    }

    pub(super) fn machine(&self, number: usize) -> Machine {
        self.state.borrow_mut().disks.entry(number).or_default();
        Machine { machines: self.clone(), number }
    }

    /// Polls until nothing moves any more.
    pub(super) fn run(&self) {
        let waker = Waker::from(self.progress.clone());
        let mut context = Context::from_waker(&waker);
        self.progress.0.store(true, Ordering::Relaxed);
        while self.progress.0.swap(false, Ordering::Relaxed) {
            let mut tasks = std::mem::take(&mut self.state.borrow_mut().tasks);
            tasks.retain_mut(|(_, task)| task.as_mut().poll(&mut context).is_pending());
            let mut state = self.state.borrow_mut();
            if !state.spawned.is_empty() {
                self.progress.0.store(true, Ordering::Relaxed);
                tasks.append(&mut state.spawned);
            }
            state.tasks = tasks;
        }
    }

    /// Lets time pass, a few milliseconds at once.
    pub(super) fn pass(&self, span: u64) {
        self.run();
        for _ in 0..span.div_ceil(5) {
            let mut state = self.state.borrow_mut();
            state.now = state.now + Millis(5);
            drop(state);
            self.run();
        }
    }

    /// The machine's process is gone: its tasks, then its connections.
    pub(super) fn kill(&self, machine: usize) {
        let mut tasks = std::mem::take(&mut self.state.borrow_mut().tasks);
        tasks.retain(|(owner, _)| *owner != machine);
        self.state.borrow_mut().tasks = tasks;
        self.run();
    }

    pub(super) fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.state.borrow_mut().told)
    }

    pub(super) fn stall_syncs(&self, machine: usize, stalled: bool) {
        self.disk(machine, |disk| disk.stalled = stalled);
    }

    pub(super) fn fail_next_sync(&self, machine: usize, failure: io::ErrorKind) {
        self.disk(machine, |disk| disk.failure = Some(failure));
    }

    /// The next so many reads of each file that is there fail.
    pub(super) fn fail_reads(&self, machine: usize, count: u32) {
        self.disk(machine, |disk| {
            disk.failing_reads = disk.files.keys().map(|name| (name.clone(), count)).collect();
        });
    }

    pub(super) fn syncs(&self, machine: usize) -> usize {
        self.disk(machine, |disk| disk.syncs)
    }

    /// The disk has room for so much more.
    pub(super) fn leave_room(&self, machine: usize, bytes: usize) {
        self.disk(machine, |disk| {
            disk.room = Some(disk.files.values().map(Vec::len).sum::<usize>() + bytes);
        });
    }

    pub(super) fn lose_disk(&self, machine: usize) {
        self.disk(machine, |disk| disk.files.clear());
    }

    fn disk<T>(&self, machine: usize, act: impl FnOnce(&mut DiskState) -> T) -> T {
        act(self.state.borrow_mut().disks.get_mut(&machine).expect("the machine was made"))
    }

    /// What is sent to this end from now on stays on the way, or (with `false`) arrives.
    pub(super) fn stick(&self, receiver: ConnectionId, stuck: bool) {
        let mut state = self.state.borrow_mut();
        let other = state.connections[&receiver.0].other;
        state.connections.get_mut(&other).unwrap().stuck = stuck.then_some(0);
    }

    /// Whether the other end of this connection takes no bytes from us.
    pub(super) fn is_held(&self, sender: ConnectionId) -> bool {
        let state = self.state.borrow();
        let other = state.connections[&sender.0].other;
        state.connections[&other].held
    }
}

/// One machine, as its process sees it.
#[derive(Clone)]
pub(super) struct Machine {
    machines: Machines,
    number: usize,
}

impl Platform for Machine {
    type Endpoint = MachineEndpoint;
    type Disk = MachineDisk;

    fn now(&self) -> Now {
        let now = self.machines.state.borrow().now;
        Now { monotonic: now, wall: WallTime::UNIX_EPOCH + now.since(Instant::ZERO) }
    }

    fn entropy(&self) -> u64 {
        let mut state = self.machines.state.borrow_mut();
        state.random = state.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.random >> 8
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.machines.state.borrow_mut().spawned.push((self.number, Box::pin(task)));
        self.machines.progress.0.store(true, Ordering::Relaxed);
    }

    fn sleep(&self, span: Millis) -> impl Future<Output = ()> + 'static {
        let machine = self.clone();
        let until = self.now().monotonic + span;
        poll_fn(move |_| match machine.now().monotonic >= until {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
    }

    fn endpoint(&self) -> MachineEndpoint {
        let mut state = self.machines.state.borrow_mut();
        state.mailboxes.push(Mailbox { machine: self.number, ..Mailbox::default() });
        MachineEndpoint { machines: self.machines.clone(), mailbox: state.mailboxes.len() - 1 }
    }

    fn disk(&self) -> MachineDisk {
        MachineDisk(self.clone())
    }

    fn observe(&self, fact: impl Into<Observation>) {
        let (observation, mut state) = (fact.into(), self.machines.state.borrow_mut());
        state.told.push(format!("{} {observation:?}", self.number));
    }
}

pub(super) struct MachineEndpoint {
    machines: Machines,
    mailbox: usize,
}

impl MachineEndpoint {
    fn state<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        self.machines.progress.0.store(true, Ordering::Relaxed);
        act(&mut self.machines.state.borrow_mut())
    }

    /// The next event, if there is one.
    pub(super) fn poll(&self) -> Option<NetworkEvent> {
        self.state(|state| state.next(self.mailbox))
    }
}

impl State {
    fn next(&mut self, mailbox: usize) -> Option<NetworkEvent> {
        let now = self.now;
        let mailbox = &mut self.mailboxes[mailbox];
        if mailbox.wake_at.is_some_and(|at| at <= now) {
            mailbox.wake_at = None;
            return Some(NetworkEvent::Woken);
        }
        mailbox.events.pop_front()
    }

    fn put(&mut self, mailbox: usize, event: NetworkEvent) {
        self.mailboxes[mailbox].events.push_back(event);
    }

    fn close(&mut self, connection: u64, reason: CloseReason) {
        let Some(half) = self.connections.get_mut(&connection) else { return };
        if !std::mem::take(&mut half.open) {
            return;
        }
        let other = half.other;
        let mailbox = half.mailbox;
        // No event of this connection follows for the one who closes.
        let of = |event: &NetworkEvent| match event {
            NetworkEvent::Accepted { connection, .. }
            | NetworkEvent::Connected { connection }
            | NetworkEvent::Received { connection, .. }
            | NetworkEvent::Closed { connection, .. } => connection.0,
            NetworkEvent::Woken => 0,
        };
        self.mailboxes[mailbox].events.retain(|event| of(event) != connection);
        let there = self.connections.get_mut(&other).expect("connections have two ends");
        if std::mem::take(&mut there.open) {
            let mailbox = there.mailbox;
            self.put(mailbox, NetworkEvent::Closed { connection: ConnectionId(other), reason });
        }
    }
}

impl Drop for MachineEndpoint {
    fn drop(&mut self) {
        let number = self.mailbox;
        self.state(|state| {
            state.mailboxes[number].closed = true;
            state.listeners.retain(|_, mailbox| *mailbox != number);
            let ours: Vec<u64> = state
                .connections
                .iter()
                .filter(|(_, half)| half.mailbox == number)
                .map(|(id, _)| *id)
                .collect();
            for connection in ours {
                state.close(connection, CloseReason::Reset);
            }
        });
    }
}

impl Endpoint for MachineEndpoint {
    fn listen(&self, address: &Address) -> io::Result<()> {
        self.state(|state| {
            if state.listeners.contains_key(address) {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            state.listeners.insert(address.clone(), self.mailbox);
            Ok(())
        })
    }

    fn connect(&self, address: &Address) -> ConnectionId {
        self.state(|state| {
            let here = state.connections.len() as u64 + 1;
            let there = here + 1;
            let listening = state.listeners.get(address).copied();
            let open = listening.is_some();
            let half = |mailbox, other| Half { mailbox, other, open, stuck: None, held: false };
            state.connections.insert(here, half(self.mailbox, there));
            state.connections.insert(there, half(listening.unwrap_or(self.mailbox), here));
            let connection = ConnectionId(here);
            let Some(listening) = listening else {
                let reason = CloseReason::Refused;
                state.put(self.mailbox, NetworkEvent::Closed { connection, reason });
                return connection;
            };
            let machine = state.mailboxes[self.mailbox].machine as u8;
            state.put(self.mailbox, NetworkEvent::Connected { connection });
            let listener = address.clone();
            let from = SocketAddr::from(([10, 0, 0, machine], here as u16));
            let connection = ConnectionId(there);
            state.put(listening, NetworkEvent::Accepted { connection, listener, from });
            ConnectionId(here)
        })
    }

    fn send(&self, connection: ConnectionId, bytes: Bytes) {
        self.state(|state| {
            let Some(half) = state.connections.get_mut(&connection.0) else { return };
            if let Some(waiting) = &mut half.stuck {
                *waiting += bytes.len();
                return;
            }
            let other = half.other;
            let there = &state.connections[&other];
            if there.open {
                let (mailbox, connection) = (there.mailbox, ConnectionId(other));
                if state.mailboxes[mailbox].machine == 0 {
                    state.told.push(format!("sent {} bytes", bytes.len()));
                }
                state.put(mailbox, NetworkEvent::Received { connection, bytes });
            }
        });
    }

    fn backlog(&self, connection: ConnectionId) -> usize {
        self.state(|state| state.connections.get(&connection.0).and_then(|half| half.stuck))
            .unwrap_or(0)
    }

    fn hold(&self, connection: ConnectionId, held: bool) {
        self.state(|state| {
            state.connections.get_mut(&connection.0).expect("it is open").held = held
        });
    }

    fn close(&self, connection: ConnectionId) {
        self.state(|state| state.close(connection.0, CloseReason::Closed));
    }

    fn wake_at(&self, at: Option<Instant>) {
        self.state(|state| state.mailboxes[self.mailbox].wake_at = at);
    }

    fn next(&self) -> impl Future<Output = NetworkEvent> {
        poll_fn(|_| match self.machines.state.borrow_mut().next(self.mailbox) {
            Some(event) => {
                self.machines.progress.0.store(true, Ordering::Relaxed);
                Poll::Ready(event)
            }
            None => Poll::Pending,
        })
    }
}

#[derive(Clone)]
pub(super) struct MachineDisk(Machine);

impl MachineDisk {
    async fn act<T>(&self, act: impl FnOnce(&mut DiskState) -> io::Result<T>) -> io::Result<T> {
        self.0.machines.disk(self.0.number, act)
    }
}

fn content<'a>(disk: &'a mut DiskState, name: &str) -> io::Result<&'a mut Vec<u8>> {
    disk.files.get_mut(name).ok_or_else(|| io::ErrorKind::NotFound.into())
}

impl Disk for MachineDisk {
    async fn list(&self) -> io::Result<Vec<String>> {
        self.act(|disk| Ok(disk.files.keys().cloned().collect())).await
    }

    async fn read(&self, name: &str) -> io::Result<Bytes> {
        self.act(|disk| {
            if let Some(left) = disk.failing_reads.get_mut(name).filter(|left| **left > 0) {
                *left -= 1;
                return Err(io::Error::other("I/O error"));
            }
            Ok(Bytes::copy_from_slice(content(disk, name)?))
        })
        .await
    }

    async fn write(&self, name: &str, offset: u64, bytes: Bytes) -> io::Result<()> {
        self.act(|disk| {
            let end = offset as usize + bytes.len();
            disk.has_room(name, end)?;
            let file = disk.files.entry(name.to_owned()).or_default();
            file.resize(file.len().max(end), 0);
            file[offset as usize..end].copy_from_slice(&bytes);
            Ok(())
        })
        .await
    }

    async fn truncate(&self, name: &str, bytes: u64) -> io::Result<()> {
        let resize = |disk: &mut DiskState| {
            disk.has_room(name, bytes as usize)?;
            disk.files.entry(name.to_owned()).or_default().resize(bytes as usize, 0);
            Ok(())
        };
        self.act(resize).await
    }

    async fn sync(&self, name: &str) -> io::Result<()> {
        let (machines, number) = (&self.0.machines, self.0.number);
        poll_fn(|_| match machines.disk(number, |disk| disk.stalled) {
            true => Poll::Pending,
            false => Poll::Ready(()),
        })
        .await;
        self.act(|disk| {
            content(disk, name)?;
            disk.syncs += 1;
            disk.failure.take().map_or(Ok(()), |failure| Err(failure.into()))
        })
        .await
    }

    async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.act(|disk| {
            let file = disk.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
            disk.files.insert(to.to_owned(), file);
            Ok(())
        })
        .await
    }

    async fn remove(&self, name: &str) -> io::Result<()> {
        let remove = |disk: &mut DiskState| {
            disk.files.remove(name);
            Ok(())
        };
        self.act(remove).await
    }

    async fn sync_folder(&self) -> io::Result<()> {
        Ok(())
    }
}
