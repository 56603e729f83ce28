//! Defects of the laboratory itself: a checker that was weakened, or a world that does not do what
//! it says, must be noticed, or its passes mean nothing.
//!
//! Two meta-checks do that. *Tamperings*: the record of a sound run is changed in one place, to
//! what a broken system would have left behind, and the right checker must find it. *Goals*: a
//! sweep must reach what its scenario names, and a run is only a pass when something was demanded
//! of it. Here the laboratory is weakened on purpose, in one way after the other, and each time a
//! meta-check must fire.
//!
//! Start at [`TAMPERINGS`], then [`WEAKNESSES`].

use mailstorm_checkers::Interests;
use mailstorm_record::{Event, Happening, NodeName, Verdict};
use mailstorm_shared::facts::{CallKind, ClientFact, EnsembleFact, MailFact, Outcome, Shown};
use mailstorm_shared::znodes::Change;
use mailstorm_shared::{ErrorCode, Millis, Observation, SessionId, Zxid};
use mailstorm_world::{Recording, RunSpec, Scenario, run};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The runs whose records are tampered with: leaders change in them, servers restart, sessions
/// expire.
const RECORDED: [(&str, u64); 2] = [("ensemble-3", 3), ("mail-claims", 3)];

/// A change to a record that makes it unlawful.
struct Tampering {
    name: &'static str,
    /// Whose record.
    scenario: &'static str,
    /// Makes the change. Returns whether it found a place for it.
    tamper: fn(&mut Vec<Event>) -> bool,
    /// Who finds it, and as what.
    found: &'static str,
}

