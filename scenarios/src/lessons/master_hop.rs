//! Lesson 16: ask for the master each time, or be told when it changes?
//!
//! Topology: three servers; candidates `m1`, `m2`, `m3` for `/clusterx/master_ip`; twenty
//! application servers `c1` to `c20` with fifty requests a second each, a thousand together. `m1`,
//! which is master first, dies at 4.0 s and is back at 12.0; `m3`, which follows it under the
//! lesson's seed, dies at 20.0 s.
//!
//! Both designs are safe, and both wait out the same two sessions. They differ in what they cost:
//! who asks the ensemble where the master is before each request (`ask`) has it answer a thousand
//! reads a second, nearly all of them with what was said before; who is told (`watch`) reads twice
//! per application and change. A bound on the reads per second makes `ask` the wrong one here: the
//! ensemble is shared by all that need it, and reads are what brings it down. Since that is about
//! cost, drawn faults find nothing wrong with `ask` that they do not find with `watch`: the bound
//! holds for a quiet day, and is not put up in storms.
//!
//! A request between two masters goes to the old address and gets no answer, until the session is
//! over.

use super::designs::address::Lookup;
use super::designs::application::{
    Application, DONE, NO_ANSWER, NO_MASTER, candidates_and_applications, number_of, tells,
    through_a_master, whose_request,
};
use super::designs::master::{Candidate, Manners, begins};
use super::master_ephemeral::another_master;
use super::stage::{Act, Program, Staged, Work, first_of_each, patience, patience_with_sessions};
use super::{Answer, Design, Lesson, Question, Records, Unit};
use crate::nodes::client_config;
use crate::scale::Scale;
use mailstorm_checkers::{Bound, Goal, Interests, Live, Quorum, SplitBrain, Suite};
use mailstorm_record::{Event, Happening};
use mailstorm_shared::facts::{CallKind, ClientFact};
use mailstorm_shared::{Millis, Observation};
use mailstorm_world::{NodeSpec, Process};

const PLAN: &str = r#"
lasts_ms = 28000

[[faults]]
at_ms = 4000
lasts_ms = 8000
kind.crash = { nodes = ["m1"] }

[[faults]]
at_ms = 20000
lasts_ms = 8000
kind.crash = { nodes = ["m3"] }
"#;

const SERVERS: u64 = 3;
const APPLICATIONS: u64 = 20;
const ASK_EVERY: Millis = Millis(20);
/// What each application asks for, over the whole lesson.
const REQUESTS: u64 = 750;
/// A session, and two seconds for its expiry to be found and the next master to begin.
const GAP_MAX: Millis = Millis(8_000);
/// Twenty applications that each look twice after a change, and three candidates.
const READS_PER_SECOND_MAX: u64 = 100;
const NS_PER_SECOND: u64 = 1_000_000_000;

/// The lesson.
pub(super) fn lesson() -> Lesson {
    let design = |name, scenario, is_right, breaks, lookup| Design {
        name,
        is_right,
        breaks,
        scenario: Staged::scenario(
            scenario,
            "a thousand requests a second for a master that changes twice",
            PLAN,
            Scale::of_lesson(SERVERS),
            Hop { lookup },
        ),
    };
    Lesson {
        number: 16,
        name: "master-hop",
        title: "Ask, or be notified?",
        story: "20 applications send the master 1,000 requests a second together. The master is \
                whoever created the ephemeral /clusterx/master_ip. It crashes at 4.0 s, the next \
                one at 20.0 s, and the znode of a dead master stays until its session expires, 6 s \
                after the servers last heard from it. In 'ask' an application reads the address \
                from the servers before each request. In 'watch' it keeps the address and watches \
                the znode. When that changes hands, each application reads 3 times within the same \
                second: it finds no znode, it leaves a watch for the next, and it reads the new \
                address.",
        designs: vec![
            design("ask", "master-hop/ask", false, &["bound/exceeded"], Lookup::EveryTime),
            design("watch", "master-hop/watch", true, &[], Lookup::Follow),
        ],
        questions: vec![
            Question {
                key: "reads-asked",
                text: "'ask': how many reads do the servers have to answer in the busiest second?",
                answer: Answer::Number {
                    unit: Unit::of("read/s", "reads/s"),
                    range: (0.0, 5000.0),
                    tolerance: 100.0,
                    derivation: Some("1000"),
                    truth: |records| reads_per_second(records, "ask"),
                },
                rests_on: &[
                    "1,000 requests a second",
                    "reads the address from the servers before each request",
                ],
                why: "One for each request, 1,000 a second. Nearly every reply is the same as the \
                      one before.",
            },
            Question {
                key: "reads-told",
                text: "'watch': how many reads in the busiest second?",
                answer: Answer::Number {
                    unit: Unit::of("read/s", "reads/s"),
                    range: (0.0, 5000.0),
                    tolerance: 20.0,
                    derivation: Some("20 * 3"),
                    truth: |records| reads_per_second(records, "watch"),
                },
                rests_on: &[
                    "20 applications send the master",
                    "each application reads 3 times within the same second",
                ],
                why: "Each application reads when the old znode vanishes and when the new one is \
                      created. Between two changes there is nothing to read.",
            },
            Question {
                key: "between",
                text: "'watch': the master crashes. What do most requests get until there is \
                       another?",
                answer: Answer::Choice {
                    choices: &[
                        ("no-answer", "no answer, from the old address"),
                        ("no-master", "the reply that there is no master"),
                        ("answer", "an answer"),
                    ],
                    truth: |records| between_masters(records, "watch"),
                },
                rests_on: &["the znode of a dead master stays until its session expires"],
                why: "The znode stays until the session of the dead master expires, so everybody \
                      is sent to a machine that is not there. Only for the few milliseconds after \
                      that there is no master at all.",
            },
        ],
    }
}

