//! A sweep's sum for the terminal: what was done, the verdict, the figures, and what is next.
//!
//! Holds: the same runs give the same text, but for figures of real time; at its width no line is
//! longer, but for what is copied and pasted ([`fold`](crate::fold) sees to sentences).
//! Start at [`text`]; the list of columns is `layout`'s.

use crate::ended::{self, Ended};
use crate::escape::quoted_path;
use crate::layout::{WIDTH, columns, hung};
use crate::summary::{Group, Summary};
use mailstorm_record::Violation;
use mailstorm_record::sentence::{quantity, spaced};
use mailstorm_shared::time_in_words::{measured, measured_seconds, moment};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// What a sweep did and what held, as parts of a sentence; only the scenario knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// Who took part: `five servers and four workers`.
    pub cast: String,
    /// What held in a run that passed: `every one of 100 mails was processed exactly once`.
    pub promise: String,
    /// Whether each seed drew its own storm.
    pub is_drawn: bool,
}

impl Default for Deed {
    fn default() -> Self {
        let promise = "everything that is checked held".to_owned();
        Self { cast: String::new(), promise, is_drawn: true }
    }
}

/// The whole summary: what was done and the verdict first, then the figures. Violations, what is
/// missing and the verdict again come last: a terminal shows the end.
pub fn text(summary: &Summary, deed: &Deed, width: usize) -> String {
    let mut out = String::new();
    write_summary(&mut out, summary, deed, width).expect("writing to a string cannot fail");
    out
}

/// What comes after the sums of all sweeps: the page of them, and a command to go on with.
pub fn closing(summaries: &[Summary], page: &str) -> String {
    format!("  page     {page}\n  next     {}\n", next(summaries))
}

/// The command that most people want next.
fn next(summaries: &[Summary]) -> String {
    let groups = || {
        summaries.iter().flat_map(|s| s.groups_told().into_iter().map(move |(_, group)| (s, group)))
    };
    let shrunk = groups().find(|(_, group)| group.shrunk.is_some());
    if let Some((s, group)) = shrunk.or_else(|| groups().next()) {
        return match &group.shrunk {
            Some(case) => format!("{} --open", s.with_case("report", case)),
            None => format!("mailstorm report {} --open", s.again(group)),
        };
    }
    let is_short = |s: &&Summary| s.goals_to_tell().next().is_some();
    let missed = summaries.iter().find(|s| is_short(s) && s.shard == crate::Shard::WHOLE);
    missed.map_or("mailstorm learn".to_owned(), |s| {
        let last = s.first_seed.saturating_add((s.seeds * 2).max(200) - 1);
        s.storm_again(&format!("{}..{last}", s.first_seed))
    })
}

/// What is counted in a sweep, without any figure of real time: the same runs, the same text.
pub(crate) fn counted(summary: &Summary) -> String {
    let mut out = String::new();
    let virtual_time = measured_seconds(summary.virtual_seconds);
    write_counted(&mut out, summary, WIDTH)
        .and_then(|()| writeln!(out, "  virtual   {virtual_time}"))
        .and_then(|()| write_covered(&mut out, summary, WIDTH))
        .expect("writing to a string cannot fail");
    out
}

fn write_counted(out: &mut String, s: &Summary, width: usize) -> std::fmt::Result {
    let mut list = |head: &str, rows: Vec<(String, String)>| {
        if rows.is_empty() {
            return Ok(());
        }
        writeln!(out, "{head}")?;
        columns(&rows, width, 2).iter().try_for_each(|line| writeln!(out, "{line}"))
    };
    let reached = s.reached.iter().map(|(goal, n)| (spaced(goal), grouped(*n)));
    list("reached, times in all runs", reached.collect())?;
    let told = |n: u64, of: u64| format!("{}/{}", grouped(n), grouped(of));
    let faults = s.faults.iter().map(|(kind, n)| (spaced(kind), told(n.effective, n.injected)));
    list("faults, effective/injected", faults.collect())?;
    let short = |mean: &str, most: &str| format!("{mean}/{most}");
    // What the cores kept in memory is for the page and the results: it is much, and seldom asked
    // for.
    let is_told = |name: &String| !name.starts_with("kept_");
    let told = s.figures.iter().filter(|(name, _)| is_told(name));
    let told = told.map(|(name, n)| (name.clone(), *n)).collect();
    list("figures, mean/most", figures(&told, short))?;
    let messages = numbered(s.messages, "message");
    let events = numbered(s.events, "event");
    let told = format!("{messages}, {}, {events} of the clockwork", bytes(s.bytes));
    labelled(out, "volume", &told, width)
}

