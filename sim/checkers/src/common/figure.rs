//! What a checker measures beside its verdict: numbers that can be added up over runs.

use std::borrow::Cow;

/// A measured quantity: how often, how much, and how much at the most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Its name, in `snake_case`, with the unit at its end where it has one.
    pub name: Cow<'static, str>,
    /// What it means, in a few words.
    pub about: &'static str,
    /// How many samples were taken.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
    /// The greatest of them.
    pub max: u64,
}

impl Figure {
    /// A figure without samples.
    pub fn new(name: impl Into<Cow<'static, str>>, about: &'static str) -> Self {
        let name = name.into();
        Self { name, about, count: 0, sum: 0, max: 0 }
    }

    /// Takes a sample.
    pub fn add(&mut self, sample: u64) {
        self.count += 1;
        self.sum = self.sum.saturating_add(sample);
        self.max = self.max.max(sample);
    }
}
