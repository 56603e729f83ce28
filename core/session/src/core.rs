//! The life of a session: finding a server, shaking hands, staying in touch, ending.
//!
//! ```text
//!            +------------- the pause is over ------------+
//!            v                                            |
//!   Opening --connected--> Greeting --accepted--> Up    Idle
//!      |                      |    \               |      ^
//!      +------ closed, too slow, or invalid -------+------+
//!                                   \
//!                                    +--session refused--> Over
//! ```
//!
//! A broken connection leads straight to the next server; only a whole round of servers without a
//! single answered request leads to a pause, so that clients do not hammer an ensemble in trouble.

use crate::account;
use crate::error::CallError;
use crate::io::{
    Answer, OperationId, Retry, SessionInput, SessionOutput, SessionState, Submission, WatchId,
};
use crate::outstanding::{OPERATIONS_OUTSTANDING_MAX, Operation, Outstanding};
use crate::registry::{Forgotten, Registry, WatchTable};
use bytes::Bytes;
use mailstorm_shared::facts::{ClientFact, Outcome};
use mailstorm_shared::machine::Loads;
use mailstorm_shared::{Defects, Instant, Millis, SessionId, Zxid, planted};
use mailstorm_wire::client::{
    ConnectRequest, Request, encode_connect_request, encode_request, xid,
};
use mailstorm_wire::frame::{self, FrameDecoder};
use std::collections::VecDeque;
use std::sync::Arc;

/// The first pause after a round of servers without success. Doubles with each further round.
pub const PAUSE_MS_MIN: u64 = 50;
/// The longest pause between rounds, as in ZooKeeper's own client.
pub const PAUSE_MS_MAX: u64 = 1_000;
/// The least time a server gets to answer a connect and a handshake, however many servers there
/// are.
pub const ATTEMPT_MIN: Millis = Millis(100);
/// How long a client that would like to write stays with a read-only server before it tries the
/// others.
pub const READ_ONLY_STAY: Millis = Millis(10_000);
/// Credentials that one session may hold.
pub const CREDENTIALS_MAX: usize = 16;

/// What a session is configured with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// How many servers there are to choose from.
    pub servers: usize,
    /// The session timeout requested.
    pub timeout: Millis,
    /// Whether a read-only server, one without a quorum, is accepted.
    pub read_only: bool,
    /// The client's number in observations.
    pub client: u32,
    /// Whether calls are reported to onlookers.
    pub observe_calls: bool,
    /// The defect that is planted, if any.
    pub defects: Defects,
}

/// The session of one client.
#[derive(Clone, Debug)]
pub struct SessionCore {
    pub(crate) config: SessionConfig,
    /// The servers in this client's own order, and the next one to try.
    order: Vec<usize>,
    next_server: usize,
    /// Connections since the last answered request.
    pub(crate) fruitless: u32,
    random: u64,
    pub(crate) link: Link,
    pub(crate) state: SessionState,
    pub(crate) session: SessionId,
    pub(crate) password: Bytes,
    /// Negotiated once there is a session.
    pub(crate) timeout: Millis,
    /// The newest zxid seen in a reply or an event: a server that is behind it must not serve us.
    pub(crate) last_zxid_seen: Zxid,
    /// The newest zxid seen in a reply. Events do not count: a transaction may fire several, and if
    /// the connection breaks between two of them, the catch-up must still deliver the second. All
    /// events up to a reply's zxid, however, came before the reply.
    pub(crate) last_zxid_complete: Zxid,
    pub(crate) outstanding: Outstanding,
    pub(crate) registry: Registry,
    /// Watches that were dropped since the last step: no more than were registered then. The next
    /// step reports them before anything else.
    given_up: Vec<(WatchTable, Arc<str>)>,
    pub(crate) credentials: Vec<Credentials>,
    next_credentials: u32,
    next_xid: i32,
    /// When the application closed the session.
    closing: Option<Instant>,
    /// The wake-up that the driver knows of. It may come early, never late.
    scheduled: Option<Instant>,
}

/// An identity that each new connection must prove.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    /// Distinguishes them; never reused.
    pub(crate) number: u32,
    scheme: Arc<str>,
    secret: Bytes,
    /// The call that added them, as long as no server has accepted them.
    pub(crate) waiting: Option<OperationId>,
}

/// Where the connection stands.
#[derive(Clone, Debug)]
pub(crate) enum Link {
    /// Not connected until then.
    Idle { until: Instant },
    /// Being opened.
    Opening { deadline: Instant },
    /// Open; the handshake is sent.
    Greeting { deadline: Instant, reader: FrameDecoder },
    /// The server has accepted us.
    Up(Up),
    /// The session is over.
    Over,
}

