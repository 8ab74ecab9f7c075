//! Payloads to values: each message is read once, for all rules that look at it.

mod field;
mod json;
mod scalar;

pub(crate) use field::{FieldTree, Step};
pub(crate) use json::read_json;
pub(crate) use scalar::{read_bool, read_number};

/// How a payload is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decode {
    Bool,
    Json,
    Number,
    Text,
}
