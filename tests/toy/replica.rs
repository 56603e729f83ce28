//! A primary with one backup, as a core that the host's own loop drives.
//!
//! Holds: a primary acknowledges a value alone only while no backup may take its place; the backup
//! may do so once the primary has it on disk that it acknowledges nothing alone any more. Whoever
//! takes over raises the number, and who hears of a higher number than its own gives up.
//! Start at [`Replica::heard`].

use bytes::Bytes;
use mailstorm_shared::facts::{ApplicationFact, Told};
use mailstorm_shared::machine::{
    Address, Bounds, ConnectionId, Core, CoreError, DialId, FileOp, Framing, Input, Lane, Output,
    Port, PortId, Recovery, Start, Writes,
};
use mailstorm_shared::{Instant, Millis, Now, StateHasher};
use std::collections::VecDeque;

const BEAT_EVERY: Millis = Millis(100);
/// For how long a backup hears nothing before it takes over.
const SILENCE_MAX: Millis = Millis(1_000);
const WAITING_MAX: usize = 64;
const FILE: &str = "state";
/// The first byte of what a client asks and is answered; below it are the roles.
pub(crate) const ADD: u8 = 9;

/// What a replica is, as it says to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// A backup that may miss acknowledged values.
    Follows,
    /// A backup that has them all, and may take over.
    InStep,
    /// A primary that may acknowledge alone.
    LeadsAlone,
    /// A primary that acknowledges what the backup has.
    Leads,
}

/// The roles, with the names of the facts that tell of them and their words.
pub(crate) const ROLES: [(Role, &str, &str); 4] = [
    (Role::Follows, "follows", "is a backup that may miss values"),
    (Role::InStep, "in_step", "is a backup that may take over"),
    (Role::LeadsAlone, "leads_alone", "is the primary, without a backup"),
    (Role::Leads, "leads", "is the primary, with a backup"),
];

/// What a replica has on disk and tells the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State {
    role: Role,
    /// The fencing number of the primary.
    number: u64,
    value: u64,
}

impl State {
    fn parse(frame: &[u8]) -> Option<Self> {
        let (first, number, value) = parse(frame)?;
        Some(Self { role: ROLES.get(usize::from(first))?.0, number, value })
    }

    fn frame(self) -> Bytes {
        frame(self.role as u8, self.number, self.value)
    }
}

/// A message with its length before it.
pub(crate) fn frame(first: u8, number: u64, value: u64) -> Bytes {
    let length = 17_u32.to_be_bytes();
    [&length[..], &[first], &number.to_be_bytes(), &value.to_be_bytes()].concat().into()
}

/// The parts of a message's body.
pub(crate) fn parse(body: &[u8]) -> Option<(u8, u64, u64)> {
    let (first, numbers) = body.split_first()?;
    let (number, value) = numbers.split_at_checked(8)?;
    let integer = |bytes: &[u8]| Some(u64::from_be_bytes(bytes.try_into().ok()?));
    Some((*first, integer(number)?, integer(value)?))
}

/// A replica before its start.
pub(crate) struct Starting {
    pub(crate) here: Address,
    pub(crate) other: Address,
    /// Whether it is the primary of the first number.
    pub(crate) is_first: bool,
    /// The planted mistake: a primary acknowledges before the backup has the value.
    pub(crate) is_eager: bool,
    pub(crate) found: Option<Bytes>,
}

impl Start for Starting {
    type Core = Replica;

    fn is_ours(name: &str) -> bool {
        name.starts_with(FILE)
    }

    fn ports(&self) -> Vec<Port> {
        let bounds = Bounds { backlog_bytes_held: 4_096, backlog_bytes_max: 65_536 };
        vec![Port {
            listen: Some(self.here.clone()),
            framing: Framing::Length { bytes_max: 64 },
            bounds,
        }]
    }

    fn listed(&mut self, names: Vec<String>) -> Result<Recovery, CoreError> {
        let is_new = !names.iter().any(|name| name == FILE);
        Ok(if is_new { Recovery::Repair(Vec::new()) } else { Recovery::Read(FILE.to_owned()) })
    }

