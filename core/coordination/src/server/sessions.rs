//! The leader's view of sessions: when each was last heard of, where it is connected, when it is
//! over.
//!
//! Owns: deadlines, in buckets of one tick so that hearing of a session is cheap, and owners.
//! Leaves: the sessions themselves (timeouts, passwords) to the database, which every server has.
//! Holds: a session expires only when its whole timeout has passed on the leader's monotonic clock
//! since the leader last heard of it, or since it became leader. The tracker is made from the
//! database when leadership begins, so a restart or a change of leader ends no session and forgets
//! none (ZOOKEEPER-1367: sessions missing from the tracker left their ephemerals behind for ever).
//! Start at [`SessionTracker::begin`], then [`SessionTracker::expire`].

use crate::io::LinkId;
use mailstorm_shared::{Defects, Instant, Millis, ServerId, SessionId, planted};
use mailstorm_wire::client::ErrorCode;
use mailstorm_wire::txn::Origin;
use std::collections::{BTreeMap, BTreeSet};

/// Where a request comes from, and so where its session is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Source {
    /// A client of the leader itself.
    Here,
    /// A client of a learner. The link says which connection of it: a learner that left and came
    /// back is another source, since it has closed its clients' connections in between.
    Learner {
        /// The learner's link.
        link: LinkId,
        /// The learner.
        server: ServerId,
    },
}

/// Every session that is alive, as the leader follows them.
#[derive(Clone, Debug, Hash)]
pub(super) struct SessionTracker {
    /// Deadlines are rounded up to a multiple of this.
    bucket: Millis,
    sessions: BTreeMap<SessionId, Tracked>,
    /// Who is over when nothing more is heard. Closing sessions are in no bucket.
    deadlines: BTreeMap<Instant, BTreeSet<SessionId>>,
    defects: Defects,
}

#[derive(Clone, Debug, Hash)]
struct Tracked {
    timeout: Millis,
    heard: Instant,
    deadline: Instant,
    owner: Option<Source>,
    /// Its end has been proposed: nothing more is created for it, and nobody resumes it.
    closing: bool,
}

/// A session of which nothing was heard for its whole timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expired {
    /// Which.
    pub(super) session: SessionId,
    /// The timeout negotiated.
    pub(super) timeout: Millis,
    /// For how long nothing was heard; never less than `timeout`.
    pub(super) silent_for: Millis,
}

impl Source {
    /// Whether it is this learner, on this link.
    pub(super) fn is_behind(self, gone: LinkId) -> bool {
        matches!(self, Self::Learner { link, .. } if link == gone)
    }

    /// What a transaction says of it, on a leader that is `me`.
    pub(super) fn origin(self, me: ServerId, ticket: u64) -> Origin {
        match self {
            Self::Here => Origin { server: me, ticket },
            Self::Learner { server, .. } => Origin { server, ticket },
        }
    }
}

impl SessionTracker {
    /// A tracker of these sessions, each with its full timeout from now.
    pub(super) fn begin(
        bucket: Millis,
        now: Instant,
        sessions: impl Iterator<Item = (SessionId, Millis)>,
        defects: Defects,
    ) -> Self {
        let mut tracker = Self {
            bucket: bucket.max(Millis(1)),
            sessions: BTreeMap::new(),
            deadlines: BTreeMap::new(),
            defects,
        };
        for (session, timeout) in sessions {
            tracker.insert(now, session, timeout, None);
        }
        tracker
    }

    /// A new session, connected at `owner`.
    pub(super) fn open(
        &mut self,
        now: Instant,
        session: SessionId,
        timeout: Millis,
        owner: Source,
    ) {
        self.insert(now, session, timeout, Some(owner));
    }

    /// Something was heard of a session. Sessions that are closing, or unknown, stay so.
    pub(super) fn heard(&mut self, now: Instant, session: SessionId) {
        let Some(tracked) = self.sessions.get_mut(&session) else { return };
        if tracked.closing {
            return;
        }
        tracked.heard = tracked.heard.max(now);
        let deadline = deadline(self.bucket, tracked.heard, tracked.timeout);
        if deadline == tracked.deadline {
            return;
        }
        let earlier = std::mem::replace(&mut tracked.deadline, deadline);
        self.leave_bucket(earlier, session);
        self.deadlines.entry(deadline).or_default().insert(session);
    }

