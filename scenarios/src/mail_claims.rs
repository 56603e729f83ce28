//! The main storm: five servers, four workers, an inbox, and every e-mail processed exactly once.
//!
//! Topology: servers `s1` to `s5`; workers `w1` to `w4`, and spare machines `w5` and `w6` on which a
//! supervisor has workers started when others are missing; supervisors `v1` and `v2`; the sink, an
//! outside ledger that never fails itself. Judging a mail takes a worker about a second, so the storm
//! meets workers in the middle of mails; one mail of the inbox, chosen by the seed, is poison and kills
//! whoever processes it.

use crate::nodes::{self, boot_server, client_config, ensemble_of};
use mailstorm_checkers::convergence::Service;
use mailstorm_checkers::{ExactlyOnce, Goal, Suite, reached};
use mailstorm_host::{Address, Platform};
use mailstorm_mail::inbox::{Inbox, Mail};
use mailstorm_mail::pipeline::{Launcher, Processor, ProcessorDied, Supervisor, Worker};
use mailstorm_mail::processing::{Judgement, Processed, process};
use mailstorm_mail::samples;
use mailstorm_mail::sink::serve_sink;
use mailstorm_record::{Event, Happening};
use mailstorm_shared::{Ensemble, Millis, Observation};
use mailstorm_world::stream::Stream;
use mailstorm_world::{NodeSpec, Process, Progress, Scenario, SimPlatform, Topology};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// How many mails the embedded inbox has: the samples, and generated ones.
const EMBEDDED_MAILS: usize = 100;
/// The seed of the generated mails: the inbox is the same in every run.
const EMBEDDED_SEED: u64 = 1;
const SERVERS: u8 = 5;
const WORKERS: usize = 4;
const WORKER_MACHINES: usize = 6;
/// Mails per claim. Small enough that all workers have something to do.
const BATCH: usize = 10;
/// How long judging one mail takes, in virtual milliseconds: between these two.
const JUDGING_MS: (u64, u64) = (400, 1_600);
const SINK: &str = "sink:2525";

/// The scenario `mail-claims`.
pub struct MailClaims {
    mails: Arc<Mails>,
    ensemble: Ensemble,
}

/// The inbox, and what processing makes of each mail. Processing is a pure function of a mail, so a
/// sweep does it once per mail, and every worker of every run looks it up.
struct Mails {
    inbox: Inbox,
    processed: BTreeMap<Arc<str>, Processed>,
}

impl MailClaims {
    /// The storm on this inbox, or on the embedded one.
    pub fn new(inbox: Option<Inbox>) -> Self {
        let inbox = inbox.unwrap_or_else(|| samples::embedded(EMBEDDED_MAILS, EMBEDDED_SEED));
        let processed = inbox.mails().iter().map(|mail| (mail.id.clone(), process(mail))).collect();
        Self { mails: Arc::new(Mails { inbox, processed }), ensemble: ensemble_of(SERVERS, 0) }
    }

    /// The mail that kills its workers under this seed.
    fn poison(&self, seed: u64) -> Arc<str> {
        let mails = self.mails.inbox.mails();
        let place = Stream::new(seed, "poison").below(mails.len() as u64) as usize;
        mails[place].id.clone()
    }
}

impl Scenario for MailClaims {
    fn name(&self) -> &str {
        "mail-claims"
    }

    fn about(&self) -> &str {
        "five servers, four workers and an inbox: every e-mail is processed exactly once"
    }

    fn topology(&self) -> Topology {
        let mut nodes: Vec<NodeSpec> =
            self.ensemble.voters().iter().map(|id| NodeSpec::server(*id)).collect();
        for number in 1..=WORKER_MACHINES {
            let worker = NodeSpec::client(&format!("w{number}")).returns();
            nodes.push(if number > WORKERS { worker.spare() } else { worker });
        }
        nodes.extend(["v1", "v2"].map(NodeSpec::client));
        nodes.push(NodeSpec::outside("sink"));
        Topology { nodes, ..Topology::default() }
    }

