//! The log file: a header, then records, each chained to the one before it.
//!
//! ```text
//!   header   0 8 magic · 8 2 version · 10 1 server · 11 1 restart · 12 4 zero · 16 8 sequence
//!           24 8 base · 32 8 reserved · 40 4 zero · 44 4 CRC-32C of the above
//!   record   0 4 kind · 4 4 length · 8 8 zxid · 16 8 previous · 24 8 synced
//!           32 4 CRC-32C of the body · 36 4 CRC-32C of the above, the sequence and the offset
//!           40 n body, padded with zeros to a multiple of eight
//! ```
//! A file's records are written by one incarnation, and never overwritten. Cutting the log on a
//! leader's order is a record as well ([`Kind::Truncate`]), so no crash can leave it half done. How
//! far the log is known to be committed is noted behind a batch of other records
//! ([`Kind::Committed`], since version 2): it costs no sync, and what the last batch did not note
//! was at least not promised. The last record of a file whose successor exists is a [`Kind::Seal`]:
//! a file that vanishes leaves a sealed file without a successor.
//!
//! **Torn or rotten?** A crash may keep, lose or tear every sector that was not synced, so what
//! follows the last valid record of the newest file says little. Each record carries in `synced`
//! the offset up to which the file was synced when it was written: an invalid record at `p`, with a
//! valid one behind it whose `synced` is beyond `p`, was synced once, and is damage. If no record
//! says so it stood in the last batch of writes; then it is taken for torn, except where a single
//! bit is wrong in a byte that is there: a torn write lacks whole bytes. **What cannot be told:**
//! worse rot within the very last batch that was synced, or rot that took all batches behind it as
//! well, looks like a torn write, and is cut.
//!
//! A file is made `reserved` bytes long before its first record is written, and grows no further,
//! so a file that is shorter (and not sealed) has lost bytes; what follows the last record are
//! zeros.

use super::FileName;
use super::bits::{one_wrong_bit, u32_at, u64_at};
use super::origin::{RecoverError, check_origin};
use bytes::{BufMut, Bytes, BytesMut};
use mailstorm_shared::checksum::{crc32c, crc32c_append};
use mailstorm_shared::zeros::{is_zeros, leading_zeros};
use mailstorm_shared::{ServerId, Zxid};
use mailstorm_wire::txn::Entry;

const MAGIC: &[u8; 8] = b"MSTRMLOG";
const VERSION: u16 = 2;

/// The length of a file's header.
pub const HEADER_BYTES: u64 = 48;
/// The length of a record without its body.
pub const RECORD_BYTES: u64 = 40;
/// Records begin at multiples of this, so that recovery need not look for them everywhere.
pub(super) const ALIGNMENT: usize = 8;

/// What a log file says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its running number: files follow each other without a gap.
    pub sequence: u64,
    /// The last transaction before the file's first record.
    pub base: Zxid,
    /// How long the file is made before records are written.
    pub reserved: u64,
    /// Whatever older files hold behind `base` is void: it was damaged, or a leader's snapshot
    /// replaced it.
    pub restart: bool,
}

impl Header {
    /// Its bytes.
    pub fn encode(self, server: ServerId) -> Bytes {
        let mut header = BytesMut::with_capacity(HEADER_BYTES as usize);
        header.put_slice(MAGIC);
        header.put_u16_le(VERSION);
        header.put_u8(server.number());
        header.put_u8(u8::from(self.restart));
        header.put_bytes(0, 4);
        header.put_u64_le(self.sequence);
        header.put_u64_le(self.base.0);
        header.put_u64_le(self.reserved);
        header.put_bytes(0, 4);
        header.put_u32_le(crc32c(&header));
        header.freeze()
    }

    /// The header of the file with this running number; `None` when it cannot be believed.
    ///
    /// # Errors
    /// When the file was written by a newer version, or by another server.
    pub fn decode(file: &[u8], sequence: u64, me: ServerId) -> Result<Option<Self>, RecoverError> {
        let whole = file.get(..HEADER_BYTES as usize).filter(|header| {
            &header[0..8] == MAGIC
                && crc32c(&header[..44]) == u32_at(header, 44)
                && u64_at(header, 16) == sequence
        });
        let Some(header) = whole else { return Ok(None) };
        let name = FileName::Log(sequence);
        check_origin(name, [header[8], header[9]], VERSION, header[10], me)?;
        Ok(Some(Self {
            sequence,
            base: Zxid(u64_at(header, 24)),
            reserved: u64_at(header, 32),
            restart: header[11] == 1,
        }))
    }
}

