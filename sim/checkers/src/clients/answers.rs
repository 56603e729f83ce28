//! Answers: what a server says is what the committed history says at the zxid that it names.
//!
//! Definition. Every reply names the last transaction that its server had applied. The transactions
//! applied, put together in their order, give the one tree as of that zxid, and the reply is the
//! one that ZooKeeper's documents demand of this tree (`model`):
//! - a read shows the znode's data and every field of its `Stat` (`read_differs`), a list of
//!   children exactly its children (`list_differs`); neither finds a znode that is not there, nor
//!   misses one that is; of several reads at one instant each does so, in their order
//!   (`steps_differ`);
//! - an access list is shown as it is, its digests only to whoever may replace it (`acl_differs`);
//! - a session's ephemerals are its own, all of them and no others (`ephemerals_differ`); the
//!   number of znodes below one counts all of them, and not itself (`count_differs`);
//! - a write that was done is the transaction of that zxid, changed what was asked for and nothing
//!   else, and shows the znode as it then was (`write_differs`), a `multi` likewise in each of its
//!   steps, which see those before them (`steps_differ`); a sequential znode has as its number how
//!   many znodes were ever created under its parent before it (`wrong_sequence`);
//! - what was refused for the state of the tree (no such znode, one there already, another version,
//!   children, a parent that lives with a session, an access list) was refused with the first
//!   reason that there is (`refusal_differs`), and what an access list forbids is not done
//!   (`granted`);
//! - a client is taken for everybody whom it has proved to be, and for nobody else
//!   (`identity_differs`).
//!
//! Sources: ZooKeeper's documentation, "Consistency Guarantees" (single system image: a view,
//! though old, is one of the views that were); ZOOKEEPER-1624 (numbers after a multi that aborted);
//! those of the model.
//!
//! Exactly: the first server to apply a transaction tells what it changed; that all others do the
//! same is for `quorum` to judge. A session's replies may be of any age; that they move forward,
//! and that they are fresh after a `sync`, is for `session_order` and `linearizable` to judge. Whom
//! a server takes a client for grows while a proof is under way: then the answer is right for one
//! of the moments in between. What depends on a client's address is judged once `whoAmI` has named
//! that. Nothing is said of `/zookeeper`, which comes with the server. A reply without a `Stat`
//! (mzxid zero) is compared by what it has.

mod client;
mod model;
mod tree;

use self::client::Client;
use self::model::{Identity, Model};
use self::tree::{Move, Node, Tree};
use crate::clients::followed::{FollowsClients, NewestApplied, Wrong, tell};
use crate::clients::znodes::parent_of;
use crate::{Checker, Interests};
use mailstorm_record::{Event, Verdict, Violation};
use mailstorm_shared::facts::{Asked, Call, CallKind, Outcome, Shown, Step};
use mailstorm_shared::znodes::{Change, Stat};
use mailstorm_shared::{ErrorCode, SessionId, WallTime, Zxid};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Compares every reply with the tree of its moment.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    applied: NewestApplied,
    tree: Tree,
    clients: BTreeMap<u32, Client>,
}

/// What a reply has of a znode, if it has no more: the digest of its data or of its list, its
/// version, mzxid or pzxid.
#[derive(Clone, Copy)]
struct Told {
    value: u64,
    version: i32,
    modified: Zxid,
}

impl Told {
    /// Whether it is of this znode.
    fn is_of(self, stat: &Stat) -> bool {
        self.modified == Zxid::ZERO || (self.version, self.modified) == (stat.version, stat.mzxid)
    }
}

/// One answer, and who was answered.
struct Answered<'a> {
    call: &'a Call,
    outcome: &'a Outcome,
    shown: Option<&'a Shown>,
    session: SessionId,
    identities: Vec<Identity>,
}

impl Answers {
    /// A checker for any number of clients.
    pub fn new() -> Self {
        Self::default()
    }

