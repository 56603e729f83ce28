//! A server as a process of its own.

use crate::{HostError, ServerSettings, serve_coordination};
use mailstorm_coordination::storage::FileName;
use mailstorm_platform::real::RealPlatform;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// How long a server may take to end once it was asked to: longer than any disk that works.
const STOP_MAX: Duration = Duration::from_secs(10);

/// A server on this machine.
#[derive(Clone, Debug)]
pub struct RealServer {
    /// Its data folder.
    pub data: PathBuf,
    /// Everything else.
    pub settings: ServerSettings,
}

/// Runs a server on this thread until the process is asked to end (SIGTERM, SIGINT, Ctrl-C).
///
/// # Errors
/// Why it had to end before. The reason fits on one line and says what to do.
pub fn run_real_server(mut server: RealServer) -> Result<(), HostError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(HostError::Runtime)?;
    let platform = RealPlatform::with_folder(&server.data, |name| FileName::parse(name).is_some())?;
    let facts = &mut server.settings.server.host;
    facts.data_folder = server.data.display().to_string().into();
    facts.environment = environment();
    let ended = tokio::task::LocalSet::new().block_on(&runtime, async {
        let stop = server.settings.stop.clone();
        let mut asked = pin!(asked_to_end().map_err(HostError::Runtime)?);
        let mut serving = pin!(serve_coordination(platform, server.settings));
        tokio::select! {
            biased;
            ended = &mut serving => return ended,
            () = &mut asked => stop.raise(),
        }
        match tokio::time::timeout(STOP_MAX, serving).await {
            Ok(ended) => {
                ended.inspect(|()| tracing::info!("stopped: all that was acknowledged is on disk"))
            }
            Err(_) => {
                tracing::warn!("stopped with writes under way: the disk is stuck; none of them was acknowledged");
                Ok(())
            }
        }
    });
    // Dropping it would wait for a disk that is stuck.
    runtime.shutdown_background();
    ended
}

/// What `envi` shows, under the keys that ZooKeeper has for it.
fn environment() -> Vec<(Arc<str>, Arc<str>)> {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let folder = std::env::current_dir().unwrap_or_default();
    let rows = [
        ("host.name", host.trim().to_owned()),
        ("os.name", std::env::consts::OS.to_owned()),
        ("os.arch", std::env::consts::ARCH.to_owned()),
        ("user.dir", folder.display().to_string()),
    ];
    rows.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
}

/// Resolves when somebody wants this process to end.
fn asked_to_end() -> io::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        Ok(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        // Where it cannot be listened for, the process ends as by a crash, which loses nothing either.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
