//! The binary `mailstorm`: storms scenarios, replays seeds, lists what there is, serves for real.
//!
//! Owns: the command line, progress and exit codes. Leaves: running to `world`, telling to `reports`.
//! Holds: an error is one line that says what to do next; nothing a user gives it makes it panic.
//! Start at [`args`].

mod args;
mod failure;
mod given;
mod museum;
mod progress;
mod replay;
mod serve;
mod storm;

use args::{Arguments, Command};
use clap::{CommandFactory, Parser};
use failure::{ExitCode, Failure};
use mailstorm_record::Setting;
use std::io::Write;

fn main() -> std::process::ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors; the text goes where clap sends it.
            let code = if error.use_stderr() { ExitCode::Usage } else { ExitCode::Pass };
            // A closed terminal cannot be told anything.
            let _ = error.print();
            return code.into();
        }
    };
    match run(arguments) {
        Ok(code) => code.into(),
        Err(failure) => {
            tell(&format!("error: {failure}"));
            ExitCode::Usage.into()
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        None => storm::storm(&Arguments::default_storm()),
        Some(Command::Storm(storm)) => storm::storm(&storm),
        Some(Command::Replay(replay)) => replay::replay(&replay),
        Some(Command::Scenarios) => scenarios(),
        Some(Command::Museum(museum)) => museum::museum(&museum),
        Some(Command::Serve { service }) => serve::serve(&service),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "mailstorm", &mut script);
            print(&String::from_utf8_lossy(&script))?;
            Ok(ExitCode::Pass)
        }
    }
}

fn scenarios() -> Result<ExitCode, Failure> {
    let all = mailstorm_scenarios::all(None);
    let width = all.iter().map(|scenario| scenario.name().len()).max().unwrap_or(0);
    let mut out = String::new();
    for scenario in &all {
        out += &format!("{:width$}  {}\n", scenario.name(), scenario.about());
        for Setting { name, about, default, min, max, .. } in scenario.settings() {
            out += &format!("{:width$}    --set {name}={default}  {about}, {min} to {max}\n", "");
        }
    }
    print(&out)?;
    Ok(ExitCode::Pass)
}

/// Writes to standard output. A reader that has gone (`| head`) is no failure of ours.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("cannot write to the terminal: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes a line to standard error; with nobody there to read it, to nobody.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
