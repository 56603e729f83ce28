//! Split-brain freedom: no two brains whose decisions both count.
//!
//! Definition. An epoch has at most one established leader (`two_leaders`), and only that one
//! commits in it (`commit_by_stranger`); once a newer leader is established, an older one commits
//! nothing that the newer one's history does not have (`late_commit`). Of the mail's masters and
//! claim holders, who can both believe in themselves, the sink accepts no one after a successor:
//! per claim the fencing tokens of accepted results never go back (`mutex`), and no two holders
//! have the same token (`shared_token`).
//! Sources: Zab, "at most one established leader per epoch"; Kleppmann, "How to do distributed
//! locking" (2016), for fencing tokens; ZooKeeper's documentation on two self-believed leaders
//! (ZOOKEEPER-1675).
//!
//! That two *believe* to lead at the same time is no violation: one of them is cut off or asleep
//! and cannot know. It is measured, for servers and for masters.

use crate::common::checker::violation;
use crate::{Checker, Figure, Interests};
use mailstorm_record::{Event, Happening, NodeName, Violation};
use mailstorm_shared::facts::{ApplicationFact, EnsembleFact, MailFact};
use mailstorm_shared::{Epoch, Observation, Zxid};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Watches leaders, masters, and the sink's fence.
#[derive(Clone, Debug)]
pub struct SplitBrain {
    /// Established leaders, and the history each began with.
    leaders: BTreeMap<Epoch, (NodeName, Zxid)>,
    believing_leaders: Beliefs<NodeName>,
    believing_masters: Beliefs<Arc<str>>,
    /// On which node a candidate runs: with the node its belief ends.
    candidate_nodes: BTreeMap<Arc<str>, NodeName>,
    /// Who held which master's token.
    masters: BTreeMap<u64, Arc<str>>,
    /// Who held which claim's token.
    holders: BTreeMap<u64, Arc<str>>,
    /// Per claim the highest token accepted so far, and from whom.
    accepted: BTreeMap<Arc<str>, (u64, Arc<str>)>,
}

/// Who believes something of themselves, and for how long several did.
#[derive(Clone, Debug)]
struct Beliefs<Who> {
    believers: Vec<Who>,
    overlap_since_ns: Option<u64>,
    overlap_ms: Figure,
}

impl<Who: PartialEq> Beliefs<Who> {
    fn new(overlap_ms: Figure) -> Self {
        Self { believers: Vec::new(), overlap_since_ns: None, overlap_ms }
    }

    fn begins(&mut self, at_ns: u64, who: Who) {
        if !self.believers.contains(&who) {
            self.believers.push(who);
        }
        if self.believers.len() > 1 && self.overlap_since_ns.is_none() {
            self.overlap_since_ns = Some(at_ns);
        }
    }

    fn ends(&mut self, at_ns: u64, is_over: impl Fn(&Who) -> bool) {
        self.believers.retain(|who| !is_over(who));
        if self.believers.len() < 2 {
            self.measure(at_ns);
        }
    }

    /// Notes an overlap that ends now, if there is one.
    fn measure(&mut self, at_ns: u64) {
        if let Some(since_ns) = self.overlap_since_ns.take() {
            self.overlap_ms.add(at_ns.saturating_sub(since_ns) / 1_000_000);
        }
    }
}

impl SplitBrain {
    /// A checker for one ensemble, one set of masters, and one sink.
    pub fn new() -> Self {
        Self {
            leaders: BTreeMap::new(),
            believing_leaders: Beliefs::new(Figure::new(
                "two_leaders_believed_ms",
                "how long two servers believed to lead at the same time, per occasion",
            )),
            believing_masters: Beliefs::new(Figure::new(
                "two_masters_believed_ms",
                "how long two candidates believed to be master at the same time, per occasion",
            )),
            candidate_nodes: BTreeMap::new(),
            masters: BTreeMap::new(),
            holders: BTreeMap::new(),
            accepted: BTreeMap::new(),
        }
    }

