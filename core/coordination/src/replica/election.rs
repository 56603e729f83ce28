//! Fast leader election: whom a looking server votes for, and when it knows the winner.
//!
//! Owns: rounds, votes, the wait for better ones, and when to repeat ours. Leaves: links and sending to
//! `dispatch`, and everything after the choice to `leading` and `following`; the choice is only a good
//! guess, discovery makes it safe.
//! Holds: votes are compared by (epoch, zxid, id); votes of different rounds are never counted
//! together; the votes of observers, joiners and strangers are never counted, nor are they voted for.
//! Start at [`Election::hear`], then [`Election::winner`].
//!
//! The rules are those of ZooKeeper's `FastLeaderElection`. Two ways lead out of it: a majority of
//! looking voters agrees in our round; or a majority of voters has settled on a leader that itself says
//! that it leads.

use super::ReplicaConfig;
use mailstorm_shared::{Millis, ServerId, planted};
use mailstorm_wire::peer::{Notification, PeerState, Vote};
use std::collections::BTreeMap;

/// The last round that a peer can be in: one election a microsecond would take three hundred thousand
/// years to get there. A peer that claims to be further must not carry us to where counting ends.
const ROUND_MAX: u64 = u64::MAX / 2;

/// One server's search for a leader.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Election {
    me: ServerId,
    /// Whether our vote counts. Without it we can only join a leader that others have settled on.
    counts: bool,
    /// The logical clock of elections.
    round: u64,
    /// The vote for ourselves, with which each round begins.
    own: Vote,
    /// For whom we vote now.
    proposal: Vote,
    /// What each voter, we included, voted last in our round.
    votes: BTreeMap<ServerId, Vote>,
    /// What each voter that leads or follows said last.
    settled: BTreeMap<ServerId, Notification>,
    /// When our proposal wins, if a majority agrees with it and nothing better comes.
    settle_at: Option<Millis>,
    /// The wait is over, but the winner is out of reach.
    out_of_reach: bool,
    resend_at: Millis,
    resend_pause: Millis,
}

/// What a notification asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Nothing to say.
    Nothing,
    /// Our vote has changed: tell everybody.
    TellAll,
    /// The sender is behind: tell it our vote.
    TellSender,
}

impl Election {
    /// Begins to look, in the round after `last_round`.
    pub(super) fn new(
        config: &ReplicaConfig,
        now: Millis,
        last_round: u64,
        own: Vote,
        counts: bool,
    ) -> Self {
        let mut election = Self {
            me: config.me,
            counts,
            round: last_round,
            own,
            proposal: own,
            votes: BTreeMap::new(),
            settled: BTreeMap::new(),
            settle_at: None,
            out_of_reach: false,
            resend_at: now + config.election_resend_min,
            resend_pause: config.election_resend_min,
        };
        election.next_round();
        election
    }

    /// The round we are in.
    pub(super) fn round(&self) -> u64 {
        self.round
    }

    /// What we tell others.
    pub(super) fn notification(&self) -> Notification {
        Notification {
            round: self.round,
            state: PeerState::Looking,
            vote: self.proposal,
            votes: self.counts,
        }
    }

    fn next_round(&mut self) {
        self.round += 1;
        self.votes.clear();
        self.propose(self.own);
    }

    fn propose(&mut self, vote: Vote) {
        self.proposal = vote;
        self.settle_at = None;
        if self.counts {
            self.votes.insert(self.me, vote);
        }
    }

    /// A notification arrived from `from`.
    pub(super) fn hear(
        &mut self,
        config: &ReplicaConfig,
        from: ServerId,
        notification: Notification,
    ) -> Reaction {
        let Notification { round, state, vote, votes } = notification;
        let ensemble = &config.ensemble;
        if !votes
            || round > ROUND_MAX
            || !ensemble.is_voter(from)
            || !ensemble.is_voter(vote.leader)
        {
            // It lost data, observes, or talks nonsense: whatever it believes does not count.
            self.settled.remove(&from);
            self.votes.remove(&from);
            return Reaction::Nothing;
        }
        match state {
            PeerState::Looking => {
                self.settled.remove(&from);
                self.hear_vote(from, round, vote)
            }
            PeerState::Following | PeerState::Leading => {
                self.settled.insert(from, notification);
                // A voter that settled in our own round has voted in it, too: its looking
                // notification may have been lost with a link. Votes are compared whole, so that what
                // a server says of our reign before a restart, in a round of the same number, is not
                // taken for a vote.
                if round == self.round {
                    self.hear_vote(from, round, vote)
                } else {
                    Reaction::Nothing
                }
            }
            PeerState::Observing => Reaction::Nothing,
        }
    }