    /// Whether a request from `source` may act for this session.
    ///
    /// # Errors
    /// [`ErrorCode::SessionExpired`] when it is over or about to be, [`ErrorCode::SessionMoved`]
    /// when it is connected elsewhere: a write of its old connection must not follow one of its
    /// new.
    pub(super) fn check(&self, session: SessionId, source: Source) -> Result<(), ErrorCode> {
        match self.sessions.get(&session) {
            None => Err(ErrorCode::SessionExpired),
            Some(tracked)
                if tracked.closing && !planted!(self.defects, EphemeralAfterSessionClosed) =>
            {
                Err(ErrorCode::SessionExpired)
            }
            Some(tracked) if tracked.owner != Some(source) => Err(ErrorCode::SessionMoved),
            Some(_) => Ok(()),
        }
    }

    /// Whether a session is known, and its end not proposed.
    pub(super) fn is_alive(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(|tracked| !tracked.closing)
    }

    /// Whether a session's end is proposed, and not yet decided.
    pub(super) fn is_closing(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(|tracked| tracked.closing)
    }

    /// Connects a living session to `owner`; the owner before it, if it was another.
    pub(super) fn take_over(
        &mut self,
        now: Instant,
        session: SessionId,
        owner: Source,
    ) -> Option<Source> {
        self.heard(now, session);
        let tracked = self.sessions.get_mut(&session)?;
        tracked.owner.replace(owner).filter(|before| *before != owner)
    }

    /// The end of a session has been proposed.
    pub(super) fn closing(&mut self, session: SessionId) {
        if let Some(tracked) = self.sessions.get_mut(&session)
            && !std::mem::replace(&mut tracked.closing, true)
        {
            let deadline = tracked.deadline;
            self.leave_bucket(deadline, session);
        }
    }

    /// A session is over.
    pub(super) fn ended(&mut self, session: SessionId) {
        if let Some(tracked) = self.sessions.remove(&session)
            && !tracked.closing
        {
            self.leave_bucket(tracked.deadline, session);
        }
    }

    /// A learner is gone: its sessions are connected nowhere, until they are resumed or expire.
    pub(super) fn forget_learner(&mut self, gone: LinkId) {
        for tracked in self.sessions.values_mut() {
            if tracked.owner.is_some_and(|owner| owner.is_behind(gone)) {
                tracked.owner = None;
            }
        }
    }

    /// Takes out the sessions whose deadline has passed in silence. The caller proposes their end,
    /// and with that they are closing.
    ///
    /// Silence is known only up to `reported_until`, which for a leader that slept is not now but
    /// what the session's server has reported: 1. the leader sleeps for longer than a timeout; 2.
    /// the client pings its server all the time; 3. the leader wakes, and finds the deadline passed
    /// before it has read what came meanwhile.
    pub(super) fn expire(
        &mut self,
        now: Instant,
        reported_until: impl Fn(Option<Source>) -> Instant,
    ) -> Vec<Expired> {
        let (mut expired, mut waiting) = (Vec::new(), Vec::new());
        while let Some(bucket) = self.deadlines.first_entry() {
            if *bucket.key() > now {
                break;
            }
            for session in bucket.remove() {
                let tracked = self
                    .sessions
                    .get_mut(&session)
                    .expect("a session in a bucket is tracked, since leaving one leaves both");
                let silent_for = reported_until(tracked.owner).min(now).since(tracked.heard);
                if silent_for < tracked.timeout {
                    tracked.deadline = deadline(self.bucket, now, Millis(1));
                    waiting.push((tracked.deadline, session));
                    continue;
                }
                tracked.closing = true;
                assert!(silent_for >= tracked.timeout, "a session expired before its timeout");
                expired.push(Expired { session, timeout: tracked.timeout, silent_for });
            }
        }
        for (deadline, session) in waiting {
            self.deadlines.entry(deadline).or_default().insert(session);
        }
        expired
    }

