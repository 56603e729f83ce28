//! Which scenarios a defect is hunted in, and which checkers are the right ones to find it.
//!
//! Right is a checker whose property the defect breaks. A checker of the world (`convergence`, `panic`) is
//! right only where the report itself tells of a service that hangs or a server that dies.

use mailstorm_shared::defect::Defect;

/// Everything that runs on the ensemble.
const EVERYWHERE: &[&str] = &["ensemble", "mail-claims", "ensemble-3"];
/// Clients that use every operation.
const SERVICE: &[&str] = &["ensemble", "ensemble-3"];
/// Workers and the sink.
const MAIL: &[&str] = &["mail-claims"];

/// In which scenarios it is hunted, in turn.
pub(super) fn scenarios(defect: Defect) -> &'static [&'static str] {
    match defect {
        Defect::LockWithoutFencing
        | Defect::ClaimWithoutVersion
        | Defect::OrphanedLock
        | Defect::AttemptNotedAfter => MAIL,
        Defect::SequenceAfterAbortedMulti
        | Defect::SyncUnconfirmed
        | Defect::EventAfterReply
        | Defect::RepliesOutOfOrder
        | Defect::WatchesNotRearmed
        | Defect::WatchesForgottenOnReconnect => SERVICE,
        _ => EVERYWHERE,
    }
}

/// The checkers that are right to find it.
pub(super) fn right(defect: Defect) -> &'static [&'static str] {
    /// An acknowledged write is lost, or two servers hold different histories.
    const HISTORY: &[&str] = &["quorum", "split-brain", "linearizable", "session-order"];
    /// The same, for reports that tell of an ensemble that does not come up again, too.
    const HISTORY_OR_HANG: &[&str] =
        &["quorum", "split-brain", "linearizable", "session-order", "convergence", "panic"];
    const EPHEMERALS: &[&str] = &["sessions"];
    const WATCHES: &[&str] = &["watches", "convergence"];
    match defect {
        Defect::NewLeaderStartUnset
        | Defect::CommitWithAckZxid
        | Defect::ProposeOnlyToAcknowledged
        | Defect::RepeatedProposalSkipsAck
        | Defect::CommittedLogHole
        | Defect::DiffOverHalfSnap
        | Defect::ZxidOverflow => HISTORY_OR_HANG,
        Defect::EphemeralOfDeadSessionStays
        | Defect::EphemeralAfterSessionClosed
        | Defect::SessionExpiredEarly
        | Defect::TouchesNotReported => EPHEMERALS,
        Defect::SessionTrackerNotFed => &["sessions", "convergence"],
        Defect::FuzzySnapshotApart => &["sessions", "quorum", "split-brain", "linearizable"],
        Defect::WatchesForgottenOnReconnect | Defect::WatchesNotRearmed => WATCHES,
        Defect::EventAfterReply => &["watches"],
        Defect::SequenceAfterAbortedMulti => &["linearizable", "quorum", "split-brain", "panic"],
        Defect::RepliesOutOfOrder => &["session-order", "linearizable"],
        Defect::SyncUnconfirmed => &["linearizable"],
        Defect::WriteSentAgain => &["linearizable", "exactly-once", "session-order"],
        Defect::LockWithoutFencing | Defect::ClaimWithoutVersion => {
            &["exactly-once", "split-brain"]
        }
        Defect::OrphanedLock => &["convergence", "split-brain"],
        Defect::AttemptNotedAfter => &["exactly-once", "convergence"],
        _ => HISTORY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mailstorm_record::Settings;
    use std::collections::BTreeSet;

    #[test]
    fn every_defect_is_hunted_where_a_right_checker_looks() {
        let mut known: BTreeSet<String> = ["convergence", "panic"].map(str::to_owned).into();
        for scenario in mailstorm_scenarios::all(None) {
            let suite = scenario.checkers(1).finish(0).0;
            known.extend(suite.into_iter().map(|(name, _)| name.to_owned()));
        }
        for defect in Defect::ALL {
            for name in scenarios(defect) {
                assert!(crate::given::find(name, None, &Settings::default()).is_ok(), "{name}");
            }
            for checker in right(defect) {
                assert!(known.contains(*checker), "{}: {checker}", defect.name());
            }
        }
    }
}
