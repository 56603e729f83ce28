//! Lesson 15: a database has locks, too.
//!
//! Topology: a database of mails with row locks, four workers, the outside mail server (the sink).
//! A row has a holder, a lease of 3 s and a fence: a number that is higher for each holder than for
//! all before him. Every change is on the disk before it is answered. Worker `w2` dies at 5.0 s in
//! the middle of a mail; the database's machine dies at 10.0 s and is back at 25.0 s.
//!
//! `database` does everything right that one machine can: the lease of `w2` runs out and another
//! takes its mail, the sink is shown the fence first, nothing is lost and nothing is sent twice.
//! And from 10.0 to 25.0 s nothing is sent, which `live/gap` says, the only thing that it breaks:
//! correct, and not highly available. It is called wrong for that alone. `ensemble` is the design
//! of lesson 4 in the same 15 s, in which its leader is down.
//!
//! Both hold under storms with drawn faults (200 seeds each): there nobody asks for how long
//! nothing was sent, so no storm finds `database`.

use super::designs::claims::{ClaimsOfAnEnsemble, another_leader, taken_over_at, workers};
use super::designs::database::{self, Answer, Ask, Connection, SyncLog, Table};
use super::designs::mails::{Mails, Shelf};
use super::designs::outbox::{Outbox, Refused, Sink};
use super::stage::{Act, Program, Staged, Work};
use super::{Answer as Asked, Design, Lesson, Question, Records, Unit};
use crate::scale::Scale;
use mailstorm_checkers::{Goal, SplitBrain, Suite, mail};
use mailstorm_platform::Platform;
use mailstorm_shared::facts::MailFact;
use mailstorm_shared::{Millis, Observation};
use mailstorm_world::{NodeSpec, Process, SimPlatform};
use std::sync::Arc;

const PLAN: &str = r#"
lasts_ms = 30000

[[faults]]
at_ms = 5000
lasts_ms = 25000
kind.crash = { nodes = ["w2"] }

[[faults]]
at_ms = 10000
lasts_ms = 15000
kind.crash = { nodes = ["db"] }
"#;

const PLAN_OF_THE_ENSEMBLE: &str = r#"
lasts_ms = 30000

[[faults]]
at_ms = 5000
lasts_ms = 25000
kind.crash = { nodes = ["w2"] }

[[faults]]
at_ms = 10000
lasts_ms = 15000
kind.crash = { nodes = ["leader"] }
"#;

const MAILS: usize = 100;
const WORKERS: u64 = 4;
const WORKERS_MAX: u64 = 9;
const JUDGING: Millis = Millis(800);
const LEASE: Millis = Millis(3_000);
const STATEMENT: Millis = Millis(2);
const RESTED: Millis = Millis(200);
const GAP_MAX: Millis = Millis(5_000);
const CRASH_AT_S: f64 = 5.0;
const DOWN_S: std::ops::Range<f64> = 10.0..25.0;

/// The lesson.
pub(super) fn lesson() -> Lesson {
    Lesson {
        number: 15,
        name: "mail-database",
        title: "A database has locks, too.",
        story: "In 'database' four workers claim mails in a database with row locks; judging and \
                sending a mail takes about 0.8 s. A claim has a lease of 3 s: when it ends, \
                another worker may take the mail, with a higher fencing token, and the sink \
                refuses lower ones. The worker w2 crashes at 5.0 s, in the middle of a mail that \
                it took a moment before, and stays down until 30.0 s. The database's machine is \
                down from 10.0 to 25.0 s; every change is on its disk before it is answered. In \
                'ensemble' the claims are on three servers, w2 crashes as well, and the leader is \
                down for the same 15 s: the other two servers elect another in less than one \
                second. So three workers work on.",
        designs: vec![
            Design {
                name: "database",
                is_right: false,
                breaks: &["live/gap"],
                scenario: Staged::scenario(
                    "mail-database/database",
                    "four workers, and one database with row locks, leases and fences that is down for 15 s",
                    PLAN,
                    Scale::of_programs().and("workers", "workers", WORKERS, 1..=WORKERS_MAX),
                    RowLocks { shelf: Shelf::of(MAILS) },
                ),
            },
            Design {
                name: "ensemble",
                is_right: true,
                breaks: &[],
                scenario: Staged::scenario(
                    "mail-database/ensemble",
                    "four workers, and claims on three servers, of which the leader is down for 15 s",
                    PLAN_OF_THE_ENSEMBLE,
                    ClaimsOfAnEnsemble::scale(WORKERS),
                    ClaimsOfAnEnsemble {
                        shelf: Shelf::of(MAILS),
                        batch: 1,
                        judging: JUDGING,
                        gap_max: GAP_MAX,
                        goals: || vec![another_leader(), mail::goals::claim_taken_over()],
                    },
                ),
            },
        ],
        questions: vec![
            Question {
                key: "takeover",
                text: "'database': w2 crashes at 5.0 s, and its claim has a lease of 3 s. At which \
                       second does another worker take its mail?",
                answer: Asked::Number {
                    unit: Unit::SECONDS,
                    range: (5.0, 30.0),
                    tolerance: 1.0,
                    derivation: Some("5.0 + 3"),
                    truth: |records| taken_over_at(records, "database", "w2", CRASH_AT_S),
                },
                rests_on: &[
                    "crashes at 5.0 s, in the middle of a mail that it took a moment before",
                    "lease of 3 s",
                ],
                why: "The lease began when w2 took the mail, less than a second before it crashed. \
                      When it ends, the next worker that looks for work gets the row, with a \
                      higher fencing token.",
            },
            Question {
                key: "gap",
                text: "'database': it is down from 10.0 to 25.0 s. For how many seconds is nothing \
                       sent?",
                answer: Asked::Number {
                    unit: Unit::SECONDS,
                    range: (0.0, 30.0),
                    tolerance: 1.5,
                    derivation: Some("25.0 - 10.0"),
                    truth: |records| Some(records.figure("database", "gap_ms_max")? as f64 / 1e3),
                },
                rests_on: &["is down from 10.0 to 25.0 s"],
                why: "Each worker finishes its mail and cannot claim another. The disk kept \
                      everything, so afterwards nothing is missing; but one machine is one \
                      machine.",
            },
            Question {
                key: "ensemble",
                text: "'ensemble': the leader is down for the same 15 s. How many mails are sent \
                       from 10.0 to 25.0 s?",
                answer: Asked::Number {
                    unit: Unit::of("mail", "mails"),
                    range: (0.0, 100.0),
                    tolerance: 12.0,
                    derivation: Some("(25.0 - 10.0 - 1) * 3 / 0.8"),
                    truth: |records| {
                        let sent = sent(records, "ensemble").filter(|at| DOWN_S.contains(at));
                        Some(sent.count() as f64)
                    },
                },
                rests_on: &[
                    "takes about 0.8 s",
                    "in less than one second",
                    "three workers work on",
                ],
                why: "Three workers are left, with most of a second for each mail. They miss less \
                      than a second, until another server leads.",
            },
        ],
    }
}