const TAMPERINGS: &[Tampering] = &[
    Tampering {
        name: "a commit by a minority",
        scenario: "ensemble-3",
        tamper: commit_by_a_minority,
        found: "quorum/minority",
    },
    Tampering {
        name: "a restart without what was durable",
        scenario: "ensemble-3",
        tamper: |events| restart_with_less(events),
        found: "quorum/recovery_lost",
    },
    Tampering {
        name: "another effect on another server",
        scenario: "ensemble-3",
        tamper: |events| another_effect(events),
        found: "quorum/diverged",
    },
    Tampering {
        name: "two leaders of an epoch",
        scenario: "ensemble-3",
        tamper: two_leaders,
        found: "split-brain/two_leaders",
    },
    Tampering {
        name: "a session that expired at half its timeout",
        scenario: "ensemble-3",
        tamper: |events| {
            change_last(events, |observation| match observation {
                Observation::Ensemble(EnsembleFact::SessionExpired {
                    timeout, silent_for, ..
                }) => {
                    *silent_for = Millis(timeout.0 / 2);
                    true
                }
                _ => false,
            })
        },
        found: "sessions/expired_early",
    },
    Tampering {
        name: "a session that expired although it was heard",
        scenario: "ensemble-3",
        tamper: expired_though_heard,
        found: "sessions/expired_though_heard",
    },
    Tampering {
        name: "a watch event that never came",
        scenario: "ensemble-3",
        tamper: lost_event,
        found: "watches/lost_or_late",
    },
    Tampering {
        name: "an answer from the past",
        scenario: "ensemble-3",
        tamper: |events| {
            change_last(events, |observation| match observation {
                Observation::Client(ClientFact::Returned {
                    outcome: Outcome::Ok { zxid, .. },
                    ..
                }) if *zxid != Zxid::ZERO => {
                    *zxid = Zxid(1 << 32);
                    true
                }
                _ => false,
            })
        },
        found: "session-order/went_back",
    },
    Tampering {
        name: "a plain read of an older state than its zxid",
        scenario: "ensemble-3",
        tamper: |events| older_read(events),
        found: "answers/read_differs",
    },
    Tampering {
        name: "a sync that was behind what others had been told",
        scenario: "ensemble-3",
        tamper: |events| sync_behind(events),
        found: "real-time/stale_after_sync",
    },
    Tampering {
        name: "a lasting watch that was not told",
        scenario: "mail-claims",
        tamper: lost_event_of_lasting_watch,
        found: "watches/lasting_lost_or_late",
    },
    Tampering {
        name: "a synced read of what nobody wrote",
        scenario: "ensemble-3",
        tamper: |events| read_of_nothing(events),
        found: "linearizable/not_linearizable",
    },
    Tampering {
        name: "a fault that outlasts the storm",
        scenario: "ensemble-3",
        tamper: |events| {
            remove_last(events, |event| matches!(event.happening, Happening::FaultEnded { .. }))
        },
        found: "convergence/not_healed",
    },
    Tampering {
        name: "a run that never healed",
        scenario: "ensemble-3",
        tamper: |events| {
            remove_last(
                events,
                |event| matches!(&event.happening, Happening::Phase { name } if &**name == "heal"),
            )
        },
        found: "convergence/unknown",
    },
    Tampering {
        name: "an access list that keeps nobody out",
        scenario: "ensemble-3",
        tamper: |events| {
            let mut is_changed = false;
            while change_last(events, |observation| match observation {
                Observation::Client(ClientFact::Returned { outcome, shown: None, .. }) => {
                    match *outcome {
                        Outcome::Failed { code, zxid } if code == ErrorCode::NoAuth.code() => {
                            let modified = Zxid::ZERO;
                            *outcome = Outcome::Ok { zxid, value: 0, version: -1, modified };
                            true
                        }
                        _ => false,
                    }
                }
                _ => false,
            }) {
                is_changed = true;
            }
            is_changed
        },
        found: "answers/granted",
    },
    Tampering {
        name: "a step of a multi that fails for another reason",
        scenario: "ensemble-3",
        tamper: |events| {
            change_last(events, |observation| match observation {
                Observation::Client(ClientFact::Returned {
                    outcome: Outcome::Failed { .. },
                    shown: Some(shown),
                    ..
                }) => match &mut **shown {
                    Shown::Steps(steps) => steps.pop().is_some(),
                    _ => false,
                },
                _ => false,
            })
        },
        found: "answers/steps_differ",
    },
    Tampering {
        name: "a leader that deletes what a client created to stay",
        scenario: "ensemble-3",
        tamper: |events| {
            let stays = |change: &Change| matches!(change, Change::Deleted { path } if path.starts_with("/r/"));
            let mut is_changed = false;
            // As every server tells it.
            while change_last(events, |observation| match observation {
                Observation::Ensemble(EnsembleFact::Applied { session, changes, .. })
                    if *session != SessionId::NONE && changes.iter().any(stays) =>
                {
                    *session = SessionId::NONE;
                    true
                }
                _ => false,
            }) {
                is_changed = true;
            }
            is_changed
        },
        found: "sweeps/swept_what_stays",
    },
    Tampering {
        name: "a result from below the fence",
        scenario: "mail-claims",
        tamper: |events| {
            let Some(place) = events.iter().rposition(is_result) else { return false };
            let Some(Observation::Mail(MailFact::SinkAccepted { resource, token, .. })) =
                observed(&events[place])
            else {
                return false;
            };
            let raised = MailFact::FenceRaised { resource: resource.clone(), token: token + 1 };
            let observation = Observation::Mail(raised);
            let event =
                Event { happening: Happening::Observed { observation }, ..events[place].clone() };
            events.insert(place, event);
            true
        },
        found: "fencing/below_the_fence",
    },
    Tampering {
        name: "a result accepted twice",
        scenario: "mail-claims",
        tamper: |events| {
            let Some(place) = events.iter().rposition(is_result) else { return false };
            let again = events[place].clone();
            events.insert(place + 1, again);
            true
        },
        found: "exactly-once/doubled",
    },
    Tampering {
        name: "a result that never arrived",
        scenario: "mail-claims",
        tamper: |events| remove_last(events, is_result),
        found: "exactly-once/lost",
    },
    Tampering {
        name: "an attempt that was not counted",
        scenario: "mail-claims",
        tamper: |events| {
            change_last(events, |observation| match observation {
                Observation::Mail(MailFact::MailAttempted { attempt, .. }) if *attempt > 1 => {
                    *attempt -= 2;
                    true
                }
                _ => false,
            })
        },
        found: "exactly-once/attempt_miscounted",
    },
    Tampering {
        name: "a holder that was let in after its successor",
        scenario: "mail-claims",
        tamper: |events| {
            change_last(events, |observation| match observation {
                Observation::Mail(MailFact::SinkAccepted { token, .. }) => {
                    *token = 1;
                    true
                }
                _ => false,
            })
        },
        found: "split-brain/mutex",
    },
];

