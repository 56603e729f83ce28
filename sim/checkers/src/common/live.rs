//! Liveness, as far as a run can show it: work goes on.
//!
//! Definition. There is so much work to be done, in pieces. From the beginning of the run until the
//! last piece is done, no longer than the bound passes without one: otherwise the work stood still
//! (`gap`, made known by the piece that ends it, or by the first event after the bound if none ever
//! comes: `stopped`). At the end of the run no piece is missing (`unfinished`).
//!
//! Where it is said what the work [needs], this is asked only while it has that: while no majority
//! of the servers hears itself, or nobody who does the work hears it, the clock stands still, and
//! what is missing at the end is no fault of the design. With every change in who runs and who
//! hears whom it begins again: a crash of a worker costs in addition the end of his session, and
//! servers or links that come or go cost what it takes until somebody leads and everybody has found
//! the way back.
//!
//! A bound on virtual time makes of liveness, which no finite run can refute, a safety property
//! that it can (Alpern and Schneider, "Defining liveness", 1985). What the bound is, the scenario
//! says.
//! Figure: the stretches between two pieces, whatever the reason for them is.
//!
//! [needs]: crate::ensemble::needs

use crate::common::checker::violation;
use crate::common::reach::Changed;
use crate::{Checker, Figure, Interests, Needs, Reach};
use mailstorm_record::{Event, Happening, NodeName, Plan, Verdict, Violation};
use mailstorm_shared::Millis;
use mailstorm_shared::time_in_words::moment;
use std::collections::BTreeMap;

const NS_PER_MS: u64 = 1_000_000;

/// How much longer work may take to go on after servers or links have come or gone. A follower
/// believes in its silent leader for ten seconds (ZooKeeper's `syncLimit`); then come an election,
/// the end of sessions that the new leader counts from its own beginning, and clients whose
/// connection attempts hang.
const SETTLING: Millis = Millis(20_000);

/// How much longer work may take to go on after somebody who does it has died, slept or come back:
/// what he held is free when his session is over, which is six seconds, or what the scenario adds
/// to the bound, up to a tick of two seconds, and a report to the leader.
const SESSION_END: Millis = Millis(9_000);

/// Watches one kind of work.
pub struct Live {
    /// What a piece of it is, in a word or two: `mail`, `acknowledged write`.
    piece: &'static str,
    /// How many there are to be done; `None` for work without an end, which must go on until the
    /// run's.
    pieces: Option<u64>,
    gap_ns_max: u64,
    interests: Interests,
    is_piece: Box<dyn FnMut(&Event) -> bool>,
    /// Whose each piece is, if everybody has a share of the work.
    shares: Option<Shares>,
    /// What the work needs, if there are times at which nobody could do it.
    supply: Option<Supply>,
    done: u64,
    last_ns: u64,
    /// What the event is that is being looked at.
    step: Step,
    /// When the bound passed that was broken, until it is known whether another piece comes.
    overdue_ns: Option<u64>,
    gap_ms: Figure,
}

/// What an event is to the work.
#[derive(Clone, Debug, Default)]
struct Step {
    was_finished: bool,
    is_piece: bool,
    /// Who has nothing left to do with it.
    finished: Option<NodeName>,
    /// When the piece before it was done.
    before_ns: u64,
}

/// Says of an event whose piece of work it is, if it is one.
type Whose = Box<dyn FnMut(&Event) -> Option<NodeName>>;

/// Work of which everybody has a share.
struct Shares {
    each: u64,
    done: BTreeMap<NodeName, u64>,
    whose: Whose,
}

/// Whether the work has what it needs.
struct Supply {
    needs: Needs,
    reach: Reach,
    is_there: bool,
    /// Nothing is overdue before this.
    not_before_ns: u64,
}

