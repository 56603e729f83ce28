//! Lesson 6: a lock does not hold a sleeper.
//!
//! Topology: three servers, four workers, the outside mail server (the sink). Whoever holds the
//! lock sends the mails, one after another: judges a mail, writes the answer, sends it, notes it in
//! `/mail/sent`. `w1` comes first and holds the lock. At 4.0 s it falls asleep (a garbage
//! collection, a virtual machine that is moved) while it writes an answer, and wakes at 14.0 s. Its
//! session ends while it sleeps; another worker has the lock by about 10.9 s and sends that very
//! mail. Then `w1` wakes, and goes on where it was: it sends.
//!
//! `no-fence` trusts the lock: the mail is sent twice, and what was sent under an older lock comes
//! after what was sent under a newer one. `check-first` asks the ensemble right before it writes
//! whether it holds the lock, and is told yes; the sleep comes after the question, so it sends
//! twice, too. However late one asks, something is left between the answer and the sending. In
//! `right` every letter bears the number of its lock (the zxid that created its znode, the fencing
//! token), the new holder shows its own to the sink first, and the sink refuses what is lower: the
//! sleeper's letter is turned away.
//!
//! Storms with drawn faults find `no-fence` at seed 5 and `check-first` at seed 2 (44 and 50 of 200
//! seeds).
//!
//! The same five steps, with the same end: fpj.systems, "Note on fencing and distributed locks"
//! (2016); Kleppmann, "How to do distributed locking" (2016).

use super::designs::claims::{session_expired, through_ensemble};
use super::designs::lock_workers::{Guard, LOCK, LockWorkers, SERVERS};
use super::designs::mails::Shelf;
use super::stage::{Act, Program, Staged, Work};
use super::{Answer, Design, Lesson, Question, Records, Unit};
use crate::scale::Scale;
use mailstorm_checkers::{Goal, IfPossible, Interests, SplitBrain, Suite, mail};
use mailstorm_record::Happening;
use mailstorm_shared::facts::{ClientFact, EnsembleFact, MailFact};
use mailstorm_shared::znodes::Change;
use mailstorm_shared::{Defects, Millis, Observation};
use mailstorm_world::{NodeSpec, Process};

const PLAN: &str = r#"
lasts_ms = 20000

[[faults]]
at_ms = 4000
lasts_ms = 10000
kind.pause = { nodes = ["w1"] }
"#;

const MAILS: usize = 100;
const WORKERS: u64 = 4;
/// Most of the time that a mail takes, so that the sleep comes while an answer is written.
const WRITING: Millis = Millis(180);
const JUDGING: Millis = Millis(20);
const ASLEEP_AT_S: f64 = 4.0;
/// Asleep, a session timeout, and somebody else's first mail.
const GAP_MAX: Millis = Millis(9_000);

