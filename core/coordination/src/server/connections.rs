//! Connections of clients: the handshake, what is answered outside the order of requests (pings,
//! credentials, four-letter words), and every way in which a connection ends.
//!
//! Owns: how a connection comes, gets its session, and goes. Leaves: who is connected to `clients`,
//! requests in order to `pipeline`, and whether a session lives to the leader.
//! Holds: a connection that was closed here is forgotten at once, with its watches, so that nothing
//! is sent to it again; an older connection of a session is closed before a newer one is served.
//! Start at `Server::client_frame`.

use super::Server;
use super::clients::{Client, Phase};
use super::config::{
    HANDSHAKE_BYTES_MAX, IDENTITIES_PER_CLIENT_MAX, IDENTITY_BYTES_PER_CLIENT_MAX,
};
use super::forwarded::InFlight;
use super::replies::Spent;
use super::stats::Served;
use crate::data::{Identity, auth};
use crate::io::{ClientId, Output};
use crate::replica::Outbox;
use bytes::Bytes;
use mailstorm_shared::facts::EnsembleFact;
use mailstorm_shared::{Instant, Millis, Now, SessionId, Zxid};
use mailstorm_wire::client::{
    ConnectRequest, ConnectResponse, ErrorCode, FourLetterWord, Reply, ReplyHeader,
    decode_connect_request, encode_connect_response, encode_reply,
};
use mailstorm_wire::peer::LeaderRequest;
use std::net::SocketAddr;

impl Server {
    /// Somebody connected.
    pub(super) fn client_opened(
        &mut self,
        now: Now,
        id: ClientId,
        address: SocketAddr,
        entropy: [u8; 16],
        out: &mut Outbox,
    ) {
        if self.clients.len() >= self.config.clients_max {
            out.outputs.push(Output::CloseClient { client: id });
            return;
        }
        self.clients.insert(id, Client::opened(now, address, entropy));
    }

    /// A frame arrived.
    pub(super) fn client_frame(&mut self, now: Now, id: ClientId, frame: Bytes, out: &mut Outbox) {
        let has_too_many_waiting = self.has_too_many_bytes_waiting();
        let seen = self.clients.change(id, |client| {
            client.account.traffic.received += 1;
            client.heard = now.monotonic;
            client.phase()
        });
        let Some(phase) = seen else { return }; // Closed in the meantime.
        self.traffic.received += 1;
        if frame.len() > self.config.frame_bytes_max {
            self.hang_up(id, out);
            return;
        }
        match phase {
            Phase::Fresh if frame.len() > HANDSHAKE_BYTES_MAX => self.hang_up(id, out),
            Phase::Fresh => self.handshake(now, id, &frame, out),
            Phase::Connecting { .. } if has_too_many_waiting => self.hang_up(id, out),
            Phase::Connecting { .. } => {
                self.clients.change(id, |client| client.requests.push_early(frame));
                self.hold_if_crowded(id, out);
            }
            Phase::Attached { .. } => self.request(now, id, frame, &mut Spent::default(), out),
        }
    }

    /// A four-letter word instead of a handshake: it is answered and that is all.
    pub(super) fn client_word(
        &mut self,
        now: Now,
        id: ClientId,
        word: FourLetterWord,
        out: &mut Outbox,
    ) {
        let received = |client: &mut Client| client.account.traffic.received += 1;
        if self.clients.change(id, received).is_none() {
            return;
        }
        self.traffic.received += 1;
        let text = self.word(now, id, word);
        self.traffic.sent += 1;
        self.forget_client(id);
        out.outputs.push(Output::RespondText { client: id, text });
    }

    /// The host says that a connection is gone. Its session lives on, until it is resumed or
    /// expires.
    pub(super) fn client_closed(&mut self, id: ClientId) {
        self.forget_client(id);
    }

    /// The first frame. Without a leader nobody is served, except readers who said that they would
    /// take a read-only server, where that is allowed.
    fn handshake(&mut self, now: Now, id: ClientId, frame: &Bytes, out: &mut Outbox) {
        let Ok(request) = decode_connect_request(frame.clone()) else {
            self.hang_up(id, out);
            return;
        };
        // Single system image: who has seen more than we have must find a server that has, too.
        if request.last_zxid_seen > self.database.last_applied() {
            self.hang_up(id, out);
            return;
        }
        if self.serving {
            self.ask_for_session(now, id, &request, out);
        } else if self.may_serve_readers() && request.read_only == Some(true) {
            self.attach_read_only(now, id, &request, out);
        } else {
            self.hang_up(id, out);
        }
    }

    /// Whether there is something to show to readers that take it from a server without a leader.
    pub(super) fn may_serve_readers(&self) -> bool {
        self.config.read_only_mode && self.database.is_exact()
    }

