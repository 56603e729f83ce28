//! The bytes of a snapshot's rows.
//!
//! Holds: whatever bytes come, reading ends with a row or an error; nothing is allocated beyond
//! what the bytes at hand justify.

use super::super::database::{Database, SessionRecord};
use super::super::fuzzy::Key;
use super::super::path;
use super::super::tree::{Tree, Znode};
use bytes::Bytes;
use mailstorm_shared::{Millis, SessionId, WallTime, Zxid};
use mailstorm_wire::client::Acl;
use mailstorm_wire::txn::Owner;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{AddAssign, Bound};
use std::sync::Arc;

const NONE: u8 = 0;
const SESSION: u8 = 1;
const EPHEMERAL: u8 = 2;
const ZNODE: u8 = 3;

const OWNER_NOBODY: u8 = 0;
const OWNER_SESSION: u8 = 1;
const OWNER_CONTAINER: u8 = 2;
const OWNER_TTL: u8 = 3;

/// The length that stands for null data.
const NULL: u32 = u32::MAX;

/// A row as it stands in a database.
pub(super) enum Row<'a> {
    Session(SessionId, &'a SessionRecord),
    Ephemeral(SessionId, &'a Arc<str>),
    Znode(&'a Arc<str>, &'a Znode),
}

/// How many rows of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct RowCounts {
    pub(super) sessions: u64,
    pub(super) ephemerals: u64,
    pub(super) znodes: u64,
}

impl AddAssign<&Row<'_>> for RowCounts {
    fn add_assign(&mut self, row: &Row<'_>) {
        match row {
            Row::Session(..) => self.sessions += 1,
            Row::Ephemeral(..) => self.ephemerals += 1,
            Row::Znode(..) => self.znodes += 1,
        }
    }
}

/// The rows after `key`, or from the first.
pub(super) fn after<'a>(
    database: &'a Database,
    key: Option<&'a Key>,
) -> impl Iterator<Item = Row<'a>> {
    // Where each of the three lists goes on: `None` for a list that is done.
    let beginning = SessionId(i64::MIN);
    let (session, ephemeral, znode) = match key {
        None => (Some((beginning, None)), Some((beginning, None)), Some(None)),
        Some(Key::Session(id)) => (Some((*id, Some(*id))), Some((beginning, None)), Some(None)),
        Some(Key::Ephemeral(id, path)) => (None, Some((*id, Some((*id, path)))), Some(None)),
        Some(Key::Znode(path)) => (None, None, Some(Some(&**path))),
    };
    let sessions = session.into_iter().flat_map(move |(from, seen)| {
        let unseen = move |id: &SessionId| Some(*id) != seen;
        database.sessions_from(from).filter(move |(id, _)| unseen(id))
    });
    let ephemerals = ephemeral.into_iter().flat_map(move |(from, seen)| {
        database.tree().ephemerals_from(from).flat_map(move |(id, paths)| {
            let bound = match seen {
                Some((of, path)) if of == id => Bound::Excluded(path.clone()),
                _ => Bound::Unbounded,
            };
            paths.range((bound, Bound::Unbounded)).map(move |path| (id, path))
        })
    });
    let znodes = znode.into_iter().flat_map(move |seen| database.tree().znodes_after(seen));
    sessions
        .map(|(id, record)| Row::Session(id, record))
        .chain(ephemerals.map(|(id, path)| Row::Ephemeral(id, path)))
        .chain(znodes.map(|(path, znode)| Row::Znode(path, znode)))
}

impl Row<'_> {
    pub(super) fn key(&self) -> Key {
        match self {
            Self::Session(id, _) => Key::Session(*id),
            Self::Ephemeral(id, path) => Key::Ephemeral(*id, (*path).clone()),
            Self::Znode(path, _) => Key::Znode((*path).clone()),
        }
    }

    /// Whether it is the session that this transaction opened.
    pub(super) fn is_session_of(&self, zxid: Zxid) -> bool {
        matches!(self, Self::Session(id, _) if *id == SessionId::created_at(zxid))
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        write_end(Some(&self.key()), out);
        match self {
            Self::Session(_, record) => {
                out.extend(record.timeout.0.to_be_bytes());
                out.extend(record.password);
            }
            Self::Ephemeral(..) => {}
            Self::Znode(_, znode) => write_znode(znode, out),
        }
    }
}

/// A key, or none.
pub(super) fn write_end(key: Option<&Key>, out: &mut Vec<u8>) {
    match key {
        None => out.push(NONE),
        Some(Key::Session(id)) => {
            out.push(SESSION);
            out.extend(id.0.to_be_bytes());
        }
        Some(Key::Ephemeral(id, path)) => {
            out.push(EPHEMERAL);
            out.extend(id.0.to_be_bytes());
            write_bytes(path.as_bytes(), out);
        }
        Some(Key::Znode(path)) => {
            out.push(ZNODE);
            write_bytes(path.as_bytes(), out);
        }
    }
}

