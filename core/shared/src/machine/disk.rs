//! What a core asks of its disk.

use bytes::Bytes;
use std::sync::Arc;

/// One operation on a flat folder, to be done in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileOp {
    /// Write at an offset, creating the file if need be.
    Write {
        /// The file.
        name: Arc<str>,
        /// Where.
        offset: u64,
        /// What.
        bytes: Bytes,
    },
    /// Cut or lengthen a file; it is made if it does not exist.
    Truncate {
        /// The file.
        name: Arc<str>,
        /// Its new length.
        bytes: u64,
    },
    /// Make a file's content, length and existence durable.
    Sync {
        /// The file.
        name: Arc<str>,
    },
    /// Rename, replacing.
    Rename {
        /// From.
        from: Arc<str>,
        /// To.
        to: Arc<str>,
    },
    /// Remove.
    Remove {
        /// The file.
        name: Arc<str>,
    },
    /// Make renames and removals durable.
    SyncFolder,
}

impl FileOp {
    /// What puts a file that was written as a whole in the place of another one, durably: a crash
    /// leaves the one or the other.
    pub fn replace(written: &Arc<str>, other: &Arc<str>) -> [Self; 3] {
        let rename = Self::Rename { from: written.clone(), to: other.clone() };
        [Self::Sync { name: written.clone() }, rename, Self::SyncFolder]
    }
}

/// One of the two queues on which a disk is written, each by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Acknowledgements wait for it.
    Log,
    /// None does: what is large and may take its time.
    Aside,
}

/// What a core has for a lane that is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// These operations, all synced together.
    Some,
    /// Nothing.
    None,
    /// Something that must not begin before the other lane is idle.
    AfterOtherLane,
}
