//! Complaints about strangers, few enough to be read.
//!
//! Holds: whoever sends nonsense to a port makes at most one line of log in ten seconds, which says
//! how many there were.

use mailstorm_shared::{Instant, Millis};

/// Between two lines about the same.
const QUIET: Millis = Millis(10_000);

/// One kind of complaint.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    quiet_until: Instant,
    left_out: u64,
}

impl Complaints {
    /// One more; how many lines were left out before it, if it is to be told.
    pub(super) fn one_more(&mut self, now: Instant) -> Option<u64> {
        if now < self.quiet_until {
            self.left_out += 1;
            return None;
        }
        self.quiet_until = now + QUIET;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_complaints_in_twenty_seconds_are_two_lines_with_their_count() {
        let mut complaints = Complaints::default();
        let told: Vec<_> =
            (0..10_000).filter_map(|n| complaints.one_more(Instant(1_000 + 2 * n))).collect();
        assert_eq!(told, [0, 4_999]);
    }
}
