//! What the clients of one storm have a habit of doing, drawn from its seed.
//!
//! A habit that every storm has hides whatever needs its absence: a `sync` moves the leader's clock
//! along and shows a server that it leads nobody, reads keep connections busy, many clients keep
//! every server at work. So half of the storms lack one of these, or do everything at once.
//!
//! Holds: a habit ends with the storm; what must work then is asked for by everybody.
//! Start at [`Habits::of`].

use super::tourist::Tourist;
use mailstorm_platform::Platform;
use mailstorm_shared::{Millis, StateHasher};

/// Between two operations of a client, in virtual milliseconds.
const PAUSE_MS: (u64, u64) = (20, 400);
/// Between two looks of a witness, in virtual milliseconds.
const LOOK_MS: (u64, u64) = (20, 250);
/// How many operations come at once, how far apart, and how long nothing comes then.
const BURST: (u64, u64) = (20, 60);
const BURST_PAUSE_MS: (u64, u64) = (0, 4);
const BURST_REST_MS: (u64, u64) = (1_500, 6_000);
/// How many operations an idle client does between two rests, and how long it rests: longer than a
/// server waits for anything but a session.
const IDLE_OPERATIONS: (u64, u64) = (2, 8);
const IDLE_REST_MS: (u64, u64) = (8_000, 25_000);
/// How often somebody who stays away looks whether the storm is over.
const LOOK_AGAIN: Millis = Millis(500);

/// What all clients of a storm do, or never do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Habits {
    /// Everything, now and then.
    Usual,
    /// Nobody asks for a `sync`.
    NoSync,
    /// Nobody reads, and nobody watches.
    WritesOnly,
    /// Long rests between a few operations.
    Idle,
    /// Everything at once, and then nothing for a while.
    Bursts,
    /// One client has one session, and there is no other.
    Alone,
}

impl Habits {
    /// The habits of this seed's storm.
    pub(super) fn of(seed: u64) -> Self {
        match StateHasher::of(&("habits", seed)) % 10 {
            0..5 => Self::Usual,
            5 => Self::NoSync,
            6 => Self::WritesOnly,
            7 => Self::Idle,
            8 => Self::Bursts,
            _ => Self::Alone,
        }
    }

    /// In a sentence; `None` for the usual ones.
    pub(super) fn told(self) -> Option<&'static str> {
        match self {
            Self::Usual => None,
            Self::NoSync => Some("no client asks for a sync during the storm"),
            Self::WritesOnly => Some("clients only write during the storm"),
            Self::Idle => Some("clients rest for long during the storm"),
            Self::Bursts => Some("clients send everything in bursts during the storm"),
            Self::Alone => Some("only c1 has a session during the storm"),
        }
    }

    /// Whether somebody stays away as long as it storms. `first` is the one client that never does.
    pub(super) fn keep_away(self, first: bool, only_looks: bool) -> bool {
        match self {
            Self::Alone => !first,
            Self::WritesOnly => only_looks,
            _ => false,
        }
    }

    /// Whether an operation of [`Tourist::something`] may be chosen.
    pub(super) fn allow(self, only_writes: bool) -> bool {
        only_writes || self != Self::WritesOnly
    }
}

impl Tourist {
    /// The habits as they are now.
    pub(super) fn habits(&self) -> Habits {
        if self.platform.storm_is_over() { Habits::Usual } else { self.habits }
    }

    /// Waits until there is something to do: until the next operation, in most storms.
    pub(super) async fn rest(&self, done: &mut u64) {
        let pause = match self.habits() {
            Habits::Bursts => self.pause_after(done, BURST, BURST_PAUSE_MS, BURST_REST_MS),
            Habits::Idle => self.pause_after(done, IDLE_OPERATIONS, PAUSE_MS, IDLE_REST_MS),
            _ => self.between(PAUSE_MS),
        };
        self.platform.sleep(Millis(pause)).await;
    }

    /// The same between two looks of a witness.
    pub(super) async fn rest_from_looking(&self) {
        let pause = match self.habits() {
            Habits::Bursts => BURST_REST_MS,
            Habits::Idle => IDLE_REST_MS,
            _ => LOOK_MS,
        };
        self.platform.sleep(Millis(self.between(pause))).await;
    }

