//! The main storm: five servers, four workers, an inbox, and every e-mail processed exactly once.
//!
//! Topology: servers `s1` to `s5`; workers `w1` to `w4`, and spare machines `w5` and `w6` on which
//! a supervisor has workers started when others are missing; supervisors `v1` and `v2`; the sink,
//! an outside ledger that never fails itself. Judging a mail takes a worker about a second, so the
//! storm meets workers in the middle of mails.
//!
//! One mail of the inbox, another for each seed, plays the poison: it kills whoever processes it,
//! and must be set aside after three attempts, as mails are that make a real worker crash. With
//! `poison=0` none does, and every mail is processed; so it is by default in an inbox of fewer than
//! five mails, where the one that is set aside would be most of what is to be seen.
//!
//! An auditor, `a1`, comes when the storm is over, and waits until the claims add up: none is open,
//! and the finished ones hold every mail of the inbox once.

use crate::nodes::{self, boot_server, client_config, ensemble_of, in_order};
use crate::scale::Scale;
use crate::wording;
use mailstorm_checkers::{ExactlyOnce, Fencing, Goal, Service, Suite, ensemble, mail};
use mailstorm_client::recipes::claims::Claims;
use mailstorm_client::{CallError, Client, ClientConfig};
use mailstorm_coordination::server::config::SWEEP_EVERY;
use mailstorm_mail::inbox::{Inbox, Mail};
use mailstorm_mail::pipeline::{
    self, BatchNote, Launcher, Processor, ProcessorDied, Supervisor, Worker,
};
use mailstorm_mail::processing::{Judgement, Processed, process};
use mailstorm_mail::samples;
use mailstorm_mail::sink::serve_sink;
use mailstorm_platform::{Address, Platform};
use mailstorm_record::sentence::quantity;
use mailstorm_record::{Event, Happening, InboxMark, Setting, Settings, TraceHash};
use mailstorm_shared::facts::{ApplicationFact, MailFact};
use mailstorm_shared::{Ensemble, Millis, Observation};
use mailstorm_world::stream::Stream;
use mailstorm_world::{
    Interpreter, Limits, NodeSpec, Outline, Process, Progress, Scenario, SimPlatform, Subject,
    Topology,
};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// How many mails the embedded inbox has: the samples, and generated ones.
const EMBEDDED_MAILS: usize = 100;
/// The seed of the generated mails: the inbox is the same in every run.
const EMBEDDED_SEED: u64 = 1;
const SERVERS: u64 = 5;
const WORKERS: u64 = 4;
/// With the spare machines, their numbers have one digit.
const WORKERS_MAX: u64 = 7;
/// Machines on which a supervisor may start a worker when others are missing.
const SPARE_MACHINES: u64 = 2;
const SUPERVISORS: u64 = 2;
/// Mails per claim. Small enough that all workers have something to do.
const BATCH: u64 = 10;
const BATCH_MAX: u64 = 100;
/// A smaller inbox has no mail that plays the poison, unless it is asked for.
const POISONED_MAILS_MIN: u64 = 5;
/// How long judging one mail takes, in virtual milliseconds: between these two.
const JUDGING_MS: (u64, u64) = (400, 1_600);
const SINK: &str = "sink:2525";
/// How often the auditor looks.
const AUDIT_EVERY: Millis = Millis(500);
/// What the auditor tells when the claims add up.
const CLAIMS_ADD_UP: &str = "claims_add_up";

/// The scenario `mail-claims`.
pub struct MailClaims {
    /// The whole inbox.
    all: Arc<Mails>,
    /// What of it there is to process.
    mails: Arc<Mails>,
    scale: Scale,
    ensemble: Ensemble,
}

/// The inbox, and what processing makes of each mail. Processing is a pure function of a mail, so a
/// sweep does it once per mail, and every worker of every run looks it up.
struct Mails {
    inbox: Inbox,
    /// Of the whole inbox, of which a setting may take a part.
    mark: InboxMark,
    processed: BTreeMap<Arc<str>, Processed>,
}

impl Mails {
    /// Only the first so many.
    fn first(&self, count: usize) -> Self {
        let inbox = Inbox::new(self.inbox.mails().iter().take(count).cloned());
        let of = |mail: &Mail| (mail.id.clone(), self.processed[&mail.id].clone());
        let processed = inbox.mails().iter().map(of).collect();
        Self { inbox, mark: self.mark, processed }
    }
}

