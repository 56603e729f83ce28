//! What a server says: the answer to the handshake, replies, events.
//!
//! Anything that cannot be understood, or comes out of order, ends the connection: a server whose
//! replies cannot be matched to our requests is of no use, and another may do better.

use crate::account;
use crate::core::{Link, SessionCore};
use crate::error::CallError;
use crate::io::{Answer, SessionOutput};
use crate::outstanding::Operation;
use crate::registry::WatchTable;
use bytes::Bytes;
use mailstorm_shared::facts::ClientFact;
use mailstorm_shared::{Instant, Millis, SessionId, Zxid};
use mailstorm_wire::client::{
    ErrorCode, Reply, ReplyHeader, ReplyShape, Request, WatchEvent, WatchEventKind, WatcherType,
    decode_connect_response, decode_event, decode_reply, decode_reply_header, xid,
};
use mailstorm_wire::frame::FrameDecoder;
use std::sync::Arc;

/// Why a connection must be closed.
enum HangUp {
    /// The server broke the protocol: what was wrong.
    Nonsense(Arc<str>),
    /// The server keeps to the protocol, but cannot serve us; another one may.
    OfNoUse,
}

impl HangUp {
    fn nonsense(why: impl Into<Arc<str>>) -> Self {
        Self::Nonsense(why.into())
    }
}

impl SessionCore {
    pub(crate) fn received(&mut self, now: Instant, bytes: &Bytes, out: &mut Vec<SessionOutput>) {
        match &mut self.link {
            Link::Greeting { reader, .. } => reader.push(bytes.clone()),
            Link::Up(up) => {
                up.heard_at = now;
                up.reader.push(bytes.clone());
            }
            // Received on a connection that we have given up.
            Link::Idle { .. } | Link::Opening { .. } | Link::Over => return,
        }
        // Frames one by one: each may end the connection, and with it the rest.
        loop {
            let reader = match &mut self.link {
                Link::Greeting { reader, .. } => reader,
                Link::Up(up) => &mut up.reader,
                _ => return,
            };
            let taken = match reader.next_frame() {
                Ok(None) => return,
                Ok(Some(frame)) if matches!(self.link, Link::Greeting { .. }) => {
                    self.greeted(now, frame, out)
                }
                Ok(Some(frame)) => self.told(now, frame, out),
                Err(error) => Err(HangUp::nonsense(error.to_string())),
            };
            if let Err(hang_up) = taken {
                if let HangUp::Nonsense(why) = hang_up {
                    let (client, session) = (self.config.client, self.session);
                    out.push(SessionOutput::Observe(ClientFact::ProtocolBroken {
                        client,
                        session,
                        why,
                    }));
                }
                return self.drop_connection(now, out);
            }
        }
    }

    fn greeted(
        &mut self,
        now: Instant,
        frame: Bytes,
        out: &mut Vec<SessionOutput>,
    ) -> Result<(), HangUp> {
        let response = decode_connect_response(frame).map_err(|error| {
            HangUp::nonsense(format!("the answer to the handshake cannot be read: {error}"))
        })?;
        let resumed = self.session != SessionId::NONE;
        let timeout = u64::try_from(response.timeout).unwrap_or(0);
        if response.session == SessionId::NONE || timeout == 0 {
            if resumed {
                self.expired(out);
                return Ok(());
            }
            // A new session was refused, which only a server in trouble does.
            return Err(HangUp::OfNoUse);
        }
        if resumed && response.session != self.session {
            let (ours, other) = (self.session, response.session);
            return Err(HangUp::nonsense(format!("asked for session {ours}, was given {other}")));
        }
        let Link::Greeting { reader, .. } = &mut self.link else {
            unreachable!("only a server that was greeted greets")
        };
        let reader = std::mem::replace(reader, FrameDecoder::new(0));
        let read_only = response.read_only == Some(true);
        if !read_only {
            self.session = response.session;
            self.password = response.password;
            self.timeout = Millis(timeout);
        }
        self.established(now, reader, read_only, resumed, out);
        Ok(())
    }

