//! Requests of one connection, in order: what is asked of the leader at once, what waits, and when an
//! answer may leave.
//!
//! Owns: [`Backlog`], and the rules of first in, first out. Leaves: what a read sees and what a write
//! became to the database, the leader's part to `leader`.
//! Holds: answers leave in the order of the requests. A read is made at the moment when it is the
//! oldest request without an answer, so it sees every earlier write of its connection and no later
//! one. A write goes to the leader as soon as it arrives, unless a sync before it has no answer yet:
//! otherwise it could be applied before a read that stands between the two is made. While a newer
//! connection waits to take the session over, nothing more is written for the older one.
//! What all answers of one step find together is bounded, too ([`Spent`]): many reads can wait for one
//! write, or for the handshake.
//! Start at `Server::request`.

use super::Server;
use super::asked::Wanting;
use super::connections::{Client, Encoded, Ending, Phase};
use super::stats::{Served, operation};
use crate::data::{TxnResult, WatchKind, auth};
use crate::io::{ClientId, Output};
use crate::replica::Outbox;
use bytes::Bytes;
use mailstorm_shared::facts::EnsembleFact;
use mailstorm_shared::{Millis, Now, SessionId, Zxid, planted};
use mailstorm_wire::client::{
    ErrorCode, Reply, Request, RequestError, SetWatches, WatcherType, decode_request, encode_event,
    encode_unimplemented, xid,
};
use mailstorm_wire::frame::REPLY_BYTES_MAX;
use mailstorm_wire::peer::{Answer, Forwarded, Wish};
use std::collections::VecDeque;

/// The requests of one connection that have no answer yet, oldest first.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Backlog {
    items: VecDeque<Item>,
    /// Syncs among them that the leader has not answered.
    open_syncs: usize,
}

#[derive(Clone, Debug, Hash)]
struct Item {
    xid: i32,
    /// How long the request is.
    bytes: usize,
    /// How many of the client's identities were proved when the request came: only they speak for it.
    known: usize,
    progress: Progress,
    /// What `cons` calls it.
    operation: &'static str,
    /// When it came, on the monotonic clock.
    came: Millis,
}

/// A request as it came.
struct Arrived {
    xid: i32,
    bytes: usize,
    request: Request,
}

#[derive(Clone, Debug, Hash)]
enum Progress {
    /// It waits for its turn: a read, or a write behind a sync.
    Waits(Request),
    /// The leader has been asked.
    Asked {
        /// The wish's number.
        ticket: u64,
        /// What was asked, since the answer's shape depends on it.
        request: Request,
    },
    /// The result is known, but an earlier request has none yet.
    Known {
        /// The result.
        result: Result<Reply, ErrorCode>,
        /// The write's transaction, if it came to one.
        written: Option<Zxid>,
    },
}

/// How many bytes one step has sent a client in answers to reads.
#[derive(Default)]
pub(super) struct Spent(usize);

impl Spent {
    /// Whether it is as much as one client is kept waiting for.
    fn is_all(&self) -> bool {
        self.0 >= REPLY_BYTES_MAX
    }
}

impl Backlog {
    /// How many requests wait.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }
}

