//! What a fuzzy snapshot shows, and as of when.
//!
//! A snapshot is written while transactions are applied, so its rows are of different moments. All
//! rows stand in one order, [`Key`]'s; the snapshot walks through it once, and for every piece it
//! notes as of which transaction the piece was read. So for each row, present or not, it is known
//! up to where history is contained in it, and a replay is exact: what came before is skipped, what
//! came later happens to the row as it happened the first time.
//!
//! Holds: a row later in the order is never of an earlier moment. The order is chosen so that this
//! answers every question that an effect on several rows raises:
//! 1. A session stands before its ephemerals, and all ephemerals before all znodes. The list of a
//!    session's ephemerals is kept as rows of its own, because the end of a session carries no
//!    list: at its replay some of its znodes may be missing already, and still their parents must
//!    be told.
//! 2. A parent stands before its children. When an effect on a child is not contained yet, then
//!    neither is its effect on the parent: the parent is there to take it.

use mailstorm_shared::{SessionId, Zxid};
use std::sync::Arc;

/// A row's place in the order of the snapshot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Key {
    /// A session.
    Session(SessionId),
    /// That a session owns an ephemeral znode at this path.
    Ephemeral(SessionId, Arc<str>),
    /// A znode.
    Znode(Arc<str>),
}

/// As of which transaction each row is known, as long as that differs between rows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Fuzzy {
    /// Pieces in order: the last key of each, and as of when it is known.
    pieces: Vec<(Key, Zxid)>,
    /// As of when everything after the last piece is known.
    rest: Zxid,
}

impl Fuzzy {
    pub(crate) fn new(pieces: Vec<(Key, Zxid)>, rest: Zxid) -> Self {
        let moments = pieces.iter().map(|(_, moment)| *moment).chain([rest]);
        assert!(moments.is_sorted(), "a snapshot is read forward in time");
        assert!(pieces.is_sorted_by(|left, right| left.0 < right.0), "pieces are in order");
        Self { pieces, rest }
    }

    /// Up to where history is contained in this row, be it present or absent.
    pub(crate) fn as_of(&self, key: &Key) -> Zxid {
        let piece = self.pieces.partition_point(|(last, _)| last < key);
        self.pieces.get(piece).map_or(self.rest, |(_, moment)| *moment)
    }

    /// The latest moment of all: from here on every row is exact.
    pub(crate) fn exact_from(&self) -> Zxid {
        self.rest
    }

    /// The piece that begins after `key` (`None`: at the beginning) in a tree to which everything
    /// up to `applied` has been applied: as of when it is known, and its last key unless it is the
    /// last piece. Neighbours of the same moment are one piece.
    pub(crate) fn piece_after(&self, key: Option<&Key>, applied: Zxid) -> (Zxid, Option<&Key>) {
        let first = key.map_or(0, |key| self.pieces.partition_point(|(last, _)| last <= key));
        let moment_of = |index: usize| {
            self.pieces.get(index).map_or(self.rest, |(_, moment)| *moment).max(applied)
        };
        let moment = moment_of(first);
        let end = (first..self.pieces.len()).find(|index| moment_of(index + 1) != moment);
        (moment, end.map(|index| &self.pieces[index].0))
    }
}
