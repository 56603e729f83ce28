//! The lock: held by the first in a queue of sequential ephemerals.
//!
//! 1. A contender joins the queue ([`super::queue`]) and, if another is ahead of it, waits for that
//!    one alone: when a lock is released, one contender wakes, not all (no herd).
//! 2. When nobody is ahead of it, it holds the lock. The *fencing token* is the `czxid` of its
//!    znode: every later holder has a higher one.
//! 3. The znode lives with the session. When the session ends, the next contender holds the lock,
//!    whether or not the earlier holder knows. A holder that slept through the end of its session
//!    still believes that it holds the lock; the resource must refuse its token once it has seen a
//!    higher one. Nothing on this side of the network could stop it.
//! 4. [`Held::is_held`] is cautious: false already while the connection is lost, since from then on
//!    only a server knows. [`Held::lost`] resolves when it is certain.

use crate::client::Client;
use crate::recipes::queue::{Line, Place, Turn};
use crate::watch::Watch;
use bytes::Bytes;
use mailstorm_platform::Platform;
use mailstorm_session::{CallError, SessionState};
use mailstorm_shared::Zxid;
use mailstorm_shared::znodes::EventKind;
use mailstorm_wire::client::WatchEventKind;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

/// A lock that any number of clients may contend for.
pub struct Lock<P: Platform> {
    line: Line<P>,
}

/// A lock held. Dropping it releases the lock.
pub struct Held<P: Platform> {
    client: Client<P>,
    place: Place,
    /// Fires when the znode is deleted. [`Held::lost`] sets it again when it fires for anything
    /// else.
    watch: RefCell<Watch>,
    gone: Cell<bool>,
}

impl<P: Platform> Lock<P> {
    /// The lock at `path`, a persistent znode that exists (see [`Client::ensure_path`]).
    pub fn new(client: &Client<P>, path: impl Into<Arc<str>>) -> Self {
        Self { line: Line::new(client, path, "lock") }
    }

    /// Waits for the lock. `note` is left in the znode for people who look. Dropping the future
    /// leaves the queue.
    ///
    /// # Errors
    /// [`CallError::SessionExpired`] when the session ends while waiting, or somebody else deleted
    /// the contender's znode; otherwise as for a create.
    pub async fn acquire(&self, note: impl Into<Bytes>) -> Result<Held<P>, CallError> {
        let place = self.line.join(note.into()).await?;
        loop {
            match self.line.turn(&place).await? {
                Turn::Ours(watch) => return Ok(self.held(place, watch)),
                Turn::Behind(watch) => drop(watch.await),
                Turn::Gone => return Err(CallError::SessionExpired),
            }
        }
    }

    /// Takes the lock if nobody holds it or waits for it.
    ///
    /// # Errors
    /// As for [`Lock::acquire`].
    pub async fn try_acquire(&self, note: impl Into<Bytes>) -> Result<Option<Held<P>>, CallError> {
        let place = self.line.join(note.into()).await?;
        match self.line.turn(&place).await? {
            Turn::Ours(watch) => Ok(Some(self.held(place, watch))),
            Turn::Behind(_) => {
                place.leave(self.line.client()).await?;
                Ok(None)
            }
            Turn::Gone => Err(CallError::SessionExpired),
        }
    }

    fn held(&self, place: Place, watch: Watch) -> Held<P> {
        Held {
            client: self.line.client().clone(),
            place,
            watch: RefCell::new(watch),
            gone: Cell::new(false),
        }
    }
}

impl<P: Platform> Held<P> {
    /// The fencing token: higher than that of every earlier holder.
    pub fn token(&self) -> Zxid {
        self.place.token()
    }

    /// The holder's znode.
    pub fn path(&self) -> &Arc<str> {
        self.place.path()
    }

    /// Whether the lock is held, as far as this client can know: connected, and the znode in place.
    /// A process that was paused can still be wrong; see the token. And if somebody wrote to the
    /// znode, its deletion is only noticed while somebody awaits [`Held::lost`].
    pub fn is_held(&self) -> bool {
        self.client.state() == SessionState::Connected && !self.is_taken_away()
    }

    fn is_taken_away(&self) -> bool {
        self.gone.get() || self.watch.borrow().event().is_some_and(|event| is_deletion(event.kind))
    }

    /// Resolves when the lock is lost for good: the session is over, or the znode was deleted.
    pub async fn lost(&self) {
        loop {
            if self.client.state().is_over() || self.is_taken_away() {
                return;
            }
            // Somebody wrote to our znode: it is still there, and must be watched again.
            if self.watch.borrow().is_ready() {
                match self.client.exists_and_watch(self.path().clone()).await {
                    Ok((Some(_), watch)) => drop(self.watch.replace(watch)),
                    Ok((None, _)) => self.gone.set(true),
                    Err(error) if error.is_final() => return,
                    // Too many operations outstanding, or connection after connection lost: try
                    // again.
                    Err(_) => {}
                }
                continue;
            }
            std::future::poll_fn(|context| self.watch.borrow().poll_ready(context)).await;
        }
    }

    /// Releases the lock, and waits until it is done.
    ///
    /// # Errors
    /// [`CallError::SessionExpired`] when it was lost already.
    pub async fn release(self) -> Result<(), CallError> {
        self.place.leave(&self.client).await
    }
}

fn is_deletion(kind: WatchEventKind) -> bool {
    kind == WatchEventKind::Change(EventKind::Deleted)
}