impl MailClaims {
    /// The storm on this inbox, or on the embedded one.
    pub fn new(inbox: Option<Inbox>) -> Self {
        let inbox = inbox.unwrap_or_else(|| samples::embedded(EMBEDDED_MAILS, EMBEDDED_SEED));
        let processed = inbox.mails().iter().map(|mail| (mail.id.clone(), process(mail))).collect();
        let count = inbox.len() as u64;
        let scale = Scale::of_ensemble(SERVERS)
            .and("workers", "workers that share the inbox", WORKERS, 1..=WORKERS_MAX)
            .and(
                "supervisors",
                "supervisors that replace dead workers",
                SUPERVISORS,
                1..=SUPERVISORS,
            )
            .and("batch", "mails that a worker claims at once", BATCH, 1..=BATCH_MAX)
            .and("mails", "mails of the inbox, from its first", count, 1..=count)
            .and_switch(
                "poison",
                "1: one mail, another for each seed, kills whoever processes it",
                u64::from(count >= POISONED_MAILS_MIN),
            );
        let mark = InboxMark { mails: count, digest: TraceHash(inbox.digest()) };
        let all = Arc::new(Mails { inbox, mark, processed });
        Self { mails: all.clone(), all, scale, ensemble: ensemble_of(SERVERS, 0) }
    }

    /// How many machines a worker can run on.
    fn worker_machines(&self) -> u64 {
        self.scale.get("workers") + SPARE_MACHINES
    }

    /// The mail that kills its workers under this seed, if one does.
    fn poison(&self, seed: u64) -> Option<Arc<str>> {
        let mails = self.mails.inbox.mails();
        let place = Stream::new(seed, "poison").below(mails.len() as u64) as usize;
        (self.scale.get("poison") > 0).then(|| mails[place].id.clone())
    }
}

impl Scenario for MailClaims {
    fn name(&self) -> &str {
        "mail-claims"
    }

    fn about(&self) -> &str {
        "five servers, four workers and an inbox: every e-mail is processed exactly once"
    }

    fn outline(&self) -> Outline {
        let servers = quantity(self.scale.get("servers"), "server");
        let workers = quantity(self.scale.get("workers"), "worker");
        let poison = if self.scale.get("poison") > 0 { " or set aside as poison" } else { "" };
        let promise = match self.mails.inbox.len() {
            1 => format!("the one mail was processed exactly once{poison}"),
            mails => format!("every one of {mails} mails was processed exactly once{poison}"),
        };
        Outline { cast: format!("{servers} and {workers}"), promise }
    }

    fn topology(&self) -> Topology {
        let mut nodes: Vec<NodeSpec> = nodes::servers(&self.ensemble).collect();
        for number in 1..=self.worker_machines() {
            let worker = NodeSpec::client(&format!("w{number}")).called("worker").returns();
            nodes.push(if number > self.scale.get("workers") { worker.spare() } else { worker });
        }
        let supervisors = 1..=self.scale.get("supervisors");
        let supervisor = |number| NodeSpec::client(&format!("v{number}")).called("supervisor");
        nodes.extend(supervisors.map(supervisor));
        nodes.push(NodeSpec::client("a1").called("auditor").subject_to(Subject::NOTHING));
        nodes.push(NodeSpec::outside("sink"));
        self.scale.topology(nodes)
    }

