//! Identifiers and positions: servers, epochs, zxids, sessions.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU8;

/// One server of the ensemble, 1 to 255 (ZooKeeper's `myid`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServerId(NonZeroU8);

impl ServerId {
    /// The server with this number; `None` for 0, which no server may have.
    pub fn new(number: u8) -> Option<Self> {
        NonZeroU8::new(number).map(Self)
    }

    /// Its number, 1 to 255.
    pub fn number(self) -> u8 {
        self.0.get()
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

/// The reign of one leader. Grows by at least one with every leader that gets established.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u32);

impl Epoch {
    /// The epoch after this one.
    ///
    /// # Errors
    /// [`CounterFull`] when no epoch is left: 2^32 elections are an operator's problem, not ours to
    /// hide.
    pub fn next(self) -> Result<Self, CounterFull> {
        self.0.checked_add(1).map(Self).ok_or(CounterFull)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A counter that must not wrap has reached its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the counter is full: wrapping would sort new history before old")]
pub struct CounterFull;

/// A transaction's place in the total order: leader epoch in the high 32 bits, counter in the low.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Zxid(pub u64);

impl Zxid {
    /// Before every transaction.
    pub const ZERO: Self = Self(0);

    /// The place `counter` in `epoch`; counter 0 is the epoch's start, before its first
    /// transaction.
    pub const fn new(epoch: Epoch, counter: u32) -> Self {
        Self((epoch.0 as u64) << 32 | counter as u64)
    }

    /// The leader epoch in which the transaction was proposed.
    pub const fn epoch(self) -> Epoch {
        Epoch((self.0 >> 32) as u32)
    }

    /// The transaction's number within its epoch, from 1.
    pub const fn counter(self) -> u32 {
        self.0 as u32
    }

    /// The place after this one, in the same epoch.
    ///
    /// # Errors
    /// [`CounterFull`] when the low half is all ones: wrapping would sort new history before old,
    /// so the leader steps down and a new epoch begins (ZOOKEEPER-1277).
    pub fn next(self) -> Result<Self, CounterFull> {
        if self.counter() == u32::MAX { Err(CounterFull) } else { Ok(Self(self.0 + 1)) }
    }
}

impl fmt::Display for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch(), self.counter())
    }
}

/// A client's session. It is the zxid of the transaction that created it, so it is unique for ever
/// and needs neither a random number nor a clock. Never zero: zero requests a new session.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct SessionId(pub i64);

impl SessionId {
    /// No session: in a connect request, a new one is to be made; in a `Stat` the znode is not
    /// ephemeral.
    pub const NONE: Self = Self(0);

    /// The session that the transaction at `zxid` creates.
    pub fn created_at(zxid: Zxid) -> Self {
        Self(zxid.0 as i64)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}
