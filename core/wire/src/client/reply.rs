//! Replies: `int xid | long zxid | int error | record`, the record only without an error; and
//! events, which look like replies without a request.
//!
//! A reply does not say what it answers: a client remembers the [`ReplyShape`] of each request in
//! flight, and replies come in the order of the requests (events and pings in between).
//!
//! The answer to a multi has one entry per step. A multi that failed has no error in its header:
//!
//! ```text
//! { int opcode | bool false | int 0 | record }*           int -1 | bool true | int -1    done
//! { int -1     | bool false | int e | int e  }*           int -1 | bool true | int -1    failed
//! ```
//! with e = 0 before the step that failed, its error there, and -2 after it. In a multiRead entries
//! of both kinds mix.

use super::record::{
    NO_ZXID, StepHeader, opcode, read_acl, read_stat, read_zxid, write_acl, write_stat, write_zxid,
    xid,
};
use super::types::{MultiReply, Reply, ReplyHeader, Request, WatchEvent, WatchEventKind};
use crate::jute::{Malformed, Reader, Writer};
use crate::raw::{Encode, Sink, to_bytes, to_bytes_within};
use bytes::Bytes;
use mailstorm_shared::znodes::{EventKind, Stat};
use mailstorm_shared::{ErrorCode, Zxid};

/// What the record of a reply looks like: all that a client has to remember to decode it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReplyShape {
    /// No record.
    Empty,
    /// A path made, and a `Stat` if `stat`.
    Created {
        /// All opcodes but 1.
        stat: bool,
    },
    /// A `Stat`.
    Stat,
    /// Data and `Stat`.
    Data,
    /// Access list and `Stat`.
    Acl,
    /// Names, and a `Stat` if `stat`.
    Children {
        /// getChildren2.
        stat: bool,
    },
    /// Paths.
    Ephemerals,
    /// An int.
    AllChildrenNumber,
    /// A path.
    Synced,
    /// Identities.
    WhoAmI,
    /// An int 0.
    WatchAdded,
    /// A list of results.
    Multi,
}

impl ReplyShape {
    /// What a reply without error to this request looks like.
    pub fn of(request: &Request) -> Self {
        match request.opcode() {
            opcode::CREATE => Self::Created { stat: false },
            opcode::CREATE2 | opcode::CREATE_CONTAINER | opcode::CREATE_TTL => {
                Self::Created { stat: true }
            }
            opcode::EXISTS | opcode::SET_DATA | opcode::SET_ACL => Self::Stat,
            opcode::GET_DATA => Self::Data,
            opcode::GET_ACL => Self::Acl,
            opcode::GET_CHILDREN => Self::Children { stat: false },
            opcode::GET_CHILDREN2 => Self::Children { stat: true },
            opcode::GET_EPHEMERALS => Self::Ephemerals,
            opcode::GET_ALL_CHILDREN_NUMBER => Self::AllChildrenNumber,
            opcode::SYNC => Self::Synced,
            opcode::WHO_AM_I => Self::WhoAmI,
            opcode::ADD_WATCH => Self::WatchAdded,
            opcode::MULTI | opcode::MULTI_READ => Self::Multi,
            _ => Self::Empty,
        }
    }
}

/// The body of a reply's frame. With an error in the header the reply is the header alone; `None`
/// is the same as [`Reply::Empty`].
pub fn encode_reply(header: &ReplyHeader, reply: Option<&Reply>) -> Bytes {
    let reply = reply.filter(|_| header.error.is_none());
    to_bytes(&Headed { header, reply })
}

/// As [`encode_reply`], or `None` when the body would have more than `bytes_max` bytes: what a
/// znode holds adds up to more than a frame can carry, and the server has to say so instead.
pub fn encode_reply_within(
    header: &ReplyHeader,
    reply: Option<&Reply>,
    bytes_max: usize,
) -> Option<Bytes> {
    let reply = reply.filter(|_| header.error.is_none());
    to_bytes_within(&Headed { header, reply }, bytes_max)
}

/// The answer to an operation that does not exist, after which the connection ends. It has -1 in
/// place of a zxid, as ZooKeeper 3.9's.
pub fn encode_unimplemented(xid: i32) -> Bytes {
    let mut out = Vec::with_capacity(16);
    out.int(xid);
    out.long(NO_ZXID);
    out.int(ErrorCode::Unimplemented.code());
    Bytes::from(out)
}

struct Headed<'a> {
    header: &'a ReplyHeader,
    reply: Option<&'a Reply>,
}

