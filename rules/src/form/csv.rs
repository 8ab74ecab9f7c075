//! A row of CSV as in RFC 4180, without a line end: one message is one row.

use super::{Column, WindowLabel, value_of};
use crate::calendar::write_timestamp;
use crate::json::write_number;
use crate::value::{Texts, Value};

/// All entries in their order, then start and end of the window.
pub(super) fn row(
    columns: &[Column],
    window: Option<WindowLabel>,
    locals: &[Value],
    texts: &Texts<'_>,
) -> String {
    let mut out = String::new();
    for (position, column) in columns.iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        push_value(value_of(column, locals), texts, &mut out);
    }
    for time in window.iter().flat_map(|window| [window.start, window.end]) {
        out.push(',');
        write_timestamp(time, &mut out);
    }
    out
}

/// Null is an empty cell, an empty text one in quotes.
pub(super) fn push_value(value: Value, texts: &Texts<'_>, out: &mut String) {
    match value {
        Value::Bool(yes) => out.push_str(if yes { "true" } else { "false" }),
        Value::Composite | Value::Null => {}
        Value::Number(number) => write_number(number, out),
        Value::Json(text) | Value::Text(text) => push_text(texts.resolve(text), out),
    }
}

fn push_text(text: &str, out: &mut String) {
    let is_plain =
        !text.is_empty() && text == text.trim() && !text.contains(['"', ',', ';', '\r', '\n']);
    if is_plain {
        out.push_str(text);
        return;
    }
    out.push('"');
    for character in text.chars() {
        if character == '"' {
            out.push('"');
        }
        out.push(character);
    }
    out.push('"');
}
