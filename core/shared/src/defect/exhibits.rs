//! The exhibits themselves. Each variant tells its story; the branch is where the mistake was made.

/// A historical bug, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Defect {
    /// A new leader sends NEWLEADER before it has noted where its own epoch starts, so that a learner misses what was committed in between.
    /// Report: ZOOKEEPER-1319.
    NewLeaderStartUnset,
    /// A learner whose log went another way is sent a DIFF where a TRUNC is due.
    /// Report: ZOOKEEPER-1154, ZOOKEEPER-1156.
    DiffForTrunc,
    /// An uncommitted tail of the log survives a snapshot that replaced its history.
    /// Report: ZOOKEEPER-2832.
    TailKeptPastSnapshot,
    /// A server goes through an election with a tree that lacks the tail of its log.
    /// Report: ZOOKEEPER-2845.
    TreeKeptThroughElection,
    /// NEWLEADER is sent, and acknowledged, while a snapshot is still under way.
    /// Report: ZOOKEEPER-3104.
    NewLeaderEarlyInSnap,
    /// A learner acknowledges NEWLEADER before the DIFF that came before it is on its disk.
    /// Report: ZOOKEEPER-3911.
    NewLeaderAckedBeforeDiffOnDisk,
    /// A learner acknowledges NEWLEADER while writes of the synchronisation still wait in its queue.
    /// Report: ZOOKEEPER-3023, ZOOKEEPER-4646.
    NewLeaderAckedWithWritesQueued,
    /// A learner notes the new currentEpoch before the history that belongs to it.
    /// Report: ZOOKEEPER-4643.
    CurrentEpochBeforeHistory,
    /// A proposal that commits while a DIFF is being made is in neither the DIFF nor what follows it.
    /// Report: ZOOKEEPER-4785.
    LostInDiffRace,
    /// A server that synchronised hands on a committed log with a hole in it.
    /// Report: ZOOKEEPER-4925.
    CommittedLogHole,
    /// A learner that was cut off amid a snapshot is given a DIFF over what it has of it.
    /// Report: ZOOKEEPER-3642.
    DiffOverHalfSnap,
    /// An ephemeral survives its session when the server is cut off in the middle of the session's end.
    /// Report: ZOOKEEPER-2355.
    EphemeralOfDeadSessionStays,
    /// A session that is closing can still create an ephemeral, which then belongs to nobody.
    /// Report: ZOOKEEPER-1208.
    EphemeralAfterSessionClosed,
    /// After a restart a leader does not track the sessions it recovered, so that they never end.
    /// Report: ZOOKEEPER-1367.
    SessionTrackerNotFed,
    /// What happened to a watched znode while its client was between servers is not told.
    /// Report: ZOOKEEPER-1412.
    WatchesForgottenOnReconnect,
    /// A multi that aborts leaves its look-ahead behind, so that the next sequence number is wrong.
    /// Report: ZOOKEEPER-1624.
    SequenceAfterAbortedMulti,
    /// A full counter runs over into the epoch instead of ending it.
    /// Report: ZOOKEEPER-1277.
    ZxidOverflow,
    /// A server that joins leads, although an ensemble with a leader lives.
    /// Report: ZOOKEEPER-975.
    JoinerLeads,
    /// A new epoch is promised before acceptedEpoch is on the disk.
    /// Report: ZOOKEEPER-1291.
    EpochAcceptedLate,
    /// A fuzzy snapshot holds a session and its ephemerals from different moments.
    /// Report: ZOOKEEPER-3144.
    FuzzySnapshotApart,
    /// A leader proposes only to followers that have acknowledged NEWLEADER.
    /// Report: protocol-spec/issues.md, 1.
    ProposeOnlyToAcknowledged,
    /// A follower does not tolerate a proposal that its synchronisation already gave it.
    /// Report: protocol-spec/issues.md, 2.
    RepeatedProposalSkipsAck,
    /// A new leader's COMMIT carries the zxid of the acknowledgement instead of its last committed one.
    /// Report: protocol-spec/issues.md, 3.
    CommitWithAckZxid,
    /// A follower acknowledges a proposal before its disk has it.
    /// Report: Zab, section III; ZOOKEEPER-3911's family.
    AckBeforeSync,
    /// Half of the ensemble passes for a majority.
    /// Report: Zab, section II.
    MinorityQuorum,
    /// The sink takes results from a worker whose claim was taken over.
    ///
    /// A lock in a coordination service ends with its session, and a process that slept, or collected
    /// garbage, through that end does not know. HBase met it in its early years: a region server woke up
    /// after a long pause and went on writing to regions that others served by then. Here the sink
    /// neither notes the highest token nor compares: the sleeper's result lands beside the one of the
    /// worker that took his claim over. A user would see a mail answered twice, once by somebody who
    /// had been replaced half a minute before.
    /// Report: Kleppmann, How to do distributed locking, 2016.
    LockWithoutFencing,
    /// A worker writes a claim without the version it read.
    ///
    /// The design that most begin with: read, see that nobody alive holds the claim, write oneself in.
    /// Between reading and writing somebody else does the same. Here no change of a claim, nor of how
    /// far the inbox has been noted, demands a version, and the holder's ephemeral is named after its
    /// session, so that it stands in nobody's way. Two workers then hold one claim, each sure of it, and
    /// when the one that works on it dies, the other's ephemeral keeps everybody from taking over; a batch whose noting was not answered is noted again. A user would see the same mails handed
    /// out in two batches, and two results for each, although every lock was taken in order.
    /// Report: the recipe `claims`; ZooKeeper's guide on conditional updates.
    ClaimWithoutVersion,
    /// A lock's znode is created anew after a lost reply, and the first one stays in the queue for ever.
    ///
    /// The recipe as the documentation had it: create a sequential ephemeral, and if the connection
    /// breaks before the reply, try again. But the first create may have been done. Its znode belongs to a
    /// session that lives, so nothing removes it; its owner does not know of it, so when its turn
    /// comes nobody acts, and its own second znode waits behind it. The remedy was a name that says
    /// whose it is, looked for before creating again; here it is not looked for. A user would see a lock
    /// that nobody holds and nobody gets, until some process is restarted by chance.
    /// Report: ZOOKEEPER-1262.
    OrphanedLock,
    /// A leader answers `sync` without asking a majority whether it still leads.
    /// Report: ZOOKEEPER-1675.
    SyncUnconfirmed,
    /// A watch event leaves after a reply that already shows the change.
    /// Report: ZooKeeper's guarantees on watches.
    EventAfterReply,
    /// A session ends at half its timeout.
    /// Report: ZooKeeper's guarantees on sessions.
    SessionExpiredEarly,
    /// Followers do not tell the leader which sessions they heard of.
    /// Report: ZooKeeper's touch tables.
    TouchesNotReported,
    /// A read overtakes a write of the same session.
    /// Report: ZooKeeper's guarantees on pipelines.
    RepliesOutOfOrder,
    /// A learner acknowledges a TRUNC and keeps what it was to cut off.
    /// Report: ZOOKEEPER-1154's family.
    TruncateIgnored,
    /// Recovery skips a damaged entry in the middle of the log and goes on after it.
    /// Report: Protocol-Aware Recovery, FAST 2018.
    DamagedMiddleSkipped,
    /// A server that came back with an empty disk votes at once.
    /// Report: Protocol-Aware Recovery, FAST 2018.
    LostDiskVotes,
    /// A client does not arm its watches anew on its next connection.
    ///
    /// A server keeps watches with the connection, not with the session. Kazoo, as long as it had no
    /// setWatches, came back from a short loss of its connection with the same session, the same
    /// ephemerals, and not one watch, while the application went on waiting for them. A user would see a
    /// process that sits still before a change that everybody else has seen.
    /// Report: kazoo issues 151 and 218; ZOOKEEPER-23.
    WatchesNotRearmed,
    /// A client sends a write once more when the connection broke over it, and hopes that it was not done.
    ///
    /// Several clients offer it as a retry policy for every operation. For a create it gives an error
    /// that is none; for an unconditional write it is worse: the first one took effect, somebody wrote
    /// after it, and the second one takes that back. A user would see an old value return that
    /// nobody has written since.
    /// Report: CURATOR-584, CURATOR-268.
    WriteSentAgain,
    /// A worker notes an attempt when it is over, not before it begins.
    ///
    /// Brokers do so for speed: HornetQ kept a message's delivery count in memory until a rollback, unless
    /// told otherwise. A message that kills its consumer never gets that far, so its count stays where
    /// it was, and the limit that should set it aside is never reached. A user would see one mail kill
    /// worker after worker for ever, and the mails behind it wait.
    /// Report: HornetQ, persist-delivery-count-before-delivery.
    AttemptNotedAfter,
}

