//! When a connection is not read from, and when nothing more is taken from anybody.
//!
//! Owns: the bounds. What one connection may have under way, what all may have together, and what
//! the leader may have of this server: at the bound the connections that ask for more are *held*,
//! at twice the bound what is for the leader waits for room there, and when too many bytes wait,
//! reads are refused and connections that ask for more than reads are closed.
//! Holds: a connection that is held is read from again as soon as it has little and the server has:
//! those that wait for nothing themselves are released by whoever leaves the crowd last.
//! Connections that wait for room at the leader take turns.
//! Start at `Server::hold_if_crowded`.

use super::Server;
use super::requests::HoldAt;
use crate::io::{ClientId, Output};
use crate::replica::Outbox;
use mailstorm_shared::Now;

impl Server {
    fn hold_at(&self) -> HoldAt {
        HoldAt {
            count: self.config.outstanding_per_client_max,
            bytes: self.config.outstanding_bytes_per_client_max,
        }
    }

    /// Stops reading from a client that has too much under way, or while the server has.
    pub(super) fn hold_if_crowded(&mut self, id: ClientId, out: &mut Outbox) {
        let (crowded, at) = (self.has_much_under_way(), self.hold_at());
        let Some(client) = self.clients.get(id) else { return };
        let much = client.requests.are_many(at);
        if !client.requests.is_held() && (crowded || much) {
            self.clients.change(id, |client| client.requests.hold(true));
            if crowded {
                self.clients.set_crowded(true);
            }
            out.outputs.push(Output::HoldClient { client: id, held: true });
        }
    }

    /// Reads on from a client that has answers to half of what it may have under way.
    pub(super) fn release(&mut self, id: ClientId, out: &mut Outbox) {
        let (crowded, at) = (self.has_much_under_way(), self.hold_at());
        let Some(client) = self.clients.get(id) else { return };
        if !client.requests.is_held() || !client.requests.are_few(at) {
            return;
        }
        if crowded {
            // Whatever it was held for, it is held because of all of them together now.
            self.clients.set_crowded(true);
        } else {
            self.clients.change(id, |client| client.requests.hold(false));
            out.outputs.push(Output::HoldClient { client: id, held: false });
        }
    }

    /// Whether the leader has so many requests of this server, or so much waits, that clients are
    /// held.
    fn has_much_under_way(&self) -> bool {
        self.forwarded.reaches(self.config.outstanding_max, self.config.outstanding_bytes_max)
            || self.clients.bytes() >= self.config.waiting_bytes_max
    }

    /// Whether so much waits that nothing more is taken, of whomever.
    pub(super) fn has_too_many_bytes_waiting(&self) -> bool {
        self.clients.bytes() >= self.config.waiting_bytes_max * 2
    }

    /// Whether it has so many that nothing more is forwarded, of whomever.
    pub(super) fn has_too_much_under_way(&self) -> bool {
        let (count, bytes) = self.room_at_leader();
        self.forwarded.reaches(count, bytes)
    }

    /// From how many requests in flight, and from how many of their bytes on, nothing more is
    /// forwarded.
    pub(super) fn room_at_leader(&self) -> (usize, usize) {
        (self.config.outstanding_max * 2, self.config.outstanding_bytes_max * 2)
    }

    /// Something of this connection is pending until the leader has room.
    pub(super) fn wait_for_room(&mut self, id: ClientId) {
        if self.clients.change(id, |client| client.requests.wait_for_room()) == Some(true) {
            self.forwarded.wait(id);
        }
    }

    /// Whether a connection waits for room at the leader, and there is room.
    pub(super) fn has_room_for_who_waits(&self) -> bool {
        self.forwarded.are_waited_for() && !self.has_too_much_under_way()
    }

    /// Gives connections that wait for room at the leader their turn, as far as there is room.
    pub(super) fn give_room(&mut self, now: Now, out: &mut Outbox) {
        while self.has_room_for_who_waits() {
            let Some(id) = self.forwarded.next_waiting() else { return };
            if self.clients.change(id, |client| client.requests.room_is_there()).is_some() {
                self.forward_pending(now, id, out);
            }
        }
    }

    /// Once there is half of what clients are held for: some may be held that wait for nothing
    /// themselves, and nobody else would release them.
    pub(super) fn release_if_no_longer_crowded(&mut self, out: &mut Outbox) {
        if !self.clients.is_crowded() {
            return;
        }
        let (count, bytes) = (self.config.outstanding_max, self.config.outstanding_bytes_max);
        let is_crowded = self.forwarded.reaches(count / 2 + 1, bytes / 2 + 1)
            || self.clients.bytes() > self.config.waiting_bytes_max / 2;
        if is_crowded {
            return;
        }
        self.clients.set_crowded(false);
        let held = self.clients.iter().filter(|(_, client)| client.requests.is_held());
        let held: Vec<ClientId> = held.map(|(id, _)| id).collect();
        for id in held {
            self.release(id, out);
        }
    }
}
