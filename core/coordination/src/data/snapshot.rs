//! Snapshots: a database in chunks, read while transactions are applied, and made whole again.
//!
//! Owns: the order of rows, chunks and their checksums. Leaves: files and links to others; the bytes of
//! a row to [`rows`]; why a replay after a fuzzy snapshot is exact to [`super::fuzzy`].
//! Holds: a snapshot is loaded whole or not at all. A chunk that is missing, repeated, damaged, or from
//! another snapshot is an error. The database that comes out contains everything up to the snapshot's
//! beginning, and the transactions after that are to be applied to it as if nothing else were in it.
//!
//! ```text
//! chunk   = crc32c of the rest (u32), sequence number (u32), begin zxid (u64), kind (u8), body
//! begin   = kind 1: magic (4 bytes), format version (u16)
//! rows    = kind 2: as of (u64), last key or none, rows until the end of the chunk
//! trailer = kind 3: how many sessions, ephemerals, znodes (u64 each)
//! ```
//! All numbers are big-endian. "None" as last key says that the piece reaches to the end of the order,
//! so that a row which came later than the last piece is known to be absent from it.
//! Start at [`SnapshotCursor::next_chunk`].

mod rows;

use super::database::{Database, SessionRecord};
use super::fuzzy::{Fuzzy, Key};
use super::tree::Tree;
use bytes::Bytes;
use mailstorm_shared::checksum::crc32c;
use mailstorm_shared::{SessionId, Zxid};
use rows::{Input, Row};
use std::collections::BTreeMap;
use std::ops::AddAssign;

const MAGIC: [u8; 4] = *b"MSSN";
/// Version 1 is the only one so far.
const FORMAT_VERSION: u16 = 1;
const KIND_BEGIN: u8 = 1;
const KIND_ROWS: u8 = 2;
const KIND_TRAILER: u8 = 3;

/// Bytes of a chunk before its body.
const HEADER_BYTES: usize = 4 + 4 + 8 + 1;

/// Why chunks are no snapshot. It names the chunk, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("snapshot chunk {chunk}: {why}")]
pub struct CorruptSnapshot {
    /// Which.
    pub chunk: u32,
    /// What is wrong with it.
    pub why: &'static str,
}

/// How many rows of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct RowCounts {
    sessions: u64,
    ephemerals: u64,
    znodes: u64,
}

impl AddAssign<&Row<'_>> for RowCounts {
    fn add_assign(&mut self, row: &Row<'_>) {
        match row {
            Row::Session(..) => self.sessions += 1,
            Row::Ephemeral(..) => self.ephemerals += 1,
            Row::Znode(..) => self.znodes += 1,
        }
    }
}

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
}

