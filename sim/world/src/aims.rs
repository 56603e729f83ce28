//! The moving targets of a run: which nodes the words of its plan mean at this moment.
//!
//! Owns: putting the systems' words together, and which node stands in while a word means none.
//! Leaves: what a word means to each system.
//! Start at [`Aims::meant`].

use crate::scenario::Topology;
use mailstorm_checkers::common::targets::{Target, Targets, Whom};
use mailstorm_record::cast::{Meant, hears_everybody, on_no_side};
use mailstorm_record::{Event, FaultKind, Meanings, NodeName};

/// The targets of all systems.
#[derive(Default)]
pub(crate) struct Aims(Vec<Aim>);

/// Those of one system.
struct Aim {
    words: Vec<Target>,
    targets: Box<dyn Targets>,
    /// Its members, any of which may stand in.
    members: Vec<NodeName>,
}

impl Aims {
    pub(crate) fn of(topology: &Topology) -> Self {
        let memberships = topology.memberships();
        let aim = |(place, targets): (usize, Box<dyn Targets>)| {
            let nodes = topology.nodes.iter().zip(&memberships);
            let members = nodes.filter(|(_, of)| of.is_some_and(|of| of.system == place));
            let members = members.map(|(spec, _)| spec.name.clone()).collect();
            Aim { words: targets.words(), targets, members }
        };
        let systems = topology.systems.iter().map(|system| system.targets());
        Self(systems.enumerate().map(aim).collect())
    }

    /// Something happened.
    pub(crate) fn observe(&mut self, event: &Event) {
        self.0.iter_mut().for_each(|aim| aim.targets.observe(event));
    }

    /// Whether every target that is one node means a node.
    pub(crate) fn all_mean_somebody(&self) -> bool {
        self.0.iter().all(|aim| {
            let mut places = 0..aim.words.len();
            places.all(|place| aim.targets.meant(place) != Whom::One(None))
        })
    }

    /// What the words of a fault mean that begins now. `pick` chooses the node that stands in for a
    /// word that means none, once for each.
    pub(crate) fn meant(
        &self,
        kind: &FaultKind,
        mut pick: impl FnMut(&[NodeName]) -> Option<NodeName>,
    ) -> Vec<Meant> {
        let lists = kind.node_lists();
        let is_named = |target: &Target| lists.iter().any(|l| l.iter().any(|n| n.0 == target.word));
        let mut all = Vec::new();
        for aim in &self.0 {
            let mut picked: Vec<(usize, Option<NodeName>)> = Vec::new();
            for (place, target) in aim.words.iter().enumerate() {
                if is_named(target) {
                    all.push(aim.one(place, &mut picked, &mut pick));
                }
            }
        }
        all
    }

    /// What these nodes are now besides: the words that mean one of them and are not among those
    /// `named`.
    pub(crate) fn titles(&self, nodes: &[NodeName], named: &[Meant]) -> Vec<Meant> {
        let mut all = Vec::new();
        for aim in &self.0 {
            for (place, target) in aim.words.iter().enumerate() {
                let Whom::One(Some(node)) = aim.targets.meant(place) else { continue };
                let is_new = named.iter().all(|meant| meant.word != target.word);
                if is_new && nodes.contains(&node) {
                    all.push(target.meaning(vec![node], false));
                }
            }
        }
        all
    }
}

/// Before a run, what nodes on no side of a cut will hear, in a sentence; nothing if every node has
/// a side. What a word means is known only when the cut begins: where that makes a difference the
/// sentence names no node.
pub fn rest_told(topology: &Topology, kind: &FaultKind) -> Option<String> {
    let (aims, all) = (Aims::of(topology), topology.names().nodes);
    let stand_ins = aims.0.iter().map(|aim| aim.members.len()).max().unwrap_or(0).max(1);
    let rest = |place: usize| {
        let meant = aims.meant(kind, |members| members.get(place).or(members.last()).cloned());
        on_no_side(kind, &Meanings(meant).lists(kind, &all).concat(), &all)
    };
    let mut rests: Vec<_> = (0..stand_ins).map(rest).collect();
    rests.dedup();
    match &rests[..] {
        [one] => hears_everybody(one),
        _ => {
            Some("whoever is on no side of the cut hears everybody; a replay names them".to_owned())
        }
    }
}

impl Aim {
    /// The node that the word at this place means, or that was picked for it.
    fn one(
        &self,
        place: usize,
        picked: &mut Vec<(usize, Option<NodeName>)>,
        pick: &mut impl FnMut(&[NodeName]) -> Option<NodeName>,
    ) -> Meant {
        let mut single = |place: usize| match self.targets.meant(place) {
            Whom::One(Some(node)) => (Some(node), false),
            _ => match picked.iter().find(|(of, _)| *of == place) {
                Some((_, node)) => (node.clone(), true),
                None => {
                    let node = pick(&self.members);
                    picked.push((place, node.clone()));
                    (node, true)
                }
            },
        };
        let (nodes, stands_in) = match self.targets.meant(place) {
            Whom::One(_) => {
                let (node, stands_in) = single(place);
                (node.into_iter().collect(), stands_in)
            }
            Whom::All(nodes) => (nodes, false),
            Whom::AllBut(mut nodes, but) => {
                let (node, _) = single(but);
                nodes.retain(|other| Some(other) != node.as_ref());
                (nodes, false)
            }
        };
        self.words[place].meaning(nodes, stands_in)
    }
}
