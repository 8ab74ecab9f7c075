//! All timers of all rules in one ordered structure: earliest first, then by rank, rule
//! and key.

use std::collections::BTreeSet;

/// In the place of a key: the rows of a rule.
pub(crate) const ROWS: u32 = u32::MAX;

/// What a timer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timer {
    /// Milliseconds since the Unix epoch.
    pub(crate) deadline: i64,
    /// See `Rule`.
    pub(crate) rank: u16,
    pub(crate) rule: u32,
    /// A key, or [`ROWS`].
    pub(crate) key: u32,
}

/// The timers that are set.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    set: BTreeSet<Timer>,
}

impl Timers {
    pub(crate) fn insert(&mut self, timer: Timer) {
        self.set.insert(timer);
    }

    pub(crate) fn remove(&mut self, timer: Timer) {
        self.set.remove(&timer);
    }

    /// Takes out all timers of a rule.
    pub(crate) fn remove_rule(&mut self, rule: u32) {
        self.set.retain(|timer| timer.rule != rule);
    }

    /// The earliest deadline.
    pub(crate) fn first(&self) -> Option<i64> {
        self.set.first().map(|timer| timer.deadline)
    }

    /// Takes the earliest timer if it is due.
    pub(crate) fn take_due(&mut self, now: i64) -> Option<Timer> {
        if self.set.first()?.deadline > now {
            return None;
        }
        self.set.pop_first()
    }
}