impl SnapshotCursor {
    /// A snapshot that contains everything applied so far, and begins here.
    pub fn begin(database: &Database) -> Self {
        let begin = database.last_applied();
        let counts = RowCounts::default();
        Self { begin, as_of: begin, sequence: 0, stage: Stage::Begin, counts }
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
        let mut chunk = Vec::new();
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
    /// A database that is itself still fuzzy (a leader that begins with an old snapshot and brings a
    /// learner up to date) passes on what it knows: a piece ends where one of its own pieces does.
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

        let mut rows = Vec::new();
        let mut last: Option<Key> = None;
        let mut is_full = false;
        for row in rows::after(database, after) {
            if piece_end.is_some_and(|end| row.key() > *end) {
                break;
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

/// A snapshot on its way into a database.
#[derive(Clone, Debug)]
pub struct SnapshotLoader {
    /// How many chunks were taken.
    sequence: u32,
    /// Known from the first chunk on.
    begin: Option<Zxid>,
    sessions: BTreeMap<SessionId, SessionRecord>,
    tree: Tree,
    counts: RowCounts,
    /// The last row's key, and the end of the last piece.
    last: Option<Key>,
    pieces: Vec<(Key, Zxid)>,
    /// As of when the last piece was read, once it was the one that reaches to the end.
    rest: Option<Zxid>,
    is_complete: bool,
}

impl Default for SnapshotLoader {
    fn default() -> Self {
        Self::new()
    }
}

impl SnapshotLoader {
    /// Nothing is loaded yet.
    pub fn new() -> Self {
        Self {
            sequence: 0,
            begin: None,
            sessions: BTreeMap::new(),
            tree: Tree::empty(),
            counts: RowCounts::default(),
            last: None,
            pieces: Vec::new(),
            rest: None,
            is_complete: false,
        }
    }

    /// Takes the next chunk.
    ///
    /// # Errors
    /// [`CorruptSnapshot`]; the loader is of no more use then.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), CorruptSnapshot> {
        let taken = self.take(chunk).map_err(|why| CorruptSnapshot { chunk: self.sequence, why });
        self.sequence = self.sequence.saturating_add(1);
        taken
    }

    /// The database, if all of it has come.
    ///
    /// # Errors
    /// [`CorruptSnapshot`] if the trailer has not come, or the rows do not make a tree.
    pub fn finish(self) -> Result<Database, CorruptSnapshot> {
        let corrupt = |why| CorruptSnapshot { chunk: self.sequence, why };
        let (Some(begin), Some(rest), true) = (self.begin, self.rest, self.is_complete) else {
            return Err(corrupt("the trailer is missing"));
        };
        let fuzzy = Fuzzy::new(self.pieces, rest);
        Database::of_rows(begin, self.sessions, self.tree, fuzzy)
            .ok_or_else(|| corrupt("the rows do not make a tree"))
    }

    fn take(&mut self, chunk: &[u8]) -> Result<(), &'static str> {
        let mut input = Input::new(chunk);
        if input.u32()? != crc32c(input.rest()) {
            return Err("the checksum does not match");
        }
        if input.u32()? != self.sequence {
            return Err("a chunk is missing or repeated");
        }
        let begin = Zxid(input.u64()?);
        if *self.begin.get_or_insert(begin) != begin {
            return Err("the chunk is of another snapshot");
        }
        let kind = input.u8()?;
        if (kind == KIND_BEGIN) != (self.sequence == 0) {
            return Err("a snapshot has one beginning");
        }
        match kind {
            KIND_BEGIN => {
                if input.array::<4>()? != MAGIC {
                    return Err("this is no snapshot");
                }
                if input.u16()? != FORMAT_VERSION {
                    return Err("the format is of another version");
                }
            }
            KIND_ROWS if self.rest.is_none() => self.take_rows(&mut input, begin)?,
            KIND_TRAILER if self.rest.is_some() && !self.is_complete => {
                let counts = RowCounts {
                    sessions: input.u64()?,
                    ephemerals: input.u64()?,
                    znodes: input.u64()?,
                };
                if counts != self.counts {
                    return Err("the trailer counts other rows");
                }
                self.is_complete = true;
            }
            _ => return Err("the chunk is of an unknown kind, or out of place"),
        }
        if input.rest().is_empty() { Ok(()) } else { Err("something stands behind the end") }
    }

    fn take_rows(&mut self, input: &mut Input<'_>, begin: Zxid) -> Result<(), &'static str> {
        let as_of = Zxid(input.u64()?);
        let earlier = self.pieces.last().map_or(begin, |(_, moment)| *moment);
        if as_of < earlier {
            return Err("a piece is older than the one before");
        }
        let end = rows::read_end(input)?;
        while !input.rest().is_empty() {
            let key = rows::load(input, &mut self.sessions, &mut self.tree, &mut self.counts)?;
            self.advance(key)?;
        }
        match end {
            Some(end) => {
                if self.last.as_ref() != Some(&end) {
                    self.advance(end.clone())?;
                }
                match self.pieces.last_mut() {
                    Some((last, moment)) if *moment == as_of => *last = end,
                    _ => self.pieces.push((end, as_of)),
                }
            }
            None => {
                self.pieces.pop_if(|(_, moment)| *moment == as_of);
                self.rest = Some(as_of);
            }
        }
        Ok(())
    }

    fn advance(&mut self, key: Key) -> Result<(), &'static str> {
        if self.last.as_ref().is_some_and(|last| *last >= key) {
            return Err("rows are out of order");
        }
        self.last = Some(key);
        Ok(())
    }
}
