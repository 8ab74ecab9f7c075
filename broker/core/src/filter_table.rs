//! What a topic has by the first of several filters that matches it: its level of durability, its
//! history.

use std::sync::Arc;

use weir_mqtt::QoS;

use crate::subscriptions::{Holder, Subscriber, Subscriptions};

/// Filters in the order in which they are asked, each with what its topics have; to be looked up
/// for each message.
///
/// ```
/// let mut table = weir_core::FilterTable::new([("a/+", 'x'), ("a/#", 'y')], 'z', 7);
/// assert_eq!((table.of("a/b"), table.of("a/b/c"), table.of("b")), ('x', 'y', 'z'));
/// ```
#[derive(Debug)]
pub struct FilterTable<T> {
    default: T,
    /// What the topics of each filter have.
    values: Vec<T>,
    /// The filters, each held by its place in the list.
    filters: Subscriptions,
}

impl<T: Copy> FilterTable<T> {
    /// At most 65,536 filters count; topics that none of them matches have `default`.
    pub fn new<'a>(filters: impl IntoIterator<Item = (&'a str, T)>, default: T, seed: u64) -> Self {
        let (mut values, mut tree) = (Vec::new(), Subscriptions::new(seed));
        for (place, (filter, value)) in (0..=u16::MAX).zip(filters) {
            let subscriber = Subscriber {
                holder: Holder::Reader(place),
                qos: QoS::ExactlyOnce,
                no_local: false,
                retain_as_published: false,
                checked: false,
                identifier: 0,
            };
            tree.insert(&Arc::from(filter), subscriber);
            values.push(value);
        }
        Self { default, values, filters: tree }
    }

    /// What a topic has.
    pub fn of(&mut self, topic: &str) -> T {
        if self.values.is_empty() {
            return self.default;
        }
        let mut first = usize::MAX;
        self.filters.matching(topic, |subscriber| {
            if let Holder::Reader(place) = subscriber.holder {
                first = first.min(place.into());
            }
        });
        self.values.get(first).copied().unwrap_or(self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_filter_that_matches_decides() {
        let filters = [("sensors/raw/#", 1), ("sensors/+/fast", 2), ("sensors/raw/x", 3), ("#", 4)];
        let mut table = FilterTable::new(filters, 0, 7);
        assert_eq!(table.of("sensors/raw/x"), 1);
        assert_eq!(table.of("sensors/raw/fast"), 1);
        assert_eq!(table.of("sensors/a/fast"), 2);
        assert_eq!(table.of("other"), 4);
        assert_eq!(table.of("$other"), 0, "no wildcard reaches it");
    }

    #[test]
    fn without_filters_all_topics_have_the_same() {
        assert_eq!(FilterTable::new([], 5, 7).of("any"), 5);
    }
}
