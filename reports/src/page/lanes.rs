//! What each lane shows as bands: the role of a server and its epoch, and when a process was down or
//! paused.
//!
//! Holds: bands of one sort on one node do not overlap, and all of them end with the run.
//! Start at [`Lanes::of`].

use mailstorm_record::{Event, Happening, NodeName};
use mailstorm_shared::facts::RoleBand;
use serde::Serialize;
use std::collections::BTreeMap;

/// From when to when, what, and in which epoch (0 for none).
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Band {
    pub(crate) node: usize,
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) what: &'static str,
    pub(crate) epoch: u32,
}

/// The bands of all lanes.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct Lanes {
    pub(crate) roles: Vec<Band>,
    pub(crate) lives: Vec<Band>,
}

/// The band that is open on a node.
#[derive(Default)]
struct Open(BTreeMap<usize, (u64, &'static str, u32)>);

impl Open {
    /// Ends the node's band here, and begins another one if there is any.
    fn turn(
        &mut self,
        into: &mut Vec<Band>,
        node: usize,
        at: u64,
        next: Option<(&'static str, u32)>,
    ) {
        if let Some((from, what, epoch)) = self.0.remove(&node)
            && from < at
        {
            into.push(Band { node, from, to: at, what, epoch });
        }
        if let Some((what, epoch)) = next {
            self.0.insert(node, (at, what, epoch));
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
        end_ns: u64,
    ) -> Self {
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
                    lives.turn(&mut lanes.lives, node, at, Some(("down", 0)));
                    roles.turn(&mut lanes.roles, node, at, None);
                }
                Happening::Paused => lives.turn(&mut lanes.lives, node, at, Some(("paused", 0))),
                Happening::Observed { observation } => {
                    let next = match observation.account().band {
                        RoleBand::Stays => continue,
                        RoleBand::Ends => None,
                        RoleBand::Shows(role, epoch) => Some((role, epoch)),
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
}
