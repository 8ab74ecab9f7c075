//! InfluxDB line protocol: each line is a message of its own.
//!
//! Tags and fields are known by their names, next to `measurement` and `timestamp`. A field wins
//! over a tag of the same name.

use super::{DecodeError, FieldTree, Record, Slots};
use crate::value::Value;

/// The lines of a payload. Comments and empty lines are passed over.
#[derive(Debug)]
pub(crate) struct InfluxLines<'p> {
    text: &'p str,
    at: usize,
    number: u32,
}

impl<'p> InfluxLines<'p> {
    pub(crate) fn new(text: &'p str) -> Self {
        Self { text, at: 0, number: 0 }
    }

    /// Reads the next line into the slots.
    pub(crate) fn next(&mut self, slots: &mut Slots<'_>) -> Option<Record<'p>> {
        let start = self.begin_line()?;
        let mut line = Line { text: self.text, start, at: start };
        let outcome = line.read(slots);
        self.at = line.at;
        if outcome.is_err() {
            self.at = self.line_end(self.at);
        }
        let payload = self.text.get(start..self.at).unwrap_or_default().trim_end().as_bytes();
        // A text in quotes may hold line breaks.
        let record = Record { payload, number: self.number, outcome };
        let breaks = payload.iter().filter(|byte| **byte == b'\n').count();
        self.number = self.number.saturating_add(u32::try_from(breaks).unwrap_or(u32::MAX));
        Some(record)
    }

    /// Everything that was not read.
    pub(crate) fn rest(&self) -> &'p [u8] {
        self.text.get(self.at..).unwrap_or_default().as_bytes()
    }

    /// Where the next line begins.
    fn begin_line(&mut self) -> Option<usize> {
        loop {
            let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
            self.number = self.number.saturating_add(1);
            let word = rest.trim_start_matches([' ', '\t', '\r']);
            let start = self.at + rest.len() - word.len();
            if !(word.is_empty() || word.starts_with(['\n', '#'])) {
                return Some(start);
            }
            self.at = self.line_end(start);
        }
    }

    fn line_end(&self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        at + rest.find('\n').map_or(rest.len(), |end| end + 1)
    }
}

/// A line while it is read.
struct Line<'p> {
    text: &'p str,
    start: usize,
    at: usize,
}

impl<'p> Line<'p> {
    fn read(&mut self, slots: &mut Slots<'_>) -> Result<(), DecodeError> {
        let measurement = self.word(b", ", "a line begins with a measurement")?;
        while self.take(b',') {
            let name = self.name("a tag is name=value")?;
            let (start, end) = self.word(b", =", "a tag has a value")?;
            self.set_word(field(slots, self.part(name)), (start, end), slots);
        }
        self.spaces();
        loop {
            let name = self.name("a field is name=value")?;
            let node = field(slots, self.part(name));
            self.value(node, slots)?;
            if !self.take(b',') {
                break;
            }
        }
        self.spaces();
        let timestamp = self.timestamp()?;
        // These two are always those of the line.
        self.set_word(field(slots, "measurement"), measurement, slots);
        slots.set(field(slots, "timestamp"), timestamp);
        Ok(())
    }

    fn name(&mut self, wanted: &'static str) -> Result<(usize, usize), DecodeError> {
        let name = self.word(b", =", wanted)?;
        if self.take(b'=') { Ok(name) } else { Err(self.wrong(wanted)) }
    }

    /// The place of a word up to one of some bytes, unless a backslash stands before it.
    fn word(&mut self, ends: &[u8], wanted: &'static str) -> Result<(usize, usize), DecodeError> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut before = 0;
        while let Some(byte) = bytes.get(self.at) {
            let ends = ends.contains(byte) && before != b'\\';
            if ends || matches!(byte, b'\r' | b'\n') {
                break;
            }
            before = *byte;
            self.at += 1;
        }
        if self.at == start { Err(self.wrong(wanted)) } else { Ok((start, self.at)) }
    }

