//! The filters with wildcards, level by level.
//!
//! The nodes stand in one array and all edges in one table, found by the node above and the name
//! of the level, so that a node has no table of its own: most nodes have one node below. A match
//! hashes each level of its topic once, however many nodes it visits.

use core::hash::BuildHasher as _;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::holders::Holders;
use super::{Holder, Subscriber};

/// The tree.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    free: Vec<u32>,
    /// All nodes that are found by a name.
    edges: HashTable<u32>,
    hasher: FixedState,
    /// The nodes that a match has still to visit, with the number of levels above each.
    stack: Vec<(u32, u32)>,
    /// The levels of the topic that were looked at.
    levels: Vec<Level>,
}

/// One cache line.
#[derive(Debug, Default)]
struct Node {
    parent: u32,
    /// Nodes below that are found by a name.
    children: u32,
    /// The node below for a level with any name; [`ROOT`] = none.
    plus: u32,
    /// Of the level; nothing when it stands for any.
    name: Box<str>,
    /// Holders of the filter that ends at this node.
    here: Holders,
    /// Holders of the filter that goes on with `#`.
    below: Holders,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    hash: u64,
    start: usize,
    end: usize,
}

const ROOT: u32 = 0;

impl Tree {
    pub(super) fn new(hasher: FixedState) -> Self {
        Self {
            nodes: vec![Node::default()],
            free: Vec::new(),
            edges: HashTable::new(),
            hasher,
            stack: Vec::new(),
            levels: Vec::new(),
        }
    }

    /// Adds a subscription, or changes the one of the same holder; true when it is new.
    pub(super) fn insert(&mut self, filter: &str, subscriber: Subscriber) -> bool {
        let mut at = ROOT;
        for level in filter.split('/') {
            if level == "#" {
                return self.nodes[at as usize].below.upsert(subscriber);
            }
            at = self.child(at, level).unwrap_or_else(|| self.add_child(at, level));
        }
        self.nodes[at as usize].here.upsert(subscriber)
    }

    /// Removes a subscription and the nodes that nothing needs any more; true when there was one.
    pub(super) fn remove(&mut self, filter: &str, holder: Holder) -> bool {
        let (mut at, mut below) = (ROOT, false);
        for level in filter.split('/') {
            if level == "#" {
                below = true;
                break;
            }
            let Some(child) = self.child(at, level) else { return false };
            at = child;
        }
        let node = &mut self.nodes[at as usize];
        let removed = if below { &mut node.below } else { &mut node.here }.remove(holder);
        while at != ROOT && self.nodes[at as usize].is_unused() {
            at = self.remove_node(at);
        }
        removed
    }

    /// Those that have a filter.
    pub(super) fn holders(&self, filter: &str) -> Option<&Holders> {
        let mut at = ROOT;
        for level in filter.split('/') {
            if level == "#" {
                return Some(&self.nodes[at as usize].below);
            }
            at = self.child(at, level)?;
        }
        Some(&self.nodes[at as usize].here)
    }

    /// Calls `found` for each subscription that matches.
    pub(super) fn matching(&mut self, topic: &str, mut found: impl FnMut(&Subscriber)) {
        // Wildcards at the first level do not match topics that begin with `$`
        // [MQTT-4.7.2-1].
        let wild_root = !topic.starts_with('$');
        let mut next_start = Some(0);
        self.levels.clear();
        self.stack.clear();
        self.stack.push((ROOT, 0));
        while let Some((index, depth)) = self.stack.pop() {
            let node = &self.nodes[index as usize];
            let is_wild = index != ROOT || wild_root;
            if is_wild {
                node.below.iter().for_each(&mut found);
            }
            let level = match self.levels.get(depth as usize) {
                Some(level) => *level,
                None => {
                    // The levels above a node were looked at before it.
                    let Some(start) = next_start else {
                        node.here.iter().for_each(&mut found);
                        continue;
                    };
                    let rest = topic.get(start..).unwrap_or_default();
                    let end = start + rest.find('/').unwrap_or(rest.len());
                    next_start = (end < topic.len()).then_some(end + 1);
                    let hash = self.hasher.hash_one(topic.get(start..end).unwrap_or_default());
                    let level = Level { hash, start, end };
                    self.levels.push(level);
                    level
                }
            };
            if node.children > 0 {
                let name = topic.get(level.start..level.end).unwrap_or_default();
                if let Some(child) = self.find(index, name, level.hash) {
                    self.stack.push((child, depth + 1));
                }
            }
            if node.plus != ROOT && is_wild {
                self.stack.push((node.plus, depth + 1));
            }
        }
    }

    fn child(&self, parent: u32, level: &str) -> Option<u32> {
        if level == "+" {
            return Some(self.nodes[parent as usize].plus).filter(|plus| *plus != ROOT);
        }
        self.find(parent, level, self.hasher.hash_one(level))
    }

    fn find(&self, parent: u32, name: &str, name_hash: u64) -> Option<u32> {
        let is_it = |child: &u32| {
            let child = &self.nodes[*child as usize];
            child.parent == parent && *child.name == *name
        };
        self.edges.find(edge_hash(&self.hasher, parent, name_hash), is_it).copied()
    }

    fn add_child(&mut self, parent: u32, level: &str) -> u32 {
        let name = if level == "+" { "" } else { level };
        let node = Node { parent, name: name.into(), ..Node::default() };
        let child = match self.free.pop() {
            Some(child) => {
                self.nodes[child as usize] = node;
                child
            }
            None => {
                self.nodes.push(node);
                u32::try_from(self.nodes.len() - 1).expect("memory ends before the nodes do")
            }
        };
        if level == "+" {
            self.nodes[parent as usize].plus = child;
            return child;
        }
        self.nodes[parent as usize].children += 1;
        let (nodes, hasher) = (&self.nodes, &self.hasher);
        let hash = |child: &u32| {
            let child = &nodes[*child as usize];
            edge_hash(hasher, child.parent, hasher.hash_one(&*child.name))
        };
        self.edges.insert_unique(hash(&child), child, hash);
        child
    }

    /// Removes a node that nothing is below of; answers the one above.
    fn remove_node(&mut self, index: u32) -> u32 {
        let node = std::mem::take(&mut self.nodes[index as usize]);
        self.free.push(index);
        let parent = &mut self.nodes[node.parent as usize];
        if parent.plus == index {
            parent.plus = ROOT;
            return node.parent;
        }
        parent.children -= 1;
        let hash = edge_hash(&self.hasher, node.parent, self.hasher.hash_one(&*node.name));
        let edge = self.edges.find_entry(hash, |child| *child == index);
        edge.expect("a node with a name has an edge").remove();
        node.parent
    }
}

impl Node {
    fn is_unused(&self) -> bool {
        self.children == 0 && self.plus == ROOT && self.here.is_empty() && self.below.is_empty()
    }
}

fn edge_hash(hasher: &FixedState, parent: u32, name_hash: u64) -> u64 {
    hasher.hash_one((parent, name_hash))
}

#[cfg(test)]
impl Tree {
    /// Nothing but the root is left.
    pub(super) fn is_bare(&self) -> bool {
        self.edges.is_empty()
            && self.free.len() + 1 == self.nodes.len()
            && self.nodes.iter().all(Node::is_unused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_takes_a_cache_line() {
        assert!(size_of::<Node>() <= 64);
    }
}
