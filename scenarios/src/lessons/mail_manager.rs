//! Lesson 2: one boss hands out the mail.
//!
//! Topology: a manager that hands out 250 mails a second, eight workers, the outside mail server
//! (the sink). From the beginning 400 mails a second come in. At 10.0 s the manager's process dies.
//! What it had handed out was known to it alone, so when it is started again, at 30 s, it hands out
//! nothing: to begin anew would be to send everything twice.
//!
//! `wrong`: the queue before the manager grows by 150 mails a second, and is longer than a hundred
//! after about 0.7 s; after 10.0 s nothing is sent. `sixteen` has twice the workers, and sends as
//! many: it is the manager that is busy. In `right` nobody hands out anything: workers claim mails
//! themselves, and what is claimed is known to three servers, of which the leader dies at 10.0 s.
//! (There the whole inbox lies ready, with fewer mails, and no queue is in anybody's memory.)
//!
//! Storms with drawn faults find both wrong designs at seed 1: the queue needs no fault at all.

use super::designs::claims::{ClaimsOfAnEnsemble, another_leader, workers};
use super::designs::mails::Shelf;
use super::designs::outbox::{Outbox, Sink};
use super::stage::{Act, Program, Staged, Work};
use super::{Answer, Design, Lesson, Question, Records, Unit};
use crate::scale::Scale;
use crate::talk::{Caller, Desk};
use mailstorm_checkers::{Bound, Goal, Suite};
use mailstorm_platform::{Address, Platform};
use mailstorm_shared::facts::{ApplicationFact, MailFact};
use mailstorm_shared::{Millis, Observation};
use mailstorm_world::{NodeSpec, Process, SimPlatform};
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::Arc;

const PLAN: &str = r#"
lasts_ms = 30000

[[faults]]
at_ms = 10000
lasts_ms = 20000
kind.crash = { nodes = ["m1"] }
"#;

const PLAN_OF_THE_ENSEMBLE: &str = r#"
lasts_ms = 30000

[[faults]]
at_ms = 10000
lasts_ms = 20000
kind.crash = { nodes = ["leader"] }
"#;

const MAILS: usize = 4_500;
/// Enough to be in the middle of them at the crash.
const MAILS_OF_THE_ENSEMBLE: usize = 2_400;
const WORKERS: u64 = 8;
const WORKERS_MAX: u64 = 32;
/// 400 mails a second come in.
const ARRIVALS_PER_SECOND: u64 = 400;
/// 250 of them a second are handed out.
const HANDING_OUT: Millis = Millis(4);
const JUDGING: Millis = Millis(5);
/// Mails that a worker of the ensemble claims at once.
const BATCH: usize = 20;
const QUEUE_MAX: u64 = 100;
const QUEUE: &str = "queue_mails";
const GAP_MAX: Millis = Millis(5_000);
const MANAGER: &str = "m1";
const ADDRESS: &str = "m1:7000";
const PATIENCE: Millis = Millis(1_000);
const BACKOFF: Millis = Millis(200);
const CRASH_AT_S: f64 = 10.0;

/// The lesson.
pub(super) fn lesson() -> Lesson {
    let managed = |name, scenario, count| Design {
        name,
        is_right: false,
        breaks: &["live/stopped", "exactly-once/lost", "bound/exceeded"],
        scenario: Staged::scenario(
            scenario,
            "a manager that hands out 250 mails a second, of 400 that come in, and dies",
            PLAN,
            Scale::of_programs().and("workers", "workers", count, 1..=WORKERS_MAX),
            Managed { shelf: Shelf::of(MAILS) },
        ),
    };
    Lesson {
        number: 2,
        name: "mail-manager",
        title: "One boss hands out the mail.",
        story: "400 mails a second come in. In two designs a manager hands them out to workers, \
                250 a second and no more: to eight workers in 'wrong', to sixteen in 'sixteen'. \
                Mails that it has not handed out yet wait in a queue in its memory. The manager \
                crashes at 10.0 s. It restarts at 30.0 s, but nothing tells it which mails it had \
                handed out, so it hands out nothing more. In 'right' there is no manager: eight \
                workers claim mails themselves on three servers, and the leader of the three \
                crashes at 10.0 s.",
        designs: vec![
            managed("wrong", "mail-manager/wrong", WORKERS),
            managed("sixteen", "mail-manager/sixteen", 2 * WORKERS),
            Design {
                name: "right",
                is_right: true,
                breaks: &[],
                scenario: Staged::scenario(
                    "mail-manager/right",
                    "eight workers who claim mails themselves, on three servers, of which the leader dies",
                    PLAN_OF_THE_ENSEMBLE,
                    ClaimsOfAnEnsemble::scale(WORKERS),
                    ClaimsOfAnEnsemble {
                        shelf: Shelf::of(MAILS_OF_THE_ENSEMBLE),
                        batch: BATCH,
                        judging: JUDGING,
                        gap_max: GAP_MAX,
                        goals: || vec![another_leader()],
                    },
                ),
            },
        ],
        questions: vec![
            Question {
                key: "queue",
                text: "'wrong': at which second do more than 100 mails wait to be handed out?",
                answer: Answer::Number {
                    unit: Unit::SECONDS,
                    range: (0.0, 10.0),
                    tolerance: 0.3,
                    derivation: Some("100 / (400 - 250)"),
                    truth: |records| {
                        let violation = records.violation("wrong", "bound/exceeded")?;
                        Some(violation.at_ns as f64 / 1e9)
                    },
                },
                rests_on: &["400 mails a second come in", "250 a second and no more"],
                why: "400 come in and 250 are handed out, so 150 more wait after every second. No \
                      limit is enough for a queue that keeps growing.",
            },
            Question {
                key: "sixteen",
                text: "'sixteen': how many mails are sent a second, before the crash?",
                answer: Answer::Number {
                    unit: Unit::of("mail/s", "mails/s"),
                    range: (0.0, 1000.0),
                    tolerance: 15.0,
                    derivation: Some("250"),
                    truth: |records| {
                        let sent = sent(records, "sixteen", 1.0, CRASH_AT_S);
                        Some(sent as f64 / (CRASH_AT_S - 1.0))
                    },
                },
                rests_on: &["250 a second and no more"],
                why: "As many as the manager hands out: 250. Eight workers already had to wait for \
                      it.",
            },
            Question {
                key: "after",
                text: "'wrong': the manager crashes at 10.0 s. How many mails are sent after 10.5 s?",
                answer: Answer::Number {
                    unit: Unit::of("mail", "mails"),
                    range: (0.0, 5000.0),
                    tolerance: 0.0,
                    derivation: None,
                    truth: |records| Some(sent(records, "wrong", CRASH_AT_S + 0.5, f64::MAX) as f64),
                },
                rests_on: &["The manager crashes at 10.0 s", "so it hands out nothing more"],
                why: "All workers are well, and none knows what to do. The queue was in the \
                      manager's memory and is gone with it.",
            },
        ],
    }
}

