//! JSON read in one pass: only the wanted fields become values, the rest is skipped.
//!
//! No tree of the document is built. Texts point into the payload; only those with escapes are
//! copied, to the arena.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{FieldTree, Slots};
use crate::value::Value;

/// Reads `payload` into the slots. Slots of fields that do not occur are left alone.
///
/// A payload that is a bare number, text, true or false is the field `value`.
pub(super) fn read_json(payload: &str, slots: &mut Slots<'_>) -> Result<(), serde_json::Error> {
    let mut reader = Reader { payload, slots };
    let mut deserializer = serde_json::Deserializer::from_str(payload);
    NodeSeed { reader: &mut reader, node: FieldTree::ROOT }.deserialize(&mut deserializer)?;
    deserializer.end()
}

struct Reader<'s, 'a> {
    payload: &'s str,
    slots: &'s mut Slots<'a>,
}

impl Reader<'_, '_> {
    fn set(&mut self, node: u32, value: Value) {
        self.slots.set(Some(node), value);
    }
}

/// Reads the value of one node of the tree.
struct NodeSeed<'r, 's, 'a> {
    reader: &'r mut Reader<'s, 'a>,
    node: u32,
}

impl<'de> DeserializeSeed<'de> for NodeSeed<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NodeSeed<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.reader.set(self.node, Value::Bool(value));
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.reader.set(self.node, Value::Number(value as f64));
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.reader.set(self.node, Value::Number(value as f64));
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.reader.set(self.node, Value::finite(value));
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.reader.set(self.node, Value::Null);
        Ok(())
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<(), E> {
        // The deserializer borrows from the payload, so the difference of the addresses is the
        // position of the text in it.
        let start = (value.as_ptr() as usize).wrapping_sub(self.reader.payload.as_ptr() as usize);
        if self.reader.payload.get(start..start.saturating_add(value.len())) != Some(value) {
            return self.visit_str(value);
        }
        self.reader.slots.set_part(Some(self.node), start, value.len());
        Ok(())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.reader.slots.set_text(Some(self.node), value);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.reader.set(self.node, Value::Composite);
        let mut position = 0;
        loop {
            let child = self.reader.slots.item(Some(self.node), position);
            let more = match child {
                Some(node) => {
                    items.next_element_seed(NodeSeed { reader: self.reader, node })?.is_some()
                }
                None => items.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                return Ok(());
            }
            position = position.saturating_add(1);
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        self.reader.set(self.node, Value::Composite);
        let leaf = self.reader.slots.is_leaf(Some(self.node));
        loop {
            let seed = KeySeed { slots: self.reader.slots, node: self.node, leaf };
            match entries.next_key_seed(seed)? {
                None => return Ok(()),
                Some(Some(node)) => {
                    entries.next_value_seed(NodeSeed { reader: self.reader, node })?;
                }
                Some(None) => {
                    entries.next_value::<IgnoredAny>()?;
                }
            }
        }
    }
}

/// Reads the name of a field and finds its node.
struct KeySeed<'s, 'a> {
    slots: &'s Slots<'a>,
    node: u32,
    leaf: bool,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_, '_> {
    type Value = Option<u32>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<u32>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_, '_> {
    type Value = Option<u32>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Option<u32>, E> {
        Ok(if self.leaf { None } else { self.slots.field(Some(self.node), name) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::payload::tests::{read_with, tree};

    fn read(payload: &str, paths: &[&str]) -> Vec<String> {
        read_with(payload, paths, |slots| read_json(payload, slots)).unwrap()
    }

    fn try_read(payload: &str) {
        let tree = tree(&["a", "a.b", "c.0"]);
        let mut values = vec![Value::Null; tree.len()];
        let mut arena = String::new();
        let _ = read_json(payload, &mut Slots::clear(&tree, &mut values, &mut arena));
    }

    #[test]
    fn wanted_fields_are_found_at_any_depth() {
        let payload = r#"{"a":{"b":[10,{"c":"x"}]},"t":"du\u00e9","u":"plain","z":null,"n":-2}"#;
        let found = read(payload, &["a.b.0", "a.b.1.c", "t", "u", "z", "n", "a", "missing"]);
        assert_eq!(found[..4], ["Number(10.0)", "x", "dué", "plain"]);
        assert_eq!(found[4..], ["Null", "Number(-2.0)", "Composite", "Null"]);
    }

    #[test]
    fn bare_value_is_the_field_value() {
        assert_eq!(read("21.5", &["value"]), ["Number(21.5)"]);
        assert_eq!(read("\"on\"", &["value"]), ["on"]);
        assert_eq!(read(r#"{"value":1}"#, &["value"]), ["Number(1.0)"]);
    }

    #[test]
    fn many_wanted_fields_are_found_by_binary_search() {
        let names: Vec<String> = (0..50).map(|number| format!("f{number}")).collect();
        let paths: Vec<&str> = names.iter().map(String::as_str).collect();
        let body: Vec<String> = names.iter().map(|name| format!("\"{name}\":true")).collect();
        let found = read(&format!("{{{}}}", body.join(",")), &paths);
        assert!(found.iter().all(|value| value == "Bool(true)"));
    }

    proptest! {
        #[test]
        fn arbitrary_payloads_never_panic(payload in ".{0,200}") {
            try_read(&payload);
        }

        #[test]
        fn json_like_payloads_never_panic(payload in r#"[\[\]{}:,"abc0-9.\\ue ]{0,80}"#) {
            try_read(&payload);
        }
    }
}
