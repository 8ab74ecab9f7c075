//! Several panes as one: a buffer that is reused for every result.

use crate::aggregate::{Layout, Side, start_row};

/// The row and sides of a window.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    row: Vec<u64>,
    sides: Vec<Side>,
}

impl Merged {
    /// Makes it empty.
    pub(super) fn start(&mut self, layout: &Layout, pane: i64) {
        self.row.clear();
        start_row(layout, pane, &mut self.row);
        self.sides.clear();
        self.sides.extend(layout.sides.iter().map(|kind| kind.start()));
    }

    /// Whether it holds so many values that they are only counted.
    pub(crate) fn only_counts(&self) -> bool {
        self.sides.iter().any(|side| matches!(side, Side::Quantile(values) if !values.is_exact()))
    }

    /// Its parts.
    pub(crate) fn parts(&mut self) -> (&mut [u64], &mut [Side]) {
        (&mut self.row, &mut self.sides)
    }
}
