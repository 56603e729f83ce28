//! The onlooker: every event of a run goes through here, into the trace hash, to the checkers, to
//! the goals, and into the record if there is one.

use crate::aims::Aims;
use crate::coverage::CoverageMap;
use crate::run::Recording;
use crate::scenario::Progress;
use mailstorm_checkers::{Goal, Reached, Suite};
use mailstorm_record::{
    Coverage, Event, Fault, FaultCount, Happening, Names, NodeName, Plan, Violation,
};
use mailstorm_shared::{Observation, StateHasher};
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

/// Everything that watches a run and never changes it.
pub(crate) struct Judge {
    pub(crate) suite: Suite,
    pub(crate) progress: Box<dyn Progress>,
    reached: Reached,
    hasher: StateHasher,
    pub(crate) aims: Aims,
    coverage: CoverageMap,
    recording: Recording,
    record: Vec<Event>,
    /// What the world itself has to say: panics, dead ends, blown bounds.
    pub(crate) own: Vec<Violation>,
    /// Whether something was found that ends the run.
    pub(crate) fired: bool,
    /// Whether what a checker finds ends it.
    ends_at_once: bool,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

impl Judge {
    pub(crate) fn new(
        suite: Suite,
        progress: Box<dyn Progress>,
        goals: Vec<Goal>,
        (aims, coverage): (Aims, CoverageMap),
        recording: Recording,
        goes_on: bool,
    ) -> Self {
        Self {
            suite,
            progress,
            reached: Reached::new(goals),
            hasher: StateHasher::new(),
            aims,
            coverage,
            recording,
            record: Vec::new(),
            own: Vec::new(),
            fired: false,
            ends_at_once: !goes_on,
            messages: 0,
            bytes: 0,
        }
    }

    /// Whether everything is recorded.
    pub(crate) fn is_full(&self) -> bool {
        self.recording == Recording::Full
    }

    /// Something happened.
    pub(crate) fn see(&mut self, event: Event) {
        // What a core keeps in memory follows from what reached it.
        if !matches!(&event.happening, Happening::Observed { observation: Observation::Memory(_) })
        {
            event.hash(&mut self.hasher);
        }
        self.fired |= self.suite.observe(&event).is_some() && self.ends_at_once;
        self.progress.observe(&event);
        self.reached.observe(&event);
        self.aims.observe(&event);
        self.coverage.observe(&event);
        let is_recorded = match self.recording {
            Recording::Digest => false,
            Recording::Faults => is_of_a_fault(&event),
            Recording::Full => true,
        };
        if is_recorded {
            self.record.push(event);
        }
    }

    /// Something that only a full recording tells of: it must leave the hash as it is.
    pub(crate) fn record_only(&mut self, at_ns: u64, node: NodeName, happening: Happening) {
        if self.is_full() {
            self.record.push(Event { at_ns, node: Some(node), happening });
        }
    }

    /// A message arrived.
    pub(crate) fn delivered(&mut self, at_ns: u64, from: usize, to: usize, bytes: &[u8]) {
        self.messages += 1;
        self.bytes += bytes.len() as u64;
        let mut head = [0; 24];
        head[..8].copy_from_slice(&at_ns.to_le_bytes());
        head[8..12].copy_from_slice(&(from as u32).to_le_bytes());
        head[12..16].copy_from_slice(&(to as u32).to_le_bytes());
        head[16..].copy_from_slice(&xxhash_rust::xxh3::xxh3_64(bytes).to_le_bytes());
        self.hasher.write(&head);
    }

    /// The world itself found something.
    pub(crate) fn accuse(&mut self, violation: Violation) {
        self.fired = true;
        self.own.push(violation);
    }

    pub(crate) fn trace_hash(&self) -> u64 {
        self.hasher.finish()
    }

    pub(crate) fn reached(&self) -> BTreeMap<String, u64> {
        self.reached.counts().map(|(goal, count)| (goal.to_owned(), count)).collect()
    }

    /// The states of the protocol that the run came through, and the goals that it reached.
    pub(crate) fn coverage(&self) -> Coverage {
        self.coverage.states(self.reached.counts().map(|(_, count)| count > 0))
    }

    pub(crate) fn take_record(&mut self) -> Option<Vec<Event>> {
        (self.recording != Recording::Digest).then(|| std::mem::take(&mut self.record))
    }
}

/// Whether a fault cannot be told without it: that it began or ended, and which nodes there are.
fn is_of_a_fault(event: &Event) -> bool {
    matches!(
        event.happening,
        Happening::FaultBegan { .. }
            | Happening::FaultEnded { .. }
            | Happening::Started { incarnation: 0 }
    )
}

/// The faults of the plan, and which of them changed anything.
#[derive(Debug, Default)]
pub(crate) struct FaultBook {
    pub(crate) plan: Plan,
    /// What each is called in figures.
    labels: Vec<String>,
    begun: Vec<bool>,
    effective: Vec<bool>,
}

impl FaultBook {
    pub(crate) fn new(plan: Plan, names: &Names) -> Self {
        let count = plan.faults.len();
        let labels = plan.faults.iter().map(|fault| names.label(&fault.kind)).collect();
        Self { plan, labels, begun: vec![false; count], effective: vec![false; count] }
    }

    /// What it is called in figures.
    pub(crate) fn label(&self, fault: usize) -> &str {
        &self.labels[fault]
    }

    /// Whether some of them have no end.
    pub(crate) fn last_for_ever(&self) -> bool {
        self.plan.faults.iter().any(Fault::is_forever)
    }

    pub(crate) fn begun(&mut self, fault: usize) {
        self.begun[fault] = true;
    }

    /// The fault changed something: held a packet, killed a process, tore a sector.
    pub(crate) fn effective(&mut self, fault: usize) {
        self.effective[fault] = true;
    }

    pub(crate) fn counts(&self) -> BTreeMap<String, FaultCount> {
        let mut counts: BTreeMap<String, FaultCount> = BTreeMap::new();
        for (index, label) in self.labels.iter().enumerate() {
            let count = counts.entry(label.clone()).or_default();
            count.injected += u64::from(self.begun[index]);
            count.effective += u64::from(self.effective[index]);
        }
        counts
    }
}
