//! An item held by a worker: taking, renewing, giving back, finishing.
//!
//! Holds: as long as an item's header names our attempt, nobody else has changed it. So after a
//! lost reply header and version together say what happened.

use super::item::{Header, Item, Status};
use super::{ATTEMPTS_MAX, ClaimError, create, delete, demanded, set};
use crate::client::Client;
use crate::error::MultiError;
use bytes::Bytes;
use mailstorm_platform::Platform;
use mailstorm_session::{CallError, SessionState};
use mailstorm_shared::{Zxid, planted};
use mailstorm_wire::client::{CreateMode, ErrorCode, MultiReply, Stat, Write};
use std::sync::Arc;

/// An item that this worker holds.
///
/// Dropping it changes nothing: as long as the session lives nobody else can take it. A worker that
/// dies loses it with its session; one that no longer wants it calls [`Claim::give_back`].
pub struct Claim<P: Platform> {
    client: Client<P>,
    number: u64,
    path: Arc<str>,
    done_path: Arc<str>,
    note: Bytes,
    header: Header,
    version: i32,
    token: Zxid,
    taken_over: bool,
    lost: bool,
}

/// What an unanswered change turned out to be.
enum Fate {
    Done(Stat),
    NotDone,
    /// Not done, and it never can be.
    Lost,
}

impl<P: Platform> Claim<P> {
    pub(super) async fn take(
        client: &Client<P>,
        open: &str,
        done: &str,
        item: Item,
    ) -> Result<Self, ClaimError> {
        let header = Header {
            status: Status::Taken,
            holder: client.session(),
            attempt: client.unique_number(),
            takes: item.header.takes.saturating_add(1),
        };
        let mut claim = Self {
            client: client.clone(),
            number: item.number,
            path: format!("{open}/{}", item.name).into(),
            done_path: format!("{done}/{}", item.name).into(),
            note: item.note,
            header,
            version: item.version,
            token: Zxid::ZERO,
            taken_over: item.header.status == Status::Taken,
            lost: false,
        };
        let data = header.before(&claim.note);
        let stat = claim
            .change(&[], |claim| {
                vec![
                    set(&claim.path, data.clone(), claim.demanded()),
                    create(claim.holder_path(), Bytes::new(), CreateMode::Ephemeral),
                ]
            })
            .await?;
        claim.token = stat.mzxid;
        Ok(claim)
    }

    /// The item's number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The application's note, as last read or written.
    pub fn note(&self) -> &Bytes {
        &self.note
    }

    /// The fencing token: higher than that of every earlier holder of this item.
    pub fn token(&self) -> Zxid {
        self.token
    }

    /// How often the item has been taken, this time included.
    pub fn takes(&self) -> u32 {
        self.header.takes
    }

    /// Whether it was taken from a holder who has died.
    pub fn is_taken_over(&self) -> bool {
        self.taken_over
    }

    /// Whether the item is held, as far as this client can know. A process that was paused can
    /// still be wrong; see the token.
    pub fn is_held(&self) -> bool {
        !self.lost && self.client.state() == SessionState::Connected
    }

    /// The client that holds the item.
    pub fn client(&self) -> &Client<P> {
        &self.client
    }

    /// Replaces the note.
    ///
    /// # Errors
    /// [`ClaimError::Lost`] when somebody has taken over.
    pub async fn renew(&mut self, note: Bytes) -> Result<(), ClaimError> {
        let data = self.header.before(&note);
        self.change(&[], |claim| vec![set(&claim.path, data.clone(), claim.demanded())]).await?;
        self.note = note;
        Ok(())
    }

    /// Lets somebody else take the item.
    ///
    /// # Errors
    /// [`ClaimError::Lost`] when somebody has taken over.
    pub async fn give_back(mut self) -> Result<(), ClaimError> {
        let data = Header { status: Status::Open, ..self.header }.before(&self.note);
        let writes = |claim: &Self| {
            vec![set(&claim.path, data.clone(), claim.demanded()), delete(claim.holder_path(), -1)]
        };
        match self.change(&[], writes).await {
            // Another worker took it, but only after us: as long as we held it, it could not.
            Err(ClaimError::Lost) if self.client.state() == SessionState::Connected => Ok(()),
            result => result.map(drop),
        }
    }

