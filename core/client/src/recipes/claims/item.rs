//! What lies in an item's znode: a header of fixed size, then the application's note.
//!
//! ```text
//!   u8 layout 1 | u8 status | i64 holder's session | u64 attempt | u32 takes | note ...
//! ```

use crate::recipes::queue::number_of;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use mailstorm_shared::{SessionId, WallTime, Zxid};
use mailstorm_wire::client::Stat;
use std::sync::Arc;

const LAYOUT: u8 = 1;
const HEADER_BYTES: usize = 1 + 1 + 8 + 8 + 4;

/// What became of an item so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Noted, or given back: nobody works on it.
    Open,
    /// Taken. Whether its holder is still alive, only its ephemeral says.
    Taken,
    /// Finished.
    Done,
}

impl Status {
    const ALL: [Self; 3] = [Self::Open, Self::Taken, Self::Done];
}

/// What the recipe itself notes in an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) status: Status,
    pub(super) holder: SessionId,
    /// With the session unique for ever: by it a holder recognises its own attempt.
    pub(super) attempt: u64,
    pub(super) takes: u32,
}

impl Header {
    /// Of an item that nobody has taken yet.
    pub(super) const NEW: Self =
        Self { status: Status::Open, holder: SessionId::NONE, attempt: 0, takes: 0 };

    /// The znode's data: this header before a note.
    pub(super) fn before(&self, note: &Bytes) -> Bytes {
        let mut data = BytesMut::with_capacity(HEADER_BYTES + note.len());
        data.put_u8(LAYOUT);
        data.put_u8(self.status as u8);
        data.put_i64(self.holder.0);
        data.put_u64(self.attempt);
        data.put_u32(self.takes);
        data.extend_from_slice(note);
        data.freeze()
    }

    /// The header and the note, if this recipe wrote them.
    pub(super) fn read(mut data: Bytes) -> Option<(Self, Bytes)> {
        if data.len() < HEADER_BYTES || data.get_u8() != LAYOUT {
            return None;
        }
        let status = data.get_u8();
        let status = Status::ALL.into_iter().find(|known| *known as u8 == status)?;
        let header = Self {
            status,
            holder: SessionId(data.get_i64()),
            attempt: data.get_u64(),
            takes: data.get_u32(),
        };
        Some((header, data))
    }

    /// Whether both were written in the same attempt.
    pub(super) fn same_taking(&self, other: &Self) -> bool {
        (self.holder, self.attempt) == (other.holder, other.attempt)
    }
}

/// An item, as it was when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its number: items are noted in this order.
    pub number: u64,
    /// What became of it.
    pub status: Status,
    /// Who took it last.
    pub holder: SessionId,
    /// Whether the holder's session is alive.
    pub is_held: bool,
    /// How many times it was taken.
    pub takes: u32,
    /// The application's note.
    pub note: Bytes,
    /// When it was noted, on the leader's wall clock. Of a finished item: when it was finished.
    pub created_at: WallTime,
    /// When it was last changed, on the same clock.
    pub changed_at: WallTime,
    /// The last transaction that changed it.
    pub changed_by: Zxid,
    pub(super) name: Arc<str>,
    pub(super) version: i32,
    pub(super) header: Header,
}

impl Item {
    pub(super) fn read(number: u64, name: Arc<str>, data: Bytes, stat: &Stat) -> Option<Self> {
        let (header, note) = Header::read(data)?;
        Some(Self {
            number,
            status: header.status,
            holder: header.holder,
            is_held: stat.num_children > 0,
            takes: header.takes,
            note,
            created_at: WallTime(stat.ctime),
            changed_at: WallTime(stat.mtime),
            changed_by: stat.mzxid,
            name,
            version: stat.version,
            header,
        })
    }
}

/// Names with their numbers, in order; a name without a number is not ours.
pub(super) fn numbered(names: Vec<Arc<str>>) -> Vec<(u64, Arc<str>)> {
    let mut numbered: Vec<_> =
        names.into_iter().filter_map(|name| Some((number_of(&name)?, name))).collect();
    numbered.sort_unstable();
    numbered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_note_come_back_as_they_went() {
        let header =
            Header { status: Status::Taken, holder: SessionId(-7), attempt: u64::MAX, takes: 3 };
        let note = Bytes::from_static(b"mails 1 to 100");
        assert_eq!(Header::read(header.before(&note)), Some((header, note)));
        let empty = Header::NEW.before(&Bytes::new());
        assert_eq!(Header::read(empty), Some((Header::NEW, Bytes::new())));
    }

    #[test]
    fn foreign_data_is_no_item() {
        for data in [&b""[..], b"hello", &[0; 40], &[1, 9, 0, 0], &[LAYOUT; HEADER_BYTES - 1]] {
            assert_eq!(Header::read(Bytes::copy_from_slice(data)), None, "{data:?}");
        }
        let mut unknown_status = Header::NEW.before(&Bytes::new()).to_vec();
        unknown_status[1] = 200;
        assert_eq!(Header::read(unknown_status.into()), None);
    }

    #[test]
    fn items_are_ordered_by_number_not_by_name() {
        let names = ["claim-10000000000", "claim-9999999999", "progress"].map(Arc::from).to_vec();
        let numbers: Vec<u64> = numbered(names).iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [9_999_999_999, 10_000_000_000]);
    }
}
