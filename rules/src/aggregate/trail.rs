//! The way of a value through time: what `rate`, `integral` and `twavg` are computed from.
//!
//! Two neighbours in time make a step, so order counts. By arrival, messages come in order and each
//! one extends the trail. By event time, a late message may lie between two others: the newest
//! points are kept next to the trail, in order, and walked along when a result is made.

use super::series::Series;
use super::side::Side;
use crate::boxed;
use crate::limits::TRAIL_POINTS_MAX;

/// A stretch of time with at least one value. Times are milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Trail {
    first: (i64, f64),
    last: (i64, f64),
    /// Value times milliseconds, straight lines between the values.
    area: f64,
    /// Value times milliseconds, each value until the next.
    held: f64,
    /// What a counter had before each time it fell back.
    dropped: f64,
}

impl Trail {
    /// Cells it is stored in.
    pub(super) const CELLS: usize = 7;

    /// Cells without any value.
    pub(super) const EMPTY: [u64; Self::CELLS] = [0, boxed::NULL, 0, 0, 0, 0, 0];

    fn point(time: i64, value: f64) -> Self {
        let point = (time, value);
        Self { first: point, last: point, area: 0.0, held: 0.0, dropped: 0.0 }
    }

    fn load(cells: &[u64]) -> Option<Self> {
        let [first_time, first, last_time, last, area, held, dropped] = *cells else { return None };
        if first == boxed::NULL {
            return None;
        }
        let [first, last, area, held, dropped] =
            [first, last, area, held, dropped].map(f64::from_bits);
        let (first, last) = ((first_time as i64, first), (last_time as i64, last));
        Some(Self { first, last, area, held, dropped })
    }

    fn store(self, cells: &mut [u64]) {
        let [first, last, area, held, dropped] =
            [self.first.1, self.last.1, self.area, self.held, self.dropped].map(f64::to_bits);
        let (first_time, last_time) = (self.first.0 as u64, self.last.0 as u64);
        cells.copy_from_slice(&[first_time, first, last_time, last, area, held, dropped]);
    }

    /// This one, and after it another.
    fn then(self, next: Self) -> Self {
        let width = next.first.0.saturating_sub(self.last.0).max(0) as f64;
        let (a, b) = (self.last.1, next.first.1);
        Self {
            first: self.first,
            last: next.last,
            area: self.area + width * (a + b) / 2.0 + next.area,
            held: self.held + width * a + next.held,
            dropped: self.dropped + if b < a { a } else { 0.0 } + next.dropped,
        }
    }

    /// Increase of a counter per second; a fall begins at zero.
    pub(super) fn rate(self) -> f64 {
        let increase = self.last.1 - self.first.1 + self.dropped;
        increase / (self.last.0 - self.first.0) as f64 * 1000.0
    }

    /// Area under straight lines between the values, for a unit of time in milliseconds.
    pub(super) fn integral(self, unit: u32) -> f64 {
        self.area / f64::from(unit)
    }

    /// Mean over the time from the first value to `end`, each value until the next.
    pub(super) fn mean_until(self, end: i64) -> f64 {
        let rest = (end - self.last.0).max(0);
        let length = self.last.0 - self.first.0 + rest;
        if length == 0 {
            return self.last.1;
        }
        (self.held + rest as f64 * self.last.1) / length as f64
    }
}

/// The trail of a row.
pub(super) fn whole(cells: &[u64], side: Option<&Side>) -> Option<Trail> {
    let mut trail = Trail::load(cells);
    if let Some(Side::Points(points)) = side {
        for (time, value) in points.iter() {
            let point = Trail::point(*time, *value);
            trail = Some(trail.map_or(point, |trail| trail.then(point)));
        }
    }
    trail
}

/// Adds a value.
pub(super) fn add(cells: &mut [u64], side: Option<&mut Side>, time: i64, value: f64) {
    if let Some(Side::Points(points)) = side {
        return insert(cells, points, time, value);
    }
    // A clock that went back does not turn the order around.
    let time = Trail::load(cells).map_or(time, |trail| trail.last.0.max(time));
    extend(cells, Trail::point(time, value));
}

/// Adds another row; what is joined in it is later than this one.
pub(super) fn merge(
    cells: &mut [u64],
    side: Option<&mut Side>,
    other: &[u64],
    other_side: Option<&Side>,
) {
    let joined = Trail::load(other);
    let (Some(Side::Points(points)), Some(Side::Points(others))) = (side, other_side) else {
        return joined.into_iter().for_each(|next| extend(cells, next));
    };
    if let Some(next) = joined {
        join(cells, points, usize::MAX);
        extend(cells, next);
    }
    for (time, value) in others.iter() {
        insert(cells, points, *time, *value);
    }
}

/// Puts a value in its place.
fn insert(cells: &mut [u64], points: &mut Series<f64>, time: i64, value: f64) {
    if Trail::load(cells).is_some_and(|trail| time < trail.last.0) {
        // Older than what is kept in order: as if it had not come.
        return;
    }
    points.insert(time, value);
    if points.len() > TRAIL_POINTS_MAX {
        join(cells, points, TRAIL_POINTS_MAX / 2);
    }
}

/// Joins the earliest points to the trail.
fn join(cells: &mut [u64], points: &mut Series<f64>, count: usize) {
    for _ in 0..count {
        let Some((time, value)) = points.take_first() else { break };
        extend(cells, Trail::point(time, value));
    }
}

fn extend(cells: &mut [u64], next: Trail) {
    Trail::load(cells).map_or(next, |trail| trail.then(next)).store(cells);
}
