//! What work on an ensemble needs to go on, so that nobody demands it when no design could do it.
//!
//! Definition. Work can go on while more than half of the servers that vote all run and all hear
//! one another, and somebody who does the work hears one of them; and while whoever may hold a
//! claim or be master also hears those outside whom the work is for. Who is slowed, or has a disk
//! or a clock that fails, by more than is harmless, counts as absent. Two of these are worse than
//! absent, since they hold up the others: a server that leads, and a node that the ensemble hears
//! and that may hold what others wait for. Who else is heard, and by whom, is no excuse: a majority
//! that hears itself must find a leader, whatever some of its members hear besides.
//!
//! Sources: Fischer, Lynch and Paterson (1985): no design decides in bounded time under all faults;
//! Gilbert and Lynch (2002): none is both consistent and available on both sides of a cut.
//!
//! Start at [`Needs::allow`].

use crate::common::reach::Reach;
use crate::ensemble::servers::node_of;
use mailstorm_record::NodeName;
use mailstorm_shared::Ensemble;

/// What some work needs.
#[derive(Clone, Debug)]
pub struct Needs {
    ensemble: Ensemble,
    voters: Vec<NodeName>,
    /// How many voters decide.
    quorum: usize,
    /// Who does the work.
    workers: Vec<NodeName>,
    /// Of whom one is master at a time, whom the workers must hear.
    masters: Vec<NodeName>,
    /// Whom the work is for.
    outside: Vec<NodeName>,
}

impl Needs {
    /// Work that these do, through this ensemble; that one of them does it is enough.
    pub fn of<'a>(ensemble: &Ensemble, workers: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            ensemble: ensemble.clone(),
            quorum: ensemble.majority(),
            voters: ensemble.voters().iter().copied().map(node_of).collect(),
            workers: names(workers),
            masters: Vec::new(),
            outside: Vec::new(),
        }
    }

    /// The same, where so many servers must agree instead of a majority.
    #[must_use]
    pub fn quorum(self, quorum: usize) -> Self {
        Self { quorum, ..self }
    }

    /// The same, through whichever of these is master.
    #[must_use]
    pub fn through<'a>(self, masters: impl IntoIterator<Item = &'a str>) -> Self {
        Self { masters: names(masters), ..self }
    }

    /// The same, done for these, who are outside.
    #[must_use]
    pub fn outside<'a>(self, outside: impl IntoIterator<Item = &'a str>) -> Self {
        Self { outside: names(outside), ..self }
    }

    /// The ensemble.
    pub(crate) fn ensemble(&self) -> &Ensemble {
        &self.ensemble
    }

    /// This worker has nothing left to do.
    pub(crate) fn finished(&mut self, worker: &NodeName) {
        self.workers.retain(|other| other != worker);
    }

    /// Whether the work can go on.
    pub fn allow(&self, reach: &Reach) -> bool {
        if self.voters.iter().any(|node| reach.leads(node) && reach.is_hampered(node)) {
            return false;
        }
        let served = self.served_by(reach);
        let is_served = |node: &&NodeName| served.iter().any(|server| reach.hear(node, server));
        let workers: Vec<&NodeName> = self.workers.iter().filter(is_served).collect();
        let masters: Vec<&NodeName> = self.masters.iter().filter(is_served).collect();
        // Whoever the ensemble hears may hold what the others wait for.
        let holders = if self.masters.is_empty() { &workers } else { &masters };
        let outside: Vec<&NodeName> = self.outside.iter().collect();
        let hears_outside =
            |node: &&NodeName| self.outside.iter().all(|outside| reach.hear(node, outside));
        let hears_masters =
            |node: &&NodeName| masters.iter().all(|master| reach.hear(node, master));
        let is_sound = |node: &&NodeName| !reach.is_hampered(node);
        let can_hold = !self.masters.is_empty() || !self.outside.is_empty();
        !holders.is_empty()
            && holders.iter().all(hears_outside)
            && (!can_hold || holders.iter().chain(&outside).all(is_sound))
            && workers.iter().filter(|node| is_sound(node)).any(hears_masters)
    }

    /// The servers of every majority that run, are sound, and all hear one another.
    fn served_by(&self, reach: &Reach) -> Vec<&NodeName> {
        let is_there = |node: &&NodeName| reach.runs(node) && !reach.is_hampered(node);
        let running: Vec<&NodeName> = self.voters.iter().filter(is_there).collect();
        let (count, quorum) = (running.len(), self.quorum);
        /// An ensemble has fewer voters than bits here.
        const VOTERS_MAX: usize = 16;
        if count < quorum || count > VOTERS_MAX {
            return Vec::new();
        }
        let hear: Vec<u32> = running
            .iter()
            .map(|one| {
                let heard = running.iter().enumerate().filter(|(_, other)| reach.hear(one, other));
                heard.map(|(place, _)| 1 << place).sum()
            })
            .collect();
        let members = |group: u32| (0..count).filter(move |place| group & 1 << place != 0);
        let is_one = |group: &u32| {
            group.count_ones() as usize == quorum
                && members(*group).all(|place| hear[place] & group == *group)
        };
        let served = (0..1u32 << count).filter(is_one).fold(0, |served, group| served | group);
        members(served).map(|place| running[place]).collect()
    }
}

fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<NodeName> {
    names.into_iter().map(NodeName::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::history::{History, ensemble};
    use mailstorm_record::Plan;
    use mailstorm_shared::Zxid;

    const NODES: [&str; 9] = ["s1", "s2", "s3", "s4", "s5", "a1", "b1", "m1", "sink"];

    fn reach(kinds: &[&str], down: &[&str]) -> Reach {
        let fault = |kind: &&str| format!("[[faults]]\nat_ms = 1\nlasts_ms = 1\nkind.{kind}\n");
        let text: String = kinds.iter().map(fault).collect();
        let plan =
            Plan::parse(&text, "p", &NODES.map(NodeName::from).to_vec().into()).expect("a plan");
        let all = NODES.iter().fold(History::new(), |history, node| history.started(node));
        let some = down.iter().fold(all, |history, node| history.crashed(node));
        let history = (0..kinds.len()).fold(some, |history, index| history.fault_began(index, &[]));
        let mut reach = Reach::new(&ensemble(5));
        reach.plan(&plan);
        history.events().iter().for_each(|event| _ = reach.observe(event));
        reach
    }

    #[track_caller]
    fn check(needs: &Needs, kinds: &[&str], down: &[&str], allowed: bool) {
        assert_eq!(needs.allow(&reach(kinds, down)), allowed, "{kinds:?}, down: {down:?}");
    }

    #[test]
    fn a_majority_that_hears_itself_and_somebody_who_hears_it_can_go_on() {
        let needs = Needs::of(&ensemble(5), ["a1", "b1"]);
        check(&needs, &[], &[], true);
        check(&needs, &[], &["s1", "s2"], true);
        check(&needs, &[], &["s1", "s2", "s3"], false);
        check(&needs, &[], &["a1"], true);
        check(&needs, &[], &["a1", "b1"], false);
        let parts = |sides: &str| format!("partition = {{ sides = [{sides}] }}");
        let three = parts(r#"["s1", "s2", "a1"], ["s3"], ["s4", "s5", "b1"]"#);
        check(&needs, &[&three], &[], false);
        let two = parts(r#"["s1", "s2", "a1"], ["s3", "s4", "s5", "b1"]"#);
        check(&needs, &[&two], &[], true);
        check(&needs, &[&two], &["b1"], false);
        check(&needs, &[&two], &["s4"], false);
        check(&needs, &[r#"isolate = { nodes = ["s1", "s2"] }"#], &[], true);
    }

    #[test]
    fn who_is_hampered_counts_as_absent_and_who_is_so_a_little_as_there() {
        let needs = Needs::of(&ensemble(5), ["a1", "b1"]);
        let slow =
            |nodes: &str, ms: u32| format!("slow = {{ nodes = [{nodes}], delay_ms = {ms} }}");
        check(&needs, &[&slow(r#""s1", "s2""#, 1_000)], &[], true);
        check(&needs, &[&slow(r#""s1", "s2""#, 1_000)], &["s3"], false);
        check(&needs, &[&slow(r#""s1", "s2", "s3""#, 1_000)], &[], false);
        check(&needs, &[&slow(r#""s1", "s2", "s3""#, 10)], &[], true);
        check(&needs, &[&slow(r#""b1""#, 1_000)], &[], true);
        check(&needs, &[&slow(r#""b1""#, 1_000)], &["a1"], false);
        for (harmless, more) in [
            ("drift = { nodes = [\"s1\"], ppm = -500 }", "ppm = -50000"),
            ("slow = { nodes = [\"s1\"], delay_ms = 0 }", "delay_ms = 500"),
            (
                "slow = { nodes = [\"s1\"], delay_ms = 0, kib_per_second = 2000 }",
                "kib_per_second = 9",
            ),
            ("corrupt = { nodes = [\"s1\"], per_million = 1 }", "per_million = 9000"),
            ("disk_slow = { nodes = [\"s1\"], factor = 2 }", "factor = 200"),
            ("flap = { nodes = [\"s1\"], down_ms = 1, up_ms = 500 }", "up_ms = 1"),
            ("flap = { nodes = [\"s1\"], up_ms = 5000, down_ms = 1 }", "down_ms = 500"),
            ("flood = { nodes = [\"s1\"], connections = 5 }", "connections = 5000"),
            ("reset = { nodes = [\"s1\"], every_ms = 0 }", "every_ms = 500"),
        ] {
            check(&needs, &[harmless], &["s2", "s3"], true);
            let (key, _) = more.split_once(' ').expect("a key and a number");
            let (head, tail) = harmless.split_once(&format!("{key} = ")).expect("the key");
            let rest = tail.trim_start_matches(|c: char| c == '-' || c.is_ascii_digit());
            let harmful = format!("{head}{more}{rest}");
            check(&needs, &[&harmful], &["s2", "s3"], false);
            check(&needs, &[&harmful], &["s2"], true);
        }
        // A worker has no disk.
        check(&needs, &[r#"disk_stall = { nodes = ["a1", "b1"] }"#], &[], true);
    }

    #[test]
    fn who_is_hampered_and_leads_or_may_hold_something_holds_up_the_others() {
        let plan = "[[faults]]\nat_ms = 1\nlasts_ms = 1\nkind.slow = { nodes = [\"s1\"], delay_ms = 900 }\n";
        let plan =
            Plan::parse(plan, "p", &NODES.map(NodeName::from).to_vec().into()).expect("a plan");
        let all = NODES.iter().fold(History::new(), |history, node| history.started(node));
        let needs = Needs::of(&ensemble(5), ["a1", "b1"]);
        let led = |leader: u8, next: u8| {
            let mut reach = Reach::new(&ensemble(5));
            reach.plan(&plan);
            let began = all.clone().leads(leader, 1, Zxid::ZERO).fault_began(0, &[]);
            let events = began.leads(next, 2, Zxid::ZERO);
            let changed = events.events().iter().map(|event| reach.observe(event)).last().flatten();
            (changed.is_some(), needs.allow(&reach))
        };
        assert_eq!(led(1, 2), (true, true), "the clock begins again with the new leader");
        assert_eq!(led(2, 1), (true, false));
        assert_eq!(led(2, 3), (false, true));
        let slow = r#"slow = { nodes = ["a1"], delay_ms = 900 }"#;
        let sink = Needs::of(&ensemble(5), ["a1", "b1"]).outside(["sink"]);
        check(&sink, &[slow], &[], false);
        check(&sink, &[slow, r#"kill_sessions = { nodes = ["a1"] }"#], &[], true);
        check(&sink, &[r#"slow = { nodes = ["a1"], delay_ms = 1 }"#], &[], true);
        check(&sink, &[r#"slow = { nodes = ["sink"], delay_ms = 900 }"#], &[], false);
        check(&sink, &[r#"drift = { nodes = ["a1", "s1", "sink"], ppm = 1 }"#], &[], true);
    }

    #[test]
    fn three_of_five_that_hear_one_another_are_enough_whoever_else_is_heard_by_some_of_them() {
        let needs = Needs::of(&ensemble(5), ["a1", "b1"]);
        let old_leader = r#"partition = { sides = [["s5", "a1"], ["s1", "s2", "b1"]] }"#;
        let alone = r#"isolate = { nodes = ["s4"] }"#;
        check(&needs, &[old_leader, alone], &[], true);
        // All hear s3, and no three hear one another.
        check(&needs, &[r#"ring = { nodes = ["s1", "s2", "s4", "s5"] }"#, alone], &[], true);
        let star = r#"partition = { sides = [["s1"], ["s2"], ["s4"], ["s5"]] }"#;
        check(&needs, &[star], &[], false);
    }

    #[test]
    fn whoever_may_hold_something_must_hear_those_whom_it_is_for() {
        let needs = Needs::of(&ensemble(5), ["a1", "b1"]).outside(["sink"]);
        check(&needs, &[], &[], true);
        let cut = r#"partition = { sides = [["a1"], ["sink"]] }"#;
        check(&needs, &[cut], &[], false);
        // The ensemble does not hear it, so what it holds goes to another one.
        check(&needs, &[cut, r#"kill_sessions = { nodes = ["a1"] }"#], &[], true);
        check(&needs, &[], &["sink"], false);
    }

    #[test]
    fn a_master_that_nobody_hears_keeps_its_office() {
        let needs = Needs::of(&ensemble(5), ["a1", "b1"]).through(["m1"]);
        check(&needs, &[], &[], true);
        check(&needs, &[], &["m1"], false);
        check(&needs, &[r#"partition = { sides = [["a1", "b1"], ["m1"]] }"#], &[], false);
        check(&needs, &[r#"partition = { sides = [["a1"], ["m1"]] }"#], &[], true);
        check(&needs, &[r#"kill_sessions = { nodes = ["m1"] }"#], &[], false);
    }
}