    /// Judges an answer as one to a client with these identities. True if it depends on more than
    /// is known.
    fn judge(&mut self, answered: &Answered<'_>) -> (Result<(), Wrong>, bool) {
        let (zxid, told) = match *answered.outcome {
            Outcome::Ok { zxid, value, version, modified } => {
                (zxid, Ok(Told { value, version, modified }))
            }
            // A refusal without a zxid is the client's own: nobody answered.
            Outcome::Failed { code, zxid } if zxid != Zxid::ZERO => (zxid, Err(code)),
            Outcome::Failed { .. } | Outcome::Unknown => return (Ok(()), false),
        };
        let call = answered.call;
        let list = match call.kind {
            CallKind::Children => self.tree.list_at(&call.path, zxid),
            _ => 0,
        };
        let lists = self.lists_of(call, zxid);
        // What was done was done to the tree right before it.
        let is_done = told.is_ok() && call.kind.is_write();
        let as_of = if is_done { Zxid(zxid.0.saturating_sub(1)) } else { zxid };
        let mut model = Model {
            tree: &self.tree,
            as_of,
            doing: (zxid, self.tree.wall_of(zxid).unwrap_or(WallTime::UNIX_EPOCH)),
            session: answered.session,
            identities: &answered.identities,
            changed: Vec::new(),
            asked_for_address: Cell::new(false),
        };
        let shown = answered.shown;
        let result = match call.kind {
            CallKind::GetData | CallKind::Exists | CallKind::Children | CallKind::GetAcl => {
                read(&model, call, zxid, told, shown, list)
            }
            CallKind::MultiRead => several_reads(&model, call, zxid, shown, &lists),
            CallKind::Ephemerals => {
                let (digest, count) = self.tree.ephemerals_at(answered.session, &call.path, zxid);
                let is_right = told.is_err() || told.is_ok_and(|told| told.value == digest);
                expect(is_right, "ephemerals_differ", || {
                    format!(
                        "was told other ephemerals of session {} below '{}' as of {zxid} than the {count} that it has there",
                        answered.session, call.path
                    )
                })
            }
            CallKind::AllChildrenNumber => match (model.read(call), told) {
                (Ok(_), Ok(told)) => {
                    let count = self.tree.count_below(&call.path, zxid);
                    expect(told.value == count, "count_differs", || {
                        format!(
                            "was told that {} znodes are below {} as of {zxid}; there are {count}",
                            told.value, call.path
                        )
                    })
                }
                (expected, told) => refusal(call, zxid, expected.map(drop), told.map(drop)),
            },
            kind if kind.is_write() => self.written(&mut model, call, zxid, told, shown),
            _ => Ok(()),
        };
        (result, model.asked_for_address.get())
    }

    /// The digests of the lists that a multiRead asks for.
    fn lists_of(&mut self, call: &Call, zxid: Zxid) -> Vec<u64> {
        let (CallKind::MultiRead, Some(Asked::Steps(steps))) = (call.kind, call.asked.as_deref())
        else {
            return Vec::new();
        };
        steps.iter().map(|step| self.tree.list_at(&step.path, zxid)).collect()
    }

    fn written(
        &self,
        model: &mut Model<'_>,
        call: &Call,
        zxid: Zxid,
        told: Result<Told, i32>,
        shown: Option<&Shown>,
    ) -> Result<(), Wrong> {
        let (steps, expected) = match call.asked.as_deref() {
            Some(Asked::Steps(steps)) => (&steps[..], model.multi(steps)),
            // What its steps are is not told.
            _ if call.kind == CallKind::Multi => return Ok(()),
            _ => {
                let done = model.write(call).map(|step| vec![step]);
                (std::slice::from_ref(call), done.map_err(|code| (code, Vec::new())))
            }
        };
        let steps_shown = match shown {
            Some(Shown::Steps(steps)) => Some(&steps[..]),
            Some(Shown::Znode(step)) => Some(std::slice::from_ref(step)),
            _ => None,
        };
        let expected = match (expected, told) {
            (Ok(expected), Ok(told)) => {
                self.changed_as_asked(model, steps, &expected, zxid)?;
                let stat = expected.first().and_then(|step| step.stat);
                let is_alone = call.kind != CallKind::Multi;
                if is_alone && stat.is_some_and(|stat| !told.is_of(&stat)) {
                    return Err(not_done(call, zxid));
                }
                expected
            }
            // The refusal of a multi says of each step what became of it.
            (Err((code, steps)), Err(told)) if code.code() == told => steps,
            (expected, told) => {
                let expected = expected.map(drop).map_err(|(code, _)| code);
                return refusal(call, zxid, expected, told.map(drop));
            }
        };
        let Some(shown) = steps_shown else { return Ok(()) };
        if shown.len() == expected.len()
            && shown.iter().zip(&expected).all(|(shown, expected)| is_shown(shown, expected))
        {
            return Ok(());
        }
        let kind = if call.kind == CallKind::Multi { "steps_differ" } else { "write_differs" };
        let detail = format!("was shown of {call} at {zxid}: {}", differs(shown, &expected));
        Err(Wrong { kind, detail })
    }

