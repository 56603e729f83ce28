//! The bytes of a message: `u8 tag | fields, in the order of the type`, in the [`crate::compact`]
//! format; and of the [`Hello`]:
//!
//! ```text
//! "mail" | u16 version | u64 ensemble | u8 from | u8 to | u8 purpose
//! ```
//! In every version a link begins with the first two, so that two versions can name each other.

use super::error::PeerFrameError;
use super::types::{
    Answer, Forwarded, Hello, LeaderRequest, LinkPurpose, Notification, PEER_PROTOCOL_VERSION,
    PeerMessage, PeerState, Standing, Vote,
};
use crate::compact::{Reader, Writer};
use crate::fields::{
    WRITE_BYTES_MIN, read_epoch, read_millis, read_server, read_session, read_write, read_zxid,
    write_epoch, write_millis, write_server, write_session, write_write, write_zxid,
};
use crate::raw::{Encode, Malformed, Sink};
use crate::txn::Entry;
use bytes::Bytes;
use mailstorm_shared::ServerId;
use std::collections::BTreeSet;
use std::sync::Arc;

const MAGIC: [u8; 4] = *b"mail";

impl Encode for Hello {
    fn encode(&self, out: &mut impl Sink) {
        out.put(&MAGIC);
        out.u16(self.version);
        out.u64(self.ensemble);
        write_server(out, self.from);
        write_server(out, self.to);
        out.u8(match self.purpose {
            LinkPurpose::Election => 0,
            LinkPurpose::Learner => 1,
        });
    }
}

pub(super) fn decode_hello(body: &Bytes) -> Result<Hello, PeerFrameError> {
    let mut reader = Reader::new(body);
    if reader.array() != Ok(MAGIC) {
        return Err(PeerFrameError::NotAHello);
    }
    let version = reader.u16()?;
    if version != PEER_PROTOCOL_VERSION {
        return Err(PeerFrameError::version(version));
    }
    let hello = Hello {
        version,
        ensemble: reader.u64()?,
        from: read_server(&mut reader)?,
        to: read_server(&mut reader)?,
        purpose: match reader.u8()? {
            0 => LinkPurpose::Election,
            1 => LinkPurpose::Learner,
            other => reader.value(None, "purpose of a link", other)?,
        },
    };
    reader.finish()?;
    Ok(hello)
}

mod tag {
    pub(super) const NOTIFICATION: u8 = 1;
    pub(super) const FOLLOWER_INFO: u8 = 2;
    pub(super) const ACK_EPOCH: u8 = 3;
    pub(super) const ACK_NEW_LEADER: u8 = 4;
    pub(super) const ACK: u8 = 5;
    pub(super) const PONG: u8 = 6;
    pub(super) const SNAPSHOT_WANTED: u8 = 7;
    pub(super) const FORWARD: u8 = 8;
    pub(super) const LEADER_INFO: u8 = 9;
    pub(super) const TRUNCATE: u8 = 10;
    pub(super) const SNAPSHOT_BEGIN: u8 = 11;
    pub(super) const SNAPSHOT_CHUNK: u8 = 12;
    pub(super) const SNAPSHOT_END: u8 = 13;
    pub(super) const PROPOSE: u8 = 14;
    pub(super) const NEW_LEADER: u8 = 15;
    pub(super) const UP_TO_DATE: u8 = 16;
    pub(super) const COMMIT: u8 = 17;
    pub(super) const ADMIT: u8 = 18;
    pub(super) const PING: u8 = 19;
    pub(super) const ANSWER: u8 = 20;
    pub(super) const SESSION_MOVED: u8 = 21;
    pub(super) const HISTORY_WANTED: u8 = 22;
    pub(super) const HISTORY_PART: u8 = 23;
}

