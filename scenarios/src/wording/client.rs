//! What clients and servers say to each other.

use super::{NoMessage, count, label, list, nonsense};
use bytes::Bytes;
use mailstorm_shared::time_in_words::span_of_ms;
use mailstorm_shared::znodes::EventKind;
use mailstorm_shared::{SessionId, Zxid};
use mailstorm_wire::client::{
    AddWatchMode, ConnectRequest, ConnectResponse, CreateMode, ErrorCode, FourLetterWord,
    MultiReply, Read, Reply, ReplyHeader, ReplyShape, Request, WatchEvent, WatchEventKind,
    WatcherType, Write, decode_connect_request, decode_connect_response, decode_event,
    decode_reply, decode_reply_header, decode_request, xid,
};
use mailstorm_wire::frame::{FrameDecoder, REPLY_BYTES_MAX, REQUEST_BYTES_MAX};
use mailstorm_world::Interpreter;
use std::collections::VecDeque;

/// Both directions of a client's connection.
pub(super) struct Conversation {
    asked: FrameDecoder,
    answered: FrameDecoder,
    /// Whether the first frame of each direction, the handshake, is over.
    has_greeted: bool,
    is_greeted: bool,
    /// A word of four letters was sent: what comes back is text.
    is_text: bool,
    /// What is under way, in order: how it is called, and what its reply looks like.
    pending: VecDeque<(String, ReplyShape)>,
}

impl Default for Conversation {
    fn default() -> Self {
        Self {
            asked: FrameDecoder::new(REQUEST_BYTES_MAX),
            answered: FrameDecoder::new(REPLY_BYTES_MAX),
            has_greeted: false,
            is_greeted: false,
            is_text: false,
            pending: VecDeque::new(),
        }
    }
}

impl Interpreter for Conversation {
    fn words(&mut self, caller: bool, bytes: &[u8]) -> Option<String> {
        if self.is_text {
            return Some(format!("text, {}", count(bytes.len(), "byte")));
        }
        if caller {
            self.asked.push(Bytes::copy_from_slice(bytes));
            if !self.has_greeted
                && let Some(word) = self.asked.prefix().as_ref().and_then(FourLetterWord::parse)
            {
                self.is_text = true;
                return Some(String::from_utf8_lossy(word.as_bytes()).into_owned());
            }
            return Some(label(|| self.next_asked()));
        }
        self.answered.push(Bytes::copy_from_slice(bytes));
        Some(label(|| self.next_answered()))
    }
}

impl Conversation {
    fn next_asked(&mut self) -> Result<Option<String>, NoMessage> {
        let frame = self.asked.next_frame().map_err(|_| NoMessage)?;
        Ok(frame.map(|frame| self.asked(frame)))
    }

    fn asked(&mut self, frame: Bytes) -> String {
        if !std::mem::replace(&mut self.has_greeted, true) {
            let request = decode_connect_request(frame);
            return request.map_or_else(|_| nonsense(), |request| connect(&request));
        }
        match decode_request(frame) {
            Ok((_, request)) => {
                let told = request_words(&request);
                // A ping is answered out of its turn.
                if !matches!(request, Request::Ping) {
                    self.pending.push_back((told.clone(), ReplyShape::of(&request)));
                }
                told
            }
            Err(error) => {
                let told = match error.xid() {
                    Some(_) => format!("a request that is refused: {error}"),
                    None => nonsense(),
                };
                self.pending.push_back((told.clone(), ReplyShape::Empty));
                told
            }
        }
    }

    fn next_answered(&mut self) -> Result<Option<String>, NoMessage> {
        let frame = self.answered.next_frame().map_err(|_| NoMessage)?;
        Ok(frame.map(|frame| self.answered(frame)))
    }

