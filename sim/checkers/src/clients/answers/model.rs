//! What ZooKeeper's documents say that an operation does, on the tree of one moment.
//!
//! Owns: which operations are granted and which refused, with which code; what a granted one shows
//! and changes. Leaves: the tree to [`super::tree`]; which moment is meant, and as whom, to the
//! checker above.
//! Holds: nothing here is taken from the servers that it judges. Of several reasons for a refusal
//! the first is told, in the order in which ZooKeeper asks for them (`PrepRequestProcessor`).
//!
//! Sources: ZooKeeper Programmer's Guide ("ZooKeeper Stat Structure", "Sequence Nodes", "Container
//! Nodes", "TTL Nodes", "ZooKeeper access control using ACLs"); `ZooKeeper.java` (multi,
//! getEphemerals, getAllChildrenNumber, whoAmI).
//! Start at [`Model::write`] and [`Model::read`].

use super::tree::{Node, Own, Tree, names, without_secrets};
use crate::clients::znodes::parent_of;
use mailstorm_shared::facts::{Asked, Call, CallKind, Step};
use mailstorm_shared::znodes::{Acl, Owner, permission};
use mailstorm_shared::{ErrorCode, SessionId, WallTime, Zxid};
use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;

/// Whom a server takes a client for: a scheme, and an id as access lists have it.
pub(super) type Identity = (Arc<str>, Arc<str>);

/// The longest time-to-live: 40 bits of milliseconds.
const TTL_MS_MAX: u64 = (1 << 40) - 1;

/// The tree of one moment, and who asks.
pub(super) struct Model<'a> {
    pub(super) tree: &'a Tree,
    /// Reads see the tree as of this transaction, writes come right after it.
    pub(super) as_of: Zxid,
    /// The transaction of the writes, and what its leader's clock said.
    pub(super) doing: (Zxid, WallTime),
    pub(super) session: SessionId,
    pub(super) identities: &'a [Identity],
    /// What the writes have changed so far: no path twice, and few of them.
    pub(super) changed: Vec<(Arc<str>, Option<Node>)>,
    /// Whether it depended on the client's address, which is not known.
    pub(super) asked_for_address: Cell<bool>,
}

