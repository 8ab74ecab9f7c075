//! Tree to bytecode: resolves names, checks kinds and counts of arguments.
//!
//! A problem does not stop the check: the part in question counts as "any value", so that one
//! reading reports everything that is wrong with an expression.

use std::ops::Range;

use jiff::tz::TimeZone;
use weir_config::nearest;

use super::aggregate::{Kind, NAMES};
use super::function::{CALENDAR, SIGNATURES, Signature};
use super::parser::parse;
use super::program::{Op, Program, Type};
use super::scope::Scope;
use super::syntax::{Binary, Expression, Node, Unary, path_of};
use super::{COMPILED, Problem};
use crate::code;
use crate::value::{Place, Text, Value};

/// Compiles the text of an expression that must give `wanted`.
pub(crate) fn compile_expression(
    source: &str,
    wanted: Type,
    scope: &mut Scope<'_>,
) -> Result<Program, Vec<Problem>> {
    let tree = parse(source).map_err(|problem| vec![problem])?;
    let mut problems = Vec::new();
    let program = compile(&tree, source, scope, &mut problems);
    if problems.is_empty() && !program.result.fits(wanted) {
        let message =
            format!("expected {}, found {}", wanted.describe(), program.result.describe());
        let label = format!("gives {}", program.result.describe());
        problems.push(Problem::new(code::TYPE, message, tree.span.clone(), label));
    }
    if problems.is_empty() { Ok(program) } else { Err(problems) }
}

pub(super) fn compile(
    tree: &Expression,
    source: &str,
    scope: &mut Scope<'_>,
    problems: &mut Vec<Problem>,
) -> Program {
    let (ops, spans, zones) = (Vec::new(), Vec::new(), Vec::new());
    let mut checker = Checker { source, scope, problems, ops, spans, zones };
    let result = checker.expression(tree);
    let Checker { ops, spans, zones, .. } = checker;
    Program { ops, spans, source: source.into(), result, zones }
}

/// The bytecode of one expression while it is made.
pub(super) struct Checker<'s, 'a> {
    pub(super) source: &'s str,
    pub(super) scope: &'s mut Scope<'a>,
    pub(super) problems: &'s mut Vec<Problem>,
    pub(super) ops: Vec<Op>,
    pub(super) spans: Vec<Range<usize>>,
    pub(super) zones: Vec<TimeZone>,
}

impl Checker<'_, '_> {
    pub(super) fn expression(&mut self, tree: &Expression) -> Type {
        let span = &tree.span;
        if let Some((name, steps)) = path_of(tree) {
            return self.path(name, &steps, span);
        }
        match &tree.node {
            Node::Binary { operator, left, right } => self.binary(*operator, left, right, span),
            Node::Bool(yes) => self.constant(Value::Bool(*yes), Type::Bool, span),
            Node::Call { name, name_span, arguments } => {
                self.call(name, name_span, arguments, span)
            }
            Node::Choice { condition, then, otherwise } => {
                self.choice(condition, then, Some(otherwise), span)
            }
            Node::Index { base, .. } => {
                let label = "only payload fields have parts";
                self.problem(code::TYPE, "this value has no fields", base.span.clone(), label);
                Type::Any
            }
            Node::Null => self.constant(Value::Null, Type::Null, span),
            Node::Number(number) => self.constant(Value::Number(*number), Type::Number, span),
            Node::Text(text) => {
                let (start, len) = self.scope.constant(text);
                let text = Text { place: Place::Constant, start, len };
                self.constant(Value::Text(text), Type::Text, span)
            }
            Node::Unary { operator, operand } => {
                let (wanted, symbol) = match operator {
                    Unary::Negate => (Type::Number, "-"),
                    Unary::Not => (Type::Bool, "!"),
                };
                let found = self.expression(operand);
                self.require(found, wanted, symbol, operand);
                self.push(Op::Unary(*operator), span);
                wanted
            }
            // A name is a path.
            Node::Name(_) => Type::Any,
        }
    }