impl Live {
    /// Work of so many pieces, of which each event of which `is_piece` is true is one. It sees
    /// every event of the kinds it is interested in.
    pub fn new(
        piece: &'static str,
        pieces: impl Into<Option<u64>>,
        gap_max: Millis,
        interests: Interests,
        is_piece: impl FnMut(&Event) -> bool + 'static,
    ) -> Self {
        Self {
            piece,
            pieces: pieces.into(),
            gap_ns_max: gap_max.0 * NS_PER_MS,
            interests,
            is_piece: Box::new(is_piece),
            shares: None,
            supply: None,
            done: 0,
            last_ns: 0,
            step: Step::default(),
            overdue_ns: None,
            gap_ms: Figure::new("gap_ms", "how long no piece of the work was done"),
        }
    }

    /// Work of which each of so many workers has to do so many pieces: `whose` says of an event
    /// whose piece it is, if it is one. What somebody does beyond his share is no piece of it.
    pub fn shared(
        piece: &'static str,
        (workers, each): (u64, u64),
        gap_max: Millis,
        interests: Interests,
        whose: impl FnMut(&Event) -> Option<NodeName> + 'static,
    ) -> Self {
        let shares = Shares { each, done: BTreeMap::new(), whose: Box::new(whose) };
        let live = Self::new(piece, workers * each, gap_max, interests, |_| false);
        Self { shares: Some(shares), ..live }
    }

    /// The same work, of which nothing is asked while it has not got what it needs.
    #[must_use]
    pub fn needing(self, needs: Needs) -> Self {
        let reach = Reach::new(needs.ensemble());
        let interests =
            self.interests | Interests::PLAN | Interests::PROCESSES | Interests::LEADERSHIP;
        let supply = Supply { needs, reach, is_there: true, not_before_ns: 0 };
        Self { interests, supply: Some(supply), ..self }
    }

    fn is_finished(&self) -> bool {
        self.pieces.is_some_and(|pieces| self.done >= pieces)
    }

    /// When a piece after the one at `last_ns` is overdue; never while the work has not got what it
    /// needs.
    fn due_ns(&self, last_ns: u64) -> Option<u64> {
        let due_ns = last_ns.saturating_add(self.gap_ns_max);
        match &self.supply {
            None => Some(due_ns),
            Some(supply) => supply.is_there.then(|| due_ns.max(supply.not_before_ns)),
        }
    }

    fn wrong(&self, kind: &str, at_ns: u64, since_ns: u64, detail: String) -> Violation {
        violation("live", kind, at_ns, [], detail).since(since_ns)
    }

    /// What was done, of how much.
    fn told(&self) -> String {
        let of = self.pieces.map(|pieces| format!(" of {pieces}")).unwrap_or_default();
        format!("{}{of} done", self.done)
    }
}

impl Shares {
    /// Whether the event is a piece of somebody's share; also says who has just done the last one
    /// of it.
    fn add(&mut self, event: &Event) -> (bool, Option<NodeName>) {
        let Some(worker) = (self.whose)(event) else { return (false, None) };
        let done = self.done.entry(worker.clone()).or_default();
        let is_piece = *done < self.each;
        *done += u64::from(is_piece);
        let is_last = is_piece && *done == self.each;
        (is_piece, is_last.then_some(worker))
    }
}

impl Supply {
    /// Somebody has nothing left to do.
    fn finished(&mut self, worker: &NodeName) {
        self.needs.finished(worker);
        self.is_there = self.needs.allow(&self.reach);
    }

    /// Follows who runs and who hears whom.
    fn observe(&mut self, event: &Event, gap_ns_max: u64) {
        let Some(changed) = self.reach.observe(event) else { return };
        self.is_there = self.needs.allow(&self.reach);
        // That everybody starts for the first time is no trouble.
        if matches!(event.happening, Happening::Started { incarnation: 0 }) {
            return;
        }
        let settling_ns = match changed {
            Changed::Client => SESSION_END.0 * NS_PER_MS,
            Changed::Service => SETTLING.0 * NS_PER_MS,
        };
        let due_ns = event.at_ns.saturating_add(gap_ns_max + settling_ns);
        self.not_before_ns = self.not_before_ns.max(due_ns);
    }
}