    fn hear_vote(&mut self, from: ServerId, round: u64, vote: Vote) -> Reaction {
        if !self.counts {
            return Reaction::Nothing;
        }
        if round < self.round {
            return Reaction::TellSender;
        }
        let mut reaction = Reaction::Nothing;
        if round > self.round {
            // A later round has begun: our votes are worth nothing in it.
            self.round = round;
            self.votes.clear();
            self.propose(self.own.max(vote));
            reaction = Reaction::TellAll;
        } else if vote > self.proposal {
            self.propose(vote);
            reaction = Reaction::TellAll;
        }
        self.votes.insert(from, vote);
        reaction
    }

    /// The link to a server is gone: what it said may no longer be so.
    pub(super) fn lost(&mut self, server: ServerId) {
        self.settled.remove(&server);
        if server != self.me {
            self.votes.remove(&server);
        }
    }

    /// Whom to follow from now on (perhaps ourselves), once that is known. `reachable` tells with
    /// whom there is a link: someone we cannot hear is of no use as a leader.
    pub(super) fn winner(
        &mut self,
        config: &ReplicaConfig,
        now: Millis,
        reachable: impl Fn(ServerId) -> bool,
    ) -> Option<Vote> {
        if let Some((vote, round)) = self.living_ensemble(config) {
            self.round = round;
            return Some(vote);
        }
        let agreed = self.votes.values().filter(|vote| **vote == self.proposal).count();
        if !config.is_majority(agreed) {
            self.settle_at = None;
            return None;
        }
        let settle_at = *self.settle_at.get_or_insert(now + config.election_settle);
        let nobody_left = agreed == config.ensemble.voters().len();
        let leader = self.proposal.leader;
        let decided = nobody_left || now >= settle_at;
        self.out_of_reach = decided && leader != self.me && !reachable(leader);
        (decided && !self.out_of_reach).then_some(self.proposal)
    }

    /// A leader that a majority of voters follows, and that confirms that it leads.
    ///
    /// ZOOKEEPER-975: a server that restarts hears of its own former reign from followers that have
    /// not noticed its death. So what settled servers say never makes *us* the leader, and nobody else
    /// without that leader's own word.
    fn living_ensemble(&self, config: &ReplicaConfig) -> Option<(Vote, u64)> {
        for (server, said) in &self.settled {
            let leader = said.vote.leader;
            let confirmed =
                said.state == PeerState::Leading && leader == *server && leader != self.me;
            if !confirmed && !planted!(config.defects, JoinerLeads) {
                continue;
            }
            let followed_by = self.settled.values().filter(|n| n.vote.leader == leader).count();
            if config.is_majority(followed_by) {
                return Some((said.vote, said.round));
            }
        }
        None
    }

    /// Time has passed. Returns whether to repeat our vote to everybody.
    pub(super) fn tick(
        &mut self,
        config: &ReplicaConfig,
        now: Millis,
        jitter: u64,
        reachable: impl Fn(ServerId) -> bool,
    ) -> bool {
        if now < self.resend_at {
            return false;
        }
        self.resend_pause =
            Millis((self.resend_pause.0.saturating_mul(2)).min(config.election_resend_max.0));
        self.resend_at = now + self.resend_pause + Millis(jitter % (self.resend_pause.0 / 2 + 1));
        // The best candidate is out of reach, and still nobody leads: try without it. Whoever does
        // reach it brings its vote into the new round.
        if self.proposal.leader != self.me && !reachable(self.proposal.leader) {
            self.next_round();
        }
        true
    }

