//! Runs bytecode.

use std::cmp::Ordering;

use jiff::tz::TimeZone;

use super::Fault;
use super::function::calendar;
use super::program::{Op, Program, Special};
use super::syntax::{Binary, Unary};
use crate::code;
use crate::value::{Place, Texts, Value, whole};

/// Everything a program can read, next to the texts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inputs<'a> {
    /// Payload fields by slot.
    pub(crate) fields: &'a [Value],
    /// Captures, lets, keys, aggregates and outputs by slot.
    pub(crate) locals: &'a [Value],
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    /// Arrival of the message, in milliseconds since the Unix epoch.
    pub(crate) now: i64,
}

/// Computes a program. `stack` is only a buffer that is reused.
pub(crate) fn evaluate(
    program: &Program,
    inputs: &Inputs<'_>,
    texts: &mut Texts<'_>,
    stack: &mut Vec<Value>,
) -> Result<Value, Fault> {
    // Most programs are one name.
    match program.ops[..] {
        [Op::Field(slot)] => return Ok(read(inputs.fields, slot)),
        [Op::Local(slot)] => return Ok(read(inputs.locals, slot)),
        _ => {}
    }
    stack.clear();
    let mut at = 0;
    while let Some(op) = program.ops.get(at) {
        at += 1;
        match *op {
            Op::And(end) => {
                if stack.last() == Some(&Value::Bool(false)) {
                    at = usize::from(end);
                }
            }
            Op::Binary(operator) => {
                let (right, left) = (pop(stack), pop(stack));
                match binary(operator, left, right, texts) {
                    Some(value) => stack.push(value),
                    None => return Err(fault(program, at - 1, operator, left, right)),
                }
            }
            Op::Branch(otherwise, end) => match pop(stack) {
                Value::Bool(true) => {}
                Value::Bool(false) => at = usize::from(otherwise),
                Value::Null => {
                    stack.push(Value::Null);
                    at = usize::from(end);
                }
                other => return Err(not_bool(program, at - 1, other)),
            },
            Op::Calendar(part, zone) => {
                let value = pop(stack);
                let utc = TimeZone::UTC;
                let zone = program.zones.get(usize::from(zone)).unwrap_or(&utc);
                match calendar(part, value, zone, texts) {
                    Some(found) => stack.push(found),
                    None => {
                        let (name, place) = (part.name(), snippet(program, at - 1));
                        let message = format!("{name}() cannot take {} in `{place}`", value.kind());
                        return Err(Fault { code: code::TYPE_FAULT, message });
                    }
                }
            }
            Op::Call(function, count) => {
                let from = stack.len().saturating_sub(usize::from(count));
                let arguments = stack.get(from..).unwrap_or_default();
                let value = function.call(arguments, texts).map_err(|fault| {
                    let place = snippet(program, at - 1);
                    Fault { message: format!("{} in `{place}`", fault.message), ..fault }
                })?;
                stack.truncate(from);
                stack.push(value);
            }
            Op::Coalesce(end) => match pop(stack) {
                Value::Null => {}
                value => {
                    stack.push(value);
                    at = usize::from(end);
                }
            },
            Op::Constant(value) => stack.push(value),
            Op::Field(slot) => stack.push(read(inputs.fields, slot)),
            Op::Jump(end) => at = usize::from(end),
            Op::Local(slot) => stack.push(read(inputs.locals, slot)),
            Op::Merge(operator) => {
                let (right, left) = (pop(stack), pop(stack));
                match merge(operator, left, right) {
                    Some(value) => stack.push(value),
                    None => return Err(fault(program, at - 1, operator, left, right)),
                }
            }
            Op::Or(end) => {
                if stack.last() == Some(&Value::Bool(true)) {
                    at = usize::from(end);
                }
            }
            Op::Special(special) => stack.push(match special {
                Special::Client => whole(Place::Client, texts.client),
                Special::Now => Value::Number(inputs.now as f64),
                Special::Qos => Value::Number(f64::from(inputs.qos)),
                Special::Retain => Value::Bool(inputs.retain),
                Special::Topic => whole(Place::Topic, texts.topic),
            }),
            Op::Unary(operator) => {
                let value = match (operator, pop(stack)) {
                    (_, Value::Null) => Value::Null,
                    (Unary::Negate, Value::Number(number)) => Value::Number(-number),
                    (Unary::Not, Value::Bool(yes)) => Value::Bool(!yes),
                    (Unary::Not, other) => return Err(not_bool(program, at - 1, other)),
                    (Unary::Negate, other) => {
                        let place = snippet(program, at - 1);
                        let message = format!("`-` cannot take {} in `{place}`", other.kind());
                        return Err(Fault { code: code::TYPE_FAULT, message });
                    }
                };
                stack.push(value);
            }
        }
    }
    Ok(pop(stack))
}

