//! Fast leader election: whom a looking server votes for, and when it knows the winner.
//!
//! Owns: rounds, votes, the wait for better ones, and when to repeat ours. Leaves: who hears whom
//! to `hearing`, links and sending to `dispatch`, and everything after the choice to `leading` and
//! `following`; the choice is only a good guess, discovery makes it safe.
//! Holds: votes are compared by (epoch, zxid, id); votes of different rounds are never counted
//! together; the votes of observers, joiners and strangers are never counted, nor are they voted
//! for; nobody votes for whom it does not reach, or who does not reach a majority.
//! Start at [`Election::look_round`], then [`Election::winner`].
//!
//! The rules are those of ZooKeeper's `FastLeaderElection`, but for one. There a voter passes on
//! the best vote that it has heard of, so that all that are connected somehow agree. Three servers
//! that hear each other then elect nobody while one of them hears a fourth with a better vote,
//! which the other two cannot follow. Here nobody passes on anything: a candidate says itself that
//! it stands, and a voter takes the best of those that it reaches (as in Omni-Paxos' ballot leader
//! election: Ng, Haridi, Carbone, "Omni-Paxos: Breaking the Barriers of Partial Connectivity",
//! EuroSys 2023). Let c be the best of all candidates. Each voter that c reaches votes for c, and
//! they are a majority: so c is elected, and whoever else is half heard is not.

use super::ReplicaConfig;
use super::hearing::Hearing;
use mailstorm_shared::{Instant, Millis, ServerId, planted};
use mailstorm_wire::peer::{Notification, PeerState, Vote};

/// The last round that a peer can be in: one election a microsecond would take three hundred
/// thousand years to get there. A peer that claims to be further must not carry us to where
/// counting ends.
const ROUND_MAX: u64 = u64::MAX / 2;

/// One server's search for a leader.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Election {
    me: ServerId,
    /// Whether our vote counts. Without it we can only join a leader that others have settled on.
    counts: bool,
    /// The logical clock of elections.
    round: u64,
    /// The vote for ourselves.
    own: Vote,
    /// For whom we vote now; nobody while nobody whom we reach stands.
    proposal: Option<Vote>,
    /// When we win, if a majority agrees with it and nothing better comes.
    settle_at: Option<Instant>,
    /// What others were told last.
    told: Option<Notification>,
    resend_at: Instant,
    resend_pause: Millis,
}

impl Election {
    /// Begins to look, in the round after `last_round`.
    pub(super) fn new(
        config: &ReplicaConfig,
        now: Instant,
        last_round: u64,
        own: Vote,
        counts: bool,
    ) -> Self {
        Self {
            me: config.me,
            counts,
            round: last_round + 1,
            own,
            proposal: None,
            settle_at: None,
            told: None,
            resend_at: now + config.election_resend_min,
            resend_pause: config.election_resend_min,
        }
    }

    /// What we tell others.
    pub(super) fn notification(
        &self,
        config: &ReplicaConfig,
        now: Instant,
        hearing: &Hearing,
    ) -> Notification {
        Notification {
            round: self.round,
            state: PeerState::Looking,
            vote: self.proposal.unwrap_or(self.own),
            votes: self.counts,
            stands_with: self
                .stands(config, now, hearing)
                .then_some((self.own.epoch, self.own.zxid)),
            hears: hearing.hears(config, now),
        }
    }

    /// What always holds of a search.
    pub(super) fn invariants(&self, config: &ReplicaConfig) {
        assert!(self.counts || self.proposal.is_none(), "who has no vote votes for nobody");
        let wins = self.proposal.is_some_and(|vote| vote.leader == self.me);
        assert!(
            self.settle_at.is_none() || wins,
            "only who votes for itself waits for better votes"
        );
        assert_eq!(self.own.leader, config.me, "the vote for ourselves is for us");
        assert!(
            self.resend_pause <= config.election_resend_max.max(config.election_resend_min),
            "the pause between two votes is bounded"
        );
    }

    /// Whether we may be voted for.
    fn stands(&self, config: &ReplicaConfig, now: Instant, hearing: &Hearing) -> bool {
        self.counts && !hearing.stands_back(now) && hearing.reaches_majority(config, now)
    }

