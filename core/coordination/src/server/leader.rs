//! The leader's part: requests become transactions.
//!
//! Owns: which requests are granted, their order, the sessions' owners and expiry, the sweep of
//! containers and of znodes whose time is over. Leaves: what a write becomes to [`Pending`],
//! agreement on it to the replica.
//! Holds: every request of a learner ends in exactly one transaction with its origin, or in one
//! answer, or with the learner's link. Refused writes take a place in the order, too, so that a
//! client's answers keep their order for free. The replica bounds how many proposals are in flight;
//! what is beyond is queued here, in order, and is bounded by those who forward: each server has at
//! most `2 * outstanding_max` requests in flight, and one end of a session for each connection.
//! Start at `Server::take_request`.

use super::sessions::{SessionTracker, Source};
use super::{Server, ServerConfig};
use crate::data::Pending;
use crate::io::LinkId;
use crate::replica::Outbox;
use mailstorm_shared::facts::EnsembleFact;
use mailstorm_shared::machine::Loads;
use mailstorm_shared::{Instant, Millis, Now, SessionId, Zxid, planted};
use mailstorm_wire::peer::{Answer, Forwarded, LeaderRequest};
use mailstorm_wire::txn::{TXN_BYTES_MAX, Txn, TxnBody};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What a server knows only while it leads.
#[derive(Clone, Debug, Hash)]
pub(super) struct Leading {
    /// The tree as it will be when everything proposed is applied.
    pub(super) pending: Pending,
    /// Who is alive, and where.
    pub(super) sessions: SessionTracker,
    /// What is to become a transaction when the replica can take more proposals, oldest first.
    queue: VecDeque<Queued>,
    /// Answers that only the newest leader may give, until a majority has confirmed that this is
    /// it; by the replica's token.
    unconfirmed: BTreeMap<u64, Unconfirmed>,
    /// Who wants to resume a session whose end is proposed but not decided: it may yet come to
    /// nothing, so nobody is told before it is applied.
    ending: BTreeMap<SessionId, Vec<ReplyTo>>,
    last_token: u64,
    /// When to look for what is to be swept.
    pub(super) sweep_at: Instant,
    /// When we last looked whose time is over, ...
    looked_at: Instant,
    /// ... and if that was long after the look before: when that was, and until when what came
    /// meanwhile may still wait to be read.
    slept: Option<(Instant, Instant)>,
}

/// Something that is to become a transaction.
#[derive(Clone, Debug, Hash)]
enum Queued {
    /// A client's request.
    Request { to: ReplyTo, session: SessionId, request: LeaderRequest },
    /// The end of a session of which nothing was heard.
    Expiry(SessionId),
    /// A container is empty, or a znode's time is over.
    Sweep(Arc<str>),
}

#[derive(Clone, Debug, Hash)]
struct Unconfirmed {
    to: ReplyTo,
    /// Made when the request came. Every write acknowledged before is in what was committed then:
    /// only this leader, or one before it, can have committed any, if a majority confirms it
    /// afterwards.
    answer: Answer,
}

/// Whose request it is, and its number there.
#[derive(Clone, Copy, Debug, Hash)]
struct ReplyTo {
    source: Source,
    ticket: u64,
}

impl Server {
    /// Leadership is established: every session of the tree gets its full timeout from now.
    pub(super) fn begin_leading(&mut self, now: Now) {
        let (tick, defects) = (self.config.replica.tick, self.config.replica.defects);
        let in_snapshot = SessionId::created_at(self.snapshots.installed());
        let has_snapshot = self.snapshots.installed() != Zxid::ZERO;
        let is_fed = |id: &SessionId| {
            !(planted!(defects, SessionTrackerNotFed) && has_snapshot && *id > in_snapshot)
        };
        let sessions = self.database.sessions().map(|(id, record)| (id, record.timeout));
        let sessions = sessions.filter(|(id, _)| is_fed(id));
        self.leading = Some(Leading {
            pending: Pending::new(),
            sessions: SessionTracker::begin(tick, now.monotonic, sessions, defects),
            queue: VecDeque::new(),
            unconfirmed: BTreeMap::new(),
            ending: BTreeMap::new(),
            last_token: 0,
            sweep_at: now.monotonic + self.config.sweep_every,
            looked_at: now.monotonic,
            slept: None,
        });
    }

