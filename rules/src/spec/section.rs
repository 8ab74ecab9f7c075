//! A TOML table that is read key by key; what nobody asked for is an error.

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use weir_config::nearest;

use super::quantity::{read_bytes, read_duration};
use super::{Located, Named, Place, Report};
use crate::code;

/// A table while it is read.
pub(super) struct Section<'t, 'i> {
    table: &'t DeTable<'i>,
    file: usize,
    /// What the table is, for messages: "a rule", "`time`".
    what: &'static str,
    known: Vec<&'static str>,
}

/// A value and where it and its key stand.
#[derive(Clone)]
pub(super) struct Entry<'t, 'i> {
    pub(super) value: &'t DeValue<'i>,
    pub(super) place: Place,
    pub(super) key: String,
    pub(super) key_place: Place,
}

impl<'t, 'i> Section<'t, 'i> {
    pub(super) fn new(table: &'t DeTable<'i>, file: usize, what: &'static str) -> Self {
        Self { table, file, what, known: Vec::new() }
    }

    /// Takes the value of a key.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Entry<'t, 'i>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let (name, value) = self.table.iter().find(|(name, _)| name.get_ref() == key)?;
        Some(entry(name, value, self.file))
    }

    pub(super) fn text(&mut self, key: &'static str, report: &mut Report<'_>) -> Option<Located> {
        self.take(key)?.text(report)
    }

    /// A text that is an expression; plain numbers and truth values need no quotes.
    pub(super) fn expression(
        &mut self,
        key: &'static str,
        report: &mut Report<'_>,
    ) -> Option<Located> {
        self.take(key)?.expression(report)
    }

    pub(super) fn bool(&mut self, key: &'static str, report: &mut Report<'_>) -> Option<bool> {
        let entry = self.take(key)?;
        let found = entry.value.as_bool();
        if found.is_none() {
            entry.wrong("true or false", report);
        }
        found
    }

    /// A duration in milliseconds.
    pub(super) fn duration(&mut self, key: &'static str, report: &mut Report<'_>) -> Option<i64> {
        let text = self.text(key, report)?;
        match read_duration(&text.value) {
            Ok(ms) => Some(ms),
            Err(why) => {
                let message = format!("`{}` is not a duration", text.value);
                report.error(code::QUANTITY, message, &text.place, why);
                None
            }
        }
    }

    /// A number of bytes.
    pub(super) fn bytes(
        &mut self,
        key: &'static str,
        report: &mut Report<'_>,
    ) -> Option<(u64, Place)> {
        let entry = self.take(key)?;
        if let Some(number) = entry.integer() {
            return u64::try_from(number).ok().map(|bytes| (bytes, entry.place));
        }
        let text = entry.text(report)?;
        match read_bytes(&text.value) {
            Ok(bytes) => Some((bytes, text.place)),
            Err(why) => {
                let message = format!("`{}` is not a size", text.value);
                report.error(code::QUANTITY, message, &text.place, why);
                None
            }
        }
    }

    /// A whole number within a range.
    pub(super) fn integer(
        &mut self,
        key: &'static str,
        range: std::ops::RangeInclusive<i64>,
        report: &mut Report<'_>,
    ) -> Option<(i64, Place)> {
        let entry = self.take(key)?;
        match entry.integer().filter(|number| range.contains(number)) {
            Some(number) => Some((number, entry.place)),
            None => {
                let wanted = format!("a whole number from {} to {}", range.start(), range.end());
                entry.wrong(&wanted, report);
                None
            }
        }
    }

    /// One of several words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&'static str, T)],
        report: &mut Report<'_>,
    ) -> Option<(T, Place)> {
        let text = self.text(key, report)?;
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == text.value) {
            return Some((*choice, text.place));
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let message = format!("unknown {key} `{}`", text.value);
        let help = match nearest(&text.value, words.iter().copied()) {
            Some(near) => format!("did you mean `{near}`? choices: {}", words.join(", ")),
            None => format!("choices: {}", words.join(", ")),
        };
        let label = "not one of the choices";
        report.error_with_help(code::WRONG_VALUE, message, &text.place, label, help);
        None
    }

    /// Reports every key that was not asked for.
    pub(super) fn finish(self, report: &mut Report<'_>) {
        for (name, value) in self.table {
            let name_text: &str = name.get_ref();
            if self.known.contains(&name_text) {
                continue;
            }
            let entry = entry(name, value, self.file);
            let message = format!("unknown key `{name_text}`");
            let label = format!("not a key of {}", self.what);
            let list = self.known.join(", ");
            let help = match nearest(name_text, self.known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("keys of {}: {list}", self.what),
            };
            report.error_with_help(code::UNKNOWN_KEY, message, &entry.key_place, label, help);
        }
    }
}

impl<'t, 'i> Entry<'t, 'i> {
    pub(super) fn text(&self, report: &mut Report<'_>) -> Option<Located> {
        match self.value.as_str() {
            Some(text) => Some(Located { value: text.to_owned(), place: self.place.clone() }),
            None => {
                self.wrong("a text", report);
                None
            }
        }
    }

