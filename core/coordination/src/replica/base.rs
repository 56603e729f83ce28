//! What a replica has in every role: its log, its promises, its disk queue, its election links.

use super::disk::{DiskQueue, WhenDurable};
use super::hearing::Hearing;
use super::log::{Log, Volume};
use super::{Outbox, ReplicaConfig, ReplicaEvent};
use crate::io::{DiskCommand, DurableState, LinkId, Output};
use mailstorm_shared::facts::EnsembleFact;
use mailstorm_shared::machine::Loads;
use mailstorm_shared::{Epoch, ServerId, Zxid, planted};
use mailstorm_wire::peer::{Notification, PeerMessage, Standing, Vote};
use mailstorm_wire::txn::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// How many epochs a peer may be ahead of us: one election a second for half a year. Whoever claims
/// more is damaged, and must not carry us to where there is no next epoch.
const EPOCHS_AHEAD_MAX: u32 = 1 << 24;

/// Disk commands that may wait besides entries: promises, epochs, pieces of a leader's snapshot.
const COMMANDS_BESIDE_ENTRIES_MAX: usize = 64;

/// Why a role is given up: `Err` of every handler that can end one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// Look for a leader again.
    Look(&'static str),
    /// Look for a leader again, and not for the same one at once.
    Avoid(&'static str),
    /// Look for a leader again, and do not offer to lead for a while.
    StandBack(&'static str),
    /// This server cannot go on.
    Halt(&'static str),
}

/// Whether the role goes on after an input.
pub(super) type Stay = Result<(), Leave>;

/// What outlives roles.
#[derive(Clone, Debug, Hash)]
pub(super) struct Base {
    pub(super) config: ReplicaConfig,
    pub(super) log: Log,
    pub(super) disk: DiskQueue,
    /// The promises as last handed to the disk: what was handed over may be told nobody before it
    /// is durable, but must not be gone back on either.
    pub(super) state: DurableState,
    /// Whether we may vote, durably.
    pub(super) voting: bool,
    /// The election links that are up. Two to the same peer are possible for a moment.
    pub(super) election_links: BTreeMap<LinkId, ServerId>,
    /// What was said on them.
    pub(super) hearing: Hearing,
    /// Peers to which a learner link was asked for, and no answer has come.
    pub(super) opening: BTreeSet<ServerId>,
    /// The election that ended last: its round, and the vote that won.
    pub(super) settled: (u64, Vote),
    pub(super) snapshots: OwnSnapshots,
}

/// The bookkeeping of this server's own snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct OwnSnapshots {
    /// The last one on disk.
    pub(super) last: Zxid,
    /// How much was delivered since.
    pub(super) delivered_since: Volume,
    /// Whether one is being written.
    pub(super) under_way: bool,
}

impl Base {
    /// What we are to a leader.
    pub(super) fn standing(&self) -> Standing {
        if !self.config.ensemble.is_voter(self.config.me) {
            Standing::Observer
        } else if self.voting {
            Standing::Voter
        } else {
            Standing::Joiner
        }
    }

    /// The vote for ourselves.
    pub(super) fn own_vote(&self) -> Vote {
        Vote { epoch: self.state.current_epoch, zxid: self.history_end(), leader: self.config.me }
    }

    /// Where our history ends, for candidates and for leaders: with the log, committed or not
    /// (ZOOKEEPER-2832, ZOOKEEPER-2845). What is in it and not in the leader's must be cut, and
    /// what the leader believes us to have is not sent again.
    pub(super) fn history_end(&self) -> Zxid {
        let was_in_an_election = self.settled.0 > 0;
        if planted!(self.config.defects, TreeKeptThroughElection) && was_in_an_election {
            return self.log.committed();
        }
        self.log.last()
    }

    /// Whether an election link to `server` is up.
    pub(super) fn is_linked(&self, server: ServerId) -> bool {
        self.election_links.values().any(|peer| *peer == server)
    }

    /// Tells every server.
    pub(super) fn tell_all(&self, notification: Notification, out: &mut Outbox) {
        let links: Vec<LinkId> = self.election_links.keys().copied().collect();
        send_all(links, PeerMessage::Notification(notification), out);
    }

    /// Adds an entry to the log in memory and on disk.
    pub(super) fn append(&mut self, entry: Entry, out: &mut Outbox) {
        let zxid = entry.zxid;
        out.tell(EnsembleFact::Appended { zxid, digest: entry.digest() });
        self.log.append(entry.clone());
        self.disk.issue(DiskCommand::Append(entry), WhenDurable::Logged { zxid }, out);
    }

    /// Cuts the log in memory and on disk.
    pub(super) fn truncate(&mut self, after: Zxid, out: &mut Outbox) {
        // A leader orders a cut when it has our promise, and the promise was written behind
        // everything we had logged.
        assert_eq!(self.log.durable(), self.log.last(), "what is cut is no longer on its way");
        self.log.truncate(after);
        self.disk.issue(DiskCommand::Truncate { after }, WhenDurable::Nothing, out);
        out.tell(EnsembleFact::Truncated { after });
    }

    /// Promises to take part in no epoch before this one.
    pub(super) fn accept_epoch(&mut self, epoch: Epoch, when: WhenDurable, out: &mut Outbox) {
        assert!(epoch >= self.state.accepted_epoch, "a promise is never taken back");
        let before = self.state;
        self.state.accepted_epoch = epoch;
        let late = planted!(self.config.defects, EpochAcceptedLate);
        let written = if late { before } else { self.state };
        self.disk.issue(DiskCommand::SaveState(written), when, out);
    }

    /// Whether a peer may have promised, or begun, this epoch.
    pub(super) fn may_claim(&self, epoch: Epoch) -> bool {
        epoch.0.saturating_sub(self.state.accepted_epoch.0) <= EPOCHS_AHEAD_MAX
    }

    /// Notes that the log now begins with the history of this epoch.
    pub(super) fn begin_epoch(&mut self, epoch: Epoch, when: WhenDurable, out: &mut Outbox) {
        assert!(epoch >= self.state.current_epoch, "epochs only grow");
        assert!(epoch <= self.state.accepted_epoch, "an epoch is promised before it begins");
        self.state.current_epoch = epoch;
        self.disk.issue(DiskCommand::SaveState(self.state), when, out);
    }

    /// Everything up to `zxid` is committed: deliver what is new.
    pub(super) fn commit(&mut self, zxid: Zxid, out: &mut Outbox) {
        for entry in self.log.commit(zxid) {
            self.snapshots.delivered_since.add(entry);
            out.events.push_back(ReplicaEvent::Committed(entry.clone()));
        }
    }

    /// What always holds of a replica in every role.
    pub(super) fn invariants(&self) {
        self.log.invariants();
        self.disk.invariants();
        assert!(
            self.state.current_epoch <= self.state.accepted_epoch,
            "an epoch is promised before it begins"
        );
        assert!(!self.voting || self.state.votes, "only who was admitted on disk votes");
        assert!(
            self.snapshots.last <= self.log.committed(),
            "a snapshot holds only what is committed"
        );
        assert!(!self.opening.contains(&self.config.me), "nobody opens a learner link to itself");
    }

    /// How much is kept in every role.
    pub(super) fn loads(&self, loads: &mut Loads) {
        let Volume { entries, bytes } = self.log.volume();
        loads.bounded("log_entries", entries, self.config.log_entries_max());
        loads.bounded("log_bytes", bytes, self.config.log_bytes_max());
        // A leader that takes over a history does not wait for its disk.
        let commands_max =
            self.config.log_entries_max().saturating_add(COMMANDS_BESIDE_ENTRIES_MAX);
        loads.bounded("disk_commands", self.disk.waiting_count(), commands_max);
        let links_max = self.config.ensemble.servers().count() * 2;
        loads.bounded("election_links", self.election_links.len(), links_max);
    }

    /// The promise of `epoch` is on disk.
    pub(super) fn observe_promise(&self, epoch: Epoch, out: &mut Outbox) {
        out.tell(EnsembleFact::EpochAccepted { epoch });
    }
}

/// Sends one message on one link.
pub(super) fn send(link: LinkId, message: PeerMessage, out: &mut Outbox) {
    out.outputs.push(Output::Send { links: vec![link], message });
}

/// Sends one message on each of these links.
pub(super) fn send_all(links: Vec<LinkId>, message: PeerMessage, out: &mut Outbox) {
    if !links.is_empty() {
        out.outputs.push(Output::Send { links, message });
    }
}

/// Cuts the log as another server's history demands.
pub(super) fn cut(base: &mut Base, after: Zxid, out: &mut Outbox) -> Stay {
    if after < base.log.known_committed() {
        // A majority has lost what it acknowledged, or lied. Nobody can mend that from here, and no
        // restart can: what is known to be committed is noted on the disk.
        return Err(Leave::Halt("the leader wants committed transactions to be cut"));
    }
    if !base.log.contains(after) {
        return Err(Leave::Look("the leader wants a cut at an entry that is not here"));
    }
    if after < base.log.last() {
        base.truncate(after, out);
    }
    Ok(())
}
