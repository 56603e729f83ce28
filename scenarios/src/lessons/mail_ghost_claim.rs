//! Lesson 5: the create worked, the reply did not.
//!
//! Topology: three servers, four workers, the outside mail server (the sink). For each mail a
//! worker gets in line for a lock with a sequential ephemeral, and who has the lowest number holds
//! it. `w1` comes first, at 3.0 s, and sends its create; from 3.002 s on it hears nothing of the
//! servers, at 3.1 s its connection breaks, and at 3.3 s everything is well again. The create was
//! done, under number 0000; `w1` finds another server, in the same session, and does not know.
//!
//! `wrong` is the recipe as the documentation once had it (ZOOKEEPER-1262): no reply, so create
//! again. `w1` now stands in line twice, and waits for the one before it, which is itself. Its
//! session lives, so the orphan does, and so all wait for ever. `right` has the session's id and a
//! number in the name: before it creates again it lets the doubt end and looks for a name of its
//! own.
//!
//! Storms with drawn faults find `wrong` at seed 7 (34 of 200 seeds): a connection has to break
//! between a create and its reply.

use super::designs::claims::through_ensemble;
use super::designs::lock_workers::{Guard, LOCK, LockWorkers, SERVERS};
use super::designs::mails::Shelf;
use super::stage::{Act, Program, Staged, Work};
use super::{Answer, Design, Lesson, Question, Records, Unit};
use crate::scale::Scale;
use mailstorm_checkers::{Goal, IfPossible, Interests, SplitBrain, Suite};
use mailstorm_client::defect::Defect;
use mailstorm_record::NodeName;
use mailstorm_shared::facts::{ClientFact, EnsembleFact, MailFact};
use mailstorm_shared::znodes::Change;
use mailstorm_shared::{Defects, Millis, Observation, SessionId};
use mailstorm_world::{NodeSpec, Process};
use std::collections::BTreeMap;

const PLAN: &str = r#"
lasts_ms = 20000

[[faults]]
at_ms = 3002
lasts_ms = 298
kind.one_way = { from = ["s1", "s2", "s3"], to = ["w1"] }

[[faults]]
at_ms = 3100
kind.reset = { nodes = ["w1"] }
"#;

const MAILS: usize = 100;
const WORKERS: u64 = 4;
/// Nobody comes before 3 s.
const GAP_MAX: Millis = Millis(6_000);
/// When the questions look at the line.
const LOOK_AT_S: f64 = 10.0;