/// An accepted connection.
#[derive(Clone, Debug)]
pub(crate) struct Up {
    pub(crate) reader: FrameDecoder,
    /// When something was last received, and when something was last sent.
    pub(crate) heard_at: Instant,
    pub(crate) sent_at: Instant,
    /// The credentials sent and not answered, oldest first.
    pub(crate) proving: VecDeque<u32>,
    /// Requests to arm watches sent and not answered.
    pub(crate) rearming: u32,
    /// When to leave a read-only server.
    read_only_until: Option<Instant>,
}

impl SessionCore {
    /// A session that has not begun. `entropy` decides the order in which the servers are tried.
    pub fn new(config: SessionConfig, entropy: u64) -> Self {
        let mut core = Self {
            order: (0..config.servers).collect(),
            next_server: 0,
            fruitless: 0,
            random: entropy,
            link: Link::Idle { until: Instant::ZERO },
            state: SessionState::Connecting,
            session: SessionId::NONE,
            password: Bytes::from_static(&[0; 16]),
            timeout: config.timeout,
            last_zxid_seen: Zxid::ZERO,
            last_zxid_complete: Zxid::ZERO,
            outstanding: Outstanding::default(),
            registry: Registry::default(),
            given_up: Vec::new(),
            credentials: Vec::new(),
            next_credentials: 0,
            next_xid: 1,
            closing: None,
            scheduled: None,
            config,
        };
        // Fisher and Yates.
        for last in (1..core.order.len()).rev() {
            let other = (core.draw() % (last as u64 + 1)) as usize;
            core.order.swap(last, other);
        }
        if core.order.is_empty() {
            core.link = Link::Over;
            core.state = SessionState::Closed;
        }
        core
    }

    /// The session, or [`SessionId::NONE`] before there is one.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// The session timeout: the one negotiated, or the one requested as long as there is no
    /// session.
    pub fn timeout(&self) -> Millis {
        self.timeout
    }

    /// Where the session stands.
    pub fn state(&self) -> SessionState {
        self.state
    }

    /// The newest zxid that this session has seen.
    pub fn last_zxid_seen(&self) -> Zxid {
        self.last_zxid_seen
    }

    /// Whether there is room for one more operation.
    pub fn has_room(&self) -> bool {
        self.outstanding.count() < OPERATIONS_OUTSTANDING_MAX
    }

    /// Tells how much it keeps of everything that could grow.
    pub fn loads(&self, loads: &mut Loads) {
        // The session's own farewell comes on top.
        let outstanding_max = OPERATIONS_OUTSTANDING_MAX + 1;
        loads.bounded("operations_outstanding", self.outstanding.count(), outstanding_max);
        loads.bounded("credentials", self.credentials.len(), CREDENTIALS_MAX);
        // As many as the application keeps.
        loads.unbounded("watches_registered", self.registry.count() as u64);
    }

    /// Takes one input; appends to `out` what is to be done, in order.
    pub fn step(&mut self, now: Instant, input: SessionInput, out: &mut Vec<SessionOutput>) {
        for (table, path) in std::mem::take(&mut self.given_up) {
            self.observe_given_up(table, path, out);
        }
        match input {
            SessionInput::Woken => {
                self.scheduled = None;
                self.woken(now, out);
            }
            SessionInput::Connected => self.connected(now, out),
            SessionInput::Received(bytes) => self.received(now, &bytes, out),
            SessionInput::Closed => self.lose_connection(now, out),
            SessionInput::Submit(submission) => self.submit(now, submission, out),
            SessionInput::Close => self.close(now, out),
            SessionInput::Abandon => self.end(SessionState::Closed, out),
        }
        self.schedule(out);
    }

    /// The application has dropped this watch.
    pub fn forget(&mut self, watch: WatchId) {
        match self.registry.forget(watch) {
            Forgotten::Unknown => self.outstanding.forget_watch(watch),
            Forgotten::NotAlone => {}
            Forgotten::Alone(table, path) => self.given_up.push((table, path)),
        }
    }

    pub(crate) fn observe_given_up(
        &self,
        table: WatchTable,
        path: Arc<str>,
        out: &mut Vec<SessionOutput>,
    ) {
        let (client, session, watch) = (self.config.client, self.session, table.told_as());
        out.push(SessionOutput::Observe(ClientFact::WatchGivenUp { client, session, path, watch }));
    }

