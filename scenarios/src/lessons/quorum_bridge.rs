//! Lesson 17: a majority that hears itself must have a leader, whoever else is half heard.
//!
//! Topology: five servers, of which `s5` leads under the lesson's seed, and a client on each side
//! (`a1` with `s1` and `s2`, `b1` with `s5`), each of which writes a znode of its own every second.
//! From 5.0 to 65.0 s `s4` hears nobody, and `s5` and `s1`, `s2` do not hear each other; `s3` hears
//! both sides. So `s1`, `s2` and `s3` are three of five, and all hear one another.
//!
//! ```text
//!     a1 -- s1 --.
//!           |     s3 -- s5 -- b1        s4
//!     a1 -- s2 --'
//! ```
//!
//! In the wrong design votes are passed on as they are heard (the museum's
//! `election-counts-the-unheard`). `s5` stops leading, since only `s3` follows it, but its log is
//! as long as any, and its number the highest: `s3` votes for it, and brings its vote to `s1` and
//! `s2`, who cannot follow whom they do not hear. Nobody leads until the cut is over. The right
//! design counts for a candidate only whom that reaches: `s3` leads soon, and even `s5` follows it.
//!
//! Source: Ng, Haridi, Carbone, "Omni-Paxos", EuroSys 2023, section 2, where it is called quorum
//! loss.

use super::designs::writer::{Writer, acknowledged, in_doubt, is_acknowledged};
use super::stage::{Act, Program, Staged, Work, patience_with_sessions};
use super::{Answer, Design, Lesson, Question, Unit};
use crate::nodes::client_config;
use crate::scale::Scale;
use mailstorm_checkers::{Goal, Interests, Linearizable, Live, Needs, Quorum, SplitBrain, Suite};
use mailstorm_coordination::defect::Defect;
use mailstorm_shared::{Defects, Millis};
use mailstorm_world::{NodeSpec, Process};

const PLAN: &str = r#"
lasts_ms = 75000

[[faults]]
at_ms = 5000
lasts_ms = 60000
kind.bridge = { left = ["s1", "s2", "a1"], right = ["s5", "b1"] }

[[faults]]
at_ms = 5000
lasts_ms = 60000
kind.isolate = { nodes = ["s4"] }
"#;

const SERVERS: u64 = 5;
/// Each writes its own znode every second, half a second apart.
const WRITERS: [Writer; 2] = [
    Writer { name: "a1", znode: "/letters/a", data: "a1", every: WRITE_EVERY, offset: Millis(0) },
    Writer { name: "b1", znode: "/letters/b", data: "b1", every: WRITE_EVERY, offset: Millis(500) },
];
const WRITE_EVERY: Millis = Millis(1_000);
/// The time in which a leader that hears no majority is given up, twice over, and some rounds.
const GAP_MAX: Millis = Millis(25_000);