    fn leads(
        &mut self,
        at: u64,
        server: &NodeName,
        epoch: Epoch,
        last_logged: Zxid,
    ) -> Result<(), Violation> {
        match self.leaders.insert(epoch, (server.clone(), last_logged)) {
            None => Ok(()),
            Some((first, _)) => {
                let detail = if first == *server {
                    format!("{server} was established as leader of epoch {epoch} twice")
                } else {
                    format!(
                        "both {first} and {server} were established as leaders of epoch {epoch}"
                    )
                };
                let first = Some(first).filter(|first| first != server);
                let nodes = [Some(server.clone()), first].into_iter().flatten();
                Err(violation("split-brain", "two_leaders", at, nodes, detail))
            }
        }
    }

    fn committed(
        &self,
        at: u64,
        server: &NodeName,
        epoch: Epoch,
        zxid: Zxid,
    ) -> Result<(), Violation> {
        if let Some((leader, _)) = self.leaders.get(&epoch)
            && leader != server
        {
            let detail =
                format!("{server} committed {zxid} in epoch {epoch}, which {leader} leads");
            let nodes = [server, leader].map(NodeName::clone);
            return Err(violation("split-brain", "commit_by_stranger", at, nodes, detail));
        }
        // The histories of still newer leaders contain this one's, so the next is the strictest.
        let next = self
            .leaders
            .range((std::ops::Bound::Excluded(epoch), std::ops::Bound::Unbounded))
            .next();
        if let Some((newer, (leader, last_logged))) = next
            && zxid > *last_logged
        {
            let detail = format!(
                "{server} committed {zxid} in epoch {epoch} after {leader} began epoch {newer} with a history that ends at {last_logged}"
            );
            let nodes = [server, leader].map(NodeName::clone);
            return Err(violation("split-brain", "late_commit", at, nodes, detail));
        }
        Ok(())
    }

    fn sink_accepted(
        &mut self,
        event: &Event,
        resource: &Arc<str>,
        mail: &Arc<str>,
        worker: &Arc<str>,
        token: u64,
    ) -> Result<(), Violation> {
        expect_own_token(&mut self.holders, event, worker, token)?;
        let Some((highest, holder)) = self.accepted.get_mut(resource) else {
            self.accepted.insert(Arc::clone(resource), (token, Arc::clone(worker)));
            return Ok(());
        };
        if token >= *highest {
            if token > *highest {
                *highest = token;
                *holder = Arc::clone(worker);
            }
            return Ok(());
        }
        let detail = format!(
            "the sink accepted {mail} of {resource} from {worker} with token {token} after it had accepted from {holder} with {highest}"
        );
        let nodes = [worker, holder].map(|name| NodeName(Arc::clone(name)));
        let nodes = nodes.into_iter().chain(event.node.clone());
        Err(violation("split-brain", "mutex", event.at_ns, nodes, detail))
    }

    fn server_believes(&mut self, at: u64, node: Option<&NodeName>, fact: &EnsembleFact) {
        let Some(node) = node else { return };
        match fact {
            EnsembleFact::Leads { .. } => self.believing_leaders.begins(at, node.clone()),
            EnsembleFact::SteppedDown { .. }
            | EnsembleFact::Looking
            | EnsembleFact::Follows { .. }
            | EnsembleFact::ServerStarted { .. } => {
                self.believing_leaders.ends(at, |who| who == node);
            }
            _ => {}
        }
    }

    fn process_ended(&mut self, at: u64, node: Option<&NodeName>) {
        let candidate_nodes = &self.candidate_nodes;
        if let Some(node) = node {
            self.believing_leaders.ends(at, |who| who == node);
            self.believing_masters.ends(at, |who| candidate_nodes.get(who) == Some(node));
        }
    }
}

/// A token is one holder's: whoever has it first.
fn expect_own_token(
    holders: &mut BTreeMap<u64, Arc<str>>,
    event: &Event,
    who: &Arc<str>,
    token: u64,
) -> Result<(), Violation> {
    let Some(holder) = holders.get(&token) else {
        holders.insert(token, Arc::clone(who));
        return Ok(());
    };
    if holder == who {
        return Ok(());
    }
    let nodes = [who, holder].map(|name| NodeName(Arc::clone(name)));
    let detail = format!("{who} acts with token {token}, which is {holder}'s");
    Err(violation("split-brain", "shared_token", event.at_ns, nodes, detail))
}

