//! Streams of randomness, one for each source.
//!
//! Holds: a stream depends on the run's seed and on its own name, and on nothing else; so a source
//! that draws once more, or is taken away, moves no draw of any other. Every stream remembers, in
//! one number, all that it ever gave: so two runs that drew the same can be told from two that
//! merely came to the same.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use xxhash_rust::xxh3::xxh3_64;

/// One source's random numbers.
#[derive(Clone, Debug)]
pub struct Stream {
    numbers: ChaCha8Rng,
    drawn: u64,
}

impl Stream {
    /// The stream of the source `name` in the run of `seed`.
    pub fn new(seed: u64, name: &str) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&xxh3_64(name.as_bytes()).to_le_bytes());
        key[16..24].copy_from_slice(&(name.len() as u64).to_le_bytes());
        Self { numbers: ChaCha8Rng::from_seed(key), drawn: 0 }
    }

    /// A fingerprint of everything drawn so far, and of its order.
    pub(crate) fn drawn(&self) -> u64 {
        self.drawn
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        /// Odd, with its bits well spread: the golden ratio's.
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        let number = self.numbers.next_u64();
        self.drawn = (self.drawn.rotate_left(23) ^ number).wrapping_mul(SPREAD);
        number
    }

    /// A number below `bound`; 0 when the bound is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        scale(self.number(), bound)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "a range must not be empty");
        low + self.below((high - low).saturating_add(1))
    }

    /// True in `per_million` of a million cases.
    pub fn chance(&mut self, per_million: u32) -> bool {
        self.below(1_000_000) < per_million.into()
    }

    /// One of these; `None` if there is none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len() as u64) as usize)
    }

    /// Mixes a list (Fisher and Yates).
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

/// `number`, which is any, brought below `bound` (Lemire's multiplication; the bias is 2^-64 of the
/// bound).
pub(crate) fn scale(number: u64, bound: u64) -> u64 {
    ((u128::from(number) * u128::from(bound)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_depends_on_seed_and_name_alone() {
        let draw = |seed, name| {
            let mut stream = Stream::new(seed, name);
            [stream.number(), stream.number()]
        };
        assert_eq!(draw(1, "link s1>s2"), draw(1, "link s1>s2"));
        assert_ne!(draw(1, "link s1>s2"), draw(1, "link s2>s1"));
        assert_ne!(draw(1, "link s1>s2"), draw(2, "link s1>s2"));
    }

    #[test]
    fn what_was_drawn_is_known_by_its_numbers_their_count_and_their_order() {
        let after = |seed, draws: u32| {
            let mut stream = Stream::new(seed, "fingerprint");
            (0..draws).for_each(|_| _ = stream.number());
            stream.drawn()
        };
        assert_eq!(after(1, 3), after(1, 3));
        assert_ne!(after(1, 3), after(2, 3));
        assert_ne!(after(1, 3), after(1, 4));
        assert_ne!(after(1, 0), after(1, 1));
    }

    #[test]
    fn draws_stay_within_their_bounds() {
        let mut stream = Stream::new(7, "bounds");
        for _ in 0..1_000 {
            assert!((3..=5).contains(&stream.between(3, 5)));
            assert_eq!(stream.below(0), 0);
            assert_eq!(stream.below(1), 0);
        }
        assert_eq!(stream.pick::<u8>(&[]), None);
        assert!(!(0..1_000).any(|_| stream.chance(0)));
        assert!((0..1_000).all(|_| stream.chance(1_000_000)));
        let mut list: Vec<u32> = (0..100).collect();
        stream.shuffle(&mut list);
        assert_ne!(list, (0..100).collect::<Vec<_>>());
        list.sort_unstable();
        assert_eq!(list, (0..100).collect::<Vec<_>>());
    }
}
