//! A sweep's sum for the terminal.

use crate::summary::{Group, Summary};
use mailstorm_record::Violation;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The whole summary. Violations and what is missing come last: a terminal shows the end.
pub fn text(summary: &Summary) -> String {
    let mut out = String::new();
    write_summary(&mut out, summary).expect("writing to a string cannot fail");
    out
}

/// What is counted in a sweep, without any figure of real time: the same runs, the same text.
pub(crate) fn counted(summary: &Summary) -> String {
    let mut out = String::new();
    write_counted(&mut out, summary)
        .and_then(|()| writeln!(out, "  virtual   {}", span(summary.virtual_seconds)))
        .and_then(|()| write_covered(&mut out, summary))
        .expect("writing to a string cannot fail");
    out
}

fn write_counted(out: &mut String, s: &Summary) -> std::fmt::Result {
    if !s.reached.is_empty() {
        writeln!(out, "  reached, times in all runs")?;
        columns(out, s.reached.iter().map(|(goal, n)| (goal.as_str(), grouped(*n))))?;
    }
    if !s.faults.is_empty() {
        writeln!(out, "  faults, effective of injected")?;
        let told = |n: u64, of: u64| format!("{} of {}", grouped(n), grouped(of));
        columns(
            out,
            s.faults.iter().map(|(kind, n)| (kind.as_str(), told(n.effective, n.injected))),
        )?;
    }
    if !s.figures.is_empty() {
        writeln!(out, "  figures")?;
        let rows = figures(&s.figures);
        columns(out, rows.iter().map(|(name, told)| (name.as_str(), told.clone())))?;
    }
    writeln!(
        out,
        "  messages  {} delivered, {} bytes; {} events of the clockwork",
        grouped(s.messages),
        grouped(s.bytes),
        grouped(s.events)
    )
}

fn write_summary(out: &mut String, s: &Summary) -> std::fmt::Result {
    writeln!(out, "{}  {}", s.scenario, s.seeds_told())?;
    write_counted(out, s)?;
    writeln!(
        out,
        "  speed     {} virtual in {:.1} s with {} jobs: {}x real time, {} messages/s, {:.1} seeds/s",
        span(s.virtual_seconds),
        s.wall_seconds,
        s.jobs,
        grouped(s.speedup as u64),
        grouped(s.messages_per_second as u64),
        if s.wall_seconds > 0.0 { s.seeds as f64 / s.wall_seconds } else { 0.0 }
    )?;
    write_covered(out, s)?;
    for (why, count) in &s.unknown_whys {
        writeln!(out, "UNKNOWN    {why} ({} seeds)", grouped(*count))?;
    }
    for (fingerprint, group) in &s.groups {
        write_group(out, s, fingerprint, group)?;
    }
    let missed: Vec<_> = s.goals_missed().collect();
    // What a violation cut short was not to come that far, nor storms that are not as the scenario has them.
    if !missed.is_empty() && s.violation == 0 && s.replay_options.is_empty() {
        writeln!(
            out,
            "NOT REACHED  {}: the storms never came that far; run more seeds",
            missed.join(", ")
        )?;
    }
    for (kind, injected) in s.faults_in_vain() {
        writeln!(
            out,
            "IN VAIN      {kind}: injected {injected} times and never changed anything; look at what it strikes"
        )?;
    }
    writeln!(
        out,
        "{}; {:.1} s, {}x real time",
        verdicts(s),
        s.wall_seconds,
        grouped(s.speedup as u64)
    )
}

fn write_covered(out: &mut String, s: &Summary) -> std::fmt::Result {
    if let Some(seed) = s.last_new_seed {
        let states = grouped(s.states);
        writeln!(
            out,
            "  coverage  {states} states of the protocol; the last new one at seed {seed}"
        )?;
    }
    writeln!(out, "  trace     {}", s.trace_hash)
}

/// How many seeds ended how, in a line.
pub(crate) fn verdicts(s: &Summary) -> String {
    format!(
        "{} seed{}: {} pass, {} violation{} ({} distinct), {} unknown; reached {}/{}",
        grouped(s.seeds),
        if s.seeds == 1 { "" } else { "s" },
        grouped(s.pass),
        grouped(s.violation),
        if s.violation == 1 { "" } else { "s" },
        s.groups.len(),
        grouped(s.unknown),
        s.goals_reached(),
        s.reached.len()
    )
}

fn write_group(
    out: &mut String,
    s: &Summary,
    fingerprint: &str,
    group: &Group,
) -> std::fmt::Result {
    let again = s.again(group);
    out.push_str(&violation_lines(&group.first, group.first_seed, &again, &group.first_trace));
    let named: Vec<_> = group.seeds.iter().map(u64::to_string).collect();
    let more = if group.count > named.len() as u64 { ", ..." } else { "" };
    writeln!(
        out,
        "  group    {fingerprint}: {} times, seeds {}{more}; {} faults in the first plan",
        grouped(group.count),
        named.join(", "),
        group.faults
    )?;
    if let Some(shrunk) = &group.shrunk {
        let left = shrunk.faults;
        writeln!(
            out,
            "  shrunk   {}   (faults {} -> {left})",
            s.replay_case(shrunk),
            group.faults
        )?;
        shrunk.story.iter().try_for_each(|line| writeln!(out, "           {line}"))?;
    }
    group.report.iter().try_for_each(|file| writeln!(out, "  report   {}", s.path(file)))
}

