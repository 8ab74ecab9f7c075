//! Bytecode.

use std::ops::Range;

use jiff::tz::TimeZone;

use super::function::{CalendarPart, Function};
use super::syntax::{Binary, Unary};
use crate::value::Value;

/// A compiled expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Program {
    /// Jumps go forward only: a run ends after at most `ops.len()` steps.
    pub(crate) ops: Vec<Op>,
    /// Where each operation stands in `source`, for messages.
    pub(crate) spans: Vec<Range<usize>>,
    pub(crate) source: Box<str>,
    /// What it gives, as far as that is known before any message.
    pub(crate) result: Type,
    /// What its calendar functions name.
    pub(crate) zones: Vec<TimeZone>,
}

impl Program {
    /// Whether it always gives the same as another program of the same rule.
    pub(crate) fn same_as(&self, other: &Program) -> bool {
        self.ops == other.ops && self.zones == other.zones
    }

    /// The part of `source` that it was made from.
    pub(crate) fn whole(&self) -> Range<usize> {
        let start = self.spans.iter().map(|span| span.start).min().unwrap_or_default();
        let end = self.spans.iter().map(|span| span.end).max().unwrap_or_default();
        start..end
    }
}

/// One operation on the stack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Op {
    /// Leaves `false` and jumps, or goes on to the right side.
    And(u16),
    Binary(Binary),
    /// Takes the condition: true goes on, false jumps to the first, null to the second with null.
    Branch(u16, u16),
    /// A part of a time, in a zone of the program.
    Calendar(CalendarPart, u8),
    Call(Function, u8),
    /// Leaves a value that is not null and jumps, or drops the null.
    Coalesce(u16),
    Constant(Value),
    Field(u16),
    Jump(u16),
    Local(u16),
    /// Joins both sides of `&&` or `||` once the right one is known.
    Merge(Binary),
    /// Leaves `true` and jumps, or goes on to the right side.
    Or(u16),
    Special(Special),
    Unary(Unary),
}

/// Names that every message has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Special {
    Client,
    Now,
    Qos,
    Retain,
    Topic,
}

/// The kind of value an expression gives, as far as it is known when the rules are loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Any,
    Bool,
    /// An array that can only be sent.
    List,
    Null,
    Number,
    Text,
}

impl Type {
    /// Whether a value of this type can be used where `wanted` is needed.
    pub(crate) fn fits(self, wanted: Type) -> bool {
        self == wanted || self == Type::Any || self == Type::Null || wanted == Type::Any
    }

    /// The type of a value that is one or the other.
    pub(crate) fn join(self, other: Type) -> Type {
        match (self, other) {
            (Type::Null, known) | (known, Type::Null) => known,
            (left, right) if left == right => left,
            _ => Type::Any,
        }
    }

    /// For messages.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Type::Any => "any value",
            Type::Bool => "true or false",
            Type::List => "a list",
            Type::Null => "null",
            Type::Number => "a number",
            Type::Text => "a text",
        }
    }
}
