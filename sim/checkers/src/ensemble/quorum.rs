//! Quorum safety: what was acknowledged is never lost, and there is one history.
//!
//! Definition. Each server's log is followed through appends, cuts, snapshots, syncs, crashes and
//! damaged disks (`server_log.rs`). Then:
//! - a leader counts a transaction as committed only when a majority of the configured voters has
//!   it durably (`minority`), and only if no newer leader's history can be without it (`forked`);
//! - an established leader's history is on the disks of a majority (`established_early`) and
//!   contains everything that leaders of earlier epochs committed (`lost`);
//! - a log has no holes (`hole`), and one place has one transaction: the same bytes on every
//!   server, for ever (`rewritten`);
//! - a server applies committed transactions only (`applied_uncommitted`), in the one order,
//!   without gap or repetition (`applied_out_of_order`), with the bytes that were committed, and to
//!   the same effect as every other server (`diverged`);
//! - a write is acknowledged only when it is committed (`acknowledged_uncommitted`) and the server
//!   that answers has applied it (`acknowledged_unapplied`);
//! - a snapshot that a server starts from or is sent contains committed transactions only
//!   (`snapshot_uncommitted`); a log is never cut below what is committed (`truncated_committed`);
//! - a server takes part in no epoch before one that it has promised (`promise_broken`), and a
//!   leader is established only in an epoch that a majority has promised (`unpromised`); a restart
//!   remembers the last epoch that the server followed in (`epoch_forgotten`), and has the history
//!   that the epoch it names began with (`epoch_without_history`);
//! - what a server says to have on its disk is there, whoever reads it: its log, its promise and
//!   its epoch (`not_on_disk`), as long as the disk was not damaged;
//! - a restart finds everything that was durable (`recovery_lost`), unless the disk was damaged:
//!   then the server does not vote (`voted_after_loss`), until it was synchronised and admitted;
//!   the servers that vote and miss a committed transaction never are a majority (`endangered`).
//!
//! Sources: Zab (Junqueira, Reed, Serafini: "Zab: High-performance broadcast for primary-backup
//! systems", DSN 2011), agreement, total order, and leader completeness; ZOOKEEPER-3911, 4785 (ack
//! before the history is on disk), 4643 (an epoch on disk before its history), 1291 (a promise
//! forgotten), 4925 (holes), 3526 (TRUNC of committed data), 3144 (replicas that differ).
//!
//! What a majority is, is computed here and not asked of the ensemble under test: a mistake in its
//! arithmetic would blind both.
//!
//! What a crash does: steps that were not durable may or may not have reached the disk, in order;
//! the server's own word at its start tells which. A leader may be established late, after a newer
//! one (its last acknowledgement waited in its inbox while it slept): it then must have what
//! *earlier* epochs committed, and can commit nothing that the newer one does not know.

use crate::common::checker::violation;
use crate::ensemble::server_log::{Logged, Recovery, ServerLog};
use crate::ensemble::servers::{PerServer, Servers, node_of};
use crate::{Checker, Interests};
use mailstorm_record::{Event, Happening, NodeName, Violation};
use mailstorm_shared::facts::EnsembleFact;
use mailstorm_shared::znodes::Change;
use mailstorm_shared::{Ensemble, Epoch, Observation, ServerId, StateHasher, Zxid};
use std::collections::BTreeMap;

/// Follows every server's log.
#[derive(Clone, Debug)]
pub struct Quorum {
    ensemble: Ensemble,
    nodes: Servers,
    history: CommittedHistory,
    servers: PerServer<Server>,
    /// The newest epoch whose leader is established.
    newest_epoch: Epoch,
    /// With which history each epoch began.
    begins_after: BTreeMap<Epoch, Zxid>,
}