    /// When the next session may have to expire.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first_key_value().map(|(deadline, _)| *deadline)
    }

    /// The sessions that expire at each deadline if nothing more is heard of them, in order.
    pub(super) fn buckets(&self) -> impl Iterator<Item = (Instant, &BTreeSet<SessionId>)> {
        self.deadlines.iter().map(|(deadline, sessions)| (*deadline, sessions))
    }

    /// How many sessions are alive or closing.
    pub(super) fn count(&self) -> usize {
        self.sessions.len()
    }

    /// Asserts what always holds, as far as it costs nothing to look.
    pub(super) fn invariants(&self) {
        assert!(
            self.deadlines.len() <= self.sessions.len(),
            "a deadline is that of a session which is alive"
        );
        let first = self.deadlines.first_key_value();
        assert!(
            first.is_none_or(|(_, sessions)| !sessions.is_empty()),
            "a deadline without sessions is forgotten"
        );
        assert!(
            first.is_none_or(|(deadline, _)| deadline.0.is_multiple_of(self.bucket.0)),
            "deadlines are rounded to buckets"
        );
    }

    /// Asserts that each session that is alive has its deadline, and no other has. It takes as long
    /// as there are many.
    #[cfg(test)]
    pub(super) fn check_all(&self) {
        self.invariants();
        let alive = self.sessions.iter().filter(|(_, tracked)| !tracked.closing);
        let buckets: usize = self.deadlines.values().map(BTreeSet::len).sum();
        assert_eq!(alive.clone().count(), buckets, "a session that is closing has no deadline");
        for (session, tracked) in alive {
            let bucket = self.deadlines.get(&tracked.deadline);
            assert!(bucket.is_some_and(|bucket| bucket.contains(session)), "a deadline is kept");
        }
    }

    fn insert(&mut self, now: Instant, session: SessionId, timeout: Millis, owner: Option<Source>) {
        let timeout = match timeout {
            Millis(ms) if planted!(self.defects, SessionExpiredEarly) => Millis(ms / 2),
            timeout => timeout,
        };
        let deadline = deadline(self.bucket, now, timeout);
        let tracked = Tracked { timeout, heard: now, deadline, owner, closing: false };
        let before = self.sessions.insert(session, tracked);
        assert!(before.is_none(), "session ids are zxids: no two sessions share one");
        self.deadlines.entry(deadline).or_default().insert(session);
    }

    fn leave_bucket(&mut self, deadline: Instant, session: SessionId) {
        if let Some(bucket) = self.deadlines.get_mut(&deadline) {
            bucket.remove(&session);
            if bucket.is_empty() {
                self.deadlines.remove(&deadline);
            }
        }
    }
}

