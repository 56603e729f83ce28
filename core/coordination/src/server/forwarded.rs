//! The requests of this server that the leader has: *forwarded*, and not answered.
//!
//! Owns: their tickets, whose each is, which session it is to resume, how much all of them are, and
//! the answers that wait until what they name is applied here, and who waits for room. Leaves: what
//! follows when they are too many to whoever forwards.
//! Holds: a ticket is in use once. A connection may be gone before its answer comes; its requests
//! count until then, since they are on the link and in the leader's memory all the same.
//! Start at [`ForwardedRequests::forward`].

use crate::io::ClientId;
use mailstorm_shared::machine::Loads;
use mailstorm_shared::{SessionId, Zxid};
use mailstorm_wire::peer::Answer;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// See the module's head.
#[derive(Clone, Debug, Hash)]
pub(super) struct ForwardedRequests {
    by_ticket: BTreeMap<u64, InFlight>,
    /// The sessions to be resumed, each with the ticket of the request. After a change of leader
    /// there can be as many as there are clients.
    resuming: BTreeSet<(SessionId, u64)>,
    bytes: usize,
    /// The leader's answers, by what must be applied here before they mean anything.
    answers: BTreeMap<Zxid, Vec<(u64, Answer)>>,
    /// The connections with something that the leader has no room for, in the order of their turns.
    waiting: VecDeque<ClientId>,
    last_ticket: u64,
}

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct InFlight {
    /// Whose it is.
    pub(super) client: ClientId,
    /// How long it is.
    pub(super) bytes: usize,
    /// The session to be resumed, if it asks for that.
    pub(super) resumes: Option<SessionId>,
}

impl ForwardedRequests {
    /// The leader has nothing of ours. The incarnation marks the tickets, so that a restarted
    /// server never takes a transaction of its former life for an answer.
    pub(super) fn new(incarnation: u32) -> Self {
        Self {
            by_ticket: BTreeMap::new(),
            resuming: BTreeSet::new(),
            bytes: 0,
            answers: BTreeMap::new(),
            waiting: VecDeque::new(),
            last_ticket: u64::from(incarnation) << 32,
        }
    }

    /// A request is on its way to the leader, under this ticket.
    pub(super) fn forward(&mut self, request: InFlight) -> u64 {
        // The incarnation is in the high half. The low half may wrap: far fewer are in flight.
        let counter = (self.last_ticket as u32).wrapping_add(1);
        self.last_ticket = self.last_ticket >> 32 << 32 | u64::from(counter);
        let ticket = self.last_ticket;
        let before = self.by_ticket.insert(ticket, request);
        assert!(before.is_none(), "no two requests in flight share a ticket");
        self.bytes += request.bytes;
        self.resuming.extend(request.resumes.map(|session| (session, ticket)));
        ticket
    }

    /// The request is answered.
    pub(super) fn answered(&mut self, ticket: u64) -> Option<InFlight> {
        let request = self.by_ticket.remove(&ticket)?;
        assert!(request.bytes <= self.bytes, "the bytes of what is in flight are counted");
        self.bytes -= request.bytes;
        if let Some(session) = request.resumes {
            let known = self.resuming.remove(&(session, ticket));
            assert!(known, "a session to be resumed is known until its request is answered");
        }
        Some(request)
    }

    /// The leader's answer came, and means something only when `zxid` is applied.
    pub(super) fn defer(&mut self, zxid: Zxid, ticket: u64, answer: Answer) {
        self.answers.entry(zxid).or_default().push((ticket, answer));
    }

    /// The next answers that mean something when everything up to `applied` is.
    pub(super) fn next_deferred(&mut self, applied: Zxid) -> Option<Vec<(u64, Answer)>> {
        let first = self.answers.first_entry().filter(|first| *first.key() <= applied)?;
        Some(first.remove())
    }

    /// The connections that the leader has given this session to, and that are not served yet.
    pub(super) fn granted(&self, session: SessionId) -> Vec<ClientId> {
        self.answers
            .values()
            .flatten()
            .filter(|(_, answer)| matches!(answer, Answer::Session { .. }))
            .filter_map(|(ticket, _)| self.by_ticket.get(ticket))
            .filter(|request| request.resumes == Some(session))
            .map(|request| request.client)
            .collect()
    }

    /// Whether a newer connection waits to take this session over.
    pub(super) fn is_resuming(&self, session: SessionId) -> bool {
        self.resuming.range((session, 0)..=(session, u64::MAX)).next().is_some()
    }

    /// Nothing will be answered any more: there is no leader that has it. Tickets are not given
    /// again.
    pub(super) fn clear(&mut self) {
        self.by_ticket.clear();
        self.resuming.clear();
        self.answers.clear();
        self.waiting.clear();
        self.bytes = 0;
    }

    /// Whose the request with this ticket is.
    pub(super) fn client(&self, ticket: u64) -> Option<ClientId> {
        self.by_ticket.get(&ticket).map(|request| request.client)
    }

    /// The connection has something that the leader has no room for: its turn comes last.
    pub(super) fn wait(&mut self, client: ClientId) {
        self.waiting.push_back(client);
    }

    /// The connection is gone.
    pub(super) fn wait_no_longer(&mut self, client: ClientId) {
        self.waiting.retain(|waiting| *waiting != client);
    }