/// The lesson.
pub(super) fn lesson() -> Lesson {
    let design = |name, scenario, is_right, breaks, guard| Design {
        name,
        is_right,
        breaks,
        scenario: Staged::scenario(
            scenario,
            "four workers who share a lock, and a holder that sleeps for longer than its session lives",
            PLAN,
            Scale::of_lesson(SERVERS),
            Sleeper(LockWorkers {
                shelf: Shelf::of(MAILS),
                workers: WORKERS,
                first_comes_after: Millis(540),
                next_comes_after: Millis(200),
                turn: MAILS,
                judging: JUDGING,
                writing: WRITING,
                guard,
                defects: Defects::NONE,
            }),
        ),
    };
    let wrong: &[&str] = &["exactly-once/doubled", "split-brain/mutex"];
    Lesson {
        number: 6,
        name: "mail-pause-no-fence",
        title: "The lock holder falls asleep.",
        story: "Four workers share one lock, and whoever holds it works on the mails: it writes an \
                answer, then sends it. w1 holds the lock. At 4.0 s, while it writes an answer, it \
                is paused (a garbage collection), and it goes on at 14.0 s where it was; a paused \
                process does not notice the pause. Its session expires 6 s after the servers last \
                heard from it, and the leader checks for expired sessions every 2 s. Then another \
                worker has the lock, and works on that mail at once. 'no-fence' trusts the lock. \
                'check-first' asks the servers whether it still holds the lock, right before it \
                writes an answer. In 'right' each answer carries a number, the fencing token, and \
                the sink refuses any number below the highest that it has seen. It must be higher \
                for each later holder of the lock. Zxids are such numbers: each transaction of the \
                servers has a higher one than all before it.",
        designs: vec![
            design("no-fence", "mail-pause-no-fence/no-fence", false, wrong, Guard::Nothing),
            design("check-first", "mail-pause-no-fence/check-first", false, wrong, Guard::Check),
            design("right", "mail-pause-no-fence/right", true, &[], Guard::Fence),
        ],
        questions: vec![
            Question {
                key: "check",
                text: "'check-first': the holder asks the servers whether it still holds the lock, \
                       and goes on only if it does. Does that keep the mail from being sent twice?",
                answer: Answer::Choice {
                    choices: &[
                        ("yes", "a worker that has lost the lock learns it before it sends"),
                        ("no", "the mail is sent twice all the same"),
                    ],
                    truth: |records| {
                        let twice = records.violation("check-first", "exactly-once/doubled");
                        Some(if twice.is_some() { "no" } else { "yes" })
                    },
                },
                rests_on: &[
                    "right before it writes an answer",
                    "while it writes an answer, it is paused",
                ],
                why: "The reply was true when it was given. The pause comes between the reply and \
                      the sending, and a paused process does not know that it was paused. Only the \
                      receiver sees both mails.",
            },
            Question {
                key: "successor",
                text: "'no-fence': w1 is paused at 4.0 s. At which second does another worker send \
                       its first mail?",
                answer: Answer::Number {
                    unit: Unit::SECONDS,
                    range: (4.0, 30.0),
                    tolerance: 1.5,
                    derivation: Some("4.0 + 6 + 2 / 2"),
                    truth: |records| {
                        let later = |at: &f64| *at > ASLEEP_AT_S;
                        sent(records, "no-fence").map(|(at, _)| at).find(later)
                    },
                },
                rests_on: &[
                    "Its session expires 6 s after the servers last heard from it",
                    "checks for expired sessions every 2 s",
                ],
                why: "The session expires 6 s after the servers last heard from w1, or up to 2 s \
                      later. Then its znode vanishes, the next in line has the lock, and writes \
                      its answer.",
            },
            Question {
                key: "token",
                text: "'right': which number does the sink compare?",
                answer: Answer::Choice {
                    choices: &[
                        ("clock", "the time on the holder's clock"),
                        ("session", "the id of the holder's session"),
                        (
                            "zxid",
                            "the zxid of the transaction that created the holder's place in the line",
                        ),
                    ],
                    truth: |records| {
                        let (_, token) = sent(records, "right").next()?;
                        if is_zxid_of_a_place(records, token) {
                            return Some("zxid");
                        }
                        let of = |o: &Observation| matches!(o, Observation::Client(ClientFact::ClientConnected { session, .. }) if session.0 as u64 == token);
                        let is_session = records.observed("right").any(|(_, _, o)| of(o));
                        Some(if is_session { "session" } else { "clock" })
                    },
                },
                rests_on: &[
                    "must be higher for each later holder",
                    "each transaction of the servers has a higher one",
                ],
                why: "It is there without asking anybody, and each later holder has a higher one. \
                      Clocks can be wrong, and ids of sessions need not grow.",
            },
        ],
    }
}

/// When something was taken by the sink, and under which token.
fn sent<'a>(records: &'a Records, design: &'a str) -> impl Iterator<Item = (f64, u64)> + 'a {
    records.observed(design).filter_map(|(at, _, observation)| match observation {
        Observation::Mail(MailFact::SinkAccepted { token, .. }) => Some((at, *token)),
        _ => None,
    })
}

/// Whether this is the number of a transaction that created a place in the line for the lock.
fn is_zxid_of_a_place(records: &Records, number: u64) -> bool {
    let is_place =
        |change: &Change| matches!(change, Change::Created { path, .. } if path.starts_with(LOCK));
    records.observed("right").any(|(_, _, observation)| match observation {
        Observation::Ensemble(EnsembleFact::Applied { zxid, changes, .. }) => {
            zxid.0 == number && changes.iter().any(is_place)
        }
        _ => false,
    })
}

struct Sleeper(LockWorkers);

impl Act for Sleeper {
    fn nodes(&self, _scale: &Scale) -> Vec<NodeSpec> {
        self.0.nodes()
    }

    fn mistake(&self) -> Defects {
        self.0.defects
    }

    fn boot(&self, scale: &Scale, process: Process) -> Program {
        self.0.boot(scale, process)
    }

    fn checkers(&self, scale: &Scale) -> Suite {
        let needs = through_ensemble(scale, self.0.workers);
        let once = self.0.shelf.exactly_once_at_the_sink();
        Suite::new()
            .with(IfPossible::new(once, needs.clone()))
            .with(SplitBrain::new())
            .with(self.0.shelf.live(scale, GAP_MAX).needing(needs))
    }

    fn goals(&self, _scale: &Scale) -> Vec<Goal> {
        let mut goals = vec![session_expired()];
        if self.0.guard == Guard::Fence {
            goals.push(mail::goals::stale_token_refused());
        } else {
            goals.push(sent_after_sleep());
        }
        goals
    }

    fn work(&self, _scale: &Scale) -> Work {
        self.0.shelf.work()
    }
}

/// The sleeper wakes, and the sink takes what it had written.
fn sent_after_sleep() -> Goal {
    let mut is_awake_again = false;
    Goal::new(
        "sent_after_sleep",
        "the sink took a mail from the one that had slept",
        Interests::APPLICATION | Interests::PROCESSES,
        move |event| match &event.happening {
            Happening::Resumed => {
                is_awake_again = true;
                false
            }
            Happening::Observed {
                observation: Observation::Mail(MailFact::SinkAccepted { worker, .. }),
            } => is_awake_again && **worker == *"w1",
            _ => false,
        },
    )
}
