//! Clocks, entropy and tasks of a real machine.

use super::{FolderError, RealDisk, RealEndpoint};
use crate::Platform;
use mailstorm_shared::facts::{Account, Level};
use mailstorm_shared::{Instant, Millis, Now, Observation, WallTime};
use std::future::Future;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A real machine. Used within a [`tokio::task::LocalSet`].
#[derive(Clone, Debug)]
pub struct RealPlatform {
    clock: Clock,
    disk: RealDisk,
}

impl RealPlatform {
    /// A machine with this data folder, which is made if it does not exist, and locked: no other
    /// process can have it until the last clone is dropped. `is_ours` says by a file's name whether
    /// a server of this kind wrote it.
    ///
    /// # Errors
    /// When the folder cannot be used, is in use, or has files and none of them is ours.
    pub fn with_folder(folder: &Path, is_ours: impl Fn(&str) -> bool) -> Result<Self, FolderError> {
        Ok(Self { clock: Clock::start(), disk: RealDisk::open(folder, is_ours)? })
    }

    /// A machine without a data folder, for those who only connect to others.
    pub fn without_folder() -> Self {
        Self { clock: Clock::start(), disk: RealDisk::none() }
    }
}

impl Platform for RealPlatform {
    type Endpoint = RealEndpoint;
    type Disk = RealDisk;

    fn now(&self) -> Now {
        self.clock.now()
    }

    fn entropy(&self) -> u64 {
        getrandom::u64().expect("the operating system has random numbers for everybody")
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        tokio::task::spawn_local(task);
    }

    fn sleep(&self, span: Millis) -> impl Future<Output = ()> + 'static {
        tokio::time::sleep(Duration::from_millis(span.0))
    }

    fn endpoint(&self) -> RealEndpoint {
        RealEndpoint::new(self.clock)
    }

    fn disk(&self) -> RealDisk {
        self.disk.clone()
    }

    fn observe(&self, fact: impl Into<Observation>) {
        let observation: Observation = fact.into();
        let Account { name, level, .. } = observation.account();
        match level {
            Level::Info => tracing::info!(fact = name, "{}", observation.words()),
            Level::Debug => {
                tracing::debug!(
                    topic = observation.topic(),
                    fact = name,
                    "{}",
                    observation.words()
                );
            }
        }
    }
}

/// Both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    started: std::time::Instant,
}

impl Clock {
    #[allow(clippy::disallowed_methods, reason = "this is the Platform through which time enters")]
    fn start() -> Self {
        Self { started: std::time::Instant::now() }
    }

    #[allow(clippy::disallowed_methods, reason = "this is the Platform through which time enters")]
    pub(super) fn now(self) -> Now {
        // A wall clock before 1970 counts as 1970: it only ends up in data that people read.
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            monotonic: Instant::ZERO + millis(self.started.elapsed()),
            wall: WallTime::UNIX_EPOCH + millis(wall),
        }
    }

    /// A point on the monotonic clock, as the timers know it.
    pub(super) fn instant(self, at: Instant) -> tokio::time::Instant {
        // Further away than a process lives is as good as never.
        let span = Duration::from_millis(at.0.min(1 << 40));
        tokio::time::Instant::from_std(self.started + span)
    }
}

fn millis(span: Duration) -> Millis {
    Millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}
