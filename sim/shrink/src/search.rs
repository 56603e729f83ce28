//! The search for the smallest case: passes over faults, settings, single faults and times, until
//! none of them finds anything simpler.
//!
//! Whole halves of the faults go first, then smaller and smaller parts, then single faults (delta
//! debugging: Zeller and Hildebrandt, 2002). What is left is made simpler piece by piece. A pass
//! offers its candidates in a list, from the boldest to the most timid; the first that keeps the
//! violation is taken. Whoever runs them may run several at the same time, as long as the first in
//! the list wins.
//! Start at [`shrink`].

use crate::refuted::Refuted;
use crate::simpler::simpler;
use crate::weight::Weight;
use mailstorm_record::{Case, Fault, Names, NodeName, Plan, Setting, Settings};

/// What can be varied: the scenario's settings, and what a plan may name with them.
pub struct Field<'a> {
    /// The scenario's settings with its own values.
    pub settings: Vec<Setting>,
    /// What a plan may name.
    pub names: &'a dyn Fn(&Settings) -> Names,
}

/// The outcome of trying candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// None of them keeps the violation.
    NoneKeepsIt,
    /// This is the first that keeps it, by its place.
    Keeps(usize),
    /// The search stops after the first few; none of them keeps it.
    Stopped {
        /// How many were tried.
        tried: usize,
        /// Why.
        why: Stopped,
    },
}

/// Why a search stops while something simpler is left to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The time, or the number of runs, is spent.
    BudgetSpent,
    /// It was interrupted.
    Interrupted,
}

/// The end of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shrunk {
    /// The simplest case found.
    pub case: Case,
    /// Why it stopped; `None` where nothing simpler is left to try.
    pub stopped: Option<Stopped>,
    /// How many simpler cases are left to try, if none of them keeps the violation.
    pub untried: usize,
    /// What does not keep it, for a search that goes on from here.
    pub refuted: Refuted,
}

/// Shrinks a case that is known to fail. `try_first` is given cases that are all simpler than the
/// simplest found so far, none of which is known to be refuted, and says which is the first that
/// still fails in the same way.
pub fn shrink(
    start: Case,
    field: &Field<'_>,
    refuted: Refuted,
    try_first: &mut dyn FnMut(&[Case]) -> Tried,
) -> Shrunk {
    let mut search = Search { case: start, field, refuted, try_first, stopped: None };
    loop {
        let before = search.case.clone();
        search.pass();
        if search.stopped.is_some() || search.case == before {
            break;
        }
    }
    let untried = if search.stopped.is_some() { search.untried() } else { 0 };
    let Search { case, refuted, stopped, .. } = search;
    Shrunk { case, stopped, untried, refuted }
}

struct Search<'a> {
    case: Case,
    field: &'a Field<'a>,
    refuted: Refuted,
    try_first: &'a mut dyn FnMut(&[Case]) -> Tried,
    stopped: Option<Stopped>,
}

