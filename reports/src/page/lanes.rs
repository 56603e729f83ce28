//! What each lane shows as bands: the role of a node and its epoch, and when a process was down or
//! paused.
//!
//! Holds: bands of one sort on one node do not overlap, and all of them end with the run.
//! Start at [`Lanes::of`].

use super::projection::{Look, Systems};
use mailstorm_record::{Event, Happening, NodeName};
use mailstorm_shared::Observation;
use mailstorm_shared::facts::RoleBand;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// From when to when, what, and in which epoch (0 for none).
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Band {
    pub(crate) node: usize,
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// For a role its name.
    #[serde(skip)]
    pub(crate) what: Arc<str>,
    /// What it is, by its place among the known roles, or among what a process can be.
    pub(crate) role: usize,
    pub(crate) epoch: u32,
}

/// A role that some node has at some time.
#[derive(Debug, PartialEq)]
pub(crate) struct Known {
    /// The system whose role it is.
    pub(crate) topic: &'static str,
    pub(crate) name: Arc<str>,
    pub(crate) look: Look,
}

/// The bands of all lanes.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Lanes {
    pub(crate) roles: Vec<Band>,
    pub(crate) lives: Vec<Band>,
    /// In the order in which they were first taken.
    pub(crate) known: Vec<Known>,
}

/// What a process can be beside up.
pub(crate) const LIVES: [&str; 2] = ["down", "paused"];
const DOWN: usize = 0;
const PAUSED: usize = 1;

/// What a band is: its place among its likes, its name, its epoch.
type What = (usize, Arc<str>, u32);

/// The band that is open on a node.
#[derive(Default)]
struct Open(BTreeMap<usize, (u64, What)>);

impl Open {
    /// Ends the node's band here, and begins another one if there is any.
    fn turn(&mut self, into: &mut Vec<Band>, node: usize, at: u64, next: Option<What>) {
        if let Some((from, (role, what, epoch))) = self.0.remove(&node)
            && from < at
        {
            into.push(Band { node, from, to: at, what, role, epoch });
        }
        if let Some(next) = next {
            self.0.insert(node, (at, next));
        }
    }

    fn end(mut self, into: &mut Vec<Band>, at: u64) {
        for node in self.0.keys().copied().collect::<Vec<_>>() {
            self.turn(into, node, at, None);
        }
    }
}

impl Lanes {
    pub(crate) fn of(
        events: &[Event],
        place: &dyn Fn(&NodeName) -> Option<usize>,
        systems: &Systems,
        end_ns: u64,
    ) -> Self {
        let life = |life: usize| Some((life, LIVES[life].into(), 0));
        let mut lanes = Self::default();
        let (mut roles, mut lives) = (Open::default(), Open::default());
        for event in events {
            let Some(node) = event.node.as_ref().and_then(place) else { continue };
            let at = event.at_ns;
            match &event.happening {
                Happening::Started { .. } | Happening::Resumed => {
                    lives.turn(&mut lanes.lives, node, at, None);
                }
                Happening::Crashed { .. } => {
                    lives.turn(&mut lanes.lives, node, at, life(DOWN));
                    roles.turn(&mut lanes.roles, node, at, None);
                }
                Happening::Paused => lives.turn(&mut lanes.lives, node, at, life(PAUSED)),
                Happening::Observed { observation } => {
                    let next = match observation.account().band {
                        RoleBand::Stays => continue,
                        RoleBand::Ends => None,
                        RoleBand::Shows(role, epoch) => {
                            let known = lanes.know(observation, role, systems);
                            Some((known, Arc::clone(&lanes.known[known].name), epoch))
                        }
                    };
                    roles.turn(&mut lanes.roles, node, at, next);
                }
                _ => {}
            }
        }
        roles.end(&mut lanes.roles, end_ns);
        lives.end(&mut lanes.lives, end_ns);
        lanes
    }

    /// The place of a role among those that are known by now.
    fn know(&mut self, fact: &Observation, role: &str, systems: &Systems) -> usize {
        let topic = fact.topic();
        let is_it = |known: &Known| known.topic == topic && *known.name == *role;
        self.known.iter().position(is_it).unwrap_or_else(|| {
            self.known.push(Known { topic, name: role.into(), look: systems.look(fact) });
            self.known.len() - 1
        })
    }
}