/// What is known of one server.
#[derive(Clone, Debug, Default)]
struct Server {
    log: ServerLog,
    /// How many transactions of the committed history its tree contains.
    applied: usize,
    /// It has just loaded a snapshot, which may contain more than its name says: parts of it were
    /// made while transactions went on. The next one applied may leave some out.
    may_skip: bool,
    /// Its disk lost something; what it has can be less than it reported.
    damaged: bool,
    /// It started without a vote, and has not caught up since.
    voteless: bool,
    /// Its tree began with a snapshot, whose rows may be of later moments than its name says, so
    /// that some changes of the transactions up to here were made already. What is committed after
    /// it began to serve is in no snapshot that it began with.
    exact_after: Zxid,
    /// The latest epoch that it promised, as far as its disk can know.
    promised: Epoch,
    /// The latest epoch that it ever promised, whatever became of its disk.
    ever_promised: Epoch,
    /// The latest epoch that it served in as a follower, as far as its disk can know.
    followed: Epoch,
}

/// Transactions in the order in which they were committed: the one history.
#[derive(Clone, Debug, Default)]
pub(crate) struct CommittedHistory {
    transactions: Vec<Committed>,
}

/// One committed transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Committed {
    pub(crate) zxid: Zxid,
    digest: Option<u32>,
    /// The epoch of the leader that committed it, which may be later than the one that proposed it.
    by: Epoch,
    /// A hash of what it changed, once a server has told.
    changes: Option<u64>,
}

impl Committed {
    pub(crate) fn logged(self) -> Logged {
        Logged { zxid: self.zxid, digest: self.digest }
    }
}

impl CommittedHistory {
    /// The last transaction committed.
    pub(crate) fn last(&self) -> Zxid {
        self.transactions.last().map_or(Zxid::ZERO, |committed| committed.zxid)
    }

    /// How many transactions there are up to `zxid`.
    pub(crate) fn position(&self, zxid: Zxid) -> usize {
        // Nearly all questions are about the end.
        if zxid >= self.last() {
            return self.transactions.len();
        }
        self.transactions.partition_point(|committed| committed.zxid <= zxid)
    }

    pub(crate) fn get(&self, index: usize) -> Option<Committed> {
        self.transactions.get(index).copied()
    }

    /// The committed transaction at this place.
    fn at(&self, zxid: Zxid) -> Option<Committed> {
        self.get(self.position(zxid).checked_sub(1)?).filter(|committed| committed.zxid == zxid)
    }

    /// Whether a history can end here: at a committed transaction, or at an epoch's start among
    /// them.
    fn covers(&self, zxid: Zxid) -> bool {
        zxid.counter() == 0 || self.at(zxid).is_some()
    }
}

impl Quorum {
    /// A checker for this ensemble, whose disks keep what they report as durable unless the record
    /// says that they were damaged.
    pub fn new(ensemble: Ensemble) -> Self {
        Self {
            nodes: Servers::of(&ensemble),
            ensemble,
            history: CommittedHistory::default(),
            servers: PerServer::default(),
            newest_epoch: Epoch::default(),
            begins_after: BTreeMap::new(),
        }
    }

    /// Whether so many voters may decide: more than half of the configured whole.
    fn decides(&self, voters: usize) -> bool {
        2 * voters > self.ensemble.voters().len()
    }

    fn appended(&mut self, at: u64, server: ServerId, logged: Logged) -> Result<(), Violation> {
        let zxid = logged.zxid;
        let committed = if zxid <= self.history.last() { self.history.at(zxid) } else { None };
        if committed.is_some_and(|committed| !committed.logged().agrees_with(logged)) {
            let detail = format!("{server} logged other bytes at {zxid} than were committed there");
            return Err(broken("rewritten", at, [server], detail));
        }
        let log = &mut self.servers.get_mut(server).log;
        let last = log.last();
        if zxid <= last {
            // A proposal that is repeated byte for byte does no harm.
            if committed.is_some() || log.has(logged, &self.history) {
                return Ok(());
            }
            let detail =
                format!("{server} logged {zxid} after {last}, and had something else there");
            return Err(broken("rewritten", at, [server], detail));
        }
        let follows = if zxid.epoch() == last.epoch() {
            zxid.0 == last.0 + 1
        } else {
            let begins_after = self.begins_after.get(&zxid.epoch());
            zxid.counter() == 1
                && begins_after.is_none_or(|before| before.counter() == 0 || *before == last)
        };
        if !follows {
            let detail = format!("{server} logged {zxid} right after {last}");
            return Err(broken("hole", at, [server], detail));
        }
        log.append(logged);
        Ok(())
    }

