//! Which messages a reader still takes whose backlog has grown: all, one of several, none.
//!
//! Of a topic every n-th message is kept, so a backlog that thins out covers a longer time evenly,
//! and a sensor that speaks rarely is not lost among those that speak often. Topics share a counter
//! where their hashes say so; that keeps a few more messages of one and a few less of another.

use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;

/// How many counters there are.
const PLACES: usize = 256;

/// What a reader takes.
#[derive(Debug)]
pub(crate) struct Admission {
    one_of: u32,
    counters: Box<[u32; PLACES]>,
    hasher: FixedState,
}

impl Admission {
    /// One of so many messages of a topic, or none at all; not all of them, which needs no counters.
    pub(crate) fn new(one_of: u32) -> Self {
        Self { one_of, counters: Box::new([0; PLACES]), hasher: FixedState::default() }
    }

    /// From now on one of so many; the counters go on.
    pub(crate) fn set(&mut self, one_of: u32) {
        self.one_of = one_of;
    }

    /// Whether the next message of a topic is taken.
    pub(crate) fn takes(&mut self, topic: &str) -> bool {
        if self.one_of == 0 {
            return false;
        }
        let place = self.hasher.hash_one(topic) as usize % PLACES;
        let counter = &mut self.counters[place];
        let takes = counter.is_multiple_of(self.one_of);
        *counter = counter.wrapping_add(1);
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_nth_message_of_a_topic_is_taken() {
        let mut admission = Admission::new(3);
        let taken = |admission: &mut Admission, topic| {
            (0..9).map(|_| admission.takes(topic)).collect::<Vec<_>>()
        };
        let third = [true, false, false, true, false, false, true, false, false];
        assert_eq!(taken(&mut admission, "often"), third);
        assert_eq!(taken(&mut admission, "rarely"), third, "it has a counter of its own");
        admission.set(0);
        assert!(!taken(&mut admission, "often").contains(&true));
        admission.set(1);
        assert!(!taken(&mut admission, "often").contains(&false));
    }
}
