//! Lesson 12: the master's address, in a znode that goes with its session.
//!
//! Topology: three servers; candidates `m1`, `m2`, `m3`, each of which puts its address into
//! `/clusterx/master_ip` if there is none; and twenty applications `c1` to `c20` that follow that
//! znode by watches and ask the master for something every half a second. `m1`, which begins first
//! and is master, dies at 4.0 s, and is back at 30.0.
//!
//! If the znode stays when its creator dies (`wrong`), nobody takes over: the address of a dead
//! machine stands there for 26 s, and everybody believes it. If it is an ephemeral (`right`), it
//! goes with the session of 6 s, the watches tell the other candidates, and the fastest of them is
//! master a few milliseconds later. The applications wait for as long as the session lasts: it
//! counts from the last sign of life, of which there is one every two seconds, and the leader ends
//! sessions at its ticks of two seconds, so that it takes between 4 and 8 s, and 6.8 s under the
//! lesson's seed. With a session of 4 s (`quick`, the shortest that the servers grant) it is 4.8 s;
//! the price is that a master who is silent for as long loses its office though it lives.
//!
//! Drawn faults do not find `wrong`: whoever they take is back when they are over, finds its own
//! address, and goes on. Its harm is that everybody waits for one machine, which the bound on the
//! wait tells.

use super::designs::address::Lookup;
use super::designs::application::{
    Application, NO_ANSWER, candidates_and_applications, number_of, through_a_master, whose_request,
};
use super::designs::master::{Candidate, MASTER_IP, Manners, begins};
use super::stage::{Act, Program, Staged, Work, first_of_each, patience_with_sessions};
use super::{Answer, Design, Lesson, Question, Records, Unit};
use crate::nodes::{SESSION_TIMEOUT, client_config};
use crate::scale::Scale;
use mailstorm_checkers::{Goal, Interests, Live, Quorum, Sessions, SplitBrain, Suite, Watches};
use mailstorm_record::{Event, Happening};
use mailstorm_shared::facts::{ApplicationFact, EnsembleFact};
use mailstorm_shared::znodes::Change;
use mailstorm_shared::{Millis, Observation};
use mailstorm_world::{NodeSpec, Process};

const PLAN: &str = r#"
lasts_ms = 30000

[[faults]]
at_ms = 4000
lasts_ms = 26000
kind.crash = { nodes = ["m1"] }
"#;

const SERVERS: u64 = 3;
const APPLICATIONS: u64 = 20;
/// How often each application asks, and how much later than the one before it.
const ASK_EVERY: Millis = Millis(500);
const APART: Millis = Millis(25);
/// What each application asks for, over the whole lesson.
const REQUESTS: u64 = 55;
/// A session, and two seconds for its expiry to be found and the next master to begin.
const GAP_MAX: Millis = Millis(8_000);
const SHORT_SESSION: Millis = Millis(4_000);

/// The lesson.
pub(super) fn lesson() -> Lesson {
    let design = |name, scenario, is_right, breaks, act| Design {
        name,
        is_right,
        breaks,
        scenario: Staged::scenario(
            scenario,
            "three candidates for one znode, and twenty applications that follow it",
            PLAN,
            Scale::of_lesson(SERVERS),
            act,
        ),
    };
    let ephemeral = |session| MasterIp { is_ephemeral: true, session };
    let persistent = MasterIp { is_ephemeral: false, session: None };
    Lesson {
        number: 12,
        name: "master-ephemeral",
        title: "/clusterx/master_ip",
        story: "Three candidates: whoever creates /clusterx/master_ip is the master, and twenty \
                applications send it requests. One candidate comes first, creates it, and crashes \
                at 4.0 s; it restarts at 30.0 s. In 'wrong' its znode stays. In 'right' the znode \
                is an ephemeral and vanishes when the master's session expires: 6 s after the \
                servers last heard from it, which was up to 2 s before the crash. The leader \
                checks for expired sessions every 2 s. The other candidates watch the znode. When \
                it vanishes they try to create it, and one of them succeeds a few milliseconds \
                later. 'quick' is the same with sessions of 4 s.",
        designs: vec![
            design("wrong", "master-ephemeral/wrong", false, &["live/gap"], persistent),
            design("right", "master-ephemeral/right", true, &[], ephemeral(None)),
            design("quick", "master-ephemeral/quick", true, &[], ephemeral(Some(SHORT_SESSION))),
        ],
        questions: vec![
            Question {
                key: "gap",
                text: "'right': the master crashes at 4.0 s, and its session is one of 6 s. For how \
                       many seconds is no request answered?",
                answer: Answer::Number {
                    unit: Unit::SECONDS,
                    range: (0.0, 30.0),
                    tolerance: 2.0,
                    derivation: Some("6"),
                    truth: |records| gap_s(records, "right"),
                },
                rests_on: &["6 s after the servers last heard from it", "a few milliseconds later"],
                why: "Nobody can tell a dead master from a silent one before its session expires. \
                      The servers last heard from it up to 2 s before the crash, which makes the \
                      gap shorter, and the leader checks every 2 s, which makes it longer.",
            },
            Question {
                key: "gap-quick",
                text: "'quick': and with a session of 4 s?",
                answer: Answer::Number {
                    unit: Unit::SECONDS,
                    range: (0.0, 30.0),
                    tolerance: 1.5,
                    derivation: Some("4"),
                    truth: |records| gap_s(records, "quick"),
                },
                rests_on: &["with sessions of 4 s"],
                why: "The session is nearly all of the gap, so a shorter session makes a shorter \
                      gap. There is a limit: a master that is merely slow would lose its office.",
            },
            Question {
                key: "masters",
                text: "'right': how many times is /clusterx/master_ip created until 20.0 s?",
                answer: Answer::Number {
                    unit: Unit::of("time", "times"),
                    range: (0.0, 20.0),
                    tolerance: 0.0,
                    derivation: Some("1 + 1"),
                    truth: |records| Some(masters(records, "right")),
                },
                rests_on: &["One candidate comes first, creates it", "one of them succeeds"],
                why: "Once for each master. The other candidates try at the same moment and one \
                      succeeds: the others learn that the znode exists.",
            },
        ],
    }
}

