//! A few messages of a run as a Mermaid sequence diagram, and as an excerpt that can be pasted into
//! an issue.
//!
//! Told are the messages to and from those whom the violation names, up to the violation, and what
//! happened to them: crashes, pauses, reigns, what the sink took. Where work stopped and did not go
//! on, the messages end there, and only what happened to nodes is told after it. An arrow stands
//! where its message arrived, since that is where it did something; a lost one where it was sent.
//! Holds: at most [`MESSAGES_MAX`] messages; no text can leave its line or be taken for Mermaid's
//! own words.
//! Start at [`mermaid`] and [`excerpt`].

use super::window::{events, involved, moment, violation};
use crate::escape::fenced;
use crate::text::violation_lines;
use crate::words::words;
use mailstorm_record::{Event, Happening, NodeName, Run, spaced};
use mailstorm_shared::time_in_words::moment as seconds;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// More cannot be read.
const MESSAGES_MAX: usize = 30;
/// With fewer of those involved, all messages are told.
const MESSAGES_MIN: usize = 20;
/// Notes beside the messages; the last ones are told.
const NOTES_MAX: usize = 20;
/// Notes after the moment at which work stopped; the first ones are told.
const NOTES_AFTER_MAX: usize = 8;
/// Of a longer text the beginning is told.
const TEXT_CHARS_MAX: usize = 70;
/// A message that was under way for longer is told with the time at which it was sent.
const SLOW_NS: u64 = 500_000_000;

/// What led to the violation, as a sequence diagram.
pub fn mermaid(run: &Run) -> String {
    let lines = chosen(run);
    let mut places: BTreeMap<&NodeName, usize> = BTreeMap::new();
    let mut order: Vec<&NodeName> = Vec::new();
    let told = lines.iter().flat_map(Line::nodes).chain(involved(run));
    for node in told {
        places.entry(node).or_insert_with(|| {
            order.push(node);
            order.len() - 1
        });
    }
    let mut out = "sequenceDiagram\n".to_owned();
    write_diagram(&mut out, run, &lines, &order, &places).expect("writing to a string cannot fail");
    out
}

/// The violation, how to see it again, and the diagram; `again` is what stands after `mailstorm
/// replay`.
pub fn excerpt(run: &Run, again: &str) -> String {
    let mut out = String::new();
    let trace = run.outcome.trace_hash.to_string();
    for violation in run.outcome.violations() {
        out += &fenced("text", &violation_lines(violation, run.seed, again, &trace));
        out.push('\n');
    }
    out += &fenced("sh", &format!("mailstorm replay {again}\n"));
    out.push('\n');
    out += &fenced("mermaid", &mermaid(run));
    out
}

/// One line of the diagram.
enum Line<'a> {
    /// A message; without a sender's event it is not told.
    Arrow {
        at_ns: u64,
        from: &'a NodeName,
        to: &'a NodeName,
        label: &'a str,
        sent_ns: u64,
        fate: Fate,
    },
    /// Something that happened to a node.
    Note { at_ns: u64, nodes: Vec<&'a NodeName>, text: String },
}

impl<'a> Line<'a> {
    fn nodes(&self) -> Vec<&'a NodeName> {
        match self {
            Self::Arrow { from, to, .. } => vec![from, to],
            Self::Note { nodes, .. } => nodes.clone(),
        }
    }

    fn is_arrow(&self) -> bool {
        matches!(self, Self::Arrow { .. })
    }
}

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Arrived,
    Lost,
    /// The run ended too soon to tell.
    UnderWay,
}

/// A message's sending.
struct Sending<'a> {
    at_ns: u64,
    from: &'a NodeName,
    to: &'a NodeName,
    label: &'a str,
}

/// The lines that are told, in order.
fn chosen(run: &Run) -> Vec<Line<'_>> {
    let involved: BTreeSet<&NodeName> = involved(run).iter().collect();
    let all = lines(run);
    let is_close = |line: &Line<'_>| line.nodes().iter().any(|node| involved.contains(node));
    let close = all.iter().filter(|line| line.is_arrow() && is_close(line)).count();
    let is_all_told = close < MESSAGES_MIN;
    let (mut arrows, mut notes) = (0, 0);
    let mut told = Vec::new();
    for line in all.into_iter().rev() {
        if !(is_all_told || is_close(&line)) {
            continue;
        }
        if line.is_arrow() {
            arrows += 1;
            if arrows > MESSAGES_MAX {
                break;
            }
        } else {
            notes += 1;
            if notes > NOTES_MAX {
                continue;
            }
        }
        told.push(line);
    }
    told.reverse();
    told.extend(after(run));
    told
}

