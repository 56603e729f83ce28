//! The requests of one connection: their order, how many bytes they have, and whether more are
//! read.
//!
//! Owns: what came and has no answer yet, what of it the leader has, whether the connection is
//! held, and how it ends. Leaves: what an answer says to `pipeline`, what all connections have
//! together to `clients`, and what the leader has of all of them to `forwarded`.
//! Holds: requests leave in the order in which they came. Each is *pending* (queued), *in flight*
//! (the leader has it) or *answered* (behind one that is not). The leader gets no write that stands
//! behind a sync in flight: it could be applied before a read that stands between the two is made.
//! What the leader has no room for stays pending, and so does everything for the leader behind it.
//! The bytes are those of what is kept. Behind the request that ends the connection there is none.
//! Start at [`Requests::next`].

use super::stats::operation;
use crate::data::Identity;
use bytes::Bytes;
use mailstorm_shared::{Instant, Zxid};
use mailstorm_wire::client::{ErrorCode, Reply, Request};
use mailstorm_wire::peer::LeaderRequest;
use std::collections::VecDeque;

/// See the module's head.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Requests {
    /// Frames that came behind the handshake: clients do not wait for its answer.
    early: VecDeque<Bytes>,
    /// Oldest first.
    queue: VecDeque<Queued>,
    syncs_in_flight: usize,
    /// The oldest that could go to the leader stays pending until there is room for it.
    waits_for_room: bool,
    bytes: usize,
    held: bool,
    ending: Option<Ending>,
}

/// A request, and what has become of it.
#[derive(Clone, Debug, Hash)]
struct Queued {
    call: Call,
    /// What `cons` calls it.
    operation: &'static str,
    state: State,
}

/// What is known of a request whatever it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Call {
    /// The client's number for it.
    pub(super) xid: i32,
    /// How long it is.
    pub(super) bytes: usize,
    /// How many of the client's identities were proved when it came: only they speak for it.
    pub(super) identity_count: usize,
    /// When it came, on the monotonic clock.
    pub(super) came: Instant,
}

#[derive(Clone, Debug, Hash)]
enum State {
    /// It waits for its turn: a read, a write behind a sync, or what the leader has no room for.
    Pending(Request),
    /// The leader has it.
    InFlight {
        ticket: u64,
        /// The answer's shape depends on it.
        request: Request,
    },
    /// The result is there, but an earlier request has none yet.
    Answered(Outcome),
}

/// What became of a request that the leader, or a rule, has decided.
#[derive(Clone, Debug, PartialEq, Hash)]
pub(super) struct Outcome {
    /// The result.
    pub(super) result: Result<Reply, ErrorCode>,
    /// The write's transaction, if it came to one.
    pub(super) written: Option<Zxid>,
}

impl Outcome {
    /// A request that is refused without effect.
    pub(super) fn refused(error: ErrorCode) -> Self {
        Self { result: Err(error), written: None }
    }
}

/// What the oldest request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// For the leader's answer; or there is none.
    Nothing,
    /// To be forwarded: a sync before it has just been answered, a newer connection asks for the
    /// session, or the leader has no room.
    Forwarding,
    /// To be taken and answered.
    Reply,
}

/// The oldest request, taken out to be answered.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    /// Its number, its length and when it came.
    pub(super) call: Call,
    /// What `cons` calls it.
    pub(super) operation: &'static str,
    /// What has become of it.
    pub(super) due: Due,
}

/// What an answer is made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Due {
    /// A read, to be made now.
    Read(Request),
    /// A result.
    Outcome(Outcome),
}

/// How a connection ends after its last answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Ending {
    /// It asked for an operation that does not exist: it is told so, last.
    Unimplemented {
        /// The request's xid.
        xid: i32,
    },
    /// It closed its session.
    Close,
}

/// How many requests a connection may have before it is held, and how many bytes. It is read from
/// again at half of both.
#[derive(Clone, Copy, Debug)]
pub(super) struct HoldAt {
    /// Requests.
    pub(super) count: usize,
    /// Bytes.
    pub(super) bytes: usize,
}

impl Requests {
    // ---- what comes ----------------------------------------------------------------------------

    /// A frame came behind the handshake.
    pub(super) fn push_early(&mut self, frame: Bytes) {
        assert!(self.queue.is_empty(), "a connection has no requests before it has a session");
        self.bytes += frame.len();
        self.early.push_back(frame);
    }