/// Whether a file was made by a program of this version: an older one may not know all kinds of
/// records, so none are added to its files.
pub(super) fn is_of_this_version(file: &[u8]) -> bool {
    file.get(8..10) == Some(&VERSION.to_le_bytes()[..])
}

/// What a record does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Its zxid and body are an entry.
    Append,
    /// Everything after its zxid is void.
    Truncate,
    /// Everything up to its zxid is committed.
    Committed,
    /// The file ends here; the next one exists.
    Seal,
}

impl Kind {
    fn code(self) -> u32 {
        match self {
            Self::Append => u32::from_le_bytes(*b"MSr+"),
            Self::Truncate => u32::from_le_bytes(*b"MSr-"),
            Self::Committed => u32::from_le_bytes(*b"MSr="),
            Self::Seal => u32::from_le_bytes(*b"MSr."),
        }
    }

    fn from_code(code: u32) -> Option<Self> {
        let all = [Self::Append, Self::Truncate, Self::Committed, Self::Seal];
        all.into_iter().find(|kind| kind.code() == code)
    }
}

/// One record, as it stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it does.
    pub kind: Kind,
    /// An entry's place; the last entry kept; the last one committed; for a seal the last entry of
    /// all.
    pub zxid: Zxid,
    /// The last entry of the log before this record.
    pub previous: Zxid,
    /// The offset up to which the file was synced when this was written.
    pub synced: u64,
    /// An entry's transaction; empty otherwise.
    pub body: Bytes,
}

impl Record {
    /// The last entry of the log behind this record.
    pub fn last(&self) -> Zxid {
        if self.kind == Kind::Committed { self.previous } else { self.zxid }
    }
}

/// How many bytes a record with such a body takes.
pub fn record_bytes(body: usize) -> u64 {
    RECORD_BYTES + body.next_multiple_of(ALIGNMENT) as u64
}

/// Where a record stands: two of the things its checksum covers without being part of it, so that a
/// record in the wrong place (a misdirected write) is none.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The file's running number.
    pub sequence: u64,
    /// The record's offset.
    pub offset: u64,
    /// The offset up to which the file is synced.
    pub synced: u64,
}

/// Adds an entry's record to the bytes to be written.
pub fn put_entry(buffer: &mut BytesMut, place: Place, previous: Zxid, entry: &Entry) {
    assert!(entry.zxid > previous, "the log only grows: {} after {previous}", entry.zxid);
    put(buffer, place, Kind::Append, entry.zxid, previous, &entry.bytes);
}

/// Adds the record that voids everything after `after`.
pub fn put_truncate(buffer: &mut BytesMut, place: Place, previous: Zxid, after: Zxid) {
    assert!(after <= previous, "a cut shortens the log: after {after}, which ends at {previous}");
    put(buffer, place, Kind::Truncate, after, previous, &[]);
}

/// Adds the record that says how far the log, which ends at `last`, is committed.
pub fn put_committed(buffer: &mut BytesMut, place: Place, last: Zxid, committed: Zxid) {
    assert!(committed <= last, "only what is logged is committed: {committed} of {last}");
    put(buffer, place, Kind::Committed, committed, last, &[]);
}

/// Adds the record that ends the file.
pub fn put_seal(buffer: &mut BytesMut, place: Place, last: Zxid) {
    put(buffer, place, Kind::Seal, last, last, &[]);
}

fn put(buffer: &mut BytesMut, place: Place, kind: Kind, zxid: Zxid, previous: Zxid, body: &[u8]) {
    let length = u32::try_from(body.len()).expect("a transaction is bounded by the frame limit");
    let mut head = [0; RECORD_BYTES as usize];
    head[0..4].copy_from_slice(&kind.code().to_le_bytes());
    head[4..8].copy_from_slice(&length.to_le_bytes());
    head[8..16].copy_from_slice(&zxid.0.to_le_bytes());
    head[16..24].copy_from_slice(&previous.0.to_le_bytes());
    head[24..32].copy_from_slice(&place.synced.to_le_bytes());
    head[32..36].copy_from_slice(&crc32c(body).to_le_bytes());
    let checksum = head_checksum(&head, place.sequence, place.offset);
    head[36..40].copy_from_slice(&checksum.to_le_bytes());
    buffer.put_slice(&head);
    buffer.put_slice(body);
    buffer.put_bytes(0, body.len().next_multiple_of(ALIGNMENT) - body.len());
}

