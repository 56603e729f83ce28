//! Requests: `int xid | int opcode | record`.
//!
//! A multi is a list of steps, each behind a header, with a header after the last:
//!
//! ```text
//! { int opcode | bool false | int -1 | record }*  int -1 | bool true | int -1
//! ```

use super::record::{StepHeader, opcode, read_acl, read_zxid, write_acl, write_zxid};
use super::types::{AddWatchMode, CreateMode, Read, Request, SetWatches, WatcherType, Write};
use crate::jute::{Malformed, Reader, Writer};
use crate::raw::{Encode, Sink, to_bytes};
use bytes::Bytes;
use mailstorm_shared::ErrorCode;
use std::sync::Arc;

/// Why a frame cannot be carried out as a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not even xid and opcode are there. Nothing to reply to: close the connection.
    #[error("a request without a header: {0}")]
    NoHeader(Malformed),
    /// There is no such operation here, or only inside a multi. Answered by -6, then the connection
    /// is closed.
    #[error("operation {opcode} is not implemented")]
    Unimplemented {
        /// The request's number.
        xid: i32,
        /// Its operation.
        opcode: i32,
    },
    /// The record is not what its opcode says. Answered by -5.
    #[error("operation {opcode} could not be decoded: {cause}")]
    Malformed {
        /// The request's number.
        xid: i32,
        /// Its operation.
        opcode: i32,
        /// What is wrong.
        cause: Malformed,
    },
    /// A well-formed record that demands something that does not exist, such as an eighth kind of
    /// znode. Answered by this error, in its turn; the connection stays open. Where ZooKeeper fails
    /// a single step of a multi for it, the whole multi is refused here.
    #[error("operation {opcode}: {error}")]
    Refused {
        /// The request's number.
        xid: i32,
        /// Its operation.
        opcode: i32,
        /// The answer.
        error: ErrorCode,
    },
}

impl RequestError {
    /// The request's number, where it could be read.
    pub fn xid(&self) -> Option<i32> {
        match *self {
            Self::NoHeader(_) => None,
            Self::Unimplemented { xid, .. }
            | Self::Malformed { xid, .. }
            | Self::Refused { xid, .. } => Some(xid),
        }
    }

    /// The error to answer with, if there is anything to answer to.
    pub fn error(&self) -> Option<ErrorCode> {
        match *self {
            Self::NoHeader(_) => None,
            Self::Unimplemented { .. } => Some(ErrorCode::Unimplemented),
            Self::Malformed { .. } => Some(ErrorCode::MarshallingError),
            Self::Refused { error, .. } => Some(error),
        }
    }

    /// Whether the connection ends after the answer, as it does in ZooKeeper.
    pub fn hangs_up(&self) -> bool {
        matches!(self, Self::NoHeader(_) | Self::Unimplemented { .. })
    }
}

impl Request {
    /// The number of the operation.
    pub fn opcode(&self) -> i32 {
        match self {
            Self::Write(write) => write.opcode(),
            Self::Multi(_) => opcode::MULTI,
            Self::MultiRead(_) => opcode::MULTI_READ,
            Self::Exists { .. } => opcode::EXISTS,
            Self::GetData { .. } => opcode::GET_DATA,
            Self::GetAcl { .. } => opcode::GET_ACL,
            Self::Children { stat: false, .. } => opcode::GET_CHILDREN,
            Self::Children { stat: true, .. } => opcode::GET_CHILDREN2,
            Self::Ephemerals { .. } => opcode::GET_EPHEMERALS,
            Self::AllChildrenNumber { .. } => opcode::GET_ALL_CHILDREN_NUMBER,
            Self::Sync { .. } => opcode::SYNC,
            Self::Ping => opcode::PING,
            Self::Auth { .. } => opcode::AUTH,
            Self::WhoAmI => opcode::WHO_AM_I,
            Self::SetWatches(watches) if watches.has_lasting() => opcode::SET_WATCHES2,
            Self::SetWatches(_) => opcode::SET_WATCHES,
            Self::AddWatch { .. } => opcode::ADD_WATCH,
            Self::CheckWatches { .. } => opcode::CHECK_WATCHES,
            Self::RemoveWatches { .. } => opcode::REMOVE_WATCHES,
            Self::CloseSession => opcode::CLOSE_SESSION,
        }
    }
}