/// What happened to nodes between the moment at which work stopped and the violation that says so.
fn after(run: &Run) -> Vec<Line<'_>> {
    let until_ns = violation(run).map_or(0, |violation| violation.at_ns);
    let rest = events(run)[moment(run)..].iter().take_while(|event| event.at_ns <= until_ns);
    let of_a_node = |event: &&Event| !matches!(event.happening, Happening::Observed { .. });
    rest.filter(of_a_node).filter_map(note).take(NOTES_AFTER_MAX).collect()
}

/// All lines up to the moment that matters.
fn lines(run: &Run) -> Vec<Line<'_>> {
    let all = events(run);
    let end_ns = all.last().map_or(0, |event| event.at_ns);
    let arrives: BTreeSet<u64> = all
        .iter()
        .filter_map(|event| match event.happening {
            Happening::Delivered { message } => Some(message),
            _ => None,
        })
        .collect();
    let mut under_way: BTreeMap<u64, Sending<'_>> = BTreeMap::new();
    let mut lines = Vec::new();
    for event in &all[..moment(run)] {
        let at_ns = event.at_ns;
        match (&event.happening, &event.node) {
            // They keep a connection alive, and would be most of what is told.
            (Happening::Sent { label, .. }, _) if is_ping(label) => {}
            (Happening::Sent { message, to, label, .. }, Some(from)) => {
                if arrives.contains(message) {
                    under_way.insert(*message, Sending { at_ns, from, to, label });
                } else {
                    let fate = if end_ns - at_ns > SLOW_NS { Fate::Lost } else { Fate::UnderWay };
                    lines.push(Line::Arrow { at_ns, from, to, label, sent_ns: at_ns, fate });
                }
            }
            (Happening::Delivered { message }, _) => {
                if let Some(Sending { at_ns: sent_ns, from, to, label }) = under_way.remove(message)
                {
                    lines.push(Line::Arrow {
                        at_ns,
                        from,
                        to,
                        label,
                        sent_ns,
                        fate: Fate::Arrived,
                    });
                }
            }
            _ => lines.extend(note(event)),
        }
    }
    lines
}

/// What is told of an event that is no message.
fn note(event: &Event) -> Option<Line<'_>> {
    let nodes: Vec<&NodeName> = match (&event.happening, &event.node) {
        (Happening::FaultBegan { nodes, .. }, _) => nodes.iter().collect(),
        (
            Happening::Started { .. }
            | Happening::Crashed { .. }
            | Happening::Paused
            | Happening::Resumed
            | Happening::DiskDamaged
            | Happening::WritesLost { .. },
            Some(node),
        ) => vec![node],
        (Happening::Observed { observation }, Some(node)) if observation.account().is_turn => {
            vec![node]
        }
        _ => return None,
    };
    let text = match &event.happening {
        Happening::FaultBegan { kind, .. } => format!("{} begins", spaced(kind)),
        Happening::Crashed { why } => format!("dies: {}", spaced(why)),
        other => words(other),
    };
    (!nodes.is_empty()).then_some(Line::Note { at_ns: event.at_ns, nodes, text })
}

