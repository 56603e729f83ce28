//! Clients' connections: who may connect, and who has to go.

use super::connections::{Client, Connection};
use super::core::{Draw, Node, debug};
use super::origins::{Full, Origins, Room};
use super::settings::NodeSettings;
use crate::io;
use mailstorm_shared::Now;
use mailstorm_shared::machine::{ConnectionId, Loads, Output};
use std::net::{IpAddr, SocketAddr};

/// What is known of all clients together.
pub(super) struct Clients {
    pub(super) origins: Origins,
    room: Room,
}

impl Clients {
    pub(super) fn new(settings: &NodeSettings) -> Self {
        let room = Room {
            each_address: settings.limits.clients_per_address_max,
            silent: settings.limits.silent_clients_max,
            all: settings.server.clients_max,
        };
        Self { origins: Origins::default(), room }
    }

    /// How many clients are connected.
    pub(super) fn loads(&self, loads: &mut Loads) {
        loads.bounded("client_connections", self.origins.count(), self.room.all);
        loads.bounded("silent_clients", self.origins.silent_count(), self.room.silent);
    }
}

impl Node {
    pub(super) fn accept_client(
        &mut self,
        now: Now,
        connection: ConnectionId,
        address: SocketAddr,
        out: &mut Vec<Output>,
    ) {
        let from = address.ip();
        if !self.make_room(now, from, out) {
            debug(out, format!("refused a client of {from}: there are too many"));
            out.push(Output::Close { connection });
            return;
        }
        let place = self.clients.origins.enter(from, connection);
        let client = Client { from, silent: Some(place) };
        self.connections.insert(connection, Connection::Client(client));
        self.draw(Draw::Client { connection, address }, 2, out);
    }

    /// Closes the oldest silent client where there are too many; whether one more can come from
    /// there.
    fn make_room(&mut self, now: Now, from: IpAddr, out: &mut Vec<Output>) -> bool {
        let room = self.clients.room;
        // Each turn closes one that is silent, so it ends.
        loop {
            match self.clients.origins.who_makes_room(from, room) {
                Ok(None) => return true,
                Ok(Some(silent)) => {
                    self.close_client(silent, out);
                    let client = io::ClientId(silent.0);
                    self.serve(now, io::Input::ClientClosed { client }, out);
                }
                Err(Full) => return false,
            }
        }
    }

    /// Closes a client's connection after what was sent.
    pub(super) fn close_client(&mut self, connection: ConnectionId, out: &mut Vec<Output>) {
        if let Some(Connection::Client(client)) = self.connections.remove(&connection) {
            self.clients.origins.leave(client.from, client.silent);
            out.push(Output::Close { connection });
        }
    }
}
