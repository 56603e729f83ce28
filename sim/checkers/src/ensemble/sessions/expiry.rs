//! Who was heard, and who expired: a session ends for silence, and silence ends a session.
//!
//! Owns: reigns, what each server heard and when, which faults could excuse a late report. Leaves:
//! what transactions do to sessions to the checker above.
//!
//! A leader decides by its own clock, so silence is measured by that: it may be off by so much as
//! clocks that are not broken are, and a plan that lets it run faster still lets sessions end
//! sooner.
//!
//! What a leader hears itself counts exactly, apart from its clock's drift. What a follower hears
//! reaches the leader with the next pong, so it counts only in *calm*: while the follower served
//! that leader all the time, and for a while no fault struck either of them. The same goes for the
//! other direction: that a leader must have ended a silent session counts only while nothing struck
//! the leader.
//!
//! A leader that sleeps is no excuse. When it wakes, silence counts up to what the session's server
//! has reported, and that reports everything it has heard by then: so for a while the leader ends
//! only sessions that were silent for their whole timeout at the servers that follow it, reported
//! or not. That counts while nothing that touches links struck the leader or such a server, for a
//! timeout before the sleep and since.

use super::broken;
use crate::ensemble::servers::{PerServer, node_of};
use mailstorm_record::{FaultKind, Plan, Violation};
use mailstorm_shared::{Millis, ServerId, SessionId};
use std::collections::{BTreeMap, BTreeSet};

/// How much a node's clock may be off: one part in ten, far beyond any clock that is not broken.
const DRIFT_PER_MILLE_MAX: u64 = 100;
const DRIFT_PPM_MAX: u64 = DRIFT_PER_MILLE_MAX * 1_000;
/// How late the leader may know what a follower heard, in calm: three times the pause between two
/// pings (half of ZooKeeper's customary tick of two seconds).
const REPORT_LAG_MS_MAX: u64 = 3_000;
/// Calm begins so long after the last fault that struck: by then connections are up again, and
/// whoever fell behind has caught up.
const CALM_AFTER_MS: u64 = 5_000;
/// A sleep that a leader notices: beyond a tick, by whatever clock.
const SLEEP_MS_MIN: u64 = 2_500;
/// For so long after a leader has woken, silence counts up to what was reported before: nearly a
/// tick.
const WAKING_MS: u64 = 1_500;
/// How much longer than its timeout a session may last in silence, in calm at the leader: for the
/// bucket that its deadline is rounded up to (one tick), and for reports of followers that are
/// struck, which the leader waits for no longer than five ticks.
const SILENCE_MS_MAX: u64 = 14_000;

const NS_PER_MS: u64 = 1_000_000;

/// Follows reigns, silence and faults.
#[derive(Clone, Debug, Default)]
pub(super) struct Expiry {
    /// The sessions that are open.
    sessions: BTreeMap<SessionId, Signs>,
    servers: PerServer<Server>,
    /// The servers that each fault under way strikes, and whether it touches links.
    faults: BTreeMap<usize, (Vec<ServerId>, bool)>,
    /// By how much each fault of the plan makes clocks faster, of those that do.
    fast: BTreeMap<usize, u64>,
    /// The clocks that have been fast.
    drifts: Vec<Drift>,
}

/// A time during which a server's clock was fast.
#[derive(Clone, Debug)]
struct Drift {
    index: usize,
    server: ServerId,
    ppm: u64,
    until_ns: Option<u64>,
}

/// A session's signs of life.
#[derive(Clone, Debug)]
struct Signs {
    timeout: Millis,
    opened_at_ns: u64,
    /// Who heard of it, and when for the last time.
    heard: Vec<(ServerId, u64)>,
    /// When somebody heard of it after a silence that was long enough to end it.
    resumed_ns: Option<u64>,
}

