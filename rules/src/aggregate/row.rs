//! One row of cells: the parts of one pane, or of several panes merged.
//!
//! Every row starts with the number of its pane and the number of its messages. Merging panes in
//! order of time gives the same bits however often it is repeated: nothing is ever subtracted.

use super::decayed::Decayed;
use super::extreme::{self, Extreme};
use super::further;
use super::latest::list;
use super::layout::{Aggregate, Layout, Part, PartKind};
use super::line::Line;
use super::side::{Side, side_at};
use super::trail::{self, Trail};
use crate::boxed;
use crate::expression::Kind;
use crate::value::{Texts, Value};

/// Number of the pane; messages and late messages.
pub(crate) const HEADER_CELLS: usize = 2;

/// An empty row.
pub(crate) fn start_row(layout: &Layout, pane: i64, row: &mut Vec<u64>) {
    let start = row.len();
    row.resize(start + layout.stride, 0);
    let cells = &mut row[start..];
    cells[0] = pane as u64;
    for part in &layout.parts {
        let cell = usize::from(part.cell);
        match part.kind {
            PartKind::ArgMax(_) | PartKind::ArgMin(_) => {
                cells[cell..cell + 3].copy_from_slice(&extreme::EMPTY);
            }
            PartKind::First => {
                cells[cell] = i64::MAX as u64;
                cells[cell + 1] = boxed::NULL;
            }
            PartKind::Last => {
                cells[cell] = i64::MIN as u64;
                cells[cell + 1] = boxed::NULL;
            }
            PartKind::Max => cells[cell] = f64::NEG_INFINITY.to_bits(),
            PartKind::Min => cells[cell] = f64::INFINITY.to_bits(),
            PartKind::Trail => {
                cells[cell..cell + Trail::CELLS].copy_from_slice(&Trail::EMPTY);
            }
            _ => {}
        }
    }
    if let Some(span) = layout.span.map(usize::from) {
        cells[span] = i64::MAX as u64;
        cells[span + 1] = i64::MIN as u64;
    }
}

/// Adds one message; `values` are the columns, already checked.
pub(crate) fn update_row(
    layout: &Layout,
    row: &mut [u64],
    sides: &mut [Side],
    values: &[Value],
    time: i64,
    texts: &Texts<'_>,
) {
    widen_span(layout, row, (time, time));
    for part in &layout.parts {
        let value = values[usize::from(part.column)];
        if value == Value::Null {
            continue;
        }
        let cell = usize::from(part.cell);
        match (part.kind, value) {
            (PartKind::Count, _) => row[cell] += 1,
            (PartKind::Distinct, _) => {
                if let Some(Side::Distinct(set)) = side_at(sides, part) {
                    set.insert(boxed::hash(value, texts));
                }
            }
            (PartKind::First | PartKind::Last, _) => {
                let first = part.kind == PartKind::First;
                let known = row[cell] as i64;
                // Of two values with one time stamp, the first arrived first.
                if (first && time < known) || (!first && time >= known) {
                    row[cell] = time as u64;
                    row[cell + 1] = boxed::bits(value);
                    if let Some(Side::Text(text)) = side_at(sides, part) {
                        *text = boxed::text(value, texts);
                    }
                }
            }
            (PartKind::Max, Value::Number(x)) => {
                row[cell] = f64::from_bits(row[cell]).max(x).to_bits();
            }
            (PartKind::Min, Value::Number(x)) => {
                row[cell] = f64::from_bits(row[cell]).min(x).to_bits();
            }
            (PartKind::Moments, Value::Number(x)) => {
                let cells = &mut row[cell..cell + 3];
                let moments = Moments::load(cells).add(x);
                moments.store(cells);
            }
            (PartKind::Quantile, Value::Number(x)) => {
                if let Some(Side::Quantile(values)) = side_at(sides, part) {
                    values.insert(x);
                }
            }
            (PartKind::Sum, Value::Number(x)) => {
                row[cell] = (f64::from_bits(row[cell]) + x).to_bits();
            }
            _ => further::update(part, row, sides, values, time, texts),
        }
    }
}

