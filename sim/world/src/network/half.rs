//! Connections: what each of the two machines knows, and what is on its way between them.
//!
//! Holds: of one half's outgoing segments at most the first is due; the rest wait behind it, so
//! that nothing overtakes.

use super::endpoint::Item;
use super::{CONNECT_NS_MAX, RETRANSMIT_NS_MAX, WINDOW_BYTES};
use crate::node::Node;
use crate::queue::Due;
use crate::scenario::Interpreter;
use crate::slab::Id;
use crate::world::World;
use bytes::Bytes;
use mailstorm_platform::{Address, CloseReason, ConnectionId};
use mailstorm_record::Happening;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

/// One machine's side of a connection.
pub(crate) struct Half {
    /// The endpoint that owns it; gone if the process is.
    pub(crate) endpoint: Id,
    pub(crate) node: usize,
    pub(crate) to: usize,
    /// The other side; none before it has answered, or when its machine has forgotten it.
    pub(crate) peer: Option<Id>,
    pub(crate) state: State,
    outgoing: VecDeque<Segment>,
    /// Bytes of data among them.
    pub(crate) backlog: usize,
    /// What the first of them waits for.
    waits: Waits,
    /// When the last of them arrives, at the earliest.
    last_at: u64,
    /// Bytes taken for the process, which it has not taken yet.
    pub(crate) unread: usize,
    /// Whether the process takes none at the moment.
    pub(crate) is_held: bool,
    /// What came for a process that takes none.
    pub(crate) parked: VecDeque<Item>,
    /// When its machine gives up, unless it hears something.
    give_up_at: Option<u64>,
    /// The earliest time for which the queue knows of that.
    queued_at: Option<u64>,
    /// Whether both sides put checksums on what they send.
    is_checksummed: bool,
    /// The address connected to, and whether this is the side that connected.
    pub(crate) listener: Address,
    is_caller: bool,
    /// In a full recording, the interpreter of what both sides send.
    interpreter: Option<Rc<RefCell<Box<dyn Interpreter>>>>,
}

/// How far a half is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It has connected and not been answered.
    Connecting,
    /// Both sides know of it.
    Open,
    /// Its owner has closed it, or died: what is outgoing is still sent.
    Shut,
    /// It is over, and its owner is yet to be notified.
    Over,
}

/// What a half's first outgoing segment waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    /// There is none.
    Empty,
    /// Its time.
    Time,
    /// The link to heal, since then.
    Link { since: u64 },
    /// The other process to take what it was sent.
    Window,
}

struct Segment {
    at: u64,
    message: u64,
    body: Body,
}

enum Body {
    Syn { port: u16 },
    SynAck,
    Data(Bytes),
    Fin,
    Reset,
}

impl World {
    fn new_half(&mut self, endpoint: Id, node: usize, to: usize, listener: Address) -> Id {
        self.network.halves.insert(Half {
            endpoint,
            node,
            to,
            peer: None,
            state: State::Connecting,
            outgoing: VecDeque::new(),
            backlog: 0,
            waits: Waits::Empty,
            last_at: 0,
            unread: 0,
            is_held: false,
            parked: VecDeque::new(),
            give_up_at: None,
            queued_at: None,
            is_checksummed: false,
            listener,
            is_caller: true,
            interpreter: None,
        })
    }

    /// An endpoint connects to an address.
    pub(crate) fn connect(&mut self, endpoint: Id, node: usize, address: &Address) -> Id {
        let target = address
            .0
            .rsplit_once(':')
            .and_then(|(host, port)| Some((self.node_named(host)?, port.parse::<u16>().ok()?)));
        let to = target.map_or(node, |(to, _)| to);
        let id = self.new_half(endpoint, node, to, address.clone());
        if let Some((to, port)) = target {
            let is_checksummed = self.is_checksummed(node, to, port);
            let half = self.network.halves.get_mut(id).expect("it was just put there");
            half.is_checksummed = is_checksummed;
        }
        if self.judge.is_full() {
            let interpreter = self.scenario.interpreter(&address.0);
            let half = self.network.halves.get_mut(id).expect("it was just put there");
            half.interpreter = interpreter.map(|interpreter| Rc::new(RefCell::new(interpreter)));
        }
        match target {
            Some((_, port)) => {
                self.send_segment(id, Body::Syn { port });
                self.expect_answer(id, CONNECT_NS_MAX);
            }
            // A name that means nothing: the resolver says so.
            None => self.queue.push(self.now + 100_000, Due::Refused(id)),
        }
        id
    }

