//! The connections of clients, and what all of them have together.
//!
//! Owns: who is connected, which connection a session is attached to here, how many bytes all
//! requests without an answer have, and whether connections are held because of all of them
//! together. Leaves: one connection's requests to `requests`, how a connection comes and goes to
//! `connections`.
//! Holds: a session is attached to at most one connection, and each attached connection is that of
//! its session; the bytes are the sum of those of all connections, since a connection's requests
//! are changed by [`Clients::change`] alone.
//! Start at [`Client`].

use super::ServerConfig;
use super::requests::Requests;
use super::stats::Account;
use crate::data::{Identity, auth};
use crate::io::ClientId;
use mailstorm_shared::machine::Loads;
use mailstorm_shared::{Instant, Millis, Now, SessionId};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// See the module's head.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Clients {
    by_id: BTreeMap<ClientId, Client>,
    attached: BTreeMap<SessionId, ClientId>,
    bytes: usize,
    crowded: bool,
    /// The most requests that any connection ever had.
    most: usize,
}

/// One connection.
#[derive(Clone, Debug, Hash)]
pub(super) struct Client {
    pub(super) address: SocketAddr,
    pub(super) entropy: [u8; 16],
    phase: Phase,
    /// Whom the client has proved to be: (scheme, id).
    pub(super) identities: Vec<Identity>,
    /// When it last sent something, on the monotonic clock.
    pub(super) heard: Instant,
    /// What it asked for and has no answer to yet.
    pub(super) requests: Requests,
    /// For `cons`.
    pub(super) account: Account,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// Nothing has been received.
    Fresh,
    /// The leader has been asked for the session.
    Connecting {
        /// What the client said about read-only servers, if it said anything.
        read_only: Option<bool>,
        /// The session to resume, with its password; `None` asks for a new one.
        resume: Option<(SessionId, [u8; 16])>,
    },
    /// The session is attached.
    Attached {
        /// Which.
        session: SessionId,
        /// Its timeout.
        timeout: Millis,
        /// Served without a leader, from what was last applied.
        read_only: bool,
    },
}

impl Client {
    /// A connection that was opened now.
    pub(super) fn opened(now: Now, address: SocketAddr, entropy: [u8; 16]) -> Self {
        Self {
            address,
            entropy,
            phase: Phase::Fresh,
            identities: vec![auth::address_identity(address.ip())],
            heard: now.monotonic,
            requests: Requests::default(),
            account: Account::opened(now.wall),
        }
    }

    /// How far it has come.
    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// The leader is asked for its session.
    pub(super) fn connecting(
        &mut self,
        read_only: Option<bool>,
        resume: Option<(SessionId, [u8; 16])>,
    ) {
        assert_eq!(self.phase, Phase::Fresh, "a connection asks for a session once");
        self.phase = Phase::Connecting { read_only, resume };
    }

    /// The session attached, if one is.
    pub(super) fn session(&self) -> Option<SessionId> {
        self.attached().map(|(session, _)| session)
    }

    /// The session attached, and its timeout.
    pub(super) fn attached(&self) -> Option<(SessionId, Millis)> {
        match self.phase {
            Phase::Attached { session, timeout, .. } => Some((session, timeout)),
            Phase::Fresh | Phase::Connecting { .. } => None,
        }
    }
}

impl Clients {
    /// One more connection.
    pub(super) fn insert(&mut self, id: ClientId, client: Client) {
        assert!(client.requests.is_empty(), "a new connection has asked for nothing");
        let before = self.by_id.insert(id, client);
        assert!(before.is_none(), "the host never uses a client's number twice");
    }

    /// A connection is gone. Whether there was such a one.
    pub(super) fn remove(&mut self, id: ClientId) -> bool {
        let Some(client) = self.by_id.remove(&id) else { return false };
        assert!(client.requests.bytes() <= self.bytes, "the bytes of all connections are counted");
        self.bytes -= client.requests.bytes();
        if let Some(session) = client.session() {
            let holder = self.attached.remove(&session);
            assert_eq!(holder, Some(id), "a session is attached to one connection");
        }
        true
    }

    /// The connection serves this session from now on. One that served it before is gone.
    pub(super) fn attach(
        &mut self,
        id: ClientId,
        session: SessionId,
        timeout: Millis,
        read_only: bool,
    ) {
        let client = self.by_id.get_mut(&id).expect("the caller has found it");
        assert!(client.attached().is_none(), "a connection gets a session once");
        client.phase = Phase::Attached { session, timeout, read_only };
        let holder = self.attached.insert(session, id);
        assert_eq!(holder, None, "a session is attached to one connection");
    }

    /// A connection.
    pub(super) fn get(&self, id: ClientId) -> Option<&Client> {
        self.by_id.get(&id)
    }

    /// Changes a connection, if there is such a one; what it has under way stays counted.
    pub(super) fn change<T>(
        &mut self,
        id: ClientId,
        change: impl FnOnce(&mut Client) -> T,
    ) -> Option<T> {
        let client = self.by_id.get_mut(&id)?;
        let before = client.requests.bytes();
        let result = change(client);
        self.bytes = self.bytes - before + client.requests.bytes();
        self.most = self.most.max(client.requests.len());
        Some(result)
    }

    /// Notes that every connection which is held was last seen now; the sessions of those.
    pub(super) fn held_seen(&mut self, now: Instant) -> Vec<SessionId> {
        let mut sessions = Vec::new();
        for client in self.by_id.values_mut().filter(|client| client.requests.is_held()) {
            client.heard = now;
            sessions.extend(client.session());
        }
        sessions
    }

