//! The clients of the coordination service on a page: their operations.
//!
//! Start at [`Clients`].

use crate::page::drawing::{Drawing, Ended, OperationId};
use crate::page::projection::{Cast, Projection, Seen};
use mailstorm_shared::Observation;
use mailstorm_shared::facts::{ClientFact, Fact, Outcome, Sign};
use std::collections::BTreeMap;

/// Nothing is kept of them.
#[derive(Default)]
pub(super) struct Clients;

impl Projection for Clients {
    fn topic(&self) -> &'static str {
        ClientFact::TOPIC
    }

    fn project(&mut self, seen: &Seen<'_>, onto: &mut Drawing) {
        let mut open: BTreeMap<(u32, u64), OperationId> = BTreeMap::new();
        for (at, _, fact) in seen.facts() {
            match fact {
                Observation::Client(ClientFact::Invoked { client, operation, .. }) => {
                    open.insert((*client, *operation), onto.invoked(at));
                }
                Observation::Client(ClientFact::Returned {
                    client, operation, outcome, ..
                }) => {
                    if let Some(begun) = open.remove(&(*client, *operation)) {
                        onto.returned(begun, at, ended(outcome));
                    }
                }
                _ => {}
            }
        }
    }

    fn cast(&self) -> Cast {
        Cast { work: &["client"], ..Cast::default() }
    }

    fn sign(&self, fact: &Observation) -> Option<Sign> {
        match fact {
            Observation::Client(ClientFact::ClientSessionEnded { .. }) => Some(Sign::Ring),
            Observation::Client(ClientFact::ProtocolBroken { .. }) => Some(Sign::Cross),
            _ => None,
        }
    }
}

fn ended(outcome: &Outcome) -> Ended {
    match outcome {
        Outcome::Ok { .. } => Ended::Ok,
        Outcome::Failed { .. } => Ended::Failed,
        Outcome::Unknown => Ended::Unknown,
    }
}
