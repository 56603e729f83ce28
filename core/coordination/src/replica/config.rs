//! What a replica is told once, before it starts.

use mailstorm_shared::{Defects, Ensemble, Millis, ServerId, StateHasher, Zxid, planted};
use mailstorm_wire::txn::TXN_BYTES_MAX;

/// A learner that lags may hold so many snapshots' worth of entries in our memory.
pub(super) const SNAPSHOTS_HELD_BACK_MAX: usize = 4;

/// How many entries may be on their way to a learner without being acknowledged. Higher: more of a
/// slow learner's lag is on the link.
pub const WINDOW_ENTRIES_MAX: usize = 2_048;

/// How many bytes these entries may have, but always one entry.
pub const WINDOW_BYTES_MAX: usize = 16 << 20;

/// So many snapshots' worth of entries may be in memory: what a learner holds back, and what comes
/// while two snapshots of our own are written.
const SNAPSHOTS_IN_LOG_MAX: usize = SNAPSHOTS_HELD_BACK_MAX + 2;

/// Who a replica is, with whom, and how patient. The same on every server but for [`Self::me`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReplicaConfig {
    /// This server; belongs to [`Self::ensemble`].
    pub me: ServerId,
    /// The configured whole.
    pub ensemble: Ensemble,
    /// ZooKeeper's `tickTime`: the unit of the two limits below. A leader pings twice per tick.
    pub tick: Millis,
    /// How many ticks a new leader has to get established, and a learner to hear of its leader's
    /// epoch.
    pub init_limit_ticks: u32,
    /// How many ticks leader and learner wait for each other before they part.
    pub sync_limit_ticks: u32,
    /// After at most how many applied entries a snapshot is due (see `snapshot_after`), ...
    pub snapshot_every_entries: usize,
    /// ... or after how many bytes of them: what was applied since the last snapshot stays in
    /// memory, and a hundred thousand entries may be a hundred megabytes or a hundred gigabytes.
    pub snapshot_every_bytes: usize,
    /// How many entries before the last snapshot stay in memory (ZooKeeper's `commitLogCount`), so
    /// that a learner that was away for a moment needs no snapshot.
    pub sync_entries_kept: usize,
    /// At most how many bytes they may have.
    pub sync_bytes_kept: usize,
    /// How long a server waits for a better vote after a majority agrees with its own
    /// (ZooKeeper's `finalizeWait`).
    pub election_settle: Millis,
    /// The first pause after which a looking server repeats its vote. It doubles each time, ...
    pub election_resend_min: Millis,
    /// ... up to this; each pause is lengthened by a random part of up to a half.
    pub election_resend_max: Millis,
    /// How many proposals may be under way at once. Whoever proposes asks
    /// [`can_propose`](super::Replica::can_propose) first.
    pub outstanding_proposals_max: usize,
    /// See [`WINDOW_ENTRIES_MAX`].
    pub window_entries_max: usize,
    /// See [`WINDOW_BYTES_MAX`].
    pub window_bytes_max: usize,
    /// The last counter an epoch may use. Only tests have reason to set it below [`u32::MAX`]:
    /// reaching it makes the leader step down (ZOOKEEPER-1277).
    pub epoch_entries_max: u32,
    /// The defect that the laboratory planted in this server, if any.
    pub defects: Defects,
    /// How many voters the defect `minority-quorum` takes for a majority; half of them unless it is
    /// said. Without that defect it changes nothing.
    pub minority_quorum: Option<usize>,
}

impl ReplicaConfig {
    /// ZooKeeper's customary timing, for server `me` of this ensemble.
    pub fn new(me: ServerId, ensemble: Ensemble) -> Self {
        Self {
            me,
            ensemble,
            tick: Millis(2_000),
            init_limit_ticks: 10,
            sync_limit_ticks: 5,
            snapshot_every_entries: 100_000,
            snapshot_every_bytes: 256 << 20,
            sync_entries_kept: 500,
            sync_bytes_kept: 16 << 20,
            election_settle: Millis(200),
            election_resend_min: Millis(200),
            election_resend_max: Millis(800),
            outstanding_proposals_max: 1_000,
            window_entries_max: WINDOW_ENTRIES_MAX,
            window_bytes_max: WINDOW_BYTES_MAX,
            epoch_entries_max: u32::MAX,
            defects: Defects::NONE,
            minority_quorum: None,
        }
    }

