//! Lesson 1: a flag beside the work is not the work.
//!
//! Topology: three workers, a database with a flag per mail, and the outside mail server (the
//! sink). A hundred mails are dealt to the workers in turn. A worker judges a mail, and has then
//! two things to do, a moment apart: it sends the answer, and it sets the flag that says so. At
//! 1.02 s worker `w1` dies between the two, in the middle of its third mail, `generated#0007`; at
//! 5.0 s it is started again, and goes on with the first of its mails that has no flag.
//!
//! `flag-first` sets the flag, then sends: the mail has a flag and was never sent. `flag-last`
//! sends, then sets the flag: the mail is sent once more. No order of two steps is safe if one can
//! die in between, and the restart mends neither. `right` is `flag-last` with one thing added:
//! every letter bears its mail's own number, by which the outside knows a letter that it has (an
//! idempotency key). It could also be made right without any help of the outside's memory of
//! letters, if the outside compared fencing tokens (lesson 6); without help from there it cannot be
//! made right at all.
//!
//! Storms with drawn faults find both wrong designs at seed 1 (86 and 96 of 200 seeds): a crash of
//! a worker hits the moment between the two steps in two of five mails.

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
lasts_ms = 10000

[[faults]]
at_ms = 1020
lasts_ms = 3980
kind.crash = { nodes = ["w1"] }
"#;

const MAILS: usize = 100;
/// The mail in the middle of which `w1` dies.
const STRUCK: &str = "generated#0007";
const WORKERS: [&str; 3] = ["w1", "w2", "w3"];
/// How long judging takes, and the way from the first of the two steps to the second.
const JUDGING: Millis = Millis(180);
const BETWEEN: Millis = Millis(160);
/// How long the database takes for a request.
const STATEMENT: Millis = Millis(1);
const RESTED: Millis = Millis(500);

/// The lesson.
pub(super) fn lesson() -> Lesson {
    let design = |name, scenario, is_right, breaks, order, sink_knows| Design {
        name,
        is_right,
        breaks,
        scenario: Staged::scenario(
            scenario,
            "three workers, a flag per mail, and one that dies between the flag and the sending",
            PLAN,
            Scale::of_programs(),
            Flags { shelf: Shelf::of(MAILS), order, sink_knows_mails: sink_knows },
        ),
    };
    Lesson {
        number: 1,
        name: "mail-flag",
        title: "Mark it read, then work.",
        story: "Three workers share 100 mails, and a database keeps a flag for each mail that is \
                done. For each mail a worker does two things, one after the other: it sends the \
                answer, and it sets the flag. The worker w1 crashes at 1.02 s, between the two, in \
                the middle of one mail. It restarts at 5.0 s, remembers nothing, and goes on with \
                the first of its mails that has no flag. 'flag-first' sets the flag, then sends; \
                'flag-last' sends, then sets the flag. 'right' also sends first, but each answer \
                carries the id of its mail, and the receiver ignores an id that it already has.",
        designs: vec![
            design(
                "flag-first",
                "mail-flag/flag-first",
                false,
                &["exactly-once/lost"],
                Order::FlagFirst,
                false,
            ),
            design(
                "flag-last",
                "mail-flag/flag-last",
                false,
                &["exactly-once/doubled"],
                Order::SendFirst,
                false,
            ),
            design("right", "mail-flag/right", true, &[], Order::SendFirst, true),
        ],
        questions: vec![
            Question {
                key: "doubles",
                text: "w1 crashes between its two steps at 1.02 s. Which design sends a mail \
                       twice?",
                answer: Asked::Choice {
                    choices: &[
                        ("flag-first", "the flag is set, then the mail is sent"),
                        ("flag-last", "the mail is sent, then the flag is set"),
                        ("neither", "the restart puts it right"),
                    ],
                    truth: |records| {
                        let twice = |design| times_sent(records, design) > 1;
                        match (twice("flag-first"), twice("flag-last")) {
                            (true, false) => Some("flag-first"),
                            (false, true) => Some("flag-last"),
                            (false, false) => Some("neither"),
                            (true, true) => None,
                        }
                    },
                },
                rests_on: &[
                    "'flag-last' sends, then sets the flag",
                    "goes on with the first of its mails that has no flag",
                ],
                why: "After the restart the flag is all that w1 knows. If it sends first, the mail \
                      has been sent and has no flag, so it is sent again. The other way round it \
                      has a flag and is never sent.",
            },
            Question {
                key: "sent",
                text: "'flag-first': how often has the mail that w1 was working on been sent when \
                       the run ends?",
                answer: Asked::Number {
                    unit: Unit::of("time", "times"),
                    range: (0.0, 10.0),
                    tolerance: 0.0,
                    derivation: None,
                    truth: |records| Some(times_sent(records, "flag-first") as f64),
                },
                rests_on: &[
                    "'flag-first' sets the flag, then sends",
                    "goes on with the first of its mails that has no flag",
                ],
                why: "Its flag says that it is done, and nobody looks at a mail with a flag again. \
                      The restart does not help: what w1 was about to do was in its memory alone.",
            },
            Question {
                key: "sent-right",
                text: "'right': w1 sends first, too, and sends the mail again after its restart. How \
                       often does that mail take effect at the receiver?",
                answer: Asked::Number {
                    unit: Unit::of("time", "times"),
                    range: (0.0, 10.0),
                    tolerance: 0.0,
                    derivation: Some("1"),
                    truth: |records| Some(times_sent(records, "right") as f64),
                },
                rests_on: &[
                    "in the middle of one mail",
                    "the receiver ignores an id that it already has",
                ],
                why: "Both answers carry the id of the mail, and the receiver takes each id once. \
                      Exactly once is at least once, and a receiver that knows what it has.",
            },
        ],
    }
}

