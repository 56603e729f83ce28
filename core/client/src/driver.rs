//! The session core on a Platform: one task that feeds it the network's events, and the places
//! where calls and watches wait for its decisions.
//!
//! Holds: outputs are carried out in the order in which the core gave them. Destructors touch no
//! Platform: they leave their work to the task, since they also run when the machine is already
//! gone.
//! Start at [`Shared::step`].

use crate::config::ClientConfig;
use crate::watch::{Forget, WatchEnd, WatchSlot};
use mailstorm_platform::{Address, ConnectionId, Endpoint, NetworkEvent, Platform};
use mailstorm_session::{
    Answer, CallError, OperationId, Retry, SessionConfig, SessionCore, SessionInput, SessionOutput,
    SessionState, Submission, WatchId,
};
use mailstorm_shared::machine::Loads;
use mailstorm_shared::{Defects, Observation};
use mailstorm_wire::client::Request;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

/// The most errands that destructors may leave to the driver. Each is a lock released or the like;
/// what does not fit is left to the session's end.
const ERRANDS_MAX: usize = 1_024;

/// Every so many steps onlookers are told how much is kept in memory.
const LOADS_EVERY: u64 = 32;

/// Something that a destructor wants done.
pub(crate) enum Errand {
    /// Send this request, again after each lost connection.
    Request(Request),
    /// Report a fact to onlookers.
    Observe(Observation),
}

/// Whoever is notified of each change of the session's state, at the moment it changes.
pub(crate) trait StateListener {
    fn changed(&self, state: SessionState);
}

/// An operation's result, or who waits for it.
#[derive(Default)]
pub(crate) struct CallSlot {
    result: Option<Result<Answer, CallError>>,
    caller: Option<Waker>,
}

impl CallSlot {
    pub(crate) fn poll(&mut self, context: &Context<'_>) -> Poll<Result<Answer, CallError>> {
        if let Some(result) = self.result.take() {
            return Poll::Ready(result);
        }
        self.caller = Some(context.waker().clone());
        Poll::Pending
    }
}

/// All that a client's clones, its calls, its watches and its driver share.
pub(crate) struct Shared<P: Platform> {
    pub(crate) platform: P,
    pub(crate) core: RefCell<SessionCore>,
    pub(crate) client_number: u32,
    pub(crate) defects: Defects,
    endpoint: P::Endpoint,
    servers: Vec<Address>,
    connection: Cell<Option<ConnectionId>>,
    calls: RefCell<BTreeMap<OperationId, Rc<RefCell<CallSlot>>>>,
    watches: RefCell<BTreeMap<WatchId, WatchSlot>>,
    state: StateBoard,
    listeners: RefCell<Vec<Weak<dyn StateListener>>>,
    numbers: Cell<u64>,
    errands: RefCell<VecDeque<Errand>>,
    abandoned: Cell<bool>,
    driver: RefCell<Option<Waker>>,
    /// An empty vector with room, between steps.
    spare: Cell<Vec<SessionOutput>>,
    steps: Cell<u64>,
    loads: RefCell<Loads>,
}

impl<P: Platform> Shared<P> {
    /// A session, and its driver's task, which ends with it.
    pub(crate) fn start(platform: P, config: ClientConfig) -> Rc<Self> {
        let core = SessionCore::new(
            SessionConfig {
                servers: config.servers.len(),
                timeout: config.session_timeout,
                read_only: config.read_only,
                client: config.client_number,
                observe_calls: config.observe_calls,
                defects: config.defects,
            },
            platform.entropy(),
        );
        let shared = Rc::new(Self {
            endpoint: platform.endpoint(),
            state: StateBoard::new(core.state()),
            core: RefCell::new(core),
            client_number: config.client_number,
            defects: config.defects,
            servers: config.servers,
            connection: Cell::new(None),
            calls: RefCell::default(),
            watches: RefCell::default(),
            listeners: RefCell::default(),
            numbers: Cell::new(0),
            errands: RefCell::default(),
            abandoned: Cell::new(false),
            driver: RefCell::default(),
            spare: Cell::default(),
            steps: Cell::default(),
            loads: RefCell::default(),
            platform,
        });
        shared.platform.spawn(shared.clone().drive());
        shared
    }