/// An amount of data in the unit that says most: `21.8 MB`.
fn bytes(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => numbered(bytes, "byte"),
    }
}

/// A line with its label, folded.
fn labelled(out: &mut String, label: &str, told: &str, width: usize) -> std::fmt::Result {
    const INDENT: usize = 12;
    let line = format!("  {label:<8}  {told}");
    hung(&line, width, INDENT).iter().try_for_each(|line| writeln!(out, "{line}"))
}

fn write_summary(out: &mut String, s: &Summary, deed: &Deed, width: usize) -> std::fmt::Result {
    let mut prose = |line: &str, indent: usize| {
        hung(line, width, indent).iter().try_for_each(|line| writeln!(out, "{line}"))
    };
    if s.was_not_begun() {
        prose(&format!("INTERRUPTED  {}: not begun; see the end.", s.scenario), 6)?;
        out.push('\n');
        out.push_str(&ended::closing(s));
        return Ok(());
    }
    prose(&headline(s, deed), 6)?;
    out.push('\n');
    write_counted(out, s, width)?;
    let seeds_per_second = if s.wall_seconds > 0.0 { s.seeds as f64 / s.wall_seconds } else { 0.0 };
    let speed = format!(
        "{} virtual in {} with {}: {}x real time, {seeds_per_second:.1} seeds/s",
        measured_seconds(s.virtual_seconds),
        measured_seconds(s.wall_seconds),
        numbered(s.jobs as u64, "job"),
        grouped(s.speedup as u64),
    );
    labelled(out, "speed", &speed, width)?;
    write_covered(out, s, width)?;
    out.push('\n');
    for (why, count) in &s.unknown_whys {
        writeln!(out, "UNKNOWN    {why} ({})", numbered(*count, "seed"))?;
    }
    for (fingerprint, group) in s.groups_told() {
        write_group(out, s, fingerprint, group)?;
    }
    let missed: Vec<_> = s.goals_to_tell().map(spaced).collect();
    if !missed.is_empty() {
        writeln!(
            out,
            "NOT REACHED  {}: the storms never came that far; run more seeds",
            missed.join(", ")
        )?;
    }
    for (kind, injected) in s.vain_to_tell() {
        writeln!(
            out,
            "IN VAIN      {}: injected {} and never changed anything; look at what it strikes",
            spaced(kind),
            numbered(injected, "time")
        )?;
    }
    writeln!(out, "{}; {}", verdicts(s), measured_seconds(s.wall_seconds))?;
    out.push_str(&ended::closing(s));
    Ok(())
}