    /// The frames that came behind the handshake, oldest first: from now on they are requests.
    pub(super) fn take_early(&mut self) -> VecDeque<Bytes> {
        assert!(self.queue.is_empty(), "what came behind the handshake comes before all others");
        self.bytes = 0;
        std::mem::take(&mut self.early)
    }

    /// A request that waits for its turn.
    pub(super) fn push_pending(&mut self, call: Call, request: Request) {
        let operation = operation(&request);
        self.push(call, operation, request == Request::CloseSession, State::Pending(request));
    }

    /// Something that is pending waits for room at the leader. Whether it did not before.
    pub(super) fn wait_for_room(&mut self) -> bool {
        !std::mem::replace(&mut self.waits_for_room, true)
    }

    /// There is room at the leader: what is pending may go there, as far as it fits.
    pub(super) fn room_is_there(&mut self) {
        assert!(self.waits_for_room, "room is given to whoever waits for it");
        self.waits_for_room = false;
    }

    /// A request that goes to the leader at once.
    pub(super) fn push_in_flight(&mut self, call: Call, ticket: u64, request: Request) {
        let is_sync = matches!(request, Request::Sync { .. });
        assert!(
            is_sync || self.syncs_in_flight == 0,
            "no write goes to the leader behind a sync in flight"
        );
        assert!(!self.waits_for_room, "nothing overtakes what waits for room at the leader");
        self.syncs_in_flight += usize::from(is_sync);
        let ends = request == Request::CloseSession;
        self.push(call, operation(&request), ends, State::InFlight { ticket, request });
    }

    /// A request that is refused in its turn. Nothing of it is kept but the error.
    pub(super) fn push_refused(&mut self, call: Call, error: ErrorCode) {
        let call = Call { bytes: 0, ..call };
        self.push(call, "NA", false, State::Answered(Outcome::refused(error)));
    }

    fn push(&mut self, call: Call, operation: &'static str, ends: bool, state: State) {
        assert!(self.ending.is_none(), "nothing comes behind the request that ends the connection");
        assert!(self.early.is_empty(), "what came behind the handshake comes first");
        self.bytes += call.bytes;
        self.queue.push_back(Queued { call, operation, state });
        if ends {
            self.ending = Some(Ending::Close);
        }
    }

    /// Takes no more requests: the connection ends when those that came before are answered.
    pub(super) fn end(&mut self, ending: Ending) {
        assert!(self.ending.is_none(), "a connection ends once");
        self.ending = Some(ending);
    }

    // ---- the leader's part ---------------------------------------------------------------------

    /// Whether a write may go to the leader as soon as it comes: there is no sync before it.
    pub(super) fn has_sync_in_flight(&self) -> bool {
        self.syncs_in_flight > 0
    }

    /// Takes what is pending and may go to the leader, in order, up to the next sync in flight.
    /// `ticket` gives each its number there, or none: then there is no room for it, and it stays
    /// pending with everything behind it. `true` with it if so.
    pub(super) fn forward_pending(
        &mut self,
        identities: &[Identity],
        mut ticket: impl FnMut(&Request, usize) -> Option<u64>,
    ) -> (Vec<(u64, LeaderRequest)>, bool) {
        let mut forwarded = Vec::new();
        for Queued { call, state, .. } in &mut self.queue {
            match state {
                State::InFlight { request: Request::Sync { .. }, .. } => break,
                State::Pending(request) if is_for_the_leader(request) => {
                    // What finds no room is asked again: it is copied when it leaves.
                    let Some(ticket) = ticket(request, call.bytes) else {
                        return (forwarded, true);
                    };
                    let known = &identities[..call.identity_count];
                    let to_leader =
                        LeaderRequest::of(request, known).expect("it is for the leader");
                    let request = std::mem::replace(request, Request::Ping);
                    let is_sync = matches!(request, Request::Sync { .. });
                    *state = State::InFlight { ticket, request };
                    forwarded.push((ticket, to_leader));
                    if is_sync {
                        self.syncs_in_flight += 1;
                        break;
                    }
                }
                State::Pending(_) | State::InFlight { .. } | State::Answered(_) => {}
            }
        }
        (forwarded, false)
    }

    /// Whether the oldest that could go to the leader waits for room there.
    pub(super) fn waits_for_room(&self) -> bool {
        self.waits_for_room
    }

