//! A run as columns: what the page is told, in a form that packs well and is read quickly.
//!
//! Holds: times are differences in nanoseconds, texts are numbers of a table of texts, and every
//! number that could pass 2^53 (seeds, hashes) is a text.
//! Start at [`Columns::of`].

use super::Shown;
use super::causes::{Causes, Step};
use super::drawing::{Changes, Operation, ToldPanel};
use super::lanes::{Band, LIVES, Lanes};
use super::moments::{Moment, Scene, Stretch};
use super::nodes::{Node, nodes_in};
use super::projection::{Seen, Systems};
use super::sides::Split;
use crate::{projections, words};
use mailstorm_record::{Event, Fault, FaultKind, Happening, NodeName, Run, Verdict, Violation};
use mailstorm_shared::facts::{Sign, Tone};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Everything that the page knows of a run.
#[derive(Serialize)]
pub(super) struct Columns {
    scenario: String,
    seed: String,
    defect: Option<String>,
    version: &'static str,
    trace: String,
    virtual_ns: u64,
    replay: String,
    missing: Option<String>,
    about: Option<String>,
    /// What is shown first: all that happens, or the violation that the run is about.
    pub(super) opens: Stretch,
    /// The verdict that it opens on, or -1.
    pub(super) opens_on: i64,
    nodes: Vec<Lane>,
    verdicts: Vec<Judged>,
    reached: BTreeMap<String, u64>,
    faults: Vec<Struck>,
    phases: Vec<(u64, String)>,
    /// What nodes are at times.
    roles: Vec<Role>,
    bands: Vec<Band>,
    /// What processes are at times, beside up.
    states: [&'static str; 2],
    lives: Vec<Band>,
    texts: Vec<String>,
    kinds: Vec<String>,
    /// The sign of each kind.
    signs: Vec<Option<Sign>>,
    events: Events,
    messages: Messages,
    operations: Vec<Operation>,
    panels: Vec<ToldPanel>,
    changes: Changes,
}

/// A role that some node has at some time.
#[derive(Serialize)]
struct Role {
    name: String,
    tone: Tone,
    /// Which of the colours: systems get them in the order in which they show a role first.
    hue: usize,
    words: &'static str,
}

#[derive(Serialize)]
struct Lane {
    name: String,
    /// What it is, in a word.
    role: String,
}

#[derive(Serialize)]
struct Judged {
    checker: String,
    verdict: &'static str,
    kind: String,
    at: u64,
    nodes: Vec<usize>,
    detail: String,
    moment: Option<Moment>,
}

#[derive(Serialize)]
pub(crate) struct Struck {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) kind: String,
    pub(crate) nodes: Vec<usize>,
    /// The fault as a plan spells it.
    pub(crate) plan: String,
    /// The sides it makes of the nodes, if it cuts links.
    split: Option<Split>,
    /// Whether it stops processes.
    #[serde(skip)]
    pub(crate) stops: bool,
    /// Whether it breaks connections.
    #[serde(skip)]
    breaks: bool,
}

impl Struck {
    /// Whether it may be the reason why a message is lost on this way, while it lasts.
    pub(crate) fn loses(&self, from: usize, to: usize) -> bool {
        let strikes = |lane| self.nodes.contains(&lane);
        self.split.as_ref().is_some_and(|split| split.cuts(from, to))
            || (self.stops && strikes(to))
            || (self.breaks && (strikes(from) || strikes(to)))
    }

