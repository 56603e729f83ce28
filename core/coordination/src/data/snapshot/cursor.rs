//! A snapshot on its way out of a database.

use super::super::database::Database;
use super::super::fuzzy::Key;
use super::rows::{self, RowCounts};
use super::{FORMAT_VERSION, HEADER_BYTES, KIND_BEGIN, KIND_ROWS, KIND_TRAILER, MAGIC};
use bytes::Bytes;
use mailstorm_shared::checksum::crc32c;
use mailstorm_shared::{Defects, Zxid, planted};

/// How many bytes of rows a chunk is made ready for, if it may have so many.
const ROWS_BYTES_GUESS: usize = 4 << 10;

/// How far a snapshot has come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Begin,
    /// After this row; from the first.
    Rows(Option<Key>),
    Trailer,
    Done,
}

/// A snapshot on its way out of a database.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SnapshotCursor {
    begin: Zxid,
    /// As of when the last piece was read.
    as_of: Zxid,
    sequence: u32,
    stage: Stage,
    counts: RowCounts,
    defects: Defects,
}

impl SnapshotCursor {
    /// A snapshot that contains everything applied so far, and begins here.
    pub fn begin(database: &Database, defects: Defects) -> Self {
        let begin = database.last_applied();
        let counts = RowCounts::default();
        Self { begin, as_of: begin, sequence: 0, stage: Stage::Begin, counts, defects }
    }

    /// The last transaction that is wholly contained: a replay begins after it.
    pub fn zxid(&self) -> Zxid {
        self.begin
    }

    /// The next piece, or `None` when the snapshot is complete. `database` is the one it was begun
    /// with; transactions may have been applied to it in between.
    ///
    /// A chunk is larger than `bytes_max` only if a single row is.
    pub fn next_chunk(&mut self, database: &Database, bytes_max: usize) -> Option<Bytes> {
        assert!(database.last_applied() >= self.as_of, "a database only goes forward");
        let mut chunk = Vec::with_capacity(HEADER_BYTES);
        chunk.extend([0; 4]); // The checksum's place.
        chunk.extend(self.sequence.to_be_bytes());
        chunk.extend(self.begin.0.to_be_bytes());
        self.stage = match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Begin => {
                chunk.push(KIND_BEGIN);
                chunk.extend(MAGIC);
                chunk.extend(FORMAT_VERSION.to_be_bytes());
                Stage::Rows(None)
            }
            Stage::Rows(after) => {
                chunk.push(KIND_ROWS);
                match self.write_rows(database, after.as_ref(), bytes_max, &mut chunk) {
                    Some(last) => Stage::Rows(Some(last)),
                    None => Stage::Trailer,
                }
            }
            Stage::Trailer => {
                chunk.push(KIND_TRAILER);
                let RowCounts { sessions, ephemerals, znodes } = self.counts;
                chunk.extend([sessions, ephemerals, znodes].map(u64::to_be_bytes).concat());
                Stage::Done
            }
            Stage::Done => return None,
        };
        self.sequence += 1;
        let checksum = crc32c(&chunk[4..]);
        chunk[..4].copy_from_slice(&checksum.to_be_bytes());
        Some(chunk.into())
    }

    /// Writes a piece, and gives its last key unless it reaches to the end.
    ///
    /// A database that is itself still fuzzy (a leader that begins with an old snapshot and brings
    /// a learner up to date) passes on what it knows: a piece ends where one of its own pieces
    /// does.
    fn write_rows(
        &mut self,
        database: &Database,
        after: Option<&Key>,
        bytes_max: usize,
        chunk: &mut Vec<u8>,
    ) -> Option<Key> {
        let applied = database.last_applied();
        let (as_of, piece_end) = match database.tree().fuzzy() {
            Some(fuzzy) => fuzzy.piece_after(after, applied),
            None => (applied, None),
        };
        self.as_of = applied;
        chunk.extend(as_of.0.to_be_bytes());

        let mut rows = Vec::with_capacity(bytes_max.min(ROWS_BYTES_GUESS));
        let mut last: Option<Key> = None;
        let mut is_full = false;
        for row in rows::after(database, after) {
            if piece_end.is_some_and(|end| row.key() > *end) {
                break;
            }
            if planted!(self.defects, FuzzySnapshotApart) && row.is_session_of(self.begin) {
                continue;
            }
            let before = rows.len();
            row.write(&mut rows);
            if last.is_some() && HEADER_BYTES + chunk.len() + rows.len() > bytes_max {
                rows.truncate(before);
                is_full = true;
                break;
            }
            self.counts += &row;
            last = Some(row.key());
        }
        let end = if is_full { last } else { piece_end.cloned() };
        rows::write_end(end.as_ref(), chunk);
        chunk.append(&mut rows);
        end
    }
}