    /// The leader answered the request with this ticket. Whether there is such a request, and it is
    /// one that this can be the answer to. It is nearly always the oldest.
    pub(super) fn answer(
        &mut self,
        ticket: u64,
        outcome: impl FnOnce(&Request) -> Option<Outcome>,
    ) -> bool {
        let is_asked_for = |state: &State| match state {
            State::InFlight { ticket: in_flight, .. } => *in_flight == ticket,
            State::Pending(_) | State::Answered(_) => false,
        };
        let queued = self.queue.iter_mut().find(|queued| is_asked_for(&queued.state));
        let Some(queued) = queued else { return false };
        let State::InFlight { request, .. } = &queued.state else { return false };
        let Some(outcome) = outcome(request) else { return false };
        if matches!(request, Request::Sync { .. }) {
            assert!(self.syncs_in_flight > 0, "a sync in flight is counted until it is answered");
            self.syncs_in_flight -= 1;
        }
        queued.state = State::Answered(outcome);
        true
    }

    // ---- what leaves ---------------------------------------------------------------------------

    /// What the oldest request waits for.
    pub(super) fn next(&self) -> Next {
        match self.queue.front().map(|queued| &queued.state) {
            None | Some(State::InFlight { .. }) => Next::Nothing,
            Some(State::Pending(request)) if is_for_the_leader(request) => Next::Forwarding,
            Some(State::Pending(_) | State::Answered(_)) => Next::Reply,
        }
    }

    /// Takes out the oldest request, which is to be answered now.
    pub(super) fn take(&mut self) -> Taken {
        assert_eq!(self.next(), Next::Reply, "only what can be answered is taken out");
        let queued = self.queue.pop_front().expect("there is a next one");
        assert!(queued.call.bytes <= self.bytes, "the bytes of what is kept are counted");
        self.bytes -= queued.call.bytes;
        let due = match queued.state {
            State::Answered(outcome) => Due::Outcome(outcome),
            State::Pending(request) => Due::Read(request),
            State::InFlight { .. } => unreachable!("what the leader has is not to be answered"),
        };
        Taken { call: queued.call, operation: queued.operation, due }
    }

    /// How the connection ends, if all that came before is answered.
    pub(super) fn is_to_end(&self) -> Option<Ending> {
        self.ending.filter(|_| self.queue.is_empty())
    }

    /// Whether no more requests are taken.
    pub(super) fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    // ---- how much ------------------------------------------------------------------------------

    /// How many have no answer yet.
    pub(super) fn len(&self) -> usize {
        self.early.len() + self.queue.len()
    }

    /// Whether a read that comes now is the oldest request without an answer.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many are requests already: what came behind the handshake is not.
    pub(super) fn queued_count(&self) -> usize {
        self.queue.len()
    }

    /// How many bytes they have.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the host was told to stop reading from the connection.
    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    /// Whether there are so many that no more are read.
    pub(super) fn are_many(&self, at: HoldAt) -> bool {
        self.len() >= at.count || self.bytes >= at.bytes
    }

    /// Whether there are so few that more are read again.
    pub(super) fn are_few(&self, at: HoldAt) -> bool {
        self.len() <= at.count / 2 && self.bytes <= at.bytes / 2
    }

    /// The host is told to stop reading, or to go on.
    pub(super) fn hold(&mut self, held: bool) {
        assert_ne!(self.held, held, "the host is told of a change only");
        self.held = held;
    }

    // ---- what always holds ---------------------------------------------------------------------

    /// What always holds, as far as it costs nothing to look.
    pub(super) fn invariants(&self) {
        assert!(
            self.early.is_empty() || self.queue.is_empty(),
            "what came behind the handshake comes before all others"
        );
        assert!(self.syncs_in_flight <= self.queue.len(), "a sync in flight is among the requests");
        assert!(self.bytes == 0 || !self.is_empty(), "no bytes are counted where nothing is kept");
    }

    /// What always holds, request by request.
    pub(super) fn check(&self) {
        self.invariants();
        let early: usize = self.early.iter().map(Bytes::len).sum();
        let queued: usize = self.queue.iter().map(|queued| queued.call.bytes).sum();
        assert_eq!(self.bytes, early + queued, "the bytes are those of what is kept");
        let (mut syncs, mut waits) = (0, false);
        for Queued { call, state, .. } in &self.queue {
            match state {
                State::InFlight { request: Request::Sync { .. }, .. } => syncs += 1,
                State::InFlight { request, .. } => {
                    assert!(is_for_the_leader(request), "the leader has only what is for it");
                    assert_eq!(syncs, 0, "no write is in flight behind a sync in flight");
                    assert!(!waits, "writes go to the leader in the order in which they came");
                }
                State::Pending(request) => {
                    waits |= is_for_the_leader(request);
                }
                State::Answered(Outcome { result, .. }) => {
                    assert!(
                        call.bytes > 0 || result.is_err(),
                        "only a refused request is kept without its bytes"
                    );
                }
            }
        }
        assert_eq!(syncs, self.syncs_in_flight, "every sync in flight is counted, once");
        assert!(waits || !self.waits_for_room, "whoever waits for room has something to forward");
    }
}

