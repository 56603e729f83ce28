//! One scenario per file: topology, programs, what is checked, what must be reached.
//!
//! Leaves: what may fail, and when, to the plan; a swarm draws it from the seed. Start at [`all`].

#[cfg(test)]
mod damaged;
mod ensemble;
pub mod lessons;
mod mail_claims;
mod nodes;
mod scale;
mod service;
#[cfg(test)]
mod skew;
pub mod talk;
mod wording;

pub use ensemble::EnsembleStorm;
pub use mail_claims::MailClaims;

use mailstorm_mail::inbox::Inbox;
use mailstorm_world::Scenario;
use std::sync::Arc;

/// Every storm, in the order in which to read them; lessons are in [`lessons`]. `inbox` replaces
/// the embedded one.
pub fn all(inbox: Option<&Inbox>) -> Vec<Arc<dyn Scenario>> {
    vec![
        Arc::new(MailClaims::new(inbox.cloned())),
        Arc::new(EnsembleStorm::five_and_an_observer()),
        Arc::new(EnsembleStorm::three()),
    ]
}

/// The scenario of this name: a storm, or a design of a lesson ([`lessons::find`]).
pub fn find(name: &str, inbox: Option<&Inbox>) -> Option<Arc<dyn Scenario>> {
    let storm = all(inbox).into_iter().find(|scenario| scenario.name() == name);
    storm.or_else(|| lessons::find(name))
}
