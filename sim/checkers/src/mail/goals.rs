//! Goals about mails, workers and the sink.

use crate::{Goal, Interests};
use mailstorm_shared::Observation;
use mailstorm_shared::facts::MailFact;
use std::collections::BTreeSet;
use std::sync::Arc;

/// All goals of this module.
pub fn all() -> Vec<Goal> {
    vec![
        mail_tried_again(),
        claim_taken_over(),
        worker_replaced(),
        stale_token_refused(),
        dead_letter(),
        poison_set_aside(),
    ]
}

/// A mail is processed by a second worker, or a second time.
pub fn mail_tried_again() -> Goal {
    let mut tried: BTreeSet<Arc<str>> = BTreeSet::new();
    Goal::observed(
        "mail_tried_again",
        "a worker began to process a mail that had been begun before",
        Interests::APPLICATION,
        move |observation| match observation {
            Observation::Mail(MailFact::MailAttempted { mail, .. }) => {
                !tried.insert(Arc::clone(mail))
            }
            _ => false,
        },
    )
}

/// A worker takes over what a dead one had claimed.
pub fn claim_taken_over() -> Goal {
    Goal::milestone("claim_taken_over", "a worker took over a claim whose owner was gone")
}

/// The supervisor replaces a dead worker.
pub fn worker_replaced() -> Goal {
    Goal::milestone(
        "worker_replaced",
        "the supervisor started a worker in place of one that was gone",
    )
}

/// The sink turns a worker away whose claim was taken over.
pub fn stale_token_refused() -> Goal {
    Goal::observed(
        "stale_token_refused",
        "the sink refused a worker with a fencing token below one it had seen",
        Interests::APPLICATION,
        |observation| matches!(observation, Observation::Mail(MailFact::SinkRefused { .. })),
    )
}

/// A mail that cannot be read is put away with a reason.
pub fn dead_letter() -> Goal {
    accepted_as(
        "dead_letter",
        "dead_letter",
        "a mail that cannot be read was put away with a reason",
    )
}

/// A mail on which workers die is set aside.
pub fn poison_set_aside() -> Goal {
    accepted_as("poison_set_aside", "poison", "a mail on which workers died was set aside")
}

fn accepted_as(name: &'static str, word: &'static str, about: &'static str) -> Goal {
    Goal::observed(
        name,
        about,
        Interests::APPLICATION,
        move |observation| matches!(observation, Observation::Mail(MailFact::SinkAccepted { verdict, .. }) if **verdict == *word),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::history::History;

    #[test]
    fn each_goal_is_reached_by_its_own_event() {
        let events = History::new()
            .attempted("m-1", "w1", 1, 1)
            .attempted("m-1", "w2", 2, 2)
            .milestone("claim_taken_over")
            .milestone("worker_replaced")
            .refused("m-1", "w1", 1, 2)
            .accepted("m-1", "w2", 2)
            .accepted_as("m-2", "w2", 2, "dead_letter")
            .accepted_as("m-3", "w2", 2, "poison")
            .events();
        for mut goal in all() {
            let reached = events.iter().filter(|event| goal.is_reached_by(event)).count();
            assert_eq!(reached, 1, "{}", goal.name);
        }
    }
}
