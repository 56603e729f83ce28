//! Varying a plan: a fault comes earlier, lasts longer, strikes somebody else, comes twice or not
//! at all, two plans become one, or something goes wrong in the very moment in which a run came to
//! something new.
//!
//! Holds: a varied plan asks for no more than a swarm may draw: the same kinds with the numbers
//! that a swarm drew for them, on nodes that they may strike, none longer than the longest, and no
//! more of them.
//! Start at [`Field::vary`].

use super::Kept;
use crate::scenario::{Membership, Subject, Topology};
use crate::stream::Stream;
use crate::swarm::{Blow, Cast, LONG_MS, draw_one};
use mailstorm_record::{Fault, NodeName, Plan};
use mailstorm_shared::Millis;

/// How many of a million varied plans begin as one plan and end as another.
const SPLICED_PER_MILLION: u32 = 250_000;

/// The most changes that are made to a plan at a time.
const STEPS_MAX: u64 = 4;

/// By how much a fault is moved at the most, either way, when it is moved a little.
const SHIFT_MS: u64 = 2_000;

/// How far off the moment that it is aimed at a fault may be, either way.
const AIM_MS: u64 = 150;

/// The most faults of a plan: about as many as a storm of all kinds has.
pub(super) const FAULTS_MAX: usize = 120;

/// Where plans are varied.
pub(super) struct Field {
    /// Who can be struck, for each system.
    casts: Vec<Cast>,
    /// Nodes that may stand for each other in any fault.
    alike: Vec<Vec<NodeName>>,
    storm_ms: u64,
}

/// A plan that is being varied.
struct Draft<'a> {
    faults: Vec<Fault>,
    /// When its parent came to something new.
    moments: &'a [u64],
}

/// One change.
type Step = fn(&Field, &mut Stream, &mut Draft<'_>);

const STEPS: [Step; 8] = [
    |field, s, draft| {
        let Some(fault) = draft.one(s) else { return };
        fault.at_ms = field.near(s, fault.at_ms, SHIFT_MS);
    },
    |field, s, draft| {
        let Some(fault) = draft.one(s) else { return };
        fault.at_ms = s.below(field.storm_ms);
    },
    |_, s, draft| {
        let Some(fault) = draft.one(s) else { return };
        fault.lasts_ms = (fault.lasts_ms * s.between(25, 400) / 100).min(LONG_MS.1);
    },
    |_, s, draft| {
        let left_out = s.between(1, 1 + draft.faults.len() as u64 / 4);
        for _ in 0..left_out.min(draft.faults.len() as u64) {
            draft.faults.remove(s.below(draft.faults.len() as u64) as usize);
        }
    },
    |field, s, draft| {
        let Some(mut fault) = draft.one(s).cloned() else { return };
        fault.at_ms = field.near(s, fault.at_ms, 2 * SHIFT_MS);
        draft.faults.push(fault);
    },
    |field, s, draft| {
        let Some(fault) = draft.one(s) else { return };
        field.strike_another(s, fault);
    },
    |field, s, draft| {
        let Some(moment) = s.pick(draft.moments).copied() else { return };
        let Some(fault) = draft.one(s) else { return };
        fault.at_ms = field.near(s, moment, AIM_MS);
    },
    |field, s, draft| {
        let moment = s.pick(draft.moments).copied().unwrap_or_else(|| s.below(field.storm_ms));
        let at_ms = field.near(s, moment, AIM_MS);
        let blows = field.cast(s).and_then(|cast| draw_one(s, cast)).unwrap_or_default();
        draft.faults.extend(blows.into_iter().map(|Blow { after_ms, lasts_ms, kind }| Fault {
            at_ms: at_ms + after_ms,
            lasts_ms,
            kind,
        }));
    },
];

impl Draft<'_> {
    /// One of its faults.
    fn one(&mut self, stream: &mut Stream) -> Option<&mut Fault> {
        let place = stream.below(self.faults.len() as u64) as usize;
        self.faults.get_mut(place)
    }
}

impl Field {
    pub(super) fn of(topology: &Topology, storm: Millis) -> Self {
        let mut alike: Vec<(Option<Membership>, Subject, Vec<NodeName>)> = Vec::new();
        let nodes = topology.nodes.iter().zip(topology.memberships());
        for (node, membership) in nodes.filter(|(node, _)| !node.spare) {
            let kind = (membership, node.subject);
            match alike.iter_mut().find(|known| (known.0, known.1) == kind) {
                Some(known) => known.2.push(node.name.clone()),
                None => alike.push((kind.0, kind.1, vec![node.name.clone()])),
            }
        }
        for (membership, subject, nodes) in &mut alike {
            if let Some(of) = membership.filter(|of| of.votes && *subject == Subject::ALL) {
                nodes.extend(topology.systems[of.system].aimed_at());
            }
        }
        let alike = alike.into_iter().map(|(.., nodes)| nodes).collect();
        Self { casts: Cast::all_of(topology), alike, storm_ms: storm.0 }
    }

    /// Another plan, made from this one, and perhaps from the end of the other.
    pub(super) fn vary(&self, stream: &mut Stream, parent: &Kept, other: &Kept) -> Plan {
        let mut draft = Draft { faults: parent.plan.faults.clone(), moments: &parent.moments };
        if stream.chance(SPLICED_PER_MILLION) {
            let seam_ms = stream.below(self.storm_ms);
            draft.faults.retain(|fault| fault.at_ms < seam_ms);
            let end = other.plan.faults.iter().filter(|fault| fault.at_ms >= seam_ms);
            draft.faults.extend(end.cloned());
        }
        for _ in 0..stream.between(1, STEPS_MAX) {
            let step = stream.pick(&STEPS).expect("there are some");
            step(self, stream, &mut draft);
        }
        let mut faults = draft.faults;
        faults.retain(|fault| fault.at_ms < self.storm_ms);
        while faults.len() > FAULTS_MAX {
            faults.remove(stream.below(faults.len() as u64) as usize);
        }
        for fault in &mut faults {
            fault.lasts_ms = fault.lasts_ms.min(self.storm_ms - fault.at_ms);
        }
        faults.sort_by_key(|fault| fault.at_ms);
        Plan { lasts_ms: Some(self.storm_ms), faults, ..Plan::default() }
    }

    /// Who can be struck, seen from one of the systems.
    fn cast(&self, stream: &mut Stream) -> Option<&Cast> {
        match &self.casts[..] {
            [only] => Some(only),
            several => stream.pick(several),
        }
    }

    /// A millisecond of the storm not farther from this one than that.
    fn near(&self, stream: &mut Stream, at_ms: u64, off_ms: u64) -> u64 {
        let off = stream.between(0, 2 * off_ms);
        (at_ms + off).saturating_sub(off_ms).min(self.storm_ms.saturating_sub(1))
    }

    /// One node of the fault, and one that is like it, change places in it.
    fn strike_another(&self, stream: &mut Stream, fault: &mut Fault) {
        let struck: Vec<NodeName> =
            fault.kind.node_lists().into_iter().flatten().cloned().collect();
        let Some(one) = stream.pick(&struck) else { return };
        let Some(alike) = self.alike.iter().find(|nodes| nodes.contains(one)) else { return };
        let others: Vec<&NodeName> = alike.iter().filter(|node| *node != one).collect();
        let Some(&another) = stream.pick(&others) else { return };
        for node in fault.kind.node_lists_mut().into_iter().flatten() {
            if node == one {
                *node = another.clone();
            } else if node == another {
                *node = one.clone();
            }
        }
    }
}
