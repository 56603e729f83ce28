//! The world's clockwork: everything that is to happen, by time and then by the order of the
//! requests.

use crate::slab::Id;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// What is to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// The next segment that this half of a connection sent arrives.
    Arrival(Id),
    /// The other machine says that it does not know this half's connection.
    Unknown(Id),
    /// The other machine says that nobody listens where this half wants to connect to.
    Refused(Id),
    /// This half has waited long enough for an answer.
    GiveUp(Id),
    /// This endpoint requested to be woken.
    Timer(Id),
    /// This sleep is over.
    Sleep(Id),
    /// This disk operation is done.
    Disk(Id),
    /// Something for the run's own task.
    Control(Control),
}

/// What the run's own task does: all that starts and stops processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// A fault of the plan begins.
    FaultBegins(usize),
    /// A fault goes through its next motion: a flapping link flips, a crash loop crashes again.
    FaultSteps(usize),
    /// A fault of the plan ends.
    FaultEnds(usize),
    /// A node's process is started, if nothing keeps it down.
    Start(usize),
    /// A process came to the end of its program.
    Ended {
        /// Its node.
        node: usize,
        /// Which of the node's processes.
        incarnation: u32,
    },
    /// The run checks whether its phase is over.
    Look,
}

/// An entry's rank is its time and then its number in the order of the requests: no two are equal.
#[derive(Clone, Copy, Debug)]
struct Entry {
    rank: u128,
    due: Due,
}

impl Entry {
    fn at(&self) -> u64 {
        (self.rank >> 64) as u64
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The earliest is the greatest, since the heap gives that first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.rank.cmp(&self.rank)
    }
}

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Entry>,
    sequence: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, at: u64, due: Due) {
        self.sequence += 1;
        let rank = u128::from(at) << 64 | u128::from(self.sequence);
        self.heap.push(Entry { rank, due });
    }

    /// When the next thing happens.
    pub(crate) fn head(&self) -> Option<u64> {
        self.heap.peek().map(Entry::at)
    }

    pub(crate) fn pop(&mut self) -> Option<(u64, Due)> {
        let entry = self.heap.pop()?;
        Some((entry.at(), entry.due))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_at_one_time_happens_in_the_order_of_asking() {
        let mut queue = Queue::default();
        queue.push(5, Due::Control(Control::Start(1)));
        queue.push(3, Due::Control(Control::Start(2)));
        queue.push(5, Due::Control(Control::Start(0)));
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(
            order,
            [(3, 2), (5, 1), (5, 0)].map(|(at, n)| (at, Due::Control(Control::Start(n))))
        );
    }
}