impl Encode for PeerMessage {
    fn encode(&self, out: &mut impl Sink) {
        match self {
            Self::Notification(notification) => {
                out.u8(tag::NOTIFICATION);
                write_notification(out, notification);
            }
            Self::FollowerInfo { accepted_epoch, standing } => {
                out.u8(tag::FOLLOWER_INFO);
                write_epoch(out, *accepted_epoch);
                out.u8(match standing {
                    Standing::Voter => 0,
                    Standing::Joiner => 1,
                    Standing::Observer => 2,
                });
            }
            Self::AckEpoch { current_epoch, last_logged } => {
                out.u8(tag::ACK_EPOCH);
                write_epoch(out, *current_epoch);
                write_zxid(out, *last_logged);
            }
            Self::AckNewLeader { epoch } => {
                out.u8(tag::ACK_NEW_LEADER);
                write_epoch(out, *epoch);
            }
            Self::Ack { zxid } => {
                out.u8(tag::ACK);
                write_zxid(out, *zxid);
            }
            Self::Pong { round, touched } => {
                out.u8(tag::PONG);
                out.varint(*round);
                out.list(touched, |out, session| write_session(out, *session));
            }
            Self::SnapshotWanted => out.u8(tag::SNAPSHOT_WANTED),
            Self::Forward(forwarded) => {
                out.u8(tag::FORWARD);
                out.u64(forwarded.ticket);
                write_session(out, forwarded.session);
                write_request(out, &forwarded.request);
            }
            Self::LeaderInfo { epoch } => {
                out.u8(tag::LEADER_INFO);
                write_epoch(out, *epoch);
            }
            Self::Truncate { after } => {
                out.u8(tag::TRUNCATE);
                write_zxid(out, *after);
            }
            Self::SnapshotBegin { zxid } => {
                out.u8(tag::SNAPSHOT_BEGIN);
                write_zxid(out, *zxid);
            }
            Self::SnapshotChunk { bytes } => {
                out.u8(tag::SNAPSHOT_CHUNK);
                out.bytes(bytes);
            }
            Self::SnapshotEnd => out.u8(tag::SNAPSHOT_END),
            Self::Propose { entry } => {
                out.u8(tag::PROPOSE);
                write_zxid(out, entry.zxid);
                out.bytes(&entry.bytes);
            }
            Self::NewLeader { epoch, last_logged } => {
                out.u8(tag::NEW_LEADER);
                write_epoch(out, *epoch);
                write_zxid(out, *last_logged);
            }
            Self::UpToDate { committed } => {
                out.u8(tag::UP_TO_DATE);
                write_zxid(out, *committed);
            }
            Self::Commit { zxid } => {
                out.u8(tag::COMMIT);
                write_zxid(out, *zxid);
            }
            Self::Admit => out.u8(tag::ADMIT),
            Self::Ping { round } => {
                out.u8(tag::PING);
                out.varint(*round);
            }
            Self::Answer { ticket, answer } => {
                out.u8(tag::ANSWER);
                out.u64(*ticket);
                write_answer(out, *answer);
            }
            Self::SessionMoved { session } => {
                out.u8(tag::SESSION_MOVED);
                write_session(out, *session);
            }
            Self::HistoryWanted { last_logged } => {
                out.u8(tag::HISTORY_WANTED);
                write_zxid(out, *last_logged);
            }
            Self::HistoryPart { after, entries } => {
                out.u8(tag::HISTORY_PART);
                write_zxid(out, *after);
                out.list(entries, |out, entry| {
                    write_zxid(out, entry.zxid);
                    out.bytes(&entry.bytes);
                });
            }
        }
    }
}

pub(super) fn decode_message(body: &Bytes) -> Result<PeerMessage, Malformed> {
    let mut reader = Reader::new(body);
    let message = read_message(&mut reader)?;
    reader.finish()?;
    Ok(message)
}

/// A session on the wire.
const SESSION_BYTES: usize = 8;

/// A zxid and a length.
const ENTRY_BYTES_MIN: usize = 9;

