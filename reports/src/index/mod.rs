//! A sweep as one page that opens from disk: what was found, what was reached, where to look
//! further.
//!
//! Owns: the page of the whole sweep, `index.html`. Leaves: the page of a run to `page`.
//! Holds: no script and no request; links are relative, so that the folder can be moved; no figure
//! of real time, so that the same runs give the same bytes; text from outside is text.
//! Start at [`index`].

use crate::ended::{Ended, Grade, headline, surprise_lines};
use crate::escape::{address, html};
use crate::markdown::{missed, times};
use crate::summary::{Group, Summary};
use crate::text::{figures, grouped, mean_and_most, numbered, verdicts, violation_line};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mailstorm_record::case::VERSION;
use mailstorm_record::spaced;
use mailstorm_shared::time_in_words::{measured_seconds, moment};
use sha2::{Digest, Sha256};
use std::fmt::Write;

const STYLE: &str = include_str!("index.css");

/// The page of these sweeps, one after another.
pub fn index(summaries: &[Summary]) -> String {
    let mut out = String::new();
    write_page(&mut out, summaries).expect("writing to a string cannot fail");
    out
}

fn write_page(out: &mut String, summaries: &[Summary]) -> std::fmt::Result {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    let names: Vec<_> = summaries.iter().map(|s| html(&s.scenario)).collect();
    writeln!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{style}'; \
         base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{} · Mailstorm</title>\n<style>{STYLE}</style>\n</head>\n<body data-ready=\"1\">",
        names.join(", ")
    )?;
    write_head(out, summaries)?;
    writeln!(out, "<main>")?;
    for (place, s) in summaries.iter().enumerate() {
        write_sweep(out, place, s)?;
    }
    writeln!(
        out,
        "</main>\n<footer><p>Mailstorm {VERSION}. A seed is a storm: the same seed, the same run, "
    )?;
    writeln!(out, "on every machine. Times are virtual.</p></footer>\n</body>\n</html>")
}

fn class(ended: Ended) -> &'static str {
    match ended.grade() {
        Grade::Good => "pass",
        Grade::Open => "unknown",
        Grade::Bad => "violation",
    }
}

/// What is said of a sweep in a few words. A sign stands before the colour.
fn verdict(s: &Summary) -> String {
    let sign = match s.ended().grade() {
        Grade::Good => "✓",
        Grade::Open => "?",
        Grade::Bad => "✗",
    };
    format!("{sign} {}", headline(s))
}

fn write_head(out: &mut String, summaries: &[Summary]) -> std::fmt::Result {
    let worst = summaries.iter().map(Summary::ended).min().unwrap_or(Ended::Pass);
    let title = match worst {
        Ended::Pass => "Everything held",
        Ended::Failed => "The sweep could not be finished",
        Ended::Interrupted => "Interrupted before the end",
        Ended::Unknown => "Not everything could be told",
        Ended::Violation => "Something did not hold",
        Ended::NotDeterministic => "The same run was not the same twice",
    };
    writeln!(out, "<header>\n<h1 class=\"{}\">{title}</h1>\n<ul class=\"sweeps\">", class(worst))?;
    for (place, s) in summaries.iter().enumerate() {
        writeln!(
            out,
            "<li class=\"{}\"><a href=\"#sweep-{place}\">{}</a> {}</li>",
            class(s.ended()),
            html(&s.scenario),
            html(&verdict(s))
        )?;
    }
    writeln!(out, "</ul>\n</header>")
}

fn write_sweep(out: &mut String, place: usize, s: &Summary) -> std::fmt::Result {
    writeln!(
        out,
        "<section class=\"sweep\" id=\"sweep-{place}\">\n<h2>{} <span class=\"{}\">{}</span></h2>\n\
         <p class=\"quiet\">{}; {}; exit code {}</p>",
        html(&s.scenario),
        class(s.ended()),
        html(&verdict(s)),
        html(&verdicts(s)),
        s.seeds_told(),
        s.ended().exit_code()
    )?;
    if let Some(inbox) = s.inbox_told() {
        writeln!(out, "<p class=\"quiet\">{}</p>", html(&inbox))?;
    }
    for (missed, surprise) in s.surprises_told() {
        let lines = html(&surprise_lines(s, missed, surprise));
        writeln!(
            out,
            "<article class=\"found\"><h3>not as expected</h3>\n<pre>{lines}</pre></article>"
        )?;
    }
    for line in missed(s) {
        writeln!(out, "<p class=\"missed\">{}</p>", html(&line))?;
    }
    for (why, count) in &s.unknown_whys {
        writeln!(
            out,
            "<p class=\"missed\">Unknown in {}: {}</p>",
            numbered(*count, "seed"),
            html(why)
        )?;
    }
    for (fingerprint, group) in s.groups_told() {
        write_violation(out, s, fingerprint, group)?;
    }
    writeln!(out, "<div class=\"tables\">")?;
    write_goals(out, s)?;
    write_faults(out, s)?;
    write_slowest(out, s)?;
    write_figures(out, s)?;
    writeln!(out, "</div>")?;
    write_again(out, s)?;
    writeln!(out, "</section>")
}

