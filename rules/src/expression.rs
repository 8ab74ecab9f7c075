//! The language of `where`, `let`, `by`, `select` and `having`.
//!
//! An expression is parsed and checked when the rules are loaded and runs as bytecode on a stack.
//! It has no loops, so its cost is bounded by its length; on numbers it allocates nothing.

mod aggregate;
mod check;
mod constant;
mod eval;
mod function;
mod lexer;
mod over_time;
mod parser;
mod program;
mod resolve;
mod scope;
mod syntax;

pub(crate) use aggregate::{Call, Kind};
pub(crate) use check::compile_expression;
pub(crate) use eval::{Inputs, evaluate};
pub(crate) use program::{Op, Program, Type};
pub(crate) use resolve::RESERVED;
pub(crate) use scope::{
    Fold, FoldKind, JoinField, JoinNames, KnownField, Name, Prev, Remembered, Scope, Stage,
};

use std::ops::Range;

/// What is wrong with an expression. The span counts bytes of the expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) span: Range<usize>,
    pub(crate) label: String,
    pub(crate) help: Option<String>,
}

impl Problem {
    pub(crate) fn new(
        code: &'static str,
        message: impl Into<String>,
        span: Range<usize>,
        label: impl Into<String>,
    ) -> Self {
        Self { code, message: message.into(), span, label: label.into(), help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Why an expression could not be computed for one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

/// Functions that are compiled to jumps, to constants or to what is kept per key.
const COMPILED: [&str; 5] = ["changed", "coalesce", "duration", "if", "since"];

/// Every function and aggregate.
#[cfg(test)]
pub(crate) fn names_of_functions() -> impl Iterator<Item = &'static str> {
    let functions = function::SIGNATURES.iter().map(|signature| signature.name);
    let functions = functions.chain(function::CALENDAR.iter().map(|known| known.0));
    functions.chain(COMPILED).chain(aggregate::NAMES)
}

#[cfg(test)]
mod tests;