    // ---- time

    fn woken(&mut self, now: Instant, out: &mut Vec<SessionOutput>) {
        if self.closing.is_some_and(|since| now >= since + self.timeout) {
            // No server could be notified. The session expires by itself, if it has not yet.
            return self.end(SessionState::Closed, out);
        }
        match &self.link {
            Link::Idle { until } if now >= *until => self.open(now, out),
            Link::Opening { deadline } | Link::Greeting { deadline, .. } if now >= *deadline => {
                self.drop_connection(now, out);
            }
            Link::Up(up) => {
                let silent = now >= up.heard_at + self.patience();
                let enough_of_reading = up.read_only_until.is_some_and(|until| now >= until);
                if silent || enough_of_reading {
                    self.drop_connection(now, out);
                } else if now >= up.sent_at + self.ping_interval() {
                    self.send(now, encode_request(xid::PING, &Request::Ping), out);
                }
            }
            _ => {}
        }
    }

    /// A server that is silent for two thirds of the timeout is given up, so that a third is left
    /// to find another one before the session expires.
    fn patience(&self) -> Millis {
        Millis(self.timeout.0 * 2 / 3)
    }

    /// Something is sent at least this often, so that a ping and its answer fit into the patience.
    fn ping_interval(&self) -> Millis {
        Millis(self.timeout.0 / 3)
    }

    /// Wakes are lazy: one that comes too early does nothing but ask for the next, which is cheaper
    /// than moving the timer with every frame.
    fn schedule(&mut self, out: &mut Vec<SessionOutput>) {
        let link = match &self.link {
            Link::Idle { until } => *until,
            Link::Opening { deadline } | Link::Greeting { deadline, .. } => *deadline,
            Link::Up(up) => {
                let silence = up.heard_at + self.patience();
                let ping = up.sent_at + self.ping_interval();
                silence.min(ping).min(up.read_only_until.unwrap_or(silence))
            }
            Link::Over => return,
        };
        let due = self.closing.map_or(link, |since| link.min(since + self.timeout));
        if self.scheduled.is_none_or(|scheduled| due < scheduled) {
            self.scheduled = Some(due);
            out.push(SessionOutput::WakeAt(due));
        }
    }

    /// SplitMix64 over the entropy handed in.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    // ---- the connection

    fn open(&mut self, now: Instant, out: &mut Vec<SessionOutput>) {
        let server = self.order[self.next_server];
        self.next_server = (self.next_server + 1) % self.order.len();
        let share = Millis(self.timeout.0 / self.order.len() as u64);
        self.link = Link::Opening { deadline: now + share.max(ATTEMPT_MIN) };
        out.push(SessionOutput::Connect { server });
    }

    fn connected(&mut self, now: Instant, out: &mut Vec<SessionOutput>) {
        let Link::Opening { deadline } = self.link else { return };
        self.link = Link::Greeting { deadline, reader: FrameDecoder::new(frame::REPLY_BYTES_MAX) };
        let greeting = ConnectRequest {
            last_zxid_seen: self.last_zxid_seen,
            timeout: i32::try_from(self.config.timeout.0).unwrap_or(i32::MAX),
            session: self.session,
            password: self.password.clone(),
            read_only: Some(self.config.read_only),
        };
        self.send(now, encode_connect_request(&greeting), out);
    }

    /// Closes the connection, and continues as if the server had.
    pub(crate) fn drop_connection(&mut self, now: Instant, out: &mut Vec<SessionOutput>) {
        out.push(SessionOutput::Disconnect);
        self.lose_connection(now, out);
    }

    fn lose_connection(&mut self, now: Instant, out: &mut Vec<SessionOutput>) {
        let was_up = match &self.link {
            Link::Idle { .. } | Link::Over => return,
            Link::Opening { .. } | Link::Greeting { .. } => false,
            Link::Up(_) => true,
        };
        if was_up {
            out.push(SessionOutput::Observe(ClientFact::ClientDisconnected {
                client: self.config.client,
            }));
            let state = match self.session {
                SessionId::NONE => SessionState::Connecting,
                _ => SessionState::Suspended,
            };
            self.enter(state, out);
            for operation in self.outstanding.connection_lost(self.config.defects) {
                self.complete(&operation, Err(CallError::ConnectionLoss), Zxid::ZERO, out);
            }
        }
        self.fruitless += 1;
        let rounds = self.fruitless / self.order.len() as u32;
        if self.fruitless.is_multiple_of(self.order.len() as u32) {
            let pause = (PAUSE_MS_MIN << (rounds - 1).min(8)).min(PAUSE_MS_MAX);
            // Between half and the whole of it, so that clients that lost the same server spread.
            let pause = pause / 2 + self.draw() % (pause / 2);
            self.link = Link::Idle { until: now + Millis(pause) };
        } else {
            self.open(now, out);
        }
    }

