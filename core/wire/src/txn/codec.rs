//! The bytes of a transaction.
//!
//! ```text
//! u8 format | u8 origin's server, 0: none | [u64 ticket] | i64 session | i64 time | body
//! body: u8 tag | fields, in the order of the type
//! ```
//! The bytes are in logs and snapshots of servers that will run a later version: a change of the
//! layout is a new format number, and the old one stays readable.

use super::types::{Origin, Txn, TxnBody};
use crate::compact::{Reader, Writer};
use crate::fields::{
    read_acl, read_error, read_millis, read_session, write_acl, write_error, write_millis,
    write_server, write_session,
};
use crate::raw::{Encode, Malformed, Sink, encoded_len, to_bytes};
use bytes::Bytes;
use mailstorm_shared::ServerId;
use mailstorm_shared::znodes::Owner;

/// The format that [`Txn::encode`] writes.
pub const TXN_FORMAT_VERSION: u8 = 1;

/// The longest transaction that a leader may propose, in bytes: [`Txn::encoded_len`] must be
/// checked before. A transaction can be longer than the request it comes from, since `auth` entries
/// of access lists are resolved to every identity of the client. One that no follower takes would
/// stop the ensemble and its restart (ZOOKEEPER-4306), so
/// [`crate::checked::CHECKED_FRAME_BYTES_MAX`] is larger.
pub const TXN_BYTES_MAX: usize = 4 << 20;

/// Why bytes are not a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TxnError {
    /// Written by a newer version, or not by us.
    #[error("a transaction in format {found}, where {TXN_FORMAT_VERSION} is known")]
    Format {
        /// The format it claims.
        found: u8,
    },
    /// The format is known, but the bytes are invalid.
    #[error("not a transaction: {0}")]
    Malformed(#[from] Malformed),
}

impl Txn {
    /// Its bytes.
    pub fn encode(&self) -> Bytes {
        to_bytes(self)
    }

    /// How many bytes [`Self::encode`] gives.
    pub fn encoded_len(&self) -> usize {
        encoded_len(self)
    }

    /// The transaction with these bytes. Data shares their memory: whoever keeps it for long copies
    /// it, or a few bytes keep alive all that they arrived with.
    ///
    /// # Errors
    /// [`TxnError`] when the bytes are not exactly one transaction.
    pub fn decode(bytes: Bytes) -> Result<Self, TxnError> {
        let mut reader = Reader::new(&bytes);
        let found = reader.u8()?;
        if found != TXN_FORMAT_VERSION {
            return Err(TxnError::Format { found });
        }
        let txn = Self {
            origin: read_origin(&mut reader)?,
            session: read_session(&mut reader)?,
            time: reader.i64()?,
            body: read_body(&mut reader, Place::Alone)?,
        };
        reader.finish()?;
        Ok(txn)
    }
}

impl Encode for Txn {
    fn encode(&self, out: &mut impl Sink) {
        out.u8(TXN_FORMAT_VERSION);
        match self.origin {
            None => out.u8(NO_ORIGIN),
            Some(Origin { server, ticket }) => {
                write_server(out, server);
                out.u64(ticket);
            }
        }
        write_session(out, self.session);
        out.i64(self.time);
        write_body(out, &self.body, Place::Alone);
    }
}

const NO_ORIGIN: u8 = 0;

fn read_origin(reader: &mut Reader<'_>) -> Result<Option<Origin>, Malformed> {
    match ServerId::new(reader.u8()?) {
        None => Ok(None),
        Some(server) => Ok(Some(Origin { server, ticket: reader.u64()? })),
    }
}

mod tag {
    pub(super) const NOTHING: u8 = 0;
    pub(super) const ERROR: u8 = 1;
    pub(super) const CREATE: u8 = 2;
    pub(super) const DELETE: u8 = 3;
    pub(super) const SET_DATA: u8 = 4;
    pub(super) const SET_ACL: u8 = 5;
    pub(super) const CHECK: u8 = 6;
    pub(super) const MULTI: u8 = 7;
    pub(super) const MULTI_FAILED: u8 = 8;
    pub(super) const OPEN_SESSION: u8 = 9;
    pub(super) const CLOSE_SESSION: u8 = 10;
}

mod owner_tag {
    pub(super) const NOBODY: u8 = 0;
    pub(super) const SESSION: u8 = 1;
    pub(super) const CONTAINER: u8 = 2;
    pub(super) const TTL: u8 = 3;
}

/// Where a body stands: steps of a multi have none inside them, so that nothing recurses without
/// bound.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Alone,
    Step,
}

impl TxnBody {
    /// How many bytes it takes in a transaction, alone or as a step of a multi.
    pub fn encoded_len(&self) -> usize {
        encoded_len(self)
    }
}

