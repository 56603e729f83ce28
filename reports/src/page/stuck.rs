//! What stands still in a run that does not go on: since when, behind whom, and which mails are
//! missing.
//!
//! Holds: whoever is named is named with what the record shows of it. Start at [`Stuck::of`].

use super::moments::Scene;
use mailstorm_record::{Event, Happening, Violation};
use mailstorm_shared::Observation;
use mailstorm_shared::facts::{ClientFact, EnsembleFact, MailFact};
use mailstorm_shared::time_in_words::moment;
use mailstorm_shared::znodes::Change;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// So many nodes are named at the most: with more it is everybody.
const NAMED_MAX: usize = 6;

/// Work that stands still.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Stuck {
    pub(crate) since: u64,
    /// Behind whom, those that hold the work first.
    pub(crate) behind: Vec<Behind>,
    /// The mails that are missing, all of them.
    missing: Vec<Arc<str>>,
}

/// Somebody that the work waits for.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Behind {
    /// A lane, or -1 for the ensemble.
    pub(crate) node: i64,
    pub(crate) why: String,
    /// Where it shows, or -1.
    pub(crate) event: i64,
}

/// What a run tells of its work.
#[derive(Default)]
pub(super) struct Work {
    /// Every attempt at each mail: the event, and the worker.
    tries: BTreeMap<Arc<str>, Vec<(usize, Arc<str>)>>,
    /// When each mail's first result was accepted.
    accepted: BTreeMap<Arc<str>, u64>,
    /// The mails that are missing at the end, as far as a checker says.
    lost: Vec<Arc<str>>,
    /// Every znode that lives with a session: its path, the session, and from when to when.
    held: Vec<Held>,
    /// The lane of each session's client, by session.
    pub(super) owners: BTreeMap<String, usize>,
}

struct Held {
    path: Arc<str>,
    session: String,
    event: usize,
    from: u64,
    to: u64,
}

