//! Lesson 11: a majority of disks, as long as they tell the truth.
//!
//! Topology: three servers, and a client `a1` that writes a znode every half a second. At 5.0 s all
//! three lose power; two of them have it again at 6.0, the third at 8.0 s.
//!
//! From 2.0 s on the disks of some servers say that a sync is done when it is not, so that the
//! power cut may take what they had been given since. The protocol is the same throughout, and
//! without a mistake:
//! - `two-liars`: `s1` and `s3` lie. What was acknowledged since 2.0 s was on three servers, and is
//!   on the one disk of `s2`, which comes back last. The two others are a majority, and begin
//!   without it.
//! - `one-liar-lagging`: `s1` lies, and `s2` hears nothing from 3.0 s until its power goes. What
//!   was acknowledged meanwhile is on `s3` alone, which comes back last: one liar is enough.
//! - `one-liar`: `s1` lies, but `s2` has every write, too, so a majority has them on a disk. Good
//!   luck, and no guarantee: nobody is told that a server lags.
//! - `honest`: nobody lies, and `s2` lags as above. Of any two servers one has the write.
//!
//! A disk that lied keeps, loses or tears each of its sectors when the power goes. A server that
//! finds a hole in its log knows that it lost something, and does not vote until a leader has
//! admitted it; only a log that ends too early, but cleanly, cannot be told from a good one. So
//! under other seeds than the lesson's the same plan does harm in one run of three; two writes a
//! second are few enough for it. Faults that are drawn from a seed keep to what a correct ensemble
//! must survive: they have no lying disks, and find neither of the first two.

use super::designs::writer::{Writer, acknowledged, is_acknowledged, whose_write};
use super::stage::{Act, Program, Staged, Work, patience_with_sessions};
use super::{Answer, Design, Lesson, Question, Records, Unit};
use crate::nodes::client_config;
use crate::scale::Scale;
use mailstorm_checkers::{Goal, Interests, Linearizable, Live, Needs, Suite};
use mailstorm_record::Happening;
use mailstorm_shared::facts::EnsembleFact;
use mailstorm_shared::{Millis, Observation, Zxid};
use mailstorm_world::{NodeSpec, Process};
use std::collections::BTreeMap;

