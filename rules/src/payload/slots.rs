//! Where decoders put what they read: the slots of the wanted fields.

use std::fmt::Write;

use super::FieldTree;
use crate::value::{Place, Text, Value};

/// The wanted fields of one message, while they are filled.
///
/// A node is `None` where nothing is wanted; whatever is put there is passed over, and texts are
/// not copied.
pub(crate) struct Slots<'a> {
    tree: &'a FieldTree,
    values: &'a mut [Value],
    arena: &'a mut String,
}

impl<'a> Slots<'a> {
    /// Slots without values: all fields are null.
    pub(crate) fn clear(
        tree: &'a FieldTree,
        values: &'a mut [Value],
        arena: &'a mut String,
    ) -> Self {
        values.fill(Value::Null);
        arena.clear();
        Self { tree, values, arena }
    }

    pub(crate) fn set(&mut self, node: Option<u32>, value: Value) {
        if let Some(place) = self.place(node, value == Value::Composite) {
            *place = value;
        }
    }

    pub(crate) fn set_number(&mut self, node: Option<u32>, number: f64) {
        self.set(node, Value::finite(number));
    }

    /// Copies a text.
    pub(crate) fn set_text(&mut self, node: Option<u32>, text: &str) {
        self.write(node, |arena| arena.push_str(text));
    }

    /// A part of the payload, by its position in it.
    pub(crate) fn set_part(&mut self, node: Option<u32>, start: usize, len: usize) {
        let text = Text { place: Place::Payload, start: start as u32, len: len as u32 };
        self.set(node, Value::Text(text));
    }

    /// Bytes as a text of two digits each.
    pub(crate) fn set_hex(&mut self, node: Option<u32>, bytes: &[u8]) {
        self.write(node, |arena| push_hex(bytes, arena));
    }

    /// A text that `write` appends, if it is wanted.
    pub(crate) fn write(&mut self, node: Option<u32>, write: impl FnOnce(&mut String)) {
        if self.place(node, false).is_none() {
            return;
        }
        let start = self.arena.len();
        write(self.arena);
        let len = (self.arena.len() - start) as u32;
        let text = Text { place: Place::Arena, start: start as u32, len };
        self.set(node, Value::Text(text));
    }

    /// The wanted part of an object.
    pub(crate) fn field(&self, node: Option<u32>, name: &str) -> Option<u32> {
        self.tree.field(node?, name)
    }

    /// The wanted part of an array.
    pub(crate) fn item(&self, node: Option<u32>, position: u32) -> Option<u32> {
        self.tree.item(node?, position)
    }

    /// Whether nothing inside of a node is wanted.
    pub(crate) fn is_leaf(&self, node: Option<u32>) -> bool {
        node.is_none_or(|node| self.tree.is_leaf(node))
    }

    /// A payload that is a bare value is the field `value`.
    fn place(&mut self, node: Option<u32>, composite: bool) -> Option<&mut Value> {
        let node = match node? {
            FieldTree::ROOT if !composite => self.tree.field(FieldTree::ROOT, "value")?,
            node => node,
        };
        self.values.get_mut(usize::from(self.tree.slot_of(node)?))
    }
}

/// Appends bytes as digits, two for each.
pub(super) fn push_hex(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        let written = write!(out, "{byte:02x}");
        debug_assert!(written.is_ok(), "writing to a text cannot fail");
    }
}
