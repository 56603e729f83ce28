//! Real time: what was asked after something else had been told comes after it, whatever it is
//! about.
//!
//! Definition. A reply's zxid says how much of the one history it shows. Then, over all clients:
//! - the answer to a `sync` is no older than anything that anybody had been told before the sync
//!   was asked (`stale_after_sync`);
//! - a write takes a place after everything that anybody had been told before it was asked
//!   (`written_into_the_past`).
//!
//! Sources: Herlihy and Wing, "Linearizability" (1990): an order of all operations that respects
//! real time. Here the order is the zxids', so no search is needed, and nothing has to be left out:
//! ephemeral and sequential znodes, those of a `multi`, those that vanish by themselves.
//! ZOOKEEPER-1675 tells why ZooKeeper's own `sync` is not enough; this ensemble confirms it with a
//! majority.
//!
//! Exactly: that a reply is what its zxid says is for `answers` to judge, and that reads after a
//! sync go no further back for `session_order`. Three together make synced reads and writes
//! linearizable over all znodes. Refused writes are not judged, but count as told.

use crate::clients::followed::{FollowsClients, Wrong, tell};
use crate::{Checker, Interests};
use mailstorm_record::{Event, Violation};
use mailstorm_shared::facts::{Call, CallKind, Outcome, Shown};
use mailstorm_shared::znodes::Change;
use mailstorm_shared::{WallTime, Zxid};
use std::collections::BTreeMap;

/// Compares what clients are told with what had been told to any of them before.
#[derive(Clone, Debug, Default)]
pub struct RealTime {
    /// The newest zxid in any reply so far.
    told: Zxid,
    /// Syncs and writes under way, with what had been told when they were asked.
    asked: BTreeMap<(u32, u64), (CallKind, Zxid)>,
}

impl RealTime {
    /// A checker for any number of clients of one ensemble.
    pub fn new() -> Self {
        Self::default()
    }
}

impl FollowsClients for RealTime {
    fn applied(&mut self, _zxid: Zxid, _wall: WallTime, _changes: &[Change]) {}

    fn invoked(&mut self, client: u32, operation: u64, call: &Call) {
        if call.kind.is_write() || call.kind == CallKind::Sync {
            self.asked.insert((client, operation), (call.kind, self.told));
        } else {
            // A number comes again when another session, or another process, counts from the
            // beginning.
            self.asked.remove(&(client, operation));
        }
    }

    fn returned(
        &mut self,
        client: u32,
        operation: u64,
        outcome: &Outcome,
        _shown: Option<&Shown>,
    ) -> Result<(), Wrong> {
        let asked = self.asked.remove(&(client, operation));
        let (zxid, done) = match outcome {
            Outcome::Ok { zxid, .. } => (*zxid, true),
            Outcome::Failed { zxid, .. } => (*zxid, false),
            Outcome::Unknown => return Ok(()),
        };
        self.told = self.told.max(zxid);
        let Some((kind, before)) = asked.filter(|_| done) else { return Ok(()) };
        if kind == CallKind::Sync && zxid < before {
            let detail = format!(
                "has synced and is at {zxid}, although {before} had been told to somebody before it asked"
            );
            return Err(Wrong { kind: "stale_after_sync", detail });
        }
        if kind != CallKind::Sync && zxid <= before {
            let detail = format!(
                "wrote at {zxid}, although {before} had been told to somebody before it asked"
            );
            return Err(Wrong { kind: "written_into_the_past", detail });
        }
        Ok(())
    }
}

impl Checker for RealTime {
    fn name(&self) -> &'static str {
        "real-time"
    }

    fn interests(&self) -> Interests {
        Interests::OPERATIONS
    }

    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        tell("real-time", self, event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::znodes::NODE_EXISTS;
    use crate::common::history::{
        History, create_ephemeral, failed, get, multi, ok, ok_with, sync, z,
    };

    /// Client 1 has been told of 1:5.
    fn told() -> History {
        History::new().done(1, 1, create_ephemeral("/a"), ok(z(1, 5)))
    }

    #[test]
    fn a_sync_is_as_new_as_all_that_was_told_before_it_was_asked() {
        told().done(2, 1, sync(), ok(z(1, 5))).passes(RealTime::new());
        told().done(2, 1, sync(), ok(z(1, 4))).violates(RealTime::new(), "stale_after_sync");
        // What is told while it is under way it may miss.
        History::new()
            .invoked(2, 1, sync())
            .done(1, 1, create_ephemeral("/a"), ok(z(1, 5)))
            .returned(2, 1, ok(z(1, 4)))
            .passes(RealTime::new());
        // What a plain read shows has been told, too; and a plain read may be old.
        let read = || History::new().done(1, 1, get("/a"), ok_with(z(1, 5), 0, 0, z(1, 1)));
        read().done(2, 1, sync(), ok(z(1, 4))).violates(RealTime::new(), "stale_after_sync");
        read().done(2, 1, get("/a"), ok(z(1, 4))).passes(RealTime::new());
    }

    #[test]
    fn a_write_comes_after_all_that_was_told_before_it_was_asked() {
        let written = |zxid| told().done(2, 1, multi("/b"), ok(zxid));
        written(z(1, 6)).passes(RealTime::new());
        written(z(1, 5)).violates(RealTime::new(), "written_into_the_past");
        written(z(1, 4)).violates(RealTime::new(), "written_into_the_past");
        // A refusal, or no answer, took no place.
        told().done(2, 1, multi("/b"), failed(NODE_EXISTS, z(1, 4))).passes(RealTime::new());
        told().done(2, 1, multi("/b"), Outcome::Unknown).passes(RealTime::new());
    }

    #[test]
    fn a_number_that_is_used_again_is_another_operation() {
        History::new()
            .invoked(2, 1, sync())
            .done(1, 1, create_ephemeral("/a"), ok(z(1, 5)))
            .done(2, 1, sync(), ok(z(1, 4)))
            .violates(RealTime::new(), "stale_after_sync");
    }
}
