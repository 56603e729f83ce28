//! Lesson 10: the leader dies in the middle of a write.
//!
//! Topology: five servers, of which `s5` leads under the lesson's seed, and a client `a1` that
//! talks to `s5` first. From 2.9 s on nobody's acknowledgement reaches `s5` any more, and its
//! proposals reach fewer and fewer: `a1` creates `/letters/three` when `s1` and `s2` still hear it
//! (three disks have it), then `/letters/two` when only `s1` does, then `/letters/one`. The last
//! record, `/letters/half`, is on its way to the leader's own disk when the leader dies at 3.0 s,
//! and is torn. `s5` is back at 9.0 s. At 10.0 the client looks which letters there are, and goes
//! on to write more. At 12.0 s `s5` is started once more, and when the client has written all, it
//! looks again, through `s5` and then through the others.
//!
//! No letter was acknowledged, so each may be there or not, but wholly, and for everybody. `s1` has
//! the longest log of those who are left and is elected: what it has is committed after all, and
//! what only `s5` has is cut off when it comes back.
//!
//! In the wrong design `s5` trusts its longer log: it is told to cut it, agrees, and keeps what it
//! has (the museum's `truncate-ignored`). While it runs nobody sees it. After its next start
//! `/letters/one` can be read there, and nowhere else. Drawn faults find it at the second seed, and
//! under 54 of 200.

use super::stage::{Act, Program, Staged, Work, patience_with_sessions};
use super::{Answer, Design, Lesson, Question, Records, Unit};
use crate::nodes::client_config;
use crate::scale::Scale;
use mailstorm_checkers::{
    Goal, Interests, Linearizable, Live, Needs, Quorum, SplitBrain, Suite, ensemble,
};
use mailstorm_client::{CallError, Client, ClientConfig, open_acl};
use mailstorm_coordination::defect::Defect;
use mailstorm_platform::{Address, Platform};
use mailstorm_record::{Event, Happening};
use mailstorm_shared::facts::ApplicationFact;
use mailstorm_shared::{Defects, Instant, Millis, Observation};
use mailstorm_wire::client::CreateMode;
use mailstorm_world::{NodeSpec, Process, SimPlatform};

const PLAN: &str = r#"
lasts_ms = 20000

# Nobody's acknowledgements reach the leader, and only s1 and s2 hear it.
[[faults]]
at_ms = 2900
lasts_ms = 1000
kind.one_way = { from = ["s1", "s2", "s3", "s4"], to = ["s5"] }

[[faults]]
at_ms = 2900
lasts_ms = 1000
kind.one_way = { from = ["s5"], to = ["s3", "s4"] }

# Only s1 hears it.
[[faults]]
at_ms = 2930
lasts_ms = 970
kind.one_way = { from = ["s5"], to = ["s2"] }

# Nobody hears it.
[[faults]]
at_ms = 2950
lasts_ms = 950
kind.one_way = { from = ["s5"], to = ["s1"] }

# What it is given now does not come to its disk as a whole.
[[faults]]
at_ms = 2970
lasts_ms = 32
kind.disk_stall = { nodes = ["s5"] }

[[faults]]
at_ms = 3000
lasts_ms = 6000
kind.torn_writes = { nodes = ["s5"] }

# What was on its way breaks with its connections.
[[faults]]
at_ms = 3010
kind.reset = { nodes = ["s1", "s2", "s3", "s4"] }

[[faults]]
at_ms = 12000
lasts_ms = 1000
kind.crash = { nodes = ["s5"] }
"#;

const SERVERS: u64 = 5;
const CLIENT: &str = "a1";
const FOLDER: &str = "/letters";
/// The server that the client talks to first, and at the end.
const FIRST_SERVER: &str = "s5:2181";
/// The letters in flight: each with the number of disks that have it when the leader dies, and when
/// it is sent.
const LETTERS: [(&str, Millis); 4] = [
    ("three", Millis(2_910)),
    ("two", Millis(2_935)),
    ("one", Millis(2_955)),
    ("half", Millis(2_980)),
];
/// When the client looks which there are.
const LOOK_AT: Millis = Millis(10_000);
/// The letters it writes after that, and how often.
const MORE_LETTERS: u64 = 30;
const WRITE_EVERY: Millis = Millis(200);
const TRY_AGAIN: Millis = Millis(200);
/// Nothing is asked for from 3.0 to 10.0 s.
const GAP_MAX: Millis = Millis(12_000);
const WRITTEN: &str = "letter_written";
const LOOKED_AGAIN: &str = "looked_again";
/// The letters, and the last look.
const PIECES: u64 = MORE_LETTERS + 1;
const ACKNOWLEDGED: &str = "letter_acknowledged";
const IN_FLIGHT: &str = "letter_in_doubt";
const REFUSED: &str = "letter_refused";