    /// Whether these two put checksums on what they send each other over a connection to this port.
    fn is_checksummed(&self, from: usize, to: usize, port: u16) -> bool {
        let system = |node: usize| self.nodes.get(node).and_then(Node::system);
        let common = system(from).filter(|of| system(to) == Some(*of));
        common.is_some_and(|of| self.systems[of].checksummed_ports().contains(&port))
    }

    /// An owner sends data.
    pub(crate) fn send(&mut self, id: Id, bytes: Bytes) {
        let Some(half) = self.network.halves.get_mut(id) else { return };
        if matches!(half.state, State::Shut | State::Over) || bytes.is_empty() {
            return;
        }
        half.backlog += bytes.len();
        self.send_segment(id, Body::Data(bytes));
    }

    /// An owner closes, after what it has sent.
    pub(crate) fn close(&mut self, id: Id) {
        let Some(half) = self.network.halves.get_mut(id) else { return };
        half.parked.clear();
        match half.state {
            State::Open => {
                half.state = State::Shut;
                self.send_segment(id, Body::Fin);
            }
            State::Connecting | State::Over => self.free(id),
            State::Shut => {}
        }
    }

    fn send_segment(&mut self, id: Id, body: Body) {
        let Self { network, queue, faults, judge, nodes, now, .. } = self;
        network.message += 1;
        let message = network.message;
        let half = network.halves.get_mut(id).expect("whoever sends looked it up");
        let link = &mut network.links[half.node * network.nodes + half.to];
        let bytes = match &body {
            Body::Data(bytes) => bytes.len(),
            _ => 0,
        };
        let passage = link.send(*now, bytes, |fault| faults.effective(fault));
        half.last_at = half.last_at.max(passage.at);
        if let (true, Body::Data(data)) = (judge.is_full(), &body)
            && let (Some(from), Some(to)) = (nodes.get(half.node), nodes.get(half.to))
        {
            let interpreter = half.interpreter.as_ref();
            let label = interpreter.and_then(|i| i.borrow_mut().words(half.is_caller, data));
            let label = label.map_or_else(|| undecoded(half), Into::into);
            let to = to.spec.name.clone();
            let happening = Happening::Sent { message, to, bytes, label };
            judge.record_only(*now, from.spec.name.clone(), happening);
        }
        match (body, passage.split) {
            (Body::Data(mut bytes), Some(split)) => {
                let rest = bytes.split_off(split);
                let first = Segment { at: half.last_at, message, body: Body::Data(bytes) };
                half.outgoing.push_back(first);
                let at = half.last_at + link.base_ns() / 4;
                half.last_at = at;
                half.outgoing.push_back(Segment { at, message, body: Body::Data(rest) });
            }
            (body, _) => half.outgoing.push_back(Segment { at: half.last_at, message, body }),
        }
        if half.waits == Waits::Empty {
            half.waits = Waits::Time;
            queue.push(half.outgoing[0].at, Due::Arrival(id));
        }
    }

    /// Whether nothing gets from one machine to another at the moment.
    fn is_cut(&mut self, from: usize, to: usize) -> bool {
        let Self { network, nodes, faults, .. } = self;
        if network.is_whole {
            return false;
        }
        let mut cut = false;
        let link = &network.links[from * network.nodes + to];
        // A machine hears itself whatever the network does.
        let by_link = if from == to { &[][..] } else { &link.cut_by[..] };
        let dark = |node: usize| nodes.get(node).map_or(&[][..], |n| &n.dark_by[..]);
        for fault in by_link.iter().chain(dark(from)).chain(dark(to)) {
            faults.effective(*fault);
            cut = true;
        }
        cut
    }

