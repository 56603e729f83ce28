//! A whole run as a trace for Perfetto (and `chrome://tracing`): the Trace Event Format, in JSON.
//!
//! Each node is a process with four tracks: what role it has, whether it is up, its messages, and
//! everything else it told. Messages are small slices joined by flow events, operations are async
//! slices, faults and phases are slices of a process of their own, a violation is a mark across all
//! of it.
//! Holds: slices of one track never overlap, since a flow event belongs to whatever slice encloses
//! it; times are virtual, in whole microseconds. Start at [`perfetto`].

use super::window::events;
use crate::page::columns::{Struck, struck};
use crate::page::lanes::{Band, Lanes};
use crate::page::nodes::nodes_in;
use crate::projections;
use crate::words::{kind, words};
use mailstorm_record::{Event, Happening, NodeName, Run};
use mailstorm_shared::Observation;
use mailstorm_shared::facts::{ClientFact, Outcome};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The process of the world; nodes come after it. Zero is the idle process of systems.
const WORLD: usize = 1;
const ROLE: usize = 1;
const LIFE: usize = 2;
const MESSAGES: usize = 3;
const EVENTS: usize = 4;
/// The track of the phases; faults come after it.
const PHASES: usize = 1;
const NS_PER_US: u64 = 1_000;

/// The run, with the command that runs it again, and what is missing of it if it was cut short.
pub fn perfetto(run: &Run, replay: &str, missing: Option<&str>) -> String {
    let events = events(run);
    let systems = projections::all();
    let nodes = nodes_in(events, run, &systems);
    let names: Vec<NodeName> = nodes.iter().map(|node| node.name.clone()).collect();
    let place = |name: &NodeName| names.iter().position(|known| known == name);
    let end_ns = run.outcome.virtual_ns.max(events.last().map_or(0, |event| event.at_ns));
    let mut trace = Trace::default();
    trace.name_process(WORLD, "world");
    trace.name_track(WORLD, PHASES, "phases");
    for (node, name) in names.iter().enumerate() {
        trace.name_process(process(node), &name.0);
        for (track, name) in
            [(ROLE, "role"), (LIFE, "process"), (MESSAGES, "messages"), (EVENTS, "events")]
        {
            trace.name_track(process(node), track, name);
        }
    }
    trace.phases(events, end_ns);
    trace.faults(&struck(run, events, &nodes, end_ns), &names);
    let lanes = Lanes::of(events, &place, &systems, end_ns);
    trace.bands(&lanes.roles, ROLE);
    trace.bands(&lanes.lives, LIFE);
    trace.messages(events, &place);
    trace.operations(events, &place, end_ns);
    trace.instants(events, &place);
    for violation in run.outcome.violations() {
        let nodes: Vec<&str> = violation.nodes.iter().map(|node| &*node.0).collect();
        trace.add(json!({
            "ph": "i", "s": "g", "pid": WORLD, "tid": PHASES, "ts": us(violation.at_ns), "cat": "violation",
            "name": format!("VIOLATION {}", violation.name()),
            "args": { "detail": violation.detail, "nodes": nodes },
        }));
    }
    let head = json!({
        "mailstorm": run.mailstorm, "scenario": run.scenario, "seed": run.seed.to_string(),
        "trace": run.outcome.trace_hash.to_string(), "replay": replay, "missing": missing,
    });
    trace.end(&head)
}

fn process(node: usize) -> usize {
    WORLD + 1 + node
}

/// Nanoseconds as the format's microseconds; whole ones, since readers cut what comes after in
/// their own ways.
fn us(ns: u64) -> u64 {
    ns / NS_PER_US
}

/// The trace so far: one event a line.
#[derive(Default)]
struct Trace(String);

impl Trace {
    fn add(&mut self, event: Value) {
        if !self.0.is_empty() {
            self.0.push_str(",\n");
        }
        self.0.push_str(&event.to_string());
    }

    fn end(self, head: &Value) -> String {
        format!(
            "{{\"displayTimeUnit\":\"ms\",\"otherData\":{head},\"traceEvents\":[\n{}\n]}}\n",
            self.0
        )
    }

