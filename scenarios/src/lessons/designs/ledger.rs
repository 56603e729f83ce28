//! The ledger: where the writes of masters end up, outside of everything that fails.
//!
//! Holds: an entry is stored once, whoever brings it again; and if the ledger is fenced, nothing is
//! stored for anybody whose token is below the highest it has seen.

use crate::talk::{Caller, Desk};
use mailstorm_platform::{Address, Platform};
use mailstorm_record::{Event, Happening};
use mailstorm_shared::facts::MailFact;
use mailstorm_shared::{Millis, Observation};
use mailstorm_world::SimPlatform;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The name of its node.
pub(in crate::lessons) const LEDGER: &str = "ledger";
const ADDRESS: &str = "ledger:7001";
/// What tokens are compared within.
const RESOURCE: &str = "master";
/// How long its callers wait.
const PATIENCE: Millis = Millis(1_000);

/// Somebody who asks the ledger.
pub(in crate::lessons) type ToLedger = Caller<SimPlatform, Entry, Answer>;

/// What is to be stored.
#[derive(Serialize, Deserialize)]
pub(in crate::lessons) struct Entry {
    pub(in crate::lessons) id: String,
    /// Who brings it.
    pub(in crate::lessons) by: String,
    /// The token under which it is brought.
    pub(in crate::lessons) token: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::lessons) enum Answer {
    /// It is stored, now or since an earlier time.
    Stored,
    /// It is not: somebody with a higher token was here.
    Refused,
}

/// A caller of the ledger.
pub(in crate::lessons) fn to_ledger(platform: &SimPlatform) -> ToLedger {
    Caller::new(platform, Address::from(ADDRESS), PATIENCE)
}

/// The ledger's program.
pub(in crate::lessons) async fn serve_ledger(platform: SimPlatform, is_fenced: bool) {
    let mut desk = match Desk::open(&platform, &Address::from(ADDRESS)) {
        Ok(desk) => desk,
        Err(error) => return platform.last_words(&error.to_string()),
    };
    let mut ledger = Ledger { is_fenced, ..Ledger::default() };
    loop {
        let (asker, entry): (_, Entry) = desk.next().await;
        let (answer, observation) = ledger.enter(entry);
        if let Some(observation) = observation {
            platform.observe(observation);
        }
        desk.answer(asker, answer);
    }
}

/// What it holds.
#[derive(Default)]
struct Ledger {
    is_fenced: bool,
    highest: u64,
    ids: BTreeSet<String>,
}

impl Ledger {
    /// What is answered, and what there is to be told.
    fn enter(&mut self, entry: Entry) -> (Answer, Option<Observation>) {
        let Entry { id, by, token } = entry;
        if self.ids.contains(&id) {
            return (Answer::Stored, None);
        }
        let (mail, worker) = (id.as_str().into(), by.into());
        if self.is_fenced && token < self.highest {
            let highest = self.highest;
            let resource = RESOURCE.into();
            let refused = MailFact::SinkRefused { resource, mail, worker, token, highest };
            return (Answer::Refused, Some(Observation::Mail(refused)));
        }
        self.highest = self.highest.max(token);
        self.ids.insert(id);
        let (resource, verdict) = (RESOURCE.into(), "stored".into());
        let accepted =
            Observation::Mail(MailFact::SinkAccepted { resource, mail, worker, token, verdict });
        (Answer::Stored, Some(accepted))
    }
}

/// Whether the ledger tells here that it has stored an entry.
pub(in crate::lessons) fn is_stored(event: &Event) -> bool {
    matches!(
        event.happening,
        Happening::Observed { observation: Observation::Mail(MailFact::SinkAccepted { .. }) }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(ledger: &mut Ledger, id: &str, token: u64) -> (Answer, bool) {
        let entry = Entry { id: id.to_owned(), by: "m1".to_owned(), token };
        let (answer, told) = ledger.enter(entry);
        (answer, told.is_some())
    }

    #[test]
    fn an_entry_is_stored_once() {
        let mut ledger = Ledger { is_fenced: true, ..Ledger::default() };
        assert_eq!(enter(&mut ledger, "a", 1), (Answer::Stored, true));
        assert_eq!(enter(&mut ledger, "a", 2), (Answer::Stored, false));
    }

    #[test]
    fn a_fence_keeps_a_former_master_out() {
        for (is_fenced, answer) in [(true, Answer::Refused), (false, Answer::Stored)] {
            let mut ledger = Ledger { is_fenced, ..Ledger::default() };
            assert_eq!(enter(&mut ledger, "a", 2), (Answer::Stored, true));
            assert_eq!(enter(&mut ledger, "b", 1), (answer, true));
            assert_eq!(enter(&mut ledger, "c", 2), (Answer::Stored, true));
        }
    }
}