    /// The transaction did what its steps ask for, where they ask for it.
    fn changed_as_asked(
        &self,
        model: &Model<'_>,
        steps: &[Call],
        expected: &[Step],
        zxid: Zxid,
    ) -> Result<(), Wrong> {
        for (step, expected) in steps.iter().zip(expected) {
            let due = |path: &Arc<str>| {
                let due = model.changed.iter().find(|(changed, _)| changed == path);
                due.and_then(|(_, node)| node.clone())
            };
            if step.kind == CallKind::CreateSequential
                && let Some(path) = &expected.path
                && self.tree.at(path, zxid) != due(path)
            {
                return self.sequential_differs(step, path, zxid);
            }
        }
        let differs = |(path, node): &&(Arc<str>, Option<Node>)| self.tree.at(path, zxid) != *node;
        match model.changed.iter().find(differs) {
            None => Ok(()),
            Some((path, node)) => Err(Wrong {
                detail: format!(
                    "was told that {} was done by {zxid}, but that is not what {zxid} did: {path} {}",
                    steps[0],
                    match (node, self.tree.at(path, zxid)) {
                        (Some(expected), Some(found)) if expected.stat() != found.stat() =>
                            format!("is there {}", stats_differ(&found.stat(), &expected.stat())),
                        (Some(_), Some(_)) => "has other data, or another access list".into(),
                        (Some(_), None) => "is not there".into(),
                        (None, _) => "is still there".into(),
                    }
                ),
                kind: "write_differs",
            }),
        }
    }

    fn sequential_differs(&self, call: &Call, due: &str, zxid: Zxid) -> Result<(), Wrong> {
        let path = &*call.path;
        let parent = parent_of(path);
        let mut made = self.tree.children_made_by(parent, zxid);
        let number = made.find_map(|made: &Move| made.name_after(path, parent));
        let due = due.strip_prefix(path).unwrap_or(due);
        match number {
            Some(number) if number != due => {
                let detail = format!(
                    "got the number {number} for {path} at {zxid}, when {due} znodes had been created under {parent} before"
                );
                Err(Wrong { kind: "wrong_sequence", detail })
            }
            _ => Err(not_done(call, zxid)),
        }
    }
}

fn expect(
    is_right: bool,
    kind: &'static str,
    detail: impl FnOnce() -> String,
) -> Result<(), Wrong> {
    if is_right { Ok(()) } else { Err(Wrong { kind, detail: detail() }) }
}

fn not_done(call: &Call, zxid: Zxid) -> Wrong {
    let detail = format!(
        "was told that {} of {} was done by {zxid}, but that is not what {zxid} did",
        call.kind, call.path
    );
    Wrong { kind: "write_differs", detail }
}

/// A read of one znode.
fn read(
    model: &Model<'_>,
    call: &Call,
    zxid: Zxid,
    told: Result<Told, i32>,
    shown: Option<&Shown>,
    list: u64,
) -> Result<(), Wrong> {
    let (node, told) = match (model.read(call), told) {
        (Ok(node), Ok(told)) => (node, told),
        (expected, told) => return refusal(call, zxid, expected.map(drop), told.map(drop)),
    };
    let path = &call.path;
    let stat = node.stat();
    if call.kind == CallKind::Children {
        let pzxid_differs = told.modified != Zxid::ZERO && told.modified != stat.pzxid;
        expect(told.value == list && !pzxid_differs, "list_differs", || {
            format!(
                "lists {path} as of {zxid} with other children than it has, or of another time: told {}, true {}",
                told.modified, stat.pzxid
            )
        })?;
    } else {
        let value_differs = call.kind == CallKind::GetData && told.value != node.own.value;
        expect(!value_differs && told.is_of(&stat), "read_differs", || {
            format!(
                "reads {path} as of {zxid} with version {} of {} and data {:016x}; it has version {} of {} and data {:016x}",
                told.version,
                told.modified,
                if call.kind == CallKind::GetData { told.value } else { node.own.value },
                stat.version,
                stat.mzxid,
                node.own.value
            )
        })?;
    }
    match shown {
        Some(Shown::Znode(Step { stat: Some(shown), .. })) => {
            let kind =
                if call.kind == CallKind::Children { "list_differs" } else { "read_differs" };
            expect(*shown == stat, kind, || {
                format!("is shown {path} as of {zxid} {}", stats_differ(shown, &stat))
            })
        }
        Some(Shown::Acl { acl, stat: shown }) => {
            let expected = model.shown_acl(&node);
            expect(*acl == expected && *shown == stat, "acl_differs", || {
                format!(
                    "is shown the access list of {path} as of {zxid} with {} entries, of {}; it has {}",
                    acl.len(),
                    stats_differ(shown, &stat),
                    expected.len()
                )
            })
        }
        _ => Ok(()),
    }
}