    /// A half that hears nothing gives up after a while.
    fn expect_answer(&mut self, id: Id, within_ns: u64) {
        let now = self.now;
        let Some(half) = self.network.halves.get_mut(id) else { return };
        let at = *half.give_up_at.get_or_insert(now + within_ns);
        if half.queued_at.is_none_or(|queued| at < queued) {
            half.queued_at = Some(at);
            self.queue.push(at, Due::GiveUp(id));
        }
    }

    /// A half's time to give up may have come.
    pub(crate) fn give_up_on(&mut self, id: Id) {
        let Some(half) = self.network.halves.get_mut(id) else { return };
        if half.queued_at.is_some_and(|queued| queued > self.now) {
            return;
        }
        half.queued_at = None;
        match half.give_up_at {
            Some(at) if at <= self.now => self.half_ends(id, CloseReason::TimedOut),
            Some(at) => {
                half.queued_at = Some(at);
                self.queue.push(at, Due::GiveUp(id));
            }
            None => {}
        }
    }

    /// The first outgoing segment of a half has reached the other machine.
    pub(crate) fn arrival(&mut self, id: Id) {
        let Some(half) = self.network.halves.get(id) else { return };
        if half.outgoing.is_empty() {
            // It broke while something was on its way.
            return;
        }
        let (node, to) = (half.node, half.to);
        if self.is_cut(node, to) {
            let since = self.now;
            self.network.halves.get_mut(id).expect("it is there").waits = Waits::Link { since };
            self.network.link(node, to).waiting.push(id);
            self.expect_answer(id, RETRANSMIT_NS_MAX);
            return;
        }
        if !self.has_room(id) {
            self.network.halves.get_mut(id).expect("it is there").waits = Waits::Window;
            return;
        }
        let half = self.network.halves.get_mut(id).expect("it is there");
        let segment = half.outgoing.pop_front().expect("something is outgoing: checked above");
        match half.outgoing.front() {
            Some(next) => {
                let at = next.at.max(self.now);
                half.waits = Waits::Time;
                self.queue.push(at, Due::Arrival(id));
            }
            None => half.waits = Waits::Empty,
        }
        match segment.body {
            Body::Syn { port } => self.called(id, port),
            Body::SynAck => self.answered(id),
            Body::Data(bytes) => self.data_arrives(id, segment.message, bytes),
            Body::Fin => self.peer_ends(id, CloseReason::Closed),
            Body::Reset => self.peer_ends(id, CloseReason::Reset),
        }
        // Its acknowledgement may not get back.
        if self.network.halves.get(id).is_some_and(|h| h.state != State::Connecting)
            && self.is_cut(to, node)
        {
            self.expect_answer(id, RETRANSMIT_NS_MAX);
        }
        self.free_if_done(id);
    }

    /// Whether the other machine takes what comes next.
    fn has_room(&self, id: Id) -> bool {
        let half = self.network.halves.get(id).expect("whoever asks looked it up");
        let is_data = matches!(half.outgoing.front(), Some(Segment { body: Body::Data(_), .. }));
        let peer = half.peer.and_then(|peer| self.network.halves.get(peer));
        !is_data || peer.is_none_or(|peer| peer.unread < WINDOW_BYTES)
    }

    /// A connection request arrives.
    fn called(&mut self, caller: Id, port: u16) {
        let half = self.network.halves.get(caller).expect("the call came from it");
        let (from, node, address) = (half.node, half.to, half.listener.clone());
        let interpreter = half.interpreter.clone();
        let is_checksummed = half.is_checksummed;
        let listener = match self.nodes.get(node) {
            Some(machine) => machine.listeners.iter().find(|l| l.0 == port).map(|l| l.1),
            None => None,
        };
        let Some(endpoint) = listener else {
            let at = self.now + self.network.link(node, from).base_ns();
            self.queue.push(at, Due::Refused(caller));
            return;
        };
        let id = self.new_half(endpoint, node, from, address);
        let half = self.network.halves.get_mut(id).expect("just made");
        half.peer = Some(caller);
        half.state = State::Open;
        half.is_caller = false;
        half.is_checksummed = is_checksummed;
        half.interpreter = interpreter;
        self.network.halves.get_mut(caller).expect("the call came from it").peer = Some(id);
        self.send_segment(id, Body::SynAck);
        self.put(endpoint, Item::Accepted { half: id });
    }