/// The lesson.
pub(super) fn lesson() -> Lesson {
    let design = |name, scenario, is_right, breaks, defects| Design {
        name,
        is_right,
        breaks,
        scenario: Staged::scenario(
            scenario,
            "four workers who share a lock, and one that never heard that it stands in line",
            PLAN,
            Scale::of_lesson(SERVERS),
            Ghost(LockWorkers {
                shelf: Shelf::of(MAILS),
                workers: WORKERS,
                first_comes_after: Millis(3_000),
                next_comes_after: Millis(200),
                turn: 1,
                judging: Millis(80),
                writing: Millis(20),
                guard: Guard::Fence,
                defects,
            }),
        ),
    };
    Lesson {
        number: 5,
        name: "mail-ghost-claim",
        title: "The create worked, the reply did not.",
        story: "Four workers wait in line for one lock, once for each mail. A worker's place in \
                the line is a sequential ephemeral znode. The lowest place holds the lock, and a \
                place vanishes when its owner deletes it or its owner's session expires; \
                heartbeats keep a session alive. w1 comes first, at 3.0 s, and creates one place. \
                The servers execute that create, but the reply is lost and the connection breaks. \
                w1 reconnects to another server in the same session. 'wrong' then creates one more \
                place and waits until all lower ones are gone; 'right' first checks whether it has \
                a place already.",
        designs: vec![
            design(
                "wrong",
                "mail-ghost-claim/wrong",
                false,
                &["exactly-once/lost", "live/stopped"],
                Defects::from(Defect::OrphanedLock),
            ),
            design("right", "mail-ghost-claim/right", true, &[], Defects::NONE),
        ],
        questions: vec![
            Question {
                key: "holder",
                text: "'wrong': w1 creates another place. Who owns the lowest place in the line at \
                       10.0 s?",
                answer: Answer::Choice {
                    choices: &[
                        ("w1", "w1 holds the lock, and does not know it"),
                        ("w2", "w2 holds it, which came next"),
                        ("nobody", "the place no longer has an owner"),
                    ],
                    truth: |records| {
                        let line = line_at(records, "wrong", LOOK_AT_S);
                        let (_, owner) = line.first_key_value()?;
                        match node_of(records, "wrong", *owner) {
                            None => Some("nobody"),
                            Some(node) => ["w1", "w2"].into_iter().find(|name| *node.0 == **name),
                        }
                    },
                },
                rests_on: &[
                    "The servers execute that create",
                    "reconnects to another server in the same session",
                ],
                why: "The first create was executed; only its reply was lost. The znode lives as \
                      long as the session of w1, and w1 is alive and well, so it stays for ever.",
            },
            Question {
                key: "places",
                text: "'wrong': how many places does w1 have in the line at 10.0 s?",
                answer: Answer::Number {
                    unit: Unit::of("place", "places"),
                    range: (0.0, 10.0),
                    tolerance: 0.0,
                    derivation: Some("1 + 1"),
                    truth: |records| {
                        let line = line_at(records, "wrong", LOOK_AT_S);
                        let owned = line.values().filter(|owner| {
                            let node = node_of(records, "wrong", **owner);
                            node.is_some_and(|node| *node.0 == *"w1")
                        });
                        Some(owned.count() as f64)
                    },
                },
                rests_on: &["creates one place", "creates one more place"],
                why: "The one that it does not know of, and the one that it waits in. It waits for \
                      the first to go away, and keeps it alive by waiting.",
            },
            Question {
                key: "sent",
                text: "'wrong': how many mails have been sent when the run ends?",
                answer: Answer::Number {
                    unit: Unit::of("mail", "mails"),
                    range: (0.0, 100.0),
                    tolerance: 0.0,
                    derivation: None,
                    truth: |records| {
                        let is_taken = |o: &Observation| {
                            matches!(o, Observation::Mail(MailFact::SinkAccepted { .. }))
                        };
                        let taken = records.observed("wrong").filter(|(_, _, o)| is_taken(o));
                        Some(taken.count() as f64)
                    },
                },
                rests_on: &[
                    "waits until all lower ones are gone",
                    "heartbeats keep a session alive",
                ],
                why: "Everybody waits behind a place whose owner does not know that it has it. No \
                      timeout ends that: all sessions are alive.",
            },
        ],
    }
}

/// The line for the lock at this moment, as one server has it: number and owner of each place.
fn line_at(records: &Records, design: &str, at_s: f64) -> BTreeMap<String, SessionId> {
    let mut line = BTreeMap::new();
    let until = records.observed(design).take_while(|(at, ..)| *at <= at_s);
    for (_, event, _) in until {
        let Some((server, EnsembleFact::Applied { changes, .. })) = event.of_server() else {
            continue;
        };
        if &*server.0 != "s1" {
            continue;
        }
        for change in changes {
            match change {
                Change::Created { path, owner, .. } => {
                    number(path).map(|number| line.insert(number, owner.session()));
                }
                Change::Deleted { path } => {
                    number(path).map(|number| line.remove(&number));
                }
                _ => {}
            }
        }
    }
    line
}

/// The number of a place in the line, ten digits; `None` for other znodes.
fn number(path: &str) -> Option<String> {
    let place = path.strip_prefix(LOCK)?.strip_prefix('/')?;
    Some(place.rsplit('-').next()?.to_owned())
}

/// The node whose client has this session.
fn node_of(records: &Records, design: &str, wanted: SessionId) -> Option<NodeName> {
    let mut events = records.observed(design);
    events.find_map(|(_, event, observation)| match observation {
        Observation::Client(ClientFact::ClientConnected { session, .. }) if *session == wanted => {
            event.node.clone()
        }
        _ => None,
    })
}

struct Ghost(LockWorkers);

impl Act for Ghost {
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
        vec![Goal::observed(
            "session_resumed",
            "a worker came back in the same session",
            Interests::CONNECTIONS,
            |observation| {
                matches!(
                    observation,
                    Observation::Client(ClientFact::ClientConnected { resumed: true, .. })
                )
            },
        )]
    }

    fn work(&self, _scale: &Scale) -> Work {
        self.0.shelf.work()
    }
}
