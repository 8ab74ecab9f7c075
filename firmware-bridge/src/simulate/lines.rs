//! Lines of a simulated GPIO chip.
//!
//! Inputs are driven by the world outside, at times that it says, and debounced as the kernel does
//! it: an edge is reported when the line has been quiet for long enough, with the time at which
//! that was so. Outputs are what they were set to. A [`Lines`] is a handle; clones are the same
//! chip.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A handle of a simulated GPIO chip.
///
/// ```
/// use std::time::Duration;
/// use weir_firmware_bridge::simulate::Lines;
///
/// let lines = Lines::new();
/// lines.request_input(4, 20);
/// // A contact that bounces.
/// lines.drive(4, true, 1_000);
/// lines.drive(4, false, 1_003);
/// lines.drive(4, true, 1_006);
/// lines.advance_to(1_030);
/// let edge = lines.wait(Duration::ZERO).unwrap();
/// assert_eq!((edge.line, edge.is_high, edge.at_ms), (4, true, 1_026));
/// assert!(lines.wait(Duration::ZERO).is_none(), "one edge");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Lines(Arc<(Mutex<State>, Condvar)>);

/// A change of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The line.
    pub line: u32,
    /// Its level since.
    pub is_high: bool,
    /// When, in the time of the world outside, in milliseconds.
    pub at_ms: u64,
}

impl Lines {
    /// A chip whose lines are all low.
    pub fn new() -> Self {
        Self::default()
    }

    /// Watches a line. Its edges are reported once it has been quiet for `debounce_ms`.
    pub fn request_input(&self, line: u32, debounce_ms: u32) {
        self.state().lines.entry(line).or_default().debounce_ms = Some(u64::from(debounce_ms));
    }

    /// The world outside sets the level of a line, at a time that does not go backwards.
    pub fn drive(&self, line: u32, is_high: bool, at_ms: u64) {
        let mut state = self.state();
        state.settle(at_ms);
        let line = state.lines.entry(line).or_default();
        if line.raw != is_high {
            line.raw = is_high;
            line.changed_ms = Some(at_ms);
        }
        state.settle(at_ms);
        drop(state);
        self.0.1.notify_all();
    }

    /// Nothing more happens until this time.
    pub fn advance_to(&self, now_ms: u64) {
        self.state().settle(now_ms);
        self.0.1.notify_all();
    }

    /// The next edge of a watched line; waits for it.
    pub fn wait(&self, patience: Duration) -> Option<Edge> {
        let state = self.state();
        let is_empty = |state: &mut State| state.edges.is_empty();
        let waited = self.0.1.wait_timeout_while(state, patience, is_empty);
        waited.unwrap_or_else(PoisonError::into_inner).0.edges.pop_front()
    }

    /// Sets an output, or reads a line.
    pub fn set(&self, line: u32, is_high: bool) {
        let mut state = self.state();
        let line = state.lines.entry(line).or_default();
        line.raw = is_high;
        line.settled = is_high;
    }

    /// The level of a line, debounced if it is watched.
    pub fn level(&self, line: u32) -> bool {
        let state = self.state();
        let line = state.lines.get(&line);
        line.is_some_and(|line| if line.debounce_ms.is_some() { line.settled } else { line.raw })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct State {
    lines: BTreeMap<u32, Line>,
    edges: VecDeque<Edge>,
}

#[derive(Debug, Default)]
struct Line {
    raw: bool,
    settled: bool,
    /// When the raw level last changed, if that has not been judged yet.
    changed_ms: Option<u64>,
    /// `None` = not watched.
    debounce_ms: Option<u64>,
}

impl State {
    /// Reports the edges of lines that have been quiet long enough by now, in their order.
    fn settle(&mut self, now_ms: u64) {
        let mut edges: Vec<Edge> = Vec::new();
        for (number, line) in &mut self.lines {
            let Some(debounce_ms) = line.debounce_ms else { continue };
            let quiet_ms = line.changed_ms.map(|changed_ms| changed_ms + debounce_ms);
            let Some(at_ms) = quiet_ms.filter(|quiet_ms| *quiet_ms <= now_ms) else { continue };
            line.changed_ms = None;
            if line.raw != line.settled {
                line.settled = line.raw;
                edges.push(Edge { line: *number, is_high: line.raw, at_ms });
            }
        }
        edges.sort_by_key(|edge| edge.at_ms);
        self.edges.extend(edges);
        // The kernel keeps as many for a line and then loses the oldest.
        while self.edges.len() > EDGES_MAX {
            self.edges.pop_front();
        }
    }
}

const EDGES_MAX: usize = 1_024;
