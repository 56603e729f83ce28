//! Barriers: [`Barrier`] holds everybody until it is lifted; [`DoubleBarrier`] lets a group begin
//! together and end together.

use crate::client::{Client, open_acl};
use crate::watch::Watch;
use bytes::Bytes;
use mailstorm_platform::Platform;
use mailstorm_session::CallError;
use mailstorm_shared::Zxid;
use mailstorm_wire::client::{CreateMode, ErrorCode};
use std::sync::Arc;

/// How many times an ephemeral's create is tried when the connection breaks.
const CREATE_ATTEMPTS_MAX: u32 = 16;

/// A barrier: down while its znode exists.
pub struct Barrier<P: Platform> {
    client: Client<P>,
    path: Arc<str>,
}

impl<P: Platform> Barrier<P> {
    /// The barrier at `path`; the znode above exists.
    pub fn new(client: &Client<P>, path: impl Into<Arc<str>>) -> Self {
        Self { client: client.clone(), path: path.into() }
    }

    /// Holds everybody who comes from now on. Idempotent.
    ///
    /// # Errors
    /// As for a create.
    pub async fn lower(&self) -> Result<(), CallError> {
        self.client.ensure_path(&self.path).await
    }

    /// Lets everybody pass. Idempotent.
    ///
    /// # Errors
    /// As for a delete.
    pub async fn lift(&self) -> Result<(), CallError> {
        self.client.delete_surely(self.path.clone()).await
    }

    /// Waits until the barrier is lifted.
    ///
    /// # Errors
    /// As for a read; [`CallError::SessionExpired`] when the session ends while waiting.
    pub async fn wait(&self) -> Result<(), CallError> {
        while let (Some(_), watch) = self.client.exists_and_watch(self.path.clone()).await? {
            fired(watch).await?;
        }
        Ok(())
    }
}

/// A double barrier for a group of known size: nobody begins before all have entered, nobody goes
/// before all have ended. A member whose session ends counts as one who has left.
///
/// ```text
///   /path            persistent, exists
///   /path/ready      appears when the group is complete, vanishes when the last one goes
///   /path/m-<name>   one ephemeral for each member inside
/// ```
/// `ready` lies beside the members and is persistent: a member that comes late, after others have
/// already begun and perhaps died, must still get in.
pub struct DoubleBarrier<P: Platform> {
    client: Client<P>,
    path: Arc<str>,
    ready: Arc<str>,
    member: Arc<str>,
    size: usize,
}

const MEMBER: &str = "m-";

impl<P: Platform> DoubleBarrier<P> {
    /// The barrier at `path` for `size` members, of whom this one is `name`.
    pub fn new(client: &Client<P>, path: &str, name: &str, size: usize) -> Self {
        Self {
            client: client.clone(),
            path: path.into(),
            ready: format!("{path}/ready").into(),
            member: format!("{path}/{MEMBER}{name}").into(),
            size,
        }
    }

    /// Enters, and waits until all have.
    ///
    /// # Errors
    /// [`ErrorCode::NodeExists`] when another session uses the same name; otherwise as for a
    /// create.
    pub async fn enter(&self) -> Result<(), CallError> {
        // Watched first: whoever completes the group after we are counted makes it fire.
        let (ready, watch) = self.client.exists_and_watch(self.ready.clone()).await?;
        self.appear().await?;
        if ready.is_some() {
            return Ok(());
        }
        if self.members().await?.len() >= self.size {
            return self.client.ensure_path(&self.ready).await;
        }
        fired(watch).await
    }

    /// Leaves, and waits until all have. Then the group may enter again.
    ///
    /// No herd: the member with the lowest name stays until it is the last one and waits for the
    /// highest; everybody else goes at once and waits for the lowest.
    ///
    /// A member that is slow here may find others who are in the next round already:
    /// 1. Everybody but the slow one sees the last member go; one of them deletes `ready`, and
    ///    enters again, which leaves a znode of the same name as before.
    /// 2. The slow one, who looks only now, would wait for that one to go, who in turn waits for
    ///    the slow one to come.
    /// 3. So `ready` tells the rounds apart: nobody enters again before it is deleted. Whoever
    ///    lists a member of the next round finds it gone afterwards, and is done.
    ///
    /// # Errors
    /// As for a delete.
    pub async fn leave(&self) -> Result<(), CallError> {
        let own = &self.member[self.path.len() + 1..];
        let round = self.round().await?;
        loop {
            let members = self.members().await?;
            if round.is_none() || self.round().await? != round {
                return self.client.delete_surely(self.member.clone()).await;
            }
            let (Some(lowest), Some(highest)) = (members.first(), members.last()) else {
                return self.client.delete_surely(self.ready.clone()).await;
            };
            let awaited = if &**lowest == own { highest } else { lowest };
            if &**awaited == own || &**lowest != own {
                self.client.delete_surely(self.member.clone()).await?;
            }
            if &**awaited == own {
                continue;
            }
            let awaited = format!("{}/{awaited}", self.path);
            if let (Some(_), watch) = self.client.exists_and_watch(awaited).await? {
                fired(watch).await?;
            }
        }
    }

    /// What distinguishes this round from others: the transaction that created its `ready`.
    async fn round(&self) -> Result<Option<Zxid>, CallError> {
        Ok(self.client.exists(self.ready.clone()).await?.map(|stat| stat.czxid))
    }

    /// The names of all members inside, in order.
    async fn members(&self) -> Result<Vec<Arc<str>>, CallError> {
        let (mut names, _) = self.client.children(self.path.clone()).await?;
        names.retain(|name| name.starts_with(MEMBER));
        names.sort_unstable();
        Ok(names)
    }

    /// Creates our ephemeral, and finds it again if the reply is lost.
    async fn appear(&self) -> Result<(), CallError> {
        for _ in 0..CREATE_ATTEMPTS_MAX {
            let (path, mode) = (self.member.clone(), CreateMode::Ephemeral);
            match self.client.create(path, Bytes::new(), mode, open_acl()).await {
                Ok(_) => return Ok(()),
                Err(CallError::ConnectionLoss) => self.client.settle().await?,
                // Ours, from a create that was not answered, or that of another session with our
                // name.
                Err(CallError::Refused(ErrorCode::NodeExists)) => {
                    match self.client.exists(self.member.clone()).await? {
                        Some(stat) if stat.ephemeral_owner == self.client.session() => {
                            return Ok(());
                        }
                        Some(_) => return Err(CallError::Refused(ErrorCode::NodeExists)),
                        None => {}
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(CallError::ConnectionLoss)
    }
}

async fn fired(watch: Watch) -> Result<(), CallError> {
    watch.await.map(drop).map_err(|_| CallError::SessionExpired)
}