impl Client {
    fn put(&mut self, now: Now, xid: i32, bytes: usize, progress: Progress) {
        self.bytes_under_way += bytes;
        let operation = match &progress {
            Progress::Waits(request) | Progress::Asked { request, .. } => operation(request),
            Progress::Known { .. } => "NA",
        };
        let (known, came) = (self.identities.len(), now.monotonic);
        self.backlog.items.push_back(Item { xid, bytes, known, progress, operation, came });
    }
}

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
        let Some(client) = self.clients.get_mut(&id) else { return };
        let Phase::Attached { session, read_only, .. } = client.phase else { return };
        if client.ending.is_some() {
            return; // It closed its session: nothing that comes behind has a meaning.
        }
        if !read_only {
            out.tell(EnsembleFact::SessionHeard { session });
            self.touch(now.monotonic, session);
        }
        let bytes = frame.len();
        let (xid, request) = match decode_request(frame) {
            Ok(request) => request,
            Err(error) => {
                self.refuse_frame(now, id, &error, out);
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
                let known = self.known(id);
                self.answer_read(id, xid, &request, known, spent, out);
                self.served_at_once(now, id, xid, &request);
            }
            request => self.enqueue(now, id, session, Arrived { xid, bytes, request }, out),
        }
    }

    fn served_at_once(&mut self, now: Now, id: ClientId, xid: i32, request: &Request) {
        let served = Served { operation: operation(request), xid, took: Millis::ZERO };
        self.served(now, id, served);
    }

    /// The session of a client here was heard of: the leader must know, now or with the next pong.
    pub(super) fn touch(&mut self, now: Millis, session: SessionId) {
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
        arrived: Arrived,
        out: &mut Outbox,
    ) {
        let Arrived { xid, bytes, request } = arrived;
        let crowded = self.has_too_much_under_way();
        let has_too_many_waiting = self.has_too_many_bytes_waiting();
        let Some(client) = self.clients.get_mut(&id) else { return };
        if request == Request::CloseSession {
            client.ending = Some(Ending::Close);
        } else if has_too_many_waiting {
            self.enqueue_known(now, id, xid, ErrorCode::Throttled, out);
            return;
        }
        self.waiting_bytes += bytes;
        let at_once = match request {
            Request::Sync { .. } => true,
            _ => client.backlog.open_syncs == 0 && !self.asked.is_resuming(session),
        };
        let wish = if at_once { Wish::of(&request, &client.identities) } else { None };
        let Some(wish) = wish else {
            client.put(now, xid, bytes, Progress::Waits(request));
            self.hold_if_crowded(id, out);
            return;
        };
        if crowded && request != Request::CloseSession {
            // Definite: the leader never hears of it.
            self.waiting_bytes -= bytes;
            self.enqueue_known(now, id, xid, ErrorCode::Throttled, out);
            return;
        }
        let ticket = next_ticket(&mut self.tickets);
        client.backlog.open_syncs += usize::from(matches!(request, Request::Sync { .. }));
        let progress = Progress::Asked { ticket, request };
        client.put(now, xid, bytes, progress);
        self.asked.insert(ticket, Wanting { client: id, bytes, resumes: None });
        self.ask(now, ticket, session, wish, out);
        self.hold_if_crowded(id, out);
    }

    /// A frame that is no request we know: refused in its turn, or at once if there is nothing to
    /// answer to.
    fn refuse_frame(&mut self, now: Now, id: ClientId, error: &RequestError, out: &mut Outbox) {
        let (Some(xid), Some(code)) = (error.xid(), error.error()) else {
            self.hang_up(id, out);
            return;
        };
        if let Some(client) = self.clients.get_mut(&id)
            && error.hangs_up()
        {
            client.ending = Some(Ending::Unimplemented { xid });
            self.advance(now, id, out);
        } else {
            self.enqueue_known(now, id, xid, code, out);
        }
    }

    /// An error that leaves when everything before it is answered.
    fn enqueue_known(
        &mut self,
        now: Now,
        id: ClientId,
        xid: i32,
        error: ErrorCode,
        out: &mut Outbox,
    ) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let progress = Progress::Known { result: Err(error), written: None };
        client.put(now, xid, 0, progress);
        self.advance(now, id, out);
        self.hold_if_crowded(id, out);
    }

    /// Whether a read is the oldest request without an answer.
    fn may_be_read_now(&self, id: ClientId) -> bool {
        planted!(self.config.replica.defects, RepliesOutOfOrder)
            || self.clients.get(&id).is_some_and(|client| client.backlog.items.is_empty())
    }

    /// A fresh number for a wish.
    pub(super) fn next_ticket(&mut self) -> u64 {
        next_ticket(&mut self.tickets)
    }

    /// Hands a wish to the leader, which may be this server.
    pub(super) fn ask(
        &mut self,
        now: Now,
        ticket: u64,
        session: SessionId,
        wish: Wish,
        out: &mut Outbox,
    ) {
        let forwarded = Forwarded { ticket, session, wish };
        if self.leading.is_some() {
            self.grant(now, super::sessions::Asker::Here, forwarded, out);
        } else {
            self.replica.forward(forwarded, out);
        }
    }

    /// The leader answered a wish that leaves no transaction. The answer means something only when what
    /// it names has been applied here.
    pub(super) fn answered(&mut self, now: Now, ticket: u64, answer: Answer, out: &mut Outbox) {
        match answer {
            Answer::Synced { zxid } | Answer::Session { zxid, .. }
                if zxid > self.database.last_applied() =>
            {
                self.answers.entry(zxid).or_default().push((ticket, answer));
            }
            Answer::Synced { .. } => self.sync_done(now, ticket, out),
            Answer::Session { timeout, .. } => self.resumed(now, ticket, Some(timeout), out),
            Answer::NoSession => self.resumed(now, ticket, None, out),
        }
    }

    /// Answers whose point has been reached by applying this.
    pub(super) fn answers_reached(&mut self, now: Now, zxid: Zxid, out: &mut Outbox) {
        while let Some(first) = self.answers.first_entry() {
            if *first.key() > zxid {
                break;
            }
            for (ticket, answer) in first.remove() {
                self.answered(now, ticket, answer, out);
            }
        }
    }

    /// A connection may have the session that it asked for, or may not.
    fn resumed(&mut self, now: Now, ticket: u64, timeout: Option<Millis>, out: &mut Outbox) {
        let Some(Wanting { client, resumes, .. }) = self.asked.remove(ticket) else {
            return;
        };
        self.session_resumed(now, client, timeout, out);
        // If the older connection still is there, it goes on.
        if let Some(old) = resumes.and_then(|session| self.attached.get(&session)).copied() {
            self.go_on(now, old, out);
        }
    }

    /// Everything that a sync waited for has been applied here.
    fn sync_done(&mut self, now: Now, ticket: u64, out: &mut Outbox) {
        let Some(Wanting { client: id, .. }) = self.asked.remove(ticket) else { return };
        let Some(client) = self.clients.get_mut(&id) else { return };
        let Some((request, progress)) = asked_item(client, ticket) else { return };
        let Request::Sync { path } = request else { return };
        *progress = Progress::Known { result: Ok(Reply::Synced(path)), written: None };
        client.backlog.open_syncs -= 1;
        self.go_on(now, id, out);
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
        let Some(Wanting { client: id, .. }) = self.asked.remove(ticket) else { return };
        let Some(client) = self.clients.get_mut(&id) else { return }; // Gone without its answer.
        if matches!(client.phase, Phase::Connecting { .. }) {
            self.session_opened(now, id, zxid, out);
            return;
        }
        let Some((request, progress)) = asked_item(client, ticket) else { return };
        let result = result.reply(&request);
        *progress = Progress::Known { result, written: Some(zxid) };
        self.advance(now, id, out);
    }

    /// Something in the way of a connection's requests is gone.
    fn go_on(&mut self, now: Now, id: ClientId, out: &mut Outbox) {
        self.advance(now, id, out);
        if self.ask_waiting_writes(now, id, out) {
            self.advance(now, id, out);
        }
    }

    /// Answers what can be answered, oldest first, and ends the connection if nothing is left of one
    /// that was to end.
    pub(super) fn advance(&mut self, now: Now, id: ClientId, out: &mut Outbox) {
        let mut spent = Spent::default();
        loop {
            let Some(client) = self.clients.get_mut(&id) else { return };
            match client.backlog.items.front().map(|item| &item.progress) {
                None | Some(Progress::Asked { .. }) => break,
                Some(Progress::Waits(request)) if is_for_the_leader(request) => {
                    // A sync before it has just been answered, or a newer connection asks.
                    if self.ask_waiting_writes(now, id, out) {
                        continue;
                    }
                    break;
                }
                Some(Progress::Waits(_) | Progress::Known { .. }) => {}
            }
            let Some(item) = client.backlog.items.pop_front() else { break };
            let Item { xid, bytes, known, progress, operation, came } = item;
            client.bytes_under_way -= bytes;
            self.waiting_bytes -= bytes;
            match progress {
                Progress::Known { result, written } => {
                    self.answer_known(id, xid, result, written, out);
                }
                Progress::Waits(request) | Progress::Asked { request, .. } => {
                    self.answer_read(id, xid, &request, known, &mut spent, out);
                }
            }
            let took = now.monotonic.since(came);
            self.served(now, id, Served { operation, xid, took });
        }
        self.release(id, out);
        self.end_if_answered(id, out);
    }

    fn answer_known(
        &mut self,
        id: ClientId,
        xid: i32,
        result: Result<Reply, ErrorCode>,
        written: Option<Zxid>,
        out: &mut Outbox,
    ) {
        let Some(client) = self.clients.get(&id) else { return };
        let moved = result == Err(ErrorCode::SessionMoved);
        if let (Some(zxid), Some(session)) = (written, client.session()) {
            let told = EnsembleFact::Acknowledged { session, zxid };
            out.tell(told);
        }
        self.reply(id, xid, result, out);
        if moved {
            // The session lives, but elsewhere: this connection has no business with it any more.
            self.hang_up(id, out);
        }
    }

    /// Asks the leader for the writes that waited, up to the next sync without an answer. Those that are
    /// too many now are refused as they would have been when they came; whether there were any.
    fn ask_waiting_writes(&mut self, now: Now, id: ClientId, out: &mut Outbox) -> bool {
        let mut wishes = Vec::new();
        let mut refused = false;
        let (count, bytes_max) = (self.config.outstanding_max, self.config.outstanding_bytes_max);
        let Some(client) = self.clients.get_mut(&id) else { return false };
        let Some(session) = client.session() else { return false };
        if self.asked.is_resuming(session) {
            return false;
        }
        for Item { bytes, known, progress, .. } in &mut client.backlog.items {
            match progress {
                Progress::Asked { request: Request::Sync { .. }, .. } => break,
                Progress::Waits(request) => {
                    let identities = &client.identities[..*known];
                    let Some(wish) = Wish::of(request, identities) else { continue };
                    let crowded = self.asked.reaches(count * 2, bytes_max * 2);
                    if crowded && *request != Request::CloseSession {
                        let result = Err(ErrorCode::Throttled);
                        *progress = Progress::Known { result, written: None };
                        refused = true;
                        continue;
                    }
                    let ticket = next_ticket(&mut self.tickets);
                    let request = std::mem::replace(request, Request::Ping);
                    *progress = Progress::Asked { ticket, request };
                    let wanting = Wanting { client: id, bytes: *bytes, resumes: None };
                    self.asked.insert(ticket, wanting);
                    wishes.push((ticket, wish));
                }
                _ => {}
            }
        }
        for (ticket, wish) in wishes {
            self.ask(now, ticket, session, wish, out);
        }
        refused
    }

    /// How many identities the client has proved by now.
    fn known(&self, id: ClientId) -> usize {
        self.clients.get(&id).map_or(0, |client| client.identities.len())
    }

    /// Answers what needs no leader, from the tree as it is now, for somebody with the first `known` of
    /// the client's identities.
    fn answer_read(
        &mut self,
        id: ClientId,
        xid: i32,
        request: &Request,
        known: usize,
        spent: &mut Spent,
        out: &mut Outbox,
    ) {
        let Some(client) = self.clients.get(&id) else { return };
        let Some(session) = client.session() else { return };
        let identities = &client.identities[..known];
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
                        spent.0 += frame.len();
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
            request => self.database.read(request, session, identities),
        };
        let reply = self.encoded(xid, &answer);
        let reply = match self.leave_watch(id, request, &reply) {
            Ok(()) => reply.frame,
            Err(refused) => self.encoded(xid, &Err(refused)).frame,
        };
        spent.0 += reply.len();
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

    /// The one-shot watch that a read asked for. Of a znode that is not there, `exists` alone leaves
    /// one; whoever may not read a znode may not watch it either, and a list too long for any reply is not
    /// watched: its client takes the error for "no watch". A read whose watch is one too many finds
    /// nothing: its client would wait for an event that never comes.
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
        let Some(client) = self.clients.get(&id) else { return };
        let Some(ending) = client.ending else { return };
        if client.backlog.len() > 0 {
            return;
        }
        if let Ending::Unimplemented { xid } = ending {
            self.respond(id, encode_unimplemented(xid), out);
        }
        self.hang_up(id, out);
    }

    /// Stops reading from a client that has too much under way, or while the server has.
    pub(super) fn hold_if_crowded(&mut self, id: ClientId, out: &mut Outbox) {
        let crowded = self.has_much_under_way();
        let max = self.config.outstanding_per_client_max;
        let bytes_max = self.config.outstanding_bytes_per_client_max;
        let Some(client) = self.clients.get_mut(&id) else { return };
        let much = waiting(client) >= max || client.bytes_under_way >= bytes_max;
        if !client.held && (crowded || much) {
            client.held = true;
            self.crowded |= crowded;
            out.outputs.push(Output::HoldClient { client: id, held: true });
        }
    }

    /// Reads on from a client that has answers to half of what it may have under way.
    pub(super) fn release(&mut self, id: ClientId, out: &mut Outbox) {
        let crowded = self.has_much_under_way();
        let enough = self.config.outstanding_per_client_max / 2;
        let bytes_enough = self.config.outstanding_bytes_per_client_max / 2;
        let Some(client) = self.clients.get_mut(&id) else { return };
        let little = waiting(client) <= enough && client.bytes_under_way <= bytes_enough;
        if client.held && little && crowded {
            // Whatever it was held for, it is held because of all of them together now.
            self.crowded = true;
        } else if client.held && little {
            client.held = false;
            out.outputs.push(Output::HoldClient { client: id, held: false });
        }
    }

    /// Whether the leader has so many wishes of this server, or so much waits, that clients are held.
    fn has_much_under_way(&self) -> bool {
        self.asked.reaches(self.config.outstanding_max, self.config.outstanding_bytes_max)
            || self.waiting_bytes >= self.config.waiting_bytes_max
    }

    /// Whether so much waits that nothing more is taken, of whomever.
    pub(super) fn has_too_many_bytes_waiting(&self) -> bool {
        self.waiting_bytes >= self.config.waiting_bytes_max * 2
    }

    /// Whether it has so many that nothing more is asked, of whomever.
    pub(super) fn has_too_much_under_way(&self) -> bool {
        self.asked.reaches(self.config.outstanding_max * 2, self.config.outstanding_bytes_max * 2)
    }

    /// Once there is half of what clients are held for: some may be held that wait for nothing themselves,
    /// and nobody else would release them.
    pub(super) fn release_if_no_longer_crowded(&mut self, out: &mut Outbox) {
        let (count, bytes) = (self.config.outstanding_max, self.config.outstanding_bytes_max);
        let is_crowded = self.asked.reaches(count / 2 + 1, bytes / 2 + 1)
            || self.waiting_bytes > self.config.waiting_bytes_max / 2;
        if !self.crowded || is_crowded {
            return;
        }
        self.crowded = false;
        let held: Vec<ClientId> =
            self.clients.iter().filter(|(_, client)| client.held).map(|(id, _)| *id).collect();
        for id in held {
            self.release(id, out);
        }
    }
}

