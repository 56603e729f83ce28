//! The design that holds: an ensemble of servers keeps the claims, workers take them, a sink
//! fences.
//!
//! The workers are those of `mailstorm_mail::pipeline`, the pipeline that ships.

use super::mails::{Mails, Shelf};
use super::outbox::Sink;
use crate::lessons::Records;
use crate::lessons::stage::{Act, Program, Work};
use crate::nodes::client_config;
use crate::scale::Scale;
use mailstorm_checkers::{Goal, IfPossible, Interests, Needs, SplitBrain, Suite};
use mailstorm_mail::inbox::Mail;
use mailstorm_mail::pipeline::{Processor, ProcessorDied, Worker};
use mailstorm_mail::processing::Processed;
use mailstorm_platform::Platform;
use mailstorm_shared::facts::{EnsembleFact, MailFact};
use mailstorm_shared::{Millis, Observation};
use mailstorm_world::{NodeSpec, Process, SimPlatform};
use std::collections::BTreeSet;
use std::sync::Arc;

const SERVERS: u64 = 3;

/// Claims of an ensemble.
pub(crate) struct ClaimsOfAnEnsemble {
    pub(crate) shelf: Shelf,
    /// Mails that a worker claims at once.
    pub(crate) batch: usize,
    /// How long a worker judges one mail.
    pub(crate) judging: Millis,
    /// For how long no mail may get a result.
    pub(crate) gap_max: Millis,
    pub(crate) goals: fn() -> Vec<Goal>,
}

impl ClaimsOfAnEnsemble {
    /// Its settings, with so many workers.
    pub(crate) fn scale(workers: u64) -> Scale {
        const WORKERS_MAX: u64 = 32;
        Scale::of_lesson(SERVERS).and(
            "workers",
            "workers that share the inbox",
            workers,
            1..=WORKERS_MAX,
        )
    }
}

impl Act for ClaimsOfAnEnsemble {
    fn nodes(&self, scale: &Scale) -> Vec<NodeSpec> {
        workers(scale.get("workers")).chain([Sink::node()]).collect()
    }

    fn boot(&self, scale: &Scale, process: Process) -> Program {
        if &*process.node.0 == "sink" {
            return Sink::Fencing.boot(process);
        }
        let config = client_config(scale, &scale.ensemble(), &process);
        let mails = self.shelf.mails();
        let platform = process.platform;
        let worker = Worker {
            platform: platform.clone(),
            name: process.node.0,
            config,
            sink: Sink::address(),
            inbox: mails.inbox.clone(),
            batch: self.batch,
            processor: Judge { platform: platform.clone(), mails, takes: self.judging },
        };
        Box::pin(async move {
            let end = worker.run().await;
            platform.last_words(&end.to_string());
        })
    }

    fn checkers(&self, scale: &Scale) -> Suite {
        let needs = through_ensemble(scale, scale.get("workers"));
        let once = self.shelf.exactly_once();
        Suite::new()
            .with(IfPossible::new(once, needs.clone()))
            .with(SplitBrain::new())
            .with(self.shelf.live(scale, self.gap_max).needing(needs))
    }

    fn goals(&self, _scale: &Scale) -> Vec<Goal> {
        (self.goals)()
    }

    fn work(&self, _scale: &Scale) -> Work {
        self.shelf.work()
    }
}

/// What mails need that so many workers process through an ensemble, for the sink.
pub(crate) fn through_ensemble(scale: &Scale, workers: u64) -> Needs {
    let names: Vec<String> = (1..=workers).map(|number| format!("w{number}")).collect();
    Needs::of(&scale.ensemble(), names.iter().map(String::as_str)).outside(["sink"])
}

/// The machines of so many workers, `w1` and so on.
pub(crate) fn workers(count: u64) -> impl Iterator<Item = NodeSpec> {
    (1..=count).map(|number| NodeSpec::client(&format!("w{number}")).called("worker"))
}

/// A server leads, and another one did before.
pub(crate) fn another_leader() -> Goal {
    let mut leaders = BTreeSet::new();
    Goal::new(
        "another_leader",
        "another server took the lead",
        Interests::LEADERSHIP,
        move |event| match event.of_server() {
            Some((server, EnsembleFact::Leads { .. })) => {
                leaders.insert(server.clone()) && leaders.len() > 1
            }
            _ => false,
        },
    )
}

/// The servers ended the session of a worker that they did not hear.
pub(crate) fn session_expired() -> Goal {
    Goal::observed(
        "session_expired",
        "the servers ended the session of a worker that was gone",
        Interests::SESSIONS,
        |observation| {
            matches!(observation, Observation::Ensemble(EnsembleFact::SessionExpired { .. }))
        },
    )
}

/// When somebody attempts a mail, after this second, that a worker who is gone had attempted
/// before.
pub(crate) fn taken_over_at(
    records: &Records,
    design: &str,
    gone: &str,
    after_s: f64,
) -> Option<f64> {
    let mut of_the_dead = BTreeSet::new();
    let mut attempts = records.observed(design).filter_map(|(at, _, told)| match told {
        Observation::Mail(MailFact::MailAttempted { worker, mail, .. }) => Some((at, worker, mail)),
        _ => None,
    });
    let taken = attempts.find(|(at, worker, mail)| {
        if ***worker == *gone {
            of_the_dead.insert(*mail);
            return false;
        }
        *at > after_s && of_the_dead.contains(mail)
    });
    taken.map(|(at, ..)| at)
}

/// Comes to the verdict that is known already, after the time it takes.
struct Judge {
    platform: SimPlatform,
    mails: Arc<Mails>,
    takes: Millis,
}

impl Processor for Judge {
    async fn process(&self, mail: &Mail) -> Result<Processed, ProcessorDied> {
        self.platform.sleep(self.takes).await;
        let index = self.mails.inbox.mails().iter().position(|other| other.id == mail.id);
        Ok(self.mails.processed(index.expect("workers are given mails of their inbox")).clone())
    }
}
