//! Rows that a rule keeps beside its keys: packets that it has seen, last values of topics that it
//! joins, names of numbers that a device has announced.
//!
//! A row is a value of bytes under a key of bytes, with the time of its last use. Rows are part of
//! the state: a delta holds those that have changed, a snapshot all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

/// The tables that a rule can have; the number stands in stored state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TableId {
    /// Names of metrics by device and alias.
    Aliases = 0,
    /// Last values of joined topics.
    Joined = 1,
    /// Messages that were seen, for `dedupe`.
    Seen = 2,
}

impl TableId {
    pub(crate) const ALL: [TableId; 3] = [TableId::Aliases, TableId::Joined, TableId::Seen];
}

/// Rows by key, and by age.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: BTreeMap<Arc<[u8]>, Row>,
    /// Times of last use, oldest first.
    ages: BTreeSet<(i64, Arc<[u8]>)>,
    /// Rows that the next delta must hold, or must say are gone.
    changed: BTreeSet<Arc<[u8]>>,
    bytes: usize,
}

/// A value and when it was last used, in milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) used: i64,
    pub(crate) value: Box<[u8]>,
}

impl Table {
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Row> {
        self.rows.get(key)
    }

    /// Puts a row in the place of the one that was there.
    pub(crate) fn set(&mut self, key: &[u8], used: i64, value: &[u8]) {
        let key = self.take(key).unwrap_or_else(|| key.into());
        self.bytes += Self::row_bytes(key.len(), value.len());
        self.ages.insert((used, key.clone()));
        self.rows.insert(key.clone(), Row { used, value: value.into() });
        self.changed.insert(key);
    }

    pub(crate) fn remove(&mut self, key: &[u8]) {
        let taken = self.take(key);
        self.changed.extend(taken);
    }

    /// Removes rows that were last used before `time`, oldest first.
    pub(crate) fn expire(&mut self, time: i64) {
        while let Some((used, key)) = self.ages.first()
            && *used < time
        {
            let key = key.clone();
            self.remove(&key);
        }
    }

    #[cfg_attr(not(test), expect(dead_code, reason = "blocks that keep rows follow"))]
    /// Removes the row that was not used for the longest time.
    pub(crate) fn remove_oldest(&mut self) {
        if let Some((_, key)) = self.ages.first() {
            let key = key.clone();
            self.remove(&key);
        }
    }

    /// Removes all rows whose keys begin so.
    pub(crate) fn remove_prefix(&mut self, prefix: &[u8]) {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        while let Some((key, _)) = self.rows.range::<[u8], _>(from).next()
            && key.starts_with(prefix)
        {
            let key = key.clone();
            self.remove(&key);
        }
    }

    /// Removes all rows.
    pub(crate) fn clear(&mut self) {
        let rows = std::mem::take(&mut self.rows);
        self.changed.extend(rows.into_keys());
        self.ages.clear();
        self.bytes = 0;
    }

    /// Last use and key of the row that was not used for the longest time.
    pub(crate) fn oldest(&self) -> Option<(i64, &[u8])> {
        self.ages.first().map(|(used, key)| (*used, &**key))
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Estimate of the memory of all rows.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Estimate of the memory of a row with its places in the three sets.
    pub(crate) fn row_bytes(key_len: usize, value_len: usize) -> usize {
        key_len + value_len + ROW_EXTRA_BYTES
    }

    /// All rows, by key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &Row)> {
        self.rows.iter().map(|(key, row)| (&**key, row))
    }

    /// The rows that have changed since the last call; those without a row are gone.
    pub(crate) fn take_changed(&mut self) -> impl Iterator<Item = (Arc<[u8]>, Option<&Row>)> {
        let rows = &self.rows;
        std::mem::take(&mut self.changed).into_iter().map(|key| {
            let row = rows.get(&key);
            (key, row)
        })
    }

    /// Brings a row to what a blob says; that is not a change.
    pub(crate) fn restore(&mut self, key: &[u8], row: Option<Row>) {
        match row {
            Some(row) => self.set(key, row.used, &row.value),
            None => self.remove(key),
        }
        self.changed.clear();
    }

    /// Takes a row out; gives its key.
    fn take(&mut self, key: &[u8]) -> Option<Arc<[u8]>> {
        let (key, row) = self.rows.remove_entry(key)?;
        let age = (row.used, key);
        self.ages.remove(&age);
        self.bytes -= Self::row_bytes(age.1.len(), row.value.len());
        Some(age.1)
    }
}

/// Entries of the two ordered sets, the header of the shared key and those of the allocator.
const ROW_EXTRA_BYTES: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(table: &Table) -> Vec<&[u8]> {
        table.iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn rows_that_are_not_used_expire_oldest_first() {
        let mut table = Table::default();
        for (key, used) in [(b"a", 1), (b"b", 2), (b"c", 3)] {
            table.set(key, used, b"v");
        }
        table.set(b"a", 5, b"w");
        table.expire(3);
        assert_eq!(keys(&table), [b"a", b"c"]);
        table.remove_oldest();
        assert_eq!(keys(&table), [b"a"]);
        assert_eq!(table.bytes(), Table::row_bytes(1, 1));
        table.expire(6);
        assert_eq!((table.len(), table.bytes()), (0, 0));
    }

    #[test]
    fn what_has_changed_is_told_once() {
        let mut table = Table::default();
        table.restore(b"old", Some(Row { used: 1, value: (*b"x").into() }));
        assert_eq!(table.take_changed().count(), 0);
        table.set(b"new", 2, b"y");
        table.remove(b"old");
        let changed: Vec<_> =
            table.take_changed().map(|(key, row)| (key.to_vec(), row.is_some())).collect();
        assert_eq!(changed, [(b"new".to_vec(), true), (b"old".to_vec(), false)]);
        assert_eq!(table.take_changed().count(), 0);
    }
}
