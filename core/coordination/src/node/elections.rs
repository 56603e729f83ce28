//! The election links to all peers, and when to connect to those without one.
//!
//! Holds: between two servers there is at most one election link that the server knows of, and one
//! is opened again when it is lost. The server with the higher number connects at once; the other
//! one waits first, and then connects as well: 1. server 3 has a link to server 1. 2. Server 1 is
//! cut off, crashes and starts again. 3. Nothing travels on the link, so server 3 does not notice.
//! 4. If server 1 only waited to be called, it would wait for ever.

use super::settings::LinkTiming;
use mailstorm_shared::machine::{ConnectionId, DialId};
use mailstorm_shared::{Instant, Millis, ServerId};
use std::collections::BTreeMap;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Elections {
    me: ServerId,
    timing: LinkTiming,
    peers: BTreeMap<ServerId, Election>,
    /// The earliest attempt of all of them.
    next_dial: Option<Instant>,
}

#[derive(Debug)]
struct Election {
    /// The link that is up.
    up: Option<ConnectionId>,
    /// The attempt under way.
    attempt: Option<DialId>,
    /// When to try, if neither is there.
    dial_at: Instant,
    /// The last pause between two attempts.
    pause: Millis,
}

/// What was lost of a peer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lost {
    /// A link that was up.
    Link(ConnectionId),
    /// An attempt, which came to nothing.
    Attempt(DialId),
}

impl Elections {
    pub(super) fn new(
        me: ServerId,
        others: impl IntoIterator<Item = ServerId>,
        now: Instant,
        timing: LinkTiming,
    ) -> Self {
        let election = |peer: ServerId| Election {
            up: None,
            attempt: None,
            dial_at: if me > peer { now } else { now + timing.reconnect_max },
            pause: Millis::ZERO,
        };
        let peers = others.into_iter().map(|peer| (peer, election(peer))).collect();
        let mut elections = Self { me, timing, peers, next_dial: None };
        elections.refresh();
        elections
    }

    /// When to connect next.
    pub(super) fn next_dial(&self) -> Option<Instant> {
        self.next_dial
    }

    /// A peer whose time has come.
    pub(super) fn due(&self, now: Instant) -> Option<ServerId> {
        self.next_dial.filter(|at| *at <= now)?;
        let mut waiting = self.peers.iter().filter(|(_, election)| election.waits());
        waiting.find(|(_, election)| election.dial_at <= now).map(|(peer, _)| *peer)
    }

    pub(super) fn trying(&mut self, peer: ServerId, attempt: DialId) {
        if let Some(election) = self.peers.get_mut(&peer) {
            election.attempt = Some(attempt);
        }
        self.refresh();
    }

    /// An attempt came to nothing, or a link is gone: try again after a pause, which is longer each
    /// time and shortened by chance.
    pub(super) fn lost(&mut self, peer: ServerId, lost: Lost, now: Instant, chance: u64) {
        let (timing, grace) = (self.timing, self.me < peer);
        let Some(election) = self.peers.get_mut(&peer) else { return };
        match lost {
            Lost::Link(connection) if election.up == Some(connection) => election.up = None,
            Lost::Attempt(dial) if election.attempt == Some(dial) => election.attempt = None,
            _ => {}
        }
        if election.waits() {
            let (pause, shortened) = timing.pause_after(election.pause, chance);
            election.pause = pause;
            let extra = if grace { timing.reconnect_max } else { Millis::ZERO };
            election.dial_at = now + shortened + extra;
        }
        self.refresh();
    }

    /// A link is up, perhaps by an attempt of ours. What it replaces: an older link, and another
    /// attempt of ours that is no longer needed. Of two servers that try at once only the lower
    /// gives its attempt up, so one attempt remains.
    pub(super) fn won(
        &mut self,
        peer: ServerId,
        connection: ConnectionId,
        by: Option<DialId>,
    ) -> (Option<ConnectionId>, Option<DialId>) {
        let yields = self.me < peer;
        let Some(election) = self.peers.get_mut(&peer) else { return (None, None) };
        let older = election.up.replace(connection);
        if by.is_some() && election.attempt == by {
            election.attempt = None;
        }
        let needless = if yields { election.attempt.take() } else { None };
        election.pause = Millis::ZERO;
        self.refresh();
        (older, needless)
    }

    fn refresh(&mut self) {
        let waiting = self.peers.values().filter(|election| election.waits());
        self.next_dial = waiting.map(|election| election.dial_at).min();
    }
}

impl Election {
    fn waits(&self) -> bool {
        self.up.is_none() && self.attempt.is_none()
    }
}
