//! Why a server's process ends.

use mailstorm_platform::Address;
use mailstorm_platform::real::FolderError;
use mailstorm_shared::machine::CoreError;
use std::io;

/// Why a server cannot start, or cannot go on. One line each, with what to do next.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The address is somebody else's.
    #[error("cannot listen on {address}: {}", listen_advice(source))]
    Listen {
        /// Where.
        address: Address,
        /// What the system says.
        source: io::Error,
    },
    /// The data folder cannot be had.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The core cannot start from what its data folder holds.
    #[error(transparent)]
    Core(CoreError),
    /// The disk failed. What it holds is not known any more, so nothing goes on from here.
    #[error("cannot {operation} {file}: {source}: {}", disk_advice(source))]
    Disk {
        /// What was asked of it.
        operation: &'static str,
        /// On which file.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// The core itself gave up.
    #[error("{reason}")]
    Halted {
        /// Why.
        reason: String,
    },
    /// The runtime for sockets and timers could not be made.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
}

fn listen_advice(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            "it is in use: stop the other process, or choose another port".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            "it is no address of this machine: check the configuration".to_owned()
        }
        io::ErrorKind::PermissionDenied => "not permitted: choose a port above 1023".to_owned(),
        _ => format!("{source}: check the configuration"),
    }
}

fn disk_advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room, then start the server again; nothing acknowledged is lost"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "make the data folder writable, then start the server again"
        }
        _ => "check the disk, then start the server again; it recovers, or is brought up to date",
    }
}
