//! Time as a core sees it: handed in with every step, never read.
//!
//! Holds: a span, a point on the monotonic clock and a point on the wall clock are three types.
//! Points of different clocks are never compared, and two points are never added.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, Sub};

/// A span of time in milliseconds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub u64);

/// A point on a node's monotonic clock, in milliseconds. Its zero has no meaning, and no other node
/// knows it: an instant is neither sent nor stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub u64);

/// A point on a node's wall clock, in milliseconds since the Unix epoch.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct WallTime(pub i64);

/// The two clocks of a node, read at the same moment.
///
/// Timeouts are measured on `monotonic`, which never goes back but may drift. `wall` only ever ends
/// up in data that people read (`ctime`, `mtime`, time-to-live); it may jump in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Now {
    /// On a clock that never goes back.
    pub monotonic: Instant,
    /// On the wall clock, as the node believes.
    pub wall: WallTime,
}

impl Millis {
    /// No time at all.
    pub const ZERO: Self = Self(0);
}

impl Add for Millis {
    type Output = Self;
    fn add(self, span: Self) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

impl Instant {
    /// The beginning of the clock.
    pub const ZERO: Self = Self(0);

    /// Later than any other: a deadline that never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// The span from `earlier` to here; zero when `earlier` is not earlier.
    pub fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Millis> for Instant {
    type Output = Self;
    fn add(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub for Instant {
    type Output = Millis;
    /// Saturates at zero: a span is never negative.
    fn sub(self, earlier: Self) -> Millis {
        self.since(earlier)
    }
}

impl WallTime {
    /// The first moment of 1970.
    pub const UNIX_EPOCH: Self = Self(0);

    /// The span from `earlier` to here; zero when the clock has jumped back behind `earlier`.
    pub fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0).max(0).cast_unsigned())
    }
}

impl Add<Millis> for WallTime {
    type Output = Self;
    fn add(self, span: Millis) -> Self {
        Self(self.0.saturating_add_unsigned(span.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_between_two_points_is_never_negative() {
        assert_eq!(Instant(7) - Instant(5), Millis(2));
        assert_eq!(Instant(5) - Instant(7), Millis::ZERO);
        assert_eq!(WallTime(2).since(WallTime(-3)), Millis(5));
        assert_eq!(WallTime(-3).since(WallTime(2)), Millis::ZERO);
        assert_eq!(WallTime(i64::MAX).since(WallTime(i64::MIN)), Millis(i64::MAX.cast_unsigned()));
    }

    #[test]
    fn a_point_beyond_the_end_of_a_clock_is_its_last() {
        assert_eq!(Instant(1) + Millis(u64::MAX), Instant::NEVER);
        assert_eq!(WallTime(1) + Millis(u64::MAX), WallTime(i64::MAX));
    }
}