    fn name_process(&mut self, pid: usize, name: &str) {
        self.add(
            json!({ "ph": "M", "name": "process_name", "pid": pid, "args": { "name": name } }),
        );
        self.add(
            json!({ "ph": "M", "name": "process_sort_index", "pid": pid, "args": { "sort_index": pid } }),
        );
    }

    fn name_track(&mut self, pid: usize, tid: usize, name: &str) {
        self.add(json!({
            "ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": { "name": name },
        }));
        self.add(json!({
            "ph": "M", "name": "thread_sort_index", "pid": pid, "tid": tid, "args": { "sort_index": tid },
        }));
    }

    fn slice(&mut self, (pid, tid): (usize, usize), from: u64, to: u64, what: Value) {
        let mut slice = json!({
            "ph": "X", "pid": pid, "tid": tid, "ts": us(from), "dur": us(to).saturating_sub(us(from)),
        });
        if let (Value::Object(slice), Value::Object(what)) = (&mut slice, what) {
            slice.extend(what);
        }
        self.add(slice);
    }

    fn phases(&mut self, events: &[Event], end_ns: u64) {
        let phases: Vec<(u64, &str)> = events
            .iter()
            .filter_map(|event| match &event.happening {
                Happening::Phase { name } => Some((event.at_ns, &**name)),
                _ => None,
            })
            .collect();
        for (place, (from, name)) in phases.iter().enumerate() {
            let to = phases.get(place + 1).map_or(end_ns, |(to, _)| *to);
            self.slice((WORLD, PHASES), *from, to, json!({ "name": name, "cat": "phase" }));
        }
    }

    /// Faults that overlap lie on tracks of their own.
    fn faults(&mut self, faults: &[Struck], names: &[NodeName]) {
        let mut free_from: Vec<u64> = Vec::new();
        for fault in faults {
            let free = free_from.iter().position(|from| *from <= fault.from);
            let track = free.unwrap_or_else(|| {
                free_from.push(0);
                self.name_track(WORLD, PHASES + free_from.len(), "faults");
                free_from.len() - 1
            });
            // One that took no time has its place, too.
            free_from[track] = fault.to.max(fault.from + NS_PER_US);
            let nodes: Vec<&str> = fault.nodes.iter().map(|node| &*names[*node].0).collect();
            let name = format!("{} {}", fault.kind, nodes.join(", "));
            let what = json!({
                "name": name, "cat": "fault", "args": { "nodes": nodes, "plan": fault.plan },
            });
            self.slice((WORLD, PHASES + 1 + track), fault.from, free_from[track], what);
        }
    }

    fn bands(&mut self, bands: &[Band], track: usize) {
        for band in bands {
            let epoch =
                if band.epoch > 0 { format!(" epoch {}", band.epoch) } else { String::new() };
            let what = json!({ "name": format!("{}{epoch}", band.what), "cat": "state" });
            self.slice((process(band.node), track), band.from, band.to, what);
        }
    }

    fn messages(&mut self, events: &[Event], place: &dyn Fn(&NodeName) -> Option<usize>) {
        // A node may send many messages at one instant: each takes a microsecond, after the one
        // before.
        let mut next: BTreeMap<usize, u64> = BTreeMap::new();
        let mut slices: Vec<(usize, u64, &Event)> = Vec::new();
        let mut arrives: BTreeMap<u64, bool> = BTreeMap::new();
        for event in events {
            match event.happening {
                Happening::Sent { message, .. } => _ = arrives.entry(message).or_default(),
                // What was sent before the record began has no arrow; of a message that comes in
                // pieces the first has it.
                Happening::Delivered { message } => match arrives.get_mut(&message) {
                    Some(arrives) if !*arrives => *arrives = true,
                    _ => continue,
                },
                _ => continue,
            }
            let Some(node) = event.node.as_ref().and_then(place) else { continue };
            let at = us(event.at_ns) * NS_PER_US;
            let at = next.get(&node).map_or(at, |next| at.max(*next));
            next.insert(node, at + NS_PER_US);
            slices.push((node, at, event));
        }
        let mut labels: BTreeMap<u64, &str> = BTreeMap::new();
        for (node, from, event) in slices {
            let (track, to) = ((process(node), MESSAGES), from + NS_PER_US);
            match &event.happening {
                Happening::Sent { message, to: receiver, bytes, label } => {
                    labels.insert(*message, label);
                    let lost = !arrives[message];
                    let sign = if lost { "lost" } else { "send" };
                    let args = json!({ "to": &*receiver.0, "bytes": bytes, "lost": lost });
                    let name = format!("{sign} {label}");
                    self.slice(
                        track,
                        from,
                        to,
                        json!({ "name": name, "cat": "message", "args": args }),
                    );
                    if !lost {
                        self.flow("s", track, from, *message);
                    }
                }
                Happening::Delivered { message } => {
                    let label = labels.remove(message).unwrap_or_default();
                    let name = format!("receive {label}");
                    self.slice(track, from, to, json!({ "name": name, "cat": "message" }));
                    self.flow("f", track, from, *message);
                }
                _ => unreachable!("only messages were taken"),
            }
        }
    }

