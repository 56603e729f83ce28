//! Lesson 8: half of the servers is not a majority.
//!
//! Topology: five servers, a client on each side of the cut (`a1` with `s1` and `s2`, `b1` with
//! `s4` and `s5`), each of which writes its own address to `/clusterx/master_ip` every second, half
//! a second apart. From 5.0 to 20.0 s the network is in three parts, 2 | 1 | 2.
//!
//! The wrong design asks two of five for their consent, which is what "X/2 is enough" comes to:
//! both sides elect a leader, both acknowledge writes, and one history is cut off when the sides
//! meet again. The right one asks three: nobody can write for as long as the cut lasts, and nothing
//! that was acknowledged is lost. What is told here as the time without a writer is longer than the
//! cut, since a new leader takes a while.
//!
//! A follower believes in its silent leader for ten seconds (ZooKeeper's `syncLimit`), so the
//! second leader of the wrong design comes at about 14.8 s, not at once: until then one side cannot
//! write.

use super::designs::writer::{Writer, acknowledged, in_doubt, is_acknowledged};
use super::stage::{Act, Program, Staged, Work, patience_with_sessions};
use super::{Answer, Design, Lesson, Question, Unit};
use crate::nodes::{NEXT_SESSION, boot_server_of_quorum, client_config};
use crate::scale::{QUORUM, SERVERS_MAX, Scale};
use mailstorm_checkers::{
    Goal, Interests, Linearizable, Live, Needs, Quorum, SplitBrain, Staleness, Suite,
};
use mailstorm_client::{Client, ClientConfig};
use mailstorm_coordination::defect::Defect;
use mailstorm_platform::Platform;
use mailstorm_record::Happening;
use mailstorm_shared::{Defects, Millis};
use mailstorm_world::{NodeSpec, Process, SimPlatform};
use std::collections::BTreeSet;

const PLAN: &str = r#"
lasts_ms = 30000

[[faults]]
at_ms = 5000
lasts_ms = 15000
kind.partition = { sides = [["s1", "s2", "a1"], ["s3"], ["s4", "s5", "b1"]] }
"#;

const SERVERS: u64 = 5;
const OBSERVERS_MAX: u64 = 3;
const ZNODE: &str = "/clusterx/master_ip";
/// Each writes its address every second, half a second apart.
const WRITERS: [Writer; 2] = [
    Writer { name: "a1", znode: ZNODE, data: "10.1.0.1", every: WRITE_EVERY, offset: Millis(0) },
    Writer { name: "b1", znode: ZNODE, data: "10.2.0.1", every: WRITE_EVERY, offset: Millis(500) },
];
const WRITE_EVERY: Millis = Millis(1_000);
const READ_EVERY: Millis = Millis(200);
/// A few turns of the clients, while a majority hears itself.
const GAP_MAX: Millis = Millis(5_000);

/// The lesson.
pub(super) fn lesson() -> Lesson {
    let design = |name, scenario, is_right, breaks, quorum| Design {
        name,
        is_right,
        breaks,
        scenario: Staged::scenario(
            scenario,
            "five servers in three parts, and a client on either side that writes the same znode",
            PLAN,
            scale(quorum),
            HalfTheServers { defects: quorum },
        ),
    };
    let half = Defects::from(Defect::MinorityQuorum);
    Lesson {
        number: 8,
        name: "quorum-half",
        title: "Is X/2 enough?",
        story: "Five servers, and two clients that write the master's address to the same znode. \
                From 5.0 to 20.0 s the network is in three parts: two servers and a client, one \
                server, two servers and a client. A server may lead as long as a quorum follows \
                it. A part that has a quorum and has heard no leader for 10 s elects one; the \
                election and the way of the clients to the new leader take about one second. In \
                'wrong' two of the five servers are a quorum, in 'right' three.",
        designs: vec![
            design(
                "wrong",
                "quorum-half/wrong",
                false,
                &["split-brain/late_commit", "quorum/minority", "linearizable/not_linearizable"],
                half,
            ),
            design("right", "quorum-half/right", true, &[], Defects::NONE),
        ],
        questions: vec![
            Question {
                key: "leaders-half",
                text: "'wrong': two of five are enough. How many servers lead at 17.0 s, while the \
                       cut lasts?",
                answer: Answer::Number {
                    unit: Unit::of("leader", "leaders"),
                    range: (0.0, 5.0),
                    tolerance: 0.0,
                    derivation: Some("1 + 1"),
                    truth: |records| Some(records.leaders_at("wrong", 17.0)),
                },
                rests_on: &[
                    "two of the five servers are a quorum",
                    "A part that has a quorum and has heard no leader for 10 s elects one",
                ],
                why: "Two disjoint pairs of the five servers are a quorum each. Neither hears the \
                      other, so each has a leader of its own, and both take writes.",
            },
            Question {
                key: "leaders-majority",
                text: "'right': three of five are needed. How many servers lead at 17.0 s?",
                answer: Answer::Number {
                    unit: Unit::of("leader", "leaders"),
                    range: (0.0, 5.0),
                    tolerance: 0.0,
                    derivation: None,
                    truth: |records| Some(records.leaders_at("right", 17.0)),
                },
                rests_on: &[
                    "two servers and a client, one server, two servers and a client",
                    "in 'right' three",
                ],
                why: "No part has three servers, so none can lead. If the parts had 3 | 2 servers, \
                      the larger would have a leader; two majorities of the same five always share \
                      a server, so there is never a second one.",
            },
            Question {
                key: "unavailable",
                text: "'right': three of five are needed. For how many seconds is no write \
                       acknowledged?",
                answer: Answer::Number {
                    unit: Unit::SECONDS,
                    range: (0.0, 30.0),
                    tolerance: 2.5,
                    derivation: Some("20.0 - 5.0 + 1"),
                    truth: |records| Some(records.figure("right", "gap_ms_max")? as f64 / 1e3),
                },
                rests_on: &[
                    "From 5.0 to 20.0 s the network is in three parts",
                    "take about one second",
                ],
                why: "As long as the cut lasts, and then until a leader is elected and the clients \
                      reach it. That is the price: consistent and, for a while, not available.",
            },
        ],
    }
}