fn write_diagram(
    out: &mut String,
    run: &Run,
    lines: &[Line<'_>],
    order: &[&NodeName],
    places: &BTreeMap<&NodeName, usize>,
) -> std::fmt::Result {
    for (place, node) in order.iter().enumerate() {
        writeln!(out, "    participant n{place} as {}", harmless(&node.0))?;
    }
    let over = |nodes: &[&NodeName]| {
        let places: Vec<usize> = nodes.iter().map(|node| places[node]).collect();
        let (first, last) = (places.iter().min().copied(), places.iter().max().copied());
        match (first, last) {
            (Some(first), Some(last)) if first < last => format!("n{first},n{last}"),
            (first, _) => format!("n{}", first.unwrap_or(0)),
        }
    };
    for line in lines {
        match line {
            Line::Arrow { at_ns, from, to, label, sent_ns, fate } => {
                let (arrow, end) = match fate {
                    Fate::Arrived => ("->>", ""),
                    Fate::Lost => ("-x", ", never arrives"),
                    Fate::UnderWay => ("--)", ", still under way"),
                };
                let slow = (at_ns - sent_ns > SLOW_NS).then(|| seconds(*sent_ns));
                let slow = slow.map(|sent| format!(", sent at {sent}")).unwrap_or_default();
                let at = seconds(*at_ns);
                let label = harmless(label);
                let (from, to) = (places[from], places[to]);
                writeln!(out, "    n{from}{arrow}n{to}: {at} {label}{slow}{end}")?;
            }
            Line::Note { at_ns, nodes, text } => {
                let at = seconds(*at_ns);
                writeln!(out, "    Note over {}: {at} {}", over(nodes), harmless(text))?;
            }
        }
    }
    if order.is_empty() {
        // A diagram needs somebody, and a run may have recorded nobody.
        writeln!(out, "    participant n0 as nobody")?;
    }
    match violation(run) {
        Some(violation) => {
            let nodes: Vec<&NodeName> = violation.nodes.iter().collect();
            let (checker, kind) = (harmless(&violation.checker), harmless(&violation.kind));
            let (at, detail) = (seconds(violation.at_ns), harmless_all(&violation.detail));
            writeln!(
                out,
                "    Note over {}: {at} VIOLATION {checker}/{kind}: {detail}",
                over(&nodes)
            )
        }
        None if lines.is_empty() => writeln!(out, "    Note over n0: nothing was recorded"),
        None => Ok(()),
    }
}

/// Whether a message only says that somebody is there.
fn is_ping(label: &str) -> bool {
    (label.starts_with("PING") || label.starts_with("ping")) && !label.contains(';')
}

/// A text's beginning, of which nothing means anything to Mermaid.
fn harmless(text: &str) -> String {
    let mut short: String = text.chars().take(TEXT_CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    harmless_all(&short)
}

/// Mermaid knows characters by number, as `#59;`. Its word `end` ends a block wherever it stands.
fn harmless_all(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() => out.push(' '),
            c if c.is_alphanumeric() || " .,:_/=+-()[]{}'\"!?…".contains(c) => out.push(c),
            c => write!(out, "#{};", c as u32).expect("writing to a string cannot fail"),
        }
    }
    out.replace("end", "#101;nd").replace("End", "#69;nd").replace("END", "#69;ND")
}

#[cfg(test)]
mod tests {
    use super::super::samples::{at, delivered, run, sent};
    use super::*;
    use mailstorm_record::Verdict;

    #[test]
    fn what_led_to_a_violation_is_told_in_the_order_in_which_it_arrived() {
        let run = run(
            vec![
                at(1_000_000_000, Some("a"), sent(1, "b")),
                at(1_000_000_000, Some("a"), sent(2, "c")),
                at(1_100_000_000, Some("b"), Happening::Paused),
                at(2_000_000_000, Some("b"), Happening::Resumed),
                at(2_000_000_000, Some("b"), delivered(1)),
                at(2_000_000_000, Some("b"), sent(4, "a")),
                at(2_300_000_000, Some("c"), sent(3, "a")),
                at(2_400_000_000, Some("a"), delivered(3)),
            ],
            Some(2_000_000_000),
        );
        let told = [
            "sequenceDiagram",
            "    participant n0 as a",
            "    participant n1 as c",
            "    participant n2 as b",
            "    n0-xn1: 1.000 s Propose 2, never arrives",
            "    Note over n2: 1.100 s is paused",
            "    Note over n2: 2.000 s wakes up again",
            "    n0->>n2: 2.000 s Propose 1, sent at 1.000 s",
            "    n2--)n0: 2.000 s Propose 4, still under way",
            "    Note over n0,n2: 2.000 s VIOLATION quorum/lost: 1:2 is gone#59; #60;script#62;#35;#101;nd",
            "",
        ];
        assert_eq!(mermaid(&run), told.join("\n"));
        let excerpt = excerpt(&run, "ensemble --seed 1");
        assert!(excerpt.starts_with("```text\nVIOLATION  quorum/lost  seed "), "{excerpt}");
        assert!(
            excerpt.contains("\n```sh\nmailstorm replay ensemble --seed 1\n```\n"),
            "{excerpt}"
        );
        assert!(excerpt.contains("\n```mermaid\nsequenceDiagram\n"), "{excerpt}");
    }