    /// Whether it keeps nodes from hearing each other.
    pub(crate) fn is_cut(&self) -> bool {
        self.split.is_some()
    }
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
    /// What it follows from: 0 for a cause, 1 for its node's event before, 2 for the sending.
    follows: Vec<u8>,
    /// The causes that are a fault, each with the fault.
    faults: Vec<(usize, usize)>,
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

/// Texts by number.
#[derive(Default)]
pub(super) struct Texts {
    places: BTreeMap<String, usize>,
    texts: Vec<String>,
}

impl Texts {
    pub(super) fn place(&mut self, text: String) -> usize {
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
        let mut systems = projections::all();
        let nodes = nodes_in(events, run, &systems);
        let place = |name: &NodeName| nodes.iter().position(|known| known.name == *name);
        let end_ns = run.outcome.virtual_ns.max(events.last().map_or(0, |event| event.at_ns));
        let told = with_sendings(events);
        let mut writer = Writer::default();
        for event in &told {
            writer.write(event, &systems, &place);
        }
        let names: Vec<NodeName> = nodes.iter().map(|node| node.name.clone()).collect();
        let drawing = systems.project(&Seen { events: &told, place: &place, names: &names });
        let lanes = Lanes::of(events, &place, &systems, end_ns);
        let faults = struck(run, events, &nodes, end_ns);
        let causes = Causes::of(&told, &faults, &place);
        writer.follow(&causes);
        let violations: Vec<&Violation> = run.outcome.violations().collect();
        let scene = Scene {
            events: &told,
            nodes: &nodes,
            faults: &faults,
            lanes: &lanes,
            causes: &causes,
            violations: &violations,
            systems: &systems,
            end_ns,
        };
        let verdicts = judged(run, &scene);
        // The record leads with what the run is about.
        let opens_on = verdicts.iter().position(|judged| judged.moment.is_some());
        let opens = match opens_on.and_then(|at| verdicts[at].moment.as_ref()) {
            Some(moment) => moment.opens,
            None => Stretch { from: 0, to: whole(&told, end_ns) },
        };
        let mut texts = writer.texts;
        let (operations, (panels, changes)) = drawing.told(&mut texts);
        Self {
            scenario: run.scenario.clone(),
            seed: run.seed.to_string(),
            defect: run.defect.map(|defect| defect.name().to_owned()),
            version: env!("CARGO_PKG_VERSION"),
            trace: run.outcome.trace_hash.to_string(),
            virtual_ns: end_ns,
            replay: shown.replay.to_owned(),
            missing: shown.missing.map(str::to_owned),
            about: shown.about.map(str::to_owned),
            opens,
            opens_on: opens_on.map_or(-1, |at| at as i64),
            verdicts,
            reached: run.outcome.reached.clone(),
            phases: phases(events),
            faults,
            roles: roles_of(&lanes),
            bands: lanes.roles,
            states: LIVES,
            lives: lanes.lives,
            nodes: lanes_of(nodes),
            texts: texts.texts,
            kinds: writer.kinds.iter().map(|(kind, _)| kind.clone()).collect(),
            signs: writer.kinds.into_iter().map(|(_, sign)| sign).collect(),
            events: writer.events,
            messages: writer.messages,
            operations,
            panels,
            changes,
        }
    }
}

/// What grows with the events.
#[derive(Default)]
struct Writer {
    texts: Texts,
    kinds: Vec<(String, Option<Sign>)>,
    events: Events,
    messages: Messages,
    last_ns: u64,
    /// Where a message that is under way stands, by its number.
    under_way: BTreeMap<u64, usize>,
}

impl Writer {
    /// Takes down what each event follows from.
    fn follow(&mut self, causes: &Causes) {
        for (at, step) in causes.steps.iter().enumerate() {
            self.events.follows.push(match step {
                Step::Cause(_) => 0,
                Step::Before(_) => 1,
                Step::Sending(_) => 2,
            });
            if let Step::Cause(Some(fault)) = step {
                self.events.faults.push((at, *fault));
            }
        }
    }

    fn write(
        &mut self,
        event: &Event,
        systems: &Systems,
        place: &dyn Fn(&NodeName) -> Option<usize>,
    ) {
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
                None => unreachable!("only messages whose sending is told are told"),
            },
            happening => self.texts.place(words::words(happening)),
        };
        let (kind, sign) = (words::kind(&event.happening), sign(&event.happening, systems));
        let is_it = |(known, shown): &(String, Option<Sign>)| known == kind && *shown == sign;
        let kind = self.kinds.iter().position(is_it).unwrap_or_else(|| {
            self.kinds.push((kind.to_owned(), sign));
            self.kinds.len() - 1
        });
        self.events.after.push(event.at_ns.saturating_sub(self.last_ns));
        self.last_ns = self.last_ns.max(event.at_ns);
        let node = event.node.as_ref().and_then(place);
        self.events.node.push(node.map_or(-1, |lane| lane as i32));
        self.events.kind.push(kind);
        self.events.text.push(text);
    }
}

/// The sign of an event on the time line.
fn sign(happening: &Happening, systems: &Systems) -> Option<Sign> {
    match happening {
        Happening::Observed { observation } => systems.sign(observation),
        Happening::Crashed { .. } | Happening::DiskDamaged => Some(Sign::Cross),
        Happening::Started { .. } | Happening::Resumed => Some(Sign::Triangle),
        Happening::Paused => Some(Sign::Bars),
        _ => None,
    }
}

