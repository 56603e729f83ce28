//! Linearizability of writes and synced reads, key by key.
//!
//! Definition. For each znode there is one order of all writes to it and all synced reads of it
//! that respects real time (what returned before something else was invoked comes first) and in
//! which every answer is the one that a single znode would give (`not_linearizable`). A synced read
//! is a `getData` or `exists` that directly follows a completed `sync` of the same client, with no
//! reconnect from the sync's start to the read's end; the pair counts as one operation, since the
//! state it shows need only be as new as the sync's beginning. Plain reads promise less;
//! `session_order` judges them.
//!
//! Sources: Herlihy and Wing, "Linearizability" (1990), also for why it may be judged key by key;
//! Wing and Gong (1993) and Lowe, "Testing for linearizability" (2017), for the search
//! (`search.rs`). ZooKeeper promises it for writes; for synced reads it is this ensemble's own
//! promise (ZOOKEEPER-1675 tells why ZooKeeper's `sync` is not enough).
//!
//! What is judged: create, delete and setData with their conditions, values and versions; refusals
//! for a znode that exists (-110), does not (-101), or has another version (-103) or children
//! (-111), and other refusals not at all. A write with unknown outcome may take effect at any time
//! after it was invoked, or never; one that was done after its connection broke may have been sent
//! twice, and so have taken effect once more.
//!
//! What is left out, and counted as such (`answers` and `real_time` judge these, too): ephemeral
//! and sequential znodes (they vanish, or are named, by themselves), znodes that a `multi` touches
//! or may have touched (it ties keys together), and znodes that come or go in applied transactions
//! without any operation that asked for it (containers, TTL znodes, clients that are not on
//! record).

mod search;

use crate::clients::znodes::{
    BAD_VERSION, NO_NODE, NODE_EXISTS, NOT_EMPTY, without_sequence_number,
};
use crate::common::checker::violation;
use crate::{Checker, Figure, Interests};
use mailstorm_record::{Event, Happening, NodeName, Verdict, Violation};
use mailstorm_shared::facts::{Asked, Call, CallKind, ClientFact, EnsembleFact, Outcome};
use mailstorm_shared::znodes::Change;
use mailstorm_shared::{Observation, SessionId, Zxid};
pub use search::{CONFIGURATIONS_MAX, STEPS_MAX};

use search::{Answer, Bounds, Finding, Operation, Write};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Collects the operations of a run and judges them at its end.
#[derive(Clone, Debug, Default)]
pub struct Linearizable {
    bounds: Bounds,
    /// Counts events: the order in which they are told is real time.
    now: u64,
    clients: BTreeMap<u32, Client>,
    keys: BTreeMap<Arc<str>, Vec<Operation>>,
    excluded: BTreeSet<Arc<str>>,
    /// Paths as asked for by sequential creates.
    sequential: BTreeSet<Arc<str>>,
    multis: Multis,
    applied: Applied,
    keys_judged: u64,
    keys_left_out: u64,
    operations_judged: u64,
    steps: u64,
}

/// One client's operations under way.
#[derive(Clone, Debug, Default)]
struct Client {
    node: Option<NodeName>,
    outstanding: BTreeMap<u64, Outstanding>,
    sync: Option<Sync>,
}

/// A sync after which nothing else was asked yet.
#[derive(Clone, Copy, Debug)]
struct Sync {
    operation: u64,
    invoked: u64,
    completed: bool,
}

/// An operation that has not returned.
#[derive(Clone, Debug)]
struct Outstanding {
    call: Call,
    invoked: u64,
    /// Reads: whether it counts.
    synced: bool,
    /// The connection broke since: it may be sent again.
    reconnected: bool,
}

/// What is known of `multi` operations whose steps are not told: they name only their first znode.
#[derive(Clone, Debug, Default)]
struct Multis {
    done_at: BTreeSet<Zxid>,
    any_unknown: bool,
}

/// What the first server to apply each transaction told.
#[derive(Clone, Debug, Default)]
struct Applied {
    last: Zxid,
    changes: Vec<(Zxid, Arc<str>, Kind)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Created,
    Deleted,
    DataSet,
}

impl Linearizable {
    /// A checker that gives up on a key, and says so, at [`CONFIGURATIONS_MAX`] or
    /// [`STEPS_MAX`].
    pub fn new() -> Self {
        Self::default()
    }

