//! The functions of the language: names, arguments and what they compute.
//!
//! A null argument makes the result null, except for `coalesce` and `if`, which are compiled to
//! jumps and do not appear here. Functions of numbers give the same bits on every machine.

mod number;
mod pattern;
mod text;
mod time;

pub(super) use pattern::check_format;
pub(super) use time::{CALENDAR, CalendarPart, calendar};

use super::Fault;
use super::program::Type;
use crate::code;
use crate::value::{Texts, Value};

/// Functions that run as one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Abs,
    Acos,
    Asin,
    Atan,
    Atan2,
    Between,
    Bit,
    Bits,
    Ceil,
    Clamp,
    Concat,
    Contains,
    Cos,
    Degrees,
    DewPoint,
    DistanceM,
    EndsWith,
    Exp,
    Floor,
    Format,
    FromHex,
    Hex,
    In,
    Len,
    Ln,
    Log10,
    Log2,
    Lower,
    Matches,
    MaxOf,
    MinOf,
    Number,
    PadLeft,
    PadRight,
    ParseTime,
    Pow,
    Radians,
    Replace,
    Round,
    Sign,
    Sin,
    SplitPart,
    Sqrt,
    StartsWith,
    Substr,
    Tan,
    Text,
    Trim,
    Trunc,
    Upper,
}

/// How a function is called.
#[derive(Debug)]
pub(crate) struct Signature {
    pub(crate) name: &'static str,
    pub(crate) function: Function,
    pub(crate) arguments_min: usize,
    pub(crate) arguments_max: usize,
    /// What each argument must be; the last one stands for all that follow.
    arguments: &'static [Type],
    pub(crate) result: Type,
    /// For help texts.
    pub(crate) usage: &'static str,
}

impl Signature {
    /// What an argument must be.
    pub(crate) fn argument(&self, position: usize) -> Type {
        self.arguments.get(position).or(self.arguments.last()).copied().unwrap_or(Type::Any)
    }
}

const fn signature(
    name: &'static str,
    function: Function,
    (arguments_min, arguments_max): (usize, usize),
    arguments: &'static [Type],
    result: Type,
    usage: &'static str,
) -> Signature {
    Signature { name, function, arguments_min, arguments_max, arguments, result, usage }
}

const fn of_numbers(
    name: &'static str,
    function: Function,
    counts: (usize, usize),
    usage: &'static str,
) -> Signature {
    signature(name, function, counts, &[Type::Number], Type::Number, usage)
}

const fn of_text(
    name: &'static str,
    function: Function,
    result: Type,
    usage: &'static str,
) -> Signature {
    signature(name, function, (1, 1), &[Type::Text], result, usage)
}

const fn of_two_texts(name: &'static str, function: Function, usage: &'static str) -> Signature {
    signature(name, function, (2, 2), &[Type::Text], Type::Bool, usage)
}

