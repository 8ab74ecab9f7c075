//! A histogram of times, of fixed size. Each power of two has four steps, so a percentile is right
//! to within a quarter, in whatever unit the times are.

use crate::times::Times;

const STEPS: u32 = 4;
const POWERS: u32 = 40;
const BUCKETS: usize = (STEPS * POWERS) as usize;

#[derive(Debug)]
pub(super) struct Histogram {
    counts: Box<[u64; BUCKETS]>,
    total: u64,
    sum: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: Box::new([0; BUCKETS]), total: 0, sum: 0 }
    }
}

impl Histogram {
    /// What half of the times do not exceed, and 99 of 100.
    pub(super) fn usual(&self) -> [Option<u64>; 2] {
        [50, 99].map(|percent| self.percentile(percent))
    }

    /// All of them.
    pub(super) fn times(&self) -> Times {
        Times::of(self.counts.iter().copied(), STEPS as usize, self.sum)
    }

    pub(super) fn record(&mut self, time: u64) {
        let power = time.max(1).ilog2();
        let step = if power >= 2 { (time >> (power - 2)) as u32 & 3 } else { 0 };
        self.counts[((power * STEPS + step) as usize).min(BUCKETS - 1)] += 1;
        self.total += 1;
        self.sum = self.sum.wrapping_add(time);
    }

    fn percentile(&self, percent: u64) -> Option<u64> {
        let rank = (self.total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let bucket = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        let (power, step) = (bucket as u32 / STEPS, bucket as u64 % u64::from(STEPS));
        let base = 1_u64 << power;
        Some(base + base * (step + 1) / u64::from(STEPS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_to_within_a_quarter() {
        let mut times = Histogram::default();
        assert_eq!(times.percentile(50), None);
        (1..=1000).for_each(|time| times.record(time));
        for percent in [1, 10, 50, 90, 99] {
            let (exact, found) = (percent * 10, times.percentile(percent).expect("there are some"));
            assert!(exact <= found && found <= exact + exact / 4 + 4, "{percent}: {found}");
        }
        times.record(u64::MAX);
        assert!(times.percentile(100).is_some());
    }
}