    fn truncated(&mut self, at: u64, server: ServerId, after: Zxid) -> Result<(), Violation> {
        let log = &mut self.servers.get_mut(server).log;
        let (count, entries) = log.view(&self.history);
        let cut = entries
            .iter()
            .filter(|logged| logged.zxid > after)
            .find(|logged| self.history.at(logged.zxid).is_some());
        let first_cut =
            self.history.get(self.history.position(after)).map(|committed| committed.zxid);
        let cut_base = if self.history.position(after) < count { first_cut } else { None };
        if let Some(zxid) = cut_base.or(cut.map(|logged| logged.zxid)) {
            let detail = format!(
                "{server} cut its log after {after}, but it had {zxid}, which is committed"
            );
            return Err(broken("truncated_committed", at, [server], detail));
        }
        log.truncate(after);
        Ok(())
    }

    fn snapshot_installed(
        &mut self,
        at: u64,
        server: ServerId,
        zxid: Zxid,
    ) -> Result<(), Violation> {
        self.expect_committed_snapshot(at, server, zxid)?;
        let position = self.history.position(zxid);
        let state = self.servers.get_mut(server);
        state.applied = position;
        state.may_skip = true;
        state.exact_after = Zxid(u64::MAX);
        state.log.replace(zxid);
        Ok(())
    }

    fn expect_committed_snapshot(
        &self,
        at: u64,
        server: ServerId,
        zxid: Zxid,
    ) -> Result<(), Violation> {
        if self.history.covers(zxid) {
            return Ok(());
        }
        let last = self.history.last();
        let detail = format!(
            "{server} has a snapshot up to {zxid}, which is not committed (the last is {last})"
        );
        Err(broken("snapshot_uncommitted", at, [server], detail))
    }

    fn durable(&mut self, at: u64, server: ServerId, zxid: Zxid) -> Result<(), Violation> {
        let state = self.servers.get_mut(server);
        let replaced = state.log.durable(zxid, &self.history);
        state.log.settle(&self.history);
        if state.voteless && holds_everything(&state.log, &self.history) {
            state.voteless = false;
        }
        if replaced { self.expect_not_endangered(at, server) } else { Ok(()) }
    }

    /// Somebody else has read the disk: is there what the server relies on?
    fn disk_holds(
        &self,
        at: u64,
        server: ServerId,
        last_logged: Zxid,
        [accepted, current]: [Epoch; 2],
    ) -> Result<(), Violation> {
        let Some(state) = self.servers.get(server).filter(|state| !state.damaged) else {
            return Ok(());
        };
        let said = state.log.reaches();
        let missing = if last_logged < said {
            format!("everything up to {said} is on its disk, where the log ends at {last_logged}")
        } else if accepted < state.promised {
            let promised = state.promised;
            format!("its promise of epoch {promised} is on its disk, where that of {accepted} is")
        } else if current < state.followed {
            let followed = state.followed;
            format!("epoch {followed} is its current one, and its disk names {current}")
        } else {
            return Ok(());
        };
        Err(broken("not_on_disk", at, [server], format!("{server} relies on it that {missing}")))
    }

