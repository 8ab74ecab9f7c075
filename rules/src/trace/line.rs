//! The order in which messages of `while` windows came.
//!
//! They wait for the watermark, and a run begins and ends with one of them. Messages of the same
//! time are told apart by nothing but this.

use std::collections::BTreeMap;

/// Messages that wait, and those that have begun the runs that are open.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// By key and pane.
    numbers: BTreeMap<(u32, i64), u64>,
    next: u64,
}

impl Line {
    /// Gives a message that waits in a pane its number.
    pub(crate) fn add(&mut self, key: u32, pane: i64) -> u64 {
        self.next += 1;
        self.numbers.insert((key, pane), self.next);
        self.next
    }

    /// The number of a message that waits, or has begun the open run; `None` if it came before
    /// anything was written down.
    pub(crate) fn number(&self, key: u32, pane: i64) -> Option<u64> {
        self.numbers.get(&(key, pane)).copied()
    }

    /// Forgets the messages of a key up to the first one that still waits, but the one in `pane`.
    pub(crate) fn forget(&mut self, key: u32, pane: i64, waits: impl Fn(i64) -> bool) {
        let all = self.numbers.range((key, i64::MIN)..=(key, i64::MAX)).map(|(place, _)| *place);
        let gone = all.take_while(|(_, pane)| !waits(*pane)).filter(|(_, one)| *one != pane);
        for place in gone.collect::<Vec<_>>() {
            self.numbers.remove(&place);
        }
    }
}
