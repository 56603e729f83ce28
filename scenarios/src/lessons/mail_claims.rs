//! Lesson 4: a claim that goes with its holder.
//!
//! Topology: three servers, four workers, the outside mail server (the sink). Worker `w2` dies at
//! 5.0 s in the middle of a mail and does not come back in time; the server `s1` is down from 8.0
//! to 20.0 s.
//!
//! `right` is the pipeline that ships: a claim has an ephemeral child, which lives with its
//! holder's session. Six seconds after the leader was told of `w2` for the last time the session
//! ends, the child vanishes, and another worker takes the claim over, with a higher number, which
//! it shows to the sink before it goes on. Sessions end in ticks of 2 s, so it is up to 2 s more
//! than six, and the heartbeat by which the leader is told comes up to a second later: the takeover
//! is at about 12.9 s, and not by 11.0 s. The server that is down is missed by nobody: two of three
//! are a majority. `sticky` claims a mail by a znode that stays: no second worker ever takes the
//! same mail, and nobody ever takes what the dead one had. A claim must not outlive its holder, and
//! who decides that the holder is gone must be one for all.
//!
//! Storms with drawn faults find `sticky` at seed 1 (77 of 200 seeds): any worker that crashes in
//! the middle of a mail is enough.

use super::designs::claims::{
    ClaimsOfAnEnsemble, session_expired, taken_over_at, through_ensemble, workers,
};
use super::designs::mails::{Mails, Shelf};
use super::designs::outbox::{Outbox, Sink};
use super::stage::{Act, Program, Staged, Work};
use super::{Answer, Design, Lesson, Question, Records, Unit};
use crate::nodes::client_config;
use crate::scale::Scale;
use bytes::Bytes;
use mailstorm_checkers::{Goal, IfPossible, Suite, mail};
use mailstorm_client::{CallError, Client, ClientConfig, open_acl};
use mailstorm_platform::Platform;
use mailstorm_shared::facts::MailFact;
use mailstorm_shared::{Millis, Observation};
use mailstorm_wire::client::{CreateMode, ErrorCode};
use mailstorm_world::{NodeSpec, Process, SimPlatform};
use std::collections::BTreeSet;
use std::sync::Arc;

const PLAN: &str = r#"
lasts_ms = 30000

[[faults]]
at_ms = 5000
lasts_ms = 25000
kind.crash = { nodes = ["w2"] }

[[faults]]
at_ms = 8000
lasts_ms = 12000
kind.crash = { nodes = ["s1"] }
"#;

const MAILS: usize = 100;
const WORKERS: u64 = 4;
/// Mails in a claim. With one, whoever has done a mail looks for the next claim at once.
const BATCH: usize = 1;
const JUDGING: Millis = Millis(800);
const CRASH_AT_S: f64 = 5.0;
/// Three workers are left, so a mail comes every third of a second, or so.
const GAP_MAX: Millis = Millis(4_000);
const CLAIMS: &str = "/mail/claims";
const BACKOFF: Millis = Millis(250);

/// The lesson.
pub(super) fn lesson() -> Lesson {
    let about = "three servers, four workers, and one of them dies in the middle of a mail";
    Lesson {
        number: 4,
        name: "mail-claims",
        title: "Sequential ephemeral claims.",
        story: "Three servers keep the claims of four workers; two of the three are a majority, \
                which is enough. The worker w2 crashes at 5.0 s in the middle of one mail and \
                restarts at 30.0 s; the server s1 is down from 8.0 to 20.0 s. In 'sticky' a claim \
                is a znode that stays until somebody deletes it, and nobody touches a claim that \
                exists: not even w2, which does not remember that it was its own. In 'right' a \
                claim is held by an ephemeral znode, which vanishes when the session of its owner \
                expires. A session expires 6 s after the servers last heard from its owner, and \
                the leader checks for expired sessions every 2 s. Then the next worker that has \
                finished its own mail takes the claim over.",
        designs: vec![
            Design {
                name: "sticky",
                is_right: false,
                breaks: &["exactly-once/lost", "live/stopped"],
                scenario: Staged::scenario(
                    "mail-claims/sticky",
                    about,
                    PLAN,
                    ClaimsOfAnEnsemble::scale(WORKERS),
                    StickyClaims { shelf: Shelf::of(MAILS) },
                ),
            },
            Design {
                name: "right",
                is_right: true,
                breaks: &[],
                scenario: Staged::scenario(
                    "mail-claims/right",
                    about,
                    PLAN,
                    ClaimsOfAnEnsemble::scale(WORKERS),
                    ClaimsOfAnEnsemble {
                        shelf: Shelf::of(MAILS),
                        batch: BATCH,
                        judging: JUDGING,
                        gap_max: GAP_MAX,
                        goals: || vec![session_expired(), mail::goals::claim_taken_over()],
                    },
                ),
            },
        ],
        questions: vec![
            Question {
                key: "takeover",
                text: "'right': w2 crashes at 5.0 s in the middle of a mail. At which second does \
                       another worker take over its claim?",
                answer: Answer::Number {
                    unit: Unit::SECONDS,
                    range: (5.0, 30.0),
                    tolerance: 1.5,
                    derivation: Some("5.0 + 6 + 2"),
                    truth: |records| taken_over_at(records, "right", "w2", CRASH_AT_S),
                },
                rests_on: &[
                    "crashes at 5.0 s in the middle of one mail",
                    "6 s after the servers last heard from its owner",
                    "checks for expired sessions every 2 s",
                ],
                why: "The session expires 6 s after the servers last heard from w2, shortly before \
                      it crashed. The leader checks every 2 s, so it takes up to 2 s more. Then \
                      the next worker that has finished its mail takes over.",
            },
            Question {
                key: "lost",
                text: "'sticky': how many mails have never been sent when the run ends, long after \
                       w2 restarted?",
                answer: Answer::Number {
                    unit: Unit::of("mail", "mails"),
                    range: (0.0, 100.0),
                    tolerance: 0.0,
                    derivation: Some("1"),
                    truth: |records| Some((MAILS - sent(records, "sticky")) as f64),
                },
                rests_on: &["in the middle of one mail", "nobody touches a claim that exists"],
                why: "The one that w2 was working on. The others see that it is claimed, and so \
                      does w2 after its restart: it does not remember the claim, and the znode \
                      cannot say whether its owner is alive.",
            },
        ],
    }
}