/// Adds a later row to `into`.
pub(crate) fn merge_row(layout: &Layout, into: (&mut [u64], &mut [Side]), from: (&[u64], &[Side])) {
    let (row, sides) = into;
    let (other, other_sides) = from;
    row[1] = add_counts(row[1], other[1]);
    if let Some(times) = span(layout, other) {
        widen_span(layout, row, times);
    }
    for part in &layout.parts {
        let cell = usize::from(part.cell);
        let other_side = other_sides.get(usize::from(part.side));
        match part.kind {
            PartKind::Count => row[cell] += other[cell],
            PartKind::Distinct | PartKind::Mode | PartKind::Quantile => {
                if let (Some(side), Some(other)) = (side_at(sides, part), other_side) {
                    side.merge(other);
                }
            }
            PartKind::First | PartKind::Last => {
                let first = part.kind == PartKind::First;
                let (known, new) = (row[cell] as i64, other[cell] as i64);
                let empty = other[cell + 1] == boxed::NULL;
                if !empty && ((first && new < known) || (!first && new >= known)) {
                    row[cell..cell + 2].copy_from_slice(&other[cell..cell + 2]);
                    if let (Some(Side::Text(to)), Some(Side::Text(from))) =
                        (side_at(sides, part), other_side)
                    {
                        to.clone_from(from);
                    }
                }
            }
            PartKind::Max => {
                let larger = f64::from_bits(row[cell]).max(f64::from_bits(other[cell]));
                row[cell] = larger.to_bits();
            }
            PartKind::Min => {
                let smaller = f64::from_bits(row[cell]).min(f64::from_bits(other[cell]));
                row[cell] = smaller.to_bits();
            }
            PartKind::Moments => {
                let other = Moments::load(&other[cell..cell + 3]);
                let merged = Moments::load(&row[cell..cell + 3]).merge(other);
                merged.store(&mut row[cell..cell + 3]);
            }
            PartKind::Sum => {
                row[cell] = (f64::from_bits(row[cell]) + f64::from_bits(other[cell])).to_bits();
            }
            _ => further::merge(part, (row, sides), (other, other_side)),
        }
    }
}

/// What an aggregate gives for a row of a window that ends at `end`.
pub(crate) fn result(
    layout: &Layout,
    aggregate: &Aggregate,
    (row, sides): (&[u64], &mut [Side]),
    end: i64,
    texts: &mut Texts<'_>,
) -> Value {
    let Some(column) = aggregate.column else {
        return Value::Number(messages(row) as f64);
    };
    let second = aggregate.second.unwrap_or_default();
    let cell = |kind| layout.part(kind, column).map_or(0, |part| usize::from(part.cell));
    let number = |kind| f64::from_bits(row[cell(kind)]);
    let cells = |kind, count| row.get(cell(kind)..cell(kind) + count).unwrap_or_default();
    let decayed = |half_life| Decayed::load(cells(PartKind::Decayed(half_life), Decayed::CELLS));
    match aggregate.kind {
        Kind::ArgMax | Kind::ArgMin => {
            let max = aggregate.kind == Kind::ArgMax;
            let kind = if max { PartKind::ArgMax(second) } else { PartKind::ArgMin(second) };
            let side = layout.part(kind, column).and_then(|part| side_at(sides, part));
            let found = Extreme::load(cells(kind, 3), side.map(|side| &*side));
            found.map_or(Value::Null, |found| {
                boxed::value(found.bits, found.text.unwrap_or_default(), texts)
            })
        }
        Kind::Avg => Value::finite(number(PartKind::Sum) / row[cell(PartKind::Count)] as f64),
        Kind::Collect(max) => match side_of(layout, PartKind::Collect(max), column, sides) {
            Some(Side::Collected(series)) => list(series, texts),
            _ => Value::Null,
        },
        Kind::Count => Value::Number(row[cell(PartKind::Count)] as f64),
        Kind::Delta => {
            let difference =
                |first| Value::finite(f64::from_bits(row[cell(PartKind::Last) + 1]) - first);
            match f64::from_bits(row[cell(PartKind::First) + 1]) {
                first if first.is_finite() => difference(first),
                _ => Value::Null,
            }
        }
        Kind::Distinct => match side_of(layout, PartKind::Distinct, column, sides) {
            Some(Side::Distinct(set)) => Value::Number(set.estimate()),
            _ => Value::Null,
        },
        Kind::Ewma(half_life) => {
            decayed(half_life).map_or(Value::Null, |it| Value::finite(it.mean()))
        }
        Kind::Ewsd(half_life) => {
            decayed(half_life).map_or(Value::Null, |it| Value::finite(it.deviation()))
        }
        Kind::First | Kind::Last => {
            let first = aggregate.kind == Kind::First;
            let kind = if first { PartKind::First } else { PartKind::Last };
            let text = match side_of(layout, kind, column, sides) {
                Some(Side::Text(Some(text))) => &**text,
                _ => "",
            };
            boxed::value(row[cell(kind) + 1], text, texts)
        }
        Kind::Integral(unit) => trail(layout, row, sides, column)
            .map_or(Value::Null, |it| Value::finite(it.integral(unit))),
        Kind::Max => Value::finite(number(PartKind::Max)),
        Kind::Min => Value::finite(number(PartKind::Min)),
        Kind::Mode => match side_of(layout, PartKind::Mode, column, sides) {
            Some(Side::Mode(counts)) => counts.most().map_or(Value::Null, |most| {
                boxed::value(most.bits, most.text.as_deref().unwrap_or_default(), texts)
            }),
            _ => Value::Null,
        },
        Kind::Quantile(rank) => match side_of(layout, PartKind::Quantile, column, sides) {
            Some(Side::Quantile(values)) => {
                values.quantile(rank).map_or(Value::Null, Value::finite)
            }
            _ => Value::Null,
        },
        Kind::Range => Value::finite(number(PartKind::Max) - number(PartKind::Min)),
        Kind::Rate => {
            trail(layout, row, sides, column).map_or(Value::Null, |it| Value::finite(it.rate()))
        }
        Kind::Slope(unit) => {
            let line = Line::load(cells(PartKind::Line, Line::CELLS));
            Value::finite(line.slope() * f64::from(unit))
        }
        Kind::Stddev | Kind::Var => {
            let variance = Moments::load(cells(PartKind::Moments, 3)).variance();
            let root = aggregate.kind == Kind::Stddev;
            Value::finite(if root { variance.sqrt() } else { variance })
        }
        // Nothing to add up is not known to be zero.
        Kind::Sum if row[cell(PartKind::Count)] == 0 => Value::Null,
        Kind::Sum => Value::finite(number(PartKind::Sum)),
        Kind::TwAvg => trail(layout, row, sides, column)
            .map_or(Value::Null, |it| Value::finite(it.mean_until(end))),
    }
}

