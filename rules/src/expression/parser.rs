//! Tokens to a tree, by precedence climbing.
//!
//! From loose to tight: `?:`, `||`, `&&`, comparison, `??`, `+ -`, `* / %`, `! -`, `.name [ ]`.

use std::ops::Range;

use super::Problem;
use super::lexer::{Kind, Token, tokens};
use super::syntax::{Binary, Expression, Node, Unary};
use crate::code;
use crate::limits::{EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX, EXPRESSION_TOKENS_MAX};
use crate::payload::Step;

/// Parses a whole expression.
pub(crate) fn parse(source: &str) -> Result<Expression, Problem> {
    if source.len() > EXPRESSION_BYTES_MAX {
        let message = format!("expression of {} bytes is too long", source.len());
        let label = format!("at most {EXPRESSION_BYTES_MAX} bytes");
        return Err(Problem::new(code::LIMIT, message, 0..source.len(), label)
            .help("name parts of it with `let`"));
    }
    let tokens = tokens(source)?;
    if tokens.len() > EXPRESSION_TOKENS_MAX {
        let message = format!("expression of {} words is too long", tokens.len());
        let label = format!("at most {EXPRESSION_TOKENS_MAX} names, numbers and operators");
        return Err(Problem::new(code::LIMIT, message, 0..source.len(), label)
            .help("name parts of it with `let`"));
    }
    let mut parser = Parser { tokens, next: 0, depth: 0 };
    let expression = parser.expression(0)?;
    let token = parser.peek();
    if token.kind == Kind::End {
        return Ok(expression);
    }
    let message = format!("unexpected {}", describe(&token.kind));
    let problem = Problem::new(code::SYNTAX, message, token.span.clone(), "the expression ended");
    Err(match (&expression.node, &token.kind) {
        (Node::Name(_), Kind::Name(_)) => {
            problem.help("names with spaces are written payload[\"odd name\"]")
        }
        _ => problem,
    })
}

struct Parser {
    /// Never empty: the last one is `End`.
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        let last = self.tokens.len() - 1;
        &self.tokens[self.next.min(last)]
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn accept(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek().kind, Kind::Symbol(found) if found == symbol);
        self.next += usize::from(found);
        found
    }

    fn require(&mut self, symbol: &'static str, after: &str) -> Result<Token, Problem> {
        let token = self.take();
        if matches!(token.kind, Kind::Symbol(found) if found == symbol) {
            return Ok(token);
        }
        let message = format!("expected `{symbol}`, found {}", describe(&token.kind));
        Err(Problem::new(code::SYNTAX, message, token.span, after))
    }

    /// Everything that binds at least as tight as `least`.
    fn expression(&mut self, least: u8) -> Result<Expression, Problem> {
        self.depth += 1;
        if self.depth > EXPRESSION_DEPTH_MAX {
            let span = self.peek().span.clone();
            return Err(Problem::new(code::LIMIT, "expression is nested too deep", span, "here")
                .help("name parts of it with `let`"));
        }
        let mut left = self.operand()?;
        let mut compared = false;
        loop {
            let token = self.peek();
            if least == 0 && token.kind == Kind::Symbol("?") {
                left = self.choice(left)?;
                continue;
            }
            let Some((operator, tightness)) = binary(&token.kind) else { break };
            if tightness < least {
                break;
            }
            let span = token.span.clone();
            self.next += 1;
            let right = self.expression(tightness + 1)?;
            if tightness == COMPARISON && std::mem::replace(&mut compared, true) {
                let message = "comparisons cannot be chained";
                return Err(Problem::new(code::SYNTAX, message, span, "second comparison")
                    .help("write a < b && b < c"));
            }
            compared &= tightness == COMPARISON;
            let whole = left.span.start..right.span.end;
            let (left_box, right_box) = (Box::new(left), Box::new(right));
            let node = Node::Binary { operator, left: left_box, right: right_box };
            left = Expression { node, span: whole };
        }
        self.depth -= 1;
        Ok(left)
    }

    fn choice(&mut self, condition: Expression) -> Result<Expression, Problem> {
        self.next += 1;
        let then = self.expression(0)?;
        self.require(":", "the choice is written condition ? a : b")?;
        let otherwise = self.expression(0)?;
        let span = condition.span.start..otherwise.span.end;
        let (condition, then) = (Box::new(condition), Box::new(then));
        let node = Node::Choice { condition, then, otherwise: Box::new(otherwise) };
        Ok(Expression { node, span })
    }

    fn operand(&mut self) -> Result<Expression, Problem> {
        let token = self.take();
        let span = token.span.clone();
        let node = match token.kind {
            Kind::Number(number) => Node::Number(number),
            Kind::Text(text) => Node::Text(text),
            Kind::Symbol("(") => {
                let inner = self.expression(0)?;
                self.require(")", "the bracket is not closed")?;
                return self.steps(inner);
            }
            Kind::Symbol("-") => return self.unary(Unary::Negate, &span, UNARY),
            Kind::Symbol("!") => return self.unary(Unary::Not, &span, UNARY),
            Kind::Name(name) => match name.as_str() {
                "true" => Node::Bool(true),
                "false" => Node::Bool(false),
                "null" => Node::Null,
                // As in other languages, `not a == b` is not(a == b), but `!a == b` is (!a) == b.
                "not" => return self.unary(Unary::Not, &span, COMPARISON),
                _ if self.accept("(") => return self.call(name, token.span),
                _ => return self.steps(Expression { node: Node::Name(name), span }),
            },
            other => {
                let message = format!("expected a value, found {}", describe(&other));
                return Err(Problem::new(code::SYNTAX, message, span, "a value is missing here"));
            }
        };
        Ok(Expression { node, span })
    }

    fn unary(
        &mut self,
        operator: Unary,
        span: &Range<usize>,
        tightness: u8,
    ) -> Result<Expression, Problem> {
        let operand = self.expression(tightness)?;
        let whole = span.start..operand.span.end;
        if let (Unary::Negate, Node::Number(number)) = (operator, &operand.node) {
            return Ok(Expression { node: Node::Number(-number), span: whole });
        }
        Ok(Expression { node: Node::Unary { operator, operand: Box::new(operand) }, span: whole })
    }

    fn call(&mut self, name: String, name_span: Range<usize>) -> Result<Expression, Problem> {
        let mut arguments = Vec::new();
        let mut end = self.peek().span.end;
        if !self.accept(")") {
            loop {
                arguments.push(self.expression(0)?);
                end = self.peek().span.end;
                if self.accept(",") {
                    continue;
                }
                self.require(")", "the list of arguments is not closed")?;
                break;
            }
        }
        let span = name_span.start..end;
        Ok(Expression { node: Node::Call { name, name_span, arguments }, span })
    }

    /// `.name`, `["name"]` and `[0]` after a value.
    fn steps(&mut self, mut base: Expression) -> Result<Expression, Problem> {
        loop {
            let step = if self.accept(".") {
                let token = self.take();
                match token.kind {
                    Kind::Name(name) => (Step::Field(name), token.span.end),
                    other => {
                        let message = format!("expected a name, found {}", describe(&other));
                        let label = "a name follows the point";
                        return Err(Problem::new(code::SYNTAX, message, token.span, label));
                    }
                }
            } else if self.accept("[") {
                let token = self.take();
                let step = match token.kind {
                    Kind::Text(name) => Step::Field(name),
                    Kind::Number(at) if at.fract() == 0.0 && (0.0..1e6).contains(&at) => {
                        Step::Item(at as u32)
                    }
                    other => {
                        let message = format!("unexpected {}", describe(&other));
                        let label = "expected a name in quotes or a whole number";
                        return Err(Problem::new(code::SYNTAX, message, token.span, label));
                    }
                };
                (step, self.require("]", "the bracket is not closed")?.span.end)
            } else {
                return Ok(base);
            };
            let (step, end) = step;
            let span = base.span.start..end;
            base = Expression { node: Node::Index { base: Box::new(base), step }, span };
            // A path is as deep as it is long; the tree is walked by recursion.
            if self.next > self.tokens.len() || depth_of(&base) > EXPRESSION_DEPTH_MAX {
                let message = "path has too many steps";
                return Err(Problem::new(code::LIMIT, message, base.span, "too long"));
            }
        }
    }
}

