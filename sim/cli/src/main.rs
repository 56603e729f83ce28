//! The binary `mailstorm`: storms scenarios, replays seeds, lists what there is, serves for real.
//!
//! Owns: the command line, progress and exit codes. Leaves: running to `world`, telling to
//! `reports`.
//! Holds: an error is one line that says what to do next; nothing a user gives it makes it panic.
//! Start at [`args`].

#[cfg(feature = "laboratory")]
mod aftermath;
mod args;
#[cfg(feature = "laboratory")]
mod artifact;
#[cfg(feature = "laboratory")]
mod diff;
#[cfg(feature = "laboratory")]
mod export;
mod failure;
#[cfg(feature = "laboratory")]
mod folder;
#[cfg(feature = "laboratory")]
mod given;
#[cfg(feature = "laboratory")]
mod inbox;
#[cfg(feature = "laboratory")]
mod interrupt;
#[cfg(feature = "laboratory")]
mod learn;
#[cfg(feature = "laboratory")]
mod merge;
#[cfg(feature = "laboratory")]
mod museum;
#[cfg(feature = "laboratory")]
mod one_run;
#[cfg(feature = "laboratory")]
mod progress;
#[cfg(feature = "laboratory")]
mod replay;
#[cfg(feature = "laboratory")]
mod report;
#[cfg(feature = "laboratory")]
mod results;
#[cfg(feature = "laboratory")]
mod scenario_file;
#[cfg(feature = "laboratory")]
mod scenarios;
#[cfg(feature = "laboratory")]
mod screen;
mod serve;
#[cfg(feature = "laboratory")]
mod shrink;
#[cfg(feature = "laboratory")]
mod storm;
#[cfg(feature = "laboratory")]
mod verify;

#[cfg(feature = "laboratory")]
use args::LaboratoryCommand;
use args::{Arguments, Command};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use failure::{ExitCode, Failure};
use mailstorm_shared::harmless_lines;
use std::io::Write;

fn main() -> std::process::ExitCode {
    // A printed line ends in a comment. Where a shell hands that over as words, as zsh does with
    // what is typed, they are no arguments all the same.
    let words = std::env::args_os().take_while(|word| word != "#");
    let ended = match Arguments::try_parse_from(words) {
        Ok(arguments) => run(arguments),
        Err(error) => misspelt(&error),
    };
    match ended {
        Ok(code) => code.into(),
        Err(failure) => {
            tell(&format!("error: {failure}"));
            ExitCode::Usage.into()
        }
    }
}

/// What comes of a command line that is no command: help and version are printed, the rest is an
/// error.
fn misspelt(error: &clap::Error) -> Result<ExitCode, Failure> {
    let text = error.render();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            #[cfg(feature = "laboratory")]
            let printed = screen::show(&text.to_string());
            #[cfg(not(feature = "laboratory"))]
            let printed = print(&text.to_string());
            printed.map(|()| ExitCode::Pass)
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            tell(text.to_string().trim_end());
            Ok(ExitCode::Usage)
        }
        // The usage and the hint at the help are left out: what is said fits on a line.
        _ => {
            let text = text.to_string();
            let said = text.split("\n\nUsage:").next().unwrap_or_default();
            let said = said.split("\n\nFor more information").next().unwrap_or_default();
            let said = said.trim_start_matches("error: ").replace("\n\n", "; ");
            Err(Failure::new(format!("{said}; '--help' says more")))
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        #[cfg(feature = "laboratory")]
        None => experiment(&LaboratoryCommand::default_storm()),
        #[cfg(feature = "laboratory")]
        Some(Command::Laboratory(command)) => experiment(&command),
        #[cfg(not(feature = "laboratory"))]
        None => unreachable!("clap asks for a command"),
        Some(Command::Serve { service }) => serve::serve(&service),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "mailstorm", &mut script);
            print_as_it_is(&String::from_utf8_lossy(&script))?;
            Ok(ExitCode::Pass)
        }
    }
}

#[cfg(feature = "laboratory")]
fn experiment(command: &LaboratoryCommand) -> Result<ExitCode, Failure> {
    match command {
        LaboratoryCommand::Storm(storm) => storm::storm(storm),
        LaboratoryCommand::Merge(merge) => merge::merge(merge),
        LaboratoryCommand::Replay(replay) => replay::replay(replay),
        LaboratoryCommand::Diff(diff) => diff::diff(diff),
        LaboratoryCommand::Inbox(arguments) => inbox::inbox(arguments),
        LaboratoryCommand::Scenarios(scenarios) => scenarios::scenarios(scenarios),
        LaboratoryCommand::Report(report) => report::report(report),
        LaboratoryCommand::Shrink(shrink) => shrink::shrink(shrink),
        LaboratoryCommand::Museum(museum) => museum::museum(museum),
        LaboratoryCommand::Learn(learn) => learn::learn(learn),
        LaboratoryCommand::Answer(answer) => verify::answer(answer),
    }
}

/// Writes to standard output for people: whatever came from outside, a terminal obeys none of it.
fn print(text: &str) -> Result<(), Failure> {
    print_as_it_is(&harmless_lines(text))
}

/// Writes to standard output for programs. A reader that has gone (`| head`) is no failure of ours:
/// whatever takes long asks `screen::is_unread` whether to go on.
fn print_as_it_is(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("cannot write to the terminal: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes lines to standard error; with nobody there to read them, to nobody.
fn tell(lines: &str) {
    let lines = harmless_lines(lines);
    #[cfg(feature = "laboratory")]
    let lines = screen::for_stderr(lines.trim_end());
    let _ = writeln!(std::io::stderr().lock(), "{lines}");
}