fn read_message(reader: &mut Reader<'_>) -> Result<PeerMessage, Malformed> {
    Ok(match reader.u8()? {
        tag::NOTIFICATION => PeerMessage::Notification(read_notification(reader)?),
        tag::FOLLOWER_INFO => PeerMessage::FollowerInfo {
            accepted_epoch: read_epoch(reader)?,
            standing: match reader.u8()? {
                0 => Standing::Voter,
                1 => Standing::Joiner,
                2 => Standing::Observer,
                other => reader.value(None, "standing", other)?,
            },
        },
        tag::ACK_EPOCH => PeerMessage::AckEpoch {
            current_epoch: read_epoch(reader)?,
            last_logged: read_zxid(reader)?,
        },
        tag::ACK_NEW_LEADER => PeerMessage::AckNewLeader { epoch: read_epoch(reader)? },
        tag::ACK => PeerMessage::Ack { zxid: read_zxid(reader)? },
        tag::PONG => PeerMessage::Pong {
            round: reader.varint()?,
            touched: reader.list(SESSION_BYTES, read_session)?,
        },
        tag::SNAPSHOT_WANTED => PeerMessage::SnapshotWanted,
        tag::FORWARD => PeerMessage::Forward(Forwarded {
            ticket: reader.u64()?,
            session: read_session(reader)?,
            request: read_request(reader)?,
        }),
        tag::LEADER_INFO => PeerMessage::LeaderInfo { epoch: read_epoch(reader)? },
        tag::TRUNCATE => PeerMessage::Truncate { after: read_zxid(reader)? },
        tag::SNAPSHOT_BEGIN => PeerMessage::SnapshotBegin { zxid: read_zxid(reader)? },
        tag::SNAPSHOT_CHUNK => PeerMessage::SnapshotChunk { bytes: reader.bytes()? },
        tag::SNAPSHOT_END => PeerMessage::SnapshotEnd,
        tag::PROPOSE => PeerMessage::Propose {
            entry: Entry { zxid: read_zxid(reader)?, bytes: reader.bytes()? },
        },
        tag::NEW_LEADER => {
            PeerMessage::NewLeader { epoch: read_epoch(reader)?, last_logged: read_zxid(reader)? }
        }
        tag::UP_TO_DATE => PeerMessage::UpToDate { committed: read_zxid(reader)? },
        tag::COMMIT => PeerMessage::Commit { zxid: read_zxid(reader)? },
        tag::ADMIT => PeerMessage::Admit,
        tag::PING => PeerMessage::Ping { round: reader.varint()? },
        tag::ANSWER => PeerMessage::Answer { ticket: reader.u64()?, answer: read_answer(reader)? },
        tag::SESSION_MOVED => PeerMessage::SessionMoved { session: read_session(reader)? },
        tag::HISTORY_WANTED => PeerMessage::HistoryWanted { last_logged: read_zxid(reader)? },
        tag::HISTORY_PART => PeerMessage::HistoryPart {
            after: read_zxid(reader)?,
            entries: reader.list(ENTRY_BYTES_MIN, |reader| {
                Ok(Entry { zxid: read_zxid(reader)?, bytes: reader.bytes()? })
            })?,
        },
        other => reader.value(None, "message", other)?,
    })
}

fn write_notification(out: &mut impl Sink, notification: &Notification) {
    out.varint(notification.round);
    out.u8(match notification.state {
        PeerState::Looking => 0,
        PeerState::Following => 1,
        PeerState::Leading => 2,
        PeerState::Observing => 3,
        PeerState::Elected => 4,
    });
    write_epoch(out, notification.vote.epoch);
    write_zxid(out, notification.vote.zxid);
    write_server(out, notification.vote.leader);
    out.bool(notification.votes);
    out.bool(notification.stands_with.is_some());
    if let Some((epoch, zxid)) = notification.stands_with {
        write_epoch(out, epoch);
        write_zxid(out, zxid);
    }
    out.u8(u8::try_from(notification.hears.len()).expect("no more servers than there are numbers"));
    for server in &notification.hears {
        write_server(out, *server);
    }
}

fn read_notification(reader: &mut Reader<'_>) -> Result<Notification, Malformed> {
    Ok(Notification {
        round: reader.varint()?,
        state: match reader.u8()? {
            0 => PeerState::Looking,
            1 => PeerState::Following,
            2 => PeerState::Leading,
            3 => PeerState::Observing,
            4 => PeerState::Elected,
            other => reader.value(None, "state of a server", other)?,
        },
        vote: Vote {
            epoch: read_epoch(reader)?,
            zxid: read_zxid(reader)?,
            leader: read_server(reader)?,
        },
        votes: reader.bool()?,
        stands_with: if reader.bool()? {
            Some((read_epoch(reader)?, read_zxid(reader)?))
        } else {
            None
        },
        hears: read_hears(reader)?,
    })
}