/// What is known of a server's role, and of its troubles.
#[derive(Clone, Debug, Default)]
struct Server {
    reign: Option<Reign>,
    /// Whom it follows, and since when.
    follows: Option<(ServerId, u64)>,
    /// How many faults strike it now, apart from those that stop it.
    struck_by: usize,
    /// When the last one ended, or its process started or woke up.
    troubled_until_ns: Option<u64>,
    /// The same of faults that touch links.
    cut_by: usize,
    cut_until_ns: u64,
    /// Whether its process is stopped.
    sleeps: bool,
    /// When it was stopped last, and until when something had cut it off before, as long as nothing
    /// else does.
    slept_from_ns: Option<(u64, u64)>,
    /// When it woke.
    woke_ns: Option<u64>,
}

/// A server's time as leader.
#[derive(Clone, Debug)]
struct Reign {
    since_ns: u64,
    /// The sessions that it has decided to end, as long as they are open.
    ended: BTreeSet<SessionId>,
}

impl Signs {
    /// After so much silence its time has passed on a clock that is fast by so much.
    fn real_ms_min(&self, fast_ppm: u64) -> u64 {
        const MILLION: u64 = 1_000_000;
        self.timeout.0 * MILLION / (MILLION + fast_ppm)
    }

    /// Whether a leader that knows only what is older than this lag may take it for silent.
    fn may_seem_silent(&self, at: u64, lag_ms: u64) -> bool {
        self.resumed_ns.is_some_and(|resumed_ns| at < resumed_ns + lag_ms * NS_PER_MS)
    }

    fn last_ns(&self) -> u64 {
        self.heard.iter().map(|(_, at_ns)| *at_ns).fold(self.opened_at_ns, u64::max)
    }
}

impl Server {
    /// Whether something strikes it now.
    fn is_struck(&self) -> bool {
        self.struck_by > 0 || self.sleeps
    }

    /// Whether its links are touched now, or it does not use them.
    fn is_cut_off(&self) -> bool {
        self.cut_by > 0 || self.sleeps
    }

    /// From when on it slept, if it woke a moment ago, and until when it was cut off before.
    fn wakes_after_ns(&self, at: u64) -> Option<(u64, u64)> {
        let ((from_ns, cut_ns), woke_ns) = self.slept_from_ns.zip(self.woke_ns)?;
        let is_long = woke_ns.saturating_sub(from_ns) >= SLEEP_MS_MIN * NS_PER_MS;
        let is_waking = at < woke_ns + WAKING_MS * NS_PER_MS;
        (is_long && is_waking).then_some((from_ns, cut_ns))
    }

    /// Whether nothing has struck it from some time before `since_ns` on.
    fn is_calm_since(&self, since_ns: u64) -> bool {
        let calm_ns = CALM_AFTER_MS * NS_PER_MS;
        !self.is_struck()
            && self.troubled_until_ns.is_none_or(|until_ns| until_ns + calm_ns < since_ns)
    }
}

impl Expiry {
    /// What will go wrong.
    pub(super) fn plan(&mut self, plan: &Plan) {
        let faults = plan.faults.iter().enumerate();
        let fast = faults.filter_map(|(index, fault)| match fault.kind {
            FaultKind::Drift { ppm, .. } => u64::try_from(ppm).ok().map(|ppm| (index, ppm)),
            _ => None,
        });
        self.fast = fast.collect();
    }

    /// By how much this server's clock was fast since then, at the most.
    fn fast_ppm(&self, server: ServerId, since_ns: u64) -> u64 {
        let drifts = self.drifts.iter().filter(|drift| drift.server == server);
        let late = drifts.filter(|drift| drift.until_ns.is_none_or(|until| until >= since_ns));
        late.map(|drift| drift.ppm).fold(DRIFT_PPM_MAX, u64::max)
    }

    pub(super) fn opened(&mut self, at: u64, session: SessionId, timeout: Millis) {
        let signs = Signs { timeout, opened_at_ns: at, heard: Vec::new(), resumed_ns: None };
        self.sessions.insert(session, signs);
    }

