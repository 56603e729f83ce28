//! The exhibits themselves. Each variant tells its story; the branch is where the mistake was made.

/// A historical bug, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Defect {
    /// A new leader sends NEWLEADER before it has noted where its own epoch starts, so that a learner misses what was committed in between.
    ///
    /// A leader that had just won sent NEWLEADER first and noted where its own epoch starts afterwards. A
    /// learner that was being synchronised meanwhile was put on the list for proposals from the wrong place on,
    /// and what had been committed in between reached it never. Here a learner that catches up is not sent what
    /// the epoch has proposed so far. A user reads, through that one server, as if a write that was
    /// acknowledged had not been.
    /// Report: ZOOKEEPER-1319.
    NewLeaderStartUnset,
    /// A learner whose log went another way is sent a DIFF where a TRUNC is due.
    ///
    /// The leader compared where a learner ended with where it ended itself, and when the learner was elsewhere
    /// sent what comes after, without having it cut off what nobody else has. Its log then holds a proposal of
    /// a leader that lost, followed by the history that everybody else has. A user sees a write that was never
    /// acknowledged appear on one server, and go on from there when that server leads.
    /// Report: ZOOKEEPER-1154, ZOOKEEPER-1156.
    DiffForTrunc,
    /// An uncommitted tail of the log survives a snapshot that replaced its history.
    ///
    /// A learner whose log had gone another way was given a snapshot. It replaced the tree and left the log
    /// files where they were. After a crash the server read the snapshot and then its old log behind it, and
    /// what no majority ever had was part of its history again. A user sees an old, uncommitted write come back
    /// to life.
    /// Report: ZOOKEEPER-2832.
    TailKeptPastSnapshot,
    /// A server goes through an election with a tree that lacks the tail of its log.
    ///
    /// To be fast, a server kept its tree in memory when it went back to look for a leader, and told the others
    /// where the tree ended, which is before the log does. The next leader neither cut the tail that the log
    /// had beyond it nor knew of it. A user sees the tail come back with the next restart, as in
    /// ZOOKEEPER-2832.
    /// Report: ZOOKEEPER-2845.
    TreeKeptThroughElection,
    /// NEWLEADER is sent, and acknowledged, while a snapshot is still under way.
    ///
    /// A snapshot is made while writes go on, so parts of it are newer than its zxid, and it makes sense only
    /// together with the transactions up to its end. NEWLEADER was sent before these, and the learner
    /// acknowledged, served and could crash with half a history. A user sees two znodes that were written
    /// together only one of them changed.
    /// Report: ZOOKEEPER-3104.
    NewLeaderEarlyInSnap,
    /// A learner acknowledges NEWLEADER before the DIFF that came before it is on its disk.
    ///
    /// A learner that had been sent a DIFF acknowledged NEWLEADER as soon as it had read it. The leader counted
    /// it, was established, and committed what the learner did not have on its disk yet; then the power failed.
    /// A user loses a write that a majority had "acknowledged".
    /// Report: ZOOKEEPER-3911.
    NewLeaderAckedBeforeDiffOnDisk,
    /// A learner acknowledges NEWLEADER while writes of the synchronisation still wait in its queue.
    ///
    /// The repair of ZOOKEEPER-3911 logged the DIFF, but in a queue of another thread, and NEWLEADER was
    /// acknowledged while writes still stood in it. Here it is acknowledged when the first of them is on the
    /// disk, not the last. A user loses the same write as before, only more rarely.
    /// Report: ZOOKEEPER-3023, ZOOKEEPER-4646.
    NewLeaderAckedWithWritesQueued,
    /// A learner notes the new currentEpoch before the history that belongs to it.
    ///
    /// currentEpoch says whose history a log holds, and who has the newest wins the next election. A learner
    /// wrote it before the history that belongs to it; when it crashed in between it won with too little, and
    /// had others cut off what was committed. A user loses writes that a majority had on disk the whole time.
    /// Report: ZOOKEEPER-4643.
    CurrentEpochBeforeHistory,
    /// A proposal that commits while a DIFF is being made is in neither the DIFF nor what follows it.
    ///
    /// Between NEWLEADER and UPTODATE a learner had one place for proposals that were to be logged and another
    /// for those that were committed already. A proposal that arrived in that moment went into memory only. A
    /// user sees the write until that server restarts; then its log has a hole.
    /// Report: ZOOKEEPER-4785.
    LostInDiffRace,
    /// A server that synchronised hands on a committed log with a hole in it.
    ///
    /// A learner that had synchronised kept what it had applied in a list to synchronise others from, and left
    /// out what had come between NEWLEADER and UPTODATE. Nothing was wrong until it led: then those who were
    /// behind were sent a DIFF with a hole. Here the entries that UPTODATE commits are forgotten, all but the
    /// newest. A user misses writes on one server, for good.
    /// Report: ZOOKEEPER-4925.
    CommittedLogHole,
    /// A learner that was cut off amid a snapshot is given a DIFF over what it has of it.
    ///
    /// A learner that was being sent a snapshot took its zxid for its own at once. When the leader died half
    /// way, it told the next one that it was up to date, and got a DIFF on top of a tree that it never had. A
    /// user sees znodes missing on one server, and others there that are long gone.
    /// Report: ZOOKEEPER-3642.
    DiffOverHalfSnap,
    /// An ephemeral survives its session when the server is cut off in the middle of the session's end.
    ///
    /// A learner took the leader's zxid for its own as soon as a DIFF was announced. When the connection broke
    /// before the transactions came, it already counted as up to date, so the next DIFF began behind them and
    /// they were never applied: the end of a session was among them, and on that one server its ephemerals
    /// stayed for ever. Wrong because "processed" must follow the processing. Here a learner that loses
    /// its leader in the middle of a DIFF counts all of its log as applied. A user sees a lock that is held by
    /// nobody, but only through one server.
    /// Report: ZOOKEEPER-2355.
    EphemeralOfDeadSessionStays,
    /// A session that is closing can still create an ephemeral, which then belongs to nobody.
    ///
    /// The end of a session was proposed, and until it was applied the session still counted as alive. A create
    /// that arrived in between was granted; it was applied after the end, so the ephemeral belonged to a
    /// session that nothing would ever end again. Wrong because the leader decides ahead of what is applied,
    /// and must look ahead to ends as to anything else. A user sees a service registered whose process died
    /// long ago.
    /// Report: ZOOKEEPER-1208.
    EphemeralAfterSessionClosed,
    /// After a restart a leader does not track the sessions it recovered, so that they never end.
    ///
    /// A server that came back read its snapshot, whose sessions it tracked, and then the log behind it, whose
    /// sessions it did not. When it led, nobody counted the days of those: they never expired, their
    /// ephemerals stayed, and their clients, when they returned, were told that they were unknown. Wrong
    /// because there were two ways into the state and only one fed the tracker. Here a server whose tree began
    /// with a snapshot does not track, when it leads, whatever came after that. A user sees locks that survive
    /// their holders, and sessions that end for no reason.
    /// Report: ZOOKEEPER-1367.
    SessionTrackerNotFed,
    /// What happened to a watched znode while its client was between servers is not told.
    ///
    /// After a reconnect a client names its watches and the last zxid it saw, and is told what it missed since.
    /// The zxid compared was not the one that says what this client has seen, for a follower answered reads
    /// with whatever zxid it had been sent; so watches fired or stayed silent without regard to what had
    /// happened. Here the server compares with what it has applied itself. Wrong because only the client's own
    /// past says what it missed. A user waits for a change that came while the connection was down.
    /// Report: ZOOKEEPER-1412.
    WatchesForgottenOnReconnect,
    /// A multi that aborts takes the look-ahead of earlier requests back as well, so that the next sequence number is wrong.
    ///
    /// The leader prepares requests one behind the other and looks ahead at what the earlier ones will have
    /// changed: znodes to come, children counted. When a step of a multi failed, what its earlier steps had
    /// changed was taken back; but of the parent of a sequential znode it was not known what had been there
    /// before, so the parent was taken back to what the tree has, and the look-ahead of requests that had been
    /// granted already was gone. The next sequential znode got a number that was taken. Wrong because nothing
    /// of an aborted multi has happened, and everything before it has. A user sees "node exists" for a name
    /// that only the server chose.
    /// Report: ZOOKEEPER-1624.
    SequenceAfterAbortedMulti,
    /// A full counter runs over into the epoch instead of ending it.
    ///
    /// The counter is the low half of a zxid, and the next zxid was this one plus one. When the counter was
    /// full the sum ran into the epoch: zxids of an epoch that nobody had elected, and the next elected one met
    /// them. Here the scenario's counters are small, so that a storm gets there; ZooKeeper needs seven weeks at
    /// a thousand writes a second. A user sees a write refused, an ensemble that cannot agree, or two histories
    /// under one epoch.
    /// Report: ZOOKEEPER-1277.
    ZxidOverflow,
    /// A server that joins leads, although an ensemble with a leader lives.
    ///
    /// A server that looks for a leader is told by the others whom they follow. One that came back heard its
    /// own name, from servers that had not noticed that its former reign was over, and led without anybody
    /// behind it. Here it takes their word without that of the leader itself. A user sees the ensemble short of
    /// a server for as long as a leader waits for followers, again and again.
    /// Report: ZOOKEEPER-975.
    JoinerLeads,
    /// Votes are passed on as they are heard, for candidates that the voter itself does not reach.
    ///
    /// Each looking server took over the best vote that it had heard of and passed it on, and when it found
    /// that it could not reach that candidate, it began a new round, in which a server that did reach it
    /// brought the vote back. Wrong because hearing is not transitive: three of five servers that hear each
    /// other elect nobody as long as one of them hears a fourth, with the best vote and no majority. A user
    /// sees a majority of living, connected servers that serves nobody until the network is whole.
    /// Report: Ng, Haridi, Carbone, Omni-Paxos, EuroSys 2023, section 2.
    ElectionCountsTheUnheard,
    /// A leader that is asked for syncs never looks which of its learners are silent.
    ///
    /// The leader looked for silent learners when it was time for a ping, and each round that a sync waited for
    /// was a ping, too, and put the next one off. With one sync a second a learner that had died in silence, or
    /// whose disk was slow, was never given up. Wrong because two duties shared one clock. A user sees a leader
    /// whose log grows until memory ends.
    /// Report: a review of this project's leader.
    SilentLearnersStay,
    /// A leader that slept ends sessions whose signs of life wait in its mailbox.
    ///
    /// A leader measured a session's silence up to now. When it had slept for some seconds, that was longer than
    /// the timeout of sessions whose clients had been heard all the time: the followers' reports of that had
    /// arrived, and it had not read them. Wrong because silence is known only up to what the session's
    /// server has reported. A user sees the session of a living client end, and its locks go to others.
    /// Report: a review of this project's leader.
    ExpiredUnreported,
    /// A new epoch is promised before acceptedEpoch is on the disk.
    ///
    /// A promise not to take part in older epochs binds only if it outlives a crash. acceptedEpoch was written
    /// after the promise was sent: a server that crashed in between promised the same epoch to another leader.
    /// A user sees two leaders with one epoch, and writes of either that the other never had.
    /// Report: ZOOKEEPER-1291.
    EpochAcceptedLate,
    /// A fuzzy snapshot holds a session and its ephemerals from different moments.
    ///
    /// A snapshot wrote the list of sessions as it had been a moment before the zxid that it bears. The session
    /// that the last transaction opened was missing from it, and a replay begins after that transaction, so it
    /// never came back; its ephemerals did. Wrong because a snapshot may be fuzzy only where the replay mends
    /// it. A user sees, once this server leads, that a living client's session is unknown, and that its
    /// ephemerals outlive it.
    /// Report: ZOOKEEPER-3144.
    FuzzySnapshotApart,
    /// A leader proposes only to followers that have acknowledged NEWLEADER.
    ///
    /// The paper sends new proposals to the followers that have acknowledged NEWLEADER. One that acknowledges a
    /// moment later has synchronised up to before them and is sent what comes after them. The model checker
    /// found it, not a user, since ZooKeeper's code never did so. What is proposed in that moment is missing
    /// from that server for ever.
    /// Report: protocol-spec/issues.md, 1.
    ProposeOnlyToAcknowledged,
    /// A follower does not tolerate a proposal that its synchronisation already gave it.
    ///
    /// A proposal can reach a follower twice: as part of the history, and as a proposal. The paper's follower
    /// expects the next zxid and nothing else, so it leaves. Here the leader sends the last entry that both
    /// have once more, and the learner takes it for a fault of the leader's. A user sees an ensemble that
    /// elects, synchronises and breaks up, without end.
    /// Report: protocol-spec/issues.md, 2.
    RepeatedProposalSkipsAck,
    /// A new leader's COMMIT carries the zxid of the acknowledgement instead of its last committed one.
    ///
    /// When NEWLEADER is acknowledged the new leader tells the follower to commit. The paper names no zxid;
    /// taken from the acknowledgement, it covers proposals that the follower has on its disk and a majority has
    /// not. A user reads a value that is rolled back afterwards.
    /// Report: protocol-spec/issues.md, 3.
    CommitWithAckZxid,
    /// A follower acknowledges a proposal before its disk has it.
    ///
    /// The leader counts acknowledgements as copies on disks. A follower that acknowledges what it has merely
    /// handed to its disk is a copy that a power cut takes away; three of them lose a committed write. It is
    /// the commonest way to make a benchmark faster. A user loses acknowledged writes when the room loses
    /// power, and never before.
    /// Report: Zab, section III; ZOOKEEPER-3911's family.
    AckBeforeSync,
    /// Half of the ensemble passes for a majority.
    ///
    /// Two majorities share a server, so the second learns from it what the first decided. Two halves of four
    /// need not. Here half of the voters, rounded down, elect and commit. A user has two leaders on the two
    /// sides of a partition, both answering, and loses what one of them said.
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
    ///
    /// A leader answers `sync` with what it knows to be committed, and asks nobody. One that a majority has left
    /// does not know yet; a newer leader commits writes that it never hears of. Wrong because a barrier that
    /// only a former leader confirms is none: a client that syncs and reads may miss what another was told is
    /// done. ZooKeeper lives with it by design; here a majority confirms.
    /// Report: ZOOKEEPER-1675.
    SyncUnconfirmed,
    /// A watch event leaves after a reply that already shows the change.
    ///
    /// A change is applied, whoever asked for it is answered, and only then the watchers are told. A client
    /// that reads on sees the new state, while its watch, which promised to tell first, is silent yet. Wrong
    /// because caches rely on the order: what I am not told of has not changed. A user sees a stale cache
    /// beside fresh data.
    /// Report: ZooKeeper's guarantees on watches.
    EventAfterReply,
    /// A session ends at half its timeout.
    ///
    /// The leader waits for half the timeout that was negotiated. A client that is a little slow, well within
    /// its rights, loses its session and with it its locks. Wrong because the timeout is a promise to the
    /// client: until then nobody takes its ephemerals. A user sees masters change in a short pause.
    /// Report: ZooKeeper's guarantees on sessions.
    SessionExpiredEarly,
    /// Followers do not tell the leader which sessions they heard of.
    ///
    /// A follower hears its clients and keeps it to itself. The leader, which alone ends sessions, takes
    /// their silence for death and expires sessions that are alive, unless they write. Wrong because pings end
    /// at the server where the client is, so that server must pass them on. A user whose client only reads
    /// loses its session again and again, but only on followers.
    /// Report: ZooKeeper's touch tables.
    TouchesNotReported,
    /// A read overtakes a write of the same session.
    ///
    /// A read is answered as soon as it arrives, though a write of the same connection that came before it
    /// waits for its majority. Wrong because one connection's requests are executed and answered in their
    /// order: the read must see the write. A client that matches answers by their order takes one for another,
    /// or breaks off; a user who reads back what was just written finds the old value.
    /// Report: ZooKeeper's guarantees on pipelines.
    RepliesOutOfOrder,
    /// A learner acknowledges a TRUNC and keeps what it was to cut off.
    ///
    /// The leader asked for the cut and the learner agreed to it, and the log file kept its tail, since the
    /// place to cut lay in an earlier file. In memory all was well. Here nothing is cut at all. A user sees
    /// writes that nobody acknowledged come back on one server.
    /// Report: ZOOKEEPER-1154's family.
    TruncateIgnored,
    /// Recovery skips a damaged entry in the middle of the log and goes on after it.
    ///
    /// Recovery reads the log until a checksum is wrong and takes that for the torn end of the last write. When
    /// more follows behind it, it was no torn write but rot in the middle of what had been acknowledged; going
    /// on behind the hole makes a history that nobody ever had. A user misses one write out of a thousand, on
    /// one server, silently.
    /// Report: Protocol-Aware Recovery, FAST 2018.
    DamagedMiddleSkipped,
    /// A server that came back with an empty disk votes at once.
    ///
    /// A server whose disk was replaced comes back with the same name and remembers no promise. With it and
    /// another that was behind there is a majority that does not hold what the former majority acknowledged.
    /// Here it votes at once, instead of waiting until a leader that others confirmed has admitted it. A user
    /// loses a committed write although only one disk was ever lost.
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
    pub const ALL: [Self; 42] = [
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
        Self::ElectionCountsTheUnheard,
        Self::SilentLearnersStay,
        Self::ExpiredUnreported,
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
            Self::ElectionCountsTheUnheard => "election-counts-the-unheard",
            Self::SilentLearnersStay => "silent-learners-stay",
            Self::ExpiredUnreported => "expired-unreported",
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
            Self::ElectionCountsTheUnheard => "Omni-Paxos, EuroSys 2023, section 2",
            Self::SilentLearnersStay => "a review of this project's leader",
            Self::ExpiredUnreported => "a review of this project's leader",
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
                "A multi that aborts takes the look-ahead of earlier requests back as well, so that the next sequence number is wrong."
            }
            Self::ZxidOverflow => "A full counter runs over into the epoch instead of ending it.",
            Self::JoinerLeads => {
                "A server that joins leads, although an ensemble with a leader lives."
            }
            Self::ElectionCountsTheUnheard => {
                "Votes are passed on as they are heard, for candidates that the voter itself does not reach."
            }
            Self::SilentLearnersStay => {
                "A leader that is asked for syncs never looks which of its learners are silent."
            }
            Self::ExpiredUnreported => {
                "A leader that slept ends sessions whose signs of life wait in its mailbox."
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