    fn value(&mut self, node: Option<u32>, slots: &mut Slots<'_>) -> Result<(), DecodeError> {
        if self.take(b'"') {
            return self.quoted(node, slots);
        }
        let begin = self.at;
        let place = self.word(b", ", "a field has a value")?;
        let word = self.part(place);
        let value = match word {
            "t" | "T" | "true" | "True" | "TRUE" => Value::Bool(true),
            "f" | "F" | "false" | "False" | "FALSE" => Value::Bool(false),
            _ => number(word).ok_or_else(|| {
                self.at = begin;
                self.wrong("not a number, true, false or a text in quotes")
            })?,
        };
        slots.set(node, value);
        Ok(())
    }

    /// A text after its first quote.
    fn quoted(&mut self, node: Option<u32>, slots: &mut Slots<'_>) -> Result<(), DecodeError> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut escaped = false;
        loop {
            match bytes.get(self.at) {
                None => {
                    self.at = start;
                    return Err(self.wrong("a quote that is not closed"));
                }
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    // What follows is no end; it may be the end of the payload.
                    self.at = (self.at + 2).min(bytes.len());
                }
                Some(_) => self.at += 1,
            }
        }
        let end = self.at;
        self.at += 1;
        if escaped {
            let text = self.part((start, end));
            slots.write(node, |arena| unescape(text, &['"', '\\'], arena));
        } else {
            slots.set_part(node, start, end - start);
        }
        Ok(())
    }

    /// The rest of the line: nanoseconds, or nothing.
    fn timestamp(&mut self) -> Result<Value, DecodeError> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let line = rest.split('\n').next().unwrap_or_default();
        let word = line.trim();
        if word.is_empty() {
            self.at += (line.len() + 1).min(rest.len());
            return Ok(Value::Null);
        }
        let number: i64 = word.parse().map_err(|_| self.wrong("not a timestamp"))?;
        self.at += (line.len() + 1).min(rest.len());
        Ok(Value::Number(number as f64))
    }

    fn set_word(&self, node: Option<u32>, place: (usize, usize), slots: &mut Slots<'_>) {
        let text = self.part(place);
        if text.contains('\\') {
            slots.write(node, |arena| unescape(text, &[',', ' ', '='], arena));
        } else {
            slots.set_part(node, place.0, place.1 - place.0);
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.text.as_bytes().get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn spaces(&mut self) {
        while self.take(b' ') {}
    }

    fn part(&self, (start, end): (usize, usize)) -> &'p str {
        self.text.get(start..end).unwrap_or_default()
    }

    fn wrong(&self, reason: &'static str) -> DecodeError {
        let before = self.text.get(self.start..self.at).unwrap_or_default();
        DecodeError::Row { reason, column: before.chars().count() + 1 }
    }
}

/// The wanted field of a name that may have escapes.
fn field(slots: &Slots<'_>, name: &str) -> Option<u32> {
    if !name.contains('\\') {
        return slots.field(Some(FieldTree::ROOT), name);
    }
    let mut plain = String::new();
    unescape(name, &[',', ' ', '='], &mut plain);
    slots.field(Some(FieldTree::ROOT), &plain)
}

/// Appends a text without the backslashes before some characters.
fn unescape(text: &str, escaped: &[char], out: &mut String) {
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match characters.peek() {
            Some(next) if character == '\\' && escaped.contains(next) => {
                out.push(*next);
                characters.next();
            }
            _ => out.push(character),
        }
    }
}

/// `21.5`, `-3i` or `7u`.
fn number(word: &str) -> Option<Value> {
    if let Some(digits) = word.strip_suffix('i') {
        return digits.parse::<i64>().ok().map(|number| Value::Number(number as f64));
    }
    if let Some(digits) = word.strip_suffix('u') {
        return digits.parse::<u64>().ok().map(|number| Value::Number(number as f64));
    }
    let plain = word.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    let number: f64 = word.parse().ok().filter(|_| plain)?;
    number.is_finite().then_some(Value::Number(number))
}

#[cfg(test)]
mod tests;
