//! The bugs of the coordination service that the laboratory can put back, by name.
//!
//! Owns: their names, reports and stories. Leaves: each mistake to the place where it was made, one
//! branch that asks `planted!`; where it is hunted, and by whom, to the museum.
//! Holds: without the feature `defects` of `mailstorm-shared` there is no table here.

mailstorm_shared::defects! {
    /// A historical bug of the coordination service.
    pub enum Defect;

    /// A leader that had just won sent NEWLEADER first and noted where its own epoch starts
    /// afterwards. A learner that was being synchronised meanwhile was put on the list for
    /// proposals from the wrong place on, and what had been committed in between reached it never.
    /// Here a learner that catches up is not sent what the epoch has proposed so far. A user reads,
    /// through that one server, as if a write that was acknowledged had not been.
    NewLeaderStartUnset = "new-leader-start-unset" {
        line: "A new leader sends NEWLEADER before it has noted where its own epoch starts, so \
               that a learner misses what was committed in between.",
        report: "ZOOKEEPER-1319",
    }

    /// The leader compared where a learner ended with where it ended itself, and when the learner
    /// was elsewhere sent what comes after, without having it cut off what nobody else has. Its log
    /// then holds a proposal of a leader that lost, followed by the history that everybody else
    /// has. A user sees a write that was never acknowledged appear on one server, and go on from
    /// there when that server leads.
    DiffForTrunc = "diff-for-trunc" {
        line: "A learner whose log went another way is sent a DIFF where a TRUNC is due.",
        report: "ZOOKEEPER-1154, ZOOKEEPER-1156",
    }

    /// A learner whose log had gone another way was given a snapshot. It replaced the tree and left
    /// the log files where they were. After a crash the server read the snapshot and then its old
    /// log behind it, and what no majority ever had was part of its history again. A user sees an
    /// old, uncommitted write come back to life.
    TailKeptPastSnapshot = "tail-kept-past-snapshot" {
        line: "An uncommitted tail of the log survives a snapshot that replaced its history.",
        report: "ZOOKEEPER-2832",
    }

    /// To be fast, a server kept its tree in memory when it went back to look for a leader, and
    /// told the others where the tree ended, which is before the log does. The next leader neither
    /// cut the tail that the log had beyond it nor knew of it. A user sees the tail come back with
    /// the next restart, as in ZOOKEEPER-2832.
    TreeKeptThroughElection = "tree-kept-through-election" {
        line: "A server goes through an election with a tree that lacks the tail of its log.",
        report: "ZOOKEEPER-2845",
    }

    /// A snapshot is made while writes go on, so parts of it are newer than its zxid, and it makes
    /// sense only together with the transactions up to its end. NEWLEADER was sent before these,
    /// and the learner acknowledged, served and could crash with half a history. A user sees two
    /// znodes that were written together only one of them changed.
    NewLeaderEarlyInSnap = "new-leader-early-in-snap" {
        line: "NEWLEADER is sent, and acknowledged, while a snapshot is still under way.",
        report: "ZOOKEEPER-3104",
    }

    /// A learner that had been sent a DIFF acknowledged NEWLEADER as soon as it had read it. The
    /// leader counted it, was established, and committed what the learner did not have on its disk
    /// yet; then the power failed. A user loses a write that a majority had "acknowledged".
    NewLeaderAckedBeforeDiffOnDisk = "new-leader-acked-before-diff-on-disk" {
        line: "A learner acknowledges NEWLEADER before the DIFF that came before it is on its \
               disk.",
        report: "ZOOKEEPER-3911",
    }

    /// The repair of ZOOKEEPER-3911 logged the DIFF, but in a queue of another thread, and
    /// NEWLEADER was acknowledged while writes still stood in it. Here it is acknowledged when the
    /// first of them is on the disk, not the last. A user loses the same write as before, only more
    /// rarely.
    NewLeaderAckedWithWritesQueued = "new-leader-acked-with-writes-queued" {
        line: "A learner acknowledges NEWLEADER while writes of the synchronisation still wait \
               in its queue.",
        report: "ZOOKEEPER-3023, ZOOKEEPER-4646",
    }

    /// currentEpoch says whose history a log holds, and who has the newest wins the next election.
    /// A learner wrote it before the history that belongs to it; when it crashed in between it won
    /// with too little, and had others cut off what was committed. A user loses writes that a
    /// majority had on disk the whole time.
    CurrentEpochBeforeHistory = "current-epoch-before-history" {
        line: "A learner notes the new currentEpoch before the history that belongs to it.",
        report: "ZOOKEEPER-4643",
    }

    /// Between NEWLEADER and UPTODATE a learner had one place for proposals that were to be logged
    /// and another for those that were committed already. A proposal that arrived in that moment
    /// went into memory only. A user sees the write until that server restarts; then its log has a
    /// hole.
    LostInDiffRace = "lost-in-diff-race" {
        line: "A proposal that commits while a DIFF is being made is in neither the DIFF nor \
               what follows it.",
        report: "ZOOKEEPER-4785",
    }

    /// A learner that had synchronised kept what it had applied in a list to synchronise others
    /// from, and left out what had come between NEWLEADER and UPTODATE. Nothing was wrong until it
    /// led: then those who were behind were sent a DIFF with a hole. Here the entries that UPTODATE
    /// commits are forgotten, all but the newest. A user misses writes on one server, for good.
    CommittedLogHole = "committed-log-hole" {
        line: "A server that synchronised hands on a committed log with a hole in it.",
        report: "ZOOKEEPER-4925",
    }

    /// A learner that was being sent a snapshot took its zxid for its own at once. When the leader
    /// died half way, it told the next one that it was up to date, and got a DIFF on top of a tree
    /// that it never had. A user sees znodes missing on one server, and others there that are long
    /// gone.
    DiffOverHalfSnap = "diff-over-half-snap" {
        line: "A learner that was cut off amid a snapshot is given a DIFF over what it has of it.",
        report: "ZOOKEEPER-3642",
    }

    /// A learner took the leader's zxid for its own as soon as a DIFF was announced. When the
    /// connection broke before the transactions came, it already counted as up to date, so the next
    /// DIFF began behind them and they were never applied: the end of a session was among them, and
    /// on that one server its ephemerals stayed for ever. Wrong because "processed" must follow the
    /// processing. Here a learner that loses its leader in the middle of a DIFF counts all of its
    /// log as applied. A user sees a lock that is held by nobody, but only through one server.
    EphemeralOfDeadSessionStays = "ephemeral-of-dead-session-stays" {
        line: "An ephemeral survives its session when the server is cut off in the middle of the \
               session's end.",
        report: "ZOOKEEPER-2355",
    }

    /// The end of a session was proposed, and until it was applied the session still counted as
    /// alive. A create that arrived in between was granted; it was applied after the end, so the
    /// ephemeral belonged to a session that nothing would ever end again. Wrong because the leader
    /// decides ahead of what is applied, and must look ahead to ends as to anything else. A user
    /// sees a service registered whose process died long ago.
    EphemeralAfterSessionClosed = "ephemeral-after-session-closed" {
        line: "A session that is closing can still create an ephemeral, which then belongs to \
               nobody.",
        report: "ZOOKEEPER-1208",
    }

    /// A server that came back read its snapshot, whose sessions it tracked, and then the log
    /// behind it, whose sessions it did not. When it led, nobody counted the days of those: they
    /// never expired, their ephemerals stayed, and their clients, when they returned, were told
    /// that they were unknown. Wrong because there were two ways into the state and only one fed
    /// the tracker. Here a server whose tree began with a snapshot does not track, when it leads,
    /// whatever came after that. A user sees locks that survive their holders, and sessions that
    /// end for no reason.
    SessionTrackerNotFed = "session-tracker-not-fed" {
        line: "After a restart a leader does not track the sessions it recovered, so that they \
               never end.",
        report: "ZOOKEEPER-1367",
    }

    /// After a reconnect a client names its watches and the last zxid it saw, and is told what it
    /// missed since. The zxid compared was not the one that says what this client has seen, for a
    /// follower answered reads with whatever zxid it had been sent; so watches fired or stayed
    /// silent without regard to what had happened. Here the server compares with what it has
    /// applied itself. Wrong because only the client's own past says what it missed. A user waits
    /// for a change that came while the connection was down.
    WatchesForgottenOnReconnect = "watches-forgotten-on-reconnect" {
        line: "What happened to a watched znode while its client was between servers is not told.",
        report: "ZOOKEEPER-1412",
    }

    /// The leader prepares requests one behind the other and looks ahead at what the earlier ones
    /// will have changed: znodes to come, children counted. When a step of a multi failed, what its
    /// earlier steps had changed was taken back; but of the parent of a sequential znode it was not
    /// known what had been there before, so the parent was taken back to what the tree has, and the
    /// look-ahead of requests that had been granted already was gone. The next sequential znode got
    /// a number that was taken. Wrong because nothing of an aborted multi has happened, and
    /// everything before it has. A user sees "node exists" for a name that only the server chose.
    SequenceAfterAbortedMulti = "sequence-after-aborted-multi" {
        line: "A multi that aborts takes the look-ahead of earlier requests back as well, so \
               that the next sequence number is wrong.",
        report: "ZOOKEEPER-1624",
    }

    /// The counter is the low half of a zxid, and the next zxid was this one plus one. When the
    /// counter was full the sum ran into the epoch: zxids of an epoch that nobody had elected, and
    /// the next elected one met them. Here the scenario's counters are small, so that a storm gets
    /// there; ZooKeeper needs seven weeks at a thousand writes a second. A user sees a write
    /// refused, an ensemble that cannot agree, or two histories under one epoch.
    ZxidOverflow = "zxid-overflow" {
        line: "A full counter runs over into the epoch instead of ending it.",
        report: "ZOOKEEPER-1277",
    }

    /// A server that looks for a leader is told by the others whom they follow. One that came back
    /// heard its own name, from servers that had not noticed that its former reign was over, and
    /// led without anybody behind it. Here it takes their word without that of the leader itself. A
    /// user sees the ensemble short of a server for as long as a leader waits for followers, again
    /// and again.
    JoinerLeads = "joiner-leads" {
        line: "A server that joins leads, although an ensemble with a leader lives.",
        report: "ZOOKEEPER-975",
    }

    /// Each looking server took over the best vote that it had heard of and passed it on, and when
    /// it found that it could not reach that candidate, it began a new round, in which a server
    /// that did reach it brought the vote back. Wrong because hearing is not transitive: three of
    /// five servers that hear each other elect nobody as long as one of them hears a fourth, with
    /// the best vote and no majority. A user sees a majority of living, connected servers that
    /// serves nobody until the network is whole.
    ElectionCountsTheUnheard = "election-counts-the-unheard" {
        line: "Votes are passed on as they are heard, for candidates that the voter itself does \
               not reach.",
        report: "Omni-Paxos, EuroSys 2023, section 2",
    }

    /// The leader looked for silent learners when it was time for a ping, and each round that a
    /// sync waited for was a ping, too, and put the next one off. With one sync a second a learner
    /// that had died in silence, or whose disk was slow, was never given up. Wrong because two
    /// duties shared one clock. A user sees a leader whose log grows until memory ends.
    SilentLearnersStay = "silent-learners-stay" {
        line: "A leader that is asked for syncs never looks which of its learners are silent.",
        report: "a review of this project's leader",
    }

    /// A leader sends a learner what comes, whether the learner takes it or not. One whose disk is
    /// slow makes the leader queue on its link whatever the others write, until the link's bound
    /// breaks it, or, without any, memory ends. Wrong because what is on its way to a learner must
    /// be bounded by what the learner has acknowledged. A user sees a leader that grows with the
    /// slowest of its followers.
    WindowIgnored = "window-ignored" {
        line: "A leader sends to a learner more than its window lets through.",
        report: "ZOOKEEPER-1934's family",
    }

    /// A leader measured a session's silence up to now. When it had slept for some seconds, that
    /// was longer than the timeout of sessions whose clients had been heard all the time: the
    /// followers' reports of that had arrived, and it had not read them. Wrong because silence is
    /// known only up to what the session's server has reported. A user sees the session of a living
    /// client end, and its locks go to others.
    ExpiredUnreported = "expired-unreported" {
        line: "A leader that slept ends sessions whose signs of life wait in its mailbox.",
        report: "a review of this project's leader",
    }

    /// A promise not to take part in older epochs binds only if it outlives a crash. acceptedEpoch
    /// was written after the promise was sent: a server that crashed in between promised the same
    /// epoch to another leader. A user sees two leaders with one epoch, and writes of either that
    /// the other never had.
    EpochAcceptedLate = "epoch-accepted-late" {
        line: "A new epoch is promised before acceptedEpoch is on the disk.",
        report: "ZOOKEEPER-1291",
    }

    /// A snapshot wrote the list of sessions as it had been a moment before the zxid that it bears.
    /// The session that the last transaction opened was missing from it, and a replay begins after
    /// that transaction, so it never came back; its ephemerals did. Wrong because a snapshot may be
    /// fuzzy only where the replay mends it. A user sees, once this server leads, that a living
    /// client's session is unknown, and that its ephemerals outlive it.
    FuzzySnapshotApart = "fuzzy-snapshot-apart" {
        line: "A fuzzy snapshot holds a session and its ephemerals from different moments.",
        report: "ZOOKEEPER-3144",
    }

    /// The paper sends new proposals to the followers that have acknowledged NEWLEADER. One that
    /// acknowledges a moment later has synchronised up to before them and is sent what comes after
    /// them. The model checker found it, not a user, since ZooKeeper's code never did so. What is
    /// proposed in that moment is missing from that server for ever.
    ProposeOnlyToAcknowledged = "propose-only-to-acknowledged" {
        line: "A leader proposes only to followers that have acknowledged NEWLEADER.",
        report: "protocol-spec/issues.md, 1",
    }

    /// A proposal can reach a follower twice: as part of the history, and as a proposal. The
    /// paper's follower expects the next zxid and nothing else, so it leaves. Here the leader sends
    /// the last entry that both have once more, and the learner takes it for a fault of the
    /// leader's. A user sees an ensemble that elects, synchronises and breaks up, without end.
    RepeatedProposalSkipsAck = "repeated-proposal-skips-ack" {
        line: "A follower does not tolerate a proposal that its synchronisation already gave it.",
        report: "protocol-spec/issues.md, 2",
    }

    /// When NEWLEADER is acknowledged the new leader tells the follower to commit. The paper names
    /// no zxid; taken from the acknowledgement, it covers proposals that the follower has on its
    /// disk and a majority has not. A user reads a value that is rolled back afterwards.
    CommitWithAckZxid = "commit-with-ack-zxid" {
        line: "A new leader's COMMIT carries the zxid of the acknowledgement instead of its last \
               committed one.",
        report: "protocol-spec/issues.md, 3",
    }

    /// The leader counts acknowledgements as copies on disks. A follower that acknowledges what it
    /// has merely handed to its disk is a copy that a power cut takes away; three of them lose a
    /// committed write. It is the commonest way to make a benchmark faster. A user loses
    /// acknowledged writes when the room loses power, and never before.
    AckBeforeSync = "ack-before-sync" {
        line: "A follower acknowledges a proposal before its disk has it.",
        report: "Zab, section III; ZOOKEEPER-3911's family",
    }

    /// Two majorities share a server, so the second learns from it what the first decided. Two
    /// halves of four need not. Here half of the voters, rounded down, elect and commit. A user has
    /// two leaders on the two sides of a partition, both answering, and loses what one of them
    /// said.
    MinorityQuorum = "minority-quorum" {
        line: "Half of the ensemble passes for a majority.",
        report: "Zab, section II",
    }

    /// A leader answers `sync` with what it knows to be committed, and asks nobody. One that a
    /// majority has left does not know yet; a newer leader commits writes that it never hears of.
    /// Wrong because a barrier that only a former leader confirms is none: a client that syncs and
    /// reads may miss what another was told is done. ZooKeeper lives with it by design; here a
    /// majority confirms.
    SyncUnconfirmed = "sync-unconfirmed" {
        line: "A leader answers `sync` without asking a majority whether it still leads.",
        report: "ZOOKEEPER-1675",
    }

    /// A change is applied, whoever asked for it is answered, and only then the watchers are told.
    /// A client that reads on sees the new state, while its watch, which promised to tell first, is
    /// silent yet. Wrong because caches rely on the order: what I am not told of has not changed. A
    /// user sees a stale cache beside fresh data.
    EventAfterReply = "event-after-reply" {
        line: "A watch event leaves after a reply that already shows the change.",
        report: "ZooKeeper's guarantees on watches",
    }

    /// The leader waits for half the timeout that was negotiated. A client that is a little slow,
    /// well within its rights, loses its session and with it its locks. Wrong because the timeout
    /// is a promise to the client: until then nobody takes its ephemerals. A user sees masters
    /// change in a short pause.
    SessionExpiredEarly = "session-expired-early" {
        line: "A session ends at half its timeout.",
        report: "ZooKeeper's guarantees on sessions",
    }

    /// A follower hears its clients and keeps it to itself. The leader, which alone ends sessions,
    /// takes their silence for death and expires sessions that are alive, unless they write. Wrong
    /// because pings end at the server where the client is, so that server must pass them on. A
    /// user whose client only reads loses its session again and again, but only on followers.
    TouchesNotReported = "touches-not-reported" {
        line: "Followers do not tell the leader which sessions they heard of.",
        report: "ZooKeeper's touch tables",
    }

    /// A read is answered as soon as it arrives, though a write of the same connection that came
    /// before it waits for its majority. Wrong because one connection's requests are executed and
    /// answered in their order: the read must see the write. A client that matches answers by their
    /// order takes one for another, or breaks off; a user who reads back what was just written
    /// finds the old value.
    RepliesOutOfOrder = "replies-out-of-order" {
        line: "A read overtakes a write of the same session.",
        report: "ZooKeeper's guarantees on pipelines",
    }

    /// The leader asked for the cut and the learner agreed to it, and the log file kept its tail,
    /// since the place to cut lay in an earlier file. In memory all was well. Here nothing is cut
    /// at all. A user sees writes that nobody acknowledged come back on one server.
    TruncateIgnored = "truncate-ignored" {
        line: "A learner acknowledges a TRUNC and keeps what it was to cut off.",
        report: "ZOOKEEPER-1154's family",
    }

    /// Recovery reads the log until a checksum is wrong and takes that for the torn end of the last
    /// write. When more follows behind it, it was no torn write but rot in the middle of what had
    /// been acknowledged; going on behind the hole makes a history that nobody ever had. A user
    /// misses one write out of a thousand, on one server, silently.
    DamagedMiddleSkipped = "damaged-middle-skipped" {
        line: "Recovery skips a damaged entry in the middle of the log and goes on after it.",
        report: "Protocol-Aware Recovery, FAST 2018",
    }

    /// Whether somebody may create a znode is for the parent's access list to say, and the create
    /// asked the new znode's own, which says what its creator wants it to say. Wrong because a
    /// guarded folder is then open for everybody to fill. A user finds strangers' locks in a queue
    /// that was only for his own workers.
    ParentNotAsked = "parent-not-asked" {
        line: "A create does not ask the access list of its parent.",
        report: "ZooKeeper's guarantees on access lists",
    }

    /// A leader looks ahead: it decides about a write by what the writes before it will have made
    /// of the tree. The check of a version, which writes nothing, looked at the tree as it is
    /// applied. Wrong because each step of a `multi` builds on those before it, and another
    /// client's write may be on its way. A user's guarded update is refused for what it wrote
    /// itself, or is done although somebody was quicker.
    CheckOfTheApplied = "check-of-the-applied" {
        line: "The check of a `multi` sees the tree without what is under way, its own steps included.",
        report: "ZooKeeper's guarantees on multi",
    }

    /// The index of ephemerals is in the order of sessions, and the range that was read had no
    /// upper end. Whoever asks for his ephemerals gets one of the session after his own. A user who
    /// tidies up what he owns deletes another's lock.
    EphemeralsOfTheNext = "ephemerals-of-the-next" {
        line: "The list of a session's ephemerals has one of the next session's, too.",
        report: "ZooKeeper's getEphemerals",
    }

    /// All znodes below one are a range of the sorted paths, and the range began with the znode
    /// itself. A user who deletes a folder once it is empty never does.
    CountWithItself = "count-with-itself" {
        line: "The number of znodes below one counts that one, too.",
        report: "ZooKeeper's getAllChildrenNumber",
    }

    /// Several reads at once were built from the single ones, and for lists of children the one
    /// that was called stands behind the question whether the reader may. A user's names of
    /// customers are read by whoever asks for them in a batch.
    ListOfAnybody = "list-of-anybody" {
        line: "A list of children is shown to everybody who asks for it together with other reads.",
        report: "ZooKeeper's guarantees on access lists",
    }

    /// A time-to-live is how long a znode may lie untouched. Measured from its creation it takes
    /// away what is written all the time. A user's session data vanish while he works with them.
    TimeToLiveFromBirth = "time-to-live-from-birth" {
        line: "A time-to-live counts from the znode's creation, not from its last change.",
        report: "ZooKeeper's guarantees on TTL znodes",
    }

    /// A container without children goes, and a new one has none yet. ZooKeeper spares it until it
    /// had its first. A user makes a container and then what is to be in it, and now and then the
    /// second fails since the first has gone.
    NewContainerSwept = "new-container-swept" {
        line: "A container is swept before it ever had a child.",
        report: "ZOOKEEPER-2163",
    }

    /// A server whose disk was replaced comes back with the same name and remembers no promise.
    /// With it and another that was behind there is a majority that does not hold what the former
    /// majority acknowledged. Here it votes at once, instead of waiting until a leader that others
    /// confirmed has admitted it. A user loses a committed write although only one disk was ever
    /// lost.
    LostDiskVotes = "lost-disk-votes" {
        line: "A server that came back with an empty disk votes at once.",
        report: "Protocol-Aware Recovery, FAST 2018",
    }
}