    async fn drive(self: Rc<Self>) {
        self.step(SessionInput::Woken);
        while !self.state().is_over() {
            let event = self.next_event().await;
            self.run_errands();
            match event {
                Some(event) => self.happened(event),
                None if self.abandoned.get() => self.step(SessionInput::Abandon),
                None => {}
            }
        }
        // Whatever was registered after the end was announced.
        self.end_watches();
    }

    /// The network's next event, or `None` when a destructor has left something to do.
    async fn next_event(&self) -> Option<NetworkEvent> {
        let mut next = pin!(self.endpoint.next());
        poll_fn(|context| {
            if self.abandoned.get() || self.has_errand() {
                return Poll::Ready(None);
            }
            *self.driver.borrow_mut() = Some(context.waker().clone());
            next.as_mut().poll(context).map(Some)
        })
        .await
    }

    fn happened(&self, event: NetworkEvent) {
        let ours = |connection| self.connection.get() == Some(connection);
        let input = match event {
            NetworkEvent::Connected { connection } if ours(connection) => SessionInput::Connected,
            NetworkEvent::Received { connection, bytes } if ours(connection) => {
                SessionInput::Received(bytes)
            }
            NetworkEvent::Closed { connection, .. } if ours(connection) => {
                self.connection.set(None);
                SessionInput::Closed
            }
            NetworkEvent::Woken => SessionInput::Woken,
            // Events of a connection that was given up.
            NetworkEvent::Connected { .. }
            | NetworkEvent::Received { .. }
            | NetworkEvent::Closed { .. }
            | NetworkEvent::Accepted { .. } => return,
        };
        self.step(input);
    }

    /// One step of the core, and all that follows from it.
    pub(crate) fn step(&self, input: SessionInput) {
        let mut outputs = self.spare.take();
        self.core.borrow_mut().step(self.platform.now().monotonic, input, &mut outputs);
        for output in outputs.drain(..) {
            self.carry_out(output);
        }
        self.spare.set(outputs);
        self.steps.set(self.steps.get() + 1);
        if self.steps.get().is_multiple_of(LOADS_EVERY) {
            self.tell_loads();
        }
    }

    fn tell_loads(&self) {
        let loads = &mut *self.loads.borrow_mut();
        self.core.borrow().loads(loads);
        loads.bounded("errands", self.errands.borrow().len(), ERRANDS_MAX);
        for fact in loads.news() {
            self.platform.observe(fact);
        }
    }

    fn carry_out(&self, output: SessionOutput) {
        match output {
            SessionOutput::Connect { server } => {
                self.connection.set(Some(self.endpoint.connect(&self.servers[server])));
            }
            SessionOutput::Disconnect => {
                if let Some(connection) = self.connection.take() {
                    self.endpoint.close(connection);
                }
            }
            SessionOutput::Send(bytes) => {
                let connection = self.connection.get().expect("the core sends while connected");
                self.endpoint.send(connection, bytes);
            }
            SessionOutput::WakeAt(at) => self.endpoint.wake_at(Some(at)),
            SessionOutput::State(state) => self.enter(state),
            SessionOutput::Deliver { watch, event } => {
                if let Some(slot) = self.watches.borrow().get(&watch) {
                    slot.deliver(event);
                }
            }
            SessionOutput::Unwatched { watch } => {
                if let Some(slot) = self.watches.borrow().get(&watch) {
                    slot.end(WatchEnd::Removed);
                }
            }
            SessionOutput::Complete { operation, result } => self.complete(operation, result),
            SessionOutput::Observe(observation) => self.platform.observe(observation),
        }
    }

    fn complete(&self, operation: OperationId, result: Result<Answer, CallError>) {
        // Nobody waits for errands.
        let Some(slot) = self.calls.borrow_mut().remove(&operation) else { return };
        let mut slot = slot.borrow_mut();
        slot.result = Some(result);
        if let Some(caller) = slot.caller.take() {
            caller.wake();
        }
    }

    fn enter(&self, state: SessionState) {
        self.state.enter(state);
        if state.is_over() {
            self.end_watches();
        }
        // Listeners may come and go while they are notified.
        let listeners = self.listeners.borrow().clone();
        for listener in listeners.iter().filter_map(Weak::upgrade) {
            listener.changed(state);
        }
    }

    fn end_watches(&self) {
        for slot in self.watches.borrow().values() {
            slot.end(WatchEnd::SessionLost);
        }
    }

