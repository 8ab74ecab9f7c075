//! Which parts the aggregates of a rule need, and where in a row they lie.

use super::row::HEADER_CELLS;
use super::side::{Side, SideKind};
use crate::expression::{Call, Kind, Program, Type};

/// The rows of one rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Layout {
    /// The different arguments of all aggregates.
    pub(crate) columns: Vec<Column>,
    pub(crate) parts: Vec<Part>,
    pub(crate) aggregates: Vec<Aggregate>,
    pub(crate) sides: Vec<SideKind>,
    /// The first of two cells with the times of the first and of the last message, if they are kept.
    pub(crate) span: Option<u16>,
    /// Cells of a row, with its header.
    pub(crate) stride: usize,
}

/// An argument of aggregates, computed once per message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    pub(crate) argument: Program,
    /// Whether it must be a number or null.
    pub(crate) numeric: bool,
}

/// A thing that is kept per pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) kind: PartKind,
    pub(crate) column: u16,
    /// Its first cell, counted from the start of the row.
    pub(crate) cell: u16,
    /// Its side, if it has one.
    pub(crate) side: u16,
}

/// The things that are kept per pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PartKind {
    /// Values that are not null. One cell.
    Count,
    /// A side.
    Distinct,
    /// Time and value: two cells, and a side for texts.
    First,
    /// Time and value: two cells, and a side for texts.
    Last,
    /// One cell.
    Max,
    /// One cell.
    Min,
    /// Number, mean and sum of squared differences from it: three cells.
    Moments,
    /// A side.
    Quantile,
    /// One cell.
    Sum,
}

impl PartKind {
    fn cells(self) -> u16 {
        match self {
            PartKind::Distinct | PartKind::Quantile => 0,
            PartKind::Count | PartKind::Max | PartKind::Min | PartKind::Sum => 1,
            PartKind::First | PartKind::Last => 2,
            PartKind::Moments => 3,
        }
    }

    fn side(self) -> Option<SideKind> {
        match self {
            PartKind::Distinct => Some(SideKind::Distinct),
            PartKind::First | PartKind::Last => Some(SideKind::Text),
            PartKind::Quantile => Some(SideKind::Quantile),
            _ => None,
        }
    }
}

/// An aggregate of a rule: what it is made from and where its result goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aggregate {
    pub(crate) kind: Kind,
    /// `None` is `count()`, which counts messages.
    pub(crate) column: Option<u16>,
    pub(crate) slot: u16,
}

impl Layout {
    /// The layout for the aggregates that the outputs of a rule name.
    pub(crate) fn new(calls: Vec<Call>) -> Self {
        let mut layout = Layout { stride: HEADER_CELLS, ..Layout::default() };
        for Call { kind, argument, slot } in calls {
            let column = argument.map(|argument| layout.column(argument));
            if let Some(column) = column {
                layout.columns[usize::from(column)].numeric |= kind.argument() == Type::Number;
                for part in parts_of(kind) {
                    layout.add_part(*part, column);
                }
            }
            layout.aggregates.push(Aggregate { kind, column, slot });
        }
        layout
    }

    /// The same, with the times between which the messages of a row lie.
    pub(crate) fn with_span(mut self) -> Self {
        self.span = Some(self.stride as u16);
        self.stride += 2;
        self
    }

    /// The part that keeps `kind` of a column.
    pub(crate) fn part(&self, kind: PartKind, column: u16) -> Option<&Part> {
        self.parts.iter().find(|part| part.kind == kind && part.column == column)
    }

    /// The column of an argument, which is added if it is new.
    fn column(&mut self, argument: Program) -> u16 {
        let known = self.columns.iter().position(|column| column.argument.ops == argument.ops);
        let column = known.unwrap_or_else(|| {
            self.columns.push(Column { argument, numeric: false });
            self.columns.len() - 1
        });
        column as u16
    }

    fn add_part(&mut self, kind: PartKind, column: u16) {
        if self.part(kind, column).is_some() {
            return;
        }
        let (cell, side) = (self.stride as u16, self.sides.len() as u16);
        self.parts.push(Part { kind, column, cell, side });
        self.stride += usize::from(kind.cells());
        self.sides.extend(kind.side());
    }

    /// Bytes of a pane without messages.
    pub(crate) fn pane_start_bytes(&self) -> usize {
        self.stride * size_of::<u64>() + self.sides.len() * size_of::<Side>()
    }

    /// Forecast of the bytes of a pane, with a typical number of values for quantiles.
    pub(crate) fn pane_bytes(&self) -> usize {
        let sides: usize = self.sides.iter().map(|kind| kind.typical_bytes()).sum();
        self.stride * size_of::<u64>() + sides
    }
}

/// What an aggregate is computed from.
fn parts_of(kind: Kind) -> &'static [PartKind] {
    match kind {
        Kind::Avg | Kind::Sum => &[PartKind::Count, PartKind::Sum],
        Kind::Count => &[PartKind::Count],
        Kind::Distinct => &[PartKind::Distinct],
        Kind::First => &[PartKind::First],
        Kind::Last => &[PartKind::Last],
        Kind::Max => &[PartKind::Max],
        Kind::Min => &[PartKind::Min],
        Kind::Quantile(_) => &[PartKind::Quantile],
        Kind::Range => &[PartKind::Max, PartKind::Min],
        Kind::Stddev | Kind::Var => &[PartKind::Moments],
    }
}