/// Every function, in alphabetical order.
#[rustfmt::skip]
pub(crate) const SIGNATURES: [Signature; 50] = [
    of_numbers("abs", Function::Abs, (1, 1), "abs(x)"),
    of_numbers("acos", Function::Acos, (1, 1), "acos(x)"),
    of_numbers("asin", Function::Asin, (1, 1), "asin(x)"),
    of_numbers("atan", Function::Atan, (1, 1), "atan(x)"),
    of_numbers("atan2", Function::Atan2, (2, 2), "atan2(y, x)"),
    signature("between", Function::Between, (3, 3), &[Type::Number], Type::Bool, "between(x, lowest, highest)"),
    signature("bit", Function::Bit, (2, 2), &[Type::Number], Type::Bool, "bit(x, number)"),
    of_numbers("bits", Function::Bits, (3, 3), "bits(x, from, count)"),
    of_numbers("ceil", Function::Ceil, (1, 1), "ceil(x)"),
    of_numbers("clamp", Function::Clamp, (3, 3), "clamp(x, lowest, highest)"),
    signature("concat", Function::Concat, (1, 16), &[Type::Any], Type::Text, "concat(a, b, ...)"),
    of_two_texts("contains", Function::Contains, "contains(text, part)"),
    of_numbers("cos", Function::Cos, (1, 1), "cos(x)"),
    of_numbers("degrees", Function::Degrees, (1, 1), "degrees(x)"),
    of_numbers("dew_point", Function::DewPoint, (2, 2), "dew_point(celsius, percent)"),
    of_numbers("distance_m", Function::DistanceM, (4, 4), "distance_m(lat1, lon1, lat2, lon2)"),
    of_two_texts("ends_with", Function::EndsWith, "ends_with(text, end)"),
    of_numbers("exp", Function::Exp, (1, 1), "exp(x)"),
    of_numbers("floor", Function::Floor, (1, 1), "floor(x)"),
    signature("format", Function::Format, (1, 17), &[Type::Text, Type::Any], Type::Text, "format('{:.1} C', x)"),
    of_text("from_hex", Function::FromHex, Type::Number, "from_hex(text)"),
    signature("hex", Function::Hex, (1, 2), &[Type::Number], Type::Text, "hex(x) or hex(x, digits)"),
    signature("in", Function::In, (2, 64), &[Type::Any], Type::Bool, "in(x, a, b, ...)"),
    of_text("len", Function::Len, Type::Number, "len(text)"),
    of_numbers("ln", Function::Ln, (1, 1), "ln(x)"),
    of_numbers("log10", Function::Log10, (1, 1), "log10(x)"),
    of_numbers("log2", Function::Log2, (1, 1), "log2(x)"),
    of_text("lower", Function::Lower, Type::Text, "lower(text)"),
    of_two_texts("matches", Function::Matches, "matches(text, 'a*b?')"),
    of_numbers("max_of", Function::MaxOf, (1, 16), "max_of(a, b, ...)"),
    of_numbers("min_of", Function::MinOf, (1, 16), "min_of(a, b, ...)"),
    signature("number", Function::Number, (1, 1), &[Type::Any], Type::Number, "number(x)"),
    signature("pad_left", Function::PadLeft, (2, 3), &[Type::Any, Type::Number, Type::Text], Type::Text, "pad_left(x, width) or pad_left(x, width, '0')"),
    signature("pad_right", Function::PadRight, (2, 3), &[Type::Any, Type::Number, Type::Text], Type::Text, "pad_right(x, width) or pad_right(x, width, '.')"),
    of_text("parse_time", Function::ParseTime, Type::Number, "parse_time(text)"),
    of_numbers("pow", Function::Pow, (2, 2), "pow(x, exponent)"),
    of_numbers("radians", Function::Radians, (1, 1), "radians(x)"),
    signature("replace", Function::Replace, (3, 3), &[Type::Text], Type::Text, "replace(text, part, by)"),
    of_numbers("round", Function::Round, (1, 2), "round(x) or round(x, digits)"),
    of_numbers("sign", Function::Sign, (1, 1), "sign(x)"),
    of_numbers("sin", Function::Sin, (1, 1), "sin(x)"),
    signature("split_part", Function::SplitPart, (3, 3), &[Type::Text, Type::Text, Type::Number], Type::Text, "split_part(text, separator, number)"),
    of_numbers("sqrt", Function::Sqrt, (1, 1), "sqrt(x)"),
    of_two_texts("starts_with", Function::StartsWith, "starts_with(text, beginning)"),
    signature("substr", Function::Substr, (2, 3), &[Type::Text, Type::Number], Type::Text, "substr(text, from) or substr(text, from, count)"),
    of_numbers("tan", Function::Tan, (1, 1), "tan(x)"),
    signature("text", Function::Text, (1, 1), &[Type::Any], Type::Text, "text(x)"),
    of_text("trim", Function::Trim, Type::Text, "trim(text)"),
    of_numbers("trunc", Function::Trunc, (1, 1), "trunc(x)"),
    of_text("upper", Function::Upper, Type::Text, "upper(text)"),
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
        // Most calls are those of numbers.
        if let Some(value) = number::call(self, arguments) {
            return Ok(value);
        }
        match text::call(self, arguments, texts) {
            Some(Ok(value)) => Ok(value),
            Some(Err(text::TooLong(bytes))) => {
                let message = format!("{}() made a text of {bytes} bytes", self.name());
                Err(Fault { code: code::SIZE_FAULT, message })
            }
            None => Err(self.fault(arguments)),
        }
    }

    fn fault(self, arguments: &[Value]) -> Fault {
        let kinds: Vec<&str> = arguments.iter().map(|value| value.kind()).collect();
        let message = format!("{}() cannot take {}", self.name(), kinds.join(", "));
        Fault { code: code::TYPE_FAULT, message }
    }
}