    fn invoked(&mut self, node: Option<&NodeName>, me: u32, operation: u64, call: &Call) {
        match call.kind {
            CallKind::CreateEphemeral => _ = self.excluded.insert(Arc::clone(&call.path)),
            CallKind::CreateSequential => _ = self.sequential.insert(Arc::clone(&call.path)),
            CallKind::Multi => {
                self.excluded.insert(Arc::clone(&call.path));
                for step in steps_of(call).into_iter().flatten() {
                    let written = match step.kind {
                        CallKind::CreateSequential => &mut self.sequential,
                        _ => &mut self.excluded,
                    };
                    written.insert(Arc::clone(&step.path));
                }
            }
            _ => {}
        }
        let invoked = self.now;
        let client = self.clients.entry(me).or_default();
        if client.node.as_ref() != node {
            client.node = node.cloned();
        }
        let sync = client.sync.take();
        // A number comes again when another session, or another process, counts from the beginning.
        // What had it before will not return.
        if let Some(forgotten) = client.outstanding.remove(&operation) {
            self.end(me, forgotten, None, &Outcome::Unknown);
        }
        let client = self.clients.entry(me).or_default();
        if call.kind == CallKind::Sync {
            client.sync = Some(Sync { operation, invoked, completed: false });
            return;
        }
        let reads = matches!(call.kind, CallKind::GetData | CallKind::Exists);
        let synced_since = sync.filter(|sync| sync.completed && reads).map(|sync| sync.invoked);
        let writes = call.kind.is_write();
        if !writes && synced_since.is_none() {
            return;
        }
        let invoked = synced_since.unwrap_or(invoked);
        let synced = synced_since.is_some();
        let outstanding = Outstanding { call: call.clone(), invoked, synced, reconnected: false };
        client.outstanding.insert(operation, outstanding);
    }

    fn disconnected(&mut self, client: u32) {
        let client = self.clients.entry(client).or_default();
        client.sync = None;
        for outstanding in client.outstanding.values_mut() {
            outstanding.reconnected = true;
        }
    }

    /// Another session, or another process, under the same number: what was synced before says
    /// nothing about this connection.
    fn began_anew(&mut self, client: u32) {
        let client = self.clients.entry(client).or_default();
        client.sync = None;
        for outstanding in client.outstanding.values_mut() {
            outstanding.synced = false;
        }
    }

    fn returned(&mut self, at_ns: u64, client: u32, operation: u64, outcome: &Outcome) {
        let Some(state) = self.clients.get_mut(&client) else { return };
        if let Some(sync) = &mut state.sync
            && sync.operation == operation
        {
            sync.completed = matches!(outcome, Outcome::Ok { .. });
            if !sync.completed {
                state.sync = None;
            }
            return;
        }
        if let Some(outstanding) = state.outstanding.remove(&operation) {
            self.end(client, outstanding, Some((self.now, at_ns)), outcome);
        }
    }

    /// Notes an operation that is over, or, without a time, that never returned.
    fn end(
        &mut self,
        client: u32,
        ended: Outstanding,
        returned: Option<(u64, u64)>,
        outcome: &Outcome,
    ) {
        let Outstanding { call, invoked, synced, reconnected } = ended;
        if call.kind == CallKind::Multi {
            match outcome {
                _ if steps_of(&call).is_some() => {}
                Outcome::Ok { zxid, .. } => _ = self.multis.done_at.insert(*zxid),
                Outcome::Unknown => self.multis.any_unknown = true,
                Outcome::Failed { .. } => {}
            }
            return;
        }
        if !call.kind.is_write() && (!synced || reconnected) {
            return; // Read again over another connection: the sync was not for that one.
        }
        let Some(answer) = answer(&call, outcome) else { return };
        let (returned, at_ns) = match (&answer, returned) {
            // What may happen later has no end.
            (Answer::Maybe(_), _) | (_, None) => (None, 0),
            (_, Some((returned, at_ns))) => (Some(returned), at_ns),
        };
        let operations = match self.keys.get_mut(&call.path) {
            Some(operations) => operations,
            None => self.keys.entry(Arc::clone(&call.path)).or_default(),
        };
        if reconnected && let Answer::Done { write, .. } = answer {
            let answer = Answer::Maybe(write);
            operations.push(Operation {
                client,
                invoked,
                returned: None,
                at_ns: 0,
                zxid: None,
                answer,
            });
        }
        let zxid = match (&answer, outcome) {
            (Answer::Done { .. }, Outcome::Ok { zxid, .. }) => Some(*zxid),
            _ => None,
        };
        operations.push(Operation { client, invoked, returned, at_ns, zxid, answer });
    }