    /// All connections, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ClientId, &Client)> {
        self.by_id.iter().map(|(id, client)| (*id, client))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The connection that a session is attached to.
    pub(super) fn of_session(&self, session: SessionId) -> Option<ClientId> {
        self.attached.get(&session).copied()
    }

    /// How many bytes the requests without an answer have, of all connections.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether connections are held because of all of them together.
    pub(super) fn is_crowded(&self) -> bool {
        self.crowded
    }

    /// Connections are held because of all of them together, or no longer.
    pub(super) fn set_crowded(&mut self, crowded: bool) {
        self.crowded = crowded;
    }

    /// How much is asked for and not answered.
    pub(super) fn loads(&self, config: &ServerConfig, loads: &mut Loads) {
        let bytes_max = config.waiting_bytes_max * 2 + config.frame_bytes_max;
        loads.bounded("requests_of_one_client", self.most, config.outstanding_per_client_max);
        loads.bounded("request_bytes", self.bytes, bytes_max);
    }

    /// What always holds, as far as it costs nothing to look.
    pub(super) fn invariants(&self) {
        assert!(
            self.attached.len() <= self.by_id.len(),
            "a session is attached to a connection that there is"
        );
        assert!(self.bytes == 0 || !self.by_id.is_empty(), "no bytes are counted of nobody");
    }

    /// What always holds of this connection.
    pub(super) fn check_one(&self, id: ClientId, serving: bool) {
        let Some(client) = self.by_id.get(&id) else { return };
        client.requests.check();
        let is_served_alone = match client.phase {
            Phase::Fresh => client.requests.is_empty(),
            Phase::Connecting { .. } => false,
            Phase::Attached { read_only, .. } => read_only,
        };
        assert!(
            serving || is_served_alone,
            "without a leader only readers that agreed to it are served"
        );
        if let Some(session) = client.session() {
            assert_eq!(
                self.attached.get(&session),
                Some(&id),
                "an attached connection is that of its session"
            );
        }
        assert!(
            client.requests.queued_count() == 0 || client.session().is_some(),
            "only a connection with a session has requests"
        );
    }

    /// What always holds of one connection after another: of the first behind a place that wanders
    /// with `round`.
    pub(super) fn check_sample(&self, round: u64, serving: bool) {
        let Some((last, _)) = self.by_id.last_key_value() else { return };
        let from = ClientId(round.wrapping_mul(0x9e37_79b9_7f4a_7c15) % last.0.saturating_add(1));
        if let Some((id, _)) = self.by_id.range(from..).next() {
            self.check_one(*id, serving);
        }
    }

    /// What always holds, connection by connection.
    #[cfg(test)]
    pub(super) fn check(&self, serving: bool) {
        let mut bytes = 0;
        for (id, client) in self.iter() {
            self.check_one(id, serving);
            bytes += client.requests.bytes();
        }
        assert_eq!(self.bytes, bytes, "the bytes of all are the sum of those of each");
        for (session, id) in &self.attached {
            let client = self.by_id.get(id);
            assert_eq!(
                client.and_then(Client::session),
                Some(*session),
                "a session is attached to a connection that serves it"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::requests::Call;
    use mailstorm_shared::WallTime;
    use mailstorm_wire::client::Request;

    const SESSION: SessionId = SessionId(7);

    /// Two connections, of which the first has the session.
    fn two() -> Clients {
        let now = Now { monotonic: Instant(5), wall: WallTime(5) };
        let mut clients = Clients::default();
        for id in [1, 2] {
            let address = "127.0.0.1:9".parse().unwrap();
            clients.insert(ClientId(id), Client::opened(now, address, [0; 16]));
        }
        clients.attach(ClientId(1), SESSION, Millis(4_000), false);
        clients
    }

    fn ask(clients: &mut Clients, id: u64) {
        let call = Call { xid: 1, bytes: 10, identity_count: 1, came: Instant(5) };
        let request = Request::Exists { path: "/a".into(), watch: false };
        clients.change(ClientId(id), |client| client.requests.push_pending(call, request));
    }

    #[test]
    fn the_bytes_of_all_follow_each_connection_and_go_with_it() {
        let mut clients = two();
        ask(&mut clients, 1);
        ask(&mut clients, 1);
        assert_eq!(clients.bytes(), 20);
        clients.change(ClientId(1), |client| client.requests.take());
        assert_eq!(clients.bytes(), 10);
        clients.check(true);
        assert!(clients.remove(ClientId(1)));
        assert!(!clients.remove(ClientId(1)), "a connection goes once");
        assert_eq!((clients.bytes(), clients.of_session(SESSION)), (0, None));
        clients.check(true);
    }

    #[test]
    #[should_panic = "a session is attached to one connection"]
    fn a_session_is_not_attached_to_a_second_connection() {
        two().attach(ClientId(2), SESSION, Millis(4_000), false);
    }

    #[test]
    fn a_connection_that_is_held_was_last_seen_now() {
        let mut clients = two();
        clients.change(ClientId(1), |client| client.requests.hold(true));
        assert_eq!(clients.held_seen(Instant(900)), [SESSION]);
        assert_eq!(clients.get(ClientId(1)).unwrap().heard, Instant(900));
        assert_eq!(clients.get(ClientId(2)).unwrap().heard, Instant(5));
    }
}
