//! Which boxes want a topic: their filters in one tree, walked once for each message.

use std::collections::BTreeMap;

/// The boxes by what they want. They are named by their places in a list.
#[derive(Debug, Default)]
pub(super) struct Recipients {
    root: Node,
    boxes: usize,
}

#[derive(Debug, Default)]
struct Node {
    levels: BTreeMap<Box<str>, Node>,
    /// Whose filter ends here.
    here: Vec<usize>,
    /// Whose filter goes on with `#`.
    below: Vec<usize>,
}

impl Recipients {
    /// Of boxes with their filters.
    pub(super) fn new<'a>(boxes: impl Iterator<Item = &'a [String]>) -> Self {
        let mut recipients = Self::default();
        for (place, filters) in boxes.enumerate() {
            recipients.boxes = place + 1;
            filters.iter().for_each(|filter| recipients.insert(filter, place));
        }
        recipients
    }

    /// The places of the boxes that want a topic, ascending.
    pub(super) fn of(&self, topic: &str) -> Vec<usize> {
        if self.boxes == 0 {
            return Vec::new();
        }
        let mut found = Vec::new();
        let is_of_broker = topic.starts_with('$');
        // The levels of a topic are bounded by the broker that took it, but the stack is not.
        let mut open = vec![(&self.root, Some(topic), true)];
        while let Some((node, rest, is_first)) = open.pop() {
            let may_be_wild = !(is_first && is_of_broker);
            if may_be_wild {
                found.extend_from_slice(&node.below);
            }
            let Some(rest) = rest else {
                found.extend_from_slice(&node.here);
                continue;
            };
            let (level, rest) = match rest.split_once('/') {
                Some((level, rest)) => (level, Some(rest)),
                None => (rest, None),
            };
            open.extend(node.levels.get(level).map(|next| (next, rest, false)));
            if may_be_wild {
                open.extend(node.levels.get("+").map(|next| (next, rest, false)));
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    fn insert(&mut self, filter: &str, place: usize) {
        let mut node = &mut self.root;
        for level in filter.split('/') {
            if level == "#" {
                node.below.push(place);
                return;
            }
            node = node.levels.entry(level.into()).or_default();
        }
        node.here.push(place);
    }
}

/// A filter has as many levels as it has bytes, and the stack is shorter.
impl Drop for Recipients {
    fn drop(&mut self) {
        let mut open = vec![std::mem::take(&mut self.root)];
        while let Some(mut node) = open.pop() {
            open.extend(std::mem::take(&mut node.levels).into_values());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_mqtt::TopicFilter;

    #[test]
    fn the_tree_finds_what_each_filter_alone_matches() {
        let filters = [
            "#", "+", "+/+", "/", "/+", "a", "a/#", "a/+", "a/+/c", "a/b", "a/b/#", "a//c", "$x/#",
            "+/b/#", "+/#", "$x/+",
        ];
        let boxes: Vec<Vec<String>> = filters.iter().map(|one| vec![(*one).to_owned()]).collect();
        let recipients = Recipients::new(boxes.iter().map(Vec::as_slice));
        for topic in ["a", "a/b", "a/b/c", "a/x/c", "a//c", "/", "/a", "b", "$x", "$x/x", "a/", ""]
        {
            let parsed = |filter| TopicFilter::parse(filter).expect("a valid filter");
            let expected: Vec<usize> =
                (0..filters.len()).filter(|place| parsed(filters[*place]).matches(topic)).collect();
            assert_eq!(recipients.of(topic), expected, "{topic}");
        }
    }

    #[test]
    fn a_box_with_several_filters_that_match_is_found_once() {
        let boxes = [vec!["a/#".to_owned(), "a/+".to_owned(), "#".to_owned()], Vec::new()];
        let recipients = Recipients::new(boxes.iter().map(Vec::as_slice));
        assert_eq!(recipients.of("a/b"), [0]);
        assert!(Recipients::default().of("a").is_empty());
        let deep = Recipients::new([[format!("{}#", "+/".repeat(30_000))]].iter().map(|f| &f[..]));
        assert_eq!(deep.of(&"/".repeat(30_001)), [0]);
    }
}
