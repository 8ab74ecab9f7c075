//! Rows of comma-separated values (RFC 4180): each row is a message of its own.
//!
//! A cell in quotes is a text. Any other is null if it is empty, a number or true or false if it
//! is written as one, else a text.

use std::borrow::Cow;

use super::{DecodeError, FieldTree, Record, Slots};
use crate::limits::COLUMNS_MAX;
use crate::value::Value;

/// How rows are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CsvForm {
    /// The columns; those without a name are passed over. `None`: the first row names them.
    pub(crate) columns: Option<Vec<String>>,
    /// Between two cells: one ASCII character.
    pub(crate) separator: u8,
    /// Whether 21,5 is a number.
    pub(crate) decimal_comma: bool,
}

/// The rows of a payload.
#[derive(Debug)]
pub(crate) struct CsvRows<'p> {
    text: &'p str,
    form: &'p CsvForm,
    /// Where each column goes.
    nodes: Vec<Option<u32>>,
    at: usize,
    number: u32,
}

/// A cell: its place without quotes.
struct Cell {
    start: usize,
    end: usize,
    quoted: bool,
    /// Whether two quotes stand for one in it.
    doubled: bool,
    /// Where the next cell or row begins.
    next: usize,
    last: bool,
}

impl<'p> CsvRows<'p> {
    /// Reads the row of names, if there is one.
    pub(crate) fn new(
        text: &'p str,
        form: &'p CsvForm,
        tree: &FieldTree,
    ) -> Result<Self, DecodeError> {
        let at = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len_utf8() } else { 0 };
        let mut rows = Self { text, form, nodes: Vec::new(), at, number: 0 };
        let node = |name: &str| tree.field(FieldTree::ROOT, name);
        match &form.columns {
            Some(names) => rows.nodes = names.iter().map(|name| node(name)).collect(),
            None => rows.read_names(node)?,
        }
        Ok(rows)
    }

    /// Reads the next row into the slots; they are those of the tree that was given to `new`.
    pub(crate) fn next(&mut self, slots: &mut Slots<'_>) -> Option<Record<'p>> {
        let start = self.begin_row()?;
        let outcome = self.read_row(start, slots);
        if matches!(outcome, Err(DecodeError::Row { .. })) {
            // The rest of its line cannot be read either.
            self.at = self.line_end(self.at);
        }
        let row = self.text.get(start..self.at).unwrap_or_default();
        let payload = row.trim_end_matches(['\r', '\n']).as_bytes();
        Some(Record { payload, number: self.number, outcome })
    }

    /// Everything that was not read.
    pub(crate) fn rest(&self) -> &'p [u8] {
        self.text.get(self.at..).unwrap_or_default().as_bytes()
    }

    fn read_names(&mut self, node: impl Fn(&str) -> Option<u32>) -> Result<(), DecodeError> {
        let Some(start) = self.begin_row() else { return Ok(()) };
        loop {
            let cell = self.cell(start)?;
            self.nodes.push(node(self.characters(&cell).trim()));
            self.at = cell.next;
            if self.nodes.len() > COLUMNS_MAX {
                return Err(DecodeError::Row { reason: "too many columns", column: self.at });
            }
            if cell.last {
                return Ok(());
            }
        }
    }

    /// Where the next row begins; lines without any character are none.
    fn begin_row(&mut self) -> Option<usize> {
        let rest = self.text.get(self.at..)?;
        self.at += rest.len() - rest.trim_start_matches(['\r', '\n']).len();
        if self.at >= self.text.len() {
            return None;
        }
        self.number = self.number.saturating_add(1);
        Some(self.at)
    }

    fn read_row(&mut self, start: usize, slots: &mut Slots<'_>) -> Result<(), DecodeError> {
        let mut column = 0;
        loop {
            let cell = self.cell(start)?;
            self.at = cell.next;
            if let Some(Some(node)) = self.nodes.get(column) {
                self.set(*node, &cell, slots);
            }
            column += 1;
            if cell.last {
                break;
            }
        }
        match self.nodes.len() {
            wanted if wanted == column => Ok(()),
            wanted => Err(DecodeError::Cells { found: column, wanted }),
        }
    }

    /// The cell that begins here, in a row that begins at `start`.
    fn cell(&self, start: usize) -> Result<Cell, DecodeError> {
        let bytes = self.text.as_bytes();
        let wrong = |reason, at: usize| {
            let before = self.text.get(start..at).unwrap_or_default();
            DecodeError::Row { reason, column: before.chars().count() + 1 }
        };
        let mut doubled = false;
        let (from, to, after) = if bytes.get(self.at) == Some(&b'"') {
            let from = self.at + 1;
            let mut at = from;
            loop {
                let rest = bytes.get(at..).unwrap_or_default();
                let Some(quote) = rest.iter().position(|byte| *byte == b'"') else {
                    return Err(wrong("a quote that is not closed", self.at));
                };
                at += quote;
                if bytes.get(at + 1) != Some(&b'"') {
                    break (from, at, at + 1);
                }
                doubled = true;
                at += 2;
            }
        } else {
            let rest = bytes.get(self.at..).unwrap_or_default();
            let ends = |byte: &u8| *byte == self.form.separator || matches!(*byte, b'\r' | b'\n');
            let end = self.at + rest.iter().position(ends).unwrap_or(rest.len());
            (self.at, end, end)
        };
        let quoted = to != after;
        let (next, last) = match bytes.get(after) {
            None => (after, true),
            Some(b'\r') if bytes.get(after + 1) == Some(&b'\n') => (after + 2, true),
            Some(b'\r' | b'\n') => (after + 1, true),
            Some(byte) if *byte == self.form.separator => (after + 1, false),
            Some(_) => return Err(wrong("more after a closing quote", after)),
        };
        Ok(Cell { start: from, end: to, quoted, doubled, next, last })
    }

    fn characters(&self, cell: &Cell) -> Cow<'p, str> {
        let text = self.text.get(cell.start..cell.end).unwrap_or_default();
        if cell.doubled { Cow::Owned(text.replace("\"\"", "\"")) } else { Cow::Borrowed(text) }
    }

    fn set(&self, node: u32, cell: &Cell, slots: &mut Slots<'_>) {
        let text = self.characters(cell);
        let word = text.trim_matches([' ', '\t']);
        if cell.doubled {
            slots.set_text(Some(node), &text);
        } else if cell.quoted {
            slots.set_part(Some(node), cell.start, cell.end - cell.start);
        } else if word.is_empty() {
            slots.set(Some(node), Value::Null);
        } else if word.eq_ignore_ascii_case("true") || word.eq_ignore_ascii_case("false") {
            slots.set(Some(node), Value::Bool(word.eq_ignore_ascii_case("true")));
        } else if let Some(number) = self.number_of(word) {
            slots.set_number(Some(node), number);
        } else {
            slots.set_part(Some(node), cell.start, cell.end - cell.start);
        }
    }

    fn number_of(&self, word: &str) -> Option<f64> {
        let mut digits = [0; NUMBER_BYTES_MAX];
        let digits = digits.get_mut(..word.len())?;
        for (digit, byte) in digits.iter_mut().zip(word.bytes()) {
            *digit = match byte {
                b'0'..=b'9' | b'+' | b'-' | b'e' | b'E' => byte,
                b'.' if !self.form.decimal_comma => byte,
                b',' if self.form.decimal_comma => b'.',
                _ => return None,
            };
        }
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    /// Where the line ends that holds a place.
    fn line_end(&self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        at + rest.find('\n').map_or(rest.len(), |end| end + 1)
    }
}

const BYTE_ORDER_MARK: char = '\u{feff}';
/// Longer ones are texts.
const NUMBER_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests;
