//! Topic aliases towards one client: short numbers for the topics it was sent last.
//!
//! The client says how many it takes. A number that is needed again goes to another topic once
//! it is the one that was not used for the longest time. Nothing here outlives the connection
//! [MQTT-3.3.2-7], and the numbers stay within the client's maximum [MQTT-3.1.2-26].

use std::hash::BuildHasher;
use std::num::NonZeroU16;

use foldhash::fast::FixedState;
use weir_mqtt::{Delivery, Version};

/// The aliases of one client; nothing for one that takes none.
#[derive(Debug, Default)]
pub(crate) struct OutboundAliases(Option<Box<Table>>);

/// The topics that have a number, which is their place and one.
#[derive(Debug, Default)]
struct Table {
    max: u16,
    /// Looked through for each delivery, so the texts stand elsewhere.
    places: Vec<Place>,
    topics: Vec<String>,
    uses: u64,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    hash: u64,
    /// The number of its last use.
    used: u64,
}

/// What an alias adds to a packet, bytes; a shorter topic is better said in full.
const ALIAS_BYTES: usize = 3;

impl OutboundAliases {
    /// None yet, and never more than `max`.
    pub(crate) fn new(max: u16) -> Self {
        Self((max > 0).then(|| Box::new(Table { max, ..Table::default() })))
    }

    /// Whether the client takes any.
    pub(crate) fn are_taken(&self) -> bool {
        self.0.is_some()
    }

    /// The delivery with an alias, in place of its topic if the client knows the alias. No packet
    /// becomes longer than `packet_bytes_max` by it.
    pub(crate) fn shorten<'a>(
        &mut self,
        delivery: Delivery<'a>,
        packet_bytes_max: usize,
    ) -> Delivery<'a> {
        let Some(table) = self.0.as_mut().filter(|_| delivery.topic.len() > ALIAS_BYTES) else {
            return delivery;
        };
        table.shorten(delivery, packet_bytes_max)
    }
}

impl Table {
    fn shorten<'a>(&mut self, delivery: Delivery<'a>, packet_bytes_max: usize) -> Delivery<'a> {
        let hash = FixedState::default().hash_one(delivery.topic);
        self.uses += 1;
        if let Some(known) = self.find(delivery.topic, hash) {
            self.places[known].used = self.uses;
            return Delivery { topic: "", topic_alias: Some(number(known)), ..delivery };
        }
        let place = self.next_place();
        let named = Delivery { topic_alias: Some(number(place)), ..delivery };
        if named.encoded_len(Version::V5) > packet_bytes_max {
            return delivery;
        }
        let used = Place { hash, used: self.uses };
        match (self.places.get_mut(place), self.topics.get_mut(place)) {
            (Some(place), Some(topic)) => {
                *place = used;
                topic.clear();
                topic.push_str(delivery.topic);
            }
            _ => {
                self.places.push(used);
                self.topics.push(delivery.topic.to_owned());
            }
        }
        named
    }

    fn find(&self, topic: &str, hash: u64) -> Option<usize> {
        let mut places = self.places.iter().zip(&self.topics);
        places.position(|(place, known)| place.hash == hash && known == topic)
    }

    /// A place that is free, or the one whose last use is the longest ago.
    fn next_place(&self) -> usize {
        if self.places.len() < usize::from(self.max) {
            return self.places.len();
        }
        let oldest = self.places.iter().enumerate().min_by_key(|(_, place)| place.used);
        oldest.map_or(0, |(place, _)| place)
    }
}

fn number(place: usize) -> NonZeroU16 {
    let number = u16::try_from(place + 1).ok().and_then(NonZeroU16::new);
    number.expect("there are no more places than numbers")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The alias of each topic, and whether the topic was left out.
    fn shorten(aliases: &mut OutboundAliases, topics: &[&str]) -> Vec<(u16, bool)> {
        topics
            .iter()
            .map(|topic| {
                let delivery = aliases.shorten(Delivery::new(topic, b"x"), usize::MAX);
                let alias = delivery.topic_alias.map_or(0, NonZeroU16::get);
                (alias, delivery.topic.is_empty())
            })
            .collect()
    }

    #[test]
    fn the_alias_that_was_not_used_for_the_longest_time_goes_to_a_new_topic() {
        let mut aliases = OutboundAliases::new(2);
        let seen = shorten(&mut aliases, &["one-1", "two-2", "one-1", "three", "two-2", "three"]);
        assert_eq!(seen, [(1, false), (2, false), (1, true), (2, false), (1, false), (2, true)]);
    }

    #[test]
    fn a_short_topic_is_said_in_full() {
        let mut aliases = OutboundAliases::new(2);
        assert_eq!(shorten(&mut aliases, &["a/b", "a/b"]), [(0, false), (0, false)]);
    }

    #[test]
    fn without_aliases_nothing_changes() {
        let mut aliases = OutboundAliases::new(0);
        assert_eq!(shorten(&mut aliases, &["topic", "topic"]), [(0, false), (0, false)]);
    }

    #[test]
    fn an_alias_does_not_make_a_packet_too_long() {
        let mut aliases = OutboundAliases::new(2);
        let delivery = Delivery::new("topic", b"x");
        let length = delivery.encoded_len(Version::V5);
        assert_eq!(aliases.shorten(delivery, length + 2), delivery);
        assert_eq!(aliases.shorten(delivery, length + 3).topic, "topic");
        assert_eq!(aliases.shorten(delivery, length).topic, "");
    }
}
