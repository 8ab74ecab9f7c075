//! The functions of the language: names, arguments and what they compute.
//!
//! A null argument makes the result null, except for `coalesce` and `if`, which are compiled to
//! jumps and do not appear here.

use super::Fault;
use super::program::Type;
use crate::code;
use crate::json::write_number;
use crate::limits::TEXT_BYTES_MAX;
use crate::value::{Texts, Value};

/// Functions that run as one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Abs,
    Ceil,
    Clamp,
    Concat,
    Contains,
    Floor,
    Len,
    Lower,
    MaxOf,
    MinOf,
    Number,
    Pow,
    Round,
    Sqrt,
    StartsWith,
    Text,
    Upper,
}

/// How a function is called.
#[derive(Debug)]
pub(crate) struct Signature {
    pub(crate) name: &'static str,
    pub(crate) function: Function,
    pub(crate) arguments_min: usize,
    pub(crate) arguments_max: usize,
    /// What every argument must be.
    pub(crate) argument: Type,
    pub(crate) result: Type,
    /// For help texts.
    pub(crate) usage: &'static str,
}

const fn signature(
    name: &'static str,
    function: Function,
    arguments: (usize, usize),
    types: (Type, Type),
    usage: &'static str,
) -> Signature {
    let (arguments_min, arguments_max) = arguments;
    let (argument, result) = types;
    Signature { name, function, arguments_min, arguments_max, argument, result, usage }
}

const NUMBERS: (Type, Type) = (Type::Number, Type::Number);

/// Every function, in alphabetical order.
pub(crate) const SIGNATURES: [Signature; 17] = [
    signature("abs", Function::Abs, (1, 1), NUMBERS, "abs(x)"),
    signature("ceil", Function::Ceil, (1, 1), NUMBERS, "ceil(x)"),
    signature("clamp", Function::Clamp, (3, 3), NUMBERS, "clamp(x, lowest, highest)"),
    signature("concat", Function::Concat, (1, 16), (Type::Any, Type::Text), "concat(a, b, ...)"),
    signature(
        "contains",
        Function::Contains,
        (2, 2),
        (Type::Text, Type::Bool),
        "contains(text, part)",
    ),
    signature("floor", Function::Floor, (1, 1), NUMBERS, "floor(x)"),
    signature("len", Function::Len, (1, 1), (Type::Text, Type::Number), "len(text)"),
    signature("lower", Function::Lower, (1, 1), (Type::Text, Type::Text), "lower(text)"),
    signature("max_of", Function::MaxOf, (1, 16), NUMBERS, "max_of(a, b, ...)"),
    signature("min_of", Function::MinOf, (1, 16), NUMBERS, "min_of(a, b, ...)"),
    signature("number", Function::Number, (1, 1), (Type::Any, Type::Number), "number(x)"),
    signature("pow", Function::Pow, (2, 2), NUMBERS, "pow(x, exponent)"),
    signature("round", Function::Round, (1, 2), NUMBERS, "round(x) or round(x, digits)"),
    signature("sqrt", Function::Sqrt, (1, 1), NUMBERS, "sqrt(x)"),
    signature(
        "starts_with",
        Function::StartsWith,
        (2, 2),
        (Type::Text, Type::Bool),
        "starts_with(text, beginning)",
    ),
    signature("text", Function::Text, (1, 1), (Type::Any, Type::Text), "text(x)"),
    signature("upper", Function::Upper, (1, 1), (Type::Text, Type::Text), "upper(text)"),
];

