//! The driver: events in, steps, outputs carried out.

use crate::connection::Connection;
use crate::settings::Settings;
use crate::signal::Signal;
use crate::{HostError, disk, lanes, reserve};
use bytes::Bytes;
use mailstorm_platform::{Endpoint, NetworkEvent, Platform};
use mailstorm_shared::machine::{
    Address, CloseReason, ConnectionId, Core, DialId, FileOp, Input, Lane, Loads, Output, Port,
    PortId, Severity, Start, Writes,
};
use mailstorm_shared::{Instant, Millis, Now};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

/// How often a connection is looked at that does not take what was sent on it.
const BACKLOG_LOOK_EVERY: Millis = Millis(50);

/// Every so many steps the core is asked how much it keeps in memory.
const LOADS_EVERY: u64 = 32;

/// For how long a core that was asked to end waits for those who do not take its last words.
const FAREWELL_MAX: Millis = Millis(1_000);

/// Starts a core and runs it until it is asked to end ([`Settings::stop`]).
///
/// # Errors
/// Why it had to end before.
pub async fn serve<P: Platform, S: Start>(
    platform: P,
    core: S,
    settings: Settings<S::Core>,
) -> Result<(), HostError> {
    let _shown = settings.probe.while_running();
    let host = start(platform, core, settings).await?;
    run(&host).await
}

/// Listens, recovers, and makes the first step. An address in use is found out before the folder is
/// touched.
async fn start<P: Platform, S: Start>(
    platform: P,
    mut start: S,
    settings: Settings<S::Core>,
) -> Result<Rc<Host<P, S::Core>>, HostError> {
    let endpoint = platform.endpoint();
    let ports = start.ports();
    let mut bound = Vec::with_capacity(ports.len());
    for port in &ports {
        bound.push(port.listen.as_ref().map(|at| listen(&endpoint, at)).transpose()?);
    }
    let disk = platform.disk();
    let mut repairs = disk::recover(&platform, &disk, &mut start).await?;
    if settings.reserve_bytes > 0 {
        reserve::release(&disk).await?;
    }
    disk::carry_out(&disk, &mut repairs).await?;
    reserve::set_aside(&disk, settings.reserve_bytes).await?;
    let mut outputs = Vec::new();
    let (now, entropy) = (platform.now(), platform.entropy());
    let core = start.start(now, entropy, &bound, &mut outputs).map_err(HostError::Core)?;
    let core = Rc::new(RefCell::new(core));
    settings.probe.show(core.clone());
    let state = State {
        core,
        ports,
        connections: BTreeMap::new(),
        dials: BTreeMap::new(),
        inputs: VecDeque::new(),
        outputs: Vec::new(),
        resumed: VecDeque::new(),
        core_wake: None,
        look_at: None,
        held_for_backlog: Vec::new(),
        armed: None,
        steps: 0,
        loads: Loads::default(),
    };
    let host = Rc::new(Host {
        platform,
        endpoint,
        disk,
        state: RefCell::new(state),
        log_work: Signal::default(),
        aside_work: Signal::default(),
        aside_idle: Signal::default(),
        ended: settings.stop.0,
        stopping: Cell::new(false),
        stopped: Cell::new(false),
        reason: RefCell::new(None),
    });
    host.turn(|turn| {
        for output in outputs {
            turn.carry_out(output);
        }
        turn.go_on();
    });
    if let Some(on_listening) = settings.on_listening {
        on_listening(&bound);
    }
    Ok(host)
}

fn listen(endpoint: &impl Endpoint, address: &Address) -> Result<Address, HostError> {
    endpoint
        .listen(address)
        .map_err(|source| HostError::Listen { address: address.clone(), source })?;
    Ok(endpoint.bound_address(address))
}

/// All tasks, until one of them ends the core.
async fn run<P: Platform, C: Core>(host: &Rc<Host<P, C>>) -> Result<(), HostError> {
    // The disk tasks must not outlive this future, whether it ends or is dropped.
    let _stop = StopDisk(host);
    host.platform.spawn(lanes::write_log(host.clone()));
    host.platform.spawn(lanes::write_aside(host.clone()));
    loop {
        let mut next = pin!(host.endpoint.next());
        let event = poll_fn(|context| match host.ended.poll(context) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => next.as_mut().poll(context).map(Some),
        });
        let Some(event) = event.await else {
            // Raised without a reason, it is a request.
            let reason = host.reason.borrow_mut().take();
            return match reason {
                Some(reason) => Err(reason),
                None => stop(host).await,
            };
        };
        host.turn(|turn| turn.happened(event));
    }
}