/// The verdict, and what was run, in a sentence.
fn headline(s: &Summary, deed: &Deed) -> String {
    let storms = match (s.seeds, deed.is_drawn) {
        (1, true) => "a storm",
        (1, false) => "under its own faults",
        (_, true) => "each a different storm",
        (_, false) => "each under the same faults",
    };
    let over = if deed.cast.is_empty() { String::new() } else { format!(" over {}", deed.cast) };
    let done = format!("{}, {}, {storms}{over}", s.scenario, s.seeds_told());
    let some = |number: u64| match number == s.seeds {
        true if number == 1 => "the run".to_owned(),
        true => format!("all {} runs", grouped(number)),
        false => format!("{} of {} runs", grouped(number), grouped(s.seeds)),
    };
    match s.ended() {
        Ended::Failed => format!("FAIL  {done}: it could not go on; see the end."),
        Ended::Interrupted => {
            format!("INTERRUPTED  {done}: nothing was broken so far; see the end.")
        }
        Ended::Pass | Ended::Violation if s.expected().is_some() => {
            let word = if s.ended() == Ended::Pass { "PASS" } else { "FAIL" };
            format!("{word}  {done}: {}.", ended::share(s))
        }
        Ended::NotDeterministic => {
            let was = verb(s.not_deterministic, "was", "were");
            let some = some(s.not_deterministic);
            format!("FAIL  {done}: {some} {was} not the same in a second process.")
        }
        Ended::Violation => format!(
            "FAIL  {done}: {} broke what is checked, in {}; see the end.",
            some(s.violation),
            quantity(s.groups.len() as u64, "way")
        ),
        Ended::Unknown if s.unknown > 0 => {
            format!("UNKNOWN  {done}: {} could not be judged; see the end.", some(s.unknown))
        }
        Ended::Unknown => {
            format!("UNKNOWN  {done}: all pass, and yet too little happened; see the end.")
        }
        Ended::Pass if s.seeds == 1 => format!("PASS  {done}: {}.", deed.promise),
        Ended::Pass => format!("PASS  {done}: {} in each of them.", deed.promise),
    }
}

fn write_covered(out: &mut String, s: &Summary, width: usize) -> std::fmt::Result {
    if let Some(seed) = s.last_new_seed {
        let states = numbered(s.states, "state");
        let told = format!("{states} of the protocol; the last new one at seed {seed}");
        labelled(out, "coverage", &told, width)?;
    }
    labelled(out, "trace", &s.trace_hash, width)
}

/// How many seeds ended how, in a line.
pub(crate) fn verdicts(s: &Summary) -> String {
    let distinct = match s.groups.len() {
        0 => String::new(),
        kinds => format!(" ({kinds} distinct)"),
    };
    format!(
        "{}: {} pass, {}{distinct}, {} unknown; reached {}/{}",
        numbered(s.seeds, "seed"),
        grouped(s.pass),
        numbered(s.violation, "violation"),
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
        "  group    {fingerprint}: {}, {} {}{more}; {} in the first plan",
        numbered(group.count, "time"),
        if named.len() == 1 && more.is_empty() { "seed" } else { "seeds" },
        named.join(", "),
        numbered(group.faults as u64, "fault")
    )?;
    if let Some(shrunk) = &group.shrunk {
        let left = shrunk.faults;
        writeln!(
            out,
            "  shrunk   {}   # faults {} -> {left}",
            s.with_case("replay", shrunk),
            group.faults
        )?;
        shrunk.story.iter().try_for_each(|line| writeln!(out, "           {line}"))?;
        if shrunk.untried > 0 {
            let cases = numbered(shrunk.untried, "simpler case");
            let were = verb(shrunk.untried, "was", "were");
            let go_on = s.with_case("shrink", shrunk);
            let why = if shrunk.is_interrupted { "interrupted" } else { "budget spent" };
            writeln!(out, "           {why}: {cases} {were} not tried")?;
            writeln!(out, "  go on    {go_on}")?;
        }
    }
    let report = group.report.as_ref().map(|file| quoted_path(s.path(file)));
    report.iter().try_for_each(|file| writeln!(out, "  report   {file}"))
}

/// What a violation says of itself: what, when, who, and the line that replays it; `again` is what
/// stands in it after `mailstorm replay`.
pub fn violation_lines(violation: &Violation, seed: u64, again: &str, trace: &str) -> String {
    let line = violation_line(violation, seed);
    format!("{line}\n  replay   mailstorm replay {again}   # trace {trace}\n")
}