impl SetWatches {
    /// Whether there are persistent watches among them, which only setWatches2 can carry.
    fn has_lasting(&self) -> bool {
        !self.persistent.is_empty() || !self.persistent_recursive.is_empty()
    }
}

impl Write {
    /// The number of the operation. A time-to-live travels in createTTL only, which is always
    /// answered with a `Stat`, whatever `stat` says.
    pub fn opcode(&self) -> i32 {
        match self {
            Self::Create { mode, .. } if mode.has_ttl() => opcode::CREATE_TTL,
            Self::Create { stat: false, .. } => opcode::CREATE,
            Self::Create { mode: CreateMode::Container, .. } => opcode::CREATE_CONTAINER,
            Self::Create { .. } => opcode::CREATE2,
            Self::Delete { .. } => opcode::DELETE,
            Self::SetData { .. } => opcode::SET_DATA,
            Self::SetAcl { .. } => opcode::SET_ACL,
            Self::Check { .. } => opcode::CHECK,
        }
    }
}

impl Read {
    /// The number of the operation.
    pub fn opcode(&self) -> i32 {
        match self {
            Self::GetData { .. } => opcode::GET_DATA,
            Self::Children { .. } => opcode::GET_CHILDREN,
        }
    }
}

/// The body of a request's frame.
pub fn encode_request(xid: i32, request: &Request) -> Bytes {
    to_bytes(&Numbered { xid, request })
}

struct Numbered<'a> {
    xid: i32,
    request: &'a Request,
}

impl Encode for Numbered<'_> {
    fn encode(&self, out: &mut impl Sink) {
        out.int(self.xid);
        out.int(self.request.opcode());
        write_request(out, self.request);
    }
}

fn write_request(out: &mut impl Sink, request: &Request) {
    match request {
        Request::Write(write) => write_write(out, write),
        Request::Multi(writes) => write_steps(out, writes, Write::opcode, write_write),
        Request::MultiRead(reads) => write_steps(out, reads, Read::opcode, write_read),
        Request::Exists { path, watch }
        | Request::GetData { path, watch }
        | Request::Children { path, watch, .. } => {
            out.string(path);
            out.bool(*watch);
        }
        Request::GetAcl { path }
        | Request::Ephemerals { prefix: path }
        | Request::AllChildrenNumber { path }
        | Request::Sync { path } => out.string(path),
        Request::Ping | Request::WhoAmI | Request::CloseSession => {}
        Request::Auth { scheme, credentials } => {
            out.int(AUTH_TYPE);
            out.string(scheme);
            out.buffer(credentials);
        }
        Request::SetWatches(watches) => {
            write_zxid(out, watches.relative_zxid);
            out.strings(&watches.data);
            out.strings(&watches.exist);
            out.strings(&watches.child);
            if watches.has_lasting() {
                out.strings(&watches.persistent);
                out.strings(&watches.persistent_recursive);
            }
        }
        Request::AddWatch { path, mode } => {
            out.string(path);
            out.int(*mode as i32);
        }
        Request::CheckWatches { path, kind } | Request::RemoveWatches { path, kind } => {
            out.string(path);
            out.int(*kind as i32);
        }
    }
}

/// `AuthPacket.type`, which no server reads.
const AUTH_TYPE: i32 = 0;

fn write_write(out: &mut impl Sink, write: &Write) {
    match write {
        Write::Create { path, data, acl, mode, ttl, .. } => {
            out.string(path);
            out.buffer_or_null(data.as_deref());
            write_acl(out, acl);
            out.int(mode.flags());
            if mode.has_ttl() {
                out.long(*ttl);
            }
        }
        Write::Delete { path, version } | Write::Check { path, version } => {
            out.string(path);
            out.int(*version);
        }
        Write::SetData { path, data, version } => {
            out.string(path);
            out.buffer_or_null(data.as_deref());
            out.int(*version);
        }
        Write::SetAcl { path, acl, version } => {
            out.string(path);
            write_acl(out, acl);
            out.int(*version);
        }
    }
}

fn write_read<S: Sink>(out: &mut S, read: &Read) {
    let (Read::GetData { path } | Read::Children { path }) = read;
    out.string(path);
    out.bool(false);
}

