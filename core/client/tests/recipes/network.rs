//! The network between the clients' processes and the server, and the server itself.
//!
//! Every message takes [`LATENCY`]. A process can be cut off (what is in flight is held until it
//! comes back, as TCP would, and nobody is notified), its connections can be reset, and a
//! connection can be made to break around a chosen request: just before the server sees it, or just
//! after, so that only the reply is lost.

use crate::world::{Action, ProcessId, World};
use bytes::Bytes;
use mailstorm_coordination::io::{
    ClientId, DiskCommand, DiskTicket, DurableState, Input, Output, Recovered,
};
use mailstorm_coordination::replica::ReplicaConfig;
use mailstorm_coordination::server::{Server, ServerConfig};
use mailstorm_platform::{Address, CloseReason, ConnectionId, Endpoint, NetworkEvent};
use mailstorm_shared::{Ensemble, Epoch, Instant, Millis, Now, ServerId, WallTime, Zxid};
use mailstorm_wire::client::{Request, decode_request};
use mailstorm_wire::frame::{self, FrameDecoder};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::{Future, poll_fn};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};

/// One way.
pub(crate) const LATENCY: Millis = Millis(1);

/// Which side of the server's work a connection breaks on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    /// The request is lost.
    BeforeServer,
    /// The request is carried out, and the reply is lost.
    AfterServer,
}

type Trap = (ProcessId, Break, Box<dyn Fn(&Request) -> bool>);

#[derive(Default)]
pub(crate) struct Network {
    server: RefCell<Option<Server>>,
    server_wakes_at: Cell<Option<Instant>>,
    lines: RefCell<BTreeMap<u64, Line>>,
    isolated: RefCell<BTreeSet<ProcessId>>,
    /// What would have reached an isolated process, or come from it.
    held: RefCell<Vec<(ProcessId, Action)>>,
    traps: RefCell<Vec<Trap>>,
    requests: RefCell<Vec<(ProcessId, Request)>>,
}

/// A connection, from its client's call to its end.
struct Line {
    process: ProcessId,
    mailbox: Weak<Mailbox>,
    open: bool,
    greeted: bool,
    decoder: FrameDecoder,
}

impl World {
    pub(crate) fn start_server(&self) {
        let me = ServerId::new(1).expect("not 0");
        let ensemble = Ensemble::new([me], []).expect("one voter");
        let mut replica = ReplicaConfig::new(me, ensemble);
        replica.tick = Millis(100);
        let state = DurableState { accepted_epoch: Epoch(0), current_epoch: Epoch(0), votes: true };
        let recovered = Recovered {
            state,
            snapshot: None,
            log: Vec::new(),
            committed: Zxid::ZERO,
            findings: Vec::new(),
        };
        let mut out = Vec::new();
        let server = Server::new(ServerConfig::new(replica), recovered, 1, self.clocks(), &mut out);
        *self.0.network.server.borrow_mut() = Some(server.expect("there is no snapshot"));
        self.carry_out(out);
    }

    pub(crate) fn clocks(&self) -> Now {
        let monotonic = self.now();
        let wall = WallTime(1_700_000_000_000) + monotonic.since(Instant::ZERO);
        Now { monotonic, wall }
    }

    fn step_server(&self, input: Input) {
        let mut out = Vec::new();
        let mut server = self.0.network.server.borrow_mut();
        server.as_mut().expect("started").step(self.clocks(), input, &mut out);
        drop(server);
        self.carry_out(out);
    }

    fn carry_out(&self, out: Vec<Output>) {
        let mut written = None::<DiskTicket>;
        for output in out {
            match output {
                Output::Disk { ticket, command } => {
                    assert!(!matches!(command, DiskCommand::Truncate { .. }), "nobody to follow");
                    written = Some(ticket);
                }
                Output::DiskAside { ticket, .. } => {
                    self.after(Millis(0), move |world| {
                        world.step_server(Input::AsideDone { ticket });
                    });
                }
                Output::Respond { client, frame } => {
                    let bytes = frame::framed(&frame);
                    self.after(LATENCY, move |world| world.deliver(client.0, bytes));
                }
                Output::CloseClient { client } => {
                    self.after(LATENCY, move |world| world.hang_up(client.0, CloseReason::Closed));
                }
                Output::WakeAt { at } => self.wake_server(at),
                Output::Observe(observation) => self.note(observation.into()),
                Output::HoldClient { .. } => {}
                Output::Halt { reason } => panic!("the server halts: {reason}"),
                Output::OpenLearnerLink { .. }
                | Output::CloseLink { .. }
                | Output::Send { .. }
                | Output::RespondText { .. } => unreachable!("a server alone, asked no words"),
            }
        }
        if let Some(ticket) = written {
            self.after(Millis(0), move |world| world.step_server(Input::DiskDone { ticket }));
        }
    }

