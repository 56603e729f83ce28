//! A table of things that come and go, addressed by numbers that are never given twice.

/// The place of a thing in its table, and which of the things that stood there it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id {
    index: u32,
    generation: u32,
}

impl Id {
    /// The id as one number.
    pub(crate) fn pack(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The id that [`Id::pack`] made this number of.
    pub(crate) fn unpack(number: u64) -> Self {
        Self { index: number as u32, generation: (number >> 32) as u32 }
    }
}

/// The table.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    slots: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub(crate) fn insert(&mut self, thing: T) -> Id {
        if let Some(index) = self.free.pop() {
            let slot = &mut self.slots[index as usize];
            slot.1 = Some(thing);
            return Id { index, generation: slot.0 };
        }
        let index =
            u32::try_from(self.slots.len()).expect("a run is bounded far below 2^32 things");
        self.slots.push((1, Some(thing)));
        Id { index, generation: 1 }
    }

    pub(crate) fn get(&self, id: Id) -> Option<&T> {
        match self.slots.get(id.index as usize) {
            Some((generation, thing)) if *generation == id.generation => thing.as_ref(),
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        match self.slots.get_mut(id.index as usize) {
            Some((generation, thing)) if *generation == id.generation => thing.as_mut(),
            _ => None,
        }
    }

    pub(crate) fn remove(&mut self, id: Id) -> Option<T> {
        let slot = self.slots.get_mut(id.index as usize)?;
        if slot.0 != id.generation {
            return None;
        }
        let thing = slot.1.take()?;
        slot.0 += 1;
        self.free.push(id.index);
        Some(thing)
    }

    /// Everything, in the order of the places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Id, &T)> {
        self.slots.iter().enumerate().filter_map(|(index, (generation, thing))| {
            let id = Id { index: index as u32, generation: *generation };
            thing.as_ref().map(|thing| (id, thing))
        })
    }

    /// The ids of all that match, in the order of the places.
    pub(crate) fn ids(&self, matches: impl Fn(&T) -> bool) -> Vec<Id> {
        self.iter().filter(|(_, thing)| matches(thing)).map(|(id, _)| id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_given_again_has_another_id() {
        let mut slab = Slab::default();
        let first = slab.insert('a');
        assert_eq!(Id::unpack(first.pack()), first);
        assert_eq!(slab.remove(first), Some('a'));
        let second = slab.insert('b');
        assert_ne!(first, second);
        assert_eq!((slab.get(first), slab.get(second)), (None, Some(&'b')));
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.ids(|_| true), [second]);
    }
}
