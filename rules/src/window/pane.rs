//! The panes of one key, sorted by time; panes without messages are not stored.
//!
//! All rows lie in one buffer, new ones at its end, so a key needs two allocations: itself and
//! this. Panes that leave at the front are only skipped until half of the buffer is empty.

use std::collections::VecDeque;

use super::Merged;
use crate::aggregate::{Layout, Side, merge_row, start_row};

/// The panes of one key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Panes {
    rows: Vec<u64>,
    /// Cells at the front that are no longer used.
    head: usize,
    /// One entry for each pane, if the layout has sides.
    sides: Option<Box<Sides>>,
}

/// The sides of all panes, apart so that keys without sides stay small.
#[derive(Clone, Debug, Default)]
struct Sides {
    rows: VecDeque<Box<[Side]>>,
}

/// Where a pane is, or would be.
pub(crate) enum Found {
    At(usize),
    Before(usize),
}

impl Panes {
    /// Number of panes.
    pub(crate) fn len(&self, layout: &Layout) -> usize {
        (self.rows.len() - self.head) / layout.stride
    }

    /// The number of a pane.
    pub(crate) fn id(&self, layout: &Layout, at: usize) -> i64 {
        self.rows[self.head + at * layout.stride] as i64
    }

    /// The number of the last pane.
    pub(crate) fn last_id(&self, layout: &Layout) -> Option<i64> {
        let len = self.len(layout);
        (len > 0).then(|| self.id(layout, len - 1))
    }

    /// Looks for a pane, newest first.
    pub(crate) fn find(&self, layout: &Layout, id: i64) -> Found {
        let len = self.len(layout);
        match self.last_id(layout) {
            None => Found::Before(0),
            Some(last) if last < id => Found::Before(len),
            Some(last) if last == id => Found::At(len - 1),
            Some(_) => {
                let at = self.position(layout, id);
                if self.id(layout, at) == id { Found::At(at) } else { Found::Before(at) }
            }
        }
    }

    /// Position of the first pane that is not before `id`.
    pub(crate) fn position(&self, layout: &Layout, id: i64) -> usize {
        let (mut low, mut high) = (0, self.len(layout));
        while low < high {
            let middle = low + (high - low) / 2;
            if self.id(layout, middle) < id {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Adds an empty pane at the position that `find` gave.
    pub(crate) fn insert(&mut self, layout: &Layout, at: usize, id: i64) {
        let stride = layout.stride;
        if self.rows.len() + stride > self.rows.capacity() {
            self.compact();
            // In small steps: most keys have one pane, or always the same number.
            let more = (self.rows.len() / 4).next_multiple_of(stride).max(stride);
            self.rows.reserve_exact(more);
        }
        let end = self.rows.len();
        start_row(layout, id, &mut self.rows);
        let place = self.head + at * stride;
        if place < end {
            self.rows[place..].rotate_right(stride);
        }
        if !layout.sides.is_empty() {
            let started = layout.sides.iter().map(|kind| kind.start()).collect();
            self.sides.get_or_insert_default().rows.insert(at, started);
        }
    }

    /// The cells and sides of a pane.
    pub(crate) fn row(&self, layout: &Layout, at: usize) -> (&[u64], &[Side]) {
        let start = self.head + at * layout.stride;
        let sides = self.sides.as_ref().and_then(|sides| sides.rows.get(at));
        (&self.rows[start..start + layout.stride], sides.map_or(&[], |sides| sides))
    }

    /// The cells and sides of a pane, to be changed.
    pub(crate) fn row_mut(&mut self, layout: &Layout, at: usize) -> (&mut [u64], &mut [Side]) {
        let start = self.head + at * layout.stride;
        let sides = self.sides.as_mut().and_then(|sides| sides.rows.get_mut(at));
        (&mut self.rows[start..start + layout.stride], sides.map_or(&mut [], |sides| sides))
    }

    /// Drops the first pane.
    pub(crate) fn drop_first(&mut self, layout: &Layout) {
        debug_assert!(self.len(layout) > 0, "there is a first pane");
        self.head += layout.stride;
        if let Some(sides) = &mut self.sides {
            sides.rows.pop_front();
        }
        if self.head * 2 >= self.rows.len() {
            self.compact();
        }
    }

    /// Takes a pane out; gives its cells and its sides.
    pub(crate) fn take(&mut self, layout: &Layout, at: usize) -> (Vec<u64>, Box<[Side]>) {
        let start = self.head + at * layout.stride;
        let row = self.rows.drain(start..start + layout.stride).collect();
        let sides = self.sides.as_mut().and_then(|sides| sides.rows.remove(at));
        (row, sides.unwrap_or_default())
    }

    /// Drops all panes.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Merges the panes from `from` to before `to`; gives the number of panes.
    pub(crate) fn merge(&self, layout: &Layout, from: i64, to: i64, into: &mut Merged) -> usize {
        into.start(layout, from);
        let start = self.position(layout, from);
        let mut at = start;
        while at < self.len(layout) && self.id(layout, at) < to {
            merge_row(layout, into.parts(), self.row(layout, at));
            at += 1;
        }
        at - start
    }

    /// Whether several panes hold values that could be counted instead.
    pub(crate) fn holds_values(&self, layout: &Layout, from: i64, to: i64) -> bool {
        let range = self.position(layout, from)..self.position(layout, to);
        let sides = range.filter_map(|at| self.sides.as_ref()?.rows.get(at));
        sides.flatten().any(|side| match side {
            Side::Quantile(values) => values.is_exact() && values.bytes() > 0,
            _ => false,
        })
    }

    /// Turns the values of panes into counts: their window holds too many.
    pub(crate) fn forget_values(&mut self, layout: &Layout, from: i64, to: i64) {
        for at in self.position(layout, from)..self.position(layout, to) {
            for side in self.row_mut(layout, at).1 {
                if let Side::Quantile(values) = side {
                    values.forget();
                }
            }
        }
    }

    /// Notes that a delta holds all values of the panes from `from` on.
    pub(crate) fn mark_saved(&mut self, layout: &Layout, from: i64) {
        if layout.sides.is_empty() {
            return;
        }
        for at in self.position(layout, from)..self.len(layout) {
            self.row_mut(layout, at).1.iter_mut().for_each(Side::mark_saved);
        }
    }

    /// Estimate of the memory of a pane, the same before and after a restart.
    pub(crate) fn pane_bytes(&self, layout: &Layout, at: usize) -> usize {
        let (row, sides) = self.row(layout, at);
        size_of_val(row) + sides.iter().map(Side::bytes).sum::<usize>()
    }

    fn compact(&mut self) {
        self.rows.drain(..self.head);
        self.head = 0;
    }
}
