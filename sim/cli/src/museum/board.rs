//! The scoreboard: for people, for machines, and as a page of the documentation.
//!
//! Start at [`Board`].

use super::Storms;
use super::exhibit::Exhibit;
use super::hunt::{Bounds, Hunts};
use crate::failure::ExitCode;
use crate::shrink::Told;
use mailstorm_record::Plan;
use mailstorm_reports::numbered;
use mailstorm_shared::defect::Description;
use mailstorm_shared::time_in_words::measured_seconds;
use serde_json::{Value, json};
use std::fmt::Write;

/// Everything that came of a visit.
pub(super) struct Board {
    pub bounds: Bounds,
    /// For how many seconds each first find was shrunk, if it was.
    pub shrink_seconds: Option<u64>,
    pub storms: Storms,
    pub rows: Vec<Row>,
    pub sound: Vec<Sound>,
}

/// One defect.
pub(super) struct Row {
    pub exhibit: &'static Exhibit,
    pub hunts: Hunts,
    pub seconds: f64,
    pub shrunk: Option<Told>,
}

/// The sound build on the seeds that were used in one scenario.
pub(super) struct Sound {
    pub scenario: &'static str,
    pub storms: Storms,
    pub seeds: u64,
    /// Seed and fingerprint.
    pub violations: Vec<(u64, String)>,
    pub seconds: f64,
}

/// The goals of the museum, in seeds.
const MEDIAN_GOAL: u64 = 100;
const P95_GOAL: u64 = 1_000;

const NAME_WIDTH: usize = 38;

/// The head of the table for people.
pub(super) fn head() -> String {
    format!(
        "{:NAME_WIDTH$} {:>7} {:>7} {:>7} {:>8} {:>8}  fired\n",
        "defect", "found", "median", "p95", "seeds", "seconds"
    )
}

impl Row {
    fn is_found(&self) -> bool {
        self.hunts.right() > 0
    }

    /// Whether it is found as fast as the goals say.
    fn is_quick(&self) -> bool {
        let within = |percent, goal| self.hunts.percentile(percent).is_some_and(|n| n <= goal);
        within(50, MEDIAN_GOAL) && within(95, P95_GOAL)
    }

    fn found(&self) -> String {
        format!("{}/{}", self.hunts.right(), self.hunts.count())
    }

    fn seeds(&self, percent: u64) -> String {
        self.hunts.percentile(percent).map_or_else(|| "-".to_owned(), |seeds| seeds.to_string())
    }

    fn fired(&self) -> String {
        let fired = self.hunts.fired();
        let mut fired: Vec<_> = fired.into_iter().collect();
        fired.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
        let fired: Vec<_> =
            fired.into_iter().map(|(what, times)| format!("{what} {times}")).collect();
        if fired.is_empty() { "nothing".to_owned() } else { fired.join(", ") }
    }

    /// Its line of the table for people.
    pub(super) fn line(&self) -> String {
        let wrong = match self.hunts.wrong() {
            0 => String::new(),
            wrong => format!("  ({wrong} by a wrong checker)"),
        };
        let shrunk = self.shrunk.as_ref().map(|told| {
            format!(
                "\n{:NAME_WIDTH$} shrunk: faults {} -> {}, {}, {}",
                "",
                told.faults_before,
                told.faults_after,
                measured_seconds(told.seconds),
                numbered(told.runs, "run")
            )
        });
        format!(
            "{:NAME_WIDTH$} {:>7} {:>7} {:>7} {:>8} {:>8.1}  {}{wrong}{}\n",
            self.exhibit.name(),
            self.found(),
            self.seeds(50),
            self.seeds(95),
            self.hunts.attempts(),
            self.seconds,
            self.fired(),
            shrunk.unwrap_or_default()
        )
    }

    fn json(&self) -> Value {
        let first = self.hunts.first_find();
        json!({
            "defect": self.exhibit.name(),
            "report": self.exhibit.defect.report,
            "hunts": self.hunts.count(),
            "found": self.hunts.right(),
            "found_by_wrong_checker": self.hunts.wrong(),
            "median": self.hunts.percentile(50),
            "p95": self.hunts.percentile(95),
            "seeds": self.hunts.attempts(),
            "seconds": self.seconds,
            "fired": self.hunts.fired(),
            "first": first.map(|find| json!({
                "scenario": find.scenario,
                "seed": find.seed,
                "plan": find.plan.as_ref().map(Plan::to_toml),
            })),
            "shrunk": self.shrunk,
        })
    }
}

impl Sound {
    /// Its line for people.
    pub(super) fn line(&self) -> String {
        let Self { scenario, storms, seeds, violations, seconds } = self;
        let mut out = format!(
            "sound build: {scenario} seeds 1..{seeds}: {}, {}\n",
            numbered(violations.len() as u64, "violation"),
            measured_seconds(*seconds)
        );
        for (seed, fingerprint) in violations {
            // A guided run is made again by the sweep that leads to it.
            let again = if storms.is_guided {
                format!("storm {scenario} --guided --seeds 1..{seed}")
            } else {
                format!("replay {scenario} --seed {seed}")
            };
            out += &format!("  {fingerprint}: mailstorm {again}\n");
        }
        out
    }
}

impl Board {
    fn missed(&self) -> Vec<&str> {
        self.rows.iter().filter(|row| !row.is_found()).map(|row| row.exhibit.name()).collect()
    }

    fn is_sound(&self) -> bool {
        self.sound.iter().all(|sound| sound.violations.is_empty())
    }

    /// How it ends: a sound build that is accused outweighs a defect that hides.
    pub(super) fn exit_code(&self) -> ExitCode {
        if !self.is_sound() {
            ExitCode::Violation
        } else if self.missed().is_empty() {
            ExitCode::Pass
        } else {
            ExitCode::Unknown
        }
    }

