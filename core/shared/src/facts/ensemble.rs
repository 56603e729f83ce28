//! What the servers of an ensemble report about themselves. The event's node says which server.

use super::{Account, Fact, Subject};
use crate::time_in_words::span_of_ms;
use crate::znodes::Change;
use crate::{Epoch, Millis, ServerId, SessionId, WallTime, Zxid};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// One fact of a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum EnsembleFact {
    /// A server has recovered its disk and starts to look for a leader.
    ServerStarted {
        /// The last leader epoch whose history it took part in.
        epoch: Epoch,
        /// The newest snapshot that could be read; [`Zxid::ZERO`] without one.
        snapshot: Zxid,
        /// The last transaction in its log.
        last_logged: Zxid,
        /// False when it lost data and must be admitted by a leader before it may vote again.
        votes: bool,
    },
    /// A server looks for a leader.
    Looking,
    /// A server promised, durably, to take part in no earlier epoch.
    EpochAccepted {
        /// The epoch promised.
        epoch: Epoch,
    },
    /// A follower or observer has been synchronised and serves clients under a leader.
    Follows {
        /// The leader.
        leader: ServerId,
        /// In which epoch.
        epoch: Epoch,
    },
    /// A leader is established: a majority has its history on disk.
    Leads {
        /// The epoch that begins.
        epoch: Epoch,
        /// The last transaction of the history the epoch begins with.
        last_logged: Zxid,
    },
    /// A leader or follower gave up its role.
    SteppedDown {
        /// The epoch it served in.
        epoch: Epoch,
        /// Why, in a few words.
        why: Arc<str>,
    },
    /// A leader gave up a learner, which may come again.
    LearnerGivenUp {
        /// Whom.
        learner: ServerId,
        /// Whether it was silent; if not, it kept too much in the leader's memory.
        silent: bool,
    },
    /// A transaction was handed to the disk; it is not durable yet.
    Appended {
        /// The transaction's place.
        zxid: Zxid,
        /// CRC-32C of its bytes.
        digest: u32,
    },
    /// A server cut its log on a leader's order; nothing after `after` is left.
    Truncated {
        /// The last transaction kept.
        after: Zxid,
    },
    /// A leader begins to send a server a snapshot.
    SnapshotBegun {
        /// The last transaction contained.
        zxid: Zxid,
        /// Whether the server was writing a snapshot of its own, which is void now.
        voids_own: bool,
    },
    /// A leader's snapshot broke off before its end: the server keeps the state that it had.
    SnapshotBrokenOff {
        /// The last transaction that it would have contained.
        zxid: Zxid,
    },
    /// A server replaced its whole state by a leader's snapshot.
    SnapshotInstalled {
        /// The last transaction contained.
        zxid: Zxid,
    },
    /// The disk reported that everything up to here is on it. Reported by the host, not by the
    /// core.
    Durable {
        /// The last durable transaction.
        zxid: Zxid,
    },
    /// The laboratory read the server's disk as it would be if the power failed now.
    DiskHolds {
        /// The last transaction of the log.
        last_logged: Zxid,
        /// The promise to take part in no earlier epoch.
        accepted_epoch: Epoch,
        /// The last epoch whose history the server took part in.
        current_epoch: Epoch,
    },
    /// A leader counted a majority for every transaction up to here.
    QuorumCommitted {
        /// Its epoch.
        epoch: Epoch,
        /// The last transaction committed.
        zxid: Zxid,
    },
    /// A committed transaction was applied to a server's tree.
    Applied {
        /// The transaction's place.
        zxid: Zxid,
        /// CRC-32C of its bytes: equal on every server.
        digest: u32,
        /// On whose behalf; [`SessionId::NONE`] for what the leader does by itself, such as a
        /// sweep.
        session: SessionId,
        /// When its leader proposed it, on the wall clock of that leader.
        wall: WallTime,
        /// What it changed, in order; empty for a refused write.
        changes: Vec<Change>,
    },
    /// The answer to a write left for its client.
    Acknowledged {
        /// Whose write.
        session: SessionId,
        /// The transaction.
        zxid: Zxid,
    },
    /// A server received something from a session's client.
    SessionHeard {
        /// The session.
        session: SessionId,
    },
    /// A leader expired a session because its client had been silent for too long.
    SessionExpired {
        /// Whose session.
        session: SessionId,
        /// The timeout negotiated.
        timeout: Millis,
        /// For how long it was silent, on the leader's own clock.
        silent_for: Millis,
    },
}

