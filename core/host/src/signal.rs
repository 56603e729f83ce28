//! A flag that a task can wait for.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Raised by anybody in the process, awaited by one task.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    raised: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl Signal {
    /// Raises the flag and wakes the task that waits.
    pub(crate) fn raise(&self) {
        self.raised.set(true);
        let waiting = self.waiting.borrow_mut().take();
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    /// Ready when the flag is up; takes it down.
    pub(crate) fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.raised.take() {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.borrow_mut();
        match &mut *waiting {
            Some(waker) => waker.clone_from(context.waker()),
            None => *waiting = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// Waits for the flag and takes it down.
    pub(crate) async fn wait(&self) {
        poll_fn(|context| self.poll(context)).await;
    }
}

/// A handle by which somebody in the process asks a server to end in order. Keep a clone of the one
/// in its settings; each server has its own.
#[derive(Clone, Debug, Default)]
pub struct StopRequest(pub(crate) Rc<Signal>);

impl StopRequest {
    /// Asks. The server takes nothing more from anybody, carries out what its disk still has to do,
    /// sends the answers that follow, and ends.
    pub fn raise(&self) {
        self.0.raise();
    }
}
