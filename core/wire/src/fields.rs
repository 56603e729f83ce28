//! The compact form of what both transactions and the peer protocol are made of.

use crate::client::{Acl, CreateMode, ErrorCode, Write};
use crate::compact::{Reader, Writer};
use crate::raw::{Malformed, Sink};
use mailstorm_shared::{Epoch, Millis, ServerId, SessionId, Zxid};

pub(crate) fn write_zxid(out: &mut impl Sink, zxid: Zxid) {
    out.u64(zxid.0);
}

pub(crate) fn read_zxid(reader: &mut Reader<'_>) -> Result<Zxid, Malformed> {
    reader.u64().map(Zxid)
}

pub(crate) fn write_epoch(out: &mut impl Sink, epoch: Epoch) {
    out.u32(epoch.0);
}

pub(crate) fn read_epoch(reader: &mut Reader<'_>) -> Result<Epoch, Malformed> {
    reader.u32().map(Epoch)
}

pub(crate) fn write_session(out: &mut impl Sink, session: SessionId) {
    out.i64(session.0);
}

pub(crate) fn read_session(reader: &mut Reader<'_>) -> Result<SessionId, Malformed> {
    reader.i64().map(SessionId)
}

pub(crate) fn write_server(out: &mut impl Sink, server: ServerId) {
    out.u8(server.number());
}

pub(crate) fn read_server(reader: &mut Reader<'_>) -> Result<ServerId, Malformed> {
    let number = reader.u8()?;
    reader.value(ServerId::new(number), "server", number)
}

pub(crate) fn write_millis(out: &mut impl Sink, millis: Millis) {
    out.varint(millis.0);
}

pub(crate) fn read_millis(reader: &mut Reader<'_>) -> Result<Millis, Malformed> {
    reader.varint().map(Millis)
}

/// The number negated, so that it takes one or two bytes; 0 is no error.
pub(crate) fn write_error(out: &mut impl Sink, error: Option<ErrorCode>) {
    let code = error.map_or(0, ErrorCode::code);
    out.varint(u64::from(code.unsigned_abs()));
}

pub(crate) fn read_error(reader: &mut Reader<'_>) -> Result<Option<ErrorCode>, Malformed> {
    let negated = reader.varint_u32()?;
    if negated == 0 {
        return Ok(None);
    }
    let code = i32::try_from(negated).ok().and_then(|code| ErrorCode::from_code(-code));
    reader.value(code, "error", negated).map(Some)
}

/// Permissions, and two lengths.
const ACL_BYTES_MIN: usize = 3;

pub(crate) fn write_acl(out: &mut impl Sink, acl: &[Acl]) {
    out.list(acl, |out, entry| {
        out.signed(entry.permissions.into());
        out.text(&entry.scheme);
        out.text(&entry.id);
    });
}

pub(crate) fn read_acl(reader: &mut Reader<'_>) -> Result<Vec<Acl>, Malformed> {
    reader.list(ACL_BYTES_MIN, |reader| {
        Ok(Acl { permissions: reader.signed_i32()?, scheme: reader.text()?, id: reader.text()? })
    })
}

mod write_tag {
    pub(super) const CREATE: u8 = 1;
    pub(super) const DELETE: u8 = 2;
    pub(super) const SET_DATA: u8 = 3;
    pub(super) const SET_ACL: u8 = 4;
    pub(super) const CHECK: u8 = 5;
}

/// The fewest bytes of a write: tag, empty path, version.
pub(crate) const WRITE_BYTES_MIN: usize = 3;

pub(crate) fn write_write(out: &mut impl Sink, write: &Write) {
    match write {
        Write::Create { path, data, acl, mode, ttl, stat } => {
            out.u8(write_tag::CREATE);
            out.text(path);
            out.nullable(data.as_deref());
            write_acl(out, acl);
            out.u8(mode.flags() as u8);
            out.signed(*ttl);
            out.bool(*stat);
        }
        Write::Delete { path, version } => {
            out.u8(write_tag::DELETE);
            out.text(path);
            out.signed((*version).into());
        }
        Write::SetData { path, data, version } => {
            out.u8(write_tag::SET_DATA);
            out.text(path);
            out.nullable(data.as_deref());
            out.signed((*version).into());
        }
        Write::SetAcl { path, acl, version } => {
            out.u8(write_tag::SET_ACL);
            out.text(path);
            write_acl(out, acl);
            out.signed((*version).into());
        }
        Write::Check { path, version } => {
            out.u8(write_tag::CHECK);
            out.text(path);
            out.signed((*version).into());
        }
    }
}

pub(crate) fn read_write(reader: &mut Reader<'_>) -> Result<Write, Malformed> {
    Ok(match reader.u8()? {
        write_tag::CREATE => {
            let path = reader.text()?;
            let data = reader.nullable()?;
            let acl = read_acl(reader)?;
            let flags = reader.u8()?;
            let mode = reader.value(CreateMode::from_flags(flags.into()), "create mode", flags)?;
            Write::Create { path, data, acl, mode, ttl: reader.signed()?, stat: reader.bool()? }
        }
        write_tag::DELETE => Write::Delete { path: reader.text()?, version: reader.signed_i32()? },
        write_tag::SET_DATA => Write::SetData {
            path: reader.text()?,
            data: reader.nullable()?,
            version: reader.signed_i32()?,
        },
        write_tag::SET_ACL => Write::SetAcl {
            path: reader.text()?,
            acl: read_acl(reader)?,
            version: reader.signed_i32()?,
        },
        write_tag::CHECK => Write::Check { path: reader.text()?, version: reader.signed_i32()? },
        other => reader.value(None, "write", other)?,
    })
}
