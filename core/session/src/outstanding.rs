//! Outstanding operations: those in flight, sent and not answered, and those pending, not sent yet.
//!
//! Holds: the application's order. Whatever is sent again after a lost connection goes before what
//! was never sent. So what takes effect does so in the order in which it was submitted, with one
//! exception: a read that is sent again may already see a later write whose outcome is unknown.

use crate::account;
use crate::io::{OperationId, Retry, WatchId};
use mailstorm_shared::{Defects, planted};
use mailstorm_wire::client::Request;
use std::collections::VecDeque;

/// Outstanding operations at most. As ZooKeeper's `globalOutstandingLimit`. Lower: less pipelining.
/// Higher: more is unknown when a connection breaks.
pub const OPERATIONS_OUTSTANDING_MAX: usize = 1_000;

/// How often one operation is sent at most, each time on another connection. An operation whose
/// connection breaks this often is likely to be the reason.
pub const SENDS_MAX: u32 = 16;

/// An outstanding operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its number; `None` for the session's own closeSession.
    pub id: Option<OperationId>,
    /// The request.
    pub request: Request,
    /// The watch to register when the answer comes.
    pub watch: Option<WatchId>,
    /// What may be done when the answer is lost.
    pub retry: Retry,
    /// On how many connections it was sent.
    pub sends: u32,
}

impl Operation {
    /// Whether it may be sent once more after a connection broke over it.
    pub fn may_be_sent_again(&self, defects: Defects) -> bool {
        let harmless = self.retry == Retry::Always
            || !account::is_write(&self.request)
            || planted!(defects, WriteSentAgain);
        harmless && self.sends < SENDS_MAX
    }

    /// Whether it may have taken effect although no answer came, and effect matters.
    pub fn may_have_happened(&self) -> bool {
        self.sends > 0 && account::is_write(&self.request)
    }
}

/// The outstanding operations of a session.
#[derive(Clone, Debug, Default)]
pub struct Outstanding {
    /// Sent on this connection, oldest first, with their xids.
    sent: VecDeque<(i32, Operation)>,
    /// Not sent on this connection, in the order in which they will be.
    unsent: VecDeque<Operation>,
}

impl Outstanding {
    /// How many operations are outstanding.
    pub fn count(&self) -> usize {
        self.sent.len() + self.unsent.len()
    }

    /// Adds an operation behind all others.
    pub fn add(&mut self, operation: Operation) {
        self.unsent.push_back(operation);
    }

    /// The next operation to send; it must be handed back with [`Outstanding::sent`] or ended.
    pub fn next_unsent(&mut self) -> Option<Operation> {
        self.unsent.pop_front()
    }

    /// Notes that the operation was sent.
    pub fn sent(&mut self, xid: i32, mut operation: Operation) {
        operation.sends += 1;
        self.sent.push_back((xid, operation));
    }

    /// The operation that this reply answers: the oldest one sent, or none if the reply is out of
    /// order.
    pub fn answered(&mut self, xid: i32) -> Option<Operation> {
        match self.sent.front() {
            Some((oldest, _)) if *oldest == xid => {
                self.sent.pop_front().map(|(_, operation)| operation)
            }
            _ => None,
        }
    }

    /// The xid that the next answer must have, if one is awaited.
    pub fn awaited(&self) -> Option<i32> {
        self.sent.front().map(|(xid, _)| *xid)
    }

    /// The reply was of no use: the operation is in flight, as before it came.
    pub fn unanswered(&mut self, xid: i32, operation: Operation) {
        self.sent.push_front((xid, operation));
    }

    /// The connection is gone: what may be sent again is pending again, in its old order and before
    /// anything that is added later; the rest is returned, in its old order.
    pub fn connection_lost(&mut self, defects: Defects) -> Vec<Operation> {
        assert!(
            self.sent.is_empty() || self.unsent.is_empty(),
            "on a connection that takes requests everything is sent at once"
        );
        let mut lost = Vec::new();
        for (_, operation) in self.sent.drain(..) {
            if operation.may_be_sent_again(defects) {
                self.unsent.push_back(operation);
            } else {
                lost.push(operation);
            }
        }
        lost
    }

    /// Everything, in order: the session is over.
    pub fn drain(&mut self) -> impl Iterator<Item = Operation> + '_ {
        self.sent.drain(..).map(|(_, operation)| operation).chain(self.unsent.drain(..))
    }

    /// The application has dropped this watch: the reply must not register it.
    pub fn forget_watch(&mut self, watch: WatchId) {
        let sent = self.sent.iter_mut().map(|(_, operation)| operation);
        for operation in sent.chain(&mut self.unsent) {
            if operation.watch == Some(watch) {
                operation.watch = None;
            }
        }
    }
}
