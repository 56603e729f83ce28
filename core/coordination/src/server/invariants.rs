//! What always holds of a server between two steps.
//!
//! Owns: the rules that span two parts, and how often deeper looks are taken. Leaves: the rules
//! within a part to that part.
//! Holds: what is looked at after every step costs the same however much the server has to keep;
//! what costs more is looked at in turn, a piece every [`DEEP_EVERY`] steps. Nothing here depends
//! on an input being sensible: each rule is broken by a mistake of ours alone.

use super::Server;

/// Every so many steps one connection and one session are looked at in full.
const DEEP_EVERY: u64 = 64;

impl Server {
    /// Asserts what always holds, as far as it can be seen at a glance; made after every step.
    pub(super) fn invariants(&self) {
        let applied = self.database.last_applied();
        self.clients.invariants();
        self.forwarded.invariants(applied);
        self.snapshots.invariants(applied);
        if self.steps.is_multiple_of(DEEP_EVERY) {
            self.clients.check_sample(self.steps / DEEP_EVERY);
        }
    }

    /// Asserts what always holds, of everything that is kept. For tests: it takes as long as there
    /// is much.
    #[cfg(test)]
    pub(super) fn check(&self) {
        self.invariants();
        self.clients.check();
        self.forwarded.check();
    }
}