fn gap_s(records: &Records, design: &str) -> Option<f64> {
    Some(records.figure(design, "gap_ms_max")? as f64 / 1e3)
}

/// How many times the znode came into being, up to 20 s.
fn masters(records: &Records, design: &str) -> f64 {
    let observed = records.observed(design).take_while(|(at_s, ..)| *at_s <= 20.0);
    let mut zxids: Vec<_> = observed
        .filter_map(|(_, _, observation)| match observation {
            Observation::Ensemble(EnsembleFact::Applied { zxid, changes, .. }) => {
                let is_created = |change: &Change| {
                    matches!(change, Change::Created { path, .. } if **path == *MASTER_IP)
                };
                changes.iter().any(is_created).then_some(*zxid)
            }
            _ => None,
        })
        .collect();
    // Every server tells of it.
    zxids.sort_unstable();
    zxids.dedup();
    zxids.len() as f64
}

struct MasterIp {
    /// Whether the znode goes with its session.
    is_ephemeral: bool,
    /// The session timeout of candidates, if it is not the usual one, and nothing is said of it.
    session: Option<Millis>,
}

impl Act for MasterIp {
    fn nodes(&self, _scale: &Scale) -> Vec<NodeSpec> {
        candidates_and_applications(APPLICATIONS).collect()
    }

    fn boot(&self, scale: &Scale, process: Process) -> Program {
        let mut config = client_config(scale, &scale.ensemble(), &process);
        let (name, incarnation) = (process.node.0.clone(), process.incarnation);
        if let Some(begins) = begins(&name) {
            if config.session_timeout == SESSION_TIMEOUT {
                config.session_timeout = self.session.unwrap_or(SESSION_TIMEOUT);
            }
            let manners = Manners { is_ephemeral: self.is_ephemeral, steps_down: true };
            let (platform, name) = (process.platform, name.to_string());
            return Box::pin(Candidate { platform, config, name, begins, manners }.run());
        }
        let number = number_of(&name);
        let application = Application {
            platform: process.platform,
            config,
            name,
            incarnation,
            lookup: Lookup::Follow,
            begins: Millis(APART.0 * number),
            every: ASK_EVERY,
            writes: false,
        };
        Box::pin(application.run())
    }

    fn checkers(&self, scale: &Scale) -> Suite {
        let shares = (APPLICATIONS, REQUESTS);
        let gap = patience_with_sessions(scale, GAP_MAX);
        let needs = through_a_master(&scale.ensemble(), APPLICATIONS);
        Suite::new()
            .with(Quorum::new(scale.ensemble()))
            .with(SplitBrain::new())
            .with(Sessions::new(&scale.ensemble()))
            .with(Watches::new())
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
    }

    fn goals(&self, _scale: &Scale) -> Vec<Goal> {
        let mut goals = vec![
            master_died(),
            Goal::milestone(NO_ANSWER, "a request to the dead master was not answered"),
        ];
        if self.is_ephemeral {
            goals.push(another_master());
        }
        goals
    }

    fn work(&self, _scale: &Scale) -> Work {
        let requests = first_of_each(REQUESTS, whose_request);
        Work::new("answered requests", APPLICATIONS * REQUESTS, requests)
    }
}

/// The process of a candidate that believed to be master dies.
fn master_died() -> Goal {
    let mut master = None;
    Goal::new(
        "master_died",
        "the process of a master died",
        Interests::APPLICATION | Interests::PROCESSES,
        move |event: &Event| {
            match &event.happening {
                Happening::Observed {
                    observation: Observation::Application(ApplicationFact::MasterBelieves { .. }),
                } => {
                    master.clone_from(&event.node);
                }
                Happening::Crashed { .. } => return event.node.is_some() && event.node == master,
                _ => {}
            }
            false
        },
    )
}

/// Another candidate becomes master than the one before.
pub(super) fn another_master() -> Goal {
    let mut last = None;
    Goal::observed(
        "another_master",
        "another candidate became master than the one before",
        Interests::APPLICATION,
        move |observation| match observation {
            Observation::Application(ApplicationFact::MasterBelieves { candidate, .. }) => {
                last.replace(candidate.clone()).is_some_and(|before| before != *candidate)
            }
            _ => false,
        },
    )
}