/// The power goes; the two that come back first are a majority.
macro_rules! power_cut {
    ($first:literal, $last:literal, $before:literal) => {
        concat!(
            "lasts_ms = 15000\nlifts_atlas = true\n",
            $before,
            r#"
[[faults]]
at_ms = 5000
lasts_ms = 1000
kind.power_cut = { nodes = "#,
            $first,
            r#" }

[[faults]]
at_ms = 5000
lasts_ms = 3000
kind.power_cut = { nodes = "#,
            $last,
            " }\n"
        )
    };
}

const TWO_LIARS: &str = power_cut!(
    r#"["s1", "s3"]"#,
    r#"["s2"]"#,
    r#"
[[faults]]
at_ms = 2000
lasts_ms = 3500
kind.sync_lies = { nodes = ["s1", "s3"] }
"#
);

const ONE_LIAR: &str = power_cut!(
    r#"["s1", "s2"]"#,
    r#"["s3"]"#,
    r#"
[[faults]]
at_ms = 2000
lasts_ms = 3500
kind.sync_lies = { nodes = ["s1"] }
"#
);

const ONE_LIAR_LAGGING: &str = power_cut!(
    r#"["s1", "s2"]"#,
    r#"["s3"]"#,
    r#"
[[faults]]
at_ms = 2000
lasts_ms = 3500
kind.sync_lies = { nodes = ["s1"] }

[[faults]]
at_ms = 3000
lasts_ms = 2500
kind.isolate = { nodes = ["s2"] }
"#
);

const HONEST: &str = power_cut!(
    r#"["s1", "s2"]"#,
    r#"["s3"]"#,
    r#"
[[faults]]
at_ms = 3000
lasts_ms = 2500
kind.isolate = { nodes = ["s2"] }
"#
);

/// What a client sees when an acknowledged write is gone.
const LOST: &str = "linearizable/not_linearizable";
const SERVERS: u64 = 3;
const WRITER: Writer = Writer {
    name: "a1",
    znode: "/clusterx/counter",
    data: "a1",
    every: Millis(500),
    offset: Millis(0),
};
/// Acknowledged writes, over the whole lesson.
const WRITES: u64 = 25;
/// The power cut, an election, and the client's way back. A client that has seen what is lost is
/// turned away by every server until its session is over.
const GAP_MAX: Millis = Millis(12_000);

/// The lesson.
pub(super) fn lesson() -> Lesson {
    let design = |name, scenario, plan, is_right, breaks| Design {
        name,
        is_right,
        breaks,
        scenario: Staged::scenario(
            scenario,
            "three servers that lose power, and disks that said their syncs were done",
            plan,
            Scale::of_lesson(SERVERS),
            PowerCut,
        ),
    };
    Lesson {
        number: 11,
        name: "quorum-lying-disk",
        title: "fsync said yes.",
        story: "Three servers, and a client that sends two writes a second. A write is \
                acknowledged when two of the three servers say that it is on their disks. At 5.0 s \
                all three lose power. Two are back at 6.0 s; they are a majority and go on with \
                what is on their disks. The third, back at 8.0 s, has to follow them. A disk that \
                lies says from 2.0 s on that a sync is done when it is not, and may lose at the \
                power cut whatever it was given since. It is always a liar that comes back early. \
                In 'two-liars' two disks lie, both of servers that come back early. In \
                'one-liar-lagging' one lies, and the other early server hears nothing from 3.0 s \
                on. In 'one-liar' one lies, and the other two servers have every write. In \
                'honest' none lies.",
        designs: vec![
            design("two-liars", "quorum-lying-disk/two-liars", TWO_LIARS, false, &[LOST]),
            design(
                "one-liar-lagging",
                "quorum-lying-disk/one-liar-lagging",
                ONE_LIAR_LAGGING,
                false,
                &[LOST],
            ),
            design("one-liar", "quorum-lying-disk/one-liar", ONE_LIAR, true, &[]),
            design("honest", "quorum-lying-disk/honest", HONEST, true, &[]),
        ],
        questions: vec![
            Question {
                key: "liars",
                text: "How many lying disks can three servers stand, if no acknowledged write may \
                       ever be lost?",
                answer: Answer::Number {
                    unit: Unit::of("disk", "disks"),
                    range: (0.0, 3.0),
                    tolerance: 0.0,
                    derivation: None,
                    truth: liars_tolerated,
                },
                rests_on: &[
                    "In 'one-liar-lagging' one lies, and the other early server hears nothing",
                    "two of the three servers say",
                ],
                why: "A majority is exactly as many copies as are needed, and none to spare for a \
                      lie. One liar is enough as soon as another server lags. It is the assumption \
                      that broke, not the protocol.",
            },
            Question {
                key: "lost",
                text: "'two-liars': at the most, how many acknowledged writes can the power cut at \
                       5.0 s take?",
                answer: Answer::Number {
                    unit: Unit::of("write", "writes"),
                    range: (0.0, 20.0),
                    tolerance: 1.0,
                    derivation: Some("(5.0 - 2.0) * 2"),
                    truth: |records| Some(acknowledged_while_they_lie(records, "two-liars")),
                },
                rests_on: &["a client that sends two writes a second", "lies says from 2.0 s on"],
                why: "All that both liars were given from 2.0 s on. How much of it they happen to \
                      keep is luck, and not the same on every disk: look at the runs.",
            },
            Question {
                key: "one-in-step",
                text: "'one-liar': one disk lies, and the other two have every write. How many \
                       acknowledged writes are gone?",
                answer: Answer::Number {
                    unit: Unit::of("write", "writes"),
                    range: (0.0, 20.0),
                    tolerance: 0.0,
                    derivation: None,
                    truth: |records| lost(records, "one-liar"),
                },
                rests_on: &["the other two servers have every write"],
                why: "Two disks have them, which is a majority. Nobody planned that: the third \
                      copy was there by chance.",
            },
        ],
    }
}

/// How many disks may lie, if one more has done harm.
fn liars_tolerated(records: &Records) -> Option<f64> {
    const LIARS: [(&str, f64); 3] =
        [("one-liar", 1.0), ("one-liar-lagging", 1.0), ("two-liars", 2.0)];
    let harmful = LIARS.iter().filter(|(design, _)| records.violation(design, LOST).is_some());
    harmful.map(|(_, liars)| liars - 1.0).reduce(f64::min)
}

/// How many writes were acknowledged from the first lie to the power cut.
fn acknowledged_while_they_lie(records: &Records, design: &str) -> f64 {
    const LIE_S: std::ops::Range<f64> = 2.0..5.0;
    let told = records.events(design).filter(|event| is_acknowledged(event));
    told.filter(|event| LIE_S.contains(&(event.at_ns as f64 / 1e9))).count() as f64
}

/// How many acknowledged writes are not in the history that the ensemble has in the end.
fn lost(records: &Records, design: &str) -> Option<f64> {
    let (mut acknowledged, mut histories) = (Vec::new(), BTreeMap::new());
    for (_, _, observation) in records.observed(design) {
        match observation {
            Observation::Ensemble(EnsembleFact::Acknowledged { zxid, .. }) => {
                acknowledged.push(*zxid)
            }
            // Where a new leader's history ends is where it has left the former one.
            Observation::Ensemble(EnsembleFact::Leads { epoch, last_logged, .. }) => {
                histories.insert(*epoch, *last_logged);
            }
            _ => {}
        }
    }
    let is_lost = |zxid: &Zxid| {
        histories.iter().any(|(epoch, last_logged)| *epoch > zxid.epoch() && zxid > last_logged)
    };
    Some(acknowledged.iter().filter(|zxid| is_lost(zxid)).count() as f64)
}

struct PowerCut;

impl Act for PowerCut {
    fn nodes(&self, _scale: &Scale) -> Vec<NodeSpec> {
        vec![WRITER.node()]
    }

    fn boot(&self, scale: &Scale, process: Process) -> Program {
        let config = client_config(scale, &scale.ensemble(), &process);
        Box::pin(WRITER.run(process.platform, config))
    }

    fn checkers(&self, scale: &Scale) -> Suite {
        // What clients see: a checker that looks at disks would tell the lie in any case, and hide
        // whether it did harm.
        let gap = patience_with_sessions(scale, GAP_MAX);
        let shares = (1, WRITES);
        let live =
            Live::shared("acknowledged write", shares, gap, Interests::APPLICATION, whose_write)
                .needing(Needs::of(&scale.ensemble(), [WRITER.name]));
        Suite::new().with(Linearizable::new()).with(live)
    }

    fn goals(&self, _scale: &Scale) -> Vec<Goal> {
        vec![acknowledged(), all_without_power()]
    }

    fn work(&self, _scale: &Scale) -> Work {
        Work::new("acknowledged writes", WRITES, is_acknowledged)
    }
}

/// No server runs.
fn all_without_power() -> Goal {
    let mut running = 0_u64;
    Goal::new("all_without_power", "no server was running", Interests::PROCESSES, move |event| {
        let is_server = event.node.as_ref().is_some_and(|node| node.0.starts_with('s'));
        match &event.happening {
            Happening::Started { .. } if is_server => running += 1,
            Happening::Crashed { .. } if is_server => {
                running = running.saturating_sub(1);
                return running == 0;
            }
            _ => {}
        }
        false
    })
}
