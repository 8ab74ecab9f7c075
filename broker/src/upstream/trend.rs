//! How fast a backlog becomes shorter, and when it will be empty.

use std::collections::VecDeque;

use weir_core::Instant;

/// How long a backlog was, once a second, over the last half minute.
#[derive(Debug, Default)]
pub(super) struct Trend {
    samples: VecDeque<(Instant, u64)>,
}

impl Trend {
    /// So many messages wait now.
    pub(super) fn note(&mut self, now: Instant, depth: u64) {
        if self.samples.back().is_some_and(|(at, _)| now.0.saturating_sub(at.0) < STEP_MS) {
            return;
        }
        self.samples.push_back((now, depth));
        while self.samples.front().is_some_and(|(at, _)| now.0 - at.0 > SPAN_MS) {
            self.samples.pop_front();
        }
    }

    /// In how many seconds nothing waits if it goes on like that; none while it does not become
    /// less.
    pub(super) fn empty_in_s(&self, now: Instant, depth: u64) -> Option<u64> {
        let (since, before) = *self.samples.front()?;
        let (ms, gone) = (now.0.saturating_sub(since.0), before.checked_sub(depth)?);
        if depth == 0 {
            return Some(0);
        }
        if gone == 0 || ms < STEP_MS {
            return None;
        }
        let left_ms = u128::from(depth) * u128::from(ms) / u128::from(gone);
        Some(u64::try_from(left_ms.div_ceil(1000)).unwrap_or(u64::MAX))
    }
}

const STEP_MS: u64 = 1_000;
const SPAN_MS: u64 = 30_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes a depth each tenth of a second.
    fn after(depths: impl Iterator<Item = u64>) -> Option<u64> {
        let mut trend = Trend::default();
        let mut last = (Instant(0), 0);
        for (step, depth) in (0..).zip(depths) {
            last = (Instant(step * 100), depth);
            trend.note(last.0, depth);
        }
        trend.empty_in_s(last.0, last.1)
    }

    #[test]
    fn a_backlog_that_becomes_shorter_has_an_end() {
        // 100 a second.
        assert_eq!(after((0..100).map(|step| 5_000 - 10 * step)), Some(41));
        assert_eq!(after((0..100).map(|step| 990 - 10 * step)), Some(0));
    }

    #[test]
    fn one_that_does_not_has_none() {
        assert_eq!(after([7; 100].into_iter()), None);
        assert_eq!(after(0..100), None);
        assert_eq!(after([100, 50].into_iter()), None, "too soon to say");
        assert_eq!(after(std::iter::empty()), None);
    }

    #[test]
    fn what_was_half_a_minute_ago_does_not_count() {
        // It has grown for a minute, and becomes shorter for the last one.
        let depths = (0..600).chain((0..600).rev().map(|step| step / 2));
        assert_eq!(after(depths), Some(0));
        // From 590 to 300 in 30.9 s.
        let shorter = (0..600).chain((300..600).rev());
        assert_eq!(after(shorter), Some(32));
    }
}