impl Checker for Live {
    fn name(&self) -> &'static str {
        "live"
    }

    fn interests(&self) -> Interests {
        self.interests
    }

    fn plan(&mut self, plan: &Plan) {
        if let Some(supply) = &mut self.supply {
            supply.reach.plan(plan);
        }
    }

    fn measure(&mut self, event: &Event) {
        let (was_finished, before_ns) = (self.is_finished(), self.last_ns);
        let (mut is_piece, mut finished) = (!was_finished && (self.is_piece)(event), None);
        if let Some(shares) = &mut self.shares {
            (is_piece, finished) = shares.add(event);
        }
        self.step = Step { was_finished, is_piece, before_ns, finished };
        if is_piece {
            self.done += 1;
            self.last_ns = event.at_ns;
            self.gap_ms.add(event.at_ns.saturating_sub(before_ns) / NS_PER_MS);
        }
    }

    fn measured(&mut self, at_ns: u64) {
        if !self.is_finished() {
            self.gap_ms.add(at_ns.saturating_sub(self.last_ns) / NS_PER_MS);
        }
    }

    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        let Step { was_finished, is_piece, before_ns, finished } = std::mem::take(&mut self.step);
        if was_finished {
            return Ok(());
        }
        let due_ns = self.due_ns(before_ns).filter(|due_ns| event.at_ns > *due_ns);
        self.overdue_ns = self.overdue_ns.or(due_ns);
        if let Some(supply) = &mut self.supply {
            supply.observe(event, self.gap_ns_max);
            finished.iter().for_each(|worker| supply.finished(worker));
        }
        let Some(due_ns) = self.overdue_ns.filter(|_| is_piece) else { return Ok(()) };
        let detail = format!(
            "no {} from {} to {}: {} is more than {}; {}",
            self.piece,
            moment(before_ns),
            moment(event.at_ns),
            moment(event.at_ns.saturating_sub(before_ns)),
            moment(due_ns.saturating_sub(before_ns)),
            self.told()
        );
        Err(self.wrong("gap", event.at_ns, before_ns, detail))
    }

    fn finish(&mut self, at_ns: u64) -> Verdict {
        if self.is_finished() {
            return Verdict::Pass;
        }
        let piece = self.piece;
        let (told, since) = (self.told(), moment(self.last_ns));
        let due_ns = self.due_ns(self.last_ns);
        // It was known as soon as the bound had passed.
        if let Some(overdue_ns) = self.overdue_ns.or(due_ns.filter(|due_ns| at_ns > *due_ns)) {
            let from =
                if self.done == 0 { "from the beginning".into() } else { format!("since {since}") };
            let detail = format!("no {piece} {from} to the end of the run; {told}");
            return Verdict::Violation(self.wrong("stopped", overdue_ns, self.last_ns, detail));
        }
        if self.pieces.is_none() || due_ns.is_none() {
            return Verdict::Pass;
        }
        let detail = format!("the run ends with {told}, the last at {since}");
        Verdict::Violation(self.wrong("unfinished", at_ns, self.last_ns, detail))
    }

    fn figures(&self) -> Vec<Figure> {
        vec![self.gap_ms.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::history::{History, ensemble};
    use mailstorm_record::Happening;
    use mailstorm_shared::facts::{MailFact, Observation};

    fn live(pieces: impl Into<Option<u64>>) -> Live {
        Live::new("mail", pieces, Millis(1_000), Interests::APPLICATION, |event| {
            matches!(
                event.happening,
                Happening::Observed {
                    observation: Observation::Mail(MailFact::SinkAccepted { .. })
                }
            )
        })
    }

    fn one() -> History {
        History::new().after_ms(500).accepted("m-1", "w1", 1)
    }

    #[test]
    fn work_that_goes_on_passes() {
        one().after_ms(999).accepted("m-2", "w1", 1).passes(live(2));
        one().after_ms(999).accepted("m-2", "w1", 1).after_ms(1_000).passes(live(None));
    }

    #[test]
    fn whatever_happens_after_the_last_piece_is_no_matter() {
        one().after_ms(9_000).accepted("m-2", "w1", 1).passes(live(1));
    }

    #[test]
    fn work_that_stands_still_for_too_long_is_a_gap() {
        let violation = one().after_ms(1_000).accepted("m-2", "w1", 1).violates(live(2), "gap");
        let detail = "no mail from 0.501 s to 1.502 s: 1.001 s is more than 1.000 s; 2 of 2 done";
        assert_eq!(violation.detail, detail);
        History::new().after_ms(1_001).accepted("m-1", "w1", 1).violates(live(1), "gap");
    }

    #[test]
    fn work_that_never_goes_on_has_stopped_when_the_bound_was_over() {
        let violation = one().after_ms(5_000).violates(live(2), "stopped");
        assert_eq!(violation.at_ns, 1_501 * NS_PER_MS);
        let detail = "no mail since 0.501 s to the end of the run; 1 of 2 done";
        assert_eq!(violation.detail, detail);
        one().after_ms(1_001).violates(live(None), "stopped");
        let never = History::new().after_ms(1_001).violates(live(1), "stopped");
        let detail = "no mail from the beginning to the end of the run; 0 of 1 done";
        assert_eq!(never.detail, detail);
    }

    #[test]
    fn a_violation_says_since_when_the_work_is_stuck() {
        let since = |history: History, kind| history.violates(live(3), kind).since_ns();
        let last = Some(501 * NS_PER_MS);
        assert_eq!(since(one().after_ms(1_000).accepted("m-2", "w1", 1), "gap"), last);
        assert_eq!(since(one().after_ms(5_000), "stopped"), last);
        assert_eq!(since(one().after_ms(900), "unfinished"), last);
        assert_eq!(since(History::new().after_ms(1_001), "stopped"), Some(0));
    }

    #[test]
    fn work_that_is_missing_at_the_end_is_unfinished() {
        one().after_ms(900).violates(live(2), "unfinished");
    }

    /// Mails that `w1` processes through three servers.
    fn needing(pieces: impl Into<Option<u64>>) -> Live {
        live(pieces).needing(Needs::of(&ensemble(3), ["w1"]))
    }

    fn started() -> History {
        ["s1", "s2", "s3", "w1"].iter().fold(History::new(), |history, node| history.started(node))
    }

    fn cut(sides: &str) -> Plan {
        let text = format!(
            "[[faults]]\nat_ms = 1\nlasts_ms = 1\nkind.partition = {{ sides = {sides} }}\n"
        );
        let nodes: Vec<NodeName> = ["s1", "s2", "s3", "w1"].map(Into::into).into();
        Plan::parse(&text, "p", &nodes.into()).expect("a plan")
    }

    #[track_caller]
    fn kind_under(plan: &Plan, mut checker: Live, history: &History) -> Option<String> {
        checker.plan(plan);
        match history.feed(&mut checker) {
            Verdict::Violation(violation) => Some(violation.kind),
            _ => None,
        }
    }

    #[test]
    fn nothing_is_asked_while_nobody_could_do_it() {
        let thirds = cut(r#"[["s1", "w1"], ["s2"], ["s3"]]"#);
        let cut_off = || started().accepted("m-1", "w1", 1).fault_began(0, &[]).after_ms(90_000);
        // The clock begins again when it is over, and there is time to settle.
        let healed = || cut_off().fault_ended(0);
        assert_eq!(kind_under(&thirds, needing(2), &cut_off()), None);
        assert_eq!(kind_under(&thirds, needing(None), &cut_off()), None);
        let again = healed().after_ms(20_900).accepted("m-2", "w1", 1);
        assert_eq!(kind_under(&thirds, needing(2), &again), None);
        let late = healed().after_ms(21_100).accepted("m-2", "w1", 1);
        assert_eq!(kind_under(&thirds, needing(2), &late).as_deref(), Some("gap"));
        let never = healed().after_ms(21_100);
        assert_eq!(kind_under(&thirds, needing(2), &never).as_deref(), Some("stopped"));
        // The figure tells it all the same.
        let mut checker = needing(2);
        checker.plan(&thirds);
        cut_off().feed(&mut checker);
        assert!(checker.figures()[0].max > 90_000);
    }

    #[test]
    fn a_majority_that_hears_itself_is_asked_to_go_on_during_the_cut() {
        let minority = cut(r#"[["s1"], ["s2", "s3", "w1"]]"#);
        let stuck = started().accepted("m-1", "w1", 1).fault_began(0, &[]).after_ms(21_100);
        assert_eq!(kind_under(&minority, needing(2), &stuck).as_deref(), Some("stopped"));
        // What was overdue stays so, whatever changes afterwards.
        let healed = stuck.fault_ended(0).accepted("m-2", "w1", 1);
        assert_eq!(kind_under(&minority, needing(2), &healed).as_deref(), Some("gap"));
    }

    #[test]
    fn who_has_done_his_share_is_not_asked_for_more() {
        let shared = || {
            let whose = |event: &Event| match &event.happening {
                Happening::Observed {
                    observation: Observation::Mail(MailFact::SinkAccepted { worker, .. }),
                } => Some(NodeName(worker.clone())),
                _ => None,
            };
            Live::shared("mail", (2, 1), Millis(1_000), Interests::APPLICATION, whose)
                .needing(Needs::of(&ensemble(3), ["w1", "w2"]))
        };
        let both = || started().started("w2").accepted("m-1", "w1", 1).accepted("m-2", "w1", 1);
        let stuck = both().after_ms(2_000);
        assert_eq!(kind_under(&Plan::default(), shared(), &stuck).as_deref(), Some("stopped"));
        // Only who is done could go on.
        let gone = both().crashed("w2").after_ms(90_000);
        assert_eq!(kind_under(&Plan::default(), shared(), &gone), None);
        let done = both().accepted("m-3", "w2", 1).after_ms(9_000);
        assert_eq!(kind_under(&Plan::default(), shared(), &done), None);
    }

    #[test]
    fn a_worker_that_dies_costs_no_more_than_the_end_of_its_session() {
        let two = || live(2).needing(Needs::of(&ensemble(3), ["w1", "w2"]));
        let died = || started().started("w2").accepted("m-1", "w1", 1).after_ms(900).crashed("w1");
        let in_time = died().after_ms(9_900).accepted("m-2", "w2", 2);
        assert_eq!(kind_under(&Plan::default(), two(), &in_time), None);
        let late = died().after_ms(10_100).accepted("m-2", "w2", 2);
        assert_eq!(kind_under(&Plan::default(), two(), &late).as_deref(), Some("gap"));
    }

    #[test]
    fn the_stretches_are_measured_also_after_something_was_found() {
        let mut suite = crate::Suite::new().with(live(3));
        let events =
            one().after_ms(2_000).accepted("m-2", "w1", 1).after_ms(5_000).accepted("m-3", "w1", 1);
        for event in events.events() {
            suite.observe(&event);
        }
        let (verdicts, figures) = suite.finish(0);
        assert!(matches!(verdicts[0].1, Verdict::Violation(_)));
        assert_eq!((figures[0].count, figures[0].max), (3, 5_001));
    }

    #[test]
    fn the_stretches_are_measured() {
        let mut checker = live(2);
        one().after_ms(99).accepted("m-2", "w1", 1).feed(&mut checker);
        let figures = checker.figures();
        assert_eq!((figures[0].count, figures[0].sum, figures[0].max), (2, 601, 501));
    }
}
