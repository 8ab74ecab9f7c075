//! Who wants which topics: exact filters in one map, filters with wildcards in a tree.
//!
//! A publish costs one hash and a walk over the nodes that its levels reach, never a scan
//! of filters; a topic that comes again costs a comparison. The walk keeps its own stack, so the
//! number of levels cannot exhaust the thread's.

mod holders;
mod recent;
mod tree;

use core::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use weir_mqtt::{QoS, SubscriptionOptions};

use self::holders::Holders;
use self::recent::RecentMatches;
use self::tree::Tree;
use crate::identity::ShardId;
use crate::key::SessionKey;
use crate::shared::ShareKey;

/// Who holds a subscription.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Holder {
    /// A reader, by its index in the core.
    Reader(u16),
    /// A session.
    Session(SessionKey),
    /// Another shard.
    Shard(ShardId),
    /// A group of sessions, one of which gets each message.
    Share(ShareKey),
}

/// One subscription of a filter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subscriber {
    pub(crate) holder: Holder,
    pub(crate) qos: QoS,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    /// Its holder may not read everything that matches.
    pub(crate) checked: bool,
    /// 0 = none.
    pub(crate) identifier: u32,
}

impl Subscriber {
    pub(crate) fn new(
        holder: Holder,
        options: SubscriptionOptions,
        identifier: Option<u32>,
    ) -> Self {
        Self {
            holder,
            qos: options.qos,
            no_local: options.no_local,
            retain_as_published: options.retain_as_published,
            checked: false,
            identifier: identifier.unwrap_or(0),
        }
    }
}

impl Subscriber {
    /// Another shard, which chooses among its own subscriptions.
    pub(crate) fn of_shard(shard: ShardId) -> Self {
        Self::whole(Holder::Shard(shard))
    }

    /// A group, whose members say what they get.
    pub(crate) fn of_share(share: ShareKey) -> Self {
        Self::whole(Holder::Share(share))
    }

    fn whole(holder: Holder) -> Self {
        Self {
            holder,
            qos: QoS::ExactlyOnce,
            no_local: false,
            retain_as_published: true,
            checked: false,
            identifier: 0,
        }
    }
}

/// About the memory that a subscription takes when it shares nothing with others, bytes.
pub(crate) fn cost(filter: &str) -> usize {
    let nodes = if has_wildcards(filter) { filter.split('/').count() } else { 1 };
    filter.len() + nodes * NODE_BYTES
}

/// A node of the tree with its name and its edge, and with the room that tables keep free.
const NODE_BYTES: usize = 160;

/// The subscriptions of a shard by filter.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    exact: HashTable<(Arc<str>, Holders)>,
    hasher: FixedState,
    tree: Tree,
    count: usize,
    recent: RecentMatches,
}

impl Subscriptions {
    /// An empty set; `seed` makes the hash of names that clients choose unpredictable.
    pub(crate) fn new(seed: u64) -> Self {
        let hasher = FixedState::with_seed(seed);
        Self {
            exact: HashTable::new(),
            tree: Tree::new(hasher.clone()),
            recent: RecentMatches::new(hasher.clone()),
            hasher,
            count: 0,
        }
    }

    /// Adds a subscription, or changes the options of the one that its holder has already.
    pub(crate) fn insert(&mut self, filter: &Arc<str>, subscriber: Subscriber) {
        let added = if has_wildcards(filter) {
            self.recent.forget_matching(filter);
            self.tree.insert(filter, subscriber)
        } else {
            self.recent.forget_topic(filter);
            let hash = |(filter, _): &(Arc<str>, Holders)| self.hasher.hash_one(&**filter);
            let is_it = |(known, _): &(Arc<str>, Holders)| known == filter;
            match self.exact.entry(self.hasher.hash_one(&**filter), is_it, hash) {
                Entry::Occupied(mut known) => known.get_mut().1.upsert(subscriber),
                Entry::Vacant(place) => {
                    place.insert((filter.clone(), Holders::One(subscriber)));
                    true
                }
            }
        };
        self.count += usize::from(added);
    }

