//! Work as what a run waits for: so many pieces of it.
//!
//! Start at [`Work`].

use crate::scenario::Progress;
use mailstorm_record::{Event, NodeName};
use std::collections::BTreeMap;

/// So many pieces, each told by an event.
pub struct Work {
    /// What a piece is, in the plural.
    pieces: &'static str,
    wanted: u64,
    done: u64,
    needs_all_targets: bool,
    is_piece: Box<dyn FnMut(&Event) -> bool>,
}

impl Work {
    /// So many `pieces`, each an event of which `is_piece` is true. It may begin at once.
    pub fn new(
        pieces: &'static str,
        wanted: u64,
        is_piece: impl FnMut(&Event) -> bool + 'static,
    ) -> Self {
        let is_piece = Box::new(is_piece);
        Self { pieces, wanted, done: 0, needs_all_targets: false, is_piece }
    }

    /// No work of which a run has to see the end: it ends with its storm.
    pub fn none() -> Self {
        Self::new("pieces", 0, |_| false)
    }

    /// The same, for a storm that begins when every moving target means somebody.
    #[must_use]
    pub fn once_led(self) -> Self {
        Self { needs_all_targets: true, ..self }
    }
}

impl Progress for Work {
    fn observe(&mut self, event: &Event) {
        self.done += u64::from((self.is_piece)(event));
    }

    fn ready(&self, is_led: bool) -> bool {
        is_led || !self.needs_all_targets
    }

    fn done(&self) -> bool {
        self.done >= self.wanted
    }

    fn waits_for(&self) -> String {
        format!("{} of {} {} are done", self.done, self.wanted, self.pieces)
    }
}

/// The first so many pieces of each of those who work, and none that they do beyond that.
pub fn first_of_each(
    each: u64,
    mut whose: impl FnMut(&Event) -> Option<NodeName> + 'static,
) -> impl FnMut(&Event) -> bool {
    let mut done: BTreeMap<NodeName, u64> = BTreeMap::new();
    move |event| {
        let Some(worker) = whose(event) else { return false };
        let done = done.entry(worker).or_default();
        *done += 1;
        *done <= each
    }
}