    /// The sum, for people.
    pub(super) fn foot(&self) -> String {
        let found = self.rows.iter().filter(|row| row.is_found()).count();
        let quick = self.rows.iter().filter(|row| row.is_quick()).count();
        let mut out = format!(
            "{found} of {} defects found, {quick} of them with a median of at most {MEDIAN_GOAL} seeds and a p95 \
             of at most {P95_GOAL}\n",
            self.rows.len()
        );
        if !self.missed().is_empty() {
            out += &format!("not found: {}\n", self.missed().join(", "));
        }
        out + &self.shrunk()
    }

    /// The sum of all searches for smaller cases; nothing if there was none.
    fn shrunk(&self) -> String {
        let told = || self.rows.iter().filter_map(|row| row.shrunk.as_ref());
        let mut faults: Vec<usize> = told().map(|told| told.faults_after).collect();
        let mut seconds: Vec<f64> = told().map(|told| told.seconds).collect();
        faults.sort_unstable();
        seconds.sort_by(f64::total_cmp);
        let middle = faults.len() / 2;
        let (Some(most), Some(longest)) = (faults.last(), seconds.last()) else {
            return String::new();
        };
        format!(
            "{} shrunk, each with its fingerprint: {} left in the median, {most} at the \
             most; {} of search in the median, {} at the most\n",
            numbered(faults.len() as u64, "first find"),
            numbered(faults[middle] as u64, "fault"),
            measured_seconds(seconds[middle]),
            measured_seconds(*longest)
        )
    }

    /// For machines.
    pub(super) fn json(&self) -> String {
        let sound = |sound: &Sound| {
            json!({
                "scenario": sound.scenario,
                "seeds": sound.seeds,
                "violations": sound.violations,
                "seconds": sound.seconds,
            })
        };
        let all = json!({
            "repeats": self.bounds.repeats,
            "cap": self.bounds.seeds,
            "all_faults": self.storms.has_all_faults,
            "guided": self.storms.is_guided,
            "defects": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
            "sound": self.sound.iter().map(sound).collect::<Vec<_>>(),
            "found": self.rows.len() - self.missed().len(),
            "not_found": self.missed(),
        });
        serde_json::to_string_pretty(&all).expect("plain data with string keys") + "\n"
    }

    /// As a page.
    pub(super) fn markdown(&self) -> String {
        let mut out = String::new();
        self.write_markdown(&mut out).expect("writing to a string cannot fail");
        out
    }

    fn write_markdown(&self, out: &mut String) -> std::fmt::Result {
        let Bounds { repeats, seeds } = self.bounds;
        let shrink =
            self.shrink_seconds.map(|seconds| format!(" --shrink {seconds}s")).unwrap_or_default();
        let all_faults = if self.storms.has_all_faults { " --all-faults" } else { "" };
        writeln!(
            out,
            "# The museum of defects\n\n\
             Historical bugs that the laboratory can put back, and how many seeds it takes until a checker fires.\n\
             This page is made by\n\n\
             ```sh\ncargo run --release -- museum --repeats {repeats} --seeds {seeds}{all_faults}{shrink} --markdown docs/museum.md\n```\n\n\
             One attempt is one run with the defect planted. The attempts of a defect take its scenarios in turn,\n\
             each with seeds 1, 2, 3, ...; a hunt ends with the first violation or after {seeds} attempts, and the next\n\
             begins with the attempt after it. *Found* counts the hunts that a right checker ended, one whose property\n\
             the defect breaks. A defect of which the first two hunts come to the cap is given up. The p95 is that of the\n\
             nearest rank: with fewer than twenty hunts, the longest. Seconds are those of the machine that made the\n\
             page. Where one seed is enough, a checker sees the mistake itself, on the disks and in the messages of the\n\
             servers, and does not wait until a client is harmed.\n\n\
             {}\n\n\
             | defect | report | found | median | p95 | seeds | seconds | fired |\n|---|---|---|---|---|---|---|---|",
            self.foot().trim_end().replace('\n', "\n\n")
        )?;
        for row in &self.rows {
            writeln!(
                out,
                "| [`{name}`](#{name}) | {} | {} | {} | {} | {} | {:.1} | {} |",
                row.exhibit.defect.report,
                row.found(),
                row.seeds(50),
                row.seeds(95),
                row.hunts.attempts(),
                row.seconds,
                row.fired(),
                name = row.exhibit.name(),
            )?;
        }
        writeln!(out, "\nThe sound build on the same seeds:\n")?;
        for sound in &self.sound {
            let Sound { scenario, seeds, violations, .. } = sound;
            writeln!(out, "- `{scenario}`, seeds 1 to {seeds}: {} violations", violations.len())?;
        }
        writeln!(out, "\n## The exhibits")?;
        for Row { exhibit, hunts, shrunk, .. } in &self.rows {
            let Description { name, line, report, .. } = exhibit.defect;
            writeln!(out, "\n### {name}\n\n{line} ({report})")?;
            if let Some(account) = exhibit.account {
                writeln!(out, "\n{account}")?;
            }
            if let Some(find) = hunts.first_find() {
                writeln!(
                    out,
                    "\n```sh\nmailstorm replay {} --seed {} --defect {}    # {}\n```",
                    find.scenario, find.seed, name, find.fingerprint
                )?;
            }
            if let Some(told) = shrunk {
                writeln!(
                    out,
                    "\nShrunk, from {} to {}:\n",
                    numbered(told.faults_before as u64, "fault"),
                    told.faults_after
                )?;
                writeln!(out, "```toml\n{}```", told.case)?;
            }
        }
        Ok(())
    }
}