    /// The server accepted the handshake.
    pub(crate) fn established(
        &mut self,
        now: Instant,
        reader: FrameDecoder,
        read_only: bool,
        resumed: bool,
        out: &mut Vec<SessionOutput>,
    ) {
        self.link = Link::Up(Up {
            reader,
            heard_at: now,
            sent_at: now,
            proving: VecDeque::new(),
            rearming: 0,
            read_only_until: read_only.then(|| now + READ_ONLY_STAY),
        });
        out.push(SessionOutput::Observe(ClientFact::ClientConnected {
            client: self.config.client,
            session: self.session,
            resumed,
        }));
        self.enter(SessionState::Connected, out);
        // Credentials first, since watches need them; then the watches, since the catch-up must
        // come before any reply that shows the change; then the pending requests.
        for index in 0..self.credentials.len() {
            self.prove(now, index, out);
        }
        let requests = if planted!(self.config.defects, WatchesNotRearmed) {
            Vec::new()
        } else {
            self.registry.rearm(self.last_zxid_complete)
        };
        for request in requests {
            if let Link::Up(up) = &mut self.link {
                up.rearming += 1;
            }
            let request = Request::SetWatches(request);
            self.send(now, encode_request(xid::SET_WATCHES, &request), out);
        }
        self.send_unsent(now, out);
    }

    fn prove(&mut self, now: Instant, index: usize, out: &mut Vec<SessionOutput>) {
        let Link::Up(up) = &mut self.link else { return };
        let credentials = &self.credentials[index];
        up.proving.push_back(credentials.number);
        let request = Request::Auth {
            scheme: credentials.scheme.clone(),
            credentials: credentials.secret.clone(),
        };
        self.send(now, encode_request(xid::AUTH, &request), out);
    }

    fn send(&mut self, now: Instant, body: Bytes, out: &mut Vec<SessionOutput>) {
        if let Link::Up(up) = &mut self.link {
            up.sent_at = now;
        }
        out.push(SessionOutput::Send(frame::framed(&body)));
    }

    fn send_unsent(&mut self, now: Instant, out: &mut Vec<SessionOutput>) {
        while let Some(operation) = self.outstanding.next_unsent() {
            let body = encode_request(self.next_xid, &operation.request);
            if body.len() > frame::REQUEST_BYTES_MAX {
                self.complete(&operation, Err(CallError::RequestTooLarge), Zxid::ZERO, out);
                continue;
            }
            self.outstanding.sent(self.next_xid, operation);
            // Negative xids are the protocol's own.
            self.next_xid = self.next_xid.checked_add(1).unwrap_or(1);
            self.send(now, body, out);
        }
    }

    // ---- the application

    fn submit(&mut self, now: Instant, submission: Submission, out: &mut Vec<SessionOutput>) {
        let Submission { operation: id, request, watch, retry } = submission;
        if self.config.observe_calls {
            out.push(SessionOutput::Observe(ClientFact::Invoked {
                client: self.config.client,
                operation: id.0,
                call: account::call(&request),
            }));
        }
        let operation = Operation { id: Some(id), request, watch, retry, sends: 0 };
        let credentials = self.credentials.len();
        let full = !self.has_room();
        let refusal = match (self.state, &operation.request) {
            (SessionState::Expired, _) => Some(CallError::SessionExpired),
            (SessionState::Closed, _) => Some(CallError::Closed),
            _ if self.closing.is_some() => Some(CallError::Closed),
            (_, Request::Auth { .. }) if credentials >= CREDENTIALS_MAX => {
                Some(CallError::TooManyOutstanding)
            }
            (_, Request::Auth { .. }) => None,
            _ if full => Some(CallError::TooManyOutstanding),
            _ => None,
        };
        if let Some(error) = refusal {
            return self.complete(&operation, Err(error), Zxid::ZERO, out);
        }
        if let Request::Auth { scheme, credentials: secret } = &operation.request {
            if encode_request(xid::AUTH, &operation.request).len() > frame::REQUEST_BYTES_MAX {
                return self.complete(&operation, Err(CallError::RequestTooLarge), Zxid::ZERO, out);
            }
            // Not queued with the others: it concerns every connection from now on.
            let number = self.next_credentials;
            self.next_credentials += 1;
            let (scheme, secret) = (scheme.clone(), secret.clone());
            self.credentials.push(Credentials { number, scheme, secret, waiting: Some(id) });
            return self.prove(now, credentials, out);
        }
        self.outstanding.add(operation);
        if let Link::Up(_) = self.link {
            self.send_unsent(now, out);
        }
    }

