//! Rows on their way into a store and out of it, as they are.
//!
//! A store that is filled has just been made, belongs to nobody yet, and is thrown away when
//! something goes wrong; so rows go past the groups of the writer, in transactions of bounded
//! size.

use redb::{ReadTransaction, ReadableTable as _, TableDefinition};

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
        transaction.open_table(schema::META)?.remove(schema::META_ROW_BYTES)?;
        transaction.commit()?;
        Ok(())
    };
    store.guarded(|| write().map_err(|error| store.engine(error)))
}

fn change(
    transaction: &redb::WriteTransaction,
    table: Table,
    changes: &[Change],
) -> Result<(), redb::Error> {
    match table {
        Table::Cursor => change_in(transaction, schema::CURSOR, changes),
        Table::InflightOut => change_in(transaction, schema::INFLIGHT_OUT, changes),
        Table::Log => change_in(transaction, schema::LOG, changes),
        Table::Meta => change_in(transaction, schema::META, changes),
        Table::Position => change_in(transaction, schema::POSITION, changes),
        Table::Reader => change_in(transaction, schema::READER, changes),
        Table::ReaderCursor => change_in(transaction, schema::READER_CURSOR, changes),
        Table::ReceivedQos2 => change_in(transaction, schema::RECEIVED_QOS2, changes),
        Table::Retained => change_in(transaction, schema::RETAINED, changes),
        Table::RuleDelta => change_in(transaction, schema::RULE_DELTA, changes),
        Table::RuleSnapshot => change_in(transaction, schema::RULE_SNAPSHOT, changes),
        Table::Session => change_in(transaction, schema::SESSION, changes),
        Table::Subscription => change_in(transaction, schema::SUBSCRIPTION, changes),
    }
}

/// The bytes have the widths of the table, or the rows would not have decoded.
fn change_in<K: redb::Key + 'static, V: redb::Value + 'static>(
    transaction: &redb::WriteTransaction,
    definition: TableDefinition<'static, K, V>,
    changes: &[Change],
) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(definition)?;
    for (_, key, value) in changes {
        match value {
            Some(value) => drop(table.insert(K::from_bytes(key), V::from_bytes(value))?),
            None => drop(table.remove(K::from_bytes(key))?),
        }
    }
    Ok(())
}

/// Hands out every row of a table, in the order of the keys.
pub(crate) fn rows(
    store: &Store,
    transaction: &ReadTransaction,
    table: Table,
    visit: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    match table {
        Table::Cursor => rows_in(store, transaction, schema::CURSOR, visit),
        Table::InflightOut => rows_in(store, transaction, schema::INFLIGHT_OUT, visit),
        Table::Log => rows_in(store, transaction, schema::LOG, visit),
        Table::Meta => rows_in(store, transaction, schema::META, visit),
        Table::Position => rows_in(store, transaction, schema::POSITION, visit),
        Table::Reader => rows_in(store, transaction, schema::READER, visit),
        Table::ReaderCursor => rows_in(store, transaction, schema::READER_CURSOR, visit),
        Table::ReceivedQos2 => rows_in(store, transaction, schema::RECEIVED_QOS2, visit),
        Table::Retained => rows_in(store, transaction, schema::RETAINED, visit),
        Table::RuleDelta => rows_in(store, transaction, schema::RULE_DELTA, visit),
        Table::RuleSnapshot => rows_in(store, transaction, schema::RULE_SNAPSHOT, visit),
        Table::Session => rows_in(store, transaction, schema::SESSION, visit),
        Table::Subscription => rows_in(store, transaction, schema::SUBSCRIPTION, visit),
    }
}

fn rows_in<K: redb::Key + 'static, V: redb::Value + 'static>(
    store: &Store,
    transaction: &ReadTransaction,
    definition: TableDefinition<'static, K, V>,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let table = transaction.open_table(definition).map_err(|error| store.engine(error))?;
    for row in table.iter().map_err(|error| store.engine(error))? {
        let (key, value) = row.map_err(|error| store.engine(error))?;
        let (key, value) = (key.value(), value.value());
        visit(K::as_bytes(&key).as_ref(), V::as_bytes(&value).as_ref())?;
    }
    Ok(())
}

/// About as much goes into one transaction.
const BYTES_MAX: usize = 4 * 1024 * 1024;