/// How many mails the sink took between these two times.
fn sent(records: &Records, design: &str, from: f64, to: f64) -> usize {
    let is_taken = |observation: &Observation| {
        matches!(observation, Observation::Mail(MailFact::SinkAccepted { .. }))
    };
    let taken = records
        .observed(design)
        .filter(|(at, _, observation)| is_taken(observation) && (from..to).contains(at));
    taken.count()
}

/// A worker asks for work.
#[derive(Serialize, Deserialize)]
struct Next {
    worker: Arc<str>,
}

struct Managed {
    shelf: Shelf,
}

impl Act for Managed {
    fn nodes(&self, scale: &Scale) -> Vec<NodeSpec> {
        let manager = NodeSpec::client(MANAGER).called("manager");
        workers(scale.get("workers")).chain([manager, Sink::node()]).collect()
    }

    fn boot(&self, _scale: &Scale, process: Process) -> Program {
        match &*process.node.0 {
            "sink" => Sink::Plain.boot(process),
            // What it had handed out is forgotten: somebody would have to tell it where to go on.
            MANAGER if process.incarnation > 0 => Box::pin(std::future::pending()),
            MANAGER => {
                let platform = process.platform;
                let mails = self.shelf.mails().len();
                Box::pin(async move {
                    if let Err(error) = manage(platform.clone(), mails).await {
                        platform.last_words(&error.to_string());
                    }
                })
            }
            _ => {
                let outbox = Outbox::new(&process, self.shelf.mails());
                Box::pin(work(process.platform, process.node.0, outbox))
            }
        }
    }

    fn checkers(&self, scale: &Scale) -> Suite {
        Suite::new()
            .with(self.shelf.exactly_once_at_the_sink())
            .with(Bound::measured(QUEUE, "mails that wait to be handed out", QUEUE_MAX))
            .with(self.shelf.live(scale, GAP_MAX))
    }

    fn goals(&self, _scale: &Scale) -> Vec<Goal> {
        vec![Goal::milestone("mail_handed_out", "the manager handed out a mail")]
    }

    fn work(&self, _scale: &Scale) -> Work {
        self.shelf.work()
    }
}

/// Hands out mails in the order in which they come in, one to each worker that asks.
async fn manage(platform: SimPlatform, mails: usize) -> io::Result<()> {
    let mut desk: Desk<SimPlatform, Next> = Desk::open(&platform, &Address::from(ADDRESS))?;
    let begin = platform.now().monotonic;
    let mut handed_out = 0;
    loop {
        let (asker, Next { .. }) = desk.next().await;
        platform.sleep(HANDING_OUT).await;
        let open_for = platform.now().monotonic.since(begin);
        let arrived = mails.min((open_for.0 * ARRIVALS_PER_SECOND / 1_000) as usize);
        let value = (arrived - handed_out) as u64;
        platform.observe(ApplicationFact::Measured { name: QUEUE.into(), value });
        let mail = (handed_out < arrived).then_some(handed_out);
        if mail.is_some() {
            handed_out += 1;
            platform.observe(ApplicationFact::Milestone { name: "mail_handed_out".into() });
        }
        desk.answer(asker, mail);
    }
}

/// Asks for a mail, sends its answer; and the next.
async fn work(platform: SimPlatform, worker: Arc<str>, mut outbox: Outbox) {
    let mut manager: Caller<SimPlatform, Next, Option<usize>> =
        Caller::new(&platform, Address::from(ADDRESS), PATIENCE);
    loop {
        let Ok(Some(mail)) = manager.ask(Next { worker: worker.clone() }).await else {
            platform.sleep(BACKOFF).await;
            continue;
        };
        let token = outbox.fresh_token();
        outbox.attempts(mail, token);
        platform.sleep(JUDGING).await;
        // Each letter is one by itself, and a plain sink refuses nothing.
        let letter = Arc::from(format!("letter-{mail}"));
        let _ = outbox.send(&letter, token, mail).await;
    }
}