/// The lesson.
pub(super) fn lesson() -> Lesson {
    let design = |name, scenario, is_right, breaks, defects| Design {
        name,
        is_right,
        breaks,
        scenario: Staged::scenario(
            scenario,
            "five servers, three of which hear one another, and one of these a fourth",
            PLAN,
            Scale::of_lesson(SERVERS),
            Bridge { defects },
        ),
    };
    Lesson {
        number: 17,
        name: "quorum-bridge",
        title: "I can hear you, they can hear me.",
        story: "Five servers; s5 leads. Two clients write once a second each: a1 through s1 or s2, \
                b1 through s5. From 5.0 to 65.0 s the cables are bad: s4 hears nobody, and s5 \
                hears neither s1 nor s2. The server s3 hears s1, s2 and s5. A server may lead as \
                long as three of the five, itself included, follow it. A leader that has lost its \
                majority stops after 10 s; the election and the way of the clients to the new \
                leader take about one second. All logs are equally long, and among equals the \
                highest number wins. In 'wrong' every server votes for the best candidate that it \
                has heard of; in 'right' it votes only for a candidate that reaches three of the \
                five.",
        designs: vec![
            design(
                "wrong",
                "quorum-bridge/wrong",
                false,
                &["live/gap"],
                Defects::from(Defect::ElectionCountsTheUnheard),
            ),
            design("right", "quorum-bridge/right", true, &[], Defects::NONE),
        ],
        questions: vec![
            Question {
                key: "leaders-wrong",
                text: "'wrong': how many servers lead at 40.0 s?",
                answer: Answer::Number {
                    unit: Unit::of("leader", "leaders"),
                    range: (0.0, 5.0),
                    tolerance: 0.0,
                    derivation: None,
                    truth: |records| Some(records.leaders_at("wrong", 40.0)),
                },
                rests_on: &[
                    "s5 hears neither s1 nor s2",
                    "among equals the highest number wins",
                    "votes for the best candidate that it has heard of",
                ],
                why: "s3 hears of s5 and votes for it, and s1 and s2 hear of that vote from s3. But \
                      they cannot follow a server that they do not hear, so s5 has two of five, \
                      and each new round ends the same way.",
            },
            Question {
                key: "leader-right",
                text: "'right': which of the servers leads at 40.0 s? (5 for s5)",
                answer: Answer::Number {
                    unit: Unit::of("is its number", "is its number"),
                    range: (1.0, 5.0),
                    tolerance: 0.0,
                    derivation: Some("3"),
                    truth: |records| records.leader_at("right", 40.0),
                },
                rests_on: &[
                    "The server s3 hears s1, s2 and s5",
                    "votes only for a candidate that reaches three of the five",
                    "among equals the highest number wins",
                ],
                why: "s1 and s2 reach three servers with s3, and s3 reaches four; s5 reaches two, s4 \
                      one. Of those that reach three, s3 has the highest number.",
            },
            Question {
                key: "unavailable",
                text: "'right': for how many seconds is no write acknowledged?",
                answer: Answer::Number {
                    unit: Unit::SECONDS,
                    range: (0.0, 60.0),
                    tolerance: 3.0,
                    derivation: Some("10 + 1"),
                    truth: |records| Some(records.figure("right", "gap_ms_max")? as f64 / 1e3),
                },
                rests_on: &[
                    "A leader that has lost its majority stops after 10 s",
                    "take about one second",
                ],
                why: "The old leader has to notice that it lost its majority, and then s3 is elected, \
                      although the cut goes on. If s3 crashed, too, no three servers would hear \
                      one another, and nobody could lead in either design.",
            },
        ],
    }
}

struct Bridge {
    /// How servers vote is the only difference.
    defects: Defects,
}

impl Act for Bridge {
    fn nodes(&self, _scale: &Scale) -> Vec<NodeSpec> {
        WRITERS.map(Writer::node).into()
    }

    fn mistake(&self) -> Defects {
        self.defects
    }

    fn boot(&self, scale: &Scale, process: Process) -> Program {
        let config = client_config(scale, &scale.ensemble(), &process);
        Box::pin(Writer::of(&WRITERS, &process).run(process.platform, config))
    }

    fn checkers(&self, scale: &Scale) -> Suite {
        let gap = patience_with_sessions(scale, GAP_MAX);
        let writers = WRITERS.map(|writer| writer.name);
        let work =
            Live::new("acknowledged write", None, gap, Interests::APPLICATION, is_acknowledged)
                .needing(Needs::of(&scale.ensemble(), writers));
        Suite::new()
            .with(Quorum::new(scale.ensemble()))
            .with(SplitBrain::new())
            .with(Linearizable::new())
            .with(work)
    }

    fn goals(&self, _scale: &Scale) -> Vec<Goal> {
        vec![acknowledged(), in_doubt()]
    }

    fn work(&self, _scale: &Scale) -> Work {
        Work::none()
    }
}