impl Encode for Headed<'_> {
    fn encode(&self, out: &mut impl Sink) {
        out.int(self.header.xid);
        write_zxid(out, self.header.zxid);
        out.int(self.header.error.map_or(0, ErrorCode::code));
        if let Some(reply) = self.reply {
            write_reply(out, reply);
        }
    }
}

fn write_reply(out: &mut impl Sink, reply: &Reply) {
    match reply {
        Reply::Empty => {}
        Reply::Created { path, stat } => {
            out.string(path);
            write_stat_if_any(out, stat.as_ref());
        }
        Reply::Stat(stat) => write_stat(out, stat),
        Reply::Data { data, stat } => {
            out.buffer_or_null(data.as_deref());
            write_stat(out, stat);
        }
        Reply::Acl { acl, stat } => {
            write_acl(out, acl);
            write_stat(out, stat);
        }
        Reply::Children { names, stat } => {
            out.strings(names);
            write_stat_if_any(out, stat.as_ref());
        }
        Reply::Ephemerals(paths) => out.strings(paths),
        Reply::AllChildrenNumber(number) => out.int(*number),
        Reply::Synced(path) => out.string(path),
        Reply::WhoAmI(identities) => out.vector(identities, |out, (scheme, name)| {
            out.string(scheme);
            out.string(name);
        }),
        Reply::WatchAdded => out.int(0),
        Reply::Multi(results) => {
            for result in results {
                write_result(out, result);
            }
            StepHeader::LAST.write(out);
        }
    }
}

fn write_stat_if_any(out: &mut impl Sink, stat: Option<&Stat>) {
    if let Some(stat) = stat {
        write_stat(out, stat);
    }
}

fn write_result(out: &mut impl Sink, result: &MultiReply) {
    let kind = match result {
        MultiReply::Created { stat: None, .. } => opcode::CREATE,
        MultiReply::Created { stat: Some(_), .. } => opcode::CREATE2,
        MultiReply::Deleted => opcode::DELETE,
        MultiReply::DataSet(_) => opcode::SET_DATA,
        MultiReply::Checked => opcode::CHECK,
        MultiReply::Data { .. } => opcode::GET_DATA,
        MultiReply::Children(_) => opcode::GET_CHILDREN,
        MultiReply::Error(_) => opcode::ERROR,
    };
    let error = match result {
        MultiReply::Error(Some(error)) => error.code(),
        _ => 0,
    };
    StepHeader { kind, done: false, error }.write(out);
    match result {
        MultiReply::Created { path, stat } => {
            out.string(path);
            write_stat_if_any(out, stat.as_ref());
        }
        MultiReply::Deleted | MultiReply::Checked => {}
        MultiReply::DataSet(stat) => write_stat(out, stat),
        MultiReply::Data { data, stat } => {
            out.buffer_or_null(data.as_deref());
            write_stat(out, stat);
        }
        MultiReply::Children(names) => out.strings(names),
        MultiReply::Error(_) => out.int(error),
    }
}

/// Reads the header of a reply or event: by its xid a client finds the request in flight.
///
/// # Errors
/// [`Malformed`] when the frame is too short.
pub fn decode_reply_header(frame: &Bytes) -> Result<ReplyHeader, Malformed> {
    read_header(&mut Reader::new(frame))
}

fn read_header(reader: &mut Reader<'_>) -> Result<ReplyHeader, Malformed> {
    Ok(ReplyHeader {
        xid: reader.int()?,
        zxid: read_zxid(reader)?,
        error: ErrorCode::received(reader.int()?),
    })
}

/// Reads a reply to a request of this shape.
///
/// # Errors
/// [`Malformed`] when the frame is no such reply. The error that a server answers with is no error
/// here, but the inner result.
pub fn decode_reply(
    frame: Bytes,
    shape: ReplyShape,
) -> Result<(ReplyHeader, Result<Reply, ErrorCode>), Malformed> {
    let mut reader = Reader::new(&frame);
    let header = read_header(&mut reader)?;
    let reply = match header.error {
        Some(error) => Err(error),
        None => Ok(read_reply(&mut reader, shape)?),
    };
    Ok((header, reply))
}

/// Two strings.
const IDENTITY_BYTES_MIN: usize = 8;