    #[test]
    fn of_many_messages_the_last_of_those_involved_are_told() {
        let many = (0..2_000_u64).flat_map(|n| {
            let to = if n.is_multiple_of(2) { "b" } else { "d" };
            let from = if n.is_multiple_of(2) { "a" } else { "c" };
            [at(n * 2, Some(from), sent(n, to)), at(n * 2 + 1, Some(to), delivered(n))]
        });
        let told = mermaid(&run(many.collect(), Some(3_000)));
        let arrows: Vec<_> = told.lines().filter(|line| line.contains("->>")).collect();
        assert_eq!(arrows.len(), MESSAGES_MAX);
        assert!(told.contains("Propose 1498\n") && !told.contains("Propose 1500"), "{told}");
        assert!(!told.contains("as c\n"), "c is not involved: {told}");
    }

    #[test]
    fn a_run_of_which_nothing_is_recorded_is_still_a_diagram() {
        let told = mermaid(&run(Vec::new(), None));
        assert!(told.contains("participant n0") && told.contains("nothing was recorded"), "{told}");
        assert!(mermaid(&run(Vec::new(), Some(5))).contains("Note over n0,n1: "));
    }

    #[test]
    fn where_work_stopped_the_messages_end_and_what_happened_to_nodes_is_told_on() {
        let crashed = Happening::Crashed { why: "crash".into() };
        let mut stuck = run(
            vec![
                at(1_000_000_000, Some("a"), sent(1, "b")),
                at(1_100_000_000, Some("b"), delivered(1)),
                at(1_300_000_000, Some("a"), crashed),
                at(1_400_000_000, Some("b"), sent(2, "c")),
                at(1_500_000_000, Some("c"), delivered(2)),
                at(9_500_000_000, Some("a"), Happening::Started { incarnation: 1 }),
            ],
            Some(9_000_000_000),
        );
        let (_, verdict) = &mut stuck.outcome.verdicts[0];
        let Verdict::Violation(violation) = verdict else { panic!("it has one") };
        *violation = violation.clone().since(1_200_000_000);
        let told = mermaid(&stuck);
        let lines: Vec<&str> = told.lines().map(str::trim).collect();
        let last = "Note over n0,n1: 9.000 s VIOLATION quorum/lost: ";
        assert_eq!(
            lines[..lines.len() - 1],
            [
                "sequenceDiagram",
                "participant n0 as a",
                "participant n1 as b",
                "n0->>n1: 1.100 s Propose 1",
                "Note over n0: 1.300 s dies: crash",
            ]
        );
        assert!(lines.last().is_some_and(|line| line.starts_with(last)), "{told}");
    }

    #[test]
    fn a_message_is_told_in_the_words_of_its_label_whatever_they_end_in() {
        let labels = [
            "ACK 1:28",
            "COMMIT 1:28",
            "TRUNC after 1:20",
            "ACKEPOCH current epoch 2, log to 2:7",
            "EVENT /a deleted at 1:9",
            "SYNC -> ok 1:28",
            "create /create -> ok 1:28",
            "undecoded, to s5:2181",
        ];
        let sent = labels.into_iter().zip(0..).map(|(label, message)| {
            let (to, label) = ("b".into(), label.into());
            let happening = Happening::Sent { message, to, bytes: 10, label };
            at(message * 2, Some("a"), happening)
        });
        let arrived = (0..labels.len() as u64).map(|n| at(n * 2 + 1, Some("b"), delivered(n)));
        let mut events: Vec<Event> = sent.chain(arrived).collect();
        events.sort_by_key(|event| event.at_ns);
        let told = mermaid(&run(events, Some(1_000))).replace("#62;", ">");
        for label in labels {
            let line = told.lines().find(|line| line.ends_with(&format!(" s {label}")));
            assert!(line.is_some(), "no '{label}' in {told}");
        }
    }

    #[test]
    fn no_text_is_a_word_of_mermaid() {
        assert_eq!(
            harmless("a; b\nend %% #x {y} `z`"),
            "a#59; b #101;nd #37;#37; #35;x {y} #96;z#96;"
        );
        assert_eq!(harmless(&"é".repeat(100)).chars().count(), TEXT_CHARS_MAX + 1);
    }
}