fn roles_of(lanes: &Lanes) -> Vec<Role> {
    let mut topics: Vec<&str> = Vec::new();
    let mut roles = Vec::new();
    for known in &lanes.known {
        let hue = topics.iter().position(|topic| *topic == known.topic).unwrap_or_else(|| {
            topics.push(known.topic);
            topics.len() - 1
        });
        let name = known.name.to_string();
        roles.push(Role { name, tone: known.look.tone, hue, words: known.look.words });
    }
    roles
}

/// The events, but for deliveries of messages whose sending was not recorded: they have no line,
/// and nothing to tell.
fn with_sendings(events: &[Event]) -> Vec<&Event> {
    let mut under_way = BTreeSet::new();
    let is_told = |event: &&Event| match &event.happening {
        Happening::Sent { message, .. } => {
            under_way.insert(*message);
            true
        }
        Happening::Delivered { message } => under_way.remove(message),
        _ => true,
    };
    events.iter().filter(is_told).collect()
}

fn lanes_of(nodes: Vec<Node>) -> Vec<Lane> {
    let lane = |node: Node| Lane { name: node.name.to_string(), role: node.role };
    nodes.into_iter().map(lane).collect()
}

fn judged(run: &Run, scene: &Scene<'_>) -> Vec<Judged> {
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
                moment: None,
            };
            match verdict {
                Verdict::Pass => plain("pass", ""),
                Verdict::Unknown { why } => plain("unknown", why),
                Verdict::Violation(violation) => Judged {
                    kind: violation.kind.clone(),
                    at: violation.at_ns,
                    nodes: violation.nodes.iter().filter_map(|n| scene.place(n)).collect(),
                    moment: Some(Moment::of(violation, scene)),
                    ..plain("violation", &violation.detail)
                },
            }
        })
        .collect()
}

/// Where what happens in a run ends: many runs wait for a minute after their last event, to see
/// whether anything is missing.
fn whole(events: &[&Event], end_ns: u64) -> u64 {
    let is_work = |event: &&&Event| {
        event.node.is_some() && !matches!(event.happening, Happening::State { .. })
    };
    let last_ns = events.iter().rfind(is_work).map_or(end_ns, |event| event.at_ns);
    Stretch::around(0, last_ns, end_ns).to
}

/// The faults that began, in order.
pub(crate) fn struck(run: &Run, events: &[Event], nodes: &[Node], end_ns: u64) -> Vec<Struck> {
    let place = |name: &NodeName| nodes.iter().position(|known| known.name == *name);
    let mut ends: BTreeMap<usize, u64> = BTreeMap::new();
    let mut struck = Vec::new();
    for event in events {
        match &event.happening {
            Happening::FaultEnded { index } => _ = ends.insert(*index, event.at_ns),
            Happening::FaultBegan { index, kind, nodes: names, meant } => {
                let fault = run.plan.faults.get(*index);
                struck.push((
                    *index,
                    Struck {
                        from: event.at_ns,
                        to: end_ns,
                        kind: kind.replace('_', " "),
                        nodes: names.iter().filter_map(place).collect(),
                        plan: fault.map_or_else(String::new, spelt),
                        split: fault.and_then(|fault| Split::of(&fault.kind, nodes, meant)),
                        stops: fault.is_some_and(|fault| stops(&fault.kind)),
                        breaks: fault.is_some_and(|f| matches!(f.kind, FaultKind::Reset { .. })),
                    },
                ));
            }
            _ => {}
        }
    }
    let ended = |(index, fault): (usize, Struck)| Struck {
        to: ends.get(&index).copied().unwrap_or(end_ns),
        ..fault
    };
    struck.into_iter().map(ended).collect()
}

/// Whether processes die or stand still of it.
fn stops(kind: &FaultKind) -> bool {
    matches!(
        kind,
        FaultKind::Crash { .. }
            | FaultKind::CrashLoop { .. }
            | FaultKind::PowerCut { .. }
            | FaultKind::Pause { .. }
            | FaultKind::TornWrites { .. }
            | FaultKind::BitRot { .. }
            | FaultKind::MisdirectedWrite { .. }
            | FaultKind::DiskLost { .. }
    )
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