/// Ends in order. Nothing more is taken from anybody, so whatever is asked for now is as unanswered
/// as after a crash. What the log's lane has taken on is carried out, and the answers that rest on
/// it leave.
async fn stop<P: Platform, C: Core>(host: &Rc<Host<P, C>>) -> Result<(), HostError> {
    host.stopping.set(true);
    host.log_work.raise();
    // The log's lane has nothing left to do, or has failed.
    host.ended.wait().await;
    if let Some(reason) = host.reason.borrow_mut().take() {
        return Err(reason);
    }
    let until = host.platform.now().monotonic + FAREWELL_MAX;
    loop {
        let connections: Vec<_> = host.state.borrow().connections.keys().copied().collect();
        let now = host.platform.now().monotonic;
        if now >= until || connections.iter().all(|c| host.endpoint.backlog(*c) == 0) {
            return Ok(());
        }
        host.endpoint.wake_at(Some(now + BACKLOG_LOOK_EVERY));
        host.endpoint.next().await;
    }
}

struct StopDisk<'a, P: Platform, C: Core>(&'a Host<P, C>);

impl<P: Platform, C: Core> Drop for StopDisk<'_, P, C> {
    fn drop(&mut self) {
        self.0.stopped.set(true);
        self.0.log_work.raise();
        self.0.aside_work.raise();
        self.0.aside_idle.raise();
    }
}

/// What the tasks share.
pub(crate) struct Host<P: Platform, C: Core> {
    platform: P,
    endpoint: P::Endpoint,
    pub(crate) disk: P::Disk,
    state: RefCell<State<C>>,
    /// Something waits for the log's lane.
    pub(crate) log_work: Signal,
    /// Something waits for the other lane.
    pub(crate) aside_work: Signal,
    /// The other lane has nothing left to do.
    pub(crate) aside_idle: Signal,
    /// There is a reason to end, or a request to.
    pub(crate) ended: Rc<Signal>,
    /// The core ends as soon as the log's lane has nothing left to do.
    pub(crate) stopping: Cell<bool>,
    /// The core has ended.
    pub(crate) stopped: Cell<bool>,
    reason: RefCell<Option<HostError>>,
}

impl<P: Platform, C: Core> Host<P, C> {
    /// Something happens, and all that follows from it.
    pub(crate) fn turn(&self, happens: impl FnOnce(&mut Turn<'_, P, C>)) {
        let mut state = self.state.borrow_mut();
        let now = self.platform.now();
        let mut turn = Turn { host: self, state: &mut state, now };
        happens(&mut turn);
        turn.finish();
    }

    /// What the core has for a lane that is free.
    pub(crate) fn take_writes(&self, lane: Lane, ops: &mut Vec<FileOp>) -> Writes {
        self.state.borrow().core.borrow_mut().take_writes(lane, ops)
    }

    /// The first reason counts.
    pub(crate) fn end(&self, reason: HostError) {
        self.reason.borrow_mut().get_or_insert(reason);
        self.ended.raise();
    }
}

/// The core and what belongs to it; changed within a [`Turn`] only.
struct State<C: Core> {
    core: Rc<RefCell<C>>,
    ports: Vec<Port>,
    connections: BTreeMap<ConnectionId, Connection>,
    /// The core's attempts that are neither open nor failed.
    dials: BTreeMap<DialId, ConnectionId>,
    /// The next batch: what happened, and what follows from outputs, since the core is not stepped
    /// while its outputs are carried out.
    inputs: VecDeque<Input>,
    /// Reused allocation.
    outputs: Vec<Output>,
    /// Connections that are held no longer and may have whole frames waiting.
    resumed: VecDeque<ConnectionId>,
    /// When the core wants to be ticked.
    core_wake: Option<Instant>,
    /// When to look at connections that do not take what was sent.
    look_at: Option<Instant>,
    held_for_backlog: Vec<ConnectionId>,
    /// What the endpoint was asked for.
    armed: Option<Instant>,
    /// How often the core was stepped.
    steps: u64,
    /// How much the core keeps, as it told so far.
    loads: Loads,
}

/// One thing that happens, at one moment, until everything that follows from it is done.
pub(crate) struct Turn<'a, P: Platform, C: Core> {
    host: &'a Host<P, C>,
    state: &'a mut State<C>,
    now: Now,
}

