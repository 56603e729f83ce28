//! The table, and what can be asked of it.

use mailstorm_shared::{Instant, Millis};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(crate) enum Ask {
    /// Makes the worker holder of an open row, under a fence of its own: one that it holds already,
    /// or else the first that nobody holds or whose lease is over.
    Take {
        /// Who.
        worker: Arc<str>,
    },
    /// The first open row that the worker holds.
    Mine {
        /// Who.
        worker: Arc<str>,
    },
    /// Makes a worker holder of an open row, whoever held it.
    Assign {
        /// Which.
        mail: usize,
        /// To whom.
        worker: Arc<str>,
    },
    /// Every open row with its holder.
    Open,
    /// A mail is done, if the row has this fence; whatever fence it has, if none is named.
    Finish {
        /// Which.
        mail: usize,
        /// Under which fence its worker took it.
        fence: Option<u64>,
    },
}

/// What came of a statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub(crate) enum Answer {
    /// A row that the worker holds.
    Row {
        /// Which mail.
        mail: usize,
        /// Its fence.
        fence: u64,
    },
    /// There is no such row now.
    Nothing,
    /// Done, now or before.
    Done,
    /// Not done: the row has another fence.
    Lost,
    /// Open rows: mail and holder.
    Rows {
        /// In the order of the mails.
        open: Vec<(usize, Option<Arc<str>>)>,
    },
}

/// A row as a statement left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    mail: usize,
    holder: Option<Arc<str>>,
    fence: u64,
    done: bool,
}

/// All mails.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    rows: Vec<Row>,
    /// For how long a row is its holder's; for ever, if it is not said.
    lease: Option<Millis>,
    highest_fence: u64,
}

#[derive(Clone, Debug, Default)]
struct Row {
    holder: Option<Arc<str>>,
    fence: u64,
    lease_ends: Instant,
    done: bool,
}

impl Table {
    /// So many mails, which nobody holds.
    pub(crate) fn of(mails: usize, lease: Option<Millis>) -> Self {
        Self { rows: vec![Row::default(); mails], lease, highest_fence: 0 }
    }

    /// The same, with every mail in these hands in turn.
    pub(crate) fn dealt_to(mut self, workers: &[Arc<str>]) -> Self {
        let hands = workers.iter().cycle();
        for (row, worker) in self.rows.iter_mut().zip(hands) {
            row.holder = Some(worker.clone());
        }
        self
    }

    /// A change that the log has.
    pub(super) fn apply(&mut self, change: Change) {
        let Change { mail, holder, fence, done } = change;
        self.highest_fence = self.highest_fence.max(fence);
        if let Some(row) = self.rows.get_mut(mail) {
            *row = Row { holder, fence, lease_ends: Instant::ZERO, done };
        }
    }

    /// Every lease is as long as at its beginning.
    pub(super) fn renew_leases(&mut self, now: Instant) {
        for row in &mut self.rows {
            row.lease_ends = now + self.lease.unwrap_or_default();
        }
    }

    /// What comes of a statement, and the row that it changed.
    pub(super) fn answer(&mut self, now: Instant, ask: &Ask) -> (Answer, Option<Change>) {
        match ask {
            Ask::Take { worker } => {
                let own = self.first(|row| row.holder.as_ref() == Some(worker));
                let expires = self.lease.is_some();
                let is_free =
                    |row: &Row| row.holder.is_none() || (expires && row.lease_ends <= now);
                match own.or_else(|| self.first(is_free)) {
                    Some(mail) => self.hold(now, mail, worker),
                    None => (Answer::Nothing, None),
                }
            }
            Ask::Mine { worker } => match self.first(|row| row.holder.as_ref() == Some(worker)) {
                Some(mail) => (Answer::Row { mail, fence: self.rows[mail].fence }, None),
                None => (Answer::Nothing, None),
            },
            Ask::Assign { mail, worker } => match self.rows.get(*mail) {
                Some(row) if !row.done => self.hold(now, *mail, worker),
                _ => (Answer::Nothing, None),
            },
            Ask::Open => {
                let rows = self.rows.iter().enumerate().filter(|(_, row)| !row.done);
                let open = rows.map(|(mail, row)| (mail, row.holder.clone())).collect();
                (Answer::Rows { open }, None)
            }
            Ask::Finish { mail, fence } => {
                let Some(row) = self.rows.get_mut(*mail) else { return (Answer::Lost, None) };
                if fence.is_some_and(|fence| fence != row.fence) {
                    return (Answer::Lost, None);
                }
                let was_open = !std::mem::replace(&mut row.done, true);
                (Answer::Done, was_open.then(|| row.change(*mail)))
            }
        }
    }