fn write_violation(
    out: &mut String,
    s: &Summary,
    fingerprint: &str,
    group: &Group,
) -> std::fmt::Result {
    let line = violation_line(&group.first, group.first_seed);
    writeln!(
        out,
        "<article class=\"found\">\n<h3>{}{}</h3>\n<p>{}</p>\n<pre>{}</pre>\n<pre>mailstorm replay {}</pre>\n\
         <p class=\"links\">",
        html(fingerprint),
        if s.expects(&group.first) { ", as expected" } else { "" },
        times(group),
        html(&line),
        html(&s.again(group))
    )?;
    if let Some(report) = &group.report {
        let (to, seed) = (address(report), group.first_seed);
        writeln!(out, "<a href=\"{to}\">page of seed {seed}</a>")?;
    }
    if let Some(excerpt) = &group.excerpt {
        writeln!(out, "<a href=\"{}\">a few messages</a>", address(excerpt))?;
    }
    if let Some(shrunk) = &group.shrunk {
        let (to, left) = (address(&shrunk.file), shrunk.faults);
        let of = numbered(group.faults as u64, "fault");
        writeln!(out, "<a href=\"{to}\">smallest case</a> <span>{left} of {of} left</span>")?;
    }
    writeln!(out, "<span>trace {}</span></p>", html(&group.first_trace))?;
    if let Some(shrunk) = &group.shrunk {
        writeln!(out, "<ul class=\"story\">")?;
        for line in &shrunk.story {
            writeln!(out, "<li>{}</li>", html(line))?;
        }
        let case = html(&shrunk.case);
        writeln!(out, "</ul>\n<details><summary>the case</summary><pre>{case}</pre></details>")?;
    }
    writeln!(out, "</article>")
}

