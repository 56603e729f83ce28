//! Transactions and log entries: what is proposed, written to disk and applied.
//!
//! A transaction says what *became* of a request, in absolute terms (new versions, resolved paths),
//! so that applying it twice does no harm: fuzzy snapshots and repeated proposals depend on that.
//! The replica moves [`Entry`]s and does not look inside; the database reads [`Txn`].
//!
//! `types` has the vocabulary; `codec` turns it into bytes and back.

mod codec;
#[cfg(test)]
mod tests;
mod types;

// A word of transactions, too.
pub use mailstorm_shared::znodes::Owner;

pub use codec::{TXN_BYTES_MAX, TXN_FORMAT_VERSION, TxnError};
pub use types::*;