/// What stands between the events of a run and the checkers: passes an event on, changed or not at
/// all.
type Ear = Box<dyn FnMut(Event) -> Option<Event>>;

/// A way to weaken the laboratory, and a tampering that it then no longer finds.
struct Weakness {
    name: &'static str,
    ear: fn() -> Ear,
    /// Which of the verdicts are read.
    reads: fn(usize, &Verdict) -> bool,
    blind_to: &'static str,
}

const WEAKNESSES: &[Weakness] = &[
    Weakness {
        name: "exactly once is asked as at least once: a second result is not looked at",
        ear: || {
            let mut seen = BTreeSet::new();
            Box::new(move |event| match observed(&event) {
                Some(Observation::Mail(MailFact::SinkAccepted { mail, .. }))
                    if !seen.insert(mail.clone()) =>
                {
                    None
                }
                _ => Some(event),
            })
        },
        reads: |_, _| true,
        blind_to: "a result accepted twice",
    },
    Weakness {
        name: "exactly once is asked as at most once: nobody asks at the end",
        ear: all_ears,
        reads: |_, verdict| !matches!(verdict, Verdict::Violation(violation) if violation.kind == "lost"),
        blind_to: "a result that never arrived",
    },
    Weakness {
        name: "attempts are forgotten with the worker that made them",
        ear: || {
            deaf_to(|o| {
                matches!(o, Observation::Mail(MailFact::MailAttempted { attempt: 0 | 2.., .. }))
            })
        },
        reads: |_, _| true,
        blind_to: "an attempt that was not counted",
    },
    Weakness {
        name: "the fence is not looked at: every token is as good",
        ear: || {
            changed_by(|o| {
                if let Observation::Mail(MailFact::SinkAccepted { token, .. }) = o {
                    *token = 0;
                }
            })
        },
        reads: |_, _| true,
        blind_to: "a holder that was let in after its successor",
    },
    Weakness {
        name: "a majority of the living decides: a server counts from the moment it was told",
        ear: || {
            // As soon as something was handed to a disk, it counts as being there.
            let mut pending: Vec<Event> = Vec::new();
            Box::new(move |event| {
                if let Some(Observation::Ensemble(EnsembleFact::Appended { zxid, .. })) =
                    observed(&event)
                {
                    let durable = Observation::Ensemble(EnsembleFact::Durable { zxid: *zxid });
                    let happening = Happening::Observed { observation: durable };
                    pending.push(Event { happening, ..event.clone() });
                }
                Some(event)
            })
        },
        reads: |_, verdict| !matches!(verdict, Verdict::Violation(violation) if violation.kind == "minority"),
        blind_to: "a commit by a minority",
    },
    Weakness {
        name: "restarts are dropped from what the quorum's checker hears",
        ear: || deaf_to(|o| matches!(o, Observation::Ensemble(EnsembleFact::ServerStarted { .. }))),
        reads: |_, _| true,
        blind_to: "a restart without what was durable",
    },
    Weakness {
        name: "only the first server to apply a transaction is listened to",
        ear: || {
            let mut last = Zxid::ZERO;
            Box::new(move |event| match observed(&event) {
                Some(Observation::Ensemble(EnsembleFact::Applied { zxid, .. }))
                    if *zxid <= last =>
                {
                    None
                }
                Some(Observation::Ensemble(EnsembleFact::Applied { zxid, .. })) => {
                    last = *zxid;
                    Some(event)
                }
                _ => Some(event),
            })
        },
        reads: |_, _| true,
        blind_to: "another effect on another server",
    },
    Weakness {
        name: "an epoch's second leader is taken for the first",
        ear: || {
            let mut epochs = BTreeSet::new();
            Box::new(move |event| match observed(&event) {
                Some(Observation::Ensemble(EnsembleFact::Leads { epoch, .. }))
                    if !epochs.insert(*epoch) =>
                {
                    None
                }
                _ => Some(event),
            })
        },
        reads: |_, _| true,
        blind_to: "two leaders of an epoch",
    },
    Weakness {
        name: "expiry is judged on a clock that is ahead",
        ear: || {
            changed_by(|o| {
                if let Observation::Ensemble(EnsembleFact::SessionExpired { silent_for, .. }) = o {
                    *silent_for = Millis(silent_for.0 + 60_000);
                }
            })
        },
        reads: |_, _| true,
        blind_to: "a session that expired at half its timeout",
    },
    Weakness {
        name: "nobody is heard",
        ear: || deaf_to(|o| matches!(o, Observation::Ensemble(EnsembleFact::SessionHeard { .. }))),
        reads: |_, _| true,
        blind_to: "a session that expired although it was heard",
    },
    Weakness {
        name: "what clients ask and get is dropped from what checkers hear",
        ear: || {
            Box::new(|event| {
                (!Interests::of(&event).overlaps(Interests::OPERATIONS)).then_some(event)
            })
        },
        reads: |_, _| true,
        blind_to: "a watch event that never came",
    },
    Weakness {
        name: "every answer is taken for one of a new session",
        ear: || {
            changed_by(|o| {
                if let Observation::Client(ClientFact::Returned { outcome, .. }) = o {
                    *outcome = Outcome::Unknown;
                }
            })
        },
        reads: |_, _| true,
        blind_to: "an answer from the past",
    },
    Weakness {
        name: "no transaction is told of: there is no tree to compare with",
        ear: || deaf_to(|o| matches!(o, Observation::Ensemble(EnsembleFact::Applied { .. }))),
        reads: |_, _| true,
        blind_to: "a plain read of an older state than its zxid",
    },
    Weakness {
        name: "each client is judged alone",
        ear: || {
            let mut first = None;
            Box::new(move |event| match observed(&event) {
                Some(Observation::Client(
                    ClientFact::Invoked { client, .. } | ClientFact::Returned { client, .. },
                )) if first.get_or_insert(*client) != client => None,
                _ => Some(event),
            })
        },
        reads: |_, _| true,
        blind_to: "a sync that was behind what others had been told",
    },
    Weakness {
        name: "a lasting watch is taken for one that may tell",
        ear: || {
            changed_by(|o| {
                if let Observation::Client(ClientFact::Invoked { call, .. }) = o
                    && call.kind == CallKind::AddWatchRecursive
                {
                    call.kind = CallKind::Other;
                }
            })
        },
        reads: |_, _| true,
        blind_to: "a lasting watch that was not told",
    },
    Weakness {
        name: "the search for an order gives up and says that it found one",
        ear: all_ears,
        reads: |_, verdict| !matches!(verdict, Verdict::Violation(violation) if violation.checker == "linearizable"),
        blind_to: "a synced read of what nobody wrote",
    },
    Weakness {
        name: "faults that go on are not noticed",
        ear: || {
            Box::new(|event| match event.happening {
                Happening::FaultBegan { .. } | Happening::FaultEnded { .. } => None,
                _ => Some(event),
            })
        },
        reads: |_, _| true,
        blind_to: "a fault that outlasts the storm",
    },
    Weakness {
        name: "what could not be told counts as a pass",
        ear: all_ears,
        reads: |_, verdict| !matches!(verdict, Verdict::Unknown { .. }),
        blind_to: "a run that never healed",
    },
    Weakness {
        name: "only the first checker's verdict is read",
        ear: all_ears,
        reads: |place, _| place == 0,
        blind_to: "a result that never arrived",
    },
];