/// Several reads at one instant. Each may be refused, and the others answered: whoever looks for
/// one code calls that a refusal, so what became of the whole says nothing.
fn several_reads(
    model: &Model<'_>,
    call: &Call,
    zxid: Zxid,
    shown: Option<&Shown>,
    lists: &[u64],
) -> Result<(), Wrong> {
    let (Some(Asked::Steps(steps)), Some(Shown::Steps(shown))) = (call.asked.as_deref(), shown)
    else {
        return Ok(());
    };
    let expected = steps.iter().zip(lists).map(|(step, list)| match model.read(step) {
        Err(code) => Step { code: code.code(), ..Step::default() },
        Ok(_) if step.kind == CallKind::Children => Step { value: Some(*list), ..Step::default() },
        Ok(node) => {
            Step { value: Some(node.own.value), stat: Some(node.stat()), ..Step::default() }
        }
    });
    let expected: Vec<Step> = expected.collect();
    expect(*shown == expected, "steps_differ", || {
        format!("was shown of several reads at {zxid}: {}", differs(shown, &expected))
    })
}

/// Whether a step shows what it should, as far as it shows anything.
fn is_shown(shown: &Step, expected: &Step) -> bool {
    let path = shown.path.is_none() || shown.path == expected.path;
    let stat = shown.stat.is_none() || shown.stat == expected.stat;
    shown.code == expected.code && path && stat
}

/// The first step that differs, in words.
fn differs(shown: &[Step], expected: &[Step]) -> String {
    if shown.len() != expected.len() {
        return format!("{} results for {} steps", shown.len(), expected.len());
    }
    let mut both = shown.iter().zip(expected).enumerate();
    let Some((index, (shown, expected))) =
        both.find(|(_, (s, e))| !is_shown(s, e) || s.value != e.value)
    else {
        return "nothing".into();
    };
    let name = |code| ErrorCode::from_code(code).map_or("done", |code| code.name());
    if shown.code != expected.code {
        let (shown, expected) = (name(shown.code), name(expected.code));
        return format!("step {} {shown}, where it should be {expected}", index + 1);
    }
    match (&shown.stat, &expected.stat) {
        (Some(shown), Some(expected)) if shown != expected => {
            format!("step {} {}", index + 1, stats_differ(shown, expected))
        }
        _ => format!("step {} with another path, data or list", index + 1),
    }
}

/// The fields that differ.
fn stats_differ(shown: &Stat, expected: &Stat) -> String {
    let fields = [
        ("czxid", shown.czxid.to_string(), expected.czxid.to_string()),
        ("mzxid", shown.mzxid.to_string(), expected.mzxid.to_string()),
        ("pzxid", shown.pzxid.to_string(), expected.pzxid.to_string()),
        ("ctime", shown.ctime.to_string(), expected.ctime.to_string()),
        ("mtime", shown.mtime.to_string(), expected.mtime.to_string()),
        ("version", shown.version.to_string(), expected.version.to_string()),
        ("cversion", shown.cversion.to_string(), expected.cversion.to_string()),
        ("aversion", shown.aversion.to_string(), expected.aversion.to_string()),
        ("ephemeralOwner", shown.ephemeral_owner.to_string(), expected.ephemeral_owner.to_string()),
        ("dataLength", shown.data_length.to_string(), expected.data_length.to_string()),
        ("numChildren", shown.num_children.to_string(), expected.num_children.to_string()),
    ];
    let differs = fields.iter().filter(|(_, shown, expected)| shown != expected);
    let differs: Vec<String> = differs
        .map(|(name, shown, expected)| format!("with {name} {shown} instead of {expected}"))
        .collect();
    if differs.is_empty() { "with the right Stat".into() } else { differs.join(", ") }
}

