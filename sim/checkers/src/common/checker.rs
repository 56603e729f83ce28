//! What a checker is, and which events it wants to see.

use crate::Figure;
use crate::common::kinds;
use mailstorm_record::{Event, Happening, NodeName, Plan, Verdict, Violation};
use mailstorm_shared::Observation;
use std::ops::BitOr;

/// One property, watched while a run goes on.
pub trait Checker {
    /// Its name, as it stands in violations and in scenarios: `quorum`, `exactly-once`, ...
    fn name(&self) -> &'static str;

    /// The kinds of violations that it can find.
    fn kinds(&self) -> &'static [&'static str] {
        kinds::of(self.name())
    }

    /// What will go wrong. Told once, before the first event; a history of real servers may have no plan.
    fn plan(&mut self, _plan: &Plan) {}

    /// Measures, before [`Checker::observe`] looks at the same event. A checker that has found something
    /// goes on measuring: how long two masters believed in themselves matters most when it did harm.
    fn measure(&mut self, _event: &Event) {}

    /// The run ends at `at_ns`, whatever was found: what was being measured is over.
    fn measured(&mut self, _at_ns: u64) {}

    /// Looks at the next event of the run.
    ///
    /// # Errors
    /// A [`Violation`] as soon as the property is known to be broken. The checker is done then: it judges
    /// no more.
    fn observe(&mut self, event: &Event) -> Result<(), Violation>;

    /// Judges what can only be judged at the end of the run, at `at_ns`. Called once, and only if no
    /// call of [`Checker::observe`] returned a violation.
    fn finish(&mut self, at_ns: u64) -> Verdict;

    /// The events it wants to see. Others may be kept from it, which saves a call per event.
    fn interests(&self) -> Interests {
        Interests::ALL
    }

    /// What it measured. Complete after [`Checker::measured`] and, where it was called, [`Checker::finish`].
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
    let nodes = nodes.into_iter().collect();
    let (checker, kind) = (checker.to_owned(), kind.to_owned());
    Violation { checker, kind, at_ns, nodes, detail, ..Violation::default() }
}

/// A set of kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interests(u16);

impl Interests {
    /// Every event.
    pub const ALL: Self = Self(u16::MAX);
    /// Who looks, follows, leads, steps down; epochs accepted.
    pub const LEADERSHIP: Self = Self(1);
    /// What servers log, cut, make durable and commit.
    pub const LOG: Self = Self(1 << 1);
    /// Transactions applied.
    pub const APPLIED: Self = Self(1 << 2);
    /// Writes acknowledged by servers.
    pub const ACKNOWLEDGED: Self = Self(1 << 3);
    /// Sessions heard of and expired, as servers see them.
    pub const SESSIONS: Self = Self(1 << 4);
    /// Operations of clients: invoked and returned.
    pub const OPERATIONS: Self = Self(1 << 5);
    /// Connections and sessions, as clients see them.
    pub const CONNECTIONS: Self = Self(1 << 6);
    /// Watch events delivered.
    pub const WATCH_EVENTS: Self = Self(1 << 7);
    /// Mails attempted, accepted and refused; masters; what applications measure; milestones.
    pub const MAIL: Self = Self(1 << 8);
    /// Processes started, crashed, paused, resumed; disks damaged, writes lost.
    pub const PROCESSES: Self = Self(1 << 9);
    /// Phases of the run and faults of the plan.
    pub const PLAN: Self = Self(1 << 10);
    /// Messages sent and delivered, and what servers are, told in full recordings only.
    pub const TRAFFIC: Self = Self(1 << 11);

    /// Whether the two sets have a kind in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The one kind that an event is of.
    pub fn of(event: &Event) -> Self {
        let observation = match &event.happening {
            Happening::Observed { observation } => observation,
            Happening::Started { .. }
            | Happening::Crashed { .. }
            | Happening::WritesLost { .. }
            | Happening::Paused
            | Happening::Resumed
            | Happening::DiskDamaged => return Self::PROCESSES,
            Happening::FaultBegan { .. }
            | Happening::FaultEnded { .. }
            | Happening::Phase { .. } => return Self::PLAN,
            Happening::Sent { .. } | Happening::Delivered { .. } | Happening::State { .. } => {
                return Self::TRAFFIC;
            }
        };
        match observation {
            Observation::ServerStarted { .. }
            | Observation::Looking { .. }
            | Observation::EpochAccepted { .. }
            | Observation::Follows { .. }
            | Observation::Leads { .. }
            | Observation::SteppedDown { .. } => Self::LEADERSHIP,
            Observation::Appended { .. }
            | Observation::Truncated { .. }
            | Observation::SnapshotInstalled { .. }
            | Observation::Durable { .. }
            | Observation::DiskHolds { .. }
            | Observation::QuorumCommitted { .. } => Self::LOG,
            Observation::Applied { .. } => Self::APPLIED,
            Observation::Acknowledged { .. } => Self::ACKNOWLEDGED,
            Observation::SessionHeard { .. } | Observation::SessionExpired { .. } => Self::SESSIONS,
            Observation::Invoked { .. } | Observation::Returned { .. } => Self::OPERATIONS,
            Observation::ClientConnected { .. }
            | Observation::ClientDisconnected { .. }
            | Observation::ClientSessionEnded { .. }
            | Observation::ProtocolBroken { .. } => Self::CONNECTIONS,
            Observation::EventDelivered { .. } | Observation::WatchGivenUp { .. } => {
                Self::WATCH_EVENTS
            }
            Observation::MailAttempted { .. }
            | Observation::SinkAccepted { .. }
            | Observation::SinkRefused { .. }
            | Observation::MasterBelieves { .. }
            | Observation::MasterResigns { .. }
            | Observation::Measured { .. }
            | Observation::Milestone { .. } => Self::MAIL,
        }
    }
}

impl BitOr for Interests {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