    fn server_started(
        &mut self,
        at: u64,
        server: ServerId,
        epoch: Epoch,
        [snapshot, last_logged]: [Zxid; 2],
        votes: bool,
    ) -> Result<(), Violation> {
        self.expect_committed_snapshot(at, server, snapshot)?;
        let last = snapshot.max(last_logged);
        let applied = self.history.position(snapshot);
        let state = self.servers.get_mut(server);
        state.applied = applied;
        state.may_skip = snapshot != Zxid::ZERO;
        state.exact_after = if snapshot == Zxid::ZERO { Zxid::ZERO } else { Zxid(u64::MAX) };
        let recovery = state.log.recover(last, &self.history);
        state.log.settle(&self.history);
        let damaged = state.damaged;
        if !votes {
            state.voteless = true;
            state.damaged = false;
        }
        if let Recovery::Lost { durable } = recovery {
            let detail = format!(
                "{server} starts with a log that ends at {last}, but had {durable} on disk"
            );
            if !damaged {
                return Err(broken("recovery_lost", at, [server], detail));
            }
            if votes {
                let detail = format!("{detail}; the disk was damaged, and it votes nevertheless");
                return Err(broken("voted_after_loss", at, [server], detail));
            }
        }
        if !damaged && votes {
            self.expect_epoch_kept(at, server, epoch, last)?;
        }
        if recovery == Recovery::Whole { Ok(()) } else { self.expect_not_endangered(at, server) }
    }

    /// A disk that was not damaged names the epoch that it held when the server last followed, or a
    /// later one, and whoever names an epoch has its history: in the next election both count as
    /// one.
    fn expect_epoch_kept(
        &self,
        at: u64,
        server: ServerId,
        epoch: Epoch,
        last: Zxid,
    ) -> Result<(), Violation> {
        let followed = self.servers.get(server).map_or(Epoch::default(), |state| state.followed);
        if epoch < followed {
            let detail =
                format!("{server} starts in epoch {epoch}, but had followed in epoch {followed}");
            return Err(broken("epoch_forgotten", at, [server], detail));
        }
        match self.begins_after.get(&epoch) {
            Some(begins_after) if last < *begins_after => {
                let detail = format!(
                    "{server} starts in epoch {epoch} with a log that ends at {last}, but the epoch began with a history up to {begins_after}"
                );
                Err(broken("epoch_without_history", at, [server], detail))
            }
            _ => Ok(()),
        }
    }

    fn promised(&mut self, at: u64, server: ServerId, epoch: Epoch) -> Result<(), Violation> {
        self.expect_promise_kept(at, server, epoch)?;
        let state = self.servers.get_mut(server);
        state.promised = epoch;
        state.ever_promised = state.ever_promised.max(epoch);
        Ok(())
    }

    fn expect_promise_kept(
        &mut self,
        at: u64,
        server: ServerId,
        epoch: Epoch,
    ) -> Result<(), Violation> {
        let promised = self.servers.get_mut(server).promised;
        if epoch >= promised {
            return Ok(());
        }
        let detail = format!(
            "{server} takes part in epoch {epoch} after it promised to take part in none before {promised}"
        );
        Err(broken("promise_broken", at, [server], detail))
    }

    fn follows(&mut self, at: u64, server: ServerId, epoch: Epoch) -> Result<(), Violation> {
        self.expect_promise_kept(at, server, epoch)?;
        let last = self.history.last();
        let state = self.servers.get_mut(server);
        state.exact_after = state.exact_after.min(last);
        state.followed = epoch;
        Ok(())
    }

    fn damaged(&mut self, server: ServerId) {
        let state = self.servers.get_mut(server);
        state.damaged = true;
        // What was promised and followed may be forgotten with the rest.
        state.promised = Epoch::default();
        state.followed = Epoch::default();
    }