impl Encode for TxnBody {
    fn encode(&self, out: &mut impl Sink) {
        write_body(out, self, Place::Alone);
    }
}

fn write_body(out: &mut impl Sink, body: &TxnBody, place: Place) {
    match body {
        TxnBody::Nothing => out.u8(tag::NOTHING),
        TxnBody::Error(error) => {
            out.u8(tag::ERROR);
            write_error(out, Some(*error));
        }
        TxnBody::Create { path, data, acl, owner, parent_creations } => {
            out.u8(tag::CREATE);
            out.text(path);
            out.nullable(data.as_deref());
            write_acl(out, acl);
            write_owner(out, *owner);
            out.varint(u64::from(*parent_creations));
        }
        TxnBody::Delete { path } => {
            out.u8(tag::DELETE);
            out.text(path);
        }
        TxnBody::SetData { path, data, version } => {
            out.u8(tag::SET_DATA);
            out.text(path);
            out.nullable(data.as_deref());
            out.signed((*version).into());
        }
        TxnBody::SetAcl { path, acl, version } => {
            out.u8(tag::SET_ACL);
            out.text(path);
            write_acl(out, acl);
            out.signed((*version).into());
        }
        TxnBody::Check { path } => {
            out.u8(tag::CHECK);
            out.text(path);
        }
        TxnBody::Multi(steps) => {
            assert!(place == Place::Alone, "a multi has no multi among its steps");
            out.u8(tag::MULTI);
            out.list(steps, |out, step| write_body(out, step, Place::Step));
        }
        TxnBody::MultiFailed(results) => {
            assert!(place == Place::Alone, "a multi has no multi among its steps");
            out.u8(tag::MULTI_FAILED);
            out.list(results, |out, result| write_error(out, *result));
        }
        TxnBody::OpenSession { timeout, password } => {
            out.u8(tag::OPEN_SESSION);
            write_millis(out, *timeout);
            out.put(password);
        }
        TxnBody::CloseSession => out.u8(tag::CLOSE_SESSION),
    }
}

fn read_body(reader: &mut Reader<'_>, place: Place) -> Result<TxnBody, Malformed> {
    Ok(match (reader.u8()?, place) {
        (tag::NOTHING, _) => TxnBody::Nothing,
        (tag::ERROR, _) => {
            let error = read_error(reader)?;
            TxnBody::Error(reader.value(error, "error", 0)?)
        }
        (tag::CREATE, _) => TxnBody::Create {
            path: reader.text()?,
            data: reader.nullable()?,
            acl: read_acl(reader)?,
            owner: read_owner(reader)?,
            parent_creations: reader.varint_u32()?,
        },
        (tag::DELETE, _) => TxnBody::Delete { path: reader.text()? },
        (tag::SET_DATA, _) => TxnBody::SetData {
            path: reader.text()?,
            data: reader.nullable()?,
            version: reader.signed_i32()?,
        },
        (tag::SET_ACL, _) => TxnBody::SetAcl {
            path: reader.text()?,
            acl: read_acl(reader)?,
            version: reader.signed_i32()?,
        },
        (tag::CHECK, _) => TxnBody::Check { path: reader.text()? },
        (tag::MULTI, Place::Alone) => {
            TxnBody::Multi(reader.list(1, |reader| read_body(reader, Place::Step))?)
        }
        (tag::MULTI_FAILED, Place::Alone) => TxnBody::MultiFailed(reader.list(1, read_error)?),
        (tag::OPEN_SESSION, _) => {
            TxnBody::OpenSession { timeout: read_millis(reader)?, password: reader.array()? }
        }
        (tag::CLOSE_SESSION, _) => TxnBody::CloseSession,
        (other, _) => reader.value(None, "body of a transaction", other)?,
    })
}

fn write_owner(out: &mut impl Sink, owner: Owner) {
    match owner {
        Owner::Nobody => out.u8(owner_tag::NOBODY),
        Owner::Session(session) => {
            out.u8(owner_tag::SESSION);
            write_session(out, session);
        }
        Owner::Container => out.u8(owner_tag::CONTAINER),
        Owner::Ttl(ttl) => {
            out.u8(owner_tag::TTL);
            write_millis(out, ttl);
        }
    }
}

fn read_owner(reader: &mut Reader<'_>) -> Result<Owner, Malformed> {
    Ok(match reader.u8()? {
        owner_tag::NOBODY => Owner::Nobody,
        owner_tag::SESSION => Owner::Session(read_session(reader)?),
        owner_tag::CONTAINER => Owner::Container,
        owner_tag::TTL => Owner::Ttl(read_millis(reader)?),
        other => reader.value(None, "owner", other)?,
    })
}
