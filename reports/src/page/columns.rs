//! A run as columns: what the page is told, in a form that packs well and is read quickly.
//!
//! Holds: times are differences in nanoseconds, texts are numbers of a table of texts, and every number
//! that could pass 2^53 (seeds, sessions, hashes) is a text.
//! Start at [`Columns::of`].

use super::Shown;
use super::lanes::Lanes;
use crate::words;
use mailstorm_record::{Event, Fault, Happening, NodeName, Run, Verdict};
use mailstorm_shared::observation::{Change, Outcome};
use mailstorm_shared::{Observation, SessionId, Zxid};
use serde::Serialize;
use std::collections::BTreeMap;

/// Everything that the page knows of a run.
#[derive(Serialize)]
pub(super) struct Columns {
    scenario: String,
    seed: String,
    defect: Option<&'static str>,
    version: &'static str,
    trace: String,
    virtual_ns: u64,
    replay: String,
    missing: Option<String>,
    about: Option<String>,
    nodes: Vec<Lane>,
    verdicts: Vec<Judged>,
    reached: BTreeMap<String, u64>,
    faults: Vec<Struck>,
    phases: Vec<(u64, String)>,
    lanes: Lanes,
    texts: Vec<String>,
    kinds: Vec<&'static str>,
    events: Events,
    messages: Messages,
    operations: Vec<Operation>,
    changes: Vec<Changed>,
    mails: Vec<Mail>,
}

#[derive(Serialize)]
struct Lane {
    name: String,
    /// `server`, `client` or `outside`.
    role: &'static str,
}

#[derive(Serialize)]
struct Judged {
    checker: String,
    verdict: &'static str,
    kind: String,
    at: u64,
    nodes: Vec<usize>,
    detail: String,
}

#[derive(Serialize)]
pub(crate) struct Struck {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) kind: String,
    pub(crate) nodes: Vec<usize>,
    /// The fault as a plan spells it.
    pub(crate) plan: String,
}

/// One entry per event, in order.
#[derive(Default, Serialize)]
struct Events {
    /// Nanoseconds since the event before.
    after: Vec<u64>,
    /// A lane, or -1 for the world itself.
    node: Vec<i32>,
    kind: Vec<usize>,
    /// A text; for a message that was sent or delivered the message's place.
    text: Vec<usize>,
}

/// One entry per message, in the order in which they were sent.
#[derive(Default, Serialize)]
struct Messages {
    number: Vec<u64>,
    to: Vec<i32>,
    bytes: Vec<usize>,
    label: Vec<usize>,
    /// The event of its sending.
    sent: Vec<usize>,
    /// The event of its delivery, or -1.
    delivered: Vec<i64>,
}

#[derive(Serialize)]
struct Operation {
    invoked: usize,
    /// The event of its end, or -1.
    returned: i64,
    /// `ok`, `failed`, `unknown` or `open`.
    outcome: &'static str,
}

/// What one transaction changed, told once: when the first server applied it.
#[derive(Serialize)]
struct Changed {
    event: usize,
    what: &'static str,
    path: String,
    /// The owner of an ephemeral; the session that began or ended.
    session: String,
    number: i64,
}

/// A step in the story of a mail.
#[derive(Serialize)]
struct Mail {
    event: usize,
    mail: usize,
    what: &'static str,
}

/// Texts by number.
#[derive(Default)]
struct Texts {
    places: BTreeMap<String, usize>,
    texts: Vec<String>,
}

impl Texts {
    fn place(&mut self, text: String) -> usize {
        if let Some(place) = self.places.get(&text) {
            return *place;
        }
        self.texts.push(text.clone());
        self.places.insert(text, self.texts.len() - 1);
        self.texts.len() - 1
    }
}

