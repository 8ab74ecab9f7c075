//! The most frequent value: exact for few different values, then those that are frequent.
//!
//! When there are too many different values, one is taken off the count of each (Misra and Gries):
//! a value in more than one of 256 messages is never lost, and summaries can be merged.

use std::cmp::Ordering;

use crate::limits::MODE_VALUES_MAX;

/// Values with their counts, sorted by value.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Mode {
    counts: Vec<Counted>,
}

/// A value as in `boxed`, and how often it was seen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Counted {
    pub(crate) bits: u64,
    pub(crate) text: Option<Box<str>>,
    pub(crate) count: u64,
}

impl Mode {
    /// Counts a value; its bits are those of `boxed`.
    pub(crate) fn insert(&mut self, bits: u64, text: Option<&str>) {
        match self.find(bits, text) {
            Ok(at) => self.counts[at].count += 1,
            Err(at) if self.counts.len() < MODE_VALUES_MAX => {
                let text = text.map(Box::from);
                self.counts.insert(at, Counted { bits, text, count: 1 });
            }
            Err(_) => self.take_off(1),
        }
    }

    pub(crate) fn merge(&mut self, other: &Mode) {
        for one in &other.counts {
            match self.find(one.bits, one.text.as_deref()) {
                Ok(at) => self.counts[at].count += one.count,
                Err(at) => self.counts.insert(at, one.clone()),
            }
        }
        if self.counts.len() > MODE_VALUES_MAX {
            let mut sizes: Vec<u64> = self.counts.iter().map(|one| one.count).collect();
            sizes.sort_unstable_by(|left, right| right.cmp(left));
            self.take_off(sizes[MODE_VALUES_MAX]);
        }
    }

    /// The most frequent value; of several, the first in order.
    pub(crate) fn most(&self) -> Option<&Counted> {
        let most = self.counts.iter().map(|one| one.count).max()?;
        self.counts.iter().find(|one| one.count == most)
    }

    pub(crate) fn counts(&self) -> &[Counted] {
        &self.counts
    }

    pub(crate) fn bytes(&self) -> usize {
        let texts = self.counts.iter().filter_map(|one| one.text.as_ref());
        size_of_val(self.counts.as_slice()) + texts.map(|text| text.len()).sum::<usize>()
    }

    /// Replaces everything; `None` if the counts cannot be these.
    pub(crate) fn replace(&mut self, counts: Vec<Counted>) -> Option<()> {
        let sorted = counts
            .windows(2)
            .all(|pair| order(pair[0].bits, pair[0].text.as_deref(), &pair[1]) == Ordering::Less);
        self.counts = counts;
        (sorted && self.counts.len() <= MODE_VALUES_MAX).then_some(())
    }

    fn find(&self, bits: u64, text: Option<&str>) -> Result<usize, usize> {
        self.counts.binary_search_by(|one| order(bits, text, one).reverse())
    }

    fn take_off(&mut self, count: u64) {
        self.counts.retain_mut(|one| {
            one.count = one.count.saturating_sub(count);
            one.count > 0
        });
    }
}

/// Numbers by size, then false, true, and texts by their characters.
fn order(bits: u64, text: Option<&str>, other: &Counted) -> Ordering {
    let size = f64::from_bits(bits).total_cmp(&f64::from_bits(other.bits));
    size.then_with(|| text.cmp(&other.text.as_deref()))
}
