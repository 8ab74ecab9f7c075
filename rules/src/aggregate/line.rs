//! The straight line that fits best: what `slope` is computed from.

/// Moments of time and value. Times count from the first message, so that large numbers of
/// milliseconds cost no precision.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    origin: i64,
    n: f64,
    mean_time: f64,
    mean: f64,
    /// Sum of squared differences of the times from their mean.
    times: f64,
    /// Sum of the products of both differences.
    products: f64,
}

impl Line {
    /// Cells it is stored in; all zero is "no value".
    pub(super) const CELLS: usize = 6;

    pub(super) fn load(cells: &[u64]) -> Self {
        let [origin, rest @ ..] = [0, 1, 2, 3, 4, 5].map(|at| cells[at]);
        let [n, mean_time, mean, times, products] = rest.map(f64::from_bits);
        Self { origin: origin as i64, n, mean_time, mean, times, products }
    }

    pub(super) fn store(self, cells: &mut [u64]) {
        let rest = [self.n, self.mean_time, self.mean, self.times, self.products];
        cells[0] = self.origin as u64;
        for (cell, number) in cells[1..].iter_mut().zip(rest) {
            *cell = number.to_bits();
        }
    }

    pub(super) fn add(self, time: i64, value: f64) -> Self {
        let (origin, n) = (time, 1.0);
        self.merge(Self { origin, n, mean_time: 0.0, mean: value, times: 0.0, products: 0.0 })
    }

    /// Chan's merge, for two quantities at once.
    pub(super) fn merge(self, other: Self) -> Self {
        if self.n == 0.0 {
            return other;
        }
        if other.n == 0.0 {
            return self;
        }
        let n = self.n + other.n;
        let shift = other.origin.saturating_sub(self.origin) as f64;
        let apart = other.mean_time + shift - self.mean_time;
        let delta = other.mean - self.mean;
        let weight = self.n * (other.n / n);
        Self {
            origin: self.origin,
            n,
            mean_time: self.mean_time + apart * (other.n / n),
            mean: self.mean + delta * (other.n / n),
            times: self.times + other.times + apart * apart * weight,
            products: self.products + other.products + apart * delta * weight,
        }
    }

    /// Change of the value per millisecond; not a number if all times are the same.
    pub(super) fn slope(self) -> f64 {
        if self.times > 0.0 { self.products / self.times } else { f64::NAN }
    }
}