impl Columns {
    pub(super) fn of(shown: &Shown<'_>) -> Self {
        let run = shown.run;
        let none = Vec::new();
        let events = run.events.as_ref().unwrap_or(&none);
        let names = names_in(events, run);
        let place = |name: &NodeName| names.iter().position(|(known, _)| known == name);
        let end_ns = run.outcome.virtual_ns.max(events.last().map_or(0, |event| event.at_ns));
        let mut writer = Writer::default();
        for event in events {
            writer.write(event, &place);
        }
        Self {
            scenario: run.scenario.clone(),
            seed: run.seed.to_string(),
            defect: run.defect.map(|defect| defect.name()),
            version: env!("CARGO_PKG_VERSION"),
            trace: run.outcome.trace_hash.to_string(),
            virtual_ns: end_ns,
            replay: shown.replay.to_owned(),
            missing: shown.missing.map(str::to_owned),
            about: shown.about.map(str::to_owned),
            verdicts: judged(run, &place),
            reached: run.outcome.reached.clone(),
            faults: struck(run, events, &place, end_ns),
            phases: phases(events),
            lanes: Lanes::of(events, &place, end_ns),
            nodes: names.iter().map(|(name, role)| Lane { name: name.to_string(), role }).collect(),
            texts: writer.texts.texts,
            kinds: writer.kinds,
            events: writer.events,
            messages: writer.messages,
            operations: writer.operations,
            changes: writer.changes,
            mails: writer.mails,
        }
    }
}

/// What grows with the events.
#[derive(Default)]
struct Writer {
    texts: Texts,
    kinds: Vec<&'static str>,
    events: Events,
    messages: Messages,
    operations: Vec<Operation>,
    changes: Vec<Changed>,
    mails: Vec<Mail>,
    last_ns: u64,
    /// The newest transaction whose changes were told.
    applied: Zxid,
    /// Where a message that is under way stands, by its number.
    under_way: BTreeMap<u64, usize>,
    /// Where an operation that has not ended stands, by client and number.
    open: BTreeMap<(u32, u64), usize>,
}

impl Writer {
    fn write(&mut self, event: &Event, place: &dyn Fn(&NodeName) -> Option<usize>) {
        let index = self.events.after.len();
        let text = match &event.happening {
            Happening::Sent { message, to, bytes, label } => {
                let at = self.messages.number.len();
                self.messages.number.push(*message);
                self.messages.to.push(place(to).map_or(-1, |lane| lane as i32));
                self.messages.bytes.push(*bytes);
                let label = self.texts.place(label.to_string());
                self.messages.label.push(label);
                self.messages.sent.push(index);
                self.messages.delivered.push(-1);
                self.under_way.insert(*message, at);
                at
            }
            Happening::Delivered { message } => match self.under_way.remove(message) {
                Some(at) => {
                    self.messages.delivered[at] = index as i64;
                    at
                }
                // Its sending was not recorded: it has no line, and its event nothing to tell.
                None => return,
            },
            happening => {
                if let Happening::Observed { observation } = happening {
                    self.observed(index, observation);
                }
                self.texts.place(words::words(happening))
            }
        };
        let kind = words::kind(&event.happening);
        let kind = self.kinds.iter().position(|known| *known == kind).unwrap_or_else(|| {
            self.kinds.push(kind);
            self.kinds.len() - 1
        });
        self.events.after.push(event.at_ns.saturating_sub(self.last_ns));
        self.last_ns = self.last_ns.max(event.at_ns);
        let node = event.node.as_ref().and_then(place);
        self.events.node.push(node.map_or(-1, |lane| lane as i32));
        self.events.kind.push(kind);
        self.events.text.push(text);
    }

    fn observed(&mut self, index: usize, observation: &Observation) {
        match observation {
            Observation::Applied { zxid, changes, .. } if *zxid > self.applied => {
                self.applied = *zxid;
                self.changes.extend(changes.iter().map(|change| changed(index, change)));
            }
            Observation::Invoked { client, operation, .. } => {
                self.open.insert((*client, *operation), self.operations.len());
                self.operations.push(Operation { invoked: index, returned: -1, outcome: "open" });
            }
            Observation::Returned { client, operation, outcome } => {
                if let Some(at) = self.open.remove(&(*client, *operation)) {
                    self.operations[at].returned = index as i64;
                    self.operations[at].outcome = match outcome {
                        Outcome::Ok { .. } => "ok",
                        Outcome::Failed { .. } => "failed",
                        Outcome::Unknown => "unknown",
                    };
                }
            }
            Observation::MailAttempted { mail, .. } => self.mail(index, mail, "tried"),
            Observation::SinkAccepted { mail, .. } => self.mail(index, mail, "taken"),
            Observation::SinkRefused { mail, .. } => self.mail(index, mail, "refused"),
            _ => {}
        }
    }

    fn mail(&mut self, event: usize, mail: &str, what: &'static str) {
        let mail = self.texts.place(mail.to_owned());
        self.mails.push(Mail { event, mail, what });
    }
}

