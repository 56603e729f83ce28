//! What a watch resolves to.
//!
//! Holds: the driver puts an event here before it completes any later reply, so whoever has seen
//! the reply finds the event. A one-shot watch holds one event; a persistent one holds
//! [`EVENTS_WAITING_MAX`] and, when its reader falls behind further, forgets them for one
//! [`WatchItem::Overrun`], which says "anything may have changed: read again".

use mailstorm_session::WatchId;
use mailstorm_wire::client::WatchEvent;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

/// Events that wait for the reader of a persistent watch at most. Lower: a busy reader must read
/// everything again more often. Higher: it works through more events that are outdated.
pub const EVENTS_WAITING_MAX: usize = 1_024;

/// Why a watch will never fire again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum WatchEnd {
    /// The session is over, or the client was dropped.
    #[error("the session is over")]
    SessionLost,
    /// The application removed the watch.
    #[error("the watch was removed")]
    Removed,
}

/// What a persistent watch reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchItem {
    /// Something changed.
    Event(WatchEvent),
    /// The reader fell so far behind that events were forgotten: anything may have changed.
    Overrun,
}

/// How the session learns that a watch was dropped.
pub(crate) trait Forget {
    fn forget(&self, watch: WatchId);
}

/// The events of one watch that were not taken yet.
#[derive(Default)]
pub(crate) struct Inbox {
    waiting: VecDeque<WatchItem>,
    end: Option<WatchEnd>,
    reader: Option<Waker>,
}

/// The driver's end of a watch.
#[derive(Clone, Default)]
pub(crate) struct WatchSlot(Rc<RefCell<Inbox>>);

impl WatchSlot {
    pub(crate) fn deliver(&self, event: WatchEvent) {
        let mut inbox = self.0.borrow_mut();
        if inbox.waiting.len() >= EVENTS_WAITING_MAX {
            inbox.waiting.clear();
            inbox.waiting.push_back(WatchItem::Overrun);
        }
        inbox.waiting.push_back(WatchItem::Event(event));
        Self::wake(inbox);
    }

    pub(crate) fn end(&self, end: WatchEnd) {
        let mut inbox = self.0.borrow_mut();
        inbox.end.get_or_insert(end);
        Self::wake(inbox);
    }

    fn wake(mut inbox: std::cell::RefMut<'_, Inbox>) {
        let reader = inbox.reader.take();
        drop(inbox);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

/// The application's end of a watch.
struct Reader {
    watch: WatchId,
    inbox: Rc<RefCell<Inbox>>,
    session: Weak<dyn Forget>,
}

impl Reader {
    fn poll_next(&self, context: &mut Context<'_>) -> Poll<Result<WatchItem, WatchEnd>> {
        let mut inbox = self.inbox.borrow_mut();
        if let Some(item) = inbox.waiting.pop_front() {
            return Poll::Ready(Ok(item));
        }
        if let Some(end) = inbox.end {
            return Poll::Ready(Err(end));
        }
        inbox.reader = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(session) = self.session.upgrade() {
            session.forget(self.watch);
        }
    }
}

/// A one-shot watch: a future that resolves with the event. Dropping it cancels it.
#[must_use = "a watch that is dropped never fires"]
pub struct Watch(Reader);

/// A persistent watch. Dropping it cancels it here; the server continues to send events until
/// [`crate::Client::remove_watches`] or the next connection.
pub struct WatchStream(Reader);

impl Watch {
    pub(crate) fn new(watch: WatchId, slot: &WatchSlot, session: Weak<dyn Forget>) -> Self {
        Self(Reader { watch, inbox: slot.0.clone(), session })
    }

    /// The event, if it has come already; it stays for whoever awaits the watch.
    pub fn event(&self) -> Option<WatchEvent> {
        match self.0.inbox.borrow().waiting.front() {
            Some(WatchItem::Event(event)) => Some(event.clone()),
            _ => None,
        }
    }

    /// Whether the watch has fired or ended, so that awaiting it would not wait.
    pub fn is_ready(&self) -> bool {
        let inbox = self.0.inbox.borrow();
        !inbox.waiting.is_empty() || inbox.end.is_some()
    }

    /// Resolves when [`Watch::is_ready`]; takes nothing.
    pub(crate) fn poll_ready(&self, context: &Context<'_>) -> Poll<()> {
        if self.is_ready() {
            return Poll::Ready(());
        }
        self.0.inbox.borrow_mut().reader = Some(context.waker().clone());
        Poll::Pending
    }

    pub(crate) fn into_stream(self) -> WatchStream {
        WatchStream(self.0)
    }
}

impl Future for Watch {
    type Output = Result<WatchEvent, WatchEnd>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_next(context).map(|item| match item {
            Ok(WatchItem::Event(event)) => Ok(event),
            Ok(WatchItem::Overrun) => unreachable!("a one-shot watch is told of one event"),
            Err(end) => Err(end),
        })
    }
}

impl WatchStream {
    /// The next thing that happened.
    ///
    /// # Errors
    /// [`WatchEnd`] when no event will follow; all earlier ones were returned before.
    pub async fn next(&mut self) -> Result<WatchItem, WatchEnd> {
        poll_fn(|context| self.0.poll_next(context)).await
    }

    /// An event that has come already, without waiting.
    pub fn try_next(&mut self) -> Option<WatchItem> {
        self.0.inbox.borrow_mut().waiting.pop_front()
    }

    /// Forgets what has happened so far: the reader is about to read everything anyway.
    pub fn clear(&mut self) {
        self.0.inbox.borrow_mut().waiting.clear();
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watch").field(&self.0.watch).finish()
    }
}

impl fmt::Debug for WatchStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WatchStream").field(&self.0.watch).finish()
    }
}
