//! A snapshot on its way into a database.

use super::super::database::{Database, SessionRecord};
use super::super::fuzzy::{Fuzzy, Key};
use super::super::tree::Tree;
use super::rows::{self, Input, RowCounts};
use super::{FORMAT_VERSION, KIND_BEGIN, KIND_ROWS, KIND_TRAILER, MAGIC};
use mailstorm_shared::checksum::crc32c;
use mailstorm_shared::{SessionId, Zxid};
use std::collections::BTreeMap;

/// Why chunks are no snapshot. It names the chunk, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("snapshot chunk {chunk}: {why}")]
pub struct CorruptSnapshot {
    /// Which.
    pub chunk: u32,
    /// What is wrong with it.
    pub why: &'static str,
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
