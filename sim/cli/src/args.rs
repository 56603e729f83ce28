//! The command line: what can be asked for, and how it is spelt.
//!
//! Without the feature `laboratory` there is only what a server needs.

#[cfg(feature = "laboratory")]
mod laboratory;

#[cfg(feature = "laboratory")]
pub(crate) use laboratory::*;

use clap::{Parser, Subcommand, ValueHint};
use std::path::PathBuf;

#[cfg_attr(
    feature = "laboratory",
    doc = "Storms a real coordination service in a world made of one seed, and proves that every e-mail was\n\
           processed exactly once, or hands over a seed that anyone can replay.\n\n\
           Without a command: `mailstorm storm mail-claims --seeds 1..200`."
)]
#[cfg_attr(
    not(feature = "laboratory"),
    doc = "A real coordination service, without its laboratory."
)]
#[derive(Debug, Parser)]
#[command(
    name = "mailstorm",
    version,
    after_help = "Exit codes: 0 pass, 1 violation, 2 unknown or interrupted, 3 usage or tool error, 4 not deterministic."
)]
#[cfg_attr(not(feature = "laboratory"), command(arg_required_else_help = true))]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Something in the laboratory.
    #[cfg(feature = "laboratory")]
    #[command(flatten)]
    Laboratory(LaboratoryCommand),
    /// Run a real server on sockets and files.
    Serve {
        /// Which service.
        #[command(subcommand)]
        service: Service,
    },
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// `mailstorm serve`.
#[derive(Debug, Subcommand)]
pub(crate) enum Service {
    /// One server of a coordination ensemble; speaks ZooKeeper's client protocol.
    Coordination {
        /// Its configuration: TOML, or ZooKeeper's zoo.cfg.
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        config: PathBuf,
        /// The data folder is new: begin a new history. Without it, a server with an empty folder
        /// waits for a leader to copy from, since it may have voted before and forgotten it.
        #[arg(long, alias = "initialize")]
        initialise: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
