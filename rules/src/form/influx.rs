//! A line of the InfluxDB line protocol: group values are tags, outputs are fields, the time is
//! the end of the window or the arrival of the message, in nanoseconds.

use super::{Column, fault, value_of};
use crate::expression::Fault;
use crate::json::write_number;
use crate::value::{Texts, Value};

pub(super) fn line(
    measurement: &str,
    columns: &[Column],
    locals: &[Value],
    texts: &Texts<'_>,
    time: i64,
) -> Result<String, Fault> {
    let mut out = String::new();
    push_name(measurement, &[',', ' '], &mut out)?;
    for column in columns.iter().filter(|column| column.is_key) {
        push_tag(&column.name, value_of(column, locals), texts, &mut out)?;
    }
    let mut separator = ' ';
    for column in columns.iter().filter(|column| !column.is_key) {
        let value = value_of(column, locals);
        // The protocol has no null.
        if value == Value::Null {
            continue;
        }
        out.push(separator);
        separator = ',';
        push_name(&column.name, &NAME, &mut out)?;
        out.push('=');
        push_field(value, texts, &mut out);
    }
    if separator == ' ' {
        return Err(fault("every output is null: a line needs a value".to_owned()));
    }
    out.push(' ');
    out.push_str(&(i128::from(time) * NANOSECONDS).to_string());
    Ok(out)
}

/// A tag; one without a value does not exist.
fn push_tag(name: &str, value: Value, texts: &Texts<'_>, out: &mut String) -> Result<(), Fault> {
    let mut text = String::new();
    match value {
        Value::Bool(yes) => text.push_str(if yes { "true" } else { "false" }),
        Value::Composite | Value::Json(_) | Value::Null => {}
        Value::Number(number) => write_number(number, &mut text),
        Value::Text(found) => text.push_str(texts.resolve(found)),
    }
    if text.is_empty() {
        return Ok(());
    }
    out.push(',');
    push_name(name, &NAME, out)?;
    out.push('=');
    push_name(&text, &NAME, out)
}

/// A name or the value of a tag. There is no way to write line breaks, or a backslash at the end.
fn push_name(name: &str, escaped: &[char], out: &mut String) -> Result<(), Fault> {
    if name.contains(['\n', '\r']) || name.ends_with('\\') {
        let why = "a line break or a backslash at its end";
        return Err(fault(format!("`{}` has {why}, which no tag can have", name.escape_debug())));
    }
    for character in name.chars() {
        if escaped.contains(&character) {
            out.push('\\');
        }
        out.push(character);
    }
    Ok(())
}

fn push_field(value: Value, texts: &Texts<'_>, out: &mut String) {
    match value {
        Value::Bool(yes) => out.push_str(if yes { "true" } else { "false" }),
        Value::Composite | Value::Null => {}
        Value::Number(number) => write_number(number, out),
        Value::Json(text) | Value::Text(text) => {
            out.push('"');
            for character in texts.resolve(text).chars() {
                if matches!(character, '"' | '\\') {
                    out.push('\\');
                }
                out.push(character);
            }
            out.push('"');
        }
    }
}

const NAME: [char; 3] = [',', '=', ' '];
const NANOSECONDS: i128 = 1_000_000;
