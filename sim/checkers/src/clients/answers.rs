//! Answers: what a server says is what the committed history says at the zxid that it names.
//!
//! Definition. Every reply names the last transaction that its server had applied. The transactions
//! applied, put together in their order, give the one tree as of that zxid, and the reply is the one that
//! this tree gives:
//! - a read shows the znode's data, version and mzxid (`read_differs`), a list of children exactly its
//!   children and its pzxid (`list_differs`); neither finds a znode that is not there, nor misses one
//!   that is;
//! - a write that was done is the transaction of that zxid, with what was asked for (`write_differs`), and
//!   a sequential znode has as its number how many znodes were ever created under its parent before it
//!   (`wrong_sequence`);
//! - a write that was refused for the state of the tree (no such znode, one there already, another
//!   version, children) was refused with reason (`refusal_differs`).
//!
//! Sources: ZooKeeper's documentation, "Consistency Guarantees" (single system image: a view, though old,
//! is one of the views that were); "Sequence Nodes" (a counter of the parent, monotonic); ZOOKEEPER-1624
//! (numbers after a multi that aborted).
//!
//! Exactly: the first server to apply a transaction tells what it changed; that all others do the same is
//! for `quorum` to judge. A session's replies may be of any age; that they move forward, and that they are
//! fresh after a `sync`, is for `session_order` and `linearizable` to judge. Nothing is said of
//! `/zookeeper` and of the root's own data, which come with the server, of access lists, nor of single
//! steps of a `multi`. A reply without a `Stat` (mzxid zero) is compared by what it has.

mod tree;

use crate::clients::followed::{FollowsClients, NewestApplied, Wrong, tell};
use crate::clients::znodes::{BAD_VERSION, NO_NODE, NODE_EXISTS, NOT_EMPTY, parent_of};
use crate::{Checker, Interests};
use mailstorm_record::{Event, Verdict, Violation};
use mailstorm_shared::Zxid;
use mailstorm_shared::facts::{Call, CallKind, Outcome};
use mailstorm_shared::znodes::Change;
use std::collections::BTreeMap;
use tree::{State, Tree};

/// Compares every reply with the tree of its moment.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    applied: NewestApplied,
    tree: Tree,
    asked: BTreeMap<(u32, u64), Call>,
}

/// What a reply has of a znode: the digest of its data or of its list, its version, mzxid or pzxid.
#[derive(Clone, Copy)]
struct Told {
    value: u64,
    version: i32,
    modified: Zxid,
}

impl Answers {
    /// A checker for any number of clients.
    pub fn new() -> Self {
        Self::default()
    }

    fn done(&mut self, call: &Call, zxid: Zxid, told: Told) -> Result<(), Wrong> {
        let path = &*call.path;
        let state = self.tree.at(path, zxid);
        match call.kind {
            CallKind::GetData | CallKind::Exists => {
                let Some(state) = state else {
                    let detail = format!("finds {path} as of {zxid}, when there is no such znode");
                    return Err(Wrong { kind: "read_differs", detail });
                };
                let value_differs = call.kind == CallKind::GetData && told.value != state.value;
                let stat_differs = told.modified != Zxid::ZERO
                    && (told.version, told.modified) != (state.version, state.modified);
                if path != "/" && (value_differs || stat_differs) {
                    let detail = format!(
                        "reads {path} as of {zxid} with version {} of {} and data {:016x}; it has version {} of {} and data {:016x}",
                        told.version,
                        told.modified,
                        if call.kind == CallKind::GetData { told.value } else { state.value },
                        state.version,
                        state.modified,
                        state.value
                    );
                    return Err(Wrong { kind: "read_differs", detail });
                }
                Ok(())
            }
            CallKind::Children => {
                let Some((digest, pzxid)) = self.tree.list_at(path, zxid) else {
                    let detail = format!("lists {path} as of {zxid}, when there is no such znode");
                    return Err(Wrong { kind: "list_differs", detail });
                };
                let pzxid_differs = told.modified != Zxid::ZERO && told.modified != pzxid;
                if told.value == digest && !pzxid_differs {
                    return Ok(());
                }
                let detail = format!(
                    "lists {path} as of {zxid} with other children than it has, or of another time: told {}, true {pzxid}",
                    told.modified
                );
                Err(Wrong { kind: "list_differs", detail })
            }
            CallKind::CreateSequential => self.sequential_done(call, zxid),
            CallKind::Create | CallKind::CreateEphemeral => {
                let is_it =
                    |s: &State| s.modified == zxid && s.version == 0 && s.value == call.value;
                expect_written(state.as_ref().is_some_and(is_it), call, zxid)
            }
            CallKind::SetData => {
                let is_it = |s: &State| {
                    s.modified == zxid
                        && s.value == call.value
                        && s.version == told.version
                        && (call.version == -1 || s.version == call.version + 1)
                };
                expect_written(state.as_ref().is_some_and(is_it), call, zxid)
            }
            CallKind::Delete => expect_written(self.tree.was_deleted(path, zxid), call, zxid),
            CallKind::Sync
            | CallKind::Multi
            | CallKind::AddWatch
            | CallKind::AddWatchRecursive
            | CallKind::RemoveWatches
            | CallKind::Other => Ok(()),
        }
    }

