//! A hash of a core's whole state that is equal in every process: determinism can be proved with
//! it.

use std::hash::{Hash, Hasher};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// How many bytes are gathered before they are hashed: what is fed in comes mostly a few bytes at a
/// time.
const GATHERED_BYTES: usize = 256;

/// XXH3 with a fixed seed, behind the standard [`Hasher`]. Derive [`Hash`] on the state, feed it
/// in.
///
/// Integers are fed in little-endian order, so that the hash is the same on every machine.
#[derive(Clone)]
pub struct StateHasher {
    gathered: [u8; GATHERED_BYTES],
    used: usize,
    /// What was hashed before; nothing as long as everything fits into `gathered`.
    before: Option<Xxh3>,
}

impl Default for StateHasher {
    fn default() -> Self {
        Self { gathered: [0; GATHERED_BYTES], used: 0, before: None }
    }
}

impl StateHasher {
    /// A hasher that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The hash of one value.
    pub fn of(value: &impl Hash) -> u64 {
        let mut hasher = Self::new();
        value.hash(&mut hasher);
        hasher.finish()
    }

    #[inline]
    fn gather<const N: usize>(&mut self, bytes: [u8; N]) {
        if self.used + N > GATHERED_BYTES {
            self.flush();
        }
        self.gathered[self.used..self.used + N].copy_from_slice(&bytes);
        self.used += N;
    }

    #[cold]
    fn flush(&mut self) {
        let before = self.before.get_or_insert_default();
        before.update(&self.gathered[..self.used]);
        self.used = 0;
    }
}

macro_rules! little_endian {
    ($($method:ident: $integer:ty as $wide:ty),* $(,)?) => {
        $(#[inline]
        fn $method(&mut self, value: $integer) {
            self.gather((value as $wide).to_le_bytes());
        })*
    };
}

impl Hasher for StateHasher {
    fn write(&mut self, bytes: &[u8]) {
        if self.used + bytes.len() > GATHERED_BYTES {
            self.flush();
        }
        if bytes.len() > GATHERED_BYTES {
            self.before.get_or_insert_default().update(bytes);
        } else {
            self.gathered[self.used..self.used + bytes.len()].copy_from_slice(bytes);
            self.used += bytes.len();
        }
    }
    fn finish(&self) -> u64 {
        let gathered = &self.gathered[..self.used];
        match &self.before {
            None => xxh3_64(gathered),
            Some(before) => {
                let mut all = before.clone();
                all.update(gathered);
                all.digest()
            }
        }
    }
    little_endian! {
        write_u8: u8 as u8, write_u16: u16 as u16, write_u32: u32 as u32, write_u64: u64 as u64,
        write_usize: usize as u64, write_i8: i8 as u8, write_i16: i16 as u16,
        write_i32: i32 as u32, write_i64: i64 as u64, write_isize: isize as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_hash_is_that_of_all_bytes_however_they_were_fed_in(
            pieces in proptest::collection::vec(
                proptest::collection::vec(any::<u8>(), 0..400), 0..20,
            ),
            numbers in proptest::collection::vec(any::<u64>(), 0..100),
        ) {
            let (mut hasher, mut all) = (StateHasher::new(), Vec::new());
            for number in &numbers {
                hasher.write_u64(*number);
                all.extend(number.to_le_bytes());
            }
            for piece in &pieces {
                hasher.write(piece);
                hasher.write_u8(7);
                all.extend(piece);
                all.push(7);
            }
            prop_assert_eq!(hasher.finish(), xxh3_64(&all));
        }
    }
}
