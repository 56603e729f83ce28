//! One machine: its process, its clocks, what is wrong with it.

use crate::clock::NodeClock;
use crate::disk::Device;
use crate::scenario::{Membership, NodeSpec};
use crate::slab::Id;
use crate::stream::Stream;
use mailstorm_platform::Address;
use std::net::{IpAddr, Ipv4Addr};

/// A machine.
pub(crate) struct Node {
    pub(crate) spec: NodeSpec,
    /// The system that it is a member of, if any.
    pub(crate) membership: Option<Membership>,
    pub(crate) ip: IpAddr,
    pub(crate) clock: NodeClock,
    pub(crate) entropy: Stream,
    pub(crate) disk: Device,
    pub(crate) life: Life,
    /// How many times a process was started here.
    pub(crate) starts: u32,
    /// Whether this node was ever requested to run something; a spare one is not until then.
    pub(crate) wanted: bool,
    /// Whether a process was requested here, and has not started yet.
    pub(crate) is_asked: bool,
    /// The faults that keep its process down.
    pub(crate) down_by: Vec<usize>,
    /// The faults that keep its machine without power.
    pub(crate) dark_by: Vec<usize>,
    /// The faults that keep its process stopped.
    pub(crate) paused_by: Vec<usize>,
    /// Where its process listens.
    pub(crate) listeners: Vec<(u16, Id, Address)>,
    /// madsim's name for it, once it ran.
    pub(crate) madsim: Option<madsim::task::NodeId>,
    /// How many facts its processes reported that rest on its disk.
    pub(crate) said: u64,
    /// What its process said before it ended by itself.
    pub(crate) last_words: Option<String>,
    /// What its process shows of itself, if it does.
    pub(crate) window: Option<Box<dyn Window>>,
}

/// What a process shows of its state, so that two runs can be compared by more than what they
/// report.
pub trait Window {
    /// A number that changes with what matters most, cheap enough to be read every virtual second;
    /// `None` while there is nothing to see.
    fn glance(&self) -> Option<u64>;
    /// A hash of all there is, whatever it costs.
    fn look(&self) -> Option<u64>;
}

/// What becomes of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// There is none.
    Down,
    /// It runs, or is paused.
    Up,
    /// Its program has come to its end, lawfully.
    Finished,
}

impl Node {
    pub(crate) fn new(
        seed: u64,
        index: usize,
        spec: NodeSpec,
        membership: Option<Membership>,
    ) -> Self {
        let name = spec.name.0.clone();
        let mut clock = Stream::new(seed, &format!("clock {name}"));
        let monotonic_ms = clock.below(1 << 32);
        let wall_error_ms = clock.below(200) as i64 - 100;
        let ppm = clock.below(101) as i32 - 50;
        let last = u8::try_from(index + 1).expect("a topology has fewer than 255 nodes");
        Self {
            ip: IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)),
            clock: NodeClock::new(monotonic_ms, wall_error_ms, ppm),
            entropy: Stream::new(seed, &format!("entropy {name}")),
            disk: Device::new(seed, &name),
            life: Life::Down,
            starts: 0,
            wanted: !spec.spare,
            is_asked: false,
            down_by: Vec::new(),
            dark_by: Vec::new(),
            paused_by: Vec::new(),
            listeners: Vec::new(),
            madsim: None,
            said: 0,
            last_words: None,
            window: None,
            membership,
            spec,
        }
    }

    /// The system that it is a member of, by its place.
    pub(crate) fn system(&self) -> Option<usize> {
        self.membership.map(|membership| membership.system)
    }

    /// Whether its process is there, running or paused.
    pub(crate) fn is_up(&self) -> bool {
        self.life == Life::Up
    }

    /// Whether its process is there and not paused.
    pub(crate) fn runs(&self) -> bool {
        self.is_up() && self.paused_by.is_empty()
    }

    /// Whether the machine has power.
    pub(crate) fn has_power(&self) -> bool {
        self.dark_by.is_empty()
    }

    /// The incarnation that runs, or ran last.
    pub(crate) fn incarnation(&self) -> u32 {
        self.starts.saturating_sub(1)
    }
}
