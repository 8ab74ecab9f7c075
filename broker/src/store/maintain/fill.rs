//! Rows on their way into a store and out of it, as they are.
//!
//! A store that is filled has just been made, belongs to nobody yet, and is thrown away when
//! something goes wrong; so rows go past the groups of the writer, in transactions of bounded
//! size.

use redb::{ReadTransaction, ReadableTable as _};

use super::row::Table;
use crate::store::error::StoreError;
use crate::store::{Store, schema};

/// A row that is to be written, or removed when it has no value.
pub(crate) type Change = (Table, Vec<u8>, Option<Vec<u8>>);

/// Puts rows into a store. The first error ends it: what comes later is passed over, and
/// [`Filler::finish`] tells.
pub(crate) struct Filler<'s> {
    store: &'s Store,
    table: Table,
    waiting: Vec<Change>,
    bytes: usize,
    error: Option<StoreError>,
}

impl<'s> Filler<'s> {
    pub(crate) fn new(store: &'s Store) -> Self {
        Self { store, table: Table::Meta, waiting: Vec::new(), bytes: 0, error: None }
    }

    /// A row that decodes. Those of `meta` belong to the store that they come from, but for the
    /// number of starts.
    pub(crate) fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        let is_of_source = table == Table::Meta && key != schema::META_BOOT_EPOCH.as_bytes();
        if self.error.is_some() || is_of_source {
            return;
        }
        if table != self.table || self.bytes >= BYTES_MAX {
            self.write();
            self.table = table;
        }
        self.bytes += key.len() + value.len();
        self.waiting.push((table, key.to_vec(), Some(value.to_vec())));
    }

    pub(crate) fn finish(mut self) -> Result<(), StoreError> {
        self.write();
        self.error.map_or(Ok(()), Err)
    }

    fn write(&mut self) {
        self.bytes = 0;
        let rows = std::mem::take(&mut self.waiting);
        if rows.is_empty() || self.error.is_some() {
            return;
        }
        self.error = write(self.store, &rows).err();
    }
}

/// Writes and removes rows in one transaction.
pub(crate) fn write(store: &Store, changes: &[Change]) -> Result<(), StoreError> {
    let write = || -> Result<(), redb::Error> {
        let transaction = store.begin_write()?;
        for of_table in changes.chunk_by(|(one, ..), (next, ..)| one == next) {
            if let Some((table, ..)) = of_table.first() {
                change(&transaction, *table, of_table)?;
            }
        }
        // It is counted anew when the store is opened.
        transaction.open_table(schema::META)?.remove(schema::META_ROW_BYTES.as_bytes())?;
        transaction.commit()?;
        Ok(())
    };
    store.guarded(|| write().map_err(|error| store.engine(error)))
}

/// The bytes are those of the table, or the rows would not have decoded.
fn change(
    transaction: &redb::WriteTransaction,
    table: Table,
    changes: &[Change],
) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(table.definition())?;
    for (_, key, value) in changes {
        match value {
            Some(value) => drop(table.insert(key.as_slice(), value.as_slice())?),
            None => drop(table.remove(key.as_slice())?),
        }
    }
    Ok(())
}

/// Hands out every row of a table, in the order of the keys.
pub(crate) fn rows(
    store: &Store,
    transaction: &ReadTransaction,
    table: Table,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let table = transaction.open_table(table.definition()).map_err(|error| store.engine(error))?;
    for row in table.iter().map_err(|error| store.engine(error))? {
        let (key, value) = row.map_err(|error| store.engine(error))?;
        visit(key.value(), value.value())?;
    }
    Ok(())
}

/// About as much goes into one transaction.
const BYTES_MAX: usize = 4 * 1024 * 1024;
