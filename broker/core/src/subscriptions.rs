//! Who wants which topics: exact filters in one map, filters with wildcards in a trie.
//!
//! A publish costs one hash and a walk over the trie nodes that its levels reach, never a scan
//! of filters; a topic that comes again costs a comparison. The walk keeps its own stack, so the
//! number of levels cannot exhaust the thread's.

mod recent;

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;
use weir_mqtt::{QoS, SubscriptionOptions};

use self::recent::RecentMatches;
use crate::identity::ShardId;
use crate::key::SessionKey;
use crate::shared::ShareKey;

/// Who holds a subscription.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
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

/// A node of the tree with its name in the one above, and with the room that tables keep free.
const NODE_BYTES: usize = 384;

/// The subscriptions of a shard by filter.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    exact: HashMap<Arc<str>, Holders, FixedState>,
    nodes: Vec<Node>,
    free: Vec<u32>,
    hasher: FixedState,
    count: usize,
    /// The nodes and topic offsets that a match has still to visit.
    stack: Vec<(u32, usize)>,
    recent: RecentMatches,
}

#[derive(Debug, Default)]
struct Node {
    children: HashMap<Box<str>, u32, FixedState>,
    plus: Option<u32>,
    /// Holders of the filter that ends at this node.
    here: Holders,
    /// Holders of the filter that goes on with `#`.
    below: Holders,
}

/// Most filters have one holder, which then needs no allocation of its own.
type Holders = SmallVec<[Subscriber; 1]>;

const ROOT: u32 = 0;

impl Subscriptions {
    /// An empty set; `seed` makes the hash of names that clients choose unpredictable.
    pub(crate) fn new(seed: u64) -> Self {
        let hasher = FixedState::with_seed(seed);
        Self {
            exact: HashMap::with_hasher(hasher.clone()),
            nodes: vec![Node::new(hasher.clone())],
            free: Vec::new(),
            recent: RecentMatches::new(hasher.clone()),
            hasher,
            count: 0,
            stack: Vec::new(),
        }
    }

    /// Adds a subscription, or changes the options of the one that its holder has already.
    pub(crate) fn insert(&mut self, filter: &Arc<str>, subscriber: Subscriber) {
        self.recent.forget();
        let added = if has_wildcards(filter) {
            let (node, below) = self.node_for(filter);
            let node = &mut self.nodes[node as usize];
            upsert(if below { &mut node.below } else { &mut node.here }, subscriber)
        } else {
            match self.exact.get_mut(filter) {
                Some(holders) => upsert(holders, subscriber),
                None => {
                    self.exact.insert(filter.clone(), SmallVec::from_elem(subscriber, 1));
                    true
                }
            }
        };
        self.count += usize::from(added);
    }

    /// Removes the subscription of `holder`; true when there was one.
    pub(crate) fn remove(&mut self, filter: &str, holder: Holder) -> bool {
        self.recent.forget();
        let removed = if has_wildcards(filter) {
            self.remove_wildcard(filter, holder)
        } else if let Some(holders) = self.exact.get_mut(filter) {
            let removed = swap_out(holders, holder);
            if holders.is_empty() {
                self.exact.remove(filter);
            }
            removed
        } else {
            false
        };
        self.count -= usize::from(removed);
        removed
    }

    /// Whether a session of this shard subscribes to a filter.
    pub(crate) fn has_session(&self, filter: &str) -> bool {
        let holders = if has_wildcards(filter) {
            self.wildcard_holders(filter)
        } else {
            self.exact.get(filter)
        };
        let is_session = |subscriber: &Subscriber| matches!(subscriber.holder, Holder::Session(_));
        holders.is_some_and(|holders| holders.iter().any(is_session))
    }

