//! Moving targets and abstract states that follow from the roles that nodes show: who has the role
//! that decides, and the others.
//!
//! Owns: following the bands of roles ([`RoleBand`]) of one system's members. Leaves: what a role
//! means to the system. Holds: of several nodes with the role, the one of the newest epoch is
//! meant; a process that dies has no role. Start at [`ByRole`].

use crate::common::states::States;
use crate::common::targets::{Target, Targets, Whom};
use mailstorm_record::{Event, Happening, NodeName};
use mailstorm_shared::facts::RoleBand;
use std::collections::BTreeMap;

/// The members of a system by the roles that they show.
#[derive(Clone, Debug)]
pub struct ByRole {
    topic: &'static str,
    /// The role that decides comes first. States are numbered by them, after that of no role.
    roles: &'static [&'static str],
    words: Vec<Target>,
    members: Vec<NodeName>,
    /// Those that a word of their own means: they never have the role that decides.
    others: Vec<NodeName>,
    /// The epoch in which each node decides, of those that do.
    deciding: BTreeMap<NodeName, u32>,
    /// Each member's state.
    states: Vec<u32>,
}

impl ByRole {
    /// The members of the system with facts of this topic. `one` means who has the first of the
    /// roles, `rest` all other members.
    pub fn new(
        topic: &'static str,
        roles: &'static [&'static str],
        members: impl IntoIterator<Item = NodeName>,
        (one, rest): (Target, Target),
    ) -> Self {
        let members: Vec<NodeName> = members.into_iter().collect();
        let (words, states) = (vec![one, rest], vec![0; members.len()]);
        let (others, deciding) = (Vec::new(), BTreeMap::new());
        Self { topic, roles, words, members, others, deciding, states }
    }

    /// The same, with a word for nodes beside the members.
    #[must_use]
    pub fn beside(mut self, word: Target, nodes: impl IntoIterator<Item = NodeName>) -> Self {
        self.words.push(word);
        self.others = nodes.into_iter().collect();
        self
    }

    /// Who has the role that decides, in the newest epoch.
    pub fn one(&self) -> Option<NodeName> {
        let newest = self.deciding.iter().max_by_key(|(_, epoch)| **epoch);
        newest.map(|(node, _)| node.clone())
    }

    /// What the event makes of its node's role: none, or one of its epoch. `None` when it stays.
    fn turn<'e>(&self, event: &'e Event) -> Option<(&'e NodeName, RoleBand<'e>)> {
        let node = event.node.as_ref()?;
        let band = match &event.happening {
            Happening::Observed { observation } if observation.topic() == self.topic => {
                observation.account().band
            }
            Happening::Crashed { .. } => RoleBand::Ends,
            _ => return None,
        };
        (band != RoleBand::Stays && self.members.contains(node)).then_some((node, band))
    }
}

impl Targets for ByRole {
    fn words(&self) -> Vec<Target> {
        self.words.clone()
    }

    fn observe(&mut self, event: &Event) {
        match self.turn(event) {
            Some((node, RoleBand::Shows(role, epoch))) if role == self.roles[0] => {
                self.deciding.insert(node.clone(), epoch);
            }
            Some((node, _)) => _ = self.deciding.remove(node),
            None => {}
        }
    }

    fn meant(&self, place: usize) -> Whom {
        match place {
            0 => Whom::One(self.one()),
            1 => Whom::AllBut(self.members.clone(), 0),
            _ => Whom::All(self.others.clone()),
        }
    }
}

impl States for ByRole {
    fn bound(&self) -> u32 {
        self.roles.len() as u32 + 1
    }

    fn place(&self, node: &NodeName) -> Option<usize> {
        self.members.iter().position(|member| member == node)
    }

    fn observe(&mut self, event: &Event, shown: &mut Vec<(usize, u32)>) {
        let Some((node, band)) = self.turn(event) else { return };
        let Some(place) = self.place(node) else { return };
        let role = match band {
            RoleBand::Shows(role, _) => self.roles.iter().position(|known| *known == role),
            _ => None,
        };
        self.states[place] = role.map_or(0, |role| role as u32 + 1);
        shown.push((place, self.states[place]));
    }

    fn now(&self, shown: &mut Vec<(usize, u32)>) {
        shown.extend(self.states.iter().copied().enumerate());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mailstorm_shared::facts::{ApplicationFact, Looks, Told, Tone};

    fn told(node: &str, looks: Looks) -> Event {
        let told = Told::new("turned", [], "").unwrap().looking(looks).unwrap();
        let happening = Happening::Observed { observation: ApplicationFact::Told(told).into() };
        Event { at_ns: 1, node: Some(node.into()), happening }
    }

    #[test]
    fn the_newest_of_those_who_decide_is_meant_and_a_state_is_the_role_that_was_shown_last() {
        let roles = &["leads", "follows"];
        let words = (Target::one("primary", ""), Target::some("backup", ""));
        let members = ["r1", "r2"].map(NodeName::from);
        let mut by_role = ByRole::new("application", roles, members, words);
        let as_role = |role, epoch| Looks::default().role(role, epoch, Tone::Strong);
        let died = Happening::Crashed { why: "".into() };
        let events = [
            told("r1", as_role("leads", 1)),
            told("r2", as_role("follows", 1)),
            told("r2", as_role("leads", 2)),
            told("stranger", as_role("leads", 9)),
            told("r1", as_role("follows", 2)),
            told("r2", Looks::default()),
            Event { at_ns: 1, node: Some("r2".into()), happening: died },
            told("r1", Looks::default().ends_role()),
        ];
        let mut seen = Vec::new();
        for event in &events {
            Targets::observe(&mut by_role, event);
            let mut shown = Vec::new();
            States::observe(&mut by_role, event, &mut shown);
            shown.clear();
            by_role.now(&mut shown);
            let one = by_role.one().map_or("nobody".to_owned(), |node| node.to_string());
            seen.push(format!("{one} {} {}", shown[0].1, shown[1].1));
            assert!(shown.iter().all(|(_, state)| *state < by_role.bound()));
        }
        let expected = [
            "r1 1 0",
            "r1 1 2",
            "r2 1 1",
            "r2 1 1",
            "r2 2 1",
            "r2 2 1",
            "nobody 2 0",
            "nobody 0 0",
        ];
        assert_eq!(seen, expected);
        let others = Whom::AllBut(["r1", "r2"].map(NodeName::from).into(), 0);
        assert_eq!((by_role.meant(0), by_role.meant(1)), (Whom::One(None), others));
    }
}