    fn boot(&self, process: Process) -> Pin<Box<dyn Future<Output = ()>>> {
        let name = process.node.0.clone();
        let platform = process.platform.clone();
        if name.starts_with('s') && &*name != "sink" {
            let ensemble = self.ensemble.clone();
            let boot = move |process| boot_server(process, &ensemble, SWEEP_EVERY);
            return in_order(&self.scale, process, boot);
        }
        let config = client_config(&self.scale, &self.ensemble, &process);
        let (seed, defects) = (process.seed, process.defects);
        if name.starts_with('w') {
            let worker = Worker {
                platform: platform.clone(),
                name,
                config,
                sink: Address::from(SINK),
                inbox: self.mails.inbox.clone(),
                batch: self.scale.get("batch") as usize,
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
        if name.starts_with('a') {
            return Box::pin(audit(platform, config, self.mails.clone()));
        }
        if name.starts_with('v') {
            let machines = self.worker_machines();
            let launcher = SpareMachines { platform: platform.clone(), machines };
            let workers = self.scale.get("workers") as usize;
            let supervisor = Supervisor { platform, name, config, workers, launcher };
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
            let word =
                if poison.as_ref() == Some(id) { "poison" } else { processed.judgement.word() };
            (id.clone(), word.into())
        });
        nodes::ensemble_checkers(&self.ensemble, self.limits())
            .with(ExactlyOnce::new(expected))
            .with(Fencing::new())
    }

    fn limits(&self) -> Limits {
        let usual = Limits::default();
        // A large inbox takes its time: as long again as its mails need if each takes the longest.
        let judging_ms = self.mails.inbox.len() as u64 * JUDGING_MS.1 / self.scale.get("workers");
        let more_ms = (2 * judging_ms).saturating_sub(usual.storm.0);
        Limits { converge: Millis(usual.converge.0 + more_ms), ..usual }
    }

    fn goals(&self) -> Vec<Goal> {
        let mut goals = ensemble::goals::all(&self.ensemble);
        goals.extend(mail::goals::all());
        // An inbox in which everything is a mail gives no dead letter.
        let is_dead = |p: &Processed| matches!(p.judgement, Judgement::DeadLetter { .. });
        if !self.mails.processed.values().any(is_dead) {
            goals.retain(|goal| goal.name != "dead_letter");
        }
        if self.scale.get("poison") == 0 {
            goals.retain(|goal| goal.name != "poison_set_aside");
        }
        goals
    }

    fn inbox(&self) -> Option<InboxMark> {
        Some(self.mails.mark)
    }

    fn cast(&self, seed: u64) -> Option<String> {
        let poison = self.poison(seed)?;
        Some(format!("{poison} plays the poison: it kills whoever processes it"))
    }

    fn progress(&self, _seed: u64) -> Box<dyn Progress> {
        let waiting = self.mails.inbox.mails().iter().map(|mail| mail.id.clone()).collect();
        let service = Service::new(self.ensemble.clone());
        Box::new(Sunk { service, waiting, adds_up: false, accepted: 0 })
    }

    fn settings(&self) -> Vec<Setting> {
        self.scale.all().to_vec()
    }

    fn check_settings(&self) -> Result<(), String> {
        self.scale.check()
    }

    fn with(&self, settings: &Settings) -> Option<Arc<dyn Scenario>> {
        let scale = self.scale.with(settings);
        let ensemble = ensemble_of(scale.get("servers"), 0);
        let count = scale.get("mails") as usize;
        let is_whole = count == self.all.inbox.len();
        let mails = if is_whole { self.all.clone() } else { Arc::new(self.all.first(count)) };
        Some(Arc::new(Self { all: self.all.clone(), mails, scale, ensemble }))
    }

    fn interpreter(&self, listener: &str) -> Option<Box<dyn Interpreter>> {
        wording::interpreter(listener)
    }
}

/// The judge of a simulated worker: the real one's verdict, after the time it takes, unless the
/// mail kills it.
struct SlowJudge {
    platform: SimPlatform,
    mails: Arc<Mails>,
    poison: Option<Arc<str>>,
}

impl Processor for SlowJudge {
    async fn process(&self, mail: &Mail) -> Result<Processed, ProcessorDied> {
        let (shortest, longest) = JUDGING_MS;
        let span = shortest + self.platform.entropy() % (longest - shortest);
        self.platform.sleep(Millis(span)).await;
        if self.poison.as_ref() == Some(&mail.id) {
            return Err(ProcessorDied);
        }
        Ok(self.mails.processed[&mail.id].clone())
    }
}

/// Looks at the claims from the end of the storm on, until they add up, and tells so.
async fn audit(platform: SimPlatform, config: ClientConfig, mails: Arc<Mails>) {
    while !platform.storm_is_over() {
        platform.sleep(AUDIT_EVERY).await;
    }
    loop {
        let client = Client::connect(platform.clone(), config.clone());
        let claims = Claims::new(&client, pipeline::WORK);
        while !client.state().is_over() {
            if claims_add_up(&client, &claims, &mails).await == Ok(true) {
                platform.observe(ApplicationFact::Milestone { name: CLAIMS_ADD_UP.into() });
                // Its work is done; it stays, since whoever ends is started again.
                return std::future::pending().await;
            }
            platform.sleep(AUDIT_EVERY).await;
        }
        client.close().await;
    }
}

/// Whether no claim is open, and the finished ones hold every mail once.
async fn claims_add_up(
    client: &Client<SimPlatform>,
    claims: &Claims<SimPlatform>,
    mails: &Mails,
) -> Result<bool, CallError> {
    client.sync(pipeline::WORK).await?;
    if !claims.open_items().await?.is_empty() {
        return Ok(false);
    }
    let done = claims.done_items().await?;
    let notes: Vec<BatchNote> =
        done.iter().filter_map(|item| BatchNote::decode(&item.note)).collect();
    let mut noted: Vec<&str> =
        notes.iter().flat_map(|note| &note.mails).map(|mail| &*mail.id).collect();
    noted.sort_unstable();
    Ok(mails.processed.keys().map(|id| &**id).eq(noted))
}

/// Machines on which a worker can be started.
struct SpareMachines {
    platform: SimPlatform,
    /// How many there are, with those on which a worker runs.
    machines: u64,
}

impl Launcher for SpareMachines {
    fn start_worker(&self) -> bool {
        (1..=self.machines).any(|number| self.platform.start_node(&format!("w{number}")))
    }
}

/// Which mails have no result yet, whether the claims add up, and which servers serve.
struct Sunk {
    service: Service,
    waiting: BTreeSet<Arc<str>>,
    adds_up: bool,
    accepted: u64,
}

impl Progress for Sunk {
    fn observe(&mut self, event: &Event) {
        self.service.observe(event);
        match &event.happening {
            Happening::Observed {
                observation: Observation::Mail(MailFact::SinkAccepted { mail, .. }),
            } => {
                self.waiting.remove(mail);
                self.accepted += 1;
            }
            Happening::Observed {
                observation: Observation::Application(ApplicationFact::Milestone { name }),
            } => {
                self.adds_up |= &**name == CLAIMS_ADD_UP;
            }
            _ => {}
        }
    }