fn head_checksum(head: &[u8], sequence: u64, offset: u64) -> u32 {
    let checksum = crc32c(&place_prefix(sequence, offset));
    crc32c_append(checksum, &head[..36])
}

fn place_prefix(sequence: u64, offset: u64) -> [u8; 16] {
    let mut prefix = [0; 16];
    prefix[..8].copy_from_slice(&sequence.to_le_bytes());
    prefix[8..].copy_from_slice(&offset.to_le_bytes());
    prefix
}

/// Records that follow each other without damage between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The records; never a seal.
    pub records: Vec<Record>,
    /// Where the last one ends.
    pub end_offset: u64,
}

/// How a file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Sealed: the next file exists, or is lost.
    Sealed,
    /// After the last valid record nothing but what was never written.
    Clean,
    /// Something invalid follows that may have been torn by a crash.
    Torn,
    /// Something invalid follows that no crash leaves.
    Damaged,
}

/// What was found in a file behind its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// At least one; between two of them there is damage.
    pub stretches: Vec<Stretch>,
    /// How the file ends.
    pub end: End,
}

impl Contents {
    /// Whether no record stands in it.
    pub fn is_empty(&self) -> bool {
        self.end != End::Sealed && self.stretches.iter().all(|stretch| stretch.records.is_empty())
    }

    /// Where the log ends after the last record; `None` without one.
    pub fn last_logged(&self) -> Option<Zxid> {
        let last = self.stretches.iter().rev().find_map(|stretch| stretch.records.last());
        last.map(Record::last)
    }

    /// Where the last record ends: there the file can be sealed.
    pub fn end_offset(&self) -> u64 {
        self.stretches.last().expect("there is always one").end_offset
    }
}

/// Reads all that can be believed of a file.
pub fn read(file: &Bytes, header: Header) -> Contents {
    let mut stretches = vec![Stretch { records: Vec::new(), end_offset: HEADER_BYTES }];
    let mut last = header.base;
    let mut at = HEADER_BYTES;
    let end = loop {
        let stretch = stretches.last_mut().expect("there is always one");
        stretch.end_offset = at;
        let resumes_at = match record_at(file, header.sequence, at) {
            Ok((record, after)) if record.previous == last => {
                if record.kind == Kind::Seal {
                    break End::Sealed;
                }
                last = record.last();
                at = after;
                stretch.records.push(record);
                continue;
            }
            // In its right place, but what it continued is gone.
            Ok(_) => at,
            Err(invalid) => match look_behind(file, header.sequence, at) {
                Behind::SyncedOver(next) => next,
                _ if invalid == Invalid::OneBit => break End::Damaged,
                Behind::Nothing if invalid == Invalid::Zeros => break End::Clean,
                _ => break End::Torn,
            },
        };
        match first_whole(file, header.sequence, resumes_at) {
            Some((next, record)) => {
                at = next;
                last = record.previous;
                stretches.push(Stretch { records: Vec::new(), end_offset: next });
            }
            None => break End::Damaged,
        }
    };
    Contents { stretches, end }
}

/// Whether not a single record can be found in a file, whatever its header says.
pub fn is_blank(file: &Bytes, sequence: u64) -> bool {
    first_whole(file, sequence, 0).is_none()
}

/// Why there is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Invalid {
    /// Nothing was ever written here.
    Zeros,
    /// A record, but for one flipped bit in a byte that is there.
    OneBit,
    /// Anything else.
    Other,
}

/// The head at an offset, if its checksum is right.
fn head_at(file: &[u8], sequence: u64, at: u64) -> Option<&[u8]> {
    let start = usize::try_from(at).ok()?;
    let head = file.get(start..start.checked_add(RECORD_BYTES as usize)?)?;
    // The kind is looked at first: it is cheap, and recovery asks at every multiple of eight.
    Kind::from_code(u32_at(head, 0))?;
    (head_checksum(head, sequence, at) == u32_at(head, 36)).then_some(head)
}

