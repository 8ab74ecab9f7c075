//! Arguments that must be known when rules are loaded: durations, units, sizes, zones, patterns.

use std::ops::Range;

use jiff::tz::TimeZone;
use weir_config::nearest;

use super::Problem;
use super::check::Checker;
use super::function::{CalendarPart, Function, check_format};
use super::program::{Op, Type};
use super::syntax::{Expression, Node};
use crate::code;
use crate::limits::{COLLECT_MAX, PATTERN_BYTES_MAX};
use crate::quantity::read_duration;
use crate::value::Value;
use crate::zone::{zone as find_zone, zone_names};

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

/// A time zone by its IANA name.
pub(super) fn zone(tree: &Expression) -> Result<TimeZone, Problem> {
    let written = text(tree, "a time zone")?;
    find_zone(written).ok_or_else(|| {
        let message = format!("unknown time zone `{written}`");
        let unknown = problem(message, &tree.span, "not a name of the IANA database");
        let names = zone_names();
        match nearest(written, names.iter().map(String::as_str)) {
            Some(near) => unknown.help(format!("did you mean `{near}`?")),
            None => unknown,
        }
    })
}

impl Checker<'_, '_> {
    /// `duration('10m')`: milliseconds.
    pub(super) fn duration(&mut self, arguments: &[Expression], span: &Range<usize>) -> Type {
        let [written] = arguments else {
            return self.wrong_count("duration", "duration('10m')", span);
        };
        match duration(written) {
            Ok(ms) => self.constant(Value::Number(ms as f64), Type::Number, span),
            Err(problem) => {
                self.problems.push(problem);
                Type::Number
            }
        }
    }

    /// A part of a time, in UTC or in a zone.
    pub(super) fn calendar(
        &mut self,
        part: CalendarPart,
        arguments: &[Expression],
        span: &Range<usize>,
    ) -> Type {
        let result = if part.is_text() { Type::Text } else { Type::Number };
        let (time, zone) = match arguments {
            [time] => (time, Ok(TimeZone::UTC)),
            [time, named] => (time, zone(named)),
            _ => {
                let name = part.name();
                let usage = format!("{name}(time) or {name}(time, 'Europe/Berlin')");
                return self.wrong_count(name, &usage, span);
            }
        };
        let found = self.expression(time);
        if matches!(found, Type::Bool | Type::List) {
            let message = format!("`{}()` needs a time", part.name());
            let label = format!("this is {}", found.describe());
            self.problems.push(
                Problem::new(code::TYPE, message, time.span.clone(), label)
                    .help("a time is milliseconds since 1970, such as `now`, or an RFC 3339 text"),
            );
        }
        match zone {
            Ok(zone) => {
                let known = self.zones.iter().position(|known| *known == zone);
                let number = known.unwrap_or_else(|| {
                    self.zones.push(zone);
                    self.zones.len() - 1
                });
                self.push_calendar(part, number, span);
            }
            Err(problem) => self.problems.push(problem),
        }
        result
    }

    fn push_calendar(&mut self, part: CalendarPart, zone: usize, span: &Range<usize>) {
        match u8::try_from(zone) {
            Ok(zone) => {
                self.push(Op::Calendar(part, zone), span);
            }
            Err(_) => {
                let label = "at most 256 in an expression";
                self.problem(code::LIMIT, "too many time zones", span.clone(), label);
            }
        }
    }

    /// Patterns are known when rules are loaded, so that mistakes in them are found then.
    pub(super) fn check_pattern(&mut self, function: Function, arguments: &[Expression]) {
        let checked = match (function, arguments) {
            (Function::Format, [pattern, values @ ..]) => {
                text(pattern, "the pattern").and_then(|it| {
                    check_format(it, values.len()).map_err(|reason| {
                        problem("this pattern cannot be filled".to_owned(), &pattern.span, reason)
                    })
                })
            }
            (Function::Matches, [_, pattern]) => text(pattern, "the pattern").and_then(|it| {
                if it.len() <= PATTERN_BYTES_MAX {
                    return Ok(());
                }
                let label = format!("at most {PATTERN_BYTES_MAX} bytes");
                Err(problem("this pattern is too long".to_owned(), &pattern.span, label))
            }),
            _ => Ok(()),
        };
        self.problems.extend(checked.err());
    }
}

fn problem(message: String, span: &Range<usize>, label: impl Into<String>) -> Problem {
    Problem::new(code::FUNCTION, message, span.clone(), label)
}

const UNITS: [(&str, u32); 5] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