/// The lesson.
pub(super) fn lesson() -> Lesson {
    let design = |name, scenario, is_right, breaks, defects| Design {
        name,
        is_right,
        breaks,
        scenario: Staged::scenario(
            scenario,
            "five servers, whose leader dies with writes on three, two, one and half a disk",
            PLAN,
            Scale::of_lesson(SERVERS),
            LeaderDies { defects },
        ),
    };
    let trusts_itself = Defects::from(Defect::TruncateIgnored);
    Lesson {
        number: 10,
        name: "quorum-leader-dies",
        title: "In the middle of a write.",
        story: "Five servers; s5 leads. From 2.9 s on no acknowledgement reaches s5, and fewer and \
                fewer servers hear its proposals. The client sends four writes then. One write \
                reaches the disks of s5, s1 and s2, one those of s5 and s1, one only that of s5, \
                and one is half written to the disk of s5 when it crashes at 3.0 s. A leader \
                acknowledges a write to its client once it knows that three of the five disks have \
                it. The servers that are left elect the one with the longest log, and all of them \
                take over its log. s5 restarts at 9.0 s as a follower, and has to truncate what \
                the new leader does not have: in 'right' it does, in 'wrong' it keeps its own \
                longer log.",
        designs: vec![
            design(
                "wrong",
                "quorum-leader-dies/wrong",
                false,
                &["quorum/hole", "linearizable/not_linearizable"],
                trusts_itself,
            ),
            design("right", "quorum-leader-dies/right", true, &[], Defects::NONE),
        ],
        questions: vec![
            Question {
                key: "readable",
                text: "'right': how many of the four writes can be read at 10.0 s?",
                answer: Answer::Number {
                    unit: Unit::of("write", "writes"),
                    range: (0.0, 4.0),
                    tolerance: 0.0,
                    derivation: Some("1 + 1"),
                    truth: |records| Some(letters_found(records)?.len() as f64),
                },
                rests_on: &[
                    "One write reaches the disks of s5, s1 and s2, one those of s5 and s1",
                    "elect the one with the longest log",
                ],
                why: "The write on three disks must be there: any three of five servers share one \
                      that has it. The one on two disks is there because s1, which has it, has the \
                      longest log and was elected. No rule demands that one.",
            },
            Question {
                key: "acknowledged",
                text: "'right': how many of the four were acknowledged to the client before the \
                       leader crashed?",
                answer: Answer::Number {
                    unit: Unit::of("write", "writes"),
                    range: (0.0, 4.0),
                    tolerance: 0.0,
                    derivation: None,
                    truth: |records| Some(acknowledged(records)),
                },
                rests_on: &[
                    "no acknowledgement reaches s5",
                    "once it knows that three of the five disks have it",
                ],
                why: "The leader never heard that two others had them, so it could promise \
                      nothing. Whether each of the four stays or goes, both are correct: what \
                      counts is that everybody reads the same.",
            },
        ],
    }
}

/// Which letters the client found when it looked.
fn letters_found(records: &Records) -> Option<Vec<&'static str>> {
    let told = |word: &str| {
        let name = found(word);
        records.observed("right").any(|(_, _, observation)| {
            matches!(observation, Observation::Application(ApplicationFact::Milestone { name: told }) if **told == *name)
        })
    };
    let found: Vec<_> = LETTERS.iter().map(|(word, _)| *word).filter(|word| told(word)).collect();
    (!found.is_empty()).then_some(found)
}

/// How many of the letters were acknowledged.
fn acknowledged(records: &Records) -> f64 {
    let told = records.observed("right").filter(|(_, _, observation)| {
        matches!(observation, Observation::Application(ApplicationFact::Milestone { name }) if **name == *ACKNOWLEDGED)
    });
    told.count() as f64
}

/// What the client tells of a letter that it found.
fn found(word: &str) -> String {
    format!("found_{word}")
}

struct LeaderDies {
    /// Whether a server keeps what it is told to cut off is the only difference.
    defects: Defects,
}

impl Act for LeaderDies {
    fn nodes(&self, _scale: &Scale) -> Vec<NodeSpec> {
        vec![NodeSpec::client(CLIENT)]
    }

    fn mistake(&self) -> Defects {
        self.defects
    }

    fn boot(&self, scale: &Scale, process: Process) -> Program {
        let config = client_config(scale, &scale.ensemble(), &process);
        Box::pin(Writer { platform: process.platform, config }.run())
    }

    fn checkers(&self, scale: &Scale) -> Suite {
        let gap = patience_with_sessions(scale, GAP_MAX);
        let live = Live::new("letter", PIECES, gap, Interests::APPLICATION, is_piece)
            // At the end the letters are looked at once more through the server that led first.
            .needing(Needs::of(&scale.ensemble(), [CLIENT]).outside(["s5"]));
        Suite::new()
            .with(Quorum::new(scale.ensemble()))
            .with(SplitBrain::new())
            .with(Linearizable::new())
            .with(live)
    }

