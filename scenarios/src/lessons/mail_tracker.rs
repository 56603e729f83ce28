//! Lesson 7: one process knows who is alive.
//!
//! Topology: a tracker, four workers, a database, the outside mail server (the sink). Workers tell
//! the tracker every half a second that they live. It gives each mail to a living worker by a row
//! in the database, and keeps one worker free for what has to be done again: whoever was silent for
//! two seconds is dead to it, and another gets its mail. From 6.0 to 12.0 s the tracker and `w2` do
//! not hear each other; everybody else hears both. At 15.0 s the tracker dies, and is back at 30.0
//! s.
//!
//! `wrong`: before 8.0 s `w2` is dead to the tracker, and its mail is given away; `w2` is alive, in
//! the middle of it, and has no reason to stop. Both send. After 15.0 s nobody gets anything to do:
//! who watches the watcher? `right` has three servers instead: `w2` is cut off from two of them,
//! finds the third, and its session lives on, since all three together decide who is dead. At 15.0
//! s their leader dies, and another leads. Were they wrong about somebody, the sink would refuse
//! his token (lesson 6).
//!
//! The tracker has heard of `w2` at 5.6 s for the last time, so it is dead from 7.6 s on.
//!
//! Storms with drawn faults find `wrong` at seed 2 (115 of 200 seeds).

use super::designs::claims::{ClaimsOfAnEnsemble, another_leader, workers};
use super::designs::database::{self, Answer, Ask, Connection, SyncLog, Table};
use super::designs::mails::Shelf;
use super::designs::outbox::{Outbox, Sink};
use super::stage::{Act, Program, Staged, Work};
use super::{Answer as Asked, Design, Lesson, Question, Records, Unit};
use crate::scale::Scale;
use crate::talk::{Caller, Desk};
use mailstorm_checkers::{Goal, Suite};
use mailstorm_platform::{Address, Platform};
use mailstorm_shared::facts::{ApplicationFact, MailFact};
use mailstorm_shared::{Instant, Millis, Observation};
use mailstorm_world::{NodeSpec, Process, SimPlatform};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

const PLAN: &str = r#"
lasts_ms = 30000

[[faults]]
at_ms = 6000
lasts_ms = 6000
kind.partition = { sides = [["t1"], ["w2"]] }

[[faults]]
at_ms = 15000
lasts_ms = 15000
kind.crash = { nodes = ["t1"] }
"#;

const PLAN_OF_THE_ENSEMBLE: &str = r#"
lasts_ms = 30000

[[faults]]
at_ms = 6000
lasts_ms = 6000
kind.partition = { sides = [["s1", "s2"], ["w2"]] }

[[faults]]
at_ms = 15000
lasts_ms = 15000
kind.crash = { nodes = ["leader"] }
"#;

const MAILS: usize = 100;
const WORKERS: u64 = 4;
const WORKERS_MAX: u64 = 9;
const TRACKER: &str = "t1";
const ADDRESS: &str = "t1:7000";
const JUDGING: Millis = Millis(1_000);
const HEARTBEAT: Millis = Millis(500);
/// Whoever was silent for so long is dead.
const SILENCE_MAX: Millis = Millis(2_000);
/// How often the tracker looks at the rows.
const LOOK_EVERY: Millis = Millis(100);
const STATEMENT: Millis = Millis(1);
const RESTED: Millis = Millis(50);
const GAP_MAX: Millis = Millis(5_000);
const REASSIGNED: &str = "mail_given_away";
const CUT_ENDS_AT_S: f64 = 12.0;

