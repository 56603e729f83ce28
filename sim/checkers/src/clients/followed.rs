//! What clients tell, handed on to whoever follows them.
//!
//! Owns: which observation is whose. Leaves: what it means to the checkers that follow clients.

use crate::common::checker::violation;
use mailstorm_record::{Event, Happening, Violation};
use mailstorm_shared::facts::{Call, ClientFact, EnsembleFact, Outcome, Shown};
use mailstorm_shared::znodes::{Change, EventKind, WatchKind};
use mailstorm_shared::{Observation, SessionId, WallTime, Zxid};
use std::sync::Arc;

/// What is wrong with what a client was told.
pub(crate) struct Wrong {
    /// The kind of the violation.
    pub(crate) kind: &'static str,
    /// What the client did or got, beginning with the verb.
    pub(crate) detail: String,
}

impl Wrong {
    /// The violation of `checker`'s property that an event of this client has shown.
    pub(crate) fn of_client(self, checker: &str, client: u32, event: &Event) -> Violation {
        let detail = format!("client {client} {}", self.detail);
        violation(checker, self.kind, event.at_ns, event.node.clone(), detail)
    }
}

/// The newest transaction that any server has applied. Every server applies each one, and a
/// restarted server some of them once more: what it changed counts when it is told for the first
/// time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NewestApplied(Zxid);

impl NewestApplied {
    /// Whether this one is told for the first time.
    pub(crate) fn is_moved_by(&mut self, zxid: Zxid) -> bool {
        let is_first = zxid > self.0;
        self.0 = self.0.max(zxid);
        is_first
    }

    /// Whether the record tells of transactions at all: that of real servers may not.
    pub(crate) fn is_told(self) -> bool {
        self.0 != Zxid::ZERO
    }
}

/// Somebody who follows clients, and the transactions that are applied.
pub(crate) trait FollowsClients {
    /// A transaction was applied, for the first time or once more. `wall`: as its leader's clock
    /// said.
    fn applied(&mut self, zxid: Zxid, wall: WallTime, changes: &[Change]);
    /// A client began an operation.
    fn invoked(&mut self, client: u32, operation: u64, call: &Call);
    /// It ended.
    fn returned(
        &mut self,
        client: u32,
        operation: u64,
        outcome: &Outcome,
        shown: Option<&Shown>,
    ) -> Result<(), Wrong>;
    /// A client is connected, in this session.
    fn connected(&mut self, _client: u32, _session: SessionId) {}
    /// A client lost its connection.
    fn disconnected(&mut self, _client: u32) {}
    /// A client's session is over.
    fn session_ended(&mut self, _client: u32) {}
    /// A watch event was delivered.
    fn delivered(
        &mut self,
        _client: u32,
        _path: &Arc<str>,
        _kind: EventKind,
        _zxid: Zxid,
    ) -> Result<(), Wrong> {
        Ok(())
    }
    /// A client gave a watch up.
    fn given_up(&mut self, _client: u32, _path: &Arc<str>, _watch: WatchKind) {}
    /// A client hung up on nonsense.
    fn protocol_broken(&mut self, _why: &Arc<str>) -> Result<(), Wrong> {
        Ok(())
    }
}

/// Hands an event to the one it concerns; the violation is `checker`'s.
pub(crate) fn tell(
    checker: &str,
    follower: &mut impl FollowsClients,
    event: &Event,
) -> Result<(), Violation> {
    let Happening::Observed { observation } = &event.happening else { return Ok(()) };
    let (client, result) = match observation {
        Observation::Ensemble(EnsembleFact::Applied { zxid, wall, changes, .. }) => {
            follower.applied(*zxid, *wall, changes);
            return Ok(());
        }
        Observation::Client(ClientFact::Invoked { client, operation, call }) => {
            follower.invoked(*client, *operation, call);
            return Ok(());
        }
        Observation::Client(ClientFact::Returned { client, operation, outcome, shown }) => {
            (*client, follower.returned(*client, *operation, outcome, shown.as_deref()))
        }
        Observation::Client(ClientFact::EventDelivered { client, path, kind, zxid, .. }) => {
            (*client, follower.delivered(*client, path, *kind, *zxid))
        }
        Observation::Client(ClientFact::ProtocolBroken { client, why, .. }) => {
            (*client, follower.protocol_broken(why))
        }
        Observation::Client(ClientFact::ClientConnected { client, session, .. }) => {
            follower.connected(*client, *session);
            return Ok(());
        }
        Observation::Client(ClientFact::ClientDisconnected { client }) => {
            follower.disconnected(*client);
            return Ok(());
        }
        Observation::Client(ClientFact::ClientSessionEnded { client, .. }) => {
            follower.session_ended(*client);
            return Ok(());
        }
        Observation::Client(ClientFact::WatchGivenUp { client, path, watch, .. }) => {
            follower.given_up(*client, path, *watch);
            return Ok(());
        }
        _ => return Ok(()),
    };
    result.map_err(|wrong| wrong.of_client(checker, client, event))
}
