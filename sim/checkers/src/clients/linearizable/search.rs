//! The search for an order of operations on one znode.
//!
//! Owns: the sequential specification of a znode, and the search. Leaves: which operations there
//! are, and on which keys, to the checker.
//! Holds: a verdict is exact; where it would cost too much there is none.
//!
//! Just-in-time linearization (Lowe): the history is read event by event, and all configurations
//! are kept that explain it so far. A configuration is the state of the znode, which of the
//! operations under way have taken effect, and how many of those with unknown outcome. Only when an
//! operation returns must it have taken effect: then every configuration in which it has not is
//! developed, one operation under way after the other, until it has. No configuration left: no
//! order explains the history, and it is this return that cannot be explained.
//!
//! What keeps this small:
//! - An operation that changes nothing (a read, a refusal) takes effect as soon as the state allows
//!   it: doing so later explains nothing more. So only writes branch.
//! - A value that no read ever returns is as good as any other such value. Writes with unknown
//!   outcome that are alike by that are counted, not told apart: it does not matter which of them
//!   took effect.
//! - Of two configurations that differ only in how many unknown writes they have used, the one with
//!   more of them is dropped: whatever comes, the other can do, too.
//! - First a narrower search is made, in which writes that were answered take effect in the order
//!   of their zxids. If it finds an order, that is one; if not, the full search decides.

use mailstorm_shared::Zxid;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Configurations kept at a time, at most. Lower: more histories of many concurrent or unknown
/// writes end as unknown. Higher: they cost more memory, about 100 bytes each.
pub const CONFIGURATIONS_MAX: usize = 50_000;

/// Steps of the search for one znode, at most. About a second.
pub const STEPS_MAX: u64 = 3_000_000;

/// Operations under way at one moment, at most: one bit of a configuration each.
const UNDER_WAY_MAX: usize = u128::BITS as usize;

/// When the search gives up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) configurations_max: usize,
    pub(crate) steps_max: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { configurations_max: CONFIGURATIONS_MAX, steps_max: STEPS_MAX }
    }
}

/// One operation on the znode.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) client: u32,
    /// Its place in the order of events.
    pub(crate) invoked: u64,
    /// Likewise; `None` when it may take effect at any time later, or never returned.
    pub(crate) returned: Option<u64>,
    /// The time of its return.
    pub(crate) at_ns: u64,
    /// Of a write that was done: the zxid that the reply named.
    pub(crate) zxid: Option<Zxid>,
    pub(crate) answer: Answer,
}

/// What an operation's end says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Answer {
    /// It took effect, once, between invocation and return; the version after it, or -1 if not
    /// told.
    Done { write: Write, version: i32 },
    /// It changed nothing, and the znode was like this at some moment between invocation and
    /// return.
    Looked(Look),
    /// It took effect once at some moment after the invocation, or never.
    Maybe(Write),
}

/// A change. A version of -1 is any. A value of `None` is one that no read returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Write {
    Create { value: Option<u64> },
    Delete { version: i32 },
    SetData { version: i32, value: Option<u64> },
}

/// What was seen of the znode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Look {
    Absent,
    /// There, with this value and version where they are known (`None`, -1).
    Present {
        value: Option<u64>,
        version: i32,
    },
    /// There, with another version.
    OtherVersion {
        than: i32,
    },
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let any = |version: &i32| {
            if *version == -1 { "any version".to_owned() } else { format!("version {version}") }
        };
        match self {
            Self::Done { write: Write::Create { .. }, .. } => f.write_str("created it"),
            Self::Done { write: Write::Delete { version }, .. } => {
                write!(f, "deleted it at {}", any(version))
            }
            Self::Done { write: Write::SetData { version, .. }, version: after } => {
                write!(f, "set its data at {}, then at {}", any(version), any(after))
            }
            Self::Looked(Look::Absent) => f.write_str("found none"),
            Self::Looked(Look::Present { value: Some(value), version }) => {
                write!(f, "found it with data {value:#x} at {}", any(version))
            }
            Self::Looked(Look::Present { value: None, version }) => {
                write!(f, "found it at {}", any(version))
            }
            Self::Looked(Look::OtherVersion { than }) => {
                write!(f, "found it at another version than {than}")
            }
            Self::Maybe(_) => f.write_str("no answer"),
        }
    }
}

/// What the search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    Linearizable,
    /// Whatever the order, this operation's return cannot be explained.
    Impossible {
        operation: usize,
    },
    GaveUp,
}

/// Looks for an order of these operations on a znode that does not exist at first. Returns also how
/// many steps it took.
pub(crate) fn judge(operations: &[Operation], bounds: Bounds) -> (Finding, u64) {
    let operations = &without_unread_values(operations);
    let mut narrow = Search::new(operations, bounds, true);
    if narrow.run() == Finding::Linearizable {
        return (Finding::Linearizable, narrow.steps);
    }
    let mut full = Search::new(operations, bounds, false);
    let finding = full.run();
    (finding, narrow.steps + full.steps)
}