fn changed(event: usize, change: &Change) -> Changed {
    let owner = |session: &SessionId| {
        if *session == SessionId::NONE { String::new() } else { session.to_string() }
    };
    let (what, path, session, number) = match change {
        Change::Created { path, owner: of, .. } => ("created", path.to_string(), owner(of), 0),
        Change::Deleted { path } => ("deleted", path.to_string(), String::new(), 0),
        Change::DataSet { path, version, .. } => {
            ("set", path.to_string(), String::new(), i64::from(*version))
        }
        Change::AclSet { path } => ("acl", path.to_string(), String::new(), 0),
        Change::SessionOpened { session, timeout } => {
            ("opened", String::new(), session.to_string(), timeout.0 as i64)
        }
        Change::SessionClosed { session } => ("closed", String::new(), session.to_string(), 0),
    };
    Changed { event, what, path, session, number }
}

/// Every node that did something or had something done to it: servers first, then clients, then the rest;
/// each sort by letters and number.
pub(crate) fn names_in(events: &[Event], run: &Run) -> Vec<(NodeName, &'static str)> {
    let mut roles: BTreeMap<NodeName, &'static str> = BTreeMap::new();
    for event in events {
        let Some(node) = &event.node else { continue };
        let role = match &event.happening {
            Happening::Observed { observation: Observation::ServerStarted { .. } } => "server",
            Happening::Observed {
                observation: Observation::ClientConnected { .. } | Observation::Invoked { .. },
            } => "client",
            _ => "outside",
        };
        let known = roles.entry(node.clone()).or_insert(role);
        if *known == "outside" {
            *known = role;
        }
    }
    for violation in run.outcome.violations() {
        for node in &violation.nodes {
            roles.entry(node.clone()).or_insert("outside");
        }
    }
    let mut names: Vec<_> = roles.into_iter().collect();
    let order = |role: &str| ["server", "client", "outside"].iter().position(|r| *r == role);
    names.sort_by_key(|(name, role)| {
        let letters = name.0.trim_end_matches(|c: char| c.is_ascii_digit());
        let number: u64 = name.0[letters.len()..].parse().unwrap_or(0);
        (order(role), letters.to_owned(), number)
    });
    names
}

fn judged(run: &Run, place: &dyn Fn(&NodeName) -> Option<usize>) -> Vec<Judged> {
    let verdicts = run.outcome.verdicts.iter();
    verdicts
        .map(|(checker, verdict)| {
            let checker = checker.clone();
            let plain = |verdict, detail: &str| Judged {
                checker: checker.clone(),
                verdict,
                kind: String::new(),
                at: 0,
                nodes: Vec::new(),
                detail: detail.to_owned(),
            };
            match verdict {
                Verdict::Pass => plain("pass", ""),
                Verdict::Unknown { why } => plain("unknown", why),
                Verdict::Violation(violation) => Judged {
                    kind: violation.kind.clone(),
                    at: violation.at_ns,
                    nodes: violation.nodes.iter().filter_map(place).collect(),
                    ..plain("violation", &violation.detail)
                },
            }
        })
        .collect()
}

/// The faults that began, in order.
pub(crate) fn struck(
    run: &Run,
    events: &[Event],
    place: &dyn Fn(&NodeName) -> Option<usize>,
    end_ns: u64,
) -> Vec<Struck> {
    let mut ends: BTreeMap<usize, u64> = BTreeMap::new();
    for event in events {
        if let Happening::FaultEnded { index } = event.happening {
            ends.insert(index, event.at_ns);
        }
    }
    let began = events.iter().filter_map(|event| match &event.happening {
        Happening::FaultBegan { index, kind, nodes } => Some((event.at_ns, *index, kind, nodes)),
        _ => None,
    });
    began
        .map(|(from, index, kind, nodes)| Struck {
            from,
            to: ends.get(&index).copied().unwrap_or(end_ns),
            kind: kind.replace('_', " "),
            nodes: nodes.iter().filter_map(place).collect(),
            plan: run.plan.faults.get(index).map_or_else(String::new, spelt),
        })
        .collect()
}

fn spelt(fault: &Fault) -> String {
    let plan = mailstorm_record::Plan { faults: vec![fault.clone()], ..Default::default() };
    plan.to_toml().trim_end().to_owned()
}

fn phases(events: &[Event]) -> Vec<(u64, String)> {
    let phase = |event: &Event| match &event.happening {
        Happening::Phase { name } => Some((event.at_ns, name.to_string())),
        _ => None,
    };
    events.iter().filter_map(phase).collect()
}