fn write_steps<T, S: Sink>(
    out: &mut S,
    steps: &[T],
    opcode: impl Fn(&T) -> i32,
    write: impl Fn(&mut S, &T),
) {
    for step in steps {
        StepHeader { kind: opcode(step), done: false, error: -1 }.write(out);
        write(out, step);
    }
    StepHeader::LAST.write(out);
}

/// Reads a request's frame: its xid, and the request.
///
/// # Errors
/// [`RequestError`], which knows its own answer.
pub fn decode_request(frame: Bytes) -> Result<(i32, Request), RequestError> {
    let mut reader = Reader::new(&frame);
    let xid = reader.int().map_err(RequestError::NoHeader)?;
    let opcode = reader.int().map_err(RequestError::NoHeader)?;
    match read_request(&mut reader, opcode) {
        Ok(request) => Ok((xid, request)),
        Err(Refusal::Unimplemented) => Err(RequestError::Unimplemented { xid, opcode }),
        Err(Refusal::Malformed(cause)) => Err(RequestError::Malformed { xid, opcode, cause }),
        Err(Refusal::Error(error)) => Err(RequestError::Refused { xid, opcode, error }),
    }
}

/// A [`RequestError`] in the making.
enum Refusal {
    Unimplemented,
    Malformed(Malformed),
    Error(ErrorCode),
}

impl From<Malformed> for Refusal {
    fn from(cause: Malformed) -> Self {
        Self::Malformed(cause)
    }
}

fn read_request(reader: &mut Reader<'_>, opcode: i32) -> Result<Request, Refusal> {
    Ok(match opcode {
        opcode::MULTI => Request::Multi(read_steps(reader, read_step)?),
        opcode::MULTI_READ => Request::MultiRead(read_steps(reader, read_read)?),
        opcode::EXISTS => Request::Exists { path: reader.string()?, watch: reader.bool()? },
        opcode::GET_DATA => Request::GetData { path: reader.string()?, watch: reader.bool()? },
        opcode::GET_ACL => Request::GetAcl { path: reader.string()? },
        opcode::GET_CHILDREN | opcode::GET_CHILDREN2 => Request::Children {
            path: reader.string()?,
            watch: reader.bool()?,
            stat: opcode == opcode::GET_CHILDREN2,
        },
        opcode::GET_EPHEMERALS => Request::Ephemerals { prefix: reader.string()? },
        opcode::GET_ALL_CHILDREN_NUMBER => Request::AllChildrenNumber { path: reader.string()? },
        opcode::SYNC => Request::Sync { path: reader.string()? },
        opcode::PING => Request::Ping,
        opcode::AUTH => {
            let _type = reader.int()?;
            Request::Auth {
                scheme: reader.string()?,
                credentials: reader.buffer()?.unwrap_or_default(),
            }
        }
        opcode::WHO_AM_I => Request::WhoAmI,
        opcode::SET_WATCHES | opcode::SET_WATCHES2 => {
            let lasting = opcode == opcode::SET_WATCHES2;
            Request::SetWatches(SetWatches {
                relative_zxid: read_zxid(reader)?,
                data: reader.strings()?,
                exist: reader.strings()?,
                child: reader.strings()?,
                persistent: if lasting { reader.strings()? } else { Vec::new() },
                persistent_recursive: if lasting { reader.strings()? } else { Vec::new() },
            })
        }
        opcode::ADD_WATCH => {
            let path = reader.string()?;
            let mode = reader.int()?;
            let mode = reader.value(AddWatchMode::from_code(mode), "mode of addWatch", mode)?;
            Request::AddWatch { path, mode }
        }
        opcode::CHECK_WATCHES => {
            let (path, kind) = read_watcher(reader)?;
            Request::CheckWatches { path, kind }
        }
        opcode::REMOVE_WATCHES => {
            let (path, kind) = read_watcher(reader)?;
            Request::RemoveWatches { path, kind }
        }
        opcode::CLOSE_SESSION => Request::CloseSession,
        // The membership is in the configuration of each server.
        opcode::RECONFIG => return Err(Refusal::Error(ErrorCode::ReconfigDisabled)),
        opcode::CHECK => return Err(Refusal::Unimplemented),
        opcode => match read_write(reader, opcode)? {
            Some(write) => Request::Write(write),
            None => return Err(Refusal::Unimplemented),
        },
    })
}