    /// Looks at what everybody said last. Returns what others have to be told, if that has changed.
    pub(super) fn look_round(
        &mut self,
        config: &ReplicaConfig,
        now: Instant,
        hearing: &Hearing,
    ) -> Option<Notification> {
        let voters = || {
            let voters = hearing.heard(config, now).filter(|(_, said)| said.votes);
            voters.filter(|(peer, _)| config.ensemble.is_voter(*peer))
        };
        let looking = voters().filter(|(_, said)| said.state == PeerState::Looking);
        let latest = looking.map(|(_, said)| said.round).filter(|round| *round <= ROUND_MAX).max();
        if self.counts && latest > Some(self.round) {
            // A later round has begun: the votes of ours are worth nothing in it.
            self.round = latest.expect("something is later");
            self.settle_at = None;
        }
        let stands = |peer: ServerId, said: &Notification| {
            let (epoch, zxid) = said.stands_with?;
            matches!(said.state, PeerState::Looking | PeerState::Elected).then_some(Vote {
                epoch,
                zxid,
                leader: peer,
            })
        };
        let best = if planted!(config.defects, ElectionCountsTheUnheard) {
            // As ZooKeeper does it: the best vote that was heard of, whoever it is for.
            let said = voters().filter(|(_, said)| said.round == self.round).map(|(_, n)| n.vote);
            said.filter(|vote| config.ensemble.is_voter(vote.leader)).chain([self.own]).max()
        } else {
            let others = hearing
                .reaches(config, now)
                .filter(|(peer, said)| said.votes && config.ensemble.is_voter(*peer));
            let own = self.stands(config, now, hearing).then_some(self.own);
            others.filter_map(|(peer, said)| stands(peer, said)).chain(own).max()
        };
        let proposal = best.filter(|_| self.counts);
        if proposal != self.proposal {
            self.proposal = proposal;
            self.settle_at = None;
        }
        let notification = self.notification(config, now, hearing);
        if self.told.as_ref() == Some(&notification) {
            return None;
        }
        self.told = Some(notification.clone());
        Some(notification)
    }

    /// Whether a looking peer does not know yet of our round.
    pub(super) fn is_ahead_of(&self, said: &Notification) -> bool {
        self.counts && said.votes && said.round < self.round
    }

    /// Whom to follow from now on (perhaps ourselves), once that is known, and the round in which
    /// it was elected.
    pub(super) fn winner(
        &mut self,
        config: &ReplicaConfig,
        now: Instant,
        hearing: &Hearing,
    ) -> Option<(Vote, u64)> {
        if let Some(settled) = self.living_ensemble(config, now, hearing) {
            return Some(settled);
        }
        let proposal = self.proposal?;
        if proposal.leader != self.me {
            // It is for the candidate to say that it has won: only it knows whom it reaches.
            let said = hearing.reaches(config, now).find(|(peer, _)| *peer == proposal.leader)?.1;
            let elected = said.state == PeerState::Elected
                && said.vote == proposal
                && said.round <= ROUND_MAX;
            return elected.then_some((proposal, said.round));
        }
        let agree = |said: &Notification| {
            // A voter that settled in our own round has voted in it, too: its looking notification
            // may have been lost with a link. Votes are compared whole, so that what a server says
            // of our reign before a restart, in a round of the same number, is not taken for a
            // vote.
            let votes = matches!(said.state, PeerState::Looking | PeerState::Following);
            votes && said.votes && said.round == self.round && said.vote == proposal
        };
        let agreed = 1 + hearing
            .reaches(config, now)
            .filter(|(peer, said)| config.ensemble.is_voter(*peer) && agree(said))
            .count();
        if !config.is_majority(agreed) {
            self.settle_at = None;
            return None;
        }
        let settle_at = *self.settle_at.get_or_insert(now + config.election_settle);
        let nobody_left = agreed == config.ensemble.voters().len();
        (nobody_left || now >= settle_at).then_some((proposal, self.round))
    }

