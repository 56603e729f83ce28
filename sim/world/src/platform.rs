//! The machine as one simulated process sees it.
//!
//! Holds: every handle belongs to one incarnation of one process. When that is dead, its handles do
//! nothing: destructors run late, and must touch nobody.

use crate::executor::{Task, spawn};
use crate::network::half::State;
use crate::node::{Life, Window};
use crate::queue::Control;
use crate::slab::Id;
use crate::world::{World, WorldRef};
use bytes::Bytes;
use mailstorm_platform::{Address, ConnectionId, Disk, Endpoint, NetworkEvent, Platform};
use mailstorm_record::NodeName;
use mailstorm_shared::{Instant, Millis, Now, Observation};
use std::future::{Future, poll_fn};
use std::io;
use std::task::Poll;

/// One process's machine.
#[derive(Clone)]
pub struct SimPlatform {
    world: WorldRef,
    node: usize,
    incarnation: u32,
}

impl SimPlatform {
    pub(crate) fn new(world: WorldRef, node: usize, incarnation: u32) -> Self {
        Self { world, node, incarnation }
    }

    /// Does something to the world, unless this process is dead.
    fn with<T>(&self, act: impl FnOnce(&mut World, usize) -> T) -> Option<T> {
        let mut world = self.world.borrow_mut();
        world.is_alive(self.node, self.incarnation).then(|| act(&mut world, self.node))
    }

    /// This node's name.
    pub fn node(&self) -> NodeName {
        self.world.borrow().nodes[self.node].spec.name.clone()
    }

    /// Requests that a process be started on another machine: one that was spare, or whose program
    /// has ended. Returns whether one will be: there is such a machine, and nothing runs on it.
    pub fn start_node(&self, name: &str) -> bool {
        self.with(|world, _| {
            let Some(node) = world.node_named(name) else { return false };
            let machine = &mut world.nodes[node];
            let is_free = machine.down_by.is_empty() && machine.has_power() && !machine.is_asked;
            if machine.life == Life::Up || !is_free {
                return false;
            }
            machine.life = Life::Down;
            machine.is_asked = true;
            machine.wanted = true;
            world.control(Control::Start(node));
            true
        })
        .unwrap_or(false)
    }

    /// Whether all faults of the plan are over, for programs that check at the end whether
    /// everything is as they left it.
    pub fn storm_is_over(&self) -> bool {
        self.world.borrow().healed
    }

    /// Shows this process's state to onlookers, for as long as it lives.
    pub fn show(&self, window: impl Window + 'static) {
        self.with(|world, node| world.nodes[node].window = Some(Box::new(window)));
    }

    /// Says why this process is about to end by itself; reported with its end.
    pub fn last_words(&self, why: &str) {
        self.with(|world, node| world.nodes[node].last_words = Some(why.to_owned()));
    }
}

impl Platform for SimPlatform {
    type Endpoint = SimEndpoint;
    type Disk = SimDisk;

    fn now(&self) -> Now {
        let world = self.world.borrow();
        world.nodes[self.node].clock.now(world.now)
    }

    fn entropy(&self) -> u64 {
        self.with(|world, node| world.nodes[node].entropy.number()).unwrap_or(0)
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let alive = self.world.borrow().is_alive(self.node, self.incarnation);
        if alive {
            spawn(Task::new(self.world.clone(), self.node, self.incarnation, task));
        }
    }

    fn sleep(&self, span: Millis) -> impl Future<Output = ()> + 'static {
        let until = self.now().monotonic + span;
        let id = self.with(|world, node| world.sleep(node, until));
        let mut sleep = Sleep { world: self.world.clone(), id };
        poll_fn(move |context| sleep.poll(context.waker()))
    }

    fn endpoint(&self) -> SimEndpoint {
        let id = self.with(|world, node| world.new_endpoint(node));
        SimEndpoint { world: self.world.clone(), node: self.node, id }
    }

    fn disk(&self) -> SimDisk {
        SimDisk { platform: self.clone() }
    }

    fn observe(&self, fact: impl Into<Observation>) {
        self.with(|world, node| world.observe(node, fact.into()));
    }
}

/// A wait for time to pass; forgotten when dropped.
struct Sleep {
    world: WorldRef,
    id: Option<Id>,
}

impl Sleep {
    fn poll(&mut self, waker: &std::task::Waker) -> Poll<()> {
        match self.id {
            Some(id) => self.world.borrow_mut().sleep_poll(id, waker),
            None => Poll::Pending,
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.world.borrow_mut().sleeps.remove(id);
        }
    }
}

/// One protocol's view of the network.
pub struct SimEndpoint {
    world: WorldRef,
    node: usize,
    /// None if the process was dead already.
    id: Option<Id>,
}

impl SimEndpoint {
    fn with<T>(&self, act: impl FnOnce(&mut World, Id) -> T) -> Option<T> {
        let id = self.id?;
        let mut world = self.world.borrow_mut();
        world.has_endpoint(id).then(|| act(&mut world, id))
    }