    /// Removes the subscription of `holder`; true when there was one.
    pub(crate) fn remove(&mut self, filter: &str, holder: Holder) -> bool {
        let removed = if has_wildcards(filter) {
            self.recent.forget_matching(filter);
            self.tree.remove(filter, holder)
        } else {
            self.recent.forget_topic(filter);
            self.remove_exact(filter, holder)
        };
        self.count -= usize::from(removed);
        removed
    }

    /// Whether a session of this shard subscribes to a filter.
    pub(crate) fn has_session(&self, filter: &str) -> bool {
        let is_it = |(known, _): &(Arc<str>, Holders)| **known == *filter;
        let holders = match has_wildcards(filter) {
            true => self.tree.holders(filter),
            false => {
                let found = self.exact.find(self.hasher.hash_one(filter), is_it);
                found.map(|(_, holders)| holders)
            }
        };
        let is_session = |subscriber: &Subscriber| matches!(subscriber.holder, Holder::Session(_));
        holders.is_some_and(|holders| holders.iter().any(is_session))
    }

    /// Number of subscriptions.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Calls `found` for each subscription that matches `topic`; a holder with several matching
    /// filters is found several times.
    pub(crate) fn matching(&mut self, topic: &str, mut found: impl FnMut(&Subscriber)) {
        let place = self.recent.place_of(topic);
        if let Some(known) = self.recent.get(place, topic) {
            return known.iter().for_each(found);
        }
        match self.recent.begin(place, topic) {
            None => self.search(place.hash, topic, found),
            Some(mut list) => {
                self.search(place.hash, topic, |subscriber| {
                    list.push(subscriber);
                    found(subscriber);
                });
                self.recent.end(place, topic, list);
            }
        }
    }

    fn remove_exact(&mut self, filter: &str, holder: Holder) -> bool {
        let is_it = |(known, _): &(Arc<str>, Holders)| **known == *filter;
        let known = self.exact.find_entry(self.hasher.hash_one(filter), is_it);
        let Ok(mut known) = known else { return false };
        let removed = known.get_mut().1.remove(holder);
        if known.get().1.is_empty() {
            known.remove();
        }
        removed
    }

    /// Looks at the filters.
    fn search(&mut self, hash: u64, topic: &str, mut found: impl FnMut(&Subscriber)) {
        let is_it = |(filter, _): &(Arc<str>, Holders)| **filter == *topic;
        if let Some((_, holders)) = self.exact.find(hash, is_it) {
            holders.iter().for_each(&mut found);
        }
        self.tree.matching(topic, found);
    }
}

