//! Finds the rules of a topic: a tree of levels, walked once per message.

use super::Level;
use crate::limits::TOPIC_LEVELS_MAX;

/// A filter of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Route {
    pub(crate) rule: u32,
    /// Which of its filters, or of its joins.
    pub(crate) filter: u16,
}

impl Route {
    /// Brings values to a join of a rule.
    pub(crate) fn to_join(rule: u32, join: usize) -> Self {
        Self { rule, filter: JOINED | join as u16 }
    }

    /// The join that it brings values to, if it does.
    pub(crate) fn joined(self) -> Option<usize> {
        (self.filter & JOINED != 0).then_some(usize::from(self.filter & !JOINED))
    }
}

/// Marks the filters of joins.
const JOINED: u16 = 0x8000;

/// All filters of all rules.
#[derive(Clone, Debug, Default)]
pub(crate) struct Router {
    root: Node,
}

#[derive(Clone, Debug, Default)]
struct Node {
    /// Sorted by name.
    literals: Vec<(Box<str>, Node)>,
    any: Option<Box<Node>>,
    /// Filters that end here.
    ends: Vec<Route>,
    /// Filters that go on with `#`.
    rests: Vec<Route>,
}

impl Router {
    /// Adds a filter.
    pub(crate) fn insert(&mut self, levels: &[Level], route: Route) {
        let mut node = &mut self.root;
        for level in levels {
            node = match level {
                Level::Any => node.any.get_or_insert_default(),
                Level::Literal(text) => {
                    let at = node.literals.binary_search_by(|(known, _)| (**known).cmp(text));
                    let at = at.unwrap_or_else(|at| {
                        node.literals.insert(at, (text.clone(), Node::default()));
                        at
                    });
                    &mut node.literals[at].1
                }
                Level::Rest => {
                    node.rests.push(route);
                    return;
                }
            };
        }
        node.ends.push(route);
    }

    /// Finds the rules of a topic: their joins, then each rule once, by its first filter that
    /// matches, in order.
    ///
    /// `levels` receives where each level of the topic starts.
    pub(crate) fn find(&self, topic: &str, levels: &mut Vec<u32>, found: &mut Vec<Route>) {
        levels.clear();
        found.clear();
        levels.push(0);
        let slashes = topic.bytes().enumerate().filter(|(_, byte)| *byte == b'/');
        levels.extend(slashes.map(|(at, _)| at as u32 + 1).take(TOPIC_LEVELS_MAX));
        if levels.len() > TOPIC_LEVELS_MAX {
            return;
        }
        self.root.walk(topic, levels, topic.starts_with('$'), found);
        found.sort_unstable_by_key(|route| (route.rule, route.joined().is_none(), route.filter));
        found.dedup_by_key(|route| (route.rule, route.joined()));
    }
}

impl Node {
    fn walk(&self, topic: &str, levels: &[u32], plain_only: bool, found: &mut Vec<Route>) {
        if !plain_only {
            found.extend_from_slice(&self.rests);
        }
        let Some((start, rest)) = levels.split_first() else {
            found.extend_from_slice(&self.ends);
            return;
        };
        let end = rest.first().map_or(topic.len(), |next| *next as usize - 1);
        let level = topic.get(*start as usize..end).unwrap_or_default();
        if let Some(node) = self.literal(level) {
            node.walk(topic, rest, false, found);
        }
        if let (Some(node), false) = (&self.any, plain_only) {
            node.walk(topic, rest, false, found);
        }
    }

    fn literal(&self, level: &str) -> Option<&Node> {
        if self.literals.len() <= LINEAR_MAX {
            return self.literals.iter().find(|(known, _)| **known == *level).map(|(_, node)| node);
        }
        let at = self.literals.binary_search_by(|(known, _)| (**known).cmp(level)).ok()?;
        self.literals.get(at).map(|(_, node)| node)
    }
}

/// Up to here looking at each name is faster than a binary search.
const LINEAR_MAX: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::Filter;

    fn find(filters: &[&str], topic: &str) -> Vec<u32> {
        let mut router = Router::default();
        for (rule, filter) in filters.iter().enumerate() {
            let levels = Filter::parse(filter).unwrap().levels;
            router.insert(&levels, Route { rule: rule as u32, filter: 0 });
        }
        let (mut levels, mut found) = (Vec::new(), Vec::new());
        router.find(topic, &mut levels, &mut found);
        found.into_iter().map(|route| route.rule).collect()
    }

    #[test]
    fn filters_match_as_in_mqtt() {
        let filters = ["a/+/c", "a/#", "#", "+", "a/b/c", "$SYS/#", "a/b/c/#", "/+"];
        assert_eq!(find(&filters, "a/b/c"), [0, 1, 2, 4, 6]);
        assert_eq!(find(&filters, "a"), [1, 2, 3]);
        assert_eq!(find(&filters, "$SYS/x"), [5]);
        assert_eq!(find(&filters, "/x"), [2, 7]);
    }

    #[test]
    fn topic_with_too_many_levels_matches_nothing() {
        assert!(find(&["#"], &"/".repeat(TOPIC_LEVELS_MAX + 10)).is_empty());
    }
}