    /// The first open row of which this is true.
    fn first(&self, is: impl Fn(&Row) -> bool) -> Option<usize> {
        self.rows.iter().position(|row| !row.done && is(row))
    }

    fn hold(&mut self, now: Instant, mail: usize, worker: &Arc<str>) -> (Answer, Option<Change>) {
        self.highest_fence += 1;
        let row = &mut self.rows[mail];
        row.holder = Some(worker.clone());
        row.fence = self.highest_fence;
        row.lease_ends = now + self.lease.unwrap_or_default();
        (Answer::Row { mail, fence: row.fence }, Some(row.change(mail)))
    }
}

impl Row {
    fn change(&self, mail: usize) -> Change {
        Change { mail, holder: self.holder.clone(), fence: self.fence, done: self.done }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Millis = Millis(5_000);

    fn take(table: &mut Table, at_ms: u64, worker: &str) -> Answer {
        table.answer(Instant(at_ms), &Ask::Take { worker: worker.into() }).0
    }

    fn finish(table: &mut Table, mail: usize, fence: u64) -> Answer {
        table.answer(Instant(0), &Ask::Finish { mail, fence: Some(fence) }).0
    }

    fn row(mail: usize, fence: u64) -> Answer {
        Answer::Row { mail, fence }
    }

    #[test]
    fn a_row_is_its_holders_until_the_lease_is_over() {
        let mut table = Table::of(2, Some(LEASE));
        assert_eq!(take(&mut table, 0, "w1"), row(0, 1));
        assert_eq!(take(&mut table, 0, "w2"), row(1, 2));
        assert_eq!(take(&mut table, 4_999, "w3"), Answer::Nothing);
        assert_eq!(take(&mut table, 5_000, "w3"), row(0, 3));
        assert_eq!(finish(&mut table, 0, 1), Answer::Lost);
        assert_eq!(finish(&mut table, 0, 3), Answer::Done);
    }

    #[test]
    fn without_a_lease_a_row_is_its_holders_for_ever() {
        let mut table = Table::of(1, None);
        assert_eq!(take(&mut table, 0, "w1"), row(0, 1));
        assert_eq!(take(&mut table, 1_000_000, "w2"), Answer::Nothing);
        assert_eq!(take(&mut table, 1_000_000, "w1"), row(0, 2));
    }

    #[test]
    fn the_log_brings_back_what_was_held_and_done_and_no_fence_is_used_twice() {
        let mut table = Table::of(3, Some(LEASE));
        let mut changes = Vec::new();
        for ask in [
            Ask::Take { worker: "w1".into() },
            Ask::Finish { mail: 0, fence: Some(1) },
            Ask::Assign { mail: 2, worker: "w2".into() },
        ] {
            changes.extend(table.answer(Instant(0), &ask).1);
        }
        let mut again = Table::of(3, Some(LEASE));
        changes.into_iter().for_each(|change| again.apply(change));
        again.renew_leases(Instant(0));
        let open = vec![(1, None), (2, Some("w2".into()))];
        assert_eq!(again.answer(Instant(0), &Ask::Open).0, Answer::Rows { open });
        assert_eq!(take(&mut again, 1, "w3"), row(1, 3));
    }
}
