//! How the world runs on madsim: madsim runs the tasks, and when none is left to run, the world
//! makes the next thing happen.
//!
//! Owns: the one timer by which madsim shows that no task has anything to do, the tasks of
//! processes, the run's own task.
//! Holds: the world is never touched by two at once; time moves when every task waits, or when
//! those that do not have taken so long on madsim's clock (50 to 100 ns for each turn) that the
//! next thing is due.
//!
//! 1. Tasks run, in an order drawn by madsim, and request things of the world: each lands in its
//!    queue.
//! 2. Whoever runs last has armed a madsim timer for the queue's head ([`arm`]).
//! 3. No task is left: madsim moves its clock to that timer, whose waker is ours. It lets the head
//!    of the queue happen, right there, and that wakes tasks. Go on with 1.
//!
//! So a message costs one timer and one turn of the task that gets it. A waker of ours may not
//! touch madsim's timers (their lock is held): what starts and stops processes is left to the run's
//! own task.

use crate::queue::Control;
use crate::world::WorldRef;
use madsim::time::{Sleep, TimeHandle};
use std::cell::RefCell;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// How often the run's own task checks, on madsim's clock, whether the timer is armed: it always
/// is, unless a task that was woken vanished before it ran.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

thread_local! {
    /// The run of this thread, for those that madsim gives no way to carry a handle.
    static RUN: RefCell<Option<Run>> = const { RefCell::new(None) };
}

struct Run {
    world: WorldRef,
    timer: Timer,
}

/// The link to madsim's clock.
struct Timer {
    time: TimeHandle,
    /// When madsim's clock began.
    began: Instant,
    /// Adds a timer to madsim's clock whenever it is polled before its deadline; made once, since
    /// making one costs more than polling it.
    sleep: Pin<Box<Sleep>>,
    waker: Waker,
    /// The times for which madsim has a timer of ours, latest first. It cannot take any back.
    armed: Vec<u64>,
}

/// What madsim's timers wake.
struct Clockwork;

impl Wake for Clockwork {
    fn wake(self: Arc<Self>) {
        RUN.with_borrow_mut(|run| {
            if let Some(run) = run {
                run.timer.armed.pop();
                run.world.borrow_mut().happen();
            }
        });
    }
}

/// Makes `world` the one of this thread. To be called within a madsim runtime, once per thread.
pub(crate) fn enter(world: WorldRef) {
    let waker = Waker::from(Arc::new(Clockwork));
    let time = TimeHandle::current();
    let began = time.now_instant() - time.elapsed();
    let sleep = Box::pin(time.sleep(Duration::ZERO));
    let timer = Timer { time, began, sleep, waker, armed: Vec::new() };
    RUN.set(Some(Run { world, timer }));
}

/// Ends this thread's world.
pub(crate) fn leave() {
    RUN.set(None);
}

/// The world of this thread, if there is one.
pub(crate) fn world() -> Option<WorldRef> {
    RUN.with_borrow(|run| run.as_ref().map(|run| run.world.clone()))
}

/// Sees to it that madsim has a timer for the next thing that happens. To be called by every task,
/// and not from a waker.
fn arm() {
    RUN.with_borrow_mut(|run| {
        let Some(Run { world, timer }) = run else { return };
        let world = world.borrow();
        let Some(head) = world.queue.head().filter(|_| !world.over) else { return };
        drop(world);
        timer.arm(head);
    });
}

impl Timer {
    fn arm(&mut self, head: u64) {
        if self.armed.last().is_some_and(|armed| *armed <= head) {
            return;
        }
        self.armed.push(head);
        let mut context = Context::from_waker(&self.waker);
        // `sleep` never waits less than a millisecond; `reset` does.
        self.sleep.as_mut().reset(self.began + Duration::from_nanos(head));
        if self.sleep.as_mut().poll(&mut context).is_ready() {
            // madsim's clock runs a little ahead of ours, since tasks take time on it.
            let soon = self.time.now_instant() + Duration::from_nanos(1);
            self.sleep.as_mut().reset(soon);
            let pending = self.sleep.as_mut().poll(&mut context).is_pending();
            assert!(pending, "a deadline in the future is not reached at once");
        }
    }
}

/// A task of a process.
pub(crate) struct Task<F> {
    world: WorldRef,
    node: usize,
    incarnation: u32,
    /// Taken out when it has ended or panicked.
    future: Option<Pin<Box<F>>>,
}

impl<F: Future<Output = ()>> Task<F> {
    pub(crate) fn new(world: WorldRef, node: usize, incarnation: u32, future: F) -> Self {
        world.borrow_mut().tasks += 1;
        Self { world, node, incarnation, future: Some(Box::pin(future)) }
    }
}

impl<F: Future<Output = ()>> Future for Task<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let (node, incarnation) = (self.node, self.incarnation);
        let may_run = {
            let mut world = self.world.borrow_mut();
            world.is_alive(node, incarnation) && world.polled()
        };
        let Some(future) = self.future.as_mut().filter(|_| may_run) else {
            return Poll::Ready(());
        };
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        match polled {
            Ok(Poll::Pending) => {
                arm();
                Poll::Pending
            }
            Ok(Poll::Ready(())) => {
                self.future = None;
                arm();
                Poll::Ready(())
            }
            Err(_) => {
                // A future that panicked may panic again when it is dropped.
                let dropped = std::panic::catch_unwind(AssertUnwindSafe(|| self.future = None));
                let message = crate::panics::take();
                drop(dropped);
                self.world.borrow_mut().accuse("panic", "panic", &[node], message);
                arm();
                Poll::Ready(())
            }
        }
    }
}

impl<F> Drop for Task<F> {
    fn drop(&mut self) {
        self.future = None;
        self.world.borrow_mut().tasks -= 1;
    }
}

/// The run's own task between two things it has to do.
pub(crate) struct Controls {
    world: WorldRef,
    backstop: Pin<Box<Sleep>>,
    is_set: bool,
}

impl Controls {
    pub(crate) fn new(world: WorldRef) -> Self {
        Self { world, backstop: Box::pin(madsim::time::sleep(LOOK_AGAIN)), is_set: false }
    }

    /// Waits until there is something to do, and takes it.
    pub(crate) async fn next(&mut self) -> Control {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Control> {
        let mut world = self.world.borrow_mut();
        if let Some(control) = world.controls.pop_front() {
            return Poll::Ready(control);
        }
        world.control_waker = Some(context.waker().clone());
        drop(world);
        arm();
        if self.backstop.is_elapsed() {
            self.backstop = Box::pin(madsim::time::sleep(LOOK_AGAIN));
            self.is_set = false;
        }
        if !self.is_set {
            self.is_set = true;
            let pending = self.backstop.as_mut().poll(context).is_pending();
            assert!(pending, "a deadline in the future is not reached at once");
        }
        Poll::Pending
    }
}

/// Lets every other task that can run have a turn.
pub(crate) async fn turn() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Runs a node's program in the node's first task, until it ends.
pub(crate) async fn spawn_program(task: Task<impl Future<Output = ()> + 'static>) {
    task.await;
}

/// Runs a further task of a node. To be called within a madsim node.
pub(crate) fn spawn(task: Task<impl Future<Output = ()> + 'static>) {
    // Dropping the handle detaches the task.
    drop(madsim::task::spawn_local(task));
}
