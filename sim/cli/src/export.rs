//! `mailstorm report --perfetto | --shiviz | --mermaid`: a run for the tools of others.
//!
//! Owns: where each format goes. Leaves: the formats to `reports`.
//! Start at [`Exports::write`].

use crate::artifact::{is_terminal, put};
use crate::failure::Failure;
use clap::{Args, ValueHint};
use mailstorm_record::Run;
use mailstorm_reports::export::{excerpt, mermaid, perfetto, shiviz};
use std::path::{Path, PathBuf};

/// Where a run goes for other tools.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Exports {
    /// Write the whole run as a trace for ui.perfetto.dev, `-` for the terminal.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub perfetto: Option<PathBuf>,
    /// Write up to 1,000 events around the violation as a log for ShiViz, `-` for the terminal.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub shiviz: Option<PathBuf>,
    /// Write up to 30 messages that led to the violation as a sequence diagram for Mermaid; with
    /// the violation and its replay line, to be pasted into an issue, if FILE ends with `.md` or is
    /// `-`, the terminal.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub mermaid: Option<PathBuf>,
}

impl Exports {
    /// Whether there is nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.files().next().is_none()
    }

    /// Whether something goes to the terminal.
    pub(crate) fn has_terminal(&self) -> bool {
        self.files().any(|file| is_terminal(Some(file)))
    }

    fn files(&self) -> impl Iterator<Item = &Path> {
        [&self.perfetto, &self.shiviz, &self.mermaid].into_iter().filter_map(Option::as_deref)
    }

    /// What is asked for must make sense before anything is run.
    pub(crate) fn expect_sound(&self, runs: usize, page: Option<&Path>) -> Result<(), Failure> {
        if self.is_empty() {
            return Ok(());
        }
        if runs > 1 {
            return Err(Failure::new(
                "--perfetto, --shiviz and --mermaid take one run: ask for each run by itself",
            ));
        }
        let terminals = self.files().chain(page).filter(|file| is_terminal(Some(file))).count();
        if terminals > 1 {
            return Err(Failure::new(
                "two things cannot go to the terminal at once: give one of them a file instead of -",
            ));
        }
        Ok(())
    }

    /// Writes what is asked for; `replay` is what stands after `mailstorm replay`, `missing` what a
    /// record that was cut short lacks. Returns the files.
    pub(crate) fn write(
        &self,
        run: &Run,
        replay: &str,
        missing: Option<&str>,
    ) -> Result<Vec<&Path>, Failure> {
        if let Some(file) = &self.perfetto {
            put(file, &perfetto(run, &format!("mailstorm replay {replay}"), missing))?;
        }
        if let Some(file) = &self.shiviz {
            put(file, &shiviz(run))?;
        }
        if let Some(file) = &self.mermaid {
            let is_markdown =
                is_terminal(Some(file)) || file.extension().is_some_and(|e| e == "md");
            put(file, &if is_markdown { excerpt(run, replay) } else { mermaid(run) })?;
        }
        Ok(self.files().filter(|file| !is_terminal(Some(file))).collect())
    }
}