/// The first multiple of `bucket` at which the whole timeout has passed.
fn deadline(bucket: Millis, heard: Instant, timeout: Millis) -> Instant {
    Instant((heard + timeout).0.div_ceil(bucket.0).saturating_mul(bucket.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: SessionId = SessionId(7);

    fn tracker(timeout: u64) -> SessionTracker {
        let sessions = [(SESSION, Millis(timeout))];
        SessionTracker::begin(Millis(1_000), Instant(500), sessions.into_iter(), Defects::NONE)
    }

    fn learner(link: u64) -> Source {
        Source::Learner { link: LinkId(link), server: ServerId::new(2).unwrap() }
    }

    #[test]
    fn every_session_gets_its_full_timeout_when_leadership_begins() {
        let mut tracker = tracker(4_000);
        assert_eq!(tracker.next_deadline(), Some(Instant(5_000)));
        assert_eq!(tracker.expire(Instant(4_499), |_| Instant(4_499)), []);
        let expired = tracker.expire(Instant(5_000), |_| Instant(5_000));
        assert_eq!(
            expired,
            [Expired { session: SESSION, timeout: Millis(4_000), silent_for: Millis(4_500) }]
        );
        assert_eq!(tracker.next_deadline(), None);
    }

    #[test]
    fn a_session_heard_of_lives_on_and_its_old_bucket_is_gone() {
        let mut tracker = tracker(4_000);
        tracker.heard(Instant(1_200), SESSION);
        assert_eq!(tracker.next_deadline(), Some(Instant(6_000)));
        assert_eq!(tracker.expire(Instant(5_999), |_| Instant(5_999)), []);
        assert_eq!(tracker.expire(Instant(6_000), |_| Instant(6_000)).len(), 1);
    }

    #[test]
    fn a_session_that_expires_can_neither_write_nor_be_resumed_nor_be_heard() {
        let mut tracker = tracker(4_000);
        tracker.take_over(Instant(600), SESSION, Source::Here);
        assert_eq!(tracker.check(SESSION, Source::Here), Ok(()));
        tracker.expire(Instant(9_000), |_| Instant(9_000));
        tracker.heard(Instant(9_001), SESSION);
        assert_eq!(tracker.check(SESSION, Source::Here), Err(ErrorCode::SessionExpired));
        assert!(!tracker.is_alive(SESSION));
        assert_eq!(tracker.next_deadline(), None);
        tracker.ended(SESSION);
        assert_eq!(tracker.count(), 0);
    }

    #[test]
    fn a_session_acts_where_it_is_connected_and_nowhere_else() {
        let mut tracker = tracker(4_000);
        assert_eq!(tracker.check(SESSION, Source::Here), Err(ErrorCode::SessionMoved));
        assert_eq!(tracker.take_over(Instant(600), SESSION, learner(1)), None);
        assert_eq!(tracker.take_over(Instant(600), SESSION, learner(1)), None);
        assert_eq!(tracker.take_over(Instant(600), SESSION, Source::Here), Some(learner(1)));
        assert_eq!(tracker.check(SESSION, learner(1)), Err(ErrorCode::SessionMoved));
        assert_eq!(tracker.check(SESSION, Source::Here), Ok(()));
    }

    #[test]
    fn a_learner_that_is_gone_owns_nothing_but_its_sessions_live() {
        let mut tracker = tracker(4_000);
        tracker.take_over(Instant(600), SESSION, learner(1));
        tracker.forget_learner(LinkId(2));
        assert_eq!(tracker.check(SESSION, learner(1)), Ok(()));
        tracker.forget_learner(LinkId(1));
        assert_eq!(tracker.check(SESSION, learner(1)), Err(ErrorCode::SessionMoved));
        assert!(tracker.is_alive(SESSION));
        assert_eq!(tracker.take_over(Instant(700), SESSION, learner(2)), None);
    }

    #[test]
    fn a_session_whose_end_is_proposed_expires_no_more() {
        let mut tracker = tracker(4_000);
        tracker.closing(SESSION);
        assert_eq!(tracker.expire(Instant(50_000), |_| Instant(50_000)), []);
        tracker.ended(SESSION);
        assert_eq!(tracker.check(SESSION, Source::Here), Err(ErrorCode::SessionExpired));
    }

    #[test]
    fn silence_counts_up_to_what_the_sessions_server_has_reported() {
        let here = Some(Source::Here);
        let mut tracker =
            SessionTracker::begin(Millis(2_000), Instant::ZERO, std::iter::empty(), Defects::NONE);
        tracker.open(Instant(0), SessionId(7), Millis(4_000), Source::Here);
        // It slept, and does not know what came since.
        let reported =
            |until| move |owner| if owner == here { Instant(until) } else { Instant::ZERO };
        assert_eq!(tracker.expire(Instant(9_000), reported(3_999)), []);
        assert_eq!(tracker.next_deadline(), Some(Instant(10_000)), "it asks again soon");
        tracker.heard(Instant(9_100), SessionId(7));
        assert_eq!(tracker.expire(Instant(13_000), reported(13_000)), []);
        let expired = tracker.expire(Instant(14_000), reported(13_500));
        assert_eq!(expired.len(), 1);
        assert_eq!(expired[0].silent_for, Millis(4_400));
        assert_eq!(tracker.next_deadline(), None);
    }
}
