//! A connection's requests on their way: what goes to the leader at once, what waits, and when an
//! answer may leave.
//!
//! Owns: what each request needs, and what is done when something in its way is gone. Leaves: the
//! order within a connection to `requests`, what a read sees and what a write became to the
//! database, the leader's part to `leader`.
//! Holds: answers leave in the order of the requests. A read is made at the moment when it is the
//! oldest request without an answer, so it sees every earlier write of its connection and no later
//! one. A write goes to the leader as soon as it comes, unless a sync before it has no answer yet,
//! or the leader has no room: then it waits, and nothing of its connection overtakes it.
//! While a newer connection waits to take the session over, nothing more is written for the older
//! one. What all answers of one step find together is bounded, too ([`Spent`]): many reads can wait
//! for one write, or for the handshake.
//! Start at `Server::request`.

use super::Server;
use super::clients::{Client, Phase};
use super::forwarded::InFlight;
use super::replies::{Encoded, Spent};
use super::requests::{Call, Due, Ending, Next, Outcome, Taken, is_for_the_leader};
use super::sessions::Source;
use super::stats::{Served, operation};
use crate::data::{TxnResult, WatchKind, auth};
use crate::io::ClientId;
use crate::replica::Outbox;
use bytes::Bytes;
use mailstorm_shared::facts::EnsembleFact;
use mailstorm_shared::{Instant, Millis, Now, SessionId, Zxid, planted};
use mailstorm_wire::client::{
    ErrorCode, Reply, Request, RequestError, SetWatches, WatcherType, decode_request, encode_event,
    encode_unimplemented, xid,
};
use mailstorm_wire::peer::{Answer, Forwarded, LeaderRequest};

impl Server {
    /// A frame of a connection with a session.
    pub(super) fn request(
        &mut self,
        now: Now,
        id: ClientId,
        frame: Bytes,
        spent: &mut Spent,
        out: &mut Outbox,
    ) {
        let Some(client) = self.clients.get(id) else { return };
        let Phase::Attached { session, read_only, .. } = client.phase() else { return };
        if client.requests.is_ending() {
            return; // It closed its session: nothing that comes behind has a meaning.
        }
        let (came, identity_count) = (now.monotonic, client.identities.len());
        if !read_only {
            out.tell(EnsembleFact::SessionHeard { session });
            self.touch(now.monotonic, session);
        }
        let call = |xid, bytes| Call { xid, bytes, identity_count, came };
        let bytes = frame.len();
        let (xid, request) = match decode_request(frame) {
            Ok(request) => request,
            Err(error) => {
                self.refuse_frame(now, id, call(0, 0), &error, out);
                return;
            }
        };
        match request {
            Request::Ping => {
                self.reply(id, xid::PING, Ok(Reply::Empty), out);
                self.served_at_once(now, id, xid::PING, &Request::Ping);
            }
            Request::Auth { ref scheme, ref credentials } => {
                self.authenticate(id, xid, scheme, credentials, out);
                self.served_at_once(now, id, xid, &request);
            }
            request if read_only && is_for_the_leader(&request) => {
                self.refuse_read_only(id, xid, &request, out);
            }
            request if self.may_be_read_now(id) && !is_for_the_leader(&request) => {
                self.answer_read(id, call(xid, bytes), &request, spent, out);
                self.served_at_once(now, id, xid, &request);
            }
            request => self.enqueue(now, id, session, call(xid, bytes), request, out),
        }
    }

    fn served_at_once(&mut self, now: Now, id: ClientId, xid: i32, request: &Request) {
        let served = Served { operation: operation(request), xid, took: Millis::ZERO };
        self.served(now, id, served);
    }

    /// The session of a client here was seen: the leader must know, now or with the next pong.
    pub(super) fn touch(&mut self, now: Instant, session: SessionId) {
        match &mut self.leading {
            Some(leading) => leading.sessions.heard(now, session),
            None if planted!(self.config.replica.defects, TouchesNotReported) => {}
            None => self.replica.touched(session),
        }
    }

