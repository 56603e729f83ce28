//! An application that asks the master for something again and again, until it has been done so many times.

use super::address::{AddressBook, Lookup};
use super::master::{Question, Reply};
use crate::lessons::talk::Caller;
use mailstorm_client::ClientConfig;
use mailstorm_host::{Address, Platform};
use mailstorm_record::{Event, Happening};
use mailstorm_shared::{Millis, Observation};
use mailstorm_world::SimPlatform;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What it tells of a request that was done.
pub(in crate::lessons) const DONE: &str = "request_done";
/// What it tells when it knows of no master.
pub(in crate::lessons) const NO_MASTER: &str = "no_master_known";
/// What it tells when whom it asked is not master, or not in the epoch that was meant.
pub(in crate::lessons) const TURNED_AWAY: &str = "turned_away";
/// What it tells when no answer came.
pub(in crate::lessons) const NO_ANSWER: &str = "no_answer";
/// How long it waits for one.
const PATIENCE: Millis = Millis(500);

/// An application.
pub(in crate::lessons) struct Application {
    pub(in crate::lessons) platform: SimPlatform,
    pub(in crate::lessons) config: ClientConfig,
    pub(in crate::lessons) name: Arc<str>,
    pub(in crate::lessons) lookup: Lookup,
    /// When it begins, and how often it asks. A turn that comes while the request before it is under way
    /// is left out.
    pub(in crate::lessons) begins: Millis,
    pub(in crate::lessons) every: Millis,
    /// After how many requests its work is done.
    pub(in crate::lessons) wanted: u64,
    /// Whether each request is an entry for the ledger.
    pub(in crate::lessons) writes: bool,
}

impl Application {
    pub(in crate::lessons) async fn run(self) {
        let Self { platform, config, name, lookup, begins, every, wanted, writes } = self;
        platform.sleep(begins).await;
        let begin = platform.now().monotonic;
        let mut book = AddressBook::open(&platform, config, lookup);
        let mut masters: BTreeMap<Arc<str>, Caller<SimPlatform, Question, Reply>> = BTreeMap::new();
        let mut done = 0;
        while done < wanted {
            let since = platform.now().monotonic.0.saturating_sub(begin.0);
            platform.sleep(Millis(every.0 - since % every.0)).await;
            let told = match book.master().await {
                None => NO_MASTER,
                Some(master) => {
                    let address = Address(Arc::clone(&master.address));
                    let caller = masters
                        .entry(master.address)
                        .or_insert_with(|| Caller::new(&platform, address, PATIENCE));
                    let question = if writes {
                        Question::Write { id: format!("{name}-{done}"), epoch: master.epoch }
                    } else {
                        Question::Read
                    };
                    match caller.ask(question).await {
                        Ok(Reply::Done) => DONE,
                        Ok(Reply::NotMaster) => TURNED_AWAY,
                        Err(_) => NO_ANSWER,
                    }
                }
            };
            done += u64::from(told == DONE);
            platform.observe(Observation::Milestone { name: told.into() });
        }
        std::future::pending().await
    }
}

/// Which application runs on the node of this name: `c1`, `c2`, ...
pub(in crate::lessons) fn number_of(node: &str) -> Option<u64> {
    node.strip_prefix('c')?.parse().ok()
}

/// Whether an application tells here that a request of its was done.
pub(in crate::lessons) fn is_done(event: &Event) -> bool {
    tells(event, DONE)
}

/// Whether somebody tells this here.
pub(in crate::lessons) fn tells(event: &Event, milestone: &str) -> bool {
    matches!(&event.happening, Happening::Observed {
        observation: Observation::Milestone { name },
    } if **name == *milestone)
}
