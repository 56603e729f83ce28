//! The vocabulary of transactions.

use crate::client::ErrorCode;
use bytes::Bytes;
use mailstorm_shared::znodes::{Acl, Owner};
use mailstorm_shared::{Millis, ServerId, SessionId, Zxid};
use std::sync::Arc;

/// A place in the log, and the bytes of the [`Txn`] that stands there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The place.
    pub zxid: Zxid,
    /// The transaction, encoded once by the leader and never again.
    pub bytes: Bytes,
}

impl Entry {
    /// CRC-32C of the bytes: what observers compare between servers.
    pub fn digest(&self) -> u32 {
        mailstorm_shared::checksum::crc32c(&self.bytes)
    }
}

/// The origin of a transaction, which waits for its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The server whose client sent the request.
    pub server: ServerId,
    /// That server's own number for the request: the high half is the server's incarnation, so that
    /// a restarted server never takes an old transaction for an answer.
    pub ticket: u64,
}

/// A transaction, without its place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Txn {
    /// Who waits for the result; `None` for what the leader decides by itself (expiry, sweeping).
    pub origin: Option<Origin>,
    /// On whose behalf.
    pub session: SessionId,
    /// The leader's wall clock, in milliseconds since the Unix epoch.
    pub time: i64,
    /// What becomes of it.
    pub body: TxnBody,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TxnBody {
    /// Refused. It still takes a zxid, as in ZooKeeper.
    Error(ErrorCode),
    /// A znode is created.
    Create {
        /// The whole path, number included.
        path: Arc<str>,
        /// Its data.
        data: Option<Bytes>,
        /// Its access list, `auth` entries resolved.
        acl: Vec<Acl>,
        /// Whose it is.
        owner: Owner,
        /// How many children the parent has had created, this one included: the sequence counter.
        parent_creations: u32,
    },
    /// A znode is deleted.
    Delete {
        /// Its path.
        path: Arc<str>,
    },
    /// Data is replaced.
    SetData {
        /// The znode.
        path: Arc<str>,
        /// Its new data.
        data: Option<Bytes>,
        /// Its new version.
        version: i32,
    },
    /// An access list is replaced.
    SetAcl {
        /// The znode.
        path: Arc<str>,
        /// Its new list.
        acl: Vec<Acl>,
        /// Its new aversion.
        version: i32,
    },
    /// A version check that held; changes nothing.
    Check {
        /// The znode.
        path: Arc<str>,
    },
    /// All steps of a `multi` that succeeded, in order. Never nested.
    Multi(Vec<TxnBody>),
    /// A `multi` that failed: one entry per step, `None` for those before the culprit.
    MultiFailed(Vec<Option<ErrorCode>>),
    /// A session begins. Its id is the zxid of this transaction.
    OpenSession {
        /// Negotiated.
        timeout: Millis,
        /// 16 bytes with which it can be resumed.
        password: [u8; 16],
    },
    /// [`Txn::session`] ends, and with it every ephemeral it owns. The list is not carried: every
    /// server knows it, so the transaction is small however many there are (ZOOKEEPER-4306).
    CloseSession,
    /// Nothing: an entry that lets a leader commit in its own epoch.
    Nothing,
}