pub(super) fn read_end(input: &mut Input<'_>) -> Result<Option<Key>, &'static str> {
    Ok(Some(match input.u8()? {
        NONE => return Ok(None),
        SESSION => Key::Session(input.session()?),
        EPHEMERAL => Key::Ephemeral(input.session()?, input.path()?),
        ZNODE => Key::Znode(input.path()?),
        _ => return Err("a row is of an unknown kind"),
    }))
}

/// Reads one row, puts it where it belongs, and gives its key. Whether the order is kept is the
/// caller's to check; a row that is there already is an error.
pub(super) fn load(
    input: &mut Input<'_>,
    sessions: &mut BTreeMap<SessionId, SessionRecord>,
    tree: &mut Tree,
    counts: &mut RowCounts,
) -> Result<Key, &'static str> {
    let key = read_end(input)?.ok_or("a row is of an unknown kind")?;
    match &key {
        Key::Session(id) => {
            let record = SessionRecord { timeout: Millis(input.u64()?), password: input.array()? };
            sessions.insert(*id, record);
            counts.sessions += 1;
        }
        Key::Ephemeral(id, path) => {
            tree.load_ephemeral(*id, path.clone());
            counts.ephemerals += 1;
        }
        Key::Znode(path) => {
            if tree.get(path).is_some() {
                return Err("rows are out of order");
            }
            let znode = read_znode(input, tree)?;
            tree.load_znode(path.clone(), znode);
            counts.znodes += 1;
        }
    }
    Ok(key)
}

fn write_znode(znode: &Znode, out: &mut Vec<u8>) {
    // The names of the children follow from the other rows.
    let Znode {
        data,
        acl,
        owner,
        czxid,
        mzxid,
        pzxid,
        ctime,
        mtime,
        version,
        aversion,
        creations,
        children: _,
    } = znode;
    for number in [czxid.0, mzxid.0, pzxid.0] {
        out.extend(number.to_be_bytes());
    }
    for WallTime(number) in [*ctime, *mtime] {
        out.extend(number.to_be_bytes());
    }
    for number in [*version, *aversion] {
        out.extend(number.to_be_bytes());
    }
    out.extend(creations.to_be_bytes());
    match owner {
        Owner::Nobody => out.push(OWNER_NOBODY),
        Owner::Session(session) => {
            out.push(OWNER_SESSION);
            out.extend(session.0.to_be_bytes());
        }
        Owner::Container => out.push(OWNER_CONTAINER),
        Owner::Ttl(ttl) => {
            out.push(OWNER_TTL);
            out.extend(ttl.0.to_be_bytes());
        }
    }
    match data {
        Some(data) => write_bytes(data, out),
        None => out.extend(NULL.to_be_bytes()),
    }
    out.extend((acl.len() as u32).to_be_bytes());
    for Acl { permissions, scheme, id } in acl.iter() {
        out.extend(permissions.to_be_bytes());
        write_bytes(scheme.as_bytes(), out);
        write_bytes(id.as_bytes(), out);
    }
}

fn read_znode(input: &mut Input<'_>, tree: &Tree) -> Result<Znode, &'static str> {
    let [czxid, mzxid, pzxid] = [input.u64()?, input.u64()?, input.u64()?].map(Zxid);
    let [ctime, mtime] = [input.u64()?, input.u64()?].map(|ms| WallTime(ms.cast_signed()));
    let [version, aversion] = [input.u32()?, input.u32()?].map(u32::cast_signed);
    let creations = input.u32()?;
    let owner = match input.u8()? {
        OWNER_NOBODY => Owner::Nobody,
        OWNER_SESSION => Owner::Session(input.session()?),
        OWNER_CONTAINER => Owner::Container,
        OWNER_TTL => Owner::Ttl(Millis(input.u64()?)),
        _ => return Err("a znode is of an unknown kind"),
    };
    let data = match input.u32()? {
        NULL => None,
        length => Some(Bytes::copy_from_slice(input.slice(length as usize)?)),
    };
    let mut acl = Vec::new();
    for _ in 0..input.u32()? {
        let permissions = input.u32()?.cast_signed();
        acl.push(Acl { permissions, scheme: input.text()?, id: input.text()? });
    }
    let acl = tree.keep_acl(&acl);
    let children = BTreeSet::new();
    Ok(Znode {
        data,
        acl,
        owner,
        czxid,
        mzxid,
        pzxid,
        ctime,
        mtime,
        version,
        aversion,
        creations,
        children,
    })
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend((bytes.len() as u32).to_be_bytes());
    out.extend(bytes);
}

/// Bytes not yet read.
pub(super) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (array, rest) = self.0.split_first_chunk().ok_or("it ends too early")?;
        self.0 = rest;
        Ok(*array)
    }

    pub(super) fn slice(&mut self, length: usize) -> Result<&'a [u8], &'static str> {
        let (slice, rest) = self.0.split_at_checked(length).ok_or("it ends too early")?;
        self.0 = rest;
        Ok(slice)
    }

    pub(super) fn u8(&mut self) -> Result<u8, &'static str> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, &'static str> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, &'static str> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, &'static str> {
        self.array().map(u64::from_be_bytes)
    }

    fn session(&mut self) -> Result<SessionId, &'static str> {
        self.u64().map(u64::cast_signed).map(SessionId)
    }

    fn text(&mut self) -> Result<Arc<str>, &'static str> {
        let length = self.u32()? as usize;
        std::str::from_utf8(self.slice(length)?).map(Arc::from).map_err(|_| "a text is not UTF-8")
    }

    fn path(&mut self) -> Result<Arc<str>, &'static str> {
        let path = self.text()?;
        path::validate(&path).map_err(|_| "a path is invalid")?;
        Ok(path)
    }
}
