//! A hash of a core's whole state that is equal in every process: determinism can be proved with it.

use std::hash::{Hash, Hasher};
use xxhash_rust::xxh3::Xxh3;

/// XXH3 with a fixed seed, behind the standard [`Hasher`]. Derive [`Hash`] on the state, feed it in.
///
/// Integers are fed in little-endian order, so that the hash is the same on every machine.
#[derive(Clone, Default)]
pub struct StateHasher(Xxh3);

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
}

macro_rules! little_endian {
    ($($method:ident: $integer:ty as $wide:ty),* $(,)?) => {
        $(fn $method(&mut self, value: $integer) {
            self.0.update(&(value as $wide).to_le_bytes());
        })*
    };
}

impl Hasher for StateHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
    fn finish(&self) -> u64 {
        self.0.digest()
    }
    little_endian! {
        write_u8: u8 as u8, write_u16: u16 as u16, write_u32: u32 as u32, write_u64: u64 as u64,
        write_usize: usize as u64, write_i8: i8 as u8, write_i16: i16 as u16,
        write_i32: i32 as u32, write_i64: i64 as u64, write_isize: isize as u64,
    }
}