    fn ask_for_session(
        &mut self,
        now: Now,
        id: ClientId,
        request: &ConnectRequest,
        out: &mut Outbox,
    ) {
        if self.has_too_much_under_way() {
            self.hang_up(id, out);
            return;
        }
        let Some(client) = self.clients.get(id) else { return };
        let (to_leader, resume) = if request.session == SessionId::NONE {
            let timeout = self.config.negotiated(Millis(request.timeout.max(0) as u64));
            (LeaderRequest::OpenSession { timeout, password: client.entropy }, None)
        } else if let Ok(password) = <[u8; 16]>::try_from(&request.password[..]) {
            (LeaderRequest::ResumeSession { password }, Some((request.session, password)))
        } else {
            self.refuse_session(id, request.read_only, out);
            return;
        };
        let read_only = request.read_only;
        self.clients.change(id, |client| client.connecting(read_only, resume));
        let resumes = resume.map(|(session, _)| session);
        let ticket = self.forwarded.forward(InFlight { client: id, bytes: 0, resumes });
        self.forward(now, ticket, request.session, to_leader, out);
    }

    /// Serves a reader from what was last applied. A session that it brings must be known here; a
    /// new one is local: negative, so that it can never be taken for a zxid, and gone with the
    /// connection.
    fn attach_read_only(
        &mut self,
        now: Now,
        id: ClientId,
        request: &ConnectRequest,
        out: &mut Outbox,
    ) {
        let Some(client) = self.clients.get(id) else { return };
        let asked_for = Millis(request.timeout.max(0) as u64);
        let (session, timeout, password) = if request.session == SessionId::NONE {
            let [a, b, c, d, e, f, g, h, ..] = client.entropy;
            let local = SessionId(i64::from_be_bytes([a, b, c, d, e, f, g, h]) | i64::MIN);
            (local, self.config.negotiated(asked_for), client.entropy)
        } else {
            match self.database.session(request.session) {
                Some(record) if record.password[..] == request.password[..] => {
                    (request.session, record.timeout, record.password)
                }
                _ => {
                    self.refuse_session(id, request.read_only, out);
                    return;
                }
            }
        };
        let response = ConnectResponse {
            timeout: timeout.0 as i32,
            session,
            password: Bytes::copy_from_slice(&password),
            read_only: Some(true),
        };
        self.attach(now, id, timeout, true, &response, out);
    }

    /// The leader's transaction opened the session that a connection waits for.
    pub(super) fn session_opened(&mut self, now: Now, id: ClientId, zxid: Zxid, out: &mut Outbox) {
        let session = SessionId::created_at(zxid);
        let Some(client) = self.clients.get(id) else { return };
        let Phase::Connecting { read_only, .. } = client.phase() else { return };
        let record = self
            .database
            .session(session)
            .expect("the transaction that opened it has just been applied");
        let (timeout, password) = (record.timeout, record.password);
        out.tell(EnsembleFact::Acknowledged { session, zxid });
        let response = ConnectResponse {
            timeout: timeout.0 as i32,
            session,
            password: Bytes::copy_from_slice(&password),
            read_only: read_only.map(|_| false),
        };
        self.attach(now, id, timeout, false, &response, out);
    }

    /// The leader says whether a session may be resumed here, or that none may be opened.
    pub(super) fn session_resumed(
        &mut self,
        now: Now,
        id: ClientId,
        timeout: Option<Millis>,
        out: &mut Outbox,
    ) {
        let Some(client) = self.clients.get(id) else { return };
        let Phase::Connecting { read_only, resume } = client.phase() else { return };
        let Some((session, password)) = resume else {
            // There are as many sessions as there may be. Nothing is over for who has none: it
            // tries again.
            self.hang_up(id, out);
            return;
        };
        let Some(timeout) = timeout else {
            self.refuse_session(id, read_only, out);
            return;
        };
        let response = ConnectResponse {
            timeout: timeout.0 as i32,
            session,
            password: Bytes::copy_from_slice(&password),
            read_only: read_only.map(|_| false),
        };
        self.attach(now, id, timeout, false, &response, out);
    }

    /// Attaches a session to a connection: from here on it is served. An older connection of the
    /// same session is closed.
    fn attach(
        &mut self,
        now: Now,
        id: ClientId,
        timeout: Millis,
        read_only: bool,
        response: &ConnectResponse,
        out: &mut Outbox,
    ) {
        let session = response.session;
        if let Some(old) = self.clients.of_session(session) {
            self.hang_up(old, out);
        }
        let Some(client) = self.clients.get(id) else { return };
        let took = now.monotonic.since(client.heard);
        self.clients.attach(id, session, timeout, read_only);
        // What came behind the handshake counts again if it has to wait.
        let early = self.clients.change(id, |client| client.requests.take_early());
        self.respond(id, encode_connect_response(response), out);
        self.served(now, id, Served { operation: "SESS", xid: 0, took });
        let mut spent = Spent::default();
        for frame in early.into_iter().flatten() {
            self.request(now, id, frame, &mut spent, out);
        }
        self.release(id, out);
    }