/// The lesson.
pub(super) fn lesson() -> Lesson {
    Lesson {
        number: 7,
        name: "mail-tracker",
        title: "One process knows who is alive.",
        story: "In 'wrong' a tracker gives mails to four workers, each of which sends it a \
                heartbeat every 0.5 s. To the tracker a worker that was silent for 2 s is dead, \
                and it gives the mail of that worker to one more. From 6.0 to 12.0 s only the \
                connection between the tracker and w2 is cut, while w2 is in the middle of one \
                mail; every other connection works, and nothing happens to w2 itself. The tracker \
                crashes at 15.0 s and restarts at 30.0 s. In 'right' three servers decide \
                together: from 6.0 to 12.0 s two of them do not hear w2, which connects to the \
                third, and their leader crashes at 15.0 s.",
        designs: vec![
            Design {
                name: "wrong",
                is_right: false,
                breaks: &["exactly-once/doubled", "live/gap"],
                scenario: Staged::scenario(
                    "mail-tracker/wrong",
                    "a tracker that does not hear one of four workers, and then dies",
                    PLAN,
                    Scale::of_programs().and("workers", "workers", WORKERS, 2..=WORKERS_MAX),
                    Tracked { shelf: Shelf::of(MAILS) },
                ),
            },
            Design {
                name: "right",
                is_right: true,
                breaks: &[],
                scenario: Staged::scenario(
                    "mail-tracker/right",
                    "three servers, of which two do not hear one of four workers, and then the leader dies",
                    PLAN_OF_THE_ENSEMBLE,
                    ClaimsOfAnEnsemble::scale(WORKERS),
                    ClaimsOfAnEnsemble {
                        shelf: Shelf::of(MAILS),
                        batch: 1,
                        judging: JUDGING,
                        gap_max: GAP_MAX,
                        goals: || vec![another_leader()],
                    },
                ),
            },
        ],
        questions: vec![
            Question {
                key: "alive",
                text: "'wrong': the tracker gives the mail of w2 away, 2 s after it last heard from \
                       it. Is w2 dead?",
                answer: Asked::Choice {
                    choices: &[
                        ("alive", "it works, and the tracker cannot hear it"),
                        ("dead", "it does nothing until the cut is over"),
                    ],
                    truth: |records| {
                        let cut = given_away_at(records)?..CUT_ENDS_AT_S;
                        let works = sent(records, "wrong")
                            .any(|(at, _, worker)| cut.contains(&at) && **worker == *"w2");
                        Some(if works { "alive" } else { "dead" })
                    },
                },
                rests_on: &[
                    "nothing happens to w2 itself",
                    "only the connection between the tracker and w2 is cut",
                ],
                why: "To one who hears nothing, a dead worker and a cut connection are the same. \
                      The sink and the database hear w2 all the time.",
            },
            Question {
                key: "times",
                text: "'wrong': how often is the mail sent that w2 was working on?",
                answer: Asked::Number {
                    unit: Unit::of("time", "times"),
                    range: (0.0, 10.0),
                    tolerance: 0.0,
                    derivation: Some("1 + 1"),
                    truth: |records| {
                        times_sent(records, "wrong").into_values().max().map(f64::from)
                    },
                },
                rests_on: &[
                    "in the middle of one mail",
                    "gives the mail of that worker to one more",
                ],
                why: "w2 sends it, and so does the worker that got it. Each of them did its work.",
            },
            Question {
                key: "gap",
                text: "'wrong': the tracker crashes at 15.0 s and restarts at 30.0 s. For how many \
                       seconds is nothing sent?",
                answer: Asked::Number {
                    unit: Unit::SECONDS,
                    range: (0.0, 30.0),
                    tolerance: 1.5,
                    derivation: Some("30.0 - 15.0"),
                    truth: |records| Some(records.figure("wrong", "gap_ms_max")? as f64 / 1e3),
                },
                rests_on: &["The tracker crashes at 15.0 s and restarts at 30.0 s"],
                why: "The workers finish what they have. Then each waits for its next mail, and \
                      the only one who could give it is down.",
            },
        ],
    }
}

/// When the tracker gave a mail away that had a worker.
fn given_away_at(records: &Records) -> Option<f64> {
    let is_given = |told: &Observation| matches!(told, Observation::Application(ApplicationFact::Milestone { name }) if **name == *REASSIGNED);
    records.observed("wrong").find(|(_, _, told)| is_given(told)).map(|(at, ..)| at)
}

/// What the sink took: when, which mail, from whom.
fn sent<'a>(
    records: &'a Records,
    design: &'a str,
) -> impl Iterator<Item = (f64, &'a Arc<str>, &'a Arc<str>)> + 'a {
    records.observed(design).filter_map(|(at, _, observation)| match observation {
        Observation::Mail(MailFact::SinkAccepted { mail, worker, .. }) => Some((at, mail, worker)),
        _ => None,
    })
}

fn times_sent(records: &Records, design: &str) -> BTreeMap<Arc<str>, u32> {
    let mut times = BTreeMap::new();
    for (_, mail, _) in sent(records, design) {
        *times.entry(mail.clone()).or_default() += 1;
    }
    times
}

/// A worker lives.
#[derive(Serialize, Deserialize)]
struct Heartbeat {
    worker: Arc<str>,
}

/// When each worker was heard for the last time.
type LastHeard = Rc<RefCell<BTreeMap<Arc<str>, Instant>>>;

struct Tracked {
    shelf: Shelf,
}

impl Act for Tracked {
    fn nodes(&self, scale: &Scale) -> Vec<NodeSpec> {
        let others = [NodeSpec::client(TRACKER).called("tracker"), database::node(), Sink::node()];
        workers(scale.get("workers")).chain(others).collect()
    }

    fn boot(&self, _scale: &Scale, process: Process) -> Program {
        match &*process.node.0 {
            "sink" => Sink::Plain.boot(process),
            database::DATABASE => {
                let table = Table::of(MAILS, None);
                database::boot(process, table, STATEMENT, SyncLog::BeforeAnswer)
            }
            TRACKER => {
                let platform = process.platform;
                let heard = LastHeard::default();
                platform.spawn(hand_out(platform.clone(), heard.clone()));
                Box::pin(async move {
                    if let Err(error) = listen(platform.clone(), heard).await {
                        platform.last_words(&error.to_string());
                    }
                })
            }
            _ => {
                let outbox = Outbox::new(&process, self.shelf.mails());
                let (platform, name) = (process.platform, process.node.0);
                platform.spawn(tell(platform.clone(), name.clone()));
                Box::pin(work(platform, name, outbox))
            }
        }
    }

