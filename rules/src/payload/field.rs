//! The union of the payload fields that all rules name, as a tree with a slot per field.

use crate::limits::{FIELDS_MAX, PATH_STEPS_MAX};

/// Which fields are wanted, and where their values go.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FieldTree {
    /// The first one is the payload itself.
    nodes: Vec<FieldNode>,
    slots: u16,
    /// Whether the client identifier of the publisher is named as well.
    names_client: bool,
}

/// One step into an object or array.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Field(String),
    Item(u32),
}

#[derive(Clone, Debug, Default, PartialEq)]
struct FieldNode {
    slot: Option<u16>,
    /// Sorted by name.
    fields: Vec<(Box<str>, u32)>,
    /// Sorted by position.
    items: Vec<(u32, u32)>,
}

impl Default for FieldTree {
    fn default() -> Self {
        Self { nodes: vec![FieldNode::default()], slots: 0, names_client: false }
    }
}

impl FieldTree {
    /// The node of the payload itself.
    pub(crate) const ROOT: u32 = 0;

    /// The slot of a path, which is added if it is new; an error says why it cannot be.
    pub(crate) fn slot(&mut self, path: &[Step]) -> Result<u16, String> {
        if path.len() > PATH_STEPS_MAX {
            return Err(format!("a path has at most {PATH_STEPS_MAX} steps"));
        }
        let mut at = Self::ROOT as usize;
        for step in path {
            at = self.child_or_new(at, step)?;
        }
        if let Some(slot) = self.nodes[at].slot {
            return Ok(slot);
        }
        if usize::from(self.slots) >= FIELDS_MAX {
            return Err(format!("all rules together name at most {FIELDS_MAX} fields"));
        }
        let slot = self.slots;
        self.slots += 1;
        self.nodes[at].slot = Some(slot);
        Ok(slot)
    }

    /// An expression names the publisher.
    pub(crate) fn name_client(&mut self) {
        self.names_client = true;
    }

    pub(crate) fn names_client(&self) -> bool {
        self.names_client
    }

    /// Number of slots.
    pub(crate) fn len(&self) -> usize {
        usize::from(self.slots)
    }

    /// Where the value of a node goes, if it is wanted.
    pub(crate) fn slot_of(&self, node: u32) -> Option<u16> {
        self.nodes.get(node as usize)?.slot
    }

    /// Whether the node has no wanted parts.
    pub(crate) fn is_leaf(&self, node: u32) -> bool {
        self.nodes
            .get(node as usize)
            .is_none_or(|node| node.fields.is_empty() && node.items.is_empty())
    }

    /// The wanted field `name` of a node.
    pub(crate) fn field(&self, node: u32, name: &str) -> Option<u32> {
        let fields = &self.nodes.get(node as usize)?.fields;
        if fields.len() <= LINEAR_MAX {
            let found = fields.iter().find(|(known, _)| **known == *name)?;
            return Some(found.1);
        }
        let at = fields.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        fields.get(at).map(|(_, child)| *child)
    }

    /// The wanted item of an array.
    pub(crate) fn item(&self, node: u32, position: u32) -> Option<u32> {
        let items = &self.nodes.get(node as usize)?.items;
        let at = items.binary_search_by_key(&position, |(known, _)| *known).ok()?;
        items.get(at).map(|(_, child)| *child)
    }

    fn child_or_new(&mut self, node: usize, step: &Step) -> Result<usize, String> {
        let next = self.nodes.len();
        let parent = &mut self.nodes[node];
        let found = match step {
            Step::Field(name) => {
                match parent.fields.binary_search_by(|(known, _)| (**known).cmp(name)) {
                    Ok(at) => Some(parent.fields[at].1),
                    Err(at) => {
                        parent.fields.insert(at, (name.as_str().into(), next as u32));
                        None
                    }
                }
            }
            Step::Item(position) => {
                match parent.items.binary_search_by_key(position, |(known, _)| *known) {
                    Ok(at) => Some(parent.items[at].1),
                    Err(at) => {
                        parent.items.insert(at, (*position, next as u32));
                        None
                    }
                }
            }
        };
        if let Some(child) = found {
            return Ok(child as usize);
        }
        self.nodes.push(FieldNode::default());
        Ok(next)
    }
}

/// Up to here looking at each name is faster than a binary search.
const LINEAR_MAX: usize = 6;
