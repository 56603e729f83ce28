//! What storms of clients that use every operation must reach beside what every ensemble's must.

use mailstorm_checkers::{Goal, Interests};
use mailstorm_shared::facts::{ClientFact, EnsembleFact, Outcome};
use mailstorm_shared::znodes::Change;
use mailstorm_shared::{ErrorCode, Observation, SessionId};

/// All goals of this module.
pub(super) fn all() -> Vec<Goal> {
    let container = swept("container_swept", "a leader swept a container", "/c/");
    let mortal = swept("ttl_swept", "a leader swept a znode whose time-to-live was over", "/t/");
    vec![refused_by_access_list(), container, mortal]
}

/// An access list keeps a client out.
fn refused_by_access_list() -> Goal {
    Goal::observed(
        "refused_by_access_list",
        "a client was refused what an access list does not grant it",
        Interests::OPERATIONS,
        |observation| {
            matches!(
                observation,
                Observation::Client(ClientFact::Returned {
                    outcome: Outcome::Failed { code, .. },
                    ..
                }) if *code == ErrorCode::NoAuth.code()
            )
        },
    )
}

/// What the leader deletes by itself, below this path.
fn swept(name: &'static str, about: &'static str, below: &'static str) -> Goal {
    let is_below = move |change: &Change| matches!(change, Change::Deleted { path } if path.starts_with(below));
    Goal::observed(name, about, Interests::APPLIED, move |observation| {
        matches!(
            observation,
            Observation::Ensemble(EnsembleFact::Applied {
                session: SessionId::NONE,
                changes,
                ..
            }) if changes.iter().any(is_below)
        )
    })
}
