//! Watches as the record shows them: what happened to each znode, and what each session watches.
//!
//! Owns: which watch is for which change, which watches are due. Leaves: what a reply or an event
//! must have shown by then to the checker above.

use mailstorm_shared::facts::CallKind;
use mailstorm_shared::znodes::{EventKind, WatchKind};
use mailstorm_shared::{SessionId, Zxid};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What happened to a znode, and who watches it.
#[derive(Clone, Debug, Default)]
pub(super) struct Znode {
    pub(super) changes: Vec<(Zxid, What)>,
    pub(super) watchers: Vec<u32>,
    /// Its access list was changed: who may read it, and so be told of it, is not known here.
    pub(super) acl_changed: bool,
}

/// What a change is to the znode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Created,
    Deleted,
    DataSet,
    /// A child came or went.
    Children,
}

/// One client with the session it has.
#[derive(Clone, Debug, Default)]
pub(super) struct Client {
    pub(super) session: Option<SessionId>,
    /// Since when it is connected, if it is.
    pub(super) connected_at_ns: Option<u64>,
    /// The server is known to have its lasting watches: it has answered on this connection, or told
    /// of a change. Before that, a change can be one that the catch-up tells.
    pub(super) is_armed: bool,
    /// Operations that will leave a watch when they succeed.
    pub(super) asked: BTreeMap<u64, (CallKind, Arc<str>)>,
    pub(super) armed: BTreeMap<Arc<str>, Armed>,
    /// Watches whose change has happened, but was not told yet.
    pub(super) due: Vec<Due>,
    pub(super) lasting: Vec<Lasting>,
    /// What its lasting watches are for, and was not told yet.
    pub(super) lasting_due: Vec<LastingDue>,
    /// Paths whose watches may have been removed.
    pub(super) uncertain: BTreeSet<Arc<str>>,
    pub(super) last_event: Zxid,
    /// Its calls are on record; those of other clients are not, only their events.
    pub(super) tells_calls: bool,
}

/// A session's one-shot watches on one path.
#[derive(Clone, Debug, Default)]
pub(super) struct Armed {
    pub(super) data: Option<Watch>,
    pub(super) children: Option<Watch>,
}

/// A one-shot watch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    pub(super) on: On,
    pub(super) since: Zxid,
    /// The connection it was left on is gone.
    pub(super) reconnected: bool,
    /// Its application wants no more of it. The server does not know as long as the connection
    /// lasts, and after a reconnect it is not armed again.
    pub(super) given_up: bool,
}

/// A lasting watch.
#[derive(Clone, Debug)]
pub(super) struct Lasting {
    pub(super) path: Arc<str>,
    /// It reaches below its path, but not to lists of children.
    pub(super) recursive: bool,
    pub(super) since: Zxid,
    /// As for [`Watch::given_up`].
    pub(super) given_up: bool,
}

/// A change that a lasting watch is for.
#[derive(Clone, Debug)]
pub(super) struct LastingDue {
    pub(super) at: Zxid,
    /// When the first server had it.
    pub(super) since_ns: u64,
    pub(super) path: Arc<str>,
    pub(super) kind: EventKind,
    /// The client was away since: a hint in the catch-up is all that it is owed.
    pub(super) missed: bool,
}

/// What a watch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum On {
    Data,
    Creation,
    Children,
}

/// A watch that is due since a change.
#[derive(Clone, Debug)]
pub(super) struct Due {
    pub(super) at: Zxid,
    /// When the first server had it.
    pub(super) since_ns: u64,
    pub(super) path: Arc<str>,
    pub(super) on: On,
}

impl On {
    /// Whether clients call it so.
    pub(super) fn is(self, watch: WatchKind) -> bool {
        match self {
            Self::Data => watch == WatchKind::Data,
            Self::Creation => watch == WatchKind::Creation,
            Self::Children => watch == WatchKind::Children,
        }
    }

    pub(super) fn is_for(self, what: What) -> bool {
        match self {
            Self::Data => matches!(what, What::Deleted | What::DataSet),
            Self::Creation => what == What::Created,
            Self::Children => matches!(what, What::Deleted | What::Children),
        }
    }
}

impl What {
    pub(super) fn told_as(self) -> EventKind {
        match self {
            Self::Created => EventKind::Created,
            Self::Deleted => EventKind::Deleted,
            Self::DataSet => EventKind::DataChanged,
            Self::Children => EventKind::ChildrenChanged,
        }
    }
}

/// Whether `path` is `above` or below it.
fn is_at_or_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above)
        .is_some_and(|below| below.is_empty() || below.starts_with('/') || above == "/")
}

impl Lasting {
    /// Whether a change of this path is told by it.
    pub(super) fn is_for(&self, path: &str, kind: EventKind) -> bool {
        if self.recursive {
            kind != EventKind::ChildrenChanged && is_at_or_below(path, &self.path)
        } else {
            *path == *self.path
        }
    }

    pub(super) fn is(&self, path: &str, watch: WatchKind) -> bool {
        let wanted = if self.recursive { WatchKind::Recursive } else { WatchKind::Persistent };
        *self.path == *path && watch == wanted
    }
}

impl LastingDue {
    /// Whether this event settles it. What was missed is settled by a catch-up event at the znode
    /// or at one above it that is under watch as well: a list that changed stands for whatever went
    /// below it.
    pub(super) fn is_told_by(&self, path: &str, kind: EventKind, zxid: Zxid) -> bool {
        if zxid == Zxid::ZERO {
            return self.missed && is_at_or_below(&self.path, path);
        }
        zxid == self.at && kind == self.kind && *path == *self.path
    }
}

