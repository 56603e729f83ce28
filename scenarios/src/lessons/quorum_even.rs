//! Lesson 9: a fourth server does not make an ensemble survive more.
//!
//! Topology: three, four, five or six servers, and two clients, `a1` and `b1`, that each write a
//! znode of their own every half a second. `s1` dies at 3.0, `s2` at 6.0, `s3` at 9.0 s; all are
//! back at 15.0.
//!
//! The claim on trial is that an ensemble goes on while no more than half of its servers (rounded
//! down) are gone: that three survive one, four and five two, six three. While no more are gone
//! than that, no client may wait for longer than it takes to elect a leader. With three and five
//! servers the claim is true. With four it breaks at 6.0 s, with six at 9.0 s: a majority of four
//! is three, so the fourth server adds one to what a majority needs, and nothing to what may fail.
//!
//! Then the same four are cut in two halves from 5.0 to 20.0 s. By majority neither half writes
//! (`split`). If half of them is enough, both halves do, and what one acknowledged is cut off when
//! they meet again (`split-half`).
//!
//! Under faults that are drawn from a seed nobody is promised when they may write, so `four` and
//! `six` hold there: they are as safe as all others. `split-half` breaks at the first seed, and
//! under 193 of 200.

use super::designs::writer::{Writer, acknowledged, in_doubt, is_acknowledged, whose_write};
use super::stage::{Act, Program, Staged, Work, first_of_each, patience, patience_with_sessions};
use super::{Answer, Design, Lesson, Question, Records, Unit};
use crate::nodes::client_config;
use crate::scale::Scale;
use mailstorm_checkers::{
    Bound, Goal, Interests, Linearizable, Live, Needs, Quorum, SplitBrain, Suite,
};
use mailstorm_coordination::defect::Defect;
use mailstorm_record::{Event, Happening, NodeName};
use mailstorm_shared::{Defects, Millis};
use mailstorm_world::{NodeSpec, Process};
use std::collections::BTreeSet;

/// One more server dies every three seconds.
const CRASHES: &str = r#"
lasts_ms = 20000

[[faults]]
at_ms = 3000
lasts_ms = 12000
kind.crash = { nodes = ["s1"] }

[[faults]]
at_ms = 6000
lasts_ms = 9000
kind.crash = { nodes = ["s2"] }

[[faults]]
at_ms = 9000
lasts_ms = 6000
kind.crash = { nodes = ["s3"] }
"#;

const HALVES: &str = r#"
lasts_ms = 25000

[[faults]]
at_ms = 5000
lasts_ms = 15000
kind.partition = { sides = [["s1", "s2", "a1"], ["s3", "s4", "b1"]] }
"#;

/// Each writes its own znode twice a second, a quarter of a second apart.
const WRITERS: [Writer; 2] = [
    Writer { name: "a1", znode: "/clusterx/a1", data: "a1", every: WRITE_EVERY, offset: Millis(0) },
    Writer {
        name: "b1",
        znode: "/clusterx/b1",
        data: "b1",
        every: WRITE_EVERY,
        offset: Millis(250),
    },
];
const WRITE_EVERY: Millis = Millis(500);
/// The acknowledged writes of one client, over the whole lesson.
const WRITES: u64 = 30;
/// An election, and the way to another server, while enough servers live.
const WAIT_MAX: Millis = Millis(2_500);
/// Two turns of a client, and an election, while a majority hears itself.
const GAP_MAX: Millis = Millis(5_000);
const NS_PER_MS: u64 = 1_000_000;

