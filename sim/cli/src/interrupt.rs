//! SIGINT and SIGTERM: the first asks for an end in order, a later one ends at once.
//!
//! Owns: the signals of this process. Leaves: what an end in order is to whoever asks [`is_asked`].
//! Holds: a command that does not watch ends as the system has it.
//! Start at [`watch`].

use crate::failure::Failure;
use crate::progress::now;
use crate::screen;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The signals by which people and systems end a program.
const SIGNALS: [i32; 2] = [SIGINT, SIGTERM];
/// What comes so soon after the first is the same request: `timeout` sends its signal to the
/// process and to the process's group.
const ONE_REQUEST: Duration = Duration::from_millis(500);

static ASKED: AtomicBool = AtomicBool::new(false);

/// From now on the first signal is only noted. A later one ends the process with the exit code that
/// shells give: 130 for SIGINT, 143 for SIGTERM.
pub(crate) fn watch() -> Result<(), Failure> {
    let mut signals = Signals::new(SIGNALS).map_err(|error| cannot(&error))?;
    let watching = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut first = None;
        for signal in signals.forever() {
            let began = *first.get_or_insert_with(now);
            if now().duration_since(began) > ONE_REQUEST {
                std::process::exit(128 + signal);
            }
            ASKED.store(true, Ordering::Relaxed);
        }
    });
    watching.map(drop).map_err(|error| cannot(&error))
}

/// Signals go to every process of a terminal's command: this one leaves them to the process that
/// started it, and ends when that one does.
pub(crate) fn ignore() -> Result<(), Failure> {
    SIGNALS.into_iter().try_for_each(|signal| {
        flag::register(signal, Arc::default()).map(drop).map_err(|error| cannot(&error))
    })
}

/// Whether somebody has asked for an end, by a signal or by no longer reading what is printed.
pub(crate) fn is_asked() -> bool {
    ASKED.load(Ordering::Relaxed) || screen::is_unread()
}

fn cannot(error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot watch for signals: {error}; try again"))
}
