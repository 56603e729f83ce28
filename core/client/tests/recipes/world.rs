//! A world just large enough for a client: one thread, virtual time, a network of one server, which
//! is the real one, on a disk that is done at once.
//!
//! Holds: nothing ever waits for real time; the order of everything follows from virtual time and
//! the order of asking, so each test runs the same way each time. When nothing can ever happen
//! again and the test is not over, or when virtual time runs away, the test fails.

use crate::network::{Network, ToyEndpoint};
use mailstorm_client::{Client, ClientConfig};
use mailstorm_platform::{Address, Disk, Platform};
use mailstorm_shared::{Instant, Millis, Now, Observation};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// No test needs longer.
const VIRTUAL_MS_MAX: u64 = 600_000;
/// The session timeout of every client; the server grants it.
pub(crate) const SESSION_TIMEOUT: Millis = Millis(1_000);

/// A process: what dies and is cut off as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ProcessId(pub(crate) u32);

pub(crate) type Action = Box<dyn FnOnce(&World)>;
type Task = Pin<Box<dyn Future<Output = ()>>>;

#[derive(Clone)]
pub(crate) struct World(pub(crate) Rc<Inside>);

pub(crate) struct Inside {
    now: Cell<Instant>,
    numbers: Cell<u64>,
    tasks: RefCell<BTreeMap<u64, (ProcessId, Option<Task>)>>,
    ready: Arc<Mutex<VecDeque<u64>>>,
    /// What is due when, in the order of asking at the same time.
    due: RefCell<BTreeMap<(Instant, u64), Action>>,
    observed: RefCell<Vec<(Instant, Observation)>>,
    pub(crate) network: Network,
}

struct TaskWaker {
    task: u64,
    ready: Arc<Mutex<VecDeque<u64>>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.ready.lock().expect("one thread").push_back(self.task);
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let world = Self(Rc::new(Inside {
            now: Cell::new(Instant(1_000)),
            numbers: Cell::new(0),
            tasks: RefCell::default(),
            ready: Arc::default(),
            due: RefCell::default(),
            observed: RefCell::default(),
            network: Network::default(),
        }));
        world.start_server();
        world
    }

    /// Runs a story to its end.
    pub(crate) fn run<T: 'static>(&self, story: impl Future<Output = T> + 'static) -> T {
        let result = Rc::new(RefCell::new(None));
        let slot = result.clone();
        self.spawn(ProcessId(0), async move { *slot.borrow_mut() = Some(story.await) });
        loop {
            self.run_ready();
            if let Some(result) = result.borrow_mut().take() {
                return result;
            }
            let next = self.0.due.borrow_mut().pop_first();
            let ((at, _), action) = next.expect("nothing can ever happen again");
            assert!(at.0 <= VIRTUAL_MS_MAX, "the story takes too long");
            self.0.now.set(at.max(self.now()));
            action(self);
        }
    }

    fn run_ready(&self) {
        loop {
            let next = self.0.ready.lock().expect("one thread").pop_front();
            let Some(number) = next else { return };
            let task = self.0.tasks.borrow_mut().get_mut(&number).and_then(|(_, task)| task.take());
            let Some(mut task) = task else { continue };
            let waker =
                Waker::from(Arc::new(TaskWaker { task: number, ready: self.0.ready.clone() }));
            let ended = task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
            let mut tasks = self.0.tasks.borrow_mut();
            if ended {
                tasks.remove(&number);
            } else if let Some((_, place)) = tasks.get_mut(&number) {
                *place = Some(task);
            }
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.0.now.get()
    }

    pub(crate) fn number(&self) -> u64 {
        self.0.numbers.set(self.0.numbers.get() + 1);
        self.0.numbers.get()
    }

    pub(crate) fn spawn(&self, process: ProcessId, task: impl Future<Output = ()> + 'static) {
        let number = self.number();
        self.0.tasks.borrow_mut().insert(number, (process, Some(Box::pin(task))));
        self.0.ready.lock().expect("one thread").push_back(number);
    }

    /// Does this after so long.
    pub(crate) fn after(&self, span: Millis, action: impl FnOnce(&World) + 'static) {
        let at = (self.now() + span, self.number());
        self.0.due.borrow_mut().insert(at, Box::new(action));
    }

    pub(crate) fn sleep(&self, span: Millis) -> impl Future<Output = ()> + 'static {
        let state = Rc::new(RefCell::new((false, None::<Waker>)));
        let ring = state.clone();
        self.after(span, move |_| {
            let mut state = ring.borrow_mut();
            state.0 = true;
            if let Some(waker) = state.1.take() {
                waker.wake();
            }
        });
        poll_fn(move |context| {
            let mut state = state.borrow_mut();
            if state.0 {
                return Poll::Ready(());
            }
            state.1 = Some(context.waker().clone());
            Poll::Pending
        })
    }

    /// A new process.
    pub(crate) fn process(&self) -> Process {
        Process { world: self.clone(), id: ProcessId(self.number() as u32) }
    }

    /// A client in a process of its own.
    pub(crate) fn client(&self) -> (Process, Client<Process>) {
        let process = self.process();
        (process.clone(), process.client())
    }

    /// What was observed so far.
    pub(crate) fn observed(&self) -> Vec<Observation> {
        self.0.observed.borrow().iter().map(|(_, observation)| observation.clone()).collect()
    }

    pub(crate) fn note(&self, observation: Observation) {
        self.0.observed.borrow_mut().push((self.now(), observation));
    }
}

