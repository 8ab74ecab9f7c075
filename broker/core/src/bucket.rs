//! A token bucket: how much of something may come in a second.
//!
//! It holds at most the tokens of one second, so after a pause that much may come at once. What
//! costs more than there is takes the bucket below zero, and nothing more is let through until
//! that is paid: a packet may be larger than a second allows, and the rate holds all the same.

use std::num::NonZeroU32;

use crate::clock::Instant;

/// Tokens that come back with time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    per_second: NonZeroU32,
    /// Thousandths of tokens; below zero they are owed.
    level: i64,
    /// When the level was true.
    at: Instant,
}

/// A rate in tokens per second is one in thousandths of tokens per millisecond.
const TOKEN: i64 = 1000;

impl Bucket {
    /// A full one; none when the rate is 0, which stands for no limit.
    pub(crate) fn new(per_second: u32, now: Instant) -> Option<Self> {
        let per_second = NonZeroU32::new(per_second)?;
        Some(Self { per_second, level: i64::from(per_second.get()) * TOKEN, at: now })
    }

    /// Takes tokens, also such as are not there.
    pub(crate) fn take(&mut self, tokens: usize, now: Instant) {
        self.refill(now);
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        self.level = self.level.saturating_sub(i64::from(tokens) * TOKEN);
    }

    /// When there is a token again; none when there is one.
    pub(crate) fn lacks_until(&mut self, now: Instant) -> Option<Instant> {
        self.refill(now);
        let missing =
            u64::try_from(TOKEN.saturating_sub(self.level)).ok().filter(|missing| *missing > 0)?;
        Some(now + missing.div_ceil(u64::from(self.per_second.get())))
    }

    fn refill(&mut self, now: Instant) {
        let elapsed_ms = i64::try_from(now.0.saturating_sub(self.at.0)).unwrap_or(i64::MAX);
        let per_second = i64::from(self.per_second.get());
        let full = per_second * TOKEN;
        self.level = self.level.saturating_add(elapsed_ms.saturating_mul(per_second)).min(full);
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes single tokens from `start` on for `seconds`, as soon as there is one.
    fn taken(bucket: &mut Bucket, start: u64, seconds: u64) -> u32 {
        let (mut now, end) = (Instant(start), Instant(start + seconds * 1000));
        let mut count = 0;
        while now < end {
            match bucket.lacks_until(now) {
                Some(at) => now = at,
                None => {
                    bucket.take(1, now);
                    count += 1;
                }
            }
        }
        count
    }

    #[test]
    fn a_second_at_once_and_then_the_rate() {
        for rate in [1, 3, 7, 1000, 123_457] {
            let mut bucket = Bucket::new(rate, Instant(0)).unwrap();
            let count = taken(&mut bucket, 0, 10);
            assert!((10 * rate..=11 * rate).contains(&count), "{count} at {rate}");
        }
    }

    #[test]
    fn a_pause_saves_no_more_than_a_second() {
        let mut bucket = Bucket::new(5, Instant(0)).unwrap();
        assert_eq!(taken(&mut bucket, 1_000_000_000, 1), 9);
    }

    #[test]
    fn what_was_taken_in_advance_is_paid_back() {
        let mut bucket = Bucket::new(10, Instant(0)).unwrap();
        bucket.take(110, Instant(0));
        assert_eq!(bucket.lacks_until(Instant(0)), Some(Instant(10_100)));
        assert_eq!(bucket.lacks_until(Instant(10_099)), Some(Instant(10_100)));
        assert_eq!(bucket.lacks_until(Instant(10_100)), None);
    }

    #[test]
    fn no_number_is_too_large() {
        let mut bucket = Bucket::new(u32::MAX, Instant(0)).unwrap();
        bucket.take(usize::MAX, Instant(0));
        bucket.take(usize::MAX, Instant(0));
        assert!(bucket.lacks_until(Instant(0)).is_some());
        assert_eq!(bucket.lacks_until(Instant(u64::MAX)), None);
        assert!(Bucket::new(0, Instant(0)).is_none());
    }
}
