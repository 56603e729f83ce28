//! How much a core keeps in memory, and which of that is news.
//!
//! Holds: a core names the same loads in the same order each time, so that a look costs one
//! comparison for each; one that does not apply at the moment is 0. News is a load beyond its
//! bound, at its bound, or at a power of two that it had not reached before: there is little of it,
//! however often is looked.

use crate::facts::MemoryFact;
use std::vec::Drain;

/// Below this nothing is news that has a greater bound.
const NEWS_MIN: u64 = 64;

/// What a core keeps, as it was seen so far.
#[derive(Clone, Debug, Default)]
pub struct Loads {
    marks: Vec<Mark>,
    /// Whose turn it is in this look.
    next: usize,
    news: Vec<MemoryFact>,
}

/// How far a load has come.
#[derive(Clone, Copy, Debug)]
struct Mark {
    what: &'static str,
    /// The least amount that is news.
    news_at: u64,
}

impl Loads {
    /// So much of this is kept, and the configuration promises that it is never more than `max`.
    /// The name is in `snake_case`, with the unit at its end where it has one.
    #[inline]
    pub fn bounded(&mut self, what: &'static str, now: usize, max: usize) {
        self.look(what, now as u64, Some(max as u64));
    }

    /// So much of this is kept, and only what comes in bounds it.
    #[inline]
    pub fn unbounded(&mut self, what: &'static str, now: u64) {
        self.look(what, now, None);
    }

    /// Ends a look: what is news since the last one.
    pub fn news(&mut self) -> Drain<'_, MemoryFact> {
        self.next = 0;
        self.news.drain(..)
    }

    #[inline]
    fn look(&mut self, what: &'static str, now: u64, max: Option<u64>) {
        if self.next == self.marks.len() {
            self.marks.push(Mark { what, news_at: news_after(0, max) });
        }
        let mark = &mut self.marks[self.next];
        self.next += 1;
        if now >= mark.news_at {
            assert_eq!(mark.what, what, "loads are named in the same order each time");
            mark.news_at = news_after(now, max);
            self.news.push(MemoryFact::Keeps { load: what.into(), now, max });
        }
    }
}

/// The least amount after `now` that is news.
fn news_after(now: u64, max: Option<u64>) -> u64 {
    let next = now.saturating_add(1);
    let power = next.checked_next_power_of_two().unwrap_or(u64::MAX).max(NEWS_MIN);
    // Full, and then too much.
    max.map_or(
        power,
        |max| if next <= max.saturating_add(1) { power.min(max.max(next)) } else { power },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of these amounts are news.
    #[track_caller]
    fn check(max: Option<usize>, amounts: &[usize], expected: &[u64]) {
        let mut loads = Loads::default();
        let mut told = Vec::new();
        for amount in amounts {
            match max {
                Some(max) => loads.bounded("entries", *amount, max),
                None => loads.unbounded("entries", *amount as u64),
            }
            told.extend(loads.news().map(|MemoryFact::Keeps { now, .. }| now));
        }
        assert_eq!(told, expected, "{max:?} {amounts:?}");
    }

    #[test]
    fn a_load_is_news_at_each_power_of_two_that_it_reaches_for_the_first_time() {
        check(None, &[0, 8, 63, 64, 65, 127, 3, 127, 400, 128, 511, 512], &[64, 400, 512]);
    }

    #[test]
    fn a_load_is_news_when_it_is_full_and_when_it_is_too_much() {
        check(Some(100), &[63, 99, 100, 100, 99, 101, 102, 127, 128], &[99, 100, 101, 128]);
        check(Some(3), &[1, 2, 3, 3, 4, 5], &[3, 4]);
        check(Some(0), &[0, 1, 2], &[1]);
        check(Some(64), &[63, 64, 65, 66], &[64, 65]);
        check(Some(usize::MAX), &[64, usize::MAX], &[64, u64::MAX]);
    }

    #[test]
    fn each_load_has_its_own_mark() {
        let mut loads = Loads::default();
        let mut look = |one, other| {
            loads.bounded("one", one, 10);
            loads.unbounded("other", other);
            loads.news().map(|MemoryFact::Keeps { load, now, .. }| (load, now)).collect::<Vec<_>>()
        };
        assert_eq!(look(10, 90), [("one".into(), 10), ("other".into(), 90)]);
        assert_eq!(look(10, 90), []);
        assert_eq!(look(11, 128), [("one".into(), 11), ("other".into(), 128)]);
    }

    #[test]
    #[should_panic = "loads are named in the same order each time"]
    fn loads_that_change_their_order_are_a_mistake() {
        let mut loads = Loads::default();
        loads.unbounded("one", 0);
        _ = loads.news();
        loads.unbounded("other", 90);
    }
}
