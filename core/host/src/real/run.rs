//! A server as a process of its own.

use super::RealPlatform;
use crate::{HostError, ServerSettings, serve_coordination};
use std::path::PathBuf;

/// A server on this machine.
#[derive(Clone, Debug)]
pub struct RealServer {
    /// Its data folder.
    pub data: PathBuf,
    /// Everything else.
    pub settings: ServerSettings,
}

/// Runs a server on this thread until it cannot go on.
///
/// # Errors
/// Always: that is how a server ends. The reason fits on one line and says what to do.
pub fn run_real_server(server: RealServer) -> Result<(), HostError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(HostError::Runtime)?;
    let platform = RealPlatform::with_folder(&server.data)?;
    let tasks = tokio::task::LocalSet::new();
    Err(tasks.block_on(&runtime, serve_coordination(platform, server.settings)))
}
