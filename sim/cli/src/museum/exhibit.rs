//! Which scenarios a defect is hunted in, and which checkers are the right ones to find it.
//!
//! Right is a checker whose property the defect breaks. A checker of the world (`convergence`, `panic`) is
//! right only where the report itself tells of a service that hangs or a server that dies, or where a server
//! asserts the very thing that the defect breaks.

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
///
/// `quorum` reads the servers' own logs, so it names the cause of a lost write, be it in one log only, before
/// any client can see the loss.
pub(super) fn right(defect: Defect) -> &'static [&'static str] {
    /// An acknowledged write is lost, or two servers hold different histories.
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
    match defect {
        Defect::NewLeaderStartUnset
        | Defect::CommitWithAckZxid
        | Defect::ProposeOnlyToAcknowledged
        | Defect::RepeatedProposalSkipsAck
        | Defect::DiffOverHalfSnap
        | Defect::ZxidOverflow => HISTORY_OR_HANG,
        // The ephemeral stays because one server leaves out the transaction that ends its session. It asserts
        // of every transaction that the tree has what it builds on, where ZooKeeper passes over it.
        Defect::EphemeralOfDeadSessionStays => &["sessions", "quorum", "panic"],
        Defect::EphemeralAfterSessionClosed
        | Defect::SessionExpiredEarly
        | Defect::ExpiredUnreported
        | Defect::TouchesNotReported => EPHEMERALS,
        Defect::SessionTrackerNotFed => &["sessions", "convergence"],
        Defect::FuzzySnapshotApart => {
            &["sessions", "quorum", "split-brain", "linearizable", "answers", "real-time"]
        }
        Defect::WatchesForgottenOnReconnect | Defect::WatchesNotRearmed => WATCHES,
        Defect::EventAfterReply => &["watches"],
        Defect::SequenceAfterAbortedMulti => {
            &["answers", "linearizable", "quorum", "session-order"]
        }
        // The server that leads nobody is missing from the ensemble.
        Defect::JoinerLeads => &["convergence", "quorum"],
        // Where a majority reaches each other, work goes on.
        Defect::ElectionCountsTheUnheard => &["convergence"],
        // A server that holds on to a dead one grows, and no run is long enough for its memory to end.
        Defect::SilentLearnersStay => &["convergence", "panic"],
        Defect::RepliesOutOfOrder => &["session-order", "linearizable", "answers"],
        Defect::SyncUnconfirmed => &["linearizable", "real-time"],
        // Who is told that a write failed which was done leaves behind what it has taken: nobody else
        // can have it, and the mail waits for ever.
        Defect::WriteSentAgain => {
            &["linearizable", "exactly-once", "session-order", "answers", "convergence"]
        }
        Defect::LockWithoutFencing => &["exactly-once", "split-brain"],
        // The sink's fence keeps the results of two holders apart; that neither can finish is not
        // hidden by it.
        Defect::ClaimWithoutVersion => &["exactly-once", "split-brain", "convergence"],
        Defect::OrphanedLock => &["convergence", "split-brain"],
        Defect::AttemptNotedAfter => &["exactly-once", "convergence"],
        _ => HISTORY,
    }
}

/// What is known of a defect that hides, or comes out only after many seeds.
pub(super) fn account(defect: Defect) -> Option<&'static str> {
    match defect {
        Defect::NewLeaderEarlyInSnap => Some(
            "It hides: the entries that NEWLEADER comes before follow it within milliseconds. It does harm \
             only if the leader is lost between the two, and the next one never had those entries.",
        ),
        Defect::EphemeralAfterSessionClosed => Some(
            "It takes a create that reaches the leader in the few milliseconds between the proposal of its \
             session's end and the end itself, from a client that was silent for six seconds and speaks again \
             just then.",
        ),
        Defect::JoinerLeads => Some(
            "It hides: where nothing else is wrong a connection to a dead process breaks at once in this \
             world, so the others have noticed the end of a reign before the former leader asks. And it \
             does no harm but that one server is missing for a while, which no checker minds in a storm.",
        ),
        Defect::ElectionCountsTheUnheard => Some(
            "It takes a network in which hearing is not transitive while the checkers ask for progress, and \
             storms ask for it when the network is whole again. Every graph of up to five voters is played \
             beside the election itself, and finds it in the first that has a bridge.",
        ),
        Defect::SilentLearnersStay => Some(
            "Nothing but the leader's memory suffers, and nobody judges that in a storm. A transcript of the \
             replica, with syncs all the time and a silent learner, finds it.",
        ),
        Defect::ExpiredUnreported => Some(
            "It takes a leader that sleeps for longer than a timeout and for less than its followers bear, \
             and the checker excuses a leader for some time after it was struck. A test of the session \
             tracker finds it.",
        ),
        Defect::EpochAcceptedLate => Some(
            "It hides well: a new leader confirms its promises once more before it fixes its history, so a \
             promise that a crash takes back is made up for unless the crash comes after that.",
        ),
        Defect::CurrentEpochBeforeHistory => Some(
            "It takes a crash in the few milliseconds between two writes to the same disk, and an \
             election that the crashed server wins.",
        ),
        _ => None,
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