    pub(super) fn closed(&mut self, session: SessionId) {
        self.sessions.remove(&session);
        for server in self.servers.values_mut() {
            if let Some(reign) = &mut server.reign {
                reign.ended.remove(&session);
            }
        }
    }

    pub(super) fn heard(&mut self, at: u64, server: ServerId, session: SessionId) {
        let Some(signs) = self.sessions.get_mut(&session) else { return };
        if at.saturating_sub(signs.last_ns()) / NS_PER_MS >= signs.real_ms_min(DRIFT_PPM_MAX) {
            signs.resumed_ns = Some(at);
        }
        match signs.heard.iter_mut().find(|(by, _)| *by == server) {
            Some((_, at_ns)) => *at_ns = at,
            None => signs.heard.push((server, at)),
        }
    }

    /// A server says that it ends a session of this timeout, by what it was told, for silence.
    pub(super) fn expired(
        &mut self,
        at: u64,
        server: ServerId,
        session: SessionId,
        timeout: Millis,
        silent_for: Millis,
    ) -> Result<(), Violation> {
        let Some(reign) = &mut self.servers.get_mut(server).reign else {
            let detail = format!("{server} expired session {session}, but does not lead");
            return Err(broken("expired_by_follower", at, [node_of(server)], detail));
        };
        let signs = self.sessions.get(&session);
        if signs.is_some() {
            reign.ended.insert(session);
        }
        let timeout = signs.map_or(timeout, |signs| signs.timeout);
        if silent_for < timeout {
            let detail = format!(
                "{server} expired session {session} after {silent_for}, but its timeout is {timeout}"
            );
            return Err(broken("expired_early", at, [node_of(server)], detail));
        }
        self.expired_unreported(at, server, session)?;
        let signs = self.sessions.get(&session);
        let heard = signs.into_iter().flat_map(|s| s.heard.iter().map(move |heard| (s, heard)));
        for (signs, (by, heard_at)) in heard {
            let Some(lag_ms) = self.report_lag_ms(*by, server, *heard_at) else { continue };
            let silent_ms = at.saturating_sub(*heard_at) / NS_PER_MS;
            // What was heard after the time had passed may not have been reported yet.
            let is_known = !signs.may_seem_silent(at, lag_ms);
            let fast_ppm = self.fast_ppm(server, *heard_at);
            if is_known && silent_ms + lag_ms < signs.real_ms_min(fast_ppm) {
                let detail = format!(
                    "{server} expired session {session} with a timeout of {timeout}, but {by} had heard of it {silent_ms} ms before"
                );
                let by = Some(*by).filter(|by| *by != server);
                let nodes = [Some(server), by].into_iter().flatten().map(node_of);
                return Err(broken("expired_though_heard", at, nodes, detail));
            }
        }
        Ok(())
    }

