//! The ensemble on a page: its sessions and its tree, the roles of its servers, and when work waits
//! for a queue or for a leader.
//!
//! Start at [`Ensemble`].

use super::tree;
use crate::page::drawing::{Drawing, Order, Row};
use crate::page::projection::{Cast, Look, Projection, Seen};
use crate::page::stuck::{Behind, Missing, Standstill};
use mailstorm_shared::facts::{EnsembleFact, Fact, Sign, Tone};
use mailstorm_shared::time_in_words::moment;
use mailstorm_shared::znodes::{Change, Owner};
use mailstorm_shared::{Observation, SessionId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many digits the number of a sequential znode has.
const DIGITS: usize = 10;

/// What is known of an ensemble when something is stuck.
#[derive(Default)]
pub(super) struct Ensemble {
    /// Every znode that lives with a session.
    held: Vec<Held>,
    owners: BTreeMap<SessionId, usize>,
}

/// A znode that lives with a session, from when to when.
struct Held {
    path: Arc<str>,
    session: SessionId,
    event: usize,
    from: u64,
    to: u64,
}

impl Projection for Ensemble {
    fn topic(&self) -> &'static str {
        EnsembleFact::TOPIC
    }

    fn project(&mut self, seen: &Seen<'_>, onto: &mut Drawing) {
        self.owners = tree::owners(seen);
        self.sessions(seen, onto);
        let znodes = onto.panel("Znodes", &[""], Order::ByName);
        tree::draw(seen, onto, znodes, |_| true);
        for (_, change) in tree::changes(seen) {
            if let Change::Created { path, .. } = change
                && path.rfind('/').is_some_and(|slash| slash > 0)
            {
                onto.move_in(znodes, path);
            }
        }
        self.hold(seen);
    }

    fn cast(&self) -> Cast {
        Cast { serve: &["server", "observer"], ..Cast::default() }
    }

    fn look(&self, fact: &Observation) -> Look {
        let Observation::Ensemble(fact) = fact else {
            return Look { tone: Tone::Plain, words: "" };
        };
        let (tone, words) = match fact {
            EnsembleFact::Leads { .. } => (Tone::Strong, "leads an epoch"),
            EnsembleFact::Follows { .. } => (Tone::Plain, "follows a leader"),
            _ => (Tone::Faint, "looks for a leader"),
        };
        Look { tone, words }
    }

    fn sign(&self, fact: &Observation) -> Option<Sign> {
        match fact {
            Observation::Ensemble(EnsembleFact::Leads { .. }) => Some(Sign::Star),
            Observation::Ensemble(EnsembleFact::SessionExpired { .. }) => Some(Sign::Ring),
            Observation::Ensemble(EnsembleFact::Truncated { .. }) => Some(Sign::Wedge),
            Observation::Ensemble(EnsembleFact::SnapshotInstalled { .. }) => Some(Sign::Square),
            _ => None,
        }
    }

    /// Whoever is first in a queue that does not move.
    fn holders(&self, still: &Standstill<'_>, _: &Missing) -> Vec<Behind> {
        let behind = |(held, waiting): (&Held, usize)| {
            let are = if waiting == 1 { "1 waits".to_owned() } else { format!("{waiting} wait") };
            let why = format!("{} since {}, {are} behind it", held.path, moment(held.from));
            let (node, why) = match self.owners.get(&held.session) {
                Some(lane) => (*lane as i64, format!("holds {why}; {}", still.state(*lane))),
                None => (-1, format!("session {} of nobody holds {why}", held.session)),
            };
            Behind { node, why, event: held.event as i64 }
        };
        self.queues(still.at_ns()).into_iter().map(behind).collect()
    }

    /// For how long no server leads, if it is most of the time.
    fn lacks(&self, still: &Standstill<'_>) -> Option<String> {
        if !still.has_nodes_called("server") {
            return None;
        }
        let (since, until) = (still.since_ns(), still.at_ns());
        let mut led: Vec<(u64, u64)> = still
            .bands_of(EnsembleFact::TOPIC, "leads")
            .map(|band| (band.from.max(since), band.to.min(until)))
            .filter(|(from, to)| from < to)
            .collect();
        led.sort_unstable();
        let (mut covered, mut upto) = (0, since);
        for (from, to) in led {
            let from = from.max(upto);
            if to > from {
                covered += to - from;
                upto = to;
            }
        }
        let without = (until - since).saturating_sub(covered);
        (without > (until - since) / 2)
            .then(|| format!("no server leads for {} of this time", moment(without)))
    }
}

impl Ensemble {
    fn sessions(&self, seen: &Seen<'_>, onto: &mut Drawing) {
        let panel = onto.panel("Sessions", &[""], Order::ByTime);
        for (at, change) in tree::changes(seen) {
            match change {
                Change::SessionOpened { session, timeout } => {
                    let mark = tree::owner(seen, &self.owners, *session).into();
                    let value = format!("timeout {} ms", timeout.0).into();
                    onto.set(panel, at, &named(*session), Row { mark, value, class: 0 });
                }
                Change::SessionClosed { session } => onto.remove(panel, at, &named(*session)),
                _ => {}
            }
        }
    }

    /// Notes what lives with sessions.
    fn hold(&mut self, seen: &Seen<'_>) {
        let mut open: BTreeMap<&str, usize> = BTreeMap::new();
        for (at, change) in tree::changes(seen) {
            match change {
                Change::Created { path, owner: Owner::Session(owner), .. } => {
                    open.insert(path, self.held.len());
                    let (path, from) = (Arc::clone(path), seen.events[at].at_ns);
                    self.held.push(Held { path, session: *owner, event: at, from, to: u64::MAX });
                }
                Change::Deleted { path } => {
                    if let Some(held) = open.remove(&**path) {
                        self.held[held].to = seen.events[at].at_ns;
                    }
                }
                _ => {}
            }
        }
    }

    /// Who is first in each queue at an instant, with how many wait behind it: of the znodes beside
    /// each other that live with a session and are numbered, the lowest.
    fn queues(&self, at_ns: u64) -> Vec<(&Held, usize)> {
        let mut queues: BTreeMap<&str, Vec<&Held>> = BTreeMap::new();
        let numbered = |path: &str| {
            let digits = path.bytes().rev().take(DIGITS);
            digits.clone().count() == DIGITS && digits.into_iter().all(|byte| byte.is_ascii_digit())
        };
        for held in self.held.iter().filter(|held| held.from <= at_ns && at_ns < held.to) {
            if numbered(&held.path)
                && let Some((parent, _)) = held.path.rsplit_once('/')
            {
                queues.entry(parent).or_default().push(held);
            }
        }
        // So many digits each, so that the order of the bytes is that of the numbers.
        let number = |held: &&Held| held.path.as_bytes()[held.path.len() - DIGITS..].to_vec();
        let queues = queues.into_values().filter(|queue| queue.len() > 1);
        let first = |queue: &Vec<_>| queue.iter().copied().min_by_key(number);
        queues.filter_map(|queue| Some((first(&queue)?, queue.len() - 1))).collect()
    }
}

fn named(session: SessionId) -> Arc<str> {
    format!("session {session}").into()
}