fn read(values: &[Value], slot: u16) -> Value {
    debug_assert!(usize::from(slot) < values.len(), "slots are given out when rules are loaded");
    values.get(usize::from(slot)).copied().unwrap_or(Value::Null)
}

fn pop(stack: &mut Vec<Value>) -> Value {
    debug_assert!(!stack.is_empty(), "the checker balances the stack");
    stack.pop().unwrap_or(Value::Null)
}

/// `None` if the operator does not take these values.
fn binary(operator: Binary, left: Value, right: Value, texts: &Texts<'_>) -> Option<Value> {
    match operator {
        Binary::Equal => return Some(Value::Bool(equal(left, right, texts))),
        Binary::NotEqual => return Some(Value::Bool(!equal(left, right, texts))),
        _ => {}
    }
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => numbers(operator, a, b),
        (Value::Text(a), Value::Text(b)) => {
            ordered(operator, texts.resolve(a).cmp(texts.resolve(b)))
        }
        (Value::Null, Value::Null | Value::Number(_) | Value::Text(_))
        | (Value::Number(_) | Value::Text(_), Value::Null) => Some(Value::Null),
        _ => None,
    }
}

fn numbers(operator: Binary, a: f64, b: f64) -> Option<Value> {
    let result = match operator {
        Binary::Add => a + b,
        Binary::Divide => a / b,
        Binary::Multiply => a * b,
        Binary::Remainder => a % b,
        Binary::Subtract => a - b,
        _ => return ordered(operator, a.partial_cmp(&b)?),
    };
    Some(Value::finite(result))
}

fn ordered(operator: Binary, order: Ordering) -> Option<Value> {
    let yes = match operator {
        Binary::Greater => order.is_gt(),
        Binary::GreaterEqual => order.is_ge(),
        Binary::Less => order.is_lt(),
        Binary::LessEqual => order.is_le(),
        _ => return None,
    };
    Some(Value::Bool(yes))
}

/// Values of different kinds are not equal; null equals null.
fn equal(left: Value, right: Value, texts: &Texts<'_>) -> bool {
    match (left, right) {
        (Value::Text(a), Value::Text(b)) => texts.resolve(a) == texts.resolve(b),
        (Value::Composite | Value::Json(_), _) | (_, Value::Composite | Value::Json(_)) => false,
        _ => left == right,
    }
}

/// `&&` and `||` with null as "not known".
fn merge(operator: Binary, left: Value, right: Value) -> Option<Value> {
    let deciding = Value::Bool(operator == Binary::Or);
    match (left, right) {
        (Value::Bool(_) | Value::Null, Value::Bool(_) | Value::Null) => {}
        _ => return None,
    }
    if left == deciding || right == deciding {
        return Some(deciding);
    }
    let unknown = left == Value::Null || right == Value::Null;
    Some(if unknown { Value::Null } else { Value::Bool(operator == Binary::And) })
}

fn fault(program: &Program, at: usize, operator: Binary, left: Value, right: Value) -> Fault {
    let (symbol, left, right) = (operator.symbol(), left.kind(), right.kind());
    let place = snippet(program, at);
    let message = format!("`{symbol}` cannot take {left} and {right} in `{place}`");
    Fault { code: code::TYPE_FAULT, message }
}

fn not_bool(program: &Program, at: usize, value: Value) -> Fault {
    let place = snippet(program, at);
    let message = format!("expected true or false, found {} in `{place}`", value.kind());
    Fault { code: code::TYPE_FAULT, message }
}

/// The part of the expression that an operation was made from.
fn snippet(program: &Program, at: usize) -> &str {
    let span = program.spans.get(at).cloned().unwrap_or_default();
    program.source.get(span).unwrap_or_default()
}
