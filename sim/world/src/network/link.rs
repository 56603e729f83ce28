//! One direction between two machines.

use crate::scenario::NetworkSpeed;
use crate::slab::Id;
use crate::stream::{Stream, scale};
use bytes::Bytes;

/// How many of a million pieces of data arrive in two: how bytes are cut means nothing, and a
/// program that thinks otherwise is to be found out.
const SPLIT_PER_MILLION: u64 = 15_000;

/// A direction.
pub(crate) struct Link {
    stream: Stream,
    base_ns: u64,
    speed: NetworkSpeed,
    /// When everything sent so far is on the way.
    free_at: u64,
    /// The faults that cut it.
    pub(crate) cut_by: Vec<usize>,
    /// The faults that slow it, each with the delay it adds at the most, and the bandwidth it
    /// leaves.
    pub(crate) slowed_by: Vec<(usize, u64, u64)>,
    /// The faults that change bytes on it, each with how many of a million messages.
    pub(crate) corrupted_by: Vec<(usize, u32)>,
    /// The halves that have something to send over it and cannot.
    pub(crate) waiting: Vec<Id>,
}

/// How one message fares.
pub(crate) struct Passage {
    /// When it arrives.
    pub(crate) at: u64,
    /// Where it is cut in two, if it is.
    pub(crate) split: Option<usize>,
}

impl Link {
    pub(crate) fn new(seed: u64, name: &str, speed: &NetworkSpeed) -> Self {
        let mut stream = Stream::new(seed, name);
        let base_us = stream.between(speed.base_us_min, speed.base_us_max.max(speed.base_us_min));
        Self {
            stream,
            base_ns: base_us * 1_000,
            speed: *speed,
            free_at: 0,
            cut_by: Vec::new(),
            slowed_by: Vec::new(),
            corrupted_by: Vec::new(),
            waiting: Vec::new(),
        }
    }

    /// Sends so many bytes. One draw decides everything for a message on a healthy link.
    pub(crate) fn send(
        &mut self,
        now: u64,
        bytes: usize,
        mut effective: impl FnMut(usize),
    ) -> Passage {
        let draw = self.stream.number();
        let jitter = scale(draw << 32, self.speed.jitter_us * 1_000);
        let luck = (draw >> 32) % 1_000_000;
        let mut late = 0;
        if luck < u64::from(self.speed.late_per_million) {
            late = self.stream.below(self.speed.late_us * 1_000);
        }
        let mut per_second = self.speed.bytes_per_second;
        for (fault, delay_ns, left) in &self.slowed_by {
            let delay = self.stream.below(*delay_ns);
            late += delay;
            if delay > 0 || (1..self.speed.bytes_per_second).contains(left) {
                effective(*fault);
            }
            if *left > 0 {
                per_second = per_second.min(*left);
            }
        }
        let on_the_wire = (bytes as u64).saturating_mul(1_000_000_000) / per_second.max(1);
        self.free_at = self.free_at.max(now).saturating_add(on_the_wire);
        // From the other end of the same draw: what is late is not split as well.
        let split = (bytes > 1 && luck >= 1_000_000 - SPLIT_PER_MILLION)
            .then(|| self.stream.between(1, bytes as u64 - 1) as usize);
        Passage { at: self.free_at + self.base_ns + jitter + late, split }
    }

    /// A time at which something that waited for the link to heal is sent again, after so long: the
    /// longer it waited, the longer its machine takes to try again.
    pub(crate) fn retry_at(&mut self, now: u64, waited_ns: u64) -> u64 {
        const RETRY_NS_MAX: u64 = 1_000_000_000;
        let pause = self.stream.below((waited_ns / 2).min(RETRY_NS_MAX) + 1);
        now + self.base_ns + pause
    }

    /// A fingerprint of all that was drawn for it.
    pub(crate) fn drawn(&self) -> u64 {
        self.stream.drawn()
    }

    /// The least time from end to end.
    pub(crate) fn base_ns(&self) -> u64 {
        self.base_ns
    }

    /// The bytes as they come out of the link; only those of messages with checksums may change.
    pub(crate) fn carry(
        &mut self,
        bytes: Bytes,
        is_checksummed: bool,
        mut effective: impl FnMut(usize),
    ) -> Bytes {
        if self.corrupted_by.is_empty() || !is_checksummed || bytes.is_empty() {
            return bytes;
        }
        let mut changed = None;
        for (fault, per_million) in &self.corrupted_by {
            if self.stream.chance(*per_million) {
                effective(*fault);
                let buffer = changed.get_or_insert_with(|| bytes.to_vec());
                let place = self.stream.below(buffer.len() as u64) as usize;
                // Never zero: the byte must differ.
                buffer[place] ^= self.stream.between(1, 255) as u8;
            }
        }
        changed.map_or(bytes, Bytes::from)
    }

    /// Whether a coin, thrown by the link, shows heads.
    pub(crate) fn coin(&mut self) -> bool {
        self.stream.chance(500_000)
    }

    /// How many of `count` things that are on their way still arrive.
    pub(crate) fn still_arriving(&mut self, count: usize) -> usize {
        self.stream.below(count as u64 + 1) as usize
    }
}