impl Work {
    pub(super) fn of<'v>(
        events: &[&Event],
        violations: impl Iterator<Item = &'v Violation>,
        place: &dyn Fn(&mailstorm_record::NodeName) -> Option<usize>,
    ) -> Self {
        let mut work = Self::default();
        let mut applied = mailstorm_shared::Zxid::default();
        let mut open: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        for (at, event) in events.iter().enumerate() {
            let Happening::Observed { observation } = &event.happening else { continue };
            match observation {
                Observation::Mail(MailFact::MailAttempted { worker, mail, .. }) => {
                    let tries = work.tries.entry(Arc::clone(mail)).or_default();
                    tries.push((at, Arc::clone(worker)));
                }
                Observation::Mail(MailFact::SinkAccepted { mail, .. }) => {
                    work.accepted.entry(Arc::clone(mail)).or_insert(event.at_ns);
                }
                Observation::Client(ClientFact::ClientConnected { session, .. }) => {
                    if let Some(lane) = event.node.as_ref().and_then(place) {
                        work.owners.insert(session.to_string(), lane);
                    }
                }
                Observation::Ensemble(EnsembleFact::Applied { zxid, changes, .. })
                    if *zxid > applied =>
                {
                    applied = *zxid;
                    for change in changes {
                        match change {
                            Change::Created { path, owner, .. }
                                if *owner != mailstorm_shared::SessionId::NONE =>
                            {
                                open.insert(Arc::clone(path), work.held.len());
                                work.held.push(Held {
                                    path: Arc::clone(path),
                                    session: owner.to_string(),
                                    event: at,
                                    from: event.at_ns,
                                    to: u64::MAX,
                                });
                            }
                            Change::Deleted { path } => {
                                if let Some(held) = open.remove(path) {
                                    work.held[held].to = event.at_ns;
                                }
                            }
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        work.lost = violations.flat_map(|v| v.missing().iter().cloned()).collect();
        work
    }

    /// The mails that were known by then, or are missing at the end, and have no result by then.
    fn missing_at(&self, at_ns: u64, events: &[&Event]) -> Vec<Arc<str>> {
        let is_tried = |tries: &[(usize, Arc<str>)]| {
            tries.first().is_some_and(|(event, _)| events[*event].at_ns <= at_ns)
        };
        let tried = self.tries.iter().filter(|(_, tries)| is_tried(tries)).map(|(mail, _)| mail);
        let known: BTreeSet<&Arc<str>> = tried.chain(&self.lost).collect();
        let is_missing = |mail: &&Arc<str>| self.accepted.get(*mail).is_none_or(|at| *at > at_ns);
        known.into_iter().filter(is_missing).cloned().collect()
    }

    /// The last attempt at this mail up to an instant.
    fn last_try(
        &self,
        mail: &Arc<str>,
        at_ns: u64,
        events: &[&Event],
    ) -> Option<(usize, &Arc<str>)> {
        let mut tries = self.tries.get(mail)?.iter();
        let last = tries.rfind(|(event, _)| events[*event].at_ns <= at_ns)?;
        Some((last.0, &last.1))
    }

    /// Who is first in each queue at an instant, with how many wait behind it: of the znodes beside
    /// each other that live with a session and are numbered, the lowest.
    fn queues<'w>(&'w self, at_ns: u64) -> Vec<(&'w Held, usize)> {
        let mut queues: BTreeMap<&str, Vec<&'w Held>> = BTreeMap::new();
        let numbered = |path: &str| {
            let digits = path.bytes().rev().take(10);
            digits.clone().count() == 10 && digits.into_iter().all(|byte| byte.is_ascii_digit())
        };
        for held in self.held.iter().filter(|held| held.from <= at_ns && at_ns < held.to) {
            if numbered(&held.path)
                && let Some((parent, _)) = held.path.rsplit_once('/')
            {
                queues.entry(parent).or_default().push(held);
            }
        }
        // Ten digits, so that the order of the bytes is that of the numbers.
        let number = |held: &&Held| held.path.as_bytes()[held.path.len() - 10..].to_vec();
        let queues = queues.into_values().filter(|queue| queue.len() > 1);
        let first = |queue: &Vec<&'w Held>| queue.iter().copied().min_by_key(number);
        queues.filter_map(|queue| Some((first(&queue)?, queue.len() - 1))).collect()
    }
}

impl Stuck {
    pub(super) fn of(violation: &Violation, scene: &Scene<'_>) -> Self {
        let (work, events) = (scene.work, scene.events);
        let since =
            violation.since_ns().unwrap_or_else(|| healed(events).unwrap_or(violation.at_ns));
        let since = since.min(violation.at_ns);
        let missing = if violation.missing().is_empty() {
            work.missing_at(violation.at_ns, events)
        } else {
            violation.missing().to_vec()
        };
        let mut behind: Vec<Behind> = Vec::new();
        let mut add = |node: i64, why: String, event: i64| {
            let is_known = node >= 0 && behind.iter().any(|who| who.node == node);
            if !is_known && behind.len() < NAMED_MAX {
                behind.push(Behind { node, why, event });
            }
        };
        // Whoever has a missing mail in hand.
        let mut hands: BTreeMap<usize, (usize, Vec<&Arc<str>>)> = BTreeMap::new();
        for mail in &missing {
            if let Some((event, worker)) = work.last_try(mail, violation.at_ns, events)
                && let Some(lane) = scene.place(&mailstorm_record::NodeName(Arc::clone(worker)))
            {
                let hand = hands.entry(lane).or_insert((event, Vec::new()));
                hand.0 = hand.0.max(event);
                hand.1.push(mail);
            }
        }
        for (lane, (event, mails)) in &hands {
            let more = match mails.len() - 1 {
                0 => String::new(),
                count => format!(" and {count} more"),
            };
            let at = moment(events[*event].at_ns);
            let state = state(*lane, since, violation.at_ns, scene);
            let why = format!("tried {}{more} last, at {at}; {state}", mails[0]);
            add(*lane as i64, why, *event as i64);
        }
        // Whoever is first in a queue that does not move.
        for (held, waiting) in work.queues(violation.at_ns) {
            let are = if waiting == 1 { "1 waits".to_owned() } else { format!("{waiting} wait") };
            let why = format!("{} since {}, {are} behind it", held.path, moment(held.from));
            match work.owners.get(&held.session) {
                Some(lane) => {
                    let state = state(*lane, since, violation.at_ns, scene);
                    add(*lane as i64, format!("holds {why}; {state}"), held.event as i64);
                }
                None => {
                    let why = format!("session {} of nobody holds {why}", held.session);
                    add(-1, why, held.event as i64);
                }
            }
        }
        // Whoever was down, paused or cut off when it began, or for long since.
        for lane in 0..scene.nodes.len() {
            if let Some(why) = absence(lane, since, violation.at_ns, LONG_PART, scene) {
                add(lane as i64, why, -1);
            }
        }
        if let Some(ns) = leaderless(since, violation.at_ns, scene) {
            add(-1, format!("no server leads for {} of this time", moment(ns)), -1);
        }
        Self { since, behind, missing }
    }
}

fn healed(events: &[&Event]) -> Option<u64> {
    let is_heal = |event: &&&Event| matches!(&event.happening, Happening::Phase { name } if &**name == "heal");
    events.iter().find(is_heal).map(|event| event.at_ns)
}

/// What a node does while the work stands still.
fn state(lane: usize, since: u64, until: u64, scene: &Scene<'_>) -> String {
    absence(lane, since, until, u64::MAX, scene).unwrap_or_else(|| "up ever since".into())
}

/// What part of the time that work stands still is long.
const LONG_PART: u64 = 5;

/// When a node was down, paused or cut off: when the work stopped, or later for this part of the
/// time since.
fn absence(lane: usize, since: u64, until: u64, part: u64, scene: &Scene<'_>) -> Option<String> {
    let counts = |from: u64, to: u64| {
        let lasts = to.min(until).saturating_sub(from.max(since));
        lasts > 0 && (from <= since || lasts >= (until - since) / part)
    };
    let span = |from: u64, to: u64| {
        let from = moment(from);
        if to >= scene.end_ns {
            format!("since {from}")
        } else {
            format!("from {from} to {}", moment(to))
        }
    };
    let lives = scene.lanes.lives.iter();
    let life = lives.filter(|band| band.node == lane && counts(band.from, band.to));
    if let Some(band) = life.max_by_key(|band| band.to - band.from) {
        return Some(format!("{} {}", band.what, span(band.from, band.to)));
    }
    let cuts = scene.faults.iter().filter(|fault| {
        fault.nodes.contains(&lane) && fault.is_cut() && counts(fault.from, fault.to)
    });
    let cut = cuts.max_by_key(|fault| fault.to - fault.from)?;
    Some(format!("struck by {} {}", cut.kind, span(cut.from, cut.to)))
}

/// For how long no server leads in this time, if it is most of it.
fn leaderless(since: u64, until: u64, scene: &Scene<'_>) -> Option<u64> {
    let leads = scene.lanes.roles.iter().filter(|band| band.what == "leads");
    let mut led: Vec<(u64, u64)> = leads
        .map(|band| (band.from.max(since), band.to.min(until)))
        .filter(|(from, to)| from < to)
        .collect();
    if !scene.nodes.iter().any(|node| node.role == "server") {
        return None;
    }
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
    (without > (until - since) / 2).then_some(without)
}