fn has_wildcards(filter: &str) -> bool {
    filter.contains(['+', '#'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::share_mark;
    use weir_mqtt::TopicFilter;

    fn subscriber(number: u16) -> Subscriber {
        Subscriber {
            holder: Holder::Reader(number),
            qos: QoS::AtMostOnce,
            no_local: false,
            retain_as_published: false,
            checked: false,
            identifier: 0,
        }
    }

    fn found(subscriptions: &mut Subscriptions, topic: &str) -> Vec<u16> {
        let mut numbers = Vec::new();
        subscriptions.matching(topic, |subscriber| match subscriber.holder {
            Holder::Reader(number) => numbers.push(number),
            _ => unreachable!("only readers subscribe here"),
        });
        numbers.sort_unstable();
        numbers
    }

    const FILTERS: [&str; 16] = [
        "#", "+", "+/+", "/", "/+", "a", "a/#", "a/+", "a/+/c", "a/b", "a/b/#", "a/b/c", "a//c",
        "$SYS/#", "+/b/#", "+/#",
    ];
    const TOPICS: [&str; 13] = [
        "a", "a/b", "a/b/c", "a/x/c", "a//c", "/", "/a", "b", "$SYS", "$SYS/x", "$SYS/b/x",
        "x/b/y/z", "a/",
    ];

    #[test]
    fn the_trie_finds_what_each_filter_alone_matches() {
        let mut subscriptions = Subscriptions::new(1);
        for (number, filter) in (0..).zip(FILTERS) {
            subscriptions.insert(&Arc::from(filter), subscriber(number));
        }
        for topic in TOPICS {
            let expected: Vec<u16> = (0..)
                .zip(FILTERS)
                .filter(|(_, filter)| {
                    TopicFilter::parse(filter).expect("a valid filter").matches(topic)
                })
                .map(|(number, _)| number)
                .collect();
            assert_eq!(found(&mut subscriptions, topic), expected, "{topic}");
        }
    }

    /// A topic is remembered from its second time on, and never longer than its subscribers stay
    /// the same.
    #[test]
    fn what_a_topic_matches_is_right_however_often_it_comes() {
        let mut subscriptions = Subscriptions::new(1);
        let mut wanted: Vec<u16> = Vec::new();
        for number in 0..40 {
            subscriptions.insert(&Arc::from("a/+"), subscriber(number));
            wanted.push(number);
            for _ in 0..4 {
                assert_eq!(found(&mut subscriptions, "a/b"), wanted);
                assert_eq!(found(&mut subscriptions, "b"), []);
            }
        }
        for number in 0..40 {
            assert!(subscriptions.remove("a/+", Holder::Reader(number)));
            wanted.remove(0);
            for _ in 0..4 {
                assert_eq!(found(&mut subscriptions, "a/b"), wanted);
            }
        }
    }

    /// Filters come and go between any two messages: what was remembered of a topic is forgotten
    /// with every filter that matches it.
    #[test]
    fn what_a_topic_matches_is_right_however_filters_change() {
        let mut subscriptions = Subscriptions::new(1);
        let mut wanted: Vec<bool> = vec![false; FILTERS.len()];
        for step in 0..2_000 {
            let number = share_mark::hash(&format!("{step}")) as usize % FILTERS.len();
            let reader = u16::try_from(number).expect("few filters");
            let was_wanted = wanted[number];
            wanted[number] = !was_wanted;
            if was_wanted {
                assert!(subscriptions.remove(FILTERS[number], Holder::Reader(reader)));
            } else {
                subscriptions.insert(&Arc::from(FILTERS[number]), subscriber(reader));
            }
            for topic in TOPICS {
                let matches = |filter| TopicFilter::parse(filter).expect("valid").matches(topic);
                let expected: Vec<u16> = (0..)
                    .zip(FILTERS)
                    .filter(|(number, filter)| wanted[usize::from(*number)] && matches(filter))
                    .map(|(number, _)| number)
                    .collect();
                for _ in 0..3 {
                    assert_eq!(found(&mut subscriptions, topic), expected, "{topic} at {step}");
                }
            }
        }
    }

    #[test]
    fn topics_that_share_a_slot_are_told_apart() {
        let mut subscriptions = Subscriptions::new(1);
        for number in 0..2_000 {
            subscriptions.insert(&Arc::from(format!("t/{number}/#").as_str()), subscriber(number));
        }
        for round in 0..3 {
            for number in (0..2_000).flat_map(|number| [number; 3]) {
                assert_eq!(
                    found(&mut subscriptions, &format!("t/{number}/x")),
                    [number],
                    "{round}"
                );
            }
        }
    }

    #[test]
    fn what_is_removed_leaves_no_node_behind() {
        let mut subscriptions = Subscriptions::new(1);
        for (number, filter) in (0..).zip(FILTERS) {
            subscriptions.insert(&Arc::from(filter), subscriber(number));
        }
        for (number, filter) in (0..).zip(FILTERS) {
            assert!(subscriptions.remove(filter, Holder::Reader(number)), "{filter}");
            assert!(!subscriptions.remove(filter, Holder::Reader(number)), "{filter}");
        }
        assert_eq!(subscriptions.count(), 0);
        assert!(subscriptions.exact.is_empty() && subscriptions.tree.is_bare());
    }

    #[test]
    fn ten_thousand_levels_do_not_overflow_the_stack() {
        let mut subscriptions = Subscriptions::new(1);
        let filter = format!("{}#", "+/".repeat(10_000));
        subscriptions.insert(&Arc::from(filter.as_str()), subscriber(1));
        assert_eq!(found(&mut subscriptions, &"/".repeat(10_001)), [1]);
        assert!(subscriptions.remove(&filter, Holder::Reader(1)));
    }
}