    fn checkers(&self, scale: &Scale) -> Suite {
        Suite::new()
            .with(self.shelf.exactly_once_at_the_sink())
            .with(self.shelf.live(scale, GAP_MAX))
    }

    fn goals(&self, _scale: &Scale) -> Vec<Goal> {
        vec![Goal::milestone(
            REASSIGNED,
            "the tracker gave a mail away whose worker it did not hear",
        )]
    }

    fn work(&self, _scale: &Scale) -> Work {
        self.shelf.work()
    }
}

/// The tracker's ear.
async fn listen(platform: SimPlatform, heard: LastHeard) -> io::Result<()> {
    let mut desk: Desk<SimPlatform, Heartbeat> = Desk::open(&platform, &Address::from(ADDRESS))?;
    loop {
        let (asker, Heartbeat { worker }) = desk.next().await;
        heard.borrow_mut().insert(worker, platform.now().monotonic);
        desk.answer(asker, ());
    }
}

/// The tracker's hand: gives mails to the living.
async fn hand_out(platform: SimPlatform, heard: LastHeard) {
    let mut database = Connection::new(&platform);
    loop {
        platform.sleep(LOOK_EVERY).await;
        let Answer::Rows { open } = database.ask(Ask::Open).await else { continue };
        let now = platform.now().monotonic;
        let is_alive = |at: &Instant| now.since(*at) <= SILENCE_MAX;
        let living: Vec<Arc<str>> = {
            let heard = heard.borrow();
            heard.iter().filter(|(_, at)| is_alive(at)).map(|(worker, _)| worker.clone()).collect()
        };
        for Gift { mail, worker, from_the_dead } in gifts(&open, &living) {
            if from_the_dead {
                platform.observe(ApplicationFact::Milestone { name: REASSIGNED.into() });
            }
            database.ask(Ask::Assign { mail, worker }).await;
        }
    }
}

/// A mail that gets a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Gift {
    mail: usize,
    worker: Arc<str>,
    from_the_dead: bool,
}

/// Which mails get which workers: first what the dead had, then new ones as long as one worker
/// stays free.
fn gifts(open: &[(usize, Option<Arc<str>>)], living: &[Arc<str>]) -> Vec<Gift> {
    let is_busy =
        |worker: &Arc<str>| open.iter().any(|(_, holder)| holder.as_ref() == Some(worker));
    let mut free = living.iter().filter(|worker| !is_busy(worker)).cloned().collect::<Vec<_>>();
    let of_the_dead = open
        .iter()
        .filter(|(_, holder)| holder.as_ref().is_some_and(|holder| !living.contains(holder)));
    let new = open.iter().filter(|(_, holder)| holder.is_none());
    let mut gifts = Vec::new();
    for (mail, holder) in of_the_dead.chain(new) {
        let (from_the_dead, kept) = (holder.is_some(), usize::from(holder.is_none()));
        if free.len() <= kept {
            continue;
        }
        gifts.push(Gift { mail: *mail, worker: free.remove(0), from_the_dead });
    }
    gifts
}

/// Tells the tracker that this worker lives.
async fn tell(platform: SimPlatform, worker: Arc<str>) {
    let mut tracker: Caller<SimPlatform, Heartbeat, ()> =
        Caller::new(&platform, Address::from(ADDRESS), HEARTBEAT);
    loop {
        // Whether it was heard makes no difference to what comes next.
        let _ = tracker.ask(Heartbeat { worker: worker.clone() }).await;
        platform.sleep(HEARTBEAT).await;
    }
}

/// Does what the rows say.
async fn work(platform: SimPlatform, worker: Arc<str>, mut outbox: Outbox) {
    let mut database = Connection::new(&platform);
    loop {
        let Answer::Row { mail, .. } = database.ask(Ask::Mine { worker: worker.clone() }).await
        else {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(open: &[(usize, &str)], living: &[&str], expected: &[(usize, &str)]) {
        let holder = |name: &str| (!name.is_empty()).then(|| Arc::from(name));
        let open: Vec<_> = open.iter().map(|(mail, name)| (*mail, holder(name))).collect();
        let living: Vec<Arc<str>> = living.iter().map(|name| Arc::from(*name)).collect();
        let gifts = gifts(&open, &living);
        let given: Vec<_> = gifts.iter().map(|gift| (gift.mail, &*gift.worker)).collect();
        assert_eq!(given, expected);
    }

    #[test]
    fn new_mails_go_to_free_workers_and_one_stays_free() {
        check(&[(0, ""), (1, ""), (2, "")], &["w1", "w2", "w3"], &[(0, "w1"), (1, "w2")]);
        check(&[(0, "w1"), (1, ""), (2, "")], &["w1", "w2", "w3"], &[(1, "w2")]);
    }

    #[test]
    fn what_the_dead_had_comes_first_and_takes_the_last_free_worker() {
        check(&[(0, ""), (1, "w2"), (2, "w1")], &["w1", "w3"], &[(1, "w3")]);
        check(&[(1, "w2"), (2, "w1")], &["w1"], &[]);
    }
}