    fn flow(&mut self, phase: &str, (pid, tid): (usize, usize), at: u64, message: u64) {
        let mut flow = json!({
            "ph": phase, "pid": pid, "tid": tid, "ts": us(at), "id": message, "cat": "message",
            "name": "message",
        });
        if phase == "f" {
            // It ends at the slice that encloses it, not at the next one.
            flow["bp"] = json!("e");
        }
        self.add(flow);
    }

    fn operations(
        &mut self,
        events: &[Event],
        place: &dyn Fn(&NodeName) -> Option<usize>,
        end_ns: u64,
    ) {
        let mut open: BTreeMap<(u32, u64), (usize, String)> = BTreeMap::new();
        for event in events {
            let Happening::Observed { observation } = &event.happening else { continue };
            let Some(node) = event.node.as_ref().and_then(place) else { continue };
            match observation {
                Observation::Client(ClientFact::Invoked { client, operation, .. }) => {
                    let name = words(&event.happening);
                    self.operation("b", node, event.at_ns, (*client, *operation), &name, None);
                    open.insert((*client, *operation), (node, name));
                }
                Observation::Client(ClientFact::Returned {
                    client, operation, outcome, ..
                }) => {
                    // A number comes again when another process counts from the beginning.
                    if let Some((node, name)) = open.remove(&(*client, *operation)) {
                        let outcome = match outcome {
                            Outcome::Ok { .. } => "ok",
                            Outcome::Failed { .. } => "failed",
                            Outcome::Unknown => "unknown",
                        };
                        let key = (*client, *operation);
                        self.operation("e", node, event.at_ns, key, &name, Some(outcome));
                    }
                }
                _ => {}
            }
        }
        for (key, (node, name)) in open {
            self.operation("e", node, end_ns, key, &name, Some("open"));
        }
    }

    fn operation(
        &mut self,
        phase: &str,
        node: usize,
        at: u64,
        (client, operation): (u32, u64),
        name: &str,
        outcome: Option<&str>,
    ) {
        let mut event = json!({
            "ph": phase, "pid": process(node), "tid": EVENTS, "ts": us(at), "cat": "operation",
            "id": format!("{client}.{operation}"), "name": name,
        });
        if let Some(outcome) = outcome {
            event["args"] = json!({ "outcome": outcome });
        }
        self.add(event);
    }