    fn done(&self) -> bool {
        self.waiting.is_empty() && self.adds_up && self.service.is_whole()
    }

    fn waits_for(&self) -> String {
        let mut missing = Vec::new();
        let some: Vec<_> = self.waiting.iter().take(3).map(|mail| &**mail).collect();
        match self.waiting.len() {
            0 => {}
            1 => missing.push(format!("{} has no result", some.join(", "))),
            count if count == some.len() => {
                missing.push(format!("{count} mails have no result: {}", some.join(", ")));
            }
            count => {
                let some = some.join(", ");
                missing.push(format!("{count} mails have no result, among them {some}"));
            }
        }
        if !self.adds_up {
            missing.push("the claims do not add up".to_owned());
        }
        if !self.service.is_whole() || missing.is_empty() {
            missing.push(self.service.told());
        }
        missing.join("; ")
    }

    fn figures(&self) -> BTreeMap<String, u64> {
        [("mails_processed".to_owned(), self.accepted)].into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::damaged::{self, Harm, is_stuck};
    use mailstorm_client::open_acl;
    use mailstorm_wire::client::CreateMode;

    const SMALL: &[(&str, u64)] = &[("mails", 4), ("batch", 2), ("workers", 2)];

    fn inbox_of(mails: usize) -> Inbox {
        Inbox::new(samples::embedded(mails, EMBEDDED_SEED).mails().to_vec())
    }

    #[test]
    fn one_mail_plays_the_poison_in_an_inbox_of_five_or_where_it_is_asked_for() {
        let cast = |mails, settings: &[(&str, u64)]| {
            let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), *value));
            let storm = MailClaims::new(Some(inbox_of(mails)));
            let storm = storm.with(&Settings(settings.collect())).expect("it has settings");
            let has_goal = storm.goals().iter().any(|goal| goal.name == "poison_set_aside");
            let is_promised = storm.outline().promise.ends_with("once or set aside as poison");
            assert_eq!(is_promised, has_goal, "{}", storm.outline().promise);
            assert_eq!(storm.cast(1).is_some(), has_goal);
            let all: BTreeSet<_> = (1..=40).filter_map(|seed| storm.cast(seed)).collect();
            all.len()
        };
        assert_eq!(cast(1, &[]), 0);
        assert_eq!(cast(4, &[]), 0);
        assert_eq!(cast(1, &[("poison", 1)]), 1);
        assert!(cast(5, &[]) > 2);
        assert_eq!(cast(10, &[("poison", 0)]), 0);
        // What a setting takes of an inbox is not another inbox.
        assert!(cast(10, &[("mails", 4)]) > 2);
    }

    #[test]
    fn a_run_in_which_nothing_is_damaged_ends() {
        assert_eq!(is_stuck(Arc::new(MailClaims::new(None)), SMALL, damaged::none), None);
    }

    #[test]
    fn a_run_in_which_the_claims_do_not_add_up_does_not_end() {
        // One batch stands there twice as finished, once it is.
        let harm: Harm = |client| {
            Box::pin(async move {
                while copy_a_finished_batch(&client).await.is_none() {
                    client.platform().sleep(AUDIT_EVERY).await;
                }
            })
        };
        let told = is_stuck(Arc::new(MailClaims::new(None)), SMALL, harm);
        let told = told.expect("the run must not end like this");
        assert!(told.contains("of virtual time: the claims do not add up"), "{told}");
    }

    async fn copy_a_finished_batch(client: &Client<SimPlatform>) -> Option<()> {
        const DONE: &str = "/mail/work/done";
        let (names, _) = client.children(DONE).await.ok()?;
        let (batch, _) = client.get_data(format!("{DONE}/{}", names.first()?)).await.ok()?;
        let copy = format!("{DONE}/claim-9999999999");
        client.create(copy, batch, CreateMode::Persistent, open_acl()).await.ok().map(drop)
    }
}
