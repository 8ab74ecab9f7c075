//! Arguments that must be known when rules are loaded: durations, units, sizes, zones, patterns.

use std::ops::Range;

use super::Problem;
use super::syntax::{Expression, Node};
use crate::code;
use crate::limits::COLLECT_MAX;
use crate::quantity::read_duration;

/// A text that stands there as such.
pub(super) fn text<'t>(tree: &'t Expression, what: &str) -> Result<&'t str, Problem> {
    match &tree.node {
        Node::Text(text) => Ok(text),
        _ => {
            let message = format!("{what} must be known when the rule is loaded");
            Err(problem(message, &tree.span, "write it as a text, in quotes"))
        }
    }
}

/// A duration that is not zero, in milliseconds.
pub(super) fn duration(tree: &Expression) -> Result<i64, Problem> {
    let written = text(tree, "a duration")?;
    match read_duration(written) {
        Ok(0) => Err(problem("a duration of nothing".to_owned(), &tree.span, "at least 1ms")),
        Ok(ms) => Ok(ms),
        Err(reason) => {
            let message = format!("`{written}` is not a duration");
            Err(Problem::new(code::QUANTITY, message, tree.span.clone(), reason))
        }
    }
}

/// A unit of time, in milliseconds.
pub(super) fn unit(tree: &Expression) -> Result<u32, Problem> {
    let written = text(tree, "a unit of time")?;
    let found = UNITS.iter().find(|(name, _)| *name == written);
    found.map(|(_, ms)| *ms).ok_or_else(|| {
        problem(format!("`{written}` is not a unit of time"), &tree.span, "one of ms, s, m, h, d")
    })
}

/// A number of values.
pub(super) fn size(tree: &Expression) -> Result<u16, Problem> {
    let allowed = 1.0..=COLLECT_MAX as f64;
    match tree.node {
        Node::Number(size) if size.fract() == 0.0 && allowed.contains(&size) => Ok(size as u16),
        _ => {
            let message = "how many values must be known when the rule is loaded".to_owned();
            Err(problem(message, &tree.span, format!("a whole number from 1 to {COLLECT_MAX}")))
        }
    }
}

fn problem(message: String, span: &Range<usize>, label: impl Into<String>) -> Problem {
    Problem::new(code::FUNCTION, message, span.clone(), label)
}

const UNITS: [(&str, u32); 5] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