    /// Everything that is told in no other way.
    fn instants(&mut self, events: &[Event], place: &dyn Fn(&NodeName) -> Option<usize>) {
        for event in events {
            match &event.happening {
                Happening::Sent { .. }
                | Happening::Delivered { .. }
                | Happening::State { .. }
                | Happening::Phase { .. }
                | Happening::FaultBegan { .. }
                | Happening::FaultEnded { .. } => continue,
                Happening::Observed {
                    observation:
                        Observation::Client(ClientFact::Invoked { .. } | ClientFact::Returned { .. }),
                } => continue,
                _ => {}
            }
            let Some(node) = event.node.as_ref().and_then(place) else { continue };
            self.add(json!({
                "ph": "i", "s": "t", "pid": process(node), "tid": EVENTS, "ts": us(event.at_ns),
                "cat": "event", "name": kind(&event.happening),
                "args": { "what": words(&event.happening) },
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{at, delivered, run, sent};
    use super::*;

    fn read(text: &str) -> Vec<Value> {
        let value: Value = serde_json::from_str(text).expect("JSON");
        value["traceEvents"].as_array().expect("events").clone()
    }

    /// Every flow's end must be enclosed by exactly one slice of its track: it names what it joins.
    fn enclosing<'a>(events: &'a [Value], flow: &Value) -> &'a str {
        let number = |value: &Value| value.as_u64().expect("a number");
        let at = number(&flow["ts"]);
        let mut slices = events.iter().filter(|event| {
            event["ph"] == "X"
                && (&event["pid"], &event["tid"]) == (&flow["pid"], &flow["tid"])
                && number(&event["ts"]) <= at
                && at < number(&event["ts"]) + number(&event["dur"])
        });
        let name = slices.next().expect("a slice")["name"].as_str().expect("a name");
        assert!(slices.next().is_none(), "slices overlap at {at}");
        name
    }

    #[test]
    fn every_message_that_arrives_is_one_flow_from_slice_to_slice() {
        // Three at one instant, one of them lost, and one that crosses another.
        let run = run(
            vec![
                at(5_000, Some("a"), sent(1, "b")),
                at(5_000, Some("a"), sent(2, "b")),
                at(5_000, Some("a"), sent(3, "b")),
                at(7_123, Some("b"), delivered(3)),
                at(7_123, Some("b"), delivered(1)),
                at(7_500, Some("b"), delivered(1)),
                at(7_123, Some("b"), delivered(99)),
            ],
            Some(8_000),
        );
        let events = read(&perfetto(&run, "mailstorm replay x", None));
        for (message, name) in [(1, "Propose 1"), (3, "Propose 3")] {
            let flows: Vec<_> = events.iter().filter(|event| event["id"] == message).collect();
            let [begin, end] = flows[..] else { panic!("a begin and an end: {flows:?}") };
            assert_eq!(
                (&begin["ph"], &end["ph"], &end["bp"]),
                (&json!("s"), &json!("f"), &json!("e"))
            );
            assert_eq!(enclosing(&events, begin), format!("send {name}"));
            assert_eq!(enclosing(&events, end), format!("receive {name}"));
        }
        assert!(!events.iter().any(|event| event["id"] == 2 || event["id"] == 99));
        assert!(events.iter().any(|event| event["name"] == "lost Propose 2"));
        let violation = events.iter().find(|event| event["cat"] == "violation").expect("a mark");
        assert_eq!((&violation["s"], &violation["ts"]), (&json!("g"), &json!(8)));
    }

    #[test]
    fn faults_that_overlap_lie_on_tracks_of_their_own() {
        let began = |index, node: &str| Happening::FaultBegan {
            index,
            kind: "pause".into(),
            nodes: vec![node.into()],
            meant: Default::default(),
        };
        let run = run(
            vec![
                at(0, None, Happening::Phase { name: "storm".into() }),
                at(1_000, None, began(0, "a")),
                at(2_000, None, began(1, "b")),
                at(3_000, None, Happening::FaultEnded { index: 0 }),
                at(4_000, None, began(2, "a")),
                at(5_000, Some("a"), Happening::Paused),
                at(6_000, None, Happening::FaultEnded { index: 1 }),
                at(9_000, Some("b"), Happening::Paused),
            ],
            None,
        );
        let events = read(&perfetto(&run, "", Some("half of it")));
        let faults = events.iter().filter(|event| event["cat"] == "fault");
        let told: Vec<_> =
            faults.map(|event| (&event["tid"], &event["ts"], &event["dur"])).collect();
        assert_eq!(
            told,
            [
                (&json!(2), &json!(1), &json!(2)),
                (&json!(3), &json!(2), &json!(4)),
                (&json!(2), &json!(4), &json!(5)),
            ]
        );
        let paused = events.iter().find(|event| event["name"] == "paused" && event["ph"] == "X");
        assert_eq!(paused.expect("a band")["dur"], json!(4));
    }
}