/// Whether a request goes through the leader.
fn is_for_the_leader(request: &Request) -> bool {
    matches!(
        request,
        Request::Write(_) | Request::Multi(_) | Request::Sync { .. } | Request::CloseSession
    )
}

/// What a client has under way, before or after its session was attached.
fn waiting(client: &Client) -> usize {
    match &client.phase {
        Phase::Connecting { early, .. } => early.len(),
        _ => client.backlog.len(),
    }
}

/// The request that waits for this ticket, taken out, and the place where its result belongs. It is
/// nearly always the oldest.
fn asked_item(client: &mut Client, ticket: u64) -> Option<(Request, &mut Progress)> {
    let waits = |item: &&mut Item| matches!(item.progress, Progress::Asked { ticket: t, .. } if t == ticket);
    let progress = &mut client.backlog.items.iter_mut().find(waits)?.progress;
    let Progress::Asked { request, .. } = progress else { return None };
    let request = std::mem::replace(request, Request::Ping);
    Some((request, progress))
}

/// Numbers for wishes: the server's incarnation in the high half, so that a restarted server never
/// takes a transaction of its former life for an answer. The low half may wrap: far fewer are open.
fn next_ticket(last: &mut u64) -> u64 {
    let counter = (*last as u32).wrapping_add(1);
    *last = *last >> 32 << 32 | u64::from(counter);
    *last
}
