//! Joins: the last value of a topic, next to the messages of another one.

use crate::expression::{JoinField, Program};
use crate::payload::Decode;
use crate::topic::{Capture, Filter};

/// `[rule.NAME.join.NAME]`, compiled.
#[derive(Clone, Debug)]
pub(crate) struct Join {
    pub(crate) filter: Filter,
    pub(crate) decode: Decode,
    /// What a row is found by: a part of the joined topic, and the same in a message of the rule.
    pub(crate) keys: Vec<JoinKey>,
    /// Age from which on a value is null, in milliseconds.
    pub(crate) max_age: Option<i64>,
    /// The fields that the rule uses; a row holds them in this order.
    pub(crate) fields: Vec<JoinField>,
}

#[derive(Clone, Debug)]
pub(crate) struct JoinKey {
    pub(crate) capture: Capture,
    pub(crate) program: Program,
}