    /// A client's request, from a learner or from here.
    pub(super) fn take_request(
        &mut self,
        now: Now,
        source: Source,
        forwarded: Forwarded,
        out: &mut Outbox,
    ) {
        let Forwarded { ticket, session, request } = forwarded;
        if self.leading.is_none() {
            return; // The learner's link is gone, too.
        }
        let to = ReplyTo { source, ticket };
        match request {
            LeaderRequest::Sync => {
                let answer = Answer::Synced { zxid: self.replica.last_committed() };
                if planted!(self.config.replica.defects, SyncUnconfirmed) {
                    return self.answer(now, to, answer, out);
                }
                self.answer_once_confirmed(now, Unconfirmed { to, answer }, out);
            }
            request => self.propose_in_turn(now, Queued::Request { to, session, request }, out),
        }
    }

    fn answer_once_confirmed(&mut self, now: Now, answer: Unconfirmed, out: &mut Outbox) {
        let Some(leading) = &mut self.leading else { return };
        leading.last_token += 1;
        let token = leading.last_token;
        leading.unconfirmed.insert(token, answer);
        self.replica.confirm(now, token, out);
    }

    /// A majority has confirmed this leader since the answer with this token was made.
    pub(super) fn confirmed(&mut self, now: Now, token: u64, out: &mut Outbox) {
        let Some(leading) = &mut self.leading else { return };
        let Some(Unconfirmed { to, answer }) = leading.unconfirmed.remove(&token) else { return };
        self.answer(now, to, answer, out);
    }

    /// A learner is gone. Its requests that are proposed already stay proposed.
    pub(super) fn learner_gone(&mut self, gone: LinkId) {
        self.snapshots.learner_gone(gone);
        if let Some(leading) = &mut self.leading {
            leading.sessions.forget_learner(gone);
            leading.unconfirmed.retain(|_, answer| !answer.to.source.is_behind(gone));
            leading.ending.retain(|_, requests| {
                requests.retain(|to| !to.source.is_behind(gone));
                !requests.is_empty()
            });
            leading.queue.retain(
                |queued| !matches!(queued, Queued::Request { to, .. } if to.source.is_behind(gone)),
            );
        }
    }

    /// Proposes the end of every session whose timeout has passed, and sweeps when it is time.
    pub(super) fn leader_upkeep(&mut self, now: Now, out: &mut Outbox) {
        let (tick, defects) = (self.config.replica.tick, self.config.replica.defects);
        let Some(leading) = &mut self.leading else { return };
        let heard_here = leading.heard_here_until(now.monotonic, tick);
        let replica = &self.replica;
        let expired = leading.sessions.expire(now.monotonic, |owner| match owner {
            _ if planted!(defects, ExpiredUnreported) => now.monotonic,
            // Only a leader that slept waits for reports: of a learner that sleeps, its clients are
            // gone.
            Some(Source::Learner { link, .. }) if heard_here < now.monotonic => {
                replica.reported_until(link).unwrap_or(heard_here)
            }
            _ => heard_here,
        });
        for expired in expired {
            out.tell(EnsembleFact::SessionExpired {
                session: expired.session,
                timeout: expired.timeout,
                silent_for: expired.silent_for,
            });
            self.propose_in_turn(now, Queued::Expiry(expired.session), out);
        }
        self.sweep_if_due(now, out);
    }

    fn sweep_if_due(&mut self, now: Now, out: &mut Outbox) {
        let Some(leading) = &mut self.leading else { return };
        if now.monotonic < leading.sweep_at {
            return;
        }
        leading.sweep_at = now.monotonic + self.config.sweep_every;
        // What clients ask for comes first. A disk can be slow for longer than the time between two
        // sweeps: without this, each would add to what is queued.
        let room = self.config.sweep_count_max.saturating_sub(leading.queue.len());
        for path in self.database.sweepable(now.wall, room, &self.config.data) {
            self.propose_in_turn(now, Queued::Sweep(path), out);
        }
    }