/// Makes all values that no read returns the same.
fn without_unread_values(operations: &[Operation]) -> Vec<Operation> {
    let read: BTreeSet<u64> = operations
        .iter()
        .filter_map(|operation| match operation.answer {
            Answer::Looked(Look::Present { value, .. }) => value,
            _ => None,
        })
        .collect();
    let mut operations = operations.to_vec();
    for operation in &mut operations {
        if let Answer::Done { write, .. } | Answer::Maybe(write) = &mut operation.answer
            && let Write::Create { value } | Write::SetData { value, .. } = write
        {
            *value = value.filter(|value| read.contains(value));
        }
    }
    operations
}

/// The znode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Absent,
    Present { version: i32, value: Option<u64> },
}

impl State {
    /// The sequential specification: what a write does to the znode, if it can succeed.
    fn after(self, write: Write) -> Option<Self> {
        match (self, write) {
            (Self::Absent, Write::Create { value }) => Some(Self::Present { version: 0, value }),
            (Self::Present { version, .. }, Write::Delete { version: wanted })
                if wanted == -1 || wanted == version =>
            {
                Some(Self::Absent)
            }
            (Self::Present { version, .. }, Write::SetData { version: wanted, value })
                if wanted == -1 || wanted == version =>
            {
                Some(Self::Present { version: version.wrapping_add(1), value })
            }
            _ => None,
        }
    }

    /// Whether it can be seen like this.
    fn looks_like(self, look: Look) -> bool {
        match (self, look) {
            (Self::Absent, Look::Absent) => true,
            (Self::Present { version, value }, Look::Present { value: seen, version: at }) => {
                (at == -1 || at == version) && (seen.is_none() || seen == value)
            }
            (Self::Present { version, .. }, Look::OtherVersion { than }) => version != than,
            _ => false,
        }
    }

    /// Whether a write that led here can have told this version.
    fn has_version(self, told: i32) -> bool {
        match self {
            Self::Absent => true,
            Self::Present { version, .. } => told == -1 || told == version,
        }
    }
}

/// The state, and which of the operations under way have taken effect.
type Place = (State, u128);

/// How many writes of each unknown class have taken effect.
type Used = Vec<u16>;

/// Configurations, without those that another one outdoes.
#[derive(Debug, Default)]
struct Configurations {
    places: BTreeMap<Place, Vec<Used>>,
    count: usize,
}

impl Configurations {
    /// Adds one, unless there is one that can do whatever it can.
    fn insert(&mut self, place: Place, used: Used) -> bool {
        let at_place = self.places.entry(place).or_default();
        let outdoes = |a: &Used, b: &Used| a.iter().zip(b).all(|(a, b)| a <= b);
        if at_place.iter().any(|other| outdoes(other, &used)) {
            return false;
        }
        let before = at_place.len();
        at_place.retain(|other| !outdoes(&used, other));
        self.count = self.count + 1 + at_place.len() - before;
        at_place.push(used);
        true
    }

    fn into_each(self) -> impl Iterator<Item = (Place, Used)> {
        self.places
            .into_iter()
            .flat_map(|(place, all)| all.into_iter().map(move |used| (place, used)))
    }
}

/// An operation under way.
#[derive(Clone, Copy, Debug)]
struct UnderWay {
    answer: Answer,
    zxid: Option<Zxid>,
}

/// One pass over the history.
struct Search<'a> {
    operations: &'a [Operation],
    bounds: Bounds,
    /// Whether writes take effect in the order of their zxids.
    by_zxid: bool,
    steps: u64,
    /// By slot. Slots are used again.
    under_way: Vec<Option<UnderWay>>,
    slots: BTreeMap<usize, usize>,
    /// The unknown writes, by class, and how many of each have been invoked.
    classes: Vec<Write>,
    invoked: Vec<u16>,
    configurations: Configurations,
}

impl<'a> Search<'a> {
    fn new(operations: &'a [Operation], bounds: Bounds, by_zxid: bool) -> Self {
        let classes: BTreeSet<Write> = operations
            .iter()
            .filter_map(|operation| match operation.answer {
                Answer::Maybe(write) => Some(write),
                _ => None,
            })
            .collect();
        let classes: Vec<Write> = classes.into_iter().collect();
        let mut configurations = Configurations::default();
        configurations.insert((State::Absent, 0), vec![0; classes.len()]);
        Self {
            operations,
            bounds,
            by_zxid,
            steps: 0,
            under_way: Vec::new(),
            slots: BTreeMap::new(),
            invoked: vec![0; classes.len()],
            classes,
            configurations,
        }
    }