    fn enqueue(
        &mut self,
        now: Now,
        id: ClientId,
        session: SessionId,
        call: Call,
        request: Request,
        out: &mut Outbox,
    ) {
        let closes = request == Request::CloseSession;
        if !closes && self.has_too_many_bytes_waiting() {
            if is_for_the_leader(&request) {
                // A later one might be taken: what is lost with the connection is lost in order.
                self.hang_up(id, out);
            } else {
                self.refuse(now, id, call, ErrorCode::Throttled, out);
            }
            return;
        }
        let crowded = self.has_too_much_under_way() && !closes;
        let Some(client) = self.clients.get(id) else { return };
        let at_once = !client.requests.waits_for_room()
            && match request {
                Request::Sync { .. } => true,
                _ => !client.requests.has_sync_in_flight() && !self.forwarded.is_resuming(session),
            };
        let leaves = at_once && is_for_the_leader(&request);
        if leaves && !crowded {
            let to_leader = LeaderRequest::of(&request, &client.identities);
            let to_leader = to_leader.expect("it is for the leader");
            let in_flight = InFlight { client: id, bytes: call.bytes, resumes: None };
            let ticket = self.forwarded.forward(in_flight);
            let push = |client: &mut Client| client.requests.push_in_flight(call, ticket, request);
            self.clients.change(id, push);
            self.forward(now, ticket, session, to_leader, out);
        } else {
            self.clients.change(id, |client| client.requests.push_pending(call, request));
            if leaves {
                self.wait_for_room(id);
            }
        }
        self.hold_if_crowded(id, out);
    }

    /// A frame that is no request we know: refused in its turn, or at once if there is nothing to
    /// answer to.
    fn refuse_frame(
        &mut self,
        now: Now,
        id: ClientId,
        call: Call,
        error: &RequestError,
        out: &mut Outbox,
    ) {
        let (Some(xid), Some(code)) = (error.xid(), error.error()) else {
            self.hang_up(id, out);
            return;
        };
        if error.hangs_up() {
            let ending = Ending::Unimplemented { xid };
            self.clients.change(id, |client| client.requests.end(ending));
            self.advance(now, id, out);
        } else {
            self.refuse(now, id, Call { xid, ..call }, code, out);
        }
    }

    /// An error that leaves when everything before it is answered.
    fn refuse(&mut self, now: Now, id: ClientId, call: Call, error: ErrorCode, out: &mut Outbox) {
        self.clients.change(id, |client| client.requests.push_refused(call, error));
        self.advance(now, id, out);
        self.hold_if_crowded(id, out);
    }

    /// Whether a read is the oldest request without an answer.
    fn may_be_read_now(&self, id: ClientId) -> bool {
        planted!(self.config.replica.defects, RepliesOutOfOrder)
            || self.clients.get(id).is_some_and(|client| client.requests.is_empty())
    }

    /// Hands a request to the leader, which may be this server.
    pub(super) fn forward(
        &mut self,
        now: Now,
        ticket: u64,
        session: SessionId,
        request: LeaderRequest,
        out: &mut Outbox,
    ) {
        let forwarded = Forwarded { ticket, session, request };
        if self.leading.is_some() {
            self.take_request(now, Source::Here, forwarded, out);
        } else {
            self.replica.forward(forwarded, out);
        }
    }

    /// The leader answered a request that leaves no transaction. The answer means something only
    /// when what it names has been applied here.
    pub(super) fn answered(&mut self, now: Now, ticket: u64, answer: Answer, out: &mut Outbox) {
        match answer {
            Answer::Synced { zxid } | Answer::Session { zxid, .. }
                if zxid > self.database.last_applied() =>
            {
                self.forwarded.defer(zxid, ticket, answer);
            }
            Answer::Synced { .. } => self.sync_done(now, ticket, out),
            Answer::Session { timeout, .. } => self.resumed(now, ticket, Some(timeout), out),
            Answer::NoSession => self.resumed(now, ticket, None, out),
        }
    }

    /// Answers whose point has been reached by applying this.
    pub(super) fn answers_reached(&mut self, now: Now, zxid: Zxid, out: &mut Outbox) {
        while let Some(answers) = self.forwarded.next_deferred(zxid) {
            for (ticket, answer) in answers {
                self.answered(now, ticket, answer, out);
            }
        }
    }

    /// A connection may have the session that it asked for, or may not.
    fn resumed(&mut self, now: Now, ticket: u64, timeout: Option<Millis>, out: &mut Outbox) {
        let Some(InFlight { client, resumes, .. }) = self.forwarded.answered(ticket) else {
            return;
        };
        self.session_resumed(now, client, timeout, out);
        // If the older connection still is there, it goes on.
        if let Some(old) = resumes.and_then(|session| self.clients.of_session(session)) {
            self.go_on(now, old, out);
        }
    }