/// How many mails the sink has.
fn sent(records: &Records, design: &str) -> usize {
    let mails = records.observed(design).filter_map(|(_, _, observation)| match observation {
        Observation::Mail(MailFact::SinkAccepted { mail, .. }) => Some(mail),
        _ => None,
    });
    mails.collect::<BTreeSet<_>>().len()
}

/// Claims that stay.
struct StickyClaims {
    shelf: Shelf,
}

impl Act for StickyClaims {
    fn nodes(&self, scale: &Scale) -> Vec<NodeSpec> {
        workers(scale.get("workers")).chain([Sink::node()]).collect()
    }

    fn boot(&self, scale: &Scale, process: Process) -> Program {
        if &*process.node.0 == "sink" {
            return Sink::Fencing.boot(process);
        }
        let mails = self.shelf.mails();
        let worker = StickyWorker {
            config: client_config(scale, &scale.ensemble(), &process),
            outbox: Outbox::new(&process, mails.clone()),
            name: process.node.0,
            platform: process.platform,
            mails,
        };
        Box::pin(worker.run())
    }

    fn checkers(&self, scale: &Scale) -> Suite {
        let needs = through_ensemble(scale, scale.get("workers"));
        let once = self.shelf.exactly_once_at_the_sink();
        Suite::new()
            .with(IfPossible::new(once, needs.clone()))
            .with(self.shelf.live(scale, GAP_MAX).needing(needs))
    }

    fn goals(&self, _scale: &Scale) -> Vec<Goal> {
        vec![session_expired()]
    }

    fn work(&self, _scale: &Scale) -> Work {
        self.shelf.work()
    }
}

struct StickyWorker {
    platform: SimPlatform,
    name: Arc<str>,
    config: ClientConfig,
    mails: Arc<Mails>,
    outbox: Outbox,
}

impl StickyWorker {
    async fn run(mut self) {
        loop {
            let client = Client::connect(self.platform.clone(), self.config.clone());
            if self.work(&client).await.is_ok() {
                // Nothing is left to do; who ends is started again.
                return std::future::pending().await;
            }
            client.close().await;
            self.platform.sleep(BACKOFF).await;
        }
    }

    /// Goes through the inbox once, and does what nobody has claimed.
    async fn work(&mut self, client: &Client<SimPlatform>) -> Result<(), CallError> {
        client.ensure_path(CLAIMS).await?;
        for index in 0..self.mails.len() {
            let Some(token) = self.claim(client, index).await? else { continue };
            self.outbox.attempts(index, token);
            self.platform.sleep(JUDGING).await;
            // Nobody else has this claim, nor ever will, so there is nobody to be refused for.
            let claim = Arc::from(format!("claim-{index}"));
            let _ = self.outbox.send(&claim, token, index).await;
        }
        Ok(())
    }

    /// Claims a mail, and returns the number of the claim; `None` if it is claimed.
    async fn claim(
        &self,
        client: &Client<SimPlatform>,
        index: usize,
    ) -> Result<Option<u64>, CallError> {
        let path = format!("{CLAIMS}/{index:04}");
        client.session_begun().await;
        // By these a claim whose reply was lost is known as our own.
        let mark = format!("{} {:x} {}", self.name, client.session().0, client.unique_number());
        let mark = Bytes::from(mark);
        loop {
            let create =
                client.create(path.clone(), mark.clone(), CreateMode::Persistent, open_acl());
            match create.await {
                Ok((_, stat)) => return Ok(Some(stat.czxid.0)),
                Err(CallError::Refused(ErrorCode::NodeExists)) => {}
                Err(CallError::ConnectionLoss) => client.settle().await?,
                Err(error) => return Err(error),
            }
            match client.get_data(path.clone()).await {
                Ok((data, stat)) => {
                    return Ok((data.as_ref() == Some(&mark)).then_some(stat.czxid.0));
                }
                Err(CallError::Refused(ErrorCode::NoNode)) => {}
                Err(error) => return Err(error),
            }
        }
    }
}
