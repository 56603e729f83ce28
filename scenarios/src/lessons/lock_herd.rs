//! Lesson 14: two hundred wait for one lock.
//!
//! Topology: three servers; two hundred clients `c1` to `c200` that all want the same lock, hold it
//! for 400 ms, enter their turn into the ledger under the lock's token, give it up, and want it
//! again; and the ledger, which takes nothing from a holder older than one that it has seen. Twenty
//! turns are looked at. Nothing goes wrong.
//!
//! - `herd`: the lock is one znode, `/lock`: who creates it holds the lock, and everybody else
//!   watches it. When it goes, 199 are told, 199 try, and 198 are refused and leave their watches
//!   anew. It is safe, and each release costs the ensemble some six hundred requests.
//! - `right`: the recipe `Lock`. Each has a place in a line of sequential ephemerals, and watches
//!   the one before it. When a place goes, one is told: the next in line (and its owner, who
//!   watched it, too).
//!
//! Both are safe, and drawn faults find nothing: the bound is one for a quiet day. When sessions
//! end by the dozen, each of them is told of, in both designs.

use super::designs::ledger::{Answer as Stored, Entry, LEDGER, is_stored, serve_ledger, to_ledger};
use super::stage::{Act, Program, Staged, Work, patience, patience_with_sessions};
use super::{Answer, Design, Lesson, Question, Records, Unit};
use crate::nodes::{boot_server_in_long_epochs, client_config};
use crate::scale::Scale;
use mailstorm_checkers::{Bound, Goal, Interests, Live, Needs, Quorum, SplitBrain, Suite};
use mailstorm_client::lock::Lock;
use mailstorm_client::{CallError, Client, ClientConfig, open_acl};
use mailstorm_platform::Platform;
use mailstorm_record::{Event, Happening};
use mailstorm_shared::facts::{ApplicationFact, CallKind, ClientFact};
use mailstorm_shared::znodes::EventKind;
use mailstorm_shared::{Millis, Observation};
use mailstorm_wire::client::{CreateMode, ErrorCode};
use mailstorm_world::{NodeSpec, Process, SimPlatform};
use std::sync::Arc;

const PLAN: &str = "lasts_ms = 10000\n";

const SERVERS: u64 = 3;
const CLIENTS: u64 = 200;
const TURNS: u64 = 20;
const HOLD: Millis = Millis(400);
const TRY_AGAIN: Millis = Millis(200);
/// The one znode of the herd, and the line of the recipe.
const LOCK: &str = "/lock";
/// The next in line is told, and who gives the lock up, since it watched its own place.
const NOTIFICATIONS_MAX: u64 = 2;
/// Two hundred sessions at once, before the first turn.
const GAP_MAX: Millis = Millis(5_000);
/// What the holder tells when it gives the lock up.
const RELEASES: &str = "lock_released";

/// The lesson.
pub(super) fn lesson() -> Lesson {
    let design = |name, scenario, is_right, breaks, is_herd| Design {
        name,
        is_right,
        breaks,
        scenario: Staged::scenario(
            scenario,
            "two hundred clients that wait for one lock",
            PLAN,
            Scale::of_lesson(SERVERS),
            OneLock { is_herd },
        ),
    };
    Lesson {
        number: 14,
        name: "lock-herd",
        title: "200 waiters, one lock.",
        story: "200 clients take turns at one lock: one holds it, all others wait. In 'herd' the \
                lock is a single znode. Whoever creates it holds the lock, all who wait watch it, \
                and when it is deleted each of them tries to create it. In 'right' each client has \
                a place in a line, a sequential ephemeral. Each watches the one place before its \
                own, and the holder watches its one place, too, in case somebody deletes it.",
        designs: vec![
            design("herd", "lock-herd/herd", false, &["bound/exceeded"], true),
            design("right", "lock-herd/right", true, &[], false),
        ],
        questions: vec![
            Question {
                key: "told-herd",
                text: "'herd': how many notifications does each release of the lock cause?",
                answer: Answer::Number {
                    unit: Unit::of("notification", "notifications"),
                    range: (0.0, 1000.0),
                    tolerance: 5.0,
                    derivation: Some("200 - 1"),
                    truth: |records| most_told(records, "herd"),
                },
                rests_on: &[
                    "200 clients take turns at one lock: one holds it",
                    "all who wait watch it",
                ],
                why: "One for each that waits: 199 of 200. One of them gets the lock, and 198 were \
                      woken for nothing, and will be again.",
            },
            Question {
                key: "told-line",
                text: "'right': how many notifications does each release cause?",
                answer: Answer::Number {
                    unit: Unit::of("notification", "notifications"),
                    range: (0.0, 1000.0),
                    tolerance: 1.0,
                    derivation: Some("1 + 1"),
                    truth: |records| most_told(records, "right"),
                },
                rests_on: &[
                    "Each watches the one place before its own",
                    "the holder watches its one place, too",
                ],
                why: "The next in line is notified, and nobody else needs to be. The former holder \
                      is notified of its own place, too.",
            },
            Question {
                key: "creates",
                text: "'herd': how many creates does the ensemble process for each release?",
                answer: Answer::Number {
                    unit: Unit::of("create", "creates"),
                    range: (0.0, 1000.0),
                    tolerance: 20.0,
                    derivation: Some("200 - 1"),
                    truth: |records| creates_per_turn(records, "herd"),
                },
                rests_on: &[
                    "200 clients take turns at one lock: one holds it",
                    "each of them tries to create it",
                ],
                why: "Each client that was notified tries, and a create that is refused goes \
                      through the leader and the disks like any other. That is work for nothing.",
            },
        ],
    }
}

fn most_told(records: &Records, design: &str) -> Option<f64> {
    Some(records.figure(design, "notifications_per_release_max")? as f64)
}