    /// A connection request was answered.
    fn answered(&mut self, id: Id) {
        let peer = self.network.halves.get(id).and_then(|half| half.peer);
        match peer.and_then(|peer| self.network.halves.get_mut(peer).map(|half| (peer, half))) {
            Some((peer, half)) if half.state == State::Connecting => {
                half.state = State::Open;
                half.give_up_at = None;
                let endpoint = half.endpoint;
                self.put(endpoint, Item::Connected { half: peer });
            }
            Some(_) => {}
            None => self.tell_unknown(id),
        }
    }

    fn data_arrives(&mut self, id: Id, message: u64, bytes: Bytes) {
        let half = self.network.halves.get_mut(id).expect("the data came from it");
        half.backlog -= bytes.len();
        let (node, to, peer) = (half.node, half.to, half.peer);
        let is_checksummed = half.is_checksummed;
        let Self { network, faults, .. } = self;
        let link = network.link(node, to);
        let bytes = link.carry(bytes, is_checksummed, |fault| faults.effective(fault));
        let Some(peer) = peer else { return self.tell_unknown(id) };
        let Some(half) = self.network.halves.get_mut(peer) else { return self.tell_unknown(id) };
        if matches!(half.state, State::Shut | State::Over) {
            return;
        }
        half.unread += bytes.len();
        let endpoint = half.endpoint;
        self.judge.delivered(self.now, node, to, &bytes);
        if self.judge.is_full()
            && let (Some(_), Some(to)) = (self.nodes.get(node), self.nodes.get(to))
        {
            let name = to.spec.name.clone();
            self.judge.record_only(self.now, name, Happening::Delivered { message });
        }
        self.put(endpoint, Item::Data { half: peer, bytes });
    }

    /// The other machine answers that it does not know this connection.
    fn tell_unknown(&mut self, id: Id) {
        let half = self.network.halves.get(id).expect("whoever tells looked it up");
        let (node, to) = (half.node, half.to);
        if !self.is_cut(to, node) {
            let at = self.now + self.network.link(to, node).base_ns();
            self.queue.push(at, Due::Unknown(id));
        }
    }

    pub(crate) fn unknown(&mut self, id: Id) {
        self.half_ends(id, CloseReason::Reset);
    }

    pub(crate) fn refused(&mut self, id: Id) {
        let Some(half) = self.network.halves.get(id) else { return };
        let (node, to) = (half.node, half.to);
        if half.state == State::Connecting && !self.is_cut(to, node) {
            self.half_ends(id, CloseReason::Refused);
        }
    }

    /// The peer closed or died, and this came after everything it had sent.
    fn peer_ends(&mut self, id: Id, reason: CloseReason) {
        if let Some(peer) = self.network.halves.get(id).and_then(|half| half.peer) {
            self.half_ends(peer, reason);
        }
    }

    /// A machine learns, or decides, that a connection is over.
    fn half_ends(&mut self, id: Id, reason: CloseReason) {
        let Some(half) = self.network.halves.get_mut(id) else { return };
        match half.state {
            State::Over => {}
            State::Shut => self.free(id),
            State::Connecting | State::Open => {
                half.state = State::Over;
                half.outgoing.clear();
                half.backlog = 0;
                half.give_up_at = None;
                let endpoint = half.endpoint;
                self.put(endpoint, Item::Closed { half: id, reason });
            }
        }
    }

    /// Forgets a half whose owner has closed it, once everything is sent.
    fn free_if_done(&mut self, id: Id) {
        let done = |h: &Half| h.state == State::Shut && h.outgoing.is_empty();
        if self.network.halves.get(id).is_some_and(done) {
            self.free(id);
        }
    }

    pub(crate) fn free(&mut self, id: Id) {
        let Some(peer) = self.network.halves.remove(id).and_then(|half| half.peer) else { return };
        if let Some(half) = self.network.halves.get_mut(peer) {
            half.peer = None;
            // Whatever it still sends is now answered by `Unknown`; it need not wait for room.
            self.room_made(peer);
        }
    }