impl Default for SplitBrain {
    fn default() -> Self {
        Self::new()
    }
}

impl Checker for SplitBrain {
    fn name(&self) -> &'static str {
        "split-brain"
    }

    fn interests(&self) -> Interests {
        Interests::LEADERSHIP | Interests::LOG | Interests::APPLICATION | Interests::PROCESSES
    }

    fn measure(&mut self, event: &Event) {
        let at = event.at_ns;
        let observation = match &event.happening {
            Happening::Observed { observation } => observation,
            Happening::Crashed { .. } | Happening::Started { .. } => {
                return self.process_ended(at, event.node.as_ref());
            }
            _ => return,
        };
        match observation {
            Observation::Ensemble(fact) => self.server_believes(at, event.node.as_ref(), fact),
            Observation::Application(ApplicationFact::MasterBelieves { candidate, .. }) => {
                self.believing_masters.begins(at, Arc::clone(candidate));
                if let Some(node) = &event.node {
                    self.candidate_nodes.insert(Arc::clone(candidate), node.clone());
                }
            }
            Observation::Application(ApplicationFact::MasterResigns { candidate, .. }) => {
                self.believing_masters.ends(at, |who| who == candidate);
            }
            _ => {}
        }
    }

    fn measured(&mut self, at_ns: u64) {
        self.believing_leaders.measure(at_ns);
        self.believing_masters.measure(at_ns);
    }

    fn observe(&mut self, event: &Event) -> Result<(), Violation> {
        let at = event.at_ns;
        if let Some((server, fact)) = event.of_server() {
            return match *fact {
                EnsembleFact::Leads { epoch, last_logged } => {
                    self.leads(at, server, epoch, last_logged)
                }
                EnsembleFact::QuorumCommitted { epoch, zxid } => {
                    self.committed(at, server, epoch, zxid)
                }
                _ => Ok(()),
            };
        }
        let Happening::Observed { observation } = &event.happening else { return Ok(()) };
        match observation {
            Observation::Application(ApplicationFact::MasterBelieves { candidate, token }) => {
                expect_own_token(&mut self.masters, event, candidate, *token)
            }
            Observation::Mail(MailFact::MailAttempted { worker, token, .. }) => {
                expect_own_token(&mut self.holders, event, worker, *token)
            }
            Observation::Mail(MailFact::SinkAccepted { resource, mail, worker, token, .. }) => {
                self.sink_accepted(event, resource, mail, worker, *token)
            }
            _ => Ok(()),
        }
    }

    fn figures(&self) -> Vec<Figure> {
        vec![self.believing_leaders.overlap_ms.clone(), self.believing_masters.overlap_ms.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::history::{History, z};
    use mailstorm_record::Verdict;

    #[test]
    fn two_masters_are_measured_also_after_they_did_harm() {
        let mut suite = crate::Suite::new().with(SplitBrain::new());
        let history = History::new()
            .believes("m1", 5)
            .believes("m2", 6)
            .accepted("e", "m2", 6)
            .accepted("e", "m1", 5) // mutex
            .after_ms(9_000)
            .resigns("m1", 5);
        for event in history.events() {
            suite.observe(&event);
        }
        let (verdicts, figures) = suite.finish(0);
        assert!(matches!(&verdicts[0].1, Verdict::Violation(v) if v.kind == "mutex"));
        let masters = figures.iter().find(|f| f.name == "two_masters_believed_ms").unwrap();
        assert_eq!((masters.count, masters.max), (1, 9_003));
    }

    #[test]
    fn one_leader_after_the_other_passes() {
        History::new()
            .leads(1, 1, Zxid::ZERO)
            .committed(1, 1, z(1, 1))
            .stepped_down(1, 1)
            .leads(2, 2, z(1, 1))
            .committed(2, 2, z(2, 1))
            .passes(SplitBrain::new());
    }

    #[test]
    fn two_leaders_of_one_epoch_are_told() {
        let violation = History::new()
            .leads(1, 1, Zxid::ZERO)
            .leads(2, 1, Zxid::ZERO)
            .violates(SplitBrain::new(), "two_leaders");
        assert_eq!(violation.nodes, ["s2".into(), "s1".into()]);
        History::new()
            .leads(1, 1, Zxid::ZERO)
            .crashed("s1")
            .leads(1, 1, Zxid::ZERO)
            .violates(SplitBrain::new(), "two_leaders");
    }

    #[test]
    fn two_who_believe_to_lead_are_measured_and_not_blamed() {
        let mut checker = SplitBrain::new();
        let verdict = History::new()
            .leads(1, 1, Zxid::ZERO)
            .paused("s1")
            .leads(2, 2, z(1, 4))
            .after_ms(999)
            .resumed("s1")
            .committed(1, 1, z(1, 4)) // what both have
            .stepped_down(1, 1)
            .feed(&mut checker);
        assert_eq!(verdict, Verdict::Pass);
        let overlap = &checker.figures()[0];
        assert_eq!((overlap.count, overlap.sum), (1, 1002));
    }

    #[test]
    fn a_belief_ends_with_the_process() {
        let mut checker = SplitBrain::new();
        let history = History::new().leads(1, 1, Zxid::ZERO).crashed("s1").leads(2, 2, Zxid::ZERO);
        let _ = history.believes("m1", 1).crashed("m1").believes("m2", 2).feed(&mut checker);
        assert!(checker.figures().iter().all(|figure| figure.count == 0));
    }

    #[test]
    fn an_old_leader_that_commits_past_the_new_ones_history_is_told() {
        History::new()
            .leads(1, 1, Zxid::ZERO)
            .leads(2, 2, z(1, 4))
            .committed(1, 1, z(1, 5))
            .violates(SplitBrain::new(), "late_commit");
    }

    #[test]
    fn a_commit_in_anothers_epoch_is_told() {
        History::new()
            .leads(1, 1, Zxid::ZERO)
            .committed(2, 1, z(1, 1))
            .violates(SplitBrain::new(), "commit_by_stranger");
    }

    #[test]
    fn two_masters_overlap_until_one_resigns() {
        let mut checker = SplitBrain::new();
        let verdict = History::new()
            .believes("m1", 1)
            .believes("m2", 2)
            .after_ms(9)
            .resigns("m1", 1)
            .believes("m3", 3)
            .after_ms(4)
            .feed(&mut checker);
        assert_eq!(verdict, Verdict::Pass);
        let overlap = &checker.figures()[1];
        assert_eq!((overlap.count, overlap.sum, overlap.max), (2, 14, 10));
    }

    #[test]
    fn a_token_that_two_masters_hold_is_told() {
        History::new()
            .believes("m1", 1)
            .believes("m2", 1)
            .violates(SplitBrain::new(), "shared_token");
    }

    #[test]
    fn a_claims_token_that_two_workers_hold_is_told() {
        let attempted = || History::new().attempted("m-1", "w1", 5, 1);
        attempted().attempted("m-2", "w1", 5, 1).passes(SplitBrain::new());
        attempted().attempted("m-2", "w2", 5, 1).violates(SplitBrain::new(), "shared_token");
        attempted().accepted("m-1", "w2", 5).violates(SplitBrain::new(), "shared_token");
        // Masters and workers compare their tokens among themselves.
        attempted().believes("w2", 5).passes(SplitBrain::new());
    }

    #[test]
    fn a_fence_that_lets_an_older_token_pass_is_told() {
        History::new()
            .accepted("m-1", "w1", 3)
            .accepted("m-2", "w2", 2)
            .refused("m-1", "w2", 2, 3)
            .passes(SplitBrain::new());
        let violation = History::new()
            .accepted("m-1", "w2", 3)
            .accepted("m-1", "w1", 2)
            .violates(SplitBrain::new(), "mutex");
        assert_eq!(violation.nodes, ["w1".into(), "w2".into(), "sink".into()]);
        // Another mail of the same claim.
        History::new()
            .accepted_of("claim-1", "m-1", "w2", 3, "ham")
            .accepted_of("claim-1", "m-2", "w1", 2, "ham")
            .violates(SplitBrain::new(), "mutex");
    }
}
