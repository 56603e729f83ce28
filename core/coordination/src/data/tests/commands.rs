//! Random histories: few paths, few sessions, so that commands get into each other's way.
//!
//! Half of the histories have only a handful of paths. `-` and `.` sort before `/`: a znode `/a-`
//! stands between `/a` and what is below it.

use super::stage::acl;
use bytes::Bytes;
use mailstorm_wire::client::{CreateMode, Write};
use proptest::collection::vec;
use proptest::prelude::*;
use std::sync::Arc;

/// Something that happens at a leader.
#[derive(Clone, Debug)]
pub(super) enum Command {
    /// A session begins.
    Open,
    /// The session with this index ends (if it is there).
    Close(usize),
    /// A session writes; true if it has authenticated.
    Write(usize, bool, Write),
    /// A session writes several things at once.
    Multi(usize, bool, Vec<Write>),
    /// The leader looks whether this is due.
    Sweep(&'static str),
    /// The oldest of what is under way is committed.
    Commit(usize),
}

type Paths = &'static [&'static str];

const MANY: Paths = &[
    "/a",
    "/a-",
    "/b",
    "/c",
    "/a/a",
    "/a/a.",
    "/a/b",
    "/b/a",
    "/b/b",
    "/a/a/a",
    "/a/b/a",
    "/zookeeper",
];

const FEW: Paths = &["/a", "/a-", "/a/b", "/a/b/c"];

/// The common ones first.
const MODES: [CreateMode; 7] = [
    CreateMode::Persistent,
    CreateMode::Ephemeral,
    CreateMode::PersistentSequential,
    CreateMode::EphemeralSequential,
    CreateMode::Container,
    CreateMode::PersistentTtl,
    CreateMode::PersistentSequentialTtl,
];

const LISTS: [&str; 4] = ["r:world:anyone,rwcda:digest:u:h", "rwcda:auth:", "", "rwcda:nonsense:x"];

fn list() -> impl Strategy<Value = &'static str> {
    prop_oneof![20 => Just("rwcda:world:anyone"), 1 => prop::sample::select(&LISTS[..])]
}

/// The paths drawn are plain; sequential names come on top, and are found again by the first
/// numbers.
fn path(paths: Paths) -> impl Strategy<Value = Arc<str>> {
    let plain = prop::sample::select(paths).prop_map(Arc::from);
    let numbered = (prop::sample::select(paths), 0..4u32)
        .prop_map(|(path, number)| format!("{path}{number:010}").into());
    prop_oneof![6 => plain, 1 => numbered]
}

fn version() -> impl Strategy<Value = i32> {
    prop_oneof![4 => Just(-1), 1 => 0..3]
}

fn data() -> impl Strategy<Value = Option<Bytes>> {
    prop::option::weighted(0.8, vec(any::<u8>(), 0..6).prop_map(Bytes::from))
}

fn mode() -> impl Strategy<Value = CreateMode> {
    let common = prop::sample::select(&MODES[..2]);
    prop_oneof![3 => common, 2 => prop::sample::select(&MODES[..])]
}

fn write(paths: Paths) -> impl Strategy<Value = Write> {
    let acl = || list().prop_map(acl);
    let path = || path(paths);
    prop_oneof![
        6 => (path(), data(), acl(), mode(), 1..40i64, any::<bool>()).prop_map(
            |(path, data, acl, mode, ttl, stat)| Write::Create { path, data, acl, mode, ttl, stat }
        ),
        4 => (path(), version()).prop_map(|(path, version)| Write::Delete { path, version }),
        2 => (path(), data(), version())
            .prop_map(|(path, data, version)| Write::SetData { path, data, version }),
        1 => (path(), acl(), version())
            .prop_map(|(path, acl, version)| Write::SetAcl { path, acl, version }),
        1 => (path(), version()).prop_map(|(path, version)| Write::Check { path, version }),
    ]
}

fn command(paths: Paths) -> impl Strategy<Value = Command> {
    let write = || write(paths);
    prop_oneof![
        2 => Just(Command::Open),
        2 => (0..4usize).prop_map(Command::Close),
        16 => (0..4usize, any::<bool>(), write())
            .prop_map(|(session, user, write)| Command::Write(session, user, write)),
        4 => (0..4usize, any::<bool>(), vec(write(), 0..5))
            .prop_map(|(session, user, writes)| Command::Multi(session, user, writes)),
        1 => prop::sample::select(paths).prop_map(Command::Sweep),
        4 => (1..20usize).prop_map(Command::Commit),
    ]
}

/// A history of at most `length` commands, after two sessions have begun.
pub(super) fn history(length: usize) -> impl Strategy<Value = Vec<Command>> {
    prop_oneof![vec(command(MANY), 0..length), vec(command(FEW), 0..length)].prop_map(
        |mut commands| {
            commands.splice(0..0, [Command::Open, Command::Open]);
            commands
        },
    )
}