    /// A process has taken bytes: what waited for that goes on. `sender` is the half that may send.
    pub(crate) fn room_made(&mut self, sender: Id) {
        let Some(half) = self.network.halves.get_mut(sender) else { return };
        if half.waits == Waits::Window {
            half.waits = Waits::Time;
            self.queue.push(self.now, Due::Arrival(sender));
        }
    }

    /// A half, if it is still known.
    pub(crate) fn half(&self, id: Id) -> Option<&Half> {
        self.network.halves.get(id)
    }

    /// Bytes that an owner sent and the other machine has not taken yet.
    pub(crate) fn backlog(&self, id: Id) -> usize {
        self.half(id).map_or(0, |half| half.backlog)
    }

    /// The half at the other end.
    pub(crate) fn peer_of(&self, id: Id) -> Option<Id> {
        self.network.halves.get(id).and_then(|half| half.peer)
    }

    /// Links were cut or let go of, machines lost power or got it back.
    pub(crate) fn network_changed(&mut self) {
        let Self { network, nodes, .. } = self;
        let links_well = network.links.iter().all(|link| link.cut_by.is_empty());
        network.is_whole = links_well && nodes.iter().all(Node::has_power);
    }

    /// A direction may have healed: what waited for it is sent again, after a while.
    pub(crate) fn link_changed(&mut self, from: usize, to: usize) {
        let dark = |w: &Self, n: usize| w.nodes.get(n).is_some_and(|n| !n.has_power());
        if dark(self, from) || dark(self, to) || !self.network.link(from, to).cut_by.is_empty() {
            return;
        }
        let now = self.now;
        for id in std::mem::take(&mut self.network.link(from, to).waiting) {
            let Some(half) = self.network.halves.get_mut(id) else { continue };
            let Waits::Link { since } = half.waits else { continue };
            half.waits = Waits::Time;
            let at = self.network.link(from, to).retry_at(now, now - since);
            self.queue.push(at, Due::Arrival(id));
        }
        // Acknowledgements get through again, in both directions if the other one is well.
        if self.network.link(to, from).cut_by.is_empty() {
            let between = |h: &Half| (h.node, h.to) == (from, to) || (h.node, h.to) == (to, from);
            for id in self.network.halves.ids(between) {
                let half = self.network.halves.get_mut(id).expect("its id was just found");
                if half.state != State::Connecting {
                    half.give_up_at = None;
                }
            }
        }
    }

    /// A connection breaks for both sides; what is on its way is lost.
    pub(crate) fn reset(&mut self, id: Id) {
        let peer = self.peer_of(id);
        for id in [Some(id), peer].into_iter().flatten() {
            let Some(half) = self.network.halves.get_mut(id) else { continue };
            if half.state != State::Connecting {
                half.outgoing.clear();
                self.half_ends(id, CloseReason::Reset);
            }
        }
    }

    /// The ids of a node's own halves of all its open connections.
    pub(crate) fn connections_of(&self, node: usize) -> Vec<Id> {
        self.network.halves.ids(|h| h.node == node && h.state == State::Open)
    }

    /// The owner of a half is dead. Its machine, if it is there, tells the peer, after whatever of
    /// the data it had taken still leaves.
    pub(crate) fn orphan(&mut self, id: Id, told: bool) {
        let Some(half) = self.network.halves.get_mut(id) else { return };
        half.parked.clear();
        if !told || matches!(half.state, State::Connecting | State::Over) {
            return self.free(id);
        }
        if half.state == State::Shut {
            return;
        }
        half.state = State::Shut;
        let link = &mut self.network.links[half.node * self.network.nodes + half.to];
        if link.coin() {
            let kept = link.still_arriving(half.outgoing.len()).max(1);
            half.outgoing.truncate(kept);
        }
        self.send_segment(id, Body::Reset);
    }

    /// The connection's number, as its owner knows it.
    pub(crate) fn connection(id: Id) -> ConnectionId {
        ConnectionId(id.pack())
    }
}

/// The words for bytes without an interpreter: who sent them.
fn undecoded(half: &Half) -> Arc<str> {
    let direction = if half.is_caller { "to" } else { "from" };
    format!("undecoded, {direction} {}", half.listener.0).into()
}
