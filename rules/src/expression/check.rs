//! Tree to bytecode: resolves names, checks kinds and counts of arguments.
//!
//! A problem does not stop the check: the part in question counts as "any value", so that one
//! reading reports everything that is wrong with an expression.

use std::ops::Range;

use super::Problem;
use super::aggregate::{Call, Kind, NAMES, NOT_YET};
use super::function::{SIGNATURES, Signature};
use super::parser::parse;
use super::program::{Op, Program, Special, Type};
use super::scope::{Prev, Scope, Stage};
use super::syntax::{Binary, Expression, Node, Unary, path_of, path_text};
use crate::code;
use crate::diagnostic::nearest;
use crate::payload::Step;
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

fn compile(
    tree: &Expression,
    source: &str,
    scope: &mut Scope<'_>,
    problems: &mut Vec<Problem>,
) -> Program {
    let mut checker = Checker { source, scope, problems, ops: Vec::new(), spans: Vec::new() };
    let result = checker.expression(tree);
    let Checker { ops, spans, .. } = checker;
    Program { ops, spans, source: source.into(), result }
}

struct Checker<'s, 'a> {
    source: &'s str,
    scope: &'s mut Scope<'a>,
    problems: &'s mut Vec<Problem>,
    ops: Vec<Op>,
    spans: Vec<Range<usize>>,
}

