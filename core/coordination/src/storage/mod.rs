//! What a server leaves on its disk, and what it makes of that at its next start.
//!
//! Owns: the formats of log, snapshot and state file, which file operations carry out a
//! [`crate::io::DiskCommand`], and recovery. Leaves: doing the operations to `host`. Everything
//! here is bytes in, bytes out.
//!
//! ```text
//!   state                     the promises, twice in one file; replaced by renaming `state.new`
//!   log.<sequence>            records, chained by zxid; only ever appended, by one incarnation
//!   snapshot.<zxid>           a tree; complete or absent, since it is renamed from `snapshot.new`
//! ```
//! Holds: a crash at any moment leaves a folder from which everything that was synced comes back.
//! What a crash cannot leave is damage; nothing behind damage is believed, and damage that may have
//! cost anything synced costs the vote.
//! Start at [`log`] for the one file that matters, then [`recovery::recover`] and
//! [`writer::Writer`].

mod bits;
pub mod inspect;
pub mod log;
pub mod names;
mod origin;
pub mod recovery;
pub mod snapshot;
pub mod state;
#[cfg(test)]
mod tests;
pub mod writer;

pub use inspect::{OnDisk, inspect};
pub use names::FileName;
pub use origin::RecoverError;
pub use recovery::{Condition, Recovery, recover};
pub use writer::{StorageOptions, Writer};

use mailstorm_shared::ServerId;

/// Whose folder it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The server; a folder of another is refused.
    pub server: ServerId,
    /// A hash of the ensemble's membership, kept in the state file; a folder that was written in
    /// another ensemble is refused unless the operator says that the membership was changed.
    pub ensemble: u64,
}
