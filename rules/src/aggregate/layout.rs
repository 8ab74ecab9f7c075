//! Which parts the aggregates of a rule need, and where in a row they lie.

use super::decayed::Decayed;
use super::line::Line;
use super::row::HEADER_CELLS;
use super::side::{Side, SideKind};
use super::trail::Trail;
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
    /// Whether messages come in order of their times.
    ordered: bool,
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
    /// Its side; no number of one if it has none.
    pub(crate) side: u16,
}

/// The things that are kept per pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PartKind {
    /// The largest value, its time, and the value of another column: three cells, and a side for
    /// texts.
    ArgMax(u16),
    /// The same with the smallest value.
    ArgMin(u16),
    /// The latest values, at most this many. A side.
    Collect(u16),
    /// Values that are not null. One cell.
    Count,
    /// Weighted moments, by half-life in milliseconds.
    Decayed(i64),
    /// A side.
    Distinct,
    /// Time and value: two cells, and a side for texts.
    First,
    /// Time and value: two cells, and a side for texts.
    Last,
    Line,
    /// One cell.
    Max,
    /// One cell.
    Min,
    /// A side.
    Mode,
    /// Number, mean and sum of squared differences from it: three cells.
    Moments,
    /// A side.
    Quantile,
    /// One cell.
    Sum,
    /// By event time with a side for the newest points.
    Trail,
}

impl PartKind {
    fn cells(self) -> u16 {
        match self {
            PartKind::Collect(_) | PartKind::Distinct | PartKind::Mode | PartKind::Quantile => 0,
            PartKind::Count | PartKind::Max | PartKind::Min | PartKind::Sum => 1,
            PartKind::First | PartKind::Last => 2,
            PartKind::ArgMax(_) | PartKind::ArgMin(_) | PartKind::Moments => 3,
            PartKind::Decayed(_) => Decayed::CELLS as u16,
            PartKind::Line => Line::CELLS as u16,
            PartKind::Trail => Trail::CELLS as u16,
        }
    }

    fn side(self, ordered: bool) -> Option<SideKind> {
        match self {
            PartKind::ArgMax(_) | PartKind::ArgMin(_) => Some(SideKind::Text),
            PartKind::Collect(max) => Some(SideKind::Collected(max)),
            PartKind::Distinct => Some(SideKind::Distinct),
            PartKind::First | PartKind::Last => Some(SideKind::Text),
            PartKind::Mode => Some(SideKind::Mode),
            PartKind::Quantile => Some(SideKind::Quantile),
            PartKind::Trail if !ordered => Some(SideKind::Points),
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
    /// The column of its second argument.
    pub(crate) second: Option<u16>,
    pub(crate) slot: u16,
}

impl Layout {
    /// The layout for the aggregates that the outputs of a rule name.
    ///
    /// `ordered` is whether messages come in order of their times: by arrival, not by event time.
    pub(crate) fn new(calls: Vec<Call>, ordered: bool) -> Self {
        let mut layout = Layout { stride: HEADER_CELLS, ordered, ..Layout::default() };
        for Call { kind, argument, second, slot } in calls {
            let column = argument.map(|argument| layout.column(argument));
            let second = second.map(|argument| layout.column(argument));
            if let Some(column) = column {
                layout.columns[usize::from(column)].numeric |= kind.argument() == Type::Number;
                for part in parts_of(kind, second.unwrap_or_default()) {
                    layout.add_part(part, column);
                }
            }
            layout.aggregates.push(Aggregate { kind, column, second, slot });
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
        let known = self.columns.iter().position(|column| column.argument.same_as(&argument));
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
        let started = kind.side(self.ordered);
        let side = started.map_or(u16::MAX, |_| self.sides.len() as u16);
        let cell = self.stride as u16;
        self.parts.push(Part { kind, column, cell, side });
        self.stride += usize::from(kind.cells());
        self.sides.extend(started);
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

/// What an aggregate is computed from; `second` is the column of its second argument.
fn parts_of(kind: Kind, second: u16) -> Vec<PartKind> {
    match kind {
        Kind::ArgMax => vec![PartKind::ArgMax(second)],
        Kind::ArgMin => vec![PartKind::ArgMin(second)],
        Kind::Avg | Kind::Sum => vec![PartKind::Count, PartKind::Sum],
        Kind::Collect(max) => vec![PartKind::Collect(max)],
        Kind::Count => vec![PartKind::Count],
        Kind::Delta => vec![PartKind::First, PartKind::Last],
        Kind::Distinct => vec![PartKind::Distinct],
        Kind::Ewma(half_life) | Kind::Ewsd(half_life) => vec![PartKind::Decayed(half_life)],
        Kind::First => vec![PartKind::First],
        Kind::Integral(_) | Kind::Rate | Kind::TwAvg => vec![PartKind::Trail],
        Kind::Last => vec![PartKind::Last],
        Kind::Max => vec![PartKind::Max],
        Kind::Min => vec![PartKind::Min],
        Kind::Mode => vec![PartKind::Mode],
        Kind::Quantile(_) => vec![PartKind::Quantile],
        Kind::Range => vec![PartKind::Max, PartKind::Min],
        Kind::Slope(_) => vec![PartKind::Line],
        Kind::Stddev | Kind::Var => vec![PartKind::Moments],
    }
}
