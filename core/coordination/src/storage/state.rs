//! The state file: the promises that outlive a crash.
//!
//! ```text
//!   0     copy ──┐      copy:  0  8  magic          16  8  ensemble
//!   512   copy ──┘             8  2  version        24  4  accepted epoch
//!                             10  1  server         28  4  current epoch
//!                             11  1  votes          32  4  CRC-32C of the above
//!                             12  4  zero
//! ```
//! The file is replaced as a whole by a rename, so a crash never tears it. Rot may: hence two
//! copies, one sector apart.

use super::bits::{u32_at, u64_at};
use super::origin::{RecoverError, check_origin};
use super::{FileName, Identity};
use crate::io::DurableState;
use bytes::Bytes;
use mailstorm_shared::checksum::crc32c;
use mailstorm_shared::{Epoch, ServerId};

const MAGIC: &[u8; 8] = b"MSTSTATE";
const VERSION: u16 = 1;
const COPY_BYTES: usize = 36;
const COPY_OFFSETS: [usize; 2] = [0, 512];

/// The whole file.
pub fn encode(identity: Identity, state: DurableState) -> Bytes {
    let mut copy = [0; COPY_BYTES];
    copy[0..8].copy_from_slice(MAGIC);
    copy[8..10].copy_from_slice(&VERSION.to_le_bytes());
    copy[10] = identity.server.number();
    copy[11] = u8::from(state.votes);
    copy[16..24].copy_from_slice(&identity.ensemble.to_le_bytes());
    copy[24..28].copy_from_slice(&state.accepted_epoch.0.to_le_bytes());
    copy[28..32].copy_from_slice(&state.current_epoch.0.to_le_bytes());
    let checksum = crc32c(&copy[..32]);
    copy[32..].copy_from_slice(&checksum.to_le_bytes());
    let mut file = vec![0; COPY_OFFSETS[1] + COPY_BYTES];
    for offset in COPY_OFFSETS {
        file[offset..offset + COPY_BYTES].copy_from_slice(&copy);
    }
    file.into()
}

/// What the file says, and the ensemble it was written in; `None` when neither copy can be
/// believed.
///
/// # Errors
/// When it was written by a newer version, or by another server.
pub fn decode(file: &[u8], me: ServerId) -> Result<Option<(DurableState, u64)>, RecoverError> {
    let mut found = None;
    for offset in COPY_OFFSETS {
        let Some(copy) = file.get(offset..offset + COPY_BYTES) else { continue };
        if &copy[0..8] != MAGIC || crc32c(&copy[..32]) != u32_at(copy, 32) {
            continue;
        }
        check_origin(FileName::State, [copy[8], copy[9]], VERSION, copy[10], me)?;
        let state = DurableState {
            accepted_epoch: Epoch(u32_at(copy, 24)),
            current_epoch: Epoch(u32_at(copy, 28)),
            votes: copy[11] == 1,
        };
        let content = (state, u64_at(copy, 16));
        // Both copies are written at once: two that differ are both suspect.
        if found.is_some_and(|first| first != content) {
            return Ok(None);
        }
        found = Some(content);
    }
    Ok(found)
}
