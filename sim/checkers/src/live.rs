//! Liveness, as far as a run can show it: work goes on.
//!
//! Definition. There is so much work to be done, in pieces. From the beginning of the run until the last
//! piece is done, no longer than the bound passes without one: otherwise the work stood still (`gap`, made
//! known by the piece that ends it, or by the first event after the bound if none ever comes: `stopped`).
//! At the end of the run no piece is missing (`unfinished`).
//!
//! A bound on virtual time makes of liveness, which no finite run can refute, a safety property that it
//! can (Alpern and Schneider, "Defining liveness", 1985). What the bound is, the scenario says.
//! Figure: the stretches between two pieces.

use crate::checker::violation;
use crate::{Checker, Figure, Interests};
use mailstorm_record::{Event, Verdict, Violation};
use mailstorm_shared::Millis;

const NS_PER_MS: u64 = 1_000_000;

/// Watches one kind of work.
pub struct Live {
    /// What a piece of it is, in a word or two: `mail`, `acknowledged write`.
    piece: &'static str,
    /// How many there are to be done; `None` for work without an end, which must go on until the run's.
    pieces: Option<u64>,
    gap_ns_max: u64,
    interests: Interests,
    is_piece: Box<dyn FnMut(&Event) -> bool>,
    done: u64,
    last_ns: u64,
    gap_ms: Figure,
}

impl Live {
    /// Work of so many pieces, of which each event of which `is_piece` is true is one. It sees every event
    /// of the kinds it is interested in.
    pub fn new(
        piece: &'static str,
        pieces: impl Into<Option<u64>>,
        gap_max: Millis,
        interests: Interests,
        is_piece: impl FnMut(&Event) -> bool + 'static,
    ) -> Self {
        Self {
            piece,
            pieces: pieces.into(),
            gap_ns_max: gap_max.0 * NS_PER_MS,
            interests,
            is_piece: Box::new(is_piece),
            done: 0,
            last_ns: 0,
            gap_ms: Figure::new("gap_ms", "how long no piece of the work was done"),
        }
    }

    fn is_finished(&self) -> bool {
        self.pieces.is_some_and(|pieces| self.done >= pieces)
    }

    fn wrong(&self, kind: &str, at_ns: u64, detail: String) -> Violation {
        violation("live", kind, at_ns, [], detail)
    }

    /// What was done, of how much.
    fn told(&self) -> String {
        let of = self.pieces.map(|pieces| format!(" of {pieces}")).unwrap_or_default();
        format!("{}{of} done", self.done)
    }
}

fn seconds(ns: u64) -> String {
    format!("{}.{:03} s", ns / 1_000_000_000, ns / NS_PER_MS % 1_000)
}

impl Checker for Live {
    fn name(&self) -> &'static str {
        "live"
    }

    fn interests(&self) -> Interests {
        self.interests
    }

    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        if self.is_finished() || !(self.is_piece)(event) {
            return Ok(());
        }
        let (since_ns, gap_ns) = (self.last_ns, event.at_ns.saturating_sub(self.last_ns));
        self.done += 1;
        self.last_ns = event.at_ns;
        self.gap_ms.add(gap_ns / NS_PER_MS);
        if gap_ns <= self.gap_ns_max {
            return Ok(());
        }
        let detail = format!(
            "no {} from {} to {}: {} is more than {}; {}",
            self.piece,
            seconds(since_ns),
            seconds(event.at_ns),
            seconds(gap_ns),
            seconds(self.gap_ns_max),
            self.told()
        );
        Err(self.wrong("gap", event.at_ns, detail))
    }

    fn finish(&mut self, at_ns: u64) -> Verdict {
        let gap_ns = at_ns.saturating_sub(self.last_ns);
        let stood_still = gap_ns > self.gap_ns_max;
        if self.is_finished() || (self.pieces.is_none() && !stood_still) {
            return Verdict::Pass;
        }
        self.gap_ms.add(gap_ns / NS_PER_MS);
        let piece = self.piece;
        let (told, since) = (self.told(), seconds(self.last_ns));
        Verdict::Violation(if stood_still {
            // It was known as soon as the bound had passed.
            let at_ns = self.last_ns + self.gap_ns_max;
            let detail = format!("no {piece} after {since}, to the end of the run; {told}");
            self.wrong("stopped", at_ns, detail)
        } else {
            self.wrong(
                "unfinished",
                at_ns,
                format!("the run ends with {told}, the last at {since}"),
            )
        })
    }

    fn figures(&self) -> Vec<Figure> {
        vec![self.gap_ms.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::History;
    use mailstorm_record::Happening;
    use mailstorm_shared::Observation;

    fn live(pieces: impl Into<Option<u64>>) -> Live {
        Live::new("mail", pieces, Millis(1_000), Interests::MAIL, |event| {
            matches!(
                event.happening,
                Happening::Observed { observation: Observation::SinkAccepted { .. } }
            )
        })
    }

    fn one() -> History {
        History::new().after_ms(500).accepted("m-1", "w1", 1)
    }

    #[test]
    fn work_that_goes_on_passes() {
        one().after_ms(999).accepted("m-2", "w1", 1).passes(live(2));
        one().after_ms(999).accepted("m-2", "w1", 1).after_ms(1_000).passes(live(None));
    }

    #[test]
    fn whatever_happens_after_the_last_piece_is_no_matter() {
        one().after_ms(9_000).accepted("m-2", "w1", 1).passes(live(1));
    }

    #[test]
    fn work_that_stands_still_for_too_long_is_a_gap() {
        let violation = one().after_ms(1_000).accepted("m-2", "w1", 1).violates(live(2), "gap");
        let detail = "no mail from 0.501 s to 1.502 s: 1.001 s is more than 1.000 s; 2 of 2 done";
        assert_eq!(violation.detail, detail);
        History::new().after_ms(1_001).accepted("m-1", "w1", 1).violates(live(1), "gap");
    }

    #[test]
    fn work_that_never_goes_on_has_stopped_when_the_bound_was_over() {
        let violation = one().after_ms(5_000).violates(live(2), "stopped");
        assert_eq!(violation.at_ns, 1_501 * NS_PER_MS);
        one().after_ms(1_001).violates(live(None), "stopped");
        History::new().after_ms(1_001).violates(live(1), "stopped");
    }

    #[test]
    fn work_that_is_missing_at_the_end_is_unfinished() {
        one().after_ms(900).violates(live(2), "unfinished");
    }

    #[test]
    fn the_stretches_are_measured() {
        let mut checker = live(2);
        one().after_ms(99).accepted("m-2", "w1", 1).feed(&mut checker);
        let figures = checker.figures();
        assert_eq!((figures[0].count, figures[0].sum, figures[0].max), (2, 601, 501));
    }
}