impl Fact for EnsembleFact {
    const TOPIC: &'static str = "ensemble";

    fn told<'a, T>(&'a self, to: impl FnOnce(Account<'a>, fmt::Arguments<'_>) -> T) -> T {
        let fact = Account::of;
        match self {
            Self::ServerStarted { epoch, snapshot, last_logged, votes } => to(
                fact("server_started", Subject::Leadership).by("server"),
                format_args!(
                    "has recovered epoch {epoch}, snapshot {snapshot}, log to {last_logged}{}",
                    if *votes { "" } else { "; lost data, does not vote until it is admitted" }
                ),
            ),
            Self::Looking => to(
                fact("looking", Subject::Leadership).info().shows("looking", 0),
                format_args!("looks for a leader"),
            ),
            Self::EpochAccepted { epoch } => to(
                fact("epoch_accepted", Subject::Leadership),
                format_args!("promises epoch {epoch}"),
            ),
            Self::Follows { leader, epoch } => to(
                fact("follows", Subject::Leadership).info().shows("follows", epoch.0),
                format_args!("follows {leader} in epoch {epoch}"),
            ),
            Self::Leads { epoch, last_logged } => to(
                fact("leads", Subject::Leadership).info().turn().shows("leads", epoch.0),
                format_args!("leads epoch {epoch}, which begins after {last_logged}"),
            ),
            Self::SteppedDown { epoch, why } => to(
                fact("stepped_down", Subject::Leadership).info().turn().shows("looking", 0),
                format_args!("leaves epoch {epoch}: {why}"),
            ),
            Self::LearnerGivenUp { learner, silent } => to(
                fact("learner_given_up", Subject::Leadership),
                format_args!(
                    "gives up {learner}, which {}",
                    if *silent { "is silent" } else { "lags too far behind" }
                ),
            ),
            Self::Appended { zxid, .. } => {
                to(fact("appended", Subject::Log), format_args!("appends {zxid}"))
            }
            Self::Truncated { after } => to(
                fact("truncated", Subject::Log).turn(),
                format_args!("truncates its log after {after}"),
            ),
            Self::SnapshotBegun { zxid, voids_own } => to(
                fact("snapshot_begun", Subject::Log),
                format_args!(
                    "is sent a snapshot of {zxid}{}",
                    if *voids_own { ", and drops the one that it was writing" } else { "" }
                ),
            ),
            Self::SnapshotBrokenOff { zxid } => to(
                fact("snapshot_broken_off", Subject::Log),
                format_args!("loses the leader amid its snapshot of {zxid}"),
            ),
            Self::SnapshotInstalled { zxid } => to(
                fact("snapshot_installed", Subject::Log).turn(),
                format_args!("installs a snapshot of {zxid}"),
            ),
            Self::Durable { zxid } => {
                to(fact("durable", Subject::Log), format_args!("has everything to {zxid} on disk"))
            }
            Self::DiskHolds { last_logged, accepted_epoch, current_epoch } => to(
                fact("disk_holds", Subject::Log),
                format_args!(
                    "has a log up to {last_logged}, the promise of epoch {accepted_epoch} and current epoch {current_epoch} on disk"
                ),
            ),
            Self::QuorumCommitted { epoch, zxid } => to(
                fact("quorum_committed", Subject::Log).turn(),
                format_args!("counts a majority for {zxid} in epoch {epoch}"),
            ),
            Self::Applied { zxid, changes, .. } => to(
                fact("applied", Subject::Applied),
                format_args!("applies {zxid}: {}", Changes(changes)),
            ),
            Self::Acknowledged { session, zxid } => to(
                fact("acknowledged", Subject::Acknowledged),
                format_args!("acknowledges {zxid} to session {session}"),
            ),
            Self::SessionHeard { session } => to(
                fact("session_heard", Subject::Sessions),
                format_args!("hears of session {session}"),
            ),
            Self::SessionExpired { session, timeout, silent_for } => to(
                fact("session_expired", Subject::Sessions).info().turn(),
                format_args!(
                    "ends session {session}: silent for {}, timeout {}",
                    span_of_ms(silent_for.0),
                    span_of_ms(timeout.0)
                ),
            ),
        }
    }
}

/// What a transaction changed, in words.
struct Changes<'a>(&'a [Change]);

impl fmt::Display for Changes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, rest)) = self.0.split_first() else {
            return f.write_str("a refused write, no change");
        };
        write!(f, "{first}")?;
        rest.iter().try_for_each(|change| write!(f, ", {change}"))
    }
}