    /// A leader that has just woken ends a session. It may if that was silent for its whole
    /// timeout, from whatever moment on, at servers that report to this leader.
    fn expired_unreported(
        &self,
        at: u64,
        leader: ServerId,
        session: SessionId,
    ) -> Result<(), Violation> {
        let leading = self.servers.get(leader);
        let slept = leading.and_then(|leading| Some((leading, leading.wakes_after_ns(at)?)));
        let (Some((leading, (from_ns, cut_ns))), Some(signs)) =
            (slept, self.sessions.get(&session))
        else {
            return Ok(());
        };
        let timeout_ns = signs.real_ms_min(self.fast_ppm(leader, from_ns)) * NS_PER_MS;
        let since_ns = from_ns.saturating_sub(timeout_ns);
        let is_silent = |until_ns: u64| at.saturating_sub(until_ns) >= timeout_ns;
        let was_silent = signs.resumed_ns.is_some_and(|resumed_ns| resumed_ns >= since_ns);
        let reign_ns = leading.reign.as_ref().map_or(at, |reign| reign.since_ns);
        if is_silent(signs.last_ns()) || was_silent || reign_ns.max(cut_ns) > since_ns {
            return Ok(());
        }
        // Whoever heard it since then must have been able to report that.
        let reports = |by: ServerId| {
            by == leader
                || self.servers.get(by).is_some_and(|follower| {
                    let follows = follower.follows.filter(|(followed, _)| *followed == leader);
                    follows.is_some_and(|(_, since)| since <= since_ns)
                        && !follower.is_cut_off()
                        && follower.cut_until_ns <= since_ns
                })
        };
        let lately = || signs.heard.iter().filter(|(_, heard_at)| *heard_at >= since_ns);
        if lately().next().is_none() || !lately().all(|(by, _)| reports(*by)) {
            return Ok(());
        }
        let silent_ms = at.saturating_sub(signs.last_ns()) / NS_PER_MS;
        let slept_ms = leading.woke_ns.unwrap_or(at).saturating_sub(from_ns) / NS_PER_MS;
        let detail = format!(
            "{leader} slept for {slept_ms} ms and then expired session {session} with a timeout of {}, of which its servers had heard all the time, {silent_ms} ms before for the last time",
            signs.timeout
        );
        let by = lately().map(|(by, _)| *by).filter(|by| *by != leader);
        let nodes = [leader].into_iter().chain(by).map(node_of);
        Err(broken("expired_though_heard", at, nodes, detail))
    }

    /// How late the leader may know what this server heard at that time; `None` when it need never
    /// know.
    fn report_lag_ms(&self, by: ServerId, leader: ServerId, heard_at: u64) -> Option<u64> {
        if by == leader {
            return Some(0);
        }
        let (follower, leading) = (self.servers.get(by)?, self.servers.get(leader)?);
        let (followed, since_ns) = follower.follows?;
        // In this reign: whoever has not noticed that a former one of the same leader is over
        // reports to nobody.
        let is_settled = followed == leader
            && leading.reign.as_ref()?.since_ns <= since_ns
            && since_ns <= heard_at;
        let is_calm = follower.is_calm_since(heard_at) && leading.is_calm_since(heard_at);
        (is_settled && is_calm).then_some(REPORT_LAG_MS_MAX)
    }

    /// A leader's reign, or its calm, ends now: whom should it have expired by then?
    fn expect_silence_ended(&self, at: u64, server: ServerId) -> Result<(), Violation> {
        let Some(state) = self.servers.get(server) else { return Ok(()) };
        let Some(reign) = state.reign.as_ref().filter(|_| !state.is_struck()) else {
            return Ok(());
        };
        let calm_since_ns = reign.since_ns.max(state.troubled_until_ns.unwrap_or(0));
        for (session, signs) in &self.sessions {
            let silent_since_ns = signs.last_ns().max(calm_since_ns);
            let silent_ms = at.saturating_sub(silent_since_ns) / NS_PER_MS;
            let timeout_ms = signs.timeout.0 * (1_000 + DRIFT_PER_MILLE_MAX) / 1_000;
            if silent_ms > timeout_ms + SILENCE_MS_MAX && !reign.ended.contains(session) {
                let detail = format!(
                    "{server} leads, and nothing was heard of session {session} for {silent_ms} ms, but it lives on; its timeout is {}",
                    signs.timeout
                );
                return Err(broken("outlived", at, [node_of(server)], detail));
            }
        }
        Ok(())
    }

    /// The run ends.
    pub(super) fn ended(&self, at: u64) -> Result<(), Violation> {
        self.servers.known().try_for_each(|server| self.expect_silence_ended(at, server))
    }

    pub(super) fn leads(&mut self, at: u64, server: ServerId) -> Result<(), Violation> {
        self.lost_role(at, server)?;
        self.servers.get_mut(server).reign = Some(Reign { since_ns: at, ended: BTreeSet::new() });
        Ok(())
    }

