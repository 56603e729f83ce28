//! Lesson 13: "I know the master's address."
//!
//! Topology: three servers; candidates `m1`, `m2`, `m3` for `/clusterx/master_ip`; twenty
//! applications, of which `c1` to `c10` begin at once and `c11` to `c20` at 12.0 s, that each bring
//! the master an entry every second; and the ledger, an outside machine to which masters take the
//! entries. From 4.0 to 20.0 s `m1`, which begins first and is master, is cut off from the servers,
//! and from nobody else. Its session ends at about 10 s, and another candidate becomes master.
//!
//! - `cached`: applications look the address up once. Those that began early go on asking `m1`,
//!   which goes on serving, since nobody has told it otherwise; those that begin late ask the new
//!   master. Both write to the ledger. When `m1` hears of its end at 20.0 s and steps down, the
//!   early ones are left with an address at which nobody serves them, for ever.
//! - `watch-once`: applications leave a watch, and look once more when it fires. It fires when the
//!   old znode goes; the new one comes a few milliseconds later, and nobody tells them of it. Here
//!   `m1` steps down, so no harm is done but that the early applications never come to an end.
//! - `right`: each look leaves the next watch. A master serves only while it is connected, and who
//!   means its own epoch; and the ledger takes nothing from a master older than one that it has
//!   seen. The last one is what makes it safe: a master that sleeps, or whose clock is slow, cannot
//!   know.
//!
//! Can `m1` know at 4.0 s? No: it hears nothing, and waits. It can know that it does not know as
//! soon as a heartbeat is not answered, which is long before its session is over: that is when it
//! steps down.
//!
//! Drawn faults find `watch-once` at the third seed and under 69 of 200, since somebody never comes
//! to an end once the office has changed hands. They find `cached` for the same reason at the 11th
//! and under 52 of
//! 200. Two masters that both write need more bad luck: a master that is cut off from the servers
//!      alone, for
//! longer than its session. That comes at the 41st seed, and four times in 200.

use super::designs::address::Lookup;
use super::designs::application::{
    Application, TURNED_AWAY, candidates_and_applications, number_of, through_a_master,
};
use super::designs::ledger::{LEDGER, serve_ledger};
use super::designs::master::{Candidate, Manners, begins};
use super::master_ephemeral::another_master;
use super::stage::{Act, Program, Staged, Work, first_of_each, patience_with_sessions};
use super::{Answer, Design, Lesson, Question, Records, Unit};
use crate::nodes::client_config;
use crate::scale::Scale;
use mailstorm_checkers::{Goal, Interests, Live, Quorum, SplitBrain, Suite};
use mailstorm_record::{Event, Happening, NodeName};
use mailstorm_shared::facts::{ApplicationFact, MailFact};
use mailstorm_shared::{Millis, Observation};
use mailstorm_world::{NodeSpec, Process};
use std::collections::BTreeSet;

const PLAN: &str = r#"
lasts_ms = 30000

[[faults]]
at_ms = 4000
lasts_ms = 16000
kind.kill_sessions = { nodes = ["m1"] }
"#;

const SERVERS: u64 = 3;
const APPLICATIONS: u64 = 20;
/// The first so many begin at once, the others later.
const EARLY: u64 = 10;
const LATE_AT: Millis = Millis(12_000);
const ASK_EVERY: Millis = Millis(1_000);
const APART: Millis = Millis(50);
/// The entries of each application.
const ENTRIES: u64 = 22;
/// From the moment at which a master steps down until its session is over and another has begun.
const GAP_MAX: Millis = Millis(10_000);

