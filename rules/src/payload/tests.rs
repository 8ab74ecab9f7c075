//! What the tests of all decoders share.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::value::Texts;

/// A tree of the paths, whose steps are separated by points.
pub(super) fn tree(paths: &[&str]) -> FieldTree {
    let mut tree = FieldTree::default();
    for path in paths {
        let steps: Vec<Step> = path
            .split('.')
            .map(|step| match step.parse() {
                Ok(item) => Step::Item(item),
                Err(_) => Step::Field(step.trim_start_matches('\'').to_owned()),
            })
            .collect();
        tree.slot(&steps).unwrap();
    }
    tree
}

/// A value as the tests write it.
pub(super) fn show(value: Value, texts: &Texts<'_>) -> String {
    match value {
        Value::Text(text) => texts.resolve(text).to_owned(),
        other => format!("{other:?}"),
    }
}

/// The values that a decoder finds, in the order of the paths.
pub(super) fn read_with<E>(
    payload: &str,
    paths: &[&str],
    read: impl FnOnce(&mut Slots<'_>) -> Result<(), E>,
) -> Result<Vec<String>, E> {
    let tree = tree(paths);
    let mut values = vec![Value::Null; tree.len()];
    let mut arena = String::new();
    read(&mut Slots::clear(&tree, &mut values, &mut arena))?;
    let texts = Texts { arena, payload, ..Texts::default() };
    Ok(values.into_iter().map(|value| show(value, &texts)).collect())
}

#[test]
fn identities_of_old_decoders_stay_as_they_were_stored() {
    let identity = |decode: &Decode| decode.identity();
    for decode in [Decode::Bool, Decode::Json, Decode::Number, Decode::Text] {
        assert_eq!(identity(&decode), format!("{decode:?}"));
    }
}

/// Bytes from their digits.
pub(super) fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// Objects, arrays and values, with names that the tests look for.
pub(super) fn documents() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<u64>().prop_map(serde_json::Value::from),
        any::<i8>().prop_map(serde_json::Value::from),
        any::<f64>().prop_filter("JSON has no other", |n| n.is_finite()).prop_map(Into::into),
        "\\PC{0,40}".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(5, 60, 20, |inner| {
        let names = prop_oneof![Just("a"), Just("b"), Just("c"), Just("long name"), Just("value")];
        let names = names.prop_map(str::to_owned);
        let list = proptest::collection::vec(inner.clone(), 0..20);
        let object = proptest::collection::btree_map(names, inner, 0..5);
        prop_oneof![
            list.prop_map(serde_json::Value::from),
            object.prop_map(|object| object.into_iter().collect::<serde_json::Value>()),
        ]
    })
}

/// Paths that the names of `documents` can make.
pub(super) const PATHS: [&str; 11] =
    ["a", "b", "value", "a.b", "a.c", "b.0", "b.1.a", "0", "2.b", "17", "a.long name"];

/// A binary document, read back as what it was as JSON.
pub(super) fn reads_like_json(
    document: &serde_json::Value,
    binary: &[u8],
    decode: &Decode,
) -> Result<(), TestCaseError> {
    let text = document.to_string();
    let read = |decode: &Decode, payload: &[u8], as_text: &str| {
        read_with(as_text, &PATHS, |slots| decode.read(payload, Ok(as_text), slots))
    };
    let expected = read(&Decode::Json, text.as_bytes(), &text);
    prop_assert_eq!(read(decode, binary, ""), expected);
    Ok(())
}

/// Damaged documents are read in part or refused, never a reason to stop.
pub(super) fn damage_is_harmless(mut binary: Vec<u8>, at: Index, bit: u8, decode: &Decode) {
    let read =
        |payload: &[u8]| read_with("", &PATHS, |slots| decode.read(payload, Ok(""), slots)).is_ok();
    if binary.is_empty() {
        return;
    }
    for end in 0..binary.len() {
        assert!(!read(binary.get(..end).unwrap_or_default()), "a part is not the whole");
    }
    *at.get_mut(&mut binary) ^= 1 << bit;
    read(&binary);
}