    fn sequential_done(&self, call: &Call, zxid: Zxid) -> Result<(), Wrong> {
        let path = &*call.path;
        let parent = parent_of(path);
        let made = self.tree.children_made_by(parent, zxid);
        let mut numbers =
            made.filter_map(|made| Some((made.name_after(path, parent)?, made.number)));
        let Some((number, due)) = numbers.next() else {
            return expect_written(false, call, zxid);
        };
        if number == format!("{due:010}") {
            return Ok(());
        }
        let detail = format!(
            "got the number {number} for {path} at {zxid}, when {due} znodes had been created under {parent} before"
        );
        Err(Wrong { kind: "wrong_sequence", detail })
    }

    fn refused(&mut self, call: &Call, zxid: Zxid, code: i32) -> Result<(), Wrong> {
        let path = &*call.path;
        let reads = matches!(call.kind, CallKind::GetData | CallKind::Exists | CallKind::Children);
        let creates = matches!(
            call.kind,
            CallKind::Create | CallKind::CreateEphemeral | CallKind::CreateSequential
        );
        let changes = matches!(call.kind, CallKind::Delete | CallKind::SetData);
        let state = self.tree.at(path, zxid);
        let is_right = match code {
            NO_NODE if reads || changes => state.is_none(),
            NO_NODE if creates => self.tree.at(parent_of(path), zxid).is_none(),
            NODE_EXISTS if creates => state.is_some(),
            BAD_VERSION if changes => state.is_some_and(|state| state.version != call.version),
            NOT_EMPTY if changes => self.tree.has_children_at(path, zxid),
            _ => true,
        };
        if is_right {
            return Ok(());
        }
        let kind = if reads { "read_differs" } else { "refusal_differs" };
        let what = call.kind;
        let detail = format!(
            "was refused {what:?} of {path} with code {code} as of {zxid}, when the tree gives no reason for it"
        );
        Err(Wrong { kind, detail })
    }
}

fn expect_written(is_it: bool, call: &Call, zxid: Zxid) -> Result<(), Wrong> {
    if is_it {
        return Ok(());
    }
    let detail = format!(
        "was told that {:?} of {} was done by {zxid}, but that is not what {zxid} did",
        call.kind, call.path
    );
    Err(Wrong { kind: "write_differs", detail })
}

impl FollowsClients for Answers {
    fn applied(&mut self, zxid: Zxid, changes: &[Change]) {
        if !self.applied.is_moved_by(zxid) {
            return;
        }
        for change in changes {
            self.tree.change(zxid, change);
        }
    }

    fn invoked(&mut self, client: u32, operation: u64, call: &Call) {
        self.asked.insert((client, operation), call.clone());
    }

    fn returned(&mut self, client: u32, operation: u64, outcome: &Outcome) -> Result<(), Wrong> {
        let Some(call) = self.asked.remove(&(client, operation)) else { return Ok(()) };
        let own = call.path.starts_with("/zookeeper");
        if !self.applied.is_told() || own || call.path.is_empty() {
            return Ok(());
        }
        match *outcome {
            Outcome::Ok { zxid, value, version, modified } => {
                self.done(&call, zxid, Told { value, version, modified })
            }
            // A refusal without a zxid is the client's own: nobody answered.
            Outcome::Failed { code, zxid } if zxid != Zxid::ZERO => self.refused(&call, zxid, code),
            Outcome::Failed { .. } | Outcome::Unknown => Ok(()),
        }
    }
}

impl Checker for Answers {
    fn name(&self) -> &'static str {
        "answers"
    }

    fn interests(&self) -> Interests {
        Interests::OPERATIONS | Interests::APPLIED
    }

    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        tell("answers", self, event)
    }

    fn finish(&mut self, _at_ns: u64) -> Verdict {
        Verdict::Pass
    }
}

#[cfg(test)]
mod tests;
