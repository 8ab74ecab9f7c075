//! Values of a pane in order of time, for what cannot be computed message by message.
//!
//! Positions count from the first value that the pane ever had, so that a delta can say "from here
//! on" although values leave at the front.

use std::collections::VecDeque;

/// Values with their times; of the same time, in order of arrival.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Series<T> {
    items: VecDeque<(i64, T)>,
    /// Values that left at the front.
    left: u64,
    /// The position up to which a delta holds all values.
    saved: u64,
}

impl<T> Series<T> {
    /// Puts a value behind all that are not later.
    pub(crate) fn insert(&mut self, time: i64, value: T) {
        let newest = self.items.back().is_none_or(|(last, _)| *last <= time);
        let at = match newest {
            true => self.items.len(),
            false => self.items.partition_point(|(known, _)| *known <= time),
        };
        self.items.insert(at, (time, value));
        self.saved = self.saved.min(self.left + at as u64);
    }

    /// Takes the earliest value.
    pub(crate) fn take_first(&mut self) -> Option<(i64, T)> {
        let first = self.items.pop_front()?;
        self.left += 1;
        Some(first)
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn first_time(&self) -> Option<i64> {
        self.items.front().map(|(time, _)| *time)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(i64, T)> {
        self.items.iter()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.items.len() * size_of::<(i64, T)>()
    }

    /// How many values left at the front, the position from which on a record must hold them, and
    /// the values from there. A full record holds all.
    pub(crate) fn unsaved(&self, full: bool) -> (u64, u64, impl Iterator<Item = &(i64, T)>) {
        let from = if full { self.left } else { self.saved.max(self.left) };
        (self.left, from, self.items.iter().skip((from - self.left) as usize))
    }

    /// From now on, deltas hold only what changes after this.
    pub(crate) fn mark_saved(&mut self) {
        self.saved = self.left + self.items.len() as u64;
    }

    /// Replaces everything from a position on; `None` if that is not possible.
    pub(crate) fn replace(&mut self, left: u64, from: u64, items: Vec<(i64, T)>) -> Option<()> {
        while self.left < left && self.take_first().is_some() {}
        if self.items.is_empty() {
            self.left = left;
        }
        let kept = usize::try_from(from.checked_sub(left)?).ok()?;
        if self.left != left || kept > self.items.len() {
            return None;
        }
        self.items.truncate(kept);
        self.items.extend(items);
        let mut times = self.items.iter().map(|(time, _)| *time);
        let mut before = times.next().unwrap_or_default();
        let sorted = times.all(|time| std::mem::replace(&mut before, time) <= time);
        self.mark_saved();
        sorted.then_some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn records_bring_a_copy_to_the_same_values(
            steps in proptest::collection::vec((0i64..50, any::<bool>(), any::<bool>()), 1..60),
        ) {
            let (mut series, mut copy) = (Series::default(), Series::default());
            for (number, (time, leaves, commit)) in steps.into_iter().enumerate() {
                series.insert(time, number);
                if leaves {
                    series.take_first();
                }
                if commit {
                    let (left, from, items) = series.unsaved(false);
                    let items: Vec<_> = items.copied().collect();
                    // A record may be applied twice.
                    prop_assert!(copy.replace(left, from, items.clone()).is_some());
                    prop_assert!(copy.replace(left, from, items).is_some());
                    series.mark_saved();
                    prop_assert_eq!(&copy, &series);
                }
            }
            let sorted: Vec<i64> = series.iter().map(|(time, _)| *time).collect();
            prop_assert!(sorted.is_sorted());
        }
    }
}
