//! Topics: filters with captures, templates of topics that are written, and finding the rules
//! that a topic belongs to.

mod filter;
mod router;
mod template;

pub(crate) use filter::{Capture, Filter, Level, levels_text, overlap};
pub(crate) use router::{Route, Router};
pub(crate) use template::{Piece, Template};

use std::ops::Range;

/// What is wrong with a filter or template. The span counts bytes of its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicProblem {
    pub(crate) message: String,
    pub(crate) span: Range<usize>,
    pub(crate) label: String,
}

impl TopicProblem {
    fn new(message: impl Into<String>, span: Range<usize>, label: impl Into<String>) -> Self {
        Self { message: message.into(), span, label: label.into() }
    }
}

/// A name in braces: letters, digits, `_`, and after the first also `.` and `-`.
fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    let first = characters.next().is_some_and(|c| c == '_' || c.is_alphabetic());
    first && characters.all(|c| matches!(c, '_' | '-' | '.') || c.is_alphanumeric())
}

/// Longest topic MQTT can carry.
const TOPIC_BYTES_MAX: usize = 65_535;
