//! A sweep's sum for the page of a CI job: failures first, and never too large for it.

use crate::summary::Summary;
use crate::text::{text, violation_lines};
use std::fmt::Write;

/// Groups of violations shown at length.
const GROUPS_SHOWN_MAX: usize = 20;

/// The summaries as Markdown.
pub fn markdown(summaries: &[Summary]) -> String {
    let mut out = String::new();
    for summary in summaries {
        write_one(&mut out, summary).expect("writing to a string cannot fail");
    }
    out
}

fn write_one(out: &mut String, s: &Summary) -> std::fmt::Result {
    let mark = if s.violation > 0 { "❌" } else { "✅" };
    writeln!(out, "## {mark} {}: {} of {} seeds pass\n", s.scenario, s.pass, s.seeds)?;
    for group in s.groups.values().take(GROUPS_SHOWN_MAX) {
        let again = s.again(group.first_seed);
        let lines = violation_lines(&group.first, group.first_seed, &again, &group.first_trace);
        writeln!(out, "```text\n{lines}```\n")?;
    }
    if s.groups.len() > GROUPS_SHOWN_MAX {
        writeln!(out, "and {} more kinds of violations\n", s.groups.len() - GROUPS_SHOWN_MAX)?;
    }
    writeln!(out, "<details><summary>figures</summary>\n\n```text\n{}```\n\n</details>\n", text(s))
}