/// The lesson.
pub(super) fn lesson() -> Lesson {
    let crashes = |name, scenario, servers, is_right, breaks| Design {
        name,
        is_right,
        breaks,
        scenario: Staged::scenario(
            scenario,
            "servers that die one after the other, until too few are left",
            CRASHES,
            Scale::of_lesson(servers),
            Servers { defects: Defects::NONE, is_split: false },
        ),
    };
    let halves = |name, scenario, defects, is_right, breaks| Design {
        name,
        is_right,
        breaks,
        scenario: Staged::scenario(
            scenario,
            "four servers in two halves, and a client on either side",
            HALVES,
            Scale::of_lesson(4),
            Servers { defects, is_split: true },
        ),
    };
    let half = Defects::from(Defect::MinorityQuorum);
    let (waits, two_brains) =
        (&["bound/exceeded"], &["quorum/minority", "split-brain/late_commit"]);
    Lesson {
        number: 9,
        name: "quorum-even",
        title: "Four must be safer than three.",
        story: "A majority is half of the servers, rounded down, and one more; servers that are \
                down count in the whole. With a majority clients can write, without it they \
                cannot. One server crashes at 3.0 s, another at 6.0 s, another at 9.0 s; all \
                restart at 15.0 s. The designs 'three', 'four', 'five' and 'six', with as many \
                servers, test a claim: half of the servers, rounded down, may be down. Then four \
                servers are cut into two halves from 5.0 to 20.0 s: 'split' needs a majority, for \
                'split-half' half of the servers is enough.",
        designs: vec![
            crashes("four", "quorum-even/four", 4, false, waits),
            crashes("six", "quorum-even/six", 6, false, waits),
            halves("split-half", "quorum-even/split-half", half, false, two_brains),
            crashes("three", "quorum-even/three", 3, true, &[]),
            crashes("five", "quorum-even/five", 5, true, &[]),
            halves("split", "quorum-even/split", Defects::NONE, true, &[]),
        ],
        questions: vec![
            Question {
                key: "four-survive",
                text: "'four': how many of the four servers may be down while clients can still \
                       write?",
                answer: Answer::Number {
                    unit: Unit::of("server", "servers"),
                    range: (0.0, 4.0),
                    tolerance: 0.0,
                    derivation: Some("4 - (4 / 2 + 1)"),
                    truth: |records| survived(records, "four"),
                },
                rests_on: &[
                    "half of the servers, rounded down, and one more",
                    "With a majority clients can write",
                    "'three', 'four', 'five' and 'six'",
                ],
                why: "A majority of four is three, so only one may be down, as with three servers. \
                      The fourth server costs money and tolerates nothing.",
            },
            Question {
                key: "six-survive",
                text: "'six': how many of the six servers may be down while clients can still write?",
                answer: Answer::Number {
                    unit: Unit::of("server", "servers"),
                    range: (0.0, 6.0),
                    tolerance: 0.0,
                    derivation: Some("6 - (6 / 2 + 1)"),
                    truth: |records| survived(records, "six"),
                },
                rests_on: &[
                    "half of the servers, rounded down, and one more",
                    "With a majority clients can write",
                    "'three', 'four', 'five' and 'six'",
                ],
                why: "A majority of six is four, so two may be down, as with five servers. From \
                      three to six servers it is one, one, two and two: only odd sizes gain \
                      anything.",
            },
            Question {
                key: "halves",
                text: "'split': four servers, cut into two and two, decide by majority. Who can \
                       write during the cut?",
                answer: Answer::Choice {
                    choices: &[
                        ("both", "both halves write"),
                        ("one", "one half writes"),
                        ("nobody", "no half writes"),
                    ],
                    truth: |records| who_wrote(records, "split"),
                },
                rests_on: &["four servers are cut into two halves", "'split' needs a majority"],
                why: "Neither half has three servers. If half of the servers were a quorum, both \
                      halves would write, and one of the two histories would have to go: that is \
                      the risk of an even number.",
            },
        ],
    }
}

/// After how many crashes there was still somebody who could write.
fn survived(records: &Records, design: &str) -> Option<f64> {
    /// Writes that were acknowledged in the last of the time until the next crash count: those
    /// right after a crash may have been on their way.
    const LAST_NS: u64 = 1_000 * NS_PER_MS;
    let (mut crashes, mut writes, mut healed) = (Vec::new(), Vec::new(), None);
    for event in records.events(design) {
        match &event.happening {
            Happening::FaultBegan { .. } => crashes.push(event.at_ns),
            Happening::FaultEnded { .. } => _ = healed.get_or_insert(event.at_ns),
            _ if is_acknowledged(event) => writes.push(event.at_ns),
            _ => {}
        }
    }
    let ends = crashes.iter().skip(1).copied().chain(healed);
    let is_survived = |end: &u64| writes.iter().any(|at| (end - LAST_NS..*end).contains(at));
    Some(ends.take_while(is_survived).count() as f64)
}