/// The record at an offset, and where the next one would stand.
fn record_at(file: &Bytes, sequence: u64, at: u64) -> Result<(Record, u64), Invalid> {
    let start = usize::try_from(at).map_err(|_| Invalid::Other)?;
    let Some(head) = head_at(file, sequence, at) else {
        let bytes = file.get(start..).unwrap_or_default();
        let bytes = &bytes[..bytes.len().min(RECORD_BYTES as usize)];
        return Err(if is_zeros(bytes) {
            Invalid::Zeros
        } else if bytes.len() == RECORD_BYTES as usize && head_is_rotten(bytes, sequence, at) {
            Invalid::OneBit
        } else {
            Invalid::Other
        });
    };
    let length = u32_at(head, 4) as usize;
    let body_start = start + RECORD_BYTES as usize;
    let body = body_start..body_start.saturating_add(length);
    let Some(bytes) = file.get(body.clone()) else { return Err(Invalid::Other) };
    if crc32c(bytes) != u32_at(head, 32) {
        let wrong = one_wrong_bit(bytes, u32_at(head, 32));
        let rotten = wrong.is_some_and(|bit| bytes.get(bit / 8).is_some_and(|byte| *byte != 0));
        return Err(if rotten { Invalid::OneBit } else { Invalid::Other });
    }
    let kind = Kind::from_code(u32_at(head, 0)).expect("head_at has looked");
    let record = Record {
        kind,
        zxid: Zxid(u64_at(head, 8)),
        previous: Zxid(u64_at(head, 16)),
        synced: u64_at(head, 24),
        body: file.slice(body),
    };
    let lawful = match kind {
        Kind::Append => record.zxid > record.previous,
        Kind::Truncate | Kind::Committed => record.zxid <= record.previous,
        Kind::Seal => record.zxid == record.previous,
    };
    if lawful { Ok((record, at + record_bytes(length))) } else { Err(Invalid::Other) }
}

/// Whether a head is there in full, but for one bit.
fn head_is_rotten(head: &[u8], sequence: u64, at: u64) -> bool {
    let mut covered = [0; 56];
    covered[..16].copy_from_slice(&place_prefix(sequence, at));
    covered[16..].copy_from_slice(head);
    let wrong = one_wrong_bit(&covered[..52], u32_at(head, 36));
    wrong.is_some_and(|bit| bit / 8 >= 16 && covered[bit / 8] != 0)
}

/// What stands behind an invalid record.
enum Behind {
    /// Nothing that could be a record.
    Nothing,
    /// Records of the same batch of writes, which the crash left.
    SameBatch,
    /// A record that was written after the invalid one had been synced; the first valid head
    /// behind.
    SyncedOver(u64),
}

/// Looks through the rest of the file for evidence that the place `invalid` was synced once.
fn look_behind(file: &[u8], sequence: u64, invalid: u64) -> Behind {
    let mut first = None;
    let mut at = invalid + ALIGNMENT as u64;
    let end = file.len() as u64;
    while at + RECORD_BYTES <= end {
        let Some(head) = head_at(file, sequence, at) else {
            at = next_candidate(file, at);
            continue;
        };
        let first_found = *first.get_or_insert(at);
        if u64_at(head, 24) > invalid {
            return Behind::SyncedOver(first_found);
        }
        at += ALIGNMENT as u64;
    }
    if first.is_some() { Behind::SameBatch } else { Behind::Nothing }
}

/// The first record at or after an offset that is valid with its body.
fn first_whole(file: &Bytes, sequence: u64, from: u64) -> Option<(u64, Record)> {
    let mut at = from;
    while at + RECORD_BYTES <= file.len() as u64 {
        if head_at(file, sequence, at).is_some()
            && let Ok((record, _)) = record_at(file, sequence, at)
        {
            return Some((at, record));
        }
        at = next_candidate(file, at);
    }
    None
}

/// The next offset at which a head may stand: none begins with zeros, and most of a file is zeros.
fn next_candidate(file: &[u8], at: u64) -> u64 {
    let next = at + ALIGNMENT as u64;
    let rest = usize::try_from(next).ok().and_then(|start| file.get(start..)).unwrap_or_default();
    next + (leading_zeros(rest) / ALIGNMENT * ALIGNMENT) as u64
}
