//! What servers say to each other, under ZooKeeper's names.

use super::client::write_words;
use super::{NoMessage, count, label, list};
use bytes::Bytes;
use mailstorm_shared::time_in_words::span_of_ms;
use mailstorm_wire::peer::{
    Answer, Forwarded, Hello, LeaderRequest, LinkPurpose, Notification, PeerDecoder, PeerMessage,
    PeerState, Standing,
};
use mailstorm_wire::txn::{Entry, Owner, Txn, TxnBody};
use mailstorm_world::Interpreter;

/// Both directions of a link.
#[derive(Default)]
pub(super) struct Link {
    called: Direction,
    answered: Direction,
}

/// What one side says: a hello first, and then messages.
#[derive(Default)]
struct Direction {
    decoder: PeerDecoder,
    has_greeted: bool,
}

impl Interpreter for Link {
    fn words(&mut self, caller: bool, bytes: &[u8]) -> Option<String> {
        let direction = if caller { &mut self.called } else { &mut self.answered };
        direction.decoder.push(Bytes::copy_from_slice(bytes));
        Some(label(|| direction.next()))
    }
}

impl Direction {
    fn next(&mut self) -> Result<Option<String>, NoMessage> {
        if self.has_greeted {
            let message = self.decoder.next_message().map_err(|_| NoMessage)?;
            return Ok(message.as_ref().map(message_words));
        }
        let hello = self.decoder.next_hello().map_err(|_| NoMessage)?;
        self.has_greeted = hello.is_some();
        Ok(hello.as_ref().map(hello_words))
    }
}

fn hello_words(hello: &Hello) -> String {
    let purpose = match hello.purpose {
        LinkPurpose::Election => "election",
        LinkPurpose::Learner => "learner",
    };
    format!("HELLO {} to {}, {purpose} link", hello.from, hello.to)
}

fn message_words(message: &PeerMessage) -> String {
    match message {
        PeerMessage::Notification(notification) => notification_words(notification),
        PeerMessage::FollowerInfo { accepted_epoch, standing } => {
            let name = match standing {
                Standing::Voter => "FOLLOWERINFO",
                Standing::Joiner => "FOLLOWERINFO of a joiner,",
                Standing::Observer => "OBSERVERINFO",
            };
            format!("{name} accepted epoch {accepted_epoch}")
        }
        PeerMessage::AckEpoch { current_epoch, last_logged } => {
            format!("ACKEPOCH current epoch {current_epoch}, log to {last_logged}")
        }
        PeerMessage::AckNewLeader { epoch } => format!("ACK of NEWLEADER, epoch {epoch}"),
        PeerMessage::Ack { zxid } => format!("ACK {zxid}"),
        PeerMessage::Pong { round, touched } => match touched.len() {
            0 => format!("PONG {round}"),
            sessions => format!("PONG {round}, {} heard of", count(sessions, "session")),
        },
        PeerMessage::SnapshotWanted => "SNAP, next chunk wanted".to_owned(),
        PeerMessage::Forward(forwarded) => forwarded_words(forwarded),
        PeerMessage::LeaderInfo { epoch } => format!("LEADERINFO epoch {epoch}"),
        PeerMessage::Truncate { after } => format!("TRUNC after {after}"),
        PeerMessage::SnapshotBegin { zxid } => format!("SNAP of {zxid} begins"),
        PeerMessage::HistoryWanted { last_logged } => {
            format!("HISTORY wanted, own log to {last_logged}")
        }
        PeerMessage::HistoryPart { after, entries } => {
            format!("HISTORY after {after}, {}", count(entries.len(), "transaction"))
        }
        PeerMessage::SnapshotChunk { bytes } => {
            format!("SNAP chunk, {}", count(bytes.len(), "byte"))
        }
        PeerMessage::SnapshotEnd => "SNAP ends".to_owned(),
        PeerMessage::Propose { entry } => format!("PROPOSAL {}", entry_words(entry)),
        PeerMessage::NewLeader { epoch, last_logged } => {
            format!("NEWLEADER epoch {epoch}, log to {last_logged}")
        }
        PeerMessage::UpToDate { committed } => format!("UPTODATE committed to {committed}"),
        PeerMessage::Commit { zxid } => format!("COMMIT {zxid}"),
        PeerMessage::Admit => "ADMIT, may vote from now on".to_owned(),
        PeerMessage::Ping { round } => format!("PING {round}"),
        PeerMessage::Answer { ticket: _, answer } => match answer {
            Answer::Synced { zxid } => format!("SYNC -> ok {zxid}"),
            Answer::Session { timeout, zxid } => {
                format!("REVALIDATE -> ok {zxid}, timeout {}", span_of_ms(timeout.0))
            }
            Answer::NoSession => "REVALIDATE -> SESSIONEXPIRED".to_owned(),
        },
        PeerMessage::SessionMoved { session } => format!("SESSIONMOVED {session}"),
    }
}

