//! What a search has refuted: cases that do not keep the violation, so that a search which goes on
//! need not run them again.
//!
//! Holds: what is known is of one run of one version; read for any other, nothing is known.
//! Start at [`Refuted`].

use mailstorm_record::{Case, TraceHash};
use mailstorm_shared::StateHasher;
use std::collections::BTreeSet;
use std::fmt::Write;

/// Cases that were run and do not keep the violation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refuted(BTreeSet<u64>);

impl Refuted {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether this case is one of them.
    pub(crate) fn has(&self, case: &Case) -> bool {
        self.0.contains(&mark(case))
    }

    /// Adds a case. The flag says whether it is new.
    pub(crate) fn add(&mut self, case: &Case) -> bool {
        self.0.insert(mark(case))
    }

    /// As a file beside the case from which the search goes on, whose run has this trace.
    pub fn to_text(&self, case: &Case, trace: TraceHash) -> String {
        let mut text = head(case, trace);
        for mark in &self.0 {
            writeln!(text, "{mark:016x}").expect("a String takes everything");
        }
        text
    }

    /// Reads what was refuted before a search for this case ended; nothing if it is of another
    /// case, or of another laboratory, in which the case is another run.
    pub fn parse(text: &str, case: &Case, trace: TraceHash) -> Self {
        let Some(marks) = text.strip_prefix(&head(case, trace)) else { return Self::default() };
        Self(marks.lines().map_while(|mark| u64::from_str_radix(mark, 16).ok()).collect())
    }
}

fn head(case: &Case, trace: TraceHash) -> String {
    format!("refuted for case {:016x} with trace {trace}\n", mark(case))
}

/// The trace stands beside it.
fn mark(case: &Case) -> u64 {
    StateHasher::of(&Case { trace: None, ..case.clone() }.to_toml())
}
