//! How long rules take with a message, of one message in [`EVERY`].

use std::time::Instant;

use super::histogram::Histogram;
use crate::times::Times;

/// A clock costs as much as a small rule, so not every message is measured.
const EVERY: u32 = 32;

/// Times of all rules, in the order of the engine.
#[derive(Debug, Default)]
pub(super) struct Handling {
    seen: u32,
    rules: Vec<Histogram>,
}

/// A message that is measured.
pub(super) struct Stopwatch<'h> {
    rules: &'h mut Vec<Histogram>,
    since: Instant,
}

impl Handling {
    /// Measures the next message, if it is its turn.
    pub(super) fn next(&mut self) -> Option<Stopwatch<'_>> {
        self.seen = (self.seen + 1) % EVERY;
        (self.seen == 1).then(|| Stopwatch { rules: &mut self.rules, since: Instant::now() })
    }

    /// All times of a rule, in nanoseconds.
    pub(super) fn times(&self, rule: usize) -> Times {
        self.rules.get(rule).map_or_else(Times::default, Histogram::times)
    }

    /// The times that half of the messages of a rule do not exceed, and 99 of 100, in nanoseconds.
    pub(super) fn usual(&self, rule: usize) -> [Option<u64>; 2] {
        self.rules.get(rule).map_or([None; 2], Histogram::usual)
    }
}

impl Stopwatch<'_> {
    /// A rule has done its part, or, without one, what comes before all of them is done.
    pub(super) fn lap(&mut self, rule: Option<usize>) {
        let now = Instant::now();
        if let Some(rule) = rule {
            while self.rules.len() <= rule {
                self.rules.push(Histogram::default());
            }
            let taken = now.duration_since(self.since).as_nanos();
            self.rules[rule].record(u64::try_from(taken).unwrap_or(u64::MAX));
        }
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_in_so_many_is_measured() {
        let mut handling = Handling::default();
        let measured = (0..10 * EVERY).filter(|_| {
            handling.next().is_some_and(|mut watch| {
                watch.lap(None);
                watch.lap(Some(1));
                true
            })
        });
        assert_eq!(measured.count(), 10);
        assert_eq!(handling.usual(0), [None, None]);
        assert!(handling.usual(1).iter().all(Option::is_some));
        assert_eq!(handling.usual(2), [None, None]);
    }
}
