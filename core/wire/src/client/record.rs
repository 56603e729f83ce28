//! What several frames share: opcodes, xids, zxids, access lists, `Stat`.

use super::types::CreateMode;
use crate::jute::{Malformed, Reader, Writer};
use crate::raw::Sink;
use mailstorm_shared::znodes::{Acl, Stat};
use mailstorm_shared::{SessionId, Zxid};

/// The numbers of the operations (`ZooDefs.OpCode`).
pub mod opcode {
    /// create.
    pub const CREATE: i32 = 1;
    /// delete.
    pub const DELETE: i32 = 2;
    /// exists.
    pub const EXISTS: i32 = 3;
    /// getData.
    pub const GET_DATA: i32 = 4;
    /// setData.
    pub const SET_DATA: i32 = 5;
    /// getACL.
    pub const GET_ACL: i32 = 6;
    /// setACL.
    pub const SET_ACL: i32 = 7;
    /// getChildren.
    pub const GET_CHILDREN: i32 = 8;
    /// sync.
    pub const SYNC: i32 = 9;
    /// ping.
    pub const PING: i32 = 11;
    /// getChildren2.
    pub const GET_CHILDREN2: i32 = 12;
    /// check: a step of a multi, never alone.
    pub const CHECK: i32 = 13;
    /// multi.
    pub const MULTI: i32 = 14;
    /// create2.
    pub const CREATE2: i32 = 15;
    /// reconfig: known, and always refused.
    pub const RECONFIG: i32 = 16;
    /// checkWatches.
    pub const CHECK_WATCHES: i32 = 17;
    /// removeWatches.
    pub const REMOVE_WATCHES: i32 = 18;
    /// createContainer.
    pub const CREATE_CONTAINER: i32 = 19;
    /// createTTL.
    pub const CREATE_TTL: i32 = 21;
    /// multiRead.
    pub const MULTI_READ: i32 = 22;
    /// auth.
    pub const AUTH: i32 = 100;
    /// setWatches.
    pub const SET_WATCHES: i32 = 101;
    /// getEphemerals.
    pub const GET_EPHEMERALS: i32 = 103;
    /// getAllChildrenNumber.
    pub const GET_ALL_CHILDREN_NUMBER: i32 = 104;
    /// setWatches2.
    pub const SET_WATCHES2: i32 = 105;
    /// addWatch.
    pub const ADD_WATCH: i32 = 106;
    /// whoAmI.
    pub const WHO_AM_I: i32 = 107;
    /// closeSession.
    pub const CLOSE_SESSION: i32 = -11;
    /// A failed step in the answer to a multi; also what ends the list of steps.
    pub const ERROR: i32 = -1;
}

/// The xids that are not a client's to choose.
pub mod xid {
    /// A notification.
    pub const EVENT: i32 = -1;
    /// A ping and its answer.
    pub const PING: i32 = -2;
    /// auth and its answer.
    pub const AUTH: i32 = -4;
    /// setWatches and its answer.
    pub const SET_WATCHES: i32 = -8;
}

/// What travels where a zxid belongs and there is none.
pub(super) const NO_ZXID: i64 = -1;

/// Reads a zxid, which ZooKeeper compares as a signed number. -1, which servers send where they
/// have none and careless clients send back, is [`Zxid::ZERO`] here, and so is all below: as an
/// unsigned number it would sort after all of history.
pub(super) fn read_zxid(reader: &mut Reader<'_>) -> Result<Zxid, Malformed> {
    Ok(Zxid(u64::try_from(reader.long()?).unwrap_or(0)))
}

pub(super) fn write_zxid(out: &mut impl Sink, zxid: Zxid) {
    out.long(zxid.0 as i64);
}

/// An ACL on the wire takes at least three ints.
const ACL_BYTES_MIN: usize = 12;

pub(super) fn write_acl(out: &mut impl Sink, acl: &[Acl]) {
    out.vector(acl, |out, entry| {
        out.int(entry.permissions);
        out.string(&entry.scheme);
        out.string(&entry.id);
    });
}

pub(super) fn read_acl(reader: &mut Reader<'_>) -> Result<Vec<Acl>, Malformed> {
    reader.vector(ACL_BYTES_MIN, |reader| {
        Ok(Acl { permissions: reader.int()?, scheme: reader.string()?, id: reader.string()? })
    })
}

pub(super) fn write_stat(out: &mut impl Sink, stat: &Stat) {
    write_zxid(out, stat.czxid);
    write_zxid(out, stat.mzxid);
    out.long(stat.ctime);
    out.long(stat.mtime);
    out.int(stat.version);
    out.int(stat.cversion);
    out.int(stat.aversion);
    out.long(stat.ephemeral_owner.0);
    out.int(stat.data_length);
    out.int(stat.num_children);
    write_zxid(out, stat.pzxid);
}

pub(super) fn read_stat(reader: &mut Reader<'_>) -> Result<Stat, Malformed> {
    Ok(Stat {
        czxid: read_zxid(reader)?,
        mzxid: read_zxid(reader)?,
        ctime: reader.long()?,
        mtime: reader.long()?,
        version: reader.int()?,
        cversion: reader.int()?,
        aversion: reader.int()?,
        ephemeral_owner: SessionId(reader.long()?),
        data_length: reader.int()?,
        num_children: reader.int()?,
        pzxid: read_zxid(reader)?,
    })
}

/// The header before each step of a multi, of its answer, and after the last.
pub(super) struct StepHeader {
    pub(super) kind: i32,
    pub(super) done: bool,
    pub(super) error: i32,
}

impl StepHeader {
    pub(super) const LAST: Self = Self { kind: opcode::ERROR, done: true, error: -1 };

    pub(super) fn write(&self, out: &mut impl Sink) {
        out.int(self.kind);
        out.bool(self.done);
        out.int(self.error);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { kind: reader.int()?, done: reader.bool()?, error: reader.int()? })
    }
}

impl CreateMode {
    /// The mode with this number on the wire.
    pub fn from_flags(flags: i32) -> Option<Self> {
        Some(match flags {
            0 => Self::Persistent,
            1 => Self::Ephemeral,
            2 => Self::PersistentSequential,
            3 => Self::EphemeralSequential,
            4 => Self::Container,
            5 => Self::PersistentTtl,
            6 => Self::PersistentSequentialTtl,
            _ => return None,
        })
    }

    /// The number that travels.
    pub fn flags(self) -> i32 {
        self as i32
    }

    /// Whether a znode of this kind has a time-to-live.
    pub fn has_ttl(self) -> bool {
        matches!(self, Self::PersistentTtl | Self::PersistentSequentialTtl)
    }
}
