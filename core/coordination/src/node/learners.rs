//! When learner links are dialled.
//!
//! Owns: the pause after an attempt that came to nothing. Leaves: what a link is for to the server,
//! which is told at once of each attempt and asks again at once.
//! Holds: a leader that refuses is called a few times a second at most, whoever fills its port.

use super::settings::LinkTiming;
use mailstorm_shared::{Instant, Millis, ServerId};
use std::collections::BTreeMap;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Learners {
    timing: LinkTiming,
    peers: BTreeMap<ServerId, Attempts>,
    /// The earliest attempt that waits for its pause.
    next_dial: Option<Instant>,
}

#[derive(Debug, Default)]
struct Attempts {
    /// The last pause; zero after an attempt that came to something.
    pause: Millis,
    not_before: Instant,
    /// The server has asked, and the pause is not over.
    is_wanted: bool,
}

impl Learners {
    pub(super) fn new(timing: LinkTiming) -> Self {
        Self { timing, peers: BTreeMap::new(), next_dial: None }
    }

    /// The server asks for a link; whether it may be dialled now.
    pub(super) fn ask(&mut self, peer: ServerId, now: Instant) -> bool {
        let attempts = self.peers.entry(peer).or_default();
        let waits = attempts.not_before > now;
        attempts.is_wanted = waits;
        self.refresh();
        !waits
    }

    /// An attempt came to nothing: the next one after a pause, which is longer each time and
    /// shortened by chance.
    pub(super) fn failed(&mut self, peer: ServerId, now: Instant, chance: u64) {
        let attempts = self.peers.entry(peer).or_default();
        let (pause, shortened) = self.timing.pause_after(attempts.pause, chance);
        attempts.pause = pause;
        attempts.not_before = now + shortened;
        self.refresh();
    }

    /// A link is up.
    pub(super) fn succeeded(&mut self, peer: ServerId) {
        self.peers.insert(peer, Attempts::default());
        self.refresh();
    }

    /// When somebody is to be dialled whom the server has asked for.
    pub(super) fn next_dial(&self) -> Option<Instant> {
        self.next_dial
    }

    fn refresh(&mut self) {
        let wanted = self.peers.values().filter(|attempts| attempts.is_wanted);
        self.next_dial = wanted.map(|attempts| attempts.not_before).min();
    }

    /// One whose pause is over.
    pub(super) fn due(&mut self, now: Instant) -> Option<ServerId> {
        self.next_dial.filter(|at| *at <= now)?;
        let is_due = |attempts: &Attempts| attempts.is_wanted && attempts.not_before <= now;
        let (peer, attempts) = self.peers.iter_mut().find(|(_, attempts)| is_due(attempts))?;
        attempts.is_wanted = false;
        let peer = *peer;
        self.refresh();
        Some(peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_refused_again_and_again_asks_less_and_less_often() {
        let mut learners = Learners::new(LinkTiming::default());
        let peer = ServerId::new(2).unwrap();
        let (mut now, mut dialled) = (Instant::ZERO, 0);
        while now < Instant(3_000) {
            if learners.ask(peer, now) || learners.due(now).is_some() {
                dialled += 1;
                learners.failed(peer, now, 0);
            }
            now = learners.next_dial().unwrap_or(now + Millis(1));
        }
        assert_eq!(dialled, 5, "at 0, 100, 300, 700 and 1,500 ms");
        learners.succeeded(peer);
        assert!(learners.ask(peer, now), "and after a success at once");
    }
}