/// What, when, who.
pub(crate) fn violation_line(violation: &Violation, seed: u64) -> String {
    let nodes: Vec<_> = violation.nodes.iter().map(|node| &*node.0).collect();
    let who = if nodes.is_empty() { String::new() } else { format!(" [{}]", nodes.join(", ")) };
    format!(
        "VIOLATION  {}  seed {seed}  at {}{who}: {}",
        violation.name(),
        moment(violation.at_ns),
        violation.detail,
    )
}

/// A number with a comma every three digits.
pub fn grouped(number: u64) -> String {
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

/// A number of things, in the right form: `1 seed`, `1,000 seeds`.
pub fn numbered(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// The form of a verb that goes with so many things: `verb(1, "was", "were")`.
pub fn verb(number: u64, one: &'static str, many: &'static str) -> &'static str {
    if number == 1 { one } else { many }
}

/// Figures for people: the three numbers of a measured quantity as its mean and its maximum, which
/// `told` puts together; counts as they are; spans of time with their unit. What was never measured
/// is left out.
pub(crate) fn figures(
    all: &BTreeMap<String, u64>,
    told: impl Fn(&str, &str) -> String,
) -> Vec<(String, String)> {
    let span = |ms: u64| measured(Duration::from_millis(ms));
    let mut rows = Vec::new();
    for (name, value) in all {
        let parts = |stem: &str| {
            let part = |suffix| all.get(&format!("{stem}_{suffix}")).copied();
            Some((part("count")?, part("sum")?, part("max")?))
        };
        if let Some((count, sum, max)) = name.strip_suffix("_count").and_then(parts) {
            if count > 0 {
                let mean = sum as f64 / count as f64;
                let stem = name.trim_end_matches("_count");
                rows.push(match stem.strip_suffix("_ms") {
                    Some(stem) => (spaced(stem), told(&span(mean.round() as u64), &span(max))),
                    None => (spaced(stem), told(&format!("{mean:.2}"), &grouped(max))),
                });
            }
            continue;
        }
        let is_part = ["_sum", "_max"]
            .iter()
            .any(|suffix| name.strip_suffix(suffix).and_then(parts).is_some());
        if !is_part {
            rows.push(match name.strip_suffix("_ms") {
                Some(stem) => (spaced(stem), span(*value)),
                None => (spaced(name), grouped(*value)),
            });
        }
    }
    rows
}

/// The mean and the maximum in words, for [`figures`].
pub(crate) fn mean_and_most(mean: &str, most: &str) -> String {
    format!("mean {mean}, most {most}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold;
    use crate::samples::{failing, passing};
    use crate::summary::ShrunkRun;
    use mailstorm_record::FaultCount;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(["0", "999", "1,000", "1,234,567"], [0, 999, 1_000, 1_234_567].map(grouped)[..]);
    }

    #[test]
    fn a_measured_quantity_is_one_row() {
        let all = [("a_count", 2), ("a_max", 5), ("a_sum", 7), ("b", 1_000), ("c_max", 3)];
        let all = all.map(|(name, value)| (name.to_owned(), value)).into();
        let rows = figures(&all, mean_and_most);
        let rows: Vec<_> = rows.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
        assert_eq!(rows, [("a", "mean 3.50, most 5"), ("b", "1,000"), ("c max", "3")]);
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
             replay   mailstorm replay mail-claims --seed 42   # trace 00ff\n"
        );
    }

    /// As the storm of a README's first command, but for the number of goals.
    fn deed() -> Deed {
        Deed {
            cast: "five servers and four workers".into(),
            promise: "every one of 100 mails was processed exactly once".into(),
            is_drawn: true,
        }
    }

    #[test]
    fn a_sum_has_the_verdict_first_then_the_figures_and_the_verdict_again() {
        let mut sum = passing("mail-claims");
        for goal in ["session_expired_while_its_owner_was_paused", "truncated", "dead_letter"] {
            sum.reached.insert(goal.into(), 1_000);
        }
        for kind in ["leader_disk_stall", "misdirected_write", "ring"] {
            sum.faults.insert(kind.into(), FaultCount { injected: 421, effective: 398 });
        }
        let figures = [("heal_to_end_ms_count", 2), ("heal_to_end_ms_sum", 18_000)];
        let figures = [&figures[..], &[("heal_to_end_ms_max", 12_345), ("mails", 20_000)]].concat();
        sum.figures = figures.into_iter().map(|(name, n)| (name.to_owned(), n)).collect();
        sum.bytes = 217_916_740;
        let expected = "\
PASS  mail-claims, seeds 1..200, each a different storm over five servers and
      four workers: every one of 100 mails was processed exactly once in each of
      them.

reached, times in all runs
  dead letter  1,000   session expired while its owner was paused  1,000
  leader died     42   truncated                                   1,000
faults, effective/injected
  crash                88/99   misdirected write  398/421
  leader disk stall  398/421   ring               398/421
figures, mean/most
  heal to end  9.0 s/12.3 s   mails  20,000
  volume    1,000,000 messages, 217.9 MB, 0 events of the clockwork
  speed     3 h 20 min virtual in 3.0 s with 2 jobs: 0x real time, 66.7 seeds/s
  coverage  1,234 states of the protocol; the last new one at seed 150
  trace     0000000000000000

200 seeds: 200 pass, 0 violations, 0 unknown; reached 4/4; 3.0 s
";
        assert_eq!(text(&sum, &deed(), 80), expected);
        let next = closing(std::slice::from_ref(&sum), "runs/index.html");
        assert_eq!(next, "  page     runs/index.html\n  next     mailstorm learn\n");
    }

    #[test]
    fn a_sum_with_violations_says_so_first_and_tells_them_last() {
        let sum = failing("mail-claims");
        let told = text(&sum, &deed(), 80);
        assert!(told.starts_with("FAIL  mail-claims, seeds 1..200, "), "{told}");
        assert!(told.contains("13 of 200 runs broke what is checked, in one way;"), "{told}");
        let last: Vec<_> = told.lines().rev().take(7).collect();
        assert!(last[6].starts_with("VIOLATION  split-brain/mutex  seed 7  at 17.200 s"), "{told}");
        assert!(last[0].starts_with("200 seeds: 187 pass, 13 violations (1 distinct)"), "{told}");
        let next = closing(&[passing("ensemble"), sum], "x/index.html");
        assert!(next.ends_with("  next     mailstorm report mail-claims/7/case.toml --open\n"));
    }

    #[test]
    fn goals_that_were_missed_ask_for_more_seeds() {
        let mut sum = passing("ensemble");
        sum.reached.insert("two_believed_to_lead".into(), 0);
        let told = text(&sum, &Deed::default(), 80);
        assert!(told.starts_with("UNKNOWN  ensemble, seeds 1..200, "), "{told}");
        assert!(told.contains("\nNOT REACHED  two believed to lead: "), "{told}");
        let next = closing(&[sum], "index.html");
        assert!(next.ends_with("  next     mailstorm storm ensemble --seeds 1..400\n"), "{next}");
    }

    #[test]
    fn a_search_that_was_cut_short_says_how_it_goes_on() {
        let mut sum = failing("mail-claims");
        let group = sum.groups.values_mut().next().expect("there is one");
        let shrunk = group.shrunk.as_mut().expect("it is shrunk");
        shrunk.untried = 1;
        let interrupted = ShrunkRun { is_interrupted: true, ..shrunk.clone() };
        let told = text(&sum, &deed(), 80);
        let go_on = "budget spent: 1 simpler case was not tried\n  go on    \
                     mailstorm shrink mail-claims/7/case.toml\n";
        assert!(told.contains(go_on), "{told}");
        sum.groups.values_mut().for_each(|group| group.shrunk = Some(interrupted.clone()));
        let told = text(&sum, &deed(), 80);
        assert!(told.contains(&go_on.replace("budget spent", "interrupted")), "{told}");
    }

    #[test]
    fn of_a_sweep_that_was_not_begun_nothing_else_is_told() {
        let mut sum = passing("mail-claims");
        sum.reached.values_mut().for_each(|count| *count = 0);
        sum.seeds = 0;
        sum.stopped = Some(crate::Stop::Interrupted);
        let told = text(&sum, &deed(), 80);
        assert!(told.starts_with("INTERRUPTED  mail-claims: not begun; see the end.\n"), "{told}");
        for word in ["NOT REACHED", "nothing was broken", "volume", "0 seeds: "] {
            assert!(!told.contains(word), "'{word}' in {told}");
        }
        let summary = crate::markdown::markdown(&[sum]);
        assert!(!summary.contains("0 of 0") && !summary.contains("Never reached"), "{summary}");
    }

    #[test]
    fn a_command_is_made_of_its_verb_and_a_path_whatever_the_path_says() {
        let mut sum = failing("mail-claims");
        sum.folder = "mailstorm replay x".into();
        for group in sum.groups.values_mut() {
            group.shrunk.as_mut().expect("it is shrunk").untried = 1;
        }
        let told = text(&sum, &deed(), 80);
        let case = "'mailstorm replay x/mail-claims/7/case.toml'";
        for line in [
            format!("  shrunk   mailstorm replay {case}   # "),
            format!("\n  go on    mailstorm shrink {case}\n"),
            "\n  report   'mailstorm replay x/mail-claims/7/report.html'\n".to_owned(),
        ] {
            assert!(told.contains(&line), "no '{line}' in {told}");
        }
        let next = closing(&[sum], "index.html");
        assert!(next.ends_with(&format!("  next     mailstorm report {case} --open\n")), "{next}");
    }

    /// Names like those of goals and kinds.
    fn name() -> impl Strategy<Value = String> {
        prop::collection::vec("[a-z]{1,12}", 1..8).prop_map(|words| words.join("_"))
    }

    fn summaries() -> impl Strategy<Value = Summary> {
        let number = || prop_oneof![0u64..10, 0u64..100_000, 0u64..1_000_000_000_000];
        let counts = || prop::collection::btree_map(name(), number(), 0..40);
        let told = "([a-z0-9#:-]{1,14} ){0,40}[a-z]{1,14}";
        (counts(), counts(), counts(), number(), (told, any::<bool>(), 0u64..3)).prop_map(
            |(reached, faults, figures, number, (told, fails, untried))| {
                let mut sum = if fails { failing("mail-claims") } else { passing("mail-claims") };
                sum.reached = reached;
                let count = |(kind, n)| (kind, FaultCount { injected: n, effective: n / 2 });
                sum.faults = faults.into_iter().map(count).collect();
                sum.figures = figures;
                (sum.messages, sum.bytes, sum.events, sum.states) =
                    (number, number, number, number);
                sum.unknown_whys = [(told.clone(), number)].into();
                for group in sum.groups.values_mut() {
                    group.first.detail = told.clone();
                    let shrunk = group.shrunk.as_mut().expect("it is shrunk");
                    shrunk.story = vec![told.clone()];
                    shrunk.untried = untried;
                }
                sum
            },
        )
    }

    proptest! {
        #[test]
        fn at_every_width_no_line_is_longer_and_no_word_is_cut(sum in summaries()) {
            let words = |text: &str| {
                let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
                words.sort();
                words
            };
            let told = |width| {
                let all = [sum.clone()];
                fold(&(text(&sum, &deed(), width) + &closing(&all, "runs/index.html")), width)
            };
            let whole = words(&told(100_000));
            for width in [60, 80, 120] {
                let told = told(width);
                for line in told.lines() {
                    let is_copied = line.contains(" mailstorm ");
                    prop_assert!(line.chars().count() <= width || is_copied, "{width}: {line}");
                    prop_assert_eq!(line, line.trim_end());
                }
                prop_assert_eq!(words(&told), whole.clone());
            }
        }
    }
}