    /// Finishes the item with a last note, together with the application's own writes: all or
    /// nothing. Nobody will ever take it again.
    ///
    /// # Errors
    /// [`ClaimError::Lost`] when somebody has taken over, [`ClaimError::Step`] when a write of the
    /// application was refused; then the item is still held.
    pub async fn finish(&mut self, note: Bytes, writes: Vec<Write>) -> Result<(), ClaimError> {
        let data = Header { status: Status::Done, ..self.header }.before(&note);
        self.change(&writes, |claim| {
            vec![
                delete(claim.holder_path(), -1),
                delete(claim.path.clone(), claim.demanded()),
                create(claim.done_path.clone(), data.clone(), CreateMode::Persistent),
            ]
        })
        .await?;
        self.note = note;
        Ok(())
    }

    fn holder_path(&self) -> Arc<str> {
        if planted!(self.client.defects(), ClaimWithoutVersion) {
            return format!("{}/holder-{:016x}", self.path, self.header.holder.0).into();
        }
        format!("{}/holder", self.path).into()
    }

    fn demanded(&self) -> i32 {
        demanded(&self.client, self.version)
    }

    /// Makes a change, and if its reply is lost finds out what happened.
    async fn change(
        &mut self,
        more: &[Write],
        own: impl Fn(&Self) -> Vec<Write>,
    ) -> Result<Stat, ClaimError> {
        for _ in 0..ATTEMPTS_MAX {
            let mut writes = own(self);
            let own_steps = writes.len();
            writes.extend_from_slice(more);
            let fate = match self.client.multi(writes).await {
                Ok(replies) => Fate::Done(first_stat(&replies)),
                Err(MultiError::Call(CallError::ConnectionLoss)) => {
                    // Whatever kept us from finding out, the outcome of the change remains unknown.
                    self.find_out().await.map_err(|_| CallError::ConnectionLoss)?
                }
                Err(error) => match ClaimError::of_multi(error, own_steps) {
                    ClaimError::Lost => Fate::Lost,
                    error => return Err(error),
                },
            };
            match fate {
                Fate::Done(stat) => {
                    self.version = stat.version;
                    return Ok(stat);
                }
                Fate::NotDone => {}
                Fate::Lost => {
                    self.lost = true;
                    return Err(ClaimError::Lost);
                }
            }
        }
        Err(CallError::ConnectionLoss.into())
    }

    /// What became of a change whose reply was lost.
    ///
    /// | the znode is | its header names | its version is | so the change was                    |
    /// | ------------ | ---------------- | -------------- | ------------------------------------ |
    /// | open         | our attempt      | newer          | done                                 |
    /// | open         | anything         | as we knew     | not done                             |
    /// | open         | another attempt  | newer          | lost: another worker was first       |
    /// | finished     | our attempt      |                | done                                 |
    /// | finished     | another attempt  |                | lost                                 |
    /// | neither      |                  |                | lost: finished by another, and swept |
    async fn find_out(&self) -> Result<Fate, CallError> {
        self.client.settle().await?;
        match self.look(&self.path).await? {
            Some((_, stat)) if stat.version == self.version => return Ok(Fate::NotDone),
            Some((true, stat)) => return Ok(Fate::Done(stat)),
            Some((false, _)) => return Ok(Fate::Lost),
            None => {}
        }
        Ok(match self.look(&self.done_path).await? {
            Some((true, stat)) => Fate::Done(stat),
            _ => Fate::Lost,
        })
    }

    /// Whether the header there names our attempt, and the `Stat`.
    async fn look(&self, path: &Arc<str>) -> Result<Option<(bool, Stat)>, CallError> {
        match self.client.get_data(path.clone()).await {
            Ok((data, stat)) => {
                let header = Header::read(data.unwrap_or_default());
                Ok(Some((header.is_some_and(|(h, _)| h.same_taking(&self.header)), stat)))
            }
            Err(CallError::Refused(ErrorCode::NoNode)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The `Stat` of the first step that has one: the item as the change left it.
fn first_stat(replies: &[MultiReply]) -> Stat {
    replies
        .iter()
        .find_map(|reply| match reply {
            MultiReply::DataSet(stat) | MultiReply::Created { stat: Some(stat), .. } => Some(*stat),
            _ => None,
        })
        .unwrap_or_default()
}
