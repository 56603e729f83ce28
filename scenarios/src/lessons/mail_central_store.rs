//! Lesson 3: a database of claims is one machine, and its last second.
//!
//! Topology: a database that carries out 500 statements a second, eight workers, the outside mail
//! server (the sink). A mail costs two statements: a worker claims it, sends its answer, notes it
//! as done; so all of them together do 250 mails a second, whatever their number. At 10.0 s the
//! database's machine crashes; at 20.0 s it is back.
//!
//! `wrong` answers first and brings its log to the disk once a second: rows of the last second are
//! gone after the crash, up to 250 mails look as if nobody had done them, and are sent again. And
//! from 10.0 to 20.0 s nothing is sent at all. `synced` brings every change to the disk before it
//! answers: nothing is forgotten, and nothing is sent from 10.0 to 20.0 s either. `right` keeps the
//! claims in an ensemble of three servers, of which the leader crashes at 10.0 s: the other two go
//! on within about a second.
//!
//! In `right` a mail costs the workers more messages, and eight of them send about 200 a second;
//! they have fewer mails to do. How much of the last second is lost depends on what the disk's
//! cache had written back by itself.
//!
//! Storms with drawn faults find both wrong designs at seed 1 (93 and 95 of 200 seeds): a worker
//! that crashes comes back to a claim of which nobody knows whether it was sent, and every crash of
//! the database costs `wrong` rows.

use super::designs::claims::{ClaimsOfAnEnsemble, another_leader, workers};
use super::designs::database::{self, Answer, Ask, Connection, SyncLog, Table};
use super::designs::mails::Shelf;
use super::designs::outbox::{Outbox, Sink};
use super::stage::{Act, Program, Staged, Work};
use super::{Answer as Asked, Design, Lesson, Question, Records, Unit};
use crate::scale::Scale;
use mailstorm_checkers::{Goal, Interests, Suite};
use mailstorm_platform::Platform;
use mailstorm_record::Happening;
use mailstorm_shared::facts::MailFact;
use mailstorm_shared::{Millis, Observation};
use mailstorm_world::{NodeSpec, Process, SimPlatform};
use std::sync::Arc;

const PLAN: &str = r#"
lasts_ms = 21000

[[faults]]
at_ms = 10000
lasts_ms = 10000
kind.crash = { nodes = ["db"] }
"#;

const PLAN_OF_THE_ENSEMBLE: &str = r#"
lasts_ms = 21000

[[faults]]
at_ms = 10000
lasts_ms = 10000
kind.crash = { nodes = ["leader"] }
"#;

const MAILS: usize = 3_000;
/// Enough to be in the middle of them at the crash.
const MAILS_OF_THE_ENSEMBLE: usize = 2_400;
const WORKERS: u64 = 8;
const WORKERS_MAX: u64 = 32;
/// 500 statements a second.
const STATEMENT: Millis = Millis(2);
const SYNC_EVERY: Millis = Millis(1_000);
const JUDGING: Millis = Millis(5);
/// Mails that a worker of the ensemble claims at once.
const BATCH: usize = 20;
const RESTED: Millis = Millis(500);
const CRASH_AT_S: f64 = 10.0;
/// An election, or a restart, and a moment; not ten seconds.
const GAP_MAX: Millis = Millis(5_000);

