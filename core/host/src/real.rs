//! A core as a process of its own, on the real Platform.

use crate::{HostError, Settings, serve};
use mailstorm_platform::real::RealPlatform;
use mailstorm_shared::machine::Start;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

/// How long a server may take to end once it was asked to: longer than any disk that works.
const STOP_MAX: Duration = Duration::from_secs(10);

/// Runs a core on this thread, on sockets and on files of this folder, until the process is asked
/// to end (SIGTERM, SIGINT, Ctrl-C).
///
/// # Errors
/// Why it had to end before. The reason fits on one line and says what to do.
pub fn run<S: Start>(folder: &Path, core: S, settings: Settings<S::Core>) -> Result<(), HostError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(HostError::Runtime)?;
    let platform = RealPlatform::with_folder(folder, S::is_ours)?;
    let ended = tokio::task::LocalSet::new().block_on(&runtime, async {
        let stop = settings.stop.clone();
        let mut asked = pin!(asked_to_end().map_err(HostError::Runtime)?);
        let mut serving = pin!(serve(platform, core, settings));
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
        // Where it cannot be listened for, the process ends as by a crash, which loses nothing
        // either.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
