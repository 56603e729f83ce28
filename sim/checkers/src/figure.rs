//! What a checker measures beside its verdict: numbers that can be added up over runs.

use std::collections::BTreeMap;

/// A measured quantity: how often, how much, and how it is spread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Its name, in `snake_case`, with the unit at its end where it has one.
    pub name: &'static str,
    /// What it means, in a few words.
    pub about: &'static str,
    /// How many samples were taken.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
    /// The greatest of them.
    pub max: u64,
    /// How many samples had which value; values from 16 on stand under the next lower power of two.
    pub histogram: BTreeMap<u64, u64>,
}

impl Figure {
    /// A figure without samples.
    pub fn new(name: &'static str, about: &'static str) -> Self {
        Self { name, about, count: 0, sum: 0, max: 0, histogram: BTreeMap::new() }
    }

    /// Takes a sample.
    pub fn add(&mut self, sample: u64) {
        /// Values below this are told apart in the histogram.
        const EXACT_BELOW: u64 = 16;
        self.count += 1;
        self.sum = self.sum.saturating_add(sample);
        self.max = self.max.max(sample);
        let bucket = if sample < EXACT_BELOW { sample } else { 1 << sample.ilog2() };
        *self.histogram.entry(bucket).or_default() += 1;
    }

    /// Adds what another run measured under the same name.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
        for (bucket, count) in &other.histogram {
            *self.histogram.entry(*bucket).or_default() += count;
        }
    }

    /// The mean of the samples; 0 without any.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum as f64 / self.count as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_two_runs_add_up() {
        let mut first = Figure::new("attempts", "");
        first.add(1);
        first.add(3);
        let mut second = Figure::new("attempts", "");
        second.add(1);
        second.add(40);
        first.merge(&second);
        assert_eq!((first.count, first.sum, first.max), (4, 45, 40));
        assert_eq!(first.histogram, BTreeMap::from([(1, 2), (3, 1), (32, 1)]));
        assert!((first.mean() - 11.25).abs() < f64::EPSILON);
    }
}