/// One process's machine.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) world: World,
    pub(crate) id: ProcessId,
}

impl Process {
    /// A client in this process. The server has three addresses, so that there is another to turn
    /// to.
    pub(crate) fn client(&self) -> Client<Process> {
        let servers = ["one:2181", "two:2181", "three:2181"].map(Address::from);
        let mut config = ClientConfig::new(servers);
        config.session_timeout = SESSION_TIMEOUT;
        config.client_number = self.id.0;
        Client::connect(self.clone(), config)
    }

    /// The process dies: its tasks and connections are gone.
    pub(crate) fn kill(&self) {
        let mut tasks = self.world.0.tasks.borrow_mut();
        let (dead, alive) =
            std::mem::take(&mut *tasks).into_iter().partition(|(_, (who, _))| *who == self.id);
        *tasks = alive;
        drop(tasks);
        self.world.cut(self.id);
        // Destructors run only now, when the machine is gone.
        drop::<BTreeMap<u64, (ProcessId, Option<Task>)>>(dead);
    }
}

impl Platform for Process {
    type Endpoint = ToyEndpoint;
    type Disk = NoDisk;

    fn now(&self) -> Now {
        self.world.clocks()
    }
    fn entropy(&self) -> u64 {
        self.world.number().wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.world.spawn(self.id, task);
    }
    fn sleep(&self, span: Millis) -> impl Future<Output = ()> + 'static {
        self.world.sleep(span)
    }
    fn endpoint(&self) -> ToyEndpoint {
        ToyEndpoint::new(self.world.clone(), self.id)
    }
    fn disk(&self) -> NoDisk {
        NoDisk
    }
    fn observe(&self, fact: impl Into<Observation>) {
        self.world.note(fact.into());
    }
}

/// Clients have no disk.
#[derive(Clone)]
pub(crate) struct NoDisk;

fn none<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Disk for NoDisk {
    async fn list(&self) -> io::Result<Vec<String>> {
        none()
    }
    async fn read(&self, _: &str) -> io::Result<bytes::Bytes> {
        none()
    }
    async fn write(&self, _: &str, _: u64, _: bytes::Bytes) -> io::Result<()> {
        none()
    }
    async fn truncate(&self, _: &str, _: u64) -> io::Result<()> {
        none()
    }
    async fn sync(&self, _: &str) -> io::Result<()> {
        none()
    }
    async fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        none()
    }
    async fn remove(&self, _: &str) -> io::Result<()> {
        none()
    }
    async fn sync_folder(&self) -> io::Result<()> {
        none()
    }
}

/// Polls the future for so long, in which it must not resolve, and drops it.
pub(crate) async fn give_up_after<T>(
    world: &World,
    patience: Millis,
    future: impl Future<Output = T>,
) {
    let mut future = std::pin::pin!(future);
    let mut patience = std::pin::pin!(world.sleep(patience));
    std::future::poll_fn(|context| {
        assert!(future.as_mut().poll(context).is_pending(), "nothing is to happen yet");
        patience.as_mut().poll(context)
    })
    .await;
}
