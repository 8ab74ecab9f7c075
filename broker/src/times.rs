//! How long something took, as a histogram tells it to others: so many in each power of two.

/// The times of a histogram.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times {
    /// How many took at least 2^n and less than 2^(n+1) of the unit; the first also those that took
    /// none of it.
    pub(crate) powers: Vec<u64>,
    /// All of them together, in the unit.
    pub(crate) sum: u64,
}

impl Times {
    /// Of a histogram with so many steps to each power of two.
    pub(crate) fn of(counts: impl Iterator<Item = u64>, steps: usize, sum: u64) -> Self {
        let counts: Vec<u64> = counts.collect();
        Self { powers: counts.chunks(steps).map(|steps| steps.iter().sum()).collect(), sum }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.powers.iter().sum()
    }
}
