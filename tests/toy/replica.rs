//! A primary with one backup, as a core that the host's own loop drives.
//!
//! Holds: the primary acknowledges a value once the backup has it on disk. A backup that hears
//! nothing takes over in number 1, and acknowledges alone from then on: what it has is all that was
//! acknowledged, and it takes nothing of number 0 any more. Start at [`Replica::heard`].

use bytes::Bytes;
use mailstorm_scenarios::talk::{decode, encode};
use mailstorm_shared::facts::{ApplicationFact, Looks, Sign, Told, Tone};
use mailstorm_shared::machine::{
    Address, Bounds, ConnectionId, Core, CoreError, DialId, FileOp, Framing, Input, Lane, Loads,
    Output, Port, PortId, Recovery, Start, Writes,
};
use mailstorm_shared::{Instant, Millis, Now, StateHasher};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;

pub(crate) const REPLICAS: [&str; 2] = ["r1", "r2"];
const BEAT_EVERY: Millis = Millis(100);
/// For how long a backup hears nothing before it takes over.
const SILENCE_MAX: Millis = Millis(1_000);
const WAITING_MAX: usize = 64;
const FILE: &str = "state";

/// What a replica has on disk and tells the other. The first replica is the primary of number 0.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) number: u32,
    pub(crate) value: u64,
}

/// A client asks for the next value, which is kept; the other replica has something on disk.
#[derive(Serialize, Deserialize)]
pub(crate) enum Message {
    Add,
    Kept(State),
    Has(State),
}

/// One of the two, before its start and after it.
#[derive(Default)]
pub(crate) struct Replica {
    /// Its place among the two.
    place: usize,
    /// The planted mistake: the primary acknowledges before the backup has the value.
    is_eager: bool,
    state: State,
    writing: Option<State>,
    durable: State,
    is_dirty: bool,
    /// Up to which value the backup has them on disk.
    held: u64,
    heard: Instant,
    link: Option<ConnectionId>,
    dials: u64,
    is_dialling: bool,
    /// Who waits for which value, with the number of the question.
    waiting: VecDeque<(ConnectionId, u64, u64)>,
}

impl Start for Replica {
    type Core = Self;

    fn is_ours(name: &str) -> bool {
        name.starts_with(FILE)
    }

    fn ports(&self) -> Vec<Port> {
        let bounds = Bounds { backlog_bytes_held: 4_096, backlog_bytes_max: 65_536 };
        let framing = Framing::Length { bytes_max: 128 };
        vec![Port { listen: Some(address(self.place)), framing, bounds }]
    }

    fn listed(&mut self, names: Vec<String>) -> Result<Recovery, CoreError> {
        let is_new = !names.iter().any(|name| name == FILE);
        Ok(if is_new { Recovery::Repair(Vec::new()) } else { Recovery::Read(FILE.to_owned()) })
    }

    fn read(&mut self, _: &str, content: Option<Bytes>) -> Result<Recovery, CoreError> {
        let content = content.ok_or("state cannot be read: replace the disk")?;
        self.durable = serde_json::from_slice(&content)?;
        // A process that was killed may have left it in the page cache alone.
        Ok(Recovery::Repair(vec![FileOp::Sync { name: FILE.into() }, FileOp::SyncFolder]))
    }

    fn start(
        self,
        now: Now,
        _: u64,
        _: &[Option<Address>],
        outputs: &mut Vec<Output>,
    ) -> Result<Self, CoreError> {
        outputs.push(self.told());
        outputs.push(Output::Wake { at: Some(now.monotonic + BEAT_EVERY) });
        Ok(Self { state: self.durable, heard: now.monotonic, ..self })
    }
}

impl Replica {
    pub(crate) fn new(place: usize, is_eager: bool) -> Self {
        Self { place, is_eager, ..Self::default() }
    }

    fn leads(&self, state: State) -> bool {
        state.number as usize % 2 == self.place
    }

    /// What it is for good.
    fn told(&self) -> Output {
        let State { number, value } = self.durable;
        let (role, tone) = if self.leads(self.durable) {
            ("leads", Tone::Strong)
        } else {
            ("follows", Tone::Plain)
        };
        let value = format!("number {number} from value {value} on");
        let looks = Looks::default().role(role, number, tone).sign(Sign::Star);
        let looks = looks.row("Replicas", REPLICAS[self.place], role, &value);
        Output::Observe(fact(role, self.durable, &format!("{role} in {value}"), looks).into())
    }