/// How often the outside took the mail in whose middle `w1` died.
fn times_sent(records: &Records, design: &str) -> usize {
    let taken = |observation: &Observation| matches!(observation, Observation::Mail(MailFact::SinkAccepted { mail, .. }) if **mail == *STRUCK);
    records.observed(design).filter(|(_, _, observation)| taken(observation)).count()
}

/// Which of the two steps comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    FlagFirst,
    SendFirst,
}

struct Flags {
    shelf: Shelf,
    order: Order,
    /// Whether a letter bears its mail's number, or one of its own.
    sink_knows_mails: bool,
}

impl Act for Flags {
    fn nodes(&self, _scale: &Scale) -> Vec<NodeSpec> {
        let workers = WORKERS.map(|name| NodeSpec::client(name).called("worker")).into_iter();
        workers.chain([database::node(), Sink::node()]).collect()
    }

    fn boot(&self, _scale: &Scale, process: Process) -> Program {
        match &*process.node.0 {
            "sink" => Sink::Plain.boot(process),
            database::DATABASE => {
                let table = Table::of(MAILS, None).dealt_to(&WORKERS.map(Arc::from));
                database::boot(process, table, STATEMENT, SyncLog::BeforeAnswer)
            }
            _ => {
                let worker = FlagWorker {
                    name: process.node.0.clone(),
                    database: Connection::new(&process.platform),
                    outbox: Outbox::new(&process, self.shelf.mails()),
                    platform: process.platform,
                    order: self.order,
                    sink_knows_mails: self.sink_knows_mails,
                };
                Box::pin(worker.run())
            }
        }
    }

    fn checkers(&self, _scale: &Scale) -> Suite {
        Suite::new().with(self.shelf.exactly_once_at_the_sink())
    }

    fn goals(&self, _scale: &Scale) -> Vec<Goal> {
        let mut is_at_it = false;
        vec![Goal::new(
            "died_in_the_middle",
            "w1 died in the middle of the mail that the lesson is about",
            Interests::APPLICATION | Interests::PROCESSES,
            move |event| match &event.happening {
                Happening::Observed {
                    observation: Observation::Mail(MailFact::MailAttempted { worker, mail, .. }),
                } if **worker == *"w1" => {
                    is_at_it = **mail == *STRUCK;
                    false
                }
                Happening::Crashed { .. } => std::mem::take(&mut is_at_it),
                _ => false,
            },
        )]
    }

    fn work(&self, _scale: &Scale) -> Work {
        self.shelf.work()
    }
}

struct FlagWorker {
    platform: SimPlatform,
    name: Arc<str>,
    database: Connection,
    outbox: Outbox,
    order: Order,
    sink_knows_mails: bool,
}

impl FlagWorker {
    async fn run(mut self) {
        loop {
            let mine = Ask::Mine { worker: self.name.clone() };
            let Answer::Row { mail, .. } = self.database.ask(mine).await else {
                self.platform.sleep(RESTED).await;
                continue;
            };
            let number = mail as u64 + 1;
            let token = if self.sink_knows_mails { number } else { self.outbox.fresh_token() };
            self.outbox.attempts(mail, token);
            self.platform.sleep(JUDGING).await;
            match self.order {
                Order::FlagFirst => {
                    self.flag(mail).await;
                    self.platform.sleep(BETWEEN).await;
                    self.send(mail, token).await;
                }
                Order::SendFirst => {
                    self.send(mail, token).await;
                    self.platform.sleep(BETWEEN).await;
                    self.flag(mail).await;
                }
            }
        }
    }

    async fn flag(&mut self, mail: usize) {
        self.database.ask(Ask::Finish { mail, fence: None }).await;
    }

    async fn send(&mut self, mail: usize, token: u64) {
        // Each mail is compared with nothing else, and a plain sink refuses nothing.
        let letter = Arc::from(format!("letter-{mail}"));
        let _ = self.outbox.send(&letter, token, mail).await;
    }
}
