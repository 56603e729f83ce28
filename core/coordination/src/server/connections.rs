//! Connections of clients: the handshake, what is answered outside the order of requests (pings,
//! credentials, four-letter words), and every way in which a connection ends.
//!
//! Owns: [`Client`], and which connection a session is attached to here. Leaves: requests in order to
//! `pipeline`, and whether a session lives to the leader.
//! Holds: a session is attached to at most one connection of this server; a connection that was closed
//! here is forgotten at once, with its watches, so that nothing is sent to it any more.
//! Start at `Server::client_frame`.

use super::Server;
use super::asked::Wanting;
use super::config::{
    HANDSHAKE_BYTES_MAX, IDENTITIES_PER_CLIENT_MAX, IDENTITY_BYTES_PER_CLIENT_MAX,
};
use super::pipeline::{Backlog, Spent};
use super::stats::{Account, Served};
use crate::data::{Identity, auth};
use crate::io::{ClientId, Output};
use crate::replica::Outbox;
use bytes::Bytes;
use mailstorm_shared::facts::EnsembleFact;
use mailstorm_shared::{Millis, Now, SessionId, Zxid};
use mailstorm_wire::client::{
    ConnectRequest, ConnectResponse, ErrorCode, FourLetterWord, Reply, ReplyHeader,
    decode_connect_request, encode_connect_response, encode_reply, encode_reply_within,
};
use mailstorm_wire::frame::REPLY_BYTES_MAX;
use mailstorm_wire::peer::{Answer, Wish};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

/// One connection.
#[derive(Clone, Debug, Hash)]
pub(super) struct Client {
    pub(super) address: SocketAddr,
    entropy: [u8; 16],
    pub(super) phase: Phase,
    /// Whom the client has proved to be: (scheme, id).
    pub(super) identities: Vec<(Arc<str>, Arc<str>)>,
    /// When it last sent something, on the monotonic clock.
    heard: Millis,
    /// Whether the host was told to stop reading from it.
    pub(super) held: bool,
    /// What it asked for and has no answer to yet.
    pub(super) backlog: Backlog,
    /// How many bytes that is, and what came behind the handshake.
    pub(super) bytes_under_way: usize,
    /// Set when no more requests are taken: how it ends once the backlog is answered.
    pub(super) ending: Option<Ending>,
    /// For `cons`.
    pub(super) account: Account,
}

/// How far a connection has come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// Nothing has been received.
    Fresh,
    /// The leader has been asked for the session.
    Connecting {
        /// What the client said about read-only servers, if it said anything.
        read_only: Option<bool>,
        /// The session to resume, with its password; `None` asks for a new one.
        resume: Option<(SessionId, [u8; 16])>,
        /// Frames that came behind the handshake: clients do not wait for its answer.
        early: VecDeque<Bytes>,
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

/// How a connection ends after its last answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Ending {
    /// It asked for an operation that does not exist: it is told so, last.
    Unimplemented {
        /// The request's xid.
        xid: i32,
    },
    /// It closed its session.
    Close,
}

/// A reply as it travels.
pub(super) struct Encoded {
    /// The body of its frame.
    pub(super) frame: Bytes,
    /// What it says, if it is an error.
    pub(super) error: Option<ErrorCode>,
}

impl Client {
    /// The session attached, if one is.
    pub(super) fn session(&self) -> Option<SessionId> {
        self.attached().map(|(session, _)| session)
    }

