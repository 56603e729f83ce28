//! Snapshots: a database in chunks, read while transactions are applied, and made whole again.
//!
//! Owns: chunks, their rows and checksums. Leaves: files and links to others; why a replay after a
//! fuzzy snapshot is exact to `fuzzy`.
//! Holds: a snapshot is loaded whole or not at all. A chunk that is missing, repeated, damaged, or
//! from another snapshot is an error. The database that comes out contains everything up to the
//! snapshot's beginning, and the transactions after that are to be applied to it as if nothing else
//! were in it.
//!
//! ```text
//! chunk   = crc32c of the rest (u32), sequence number (u32), begin zxid (u64), kind (u8), body
//! begin   = kind 1: magic (4 bytes), format version (u16)
//! rows    = kind 2: as of (u64), last key or none, rows until the end of the chunk
//! trailer = kind 3: how many sessions, ephemerals, znodes (u64 each)
//! ```
//! All numbers are big-endian. "None" as last key says that the piece reaches to the end of the
//! order, so that a row which came later than the last piece is known to be absent from it. In
//! reading order: `rows`, `cursor`, `loader`. Start at [`SnapshotCursor::next_chunk`].

mod cursor;
mod loader;
mod rows;

pub use cursor::SnapshotCursor;
pub use loader::{CorruptSnapshot, SnapshotLoader};

const MAGIC: [u8; 4] = *b"MSSN";
/// Version 1 is the only one so far.
const FORMAT_VERSION: u16 = 1;
const KIND_BEGIN: u8 = 1;
const KIND_ROWS: u8 = 2;
const KIND_TRAILER: u8 = 3;

/// Bytes of a chunk before its body.
const HEADER_BYTES: usize = 4 + 4 + 8 + 1;
