//! The parts that fewer rules have, apart from the row so that what every message goes through stays
//! small.

use super::decayed::Decayed;
use super::extreme::Extreme;
use super::latest::collect;
use super::layout::{Part, PartKind};
use super::line::Line;
use super::side::{Side, side_at};
use super::trail::{self, Trail};
use crate::boxed;
use crate::value::{Texts, Value};

/// Adds one message to a part; its value is not null, and `values` are those of all columns.
#[inline(never)]
pub(super) fn update(
    part: &Part,
    row: &mut [u64],
    sides: &mut [Side],
    values: &[Value],
    time: i64,
    texts: &Texts<'_>,
) {
    let value = values[usize::from(part.column)];
    let cell = usize::from(part.cell);
    match (part.kind, value) {
        (PartKind::ArgMax(other) | PartKind::ArgMin(other), Value::Number(size)) => {
            let there = values[usize::from(other)];
            if there == Value::Null {
                return;
            }
            let (bits, text) = (boxed::bits(there), text_of(there, texts));
            let cells = &mut row[cell..cell + 3];
            let max = matches!(part.kind, PartKind::ArgMax(_));
            Extreme { size, time, bits, text }.offer(max, cells, side_at(sides, part));
        }
        (PartKind::Collect(max), _) => {
            if let Some(Side::Collected(series)) = side_at(sides, part) {
                let kept = (boxed::bits(value), boxed::text(value, texts));
                collect(series, usize::from(max), time, kept);
            }
        }
        (PartKind::Decayed(half_life), Value::Number(x)) => {
            let cells = &mut row[cell..cell + Decayed::CELLS];
            let new = Decayed::of(time, x);
            Decayed::load(cells).map_or(new, |known| known.merge(new, half_life)).store(cells);
        }
        (PartKind::Line, Value::Number(x)) => {
            let cells = &mut row[cell..cell + Line::CELLS];
            Line::load(cells).add(time, x).store(cells);
        }
        (PartKind::Mode, _) => {
            if let Some(Side::Mode(counts)) = side_at(sides, part) {
                // Both zeros are one value.
                let bits = match value {
                    Value::Number(x) => (x + 0.0).to_bits(),
                    other => boxed::bits(other),
                };
                counts.insert(bits, text_of(value, texts));
            }
        }
        (PartKind::Trail, Value::Number(x)) => {
            let cells = &mut row[cell..cell + Trail::CELLS];
            trail::add(cells, side_at(sides, part), time, x);
        }
        _ => debug_assert!(false, "columns are checked before rows change"),
    }
}

/// Adds a later part to the same part of another row.
#[inline(never)]
pub(super) fn merge(
    part: &Part,
    (row, sides): (&mut [u64], &mut [Side]),
    (other, other_side): (&[u64], Option<&Side>),
) {
    let cell = usize::from(part.cell);
    match part.kind {
        PartKind::ArgMax(_) | PartKind::ArgMin(_) => {
            if let Some(found) = Extreme::load(&other[cell..cell + 3], other_side) {
                let max = matches!(part.kind, PartKind::ArgMax(_));
                found.offer(max, &mut row[cell..cell + 3], side_at(sides, part));
            }
        }
        PartKind::Collect(max) => {
            if let (Some(Side::Collected(series)), Some(Side::Collected(other))) =
                (side_at(sides, part), other_side)
            {
                for (time, value) in other.iter() {
                    collect(series, usize::from(max), *time, value.clone());
                }
            }
        }
        PartKind::Decayed(half_life) => {
            let cells = cell..cell + Decayed::CELLS;
            if let Some(new) = Decayed::load(&other[cells.clone()]) {
                let cells = &mut row[cells];
                Decayed::load(cells).map_or(new, |known| known.merge(new, half_life)).store(cells);
            }
        }
        PartKind::Line => {
            let other = Line::load(&other[cell..cell + Line::CELLS]);
            let cells = &mut row[cell..cell + Line::CELLS];
            Line::load(cells).merge(other).store(cells);
        }
        PartKind::Trail => {
            let cells = cell..cell + Trail::CELLS;
            let side = side_at(sides, part);
            trail::merge(&mut row[cells.clone()], side, &other[cells], other_side);
        }
        _ => debug_assert!(false, "the other parts are those of every row"),
    }
}

fn text_of<'a>(value: Value, texts: &'a Texts<'_>) -> Option<&'a str> {
    match value {
        Value::Text(text) => Some(texts.resolve(text)),
        _ => None,
    }
}