    /// Whether a destructor has left something that can be done now: while the application has as
    /// many operations outstanding as it may, the errand waits, or a lock released would stay held
    /// by nobody.
    fn has_errand(&self) -> bool {
        !self.errands.borrow().is_empty() && self.core.borrow().has_room()
    }

    fn run_errands(&self) {
        while self.has_errand() {
            let errand = self.errands.borrow_mut().pop_front();
            match errand.expect("there is one") {
                Errand::Observe(observation) => self.platform.observe(observation),
                Errand::Request(request) => self.step(SessionInput::Submit(Submission {
                    operation: OperationId(self.number()),
                    request,
                    watch: None,
                    retry: Retry::Always,
                })),
            }
        }
    }

    /// A number that this client has not used yet.
    pub(crate) fn number(&self) -> u64 {
        let number = self.numbers.get() + 1;
        self.numbers.set(number);
        number
    }

    /// Submits at once, and returns where the result will be.
    pub(crate) fn call(
        &self,
        request: Request,
        watch: Option<WatchId>,
        retry: Retry,
    ) -> Rc<RefCell<CallSlot>> {
        let operation = OperationId(self.number());
        let slot = Rc::new(RefCell::new(CallSlot::default()));
        self.calls.borrow_mut().insert(operation, slot.clone());
        self.step(SessionInput::Submit(Submission { operation, request, watch, retry }));
        slot
    }

    /// A new watch, not registered yet.
    pub(crate) fn new_watch(&self) -> (WatchId, WatchSlot) {
        let watch = WatchId(self.number());
        let slot = WatchSlot::default();
        if self.state().is_over() {
            slot.end(WatchEnd::SessionLost);
        }
        self.watches.borrow_mut().insert(watch, slot.clone());
        (watch, slot)
    }

    pub(crate) fn state(&self) -> SessionState {
        self.state.state.get()
    }

    pub(crate) fn listen(&self, listener: Weak<dyn StateListener>) {
        let mut listeners = self.listeners.borrow_mut();
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners.push(listener);
    }

    /// Leaves something for the driver to do. For destructors.
    pub(crate) fn leave_errand(&self, errand: Errand) {
        let mut errands = self.errands.borrow_mut();
        if self.state().is_over() || errands.len() >= ERRANDS_MAX {
            return;
        }
        errands.push_back(errand);
        drop(errands);
        self.rouse();
    }

    /// The last clone of the client is gone.
    pub(crate) fn abandon(&self) {
        self.abandoned.set(true);
        self.rouse();
    }

    fn rouse(&self) {
        let driver = self.driver.borrow_mut().take();
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    pub(crate) fn state_changed(self: &Rc<Self>) -> impl Future<Output = SessionState> + use<P> {
        let shared = self.clone();
        let seen = shared.state.changes.get();
        let waiter = shared.number();
        let guard = Waiting { shared, waiter };
        poll_fn(move |context| {
            let board = &guard.shared.state;
            if board.changes.get() != seen {
                return Poll::Ready(board.state.get());
            }
            board.waiting.borrow_mut().insert(guard.waiter, context.waker().clone());
            Poll::Pending
        })
    }
}

impl<P: Platform> Forget for Shared<P> {
    fn forget(&self, watch: WatchId) {
        self.watches.borrow_mut().remove(&watch);
        self.core.borrow_mut().forget(watch);
    }
}

/// The session's state, and who waits for it to change.
struct StateBoard {
    state: Cell<SessionState>,
    changes: Cell<u64>,
    waiting: RefCell<BTreeMap<u64, Waker>>,
}

impl StateBoard {
    fn new(state: SessionState) -> Self {
        Self { state: Cell::new(state), changes: Cell::new(0), waiting: RefCell::default() }
    }

    fn enter(&self, state: SessionState) {
        self.state.set(state);
        self.changes.set(self.changes.get() + 1);
        for waiter in std::mem::take(&mut *self.waiting.borrow_mut()).into_values() {
            waiter.wake();
        }
    }
}

/// Removes a waiter from the board when its future is dropped.
struct Waiting<P: Platform> {
    shared: Rc<Shared<P>>,
    waiter: u64,
}

impl<P: Platform> Drop for Waiting<P> {
    fn drop(&mut self) {
        self.shared.state.waiting.borrow_mut().remove(&self.waiter);
    }
}