/// Whether a request goes through the leader.
pub(super) fn is_for_the_leader(request: &Request) -> bool {
    matches!(
        request,
        Request::Write(_) | Request::Multi(_) | Request::Sync { .. } | Request::CloseSession
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use mailstorm_wire::client::Write;
    use proptest::prelude::*;

    fn call(xid: i32) -> Call {
        Call { xid, bytes: 10, identity_count: 0, came: Instant(0) }
    }

    fn read() -> Request {
        Request::Exists { path: "/a".into(), watch: false }
    }

    /// A write that says its number.
    fn write(xid: i32) -> Request {
        Request::Write(Write::Delete { path: "/a".into(), version: xid })
    }

    /// The number of a write that goes to the leader.
    fn number_of(request: &LeaderRequest) -> Option<i32> {
        match request {
            LeaderRequest::Write { write: Write::Delete { version, .. }, .. } => Some(*version),
            _ => None,
        }
    }

    fn sync() -> Request {
        Request::Sync { path: "/a".into() }
    }

    fn done(_: &Request) -> Option<Outcome> {
        Some(Outcome { result: Ok(Reply::Empty), written: None })
    }

    /// The numbers of those that can be answered now, taken out.
    fn taken(requests: &mut Requests) -> Vec<i32> {
        let mut xids = Vec::new();
        while requests.next() == Next::Reply {
            xids.push(requests.take().call.xid);
        }
        xids
    }

    #[test]
    fn a_read_waits_for_the_write_before_it_and_a_write_for_the_sync_before_it() {
        let mut requests = Requests::default();
        requests.push_in_flight(call(1), 101, write(1));
        requests.push_pending(call(2), read());
        requests.push_in_flight(call(3), 103, sync());
        assert!(requests.has_sync_in_flight());
        requests.push_pending(call(4), write(4));
        assert_eq!(taken(&mut requests), []);
        assert!(requests.answer(101, done));
        assert_eq!(taken(&mut requests), [1, 2]);
        let nothing = requests.forward_pending(&[], |_, _| panic!("a sync is in flight"));
        assert_eq!(nothing, (vec![], false));
        assert!(requests.answer(103, done));
        assert_eq!(taken(&mut requests), [3]);
        assert_eq!(requests.next(), Next::Forwarding);
        let (forwarded, waits) = requests.forward_pending(&[], |_, _| Some(104));
        assert_eq!((forwarded.len(), waits), (1, false));
        assert!(requests.answer(104, done));
        assert_eq!(taken(&mut requests), [4]);
        assert_eq!((requests.len(), requests.bytes()), (0, 0));
    }

    #[test]
    fn what_there_is_no_room_for_stays_pending_with_everything_behind_it() {
        let mut requests = Requests::default();
        for xid in 1..=3 {
            requests.push_pending(call(xid), write(xid));
        }
        let mut room = [Some(101), None, Some(103)].into_iter();
        let (forwarded, waits) = requests.forward_pending(&[], |_, _| room.next().unwrap());
        assert_eq!(forwarded.iter().map(|(ticket, _)| *ticket).collect::<Vec<_>>(), [101]);
        assert!(waits && requests.wait_for_room() && !requests.wait_for_room());
        requests.check();
        requests.room_is_there();
        let (forwarded, waits) = requests.forward_pending(&[], |_, _| Some(102));
        let numbers: Vec<_> = forwarded.iter().filter_map(|(_, to)| number_of(to)).collect();
        assert_eq!((numbers, waits), (vec![2, 3], false));
        requests.check();
    }

    #[test]
    fn an_answer_of_another_kind_or_to_nothing_changes_nothing() {
        let mut requests = Requests::default();
        requests.push_in_flight(call(1), 101, write(1));
        assert!(!requests.answer(102, done));
        assert!(!requests.answer(101, |_| None));
        assert_eq!(requests.next(), Next::Nothing);
        requests.check();
    }

    #[test]
    fn a_connection_ends_when_all_that_came_before_is_answered() {
        let mut requests = Requests::default();
        requests.push_in_flight(call(1), 101, write(1));
        requests.push_in_flight(call(2), 102, Request::CloseSession);
        assert!(requests.is_ending() && requests.is_to_end().is_none());
        assert!(requests.answer(101, done) && requests.answer(102, done));
        assert_eq!(taken(&mut requests), [1, 2]);
        assert_eq!(requests.is_to_end(), Some(Ending::Close));
    }

    #[test]
    fn a_connection_is_held_at_its_bound_and_read_from_again_at_half_of_it() {
        let at = HoldAt { count: 4, bytes: 1_000 };
        let mut requests = Requests::default();
        for xid in 1..=4 {
            assert!(!requests.are_many(at));
            requests.push_in_flight(call(xid), 100 + xid as u64, write(xid));
        }
        assert!(requests.are_many(at) && !requests.are_few(at));
        assert!(requests.answer(101, done));
        assert_eq!(taken(&mut requests), [1]);
        assert!(!requests.are_many(at) && !requests.are_few(at), "neither, in between");
        assert!(requests.answer(102, done));
        assert_eq!(taken(&mut requests), [2]);
        assert!(requests.are_few(at));
        requests.push_in_flight(Call { bytes: 1_000, ..call(5) }, 105, write(5));
        assert!(requests.are_many(at), "few, but large");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Read,
        Write,
        Sync,
        Refuse,
        /// The leader answers one of those in flight.
        Answer(usize),
        /// From now on the leader has as much as it may have, or no longer.
        Crowded(bool),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            Just(Step::Read),
            Just(Step::Write),
            Just(Step::Sync),
            Just(Step::Refuse),
            (0..8usize).prop_map(Step::Answer),
            any::<bool>().prop_map(Step::Crowded),
        ]
    }

    proptest! {
        /// As the server drives it: what can be answered is, then what may go to the leader goes.
        #[test]
        fn whatever_happens_requests_leave_in_order_and_writes_reach_the_leader_in_order(
            steps in prop::collection::vec(step(), 1..80),
        ) {
            let mut requests = Requests::default();
            let (mut left, mut at_leader, mut in_flight) = (Vec::new(), Vec::new(), Vec::new());
            let mut crowded = false;
            for (number, step) in steps.into_iter().enumerate() {
                let (xid, ticket) = (number as i32, number as u64);
                match step {
                    Step::Read if requests.is_empty() => left.push(xid),
                    Step::Read => requests.push_pending(call(xid), read()),
                    Step::Sync | Step::Write if crowded || requests.waits_for_room() => {
                        let request = if matches!(step, Step::Sync) { sync() } else { write(xid) };
                        requests.push_pending(call(xid), request);
                    }
                    Step::Sync => {
                        requests.push_in_flight(call(xid), ticket, sync());
                        in_flight.push(ticket);
                    }
                    Step::Write if requests.has_sync_in_flight() => {
                        requests.push_pending(call(xid), write(xid));
                    }
                    Step::Write => {
                        requests.push_in_flight(call(xid), ticket, write(xid));
                        in_flight.push(ticket);
                        at_leader.push(xid);
                    }
                    Step::Refuse => requests.push_refused(call(xid), ErrorCode::Throttled),
                    Step::Answer(_) if in_flight.is_empty() => {}
                    Step::Answer(which) => {
                        let ticket = in_flight.remove(which % in_flight.len());
                        prop_assert!(requests.answer(ticket, done));
                    }
                    Step::Crowded(now) => crowded = now,
                }
                let mut next = 1_000 * (ticket + 1);
                loop {
                    left.extend(taken(&mut requests));
                    if requests.waits_for_room() && !crowded {
                        requests.room_is_there();
                    }
                    let (forwarded, waits) = requests.forward_pending(&[], |_, _| {
                        next += 1;
                        (!crowded).then_some(next)
                    });
                    if waits {
                        requests.wait_for_room();
                    }
                    for (ticket, request) in &forwarded {
                        in_flight.push(*ticket);
                        at_leader.extend(number_of(request));
                    }
                    if forwarded.is_empty() {
                        break;
                    }
                }
                requests.check();
            }
            prop_assert!(left.is_sorted(), "{left:?}");
            prop_assert!(at_leader.is_sorted(), "{at_leader:?}");
        }
    }
}
