//! Mean and spread in which a value counts half as much after each half-life.
//!
//! The weight of a value depends only on its age, so values may come in any order, and two halves
//! merge to the whole. The mean does not change while nothing comes.

/// Weighted moments, seen from the newest value: that one has weight 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Decayed {
    time: i64,
    weight: f64,
    /// Sum of the products of the weights of each two values.
    pairs: f64,
    mean: f64,
    /// Weighted sum of squared differences from the mean.
    m2: f64,
}

impl Decayed {
    /// Cells it is stored in; all zero is "no value".
    pub(crate) const CELLS: usize = 5;

    /// Of one value.
    pub(crate) fn of(time: i64, value: f64) -> Self {
        Self { time, weight: 1.0, pairs: 0.0, mean: value, m2: 0.0 }
    }

    pub(crate) fn load(cells: &[u64]) -> Option<Self> {
        let [time, weight, pairs, mean, m2] = *cells else { return None };
        let [weight, pairs, mean, m2] = [weight, pairs, mean, m2].map(f64::from_bits);
        (weight > 0.0).then_some(Self { time: time as i64, weight, pairs, mean, m2 })
    }

    pub(crate) fn store(self, cells: &mut [u64]) {
        let [weight, pairs, mean, m2] =
            [self.weight, self.pairs, self.mean, self.m2].map(f64::to_bits);
        cells.copy_from_slice(&[self.time as u64, weight, pairs, mean, m2]);
    }

    /// Both together; the half-life is in milliseconds.
    pub(crate) fn merge(self, other: Self, half_life: i64) -> Self {
        let time = self.time.max(other.time);
        let (left, right) = (self.seen_from(time, half_life), other.seen_from(time, half_life));
        // From the heavier side, so that a light one costs no precision.
        let (a, b) = if left.weight >= right.weight { (left, right) } else { (right, left) };
        let weight = a.weight + b.weight;
        let delta = b.mean - a.mean;
        let merged = Self {
            time,
            weight,
            pairs: a.pairs + b.pairs + a.weight * b.weight,
            mean: a.mean + delta * (b.weight / weight),
            m2: a.m2 + b.m2 + delta * delta * (a.weight * b.weight / weight),
        };
        // Too large to compute with: begin again, so that it does not stay so for ever.
        let newer = if other.time >= self.time { other } else { self };
        if merged.m2.is_finite() && merged.mean.is_finite() { merged } else { newer }
    }

    pub(crate) fn mean(self) -> f64 {
        self.mean
    }

    /// Standard deviation of a sample; not a number as long as one value has nearly all weight.
    pub(crate) fn deviation(self) -> f64 {
        // The weight without the sum of its squares over itself, which would be lost in rounding.
        let degrees = 2.0 * self.pairs / self.weight;
        if degrees <= self.weight * WEIGHT_MIN { f64::NAN } else { (self.m2 / degrees).sqrt() }
    }

    fn seen_from(self, time: i64, half_life: i64) -> Self {
        let age = time.saturating_sub(self.time);
        if age <= 0 {
            return self;
        }
        let factor = libm::exp2(-(age as f64) / half_life as f64);
        Self {
            time,
            weight: self.weight * factor,
            pairs: self.pairs * factor * factor,
            m2: self.m2 * factor,
            ..self
        }
    }
}

/// With less than this share of the weight other values say nothing of a spread: 40 half-lives.
const WEIGHT_MIN: f64 = 1e-12;