    fn binary(
        &mut self,
        operator: Binary,
        left: &Expression,
        right: &Expression,
        span: &Range<usize>,
    ) -> Type {
        let left_type = self.expression(left);
        let jump = match operator {
            Binary::And | Binary::Or | Binary::Coalesce => Some(self.push(Op::Jump(0), span)),
            _ => None,
        };
        let right_type = self.expression(right);
        let Some(jump) = jump else {
            self.push(Op::Binary(operator), span);
            return self.operands(operator, (left, left_type), (right, right_type));
        };
        if operator == Binary::Coalesce {
            self.patch(jump, Op::Coalesce(self.here()));
            return left_type.join(right_type);
        }
        self.require(left_type, Type::Bool, operator.symbol(), left);
        self.require(right_type, Type::Bool, operator.symbol(), right);
        self.push(Op::Merge(operator), span);
        let end = self.here();
        self.patch(jump, if operator == Binary::And { Op::And(end) } else { Op::Or(end) });
        Type::Bool
    }

    /// Checks both sides of an arithmetic operator or a comparison.
    fn operands(
        &mut self,
        operator: Binary,
        left: (&Expression, Type),
        right: (&Expression, Type),
    ) -> Type {
        let symbol = operator.symbol();
        let known = |kind: Type| kind != Type::Any && kind != Type::Null;
        match operator {
            Binary::Add
            | Binary::Divide
            | Binary::Multiply
            | Binary::Remainder
            | Binary::Subtract => {
                self.require(left.1, Type::Number, symbol, left.0);
                self.require(right.1, Type::Number, symbol, right.0);
                Type::Number
            }
            _ => {
                let ordering = !matches!(operator, Binary::Equal | Binary::NotEqual);
                for (side, kind) in [left, right] {
                    if ordering && kind == Type::Bool {
                        let message = format!("`{symbol}` compares numbers or texts");
                        let label = "this is true or false";
                        self.problem(code::TYPE, message, side.span.clone(), label);
                        return Type::Bool;
                    }
                }
                if known(left.1) && known(right.1) && left.1 != right.1 {
                    let (a, b) = (left.1.describe(), right.1.describe());
                    let message = format!("`{symbol}` compares {a} with {b}");
                    let label = format!("this is {b}");
                    self.problem(code::TYPE, message, right.0.span.clone(), label);
                }
                Type::Bool
            }
        }
    }

    pub(super) fn choice(
        &mut self,
        condition: &Expression,
        then: &Expression,
        otherwise: Option<&Expression>,
        span: &Range<usize>,
    ) -> Type {
        let found = self.expression(condition);
        self.require(found, Type::Bool, "?", condition);
        let branch = self.push(Op::Branch(0, 0), &condition.span);
        let then = self.expression(then);
        let jump = self.push(Op::Jump(0), span);
        let start = self.here();
        let otherwise = match otherwise {
            Some(tree) => self.expression(tree),
            None => self.constant(Value::Null, Type::Null, span),
        };
        let end = self.here();
        self.patch(branch, Op::Branch(start, end));
        self.patch(jump, Op::Jump(end));
        then.join(otherwise)
    }

    fn call(
        &mut self,
        name: &str,
        name_span: &Range<usize>,
        arguments: &[Expression],
        span: &Range<usize>,
    ) -> Type {
        match (name, arguments) {
            ("if", [condition, then]) => return self.choice(condition, then, None, span),
            ("if", [condition, then, otherwise]) => {
                return self.choice(condition, then, Some(otherwise), span);
            }
            ("coalesce", [_, ..]) => return self.coalesce(arguments, span),
            ("if", _) => return self.wrong_count(name, "if(condition, then, otherwise)", span),
            ("coalesce", _) => return self.wrong_count(name, "coalesce(a, b, ...)", span),
            ("changed", _) => return self.changed(arguments, span),
            ("duration", _) => return self.duration(arguments, span),
            ("since", _) => return self.since(arguments, span),
            ("ewma" | "ewsd", _) if self.scope.aggregates.is_none() => {
                return self.decayed(name, arguments, span);
            }
            _ => {}
        }
        if let Some(signature) = SIGNATURES.iter().find(|known| known.name == name) {
            return self.function(signature, arguments, span);
        }
        if let Some((_, part)) = CALENDAR.iter().find(|known| known.0 == name) {
            return self.calendar(*part, arguments, span);
        }
        match Kind::parse(name) {
            Some(kind) => self.aggregate(kind, name, arguments, span),
            None => {
                self.unknown_function(name, name_span);
                Type::Any
            }
        }
    }

