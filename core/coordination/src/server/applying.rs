//! What a committed transaction does on this server, in the order that clients may rely on.
//!
//! Owns: that order. Leaves: what the transaction changes to the database.
//! Holds: the tree changes first; then every watch event of the change leaves; only then the answer
//! to whoever asked for it, and whatever was waiting for this state. So nobody sees a change before
//! the event that tells of it, and a client that has its answer finds its own write.

use super::Server;
use super::invariants::CHANGES_EVERY;
use crate::data::Applied;
use crate::io::ClientId;
use crate::replica::Outbox;
use bytes::Bytes;
use mailstorm_shared::facts::EnsembleFact;
use mailstorm_shared::{Defects, Now, SessionId, WallTime, planted};
use mailstorm_wire::client::{WatchEvent, encode_event};
use mailstorm_wire::txn::{Entry, Origin, Txn, TxnBody};

impl Server {
    /// The replica says that an entry is committed.
    pub(super) fn committed(&mut self, now: Now, entry: &Entry, out: &mut Outbox) {
        let zxid = entry.zxid;
        if zxid <= self.snapshots.installed() {
            // The snapshot was begun later than announced: it has this already.
            return;
        }
        let txn = match Txn::decode(entry.bytes.clone()) {
            Ok(txn) => txn,
            Err(error) => {
                self.halt(format!("the committed transaction {zxid} makes no sense: {error}"), out);
                return;
            }
        };
        let applied = self.database.apply(zxid, &txn);
        let mut events: Vec<(ClientId, WatchEvent)> = Vec::new();
        for (index, change) in applied.changes.iter().enumerate() {
            for (client, event) in self.watches.trigger(zxid, change) {
                let identities = self.clients.get(client).map(|client| &client.identities[..]);
                if applied.may_see(index, &event, identities.unwrap_or_default()) {
                    events.push((client, event));
                }
            }
        }
        let is_looked_at = zxid.counter().is_multiple_of(CHANGES_EVERY);
        if is_looked_at && self.config.replica.defects == Defects::NONE {
            applied.changes.iter().for_each(|change| self.database.check_change(change));
        }
        let digest = entry.digest();
        let Applied { result, changes, .. } = applied;
        let wall = WallTime(txn.time);
        out.tell(EnsembleFact::Applied { zxid, digest, session: txn.session, wall, changes });
        let is_told_late = planted!(self.config.replica.defects, EventAfterReply);
        if !is_told_late {
            self.tell(&events, out);
        }

        let ends = (txn.body == TxnBody::CloseSession).then_some(txn.session);
        if let Some(leading) = &mut self.leading {
            leading.pending.applied(zxid);
            if let Some(session) = ends {
                leading.sessions.ended(session);
            }
        }
        let ticket = match txn.origin {
            Some(Origin { server: origin, ticket }) if origin == self.config.replica.me => {
                Some(ticket)
            }
            _ => None,
        };
        if let Some(session) = ends {
            self.session_ended(session, ticket, out);
            self.tell_ended(now, session, out);
        }
        if let Some(ticket) = ticket {
            self.written(now, ticket, zxid, result, out);
        }
        if is_told_late {
            self.tell(&events, out);
        }
        self.answers_reached(now, zxid, out);
    }

    /// Sends watch events. Clients that watch the same thing get the same bytes.
    fn tell(&mut self, events: &[(ClientId, WatchEvent)], out: &mut Outbox) {
        let mut last: Option<(&WatchEvent, Bytes)> = None;
        for (client, event) in events {
            let frame = match &last {
                Some((same, frame)) if *same == event => frame.clone(),
                _ => encode_event(event),
            };
            last = Some((event, frame.clone()));
            self.respond(*client, frame, out);
        }
    }

    /// A session is over. Its connection goes with it, unless it asked for that itself: then it
    /// still gets its answers.
    fn session_ended(&mut self, session: SessionId, ticket: Option<u64>, out: &mut Outbox) {
        let Some(id) = self.clients.of_session(session) else { return };
        let closer = ticket.and_then(|ticket| self.forwarded.client(ticket));
        if closer != Some(id) {
            self.hang_up(id, out);
        }
    }
}
