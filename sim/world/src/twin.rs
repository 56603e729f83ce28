//! The second process: the same runs again, in a process in which everything differs that must not
//! matter.
//!
//! Owns: the conversation of the two, line by line, and what differs between their answers. Leaves:
//! which program the second process is, and where it finds its scenarios, to the caller.
//! Holds: the first process never waits to send an order, and the second answers in any order, so
//! the two cannot deadlock.
//!
//! ```text
//!   Twin::start    -- other environment, folder, addresses, hash seeds, threads --> answer_orders
//!   Orders::send   {"scenario":...,"seed":7,"is_full":false,...}   --- stdin ---->  run
//!   Twin::answer   twin {"seed":7,"is_full":false,"answer":{...}}  <-- stdout ----  record, report
//! ```
//! Start at [`Twin`], then [`answer_orders`].

use crate::{Recording, RunSpec, Scenario, run};
use mailstorm_record::{Plan, Run, Settings, TraceHash};
use mailstorm_shared::defect::DefectId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// What a line begins with that is an answer: whatever else the second process prints is ignored.
const ANSWER: &str = "twin ";

/// So many orders at a time are carried out in the opposite order: what one run leaves behind in
/// its process then meets another successor than in the first process.
const REVERSED: usize = 8;

/// Variables that the second process keeps: without them a program may not start at all.
const KEPT: [&str; 4] = ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SystemRoot"];

/// The order of a run.
#[derive(Serialize, Deserialize)]
struct Order {
    scenario: String,
    settings: Settings,
    seed: u64,
    plan: Option<Plan>,
    defect: Option<DefectId>,
    is_full: bool,
}

/// What a process makes of a run: its record, and a hash of the report on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The record.
    pub run: Run,
    /// A hash of the bytes of the whole report on it.
    pub report: TraceHash,
}

impl Answer {
    /// The answer for this run, with the report on it.
    pub fn new(run: Run, report: &[u8]) -> Self {
        Self { run, report: TraceHash(xxhash_rust::xxh3::xxh3_64(report)) }
    }

    /// What differs between two answers: the parts of the record by their names in it, and
    /// `report`.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        // Most are the same, and to see that is faster than to see where they differ.
        if self == other {
            return Vec::new();
        }
        let mut named = self.run.differences(&other.run);
        if self.report != other.report {
            named.push("report".to_owned());
        }
        named
    }
}

#[derive(Serialize, Deserialize)]
struct Answered {
    seed: u64,
    is_full: bool,
    answer: Answer,
}

/// Why the second process cannot answer.
#[derive(Debug, thiserror::Error)]
pub enum TwinError {
    /// It cannot be started.
    #[error("it cannot be started: {0}")]
    Start(#[from] io::Error),
    /// It has ended; what it said last.
    #[error("it ended without an answer: {0}")]
    Ended(String),
    /// Its answer is invalid.
    #[error("its answer is no record: {0}")]
    Garbled(#[from] serde_json::Error),
}

/// Makes a command run where as much is different as can be: another working folder, another folder
/// for temporary files, variables that are missing and one that is new. Addresses and hash seeds
/// differ by themselves.
pub fn elsewhere(command: &mut Command) -> &mut Command {
    let kept: Vec<_> =
        KEPT.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))).collect();
    let here = std::env::current_dir().unwrap_or_default();
    let root = here.ancestors().last().map_or_else(|| PathBuf::from("/"), PathBuf::from);
    let there = if here == root { std::env::temp_dir() } else { root };
    command
        .env_clear()
        .envs(kept)
        .env("MAILSTORM_SECOND_PROCESS", "1")
        .env("TMPDIR", &there)
        .current_dir(there)
}

/// A second process that runs what is ordered. It ends when this is dropped.
pub struct Twin {
    process: Child,
    orders: Orders,
    answers: Receiver<Result<Answered, serde_json::Error>>,
    /// What it said to standard error, when it has ended.
    complaint: Receiver<String>,
    /// Answers to orders that nobody has waited for yet, by seed and whether they are full.
    early: BTreeMap<(u64, bool), Answer>,
}

/// Sends orders to a second process; clones send to the same.
#[derive(Clone)]
pub struct Orders(Sender<String>);

impl Orders {
    /// Orders a run: one scenario, and every seed once for each [`Recording`]. Never waits.
    pub fn send(&self, spec: &RunSpec) {
        let order = Order {
            scenario: spec.scenario.name().to_owned(),
            settings: Settings::of(&spec.scenario.settings()),
            seed: spec.seed,
            plan: spec.plan.clone(),
            defect: spec.defect,
            is_full: spec.recording == Recording::Full,
        };
        let line = serde_json::to_string(&order).expect("an order is plain data with string keys");
        // A process that has ended is noticed when its answer is waited for.
        let _ = self.0.send(line);
    }
}

