//! Tables that rules look values up in: rows by a key, as they stand in a file.
//!
//! A table is part of the plan and not of the state: it can be replaced while the rules run.

mod csv;
mod toml;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::boxed::{self, Kept};
use crate::expression::Program;
use crate::json::write_number;
use crate::value::{Texts, Value};

pub(crate) use csv::read_csv;
pub(crate) use toml::read_toml;

/// Looks one row up for each message.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    /// The file as the rule names it.
    pub(crate) file: String,
    pub(crate) key: Program,
    pub(crate) miss: Miss,
    /// The local of the first column; the others follow.
    pub(crate) slot: u16,
    pub(crate) table: Arc<LookupTable>,
}

/// What happens with a message for which there is no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    Drop,
    Error,
    Null,
}

/// What was read of a file.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct LookupTable {
    pub(crate) columns: Vec<String>,
    /// Row numbers by key.
    index: BTreeMap<Box<str>, u32>,
    /// Row by row, a cell for each column.
    cells: Vec<Kept>,
}

/// Something that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableProblem {
    pub(crate) message: String,
    pub(crate) span: Range<usize>,
    pub(crate) label: String,
}

impl TableProblem {
    fn new(message: impl Into<String>, span: Range<usize>, label: impl Into<String>) -> Self {
        Self { message: message.into(), span, label: label.into() }
    }
}

impl LookupTable {
    /// Adds a row, with a cell for each column; `false` if there is one with this key.
    fn add(&mut self, key: &str, cells: Vec<Kept>) -> bool {
        debug_assert_eq!(cells.len(), self.columns.len(), "a row has all columns");
        if self.index.contains_key(key) {
            return false;
        }
        self.index.insert(key.into(), self.rows());
        self.cells.extend(cells);
        true
    }

    /// Lets numbers be found however they are written: `7.0` under 7.
    fn add_numbers(&mut self) {
        let numbers = self.index.iter().filter_map(|(key, row)| {
            let number: f64 = key.parse().ok().filter(|number: &f64| number.is_finite())?;
            let mut text = String::new();
            write_number(number, &mut text);
            Some((text, *row))
        });
        let numbers: Vec<(String, u32)> = numbers.collect();
        for (text, row) in numbers {
            self.index.entry(text.into()).or_insert(row);
        }
    }

    fn rows(&self) -> u32 {
        (self.cells.len() / self.columns.len().max(1)) as u32
    }

    /// The values of a row, one for each column.
    pub(crate) fn find(&self, key: Value, texts: &Texts<'_>) -> Option<&[Kept]> {
        let mut number = String::new();
        let text = match key {
            Value::Bool(yes) => {
                if yes {
                    "true"
                } else {
                    "false"
                }
            }
            Value::Composite | Value::Json(_) | Value::Null => return None,
            Value::Number(found) => {
                write_number(found + 0.0, &mut number);
                number.as_str()
            }
            Value::Text(text) => texts.resolve(text),
        };
        let row = *self.index.get(text)? as usize;
        let start = row * self.columns.len();
        self.cells.get(start..start + self.columns.len())
    }
}

/// A cell without quotes: a number, true or false, a text; null if there is nothing. What begins
/// with a zero that says nothing, such as 007, is a name and not a number.
fn plain_cell(text: &str) -> Kept {
    let digits = text.trim_start_matches(['-', '+']);
    let is_name = digits.len() > 1
        && digits.starts_with('0')
        && digits.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && !is_name;
    match text {
        "" => (boxed::NULL, None),
        "true" | "TRUE" | "True" => (boxed::bits(Value::Bool(true)), None),
        "false" | "FALSE" | "False" => (boxed::bits(Value::Bool(false)), None),
        _ => match text.parse::<f64>() {
            Ok(number) if is_number && number.is_finite() => {
                (boxed::bits(Value::Number(number)), None)
            }
            _ => text_cell(text),
        },
    }
}

fn text_cell(text: &str) -> Kept {
    (boxed::TEXT, Some(text.into()))
}

/// Problems of one file that are told; more are of no help.
const PROBLEMS_MAX: usize = 10;

#[cfg(test)]
mod tests;