    /// A leader that we reach and that says that it leads a majority.
    ///
    /// ZOOKEEPER-975: a server that restarts hears of its own former reign from followers that have
    /// not noticed its death. So what settled servers say never makes *us* the leader, and nobody
    /// else without that leader's own word. That word is enough: which of its followers we hear
    /// says nothing about whom it reaches.
    fn living_ensemble(
        &self,
        config: &ReplicaConfig,
        now: Instant,
        hearing: &Hearing,
    ) -> Option<(Vote, u64)> {
        if planted!(config.defects, JoinerLeads) {
            let settled: Vec<&Notification> = (hearing.heard(config, now))
                .filter(|(peer, n)| n.votes && config.ensemble.is_voter(*peer))
                .map(|(_, said)| said)
                .filter(|n| !matches!(n.state, PeerState::Looking | PeerState::Observing))
                .collect();
            let of = |leader| settled.iter().filter(|n| n.vote.leader == leader).count();
            let followed = settled.iter().find(|n| config.is_majority(of(n.vote.leader)));
            return followed.map(|said| (said.vote, said.round));
        }
        hearing
            .reaches(config, now)
            .filter(|(peer, said)| {
                let leads = said.state == PeerState::Leading && said.vote.leader == *peer;
                leads && said.votes && said.round <= ROUND_MAX && config.ensemble.is_voter(*peer)
            })
            .filter_map(|(_, said)| Some((said.stands_with?, said)))
            .max_by_key(|(history, _)| *history)
            .map(|(_, said)| (said.vote, said.round))
    }

    /// Time has passed. Returns whether to repeat our vote to everybody.
    pub(super) fn tick(
        &mut self,
        config: &ReplicaConfig,
        now: Instant,
        jitter: u64,
        hearing: &Hearing,
    ) -> bool {
        if now < self.resend_at {
            return false;
        }
        self.resend_pause =
            Millis((self.resend_pause.0.saturating_mul(2)).min(config.election_resend_max.0));
        self.resend_at = now + self.resend_pause + Millis(jitter % (self.resend_pause.0 / 2 + 1));
        if planted!(config.defects, ElectionCountsTheUnheard)
            && let Some(leader) = self.proposal.map(|vote| vote.leader)
            && leader != self.me
            && hearing.word(leader).is_none()
        {
            // The best candidate is out of reach: ZooKeeper's way is to try again without it, until
            // somebody who does hear it brings its vote back.
            self.round += 1;
        }
        true
    }

