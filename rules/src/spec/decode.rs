//! `decode`: a word, `bytes:` with a place, or a table for rows and for several places.

use std::sync::Arc;

use weir_config::nearest;

use super::section::{Entry, Section};
use super::{Located, Report};
use crate::code;
use crate::limits::COLUMNS_MAX;
use crate::payload::{CsvForm, Decode, Fixed};

/// Reads `decode`; JSON if it is not given, or cannot be read.
pub(super) fn read_decode(section: &mut Section<'_, '_>, report: &mut Report<'_>) -> Decode {
    let Some(entry) = section.take("decode") else { return Decode::Json };
    let read = if entry.value.is_table() {
        read_table(&entry, report)
    } else {
        entry.text(report).and_then(|text| read_word(&text, report))
    };
    read.unwrap_or(Decode::Json)
}

fn read_word(text: &Located, report: &mut Report<'_>) -> Option<Decode> {
    let word = text.value.as_str();
    if let Some(place) = word.strip_prefix(BYTES) {
        return read_fixed("value", place, text, BYTES.len(), report)
            .map(|field| Decode::Bytes(Arc::from([field])));
    }
    Some(match word {
        "bool" => Decode::Bool,
        "cbor" => Decode::Cbor,
        "csv" => Decode::Csv(Arc::new(HEADER)),
        "influx" => Decode::Influx,
        "json" => Decode::Json,
        "msgpack" => Decode::MessagePack,
        "number" => Decode::Number,
        "sparkplug" => Decode::Sparkplug,
        "text" => Decode::Text,
        _ => {
            let message = format!("unknown decode `{word}`");
            let list = format!("{}, bytes:TYPE@BYTE", WORDS.join(", "));
            let help = match nearest(word, WORDS) {
                Some(near) => format!("did you mean `{near}`? choices: {list}"),
                None => format!("choices: {list}"),
            };
            let label = "not one of the choices";
            report.error_with_help(code::WRONG_VALUE, message, &text.place, label, help);
            return None;
        }
    })
}

/// `{ csv = ..., separator, decimal }` or `{ bytes = { ... } }`.
fn read_table(entry: &Entry<'_, '_>, report: &mut Report<'_>) -> Option<Decode> {
    let mut section = entry.table("`decode`", report)?;
    let (csv, bytes) = (section.take("csv"), section.take("bytes"));
    let decode = match (csv, bytes) {
        (Some(csv), None) => read_csv(&csv, &mut section, report),
        (None, Some(bytes)) => read_bytes(&bytes, report),
        _ => {
            // They are known, so that only one thing is wrong.
            section.take("separator");
            section.take("decimal");
            let message = "`decode` is a word, or a table with `csv` or `bytes`";
            let help = "for example decode = { csv = [\"time\", \"temp\"] }";
            let label = "one of the two";
            report.error_with_help(code::MISSING_KEY, message, &entry.place, label, help);
            None
        }
    };
    section.finish(report);
    decode
}

fn read_csv(
    entry: &Entry<'_, '_>,
    section: &mut Section<'_, '_>,
    report: &mut Report<'_>,
) -> Option<Decode> {
    let separator = section.text("separator", report);
    let decimal = section.choice("decimal", &[(".", false), (",", true)], report);
    let columns = match entry.value.as_str() {
        Some("header") => None,
        Some(_) => {
            entry.wrong("a list of columns, or \"header\" if the first row names them", report);
            return None;
        }
        None => Some(read_columns(entry, report)?),
    };
    let decimal_comma = decimal.as_ref().is_some_and(|(comma, _)| *comma);
    let separator = match &separator {
        None if decimal_comma => b';',
        None => b',',
        Some(text) => read_separator(text, decimal_comma, report)?,
    };
    Some(Decode::Csv(Arc::new(CsvForm { columns, separator, decimal_comma })))
}

fn read_columns(entry: &Entry<'_, '_>, report: &mut Report<'_>) -> Option<Vec<String>> {
    let list = entry.list();
    if list.is_empty() || list.len() > COLUMNS_MAX {
        entry.wrong(&format!("a list of 1 to {COLUMNS_MAX} columns"), report);
        return None;
    }
    let mut names: Vec<String> = Vec::with_capacity(list.len());
    for item in &list {
        let text = item.text(report)?;
        if !text.value.is_empty() && names.contains(&text.value) {
            let message = format!("column `{}` is named twice", text.value);
            report.error(code::DUPLICATE, message, &text.place, "second time");
        }
        names.push(text.value);
    }
    Some(names)
}

fn read_separator(text: &Located, decimal_comma: bool, report: &mut Report<'_>) -> Option<u8> {
    let problem = match text.value.as_bytes() {
        [b'"' | b'\r' | b'\n'] => "quotes and line breaks mean something else",
        [b','] if decimal_comma => "the comma is the decimal point",
        [b'0'..=b'9' | b'+' | b'-' | b'.'] => "this is part of numbers",
        [byte] if byte.is_ascii() => return Some(*byte),
        _ => "one ASCII character, for example \";\" or \"\\t\"",
    };
    report.error(code::WRONG_VALUE, "this cannot separate columns", &text.place, problem);
    None
}

fn read_bytes(entry: &Entry<'_, '_>, report: &mut Report<'_>) -> Option<Decode> {
    let entries = entry.entries().filter(|entries| (1..=COLUMNS_MAX).contains(&entries.len()));
    let Some(entries) = entries else {
        entry.wrong("a table of names and places: { temp = \"i16be@0\" }", report);
        return None;
    };
    let mut fields = Vec::with_capacity(entries.len());
    for entry in entries {
        let read = entry.text(report).and_then(|text| {
            let word = text.value.strip_prefix(BYTES).unwrap_or(&text.value);
            read_fixed(&entry.key, word, &text, text.value.len() - word.len(), report)
        });
        fields.extend(read);
    }
    Some(Decode::Bytes(fields.into()))
}

fn read_fixed(
    name: &str,
    word: &str,
    text: &Located,
    start: usize,
    report: &mut Report<'_>,
) -> Option<Fixed> {
    match Fixed::parse(name, word) {
        Ok(field) => Some(field),
        Err(reason) => {
            let place = text.inside(report.sources, start..text.value.len());
            let message = format!("`{word}` is not a place in a payload");
            let help = "for example f32le@4, u16be@0 or bool@3.7";
            report.error_with_help(code::WRONG_VALUE, message, &place, reason, help);
            None
        }
    }
}

const BYTES: &str = "bytes:";
/// Rows whose columns the first of them names.
const HEADER: CsvForm = CsvForm { columns: None, separator: b',', decimal_comma: false };
const WORDS: [&str; 9] =
    ["json", "number", "text", "bool", "cbor", "msgpack", "influx", "csv", "sparkplug"];