    fn run(&mut self) -> Finding {
        let mut events: Vec<(u64, bool, usize)> = Vec::with_capacity(self.operations.len() * 2);
        for (index, operation) in self.operations.iter().enumerate() {
            events.push((operation.invoked, false, index));
            events.extend(operation.returned.map(|returned| (returned, true, index)));
        }
        events.sort_unstable();
        for (_, is_return, index) in events {
            let go_on = if is_return { self.on_return(index) } else { self.on_invoke(index) };
            if let Err(finding) = go_on {
                return finding;
            }
        }
        Finding::Linearizable
    }

    fn on_invoke(&mut self, index: usize) -> Result<(), Finding> {
        let Operation { answer, zxid, .. } = self.operations[index];
        if let Answer::Maybe(write) = answer {
            let class =
                self.classes.binary_search(&write).expect("every unknown write has its class");
            self.invoked[class] = self.invoked[class].saturating_add(1);
            return Ok(());
        }
        let slot = match self.under_way.iter().position(Option::is_none) {
            Some(slot) => slot,
            None => {
                self.under_way.push(None);
                self.under_way.len() - 1
            }
        };
        if slot >= UNDER_WAY_MAX {
            return Err(Finding::GaveUp);
        }
        self.under_way[slot] = Some(UnderWay { answer, zxid });
        self.slots.insert(index, slot);
        if let Answer::Looked(look) = answer {
            for ((state, done), used) in std::mem::take(&mut self.configurations).into_each() {
                let done = if state.looks_like(look) { done | 1 << slot } else { done };
                self.configurations.insert((state, done), used);
            }
        }
        Ok(())
    }

    fn on_return(&mut self, index: usize) -> Result<(), Finding> {
        let slot = self.slots.remove(&index).expect("what returns was invoked");
        let bit = 1 << slot;
        let mut explained = Configurations::default();
        let mut seen = Configurations::default();
        let mut open = Vec::new();
        for ((state, done), used) in std::mem::take(&mut self.configurations).into_each() {
            if done & bit != 0 {
                explained.insert((state, done & !bit), used);
            } else if seen.insert((state, done), used.clone()) {
                open.push(((state, done), used));
            }
        }
        while let Some(((state, done), used)) = open.pop() {
            self.steps += 1;
            let is_too_much = seen.count + explained.count > self.bounds.configurations_max;
            if self.steps > self.bounds.steps_max || is_too_much {
                return Err(Finding::GaveUp);
            }
            self.develop(state, done, &used, |place, used| {
                let (state, done) = place;
                if done & bit != 0 {
                    explained.insert((state, done & !bit), used);
                } else if seen.insert(place, used.clone()) {
                    open.push((place, used));
                }
            });
        }
        self.under_way[slot] = None;
        self.configurations = explained;
        if self.configurations.count == 0 {
            return Err(Finding::Impossible { operation: index });
        }
        Ok(())
    }

    /// Every configuration that one more write leads to.
    fn develop(&self, state: State, done: u128, used: &Used, mut reached: impl FnMut(Place, Used)) {
        let next_zxid = if self.by_zxid { self.next_zxid(done) } else { None };
        for (slot, under_way) in self.under_way.iter().enumerate() {
            let Some(UnderWay { answer: Answer::Done { write, version }, zxid }) = *under_way
            else {
                continue;
            };
            let has_turn = next_zxid.is_none() || zxid == next_zxid;
            if done & 1 << slot == 0
                && has_turn
                && let Some(state) = state.after(write)
                && state.has_version(version)
            {
                reached((state, self.with_looks(state, done | 1 << slot)), used.clone());
            }
        }
        for (class, write) in self.classes.iter().enumerate() {
            if used[class] < self.invoked[class]
                && let Some(state) = state.after(*write)
            {
                let mut used = used.clone();
                used[class] += 1;
                reached((state, self.with_looks(state, done)), used);
            }
        }
    }

    /// The lowest zxid of the writes under way that have not taken effect.
    fn next_zxid(&self, done: u128) -> Option<Zxid> {
        let waiting = self.under_way.iter().enumerate().filter(|(slot, _)| done & 1 << slot == 0);
        waiting.filter_map(|(_, under_way)| under_way.as_ref()?.zxid).min()
    }

    /// Lets everything take effect that changes nothing and fits the state.
    fn with_looks(&self, state: State, mut done: u128) -> u128 {
        for (slot, under_way) in self.under_way.iter().enumerate() {
            if let Some(UnderWay { answer: Answer::Looked(look), .. }) = under_way
                && state.looks_like(*look)
            {
                done |= 1 << slot;
            }
        }
        done
    }
}
