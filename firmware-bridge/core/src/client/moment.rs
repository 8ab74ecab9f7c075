//! Moments on a clock of 32 bits, which wraps after 49.7 days.
//!
//! Two moments can be told apart in order while they are less than 24.8 days apart.

/// A moment in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(pub(super) u32);

impl Moment {
    /// So much later; what is longer than the clock can tell is cut.
    pub(super) const fn after(self, ms: u32) -> Self {
        let ms = if ms < SPAN_MAX_MS { ms } else { SPAN_MAX_MS };
        Self(self.0.wrapping_add(ms))
    }

    /// Whether it is now or was before.
    pub(super) const fn is_reached(self, now: Self) -> bool {
        now.0.wrapping_sub(self.0) <= SPAN_MAX_MS
    }

    /// The earlier of two.
    pub(super) const fn earlier(self, other: Self) -> Self {
        if self.is_reached(other) { self } else { other }
    }

    /// How long it has been.
    pub(super) const fn elapsed_ms(self, now: Self) -> u32 {
        now.0.wrapping_sub(self.0)
    }
}

impl Moment {
    /// How old something of this moment is; `None` if it is older than the clock can tell. What is
    /// a little ahead of now, because the clock was read twice, is not old at all.
    pub(super) const fn age_ms(self, now: Self) -> Option<u32> {
        let elapsed_ms = self.elapsed_ms(now);
        if elapsed_ms <= SPAN_MAX_MS {
            Some(elapsed_ms)
        } else if elapsed_ms > u32::MAX - AHEAD_MAX_MS {
            Some(0)
        } else {
            None
        }
    }
}

/// The longest time that can be told from one before: 24.8 days.
pub(super) const SPAN_MAX_MS: u32 = u32::MAX / 2;

const AHEAD_MAX_MS: u32 = 3_600_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_holds_across_the_wrap() {
        let before = Moment(u32::MAX - 5);
        let later = before.after(10);
        assert_eq!(later, Moment(4));
        assert!(!later.is_reached(before));
        assert!(later.is_reached(later));
        assert!(before.is_reached(later));
        assert_eq!(before.earlier(later), before);
        assert_eq!(later.earlier(before), before);
        assert_eq!(before.elapsed_ms(later), 10);
    }

    #[test]
    fn age_of_what_is_a_little_ahead_is_zero_and_of_what_is_too_old_none() {
        let moment = Moment(1_000);
        assert_eq!(moment.age_ms(Moment(999)), Some(0));
        assert_eq!(moment.age_ms(Moment(1_000 + SPAN_MAX_MS)), Some(SPAN_MAX_MS));
        assert_eq!(moment.age_ms(Moment(1_001 + SPAN_MAX_MS)), None);
    }

    #[test]
    fn longest_time_is_still_ahead() {
        let now = Moment(7);
        assert!(!now.after(u32::MAX).is_reached(now));
    }
}
