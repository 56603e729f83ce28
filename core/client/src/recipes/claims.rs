//! Claims: work items that are taken by one worker at a time, taken over from the dead, and
//! finished exactly once.
//!
//! ```text
//!   /path/progress             how far work has been noted: the application's bytes, versioned
//!   /path/open/claim-N         an open item, persistent: header and the application's note
//!   /path/open/claim-N/holder  ephemeral: lives with the holder's session
//!   /path/done/claim-N         a finished item: the same header, and the application's last note
//! ```
//! An item's *note* is the application's own (which mails, since when, how far). Its header says
//! whether it is taken, by which session, in which attempt, and how many times it was taken.
//!
//! Every change of an item is one `multi` with the version the worker knows:
//!
//! 1. *note* `[set progress @v, create open/claim-]`: no two workers note the same work.
//! 2. *take* `[set claim @v, create holder]`: of two workers who both see an item without a living
//!    holder the first one wins; the other finds a version, or a holder, that it did not expect.
//!    The *fencing token* is the `mzxid` of this set: higher for each holder than for all before
//!    it.
//! 3. *renew* `[set claim @v]`: the holder changes the note. A worker whose item was taken over
//!    learns it here, since the version has changed.
//! 4. *finish* `[delete holder, delete claim @v, create done/claim-N, ...]`: together with the
//!    application's own writes, or not at all.
//!
//! A lost reply leaves it open what happened. After [`Client::settle`] the tree has the answer:
//! each change writes the session and a number used once into the header, so a worker recognises
//! its own.

mod claim;
mod item;

use crate::client::{Client, open_acl};
use crate::error::MultiError;
use crate::watch::WatchStream;
use bytes::Bytes;
pub use claim::Claim;
use item::{Header, numbered};
pub use item::{Item, Status};
use mailstorm_platform::Platform;
use mailstorm_session::CallError;
use mailstorm_shared::planted;
use mailstorm_wire::client::{AddWatchMode, CreateMode, ErrorCode, MultiReply, Read, Write};
use std::sync::Arc;

/// How many times a change is tried when the connection breaks, before the caller is told that the
/// outcome is unknown.
pub const ATTEMPTS_MAX: u32 = 16;
/// A write that demands this version is done at any version.
const ANY_VERSION: i32 = -1;
/// Items read with one request.
pub const ITEMS_READ_AT_ONCE: usize = 32;

/// A set of work items below one znode.
pub struct Claims<P: Platform> {
    client: Client<P>,
    progress: Arc<str>,
    open: Arc<str>,
    done: Arc<str>,
}

/// How far work has been noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The application's bytes; empty at the beginning.
    pub bytes: Bytes,
    version: i32,
}

/// Why a claim could not be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// Definite: another worker was first, and nothing was changed.
    #[error("somebody else changed it first")]
    Lost,
    /// Definite: one of the application's own writes was refused, so nothing was done.
    #[error("step {index} of the application's writes was refused: {code}")]
    Step {
        /// Its position among the writes that the application gave.
        index: usize,
        /// Why.
        code: ErrorCode,
    },
    /// The service refused, or its reply is lost for good.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl ClaimError {
    /// Whether nothing was changed, surely.
    pub fn is_definite(self) -> bool {
        match self {
            Self::Lost | Self::Step { .. } => true,
            Self::Call(error) => error.is_definite(),
        }
    }

    /// The error of a multi that begins with `own` steps of this recipe. One of those was refused:
    /// the item, or its holder, is not as we last read it.
    fn of_multi(error: MultiError, own: usize) -> Self {
        match error {
            MultiError::Step { index, .. } if index < own => Self::Lost,
            MultiError::Step { index, code } => Self::Step { index: index - own, code },
            MultiError::Call(error) => Self::Call(error),
        }
    }
}

impl<P: Platform> Claims<P> {
    /// The claims at `path`. See [`Claims::prepare`].
    pub fn new(client: &Client<P>, path: &str) -> Self {
        Self {
            client: client.clone(),
            progress: format!("{path}/progress").into(),
            open: format!("{path}/open").into(),
            done: format!("{path}/done").into(),
        }
    }

    /// Creates the znodes that the items lie in, where they are missing.
    ///
    /// # Errors
    /// As for [`Client::ensure_path`].
    pub async fn prepare(&self) -> Result<(), CallError> {
        for path in [&self.progress, &self.open, &self.done] {
            self.client.ensure_path(path).await?;
        }
        Ok(())
    }

    // ---- noting work

    /// How far work has been noted. It may be old; then [`Claims::note`] says so.
    ///
    /// # Errors
    /// As for a read.
    pub async fn progress(&self) -> Result<Progress, CallError> {
        let (bytes, stat) = self.client.get_data(self.progress.clone()).await?;
        Ok(Progress { bytes: bytes.unwrap_or_default(), version: stat.version })
    }