impl Twin {
    /// Starts a program that calls [`answer_orders`] on its standard input and output.
    ///
    /// # Errors
    /// [`TwinError::Start`].
    pub fn start(command: &mut Command) -> Result<Self, TwinError> {
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = pipes.spawn()?;
        let (orders, ordered) = mpsc::channel();
        let (answering, answers) = mpsc::channel();
        let (complaining, complaint) = mpsc::channel();
        let stdin = process.stdin.take().expect("it is piped");
        let stdout = process.stdout.take().expect("it is piped");
        let mut stderr = process.stderr.take().expect("it is piped");
        // Each of these ends with its pipe, that is, with the process.
        thread::spawn(move || pass_on(&ordered, stdin));
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let Some(answer) = line.strip_prefix(ANSWER) else { continue };
                if answering.send(serde_json::from_str(answer)).is_err() {
                    return;
                }
            }
        });
        thread::spawn(move || {
            let mut bytes = Vec::new();
            // As much as can be read of it is enough.
            let _ = stderr.read_to_end(&mut bytes);
            let _ = complaining.send(String::from_utf8_lossy(&bytes).trim().to_owned());
        });
        Ok(Self { process, orders: Orders(orders), answers, complaint, early: BTreeMap::new() })
    }

    /// A handle to send orders by.
    pub fn orders(&self) -> Orders {
        self.orders.clone()
    }

    /// Waits for the answer to the order for this seed and recording.
    ///
    /// # Errors
    /// When the process has ended, or its answer is invalid.
    pub fn answer(&mut self, seed: u64, recording: Recording) -> Result<Answer, TwinError> {
        let wanted = (seed, recording == Recording::Full);
        loop {
            if let Some(answer) = self.early.remove(&wanted) {
                return Ok(answer);
            }
            let Ok(answered) = self.answers.recv() else {
                return Err(TwinError::Ended(self.complaint.recv().unwrap_or_default()));
            };
            let Answered { seed, is_full, answer } = answered?;
            self.early.insert((seed, is_full), answer);
        }
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, which is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn pass_on(orders: &Receiver<String>, mut to: ChildStdin) {
    for order in orders {
        if writeln!(to, "{order}").and_then(|()| to.flush()).is_err() {
            return;
        }
    }
}

/// Answers every order received, on `jobs` threads, until no more can come: what the second process
/// does. `find` finds a scenario by its name with these numbers, or says why not; `report` gives
/// the bytes of the whole report on a run.
///
/// # Errors
/// When an order is invalid, its scenario is not found, or an answer cannot be written.
pub fn answer_orders(
    find: impl Fn(&str, &Settings) -> Result<Arc<dyn Scenario>, String> + Send,
    report: impl Fn(&Run) -> Vec<u8> + Sync,
    jobs: usize,
    orders: impl BufRead + Send,
    answers: impl Write + Send,
) -> io::Result<()> {
    let (reading, read) = mpsc::channel();
    let inbox = Mutex::new(Waiting { read, next: Vec::new() });
    let answers = Mutex::new(answers);
    let work = || -> io::Result<()> {
        while let Some(spec) = lock(&inbox).next() {
            let spec = spec?;
            let is_full = spec.recording == Recording::Full;
            let run = run(&spec);
            let report = report(&run);
            let answered = Answered { seed: spec.seed, is_full, answer: Answer::new(run, &report) };
            let text = serde_json::to_string(&answered)?;
            let mut answers = lock(&answers);
            writeln!(answers, "{ANSWER}{text}")?;
            answers.flush()?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        scope.spawn(move || read_orders(find, orders, reading));
        let threads: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(work)).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, io::Result<()>>| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
        };
        // Every thread is waited for, whatever became of the others.
        let ended: Vec<_> = threads.into_iter().map(join).collect();
        ended.into_iter().collect()
    })
}

/// Reads orders until no more can come, or one is invalid: then nothing after it counts.
fn read_orders(
    find: impl Fn(&str, &Settings) -> Result<Arc<dyn Scenario>, String>,
    orders: impl BufRead,
    reading: Sender<io::Result<RunSpec>>,
) {
    // All orders of a sweep are for one scenario.
    let mut found: Option<(String, Settings, Arc<dyn Scenario>)> = None;
    let mut read = |line: io::Result<String>| -> io::Result<RunSpec> {
        let order: Order = serde_json::from_str(&line?)?;
        let (name, settings) = (&order.scenario, &order.settings);
        let scenario = match &found {
            Some((found, with, scenario)) if (found, with) == (name, settings) => scenario.clone(),
            _ => find(name, settings).map_err(io::Error::other)?,
        };
        found = Some((name.clone(), settings.clone(), scenario.clone()));
        let recording = if order.is_full { Recording::Full } else { Recording::Digest };
        let Order { seed, plan, defect, .. } = order;
        Ok(RunSpec { scenario, seed, plan, defect, recording })
    };
    for line in orders.lines() {
        let spec = read(line);
        let is_last = spec.is_err();
        if reading.send(spec).is_err() || is_last {
            return;
        }
    }
}

/// Orders that were read and not begun.
struct Waiting {
    read: Receiver<io::Result<RunSpec>>,
    /// The next is the last of these.
    next: Vec<io::Result<RunSpec>>,
}

impl Waiting {
    /// The next to be carried out; waits for one if there is none. `None` when no more can come.
    fn next(&mut self) -> Option<io::Result<RunSpec>> {
        if self.next.is_empty() {
            self.next.push(self.read.recv().ok()?);
            self.next.extend(self.read.try_iter().take(REVERSED - 1));
        }
        self.next.pop()
    }
}

/// A thread that panicked with the lock in its hands leaves at worst half a line.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