    /// May the session be served where the request comes from? Whoever had it before is told.
    ///
    /// A client that comes back asks first of all what became of its last write, and must get the
    /// final answer: "my znode is not there" is taken as leave to make it again. So nothing of an
    /// earlier connection may be under way any more when it is served:
    /// 1. what was proposed for it is applied there first, up to the end of our log as it is now;
    /// 2. what comes later from another server is refused, since the owner has changed;
    /// 3. what comes later from the same server comes from the new connection, since that server
    ///    asks nothing for the old one once it has asked this (see `pipeline`).
    ///
    /// `None`: the answer comes later. The session's end may be proposed: a leader that falls
    /// before it is committed takes the proposal with it and the session lives on, so a client that
    /// was told of its end too early would believe its ephemerals gone while they are not. Or
    /// nothing is known of the session: a leader that was replaced unawares knows nothing of those
    /// that its successor opened, so a majority has to confirm it before it calls them ended.
    fn resume(
        &mut self,
        now: Now,
        to: ReplyTo,
        session: SessionId,
        password: &[u8; 16],
        out: &mut Outbox,
    ) -> Option<Answer> {
        let record = self.database.session(session).filter(|record| record.password == *password);
        let timeout = record.map(|record| record.timeout);
        let (Some(leading), Some(timeout)) = (&mut self.leading, timeout) else {
            let answer = Answer::NoSession;
            self.answer_once_confirmed(now, Unconfirmed { to, answer }, out);
            return None;
        };
        if leading.sessions.is_closing(session) {
            leading.ending.entry(session).or_default().push(to);
            return None;
        }
        if !leading.sessions.is_alive(session) {
            return Some(Answer::NoSession);
        }
        match leading.sessions.take_over(now.monotonic, session, to.source) {
            Some(Source::Learner { server, .. }) => {
                self.replica.tell_session_moved(server, session, out);
            }
            Some(Source::Here) => self.session_moved(session, out),
            None => {}
        }
        Some(Answer::Session { timeout, zxid: self.replica.last_logged() })
    }

    /// A session's end is applied: whoever wanted to resume it meanwhile is told.
    pub(super) fn tell_ended(&mut self, now: Now, session: SessionId, out: &mut Outbox) {
        let Some(leading) = &mut self.leading else { return };
        for to in leading.ending.remove(&session).unwrap_or_default() {
            self.answer(now, to, Answer::NoSession, out);
        }
    }

    fn answer(&mut self, now: Now, to: ReplyTo, answer: Answer, out: &mut Outbox) {
        match to.source {
            Source::Here => self.answered(now, to.ticket, answer, out),
            Source::Learner { link, .. } => self.replica.answer(link, to.ticket, answer, out),
        }
    }

    fn propose_in_turn(&mut self, now: Now, queued: Queued, out: &mut Outbox) {
        let Some(leading) = &mut self.leading else { return };
        leading.queue.push_back(queued);
        self.propose_queued(now, out);
    }

    /// Grants what is queued, in order, as far as the replica takes proposals. When the epoch has
    /// no place left, nothing more is proposed: the replica steps down, and everybody's requests
    /// end with its links.
    pub(super) fn propose_queued(&mut self, now: Now, out: &mut Outbox) {
        while let Some(leading) = &mut self.leading {
            let resumes = match leading.queue.front() {
                None => return,
                Some(queued) => queued.is_resumption(),
            };
            if !resumes && !self.replica.can_propose() {
                return;
            }
            let Some(queued) = leading.queue.pop_front() else { return };
            if let Queued::Request { to, request: LeaderRequest::OpenSession { .. }, .. } = &queued
                && leading.sessions.count() >= self.config.sessions_max
            {
                self.answer(now, *to, Answer::NoSession, out);
                continue;
            }
            if let Queued::Request {
                to,
                session,
                request: LeaderRequest::ResumeSession { password },
            } = queued
            {
                if let Some(answer) = self.resume(now, to, session, &password, out) {
                    self.answer(now, to, answer, out);
                }
                continue;
            }
            let Some(zxid) = self.replica.next_zxid() else { return };
            if let Some(txn) = self.prepare(now, zxid, queued) {
                let bytes = txn.encode();
                assert!(bytes.len() <= TXN_BYTES_MAX, "what is prepared fits a transaction");
                self.replica.propose(bytes, out);
            }
        }
    }