/// The reads of the busiest second.
fn reads_per_second(records: &Records, design: &str) -> Option<f64> {
    let most = records.events(design).filter_map(reads_in_a_second()).max()?;
    Some(most as f64)
}

/// What most requests came to, from the first crash until it was five seconds ago.
fn between_masters(records: &Records, design: &str) -> Option<&'static str> {
    const BETWEEN: std::ops::Range<u64> = 4_100_000_000..9_000_000_000;
    let events = || records.events(design).filter(|event| BETWEEN.contains(&event.at_ns));
    let count = |told: &str| events().filter(|event| tells(event, told)).count();
    let counts =
        [(count(DONE), "answer"), (count(NO_MASTER), "no-master"), (count(NO_ANSWER), "no-answer")];
    let (most, word) = counts.into_iter().max()?;
    (most > 0).then_some(word)
}

struct Hop {
    lookup: Lookup,
}

impl Act for Hop {
    fn nodes(&self, _scale: &Scale) -> Vec<NodeSpec> {
        candidates_and_applications(APPLICATIONS).collect()
    }

    fn boot(&self, scale: &Scale, process: Process) -> Program {
        let config = client_config(scale, &scale.ensemble(), &process);
        let (name, incarnation) = (process.node.0.clone(), process.incarnation);
        if let Some(begins) = begins(&name) {
            let manners = Manners { is_ephemeral: true, steps_down: true };
            let (platform, name) = (process.platform, name.to_string());
            return Box::pin(Candidate { platform, config, name, begins, manners }.run());
        }
        let number = number_of(&name);
        let application = Application {
            platform: process.platform,
            config,
            name,
            incarnation,
            lookup: self.lookup,
            begins: Millis(number),
            every: ASK_EVERY,
            writes: false,
        };
        Box::pin(application.run())
    }

    fn checkers(&self, scale: &Scale) -> Suite {
        let shares = (APPLICATIONS, REQUESTS);
        let gap = patience_with_sessions(scale, GAP_MAX);
        let needs = through_a_master(&scale.ensemble(), APPLICATIONS);
        let bound = patience(scale, Millis(READS_PER_SECOND_MAX)).0;
        Suite::new()
            .with(Quorum::new(scale.ensemble()))
            .with(SplitBrain::new())
            .with(
                Live::shared(
                    "answered request",
                    shares,
                    gap,
                    Interests::APPLICATION,
                    whose_request,
                )
                .needing(needs),
            )
            .with(Bound::new(
                "reads_per_second",
                "reads that the ensemble was asked for, in one second",
                bound,
                Interests::OPERATIONS,
                reads_in_a_second(),
            ))
    }

    fn goals(&self, _scale: &Scale) -> Vec<Goal> {
        vec![
            another_master(),
            third_master(),
            Goal::milestone(NO_ANSWER, "a request to the dead master was not answered"),
        ]
    }

    fn work(&self, _scale: &Scale) -> Work {
        let requests = first_of_each(REQUESTS, whose_request);
        Work::new("answered requests", APPLICATIONS * REQUESTS, requests)
    }
}

/// A third master serves, after two that are gone.
fn third_master() -> Goal {
    let mut masters = 0;
    let mut another = another_master();
    Goal::new(
        "third_master",
        "the office changed hands for the second time",
        Interests::APPLICATION,
        move |event| {
            another.is_reached_by(event) && {
                masters += 1;
                masters == 2
            }
        },
    )
}

/// How many reads were asked for in the last full second, told when the next one begins.
fn reads_in_a_second() -> impl FnMut(&Event) -> Option<u64> {
    let (mut second, mut reads) = (0, 0);
    move |event| {
        let is_read = matches!(&event.happening, Happening::Observed {
            observation: Observation::Client(ClientFact::Invoked { call, .. }),
        } if matches!(call.kind, CallKind::GetData | CallKind::Exists));
        let now = event.at_ns / NS_PER_SECOND;
        let full = (now > second).then_some(reads);
        if full.is_some() {
            (second, reads) = (now, 0);
        }
        reads += u64::from(is_read);
        full
    }
}
