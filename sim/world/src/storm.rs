//! Sweeps: many runs, on several threads, reported in order.
//!
//! Holds: what is reported does not depend on the number of threads; memory does not grow with the
//! number of runs, since no run is begun that is too far ahead of the one to be reported next.

use crate::run::{RunSpec, run};
use mailstorm_record::Run;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How many runs per thread may be ahead of the one to be reported next.
const AHEAD_PER_JOB: u64 = 16;

/// Where the runs of a sweep come from. Every iterator of runs is such a source.
pub trait Source: Send {
    /// The next run, if there is another.
    fn draw(&mut self) -> Option<RunSpec>;
    /// How many runs must have been reported before the run of this number, from 0, can be drawn.
    fn needs_told(&self, number: u64) -> u64 {
        let _ = number;
        0
    }
    /// The next run is reported.
    fn told(&mut self, run: &Run) {
        let _ = run;
    }
}

impl<I: Iterator<Item = RunSpec> + Send> Source for I {
    fn draw(&mut self) -> Option<RunSpec> {
        self.next()
    }
}

/// Where a sweep stands.
struct Sweep<S> {
    source: S,
    /// The number of the next run to be begun.
    next: u64,
    /// How many have been reported.
    told: u64,
    done: BTreeMap<u64, Run>,
    /// No further run is begun.
    is_closed: bool,
    /// How many runs are in progress.
    running: usize,
}

impl<S: Source> Sweep<S> {
    /// Whether the next run cannot be begun before another is reported.
    fn must_wait(&self, ahead: u64) -> bool {
        self.next >= self.told + ahead || self.told < self.source.needs_told(self.next)
    }
}

/// Runs these on `jobs` threads and reports each to `tell`, in order; stops when `tell` breaks off.
/// It is called after every run, so a caller with a deadline checks the clock there.
///
/// Returns how many runs were reported.
pub fn storm(
    source: impl Source,
    jobs: usize,
    mut tell: impl FnMut(Run) -> ControlFlow<()>,
) -> u64 {
    let jobs = jobs.max(1);
    let ahead = AHEAD_PER_JOB * jobs as u64;
    let state = Mutex::new(Sweep {
        source,
        next: 0,
        told: 0,
        done: BTreeMap::new(),
        is_closed: false,
        running: 0,
    });
    let changed = Condvar::new();
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| work(&state, &changed, ahead));
        }
        let mut sweep = lock(&state);
        loop {
            let place = sweep.told;
            if let Some(run) = sweep.done.remove(&place) {
                sweep.told += 1;
                sweep.source.told(&run);
                changed.notify_all();
                drop(sweep);
                let flow = tell(run);
                sweep = lock(&state);
                if flow.is_break() {
                    break;
                }
            } else if sweep.is_closed && sweep.running == 0 {
                break;
            } else {
                sweep = changed.wait(sweep).unwrap_or_else(PoisonError::into_inner);
            }
        }
        sweep.is_closed = true;
        changed.notify_all();
        sweep.told
    })
}

/// What one thread does.
fn work<S: Source>(state: &Mutex<Sweep<S>>, changed: &Condvar, ahead: u64) {
    let mut sweep = lock(state);
    loop {
        while !sweep.is_closed && sweep.must_wait(ahead) {
            sweep = changed.wait(sweep).unwrap_or_else(PoisonError::into_inner);
        }
        if sweep.is_closed {
            return;
        }
        let Some(spec) = sweep.source.draw() else {
            sweep.is_closed = true;
            changed.notify_all();
            return;
        };
        let place = sweep.next;
        sweep.next += 1;
        sweep.running += 1;
        drop(sweep);
        let broken = Broken { state, changed };
        let done = run(&spec);
        std::mem::forget(broken);
        sweep = lock(state);
        sweep.running -= 1;
        sweep.done.insert(place, done);
        changed.notify_all();
    }
}

/// When no thread could be had for a run, the sweep ends with that panic and does not wait for the
/// run.
struct Broken<'a, S: Source> {
    state: &'a Mutex<Sweep<S>>,
    changed: &'a Condvar,
}

impl<S: Source> Drop for Broken<'_, S> {
    fn drop(&mut self) {
        let mut sweep = lock(self.state);
        sweep.running -= 1;
        sweep.is_closed = true;
        self.changed.notify_all();
    }
}

/// The lock is held for bookkeeping only, so that a thread that panicked elsewhere leaves it sound.
fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
