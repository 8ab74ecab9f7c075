//! Functions of texts, and those that make texts.

use super::Function;
use super::number::whole;
use super::pattern::{format, glob};
use crate::calendar::read_timestamp;
use crate::json::write_number;
use crate::limits::TEXT_BYTES_MAX;
use crate::value::{Text, Texts, Value};

/// A text of so many bytes would have been made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong(pub(super) usize);

/// Computes a function; `None` if it does not take these values.
pub(super) fn call(
    function: Function,
    arguments: &[Value],
    texts: &mut Texts<'_>,
) -> Option<Result<Value, TooLong>> {
    let made = match (function, arguments) {
        (Function::Concat, values) => {
            let mut made = String::new();
            for value in values {
                write(*value, texts, &mut made)?;
            }
            made
        }
        (Function::Format, [Value::Text(pattern), values @ ..]) => {
            format(texts.resolve(*pattern), values, texts)?
        }
        (Function::Hex, [Value::Number(x), digits @ ..]) => match hex(*x, digits)? {
            Some(made) => made,
            None => return Some(Ok(Value::Null)),
        },
        (Function::PadLeft | Function::PadRight, [value, Value::Number(width), fill @ ..]) => {
            let fill = match fill {
                [Value::Text(fill)] => texts.resolve(*fill).chars().next().unwrap_or(' '),
                [] => ' ',
                _ => return None,
            };
            match pad(function == Function::PadLeft, *value, *width, fill, texts)? {
                Ok(made) => made,
                Err(long) => return Some(Err(long)),
            }
        }
        (Function::Lower, [Value::Text(text)]) => texts.resolve(*text).to_lowercase(),
        (Function::Replace, [Value::Text(text), Value::Text(part), Value::Text(by)]) => {
            match replace(texts.resolve(*text), texts.resolve(*part), texts.resolve(*by)) {
                Ok(made) => made,
                Err(long) => return Some(Err(long)),
            }
        }
        (Function::Text, [value]) => match value {
            Value::Text(_) => return Some(Ok(*value)),
            _ => {
                let mut made = String::new();
                write(*value, texts, &mut made)?;
                made
            }
        },
        (Function::Upper, [Value::Text(text)]) => texts.resolve(*text).to_uppercase(),
        _ => return look(function, arguments, texts).map(Ok),
    };
    if made.len() > TEXT_BYTES_MAX {
        return Some(Err(TooLong(made.len())));
    }
    Some(Ok(texts.store(&made)))
}

/// Functions that only look at texts, or give a part of one.
fn look(function: Function, arguments: &[Value], texts: &Texts<'_>) -> Option<Value> {
    Some(match (function, arguments) {
        (Function::Contains, [Value::Text(text), Value::Text(part)]) => {
            Value::Bool(texts.resolve(*text).contains(texts.resolve(*part)))
        }
        (Function::EndsWith, [Value::Text(text), Value::Text(end)]) => {
            Value::Bool(texts.resolve(*text).ends_with(texts.resolve(*end)))
        }
        (Function::FromHex, [Value::Text(text)]) => from_hex(texts.resolve(*text)),
        (Function::In, [value, choices @ ..]) => {
            Value::Bool(choices.iter().any(|choice| equal(*value, *choice, texts)))
        }
        (Function::Len, [Value::Text(text)]) => {
            Value::Number(texts.resolve(*text).chars().count() as f64)
        }
        (Function::Matches, [Value::Text(text), Value::Text(pattern)]) => {
            let (text, pattern) = (texts.resolve(*text), texts.resolve(*pattern));
            // Bounds the work: it grows with the product of both.
            if text.len() > TEXT_BYTES_MAX {
                return Some(Value::Null);
            }
            Value::Bool(glob(pattern, text))
        }
        (Function::Number, [Value::Bool(yes)]) => Value::Number(f64::from(u8::from(*yes))),
        (Function::Number, [Value::Text(text)]) => {
            let parsed = texts.resolve(*text).trim().parse::<f64>();
            parsed.map_or(Value::Null, Value::finite)
        }
        (Function::ParseTime, [Value::Text(text)]) => {
            let time = read_timestamp(texts.resolve(*text));
            time.map_or(Value::Null, |ms| Value::Number(ms as f64))
        }
        (Function::SplitPart, [Value::Text(text), Value::Text(by), Value::Number(number)]) => {
            let found = split_part(texts.resolve(*text), texts.resolve(*by), *number);
            found.map_or(Value::Null, |(start, len)| part_of(*text, start, len))
        }
        (Function::StartsWith, [Value::Text(text), Value::Text(beginning)]) => {
            Value::Bool(texts.resolve(*text).starts_with(texts.resolve(*beginning)))
        }
        (Function::Substr, [Value::Text(text), Value::Number(from), count @ ..]) => {
            let count = match count {
                [Value::Number(count)] => *count,
                [] => f64::INFINITY,
                _ => return None,
            };
            let (start, len) = substr(texts.resolve(*text), *from, count);
            part_of(*text, start, len)
        }
        (Function::Trim, [Value::Text(text)]) => {
            let whole = texts.resolve(*text);
            let start = whole.len() - whole.trim_start().len();
            part_of(*text, start, whole.trim().len())
        }
        _ => return None,
    })
}

