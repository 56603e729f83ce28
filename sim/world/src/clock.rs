//! A node's own clocks: started anywhere, drifting, and, for the one on the wall, jumping.

use mailstorm_shared::{Instant, Now, WallTime};

/// What a wall clock without an offset shows when the run begins: 2026-01-01 00:00 UTC.
const EPOCH_MS: i64 = 1_767_225_600_000;

const NS_PER_MS: u64 = 1_000_000;

/// One node's clocks.
///
/// The monotonic clock runs `1 + ppm / 10^6` times as fast as the world's; the wall clock is the
/// monotonic one with an offset.
#[derive(Clone, Debug)]
pub(crate) struct NodeClock {
    /// World time at the last change of speed.
    since_ns: u64,
    /// The monotonic clock at that time.
    monotonic_ns: u64,
    ppm: i32,
    /// Wall clock minus monotonic clock.
    wall_offset_ms: i64,
}

impl NodeClock {
    /// Clocks that show `monotonic_ms` and an error of `wall_error_ms` when the run begins.
    pub(crate) fn new(monotonic_ms: u64, wall_error_ms: i64, ppm: i32) -> Self {
        Self {
            since_ns: 0,
            monotonic_ns: monotonic_ms * NS_PER_MS,
            ppm,
            wall_offset_ms: EPOCH_MS - (monotonic_ms as i64) + wall_error_ms,
        }
    }

    /// The monotonic clock in nanoseconds, at a time of the world.
    fn monotonic_ns(&self, world_ns: u64) -> u64 {
        let passed = world_ns.saturating_sub(self.since_ns);
        let drift = i128::from(passed) * i128::from(self.ppm) / 1_000_000;
        (i128::from(self.monotonic_ns + passed) + drift) as u64
    }

    /// Both clocks, at a time of the world.
    pub(crate) fn now(&self, world_ns: u64) -> Now {
        let monotonic = self.monotonic_ns(world_ns) / NS_PER_MS;
        Now {
            monotonic: Instant(monotonic),
            wall: WallTime((monotonic as i64).saturating_add(self.wall_offset_ms).max(0)),
        }
    }

    /// The first time of the world, from `world_ns` on, at which the monotonic clock shows `at` or
    /// more.
    pub(crate) fn when(&self, world_ns: u64, at: Instant) -> u64 {
        let wanted = u128::from(at.0) * u128::from(NS_PER_MS);
        let shown = u128::from(self.monotonic_ns(world_ns));
        let Some(missing) = wanted.checked_sub(shown).filter(|missing| *missing > 0) else {
            return world_ns;
        };
        let speed = (1_000_000 + i128::from(self.ppm)) as u128;
        let wait = (missing * 1_000_000).div_ceil(speed);
        // Both directions round down on their way, which can leave the clock one short.
        let world = u128::from(world_ns).saturating_add(wait).saturating_add(1);
        u64::try_from(world).unwrap_or(u64::MAX)
    }

    /// How fast it runs, in parts per million above the world's time.
    pub(crate) fn ppm(&self) -> i32 {
        self.ppm
    }

    /// Changes the speed from now on.
    pub(crate) fn set_ppm(&mut self, world_ns: u64, ppm: i32) {
        self.monotonic_ns = self.monotonic_ns(world_ns);
        self.since_ns = world_ns;
        self.ppm = ppm;
    }

    /// Sets the wall clock forward, or back.
    pub(crate) fn jump(&mut self, by_ms: i64) {
        self.wall_offset_ms = self.wall_offset_ms.saturating_add(by_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mailstorm_shared::Millis;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000 * NS_PER_MS;

    #[test]
    fn a_drifting_clock_keeps_what_it_has_when_its_speed_changes() {
        let mut clock = NodeClock::new(5, 0, 0);
        assert_eq!(clock.now(SECOND).monotonic, Instant(1_005));
        clock.set_ppm(SECOND, 500_000);
        assert_eq!(clock.now(SECOND).monotonic, Instant(1_005));
        assert_eq!(clock.now(2 * SECOND).monotonic, Instant(2_505));
        clock.set_ppm(2 * SECOND, -500_000);
        assert_eq!(clock.now(3 * SECOND).monotonic, Instant(3_005));
    }

    #[test]
    fn a_jump_moves_the_wall_clock_alone() {
        let mut clock = NodeClock::new(7, -3, 0);
        assert_eq!(clock.now(0), Now { monotonic: Instant(7), wall: WallTime(EPOCH_MS - 3) });
        clock.jump(-1_000);
        assert_eq!(clock.now(0), Now { monotonic: Instant(7), wall: WallTime(EPOCH_MS - 1_003) });
    }

    proptest! {
        #[test]
        fn a_wish_is_due_when_the_clock_shows_it_and_not_a_millisecond_before(
            start in 0..1u64 << 40, world in 0..1u64 << 50, ahead in 0..1u64 << 30,
            ppm in -500_000..500_000i32,
        ) {
            let clock = NodeClock::new(start, 0, ppm);
            let at = clock.now(world).monotonic + Millis(ahead);
            let when = clock.when(world, at);
            prop_assert!(when >= world);
            prop_assert!(clock.now(when).monotonic >= at);
            prop_assert!(when == world || clock.now(when - 3).monotonic <= at);
            if when > world + 5 {
                prop_assert!(clock.now(when - 5).monotonic < at);
            }
        }
    }
}