/// Whether a refusal, or its absence, follows from the tree.
fn refusal(
    call: &Call,
    zxid: Zxid,
    expected: Result<(), ErrorCode>,
    told: Result<(), i32>,
) -> Result<(), Wrong> {
    let (what, path) = (call.kind, &call.path);
    let reads = !call.kind.is_write();
    match (expected, told) {
        (Ok(()), Ok(())) => Ok(()),
        (Err(code), Err(told)) if code.code() == told => Ok(()),
        (_, Err(told)) if !is_of_the_tree(told) => Ok(()),
        (Err(ErrorCode::NoAuth), Ok(())) => {
            let detail = format!(
                "was granted {what} of {path} as of {zxid}, which its access list, or its parent's, forbids"
            );
            Err(Wrong { kind: "granted", detail })
        }
        (Err(_), Ok(())) => match call.kind {
            CallKind::Children => {
                let detail = format!("lists {path} as of {zxid}, when there is no such znode");
                Err(Wrong { kind: "list_differs", detail })
            }
            _ if reads => {
                let detail = format!("finds {path} as of {zxid}, when there is no such znode");
                Err(Wrong { kind: "read_differs", detail })
            }
            _ => Err(not_done(call, zxid)),
        },
        (expected, Err(told)) => {
            let kind = match reads && told == ErrorCode::NoNode.code() {
                true => "read_differs",
                false => "refusal_differs",
            };
            let told = ErrorCode::from_code(told).map_or("?", |code| code.name());
            let reason = match expected {
                Ok(()) => "the tree gives no reason for it".to_owned(),
                Err(code) => format!("it should be {}", code.name()),
            };
            let detail =
                format!("was refused {what} of {path} with {told} as of {zxid}, when {reason}");
            Err(Wrong { kind, detail })
        }
    }
}

/// Whether a refusal with this code says something about the tree.
fn is_of_the_tree(code: i32) -> bool {
    use ErrorCode::*;
    let codes =
        [NoNode, NoAuth, BadVersion, NoChildrenForEphemerals, NodeExists, NotEmpty, InvalidAcl];
    codes.iter().any(|one| one.code() == code)
}

impl FollowsClients for Answers {
    fn applied(&mut self, zxid: Zxid, wall: WallTime, changes: &[Change]) {
        if self.applied.is_moved_by(zxid) {
            self.tree.applied(zxid, wall, changes);
        }
    }

    fn invoked(&mut self, client: u32, operation: u64, call: &Call) {
        self.clients.entry(client).or_default().invoked(operation, call);
    }

    fn returned(
        &mut self,
        client: u32,
        operation: u64,
        outcome: &Outcome,
        shown: Option<&Shown>,
    ) -> Result<(), Wrong> {
        let Some(client) = self.clients.get_mut(&client) else { return Ok(()) };
        let Some((call, proved)) = client.returned(operation, outcome) else { return Ok(()) };
        if let Some(Shown::Identities(shown)) = shown {
            return client.is_named(proved, shown);
        }
        let own = call.path.starts_with("/zookeeper");
        let is_about_nothing = call.path.is_empty() && call.kind != CallKind::Ephemerals;
        if !self.applied.is_told() || own || is_about_nothing {
            return Ok(());
        }
        let session = client.session;
        let mut first = None;
        // Most of the time there is one possibility.
        for identities in client.possible_identities(proved) {
            let call = &call;
            let answered = Answered { call, outcome, shown, session, identities };
            match self.judge(&answered) {
                (Ok(()), _) | (Err(_), true) => return Ok(()),
                (Err(wrong), false) => _ = first.get_or_insert(wrong),
            }
        }
        first.map_or(Ok(()), Err)
    }

    fn connected(&mut self, client: u32, session: SessionId) {
        self.clients.entry(client).or_default().session = session;
    }
}

impl Checker for Answers {
    fn name(&self) -> &'static str {
        "answers"
    }

    fn interests(&self) -> Interests {
        Interests::OPERATIONS | Interests::APPLIED | Interests::CONNECTIONS
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