impl Function {
    fn name(self) -> &'static str {
        SIGNATURES.iter().find(|known| known.function == self).map_or("", |known| known.name)
    }

    /// Computes the function.
    pub(crate) fn call(self, arguments: &[Value], texts: &mut Texts<'_>) -> Result<Value, Fault> {
        if arguments.contains(&Value::Null) {
            return Ok(Value::Null);
        }
        match self {
            Function::Concat => return concat(arguments, texts),
            Function::Number => return self.to_number(arguments, texts),
            Function::Text => return self.to_text(arguments, texts),
            _ => {}
        }
        if let [Value::Text(first), rest @ ..] = arguments {
            let first = *first;
            match (self, rest) {
                (Function::Contains, [Value::Text(part)]) => {
                    let found = texts.resolve(first).contains(texts.resolve(*part));
                    return Ok(Value::Bool(found));
                }
                (Function::StartsWith, [Value::Text(part)]) => {
                    let found = texts.resolve(first).starts_with(texts.resolve(*part));
                    return Ok(Value::Bool(found));
                }
                (Function::Len, []) => {
                    return Ok(Value::Number(texts.resolve(first).chars().count() as f64));
                }
                (Function::Lower, []) => {
                    let made = texts.resolve(first).to_lowercase();
                    return Ok(texts.store(&made));
                }
                (Function::Upper, []) => {
                    let made = texts.resolve(first).to_uppercase();
                    return Ok(texts.store(&made));
                }
                _ => {}
            }
        }
        self.compute(arguments)
    }

    /// The functions of numbers.
    fn compute(self, arguments: &[Value]) -> Result<Value, Fault> {
        let result = match (self, arguments) {
            (Function::Abs, [Value::Number(x)]) => x.abs(),
            (Function::Ceil, [Value::Number(x)]) => x.ceil(),
            (
                Function::Clamp,
                [Value::Number(x), Value::Number(lowest), Value::Number(highest)],
            ) => x.min(*highest).max(*lowest),
            (Function::Floor, [Value::Number(x)]) => x.floor(),
            (Function::MaxOf | Function::MinOf, [Value::Number(first), rest @ ..]) => {
                let mut result = *first;
                for value in rest {
                    let Value::Number(x) = value else { return Err(self.fault(arguments)) };
                    result = if self == Function::MaxOf { result.max(*x) } else { result.min(*x) };
                }
                result
            }
            (Function::Pow, [Value::Number(x), Value::Number(exponent)]) => x.powf(*exponent),
            (Function::Round, [Value::Number(x)]) => x.round(),
            (Function::Round, [Value::Number(x), Value::Number(digits)]) => {
                round_digits(*x, *digits)
            }
            (Function::Sqrt, [Value::Number(x)]) => x.sqrt(),
            _ => return Err(self.fault(arguments)),
        };
        Ok(Value::finite(result))
    }

    fn to_number(self, arguments: &[Value], texts: &Texts<'_>) -> Result<Value, Fault> {
        match arguments {
            [Value::Number(x)] => Ok(Value::Number(*x)),
            [Value::Bool(yes)] => Ok(Value::Number(f64::from(u8::from(*yes)))),
            [Value::Text(text)] => {
                let parsed = texts.resolve(*text).trim().parse::<f64>();
                Ok(parsed.map_or(Value::Null, Value::finite))
            }
            _ => Err(self.fault(arguments)),
        }
    }

    fn to_text(self, arguments: &[Value], texts: &mut Texts<'_>) -> Result<Value, Fault> {
        match arguments {
            [Value::Text(text)] => Ok(Value::Text(*text)),
            [Value::Number(x)] => Ok(texts.append(|arena| write_number(*x, arena))),
            [Value::Bool(yes)] => Ok(texts.store(if *yes { "true" } else { "false" })),
            _ => Err(self.fault(arguments)),
        }
    }

    fn fault(self, arguments: &[Value]) -> Fault {
        let kinds: Vec<&str> = arguments.iter().map(|value| value.kind()).collect();
        let message = format!("{}() cannot take {}", self.name(), kinds.join(", "));
        Fault { code: code::TYPE_FAULT, message }
    }
}

/// Joins texts, numbers and truth values.
fn concat(arguments: &[Value], texts: &mut Texts<'_>) -> Result<Value, Fault> {
    let mut made = String::new();
    for value in arguments {
        match value {
            Value::Bool(yes) => made.push_str(if *yes { "true" } else { "false" }),
            Value::Number(x) => write_number(*x, &mut made),
            Value::Text(text) => made.push_str(texts.resolve(*text)),
            Value::Composite | Value::Json(_) | Value::Null => {
                return Err(Function::Concat.fault(arguments));
            }
        }
    }
    if made.len() > TEXT_BYTES_MAX {
        let message = format!("concat() made a text of {} bytes", made.len());
        return Err(Fault { code: code::SIZE_FAULT, message });
    }
    Ok(texts.store(&made))
}

/// Rounds half away from zero; a negative number of digits rounds to tens, hundreds and so on.
fn round_digits(x: f64, digits: f64) -> f64 {
    let digits = digits.round().clamp(-300.0, 300.0);
    if digits < 0.0 {
        let unit = 10f64.powi(-digits as i32);
        return (x / unit).round() * unit;
    }
    let scale = 10f64.powi(digits as i32);
    let rounded = (x * scale).round() / scale;
    // So large that it has no digits there, or the scale overflows.
    if rounded.is_finite() { rounded } else { x }
}