    /// How long discovery and synchronisation may take.
    pub fn init_limit(&self) -> Millis {
        Millis(self.tick.0.saturating_mul(u64::from(self.init_limit_ticks)))
    }

    /// After how much silence a leader and a learner part.
    pub fn sync_limit(&self) -> Millis {
        Millis(self.tick.0.saturating_mul(u64::from(self.sync_limit_ticks)))
    }

    /// How many entries the log in memory may have: what learners may still want of what is older
    /// than the last snapshot, what they may hold back, what comes while two snapshots are written,
    /// and what is not committed.
    pub(super) fn log_entries_max(&self) -> usize {
        let snapshots = self.snapshot_every_entries.saturating_mul(SNAPSHOTS_IN_LOG_MAX);
        snapshots
            .saturating_add(self.sync_entries_kept)
            .saturating_add(self.outstanding_proposals_max)
    }

    /// How many bytes these entries may have.
    pub(super) fn log_bytes_max(&self) -> usize {
        let snapshots = self.snapshot_every_bytes.saturating_mul(SNAPSHOTS_IN_LOG_MAX);
        let uncommitted = self.outstanding_proposals_max.saturating_mul(TXN_BYTES_MAX);
        snapshots.saturating_add(self.sync_bytes_kept).saturating_add(uncommitted)
    }

    /// For how long the last word of a peer is good: three repetitions of its vote may be lost.
    pub(super) fn heard_limit(&self) -> Millis {
        let pause = self.election_resend_max.0;
        Millis(pause.saturating_add(pause / 2).saturating_mul(3))
    }

    /// After how much of `every` the snapshot is due that follows the one at `last`: drawn, as in
    /// ZooKeeper, from the upper half, so that the servers of an ensemble, which all apply the
    /// same, do not all write at once what keeps their disks busy. Drawn from who we are and where
    /// the last snapshot was, so that the same server in the same history does the same.
    pub(super) fn snapshot_after(&self, last: Zxid, every: usize) -> usize {
        let half = every / 2;
        let drawn = StateHasher::of(&(self.me, last)) % (half as u64 + 1);
        every - drawn as usize
    }

    /// Whether that much has come since the last snapshot. Asked after every step, so that nothing
    /// is drawn while the answer would be no whatever was drawn.
    pub(super) fn is_snapshot_due(&self, last: Zxid, since: usize, every: usize) -> bool {
        since >= every - every / 2 && since >= self.snapshot_after(last, every)
    }

    /// The pause between two pings.
    pub(super) fn ping_interval(&self) -> Millis {
        Millis((self.tick.0 / 2).max(1))
    }

    /// Whether so many voters may decide.
    pub(super) fn is_majority(&self, voters: usize) -> bool {
        if planted!(self.defects, MinorityQuorum) {
            let half = self.ensemble.voters().len() / 2;
            return voters >= self.minority_quorum.unwrap_or(half);
        }
        voters >= self.ensemble.majority()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mailstorm_shared::Epoch;
    use std::collections::BTreeSet;

    #[test]
    fn servers_do_not_all_snapshot_at_the_same_entry() {
        let servers = || (1..=5).map(|n| ServerId::new(n).unwrap());
        let ensemble = Ensemble::new(servers(), []).unwrap();
        for counter in 0..20 {
            let last = Zxid::new(Epoch(3), counter * 1_000);
            let due: BTreeSet<usize> = servers()
                .map(|me| ReplicaConfig::new(me, ensemble.clone()).snapshot_after(last, 100_000))
                .collect();
            assert_eq!(due.len(), 5, "{due:?}");
            assert!(due.iter().all(|after| (50_000..=100_000).contains(after)), "{due:?}");
        }
    }
}