/// A table with these heads; every cell is made harmless before it comes here.
fn write_table(
    out: &mut String,
    title: &str,
    heads: &[&str],
    rows: &[(&'static str, Vec<String>)],
) -> std::fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out, "<table>\n<caption>{title}</caption>\n<thead><tr>")?;
    for head in heads {
        write!(out, "<th scope=\"col\">{head}</th>")?;
    }
    writeln!(out, "</tr></thead>\n<tbody>")?;
    for (class, cells) in rows {
        write!(out, "<tr class=\"{class}\">")?;
        for (place, cell) in cells.iter().enumerate() {
            if place == 0 {
                write!(out, "<th scope=\"row\">{cell}</th>")?;
            } else {
                write!(out, "<td>{cell}</td>")?;
            }
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</tbody>\n</table>")
}

fn write_goals(out: &mut String, s: &Summary) -> std::fmt::Result {
    let row = |(goal, count): (&String, &u64)| {
        let count = if *count == 0 { "never".to_owned() } else { grouped(*count) };
        let class = if count == "never" { "none" } else { "" };
        (class, vec![html(&spaced(goal)), count])
    };
    let rows: Vec<_> = s.reached.iter().map(row).collect();
    let all = numbered(s.reached.len() as u64, "goal");
    let title = format!("Reached: {} of {all}", s.goals_reached());
    write_table(out, &title, &["goal", "times"], &rows)
}

fn write_faults(out: &mut String, s: &Summary) -> std::fmt::Result {
    let rows: Vec<_> = s
        .faults
        .iter()
        .map(|(kind, count)| {
            let (part, all) = (count.effective, count.injected);
            let meter =
                format!("<meter min=\"0\" max=\"{}\" value=\"{part}\"></meter>", all.max(1));
            let class = if count.is_vain() { "none" } else { "" };
            (class, vec![html(&spaced(kind)), grouped(all), grouped(part), meter])
        })
        .collect();
    write_table(out, "Faults", &["kind", "injected", "effective", ""], &rows)
}

fn write_slowest(out: &mut String, s: &Summary) -> std::fmt::Result {
    let row = |slow: &crate::summary::Slow| {
        let seed = slow.seed.to_string();
        ("", vec![seed, moment(slow.virtual_ns), grouped(slow.events), grouped(slow.messages)])
    };
    let rows: Vec<_> = s.slowest.iter().map(row).collect();
    write_table(out, "Longest runs", &["seed", "virtual", "events", "messages"], &rows)
}

fn write_figures(out: &mut String, s: &Summary) -> std::fmt::Result {
    let mut rows = vec![
        ("", vec!["virtual time".to_owned(), measured_seconds(s.virtual_seconds)]),
        ("", vec!["messages".to_owned(), grouped(s.messages)]),
        ("", vec!["bytes".to_owned(), grouped(s.bytes)]),
        ("", vec!["events of the clockwork".to_owned(), grouped(s.events)]),
        ("", vec!["states of the protocol".to_owned(), grouped(s.states)]),
    ];
    if let Some(seed) = s.last_new_seed {
        rows.push(("", vec!["last new state at seed".to_owned(), seed.to_string()]));
    }
    let counted = figures(&s.figures, mean_and_most);
    rows.extend(counted.iter().map(|(name, told)| ("", vec![html(&spaced(name)), html(told)])));
    rows.push(("", vec!["trace".to_owned(), format!("<code>{}</code>", html(&s.trace_hash))]));
    write_table(out, "Figures", &["what", "all seeds together"], &rows)
}

fn write_again(out: &mut String, s: &Summary) -> std::fmt::Result {
    let storm = s.storm_again(&s.range());
    let first = s.groups_told().into_iter().next();
    let again = first.map_or_else(|| s.again_by_seed(s.first_seed), |(_, group)| s.again(group));
    writeln!(
        out,
        "<details class=\"again\"{}><summary>Run it again</summary>\n<pre>{}\nmailstorm replay {}\nmailstorm \
         report {} --open</pre></details>",
        if s.groups.is_empty() { "" } else { " open" },
        html(&storm),
        html(&again),
        html(&again)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{failing, passing};

    #[test]
    fn what_was_found_is_linked_relative_to_the_page() {
        let text = index(&[passing("ensemble"), failing("a lesson/wrong")]);
        assert!(text.contains("<h1 class=\"violation\">Something did not hold</h1>"), "{text}");
        assert!(
            text.contains("<a href=\"a%20lesson/wrong/7/report.html\">page of seed 7</a>"),
            "{text}"
        );
        assert!(text.contains("<a href=\"a%20lesson/wrong/7/case.toml\">"), "{text}");
        assert!(text.contains("✓ 200 seeds pass"), "{text}");
        assert!(!text.contains("real time") && !text.contains("<script"), "{text}");
    }

    #[test]
    fn a_shard_is_run_again_as_the_shard_that_it_is() {
        let shard = "2/3".parse().expect("well formed");
        let summary = Summary { first_seed: 6, last_seed: 198, shard, ..passing("ensemble") };
        let text = index(&[summary]);
        assert!(text.contains("mailstorm storm ensemble --seeds 5..198 --shard 2/3\n"), "{text}");
        assert!(text.contains("shard 2/3 of seeds 5..198"), "{text}");
    }

    #[test]
    fn the_same_runs_are_the_same_page_on_a_slower_machine() {
        let fast = failing("mail-claims");
        let slow = Summary { wall_seconds: 99.0, jobs: 7, speedup: 1.0, ..fast.clone() };
        assert_eq!(index(&[fast]), index(&[slow]));
    }

    #[test]
    fn text_from_outside_is_text() {
        let nasty = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'";
        let mut summary = failing(nasty);
        let mut group = summary.groups.pop_first().expect("one").1;
        group.first.detail = nasty.into();
        let shrunk = group.shrunk.as_mut().expect("it is");
        (shrunk.story, shrunk.case) = (vec![nasty.into()], nasty.into());
        summary.groups.insert(nasty.into(), group);
        summary.unknown_whys.insert(nasty.into(), 1);
        summary.reached.insert(nasty.into(), 0);
        summary.figures.insert(nasty.into(), 1);
        summary.faults.insert(nasty.into(), Default::default());
        summary.replay_options = format!(" --inbox {nasty}");
        let text = index(&[summary]);
        assert!(!text.contains("<script") && !text.contains("<img"), "{text}");
        assert!(text.contains("&lt;script&gt;alert(1)"));
    }
}