/// The lesson.
pub(super) fn lesson() -> Lesson {
    let design = |name, scenario, is_right, breaks, act| Design {
        name,
        is_right,
        breaks,
        scenario: Staged::scenario(
            scenario,
            "a master that is cut off from the servers, but not from those who ask it",
            PLAN,
            Scale::of_lesson(SERVERS),
            act,
        ),
    };
    let cached = StaleCache { lookup: Lookup::Once, is_careful: false };
    let watch_once = StaleCache { lookup: Lookup::WatchOnce, is_careful: true };
    let right = StaleCache { lookup: Lookup::Follow, is_careful: true };
    Lesson {
        number: 13,
        name: "master-stale-cache",
        title: "I know the master's address.",
        story: "Three candidates for /clusterx/master_ip, and twenty applications that send \
                entries to the master, which stores them in a ledger. From 4.0 to 20.0 s the first \
                master is cut off from the servers only: the applications and the ledger still \
                hear it. Its session expires at about 10 s; its znode vanishes, and another \
                candidate creates it again a few milliseconds later. Ten applications looked the \
                address up before the cut, ten do so at 12.0 s. In 'cached' they never look again, \
                and a master serves until the servers tell it that its session has expired. In \
                'watch-once' they leave one watch, and look once more as soon as it fires. In \
                'right' each look leaves the next watch. In both of these a master serves only \
                while it is connected: it hears from the servers at least every 2 s, and gives the \
                connection up when it has heard nothing for 4 s.",
        designs: vec![
            design(
                "cached",
                "master-stale-cache/cached",
                false,
                &["split-brain/mutex", "live/stopped"],
                cached,
            ),
            design(
                "watch-once",
                "master-stale-cache/watch-once",
                false,
                &["live/stopped"],
                watch_once,
            ),
            design("right", "master-stale-cache/right", true, &[], right),
        ],
        questions: vec![
            Question {
                key: "two-masters",
                text: "'cached': everybody keeps the address that it looked up once. Whose entries \
                       are stored at 15.0 s?",
                answer: Answer::Choice {
                    choices: &[
                        ("old", "those that the old master takes"),
                        ("new", "those that the new master takes"),
                        ("both", "those of both"),
                    ],
                    truth: |records| who_stored(records, "cached"),
                },
                rests_on: &[
                    "cut off from the servers only: the applications and the ledger still hear it",
                    "until the servers tell it that its session has expired",
                ],
                why: "The old master hears nothing from the servers, and takes that for peace. It \
                      still has its applications, and the ledger. Both are master, and each is \
                      sure of it.",
            },
            Question {
                key: "stale",
                text: "'watch-once': the ten early applications leave one watch each. How many of \
                       them ever find the new master?",
                answer: Answer::Number {
                    unit: Unit::of("application", "applications"),
                    range: (0.0, 10.0),
                    tolerance: 0.0,
                    derivation: None,
                    truth: |records| Some(found_the_new_one(records, "watch-once")),
                },
                rests_on: &[
                    "look once more as soon as it fires",
                    "creates it again a few milliseconds later",
                ],
                why: "The watch fires when the old znode vanishes, and is used up. When they look \
                      there is no new znode yet; it comes milliseconds later. Two changes, one \
                      watch.",
            },
            Question {
                key: "knows",
                text: "'right': a master serves only while it is connected. How many seconds after \
                       the cut does the old one stop serving?",
                answer: Answer::Number {
                    unit: Unit::SECONDS,
                    range: (0.0, 16.0),
                    tolerance: 2.0,
                    derivation: Some("4 - 2 / 2"),
                    truth: |records| steps_down_after_s(records, "right"),
                },
                rests_on: &["hears from the servers at least every 2 s", "heard nothing for 4 s"],
                why: "It cannot know that another was elected. But silence tells it that it no \
                      longer knows, and it takes that for an answer before its session expires.",
            },
        ],
    }
}

/// When the plan cuts the old master off.
const CUT_AT_S: f64 = 4.0;

/// Whose entries are stored in the second before and after 15 s.
fn who_stored(records: &Records, design: &str) -> Option<&'static str> {
    let (mut masters, mut now) = (Vec::new(), BTreeSet::new());
    for (at_s, _, observation) in records.observed(design) {
        match observation {
            Observation::Application(ApplicationFact::MasterBelieves { candidate, .. }) => {
                masters.push(candidate.clone())
            }
            Observation::Mail(MailFact::SinkAccepted { worker, .. })
                if (14.0..16.0).contains(&at_s) =>
            {
                now.insert(worker.clone());
            }
            _ => {}
        }
    }
    let old = masters.first()?;
    match (now.contains(old), now.len()) {
        (true, 1) => Some("old"),
        (true, 2) => Some("both"),
        (false, 1) => Some("new"),
        _ => None,
    }
}

