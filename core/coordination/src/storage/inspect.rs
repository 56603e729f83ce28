//! What a folder says on its own, for onlookers: how far its log reaches, and what was promised.
//!
//! Owns: reading the two files that say it, the state file and the end of the log. Leaves:
//! everything that a start needs to [`super::recovery`]; a snapshot is not looked at, since the log
//! is kept as far back.
//! Holds: it claims nothing of a folder that is damaged where it looks.

use super::log::{self, End, Header};
use super::{FileName, state};
use bytes::Bytes;
use mailstorm_shared::{Epoch, ServerId, Zxid};

/// What stands on a server's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnDisk {
    /// The last transaction of its log.
    pub last_logged: Zxid,
    /// The promise to take part in no earlier epoch.
    pub accepted_epoch: Epoch,
    /// The last epoch whose history it took part in.
    pub current_epoch: Epoch,
}

/// What the folder of this server says, given its files' names and a way to read one. `None` where
/// it is empty, or cannot be believed.
pub fn inspect(
    me: ServerId,
    names: impl IntoIterator<Item = FileName>,
    read: impl Fn(FileName) -> Option<Bytes>,
) -> Option<OnDisk> {
    let (promises, _) = state::decode(&read(FileName::State)?, me).ok()??;
    let log = |name| match name {
        FileName::Log(sequence) => Some(sequence),
        _ => None,
    };
    let newest = names.into_iter().filter_map(log).max()?;
    let (header, contents) = contents(me, newest, &read)?;
    let last = contents.last_logged();
    let last_logged = match (last, newest.checked_sub(1)) {
        (Some(last), _) => last,
        // A file that voids older ones begins a log by itself, as the very first one does.
        (None, _) if header.restart => header.base,
        (None, None) => header.base,
        // Without a record of its own a file reaches as far as the one before it really does.
        (None, Some(before)) => {
            let (before, contents) = self::contents(me, before, &read)?;
            contents.last_logged().unwrap_or(before.base)
        }
    };
    let (accepted_epoch, current_epoch) = (promises.accepted_epoch, promises.current_epoch);
    Some(OnDisk { last_logged, accepted_epoch, current_epoch })
}

/// A log file that is not damaged.
fn contents(
    me: ServerId,
    sequence: u64,
    read: impl Fn(FileName) -> Option<Bytes>,
) -> Option<(Header, log::Contents)> {
    let file = read(FileName::Log(sequence))?;
    let header = Header::decode(&file, sequence, me).ok()??;
    let contents = log::read(&file, header);
    let is_damaged = contents.end == End::Damaged || contents.stretches.len() > 1;
    (!is_damaged).then_some((header, contents))
}