    fn close(&mut self, now: Instant, out: &mut Vec<SessionOutput>) {
        if self.state.is_over() || self.closing.is_some() {
            return;
        }
        if self.session == SessionId::NONE {
            // There is no session to close. (One that a server has just opened for us, its reply
            // still on the way, expires by itself.)
            return self.end(SessionState::Closed, out);
        }
        self.closing = Some(now);
        // Closing twice is the same as once.
        self.outstanding.add(Operation {
            id: None,
            request: Request::CloseSession,
            watch: None,
            retry: Retry::Always,
            sends: 0,
        });
        if let Link::Up(_) = self.link {
            self.send_unsent(now, out);
        }
    }

    // ---- endings

    /// The service says that the session is over.
    pub(crate) fn expired(&mut self, out: &mut Vec<SessionOutput>) {
        // A closeSession is in flight: most likely it is what ended the session.
        let by_us = self.closing.is_some();
        self.observe_session_end(!by_us, out);
        self.end(if by_us { SessionState::Closed } else { SessionState::Expired }, out);
    }

    /// The closeSession was answered.
    pub(crate) fn farewell(&mut self, out: &mut Vec<SessionOutput>) {
        self.observe_session_end(false, out);
        self.end(SessionState::Closed, out);
    }

    fn observe_session_end(&self, expired: bool, out: &mut Vec<SessionOutput>) {
        out.push(SessionOutput::Observe(ClientFact::ClientSessionEnded {
            client: self.config.client,
            session: self.session,
            expired,
        }));
    }

    /// The session is over: every operation ends, and so does the driver.
    fn end(&mut self, state: SessionState, out: &mut Vec<SessionOutput>) {
        if self.state.is_over() {
            return;
        }
        if !matches!(self.link, Link::Idle { .. }) {
            out.push(SessionOutput::Disconnect);
        }
        self.link = Link::Over;
        let error = match state {
            SessionState::Expired => CallError::SessionExpired,
            _ => CallError::Closed,
        };
        let operations: Vec<_> = self.outstanding.drain().collect();
        for operation in operations {
            let error =
                if operation.may_have_happened() { CallError::ConnectionLoss } else { error };
            self.complete(&operation, Err(error), Zxid::ZERO, out);
        }
        for credentials in std::mem::take(&mut self.credentials) {
            if let Some(id) = credentials.waiting {
                self.complete_auth(id, Err(error), Zxid::ZERO, out);
            }
        }
        // Last, so that whoever is notified of the end finds every operation completed.
        self.enter(state, out);
    }

    fn enter(&mut self, state: SessionState, out: &mut Vec<SessionOutput>) {
        if self.state != state {
            self.state = state;
            out.push(SessionOutput::State(state));
        }
    }

    pub(crate) fn complete(
        &mut self,
        operation: &Operation,
        result: Result<Answer, CallError>,
        zxid: Zxid,
        out: &mut Vec<SessionOutput>,
    ) {
        let Some(id) = operation.id else { return };
        // Refused when sent again: the effect of the first sending may be the reason.
        let doubtful = result.is_err() && operation.sends > 1 && operation.may_have_happened();
        let outcome = if doubtful { Outcome::Unknown } else { account::outcome(&result, zxid) };
        self.finish(id, result, outcome, out);
    }

    pub(crate) fn complete_auth(
        &mut self,
        id: OperationId,
        result: Result<Answer, CallError>,
        zxid: Zxid,
        out: &mut Vec<SessionOutput>,
    ) {
        let outcome = account::outcome(&result, zxid);
        self.finish(id, result, outcome, out);
    }

    fn finish(
        &mut self,
        operation: OperationId,
        result: Result<Answer, CallError>,
        outcome: Outcome,
        out: &mut Vec<SessionOutput>,
    ) {
        if self.config.observe_calls {
            out.push(SessionOutput::Observe(ClientFact::Returned {
                client: self.config.client,
                operation: operation.0,
                outcome,
                shown: account::shown(&result),
            }));
        }
        out.push(SessionOutput::Complete { operation, result });
    }
}