fn read_watcher(reader: &mut Reader<'_>) -> Result<(Arc<str>, WatcherType), Malformed> {
    let path = reader.string()?;
    let kind = reader.int()?;
    let kind = reader.value(WatcherType::from_code(kind), "watcher type", kind)?;
    Ok((path, kind))
}

/// Reads the record of a write, or `None` if the opcode is none of a write.
fn read_write(reader: &mut Reader<'_>, opcode: i32) -> Result<Option<Write>, Refusal> {
    Ok(Some(match opcode {
        opcode::CREATE | opcode::CREATE2 | opcode::CREATE_CONTAINER | opcode::CREATE_TTL => {
            read_create(reader, opcode)?
        }
        opcode::DELETE => Write::Delete { path: reader.string()?, version: reader.int()? },
        opcode::CHECK => Write::Check { path: reader.string()?, version: reader.int()? },
        opcode::SET_DATA => Write::SetData {
            path: reader.string()?,
            data: reader.buffer()?,
            version: reader.int()?,
        },
        opcode::SET_ACL => {
            Write::SetAcl { path: reader.string()?, acl: read_acl(reader)?, version: reader.int()? }
        }
        _ => return Ok(None),
    }))
}

/// Reads a create of any kind. As in ZooKeeper (`EphemeralType.validateTTL`), a time-to-live and a
/// mode that has one belong together; below 0 there is none. The mode alone decides what is made,
/// so an opcode that contradicts it is refused, where ZooKeeper makes a container of whatever comes
/// with createContainer.
fn read_create(reader: &mut Reader<'_>, opcode: i32) -> Result<Write, Refusal> {
    let path = reader.string()?;
    let data = reader.buffer()?;
    let acl = read_acl(reader)?;
    let flags = reader.int()?;
    let ttl = if opcode == opcode::CREATE_TTL { reader.long()? } else { -1 };
    let mode = CreateMode::from_flags(flags).ok_or(Refusal::Error(ErrorCode::BadArguments))?;
    let ttl = match (opcode, mode) {
        (opcode::CREATE_TTL, mode) if mode.has_ttl() => ttl,
        (opcode::CREATE_CONTAINER, mode) if mode != CreateMode::Container => {
            return Err(Refusal::Error(ErrorCode::BadArguments));
        }
        (_, mode) if !mode.has_ttl() && ttl < 0 => 0,
        _ => return Err(Refusal::Error(ErrorCode::BadArguments)),
    };
    Ok(Write::Create { path, data, acl, mode, ttl, stat: opcode != opcode::CREATE })
}

/// Reads a step of a multi; setACL is none.
fn read_step(reader: &mut Reader<'_>, opcode: i32) -> Result<Write, Refusal> {
    let step = if opcode == opcode::SET_ACL { None } else { read_write(reader, opcode)? };
    Ok(reader.value(step, "step of a multi", opcode)?)
}

/// Reads a step of a multiRead. The watch flag in the record is ignored, as in ZooKeeper.
fn read_read(reader: &mut Reader<'_>, opcode: i32) -> Result<Read, Refusal> {
    let step = match opcode {
        opcode::GET_DATA => Some(Read::GetData { path: reader.string()? }),
        opcode::GET_CHILDREN => Some(Read::Children { path: reader.string()? }),
        _ => None,
    };
    let step = reader.value(step, "step of a multiRead", opcode)?;
    let _watch = reader.bool()?;
    Ok(step)
}

fn read_steps<T>(
    reader: &mut Reader<'_>,
    read: impl Fn(&mut Reader<'_>, i32) -> Result<T, Refusal>,
) -> Result<Vec<T>, Refusal> {
    let mut steps = Vec::new();
    loop {
        let header = StepHeader::read(reader)?;
        if header.done {
            return Ok(steps);
        }
        steps.push(read(reader, header.kind)?);
    }
}

impl AddWatchMode {
    /// The mode with this number on the wire.
    pub fn from_code(code: i32) -> Option<Self> {
        [Self::Persistent, Self::PersistentRecursive].into_iter().find(|mode| *mode as i32 == code)
    }
}

impl WatcherType {
    /// The type with this number on the wire.
    pub fn from_code(code: i32) -> Option<Self> {
        [Self::Children, Self::Data, Self::Any, Self::Persistent, Self::PersistentRecursive]
            .into_iter()
            .find(|kind| *kind as i32 == code)
    }
}