    fn told(
        &mut self,
        now: Instant,
        frame: Bytes,
        out: &mut Vec<SessionOutput>,
    ) -> Result<(), HangUp> {
        let header = decode_reply_header(&frame)
            .map_err(|error| HangUp::nonsense(format!("a reply without a header: {error}")))?;
        match header.xid {
            xid::EVENT => {
                let event = decode_event(frame).map_err(|error| {
                    HangUp::nonsense(format!("an event that cannot be read: {error}"))
                })?;
                self.happened(event, out);
                Ok(())
            }
            xid::PING => {
                self.saw(header.zxid);
                self.fruitless = 0;
                Ok(())
            }
            xid::AUTH => self.proven(now, header, out),
            xid::SET_WATCHES => {
                let unasked =
                    || HangUp::nonsense("an answer to setWatches, which was not asked for");
                let Link::Up(up) = &mut self.link else { return Err(unasked()) };
                up.rearming = up.rearming.checked_sub(1).ok_or_else(unasked)?;
                // Without its watches the session would miss events: better to try another server.
                if header.error.is_some() { Err(HangUp::OfNoUse) } else { Ok(()) }
            }
            xid => match self.outstanding.answered(xid) {
                Some(operation) => self.answered(operation, header, frame, out),
                None => Err(HangUp::nonsense(match self.outstanding.awaited() {
                    Some(awaited) => format!("a reply out of order: {awaited} was due, {xid} came"),
                    None => format!("a reply to nothing: {xid} came"),
                })),
            },
        }
    }

    /// A reply shows everything up to its zxid, and every event up to there came before it.
    fn saw(&mut self, zxid: Zxid) {
        self.last_zxid_complete = self.last_zxid_complete.max(zxid);
        self.last_zxid_seen = self.last_zxid_seen.max(zxid);
    }

    fn happened(&mut self, event: WatchEvent, out: &mut Vec<SessionOutput>) {
        self.last_zxid_seen = self.last_zxid_seen.max(event.zxid);
        let removed = match event.kind {
            WatchEventKind::Change(kind) => {
                out.push(SessionOutput::Observe(ClientFact::EventDelivered {
                    client: self.config.client,
                    session: self.session,
                    path: event.path.clone(),
                    kind,
                    zxid: event.zxid,
                }));
                for watch in self.registry.fire(&event) {
                    out.push(SessionOutput::Deliver { watch, event: event.clone() });
                }
                return;
            }
            WatchEventKind::DataWatchRemoved => WatcherType::Data,
            WatchEventKind::ChildWatchRemoved => WatcherType::Children,
            WatchEventKind::PersistentWatchRemoved => WatcherType::Persistent,
        };
        for watch in self.registry.remove(&event.path, removed) {
            out.push(SessionOutput::Unwatched { watch });
        }
    }

    fn proven(
        &mut self,
        now: Instant,
        header: ReplyHeader,
        out: &mut Vec<SessionOutput>,
    ) -> Result<(), HangUp> {
        let unasked = || HangUp::nonsense("an answer to credentials, which were not sent");
        let Link::Up(up) = &mut self.link else { return Err(unasked()) };
        let number = up.proving.pop_front().ok_or_else(unasked)?;
        let index = self.credentials.iter().position(|c| c.number == number);
        let index = index.ok_or_else(unasked)?;
        let Some(code) = header.error else {
            if let Some(id) = self.credentials[index].waiting.take() {
                let answer = Answer { zxid: header.zxid, reply: Reply::Empty };
                self.complete_auth(id, Ok(answer), header.zxid, out);
            }
            return Ok(());
        };
        // Refused credentials are not tried again: the server closes the connection over them each
        // time.
        let refused = self.credentials.remove(index);
        if let Some(id) = refused.waiting {
            self.complete_auth(id, Err(CallError::Refused(code)), header.zxid, out);
        }
        self.drop_connection(now, out);
        Ok(())
    }