    /// Does something with a connection, if this endpoint still has it.
    fn with_connection<T>(
        &self,
        connection: ConnectionId,
        act: impl FnOnce(&mut World, Id) -> T,
    ) -> Option<T> {
        self.with(|world, endpoint| {
            let id = Id::unpack(connection.0);
            world.owns(endpoint, id).then(|| act(world, id))
        })
        .flatten()
    }
}

impl Endpoint for SimEndpoint {
    fn listen(&self, address: &Address) -> io::Result<()> {
        self.with(|world, id| world.listen(id, address)).unwrap_or(Ok(()))
    }

    fn connect(&self, address: &Address) -> ConnectionId {
        let half = self.with(|world, id| world.connect(id, self.node, address));
        // A dead process gets a number that belongs to nobody.
        half.map_or(ConnectionId(0), World::connection)
    }

    fn send(&self, connection: ConnectionId, bytes: Bytes) {
        self.with_connection(connection, |world, id| world.send(id, bytes));
    }

    fn backlog(&self, connection: ConnectionId) -> usize {
        self.with_connection(connection, |world, id| world.backlog(id)).unwrap_or(0)
    }

    fn hold(&self, connection: ConnectionId, held: bool) {
        self.with_connection(connection, |world, id| world.hold(id, held));
    }

    fn close(&self, connection: ConnectionId) {
        self.with_connection(connection, World::close);
    }

    fn wake_at(&self, at: Option<Instant>) {
        self.with(|world, id| world.wake_at(id, at));
    }

    fn next(&self) -> impl Future<Output = NetworkEvent> {
        // The most travelled way of all: no detour over an `Option`, so that an event is moved
        // once.
        poll_fn(|context| {
            let mut world = self.world.borrow_mut();
            match self.id {
                Some(id) if !world.over => world.next(id, context.waker()),
                _ => Poll::Pending,
            }
        })
    }
}

impl Drop for SimEndpoint {
    fn drop(&mut self) {
        self.with(World::drop_endpoint);
    }
}

impl World {
    /// Whether this half is an endpoint's, and not closed by it.
    fn owns(&self, endpoint: Id, half: Id) -> bool {
        self.half(half).is_some_and(|h| h.endpoint == endpoint && h.state != State::Shut)
    }
}

/// One process's data folder.
#[derive(Clone)]
pub struct SimDisk {
    platform: SimPlatform,
}

impl SimDisk {
    /// Carries out a command on the cache: at once if the disk is well, when it answers otherwise,
    /// never if the process is dead.
    async fn command<T>(&self, act: impl FnOnce(&mut World, usize) -> T) -> T {
        let Self { platform } = self;
        while platform.with(World::disk_is_prompt) == Some(false) {
            let work = platform.with(World::disk_wait);
            // Waiting cannot fail.
            let _ = self.done(work).await;
        }
        match platform.with(act) {
            Some(result) => result,
            None => std::future::pending().await,
        }
    }

    /// Waits for an operation.
    async fn done(&self, work: Option<Id>) -> io::Result<()> {
        let Some(work) = work else { return std::future::pending().await };
        poll_fn(|context| {
            let polled = self.platform.with(|world, _| world.disk_poll(work, context.waker()));
            polled.unwrap_or(Poll::Pending)
        })
        .await
    }

    async fn synced(&self, file: Option<&str>) -> io::Result<()> {
        let work = self.command(|world, node| world.disk_sync(node, file)).await?;
        self.done(Some(work)).await
    }
}

impl Disk for SimDisk {
    async fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.command(|world, node| world.nodes[node].disk.files.list()).await)
    }

    async fn read(&self, name: &str) -> io::Result<Bytes> {
        let work = self
            .command(|world, node| {
                let length = world.nodes[node].disk.files.length(name).unwrap_or(0);
                world.disk_read(node, length)
            })
            .await;
        self.done(Some(work)).await?;
        self.command(|world, node| world.disk_content(node, name)).await
    }

    async fn write(&self, name: &str, offset: u64, bytes: Bytes) -> io::Result<()> {
        self.command(|world, node| world.disk_write(node, name, offset, &bytes)).await
    }

    async fn truncate(&self, name: &str, bytes: u64) -> io::Result<()> {
        self.command(|world, node| {
            world.disk_room(node, name, bytes)?;
            world.nodes[node].disk.files.truncate(name, bytes)
        })
        .await
    }

    async fn sync(&self, name: &str) -> io::Result<()> {
        self.synced(Some(name)).await
    }

    async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.command(|world, node| world.nodes[node].disk.files.rename(from, to)).await
    }

    async fn remove(&self, name: &str) -> io::Result<()> {
        self.command(|world, node| world.nodes[node].disk.files.remove(name)).await;
        Ok(())
    }

    async fn sync_folder(&self) -> io::Result<()> {
        self.synced(None).await
    }
}