impl Model<'_> {
    /// One write, which later ones see.
    pub(super) fn write(&mut self, call: &Call) -> Result<Step, ErrorCode> {
        match call.kind {
            CallKind::Create | CallKind::CreateEphemeral | CallKind::CreateSequential => {
                self.create(call)
            }
            CallKind::Delete => self.delete(call),
            CallKind::SetData => {
                let mut node = self.find_for(&call.path, permission::WRITE)?;
                node.own.version = next_version(node.own.version, call.version)?;
                node.own.value = call.value;
                node.own.bytes = call.bytes;
                (node.own.modified, node.own.modified_at) = self.doing;
                Ok(self.put(&call.path, node))
            }
            CallKind::SetAcl => {
                let Some(Asked::Acl(acl)) = call.asked.as_deref() else {
                    return Err(ErrorCode::InvalidAcl);
                };
                validate(&call.path)?;
                let acl = self.resolved(acl)?;
                let mut node = self.find_for(&call.path, permission::ADMIN)?;
                node.own.aversion = next_version(node.own.aversion, call.version)?;
                node.own.acl = acl;
                Ok(self.put(&call.path, node))
            }
            CallKind::Check => {
                let node = self.find_for(&call.path, permission::READ)?;
                next_version(node.own.version, call.version)?;
                Ok(Step::default())
            }
            _ => Err(ErrorCode::Unimplemented),
        }
    }

    /// All of them, or none: then each says why, the steps behind the one that failed that they
    /// were not tried.
    pub(super) fn multi(&mut self, steps: &[Call]) -> Result<Vec<Step>, (ErrorCode, Vec<Step>)> {
        let mut done = Vec::with_capacity(steps.len());
        for step in steps {
            match self.write(step) {
                Ok(step) => done.push(step),
                Err(code) => {
                    let failed = |code: i32| Step { code, ..Step::default() };
                    let mut all = vec![failed(0); done.len()];
                    all.push(failed(code.code()));
                    all.resize(steps.len(), failed(ErrorCode::RuntimeInconsistency.code()));
                    self.changed.clear();
                    return Err((code, all));
                }
            }
        }
        Ok(done)
    }

    fn create(&mut self, call: &Call) -> Result<Step, ErrorCode> {
        let (owner, acl) = match call.asked.as_deref() {
            Some(Asked::Create { owner, acl }) => (*owner, acl.as_deref()),
            _ if call.kind == CallKind::CreateEphemeral => (Owner::Session(SessionId::NONE), None),
            _ => (Owner::Nobody, None),
        };
        if let Owner::Ttl(ttl) = owner
            && !(1..=TTL_MS_MAX).contains(&ttl.0)
        {
            return Err(ErrorCode::BadArguments);
        }
        let acl = acl.map_or(Ok(None), |acl| self.resolved(acl))?;
        if !call.path.starts_with('/') {
            return Err(ErrorCode::BadArguments);
        }
        let mut parent = self.find_for(parent_of(&call.path), permission::CREATE)?;
        let path: Arc<str> = match call.kind {
            CallKind::CreateSequential => format!("{}{:010}", call.path, parent.creations).into(),
            _ => Arc::clone(&call.path),
        };
        validate(&path)?;
        if self.find(&path).is_some() {
            return Err(ErrorCode::NodeExists);
        }
        if matches!(parent.own.owner, Owner::Session(_)) {
            return Err(ErrorCode::NoChildrenForEphemerals);
        }
        parent.creations += 1;
        parent.child_count += 1;
        parent.children_moved = self.doing.0;
        self.put(&parent_of(&path).into(), parent);
        let (zxid, wall) = self.doing;
        let own = Own {
            value: call.value,
            bytes: call.bytes,
            owner: match owner {
                Owner::Session(_) => Owner::Session(self.session),
                owner => owner,
            },
            acl,
            created: zxid,
            created_at: wall,
            modified: zxid,
            modified_at: wall,
            version: 0,
            aversion: 0,
        };
        let node = Node { own, creations: 0, child_count: 0, children_moved: zxid };
        let step = self.put(&path, node);
        Ok(Step { path: Some(path), ..step })
    }

    fn delete(&mut self, call: &Call) -> Result<Step, ErrorCode> {
        let mut parent = self.find_for(parent_of(&call.path), permission::DELETE)?;
        let node = self.find(&call.path).ok_or(ErrorCode::NoNode)?;
        next_version(node.own.version, call.version)?;
        if node.child_count > 0 {
            return Err(ErrorCode::NotEmpty);
        }
        parent.child_count -= 1;
        parent.children_moved = self.doing.0;
        self.put(&parent_of(&call.path).into(), parent);
        self.change(&call.path, None);
        Ok(Step::default())
    }

    /// A read of one znode.
    pub(super) fn read(&self, call: &Call) -> Result<Node, ErrorCode> {
        let asked = match call.kind {
            CallKind::GetAcl => permission::READ | permission::ADMIN,
            _ => permission::READ,
        };
        self.find_for(&call.path, asked)
    }

    /// The znode's access list, of which only whoever may replace it sees everything.
    pub(super) fn shown_acl(&self, node: &Node) -> Vec<Acl> {
        let acl = node.acl();
        if self.permits(node, permission::ADMIN) { acl } else { without_secrets(&acl) }
    }

    fn find(&self, path: &str) -> Option<Node> {
        match self.changed.iter().find(|(changed, _)| **changed == *path) {
            Some((_, node)) => node.clone(),
            None => self.tree.at(path, self.as_of),
        }
    }

    fn find_for(&self, path: &str, asked: i32) -> Result<Node, ErrorCode> {
        let node = self.find(path).ok_or(ErrorCode::NoNode)?;
        if self.permits(&node, asked) { Ok(node) } else { Err(ErrorCode::NoAuth) }
    }

    fn put(&mut self, path: &Arc<str>, node: Node) -> Step {
        let stat = Some(node.stat());
        self.change(path, Some(node));
        Step { stat, ..Step::default() }
    }

    fn change(&mut self, path: &Arc<str>, node: Option<Node>) {
        match self.changed.iter_mut().find(|(changed, _)| changed == path) {
            Some(changed) => changed.1 = node,
            None => self.changed.push((Arc::clone(path), node)),
        }
    }

    /// Whether one entry of its list grants one of these permissions to one of the identities.
    fn permits(&self, node: &Node, asked: i32) -> bool {
        let Some(acl) = &node.own.acl else { return true };
        acl.iter().filter(|entry| entry.permissions & asked != 0).any(|entry| {
            match &*entry.scheme {
                "world" => &*entry.id == "anyone",
                "ip" => self.comes_from(&entry.id),
                _ => self.identities.iter().any(|identity| names(identity, entry)),
            }
        })
    }

    /// Whether the client's address is in this network.
    fn comes_from(&self, network: &str) -> bool {
        let Some((_, address)) = self.identities.iter().find(|(scheme, _)| &**scheme == "ip")
        else {
            self.asked_for_address.set(true);
            return false;
        };
        let (network, bits) = match network.split_once('/') {
            Some((network, bits)) => (network, bits.parse().ok()),
            None => (network, Some(u32::MAX)),
        };
        match (network.parse(), address.parse(), bits) {
            (Ok(IpAddr::V4(network)), Ok(IpAddr::V4(address)), Some(bits)) => {
                (network.to_bits() ^ address.to_bits()).leading_zeros() >= bits.min(32)
            }
            (Ok(IpAddr::V6(network)), Ok(IpAddr::V6(address)), Some(bits)) => {
                (network.to_bits() ^ address.to_bits()).leading_zeros() >= bits.min(128)
            }
            _ => false,
        }
    }

    /// The list as it is kept: no entry twice, and for `auth` everybody whom the client has proved
    /// to be.
    fn resolved(&self, asked: &[Acl]) -> Result<Option<Arc<[Acl]>>, ErrorCode> {
        let mut kept: Vec<Acl> = Vec::new();
        for (index, entry) in asked.iter().enumerate() {
            if asked[..index].contains(entry) {
                continue;
            }
            if &*entry.scheme != "auth" {
                kept.push(entry.clone());
                continue;
            }
            let proved = self.identities.iter().filter(|(scheme, _)| &**scheme != "ip");
            let before = kept.len();
            kept.extend(proved.map(|(scheme, id)| Acl {
                permissions: entry.permissions,
                scheme: Arc::clone(scheme),
                id: Arc::clone(id),
            }));
            if kept.len() == before {
                return Err(ErrorCode::InvalidAcl);
            }
        }
        let is_open =
            |entry: &Acl| entry.permissions == permission::ALL && &*entry.scheme == "world";
        match &kept[..] {
            [] => Err(ErrorCode::InvalidAcl),
            [entry] if is_open(entry) => Ok(None),
            _ => Ok(Some(kept.into())),
        }
    }
}

/// Every znode but the root has a name, and all above it have one.
fn validate(path: &str) -> Result<(), ErrorCode> {
    let is_name = |name: &str| !matches!(name, "" | "." | "..") && !name.contains('\0');
    let is_path = path.strip_prefix('/').is_some_and(|names| names.split('/').all(is_name));
    if path == "/" || is_path { Ok(()) } else { Err(ErrorCode::BadArguments) }
}

fn next_version(current: i32, demanded: i32) -> Result<i32, ErrorCode> {
    if demanded == -1 || demanded == current {
        Ok(current.wrapping_add(1))
    } else {
        Err(ErrorCode::BadVersion)
    }
}
