//! The museum's table: in which storms a defect is hunted, and which checkers are right to find it.
//!
//! Right is a checker whose property the defect breaks. A checker of the world (`convergence`,
//! `panic`) is right only where the report itself tells of a service that hangs or a server that
//! dies, or where a server asserts the very thing that the defect breaks.
//! Leaves: name, line and report to the table of the package that made the mistake.
//! Holds: every defect of every package is here, once, and no name is that of two.

use mailstorm_client::defect::Defect as Recipes;
use mailstorm_coordination::defect::Defect as Coordination;
use mailstorm_mail::defect::Defect as Mail;
use mailstorm_session::defect::Defect as Session;
use mailstorm_shared::defect::{DefectId, Description};

/// One defect, as it is hunted.
#[derive(Debug)]
pub(crate) struct Exhibit {
    /// What its package tells of it.
    pub(super) defect: &'static Description,
    /// In which scenarios it is hunted, in turn.
    pub(super) scenarios: &'static [&'static str],
    /// The checkers that are right to find it.
    pub(super) right: &'static [&'static str],
    /// What is known of a defect that hides, or comes out only after many seeds.
    pub(super) account: Option<&'static str>,
}

impl Exhibit {
    /// The one of this name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        TOUR.iter().find(|exhibit| exhibit.defect.name == name)
    }

    pub(super) fn id(&self) -> DefectId {
        self.defect.id
    }

    pub(super) fn name(&self) -> &'static str {
        self.defect.name
    }

    const fn with_account(self, account: &'static str) -> Self {
        Self { account: Some(account), ..self }
    }
}

const fn hunted(
    defect: &'static Description,
    scenarios: &'static [&'static str],
    right: &'static [&'static str],
) -> Exhibit {
    Exhibit { defect, scenarios, right, account: None }
}

/// Everything that runs on the ensemble.
const EVERYWHERE: &[&str] = &["ensemble", "mail-claims", "ensemble-3"];
/// Clients that use every operation.
const SERVICE: &[&str] = &["ensemble", "ensemble-3"];
/// Workers and the sink.
const MAIL: &[&str] = &["mail-claims"];

/// An acknowledged write is lost, or two servers hold different histories.
///
/// `quorum` reads the servers' own logs, so it names the cause of a lost write, be it in one log
/// only, before any client can see the loss.
const HISTORY: &[&str] =
    &["quorum", "split-brain", "linearizable", "session-order", "answers", "real-time"];
/// The same, for reports that tell of an ensemble that does not come up again, too.
const HISTORY_OR_HANG: &[&str] = &[
    "quorum",
    "split-brain",
    "linearizable",
    "session-order",
    "answers",
    "real-time",
    "convergence",
    "panic",
];
const EPHEMERALS: &[&str] = &["sessions"];
const WATCHES: &[&str] = &["watches", "convergence"];