/// What a violation says of itself: what, when, who, and the line that replays it; `again` is what
/// stands in it after `mailstorm replay`.
pub fn violation_lines(violation: &Violation, seed: u64, again: &str, trace: &str) -> String {
    let line = violation_line(violation, seed);
    format!("{line}\n  replay   mailstorm replay {again}        (trace {trace})\n")
}

/// What, when, who.
pub(crate) fn violation_line(violation: &Violation, seed: u64) -> String {
    let nodes: Vec<_> = violation.nodes.iter().map(|node| &*node.0).collect();
    let who = if nodes.is_empty() { String::new() } else { format!(" [{}]", nodes.join(", ")) };
    format!(
        "VIOLATION  {}/{}  seed {seed}  at {}{who}: {}",
        violation.checker,
        violation.kind,
        seconds(violation.at_ns),
        violation.detail,
    )
}

/// Virtual nanoseconds as seconds with milliseconds.
pub(crate) fn seconds(ns: u64) -> String {
    format!("{}.{:03} s", ns / 1_000_000_000, ns / 1_000_000 % 1_000)
}

/// A long span in the two units that say most.
pub(crate) fn span(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3_600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", grouped(whole / 3_600), whole / 60 % 60),
    }
}

/// A number with a comma every three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Figures for people: the three numbers of a measured quantity as its mean and its maximum, counts as
/// they are. What was never measured is left out.
pub(crate) fn figures(all: &BTreeMap<String, u64>) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    for (name, value) in all {
        let parts = |stem: &str| {
            let part = |suffix| all.get(&format!("{stem}_{suffix}")).copied();
            Some((part("count")?, part("sum")?, part("max")?))
        };
        if let Some((count, sum, max)) = name.strip_suffix("_count").and_then(parts) {
            if count > 0 {
                let mean = sum as f64 / count as f64;
                let stem = name.trim_end_matches("_count").to_owned();
                rows.push((stem, format!("mean {mean:.2}, most {}", grouped(max))));
            }
            continue;
        }
        let is_part = ["_sum", "_max"]
            .iter()
            .any(|suffix| name.strip_suffix(suffix).and_then(parts).is_some());
        if !is_part {
            rows.push((name.clone(), grouped(*value)));
        }
    }
    rows
}

/// Names and values in two columns, so that a long list stays on one screen.
fn columns<'a>(
    out: &mut String,
    rows: impl Iterator<Item = (&'a str, String)>,
) -> std::fmt::Result {
    let rows: Vec<_> = rows.collect();
    let name = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let value = rows.iter().map(|(_, value)| value.len()).max().unwrap_or(0);
    let half = rows.len().div_ceil(2);
    for index in 0..half {
        let (left, count) = &rows[index];
        write!(out, "    {left:<name$}  {count:>value$}")?;
        if let Some((right, count)) = rows.get(half + index) {
            write!(out, "    {right:<name$}  {count:>value$}")?;
        }
        out.push('\n');
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_spans_are_easy_to_read() {
        assert_eq!(["0", "999", "1,000", "1,234,567"], [0, 999, 1_000, 1_234_567].map(grouped)[..]);
        assert_eq!(["1.5 s", "2 min 5 s", "3 h 20 min"], [1.5, 125.0, 12_000.0].map(span)[..]);
        assert_eq!(seconds(17_200_000_000), "17.200 s");
    }

    #[test]
    fn a_measured_quantity_is_one_row() {
        let all = [("a_count", 2), ("a_max", 5), ("a_sum", 7), ("b", 1_000), ("c_max", 3)];
        let all = all.map(|(name, value)| (name.to_owned(), value)).into();
        let rows = figures(&all);
        let rows: Vec<_> = rows.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
        assert_eq!(rows, [("a", "mean 3.50, most 5"), ("b", "1,000"), ("c_max", "3")]);
    }

    #[test]
    fn a_violation_says_what_when_who_and_how_to_see_it_again() {
        let violation = Violation {
            checker: "exactly-once".into(),
            kind: "doubled".into(),
            at_ns: 5_000_000_000,
            nodes: vec!["w1".into(), "sink".into()],
            detail: "m-1 was accepted twice".into(),
            ..Violation::default()
        };
        assert_eq!(
            violation_lines(&violation, 42, "mail-claims --seed 42", "00ff"),
            "VIOLATION  exactly-once/doubled  seed 42  at 5.000 s [w1, sink]: m-1 was accepted twice\n  \
             replay   mailstorm replay mail-claims --seed 42        (trace 00ff)\n"
        );
    }
}