    fn boot(&self, process: Process) -> Pin<Box<dyn Future<Output = ()>>> {
        let name = process.node.0.clone();
        let platform = process.platform.clone();
        if name.starts_with('s') && &*name != "sink" {
            return boot_server(process, &self.ensemble);
        }
        let config = client_config(&self.ensemble, &process);
        let (seed, defects) = (process.seed, process.defects);
        if name.starts_with('w') {
            let worker = Worker {
                platform: platform.clone(),
                name,
                config,
                sink: Address::from(SINK),
                inbox: self.mails.inbox.clone(),
                batch: BATCH,
                processor: SlowJudge {
                    platform: platform.clone(),
                    mails: self.mails.clone(),
                    poison: self.poison(seed),
                },
            };
            return Box::pin(async move {
                let end = worker.run().await;
                platform.last_words(&end.to_string());
            });
        }
        if name.starts_with('v') {
            let launcher = SpareMachines { platform: platform.clone() };
            let supervisor = Supervisor { platform, name, config, workers: WORKERS, launcher };
            return Box::pin(supervisor.run());
        }
        Box::pin(async move {
            if let Err(error) = serve_sink(platform.clone(), Address::from(SINK), defects).await {
                platform.last_words(&error.to_string());
            }
        })
    }

    fn checkers(&self, seed: u64) -> Suite {
        let poison = self.poison(seed);
        let expected = self.mails.processed.iter().map(|(id, processed)| {
            let word = if *id == poison { "poison" } else { processed.judgement.word() };
            (id.clone(), word.into())
        });
        nodes::ensemble_checkers(&self.ensemble, self.limits())
            .with(ExactlyOnce::with_verdicts(expected))
    }

    fn goals(&self) -> Vec<Goal> {
        let mut goals = reached::ensemble::all(&self.ensemble);
        goals.extend(reached::mail::all());
        // An inbox in which everything is a mail gives no dead letter.
        let is_dead = |p: &Processed| matches!(p.judgement, Judgement::DeadLetter { .. });
        if !self.mails.processed.values().any(is_dead) {
            goals.retain(|goal| goal.name != "dead_letter");
        }
        goals
    }

    fn progress(&self, _seed: u64) -> Box<dyn Progress> {
        let waiting = self.mails.inbox.mails().iter().map(|mail| mail.id.clone()).collect();
        Box::new(Sunk { service: Service::new(self.ensemble.clone()), waiting, accepted: 0 })
    }

    fn label(&self, listener: &str, caller: bool, bytes: &[u8]) -> Option<String> {
        nodes::label(listener, caller, bytes)
    }
}

/// The judge of a simulated worker: the real one's verdict, after the time it takes, unless the mail
/// kills it.
struct SlowJudge {
    platform: SimPlatform,
    mails: Arc<Mails>,
    poison: Arc<str>,
}

impl Processor for SlowJudge {
    async fn process(&self, mail: &Mail) -> Result<Processed, ProcessorDied> {
        let (shortest, longest) = JUDGING_MS;
        let span = shortest + self.platform.entropy() % (longest - shortest);
        self.platform.sleep(Millis(span)).await;
        if mail.id == self.poison {
            return Err(ProcessorDied);
        }
        Ok(self.mails.processed[&mail.id].clone())
    }
}

/// Machines on which a worker can be started.
struct SpareMachines {
    platform: SimPlatform,
}

impl Launcher for SpareMachines {
    fn start_worker(&self) -> bool {
        (1..=WORKER_MACHINES).any(|number| self.platform.start_node(&format!("w{number}")))
    }
}

/// Which mails have no result yet, and which servers serve.
struct Sunk {
    service: Service,
    waiting: BTreeSet<Arc<str>>,
    accepted: u64,
}

impl Progress for Sunk {
    fn observe(&mut self, event: &Event) {
        self.service.observe(event);
        if let Happening::Observed { observation: Observation::SinkAccepted { mail, .. } } =
            &event.happening
        {
            self.waiting.remove(mail);
            self.accepted += 1;
        }
    }

    fn done(&self) -> bool {
        self.waiting.is_empty() && self.service.is_whole()
    }

    fn waits_for(&self) -> String {
        let some: Vec<_> = self.waiting.iter().take(3).map(|mail| &**mail).collect();
        format!(
            "{} mails have no result, among them {}; {}",
            self.waiting.len(),
            some.join(", "),
            self.service.told()
        )
    }

    fn figures(&self) -> BTreeMap<String, u64> {
        [("mails_processed".to_owned(), self.accepted)].into()
    }
}
