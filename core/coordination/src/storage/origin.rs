//! Who wrote a file, and in which version: what every file says first of itself.
//!
//! Owns: the reasons for which a folder is refused as a whole. Leaves: damage, which costs a vote
//! and never a start, to the formats and to `recovery`.
//! Holds: a field is believed only after its checksum; a file of another server or of a newer
//! program is not read further.

use super::FileName;
use mailstorm_shared::ServerId;

/// Why a folder is not even looked at further: starting on it would be a mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecoverError {
    /// Another server's folder.
    #[error("{file} was written by server {theirs}, this is server {ours}: check `id` and `data`")]
    OtherServer {
        /// Where it says so.
        file: String,
        /// Whose it is.
        theirs: u8,
        /// Who we are.
        ours: u8,
    },
    /// Another ensemble's folder.
    #[error(
        "the data folder was written in an ensemble of other members: \
         if the membership was changed on purpose, set `membership_changed = true` for one start"
    )]
    OtherEnsemble,
    /// Written by a newer program.
    #[error(
        "{file} has format version {version}, this program reads up to {known}: use the newer program"
    )]
    NewerVersion {
        /// Which file.
        file: String,
        /// Its version.
        version: u16,
        /// Ours.
        known: u16,
    },
}

/// Checks the two header fields that all files share, after the checksum has vouched for them.
pub(super) fn check_origin(
    file: FileName,
    version: [u8; 2],
    known: u16,
    server: u8,
    me: ServerId,
) -> Result<(), RecoverError> {
    let version = u16::from_le_bytes(version);
    if version > known {
        return Err(RecoverError::NewerVersion { file: file.to_string(), version, known });
    }
    if server != me.number() {
        let file = file.to_string();
        return Err(RecoverError::OtherServer { file, theirs: server, ours: me.number() });
    }
    Ok(())
}
