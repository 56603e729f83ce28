//! Servers by number: a table of what is known about each, and how their nodes are named.

use mailstorm_record::NodeName;
use mailstorm_shared::ServerId;

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

/// The server that runs on a node: node `s3` is server 3's, as nodes are named in records.
pub fn server_on(node: Option<&NodeName>) -> Option<ServerId> {
    ServerId::new(node?.0.strip_prefix('s')?.parse().ok()?)
}

/// The node that a server runs on.
pub fn node_of(server: ServerId) -> NodeName {
    NodeName(server.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_servers_nodes_are_taken_for_servers() {
        for (node, number) in
            [("s3", Some(3)), ("s0", None), ("sink", None), ("w1", None), ("s256", None)]
        {
            assert_eq!(server_on(Some(&node.into())).map(ServerId::number), number, "{node}");
        }
        assert_eq!(server_on(None), None);
        assert_eq!(node_of(ServerId::new(7).expect("7 is not 0")), "s7".into());
    }
}
