//! Lesson 11: a majority of disks, as long as they tell the truth.
//!
//! Topology: three servers, and a client `a1` that writes a znode every half a second. At 5.0 s all three
//! lose power; two of them have it again at 6.0, the third at 8.0 s.
//!
//! From 2.0 s on the disks of some servers say that a sync is done when it is not, so that the power cut
//! may take what they had been given since. The protocol is the same throughout, and without a mistake:
//! - `two-liars`: `s1` and `s3` lie. What was acknowledged since 2.0 s was on three servers, and is on the
//!   one disk of `s2`, which comes back last. The two others are a majority, and begin without it.
//! - `one-liar-lagging`: `s1` lies, and `s2` hears nothing from 3.0 s until its power goes. What was
//!   acknowledged meanwhile is on `s3` alone, which comes back last: one liar is enough.
//! - `one-liar`: `s1` lies, but `s2` has every write, too, so a majority has them on a disk. Good luck, and
//!   no guarantee: nobody is told that a server lags.
//! - `honest`: nobody lies, and `s2` lags as above. Of any two servers one has the write.
//!
//! A disk that lied keeps, loses or tears each of its sectors when the power goes. A server that finds a
//! hole in its log knows that it lost something, and does not vote until a leader has admitted it; only a
//! log that ends too early, but cleanly, cannot be told from a good one. So under other seeds than the
//! lesson's the same plan does harm in one run of three; two writes a second are few enough for it.
//! Faults that are drawn from a seed keep to what a correct ensemble must survive: they have no lying disks,
//! and find neither of the first two.

use super::designs::writer::{Writer, acknowledged, is_acknowledged, whose_write};
use super::stage::{Act, Program, Staged, Work, patience_with_sessions};
use super::{Answer, Design, Lesson, Question, Records};
use crate::nodes::{boot_server, client_config, ensemble_of};
use crate::scale::Scale;
use mailstorm_checkers::{Goal, Interests, Linearizable, Live, Needs, Suite};
use mailstorm_coordination::server::config::SWEEP_EVERY;
use mailstorm_record::Happening;
use mailstorm_shared::{Ensemble, Millis, Observation, Zxid};
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
const WRITER: &str = "a1";
const ZNODE: &str = "/clusterx/counter";
const WRITE_EVERY: Millis = Millis(500);
/// Acknowledged writes, over the whole lesson.
const WRITES: u64 = 25;
/// The power cut, an election, and the client's way back. A client that has seen what is lost is turned
/// away by every server until its session is over.
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
        story: "Three servers lose power at 5.0 s, and two of them are back at 6.0 s. From 2.0 s on the disks of \
                two, one or none of them say that a sync is done when it is not. One of the others may lag, too.",
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
                text: "How many lying disks can three servers stand, if nobody is to lose an acknowledged write?",
                answer: Answer::Number { unit: "disks", tolerance: 0.0, truth: liars_tolerated },
                why: "A majority is exactly as many copies as are needed, and none to spare for a lie. One liar does \
                      harm as soon as another server lags. It is the assumption that broke, not the protocol.",
            },
            Question {
                key: "lost",
                text: "Two of three disks lie from 2.0 s on, and there are two writes a second. How many \
                       acknowledged writes are gone after the power cut at 5.0 s?",
                answer: Answer::Number {
                    unit: "writes",
                    tolerance: 3.0,
                    truth: |records| lost(records, "two-liars"),
                },
                why: "Up to six: all that both liars had been given since 2.0 s. How much of it they happened to keep \
                      is luck, and not the same on every disk.",
            },
            Question {
                key: "one-in-step",
                text: "One of three disks lies, and the other two have every write. How many are gone?",
                answer: Answer::Number {
                    unit: "writes",
                    tolerance: 0.0,
                    truth: |records| lost(records, "one-liar"),
                },
                why: "Two disks have them, which is a majority. Nobody arranged for it: the third copy was a \
                      present.",
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

/// How many acknowledged writes are not in the history that the ensemble has in the end.
fn lost(records: &Records, design: &str) -> Option<f64> {
    let (mut acknowledged, mut histories) = (Vec::new(), BTreeMap::new());
    for (_, _, observation) in records.observed(design) {
        match observation {
            Observation::Acknowledged { zxid, .. } => acknowledged.push(*zxid),
            // Where a new leader's history ends is where it has left the former one.
            Observation::Leads { epoch, last_logged, .. } => {
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

impl PowerCut {
    fn ensemble(scale: &Scale) -> Ensemble {
        ensemble_of(scale.get("servers"), 0)
    }
}

impl Act for PowerCut {
    fn nodes(&self, scale: &Scale) -> Vec<NodeSpec> {
        let ensemble = Self::ensemble(scale);
        let servers = ensemble.voters().iter().map(|id| NodeSpec::server(*id));
        servers.chain([NodeSpec::client(WRITER)]).collect()
    }

    fn boot(&self, scale: &Scale, process: Process) -> Program {
        let ensemble = Self::ensemble(scale);
        if *process.node.0 != *WRITER {
            return boot_server(process, &ensemble, SWEEP_EVERY);
        }
        let config = client_config(scale, &ensemble, &process);
        let writer = Writer {
            platform: process.platform,
            config,
            znode: ZNODE,
            data: WRITER,
            every: WRITE_EVERY,
            offset: Millis(0),
        };
        Box::pin(writer.run())
    }

    fn checkers(&self, scale: &Scale) -> Suite {
        // What clients see: a checker that looks at disks would tell the lie in any case, and hide whether
        // it did harm.
        let gap = patience_with_sessions(scale, GAP_MAX);
        let shares = (1, WRITES);
        let live = Live::shared("acknowledged write", shares, gap, Interests::MAIL, whose_write)
            .needing(Needs::of(&Self::ensemble(scale), [WRITER]));
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
