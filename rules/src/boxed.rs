//! Values that are kept: 64 bits each, texts next to them.
//!
//! Numbers are finite, so the patterns of "not a number" are free for everything else.

use crate::hash::{hash_bytes, mix};
use crate::value::{Texts, Value};

/// A value that is kept: its bits, and its text if it is one.
pub(crate) type Kept = (u64, Option<Box<str>>);

pub(crate) const NULL: u64 = 0x7ff8_0000_0000_0001;
const FALSE: u64 = 0x7ff8_0000_0000_0002;
const TRUE: u64 = 0x7ff8_0000_0000_0003;
/// The text itself is kept by the owner of the bits.
pub(crate) const TEXT: u64 = 0x7ff8_0000_0000_0004;

/// Whether a text belongs to these bits.
pub(crate) fn is_text(bits: u64) -> bool {
    bits == TEXT
}

/// The bits of a value.
pub(crate) fn bits(value: Value) -> u64 {
    match value {
        Value::Bool(false) => FALSE,
        Value::Bool(true) => TRUE,
        Value::Composite | Value::Json(_) | Value::Null => NULL,
        Value::Number(number) => number.to_bits(),
        Value::Text(_) => TEXT,
    }
}

/// What must be kept next to the bits.
pub(crate) fn text(value: Value, texts: &Texts<'_>) -> Option<Box<str>> {
    match value {
        Value::Text(text) => Some(texts.resolve(text).into()),
        _ => None,
    }
}

/// The value of bits that are not those of a text.
pub(crate) fn plain(bits: u64) -> Value {
    match bits {
        FALSE => Value::Bool(false),
        TRUE => Value::Bool(true),
        bits => Value::finite(f64::from_bits(bits)),
    }
}

/// The value again; a text is copied to the arena.
pub(crate) fn value(bits: u64, text: &str, texts: &mut Texts<'_>) -> Value {
    if bits == TEXT { texts.store(text) } else { plain(bits) }
}

/// The number that the bits stand for, if they do.
pub(crate) fn number(bits: u64) -> Option<f64> {
    Some(f64::from_bits(bits)).filter(|number| number.is_finite())
}

/// A hash of a value, the same on every machine.
pub(crate) fn hash(value: Value, texts: &Texts<'_>) -> u64 {
    match value {
        Value::Text(text) => hash_bytes(texts.resolve(text).as_bytes()),
        // Both zeros are one value.
        Value::Number(number) => mix((number + 0.0).to_bits().wrapping_add(GOLDEN)),
        other => mix(bits(other).wrapping_add(GOLDEN)),
    }
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