    /// Whether a connection waits for room.
    pub(super) fn are_waited_for(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The connection whose turn it is.
    pub(super) fn next_waiting(&mut self) -> Option<ClientId> {
        self.waiting.pop_front()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_ticket.len()
    }

    /// Whether there are so many, in number or in bytes.
    pub(super) fn reaches(&self, count: usize, bytes: usize) -> bool {
        self.len() >= count || self.bytes >= bytes
    }

    /// How much the leader has of this server, which may have so much there.
    pub(super) fn loads(&self, max: usize, bytes_max: usize, loads: &mut Loads) {
        loads.bounded("requests_in_flight", self.len(), max);
        loads.bounded("request_bytes_in_flight", self.bytes, bytes_max);
        loads.bounded("answers_deferred", self.answers.len(), max);
        loads.bounded("clients_waiting_for_room", self.waiting.len(), max);
    }

    /// What always holds, as far as it costs nothing to look. `applied` is the last transaction
    /// applied.
    pub(super) fn invariants(&self, applied: Zxid) {
        assert!(
            self.resuming.len() <= self.by_ticket.len(),
            "a session to be resumed is that of a request in flight"
        );
        assert!(
            self.bytes == 0 || !self.by_ticket.is_empty(),
            "no bytes are counted where nothing is in flight"
        );
        let first = self.answers.first_key_value();
        assert!(
            first.is_none_or(|(zxid, _)| *zxid > applied),
            "an answer is given as soon as what it waits for is applied"
        );
    }

    /// What always holds, request by request.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let bytes: usize = self.by_ticket.values().map(|request| request.bytes).sum();
        assert_eq!(self.bytes, bytes, "the bytes are those of what is in flight");
        let resumes = |(ticket, request): (&u64, &InFlight)| Some((request.resumes?, *ticket));
        let resuming: BTreeSet<_> = self.by_ticket.iter().filter_map(resumes).collect();
        assert_eq!(self.resuming, resuming, "the sessions are those of requests in flight");
        for ticket in self.by_ticket.keys() {
            assert_eq!(
                ticket >> 32,
                self.last_ticket >> 32,
                "a ticket is of this incarnation of the server"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(client: u64) -> InFlight {
        InFlight { client: ClientId(client), bytes: 10, resumes: None }
    }

    fn resume(client: u64, session: i64) -> InFlight {
        InFlight { bytes: 0, resumes: Some(SessionId(session)), ..of(client) }
    }

    #[test]
    fn requests_count_from_the_leader_to_the_answer() {
        let mut forwarded = ForwardedRequests::new(3);
        let first = forwarded.forward(of(1));
        let second = forwarded.forward(of(2));
        assert_eq!(first >> 32, 3, "the incarnation marks the ticket");
        assert!(forwarded.reaches(2, 100) && forwarded.reaches(100, 20));
        assert_eq!(forwarded.client(second), Some(ClientId(2)));
        assert_eq!(forwarded.answered(first), Some(of(1)));
        assert_eq!(forwarded.answered(first), None, "a request is answered once");
        assert!(!forwarded.reaches(2, 20));
        forwarded.check();
    }

    #[test]
    fn a_session_is_to_be_resumed_until_the_last_request_for_it_is_answered() {
        let mut forwarded = ForwardedRequests::new(0);
        let tickets = [resume(1, 7), resume(2, 7), resume(3, 8)].map(|r| forwarded.forward(r));
        assert!(forwarded.is_resuming(SessionId(7)) && !forwarded.is_resuming(SessionId(6)));
        forwarded.answered(tickets[0]);
        assert!(forwarded.is_resuming(SessionId(7)));
        forwarded.answered(tickets[1]);
        assert!(!forwarded.is_resuming(SessionId(7)) && forwarded.is_resuming(SessionId(8)));
        forwarded.check();
    }

    #[test]
    fn an_answer_waits_for_what_it_names_and_comes_in_the_order_of_that() {
        let mut forwarded = ForwardedRequests::new(0);
        let (late, early) = (forwarded.forward(resume(1, 7)), forwarded.forward(of(2)));
        let granted = Answer::Session { timeout: mailstorm_shared::Millis(1), zxid: Zxid(9) };
        forwarded.defer(Zxid(9), late, granted);
        forwarded.defer(Zxid(5), early, Answer::Synced { zxid: Zxid(5) });
        assert_eq!(forwarded.granted(SessionId(7)), [ClientId(1)]);
        assert_eq!(forwarded.next_deferred(Zxid(4)), None);
        let next = forwarded.next_deferred(Zxid(9)).unwrap();
        assert_eq!(next[0].0, early);
        assert_eq!(forwarded.next_deferred(Zxid(9)).unwrap(), [(late, granted)]);
        forwarded.invariants(Zxid(9));
    }

    #[test]
    fn a_ticket_is_not_given_again_when_the_leader_is_gone() {
        let mut forwarded = ForwardedRequests::new(0);
        let before = forwarded.forward(of(1));
        forwarded.clear();
        assert_eq!((forwarded.len(), forwarded.client(before)), (0, None));
        assert_ne!(forwarded.forward(of(1)), before);
        forwarded.check();
    }
}