    /// The transaction at `zxid`: what becomes of a request, granted or refused. `None` when there
    /// is nothing left to be done.
    fn prepare(&mut self, now: Now, zxid: Zxid, queued: Queued) -> Option<Txn> {
        let time = now.wall.0;
        let me = self.config.replica.me;
        let (database, options) = (&self.database, &self.config.data);
        let Leading { pending, sessions, .. } = self.leading.as_mut()?;
        let mut prepare = |session, request: &LeaderRequest| {
            pending.prepare(database, zxid, session, request, options)
        };
        match queued {
            Queued::Request {
                to,
                request: LeaderRequest::OpenSession { timeout, password },
                ..
            } => {
                let timeout = self.config.negotiated(timeout);
                let session = SessionId::created_at(zxid);
                let body = prepare(session, &LeaderRequest::OpenSession { timeout, password });
                sessions.open(now.monotonic, session, timeout, to.source);
                Some(Txn { origin: Some(to.source.origin(me, to.ticket)), session, time, body })
            }
            Queued::Request { to, session, request } => {
                let body = match sessions.check(session, to.source) {
                    Ok(()) => {
                        sessions.heard(now.monotonic, session);
                        prepare(session, &request)
                    }
                    Err(refused) => TxnBody::Error(refused),
                };
                if body == TxnBody::CloseSession {
                    sessions.closing(session);
                }
                Some(Txn { origin: Some(to.source.origin(me, to.ticket)), session, time, body })
            }
            Queued::Expiry(session) => {
                let body = prepare(session, &LeaderRequest::CloseSession);
                Some(Txn { origin: None, session, time, body })
            }
            Queued::Sweep(path) => {
                let body = pending.prepare_sweep(database, zxid, now.wall, &path, options)?;
                Some(Txn { origin: None, session: SessionId::NONE, time, body })
            }
        }
    }
}

impl Leading {
    /// Asserts what always holds of a leader between two steps.
    pub(super) fn invariants(&self, applied: Zxid, last_logged: Zxid) {
        self.pending.invariants(applied, last_logged);
        self.sessions.invariants();
        assert!(
            self.unconfirmed.last_key_value().is_none_or(|(token, _)| *token <= self.last_token),
            "only a confirmation that was asked for is waited for"
        );
        assert!(
            self.ending.first_key_value().is_none_or(|(session, waiting)| {
                !waiting.is_empty() && self.sessions.is_closing(*session)
            }),
            "only the end of a session that is proposed is waited for"
        );
    }

    /// How much a leader keeps; nothing without one.
    pub(super) fn loads(
        leading: Option<&Self>,
        config: &ServerConfig,
        in_flight_max: usize,
        loads: &mut Loads,
    ) {
        let of = |count: fn(&Self) -> usize| leading.map_or(0, count);
        let queued_max = in_flight_max + config.sessions_max + config.sweep_count_max;
        loads.bounded("requests_queued", of(|leading| leading.queue.len()), queued_max);
        loads.bounded("syncs_unconfirmed", of(|leading| leading.unconfirmed.len()), in_flight_max);
        loads.bounded("sessions_ending", of(|leading| leading.ending.len()), config.sessions_max);
        // As much as the proposals under way concern.
        loads.unbounded("znodes_pending", of(|leading| leading.pending.znode_count()) as u64);
    }

    /// Up to when we have read what clients and new learners sent us: now, unless we have just
    /// slept. A leader that is awake looks at least twice per tick.
    fn heard_here_until(&mut self, now: Instant, tick: Millis) -> Instant {
        let before = std::mem::replace(&mut self.looked_at, now);
        if now.since(before) > tick {
            self.slept = Some((before, now + tick));
        }
        match self.slept {
            Some((since, until)) if now < until => since,
            _ => now,
        }
    }
}

#[cfg(test)]
impl Leading {
    /// How much is queued.
    pub(super) fn queued_count(&self) -> usize {
        self.queue.len()
    }
}

impl Queued {
    fn is_resumption(&self) -> bool {
        matches!(self, Self::Request { request: LeaderRequest::ResumeSession { .. }, .. })
    }
}
