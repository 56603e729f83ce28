//! What a checker is, and which events it wants to see.

use crate::Figure;
use crate::common::kinds;
use mailstorm_record::{Event, Happening, NodeName, Plan, Verdict, Violation};
use mailstorm_shared::facts::Subject;
use std::ops::BitOr;

/// One property, watched while a run goes on.
pub trait Checker {
    /// Its name, as it stands in violations and in scenarios: `quorum`, `exactly-once`, ...
    fn name(&self) -> &'static str;

    /// The kinds of violations that it can find.
    fn kinds(&self) -> &'static [&'static str] {
        kinds::of(self.name())
    }

    /// What will go wrong. Told once, before the first event; a history of real servers may have no
    /// plan.
    fn plan(&mut self, _plan: &Plan) {}

    /// Measures, before [`Checker::observe`] looks at the same event. A checker that has found
    /// something goes on measuring: how long two masters believed in themselves matters most when
    /// it did harm.
    fn measure(&mut self, _event: &Event) {}

    /// The run ends at `at_ns`, whatever was found: what was being measured is over.
    fn measured(&mut self, _at_ns: u64) {}

    /// Looks at the next event of the run.
    ///
    /// # Errors
    /// A [`Violation`] as soon as the property is known to be broken. The checker is done then: it
    /// judges no more.
    fn observe(&mut self, event: &Event) -> Result<(), Violation>;

    /// Judges what can only be judged at the end of the run, at `at_ns`. Called once, and only if
    /// no call of [`Checker::observe`] returned a violation.
    fn finish(&mut self, at_ns: u64) -> Verdict {
        let _ = at_ns;
        Verdict::Pass
    }

    /// The events it wants to see. Others may be kept from it, which saves a call per event.
    fn interests(&self) -> Interests {
        Interests::ALL
    }

    /// What it measured. Complete after [`Checker::measured`] and, where it was called,
    /// [`Checker::finish`].
    fn figures(&self) -> Vec<Figure> {
        Vec::new()
    }
}

/// A violation of `checker`'s property, made known at `at_ns`.
pub(crate) fn violation(
    checker: &str,
    kind: &str,
    at_ns: u64,
    nodes: impl IntoIterator<Item = NodeName>,
    detail: String,
) -> Violation {
    kinds::expect_known(checker, kind);
    Violation::new(checker, kind, at_ns, nodes, detail)
}

/// A set of kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interests(u16);

impl Interests {
    /// Every event.
    pub const ALL: Self = Self(u16::MAX);
    /// Who looks, follows, leads, steps down; epochs accepted.
    pub const LEADERSHIP: Self = Self::facts_about(Subject::Leadership);
    /// What servers log, cut, make durable and commit.
    pub const LOG: Self = Self::facts_about(Subject::Log);
    /// Transactions applied.
    pub const APPLIED: Self = Self::facts_about(Subject::Applied);
    /// Writes acknowledged by servers.
    pub const ACKNOWLEDGED: Self = Self::facts_about(Subject::Acknowledged);
    /// Sessions heard of and expired, as servers see them.
    pub const SESSIONS: Self = Self::facts_about(Subject::Sessions);
    /// Operations of clients: invoked and returned.
    pub const OPERATIONS: Self = Self::facts_about(Subject::Operations);
    /// Connections and sessions, as clients see them.
    pub const CONNECTIONS: Self = Self::facts_about(Subject::Connections);
    /// Watch events delivered.
    pub const WATCH_EVENTS: Self = Self::facts_about(Subject::Watches);
    /// Mails attempted, accepted and refused; masters; what applications measure; milestones; what
    /// only an application knows.
    pub const APPLICATION: Self = Self::facts_about(Subject::Application);
    /// Processes started, crashed, paused, resumed; disks damaged, writes lost.
    pub const PROCESSES: Self = Self(1 << 13);
    /// Phases of the run and faults of the plan.
    pub const PLAN: Self = Self(1 << 14);
    /// Messages sent and delivered, and what servers are, told in full recordings only.
    pub const TRAFFIC: Self = Self(1 << 15);

    /// The facts about this.
    pub const fn facts_about(subject: Subject) -> Self {
        assert!((subject as u16) < 13, "the last three bits are for what the world tells");
        Self(1 << subject as u16)
    }

    /// Whether the two sets have a kind in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The one kind that an event is of.
    pub fn of(event: &Event) -> Self {
        match &event.happening {
            Happening::Observed { observation } => Self::facts_about(observation.subject()),
            Happening::Started { .. }
            | Happening::Crashed { .. }
            | Happening::WritesLost { .. }
            | Happening::Paused
            | Happening::Resumed
            | Happening::DiskDamaged => Self::PROCESSES,
            Happening::FaultBegan { .. }
            | Happening::FaultEnded { .. }
            | Happening::Phase { .. } => Self::PLAN,
            Happening::Sent { .. } | Happening::Delivered { .. } | Happening::State { .. } => {
                Self::TRAFFIC
            }
        }
    }
}

impl BitOr for Interests {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