    fn wildcard_holders(&self, filter: &str) -> Option<&Holders> {
        let mut at = ROOT;
        for level in filter.split('/') {
            if level == "#" {
                return Some(&self.nodes[at as usize].below);
            }
            at = self.child(at, level)?;
        }
        Some(&self.nodes[at as usize].here)
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
            None => self.walk(topic, found),
            Some(mut list) => {
                self.walk(topic, |subscriber| {
                    list.push(subscriber);
                    found(subscriber);
                });
                self.recent.end(place, topic, list);
            }
        }
    }

    /// Looks at the filters.
    fn walk(&mut self, topic: &str, mut found: impl FnMut(&Subscriber)) {
        if let Some(holders) = self.exact.get(topic) {
            holders.iter().for_each(&mut found);
        }
        // Wildcards at the first level do not match topics that begin with `$`
        // [MQTT-4.7.2-1].
        let wild_root = !topic.starts_with('$');
        self.stack.clear();
        self.stack.push((ROOT, 0));
        while let Some((index, offset)) = self.stack.pop() {
            let node = &self.nodes[index as usize];
            let wild = index != ROOT || wild_root;
            if wild {
                node.below.iter().for_each(&mut found);
            }
            // An offset past the end says that the last level has been consumed.
            let Some(rest) = topic.get(offset..) else {
                node.here.iter().for_each(&mut found);
                continue;
            };
            let level = rest.split('/').next().unwrap_or_default();
            let after = offset + level.len() + 1;
            if !node.children.is_empty()
                && let Some(&child) = node.children.get(level)
            {
                self.stack.push((child, after));
            }
            if let Some(plus) = node.plus.filter(|_| wild) {
                self.stack.push((plus, after));
            }
        }
    }

    /// The node where a wildcard filter ends, made if needed, and whether it ends with `#`.
    fn node_for(&mut self, filter: &str) -> (u32, bool) {
        let mut at = ROOT;
        for level in filter.split('/') {
            if level == "#" {
                return (at, true);
            }
            at = match self.child(at, level) {
                Some(child) => child,
                None => self.add_child(at, level),
            };
        }
        (at, false)
    }

    fn child(&self, node: u32, level: &str) -> Option<u32> {
        let node = &self.nodes[node as usize];
        if level == "+" { node.plus } else { node.children.get(level).copied() }
    }

    fn add_child(&mut self, parent: u32, level: &str) -> u32 {
        let child = match self.free.pop() {
            Some(child) => child,
            None => {
                self.nodes.push(Node::new(self.hasher.clone()));
                u32::try_from(self.nodes.len() - 1).expect("memory ends before the nodes do")
            }
        };
        let parent = &mut self.nodes[parent as usize];
        if level == "+" {
            parent.plus = Some(child);
        } else {
            parent.children.insert(level.into(), child);
        }
        child
    }

    fn remove_wildcard(&mut self, filter: &str, holder: Holder) -> bool {
        let mut path: SmallVec<[(u32, &str); 8]> = SmallVec::new();
        let (mut at, mut below) = (ROOT, false);
        for level in filter.split('/') {
            if level == "#" {
                below = true;
                break;
            }
            let Some(child) = self.child(at, level) else { return false };
            path.push((at, level));
            at = child;
        }
        let node = &mut self.nodes[at as usize];
        let removed = swap_out(if below { &mut node.below } else { &mut node.here }, holder);
        while let Some((parent, level)) = path.pop() {
            if !self.nodes[at as usize].is_unused() {
                break;
            }
            self.nodes[at as usize] = Node::new(self.hasher.clone());
            self.free.push(at);
            let parent_node = &mut self.nodes[parent as usize];
            if level == "+" {
                parent_node.plus = None;
            } else {
                parent_node.children.remove(level);
            }
            at = parent;
        }
        removed
    }
}

impl Node {
    fn new(hasher: FixedState) -> Self {
        Self { children: HashMap::with_hasher(hasher), ..Self::default() }
    }

    fn is_unused(&self) -> bool {
        self.children.is_empty()
            && self.plus.is_none()
            && self.here.is_empty()
            && self.below.is_empty()
    }
}

fn has_wildcards(filter: &str) -> bool {
    filter.contains(['+', '#'])
}

/// True when the subscriber is new.
fn upsert(holders: &mut Holders, subscriber: Subscriber) -> bool {
    let known = holders.iter_mut().find(|known| known.holder == subscriber.holder);
    match known {
        Some(known) => {
            *known = subscriber;
            false
        }
        None => {
            holders.push(subscriber);
            true
        }
    }
}

fn swap_out(holders: &mut Holders, holder: Holder) -> bool {
    let index = holders.iter().position(|known| known.holder == holder);
    if let Some(index) = index {
        holders.swap_remove(index);
    }
    index.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
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
        assert!(subscriptions.exact.is_empty());
        assert_eq!(subscriptions.free.len() + 1, subscriptions.nodes.len());
        assert!(subscriptions.nodes.iter().all(Node::is_unused));
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
