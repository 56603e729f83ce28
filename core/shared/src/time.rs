//! Time as a core sees it: handed in with every step, never read.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, Sub};

/// A point on a clock, or a span, in milliseconds. Which clock is said where it is used.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// The beginning of the clock, or no time at all.
    pub const ZERO: Self = Self(0);

    /// The span from `earlier` to here; zero when `earlier` is not earlier.
    pub fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

impl Add for Millis {
    type Output = Self;
    fn add(self, span: Self) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub for Millis {
    type Output = Self;
    /// Saturates at zero: a span is never negative.
    fn sub(self, earlier: Self) -> Self {
        self.since(earlier)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

/// The two clocks of a node at one instant.
///
/// Timeouts are measured on `monotonic`, which never goes back but may drift. `wall` only ever ends
/// up in data that people read (`ctime`, `mtime`, time-to-live); it may jump in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Now {
    /// Milliseconds on a clock that never goes back; its zero has no meaning.
    pub monotonic: Millis,
    /// Milliseconds since the Unix epoch, as the node believes.
    pub wall: Millis,
}