impl Armed {
    pub(super) fn watches_mut(&mut self) -> impl Iterator<Item = &mut Watch> {
        self.data.iter_mut().chain(&mut self.children)
    }

    pub(super) fn watches(&self) -> impl Iterator<Item = &Watch> {
        self.data.iter().chain(&self.children)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.data.is_none() && self.children.is_none()
    }
}

impl Znode {
    /// What happened to it after `zxid`.
    pub(super) fn since(&self, zxid: Zxid) -> &[(Zxid, What)] {
        &self.changes[self.changes.partition_point(|(at, _)| *at <= zxid)..]
    }

    /// The first change after its registration that the watch is for.
    pub(super) fn first_for(&self, watch: Watch) -> Option<Zxid> {
        let mut since = self.since(watch.since).iter();
        since.find(|(_, what)| watch.on.is_for(*what)).map(|(at, _)| *at)
    }

    pub(super) fn happened(&self, at: Zxid, kind: EventKind) -> bool {
        self.since(Zxid(at.0.saturating_sub(1)))
            .iter()
            .take_while(|(zxid, _)| *zxid == at)
            .any(|(_, what)| what.told_as() == kind)
    }

    /// Whether it exists at `zxid`, as far as its creations and deletions tell.
    pub(super) fn exists_at(&self, zxid: Zxid) -> bool {
        self.changes
            .iter()
            .rev()
            .skip_while(|(at, _)| *at > zxid)
            .find(|(_, what)| matches!(what, What::Created | What::Deleted))
            .is_some_and(|(_, what)| *what == What::Created)
    }
}

impl Client {
    pub(super) fn forget(&mut self, me: u32, znodes: &mut BTreeMap<Arc<str>, Znode>) {
        for path in self.armed.keys() {
            if let Some(znode) = znodes.get_mut(path) {
                znode.watchers.retain(|watcher| *watcher != me);
            }
        }
        let asked = std::mem::take(&mut self.asked);
        *self = Self { asked, tells_calls: self.tells_calls, ..Self::default() };
    }

    pub(super) fn disconnected(&mut self) {
        self.connected_at_ns = None;
        self.is_armed = false;
        self.drop_given_up();
        for due in &mut self.lasting_due {
            due.missed = true;
        }
        for watch in self.armed.values_mut().flat_map(Armed::watches_mut) {
            watch.reconnected = true;
        }
    }

    /// Whether events for this path need no one-shot watch.
    pub(super) fn is_exempt(&self, path: &Arc<str>) -> bool {
        !self.tells_calls
            || self.uncertain.contains(path)
            || self.lasting.iter().any(|lasting| is_at_or_below(path, &lasting.path))
    }

    /// Notes that a lasting watch is for this, unless it is not or that is noted already.
    pub(super) fn lasting_changed(
        &mut self,
        path: &Arc<str>,
        at: Zxid,
        kind: EventKind,
        now_ns: u64,
    ) {
        let is_owed = |lasting: &Lasting| at > lasting.since && lasting.is_for(path, kind);
        let is_noted = |due: &LastingDue| due.at == at && due.kind == kind && due.path == *path;
        if self.lasting.iter().any(is_owed) && !self.lasting_due.iter().any(is_noted) {
            self.lasting_due.push(LastingDue {
                at,
                since_ns: now_ns,
                path: Arc::clone(path),
                kind,
                missed: !self.is_armed,
            });
        }
    }

    /// Without a connection, watches that were given up are gone: nobody will arm them again.
    pub(super) fn drop_given_up(&mut self) {
        self.lasting.retain(|lasting| !lasting.given_up);
        let lasting = &self.lasting;
        self.lasting_due
            .retain(|due| lasting.iter().any(|lasting| lasting.is_for(&due.path, due.kind)));
    }

    /// The lasting watch that is owed this, unless nobody can demand it any more.
    pub(super) fn demanded_lasting(&self, due: &LastingDue) -> Option<&Lasting> {
        // One that was left since then owes it no more than one that never was.
        let is_owed =
            |lasting: &&Lasting| due.at > lasting.since && lasting.is_for(&due.path, due.kind);
        let mut owed = self.lasting.iter().filter(is_owed);
        owed.find(|lasting| !self.uncertain.contains(&lasting.path))
    }

    /// Takes the watches that an event uses up.
    pub(super) fn take(&mut self, path: &Arc<str>, kind: EventKind) -> [Option<Watch>; 2] {
        let Some(armed) = self.armed.get_mut(path) else { return [None, None] };
        let data = match kind {
            EventKind::ChildrenChanged => None,
            EventKind::Created | EventKind::DataChanged | EventKind::Deleted => armed.data.take(),
        };
        let children = match kind {
            EventKind::ChildrenChanged | EventKind::Deleted => armed.children.take(),
            EventKind::Created | EventKind::DataChanged => None,
        };
        [data, children]
    }

    /// The watch that is due, unless nobody can demand it any more.
    pub(super) fn demanded(&self, due: &Due) -> Option<&Watch> {
        let watch = self.armed.get(&due.path)?.watches().find(|watch| watch.on == due.on)?;
        let is_void = watch.reconnected && watch.given_up || self.uncertain.contains(&due.path);
        (!is_void).then_some(watch)
    }

    pub(super) fn no_longer_due(&mut self, path: &Arc<str>, on: On) -> Option<Zxid> {
        let index = self.due.iter().position(|due| due.path == *path && due.on == on)?;
        Some(self.due.swap_remove(index).at)
    }
}
