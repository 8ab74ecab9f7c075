//! Quantiles: exact for few values, within 1 % of the value for many.
//!
//! Many values are counted in buckets of 1/64 of a power of two. A bucket is a part of the bits
//! of the number, so no logarithm is computed and every machine gets the same result.

use crate::limits::EXACT_VALUES_MAX;

/// The values of a pane, or their counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Quantile {
    /// In order of arrival; empty once they are only counted.
    values: Vec<f64>,
    /// Sorted by bucket; empty as long as the values are known.
    buckets: Vec<(i32, u32)>,
    /// Values at the beginning of `values` that a delta already holds.
    saved: usize,
}

impl Quantile {
    pub(crate) fn insert(&mut self, value: f64) {
        if self.buckets.is_empty() && self.values.len() < EXACT_VALUES_MAX {
            self.values.push(value);
            return;
        }
        self.forget();
        self.count(bucket_of(value), 1);
    }

    pub(crate) fn merge(&mut self, other: &Quantile) {
        if self.buckets.is_empty()
            && other.buckets.is_empty()
            && self.values.len() + other.values.len() <= EXACT_VALUES_MAX
        {
            self.values.extend_from_slice(&other.values);
            return;
        }
        self.forget();
        for value in &other.values {
            self.count(bucket_of(*value), 1);
        }
        for (bucket, count) in &other.buckets {
            self.count(*bucket, *count);
        }
    }

    /// Keeps only counts from now on.
    pub(crate) fn forget(&mut self) {
        self.saved = 0;
        for value in std::mem::take(&mut self.values) {
            self.count(bucket_of(value), 1);
        }
    }

    /// Whether the values themselves are known.
    pub(crate) fn is_exact(&self) -> bool {
        self.buckets.is_empty()
    }

    /// The value at `rank` (in parts of ten thousand), between two values in proportion. Sorts
    /// the values.
    pub(crate) fn quantile(&mut self, rank: u32) -> Option<f64> {
        let n = if self.is_exact() {
            self.values.len() as u64
        } else {
            self.buckets.iter().map(|(_, count)| u64::from(*count)).sum()
        };
        // In whole numbers, so that a position that is exact stays exact.
        let position = u128::from(n.checked_sub(1)?) * u128::from(rank);
        let (below, rest) = ((position / RANKS) as u64, (position % RANKS) as f64);
        let above = below + u64::from(rest > 0.0);
        let (low, high) = if self.is_exact() {
            self.values.sort_unstable_by(f64::total_cmp);
            (*self.values.get(below as usize)?, *self.values.get(above as usize)?)
        } else {
            (self.counted(below)?, self.counted(above)?)
        };
        let part = rest / RANKS as f64;
        let distance = high - low;
        // The distance of two huge values may be too large for a number.
        let sum = low * (1.0 - part) + high * part;
        Some(if distance.is_finite() { low + distance * part } else { sum })
    }

    pub(crate) fn bytes(&self) -> usize {
        (self.values.len() + self.buckets.len()) * size_of::<u64>()
    }

    /// The values from `from` on, and the counts.
    pub(crate) fn parts(&self, from: usize) -> (&[f64], &[(i32, u32)]) {
        (self.values.get(from..).unwrap_or_default(), &self.buckets)
    }

    /// Values that a delta already holds.
    pub(crate) fn saved(&self) -> usize {
        self.saved
    }

    /// From now on, deltas hold only values that come after these.
    pub(crate) fn mark_saved(&mut self) {
        self.saved = self.values.len();
    }

    /// Replaces everything from `from` on; `None` if that is not possible.
    pub(crate) fn replace(
        &mut self,
        from: usize,
        values: Vec<f64>,
        buckets: Vec<(i32, u32)>,
    ) -> Option<()> {
        let sorted = buckets.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let fits = from <= self.values.len() && from + values.len() <= EXACT_VALUES_MAX;
        if !fits || !sorted || buckets.len() > BUCKETS_MAX {
            return None;
        }
        self.values.truncate(from);
        self.values.extend(values);
        self.buckets = buckets;
        self.saved = self.values.len();
        Some(())
    }

    /// The value of the bucket that holds the given position.
    fn counted(&self, position: u64) -> Option<f64> {
        let mut before = 0;
        for (bucket, count) in &self.buckets {
            before += u64::from(*count);
            if position < before {
                return Some(middle_of(*bucket));
            }
        }
        self.buckets.last().map(|(bucket, _)| middle_of(*bucket))
    }

    fn count(&mut self, bucket: i32, count: u32) {
        match self.buckets.binary_search_by_key(&bucket, |(known, _)| *known) {
            Ok(at) => self.buckets[at].1 = self.buckets[at].1.saturating_add(count),
            Err(at) => self.buckets.insert(at, (bucket, count)),
        }
        if self.buckets.len() > BUCKETS_MAX {
            self.join_smallest();
        }
    }

    /// Joins the two buckets nearest to zero: large values keep their precision.
    fn join_smallest(&mut self) {
        let zero = self.buckets.partition_point(|(bucket, _)| *bucket < 0);
        // The bucket at `zero` is the smallest that is not negative.
        let last = self.buckets.len() - 1;
        let (gone, kept) = match zero {
            0 => (0, 1),
            zero if zero > last => (last, last - 1),
            zero => (zero - 1, zero),
        };
        let count = self.buckets[gone].1;
        self.buckets[kept].1 = self.buckets[kept].1.saturating_add(count);
        self.buckets.remove(gone);
    }
}

/// Buckets are in the order of the values they hold.
fn bucket_of(value: f64) -> i32 {
    let bits = value.abs().to_bits();
    if bits == 0 {
        return 0;
    }
    let bucket = (bits >> BUCKET_SHIFT) as i32 + 1;
    if value < 0.0 { -bucket } else { bucket }
}

fn middle_of(bucket: i32) -> f64 {
    if bucket == 0 {
        return 0.0;
    }
    let bits = (u64::from(bucket.unsigned_abs() - 1) << BUCKET_SHIFT) | (1 << (BUCKET_SHIFT - 1));
    let middle = f64::from_bits(bits);
    if bucket < 0 { -middle } else { middle }
}

/// Keeps the exponent and six bits of the fraction: half a bucket is 1/128 of the value.
const BUCKET_SHIFT: u32 = 46;

/// The highest rank.
const RANKS: u128 = 10_000;

/// Bounds the memory of a pane; values over 32 powers of two fit.
const BUCKETS_MAX: usize = 2048;