fn notification_words(notification: &Notification) -> String {
    let Notification { round, state, vote, votes, stands_with, hears } = notification;
    let state = match state {
        PeerState::Elected => "elected",
        PeerState::Looking => "looking",
        PeerState::Following => "following",
        PeerState::Leading => "leading",
        PeerState::Observing => "observing",
    };
    let counts = if *votes { "" } else { ", own vote does not count" };
    let stands = if stands_with.is_some() { ", stands" } else { "" };
    let heard: Vec<String> = hears.iter().map(ToString::to_string).collect();
    let hears = if heard.is_empty() { "nobody".to_owned() } else { heard.join(" ") };
    format!(
        "NOTIFICATION {state}, votes {} at {}{counts}{stands}, hears {hears}, round {round}",
        vote.leader, vote.zxid
    )
}

fn forwarded_words(forwarded: &Forwarded) -> String {
    let session = forwarded.session;
    match &forwarded.request {
        LeaderRequest::Write { write, .. } => {
            format!("REQUEST {} for session {session}", write_words(write))
        }
        LeaderRequest::Multi { writes, .. } => {
            format!("REQUEST multi {} for session {session}", list(writes.iter().map(write_words)))
        }
        LeaderRequest::Sync => format!("SYNC for session {session}"),
        LeaderRequest::OpenSession { timeout, .. } => {
            format!("REQUEST createSession, timeout {}", span_of_ms(timeout.0))
        }
        LeaderRequest::CloseSession => format!("REQUEST closeSession {session}"),
        LeaderRequest::ResumeSession { .. } => format!("REVALIDATE session {session}"),
    }
}

fn entry_words(entry: &Entry) -> String {
    match Txn::decode(entry.bytes.clone()) {
        Ok(txn) => match txn.body {
            TxnBody::CloseSession => format!("{} closeSession {}", entry.zxid, txn.session),
            body => format!("{} {}", entry.zxid, body_words(&body)),
        },
        Err(_) => format!("{} of {}", entry.zxid, count(entry.bytes.len(), "byte")),
    }
}

fn body_words(body: &TxnBody) -> String {
    match body {
        TxnBody::Error(error) => format!("refused, {}", error.name()),
        TxnBody::Create { path, owner, .. } => match owner {
            Owner::Nobody => format!("create {path}"),
            Owner::Session(_) => format!("create ephemeral {path}"),
            Owner::Container => format!("createContainer {path}"),
            Owner::Ttl(ttl) => format!("createTTL {path}, {}", span_of_ms(ttl.0)),
        },
        TxnBody::Delete { path } => format!("delete {path}"),
        TxnBody::SetData { path, version, .. } => format!("setData {path} to version {version}"),
        TxnBody::SetAcl { path, version, .. } => format!("setACL {path} to version {version}"),
        TxnBody::Check { path } => format!("check {path}"),
        TxnBody::Multi(steps) => format!("multi {}", list(steps.iter().map(body_words))),
        TxnBody::MultiFailed(steps) => {
            let culprit = steps.iter().enumerate().find_map(|(index, error)| {
                error.map(|error| format!("{} in step {}", error.name(), index + 1))
            });
            format!("multi refused, {}", culprit.unwrap_or_else(|| "no step".to_owned()))
        }
        TxnBody::OpenSession { timeout, .. } => {
            format!("createSession, timeout {}", span_of_ms(timeout.0))
        }
        TxnBody::CloseSession => "closeSession".to_owned(),
        TxnBody::Nothing => "nothing, the first of its epoch".to_owned(),
    }
}