    /// When [`Self::tick`] or [`Self::winner`] may have something to say.
    pub(super) fn next_wake(&self) -> Instant {
        self.settle_at.map_or(self.resend_at, |at| at.min(self.resend_at))
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

    /// What a sender says in a line `sender state round vote`, and it hears everybody. Who votes
    /// for itself stands.
    fn word(line: &str, voters: u8) -> (ServerId, Notification) {
        let words: Vec<&str> = line.split(' ').collect();
        let (state, votes) = match words[1] {
            "looks" => (PeerState::Looking, true),
            "follows" => (PeerState::Following, true),
            "elected" => (PeerState::Elected, true),
            "leads" => (PeerState::Leading, true),
            "observes" => (PeerState::Observing, false),
            "joins" => (PeerState::Looking, false),
            other => panic!("{other}"),
        };
        let (from, vote) = (id(words[0].parse().unwrap()), vote(words[3]));
        let stands = votes && vote.leader == from && state != PeerState::Following;
        let said = Notification {
            round: words[2].parse().unwrap(),
            state,
            vote,
            votes,
            stands_with: stands.then_some((vote.epoch, vote.zxid)),
            hears: (1..=voters).map(id).collect(),
        };
        (from, said)
    }

    /// A looking server that has heard these words.
    fn looking(me: &str, voters: u8, heard: &[&str]) -> (ReplicaConfig, Election, Hearing) {
        let own = vote(me);
        let config = config(own.leader.number(), voters);
        let mut election = Election::new(&config, Instant(0), 0, own, true);
        let mut hearing = Hearing::default();
        for line in heard {
            let (from, said) = word(line, voters);
            hearing.hear(from, Instant(0), said);
            election.look_round(&config, Instant(0), &hearing);
        }
        election.look_round(&config, Instant(0), &hearing);
        (config, election, hearing)
    }

    /// Plays words to a looking server, and tells who wins before and after the wait for better
    /// votes.
    fn check(me: &str, voters: u8, heard: &[&str], at_once: Option<u8>, after_wait: Option<u8>) {
        let (config, mut election, hearing) = looking(me, voters, heard);
        let winner = |election: &mut Election, at| {
            election.winner(&config, Instant(at), &hearing).map(|(vote, _)| vote.leader.number())
        };
        assert_eq!(winner(&mut election, 1), at_once, "{me} {heard:?} at once");
        assert_eq!(winner(&mut election, 1_000), after_wait, "{me} {heard:?} after the wait");
    }

    /// Plays words to a looking server, and tells whom it votes for.
    fn check_vote(me: &str, voters: u8, heard: &[&str], expected: Option<u8>) {
        let (_, election, _) = looking(me, voters, heard);
        let vote = election.proposal.map(|vote| vote.leader.number());
        assert_eq!(vote, expected, "{me} {heard:?}");
    }

    #[test]
    fn a_majority_that_agrees_elects_after_the_wait_and_a_whole_ensemble_at_once() {
        check("1@0.0:0", 1, &[], Some(1), Some(1));
        check("1@0.0:0", 3, &[], None, None);
        check("1@0.0:0", 3, &["2 looks 1 1@0.0:0"], None, Some(1));
        check("1@0.0:0", 3, &["2 looks 1 1@0.0:0", "3 looks 1 1@0.0:0"], Some(1), Some(1));
        check("1@0.0:0", 5, &["2 looks 1 1@0.0:0"], None, None);
        check("1@0.0:0", 4, &["2 looks 1 1@0.0:0", "3 looks 1 1@0.0:0"], None, Some(1));
        check("1@0.0:0", 4, &["2 looks 1 1@0.0:0"], None, None);
    }

    #[test]
    fn who_has_won_says_so_itself() {
        check("1@0.0:0", 3, &["2 looks 1 2@0.0:0", "3 looks 1 2@0.0:0"], None, None);
        check("1@0.0:0", 3, &["2 elected 1 2@0.0:0"], Some(2), Some(2));
        check("1@0.0:0", 3, &["2 elected 7 2@0.0:0"], Some(2), Some(2));
        check("1@0.0:0", 3, &["3 looks 1 3@0.0:0", "2 elected 1 2@0.0:0"], None, None);
        check("3@0.0:0", 3, &["2 elected 1 2@0.0:0"], None, None);
    }

    #[test]
    fn the_better_vote_has_the_later_epoch_then_the_longer_log_then_the_higher_id() {
        check_vote("1@2.1:9", 3, &["2 looks 1 2@2.1:9"], Some(2));
        check_vote("1@1.1:9", 3, &["2 looks 1 2@2.1:3"], Some(2));
        check_vote("1@2.1:3", 3, &["2 looks 1 2@1.1:9"], Some(1));
        check_vote("1@2.2:4", 3, &["2 looks 1 2@2.2:5"], Some(2));
        check_vote("1@2.2:6", 3, &["2 looks 1 2@2.2:5"], Some(1));
    }

    #[test]
    fn votes_are_for_candidates_that_stand_and_are_never_passed_on() {
        check_vote("1@0.0:0", 3, &[], None);
        check_vote("1@0.0:0", 5, &["2 looks 1 2@0.0:0"], Some(2));
        // 5 has the best vote, and only 3 has heard it.
        check_vote("1@0.0:0", 5, &["2 looks 1 2@0.0:0", "3 looks 1 5@9.9:9"], Some(2));
    }

    #[test]
    fn who_does_not_hear_us_is_neither_voted_for_nor_counted() {
        let (config, mut election, mut hearing) =
            looking("1@0.0:0", 3, &["2 looks 1 1@0.0:0", "3 looks 1 3@9.9:9"]);
        let (from, mut said) = word("3 looks 1 3@9.9:9", 3);
        said.hears.remove(&id(1));
        hearing.hear(from, Instant(0), said);
        election.look_round(&config, Instant(0), &hearing);
        assert_eq!(election.proposal, Some(vote("1@0.0:0")));
        let (from, mut said) = word("2 looks 1 1@0.0:0", 3);
        said.hears.remove(&id(1));
        hearing.hear(from, Instant(0), said);
        let told = election.look_round(&config, Instant(0), &hearing).unwrap();
        assert_eq!((election.proposal, told.stands_with), (None, None));
        assert_eq!(told.hears, [id(2), id(3)].into(), "it is heard all the same");
    }

    #[test]
    fn a_word_is_good_for_three_repetitions_of_a_vote() {
        let heard = ["2 looks 1 2@0.0:0"];
        let (config, mut election, hearing) = looking("1@0.0:0", 3, &heard);
        for (at, vote) in [(3_600, Some(2)), (3_601, None)] {
            election.look_round(&config, Instant(at), &hearing);
            assert_eq!(election.proposal.map(|vote| vote.leader.number()), vote, "{at}");
        }
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
        check_vote("1@0.0:0", 3, &["2 looks 1 1@0.0:0", "9 looks 1 9@5.5:5"], Some(1));
        // A voter that comes back without its data takes back what it said before.
        check("2@0.0:0", 3, &["1 looks 1 2@0.0:0", "1 joins 1 1@0.0:0"], None, None);
    }

    #[test]
    fn a_living_leader_is_joined_when_it_says_that_it_leads_a_majority() {
        check("3@9.9:9", 3, &["1 leads 4 1@1.0:0"], Some(1), Some(1));
        check("3@0.0:0", 3, &["2 follows 4 1@1.0:0"], None, None);
        let heard = ["1 follows 4 2@1.0:0", "3 follows 4 2@1.0:0", "4 follows 4 2@1.0:0"];
        check("5@0.0:0", 5, &heard, None, None); // 2 has not said that it leads
        check("3@9.9:9", 3, &["1 leads 4 1@1.0:0", "1 looks 5 1@1.0:0"], None, None);
        let (config, mut election, mut hearing) = looking("3@0.0:0", 3, &[]);
        let (from, mut said) = word("1 leads 4 1@1.0:0", 3);
        said.stands_with = None; // it is not sure whether it still does
        hearing.hear(from, Instant(0), said);
        assert_eq!(election.winner(&config, Instant(0), &hearing), None);
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
        check("2@0.0:0", 3, &[&format!("1 leads {} 1@1.0:0", u64::MAX)], None, None);
        check("1@0.0:0", 3, &[&format!("2 elected {} 2@1.0:0", u64::MAX)], None, None);
    }

    #[test]
    fn a_better_candidate_during_the_wait_ends_it() {
        let (config, mut election, mut hearing) =
            looking("3@0.0:0", 5, &["1 looks 1 3@0.0:0", "2 looks 1 3@0.0:0"]);
        assert_eq!(election.winner(&config, Instant(10), &hearing), None);
        let (from, said) = word("4 looks 1 4@0.0:0", 5);
        hearing.hear(from, Instant(20), said);
        let told = election.look_round(&config, Instant(20), &hearing).unwrap();
        assert_eq!(told.vote, vote("4@0.0:0"));
        assert_eq!(election.winner(&config, Instant(210), &hearing), None);
        let (from, said) = word("4 elected 1 4@0.0:0", 5);
        hearing.hear(from, Instant(220), said);
        assert_eq!(election.winner(&config, Instant(220), &hearing), Some((vote("4@0.0:0"), 1)));
    }

    #[test]
    fn repetition_backs_off_to_its_bound() {
        let config = config(1, 3);
        let mut election = Election::new(&config, Instant(0), 0, vote("1@0.0:0"), true);
        let hearing = Hearing::default();
        let mut now = Instant(0);
        let mut pauses = Vec::new();
        for _ in 0..5 {
            let at = election.next_wake();
            assert!(!election.tick(&config, Instant(at.0 - 1), 0, &hearing));
            assert!(election.tick(&config, at, 0, &hearing));
            pauses.push(at.since(now).0);
            now = at;
        }
        assert_eq!(pauses, [200, 400, 800, 800, 800]);
    }
}