    pub(super) fn expression(&self, report: &mut Report<'_>) -> Option<Located> {
        let value = match self.value {
            DeValue::String(text) => text.clone().into_owned(),
            DeValue::Boolean(yes) => yes.to_string(),
            DeValue::Float(number) => number.as_str().to_owned(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
            _ => {
                self.wrong("an expression in quotes", report);
                return None;
            }
        };
        Some(Located { value, place: self.place.clone() })
    }

    pub(super) fn integer(&self) -> Option<i64> {
        let number = self.value.as_integer()?;
        i64::from_str_radix(number.as_str(), number.radix()).ok()
    }

    pub(super) fn table(
        &self,
        what: &'static str,
        report: &mut Report<'_>,
    ) -> Option<Section<'t, 'i>> {
        match self.value.as_table() {
            Some(table) => Some(Section::new(table, self.place.file, what)),
            None => {
                self.wrong("a table", report);
                None
            }
        }
    }

    /// The entries of a list, or the value itself as the only one.
    pub(super) fn list(&self) -> Vec<Entry<'t, 'i>> {
        match self.value.as_array() {
            None => vec![self.clone()],
            Some(items) => items
                .iter()
                .map(|item| Entry {
                    value: item.get_ref(),
                    place: Place { file: self.place.file, span: item.span() },
                    ..self.clone()
                })
                .collect(),
        }
    }

    /// The entries of a table, in the order in which they are written.
    pub(super) fn entries(&self) -> Option<Vec<Entry<'t, 'i>>> {
        let table = self.value.as_table()?;
        let mut entries: Vec<Entry<'t, 'i>> =
            table.iter().map(|(name, value)| entry(name, value, self.place.file)).collect();
        entries.sort_by_key(|entry| entry.key_place.span.start);
        Some(entries)
    }

    /// The entries of a table of expressions.
    pub(super) fn named(&self, report: &mut Report<'_>) -> Vec<Named> {
        let Some(entries) = self.entries() else {
            self.wrong("a table of names and expressions", report);
            return Vec::new();
        };
        let read = entries.into_iter().filter_map(|entry| {
            let expression = entry.expression(report)?;
            Some(Named { name: entry.key, name_place: entry.key_place, expression })
        });
        read.collect()
    }

    /// Reports that the value is of the wrong kind.
    pub(super) fn wrong(&self, wanted: &str, report: &mut Report<'_>) {
        let message = format!("`{}` must be {wanted}", self.key);
        let label = match self.value {
            DeValue::String(_) => "this is a text".to_owned(),
            other => format!("this is a TOML {}", other.type_str()),
        };
        report.error(code::WRONG_VALUE, message, &self.place, label);
    }
}

fn entry<'t, 'i>(
    name: &Spanned<std::borrow::Cow<'i, str>>,
    value: &'t Spanned<DeValue<'i>>,
    file: usize,
) -> Entry<'t, 'i> {
    Entry {
        value: value.get_ref(),
        place: Place { file, span: value.span() },
        key: name.get_ref().clone().into_owned(),
        key_place: Place { file, span: name.span() },
    }
}

/// Where in a TOML literal the given byte of its value stands.
pub(super) fn offset_in_literal(literal: &str, offset: usize) -> usize {
    let (quotes, escapes) = match literal {
        _ if literal.starts_with("\"\"\"") => (3, true),
        _ if literal.starts_with("'''") => (3, false),
        _ if literal.starts_with('"') => (1, true),
        _ if literal.starts_with('\'') => (1, false),
        // Numbers and the like.
        _ => return offset.min(literal.len()),
    };
    let mut at = quotes;
    let rest = |at: usize| literal.get(at..).unwrap_or_default();
    // A line break right after three quotes is not part of the value.
    if quotes == 3 {
        at +=
            if rest(at).starts_with("\r\n") { 2 } else { usize::from(rest(at).starts_with('\n')) };
    }
    let mut value_at = 0;
    while value_at < offset {
        let Some(character) = rest(at).chars().next() else { break };
        if character != '\\' || !escapes {
            at += character.len_utf8();
            value_at += character.len_utf8();
            continue;
        }
        let (length, value_length) = escape(rest(at));
        at += length;
        value_at += value_length;
    }
    at.min(literal.len())
}

/// Bytes of an escape, and of what it stands for.
fn escape(text: &str) -> (usize, usize) {
    let kind = text.chars().nth(1).unwrap_or('\\');
    let digits = match kind {
        'u' => 4,
        'U' => 8,
        'x' => 2,
        _ if kind.is_whitespace() => {
            // A line break after a backslash, and all white space that follows.
            let rest = text.get(1..).unwrap_or_default();
            return (1 + rest.len() - rest.trim_start().len(), 0);
        }
        _ => return (1 + kind.len_utf8(), 1),
    };
    let code = text.get(2..2 + digits).and_then(|hex| u32::from_str_radix(hex, 16).ok());
    (2 + digits, code.and_then(char::from_u32).map_or(1, char::len_utf8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_quotes_are_skipped() {
        assert_eq!(offset_in_literal(r#""abc""#, 2), 3);
        assert_eq!(offset_in_literal(r#""a\"b""#, 2), 4);
        assert_eq!(offset_in_literal(r#""\u00e9b""#, 2), 7);
        assert_eq!(offset_in_literal("'''\nab'''", 1), 5);
        assert_eq!(offset_in_literal("\"\"\"a\\\n   b\"\"\"", 1), 4);
        assert_eq!(offset_in_literal("12", 9), 2);
    }
}
