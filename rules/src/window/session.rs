//! Sessions: messages that follow each other closely.
//!
//! A session ends `gap` after its last message, or `max` after its first. A message that comes
//! late can begin a session earlier, or join two; a session never becomes longer than `max` that
//! way, it stays two.

use super::Panes;
use crate::aggregate::{Layout, span};

/// When sessions end, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// Silence that ends a session.
    pub(crate) gap: i64,
    /// How long a session is at most.
    pub(crate) max: Option<i64>,
}

/// Where a message belongs, as positions of panes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionPlace {
    /// It joins this session with the one after it.
    Bridge(usize),
    Inside(usize),
    /// A session of its own, before this position.
    New(usize),
}

impl Session {
    /// End of a session of which the first and the last message are known.
    pub(crate) fn end(&self, (first, last): (i64, i64)) -> i64 {
        let end = last + self.gap;
        self.max.map_or(end, |max| end.min(first + max))
    }

    /// End of the session at a position.
    pub(crate) fn end_at(&self, layout: &Layout, panes: &Panes, at: usize) -> Option<i64> {
        if at >= panes.len(layout) {
            return None;
        }
        span(layout, panes.row(layout, at).0).map(|times| self.end(times))
    }

    /// Where a message of `time` belongs.
    pub(crate) fn place(&self, layout: &Layout, panes: &Panes, time: i64) -> SessionPlace {
        // The number of a pane lies within its session, and sessions do not overlap.
        let next = panes.position(layout, time + 1);
        let times = |at: usize| span(layout, panes.row(layout, at).0);
        let before = next.checked_sub(1).and_then(times);
        let after = (next < panes.len(layout)).then(|| times(next)).flatten();
        let before = before.filter(|times| self.takes(*times, time));
        let after = after.filter(|times| self.takes(*times, time));
        match (before, after) {
            (Some((first, _)), Some((_, last))) if self.fits(first, last) => {
                SessionPlace::Bridge(next - 1)
            }
            (Some(_), _) => SessionPlace::Inside(next - 1),
            (None, Some(_)) => SessionPlace::Inside(next),
            (None, None) => SessionPlace::New(next),
        }
    }

    /// End of the session that a message of `time` would be in.
    pub(crate) fn end_with(&self, layout: &Layout, panes: &Panes, time: i64) -> i64 {
        let place = self.place(layout, panes, time);
        let end = match place {
            SessionPlace::Bridge(at) => self.end_at(layout, panes, at + 1),
            SessionPlace::Inside(at) => self.end_at(layout, panes, at),
            SessionPlace::New(_) => None,
        };
        end.unwrap_or(time).max(self.end((time, time)))
    }

    /// Whether a session takes a message of `time` in.
    fn takes(&self, (first, last): (i64, i64), time: i64) -> bool {
        let is_near = time > first - self.gap && time < last + self.gap;
        is_near && self.fits(first.min(time), last.max(time))
    }

    /// Whether messages of these times can be in one session.
    fn fits(&self, first: i64, last: i64) -> bool {
        self.max.is_none_or(|max| last < first + max)
    }
}
