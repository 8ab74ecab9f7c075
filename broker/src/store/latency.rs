//! How long commits take: a histogram of fixed size.
//!
//! Each power of two of microseconds has four steps, so a percentile is right to within a
//! quarter. Written by one thread and read by any.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::times::Times;

const STEPS: u32 = 4;
const POWERS: u32 = 32;
const BUCKETS: usize = (STEPS * POWERS) as usize;

/// Counts durations from one microsecond to an hour.
#[derive(Debug)]
pub(crate) struct Latency {
    buckets: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

impl Default for Latency {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| AtomicU64::new(0)), sum_us: AtomicU64::new(0) }
    }
}

impl Latency {
    pub(crate) fn record(&self, taken: Duration) {
        if let Some(bucket) = self.buckets.get(bucket_of(taken)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        let micros = u64::try_from(taken.as_micros()).unwrap_or(u64::MAX);
        // It goes round only after half a million years.
        self.sum_us.fetch_add(micros, Ordering::Relaxed);
    }

    /// All of them, in microseconds.
    pub(crate) fn times(&self) -> Times {
        let counts = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
        Times::of(counts, STEPS as usize, self.sum_us.load(Ordering::Relaxed))
    }

    /// The duration that `percent` of all do not exceed; zero when there were none.
    pub(crate) fn percentile(&self, percent: u64) -> Duration {
        let counts: Vec<u64> =
            self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        let rank = (total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (bucket, count) in counts.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= rank {
                return upper_end(bucket);
            }
        }
        Duration::ZERO
    }
}

fn bucket_of(taken: Duration) -> usize {
    let micros = u64::try_from(taken.as_micros()).unwrap_or(u64::MAX).max(1);
    let power = micros.ilog2();
    let step = if power >= 2 { (micros >> (power - 2)) as u32 & 3 } else { 0 };
    ((power * STEPS + step) as usize).min(BUCKETS - 1)
}

fn upper_end(bucket: usize) -> Duration {
    let (power, step) = (bucket as u32 / STEPS, bucket as u64 % u64::from(STEPS));
    let base = 1_u64 << power;
    Duration::from_micros(base + base * (step + 1) / u64::from(STEPS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_to_within_a_quarter() {
        let latency = Latency::default();
        for micros in 1..=1000 {
            latency.record(Duration::from_micros(micros));
        }
        for percent in [50, 99, 100] {
            let exact = Duration::from_micros(10 * percent);
            let answer = latency.percentile(percent);
            assert!(answer >= exact && answer <= exact * 5 / 4, "p{percent}: {answer:?}");
        }
    }

    #[test]
    fn nothing_and_the_longest_have_an_answer() {
        let latency = Latency::default();
        assert_eq!(latency.percentile(99), Duration::ZERO);
        latency.record(Duration::MAX);
        assert!(latency.percentile(50) > Duration::from_secs(3600));
    }
}