/// Messages of a row.
pub(crate) fn messages(row: &[u64]) -> u64 {
    row[1] & COUNT_MASK
}

/// Messages of a row that were late.
pub(crate) fn late_messages(row: &[u64]) -> u64 {
    row[1] >> COUNT_BITS
}

/// Times of the first and of the last message of a row, if its layout keeps them.
pub(crate) fn span(layout: &Layout, row: &[u64]) -> Option<(i64, i64)> {
    let cell = usize::from(layout.span?);
    Some((row[cell] as i64, row[cell + 1] as i64))
}

/// Makes the times of a row hold others as well.
fn widen_span(layout: &Layout, row: &mut [u64], (first, last): (i64, i64)) {
    let Some(cell) = layout.span.map(usize::from) else { return };
    row[cell] = (row[cell] as i64).min(first) as u64;
    row[cell + 1] = (row[cell + 1] as i64).max(last) as u64;
}

/// Counts one message.
pub(crate) fn count_message(row: &mut [u64], late: bool) {
    row[1] = add_counts(row[1], 1 | (u64::from(late) << COUNT_BITS));
}

/// Adds both halves; each stays at its largest number.
fn add_counts(left: u64, right: u64) -> u64 {
    let count = ((left & COUNT_MASK) + (right & COUNT_MASK)).min(COUNT_MASK);
    let late = ((left >> COUNT_BITS) + (right >> COUNT_BITS)).min(LATE_MAX);
    (late << COUNT_BITS) | count
}

/// The trail of a column.
fn trail(layout: &Layout, row: &[u64], sides: &[Side], column: u16) -> Option<Trail> {
    let part = layout.part(PartKind::Trail, column)?;
    let cell = usize::from(part.cell);
    trail::whole(row.get(cell..cell + Trail::CELLS)?, sides.get(usize::from(part.side)))
}

/// The side of the part that keeps `kind` of a column.
fn side_of<'a>(
    layout: &Layout,
    kind: PartKind,
    column: u16,
    sides: &'a mut [Side],
) -> Option<&'a mut Side> {
    let part: &Part = layout.part(kind, column)?;
    side_at(sides, part)
}

/// Number, mean and sum of squared differences from the mean.
#[derive(Clone, Copy, Debug)]
struct Moments {
    n: f64,
    mean: f64,
    m2: f64,
}

impl Moments {
    fn load(cells: &[u64]) -> Self {
        let [n, mean, m2] = [cells[0], cells[1], cells[2]].map(f64::from_bits);
        Self { n, mean, m2 }
    }

    fn store(self, cells: &mut [u64]) {
        cells[0] = self.n.to_bits();
        cells[1] = self.mean.to_bits();
        cells[2] = self.m2.to_bits();
    }

    /// Welford's step.
    fn add(self, x: f64) -> Self {
        let n = self.n + 1.0;
        let delta = x - self.mean;
        let mean = self.mean + delta / n;
        Self { n, mean, m2: self.m2 + delta * (x - mean) }
    }

    /// Chan's merge.
    fn merge(self, other: Self) -> Self {
        if self.n == 0.0 {
            return other;
        }
        if other.n == 0.0 {
            return self;
        }
        let n = self.n + other.n;
        let delta = other.mean - self.mean;
        let mean = self.mean + delta * (other.n / n);
        Self { n, mean, m2: self.m2 + other.m2 + delta * delta * (self.n * other.n / n) }
    }

    /// Of a sample: null for less than two values.
    fn variance(self) -> f64 {
        if self.n < 2.0 { f64::NAN } else { self.m2 / (self.n - 1.0) }
    }
}

const COUNT_BITS: u32 = 40;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const LATE_MAX: u64 = (1 << 24) - 1;