impl Search<'_> {
    /// Everything that can be tried, once.
    fn pass(&mut self) {
        self.drop_faults();
        self.end_earlier();
        self.change_settings();
        self.drop_faults();
        self.simplify_faults();
        self.begin_earlier();
        self.end_earlier();
    }

    /// How many cases the next pass would try, if none of them kept the violation.
    fn untried(&self) -> usize {
        let mut offered = Refuted::default();
        let mut count = |cases: &[Case]| {
            cases.iter().for_each(|case| _ = offered.add(case));
            Tried::NoneKeepsIt
        };
        Search {
            case: self.case.clone(),
            field: self.field,
            refuted: self.refuted.clone(),
            try_first: &mut count,
            stopped: None,
        }
        .pass();
        offered.count()
    }

    /// Takes the first of these that is simpler and keeps the violation; its place among them.
    fn step(&mut self, candidates: Vec<Case>) -> Option<usize> {
        if self.stopped.is_some() {
            return None;
        }
        let weight = Weight::of(&self.case, &self.field.settings);
        let (places, mut simpler): (Vec<usize>, Vec<Case>) = candidates
            .into_iter()
            .enumerate()
            .filter(|(_, case)| Weight::of(case, &self.field.settings) < weight)
            .filter(|(_, case)| case.plan.check(&(self.field.names)(&case.settings)).is_ok())
            .filter(|(_, case)| !self.refuted.has(case))
            .unzip();
        if simpler.is_empty() {
            return None;
        }
        let tried = (self.try_first)(&simpler);
        let count = match tried {
            Tried::Keeps(place) => place,
            Tried::NoneKeepsIt => simpler.len(),
            Tried::Stopped { tried, .. } => tried,
        };
        simpler[..count].iter().for_each(|case| _ = self.refuted.add(case));
        match tried {
            Tried::Keeps(place) => {
                self.case = simpler.swap_remove(place);
                Some(places[place])
            }
            Tried::NoneKeepsIt => None,
            Tried::Stopped { why, .. } => {
                self.stopped = Some(why);
                None
            }
        }
    }

    fn with_faults(&self, faults: Vec<Fault>) -> Case {
        Case { plan: Plan { faults, ..self.case.plan.clone() }, ..self.case.clone() }
    }

    /// All at once, then halves, quarters and so on, down to single faults.
    fn drop_faults(&mut self) {
        let mut size = self.case.plan.faults.len();
        while size > 0 {
            let mut from = 0;
            loop {
                let faults = &self.case.plan.faults;
                let without = |start: usize| {
                    let end = (start + size).min(faults.len());
                    self.with_faults([&faults[..start], &faults[end..]].concat())
                };
                let candidates: Vec<Case> =
                    (from..faults.len()).step_by(size).map(without).collect();
                match self.step(candidates) {
                    // What came before it must stay; what comes after it has taken its place.
                    Some(place) => from += place * size,
                    None => break,
                }
            }
            size = (size / 2).min(self.case.plan.faults.len());
        }
    }

    /// One fault after the other: another kind, fewer nodes, shorter, rounder.
    fn simplify_faults(&mut self) {
        for index in 0..self.case.plan.faults.len() {
            loop {
                let replaced = |fault: Fault| {
                    let mut faults = self.case.plan.faults.clone();
                    faults[index] = fault;
                    self.with_faults(faults)
                };
                let candidates = simpler(&self.case.plan.faults[index]);
                let candidates = candidates.into_iter().map(replaced).collect();
                if self.step(candidates).is_none() {
                    break;
                }
            }
        }
    }

    /// Each setting to its simplest value, or halfway there, or one step.
    fn change_settings(&mut self) {
        for setting in self.field.settings.clone() {
            loop {
                let now = self.case.settings.0.get(setting.name).copied();
                let now = now.unwrap_or(setting.default);
                let (low, high) = (now.min(setting.simplest), now.max(setting.simplest));
                let halfway = low + (high - low) / 2;
                let step = if now > setting.simplest { now - 1 } else { high.min(now + 1) };
                let mut values = vec![setting.simplest, halfway, step];
                values.dedup();
                let candidates: Vec<Case> =
                    values.into_iter().map(|value| self.with_setting(&setting, value)).collect();
                if self.step(candidates).is_none() {
                    break;
                }
            }
        }
    }

    /// The case with this setting; nodes that are no longer there are struck from its plan, and so
    /// are faults that no longer strike anybody.
    fn with_setting(&self, setting: &Setting, value: u64) -> Case {
        let mut case = self.case.clone();
        if value == setting.default {
            case.settings.0.remove(setting.name);
        } else {
            case.settings.0.insert(setting.name.to_owned(), value);
        }
        let names = (self.field.names)(&case.settings);
        let is_there = |node: &NodeName| names.has(node);
        for fault in &mut case.plan.faults {
            fault.kind.node_lists_mut().into_iter().for_each(|list| list.retain(is_there));
        }
        let strikes = |fault: &Fault| fault.kind.node_lists().iter().all(|list| !list.is_empty());
        case.plan.faults.retain(strikes);
        case
    }

    /// All faults earlier by as much as the first one can be, or half of that.
    fn begin_earlier(&mut self) {
        let first = self.case.plan.faults.iter().map(|fault| fault.at_ms).min().unwrap_or(0);
        let earlier = |by: u64| {
            let mut case = self.case.clone();
            case.plan.faults.iter_mut().for_each(|fault| fault.at_ms -= by);
            case.plan.lasts_ms = case.plan.lasts_ms.map(|ms| ms.saturating_sub(by));
            case
        };
        let candidates = [first, first / 1_000 * 1_000, first / 2_000 * 1_000].map(earlier).into();
        self.step(candidates);
    }

    /// The storm ends with its last fault, or at least earlier.
    fn end_earlier(&mut self) {
        loop {
            let (now, least) = (self.case.plan.storm_ms(), self.case.plan.ends_ms());
            let ending = |lasts_ms: Option<u64>| {
                let mut case = self.case.clone();
                case.plan.lasts_ms = lasts_ms;
                case
            };
            let between = [(now - least) / 4, (now - least) / 2].map(|more| least + more);
            let round = between.map(|ms| ms.div_ceil(1_000) * 1_000);
            let mut candidates: Vec<Case> =
                [None, Some(round[0]), Some(round[1])].map(ending).into();
            candidates.retain(|case| case.plan.lasts_ms.is_some() || !case.plan.needs_length());
            if self.step(candidates).is_none() {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests;