/// Servers in ascending order, so that what was read is written the same again.
fn read_hears(reader: &mut Reader<'_>) -> Result<BTreeSet<ServerId>, Malformed> {
    let mut hears = BTreeSet::new();
    for _ in 0..reader.u8()? {
        let server = read_server(reader)?;
        let ascends = hears.last().is_none_or(|last| *last < server);
        reader.value(ascends.then_some(()), "order of servers", server.number())?;
        hears.insert(server);
    }
    Ok(hears)
}

mod request_tag {
    pub(super) const WRITE: u8 = 1;
    pub(super) const MULTI: u8 = 2;
    pub(super) const SYNC: u8 = 3;
    pub(super) const OPEN_SESSION: u8 = 4;
    pub(super) const CLOSE_SESSION: u8 = 5;
    pub(super) const RESUME_SESSION: u8 = 6;
}

fn write_request(out: &mut impl Sink, request: &LeaderRequest) {
    match request {
        LeaderRequest::Write { identities, write } => {
            out.u8(request_tag::WRITE);
            write_identities(out, identities);
            write_write(out, write);
        }
        LeaderRequest::Multi { identities, writes } => {
            out.u8(request_tag::MULTI);
            write_identities(out, identities);
            out.list(writes, |out, write| write_write(out, write));
        }
        LeaderRequest::Sync => out.u8(request_tag::SYNC),
        LeaderRequest::OpenSession { timeout, password } => {
            out.u8(request_tag::OPEN_SESSION);
            write_millis(out, *timeout);
            out.put(password);
        }
        LeaderRequest::CloseSession => out.u8(request_tag::CLOSE_SESSION),
        LeaderRequest::ResumeSession { password } => {
            out.u8(request_tag::RESUME_SESSION);
            out.put(password);
        }
    }
}

fn read_request(reader: &mut Reader<'_>) -> Result<LeaderRequest, Malformed> {
    Ok(match reader.u8()? {
        request_tag::WRITE => LeaderRequest::Write {
            identities: read_identities(reader)?,
            write: read_write(reader)?,
        },
        request_tag::MULTI => LeaderRequest::Multi {
            identities: read_identities(reader)?,
            writes: reader.list(WRITE_BYTES_MIN, read_write)?,
        },
        request_tag::SYNC => LeaderRequest::Sync,
        request_tag::OPEN_SESSION => {
            LeaderRequest::OpenSession { timeout: read_millis(reader)?, password: reader.array()? }
        }
        request_tag::CLOSE_SESSION => LeaderRequest::CloseSession,
        request_tag::RESUME_SESSION => LeaderRequest::ResumeSession { password: reader.array()? },
        other => reader.value(None, "request", other)?,
    })
}

fn write_identities(out: &mut impl Sink, identities: &[(Arc<str>, Arc<str>)]) {
    out.list(identities, |out, (scheme, id)| {
        out.text(scheme);
        out.text(id);
    });
}

/// Two lengths.
const IDENTITY_BYTES_MIN: usize = 2;

type Identity = (Arc<str>, Arc<str>);

fn read_identities(reader: &mut Reader<'_>) -> Result<Vec<Identity>, Malformed> {
    reader.list(IDENTITY_BYTES_MIN, |reader| Ok((reader.text()?, reader.text()?)))
}

mod answer_tag {
    pub(super) const SYNCED: u8 = 1;
    pub(super) const SESSION: u8 = 2;
    pub(super) const NO_SESSION: u8 = 3;
}

fn write_answer(out: &mut impl Sink, answer: Answer) {
    match answer {
        Answer::Synced { zxid } => {
            out.u8(answer_tag::SYNCED);
            write_zxid(out, zxid);
        }
        Answer::Session { timeout, zxid } => {
            out.u8(answer_tag::SESSION);
            write_millis(out, timeout);
            write_zxid(out, zxid);
        }
        Answer::NoSession => out.u8(answer_tag::NO_SESSION),
    }
}

fn read_answer(reader: &mut Reader<'_>) -> Result<Answer, Malformed> {
    Ok(match reader.u8()? {
        answer_tag::SYNCED => Answer::Synced { zxid: read_zxid(reader)? },
        answer_tag::SESSION => {
            Answer::Session { timeout: read_millis(reader)?, zxid: read_zxid(reader)? }
        }
        answer_tag::NO_SESSION => Answer::NoSession,
        other => reader.value(None, "answer", other)?,
    })
}