    /// The voters that miss the last committed transaction could elect a leader without it if they
    /// were a majority. A lagging minority is normal: a commit needs no more than a majority.
    fn expect_not_endangered(&self, at: u64, server: ServerId) -> Result<(), Violation> {
        let Some(last) = self.history.transactions.last() else { return Ok(()) };
        let missing: Vec<ServerId> = self
            .ensemble
            .voters()
            .iter()
            .copied()
            .filter(|voter| {
                self.servers
                    .get(*voter)
                    .is_none_or(|state| !state.voteless && !state.log.holds_durably(last.logged()))
            })
            .collect();
        if !self.decides(missing.len()) {
            return Ok(());
        }
        let detail = format!(
            "{} of {} voters are without {}, which is committed: they can elect a leader that loses it",
            missing.len(),
            self.ensemble.voters().len(),
            last.zxid
        );
        let others = missing.into_iter().filter(|other| *other != server);
        Err(broken("endangered", at, [server].into_iter().chain(others), detail))
    }

    fn leads(
        &mut self,
        at: u64,
        server: ServerId,
        epoch: Epoch,
        last_logged: Zxid,
    ) -> Result<(), Violation> {
        let late = epoch < self.newest_epoch;
        self.expect_promise_kept(at, server, epoch)?;
        self.expect_promised_by_majority(at, server, epoch)?;
        let state = self.servers.get_mut(server);
        state.exact_after = state.exact_after.min(self.history.last());
        let (count, entries) = state.log.view(&self.history);
        let needed = if late {
            self.history.transactions.partition_point(|committed| committed.by < epoch)
        } else {
            self.history.transactions.len()
        };
        let mut mine = entries.iter();
        for index in count..needed {
            let Some(committed) = self.history.get(index) else { break };
            let logged = mine.next();
            if logged.is_some_and(|logged| logged.agrees_with(committed.logged())) {
                continue;
            }
            let instead = match logged {
                Some(logged) => format!("it has {} in its place", logged.zxid),
                None => "its log ends before".to_owned(),
            };
            let detail = format!(
                "{server} leads epoch {epoch} without {}, which was committed in epoch {}: {instead}",
                committed.zxid, committed.by
            );
            return Err(broken("lost", at, [server], detail));
        }
        self.begins_after.entry(epoch).or_insert(last_logged);
        if late {
            return Ok(());
        }
        self.newest_epoch = epoch;
        let end = entries.iter().rev().find(|logged| logged.zxid <= last_logged).copied();
        let end = end.or_else(|| self.history.get(count.checked_sub(1)?).map(Committed::logged));
        if let Some(end) = end {
            let holders = self.count_holders(end);
            if !self.decides(holders) {
                let detail = format!(
                    "{server} leads epoch {epoch}, but only {holders} of {} voters have its history up to {last_logged} on disk",
                    self.ensemble.voters().len()
                );
                return Err(broken("established_early", at, [server], detail));
            }
        }
        // With the majority that establishes a leader its whole history is committed.
        let committed = self.history.last();
        let fresh = entries.into_iter().filter(|e| e.zxid > committed && e.zxid <= last_logged);
        self.commit(fresh, epoch);
        Ok(())
    }

    fn expect_promised_by_majority(
        &self,
        at: u64,
        leader: ServerId,
        epoch: Epoch,
    ) -> Result<(), Violation> {
        let promised = |voter: &&ServerId| {
            self.servers.get(**voter).is_some_and(|state| state.ever_promised >= epoch)
        };
        let promises = self.ensemble.voters().iter().filter(promised).count();
        if self.decides(promises) {
            return Ok(());
        }
        let detail = format!(
            "{leader} leads epoch {epoch}, which {promises} of {} voters have promised",
            self.ensemble.voters().len()
        );
        Err(broken("unpromised", at, [leader], detail))
    }

