//! Questions that any server answers from its own tree.

use super::acl;
use super::auth::Identity;
use super::database::Database;
use super::path;
use super::pending::DataOptions;
use super::tree::Znode;
use bytes::Bytes;
use mailstorm_shared::{SessionId, planted};
use mailstorm_wire::client::{ErrorCode, MultiReply, Read, Reply, Request, permission};
use mailstorm_wire::frame::REPLY_BYTES_MAX;
use std::sync::Arc;

impl Database {
    /// The answer to a request that changes nothing and concerns the tree: exists, getData, getACL,
    /// getChildren, getEphemerals, getAllChildrenNumber, multiRead. Watches are the caller's
    /// business.
    ///
    /// # Errors
    /// [`ErrorCode::NoNode`], [`ErrorCode::NoAuth`]; [`ErrorCode::BadArguments`] for `exists` of a
    /// path with a NUL, as in ZooKeeper; [`ErrorCode::Unimplemented`] for any other request. In a
    /// multiRead each step has its own error, but if all steps together find more than a reply can
    /// carry ([`REPLY_BYTES_MAX`]) the whole is refused with [`ErrorCode::MarshallingError`]: a few
    /// bytes of a request can name the largest znode, and a request has room for tens of thousands
    /// of steps.
    pub fn read(
        &self,
        request: &Request,
        session: SessionId,
        identities: &[Identity],
        options: &DataOptions,
    ) -> Result<Reply, ErrorCode> {
        assert!(self.is_exact(), "nobody is served while the tree is of several moments");
        let readable = |path| self.allowed(path, permission::READ, identities);
        Ok(match request {
            // No znode can ever be there, so nothing may wait for one.
            Request::Exists { path, .. } if path.contains('\0') => {
                return Err(ErrorCode::BadArguments);
            }
            Request::Exists { path, .. } => Reply::Stat(readable(path)?.stat()),
            Request::GetData { path, .. } => {
                let znode = readable(path)?;
                Reply::Data { data: znode.data.clone(), stat: znode.stat() }
            }
            Request::GetAcl { path } => self.read_acl(path, identities)?,
            Request::Children { path, stat, .. } => {
                let znode = readable(path)?;
                Reply::Children { names: names(znode), stat: stat.then(|| znode.stat()) }
            }
            Request::Ephemerals { prefix } => {
                let everywhere = matches!(prefix.trim(), "" | path::ROOT);
                let is_meant = |path: &&Arc<str>| everywhere || path.starts_with(&**prefix);
                let owned = self.tree().ephemerals_of(session);
                let mut paths: Vec<Arc<str>> = owned.filter(is_meant).cloned().collect();
                if planted!(options.defects, EphemeralsOfTheNext) {
                    let next = SessionId(session.0.saturating_add(1));
                    let others = self.tree().ephemerals_from(next).next();
                    let others = others.into_iter().flat_map(|(_, paths)| paths);
                    paths.extend(others.filter(is_meant).take(1).cloned());
                }
                Reply::Ephemerals(paths)
            }
            Request::AllChildrenNumber { path } => {
                readable(path)?;
                let itself = i32::from(planted!(options.defects, CountWithItself));
                Reply::AllChildrenNumber(self.tree().below(path).count() as i32 + itself)
            }
            Request::MultiRead(steps) => {
                let mut bytes_left = REPLY_BYTES_MAX;
                let mut answer = |step| self.read_step(step, identities, options, &mut bytes_left);
                Reply::Multi(steps.iter().map(&mut answer).collect::<Result<_, _>>()?)
            }
            _ => return Err(ErrorCode::Unimplemented),
        })
    }

    /// One step, which takes what it finds from the bytes left. What is around it is not counted:
    /// the request bounds that.
    fn read_step(
        &self,
        step: &Read,
        identities: &[Identity],
        options: &DataOptions,
        bytes_left: &mut usize,
    ) -> Result<MultiReply, ErrorCode> {
        let (Read::GetData { path } | Read::Children { path }) = step;
        let found = match step {
            Read::Children { .. } if planted!(options.defects, ListOfAnybody) => {
                self.tree().get(path).ok_or(ErrorCode::NoNode)
            }
            _ => self.allowed(path, permission::READ, identities),
        };
        let znode = match found {
            Ok(znode) => znode,
            Err(code) => return Ok(MultiReply::Error(Some(code))),
        };
        // Before anything is copied.
        let found = match step {
            Read::GetData { .. } => znode.data.as_ref().map_or(0, Bytes::len),
            Read::Children { .. } => znode.children.iter().map(|name| 4 + name.len()).sum(),
        };
        *bytes_left = bytes_left.checked_sub(found).ok_or(ErrorCode::MarshallingError)?;
        Ok(match step {
            Read::GetData { .. } => {
                MultiReply::Data { data: znode.data.clone(), stat: znode.stat() }
            }
            Read::Children { .. } => MultiReply::Children(names(znode)),
        })
    }

    /// Whoever may read or administer the znode sees its list; the digests in it, only who may
    /// administer it.
    fn read_acl(&self, path: &str, identities: &[Identity]) -> Result<Reply, ErrorCode> {
        let znode = self.allowed(path, permission::READ | permission::ADMIN, identities)?;
        let acl = if acl::permits(&znode.acl, permission::ADMIN, identities) {
            znode.acl.to_vec()
        } else {
            acl::hide_digests(&znode.acl)
        };
        Ok(Reply::Acl { acl, stat: znode.stat() })
    }

    fn allowed(
        &self,
        path: &str,
        permission: i32,
        identities: &[Identity],
    ) -> Result<&Znode, ErrorCode> {
        let znode = self.tree().get(path).ok_or(ErrorCode::NoNode)?;
        if acl::permits(&znode.acl, permission, identities) {
            Ok(znode)
        } else {
            Err(ErrorCode::NoAuth)
        }
    }
}

fn names(znode: &Znode) -> Vec<Arc<str>> {
    znode.children.iter().cloned().collect()
}