/// Every exhibit, in the order of the tour.
pub(super) static TOUR: &[Exhibit] = &[
    hunted(Coordination::NewLeaderStartUnset.description(), EVERYWHERE, HISTORY_OR_HANG),
    hunted(Coordination::DiffForTrunc.description(), EVERYWHERE, HISTORY),
    hunted(Coordination::TailKeptPastSnapshot.description(), EVERYWHERE, HISTORY),
    hunted(Coordination::TreeKeptThroughElection.description(), EVERYWHERE, HISTORY),
    hunted(Coordination::NewLeaderEarlyInSnap.description(), EVERYWHERE, HISTORY).with_account(
        "It hides: the entries that NEWLEADER comes before follow it within milliseconds. It \
         does harm only if the leader is lost between the two, and the next one never had \
         those entries.",
    ),
    hunted(Coordination::NewLeaderAckedBeforeDiffOnDisk.description(), EVERYWHERE, HISTORY),
    hunted(Coordination::NewLeaderAckedWithWritesQueued.description(), EVERYWHERE, HISTORY),
    hunted(Coordination::CurrentEpochBeforeHistory.description(), EVERYWHERE, HISTORY)
        .with_account(
            "It takes a crash in the few milliseconds between two writes to the same disk, and an \
         election that the crashed server wins.",
        ),
    hunted(Coordination::LostInDiffRace.description(), EVERYWHERE, HISTORY),
    hunted(Coordination::CommittedLogHole.description(), EVERYWHERE, HISTORY),
    hunted(Coordination::DiffOverHalfSnap.description(), EVERYWHERE, HISTORY_OR_HANG),
    // The ephemeral stays because one server leaves out the transaction that ends its session. It
    // asserts of every transaction that the tree has what it builds on, where ZooKeeper passes over
    // it.
    hunted(
        Coordination::EphemeralOfDeadSessionStays.description(),
        EVERYWHERE,
        &["sessions", "quorum", "panic"],
    ),
    hunted(Coordination::EphemeralAfterSessionClosed.description(), EVERYWHERE, EPHEMERALS)
        .with_account(
            "It takes a create that reaches the leader in the few milliseconds between the \
         proposal of its session's end and the end itself, from a client that was silent for \
         six seconds and speaks again just then.",
        ),
    hunted(
        Coordination::SessionTrackerNotFed.description(),
        EVERYWHERE,
        &["sessions", "convergence"],
    ),
    hunted(Coordination::WatchesForgottenOnReconnect.description(), SERVICE, WATCHES),
    hunted(
        Coordination::SequenceAfterAbortedMulti.description(),
        SERVICE,
        &["answers", "linearizable", "quorum", "session-order"],
    ),
    hunted(Coordination::ZxidOverflow.description(), EVERYWHERE, HISTORY_OR_HANG),
    // The server that leads nobody is missing from the ensemble.
    hunted(Coordination::JoinerLeads.description(), EVERYWHERE, &["convergence", "quorum"])
        .with_account(
            "It hides: where nothing else is wrong a connection to a dead process breaks at once \
         in this world, so the others have noticed the end of a reign before the former \
         leader asks. And it does no harm but that one server is missing for a while, which \
         no checker minds in a storm.",
        ),
    // Where a majority reaches each other, work goes on.
    hunted(Coordination::ElectionCountsTheUnheard.description(), EVERYWHERE, &["convergence"])
        .with_account(
            "It takes a network in which hearing is not transitive while the checkers ask for \
         progress, and storms ask for it when the network is whole again. Every graph of up \
         to five voters is played beside the election itself, and finds it in the first that \
         has a bridge.",
        ),
    // No run is long enough for a leader's memory to end, but for its bounds to be passed.
    hunted(Coordination::SilentLearnersStay.description(), EVERYWHERE, &["bounds"]),
    hunted(Coordination::WindowIgnored.description(), EVERYWHERE, &["bounds"]),
    hunted(Coordination::ExpiredUnreported.description(), EVERYWHERE, EPHEMERALS),
    hunted(Coordination::EpochAcceptedLate.description(), EVERYWHERE, HISTORY).with_account(
        "It hides well: a new leader confirms its promises once more before it fixes its \
         history, so a promise that a crash takes back is made up for unless the crash comes \
         after that.",
    ),
    hunted(
        Coordination::FuzzySnapshotApart.description(),
        EVERYWHERE,
        &["sessions", "quorum", "split-brain", "linearizable", "answers", "real-time"],
    ),
    hunted(Coordination::ProposeOnlyToAcknowledged.description(), EVERYWHERE, HISTORY_OR_HANG),
    hunted(Coordination::RepeatedProposalSkipsAck.description(), EVERYWHERE, HISTORY_OR_HANG),
    hunted(Coordination::CommitWithAckZxid.description(), EVERYWHERE, HISTORY_OR_HANG),
    hunted(Coordination::AckBeforeSync.description(), EVERYWHERE, HISTORY),
    hunted(Coordination::MinorityQuorum.description(), EVERYWHERE, HISTORY),
    hunted(
        Mail::LockWithoutFencing.description(),
        MAIL,
        &["exactly-once", "split-brain", "fencing"],
    ),
    hunted(
        Mail::FenceRaisedByResultsAlone.description(),
        MAIL,
        &["fencing", "exactly-once", "split-brain"],
    ),
    // The sink's fence keeps the results of two holders apart; that neither can finish is not
    // hidden by it.
    hunted(
        Recipes::ClaimWithoutVersion.description(),
        MAIL,
        &["exactly-once", "split-brain", "convergence"],
    ),
    hunted(Recipes::OrphanedLock.description(), MAIL, &["convergence", "split-brain"]),
    hunted(Coordination::SyncUnconfirmed.description(), SERVICE, &["linearizable", "real-time"]),
    hunted(Coordination::EventAfterReply.description(), SERVICE, &["watches"]),
    hunted(Coordination::SessionExpiredEarly.description(), EVERYWHERE, EPHEMERALS),
    hunted(Coordination::TouchesNotReported.description(), EVERYWHERE, EPHEMERALS),
    hunted(
        Coordination::RepliesOutOfOrder.description(),
        SERVICE,
        &["session-order", "linearizable", "answers"],
    ),
    hunted(Coordination::TruncateIgnored.description(), EVERYWHERE, HISTORY),
    hunted(Coordination::DamagedMiddleSkipped.description(), EVERYWHERE, HISTORY),
    hunted(Coordination::LostDiskVotes.description(), EVERYWHERE, HISTORY),
    hunted(Coordination::ParentNotAsked.description(), SERVICE, &["answers"]),
    hunted(Coordination::CheckOfTheApplied.description(), SERVICE, &["answers"]),
    hunted(Coordination::EphemeralsOfTheNext.description(), SERVICE, &["answers"]),
    hunted(Coordination::CountWithItself.description(), SERVICE, &["answers"]),
    hunted(Coordination::ListOfAnybody.description(), SERVICE, &["answers"]),
    hunted(Coordination::TimeToLiveFromBirth.description(), SERVICE, &["sweeps"]),
    hunted(Coordination::NewContainerSwept.description(), SERVICE, &["sweeps"]),
    hunted(Session::WatchesNotRearmed.description(), SERVICE, WATCHES),
    // Who is told that a write failed which was done leaves behind what it has taken: nobody else
    // can have it, and the mail waits for ever.
    hunted(
        Session::WriteSentAgain.description(),
        EVERYWHERE,
        &["linearizable", "exactly-once", "session-order", "answers", "convergence"],
    ),
    hunted(Mail::AttemptNotedAfter.description(), MAIL, &["exactly-once", "convergence"]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use mailstorm_record::Settings;
    use std::collections::BTreeSet;

    /// What every package tells of its defects.
    fn told_by_packages() -> Vec<&'static Description> {
        let service = Coordination::ALL.iter().map(|defect| defect.description());
        let sessions = Session::ALL.iter().map(|defect| defect.description());
        let recipes = Recipes::ALL.iter().map(|defect| defect.description());
        let mail = Mail::ALL.iter().map(|defect| defect.description());
        service.chain(sessions).chain(recipes).chain(mail).collect()
    }

    #[test]
    fn every_defect_is_hunted_where_a_right_checker_looks() {
        let mut known: BTreeSet<String> = ["convergence", "panic"].map(str::to_owned).into();
        for scenario in mailstorm_scenarios::all(None) {
            let suite = scenario.checkers(1).finish(0).0;
            known.extend(suite.into_iter().map(|(name, _)| name.to_owned()));
        }
        for exhibit in TOUR {
            assert!(!exhibit.scenarios.is_empty() && !exhibit.right.is_empty(), "{exhibit:?}");
            for name in exhibit.scenarios {
                assert!(crate::given::find(name, None, &Settings::default()).is_ok(), "{name}");
            }
            for checker in exhibit.right {
                assert!(known.contains(*checker), "{}: {checker}", exhibit.name());
            }
        }
    }

    #[test]
    fn every_defect_of_every_package_is_an_exhibit_and_every_exhibit_a_defect() {
        let told: BTreeSet<_> = told_by_packages().iter().map(|defect| defect.name).collect();
        let shown: BTreeSet<_> = TOUR.iter().map(Exhibit::name).collect();
        assert_eq!(told, shown);
        assert_eq!(TOUR.len(), shown.len(), "an exhibit stands there twice");
    }

    #[test]
    fn no_two_defects_of_any_packages_have_one_name() {
        let told = told_by_packages();
        let ids: BTreeSet<_> = told.iter().map(|defect| defect.id).collect();
        assert_eq!(ids.len(), told.len());
        for defect in told {
            assert_eq!(defect.id.name(), defect.name);
            assert!(Exhibit::named(defect.name).is_some_and(|shown| shown.id() == defect.id));
        }
    }

    #[test]
    fn every_line_is_a_sentence_and_every_report_is_named_in_none() {
        for Description { name, line, report, .. } in told_by_packages() {
            assert!(line.ends_with('.') && line.starts_with(char::is_uppercase), "{name}: {line}");
            assert!(!report.is_empty() && !report.ends_with('.'), "{name}: {report}");
        }
    }
}
