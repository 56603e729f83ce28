//! What a run of the ensemble waits for: everybody is served again, and everything is still there.
//!
//! Owns: when the end is reached. Leaves: what is done for it to `tourist` and `auditor`.
//! Holds: a reading counts only if every server served, under one leader, from its beginning to its
//! end.
//! Start at [`ServedAgain`].

use super::auditor;
use super::tourist::ALL_MET;
use mailstorm_checkers::Service;
use mailstorm_record::{Event, Happening, NodeName};
use mailstorm_shared::Ensemble;
use mailstorm_shared::facts::{ApplicationFact, ClientFact, Observation, Outcome};
use mailstorm_world::Progress;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What each client must get done after everything has healed.
const DONE_AFTER_HEALING: u64 = 8;

/// Waits until, after all faults have ended, every client has got something done and has met the
/// others, every candidate has reigned, and every server serves and has shown everything it has.
pub(super) struct ServedAgain {
    service: Service,
    servers: usize,
    clients: usize,
    witnesses: usize,
    candidates: usize,
    healed: bool,
    /// By clients and witnesses.
    done: BTreeMap<NodeName, u64>,
    met: BTreeSet<NodeName>,
    reigned: BTreeSet<Arc<str>>,
    /// A reading is under way, and every server has served since it began.
    reads_the_whole: bool,
    /// The servers through which everything was read.
    read_through: BTreeSet<Arc<str>>,
    operations: u64,
}

impl ServedAgain {
    pub(super) fn new(
        ensemble: Ensemble,
        clients: usize,
        witnesses: usize,
        candidates: usize,
    ) -> Self {
        Self {
            servers: ensemble.servers().count(),
            service: Service::new(ensemble),
            clients,
            witnesses,
            candidates,
            healed: false,
            done: BTreeMap::new(),
            met: BTreeSet::new(),
            reigned: BTreeSet::new(),
            reads_the_whole: false,
            read_through: BTreeSet::new(),
            operations: 0,
        }
    }

    fn reached(&mut self, node: &NodeName, milestone: &str) {
        if milestone == ALL_MET {
            self.met.insert(node.clone());
        } else if milestone == auditor::BEGINS {
            self.reads_the_whole = self.service.is_whole();
        } else if let Some(server) = milestone.strip_prefix(auditor::READ_THROUGH)
            && self.reads_the_whole
        {
            self.read_through.insert(server.into());
        }
    }
}

impl Progress for ServedAgain {
    fn observe(&mut self, event: &Event) {
        self.service.observe(event);
        self.reads_the_whole = self.reads_the_whole && self.service.is_whole();
        let Happening::Observed { observation } = &event.happening else {
            self.healed |=
                matches!(&event.happening, Happening::Phase { name } if &**name == "heal");
            return;
        };
        match (observation, &event.node) {
            (
                Observation::Client(ClientFact::Returned { outcome: Outcome::Ok { .. }, .. }),
                Some(node),
            ) if &*node.0 != auditor::NAME => {
                self.operations += 1;
                if self.healed {
                    *self.done.entry(node.clone()).or_default() += 1;
                }
            }
            (Observation::Application(ApplicationFact::Milestone { name }), Some(node)) => {
                self.reached(node, name)
            }
            (Observation::Application(ApplicationFact::MasterBelieves { candidate, .. }), _)
                if self.healed =>
            {
                self.reigned.insert(candidate.clone());
            }
            _ => {}
        }
    }

    fn done(&self) -> bool {
        let served = self.done.values().filter(|done| **done >= DONE_AFTER_HEALING).count();
        served == self.clients + self.witnesses
            && self.met.len() == self.clients
            && self.reigned.len() == self.candidates
            && self.read_through.len() == self.servers
            && self.service.is_whole()
    }

    fn waits_for(&self) -> String {
        let mut missing = Vec::new();
        let mut misses = |what: &str, so_far: String| {
            let so_far = if so_far.is_empty() { "nobody" } else { &so_far };
            missing.push(format!("{what} (so far {so_far})"));
        };
        let all = self.clients + self.witnesses;
        let served = self.done.values().filter(|done| **done >= DONE_AFTER_HEALING).count();
        if served < all {
            let what = format!("every client gets {DONE_AFTER_HEALING} operations done");
            misses(&what, format!("{served} of {all}"));
        }
        if self.met.len() < self.clients {
            let met: Vec<_> = self.met.iter().map(|node| &*node.0).collect();
            misses("all meet", met.join(", "));
        }
        if self.reigned.len() < self.candidates {
            let reigned: Vec<_> = self.reigned.iter().map(|candidate| &**candidate).collect();
            misses("every candidate reigns", reigned.join(", "));
        }
        if self.read_through.len() < self.servers {
            let through: Vec<_> = self.read_through.iter().map(|server| &**server).collect();
            let through = if through.is_empty() { "none".to_owned() } else { through.join(", ") };
            misses("everything is read through every server", through);
        }
        if !self.service.is_whole() || missing.is_empty() {
            missing.push(self.service.told());
        }
        missing.join("; ")
    }

    fn figures(&self) -> BTreeMap<String, u64> {
        [("operations_done".to_owned(), self.operations)].into()
    }
}
