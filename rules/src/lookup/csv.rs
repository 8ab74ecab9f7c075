//! CSV files as in RFC 4180, with a header. The separator is a comma, semicolon or tab, whichever
//! the header has most of.

use std::ops::Range;

use super::{LookupTable, PROBLEMS_MAX, TableProblem, plain_cell, text_cell};
use crate::boxed::{self, Kept};
use crate::limits::{ENTRIES_MAX, KEY_BYTES_MAX};

/// A cell as it is written.
struct Cell {
    text: String,
    is_quoted: bool,
    span: Range<usize>,
}

/// Reads a file; `column` is the one of the keys, the first if not given.
pub(crate) fn read_csv(text: &str, column: Option<&str>) -> Result<LookupTable, Vec<TableProblem>> {
    let start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut reader = Reader { text, at: start, separator: separator(text) };
    let header = reader.row().map_err(|problem| vec![problem])?.unwrap_or_default();
    let mut table = LookupTable::default();
    let mut problems = check_header(&header, &mut table);
    let key = column.map_or(Some(0), |name| header.iter().position(|cell| cell.text == name));
    let Some(key) = key else {
        let span = start..header.last().map_or(start, |cell| cell.span.end);
        problems.push(TableProblem::new("no column of this name", span, "the columns"));
        return Err(problems);
    };
    while problems.len() < PROBLEMS_MAX {
        match reader.row() {
            Ok(None) => break,
            Ok(Some(row)) if row.iter().all(|cell| cell.text.is_empty() && !cell.is_quoted) => {}
            Ok(Some(row)) => problems.extend(add(&mut table, key, row).err()),
            Err(problem) => {
                problems.push(problem);
                break;
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    table.add_numbers();
    Ok(table)
}

fn check_header(header: &[Cell], table: &mut LookupTable) -> Vec<TableProblem> {
    let mut problems = Vec::new();
    if header.is_empty() {
        problems.push(TableProblem::new("the file is empty", 0..0, "expected names of columns"));
    }
    for (position, cell) in header.iter().enumerate() {
        let span = cell.span.clone();
        if cell.text.is_empty() {
            problems.push(TableProblem::new("a column has no name", span, "name it"));
        } else if table.columns.contains(&cell.text) {
            let message = format!("two columns are named `{}`", cell.text);
            problems.push(TableProblem::new(message, span, "second time"));
        } else if position >= ENTRIES_MAX {
            let message = format!("more than {ENTRIES_MAX} columns");
            problems.push(TableProblem::new(message, span, "one too many"));
            break;
        }
        table.columns.push(cell.text.clone());
    }
    problems
}

fn add(table: &mut LookupTable, key: usize, row: Vec<Cell>) -> Result<(), TableProblem> {
    let span =
        row.first().map_or(0, |cell| cell.span.start)..row.last().map_or(0, |cell| cell.span.end);
    let (found, wanted) = (row.len(), table.columns.len());
    if found != wanted {
        let message = format!("the row has {found} cells, the header has {wanted}");
        return Err(TableProblem::new(message, span, "not like the header"));
    }
    let Some(name) = row.get(key) else { return Ok(()) };
    if name.text.is_empty() || name.text.len() > KEY_BYTES_MAX {
        let message = format!("a key has 1 to {KEY_BYTES_MAX} bytes");
        return Err(TableProblem::new(message, name.span.clone(), "the key of this row"));
    }
    let cells = row.iter().map(|cell| match cell.is_quoted {
        true => text_cell(&cell.text),
        false => plain_cell(&cell.text),
    });
    let cells: Vec<Kept> = cells.collect();
    debug_assert!(cells.iter().all(|(bits, text)| (*bits == boxed::TEXT) == text.is_some()));
    match table.add(&name.text, cells) {
        true => Ok(()),
        false => {
            let message = format!("two rows have the key `{}`", name.text);
            Err(TableProblem::new(message, name.span.clone(), "second time"))
        }
    }
}

/// The separator that the first line has most of.
fn separator(text: &str) -> char {
    let line = text.lines().next().unwrap_or_default();
    let count = |separator: char| line.matches(separator).count();
    let mut best = ',';
    for other in [';', '\t'] {
        if count(other) > count(best) {
            best = other;
        }
    }
    best
}

/// Takes rows from the front of a file.
struct Reader<'t> {
    text: &'t str,
    at: usize,
    separator: char,
}

impl Reader<'_> {
    /// The cells of the next row; `None` at the end.
    fn row(&mut self) -> Result<Option<Vec<Cell>>, TableProblem> {
        if self.at >= self.text.len() {
            return Ok(None);
        }
        let mut row = Vec::new();
        loop {
            row.push(self.cell()?);
            let rest = self.rest();
            if let Some(after) = rest.strip_prefix(self.separator) {
                self.at = self.text.len() - after.len();
                continue;
            }
            let end = if rest.starts_with("\r\n") { 2 } else { rest.len().min(1) };
            self.at += end;
            return Ok(Some(row));
        }
    }

    fn cell(&mut self) -> Result<Cell, TableProblem> {
        let start = self.at;
        if self.rest().starts_with('"') {
            return self.quoted_cell(start);
        }
        let rest = self.rest();
        let end = rest.find([self.separator, '\n']).unwrap_or(rest.len());
        let text = rest.get(..end).unwrap_or_default();
        let text = text.strip_suffix('\r').unwrap_or(text);
        let span = start..start + text.len();
        let text = text.trim().to_owned();
        self.at = span.end;
        Ok(Cell { text, is_quoted: false, span })
    }

    fn quoted_cell(&mut self, start: usize) -> Result<Cell, TableProblem> {
        let mut text = String::new();
        self.at += 1;
        loop {
            let rest = self.rest();
            let Some(end) = rest.find('"') else {
                let message = "a quote is not closed";
                return Err(TableProblem::new(message, start..start + 1, "begins here"));
            };
            text.push_str(rest.get(..end).unwrap_or_default());
            self.at += end + 1;
            if !self.rest().starts_with('"') {
                break;
            }
            text.push('"');
            self.at += 1;
        }
        let rest = self.rest();
        if !rest.is_empty() && !rest.starts_with([self.separator, '\n', '\r']) {
            let message = "text stands behind a closing quote";
            return Err(TableProblem::new(message, self.at..self.at + 1, "expected the next cell"));
        }
        Ok(Cell { text, is_quoted: true, span: start..self.at })
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }
}
