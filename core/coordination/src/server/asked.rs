//! The wishes of this server that the leader has and has not answered.
//!
//! Owns: whose each is, and how much all of them are. Leaves: what follows when they are too many to
//! whoever asks.
//! Holds: a connection may be gone before its answer comes; its wishes count until then, since they
//! are on the link and in the leader's memory all the same.

use crate::io::ClientId;
use std::collections::BTreeMap;

/// See the module's head.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Asked {
    by_ticket: BTreeMap<u64, Wanting>,
    bytes: usize,
}

#[derive(Clone, Copy, Debug, Hash)]
struct Wanting {
    client: ClientId,
    bytes: usize,
}

impl Asked {
    /// A client's request, so long, was handed to the leader.
    pub(super) fn insert(&mut self, ticket: u64, client: ClientId, bytes: usize) {
        let before = self.by_ticket.insert(ticket, Wanting { client, bytes });
        assert!(before.is_none(), "no two open wishes share a ticket");
        self.bytes += bytes;
    }

    /// The wish is answered; whose it was.
    pub(super) fn remove(&mut self, ticket: u64) -> Option<ClientId> {
        let Wanting { client, bytes } = self.by_ticket.remove(&ticket)?;
        self.bytes -= bytes;
        Some(client)
    }

    /// Nothing will be answered any more.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whose wish this is.
    pub(super) fn client(&self, ticket: u64) -> Option<ClientId> {
        self.by_ticket.get(&ticket).map(|wanting| wanting.client)
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
