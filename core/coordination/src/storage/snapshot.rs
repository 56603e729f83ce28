//! The snapshot file: a tree, in the chunks in which the database gave it.
//!
//! ```text
//!   header   0 8 magic · 8 2 version · 10 1 server · 11 5 zero · 16 8 zxid · 24 4 CRC-32C of the above
//!   chunk    0 4 length · 4 4 CRC-32C of index, length and bytes · 8 bytes
//!   trailer  0 4 all ones · 4 4 CRC-32C of the rest and the zxid · 8 8 chunks · 16 1 replaces the log
//! ```
//! It is written to `snapshot.new` and renamed when it is complete and synced: one that is invalid
//! under its final name is damaged, never half-written.

use super::FileName;
use super::bits::{u32_at, u64_at};
use super::origin::{RecoverError, check_origin};
use bytes::{BufMut, Bytes, BytesMut};
use mailstorm_shared::checksum::{crc32c, crc32c_append};
use mailstorm_shared::{ServerId, Zxid};

const MAGIC: &[u8; 8] = b"MSTRSNAP";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 28;
const TRAILER_BYTES: usize = 17;
const TRAILER: u32 = u32::MAX;

/// The file's beginning.
pub fn header(server: ServerId, zxid: Zxid) -> Bytes {
    let mut header = BytesMut::with_capacity(HEADER_BYTES);
    header.put_slice(MAGIC);
    header.put_u16_le(VERSION);
    header.put_u8(server.number());
    header.put_bytes(0, 5);
    header.put_u64_le(zxid.0);
    header.put_u32_le(crc32c(&header));
    header.freeze()
}

/// The chunk that comes at `index`, from 0.
pub fn chunk(index: u64, bytes: &[u8]) -> Bytes {
    let length = chunk_length(bytes);
    let mut chunk = BytesMut::with_capacity(8 + bytes.len());
    chunk.put_u32_le(length);
    chunk.put_u32_le(chunk_checksum(index, length, bytes));
    chunk.put_slice(bytes);
    chunk.freeze()
}

/// The file's end. `replaces_log`: it came from a leader, and the log that was there before is
/// void.
pub fn trailer(zxid: Zxid, chunks: u64, replaces_log: bool) -> Bytes {
    let mut trailer = BytesMut::with_capacity(TRAILER_BYTES);
    trailer.put_u32_le(TRAILER);
    trailer.put_u32_le(trailer_checksum(zxid, chunks, replaces_log));
    trailer.put_u64_le(chunks);
    trailer.put_u8(u8::from(replaces_log));
    trailer.freeze()
}

/// What a whole, undamaged file contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The last transaction surely contained.
    pub zxid: Zxid,
    /// The chunks, as they were given.
    pub chunks: Vec<Bytes>,
    /// Whether it came from a leader.
    pub replaces_log: bool,
}

/// Reads a file that should be the snapshot at `zxid`; `Ok(Err(offset))` says where it is damaged.
///
/// # Errors
/// When it was written by a newer version, or by another server.
pub fn decode(
    file: &Bytes,
    zxid: Zxid,
    me: ServerId,
) -> Result<Result<Content, u64>, RecoverError> {
    let whole = file.get(..HEADER_BYTES).filter(|header| {
        &header[0..8] == MAGIC
            && crc32c(&header[..24]) == u32_at(header, 24)
            && u64_at(header, 16) == zxid.0
    });
    let Some(header) = whole else { return Ok(Err(0)) };
    let name = FileName::Snapshot(zxid);
    check_origin(name, [header[8], header[9]], VERSION, header[10], me)?;
    Ok(decode_body(file, zxid))
}

fn decode_body(file: &Bytes, zxid: Zxid) -> Result<Content, u64> {
    let mut chunks = Vec::new();
    let mut at = HEADER_BYTES;
    loop {
        let damaged = Err(at as u64);
        let Some(prefix) = file.get(at..at + 8) else { return damaged };
        let (length, checksum) = (u32_at(prefix, 0), u32_at(prefix, 4));
        if length == TRAILER {
            let Some(rest) = file.get(at + 8..at + TRAILER_BYTES) else { return damaged };
            let (count, replaces_log) = (u64_at(rest, 0), rest[8] == 1);
            let right = checksum == trailer_checksum(zxid, count, replaces_log)
                && count == chunks.len() as u64
                && rest[8] <= 1
                && file.len() == at + TRAILER_BYTES;
            return if right { Ok(Content { zxid, chunks, replaces_log }) } else { damaged };
        }
        let end = (at + 8).saturating_add(length as usize);
        let Some(bytes) = file.get(at + 8..end) else { return damaged };
        if checksum != chunk_checksum(chunks.len() as u64, length, bytes) {
            return damaged;
        }
        chunks.push(file.slice(at + 8..end));
        at = end;
    }
}

fn chunk_length(bytes: &[u8]) -> u32 {
    let length = u32::try_from(bytes.len()).unwrap_or(TRAILER);
    assert!(length < TRAILER, "the database cuts a snapshot into chunks far below 4 GiB");
    length
}

/// Chunks that change places would each still be whole, so the index is part of the checksum.
fn chunk_checksum(index: u64, length: u32, bytes: &[u8]) -> u32 {
    let mut prefix = [0; 12];
    prefix[..8].copy_from_slice(&index.to_le_bytes());
    prefix[8..].copy_from_slice(&length.to_le_bytes());
    crc32c_append(crc32c(&prefix), bytes)
}

fn trailer_checksum(zxid: Zxid, chunks: u64, replaces_log: bool) -> u32 {
    let mut fields = [0; 17];
    fields[..8].copy_from_slice(&zxid.0.to_le_bytes());
    fields[8..16].copy_from_slice(&chunks.to_le_bytes());
    fields[16] = u8::from(replaces_log);
    crc32c(&fields)
}
