//! Patterns: `*` and `?` for `matches`, braces for `format`.

use std::fmt::Write;

use super::text::write;
use crate::value::{Texts, Value};

/// Whether a whole text fits a pattern: `*` is any characters, `?` is one.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let (mut wanted, mut rest) = (pattern.chars(), text.chars());
    // What follows the last star, and where the text is tried next after it.
    let mut star = None;
    loop {
        let (mut next_wanted, mut next_rest) = (wanted.clone(), rest.clone());
        match (next_wanted.next(), next_rest.next()) {
            (Some('*'), _) => {
                wanted = next_wanted.clone();
                star = Some((next_wanted, rest.clone()));
                continue;
            }
            (None, None) => return true,
            (Some(_), None) => return false,
            (Some(sign), Some(character)) if sign == '?' || sign == character => {
                (wanted, rest) = (next_wanted, next_rest);
                continue;
            }
            _ => {}
        }
        // The last star takes one character more.
        let Some((after, from)) = &mut star else { return false };
        if from.next().is_none() {
            return false;
        }
        (wanted, rest) = (after.clone(), from.clone());
    }
}

/// A part of a pattern for `format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'p> {
    Literal(&'p str),
    Value(Shape),
}

/// How a value is written: `{:<08.2}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Shape {
    /// Whether it stands at the left or right of its width; numbers at the right if not said.
    left: Option<bool>,
    zeros: bool,
    width: usize,
    digits: Option<usize>,
}

/// Checks a pattern for so many values; an error says what is wrong.
pub(crate) fn check_format(pattern: &str, values: usize) -> Result<(), String> {
    let mut rest = pattern;
    let mut wanted = 0;
    while let Some(piece) = next_piece(&mut rest) {
        wanted += usize::from(matches!(piece?, Piece::Value(_)));
    }
    if wanted != values {
        return Err(format!("it has {wanted} places for {values} values"));
    }
    Ok(())
}

/// Fills a pattern; `None` if a value has no text.
pub(super) fn format(pattern: &str, values: &[Value], texts: &Texts<'_>) -> Option<String> {
    let (mut rest, mut out) = (pattern, String::new());
    let mut values = values.iter();
    while let Some(piece) = next_piece(&mut rest) {
        match piece.ok()? {
            Piece::Literal(text) => out.push_str(text),
            Piece::Value(shape) => write_shaped(*values.next()?, shape, texts, &mut out)?,
        }
    }
    Some(out)
}

fn write_shaped(value: Value, shape: Shape, texts: &Texts<'_>, out: &mut String) -> Option<()> {
    let start = out.len();
    match (value, shape.digits) {
        (Value::Number(x), Some(digits)) => {
            write!(out, "{x:.digits$}").ok()?;
            let zero = out.get(start..)?.bytes().all(|byte| matches!(byte, b'-' | b'0' | b'.'));
            if zero && out.get(start..)?.starts_with('-') {
                out.remove(start);
            }
        }
        _ => write(value, texts, out)?,
    }
    let written = out.get(start..)?;
    let missing = shape.width.saturating_sub(written.chars().count());
    let is_number = matches!(value, Value::Number(_));
    if shape.left.unwrap_or(!is_number) {
        out.extend(std::iter::repeat_n(' ', missing));
    } else if shape.zeros && is_number {
        let sign = usize::from(written.starts_with('-'));
        out.insert_str(start + sign, &"0".repeat(missing));
    } else {
        out.insert_str(start, &" ".repeat(missing));
    }
    Some(())
}

/// Takes a piece from the front of a pattern.
fn next_piece<'p>(rest: &mut &'p str) -> Option<Result<Piece<'p>, String>> {
    let whole = *rest;
    if whole.is_empty() {
        return None;
    }
    for (double, one) in [("{{", "{"), ("}}", "}")] {
        if let Some(after) = whole.strip_prefix(double) {
            *rest = after;
            return Some(Ok(Piece::Literal(one)));
        }
    }
    if whole.starts_with('}') {
        return Some(Err("a brace that stands for itself is written twice".to_owned()));
    }
    let Some(inside) = whole.strip_prefix('{') else {
        let end = whole.find(['{', '}']).unwrap_or(whole.len());
        let (literal, after) = whole.split_at_checked(end)?;
        *rest = after;
        return Some(Ok(Piece::Literal(literal)));
    };
    let Some((shape, after)) = inside.split_once('}') else {
        return Some(Err("a brace is not closed".to_owned()));
    };
    *rest = after;
    Some(read_shape(shape).map(Piece::Value).ok_or_else(|| {
        format!("`{{{shape}}}` is not a place for a value; write {{}}, {{:.1}} or {{:05.1}}")
    }))
}

/// Reads `:<08.2` without its braces.
fn read_shape(text: &str) -> Option<Shape> {
    let mut shape = Shape::default();
    if text.is_empty() {
        return Some(shape);
    }
    let mut text = text.strip_prefix(':')?;
    for (sign, left) in [('<', true), ('>', false)] {
        if let Some(after) = text.strip_prefix(sign) {
            (shape.left, text) = (Some(left), after);
        }
    }
    let (width, digits) = text.split_once('.').map_or((text, None), |(w, d)| (w, Some(d)));
    let number = |text: &str| -> Option<usize> {
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|number| plain && *number <= SHAPE_MAX)
    };
    if !width.is_empty() {
        shape.zeros = width.starts_with('0');
        shape.width = number(width)?;
    }
    if let Some(digits) = digits {
        shape.digits = Some(number(digits)?);
    }
    Some(shape)
}

/// Width and digits of a value.
const SHAPE_MAX: usize = 100;
