//! Servers by number: on which nodes they run, and a table of what is known about each.

use mailstorm_record::NodeName;
use mailstorm_shared::{Ensemble, ServerId};

/// Something for each server that was heard of, with an empty value for those that were not.
#[derive(Clone, Debug, Default)]
pub struct PerServer<T> {
    /// Indexed by the server's number; the place of 0 stays empty.
    table: Vec<T>,
}

impl<T: Default> PerServer<T> {
    /// What is known of `server`, to be changed.
    pub fn get_mut(&mut self, server: ServerId) -> &mut T {
        let index = usize::from(server.number());
        if index >= self.table.len() {
            self.table.resize_with(index + 1, T::default);
        }
        &mut self.table[index]
    }

    /// What is known of `server`, if it was ever touched.
    pub fn get(&self, server: ServerId) -> Option<&T> {
        self.table.get(usize::from(server.number()))
    }

    /// Every server up to the highest number touched.
    pub fn known(&self) -> impl Iterator<Item = ServerId> {
        (1..self.table.len()).filter_map(|number| ServerId::new(u8::try_from(number).ok()?))
    }

    /// Every value up to the highest number touched, for changes that concern all of them.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.table.iter_mut()
    }
}

/// The servers of a run, by the nodes on which they run.
#[derive(Clone, Debug, Default)]
pub struct Servers(Vec<(NodeName, ServerId)>);

impl Servers {
    /// The servers of an ensemble, on nodes with their names.
    pub fn of(ensemble: &Ensemble) -> Self {
        ensemble.servers().map(|server| (node_of(server), server)).collect()
    }

    /// The server that runs on this node, if one does.
    pub fn on(&self, node: Option<&NodeName>) -> Option<ServerId> {
        let node = node?;
        self.0.iter().find(|(name, _)| name == node).map(|(_, server)| *server)
    }
}

impl FromIterator<(NodeName, ServerId)> for Servers {
    fn from_iter<I: IntoIterator<Item = (NodeName, ServerId)>>(servers: I) -> Self {
        Self(servers.into_iter().collect())
    }
}

/// Something for each node that was heard of.
#[derive(Clone, Debug, Default)]
pub(crate) struct PerNode<T>(Vec<(NodeName, T)>);

impl<T: Default> PerNode<T> {
    /// What is known of this node, to be changed.
    pub(crate) fn get_mut(&mut self, node: &NodeName) -> &mut T {
        let place = self.0.iter().position(|(name, _)| name == node);
        let place = place.unwrap_or_else(|| {
            self.0.push((node.clone(), T::default()));
            self.0.len() - 1
        });
        &mut self.0[place].1
    }
}

/// The node that a server runs on.
pub fn node_of(server: ServerId) -> NodeName {
    NodeName(server.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::history::ensemble;

    #[test]
    fn only_servers_nodes_are_taken_for_servers() {
        let servers = Servers::of(&ensemble(3));
        for (node, number) in [("s3", Some(3)), ("s4", None), ("sink", None), ("w1", None)] {
            let server = servers.on(Some(&node.into()));
            assert_eq!(server.map(ServerId::number), number, "{node}");
        }
        assert_eq!(servers.on(None), None);
        assert_eq!(node_of(ServerId::new(7).expect("7 is not 0")), "s7".into());
    }
}
