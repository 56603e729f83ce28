//! The tree as naively as it can be written: a flat map, everything counted by looking, nothing
//! ahead.
//!
//! It shares no code with what it judges but the vocabulary of the protocol.

use mailstorm_shared::{SessionId, Zxid};
use mailstorm_wire::client::{Acl, CreateMode, ErrorCode, MultiReply, Reply, Stat, Write};
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) data: Option<Vec<u8>>,
    pub(super) acl: Vec<Acl>,
    pub(super) stat: Stat,
    /// Creations of children.
    births: u32,
    is_container: bool,
    ttl: Option<i64>,
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) nodes: BTreeMap<String, Node>,
    pub(super) sessions: Vec<i64>,
    pub(super) owners_only: bool,
}

const WORLD: i32 = 31;

fn node(zxid: u64, time: i64, data: Option<Vec<u8>>, acl: Vec<Acl>) -> Node {
    let z = Zxid(zxid);
    let data_length = data.as_ref().map_or(0, Vec::len) as i32;
    let stat = Stat {
        czxid: z,
        mzxid: z,
        pzxid: z,
        ctime: time,
        mtime: time,
        data_length,
        ..Stat::default()
    };
    Node { data, acl, stat, births: 0, is_container: false, ttl: None }
}

fn up(path: &str) -> String {
    let cut = path.rfind('/').unwrap();
    if cut == 0 { "/".into() } else { path[..cut].into() }
}

impl Model {
    pub(super) fn new(owners_only: bool) -> Self {
        let mut nodes = BTreeMap::new();
        for path in ["/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"] {
            let permissions = if path.ends_with("config") { 1 } else { WORLD };
            let acl = Acl { permissions, scheme: "world".into(), id: "anyone".into() };
            nodes.insert(path.to_string(), node(0, 0, Some(vec![]), vec![acl]));
        }
        let mut model = Self { nodes, sessions: vec![], owners_only };
        for (path, children) in [("/", 1), ("/zookeeper", 2)] {
            let stat = &mut model.nodes.get_mut(path).unwrap().stat;
            (stat.num_children, stat.cversion) = (children, -children);
        }
        model
    }

    fn node(&self, path: &str) -> Result<&Node, ErrorCode> {
        self.nodes.get(path).ok_or(ErrorCode::NoNode)
    }

    fn may(&self, path: &str, bit: i32, user: bool) -> Result<(), ErrorCode> {
        let granted = self
            .node(path)?
            .acl
            .iter()
            .any(|entry| entry.permissions & bit != 0 && (&*entry.scheme == "world" || user));
        if granted { Ok(()) } else { Err(ErrorCode::NoAuth) }
    }

    fn may_own(&self, path: &str, session: i64) -> Result<(), ErrorCode> {
        let owner = self.node(path)?.stat.ephemeral_owner.0;
        if self.owners_only && owner != 0 && owner != session {
            Err(ErrorCode::NoAuth)
        } else {
            Ok(())
        }
    }

    /// One write, at once. `user` says that the client has authenticated as `digest u:h`.
    pub(super) fn write(
        &mut self,
        zxid: u64,
        time: i64,
        session: i64,
        user: bool,
        write: &Write,
        in_multi: bool,
    ) -> Result<MultiReply, ErrorCode> {
        match write {
            Write::Create { path, data, acl, mode, ttl, stat } => {
                let acl = lists(acl, user)?;
                let parent = up(path);
                self.may(&parent, 4, user)?;
                let sequential = matches!(
                    mode,
                    CreateMode::PersistentSequential
                        | CreateMode::EphemeralSequential
                        | CreateMode::PersistentSequentialTtl
                );
                let births = self.node(&parent)?.births;
                let path =
                    if sequential { format!("{path}{births:010}") } else { path.to_string() };
                if self.nodes.contains_key(&path) {
                    return Err(ErrorCode::NodeExists);
                }
                if self.node(&parent)?.stat.ephemeral_owner.0 != 0 {
                    return Err(ErrorCode::NoChildrenForEphemerals);
                }
                let above = self.nodes.get_mut(&parent).unwrap();
                above.births += 1;
                above.stat.cversion += 1;
                above.stat.num_children += 1;
                above.stat.pzxid = Zxid(zxid);
                let mut new = node(zxid, time, data.as_ref().map(|d| d.to_vec()), acl);
                match mode {
                    CreateMode::Ephemeral | CreateMode::EphemeralSequential => {
                        new.stat.ephemeral_owner = SessionId(session);
                    }
                    CreateMode::Container => new.is_container = true,
                    CreateMode::PersistentTtl | CreateMode::PersistentSequentialTtl => {
                        new.ttl = Some(*ttl)
                    }
                    CreateMode::Persistent | CreateMode::PersistentSequential => {}
                }
                let shown = stat.then_some(new.stat);
                self.nodes.insert(path.clone(), new);
                Ok(MultiReply::Created { path: path.into(), stat: shown })
            }
            Write::Delete { path, version } => {
                if matches!(&**path, "/" | "/zookeeper" | "/zookeeper/config" | "/zookeeper/quota")
                {
                    return Err(ErrorCode::BadArguments);
                }
                self.may(&up(path), 8, user)?;
                self.node(path)?;
                self.may_own(path, session)?;
                let stat = self.node(path)?.stat;
                if *version != -1 && *version != stat.version {
                    return Err(ErrorCode::BadVersion);
                }
                if stat.num_children != 0 {
                    return Err(ErrorCode::NotEmpty);
                }
                self.remove(zxid, path);
                Ok(MultiReply::Deleted)
            }
            Write::SetData { path, data, version } => {
                self.may(path, 2, user)?;
                self.may_own(path, session)?;
                let node = self.nodes.get_mut(&**path).unwrap();
                if *version != -1 && *version != node.stat.version {
                    return Err(ErrorCode::BadVersion);
                }
                node.data = data.as_ref().map(|data| data.to_vec());
                node.stat.data_length = node.data.as_ref().map_or(0, Vec::len) as i32;
                node.stat.version += 1;
                (node.stat.mzxid, node.stat.mtime) = (Zxid(zxid), time);
                Ok(MultiReply::DataSet(node.stat))
            }
            Write::SetAcl { .. } if in_multi => Err(ErrorCode::Unimplemented),
            Write::SetAcl { path, acl, version } => {
                let acl = lists(acl, user)?;
                self.may(path, 16, user)?;
                self.may_own(path, session)?;
                let node = self.nodes.get_mut(&**path).unwrap();
                if *version != -1 && *version != node.stat.aversion {
                    return Err(ErrorCode::BadVersion);
                }
                node.acl = acl;
                node.stat.aversion += 1;
                Ok(MultiReply::DataSet(node.stat))
            }
            Write::Check { .. } if !in_multi => Err(ErrorCode::Unimplemented),
            Write::Check { path, version } => {
                self.may(path, 1, user)?;
                if *version != -1 && *version != self.node(path)?.stat.version {
                    return Err(ErrorCode::BadVersion);
                }
                Ok(MultiReply::Checked)
            }
        }
    }

