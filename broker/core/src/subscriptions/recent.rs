//! What the last topics matched: a topic that comes again costs a comparison and no walk.
//!
//! Devices publish to the same few topics all day. A topic is remembered when it comes a second
//! time while no other one has taken its slot, so many topics in turn cost one hash each and
//! nothing is copied for them.
//!
//! A change of the subscriptions makes this forget what the filter can have to do with: for one
//! without wildcards its topic, for others all topics that begin like the filter does, by the
//! hash of as many as two levels. So clients that come and go with filters of their own leave the
//! topics of others alone.

use core::hash::BuildHasher as _;

use foldhash::fast::FixedState;

use super::Subscriber;

/// The cache. Bounded by its constants: less than half a megabyte when it is full.
#[derive(Debug)]
pub(crate) struct RecentMatches {
    /// Empty until the first topic.
    slots: Vec<Slot>,
    hasher: FixedState,
    changes: Changes,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    /// The hash of the last topic that came here.
    last: u64,
    /// Whether what follows is known at all.
    is_known: bool,
    topic: String,
    beginnings: Beginnings,
    /// The changes that these beginnings had seen when it was found.
    changes: u64,
    found: Vec<Subscriber>,
}

/// How often filters have changed, by how they begin.
#[derive(Debug)]
struct Changes {
    /// Those that begin with a wildcard.
    any: u64,
    /// Those with a wildcard at the second level, by the hash of the first.
    one_level: Box<[u64; BEGINNINGS]>,
    /// Those with a wildcard later, by the hash of the first two levels.
    two_levels: Box<[u64; BEGINNINGS]>,
}

/// Where the beginnings of a topic are counted.
#[derive(Clone, Copy, Debug, Default)]
struct Beginnings {
    one_level: u8,
    two_levels: u8,
}

/// Where a topic belongs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Of the topic, by the hasher of the cache.
    pub(crate) hash: u64,
    slot: usize,
}

impl RecentMatches {
    pub(crate) fn new(hasher: FixedState) -> Self {
        let none = || Box::new([0; BEGINNINGS]);
        let changes = Changes { any: 0, one_level: none(), two_levels: none() };
        Self { slots: Vec::new(), hasher, changes }
    }

    /// What the topic of a filter without wildcards matched before is not true any more.
    pub(crate) fn forget_topic(&mut self, topic: &str) {
        let place = self.place_of(topic);
        if let Some(slot) = self.slots.get_mut(place.slot).filter(|slot| slot.topic == topic) {
            slot.is_known = false;
        }
    }

    /// What the topics matched before that a filter with wildcards matches is not true any more.
    pub(crate) fn forget_matching(&mut self, filter: &str) {
        let beginnings = Beginnings::of(filter, &self.hasher);
        let counter = match filter.split('/').position(is_wildcard) {
            Some(0) => &mut self.changes.any,
            Some(1) => &mut self.changes.one_level[usize::from(beginnings.one_level)],
            _ => &mut self.changes.two_levels[usize::from(beginnings.two_levels)],
        };
        *counter += 1;
    }

    pub(crate) fn place_of(&self, topic: &str) -> Place {
        let hash = self.hasher.hash_one(topic);
        Place { hash, slot: hash as usize % SLOTS }
    }

    /// The subscribers of a topic, if they are known.
    pub(crate) fn get(&self, place: Place, topic: &str) -> Option<&[Subscriber]> {
        let slot = self.slots.get(place.slot)?;
        let is_known = slot.is_known
            && slot.topic == topic
            && slot.changes == self.changes.seen_by(slot.beginnings);
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
        slot.is_known = false;
        slot.found.clear();
        Some(Found(std::mem::take(&mut slot.found)))
    }

    /// Remembers the list, if it is not too long.
    pub(crate) fn end(&mut self, place: Place, topic: &str, found: Found) {
        let slot = &mut self.slots[place.slot];
        slot.found = found.0;
        if slot.found.len() > FOUND_MAX {
            return;
        }
        if slot.topic != topic {
            topic.clone_into(&mut slot.topic);
            slot.beginnings = Beginnings::of(topic, &self.hasher);
        }
        slot.changes = self.changes.seen_by(slot.beginnings);
        slot.is_known = true;
    }
}

impl Changes {
    /// No counter goes back, so the sum is the same only while none of them has moved.
    fn seen_by(&self, beginnings: Beginnings) -> u64 {
        self.any
            + self.one_level[usize::from(beginnings.one_level)]
            + self.two_levels[usize::from(beginnings.two_levels)]
    }
}

impl Beginnings {
    /// Of a topic or a filter. One that has fewer levels has the last one twice, which makes it
    /// forget more than it must.
    fn of(text: &str, hasher: &FixedState) -> Self {
        let place = |levels: usize| {
            let end = text.match_indices('/').nth(levels - 1).map_or(text.len(), |(at, _)| at);
            (hasher.hash_one(text.get(..end).unwrap_or_default()) >> PLACE_SHIFT) as u8
        };
        Self { one_level: place(1), two_levels: place(2) }
    }
}

fn is_wildcard(level: &str) -> bool {
    matches!(level, "+" | "#")
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
/// A place among them is a byte.
const BEGINNINGS: usize = 256;
/// Leaves the first byte of a hash.
const PLACE_SHIFT: u32 = u64::BITS - u8::BITS;
