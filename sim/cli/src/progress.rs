//! Progress of a long command: a bar on a terminal, a line now and then elsewhere.

use crate::screen::mention;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mailstorm_record::time::measured;
use mailstorm_reports::{Tally, numbered};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows how far a sweep is.
pub(crate) struct Progress {
    bar: ProgressBar,
    is_terminal: bool,
    began: Instant,
    last_line: Instant,
    scenario: String,
    total: Option<u64>,
}

impl Progress {
    /// For a sweep over this many seeds; `None` when it goes on until its time is over.
    pub(crate) fn new(scenario: &str, total: Option<u64>) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let style = match total {
            Some(_) => "{prefix}  {wide_bar}  {pos}/{len} seeds  {msg}  {eta} left",
            None => "{prefix}  {spinner}  {pos} seeds  {msg}  {elapsed}",
        };
        let bar = match total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::new_spinner(),
        };
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        bar.set_style(ProgressStyle::with_template(style).expect("the templates are ours"));
        bar.set_prefix(scenario.to_owned());
        let now = now();
        Self { bar, is_terminal, began: now, last_line: now, scenario: scenario.to_owned(), total }
    }

    /// One more run was added.
    pub(crate) fn step(&mut self, tally: &Tally) {
        let now = now();
        let seconds = now.duration_since(self.began).as_secs_f64().max(0.001);
        if self.is_terminal {
            self.bar.set_message(format!(
                "{}  {:.0}k messages/s",
                numbered(tally.violations(), "violation"),
                tally.messages() as f64 / seconds / 1_000.0
            ));
            self.bar.inc(1);
        } else if now.duration_since(self.last_line) >= LINE_EVERY {
            self.last_line = now;
            let of = self.total.map(|total| format!("/{total}")).unwrap_or_default();
            crate::tell(&format!(
                "{}: {}{of} seeds, {}, {}",
                self.scenario,
                tally.runs(),
                numbered(tally.violations(), "violation"),
                measured(self.elapsed())
            ));
        }
    }

    /// Something worth a line of its own, above the bar.
    pub(crate) fn say(&self, lines: &str) {
        self.bar.suspend(|| mention(lines));
    }

    /// Since the sweep began.
    pub(crate) fn elapsed(&self) -> Duration {
        now().duration_since(self.began)
    }

    /// The sweep is over.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Shows how far a search for the smallest case is.
pub(crate) struct Narrowing {
    bar: ProgressBar,
    is_terminal: bool,
    began: Instant,
    last_line: Instant,
    what: String,
}

impl Narrowing {
    /// For a search that begins with this failing run.
    pub(crate) fn new(what: String) -> Self {
        let style = ProgressStyle::with_template("{prefix}  {spinner}  {msg}  {elapsed}");
        let bar = ProgressBar::new_spinner();
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        bar.set_style(style.expect("the template is ours"));
        bar.set_prefix(format!("shrinking {what}"));
        let now = now();
        let is_terminal = std::io::stderr().is_terminal();
        Self { bar, is_terminal, began: now, last_line: now, what }
    }

    /// One more case was run; the smallest so far has so many faults.
    pub(crate) fn step(&mut self, runs: u64, faults: usize) {
        let now = now();
        if self.is_terminal {
            let (faults, runs) = (numbered(faults as u64, "fault"), numbered(runs, "run"));
            self.bar.set_message(format!("{faults} left  {runs}"));
            self.bar.tick();
        } else if now.duration_since(self.last_line) >= LINE_EVERY {
            self.last_line = now;
            let (faults, runs) = (numbered(faults as u64, "fault"), numbered(runs, "run"));
            let (what, time) = (&self.what, measured(self.elapsed()));
            crate::tell(&format!("shrinking {what}: {faults} left, {runs}, {time}"));
        }
    }

    /// Since the search began.
    pub(crate) fn elapsed(&self) -> Duration {
        now().duration_since(self.began)
    }

    /// The search is over.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

#[allow(clippy::disallowed_methods, reason = "how long a person waits is real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