impl serde::Serialize for Defect {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> serde::Deserialize<'de> for Defect {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::named(&name)
            .ok_or_else(|| serde::de::Error::custom(format!("no defect is named `{name}`")))
    }
}

impl Defect {
    /// Every exhibit, in the order of the tour.
    pub const ALL: [Self; 39] = [
        Self::NewLeaderStartUnset,
        Self::DiffForTrunc,
        Self::TailKeptPastSnapshot,
        Self::TreeKeptThroughElection,
        Self::NewLeaderEarlyInSnap,
        Self::NewLeaderAckedBeforeDiffOnDisk,
        Self::NewLeaderAckedWithWritesQueued,
        Self::CurrentEpochBeforeHistory,
        Self::LostInDiffRace,
        Self::CommittedLogHole,
        Self::DiffOverHalfSnap,
        Self::EphemeralOfDeadSessionStays,
        Self::EphemeralAfterSessionClosed,
        Self::SessionTrackerNotFed,
        Self::WatchesForgottenOnReconnect,
        Self::SequenceAfterAbortedMulti,
        Self::ZxidOverflow,
        Self::JoinerLeads,
        Self::EpochAcceptedLate,
        Self::FuzzySnapshotApart,
        Self::ProposeOnlyToAcknowledged,
        Self::RepeatedProposalSkipsAck,
        Self::CommitWithAckZxid,
        Self::AckBeforeSync,
        Self::MinorityQuorum,
        Self::LockWithoutFencing,
        Self::ClaimWithoutVersion,
        Self::OrphanedLock,
        Self::SyncUnconfirmed,
        Self::EventAfterReply,
        Self::SessionExpiredEarly,
        Self::TouchesNotReported,
        Self::RepliesOutOfOrder,
        Self::TruncateIgnored,
        Self::DamagedMiddleSkipped,
        Self::LostDiskVotes,
        Self::WatchesNotRearmed,
        Self::WriteSentAgain,
        Self::AttemptNotedAfter,
    ];