    fn coalesce(&mut self, arguments: &[Expression], span: &Range<usize>) -> Type {
        let mut kind = Type::Null;
        let mut jumps = Vec::new();
        for (position, argument) in arguments.iter().enumerate() {
            kind = kind.join(self.expression(argument));
            if position + 1 < arguments.len() {
                jumps.push(self.push(Op::Jump(0), span));
            }
        }
        for jump in jumps {
            self.patch(jump, Op::Coalesce(self.here()));
        }
        kind
    }

    fn function(
        &mut self,
        signature: &Signature,
        arguments: &[Expression],
        span: &Range<usize>,
    ) -> Type {
        for (position, argument) in arguments.iter().enumerate() {
            let found = self.expression(argument);
            let symbol = format!("{}()", signature.name);
            self.require(found, signature.argument(position), &symbol, argument);
        }
        if !(signature.arguments_min..=signature.arguments_max).contains(&arguments.len()) {
            return self.wrong_count(signature.name, signature.usage, span);
        }
        self.check_pattern(signature.function, arguments);
        self.push(Op::Call(signature.function, arguments.len() as u8), span);
        signature.result
    }

    fn unknown_function(&mut self, name: &str, span: &Range<usize>) {
        let functions = SIGNATURES.iter().map(|known| known.name);
        let functions = functions.chain(CALENDAR.iter().map(|known| known.0));
        let names: Vec<&str> = functions.chain(COMPILED).chain(NAMES).collect();
        let message = format!("unknown function `{name}`");
        let mut problem = Problem::new(code::FUNCTION, message, span.clone(), "not a function");
        if let Some(near) = nearest(name, names) {
            problem = problem.help(format!("did you mean `{near}`?"));
        }
        self.problems.push(problem);
    }

    pub(super) fn wrong_count(&mut self, name: &str, usage: &str, span: &Range<usize>) -> Type {
        let message = format!("wrong number of arguments for `{name}`");
        let problem = Problem::new(code::FUNCTION, message, span.clone(), "called here");
        self.problems.push(problem.help(format!("it is used as {usage}")));
        Type::Any
    }

    pub(super) fn require(&mut self, found: Type, wanted: Type, symbol: &str, tree: &Expression) {
        if found.fits(wanted) {
            return;
        }
        let message = format!("`{symbol}` needs {}", wanted.describe());
        let label = format!("this is {}", found.describe());
        let mut problem = Problem::new(code::TYPE, message, tree.span.clone(), label);
        if symbol == "+" && found == Type::Text {
            problem = problem.help("texts are joined with concat(a, b)");
        } else if wanted == Type::Number && found == Type::Text {
            problem = problem.help("number(text) reads a number from a text");
        }
        self.problems.push(problem);
    }

    pub(super) fn problem(
        &mut self,
        code: &'static str,
        message: impl Into<String>,
        span: Range<usize>,
        label: impl Into<String>,
    ) {
        self.problems.push(Problem::new(code, message, span, label));
    }

    pub(super) fn constant(&mut self, value: Value, kind: Type, span: &Range<usize>) -> Type {
        self.push(Op::Constant(value), span);
        kind
    }

    pub(super) fn push(&mut self, op: Op, span: &Range<usize>) -> usize {
        self.ops.push(op);
        self.spans.push(span.clone());
        self.ops.len() - 1
    }

    pub(super) fn patch(&mut self, at: usize, op: Op) {
        if let Some(place) = self.ops.get_mut(at) {
            *place = op;
        }
    }

    /// The next operation; the limit of words keeps it far below 65536.
    pub(super) fn here(&self) -> u16 {
        self.ops.len() as u16
    }
}
