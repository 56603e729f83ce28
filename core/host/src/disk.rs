//! A core's data folder on a [`Disk`]: reading it at the start, and carrying out what it asks for.
//!
//! Owns: doing [`FileOp`]s in order. Leaves: which ones, to the core.
//! Holds: after the first operation that failed none follows. A failed sync may have dropped what
//! it should have made durable, and a second one would succeed without it (the "fsyncgate" of
//! PostgreSQL, 2018): the process has to end and to look at what is really there.

use crate::HostError;
use bytes::Bytes;
use mailstorm_platform::{Disk, Platform};
use mailstorm_shared::Millis;
use mailstorm_shared::machine::{FileOp, Recovery, Start};
use std::io;

/// How often a file is read that the disk does not give, before it counts as damaged. What passes
/// by itself must not cost a server its vote, and what does not must not keep it from starting.
const READ_ATTEMPTS_MAX: u32 = 10;
/// How long to wait between two attempts.
const READ_AGAIN_AFTER: Millis = Millis(500);

/// Reads what a core asks for of its folder, until it knows which repairs it needs; changes
/// nothing. A file that cannot be read counts as damaged.
///
/// # Errors
/// When the core cannot start from this folder, or the folder cannot be listed.
pub(crate) async fn recover<P: Platform>(
    platform: &P,
    disk: &P::Disk,
    core: &mut impl Start,
) -> Result<Vec<FileOp>, HostError> {
    let listed = disk.list().await.map_err(|source| failed("list", "the data folder", source))?;
    let mut recovery = core.listed(listed).map_err(HostError::Core)?;
    loop {
        match recovery {
            Recovery::Read(name) => {
                let content = read(platform, disk, &name).await;
                recovery = core.read(&name, content).map_err(HostError::Core)?;
            }
            Recovery::Repair(ops) => return Ok(ops),
        }
    }
}

/// A file's content; `None`, which is damage, when the disk does not give it even after some time.
async fn read<P: Platform>(platform: &P, disk: &P::Disk, name: &str) -> Option<Bytes> {
    for attempt in 1..=READ_ATTEMPTS_MAX {
        match disk.read(name).await {
            Ok(content) => return Some(content),
            Err(error) => tracing::warn!(
                file = name,
                %error,
                "attempt {attempt} of {READ_ATTEMPTS_MAX} to read a file failed"
            ),
        }
        if attempt < READ_ATTEMPTS_MAX {
            platform.sleep(READ_AGAIN_AFTER).await;
        }
    }
    None
}

/// Does these operations, in order, and leaves the list empty.
///
/// # Errors
/// The first operation that failed; those after it were not done.
pub(crate) async fn carry_out(disk: &impl Disk, ops: &mut Vec<FileOp>) -> Result<(), HostError> {
    for op in ops.drain(..) {
        match op {
            FileOp::Write { name, offset, bytes } => {
                let done = disk.write(&name, offset, bytes).await;
                done.map_err(|source| failed("write", &name, source))?;
            }
            FileOp::Truncate { name, bytes } => {
                let done = disk.truncate(&name, bytes).await;
                done.map_err(|source| failed("change the length of", &name, source))?;
            }
            FileOp::Sync { name } => {
                disk.sync(&name).await.map_err(|source| failed("sync", &name, source))?;
            }
            FileOp::Rename { from, to } => {
                disk.rename(&from, &to).await.map_err(|source| failed("rename", &from, source))?;
            }
            FileOp::Remove { name } => {
                disk.remove(&name).await.map_err(|source| failed("remove", &name, source))?;
            }
            FileOp::SyncFolder => {
                let done = disk.sync_folder().await;
                done.map_err(|source| failed("sync", "the data folder", source))?;
            }
        }
    }
    Ok(())
}

fn failed(operation: &'static str, file: &str, source: io::Error) -> HostError {
    HostError::Disk { operation, file: file.to_owned(), source }
}