    /// Everything that a sync waited for has been applied here.
    fn sync_done(&mut self, now: Now, ticket: u64, out: &mut Outbox) {
        let Some(InFlight { client: id, .. }) = self.forwarded.answered(ticket) else { return };
        let outcome = |request: &Request| match request {
            Request::Sync { path } => {
                Some(Outcome { result: Ok(Reply::Synced(path.clone())), written: None })
            }
            _ => None,
        };
        if self.clients.change(id, |client| client.requests.answer(ticket, outcome)) == Some(true) {
            self.go_on(now, id, out);
        }
    }

    /// A transaction that a client here waits for has been applied.
    pub(super) fn written(
        &mut self,
        now: Now,
        ticket: u64,
        zxid: Zxid,
        result: TxnResult,
        out: &mut Outbox,
    ) {
        let Some(InFlight { client: id, .. }) = self.forwarded.answered(ticket) else { return };
        let Some(client) = self.clients.get(id) else { return }; // Gone without its answer.
        if matches!(client.phase(), Phase::Connecting { .. }) {
            self.session_opened(now, id, zxid, out);
            return;
        }
        let outcome = |request: &Request| {
            Some(Outcome { result: result.reply(request), written: Some(zxid) })
        };
        if self.clients.change(id, |client| client.requests.answer(ticket, outcome)) == Some(true) {
            self.advance(now, id, out);
        }
    }

    /// Something in the way of a connection's requests is gone.
    fn go_on(&mut self, now: Now, id: ClientId, out: &mut Outbox) {
        self.advance(now, id, out);
        self.forward_pending(now, id, out);
    }

    /// Answers what can be answered, oldest first, and ends the connection if nothing is left of
    /// one that was to end.
    pub(super) fn advance(&mut self, now: Now, id: ClientId, out: &mut Outbox) {
        let mut spent = Spent::default();
        loop {
            let Some(client) = self.clients.get(id) else { return };
            match client.requests.next() {
                Next::Nothing => break,
                Next::Forwarding => {
                    self.forward_pending(now, id, out);
                    break;
                }
                Next::Reply => {}
            }
            let taken = self.clients.change(id, |client| client.requests.take());
            let Some(Taken { call, operation, due }) = taken else { return };
            match due {
                Due::Outcome(outcome) => self.answer_outcome(id, call.xid, outcome, out),
                Due::Read(request) => self.answer_read(id, call, &request, &mut spent, out),
            }
            let took = now.monotonic.since(call.came);
            self.served(now, id, Served { operation, xid: call.xid, took });
        }
        self.release(id, out);
        self.end_if_answered(id, out);
    }

    fn answer_outcome(&mut self, id: ClientId, xid: i32, outcome: Outcome, out: &mut Outbox) {
        let Outcome { result, written } = outcome;
        let Some(client) = self.clients.get(id) else { return };
        let moved = result == Err(ErrorCode::SessionMoved);
        if let (Some(zxid), Some(session)) = (written, client.session()) {
            let told = EnsembleFact::Acknowledged { session, zxid };
            out.tell(told);
        }
        self.reply(id, xid, result, out);
        if moved {
            // The session lives, but elsewhere: this connection has no business with it.
            self.hang_up(id, out);
        }
    }

    /// Forwards what waited, up to the next sync without an answer. What the leader has no room for
    /// goes on waiting: a later request of the connection must not be taken before it.
    pub(super) fn forward_pending(&mut self, now: Now, id: ClientId, out: &mut Outbox) {
        let (count, bytes) = self.room_at_leader();
        let Some(client) = self.clients.get(id) else { return };
        let Some(session) = client.session() else { return };
        if client.requests.waits_for_room() || self.forwarded.is_resuming(session) {
            return;
        }
        let all = &mut self.forwarded;
        let ticket = |request: &Request, length| {
            if *request != Request::CloseSession && all.reaches(count, bytes) {
                return None;
            }
            Some(all.forward(InFlight { client: id, bytes: length, resumes: None }))
        };
        let forwards =
            |client: &mut Client| client.requests.forward_pending(&client.identities, ticket);
        let Some((forwarded, waits)) = self.clients.change(id, forwards) else { return };
        for (ticket, request) in forwarded {
            self.forward(now, ticket, session, request, out);
        }
        if waits {
            self.wait_for_room(id);
        }
    }