    pub(super) fn multi(
        &mut self,
        zxid: u64,
        time: i64,
        session: i64,
        user: bool,
        writes: &[Write],
    ) -> Vec<MultiReply> {
        let before = self.clone();
        let mut replies = vec![];
        for write in writes {
            match self.write(zxid, time, session, user, write, true) {
                Ok(reply) => replies.push(reply),
                Err(code) => {
                    *self = before;
                    let culprit = replies.len();
                    return (0..writes.len())
                        .map(|step| match step.cmp(&culprit) {
                            std::cmp::Ordering::Less => MultiReply::Error(None),
                            std::cmp::Ordering::Equal => MultiReply::Error(Some(code)),
                            std::cmp::Ordering::Greater => {
                                MultiReply::Error(Some(ErrorCode::RuntimeInconsistency))
                            }
                        })
                        .collect();
                }
            }
        }
        replies
    }

    pub(super) fn close(&mut self, zxid: u64, session: i64) -> Vec<String> {
        self.sessions.retain(|other| *other != session);
        let owned = self.owned(session);
        for path in &owned {
            self.remove(zxid, path);
        }
        owned
    }

    pub(super) fn owned(&self, session: i64) -> Vec<String> {
        let is_owned = |node: &Node| node.stat.ephemeral_owner.0 == session;
        self.nodes.iter().filter(|(_, node)| is_owned(node)).map(|(path, _)| path.clone()).collect()
    }

    pub(super) fn children(&self, path: &str) -> Vec<String> {
        let prefix = if path == "/" { "/".to_string() } else { format!("{path}/") };
        let child = |other: &String| {
            let name = other.strip_prefix(&prefix)?;
            (!name.is_empty() && !name.contains('/')).then(|| name.to_string())
        };
        self.nodes.keys().filter_map(child).collect()
    }

    pub(super) fn is_due(&self, path: &str, wall: i64) -> bool {
        self.nodes.get(path).is_some_and(|node| {
            node.stat.num_children == 0
                && (node.is_container && node.births > 0
                    || node.ttl.is_some_and(|ttl| wall - node.stat.mtime > ttl))
        })
    }

    pub(super) fn remove(&mut self, zxid: u64, path: &str) {
        self.nodes.remove(path).unwrap();
        let above = &mut self.nodes.get_mut(&up(path)).unwrap().stat;
        above.cversion += 1;
        above.num_children -= 1;
        above.pzxid = Zxid(zxid);
    }
}

/// The only `auth` there is in these tests is `digest u:h`.
fn lists(acl: &[Acl], user: bool) -> Result<Vec<Acl>, ErrorCode> {
    let mut list = vec![];
    for entry in acl {
        if &*entry.scheme == "auth" {
            if !user {
                return Err(ErrorCode::InvalidAcl);
            }
            list.push(Acl {
                permissions: entry.permissions,
                scheme: "digest".into(),
                id: "u:h".into(),
            });
        } else if matches!(&*entry.scheme, "world" | "digest") {
            list.push(entry.clone());
        } else {
            return Err(ErrorCode::InvalidAcl);
        }
    }
    if list.is_empty() { Err(ErrorCode::InvalidAcl) } else { Ok(list) }
}

impl Model {
    /// The answer to a single write as a client gets it.
    pub(super) fn reply(reply: MultiReply) -> Reply {
        match reply {
            MultiReply::Created { path, stat } => Reply::Created { path, stat },
            MultiReply::DataSet(stat) => Reply::Stat(stat),
            MultiReply::Deleted | MultiReply::Checked => Reply::Empty,
            reply => panic!("{reply:?} answers no single write"),
        }
    }
}
