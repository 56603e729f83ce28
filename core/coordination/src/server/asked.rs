//! The wishes of this server that the leader has and has not answered.
//!
//! Owns: whose each is, which session it is to resume, and how much all of them are. Leaves: what follows
//! when they are too many to whoever asks.
//! Holds: a connection may be gone before its answer comes; its wishes count until then, since they
//! are on the link and in the leader's memory all the same.

use crate::io::ClientId;
use mailstorm_shared::SessionId;
use std::collections::{BTreeMap, BTreeSet};

/// See the module's head.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Asked {
    by_ticket: BTreeMap<u64, Wanting>,
    /// The sessions to be resumed, each with the ticket of the wish. After a change of leader there can
    /// be as many as there are clients.
    resuming: BTreeSet<(SessionId, u64)>,
    bytes: usize,
}

/// One wish.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Wanting {
    /// Whose it is.
    pub(super) client: ClientId,
    /// How long the request is.
    pub(super) bytes: usize,
    /// The session to be resumed, if it asks for that.
    pub(super) resumes: Option<SessionId>,
}

impl Asked {
    /// A wish was handed to the leader.
    pub(super) fn insert(&mut self, ticket: u64, wanting: Wanting) {
        let before = self.by_ticket.insert(ticket, wanting);
        assert!(before.is_none(), "no two open wishes share a ticket");
        self.bytes += wanting.bytes;
        self.resuming.extend(wanting.resumes.map(|session| (session, ticket)));
    }

    /// The wish is answered.
    pub(super) fn remove(&mut self, ticket: u64) -> Option<Wanting> {
        let wanting = self.by_ticket.remove(&ticket)?;
        self.bytes -= wanting.bytes;
        if let Some(session) = wanting.resumes {
            self.resuming.remove(&(session, ticket));
        }
        Some(wanting)
    }

    /// Whether a newer connection waits to take this session over.
    pub(super) fn is_resuming(&self, session: SessionId) -> bool {
        self.resuming.range((session, 0)..=(session, u64::MAX)).next().is_some()
    }

    /// Nothing will be answered any more.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The wish with this ticket.
    pub(super) fn get(&self, ticket: u64) -> Option<&Wanting> {
        self.by_ticket.get(&ticket)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_ticket.len()
    }

    /// Whether there are so many, in number or in bytes.
    pub(super) fn reaches(&self, count: usize, bytes: usize) -> bool {
        self.len() >= count || self.bytes >= bytes
    }
}