    /// Answers what needs no leader, from the tree as it is now, for somebody with the identities
    /// that were proved when it came.
    fn answer_read(
        &mut self,
        id: ClientId,
        call: Call,
        request: &Request,
        spent: &mut Spent,
        out: &mut Outbox,
    ) {
        let Some(client) = self.clients.get(id) else { return };
        let Some(session) = client.session() else { return };
        let identities = &client.identities[..call.identity_count];
        let answer = match request {
            // It has no effect, so it can be refused.
            _ if spent.is_all() => Err(ErrorCode::Throttled),
            Request::WhoAmI => Ok(Reply::WhoAmI(auth::shown(identities))),
            Request::SetWatches(set) => {
                let blind;
                let mut set = set;
                if planted!(self.config.replica.defects, WatchesForgottenOnReconnect) {
                    let relative_zxid = self.database.last_applied();
                    blind = SetWatches { relative_zxid, ..set.clone() };
                    set = &blind;
                }
                self.watches.rearm(id, &self.database, set, identities).map(|events| {
                    for event in &events {
                        let frame = encode_event(event);
                        spent.add(&frame);
                        self.respond(id, frame, out);
                    }
                    Reply::Empty
                })
            }
            Request::AddWatch { path, mode } => {
                self.watches.add_lasting(id, path.clone(), *mode).map(|()| Reply::WatchAdded)
            }
            Request::CheckWatches { path, kind } => self.has_watch(id, path, *kind),
            Request::RemoveWatches { path, kind } => {
                self.watches.remove(id, path, *kind).map(|()| Reply::Empty)
            }
            request => self.database.read(request, session, identities, &self.config.data),
        };
        let reply = self.encoded(call.xid, &answer);
        let reply = match self.leave_watch(id, request, &reply) {
            Ok(()) => reply.frame,
            Err(refused) => self.encoded(call.xid, &Err(refused)).frame,
        };
        spent.add(&reply);
        self.respond(id, reply, out);
        if matches!(request, Request::SetWatches(_)) && answer.is_err() {
            // Not all are set, and some may be: it must not go on as if it watched them all.
            self.hang_up(id, out);
        }
    }

    fn has_watch(&self, id: ClientId, path: &str, kind: WatcherType) -> Result<Reply, ErrorCode> {
        if self.watches.check(id, path, kind) {
            Ok(Reply::Empty)
        } else {
            Err(ErrorCode::NoWatcher)
        }
    }

    /// The one-shot watch that a read asked for. Of a znode that is not there, `exists` alone
    /// leaves one; whoever may not read a znode may not watch it either, and a list too long for
    /// any reply is not watched: its client takes the error for "no watch". A read whose watch is
    /// one too many finds nothing: its client would wait for an event that never comes.
    fn leave_watch(
        &mut self,
        id: ClientId,
        request: &Request,
        reply: &Encoded,
    ) -> Result<(), ErrorCode> {
        let (path, kind) = match (request, reply.error) {
            (Request::Exists { path, watch: true }, None) => (path, WatchKind::Data),
            (Request::Exists { path, watch: true }, Some(ErrorCode::NoNode)) => {
                (path, WatchKind::Exist)
            }
            (Request::GetData { path, watch: true }, None) => (path, WatchKind::Data),
            (Request::Children { path, watch: true, .. }, None) => (path, WatchKind::Child),
            _ => return Ok(()),
        };
        self.watches.add_one_shot(id, path.clone(), kind)
    }

    /// A server without a leader changes nothing. Closing a session that only this server knows, or
    /// leaving, is a matter of the connection alone.
    fn refuse_read_only(&mut self, id: ClientId, xid: i32, request: &Request, out: &mut Outbox) {
        if *request == Request::CloseSession {
            self.reply(id, xid, Ok(Reply::Empty), out);
            self.hang_up(id, out);
        } else {
            self.reply(id, xid, Err(ErrorCode::NotReadOnly), out);
        }
    }

    fn end_if_answered(&mut self, id: ClientId, out: &mut Outbox) {
        let Some(client) = self.clients.get(id) else { return };
        let Some(ending) = client.requests.is_to_end() else { return };
        if let Ending::Unimplemented { xid } = ending {
            self.respond(id, encode_unimplemented(xid), out);
        }
        self.hang_up(id, out);
    }
}
