//! Progress of a long command: a bar on a terminal, a line now and then elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mailstorm_reports::{Tally, numbered};
use mailstorm_shared::time_in_words::measured;
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
    /// Messages of runs that were made before.
    messages_before: u64,
}

impl Progress {
    /// For a sweep over this many seeds, of which these have been run; no number of seeds when it
    /// goes on until its time is over.
    pub(crate) fn new(scenario: &str, total: Option<u64>, before: &Tally) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let style = match total {
            Some(_) => "{prefix}  {wide_bar}  {pos}/{len} seeds  {msg}  {eta} left",
            None => "{prefix}  {spinner}  {pos} seeds  {msg}  {elapsed}",
        };
        // Nothing of it is shown before it is right.
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        bar.set_style(ProgressStyle::with_template(style).expect("the templates are ours"));
        bar.set_prefix(scenario.to_owned());
        bar.set_position(before.runs());
        // How long the rest takes is told by the runs of this process.
        bar.reset_eta();
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        let now = now();
        Self {
            bar,
            is_terminal,
            began: now,
            last_line: now,
            scenario: scenario.to_owned(),
            total,
            messages_before: before.messages(),
        }
    }

    /// One more run was added.
    pub(crate) fn step(&mut self, tally: &Tally) {
        let now = now();
        if self.is_terminal {
            self.bar.set_message(self.rate(tally, now.duration_since(self.began)));
            self.bar.set_position(tally.runs());
        } else if now.duration_since(self.last_line) >= LINE_EVERY {
            self.last_line = now;
            crate::tell(&self.line(tally));
        }
    }

    /// What stands beside the bar: how fast this process is, which has run for so long.
    fn rate(&self, tally: &Tally, elapsed: Duration) -> String {
        let messages = tally.messages().saturating_sub(self.messages_before);
        let per_second = messages as f64 / elapsed.as_secs_f64().max(0.001);
        let violations = numbered(tally.violations(), "violation");
        format!("{violations}  {:.0}k messages/s", per_second / 1_000.0)
    }

    /// What is told where there is no bar.
    fn line(&self, tally: &Tally) -> String {
        let of = self.total.map(|total| format!("/{total}")).unwrap_or_default();
        let (name, runs, time) = (&self.scenario, tally.runs(), measured(self.elapsed()));
        format!("{name}: {runs}{of} seeds, {}, {time}", numbered(tally.violations(), "violation"))
    }

    /// Something worth a line of its own, above the bar.
    pub(crate) fn say(&self, lines: &str) {
        self.bar.suspend(|| crate::tell(lines));
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

#[cfg(test)]
mod tests {
    use super::*;
    use mailstorm_record::run::{Outcome, RUN_FORMAT};
    use mailstorm_record::{Plan, Run};

    fn run(seed: u64) -> Run {
        Run {
            format: RUN_FORMAT,
            mailstorm: String::new(),
            scenario: "x".into(),
            seed,
            inbox: None,
            defect: None,
            settings: Default::default(),
            roles: Default::default(),
            plan: Plan::default(),
            outcome: Outcome { messages: 10_000, ..Outcome::default() },
            events: None,
        }
    }

    #[test]
    fn a_sweep_that_goes_on_shows_what_is_done_of_all_and_the_rate_of_this_process_alone() {
        let mut tally = Tally::new("x", []);
        (1..=150).for_each(|seed| _ = tally.add(&run(seed)));
        let mut progress = Progress::new("x", Some(200), &tally);
        progress.is_terminal = true;
        assert_eq!((progress.bar.position(), progress.bar.length()), (150, Some(200)));
        tally.add(&run(151));
        progress.step(&tally);
        assert_eq!(progress.bar.position(), 151);
        let second = Duration::from_secs(1);
        assert_eq!(progress.rate(&tally, second), "0 violations  10k messages/s");
        assert!(progress.line(&tally).starts_with("x: 151/200 seeds, 0 violations, "));
    }
}