    pub(super) fn follows(
        &mut self,
        at: u64,
        server: ServerId,
        leader: ServerId,
    ) -> Result<(), Violation> {
        self.lost_role(at, server)?;
        self.servers.get_mut(server).follows = Some((leader, at));
        Ok(())
    }

    pub(super) fn lost_role(&mut self, at: u64, server: ServerId) -> Result<(), Violation> {
        self.expect_silence_ended(at, server)?;
        let state = self.servers.get_mut(server);
        state.reign = None;
        state.follows = None;
        Ok(())
    }

    /// Something other than a fault of the plan got into the way of this server, until now.
    pub(super) fn troubled(&mut self, at: u64, server: ServerId) {
        let state = self.servers.get_mut(server);
        state.troubled_until_ns = Some(at);
        state.cut_until_ns = at;
    }

    /// This server's process has died.
    pub(super) fn crashed(&mut self, at: u64, server: ServerId) -> Result<(), Violation> {
        self.lost_role(at, server)?;
        self.servers.get_mut(server).sleeps = false;
        Ok(())
    }

    /// This server's process is stopped.
    pub(super) fn paused(&mut self, at: u64, server: ServerId) -> Result<(), Violation> {
        self.expect_silence_ended(at, server)?;
        let state = self.servers.get_mut(server);
        state.slept_from_ns = (!state.is_cut_off()).then_some((at, state.cut_until_ns));
        state.woke_ns = None;
        state.sleeps = true;
        Ok(())
    }

    /// It goes on.
    pub(super) fn resumed(&mut self, at: u64, server: ServerId) {
        self.troubled(at, server);
        let state = self.servers.get_mut(server);
        state.woke_ns = Some(at);
        state.sleeps = false;
    }

    /// A fault of this kind begins, other than one that stops whom it strikes.
    pub(super) fn fault_began(
        &mut self,
        at: u64,
        index: usize,
        kind: &str,
        struck: Vec<ServerId>,
    ) -> Result<(), Violation> {
        let touches_links = touches_links(kind);
        for server in &struck {
            self.expect_silence_ended(at, *server)?;
            let state = self.servers.get_mut(*server);
            state.struck_by += 1;
            if touches_links {
                state.cut_by += 1;
                state.slept_from_ns = None;
            }
            let fast = self.fast.get(&index);
            let drift = |ppm: &u64| Drift { index, server: *server, ppm: *ppm, until_ns: None };
            self.drifts.extend(fast.map(drift));
        }
        self.faults.insert(index, (struck, touches_links));
        Ok(())
    }

    pub(super) fn fault_ended(&mut self, at: u64, index: usize) {
        for drift in self.drifts.iter_mut().filter(|drift| drift.index == index) {
            drift.until_ns = Some(at);
        }
        let (struck, touches_links) = self.faults.remove(&index).unwrap_or_default();
        for server in struck {
            let state = self.servers.get_mut(server);
            state.struck_by -= 1;
            state.troubled_until_ns = Some(at);
            if touches_links {
                state.cut_by -= 1;
                state.cut_until_ns = at;
            }
        }
    }
}

/// Whether a server may lose its links by faults of this kind, and not by its process alone.
fn touches_links(kind: &str) -> bool {
    const OF_CLOCKS: [&str; 2] = ["drift", "jump"];
    const OF_DISKS: [&str; 12] = [
        "disk_stall",
        "disk_slow",
        "disk_full",
        "sync_fails",
        "read_fails",
        "write_fails",
        "sync_lies",
        "torn_writes",
        "bit_rot",
        "misdirected_write",
        "unreadable_sectors",
        "disk_lost",
    ];
    let kind = FaultKind::named_in(kind);
    !kind.is_some_and(|kind| OF_CLOCKS.contains(&kind) || OF_DISKS.contains(&kind))
}