    /// Tells a client that its session is over, or was never its own.
    fn refuse_session(&mut self, id: ClientId, read_only: Option<bool>, out: &mut Outbox) {
        let response = ConnectResponse {
            timeout: 0,
            session: SessionId::NONE,
            password: Bytes::from_static(&[0; 16]),
            read_only: read_only.map(|_| false),
        };
        self.respond(id, encode_connect_response(&response), out);
        self.hang_up(id, out);
    }

    /// `auth`: from the next request on the client is also whom it has proved to be.
    pub(super) fn authenticate(
        &mut self,
        id: ClientId,
        xid: i32,
        scheme: &str,
        credentials: &[u8],
        out: &mut Outbox,
    ) {
        let Some(client) = self.clients.get(id) else { return };
        let super_digest = self.config.super_digest.as_deref();
        let proved = auth::authenticate(scheme, credentials, client.address.ip(), super_digest);
        let result = proved.and_then(|mut proved| {
            let proves = |client: &mut Client| {
                proved.retain(|identity| !client.identities.contains(identity));
                client.identities.append(&mut proved);
                are_too_many(&client.identities)
            };
            match self.clients.change(id, proves) {
                Some(true) => Err(ErrorCode::AuthFailed),
                _ => Ok(()),
            }
        });
        self.respond(id, auth_reply(xid, result.err()), out);
        if result.is_err() {
            self.hang_up(id, out);
        }
    }

    /// Closes a connection from our side, after what was sent.
    pub(super) fn hang_up(&mut self, id: ClientId, out: &mut Outbox) {
        if self.forget_client(id) {
            out.outputs.push(Output::CloseClient { client: id });
        }
    }

    /// A server that lost its role knows nothing any more of what its clients wait for: they must
    /// ask elsewhere. Connections without a handshake have asked for nothing and stay.
    pub(super) fn hang_up_everybody(&mut self, out: &mut Outbox) {
        let mut busy: Vec<ClientId> = Vec::with_capacity(self.clients.len());
        let asked = self.clients.iter().filter(|(_, client)| client.phase() != Phase::Fresh);
        busy.extend(asked.map(|(id, _)| id));
        for id in busy {
            self.hang_up(id, out);
        }
    }

    /// Closes connections of which nothing has been heard for the session's timeout, or that never
    /// came to have a session. The session itself is the leader's business.
    pub(super) fn hang_up_silent(&mut self, now: Now, out: &mut Outbox) {
        let is_silent = |client: &Client| now.monotonic > self.silent_until(client);
        let silent = self.clients.iter().filter(|(_, client)| is_silent(client));
        let silent: Vec<ClientId> = silent.map(|(id, _)| id).collect();
        for id in silent {
            self.hang_up(id, out);
        }
    }

    /// When a connection is closed that sends nothing more.
    pub(super) fn silent_until(&self, client: &Client) -> Instant {
        client.heard
            + match client.phase() {
                Phase::Attached { timeout, .. } => timeout,
                Phase::Fresh => self.config.silence_max,
                Phase::Connecting { .. } => self.config.handshake_timeout,
            }
    }

    /// A held client cannot be heard, and that is our doing: it counts as seen all the same.
    pub(super) fn touch_held(&mut self, now: Now) {
        for session in self.clients.held_seen(now.monotonic) {
            self.touch(now.monotonic, session);
        }
    }

    /// The session is connected elsewhere now. That ends the connection that has it here, and one
    /// that was to get it: the leader has said so, before it gave the session away, and only
    /// something that is still to be applied here keeps it waiting. One whose request the leader
    /// has yet to get may still win.
    pub(super) fn session_moved(&mut self, session: SessionId, out: &mut Outbox) {
        let granted = self.forwarded.granted(session);
        for id in self.clients.of_session(session).into_iter().chain(granted) {
            self.hang_up(id, out);
        }
    }

    /// Whether there was such a connection.
    fn forget_client(&mut self, id: ClientId) -> bool {
        if self.clients.get(id).is_some_and(|client| client.requests.waits_for_room()) {
            self.forwarded.wait_no_longer(id);
        }
        let known = self.clients.remove(id);
        if known {
            self.watches.forget_client(id);
        }
        known
    }
}

/// Whether these are more identities than a client may have.
fn are_too_many(identities: &[Identity]) -> bool {
    let bytes: usize = identities.iter().map(|(scheme, id)| scheme.len() + id.len()).sum();
    identities.len() > IDENTITIES_PER_CLIENT_MAX || bytes > IDENTITY_BYTES_PER_CLIENT_MAX
}

/// The answer to `auth` says nothing of the tree: its zxid is 0, as ZooKeeper's.
fn auth_reply(xid: i32, error: Option<ErrorCode>) -> Bytes {
    let header = ReplyHeader { xid, zxid: Zxid::ZERO, error };
    encode_reply(&header, Some(&Reply::Empty))
}