fn all_ears() -> Ear {
    Box::new(Some)
}

fn deaf_to(drops: fn(&Observation) -> bool) -> Ear {
    Box::new(move |event| (!observed(&event).is_some_and(drops)).then_some(event))
}

fn changed_by(change: fn(&mut Observation)) -> Ear {
    Box::new(move |mut event| {
        if let Happening::Observed { observation } = &mut event.happening {
            change(observation);
        }
        Some(event)
    })
}

fn observed(event: &Event) -> Option<&Observation> {
    match &event.happening {
        Happening::Observed { observation } => Some(observation),
        _ => None,
    }
}

fn is_result(event: &Event) -> bool {
    matches!(observed(event), Some(Observation::Mail(MailFact::SinkAccepted { .. })))
}

fn remove_last(events: &mut Vec<Event>, is_meant: impl Fn(&Event) -> bool) -> bool {
    let place = events.iter().rposition(is_meant);
    place.map(|place| events.remove(place)).is_some()
}

/// Changes the last observation that takes the change.
fn change_last(events: &mut [Event], change: impl Fn(&mut Observation) -> bool) -> bool {
    events.iter_mut().rev().any(|event| match &mut event.happening {
        Happening::Observed { observation } => change(observation),
        _ => false,
    })
}

/// Takes a version off what the last read was told.
fn older_read(events: &mut [Event]) -> bool {
    let reads: Vec<(u32, u64)> = events
        .iter()
        .filter_map(|event| match observed(event) {
            Some(Observation::Client(ClientFact::Invoked { client, operation, call }))
                if call.kind == CallKind::GetData =>
            {
                Some((*client, *operation))
            }
            _ => None,
        })
        .collect();
    change_last(events, |observation| match observation {
        Observation::Client(ClientFact::Returned {
            client,
            operation,
            outcome: Outcome::Ok { version, .. },
            ..
        }) if *version > 0 && reads.contains(&(*client, *operation)) => {
            *version -= 1;
            true
        }
        _ => false,
    })
}