    /// Notes an item, and that the progress has come from `seen` to `progress`: both or neither.
    ///
    /// # Errors
    /// [`ClaimError::Lost`] when the progress is no longer as `seen`, be it by somebody else or,
    /// after a lost connection, by this very call: the caller reads the progress again in either
    /// case.
    pub async fn note(
        &self,
        note: &Bytes,
        seen: &Progress,
        progress: Bytes,
    ) -> Result<(), ClaimError> {
        let data = Header::NEW.before(note);
        for _ in 0..ATTEMPTS_MAX {
            let writes = vec![
                set(&self.progress, progress.clone(), demanded(&self.client, seen.version)),
                create(
                    format!("{}/claim-", self.open).into(),
                    data.clone(),
                    CreateMode::PersistentSequential,
                ),
            ];
            match self.client.multi(writes).await {
                Ok(_) => return Ok(()),
                // Safe to send again as long as the version of the progress is the same: then the
                // first attempt had no effect.
                Err(MultiError::Call(CallError::ConnectionLoss)) => self.client.settle().await?,
                Err(error) => return Err(ClaimError::of_multi(error, 2)),
            }
        }
        Err(CallError::ConnectionLoss.into())
    }

    // ---- taking work

    /// Takes the oldest item that nobody alive holds. `None`: there is none, for now.
    ///
    /// # Errors
    /// As for a multi; never [`ClaimError::Lost`], since then the next item is tried.
    pub async fn take(&self) -> Result<Option<Claim<P>>, ClaimError> {
        let names = self.names(&self.open).await?;
        for names in names.chunks(ITEMS_READ_AT_ONCE) {
            for item in self.read(&self.open, names).await? {
                if item.is_held {
                    continue;
                }
                match Claim::take(&self.client, &self.open, &self.done, item).await {
                    Err(ClaimError::Lost) => {}
                    claim => return claim.map(Some),
                }
            }
        }
        Ok(None)
    }

    /// Takes an item, waiting for one if need be: for a new one, or for the end of a holder.
    /// `changes` comes from [`Claims::watch`].
    ///
    /// # Errors
    /// As for [`Claims::take`].
    pub async fn take_next(&self, changes: &mut WatchStream) -> Result<Claim<P>, ClaimError> {
        loop {
            // What happened up to here shows in the next read; what happens later wakes us.
            changes.clear();
            if let Some(claim) = self.take().await? {
                return Ok(claim);
            }
            changes.next().await.map_err(|_| CallError::SessionExpired)?;
        }
    }

    /// A watch on everything that happens to open items and their holders.
    ///
    /// # Errors
    /// As for [`Client::add_watch`].
    pub async fn watch(&self) -> Result<WatchStream, CallError> {
        self.client.add_watch(self.open.clone(), AddWatchMode::PersistentRecursive).await
    }

    // ---- looking

    /// All items that are not finished, oldest first.
    ///
    /// # Errors
    /// As for a read.
    pub async fn open_items(&self) -> Result<Vec<Item>, CallError> {
        self.items(&self.open).await
    }

    /// All items that are finished and not swept, oldest first.
    ///
    /// # Errors
    /// As for a read.
    pub async fn done_items(&self) -> Result<Vec<Item>, CallError> {
        self.items(&self.done).await
    }

    /// Deletes finished items, oldest first, until `kept` are left. A worker that lost its
    /// connection while finishing looks for its item here: keep those of the last session timeout.
    ///
    /// # Errors
    /// As for a delete.
    pub async fn sweep(&self, kept: usize) -> Result<(), CallError> {
        let names = self.names(&self.done).await?;
        let old = names.len().saturating_sub(kept);
        for (_, name) in &names[..old] {
            self.client.delete_surely(format!("{}/{name}", self.done)).await?;
        }
        Ok(())
    }

    async fn items(&self, folder: &Arc<str>) -> Result<Vec<Item>, CallError> {
        let names = self.names(folder).await?;
        let mut items = Vec::with_capacity(names.len());
        for names in names.chunks(ITEMS_READ_AT_ONCE) {
            items.extend(self.read(folder, names).await?);
        }
        Ok(items)
    }

    async fn names(&self, folder: &Arc<str>) -> Result<Vec<(u64, Arc<str>)>, CallError> {
        let (names, _) = self.client.children(folder.clone()).await?;
        Ok(numbered(names))
    }

    /// The items of these names that still exist and that this recipe wrote.
    async fn read(
        &self,
        folder: &Arc<str>,
        names: &[(u64, Arc<str>)],
    ) -> Result<Vec<Item>, CallError> {
        let reads = names
            .iter()
            .map(|(_, name)| Read::GetData { path: format!("{folder}/{name}").into() })
            .collect();
        let replies = self.client.multi_read(reads).await?;
        Ok(names
            .iter()
            .zip(replies)
            .filter_map(|((number, name), reply)| match reply {
                MultiReply::Data { data, stat } => {
                    Item::read(*number, name.clone(), data.unwrap_or_default(), &stat)
                }
                // Finished or swept since we listed.
                _ => None,
            })
            .collect())
    }
}

/// The version that a change demands: the one that was read before.
fn demanded<P: Platform>(client: &Client<P>, read: i32) -> i32 {
    if planted!(client.defects(), ClaimWithoutVersion) { ANY_VERSION } else { read }
}

fn create(path: Arc<str>, data: Bytes, mode: CreateMode) -> Write {
    Write::Create { path, data: Some(data), acl: open_acl(), mode, ttl: 0, stat: true }
}

fn set(path: &Arc<str>, data: Bytes, version: i32) -> Write {
    Write::SetData { path: path.clone(), data: Some(data), version }
}

fn delete(path: Arc<str>, version: i32) -> Write {
    Write::Delete { path, version }
}
