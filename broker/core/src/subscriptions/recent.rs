//! What the last topics matched: a topic that comes again costs a comparison and no walk.
//!
//! Devices publish to the same few topics all day. A topic is remembered when it comes a second
//! time while no other one has taken its slot, so many topics in turn cost one hash each and
//! nothing is copied for them. Any change of the subscriptions forgets all.

use core::hash::BuildHasher as _;

use foldhash::fast::FixedState;

use super::Subscriber;

/// The cache. Bounded by its constants: less than half a megabyte when it is full.
#[derive(Debug)]
pub(crate) struct RecentMatches {
    /// Empty until the first topic.
    slots: Vec<Slot>,
    hasher: FixedState,
    /// Counts the changes of the subscriptions.
    generation: u64,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    /// The hash of the last topic that came here.
    last: u64,
    /// When what follows was found.
    generation: u64,
    topic: String,
    found: Vec<Subscriber>,
}

/// Where a topic belongs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    hash: u64,
    slot: usize,
}

impl RecentMatches {
    pub(crate) fn new(hasher: FixedState) -> Self {
        Self { slots: Vec::new(), hasher, generation: 1 }
    }

    /// What a topic matched before is not true any more.
    pub(crate) fn forget(&mut self) {
        self.generation += 1;
    }

    pub(crate) fn place_of(&self, topic: &str) -> Place {
        let hash = self.hasher.hash_one(topic);
        Place { hash, slot: hash as usize % SLOTS }
    }

    /// The subscribers of a topic, if they are known.
    pub(crate) fn get(&self, place: Place, topic: &str) -> Option<&[Subscriber]> {
        let slot = self.slots.get(place.slot)?;
        let is_known = slot.generation == self.generation && slot.topic == topic;
        is_known.then_some(&slot.found)
    }

    /// A list for what a topic matches, when it is worth to be remembered.
    pub(crate) fn begin(&mut self, place: Place, topic: &str) -> Option<Found> {
        if self.slots.is_empty() {
            self.slots.resize(SLOTS, Slot::default());
        }
        let slot = &mut self.slots[place.slot];
        let comes_again = std::mem::replace(&mut slot.last, place.hash) == place.hash;
        if !comes_again || topic.len() > TOPIC_BYTES_MAX {
            return None;
        }
        slot.generation = 0;
        slot.found.clear();
        Some(Found(std::mem::take(&mut slot.found)))
    }

    /// Remembers the list, if it is not too long.
    pub(crate) fn end(&mut self, place: Place, topic: &str, found: Found) {
        let slot = &mut self.slots[place.slot];
        slot.found = found.0;
        if slot.found.len() <= FOUND_MAX {
            topic.clone_into(&mut slot.topic);
            slot.generation = self.generation;
        }
    }
}

/// The subscribers of a topic while they are found; the first that are too many is the last in it.
#[derive(Debug)]
pub(crate) struct Found(Vec<Subscriber>);

impl Found {
    pub(crate) fn push(&mut self, subscriber: &Subscriber) {
        if self.0.len() <= FOUND_MAX {
            self.0.push(*subscriber);
        }
    }
}

const SLOTS: usize = 512;
/// A longer topic is not remembered.
const TOPIC_BYTES_MAX: usize = 128;
/// Nor is one with more subscribers: to give it to them costs more than to find them.
const FOUND_MAX: usize = 16;
