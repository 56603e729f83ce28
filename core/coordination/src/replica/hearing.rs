//! Who hears whom: the last word of each peer, and what follows from it.
//!
//! Owns: what each peer said last on its election link and when, whom we cannot reach as a learner
//! although we hear it, and for how long we do not offer to lead. Leaves: what to make of votes to
//! `election`.
//! Holds: a link that is up says little, since it may carry one direction only, or nothing any
//! more. Two servers *reach* each other when each has heard the other of late: we it by its word,
//! and it us by what its word says. Only a voter that reaches a majority of the voters may lead.
//! Start at [`Hearing::reaches`].

use super::ReplicaConfig;
use mailstorm_shared::{Instant, ServerId};
use mailstorm_wire::peer::{Notification, PeerState};
use std::collections::{BTreeMap, BTreeSet};

/// The last words of all peers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Hearing {
    words: BTreeMap<ServerId, Word>,
    /// Leaders to which no learner link could be opened, and until when we count them as not heard.
    avoided: BTreeMap<ServerId, Instant>,
    /// Until when we do not offer to lead: those who voted for us did not come.
    stands_back_until: Instant,
}

/// What a peer said last.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Word {
    at: Instant,
    said: Notification,
}

impl Hearing {
    /// A notification arrived.
    pub(super) fn hear(&mut self, from: ServerId, now: Instant, said: Notification) {
        self.words.insert(from, Word { at: now, said });
    }

    /// The last link to a peer is gone: what it said may no longer be so.
    pub(super) fn lost(&mut self, peer: ServerId) {
        self.words.remove(&peer);
    }

    /// We leave this leader: that it leads, it has to say again.
    pub(super) fn doubt(&mut self, leader: ServerId) {
        let leads = |state| matches!(state, PeerState::Elected | PeerState::Leading);
        if self.word(leader).is_some_and(|said| leads(said.state)) {
            self.words.remove(&leader);
        }
    }

    /// No learner link to `leader` could be opened: others will do better, and those who hear that
    /// we do not hear it will not count us for it.
    pub(super) fn avoid(&mut self, leader: ServerId, until: Instant) {
        self.avoided.insert(leader, until);
    }

    /// A new link to a peer is up: it may have begun anew.
    pub(super) fn try_again(&mut self, peer: ServerId) {
        self.avoided.remove(&peer);
    }

    /// Leads not before this time.
    pub(super) fn stand_back(&mut self, until: Instant) {
        self.stands_back_until = until;
    }

    /// Whether we may offer to lead, as far as we remember.
    pub(super) fn stands_back(&self, now: Instant) -> bool {
        now < self.stands_back_until
    }

    /// What a peer said last, on a link that is up.
    pub(super) fn word(&self, peer: ServerId) -> Option<&Notification> {
        self.words.get(&peer).map(|word| &word.said)
    }

    /// The last words of peers that were heard of late.
    pub(super) fn heard(
        &self,
        config: &ReplicaConfig,
        now: Instant,
    ) -> impl Iterator<Item = (ServerId, &Notification)> {
        let fresh = config.heard_limit();
        (self.words.iter())
            .filter(move |(peer, word)| {
                let avoided = self.avoided.get(peer).is_some_and(|until| now < *until);
                now.since(word.at) <= fresh && !avoided
            })
            .map(|(peer, word)| (*peer, &word.said))
    }

    /// Whom we have heard of late, for others to know.
    pub(super) fn hears(&self, config: &ReplicaConfig, now: Instant) -> BTreeSet<ServerId> {
        self.heard(config, now).map(|(peer, _)| peer).collect()
    }

    /// The peers that we hear and that hear us, with their last words.
    pub(super) fn reaches(
        &self,
        config: &ReplicaConfig,
        now: Instant,
    ) -> impl Iterator<Item = (ServerId, &Notification)> {
        let me = config.me;
        self.heard(config, now).filter(move |(_, said)| said.hears.contains(&me))
    }

    /// Whether we reach a majority of the voters: those whose votes count, and ourselves.
    pub(super) fn reaches_majority(&self, config: &ReplicaConfig, now: Instant) -> bool {
        let voters = self
            .reaches(config, now)
            .filter(|(peer, said)| said.votes && config.ensemble.is_voter(*peer));
        config.is_majority(1 + voters.count())
    }
}