fn depth_of(expression: &Expression) -> usize {
    let mut depth = 0;
    let mut at = expression;
    while let Node::Index { base, .. } = &at.node {
        depth += 1;
        at = base;
    }
    depth
}

fn binary(kind: &Kind) -> Option<(Binary, u8)> {
    let operator = match kind {
        Kind::Name(name) if name == "and" => Binary::And,
        Kind::Name(name) if name == "or" => Binary::Or,
        Kind::Symbol("+") => Binary::Add,
        Kind::Symbol("&&") => Binary::And,
        Kind::Symbol("??") => Binary::Coalesce,
        Kind::Symbol("/") => Binary::Divide,
        Kind::Symbol("==") => Binary::Equal,
        Kind::Symbol(">") => Binary::Greater,
        Kind::Symbol(">=") => Binary::GreaterEqual,
        Kind::Symbol("<") => Binary::Less,
        Kind::Symbol("<=") => Binary::LessEqual,
        Kind::Symbol("*") => Binary::Multiply,
        Kind::Symbol("!=") => Binary::NotEqual,
        Kind::Symbol("||") => Binary::Or,
        Kind::Symbol("%") => Binary::Remainder,
        Kind::Symbol("-") => Binary::Subtract,
        _ => return None,
    };
    Some((operator, tightness(operator)))
}

fn tightness(operator: Binary) -> u8 {
    match operator {
        Binary::Or => 1,
        Binary::And => 2,
        Binary::Equal
        | Binary::Greater
        | Binary::GreaterEqual
        | Binary::Less
        | Binary::LessEqual
        | Binary::NotEqual => COMPARISON,
        // Tighter than comparison, so that `x ?? 0 > 5` means what it looks like.
        Binary::Coalesce => 4,
        Binary::Add | Binary::Subtract => 5,
        Binary::Divide | Binary::Multiply | Binary::Remainder => 6,
    }
}

/// A token in a message.
fn describe(kind: &Kind) -> String {
    match kind {
        Kind::End => "the end".to_owned(),
        Kind::Name(name) => format!("`{name}`"),
        Kind::Number(number) => format!("number {number}"),
        Kind::Symbol(symbol) => format!("`{symbol}`"),
        Kind::Text(_) => "a text".to_owned(),
    }
}

const COMPARISON: u8 = 3;
const UNARY: u8 = 7;