    fn wake_server(&self, at: Instant) {
        self.0.network.server_wakes_at.set(Some(at));
        self.after(at.since(self.now()), move |world| {
            if world.0.network.server_wakes_at.get() == Some(at) {
                world.0.network.server_wakes_at.set(None);
                world.step_server(Input::Tick { jitter: 0 });
            }
        });
    }

    // ---- faults

    /// Nothing gets from or to this process, and nobody is notified.
    pub(crate) fn isolate(&self, process: ProcessId) {
        self.0.network.isolated.borrow_mut().insert(process);
    }

    pub(crate) fn rejoin(&self, process: ProcessId) {
        self.0.network.isolated.borrow_mut().remove(&process);
        let held = std::mem::take(&mut *self.0.network.held.borrow_mut());
        for (who, action) in held {
            if who == process {
                action(self);
            } else {
                self.0.network.held.borrow_mut().push((who, action));
            }
        }
    }

    /// Does this, now or when the process has rejoined.
    fn pass(&self, process: ProcessId, action: impl FnOnce(&World) + 'static) {
        if self.is_isolated(process) {
            self.0.network.held.borrow_mut().push((process, Box::new(action)));
        } else {
            action(self);
        }
    }

    fn is_isolated(&self, process: ProcessId) -> bool {
        self.0.network.isolated.borrow().contains(&process)
    }

    /// Every connection of this process breaks, and both sides are notified.
    pub(crate) fn cut(&self, process: ProcessId) {
        let lines: Vec<u64> = {
            let lines = self.0.network.lines.borrow();
            lines.iter().filter(|(_, l)| l.process == process).map(|(number, _)| *number).collect()
        };
        for line in lines {
            self.break_line(line);
        }
    }

    /// The connection breaks around the process's next request of this kind.
    pub(crate) fn break_around(
        &self,
        process: ProcessId,
        when: Break,
        request: impl Fn(&Request) -> bool + 'static,
    ) {
        self.0.network.traps.borrow_mut().push((process, when, Box::new(request)));
    }

    /// How many traps have not sprung yet.
    pub(crate) fn traps_left(&self) -> usize {
        self.0.network.traps.borrow().len()
    }

    /// Takes the traps away that have not sprung.
    pub(crate) fn disarm(&self) {
        self.0.network.traps.borrow_mut().clear();
    }

    /// The requests that reached the server from this process, in order.
    pub(crate) fn requests(&self, process: ProcessId) -> Vec<Request> {
        let requests = self.0.network.requests.borrow();
        requests.iter().filter(|(from, _)| *from == process).map(|(_, r)| r.clone()).collect()
    }

    // ---- lines

    fn open(&self, number: u64) {
        let Some(process) = self.0.network.lines.borrow().get(&number).map(|l| l.process) else {
            return;
        };
        if self.is_isolated(process) {
            return self.pass(process, move |world| world.open(number));
        }
        if let Some(line) = self.0.network.lines.borrow_mut().get_mut(&number) {
            line.open = true;
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 2_000));
        let mut entropy = [0; 16];
        entropy[..8].copy_from_slice(&self.number().to_be_bytes());
        let client = ClientId(number);
        self.step_server(Input::ClientOpened { client, address, entropy });
        self.tell(number, NetworkEvent::Connected { connection: ConnectionId(number) });
    }

    /// Bytes reach the server.
    fn arrive(&self, number: u64, bytes: Bytes) {
        let network = &self.0.network;
        let mut lines = network.lines.borrow_mut();
        let Some(line) = lines.get_mut(&number) else { return };
        let process = line.process;
        if self.is_isolated(process) {
            return self.pass(process, move |world| world.arrive(number, bytes));
        }
        line.decoder.push(bytes);
        let mut frames = Vec::new();
        while let Some(frame) = line.decoder.next_frame().expect("clients frame well") {
            frames.push((frame, std::mem::replace(&mut line.greeted, true)));
        }
        drop(lines);
        for (frame, greeted) in frames {
            let request = if greeted { decode_request(frame.clone()).ok() } else { None };
            let trap = request.and_then(|(_, request)| {
                network.requests.borrow_mut().push((process, request.clone()));
                let mut traps = network.traps.borrow_mut();
                let sprung =
                    traps.iter().position(|(who, _, what)| *who == process && what(&request))?;
                Some(traps.remove(sprung).1)
            });
            if trap != Some(Break::BeforeServer) {
                self.step_server(Input::ClientFrame { client: ClientId(number), frame });
            }
            if trap.is_some() {
                self.break_line(number);
                return;
            }
        }
    }

    fn deliver(&self, number: u64, bytes: Bytes) {
        self.tell(number, NetworkEvent::Received { connection: ConnectionId(number), bytes });
    }

    fn break_line(&self, number: u64) {
        self.hang_up(number, CloseReason::Reset);
        self.step_server(Input::ClientClosed { client: ClientId(number) });
    }

    fn hang_up(&self, number: u64, reason: CloseReason) {
        self.tell(number, NetworkEvent::Closed { connection: ConnectionId(number), reason });
        self.0.network.lines.borrow_mut().remove(&number);
    }

    fn tell(&self, number: u64, event: NetworkEvent) {
        let lines = self.0.network.lines.borrow();
        let Some(line) = lines.get(&number) else { return };
        let mailbox = line.mailbox.clone();
        self.pass(line.process, move |_| {
            if let Some(mailbox) = mailbox.upgrade() {
                mailbox.put(event);
            }
        });
    }
}