/// Appends a value as text; `None` if it has no text.
pub(super) fn write(value: Value, texts: &Texts<'_>, out: &mut String) -> Option<()> {
    match value {
        Value::Bool(yes) => out.push_str(if yes { "true" } else { "false" }),
        Value::Number(x) => write_number(x, out),
        Value::Text(text) => out.push_str(texts.resolve(text)),
        Value::Composite | Value::Json(_) | Value::Null => return None,
    }
    Some(())
}

/// A part of a text, in bytes, without a copy.
fn part_of(text: Text, start: usize, len: usize) -> Value {
    Value::Text(Text { start: text.start + start as u32, len: len as u32, ..text })
}

fn equal(left: Value, right: Value, texts: &Texts<'_>) -> bool {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => texts.resolve(left) == texts.resolve(right),
        (Value::Bool(_) | Value::Number(_), _) => left == right,
        _ => false,
    }
}

/// Start and length in bytes of some characters; a negative `from` counts from the end.
fn substr(text: &str, from: f64, count: f64) -> (usize, usize) {
    let skipped = if from < 0.0 {
        (text.chars().count() as f64 + from.floor()).max(0.0)
    } else {
        from.floor()
    };
    let mut characters = text.chars();
    // More than there are characters is as good as all.
    let skip = (skipped as usize).min(text.len());
    let start = text.len() - after(&mut characters, skip);
    let end = text.len() - after(&mut characters, (count.max(0.0) as usize).min(text.len()));
    (start, end - start)
}

/// Takes some characters; gives the bytes that are left.
fn after(characters: &mut std::str::Chars<'_>, count: usize) -> usize {
    if count > 0 {
        characters.nth(count - 1);
    }
    characters.as_str().len()
}

/// Start and length in bytes of a part between separators; a negative number counts from the end.
fn split_part(text: &str, separator: &str, number: f64) -> Option<(usize, usize)> {
    let number = whole(number)?;
    if separator.is_empty() {
        return None;
    }
    let part = if number < 0 {
        text.rsplit(separator).nth(usize::try_from(-1 - number).ok()?)?
    } else {
        text.split(separator).nth(usize::try_from(number).ok()?)?
    };
    Some((part.as_ptr().addr() - text.as_ptr().addr(), part.len()))
}

fn replace(text: &str, part: &str, by: &str) -> Result<String, TooLong> {
    if part.is_empty() {
        return Ok(text.to_owned());
    }
    let grown = text.matches(part).count().saturating_mul(by.len());
    if grown.saturating_add(text.len()) > 2 * TEXT_BYTES_MAX {
        return Err(TooLong(grown.saturating_add(text.len())));
    }
    Ok(text.replace(part, by))
}

/// Fills a value up to a number of characters.
fn pad(
    left: bool,
    value: Value,
    width: f64,
    fill: char,
    texts: &Texts<'_>,
) -> Option<Result<String, TooLong>> {
    let mut made = String::new();
    write(value, texts, &mut made)?;
    let width = width.max(0.0) as usize;
    if width > TEXT_BYTES_MAX {
        return Some(Err(TooLong(width)));
    }
    let missing = width.saturating_sub(made.chars().count());
    let filling = std::iter::repeat_n(fill, missing);
    Some(Ok(if left {
        filling.chain(made.chars()).collect()
    } else {
        made.extend(filling);
        made
    }))
}

/// A whole number in hexadecimal digits, at least `digits`; `Some(None)` if it is not whole.
fn hex(x: f64, digits: &[Value]) -> Option<Option<String>> {
    let digits = match digits {
        [] => 1.0,
        [Value::Number(digits)] => digits.clamp(1.0, 16.0),
        _ => return None,
    };
    let x = whole(x).filter(|x| *x >= 0);
    Some(x.map(|x| format!("{x:0digits$x}", digits = digits as usize)))
}

fn from_hex(text: &str) -> Value {
    let text = text.trim();
    let digits = text.strip_prefix("0x").or(text.strip_prefix("0X")).unwrap_or(text);
    let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = if plain { i64::from_str_radix(digits, 16).ok() } else { None };
    let exact = number.filter(|number| whole(*number as f64) == Some(*number));
    exact.map_or(Value::Null, |number| Value::Number(number as f64))
}