/// How many creates were asked for from the first release on, for each turn.
fn creates_per_turn(records: &Records, design: &str) -> Option<f64> {
    let (mut releases, mut creates) = (0_u64, 0_u64);
    for event in records.events(design) {
        releases += u64::from(is_release(event));
        let is_create = matches!(&event.happening, Happening::Observed {
            observation: Observation::Client(ClientFact::Invoked { call, .. }),
        } if call.kind == CallKind::CreateEphemeral);
        creates += u64::from(is_create && releases > 0);
    }
    (releases > 0).then(|| creates as f64 / releases as f64)
}

struct OneLock {
    is_herd: bool,
}

impl Act for OneLock {
    fn nodes(&self, _scale: &Scale) -> Vec<NodeSpec> {
        let clients = (1..=CLIENTS).map(|number| NodeSpec::client(&format!("c{number}")));
        clients.chain([NodeSpec::outside(LEDGER)]).collect()
    }

    fn boot_server(&self, scale: &Scale, process: Process) -> Program {
        boot_server_in_long_epochs(process, &scale.ensemble())
    }

    fn boot(&self, scale: &Scale, process: Process) -> Program {
        let name = process.node.0.clone();
        if *name == *LEDGER {
            return Box::pin(serve_ledger(process.platform, true));
        }
        let config = client_config(scale, &scale.ensemble(), &process);
        let contender = Contender { platform: process.platform, config, name };
        Box::pin(contender.run(self.is_herd))
    }

    fn checkers(&self, scale: &Scale) -> Suite {
        let gap = patience_with_sessions(scale, GAP_MAX);
        let contenders: Vec<String> = (1..=CLIENTS).map(|number| format!("c{number}")).collect();
        let needs = Needs::of(&scale.ensemble(), contenders.iter().map(String::as_str));
        Suite::new()
            .with(Quorum::new(scale.ensemble()))
            .with(SplitBrain::new())
            .with(
                Live::new("turn", TURNS, gap, Interests::APPLICATION, is_stored)
                    .needing(needs.outside([LEDGER])),
            )
            .with(Bound::new(
                "notifications_per_release",
                "how many were told of one release of the lock",
                patience(scale, Millis(NOTIFICATIONS_MAX)).0,
                Interests::APPLICATION | Interests::WATCH_EVENTS,
                told_per_release(),
            ))
    }

    fn goals(&self, _scale: &Scale) -> Vec<Goal> {
        vec![Goal::milestone(RELEASES, "a holder gave the lock up")]
    }

    fn work(&self, _scale: &Scale) -> Work {
        Work::new("turns", TURNS, is_stored)
    }
}

fn is_release(event: &Event) -> bool {
    matches!(&event.happening, Happening::Observed {
        observation: Observation::Application(ApplicationFact::Milestone { name }),
    } if **name == *RELEASES)
}

/// How many clients were told that a znode was deleted, from one release to the next.
fn told_per_release() -> impl FnMut(&Event) -> Option<u64> {
    let mut told = None;
    move |event| {
        if is_release(event) {
            return told.replace(0);
        }
        let is_told = matches!(
            event.happening,
            Happening::Observed {
                observation: Observation::Client(ClientFact::EventDelivered {
                    kind: EventKind::Deleted,
                    ..
                }),
            }
        );
        if let Some(told) = &mut told {
            *told += u64::from(is_told);
        }
        None
    }
}

/// A client that wants the lock, again and again.
struct Contender {
    platform: SimPlatform,
    config: ClientConfig,
    name: Arc<str>,
}

impl Contender {
    async fn run(self, is_herd: bool) {
        loop {
            let client = Client::connect(self.platform.clone(), self.config.clone());
            let mut turn = 0;
            while !client.state().is_over() {
                let taken = if is_herd {
                    self.turn_in_the_herd(&client, turn).await
                } else {
                    self.turn_in_line(&client, turn).await
                };
                turn += 1;
                if taken.is_err() {
                    self.platform.sleep(TRY_AGAIN).await;
                }
            }
        }
    }

    async fn turn_in_the_herd(
        &self,
        client: &Client<SimPlatform>,
        turn: u64,
    ) -> Result<(), CallError> {
        loop {
            match client.create(LOCK, None, CreateMode::Ephemeral, open_acl()).await {
                Ok((_, stat)) => {
                    self.hold(client, turn, stat.czxid.0).await;
                    return client.delete_surely(LOCK).await;
                }
                Err(CallError::Refused(ErrorCode::NodeExists)) => {}
                Err(error) => return Err(error),
            }
            let (stat, watch) = client.exists_and_watch(LOCK).await?;
            match stat {
                // A create whose answer was lost: better given up than held by nobody.
                Some(stat) if stat.ephemeral_owner == client.session() => {
                    return client.delete_surely(LOCK).await;
                }
                Some(_) => drop(watch.await),
                None => {}
            }
        }
    }

    async fn turn_in_line(&self, client: &Client<SimPlatform>, turn: u64) -> Result<(), CallError> {
        client.ensure_path(LOCK).await?;
        let held = Lock::new(client, LOCK).acquire(&b""[..]).await?;
        self.hold(client, turn, held.token().0).await;
        held.release().await
    }

    /// What there is to do while the lock is held.
    async fn hold(&self, client: &Client<SimPlatform>, turn: u64, token: u64) {
        self.platform.sleep(HOLD).await;
        let id = format!("{}-{}-{turn}", self.name, client.session());
        let entry = Entry { id, by: self.name.to_string(), token };
        let entered = to_ledger(&self.platform).ask(entry).await;
        if entered == Ok(Stored::Stored) {
            self.platform.observe(ApplicationFact::Milestone { name: RELEASES.into() });
        }
    }
}