/// How many of the early applications had an entry stored after the cut was known to the servers.
fn found_the_new_one(records: &Records, design: &str) -> f64 {
    let mut first = None;
    let mut found = BTreeSet::new();
    for (_, _, observation) in records.observed(design) {
        if let Observation::Mail(MailFact::SinkAccepted { mail, token, .. }) = observation {
            let first = *first.get_or_insert(*token);
            let application = mail.split('-').next().unwrap_or_default();
            if *token > first && number_of(application) <= EARLY {
                found.insert(application.to_owned());
            }
        }
    }
    found.len() as f64
}

/// How long after the cut the first master told that it is none any more.
fn steps_down_after_s(records: &Records, design: &str) -> Option<f64> {
    let mut observed = records.observed(design);
    let (at_s, ..) = observed.find(|(at_s, _, observation)| {
        *at_s >= CUT_AT_S
            && matches!(
                observation,
                Observation::Application(ApplicationFact::MasterResigns { .. })
            )
    })?;
    Some(at_s - CUT_AT_S)
}

struct StaleCache {
    lookup: Lookup,
    /// Whether masters step down when they are not connected, and the ledger is fenced.
    is_careful: bool,
}

impl Act for StaleCache {
    fn nodes(&self, _scale: &Scale) -> Vec<NodeSpec> {
        candidates_and_applications(APPLICATIONS).chain([NodeSpec::outside(LEDGER)]).collect()
    }

    fn boot(&self, scale: &Scale, process: Process) -> Program {
        let (name, incarnation) = (process.node.0.clone(), process.incarnation);
        if *name == *LEDGER {
            return Box::pin(serve_ledger(process.platform, self.is_careful));
        }
        let config = client_config(scale, &scale.ensemble(), &process);
        if let Some(begins) = begins(&name) {
            let manners = Manners { is_ephemeral: true, steps_down: self.is_careful };
            let (platform, name) = (process.platform, name.to_string());
            return Box::pin(Candidate { platform, config, name, begins, manners }.run());
        }
        let number = number_of(&name);
        let late = if number > EARLY { LATE_AT } else { Millis(0) };
        let application = Application {
            platform: process.platform,
            config,
            name,
            incarnation,
            lookup: self.lookup,
            begins: late + Millis(APART.0 * number),
            every: ASK_EVERY,
            writes: true,
        };
        Box::pin(application.run())
    }

    fn checkers(&self, scale: &Scale) -> Suite {
        let shares = (APPLICATIONS, ENTRIES);
        let gap = patience_with_sessions(scale, GAP_MAX);
        let needs = through_a_master(&scale.ensemble(), APPLICATIONS).outside([LEDGER]);
        Suite::new().with(Quorum::new(scale.ensemble())).with(SplitBrain::new()).with(
            Live::shared("stored entry", shares, gap, Interests::APPLICATION, whose_entry)
                .needing(needs),
        )
    }

    fn goals(&self, _scale: &Scale) -> Vec<Goal> {
        let mut goals = vec![another_master()];
        if self.is_careful {
            let about = "an application asked somebody who was master no more";
            goals.push(Goal::milestone(TURNED_AWAY, about));
        }
        goals
    }

    fn work(&self, _scale: &Scale) -> Work {
        let entries = first_of_each(ENTRIES, whose_entry);
        Work::new("stored entries", APPLICATIONS * ENTRIES, entries)
    }
}

/// Whose entry is stored here, if one is.
fn whose_entry(event: &Event) -> Option<NodeName> {
    let Happening::Observed { observation: Observation::Mail(MailFact::SinkAccepted { mail, .. }) } =
        &event.happening
    else {
        return None;
    };
    mail.split('-').next().map(NodeName::from)
}
