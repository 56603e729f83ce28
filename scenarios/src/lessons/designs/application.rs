//! An application that asks the master for something again and again.

use super::address::{AddressBook, Lookup};
use super::master::{CANDIDATES, Question, Reply};
use crate::talk::Caller;
use mailstorm_checkers::Needs;
use mailstorm_client::ClientConfig;
use mailstorm_platform::{Address, Platform};
use mailstorm_record::{Event, Happening, NodeName};
use mailstorm_shared::facts::ApplicationFact;
use mailstorm_shared::{Ensemble, Millis, Observation};
use mailstorm_world::{NodeSpec, SimPlatform};
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
    /// How many times it was started before: what it asks for then is not what it asked for before.
    pub(in crate::lessons) incarnation: u32,
    pub(in crate::lessons) lookup: Lookup,
    /// When it begins, and how often it asks. A turn that comes while the request before it is
    /// under way is left out.
    pub(in crate::lessons) begins: Millis,
    pub(in crate::lessons) every: Millis,
    /// Whether each request is an entry for the ledger.
    pub(in crate::lessons) writes: bool,
}

impl Application {
    pub(in crate::lessons) async fn run(self) {
        let Self { platform, config, name, incarnation, lookup, begins, every, writes } = self;
        let own = match incarnation {
            0 => name.to_string(),
            incarnation => format!("{name}-{incarnation}"),
        };
        platform.sleep(begins).await;
        let begin = platform.now().monotonic;
        let mut book = AddressBook::open(&platform, config, lookup);
        let mut masters: BTreeMap<Arc<str>, Caller<SimPlatform, Question, Reply>> = BTreeMap::new();
        let mut done = 0;
        // Until the run is over: a fault that comes late is to meet somebody who asks.
        loop {
            let since = platform.now().monotonic.since(begin).0;
            platform.sleep(Millis(every.0 - since % every.0)).await;
            let told = match book.master().await {
                None => NO_MASTER,
                Some(master) => {
                    let address = Address(Arc::clone(&master.address));
                    let caller = masters
                        .entry(master.address)
                        .or_insert_with(|| Caller::new(&platform, address, PATIENCE));
                    let question = if writes {
                        Question::Write { id: format!("{own}-{done}"), epoch: master.epoch }
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
            platform.observe(ApplicationFact::Milestone { name: told.into() });
        }
    }
}

/// The machines of a lesson's candidates, and of so many applications that go to whoever is master:
/// `c1`, `c2` and so on.
pub(in crate::lessons) fn candidates_and_applications(
    applications: u64,
) -> impl Iterator<Item = NodeSpec> {
    let candidates = CANDIDATES.map(|(name, _)| NodeSpec::client(name).called("candidate"));
    let applications = (1..=applications).map(|number| NodeSpec::client(&format!("c{number}")));
    candidates.into_iter().chain(applications)
}

/// Which of the applications runs on this node.
pub(in crate::lessons) fn number_of(node: &str) -> u64 {
    let number = node.strip_prefix('c').and_then(|number| number.parse().ok());
    number.expect("who is no candidate is an application")
}

/// Whose request was done, if an application tells here that one was.
pub(in crate::lessons) fn whose_request(event: &Event) -> Option<NodeName> {
    event.node.clone().filter(|_| tells(event, DONE))
}

/// What the requests of so many applications need, which go to whoever is master.
pub(in crate::lessons) fn through_a_master(ensemble: &Ensemble, applications: u64) -> Needs {
    let names: Vec<String> = (1..=applications).map(|number| format!("c{number}")).collect();
    Needs::of(ensemble, names.iter().map(String::as_str)).through(CANDIDATES.map(|(name, _)| name))
}

/// Whether somebody tells this here.
pub(in crate::lessons) fn tells(event: &Event, milestone: &str) -> bool {
    matches!(&event.happening, Happening::Observed {
        observation: Observation::Application(ApplicationFact::Milestone { name }),
    } if **name == *milestone)
}
