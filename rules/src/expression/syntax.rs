//! The tree that the parser gives to the checker.

use std::ops::Range;

use crate::payload::Step;

/// A part of an expression and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expression {
    pub(crate) node: Node,
    pub(crate) span: Range<usize>,
}

/// The kinds of parts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Binary { operator: Binary, left: Box<Expression>, right: Box<Expression> },
    Bool(bool),
    Call { name: String, name_span: Range<usize>, arguments: Vec<Expression> },
    Choice { condition: Box<Expression>, then: Box<Expression>, otherwise: Box<Expression> },
    Index { base: Box<Expression>, step: Step },
    Name(String),
    Null,
    Number(f64),
    Text(String),
    Unary { operator: Unary, operand: Box<Expression> },
}

/// Operators between two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binary {
    Add,
    And,
    Coalesce,
    Divide,
    Equal,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    Multiply,
    NotEqual,
    Or,
    Remainder,
    Subtract,
}

impl Binary {
    /// As it is written.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Binary::Add => "+",
            Binary::And => "&&",
            Binary::Coalesce => "??",
            Binary::Divide => "/",
            Binary::Equal => "==",
            Binary::Greater => ">",
            Binary::GreaterEqual => ">=",
            Binary::Less => "<",
            Binary::LessEqual => "<=",
            Binary::Multiply => "*",
            Binary::NotEqual => "!=",
            Binary::Or => "||",
            Binary::Remainder => "%",
            Binary::Subtract => "-",
        }
    }
}

/// Operators before a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unary {
    Negate,
    Not,
}

/// The name and the steps of an expression that is nothing but a path, such as `a.b[0]`.
pub(crate) fn path_of(expression: &Expression) -> Option<(&str, Vec<&Step>)> {
    match &expression.node {
        Node::Name(name) => Some((name, Vec::new())),
        Node::Index { base, step } => {
            let (name, mut steps) = path_of(base)?;
            steps.push(step);
            Some((name, steps))
        }
        _ => None,
    }
}

/// A path as it is written, for names of outputs and for messages.
pub(crate) fn path_text(name: &str, steps: &[&Step]) -> String {
    let mut text = name.to_owned();
    for step in steps {
        match step {
            Step::Field(field) => {
                text.push('.');
                text.push_str(field);
            }
            Step::Item(item) => text.push_str(&format!("[{item}]")),
        }
    }
    text
}