/// Takes what others had on their disks when a leader committed.
fn commit_by_a_minority(events: &mut Vec<Event>) -> bool {
    let commits = |(place, event): (usize, &Event)| match event.of_server() {
        Some((server, EnsembleFact::QuorumCommitted { zxid, .. })) if zxid.counter() > 0 => {
            Some((place, server.clone(), *zxid))
        }
        _ => None,
    };
    let commit = events.iter().enumerate().rev().find_map(commits);
    let Some((commit, leader, committed)) = commit else { return false };
    let mut place = 0;
    events.retain(|event| {
        place += 1;
        let is_taken = matches!(event.of_server(), Some((server, EnsembleFact::Durable { zxid }))
            if *server != leader && *zxid >= committed && place <= commit);
        !is_taken
    });
    true
}

fn restart_with_less(events: &mut [Event]) -> bool {
    change_last(events, |observation| match observation {
        Observation::Ensemble(EnsembleFact::ServerStarted {
            snapshot,
            last_logged,
            votes: true,
            ..
        }) if last_logged.0 > snapshot.0 + 20 && last_logged.epoch() == snapshot.epoch() => {
            *last_logged = *snapshot;
            true
        }
        _ => false,
    })
}

fn another_effect(events: &mut [Event]) -> bool {
    // The last server to apply the last transaction: it is not the only one.
    change_last(events, |observation| match observation {
        Observation::Ensemble(EnsembleFact::Applied { changes, .. }) => {
            changes.push(Change::Deleted { path: "/a/ghost".into() });
            true
        }
        _ => false,
    })
}

fn two_leaders(events: &mut Vec<Event>) -> bool {
    let leads = |event: &Event| {
        matches!(observed(event), Some(Observation::Ensemble(EnsembleFact::Leads { .. })))
    };
    let Some(place) = events.iter().rposition(leads) else { return false };
    let others = ["s1", "s2"].map(NodeName::from);
    let node = others.into_iter().find(|other| events[place].node.as_ref() != Some(other));
    events.insert(place + 1, Event { node, ..events[place].clone() });
    true
}

fn expired_though_heard(events: &mut Vec<Event>) -> bool {
    let expiry = events.iter().enumerate().rev().find_map(|(place, event)| match observed(event) {
        Some(Observation::Ensemble(EnsembleFact::SessionExpired { session, .. })) => {
            Some((place, *session))
        }
        _ => None,
    });
    let Some((place, session)) = expiry else { return false };
    let happening = Happening::Observed {
        observation: Observation::Ensemble(EnsembleFact::SessionHeard { session }),
    };
    events.insert(place, Event { happening, ..events[place].clone() });
    true
}