    fn applied(&mut self, zxid: Zxid, changes: &[Change]) {
        if zxid <= self.applied.last {
            return;
        }
        self.applied.last = zxid;
        for change in changes {
            let (path, kind) = match change {
                Change::Created { path, owner, .. } => {
                    if owner.session() != SessionId::NONE {
                        self.excluded.insert(Arc::clone(path));
                    }
                    (path, Kind::Created)
                }
                Change::Deleted { path } => (path, Kind::Deleted),
                Change::DataSet { path, .. } => (path, Kind::DataSet),
                Change::AclSet { .. }
                | Change::SessionOpened { .. }
                | Change::SessionClosed { .. } => continue,
            };
            self.applied.changes.push((zxid, Arc::clone(path), kind));
        }
    }

    /// Leaves out the keys that were changed by something that cannot be judged key by key.
    fn exclude_what_changed_otherwise(&mut self) {
        let asked_for: BTreeMap<&Arc<str>, AskedFor> =
            self.keys.iter().map(|(path, operations)| (path, AskedFor::by(operations))).collect();
        for (zxid, path, kind) in &self.applied.changes {
            let Some(asked_for) = asked_for.get(path) else { continue };
            let explained = asked_for.done_at.contains(zxid)
                || asked_for.perhaps.contains(kind) && !self.multis.any_unknown
                // A value that nobody asked for is left to the search: that is what it is for.
                || *kind == Kind::DataSet && !self.multis.any_unknown;
            if !explained || self.multis.done_at.contains(zxid) {
                self.excluded.insert(Arc::clone(path));
            }
        }
    }

    fn is_excluded(&self, path: &Arc<str>) -> bool {
        self.excluded.contains(path)
            || without_sequence_number(path).is_some_and(|asked| self.sequential.contains(asked))
            || &**path == "/"
            || path.starts_with("/zookeeper")
    }
}

/// The changes of one key that its operations explain.
struct AskedFor {
    /// Those that were answered, by their zxid.
    done_at: BTreeSet<Zxid>,
    /// Those with unknown outcome, by what they do.
    perhaps: BTreeSet<Kind>,
}

impl AskedFor {
    fn by(operations: &[Operation]) -> Self {
        let perhaps = operations.iter().filter_map(|operation| match operation.answer {
            Answer::Maybe(Write::Create { .. }) => Some(Kind::Created),
            Answer::Maybe(Write::Delete { .. }) => Some(Kind::Deleted),
            Answer::Maybe(Write::SetData { .. }) => Some(Kind::DataSet),
            Answer::Done { .. } | Answer::Looked(_) => None,
        });
        let done_at = operations.iter().filter_map(|operation| operation.zxid);
        Self { done_at: done_at.collect(), perhaps: perhaps.collect() }
    }
}

/// The steps of a `multi`, if they are told: then each znode that it may write is left out by its
/// name.
fn steps_of(call: &Call) -> Option<&[Call]> {
    match call.asked.as_deref() {
        Some(Asked::Steps(steps)) => Some(steps),
        _ => None,
    }
}

