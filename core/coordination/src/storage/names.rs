//! The names of the files in a data folder.

use mailstorm_shared::Zxid;
use std::fmt;

/// A file that belongs to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileName {
    /// The durable promises.
    State,
    /// Promises not yet renamed over the old: a leftover of a crash.
    StateNew,
    /// A log file, by its running number.
    Log(u64),
    /// A complete snapshot, by the last transaction it surely contains.
    Snapshot(Zxid),
    /// A snapshot being written: after a crash, a leftover.
    SnapshotNew,
}

impl FileName {
    /// The file of this name, or `None` when it is none of ours.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "state" => return Some(Self::State),
            "state.new" => return Some(Self::StateNew),
            "snapshot.new" => return Some(Self::SnapshotNew),
            _ => {}
        }
        let (kind, digits) = name.split_once('.')?;
        let plain = digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if digits.len() != 16 || !plain {
            return None;
        }
        let number = u64::from_str_radix(digits, 16).ok()?;
        match kind {
            "log" => Some(Self::Log(number)),
            "snapshot" => Some(Self::Snapshot(Zxid(number))),
            _ => None,
        }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State => f.write_str("state"),
            Self::StateNew => f.write_str("state.new"),
            Self::Log(sequence) => write!(f, "log.{sequence:016x}"),
            Self::Snapshot(zxid) => write!(f, "snapshot.{:016x}", zxid.0),
            Self::SnapshotNew => f.write_str("snapshot.new"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_as_itself_and_strangers_are_none_of_ours() {
        for name in [
            FileName::State,
            FileName::StateNew,
            FileName::SnapshotNew,
            FileName::Log(0),
            FileName::Log(u64::MAX),
            FileName::Snapshot(Zxid(0x3_0000_0011)),
        ] {
            assert_eq!(FileName::parse(&name.to_string()), Some(name));
        }
        for stranger in [
            "",
            "log",
            "log.",
            "log.1",
            "log.000000000000000G",
            "lock",
            "LOG.0",
            "log.+00000000000000a",
        ] {
            assert_eq!(FileName::parse(stranger), None, "{stranger}");
        }
    }
}