    fn answered(&mut self, frame: Bytes) -> String {
        if !std::mem::replace(&mut self.is_greeted, true) {
            let response = decode_connect_response(frame);
            return response.map_or_else(|_| nonsense(), |response| connected(&response));
        }
        let Ok(header) = decode_reply_header(&frame) else { return nonsense() };
        match header.xid {
            xid::EVENT => return decode_event(frame).map_or_else(|_| nonsense(), event),
            xid::PING => return "ping -> ok".to_owned(),
            _ => {}
        }
        let Some((asked, shape)) = self.pending.pop_front() else {
            return "a reply to nothing".to_owned();
        };
        match decode_reply(frame, shape) {
            Ok((header, reply)) => format!("{asked} -> {}", reply_words(&asked, &header, reply)),
            Err(_) => format!("{asked} -> {}", nonsense()),
        }
    }
}

fn connect(request: &ConnectRequest) -> String {
    let timeout = span_of_ms(u64::try_from(request.timeout).unwrap_or(0));
    match request.session {
        SessionId::NONE => format!("CONNECT, new session, timeout {timeout}"),
        session => {
            format!("CONNECT, session {session}, has seen {}", request.last_zxid_seen)
        }
    }
}

fn connected(response: &ConnectResponse) -> String {
    match response.session {
        SessionId::NONE => format!("CONNECT -> {}", ErrorCode::SessionExpired.name()),
        session => {
            let timeout = span_of_ms(u64::try_from(response.timeout).unwrap_or(0));
            format!("CONNECT -> session {session}, timeout {timeout}")
        }
    }
}

/// What is asked for, under ZooKeeper's name of the operation.
pub(super) fn request_words(request: &Request) -> String {
    let watched = |watch: &bool| if *watch { ", watch" } else { "" };
    match request {
        Request::Write(write) => write_words(write),
        Request::Multi(writes) => format!("multi {}", list(writes.iter().map(write_words))),
        Request::MultiRead(reads) => format!("multiRead {}", list(reads.iter().map(read_words))),
        Request::Exists { path, watch } => format!("exists {path}{}", watched(watch)),
        Request::GetData { path, watch } => format!("getData {path}{}", watched(watch)),
        Request::GetAcl { path } => format!("getACL {path}"),
        Request::Children { path, watch, stat: _ } => {
            format!("getChildren {path}{}", watched(watch))
        }
        Request::Ephemerals { prefix } => format!("getEphemerals {prefix}"),
        Request::AllChildrenNumber { path } => format!("getAllChildrenNumber {path}"),
        Request::Sync { path } => format!("sync {path}"),
        Request::Ping => "ping".to_owned(),
        // What proves an identity is not for the eyes of others.
        Request::Auth { scheme, credentials: _ } => format!("auth {scheme}"),
        Request::WhoAmI => "whoAmI".to_owned(),
        Request::SetWatches(all) => {
            let kinds =
                [&all.data, &all.exist, &all.child, &all.persistent, &all.persistent_recursive];
            let watches: usize = kinds.iter().map(|paths| paths.len()).sum();
            format!("setWatches, {watches} of them, since {}", all.relative_zxid)
        }
        Request::AddWatch { path, mode } => {
            let mode = match mode {
                AddWatchMode::Persistent => "persistent",
                AddWatchMode::PersistentRecursive => "persistent recursive",
            };
            format!("addWatch {path}, {mode}")
        }
        Request::CheckWatches { path, kind } => format!("checkWatches {path}, {}", watcher(*kind)),
        Request::RemoveWatches { path, kind } => {
            format!("removeWatches {path}, {}", watcher(*kind))
        }
        Request::CloseSession => "closeSession".to_owned(),
    }
}

fn watcher(kind: WatcherType) -> &'static str {
    match kind {
        WatcherType::Children => "of children",
        WatcherType::Data => "of data",
        WatcherType::Any => "of any kind",
        WatcherType::Persistent => "persistent",
        WatcherType::PersistentRecursive => "persistent recursive",
    }
}