/// The lesson's numbers; the wrong design's are one more.
fn scale(defects: Defects) -> Scale {
    let scale = Scale::of_lesson(SERVERS)
        .and("observers", "servers that only observe", 0, 0..=OBSERVERS_MAX)
        .and(
            "reads",
            "1: the clients read, too, a1 through s1 and b1 through the last server",
            0,
            0..=1,
        );
    if defects == Defects::NONE {
        return scale;
    }
    scale.and(QUORUM, "how many servers decide; 0: half of them", 0, 0..=SERVERS_MAX)
}

struct HalfTheServers {
    /// The size of a quorum, half or a majority, is the only difference.
    defects: Defects,
}

impl HalfTheServers {
    /// How many servers decide in the wrong design, if that is not half of them.
    fn quorum(&self, scale: &Scale) -> Option<usize> {
        let quorum = scale.find(QUORUM).map_or(0, |setting| setting.value);
        usize::try_from(quorum).ok().filter(|quorum| *quorum > 0)
    }
}

impl Act for HalfTheServers {
    fn nodes(&self, _scale: &Scale) -> Vec<NodeSpec> {
        WRITERS.map(Writer::node).into()
    }

    fn mistake(&self) -> Defects {
        self.defects
    }

    fn boot_server(&self, scale: &Scale, process: Process) -> Program {
        boot_server_of_quorum(process, &scale.ensemble(), self.quorum(scale))
    }

    fn boot(&self, scale: &Scale, process: Process) -> Program {
        let writer = Writer::of(&WRITERS, &process);
        let config = client_config(scale, &scale.ensemble(), &process);
        let platform = process.platform;
        if scale.get("reads") == 1 {
            let mut config = config.clone();
            config.client_number += NEXT_SESSION;
            // Each through the server beside it: what that has not applied cannot be read there.
            let is_first = writer.name == WRITERS[0].name;
            let beside = if is_first { 0 } else { config.servers.len() - 1 };
            config.servers = vec![config.servers.swap_remove(beside)];
            platform.spawn(read(platform.clone(), config));
        }
        Box::pin(writer.run(platform, config))
    }

    fn checkers(&self, scale: &Scale) -> Suite {
        let gap = patience_with_sessions(scale, GAP_MAX);
        let writers = WRITERS.map(|writer| writer.name);
        let mut needs = Needs::of(&scale.ensemble(), writers);
        if let Some(quorum) = self.quorum(scale) {
            needs = needs.quorum(quorum);
        }
        let work =
            Live::new("acknowledged write", None, gap, Interests::APPLICATION, is_acknowledged)
                .needing(needs);
        // All others break, too, once these do: two histories with the same numbers please nobody.
        let suite = if scale.get("reads") == 1 {
            Suite::new().with(Staleness::new())
        } else {
            Suite::new()
        };
        suite
            .with(Quorum::new(scale.ensemble()))
            .with(SplitBrain::new())
            .with(Linearizable::new())
            .with(work)
    }

    fn goals(&self, _scale: &Scale) -> Vec<Goal> {
        let mut goals = vec![acknowledged()];
        if self.defects == Defects::NONE {
            goals.push(in_doubt());
        } else {
            goals.push(written_on_both_sides());
        }
        goals
    }

    fn work(&self, _scale: &Scale) -> Work {
        Work::none()
    }
}

/// Both clients have a write acknowledged during the cut.
fn written_on_both_sides() -> Goal {
    let (mut is_cut, mut writers) = (false, BTreeSet::new());
    Goal::new(
        "written_on_both_sides",
        "both clients had writes acknowledged while they were apart",
        Interests::APPLICATION | Interests::PLAN,
        move |event| {
            match &event.happening {
                Happening::FaultBegan { .. } => is_cut = true,
                Happening::FaultEnded { .. } => is_cut = false,
                _ if is_cut && is_acknowledged(event) => {
                    return event.node.clone().is_some_and(|node| writers.insert(node))
                        && writers.len() == WRITERS.len();
                }
                _ => {}
            }
            false
        },
    )
}

/// Reads the address again and again, in a session of its own, with no `sync` before it.
async fn read(platform: SimPlatform, config: ClientConfig) {
    let mut client = Client::connect(platform.clone(), config.clone());
    loop {
        platform.sleep(READ_EVERY).await;
        if client.state().is_over() {
            client = Client::connect(platform.clone(), config.clone());
        }
        // Whatever it is: the checker sees what was read, and how old it was.
        let _ = client.get_data(ZNODE).await;
    }
}