fn read_reply(reader: &mut Reader<'_>, shape: ReplyShape) -> Result<Reply, Malformed> {
    Ok(match shape {
        ReplyShape::Empty => Reply::Empty,
        ReplyShape::Created { stat } => {
            Reply::Created { path: reader.string()?, stat: read_stat_if(reader, stat)? }
        }
        ReplyShape::Stat => Reply::Stat(read_stat(reader)?),
        ReplyShape::Data => Reply::Data { data: reader.buffer()?, stat: read_stat(reader)? },
        ReplyShape::Acl => Reply::Acl { acl: read_acl(reader)?, stat: read_stat(reader)? },
        ReplyShape::Children { stat } => {
            Reply::Children { names: reader.strings()?, stat: read_stat_if(reader, stat)? }
        }
        ReplyShape::Ephemerals => Reply::Ephemerals(reader.strings()?),
        ReplyShape::AllChildrenNumber => Reply::AllChildrenNumber(reader.int()?),
        ReplyShape::Synced => Reply::Synced(reader.string()?),
        ReplyShape::WhoAmI => Reply::WhoAmI(
            reader.vector(IDENTITY_BYTES_MIN, |reader| Ok((reader.string()?, reader.string()?)))?,
        ),
        ReplyShape::WatchAdded => {
            let _always_zero = reader.int()?;
            Reply::WatchAdded
        }
        ReplyShape::Multi => Reply::Multi(read_results(reader)?),
    })
}

fn read_stat_if(reader: &mut Reader<'_>, stat: bool) -> Result<Option<Stat>, Malformed> {
    stat.then(|| read_stat(reader)).transpose()
}

fn read_results(reader: &mut Reader<'_>) -> Result<Vec<MultiReply>, Malformed> {
    let mut results = Vec::new();
    loop {
        let header = StepHeader::read(reader)?;
        if header.done {
            return Ok(results);
        }
        results.push(match header.kind {
            opcode::CREATE => MultiReply::Created { path: reader.string()?, stat: None },
            opcode::CREATE2 | opcode::CREATE_CONTAINER | opcode::CREATE_TTL => {
                MultiReply::Created { path: reader.string()?, stat: Some(read_stat(reader)?) }
            }
            opcode::DELETE => MultiReply::Deleted,
            opcode::CHECK => MultiReply::Checked,
            opcode::SET_DATA => MultiReply::DataSet(read_stat(reader)?),
            opcode::GET_DATA => {
                MultiReply::Data { data: reader.buffer()?, stat: read_stat(reader)? }
            }
            opcode::GET_CHILDREN => MultiReply::Children(reader.strings()?),
            opcode::ERROR => MultiReply::Error(ErrorCode::received(reader.int()?)),
            other => reader.value(None, "result of a multi", other)?,
        });
    }
}

/// `KeeperState.SyncConnected`, in every event.
const STATE_CONNECTED: i32 = 3;

/// The body of an event's frame.
pub fn encode_event(event: &WatchEvent) -> Bytes {
    to_bytes(event)
}

impl Encode for WatchEvent {
    fn encode(&self, out: &mut impl Sink) {
        out.int(xid::EVENT);
        out.long(if self.zxid == Zxid::ZERO { NO_ZXID } else { self.zxid.0 as i64 });
        out.int(0);
        out.int(self.kind.code());
        out.int(STATE_CONNECTED);
        out.string(&self.path);
    }
}

/// Reads an event: a frame whose header has [`xid::EVENT`]. The state is ignored: a server that can
/// send an event is connected.
///
/// # Errors
/// [`Malformed`] when it is none, or one of an unknown type.
pub fn decode_event(frame: Bytes) -> Result<WatchEvent, Malformed> {
    let mut reader = Reader::new(&frame);
    let number = reader.int()?;
    reader.value((number == xid::EVENT).then_some(()), "xid of an event", number)?;
    let zxid = read_zxid(&mut reader)?;
    let _error = reader.int()?;
    let code = reader.int()?;
    let kind = reader.value(WatchEventKind::from_code(code), "type of event", code)?;
    let _state = reader.int()?;
    Ok(WatchEvent { kind, path: reader.string()?, zxid })
}

impl WatchEventKind {
    const ALL: [Self; 7] = [
        Self::Change(EventKind::Created),
        Self::Change(EventKind::Deleted),
        Self::Change(EventKind::DataChanged),
        Self::Change(EventKind::ChildrenChanged),
        Self::DataWatchRemoved,
        Self::ChildWatchRemoved,
        Self::PersistentWatchRemoved,
    ];

    /// The number that travels, 1 to 7.
    pub fn code(self) -> i32 {
        match self {
            Self::Change(EventKind::Created) => 1,
            Self::Change(EventKind::Deleted) => 2,
            Self::Change(EventKind::DataChanged) => 3,
            Self::Change(EventKind::ChildrenChanged) => 4,
            Self::DataWatchRemoved => 5,
            Self::ChildWatchRemoved => 6,
            Self::PersistentWatchRemoved => 7,
        }
    }

    /// The kind with this number.
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}