    /// The session attached, and its timeout.
    pub(super) fn attached(&self) -> Option<(SessionId, Millis)> {
        match self.phase {
            Phase::Attached { session, timeout, .. } => Some((session, timeout)),
            _ => None,
        }
    }
}

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
        let client = Client {
            address,
            entropy,
            phase: Phase::Fresh,
            identities: vec![auth::address_identity(address.ip())],
            heard: now.monotonic,
            held: false,
            backlog: Backlog::default(),
            bytes_under_way: 0,
            ending: None,
            account: Account::opened(now.wall),
        };
        let before = self.clients.insert(id, client);
        assert!(before.is_none(), "the host never uses a client's number twice");
    }

    /// A frame arrived.
    pub(super) fn client_frame(&mut self, now: Now, id: ClientId, frame: Bytes, out: &mut Outbox) {
        let has_too_many_waiting = self.has_too_many_bytes_waiting();
        let Some(client) = self.clients.get_mut(&id) else { return }; // Closed in the meantime.
        self.traffic.received += 1;
        client.account.traffic.received += 1;
        client.heard = now.monotonic;
        if frame.len() > self.config.frame_bytes_max {
            self.hang_up(id, out);
            return;
        }
        match &mut client.phase {
            Phase::Fresh if frame.len() > HANDSHAKE_BYTES_MAX => self.hang_up(id, out),
            Phase::Fresh => self.handshake(now, id, &frame, out),
            Phase::Connecting { .. } if has_too_many_waiting => self.hang_up(id, out),
            Phase::Connecting { early, .. } => {
                client.bytes_under_way += frame.len();
                self.waiting_bytes += frame.len();
                early.push_back(frame);
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
        let Some(client) = self.clients.get_mut(&id) else { return };
        client.account.traffic.received += 1;
        self.traffic.received += 1;
        let text = self.word(now, id, word);
        self.traffic.sent += 1;
        self.clients.remove(&id);
        out.outputs.push(Output::RespondText { client: id, text });
    }

    /// The host says that a connection is gone. Its session lives on, until it is resumed or expires.
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
        let Some(client) = self.clients.get_mut(&id) else { return };
        let (wish, resume) = if request.session == SessionId::NONE {
            let timeout = self.config.negotiated(Millis(request.timeout.max(0) as u64));
            (Wish::OpenSession { timeout, password: client.entropy }, None)
        } else if let Ok(password) = <[u8; 16]>::try_from(&request.password[..]) {
            (Wish::ResumeSession { password }, Some((request.session, password)))
        } else {
            self.refuse_session(id, request.read_only, out);
            return;
        };
        let read_only = request.read_only;
        let resumes = resume.map(|(session, _)| session);
        client.phase = Phase::Connecting { read_only, resume, early: VecDeque::new() };
        let ticket = self.next_ticket();
        self.asked.insert(ticket, Wanting { client: id, bytes: 0, resumes });
        self.ask(now, ticket, request.session, wish, out);
    }

    /// Serves a reader from what was last applied. A session that it brings must be known here; a new
    /// one is local: negative, so that it can never be taken for a zxid, and gone with the connection.
    fn attach_read_only(
        &mut self,
        now: Now,
        id: ClientId,
        request: &ConnectRequest,
        out: &mut Outbox,
    ) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let wished = Millis(request.timeout.max(0) as u64);
        let (session, timeout, password) = if request.session == SessionId::NONE {
            let [a, b, c, d, e, f, g, h, ..] = client.entropy;
            let local = SessionId(i64::from_be_bytes([a, b, c, d, e, f, g, h]) | i64::MIN);
            (local, self.config.negotiated(wished), client.entropy)
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
        let Some(client) = self.clients.get(&id) else { return };
        let Phase::Connecting { read_only, .. } = client.phase else { return };
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

    /// The leader says whether a session may be resumed here.
    pub(super) fn session_resumed(
        &mut self,
        now: Now,
        id: ClientId,
        timeout: Option<Millis>,
        out: &mut Outbox,
    ) {
        let Some(client) = self.clients.get(&id) else { return };
        let Phase::Connecting { read_only, resume: Some((session, password)), .. } = client.phase
        else {
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

    /// Attaches a session to a connection: from here on it is served. An older connection of the same
    /// session is closed.
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
        if let Some(old) = self.attached.insert(session, id) {
            self.hang_up(old, out);
        }
        let Some(client) = self.clients.get_mut(&id) else { return };
        let before =
            std::mem::replace(&mut client.phase, Phase::Attached { session, timeout, read_only });
        // What came behind the handshake counts again if it has to wait.
        self.waiting_bytes -= std::mem::take(&mut client.bytes_under_way);
        let took = now.monotonic.since(client.heard);
        self.respond(id, encode_connect_response(response), out);
        self.served(now, id, Served { operation: "SESS", xid: 0, took });
        if let Phase::Connecting { early, .. } = before {
            let mut spent = Spent::default();
            for frame in early {
                self.request(now, id, frame, &mut spent, out);
            }
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
        let Some(client) = self.clients.get_mut(&id) else { return };
        let super_digest = self.config.super_digest.as_deref();
        match auth::authenticate(scheme, credentials, client.address.ip(), super_digest) {
            Ok(mut proved) => {
                proved.retain(|identity| !client.identities.contains(identity));
                client.identities.append(&mut proved);
                if are_too_many(&client.identities) {
                    self.respond(id, auth_reply(xid, Some(ErrorCode::AuthFailed)), out);
                    self.hang_up(id, out);
                    return;
                }
                self.respond(id, auth_reply(xid, None), out);
            }
            Err(error) => {
                self.respond(id, auth_reply(xid, Some(error)), out);
                self.hang_up(id, out);
            }
        }
    }

    /// Sends a reply.
    pub(super) fn reply(
        &mut self,
        id: ClientId,
        xid: i32,
        result: Result<Reply, ErrorCode>,
        out: &mut Outbox,
    ) {
        let Encoded { frame, .. } = self.encoded(xid, &result);
        self.respond(id, frame, out);
    }

    /// A header with the last transaction applied here, and a body if there is no error. A body that no
    /// client would take becomes [`ErrorCode::MarshallingError`]; only reads can find so much.
    pub(super) fn encoded(&self, xid: i32, result: &Result<Reply, ErrorCode>) -> Encoded {
        let (body, error) = match result {
            Ok(reply) => (Some(reply), None),
            Err(error) => (None, Some(*error)),
        };
        let header = ReplyHeader { xid, zxid: self.database.last_applied(), error };
        match encode_reply_within(&header, body, REPLY_BYTES_MAX) {
            Some(frame) => Encoded { frame, error },
            None => {
                let error = Some(ErrorCode::MarshallingError);
                Encoded { frame: encode_reply(&ReplyHeader { error, ..header }, None), error }
            }
        }
    }

    /// One frame to a client.
    pub(super) fn respond(&mut self, client: ClientId, frame: Bytes, out: &mut Outbox) {
        self.traffic.sent += 1;
        if let Some(client) = self.clients.get_mut(&client) {
            client.account.traffic.sent += 1;
        }
        out.outputs.push(Output::Respond { client, frame });
    }

    /// Notes that an answer left.
    pub(super) fn served(&mut self, now: Now, id: ClientId, served: Served) {
        self.traffic.served(served.took);
        let zxid = self.database.last_applied();
        if let Some(client) = self.clients.get_mut(&id) {
            client.account.served(served, zxid, now.monotonic);
        }
    }

    /// Closes a connection from our side, after what was sent.
    pub(super) fn hang_up(&mut self, id: ClientId, out: &mut Outbox) {
        if self.forget_client(id) {
            out.outputs.push(Output::CloseClient { client: id });
        }
    }

    /// A server that lost its role knows nothing any more of what its clients wait for: they must ask
    /// elsewhere. Connections without a handshake have asked for nothing and stay.
    pub(super) fn hang_up_everybody(&mut self, out: &mut Outbox) {
        let mut busy: Vec<ClientId> = Vec::with_capacity(self.clients.len());
        busy.extend(
            self.clients.iter().filter(|(_, c)| c.phase != Phase::Fresh).map(|(id, _)| *id),
        );
        for id in busy {
            self.hang_up(id, out);
        }
    }

    /// Closes connections of which nothing has been heard for the session's timeout, or that never
    /// came to have a session. The session itself is the leader's business.
    pub(super) fn hang_up_silent(&mut self, now: Now, out: &mut Outbox) {
        let mut silent: Vec<ClientId> = Vec::new();
        for (id, client) in &self.clients {
            if now.monotonic > self.silent_until(client) {
                silent.push(*id);
            }
        }
        for id in silent {
            self.hang_up(id, out);
        }
    }

    /// When a connection is closed that sends nothing more.
    pub(super) fn silent_until(&self, client: &Client) -> Millis {
        client.heard
            + match client.phase {
                Phase::Attached { timeout, .. } => timeout,
                Phase::Fresh => self.config.silence_max,
                Phase::Connecting { .. } => self.config.handshake_timeout,
            }
    }

    /// A held client cannot be heard, and that is our doing: it counts as heard of all the same.
    pub(super) fn touch_held(&mut self, now: Now) {
        let mut held = Vec::new();
        for client in self.clients.values_mut().filter(|client| client.held) {
            client.heard = now.monotonic;
            held.extend(client.session());
        }
        for session in held {
            self.touch(now.monotonic, session);
        }
    }

    /// The session is connected elsewhere now. That ends the connection that has it here, and one that
    /// was to get it: the leader has said so, before it gave the session away, and only something that is
    /// still to be applied here keeps it waiting. One whose wish the leader has yet to hear may still win.
    pub(super) fn session_moved(&mut self, session: SessionId, out: &mut Outbox) {
        let granted: Vec<ClientId> = self
            .answers
            .values()
            .flatten()
            .filter(|(_, answer)| matches!(answer, Answer::Session { .. }))
            .filter_map(|(ticket, _)| self.asked.get(*ticket))
            .filter(|wanting| wanting.resumes == Some(session))
            .map(|wanting| wanting.client)
            .collect();
        for id in self.attached.get(&session).copied().into_iter().chain(granted) {
            self.hang_up(id, out);
        }
    }

    /// Whether there was such a connection.
    fn forget_client(&mut self, id: ClientId) -> bool {
        let Some(client) = self.clients.remove(&id) else { return false };
        self.waiting_bytes -= client.bytes_under_way;
        if let Some(session) = client.session()
            && self.attached.get(&session) == Some(&id)
        {
            self.attached.remove(&session);
        }
        self.watches.forget_client(id);
        true
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