/// A write, with the version that it demands.
pub(super) fn write_words(write: &Write) -> String {
    let at = |version: &i32| match version {
        -1 => String::new(),
        version => format!(" at version {version}"),
    };
    match write {
        Write::Create { path, mode, ttl, .. } => {
            let kind = match mode {
                CreateMode::Persistent => "create",
                CreateMode::Ephemeral => "create ephemeral",
                CreateMode::PersistentSequential => "create sequential",
                CreateMode::EphemeralSequential => "create ephemeral sequential",
                CreateMode::Container => "createContainer",
                CreateMode::PersistentTtl => "createTTL",
                CreateMode::PersistentSequentialTtl => "createTTL sequential",
            };
            let ttl = match mode.has_ttl() {
                true => format!(", {}", span_of_ms(u64::try_from(*ttl).unwrap_or(0))),
                false => String::new(),
            };
            format!("{kind} {path}{ttl}")
        }
        Write::Delete { path, version } => format!("delete {path}{}", at(version)),
        Write::SetData { path, version, .. } => format!("setData {path}{}", at(version)),
        Write::SetAcl { path, version, .. } => format!("setACL {path}{}", at(version)),
        Write::Check { path, version } => format!("check {path}{}", at(version)),
    }
}

fn read_words(read: &Read) -> String {
    match read {
        Read::GetData { path } => format!("getData {path}"),
        Read::Children { path } => format!("getChildren {path}"),
    }
}

/// What is answered to what was asked.
fn reply_words(asked: &str, header: &ReplyHeader, reply: Result<Reply, ErrorCode>) -> String {
    let ok = format!("ok {}", header.zxid);
    let reply = match reply {
        Err(error) => return error.name().to_owned(),
        Ok(reply) => reply,
    };
    let bytes = |data: &Option<Bytes>| count(data.as_ref().map_or(0, Bytes::len), "byte");
    match reply {
        Reply::Empty | Reply::WatchAdded | Reply::Synced(_) | Reply::Acl { .. } => ok,
        Reply::Created { path, .. } if asked.contains("sequential") => format!("{ok}, {path}"),
        Reply::Created { .. } => ok,
        Reply::Stat(stat) => format!("{ok}, version {}", stat.version),
        Reply::Data { data, stat } => format!("{ok}, {}, version {}", bytes(&data), stat.version),
        Reply::Children { names, .. } => {
            format!("{ok}, {}", count(names.len(), "name"))
        }
        Reply::Ephemerals(paths) => format!("{ok}, {}", count(paths.len(), "path")),
        Reply::AllChildrenNumber(number) => format!("{ok}, {number} below"),
        Reply::WhoAmI(identities) => {
            let schemes = identities.iter().map(|(scheme, _)| scheme.to_string());
            format!("{ok}, {}", list(schemes))
        }
        Reply::Multi(results) => {
            let refused = results.iter().enumerate().find_map(|(index, result)| match result {
                // Steps that were not tried fail because another one did.
                MultiReply::Error(Some(ErrorCode::RuntimeInconsistency) | None) => None,
                MultiReply::Error(Some(error)) => Some((index + 1, error.name())),
                MultiReply::Created { .. }
                | MultiReply::Deleted
                | MultiReply::DataSet(_)
                | MultiReply::Checked
                | MultiReply::Data { .. }
                | MultiReply::Children(_) => None,
            });
            refused.map_or(ok, |(step, error)| format!("{error} in step {step}"))
        }
    }
}

fn event(event: WatchEvent) -> String {
    let what = match event.kind {
        WatchEventKind::Change(EventKind::Created) => "created",
        WatchEventKind::Change(EventKind::Deleted) => "deleted",
        WatchEventKind::Change(EventKind::DataChanged) => "changed",
        WatchEventKind::Change(EventKind::ChildrenChanged) => "has other children",
        WatchEventKind::DataWatchRemoved => "is no longer watched for data",
        WatchEventKind::ChildWatchRemoved => "is no longer watched for children",
        WatchEventKind::PersistentWatchRemoved => "is no longer watched",
    };
    let at = if event.zxid == Zxid::ZERO { String::new() } else { format!(" at {}", event.zxid) };
    format!("EVENT {} {what}{at}", event.path)
}