    fn read(&mut self, _: &str, content: Option<Bytes>) -> Result<Recovery, CoreError> {
        self.found = Some(content.ok_or("state cannot be read: replace the disk")?);
        // A process that was killed may have left it in the page cache alone.
        Ok(Recovery::Repair(vec![FileOp::Sync { name: FILE.into() }, FileOp::SyncFolder]))
    }

    fn start(
        self,
        now: Now,
        _: u64,
        _: &[Option<Address>],
        outputs: &mut Vec<Output>,
    ) -> Result<Replica, CoreError> {
        let first = if self.is_first { (Role::LeadsAlone, 1) } else { (Role::Follows, 0) };
        let state = match &self.found {
            Some(content) => State::parse(content).ok_or("state is damaged: restore it")?,
            None => State { role: first.0, number: first.1, value: 0 },
        };
        let Self { other, is_eager, .. } = self;
        let (heard, waiting, after) = (now.monotonic, VecDeque::new(), Vec::new());
        let replica = Replica {
            other,
            is_eager,
            state,
            writing: None,
            is_dirty: false,
            durable: state,
            held: 0,
            heard,
            link: None,
            dials: 0,
            is_dialling: false,
            waiting,
            after,
        };
        outputs.push(replica.told());
        outputs.push(Output::Wake { at: Some(now.monotonic + BEAT_EVERY) });
        Ok(replica)
    }
}

/// One of the two.
pub(crate) struct Replica {
    other: Address,
    is_eager: bool,
    state: State,
    /// What the disk is given, with what is told when it has it.
    writing: Option<(State, Vec<Output>)>,
    is_dirty: bool,
    durable: State,
    /// Up to which value the backup has them, of this number.
    held: u64,
    heard: Instant,
    link: Option<ConnectionId>,
    dials: u64,
    is_dialling: bool,
    /// Who waits for which value.
    waiting: VecDeque<(ConnectionId, u64)>,
    /// What is told as soon as the disk has what it rests on.
    after: Vec<Output>,
}

impl Replica {
    fn told(&self) -> Output {
        let State { role, number, value } = self.state;
        let (_, name, words) = ROLES[role as usize];
        fact(name, number, value, &format!("{words}, number {number}, value {value}"))
    }

    fn change(&mut self, state: State, outputs: &mut Vec<Output>) {
        let before = std::mem::replace(&mut self.state, state);
        if (before.role, before.number) != (state.role, state.number) {
            self.after.push(self.told());
        }
        if before.number != state.number {
            self.held = 0;
            outputs
                .extend(self.waiting.drain(..).map(|(connection, _)| Output::Close { connection }));
        }
        if before != state {
            self.is_dirty = true;
            outputs.push(Output::Disk { lane: Lane::Log });
        }
    }

    fn leads(&self) -> bool {
        matches!(self.state.role, Role::LeadsAlone | Role::Leads)
    }

    /// The other says what it has on disk.
    fn heard(&mut self, other: State, now: Instant, outputs: &mut Vec<Output>) {
        let State { role, number, value } = self.state;
        if other.number < number {
            return;
        }
        self.heard = now;
        if other.number == number && self.leads() {
            self.held = self.held.max(other.value);
            return self.change(State { role: Role::Leads, ..self.state }, outputs);
        }
        let is_paired = other.role == Role::Leads;
        let role = if role == Role::InStep || is_paired { Role::InStep } else { Role::Follows };
        let next = if other.number > number {
            State { role: if is_paired { Role::InStep } else { Role::Follows }, ..other }
        } else {
            State { role, number, value: value.max(other.value) }
        };
        self.change(next, outputs);
    }

    fn asked(&mut self, connection: ConnectionId, outputs: &mut Vec<Output>) {
        if !self.leads() || self.waiting.len() >= WAITING_MAX {
            return outputs.push(Output::Close { connection });
        }
        let value = self.state.value + 1;
        self.waiting.push_back((connection, value));
        self.change(State { value, ..self.state }, outputs);
    }

