//! A part of a run as a log for ShiViz: events with vector clocks.
//!
//! The file begins with the expression that reads it and the (empty) delimiter of executions, as
//! ShiViz takes them from a file; each event has two lines, its text and its node with the clock.
//! The expression is ShiViz's own default, so the log can be pasted as well.
//! Holds: clocks count what is in the file and nothing else, so every entry of a clock has its
//! event; a message whose sending lies before the window has no cause in it. Start at [`shiviz`].

use super::window::{around, events, moment};
use crate::words::words;
use mailstorm_record::{Event, Happening, Run};
use std::collections::BTreeMap;
use std::fmt::Write;

/// What ShiViz draws without losing its reader.
const EVENTS_MAX: usize = 1_000;
/// Where what the world does is told.
const WORLD: &str = "world";

type Clock = BTreeMap<String, u64>;

/// At most a thousand events around the moment that matters.
pub fn shiviz(run: &Run) -> String {
    let told: Vec<&Event> = events(run).iter().filter(|event| is_told(event)).collect();
    let all = events(run);
    let before = all[..moment(run)].iter().filter(|event| is_told(event)).count();
    let mut out = "(?<event>.*)\\n(?<host>\\S*) (?<clock>{.*})\n\n".to_owned();
    let mut clocks: BTreeMap<String, Clock> = BTreeMap::new();
    let mut under_way: BTreeMap<u64, Clock> = BTreeMap::new();
    for event in &told[around(before, told.len(), EVENTS_MAX)] {
        let host = host(event);
        let clock = clocks.entry(host.clone()).or_default();
        if let Happening::Delivered { message } = &event.happening {
            for (other, count) in under_way.remove(message).unwrap_or_default() {
                let known = clock.entry(other).or_default();
                *known = (*known).max(count);
            }
        }
        *clock.entry(host.clone()).or_default() += 1;
        if let Happening::Sent { message, .. } = &event.happening {
            under_way.insert(*message, clock.clone());
        }
        write_event(&mut out, event, &host, clock).expect("writing to a string cannot fail");
    }
    out
}

/// The hash of a server's state says nothing to a reader.
fn is_told(event: &Event) -> bool {
    !matches!(event.happening, Happening::State { .. })
}

fn host(event: &Event) -> String {
    let name = event.node.as_ref().map_or(WORLD, |node| &*node.0);
    name.replace(|c: char| c.is_whitespace() || c.is_control(), "_")
}

fn write_event(out: &mut String, event: &Event, host: &str, clock: &Clock) -> std::fmt::Result {
    let (s, us) = (event.at_ns / 1_000_000_000, event.at_ns / 1_000 % 1_000_000);
    let text = words(&event.happening).replace(|c: char| c.is_control(), " ");
    let clock = serde_json::to_string(clock).expect("a clock is plain data");
    writeln!(out, "{s}.{us:06} {text}\n{host} {clock}")
}

#[cfg(test)]
mod tests {
    use super::super::samples::{at, delivered, run, sent};
    use super::*;

    /// Reads the log as ShiViz does: host and clock of every event, in order.
    fn read(text: &str) -> Vec<(String, Clock)> {
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("(?<event>.*)\\n(?<host>\\S*) (?<clock>{.*})"));
        assert_eq!(lines.next(), Some(""));
        let lines: Vec<_> = lines.collect();
        assert!(lines.len().is_multiple_of(2), "two lines each");
        let pair = |pair: &[&str]| {
            let (host, clock) = pair[1].split_once(' ').expect("a host and a clock");
            (host.to_owned(), serde_json::from_str(clock).expect("a clock"))
        };
        lines.chunks(2).map(pair).collect()
    }

    #[test]
    fn a_receiver_knows_what_the_sender_knew_and_its_own_clock_counts_by_one() {
        let run = run(
            vec![
                at(1, Some("a"), sent(1, "b")),
                at(2, Some("b"), delivered(1)),
                at(3, Some("b"), sent(2, "c")),
                at(4, Some("a"), Happening::Paused),
                at(5, Some("c"), delivered(2)),
                at(6, None, Happening::Phase { name: "end\nof {it}".into() }),
            ],
            None,
        );
        let read = read(&shiviz(&run));
        let clock = |pairs: &[(&str, u64)]| -> Clock {
            pairs.iter().map(|(host, count)| ((*host).to_owned(), *count)).collect()
        };
        let expected = [
            ("a", clock(&[("a", 1)])),
            ("b", clock(&[("a", 1), ("b", 1)])),
            ("b", clock(&[("a", 1), ("b", 2)])),
            ("a", clock(&[("a", 2)])),
            ("c", clock(&[("a", 1), ("b", 2), ("c", 1)])),
            ("world", clock(&[("world", 1)])),
        ];
        let expected = expected.map(|(host, clock)| (host.to_owned(), clock));
        assert_eq!(read, expected);
    }

    #[test]
    fn a_window_is_whole_in_itself() {
        let many = (0..3_000).flat_map(|n| {
            [at(n * 2, Some("a"), sent(n, "b")), at(n * 2 + 1, Some("b"), delivered(n))]
        });
        let run = run(many.collect(), Some(4_001));
        let read = read(&shiviz(&run));
        assert_eq!(read.len(), EVENTS_MAX);
        let mut counts = Clock::default();
        for (host, clock) in &read {
            let own = counts.entry(host.clone()).or_default();
            *own += 1;
            assert_eq!(clock[host], *own, "a node's own clock counts by one");
            assert!(clock.iter().all(|(other, count)| counts[other] >= *count), "{clock:?}");
        }
    }
}