    /// `left` operations are left until the next rest.
    fn pause_after(
        &self,
        left: &mut u64,
        at_once: (u64, u64),
        pause: (u64, u64),
        rest: (u64, u64),
    ) -> u64 {
        if *left == 0 {
            *left = self.between(at_once);
            return self.between(rest);
        }
        *left -= 1;
        self.between(pause)
    }

    /// Stays away from the ensemble for as long as the habits say so.
    pub(super) async fn come(&self, first: bool, only_looks: bool) {
        while self.habits().keep_away(first, only_looks) {
            self.platform.sleep(LOOK_AGAIN).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EnsembleStorm;
    use mailstorm_record::{Event, Happening, NodeName};
    use mailstorm_shared::Observation;
    use mailstorm_shared::facts::{Call, CallKind, ClientFact};
    use mailstorm_world::{Recording, RunSpec};
    use std::collections::BTreeSet;
    use std::sync::Arc;

    const NS_PER_S: u64 = 1_000_000_000;

    /// What was asked for during the storm of a seed with these habits: when, by whom, and what.
    fn asked(habits: Habits) -> Vec<(u64, NodeName, CallKind)> {
        let seed = (1..).find(|seed| Habits::of(*seed) == habits).expect("each has its seeds");
        let spec = RunSpec::new(Arc::new(EnsembleStorm::three()), seed);
        let run = mailstorm_world::run(&RunSpec { recording: Recording::Full, ..spec });
        let events = run.events.expect("everything was recorded");
        let begins = |event: &Event, phase: &str| matches!(&event.happening, Happening::Phase { name } if **name == *phase);
        let storm = events.iter().skip_while(|event| !begins(event, "storm"));
        let storm = storm.take_while(|event| !begins(event, "heal"));
        let invoked = storm.filter_map(|event| match &event.happening {
            Happening::Observed {
                observation:
                    Observation::Client(ClientFact::Invoked { call: Call { kind, .. }, .. }),
            } => Some((event.at_ns, event.node.clone()?, *kind)),
            _ => None,
        });
        invoked.collect()
    }

    #[test]
    fn without_syncs_nobody_asks_for_one_and_otherwise_somebody_does() {
        let syncs =
            |habits| asked(habits).iter().filter(|(.., kind)| *kind == CallKind::Sync).count();
        assert_eq!(syncs(Habits::NoSync), 0);
        assert!(syncs(Habits::Usual) > 100);
    }

    #[test]
    fn whoever_only_writes_reads_nothing() {
        let asked = asked(Habits::WritesOnly);
        let reads = |kind: &CallKind| matches!(kind, CallKind::GetData | CallKind::Sync);
        let of_clients = asked.iter().filter(|(_, node, _)| node.0.starts_with(['c', 'o']));
        let reads: Vec<_> = of_clients.filter(|(.., kind)| reads(kind)).collect();
        assert!(asked.len() > 100 && reads.is_empty(), "{} operations, {reads:?}", asked.len());
    }

    #[test]
    fn alone_means_that_nobody_else_asks_for_anything() {
        let asked = asked(Habits::Alone);
        let who: BTreeSet<&str> = asked.iter().map(|(_, node, _)| &*node.0).collect();
        assert_eq!(who, ["c1"].into());
    }

    #[test]
    fn idle_clients_rest_for_longer_than_a_server_waits() {
        let asked = asked(Habits::Idle);
        let of_c2: Vec<u64> =
            asked.iter().filter(|(_, node, _)| *node.0 == *"o1").map(|(at, ..)| *at).collect();
        let longest = of_c2.windows(2).map(|two| two[1] - two[0]).max().expect("it looks");
        assert!(longest >= 8 * NS_PER_S, "{longest}");
    }

    #[test]
    fn bursts_ask_for_much_at_once() {
        let most = |habits| {
            let asked = asked(habits);
            let within = |at: u64| {
                let soon = at..at + NS_PER_S;
                asked.iter().filter(|(other, ..)| soon.contains(other)).count()
            };
            asked.iter().map(|(at, ..)| within(*at)).max().expect("something was asked")
        };
        assert!(most(Habits::Bursts) > 2 * most(Habits::Usual), "no denser than usual");
    }
}
