//! Where clients come from, and who has to go when there are too many.
//!
//! Owns: the counts by address, and the order in which silent clients came. Leaves: closing to
//! `clients` and `links`.
//! Holds: a client is silent until its first whole frame. Whoever opens connections and says
//! nothing keeps nobody out who speaks: at a limit the oldest silent client goes, and a newcomer is
//! refused only where everybody has spoken. So one who says at once what it wants, as every client
//! does, is heard.

use mailstorm_shared::machine::ConnectionId;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// How many clients there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) each_address: usize,
    pub(super) silent: usize,
    pub(super) all: usize,
}

/// There is no room, and nobody who has to make some.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

/// A silent client's place in the order of arrival.
pub(super) type Place = u64;

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Origins {
    addresses: BTreeMap<IpAddr, Origin>,
    silent: BTreeMap<Place, ConnectionId>,
    count: usize,
    last: Place,
}

#[derive(Debug, Default)]
struct Origin {
    count: usize,
    silent: BTreeSet<Place>,
}

impl Origins {
    /// Who must be closed before one more client can come from there.
    ///
    /// # Errors
    /// [`Full`] when nobody is silent who could.
    pub(super) fn who_makes_room(
        &self,
        from: IpAddr,
        room: Room,
    ) -> Result<Option<ConnectionId>, Full> {
        let origin = self.addresses.get(&from);
        if let Some(origin) = origin.filter(|origin| origin.count >= room.each_address) {
            let oldest = origin.silent.first().ok_or(Full)?;
            return Ok(Some(self.silent[oldest]));
        }
        if self.count >= room.all || self.silent.len() >= room.silent {
            let (_, oldest) = self.silent.first_key_value().ok_or(Full)?;
            return Ok(Some(*oldest));
        }
        Ok(None)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// How many of them have said nothing.
    pub(super) fn silent_count(&self) -> usize {
        self.silent.len()
    }

    /// A client came, and has said nothing yet.
    pub(super) fn enter(&mut self, from: IpAddr, connection: ConnectionId) -> Place {
        self.last += 1;
        let origin = self.addresses.entry(from).or_default();
        origin.count += 1;
        origin.silent.insert(self.last);
        self.silent.insert(self.last, connection);
        self.count += 1;
        self.last
    }

    /// It has said something.
    pub(super) fn spoke(&mut self, from: IpAddr, place: Place) {
        self.silent.remove(&place);
        if let Some(origin) = self.addresses.get_mut(&from) {
            origin.silent.remove(&place);
        }
    }

    /// It is gone; with its place, if it never spoke.
    pub(super) fn leave(&mut self, from: IpAddr, place: Option<Place>) {
        place.into_iter().for_each(|place| self.spoke(from, place));
        let origin = self.addresses.get_mut(&from).expect("whoever leaves has entered");
        origin.count -= 1;
        self.count -= 1;
        if origin.count == 0 {
            assert!(origin.silent.is_empty(), "the silent are among those counted");
            self.addresses.remove(&from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room { each_address: 3, silent: 5, all: 6 };

    fn address(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    #[test]
    fn the_oldest_silent_client_of_an_address_makes_room_for_the_next_from_there() {
        let mut origins = Origins::default();
        let places: Vec<_> = (1..=3).map(|n| origins.enter(address(1), ConnectionId(n))).collect();
        origins.spoke(address(1), places[0]);
        assert_eq!(origins.who_makes_room(address(2), ROOM), Ok(None));
        assert_eq!(origins.who_makes_room(address(1), ROOM), Ok(Some(ConnectionId(2))));
        origins.leave(address(1), Some(places[1]));
        assert_eq!(origins.who_makes_room(address(1), ROOM), Ok(None));
        let last = origins.enter(address(1), ConnectionId(4));
        origins.spoke(address(1), places[2]);
        origins.spoke(address(1), last);
        assert_eq!(origins.who_makes_room(address(1), ROOM), Err(Full), "all of them spoke");
        origins.leave(address(1), None);
        assert_eq!(origins.who_makes_room(address(1), ROOM), Ok(None));
    }

    #[test]
    fn silent_clients_of_all_addresses_keep_out_nobody_who_speaks() {
        let mut origins = Origins::default();
        let places: Vec<_> =
            (1..=5).map(|n| origins.enter(address(n), ConnectionId(n.into()))).collect();
        assert_eq!(origins.who_makes_room(address(9), ROOM), Ok(Some(ConnectionId(1))));
        for (number, place) in (1..=5).zip(places) {
            origins.spoke(address(number), place);
        }
        assert_eq!(origins.who_makes_room(address(9), ROOM), Ok(None));
        let place = origins.enter(address(9), ConnectionId(9));
        assert_eq!(origins.who_makes_room(address(8), ROOM), Ok(Some(ConnectionId(9))));
        origins.spoke(address(9), place);
        assert_eq!(origins.who_makes_room(address(8), ROOM), Err(Full));
    }
}