    /// When [`Self::tick`] or [`Self::winner`] may have something to say. With the winner out of
    /// reach, only a repetition can change something.
    pub(super) fn next_wake(&self) -> Millis {
        match self.settle_at {
            Some(at) if !self.out_of_reach => at.min(self.resend_at),
            _ => self.resend_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mailstorm_shared::{Ensemble, Epoch, Zxid};

    fn id(number: u8) -> ServerId {
        ServerId::new(number).unwrap()
    }

    fn zxid(text: &str) -> Zxid {
        let (epoch, counter) = text.split_once(':').unwrap();
        Zxid::new(Epoch(epoch.parse().unwrap()), counter.parse().unwrap())
    }

    /// `3@2.1:5`: server 3 with current epoch 2 and last zxid 1:5.
    fn vote(text: &str) -> Vote {
        let (leader, rest) = text.split_once('@').unwrap();
        let (epoch, last) = rest.split_once('.').unwrap();
        Vote {
            epoch: Epoch(epoch.parse().unwrap()),
            zxid: zxid(last),
            leader: id(leader.parse().unwrap()),
        }
    }

    fn config(me: u8, voters: u8) -> ReplicaConfig {
        ReplicaConfig::new(id(me), Ensemble::new((1..=voters).map(id), []).unwrap())
    }

    /// Plays notifications `sender state round vote`, one per line-part, to a looking server, and
    /// tells who wins before and after the wait for better votes.
    fn check(me: &str, voters: u8, heard: &[&str], at_once: Option<u8>, after_wait: Option<u8>) {
        let own = vote(me);
        let config = config(own.leader.number(), voters);
        let mut election = Election::new(&config, Millis(0), 0, own, true);
        for line in heard {
            let words: Vec<&str> = line.split(' ').collect();
            let (state, votes) = match words[1] {
                "looks" => (PeerState::Looking, true),
                "follows" => (PeerState::Following, true),
                "leads" => (PeerState::Leading, true),
                "observes" => (PeerState::Observing, false),
                "joins" => (PeerState::Looking, false),
                other => panic!("{other}"),
            };
            let round = words[2].parse().unwrap();
            let notification = Notification { round, state, vote: vote(words[3]), votes };
            election.hear(&config, id(words[0].parse().unwrap()), notification);
        }
        let winner = |election: &mut Election, at| {
            election.winner(&config, Millis(at), |_| true).map(|v| v.leader.number())
        };
        assert_eq!(winner(&mut election, 1), at_once, "{me} {heard:?} at once");
        assert_eq!(winner(&mut election, 1_000), after_wait, "{me} {heard:?} after the wait");
    }

    #[test]
    fn a_majority_that_agrees_wins_after_the_wait_and_a_whole_ensemble_at_once() {
        check("1@0.0:0", 1, &[], Some(1), Some(1));
        check("1@0.0:0", 3, &[], None, None);
        check("1@0.0:0", 3, &["2 looks 1 2@0.0:0"], None, Some(2));
        check("1@0.0:0", 3, &["2 looks 1 2@0.0:0", "3 looks 1 2@0.0:0"], Some(2), Some(2));
        check("1@0.0:0", 3, &["2 looks 1 1@0.0:0"], None, Some(1));
        check("1@0.0:0", 5, &["2 looks 1 2@0.0:0"], None, None);
        check("1@0.0:0", 4, &["2 looks 1 2@0.0:0", "3 looks 1 2@0.0:0"], None, Some(2));
        check("1@0.0:0", 4, &["2 looks 1 2@0.0:0"], None, None);
    }

    #[test]
    fn the_better_vote_has_the_later_epoch_then_the_longer_log_then_the_higher_id() {
        check("1@2.1:9", 2, &["2 looks 1 1@2.1:9"], Some(1), Some(1));
        check("1@1.1:9", 2, &["2 looks 1 2@2.1:3"], Some(2), Some(2));
        check("1@2.1:3", 2, &["2 looks 1 2@1.1:9"], None, None); // 2 has yet to agree
        check("1@2.2:4", 2, &["2 looks 1 2@2.2:5"], Some(2), Some(2));
        check("1@2.2:5", 2, &["2 looks 1 2@2.2:5"], Some(2), Some(2));
    }

    #[test]
    fn votes_of_earlier_rounds_do_not_count_and_a_later_round_forgets_all() {
        check("2@0.0:0", 3, &["1 looks 0 2@0.0:0"], None, None);
        check("3@0.0:0", 3, &["1 looks 1 3@0.0:0", "2 looks 7 2@0.0:0"], None, None);
        let heard = ["1 looks 1 3@0.0:0", "2 looks 7 2@0.0:0", "2 looks 7 3@0.0:0"];
        check("3@0.0:0", 3, &heard, None, Some(3));
    }

    #[test]
    fn observers_joiners_and_strangers_neither_count_nor_win() {
        check("2@0.0:0", 3, &["1 joins 1 2@0.0:0"], None, None);
        check("2@0.0:0", 3, &["1 observes 1 2@0.0:0"], None, None);
        check("2@0.0:0", 3, &["9 looks 1 2@0.0:0"], None, None);
        check("2@0.0:0", 3, &["1 looks 1 9@5.5:5"], None, None);
        // A voter that comes back without its data takes back what it said before.
        check("2@0.0:0", 3, &["1 looks 1 2@0.0:0", "1 joins 1 1@0.0:0"], None, None);
    }

    #[test]
    fn a_living_ensemble_is_joined_when_a_majority_follows_and_the_leader_confirms() {
        check("3@9.9:9", 3, &["1 leads 4 1@1.0:0", "2 follows 4 1@1.0:0"], Some(1), Some(1));
        check("3@0.0:0", 3, &["2 follows 4 1@1.0:0"], None, None);
        check("3@0.0:0", 3, &["1 leads 4 1@1.0:0"], None, None);
        let heard = ["1 follows 4 2@1.0:0", "3 follows 4 2@1.0:0", "4 follows 4 2@1.0:0"];
        check("5@0.0:0", 5, &heard, None, None); // 2 has not said that it leads
        let looks_again = ["1 leads 4 1@1.0:0", "2 follows 4 1@1.0:0", "1 looks 5 1@1.0:0"];
        check("3@9.9:9", 3, &looks_again, None, None);
    }

    #[test]
    fn what_followers_say_of_our_former_reign_does_not_make_us_lead() {
        // ZOOKEEPER-975. Server 2 led in round 1, with a vote of epoch 0, and has restarted.
        let heard = ["1 follows 1 2@0.0:0", "3 follows 1 2@0.0:0"];
        check("2@1.1:5", 3, &heard, None, None);
    }

    #[test]
    fn a_vote_that_settled_in_our_round_counts_in_it() {
        check("2@0.0:0", 3, &["1 follows 1 2@0.0:0"], None, Some(2));
    }

    #[test]
    fn a_round_that_nobody_can_have_reached_is_not_followed() {
        let (round, beyond) = (ROUND_MAX, ROUND_MAX + 1);
        check("2@0.0:0", 3, &[&format!("1 looks {round} 2@0.0:0")], None, Some(2));
        check("2@0.0:0", 3, &[&format!("1 looks {beyond} 2@0.0:0")], None, None);
        let last = u64::MAX;
        let heard = [&*format!("1 leads {last} 1@1.0:0"), &*format!("3 follows {last} 1@1.0:0")];
        check("2@0.0:0", 3, &heard, None, None);
    }

    #[test]
    fn a_better_vote_during_the_wait_begins_the_wait_anew() {
        let config = config(1, 5);
        let mut election = Election::new(&config, Millis(0), 0, vote("1@0.0:0"), true);
        let looks = |text: &str| Notification {
            round: 1,
            state: PeerState::Looking,
            vote: vote(text),
            votes: true,
        };
        for server in [2, 3] {
            election.hear(&config, id(server), looks("3@0.0:0"));
        }
        assert_eq!(election.winner(&config, Millis(10), |_| true), None);
        assert_eq!(election.hear(&config, id(4), looks("4@0.0:0")), Reaction::TellAll);
        assert_eq!(election.winner(&config, Millis(210), |_| true), None);
        for server in [2, 3] {
            election.hear(&config, id(server), looks("4@0.0:0"));
        }
        assert_eq!(election.winner(&config, Millis(220), |_| true), None);
        assert_eq!(election.winner(&config, Millis(420), |_| false), None, "out of reach");
        assert_eq!(election.winner(&config, Millis(420), |_| true), Some(vote("4@0.0:0")));
    }

    #[test]
    fn repetition_backs_off_to_its_bound() {
        let config = config(1, 3);
        let mut election = Election::new(&config, Millis(0), 0, vote("1@0.0:0"), true);
        let mut now = Millis(0);
        let mut pauses = Vec::new();
        for _ in 0..6 {
            let at = election.next_wake();
            assert!(!election.tick(&config, at - Millis(1), 0, |_| true));
            assert!(election.tick(&config, at, 0, |_| true));
            pauses.push(at.since(now).0);
            now = at;
        }
        assert_eq!(pauses, [200, 400, 800, 1600, 3200, 3200]);
    }
}