/// An answer to a sync from a server that knows no more than this client did, while others knew
/// more.
fn sync_behind(events: &mut [Event]) -> bool {
    let mut told = Zxid::ZERO;
    let mut told_to: BTreeMap<u32, Zxid> = BTreeMap::new();
    let mut syncs = BTreeMap::new();
    let mut last = None;
    for (place, event) in events.iter().enumerate() {
        match observed(event) {
            Some(Observation::Client(ClientFact::Invoked { client, operation, call }))
                if call.kind == CallKind::Sync =>
            {
                let own = told_to.get(client).copied().unwrap_or_default();
                syncs.insert((*client, *operation), (own, told));
            }
            Some(Observation::Client(ClientFact::Returned {
                client, operation, outcome, ..
            })) => {
                let (Outcome::Ok { zxid, .. } | Outcome::Failed { zxid, .. }) = outcome else {
                    continue;
                };
                let own = told_to.entry(*client).or_default();
                if let Some((before, others)) = syncs.remove(&(*client, *operation))
                    && *own == before
                    && Zxid::ZERO < before
                    && before < others
                {
                    last = Some((place, before));
                }
                *own = (*own).max(*zxid);
                told = told.max(*zxid);
            }
            Some(Observation::Client(ClientFact::EventDelivered { client, zxid, .. })) => {
                let own = told_to.entry(*client).or_default();
                *own = (*own).max(*zxid);
            }
            _ => {}
        }
    }
    let Some((place, before)) = last else { return false };
    change_last(&mut events[..=place], |observation| match observation {
        Observation::Client(ClientFact::Returned { outcome: Outcome::Ok { zxid, .. }, .. }) => {
            *zxid = before;
            true
        }
        _ => false,
    })
}

fn lost_event(events: &mut Vec<Event>) -> bool {
    lose_event(events, "/r/", true)
}

fn lost_event_of_lasting_watch(events: &mut Vec<Event>) -> bool {
    lose_event(events, "/mail/work/open/", false)
}

/// Takes away an event whose change a later answer on the same connection shows; if it is to be one
/// of a watch that fires once, then of a client that never had a lasting one.
fn lose_event(events: &mut Vec<Event>, below: &str, once: bool) -> bool {
    let has_lasting = |client: u32, place: usize| {
        events[..place].iter().filter_map(observed).any(|observation| {
            matches!(observation, Observation::Client(ClientFact::Invoked { client: other, call, .. })
                if *other == client
                    && matches!(call.kind, CallKind::AddWatch | CallKind::AddWatchRecursive))
        })
    };
    let shown_later = |place: usize| {
        let Some(Observation::Client(ClientFact::EventDelivered { client, zxid, path, .. })) =
            observed(&events[place])
        else {
            return false;
        };
        let of_client = events[place..].iter().find_map(|event| match observed(event)? {
            Observation::Client(ClientFact::Returned { client: other, outcome, .. })
                if other == client =>
            {
                Some(matches!(outcome, Outcome::Ok { zxid: shown, .. } if shown >= zxid))
            }
            Observation::Client(
                ClientFact::ClientDisconnected { client: other }
                | ClientFact::ClientSessionEnded { client: other, .. },
            ) if other == client => Some(false),
            _ => None,
        });
        *zxid != Zxid::ZERO
            && path.starts_with(below)
            && of_client == Some(true)
            && !(once && has_lasting(*client, place))
    };
    let place = (0..events.len()).rev().find(|place| shown_later(*place));
    place.map(|place| events.remove(place)).is_some()
}

