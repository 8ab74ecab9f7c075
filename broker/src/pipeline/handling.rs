//! How long rules take with a message: a histogram of fixed size for each, of one message in
//! [`EVERY`]. Each power of two of nanoseconds has four steps, so a percentile is right to within a
//! quarter.

use std::time::Instant;

/// A clock costs as much as a small rule, so not every message is measured.
const EVERY: u32 = 32;
const STEPS: u32 = 4;
const POWERS: u32 = 40;
const BUCKETS: usize = (STEPS * POWERS) as usize;

/// Times of all rules, in the order of the engine.
#[derive(Debug, Default)]
pub(super) struct Handling {
    seen: u32,
    rules: Vec<Histogram>,
}

#[derive(Debug)]
struct Histogram {
    counts: Box<[u64; BUCKETS]>,
    total: u64,
    /// What [`Histogram::usual`] has come to, until something is counted.
    usual: Option<[Option<u64>; 2]>,
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

    /// The times that half of the messages of a rule do not exceed, and 99 of 100, in nanoseconds.
    pub(super) fn usual(&mut self, rule: usize) -> [Option<u64>; 2] {
        self.rules.get_mut(rule).map_or([None; 2], Histogram::usual)
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

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: Box::new([0; BUCKETS]), total: 0, usual: None }
    }
}

impl Histogram {
    fn usual(&mut self) -> [Option<u64>; 2] {
        let usual = self.usual.unwrap_or_else(|| [50, 99].map(|percent| self.percentile(percent)));
        *self.usual.insert(usual)
    }

    fn record(&mut self, nanoseconds: u64) {
        let power = nanoseconds.max(1).ilog2();
        let step = if power >= 2 { (nanoseconds >> (power - 2)) as u32 & 3 } else { 0 };
        self.counts[((power * STEPS + step) as usize).min(BUCKETS - 1)] += 1;
        self.total += 1;
        self.usual = None;
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
