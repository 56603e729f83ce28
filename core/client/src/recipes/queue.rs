//! The queue of contenders: sequential ephemerals below one znode, served in the order of their
//! numbers.
//!
//! Owns: joining the queue, finding out whose turn it is, leaving it. Leaves: what it is used for
//! to [`super::lock`] and [`super::election`].
//! Holds: one call to [`Line::join`] leaves at most one znode, and none if it fails or is dropped.
//!
//! The znode's name is `<prefix>-<session>-<attempt>-<number>`. Session and attempt say whose it
//! is, so that a create whose reply was lost is found again (ZOOKEEPER-1262); the number alone
//! decides.
//!
//! 1. A client creates its znode; the connection breaks before the reply comes.
//! 2. The client, in the same session, cannot know whether it is in the queue. If it simply tried
//!    again and the first create was done, its first znode would stay as long as the session, and
//!    everybody behind it would wait for a contender that does not know of its turn.
//! 3. So it first waits until the outcome is known ([`Client::settle`]: listing alone could come
//!    too early), then looks for a name with its own session and attempt, and creates again only if
//!    there is none.

use crate::client::{Client, Errands};
use crate::driver::Errand;
use crate::open_acl;
use crate::watch::Watch;
use bytes::Bytes;
use mailstorm_platform::Platform;
use mailstorm_session::CallError;
use mailstorm_shared::{Millis, Zxid, planted};
use mailstorm_wire::client::{CreateMode, Request, Write};
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// How many times a create is tried when the connection breaks, before the caller is told that the
/// outcome is unknown.
pub const CREATE_ATTEMPTS_MAX: u32 = 16;

/// The pause before another search for our znode, after one that failed.
const DOUBT_PAUSE: Millis = Millis(100);

/// A queue of contenders.
pub struct Line<P: Platform> {
    client: Client<P>,
    path: Arc<str>,
    prefix: Arc<str>,
}

/// A place in a queue. Dropping it leaves the queue.
pub struct Place {
    path: Arc<str>,
    token: Zxid,
    errands: Errands,
    left: bool,
}

/// What is ahead of a place.
pub enum Turn {
    /// Nothing. The watch fires when the place itself is deleted.
    Ours(Watch),
    /// Another place. The watch fires when that one is gone.
    Behind(Watch),
    /// The place no longer exists: the session ended, or somebody deleted it.
    Gone,
}

impl<P: Platform> Line<P> {
    /// The queue below `path`, whose znodes begin with `prefix`.
    pub fn new(client: &Client<P>, path: impl Into<Arc<str>>, prefix: impl Into<Arc<str>>) -> Self {
        Self { client: client.clone(), path: path.into(), prefix: prefix.into() }
    }