/// When the sink took something.
fn sent<'a>(records: &'a Records, design: &'a str) -> impl Iterator<Item = f64> + 'a {
    let is_taken = |observation: &Observation| {
        matches!(observation, Observation::Mail(MailFact::SinkAccepted { .. }))
    };
    let taken = records.observed(design).filter(move |(_, _, observation)| is_taken(observation));
    taken.map(|(at, ..)| at)
}

struct RowLocks {
    shelf: Shelf,
}

impl Act for RowLocks {
    fn nodes(&self, scale: &Scale) -> Vec<NodeSpec> {
        workers(scale.get("workers")).chain([database::node(), Sink::node()]).collect()
    }

    fn boot(&self, _scale: &Scale, process: Process) -> Program {
        match &*process.node.0 {
            "sink" => Sink::Fencing.boot(process),
            database::DATABASE => {
                let table = Table::of(MAILS, Some(LEASE));
                database::boot(process, table, STATEMENT, SyncLog::BeforeAnswer)
            }
            _ => {
                let mails = self.shelf.mails();
                let outbox = Outbox::new(&process, mails.clone());
                Box::pin(work(process.platform, process.node.0, mails, outbox))
            }
        }
    }

    fn checkers(&self, scale: &Scale) -> Suite {
        Suite::new()
            .with(self.shelf.exactly_once_at_the_sink())
            .with(SplitBrain::new())
            .with(self.shelf.live(scale, GAP_MAX))
    }

    fn goals(&self, _scale: &Scale) -> Vec<Goal> {
        vec![mail::goals::mail_tried_again()]
    }

    fn work(&self, _scale: &Scale) -> Work {
        self.shelf.work()
    }
}

/// Takes a row, shows its fence to the sink, sends what is not there yet, and notes it as done.
async fn work(platform: SimPlatform, worker: Arc<str>, mails: Arc<Mails>, mut outbox: Outbox) {
    let mut database = Connection::new(&platform);
    loop {
        let take = Ask::Take { worker: worker.clone() };
        let Answer::Row { mail, fence } = database.ask(take).await else {
            platform.sleep(RESTED).await;
            continue;
        };
        if send_once(&platform, &mails, &mut outbox, mail, fence).await == Err(Refused) {
            // The lease was over, and somebody else has the row.
            continue;
        }
        // Refused if somebody else has the row by now: then that one sees that the sink has it.
        database.ask(Ask::Finish { mail, fence: Some(fence) }).await;
    }
}

async fn send_once(
    platform: &SimPlatform,
    mails: &Mails,
    outbox: &mut Outbox,
    mail: usize,
    fence: u64,
) -> Result<(), Refused> {
    let row = Arc::from(format!("row-{mail}"));
    // From here on no earlier holder can add anything, and what he did is known.
    if outbox.fence(&row, fence).await?.contains(mails.id(mail)) {
        return Ok(());
    }
    outbox.attempts(mail, fence);
    platform.sleep(JUDGING).await;
    outbox.send(&row, fence, mail).await
}
