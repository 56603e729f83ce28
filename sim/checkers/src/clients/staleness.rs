//! How stale plain reads are.
//!
//! A plain read is answered by the server that the client is connected to, from what that server
//! has applied, so it may be old: that is promised, and no violation. How old it was is measured:
//! from the moment at which the first server applied a newer change of that znode until the read
//! was answered; zero for a read that shows the newest.
//! Figure: that time, of every read of a znode's data, its existence or its children.
//! Source: ZooKeeper's documentation, "Consistency Guarantees" (timeliness, and `sync` before a
//! read).

use crate::clients::followed::NewestApplied;
use crate::clients::znodes::parent_of;
use crate::{Checker, Figure, Interests};
use mailstorm_record::{Event, Happening, Violation};
use mailstorm_shared::facts::{CallKind, ClientFact, EnsembleFact, Outcome};
use mailstorm_shared::znodes::Change;
use mailstorm_shared::{Observation, Zxid};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// How many changes of one znode are remembered: a read that is older counts as old as the oldest
/// of them.
const CHANGES_MAX: usize = 256;

/// What a read shows: the list of a znode's children, or else the znode itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Shown {
    is_list: bool,
    path: Arc<str>,
}

/// Measures reads; finds nothing.
#[derive(Clone, Debug)]
pub struct Staleness {
    applied: NewestApplied,
    /// The newest changes of what can be read, and when the first server applied them.
    changes: BTreeMap<Shown, VecDeque<(Zxid, u64)>>,
    /// The reads under way, and of what.
    reads: BTreeMap<(u32, u64), Shown>,
    staleness_ms: Figure,
}

impl Staleness {
    /// For any number of clients of one ensemble.
    pub fn new() -> Self {
        Self {
            applied: NewestApplied::default(),
            changes: BTreeMap::new(),
            reads: BTreeMap::new(),
            staleness_ms: Figure::new(
                "staleness_ms",
                "for how long there had been something newer when a plain read was answered",
            ),
        }
    }

    fn changed(&mut self, is_list: bool, path: &str, zxid: Zxid, at_ns: u64) {
        let shown = Shown { is_list, path: path.into() };
        let changes = self.changes.entry(shown).or_default();
        changes.push_back((zxid, at_ns));
        if changes.len() > CHANGES_MAX {
            changes.pop_front();
        }
    }

    /// A read of this shows everything up to `zxid`.
    fn read(&mut self, shown: &Shown, zxid: Zxid, at_ns: u64) {
        let newer = self.changes.get(shown).and_then(|c| c.iter().find(|(at, _)| *at > zxid));
        let since_ns = newer.map_or(at_ns, |(_, since_ns)| *since_ns);
        self.staleness_ms.add(at_ns.saturating_sub(since_ns) / 1_000_000);
    }
}

impl Default for Staleness {
    fn default() -> Self {
        Self::new()
    }
}

impl Checker for Staleness {
    fn name(&self) -> &'static str {
        "staleness"
    }

    fn interests(&self) -> Interests {
        Interests::APPLIED | Interests::OPERATIONS
    }

    fn measure(&mut self, event: &Event) {
        let Happening::Observed { observation } = &event.happening else { return };
        match observation {
            Observation::Ensemble(EnsembleFact::Applied { zxid, changes, .. })
                if self.applied.is_moved_by(*zxid) =>
            {
                for change in changes {
                    let path = match change {
                        Change::Created { path, .. } | Change::Deleted { path, .. } => {
                            self.changed(true, parent_of(path), *zxid, event.at_ns);
                            path
                        }
                        Change::DataSet { path, .. } => path,
                        _ => continue,
                    };
                    self.changed(false, path, *zxid, event.at_ns);
                }
            }
            Observation::Client(ClientFact::Invoked { client, operation, call }) => {
                let is_read =
                    matches!(call.kind, CallKind::GetData | CallKind::Exists | CallKind::Children);
                if is_read {
                    let is_list = call.kind == CallKind::Children;
                    let shown = Shown { is_list, path: Arc::clone(&call.path) };
                    self.reads.insert((*client, *operation), shown);
                } else {
                    self.reads.remove(&(*client, *operation));
                }
            }
            Observation::Client(ClientFact::Returned { client, operation, outcome, .. }) => {
                let Some(shown) = self.reads.remove(&(*client, *operation)) else { return };
                if let Outcome::Ok { zxid, .. } | Outcome::Failed { zxid, .. } = outcome
                    && *zxid != Zxid::ZERO
                {
                    self.read(&shown, *zxid, event.at_ns);
                }
            }
            _ => {}
        }
    }

    fn observe(&mut self, _event: &Event) -> Result<(), Violation> {
        Ok(())
    }

    fn figures(&self) -> Vec<Figure> {
        vec![self.staleness_ms.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::history::{History, data_set, get, ok_with, z};
    use mailstorm_record::Verdict;

    #[test]
    fn a_read_is_as_stale_as_the_oldest_change_that_it_does_not_show() {
        let mut checker = Staleness::new();
        let read = |operation| {
            move |h: History, zxid| h.done(1, operation, get("/a"), ok_with(zxid, 0, 0, zxid))
        };
        let history = History::new()
            .changed(1, z(1, 1), vec![data_set("/a", 1)])
            .after_ms(100)
            .changed(1, z(1, 2), vec![data_set("/a", 2)])
            .changed(2, z(1, 2), vec![data_set("/a", 2)])
            .changed(1, z(1, 3), vec![data_set("/b", 1)])
            .after_ms(50)
            .changed(1, z(1, 4), vec![data_set("/a", 3)])
            .after_ms(50);
        // Nothing newer; one change too old; two, of which the first counts.
        let history = read(1)(history, z(1, 4));
        let history = read(2)(history, z(1, 3));
        let history = read(3)(history, z(1, 1));
        assert_eq!(history.feed(&mut checker), Verdict::Pass);
        let figures = checker.figures();
        assert_eq!((figures[0].count, figures[0].sum, figures[0].max), (3, 54 + 109, 109));
    }
}
