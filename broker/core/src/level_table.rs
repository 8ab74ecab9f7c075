//! Which level of durability a topic has: of several filters that match, the first one decides.

use std::sync::Arc;

use weir_mqtt::QoS;

use crate::durability::{Durability, DurabilityLevels};
use crate::subscriptions::{Holder, Subscriber, Subscriptions};

/// The levels, to be looked up for each message.
#[derive(Debug)]
pub(crate) struct LevelTable {
    default: Durability,
    /// The level of each filter.
    levels: Vec<Durability>,
    /// The filters, each held by its place in the list.
    filters: Subscriptions,
}

impl LevelTable {
    /// At most 65,536 filters count.
    pub(crate) fn new(levels: &DurabilityLevels, seed: u64) -> Self {
        let mut filters = Subscriptions::new(seed);
        for (place, (filter, _)) in (0..=u16::MAX).zip(&levels.filters) {
            let subscriber = Subscriber {
                holder: Holder::Reader(place),
                qos: QoS::ExactlyOnce,
                no_local: false,
                retain_as_published: false,
                checked: false,
                identifier: 0,
            };
            filters.insert(&Arc::from(filter.as_str()), subscriber);
        }
        let of_filters = levels.filters.iter().map(|(_, level)| *level);
        Self { default: levels.default, levels: of_filters.collect(), filters }
    }

    /// The level of a topic.
    pub(crate) fn of(&mut self, topic: &str) -> Durability {
        if self.levels.is_empty() {
            return self.default;
        }
        let mut first = usize::MAX;
        self.filters.matching(topic, |subscriber| {
            if let Holder::Reader(place) = subscriber.holder {
                first = first.min(place.into());
            }
        });
        self.levels.get(first).copied().unwrap_or(self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_filter_that_matches_decides() {
        let filters = [
            ("sensors/raw/#", Durability::Relaxed),
            ("sensors/+/fast", Durability::None),
            ("sensors/raw/x", Durability::None),
            ("#", Durability::Relaxed),
        ];
        let filters = filters.map(|(filter, level)| (filter.to_owned(), level)).to_vec();
        let levels = DurabilityLevels { default: Durability::Commit, filters };
        let mut table = LevelTable::new(&levels, 7);
        assert_eq!(table.of("sensors/raw/x"), Durability::Relaxed);
        assert_eq!(table.of("sensors/raw/fast"), Durability::Relaxed);
        assert_eq!(table.of("sensors/a/fast"), Durability::None);
        assert_eq!(table.of("other"), Durability::Relaxed);
        assert_eq!(table.of("$other"), Durability::Commit, "no wildcard reaches it");
    }

    #[test]
    fn without_filters_one_level_holds_for_all() {
        let levels = DurabilityLevels { default: Durability::None, filters: Vec::new() };
        assert_eq!(LevelTable::new(&levels, 7).of("any"), Durability::None);
    }
}
