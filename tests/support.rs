//! What several of these tests need: the binary as a process, servers as processes, a verdict.
//!
//! Holds: no process outlives the test that started it, and no test waits without a deadline.
//! Start at [`run`] and [`Server`].

use mailstorm_record::{Run, Verdict};
use mailstorm_reports::violation_lines;
use std::fmt::Debug;
use std::fs::{self, File};
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// The longest that one command of a test may take, on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A child that is killed when it is dropped.
pub(crate) struct Killed(Child);

impl Killed {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("the binary was built for this test"))
    }

    /// Sends it a signal: `TERM`, `INT`.
    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().expect("there is a kill");
        // One that has ended and was not waited for takes signals, too.
        assert!(sent.success(), "no SIG{name} for {id}");
    }

    /// What it prints to standard error, which is piped.
    pub(crate) fn stderr(&mut self) -> std::process::ChildStderr {
        self.0.stderr.take().expect("it is piped")
    }

    /// Returns as soon as it has a handler for this signal, where the system tells.
    #[cfg(unix)]
    pub(crate) fn when_it_watches(&self, signal: u32) {
        let status = format!("/proc/{}/status", self.0.id());
        loop {
            let Ok(text) = fs::read_to_string(&status) else { return };
            let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:"));
            let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
            if caught.is_none_or(|mask| mask >> (signal - 1) & 1 == 1) {
                return;
            }
            thread::yield_now();
        }
    }

    /// The exit code with which it ends by itself.
    #[track_caller]
    pub(crate) fn ends(mut self) -> Option<i32> {
        let (sender, receiver) = mpsc::channel();
        let id = self.0.id();
        thread::spawn(move || {
            // The test may have given up.
            let _ = sender.send(self.0.wait().expect("it is our child").code());
        });
        receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("process {id} does not end"))
    }

    /// How it ends when nobody reads what it prints, and what it says to that.
    pub(crate) fn without_reader(mut self) -> (Option<i32>, String) {
        drop(self.0.stdout.take());
        let err = drain(self.0.stderr.take().expect("it is piped"));
        let err = err.recv_timeout(PATIENCE).expect("it ends");
        (self.0.wait().expect("it is our child").code(), err)
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        // SIGKILL; one that has ended already cannot be killed, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The binary, to be run in `folder`.
pub(crate) fn mailstorm(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailstorm"));
    command.current_dir(folder).args(arguments).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// Runs the binary in `folder` to its end.
#[track_caller]
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Ended {
    ended(mailstorm(folder, arguments), arguments)
}

/// The same with this file as its standard input.
#[track_caller]
pub(crate) fn run_with_input(folder: &Path, arguments: &[&str], input: &Path) -> Ended {
    let mut command = mailstorm(folder, arguments);
    command.stdin(File::open(input).expect("the test wrote it"));
    ended(command, arguments)
}

/// Runs a command to its end, which is named so if it does not come.
#[track_caller]
pub(crate) fn ended(mut command: Command, name: &(impl Debug + ?Sized)) -> Ended {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Killed::start(&mut command);
    let out = drain(child.0.stdout.take().expect("it is piped"));
    let err = drain(child.0.stderr.take().expect("it is piped"));
    let read = |pipe: mpsc::Receiver<String>| {
        pipe.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{name:?} does not end"))
    };
    let (out, err) = (read(out), read(err));
    let code = child.0.wait().expect("it is our child").code();
    Ended { code, out, err }
}

/// Runs the binary in `folder` on a terminal of so many columns; all that it prints is what that
/// shows.
#[cfg(unix)]
#[track_caller]
pub(crate) fn on_a_terminal(folder: &Path, arguments: &[&str], columns: u16) -> Ended {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::{Winsize, tcsetwinsize};
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("the system has terminals");
    grantpt(&screen).and_then(|()| unlockpt(&screen)).expect("it is ours");
    let name = ptsname(&screen, Vec::new()).expect("it has a name").into_string().unwrap();
    let terminal = File::options().read(true).write(true).open(name).unwrap();
    let size = Winsize { ws_row: 50, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal, size).unwrap();
    let mut command = mailstorm(folder, arguments);
    command.env_remove("COLUMNS").stdout(terminal.try_clone().unwrap()).stderr(terminal);
    let mut child = Killed::start(&mut command);
    // The last of its holders ends what is read.
    drop(command);
    let shown = drain(File::from(screen)).recv_timeout(PATIENCE);
    let out = shown.unwrap_or_else(|_| panic!("{arguments:?} does not end")).replace("\r\n", "\n");
    let code = child.0.wait().expect("it is our child").code();
    Ended { code, out, err: String::new() }
}

/// Runs the binary in `folder` when nobody reads what it prints.
#[track_caller]
pub(crate) fn unread(folder: &Path, arguments: &[&str]) -> Ended {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = mailstorm(folder, arguments);
    command.stdout(writer).stderr(Stdio::piped());
    let (code, err) = Killed::start(&mut command).without_reader();
    Ended { code, out: String::new(), err }
}

/// Reads a pipe to its end, on a thread, so that no pipe fills up while the other is read.
fn drain(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        // The test may have given up.
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

impl Ended {
    /// The trace hash that a replay printed.
    #[track_caller]
    pub(crate) fn trace(&self) -> &str {
        let line = self.out.lines().find_map(|line| line.strip_prefix("trace "));
        line.unwrap_or_else(|| panic!("no trace in {self:?}"))
    }
}

/// Every file below this folder by its name from there, in order.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let below = path.strip_prefix(folder).expect("the walk began there");
                found.push(below.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

/// A port of the loopback that nobody has. It lies below those that systems give to connections by
/// themselves: otherwise one of those could take it while its server is down.
pub(crate) fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 20_000;
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    loop {
        let number = u32::from(TAKEN.fetch_add(1, Ordering::Relaxed));
        // Test binaries that run at the same time begin at different places.
        let place = (std::process::id() % COUNT) * 64 + number;
        let port = u16::try_from(FIRST + place % COUNT).expect("below 30,000");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A server of an ensemble: its files, its ports, and its process while it lives.
pub(crate) struct Server {
    pub(crate) id: usize,
    pub(crate) port: u16,
    /// Where the others reach it.
    pub(crate) peer_port: u16,
    pub(crate) config: PathBuf,
    process: Option<Killed>,
}

impl Server {
    /// Writes the configurations of an ensemble of `count` servers below `folder`.
    pub(crate) fn ensemble(folder: &Path, count: usize) -> Vec<Self> {
        let peer_ports: Vec<u16> = (0..count).map(|_| free_port()).collect();
        let peers: String = (1..=count)
            .zip(&peer_ports)
            .map(|(id, port)| format!("[peers.{id}]\naddress = \"127.0.0.1:{port}\"\n"))
            .collect();
        let server = |id| {
            let (config, port) = (folder.join(format!("{id}.toml")), free_port());
            let text = format!(
                "id = {id}\ndata = \"data-{id}\"\nclient_address = \"127.0.0.1:{port}\"\n{peers}\
                 [timing]\ntick_ms = 250\ninit_limit_ticks = 40\nsync_limit_ticks = 20\n"
            );
            fs::write(&config, text).unwrap();
            Self { id, port, peer_port: peer_ports[id - 1], config, process: None }
        };
        (1..=count).map(server).collect()
    }

    /// Starts the process. What it logs is kept beside its configuration.
    pub(crate) fn start(&mut self, options: &[&str]) {
        let log = File::options().create(true).append(true).open(self.log_file()).unwrap();
        self.start_logging(log.into(), options);
    }

    /// Starts the process with a log that breaks at the first word.
    pub(crate) fn start_without_reader(&mut self, options: &[&str]) {
        self.start_logging(Stdio::piped(), options);
        let process = self.process.as_mut().expect("just started");
        drop(process.0.stderr.take().expect("it is piped"));
    }

    fn start_logging(&mut self, log: Stdio, options: &[&str]) {
        let config = self.config.to_str().expect("a path of ours is UTF-8").to_owned();
        let mut arguments = vec!["serve", "coordination", "--config", &config];
        arguments.extend(options);
        let mut command = mailstorm(Path::new("."), &arguments);
        command.stdout(Stdio::null()).stderr(log);
        self.process = Some(Killed::start(&mut command));
    }

    /// Kills the process with SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Asks the process to end, by a signal, and waits until it has. Returns its exit code.
    #[cfg(unix)]
    pub(crate) fn ask_to_end(&mut self, signal: &str) -> Option<i32> {
        let process = self.process.take().expect("it runs");
        process.signal(signal);
        process.ends()
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn log_file(&self) -> PathBuf {
        self.config.with_extension("log")
    }

    /// What it has logged, for a test that fails.
    pub(crate) fn log(&self) -> String {
        let text = fs::read_to_string(self.log_file()).unwrap_or_default();
        format!("--- server {} ---\n{text}", self.id)
    }

    /// The answer to a four-letter word; `None` while it does not answer.
    pub(crate) fn word(&self, word: &str) -> Option<String> {
        use std::io::Write;
        let mut connection = TcpStream::connect(self.address()).ok()?;
        connection.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        connection.write_all(word.as_bytes()).ok()?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// What it says it is: `leader`, `follower`, `standalone`; `None` while it serves nobody.
    pub(crate) fn mode(&self) -> Option<String> {
        let answer = self.word("srvr")?;
        answer.lines().find_map(|line| line.strip_prefix("Mode: ")).map(str::to_owned)
    }
}

/// Fails with the line that replays the run, unless it passed.
#[track_caller]
pub(crate) fn expect_pass(run: &Run, found: &str) {
    let (seed, hash) = (run.seed, run.outcome.trace_hash.to_string());
    let again = format!("{} --seed {seed}", run.scenario);
    match run.outcome.verdict() {
        Verdict::Pass => {}
        Verdict::Violation(violation) => {
            panic!("{found}\n{}", violation_lines(&violation, seed, &again, &hash))
        }
        Verdict::Unknown { why } => {
            panic!("{found}\nUNKNOWN  {why}\n  replay   mailstorm replay {again}")
        }
    }
}