    fn quorum_committed(
        &mut self,
        at: u64,
        server: ServerId,
        epoch: Epoch,
        zxid: Zxid,
    ) -> Result<(), Violation> {
        let last = self.history.last();
        if zxid <= last {
            if self.history.covers(zxid) {
                return Ok(());
            }
            let detail = format!(
                "{server} committed {zxid} in epoch {epoch}, but the history has gone past it to {last} without it"
            );
            return Err(broken("forked", at, [server], detail));
        }
        if epoch < self.newest_epoch {
            let newest = self.newest_epoch;
            let detail = format!(
                "{server} committed {zxid} in epoch {epoch} after epoch {newest} began with a history without it"
            );
            return Err(broken("forked", at, [server], detail));
        }
        let fresh = self.servers.get_mut(server).log.between(last, zxid, &self.history);
        if fresh.last().is_none_or(|logged| logged.zxid != zxid) && zxid.counter() != 0 {
            let detail =
                format!("{server} committed {zxid} in epoch {epoch}, but does not have it itself");
            return Err(broken("forked", at, [server], detail));
        }
        for logged in &fresh {
            self.expect_majority(at, server, epoch, *logged)?;
        }
        self.newest_epoch = epoch;
        self.commit(fresh, epoch);
        Ok(())
    }

    fn expect_majority(
        &self,
        at: u64,
        leader: ServerId,
        epoch: Epoch,
        logged: Logged,
    ) -> Result<(), Violation> {
        let holders = self.count_holders(logged);
        if self.decides(holders) {
            return Ok(());
        }
        let zxid = logged.zxid;
        let contradicting = self.ensemble.voters().iter().copied().find(|voter| {
            self.servers.get(*voter).is_some_and(|state| state.log.contradicts(logged))
        });
        if let Some(other) = contradicting {
            let detail = format!("{leader} and {other} have different bytes at {zxid}");
            return Err(broken("rewritten", at, [leader, other], detail));
        }
        let voters = self.ensemble.voters().len();
        let detail = format!(
            "{leader} committed {zxid} in epoch {epoch} with {holders} of {voters} voters having it on disk"
        );
        Err(broken("minority", at, [leader], detail))
    }

    fn count_holders(&self, wanted: Logged) -> usize {
        let holds = |voter: &&ServerId| {
            self.servers.get(**voter).is_some_and(|state| state.log.held_durably(wanted))
        };
        self.ensemble.voters().iter().filter(holds).count()
    }

    fn commit(&mut self, fresh: impl IntoIterator<Item = Logged>, by: Epoch) {
        let before = self.history.transactions.len();
        self.history.transactions.extend(fresh.into_iter().map(|logged| Committed {
            zxid: logged.zxid,
            digest: logged.digest,
            by,
            changes: None,
        }));
        if self.history.transactions.len() > before {
            for state in self.servers.values_mut() {
                state.log.settle(&self.history);
            }
        }
    }

    fn applied(
        &mut self,
        at: u64,
        server: ServerId,
        zxid: Zxid,
        digest: u32,
        changes: &Vec<Change>,
    ) -> Result<(), Violation> {
        let last = self.history.last();
        let state = self.servers.get_mut(server);
        let is_exact = zxid > state.exact_after;
        if std::mem::take(&mut state.may_skip) && self.history.at(zxid).is_some() {
            state.applied = state.applied.max(self.history.position(zxid) - 1);
        }
        match self.history.transactions.get_mut(state.applied) {
            Some(next) if next.zxid == zxid => {
                state.applied += 1;
                if next.digest.is_some_and(|committed| committed != digest) {
                    let detail =
                        format!("{server} applied other bytes at {zxid} than were committed there");
                    return Err(broken("diverged", at, [server], detail));
                }
                next.digest = Some(digest);
                if !is_exact {
                    return Ok(());
                }
                let changes = StateHasher::of(changes);
                if *next.changes.get_or_insert(changes) == changes {
                    return Ok(());
                }
                let detail =
                    format!("{zxid} changed other things on {server} than on servers before it");
                Err(broken("diverged", at, [server], detail))
            }
            Some(next) if zxid <= last => {
                let detail = format!("{server} applied {zxid}, but {} was to be next", next.zxid);
                Err(broken("applied_out_of_order", at, [server], detail))
            }
            None if zxid <= last => {
                let detail = format!("{server} applied {zxid} again");
                Err(broken("applied_out_of_order", at, [server], detail))
            }
            Some(_) | None => {
                let detail = format!(
                    "{server} applied {zxid}, but only transactions up to {last} are committed"
                );
                Err(broken("applied_uncommitted", at, [server], detail))
            }
        }
    }