/// What has happened to an endpoint and was not taken yet.
#[derive(Default)]
struct Mailbox {
    events: RefCell<VecDeque<NetworkEvent>>,
    reader: RefCell<Option<Waker>>,
    wakes_at: Cell<Option<Instant>>,
}

impl Mailbox {
    fn put(&self, event: NetworkEvent) {
        self.events.borrow_mut().push_back(event);
        if let Some(reader) = self.reader.borrow_mut().take() {
            reader.wake();
        }
    }
}

/// A process's end of the network.
pub(crate) struct ToyEndpoint {
    world: World,
    process: ProcessId,
    mailbox: Rc<Mailbox>,
}

impl ToyEndpoint {
    pub(crate) fn new(world: World, process: ProcessId) -> Self {
        Self { world, process, mailbox: Rc::default() }
    }
}

impl Endpoint for ToyEndpoint {
    fn listen(&self, _: &Address) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn connect(&self, _: &Address) -> ConnectionId {
        let number = self.world.number();
        let line = Line {
            process: self.process,
            mailbox: Rc::downgrade(&self.mailbox),
            open: false,
            greeted: false,
            decoder: FrameDecoder::new(frame::REQUEST_BYTES_MAX),
        };
        self.world.0.network.lines.borrow_mut().insert(number, line);
        self.world.after(LATENCY, move |world| world.open(number));
        ConnectionId(number)
    }

    fn send(&self, connection: ConnectionId, bytes: Bytes) {
        self.world.after(LATENCY, move |world| world.arrive(connection.0, bytes));
    }

    fn backlog(&self, _: ConnectionId) -> usize {
        0
    }

    fn hold(&self, _: ConnectionId, _: bool) {}

    fn close(&self, connection: ConnectionId) {
        let number = connection.0;
        if let Some(line) = self.world.0.network.lines.borrow_mut().get_mut(&number) {
            line.mailbox = Weak::new();
        }
        let process = self.process;
        let gone = move |world: &World| {
            let line = world.0.network.lines.borrow_mut().remove(&number);
            if line.is_some_and(|line| line.open) {
                world.step_server(Input::ClientClosed { client: ClientId(number) });
            }
        };
        self.world.after(LATENCY, move |world| world.pass(process, gone));
    }

    fn wake_at(&self, at: Option<Instant>) {
        self.mailbox.wakes_at.set(at);
        let Some(at) = at else { return };
        let mailbox = Rc::downgrade(&self.mailbox);
        self.world.after(at.since(self.world.now()), move |_| {
            let Some(mailbox) = mailbox.upgrade() else { return };
            if mailbox.wakes_at.get() == Some(at) {
                mailbox.wakes_at.set(None);
                mailbox.put(NetworkEvent::Woken);
            }
        });
    }

    fn next(&self) -> impl Future<Output = NetworkEvent> {
        poll_fn(|context| {
            if let Some(event) = self.mailbox.events.borrow_mut().pop_front() {
                return Poll::Ready(event);
            }
            *self.mailbox.reader.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
    }
}