    fn acknowledge(&mut self, outputs: &mut Vec<Output>) {
        let State { role, number, value } = self.durable;
        if number != self.state.number {
            return;
        }
        let is_alone = (role, self.state.role) == (Role::LeadsAlone, Role::LeadsAlone);
        let up_to = if is_alone || self.is_eager { value } else { value.min(self.held) };
        while let Some(&(connection, value)) = self.waiting.front().filter(|(_, v)| *v <= up_to) {
            self.waiting.pop_front();
            let words = format!("acknowledges value {value}, number {number}");
            outputs.push(fact("acknowledged", number, value, &words));
            outputs.push(Output::Send { connection, bytes: frame(ADD, number, value) });
        }
    }

    fn beat(&self, outputs: &mut Vec<Output>) {
        let bytes = self.durable.frame();
        outputs.extend(self.link.map(|connection| Output::Send { connection, bytes }));
    }

    fn tick(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        if self.state.role == Role::InStep && now.since(self.heard) > SILENCE_MAX {
            let number = self.state.number + 1;
            self.change(State { role: Role::LeadsAlone, number, ..self.state }, outputs);
        }
        if self.link.is_none() && !self.is_dialling {
            (self.dials, self.is_dialling) = (self.dials + 1, true);
            let (dial, address) = (DialId(self.dials), self.other.clone());
            outputs.push(Output::Dial { dial, port: PortId(0), address });
        }
        self.beat(outputs);
        outputs.push(Output::Wake { at: Some(now + BEAT_EVERY) });
    }
}

impl Core for Replica {
    fn step(&mut self, now: Now, inputs: &mut VecDeque<Input>, outputs: &mut Vec<Output>) {
        while let Some(input) = inputs.pop_front() {
            match input {
                Input::Tick => self.tick(now.monotonic, outputs),
                Input::Dialled { connection, .. } => {
                    (self.link, self.is_dialling) = (Some(connection), false)
                }
                Input::DialFailed { .. } => self.is_dialling = false,
                Input::Frame { connection, frame } => match (parse(&frame), State::parse(&frame)) {
                    (_, Some(state)) => self.heard(state, now.monotonic, outputs),
                    (Some((ADD, ..)), _) => self.asked(connection, outputs),
                    _ => outputs.push(Output::Close { connection }),
                },
                Input::Malformed { connection, .. } => outputs.push(Output::Close { connection }),
                Input::Closed { connection, .. } | Input::Overrun { connection, .. } => {
                    self.link = self.link.filter(|link| *link != connection);
                }
                Input::DiskDone { .. } => {
                    let (durable, told) = self.writing.take().expect("only what was given is done");
                    self.durable = durable;
                    outputs.extend(told);
                    self.beat(outputs);
                }
                Input::Opened { .. } | Input::Drawn { .. } => {}
            }
            self.acknowledge(outputs);
        }
    }

    fn take_writes(&mut self, lane: Lane, ops: &mut Vec<FileOp>) -> Writes {
        if lane != Lane::Log || !std::mem::take(&mut self.is_dirty) {
            return Writes::None;
        }
        self.writing = Some((self.state, std::mem::take(&mut self.after)));
        let (name, to): (std::sync::Arc<str>, _) = ("state.new".into(), FILE.into());
        let bytes = self.state.frame().slice(4..);
        ops.push(FileOp::Write { name: name.clone(), offset: 0, bytes });
        ops.push(FileOp::Sync { name: name.clone() });
        ops.extend([FileOp::Rename { from: name, to }, FileOp::SyncFolder]);
        Writes::Some
    }

    fn glance(&self) -> u64 {
        StateHasher::of(&self.state)
    }

    fn state_hash(&self) -> u64 {
        StateHasher::of(&(self.state, self.durable, self.held, self.waiting.len()))
    }

    fn invariants(&self) {
        assert!(self.durable.number <= self.state.number, "the disk is never ahead of the memory");
        assert!(self.leads() || self.waiting.is_empty(), "only a primary lets clients wait");
    }
}

fn fact(name: &str, number: u64, value: u64, words: &str) -> Output {
    let values = [("number", number.into()), ("value", value.into())];
    let told = Told::new(name, values, words).expect("its facts are short");
    Output::Observe(ApplicationFact::Told(told).into())
}
