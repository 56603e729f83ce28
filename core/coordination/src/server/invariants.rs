//! What always holds of a server between two steps.
//!
//! Owns: the rules that span two parts, and how often deeper looks are taken. Leaves: the rules
//! within a part to that part.
//! Holds: what is looked at after a step is bounded by one connection's requests and the number of
//! learners.
//! Nothing here depends on an input being sensible: each rule is broken by a mistake of ours alone.
//! A planted defect is such a mistake: the rules that one breaks are the checkers' to find then.
//! Start at `Server::invariants_in_turn`.

use super::Server;
use super::leader::Leading;
use crate::replica::Role;
use mailstorm_shared::machine::Loads;
use mailstorm_shared::{Defects, Zxid};

/// Every so many steps all parts are looked at. A rule that is broken stays broken, as a rule.
const ALL_EVERY: u64 = 16;

/// Of so many transactions one is looked at in full after it was applied.
pub(super) const CHANGES_EVERY: u32 = 8;

/// Every so many steps one connection is looked at in full.
const DEEP_EVERY: u64 = 64;

impl Server {
    /// Asserts after a step what always holds: the roles each time, the parts in turn.
    pub(super) fn invariants_in_turn(&self) {
        if self.is_halted() {
            return; // What was begun is left as it is.
        }
        self.roles_agree();
        if self.steps.is_multiple_of(ALL_EVERY) {
            self.invariants();
        }
        if self.steps.is_multiple_of(DEEP_EVERY) {
            self.clients.check_sample(self.steps / DEEP_EVERY, self.serving);
        }
    }

    /// Asserts what always holds between two steps, as far as it can be seen at a glance.
    pub fn invariants(&self) {
        if self.is_halted() {
            return; // What was begun is left as it is.
        }
        let applied = self.database.last_applied();
        self.replica.invariants();
        self.database.invariants();
        self.watches.invariants();
        self.clients.invariants();
        self.forwarded.invariants(applied);
        self.snapshots.invariants(applied);
        self.roles_agree();
        assert!(
            !self.has_room_for_who_waits(),
            "who waits for room gets it as soon as it is there"
        );
        assert!(self.watches.client_count() <= self.clients.len(), "whoever watches is connected");
        if let Some(leading) = &self.leading {
            leading.invariants(applied, self.replica.last_logged());
        }
        if self.config.replica.defects == Defects::NONE {
            self.agreement_and_tree_agree(applied);
        }
    }

    /// Tells how much it keeps of everything that could grow.
    pub fn loads(&self, loads: &mut Loads) {
        let config = &self.config;
        // Each server closes a session for each connection, whether there is room at the leader or
        // not.
        let (room, room_bytes) = self.room_at_leader();
        let in_flight_max = room + config.clients_max;
        self.clients.loads(config, loads);
        self.forwarded.loads(in_flight_max, room_bytes + config.frame_bytes_max, loads);
        self.watches.loads(loads);
        self.replica.loads(loads);
        self.snapshots.loads(config.replica.ensemble.servers().count(), loads);
        let counts = self.database.counts();
        loads.unbounded("znodes", counts.znodes as u64);
        loads.unbounded("tree_bytes", counts.bytes);
        let leading = self.leading.as_ref();
        let sessions = leading.map_or(counts.sessions, |leading| leading.sessions.count());
        loads.bounded("sessions", sessions, config.sessions_max);
        let all_in_flight_max = in_flight_max * config.replica.ensemble.servers().count();
        Leading::loads(leading, config, all_in_flight_max, loads);
    }

    /// The replica and the server have the same role.
    fn roles_agree(&self) {
        let serves = self.replica.is_serving();
        assert_eq!(self.serving, serves, "the server serves while its replica does");
        let leads = serves && self.replica.role() == Role::Leading;
        assert_eq!(self.leading.is_some(), leads, "the server leads while its replica does");
        assert!(self.forwarded.len() == 0 || self.serving, "without a leader nothing is in flight");
    }

    /// What is committed is applied, and a leader follows the sessions that the tree has.
    fn agreement_and_tree_agree(&self, applied: Zxid) {
        assert!(
            self.replica.last_committed() <= applied,
            "what is committed is applied in the same step"
        );
        assert!(self.snapshots.installed() <= applied, "the tree has all that it began with");
        assert!(
            !self.serving || self.database.is_exact(),
            "nobody is served while the tree is of several moments"
        );
        if let Some(leading) = &self.leading {
            assert_eq!(
                leading.sessions.count(),
                self.database.counts().sessions + leading.pending.opening_count(),
                "a leader follows every session, those that are to begin included"
            );
        }
    }

    /// Asserts what always holds, of everything that is kept. For tests: it takes as long as there
    /// is much.
    #[cfg(test)]
    pub(super) fn check(&self) {
        self.invariants();
        self.clients.check(self.serving);
        self.forwarded.check();
        self.watches.check_all();
        if let Some(leading) = &self.leading {
            leading.sessions.check_all();
        }
    }
}