/// The lesson.
pub(super) fn lesson() -> Lesson {
    let store = |name, scenario, breaks, sync| Design {
        name,
        is_right: false,
        breaks,
        scenario: Staged::scenario(
            scenario,
            "eight workers, and one database with all their claims, which is gone for ten seconds",
            PLAN,
            Scale::of_programs().and("workers", "workers", WORKERS, 1..=WORKERS_MAX),
            OneDatabase { shelf: Shelf::of(MAILS), sync },
        ),
    };
    Lesson {
        number: 3,
        name: "mail-central-store",
        title: "Put the claims in one database.",
        story: "Eight workers claim mails in one database. It executes 500 statements a second, \
                and each mail takes two: one claims it, one notes that it was sent. The database's \
                machine crashes at 10.0 s and restarts at 20.0 s. Statements that were not in its \
                log on disk are gone then, and a mail without its note is sent again. 'wrong' \
                writes the log to disk once a second, 'synced' before it answers each statement. \
                'right' keeps the claims on three servers. Their leader crashes at 10.0 s; the \
                other two see its connections break and elect another leader in less than one \
                second.",
        designs: vec![
            store(
                "wrong",
                "mail-central-store/wrong",
                &["exactly-once/doubled", "live/gap"],
                SyncLog::Every(SYNC_EVERY),
            ),
            store("synced", "mail-central-store/synced", &["live/gap"], SyncLog::BeforeAnswer),
            Design {
                name: "right",
                is_right: true,
                breaks: &[],
                scenario: Staged::scenario(
                    "mail-central-store/right",
                    "eight workers, and claims on three servers, of which the leader is gone for ten seconds",
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
                key: "doubled-at-most",
                text: "'wrong': how many mails can the crash cause to be sent twice, at the most?",
                answer: Asked::Number {
                    unit: Unit::of("mail", "mails"),
                    range: (0.0, 1000.0),
                    tolerance: 40.0,
                    derivation: Some("500 / 2"),
                    truth: |records| {
                        let last_second = CRASH_AT_S - 1.0..CRASH_AT_S;
                        let sent =
                            sent(records, "wrong").filter(|(at, _)| last_second.contains(at));
                        Some(sent.count() as f64)
                    },
                },
                rests_on: &[
                    "500 statements a second, and each mail takes two",
                    "writes the log to disk once a second",
                ],
                why: "As many as are done in a second. 500 statements a second, two for each mail: \
                      250, whatever the number of workers.",
            },
            Question {
                key: "fsync",
                text: "'synced': every statement is in the log on disk before it is answered. What \
                       does that cure?",
                answer: Asked::Choice {
                    choices: &[
                        ("both", "no mail is sent twice, and work goes on during the crash"),
                        ("doubles", "no mail is sent twice, but nothing is sent for ten seconds"),
                        ("gap", "work goes on, but mails are sent twice"),
                        ("neither", "mails are sent twice, and nothing is sent for ten seconds"),
                    ],
                    truth: |records| {
                        let breaks = |which| records.violation("synced", which).is_some();
                        Some(match (breaks("exactly-once/doubled"), breaks("live/gap")) {
                            (false, false) => "both",
                            (false, true) => "doubles",
                            (true, false) => "gap",
                            (true, true) => "neither",
                        })
                    },
                },
                rests_on: &[
                    "'synced' before it answers each statement",
                    "crashes at 10.0 s and restarts at 20.0 s",
                ],
                why: "A disk remembers; it does not answer while its machine is down. Only another \
                      machine that knows the same helps against that.",
            },
            Question {
                key: "gap-right",
                text: "'right': the leader crashes at 10.0 s. For how many seconds is nothing sent?",
                answer: Asked::Number {
                    unit: Unit::SECONDS,
                    range: (0.0, 20.0),
                    tolerance: 1.0,
                    derivation: Some("1"),
                    truth: |records| Some(records.figure("right", "gap_ms_max")? as f64 / 1e3),
                },
                rests_on: &["elect another leader in less than one second"],
                why: "The two servers that are left elect one of them, and the workers connect to \
                      it. Everything that was acknowledged is on their disks.",
            },
        ],
    }
}

/// What the sink took: when, and which mail.
fn sent<'a>(
    records: &'a Records,
    design: &'a str,
) -> impl Iterator<Item = (f64, &'a Arc<str>)> + 'a {
    records.observed(design).filter_map(|(at, _, observation)| match observation {
        Observation::Mail(MailFact::SinkAccepted { mail, .. }) => Some((at, mail)),
        _ => None,
    })
}

struct OneDatabase {
    shelf: Shelf,
    sync: SyncLog,
}

impl Act for OneDatabase {
    fn nodes(&self, scale: &Scale) -> Vec<NodeSpec> {
        workers(scale.get("workers")).chain([database::node(), Sink::node()]).collect()
    }

    fn boot(&self, _scale: &Scale, process: Process) -> Program {
        match &*process.node.0 {
            "sink" => Sink::Plain.boot(process),
            database::DATABASE => {
                database::boot(process, Table::of(MAILS, None), STATEMENT, self.sync)
            }
            _ => {
                let outbox = Outbox::new(&process, self.shelf.mails());
                let database = Connection::new(&process.platform);
                Box::pin(work(process.platform, process.node.0, database, outbox))
            }
        }
    }

    fn checkers(&self, scale: &Scale) -> Suite {
        Suite::new()
            .with(self.shelf.exactly_once_at_the_sink())
            .with(self.shelf.live(scale, GAP_MAX))
    }

    fn goals(&self, _scale: &Scale) -> Vec<Goal> {
        let is_lost = |happening: &Happening| match happening {
            Happening::WritesLost { sectors, torn } => sectors + torn > 0,
            _ => false,
        };
        match self.sync {
            SyncLog::BeforeAnswer => Vec::new(),
            SyncLog::Every(_) => vec![Goal::new(
                "rows_lost",
                "the crash took from the database's disk what no sync had covered",
                Interests::PROCESSES,
                move |event| is_lost(&event.happening),
            )],
        }
    }

    fn work(&self, _scale: &Scale) -> Work {
        self.shelf.work()
    }
}

/// Claims a mail, sends its answer, notes it as done; and the next.
async fn work(platform: SimPlatform, name: Arc<str>, mut database: Connection, mut outbox: Outbox) {
    loop {
        let take = Ask::Take { worker: name.clone() };
        let Answer::Row { mail, .. } = database.ask(take).await else {
            platform.sleep(RESTED).await;
            continue;
        };
        let token = outbox.fresh_token();
        outbox.attempts(mail, token);
        platform.sleep(JUDGING).await;
        // Each letter is one by itself, and a plain sink refuses nothing.
        let letter = Arc::from(format!("letter-{mail}"));
        let _ = outbox.send(&letter, token, mail).await;
        database.ask(Ask::Finish { mail, fence: None }).await;
    }
}
