//! The mail pipeline on a page: each mail's story from the inbox to the sink, the claims and locks
//! it works under, and which mails are missing.
//!
//! Start at [`Mail`].

use super::tree;
use crate::page::drawing::{Drawing, Order, Row};
use crate::page::projection::{Cast, Projection, Seen};
use crate::page::stuck::{Behind, Missing, Standstill};
use mailstorm_record::NodeName;
use mailstorm_shared::Observation;
use mailstorm_shared::facts::{Fact, MailFact, Sign};
use mailstorm_shared::time_in_words::moment;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What mails are counted by.
const CLASSES: [&str; 3] = ["more than once in the sink", "being tried", "in the sink"];
const TWICE: usize = 0;
const TRIED: usize = 1;
const ONCE: usize = 2;

/// The checker whose violations name mails that are missing.
const CHECKER: &str = "exactly-once";

/// Where the pipeline and its recipes keep claims and locks: such a part is in their paths.
const PLACES: [&str; 2] = ["/work/", "/lock/"];

/// What is known of the mails when something is stuck.
#[derive(Default)]
pub(super) struct Mail {
    /// Every attempt at each mail.
    tries: BTreeMap<Arc<str>, Vec<Try>>,
    /// When each mail's first result was accepted.
    accepted: BTreeMap<Arc<str>, u64>,
}

/// An attempt at a mail.
struct Try {
    event: usize,
    at_ns: u64,
    worker: Arc<str>,
}

/// The missing mails that a worker tried last.
#[derive(Default)]
struct Hand<'a> {
    event: usize,
    at_ns: u64,
    mails: Vec<&'a Arc<str>>,
}

/// What happened to a mail so far.
#[derive(Default)]
struct Story {
    tries: usize,
    effects: usize,
}

impl Projection for Mail {
    fn topic(&self) -> &'static str {
        MailFact::TOPIC
    }

    fn project(&mut self, seen: &Seen<'_>, onto: &mut Drawing) {
        let mails = onto.panel("Mails", &CLASSES, Order::ByTime);
        onto.tell_stories(mails);
        let mut stories: BTreeMap<&Arc<str>, Story> = BTreeMap::new();
        for (at, event, fact) in seen.facts() {
            let Observation::Mail(fact) = fact else { continue };
            let (MailFact::MailAttempted { mail, .. }
            | MailFact::SinkAccepted { mail, .. }
            | MailFact::SinkRefused { mail, .. }) = fact
            else {
                continue;
            };
            let story = stories.entry(mail).or_default();
            match fact {
                MailFact::MailAttempted { worker, .. } => {
                    story.tries += 1;
                    let tries = self.tries.entry(Arc::clone(mail)).or_default();
                    let (at_ns, worker) = (event.at_ns, Arc::clone(worker));
                    tries.push(Try { event: at, at_ns, worker });
                }
                MailFact::SinkAccepted { .. } => {
                    story.effects += 1;
                    self.accepted.entry(Arc::clone(mail)).or_insert(event.at_ns);
                }
                MailFact::SinkRefused { .. } | MailFact::FenceRaised { .. } => {}
            }
            onto.set(mails, at, mail, story.row());
        }
        let claims = onto.panel("Claims and locks", &[""], Order::ByName);
        tree::draw(seen, onto, claims, |path| PLACES.iter().any(|place| path.contains(place)));
    }

    fn cast(&self) -> Cast {
        Cast {
            work: &["supervisor", "manager", "tracker", "worker"],
            outside: &["auditor", "database", "ledger", "sink"],
            ..Cast::default()
        }
    }

    fn sign(&self, fact: &Observation) -> Option<Sign> {
        match fact {
            Observation::Mail(MailFact::MailAttempted { .. }) => Some(Sign::Circle),
            Observation::Mail(MailFact::SinkAccepted { .. }) => Some(Sign::Dot),
            Observation::Mail(MailFact::SinkRefused { .. }) => Some(Sign::Cross),
            _ => None,
        }
    }

    /// Those that the violation names; else those that were tried, or are missing at the end, and
    /// have no result yet.
    fn missing(&self, still: &Standstill<'_>) -> Option<Missing> {
        let is_ours = still.violation.checker == CHECKER;
        let names = if is_ours && !still.violation.missing().is_empty() {
            still.violation.missing().to_vec()
        } else {
            self.missing_at(still)
        };
        (is_ours || !names.is_empty()).then_some(Missing { word: "mail", names })
    }

    /// Whoever has a missing mail in hand.
    fn holders(&self, still: &Standstill<'_>, missing: &Missing) -> Vec<Behind> {
        let mut hands: BTreeMap<usize, Hand<'_>> = BTreeMap::new();
        for mail in &missing.names {
            if let Some(last) = self.last_try(mail, still.at_ns())
                && let Some(lane) = still.place(&NodeName(Arc::clone(&last.worker)))
            {
                let hand = hands.entry(lane).or_default();
                hand.event = hand.event.max(last.event);
                hand.at_ns = hand.at_ns.max(last.at_ns);
                hand.mails.push(mail);
            }
        }
        let behind = |(lane, Hand { event, at_ns, mails }): (usize, Hand<'_>)| {
            let more = match mails.len() - 1 {
                0 => String::new(),
                count => format!(" and {count} more"),
            };
            let (at, state) = (moment(at_ns), still.state(lane));
            let why = format!("tried {}{more} last, at {at}; {state}", mails[0]);
            Behind { node: lane as i64, why, event: event as i64 }
        };
        hands.into_iter().map(behind).collect()
    }
}

impl Story {
    fn row(&self) -> Row {
        let (mark, class) = match self.effects {
            0 => ("… tried".to_owned(), TRIED),
            1 => ("✓ in sink".to_owned(), ONCE),
            effects => (format!("✗ {effects} effects"), TWICE),
        };
        let tries = if self.tries == 1 { "try" } else { "tries" };
        Row { mark: mark.into(), value: format!("{} {tries}", self.tries).into(), class }
    }
}

impl Mail {
    /// The mails that were known by then, or are missing at the end, and have no result by then.
    fn missing_at(&self, still: &Standstill<'_>) -> Vec<Arc<str>> {
        let at_ns = still.at_ns();
        let is_tried = |tries: &[Try]| tries.first().is_some_and(|first| first.at_ns <= at_ns);
        let tried = self.tries.iter().filter(|(_, tries)| is_tried(tries)).map(|(mail, _)| mail);
        let ours = still.violations().filter(|violation| violation.checker == CHECKER);
        let lost = ours.flat_map(|violation| violation.missing());
        let known: BTreeSet<&Arc<str>> = tried.chain(lost).collect();
        let is_missing = |mail: &&Arc<str>| self.accepted.get(*mail).is_none_or(|at| *at > at_ns);
        known.into_iter().filter(is_missing).cloned().collect()
    }

    /// The last attempt at this mail up to an instant.
    fn last_try(&self, mail: &Arc<str>, at_ns: u64) -> Option<&Try> {
        self.tries.get(mail)?.iter().rfind(|one| one.at_ns <= at_ns)
    }
}