/// What an operation's end says about its znode; `None` when it says nothing.
fn answer(call: &Call, outcome: &Outcome) -> Option<Answer> {
    use search::Look;
    let write = match call.kind {
        CallKind::Create => Some(Write::Create { value: Some(call.value) }),
        CallKind::Delete => Some(Write::Delete { version: call.version }),
        CallKind::SetData => {
            Some(Write::SetData { version: call.version, value: Some(call.value) })
        }
        CallKind::GetData | CallKind::Exists => None,
        _ => return None,
    };
    let look = match (outcome, write) {
        (Outcome::Unknown, write) => return write.map(Answer::Maybe),
        (Outcome::Ok { version, .. }, Some(write)) => {
            return Some(Answer::Done { write, version: *version });
        }
        (Outcome::Ok { value, version, .. }, None) => {
            // `exists` answers without the data.
            let value = (call.kind == CallKind::GetData).then_some(*value);
            Look::Present { value, version: *version }
        }
        (Outcome::Failed { code: NO_NODE, .. }, _) => Look::Absent,
        (Outcome::Failed { code: NODE_EXISTS, .. }, Some(Write::Create { .. }))
        | (Outcome::Failed { code: NOT_EMPTY, .. }, Some(Write::Delete { .. })) => {
            Look::Present { value: None, version: -1 }
        }
        (Outcome::Failed { code: BAD_VERSION, .. }, Some(_)) if call.version != -1 => {
            Look::OtherVersion { than: call.version }
        }
        (Outcome::Failed { .. }, _) => return None,
    };
    Some(Answer::Looked(look))
}

impl Checker for Linearizable {
    fn name(&self) -> &'static str {
        "linearizable"
    }

    fn interests(&self) -> Interests {
        Interests::OPERATIONS | Interests::CONNECTIONS | Interests::APPLIED
    }

    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        let Happening::Observed { observation } = &event.happening else { return Ok(()) };
        match observation {
            Observation::Ensemble(EnsembleFact::Applied { zxid, changes, .. }) => {
                self.applied(*zxid, changes)
            }
            Observation::Client(ClientFact::Invoked { client, operation, call }) => {
                self.now += 1;
                self.invoked(event.node.as_ref(), *client, *operation, call);
            }
            Observation::Client(ClientFact::Returned { client, operation, outcome, .. }) => {
                self.now += 1;
                self.returned(event.at_ns, *client, *operation, outcome);
            }
            Observation::Client(ClientFact::ClientDisconnected { client }) => {
                self.disconnected(*client)
            }
            Observation::Client(
                ClientFact::ClientConnected { client, .. }
                | ClientFact::ClientSessionEnded { client, .. },
            ) => self.began_anew(*client),
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, _at_ns: u64) -> Verdict {
        for (client, state) in std::mem::take(&mut self.clients) {
            for outstanding in state.outstanding.into_values() {
                self.end(client, outstanding, None, &Outcome::Unknown);
            }
            self.clients.insert(client, Client { node: state.node, ..Client::default() });
        }
        self.exclude_what_changed_otherwise();
        let mut unknown = None;
        for (path, operations) in std::mem::take(&mut self.keys) {
            if self.is_excluded(&path) {
                self.keys_left_out += 1;
                continue;
            }
            self.keys_judged += 1;
            self.operations_judged += operations.len() as u64;
            let (finding, steps) = search::judge(&operations, self.bounds);
            self.steps += steps;
            match finding {
                Finding::Linearizable => {}
                Finding::Impossible { operation } => {
                    let culprit = &operations[operation];
                    let nodes =
                        self.clients.get(&culprit.client).and_then(|client| client.node.clone());
                    let detail = format!(
                        "no order of the {} operations on {path} explains what client {} was answered: {}",
                        operations.len(),
                        culprit.client,
                        culprit.answer
                    );
                    let kind = "not_linearizable";
                    return Verdict::Violation(violation(
                        self.name(),
                        kind,
                        culprit.at_ns,
                        nodes,
                        detail,
                    ));
                }
                Finding::GaveUp => {
                    unknown.get_or_insert_with(|| {
                        format!(
                            "the search for an order of {} operations on {path} reached its bound",
                            operations.len()
                        )
                    });
                }
            }
        }
        unknown.map_or(Verdict::Pass, |why| Verdict::Unknown { why })
    }

    fn figures(&self) -> Vec<Figure> {
        let one = |name, about, sample| {
            let mut figure = Figure::new(name, about);
            figure.add(sample);
            figure
        };
        vec![
            one(
                "linearizable_operations",
                "writes and synced reads judged",
                self.operations_judged,
            ),
            one("linearizable_keys", "znodes whose operations were judged", self.keys_judged),
            one(
                "linearizable_keys_left_out",
                "znodes that could not be judged by themselves",
                self.keys_left_out,
            ),
            one("linearizable_steps", "steps of the search for an order", self.steps),
        ]
    }
}

#[cfg(test)]
mod tests;
