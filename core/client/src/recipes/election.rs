//! Leader election: the lock, seen as a reign.
//!
//! Candidates queue; the first one leads. It considers itself leader no longer as soon as it cannot
//! be certain: when the connection is lost, not only when the session is over. So two leaders at
//! one time need a candidate who does not know how late it is (a pause, a slow clock), and for that
//! case there is the fencing token. When the connection comes back and the session is still alive,
//! the candidate continues to lead under the same token, since nobody else can have led meanwhile.

use crate::client::{Client, Errands};
use crate::driver::{Errand, StateListener};
use crate::recipes::lock::{Held, Lock};
use bytes::Bytes;
use mailstorm_platform::Platform;
use mailstorm_session::{CallError, SessionState};
use mailstorm_shared::facts::ApplicationFact;
use mailstorm_shared::{Observation, Zxid};
use std::cell::Cell;
use std::rc::{Rc, Weak};
use std::sync::Arc;

/// An election that any number of candidates may stand in.
pub struct Election<P: Platform> {
    client: Client<P>,
    lock: Lock<P>,
    candidate: Arc<str>,
}

/// A candidate's time as leader. Dropping it ends it.
pub struct Reign<P: Platform> {
    held: Option<Held<P>>,
    belief: Rc<Belief<P>>,
    errands: Errands,
}

/// What the candidate believes, reported to onlookers at every change.
struct Belief<P: Platform> {
    platform: P,
    candidate: Arc<str>,
    token: Zxid,
    leads: Cell<bool>,
    over: Cell<bool>,
}

impl<P: Platform> Election<P> {
    /// The election at `path`, a persistent znode that exists; `candidate` names this one.
    pub fn new(
        client: &Client<P>,
        path: impl Into<Arc<str>>,
        candidate: impl Into<Arc<str>>,
    ) -> Self {
        Self { client: client.clone(), lock: Lock::new(client, path), candidate: candidate.into() }
    }

    /// Waits to become leader. Dropping the future withdraws the candidate.
    ///
    /// # Errors
    /// As for [`Lock::acquire`].
    pub async fn lead(&self) -> Result<Reign<P>, CallError> {
        let note = Bytes::copy_from_slice(self.candidate.as_bytes());
        let held = self.lock.acquire(note).await?;
        let belief = Rc::new(Belief {
            platform: self.client.platform().clone(),
            candidate: self.candidate.clone(),
            token: held.token(),
            leads: Cell::new(false),
            over: Cell::new(false),
        });
        belief.changed(self.client.state());
        let listener: Weak<Belief<P>> = Rc::downgrade(&belief);
        self.client.listen(listener);
        Ok(Reign { held: Some(held), belief, errands: self.client.errands() })
    }
}

impl<P: Platform> Reign<P> {
    /// The fencing token: higher than that of every earlier leader.
    pub fn token(&self) -> Zxid {
        self.belief.token
    }

    /// Whether the candidate may act as leader, as far as it can know.
    pub fn leads(&self) -> bool {
        self.belief.leads.get() && self.held.as_ref().is_some_and(Held::is_held)
    }

    /// Resolves when the reign is over for good.
    pub async fn lost(&self) {
        if let Some(held) = &self.held {
            held.lost().await;
        }
        self.belief.end();
    }

    /// Steps down, and waits until the next candidate may lead.
    ///
    /// # Errors
    /// [`CallError::SessionExpired`] when the reign was over already.
    pub async fn resign(mut self) -> Result<(), CallError> {
        // The belief ends first: the next candidate may lead before our reply comes.
        self.belief.end();
        match self.held.take() {
            Some(held) => held.release().await,
            None => Ok(()),
        }
    }
}

impl<P: Platform> Drop for Reign<P> {
    fn drop(&mut self) {
        if self.belief.leads.replace(false) {
            self.belief.over.set(true);
            self.errands.leave(Errand::Observe(self.belief.resigns()));
        }
        // The lock's own destructor runs after this, so the order is right for onlookers, too.
    }
}

impl<P: Platform> Belief<P> {
    fn end(&self) {
        self.over.set(true);
        self.believe(false);
    }

    fn believe(&self, leads: bool) {
        if self.leads.replace(leads) == leads {
            return;
        }
        self.platform.observe(if leads {
            Observation::Application(ApplicationFact::MasterBelieves {
                candidate: self.candidate.clone(),
                token: self.token.0,
            })
        } else {
            self.resigns()
        });
    }

    fn resigns(&self) -> Observation {
        Observation::Application(ApplicationFact::MasterResigns {
            candidate: self.candidate.clone(),
            token: self.token.0,
        })
    }
}

impl<P: Platform> StateListener for Belief<P> {
    fn changed(&self, state: SessionState) {
        self.believe(state == SessionState::Connected && !self.over.get());
    }
}