impl Checker<'_, '_> {
    fn expression(&mut self, tree: &Expression) -> Type {
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

    fn choice(
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
            _ => {}
        }
        if let Some(signature) = SIGNATURES.iter().find(|known| known.name == name) {
            return self.function(signature, arguments, span);
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
        for argument in arguments {
            let found = self.expression(argument);
            let symbol = format!("{}()", signature.name);
            self.require(found, signature.argument, &symbol, argument);
        }
        if !(signature.arguments_min..=signature.arguments_max).contains(&arguments.len()) {
            return self.wrong_count(signature.name, signature.usage, span);
        }
        self.push(Op::Call(signature.function, arguments.len() as u8), span);
        signature.result
    }

    fn aggregate(
        &mut self,
        kind: Kind,
        name: &str,
        arguments: &[Expression],
        span: &Range<usize>,
    ) -> Type {
        if self.scope.aggregates.is_none() {
            let why = self.scope.no_aggregates;
            let message = format!("aggregate `{name}` cannot stand here");
            let mut problem = Problem::new(code::AGGREGATE, message, span.clone(), why);
            if name == "min" || name == "max" {
                let help = format!("the {name} of several values of one message is {name}_of");
                problem = problem.help(help);
            }
            self.problems.push(problem);
            return Type::Any;
        }
        let argument = match arguments {
            [] if kind == Kind::Count => None,
            [argument] => {
                // The argument is computed for each message, not for the result.
                let stage = std::mem::replace(&mut self.scope.stage, self.scope.message_stage);
                let calls = self.scope.aggregates.take();
                let outer = std::mem::replace(&mut self.scope.no_aggregates, NESTED);
                let program = compile(argument, self.source, self.scope, self.problems);
                self.scope.no_aggregates = outer;
                self.scope.aggregates = calls;
                self.scope.stage = stage;
                self.require(program.result, kind.argument(), &format!("{name}()"), argument);
                Some(program)
            }
            _ => return self.wrong_count(name, &format!("{name}(x)"), span),
        };
        let same = |call: &&Call| {
            let ops = |argument: &Option<Program>| argument.as_ref().map(|one| one.ops.clone());
            call.kind == kind && ops(&call.argument) == ops(&argument)
        };
        let calls = self.scope.aggregates.as_ref();
        let known = calls.and_then(|calls| calls.iter().find(same)).map(|call| call.slot);
        let slot = known.unwrap_or_else(|| {
            let slot = self.scope.local();
            if let Some(calls) = &mut self.scope.aggregates {
                calls.push(Call { kind, argument, slot });
            }
            slot
        });
        self.push(Op::Local(slot), span);
        kind.result()
    }

    fn unknown_function(&mut self, name: &str, span: &Range<usize>) {
        if NOT_YET.contains(&name) {
            let message = format!("aggregate `{name}` is not in this version");
            self.problem(code::NOT_YET, message, span.clone(), "not available yet");
            return;
        }
        let functions = SIGNATURES.iter().map(|known| known.name).chain(["coalesce", "if"]);
        let names: Vec<&str> = functions.chain(NAMES).collect();
        let message = format!("unknown function `{name}`");
        let mut problem = Problem::new(code::FUNCTION, message, span.clone(), "not a function");
        if let Some(near) = nearest(name, names) {
            problem = problem.help(format!("did you mean `{near}`?"));
        }
        self.problems.push(problem);
    }

    fn wrong_count(&mut self, name: &str, usage: &str, span: &Range<usize>) -> Type {
        let message = format!("wrong number of arguments for `{name}`");
        let problem = Problem::new(code::FUNCTION, message, span.clone(), "called here");
        self.problems.push(problem.help(format!("it is used as {usage}")));
        Type::Any
    }

    /// A name with or without steps.
    fn path(&mut self, name: &str, steps: &[&Step], span: &Range<usize>) -> Type {
        let whole = path_text(name, steps);
        if let Some(found) = self.scope.names().iter().find(|known| known.text == whole) {
            let (slot, kind) = (found.slot, found.kind);
            self.push(Op::Local(slot), span);
            return kind;
        }
        match (name, steps) {
            ("prev", [Step::Field(head), rest @ ..]) => return self.prev(head, rest, span),
            ("prev", _) => {
                let label = "write prev.name";
                self.problem(code::UNKNOWN_NAME, "`prev` needs a name", span.clone(), label);
                return Type::Any;
            }
            ("payload", [_, ..]) if self.scope.stage == Stage::Json => {
                return self.field(steps.iter().map(|step| (*step).clone()).collect(), span);
            }
            ("payload", []) if self.scope.stage == Stage::Json => {
                let label = "name a field: payload.name or payload[\"odd name\"]";
                self.problem(code::TYPE, "the payload is not one value", span.clone(), label);
                return Type::Any;
            }
            _ => {}
        }
        if let Some(found) = self.scope.names().iter().find(|known| known.text == name) {
            let message = format!("`{name}` is a {}, it has no fields", found.role);
            let help = format!("a field of that name is payload.{whole}");
            let problem = Problem::new(code::TYPE, message, span.clone(), "not an object");
            self.problems.push(problem.help(help));
            return Type::Any;
        }
        if steps.is_empty()
            && self.scope.stage != Stage::Result
            && let Some((_, special, kind)) = SPECIALS.iter().find(|known| known.0 == name)
        {
            self.push(Op::Special(*special), span);
            return *kind;
        }
        if self.scope.stage == Stage::Json {
            let head = std::iter::once(Step::Field(name.to_owned()));
            return self
                .field(head.chain(steps.iter().map(|step| (*step).clone())).collect(), span);
        }
        self.unknown_name(name, &whole, span);
        Type::Any
    }

    fn field(&mut self, path: Vec<Step>, span: &Range<usize>) -> Type {
        match self.scope.fields.slot(&path) {
            Ok(slot) => {
                self.push(Op::Field(slot), span);
            }
            Err(reason) => {
                self.problem(code::LIMIT, "too many payload fields", span.clone(), reason);
            }
        }
        Type::Any
    }

    fn prev(&mut self, head: &str, rest: &[&Step], span: &Range<usize>) -> Type {
        if self.scope.prev.is_none() || self.scope.stage == Stage::Result {
            let label = "only `let`, `where`, `select` and arguments of aggregates know it";
            self.problem(code::UNKNOWN_NAME, "`prev` cannot stand here", span.clone(), label);
            return Type::Any;
        }
        let (mut ops, mut spans) = (Vec::new(), Vec::new());
        std::mem::swap(&mut self.ops, &mut ops);
        std::mem::swap(&mut self.spans, &mut spans);
        let kind = self.path(head, rest, span);
        std::mem::swap(&mut self.ops, &mut ops);
        std::mem::swap(&mut self.spans, &mut spans);
        let program = Program { ops, spans, source: self.source.into(), result: kind };
        let known = self.scope.prev.as_ref().and_then(|list| {
            list.iter().find(|prev| prev.program.ops == program.ops).map(|prev| prev.slot)
        });
        let slot = known.unwrap_or_else(|| {
            let slot = self.scope.local();
            if let Some(list) = &mut self.scope.prev {
                list.push(Prev { program, slot });
            }
            slot
        });
        self.push(Op::Local(slot), span);
        kind
    }

    fn unknown_name(&mut self, name: &str, whole: &str, span: &Range<usize>) {
        let names: Vec<&str> = self.scope.names().iter().map(|known| known.text.as_str()).collect();
        let list = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let near = nearest(whole, names.iter().copied());
        let message = format!("unknown name `{whole}`");
        let problem = if self.scope.stage == Stage::Result {
            let label = "a result has only keys, outputs and aggregates";
            let help = match near {
                Some(near) => format!("did you mean `{near}`? names here: {list}"),
                None if SPECIALS.iter().any(|known| known.0 == name) => {
                    format!("`{name}` belongs to a message: use it inside an aggregate")
                }
                None => format!("for a field of the last message write last({whole})"),
            };
            Problem::new(code::UNKNOWN_NAME, message, span.clone(), label).help(help)
        } else {
            let label = "this payload is one value, named `value`";
            let help = match near {
                Some(near) => format!("did you mean `{near}`? names here: {list}"),
                None => format!("names here: {list}; fields need decode = \"json\""),
            };
            Problem::new(code::UNKNOWN_NAME, message, span.clone(), label).help(help)
        };
        self.problems.push(problem);
    }

    fn require(&mut self, found: Type, wanted: Type, symbol: &str, tree: &Expression) {
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

    fn problem(
        &mut self,
        code: &'static str,
        message: impl Into<String>,
        span: Range<usize>,
        label: impl Into<String>,
    ) {
        self.problems.push(Problem::new(code, message, span, label));
    }

    fn constant(&mut self, value: Value, kind: Type, span: &Range<usize>) -> Type {
        self.push(Op::Constant(value), span);
        kind
    }

    fn push(&mut self, op: Op, span: &Range<usize>) -> usize {
        self.ops.push(op);
        self.spans.push(span.clone());
        self.ops.len() - 1
    }

    fn patch(&mut self, at: usize, op: Op) {
        if let Some(place) = self.ops.get_mut(at) {
            *place = op;
        }
    }

    /// The next operation; the limit of words keeps it far below 65536.
    fn here(&self) -> u16 {
        self.ops.len() as u16
    }
}

const NESTED: &str = "aggregates cannot be nested";

const SPECIALS: [(&str, Special, Type); 5] = [
    ("client", Special::Client, Type::Text),
    ("now", Special::Now, Type::Number),
    ("qos", Special::Qos, Type::Number),
    ("retain", Special::Retain, Type::Bool),
    ("topic", Special::Topic, Type::Text),
];

/// Names that always stand for a part of the message, so that nothing else can be called so.
pub(crate) const RESERVED: [&str; 13] = [
    "and", "client", "false", "not", "now", "null", "or", "payload", "prev", "qos", "retain",
    "topic", "true",
];