    fn acknowledged(&mut self, at: u64, server: ServerId, zxid: Zxid) -> Result<(), Violation> {
        if zxid == Zxid::ZERO {
            return Ok(()); // Refused before it became a transaction.
        }
        let position = self.history.position(zxid);
        if zxid > self.history.last() || self.history.at(zxid).is_none() {
            let detail = format!("{server} acknowledged {zxid}, which is not committed");
            return Err(broken("acknowledged_uncommitted", at, [server], detail));
        }
        if self.servers.get_mut(server).applied < position {
            let detail = format!("{server} acknowledged {zxid} before it applied it");
            return Err(broken("acknowledged_unapplied", at, [server], detail));
        }
        Ok(())
    }
}

/// Whether the disk has all that is committed.
fn holds_everything(log: &ServerLog, history: &CommittedHistory) -> bool {
    history.transactions.last().is_none_or(|last| log.holds_durably(last.logged()))
}

fn broken(
    kind: &str,
    at_ns: u64,
    servers: impl IntoIterator<Item = ServerId>,
    detail: String,
) -> Violation {
    let nodes: Vec<NodeName> = servers.into_iter().map(node_of).collect();
    violation("quorum", kind, at_ns, nodes, detail)
}

impl Checker for Quorum {
    fn name(&self) -> &'static str {
        "quorum"
    }

    fn interests(&self) -> Interests {
        Interests::LEADERSHIP
            | Interests::LOG
            | Interests::APPLIED
            | Interests::ACKNOWLEDGED
            | Interests::PROCESSES
    }

    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        let at = event.at_ns;
        let Some(server) = self.nodes.on(event.node.as_ref()) else { return Ok(()) };
        let fact = match &event.happening {
            Happening::Observed { observation: Observation::Ensemble(fact) } => fact,
            Happening::DiskDamaged => {
                self.damaged(server);
                return Ok(());
            }
            _ => return Ok(()),
        };
        match *fact {
            EnsembleFact::Appended { zxid, digest } => {
                self.appended(at, server, Logged { zxid, digest: Some(digest) })
            }
            EnsembleFact::Durable { zxid } => self.durable(at, server, zxid),
            EnsembleFact::DiskHolds { last_logged, accepted_epoch, current_epoch } => {
                self.disk_holds(at, server, last_logged, [accepted_epoch, current_epoch])
            }
            EnsembleFact::Applied { zxid, digest, ref changes, .. } => {
                self.applied(at, server, zxid, digest, changes)
            }
            EnsembleFact::QuorumCommitted { epoch, zxid } => {
                self.quorum_committed(at, server, epoch, zxid)
            }
            EnsembleFact::Acknowledged { zxid, .. } => self.acknowledged(at, server, zxid),
            EnsembleFact::Truncated { after } => self.truncated(at, server, after),
            EnsembleFact::SnapshotInstalled { zxid } => self.snapshot_installed(at, server, zxid),
            EnsembleFact::Leads { epoch, last_logged } => {
                self.leads(at, server, epoch, last_logged)
            }
            EnsembleFact::EpochAccepted { epoch } => self.promised(at, server, epoch),
            EnsembleFact::Follows { epoch, .. } => self.follows(at, server, epoch),
            EnsembleFact::ServerStarted { epoch, snapshot, last_logged, votes } => {
                self.server_started(at, server, epoch, [snapshot, last_logged], votes)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