    /// Its name, as commands and records spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NewLeaderStartUnset => "new-leader-start-unset",
            Self::DiffForTrunc => "diff-for-trunc",
            Self::TailKeptPastSnapshot => "tail-kept-past-snapshot",
            Self::TreeKeptThroughElection => "tree-kept-through-election",
            Self::NewLeaderEarlyInSnap => "new-leader-early-in-snap",
            Self::NewLeaderAckedBeforeDiffOnDisk => "new-leader-acked-before-diff-on-disk",
            Self::NewLeaderAckedWithWritesQueued => "new-leader-acked-with-writes-queued",
            Self::CurrentEpochBeforeHistory => "current-epoch-before-history",
            Self::LostInDiffRace => "lost-in-diff-race",
            Self::CommittedLogHole => "committed-log-hole",
            Self::DiffOverHalfSnap => "diff-over-half-snap",
            Self::EphemeralOfDeadSessionStays => "ephemeral-of-dead-session-stays",
            Self::EphemeralAfterSessionClosed => "ephemeral-after-session-closed",
            Self::SessionTrackerNotFed => "session-tracker-not-fed",
            Self::WatchesForgottenOnReconnect => "watches-forgotten-on-reconnect",
            Self::SequenceAfterAbortedMulti => "sequence-after-aborted-multi",
            Self::ZxidOverflow => "zxid-overflow",
            Self::JoinerLeads => "joiner-leads",
            Self::EpochAcceptedLate => "epoch-accepted-late",
            Self::FuzzySnapshotApart => "fuzzy-snapshot-apart",
            Self::ProposeOnlyToAcknowledged => "propose-only-to-acknowledged",
            Self::RepeatedProposalSkipsAck => "repeated-proposal-skips-ack",
            Self::CommitWithAckZxid => "commit-with-ack-zxid",
            Self::AckBeforeSync => "ack-before-sync",
            Self::MinorityQuorum => "minority-quorum",
            Self::LockWithoutFencing => "lock-without-fencing",
            Self::ClaimWithoutVersion => "claim-without-version",
            Self::OrphanedLock => "orphaned-lock",
            Self::SyncUnconfirmed => "sync-unconfirmed",
            Self::EventAfterReply => "event-after-reply",
            Self::SessionExpiredEarly => "session-expired-early",
            Self::TouchesNotReported => "touches-not-reported",
            Self::RepliesOutOfOrder => "replies-out-of-order",
            Self::TruncateIgnored => "truncate-ignored",
            Self::DamagedMiddleSkipped => "damaged-middle-skipped",
            Self::LostDiskVotes => "lost-disk-votes",
            Self::WatchesNotRearmed => "watches-not-rearmed",
            Self::WriteSentAgain => "write-sent-again",
            Self::AttemptNotedAfter => "attempt-noted-after",
        }
    }

    /// Where it was reported, or what it breaks.
    pub fn report(self) -> &'static str {
        match self {
            Self::NewLeaderStartUnset => "ZOOKEEPER-1319",
            Self::DiffForTrunc => "ZOOKEEPER-1154, ZOOKEEPER-1156",
            Self::TailKeptPastSnapshot => "ZOOKEEPER-2832",
            Self::TreeKeptThroughElection => "ZOOKEEPER-2845",
            Self::NewLeaderEarlyInSnap => "ZOOKEEPER-3104",
            Self::NewLeaderAckedBeforeDiffOnDisk => "ZOOKEEPER-3911",
            Self::NewLeaderAckedWithWritesQueued => "ZOOKEEPER-3023, ZOOKEEPER-4646",
            Self::CurrentEpochBeforeHistory => "ZOOKEEPER-4643",
            Self::LostInDiffRace => "ZOOKEEPER-4785",
            Self::CommittedLogHole => "ZOOKEEPER-4925",
            Self::DiffOverHalfSnap => "ZOOKEEPER-3642",
            Self::EphemeralOfDeadSessionStays => "ZOOKEEPER-2355",
            Self::EphemeralAfterSessionClosed => "ZOOKEEPER-1208",
            Self::SessionTrackerNotFed => "ZOOKEEPER-1367",
            Self::WatchesForgottenOnReconnect => "ZOOKEEPER-1412",
            Self::SequenceAfterAbortedMulti => "ZOOKEEPER-1624",
            Self::ZxidOverflow => "ZOOKEEPER-1277",
            Self::JoinerLeads => "ZOOKEEPER-975",
            Self::EpochAcceptedLate => "ZOOKEEPER-1291",
            Self::FuzzySnapshotApart => "ZOOKEEPER-3144",
            Self::ProposeOnlyToAcknowledged => "protocol-spec/issues.md, 1",
            Self::RepeatedProposalSkipsAck => "protocol-spec/issues.md, 2",
            Self::CommitWithAckZxid => "protocol-spec/issues.md, 3",
            Self::AckBeforeSync => "Zab, section III; ZOOKEEPER-3911's family",
            Self::MinorityQuorum => "Zab, section II",
            Self::LockWithoutFencing => "Kleppmann, How to do distributed locking, 2016",
            Self::ClaimWithoutVersion => {
                "the recipe `claims`; ZooKeeper's guide on conditional updates"
            }
            Self::OrphanedLock => "ZOOKEEPER-1262",
            Self::SyncUnconfirmed => "ZOOKEEPER-1675",
            Self::EventAfterReply => "ZooKeeper's guarantees on watches",
            Self::SessionExpiredEarly => "ZooKeeper's guarantees on sessions",
            Self::TouchesNotReported => "ZooKeeper's touch tables",
            Self::RepliesOutOfOrder => "ZooKeeper's guarantees on pipelines",
            Self::TruncateIgnored => "ZOOKEEPER-1154's family",
            Self::DamagedMiddleSkipped => "Protocol-Aware Recovery, FAST 2018",
            Self::LostDiskVotes => "Protocol-Aware Recovery, FAST 2018",
            Self::WatchesNotRearmed => "kazoo issues 151 and 218; ZOOKEEPER-23",
            Self::WriteSentAgain => "CURATOR-584, CURATOR-268",
            Self::AttemptNotedAfter => "HornetQ, persist-delivery-count-before-delivery",
        }
    }

    /// What goes wrong, in a sentence.
    pub fn about(self) -> &'static str {
        match self {
            Self::NewLeaderStartUnset => {
                "A new leader sends NEWLEADER before it has noted where its own epoch starts, so that a learner misses what was committed in between."
            }
            Self::DiffForTrunc => {
                "A learner whose log went another way is sent a DIFF where a TRUNC is due."
            }
            Self::TailKeptPastSnapshot => {
                "An uncommitted tail of the log survives a snapshot that replaced its history."
            }
            Self::TreeKeptThroughElection => {
                "A server goes through an election with a tree that lacks the tail of its log."
            }
            Self::NewLeaderEarlyInSnap => {
                "NEWLEADER is sent, and acknowledged, while a snapshot is still under way."
            }
            Self::NewLeaderAckedBeforeDiffOnDisk => {
                "A learner acknowledges NEWLEADER before the DIFF that came before it is on its disk."
            }
            Self::NewLeaderAckedWithWritesQueued => {
                "A learner acknowledges NEWLEADER while writes of the synchronisation still wait in its queue."
            }
            Self::CurrentEpochBeforeHistory => {
                "A learner notes the new currentEpoch before the history that belongs to it."
            }
            Self::LostInDiffRace => {
                "A proposal that commits while a DIFF is being made is in neither the DIFF nor what follows it."
            }
            Self::CommittedLogHole => {
                "A server that synchronised hands on a committed log with a hole in it."
            }
            Self::DiffOverHalfSnap => {
                "A learner that was cut off amid a snapshot is given a DIFF over what it has of it."
            }
            Self::EphemeralOfDeadSessionStays => {
                "An ephemeral survives its session when the server is cut off in the middle of the session's end."
            }
            Self::EphemeralAfterSessionClosed => {
                "A session that is closing can still create an ephemeral, which then belongs to nobody."
            }
            Self::SessionTrackerNotFed => {
                "After a restart a leader does not track the sessions it recovered, so that they never end."
            }
            Self::WatchesForgottenOnReconnect => {
                "What happened to a watched znode while its client was between servers is not told."
            }
            Self::SequenceAfterAbortedMulti => {
                "A multi that aborts leaves its look-ahead behind, so that the next sequence number is wrong."
            }
            Self::ZxidOverflow => "A full counter runs over into the epoch instead of ending it.",
            Self::JoinerLeads => {
                "A server that joins leads, although an ensemble with a leader lives."
            }
            Self::EpochAcceptedLate => {
                "A new epoch is promised before acceptedEpoch is on the disk."
            }
            Self::FuzzySnapshotApart => {
                "A fuzzy snapshot holds a session and its ephemerals from different moments."
            }
            Self::ProposeOnlyToAcknowledged => {
                "A leader proposes only to followers that have acknowledged NEWLEADER."
            }
            Self::RepeatedProposalSkipsAck => {
                "A follower does not tolerate a proposal that its synchronisation already gave it."
            }
            Self::CommitWithAckZxid => {
                "A new leader's COMMIT carries the zxid of the acknowledgement instead of its last committed one."
            }
            Self::AckBeforeSync => "A follower acknowledges a proposal before its disk has it.",
            Self::MinorityQuorum => "Half of the ensemble passes for a majority.",
            Self::LockWithoutFencing => {
                "The sink takes results from a worker whose claim was taken over."
            }
            Self::ClaimWithoutVersion => "A worker writes a claim without the version it read.",
            Self::OrphanedLock => {
                "A lock's znode is created anew after a lost reply, and the first one stays in the queue for ever."
            }
            Self::SyncUnconfirmed => {
                "A leader answers `sync` without asking a majority whether it still leads."
            }
            Self::EventAfterReply => {
                "A watch event leaves after a reply that already shows the change."
            }
            Self::SessionExpiredEarly => "A session ends at half its timeout.",
            Self::TouchesNotReported => {
                "Followers do not tell the leader which sessions they heard of."
            }
            Self::RepliesOutOfOrder => "A read overtakes a write of the same session.",
            Self::TruncateIgnored => {
                "A learner acknowledges a TRUNC and keeps what it was to cut off."
            }
            Self::DamagedMiddleSkipped => {
                "Recovery skips a damaged entry in the middle of the log and goes on after it."
            }
            Self::LostDiskVotes => "A server that came back with an empty disk votes at once.",
            Self::WatchesNotRearmed => {
                "A client does not arm its watches anew on its next connection."
            }
            Self::WriteSentAgain => {
                "A client sends a write once more when the connection broke over it, and hopes that it was not done."
            }
            Self::AttemptNotedAfter => {
                "A worker notes an attempt when it is over, not before it begins."
            }
        }
    }

    /// The exhibit of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|defect| defect.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_exhibit_has_a_name_of_its_own_and_is_found_by_it() {
        let names: BTreeSet<&str> = Defect::ALL.iter().map(|defect| defect.name()).collect();
        assert_eq!(names.len(), Defect::ALL.len());
        for defect in Defect::ALL {
            assert_eq!(Defect::named(defect.name()), Some(defect));
        }
    }
}
