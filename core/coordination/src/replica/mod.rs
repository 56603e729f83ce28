//! Agreement between the servers of an ensemble: fast leader election, then Zab (Junqueira, Reed,
//! Serafini, "Zab: High-performance broadcast for primary-backup systems", DSN 2011).
//!
//! Owns: who leads, what is in the log, what is committed. Leaves: what entries mean to `data`,
//! clients and sessions to `server`, bytes on disk to `storage`.
//! Holds: an entry is committed once a majority of the configured voters has it on disk, and is in
//! the history of every later leader; entries are delivered in one order everywhere; an epoch has
//! at most one established leader. A voter that lost its disk has no vote until it is admitted
//! again.
//!
//! In reading order: [`config`] and [`event`] are the face to the server; `log` is the history in
//! memory, `disk` the commands under way, `base` what lives through all roles; `hearing` knows who
//! hears whom, `election` chooses, `leading` with `learner` and `following` are the two sides of
//! the relation; `dispatch` holds it together. Start at [`Replica`].
//!
//! ```text
//!   FOLLOWERINFO  ->   the epoch promised before
//!   LEADERINFO    <-   the new epoch                            (a majority has come; durable here)
//!   ACKEPOCH      ->   promise and history                      (durable there)
//!   PING, PONG         does the majority still remember?        (a majority has promised)
//!   TRUNC SNAP DIFF <- the leader's history, then PROPOSEs
//!   NEWLEADER     <-   the history ends here
//!   ACK           ->   history, then current epoch              (durable there)
//!   UPTODATE      <-   serve                                    (a majority has acknowledged)
//!   PROPOSE, ACK, COMMIT, PING, PONG ...
//! ```

mod base;
pub mod config;
mod disk;
mod dispatch;
mod election;
pub mod event;
mod following;
#[cfg(test)]
mod garbage;
#[cfg(test)]
mod graphs;
mod hearing;
mod leading;
mod learner;
mod log;
#[cfg(test)]
mod storm;
#[cfg(test)]
mod transcripts;

pub use config::ReplicaConfig;
pub use dispatch::{Replica, Role};
pub use event::{Outbox, ReplicaEvent};