    /// Joins the queue, with `note` as the znode's data.
    ///
    /// The create runs in a task of its own, so that a caller that gives up while it is in flight
    /// leaves no znode behind.
    ///
    /// # Errors
    /// [`CallError::ConnectionLoss`] only after [`CREATE_ATTEMPTS_MAX`] broken connections; each
    /// create is known to have left nothing.
    pub async fn join(&self, note: Bytes) -> Result<Place, CallError> {
        let hatch = Rc::new(RefCell::new(Hatch::default()));
        let entry = Entry { client: self.client.clone(), line: self.path.clone(), note };
        let prefix = self.prefix.clone();
        let task = hatch.clone();
        self.client.platform().spawn(async move {
            let result = entry.create(&prefix).await;
            // With nobody left to take it, the place is dropped here, which leaves the queue.
            if Rc::strong_count(&task) > 1 {
                let mut hatch = task.borrow_mut();
                hatch.result = Some(result);
                if let Some(taker) = hatch.taker.take() {
                    taker.wake();
                }
            }
        });
        poll_fn(move |context| {
            let mut hatch = hatch.borrow_mut();
            if let Some(result) = hatch.result.take() {
                return Poll::Ready(result);
            }
            hatch.taker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Who is ahead of `place`. At most one other znode is watched, so that a place that is given
    /// up wakes one contender and not the herd.
    ///
    /// # Errors
    /// As for reads.
    pub async fn turn(&self, place: &Place) -> Result<Turn, CallError> {
        loop {
            // Both in flight together: the list, and our own place in it.
            let ours = self.client.exists_and_watch(place.path.clone());
            let line = self.client.children(self.path.clone());
            let (stat, ours) = ours.await?;
            let (names, _) = line.await?;
            if stat.is_none() {
                return Ok(Turn::Gone);
            }
            let own = number_of(&place.path).expect("our place was found by its number");
            let before = names
                .iter()
                .filter(|name| name.starts_with(&*self.prefix))
                .filter_map(|name| Some((number_of(name)?, name)))
                .filter(|(number, _)| *number < own)
                .max();
            let Some((_, before)) = before else { return Ok(Turn::Ours(ours)) };
            let before = format!("{}/{before}", self.path);
            let (stat, watch) = self.client.exists_and_watch(before).await?;
            // Gone since we listed: look again.
            if stat.is_some() {
                return Ok(Turn::Behind(watch));
            }
        }
    }

    /// The client whose session it is.
    pub fn client(&self) -> &Client<P> {
        &self.client
    }
}

impl Place {
    /// The znode.
    pub fn path(&self) -> &Arc<str> {
        &self.path
    }

    /// The transaction that created it: whoever comes later has a higher one.
    pub fn token(&self) -> Zxid {
        self.token
    }

    /// Leaves the queue, and waits until it is done.
    ///
    /// # Errors
    /// As for [`Client::delete_surely`].
    pub async fn leave<P: Platform>(mut self, client: &Client<P>) -> Result<(), CallError> {
        self.left = true;
        client.delete_surely(self.path.clone()).await
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.left {
            let delete = Write::Delete { path: self.path.clone(), version: -1 };
            self.errands.leave(Errand::Request(Request::Write(delete)));
        }
    }
}

/// Where the entering task puts its result.
#[derive(Default)]
struct Hatch {
    result: Option<Result<Place, CallError>>,
    taker: Option<Waker>,
}

/// An attempt to join the queue.
struct Entry<P: Platform> {
    client: Client<P>,
    line: Arc<str>,
    note: Bytes,
}

impl<P: Platform> Entry<P> {
    async fn create(&self, prefix: &str) -> Result<Place, CallError> {
        // Without its session the name would not distinguish us from others.
        self.client.session_begun().await;
        let (session, attempt) = (self.client.session().0, self.client.unique_number());
        let stem = format!("{prefix}-{session:016x}-{attempt}-");
        let path: Arc<str> = format!("{}/{stem}", self.line).into();
        for _ in 0..CREATE_ATTEMPTS_MAX {
            let mode = CreateMode::EphemeralSequential;
            match self.client.create(path.clone(), self.note.clone(), mode, open_acl()).await {
                Ok((path, stat)) => return Ok(self.place(path, stat.czxid)),
                Err(CallError::ConnectionLoss) => {}
                Err(error) => return Err(error),
            }
            if planted!(self.client.defects(), OrphanedLock) {
                continue;
            }
            if let Some(place) = self.surely_find(&stem).await? {
                return Ok(place);
            }
        }
        Err(CallError::ConnectionLoss)
    }

    /// As [`Entry::find`], for as long as it takes: giving up early could leave a znode behind that
    /// nobody knows of.
    async fn surely_find(&self, stem: &str) -> Result<Option<Place>, CallError> {
        loop {
            match self.find(stem).await {
                Err(CallError::ConnectionLoss | CallError::TooManyOutstanding) => {
                    self.client.platform().sleep(DOUBT_PAUSE).await;
                }
                found => return found,
            }
        }
    }

    /// The znode that an unanswered create has left, if any.
    async fn find(&self, stem: &str) -> Result<Option<Place>, CallError> {
        self.client.settle().await?;
        let (names, _) = self.client.children(self.line.clone()).await?;
        let Some(name) = names.iter().find(|name| name.starts_with(stem)) else {
            return Ok(None);
        };
        let path: Arc<str> = format!("{}/{name}", self.line).into();
        let stat = self.client.exists(path.clone()).await?;
        Ok(stat.map(|stat| self.place(path, stat.czxid)))
    }

    fn place(&self, path: Arc<str>, token: Zxid) -> Place {
        Place { path, token, errands: self.client.errands(), left: false }
    }
}

/// The number at the end of a sequential znode's name.
pub fn number_of(name: &str) -> Option<u64> {
    /// `%010d`, as the service appends it.
    const DIGITS_MIN: usize = 10;
    let digits = name.rsplit(|c: char| !c.is_ascii_digit()).next()?;
    if digits.len() < DIGITS_MIN {
        return None;
    }
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::number_of;

    #[test]
    fn only_the_digits_that_the_service_appended_count() {
        assert_eq!(number_of("/locks/lock-00000000000000ff-3-0000000012"), Some(12));
        assert_eq!(number_of("lock-4294967295"), Some(4_294_967_295));
        assert_eq!(number_of("lock-"), None);
        assert_eq!(number_of("lock-12"), None);
        assert_eq!(number_of(""), None);
    }
}