/// Whose writes were acknowledged during the cut, later than a write that was on its way takes.
fn who_wrote(records: &Records, design: &str) -> Option<&'static str> {
    const CUT: std::ops::Range<u64> = 6_000 * NS_PER_MS..20_000 * NS_PER_MS;
    let acknowledged = records.events(design).filter(|event| is_acknowledged(event));
    let writers: BTreeSet<_> =
        acknowledged.filter(|event| CUT.contains(&event.at_ns)).map(|event| &event.node).collect();
    ["nobody", "one", "both"].get(writers.len()).copied()
}

struct Servers {
    /// The size of a quorum, if it is not a majority.
    defects: Defects,
    /// Whether the plan cuts them into halves, instead of having them die.
    is_split: bool,
}

impl Act for Servers {
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
        let shares = (WRITERS.len() as u64, WRITES);
        let gap = patience_with_sessions(scale, GAP_MAX);
        let needs = Needs::of(&scale.ensemble(), WRITERS.map(|writer| writer.name));
        let live =
            Live::shared("acknowledged write", shares, gap, Interests::APPLICATION, whose_write)
                .needing(needs);
        let suite = Suite::new()
            .with(Quorum::new(scale.ensemble()))
            .with(SplitBrain::new())
            .with(Linearizable::new())
            .with(live);
        if self.is_split {
            return suite;
        }
        let claimed = scale.get("servers") as usize / 2;
        suite.with(Bound::new(
            "wait_ms",
            "how long nobody could write while no more than half of the servers were gone",
            patience(scale, WAIT_MAX).0,
            Interests::APPLICATION | Interests::PROCESSES | Interests::PLAN,
            wait_ms(claimed),
        ))
    }

    fn goals(&self, _scale: &Scale) -> Vec<Goal> {
        let mut goals = vec![acknowledged()];
        if self.is_split && self.defects == Defects::NONE {
            goals.push(in_doubt());
        }
        goals
    }

    fn work(&self, _scale: &Scale) -> Work {
        let writes = first_of_each(WRITES, whose_write);
        Work::new("acknowledged writes", WRITERS.len() as u64 * WRITES, writes)
    }
}

/// How long there has been no acknowledged write, in milliseconds, while at most so many servers
/// were gone. The claim is about servers that die: from the first fault of another kind on it says
/// nothing.
fn wait_ms(claimed: usize) -> impl FnMut(&Event) -> Option<u64> {
    let (mut gone, mut since_ns): (BTreeSet<NodeName>, _) = (BTreeSet::new(), 0);
    let (mut written, mut is_about_crashes) = (0, true);
    move |event| {
        if let Happening::FaultBegan { kind, nodes, .. } = &event.happening {
            is_about_crashes &= **kind == *"crash" && nodes.iter().all(|n| n.0.starts_with('s'));
        }
        let was_promised =
            is_about_crashes && gone.len() <= claimed && written < WRITERS.len() as u64 * WRITES;
        let waited_ms = event.at_ns.saturating_sub(since_ns) / NS_PER_MS;
        let server = event.node.as_ref().filter(|node| node.0.starts_with('s'));
        match (&event.happening, server) {
            (Happening::Crashed { .. }, Some(server)) => _ = gone.insert(server.clone()),
            (Happening::Started { .. }, Some(server)) => _ = gone.remove(server),
            _ => {}
        }
        let is_written = is_acknowledged(event);
        written += u64::from(is_written);
        if !was_promised || is_written {
            since_ns = event.at_ns;
        }
        was_promised.then_some(waited_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lessons::SEED;

    #[test]
    fn three_four_five_and_six_servers_survive_one_one_two_and_two_crashes() {
        let records = Records::of(&lesson(), SEED);
        let table = ["three", "four", "five", "six"].map(|design| survived(&records, design));
        assert_eq!(table, [1.0, 1.0, 2.0, 2.0].map(Some));
        assert_eq!(who_wrote(&records, "split-half"), Some("both"));
    }
}