impl<P: Platform, C: Core> Turn<'_, P, C> {
    fn happened(&mut self, event: NetworkEvent) {
        match event {
            NetworkEvent::Received { connection, bytes } => {
                // Closed by us, what was on its way means nothing any more.
                if let Some(state) = self.state.connections.get_mut(&connection) {
                    state.push(bytes);
                    self.take_frames(connection);
                }
            }
            NetworkEvent::Accepted { connection, listener, from } => {
                let mut ports = self.state.ports.iter();
                let port = ports.position(|port| port.listen.as_ref() == Some(&listener));
                let port = port.expect("only what was asked for is listened to");
                let state = Connection::new(&self.state.ports[port], None);
                self.state.connections.insert(connection, state);
                self.step(Input::Opened { connection, port: PortId(port as u8), from });
            }
            NetworkEvent::Connected { connection } => {
                let state = self.state.connections.get_mut(&connection);
                if let Some(dial) = state.and_then(|state| state.dial.take()) {
                    self.state.dials.remove(&dial);
                    self.step(Input::Dialled { dial, connection });
                }
            }
            NetworkEvent::Closed { connection, reason } => self.closed(connection, reason),
            NetworkEvent::Woken => self.woken(),
        }
    }

    fn closed(&mut self, connection: ConnectionId, reason: CloseReason) {
        let Some(state) = self.state.connections.remove(&connection) else { return };
        match state.dial {
            Some(dial) => {
                self.state.dials.remove(&dial);
                self.step(Input::DialFailed { dial, reason });
            }
            None => self.step(Input::Closed { connection, reason }),
        }
    }

    fn woken(&mut self) {
        self.state.armed = None;
        let now = self.now.monotonic;
        if self.state.look_at.is_some_and(|at| at <= now) {
            self.look_at_backlogs();
        }
        if self.state.core_wake.is_some_and(|at| at <= now) {
            self.state.core_wake = None;
            self.step(Input::Tick);
        }
    }

    /// Gives the core every whole frame of a connection that is not held.
    fn take_frames(&mut self, connection: ConnectionId) {
        while let Some(state) = self.state.connections.get_mut(&connection) {
            if state.is_held() {
                return;
            }
            match state.next_frame() {
                Ok(Some(frame)) => self.step(Input::Frame { connection, frame }),
                Ok(None) => return,
                Err(error) => {
                    let prefix = state.prefix();
                    self.step(Input::Malformed { connection, prefix, error });
                    return;
                }
            }
        }
    }

    /// The core takes one input, and those that follow from what it asked for.
    pub(crate) fn step(&mut self, input: Input) {
        self.state.inputs.push_back(input);
        self.go_on();
    }

    fn go_on(&mut self) {
        while !self.state.inputs.is_empty() {
            let mut outputs = std::mem::take(&mut self.state.outputs);
            let mut core = self.state.core.borrow_mut();
            core.step(self.now, &mut self.state.inputs, &mut outputs);
            core.invariants();
            self.state.steps += 1;
            if self.state.steps.is_multiple_of(LOADS_EVERY) {
                core.loads(&mut self.state.loads);
            }
            drop(core);
            for output in outputs.drain(..) {
                self.carry_out(output);
            }
            self.state.outputs = outputs;
            for fact in self.state.loads.news() {
                self.host.platform.observe(fact);
            }
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Send { connection, bytes } => self.send(connection, bytes),
            Output::Observe(observation) => self.host.platform.observe(observation),
            Output::Wake { at } => self.state.core_wake = at,
            Output::Disk { lane: Lane::Log } => self.host.log_work.raise(),
            Output::Disk { lane: Lane::Aside } => self.host.aside_work.raise(),
            Output::Hold { connection, held } => {
                self.hold(connection, |state| state.held_by_core = held);
            }
            Output::Close { connection } => {
                if self.state.connections.remove(&connection).is_some() {
                    self.host.endpoint.close(connection);
                }
            }
            Output::Dial { dial, port, address } => {
                let connection = self.host.endpoint.connect(&address);
                let port = &self.state.ports[usize::from(port.0)];
                self.state.connections.insert(connection, Connection::new(port, Some(dial)));
                self.state.dials.insert(dial, connection);
            }
            Output::GiveUp { dial } => {
                if let Some(connection) = self.state.dials.remove(&dial) {
                    self.state.connections.remove(&connection);
                    self.host.endpoint.close(connection);
                }
            }
            Output::Draw { count } => {
                let mut numbers = [0; 2];
                numbers[..count].fill_with(|| self.host.platform.entropy());
                // In the order in which they were asked for, before whatever the core has not
                // taken.
                let is_drawn = |input: &&Input| matches!(input, Input::Drawn { .. });
                let at = self.state.inputs.iter().take_while(is_drawn).count();
                self.state.inputs.insert(at, Input::Drawn { numbers });
            }
            Output::Note { severity: Severity::Warning, text } => tracing::warn!("{text}"),
            Output::Note { severity: Severity::Debug, text } => tracing::debug!("{text}"),
            Output::Halt { reason } => self.host.end(HostError::Halted { reason }),
        }
    }

    /// What may follow from everything that happened: frames of connections that are held no
    /// longer, and the next time to wake up.
    fn finish(&mut self) {
        while let Some(connection) = self.state.resumed.pop_front() {
            self.take_frames(connection);
        }
        let at = [self.state.core_wake, self.state.look_at].into_iter().flatten().min();
        if at != self.state.armed {
            self.state.armed = at;
            self.host.endpoint.wake_at(at);
        }
    }

    fn send(&mut self, connection: ConnectionId, bytes: Bytes) {
        let Some(state) = self.state.connections.get_mut(&connection) else { return };
        let look = state.sent(bytes.len());
        self.host.endpoint.send(connection, bytes);
        if look {
            self.look_at_backlog(connection);
        }
    }

    /// Whoever does not take what is sent to it gets to ask for no more, and at last is given up.
    fn look_at_backlog(&mut self, connection: ConnectionId) {
        let Some(state) = self.state.connections.get(&connection) else { return };
        let (bounds, is_held) = (state.bounds, state.held_for_backlog);
        let backlog = self.host.endpoint.backlog(connection);
        if backlog > bounds.backlog_bytes_max {
            self.state.connections.remove(&connection);
            self.host.endpoint.close(connection);
            self.state.inputs.push_back(Input::Overrun { connection, backlog });
        } else if backlog > bounds.backlog_bytes_held && !is_held {
            self.hold(connection, |state| state.held_for_backlog = true);
            self.state.held_for_backlog.push(connection);
            self.state.look_at.get_or_insert(self.now.monotonic + BACKLOG_LOOK_EVERY);
        }
    }

    /// Lets those go on whose backlog has shrunk to half of what they were held for.
    fn look_at_backlogs(&mut self) {
        let mut held = std::mem::take(&mut self.state.held_for_backlog);
        held.retain(|connection| {
            let Some(state) = self.state.connections.get(connection) else { return false };
            let enough = state.bounds.backlog_bytes_held / 2;
            let still = self.host.endpoint.backlog(*connection) > enough;
            if !still {
                self.hold(*connection, |state| state.held_for_backlog = false);
            }
            still
        });
        let next = self.now.monotonic + BACKLOG_LOOK_EVERY;
        self.state.look_at = (!held.is_empty()).then_some(next);
        self.state.held_for_backlog = held;
    }

    /// Changes a reason to hold a connection, and what the endpoint does about it.
    fn hold(&mut self, connection: ConnectionId, change: impl FnOnce(&mut Connection)) {
        let Some(state) = self.state.connections.get_mut(&connection) else { return };
        let before = state.is_held();
        change(state);
        let held = state.is_held();
        if held != before {
            self.host.endpoint.hold(connection, held);
            if !held {
                self.state.resumed.push_back(connection);
            }
        }
    }
}
