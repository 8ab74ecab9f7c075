//! How fast a backlog is sent: so many records in a second, evenly, so that a link that others use
//! too is not filled for minutes after an outage.
//!
//! Pure: time is an argument.

use std::num::NonZeroU32;

use weir_core::Instant;

/// Lets one record after the other go.
#[derive(Debug)]
pub(crate) struct Pace {
    per_second: NonZeroU32,
    /// When the next record may go, in microseconds on the clock of [`Instant`].
    due_us: u64,
}

impl Pace {
    /// None when the rate is 0, which stands for no limit.
    pub(crate) fn new(per_second: u32) -> Option<Self> {
        Some(Self { per_second: NonZeroU32::new(per_second)?, due_us: 0 })
    }

    /// Whether a record may go now.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.due_us <= microseconds(now)
    }

    /// When one may.
    pub(crate) fn due(&self) -> Instant {
        Instant(self.due_us.div_ceil(1000))
    }

    /// A record goes. What was missed because nothing waited is not made up for, but for what a
    /// timer may be late.
    pub(crate) fn take(&mut self, now: Instant) {
        let from = self.due_us.max(microseconds(now).saturating_sub(LATE_US));
        self.due_us = from + 1_000_000 / u64::from(self.per_second.get());
    }
}

fn microseconds(at: Instant) -> u64 {
    at.0.saturating_mul(1000)
}

/// As late as a timer may be without costing a part of the rate.
const LATE_US: u64 = 50_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// Records that go from `start` on for so many milliseconds, looked at every `step`.
    fn gone(pace: &mut Pace, start: u64, length: u64, step: u64) -> u64 {
        let mut count = 0;
        for now in (start..start + length).step_by(step as usize).map(Instant) {
            while pace.is_due(now) {
                pace.take(now);
                count += 1;
            }
        }
        count
    }

    #[test]
    fn a_rate_is_held_also_by_a_timer_that_is_late() {
        for (rate, step) in [(1, 1), (10, 7), (999, 1), (1_000, 20), (250_000, 10)] {
            let mut pace = Pace::new(rate).expect("a limit");
            let count = gone(&mut pace, 1_000, 10_000, step);
            let wanted = u64::from(rate) * 10;
            let spare = 1 + u64::from(rate) / 20;
            assert!((wanted - wanted / 100..=wanted + spare).contains(&count), "{rate}: {count}");
        }
    }

    #[test]
    fn a_pause_is_not_made_up_for() {
        let mut pace = Pace::new(100).expect("a limit");
        gone(&mut pace, 0, 1_000, 1);
        let count = gone(&mut pace, 60_000, 1_000, 1);
        assert!((100..=106).contains(&count), "{count}");
    }

    #[test]
    fn the_next_one_is_due_when_it_may_go() {
        let mut pace = Pace::new(3).expect("a limit");
        let now = Instant(500);
        pace.take(now);
        assert!(!pace.is_due(Instant(pace.due().0 - 1)) && pace.is_due(pace.due()));
        assert!(Pace::new(0).is_none());
    }
}
