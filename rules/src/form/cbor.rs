//! CBOR (RFC 8949): the same map as the JSON object of a result.

use super::{Column, WindowLabel, value_of};
use crate::calendar::write_timestamp;
use crate::value::{Texts, Value};

/// All entries by name, then `window`.
pub(super) fn map(
    columns: &[Column],
    window: Option<WindowLabel>,
    locals: &[Value],
    texts: &Texts<'_>,
) -> Vec<u8> {
    let mut out = Vec::new();
    let entries = columns.len() + usize::from(window.is_some());
    push_head(MAP, entries as u64, &mut out);
    for column in columns {
        push_text(&column.name, &mut out);
        push_value(value_of(column, locals), texts, &mut out);
    }
    if let Some(window) = window {
        push_text("window", &mut out);
        push_head(MAP, if window.early.is_some() { 5 } else { 4 }, &mut out);
        for (name, time) in [("start", window.start), ("end", window.end)] {
            let mut stamp = String::new();
            write_timestamp(time, &mut stamp);
            push_text(name, &mut out);
            push_text(&stamp, &mut out);
        }
        push_text("late", &mut out);
        push_head(UNSIGNED, window.late, &mut out);
        push_text("rev", &mut out);
        push_head(UNSIGNED, u64::from(window.revision), &mut out);
        if window.early.is_some() {
            push_text("early", &mut out);
            out.push(TRUE);
        }
    }
    out
}

pub(super) fn push_value(value: Value, texts: &Texts<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Bool(false) => out.push(FALSE),
        Value::Bool(true) => out.push(TRUE),
        Value::Composite | Value::Null => out.push(NULL),
        Value::Json(text) => push_json(texts.resolve(text), out),
        Value::Number(number) => push_number(number, out),
        Value::Text(text) => push_text(texts.resolve(text), out),
    }
}

/// What an aggregate has collected.
fn push_json(text: &str, out: &mut Vec<u8>) {
    let read = serde_json::from_str(text);
    debug_assert!(read.is_ok(), "it was written here");
    push_tree(&read.unwrap_or_default(), out);
}

fn push_tree(tree: &serde_json::Value, out: &mut Vec<u8>) {
    match tree {
        serde_json::Value::Array(items) => {
            push_head(ARRAY, items.len() as u64, out);
            items.iter().for_each(|item| push_tree(item, out));
        }
        serde_json::Value::Bool(yes) => out.push(if *yes { TRUE } else { FALSE }),
        serde_json::Value::Null => out.push(NULL),
        serde_json::Value::Number(number) => push_number(number.as_f64().unwrap_or(0.0), out),
        serde_json::Value::Object(entries) => {
            push_head(MAP, entries.len() as u64, out);
            for (name, value) in entries {
                push_text(name, out);
                push_tree(value, out);
            }
        }
        serde_json::Value::String(text) => push_text(text, out),
    }
}

/// Whole numbers as integers, others as the shortest float that is the same number.
fn push_number(number: f64, out: &mut Vec<u8>) {
    let whole = number as i64;
    let is_whole = whole as f64 == number && whole.unsigned_abs() < WHOLE_MAX;
    let single = number as f32;
    if is_whole && !(number == 0.0 && number.is_sign_negative()) {
        match u64::try_from(whole) {
            Ok(unsigned) => push_head(UNSIGNED, unsigned, out),
            // -1 - n, so that no bit is lost.
            Err(_) => push_head(NEGATIVE, whole.unsigned_abs() - 1, out),
        }
    } else if f64::from(single) == number {
        out.push(SINGLE);
        out.extend_from_slice(&single.to_be_bytes());
    } else {
        out.push(DOUBLE);
        out.extend_from_slice(&number.to_be_bytes());
    }
}

fn push_text(text: &str, out: &mut Vec<u8>) {
    push_head(TEXT, text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

/// The kind of an item and its number, in the fewest bytes.
fn push_head(kind: u8, number: u64, out: &mut Vec<u8>) {
    let kind = kind << 5;
    let bytes = number.to_be_bytes();
    match number {
        0..24 => out.push(kind | bytes[7]),
        24..0x100 => out.extend_from_slice(&[kind | 24, bytes[7]]),
        0x100..0x1_0000 => {
            out.push(kind | 25);
            out.extend_from_slice(&bytes[6..]);
        }
        0x1_0000..0x1_0000_0000 => {
            out.push(kind | 26);
            out.extend_from_slice(&bytes[4..]);
        }
        _ => {
            out.push(kind | 27);
            out.extend_from_slice(&bytes);
        }
    }
}

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;
const NULL: u8 = 0xf6;
const SINGLE: u8 = 0xfa;
const DOUBLE: u8 = 0xfb;
/// 2^53: up to here each whole number has its own floating-point number.
const WHOLE_MAX: u64 = 1 << 53;