/// Changes what the last read behind a sync of the same client returned.
fn read_of_nothing(events: &mut [Event]) -> bool {
    let mut after_sync = BTreeSet::new();
    let mut synced = BTreeSet::new();
    let mut last = None;
    for (place, event) in events.iter().enumerate() {
        match observed(event) {
            Some(Observation::Client(ClientFact::Invoked { client, operation, call })) => {
                let is_register = call.path.starts_with("/r/");
                if call.kind == CallKind::GetData && is_register && after_sync.contains(client) {
                    synced.insert((*client, *operation));
                }
                after_sync.remove(client);
                if call.kind == CallKind::Sync {
                    after_sync.insert(*client);
                }
            }
            Some(Observation::Client(ClientFact::Returned {
                client,
                operation,
                outcome: Outcome::Ok { version, .. },
                ..
            })) if *version >= 0 && synced.contains(&(*client, *operation)) => {
                last = Some(place);
            }
            Some(Observation::Client(ClientFact::ClientDisconnected { client })) => {
                after_sync.remove(client);
                synced.retain(|(other, _)| other != client);
            }
            _ => {}
        }
    }
    let Some(place) = last else { return false };
    change_last(&mut events[..=place], |observation| match observation {
        Observation::Client(ClientFact::Returned {
            outcome: Outcome::Ok { value, .. }, ..
        }) => {
            *value ^= 1;
            true
        }
        _ => false,
    })
}

fn scenario(name: &str) -> Arc<dyn Scenario> {
    mailstorm_scenarios::find(name, None).expect("the scenario exists")
}

/// A sound run, fully recorded, without its traffic.
fn recorded(name: &str) -> Vec<Event> {
    let (_, seed) = RECORDED.into_iter().find(|(recorded, _)| *recorded == name).expect("listed");
    let mut spec = RunSpec::new(scenario(name), seed);
    spec.recording = Recording::Full;
    let run = run(&spec);
    assert_eq!(run.outcome.verdict(), Verdict::Pass);
    let mut events = run.events.expect("it was recorded");
    events.retain(|event| !Interests::of(event).overlaps(Interests::TRAFFIC));
    events
}

/// What a laboratory with this ear finds in a record, as `checker/kind`.
fn judge(
    name: &str,
    events: &[Event],
    mut ear: Ear,
    reads: fn(usize, &Verdict) -> bool,
) -> Vec<String> {
    let (_, seed) = RECORDED.into_iter().find(|(recorded, _)| *recorded == name).expect("listed");
    let mut suite = scenario(name).checkers(seed);
    for event in events.iter().cloned().filter_map(&mut ear) {
        suite.observe(&event);
    }
    let at_ns = events.last().expect("something happened").at_ns;
    let verdicts = suite.finish(at_ns).0.into_iter().enumerate();
    let read = verdicts.filter(|(place, (_, verdict))| reads(*place, verdict));
    read.filter_map(|(_, (checker, verdict))| match verdict {
        Verdict::Pass => None,
        Verdict::Unknown { .. } => Some(format!("{checker}/unknown")),
        Verdict::Violation(violation) => Some(format!("{checker}/{}", violation.kind)),
    })
    .collect()
}

#[test]
fn every_tampering_with_a_record_is_found_by_the_right_checker() {
    for (name, _) in RECORDED {
        let sound = recorded(name);
        assert_eq!(judge(name, &sound, all_ears(), |_, _| true), [""; 0], "{name} untouched");
        for tampering in TAMPERINGS.iter().filter(|tampering| tampering.scenario == name) {
            let mut events = sound.clone();
            assert!((tampering.tamper)(&mut events), "{}: no place for it", tampering.name);
            let found = judge(name, &events, all_ears(), |_, _| true);
            assert!(found.iter().any(|f| f == tampering.found), "{}: {found:?}", tampering.name);
        }
    }
}

#[test]
fn every_weakness_of_the_checkers_is_noticed_by_a_tampering_that_goes_unfound() {
    let records = RECORDED.map(|(name, _)| (name, recorded(name)));
    for weakness in WEAKNESSES {
        let tampering = TAMPERINGS.iter().find(|t| t.name == weakness.blind_to);
        let tampering = tampering.unwrap_or_else(|| panic!("no tampering {}", weakness.blind_to));
        let (name, sound) =
            records.iter().find(|(name, _)| *name == tampering.scenario).expect("recorded");
        let mut events = sound.clone();
        assert!((tampering.tamper)(&mut events), "{}: no place for it", tampering.name);
        let found = judge(name, &events, (weakness.ear)(), weakness.reads);
        assert!(!found.iter().any(|f| f == tampering.found), "{}: {found:?}", weakness.name);
    }
}
