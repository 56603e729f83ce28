//! What the mail pipeline reports: its workers and the sink.

use super::{Account, Fact, Subject};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// One fact of a worker or of the sink.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum MailFact {
    /// A worker begins to process a mail.
    MailAttempted {
        /// The worker's name.
        worker: Arc<str>,
        /// The mail's id in the inbox.
        mail: Arc<str>,
        /// The fencing token of the claim it works under.
        token: u64,
        /// Which try this is, from 1, as noted in the claim.
        attempt: u32,
    },
    /// The sink compares with a higher token from here on: whoever comes with a lower one is
    /// refused.
    FenceRaised {
        /// What tokens are compared within: the claim.
        resource: Arc<str>,
        /// The token of whoever raised it.
        token: u64,
    },
    /// The sink took a mail's result: this is the effect that must happen once.
    SinkAccepted {
        /// What tokens are compared within: the claim.
        resource: Arc<str>,
        /// The mail's id.
        mail: Arc<str>,
        /// Who sent it.
        worker: Arc<str>,
        /// Under which fencing token.
        token: u64,
        /// The result in one word: `ham`, `spam`, `dead_letter` or `poison`.
        verdict: Arc<str>,
    },
    /// The sink refused a worker whose fencing token is below one it has seen.
    SinkRefused {
        /// What tokens are compared within: the claim.
        resource: Arc<str>,
        /// The mail's id.
        mail: Arc<str>,
        /// Who sent it.
        worker: Arc<str>,
        /// The stale token.
        token: u64,
        /// The highest token seen for the same resource.
        highest: u64,
    },
}

impl Fact for MailFact {
    const TOPIC: &'static str = "mail";

    fn told<'a, T>(&'a self, to: impl FnOnce(Account<'a>, fmt::Arguments<'_>) -> T) -> T {
        let fact = Account::of;
        match self {
            Self::MailAttempted { mail, token, attempt, .. } => to(
                fact("mail_attempted", Subject::Application).by("worker"),
                format_args!("tries {mail}, attempt {attempt}, token {token}"),
            ),
            Self::FenceRaised { resource, token } => to(
                fact("fence_raised", Subject::Application),
                format_args!("raises the fence of {resource} to {token}"),
            ),
            Self::SinkAccepted { mail, resource, worker, token, verdict } => to(
                fact("sink_accepted", Subject::Application).by("sink").turn(),
                format_args!(
                    "takes {mail} of {resource} from {worker} as {verdict}, token {token}"
                ),
            ),
            Self::SinkRefused { mail, worker, token, highest, .. } => to(
                fact("sink_refused", Subject::Application).by("sink").turn(),
                format_args!("refuses {mail} from {worker}: token {token} is below {highest}"),
            ),
        }
    }
}