    fn change(&mut self, state: State, outputs: &mut Vec<Output>) {
        if std::mem::replace(&mut self.state, state) != state {
            self.is_dirty = true;
            outputs.push(Output::Disk { lane: Lane::Log });
        }
    }

    /// The other says what it has on disk.
    fn heard(&mut self, other: State, now: Instant, outputs: &mut Vec<Output>) {
        let State { number, value } = self.state;
        if other.number < number {
            return;
        }
        self.heard = now;
        if other.number > number {
            // What only it had nobody was told to be kept.
            let waiting = self.waiting.drain(..);
            outputs.extend(waiting.map(|(connection, ..)| Output::Close { connection }));
            self.change(other, outputs);
        } else if self.leads(self.state) {
            self.held = self.held.max(other.value);
        } else {
            self.change(State { value: value.max(other.value), number }, outputs);
        }
    }

    fn acknowledge(&mut self, outputs: &mut Vec<Output>) {
        let State { number, value } = self.durable;
        let is_alone = number > 0 || self.is_eager;
        let up_to = if is_alone { value } else { value.min(self.held) };
        while let Some(&(connection, ask, value)) = self.waiting.front()
            && value <= up_to
        {
            self.waiting.pop_front();
            let kept = State { number, value };
            let (words, count) = (format!("acknowledges value {value}"), value.to_string());
            let looks = Looks::default().sign(Sign::Dot).row("Counter", "kept", &count, "");
            outputs.push(Output::Observe(fact("acknowledged", kept, &words, looks).into()));
            outputs.push(Output::Send { connection, bytes: encode(ask, Message::Kept(kept)) });
        }
    }

    fn beat(&self, outputs: &mut Vec<Output>) {
        let bytes = encode(0, Message::Has(self.durable));
        outputs.extend(self.link.map(|connection| Output::Send { connection, bytes }));
    }

    fn tick(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        let State { number, value } = self.state;
        if (self.place, number) == (1, 0) && now.since(self.heard) > SILENCE_MAX {
            self.change(State { number: 1, value }, outputs);
        }
        if self.link.is_none() && !self.is_dialling {
            (self.dials, self.is_dialling) = (self.dials + 1, true);
            let (dial, address) = (DialId(self.dials), address(1 - self.place));
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
                Input::Frame { connection, frame } => match decode(&frame) {
                    Some((_, Message::Has(other))) => self.heard(other, now.monotonic, outputs),
                    Some((ask, Message::Add))
                        if self.leads(self.state) && self.waiting.len() < WAITING_MAX =>
                    {
                        let State { number, value } = self.state;
                        self.waiting.push_back((connection, ask, value + 1));
                        self.change(State { number, value: value + 1 }, outputs);
                    }
                    _ => outputs.push(Output::Close { connection }),
                },
                Input::Malformed { connection, .. } => outputs.push(Output::Close { connection }),
                Input::Closed { connection, .. } | Input::Overrun { connection, .. } => {
                    self.link = self.link.filter(|link| *link != connection);
                }
                Input::DiskDone { .. } => {
                    let written = self.writing.take().expect("only what was given is done");
                    let before = std::mem::replace(&mut self.durable, written);
                    outputs.extend((before.number != written.number).then(|| self.told()));
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
        self.writing = Some(self.state);
        // Always as long, so that nothing is left of what a crash has left.
        let state = serde_json::to_string(&self.state).expect("plain data serialises");
        let (new, bytes): (Arc<str>, _) = ("state.new".into(), format!("{state:>64}").into());
        ops.push(FileOp::Write { name: new.clone(), offset: 0, bytes });
        ops.extend(FileOp::replace(&new, &FILE.into()));
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
        assert!(self.leads(self.state) || self.waiting.is_empty(), "only a primary lets wait");
    }

    fn loads(&self, loads: &mut Loads) {
        loads.bounded("clients_waiting", self.waiting.len(), WAITING_MAX);
    }
}

pub(crate) fn address(place: usize) -> Address {
    Address::from(&*format!("{}:1", REPLICAS[place]))
}

/// A fact with the number and the value that it is about.
pub(crate) fn fact(name: &str, of: State, words: &str, looks: Looks) -> ApplicationFact {
    let values = [("number", u64::from(of.number).into()), ("value", of.value.into())];
    let told = Told::new(name, values, words).and_then(|told| told.looking(looks));
    ApplicationFact::Told(told.expect("its facts are short"))
}
