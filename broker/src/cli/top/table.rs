//! A table of a pane: columns from the most important to the least, rows that can be sorted by each
//! of them and filtered by the first.

use std::cmp::Ordering;

/// What stands above a column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) width: u16,
    pub(super) is_number: bool,
}

/// A text, and the number that it is sorted by if it stands for one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cell {
    pub(super) text: String,
    number: Option<f64>,
}

/// Columns and rows.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) columns: &'static [Column],
    pub(super) rows: Vec<Vec<Cell>>,
    /// What is said when there are no rows.
    pub(super) nothing: &'static str,
}

/// In which order and which rows.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) column: usize,
    pub(super) is_reversed: bool,
    pub(super) filter: String,
}

pub(super) const fn text(title: &'static str, width: u16) -> Column {
    Column { title, width, is_number: false }
}

pub(super) const fn number(title: &'static str, width: u16) -> Column {
    Column { title, width, is_number: true }
}

impl Cell {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), number: None }
    }

    pub(super) fn number(number: u64) -> Self {
        Self::shown(short(number), number as f64)
    }

    pub(super) fn shown(text: impl Into<String>, number: f64) -> Self {
        Self { text: text.into(), number: Some(number) }
    }
}

impl Table {
    /// The rows that are looked for, in their order.
    pub(super) fn seen(&self, view: &View) -> Vec<&[Cell]> {
        let wanted = view.filter.to_lowercase();
        let is_wanted = |row: &&Vec<Cell>| {
            row.first().is_some_and(|cell| cell.text.to_lowercase().contains(&wanted))
        };
        let mut rows: Vec<&[Cell]> =
            self.rows.iter().filter(is_wanted).map(Vec::as_slice).collect();
        rows.sort_by(|a, b| compare(a.get(view.column), b.get(view.column)));
        // Of numbers the large ones are wanted first.
        let is_number = self.columns.get(view.column).is_some_and(|column| column.is_number);
        if is_number != view.is_reversed {
            rows.reverse();
        }
        rows
    }

    /// The columns that fit, with their widths; the first one has the room that is left.
    pub(super) fn fitting(&self, width: u16) -> Vec<(usize, u16)> {
        let mut left = width;
        let mut found = Vec::new();
        for (number, column) in self.columns.iter().enumerate() {
            let needed = column.width + u16::from(number > 0);
            let Some(rest) = left.checked_sub(needed) else { break };
            left = rest;
            found.push((number, column.width));
        }
        if let Some(first) = found.first_mut() {
            first.1 += left;
        }
        found
    }
}

fn compare(a: Option<&Cell>, b: Option<&Cell>) -> Ordering {
    match (a, b) {
        (Some(Cell { number: Some(a), .. }), Some(Cell { number: Some(b), .. })) => a.total_cmp(b),
        (Some(a), Some(b)) => a.text.cmp(&b.text),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

/// "12.3k", no wider than six columns.
pub(super) fn short(number: u64) -> String {
    match number {
        0..10_000 => number.to_string(),
        10_000..1_000_000 => format!("{:.1}k", number as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1}M", number as f64 / 1e6),
        _ => format!("{:.1}G", number as f64 / 1e9),
    }
}

/// "3 min", rounded down.
pub(super) fn time(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}