    fn goals(&self, _scale: &Scale) -> Vec<Goal> {
        let mut goals = vec![
            ensemble::goals::leader_died_with_writes_in_flight(),
            Goal::milestone(IN_FLIGHT, "a letter had no definite end"),
            Goal::milestone("found_three", "the letter on three disks was read"),
            Goal::milestone(
                LOOKED_AGAIN,
                "the letters were looked at again, through the old leader and the others",
            ),
        ];
        if self.defects == Defects::NONE {
            goals.push(ensemble::goals::truncated());
        }
        goals
    }

    fn work(&self, _scale: &Scale) -> Work {
        Work::new("letters", PIECES, is_piece)
    }
}

fn is_piece(event: &Event) -> bool {
    matches!(&event.happening, Happening::Observed {
        observation: Observation::Application(ApplicationFact::Milestone { name }),
    } if [WRITTEN, LOOKED_AGAIN].contains(&&**name))
}

/// The client.
struct Writer {
    platform: SimPlatform,
    config: ClientConfig,
}

impl Writer {
    async fn run(self) {
        let begin = self.platform.now().monotonic;
        let by_the_leader =
            ClientConfig { servers: vec![Address::from(FIRST_SERVER)], ..self.config.clone() };
        self.write_in_flight(begin, &by_the_leader).await;
        self.sleep_until(begin + LOOK_AT).await;
        let letters = self.surely(&self.config, 1, look).await;
        for word in letters.into_iter().flatten() {
            self.tell(&found(word));
        }
        self.surely(&self.config, MORE_LETTERS, async |client| {
            let path = format!("{FOLDER}/{}-{}", client.session(), client.unique_number());
            client.create(path, None, CreateMode::Persistent, open_acl()).await?;
            self.tell(WRITTEN);
            self.platform.sleep(WRITE_EVERY).await;
            Ok(())
        })
        .await;
        self.surely(&by_the_leader, 1, look).await;
        let mut by_others = self.config.clone();
        by_others.servers.retain(|server| *server.0 != *FIRST_SERVER);
        self.surely(&by_others, 1, look).await;
        self.tell(LOOKED_AGAIN);
        std::future::pending().await
    }

    /// Sends the letters that the leader dies over, without waiting for one before the next.
    async fn write_in_flight(&self, begin: Instant, config: &ClientConfig) {
        let client = Client::connect(self.platform.clone(), config.clone());
        // Without the folder each of the letters is refused, and told as such.
        let folder = client.ensure_path(FOLDER).await;
        let mut letters = Vec::new();
        for (word, at) in LETTERS {
            self.sleep_until(begin + at).await;
            let path = format!("{FOLDER}/{word}");
            letters.push(client.create(path, None, CreateMode::Persistent, open_acl()));
        }
        for letter in letters {
            match letter.await {
                Ok(_) => self.tell(ACKNOWLEDGED),
                Err(CallError::ConnectionLoss) if folder.is_ok() => self.tell(IN_FLIGHT),
                Err(_) => self.tell(REFUSED),
            }
        }
    }

    /// Does something until it has succeeded so many times, in one session after another.
    async fn surely<T>(
        &self,
        config: &ClientConfig,
        times: u64,
        what: impl AsyncFn(&Client<SimPlatform>) -> Result<T, CallError>,
    ) -> Vec<T> {
        let mut client = Client::connect(self.platform.clone(), config.clone());
        let mut done = Vec::new();
        while (done.len() as u64) < times {
            match what(&client).await {
                Ok(one) => done.push(one),
                Err(_) if client.state().is_over() => {
                    client = Client::connect(self.platform.clone(), config.clone());
                }
                Err(_) => self.platform.sleep(TRY_AGAIN).await,
            }
        }
        done
    }

    async fn sleep_until(&self, at: Instant) {
        let now = self.platform.now().monotonic;
        self.platform.sleep(Millis(at.0.saturating_sub(now.0))).await;
    }

    fn tell(&self, name: &str) {
        self.platform.observe(ApplicationFact::Milestone { name: name.into() });
    }
}

/// Which of the letters are there.
async fn look(client: &Client<SimPlatform>) -> Result<Vec<&'static str>, CallError> {
    client.ensure_path(FOLDER).await?;
    let mut letters = Vec::new();
    for (word, _) in LETTERS {
        let path = format!("{FOLDER}/{word}");
        // So that the read shows every write that was acknowledged to anybody before.
        client.sync(path.clone()).await?;
        if client.exists(path).await?.is_some() {
            letters.push(word);
        }
    }
    Ok(letters)
}
