//! The record of a side: sets, values and texts of a pane.

use super::bytes::{Reader, push_number, push_optional_text, push_signed};
use crate::aggregate::{Counted, Distinct, Side};
use crate::limits::{COLLECT_MAX, EXACT_DISTINCT_MAX, MODE_VALUES_MAX, TRAIL_POINTS_MAX};

/// Appends a side; one that is not full holds what changed since the last delta.
pub(super) fn write_side(side: &Side, full: bool, out: &mut Vec<u8>) {
    match side {
        Side::Collected(values) => {
            let (left, from, values) = values.unsaved(full);
            write_series((left, from), values, out, |(bits, text), out| {
                out.extend_from_slice(&bits.to_le_bytes());
                push_optional_text(text.as_deref(), out);
            });
        }
        Side::Distinct(Distinct::Exact(hashes)) => {
            out.push(EXACT);
            push_number(hashes.len() as u64, out);
            hashes.iter().for_each(|hash| out.extend_from_slice(&hash.to_le_bytes()));
        }
        Side::Distinct(Distinct::Sketch(registers)) => {
            out.push(SKETCH);
            out.extend_from_slice(registers);
        }
        Side::Mode(mode) => {
            push_number(mode.counts().len() as u64, out);
            for one in mode.counts() {
                out.extend_from_slice(&one.bits.to_le_bytes());
                push_optional_text(one.text.as_deref(), out);
                push_number(one.count, out);
            }
        }
        Side::Points(points) => {
            let (left, from, points) = points.unsaved(full);
            write_series((left, from), points, out, |value, out| {
                out.extend_from_slice(&value.to_bits().to_le_bytes());
            });
        }
        Side::Quantile(quantile) => {
            let from = if full { 0 } else { quantile.saved() };
            let (values, buckets) = quantile.parts(from);
            push_number(from as u64, out);
            push_number(values.len() as u64, out);
            values.iter().for_each(|x| out.extend_from_slice(&x.to_bits().to_le_bytes()));
            push_number(buckets.len() as u64, out);
            for (bucket, count) in buckets {
                push_signed(i64::from(*bucket), out);
                push_number(u64::from(*count), out);
            }
        }
        Side::Text(text) => push_optional_text(text.as_deref(), out),
    }
}

/// Brings a side to what the record says.
pub(super) fn read_side(reader: &mut Reader<'_>, side: &mut Side) -> Option<()> {
    match side {
        Side::Collected(values) => {
            let read = |reader: &mut Reader<'_>| Some((reader.bits()?, reader.optional_text()?));
            let (left, from, items) = read_series(reader, read)?;
            values.replace(left, from, items)?;
            (values.len() <= COLLECT_MAX).then_some(())?;
        }
        Side::Distinct(set) => match reader.byte()? {
            EXACT => {
                let count = reader.count().filter(|count| *count <= EXACT_DISTINCT_MAX)?;
                let hashes = (0..count).map(|_| reader.bits()).collect::<Option<Vec<u64>>>()?;
                *set = Distinct::Exact(hashes.is_sorted().then_some(hashes)?);
            }
            _ => *set = Distinct::Sketch(reader.take(Distinct::REGISTERS)?.into()),
        },
        Side::Mode(mode) => {
            let count = reader.count().filter(|count| *count <= MODE_VALUES_MAX)?;
            let read = |_| {
                let (bits, text) = (reader.bits()?, reader.optional_text()?);
                Some(Counted { bits, text, count: reader.number()? })
            };
            mode.replace((0..count).map(read).collect::<Option<Vec<Counted>>>()?)?;
        }
        Side::Points(points) => {
            let read = |reader: &mut Reader<'_>| reader.bits().map(f64::from_bits);
            let (left, from, items) = read_series(reader, read)?;
            points.replace(left, from, items)?;
            (points.len() <= TRAIL_POINTS_MAX).then_some(())?;
        }
        Side::Quantile(quantile) => {
            let from = usize::try_from(reader.number()?).ok()?;
            let count = reader.count()?;
            let values: Option<Vec<f64>> =
                (0..count).map(|_| reader.bits().map(f64::from_bits)).collect();
            let count = reader.count()?;
            let buckets: Option<Vec<(i32, u32)>> = (0..count)
                .map(|_| {
                    let bucket = i32::try_from(reader.signed()?).ok()?;
                    Some((bucket, u32::try_from(reader.number()?).ok()?))
                })
                .collect();
            quantile.replace(from, values?, buckets?)?;
        }
        Side::Text(text) => *text = reader.optional_text()?,
    }
    Some(())
}

/// Appends values in order of time, each time as the distance from the one before.
fn write_series<'a, T: 'a>(
    (left, from): (u64, u64),
    items: impl Iterator<Item = &'a (i64, T)>,
    out: &mut Vec<u8>,
    write: impl Fn(&T, &mut Vec<u8>),
) {
    push_number(left, out);
    push_number(from, out);
    let items: Vec<&(i64, T)> = items.collect();
    push_number(items.len() as u64, out);
    let mut before = 0;
    for (time, value) in items {
        push_signed(time.wrapping_sub(before), out);
        before = *time;
        write(value, out);
    }
}

/// How many values left at the front, the position of the first value that follows, and values.
type ReadSeries<T> = (u64, u64, Vec<(i64, T)>);

fn read_series<T>(
    reader: &mut Reader<'_>,
    read: impl Fn(&mut Reader<'_>) -> Option<T>,
) -> Option<ReadSeries<T>> {
    let (left, from, count) = (reader.number()?, reader.number()?, reader.count()?);
    let mut items = Vec::new();
    let mut time = 0i64;
    for _ in 0..count {
        time = time.wrapping_add(reader.signed()?);
        items.push((time, read(reader)?));
    }
    Some((left, from, items))
}

const EXACT: u8 = 0;
const SKETCH: u8 = 1;
