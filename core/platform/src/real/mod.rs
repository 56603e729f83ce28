//! The real Platform: sockets, files, timers, the system's entropy, on one thread with tokio.
//!
//! Everything of a process runs in one [`tokio::task::LocalSet`], as the trait wants it; only file
//! operations run elsewhere, one at a time. The flag `--cfg madsim`, with which the whole workspace
//! is built, changes nothing here: it makes the laboratory's crates simulate, and tokio is none of
//! them.
//! Start at [`RealPlatform`].

mod disk;
mod network;
mod platform;

pub use disk::{FolderError, RealDisk};
pub use network::RealEndpoint;
pub use platform::RealPlatform;