    fn answered(
        &mut self,
        operation: Operation,
        header: ReplyHeader,
        frame: Bytes,
        out: &mut Vec<SessionOutput>,
    ) -> Result<(), HangUp> {
        let result = match header.error {
            Some(ErrorCode::SessionMoved) if operation.may_be_sent_again(self.config.defects) => {
                // Not carried out, so it is safe to send it again on the next connection.
                self.outstanding.unanswered(header.xid, operation);
                return Err(HangUp::OfNoUse);
            }
            Some(code) => Err(refusal(&operation, code)),
            None => match decode_reply(frame, ReplyShape::of(&operation.request)) {
                Ok((_, Ok(reply))) => Ok(Answer { zxid: header.zxid, reply }),
                Ok((_, Err(code))) => Err(refusal(&operation, code)),
                Err(error) => {
                    // As if no answer had come.
                    self.outstanding.unanswered(header.xid, operation);
                    let xid = header.xid;
                    let why = format!("the reply {xid} cannot be read: {error}");
                    return Err(HangUp::nonsense(why));
                }
            },
        };
        self.saw(header.zxid);
        self.fruitless = 0;
        if operation.request == Request::CloseSession {
            self.farewell(out);
            return Ok(());
        }
        let left_to_nobody = self.settle_watches(&operation, &result, out);
        self.complete(&operation, result, header.zxid, out);
        for (table, path) in left_to_nobody {
            self.observe_given_up(table, path, out);
        }
        match header.error {
            // The server will close the connection; the next one says whether the session is over.
            Some(ErrorCode::SessionExpired | ErrorCode::SessionMoved) => Err(HangUp::OfNoUse),
            _ => Ok(()),
        }
    }

    /// Registers the watch that the operation has set, or drops those it has removed. Returns those
    /// that the application no longer holds, to be reported after the operation's end.
    fn settle_watches(
        &mut self,
        operation: &Operation,
        result: &Result<Answer, CallError>,
        out: &mut Vec<SessionOutput>,
    ) -> Vec<(WatchTable, Arc<str>)> {
        let (table, path) = match (&operation.request, result) {
            (Request::Exists { path, watch: true }, Err(CallError::Refused(ErrorCode::NoNode))) => {
                (WatchTable::Exist, path)
            }
            (
                Request::Exists { path, watch: true } | Request::GetData { path, watch: true },
                Ok(_),
            ) => (WatchTable::Data, path),
            (Request::Children { path, watch: true, .. }, Ok(_)) => (WatchTable::Child, path),
            (Request::AddWatch { path, mode }, Ok(_)) => (WatchTable::lasting(*mode), path),
            (Request::RemoveWatches { path, kind }, Ok(_)) => {
                let held = self.registry.held(path, *kind);
                let removed = self.registry.remove(path, *kind);
                out.extend(removed.into_iter().map(|watch| SessionOutput::Unwatched { watch }));
                return held.into_iter().map(|table| (table, path.clone())).collect();
            }
            _ => return Vec::new(),
        };
        if let Some(watch) = operation.watch {
            self.registry.add(watch, table, path.clone());
            return Vec::new();
        }
        // The application has dropped the watch since then.
        if self.registry.watches(table, path) { Vec::new() } else { vec![(table, path.clone())] }
    }
}

/// What a reply's error code means for the caller.
fn refusal(operation: &Operation, code: ErrorCode) -> CallError {
    match code {
        // The server does not know, either.
        ErrorCode::ConnectionLoss | ErrorCode::OperationTimeout | ErrorCode::SystemError
            if account::is_write(&operation.request) =>
        {
            CallError::ConnectionLoss
        }
        // An earlier sending may have been carried out before the end.
        ErrorCode::SessionExpired if operation.sends > 1 && operation.may_have_happened() => {
            CallError::ConnectionLoss
        }
        ErrorCode::SessionExpired => CallError::SessionExpired,
        code => CallError::Refused(code),
    }
}
