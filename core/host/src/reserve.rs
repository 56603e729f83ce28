//! Room on the disk that is kept for the next start.
//!
//! A server on a full disk ends, since it can promise nothing any more. To start again it must
//! write: a log file, its promises of an election, the sessions of those who want to read. So it
//! sets a little room aside while there is some, and has it at the next start, to serve reads until
//! the disk is full again. What is left is set aside anew by halves, so that the start after that
//! has room, too.

use crate::HostError;
use bytes::Bytes;
use mailstorm_platform::Disk;
use std::io;

/// The file that holds the room.
const NAME: &str = "reserve";

/// In how many pieces it is written.
const PIECES: u64 = 16;

/// Gives the room back that an earlier start set aside.
///
/// # Errors
/// When the disk fails.
pub(crate) async fn release(disk: &impl Disk) -> Result<(), HostError> {
    disk.remove(NAME).await.map_err(|source| failed("remove", source))
}

/// Sets so much room aside; where there is less, half of it. The disk's own error is none of ours:
/// a server without a reserve is as good as any while it runs.
pub(crate) async fn set_aside(disk: &impl Disk, bytes: u64) -> Result<(), HostError> {
    if bytes == 0 {
        return Ok(());
    }
    let mut written = 0;
    while written < bytes {
        let length = bytes.div_ceil(PIECES).min(bytes - written);
        // A length alone would be a hole, and no room.
        let piece = Bytes::from(vec![0xff; length as usize]);
        match disk.write(NAME, written, piece).await {
            Ok(()) => written += length,
            Err(error) if is_full(&error) => {
                tracing::warn!(
                    "the disk is nearly full: make room, or the next write may end the server"
                );
                return match disk.truncate(NAME, written / 2).await {
                    Err(source) if !is_full(&source) => Err(failed("change the length of", source)),
                    _ => Ok(()),
                };
            }
            Err(source) => return Err(failed("write", source)),
        }
    }
    match disk.sync(NAME).await {
        Err(source) if !is_full(&source) => Err(failed("sync", source)),
        _ => Ok(()),
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn failed(operation: &'static str, source: io::Error) -> HostError {
    HostError::Disk { operation, file: NAME.to_owned(), source }
}
