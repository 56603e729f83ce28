//! What the cores tell of their memory: how much they keep of what could grow.

use super::application::Spaced;
use super::{Account, Fact, Subject};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// One fact about a core's memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum MemoryFact {
    /// More of something is kept than ever before, or more than there may be.
    Keeps {
        /// Of what, in `snake_case`, with the unit at its end where it has one.
        load: Arc<str>,
        /// How much.
        now: u64,
        /// How much the configuration allows; `None` where only what comes in bounds it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<u64>,
    },
}

impl MemoryFact {
    /// Whether more is kept than the configuration allows.
    pub fn is_too_much(&self) -> bool {
        let Self::Keeps { now, max, .. } = self;
        max.is_some_and(|max| *now > max)
    }
}

impl Fact for MemoryFact {
    const TOPIC: &'static str = "memory";

    fn told<'a, T>(&'a self, to: impl FnOnce(Account<'a>, fmt::Arguments<'_>) -> T) -> T {
        let Self::Keeps { load, now, max } = self;
        let keeps = Account::of("keeps", Subject::Memory);
        let keeps = if self.is_too_much() { keeps.info() } else { keeps };
        let load = Spaced(load);
        match max {
            Some(max) => to(keeps, format_args!("keeps {load}: {now} of at most {max}")),
            None => to(keeps, format_args!("keeps {load}: {now}")),
        }
    }
}
